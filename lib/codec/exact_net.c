/* exact_net.c - convolutions in one order of summation
 *
 * A map holds the rows that a strip needs, with a border of one pixel: [rows + 2, W + 2, stride], where the stride is
 * the number of channels rounded up to whole vectors. Channels added so have weights of zero. */
#include "exact_net.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exact_math.h"

#if defined(__AVX512F__)
enum { LANES = 16, MOST_VECTORS = 4 };
#elif defined(__AVX__)
enum { LANES = 8, MOST_VECTORS = 2 };
#elif defined(__aarch64__)
enum { LANES = 4, MOST_VECTORS = 4 };
#else
enum { LANES = 4, MOST_VECTORS = 2 };
#endif
enum { PIXELS = 6, STRIDE = 16 };

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));

typedef struct conv {
    int in, out, k;
    int wide; /* out, in whole strides */
    bool relu, residual, gate;
    float *w;     /* blocks of up to MOST_VECTORS vectors of outputs: [k,k,in,outputs of the block] */
    float *bias;  /* [wide] */
    float *scale; /* [wide], exp(3 l) */
} conv;

struct wf_exact_net {
    conv *convs;
    int count, radius, widest;
};

static int whole(int channels)
{
    return (channels + STRIDE - 1) / STRIDE * STRIDE;
}

/* Vectors of the block that begins at vector v of `all`. */
static int block_vectors(int v, int all)
{
    int left = all - v;
    return left >= MOST_VECTORS ? MOST_VECTORS : left >= 2 ? 2 : 1;
}

static void *zeroed(size_t bytes)
{
    bytes = (bytes + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

/* Orders the weights of outputs `first` .. as a block of n outputs; those past the last stay 0. */
static void pack_block(const wf_exact_layer *from, int first, int n, float *to)
{
    size_t taps = (size_t)(from->k * from->k * from->in);
    for (size_t t = 0; t < taps; t++)
        for (int o = 0; o < n; o++)
            if (first + o < from->out)
                to[t * (size_t)n + (size_t)o] = from->w[(size_t)(first + o) * taps + t];
}

static int create_conv(const wf_exact_layer *from, conv *to)
{
    *to = (conv){.in = from->in, .out = from->out, .k = from->k, .wide = whole(from->out), .relu = from->relu};
    to->residual = from->residual || from->gate;
    to->gate = from->gate;
    size_t taps = (size_t)(from->k * from->k * from->in), n = (size_t)to->wide * sizeof(float);
    to->w = zeroed(taps * n);
    to->bias = zeroed(n);
    to->scale = zeroed(n);
    WF_CHECK(to->w && to->bias && to->scale, WF_AGAIN, "out of memory for a net");
    int all = to->wide / LANES;
    for (int v = 0; v < all; v += block_vectors(v, all))
        pack_block(from, v * LANES, block_vectors(v, all) * LANES, to->w + taps * (size_t)(v * LANES));
    for (int o = 0; o < from->out; o++) {
        to->bias[o] = from->bias[o];
        to->scale[o] = wf_exact_expf(3 * from->logs[o]);
    }
    return WF_OK;
}

static int check_layers(const wf_exact_layer *layers, int count)
{
    WF_CHECK(count > 0, WF_USAGE, "a net without layers");
    for (int i = 0; i < count; i++) {
        const wf_exact_layer *l = &layers[i];
        int before = !i ? l->in : layers[i - 1].out / (layers[i - 1].gate ? 2 : 1), out = l->out / (l->gate ? 2 : 1);
        bool adds = l->residual || l->gate;
        WF_CHECK(l->in > 0 && l->out > 0 && l->in == before && (l->k == 1 || l->k == 3), WF_USAGE,
                 "layer %d: %dx%d from %d to %d channels, after %d", i, l->k, l->k, l->in, l->out, before);
        WF_CHECK(!adds || (i > 0 && layers[i - 1].in == out), WF_USAGE, "layer %d adds a map of other channels", i);
    }
    return WF_OK;
}

int wf_exact_net_create(const wf_exact_layer *layers, int count, wf_exact_net **out)
{
    WF_TRY(check_layers(layers, count));
    wf_exact_net *net = calloc(1, sizeof *net);
    conv *convs = calloc((size_t)count, sizeof *convs);
    int status = net && convs ? WF_OK : wf_fail(WF_AGAIN, "out of memory for a net");
    if (status) {
        free(net);
        free(convs);
        return status;
    }
    net->convs = convs;
    net->widest = whole(layers[0].in);
    for (int i = 0; i < count && !status; i++) {
        net->count++;
        status = create_conv(&layers[i], &convs[i]);
        net->radius += layers[i].k / 2;
        net->widest = convs[i].wide > net->widest ? convs[i].wide : net->widest;
    }
    if (status)
        wf_exact_net_destroy(net);
    else
        *out = net;
    return status;
}

void wf_exact_net_destroy(wf_exact_net *net)
{
    for (int i = 0; net && i < net->count; i++) {
        free(net->convs[i].w);
        free(net->convs[i].bias);
        free(net->convs[i].scale);
    }
    if (net)
        free(net->convs);
    free(net);
}

int wf_exact_net_in(const wf_exact_net *net)
{
    return net->convs[0].in;
}

static int channels_of(const conv *c)
{
    return c->out / (c->gate ? 2 : 1);
}

int wf_exact_net_out(const wf_exact_net *net)
{
    return channels_of(&net->convs[net->count - 1]);
}

int wf_exact_net_rows(const wf_exact_net *net, int width)
{
    int rows = (1 << 21) / (net->widest * (width + 2));
    return rows > 4 * net->radius + 4 ? rows : 4 * net->radius + 4;
}

void wf_exact_clear(wf_exact_scratch *scratch)
{
    for (int i = 0; i < 4; i++)
        free(scratch->map[i]);
    *scratch = (wf_exact_scratch){0};
}

/* Rows low .. high - 1 of a picture, with a border. */
typedef struct map {
    float *values;
    int low, high, W, stride;
} map;

static float *pixel(const map *m, int row, int column)
{
    return m->values + ((size_t)(row - m->low + 1) * (size_t)(m->W + 2) + (size_t)(column + 1)) * (size_t)m->stride;
}

static void clear_pixels(const map *m, int row, int column, int n)
{
    memset(pixel(m, row, column), 0, (size_t)n * (size_t)m->stride * sizeof(float));
}

/* Zeroes the border, which lies elsewhere in maps of other strides. */
static void clear_border(const map *m)
{
    clear_pixels(m, m->low - 1, -1, m->W + 2);
    clear_pixels(m, m->high, -1, m->W + 2);
    for (int row = m->low; row < m->high; row++) {
        clear_pixels(m, row, -1, 1);
        clear_pixels(m, row, m->W, 1);
    }
}

/* Up to PIXELS pixels of a layer; those past the last repeat it, and their outputs go to a place that nobody reads. */
typedef struct group {
    const float *in[PIXELS];
    const float *residual[PIXELS];
    float *out[PIXELS];
} group;

static inline vector load(const float *from)
{
    vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* Stores relu((sum + bias) scale + residual) of n vectors from output `at` on. */
static inline __attribute__((always_inline)) void finish(const conv *c, int n, int at, vector (*sum)[MOST_VECTORS],
                                                         const group *g)
{
    vector zero = {0};
    bool adds = c->residual && !c->gate;
    for (int p = 0; p < PIXELS; p++)
        for (int v = 0; v < n; v++) {
            vector y = (sum[p][v] + load(c->bias + at + v * LANES)) * load(c->scale + at + v * LANES);
            if (adds)
                y += load(g->residual[p] + at + v * LANES);
            if (c->relu)
                y = (vector)((mask)y & (y > zero));
            memcpy(g->out[p] + at + v * LANES, &y, sizeof y);
        }
}

/* Computes n vectors of outputs, from output `at` on, of a group. row, column: floats between pixels. */
static inline __attribute__((always_inline)) void sum_block(const conv *c, int n, int at, const group *g, ptrdiff_t row,
                                                            ptrdiff_t column)
{
    vector sum[PIXELS][MOST_VECTORS];
    const float *w = c->w + (size_t)(c->k * c->k * c->in) * (size_t)at;
    int side = c->k / 2;
#pragma GCC unroll 6
    for (int p = 0; p < PIXELS; p++)
#pragma GCC unroll 4
        for (int v = 0; v < n; v++)
            sum[p][v] = (vector){0};
    for (int i = -side; i <= side; i++)
        for (int j = -side; j <= side; j++) {
            const float *x[PIXELS];
#pragma GCC unroll 6
            for (int p = 0; p < PIXELS; p++)
                x[p] = g->in[p] + i * row + j * column;
            for (int channel = 0; channel < c->in; channel++) {
                vector taps[MOST_VECTORS];
#pragma GCC unroll 4
                for (int v = 0; v < n; v++)
                    taps[v] = load(w + v * LANES);
#pragma GCC unroll 6
                for (int p = 0; p < PIXELS; p++)
#pragma GCC unroll 4
                    for (int v = 0; v < n; v++)
                        sum[p][v] += x[p][channel] * taps[v];
                w += n * LANES;
            }
        }
    finish(c, n, at, sum, g);
}

static void run_group(const conv *c, const group *g, const map *in)
{
    ptrdiff_t column = in->stride, row = column * (in->W + 2);
    int all = c->wide / LANES;
    for (int v = 0; v < all; v += block_vectors(v, all))
        switch (block_vectors(v, all)) {
        case 1:
            sum_block(c, 1, v * LANES, g, row, column);
            break;
        case 2:
            sum_block(c, 2, v * LANES, g, row, column);
            break;
        default:
            sum_block(c, MOST_VECTORS, v * LANES, g, row, column);
        }
}

/* Computes rows first .. last - 1 of a convolution. residual: a map, or NULL. spare: room for a pixel. */
static void run_conv(const conv *c, const map *in, const map *residual, const map *out, int first, int last,
                     float *spare)
{
    int64_t n = (int64_t)(last - first) * out->W;
    for (int64_t at = 0; at < n; at += PIXELS) {
        group g;
        for (int p = 0; p < PIXELS; p++) {
            int64_t i = at + p < n ? at + p : n - 1;
            int row = first + (int)(i / out->W), column = (int)(i % out->W);
            g.in[p] = pixel(in, row, column);
            g.residual[p] = residual ? pixel(residual, row, column) : NULL;
            g.out[p] = at + p < n ? pixel(out, row, column) : spare;
        }
        run_group(c, &g, in);
    }
}

/* Computes out = relu(x + a sigmoid(b)) from (a, b) of `both`. */
static void run_gate(const conv *c, const map *both, const map *x, const map *out, int first, int last)
{
    int n = c->out / 2;
    for (int row = first; row < last; row++)
        for (int column = 0; column < out->W; column++) {
            const float *a = pixel(both, row, column), *from = pixel(x, row, column);
            float *y = pixel(out, row, column);
            for (int i = 0; i < n; i++) {
                float sum = from[i] + a[i] * (float)(1 / (1 + wf_exact_exp(-(double)a[n + i])));
                y[i] = sum > 0 ? sum : 0;
            }
        }
}

/* A run: three maps in turns, and one for gates. */
typedef struct strip {
    const wf_exact_net *net;
    wf_exact_scratch *scratch;
    int H, W, low, high; /* rows of the maps */
} strip;

/* A map of the strip in memory i, for so many channels. */
static map map_of(const strip *s, int i, int channels)
{
    return (map){s->scratch->map[i], s->low, s->high, s->W, whole(channels)};
}

static int reserve(const strip *s)
{
    size_t room = (size_t)(s->high - s->low + 2) * (size_t)(s->W + 2) * (size_t)s->net->widest + 1;
    for (int i = 0; i < 4; i++) {
        if (s->scratch->room[i] >= room)
            continue;
        free(s->scratch->map[i]);
        s->scratch->room[i] = 0;
        s->scratch->map[i] = zeroed(room * sizeof(float));
        WF_CHECK(s->scratch->map[i], WF_AGAIN, "out of memory for maps of %d pixels a row", s->W);
        s->scratch->room[i] = room;
    }
    return WF_OK;
}

static void copy_input(const map *to, const wf_exact_part *parts, int count)
{
    int at = 0;
    for (int i = 0; i < count; at += parts[i++].channels)
        for (int row = to->low; row < to->high; row++)
            for (int column = 0; column < to->W; column++) {
                size_t bytes = (size_t)parts[i].channels * sizeof(float);
                size_t from = ((size_t)row * (size_t)to->W + (size_t)column) * (size_t)parts[i].stride;
                if (parts[i].values)
                    memcpy(pixel(to, row, column) + at, parts[i].values + from, bytes);
                else
                    memset(pixel(to, row, column) + at, 0, bytes);
            }
    clear_border(to);
}

/* Runs layer i for rows first .. last - 1. Map i % 3 is its input, and (i + 2) % 3 the input of the layer before. */
static int run_layer(const strip *s, int i, int first, int last)
{
    const conv *c = &s->net->convs[i];
    float *spare = malloc((size_t)c->wide * sizeof *spare);
    WF_CHECK(spare, WF_AGAIN, "out of memory for a pixel");
    map in = map_of(s, i % 3, c->in), out = map_of(s, (i + 1) % 3, channels_of(c)), before = {0};
    if (c->residual)
        before = map_of(s, (i + 2) % 3, s->net->convs[i - 1].in);
    map both = map_of(s, 3, c->out);
    run_conv(c, &in, c->residual && !c->gate ? &before : NULL, c->gate ? &both : &out, first, last, spare);
    if (c->gate)
        run_gate(c, &both, &before, &out, first, last);
    clear_border(&out);
    free(spare);
    return WF_OK;
}

static int clip(int row, int H)
{
    return row < 0 ? 0 : row > H ? H : row;
}

int wf_exact_net_run(const wf_exact_net *net, const wf_exact_part *parts, int part_count, int H, int W, int first,
                     int rows, wf_exact_scratch *scratch, float *out)
{
    int reach = net->radius, channels = wf_exact_net_out(net);
    strip s = {net, scratch, H, W, clip(first - reach, H), clip(first + rows + reach, H)};
    WF_TRY(reserve(&s));
    map in = map_of(&s, 0, net->convs[0].in);
    copy_input(&in, parts, part_count);
    for (int i = 0; i < net->count; i++) {
        reach -= net->convs[i].k / 2;
        WF_TRY(run_layer(&s, i, clip(first - reach, H), clip(first + rows + reach, H)));
    }
    map last = map_of(&s, net->count % 3, channels);
    for (int row = first; row < first + rows; row++)
        for (int column = 0; column < W; column++, out += channels)
            memcpy(out, pixel(&last, row, column), (size_t)channels * sizeof *out);
    return WF_OK;
}
