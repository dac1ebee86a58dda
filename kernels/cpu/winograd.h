/* winograd.h - F(4x4,3x3): the transforms, the tiles of a map, and the products, for winograd.c and winograd_weights.c
 *
 * A tile of 4x4 pixels takes 36 products a channel instead of 144 (Lavin and Gray 2016, arXiv 1509.09308). The points
 * are 0, +-5/8, +-3/2 and infinity, as in oneDNN. With x the 6x6 pixels around a tile, g a 3x3 kernel, y the tile of
 * the result, and linear maps X, G, Y along both axes:
 *     y  = Y' (sum over channels of G(g) X(x))      forward
 *     dg = G' (sum over tiles of X(x) Y(dy))        gradient by the weights
 * The gradient by x is the forward pass of dy with kernels rotated by 180 degrees.
 *
 * Vectors hold LANES channels. Every number is computed in one lane, by the same operations for either number of
 * lanes.
 *
 * Maps of either precision are read and written: pixels become single precision before the transforms, and round to
 * bf16 after them. */
#ifndef WF_CPU_WINOGRAD_H
#define WF_CPU_WINOGRAD_H

#include "conv.h"

#include "lanes.h"
#include "product.h"

enum {
    LANES = WF_WIDE,
    PANEL = WF_PANEL, /* columns of a product that are computed together */
    POINTS = 36,      /* points of a transformed tile */
    SKEW = 16,        /* floats that keep the 36 matrices off each other's cache lines */
};

/* -- transforms along one axis, of elements `step` apart ----------------------------------------------------------- */

#define A 0.625f
#define B 1.5f

/* even + x odd and even - x odd: the values of a polynomial at x and at -x */
WF_VEC void wf_plus_minus(const wf_wide *even, const wf_wide *odd, float x, wf_wide *plus, wf_wide *minus)
{
    wf_wide sum = *even, difference = *even;
    wf_wide_add_scaled(&sum, odd, x);
    wf_wide_add_scaled(&difference, odd, -x);
    *plus = sum;
    *minus = difference;
}

/* X of 6 pixels */
WF_VEC void wf_transform_pixels(const wf_wide *d, wf_wide *t, int step)
{
    const wf_wide *d1 = d + step, *d2 = d + 2 * step, *d3 = d + 3 * step, *d4 = d + 4 * step, *d5 = d + 5 * step;
    wf_wide even_a = *d4, odd_a = *d3, even_b = *d4, odd_b = *d3, zero = *d4, infinity = *d5;
    wf_wide_add_scaled(&even_a, d2, -B * B);
    wf_wide_add_scaled(&odd_a, d1, -B * B);
    wf_wide_add_scaled(&even_b, d2, -A * A);
    wf_wide_add_scaled(&odd_b, d1, -A * A);
    wf_wide_add_scaled(&zero, d2, -(A * A + B * B));
    wf_wide_add_scaled(&zero, d, A * A * B * B);
    wf_wide_add_scaled(&infinity, d3, -(A * A + B * B));
    wf_wide_add_scaled(&infinity, d1, A * A * B * B);
    t[0] = zero;
    wf_plus_minus(&even_a, &odd_a, A, &t[step], &t[2 * step]);
    wf_plus_minus(&even_b, &odd_b, B, &t[3 * step], &t[4 * step]);
    t[5 * step] = infinity;
}

/* Y of 4 pixels */
WF_VEC void wf_transform_gradient(const wf_wide *y, int step, wf_wide *t, int t_step)
{
    wf_wide even_a = y[0], odd_a = y[step], even_b = y[0], odd_b = y[step];
    wf_wide_add_scaled(&even_a, &y[2 * step], A * A);
    wf_wide_add_scaled(&odd_a, &y[3 * step], A * A);
    wf_wide_add_scaled(&even_b, &y[2 * step], B * B);
    wf_wide_add_scaled(&odd_b, &y[3 * step], B * B);
    t[0] = y[0];
    wf_plus_minus(&even_a, &odd_a, A, &t[t_step], &t[2 * t_step]);
    wf_plus_minus(&even_b, &odd_b, B, &t[3 * t_step], &t[4 * t_step]);
    t[5 * t_step] = y[3 * step];
}

/* Y' of 6 products: 4 pixels */
WF_VEC void wf_transform_products(const wf_wide *m, int step, wf_wide *y, int y_step)
{
    wf_wide sum_a = m[step] + m[2 * step], difference_a = m[step] - m[2 * step];
    wf_wide sum_b = m[3 * step] + m[4 * step], difference_b = m[3 * step] - m[4 * step];
    wf_wide y1 = A * difference_a, y2 = A * A * sum_a, y3 = m[5 * step];
    wf_wide_add_scaled(&y1, &difference_b, B);
    wf_wide_add_scaled(&y2, &sum_b, B * B);
    wf_wide_add_scaled(&y3, &difference_a, A * A * A);
    wf_wide_add_scaled(&y3, &difference_b, B * B * B);
    y[0] = m[0] + sum_a + sum_b;
    y[y_step] = y1;
    y[2 * y_step] = y2;
    y[3 * y_step] = y3;
}

#define WEIGHT_A (1 / (2 * A * A * (A * A - B * B)))
#define WEIGHT_B (1 / (2 * B * B * (B * B - A * A)))

/* G of 3 weights */
WF_VEC void wf_transform_weights(const wf_wide *g, int step, wf_wide *t, int t_step)
{
    const wf_wide *g1 = g + step, *g2 = g + 2 * step;
    wf_wide even_a = WEIGHT_A * *g, even_b = WEIGHT_B * *g;
    wf_wide_add_scaled(&even_a, g2, WEIGHT_A * A * A);
    wf_wide_add_scaled(&even_b, g2, WEIGHT_B * B * B);
    t[0] = 1 / (A * A * B * B) * *g;
    wf_plus_minus(&even_a, g1, WEIGHT_A * A, &t[t_step], &t[2 * t_step]);
    wf_plus_minus(&even_b, g1, WEIGHT_B * B, &t[3 * t_step], &t[4 * t_step]);
    t[5 * t_step] = *g2;
}

/* G' of 6 sums: the gradient by 3 weights */
WF_VEC void wf_transform_sums(const wf_wide *t, int step, wf_wide *g, int g_step)
{
    wf_wide sum_a = t[step] + t[2 * step], difference_a = t[step] - t[2 * step];
    wf_wide sum_b = t[3 * step] + t[4 * step], difference_b = t[3 * step] - t[4 * step];
    wf_wide g0 = 1 / (A * A * B * B) * t[0], g1 = WEIGHT_A * A * difference_a, g2 = t[5 * step];
    wf_wide_add_scaled(&g0, &sum_a, WEIGHT_A);
    wf_wide_add_scaled(&g0, &sum_b, WEIGHT_B);
    wf_wide_add_scaled(&g1, &difference_b, WEIGHT_B * B);
    wf_wide_add_scaled(&g2, &sum_a, WEIGHT_A * A * A);
    wf_wide_add_scaled(&g2, &sum_b, WEIGHT_B * B * B);
    g[0] = g0;
    g[g_step] = g1;
    g[2 * g_step] = g2;
}

#undef WEIGHT_A
#undef WEIGHT_B
#undef A
#undef B

/* -- tiles of a map ------------------------------------------------------------------------------------------------ */

/* A map in the layout of wf_cpu_layout_of. Tiles are counted along rows, then down, then over pictures. */
typedef struct wf_tiles {
    int H, W, across, per_map; /* tiles in a row, tiles in a picture */
    int block, blocks;         /* contiguous channels, and how many times that many; a bf16 map has at least 16 */
    bool bf16;
    int vectors; /* vectors of LANES channels: the last may be half empty */
} wf_tiles;

static inline wf_tiles wf_tiles_of(const wf_conv_spec *s, const wf_cpu_layout *l)
{
    int across = (s->W + 3) / 4;
    return (wf_tiles){.H = s->H,
                      .W = s->W,
                      .across = across,
                      .per_map = (s->H + 3) / 4 * across,
                      .block = l->block,
                      .blocks = l->channels / l->block,
                      .bf16 = l->bf16,
                      .vectors = (l->channels + LANES - 1) / LANES};
}

/* A tile's first pixel, and one vector of its picture's channels: the first pixel of the picture, as an offset into the
 * map, and the distance from a pixel's first eight channels to its next eight (0: there are none). */
typedef struct wf_place {
    int row, column;
    size_t start;
    size_t next;
} wf_place;

WF_VEC wf_place wf_place_of(const wf_tiles *map, int tile, int vector)
{
    int in_map = tile % map->per_map, channel = vector * LANES, block = channel / map->block;
    size_t pixels = (size_t)map->H * (size_t)map->W, n = (size_t)(tile / map->per_map);
    wf_place p = {.row = in_map / map->across * 4, .column = in_map % map->across * 4};
    p.start = (n * (size_t)map->blocks + (size_t)block) * pixels * (size_t)map->block + (size_t)(channel % map->block);
    p.next = map->block > 8 ? 8 : block + 1 < map->blocks ? pixels * 8 : 0;
    return p;
}

/* The offset of a vector of channels of a pixel in its map. */
WF_VEC size_t wf_pixel_at(const wf_tiles *map, const wf_place *p, int row, int column)
{
    return p->start + ((size_t)row * (size_t)map->W + (size_t)column) * (size_t)map->block;
}

/* Loads the pixel, or zero outside the picture. */
WF_VEC void wf_load_pixel(const wf_tiles *map, bool bf16, const wf_place *p, const void *x, int row, int column,
                          wf_wide *v)
{
    if (row < 0 || row >= map->H || column < 0 || column >= map->W) {
        *v = (wf_wide){0};
        return;
    }
    size_t at = wf_pixel_at(map, p, row, column);
    if (bf16)
        wf_wide_load_bf16(v, (const uint16_t *)x + at);
    else
        wf_wide_load_halves(v, (const float *)x + at, (const float *)x + at + p->next);
}

WF_VEC void wf_load_tile(const wf_tiles *map, bool bf16, const wf_place *p, const void *x, wf_wide *d)
{
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            wf_load_pixel(map, bf16, p, x, p->row + i - 1, p->column + j - 1, &d[6 * i + j]);
}

/* Writes X of one vector of channels of one tile: point k at to[k * matrix]. scale [channels] multiplies
 * x (NULL: 1). */
static inline void wf_make_pixels(const wf_tiles *map, const void *x, const float *scale, int tile, int vector,
                                  float *to, size_t matrix)
{
    wf_wide d[POINTS];
    wf_place p = wf_place_of(map, tile, vector);
    if (map->bf16)
        wf_load_tile(map, true, &p, x, d);
    else
        wf_load_tile(map, false, &p, x, d);
    if (scale) {
        wf_wide factor;
        wf_wide_load(&factor, scale + vector * LANES);
        for (int i = 0; i < POINTS; i++)
            d[i] *= factor;
    }
    for (int j = 0; j < 6; j++)
        wf_transform_pixels(d + j, d + j, 6);
    for (int i = 0; i < 6; i++) {
        wf_wide t[6];
        wf_transform_pixels(d + 6 * i, t, 1);
        for (int j = 0; j < 6; j++)
            wf_wide_store(to + (size_t)(6 * i + j) * matrix, &t[j]);
    }
}

/* -- products ------------------------------------------------------------------------------------------------------ */

/* m [rows,PANEL] = v u or, with `add`, m += v u. wide: all columns of the panel u [k,PANEL], else its first LANES. */
static void wf_multiply(const wf_product *p, int rows, bool wide, bool add, float *m)
{
    enum { ROWS = LANES == 16 ? 12 : WF_PRODUCT_ROWS, ALL = PANEL / WF_REGISTER }; /* GROUP tiles are 2 x 12 rows */
    if (wide)
        wf_product_rows(*p, rows, ROWS, ALL, PANEL, add, m);
    else
        wf_product_rows(*p, rows, ROWS, ALL / 2, PANEL, add, m);
}

#endif
