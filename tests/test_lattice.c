/* test_lattice.c - whole numbers under the Haar transform, and distributions over them */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/lattice.h"

enum { MOST = 15, SUMS = 4 * MOST + 1 };

typedef struct sums {
    int S, H, V, D;
} sums;

static sums sums_of(int a, int b, int c, int d)
{
    return (sums){a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d};
}

/* Place of the sums in a table of all that could be. */
static size_t place_of(sums s)
{
    int at[4] = {s.S, s.H + 2 * MOST, s.V + 2 * MOST, s.D + 2 * MOST};
    size_t place = 0;
    for (int i = 0; i < 4; i++)
        place = place * SUMS + (size_t)at[i];
    return place;
}

static int64_t number_at(wf_range range, int64_t i)
{
    return range.first + i * range.step;
}

/* Every block of 4-bit numbers gives sums of their own, and the ranges list these sums and no others. */
Test(lattice, ranges_hold_the_sums_of_all_blocks_of_four_bits_and_no_others)
{
    unsigned char *found = calloc((size_t)SUMS * SUMS * SUMS * SUMS, 1);
    int64_t listed = 0, twice = 0, outside = 0;
    cr_assert(found);
    for (int block = 0; block < 1 << 16; block++) {
        size_t place = place_of(sums_of(block & 15, block >> 4 & 15, block >> 8 & 15, block >> 12));
        twice += found[place];
        found[place] = 1;
    }
    for (int64_t S = 0; S <= 4 * MOST; S++) {
        wf_range h = wf_lattice_h(MOST, S);
        for (int64_t i = 0; i < h.count; i++) {
            int64_t H = number_at(h, i);
            wf_range v = wf_lattice_v(MOST, S, H);
            for (int64_t j = 0; j < v.count; j++) {
                int64_t V = number_at(v, j);
                wf_range d = wf_lattice_d(MOST, S, H, V);
                listed += d.count;
                for (int64_t k = 0; k < d.count; k++)
                    outside += !found[place_of((sums){(int)S, (int)H, (int)V, (int)number_at(d, k)})];
            }
        }
    }
    free(found);
    cr_assert_eq(twice, 0);
    cr_assert_eq(outside, 0);
    cr_assert_eq(listed, 1 << 16);
}
