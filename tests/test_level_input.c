/* test_level_input.c - the noise that a flow sees: its mean and its variance at every level, of every kind of signal
 *
 * A constant signal has the same pixel v everywhere: its averages are v, its details 0, so that all else that a level's input
 * holds is dequantization noise. Uniform noise on a pixel has mean 1/2 and variance 1/12. A pixel of level l averages
 * m = 2^(d (n-l)) of them, in d dimensions and below n levels: its variance is 1/(12 m), which an orthonormal step hands on
 * to the details of that level. The low-pass, one level further down, has 1/(12 2^d m). The input is in units of
 * 2^bits pixels, pictures around 0. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/model/level_input.h"

enum { SAMPLES = 1 << 18, VALUE = 77 };

static const wf_meta picture = {.levels = 5, .top = 5, .H = 32, .W = 32, .C = 3, .bits = 8};
static const wf_meta deep = {.levels = 3, .top = 3, .H = 32, .W = 32, .C = 1, .bits = 12};
static const wf_meta sound = {.levels = 6, .top = 6, .H = 1, .W = 64, .C = 2, .bits = 8, .signal = WF_SOUND};
static const wf_meta volume = {.levels = 3, .top = 3, .D = 8, .H = 64, .W = 8, .C = 1, .bits = 8, .signal = WF_VOLUME};

typedef struct moments {
    double mean, variance;
} moments;

/* Of device x [n], in pixel units. */
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

/* Of SAMPLES numbers, the standard error of the mean is 0.2 % of the deviation, that of the variance 0.28 % or less. */
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
    wf_feed f;
    for (size_t i = 0; i < lows; i++)
        low[i] = VALUE;
    for (int n = 0; n < N; n++)
        index[n] = (uint64_t)n;
    cr_assert_eq(wf_feed_create(b, meta, level, N, s.H, s.W, &f), 0, "%s", wf_error());
    cr_assert_eq(wf_feed_load(&f, N, low, detail, index, &(wf_random){5, WF_PURPOSE_NOISE, 3}), 0, "%s", wf_error());
    double variance = 1 / (12 * pow(per_pixel, meta->levels - level));
    double mean = VALUE + 0.5 - (1 << meta->bits) / 2.0;
    if (level) {
        expect_noise(meta, level, "detail", moments_of(b, meta, wf_feed_x(&f), details), 0, variance);
        expect_noise(meta, level, "low", moments_of(b, meta, wf_feed_cond(&f), lows), mean, variance / per_pixel);
    } else {
        expect_noise(meta, level, "base", moments_of(b, meta, wf_feed_x(&f), lows), mean, variance);
    }
    wf_feed_clear(&f);
    free(index);
    free(detail);
    free(low);
}

static void check_levels(const wf_meta *of, const char *wavelet)
{
    wf_backend *b;
    wf_meta meta = *of;
    strcpy(meta.wavelet, wavelet);
    cr_assert_eq(wf_backend_open("cpu", 1, &b), 0, "%s", wf_error());
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
