/* progress.c - when the line is drawn, and rates over the recent past */
#include "progress.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/clock.h"
#include "progress_line.h"
#include "terminal.h"

enum { MARKS = 32 }; /* at least a second apart: half a minute */

typedef struct mark {
    double time, fraction;
    int64_t done;
} mark;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *_Atomic kind_now;
static _Atomic int64_t done_now, total_now;
static bool begun, waits;
static double since, shown, resumed; /* clock at the beginning, when the line was drawn last, after a wait for input */
static mark marks[MARKS];            /* a ring */
static int oldest, mark_count;       /* of the ring */

/* -- the line gives way -------------------------------------------------------------------------------------------- */

void progress_print(const char *text)
{
    pthread_mutex_lock(&mutex);
    bool any = terminal_is_drawn() || (terminal_can_clear() && terminal_other_is_drawn());
    terminal_note_drawn(false);
    fprintf(stderr, "%s%s", any ? TERMINAL_CLEAR : "", text); /* one write */
    pthread_mutex_unlock(&mutex);
}

void progress_clear(void)
{
    progress_print("");
}

void progress_yield_output(void)
{
    pthread_mutex_lock(&mutex);
    if (terminal_is_taken() && terminal_is_pipe(STDOUT_FILENO))
        terminal_leave();
    pthread_mutex_unlock(&mutex);
}

void progress_yield_input(void)
{
    pthread_mutex_lock(&mutex);
    if (begun && terminal_would_wait(STDIN_FILENO, POLLIN)) {
        terminal_leave();
        waits = true;
    }
    pthread_mutex_unlock(&mutex);
}

void progress_end(void)
{
    pthread_mutex_lock(&mutex);
    if (terminal_is_drawn())
        fputs(TERMINAL_CLEAR, stderr);
    terminal_note_drawn(false);
    terminal_leave();
    begun = false;
    pthread_mutex_unlock(&mutex);
}

/* -- the line comes ------------------------------------------------------------------------------------------------ */

static void add_mark(double now, int64_t done, double fraction)
{
    if (mark_count == MARKS)
        oldest = (oldest + 1) % MARKS;
    else
        mark_count++;
    marks[(oldest + mark_count - 1) % MARKS] = (mark){now, fraction, done};
}

void progress_begin(const char *kind, int64_t total)
{
    static bool registered;
    if (!registered)
        atexit(progress_end);
    registered = true;
    pthread_mutex_lock(&mutex);
    kind_now = kind;
    total_now = total;
    since = shown = wf_clock();
    begun = true;
    pthread_mutex_unlock(&mutex);
    progress_from(0, 0);
}

void progress_from(int64_t done, double fraction)
{
    pthread_mutex_lock(&mutex);
    done_now = done;
    mark_count = 0;
    add_mark(wf_clock(), done, fraction);
    pthread_mutex_unlock(&mutex);
}

static bool is_due(double now)
{
    return begun && now - since >= 1 && now - shown >= 0.25;
}

bool progress_due(void)
{
    pthread_mutex_lock(&mutex);
    bool due = is_due(wf_clock());
    pthread_mutex_unlock(&mutex);
    return due;
}

static void draw(double now, double fraction, const char *detail)
{
    char text[PROGRESS_LINE + 1];
    const mark *from = &marks[oldest];
    progress_figures f = {.kind = kind_now,
                          .done = done_now,
                          .total = total_now,
                          .fraction = fraction,
                          .seconds = now - from->time,
                          .advance = fraction - from->fraction,
                          .things = done_now - from->done,
                          .detail = detail};
    progress_line(&f, terminal_columns() - 1, text); /* the last column would begin a new line */
    fprintf(stderr, TERMINAL_CLEAR "%s", text);
    terminal_note_drawn(true);
}

/* Programs that work at the same time leave the line to the one that has it, until it waits for long. A program behind
 * a full pipe waits for the other. */
static bool may_draw(double now)
{
    const double moment = 0.5; /* seconds */
    return terminal_in_foreground() && !terminal_would_wait(STDOUT_FILENO, POLLOUT) &&
           (now - resumed >= moment || !terminal_other_is_drawn()) && terminal_take();
}

static void advance(double now, double fraction, const char *detail)
{
    if (waits)
        resumed = now;
    waits = false;
    if (is_due(now) && terminal_can_clear()) {
        shown = now;
        if (may_draw(now))
            draw(now, fraction, detail);
        else
            terminal_leave();
    }
    if (now - marks[(oldest + mark_count - 1) % MARKS].time >= 1)
        add_mark(now, done_now, fraction);
}

void progress_at(int64_t done, double fraction, const char *detail)
{
    pthread_mutex_lock(&mutex);
    done_now = done;
    if (fraction < 0 && total_now > 0)
        fraction = (double)done / (double)total_now;
    if (begun)
        advance(wf_clock(), fmin(fraction, 1), detail);
    pthread_mutex_unlock(&mutex);
}

void progress_now(const char **kind, int64_t *done, int64_t *total)
{
    *kind = kind_now;
    *done = done_now;
    *total = total_now;
}
