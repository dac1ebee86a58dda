/* test_fields.c - the density of fields is that of a naive computation, in the unit of the data */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "../lib/model/evaluate.h"
#include "../lib/pyramid/pyramid.h"

enum { EXPONENT = 5 };
static const float MEAN = 300.25F;

/* -log p / 4 of a field a b / c d. With Haar x is (a+b+c+d)/4 - mean, and halves of a-b+c-d, a+b-c-d and a-b-c+d,
 * all divided by 2^EXPONENT. The chain makes x normal: z = (x + b) exp(3 l). The determinant of the halving is 1/2,
 * since low is an average. */
static double naive(const float *f, const double *shift, const double *logs)
{
    double unit = pow(2, EXPONENT), a = f[0], b = f[1], c = f[2], d = f[3];
    double x[4] = {(a + b + c + d) / 4 - (double)MEAN, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2};
    double log_p = log(0.5);
    for (int i = 0; i < 4; i++) {
        double z = (x[i] / unit + shift[i]) * exp(3 * logs[i]);
        log_p += -z * z / 2 - log(2 * M_PI) / 2 + 3 * logs[i] - log(unit);
    }
    return -log_p / 4;
}

/* This level's figure of one field under an actnorm with the given numbers [K]. */
static double figure(wf_backend *b, const wf_meta *meta, int level, wf_pyramid *pyramid, const double *shift,
                     const double *logs)
{
    int K = level ? 3 : 1;
    double v[6] = {0}, nats;
    void *params;
    const float *low, *detail;
    wf_evaluator e;
    uint64_t index = 0;
    memcpy(v, shift, (size_t)K * sizeof *v);
    memcpy(v + K, logs, (size_t)K * sizeof *v);
    cr_assert_eq(b->alloc(b, 6 * b->real, &params), 0);
    cr_assert_eq(b->upload(b, params, v, WF_F64, 6), 0);
    wf_level_spec spec = wf_level_spec_for(meta, level, "actnorm", NULL, WF_FP32);
    cr_assert_eq(wf_evaluator_create(b, meta, &spec, params, 5, &e), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_level(pyramid, level, &low, &detail), 0, "%s", wf_error());
    cr_assert_eq(wf_evaluator_run(&e, 1, low, detail, &index, &nats), 0, "%s", wf_error());
    wf_evaluator_clear(&e);
    b->free(b, params);
    return nats;
}

Test(fields, density_is_of_the_unit_of_the_data)
{
    static const float field[4] = {310.5F, 290.25F, 333, 281.125F};
    static const double shift[4] = {0.1, -0.2, 0.3, 0.05}, logs[4] = {0.2, -0.1, 0.15, 0.3};
    static const char *const names[] = {"ref", "cpu"};
    wf_meta meta = {.wavelet = "haar", .levels = 1, .top = 1, .H = 2, .W = 2, .C = 1};
    meta.exponent = EXPONENT;
    meta.mean = MEAN;
    for (int i = 0; i < 2; i++) {
        wf_backend *b;
        wf_pyramid *pyramid;
        cr_assert_eq(wf_backend_open(names[i], 1, &b), 0, "%s", wf_error());
        cr_assert_eq(wf_pyramid_create(b, &meta, 1, &pyramid), 0, "%s", wf_error());
        cr_assert_eq(wf_pyramid_split(pyramid, 1, field, 0), 0, "%s", wf_error());
        double have = figure(b, &meta, 0, pyramid, shift, logs) + figure(b, &meta, 1, pyramid, shift + 1, logs + 1);
        cr_expect_float_eq(have, naive(field, shift, logs), 1e-5, "%s: %g nats/dim, want %g", names[i], have,
                           naive(field, shift, logs));
        wf_pyramid_destroy(pyramid);
        b->close(b);
    }
}
