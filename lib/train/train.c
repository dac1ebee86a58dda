/* train.c - the training loop */
#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/count.h"
#include "../base/file.h"
#include "trainer.h"
#include "../model/presets.h"

enum { LOG_EVERY = 50 };
static const double CHECKPOINT_SECONDS = 120;

const wf_train_options wf_train_defaults = {
    .steps = 5000000,
    .held_out = -1,
    .init_level = -1,
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
                           .fraction = wf_run_fraction(t),
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
        t->asked = true;
    t->interrupted = t->parallel.ranks ? t->interrupted : t->asked; /* ranks agree on it after a step */
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
    char ranks[64] = "";
    wf_parallel_note(t, ranks);
    return wf_trainer_log(t, "{\"step\": %lld, \"seconds\": %.2f, \"bpd\": %.6f, \"lr\": %.3g%s}\n", (long long)t->step,
                          t->seconds, t->recent_bpd, wf_learning_rate(t), ranks);
}

/* True once a limit is reached or patience has run out. */
static bool has_ended(const wf_trainer *t)
{
    return wf_run_fraction(t) >= 1 || (t->options->patience && t->since_best >= t->options->patience);
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
    WF_TRY(wf_parallel_copy(t, t->optimizer.w));
    WF_TRY(b->copy(b, t->optimizer.ema, t->optimizer.w, t->optimizer.size));
    return wf_trainer_save(t);
}

/* Closes the stores that split_store opened, but not the caller's. */
static void close_parts(wf_trainer *t)
{
    if (t->store != t->whole)
        wf_store_close(t->store);
    if (t->splits)
        wf_store_close(t->validation);
    t->store = t->whole;
    t->validation = t->splits ? NULL : t->validation;
    t->splits = false;
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

/* Takes the held-out pictures out of the store. A store too small for one has none. */
static int split_store(wf_trainer *t)
{
    int percent = t->options->held_out;
    WF_CHECK(percent <= 50, WF_USAGE, "%d%% of the pictures cannot be held out, at most 50%%", percent);
    if (!percent || wf_store_count(t->whole) * percent < 100)
        return WF_OK;
    WF_TRY(wf_store_open_part(t->whole, percent, WF_PART_HELD_OUT, &t->validation));
    t->splits = true;
    WF_TRY(wf_store_open_part(t->whole, percent, WF_PART_TRAINED, &t->store));
    t->held_out_count = wf_store_count(t->validation);
    if (!t->held_out_count || !wf_store_count(t->store)) { /* indices with gaps may do this */
        close_parts(t);
        t->held_out_count = 0;
    }
    return WF_OK;
}

static int create_optimizer(wf_trainer *t)
{
    const wf_train_options *o = t->options;
    const wf_flow *flow = t->runner.flow, *noise = t->runner.dequantizer.flow;
    WF_TRY(wf_optimizer_create(t->backend, o->optimizer, wf_level_runner_size(&t->runner), o->ema, &t->optimizer));
    t->runner.params = t->optimizer.w;
    WF_TRY(wf_optimizer_add_matrices(&t->optimizer, flow, 0));
    return noise ? wf_optimizer_add_matrices(&t->optimizer, noise, wf_flow_size(flow)) : WF_OK;
}

/* Measures what is given. WF_DATA unless each picture of the store has a row. */
static int measure_given(wf_trainer *t)
{
    const wf_given *g = t->options->given;
    if (!g)
        return WF_OK;
    WF_CHECK(g->rows == wf_store_count(t->whole), WF_DATA, "%s: %lld rows, but there are %lld pictures to train on",
             g->name, (long long)g->rows, (long long)wf_store_count(t->whole));
    WF_CHECK(!t->validation, WF_USAGE,
             "--given: its rows are of the pictures to train on, so --val must be a part of these");
    WF_TRY(wf_given_measure(g, &t->given));
    wf_given_hash(g, t->given_hash);
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
    WF_TRY(wf_parallel_divide(t));
    int rows = t->parallel.rows;
    WF_TRY(wf_minibatch_create(t->store, o->level, rows, t->patch, t->margin, o->flip, o->seed, &t->batches));
    wf_minibatch_take(&t->batches, t->parallel.first, o->batch);
    WF_CHECK(!o->dequantize || !t->batches.weight, WF_USAGE,
             "dequantize: noise outside of a patch's middle has no weight: give --margin 0");
    WF_TRY(wf_parallel_choose_precision(t, t->batches.H, t->batches.W));
    wf_level_spec spec = wf_level_spec_for(t->meta, o->level, t->chain, o->dequantize, o->precision);
    spec.given = t->given;
    for (int n = 0; n < rows; n++)
        t->slots[n] = (uint64_t)(t->parallel.first + n);
    WF_TRY(wf_level_runner_create(t->backend, t->meta, &spec, rows, t->batches.H, t->batches.W, o->memory, &t->runner));
    t->runner.given = o->given;
    t->runner.pictures = t->batches.index;
    WF_TRY(use_weight(t));
    WF_TRY(create_optimizer(t));
    WF_TRY(wf_parallel_prepare(t));
    return wf_validation_prepare(t, &spec);
}

/* last: t->seconds at the last checkpoint. */
static bool checkpoint_due(const wf_trainer *t, double last)
{
    int64_t every = t->options->checkpoint_every;
    return every ? t->step % every == 0 : t->seconds - last >= CHECKPOINT_SECONDS;
}

/* Saves the state, whose weights are those of all ranks. Without validation it also publishes the latest weights as the
 * model. */
static int checkpoint(wf_trainer *t)
{
    WF_TRY(wf_parallel_expect_equal(t));
    if (!t->validation)
        WF_TRY(wf_trainer_publish(t));
    return wf_trainer_save(t);
}

static int validate_and_notify(wf_trainer *t, double *last, wf_train_report *report, void *user)
{
    double start = t->seconds;
    WF_TRY(wf_validate(t));
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
        WF_TRY(wf_step_begin(t));
    t->step++;
    bool log = t->step % LOG_EVERY == 0;
    bool validation = wf_validation_due(t, *validated), save = checkpoint_due(t, *checkpointed);
    bool between = !validation && wf_epochs_are_over(t), queued = t->backend->queued && !t->parallel.ranks;
    bool pause = log || validation || between || save || !queued || wf_run_fraction(t) >= 1;
    WF_TRY(wf_steps_wait(t, pause ? 0 : 1, &bad));
    if (!t->parallel.ranks) /* else the step has brought the clock of rank 0 */
        wf_trainer_count_seconds(t);
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
    if (t->parallel.rank)
        return WF_OK;
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
        WF_TRY(wf_steps_wait(t, 0, &bad));
        if (!bad)
            break;
        WF_TRY(skip_batch(t));
        notify(t, report, user, WF_TRAIN_SKIPPED);
    }
    t->finished = has_ended(t);
    /* the clock ended the run, or a kill came before the validation */
    if (t->finished && wf_validation_due(t, validated))
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
    if (!t->parallel.rank)
        wf_sweep(t->model->path, prefix);
    WF_TRY(wf_parallel_compare(t));
    WF_TRY(measure_given(t));
    WF_TRY(wf_parallel_settle(t));
    WF_TRY(split_store(t));
    if (t->validation)
        snprintf(t->validation_id, sizeof t->validation_id, "%.16s/%lld", wf_store_hash(t->validation),
                 (long long)wf_validation_count(t));
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
                      /* a model of fields has their unit */
                      .meta = wf_store_meta(store)->bits ? wf_store_meta(store) : &model->meta,
                      .held_out = NAN,
                      .best = NAN,
                      .validated_at = -1,
                      .round_trip = {NAN, NAN},
                      .recent_bpd = NAN};
    t->options = &t->settled;
    wf_parallel_open(t, options->ranks);
    WF_GO(wf_model_file(model, options->level, ".lock", lock_path));
    WF_GO(wf_model_file(model, options->level, ".state.safetensors", t->state_path));
    WF_GO(wf_model_file(model, options->level, ".jsonl", t->log_path));
    snprintf(who, sizeof who, "trainer of level %d", options->level);
    WF_GO(wf_parallel_lock(t, lock_path, who, &lock));
    status = train_locked(t, report, user);
    if (t->log) {
        int closed = wf_close(t->log, t->log_path);
        status = status ? status : closed;
    }
    wf_steps_drop(t);
    wf_capture_clear(backend, &t->capture);
    wf_evaluator_clear(&t->evaluator);
    wf_level_runner_clear(&t->runner);
    wf_parallel_clear(t);
    t->backend->free(t->backend, t->weight);
    wf_minibatch_clear(&t->batches);
    wf_optimizer_clear(&t->optimizer);
    close_parts(t);
    if (!t->parallel.rank)
        wf_unlock(lock);
out:
    free(t);
    return status;
}
