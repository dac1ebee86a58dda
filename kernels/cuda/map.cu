/* map.cu - feature maps: pack and unpack, the gradient of relu, gates, and layer normalization */
#include "../body/pointwise.h"
#include "eight.h"

static size_t pixels_of(const wf_map_shape *s)
{
    return (size_t)s->N * (size_t)s->H * (size_t)s->W;
}

static bool is_bf16(const wf_map_shape *s)
{
    return s->precision == WF_BF16;
}

static size_t map_bytes(wf_backend *b, const wf_map_shape *shape)
{
    (void)b;
    return pixels_of(shape) * (size_t)wf_cuda_padded(shape->C) * (is_bf16(shape) ? 2 : 4);
}

/* The channels of a map: those of x, then those of cond, then zeros. */
typedef struct packing {
    int take, K, C, padded;
    bool bf16;
} packing;

/* A thread writes eight channels of a pixel. */
static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    pack_all(packing p, unsigned n, const float *x, const float *cond, void *map)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, eights = (unsigned)p.padded / 8;
    if (i >= n)
        return;
    size_t pixel = i / eights;
    int first = (int)(i % eights * 8);
    const float *own = x + pixel * (size_t)p.K;
    wf_cuda_eight eight;
    for (int k = 0; k < 8; k++) {
        int c = first + k;
        eight.v[k] = c < p.take ? own[c] : c < p.take + p.C ? cond[pixel * (size_t)p.C + (size_t)(c - p.take)] : 0.0f;
    }
    wf_cuda_store_eight(map, p.bf16, i, &eight);
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    pack_adjoint(packing p, unsigned n, const void *map, float *dx, float *dcond)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, used = (unsigned)(p.take + p.C);
    if (i >= n)
        return;
    size_t pixel = i / used;
    int c = (int)(i % used);
    float value = wf_cuda_load(map, p.bf16, pixel * (size_t)p.padded + (size_t)c);
    if (c < p.take)
        dx[pixel * (size_t)p.K + (size_t)c] += value;
    else if (dcond)
        dcond[pixel * (size_t)p.C + (size_t)(c - p.take)] += value;
}

static int packing_of(const wf_map_shape *s, int take, int K, int C, packing *p)
{
    WF_CHECK(take >= 0 && take <= K && C >= 0 && s->C == take + C, WF_INTERNAL,
             "map: %d channels, expected %d of %d plus %d", s->C, take, K, C);
    p->take = take;
    p->K = K;
    p->C = C;
    p->padded = wf_cuda_padded(s->C);
    p->bf16 = is_bf16(s);
    return WF_OK;
}

static int pack(wf_backend *b, const wf_map_shape *shape, int take, int K, const wf_real *x, int C, const wf_real *cond,
                wf_map *map)
{
    wf_cuda *cuda = (wf_cuda *)b;
    packing p;
    WF_TRY(packing_of(shape, take, K, C, &p));
    size_t n = pixels_of(shape) * (size_t)p.padded / 8;
    WF_TRY(wf_cuda_countable(n));
    WF_RUN(pack_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, p, (unsigned)n, (const float *)x,
           (const float *)cond, (void *)map);
    return WF_OK;
}

static int pack_backward(wf_backend *b, const wf_map_shape *shape, int take, int K, wf_real *dx, int C, wf_real *dcond,
                         const wf_map *map)
{
    wf_cuda *cuda = (wf_cuda *)b;
    packing p;
    WF_TRY(packing_of(shape, take, K, C, &p));
    size_t n = pixels_of(shape) * (size_t)shape->C;
    WF_TRY(wf_cuda_countable(n));
    WF_RUN(pack_adjoint, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, p, (unsigned)n, (const void *)map,
           (float *)dx, (float *)dcond);
    return WF_OK;
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    unpack_all(unsigned n, unsigned C, unsigned padded, bool bf16, const void *map, float *x)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] = wf_cuda_load(map, bf16, (size_t)(i / C) * padded + i % C);
}

static int unpack(wf_backend *b, const wf_map_shape *shape, const wf_map *map, wf_real *x)
{
    wf_cuda *cuda = (wf_cuda *)b;
    size_t n = pixels_of(shape) * (size_t)shape->C;
    WF_TRY(wf_cuda_countable(n));
    WF_RUN(unpack_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, (unsigned)n, (unsigned)shape->C,
           (unsigned)wf_cuda_padded(shape->C), is_bf16(shape), (const void *)map, (float *)x);
    return WF_OK;
}

/* -- relu: eight channels a thread --------------------------------------------------------------------------------- */

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    relu_adjoint(size_t n, bool bf16, const void *y, const void *add, void *dy)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        (void)wf_cuda_relu_adjoint(bf16, i, y, add, dy);
}

static int relu_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *y, const wf_map *add, wf_map *dy)
{
    wf_cuda *cuda = (wf_cuda *)b;
    size_t n = pixels_of(shape) * (size_t)wf_cuda_padded(shape->C) / 8;
    WF_RUN(relu_adjoint, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, n, is_bf16(shape), (const void *)y,
           (const void *)add, (void *)dy);
    return WF_OK;
}

/* -- gates --------------------------------------------------------------------------------------------------------- */

/* A map of C channels and one of 2C. */
typedef struct gating {
    int C, padded, both;
    bool bf16;
} gating;

static gating gating_of(const wf_map_shape *shape)
{
    gating g = {shape->C, wf_cuda_padded(shape->C), wf_cuda_padded(2 * shape->C), is_bf16(shape)};
    return g;
}

static __global__ void gate_all(gating g, size_t n, const void *ab, const void *x, void *y)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t at = i / (size_t)g.padded * (size_t)g.both;
    int c = (int)(i % (size_t)g.padded);
    float value = 0;
    if (c < g.C)
        value = wf_gate_one(wf_cuda_load(ab, g.bf16, at + (size_t)c), wf_cuda_load(ab, g.bf16, at + (size_t)(g.C + c)),
                            wf_cuda_load(x, g.bf16, i));
    wf_cuda_store(y, g.bf16, i, value);
}

static int gate(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *x, wf_map *y)
{
    wf_cuda *cuda = (wf_cuda *)b;
    gating g = gating_of(shape);
    size_t n = pixels_of(shape) * (size_t)g.padded;
    WF_RUN(gate_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, g, n, (const void *)ab, (const void *)x,
           (void *)y);
    return WF_OK;
}

/* Each number of dab has a thread; a thread computes both gradients of its channel and writes its own. */
static __global__ void gate_adjoint(gating g, size_t n, const void *ab, const void *dy, void *dab)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t pixel = i / (size_t)g.both, at = pixel * (size_t)g.both;
    int c = (int)(i % (size_t)g.both), own = c < g.C ? c : c - g.C;
    float da = 0, db = 0;
    if (c < 2 * g.C)
        wf_gate_vjp(wf_cuda_load(ab, g.bf16, at + (size_t)own), wf_cuda_load(ab, g.bf16, at + (size_t)(g.C + own)),
                    wf_cuda_load(dy, g.bf16, pixel * (size_t)g.padded + (size_t)own), &da, &db);
    wf_cuda_store(dab, g.bf16, i, c < g.C ? da : db);
}

static int gate_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *dy, wf_map *dab)
{
    wf_cuda *cuda = (wf_cuda *)b;
    gating g = gating_of(shape);
    size_t n = pixels_of(shape) * (size_t)g.both;
    WF_RUN(gate_adjoint, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, g, n, (const void *)ab, (const void *)dy,
           (void *)dab);
    return WF_OK;
}

/* -- layer normalization: one thread a pixel ----------------------------------------------------------------------- */

/* Returns the mean over the C channels of the pixel at `at`, and the rate 1 / deviation. */
static __device__ __forceinline__ float moments(int C, bool bf16, size_t at, const void *x, float *rate)
{
    float mean = 0, squares = 0;
    for (int c = 0; c < C; c++)
        mean += wf_cuda_load(x, bf16, at + (size_t)c);
    mean /= (float)C;
    for (int c = 0; c < C; c++) {
        float v = wf_cuda_load(x, bf16, at + (size_t)c) - mean;
        squares += v * v;
    }
    *rate = wf_norm_rate(squares / (float)C);
    return mean;
}

static __global__ void norm_all(size_t n, int C, int padded, bool bf16, const void *x, void *y)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, at = i * (size_t)padded;
    if (i >= n)
        return;
    float rate, mean = moments(C, bf16, at, x, &rate);
    for (int c = 0; c < padded; c++)
        wf_cuda_store(y, bf16, at + (size_t)c, c < C ? (wf_cuda_load(x, bf16, at + (size_t)c) - mean) * rate : 0.0f);
}

static __global__ void norm_adjoint(size_t n, int C, int padded, bool bf16, const void *x, const void *dy,
                                    const void *add, void *dx)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, at = i * (size_t)padded;
    if (i >= n)
        return;
    float rate, mean = moments(C, bf16, at, x, &rate), sum = 0, products = 0;
    for (int c = 0; c < C; c++) {
        float g = wf_cuda_load(dy, bf16, at + (size_t)c);
        sum += g;
        products += g * (wf_cuda_load(x, bf16, at + (size_t)c) - mean) * rate;
    }
    for (int c = 0; c < padded; c++) {
        size_t here = at + (size_t)c;
        float g = 0;
        if (c < C) {
            float y = (wf_cuda_load(x, bf16, here) - mean) * rate;
            g = wf_norm_vjp(y, rate, wf_cuda_load(dy, bf16, here), sum / (float)C, products / (float)C) +
                (add ? wf_cuda_load(add, bf16, here) : 0.0f);
        }
        wf_cuda_store(dx, bf16, here, g);
    }
}

static int norm(wf_backend *b, const wf_map_shape *shape, const wf_map *x, wf_map *y)
{
    wf_cuda *cuda = (wf_cuda *)b;
    size_t n = pixels_of(shape);
    WF_RUN(norm_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, n, shape->C, wf_cuda_padded(shape->C),
           is_bf16(shape), (const void *)x, (void *)y);
    return WF_OK;
}

static int norm_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *x, const wf_map *dy, const wf_map *add,
                         wf_map *dx)
{
    wf_cuda *cuda = (wf_cuda *)b;
    size_t n = pixels_of(shape);
    WF_RUN(norm_adjoint, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, n, shape->C, wf_cuda_padded(shape->C),
           is_bf16(shape), (const void *)x, (const void *)dy, (const void *)add, (void *)dx);
    return WF_OK;
}

void wf_cuda_map_slots(wf_backend *b)
{
    b->norm = norm;
    b->norm_backward = norm_backward;
    b->gate = gate;
    b->gate_backward = gate_backward;
    b->map_bytes = map_bytes;
    b->pack = pack;
    b->pack_backward = pack_backward;
    b->unpack = unpack;
    b->relu_backward = relu_backward;
}
