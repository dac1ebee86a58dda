/* lattice.h - flows over whole numbers, for tests */
#ifndef TESTS_LATTICE_H
#define TESTS_LATTICE_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/flow/flow.h"

typedef struct sums {
    int S, H, V, D;
} sums;

static inline sums sums_of(int a, int b, int c, int d)
{
    return (sums){a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d};
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

static inline wf_backend *backend(const char *name)
{
    static wf_backend *opened[2];
    wf_backend **b = &opened[!strcmp(name, "cpu")];
    if (!*b)
        cr_assert_eq(wf_backend_open(name, 1, b), 0, "%s", wf_error());
    return *b;
}

static inline wf_real *device(wf_backend *b, const double *values, size_t n)
{
    void *memory;
    cr_assert_eq(b->alloc(b, (n ? n : 1) * b->real, &memory), 0);
    cr_assert_eq(b->upload(b, memory, values, WF_F64, n), 0);
    return memory;
}

static inline wf_flow_spec spec_of(int N, int H, int W, int C, bool base, int bits, int halvings)
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
static inline bool is_norm(const char *name)
{
    const char *word = strstr(name, ".lattice.");
    return word && (!strcmp(word, ".lattice.b") || !strcmp(word, ".lattice.l"));
}

/* Gives every parameter a value that is not special. */
static inline void randomize(bench *b)
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

static inline bench open_bench(const char *name, const char *chain, wf_flow_spec spec)
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

static inline void close_bench(bench *b)
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
static inline double run(bench *b)
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
static inline int most(const bench *b)
{
    return ((1 << b->spec.bits) - 1) << 2 * (b->spec.halvings - 1);
}

static inline double low_of(const bench *b, int64_t S)
{
    return ldexp((double)S, -b->spec.bits - 2 * b->spec.halvings) + ldexp(1, -b->spec.bits - 1) - 0.5;
}

/* Sets the coefficients of a pixel of the batch and a colour to those of the block, and returns its S. */
static inline int set_block(bench *b, size_t pixel, int colour, int a, int right, int below, int d)
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
static inline void set_random_blocks(bench *b)
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
static inline double log_volume(const bench *b)
{
    int blocks = b->spec.H * b->spec.W * b->C;
    return blocks * log(16 * pow(2, 3 * (1 - b->spec.bits - 2 * b->spec.halvings)));
}

/* Sets x to every choice of whole numbers; N must be (range)^(reals of a picture). */
static inline void set_base(bench *b, int range)
{
    int each = b->spec.W * b->C;
    for (int n = 0; n < b->spec.N; n++)
        for (int c = 0, rest = n; c < each; c++, rest /= range)
            b->x[n * each + c] = low_of(b, rest % range);
}

#endif
