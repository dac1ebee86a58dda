/* test_train_numbers.c - what a training computes, against numbers: noise, learning rate, average, a batch left out */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "../lib/base/safetensors.h"
#include "../lib/model/evaluate.h"
#include "../lib/train/minibatch.h"
#include "training.h"

enum { LOG_EVERY = 50 };

TestSuite(numbers, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

/* Returns the number behind "key" in the log's line of `step`, NAN if the log has none. */
static double logged(const char *path, int64_t step, const char *key)
{
    char line[512], start[40], name[40];
    double value = NAN;
    FILE *log = fopen(path, "r");
    cr_assert(log, "%s", path);
    snprintf(start, sizeof start, "{\"step\": %lld,", (long long)step);
    snprintf(name, sizeof name, "\"%s\": ", key);
    while (fgets(line, sizeof line, log)) {
        const char *at = strncmp(line, start, strlen(start)) ? NULL : strstr(line, name);
        if (at)
            value = atof(at + strlen(name));
    }
    fclose(log);
    return value;
}

static int lines_with(const char *path, const char *text)
{
    char line[512];
    int count = 0;
    FILE *log = fopen(path, "r");
    cr_assert(log, "%s", path);
    while (fgets(line, sizeof line, log))
        count += strstr(line, text) != NULL;
    fclose(log);
    return count;
}

/* -- noise --------------------------------------------------------------------------------------------------------- */

static void store_constants(wf_backend *b, const char *path, int N, int side, int levels)
{
    wf_meta meta = square(side, levels);
    size_t n = (size_t)N * (size_t)side * (size_t)side * 3;
    float *pixels = malloc(n * sizeof *pixels);
    for (size_t i = 0; i < n; i++)
        pixels[i] = 77;
    store_pictures(b, path, &meta, N, pixels);
    free(pixels);
}

/* Bits/dim of a level of constant pictures under normals as wide as the level's noise. Noise k levels below the
 * pictures has variance 1/(12 4^k) square pixels; a coefficient has log p = -1/2 log(2 pi e variance). */
static double noise_bits(int side, int levels, int level)
{
    wf_meta meta = square(side, levels);
    wf_level_shape s = wf_meta_level(&meta, level);
    double variance = 1 / (12 * pow(4, levels - level)) / (256 * 256);
    return wf_bits_per_dim(&meta, level, -0.5 * s.H * s.W * s.K * log(2 * acos(-1) * exp(1) * variance));
}

/* Trains normals on constant pictures. Without noise the normals would shrink without limit. */
static void check_noise(const char *name, int side, int levels, int level, int patch, int context)
{
    wf_backend *b = open_backend("cpu");
    char store[512];
    strcpy(store, scratch_path("store"));
    store_constants(b, store, 64, side, levels);
    wf_train_options o = wf_train_defaults;
    wf_meta meta = square(side, levels);
    wf_level_shape s = wf_meta_level(&meta, level);
    run r = {0};
    o.level = level;
    o.chain = "actnorm";
    o.batch = 512;
    o.steps = 3 * LOG_EVERY;
    o.lr = 3e-3;
    o.warmup = 0;
    o.patch = patch;
    o.margin = context;
    double want = noise_bits(side, levels, level), share = (double)s.H * s.W * s.K / (side * side * 3);
    cr_assert_eq(train(b, scratch_path(name), store, &o, &r), 0, "%s", wf_error());
    cr_expect_float_eq(r.bpd, want, 0.02 * share, "level %d, %s: %g bits/dim of batches, want %g", level, name, r.bpd,
                       want);
    cr_expect_float_eq(r.last, want, 0.15 * share, "level %d, %s: %g bits/dim held out, want %g", level, name, r.last,
                       want);
    for (int step = LOG_EVERY; step <= o.steps; step += LOG_EVERY) {
        char path[64];
        snprintf(path, sizeof path, "%s/level-%02d.jsonl", name, level);
        double bits = logged(scratch_path(path), step, "bpd");
        cr_expect_float_eq(bits, want, 0.1 * share, "level %d, %s: %g bits/dim in the log, want %g", level, name, bits,
                           want);
    }
    b->close(b);
    scratch_remove();
    scratch_make();
}

Test(numbers, training_adds_each_levels_noise)
{
    for (int level = 0; level <= 3; level++)
        check_noise("whole", 8, 3, level, 0, 0);
}

/* The log and the progress scale the bits of patches up to the whole level. */
Test(numbers, bits_of_patches_are_those_of_the_level)
{
    check_noise("patch", 16, 2, 2, 4, 0);
    check_noise("context", 16, 2, 2, 4, 1);
}

/* Mean bits/dim of a trained level over the first `count` pictures of a store, without noise. */
static double bits_without_noise(wf_backend *b, const char *folder, const char *store_path, int at, int count)
{
    wf_store *store;
    wf_model model;
    wf_level level;
    wf_level_input input;
    wf_flow *flow;
    float low[64], detail[192];
    double bits = 0, density;
    uint64_t index;
    cr_assert_eq(wf_store_open(store_path, &store), 0, "%s", wf_error());
    cr_assert_eq(wf_model_open(folder, &model), 0, "%s", wf_error());
    cr_assert_eq(wf_level_load(&model, at, b, &level), 0, "%s", wf_error());
    wf_level_shape s = wf_meta_level(&model.meta, at);
    cr_assert_leq(s.H * s.W * s.C, 64);
    cr_assert_eq(wf_level_flow(&level.spec, b, 1, s.H, s.W, WF_MEMORY_NONE, &flow), 0, "%s", wf_error());
    cr_assert_eq(wf_level_input_create(b, &model.meta, at, 1, s.H, s.W, &input), 0, "%s", wf_error());
    for (int i = 0; i < count; i++) {
        cr_assert_eq(wf_store_get(store, at, i, low, detail, &index), 0, "%s", wf_error());
        cr_assert_eq(wf_level_input_load(&input, 1, low, detail, &index, NULL), 0, "%s", wf_error());
        cr_assert_eq(wf_flow_forward(flow, level.params, wf_level_input_x(&input), wf_level_input_cond(&input)), 0);
        cr_assert_eq(wf_flow_log_density(flow, &density), 0);
        bits += wf_bits_per_dim(&model.meta, at, density) / count;
    }
    wf_level_input_clear(&input);
    wf_flow_destroy(flow);
    wf_level_clear(&level);
    wf_model_clear(&model);
    wf_store_close(store);
    return bits;
}

/* Noise costs bits: a trained level needs fewer bits/dim for coefficients without noise. */
Test(numbers, held_out_bits_are_those_of_noisy_pictures)
{
    wf_backend *b = open_backend("cpu");
    wf_train_options o = small_options(3);
    run r = {0};
    store_planes(b, scratch_path("store"), 40, 8, 3);
    cr_assert_eq(train(b, scratch_path("model"), scratch_path("store"), &o, &r), 0, "%s", wf_error());
    double without = bits_without_noise(b, scratch_path("model"), scratch_path("store"), 3, 40);
    cr_expect_gt(r.last - without, 0.01, "%g bits/dim held out, %g without noise", r.last, without);
    b->close(b);
}

/* -- the learning rate --------------------------------------------------------------------------------------------- */

static wf_train_options tiny_options(void)
{
    wf_train_options o = wf_train_defaults;
    o.level = 0;
    o.chain = "actnorm";
    o.batch = 4;
    o.validate_every = 1 << 20;
    return o;
}

static int stop_there(void *user, wf_train_event event, const wf_train_progress *p)
{
    return event == WF_TRAIN_STEP && p->step == *(int64_t *)user;
}

typedef struct schedule {
    int64_t steps, warmup;
    double lr, decay;
    double at[4]; /* rates at steps 50, 100, 150 and 200; 0: not asked */
} schedule;

/* The rate in the log is the next step's. */
static void check_schedule(wf_backend *b, const schedule *want, int number)
{
    int64_t last = 0;
    char name[32], path[64];
    wf_train_options o = tiny_options();
    o.steps = want->steps;
    o.warmup = want->warmup;
    o.decay = want->decay;
    o.lr = want->lr > 0 ? want->lr : o.lr;
    for (int i = 0; i < 4; i++)
        last = want->at[i] != 0 ? LOG_EVERY * (i + 1) : last;
    snprintf(name, sizeof name, "rate%d", number);
    snprintf(path, sizeof path, "rate%d/level-00.jsonl", number);
    int status =
        train_beside(b, scratch_path(name), scratch_path("store"), scratch_path("store"), &o, stop_there, &last);
    cr_assert_eq(status, WF_AGAIN, "%s", wf_error());
    for (int i = 0; i < 4; i++) {
        double have = logged(scratch_path(path), LOG_EVERY * (i + 1), "lr");
        cr_expect(want->at[i] == 0 || fabs(have / want->at[i] - 1) < 0.005, "schedule %d, step %d: rate %g, want %g",
                  number, LOG_EVERY * (i + 1), have, want->at[i]);
    }
}

Test(numbers, learning_rate)
{
    static const schedule all[] = {
        /* the default rate: no warm-up, no fall */
        {.steps = 400, .warmup = 0, .at = {1e-3, 1e-3, 1e-3, 1e-3}},
        /* warm-up over 120 of 400 steps; a fall over the last 0.75 of them, which begins at step 100 */
        {.steps = 400,
         .warmup = 120,
         .lr = 2e-3,
         .decay = 0.75,
         .at = {2e-3 * 51 / 120, 2e-3 * 101 / 120, 2e-3 * 250 / 300, 2e-3 * 200 / 300}},
        /* the default warm-up: a twentieth of 3,000 steps, or 125,000 steps where there is no limit */
        {.steps = 3000, .warmup = -1, .at = {1e-3 * 50 / 150, 1e-3 * 100 / 150, 1e-3, 1e-3}},
        {.steps = 0, .warmup = -1, .at = {1e-3 * 51 / 125000, 1e-3 * 101 / 125000}},
    };
    wf_backend *b = open_backend("cpu");
    store_planes(b, scratch_path("store"), 16, 2, 1);
    for (int i = 0; i < (int)(sizeof all / sizeof *all); i++)
        check_schedule(b, &all[i], i);
    b->close(b);
}

/* Reads a vector [count] of level 0's state in `folder`. */
static void read_state(const char *folder, const char *key, int count, double *out)
{
    char path[64];
    wf_safetensors st = {0};
    snprintf(path, sizeof path, "%s/level-00.state.safetensors", folder);
    cr_assert_eq(wf_safetensors_load(scratch_path(path), &st), 0, "%s", wf_error());
    const wf_tensor *t = wf_safetensors_find(&st, key);
    cr_assert(t && t->dtype == WF_F32 && t->shape[0] == count);
    for (int i = 0; i < count; i++)
        out[i] = ((const float *)t->data)[i];
    wf_safetensors_clear(&st);
}

enum { PARAMETERS = 6 }; /* of an actnorm of three channels */

static void weights_after_a_step(wf_backend *b, const char *name, double lr, int64_t warmup, double *out)
{
    int64_t one = 1;
    wf_train_options o = tiny_options();
    o.lr = lr;
    o.warmup = warmup;
    cr_assert_eq(
        train_beside(b, scratch_path(name), scratch_path("store"), scratch_path("store"), &o, stop_there, &one),
        WF_AGAIN);
    read_state(name, "w", PARAMETERS, out);
}

/* The first step of Adamax moves every parameter by rate * sqrt(1 - beta2), where 1 - beta2 = 1/782. */
Test(numbers, the_first_step_moves_by_the_rate)
{
    double still[PARAMETERS], whole[PARAMETERS], tenth[PARAMETERS], unit = 1e-2 * sqrt(1 / 782.0);
    wf_backend *b = open_backend("cpu");
    store_planes(b, scratch_path("store"), 16, 2, 1);
    weights_after_a_step(b, "still", 1e-12, 0, still);
    weights_after_a_step(b, "whole", 1e-2, 0, whole);
    weights_after_a_step(b, "tenth", 1e-2, 10, tenth);
    for (int i = 0; i < PARAMETERS; i++) {
        cr_expect_float_eq(fabs(whole[i] - still[i]) / unit, 1, 0.01);
        cr_expect_float_eq(fabs(tenth[i] - still[i]) / unit, 0.1, 0.001);
    }
    b->close(b);
}

/* -- the moving average -------------------------------------------------------------------------------------------- */

typedef struct averaging {
    double w[PARAMETERS], ema[PARAMETERS], held_out;
    int64_t step;
} averaging;

/* Checks after each step t = 1, 2 .. that ema = d ema + (1 - d) w, with d = min(0.6, t / (t + 9)). */
static int follow(void *user, wf_train_event event, const wf_train_progress *p)
{
    averaging *a = user;
    double ema[PARAMETERS], d = fmin(0.6, (double)p->step / ((double)p->step + 9));
    if (event == WF_TRAIN_VALIDATED)
        a->held_out = p->held_out;
    if (event != WF_TRAIN_STEP || p->step == a->step)
        return 0;
    read_state("model", "w", PARAMETERS, a->w);
    read_state("model", "ema", PARAMETERS, ema);
    for (int i = 0; i < PARAMETERS; i++) {
        double want = d * a->ema[i] + (1 - d) * a->w[i];
        if (p->step > 1)
            cr_expect_float_eq(ema[i], want, 1e-6 * fmax(1, fabs(want)), "step %lld: average %.9g, want %.9g",
                               (long long)p->step, ema[i], want);
        a->ema[i] = ema[i];
    }
    a->step = p->step;
    return 0;
}

/* Mean bits/dim of level 0 of the store under an actnorm of these parameters. */
static double bits_under(wf_backend *b, const double *parameters)
{
    wf_store *store;
    wf_evaluator e;
    float low[16 * 3];
    uint64_t index[16];
    double bits[16], mean = 0;
    void *params;
    cr_assert_eq(wf_store_open(scratch_path("store"), &store), 0, "%s", wf_error());
    const wf_meta *meta = wf_store_meta(store);
    wf_level_spec spec = wf_level_spec_for(meta, 0, "actnorm", NULL, WF_FP32);
    cr_assert_eq(b->alloc(b, PARAMETERS * b->real, &params), 0);
    cr_assert_eq(b->upload(b, params, parameters, WF_F64, PARAMETERS), 0);
    cr_assert_eq(wf_evaluator_create(b, meta, &spec, params, 0, &e), 0, "%s", wf_error());
    for (int i = 0; i < 16; i++)
        cr_assert_eq(wf_store_get(store, 0, i, low + 3 * i, NULL, &index[i]), 0, "%s", wf_error());
    cr_assert_eq(wf_evaluator_run(&e, 16, low, NULL, index, bits), 0, "%s", wf_error());
    for (int i = 0; i < 16; i++)
        mean += bits[i] / 16;
    wf_evaluator_clear(&e);
    b->free(b, params);
    wf_store_close(store);
    return mean;
}

static double furthest(const double *a, const double *b)
{
    double most = 0;
    for (int i = 0; i < PARAMETERS; i++)
        most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

/* The average follows its recurrence. Held-out bits are the average's and not the weights'. A level is loaded with the
 * average. */
Test(numbers, the_average_is_validated_and_loaded)
{
    wf_backend *b = open_backend("cpu");
    averaging a = {0};
    wf_model model;
    wf_level level;
    double loaded[PARAMETERS];
    store_planes(b, scratch_path("store"), 16, 2, 1);
    wf_train_options o = tiny_options();
    o.steps = 40;
    o.lr = 5;
    o.warmup = 0;
    o.ema = 0.6;
    o.checkpoint_every = 1;
    cr_assert_eq(train_beside(b, scratch_path("model"), scratch_path("store"), scratch_path("store"), &o, follow, &a),
                 0, "%s", wf_error());
    cr_assert_eq(a.step, 40);
    cr_assert_gt(furthest(a.w, a.ema), 1e-3, "weights and average are too near one another to tell");
    cr_assert_gt(fabs(bits_under(b, a.w) - bits_under(b, a.ema)), 1e-4);
    cr_expect_float_eq(a.held_out, bits_under(b, a.ema), 1e-9, "held out %.9g, the average's bits/dim are %.9g",
                       a.held_out, bits_under(b, a.ema));
    cr_assert_eq(wf_model_open(scratch_path("model"), &model), 0, "%s", wf_error());
    cr_assert_eq(wf_level_load(&model, 0, b, &level), 0, "%s", wf_error());
    cr_assert_eq(level.size, PARAMETERS);
    cr_assert_eq(b->download(b, loaded, WF_F64, level.params, PARAMETERS), 0);
    cr_expect_eq(furthest(loaded, a.ema), 0, "what was loaded is not the average");
    wf_level_clear(&level);
    wf_model_clear(&model);
    b->close(b);
}

/* -- patience ------------------------------------------------------------------------------------------------------ */

static int count_validations(void *user, wf_train_event event, const wf_train_progress *p)
{
    int64_t *counts = user; /* validations, and the step of the last event */
    counts[0] += event == WF_TRAIN_VALIDATED;
    counts[1] = p->step;
    return 0;
}

/* A rate of 1e-12 changes no weight, so that the first validation stays the best. The run ends `patience` validations
 * later. */
Test(numbers, patience_counts_validations)
{
    wf_backend *b = open_backend("cpu");
    store_planes(b, scratch_path("store"), 16, 2, 1);
    wf_train_options o = tiny_options();
    o.lr = 1e-12;
    o.ema = 0;
    o.steps = 100;
    o.validate_every = 5;
    for (o.patience = 1; o.patience <= 3; o.patience++) {
        char name[32];
        int64_t counts[2] = {0};
        snprintf(name, sizeof name, "patience%d", o.patience);
        cr_assert_eq(train_beside(b, scratch_path(name), scratch_path("store"), scratch_path("store"), &o,
                                  count_validations, counts),
                     0, "%s", wf_error());
        cr_expect_eq(counts[0], 1 + o.patience, "patience %d: %lld validations", o.patience, (long long)counts[0]);
        cr_expect_eq(counts[1], 5 * (1 + o.patience), "patience %d: ended at step %lld", o.patience,
                     (long long)counts[1]);
    }
    b->close(b);
}

/* -- a batch left out ---------------------------------------------------------------------------------------------- */

enum { PICTURES = 40, BATCH = 4, BAD_STEP = 6 };

/* A store whose first epoch has one bad batch, BAD_STEP: a picture in it is so bright that its density overflows. */
static void store_one_bad(wf_backend *b, const char *path)
{
    wf_meta meta = square(8, 3);
    size_t each = 8 * 8 * 3;
    float *pixels = pictures(PICTURES, 8);
    size_t bad = (size_t)wf_shuffle(0, 0, PICTURES, BAD_STEP * BATCH + 1);
    for (size_t i = 0; i < each; i++)
        pixels[bad * each + i] *= i % 2 ? 1e30f : -1e30f;
    store_pictures(b, path, &meta, PICTURES, pixels);
    free(pixels);
}

static wf_train_options one_epoch(int64_t checkpoint_every)
{
    wf_train_options o = small_options(3);
    o.batch = BATCH;
    o.steps = PICTURES / BATCH;
    o.validate_every = o.steps;
    o.checkpoint_every = checkpoint_every;
    return o;
}

static void train_one_bad(wf_backend *b, const char *name, int64_t checkpoint_every, int64_t stop_at, run *r)
{
    wf_train_options o = one_epoch(checkpoint_every);
    *r = (run){.stop_at = stop_at};
    int status = train_beside(b, scratch_path(name), scratch_path("bad"), scratch_path("good"), &o, watch, r);
    cr_assert_eq(status, stop_at ? WF_AGAIN : WF_OK, "%s", wf_error());
}

/* Adds BAD_STEP to the batches that a saved training skips. */
static void plant_skip(const char *state)
{
    wf_safetensors st = {0};
    uint64_t step = BAD_STEP;
    cr_assert_eq(wf_safetensors_load(state, &st), 0, "%s", wf_error());
    for (int i = 0; i < st.count; i++)
        if (!strcmp(st.tensors[i].name, "skip")) {
            cr_assert_eq(st.tensors[i].bytes, 0);
            st.tensors[i].shape[0] = 1;
            st.tensors[i].bytes = sizeof step;
            st.tensors[i].data = &step;
        }
    cr_assert_str_eq(st.metadata[st.pairs - 1].key, "checksum"); /* saving computes a new one */
    cr_assert_eq(wf_safetensors_save(state, st.tensors, st.count, st.metadata, st.pairs - 1), 0, "%s", wf_error());
    wf_safetensors_clear(&st);
}

static void expect_same(const char *a, const char *b)
{
    size_t n, m;
    char path[64];
    snprintf(path, sizeof path, "%s/level-03.safetensors", a);
    char *one = scratch_read(scratch_path(path), &n);
    snprintf(path, sizeof path, "%s/level-03.safetensors", b);
    char *two = scratch_read(scratch_path(path), &m);
    cr_expect(one && two && n == m && !memcmp(one, two, n), "levels of %s and %s differ", a, b);
    free(one);
    free(two);
}

/* A training that meets one bad batch skips it and succeeds, with the weights of a training that never met it. */
Test(numbers, one_bad_batch_is_left_out)
{
    wf_backend *b = open_backend("cpu");
    run met, back, told;
    wf_safetensors st = {0};
    store_one_bad(b, scratch_path("bad"));
    store_planes(b, scratch_path("good"), 16, 8, 3);
    train_one_bad(b, "met", 1, 0, &met);
    train_one_bad(b, "back", 4, 0, &back);
    train_one_bad(b, "told", 1, 2, &told);
    cr_expect_eq(told.skipped, 0);
    plant_skip(scratch_path("told/level-03.state.safetensors"));
    train_one_bad(b, "told", 1, 0, &told);
    cr_expect(met.skipped == 1 && back.skipped == 1 && told.skipped == 1);
    cr_expect_eq(lines_with(scratch_path("back/level-03.jsonl"), "\"skipped\""), 1);
    cr_expect_eq(lines_with(scratch_path("back/level-03.jsonl"), "{\"step\": 6, \"skipped\""), 1);
    cr_expect_eq(lines_with(scratch_path("told/level-03.jsonl"), "\"skipped\""), 0);
    cr_assert_eq(wf_safetensors_load(scratch_path("back/level-03.state.safetensors"), &st), 0, "%s", wf_error());
    const wf_tensor *skip = wf_safetensors_find(&st, "skip");
    cr_expect(skip && skip->shape[0] == 1 && *(const uint64_t *)skip->data == BAD_STEP);
    wf_safetensors_clear(&st);
    expect_same("met", "told");
    expect_same("back", "told");
    cr_expect(isfinite(met.last) && met.last == told.last && met.last == back.last);
    b->close(b);
}
