/* test_level_input.c - the noise that a flow sees: its mean and its variance at every level, of every kind of signal
 *
 * A constant signal has averages v and details 0, so that the rest of a level's input is dequantization noise. Uniform
 * noise on a pixel has mean 1/2 and variance 1/12. With n levels in d dimensions, a pixel of level l averages
 * m = 2^(d (n-l)) pixels of the signal: its noise has variance 1/(12 m). The orthonormal step from there keeps this
 * variance in the details of level l. The low-pass is one level further down and has 1/(12 2^d m). */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/model/evaluate.h"
#include "../lib/pyramid/pyramid.h"

enum { SAMPLES = 1 << 18, VALUE = 77 };

static const wf_meta picture = {.levels = 5, .top = 5, .H = 32, .W = 32, .C = 3, .bits = 8};
static const wf_meta deep = {.levels = 3, .top = 3, .H = 32, .W = 32, .C = 1, .bits = 12};
static const wf_meta sound = {.levels = 6, .top = 6, .H = 1, .W = 64, .C = 2, .bits = 8, .signal = WF_SOUND};
static const wf_meta volume = {.levels = 3, .top = 3, .D = 8, .H = 64, .W = 8, .C = 1, .bits = 8, .signal = WF_VOLUME};

static wf_backend *open_cpu(void)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open("cpu", 1, &b), 0, "%s", wf_error());
    return b;
}

typedef struct moments {
    double mean, variance;
} moments;

/* Moments of device x [n], in pixel units. */
static moments moments_of(wf_backend *b, const wf_meta *meta, const wf_real *x, size_t n)
{
    double *v = malloc(n * sizeof *v), unit = 1 << meta->bits;
    moments m = {0};
    cr_assert_eq(b->download(b, v, WF_F64, x, n), 0, "%s", wf_error());
    for (size_t i = 0; i < n; i++)
        m.mean += unit * v[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        m.variance += (unit * v[i] - m.mean) * (unit * v[i] - m.mean) / (double)n;
    free(v);
    return m;
}

/* SAMPLES numbers give the mean within 0.2 % of the deviation, and the variance within 0.28 % (standard errors). */
static void expect_noise(const wf_meta *meta, int level, const char *part, moments have, double mean, double variance)
{
    cr_expect_float_eq(have.mean, mean, 0.01 * sqrt(variance), "%s, %s, level %d, %s: mean %g, want %g +- %g",
                       wf_signal_names[meta->signal], meta->wavelet, level, part, have.mean, mean,
                       0.01 * sqrt(variance));
    cr_expect_float_eq(have.variance / variance, 1, 0.01, "%s, %s, level %d, %s: variance %g, want %g +- 1 %%",
                       wf_signal_names[meta->signal], meta->wavelet, level, part, have.variance, variance);
}

static void check_level(wf_backend *b, const wf_meta *meta, int level)
{
    wf_level_shape s = wf_meta_level(meta, level);
    int per_pixel = 1 << wf_axes(meta->signal), N = (SAMPLES - 1) / (s.H * s.W * s.C) + 1;
    size_t lows = (size_t)N * (size_t)(s.H * s.W * s.C), details = (size_t)N * (size_t)(s.H * s.W * s.K);
    float *low = malloc(lows * sizeof *low), *detail = level ? calloc(details, sizeof *detail) : NULL;
    uint64_t *index = malloc((size_t)N * sizeof *index);
    wf_level_input f;
    for (size_t i = 0; i < lows; i++)
        low[i] = VALUE;
    for (int n = 0; n < N; n++)
        index[n] = (uint64_t)n;
    cr_assert_eq(wf_level_input_create(b, meta, level, N, s.H, s.W, &f), 0, "%s", wf_error());
    cr_assert_eq(wf_level_input_load(&f, N, low, detail, index, &(wf_random){5, WF_PURPOSE_NOISE, 3}), 0, "%s",
                 wf_error());
    double variance = 1 / (12 * pow(per_pixel, meta->levels - level));
    double mean = VALUE + 0.5 - (1 << meta->bits) / 2.0;
    if (level) {
        expect_noise(meta, level, "detail", moments_of(b, meta, wf_level_input_x(&f), details), 0, variance);
        expect_noise(meta, level, "low", moments_of(b, meta, wf_level_input_cond(&f), lows), mean,
                     variance / per_pixel);
    } else {
        expect_noise(meta, level, "base", moments_of(b, meta, wf_level_input_x(&f), lows), mean, variance);
    }
    wf_level_input_clear(&f);
    free(index);
    free(detail);
    free(low);
}

static void check_levels(const wf_meta *of, const char *wavelet)
{
    wf_backend *b = open_cpu();
    wf_meta meta = *of;
    strcpy(meta.wavelet, wavelet);
    for (int level = 0; level <= meta.levels; level++)
        check_level(b, &meta, level);
    b->close(b);
}

Test(level_input, noise_of_constant_pictures)
{
    check_levels(&picture, "haar");
    check_levels(&deep, "haar");
    check_levels(&picture, "db2");
}

Test(level_input, noise_of_constant_sounds)
{
    check_levels(&sound, "haar");
    check_levels(&sound, "db2");
}

Test(level_input, noise_of_constant_volumes)
{
    check_levels(&volume, "haar");
    check_levels(&volume, "db2");
}

/* -- the density of noisy coefficients ----------------------------------------------------------------------------- */

/* White noise of deviation 1 around the middle grey [N,side,side,3]. At every level its coefficients deviate 3.5 times
 * as much as the dequantization noise. */
static float *faint_pictures(int N, int side)
{
    size_t n = (size_t)N * (size_t)side * (size_t)side * 3;
    float *v = malloc(n * sizeof *v);
    double *r = malloc(n * sizeof *r);
    wf_init_normal(12, 0, 1, r, n);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(128 + round(r[i]));
    free(r);
    return v;
}

/* A level under a fixed flow. Its actnorms are set from data, which makes the flow as steep in its input as the data
 * allow. */
typedef struct steep_level {
    wf_level_input feed;
    wf_flow *flow;
    void *params;
} steep_level;

static void steep_create(wf_backend *b, const wf_meta *meta, int level, int N, const float *low, const float *detail,
                         steep_level *out)
{
    wf_level_shape s = wf_meta_level(meta, level);
    wf_flow_spec spec = {N, s.H, s.W, s.K, level ? s.C : 0, 3, WF_FP32, WF_MEMORY_NONE, WF_PICTURE, 0, 0, 0};
    uint64_t index[64] = {0};
    cr_assert_eq(wf_flow_create(b, "2*(actnorm, conv1x1, affine:width=8:blocks=1), actnorm", &spec, &out->flow), 0,
                 "%s", wf_error());
    cr_assert_eq(wf_level_input_create(b, meta, level, N, s.H, s.W, &out->feed), 0);
    size_t n = wf_flow_size(out->flow);
    double *v = malloc(2 * n * sizeof *v);
    cr_assert_eq(b->alloc(b, n * b->real, &out->params), 0);
    cr_assert_eq(wf_flow_init(out->flow, 2, out->params), 0);
    cr_assert_eq(b->download(b, v, WF_F64, out->params, n), 0);
    wf_init_normal(9, 0, 0.05, v + n, n);
    for (size_t i = 0; i < n; i++)
        v[i] += v[n + i];
    cr_assert_eq(b->upload(b, out->params, v, WF_F64, n), 0);
    free(v);
    cr_assert_eq(wf_level_input_load(&out->feed, N, low, detail, index, NULL), 0);
    cr_assert_eq(
        wf_flow_data_init(out->flow, out->params, wf_level_input_x(&out->feed), wf_level_input_cond(&out->feed)), 0);
}

static void steep_clear(wf_backend *b, steep_level *l)
{
    wf_flow_destroy(l->flow);
    wf_level_input_clear(&l->feed);
    b->free(b, l->params);
}

/* Bits per coefficient [N] of level `at` of the pyramid's pictures. */
static void steep_bits(steep_level *l, wf_pyramid *pyramid, int at, const uint64_t *index, const wf_random *random,
                       double *bits)
{
    const float *low, *detail;
    const wf_meta *meta = l->feed.meta;
    wf_level_shape s = wf_meta_level(meta, at);
    double share = (double)meta->H * meta->W * meta->C / (s.H * s.W * s.K);
    cr_assert_eq(wf_pyramid_level(pyramid, at, &low, &detail), 0);
    cr_assert_eq(wf_level_input_load(&l->feed, l->feed.N, low, detail, index, random), 0);
    cr_assert_eq(wf_flow_forward(l->flow, l->params, wf_level_input_x(&l->feed), wf_level_input_cond(&l->feed)), 0);
    cr_assert_eq(wf_flow_log_density(l->flow, bits), 0);
    for (int i = 0; i < l->feed.N; i++)
        bits[i] = share * wf_bits_per_dim(meta, at, bits[i]);
}

/* Noise on the pixels, taken to all levels by the DWT, has the distribution of the noise that each level draws for
 * itself: the bits/dim of a fixed flow agree in the mean. A steep flow shows a wrong variance. The last check makes
 * sure that the test would see missing noise. */
Test(level_input, each_level_sees_its_share_of_the_noise, .timeout = 120)
{
    enum { N = 64, SIDE = 32, LEVELS = 5, ROUNDS = 40 };
    wf_backend *b = open_cpu();
    const wf_meta meta = {.wavelet = "haar", .levels = 5, .top = 5, .H = SIDE, .W = SIDE, .C = 3, .bits = 8};
    size_t each = (size_t)SIDE * SIDE * 3;
    float *pixels = faint_pictures(N, SIDE), *noisy = malloc(N * each * sizeof *noisy);
    wf_pyramid *clean, *dirty;
    uint64_t index[N], state = 1;
    double ours[N], theirs[N];
    steep_level levels[LEVELS + 1];
    wf_mean gap[LEVELS + 1] = {{0}}, without[LEVELS + 1] = {{0}};
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &clean), 0);
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &dirty), 0);
    cr_assert_eq(wf_pyramid_split(clean, N, pixels, 0), 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < N * each; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            noisy[i] =
                pixels[i] + (float)((double)(state >> 11) * 0x1p-53) - 0.5f; /* the level input adds the mean, 1/2 */
        }
        cr_assert_eq(wf_pyramid_split(dirty, N, noisy, 0), 0);
        for (int i = 0; i < N; i++)
            index[i] = (uint64_t)(round * N + i);
        for (int l = 0; l <= LEVELS; l++) {
            const float *low, *detail;
            cr_assert_eq(wf_pyramid_level(dirty, l, &low, &detail), 0);
            if (!round)
                steep_create(b, &meta, l, N, low, detail, &levels[l]);
            steep_bits(&levels[l], dirty, l, index, NULL, theirs);
            steep_bits(&levels[l], clean, l, index, &(wf_random){3, WF_PURPOSE_EVAL, (uint64_t)l}, ours);
            for (int i = 0; i < N; i++)
                wf_mean_add(&gap[l], ours[i] - theirs[i]);
            steep_bits(&levels[l], clean, l, index, NULL, ours);
            for (int i = 0; i < N; i++)
                wf_mean_add(&without[l], ours[i] - theirs[i]);
        }
    }
    for (int l = 0; l <= LEVELS; l++) {
        double error = wf_mean_error(&gap[l]);
        cr_expect_lt(fabs(gap[l].mean), 4 * error, "level %d: bits per coefficient differ by %g +- %g", l, gap[l].mean,
                     error);
        cr_expect_lt(without[l].mean, -6 * error, "level %d: without noise %g +- %g", l, without[l].mean, error);
        steep_clear(b, &levels[l]);
    }
    wf_pyramid_destroy(clean);
    wf_pyramid_destroy(dirty);
    b->close(b);
    free(pixels);
    free(noisy);
}

/* The mean of m uniforms has excess kurtosis -1.2/m. Its entropy differs from that of a normal of the same variance by
 * (excess kurtosis)^2 / 48 nats to leading order. */
Test(level_input, the_normal_stands_in_only_where_it_is_as_good)
{
    double m = 256, bits = (1.2 / m) * (1.2 / m) / 48 / log(2);
    cr_expect_lt(bits, 1e-4);
    /* the fourth moment of drawn noise, up to the first count for which the backends draw normals */
    wf_backend *b = open_cpu();
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
