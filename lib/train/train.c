/* train.c - the training loop */
#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/count.h"
#include "../base/figure.h"
#include "../base/file.h"
#include "trainer.h"
#include "../model/presets.h"

enum { LOG_EVERY = 50 };
static const double CHECKPOINT_SECONDS = 120;

const wf_train_options wf_train_defaults = {
    .steps = 5000000,
    .held_out = -1,
    .ema = -1,
    .warmup = -1,
    .decay = -1,
    .patch = -1,
    .margin = -1,
    .memory = WF_MEMORY_AUTO,
    .validate_on = 1000,
    .patience = 20,
};

const wf_train_options wf_train_published = {.batch = 64, .lr = 1e-3, .ema = 1 - 1 / 782.0};

static void count_seconds(wf_trainer *t)
{
    double at = wf_clock();
    t->seconds += at - t->counted_at;
    t->counted_at = at;
}

/* Fraction of the run that is done, 0 .. 1. */
static double run_fraction(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    double by_steps = o->steps ? (double)t->step / (double)o->steps : 0;
    double by_time = o->minutes > 0 ? t->seconds / (60 * o->minutes) : 0;
    return fmin(1, fmax(by_steps, by_time));
}

static double learning_rate(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    double part = run_fraction(t), rise, fall = 1;
    if (o->warmup >= 0)
        rise = o->warmup ? (double)(t->step + 1) / (double)o->warmup : 1;
    else
        rise = fmax((double)(t->step + 1) / 125000, part / 0.05);
    if (o->decay > 0 && part > 1 - o->decay)
        fall = (1 - part) / o->decay;
    return o->lr * fmin(1, rise) * fall;
}

static bool is_skipped(const wf_trainer *t)
{
    for (int i = 0; i < t->skip_count; i++)
        if (t->skip[i] == (uint64_t)t->step)
            return true;
    return false;
}

/* Reports an event. A nonzero return stops the loop after this step. */
static void notify(wf_trainer *t, wf_train_report *report, void *user, wf_train_event event)
{
    wf_train_progress p = {.level = t->options->level,
                           .step = t->step,
                           .steps = t->options->steps,
                           .seconds = t->seconds,
                           .fraction = run_fraction(t),
                           .bpd = t->recent_bpd,
                           .held_out = t->held_out,
                           .best = t->best,
                           .skipped = t->skip_count,
                           .chain = t->chain,
                           .parameters = wf_level_runner_size(&t->runner),
                           .batch = t->options->batch,
                           .precision = t->options->precision,
                           .held_percent = t->options->held_out,
                           .held_out_count = t->held_out_count};
    if (report && report(user, event, &p))
        t->interrupted = true;
}

/* Computes a step on the batch that is on the device: densities, gradients, update. Captured. */
static int compute_step(void *trainer)
{
    wf_trainer *t = trainer;
    double pixels = wf_minibatch_counted(&t->batches);
    /* a loss in bits per coefficient gives the rate the same meaning at every level and patch size */
    double scale = -1 / (t->options->batch * pixels * t->runner.K * log(2));
    WF_TRY(wf_level_runner_compute(&t->runner));
    WF_TRY(wf_level_runner_guard(&t->runner, t->optimizer.bad));
    return wf_level_runner_backward(&t->runner, scale, wf_optimizer_sink, &t->optimizer);
}

/* Drops the results of one step. */
static void drop_step(wf_trainer *t, struct wf_enqueued *step)
{
    wf_level_runner_drop(&t->runner, &step->densities);
    if (step->bad)
        (void)t->backend->readback_end(t->backend, step->bad, NULL);
}

static int load_batch(wf_trainer *t)
{
    const wf_minibatch *b = &t->batches;
    WF_TRY(wf_minibatch_load(&t->batches, t->step));
    WF_TRY(wf_level_runner_load(&t->runner, b->N, b->low, b->detail, t->slots));
    return t->weight ? t->backend->upload(t->backend, t->weight, b->weight, WF_F32, wf_count3(b->N, b->H, b->W))
                     : WF_OK;
}

/* Begins the step t->step, without waiting for its results. */
static int enqueue_step(wf_trainer *t)
{
    struct wf_enqueued *step = &t->enqueued[t->enqueued_count];
    t->runner.noise = (wf_random){t->options->seed, WF_PURPOSE_NOISE, (uint64_t)t->step};
    wf_optimizer_begin(&t->optimizer, t->step, learning_rate(t));
    WF_TRY(load_batch(t));
    WF_TRY(wf_capture_run(t->backend, &t->capture, compute_step, t));
    *step = (struct wf_enqueued){.step = t->step};
    int status = wf_level_runner_readback_begin(&t->runner, &step->densities);
    if (!status)
        status = t->backend->readback_begin(t->backend, t->optimizer.bad, 1, &step->bad);
    if (status)
        drop_step(t, step);
    else
        t->enqueued_count++;
    return status;
}

/* Waits for the oldest step. *bad: its loss or a gradient was not finite. */
static int wait_step(wf_trainer *t, bool *bad)
{
    wf_level_shape s = wf_meta_level(t->meta, t->options->level);
    double density[WF_MAX_BATCH], mean = 0, flag = 0;
    struct wf_enqueued first = t->enqueued[0];
    t->enqueued_count--;
    memmove(t->enqueued, t->enqueued + 1, (size_t)t->enqueued_count * sizeof *t->enqueued);
    int status = wf_level_runner_readback_end(&t->runner, &first.densities, density);
    int later = t->backend->readback_end(t->backend, first.bad, &flag);
    WF_TRY(status ? status : later);
    for (int n = 0; n < t->options->batch; n++)
        mean += density[n] / t->options->batch;
    *bad = flag != 0 || !isfinite(mean);
    if (*bad) {
        t->step = first.step;
        return WF_OK;
    }
    t->sum += wf_bits_per_dim(t->meta, t->options->level, /* a patch stands for the whole level */
                              mean * s.H * s.W / wf_minibatch_counted(&t->batches));
    t->sum_count++;
    return WF_OK;
}

static void drop_enqueued(wf_trainer *t)
{
    while (t->enqueued_count)
        drop_step(t, &t->enqueued[--t->enqueued_count]);
}

/* Waits until at most `ahead` steps are without results. After a bad step t->step is its number. The steps enqueued
 * after it have changed nothing, so their results are dropped. */
static int wait_steps(wf_trainer *t, int ahead, bool *bad)
{
    *bad = false;
    while (t->enqueued_count > ahead && !*bad)
        WF_TRY(wait_step(t, bad));
    if (*bad)
        drop_enqueued(t);
    return WF_OK;
}

/* Excludes the batch of step t->step: logs it, returns to the last checkpoint, and repeats the steps since then
 * without it. */
static int skip_batch(wf_trainer *t)
{
    uint64_t kept[WF_MAX_SKIPPED];
    int64_t step = t->step;
    bool found;
    WF_TRY(wf_optimizer_reset(&t->optimizer));
    WF_CHECK(t->skip_count < WF_MAX_SKIPPED, WF_INTERNAL,
             "level %d: %d batches without finite gradients: try a lower --lr", t->options->level, t->skip_count);
    t->skip[t->skip_count++] = (uint64_t)step;
    memcpy(kept, t->skip, sizeof kept);
    int skips = t->skip_count;
    WF_TRY(wf_trainer_log(t, "{\"step\": %lld, \"skipped\": \"loss or gradient not finite\"}\n", (long long)step));
    double seconds = t->seconds;
    WF_TRY(wf_trainer_restore(t, &found));
    WF_CHECK(found, WF_INTERNAL, "%s: removed during training", t->state_path);
    t->seconds = seconds;
    memcpy(t->skip, kept, sizeof kept);
    t->skip_count = skips;
    WF_TRY(wf_trainer_open_log(t));
    return wf_trainer_save(t);
}

static int write_log(wf_trainer *t)
{
    if (!t->sum_count)
        return WF_OK;
    t->recent_bpd = t->sum / (double)t->sum_count;
    t->sum = 0;
    t->sum_count = 0;
    return wf_trainer_log(t, "{\"step\": %lld, \"seconds\": %.2f, \"bpd\": %.6f, \"lr\": %.3g}\n", (long long)t->step,
                          t->seconds, t->recent_bpd, learning_rate(t));
}

/* True once a limit is reached or patience has run out. */
static bool has_ended(const wf_trainer *t)
{
    return run_fraction(t) >= 1 || (t->options->patience && t->since_best >= t->options->patience);
}

/* -- validation --------------------------------------------------------------------------------------------------- */

static int64_t validation_count(const wf_trainer *t)
{
    int64_t n = wf_store_count(t->validation);
    return n < t->options->validate_on ? n : t->options->validate_on;
}

typedef struct held_out {
    wf_evaluator *evaluator;
    wf_mean *mean;
} held_out;

static int add_held_out(void *user, const wf_record *r)
{
    const held_out *h = user;
    double bits[WF_LEVEL_ROWS];
    WF_TRY(wf_evaluator_run(h->evaluator, r->N, r->low, r->detail, r->index, bits));
    for (int64_t i = 0; i < r->N; i++)
        wf_mean_add(h->mean, bits[i]);
    return WF_OK;
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

/* Measures held-out bits/dim and publishes the model if it is the best so far. A density that is not finite counts as
 * the worst result and does not end the training. */
static int validate(wf_trainer *t)
{
    wf_mean mean = {0};
    held_out sum = {&t->evaluator, &mean};
    int64_t most = t->options->validate_on;
    int status = wf_held_out(t->validation, t->options->level, most, t->evaluator.runner.N, add_held_out, &sum);
    if (status && !t->evaluator.not_finite)
        return status;
    t->held_out = status ? INFINITY : mean.mean;
    if (!status)
        WF_TRY(wf_evaluator_round_trip(&t->evaluator, &t->round_trip));
    count_seconds(t);
    bool better = isfinite(t->held_out) && !(t->held_out >= t->best);
    t->since_best = better ? 0 : t->since_best + 1;
    t->validated_at = t->step;
    if (better) {
        t->best = t->held_out;
        WF_TRY(wf_trainer_publish(t));
    }
    if (status)
        return wf_trainer_log(t, "{\"step\": %lld, \"seconds\": %.2f, \"val\": null}\n", (long long)t->step,
                              t->seconds);
    return write_validation(t, wf_mean_error(&mean));
}

/* -- a run -------------------------------------------------------------------------------------------------------- */

static int initialize(wf_trainer *t)
{
    wf_backend *b = t->backend;
    wf_random noise = {t->options->seed, WF_PURPOSE_INIT, 0};
    if (t->options->init) {
        WF_TRY(wf_settings_copy_weights(t));
    } else {
        WF_TRY(wf_minibatch_load(&t->batches, 0));
        WF_TRY(wf_level_runner_init(&t->runner, t->optimizer.w, t->batches.low, t->batches.detail, t->slots, &noise));
    }
    WF_TRY(b->copy(b, t->optimizer.ema, t->optimizer.w, t->optimizer.size));
    return wf_trainer_save(t);
}

static void close_parts(wf_trainer *t)
{
    if (t->store != t->whole)
        wf_store_close(t->store);
    if (t->options->held_out)
        wf_store_close(t->validation);
    t->store = t->whole;
    t->validation = t->options->held_out ? NULL : t->validation;
}

/* Gives the margin of patches weight 0. */
static int use_weight(wf_trainer *t)
{
    const wf_minibatch *b = &t->batches;
    if (!b->weight)
        return WF_OK;
    WF_TRY(wf_alloc_reals(t->backend, wf_count3(b->N, b->H, b->W), &t->weight));
    return wf_flow_weigh(t->runner.flow, t->weight, wf_minibatch_counted(b));
}

/* Settles what the options leave open: a chain's text by its name, patch and margin. */
static int choose_chain(wf_trainer *t)
{
    const wf_train_options *o = t->options;
    wf_level_shape s = wf_meta_level(t->meta, o->level);
    bool named = o->chain != t->chain && wf_preset_chain(o->chain, t->meta, o->level, t->chain);
    if (!named && o->chain != t->chain)
        WF_CHECK(snprintf(t->chain, sizeof t->chain, "%s", o->chain) < (int)sizeof t->chain, WF_USAGE,
                 "chain too long");
    t->patch = o->patch >= 0 ? o->patch : named ? wf_preset_patch(t->meta, o->level) : 0;
    t->margin = o->margin >= 0 ? o->margin : t->patch < s.H || t->patch < s.W ? t->patch / 8 : 0;
    return WF_OK;
}

static int prepare_validation(wf_trainer *t, const wf_level_spec *spec)
{
    if (!t->validation)
        return WF_OK;
    int level = spec->level;
    WF_CHECK(wf_store_has_level(t->validation, level), WF_DATA, "the validation data has no level %d", level);
    WF_TRY(wf_meta_expect(wf_store_meta(t->validation), "the validation data", t->meta, "the training data"));
    wf_level_spec used = *spec;
    used.precision = wf_trainer_used_precision(t);
    return wf_evaluator_create(t->backend, t->meta, &used, t->optimizer.ema, t->options->seed, &t->evaluator);
}

/* Takes the held-out pictures out of the store. A store too small for one has none. */
static int split_store(wf_trainer *t)
{
    int percent = t->options->held_out;
    WF_CHECK(percent <= 50, WF_USAGE, "%d%% of the pictures cannot be held out, at most 50%%", percent);
    if (!percent || wf_store_count(t->whole) * percent < 100)
        return WF_OK;
    WF_TRY(wf_store_open_part(t->whole, percent, WF_PART_HELD_OUT, &t->validation));
    WF_TRY(wf_store_open_part(t->whole, percent, WF_PART_TRAINED, &t->store));
    t->held_out_count = wf_store_count(t->validation);
    if (!t->held_out_count || !wf_store_count(t->store)) { /* indices with gaps may do this */
        close_parts(t);
        t->held_out_count = 0;
    }
    return WF_OK;
}

static int prepare(wf_trainer *t)
{
    const wf_train_options *o = t->options;
    WF_CHECK(o->batch >= 1 && o->batch <= WF_MAX_BATCH, WF_USAGE, "batch %d is not from 1 to %d", o->batch,
             WF_MAX_BATCH);
    WF_CHECK(wf_store_has_level(t->store, o->level), WF_DATA, "the training data has no level %d", o->level);
    WF_CHECK(wf_store_count(t->store) > 0, WF_DATA, "the training data has no picture");
    WF_TRY(choose_chain(t));
    WF_TRY(wf_minibatch_create(t->store, o->level, o->batch, t->patch, t->margin, o->flip, o->seed, &t->batches));
    WF_CHECK(!o->dequantize || !t->batches.weight, WF_USAGE,
             "dequantize: noise outside of a patch's middle has no weight: give --margin 0");
    WF_TRY(wf_settings_choose_precision(t, t->batches.H, t->batches.W));
    wf_level_spec spec = wf_level_spec_for(t->meta, o->level, t->chain, o->dequantize, o->precision);
    for (int n = 0; n < o->batch; n++)
        t->slots[n] = (uint64_t)n;
    WF_TRY(wf_level_runner_create(t->backend, t->meta, &spec, o->batch, t->batches.H, t->batches.W, o->memory,
                                  &t->runner));
    WF_TRY(use_weight(t));
    WF_TRY(wf_optimizer_create(t->backend, wf_level_runner_size(&t->runner), o->ema, &t->optimizer));
    t->runner.params = t->optimizer.w;
    return prepare_validation(t, &spec);
}

/* last: t->seconds at the last checkpoint. */
static bool checkpoint_due(const wf_trainer *t, double last)
{
    int64_t every = t->options->checkpoint_every;
    return every ? t->step % every == 0 : t->seconds - last >= CHECKPOINT_SECONDS;
}

/* True at the end of a run, and at intervals before, which patience counts. By the clock, validation takes at most a
 * quarter of the time. last: t->seconds at the last of these validations. */
static bool validation_due(const wf_trainer *t, double last)
{
    const wf_train_options *o = t->options;
    int64_t every = o->validate_every;
    if (!t->validation || t->validated_at == t->step)
        return false;
    if (run_fraction(t) >= 1)
        return true;
    if (!every && o->minutes > 0)
        return t->seconds - last >= fmax(3 * o->minutes, 3 * t->validation_seconds);
    if (!every)
        every = o->steps ? (o->steps + 19) / 20 : 1000;
    return t->step % every == 0;
}

/* True every ten epochs, unless an interval was given: a flow overfits few pictures long before the first twentieth of
 * the run, and its best weights come before that. At least as many pictures are trained on as are validated. */
static bool epochs_are_over(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    if (!t->validation || o->validate_every || t->validated_at == t->step)
        return false;
    int64_t pictures = 10 * wf_store_count(t->store), validated = validation_count(t);
    int64_t every = (pictures > validated ? pictures : validated) / o->batch;
    return t->step % (every ? every : 1) == 0;
}

/* Saves the state. Without validation it also publishes the latest weights as the model. */
static int checkpoint(wf_trainer *t)
{
    if (!t->validation)
        WF_TRY(wf_trainer_publish(t));
    return wf_trainer_save(t);
}

static int validate_and_notify(wf_trainer *t, double *last, wf_train_report *report, void *user)
{
    double start = t->seconds;
    WF_TRY(validate(t));
    *last = t->seconds;
    t->validation_seconds = *last - start;
    notify(t, report, user, WF_TRAIN_VALIDATED);
    return WF_OK;
}

/* A validation that patience does not count. */
static int validate_between(wf_trainer *t, wf_train_report *report, void *user)
{
    int since_best = t->since_best;
    double at;
    WF_TRY(validate_and_notify(t, &at, report, user));
    t->since_best = t->since_best ? since_best : 0;
    return WF_OK;
}

/* Does one step, then the log, validation and checkpoint that are due. A device with a queue is kept one step ahead,
 * unless something due needs all results. */
static int advance_step(wf_trainer *t, double *checkpointed, double *validated, wf_train_report *report, void *user)
{
    bool bad;
    if (!is_skipped(t))
        WF_TRY(enqueue_step(t));
    t->step++;
    bool log = t->step % LOG_EVERY == 0;
    bool validation = validation_due(t, *validated), save = checkpoint_due(t, *checkpointed);
    bool between = !validation && epochs_are_over(t),
         pause = log || validation || between || save || !t->backend->queued || run_fraction(t) >= 1;
    WF_TRY(wait_steps(t, pause ? 0 : 1, &bad));
    count_seconds(t);
    if (bad) {
        WF_TRY(skip_batch(t));
        notify(t, report, user, WF_TRAIN_SKIPPED);
        return WF_OK;
    }
    if (log)
        WF_TRY(write_log(t));
    if (validation)
        WF_TRY(validate_and_notify(t, validated, report, user));
    if (between)
        WF_TRY(validate_between(t, report, user));
    if (save) {
        WF_TRY(checkpoint(t));
        *checkpointed = t->seconds;
    }
    notify(t, report, user, WF_TRAIN_STEP);
    return WF_OK;
}

/* Checks that a training which has ended left the level's file. */
static int expect_model(const wf_trainer *t)
{
    char path[WF_PATH];
    WF_TRY(wf_model_file(t->model, t->options->level, ".safetensors", path));
    WF_CHECK(!access(path, F_OK), WF_INTERNAL,
             "%s: not there: no held-out density was finite, or the file was removed; train in another model folder",
             path);
    return WF_OK;
}

/* Publishes weights that come from another model, so that only better ones take their place. */
static int validate_start(wf_trainer *t, wf_train_report *report, void *user)
{
    if (!t->init_hash[0] || !t->validation || t->step || t->validated_at >= 0)
        return WF_OK;
    WF_TRY(validate_between(t, report, user));
    return wf_trainer_save(t);
}

static int run_steps(wf_trainer *t, wf_train_report *report, void *user)
{
    double checkpointed = t->seconds, validated = t->seconds;
    WF_TRY(validate_start(t, report, user));
    for (;;) {
        bool bad;
        while (!has_ended(t) && !t->interrupted)
            WF_TRY(advance_step(t, &checkpointed, &validated, report, user));
        WF_TRY(wait_steps(t, 0, &bad));
        if (!bad)
            break;
        WF_TRY(skip_batch(t));
        notify(t, report, user, WF_TRAIN_SKIPPED);
    }
    t->finished = has_ended(t);
    if (t->finished && validation_due(t, validated)) /* the clock ended the run, or a kill came before the validation */
        WF_TRY(validate_and_notify(t, &validated, report, user));
    WF_TRY(checkpoint(t));
    WF_CHECK(t->finished, WF_AGAIN,
             "interrupted at step %lld; the state is saved: run the same command again to continue",
             (long long)t->step);
    return expect_model(t);
}

static int train_locked(wf_trainer *t, wf_train_report *report, void *user)
{
    bool resumed;
    char prefix[16];
    snprintf(prefix, sizeof prefix, "level-%02d.", t->options->level);
    wf_sweep(t->model->path, prefix);
    WF_TRY(wf_settings_settle(t));
    WF_TRY(split_store(t));
    if (t->validation)
        snprintf(t->validation_id, sizeof t->validation_id, "%.16s/%lld", wf_store_hash(t->validation),
                 (long long)validation_count(t));
    WF_TRY(prepare(t));
    WF_TRY(wf_trainer_restore(t, &resumed));
    if (resumed && t->finished && has_ended(t))
        return expect_model(t);
    t->finished = false;
    notify(t, report, user, WF_TRAIN_STARTED);
    if (!resumed)
        WF_TRY(initialize(t));
    WF_TRY(wf_trainer_open_log(t));
    t->counted_at = wf_clock();
    if (resumed)
        notify(t, report, user, WF_TRAIN_RESUMED);
    return run_steps(t, report, user);
}

int wf_train(const wf_model *model, wf_backend *backend, wf_store *store, wf_store *validation,
             const wf_train_options *options, wf_train_report *report, void *user)
{
    char lock_path[WF_PATH], who[64];
    int lock;
    wf_trainer *t = calloc(1, sizeof *t);
    WF_CHECK(t, WF_AGAIN, "out of memory");
    int status = WF_OK;
    *t = (wf_trainer){.model = model,
                      .settled = *options,
                      .backend = backend,
                      .store = store,
                      .whole = store,
                      .validation = validation,
                      .meta = wf_store_meta(store),
                      .held_out = NAN,
                      .best = NAN,
                      .validated_at = -1,
                      .round_trip = {NAN, NAN},
                      .recent_bpd = NAN};
    t->options = &t->settled;
    WF_GO(wf_model_file(model, options->level, ".lock", lock_path));
    WF_GO(wf_model_file(model, options->level, ".state.safetensors", t->state_path));
    WF_GO(wf_model_file(model, options->level, ".jsonl", t->log_path));
    snprintf(who, sizeof who, "trainer of level %d", options->level);
    WF_GO(wf_lock(lock_path, who, &lock));
    status = train_locked(t, report, user);
    if (t->log) {
        int closed = wf_close(t->log, t->log_path);
        status = status ? status : closed;
    }
    drop_enqueued(t);
    wf_capture_clear(backend, &t->capture);
    wf_evaluator_clear(&t->evaluator);
    wf_level_runner_clear(&t->runner);
    t->backend->free(t->backend, t->weight);
    wf_minibatch_clear(&t->batches);
    wf_optimizer_clear(&t->optimizer);
    close_parts(t);
    wf_unlock(lock);
out:
    free(t);
    return status;
}
