/* memory.c - ends a program where another library has no memory */
#include "memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "interrupt.h"
#include "terminal.h"

static atomic_flag ended = ATOMIC_FLAG_INIT;

/* The caller may hold locks, so that exit could wait for ever. No call here allocates. bytes: 0 if not known. */
static void end_without_memory(size_t bytes)
{
    char line[256], size[48] = " in a library of C++";
    if (atomic_flag_test_and_set(&ended)) /* by another thread */
        for (;;)
            pause();
    if (bytes)
        snprintf(size, sizeof size, " for %zu bytes", bytes);
    int n = snprintf(line, sizeof line, "%s%s: out of memory%s\n", terminal_can_clear() ? TERMINAL_CLEAR : "",
                     common.program ? common.program->name : program_invocation_short_name, size);
    ssize_t written = write(STDERR_FILENO, line, (size_t)n);
    (void)written; /* a terminal that is gone */
    interrupt_remove_files();
    _exit(WF_AGAIN);
}

/* Called by the operator new of C++ before it throws. */
static void end_of_new(void)
{
    end_without_memory(0);
}

/* In place of the C library's, because oneDNN goes on with NULL where it makes objects. Sizes are multiples of the
 * alignment for the address sanitizer. */
int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (alignment < sizeof(void *) || alignment & (alignment - 1))
        return EINVAL;
    size_t padded = size + (alignment - size % alignment) % alignment;
    void *memory = padded < size ? NULL : aligned_alloc(alignment, padded);
    if (!memory)
        end_without_memory(size);
    *out = memory;
    return 0;
}

/* No program exits with 1, but libgomp does, after a call for memory that failed. Other libraries may, for reasons of
 * their own. */
static void end_of_libgomp(int status, void *unused)
{
    (void)unused;
    if (status != EXIT_FAILURE || errno != ENOMEM)
        return;
    interrupt_remove_files();
    _exit(WF_AGAIN);
}

void memory_watch(void)
{
    typedef void handler(void);
    handler *(*set_new_handler)(handler *); /* std::set_new_handler */
    void *symbol = dlsym(RTLD_DEFAULT, "_ZSt15set_new_handlerPFvvE");
    memcpy(&set_new_handler, &symbol, sizeof set_new_handler);
    if (symbol)
        set_new_handler(end_of_new);
    on_exit(end_of_libgomp, NULL);
}
