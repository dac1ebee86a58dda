/* progress.c - rates, widths, and which of several programs draws */
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/base/clock.h"
#include "cli.h"

enum {
    MARKS = 32, /* at least a second apart: half a minute */
    MOST = 512  /* columns */
};

typedef struct mark {
    double time, fraction;
    int64_t done;
} mark;

static struct {
    pthread_mutex_t mutex;
    const char *_Atomic kind;
    _Atomic int64_t done, total;
    bool begun, drawn, locked, waits;
    double since, shown, resumed; /* clock at the beginning, when the line was drawn last, after a wait for input */
    mark marks[MARKS];            /* a ring */
    int first, mark_count;        /* of the ring: the oldest, and how many */
} line = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* -- the terminal -------------------------------------------------------------------------------------------------- */

bool progress_on_terminal(void)
{
    const char *term = getenv("TERM");
    return !common.quiet && term && *term && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}

/* A program in the background would draw over the shell. A terminal without jobs has no foreground. Programs that
 * wf-train runs have a group of their own, and the variable names that of wf-train. */
static bool in_foreground(void)
{
    const char *caller = getenv("WF_TERMINAL_GROUP");
    pid_t group = tcgetpgrp(STDERR_FILENO);
    return group < 0 || group == getpgrp() || (caller && group == atoi(caller));
}

/* Locks lie on the terminal, not on an open file, which programs of a pipeline share, and end with the process. Byte 0
 * belongs to the program that draws, the byte at its process number to each program whose line may be there. */
static bool lock_terminal(int command, short type, off_t start, off_t length, struct flock *lock)
{
    *lock = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(STDERR_FILENO, command, lock) == 0;
}

/* True if another program of this pipeline holds a lock there. One that was stopped or is in the background does not
 * count. */
static bool other_holds(off_t start, off_t length)
{
    struct flock lock;
    return lock_terminal(F_GETLK, F_WRLCK, start, length, &lock) && lock.l_type != F_UNLCK &&
           getpgid(lock.l_pid) == getpgrp();
}

static bool other_is_drawn(void)
{
    return other_holds(1, 0); /* to the end */
}

static bool is_pipe(int fd)
{
    struct stat info;
    return !fstat(fd, &info) && S_ISFIFO(info.st_mode);
}

static bool take_line(void)
{
    struct flock lock;
    if (line.locked)
        return true;
    line.locked = lock_terminal(F_SETLK, F_WRLCK, 0, 1, &lock);
    if (line.locked)
        return true;
    if (errno == EAGAIN || errno == EACCES)
        return !other_holds(0, 1);
    return !is_pipe(STDOUT_FILENO); /* a terminal without locks: the last program */
}

static void leave_line(void)
{
    struct flock lock;
    if (line.locked)
        lock_terminal(F_SETLK, F_UNLCK, 0, 1, &lock);
    line.locked = false;
}

static void note_drawn(bool drawn)
{
    struct flock lock;
    if (drawn != line.drawn)
        lock_terminal(F_SETLK, drawn ? F_WRLCK : F_UNLCK, getpid(), 1, &lock);
    line.drawn = drawn;
}

static void put(const char *text, size_t n)
{
    ssize_t written = write(STDERR_FILENO, text, n);
    (void)written; /* a terminal that is gone */
}

/* Returns text that clears the line when it is printed. */
static const char *clearing(void)
{
    bool any = line.drawn || (progress_on_terminal() && other_is_drawn());
    note_drawn(false);
    return any ? PROGRESS_CLEAR : "";
}

void progress_print(const char *text)
{
    pthread_mutex_lock(&line.mutex);
    fprintf(stderr, "%s%s", clearing(), text); /* one write */
    pthread_mutex_unlock(&line.mutex);
}

void progress_clear(void)
{
    progress_print("");
}

/* True if a program that reads from or writes to this pipe would wait. */
static bool would_wait(int fd, short event)
{
    struct pollfd pipe = {.fd = fd, .events = event};
    return is_pipe(fd) && poll(&pipe, 1, 0) == 0;
}

void progress_yield_output(void)
{
    pthread_mutex_lock(&line.mutex);
    if (line.locked && is_pipe(STDOUT_FILENO))
        leave_line();
    pthread_mutex_unlock(&line.mutex);
}

void progress_yield_input(void)
{
    pthread_mutex_lock(&line.mutex);
    if (line.begun && would_wait(STDIN_FILENO, POLLIN)) {
        leave_line();
        line.waits = true;
    }
    pthread_mutex_unlock(&line.mutex);
}

void progress_end(void)
{
    pthread_mutex_lock(&line.mutex);
    if (line.drawn)
        put(PROGRESS_CLEAR, strlen(PROGRESS_CLEAR));
    note_drawn(false);
    leave_line();
    line.begun = false;
    pthread_mutex_unlock(&line.mutex);
}

/* -- the line ------------------------------------------------------------------------------------------------------ */

static void add_mark(double now, int64_t done, double fraction)
{
    if (line.mark_count == MARKS)
        line.first = (line.first + 1) % MARKS;
    else
        line.mark_count++;
    line.marks[(line.first + line.mark_count - 1) % MARKS] = (mark){now, fraction, done};
}

void progress_begin(const char *kind, int64_t total)
{
    static bool registered;
    if (!registered)
        atexit(progress_end);
    registered = true;
    pthread_mutex_lock(&line.mutex);
    line.kind = kind;
    line.total = total;
    line.since = line.shown = wf_clock();
    line.begun = true;
    pthread_mutex_unlock(&line.mutex);
    progress_from(0, 0);
}

void progress_from(int64_t done, double fraction)
{
    pthread_mutex_lock(&line.mutex);
    line.done = done;
    line.mark_count = 0;
    add_mark(wf_clock(), done, fraction);
    pthread_mutex_unlock(&line.mutex);
}

static bool is_due(double now)
{
    return line.begun && now - line.since >= 1 && now - line.shown >= 0.25;
}

bool progress_due(void)
{
    pthread_mutex_lock(&line.mutex);
    bool due = is_due(wf_clock());
    pthread_mutex_unlock(&line.mutex);
    return due;
}

static const char *clock_text(double seconds, char out[32])
{
    double s = floor(seconds + 0.5);
    if (!(s < 100 * 86400.0))
        snprintf(out, 32, "over 99 days");
    else if (s >= 86400)
        snprintf(out, 32, "%.0fd%02.0fh", floor(s / 86400), floor(fmod(s, 86400) / 3600));
    else if (s >= 3600)
        snprintf(out, 32, "%.0fh%02.0fm", floor(s / 3600), floor(fmod(s, 3600) / 60));
    else if (s >= 60)
        snprintf(out, 32, "%.0fm%02.0fs", floor(s / 60), fmod(s, 60));
    else
        snprintf(out, 32, "%.0fs", s);
    return out;
}

/* Three digits, and the unit of time that makes the number one or more. */
static const char *rate_text(double each_second, char out[32])
{
    double rate = each_second;
    const char *unit = "s";
    if (rate < 1) {
        rate *= 60;
        unit = "min";
    }
    if (rate < 1) {
        rate *= 60;
        unit = "h";
    }
    snprintf(out, 32, "%.*f/%s", rate < 9.995 ? 2 : rate < 99.95 ? 1 : 0, rate, unit);
    return out;
}

/* Appends a part if the line stays within `width`; the first is cut off. */
static void add_part(char *text, size_t width, const char *part, size_t length)
{
    size_t n = strlen(text), comma = n && text[n - 1] != ' ' ? 2 : 0;
    bool first = !comma;
    if (n + comma + length > width && !first)
        return;
    if (n + length > width)
        length = width > n ? width - n : 0;
    snprintf(text + n, MOST + 1 - n, "%s%.*s", comma ? ", " : "", (int)length, part);
}

static void add_text(char *text, size_t width, const char *part)
{
    add_part(text, width, part, strlen(part));
}

static void make_line(double now, double fraction, const char *detail, char text[MOST + 1], size_t width)
{
    char part[128];
    const mark *from = &line.marks[line.first];
    int64_t total = line.total;
    double time = now - from->time, advance = fraction - from->fraction;
    double things = fraction >= 0 && total >= 0 ? advance * (double)total : (double)(line.done - from->done);
    int n = snprintf(text, MOST + 1, "%s: ", common.program->name);
    if ((size_t)n > width)
        text[width] = '\0';
    if (line.kind && total >= 0)
        snprintf(part, sizeof part, "%lld / %lld %s%s", (long long)line.done, (long long)total, line.kind,
                 plural(total));
    else if (line.kind)
        snprintf(part, sizeof part, "%lld %s%s", (long long)line.done, line.kind, plural(line.done));
    if (line.kind)
        add_text(text, width, part);
    if (fraction >= 0 && advance > 0 && (advance >= 0.01 || time >= 10)) { /* less says little */
        char eta[32];
        snprintf(part, sizeof part, "ETA %s", clock_text((1 - fraction) * time / advance, eta));
        add_text(text, width, part);
    }
    if (fraction >= 0) {
        snprintf(part, sizeof part, "%.0f%%", floor(100 * fraction + 1e-6));
        add_text(text, width, part);
    }
    if (line.kind && things > 0 && time > 0)
        add_text(text, width, rate_text(things / time, part));
    for (const char *at = detail; at && *at;) {
        const char *end = strstr(at, ", ");
        size_t length = end ? (size_t)(end - at) : strlen(at);
        add_part(text, width, at, length);
        at = end ? end + 2 : at + length;
    }
}

static void draw(double now, double fraction, const char *detail)
{
    struct winsize window = {0};
    char text[sizeof PROGRESS_CLEAR + MOST] = PROGRESS_CLEAR, body[MOST + 1] = "";
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) || !window.ws_col)
        window.ws_col = 80;
    size_t width = window.ws_col - 1u; /* the last column would begin a new line */
    make_line(now, fraction, detail, body, width < MOST ? width : MOST);
    strcat(text, body);
    put(text, strlen(text));
    note_drawn(true);
}

/* Of two programs that both work, the one whose line is there keeps it, unless it waits for long. Behind a full pipe,
 * the other program is the one that works. */
static bool may_draw(double now)
{
    enum { SHORT = 500 }; /* ms */
    return !would_wait(STDOUT_FILENO, POLLOUT) && (1e3 * (now - line.resumed) >= SHORT || !other_is_drawn()) &&
           take_line();
}

static void advance(double now, double fraction, const char *detail)
{
    if (line.waits)
        line.resumed = now;
    line.waits = false;
    if (is_due(now) && progress_on_terminal()) {
        line.shown = now;
        if (in_foreground() && may_draw(now))
            draw(now, fraction, detail);
        else
            leave_line();
    }
    if (now - line.marks[(line.first + line.mark_count - 1) % MARKS].time >= 1)
        add_mark(now, line.done, fraction);
}

void progress_at(int64_t done, double fraction, const char *detail)
{
    pthread_mutex_lock(&line.mutex);
    line.done = done;
    if (fraction < 0 && line.total > 0)
        fraction = (double)done / (double)line.total;
    if (line.begun)
        advance(wf_clock(), fmin(fraction, 1), detail);
    pthread_mutex_unlock(&line.mutex);
}

/* -- for signal handlers ------------------------------------------------------------------------------------------- */

static int append(char *out, int size, int n, const char *text)
{
    while (*text && n < size)
        out[n++] = *text++;
    return n;
}

static int append_number(char *out, int size, int n, int64_t number)
{
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return append(out, size, n, digits + at);
}

int progress_text(char *out, int size)
{
    int64_t done = line.done, total = line.total;
    const char *kind = line.kind;
    if (!kind)
        return 0;
    int n = append_number(out, size, append(out, size, 0, " after "), done);
    if (total >= 0) {
        n = append(out, size, n, " of ");
        n = append_number(out, size, n, total);
    }
    n = append(out, size, n, " ");
    n = append(out, size, n, kind);
    return append(out, size, n, (total >= 0 ? total : done) == 1 ? "" : "s");
}

int progress_next(char *out, int size)
{
    return append_number(out, size, 0, line.done + 1);
}
