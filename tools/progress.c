/* progress.c - the lines that wf-train-level prints: one at the start, one an event, and one that a terminal redraws */
#include "progress.h"

#include "../lib/base/figure.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

void progress_clear(progress *p)
{
    p->begun = false;
    p->drawn = -1;
    for (int l = p->first; l <= p->last; l++)
        p->latest[l].step = -1;
}

static bool several(const progress *p)
{
    return p->last > p->first;
}

/* "10 steps", "10 steps or 30 minutes", "no limit"; without the default number of steps beside minutes. */
static const char *limit_text(const wf_train_options *o, char text[64])
{
    bool minutes = o->minutes > 0, steps = o->steps && (!minutes || o->steps != wf_train_defaults.steps);
    int n = snprintf(text, 64, "%s", steps || minutes ? "" : "no limit");
    if (steps)
        n = snprintf(text, 64, "%lld step%s", (long long)o->steps, plural(o->steps));
    if (minutes)
        snprintf(text + n, 64 - (size_t)n, "%s%g minute%s", n ? " or " : "", o->minutes, o->minutes == 1 ? "" : "s");
    return text;
}

/* Says how many pictures are held out, or why none is. */
static void note_held_out(const progress *p, const wf_train_progress *now)
{
    const char *name = wf_signal_names[p->signal];
    if (now->held_out_count)
        note("%lld of %lld %ss are held out (--val %d%%)", (long long)now->held_out_count, (long long)p->count, name,
             now->held_percent);
    else if (now->held_percent)
        note("no %s is held out: %d%% of %lld are less than one; --val STORE takes others", name, now->held_percent,
             (long long)p->count);
}

/* Says what a level trains on; of several levels, the first adds a line that says what they share. */
static void note_start(progress *p, const wf_train_progress *now)
{
    char chain[START_CHAIN], parameters[START_PARAMETERS], limit[64];
    const char *given = p->options->chain;
    start_chain(given && strcmp(given, now->chain) ? given : NULL, now->chain,
                chain); /* other text than given: a preset's name */
    start_parameters(now->parameters, parameters);
    limit_text(p->options, limit);
    if (!several(p)) {
        note("level %d on %s, %s, %s, %s, batch %d, %s, %s", now->level, p->device, p->precision, chain, parameters,
             now->batch, p->pictures, limit);
        note_held_out(p, now);
        return;
    }
    if (!p->begun) {
        note("levels %d to %d on %s, %s, %s, %s", p->first, p->last, p->device, p->precision, p->pictures, limit);
        note_held_out(p, now);
    }
    p->begun = true;
    note("level %d: %s, %s, batch %d", now->level, chain, parameters, now->batch);
}

static void clock_text(double seconds, char out[32])
{
    long s = (long)(seconds + 0.5);
    snprintf(out, 32, s >= 3600 ? "%ldh%02ldm" : "%ldm%02lds", s >= 3600 ? s / 3600 : s / 60,
             s >= 3600 ? s / 60 % 60 : s % 60);
}

/* Draws the state of all levels as one line of a terminal. */
static void draw(const progress *p)
{
    char eta[32] = "?", bits[WF_FIGURE];
    double left = 0, done = 1;
    for (int l = p->first; l <= p->last; l++) {
        const wf_train_progress *level = &p->latest[l];
        done = level->step < 0 ? done : fmin(done, level->fraction);
        if (level->step >= 0 && level->fraction > 0)
            left = fmax(left, level->seconds * (1 / level->fraction - 1));
    }
    if (done > 0)
        clock_text(left, eta);
    fputc('\r', stderr);
    for (int l = p->first; l <= p->last; l++) {
        const wf_train_progress *level = &p->latest[l];
        if (!several(p))
            fprintf(stderr, "level %d: step %lld  %.0f%%  %s bits/dim  %.1f steps/s  ", l, (long long)level->step,
                    100 * level->fraction, wf_figure(level->bpd, "%.4f", "-", bits),
                    (double)level->step / fmax(level->seconds, 1e-9));
        else if (level->step >= 0)
            fprintf(stderr, "%d: %.0f%% %s  ", l, 100 * level->fraction, wf_figure(level->bpd, "%.3f", "-", bits));
    }
    fprintf(stderr, "ETA %s   %s", eta, done >= 1 ? "\n" : "");
}

int progress_report(void *user, wf_train_event event, const wf_train_progress *now)
{
    progress *p = user;
    char held_out[WF_FIGURE], best[WF_FIGURE];
    p->latest[now->level] = *now;
    p->latest[now->level].chain = NULL; /* not valid after the report */
    if (event == WF_TRAIN_STARTED)
        note_start(p, now);
    if (event == WF_TRAIN_SKIPPED)
        note("level %d: a batch was not finite; left out, back to step %lld", now->level, (long long)now->step);
    if (event == WF_TRAIN_RESUMED)
        note("level %d: going on at step %lld", now->level, (long long)now->step);
    if (event == WF_TRAIN_VALIDATED)
        note("level %d: step %lld: held-out %s bits/dim, best %s", now->level, (long long)now->step,
             wf_figure(now->held_out, "%.4f", "-", held_out), wf_figure(now->best, "%.4f", "-", best));
    if (event == WF_TRAIN_STEP && isatty(STDERR_FILENO) && !common.quiet && fabs(now->seconds - p->drawn) >= 1) {
        p->drawn = now->seconds;
        draw(p);
    }
    return *p->interrupted;
}

void progress_note_ends(const progress *p)
{
    for (int l = p->first; l <= p->last; l++)
        if (p->latest[l].step < 0)
            note("level %d: finished already", l);
        else
            note("level %d: finished at step %lld, saved in %s", l, (long long)p->latest[l].step, p->model_path);
}
