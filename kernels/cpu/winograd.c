/* winograd.c - 3x3 convolutions by F(4x4,3x3) of maps with 8 channels a block, where oneDNN has none: it needs AVX-512
 *
 * An output tile of 4x4 pixels takes 36 products a channel instead of 144 (Lavin and Gray 2016). The points are 0,
 * +-5/8, +-3/2 and infinity, as in oneDNN. Tiles become V, 36 matrices [tiles,from]. Weights become U, 36 matrices
 * [from,16], for 16 output channels at a time. The products of U and V become pixels. Every sum runs over the channels
 * in order, so the bits of a tile depend neither on its place nor on threads.
 *
 * The gradient by x is the same convolution of dy with the weights rotated by 180 degrees. */
#include "conv.h"

#include "vec.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    LANES = 8,   /* channels of a block */
    TO = 16,     /* output channels at a time */
    POINTS = 36, /* points of a transformed tile */
    ROWS = 6,    /* tiles whose sums stay in registers */
    GROUP = 24,  /* tiles whose products stay in the nearest caches */
    GROUPS = 12, /* most groups whose V is computed together */
    SKEW = 16,   /* floats that keep the 36 matrices off each other's cache lines */
};

#ifdef __FMA__

static const bool fused = true;

WF_VEC void transpose(wf_eight rows[LANES])
{
    __m256 pairs[LANES], quads[LANES];
    for (int i = 0; i < LANES; i += 2) {
        pairs[i] = _mm256_unpacklo_ps((__m256)rows[i], (__m256)rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps((__m256)rows[i], (__m256)rows[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
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

WF_VEC void transpose(wf_eight rows[LANES])
{
    float copy[LANES][LANES];
    memcpy(copy, rows, sizeof copy);
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            rows[i][j] = copy[j][i];
}

#endif

/* One call: maps, and the place of the weight of (input channel, output channel, tap) in w. */
typedef struct winograd {
    const float *x, *w, *in_scale; /* in_scale [from] multiplies x (NULL: 1) */
    float *y;
    const float *out_scale, *shift, *residual; /* out_scale [to] multiplies y, then shift is added (NULL: neither) */
    bool relu;
    int H, W, across, per_map; /* tiles in a row, tiles in a map */
    int from, to;              /* channels, padded to blocks */
    int real_from, real_to;
    ptrdiff_t origin, from_step, to_step, tap_step;
    float *V; /* [GROUPS,36,GROUP,from], SKEW after each matrix */
} winograd;

/* -- transforms along one axis, of elements `step` apart ----------------------------------------------------------- */

#define A 0.625f
#define B 1.5f

WF_VEC void transform_tile(const wf_eight *d, wf_eight *t, int step)
{
    const wf_eight *d1 = d + step, *d2 = d + 2 * step, *d3 = d + 3 * step, *d4 = d + 4 * step, *d5 = d + 5 * step;
    wf_eight even_a = *d4 - B * B * *d2, odd_a = A * *d3 - A * B * B * *d1;
    wf_eight even_b = *d4 - A * A * *d2, odd_b = B * *d3 - B * A * A * *d1;
    t[0] = A * A * B * B * *d - (A * A + B * B) * *d2 + *d4;
    t[5 * step] = A * A * B * B * *d1 - (A * A + B * B) * *d3 + *d5;
    t[step] = even_a + odd_a;
    t[2 * step] = even_a - odd_a;
    t[3 * step] = even_b + odd_b;
    t[4 * step] = even_b - odd_b;
}

WF_VEC void transform_weights(const wf_eight *g, int step, wf_eight *t, int t_step)
{
    const float a = 1 / (2 * A * A * (A * A - B * B)), b = 1 / (2 * B * B * (B * B - A * A));
    const wf_eight *g1 = g + step, *g2 = g + 2 * step;
    wf_eight even_a = a * *g + a * A * A * *g2, odd_a = a * A * *g1;
    wf_eight even_b = b * *g + b * B * B * *g2, odd_b = b * B * *g1;
    t[0] = 1 / (A * A * B * B) * *g;
    t[t_step] = even_a + odd_a;
    t[2 * t_step] = even_a - odd_a;
    t[3 * t_step] = even_b + odd_b;
    t[4 * t_step] = even_b - odd_b;
    t[5 * t_step] = *g2;
}

WF_VEC void transform_products(const wf_eight *m, int step, wf_eight *y, int y_step)
{
    wf_eight sum_a = m[step] + m[2 * step], difference_a = m[step] - m[2 * step];
    wf_eight sum_b = m[3 * step] + m[4 * step], difference_b = m[3 * step] - m[4 * step];
    y[0] = m[0] + sum_a + sum_b;
    y[y_step] = A * difference_a + B * difference_b;
    y[2 * y_step] = A * A * sum_a + B * B * sum_b;
    y[3 * y_step] = A * A * A * difference_a + B * B * B * difference_b + m[5 * step];
}

#undef A
#undef B

/* -- V, U and their products --------------------------------------------------------------------------------------- */

/* Floats from one matrix of V, or of U, to the next. */
static size_t matrix_V(const winograd *c)
{
    return (size_t)GROUP * (size_t)c->from + SKEW;
}

static size_t matrix_U(const winograd *c)
{
    return (size_t)TO * (size_t)c->from + SKEW;
}

typedef struct place {
    int n, row, column; /* picture, and the first pixel of a tile */
} place;

static place place_of(const winograd *c, int tile)
{
    int in_map = tile % c->per_map;
    return (place){tile / c->per_map, in_map / c->across * 4, in_map % c->across * 4};
}

/* Writes one block of channels of one tile to V, at place `at` of the tiles that V holds. */
static void make_V(const winograd *c, int tile, int at, int block)
{
    wf_eight d[POINTS];
    place p = place_of(c, tile);
    const float *x =
        c->x + ((size_t)p.n * (size_t)(c->from / LANES) + (size_t)block) * (size_t)c->H * (size_t)c->W * LANES;
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            int row = p.row + i - 1, column = p.column + j - 1;
            if (row < 0 || row >= c->H || column < 0 || column >= c->W)
                d[6 * i + j] = (wf_eight){0};
            else
                wf_eight_load(&d[6 * i + j], x + ((size_t)row * (size_t)c->W + (size_t)column) * LANES);
        }
    if (c->in_scale) {
        wf_eight scale;
        wf_eight_load(&scale, c->in_scale + block * LANES);
        for (int i = 0; i < POINTS; i++)
            d[i] *= scale;
    }
    for (int j = 0; j < 6; j++)
        transform_tile(d + j, d + j, 6);
    float *to = c->V + (size_t)(at / GROUP) * POINTS * matrix_V(c) + (size_t)(at % GROUP) * (size_t)c->from;
    for (int i = 0; i < 6; i++) {
        wf_eight t[6];
        transform_tile(d + 6 * i, t, 1);
        for (int j = 0; j < 6; j++)
            wf_eight_store(to + (size_t)(6 * i + j) * matrix_V(c) + block * LANES, &t[j]);
    }
}

/* Gathers the weights from one block of input channels to output channels [first, first + TO), as [LANES,9,TO]. Going
 * forward, input channels are contiguous in w; going backward, output channels are. */
static void gather_weights(const winograd *c, int block, int first, float *out)
{
    int froms = c->real_from - block * LANES, tos = c->real_to - first;
    const float *w = c->w + c->origin + block * LANES * c->from_step + first * c->to_step;
    wf_eight rows[LANES];
    if (froms < LANES || tos < TO) {
        memset(out, 0, LANES * 9 * TO * sizeof *out);
        for (int s = 0; s < froms && s < LANES; s++)
            for (int t = 0; t < 9; t++)
                for (int o = 0; o < tos && o < TO; o++)
                    out[(s * 9 + t) * TO + o] = w[s * c->from_step + t * c->tap_step + o * c->to_step];
        return;
    }
    for (int t = 0; t < 9; t++)
        for (int o = 0; o < TO; o += LANES) {
            const float *corner = w + t * c->tap_step + o * c->to_step;
            for (int r = 0; r < LANES; r++)
                wf_eight_load(&rows[r], corner + r * (c->to_step == 1 ? c->from_step : c->to_step));
            if (c->to_step != 1)
                transpose(rows);
            for (int s = 0; s < LANES; s++)
                wf_eight_store(out + (s * 9 + t) * TO + o, &rows[s]);
        }
}

/* Computes U [36,from,TO] for output channels [first, first + TO). */
static void make_U(const winograd *c, int first, float *U)
{
    float w[LANES * 9 * TO];
    size_t stride = matrix_U(c);
    for (int block = 0; block < c->from / LANES; block++) {
        gather_weights(c, block, first, w);
        for (int i = 0; i < LANES * TO; i += LANES) {
            wf_eight g[9], columns[18], u[POINTS];
            int s = i / TO, lane = i % TO;
            for (int t = 0; t < 9; t++)
                wf_eight_load(&g[t], w + (s * 9 + t) * TO + lane);
            for (int j = 0; j < 3; j++)
                transform_weights(g + j, 3, columns + j, 3);
            for (int k = 0; k < 6; k++)
                transform_weights(columns + 3 * k, 1, u + 6 * k, 1);
            for (int k = 0; k < POINTS; k++)
                wf_eight_store(U + (size_t)k * stride + (size_t)(block * LANES + s) * TO + lane, &u[k]);
        }
    }
}

/* m [n,TO] = v [n,from] u [from,TO] */
WF_VEC void multiply_rows(int n, int from, const float *v, const float *u, float *m)
{
    wf_eight sum[ROWS][2];
    for (int r = 0; r < n; r++)
        sum[r][0] = sum[r][1] = (wf_eight){0};
    for (int c = 0; c < from; c++) {
        wf_eight low, high;
        wf_eight_load(&low, u + c * TO);
        wf_eight_load(&high, u + c * TO + LANES);
        for (int r = 0; r < n; r++) {
            float x = v[r * from + c];
            wf_eight_add_scaled(&sum[r][0], &low, x);
            wf_eight_add_scaled(&sum[r][1], &high, x);
        }
    }
    for (int r = 0; r < n; r++) {
        wf_eight_store(m + r * TO, &sum[r][0]);
        wf_eight_store(m + r * TO + LANES, &sum[r][1]);
    }
}

static void multiply(int n, int from, const float *v, const float *u, float *m)
{
    for (; n >= ROWS; n -= ROWS, v += ROWS * from, m += ROWS * TO)
        multiply_rows(ROWS, from, v, u, m);
    switch (n) {
    case 1:
        multiply_rows(1, from, v, u, m);
        break;
    case 2:
        multiply_rows(2, from, v, u, m);
        break;
    case 3:
        multiply_rows(3, from, v, u, m);
        break;
    case 4:
        multiply_rows(4, from, v, u, m);
        break;
    case 5:
        multiply_rows(5, from, v, u, m);
        break;
    }
}

/* Computes one block of output channels of one tile from its products m [36], GROUP * TO apart. */
static void make_pixels(const winograd *c, int tile, int block, const float *m)
{
    wf_eight product[POINTS], rows[24], y[16], scale = {0}, shift = {0};
    place p = place_of(c, tile);
    size_t at = ((size_t)p.n * (size_t)(c->to / LANES) + (size_t)block) * (size_t)c->H * (size_t)c->W * LANES;
    for (int k = 0; k < POINTS; k++)
        wf_eight_load(&product[k], m + k * GROUP * TO);
    for (int j = 0; j < 6; j++)
        transform_products(product + j, 6, rows + j, 6);
    for (int i = 0; i < 4; i++)
        transform_products(rows + 6 * i, 1, y + 4 * i, 1);
    if (c->out_scale) {
        wf_eight_load(&scale, c->out_scale + block * LANES);
        wf_eight_load(&shift, c->shift + block * LANES);
    }
    for (int i = 0; i < 4 && p.row + i < c->H; i++)
        for (int j = 0; j < 4 && p.column + j < c->W; j++) {
            size_t pixel = at + ((size_t)(p.row + i) * (size_t)c->W + (size_t)(p.column + j)) * LANES;
            wf_eight value = y[4 * i + j], other;
            if (c->out_scale)
                value = value * scale + shift;
            if (c->residual) {
                wf_eight_load(&other, c->residual + pixel);
                value += other;
            }
            if (c->relu)
                value = (wf_eight)((__typeof__(value > 0))value & (value > 0));
            wf_eight_store(c->y + pixel, &value);
        }
}

/* Computes output channels [first, first + TO) of `tiles` tiles, the first tiles of a group. */
static void finish_group(const winograd *c, int tile, int tiles, const float *V, int first, const float *U, float *M)
{
    for (int k = 0; k < POINTS; k++)
        multiply(tiles, c->from, V + (size_t)k * matrix_V(c), U + (size_t)k * matrix_U(c), M + k * GROUP * TO);
    for (int t = 0; t < tiles; t++)
        for (int block = first / LANES; block < (first + TO) / LANES && block < c->to / LANES; block++)
            make_pixels(c, tile + t, block, M + t * TO + block * LANES - first);
}

/* -- the whole convolution ----------------------------------------------------------------------------------------- */

/* Floats of one thread: U, then M. */
static size_t thread_floats(const winograd *c)
{
    return POINTS * (matrix_U(c) + GROUP * TO);
}

/* Runs tiles [tile, tile + tiles), at most GROUPS groups. Threads share the output channels, and also the groups if the
 * channels are few. */
static void run_chunk(const winograd *c, int tile, int tiles, int threads, float *memory)
{
    int groups = (tiles + GROUP - 1) / GROUP, columns = (c->to + TO - 1) / TO, blocks = c->from / LANES;
    int parts = (threads + columns - 1) / columns;
    parts = parts < groups ? parts : groups;
#pragma omp parallel num_threads(threads)
    {
        float *U = memory + (size_t)omp_get_thread_num() * thread_floats(c), *M = U + POINTS * matrix_U(c);
#pragma omp for schedule(static)
        for (int i = 0; i < tiles * blocks; i++)
            make_V(c, tile + i / blocks, i / blocks, i % blocks);
#pragma omp for schedule(dynamic)
        for (int i = 0; i < columns * parts; i++) {
            int first = i / parts * TO, part = i % parts;
            make_U(c, first, U);
            for (int g = part * groups / parts; g < (part + 1) * groups / parts; g++) {
                int left = tiles - g * GROUP;
                finish_group(c, tile + g * GROUP, left < GROUP ? left : GROUP, c->V + (size_t)g * POINTS * matrix_V(c),
                             first, U, M);
            }
        }
    }
}

bool wf_cpu_winograd_fits(const wf_conv *conv)
{
    const wf_conv_spec *s = &conv->spec;
    return fused && s->signal == WF_PICTURE && s->k == 3 && s->H >= 4 && s->W >= 4 && conv->in.block == LANES &&
           !conv->in.bf16;
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

static int run(wf_cpu *cpu, const wf_conv *conv, winograd *c, const float *bias, const float *logs)
{
    const wf_conv_spec *s = &conv->spec;
    size_t V = GROUPS * POINTS * matrix_V(c), own = thread_floats(c), channels = (size_t)conv->out.channels;
    int threads = cpu->base.threads;
    void *memory;
    WF_TRY(wf_cpu_scratch(cpu, (V + (size_t)threads * own + 2 * channels) * sizeof(float), &memory));
    c->V = memory;
    float *scale = c->V + V + (size_t)threads * own, *shift = scale + channels;
    scales(s->out, conv->out.channels, bias, logs, scale, bias ? shift : NULL);
    c->out_scale = bias ? scale : NULL;
    c->shift = shift;
    c->in_scale = bias ? NULL : scale;
    c->H = s->H;
    c->W = s->W;
    c->across = (s->W + 3) / 4;
    c->per_map = (s->H + 3) / 4 * c->across;
    int all = s->N * c->per_map, groups = (all + GROUP - 1) / GROUP, chunks = (groups + GROUPS - 1) / GROUPS;
    int chunk = (groups + chunks - 1) / chunks * GROUP;
    for (int tile = 0; tile < all; tile += chunk)
        run_chunk(c, tile, all - tile < chunk ? all - tile : chunk, threads, c->V + V);
    return WF_OK;
}

int wf_cpu_winograd_forward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                            const float *x, const float *residual, float *y)
{
    const wf_conv_spec *s = &conv->spec;
    winograd c = {.x = x, .w = w, .y = y, .residual = residual, .relu = s->relu};
    c.from = conv->in.channels;
    c.to = conv->out.channels;
    c.real_from = s->in;
    c.real_to = s->out;
    c.from_step = 1;
    c.tap_step = s->in;
    c.to_step = 9 * (ptrdiff_t)s->in;
    return run(cpu, conv, &c, bias, logs);
}

int wf_cpu_winograd_data(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *logs, const float *dy,
                         float *dx)
{
    const wf_conv_spec *s = &conv->spec;
    winograd c = {.x = dy, .w = w, .y = dx};
    c.from = conv->out.channels;
    c.to = conv->in.channels;
    c.real_from = s->out;
    c.real_to = s->in;
    c.origin = 8 * (ptrdiff_t)s->in;
    c.from_step = 9 * (ptrdiff_t)s->in;
    c.tap_step = -(ptrdiff_t)s->in;
    c.to_step = 1;
    return run(cpu, conv, &c, NULL, logs);
}
