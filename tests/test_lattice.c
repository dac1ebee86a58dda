/* test_lattice.c - whole numbers under the Haar transform, and distributions over them */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/lattice.h"
#include "../lib/flow/flow.h"
#include "../lib/model/level.h"

enum { MOST = 15, SUMS = 4 * MOST + 1 };

typedef struct sums {
    int S, H, V, D;
} sums;

static sums sums_of(int a, int b, int c, int d)
{
    return (sums){a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d};
}

/* Place of the sums in a table of all that could be. */
static size_t place_of(sums s)
{
    int at[4] = {s.S, s.H + 2 * MOST, s.V + 2 * MOST, s.D + 2 * MOST};
    size_t place = 0;
    for (int i = 0; i < 4; i++)
        place = place * SUMS + (size_t)at[i];
    return place;
}

static int64_t number_at(wf_range range, int64_t i)
{
    return range.first + i * range.step;
}

/* Every block of 4-bit numbers gives sums of their own, and the ranges list these sums and no others. */
Test(lattice, ranges_hold_the_sums_of_all_blocks_of_four_bits_and_no_others)
{
    unsigned char *found = calloc((size_t)SUMS * SUMS * SUMS * SUMS, 1);
    int64_t listed = 0, twice = 0, outside = 0;
    cr_assert(found);
    for (int block = 0; block < 1 << 16; block++) {
        size_t place = place_of(sums_of(block & 15, block >> 4 & 15, block >> 8 & 15, block >> 12));
        twice += found[place];
        found[place] = 1;
    }
    for (int64_t S = 0; S <= 4 * MOST; S++) {
        wf_range h = wf_lattice_h(MOST, S);
        for (int64_t i = 0; i < h.count; i++) {
            int64_t H = number_at(h, i);
            wf_range v = wf_lattice_v(MOST, S, H);
            for (int64_t j = 0; j < v.count; j++) {
                int64_t V = number_at(v, j);
                wf_range d = wf_lattice_d(MOST, S, H, V);
                listed += d.count;
                for (int64_t k = 0; k < d.count; k++)
                    outside += !found[place_of((sums){(int)S, (int)H, (int)V, (int)number_at(d, k)})];
            }
        }
    }
    free(found);
    cr_assert_eq(twice, 0);
    cr_assert_eq(outside, 0);
    cr_assert_eq(listed, 1 << 16);
}

/* -- flows over whole numbers -------------------------------------------------------------------------------------- */

/* A flow with its arrays. C: colours; low: channels of the condition, C or at the base 0. */
typedef struct bench {
    wf_backend *backend;
    wf_flow *flow;
    wf_flow_spec spec;
    int C;
    size_t params, size, lows; /* reals of the parameters, x and cond */
    double *p, *x, *low;       /* their values */
    wf_real *dp, *dx, *dlow;   /* on the device */
    double *density;           /* [N] */
} bench;

static wf_backend *backend(const char *name)
{
    static wf_backend *opened[2];
    wf_backend **b = &opened[!strcmp(name, "cpu")];
    if (!*b)
        cr_assert_eq(wf_backend_open(name, 1, b), 0, "%s", wf_error());
    return *b;
}

static wf_real *device(wf_backend *b, const double *values, size_t n)
{
    void *memory;
    cr_assert_eq(b->alloc(b, (n ? n : 1) * b->real, &memory), 0);
    cr_assert_eq(b->upload(b, memory, values, WF_F64, n), 0);
    return memory;
}

static wf_flow_spec spec_of(int N, int H, int W, int C, bool base, int bits, int halvings)
{
    return (wf_flow_spec){.N = N,
                          .H = H,
                          .W = W,
                          .K = base ? C : 3 * C,
                          .C = base ? 0 : C,
                          .kernel = H * W == 1 ? 1 : 3,
                          .memory = WF_MEMORY_STORE,
                          .bits = bits,
                          .halvings = halvings};
}

/* Are these the word's own b or l? They have no gradient: only data sets them. */
static bool is_norm(const char *name)
{
    const char *word = strstr(name, ".lattice.");
    return word && (!strcmp(word, ".lattice.b") || !strcmp(word, ".lattice.l"));
}

/* Gives every parameter a value that is not special. */
static void randomize(bench *b)
{
    double *shift = calloc(b->params, sizeof *shift);
    cr_assert_eq(wf_flow_init(b->flow, 3, b->dp), 0, "%s", wf_error());
    cr_assert_eq(b->backend->download(b->backend, b->p, WF_F64, b->dp, b->params), 0);
    wf_init_normal(4, 7, 0.2, shift, b->params);
    for (size_t i = 0; i < b->params; i++)
        b->p[i] += shift[i];
    cr_assert_eq(b->backend->upload(b->backend, b->dp, b->p, WF_F64, b->params), 0);
    free(shift);
}

static bench open_bench(const char *name, const char *chain, wf_flow_spec spec)
{
    bench b = {.backend = backend(name), .spec = spec, .C = spec.C ? spec.C : spec.K};
    size_t pixels = (size_t)spec.N * (size_t)spec.H * (size_t)spec.W;
    cr_assert_eq(wf_flow_create(b.backend, chain, &spec, &b.flow), 0, "%s", wf_error());
    cr_assert(wf_flow_is_discrete(b.flow));
    b.params = wf_flow_size(b.flow);
    b.size = pixels * (size_t)spec.K;
    b.lows = pixels * (size_t)spec.C;
    b.p = calloc(b.params, sizeof *b.p);
    b.x = calloc(b.size, sizeof *b.x);
    b.low = calloc(b.lows + 1, sizeof *b.low);
    b.density = calloc((size_t)spec.N, sizeof *b.density);
    b.dp = device(b.backend, b.p, b.params);
    b.dx = device(b.backend, b.x, b.size);
    b.dlow = spec.C ? device(b.backend, b.low, b.lows) : NULL;
    randomize(&b);
    return b;
}

static void close_bench(bench *b)
{
    wf_flow_destroy(b->flow);
    b->backend->free(b->backend, b->dp);
    b->backend->free(b->backend, b->dx);
    b->backend->free(b->backend, b->dlow);
    free(b->p);
    free(b->x);
    free(b->low);
    free(b->density);
}

/* Runs x under cond, both uploaded here; returns the sum of the log densities. */
static double run(bench *b)
{
    wf_backend *on = b->backend;
    double sum = 0;
    cr_assert_eq(on->upload(on, b->dp, b->p, WF_F64, b->params), 0);
    cr_assert_eq(on->upload(on, b->dx, b->x, WF_F64, b->size), 0);
    if (b->dlow)
        cr_assert_eq(on->upload(on, b->dlow, b->low, WF_F64, b->lows), 0);
    cr_assert_eq(wf_flow_forward(b->flow, b->dp, b->dx, b->dlow), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_log_density(b->flow, b->density), 0, "%s", wf_error());
    for (int n = 0; n < b->spec.N; n++)
        sum += b->density[n];
    return sum;
}

/* Largest number that a block's members have. */
static int most(const bench *b)
{
    return ((1 << b->spec.bits) - 1) << 2 * (b->spec.halvings - 1);
}

static double low_of(const bench *b, int64_t S)
{
    return ldexp((double)S, -b->spec.bits - 2 * b->spec.halvings) + ldexp(1, -b->spec.bits - 1) - 0.5;
}

/* Sets the coefficients of a pixel of the batch and a colour to those of the block, and returns its S. */
static int set_block(bench *b, size_t pixel, int colour, int a, int right, int below, int d)
{
    sums s = sums_of(a, right, below, d);
    const int bands[3] = {s.H, s.V, s.D};
    for (int band = 0; band < 3; band++)
        b->x[(pixel * (size_t)b->C + (size_t)colour) * 3 + (size_t)band] =
            ldexp(bands[band], 1 - b->spec.bits - 2 * b->spec.halvings);
    b->low[pixel * (size_t)b->C + (size_t)colour] = low_of(b, s.S);
    return s.S;
}

/* Sets all coefficients to those of random blocks. */
static void set_random_blocks(bench *b)
{
    double *u = calloc(4 * b->lows, sizeof *u);
    wf_init_normal(9, 1, 0.25, u, 4 * b->lows);
    for (size_t i = 0; i < b->lows; i++) {
        int v[4], m = most(b);
        for (int k = 0; k < 4; k++)
            v[k] = (int)round(m * fmin(1, fmax(0, 0.5 + u[4 * i] + 0.4 * u[4 * i + (size_t)k])));
        set_block(b, i / (size_t)b->C, (int)(i % (size_t)b->C), v[0], v[1], v[2], v[3]);
    }
    free(u);
}

/* log of the volume of a picture's cell: the ranges have steps of 2, 2 and 4 units. */
static double log_volume(const bench *b)
{
    int blocks = b->spec.H * b->spec.W * b->C;
    return blocks * log(16 * pow(2, 3 * (1 - b->spec.bits - 2 * b->spec.halvings)));
}

/* x comes back, and the log-determinant with the other sign. */
static void check_inverse(bench *b, const char *what)
{
    wf_backend *on = b->backend;
    double *back = calloc(b->size, sizeof *back), *logdet = calloc((size_t)b->spec.N, sizeof *logdet);
    void *z;
    const wf_real *x;
    size_t off = 0;
    run(b);
    cr_assert_eq(on->alloc(on, b->size * on->real, &z), 0);
    cr_assert_eq(on->copy(on, z, wf_flow_latent(b->flow), b->size), 0);
    cr_assert_eq(on->download(on, back, WF_F64, z, b->size), 0);
    for (int n = 0; n < b->spec.N; n++)
        for (int i = 0, each = (int)(b->size / (size_t)b->spec.N); i < each; i++)
            logdet[n] -= 0.5 * pow(back[n * each + i], 2) + 0.5 * log(2 * acos(-1));
    for (int n = 0; n < b->spec.N; n++)
        b->density[n] -= logdet[n];
    cr_assert_eq(wf_flow_inverse(b->flow, b->dp, z, b->dlow, &x), 0, "%s", wf_error());
    cr_assert_eq(on->download(on, back, WF_F64, x, b->size), 0);
    cr_assert_eq(wf_flow_inverse_logdet(b->flow, logdet), 0);
    for (size_t i = 0; i < b->size; i++)
        off += back[i] != b->x[i];
    cr_expect_eq(off, 0, "%s: %zu of %zu coefficients are others", what, off, b->size);
    for (int n = 0; n < b->spec.N; n++)
        cr_assert_lt(fabs(logdet[n] - b->density[n]), 1e-4 * (1 + fabs(logdet[n])),
                     "%s: log-determinant %g, of the inverse %g", what, b->density[n], logdet[n]);
    on->free(on, z);
    free(back);
    free(logdet);
}

/* -- all blocks ---------------------------------------------------------------------------------------------------- */

/* A picture for every choice of a block at each of `places` places (pixel, colour) of a tiny picture. */
typedef struct every {
    bench b;
    int values, blocks, places, *S; /* S [N]: the sums of a picture, as one number */
} every;

static int power(int a, int n)
{
    return n ? a * power(a, n - 1) : 1;
}

static every open_every(const char *name, const char *chain, wf_flow_spec spec)
{
    every e = {.values = (((1 << spec.bits) - 1) << 2 * (spec.halvings - 1)) + 1, .places = spec.H * spec.W * spec.C};
    e.blocks = power(e.values, 4);
    spec.N = power(e.blocks, e.places);
    e.b = open_bench(name, chain, spec);
    e.S = calloc((size_t)spec.N, sizeof *e.S);
    for (int n = 0; n < spec.N; n++)
        for (int i = 0, rest = n; i < e.places; i++, rest /= e.blocks) {
            int v = e.values, block = rest % e.blocks;
            size_t pixel = (size_t)(n * spec.H * spec.W + i / spec.C);
            int S =
                set_block(&e.b, pixel, i % spec.C, block % v, block / v % v, block / (v * v) % v, block / (v * v * v));
            e.S[n] = e.S[n] * (4 * v - 3) + S;
        }
    return e;
}

static void close_every(every *e)
{
    free(e->S);
    close_bench(&e->b);
}

/* The probabilities of all details under one low-pass add up to 1. */
static void check_sums(const char *chain, wf_flow_spec spec)
{
    every e = open_every("ref", chain, spec);
    int count = power(4 * e.values - 3, e.places);
    double *sum = calloc((size_t)count, sizeof *sum);
    run(&e.b);
    for (int n = 0; n < e.b.spec.N; n++)
        sum[e.S[n]] += exp(e.b.density[n] + log_volume(&e.b));
    for (int s = 0; s < count; s++)
        cr_assert_lt(fabs(sum[s] - 1), 1e-10,
                     "%s, %d bits, %d halvings, %d colours: the blocks with the sums %d have %.15g", chain, spec.bits,
                     spec.halvings, spec.C, s, sum[s]);
    free(sum);
    close_every(&e);
}

#define NET "components=2:width=4:blocks=1"

Test(lattice, probabilities_given_the_sums_add_up_to_one)
{
    check_sums("lattice:" NET, spec_of(0, 1, 1, 1, false, 2, 1));
    check_sums("cond:channels=2:width=3:blocks=1, lattice:" NET, spec_of(0, 1, 1, 1, false, 2, 1));
    check_sums("lattice:components=1:width=4:blocks=1", spec_of(0, 1, 1, 3, false, 1, 1));
    check_sums("lattice:" NET, spec_of(0, 1, 1, 1, false, 1, 2));
}

/* Two pixels, which the nets see beside each other; with two phases one comes first. */
Test(lattice, probabilities_of_two_pixels_add_up_to_one)
{
    check_sums("lattice:" NET, spec_of(0, 1, 2, 1, false, 1, 1));
    check_sums("cond:channels=2:width=3:blocks=1, lattice:phases=2:" NET, spec_of(0, 1, 2, 1, false, 1, 1));
    check_sums("lattice:phases=2:" NET, spec_of(0, 2, 1, 1, false, 1, 1));
}

/* Sets x to every choice of whole numbers; N must be (range)^(reals of a picture). */
static void set_base(bench *b, int range)
{
    int each = b->spec.W * b->C;
    for (int n = 0; n < b->spec.N; n++)
        for (int c = 0, rest = n; c < each; c++, rest /= range)
            b->x[n * each + c] = low_of(b, rest % range);
}

/* A base of W pixels; two phases do not change it. */
static bench open_base(int W, int C, int bits, int halvings)
{
    int range = (((1 << bits) - 1) << 2 * halvings) + 1;
    wf_flow_spec spec = spec_of(power(range, W * C), 1, W, C, true, bits, halvings);
    bench b = open_bench("ref", "lattice:components=3:phases=2", spec);
    set_base(&b, range);
    run(&b);
    return b;
}

static double base_probability(const bench *b, int n)
{
    return exp(b->density[n] - b->spec.W * b->C * (b->spec.bits + 2 * b->spec.halvings) * log(2));
}

Test(lattice, probabilities_of_the_base_add_up_to_one)
{
    static const int cases[][4] = {{1, 1, 2, 1}, {1, 1, 8, 0}, {1, 3, 2, 1}, {1, 4, 1, 1}, {1, 1, 3, 4}, {2, 1, 2, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench b = open_base(cases[i][0], cases[i][1], cases[i][2], cases[i][3]);
        double sum = 0;
        for (int n = 0; n < b.spec.N; n++)
            sum += base_probability(&b, n);
        cr_expect_lt(fabs(sum - 1), 1e-10, "%d pixels, %d colours, %d bits, %d halvings: %.15g", cases[i][0],
                     cases[i][1], cases[i][2], cases[i][3], sum);
        check_inverse(&b, "base");
        close_bench(&b);
    }
}

/* The base's number is the details' sum S: together they are a distribution of pictures. */
Test(lattice, probabilities_of_pictures_of_two_bits_add_up_to_one)
{
    bench base = open_base(1, 1, 2, 1);
    every e = open_every("ref", "cond:channels=2:width=3:blocks=1, lattice:" NET, spec_of(0, 1, 1, 1, false, 2, 1));
    double sum = 0;
    run(&e.b);
    for (int n = 0; n < e.b.spec.N; n++) {
        cr_assert_eq(e.b.low[n], base.x[e.S[n]]);
        sum += base_probability(&base, e.S[n]) * exp(e.b.density[n] + log_volume(&e.b));
    }
    cr_assert_lt(fabs(sum - 1), 1e-10, "%.15g", sum);
    close_every(&e);
    close_bench(&base);
}

/* -- the inverse --------------------------------------------------------------------------------------------------- */

static void check_every_inverse(const char *chain, wf_flow_spec spec)
{
    static const char *const names[] = {"ref", "cpu"};
    for (int i = 0; i < 2; i++) {
        every e = open_every(names[i], chain, spec);
        check_inverse(&e.b, names[i]);
        close_every(&e);
    }
}

Test(lattice, inverse_gives_every_block_back)
{
    check_every_inverse("lattice:" NET, spec_of(0, 1, 1, 1, false, 2, 1));
    check_every_inverse("lattice:" NET, spec_of(0, 1, 1, 1, false, 1, 2));
    check_every_inverse("lattice:" NET, spec_of(0, 1, 1, 3, false, 1, 1));
    check_every_inverse("cond:channels=2:width=3:blocks=1, lattice:phases=2:" NET, spec_of(0, 1, 2, 1, false, 1, 1));
}

/* On the CPU mixtures of one: a cell in the gap between two components may be smaller than a step of z. */
Test(lattice, inverse_gives_large_pictures_of_many_bits_back)
{
    static const char *const chains[] = {"lattice:" NET, "lattice:components=1:width=4:blocks=1",
                                         "lattice:phases=2:" NET, "lattice:phases=2:components=1:width=4:blocks=1"};
    for (int i = 0; i < 4; i++) {
        const char *name = i % 2 ? "cpu" : "ref";
        bench b = open_bench(name, chains[i], spec_of(3, 5, 7, 3, false, 8, i < 2 ? 1 : 3));
        set_random_blocks(&b);
        check_inverse(&b, name);
        close_bench(&b);
    }
}

/* -- the CPU ------------------------------------------------------------------------------------------------------- */

static void agree_with_ref(bench *cpu, bench *ref, const char *what)
{
    run(cpu);
    run(ref);
    for (int n = 0; n < ref->spec.N; n++)
        cr_assert_lt(fabs(cpu->density[n] - ref->density[n]), 1e-5 * (1 + fabs(ref->density[n])),
                     "%s: log density %d is %.9g on the CPU, want %.9g", what, n, cpu->density[n], ref->density[n]);
}

Test(lattice, the_cpu_gives_the_densities_of_the_reference)
{
    static const char *const chains[] = {"lattice:" NET, "lattice:phases=2:" NET};
    for (int i = 0; i < 4; i++) {
        wf_flow_spec spec = spec_of(3, 5, 7, i % 2 ? 3 : 1, false, 8, i < 2 ? 1 : 3);
        bench cpu = open_bench("cpu", chains[i / 2], spec), ref = open_bench("ref", chains[i / 2], spec);
        set_random_blocks(&cpu);
        set_random_blocks(&ref);
        agree_with_ref(&cpu, &ref, chains[i / 2]);
        close_bench(&cpu);
        close_bench(&ref);
    }
}

/* Blocks that are all black or all white are certain: they cost 0 bits. */
static void check_certain(const char *name, double tolerance)
{
    for (int white = 0; white < 2; white++) {
        bench b = open_bench(name, "lattice:phases=2:" NET, spec_of(2, 3, 2, 3, false, 8, 2));
        int v = white ? most(&b) : 0;
        for (size_t i = 0; i < b.lows; i++)
            set_block(&b, i / 3, (int)(i % 3), v, v, v, v);
        run(&b);
        for (int n = 0; n < 2; n++)
            cr_expect_lt(fabs(b.density[n] + log_volume(&b)), tolerance * (1 + fabs(b.density[n])),
                         "%s, %s: log probability %g", name, white ? "white" : "black", b.density[n] + log_volume(&b));
        check_inverse(&b, name);
        close_bench(&b);
    }
}

Test(lattice, saturated_blocks_cost_nothing)
{
    check_certain("ref", 1e-12);
    check_certain("cpu", 1e-5);
}

/* -- gradients ----------------------------------------------------------------------------------------------------- */

static int keep_grads(void *user, size_t offset, size_t count, const wf_real *grads)
{
    wf_backend *ref = backend("ref");
    return ref->download(ref, (double *)user + offset, WF_F64, grads, count);
}

/* Gradients of 0.37 times the sum of log densities: [params], then [lows]. */
static double *gradients(bench *b)
{
    wf_backend *on = b->backend;
    double *g = calloc(b->params + b->lows, sizeof *g), *gx = calloc(b->size, sizeof *gx);
    wf_real *dcond = b->lows ? device(on, gx, b->lows) : NULL;
    const wf_real *dx;
    run(b);
    cr_assert_eq(wf_flow_backward(b->flow, b->dp, b->dlow, 0.37, keep_grads, g, dcond, &dx), 0, "%s", wf_error());
    cr_assert_eq(on->download(on, gx, WF_F64, dx, b->size), 0);
    for (size_t i = 0; i < b->size; i++)
        cr_assert_eq(gx[i], 0, "a whole number has the gradient %g", gx[i]);
    if (dcond)
        cr_assert_eq(on->download(on, g + b->params, WF_F64, dcond, b->lows), 0);
    on->free(on, dcond);
    free(gx);
    return g;
}

static double moved(bench *b, double *value, double h)
{
    double kept = *value;
    *value += h;
    double sum = 0.37 * run(b);
    *value = kept;
    return sum;
}

/* A relu may have its kink within a step: then a smaller one must do. */
static void check_numeric(bench *b, double *value, double gradient, const char *what, const char *by, size_t i)
{
    double want = 0, worst = 1;
    for (double h = 1e-5; h > 1e-8 && worst > 1e-6; h /= 30) {
        want = (moved(b, value, h) - moved(b, value, -h)) / (2 * h);
        worst = fabs(gradient - want) / (1 + fabs(want));
    }
    cr_expect_lt(worst, 2e-5, "%s: by %s %zu: %.9g, numeric %.9g", what, by, i, gradient, want);
}

static void check_gradients(bench *b, const char *what)
{
    double *g = gradients(b);
    char name[64];
    const wf_param *param;
    size_t where;
    for (int i = 0; wf_flow_param(b->flow, i, name, &param, &where); i++)
        for (size_t k = 0, step = 1 + param->count / 40; k < param->count; k += step)
            if (is_norm(name))
                cr_expect_eq(g[where + k], 0, "%s: %s has the gradient %g", what, name, g[where + k]);
            else
                check_numeric(b, &b->p[where + k], g[where + k], what, name, k);
    for (size_t i = 0; i < b->lows; i++)
        check_numeric(b, &b->low[i], g[b->params + i], what, "cond", i);
    free(g);
}

/* Rebuilt activations give the gradients of stored ones. */
static void check_memories(const char *chain, wf_flow_spec spec, const wf_real *weight, double counted)
{
    static const wf_memory others[] = {WF_MEMORY_REVERSIBLE, WF_MEMORY_LEAN};
    bench stored = open_bench("ref", chain, spec);
    set_random_blocks(&stored);
    cr_assert_eq(wf_flow_weigh(stored.flow, weight, counted), 0, "%s", wf_error());
    double *want = gradients(&stored);
    for (int m = 0; m < 2; m++) {
        spec.memory = others[m];
        bench b = open_bench("ref", chain, spec);
        set_random_blocks(&b);
        cr_assert_eq(wf_flow_weigh(b.flow, weight, counted), 0, "%s", wf_error());
        double *g = gradients(&b);
        for (size_t i = 0; i < b.params + b.lows; i++)
            cr_assert_lt(fabs(g[i] - want[i]), 1e-12 * (1 + fabs(want[i])), "%s, %s: %zu: %.15g, want %.15g", chain,
                         m ? "lean" : "rebuilt", i, g[i], want[i]);
        free(g);
        close_bench(&b);
    }
    free(want);
    close_bench(&stored);
}

static void check_backward(const char *chain, int C, bool weighted)
{
    wf_flow_spec spec = spec_of(2, 2, 3, C, false, 3, 2);
    static const double weights[12] = {1, 0, 0.5, 2, 0.25, 1, 0.5, 1, 1, 0, 2, 0.25};
    bench b = open_bench("ref", chain, spec);
    wf_real *weight = weighted ? device(b.backend, weights, 12) : NULL;
    set_random_blocks(&b);
    cr_assert_eq(wf_flow_weigh(b.flow, weight, 4.75), 0, "%s", wf_error());
    check_gradients(&b, chain);
    check_memories(chain, spec, weight, 4.75);
    b.backend->free(b.backend, weight);
    close_bench(&b);
}

static const char encoded[] = "cond:channels=2:width=3:blocks=1, lattice:components=2:width=4:blocks=1";
static const char phased[] = "cond:channels=2:width=3:blocks=1, lattice:components=2:width=4:blocks=1:phases=2";

Test(lattice, gradients_of_one_colour_are_those_of_finite_differences, .timeout = 120)
{
    check_backward(encoded, 1, false);
    check_backward(phased, 1, true);
}

Test(lattice, gradients_of_three_colours_are_those_of_finite_differences, .timeout = 120)
{
    check_backward(encoded, 3, true);
    check_backward(phased, 3, false);
}

Test(lattice, gradients_of_the_base_are_those_of_finite_differences)
{
    bench b = open_bench("ref", "lattice:components=3", spec_of(40, 1, 1, 3, true, 3, 1));
    set_base(&b, 13);
    check_gradients(&b, "base");
    close_bench(&b);
}

/* A pixel of weight 0 does not count, and the sum over pixels is that of pictures of one of them. */
Test(lattice, weights_count_pixels)
{
    static const double weights[4] = {0, 0, 0.75, 0};
    bench whole = open_bench("ref", "lattice:" NET ":net=dense", spec_of(1, 2, 2, 3, false, 3, 1));
    bench alone = open_bench("ref", "lattice:" NET ":net=dense", spec_of(1, 1, 1, 3, false, 3, 1));
    wf_real *weight = device(whole.backend, weights, 4);
    set_random_blocks(&whole);
    memcpy(alone.x, whole.x + 2 * 9, 9 * sizeof *alone.x);
    memcpy(alone.low, whole.low + 2 * 3, 3 * sizeof *alone.low);
    cr_assert_eq(wf_flow_weigh(whole.flow, weight, 0.75), 0, "%s", wf_error());
    double have = run(&whole), want = 0.75 * run(&alone);
    cr_assert_lt(fabs(have - want), 1e-11 * (1 + fabs(want)), "%.15g, want %.15g", have, want);
    whole.backend->free(whole.backend, weight);
    close_bench(&whole);
    close_bench(&alone);
}

/* -- refusals ------------------------------------------------------------------------------------------------------ */

static void expect_refused(const char *chain, const wf_flow_spec *spec, const char *text)
{
    wf_flow *flow;
    int status = wf_flow_create(backend("ref"), chain, spec, &flow);
    cr_expect_eq(status, WF_USAGE, "%s: %d", chain, status);
    cr_expect(status && strstr(wf_error(), "lattice") && strstr(wf_error(), text), "%s: %s", chain, wf_error());
}

Test(lattice, stands_alone_but_for_cond)
{
    static const char *const chains[] = {"lattice, affine", "actnorm, lattice", "lattice, lattice",
                                         "lattice, cond",   "split, lattice",   "cond, squeeze, lattice"};
    wf_flow_spec spec = spec_of(1, 2, 2, 2, false, 8, 1);
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        expect_refused(chains[i], &spec, "");
}

Test(lattice, takes_pictures_of_few_bits_and_colours)
{
    wf_flow_spec sound = spec_of(1, 1, 4, 1, false, 8, 1), many = spec_of(1, 2, 2, 3, false, 8, 8);
    wf_flow_spec colours = spec_of(1, 2, 2, 5, false, 8, 1), real = spec_of(1, 2, 2, 3, false, 0, 1), most = many;
    wf_flow *flow;
    sound.signal = WF_SOUND;
    expect_refused("lattice", &sound, "");
    expect_refused("lattice", &many, "bits + 2 halvings is at most 23");
    expect_refused("lattice", &colours, "at most 4");
    expect_refused("lattice", &real, "whole numbers");
    most.bits = 7;
    cr_assert_eq(wf_flow_create(backend("ref"), "lattice", &most, &flow), 0, "%s", wf_error());
    wf_flow_destroy(flow);
}

/* Level 1 of a model of pictures like meta. */
static void expect_level_refused(const wf_meta *meta, const char *noise)
{
    wf_level_spec level = wf_level_spec_for(meta, 1, "lattice", noise, WF_FP32);
    wf_flow_spec spec = wf_level_flow_spec(&level, 1, 4, 4, WF_MEMORY_NONE);
    expect_refused("lattice", &spec, "whole numbers");
}

Test(lattice, takes_levels_of_the_haar_wavelet_without_learnt_noise)
{
    wf_meta meta = {.wavelet = "haar", .levels = 2, .top = 2, .H = 16, .W = 16, .C = 3, .bits = 8}, other = meta;
    wf_level_spec level = wf_level_spec_for(&meta, 1, "lattice", NULL, WF_FP32);
    wf_flow_spec spec = wf_level_flow_spec(&level, 1, 4, 4, WF_MEMORY_NONE);
    wf_flow *flow;
    cr_assert_eq(wf_flow_create(backend("ref"), "lattice", &spec, &flow), 0, "%s", wf_error());
    wf_flow_destroy(flow);
    cr_expect_eq(spec.bits, 8);
    cr_expect_eq(spec.halvings, 2);
    strcpy(other.wavelet, "db2");
    expect_level_refused(&other, NULL);
    expect_level_refused(&meta, "actnorm");
}
