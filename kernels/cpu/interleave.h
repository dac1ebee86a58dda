/* interleave.h - splits and joins interleaved numbers: pixels at even and odd places, three bands */
#ifndef WF_CPU_INTERLEAVE_H
#define WF_CPU_INTERLEAVE_H

#include <stddef.h>

#include "vec.h"

/* Selects lanes: 0 .. 7 are those of v, 8 .. 15 those of w. */
#define LANES(v, w, ...) __builtin_shufflevector(v, w, __VA_ARGS__)

/* -- three bands
 *
 * The three vectors in memory hold different lanes of each band, so that one permutation of eight lanes is enough. */

#define MIX(x, y, z) LANES(LANES(x, y, 0, 9, 0, 3, 12, 0, 6, 15), z, 0, 1, 10, 3, 4, 13, 6, 7)

WF_VEC void wf_bands_store(float *to, const wf_eight *a, const wf_eight *b, const wf_eight *c)
{
    wf_eight p = LANES(*a, *a, 0, 3, 6, 1, 4, 7, 2, 5), q = LANES(*b, *b, 5, 0, 3, 6, 1, 4, 7, 2);
    wf_eight r = LANES(*c, *c, 2, 5, 0, 3, 6, 1, 4, 7);
    wf_eight x = MIX(p, q, r), y = MIX(r, p, q), z = MIX(q, r, p);
    wf_eight_store(to, &x);
    wf_eight_store(to + 8, &y);
    wf_eight_store(to + 16, &z);
}

WF_VEC void wf_bands_load(wf_eight *a, wf_eight *b, wf_eight *c, const float *from)
{
    wf_eight x, y, z;
    wf_eight_load(&x, from);
    wf_eight_load(&y, from + 8);
    wf_eight_load(&z, from + 16);
    wf_eight p = MIX(x, y, z), q = MIX(z, x, y), r = MIX(y, z, x);
    *a = LANES(p, p, 0, 3, 6, 1, 4, 7, 2, 5);
    *b = LANES(q, q, 1, 4, 7, 2, 5, 0, 3, 6);
    *c = LANES(r, r, 2, 5, 0, 3, 6, 1, 4, 7);
}

/* -- pixels at even and odd places
 *
 * Even pixel p moves by p pixels. With three channels, eight contiguous numbers come from three or four pixels. The
 * numbers of each pixel have their lanes in a load from that pixel's distance. */

/* Replaces the lanes of v from `lane` on by those of a load from p. */
#define LANE(i, lane) ((i) + ((i) < (lane) ? 0 : 8))
#define LOAD_FROM(v, lane, p)                                                                                      \
    do {                                                                                                           \
        wf_eight w_;                                                                                               \
        wf_eight_load(&w_, p);                                                                                     \
        v = LANES(v, w_, LANE(0, lane), LANE(1, lane), LANE(2, lane), LANE(3, lane), LANE(4, lane), LANE(5, lane), \
                  LANE(6, lane), LANE(7, lane));                                                                   \
    } while (0)

/* Writes every other pixel of 16. */
WF_VEC void part_three(const float *x, float *to)
{
    wf_eight v;
    wf_eight_load(&v, x);
    LOAD_FROM(v, 3, x + 3);
    LOAD_FROM(v, 6, x + 6);
    wf_eight_store(to, &v);
    wf_eight_load(&v, x + 14);
    LOAD_FROM(v, 1, x + 17);
    LOAD_FROM(v, 4, x + 20);
    LOAD_FROM(v, 7, x + 23);
    wf_eight_store(to + 8, &v);
    wf_eight_load(&v, x + 31);
    LOAD_FROM(v, 2, x + 34);
    LOAD_FROM(v, 5, x + 37);
    wf_eight_store(to + 16, &v);
}

/* Joins four even and four odd pixels. May read the pixel before them and the one after. */
WF_VEC void pair_three(const float *even, const float *odd, float *x)
{
    wf_eight v;
    wf_eight_load(&v, even);
    LOAD_FROM(v, 3, odd - 3);
    LOAD_FROM(v, 6, even - 3);
    wf_eight_store(x, &v);
    wf_eight_load(&v, even + 5);
    LOAD_FROM(v, 1, odd + 2);
    LOAD_FROM(v, 4, even + 2);
    LOAD_FROM(v, 7, odd - 1);
    wf_eight_store(x + 8, &v);
    wf_eight_load(&v, odd + 7);
    LOAD_FROM(v, 2, even + 7);
    LOAD_FROM(v, 5, odd + 4);
    wf_eight_store(x + 16, &v);
}

WF_VEC void part_any(size_t C, size_t n, const float *x, float *even, float *odd)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < C; c++) {
            even[i * C + c] = x[2 * i * C + c];
            odd[i * C + c] = x[(2 * i + 1) * C + c];
        }
}

/* n > 0 pairs of pixels. wf_pair_pixels may read one pixel more. */
WF_VEC void wf_part_pixels(size_t C, size_t n, const float *x, float *even, float *odd)
{
    size_t i = 0;
    if (C == 1)
        part_any(1, n, x, even, odd);
    else if (C == 3) {
        for (; i + 8 <= n; i += 8) {
            part_three(x + 6 * i, even + 3 * i);
            part_three(x + 6 * i + 3, odd + 3 * i);
        }
        part_any(3, n - i, x + 6 * i, even + 3 * i, odd + 3 * i);
    } else
        part_any(C, n, x, even, odd);
}

WF_VEC void pair_any(size_t C, size_t n, const float *even, const float *odd, float *x)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < C; c++) {
            x[2 * i * C + c] = even[i * C + c];
            x[(2 * i + 1) * C + c] = odd[i * C + c];
        }
}

WF_VEC void wf_pair_pixels(size_t C, size_t n, const float *even, const float *odd, float *x)
{
    if (C == 1)
        pair_any(1, n, even, odd, x);
    else if (C == 3) {
        size_t i = 1;
        pair_any(3, 1, even, odd, x);
        for (; i + 4 <= n; i += 4)
            pair_three(even + 3 * i, odd + 3 * i, x + 6 * i);
        pair_any(3, n - i, even + 3 * i, odd + 3 * i, x + 6 * i);
    } else
        pair_any(C, n, even, odd, x);
}

#endif
