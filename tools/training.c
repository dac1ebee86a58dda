/* training.c - the lines that wf-train-level prints: one at the start, one an event, and one that a terminal redraws */
#include "training.h"

#include "../lib/base/figure.h"
#include "interrupt.h"
#include "progress.h"

#include <math.h>
#include <string.h>

static bool several(const training *p)
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
static void note_held_out(const training *p, const wf_train_progress *now)
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
static void note_start(training *p, const wf_train_progress *now)
{
    char chain[START_CHAIN], parameters[START_PARAMETERS], limit[64];
    const char *given = p->options->chain, *precision = p->precisions[now->precision];
    start_chain(given && strcmp(given, now->chain) ? given : NULL, now->chain,
                chain); /* other text than given: a preset's name */
    start_parameters(now->parameters, parameters);
    limit_text(p->options, limit);
    if (!several(p)) {
        note("level %d on %s, %s, %s, %s, batch %d, %s, %s", now->level, p->device, precision, chain, parameters,
             now->batch, p->pictures, limit);
        note_held_out(p, now);
        return;
    }
    if (!p->begun) {
        note("levels %d to %d on %s, %s, %s, %s", p->first, p->last, p->device, p->open ? "fp32 or bf16" : precision,
             p->pictures, limit);
        note_held_out(p, now);
    }
    p->begun = true;
    note("level %d: %s%s%s, %s, batch %d", now->level, p->open ? precision : "", p->open ? ", " : "", chain, parameters,
         now->batch);
}

void training_device(training *p, const wf_backend *backend, bool chooses)
{
    start_device(backend, p->device);
    for (int i = 0; i < WF_PRECISIONS; i++)
        p->precisions[i] = start_precision(backend, (wf_precision)i);
    p->open = chooses && wf_precision_is_open(backend);
}

void training_begin(training *p)
{
    p->begun = false;
    for (int l = p->first; l <= p->last; l++)
        p->latest[l].step = -1;
    p->interrupted = several(p)
                         ? interrupt_saves("finishing a step of each level, then saving; once more ends at once")
                         : interrupt_saves("finishing step " INTERRUPT_NEXT ", then saving; once more ends at once");
    bool steps_alone = p->options->steps && p->options->minutes <= 0;
    progress_begin(several(p) ? NULL : "step", steps_alone ? p->options->steps : -1);
}

/* The part of the training that is done, that of the level that has most left; -1: there is no limit. */
static double fraction_done(const training *p)
{
    double done = 1;
    for (int l = p->first; l <= p->last; l++)
        if (p->latest[l].step >= 0)
            done = fmin(done, p->latest[l].fraction);
    return p->options->steps || p->options->minutes > 0 ? done : -1;
}

/* Redraws the state of all levels. */
static void draw(const training *p, const wf_train_progress *now)
{
    char detail[64 * (WF_MAX_LEVELS + 1)] = "", bits[WF_FIGURE];
    size_t n = 0;
    if (!several(p) && isfinite(now->bpd))
        snprintf(detail, sizeof detail, "%s %s, level %d", wf_figure(now->bpd, "%.4f", "-", bits), p->unit, now->level);
    else if (!several(p))
        snprintf(detail, sizeof detail, "level %d", now->level);
    for (int l = p->last; l >= p->first && several(p) && progress_due(); l--)
        if (p->latest[l].step >= 0)
            n += (size_t)snprintf(detail + n, sizeof detail - n, "%slevel %d: %s", n ? ", " : "", l,
                                  wf_figure(p->latest[l].bpd, "%.3f", "-", bits));
    progress_at(now->step, fraction_done(p), detail);
}

int training_report(void *user, wf_train_event event, const wf_train_progress *now)
{
    training *p = user;
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
        note("level %d: step %lld: held-out %s %s, best %s", now->level, (long long)now->step,
             wf_figure(now->held_out, "%.4f", "-", held_out), p->unit, wf_figure(now->best, "%.4f", "-", best));
    if (event == WF_TRAIN_STARTED || event == WF_TRAIN_RESUMED)
        progress_from(now->step, fraction_done(p));
    if (event != WF_TRAIN_VALIDATED) /* the step that it belongs to is reported next */
        draw(p, now);
    return *p->interrupted;
}

void training_note_ends(const training *p)
{
    progress_end();
    for (int l = p->first; l <= p->last; l++)
        if (p->latest[l].step < 0)
            note("level %d: finished already", l);
        else
            note("level %d: finished at step %lld, saved in %s", l, (long long)p->latest[l].step, p->model_path);
}
