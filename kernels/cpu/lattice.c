/* lattice.c - distributions of whole-number coefficients
 *
 * A scalar pass finds the cells of a block of coefficients and gathers their parameters, so that loops over the block
 * are plain vector code. The inverse goes pixel by pixel, because a colour's mean depends on the colours before. */
#include "cpu.h"

#include <string.h>

#include "../body/lattice.h"
#include "../body/pixels.h"

enum {
    BLOCK = 128,   /* coefficients gathered at a time: a multiple of LANES */
    LANES = 16,    /* of the widest vectors: a rest would run one by one */
    PIXELS = 1024, /* pixels of a piece: log-determinants are summed piece by piece for any number of threads */
    VALUES = 3 * WF_LATTICE_MAX_COMPONENTS
};

typedef struct lattice {
    wf_lattice of;
    size_t P, pieces, K; /* pixels of a picture, its pieces, channels of x */
    size_t m, step;      /* parameters of a coefficient; params from one pixel to the next */
    double *sums;        /* [N,pieces] */
} lattice;

/* The arguments of a slot as floats. */
typedef struct arrays {
    const float *x, *cond, *norm, *params, *weight;
} arrays;

/* Coefficients of a block: their places in the batch, cells, and parameters [3 components, BLOCK]. */
typedef struct block {
    int count, whole; /* whole: count rounded up to LANES; those past count repeat the last */
    size_t pixel[BLOCK];
    int colour[BLOCK];
    float low[BLOCK], high[BLOCK], width[BLOCK], below[BLOCK], above[BLOCK], shift[BLOCK], log_width[BLOCK];
    float params[VALUES * BLOCK];
    float top[BLOCK], all[BLOCK], most[BLOCK], sum[BLOCK], below_sum[BLOCK], above_sum[BLOCK]; /* wf_lattice_sums */
} block;

static int lattice_open(wf_cpu *cpu, int N, const wf_lattice *of, lattice *c)
{
    WF_TRY(wf_lattice_check(N, of));
    c->of = *of;
    c->P = (size_t)of->H * (size_t)of->W;
    c->pieces = (c->P + PIXELS - 1) / PIXELS;
    c->K = (size_t)wf_lattice_channels(of);
    c->m = (size_t)wf_lattice_parameters(of);
    c->step = c->m * (size_t)of->C;
    void *memory;
    WF_TRY(wf_cpu_scratch(cpu, (size_t)N * c->pieces * sizeof(double), &memory));
    c->sums = memory;
    return WF_OK;
}

static arrays arrays_of(const wf_real *x, const wf_real *cond, const wf_real *norm, const wf_real *params,
                        const wf_real *weight)
{
    return (arrays){(const float *)x, (const float *)cond, (const float *)norm, (const float *)params,
                    (const float *)weight};
}

static const float *cond_at(const lattice *c, const arrays *a, size_t pixel)
{
    return a->cond ? a->cond + pixel * (size_t)c->of.cond : NULL;
}

/* Appends one coefficient to the block. */
static void gather(const lattice *c, const arrays *a, size_t pixel, int colour, block *b)
{
    const float *x = a->x + pixel * c->K, *cond = cond_at(c, a, pixel), *params = a->params + pixel * c->step;
    int i = b->count++;
    wf_range range = wf_lattice_range(&c->of, x, cond, colour);
    wf_cell cell = wf_lattice_cell(&c->of, range, wf_lattice_place(&c->of, range, x, colour), a->norm, colour);
    b->pixel[i] = pixel;
    b->colour[i] = colour;
    b->low[i] = cell.low + wf_lattice_poison(&c->of, x, cond, colour);
    b->high[i] = cell.high;
    b->width[i] = cell.width;
    b->below[i] = cell.below;
    b->above[i] = cell.above;
    b->shift[i] = wf_lattice_shift(&c->of, x, a->norm, params, colour);
    b->log_width[i] = wf_lattice_log_width(&c->of, &range);
    for (int j = 0; j < 3 * c->of.components; j++)
        b->params[j * BLOCK + i] = params[j * c->of.C + colour];
}

/* Fills the block with the coefficients of pixels from *next on, and moves *next past them. */
static void gather_block(const lattice *c, const arrays *a, size_t first, size_t *next, size_t end, block *b)
{
    b->count = 0;
    for (; *next < end && b->count + c->of.C <= BLOCK; ++*next)
        for (int colour = 0; colour < c->of.C && wf_pixels_have(c->of.pixels, c->of.W, *next); colour++)
            gather(c, a, first + *next, colour, b);
    int count = b->count;
    while (b->count % LANES)
        gather(c, a, b->pixel[count - 1], b->colour[count - 1], b);
    b->whole = b->count;
    b->count = count;
}

static wf_cell cell_at(const block *b, int i)
{
    return (wf_cell){b->low[i], b->high[i], b->width[i], b->below[i], b->above[i]};
}

static wf_lattice_sums sums_at(const block *b, int i)
{
    return (wf_lattice_sums){b->top[i], b->all[i], b->most[i], b->sum[i], b->below_sum[i], b->above_sum[i]};
}

static void keep_sums(block *b, int i, wf_lattice_sums t)
{
    b->top[i] = t.top;
    b->all[i] = t.all;
    b->most[i] = t.most;
    b->sum[i] = t.sum;
    b->below_sum[i] = t.below;
    b->above_sum[i] = t.above;
}

/* Adds up the components of all coefficients of the block. */
static void sum_block(int components, block *b)
{
    for (int e = 0; e < b->whole; e++)
        keep_sums(b, e, wf_lattice_none(b->params[e]));
    for (int i = 1; i < components; i++)
        for (int e = 0; e < b->whole; e++)
            b->top[e] = b->params[i * BLOCK + e] > b->top[e] ? b->params[i * BLOCK + e] : b->top[e];
    for (int i = 0; i < components; i++) {
#pragma omp simd
        for (int e = 0; e < b->whole; e++) {
            wf_cell cell = cell_at(b, e);
            wf_share share = wf_lattice_share(components, i, cell, b->shift[e], b->params + e, BLOCK);
            keep_sums(b, e, wf_lattice_add(sums_at(b, e), cell, share));
        }
    }
}

/* First pixel of a piece's picture in the batch, and the pixels of the piece within the picture. */
static void piece_at(const lattice *c, size_t i, size_t *first, size_t *begin, size_t *end)
{
    *first = i / c->pieces * c->P;
    *begin = i % c->pieces * PIXELS;
    *end = c->P - *begin < PIXELS ? c->P : *begin + PIXELS;
}

static double forward_piece(const lattice *c, const arrays *a, size_t i, float *z)
{
    size_t first, next, end;
    double sum = 0;
    block b;
    piece_at(c, i, &first, &next, &end);
    while (next < end) {
        float latent[BLOCK], log_p[BLOCK];
        gather_block(c, a, first, &next, end, &b);
        sum_block(c->of.components, &b);
#pragma omp simd
        for (int e = 0; e < b.whole; e++) {
            wf_lattice_sums sums = sums_at(&b, e);
            log_p[e] = wf_lattice_end(sums, &latent[e]);
        }
        for (int e = 0; e < b.count; e++) {
            double weight = a->weight ? (double)a->weight[b.pixel[e]] : 1;
            z[b.pixel[e] * c->K + (size_t)wf_lattice_channel(&c->of, b.colour[e])] = latent[e];
            sum += weight * wf_lattice_log_slope(log_p[e], b.log_width[e], latent[e]);
        }
    }
    return sum;
}

static int lattice_forward(wf_backend *b, const wf_lattice *of, int N, const wf_real *x, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, const wf_real *weight, wf_real *z,
                           double *logdet)
{
    lattice c;
    arrays a = arrays_of(x, cond, norm, params, weight);
    WF_TRY(lattice_open((wf_cpu *)b, N, of, &c));
    size_t total = (size_t)N * c.pieces;
#pragma omp parallel for schedule(static) if ((size_t)N * c.P * c.K > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++)
        c.sums[i] = forward_piece(&c, &a, i, (float *)z);
    for (size_t i = 0; i < total; i++)
        logdet[i / c.pieces] += c.sums[i];
    return WF_OK;
}

static int lattice_inverse(wf_backend *b, const wf_lattice *of, int N, const wf_real *z, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, wf_real *x, double *logdet)
{
    lattice c;
    arrays a = arrays_of(x, cond, norm, params, NULL);
    WF_TRY(lattice_open((wf_cpu *)b, N, of, &c));
    size_t total = (size_t)N * c.pieces;
#pragma omp parallel for schedule(static) if ((size_t)N * c.P * c.K > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++) {
        size_t first, begin, end;
        piece_at(&c, i, &first, &begin, &end);
        c.sums[i] = 0;
        for (size_t place = begin; place < end; place++) {
            size_t pixel = first + place;
            if (wf_pixels_have(of->pixels, of->W, place))
                c.sums[i] += wf_lattice_invert(of, (const float *)z + pixel * c.K, cond_at(&c, &a, pixel), a.norm,
                                               a.params + pixel * c.step, (float *)x + pixel * c.K);
        }
    }
    for (size_t i = 0; logdet && i < total; i++)
        logdet[i / c.pieces] -= c.sums[i];
    return WF_OK;
}

/* Writes the gradients of a coefficient from the block's; by_shift: that by its mean as a whole. */
static void scatter(const lattice *c, const arrays *a, const block *b, int i, const float *gradients, float by_shift,
                    float *dparams)
{
    const float *x = a->x + b->pixel[i] * c->K;
    float *to = dparams + b->pixel[i] * c->step + b->colour[i];
    int parameters = 3 * c->of.components, C = c->of.C;
    for (int j = 0; j < parameters; j++)
        to[j * C] = gradients[j * BLOCK + i];
    for (int d = 0; d < b->colour[i]; d++) {
        int channel = wf_lattice_channel(&c->of, d);
        to[(parameters + d) * C] =
            by_shift * (x[channel] + a->norm[channel]) * wf_lattice_scale(&c->of, a->norm, channel);
    }
}

/* gradients [3 components, BLOCK]: of log P times factor; by_shift: their sums by the means. */
static void vjp_block(int components, const block *b, const float *factor, float *gradients, float *by_shift)
{
    for (int e = 0; e < b->whole; e++)
        by_shift[e] = 0;
    for (int i = 0; i < components; i++) {
        float *by_logit = gradients + i * BLOCK, *by_mean = by_logit + components * BLOCK;
        float *by_s = by_mean + components * BLOCK;
        const float *s = b->params + (2 * components + i) * BLOCK;
#pragma omp simd
        for (int e = 0; e < b->whole; e++) {
            wf_cell cell = cell_at(b, e);
            wf_lattice_sums sums = sums_at(b, e);
            wf_share share = wf_lattice_share(components, i, cell, b->shift[e], b->params + e, BLOCK);
            wf_lattice_slope slope = wf_lattice_vjp(sums, cell, share, factor[e], s[e]);
            by_logit[e] = slope.logit;
            by_mean[e] = slope.mean;
            by_s[e] = slope.s;
            by_shift[e] += slope.mean;
        }
    }
}

static void backward_piece(const lattice *c, const arrays *a, size_t i, float dlogdet, float *dparams)
{
    size_t first, next, end;
    block b;
    piece_at(c, i, &first, &next, &end);
    memset(dparams + (first + next) * c->step, 0, (end - next) * c->step * sizeof *dparams);
    while (next < end) {
        float by_shift[BLOCK], factor[BLOCK], gradients[VALUES * BLOCK];
        gather_block(c, a, first, &next, end, &b);
        for (int e = 0; e < b.whole; e++)
            factor[e] = dlogdet * (a->weight ? a->weight[b.pixel[e]] : 1.0f);
        sum_block(c->of.components, &b);
        vjp_block(c->of.components, &b, factor, gradients, by_shift);
        for (int e = 0; e < b.count; e++)
            scatter(c, a, &b, e, gradients, by_shift[e], dparams);
    }
}

static int lattice_backward(wf_backend *b, const wf_lattice *of, int N, const wf_real *x, const wf_real *cond,
                            const wf_real *norm, const wf_real *params, const wf_real *weight, double dlogdet,
                            wf_real *dparams)
{
    lattice c;
    arrays a = arrays_of(x, cond, norm, params, weight);
    WF_TRY(lattice_open((wf_cpu *)b, N, of, &c));
    size_t total = (size_t)N * c.pieces;
#pragma omp parallel for schedule(static) if ((size_t)N * c.P * c.K > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++)
        backward_piece(&c, &a, i, (float)dlogdet, (float *)dparams);
    return WF_OK;
}

void wf_cpu_lattice_slots(wf_backend *b)
{
    b->lattice_forward = lattice_forward;
    b->lattice_inverse = lattice_inverse;
    b->lattice_backward = lattice_backward;
}
