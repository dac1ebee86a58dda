/* annealed_draws.h - chains on levels, the pictures they draw, and flows to compare with; shared by the tests of
 * annealed draws
 *
 * All in the flows' units: x = (v + 1/2) / 256 - 1/2 for a picture's value v, v / 256 for a detail. */
#ifndef TESTS_ANNEALED_DRAWS_H
#define TESTS_ANNEALED_DRAWS_H

#include "anneal.h"
#include "nuts.h"

/* Runs `chains` chains, which start at samples of other ids; each gives `draws` draws after adaptation. */
static inline record draw(wf_anneal *a, int chains, size_t draws, uint64_t seed)
{
    size_t D = wf_anneal_size(a);
    wf_nuts_options o = wf_nuts_defaults;
    wf_nuts *s;
    o.seed = seed;
    o.adapt = 100;
    double *x = malloc((size_t)chains * D * sizeof *x);
    uint64_t *id = malloc((size_t)chains * sizeof *id);
    for (int c = 0; c < chains; c++)
        id[c] = (uint64_t)c;
    cr_assert_eq(wf_anneal_start(a, chains, id, seed, x), 0, "%s", wf_error());
    cr_assert_eq(wf_nuts_create(chains, D, &o, wf_anneal_density, a, &s), 0, "%s", wf_error());
    for (int c = 0; c < chains; c++)
        wf_nuts_place(s, c, id[c], x + (size_t)c * D);
    record r = record_create(chains, D, o.adapt, draws);
    cr_assert_eq(wf_nuts_run(s, o.adapt + draws, record_draw, &r), 0, "%s", wf_error());
    wf_nuts_destroy(s);
    free(x);
    free(id);
    return r;
}

/* All draws in the flows' units, pictures then details: [K,chains,draws] with K = low + detail reals of one row, laid
 * out by pixels as wf-nuts writes them. The caller frees it. */
static inline double *coefficients(wf_anneal *a, const record *r, size_t low_size, size_t detail_size)
{
    size_t all = (size_t)r->chains * r->draws, K = low_size + detail_size;
    double *out = malloc(K * all * sizeof *out), *x = malloc(all * r->D * sizeof *x);
    float *pixels = malloc(all * (K + 1) * sizeof *pixels), *detail = pixels + all * low_size;
    int *chain = malloc(all * sizeof *chain);
    for (size_t n = 0; n < all; n++) {
        chain[n] = (int)(n / r->draws);
        for (size_t i = 0; i < r->D; i++)
            x[n * r->D + i] = record_of(r, i)[n];
    }
    cr_assert_eq(wf_anneal_picture(a, (int)all, chain, x, pixels, detail_size ? detail : NULL), 0, "%s", wf_error());
    for (size_t n = 0; n < all; n++) {
        for (size_t i = 0; i < low_size; i++)
            out[i * all + n] = ((double)pixels[n * low_size + i] + 0.5) / 256 - 0.5;
        for (size_t i = 0; i < detail_size; i++)
            out[(low_size + i) * all + n] = (double)detail[n * detail_size + i] / 256;
    }
    free(x);
    free(pixels);
    free(chain);
    return out;
}

/* The flow of a level for N rows, run directly: the source of quadratures. */
typedef struct evaluator {
    wf_backend *b;
    wf_level level;
    wf_flow *flow;
    size_t N;
    wf_real *in, *cond;
} evaluator;

static inline evaluator evaluate(const wf_model *model, int level, wf_backend *b, int N)
{
    evaluator e = {.b = b, .N = (size_t)N};
    void *memory;
    cr_assert_eq(wf_level_load(model, level, b, &e.level), 0, "%s", wf_error());
    cr_assert_eq(wf_level_flow(&e.level.spec, b, N, 1, 1, WF_MEMORY_NONE, &e.flow), 0, "%s", wf_error());
    cr_assert_eq(b->alloc(b, e.N * (size_t)e.level.spec.K * b->real, &memory), 0);
    e.in = memory;
    cr_assert_eq(b->alloc(b, e.N * (size_t)(e.level.spec.C + 1) * b->real, &memory), 0);
    e.cond = memory;
    return e;
}

static inline void evaluator_clear(evaluator *e)
{
    e->b->free(e->b, e->in);
    e->b->free(e->b, e->cond);
    wf_flow_destroy(e->flow);
    wf_level_clear(&e->level);
}

/* From z [N,K]: x [N,K] and log|det dz/dx|. The low-pass is one pixel (unused at the base). */
static inline void inverse(evaluator *e, const double *z, double low, double *x, double *logdet)
{
    const wf_real *out;
    cr_assert_eq(e->b->upload(e->b, e->in, z, WF_F64, e->N * (size_t)e->level.spec.K), 0);
    cr_assert_eq(e->b->zero(e->b, e->cond, e->N * e->b->real), 0);
    cr_assert_eq(e->b->scale(e->b, e->N, 1, low, e->cond), 0);
    cr_assert_eq(wf_flow_inverse(e->flow, e->level.params, e->in, e->cond, &out), 0, "%s", wf_error());
    cr_assert_eq(e->b->download(e->b, x, WF_F64, out, e->N * (size_t)e->level.spec.K), 0);
    cr_assert_eq(wf_flow_inverse_logdet(e->flow, logdet), 0);
}

/* -- two dimensions: log p(x) of a level on a grid of x ------------------------------------------------------------ */

enum { GRID = 640, CELLS = GRID * GRID, BATCH = 4096 };

typedef struct plane {
    double low[2], step[2];
    double *x, *logp; /* [CELLS,2], [CELLS] */
} plane;

/* log p of x [N,K]. */
static inline void log_density(evaluator *e, const double *x, double *logp)
{
    cr_assert_eq(e->b->upload(e->b, e->in, x, WF_F64, e->N * (size_t)e->level.spec.K), 0);
    cr_assert_eq(wf_flow_forward(e->flow, e->level.params, e->in, NULL), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_log_density(e->flow, logp), 0);
}

/* Spans the range that many samples of a wider normal reach. */
static inline plane plane_of(evaluator *e)
{
    plane p = {{INFINITY, INFINITY}, {-INFINITY, -INFINITY}, NULL, NULL};
    double *z = normals(31, 1.4, 2 * BATCH), *x = malloc(2 * BATCH * sizeof *x), *logdet = malloc(BATCH * sizeof *x);
    inverse(e, z, 0, x, logdet);
    for (size_t i = 0; i < 2 * BATCH; i++) {
        p.low[i % 2] = fmin(p.low[i % 2], x[i]);
        p.step[i % 2] = fmax(p.step[i % 2], x[i]);
    }
    for (int d = 0; d < 2; d++)
        p.step[d] = (p.step[d] - p.low[d]) / GRID;
    p.x = malloc(2 * CELLS * sizeof *p.x);
    p.logp = malloc(CELLS * sizeof *p.logp);
    for (size_t i = 0; i < CELLS; i++) {
        p.x[2 * i] = p.low[0] + p.step[0] * ((double)(i / GRID) + 0.5);
        p.x[2 * i + 1] = p.low[1] + p.step[1] * ((double)(i % GRID) + 0.5);
    }
    for (size_t i = 0; i < CELLS; i += BATCH)
        log_density(e, p.x + 2 * i, p.logp + i);
    free(z);
    free(x);
    free(logdet);
    return p;
}

/* A level of two coefficients with a curved density. */
static inline wf_model bent_model(void)
{
    shaking by = {0.1, 0.6};
    wf_model model = make_model("model", 0, 1, 2);
    save_level(&model, 0, "4*(actnorm, conv1x1, affine:width=8:blocks=1), actnorm", shake, &by);
    return model;
}

#endif
