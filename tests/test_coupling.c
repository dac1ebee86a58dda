/* test_coupling.c - every transform of couplings in single precision: near the identity at first, invertible, and
 * finite for any input */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "../kernels/backend.h"

static const wf_transform transforms[] = {
#define ROW(KIND, name) {.kind = WF_TRANSFORM_##KIND, .count = 4, .degree = 2, .bound = 3},
    WF_TRANSFORMS(ROW)};

enum { ROWS = sizeof transforms / sizeof *transforms };

static double uniform(void)
{
    return 2 * (rand() / (double)RAND_MAX) - 1;
}

/* One picture of `n` pixels with one transformed channel, on the CPU. */
typedef struct bench {
    wf_backend *b;
    wf_coupling c;
    int n, m;
    float *x, *y, *back, *theta, *g, *dtheta;
    double there, and_back;
} bench;

static float *floats(wf_backend *b, int n)
{
    void *memory;
    cr_assert_eq(b->alloc(b, (size_t)n * sizeof(float), &memory), 0);
    return memory;
}

static bench open_bench(int row, int n)
{
    bench t = {.n = n, .m = wf_transform_parameters(&transforms[row])};
    cr_assert_eq(wf_cpu_open(1, &t.b), 0, "%s", wf_error());
    t.c = (wf_coupling){1, n, 1, 0, 1, WF_EVERY_PIXEL, transforms[row]};
    t.x = floats(t.b, n);
    t.y = floats(t.b, n);
    t.back = floats(t.b, n);
    t.g = floats(t.b, n);
    t.theta = floats(t.b, n * t.m);
    t.dtheta = floats(t.b, n * t.m);
    return t;
}

static void close_bench(bench *t)
{
    float *all[] = {t->x, t->y, t->back, t->g, t->theta, t->dtheta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        t->b->free(t->b, all[i]);
    t->b->close(t->b);
}

#define R(p) ((wf_real *)(p))

static void there_and_back(bench *t)
{
    t->there = t->and_back = 0;
    cr_assert_eq(t->b->transform_forward(t->b, &t->c, 1, R(t->x), R(t->theta), NULL, R(t->y), &t->there), 0);
    cr_assert_eq(t->b->transform_inverse(t->b, &t->c, 1, R(t->y), R(t->theta), R(t->back), &t->and_back), 0);
}

/* Within 0.3, for inputs of a standard normal's range. */
Test(coupling, parameters_of_zero_are_near_the_identity)
{
    for (int row = 0; row < ROWS; row++) {
        bench t = open_bench(row, 41);
        for (int i = 0; i < t.n; i++)
            t.x[i] = 0.1f * (float)(i - 20);
        for (int i = 0; i < t.n * t.m; i++)
            t.theta[i] = 0;
        there_and_back(&t);
        for (int i = 0; i < t.n; i++)
            cr_expect_lt(fabsf(t.y[i] - t.x[i]), 0.3f, "kind %d: %g becomes %g", row, (double)t.x[i], (double)t.y[i]);
        cr_expect_lt(fabs(t.there), 0.3 * t.n);
        close_bench(&t);
    }
}

/* Inputs are normal, parameters within +-1. The bound is single precision where the derivative is at least 1/20. */
Test(coupling, there_and_back_again)
{
    for (int row = 0; row < ROWS; row++) {
        bench t = open_bench(row, 4000);
        float worst = 0;
        for (int i = 0; i < t.n; i++)
            t.x[i] = (float)(1.5 * (uniform() + uniform() + uniform()));
        for (int i = 0; i < t.n * t.m; i++)
            t.theta[i] = (float)uniform();
        there_and_back(&t);
        for (int i = 0; i < t.n; i++)
            worst = fmaxf(worst, fabsf(t.back[i] - t.x[i]) / (1 + fabsf(t.x[i])));
        cr_expect_lt(worst, 2e-5f, "kind %d: %g", row, (double)worst);
        cr_expect_lt(fabs(t.there + t.and_back) / t.n, 1e-5, "kind %d: log-determinants %g and %g", row, t.there,
                     t.and_back);
        close_bench(&t);
    }
}

/* Parameters are normal with deviation 3, as a training that goes astray leaves them. No transform is so flat anywhere
 * that single precision cannot invert it: the bound is that of the least slope, 1/100, and for mixtures, which end in
 * an affine map with log-scales down to -5, of exp(-5)/100. */
Test(coupling, there_and_back_with_large_parameters)
{
    for (int row = 0; row < ROWS; row++) {
        bench t = open_bench(row, 100000);
        float worst = 0, most = transforms[row].kind == WF_TRANSFORM_MIXLOGISTIC ? 1e-2f : 1e-4f;
        for (int i = 0; i < t.n; i++)
            t.x[i] = (float)(1.5 * (uniform() + uniform() + uniform()));
        for (int i = 0; i < t.n * t.m; i++)
            t.theta[i] = (float)(3 * sqrt(-2 * log(0.5 + 0.4999999 * uniform())) * cos(acos(-1) * uniform()));
        there_and_back(&t);
        for (int i = 0; i < t.n; i++)
            worst = fmaxf(worst, fabsf(t.back[i] - t.x[i]) / (1 + fabsf(t.x[i])));
        cr_expect_lt(worst, most, "kind %d: %g", row, (double)worst);
        close_bench(&t);
    }
}

static void expect_finite(const float *x, int n, const char *what, int row)
{
    for (int i = 0; i < n; i++)
        cr_assert(isfinite(x[i]), "kind %d: %s[%d] is %g", row, what, i, (double)x[i]);
}

Test(coupling, finite_whatever_comes)
{
    static const float ends[] = {0, 1e-30f, 1, 3, 3.0000002f, 8, 100, 1e4f}, sizes[] = {1, 5, 30};
    for (int row = 0; row < ROWS; row++) {
        bench t = open_bench(row, 16 * 100);
        for (int s = 0; s < 3; s++) {
            for (int i = 0; i < t.n; i++)
                t.x[i] = i % 2 ? -ends[i / 2 % 8] : ends[i / 2 % 8];
            for (int i = 0; i < t.n * t.m; i++)
                t.theta[i] = sizes[s] * (float)uniform();
            there_and_back(&t);
            expect_finite(t.y, t.n, "y", row);
            expect_finite(t.back, t.n, "x", row);
            cr_expect(isfinite(t.there) && isfinite(t.and_back), "kind %d: %g, %g", row, t.there, t.and_back);
            for (int inverse = 0; inverse < 2; inverse++) {
                for (int i = 0; i < t.n; i++)
                    t.g[i] = 1;
                cr_assert_eq(
                    inverse ? t.b->transform_inverse_backward(t.b, &t.c, 1, R(t.x), R(t.theta), R(t.g), 1, R(t.dtheta))
                            : t.b->transform_backward(t.b, &t.c, 1, R(t.x), R(t.theta), NULL, R(t.g), 1, R(t.dtheta)),
                    0);
                expect_finite(t.g, t.n, "gradient", row);
                expect_finite(t.dtheta, t.n * t.m, "gradient by theta", row);
            }
        }
        close_bench(&t);
    }
}
