/* test_signal.c - signals of one and three axes: shapes, bits per dimension, and noise */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/pyramid/meta_text.h"
#include "../lib/model/level.h"
#include "../lib/model/level_input.h"

static const wf_meta sound = {
    .wavelet = "haar", .levels = 3, .top = 3, .H = 1, .W = 40, .C = 2, .bits = 8, .signal = WF_SOUND, .rate = 8000};
static const wf_meta volume = {
    .wavelet = "haar", .levels = 2, .top = 2, .D = 4, .H = 48, .W = 8, .C = 1, .bits = 8, .signal = WF_VOLUME};

static bool is_shape(wf_level_shape s, int H, int W, int C, int K)
{
    return s.H == H && s.W == W && s.C == C && s.K == K;
}

Test(signal, levels)
{
    char text[WF_SIZE_TEXT];
    cr_expect(is_shape(wf_meta_level(&sound, 3), 1, 20, 2, 2) && is_shape(wf_meta_level(&sound, 0), 1, 5, 2, 2));
    cr_expect(is_shape(wf_meta_level(&volume, 2), 12, 4, 1, 7) && is_shape(wf_meta_level(&volume, 0), 3, 2, 1, 1));
    cr_expect_eq(wf_meta_slices(&volume, 2), 2);
    cr_expect_str_eq(wf_meta_shape_text(&volume, text), "4x12x8x1");
    cr_expect_str_eq(wf_meta_level_text(&volume, 2, text), "2x6x4x7");
    cr_expect_str_eq(wf_meta_shape_text(&sound, text), "40x2");
}

static const char *lookup(const void *user, const char *key)
{
    const wf_meta_text *text = user;
    for (int i = 0; i < text->count; i++)
        if (!strcmp(text->pairs[i].key, key))
            return text->pairs[i].value;
    return NULL;
}

Test(signal, metadata_come_back)
{
    const wf_meta *all[] = {&sound, &volume};
    for (int i = 0; i < 2; i++) {
        wf_meta_text text;
        wf_meta back, other = *all[i];
        wf_meta_format(all[i], &text);
        cr_assert_eq(wf_meta_parse(lookup, &text, "text", &back), 0, "%s", wf_error());
        cr_expect_eq(wf_meta_match(&back, "text", all[i], "it"), 0, "%s", wf_error());
        cr_expect(back.D == all[i]->D && back.rate == all[i]->rate);
        wf_meta_clear(&back);
        other.rate = i ? 0 : 44100;
        other.D = i ? 2 : 0;
        cr_expect_eq(wf_meta_match(&other, "other", all[i], "it"), WF_DATA);
    }
    cr_expect_eq(wf_meta_match(&sound, "sound", &volume, "volume"), WF_DATA);
}

Test(signal, refuses)
{
    wf_meta bad[5] = {sound, sound, volume, volume, volume};
    bad[0].H = 2;       /* a sound of two rows */
    bad[1].levels = 4;  /* 40 is not divided by 16 */
    bad[2].D = 5;       /* 48 rows in 5 slices */
    bad[3].levels = 3;  /* 4 slices cannot be halved 3 times */
    bad[4].rate = 8000; /* of a volume */
    for (int i = 0; i < 5; i++)
        cr_expect_eq(wf_meta_check(&bad[i], "bad"), WF_DATA, "%d", i);
}

/* If only the volume that coefficients fill is known, their density is uniform, and bits per dimension are `bits`. */
Test(signal, bits_are_those_of_a_uniform)
{
    const wf_meta *all[] = {&sound, &volume};
    for (int i = 0; i < 2; i++) {
        const wf_meta *m = all[i];
        double total = 0;
        for (int l = 0; l <= m->levels; l++) {
            wf_level_shape s = wf_meta_level(m, l);
            double D = (double)s.H * s.W * s.K, d = wf_axes(m->signal), above = m->levels - l;
            total += wf_bits_per_dim(
                m, l, D * above * d / 2 * log(2)); /* volume factor of the DWT: orthonormal, then 2^(-d/2) */
        }
        cr_expect_float_eq(total, m->bits, 1e-12, "%g", total);
    }
}

/* -- noise ------------------------------------------------------------------------------------------------------------- */

typedef struct moments {
    double mean, variance, least, most;
} moments;

static moments moments_of(wf_backend *b, const wf_real *x, size_t n, double scale, double offset)
{
    double *v = malloc(n * sizeof *v);
    moments m = {.least = INFINITY, .most = -INFINITY};
    cr_assert_eq(b->download(b, v, WF_F64, x, n), 0);
    for (size_t i = 0; i < n; i++) {
        v[i] = v[i] * scale + offset;
        m.mean += v[i] / (double)n;
        m.least = fmin(m.least, v[i]);
        m.most = fmax(m.most, v[i]);
    }
    for (size_t i = 0; i < n; i++)
        m.variance += (v[i] - m.mean) * (v[i] - m.mean) / (double)n;
    free(v);
    return m;
}

/* In pixel units, L levels below the pixels: variance 1/12 over the number of pixels of a coefficient, and 2^d less in
 * the average. With Haar an average of uniforms stays within their range. */
static void check_noise(wf_backend *b, const wf_meta *meta, int level)
{
    enum { N = 64 };
    wf_level_input f;
    wf_level_shape s = wf_meta_level(meta, level);
    size_t lows = N * (size_t)s.H * (size_t)s.W * (size_t)s.C, details = N * (size_t)s.H * (size_t)s.W * (size_t)s.K;
    float *zero = calloc(lows + details, sizeof *zero);
    uint64_t index[N];
    wf_random random = {.seed = 5, .purpose = WF_PURPOSE_EVAL, .step = 3};
    for (int n = 0; n < N; n++)
        index[n] = (uint64_t)n;
    cr_assert_eq(wf_level_input_create(b, meta, level, N, s.H, s.W, &f), 0, "%s", wf_error());
    cr_assert_eq(wf_level_input_load(&f, N, zero, level ? zero : NULL, index, &random), 0, "%s", wf_error());
    double steps = 1 << meta->bits, bands = wf_axes(meta->signal);
    double detail = 1 / 12.0 / pow(2, bands * (meta->levels - level)), low = level ? detail / pow(2, bands) : detail;
    moments m = moments_of(b, level ? wf_level_input_cond(&f) : wf_level_input_x(&f), lows, steps, steps / 2);
    double tolerance = 5 * sqrt(2.0 / (double)lows);
    cr_expect_float_eq(m.variance / low, 1, tolerance, "%s, level %d: low %g", meta->wavelet, level, m.variance / low);
    cr_expect_float_eq(m.mean, 0.5, 5 * sqrt(low / (double)lows));
    if (!strcmp(meta->wavelet, "haar"))
        cr_expect(m.least > 0 && m.most < 1, "level %d: from %g to %g", level, m.least, m.most);
    if (level) {
        m = moments_of(b, wf_level_input_x(&f), details, steps, 0);
        cr_expect_float_eq(m.variance / detail, 1, 5 * sqrt(2.0 / (double)details), "%s, level %d: detail %g",
                           meta->wavelet, level, m.variance / detail);
        cr_expect_float_eq(m.mean, 0, 5 * sqrt(detail / (double)details));
    }
    cr_assert_eq(wf_level_input_load(&f, N, zero, level ? zero : NULL, index, NULL), 0, "%s", wf_error());
    m = moments_of(b, level ? wf_level_input_cond(&f) : wf_level_input_x(&f), lows, steps, steps / 2);
    cr_expect(fabs(m.least - 0.5) < 1e-4 && fabs(m.most - 0.5) < 1e-4, "without noise %g to %g", m.least, m.most);
    wf_level_input_clear(&f);
    free(zero);
}

Test(signal, noise)
{
    static const char *const wavelets[] = {"haar", "db2", "sym4"};
    wf_meta long_sound = sound;
    long_sound.W = 64;
    long_sound.levels = long_sound.top = 6;
    const wf_meta *all[] = {&long_sound, &volume};
    for (int cpu = 0; cpu < 2; cpu++) {
        wf_backend *b;
        cr_assert_eq(wf_backend_open(cpu ? "cpu" : "ref", 1, &b), 0, "%s", wf_error());
        for (int i = 0; i < 2; i++)
            for (int w = 0; w < 3; w++) {
                wf_meta meta = *all[i];
                strcpy(meta.wavelet, wavelets[w]);
                for (int l = 0; l <= meta.levels; l++)
                    check_noise(b, &meta, l);
            }
        b->close(b);
    }
}
