/* validation.c - held-out bits/dim during a training, and when they are due */
#include <math.h>
#include <stdlib.h>

#include "../base/figure.h"
#include "trainer.h"

/* Values that each rank sends of a validation, before the bits/dim of its pictures. */
enum { NOT_FINITE, MOST, MEAN, SECONDS, HEAD };

int64_t wf_validation_count(const wf_trainer *t)
{
    int64_t n = wf_store_count(t->validation);
    return n < t->options->validate_on ? n : t->options->validate_on;
}

/* The bits/dim of the pictures that this process validates, in their order. */
typedef struct held_out {
    wf_evaluator *evaluator;
    double *next;
} held_out;

static int add_held_out(void *user, const wf_record *r)
{
    held_out *h = user;
    WF_TRY(wf_evaluator_run(h->evaluator, r->N, r->low, r->detail, r->index, h->next));
    h->next += r->N;
    return WF_OK;
}

/* Measures this rank's pictures: every wf_parallel_count-th batch. The rank that has the last one measures the round
 * trip, so that all figures are those of one process. own: room for the head and the pictures. */
static int measure_own(wf_trainer *t, int64_t batches, double *own)
{
    const wf_parallel *p = &t->parallel;
    wf_round_trip back = {NAN, NAN};
    held_out user = {&t->evaluator, own + HEAD};
    int status = wf_held_out(t->validation, t->options->level, t->options->validate_on, p->rank, p->count,
                             t->evaluator.runner.N, add_held_out, &user);
    if (status && !t->evaluator.not_finite)
        return status;
    if (!status && (batches - 1) % p->count == p->rank)
        WF_TRY(wf_evaluator_round_trip(&t->evaluator, &back));
    wf_trainer_count_seconds(t);
    own[NOT_FINITE] = status != WF_OK;
    own[MOST] = back.most;
    own[MEAN] = back.mean;
    own[SECONDS] = t->seconds;
    return WF_OK;
}

/* Measures all pictures, each on one rank, and adds their figures up in the pictures' order. *finite: all are. */
static int measure(wf_trainer *t, wf_mean *mean, bool *finite)
{
    int parts = t->parallel.count, rows = t->evaluator.runner.N;
    int64_t count = wf_validation_count(t), batches = (count + rows - 1) / rows;
    size_t each = HEAD + (size_t)((batches + parts - 1) / parts * rows);
    double *all = calloc((size_t)parts * each, sizeof *all);
    int status = WF_OK;
    WF_CHECK(all, WF_AGAIN, "out of memory for %lld held-out pictures", (long long)count);
    WF_GO(measure_own(t, batches, all + (size_t)t->parallel.rank * each));
    WF_GO(wf_parallel_gather(t, all, each * sizeof *all));
    *finite = true;
    for (int i = 0; i < parts; i++)
        *finite = *finite && !all[(size_t)i * each + NOT_FINITE];
    for (int64_t i = 0; i < count && *finite; i++) {
        int64_t batch = i / rows;
        wf_mean_add(mean, all[(size_t)(batch % parts) * each + HEAD + (size_t)(batch / parts * rows + i % rows)]);
    }
    const double *last = all + (size_t)((batches - 1) % parts) * each;
    if (*finite)
        t->round_trip = (wf_round_trip){last[MOST], last[MEAN]};
    t->seconds = all[SECONDS];
out:
    free(all);
    return status;
}

/* Logs a validation. error: standard error of t->held_out; JSON has no numbers that are not finite. */
static int write_validation(wf_trainer *t, double error)
{
    char off[WF_FIGURE], most[WF_FIGURE], mean[WF_FIGURE], condition[WF_FIGURE], worst[64] = "";
    wf_figure(error, "%.6f", "null", off);
    wf_figure(t->round_trip.most, "%.4g", "null", most);
    wf_figure(t->round_trip.mean, "%.4g", "null", mean);
    wf_figure(wf_flow_condition(t->evaluator.runner.flow, worst), "%.4g", "null", condition);
    return wf_trainer_log(t,
                          "{\"step\": %lld, \"seconds\": %.2f, \"val\": %.6f, \"error\": %s, \"best\": %.6f, "
                          "\"round_trip\": %s, \"round_trip_mean\": %s, \"condition\": %s, \"worst\": \"%s\"}\n",
                          (long long)t->step, t->seconds, t->held_out, off, t->best, most, mean, condition, worst);
}

int wf_validate(wf_trainer *t)
{
    wf_mean mean = {0};
    bool finite = false;
    WF_TRY(measure(t, &mean, &finite));
    t->held_out = finite ? mean.mean : INFINITY;
    bool better = isfinite(t->held_out) && !(t->held_out >= t->best);
    t->since_best = better ? 0 : t->since_best + 1;
    t->validated_at = t->step;
    if (better) {
        t->best = t->held_out;
        WF_TRY(wf_trainer_publish(t));
    }
    if (!finite)
        return wf_trainer_log(t, "{\"step\": %lld, \"seconds\": %.2f, \"val\": null}\n", (long long)t->step,
                              t->seconds);
    return write_validation(t, wf_mean_error(&mean));
}

int wf_validation_prepare(wf_trainer *t, const wf_level_spec *spec)
{
    if (!t->validation)
        return WF_OK;
    int level = spec->level;
    WF_CHECK(wf_store_has_level(t->validation, level), WF_DATA, "the validation data has no level %d", level);
    WF_CHECK(wf_validation_count(t) > 0, WF_DATA, "the validation data has no picture, or none is to be taken");
    WF_TRY(wf_meta_expect(wf_store_meta(t->validation), "the validation data", t->meta, "the training data"));
    wf_level_spec used = *spec;
    used.precision = wf_trainer_used_precision(t);
    WF_TRY(wf_evaluator_create(t->backend, t->meta, &used, t->optimizer.ema, t->options->seed, &t->evaluator));
    t->evaluator.runner.given = t->options->given;
    return WF_OK;
}

bool wf_validation_due(const wf_trainer *t, double last)
{
    const wf_train_options *o = t->options;
    int64_t every = o->validate_every;
    if (!t->validation || t->validated_at == t->step)
        return false;
    if (wf_run_fraction(t) >= 1)
        return true;
    if (!every && o->minutes > 0)
        return t->seconds - last >= fmax(3 * o->minutes, 3 * t->validation_seconds);
    if (!every)
        every = o->steps ? (o->steps + 19) / 20 : 1000;
    return t->step % every == 0;
}

bool wf_epochs_are_over(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    if (!t->validation || o->validate_every || t->validated_at == t->step)
        return false;
    int64_t pictures = 10 * wf_store_count(t->store), validated = wf_validation_count(t);
    int64_t every = (pictures > validated ? pictures : validated) / o->batch;
    return t->step % (every ? every : 1) == 0;
}
