/* posteriors.c - the sampler on ten posteriors of posteriordb, against its reference draws
 *
 *     posteriors FOLDER
 *
 * FOLDER has a JSON file per posterior: the data, and for each parameter mean, mean square and their errors
 * (stan-dev/posteriordb, BSD-3). Densities are over parameters on the unconstrained scale, with the Jacobian: exp for
 * positive parameters, the logistic function for parameters between bounds. Prints a line per posterior, and totals in
 * the form that tests/run.sh reads. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "../nuts.h"

enum { CHAINS = 4, ADAPT = 1000, MOST = 16, MOST_DATA = 1200, COLUMNS = 8 };

typedef struct data {
    int N, J; /* observations, regression coefficients */
    double y[MOST_DATA], x[MOST_DATA][COLUMNS], sigma1;
} data;

/* Log density of one position and its gradient [D], zero on entry. */
typedef double density(const data *d, const double *q, double *g);

/* -- pieces ------------------------------------------------------------------------------------------------------- */

/* Log density of N(mean, deviation) at x up to a constant. Adds the derivative by x, the negative of that by the mean,
 * to *slope, and the derivative by log deviation to *log_slope. */
static double normal(double x, double mean, double deviation, double *slope, double *log_slope)
{
    double z = (x - mean) / deviation;
    *slope -= z / deviation;
    *log_slope += z * z - 1;
    return -0.5 * z * z - log(deviation);
}

/* Prior N(mean, deviation) of x. */
static double prior(double x, double mean, double deviation, double *g)
{
    double none = 0;
    return normal(x, mean, deviation, g, &none);
}

/* Half-Cauchy of scale s, of sigma = exp(log_sigma), with the Jacobian. */
static double half_cauchy(double log_sigma, double s, double *g)
{
    double square = exp(2 * log_sigma) / (s * s);
    *g += 1 - 2 * square / (1 + square);
    return log_sigma - log1p(square);
}

/* Half-normal of scale s, of sigma = exp(log_sigma), with the Jacobian. */
static double half_normal(double log_sigma, double s, double *g)
{
    double square = exp(2 * log_sigma) / (s * s);
    *g += 1 - square;
    return log_sigma - 0.5 * square;
}

/* A parameter between 0 and 1, with the Jacobian's part of density and gradient. */
static double logistic(double q, double *logp, double *g)
{
    double p = 1 / (1 + exp(-q));
    *logp += log(p) + log1p(-p);
    *g += 1 - 2 * p;
    return p;
}

/* Linear regression: y ~ N(x beta, exp(q[J])), likelihood alone. */
static double regression(const data *d, const double *q, double *g)
{
    double logp = 0, sigma = exp(q[d->J]);
    for (int i = 0; i < d->N; i++) {
        double mean = 0, slope = 0;
        for (int j = 0; j < d->J; j++)
            mean += q[j] * d->x[i][j];
        logp += normal(d->y[i], mean, sigma, &slope, &g[d->J]);
        for (int j = 0; j < d->J; j++)
            g[j] -= slope * d->x[i][j];
    }
    return logp;
}

/* -- the ten ------------------------------------------------------------------------------------------------------ */

static double flat(const data *d, const double *q, double *g)
{
    g[d->J] += 1;
    return regression(d, q, g) + q[d->J];
}

static double kidscore(const data *d, const double *q, double *g)
{
    return regression(d, q, g) + half_cauchy(q[2], 2.5, &g[2]);
}

static double blr(const data *d, const double *q, double *g)
{
    double logp = regression(d, q, g) + half_normal(q[d->J], 10, &g[d->J]);
    for (int j = 0; j < d->J; j++)
        logp += prior(q[j], 0, 10, &g[j]);
    return logp;
}

static double ark(const data *d, const double *q, double *g)
{
    double logp = regression(d, q, g) + half_cauchy(q[d->J], 2.5, &g[d->J]);
    for (int j = 0; j < d->J; j++)
        logp += prior(q[j], 0, 10, &g[j]);
    return logp;
}

/* mu, phi, theta, log sigma. Derivatives of err[t] follow the recursion forward. */
static double arma(const data *d, const double *q, double *g)
{
    double sigma = exp(q[3]), logp = half_cauchy(q[3], 2.5, &g[3]), err = 0, by[3] = {0, 0, 0};
    logp += prior(q[0], 0, 10, &g[0]) + prior(q[1], 0, 2, &g[1]) + prior(q[2], 0, 2, &g[2]);
    for (int t = 0; t < d->N; t++) {
        double before = t ? d->y[t - 1] : q[0], slope = 0;
        double next[3] = {-1 - (t ? 0 : q[1]) - q[2] * by[0], -before - q[2] * by[1], -err - q[2] * by[2]};
        err = d->y[t] - q[0] - q[1] * before - q[2] * err;
        memcpy(by, next, sizeof by);
        logp += normal(err, 0, sigma, &slope, &g[3]);
        for (int j = 0; j < 3; j++)
            g[j] += slope * by[j];
    }
    return logp;
}

/* theta_trans[8], mu, log tau. */
static double schools(const data *d, const double *q, double *g)
{
    double tau = exp(q[9]), logp = prior(q[8], 0, 5, &g[8]) + half_cauchy(q[9], 5, &g[9]), none = 0;
    for (int j = 0; j < 8; j++) {
        double slope = 0;
        logp += prior(q[j], 0, 1, &g[j]) + normal(d->y[j], q[8] + tau * q[j], d->x[j][0], &slope, &none);
        g[j] -= slope * tau;
        g[8] -= slope;
        g[9] -= slope * tau * q[j];
    }
    return logp;
}

static void schools_out(const double *q, double *out)
{
    for (int j = 0; j < 8; j++)
        out[j] = q[8] + exp(q[9]) * q[j];
    out[8] = q[8];
    out[9] = exp(q[9]);
}

/* mu, log alpha0, alpha1 in (0,1), beta1 in (0,1-alpha1): derivatives of the variance s2 by mu, alpha0, alpha1,
 * beta1. */
static double garch(const data *d, const double *q, double *g)
{
    double logp = q[1], a0 = exp(q[1]), by[4] = {0}, s2 = d->sigma1 * d->sigma1, all[4] = {0};
    double a1 = logistic(q[2], &logp, &g[2]), share = logistic(q[3], &logp, &g[3]), b1 = share * (1 - a1);
    logp += log1p(-a1);
    g[1] += 1;
    g[2] -= a1;
    for (int t = 0; t < d->N; t++) {
        if (t) {
            double off = d->y[t - 1] - q[0];
            double next[4] = {-2 * a1 * off, 1, off * off, s2};
            for (int j = 0; j < 4; j++)
                by[j] = next[j] + b1 * by[j];
            s2 = a0 + a1 * off * off + b1 * s2;
        }
        double slope = 0, log_slope = 0;
        logp += normal(d->y[t], q[0], sqrt(s2), &slope, &log_slope);
        all[0] -= slope;
        for (int j = 0; j < 4; j++)
            all[j] += log_slope * by[j] / (2 * s2);
    }
    g[0] += all[0];
    g[1] += all[1] * a0;
    g[2] += (all[2] - share * all[3]) * a1 * (1 - a1);
    g[3] += all[3] * (1 - a1) * share * (1 - share);
    return logp;
}

static void garch_out(const double *q, double *out)
{
    out[0] = q[0];
    out[1] = exp(q[1]);
    out[2] = 1 / (1 + exp(-q[2]));
    out[3] = (1 - out[2]) / (1 + exp(-q[3]));
}

/* Inverts the symmetric positive definite A [n,n] in place by Gauss-Jordan; returns the log of its determinant. */
static double invert(int n, double A[n][n])
{
    double logdet = 0;
    for (int k = 0; k < n; k++) {
        double pivot = A[k][k];
        logdet += log(pivot);
        A[k][k] = 1;
        for (int j = 0; j < n; j++)
            A[k][j] /= pivot;
        for (int i = 0; i < n; i++) {
            double factor = A[i][k];
            if (i == k)
                continue;
            A[i][k] = 0;
            for (int j = 0; j < n; j++)
                A[i][j] -= factor * A[k][j];
        }
    }
    return logdet;
}

/* log rho, log alpha, log sigma. The derivative by a parameter is tr((v v' - A^-1) dA) / 2 with v = A^-1 y. */
static double process(const data *d, const double *q, double *g)
{
    enum { N = 11 };
    double rho = exp(q[0]), alpha = exp(q[1]), sigma = exp(q[2]), K[N][N], A[N][N], v[N] = {0};
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double off = (d->x[i][0] - d->x[j][0]) / rho;
            K[i][j] = alpha * alpha * exp(-0.5 * off * off);
            A[i][j] = K[i][j] + (i == j ? sigma : 0);
        }
    double logp = -0.5 * invert(N, A);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            v[i] += A[i][j] * d->y[j];
    for (int i = 0; i < N; i++) {
        logp -= 0.5 * d->y[i] * v[i];
        for (int j = 0; j < N; j++) {
            double off = (d->x[i][0] - d->x[j][0]) / rho, weight = 0.5 * (v[i] * v[j] - A[i][j]);
            g[0] += weight * K[i][j] * off * off;
            g[1] += weight * K[i][j] * 2;
            g[2] += i == j ? weight * sigma : 0;
        }
    }
    g[0] += 25 - 4 * rho;
    return logp + 25 * q[0] - 4 * rho + half_normal(q[1], 2, &g[1]) + half_normal(q[2], 1, &g[2]);
}

/* mu1, log(mu2 - mu1), log sigma1, log sigma2, theta. */
static double mixture(const data *d, const double *q, double *g)
{
    double mu[2] = {q[0], q[0] + exp(q[1])}, sigma[2] = {exp(q[2]), exp(q[3])}, by_mu[2] = {0, 0}, logit = 0;
    double logp = q[1] + half_normal(q[2], 2, &g[2]) + half_normal(q[3], 2, &g[3]);
    double theta = logistic(q[4], &logit, &g[4]);
    logp += 5 * logit; /* Beta(5,5) with its Jacobian is theta^5 (1 - theta)^5 */
    g[4] *= 5;
    for (int j = 0; j < 2; j++)
        logp += prior(mu[j], 0, 2, &by_mu[j]);
    for (int i = 0; i < d->N; i++) {
        double slope[2] = {0, 0}, log_slope[2] = {0, 0};
        double a = log(theta) + normal(d->y[i], mu[0], sigma[0], &slope[0], &log_slope[0]);
        double b = log1p(-theta) + normal(d->y[i], mu[1], sigma[1], &slope[1], &log_slope[1]);
        double share = 1 / (1 + exp(b - a)), weight[2] = {share, 1 - share};
        logp += fmax(a, b) + log1p(exp(-fabs(a - b)));
        for (int j = 0; j < 2; j++) {
            by_mu[j] -= weight[j] * slope[j];
            g[2 + j] += weight[j] * log_slope[j];
        }
        g[4] += share - theta;
    }
    g[0] += by_mu[0] + by_mu[1];
    g[1] += 1 + by_mu[1] * exp(q[1]);
    return logp;
}

static void mixture_out(const double *q, double *out)
{
    out[0] = q[0];
    out[1] = q[0] + exp(q[1]);
    out[2] = exp(q[2]);
    out[3] = exp(q[3]);
    out[4] = 1 / (1 + exp(-q[4]));
}

/* -- data --------------------------------------------------------------------------------------------------------- */

static double value(const json_t *json, const char *key, int i)
{
    return json_number_value(json_array_get(json_object_get(json, key), (size_t)i));
}

static void load_column(const json_t *json, const char *key, data *d, int column)
{
    for (int i = 0; i < d->N; i++)
        d->x[i][column] = value(json, key, i);
}

static void load_y(const json_t *json, const char *key, data *d)
{
    d->N = (int)json_array_size(json_object_get(json, key));
    for (int i = 0; i < d->N; i++) {
        d->y[i] = value(json, key, i);
        d->x[i][0] = 1;
    }
}

static void load_ark(const json_t *json, data *d)
{
    load_y(json, "y", d);
    d->N -= 5;
    for (int i = 0; i < d->N; i++)
        for (int k = 1; k <= 5; k++)
            d->x[i][k] = d->y[i + 5 - k];
    memmove(d->y, d->y + 5, (size_t)d->N * sizeof *d->y);
}

static void load_series(const json_t *json, data *d)
{
    load_y(json, "y", d);
    d->sigma1 = json_number_value(json_object_get(json, "sigma1"));
}

static void load_earnings(const json_t *json, data *d)
{
    load_y(json, "earn", d);
    load_column(json, "height", d, 1);
    for (int i = 0; i < d->N; i++)
        d->y[i] = log(d->y[i]);
}

static void load_kids(const json_t *json, data *d)
{
    load_y(json, "kid_score", d);
    load_column(json, "mom_iq", d, 1);
}

static void load_mesquite(const json_t *json, data *d)
{
    static const char *const keys[] = {"diam1", "diam2", "canopy_height", "total_height", "density"};
    load_y(json, "weight", d);
    load_column(json, "group", d, 6);
    for (int j = 0; j < 5; j++)
        load_column(json, keys[j], d, j + 1);
    for (int i = 0; i < d->N; i++) {
        d->y[i] = log(d->y[i]);
        for (int j = 1; j <= 5; j++)
            d->x[i][j] = log(d->x[i][j]);
    }
}

static void load_schools(const json_t *json, data *d)
{
    load_y(json, "y", d);
    load_column(json, "sigma", d, 0);
}

static void load_process(const json_t *json, data *d)
{
    load_y(json, "y", d);
    load_column(json, "x", d, 0);
}

static void load_blr(const json_t *json, data *d)
{
    load_y(json, "y", d);
    for (int i = 0; i < d->N; i++)
        for (size_t j = 0; j < 5; j++)
            d->x[i][j] = json_number_value(json_array_get(json_array_get(json_object_get(json, "X"), (size_t)i), j));
}

/* The quantities that the reference lists. `out` NULL: the parameters themselves, the last one through exp. */
static const struct posterior {
    const char *name;
    int D, J;
    void (*load)(const json_t *json, data *d);
    density *density;
    void (*out)(const double *q, double *out);
    int draws;
    double start; /* of every parameter, approximately */
} posteriors[] = {
    {"arK-arK", 7, 6, load_ark, ark, NULL, 1000, 0},
    {"arma-arma11", 4, 0, load_series, arma, NULL, 1000, 0},
    {"earnings-logearn_height", 3, 2, load_earnings, flat, NULL, 1000, 0},
    {"eight_schools-eight_schools_noncentered", 10, 0, load_schools, schools, schools_out, 1000, 0},
    {"garch-garch11", 4, 0, load_series, garch, garch_out, 1000, 0},
    {"gp_pois_regr-gp_regr", 3, 0, load_process, process, NULL, 1000, 0.5},
    {"kidiq-kidscore_momiq", 3, 2, load_kids, kidscore, NULL, 1000, 0},
    {"low_dim_gauss_mix-low_dim_gauss_mix", 5, 0, load_series, mixture, mixture_out, 1000, 0},
    {"mesquite-logmesquite", 8, 7, load_mesquite, flat, NULL, 1000, 0},
    {"sblrc-blr", 6, 5, load_blr, blr, NULL, 1000, 0},
};

/* -- runs --------------------------------------------------------------------------------------------------------- */

typedef struct task {
    const struct posterior *posterior;
    data data;
    record *record;
} task;

static int batch(void *user, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    const task *t = user;
    size_t D = (size_t)t->posterior->D;
    (void)chain;
    memset(gradient, 0, (size_t)n * D * sizeof *gradient);
    for (size_t j = 0; j < (size_t)n; j++)
        logp[j] = t->posterior->density(&t->data, x + j * D, gradient + j * D);
    return WF_OK;
}

static int record_parameters(void *user, int chain, const double *q, const wf_nuts_draw *draw)
{
    const task *t = user;
    double out[MOST];
    if (t->posterior->out) {
        t->posterior->out(q, out);
    } else {
        memcpy(out, q, (size_t)t->posterior->D * sizeof *out);
        out[t->posterior->D - 1] = exp(out[t->posterior->D - 1]);
        if (t->posterior->density == process)
            out[0] = exp(out[0]), out[1] = exp(out[1]);
    }
    return record_draw(t->record, chain, out, draw);
}

/* The largest relative difference between the gradient and central differences near the start: checks the test
 * itself. */
static double gradient_error(const task *t, const double *q)
{
    double g[MOST] = {0}, none[MOST], at[MOST], worst = 0, scale = 1;
    int D = t->posterior->D;
    t->posterior->density(&t->data, q, g);
    for (int i = 0; i < D; i++)
        scale = fmax(scale, fabs(g[i]));
    memcpy(at, q, (size_t)D * sizeof *at);
    for (int i = 0; i < D; i++) {
        const double h = 1e-5;
        at[i] = q[i] + h;
        double above = t->posterior->density(&t->data, at, none);
        at[i] = q[i] - h;
        double below = t->posterior->density(&t->data, at, none);
        at[i] = q[i];
        worst = fmax(worst, fabs((above - below) / (2 * h) - g[i]) / scale);
    }
    return worst;
}

/* Largest distance of a mean or a mean square from the reference, in combined standard errors; NAN with too few
 * draws. */
static double compare(const record *r, const json_t *reference, double *rhat)
{
    const char *name;
    json_t *want;
    double worst = 0;
    size_t i = 0, all = CHAINS * r->draws;
    double *square = malloc(all * sizeof *square);
    json_object_foreach ((json_t *)reference, name, want) {
        const double *x = record_of(r, i++);
        wf_diagnosis d;
        for (size_t n = 0; n < all; n++)
            square[n] = x[n] * x[n];
        double mean = distance(r, x, json_number_value(json_object_get(want, "mean")),
                               json_number_value(json_object_get(want, "mcse_mean")));
        double mean_square = distance(r, square, json_number_value(json_object_get(want, "mean_square")),
                                      json_number_value(json_object_get(want, "mcse_mean_square")));
        if (wf_diagnose(CHAINS, r->draws, x, &d) == WF_OK)
            *rhat = fmax(*rhat, d.rhat);
        if (!(fabs(mean) < 4) || !(fabs(mean_square) < 4))
            printf("    %s: mean off by %.2f, mean square by %.2f errors, %.0f effective draws\n", name, mean,
                   mean_square, d.ess_mean);
        worst = isnan(mean + mean_square) ? NAN : fmax(worst, fmax(fabs(mean), fabs(mean_square)));
        if (isnan(worst))
            break;
    }
    free(square);
    return i == r->D || isnan(worst) ? worst : NAN;
}

static bool passes(const char *folder, const struct posterior *p)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.json", folder, p->name);
    json_t *json = json_load_file(path, 0, NULL);
    wf_nuts_options o = wf_nuts_defaults;
    wf_nuts *s = NULL;
    static task t;
    record r = record_create(CHAINS, (size_t)p->D, ADAPT, (size_t)p->draws);
    t = (task){.posterior = p, .record = &r};
    t.data.J = p->J;
    p->load(json_object_get(json, "data"), &t.data);
    o.seed = 1;
    o.adapt = ADAPT;
    o.diagonal_mass = true;
    o.target = 0.9;
    bool ok = json && wf_nuts_create(CHAINS, (size_t)p->D, &o, batch, &t, &s) == WF_OK;
    double error = 0, rhat = 0, worst = NAN;
    for (int c = 0; ok && c < CHAINS; c++) {
        double x[MOST];
        for (int i = 0; i < p->D; i++)
            x[i] = p->start + 0.1 * sin(1 + c + 4 * i);
        error = fmax(error, gradient_error(&t, x));
        wf_nuts_place(s, c, (uint64_t)c, x);
    }
    ok = ok && wf_nuts_run(s, ADAPT + (uint64_t)p->draws, record_parameters, &t) == WF_OK;
    if (ok)
        worst = compare(&r, json_object_get(json, "reference"), &rhat);
    else
        printf("    %s\n", json ? wf_error() : path);
    ok = ok && worst < 4 && rhat < 1.01 && error < 1e-6;
    printf("%s: %s: off by at most %.2f errors, R-hat %.4f, E-BFMI %.2f, %lu divergent, %.1f gradients a draw, "
           "gradient error %.1e\n",
           ok ? "pass" : "FAIL", p->name, worst, rhat, wf_ebfmi(CHAINS, r.draws, r.energy), (unsigned long)r.divergent,
           (double)r.leapfrogs / (double)(CHAINS * r.draws), error);
    wf_nuts_destroy(s);
    record_clear(&r);
    json_decref(json);
    return ok;
}

int main(int argc, char **argv)
{
    int count = sizeof posteriors / sizeof *posteriors, passed = 0;
    for (int i = 0; argc == 2 && i < count; i++)
        passed += passes(argv[1], &posteriors[i]);
    printf("%d passed, %d failed, 0 skipped\n", passed, count - passed);
    return passed != count;
}
