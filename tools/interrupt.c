/* interrupt.c - handlers of SIGINT and SIGTERM, which call only what POSIX lets a signal handler call */
#include "interrupt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "cli.h"
#include "progress.h"

enum { TEXT = 1024 };

typedef struct answer {
    char text[TEXT];
    bool saves;
} answer;

/* A handler may run while a program changes its answer: a new one is written to the other place. */
static answer answers[2];
static answer *_Atomic current;
static volatile sig_atomic_t interrupted, on_terminal;
static atomic_flag answered = ATOMIC_FLAG_INIT;

static char store[3][4096]; /* a folder and the files in it */
static volatile sig_atomic_t removes;

/* -- in the handler ------------------------------------------------------------------------------------------------ */

static int append(char *line, int n, const char *text)
{
    for (; *text && n < TEXT - 64; text++)
        line[n++] = *text;
    return n;
}

static void print_answer(const answer *a)
{
    char line[TEXT];
    int n = append(line, 0, on_terminal ? PROGRESS_CLEAR : "");
    n = append(line, n, common.program->name);
    n = append(line, n, ": interrupted");
    if (!a->saves)
        n += progress_text(line + n, 64);
    if (*a->text)
        n = append(line, n, a->saves ? ": " : "; ");
    for (const char *at = a->text; *at && n < TEXT - 64; at++)
        if (*at == *INTERRUPT_NEXT)
            n += progress_next(line + n, 24);
        else
            line[n++] = *at;
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, (size_t)n);
    (void)written; /* a terminal that is gone */
}

static void remove_store(void)
{
    unlink(store[1]);
    unlink(store[2]);
    rmdir(store[0]);
}

static void on_signal(int number)
{
    int before = errno;
    const answer *a = current;
    interrupted = 1;
    if (!atomic_flag_test_and_set(&answered)) {
        if (!common.quiet)
            print_answer(a);
        if (!a->saves) {
            wf_outfiles_unlink();
            if (removes)
                remove_store();
            signal(number, SIG_DFL);
            raise(number); /* comes when the handler returns */
        }
    }
    errno = before;
}

/* -- in the program ------------------------------------------------------------------------------------------------ */

static void catch_signal(int number, int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | flags}, old;
    if (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

static void set_answer(bool saves, const char *format, va_list ap)
{
    answer *a = current == &answers[0] ? &answers[1] : &answers[0];
    vsnprintf(a->text, TEXT, format, ap);
    for (char *p = a->text; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    a->saves = saves;
    on_terminal = progress_on_terminal();
    current = a;
    catch_signal(SIGTERM, 0);
    catch_signal(SIGINT, saves ? (int)SA_RESETHAND : 0);
}

void interrupt_ends(const char *left, ...)
{
    va_list ap;
    va_start(ap, left);
    set_answer(false, left, ap);
    va_end(ap);
}

const volatile sig_atomic_t *interrupt_saves(const char *doing, ...)
{
    va_list ap;
    va_start(ap, doing);
    set_answer(true, doing, ap);
    va_end(ap);
    return &interrupted;
}

void interrupt_removes(const char *path)
{
    static const char *const files[] = {"", "/data.mdb", "/lock.mdb"};
    removes = 0;
    for (int i = 0; path && i < 3; i++)
        if ((size_t)snprintf(store[i], sizeof store[i], "%s%s", path, files[i]) >= sizeof store[i])
            return;
    removes = path != NULL;
}
