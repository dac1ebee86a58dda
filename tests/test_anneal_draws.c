/* test_anneal_draws.c - draws of the No-U-Turn sampler from annealed levels, against quadrature in two dimensions and,
 * at T = 1, against exact samples */
#include "../lib/sample/sample.h"
#include "annealed_draws.h"

/* -- two dimensions: against quadrature ---------------------------------------------------------------------------- */

enum { STATISTICS = 6 };

/* The statistics compared: means, variances, a wave, and the log density. */
static void statistics(const double *x, double logp, const double mean[2], double out[STATISTICS])
{
    out[0] = x[0];
    out[1] = x[1];
    out[2] = pow(x[0] - mean[0], 2);
    out[3] = pow(x[1] - mean[1], 2);
    out[4] = cos(2 * x[0] + 3 * x[1]);
    out[5] = logp;
}

/* Expectations under p^g / Z; returns Z. */
static double integrate(const plane *p, double g, double out[STATISTICS])
{
    double mean[2] = {0, 0}, sum;
    for (int pass = 0; pass < 2; pass++) {
        double total[STATISTICS] = {0}, f[STATISTICS];
        sum = 0;
        for (size_t i = 0; i < CELLS; i++) {
            double weight = exp(g * p->logp[i]);
            statistics(p->x + 2 * i, p->logp[i], mean, f);
            sum += weight;
            for (int k = 0; k < STATISTICS; k++)
                total[k] += weight * f[k];
        }
        for (int k = 0; k < STATISTICS; k++)
            out[k] = total[k] / sum;
        memcpy(mean, out, sizeof mean);
    }
    return sum * p->step[0] * p->step[1];
}

static void check_plane(const wf_model *model, const plane *p, evaluator *e, double temperature, bool data)
{
    static const char *const names[STATISTICS] = {"mean 0", "mean 1", "variance 0", "variance 1", "wave", "log p"};
    enum { RUNS = 64, DRAWS = 192, ALL = RUNS * DRAWS };
    double truth[STATISTICS], f[STATISTICS], *values = malloc(STATISTICS * ALL * sizeof *values), worst = 0;
    wf_anneal_spec spec = {.H = 1, .W = 1, .temperature = {temperature}, .data = data};
    wf_anneal *a = anneal(model, &spec, e->b, RUNS);
    integrate(p, 1 / (temperature * temperature), truth);
    record r = draw(a, RUNS, DRAWS, 2);
    double *x = coefficients(a, &r, 2, 0), rows[2 * BATCH], logp[BATCH];
    for (size_t n = 0; n < ALL; n++) {
        if (n % BATCH == 0) {
            for (size_t i = 0; i < 2 * BATCH; i++)
                rows[i] = x[i % 2 * ALL + n + i / 2];
            log_density(e, rows, logp);
        }
        statistics(rows + n % BATCH * 2, logp[n % BATCH], truth, f);
        for (size_t k = 0; k < STATISTICS; k++)
            values[k * ALL + n] = f[k];
    }
    for (size_t k = 0; k < STATISTICS; k++) {
        double off = distance(&r, values + k * ALL, truth[k], 0);
        cr_expect(fabs(off) < 4, "T %g, %s: %s off by %.1f standard errors of %.5f", temperature,
                  data ? "data" : "latent", names[k], off, truth[k]);
        worst = fmax(worst, fabs(off));
    }
    cr_log_info("quadrature in 2 dimensions, T %g, %s: off by at most %.1f standard errors, %.1f gradients a draw",
                temperature, data ? "data" : "latent", worst, (double)r.leapfrogs / ALL);
    record_clear(&r);
    wf_anneal_destroy(a);
    free(values);
    free(x);
}

Test(annealed_draws, agree_with_quadrature, .timeout = 300)
{
    double plain[STATISTICS], annealed[STATISTICS];
    scratch_make();
    wf_model model = bent_model();
    wf_backend *b = open_backend("ref", 1);
    evaluator e = evaluate(&model, 0, b, BATCH);
    plane p = plane_of(&e);
    cr_assert_float_eq(integrate(&p, 1, plain), 1, 1e-3, "the grid holds %g", integrate(&p, 1, plain));
    integrate(&p, 4, annealed);
    for (int k = 0; k < STATISTICS; k++)
        cr_log_info("%d: %g at T 1, %g at T 0.5", k, plain[k], annealed[k]);
    for (int i = 0; i < 6; i++)
        check_plane(&model, &p, &e, (double[]){0.5, 0.7, 0.9}[i / 2], i % 2);
    evaluator_clear(&e);
    free(p.x);
    free(p.logp);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

/* -- T = 1 in the coefficients: chains start at exact samples ----------------------------------------------- */

/* Mean of f [n] and its standard error. */
static double mean_of(const double *f, size_t n, double *error)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += f[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += pow(f[i] - mean, 2) / (double)n;
    *error = sqrt(square / (double)n);
    return mean;
}

/* Distance between the means (`power` 1), or between the mean squares about the exact mean, in combined standard
 * errors. */
static double compare(const record *r, const double *draws, const double *exact, size_t n, int power)
{
    size_t all = (size_t)r->chains * r->draws;
    double error, centre = power == 1 ? 0 : mean_of(exact, n, &error);
    double *f = malloc((all + n) * sizeof *f);
    for (size_t i = 0; i < all + n; i++)
        f[i] = pow((i < all ? draws[i] : exact[i - all]) - centre, power);
    double truth = mean_of(f + all, n, &error), off = distance(r, f, truth, error);
    free(f);
    return off;
}

/* Log densities of positions x. Every row has the low-pass of chain 0, which all chains share. */
static void densities(wf_anneal *a, size_t n, const double *x, double *logp)
{
    int *chain = calloc(n, sizeof *chain);
    double *gradient = malloc(n * wf_anneal_size(a) * sizeof *gradient);
    cr_assert_eq(wf_anneal_density(a, (int)n, chain, x, logp, gradient), 0, "%s", wf_error());
    free(chain);
    free(gradient);
}

static void check_exact(const wf_model *model, int first, int last, wf_backend *b)
{
    enum { EXACT = 6400, RUNS = 64, DRAWS = 150, ALL = RUNS * DRAWS };
    wf_anneal_spec spec = {.first = first, .last = last, .H = 1, .W = 1, .temperature = {1, 1, 1}, .data = true};
    wf_anneal *a = anneal(model, &spec, b, EXACT);
    size_t D = wf_anneal_size(a);
    float low[3 * EXACT];
    uint64_t id[EXACT];
    double *x = malloc(EXACT * D * sizeof *x), *rows = malloc(ALL * D * sizeof *rows),
           *column = malloc(EXACT * sizeof *x);
    double *logp = malloc(EXACT * sizeof *logp), *drawn = malloc(ALL * sizeof *drawn), worst = 0;
    for (int c = 0; c < EXACT; c++) {
        id[c] = 1000 + (uint64_t)c;
        memcpy(low + 3 * c, (float[]){100, 140, 90}, 3 * sizeof *low);
    }
    cr_assert_eq(wf_anneal_condition(a, EXACT, first ? low : NULL), 0, "%s", wf_error());
    cr_assert_eq(wf_anneal_start(a, EXACT, id, 1, x), 0, "%s", wf_error());
    densities(a, EXACT, x, logp);
    record r = draw(a, RUNS, DRAWS, 4);
    for (size_t n = 0; n < ALL; n++)
        for (size_t i = 0; i < D; i++)
            rows[n * D + i] = record_of(&r, i)[n];
    densities(a, ALL, rows, drawn);
    for (size_t k = 0; k < 6; k++)
        for (int power = 1; power <= 2; power++) {
            size_t i = k < 5 ? k * D / 5 : D; /* last: log p */
            for (size_t n = 0; n < EXACT && i < D; n++)
                column[n] = x[n * D + i];
            double off =
                i < D ? compare(&r, record_of(&r, i), column, EXACT, power) : compare(&r, drawn, logp, EXACT, power);
            cr_expect(fabs(off) < 4, "levels %d to %d: moment %d of %s %zu off by %.1f standard errors", first, last,
                      power, i < D ? "coefficient" : "log p,", i, off);
            worst = fmax(worst, fabs(off));
        }
    cr_log_info("T 1, levels %d to %d: off by at most %.1f standard errors, %.1f gradients a draw", first, last, worst,
                (double)r.leapfrogs / ALL);
    record_clear(&r);
    wf_anneal_destroy(a);
    free(x);
    free(rows);
    free(column);
    free(logp);
    free(drawn);
}

Test(annealed_draws, agree_with_exact_ones, .timeout = 300)
{
    shaking by = {0.05, 0.2};
    scratch_make();
    wf_model model = make_model("model", 2, 4, 3);
    for (int level = 0; level <= 2; level++)
        save_level(&model, level, "2*(actnorm, conv1x1, affine:width=8:blocks=1), actnorm", shake, &by);
    wf_backend *b = open_backend("cpu", 1);
    check_exact(&model, 1, 1, b);
    check_exact(&model, 0, 2, b);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}
