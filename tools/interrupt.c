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
#include "terminal.h"

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

static int append_number(char *line, int n, int64_t number)
{
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return append(line, n, digits + at);
}

static int append_progress(char *line, int n)
{
    const char *kind;
    int64_t done, total;
    progress_now(&kind, &done, &total);
    if (!kind)
        return n;
    n = append_number(line, append(line, n, " after "), done);
    if (total >= 0)
        n = append_number(line, append(line, n, " of "), total);
    n = append(line, append(line, n, " "), kind);
    return append(line, n, plural(total >= 0 ? total : done));
}

static int append_text(char *line, int n, const char *text)
{
    const char *kind;
    int64_t done, total;
    progress_now(&kind, &done, &total);
    for (; *text && n < TEXT - 64; text++)
        if (*text == *INTERRUPT_NEXT)
            n = append_number(line, n, done + 1);
        else
            line[n++] = *text;
    return n;
}

static void print_answer(const answer *a)
{
    char line[TEXT];
    int n = append(line, 0, on_terminal ? TERMINAL_CLEAR : "");
    n = append(line, n, common.program->name);
    n = append(line, n, ": interrupted");
    if (!a->saves)
        n = append_progress(line, n);
    if (*a->text)
        n = append(line, n, a->saves ? ": " : "; ");
    n = append_text(line, n, a->text);
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

void interrupt_remove_files(void)
{
    wf_outfiles_unlink();
    if (removes)
        remove_store();
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
            interrupt_remove_files();
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
    on_terminal = terminal_can_clear();
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
