/* conv_dispatch.cu - the convolution slots
 *
 * Folded weights are the weights times exp(3 logs), in the precision of the maps and with padded channels. They are
 * computed for many convolutions in one launch, or for each call. Backward, the gradients by w, bias and logs are
 * computed from the gradients by the folded weights in the same two ways.
 *
 *   points   1x1: matrix products, with bias, residual and relu in their epilogue
 *   taps     few output channels: one product to taps*out channels, then a sum of shifted pixels. The tile of a matrix
 *            unit is 64 wide or more; ten channels would leave five sixths of it idle.
 *   graph    all others: cuDNN */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "eight.h"

/* FEW: most output channels of `taps`. SUMMERS: most blocks that share a sum over pixels; SHARE: pixels of each;
 * ADDERS: threads of each */
enum { FEW = 32, SUMMERS = 256, SHARE = 16, ADDERS = 512 };

typedef struct geometry {
    int N, H, W, in, out, taps; /* channels padded; H: rows of all slices */
    wf_conv_box box;
    int real_in, real_out;
    bool bf16, by_tap; /* folded weights are [taps,out,in], else [out,taps,in] */
    bool narrow;       /* gradients by the folded weights are bf16, else float */
    bool relu;
} geometry;

struct wf_conv {
    wf_conv_spec spec;
    geometry g;
    enum { POINTS, TAPS, GRAPH } kind;
    bool fused; /* GRAPH applies bias and relu itself */
    wf_cuda_product products[WF_CUDA_DIRECTIONS];
    wf_cuda_graph graphs[WF_CUDA_DIRECTIONS];
};

#define WF_BOTH __host__ __device__ __forceinline__

/* -- sizes --------------------------------------------------------------------------------------------------------- */

static WF_BOTH size_t pixels_of(const geometry *g)
{
    return (size_t)g->N * (size_t)g->H * (size_t)g->W;
}

static WF_BOTH size_t weights_of(const geometry *g)
{
    return (size_t)g->taps * (size_t)g->in * (size_t)g->out;
}

static WF_BOTH size_t round256(size_t bytes)
{
    return (bytes + 255) & ~(size_t)255;
}

/* Layout of the folded memory: weights, then bias, in the precision of the maps. Layout of its gradients: numbers by
 * the folded weights (room for floats), then [SUMMERS,out] partial sums of dy. */
static WF_BOTH size_t number(const geometry *g)
{
    return g->bf16 ? sizeof(__nv_bfloat16) : sizeof(float);
}

static WF_BOTH size_t bias_at(const geometry *g)
{
    return round256(weights_of(g) * number(g));
}

static WF_BOTH size_t columns_at(const geometry *g)
{
    return round256(weights_of(g) * sizeof(float));
}

static size_t conv_folded_bytes(wf_backend *b, const wf_conv *conv, bool gradient)
{
    const geometry *g = &conv->g;
    (void)b;
    return gradient ? columns_at(g) + SUMMERS * (size_t)g->out * sizeof(double)
                    : bias_at(g) + round256((size_t)g->out * number(g));
}

/* Memory of one call. */
typedef struct work {
    char *folded, *dfolded;
    void *wide; /* TAPS: [pixels,taps*out] products or gathered gradients; else [pixels,out] before bias and relu */
} work;

static int work_open(wf_cuda *cuda, const wf_conv *conv, const wf_weights *p, work *out)
{
    const geometry *g = &conv->g;
    size_t across = conv->kind == wf_conv::TAPS ? (size_t)(g->taps * g->out) : (size_t)g->out;
    size_t wide = conv->kind == wf_conv::POINTS ? 0 : round256(pixels_of(g) * across * sizeof(float));
    size_t folded = conv_folded_bytes(&cuda->base, conv, false), dfolded = conv_folded_bytes(&cuda->base, conv, true);
    char *at;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, wide + folded + dfolded, &at));
    out->wide = at;
    out->folded = p->folded ? (char *)p->folded : at + wide;
    out->dfolded = p->dfolded ? (char *)p->dfolded : at + wide + folded;
    return WF_OK;
}

/* -- folding ------------------------------------------------------------------------------------------------------- */

enum { TOGETHER = 128, STRIDES = 64 }; /* most convolutions of a launch; blocks that fold each of them */

typedef struct entry {
    geometry g;
    const float *w, *bias, *logs;
    float *dw, *dbias, *dlogs;
    char *folded, *dfolded;
} entry;

/* A kernel's parameter is passed by value, so a recording keeps it. */
typedef struct batch {
    entry entries[TOGETHER];
} batch;

/* Folds convolutions; grid [STRIDES,entries]. A thread folds eight input channels of one tap and output channel. */
static __global__ void __launch_bounds__(WF_CUDA_THREADS) fold(batch all)
{
    const entry e = all.entries[blockIdx.y];
    const geometry g = e.g;
    unsigned eights = (unsigned)g.in / 8, out = (unsigned)g.out, taps = (unsigned)g.taps, n = taps * out * eights;
    unsigned first = blockIdx.x * blockDim.x + threadIdx.x, stride = gridDim.x * blockDim.x;
    void *bias = e.folded + bias_at(&g);
    for (unsigned i = first; i < out; i += stride)
        wf_cuda_store(bias, g.bf16, i, i < (unsigned)g.real_out ? e.bias[i] * expf(3.0f * e.logs[i]) : 0.0f);
    for (unsigned i = first; i < n; i += stride) {
        unsigned row = i / eights, c = i % eights * 8, o = g.by_tap ? row % out : row / taps;
        unsigned t = g.by_tap ? row / out : row % taps;
        bool real = o < (unsigned)g.real_out;
        float scale = real ? expf(3.0f * e.logs[o]) : 0.0f;
        const float *from = e.w + ((size_t)o * taps + t) * (size_t)g.real_in + c;
        wf_cuda_eight eight;
        for (unsigned k = 0; k < 8; k++)
            eight.v[k] = real && c + k < (unsigned)g.real_in ? from[k] * scale : 0.0f;
        wf_cuda_store_eight(e.folded, g.bf16, i, &eight);
    }
}

/* Returns the number of blocks that share a sum over `pixels`. */
static WF_BOTH int summers(size_t pixels)
{
    size_t blocks = (pixels + SHARE - 1) / SHARE;
    return blocks < (size_t)SUMMERS ? (int)blocks : (int)SUMMERS;
}

/* Computes the gradients by w, bias and logs from those by the folded w and bias; grid [channels,entries]. folded = w
 * exp(3 logs) gives d/dlogs = 3 * (sum of folded times its gradient). */
static __global__ void unfold(batch all)
{
    const entry e = all.entries[blockIdx.y];
    const geometry g = e.g;
    int o = (int)blockIdx.x, taps = g.taps, blocks = summers(pixels_of(&g));
    if (o >= g.real_out)
        return;
    const double *columns = (const double *)(e.dfolded + columns_at(&g));
    float scale = expf(3.0f * e.logs[o]);
    double dot = 0;
    for (int i = (int)threadIdx.x; i < taps * g.real_in; i += (int)blockDim.x) {
        int t = i / g.real_in, c = i % g.real_in;
        size_t row = g.by_tap ? (size_t)t * (size_t)g.out + (size_t)o : (size_t)o * (size_t)taps + (size_t)t;
        size_t at = (size_t)o * (size_t)(taps * g.real_in) + (size_t)i;
        float d = scale * wf_cuda_load(e.dfolded, g.narrow, row * (size_t)g.in + (size_t)c);
        e.dw[at] = d;
        dot += (double)e.w[at] * (double)d;
    }
    double sum = 0;
    for (int b = (int)threadIdx.x; b < blocks; b += (int)blockDim.x)
        sum += columns[(size_t)b * (size_t)g.out + (size_t)o];
    dot = wf_cuda_block_sum(dot);
    sum = wf_cuda_block_sum(sum) * (double)scale;
    if (threadIdx.x != 0)
        return;
    e.dbias[o] = (float)sum;
    e.dlogs[o] = (float)(3.0 * (dot + (double)e.bias[o] * sum));
}

/* Replaces dy [pixels,out] by the gradient before the relu, as relu_backward does (y NULL: keeps dy), and in the same
 * pass writes its sums over this block's pixels to columns[block] (NULL: not computed). A thread has eight channels of
 * each `rows`th pixel. */
static __global__ void __launch_bounds__(ADDERS, 2)
    relu_and_sums(size_t pixels, int out, bool bf16, const void *y, const void *add, void *dy, double *columns)
{
    __shared__ double shares[8][ADDERS];
    size_t each = (pixels + gridDim.x - 1) / gridDim.x, begin = (size_t)blockIdx.x * each;
    size_t end = begin + each < pixels ? begin + each : pixels;
    int eights = out / 8;
    for (int first = 0; first < eights; first += ADDERS) {
        int across = eights - first < ADDERS ? eights - first : (int)ADDERS, rows = ADDERS / across;
        int row = (int)threadIdx.x / across, own = first + (int)threadIdx.x % across;
        double sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (size_t p = begin + (size_t)row; p < end && row < rows; p += (size_t)rows) {
            size_t i = p * (size_t)eights + (size_t)own;
            wf_cuda_eight d = y ? wf_cuda_relu_adjoint(bf16, i, y, add, dy) : wf_cuda_load_eight(dy, bf16, i);
            for (int k = 0; k < 8; k++)
                sums[k] += (double)d.v[k];
        }
        if (!columns)
            continue;
        for (int k = 0; k < 8; k++)
            shares[k][threadIdx.x] = sums[k];
        __syncthreads();
        for (int c = (int)threadIdx.x; c < across * 8; c += ADDERS) {
            double sum = 0;
            for (int r = 0; r < rows; r++)
                sum += shares[c % 8][r * across + c / 8];
            columns[(size_t)blockIdx.x * (size_t)out + (size_t)(first * 8 + c)] = sum;
        }
        __syncthreads();
    }
}

/* -- the taps of a few channels: eight of them a thread --------------------------------------------------------------
 *
 * The sides d, h, w of the kernel are constants where it is 3x3, so that its loops unroll. */

typedef struct place {
    int x, y, z;
} place;

static __device__ __forceinline__ place place_of(const geometry *g, unsigned p)
{
    unsigned row = p / (unsigned)g->W, line = row % (unsigned)g->H;
    place at;
    at.x = (int)(p % (unsigned)g->W);
    at.y = (int)(line % (unsigned)g->box.H);
    at.z = (int)(line / (unsigned)g->box.H);
    return at;
}

/* Writes in *by how far tap t moves a pixel, or against it (sign -1). Returns false outside of the picture. */
static __device__ __forceinline__ bool moved(const geometry *g, int d, int h, int w, place at, int t, int sign, int *by)
{
    const wf_conv_box *b = &g->box;
    int dx = sign * (t % w - w / 2), dy = sign * (t / w % h - h / 2), dz = sign * (t / (w * h) - d / 2);
    *by = (dz * b->H + dy) * b->W + dx;
    return at.x + dx >= 0 && at.x + dx < b->W && at.y + dy >= 0 && at.y + dy < b->H && at.z + dz >= 0 &&
           at.z + dz < b->D;
}

/* Adds bias and residual to group i of eight channels, the `own`-th of its pixel; then relu. */
static __device__ __forceinline__ void finish(const geometry *g, unsigned i, unsigned own, wf_cuda_eight sum,
                                              const void *bias, const void *residual, void *y)
{
    wf_cuda_eight shift = wf_cuda_load_eight(bias, g->bf16, own);
    if (residual) {
        wf_cuda_eight more = wf_cuda_load_eight(residual, g->bf16, i);
        for (int k = 0; k < 8; k++)
            shift.v[k] += more.v[k];
    }
    for (int k = 0; k < 8; k++) {
        sum.v[k] += shift.v[k];
        sum.v[k] = g->relu && sum.v[k] < 0 ? 0.0f : sum.v[k];
    }
    wf_cuda_store_eight(y, g->bf16, i, &sum);
}

static __device__ __forceinline__ wf_cuda_eight add_taps(const geometry *g, int d, int h, int w, unsigned p,
                                                         unsigned own, const float *products)
{
    place at = place_of(g, p);
    size_t eights = (size_t)g->out / 8, taps = (size_t)(d * h * w);
    wf_cuda_eight sum = {{0, 0, 0, 0, 0, 0, 0, 0}};
    for (int t = 0; t < d * h * w; t++) {
        int by;
        if (!moved(g, d, h, w, at, t, 1, &by))
            continue;
        wf_cuda_eight more =
            wf_cuda_load_eight(products, false, ((size_t)(p + (unsigned)by) * taps + (size_t)t) * eights + own);
        for (int k = 0; k < 8; k++)
            sum.v[k] += more.v[k];
    }
    return sum;
}

static WF_BOTH bool is_square(const wf_conv_box *b)
{
    return b->d == 1 && b->h == 3 && b->w == 3;
}

/* y[p,o] = sum over taps of products[p + tap, tap, o]; then bias, residual and relu. */
static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    sum_taps(geometry g, unsigned n, const float *products, const void *bias, const void *residual, void *y)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, eights = (unsigned)g.out / 8;
    if (i >= n)
        return;
    unsigned p = i / eights, own = i % eights;
    wf_cuda_eight sum = is_square(&g.box) ? add_taps(&g, 1, 3, 3, p, own, products)
                                          : add_taps(&g, g.box.d, g.box.h, g.box.w, p, own, products);
    finish(&g, i, own, sum, bias, residual, y);
}

static __device__ __forceinline__ void gather(const geometry *g, int d, int h, int w, unsigned i, const void *dy,
                                              void *gathered)
{
    unsigned eights = (unsigned)g->out / 8, taps = (unsigned)(d * h * w), row = i / eights, own = i % eights;
    unsigned q = row / taps, t = row % taps;
    int by;
    wf_cuda_eight value = {{0, 0, 0, 0, 0, 0, 0, 0}};
    if (moved(g, d, h, w, place_of(g, q), (int)t, -1, &by))
        value = wf_cuda_load_eight(dy, g->bf16, (size_t)(q + (unsigned)by) * eights + own);
    wf_cuda_store_eight(gathered, g->bf16, i, &value);
}

/* The adjoint of sum_taps: gathered[q,tap,o] = dy[q - tap, o]. */
static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    gather_taps(geometry g, unsigned n, const void *dy, void *gathered)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    if (is_square(&g.box))
        gather(&g, 1, 3, 3, i, dy, gathered);
    else
        gather(&g, g.box.d, g.box.h, g.box.w, i, dy, gathered);
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    finish_all(geometry g, unsigned n, const void *convolved, const void *bias, const void *residual, void *y)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        finish(&g, i, i % ((unsigned)g.out / 8), wf_cuda_load_eight(convolved, g.bf16, i), bias, residual, y);
}

/* -- creating ------------------------------------------------------------------------------------------------------ */

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

/* Creates the three graphs: fused where cuDNN can, with float weight gradients where cuDNN can. */
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
    conv->g.narrow = conv->graphs[WF_CUDA_WEIGHTS].narrow;
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
    size_t parts = pixels_of(g) * (size_t)(g->by_tap ? g->taps * g->out : g->out) / 8;
    const wf_weights none = {};
    work unused; /* the workspace grows here, so that a recording need not grow it */
    int status = wf_cuda_countable(parts > weights_of(g) ? parts : weights_of(g));
    if (!status)
        status = conv->kind == wf_conv::GRAPH ? create_graphs(cuda, conv) : create_products(cuda, conv);
    if (!status)
        status = work_open(cuda, conv, &none, &unused);
    if (status) {
        conv_destroy(b, conv);
        return status;
    }
    *out = conv;
    return WF_OK;
}

/* -- running ------------------------------------------------------------------------------------------------------- */

static void list(int count, wf_conv *const *convs, const wf_weights *weights, batch *all)
{
    for (int i = 0; i < count; i++) {
        const wf_weights *p = &weights[i];
        entry *e = &all->entries[i];
        e->g = convs[i]->g;
        e->w = (const float *)p->w;
        e->bias = (const float *)p->bias;
        e->logs = (const float *)p->logs;
        e->dw = (float *)p->dw;
        e->dbias = (float *)p->dbias;
        e->dlogs = (float *)p->dlogs;
        e->folded = (char *)p->folded;
        e->dfolded = (char *)p->dfolded;
    }
}

static int part_of(int count, int at)
{
    return count - at < TOGETHER ? count - at : TOGETHER;
}

/* Folding and unfolding touch nothing that matrices of linear bijectors do: these may still run on their branch. */
static int join_weights(wf_cuda *cuda)
{
    return cuda->branch == WF_CUDA_BRANCH_LINEAR ? WF_OK : wf_cuda_join(cuda);
}

static int conv_fold(wf_backend *b, int count, wf_conv *const *convs, const wf_weights *weights)
{
    wf_cuda *cuda = (wf_cuda *)b;
    batch all;
    memset(&all, 0, sizeof all);
    WF_TRY(join_weights(cuda));
    for (int at = 0; at < count; at += TOGETHER) {
        size_t most = 0;
        for (int i = at; i < at + part_of(count, at); i++)
            most = weights_of(&convs[i]->g) > most ? weights_of(&convs[i]->g) : most;
        unsigned blocks = wf_cuda_blocks(most / 8), entries = (unsigned)part_of(count, at);
        list(part_of(count, at), convs + at, weights + at, &all);
        WF_RUN_ON(cuda->stream, fold, dim3(blocks < STRIDES ? blocks : (unsigned)STRIDES, entries),
                  (unsigned)WF_CUDA_THREADS, 0, all);
    }
    return WF_OK;
}

static int conv_unfold(wf_backend *b, int count, wf_conv *const *convs, const wf_weights *weights)
{
    wf_cuda *cuda = (wf_cuda *)b;
    batch all;
    memset(&all, 0, sizeof all);
    WF_TRY(join_weights(cuda));
    for (int at = 0; at < count; at += TOGETHER) {
        int most = 0;
        for (int i = at; i < at + part_of(count, at); i++)
            most = convs[i]->g.real_out > most ? convs[i]->g.real_out : most;
        list(part_of(count, at), convs + at, weights + at, &all);
        WF_RUN_ON(cuda->stream, unfold, dim3((unsigned)most, (unsigned)part_of(count, at)), 128u, 0, all);
    }
    return WF_OK;
}

/* Folds one convolution, if conv_fold has not, to scratch memory, which matrices on a branch may use too. */
static int fold_one(wf_backend *b, wf_conv *conv, const wf_weights *weights, const work *k)
{
    wf_weights p = *weights;
    if (weights->folded)
        return WF_OK;
    p.folded = k->folded;
    WF_TRY(wf_cuda_join((wf_cuda *)b));
    return conv_fold(b, 1, &conv, &p);
}

static int conv_forward(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x,
                        const wf_map *residual, wf_map *y)
{
    wf_cuda *cuda = (wf_cuda *)b;
    const geometry *g = &conv->g;
    unsigned n = (unsigned)(pixels_of(g) * (size_t)g->out / 8);
    work k;
    WF_CHECK(!conv->spec.residual == !residual, WF_INTERNAL,
             "conv: a residual is given without one in the spec, or is missing");
    WF_TRY(work_open(cuda, conv, weights, &k));
    WF_TRY(fold_one(b, conv, weights, &k));
    WF_TRY(wf_cuda_join(cuda));
    void *w = k.folded, *bias = k.folded + bias_at(g);
    if (conv->kind == wf_conv::POINTS)
        return wf_cuda_product_run(cuda, cuda->stream, &conv->products[WF_CUDA_FORWARD], x, w, bias, residual, y);
    if (conv->kind == wf_conv::TAPS) {
        WF_TRY(wf_cuda_product_run(cuda, cuda->stream, &conv->products[WF_CUDA_FORWARD], x, w, NULL, NULL, k.wide));
        WF_RUN(sum_taps, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *g, n, (const float *)k.wide,
               (const void *)bias, (const void *)residual, (void *)y);
        return WF_OK;
    }
    WF_TRY(wf_cuda_graph_run(cuda, cuda->stream, &conv->graphs[WF_CUDA_FORWARD], (void *)x, w,
                             conv->fused ? (void *)y : k.wide, bias));
    if (!conv->fused)
        WF_RUN(finish_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *g, n, (const void *)k.wide,
               (const void *)bias, (const void *)residual, (void *)y);
    return WF_OK;
}

/* wide: TAPS' gathered dy, else dy. */
static int gradient_by_weights(wf_cuda *cuda, cudaStream_t stream, const wf_conv *conv, const work *k, const void *x,
                               const void *wide)
{
    if (conv->kind == wf_conv::GRAPH)
        return wf_cuda_graph_run(cuda, stream, &conv->graphs[WF_CUDA_WEIGHTS], (void *)x, k->dfolded, (void *)wide,
                                 NULL);
    return wf_cuda_product_run(cuda, stream, &conv->products[WF_CUDA_WEIGHTS], wide, x, NULL, NULL, k->dfolded);
}

static int gradient_by_x(wf_cuda *cuda, const wf_conv *conv, const work *k, const void *wide, void *dx)
{
    if (conv->kind == wf_conv::GRAPH)
        return wf_cuda_graph_run(cuda, cuda->stream, &conv->graphs[WF_CUDA_DATA], dx, k->folded, (void *)wide, NULL);
    return wf_cuda_product_run(cuda, cuda->stream, &conv->products[WF_CUDA_DATA], wide, k->folded, NULL, NULL, dx);
}

/* Computes dx and the gradient by the folded weights, each if asked for: both read dy, and run side by side. */
static int gradients(wf_cuda *cuda, const wf_conv *conv, const work *k, const wf_map *x, const wf_map *dy, wf_map *dx,
                     bool want)
{
    const geometry *g = &conv->g;
    const void *wide = dy;
    cudaStream_t stream = cuda->stream;
    WF_TRY(wf_cuda_join(cuda));
    if (conv->kind == wf_conv::TAPS) {
        unsigned n = (unsigned)(pixels_of(g) * (size_t)(g->taps * g->out) / 8);
        WF_RUN(gather_taps, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *g, n, (const void *)dy, k->wide);
        wide = k->wide;
    }
    if (want && dx)
        WF_TRY(wf_cuda_fork(cuda, WF_CUDA_BRANCH_WEIGHTS, &stream));
    if (want)
        WF_TRY(gradient_by_weights(cuda, stream, conv, k, x, wide));
    return dx ? gradient_by_x(cuda, conv, k, wide, dx) : WF_OK;
}

static int conv_backward(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x, const wf_map *y,
                         const wf_map *add, wf_map *dy, wf_map *dx)
{
    wf_cuda *cuda = (wf_cuda *)b;
    const geometry *g = &conv->g;
    wf_weights p = *weights;
    work k;
    WF_CHECK(!p.dw == !p.dbias && !p.dw == !p.dlogs, WF_INTERNAL, "conv: dw, dbias and dlogs must be given together");
    WF_TRY(work_open(cuda, conv, &p, &k));
    if (dx)
        WF_TRY(fold_one(b, conv, weights, &k));
    if (g->relu || p.dw)
        WF_RUN(relu_and_sums, (unsigned)summers(pixels_of(g)), (unsigned)ADDERS, 0, pixels_of(g), g->out, g->bf16,
               g->relu ? (const void *)y : (const void *)NULL, (const void *)add, (void *)dy,
               p.dw ? (double *)(k.dfolded + columns_at(g)) : (double *)NULL);
    WF_TRY(gradients(cuda, conv, &k, x, dy, dx, p.dw != NULL));
    p.dfolded = k.dfolded;
    return weights->dfolded || !p.dw ? WF_OK : conv_unfold(b, 1, &conv, &p);
}

void wf_cuda_conv_slots(wf_backend *b)
{
    b->conv_create = conv_create;
    b->conv_destroy = conv_destroy;
    b->conv_forward = conv_forward;
    b->conv_backward = conv_backward;
    b->conv_folded_bytes = conv_folded_bytes;
    b->conv_fold = conv_fold;
    b->conv_unfold = conv_unfold;
}
