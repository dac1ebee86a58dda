/* lattice.h - the whole numbers that the Haar transform of whole numbers can reach
 *
 * A block of four whole numbers a b / c d, each from 0 to m, has the sums
 *
 *     S = a + b + c + d     H = a - b + c - d     V = a + b - c - d     D = a - b - c + d
 *
 * Given S, H runs over a range in steps of 2; given S and H, so does V; given all three, D runs in steps of 4. The
 * ranges below hold these numbers and no others. Proof: the columns have the sums p = a + c = (S + H)/2 and q = b + d =
 * (S - H)/2, any two numbers from 0 to 2m, so S and H are equally even, and |H| <= min(S, 4m - S). Given p, the
 * difference i = a - c takes exactly the values of the parity of p with |i| <= r(p) = min(p, 2m - p); so does j = b - d
 * given q, and the two are free of each other. V = i + j, so V takes every value of the parity of S up to r(p) + r(q).
 * Given V, D = i - j = 2i - V, where i runs in steps of 2 over what leaves i and V - i in their ranges. The four sums
 * determine the block. So a distribution of H, then V, then D, each over its range, is one of blocks given S, and its
 * probabilities add up to 1.
 *
 * The next halving does the same to the S of four blocks, whole numbers from 0 to 4m. Both the C compiler and nvcc
 * compile this header. */
#ifndef WF_LATTICE_H
#define WF_LATTICE_H

#include <stdint.h>

#ifdef __CUDACC__
#define WF_LATTICE static __host__ __device__ __forceinline__
#else
#define WF_LATTICE static inline __attribute__((always_inline, unused))
#endif

/* The numbers first, first + step, .., `count` of them. */
typedef struct wf_range {
    int64_t first, step, count;
} wf_range;

/* The largest |difference| of two numbers from 0 to m whose sum is `sum`. */
WF_LATTICE int64_t wf_lattice_reach(int64_t sum, int64_t m)
{
    return sum < 2 * m - sum ? sum : 2 * m - sum;
}

WF_LATTICE wf_range wf_lattice_h(int64_t m, int64_t S)
{
    int64_t reach = wf_lattice_reach(S, 2 * m);
    wf_range range = {-reach, 2, reach + 1};
    return range;
}

WF_LATTICE wf_range wf_lattice_v(int64_t m, int64_t S, int64_t H)
{
    int64_t reach = wf_lattice_reach((S + H) / 2, m) + wf_lattice_reach((S - H) / 2, m);
    wf_range range = {-reach, 2, reach + 1};
    return range;
}

WF_LATTICE wf_range wf_lattice_d(int64_t m, int64_t S, int64_t H, int64_t V)
{
    int64_t left = wf_lattice_reach((S + H) / 2, m), right = wf_lattice_reach((S - H) / 2, m);
    int64_t low = V - right > -left ? V - right : -left, high = V + right < left ? V + right : left;
    wf_range range = {2 * low - V, 4, (high - low) / 2 + 1};
    return range;
}

#endif
