/* transform.cu - couplings, the normal log-density, the sigmoid and scaling
 *
 * One thread computes one element of the state, so that lines are read and written whole. Each picture's sum takes two
 * steps of fixed order: pieces, then their sum. Each kind has its own kernel, so that none takes the registers of
 * another. The affine forward moves 8 K bytes a pixel, and 8 more for each transformed channel. */
#include "pieces.h"

#include "../body/pixels.h"
#include "../body/transform.h"

enum {
    PIECE = 4096, /* elements of a picture that one block computes */
    RESIDENT = 4  /* blocks resident on a multiprocessor: by default ptxas plans for five and spills registers */
};

typedef struct coupling {
    wf_coupling of;
    int m;           /* parameters of an element */
    size_t elements; /* elements of a picture: H*W*K */
} coupling;

/* Returns the offset of the first parameter of element e, transformed channel `channel`; the next parameters follow
 * `moved` apart. */
static __device__ __forceinline__ size_t place_of_params(const coupling *c, size_t e, int channel)
{
    return (e / (size_t)c->of.K * (size_t)c->m) * (size_t)c->of.moved + (size_t)channel;
}

static __device__ __forceinline__ bool moves(const wf_coupling *c, size_t e)
{
    size_t place = e / (size_t)c->K % ((size_t)c->H * (size_t)c->W);
    int channel = (int)(e % (size_t)c->K) - c->first;
    return channel >= 0 && channel < c->moved && wf_pixels_have(c->pixels, c->W, place);
}

static __global__ void mask_all(wf_coupling c, size_t n, const float *x, bool add, float *y)
{
    size_t e = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= n)
        return;
    float value = moves(&c, e) ? 0.0f : x[e];
    y[e] = add ? y[e] + value : value;
}

#define ROW(KIND, name)                                                                                                \
    static __global__ void __launch_bounds__(WF_CUDA_THREADS, RESIDENT)                                                \
        transform_##name(coupling c, bool inverse, const float *x, const float *params, const float *weight, float *y, \
                         double *pieces, double *logdet)                                                               \
    {                                                                                                                  \
        size_t picture = (size_t)blockIdx.y * c.elements, begin = (size_t)blockIdx.x * PIECE;                          \
        size_t end = begin + PIECE < c.elements ? begin + PIECE : c.elements;                                          \
        double sum = 0;                                                                                                \
        for (size_t i = begin + threadIdx.x; i < end; i += blockDim.x) {                                               \
            size_t e = picture + i;                                                                                    \
            int channel = (int)(i % (size_t)c.of.K) - c.of.first;                                                      \
            if (!moves(&c.of, e)) {                                                                                    \
                y[e] = x[e];                                                                                           \
                continue;                                                                                              \
            }                                                                                                          \
            const float *own = params + place_of_params(&c, e, channel);                                               \
            float l;                                                                                                   \
            y[e] = inverse ? wf_##name##_inverse(&c.of.transform, x[e], own, c.of.moved, &l)                           \
                           : wf_##name##_forward(&c.of.transform, x[e], own, c.of.moved, &l);                          \
            sum += weight ? (double)(weight[e / (size_t)c.of.K] * l) : (double)l;                                      \
        }                                                                                                              \
        if (!logdet)                                                                                                   \
            return;                                                                                                    \
        sum = wf_cuda_block_sum(sum);                                                                                  \
        give_sum(sum, inverse ? -1 : 1, pieces, logdet);                                                               \
    }                                                                                                                  \
    static __global__ void __launch_bounds__(WF_CUDA_THREADS, RESIDENT)                                                \
        vjp_##name(coupling c, bool inverse, size_t n, const float *x, const float *params, const float *weight,       \
                   float dlogdet, float *g, float *dparams)                                                            \
    {                                                                                                                  \
        size_t e = (size_t)blockIdx.x * blockDim.x + threadIdx.x;                                                      \
        int channel = (int)(e % (size_t)c.of.K) - c.of.first;                                                          \
        if (e >= n || channel < 0 || channel >= c.of.moved)                                                            \
            return;                                                                                                    \
        size_t at = place_of_params(&c, e, channel);                                                                   \
        if (!moves(&c.of, e)) {                                                                                        \
            for (int j = 0; j < c.m; j++)                                                                              \
                dparams[at + (size_t)(j * c.of.moved)] = 0;                                                            \
            return;                                                                                                    \
        }                                                                                                              \
        dlogdet *= weight ? weight[e / (size_t)c.of.K] : 1.0f;                                                         \
        g[e] = wf_##name##_vjp(&c.of.transform, inverse, x[e], params + at, c.of.moved, dlogdet, g[e], dparams + at);  \
    }
WF_TRANSFORMS(ROW)
#undef ROW

static int coupling_of(int N, const wf_coupling *of, coupling *c)
{
    WF_TRY(wf_coupling_check(N, of));
    c->of = *of;
    c->m = wf_transform_parameters(&of->transform);
    c->elements = (size_t)of->H * (size_t)of->W * (size_t)of->K;
    return WF_OK;
}

static dim3 pieces_of(int N, size_t elements)
{
    return dim3((unsigned)((elements + PIECE - 1) / PIECE), (unsigned)N);
}

static int transform(wf_cuda *cuda, const wf_coupling *of, int N, bool inverse, const wf_real *x, const wf_real *params,
                     const wf_real *weight, wf_real *y, double *logdet)
{
    coupling c;
    WF_TRY(coupling_of(N, of, &c));
    dim3 grid = pieces_of(N, c.elements);
    double *pieces;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, (size_t)grid.x * grid.y * sizeof *pieces, &pieces));
#define ROW(KIND, name)                                                                            \
    case WF_TRANSFORM_##KIND:                                                                      \
        WF_RUN(transform_##name, grid, (unsigned)WF_CUDA_THREADS, 0, c, inverse, (const float *)x, \
               (const float *)params, (const float *)weight, (float *)y, pieces, logdet);          \
        break;
    switch (of->transform.kind) {
        WF_TRANSFORMS(ROW)
    }
#undef ROW
    return sum_pieces(cuda, grid, inverse ? -1 : 1, pieces, logdet);
}

static int transform_forward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                             const wf_real *weight, wf_real *y, double *logdet)
{
    return transform((wf_cuda *)b, c, N, false, x, params, weight, y, logdet);
}

static int transform_inverse(wf_backend *b, const wf_coupling *c, int N, const wf_real *y, const wf_real *params,
                             wf_real *x, double *logdet)
{
    return transform((wf_cuda *)b, c, N, true, y, params, NULL, x, logdet);
}

static int vjp(wf_cuda *cuda, const wf_coupling *of, int N, bool inverse, const wf_real *x, const wf_real *params,
               const wf_real *weight, wf_real *g, double dlogdet, wf_real *dparams)
{
    coupling c;
    WF_TRY(coupling_of(N, of, &c));
    size_t n = (size_t)N * c.elements;
#define ROW(KIND, name)                                                                                      \
    case WF_TRANSFORM_##KIND:                                                                                \
        WF_RUN(vjp_##name, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, c, inverse, n, (const float *)x, \
               (const float *)params, (const float *)weight, (float)dlogdet, (float *)g, (float *)dparams);  \
        break;
    switch (of->transform.kind) {
        WF_TRANSFORMS(ROW)
    }
#undef ROW
    return WF_OK;
}

static int transform_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                              const wf_real *weight, wf_real *g, double dlogdet, wf_real *dparams)
{
    return vjp((wf_cuda *)b, c, N, false, x, params, weight, g, dlogdet, dparams);
}

static int transform_inverse_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x,
                                      const wf_real *params, wf_real *g, double dlogdet, wf_real *dparams)
{
    return vjp((wf_cuda *)b, c, N, true, x, params, NULL, g, dlogdet, dparams);
}

static int mask(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, bool add, wf_real *y)
{
    wf_cuda *cuda = (wf_cuda *)b;
    size_t n = (size_t)N * (size_t)c->H * (size_t)c->W * (size_t)c->K;
    WF_RUN(mask_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *c, n, (const float *)x, add, (float *)y);
    return WF_OK;
}

/* -- the standard normal ------------------------------------------------------------------------------------------- */

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

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    sigmoid_all(size_t D, float factor, double log_factor, const float *v, float *u, double *pieces, double *logp)
{
    size_t picture = (size_t)blockIdx.y * D, begin = (size_t)blockIdx.x * PIECE;
    size_t end = begin + PIECE < D ? begin + PIECE : D;
    double sum = 0;
    for (size_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        float log_derivative;
        u[picture + i] = wf_sigmoid_forward(factor * v[picture + i], &log_derivative);
        sum += (double)log_derivative + log_factor;
    }
    sum = wf_cuda_block_sum(sum);
    give_sum(sum, 1, pieces, logp);
}

static int sigmoid(wf_backend *b, int N, size_t D, double factor, const wf_real *v, wf_real *u, double *logp)
{
    wf_cuda *cuda = (wf_cuda *)b;
    dim3 grid = pieces_of(N, D);
    double *pieces;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, (size_t)grid.x * grid.y * sizeof *pieces, &pieces));
    WF_RUN(sigmoid_all, grid, (unsigned)WF_CUDA_THREADS, 0, D, (float)factor, log(factor), (const float *)v, (float *)u,
           pieces, logp);
    return sum_pieces(cuda, grid, 1, pieces, logp);
}

static __global__ void sigmoid_vjp_all(size_t n, float factor, const float *v, float dlog, float *g)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        g[i] = factor * wf_sigmoid_vjp(factor * v[i], g[i], dlog);
}

static int sigmoid_backward(wf_backend *b, size_t n, double factor, const wf_real *v, double scale, wf_real *g)
{
    wf_cuda *cuda = (wf_cuda *)b;
    if (n)
        WF_RUN(sigmoid_vjp_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, n, (float)factor, (const float *)v,
               (float)scale, (float *)g);
    return WF_OK;
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

void wf_cuda_transform_slots(wf_backend *b)
{
    b->transform_forward = transform_forward;
    b->transform_inverse = transform_inverse;
    b->transform_backward = transform_backward;
    b->transform_inverse_backward = transform_inverse_backward;
    b->mask = mask;
    b->gaussian = gaussian;
    b->sigmoid = sigmoid;
    b->sigmoid_backward = sigmoid_backward;
    b->scale = scale;
}
