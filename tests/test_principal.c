/* test_principal.c - eigenvectors, and the conv1x1 that starts at the principal components of the first batch */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/flow/flow.h"
#include "../lib/flow/principal.h"

enum { N = 3, H = 4, W = 5, K = 9, PIXELS = N * H * W };

static wf_backend *ref(void)
{
    static wf_backend *b;
    if (!b)
        cr_assert_eq(wf_backend_open("ref", 1, &b), 0, "%s", wf_error());
    return b;
}

/* -- eigenvectors -------------------------------------------------------------------------------------------------- */

/* Expects the rows of w to be orthonormal, with positive largest elements. */
static void expect_rotation(int n, const double *w)
{
    for (int a = 0; a < n; a++) {
        double largest = 0;
        for (int i = 0; i < n; i++)
            largest = fabs(w[a * n + i]) > fabs(largest) ? w[a * n + i] : largest;
        cr_expect_gt(largest, 0, "row %d", a);
        for (int b = 0; b < n; b++) {
            double dot = 0;
            for (int i = 0; i < n; i++)
                dot += w[a * n + i] * w[b * n + i];
            cr_expect_float_eq(dot, a == b, 1e-12, "rows %d and %d: %g", a, b, dot);
        }
    }
}

/* Element (a, b) of w m w'. */
static double rotated(int n, const double *m, const double *w, int a, int b)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            sum += w[a * n + i] * m[i * n + j] * w[b * n + j];
    return sum;
}

static void check_eigenvectors(int n, const double *m)
{
    double *overwritten = calloc((size_t)(n * n), sizeof *m), *w = calloc((size_t)(n * n), sizeof *m), all = 0;
    memcpy(overwritten, m, (size_t)(n * n) * sizeof *m);
    cr_assert_eq(wf_symmetric_eigenvectors(n, overwritten, w), 0, "%s", wf_error());
    expect_rotation(n, w);
    for (int i = 0; i < n * n; i++)
        all = fmax(all, fabs(m[i]));
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) {
            double value = rotated(n, m, w, a, b), before = rotated(n, m, w, a - (a > 0), a - (a > 0));
            cr_expect(a == b ? value <= before + 1e-12 * all : fabs(value) <= 1e-12 * all, "(%d, %d) of %d: %g", a, b,
                      n, value);
        }
    free(overwritten);
    free(w);
}

Test(principal, eigenvectors)
{
    static const int sizes[] = {1, 2, 3, 9, 48};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int n = sizes[s];
        double *x = calloc((size_t)(n * n), sizeof *x), *m = calloc((size_t)(n * n), sizeof *m);
        check_eigenvectors(n, m); /* zero */
        for (int i = 0; i < n; i++)
            m[i * (n + 1)] = 1;
        check_eigenvectors(n, m);
        wf_init_normal(5, (uint64_t)n, 1, x, (size_t)(n * n));
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                m[i * n + j] = x[i * n + j] + x[j * n + i]; /* eigenvalues of both signs */
        check_eigenvectors(n, m);
        free(x);
        free(m);
    }
    static const double spread[9] = {1e-9, 1e-6, 0, 1e-6, 1, 1e-3, 0, 1e-3, 1e6};
    check_eigenvectors(3, spread);
    static const double known[4] = {2, -1, -1, 2};
    double m[4], w[4], r = sqrt(0.5);
    memcpy(m, known, sizeof m);
    cr_assert_eq(wf_symmetric_eigenvectors(2, m, w), 0);
    cr_expect_float_eq(fabs(w[0] - w[1]), 2 * r, 1e-15);
    cr_expect_float_eq(w[2], r, 1e-15);
    cr_expect_float_eq(w[3], r, 1e-15);
}

/* -- the first matrix of a chain ----------------------------------------------------------------------------------- */

/* Correlated details with means. */
static double *make_details(void)
{
    double *x = calloc(PIXELS * K, sizeof *x), mix[K * K];
    wf_init_normal(3, 1, 1, x, PIXELS * K);
    wf_init_normal(4, 1, 1, mix, K * K);
    for (int i = 0; i < PIXELS; i++) {
        double y[K];
        for (int k = 0; k < K; k++) {
            y[k] = 0.1 * k;
            for (int j = 0; j < K; j++)
                y[k] += mix[k * K + j] * x[i * K + j];
        }
        memcpy(x + i * K, y, sizeof y);
    }
    return x;
}

static wf_real *upload(const double *values, size_t n)
{
    void *memory;
    cr_assert_eq(ref()->alloc(ref(), n * sizeof *values, &memory), 0);
    cr_assert_eq(ref()->upload(ref(), memory, values, WF_F64, n), 0);
    return memory;
}

/* Means over pixels of z [PIXELS,K] and their covariance [K,K]. */
static void covariance_of(const double *z, double *covariance)
{
    double mean[K] = {0};
    memset(covariance, 0, K * K * sizeof *covariance);
    for (int i = 0; i < PIXELS * K; i++)
        mean[i % K] += z[i] / PIXELS;
    for (int i = 0; i < PIXELS; i++)
        for (int a = 0; a < K; a++)
            for (int b = 0; b < K; b++)
                covariance[a * K + b] += (z[i * K + a] - mean[a]) * (z[i * K + b] - mean[b]) / PIXELS;
}

/* Largest element off the diagonal, and whether the diagonal falls. */
static double off_diagonal(const double *covariance, bool *falls)
{
    double most = 0;
    *falls = true;
    for (int a = 0; a < K; a++) {
        for (int b = 0; b < K; b++)
            most = fmax(most, a == b ? 0 : fabs(covariance[a * K + b]));
        *falls &= !a || covariance[a * (K + 1)] <= covariance[(a - 1) * (K + 1)] + 1e-4;
    }
    return most;
}

/* Runs the data-dependent initialization of a chain on details; z: what comes out. moved: some parameter has another
 * value than wf_flow_init gave it. pool may be NULL. */
static void start(const char *chain, const double *x, double *z, bool *moved, wf_pool_moments *pool)
{
    wf_flow_spec spec = {N, H, W, K, 0, 3, WF_FP32, WF_MEMORY_NONE, 0, 0, 0, 0};
    wf_flow *flow;
    cr_assert_eq(wf_flow_create(ref(), chain, &spec, &flow), 0, "%s", wf_error());
    size_t size = wf_flow_size(flow);
    double *before = calloc(size, sizeof *before), *after = calloc(size, sizeof *after);
    wf_real *params = upload(before, size), *dx = upload(x, PIXELS * K);
    wf_flow_pool(flow, pool, NULL);
    cr_assert_eq(wf_flow_init(flow, 9, params), 0, "%s", wf_error());
    cr_assert_eq(ref()->download(ref(), before, WF_F64, params, size), 0);
    cr_assert_eq(wf_flow_data_init(flow, params, dx, NULL), 0, "%s", wf_error());
    cr_assert_eq(ref()->download(ref(), after, WF_F64, params, size), 0);
    *moved = memcmp(before, after, size * sizeof *before) != 0;
    cr_assert_eq(wf_flow_forward(flow, params, dx, NULL), 0, "%s", wf_error());
    cr_assert_eq(ref()->download(ref(), z, WF_F64, wf_flow_latent(flow), PIXELS * K), 0);
    wf_flow_destroy(flow);
    ref()->free(ref(), params);
    ref()->free(ref(), dx);
    free(before);
    free(after);
}

/* Expects a chain that ends behind a conv1x1 to give uncorrelated channels, or not. Its last word is not initialized by
 * data, hence `reverse`, twice. */
static void check_start(const char *chain, bool uncorrelated)
{
    double *x = make_details(), z[PIXELS * K], covariance[K * K];
    bool moved, falls;
    start(chain, x, z, &moved, NULL);
    covariance_of(z, covariance);
    double most = off_diagonal(covariance, &falls);
    cr_expect_eq(most < 1e-4 && falls, uncorrelated, "%s: covariances up to %g", chain, most);
    free(x);
}

Test(principal, first_matrix)
{
    check_start("conv1x1:pca, reverse, reverse", true);
    check_start("conv1x1:lu:pca, reverse, reverse", true);
    check_start("actnorm, conv1x1:pca, reverse, reverse", true);
    check_start("actnorm, householder, conv1x1:pca, reverse, reverse", true);
    check_start("actnorm, conv1x1, conv1x1:pca, reverse, reverse", true);
    check_start("conv1x1:pca, actnorm, conv1x1, reverse, reverse", true); /* a rotation keeps variances of 1 */
    check_start("actnorm, conv1x1:pca, conv1x1, reverse, reverse", false);
    check_start("conv1x1, reverse, reverse", false);
    check_start("conv1x1:lu, reverse, reverse", false);
}

Test(principal, only_data_move_it)
{
    double *x = make_details(), z[PIXELS * K];
    bool moved;
    start("conv1x1:pca, reverse", x, z, &moved, NULL);
    cr_expect(moved);
    start("conv1x1, reverse", x, z, &moved, NULL);
    cr_expect_not(moved);
    free(x);
}

/* -- parts of a batch ---------------------------------------------------------------------------------------------- */

static double whole[2 * K + K * (K + 1)]; /* moments of the whole batch, as the first run passed them */
static size_t pixels_of_whole = PIXELS;

static int keep_moments(void *user, size_t *n, int channels, double *moments)
{
    (void)user;
    cr_assert_eq(*n, PIXELS);
    cr_assert_leq((size_t)(2 * channels), sizeof whole / sizeof *whole);
    memcpy(whole, moments, (size_t)channels * sizeof *moments);
    return WF_OK;
}

static int give_moments(void *user, size_t *n, int channels, double *moments)
{
    (void)user;
    *n = pixels_of_whole;
    memcpy(moments, whole, (size_t)channels * sizeof *moments);
    return WF_OK;
}

/* A part of a batch whose moments come from the whole starts where the whole does. */
Test(principal, parts_pool_their_moments)
{
    double *x = make_details(), *part = make_details(), z[PIXELS * K], own[PIXELS * K], pooled[PIXELS * K];
    double covariance[K * K], want[K * K];
    bool moved, falls;
    for (int i = PIXELS / 2 * K; i < PIXELS * K; i++)
        part[i] = x[i - PIXELS / 2 * K] * (i % K);
    start("conv1x1:pca, reverse, reverse", x, z, &moved, keep_moments);
    start("conv1x1:pca, reverse, reverse", part, own, &moved, NULL);
    start("conv1x1:pca, reverse, reverse", part, pooled, &moved, give_moments);
    covariance_of(own, covariance);
    cr_expect_lt(off_diagonal(covariance, &falls), 1e-6);
    covariance_of(pooled, want);
    cr_expect_gt(off_diagonal(want, &falls), 0.01, "the part's own components were taken");
    for (int i = 0; i < PIXELS / 2 * K; i++) /* pixels that both have */
        cr_expect_float_eq(pooled[i], z[i], 1e-12);
    free(x);
    free(part);
}

/* A batch has components from twice as many pixels as channels on, whatever its parts have. */
Test(principal, few_pixels_have_none)
{
    double *x = make_details(), z[PIXELS * K];
    bool moved;
    start("conv1x1:pca, reverse", x, z, &moved, keep_moments);
    pixels_of_whole = 2 * K - 1;
    start("conv1x1:pca, reverse", x, z, &moved, give_moments);
    cr_expect_not(moved);
    pixels_of_whole = 2 * K;
    start("conv1x1:pca, reverse", x, z, &moved, give_moments);
    cr_expect(moved);
    free(x);
}

Test(principal, refuses_what_is_not_finite)
{
    wf_flow_spec spec = {N, H, W, K, 0, 3, WF_FP32, WF_MEMORY_NONE, 0, 0, 0, 0};
    double *x = make_details();
    wf_flow *flow;
    x[5 * K + 2] = NAN;
    cr_assert_eq(wf_flow_create(ref(), "conv1x1:pca, reverse", &spec, &flow), 0, "%s", wf_error());
    double *zeros = calloc(wf_flow_size(flow), sizeof *zeros);
    wf_real *params = upload(zeros, wf_flow_size(flow)), *dx = upload(x, PIXELS * K);
    cr_assert_eq(wf_flow_init(flow, 9, params), 0);
    cr_expect_eq(wf_flow_data_init(flow, params, dx, NULL), WF_INTERNAL);
    cr_expect(strstr(wf_error(), "conv1x1: channel 2 of the first batch is not finite"), "%s", wf_error());
    wf_flow_destroy(flow);
    ref()->free(ref(), params);
    ref()->free(ref(), dx);
    free(zeros);
    free(x);
}
