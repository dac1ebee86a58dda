/* affine.cu - the affine coupling, the normal log-density and scaling
 *
 * One thread an element of the state, so that lines are read and written whole; each picture's sum in two steps of fixed
 * order, pieces and then their sum. Bytes: forward 12 K and 8 (K - k1) a pixel. */
#include "cuda.h"

#include "../body/pointwise.h"

enum { PIECE = 4096 }; /* elements of a picture that one block works through */

typedef struct coupling {
    int K, k1;
    size_t elements; /* of a picture: P*K */
    bool inverse;
} coupling;

/* A block's sum goes to its place among the pieces, or, where it is the only one of its picture, to the result. */
static __device__ __forceinline__ void give_sum(double sum, double sign, double *pieces, double *result)
{
    if (threadIdx.x != 0)
        return;
    if (gridDim.x == 1)
        result[blockIdx.y] += sign * sum;
    else
        pieces[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

static __global__ void add_pieces(int N, int count, double sign, const double *pieces, double *result)
{
    int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (n >= N)
        return;
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += pieces[(size_t)n * (size_t)count + (size_t)i];
    result[n] += sign * sum;
}

/* Where channel c >= k1 of element e has its s; t lies K - k1 further. */
static __device__ __forceinline__ size_t place_of_s(const coupling *c, size_t e, int channel)
{
    size_t k2 = (size_t)(c->K - c->k1);
    return e / (size_t)c->K * 2 * k2 + (size_t)(channel - c->k1);
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    couple(coupling c, const float *x, const float *st, const float *weight, float *y, double *pieces, double *logdet)
{
    size_t picture = (size_t)blockIdx.y * c.elements, begin = (size_t)blockIdx.x * PIECE;
    size_t end = begin + PIECE < c.elements ? begin + PIECE : c.elements;
    double sum = 0;
    for (size_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        size_t e = picture + i;
        int channel = (int)(i % (size_t)c.K);
        if (channel < c.k1) {
            y[e] = x[e];
            continue;
        }
        size_t s = place_of_s(&c, e, channel);
        float t = st[s + (size_t)(c.K - c.k1)], l;
        y[e] = c.inverse ? wf_affine_inverse_one(x[e], st[s], t, &l) : wf_affine_forward_one(x[e], st[s], t, &l);
        sum += weight ? (double)(weight[e / (size_t)c.K] * l) : (double)l;
    }
    if (!logdet)
        return;
    sum = wf_cuda_block_sum(sum);
    give_sum(sum, c.inverse ? -1 : 1, pieces, logdet);
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    uncouple(coupling c, size_t n, const float *x, const float *st, const float *weight, float dlogdet, float *g,
             float *dst)
{
    size_t e = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    int channel = (int)(e % (size_t)c.K);
    if (e >= n || channel < c.k1)
        return;
    size_t s = place_of_s(&c, e, channel), t = s + (size_t)(c.K - c.k1);
    float d = g[e], ds, dt;
    dlogdet *= weight ? weight[e / (size_t)c.K] : 1.0f;
    if (c.inverse)
        wf_affine_inverse_backward_one(x[e], st[s], st[t], dlogdet, &d, &ds, &dt);
    else
        wf_affine_backward_one(x[e], st[s], st[t], dlogdet, &d, &ds, &dt);
    g[e] = d;
    dst[s] = ds;
    dst[t] = dt;
}

static int coupling_of(int N, int P, int K, int k1, bool inverse, coupling *c)
{
    WF_CHECK(N > 0 && P > 0 && k1 >= 0 && k1 < K, WF_INTERNAL, "affine: N %d, P %d, keeps %d of %d channels", N, P, k1,
             K);
    c->K = K;
    c->k1 = k1;
    c->elements = (size_t)P * (size_t)K;
    c->inverse = inverse;
    return WF_OK;
}

static dim3 pieces_of(int N, size_t elements)
{
    return dim3((unsigned)((elements + PIECE - 1) / PIECE), (unsigned)N);
}

static int sum_pieces(wf_cuda *cuda, dim3 grid, double sign, const double *pieces, double *result)
{
    if (grid.x > 1 && result)
        WF_RUN(add_pieces, wf_cuda_blocks(grid.y), (unsigned)WF_CUDA_THREADS, 0, (int)grid.y, (int)grid.x, sign, pieces,
               result);
    return WF_OK;
}

static int transform(wf_cuda *cuda, const coupling *c, int N, const wf_real *x, const wf_real *st,
                     const wf_real *weight, wf_real *y, double *logdet)
{
    dim3 grid = pieces_of(N, c->elements);
    double *pieces;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, (size_t)grid.x * grid.y * sizeof *pieces, &pieces));
    WF_RUN(couple, grid, (unsigned)WF_CUDA_THREADS, 0, *c, (const float *)x, (const float *)st, (const float *)weight,
           (float *)y, pieces, logdet);
    return sum_pieces(cuda, grid, c->inverse ? -1 : 1, pieces, logdet);
}

static int affine_forward(wf_backend *b, int N, int P, int K, int k1, const wf_real *x, const wf_real *st,
                          const wf_real *weight, wf_real *y, double *logdet)
{
    coupling c;
    WF_TRY(coupling_of(N, P, K, k1, false, &c));
    return transform((wf_cuda *)b, &c, N, x, st, weight, y, logdet);
}

static int affine_inverse(wf_backend *b, int N, int P, int K, int k1, const wf_real *y, const wf_real *st, wf_real *x,
                          double *logdet)
{
    coupling c;
    WF_TRY(coupling_of(N, P, K, k1, true, &c));
    return transform((wf_cuda *)b, &c, N, y, st, NULL, x, logdet);
}

static int gradient(wf_cuda *cuda, const coupling *c, int N, const wf_real *x, const wf_real *st, const wf_real *weight,
                    wf_real *g, double dlogdet, wf_real *dst)
{
    size_t n = (size_t)N * c->elements;
    WF_RUN(uncouple, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *c, n, (const float *)x, (const float *)st,
           (const float *)weight, (float)dlogdet, (float *)g, (float *)dst);
    return WF_OK;
}

static int affine_backward(wf_backend *b, int N, int P, int K, int k1, const wf_real *x, const wf_real *st,
                           const wf_real *weight, wf_real *g, double dlogdet, wf_real *dst)
{
    coupling c;
    WF_TRY(coupling_of(N, P, K, k1, false, &c));
    return gradient((wf_cuda *)b, &c, N, x, st, weight, g, dlogdet, dst);
}

static int affine_inverse_backward(wf_backend *b, int N, int P, int K, int k1, const wf_real *x, const wf_real *st,
                                   wf_real *g, double dlogdet, wf_real *dst)
{
    coupling c;
    WF_TRY(coupling_of(N, P, K, k1, true, &c));
    return gradient((wf_cuda *)b, &c, N, x, st, NULL, g, dlogdet, dst);
}

/* -- the standard normal ------------------------------------------------------------------------------------------------ */

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    normal_density(size_t D, int K, const float *z, const float *weight, float scale, float *dz, double *pieces,
                   double *logp)
{
    const double log_sqrt_two_pi = 0.91893853320467274178;
    size_t picture = (size_t)blockIdx.y * D, begin = (size_t)blockIdx.x * PIECE;
    size_t end = begin + PIECE < D ? begin + PIECE : D;
    double sum = 0;
    for (size_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        float value = z[picture + i], w = weight ? weight[(picture + i) / (size_t)K] : 1.0f;
        sum -= (double)w * (0.5 * (double)value * (double)value + log_sqrt_two_pi);
        if (dz)
            dz[picture + i] = -scale * w * value;
    }
    if (!logp)
        return;
    sum = wf_cuda_block_sum(sum);
    give_sum(sum, 1, pieces, logp);
}

static int gaussian(wf_backend *b, int N, int P, int K, const wf_real *z, const wf_real *weight, double *logp,
                    double scale, wf_real *dz)
{
    wf_cuda *cuda = (wf_cuda *)b;
    size_t D = (size_t)P * (size_t)K;
    dim3 grid = pieces_of(N, D);
    double *pieces;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, (size_t)grid.x * grid.y * sizeof *pieces, &pieces));
    WF_RUN(normal_density, grid, (unsigned)WF_CUDA_THREADS, 0, D, K, (const float *)z, (const float *)weight,
           (float)scale, (float *)dz, pieces, logp);
    return sum_pieces(cuda, grid, 1, pieces, logp);
}

static __global__ void scale_all(size_t n, float factor, float offset, float *x)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] = factor * x[i] + offset;
}

static int scale(wf_backend *b, size_t n, double factor, double offset, wf_real *x)
{
    wf_cuda *cuda = (wf_cuda *)b;
    if (n)
        WF_RUN(scale_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, n, (float)factor, (float)offset, (float *)x);
    return WF_OK;
}

void wf_cuda_affine_slots(wf_backend *b)
{
    b->affine_forward = affine_forward;
    b->affine_inverse = affine_inverse;
    b->affine_backward = affine_backward;
    b->affine_inverse_backward = affine_inverse_backward;
    b->gaussian = gaussian;
    b->scale = scale;
}
