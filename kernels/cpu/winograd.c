/* winograd.c - 3x3 convolutions by F(4x4,3x3) (winograd.h): forward, and the gradient by x
 *
 * Weights become U, 36 matrices [from,PANEL] for each PANEL of output channels. A group of tiles becomes V, 36 matrices
 * [tiles,from], which stay in the cache of one core. The products of V and U become pixels. Every sum runs over the
 * channels in order, so neither its place, nor threads, nor lanes change a bit of a tile.
 *
 * Milliseconds forward / gradient by x / by the weights, N 64, one core of an EPYC (Zen 4: 113 GFLOP/s with registers
 * of either width). "Floor" is the time of the 36 products at that rate. oneDNN 2.6.3 uses its Winograd, which it has
 * for AVX-512 alone. oneDNN 3.2 has none and convolves directly.
 *                      floor   AVX-512                 AVX2                    oneDNN 2.6.3          oneDNN 3.2
 *   128 -> 128, 4x4    .67     .89 / .89 / .89         .94 / .94 / .93         1.2 / 1.2 / 1.1       1.8 / 1.9 / 2.7
 *   128 -> 128, 8x8    2.7     3.3 / 3.4 / 3.4         3.3 / 3.3 / 3.5         4.6 / 4.7 / 4.2       8.8 / 8.8 / 10
 *   128 -> 128, 16x16  10.7    14 / 14 / 15            15 / 15 / 16            16 / 16 / 16          38 / 39 / 47
 *   128 -> 128, 32x32  43      58 / 58 / 61            64 / 64 / 67            61 / 60 / 63          163 / 166 / 202
 *   256 -> 256, 4x4    2.7     3.3 / 3.3 / 4.2         3.4 / 3.5 / 4.2         4.6 / 4.7 / 5.0       7.4 / 7.8 / 11
 *   256 -> 256, 8x8    10.7    13 / 13 / 15            13 / 14 / 16            15 / 15 / 15          35 / 36 / 43
 *   256 -> 256, 16x16  43      51 / 51 / 58            54 / 54 / 57            58 / 59 / 58          164 / 168 / 185
 *   256 -> 10,  8x8    .67     1.2 / 1.3 / 1.0         1.2 / 1.3 / 1.0         3.1 / 1.8 / 1.8       2.2 / 2.2 / 2.6
 * N 1, 128 -> 128, 16x16: .17; .28 / .27 / .33; .27 / .27 / .33; .49 / .53 / .48; .59 / .59 / .67.
 * Below 4x4 most of a tile is padding. */
#include "winograd.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    EIGHT = 8,  /* channels of a transposed square of weights */
    GROUP = 24, /* tiles of a group */
    FEW = 72,   /* most tiles whose V may be larger than the cache of a core */
};

/* One call: maps, and the place of the weight of (input channel, output channel, tap) in w. */
typedef struct winograd {
    const void *x, *residual; /* maps, as y; residual NULL: none */
    void *y;
    const float *w, *in_scale;      /* in_scale [from] multiplies x (NULL: 1) */
    const float *out_scale, *shift; /* out_scale [to] multiplies y, then shift is added (NULL: neither) */
    bool relu;
    wf_tiles source, result;
    int from, to; /* channels, padded to vectors */
    int real_from, real_to;
    ptrdiff_t origin, from_step, to_step, tap_step;
    bool few;      /* few tiles: one group, whose V is shared, while each thread has its U; else the reverse */
    int group;     /* most tiles of a group */
    float *shared; /* V [36,group,from] if few, else U [to/PANEL,36,from,PANEL]; SKEW after each matrix */
} winograd;

static int panels_of(const winograd *c)
{
    return (c->to + PANEL - 1) / PANEL;
}

/* Floats from one matrix of V, or of U, to the next. */
static size_t matrix_V(const winograd *c)
{
    return (size_t)c->group * (size_t)c->from + SKEW;
}

static size_t matrix_U(const winograd *c)
{
    return (size_t)PANEL * (size_t)c->from + SKEW;
}

/* Floats of one thread: U or V, then M [36,group,PANEL]. */
static size_t thread_floats(const winograd *c)
{
    return POINTS * ((c->few ? matrix_U(c) : matrix_V(c)) + (size_t)c->group * PANEL);
}

/* -- U ------------------------------------------------------------------------------------------------------------- */

#ifdef __FMA__

static const bool fused = true;

WF_VEC void transpose(wf_eight rows[EIGHT])
{
    __m256 pairs[EIGHT], quads[EIGHT];
    for (int i = 0; i < EIGHT; i += 2) {
        pairs[i] = _mm256_unpacklo_ps((__m256)rows[i], (__m256)rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps((__m256)rows[i], (__m256)rows[i + 1]);
    }
    for (int i = 0; i < EIGHT; i += 4)
        for (int j = 0; j < 2; j++) {
            quads[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0x44);
            quads[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        rows[i] = (wf_eight)_mm256_permute2f128_ps(quads[i], quads[4 + i], 0x20);
        rows[4 + i] = (wf_eight)_mm256_permute2f128_ps(quads[i], quads[4 + i], 0x31);
    }
}

#else

/* oneDNN's direct convolutions are as fast without fused multiply-add, and this file is not used. */
static const bool fused = false;

WF_VEC void transpose(wf_eight rows[EIGHT])
{
    float copy[EIGHT][EIGHT];
    memcpy(copy, rows, sizeof copy);
    for (int i = 0; i < EIGHT; i++)
        for (int j = 0; j < EIGHT; j++)
            rows[i][j] = copy[j][i];
}

#endif

/* Gathers the weights from input channels [from, from + EIGHT) to output channels [first, first + PANEL), as
 * [EIGHT,9,PANEL]. Going forward, input channels are contiguous in w; going backward, output channels are. */
static void gather_weights(const winograd *c, int from, int first, float *out)
{
    int froms = c->real_from - from, tos = c->real_to - first;
    const float *w = c->w + c->origin + from * c->from_step + first * c->to_step;
    wf_eight rows[EIGHT];
    if (froms < EIGHT || tos < PANEL) {
        memset(out, 0, EIGHT * 9 * PANEL * sizeof *out);
        for (int s = 0; s < froms && s < EIGHT; s++)
            for (int t = 0; t < 9; t++)
                for (int o = 0; o < tos && o < PANEL; o++)
                    out[(s * 9 + t) * PANEL + o] = w[s * c->from_step + t * c->tap_step + o * c->to_step];
        return;
    }
    for (int t = 0; t < 9; t++)
        for (int o = 0; o < PANEL; o += EIGHT) {
            const float *corner = w + t * c->tap_step + o * c->to_step;
            for (int r = 0; r < EIGHT; r++)
                wf_eight_load(&rows[r], corner + r * (c->to_step == 1 ? c->from_step : c->to_step));
            if (c->to_step != 1)
                transpose(rows);
            for (int s = 0; s < EIGHT; s++)
                wf_eight_store(out + (s * 9 + t) * PANEL + o, &rows[s]);
        }
}

/* Computes rows [from, from + EIGHT) of all matrices of a panel, U [36,from,PANEL]. */
static void make_U(const winograd *c, int panel, int from, float *U)
{
    float w[EIGHT * 9 * PANEL];
    size_t stride = matrix_U(c);
    U += (size_t)from * PANEL;
    gather_weights(c, from, panel * PANEL, w);
    for (int i = 0; i < EIGHT * PANEL; i += LANES) {
        wf_wide g[9], columns[18], u[POINTS];
        int s = i / PANEL, lane = i % PANEL;
        for (int t = 0; t < 9; t++)
            wf_wide_load(&g[t], w + (s * 9 + t) * PANEL + lane);
        for (int j = 0; j < 3; j++)
            wf_transform_weights(g + j, 3, columns + j, 3);
        for (int k = 0; k < 6; k++)
            wf_transform_weights(columns + 3 * k, 1, u + 6 * k, 1);
        for (int k = 0; k < POINTS; k++)
            wf_wide_store(U + (size_t)k * stride + i, &u[k]);
    }
}

/* -- the products, and pixels again -------------------------------------------------------------------------------- */

/* Writes one vector of channels of a tile to V, at place `at` of its group. */
static void make_V(const winograd *c, int tile, int at, int vector, float *V)
{
    wf_make_pixels(&c->source, c->x, c->in_scale, tile, vector, V + at * c->from + vector * LANES, matrix_V(c));
}

/* Scales and shifts the pixels y of one vector of output channels of one tile, adds the residual, and stores them. */
WF_VEC void store_tile(const winograd *c, bool bf16, const wf_place *p, int vector, const wf_wide *y)
{
    const wf_tiles *map = &c->result;
    const bool scaled = c->out_scale;
    wf_wide scale = {0}, shift = {0};
    if (scaled) {
        wf_wide_load(&scale, c->out_scale + vector * LANES);
        wf_wide_load(&shift, c->shift + vector * LANES);
    }
    for (int i = 0; i < 4 && p->row + i < map->H; i++)
        for (int j = 0; j < 4 && p->column + j < map->W; j++) {
            size_t pixel = wf_pixel_at(map, p, p->row + i, p->column + j);
            wf_wide value = y[4 * i + j], other;
            if (scaled)
                value = value * scale + shift;
            if (c->residual) {
                wf_load_pixel(map, bf16, p, c->residual, p->row + i, p->column + j, &other);
                value += other;
            }
            if (c->relu)
                wf_wide_relu(&value);
            if (bf16)
                wf_wide_store_bf16((uint16_t *)c->y + pixel, &value);
            else
                wf_wide_store_halves((float *)c->y + pixel, p->next ? (float *)c->y + pixel + p->next : NULL, &value);
        }
}

/* Computes one vector of output channels of one tile from its products m [36], group * PANEL apart. */
static void finish_tile(const winograd *c, int tile, int vector, const float *m)
{
    wf_wide product[POINTS], rows[24], y[16];
    wf_place p = wf_place_of(&c->result, tile, vector);
    for (int k = 0; k < POINTS; k++)
        wf_wide_load(&product[k], m + k * c->group * PANEL);
    for (int j = 0; j < 6; j++)
        wf_transform_products(product + j, 6, rows + j, 6);
    for (int i = 0; i < 4; i++)
        wf_transform_products(rows + 6 * i, 1, y + 4 * i, 1);
    if (c->result.bf16)
        store_tile(c, true, &p, vector, y);
    else
        store_tile(c, false, &p, vector, y);
}

/* Computes one panel of `tiles` tiles from V and U. M [36,group,PANEL] is scratch. */
static void run_panel(const winograd *c, int tile, int tiles, int panel, const float *V, const float *U, float *M)
{
    int vectors = c->result.vectors - 2 * panel < 2 ? 1 : 2;
    for (int k = 0; k < POINTS; k++) {
        const wf_product p = {.v = V + (size_t)k * matrix_V(c),
                              .u = U + (size_t)k * matrix_U(c),
                              .k = (size_t)c->from,
                              .row = (size_t)c->from,
                              .step = 1};
        wf_multiply(&p, tiles, vectors == 2, false, M + k * c->group * PANEL);
    }
    for (int t = 0; t < tiles; t++)
        for (int i = 0; i < vectors; i++)
            finish_tile(c, tile + t, 2 * panel + i, M + t * PANEL + i * LANES);
}

/* -- the whole convolution ----------------------------------------------------------------------------------------- */

bool wf_cpu_winograd_fits(const wf_conv *conv)
{
    const wf_conv_spec *s = &conv->spec;
    return fused && s->signal == WF_PICTURE && s->k == 3 && s->H >= 4 && s->W >= 4;
}

/* Writes exp(3 logs) and, with a bias, the shift exp(3 logs) bias: [channels], zero in the channels that pad. */
static void scales(int real, int channels, const float *bias, const float *logs, float *scale, float *shift)
{
    for (int o = 0; o < channels; o++) {
        scale[o] = o < real ? expf(3.0f * logs[o]) : 0;
        if (shift)
            shift[o] = o < real ? scale[o] * bias[o] : 0;
    }
}

/* Few tiles: V of all of them is shared, and the thread that computes a panel also makes its U. */
static void run_few(const winograd *c, int all, int threads, float *memory)
{
#pragma omp parallel num_threads(threads)
    {
        float *U = memory + (size_t)omp_get_thread_num() * thread_floats(c), *M = U + POINTS * matrix_U(c);
#pragma omp for schedule(static)
        for (int i = 0; i < all * c->source.vectors; i++)
            make_V(c, i / c->source.vectors, i / c->source.vectors, i % c->source.vectors, c->shared);
#pragma omp for schedule(dynamic)
        for (int panel = 0; panel < panels_of(c); panel++) {
            for (int from = 0; from < c->from; from += EIGHT)
                make_U(c, panel, from, U);
            run_panel(c, 0, all, panel, c->shared, U, M);
        }
    }
}

/* Many tiles: U is shared. Threads share the groups and, if these are few, also the panels of a group. */
static void run_many(const winograd *c, int all, int threads, float *memory)
{
    int groups = (all + c->group - 1) / c->group, panels = panels_of(c), parts = (threads + groups - 1) / groups;
    size_t U = POINTS * matrix_U(c);
    parts = parts < panels ? parts : panels;
#pragma omp parallel num_threads(threads)
    {
        float *V = memory + (size_t)omp_get_thread_num() * thread_floats(c), *M = V + POINTS * matrix_V(c);
#pragma omp for schedule(static)
        for (int i = 0; i < panels * c->from / EIGHT; i++)
            make_U(c, i % panels, i / panels * EIGHT, c->shared + (size_t)(i % panels) * U);
#pragma omp for schedule(dynamic)
        for (int i = 0; i < groups * parts; i++) {
            int tile = i / parts * c->group, part = i % parts;
            int tiles = all - tile < c->group ? all - tile : c->group;
            for (int v = 0; v < tiles * c->source.vectors; v++)
                make_V(c, tile + v / c->source.vectors, v / c->source.vectors, v % c->source.vectors, V);
            for (int panel = part * panels / parts; panel < (part + 1) * panels / parts; panel++)
                run_panel(c, tile, tiles, panel, V, c->shared + (size_t)panel * U, M);
        }
    }
}

static int run(wf_cpu *cpu, const wf_conv *conv, winograd *c, const float *bias, const float *logs)
{
    const wf_conv_spec *s = &conv->spec;
    int threads = cpu->base.threads, all = s->N * c->source.per_map;
    c->from = c->source.vectors * LANES;
    c->to = c->result.vectors * LANES;
    c->few = all <= FEW && panels_of(c) >= threads;
    c->group = c->few ? all : GROUP;
    size_t shared = POINTS * (c->few ? matrix_V(c) : (size_t)panels_of(c) * matrix_U(c));
    size_t own = (size_t)threads * thread_floats(c);
    int channels = bias ? c->to : c->from;
    void *memory;
    WF_TRY(wf_cpu_scratch(cpu, (shared + own + 2 * (size_t)channels) * sizeof(float), &memory));
    c->shared = memory;
    float *scale = c->shared + shared + own, *shift = scale + channels;
    scales(s->out, channels, bias, logs, scale, bias ? shift : NULL);
    c->out_scale = bias ? scale : NULL;
    c->shift = shift;
    c->in_scale = bias ? NULL : scale;
    (c->few ? run_few : run_many)(c, all, threads, c->shared + shared);
    return WF_OK;
}

int wf_cpu_winograd_forward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                            const void *x, const void *residual, void *y)
{
    const wf_conv_spec *s = &conv->spec;
    winograd c = {.x = x, .w = w, .y = y, .residual = residual, .relu = s->relu};
    c.source = wf_tiles_of(s, &conv->in);
    c.result = wf_tiles_of(s, &conv->out);
    c.real_from = s->in;
    c.real_to = s->out;
    c.from_step = 1;
    c.tap_step = s->in;
    c.to_step = 9 * (ptrdiff_t)s->in;
    return run(cpu, conv, &c, bias, logs);
}

int wf_cpu_winograd_data(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *logs, const void *dy, void *dx)
{
    const wf_conv_spec *s = &conv->spec;
    winograd c = {.x = dy, .w = w, .y = dx};
    c.source = wf_tiles_of(s, &conv->out);
    c.result = wf_tiles_of(s, &conv->in);
    c.real_from = s->out;
    c.real_to = s->in;
    c.origin = 8 * (ptrdiff_t)s->in;
    c.from_step = 9 * (ptrdiff_t)s->in;
    c.tap_step = -(ptrdiff_t)s->in;
    c.to_step = 1;
    return run(cpu, conv, &c, NULL, logs);
}
