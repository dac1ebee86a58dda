/* lattice.cu - distributions of whole-number coefficients
 *
 * One thread computes one pixel, its colours in turn: a colour's mean depends on the colours before. Each picture's sum
 * takes two steps of fixed order, pieces and then their sum. */
#include "cuda.h"

#include "../body/lattice.h"

enum { PIECE = 1024 /* pixels of a picture that one block computes */ };

typedef struct lattice {
    wf_lattice of;
    size_t P, K, step; /* pixels of a picture; channels of x; params from one pixel to the next */
} lattice;

typedef struct arrays {
    const float *x, *cond, *norm, *params, *weight;
} arrays;

static __device__ __forceinline__ bool is_mine(const lattice *c, size_t place)
{
    size_t odd = (place / (size_t)c->of.W + place % (size_t)c->of.W) % 2;
    return c->of.pixels == WF_EVERY_PIXEL || odd == (c->of.pixels == WF_ODD_PIXELS);
}

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

/* Returns log dz/dx of a coefficient with this log P and z. */
static __device__ __forceinline__ double log_derivative(const lattice *c, const wf_range *range, float log_p, float z)
{
    return (double)log_p - (double)wf_lattice_log_width(&c->of, range) + 0.5 * (double)z * (double)z +
           WF_HALF_LOG_TWO_PI;
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
        sum += log_derivative(c, &own.range, log_p, latent);
    }
    return a->weight ? (double)a->weight[pixel] * sum : sum;
}

/* x: of the arrays, which the pixel's colours join one by one. */
static __device__ double invert_pixel(const lattice *c, const arrays *a, size_t pixel, const float *z, float *x)
{
    const float *params = a->params + pixel * c->step, *cond = a->cond ? a->cond + pixel * (size_t)c->of.cond : NULL;
    double sum = 0;
    z += pixel * c->K;
    x += pixel * c->K;
    for (int colour = 0; colour < c->of.C; colour++) {
        int channel = wf_lattice_channel(&c->of, colour);
        wf_range range = wf_lattice_range(&c->of, x, cond, colour);
        float shift = wf_lattice_shift(&c->of, x, a->norm, params, colour), middle;
        int64_t place = wf_lattice_find(&c->of, range, z[channel], shift, a->norm, params, colour);
        wf_cell cell = wf_lattice_cell(&c->of, range, place, a->norm, colour);
        wf_lattice_sums sums = wf_lattice_sum(c->of.components, cell, shift, params + colour, c->of.C);
        float log_p = wf_lattice_end(sums, &middle);
        x[channel] = (float)wf_lattice_number(range, place) * wf_lattice_unit(&c->of) + wf_lattice_offset(&c->of);
        sum += log_derivative(c, &range, log_p, z[channel]);
    }
    return sum;
}

/* Runs one piece of a picture; its sum goes to `pieces` or, if the piece is the only one, to the result. */
static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    run_pieces(lattice c, arrays a, bool inverse, const float *from, float *to, double *pieces, double *logdet)
{
    size_t picture = (size_t)blockIdx.y * c.P, begin = (size_t)blockIdx.x * PIECE;
    size_t end = begin + PIECE < c.P ? begin + PIECE : c.P;
    double sum = 0;
    for (size_t place = begin + threadIdx.x; place < end; place += blockDim.x)
        if (is_mine(&c, place))
            sum +=
                inverse ? invert_pixel(&c, &a, picture + place, from, to) : forward_pixel(&c, &a, picture + place, to);
    if (!logdet)
        return;
    sum = wf_cuda_block_sum(sum);
    if (threadIdx.x != 0)
        return;
    if (gridDim.x == 1)
        logdet[blockIdx.y] += inverse ? -sum : sum;
    else
        pieces[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

static __global__ void add_pieces(int N, int count, double sign, const double *pieces, double *logdet)
{
    int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (n >= N)
        return;
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += pieces[(size_t)n * (size_t)count + (size_t)i];
    logdet[n] += sign * sum;
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
    if (!is_mine(&c, pixel % c.P)) {
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
    if (grid.x > 1 && logdet)
        WF_RUN(add_pieces, wf_cuda_blocks(grid.y), (unsigned)WF_CUDA_THREADS, 0, (int)grid.y, (int)grid.x,
               inverse ? -1.0 : 1.0, pieces, logdet);
    return WF_OK;
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
