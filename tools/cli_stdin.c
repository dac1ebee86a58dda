/* cli_stdin.c - standard input, whose first bytes are examined before it is read as a stream */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_found.h"

/* The first bytes of standard input: enough to recognise the header of safetensors, whose length is below 2^24. */
static struct {
    char bytes[9];
    size_t have, given;
    bool ended;
} first;

static void look(size_t want)
{
    while (first.have < want && !first.ended) {
        ssize_t n = read(STDIN_FILENO, first.bytes + first.have, want - first.have);
        if (n < 0)
            must(wf_fail_errno("standard input: cannot read"));
        first.have += (size_t)n;
        first.ended = !n;
    }
}

/* A cookie_read_function_t: the first bytes, then the others. */
static ssize_t read_on(void *cookie, char *to, size_t n)
{
    (void)cookie;
    size_t left = first.have - first.given;
    if (!left)
        return first.ended ? 0 : read(STDIN_FILENO, to, n);
    n = n < left ? n : left;
    memcpy(to, first.bytes + first.given, n);
    first.given += n;
    return (ssize_t)n;
}

static FILE *open_stdin(void)
{
    static FILE *file;
    if (!file)
        file = fopencookie(NULL, "r", (cookie_io_functions_t){.read = read_on});
    if (!file)
        die(WF_AGAIN, "standard input: out of memory");
    return file;
}

bool found_on_stdin(void)
{
    if (isatty(STDIN_FILENO))
        return false;
    look(1);
    return first.have;
}

bool found_stream_on_stdin(void)
{
    struct stat info;
    bool some = found_on_stdin();
    if (!some && !fstat(STDIN_FILENO, &info) && S_ISFIFO(info.st_mode))
        die(WF_DATA, "standard input: nothing came: the program before it may have failed (-n N draws without it)");
    return some;
}

FILE *found_stdin(found_expected expected)
{
    wf_kind kind;
    if (isatty(STDIN_FILENO))
        found_die_of_terminal(expected);
    look(sizeof first.bytes);
    bool tensors = first.have == sizeof first.bytes && first.bytes[8] == '{' && !memcmp(first.bytes + 3, "\0\0\0\0", 5);
    if (!tensors) {
        must(wf_kind_find(open_stdin(), &kind));
        found_die_of_kind(NULL, &kind, expected);
    }
    return open_stdin();
}
