/* test_anneal_joint.c - joint draws of two levels differ from draws of one level after the other. The picture is grey,
 * 2x2: one base coefficient and three details whose spread depends strongly on the base. Quadrature over all four is
 * the reference. */
#include "annealed_draws.h"

enum { SIDE = 21, NODES = SIDE * SIDE * SIDE, BASES = 121, STATISTICS = 3 };

static const double temperature = 0.7;

/* Details shrink as their low-pass grows: half of a net's channels grow with it, half fall. */
static void lean(void *user, const wf_flow *flow, float *weights)
{
    char name[64];
    const wf_param *param;
    size_t where;
    shake(user, flow, weights);
    for (int i = 0; wf_flow_param(flow, i, name, &param, &where); i++) {
        int64_t in = param->shape[3], out = param->shape[0];
        for (int64_t j = 0; strstr(name, "in.w") && j < out; j++)
            weights[where + (size_t)(j * in + in - 1)] = j % 2 ? 1 : -1;    /* the low-pass is the last */
        for (int64_t j = 0; strstr(name, "out.w") && j < out / 2 * in; j++) /* s, then t */
            weights[where + (size_t)j] = j % 2 ? 0.07f : -0.07f;
    }
}

/* Mean and variance of the base, and mean square of the details: under p^g of both levels ("joint"), or under each
 * level's p^g by itself. */
typedef struct truth {
    double joint[STATISTICS], product[STATISTICS];
} truth;

/* For one base value: integrals over D of p(D|x0)^g and of the same times |D|^2, as sums over z. There the density of
 * p^g is close to a normal of variance 1/g, so equal steps converge exponentially. */
static void integrate_details(evaluator *e, double g, double low, double out[2])
{
    static double z[3 * NODES], x[3 * NODES], logdet[NODES];
    const double step = 10 / sqrt(g) / (SIDE - 1);
    for (int i = 0; i < 3 * NODES; i++) {
        int axis = i % 3, node = i / 3,
            place = axis == 0   ? node % SIDE
                    : axis == 1 ? node / SIDE % SIDE
                                : node / SIDE / SIDE;
        z[i] = step * (place - SIDE / 2);
    }
    inverse(e, z, low, x, logdet);
    out[0] = out[1] = 0;
    for (int n = 0; n < NODES; n++) {
        const double *Z = z + 3 * n, *X = x + 3 * n;
        double logp = -0.5 * (Z[0] * Z[0] + Z[1] * Z[1] + Z[2] * Z[2]) + logdet[n];
        double weight = exp(g * logp - logdet[n]); /* p^g dx/dz */
        out[0] += weight;
        out[1] += weight * (X[0] * X[0] + X[1] * X[1] + X[2] * X[2]);
    }
}

static void moments(const double *weight, const double *x, const double *square, double out[STATISTICS])
{
    double sum = 0;
    memset(out, 0, STATISTICS * sizeof *out);
    for (int i = 0; i < BASES; i++) {
        sum += weight[i];
        out[0] += weight[i] * x[i];
        out[2] += weight[i] * square[i];
    }
    out[0] /= sum;
    out[2] /= sum;
    for (int i = 0; i < BASES; i++)
        out[1] += weight[i] / sum * pow(x[i] - out[0], 2);
}

static truth integrate(const wf_model *model, wf_backend *b)
{
    double g = 1 / (temperature * temperature), z[BASES], x[BASES], logdet[BASES], square[BASES], joint[BASES],
           product[BASES];
    evaluator base = evaluate(model, 0, b, BASES), details = evaluate(model, 1, b, NODES);
    truth t;
    for (int i = 0; i < BASES; i++)
        z[i] = 6.0 * (2.0 * i / (BASES - 1) - 1);
    inverse(&base, z, 0, x, logdet);
    for (int i = 0; i < BASES; i++) {
        double inner[2];
        integrate_details(&details, g, x[i], inner);
        product[i] = exp(g * (-0.5 * z[i] * z[i] + logdet[i]) - logdet[i]);
        joint[i] = product[i] * inner[0];
        square[i] = inner[1] / inner[0];
    }
    moments(joint, x, square, t.joint);
    moments(product, x, square, t.product);
    evaluator_clear(&base);
    evaluator_clear(&details);
    return t;
}

static wf_anneal *open_levels(const wf_model *model, int first, int last, bool data, wf_backend *b, int chains)
{
    wf_anneal_spec spec = {
        .first = first, .last = last, .H = 1, .W = 1, .temperature = {temperature, temperature}, .data = data};
    return anneal(model, &spec, b, chains);
}

/* Distances of the draws' statistics from those in `want`. c: coefficients [1 or 4,chains,draws]. */
static void distances(const record *r, const double *c, bool details, const double want[STATISTICS],
                      double out[STATISTICS])
{
    size_t all = (size_t)r->chains * r->draws;
    double *f = malloc(all * sizeof *f);
    out[0] = distance(r, c, want[0], 0);
    for (size_t n = 0; n < all; n++)
        f[n] = pow(c[n] - want[0], 2);
    out[1] = distance(r, f, want[1], 0);
    for (size_t n = 0; details && n < all; n++)
        f[n] = pow(c[all + n], 2) + pow(c[2 * all + n], 2) + pow(c[3 * all + n], 2);
    out[2] = details ? distance(r, f, want[2], 0) : 0;
    free(f);
}

static void check_joint(const wf_model *model, const truth *t, bool data, wf_backend *b)
{
    enum { RUNS = 64, DRAWS = 250 };
    double off[STATISTICS], other[STATISTICS];
    wf_anneal *a = open_levels(model, 0, 1, data, b, RUNS);
    record r = draw(a, RUNS, DRAWS, 3);
    double *c = coefficients(a, &r, 1, 3);
    distances(&r, c, true, t->joint, off);
    distances(&r, c, true, t->product, other);
    for (int k = 0; k < STATISTICS; k++)
        cr_expect(fabs(off[k]) < 4, "%s: statistic %d off by %.1f standard errors of %.4f", data ? "data" : "latent", k,
                  off[k], t->joint[k]);
    cr_expect(fabs(other[0]) > 20, "the product of conditionals is %.1f standard errors away", other[0]);
    cr_log_info("joint, %s: %.1f %.1f %.1f standard errors from the joint, %.1f %.1f %.1f from the product",
                data ? "data" : "latent", off[0], off[1], off[2], other[0], other[1], other[2]);
    record_clear(&r);
    wf_anneal_destroy(a);
    free(c);
}

/* The mean square of the details, from one chain on each of many bases. */
static void check_details(const wf_model *model, const truth *t, wf_backend *b, const float *base, int runs)
{
    enum { DRAWS = 20 };
    double mean = 0, square = 0;
    wf_anneal *a = open_levels(model, 1, 1, false, b, runs);
    cr_assert_eq(wf_anneal_condition(a, runs, base), 0, "%s", wf_error());
    record r = draw(a, runs, DRAWS, 5);
    double *c = coefficients(a, &r, 1, 3);
    for (int i = 0; i < runs; i++) {
        double own = 0;
        for (int n = i * DRAWS; n < (i + 1) * DRAWS; n++)
            for (int k = 1; k < 4; k++)
                own += pow(c[k * runs * DRAWS + n], 2) / DRAWS;
        mean += own / runs;
        square += own * own / runs;
    }
    double error = sqrt((square - mean * mean) / runs);
    cr_expect_lt(fabs(mean - t->product[2]), 4 * error, "mean square %.4f +- %.4f, want %.4f", mean, error,
                 t->product[2]);
    cr_expect_gt(fabs(mean - t->joint[2]), 8 * error, "mean square %.4f +- %.4f, the joint has %.4f", mean, error,
                 t->joint[2]);
    cr_log_info("level by level: mean square of details %.4f +- %.4f", mean, error);
    record_clear(&r);
    wf_anneal_destroy(a);
    free(c);
}

static void check_level_by_level(const wf_model *model, const truth *t, wf_backend *b)
{
    enum { RUNS = 64, DRAWS = 250, KEPT = 10 };
    double off[STATISTICS], other[STATISTICS];
    float picture[RUNS * KEPT];
    wf_anneal *a = open_levels(model, 0, 0, false, b, RUNS);
    record r = draw(a, RUNS, DRAWS, 3);
    double *c = coefficients(a, &r, 1, 0);
    distances(&r, c, false, t->product, off);
    distances(&r, c, false, t->joint, other);
    cr_expect(fabs(off[0]) < 4 && fabs(off[1]) < 4, "base: off by %.1f and %.1f standard errors", off[0], off[1]);
    cr_expect(fabs(other[0]) > 20, "base: the joint is %.1f standard errors away", other[0]);
    cr_log_info("level by level: %.1f %.1f standard errors from the product, %.1f %.1f from the joint", off[0], off[1],
                other[0], other[1]);
    for (int i = 0; i < RUNS * KEPT; i++)
        picture[i] = (float)((c[i * (DRAWS / KEPT)] + 0.5) * 256 - 0.5);
    check_details(model, t, b, picture, RUNS * KEPT);
    record_clear(&r);
    wf_anneal_destroy(a);
    free(c);
}

Test(annealed_joint, is_not_the_product_of_annealed_conditionals, .timeout = 300)
{
    shaking by = {0.05, 0.1};
    scratch_make();
    wf_model model = make_model("model", 1, 2, 1);
    save_level(&model, 0, "actnorm", shake, &by);
    save_level(&model, 1, "3*(actnorm, conv1x1, affine:width=8:blocks=1), actnorm", lean, &by);
    wf_backend *b = open_backend("ref", 1);
    truth t = integrate(&model, b);
    cr_log_info("quadrature: base %.4f, variance %.4f, square of details %.4f; level by level %.4f, %.4f, %.4f",
                t.joint[0], t.joint[1], t.joint[2], t.product[0], t.product[1], t.product[2]);
    check_joint(&model, &t, false, b);
    check_joint(&model, &t, true, b);
    check_level_by_level(&model, &t, b);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}
