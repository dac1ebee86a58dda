/* conv.cu - the convolution slots
 *
 * Weights with their scale exp(3 logs) folded in, in the precision of the maps and with padded channels, are made for each
 * call; so are, backward, the gradients by w, bias and logs out of those by the folded ones.
 *
 *   points   1x1: matrix products, bias, residual and relu in their epilogue
 *   taps     few output channels: one product to taps*out channels, and then a sum of shifted pixels. A matrix unit's tile
 *            is 64 wide or more, of which ten channels would leave five sixths idle
 *   graph    all others: cuDNN */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"

enum { FEW = 32, SUMMERS = 64 }; /* channels of `taps`; blocks that share a sum over pixels */

typedef struct geometry {
    int N, H, W, in, out, taps; /* channels padded; H: rows of all slices */
    wf_conv_box box;
    int real_in, real_out;
    bool bf16, by_tap; /* folded weights are [taps,out,in], else [out,taps,in] */
    bool relu;
} geometry;

struct wf_conv {
    wf_conv_spec spec;
    geometry g;
    enum { POINTS, TAPS, GRAPH } kind;
    bool fused; /* GRAPH does bias and relu by itself */
    wf_cuda_product products[WF_CUDA_DIRECTIONS];
    wf_cuda_graph graphs[WF_CUDA_DIRECTIONS];
};

/* -- sizes --------------------------------------------------------------------------------------------------------------- */

static size_t pixels_of(const geometry *g)
{
    return (size_t)g->N * (size_t)g->H * (size_t)g->W;
}

static size_t weights_of(const geometry *g)
{
    return (size_t)g->taps * (size_t)g->in * (size_t)g->out;
}

static size_t round256(size_t bytes)
{
    return (bytes + 255) & ~(size_t)255;
}

/* What one call works on. */
typedef struct work {
    void *w, *bias; /* folded, in the maps' precision */
    void *wide; /* [pixels,taps*out] of TAPS: products or gathered gradients; else [pixels,out] before bias and relu */
    float *dw;  /* by the folded weights */
    double *columns; /* [SUMMERS,out] shares of the sums of dy */
} work;

static int work_open(wf_cuda *cuda, const wf_conv *conv, work *out)
{
    const geometry *g = &conv->g;
    size_t w = round256(weights_of(g) * sizeof(float)), bias = round256((size_t)g->out * sizeof(float));
    size_t across = conv->kind == wf_conv::TAPS ? (size_t)(g->taps * g->out) : (size_t)g->out;
    size_t wide = conv->kind == wf_conv::POINTS ? 0 : round256(pixels_of(g) * across * sizeof(float));
    size_t columns = SUMMERS * (size_t)g->out * sizeof(double);
    char *at;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, 2 * w + bias + wide + columns, &at));
    out->w = at;
    out->dw = (float *)(at + w);
    out->bias = at + 2 * w;
    out->wide = at + 2 * w + bias;
    out->columns = (double *)(at + 2 * w + bias + wide);
    return WF_OK;
}

/* -- folding --------------------------------------------------------------------------------------------------------------- */

/* Place in the parameters [out,taps,in] of element i of the folded weights; *o its output channel; false: padding. */
static __device__ __forceinline__ bool place_of(const geometry *g, size_t i, int *o, size_t *at)
{
    int c = (int)(i % (size_t)g->in), taps = g->taps;
    size_t rest = i / (size_t)g->in;
    int t = (int)(g->by_tap ? rest / (size_t)g->out : rest % (size_t)taps);
    *o = (int)(g->by_tap ? rest % (size_t)g->out : rest / (size_t)taps);
    *at = ((size_t)*o * (size_t)taps + (size_t)t) * (size_t)g->real_in + (size_t)c;
    return c < g->real_in && *o < g->real_out;
}

static __global__ void fold(geometry g, size_t n, const float *w, const float *bias, const float *logs, void *folded,
                            void *folded_bias)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, at;
    int o;
    if (i < (size_t)g.out)
        wf_cuda_store(folded_bias, g.bf16, i, i < (size_t)g.real_out ? bias[i] * expf(3.0f * logs[i]) : 0.0f);
    if (i < n)
        wf_cuda_store(folded, g.bf16, i, place_of(&g, i, &o, &at) ? w[at] * expf(3.0f * logs[o]) : 0.0f);
}

/* One block an output channel: from the gradients by the folded w and bias those by w, bias and logs; since
 * folded = w exp(3 logs), d/dlogs = 3 * (sum of folded times its gradient). */
static __global__ void unfold(geometry g, int blocks, const float *w, const float *bias, const float *logs,
                              const float *dfolded, const double *columns, float *dw, float *dbias, float *dlogs)
{
    int o = (int)blockIdx.x, taps = g.taps;
    float scale = expf(3.0f * logs[o]);
    double dot = 0;
    for (int e = (int)threadIdx.x; e < taps * g.real_in; e += (int)blockDim.x) {
        int t = e / g.real_in, c = e % g.real_in;
        size_t row = g.by_tap ? (size_t)t * (size_t)g.out + (size_t)o : (size_t)o * (size_t)taps + (size_t)t;
        size_t at = (size_t)o * (size_t)(taps * g.real_in) + (size_t)e;
        float d = scale * dfolded[row * (size_t)g.in + (size_t)c];
        dw[at] = d;
        dot += (double)w[at] * (double)d;
    }
    dot = wf_cuda_block_sum(dot);
    if (threadIdx.x != 0)
        return;
    double sum = 0;
    for (int b = 0; b < blocks; b++)
        sum += columns[(size_t)b * (size_t)g.out + (size_t)o];
    sum *= (double)scale;
    dbias[o] = (float)sum;
    dlogs[o] = (float)(3.0 * (dot + (double)bias[o] * sum));
}

/* columns[block] = sums over this block's pixels of dy [pixels,out]; a thread has every blockDim.x-th channel. */
static __global__ void sum_columns(size_t pixels, int out, bool bf16, const void *dy, double *columns)
{
    size_t each = (pixels + gridDim.x - 1) / gridDim.x, begin = (size_t)blockIdx.x * each;
    size_t end = begin + each < pixels ? begin + each : pixels;
    for (int c = (int)threadIdx.x; c < out; c += (int)blockDim.x) {
        double sum = 0;
        for (size_t p = begin; p < end; p++)
            sum += (double)wf_cuda_load(dy, bf16, p * (size_t)out + (size_t)c);
        columns[(size_t)blockIdx.x * (size_t)out + (size_t)c] = sum;
    }
}

/* A bf16 weight gradient, where cuDNN has no other. From the end of the memory that both share, so in one block. */
static __global__ void widen(size_t n, float *dw)
{
    for (size_t from = n; from > 0;) {
        size_t count = from < blockDim.x ? from : blockDim.x, i = from - count + threadIdx.x;
        float value = threadIdx.x < count ? __bfloat162float(((const __nv_bfloat16 *)dw)[i]) : 0;
        __syncthreads();
        if (threadIdx.x < count)
            dw[i] = value;
        __syncthreads();
        from -= count;
    }
}

/* -- the taps of a few channels ---------------------------------------------------------------------------------------- */

/* Pixel `p` moved by tap t, or false: outside of its picture. */
static __device__ __forceinline__ bool moved(const geometry *g, size_t p, int t, int sign, size_t *to)
{
    const wf_conv_box *b = &g->box;
    int row = (int)(p / (size_t)g->W % (size_t)g->H), x = (int)(p % (size_t)g->W), y = row % b->H, z = row / b->H;
    int dx = sign * (t % b->w - b->w / 2), dy = sign * (t / b->w % b->h - b->h / 2);
    int dz = sign * (t / (b->w * b->h) - b->d / 2);
    *to = (size_t)((long long)p + ((long long)dz * b->H + dy) * b->W + dx);
    return x + dx >= 0 && x + dx < b->W && y + dy >= 0 && y + dy < b->H && z + dz >= 0 && z + dz < b->D;
}

static __device__ __forceinline__ float finish(const geometry *g, size_t i, float sum, const void *bias,
                                               const void *residual)
{
    sum += wf_cuda_load(bias, g->bf16, i % (size_t)g->out) + (residual ? wf_cuda_load(residual, g->bf16, i) : 0.0f);
    return g->relu && sum < 0 ? 0.0f : sum;
}

/* y[p,o] = sum over taps of products[p + tap, tap, o]; then bias, residual and relu. */
static __global__ void sum_taps(geometry g, size_t n, const float *products, const void *bias, const void *residual,
                                void *y)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, p = i / (size_t)g.out, q;
    int taps = g.taps;
    float sum = 0;
    if (i >= n)
        return;
    for (int t = 0; t < taps; t++)
        if (moved(&g, p, t, 1, &q))
            sum += products[(q * (size_t)taps + (size_t)t) * (size_t)g.out + i % (size_t)g.out];
    wf_cuda_store(y, g.bf16, i, finish(&g, i, sum, bias, residual));
}

/* Its adjoint: gathered[q,tap,o] = dy[q - tap, o]. */
static __global__ void gather_taps(geometry g, size_t n, const void *dy, void *gathered)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, row = i / (size_t)g.out, p;
    int taps = g.taps;
    if (i >= n)
        return;
    bool inside = moved(&g, row / (size_t)taps, (int)(row % (size_t)taps), -1, &p);
    wf_cuda_store(gathered, g.bf16, i, inside ? wf_cuda_load(dy, g.bf16, p * (size_t)g.out + i % (size_t)g.out) : 0.0f);
}

static __global__ void finish_all(geometry g, size_t n, const void *convolved, const void *bias, const void *residual,
                                  void *y)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        wf_cuda_store(y, g.bf16, i, finish(&g, i, wf_cuda_load(convolved, g.bf16, i), bias, residual));
}

/* -- creating ------------------------------------------------------------------------------------------------------------ */

static void conv_destroy(wf_backend *b, wf_conv *conv)
{
    (void)b;
    if (!conv)
        return;
    for (int d = 0; d < WF_CUDA_DIRECTIONS; d++) {
        wf_cuda_product_clear(&conv->products[d]);
        wf_cuda_graph_clear(&conv->graphs[d]);
    }
    free(conv);
}

static int create_products(wf_cuda *cuda, wf_conv *conv)
{
    const geometry *g = &conv->g;
    bool points = conv->kind == wf_conv::POINTS;
    for (int d = 0; d < WF_CUDA_DIRECTIONS; d++) {
        wf_cuda_product *p = &conv->products[d];
        bool forward = d == WF_CUDA_FORWARD;
        p->direction = (wf_cuda_direction)d;
        p->precision = conv->spec.precision;
        p->M = pixels_of(g);
        p->in = (size_t)g->in;
        p->out = (size_t)(points ? g->out : g->taps * g->out);
        p->bias = points && forward;
        p->residual = points && forward && conv->spec.residual;
        p->relu = points && forward && conv->spec.relu;
        p->whole = !points && forward;
        WF_TRY(wf_cuda_product_create(cuda, p));
    }
    return WF_OK;
}

/* Fused where cuDNN can; weight gradients in float where it can. */
static int create_graphs(wf_cuda *cuda, wf_conv *conv)
{
    for (int d = 0; d < WF_CUDA_DIRECTIONS; d++) {
        wf_cuda_graph *g = &conv->graphs[d];
        g->direction = (wf_cuda_direction)d;
        g->spec = conv->spec;
        g->spec.in = conv->g.in;
        g->spec.out = conv->g.out;
        g->fused = d == WF_CUDA_FORWARD && !conv->spec.residual;
        int status = wf_cuda_graph_create(cuda, g);
        if (status == WF_INTERNAL && (g->fused || (d == WF_CUDA_WEIGHTS && conv->g.bf16))) {
            g->fused = false;
            g->narrow = d == WF_CUDA_WEIGHTS;
            status = wf_cuda_graph_create(cuda, g);
        }
        WF_TRY(status);
    }
    conv->fused = conv->graphs[WF_CUDA_FORWARD].fused;
    return WF_OK;
}

static int conv_create(wf_backend *b, const wf_conv_spec *spec, wf_conv **out)
{
    wf_cuda *cuda = (wf_cuda *)b;
    *out = NULL;
    WF_CHECK(wf_conv_good(spec), WF_INTERNAL, "conv: [%d,%d,%d,%d] to %d channels with a %dx%d kernel", spec->N,
             spec->H, spec->W, spec->in, spec->out, spec->k, spec->k);
    wf_conv *conv = (wf_conv *)calloc(1, sizeof *conv);
    WF_CHECK(conv, WF_AGAIN, "cuda: out of memory");
    conv->spec = *spec;
    bool few = spec->out <= (int)FEW;
    conv->kind = spec->k == 1 ? wf_conv::POINTS : few ? wf_conv::TAPS : wf_conv::GRAPH;
    geometry *g = &conv->g;
    g->N = spec->N;
    g->H = spec->H;
    g->W = spec->W;
    g->taps = wf_conv_taps(spec);
    g->box = wf_conv_box_of(spec);
    g->in = wf_cuda_padded(spec->in);
    g->out = wf_cuda_padded(spec->out);
    g->real_in = spec->in;
    g->real_out = spec->out;
    g->bf16 = spec->precision == WF_BF16;
    g->by_tap = conv->kind == wf_conv::TAPS;
    g->relu = spec->relu;
    work unused; /* so that a recording need not grow it */
    int status = conv->kind == wf_conv::GRAPH ? create_graphs(cuda, conv) : create_products(cuda, conv);
    if (!status)
        status = work_open(cuda, conv, &unused);
    if (status) {
        conv_destroy(b, conv);
        return status;
    }
    *out = conv;
    return WF_OK;
}

/* -- running ------------------------------------------------------------------------------------------------------------- */

static int fold_weights(wf_cuda *cuda, const wf_conv *conv, const wf_real *w, const wf_real *bias, const wf_real *logs,
                        const work *k)
{
    size_t n = weights_of(&conv->g);
    WF_RUN(fold, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, conv->g, n, (const float *)w, (const float *)bias,
           (const float *)logs, k->w, k->bias);
    return WF_OK;
}

static int conv_forward(wf_backend *b, wf_conv *conv, const wf_real *w, const wf_real *bias, const wf_real *logs,
                        const wf_map *x, const wf_map *residual, wf_map *y)
{
    wf_cuda *cuda = (wf_cuda *)b;
    const geometry *g = &conv->g;
    size_t n = pixels_of(g) * (size_t)g->out;
    work k;
    WF_CHECK(!conv->spec.residual == !residual, WF_INTERNAL, "conv: residual given or missing against its spec");
    WF_TRY(work_open(cuda, conv, &k));
    WF_TRY(fold_weights(cuda, conv, w, bias, logs, &k));
    if (conv->kind == wf_conv::POINTS)
        return wf_cuda_product_run(cuda, &conv->products[WF_CUDA_FORWARD], x, k.w, k.bias, residual, y);
    if (conv->kind == wf_conv::TAPS) {
        WF_TRY(wf_cuda_product_run(cuda, &conv->products[WF_CUDA_FORWARD], x, k.w, NULL, NULL, k.wide));
        WF_RUN(sum_taps, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *g, n, (const float *)k.wide,
               (const void *)k.bias, (const void *)residual, (void *)y);
        return WF_OK;
    }
    WF_TRY(wf_cuda_graph_run(cuda, &conv->graphs[WF_CUDA_FORWARD], (void *)x, k.w, conv->fused ? (void *)y : k.wide,
                             k.bias));
    if (!conv->fused)
        WF_RUN(finish_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *g, n, (const void *)k.wide,
               (const void *)k.bias, (const void *)residual, (void *)y);
    return WF_OK;
}

/* dx and the gradient by the folded weights, each where it is wanted. */
static int gradients(wf_cuda *cuda, const wf_conv *conv, const work *k, const wf_map *x, const wf_map *dy, wf_map *dx,
                     bool want)
{
    const geometry *g = &conv->g;
    const void *wide = dy; /* of TAPS: one gradient a tap */
    if (conv->kind == wf_conv::GRAPH) {
        const wf_cuda_graph *weights = &conv->graphs[WF_CUDA_WEIGHTS];
        if (dx)
            WF_TRY(wf_cuda_graph_run(cuda, &conv->graphs[WF_CUDA_DATA], dx, k->w, (void *)dy, NULL));
        if (want)
            WF_TRY(wf_cuda_graph_run(cuda, weights, (void *)x, k->dw, (void *)dy, NULL));
        if (want && weights->narrow)
            WF_RUN(widen, 1u, 1024u, 0, weights_of(g), k->dw);
        return WF_OK;
    }
    if (conv->kind == wf_conv::TAPS) {
        size_t n = pixels_of(g) * (size_t)(g->taps * g->out);
        WF_RUN(gather_taps, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *g, n, (const void *)dy, k->wide);
        wide = k->wide;
    }
    if (dx)
        WF_TRY(wf_cuda_product_run(cuda, &conv->products[WF_CUDA_DATA], wide, k->w, NULL, NULL, dx));
    return want ? wf_cuda_product_run(cuda, &conv->products[WF_CUDA_WEIGHTS], wide, x, NULL, NULL, k->dw) : WF_OK;
}

static int conv_backward(wf_backend *b, wf_conv *conv, const wf_real *w, const wf_real *bias, const wf_real *logs,
                         const wf_map *x, const wf_map *dy, wf_map *dx, wf_real *dw, wf_real *dbias, wf_real *dlogs)
{
    wf_cuda *cuda = (wf_cuda *)b;
    const geometry *g = &conv->g;
    size_t pixels = pixels_of(g);
    work k;
    WF_CHECK(!dw == !dbias && !dw == !dlogs, WF_INTERNAL, "conv: all three parameter gradients, or none");
    WF_TRY(work_open(cuda, conv, &k));
    if (dx)
        WF_TRY(fold_weights(cuda, conv, w, bias, logs, &k));
    WF_TRY(gradients(cuda, conv, &k, x, dy, dx, dw != NULL));
    if (!dw)
        return WF_OK;
    unsigned blocks = pixels < (size_t)SUMMERS ? (unsigned)pixels : (unsigned)SUMMERS;
    WF_RUN(sum_columns, blocks, 128u, 0, pixels, g->out, g->bf16, (const void *)dy, k.columns);
    WF_RUN(unfold, (unsigned)g->real_out, 128u, 0, *g, (int)blocks, (const float *)w, (const float *)bias,
           (const float *)logs, (const float *)k.dw, (const double *)k.columns, (float *)dw, (float *)dbias,
           (float *)dlogs);
    return WF_OK;
}

void wf_cuda_conv_slots(wf_backend *b)
{
    b->conv_create = conv_create;
    b->conv_destroy = conv_destroy;
    b->conv_forward = conv_forward;
    b->conv_backward = conv_backward;
}
