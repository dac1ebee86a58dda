/* early.c - the earliest constructor that a program may have. Linked into wf-planted, which has to end before it runs. */
#include <unistd.h>

__attribute__((constructor(101))) static void early(void)
{
    static const char text[] = "a constructor ran\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
}
