/* test_dequantize.c - the cost of normals in place of averaged uniforms (backend.h, `dequantize`)
 *
 * Uniform noise on pixels, seen k DWT levels further down, is a projection of white noise; P is its matrix. A normal of
 * the same mean and covariance has a larger entropy. By the Edgeworth expansion to leading order in each cumulant
 * (McCullagh 1987, 5.5) the difference, in nats, is
 *
 *     sum over r = 4, 6 ..  c_r^2 / (2 r!)  sum over pixels m, m'  P[m,m']^r,    c_4 = -6/5, c_6 = 48/7,
 *
 * with c_r the standardized cumulants of the uniform. For a model that knows the noise, bits per dimension are too
 * large by at most this difference. The differences of the levels, each given the average below, add up to the
 * difference at the highest level with normals, which therefore bounds their sum. P is separable: in two dimensions the
 * sums are products. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/pyramid/wavelet.h"

enum { SIDE = 128 }; /* length of a periodic axis, longer than two levels of the longest filter reach */

/* Replaces rows [n, SIDE] by one low-pass of them: n/2 rows. */
static void halve(const wf_wavelet *w, int n, double (*rows)[SIDE])
{
    double(*to)[SIDE] = calloc((size_t)n / 2, sizeof *to);
    for (int i = 0; i < n / 2; i++)
        for (int k = 0; k < w->count; k++)
            for (int m = 0; m < SIDE; m++)
                to[i][m] += w->taps[k] * rows[(2 * i + k) % n][m];
    memcpy(rows, to, (size_t)n / 2 * sizeof *to);
    free(to);
}

/* Mean over m of the sum over m' of P[m,m']^r, in one dimension. */
static double power_sum(const wf_wavelet *w, int halvings, int r)
{
    static double rows[SIDE][SIDE];
    double sum = 0;
    for (int i = 0; i < SIDE; i++)
        for (int m = 0; m < SIDE; m++)
            rows[i][m] = i == m;
    for (int k = 0; k < halvings; k++)
        halve(w, SIDE >> k, rows);
    for (int m = 0; m < SIDE; m++)
        for (int n = 0; n < SIDE; n++) {
            double p = 0;
            for (int i = 0; i < SIDE >> halvings; i++)
                p += rows[i][m] * rows[i][n];
            sum += pow(p, r) / SIDE;
        }
    return sum;
}

/* Bits per dimension of signals with `axes` axes. */
static double lost_of(const wf_wavelet *w, int halvings, int axes)
{
    double four = pow(power_sum(w, halvings, 4), axes), six = pow(power_sum(w, halvings, 6), axes);
    return (1.44 / 48 * four + 48.0 / 7 * 48 / 7 / 1440 * six) / log(2);
}

static double lost(const wf_wavelet *w, int halvings)
{
    return lost_of(w, halvings, 2);
}

Test(dequantize, normals_cost_little_where_they_are_used)
{
    const wf_wavelet *w;
    cr_expect_lt(lost(wf_wavelet_find("haar"), 4), 1e-6, "256 uniforms and more");
    for (int i = 1; (w = wf_wavelet_at(i)); i++) {
        cr_expect_lt(lost(w, 2), 2.5e-5, "%s: %g", w->name, lost(w, 2));
        cr_expect_gt(lost(w, 1), 1e-4, "%s: one halving needs no exactness, at %g", w->name, lost(w, 1));
    }
}

/* Sounds and volumes use transformed pixel noise while fewer than 16 pixels make a coefficient (level_input.c). Above,
 * normals would do, and averages of uniforms, which are closer to the exact distribution, do too. */
Test(dequantize, other_axes)
{
    const wf_wavelet *w;
    for (int i = 1; (w = wf_wavelet_at(i)); i++) {
        cr_expect_lt(lost_of(w, 4, 1), 1e-4, "%s: sounds %g", w->name, lost_of(w, 4, 1));
        cr_expect_lt(lost_of(w, 2, 3), 1e-4, "%s: volumes %g", w->name, lost_of(w, 2, 3));
    }
}

/* The standardized density of the mean of 16 uniforms, by sums over a grid, and its entropy by integration, against the
 * normal's. */
Test(dequantize, the_expansion_is_right_for_haar)
{
    enum { CELLS = 256, COUNT = 16, N = CELLS * COUNT };
    static double density[N + 1], sums[N + 1];
    for (int i = 0; i < N; i++)
        density[i] = i < CELLS ? 1 : 0; /* of values at the middle of cells */
    for (int k = 1; k < COUNT; k++) {
        for (int i = 0; i < N; i++)
            sums[i + 1] = sums[i] + density[i];
        for (int i = 0; i < N; i++)
            density[i] = (sums[i + 1] - sums[i < CELLS ? 0 : i + 1 - CELLS]) / CELLS;
    }
    double mass = 0, mean = 0, variance = 0, nats = 0;
    for (int i = 0; i < N; i++)
        mass += density[i];
    for (int i = 0; i < N; i++)
        mean += density[i] / mass * i / CELLS;
    for (int i = 0; i < N; i++)
        variance += density[i] / mass * ((double)i / CELLS - mean) * ((double)i / CELLS - mean);
    cr_expect_float_eq(variance, COUNT / 12.0, 1e-3);
    for (int i = 0; i < N; i++) {
        double z = ((double)i / CELLS - mean) / sqrt(variance), p = density[i] / mass * CELLS;
        double normal = exp(-z * z / 2) / sqrt(2 * acos(-1) * variance);
        if (p > 0)
            nats += p * log(p / normal) / CELLS;
    }
    double bits = nats / 16 / log(2); /* one mean for 16 pixels */
    double order = 1 + 1.2 / 16;      /* the term in c_4^3, for these means: -c_4^3 / 48 beside c_4^2 / 48 */
    cr_expect_float_eq(order * lost(wf_wavelet_find("haar"), 2) / bits, 1, 0.02, "expansion %g, integral %g",
                       order * lost(wf_wavelet_find("haar"), 2), bits);
}
