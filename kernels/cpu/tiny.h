/* tiny.h - the points of convolutions of one to four pixels, for conv_tiny.c
 *
 * A 3x3 kernel on 2x2 pixels meets every pixel with a tap of its own: 16 products of [N,in] and [in,out]. Along one
 * axis of two pixels, four products become three:
 *     y0 = w1 (x0 + x1) + (w2 - w1) x1
 *     y1 = w1 (x0 + x1) + (w0 - w1) x0
 * Both axes take 9 products instead of 16. The sums and differences are called points here: of x, of the kernel and of
 * y. Product i multiplies points i of two and belongs to point i of the third:
 *     y  = Y'(W(w) X(x))      forward
 *     dx = X'(W(w)'Y(dy))     gradient by x
 *     dw = W'(Y(dy)'X(x))     gradient by the weights
 * Lines of three and four pixels have one point a pixel and one a tap, and a product for each pair that meets. Pixels
 * of x are numbered backwards: X and Y are then one function. */
#ifndef WF_CPU_TINY_H
#define WF_CPU_TINY_H

#include "conv.h"

#include "lanes.h"

#include <string.h>

enum {
    LANES = WF_WIDE,
    POINTS = 9, /* most points of x, y or w */
};

/* -- vectors ------------------------------------------------------------------------------------------------------- */

/* The first n lanes, or all where n is more. */
WF_VEC wf_lanes first_lanes(size_t n)
{
    return n >= LANES ? WF_ALL_LANES : (wf_lanes)((1u << n) - 1);
}

/* Loads n floats, or all lanes where n is more, and zeros beyond them. */
WF_VEC void load_some(wf_wide *v, const float *p, size_t n)
{
    *v = (wf_wide){0};
    wf_map_load(v, p, false, 0, first_lanes(n));
}

WF_VEC void store_some(float *p, const wf_wide *v, size_t n)
{
    wf_map_store(p, false, 0, v, first_lanes(n));
}

#ifdef __AVX2__

#define LANES_OF(v, w, ...) __builtin_shufflevector(v, w, __VA_ARGS__)
#ifdef __AVX512F__
#define LOW_ONES(v, w) LANES_OF(v, w, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH_ONES(v, w) LANES_OF(v, w, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW_TWOS(v, w) LANES_OF(v, w, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH_TWOS(v, w) LANES_OF(v, w, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define EVEN_FOURS(v, w) LANES_OF(v, w, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define ODD_FOURS(v, w) LANES_OF(v, w, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#else
#define LOW_ONES(v, w) LANES_OF(v, w, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH_ONES(v, w) LANES_OF(v, w, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW_TWOS(v, w) LANES_OF(v, w, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH_TWOS(v, w) LANES_OF(v, w, 2, 3, 10, 11, 6, 7, 14, 15)
#define EVEN_FOURS(v, w) LANES_OF(v, w, 0, 1, 2, 3, 8, 9, 10, 11)
#define ODD_FOURS(v, w) LANES_OF(v, w, 4, 5, 6, 7, 12, 13, 14, 15)
#endif

/* Transposes [LANES,LANES]: first squares of four, then the squares among each other. */
WF_VEC void transpose(wf_wide rows[LANES])
{
    wf_wide fours[LANES];
    for (int i = 0; i < LANES; i += 4) {
        const wf_wide *r = rows + i;
        wf_wide a = LOW_ONES(r[0], r[1]), b = HIGH_ONES(r[0], r[1]), c = LOW_ONES(r[2], r[3]);
        wf_wide d = HIGH_ONES(r[2], r[3]);
        fours[i] = LOW_TWOS(a, c);
        fours[i + 1] = HIGH_TWOS(a, c);
        fours[i + 2] = LOW_TWOS(b, d);
        fours[i + 3] = HIGH_TWOS(b, d);
    }
    for (int i = 0; i < 4; i++) {
        const wf_wide *f = fours + i;
#ifdef __AVX512F__
        wf_wide a = EVEN_FOURS(f[0], f[4]), b = ODD_FOURS(f[0], f[4]), c = EVEN_FOURS(f[8], f[12]);
        wf_wide d = ODD_FOURS(f[8], f[12]);
        rows[i] = EVEN_FOURS(a, c);
        rows[4 + i] = EVEN_FOURS(b, d);
        rows[8 + i] = ODD_FOURS(a, c);
        rows[12 + i] = ODD_FOURS(b, d);
#else
        rows[i] = EVEN_FOURS(f[0], f[4]);
        rows[4 + i] = ODD_FOURS(f[0], f[4]);
#endif
    }
}

#else

WF_VEC void transpose(wf_wide rows[LANES])
{
    float copy[LANES][LANES];
    memcpy(copy, rows, sizeof copy);
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            rows[i][j] = copy[j][i];
}

#endif

/* -- points -------------------------------------------------------------------------------------------------------- */

/* The shape of a convolution, and its products. A 1x1 kernel has no neighbours: its pixels are rows of one product. */
typedef struct form {
    int pairs;          /* axes of two pixels */
    int pixels, points; /* of one row: points of x, and of y */
    int taps, lives;    /* of the kernel, and those that meet a pixel */
    int live[POINTS];   /* those, of the kernel */
    int products;
    struct {
        int x, w, y;
    } product[16];
} form;

/* The numbers of a form. Functions of vectors take them as constants, so that all vectors stay in registers. */
typedef struct counts {
    int pairs, pixels, points, lives;
} counts;

#define WITH_COUNTS(of, call)                                                   \
    do {                                                                        \
        if ((of)->pairs == 2) {                                                 \
            const counts COUNTS = {2, 4, 9, 9};                                 \
            call;                                                               \
        } else if ((of)->pairs == 1) {                                          \
            const counts COUNTS = {1, 2, 3, 3};                                 \
            call;                                                               \
        } else if ((of)->points == 1) {                                         \
            const counts COUNTS = {0, 1, 1, 1};                                 \
            call;                                                               \
        } else {                                                                \
            const counts COUNTS = {0, (of)->pixels, (of)->points, (of)->lives}; \
            call;                                                               \
        }                                                                       \
    } while (0)

static void add_axis(form *f, int pixels, int taps)
{
    int reach = taps / 2 < pixels - 1 ? taps / 2 : pixels - 1, lives = 2 * reach + 1, live[POINTS];
    for (int i = 0; i < f->lives; i++)
        for (int j = 0; j < lives; j++)
            live[i * lives + j] = f->live[i] * taps + taps / 2 - reach + j;
    f->lives *= lives;
    memcpy(f->live, live, (size_t)f->lives * sizeof *live);
    f->pairs += lives == 3 && pixels == 2;
    f->points *= lives == 3 && pixels == 2 ? 3 : pixels;
    f->pixels *= pixels;
    f->taps *= taps;
}

static form form_of(const wf_conv_spec *s)
{
    form f = {.pixels = 1, .points = 1, .taps = 1, .lives = 1};
    wf_conv_box b = wf_conv_box_of(s);
    bool alone = s->k == 1;
    add_axis(&f, alone ? 1 : b.D, b.d);
    add_axis(&f, alone ? 1 : b.H, b.h);
    add_axis(&f, alone ? 1 : b.W, b.w);
    int last = f.points - 1, reach = f.lives / 2;
    if (f.pairs || last == 0)
        for (; f.products <= last; f.products++)
            f.product[f.products].x = f.product[f.products].w = f.product[f.products].y = f.products;
    else
        for (int p = 0; p <= last; p++)
            for (int q = p < reach ? 0 : p - reach; q <= last && q <= p + reach; q++, f.products++) {
                f.product[f.products].x = last - q;
                f.product[f.products].w = q - p + reach;
                f.product[f.products].y = p;
            }
    return f;
}

/* X of pixels in their backward order, or Y: v [pixels] becomes [points]. */
WF_VEC void spread(int pairs, wf_wide *v)
{
    if (pairs == 2) {
        wf_wide a = v[0], b = v[1], c = v[2], d = v[3], ab = a + b, cd = c + d;
        v[0] = ab + cd;
        v[1] = a + c;
        v[2] = b + d;
        v[3] = ab;
        v[4] = a;
        v[5] = b;
        v[6] = cd;
        v[7] = c;
        v[8] = d;
    } else if (pairs == 1) {
        wf_wide a = v[0], b = v[1];
        v[0] = a + b;
        v[1] = a;
        v[2] = b;
    }
}

/* X' or Y': v [points] becomes [pixels]. */
WF_VEC void collect(int pairs, wf_wide *v)
{
    if (pairs == 2) {
        wf_wide above[3], below[3];
        for (int i = 0; i < 3; i++) {
            above[i] = v[i] + v[3 + i];
            below[i] = v[i] + v[6 + i];
        }
        v[0] = above[0] + above[1];
        v[1] = above[0] + above[2];
        v[2] = below[0] + below[1];
        v[3] = below[0] + below[2];
    } else if (pairs == 1) {
        wf_wide sum = v[0];
        v[0] = sum + v[1];
        v[1] = sum + v[2];
    }
}

/* W along one axis of elements `step` apart. */
WF_VEC void spread_taps_along(wf_wide *v, int step)
{
    wf_wide middle = v[step], first = v[0];
    v[0] = middle;
    v[step] = v[2 * step] - middle;
    v[2 * step] = first - middle;
}

WF_VEC void collect_taps_along(wf_wide *v, int step)
{
    wf_wide middle = v[0] - v[step] - v[2 * step];
    v[0] = v[2 * step];
    v[2 * step] = v[step];
    v[step] = middle;
}

/* W: v [lives] taps become points. */
WF_VEC void spread_taps(int pairs, wf_wide *v)
{
    for (int i = 0; pairs == 2 && i < 3; i++)
        spread_taps_along(v + i, 3);
    for (int i = 0; pairs && i < (pairs == 2 ? 9 : 3); i += 3)
        spread_taps_along(v + i, 1);
}

/* W': points become taps. */
WF_VEC void collect_taps(int pairs, wf_wide *v)
{
    for (int i = 0; pairs == 2 && i < 3; i++)
        collect_taps_along(v + i, 3);
    for (int i = 0; pairs && i < (pairs == 2 ? 9 : 3); i += 3)
        collect_taps_along(v + i, 1);
}

#endif
