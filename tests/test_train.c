/* test_train.c - what bits per dimension mean, and what training promises */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "../lib/model/evaluate.h"
#include "../lib/pyramid/pyramid.h"
#include "../lib/sample/sample.h"
#include "../lib/train/train.h"
#include "scratch.h"
#include "../lib/base/safetensors.h"
#include "../lib/train/optimizer.h"

static wf_backend *open_backend(const char *name)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open(name, 1, &b), 0, "%s", wf_error());
    return b;
}

static wf_meta square(int side, int levels)
{
    wf_meta meta = {.wavelet = "haar", .levels = levels, .top = levels, .H = side, .W = side, .C = 3, .bits = 8};
    return meta;
}

/* Smooth 8-bit pictures [N,side,side,3]: a random plane each, so that levels depend on one another. */
static float *pictures(int N, int side)
{
    size_t each = (size_t)side * (size_t)side * 3;
    float *v = malloc((size_t)N * each * sizeof *v);
    double *r = malloc((size_t)N * 8 * sizeof *r);
    wf_init_normal(11, 0, 1, r, (size_t)N * 8);
    for (int n = 0; n < N; n++)
        for (size_t i = 0; i < each; i++) {
            double y = (double)(i / 3 / (size_t)side) / side - 0.5, x = (double)(i / 3 % (size_t)side) / side - 0.5;
            const double *p = r + n * 8;
            double value = 128 + 40 * p[0] + 60 * p[1] * x + 60 * p[2] * y + 15 * p[3 + i % 3] + 40 * p[6] * x * y * 4;
            v[(size_t)n * each + i] = (float)fmin(255, fmax(0, round(value)));
        }
    free(r);
    return v;
}

/* A chain of actnorms, set from one batch, is a product of normals fitted to it: in that batch's own bits/dim everything
 * but the log-variances is a constant, -log p = sum over coefficients of 1/2 log(2 pi e variance). */
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
    /* at the top level nothing is above, so what remains is the scale of 8 bits */
    want = (want + 8 * log(2) * (double)each * 9) / (log(2) * SIDE * SIDE * 3);

    wf_flow_spec spec = {N, s.H, s.W, 9, 3, 3, WF_FP32, WF_MEMORY_NONE, WF_PICTURE, 0};
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

/* A fixed, non-trivial flow for `level`; params are the caller's. */
static wf_flow *fixed_flow(wf_backend *b, const wf_meta *meta, int level, int N, void **params)
{
    wf_level_shape s = wf_meta_level(meta, level);
    wf_flow_spec spec = {N, s.H, s.W, s.K, level ? s.C : 0, 3, WF_FP32, WF_MEMORY_NONE, WF_PICTURE, 0};
    wf_flow *flow;
    cr_assert_eq(wf_flow_create(b, "2*(actnorm, conv1x1, affine:width=8:blocks=1), actnorm", &spec, &flow), 0, "%s",
                 wf_error());
    size_t n = wf_flow_size(flow);
    double *v = malloc(2 * n * sizeof *v);
    cr_assert_eq(b->alloc(b, n * b->real, params), 0);
    cr_assert_eq(wf_flow_init(flow, 2, *params), 0);
    cr_assert_eq(b->download(b, v, WF_F64, *params, n), 0);
    wf_init_normal(9, 0, 0.05, v + n, n);
    for (size_t i = 0; i < n; i++)
        v[i] += v[n + i];
    cr_assert_eq(b->upload(b, *params, v, WF_F64, n), 0);
    free(v);
    return flow;
}

/* Adding uniform noise to the pixels and transforming, or transforming and adding each level's own noise, are the same
 * random variable: the bits/dim of any fixed flow agree in the mean. Twice as many pixels per noise draw or a wrong
 * variance anywhere shows up, since the flow's density is steep in its input. */
Test(train, each_level_sees_its_share_of_the_noise, .timeout = 120)
{
    enum { N = 64, SIDE = 32, LEVELS = 5, ROUNDS = 40 };
    wf_backend *b = open_backend("cpu");
    wf_meta meta = square(SIDE, LEVELS);
    size_t each = (size_t)SIDE * SIDE * 3;
    float *pixels = pictures(N, SIDE), *noisy = malloc(N * each * sizeof *noisy);
    wf_pyramid *clean, *dirty;
    uint64_t index[N], state = 1;
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &clean), 0);
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &dirty), 0);
    cr_assert_eq(wf_pyramid_split(clean, N, pixels, 0), 0);
    wf_mean gap[LEVELS + 1] = {{0}};
    wf_flow *flows[LEVELS + 1];
    wf_level_input feeds[LEVELS + 1];
    void *params[LEVELS + 1];
    for (int l = 0; l <= LEVELS; l++) {
        wf_level_shape s = wf_meta_level(&meta, l);
        flows[l] = fixed_flow(b, &meta, l, N, &params[l]);
        cr_assert_eq(wf_level_input_create(b, &meta, l, N, s.H, s.W, &feeds[l]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < N * each; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            noisy[i] = pixels[i] + (float)((double)(state >> 11) * 0x1p-53) - 0.5f; /* feed adds the mean, 1/2 */
        }
        cr_assert_eq(wf_pyramid_split(dirty, N, noisy, 0), 0);
        for (int i = 0; i < N; i++)
            index[i] = (uint64_t)(round * N + i);
        for (int l = 0; l <= LEVELS; l++) {
            const float *low, *detail;
            double ours[N], theirs[N];
            wf_random random = {3, WF_PURPOSE_EVAL, (uint64_t)l};
            cr_assert_eq(wf_pyramid_level(clean, l, &low, &detail), 0);
            cr_assert_eq(wf_level_input_load(&feeds[l], N, low, detail, index, &random), 0);
            cr_assert_eq(
                wf_flow_forward(flows[l], params[l], wf_level_input_x(&feeds[l]), wf_level_input_cond(&feeds[l])), 0);
            cr_assert_eq(wf_flow_log_density(flows[l], ours), 0);
            cr_assert_eq(wf_pyramid_level(dirty, l, &low, &detail), 0);
            cr_assert_eq(wf_level_input_load(&feeds[l], N, low, detail, index, NULL), 0);
            cr_assert_eq(
                wf_flow_forward(flows[l], params[l], wf_level_input_x(&feeds[l]), wf_level_input_cond(&feeds[l])), 0);
            cr_assert_eq(wf_flow_log_density(flows[l], theirs), 0);
            for (int i = 0; i < N; i++)
                wf_mean_add(&gap[l], wf_bits_per_dim(&meta, l, ours[i]) - wf_bits_per_dim(&meta, l, theirs[i]));
        }
    }
    for (int l = 0; l <= LEVELS; l++) {
        double error = wf_mean_error(&gap[l]);
        cr_expect_lt(error, 1e-4, "level %d: standard error %g is too large to tell", l, error);
        cr_expect_lt(fabs(gap[l].mean), 4 * error + 1e-6, "level %d: bits/dim differ by %g +- %g", l, gap[l].mean,
                     error);
        wf_flow_destroy(flows[l]);
        wf_level_input_clear(&feeds[l]);
        b->free(b, params[l]);
    }
    wf_pyramid_destroy(clean);
    wf_pyramid_destroy(dirty);
    b->close(b);
    free(pixels);
    free(noisy);
}

/* For the mean of m uniforms against the normal of the same variance, as a coefficient of variance m-independent scale
 * sees them: entropies differ by (excess kurtosis)^2 / 48 nats to leading order, kurtosis -1.2/m. */
Test(train, the_normal_stands_in_only_where_it_is_as_good)
{
    double m = 256, bits = (1.2 / m) * (1.2 / m) / 48 / log(2);
    cr_expect_lt(bits, 1e-4);
    /* numerically, at the first count for which the backends switch: fourth moment of drawn noise */
    wf_backend *b = open_backend("cpu");
    enum { N = 64, SIDE = 16 };
    const double *taps = wf_wavelet_find("haar")->taps;
    size_t n = (size_t)N * SIDE * SIDE;
    void *low;
    uint64_t index[N];
    float *v = calloc(n, sizeof *v);
    for (int i = 0; i < N; i++)
        index[i] = (uint64_t)i;
    cr_assert_eq(b->alloc(b, n * b->real, &low), 0);
    for (int uniforms = 1; uniforms <= 256; uniforms *= 4) {
        double mean = 0, variance = 0, fourth = 0;
        memset(v, 0, n * sizeof *v);
        cr_assert_eq(b->upload(b, low, v, WF_F32, n), 0);
        cr_assert_eq(b->dequantize(b, &(wf_random){1, WF_PURPOSE_NOISE, 0}, taps, 2, uniforms, N, SIDE, SIDE, 1, index,
                                   1, low, NULL),
                     0);
        cr_assert_eq(b->download(b, v, WF_F32, low, n), 0);
        for (size_t i = 0; i < n; i++)
            mean += (double)v[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            variance += ((double)v[i] - mean) * ((double)v[i] - mean) / (double)n;
        for (size_t i = 0; i < n; i++)
            fourth += pow((double)v[i] - mean, 4) / (double)n;
        double excess = fourth / (variance * variance) - 3, spread = 5 / sqrt((double)n);
        cr_expect_lt(fabs(mean), 5 * sqrt(1 / 12.0 / uniforms / (double)n), "mean of %d uniforms: %g", uniforms, mean);
        cr_expect_lt(fabs(variance * 12 * uniforms - 1), 2 * spread, "variance of %d uniforms", uniforms);
        cr_expect_lt(fabs(excess + 1.2 / uniforms), 5 * spread, "kurtosis of %d uniforms: %g", uniforms, excess);
    }
    b->free(b, low);
    b->close(b);
    free(v);
}

/* -- the loop ------------------------------------------------------------------------------------------------------- */

static void make_store(wf_backend *b, const char *path, int N, int side, int levels)
{
    wf_meta meta = square(side, levels);
    wf_store_writer *writer;
    wf_pyramid *pyramid;
    int64_t there;
    float *pixels = pictures(N, side);
    uint64_t index[64];
    for (int i = 0; i < N; i++)
        index[i] = (uint64_t)i;
    cr_assert_eq(wf_store_writer_create(path, &meta, false, &writer, &there), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &pyramid), 0);
    cr_assert_eq(wf_pyramid_split(pyramid, N, pixels, 0), 0);
    for (int l = 0; l <= levels; l++) {
        wf_record r = {.level = l, .N = N, .index = index};
        cr_assert_eq(wf_pyramid_level(pyramid, l, &r.low, &r.detail), 0);
        cr_assert_eq(wf_store_writer_put(writer, &r), 0, "%s", wf_error());
    }
    cr_assert_eq(wf_store_writer_seal(writer), 0, "%s", wf_error());
    wf_store_writer_close(writer);
    wf_pyramid_destroy(pyramid);
    free(pixels);
}

typedef struct run {
    int64_t stop_at; /* step at which the report asks to stop, 0: never */
    double first, last;
    int skipped;
} run;

static int watch(void *user, wf_train_event event, const wf_train_progress *p)
{
    run *r = user;
    r->skipped = p->skipped;
    if (event == WF_TRAIN_VALIDATED) {
        r->first = r->first ? r->first : p->held_out;
        r->last = p->held_out;
    }
    return r->stop_at && event == WF_TRAIN_STEP && p->step == r->stop_at;
}

static wf_train_options small_options(int level)
{
    wf_train_options o = wf_train_defaults;
    o.level = level;
    o.chain = "2*(actnorm, conv1x1, affine:width=16:blocks=1), actnorm";
    o.steps = 60;
    o.batch = 16;
    o.warmup = 5;
    o.checkpoint_every = 7;
    o.validate_every = 20;
    o.flip = true;
    return o;
}

static int train(wf_backend *b, const char *folder, const char *store_path, const wf_train_options *o, run *r)
{
    wf_store *store;
    wf_model model;
    cr_assert_eq(wf_store_open(store_path, &store), 0, "%s", wf_error());
    cr_assert_eq(wf_model_create(folder, wf_store_meta(store), &model), 0, "%s", wf_error());
    int status = wf_train(&model, b, store, store, o, watch, r);
    wf_store_close(store);
    wf_model_clear(&model);
    return status;
}

static void expect_same_file(const char *a, const char *b)
{
    char command[1100];
    snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
    cr_expect_eq(system(command), 0, "%s and %s differ", a, b);
}

/* That the log names this as the worst conditioned. */
static void expect_worst(const char *log, const char *name)
{
    char command[1100];
    snprintf(command, sizeof command, "grep -q '\"condition\": [0-9.]*e+.*\"worst\": \"%s\"' '%s'", name, log);
    cr_expect_eq(system(command), 0, "%s does not name %s", log, name);
}

/* Makes the first 1x1 of a saved training all but singular: its second row is the first and a millionth of itself. */
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
    cr_assert_str_eq(st.metadata[st.pairs - 1].key, "checksum"); /* saving makes a new one */
    cr_assert_eq(wf_safetensors_save(state, st.tensors, st.count, st.metadata, st.pairs - 1), 0, "%s", wf_error());
    wf_safetensors_clear(&st);
    wf_flow_destroy(flow);
}

/* Whether level 2 of the model may be sampled, and how far off its file says it is. */
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
    make_store(b, store, 40, 8, 3);
    wf_train_options o = small_options(2);
    o.steps = o.validate_every = 10;
    o.lr = 1e-12; /* weights stay what they are */
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

/* On a pyramid of `levels`. */
static void interrupt_twice(wf_train_options o, int levels)
{
    scratch_make();
    wf_backend *b = open_backend("cpu");
    char store[512], whole[512], parts[512];
    strcpy(store, scratch_path("store"));
    strcpy(whole, scratch_path("whole"));
    strcpy(parts, scratch_path("parts"));
    make_store(b, store, 40, 8, levels);
    run never = {0}, once = {.stop_at = 17}, twice = {.stop_at = 40}, again = {0};
    cr_assert_eq(train(b, whole, store, &o, &never), 0, "%s", wf_error());
    cr_expect_lt(never.last, never.first, "training does not lower the held-out bits/dim");
    cr_expect_eq(train(b, parts, store, &o, &once), WF_AGAIN);
    cr_expect_eq(train(b, parts, store, &o, &twice), WF_AGAIN);
    cr_expect_eq(train(b, parts, store, &o, &again), 0, "%s", wf_error());
    expect_same_file(scratch_path(level_path("whole", o.level)), scratch_path(level_path("parts", o.level)));

    /* another seed gives other weights, so the comparison can fail; the same folder refuses it */
    o.seed = 9;
    cr_expect_eq(train(b, parts, store, &o, &again), WF_DATA);
    cr_expect(strstr(wf_error(), "seed=0"), "%s", wf_error());
    b->close(b);
    scratch_remove();
}

Test(train, interrupted_twice_is_bitwise_the_same, .timeout = 120)
{
    interrupt_twice(small_options(2), 3);
}

Test(train, so_it_is_with_noise_that_is_learnt, .timeout = 120)
{
    wf_train_options o = small_options(0);
    o.dequantize = "affine:mask=checker:width=4:blocks=1, affine:mask=checker:swap=1:width=4:blocks=1, actnorm";
    interrupt_twice(o, 0);
}

Test(train, non_finite_batches_never_reach_the_weights, .timeout = 120)
{
    scratch_make();
    wf_backend *b = open_backend("cpu");
    char store[512], folder[512];
    strcpy(store, scratch_path("store"));
    strcpy(folder, scratch_path("model"));
    make_store(b, store, 40, 8, 3);
    wf_train_options o = small_options(2);
    run r = {0};
    o.lr = 1000; /* blows up within a few steps, whatever is skipped */
    o.warmup = 0;
    o.steps = 400;
    o.validate_every = 10000;
    cr_expect_eq(train(b, folder, store, &o, &r), WF_INTERNAL, "exit with '%s' after %d skipped", wf_error(),
                 r.skipped);
    cr_expect_gt(r.skipped, 10);
    /* what is on disk is still a training that goes on */
    wf_safetensors st = {0};
    cr_assert_eq(wf_safetensors_load(scratch_path("model/level-02.state.safetensors"), &st), 0, "%s", wf_error());
    for (int i = 0; i < st.count; i++)
        for (size_t j = 0; st.tensors[i].dtype == WF_F32 && j < st.tensors[i].bytes / 4; j++)
            cr_assert(isfinite(((float *)st.tensors[i].data)[j]), "%s[%zu]", st.tensors[i].name, j);
    wf_safetensors_clear(&st);
    b->close(b);
    scratch_remove();
}

/* So a short training is judged by what it has learnt, not by where it began. */
Test(train, average_forgets_the_start)
{
    wf_backend *b = open_backend("ref");
    wf_optimizer o;
    cr_assert_eq(wf_optimizer_create(b, 1, 0.99, &o), 0, "%s", wf_error());
    wf_optimizer_begin(&o, 0, 1e-3);
    cr_expect_float_eq(o.rule.decay, 0.1, 1e-12);
    wf_optimizer_begin(&o, 89, 1e-3);
    cr_expect_float_eq(o.rule.decay, 90 / 99.0, 1e-12);
    wf_optimizer_begin(&o, 100000, 1e-3);
    cr_expect_float_eq(o.rule.decay, 0.99, 1e-12);
    wf_optimizer_clear(&o);
    b->close(b);
}
