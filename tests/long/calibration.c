/* calibration.c - simulation-based calibration of the sampler (Talts et al. 2018) on a conjugate model
 *
 * Each of 1,000 replications draws parameters from the prior and data from the parameters; the sampler draws from the
 * posterior. The rank of the true parameter among these draws is uniform if, and in effect only if, the sampler is
 * right. Per group: precision ~ Gamma(3,1), mean | precision ~ N(0, 1 / precision), three observations ~ N(mean, 1 /
 * precision); the parameters are the mean and the log deviation. Chains start at 0 and adapt. The log density is ranked
 * too: it shows errors that cancel in each parameter.
 *
 * Ranks cannot show two things, which are tested directly: trajectories turn (without the criterion a sampler is right,
 * but slow), and step sizes stay fixed after adaptation. Prints totals in the form that tests/run.sh reads.
 * tests/long/nuts.sh also builds this file from broken sources. */
#include <stdio.h>
#include <string.h>

#include "../../lib/base/philox.h"
#include "../nuts.h"

enum { REPLICATIONS = 1000, GROUPS = 4, D = 2 * GROUPS, DATA = 3, ADAPT = 100, DRAWS = 63, THIN = 5, BINS = 16 };

typedef struct study {
    double truth[REPLICATIONS][D], y[REPLICATIONS][GROUPS][DATA], truth_density[REPLICATIONS];
    int below[REPLICATIONS][D + 1]; /* number of draws below the true value; last: of the log density */
    double step[REPLICATIONS];
    bool step_changed;
    int deepest;
} study;

/* Log density up to a constant, mean m and log deviation s: N(m; 0, e^s), Gamma(e^-2s; 3, 1) with its Jacobian, N(y; m,
 * e^s). */
static double group_density(const double *y, const double *q, double *g)
{
    double precision = exp(-2 * q[1]), squares = q[0] * q[0], slope = -q[0];
    for (int i = 0; i < DATA; i++) {
        squares += (y[i] - q[0]) * (y[i] - q[0]);
        slope += y[i] - q[0];
    }
    g[0] = precision * slope;
    g[1] = precision * (squares + 2) - (6 + 1 + DATA);
    return -0.5 * precision * (squares + 2) - (6 + 1 + DATA) * q[1];
}

static double log_density(const study *t, int replication, const double *q, double *g)
{
    double logp = 0;
    for (int k = 0; k < GROUPS; k++)
        logp += group_density(t->y[replication][k], q + 2 * k, g + 2 * k);
    return logp;
}

static int batch(void *user, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    for (int j = 0; j < n; j++)
        logp[j] = log_density(user, chain[j], x + (size_t)j * D, gradient + (size_t)j * D);
    return WF_OK;
}

static void simulate(study *t, int replication)
{
    double n[16], none[D];
    for (int k = 0; k < GROUPS; k++) {
        wf_philox_stream stream = wf_philox_of_picture(1, 1, (uint64_t)k, (uint64_t)replication);
        double precision = 0;
        for (uint32_t b = 0; b < 8; b++) {
            wf_philox_words w = wf_philox(stream, b);
            wf_normal_pair(w.w0, w.w1, &n[2 * b], &n[2 * b + 1]);
        }
        for (int i = 0; i < 6; i++)
            precision += n[i] * n[i] / 2; /* half the sum of six squared normals: Gamma(3,1) */
        double deviation = 1 / sqrt(precision), *q = t->truth[replication] + 2 * k;
        q[0] = deviation * n[6];
        q[1] = log(deviation);
        for (int i = 0; i < DATA; i++)
            t->y[replication][k][i] = q[0] + deviation * n[7 + i];
    }
    t->truth_density[replication] = log_density(t, replication, t->truth[replication], none);
}

static int rank(void *user, int chain, const double *x, const wf_nuts_draw *draw)
{
    study *t = user;
    t->deepest = draw->depth > t->deepest && !draw->adapting ? draw->depth : t->deepest;
    if (draw->iteration == ADAPT)
        t->step[chain] = draw->step;
    t->step_changed |= draw->iteration > ADAPT && draw->step != t->step[chain];
    if (draw->adapting || (draw->iteration - ADAPT) % THIN != THIN - 1)
        return WF_OK;
    for (int i = 0; i < D; i++)
        t->below[chain][i] += x[i] < t->truth[chain][i];
    t->below[chain][D] += draw->log_density < t->truth_density[chain];
    return WF_OK;
}

/* Chi-square score of the ranks of dimensions first, first + by, ... */
static double score(const study *t, int first, int end, int by)
{
    double count[BINS] = {0};
    for (int r = 0; r < REPLICATIONS; r++)
        for (int i = first; i < end; i += by)
            count[t->below[r][i] * BINS / (DRAWS + 1)]++;
    return uniform_score(count, BINS);
}

static int report(const char *what, double value, double limit)
{
    bool ok = value < limit;
    printf("%s: calibration: %s: %.2f (limit %g)\n", ok ? "pass" : "FAIL", what, value, limit);
    return !ok;
}

int main(void)
{
    static study t;
    wf_nuts_options o = wf_nuts_defaults;
    wf_nuts *s;
    o.seed = 5;
    o.target = 0.35; /* long steps: with large energy errors a wrong choice of draws shows */
    o.max_depth = 8;
    o.adapt = ADAPT;
    if (wf_nuts_create(REPLICATIONS, D, &o, batch, &t, &s))
        return 1;
    for (int r = 0; r < REPLICATIONS; r++)
        simulate(&t, r);
    if (wf_nuts_run(s, ADAPT + DRAWS * THIN, rank, &t)) {
        printf("FAIL: calibration: %s\n0 passed, 1 failed, 0 skipped\n", wf_error());
        return 1;
    }
    wf_nuts_cost cost = wf_nuts_spent(s);
    int failed = report("ranks of means, normal score", score(&t, 0, D, 2), 4);
    failed += report("ranks of log deviations, normal score", score(&t, 1, D, 2), 4);
    failed += report("ranks of the log density, normal score", score(&t, D, D + 1, 1), 4);
    failed += report("a step size changed after adaptation", t.step_changed, 0.5);
    failed += report("deepest trajectory", t.deepest, o.max_depth - 0.5);
    printf("%.1f gradients a draw; batches of all chains would have asked for %.2f times as many\n",
           (double)cost.evaluations / REPLICATIONS / (ADAPT + DRAWS * THIN),
           (double)cost.calls * REPLICATIONS / (double)cost.evaluations);
    wf_nuts_destroy(s);
    printf("%d passed, %d failed, 0 skipped\n", 5 - failed, failed);
    return failed != 0;
}
