/* amx_pairs.h - a tile as sixteen vectors: sixteen rows of sixteen pairs of bf16 */
#ifndef WF_CPU_AMX_PAIRS_H
#define WF_CPU_AMX_PAIRS_H

#include <stdint.h>

#include "vec.h"

typedef uint32_t wf_pairs __attribute__((vector_size(64)));

/* One stage of the transposition: swaps the upper right and the lower left of every square of 2s. */
#define WF_PAIRS_EACH(f, s)                                                                                       \
    f(s, 0), f(s, 1), f(s, 2), f(s, 3), f(s, 4), f(s, 5), f(s, 6), f(s, 7), f(s, 8), f(s, 9), f(s, 10), f(s, 11), \
        f(s, 12), f(s, 13), f(s, 14), f(s, 15)
#define WF_PAIRS_UPPER(s, j) ((j) & (s) ? 16 + (j) - (s) : (j))
#define WF_PAIRS_LOWER(s, j) ((j) & (s) ? 16 + (j) : (j) + (s))
#define WF_PAIRS_STAGE(rows, s)                                                                   \
    for (int i_ = 0; i_ < 16; i_++)                                                               \
        if (!(i_ & (s))) {                                                                        \
            wf_pairs a_ = (rows)[i_], b_ = (rows)[i_ + (s)];                                      \
            (rows)[i_] = __builtin_shufflevector(a_, b_, WF_PAIRS_EACH(WF_PAIRS_UPPER, s));       \
            (rows)[i_ + (s)] = __builtin_shufflevector(a_, b_, WF_PAIRS_EACH(WF_PAIRS_LOWER, s)); \
        }

/* Pair j of row i becomes pair i of row j. */
static inline void wf_pairs_transpose(wf_pairs rows[16])
{
    WF_PAIRS_STAGE(rows, 1)
    WF_PAIRS_STAGE(rows, 2)
    WF_PAIRS_STAGE(rows, 4)
    WF_PAIRS_STAGE(rows, 8)
}

#endif
