/* test_measured.c - measurements of pictures: operators, adjoints, gradients, and a posterior that is known */
#include "../lib/mcmc/coverage.h"
#include "../lib/mcmc/measured.h"
#include "../lib/mcmc/summary.h"
#include "annealed_draws.h"

enum { LEVELS = 2, H = 4, W = 4, C = 2, D = H * W * C };

static double corner[] = {0.1, 0.3, 0.05, 0.05, 0.4, 0.1}; /* not symmetric; 3 wide, and with a last row of 0 high */
static double three[9];
static uint8_t some[H * W] = {1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1};

typedef struct target {
    const char *what;
    wf_measured_spec spec;
} target;

static const target targets[] = {
    {"noise", {.noise = 40, .scale = 1}},
    {"a mask", {.noise = 30, .scale = 1, .missing = some}},
    {"blur", {.noise = 20, .scale = 1, .psf = {3, 3, three}}},
    {"blur and a mask", {.noise = 20, .scale = 1, .psf = {3, 3, three}, .missing = some}},
    {"a scale", {.noise = 10, .scale = 2}},
    {"all", {.noise = 15, .scale = 2, .psf = {3, 3, three}, .missing = some}},
};
enum { TARGETS = sizeof targets / sizeof *targets, CHAINS = 64 };

static wf_meta meta_of(void)
{
    return (wf_meta){.wavelet = "haar", .levels = LEVELS, .top = LEVELS, .H = H, .W = W, .C = C, .bits = 8};
}

static wf_measured *open_measured(const target *t)
{
    wf_meta meta = meta_of();
    wf_measured *m;
    memcpy(three, corner, sizeof corner);
    cr_assert_eq(wf_measured_create(&meta, &t->spec, &m), 0, "%s", wf_error());
    return m;
}

/* -- operators ----------------------------------------------------------------------------------------------------- */

static int mirrored(int i, int n)
{
    return i < 0 ? -1 - i : i >= n ? 2 * n - 1 - i : i;
}

/* A p at one pixel of y, from its definition. */
static double want_of(const target *t, const double *p, int y, int x, int c)
{
    int S = t->spec.scale;
    double sum = 0;
    if (t->spec.missing && t->spec.missing[y * (W / S) + x])
        return 0;
    for (int i = y * S; i < (y + 1) * S; i++)
        for (int j = x * S; j < (x + 1) * S; j++)
            for (int v = -1; v <= 1; v++)
                for (int u = -1; u <= 1; u++) {
                    double weight = t->spec.psf.value ? three[(v + 1) * 3 + u + 1] : !u && !v;
                    sum += weight / (S * S) * p[(mirrored(i - v, H) * W + mirrored(j - u, W)) * C + c];
                }
    return sum;
}

Test(measured, operators_and_adjoints)
{
    double *p = normals(1, 50, D), *y = normals(2, 50, D), have[D], back[D];
    for (const target *t = targets; t < targets + TARGETS; t++) {
        wf_measured *m = open_measured(t);
        int S = t->spec.scale, h = H / S, w = W / S;
        double forward = 0, backward = 0;
        cr_assert_eq(wf_measured_size(m), (size_t)(h * w * C));
        wf_measured_apply(m, p, have);
        for (int i = 0; i < h * w * C; i++)
            cr_expect_float_eq(have[i], want_of(t, p, i / C / w, i / C % w, i % C), 1e-11, "%s: %d", t->what, i);
        wf_measured_adjoint(m, y, back);
        for (int i = 0; i < h * w * C; i++)
            forward += have[i] * y[i];
        for (int i = 0; i < D; i++)
            backward += p[i] * back[i];
        cr_expect_float_eq(forward, backward, 1e-9 * fabs(forward), "%s: %.12g, %.12g", t->what, forward, backward);
        wf_measured_destroy(m);
    }
    free(p);
    free(y);
}

Test(measured, simulated_noise)
{
    enum { TIMES = 4000 };
    double *p = normals(1, 50, D), clean[D];
    for (const target *t = targets; t < targets + TARGETS; t++) {
        wf_measured *m = open_measured(t);
        size_t n = wf_measured_size(m), given = 0;
        double sum = 0, squares = 0;
        float y[D];
        wf_measured_apply(m, p, clean);
        for (uint64_t id = 0; id < TIMES; id++) {
            wf_measured_simulate(m, p, 3, id, y);
            for (size_t i = 0; i < n; i++) {
                bool missing = t->spec.missing && t->spec.missing[i / C];
                double e = (y[i] - clean[i]) / t->spec.noise;
                cr_assert(!missing || y[i] == 0);
                given += !missing;
                sum += missing ? 0 : e;
                squares += missing ? 0 : e * e;
            }
        }
        cr_expect_lt(fabs(sum), 4 * sqrt((double)given), "%s: mean %g", t->what, sum / (double)given);
        cr_expect_lt(fabs(squares - (double)given), 4 * sqrt(2 * (double)given), "%s: variance %g", t->what,
                     squares / (double)given);
        wf_measured_destroy(m);
    }
    free(p);
}

Test(measured, refusals)
{
    wf_meta meta = meta_of();
    wf_measured *m;
    uint8_t all[H * W];
    memset(all, 1, sizeof all);
    cr_expect_eq(wf_measured_create(&meta, &(wf_measured_spec){.noise = 0, .scale = 1}, &m), WF_USAGE);
    cr_expect_eq(wf_measured_create(&meta, &(wf_measured_spec){.noise = NAN, .scale = 1}, &m), WF_USAGE);
    cr_expect_eq(wf_measured_create(&meta, &(wf_measured_spec){.noise = 1, .scale = 3}, &m), WF_USAGE);
    cr_expect_eq(wf_measured_create(&meta, &(wf_measured_spec){.noise = 1, .scale = 1, .missing = all}, &m), WF_DATA);
    meta.signal = WF_SOUND;
    cr_expect_eq(wf_measured_create(&meta, &(wf_measured_spec){.noise = 1, .scale = 1}, &m), WF_USAGE);
}

Test(measured, summaries)
{
    const float x[5 * 2] = {5, 1, 1, 1, 2, 1, 4, 1, 3, 1};
    float out[2];
    cr_assert_eq(wf_summarize(WF_MEAN, 0, 5, 2, x, out), 0);
    cr_expect(out[0] == 3 && out[1] == 1);
    cr_assert_eq(wf_summarize(WF_DEVIATION, 0, 5, 2, x, out), 0);
    cr_expect_float_eq(out[0], sqrt(2.5), 1e-6);
    cr_expect(out[1] == 0);
    cr_assert_eq(wf_summarize(WF_QUANTILE, 0.1, 5, 2, x, out), 0);
    cr_expect_float_eq(out[0], 1.4, 1e-6);
    cr_assert_eq(wf_summarize(WF_QUANTILE, 1, 5, 2, x, out), 0);
    cr_expect(out[0] == 5 && out[1] == 1);
}

/* -- densities ----------------------------------------------------------------------------------------------------- */

static wf_anneal *open_anneal(const wf_model *model, wf_measured *m, double T, bool data, wf_backend *b, int chains)
{
    wf_anneal_spec spec = {.last = LEVELS, .H = 1, .W = 1, .temperature = {T, T, T}, .data = data, .measured = m};
    return anneal(model, &spec, b, chains);
}

/* log p(x, y) is that without measurements plus the likelihood of the picture, and its gradient is correct. */
static void check_density(const wf_model *model, const target *t, bool data, wf_backend *b)
{
    const double h = 1e-4;
    const int chain[] = {0, 1}, both[] = {1, 1};
    wf_measured *m = open_measured(t);
    wf_anneal *a = open_anneal(model, m, 0.8, data, b, 2), *prior = open_anneal(model, NULL, 0.8, data, b, 2);
    size_t n = wf_measured_size(m);
    double x[2 * D], g[2 * D], sides[2 * D], unused[2 * D], logp[2], want[2], p[D];
    float y[2 * D], pictures[2 * D];
    cr_assert_eq(wf_anneal_start(a, 2, (uint64_t[]){3, 4}, 5, x), 0, "%s", wf_error());
    cr_assert_eq(wf_anneal_measure(a, m, 2, x, 6, (uint64_t[]){3, 5}, y), 0, "%s", wf_error());
    cr_assert_eq(wf_anneal_condition(a, 2, NULL), WF_USAGE);
    cr_assert_eq(wf_anneal_condition(a, 2, y), 0, "%s", wf_error());
    cr_assert_eq(wf_anneal_density(a, 2, chain, x, logp, g), 0, "%s", wf_error());
    cr_assert_eq(wf_anneal_density(prior, 2, chain, x, want, unused), 0, "%s", wf_error());
    cr_assert_eq(wf_anneal_whole(a, 2, chain, x, pictures), 0, "%s", wf_error());
    for (int c = 0; c < 2; c++) {
        for (int i = 0; i < D; i++)
            p[i] = pictures[c * D + i];
        want[c] += wf_measured_log_density(m, y + (size_t)c * n, p, unused);
        cr_expect_float_eq(logp[c], want[c], 1e-4, "%s: %.9g, want %.9g", t->what, logp[c], want[c]);
    }
    for (int i = 0; i < D; i++) {
        memcpy(sides, x + D, D * sizeof *x);
        memcpy(sides + D, x + D, D * sizeof *x);
        sides[i] += h;
        sides[D + i] -= h;
        cr_assert_eq(wf_anneal_density(a, 2, both, sides, logp, unused), 0);
        double numeric = (logp[0] - logp[1]) / (2 * h), have = g[D + i];
        cr_expect_lt(fabs(have - numeric), 1e-5 * (1 + fabs(numeric)), "%s: by %d: %.9g, numeric %.9g", t->what, i,
                     have, numeric);
    }
    wf_anneal_destroy(a);
    wf_anneal_destroy(prior);
    wf_measured_destroy(m);
}

Test(measured, densities_and_gradients, .timeout = 60)
{
    shaking by = {0.15, 0.15};
    scratch_make();
    wf_model model = make_model("model", LEVELS, H, C);
    for (int level = 0; level <= LEVELS; level++)
        save_level(&model, level, "2*(actnorm, conv1x1, affine:width=6:blocks=1), actnorm", shake, &by);
    wf_backend *b = open_backend("ref", 1);
    for (int i = 0; i < 2 * TARGETS; i++)
        check_density(&model, &targets[i / 2], i % 2, b);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

/* -- a posterior that is known ------------------------------------------------------------------------------------- */

/* Pictures p = p0 + J z, where y is normal: precision Q = 1 + J' A' A J / s^2 of z, and mean Q^-1 J' A' (y - A p0) /
 * s^2. */
typedef struct truth {
    double offset[D], J[D][D]; /* J[i]: the picture of latent i */
    double Q[D][D], covariance[D][D], mean[D];
} truth;

/* Inverts a positive matrix by elimination without pivots. */
static void invert(double (*from)[D], double (*to)[D])
{
    double a[D][2 * D] = {{0}};
    for (int i = 0; i < D; i++) {
        memcpy(a[i], from[i], D * sizeof **from);
        a[i][D + i] = 1;
    }
    for (int k = 0; k < D; k++)
        for (int i = 0; i < D; i++) {
            double times = a[i][k] / a[k][k];
            for (int j = 0; j < 2 * D && i != k; j++)
                a[i][j] -= times * a[k][j];
        }
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++)
            to[i][j] = a[i][D + j] / a[i][i];
}

static void find_truth(wf_anneal *a, wf_measured *m, const float *y, double noise, truth *t)
{
    double z[D] = {0}, seen[D], zero[D], along[D] = {0}, columns[D][D];
    float picture[D];
    size_t n = wf_measured_size(m);
    cr_assert_eq(wf_anneal_whole(a, 1, (int[]){0}, z, picture), 0, "%s", wf_error());
    for (int i = 0; i < D; i++)
        t->offset[i] = picture[i];
    wf_measured_apply(m, t->offset, zero);
    for (int i = 0; i < D; i++) {
        z[i] = 1;
        cr_assert_eq(wf_anneal_whole(a, 1, (int[]){0}, z, picture), 0, "%s", wf_error());
        z[i] = 0;
        for (int j = 0; j < D; j++)
            t->J[i][j] = picture[j] - t->offset[j];
        wf_measured_apply(m, t->J[i], columns[i]);
        for (size_t j = 0; j < n; j++)
            along[i] += columns[i][j] * (y[j] == 0 ? 0 : y[j] - zero[j]) / (noise * noise);
    }
    for (int i = 0; i < D; i++)
        for (int k = 0; k < D; k++) {
            seen[k] = 0;
            for (size_t j = 0; j < n; j++)
                seen[k] += columns[i][j] * columns[k][j];
            t->Q[i][k] = (i == k) + seen[k] / (noise * noise);
        }
    invert(t->Q, t->covariance);
    for (int i = 0; i < D; i++) {
        t->mean[i] = 0;
        for (int k = 0; k < D; k++)
            t->mean[i] += t->covariance[i][k] * along[k];
    }
}

static double pixel_mean(const truth *t, int j)
{
    double mean = t->offset[j];
    for (int i = 0; i < D; i++)
        mean += t->J[i][j] * t->mean[i];
    return mean;
}

static double pixel_variance(const truth *t, int j)
{
    double variance = 0;
    for (int i = 0; i < D; i++)
        for (int k = 0; k < D; k++)
            variance += t->J[i][j] * t->covariance[i][k] * t->J[k][j];
    return variance;
}

/* Draws by chains, and compares each pixel's mean and variance. */
static void check_draws(wf_anneal *a, const target *what, const truth *t, bool data)
{
    enum { DRAWS = 100, ALL = CHAINS * DRAWS };
    record r = draw(a, CHAINS, DRAWS, 9);
    float *pictures = malloc((size_t)ALL * D * sizeof *pictures);
    double *x = malloc((size_t)ALL * D * sizeof *x), *value = malloc(ALL * sizeof *value);
    int *chain = calloc(ALL, sizeof *chain);
    for (int n = 0; n < ALL; n++)
        for (int i = 0; i < D; i++)
            x[n * D + i] = record_of(&r, (size_t)i)[n];
    cr_assert_eq(wf_anneal_whole(a, ALL, chain, x, pictures), 0, "%s", wf_error());
    for (int j = 0; j < D; j++)
        for (int moment = 1; moment <= 2; moment++) {
            double mean = pixel_mean(t, j), want = moment == 1 ? mean : pixel_variance(t, j);
            wf_diagnosis d;
            for (int n = 0; n < ALL; n++)
                value[n] = moment == 1 ? pictures[n * D + j] : pow(pictures[n * D + j] - mean, 2);
            cr_assert_eq(wf_diagnose(CHAINS, DRAWS, value, &d), 0);
            cr_expect_lt(fabs(d.mean - want), 4 * d.mcse, "%s, %s: moment %d of %d: %g +- %g, want %g", what->what,
                         data ? "coefficients" : "latents", moment, j, d.mean, d.mcse, want);
        }
    record_clear(&r);
    free(pictures);
    free(x);
    free(value);
    free(chain);
}

/* The scales are those of the precision's diagonal, within what simulations allow. */
static void check_scales(wf_anneal *a, const target *what, const truth *t)
{
    double expected[D], probed[2 * D], z[2 * D], off[3] = {0};
    cr_assert_eq(wf_anneal_expect(a, 1, expected), 0, "%s", wf_error());
    cr_assert_eq(wf_anneal_start(a, 2, (uint64_t[]){1, 2}, 1, z), 0);
    cr_assert_eq(wf_anneal_probe(a, 2, z, 1, (uint64_t[]){7, 8}, probed), 0, "%s", wf_error());
    for (int i = 0; i < D; i++) {
        off[0] += log(expected[i] * t->Q[i][i]) / D;
        off[1] += log(probed[i] * t->Q[i][i]) / D;
        off[2] += log(probed[D + i] * t->Q[i][i]) / D;
        cr_expect(fabs(log(expected[i] * t->Q[i][i])) < 0.6, "%s: %d: %g, want %g", what->what, i, expected[i],
                  1 / t->Q[i][i]);
    }
    for (int i = 0; i < 3; i++)
        cr_expect(fabs(off[i]) < 0.2, "%s: scales off by %g", what->what, off[i]);
}

Test(measured, a_linear_flow_has_the_known_posterior, .timeout = 300)
{
    shaking by = {0.2, 0};
    static truth t;
    scratch_make();
    wf_model model = make_model("model", LEVELS, H, C);
    for (int level = 0; level <= LEVELS; level++)
        save_level(&model, level, "actnorm, conv1x1, actnorm", shake, &by);
    wf_backend *b = open_backend("cpu", 1);
    for (int i = 0; i < 2 * TARGETS; i += 1 + i % 2 * 4) { /* both spaces of the first, fourth .. target */
        const target *what = &targets[i / 2];
        wf_measured *m = open_measured(what);
        wf_anneal *latent = open_anneal(&model, m, 1, false, b, CHAINS), *a = latent;
        float y[CHAINS * D];
        double x[D];
        cr_assert_eq(wf_anneal_start(latent, 1, (uint64_t[]){0}, 2, x), 0);
        cr_assert_eq(wf_anneal_measure(latent, m, 1, x, 2, (uint64_t[]){0}, y), 0);
        for (size_t c = 1; c < CHAINS; c++)
            memcpy(y + c * wf_measured_size(m), y, wf_measured_size(m) * sizeof *y);
        find_truth(latent, m, y, what->spec.noise, &t);
        if (i % 2)
            a = open_anneal(&model, m, 1, true, b, CHAINS);
        else
            check_scales(latent, what, &t);
        cr_assert_eq(wf_anneal_condition(a, CHAINS, y), 0, "%s", wf_error());
        check_draws(a, what, &t, i % 2);
        if (i % 2)
            wf_anneal_destroy(a);
        wf_anneal_destroy(latent);
        wf_measured_destroy(m);
    }
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

/* -- coverage ------------------------------------------------------------------------------------------------------ */

Test(measured, uniform_ranks)
{
    const int flat[9] = {5, 5, 5, 5, 5, 5, 5, 5, 5}, steep[9] = {45}, five[5] = {10, 4, 6, 5, 5};
    wf_coverage_run runs[45] = {0};
    int bins, count[WF_COVERAGE_BINS];
    cr_expect_float_eq(wf_coverage_uniform(9, flat), 1, 1e-12);
    cr_expect_lt(wf_coverage_uniform(9, steep), 1e-60);
    cr_expect_float_eq(wf_coverage_uniform(5, five), exp(-11. / 6) * (1 + 11. / 6),
                       1e-12); /* chi-square 22 / 6, of 4 */
    for (int i = 0; i < 45; i++)
        runs[i].rank[0] = i;
    wf_coverage_histogram(45, runs, 0, &bins, count);
    cr_expect(bins == 9 && !memcmp(count, flat, sizeof flat));
    wf_coverage_histogram(30, runs, 0, &bins, count);
    cr_expect(bins == 5 && count[0] == 9 && count[3] == 3 && count[4] == 0);
}
