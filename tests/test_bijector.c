/* test_bijector.c - walks the registry: inverse, log-determinant against a numeric Jacobian, gradients against finite
 * differences, stored against rebuilt activations, the CPU against the reference. A new bijector needs no code here.
 * Numbers of a discrete word have no Jacobian and no gradient: test_lattice.c sums their probabilities. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../lib/flow/flow.h"
#include "variants.h"

enum { N = 2, BITS = 4, HALVINGS = 1 }; /* the last two for words that are discrete */

typedef struct shape {
    int H, W, K, C;
    wf_signal signal;
    int D;
} shape;

static const shape shapes[] = {
    {1, 1, 3, 0, 0, 0}, {1, 1, 9, 3, 0, 0}, {2, 2, 9, 3, 0, 0}, {3, 5, 9, 3, 0, 0},        {2, 1, 12, 4, 0, 0},
    {3, 3, 3, 1, 0, 0}, {2, 4, 3, 0, 0, 0}, {4, 2, 2, 2, 0, 0}, {1, 5, 2, 1, WF_SOUND, 0}, {4, 2, 3, 1, WF_VOLUME, 2}};
enum {
    VOLUMES = 1,
    NO_PICTURES = 2,
    NO_BANDS = 3
}; /* of these; NO_BANDS: neither a base nor three bands of pictures */

static wf_backend *ref(void)
{
    static wf_backend *b;
    if (!b)
        cr_assert_eq(wf_backend_open("ref", 1, &b), 0, "%s", wf_error());
    return b;
}

static double *random_values(uint64_t seed, double deviation, size_t n)
{
    double *v = calloc(n ? n : 1, sizeof *v);
    wf_init_normal(seed, 7, deviation, v, n);
    return v;
}

static wf_real *device(const double *values, size_t n)
{
    void *memory;
    cr_assert_eq(ref()->alloc(ref(), (n ? n : 1) * sizeof(double), &memory), 0);
    cr_assert_eq(ref()->upload(ref(), memory, values, WF_F64, n), 0);
    return memory;
}

/* A flow over one bijector with everything it takes, on host memory. */
typedef struct bench {
    wf_flow *flow;
    shape s;
    size_t size, params, each; /* reals of x; parameters; reals of one picture */
    double *x, *p, *c;
    wf_real *dx, *dp, *dc;
} bench;

static void initialize(bench *b)
{
    cr_assert_eq(wf_flow_init(b->flow, 3, b->dp), 0, "%s", wf_error());
    cr_assert_eq(ref()->download(ref(), b->p, WF_F64, b->dp, b->params), 0);
}

/* Replaces x by numbers that the discrete word can have: those whose cells have what x is mapped to. */
static void discretize(bench *b)
{
    const wf_real *x;
    cr_assert_eq(wf_flow_forward(b->flow, b->dp, b->dx, b->dc), 0, "%s", wf_error());
    wf_real *z = device(b->x, b->size);
    cr_assert_eq(ref()->copy(ref(), z, wf_flow_latent(b->flow), b->size), 0);
    cr_assert_eq(wf_flow_inverse(b->flow, b->dp, z, b->dc, &x), 0, "%s", wf_error());
    cr_assert_eq(ref()->copy(ref(), b->dx, x, b->size), 0);
    cr_assert_eq(ref()->download(ref(), b->x, WF_F64, x, b->size), 0);
    ref()->free(ref(), z);
}

static bench open_bench(const char *chain, shape s, wf_memory memory)
{
    bench b = {.s = s};
    wf_flow_spec spec = {N, s.H, s.W, s.K, s.C, s.H * s.W == 1 ? 1 : 3, WF_FP32, memory, s.signal, s.D, BITS, HALVINGS};
    cr_assert_eq(wf_flow_create(ref(), chain, &spec, &b.flow), 0, "%s", wf_error());
    b.each = (size_t)(s.H * s.W * s.K);
    b.size = N * b.each;
    b.params = wf_flow_size(b.flow);
    double size = wf_flow_is_discrete(b.flow) ? 0.15 : 0.7; /* numbers of a lattice are within +-1/2 */
    b.x = random_values(1, size, b.size);
    b.c = random_values(2, size, (size_t)(N * s.H * s.W * s.C));
    b.p = calloc(b.params, sizeof *b.p);
    b.dp = device(b.p, b.params);
    initialize(&b);
    /* not near zero, but a permutation must stay one: constants have zero gradient and are left out by name */
    double *shift = random_values(4, 0.15, b.params);
    char name[64];
    const wf_param *param;
    size_t where;
    for (int i = 0; wf_flow_param(b.flow, i, name, &param, &where); i++)
        for (size_t j = 0; j < param->count && !strstr(name, ".p") && !strstr(name, ".sign"); j++)
            b.p[where + j] += shift[where + j];
    free(shift);
    cr_assert_eq(ref()->upload(ref(), b.dp, b.p, WF_F64, b.params), 0);
    b.dx = device(b.x, b.size);
    b.dc = s.C ? device(b.c, (size_t)(N * s.H * s.W * s.C)) : NULL;
    if (wf_flow_is_discrete(b.flow))
        discretize(&b);
    return b;
}

static void close_bench(bench *b)
{
    wf_flow_destroy(b->flow);
    ref()->free(ref(), b->dx);
    ref()->free(ref(), b->dp);
    ref()->free(ref(), b->dc);
    free(b->x);
    free(b->p);
    free(b->c);
}

/* Sum of log densities at the bench's x and p; z (may be NULL) [size]. */
static double run(bench *b, double *z, double *first)
{
    double density[N];
    cr_assert_eq(ref()->upload(ref(), b->dx, b->x, WF_F64, b->size), 0);
    cr_assert_eq(ref()->upload(ref(), b->dp, b->p, WF_F64, b->params), 0);
    cr_assert_eq(wf_flow_forward(b->flow, b->dp, b->dx, b->dc), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_log_density(b->flow, density), 0);
    if (z)
        cr_assert_eq(ref()->download(ref(), z, WF_F64, wf_flow_latent(b->flow), b->size), 0);
    if (first)
        *first = density[0];
    return density[0] + density[1];
}

static double log_abs_determinant(double *m, size_t n)
{
    double sum = 0;
    for (size_t c = 0; c < n; c++) {
        size_t pivot = c;
        for (size_t i = c + 1; i < n; i++)
            if (fabs(m[i * n + c]) > fabs(m[pivot * n + c]))
                pivot = i;
        for (size_t k = 0; k < n; k++) {
            double t = m[c * n + k];
            m[c * n + k] = m[pivot * n + k];
            m[pivot * n + k] = t;
        }
        sum += log(fabs(m[c * n + c]));
        for (size_t i = c + 1; i < n; i++) {
            double f = m[i * n + c] / m[c * n + c];
            for (size_t k = c; k < n; k++)
                m[i * n + k] -= f * m[c * n + k];
        }
    }
    return sum;
}

static void check_inverse(bench *b, const char *what)
{
    double *z = calloc(b->size, sizeof *z), *back = calloc(b->size, sizeof *back), worst = 0;
    const wf_real *x;
    run(b, z, NULL);
    wf_real *dz = device(z, b->size);
    cr_assert_eq(wf_flow_inverse(b->flow, b->dp, dz, b->dc, &x), 0, "%s", wf_error());
    cr_assert_eq(ref()->download(ref(), back, WF_F64, x, b->size), 0);
    for (size_t i = 0; i < b->size; i++)
        worst = fmax(worst, fabs(back[i] - b->x[i]));
    cr_expect_lt(worst, 1e-9, "%s: round trip %g", what, worst);
    ref()->free(ref(), dz);
    free(z);
    free(back);
}

/* log density of picture 0 = log N(z) + log|det| of the Jacobian by central differences. */
static void check_jacobian(bench *b, const char *what)
{
    size_t n = b->each;
    double *J = calloc(n * n, sizeof *J), *up = calloc(b->size, sizeof *up), *down = calloc(b->size, sizeof *down);
    double density, want = 0, h = 1e-5;
    for (size_t i = 0; i < n; i++) {
        double x = b->x[i];
        b->x[i] = x + h;
        run(b, up, NULL);
        b->x[i] = x - h;
        run(b, down, NULL);
        b->x[i] = x;
        for (size_t j = 0; j < n; j++)
            J[j * n + i] = (up[j] - down[j]) / (2 * h);
    }
    run(b, up, &density);
    for (size_t j = 0; j < n; j++)
        want += -0.5 * log(2 * acos(-1)) - 0.5 * up[j] * up[j];
    want += log_abs_determinant(J, n);
    cr_expect_lt(fabs(density - want), 1e-6 * (1 + fabs(want)), "%s: log density %.9g, by the Jacobian %.9g", what,
                 density, want);
    free(J);
    free(up);
    free(down);
}

static int keep_grads(void *user, size_t offset, size_t count, const wf_real *grads)
{
    return ref()->download(ref(), (double *)user + offset, WF_F64, grads, count);
}

/* Gradients of 0.37 * sum of log densities; gp [params], gx [size], gc like c. */
static void gradients(bench *b, double *gp, double *gx, double *gc)
{
    const wf_real *dx;
    size_t conditions = (size_t)(N * b->s.H * b->s.W * b->s.C);
    double *zeros = calloc(conditions + 1, sizeof *zeros);
    wf_real *dcond = b->s.C ? device(zeros, conditions) : NULL;
    run(b, NULL, NULL);
    cr_assert_eq(wf_flow_backward(b->flow, b->dp, b->dc, 0.37, keep_grads, gp, dcond, &dx), 0, "%s", wf_error());
    cr_assert_eq(ref()->download(ref(), gx, WF_F64, dx, b->size), 0);
    if (dcond)
        cr_assert_eq(ref()->download(ref(), gc, WF_F64, dcond, conditions), 0);
    ref()->free(ref(), dcond);
    free(zeros);
}

/* The value with values[i], one of the bench's arrays [n], moved by h. */
static double moved(bench *b, double *values, size_t n, size_t i, double h)
{
    double v = values[i];
    values[i] = v + h;
    if (values == b->c)
        cr_assert_eq(ref()->upload(ref(), b->dc, b->c, WF_F64, n), 0);
    double value = 0.37 * run(b, NULL, NULL);
    values[i] = v;
    if (values == b->c)
        cr_assert_eq(ref()->upload(ref(), b->dc, b->c, WF_F64, n), 0);
    return value;
}

/* A relu may have its kink within a step: then a smaller one must do. */
static void check_numeric(bench *b, double *values, size_t n, const double *gradient, const char *what, const char *by)
{
    size_t most = wf_flow_is_discrete(b->flow) ? 4 : 150; /* many nets, whose parts are all alike; see test_lattice.c */
    size_t stride = n > most ? n / most | 1 : 1;
    for (size_t i = 0; i < n; i += stride) {
        double want = 0, worst = 1;
        for (double h = 1e-5; h > 1e-8 && worst > 2e-5; h /= 30) {
            want = (moved(b, values, n, i, h) - moved(b, values, n, i, -h)) / (2 * h);
            worst = fabs(gradient[i] - want) / (1 + fabs(want));
        }
        cr_expect_lt(worst, 2e-5, "%s: by %s %zu: %.9g, numeric %.9g", what, by, i, gradient[i], want);
    }
}

/* Constants of a parametrization (permutation, signs, what only data sets) are not to be moved: their gradient is zero
 * by definition. */
static bool is_constant(const char *name)
{
    const char *lattice = strstr(name, ".lattice.");
    return strstr(name, ".p") || strstr(name, ".sign") ||
           (lattice && (!strcmp(lattice, ".lattice.b") || !strcmp(lattice, ".lattice.l")));
}

static void check_gradients(bench *b, const char *chain, const char *what)
{
    size_t conditions = (size_t)(N * b->s.H * b->s.W * b->s.C);
    double *g = calloc(2 * (b->params + b->size + conditions) + 1, sizeof *g), worst = 0;
    double *gp = g, *gx = gp + b->params, *gc = gx + b->size, *rp = gc + conditions, *rx = rp + b->params;
    double *rc = rx + b->size;
    gradients(b, gp, gx, gc);
    char name[64];
    const wf_param *param;
    size_t where;
    for (int i = 0; wf_flow_param(b->flow, i, name, &param, &where); i++)
        if (!is_constant(name)) /* gradients of .lower and .upper are zero outside the triangle */
            check_numeric(b, b->p + where, param->count, gp + where, what, name);
        else
            for (size_t j = 0; j < param->count; j++)
                cr_expect_eq(gp[where + j], 0, "%s: the constant %s has the gradient %g", what, name, gp[where + j]);
    if (!wf_flow_is_discrete(b->flow))
        check_numeric(b, b->x, b->size, gx, what, "x");
    check_numeric(b, b->c, conditions, gc, what, "cond");

    bench r = open_bench(chain, b->s, WF_MEMORY_REVERSIBLE);
    gradients(&r, rp, rx, rc);
    for (size_t i = 0; i < b->params + b->size + conditions; i++)
        worst = fmax(worst, fabs(g[i] - rp[i]));
    cr_expect_lt(worst, 1e-8, "%s: stored and rebuilt gradients differ by %g", what, worst);
    close_bench(&r);
    free(g);
}

/* Sum over pictures of 0.6 * log|det dz/dx| + sum of weights * x, at x = f^-1(z). */
static double inverse_value(bench *b, const double *z, const double *weights, double *x)
{
    double logdet[N], sum = 0;
    const wf_real *out;
    wf_real *dz = device(z, b->size);
    cr_assert_eq(wf_flow_inverse(b->flow, b->dp, dz, b->dc, &out), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_inverse_logdet(b->flow, logdet), 0);
    cr_assert_eq(ref()->download(ref(), x, WF_F64, out, b->size), 0);
    for (size_t i = 0; i < b->size; i++)
        sum += weights[i] * x[i];
    ref()->free(ref(), dz);
    return sum + 0.6 * (logdet[0] + logdet[1]);
}

static void check_inverse_gradient(const char *chain, shape s, wf_memory memory, const char *what)
{
    bench b = open_bench(chain, s, memory);
    size_t conditions = (size_t)(N * s.H * s.W * s.C);
    double *z = random_values(21, 0.7, b.size), *weights = random_values(22, 1, b.size), h = 1e-5;
    double *x = calloc(b.size, sizeof *x), *gz = calloc(b.size, sizeof *gz), *gc = calloc(conditions + 1, sizeof *gc);
    const wf_real *out;
    wf_real *dx = device(weights, b.size), *dcond = s.C ? device(gc, conditions) : NULL;
    inverse_value(&b, z, weights, x);
    cr_assert_eq(wf_flow_inverse_backward(b.flow, b.dp, b.dc, dx, 0.6, dcond, &out), 0, "%s", wf_error());
    cr_assert_eq(ref()->download(ref(), gz, WF_F64, out, b.size), 0);
    if (dcond)
        cr_assert_eq(ref()->download(ref(), gc, WF_F64, dcond, conditions), 0);
    for (size_t i = 0; i < b.size + conditions; i += 1 + (b.size + conditions) / 100) {
        double *v = i < b.size ? &z[i] : &b.c[i - b.size], at = *v, side[2];
        for (int k = 0; k < 2; k++) {
            *v = at + (k ? h : -h);
            if (s.C)
                cr_assert_eq(ref()->upload(ref(), b.dc, b.c, WF_F64, conditions), 0);
            side[k] = inverse_value(&b, z, weights, x);
        }
        *v = at;
        if (s.C)
            cr_assert_eq(ref()->upload(ref(), b.dc, b.c, WF_F64, conditions), 0);
        double want = (side[1] - side[0]) / (2 * h), got = i < b.size ? gz[i] : gc[i - b.size];
        cr_expect_lt(fabs(got - want), 2e-5 * (1 + fabs(want)), "%s: through the inverse, %zu: %.9g, numeric %.9g",
                     what, i, got, want);
    }
    ref()->free(ref(), dx);
    ref()->free(ref(), dcond);
    free(z);
    free(weights);
    free(x);
    free(gz);
    free(gc);
    close_bench(&b);
}

static void agree(const char *what, const char *of, const double *have, const double *want, size_t n)
{
    double largest = 0.1, worst = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs(have[i] - want[i]));
    cr_expect_lt(worst, 2e-4 * largest, "%s: %s on the CPU differs by %g of %g", what, of, worst, largest);
}

typedef struct grads_of {
    wf_backend *backend;
    double *values;
} grads_of;

static int take_grads(void *user, size_t offset, size_t count, const wf_real *grads)
{
    grads_of *t = user;
    return t->backend->download(t->backend, t->values + offset, WF_F64, grads, count);
}

/* The CPU backend, which stores or rebuilds, against the reference at the bench's x, cond and parameters. */
static void check_cpu(bench *b, const char *chain, wf_memory memory, const char *what)
{
    static wf_backend *cpu;
    if (!cpu)
        cr_assert_eq(wf_backend_open("cpu", 1, &cpu), 0, "%s", wf_error());
    shape s = b->s;
    size_t conditions = (size_t)(N * s.H * s.W * s.C), n = b->size, all = b->params + 2 * n + N;
    wf_flow_spec spec = {N, s.H, s.W, s.K, s.C, s.H * s.W == 1 ? 1 : 3, WF_FP32, memory, s.signal, s.D, BITS, HALVINGS};
    double *want = calloc(all + conditions + 1, sizeof *want), *have = calloc(all, sizeof *have), *d = have + n;
    const wf_real *dx;
    wf_flow *flow;
    void *x, *p, *c, *z;
    gradients(b, want + n + N, want + n + N + b->params, want + all);
    run(b, want, NULL);
    cr_assert_eq(wf_flow_log_density(b->flow, want + n), 0);
    cr_assert_eq(wf_flow_create(cpu, chain, &spec, &flow), 0, "%s", wf_error());
    cr_assert(!cpu->alloc(cpu, n * cpu->real, &x) && !cpu->alloc(cpu, n * cpu->real, &z) &&
              !cpu->alloc(cpu, b->params * cpu->real, &p) && !cpu->alloc(cpu, conditions * cpu->real, &c));
    cr_assert(!cpu->upload(cpu, x, b->x, WF_F64, n) && !cpu->upload(cpu, p, b->p, WF_F64, b->params) &&
              !cpu->upload(cpu, c, b->c, WF_F64, conditions));
    cr_assert_eq(wf_flow_forward(flow, p, x, c), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_log_density(flow, d), 0);
    cr_assert_eq(cpu->download(cpu, have, WF_F64, wf_flow_latent(flow), n), 0);
    cr_assert_eq(cpu->copy(cpu, z, wf_flow_latent(flow), n), 0);
    grads_of t = {cpu, d + N};
    cr_assert_eq(wf_flow_backward(flow, p, c, 0.37, take_grads, &t, NULL, &dx), 0, "%s", wf_error());
    cr_assert_eq(cpu->download(cpu, d + N + b->params, WF_F64, dx, n), 0);
    agree(what, "the latent", have, want, n);
    agree(what, "the log density", d, want + n, N);
    agree(what, "the gradient by parameters", d + N, want + n + N, b->params);
    agree(what, "the gradient by x", d + N + b->params, want + n + N + b->params, n);
    cr_assert_eq(wf_flow_inverse(flow, p, z, c, &dx), 0, "%s", wf_error());
    cr_assert_eq(cpu->download(cpu, have, WF_F64, dx, n), 0);
    agree(what, "the inverse", have, b->x, n);
    wf_flow_destroy(flow);
    cpu->free(cpu, x);
    cpu->free(cpu, z);
    cpu->free(cpu, p);
    cpu->free(cpu, c);
    free(want);
    free(have);
}

/* A flow that is never run backward shares its memory among all, and gives the same numbers. */
static void check_unkept(bench *b, const char *chain, const char *what)
{
    bench u = open_bench(chain, b->s, WF_MEMORY_NONE);
    double *z = calloc(2 * b->size, sizeof *z), density = run(b, z, NULL), worst = 0;
    cr_expect_eq(run(&u, z + b->size, NULL), density, "%s: another density when nothing is kept", what);
    for (size_t i = 0; i < b->size; i++)
        worst = fmax(worst, fabs(z[i] - z[b->size + i]));
    cr_expect_eq(worst, 0, "%s: latents differ by %g when nothing is kept", what, worst);
    free(z);
    close_bench(&u);
}

/* A weighted log density is the weighted sum of the pixels' shares. */
static void check_shares(const char *chain, shape s, const char *what)
{
    if (strstr(chain, "squeeze") || strstr(chain, "haar") || strstr(chain, "split"))
        return; /* pixels of a chain that reshapes have neither */
    bench b = open_bench(chain, s, WF_MEMORY_NONE);
    size_t each = (size_t)(s.H * s.W), pixels = N * each;
    double *weights = calloc(pixels, sizeof *weights), *shares = calloc(pixels, sizeof *shares);
    double counted = 0, want, sum = 0, whole = 0, plain = run(&b, NULL, NULL);
    for (size_t i = 0; i < pixels; i++) {
        weights[i] = (double)(1 + i % each * 7 % 5);
        counted += weights[i] / N;
    }
    wf_real *weight = device(weights, pixels);
    cr_assert_eq(wf_flow_share(b.flow), 0, "%s: %s", what, wf_error());
    cr_expect_eq(run(&b, NULL, NULL), plain, "%s: another density with shares", what);
    cr_assert_eq(wf_flow_shares(b.flow, shares), 0, "%s: %s", what, wf_error());
    cr_assert_eq(wf_flow_weigh(b.flow, weight, counted), 0, "%s: %s", what, wf_error());
    want = run(&b, NULL, NULL);
    for (size_t i = 0; i < pixels; i++) {
        sum += weights[i] * shares[i];
        whole += shares[i];
    }
    cr_expect(fabs(sum - want) <= 1e-9 * (1 + fabs(want)), "%s: weighted shares %.12g, weighted density %.12g", what,
              sum, want);
    cr_expect(fabs(whole - plain) <= 1e-9 * (1 + fabs(plain)), "%s: shares %.12g, density %.12g", what, whole, plain);
    ref()->free(ref(), weight);
    free(weights);
    free(shares);
    close_bench(&b);
}

/* All of the above, on stored and on rebuilt states. */
static void check_shape(const char *chain, shape s)
{
    char what[256];
    snprintf(what, sizeof what, "%s at %dx%dx%d, %d conditions", chain, s.H, s.W, s.K, s.C);
    bench b = open_bench(chain, s, WF_MEMORY_STORE);
    check_inverse(&b, what);
    check_shares(chain, s, what);
    check_unkept(&b, chain, what);
    bool discrete = wf_flow_is_discrete(b.flow);
    if (!discrete)
        check_jacobian(&b, what);
    check_gradients(&b, chain, what);
    check_cpu(&b, chain, WF_MEMORY_STORE, what);
    check_cpu(&b, chain, WF_MEMORY_REVERSIBLE, what);
    close_bench(&b);
    if (discrete)
        return; /* the inverse has steps */
    check_inverse_gradient(chain, s, WF_MEMORY_STORE, what);
    check_inverse_gradient(chain, s, WF_MEMORY_REVERSIBLE, what);
}

/* Does the chain take this shape? If not, it says so as a mistake of the user. */
static bool takes(const char *chain, shape s)
{
    wf_flow *flow;
    wf_flow_spec spec = {N, s.H, s.W, s.K, s.C, 3, WF_FP32, WF_MEMORY_NONE, s.signal, s.D, BITS, HALVINGS};
    int status = wf_flow_create(ref(), chain, &spec, &flow);
    cr_assert(status == 0 || status == WF_USAGE, "%s", wf_error());
    if (!status)
        wf_flow_destroy(flow);
    return !status;
}

/* Checks the chain in the shapes that it takes; returns how many. */
static size_t check_chain(const char *chain)
{
    size_t taken = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (takes(chain, shapes[i])) {
            taken++;
            check_shape(chain, shapes[i]);
        }
    return taken;
}

/* Every variant of one row, on every shape that the word takes. */
static void walk_row(const wf_bijector_type *type)
{
    size_t least = type->reshape ? 3 : sizeof shapes / sizeof *shapes; /* reshaping words need pictures of even sides */
    char chain[128];
    for (int i = 0; variant(type, i, 0, chain); i++) {
        size_t refused = type->discrete                  ? NO_BANDS
                         : strstr(chain, "maskedconv")   ? NO_PICTURES
                         : strstr(chain, "mask=checker") ? VOLUMES
                                                         : 0;
        size_t taken = check_chain(chain);
        for (int bare = 1; bare <= 2 && taken + refused < least; bare++)
            taken = variant(type, i, bare, chain) ? check_chain(chain) : 0;
        cr_assert_geq(taken + refused, least, "%s: %zu shapes", chain, taken);
    }
}

/* One test a word, so that they run side by side and a failure names the word. */
#define WALK(id)                     \
    Test(bijector, word_##id)        \
    {                                \
        walk_row(&wf_bijector_##id); \
    }
WF_BIJECTORS(WALK)
#undef WALK

Test(bijector, chains_with_encoders)
{
    size_t all = sizeof shapes / sizeof *shapes;
    cr_expect_eq(check_chain("cond:channels=2:width=3:blocks=1, actnorm, affine:width=4:blocks=1"), all);
    cr_expect_eq(
        check_chain("affine:width=4:blocks=1, cond:channels=1:width=3:blocks=1, conv1x1, affine:width=4:blocks=1, "
                    "cond:channels=2:net=conv, affine:width=3:blocks=1:swap"),
        all);
    cr_expect_geq(
        check_chain(
            "cond:channels=1:width=3:blocks=1, affine:width=3:blocks=1, squeeze, affine:width=3:blocks=1, split, "
            "cond:channels=2:width=3:net=glow, affine:width=3:blocks=1"),
        3);
}

Test(bijector, chains_with_moves)
{
    /* a coupling on both sides of each; two pieces parked, of different shapes; the last word parks, or is linear */
    cr_expect_geq(check_chain("actnorm, split, conv1x1, split"), 2);
    cr_expect_geq(check_chain("affine:width=4:blocks=1, squeeze, conv1x1, affine:width=4:blocks=1, split, actnorm, "
                              "affine:width=4:blocks=1, split, actnorm"),
                  3);
    cr_expect_geq(check_chain("haar, split, split, affine:width=4:blocks=1"), 3);
}

/* Two halvings, by each of the words. */
Test(bijector, moves_twice)
{
    shape s = {.H = 4, .W = 4, .K = 2, .C = 1};
    const char *const chains[] = {"squeeze, affine:width=3:blocks=1, split, squeeze, conv1x1, affine:width=3:blocks=1",
                                  "haar, conv1x1, split, haar, split, affine:width=3:blocks=1, actnorm",
                                  "squeeze, split, conv1x1, affine:width=3:blocks=1, haar"};
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        check_shape(chains[i], s);
}

/* Pixels of a weighted picture must stay pixels. */
Test(bijector, weights_refuse_moves)
{
    bench b = open_bench("squeeze, actnorm", (shape){.H = 2, .W = 4, .K = 3}, WF_MEMORY_STORE);
    cr_expect_eq(wf_flow_weigh(b.flow, b.dx, 1), WF_USAGE);
    cr_expect_eq(wf_flow_weigh(b.flow, NULL, 0), WF_OK);
    cr_expect_eq(wf_flow_share(b.flow), WF_USAGE);
    close_bench(&b);
}

Test(bijector, a_chain_of_all)
{
    check_chain(
        "2*(actnorm, conv1x1, affine:width=5:blocks=1), shuffle, householder:n=2, reverse, conv1x1:lu, actnorm");
}

Test(bijector, data_dependent_init)
{
    bench b = open_bench("actnorm, conv1x1, actnorm, affine:width=4:blocks=1, actnorm",
                         (shape){.H = 3, .W = 5, .K = 9, .C = 3}, WF_MEMORY_STORE);
    double *z = calloc(b.size, sizeof *z);
    initialize(&b);
    cr_assert_eq(wf_flow_data_init(b.flow, b.dp, b.dx, b.dc), 0, "%s", wf_error());
    cr_assert_eq(ref()->download(ref(), b.p, WF_F64, b.dp, b.params), 0);
    run(&b, z, NULL);
    /* the coupling starts as the identity and the last actnorm too: what comes out is the second actnorm's output */
    for (int k = 0; k < 9; k++) {
        double mean = 0, square = 0;
        for (size_t i = (size_t)k; i < b.size; i += 9) {
            mean += z[i] / (double)(b.size / 9);
            square += z[i] * z[i] / (double)(b.size / 9);
        }
        cr_expect_lt(fabs(mean), 1e-9);
        cr_expect_lt(fabs(square - 1), 1e-9);
    }
    free(z);
    close_bench(&b);
}
