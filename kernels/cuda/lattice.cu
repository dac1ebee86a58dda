/* lattice.cu - distributions of whole-number coefficients
 *
 * One thread computes one pixel, its colours in turn: a colour's mean depends on the colours before. Each picture's sum
 * takes two steps of fixed order, pieces and then their sum. */
#include "pieces.h"

#include "../body/lattice.h"
#include "../body/pixels.h"

enum { PIECE = 1024 /* pixels of a picture that one block computes */ };

typedef struct lattice {
    wf_lattice of;
    size_t P, K, step; /* pixels of a picture; channels of x; params from one pixel to the next */
} lattice;

typedef struct arrays {
    const float *x, *cond, *norm, *params, *weight;
} arrays;

/* A coefficient: its range and cell, and the part of its mean that earlier colours give. */
typedef struct coefficient {
    wf_range range;
    wf_cell cell;
    float shift;
} coefficient;

static __device__ coefficient coefficient_at(const lattice *c, const arrays *a, size_t pixel, int colour)
{
    const float *x = a->x + pixel * c->K, *cond = a->cond ? a->cond + pixel * (size_t)c->of.cond : NULL;
    coefficient own;
    own.range = wf_lattice_range(&c->of, x, cond, colour);
    own.cell = wf_lattice_cell(&c->of, own.range, wf_lattice_place(&c->of, own.range, x, colour), a->norm, colour);
    own.cell.low += wf_lattice_poison(&c->of, x, cond, colour);
    own.shift = wf_lattice_shift(&c->of, x, a->norm, a->params + pixel * c->step, colour);
    return own;
}

static __device__ double forward_pixel(const lattice *c, const arrays *a, size_t pixel, float *z)
{
    double sum = 0;
    for (int colour = 0; colour < c->of.C; colour++) {
        coefficient own = coefficient_at(c, a, pixel, colour);
        wf_lattice_sums sums =
            wf_lattice_sum(c->of.components, own.cell, own.shift, a->params + pixel * c->step + colour, c->of.C);
        float latent, log_p = wf_lattice_end(sums, &latent);
        z[pixel * c->K + (size_t)wf_lattice_channel(&c->of, colour)] = latent;
        sum += wf_lattice_log_slope(log_p, wf_lattice_log_width(&c->of, &own.range), latent);
    }
    return a->weight ? (double)a->weight[pixel] * sum : sum;
}

static __device__ double invert_pixel(const lattice *c, const arrays *a, size_t pixel, const float *z, float *x)
{
    const float *cond = a->cond ? a->cond + pixel * (size_t)c->of.cond : NULL;
    return wf_lattice_invert(&c->of, z + pixel * c->K, cond, a->norm, a->params + pixel * c->step, x + pixel * c->K);
}

/* Runs one piece of a picture; its sum goes to `pieces` or, if the piece is the only one, to the result. */
static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    run_pieces(lattice c, arrays a, bool inverse, const float *from, float *to, double *pieces, double *logdet)
{
    size_t picture = (size_t)blockIdx.y * c.P, begin = (size_t)blockIdx.x * PIECE;
    size_t end = begin + PIECE < c.P ? begin + PIECE : c.P;
    double sum = 0;
    for (size_t place = begin + threadIdx.x; place < end; place += blockDim.x)
        if (wf_pixels_have(c.of.pixels, c.of.W, place))
            sum +=
                inverse ? invert_pixel(&c, &a, picture + place, from, to) : forward_pixel(&c, &a, picture + place, to);
    if (!logdet)
        return;
    sum = wf_cuda_block_sum(sum);
    give_sum(sum, inverse ? -1 : 1, pieces, logdet);
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    vjp_pixels(lattice c, arrays a, size_t n, float dlogdet, float *dparams)
{
    size_t pixel = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= n)
        return;
    float *to = dparams + pixel * c.step, factor = dlogdet * (a.weight ? a.weight[pixel] : 1.0f);
    const float *x = a.x + pixel * c.K, *params = a.params + pixel * c.step;
    int count = c.of.components, C = c.of.C;
    if (!wf_pixels_have(c.of.pixels, c.of.W, pixel % c.P)) {
        for (size_t i = 0; i < c.step; i++)
            to[i] = 0;
        return;
    }
    for (int colour = 0; colour < c.of.C; colour++) {
        coefficient own = coefficient_at(&c, &a, pixel, colour);
        wf_lattice_sums sums = wf_lattice_sum(count, own.cell, own.shift, params + colour, C);
        float by_shift = 0;
        for (int i = 0; i < count; i++) {
            wf_share share = wf_lattice_share(count, i, own.cell, own.shift, params + colour, C);
            float raw_s = params[(2 * count + i) * C + colour];
            wf_lattice_slope slope = wf_lattice_vjp(sums, own.cell, share, factor, raw_s);
            to[i * C + colour] = slope.logit;
            to[(count + i) * C + colour] = slope.mean;
            to[(2 * count + i) * C + colour] = slope.s;
            by_shift += slope.mean;
        }
        for (int d = 0; d < C - 1; d++) {
            int channel = wf_lattice_channel(&c.of, d);
            to[(3 * count + d) * C + colour] =
                d < colour ? by_shift * (x[channel] + a.norm[channel]) * wf_lattice_scale(&c.of, a.norm, channel)
                           : 0.0f;
        }
    }
}

static int lattice_open(int N, const wf_lattice *of, lattice *c)
{
    WF_TRY(wf_lattice_check(N, of));
    c->of = *of;
    c->P = (size_t)of->H * (size_t)of->W;
    c->K = (size_t)wf_lattice_channels(of);
    c->step = (size_t)(wf_lattice_parameters(of) * of->C);
    return WF_OK;
}

static arrays arrays_of(const wf_real *x, const wf_real *cond, const wf_real *norm, const wf_real *params,
                        const wf_real *weight)
{
    arrays a = {(const float *)x, (const float *)cond, (const float *)norm, (const float *)params,
                (const float *)weight};
    return a;
}

static int run(wf_cuda *cuda, const wf_lattice *of, int N, bool inverse, arrays a, const wf_real *from, wf_real *to,
               double *logdet)
{
    lattice c;
    WF_TRY(lattice_open(N, of, &c));
    dim3 grid((unsigned)((c.P + PIECE - 1) / PIECE), (unsigned)N);
    double *pieces;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, (size_t)grid.x * grid.y * sizeof *pieces, &pieces));
    WF_RUN(run_pieces, grid, (unsigned)WF_CUDA_THREADS, 0, c, a, inverse, (const float *)from, (float *)to, pieces,
           logdet);
    return sum_pieces(cuda, grid, inverse ? -1 : 1, pieces, logdet);
}

static int lattice_forward(wf_backend *b, const wf_lattice *l, int N, const wf_real *x, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, const wf_real *weight, wf_real *z,
                           double *logdet)
{
    return run((wf_cuda *)b, l, N, false, arrays_of(x, cond, norm, params, weight), x, z, logdet);
}

static int lattice_inverse(wf_backend *b, const wf_lattice *l, int N, const wf_real *z, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, wf_real *x, double *logdet)
{
    return run((wf_cuda *)b, l, N, true, arrays_of(x, cond, norm, params, NULL), z, x, logdet);
}

static int lattice_backward(wf_backend *b, const wf_lattice *l, int N, const wf_real *x, const wf_real *cond,
                            const wf_real *norm, const wf_real *params, const wf_real *weight, double dlogdet,
                            wf_real *dparams)
{
    wf_cuda *cuda = (wf_cuda *)b;
    lattice c;
    WF_TRY(lattice_open(N, l, &c));
    size_t n = (size_t)N * c.P;
    WF_RUN(vjp_pixels, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, c, arrays_of(x, cond, norm, params, weight), n,
           (float)dlogdet, (float *)dparams);
    return WF_OK;
}

void wf_cuda_lattice_slots(wf_backend *b)
{
    b->lattice_forward = lattice_forward;
    b->lattice_inverse = lattice_inverse;
    b->lattice_backward = lattice_backward;
}
