/* test_train.c - bits per dimension in closed form, and the promises of a training: exact resume, checks, skips */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "../lib/model/evaluate.h"
#include "../lib/pyramid/pyramid.h"
#include "../lib/sample/sample.h"
#include "../lib/train/train.h"
#include "../lib/base/safetensors.h"
#include "../lib/train/optimizer.h"
#include "training.h"

/* A chain of actnorms, initialized from one batch, is a product of normals fitted to the batch. The batch's own
 * bits/dim then has a closed form: -log p = sum over coefficients of 1/2 log(2 pi e variance). */
static void check_gaussians(const char *chain)
{
    enum { N = 64, SIDE = 8, LEVEL = 3 };
    wf_backend *b = open_backend("ref");
    wf_meta meta = square(SIDE, LEVEL);
    wf_level_shape s = wf_meta_level(&meta, LEVEL);
    size_t each = (size_t)(s.H * s.W), n = N * each;
    float *pixels = pictures(N, SIDE);
    const float *low, *detail;
    wf_pyramid *pyramid;
    wf_level_input feed;
    wf_flow *flow;
    uint64_t index[N];
    double *x = malloc(n * 9 * sizeof *x), density[N], mean = 0, want = 0;
    void *params;
    for (int i = 0; i < N; i++)
        index[i] = (uint64_t)i;
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &pyramid), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_split(pyramid, N, pixels, LEVEL), 0);
    cr_assert_eq(wf_pyramid_level(pyramid, LEVEL, &low, &detail), 0);
    cr_assert_eq(wf_level_input_create(b, &meta, LEVEL, N, s.H, s.W, &feed), 0);
    cr_assert_eq(wf_level_input_load(&feed, N, low, detail, index, &(wf_random){5, WF_PURPOSE_NOISE, 0}), 0);
    cr_assert_eq(b->download(b, x, WF_F64, wf_level_input_x(&feed), n * 9), 0);
    for (int k = 0; k < 9; k++) {
        double m = 0, v = 0;
        for (size_t i = 0; i < n; i++)
            m += x[i * 9 + (size_t)k] / (double)n;
        for (size_t i = 0; i < n; i++)
            v += (x[i * 9 + (size_t)k] - m) * (x[i * 9 + (size_t)k] - m) / (double)n;
        want += (double)each * 0.5 * log(2 * acos(-1) * exp(1) * v);
    }
    /* the top level has no level above it: only the scale of 8 bits remains */
    want = (want + 8 * log(2) * (double)each * 9) / (log(2) * SIDE * SIDE * 3);

    wf_flow_spec spec = {N, s.H, s.W, 9, 3, 3, WF_FP32, WF_MEMORY_NONE, WF_PICTURE, 0, 0, 0};
    cr_assert_eq(wf_flow_create(b, chain, &spec, &flow), 0, "%s", wf_error());
    cr_assert_eq(b->alloc(b, wf_flow_size(flow) * b->real, &params), 0);
    cr_assert_eq(b->zero(b, params, wf_flow_size(flow) * b->real), 0);
    cr_assert_eq(wf_flow_data_init(flow, params, wf_level_input_x(&feed), wf_level_input_cond(&feed)), 0, "%s",
                 wf_error());
    cr_assert_eq(wf_flow_forward(flow, params, wf_level_input_x(&feed), wf_level_input_cond(&feed)), 0);
    cr_assert_eq(wf_flow_log_density(flow, density), 0);
    for (int i = 0; i < N; i++)
        mean += wf_bits_per_dim(&meta, LEVEL, density[i]) / N;
    cr_expect_float_eq(mean, want, 1e-9, "%s: %.12f, closed form %.12f", chain, mean, want);
    wf_pyramid_destroy(pyramid);
    wf_level_input_clear(&feed);
    wf_flow_destroy(flow);
    b->free(b, params);
    b->close(b);
    free(pixels);
    free(x);
}

Test(train, independent_gaussians_have_their_closed_form)
{
    check_gaussians("actnorm");
    check_gaussians("actnorm, actnorm");
}

/* -- the loop ------------------------------------------------------------------------------------------------------ */

static void expect_same_file(const char *a, const char *b)
{
    char command[1100];
    snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
    cr_expect_eq(system(command), 0, "%s and %s differ", a, b);
}

/* Expects the log to name `name` as the worst conditioned bijector. */
static void expect_worst(const char *log, const char *name)
{
    char command[1100];
    snprintf(command, sizeof command, "grep -q '\"condition\": [0-9.]*e+.*\"worst\": \"%s\"' '%s'", name, log);
    cr_expect_eq(system(command), 0, "%s does not name %s", log, name);
}

/* Makes the first conv1x1 of a saved training nearly singular: row 2 becomes row 1 plus a millionth of row 2. */
static void plant_singular(wf_backend *b, const char *state, const char *chain)
{
    wf_flow_spec shape = {.N = 1, .K = 9, .C = 3, .kernel = 3, .memory = WF_MEMORY_NONE};
    wf_safetensors st = {0};
    wf_flow *flow;
    char name[64];
    const wf_param *param;
    size_t where;
    int i = 0;
    cr_assert_eq(wf_flow_create(b, chain, &shape, &flow), 0, "%s", wf_error());
    while (wf_flow_param(flow, i, name, &param, &where) && strcmp(name, "001.conv1x1.w"))
        i++;
    cr_assert_eq(wf_safetensors_load(state, &st), 0, "%s", wf_error());
    for (int v = 0; v < 2; v++) {
        float *w = (float *)wf_safetensors_find(&st, v ? "ema" : "w")->data + where;
        for (int k = 0; k < 9; k++)
            w[9 + k] = w[k] + 1e-6f * w[9 + k];
    }
    cr_assert_str_eq(st.metadata[st.pairs - 1].key, "checksum"); /* saving computes a new one */
    cr_assert_eq(wf_safetensors_save(state, st.tensors, st.count, st.metadata, st.pairs - 1), 0, "%s", wf_error());
    wf_safetensors_clear(&st);
    wf_flow_destroy(flow);
}

/* Status of opening level 2 of the model for sampling; *most: the round trip error in its file. */
static int sample_level(wf_backend *b, const char *folder, double *most)
{
    wf_model model;
    wf_level level;
    wf_sampler sampler;
    cr_assert_eq(wf_model_open(folder, &model), 0, "%s", wf_error());
    cr_assert_eq(wf_level_load(&model, 2, b, &level), 0, "%s", wf_error());
    *most = level.round_trip.most;
    cr_expect_leq(level.round_trip.mean, *most);
    wf_level_clear(&level);
    int status = wf_sampler_create(&model, 2, b, 2, 2, &sampler);
    wf_sampler_clear(&sampler);
    wf_model_clear(&model);
    return status;
}

Test(train, a_flow_that_cannot_be_undone_is_not_sampled, .timeout = 60)
{
    scratch_make();
    wf_backend *b = open_backend("cpu");
    char store[512], sound[512], planted[512];
    strcpy(store, scratch_path("store"));
    strcpy(sound, scratch_path("sound"));
    strcpy(planted, scratch_path("planted"));
    store_planes(b, store, 40, 8, 3);
    wf_train_options o = small_options(2);
    o.steps = o.validate_every = 10;
    o.lr = 1e-12; /* weights do not change */
    run whole = {0}, begun = {.stop_at = 5}, rest = {0};
    double most;
    cr_assert_eq(train(b, sound, store, &o, &whole), 0, "%s", wf_error());
    cr_expect_eq(sample_level(b, sound, &most), 0, "%s", wf_error());
    cr_expect(most > 0 && most < 1e-4, "round trip %g", most);

    cr_expect_eq(train(b, planted, store, &o, &begun), WF_AGAIN);
    plant_singular(b, scratch_path("planted/level-02.state.safetensors"), o.chain);
    cr_assert_eq(train(b, planted, store, &o, &rest), 0, "%s", wf_error());
    cr_expect_eq(sample_level(b, planted, &most), WF_INTERNAL, "round trip %g", most);
    cr_expect_gt(most, 1e-2);
    cr_expect(strstr(wf_error(), "level 2: cannot be inverted"), "%s", wf_error());
    expect_worst(scratch_path("planted/level-02.jsonl"), "001.conv1x1");
    b->close(b);
    scratch_remove();
}

static const char *level_path(const char *folder, int level)
{
    static char paths[2][64];
    static int turn;
    char *path = paths[turn++ % 2];
    snprintf(path, sizeof paths[0], "%s/level-%02d.safetensors", folder, level);
    return path;
}

/* A training of one level of a pyramid of `levels`, interrupted twice, gives the bytes of an uninterrupted one. */
static void interrupt_twice(wf_train_options o, int levels)
{
    scratch_make();
    wf_backend *b = open_backend("cpu");
    char store[512], whole[512], parts[512];
    strcpy(store, scratch_path("store"));
    strcpy(whole, scratch_path("whole"));
    strcpy(parts, scratch_path("parts"));
    store_planes(b, store, 40, 8, levels);
    run never = {0}, once = {.stop_at = 17}, twice = {.stop_at = 40}, again = {0};
    cr_assert_eq(train(b, whole, store, &o, &never), 0, "%s", wf_error());
    cr_expect_lt(never.last, never.first, "training does not lower the held-out bits/dim");
    cr_expect_eq(train(b, parts, store, &o, &once), WF_AGAIN);
    cr_expect_eq(train(b, parts, store, &o, &twice), WF_AGAIN);
    cr_expect_eq(train(b, parts, store, &o, &again), 0, "%s", wf_error());
    expect_same_file(scratch_path(level_path("whole", o.level)), scratch_path(level_path("parts", o.level)));

    /* another seed would give other weights: the same folder refuses it */
    o.seed = 9;
    cr_expect_eq(train(b, parts, store, &o, &again), WF_DATA);
    cr_expect(strstr(wf_error(), "--seed was 0, now 9;"), "%s", wf_error());
    b->close(b);
    scratch_remove();
}

/* With every optimizer. */
Test(train, interrupted_twice_is_bitwise_the_same, .timeout = 120)
{
    const wf_optimizer_type *type;
    wf_train_options o = small_options(2);
    for (int i = 0; (type = wf_optimizer_row(i)); i++) {
        o.optimizer = type->name;
        interrupt_twice(o, 3);
    }
}

Test(train, so_it_is_with_noise_that_is_learnt, .timeout = 120)
{
    wf_train_options o = small_options(0);
    o.dequantize = "affine:mask=checker:width=4:blocks=1, affine:mask=checker:swap=1:width=4:blocks=1, actnorm";
    interrupt_twice(o, 0);
}

/* A level of details and the base, with exact probabilities of whole numbers. */
Test(train, so_it_is_with_whole_numbers, .timeout = 120)
{
    wf_train_options o = small_options(2);
    o.chain = "cond:channels=2:width=4:blocks=1, lattice:components=3:width=8:blocks=1:phases=2";
    interrupt_twice(o, 3);
    o.level = 0;
    interrupt_twice(o, 3);
}

Test(train, non_finite_batches_never_reach_the_weights, .timeout = 120)
{
    scratch_make();
    wf_backend *b = open_backend("cpu");
    char store[512], folder[512];
    strcpy(store, scratch_path("store"));
    strcpy(folder, scratch_path("model"));
    store_planes(b, store, 40, 8, 3);
    wf_train_options o = small_options(2);
    run r = {0};
    o.lr = 1000; /* diverges within a few steps, whichever batches are skipped */
    o.warmup = 0;
    o.steps = 400;
    o.validate_every = 10000;
    cr_expect_eq(train(b, folder, store, &o, &r), WF_INTERNAL, "exit with '%s' after %d skipped", wf_error(),
                 r.skipped);
    cr_expect_gt(r.skipped, 10);
    /* the state on disk is finite: the training can go on from it */
    wf_safetensors st = {0};
    cr_assert_eq(wf_safetensors_load(scratch_path("model/level-02.state.safetensors"), &st), 0, "%s", wf_error());
    for (int i = 0; i < st.count; i++)
        for (size_t j = 0; st.tensors[i].dtype == WF_F32 && j < st.tensors[i].bytes / 4; j++)
            cr_assert(isfinite(((float *)st.tensors[i].data)[j]), "%s[%zu]", st.tensors[i].name, j);
    wf_safetensors_clear(&st);
    b->close(b);
    scratch_remove();
}

/* The decay rises from 0.1, so that the average of a short training does not consist of its first weights. */
Test(train, average_forgets_the_start)
{
    wf_backend *b = open_backend("ref");
    wf_optimizer o;
    cr_assert_eq(wf_optimizer_create(b, NULL, 1, 0.99, &o), 0, "%s", wf_error());
    wf_optimizer_begin(&o, 0, 1e-3);
    cr_expect_float_eq(o.rule.decay, 0.1, 1e-12);
    wf_optimizer_begin(&o, 89, 1e-3);
    cr_expect_float_eq(o.rule.decay, 90 / 99.0, 1e-12);
    wf_optimizer_begin(&o, 100000, 1e-3);
    cr_expect_float_eq(o.rule.decay, 0.99, 1e-12);
    wf_optimizer_clear(&o);
    b->close(b);
}
