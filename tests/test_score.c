/* test_score.c - distances and p-values of wf-score against numpy and against closed forms */
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/image/image.h"
#include "../lib/score/conformal.h"
#include "../lib/score/latent_fit.h"
#include "../lib/score/shrinkage.h"

static void expect_near(double have, double want)
{
    cr_expect(fabs(have - want) <= 1e-12 * fmax(1, fabs(want)), "found %.17g, want %.17g", have, want);
}

/* Numbers of numpy 2.4.6:
 *     n, d = 12, 3; x = np.array([[i, 2*i + (-1)**i, (i*i) % 7] for i in range(n)], float)
 *     z = (x - x.mean(0)) / x.std(0); S = z.T @ z / n; mu = np.trace(S) / d
 *     b = sum(((np.outer(r, r) - S)**2).sum() for r in z) / n**2; o = ((S - mu*np.eye(d))**2).sum()
 *     rho = min(1, b / o); R = (1 - rho)*S + rho*mu*np.eye(d)
 *     np.einsum('ni,ij,nj->n', z, np.linalg.inv(R), z) */
Test(score, distances_are_those_of_numpy)
{
    enum { N = 12, D = 3 };
    static const double correlations[] = {0.6952089705585169, 0.10432647925634463, 0.08683157259213097};
    static const double want[N] = {4.266972027989989,   2.566068763267285,  3.734423551779164,  0.81803195679266,
                                   0.20021007451303607, 2.453754894820269,  0.5652335853893465, 2.263075274039876,
                                   1.3641918918253981,  3.0600128399441378, 2.3094448408821013, 2.7975882548779736};
    double x[N * D], R[D * D], distances[N];
    for (int i = 0; i < N; i++) {
        x[i * D] = i;
        x[i * D + 1] = 2 * i + (i % 2 ? -1 : 1);
        x[i * D + 2] = i * i % 7;
    }
    wf_standardize(N, D, x);
    expect_near(wf_shrunk_correlation(N, D, x, R), 0.2973818435790132);
    for (int i = 0; i < D; i++)
        expect_near(R[i * D + i], 1);
    expect_near(R[1], correlations[0]);
    expect_near(R[3], correlations[0]);
    expect_near(R[2], correlations[1]);
    expect_near(R[7], correlations[2]);
    cr_assert_eq(wf_mahalanobis(N, D, x, R, distances), WF_OK);
    for (int i = 0; i < N; i++)
        expect_near(distances[i], want[i]);
}

Test(score, columns_that_depend_on_one_another_have_distances)
{
    enum { N = 40, D = 3 };
    double x[N * D], R[D * D], distances[N];
    for (int i = 0; i < N; i++) {
        x[i * D] = i;
        x[i * D + 1] = -3.0 * i;
        x[i * D + 2] = 0.1; /* does not vary */
    }
    wf_standardize(N, D, x);
    for (int i = 0; i < N; i++)
        cr_expect_eq(x[i * D + 2], 0);
    double rho = wf_shrunk_correlation(N, D, x, R);
    cr_expect(rho > 0 && rho < 0.2, "%g", rho);
    cr_assert_eq(wf_mahalanobis(N, D, x, R, distances), WF_OK);
    for (int i = 0; i < N; i++)
        cr_expect(isfinite(distances[i]));
    const double bad[] = {1, 2, 2, 1};
    double copy[4];
    memcpy(copy, bad, sizeof bad);
    cr_expect_eq(wf_mahalanobis(1, 2, x, copy, distances), WF_INTERNAL);
}

/* Uniform numbers in (0, 1). */
static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

/* Rows [n,4] of dependent numbers, two of which have heavy tails: nothing that a Gaussian describes. */
static void draw_rows(int n, double *x, uint64_t *state)
{
    for (int i = 0; i < n; i++, x += 4) {
        x[0] = tan(3.14 * (uniform(state) - 0.5));
        x[1] = x[0] * x[0] + uniform(state);
        x[2] = -log(uniform(state));
        x[3] = x[2] + 0.01 * uniform(state);
    }
}

/* The last of 20 exchangeable rows without ties has each rank with probability 1/20: p is 1/20, 2/20, .., 1 equally
 * often.
 * Frequencies of 4,000 trials lie within four standard deviations. */
Test(score, p_is_uniform_on_exchangeable_rows)
{
    enum { N = 19, TRIALS = 4000 };
    int hits[N + 2] = {0};
    uint64_t state = 1;
    for (int t = 0; t < TRIALS; t++) {
        double x[(N + 1) * 4], p;
        draw_rows(N + 1, x, &state);
        cr_assert_eq(wf_conformal_p(N, 4, x, 1, x + N * 4, 1, &(wf_watch){0}, &p), WF_OK);
        int rank = (int)lrint(p * (N + 1));
        cr_assert(rank >= 1 && rank <= N + 1 && fabs(p * (N + 1) - rank) < 1e-9, "%g", p);
        hits[rank]++;
    }
    double mean = (double)TRIALS / (N + 1), deviation = sqrt(mean * N / (N + 1));
    for (int rank = 1; rank <= N + 1; rank++)
        cr_expect(fabs(hits[rank] - mean) < 4 * deviation, "rank %d: %d times, want %g +- %g", rank, hits[rank], mean,
                  deviation);
}

Test(score, p_does_not_depend_on_order_or_threads)
{
    enum { N = 60, M = 17, D = 4 };
    double x[N * D], turned[N * D], y[M * D], given[M * D], p[M], q[M];
    uint64_t state = 7;
    draw_rows(N, x, &state);
    draw_rows(M, y, &state);
    for (int i = 0; i < N; i++)
        memcpy(turned + (i * 7 + 3) % N * D, x + i * D, D * sizeof *x);
    for (int i = 0; i < M; i++)
        memcpy(given + (M - 1 - i) * D, y + i * D, D * sizeof *y);
    cr_assert_eq(wf_conformal_p(N, D, x, M, y, 1, &(wf_watch){0}, p), WF_OK);
    cr_assert_eq(wf_conformal_p(N, D, turned, M, given, 3, &(wf_watch){0}, q), WF_OK);
    for (int i = 0; i < M; i++)
        cr_expect_eq(p[i], q[M - 1 - i], "row %d: %.17g and %.17g", i, p[i], q[M - 1 - i]);
    double alone;
    cr_assert_eq(wf_conformal_p(N, D, x, 1, y + 5 * D, 1, &(wf_watch){0}, &alone), WF_OK);
    cr_expect_eq(alone, p[5]);
}

/* Rows and their mirror images, of which the last one is given: it is as distant as its image, but for rounding. */
Test(score, ties_do_not_depend_on_order)
{
    enum { N = 20, D = 3, TRIALS = 200 };
    uint64_t state = 2;
    for (int t = 0; t < TRIALS; t++) {
        double x[N * D], turned[N * D], p, q;
        for (int i = 0; i < N * D; i += 2 * D)
            for (int d = 0; d < D; d++)
                x[i + D + d] = -(x[i + d] = uniform(&state));
        for (int i = 0; i < N - 1; i++)
            memcpy(turned + (i * 7 + 3) % (N - 1) * D, x + i * D, D * sizeof *x);
        cr_assert_eq(wf_conformal_p(N - 1, D, x, 1, x + (N - 1) * D, 1, &(wf_watch){0}, &p), WF_OK);
        cr_assert_eq(wf_conformal_p(N - 1, D, turned, 1, x + (N - 1) * D, 1, &(wf_watch){0}, &q), WF_OK);
        cr_expect_eq(p, q, "trial %d: %.17g and %.17g", t, p, q);
    }
}

/* Counts in a wf_watch. */
static void count_watched(void *user, int level, int64_t count)
{
    (void)level;
    *(int64_t *)user += count;
}

Test(score, strangers_and_acquaintances)
{
    enum { N = 50, D = 4 };
    double x[N * D], y[3 * D], p[3];
    uint64_t state = 3;
    int64_t watched = 0;
    for (int i = 0; i < N * D; i++)
        x[i] = i % D < 3 ? uniform(&state) : x[i - 1] + 0.01 * uniform(&state);
    memcpy(y, x + 8 * D, D * sizeof *y); /* of the reference itself */
    memcpy(y + D, x + 8 * D, D * sizeof *y);
    y[D + 3] = y[D + 2] > 0.5 ? y[D + 2] - 0.5 : y[D + 2] + 0.5; /* usual alone, but not beside column 2 */
    for (int i = 0; i < D; i++)
        y[2 * D + i] = 1e12;
    cr_assert_eq(wf_conformal_p(N, D, x, 3, y, 2, &(wf_watch){count_watched, &watched}, p), WF_OK);
    cr_expect_geq(p[0], 2.0 / (N + 1)); /* the same row is as distant */
    cr_expect_eq(p[1], 1.0 / (N + 1));
    cr_expect_eq(p[2], 1.0 / (N + 1));
    cr_expect_eq(watched, 3);
    for (int i = 0; i < N * D; i++)
        x[i] = 0.3;
    cr_assert_eq(wf_conformal_p(N, D, x, 1, x, 1, &(wf_watch){0}, p), WF_OK);
    cr_expect_eq(p[0], 1); /* all are alike */
    cr_assert_eq(wf_conformal_p(1, D, x, 1, y, 1, &(wf_watch){0}, p), WF_OK);
    cr_expect_eq(p[0], 1); /* of two none is stranger */
}

/* Rows with such a number are stranger than all others, and change nothing else. */
Test(score, numbers_that_are_not_finite_are_strangest)
{
    enum { N = 39, D = 4, ODD = 3 };
    double x[(N + ODD) * D], y[2 * D], p[2], finite;
    uint64_t state = 11;
    draw_rows(N, x, &state);
    draw_rows(2, y, &state);
    memcpy(x + N * D, x, ODD * D * sizeof *x);
    cr_assert_eq(wf_conformal_p(N, D, x, 1, y, 1, &(wf_watch){0}, &finite), WF_OK);
    y[D + 2] = INFINITY;
    cr_assert_eq(wf_conformal_p(N, D, x, 2, y, 1, &(wf_watch){0}, p), WF_OK);
    cr_expect_eq(p[0], finite);
    expect_near(p[1], 1.0 / (N + 1));
    x[N * D] = NAN; /* three of the reference, anywhere */
    x[(N + 1) * D + 3] = -INFINITY;
    x[(N + 2) * D + 1] = INFINITY;
    for (int d = 0; d < D; d++) {
        double kept = x[d];
        x[d] = x[N * D + d];
        x[N * D + d] = kept;
    }
    cr_assert_eq(wf_conformal_p(N + ODD, D, x, 2, y, 2, &(wf_watch){0}, p), WF_OK);
    expect_near(p[0], (finite * (N + 1) + ODD) / (N + ODD + 1));
    expect_near(p[1], (ODD + 1.0) / (N + ODD + 1));
    for (int n = 0; n < N + ODD; n++)
        x[n * D] = NAN;
    cr_assert_eq(wf_conformal_p(N + ODD, D, x, 1, y, 1, &(wf_watch){0}, p), WF_OK);
    cr_expect_eq(p[0], 1);
}

Test(score, least_reference_for_a_rate)
{
    cr_expect_eq(wf_conformal_least(0.05), 19);
    cr_expect_eq(wf_conformal_least(0.01), 99);
    cr_expect_eq(wf_conformal_least(0.3), 3);
    cr_expect_eq(wf_conformal_least(0.5), 1);
    cr_expect_eq(wf_conformal_least(0.1), 9);
    cr_expect_eq(wf_conformal_least(0.001), 999);
    cr_expect_eq(wf_conformal_least(0.9), 1);
    cr_expect_eq(wf_conformal_least(1e-30), INT64_MAX);
}

/* Numbers of numpy 2.4.6, with z = np.sin(np.arange(24) * 1.7) * 1.5 + 0.25, as float32, .reshape(3, 4, 2):
 *     m = z.mean(); w = z - m; v = z.var(); m, v
 *     (w[:,:-1] * w[:,1:]).mean() / v, (w[:-1] * w[1:]).mean() / v, (z * z).mean((0, 1)) */
Test(score, moments_are_those_of_numpy)
{
    float z[24];
    double squares[2];
    for (int i = 0; i < 24; i++)
        z[i] = (float)(sin(i * 1.7) * 1.5 + 0.25);
    wf_latent_fit fit = wf_latent_fit_of(z, 3, 4, 2);
    expect_near(fit.mean, 0.30361046145359677);
    expect_near(fit.variance, 1.1218006833368632);
    expect_near(fit.across, -0.9683278907876581);
    expect_near(fit.down, 0.5005858522690873);
    wf_latent_squares(z, 3, 4, 2, squares);
    expect_near(squares[0], 1.1923774603685084);
    expect_near(squares[1], 1.23558253091335);
    fit = wf_latent_fit_of(z, 1, 12, 2);
    cr_expect(isnan(fit.down) && isfinite(fit.across));
    fit = wf_latent_fit_of(z, 12, 1, 2);
    cr_expect(isnan(fit.across) && isfinite(fit.down));
    const float same[8] = {0};
    fit = wf_latent_fit_of(same, 2, 2, 2);
    cr_expect(fit.variance == 0 && isnan(fit.across) && isnan(fit.down));
}

/* Bytes of a picture of 32x32x3 whose samples lie between 0 and 255. */
static size_t png_bytes(int bits, uint16_t (*sample)(int y, int x, int c, uint64_t *state))
{
    wf_image image = {0};
    size_t bytes = 0;
    uint64_t state = 5;
    cr_assert_eq(wf_image_reserve(&image, "test", 32, 32, 3, bits), WF_OK);
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 32; x++)
            for (int c = 0; c < 3; c++)
                image.pixels[(y * 32 + x) * 3 + c] = sample(y, x, c, &state);
    cr_assert_eq(wf_image_png_size("test", &image, &bytes), WF_OK);
    wf_image_clear(&image);
    return bytes;
}

static uint16_t constant(int y, int x, int c, uint64_t *state)
{
    (void)y, (void)x, (void)state;
    return (uint16_t)(40 * c + 9);
}

static uint16_t ramp(int y, int x, int c, uint64_t *state)
{
    (void)c, (void)state;
    return (uint16_t)(x * x / 8 + 3 * y);
}

static uint16_t noise(int y, int x, int c, uint64_t *state)
{
    (void)y, (void)x, (void)c;
    return (uint16_t)(256 * uniform(state));
}

/* A ramp repeats itself only through a filter. Noise takes its samples, the number of a filter for each row, and
 * headers. */
Test(score, bytes_of_a_codec_follow_the_picture)
{
    size_t flat = png_bytes(8, constant), smooth = png_bytes(8, ramp), rough = png_bytes(8, noise);
    cr_expect(flat > 57 && flat < 120, "%zu", flat);
    cr_expect(smooth > flat && smooth < 300, "%zu", smooth);
    cr_expect(rough >= 32 * 97 + 57 && rough < 32 * 97 + 120, "%zu", rough);
    cr_expect(png_bytes(16, noise) > 32 * 97 + 57);
}
