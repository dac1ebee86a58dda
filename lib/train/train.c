/* train.c - the training loop */
#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../base/file.h"
#include "trainer.h"
#include "../model/presets.h"

enum { LOG_EVERY = 50 };
static const double CHECKPOINT_SECONDS = 120;

const wf_train_options wf_train_defaults = {
    .steps = 5000000,
    .batch = 64,
    .lr = 1e-3,
    .ema = 1 - 1 / 782.0,
    .warmup = -1,
    .patch = -1,
    .context = -1,
    .memory = WF_MEMORY_AUTO,
    .validate_on = 1000,
    .patience = 20,
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void count_seconds(wf_trainer *t)
{
    double at = now();
    t->seconds += at - t->begun;
    t->begun = at;
}

/* How far the run is, 0 .. 1. */
static double fraction(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    double by_steps = o->steps ? (double)t->step / (double)o->steps : 0;
    double by_time = o->minutes > 0 ? t->seconds / (60 * o->minutes) : 0;
    return fmin(1, fmax(by_steps, by_time));
}

static double learning_rate(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    double part = fraction(t), rise, fall = 1;
    if (o->warmup >= 0)
        rise = o->warmup ? (double)(t->step + 1) / (double)o->warmup : 1;
    else
        rise = fmax((double)(t->step + 1) / 125000, part / 0.05);
    if (o->decay > 0 && part > 1 - o->decay)
        fall = (1 - part) / o->decay;
    return o->lr * fmin(1, rise) * fall;
}

static bool skipped(const wf_trainer *t)
{
    for (int i = 0; i < t->skips; i++)
        if (t->skip[i] == (uint64_t)t->step)
            return true;
    return false;
}

/* Notes a wish to stop, which the loop heeds once the step is complete. */
static void tell(wf_trainer *t, wf_train_report *report, void *user, wf_train_event event)
{
    wf_train_progress p = {t->options->level, t->step,     t->options->steps, t->seconds, fraction(t),
                           t->recent,         t->held_out, t->best,           t->skips};
    if (report && report(user, event, &p))
        t->interrupted = true;
}

/* Parameters of the noise's flow, which follow the flow's. */
static wf_real *noise_params(const wf_trainer *t)
{
    return wf_at(t->backend, t->optimizer.w, wf_flow_size(t->flow));
}

/* A wf_grad_sink for them. */
static int noise_sink(void *trainer, size_t offset, size_t count, const wf_real *grads)
{
    wf_trainer *t = trainer;
    return wf_optimizer_sink(&t->optimizer, wf_flow_size(t->flow) + offset, count, grads);
}

static int dequantize(wf_trainer *t, const wf_random *random)
{
    if (t->dequantizer.flow)
        return wf_dequantizer_run(&t->dequantizer, noise_params(t), &t->feed, random);
    return wf_level_input_dequantize(&t->feed, random);
}

/* The work of a step, with the batch on the device. */
static int compute(void *trainer)
{
    wf_trainer *t = trainer;
    const wf_train_options *o = t->options;
    wf_level_shape s = wf_meta_level(t->meta, o->level);
    double counted = wf_minibatch_counted(&t->batches);
    /* the loss is in bits per coefficient, so that the rate means the same at every level and patch size */
    double scale = -1 / (o->batch * counted * s.K * log(2));
    WF_TRY(dequantize(t, &t->noise));
    const wf_real *x = wf_level_input_x(&t->feed), *cond = wf_level_input_cond(&t->feed), *dx;
    WF_TRY(wf_flow_forward(t->flow, t->optimizer.w, x, cond));
    WF_TRY(wf_flow_guard(t->flow, t->optimizer.bad));
    if (t->dequantizer.flow)
        WF_TRY(wf_flow_guard(t->dequantizer.flow, t->optimizer.bad));
    WF_TRY(wf_flow_backward(t->flow, t->optimizer.w, cond, scale, wf_optimizer_sink, &t->optimizer, NULL, &dx));
    if (t->dequantizer.flow)
        WF_TRY(wf_dequantizer_backward(&t->dequantizer, noise_params(t), dx, scale, noise_sink, t));
    return WF_OK;
}

/* Drops the results of one step, those that were posted. */
static void forget(const wf_trainer *t, const struct wf_launched *l)
{
    wf_readback *const posts[4] = {l->density, l->bad, l->noise[0], l->noise[1]};
    for (int i = 0; i < 4; i++)
        if (posts[i])
            (void)t->backend->readback_end(t->backend, posts[i], NULL);
}

/* Begins the step t->step, without waiting for what it gives. */
static int launch(wf_trainer *t)
{
    const wf_train_options *o = t->options;
    uint64_t slots[1024];
    struct wf_launched *l = &t->launched[t->launched_count];
    for (int n = 0; n < o->batch; n++)
        slots[n] = (uint64_t)n;
    t->noise = (wf_random){o->seed, WF_PURPOSE_NOISE, (uint64_t)t->step};
    wf_optimizer_begin(&t->optimizer, t->step, learning_rate(t));
    WF_TRY(wf_minibatch_load(&t->batches, t->step));
    WF_TRY(wf_level_input_upload(&t->feed, o->batch, t->batches.low, t->batches.detail, slots));
    if (t->weight)
        WF_TRY(t->backend->upload(t->backend, t->weight, t->batches.weight, WF_F32,
                                  (size_t)o->batch * (size_t)t->batches.H * (size_t)t->batches.W));
    WF_TRY(wf_capture_run(t->backend, &t->replay, compute, t));
    *l = (struct wf_launched){.step = t->step};
    int status = WF_OK;
    WF_GO(wf_flow_readback_begin(t->flow, &l->density));
    WF_GO(t->backend->readback_begin(t->backend, t->optimizer.bad, 1, &l->bad));
    if (t->dequantizer.flow)
        WF_GO(wf_dequantizer_readback_begin(&t->dequantizer, l->noise));
out:
    if (status)
        forget(t, l);
    else
        t->launched_count++;
    return status;
}

/* Waits for the oldest step; *bad when its loss or a gradient was not finite. */
static int settle_one(wf_trainer *t, bool *bad)
{
    wf_level_shape s = wf_meta_level(t->meta, t->options->level);
    double density[1024], log_q[1024] = {0}, mean = 0, flag = 0;
    struct wf_launched first = t->launched[0];
    t->launched_count--;
    memmove(t->launched, t->launched + 1, (size_t)t->launched_count * sizeof *t->launched);
    int status = wf_flow_readback_end(t->flow, first.density, density);
    int later = t->backend->readback_end(t->backend, first.bad, &flag);
    int last = first.noise[0] ? wf_dequantizer_readback_end(&t->dequantizer, first.noise, log_q) : WF_OK;
    WF_TRY(status ? status : later ? later : last);
    for (int n = 0; n < t->options->batch; n++)
        mean += (density[n] - log_q[n]) / t->options->batch;
    *bad = flag != 0 || !isfinite(mean);
    if (*bad) {
        t->step = first.step;
        return WF_OK;
    }
    t->sum += wf_bits_per_dim(t->meta, t->options->level, /* a patch stands for the whole level */
                              mean * s.H * s.W / wf_minibatch_counted(&t->batches));
    t->summed++;
    return WF_OK;
}

/* Drops the results of what was launched. */
static void drop(wf_trainer *t)
{
    while (t->launched_count) {
        forget(t, &t->launched[--t->launched_count]);
    }
}

/* Waits until only `ahead` steps are without results. On a bad one, t->step is its number, and the steps after it, which
 * have changed nothing, count as never launched. */
static int settle(wf_trainer *t, int ahead, bool *bad)
{
    *bad = false;
    while (t->launched_count > ahead && !*bad)
        WF_TRY(settle_one(t, bad));
    if (*bad)
        drop(t);
    return WF_OK;
}

/* Leaves this batch out for good: log, then back to the last checkpoint, from where the same steps are done again. */
static int skip_batch(wf_trainer *t)
{
    uint64_t kept[WF_MAX_SKIPPED];
    int64_t step = t->step;
    bool found;
    WF_TRY(wf_optimizer_forgive(&t->optimizer));
    WF_CHECK(t->skips < WF_MAX_SKIPPED, WF_INTERNAL, "level %d: %d batches without finite gradients: try a lower --lr",
             t->options->level, t->skips);
    t->skip[t->skips++] = (uint64_t)step;
    memcpy(kept, t->skip, sizeof kept);
    int skips = t->skips;
    WF_TRY(wf_trainer_log(t, "{\"step\": %lld, \"skipped\": \"loss or gradient not finite\"}\n", (long long)step));
    double seconds = t->seconds;
    WF_TRY(wf_trainer_restore(t, &found));
    WF_CHECK(found, WF_INTERNAL, "%s: vanished during training", t->state_path);
    t->seconds = seconds;
    memcpy(t->skip, kept, sizeof kept);
    t->skips = skips;
    WF_TRY(wf_trainer_open_log(t));
    return wf_trainer_save(t);
}

static bool log_due(const wf_trainer *t)
{
    return t->step % LOG_EVERY == 0;
}

static int write_log(wf_trainer *t)
{
    if (!t->summed)
        return WF_OK;
    t->recent = t->sum / (double)t->summed;
    t->sum = 0;
    t->summed = 0;
    return wf_trainer_log(t, "{\"step\": %lld, \"seconds\": %.2f, \"bpd\": %.6f, \"lr\": %.3g}\n", (long long)t->step,
                          t->seconds, t->recent, learning_rate(t));
}

/* A limit is reached, or patience has ended. */
static bool ended(const wf_trainer *t)
{
    return fraction(t) >= 1 || (t->options->patience && t->since >= t->options->patience);
}

/* -- validation ----------------------------------------------------------------------------------------------------- */

static int64_t validation_count(const wf_trainer *t)
{
    int64_t n = wf_store_count(t->validation);
    return n < t->options->validate_on ? n : t->options->validate_on;
}

static int held_out_bits(wf_trainer *t, wf_mean *mean)
{
    wf_level_shape s = wf_meta_level(t->meta, t->options->level);
    int64_t chunk = t->evaluator.feed.N, count = validation_count(t);
    size_t each = (size_t)s.H * (size_t)s.W * (size_t)s.C;
    double bits[64];
    uint64_t index[64];
    int status = WF_OK;
    size_t details = (size_t)wf_bands(t->meta->signal) * each;
    float *low = malloc((size_t)chunk * (each + details) * sizeof *low), *detail = low + (size_t)chunk * each;
    WF_CHECK(low, WF_AGAIN, "validation: out of memory");
    *mean = (wf_mean){0};
    for (int64_t at = 0; at < count; at += chunk) {
        int64_t n = count - at < chunk ? count - at : chunk;
        for (int64_t i = 0; i < n; i++)
            WF_GO(wf_store_get(t->validation, t->options->level, at + i, low + (size_t)i * each,
                               detail + (size_t)i * details, &index[i]));
        WF_GO(wf_evaluator_run(&t->evaluator, n, low, t->options->level ? detail : NULL, index, bits));
        for (int64_t i = 0; i < n; i++)
            wf_mean_add(mean, bits[i]);
    }
out:
    free(low);
    return status;
}

/* JSON has no number for what is not finite. */
static void format_number(double value, char out[32])
{
    if (isfinite(value))
        snprintf(out, 32, "%.4g", value);
    else
        strcpy(out, "null");
}

/* error: standard error of t->held_out. */
static int write_validation(wf_trainer *t, double error)
{
    char most[32], mean[32], condition[32], worst[64] = "";
    format_number(t->round_trip.most, most);
    format_number(t->round_trip.mean, mean);
    format_number(wf_flow_condition(t->evaluator.flow, worst), condition);
    return wf_trainer_log(t,
                          "{\"step\": %lld, \"seconds\": %.2f, \"val\": %.6f, \"error\": %.6f, \"best\": %.6f, "
                          "\"round_trip\": %s, \"round_trip_mean\": %s, \"condition\": %s, \"worst\": \"%s\"}\n",
                          (long long)t->step, t->seconds, t->held_out, error, t->best, most, mean, condition, worst);
}

/* A held-out density that is not finite is the worst there is, no reason to lose the training. */
static int validate(wf_trainer *t)
{
    wf_mean mean;
    int status = held_out_bits(t, &mean);
    if (status && !t->evaluator.not_finite)
        return status;
    t->held_out = status ? INFINITY : mean.mean;
    if (!status)
        WF_TRY(wf_evaluator_round_trip(&t->evaluator, &t->round_trip));
    count_seconds(t);
    bool better = isfinite(t->held_out) && !(t->held_out >= t->best);
    t->since = better ? 0 : t->since + 1;
    t->measured = t->step;
    if (better) {
        t->best = t->held_out;
        WF_TRY(wf_trainer_publish(t));
    }
    if (status)
        return wf_trainer_log(t, "{\"step\": %lld, \"seconds\": %.2f, \"val\": null}\n", (long long)t->step,
                              t->seconds);
    return write_validation(t, wf_mean_error(&mean));
}

/* -- a run ---------------------------------------------------------------------------------------------------------- */

static int initialize(wf_trainer *t)
{
    wf_backend *b = t->backend;
    const wf_train_options *o = t->options;
    uint64_t slots[1024];
    wf_random noise = {o->seed, WF_PURPOSE_INIT, 0};
    WF_TRY(wf_flow_init(t->flow, o->seed, t->optimizer.w));
    for (int n = 0; n < o->batch; n++)
        slots[n] = (uint64_t)n;
    WF_TRY(wf_minibatch_load(&t->batches, 0));
    WF_TRY(wf_level_input_upload(&t->feed, o->batch, t->batches.low, t->batches.detail, slots));
    if (t->dequantizer.flow) {
        WF_TRY(wf_dequantizer_init(&t->dequantizer, noise_params(t), &t->feed, &noise));
        WF_TRY(wf_level_input_upload(&t->feed, o->batch, t->batches.low, t->batches.detail, slots));
    }
    WF_TRY(dequantize(t, &noise));
    WF_TRY(wf_flow_data_init(t->flow, t->optimizer.w, wf_level_input_x(&t->feed), wf_level_input_cond(&t->feed)));
    WF_TRY(b->copy(b, t->optimizer.ema, t->optimizer.w, t->optimizer.size));
    return wf_trainer_save(t);
}

/* The context of patches is seen, but does not count. */
static int use_weight(wf_trainer *t)
{
    const wf_minibatch *b = &t->batches;
    void *memory;
    if (!b->weight)
        return WF_OK;
    WF_TRY(t->backend->alloc(t->backend, (size_t)b->N * (size_t)b->H * (size_t)b->W * t->backend->real, &memory));
    t->weight = memory;
    return wf_flow_weigh(t->flow, t->weight, wf_minibatch_counted(b));
}

static int prepare(wf_trainer *t)
{
    const wf_train_options *o = t->options;
    const wf_meta *meta = t->meta;
    wf_level_shape s = wf_meta_level(meta, o->level);
    WF_CHECK(o->batch >= 1 && o->batch <= 1024, WF_USAGE, "batch %d is not from 1 to 1024", o->batch);
    WF_CHECK(wf_store_has_level(t->store, o->level), WF_DATA, "the training data has no level %d", o->level);
    WF_CHECK(wf_store_count(t->store) > 0, WF_DATA, "the training data has no picture");
    bool named = wf_preset_chain(o->chain ? o->chain : "official", meta, o->level, t->chain);
    if (!named)
        WF_CHECK(snprintf(t->chain, sizeof t->chain, "%s", o->chain) < (int)sizeof t->chain, WF_USAGE,
                 "chain too long");
    t->patch = o->patch >= 0 ? o->patch : named ? wf_preset_patch(meta, o->level) : 0;
    t->context = o->context >= 0 ? o->context : t->patch < s.H || t->patch < s.W ? t->patch / 8 : 0;
    WF_TRY(wf_minibatch_create(t->store, o->level, o->batch, t->patch, t->context, o->flip, o->seed, &t->batches));
    wf_flow_spec spec = {.N = o->batch,
                         .H = t->batches.H,
                         .W = t->batches.W,
                         .K = s.K,
                         .C = o->level ? s.C : 0,
                         .kernel = s.H * s.W == 1 ? 1 : 3,
                         .precision = o->precision,
                         .memory = o->memory,
                         .signal = meta->signal,
                         .D = wf_meta_slices(meta, o->level)};
    size_t parameters = 0;
    WF_TRY(wf_flow_create(t->backend, t->chain, &spec, &t->flow));
    WF_TRY(use_weight(t));
    if (o->dequantize) {
        WF_CHECK(!t->weight, WF_USAGE, "dequantize: noise outside of a patch's middle has no weight: give --context 0");
        WF_TRY(wf_dequantizer_create(t->backend, meta, o->dequantize, &spec, &t->dequantizer));
        parameters = wf_flow_size(t->dequantizer.flow);
    }
    WF_TRY(wf_optimizer_create(t->backend, wf_flow_size(t->flow) + parameters, o->ema, &t->optimizer));
    WF_TRY(wf_level_input_create(t->backend, meta, o->level, o->batch, t->batches.H, t->batches.W, &t->feed));
    if (!t->validation)
        return WF_OK;
    WF_CHECK(wf_store_has_level(t->validation, o->level), WF_DATA, "the validation data has no level %d", o->level);
    WF_TRY(wf_meta_match(wf_store_meta(t->validation), "the validation data", meta, "the training data"));
    return wf_evaluator_create(t->backend, meta, o->level, t->chain, o->dequantize, &spec, t->optimizer.ema, o->seed,
                               &t->evaluator);
}

/* `last`: t->seconds at the last of its kind. */
static bool checkpoint_due(const wf_trainer *t, double last)
{
    int64_t every = t->options->checkpoint_every;
    return every ? t->step % every == 0 : t->seconds - last >= CHECKPOINT_SECONDS;
}

/* Always at the end. By the clock, it takes a quarter of the time at most. */
static bool validation_due(const wf_trainer *t, double last)
{
    const wf_train_options *o = t->options;
    int64_t every = o->validate_every;
    if (!t->validation || t->measured == t->step)
        return false;
    if (fraction(t) >= 1)
        return true;
    if (!every && o->minutes > 0)
        return t->seconds - last >= fmax(3 * o->minutes, 3 * t->took);
    if (!every)
        every = o->steps ? (o->steps + 19) / 20 : 1000;
    return t->step % every == 0;
}

/* Saves what there is; without validation the latest weights are the model. */
static int checkpoint(wf_trainer *t)
{
    if (!t->validation)
        WF_TRY(wf_trainer_publish(t));
    return wf_trainer_save(t);
}

static int validate_and_tell(wf_trainer *t, double *last, wf_train_report *report, void *user)
{
    double start = t->seconds;
    WF_TRY(validate(t));
    *last = t->seconds;
    t->took = *last - start;
    tell(t, report, user, WF_TRAIN_VALIDATED);
    return WF_OK;
}

/* One step, and what is due after it. A device that works by itself is kept one step ahead, except where what is due
 * needs all results. */
static int advance(wf_trainer *t, double *checkpointed, double *validated, wf_train_report *report, void *user)
{
    bool bad;
    if (!skipped(t))
        WF_TRY(launch(t));
    t->step++;
    bool log = log_due(t), validation = validation_due(t, *validated), save = checkpoint_due(t, *checkpointed);
    bool pause = log || validation || save || !t->backend->queued || fraction(t) >= 1;
    WF_TRY(settle(t, pause ? 0 : 1, &bad));
    count_seconds(t);
    if (bad) {
        WF_TRY(skip_batch(t));
        tell(t, report, user, WF_TRAIN_SKIPPED);
        return WF_OK;
    }
    if (log)
        WF_TRY(write_log(t));
    if (validation)
        WF_TRY(validate_and_tell(t, validated, report, user));
    if (save) {
        WF_TRY(checkpoint(t));
        *checkpointed = t->seconds;
    }
    tell(t, report, user, WF_TRAIN_STEP);
    return WF_OK;
}

/* What a training that has ended leaves: the level's file. */
static int expect_model(const wf_trainer *t)
{
    char path[WF_PATH];
    WF_TRY(wf_model_file(t->model, t->options->level, ".safetensors", path));
    WF_CHECK(!access(path, F_OK), WF_INTERNAL,
             "%s is not there: no held-out density was finite, or it was removed: train in another model folder", path);
    return WF_OK;
}

static int loop(wf_trainer *t, wf_train_report *report, void *user)
{
    double checkpointed = t->seconds, validated = t->seconds;
    for (;;) {
        bool bad;
        while (!ended(t) && !t->interrupted)
            WF_TRY(advance(t, &checkpointed, &validated, report, user));
        WF_TRY(settle(t, 0, &bad));
        if (!bad)
            break;
        WF_TRY(skip_batch(t));
        tell(t, report, user, WF_TRAIN_SKIPPED);
    }
    t->finished = ended(t);
    if (t->finished && validation_due(t, validated)) /* the clock may have ended the run, or a kill just before */
        WF_TRY(validate_and_tell(t, &validated, report, user));
    WF_TRY(checkpoint(t));
    WF_CHECK(t->finished, WF_AGAIN, "interrupted at step %lld; the state is saved, the same command goes on",
             (long long)t->step);
    return expect_model(t);
}

static int train_locked(wf_trainer *t, wf_train_report *report, void *user)
{
    bool resumed;
    char prefix[16];
    snprintf(prefix, sizeof prefix, "level-%02d.", t->options->level);
    wf_sweep(t->model->path, prefix);
    WF_TRY(prepare(t));
    WF_TRY(wf_trainer_restore(t, &resumed));
    if (resumed && t->finished && ended(t))
        return expect_model(t);
    t->finished = false;
    if (!resumed)
        WF_TRY(initialize(t));
    WF_TRY(wf_trainer_open_log(t));
    t->begun = now();
    if (resumed)
        tell(t, report, user, WF_TRAIN_RESUMED);
    return loop(t, report, user);
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
                      .options = options,
                      .backend = backend,
                      .store = store,
                      .validation = validation,
                      .meta = wf_store_meta(store),
                      .held_out = NAN,
                      .best = NAN,
                      .measured = -1,
                      .round_trip = {NAN, NAN},
                      .recent = NAN};
    if (validation)
        snprintf(t->judge, sizeof t->judge, "%.16s/%lld", wf_store_hash(validation), (long long)validation_count(t));
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
    drop(t);
    wf_capture_clear(backend, &t->replay);
    wf_evaluator_clear(&t->evaluator);
    wf_level_input_clear(&t->feed);
    t->backend->free(t->backend, t->weight);
    wf_minibatch_clear(&t->batches);
    wf_optimizer_clear(&t->optimizer);
    wf_dequantizer_clear(&t->dequantizer);
    wf_flow_destroy(t->flow);
    wf_unlock(lock);
out:
    free(t);
    return status;
}
