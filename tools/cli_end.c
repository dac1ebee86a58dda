/* cli_end.c - messages, and the ways a program ends */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/file.h"
#include "cli.h"
#include "progress.h"
#include "ranks.h"

enum { TEXT = 2048 };

static void print_message(char text[TEXT])
{
    char message[TEXT + 160];
    for (char *p = text; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    snprintf(message, sizeof message, "%s: %s\n", common.program ? common.program->name : program_invocation_short_name,
             text);
    progress_print(message);
}

void die(int status, const char *format, ...)
{
    char text[TEXT];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap); /* of wf_error, which ranks_agree may change */
    va_end(ap);
    if (ranks_agree(&status))
        print_message(text);
    ranks_close();
    exit(status);
}

void must(int status)
{
    if (status)
        die(status, "%s", wf_error());
}

void *must_allocate(size_t n, size_t size, const char *what)
{
    void *memory = calloc(n, size);
    if (!memory)
        die(WF_AGAIN, "out of memory for %s", what);
    return memory;
}

const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

void note(const char *format, ...)
{
    char text[TEXT];
    if (common.quiet)
        return;
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    print_message(text);
}

void finish_stdout(void)
{
    must(wf_close(stdout, "standard output"));
}

void cli_print_quoted(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (*word && word[strspn(word, plain)] == '\0') {
        printf(" %s", word);
        return;
    }
    fputs(" '", stdout);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*word);
    putchar('\'');
}
