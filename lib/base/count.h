/* count.h - the number of elements of a tensor, as size_t
 *
 * The products are not checked, because they cannot overflow: H and W are at most WF_MAX_SIDE = 2^16 and channels fewer
 * than 2^5 (pyramid/meta.h). One picture has fewer than 2^37 elements, and N such pictures exceed any memory before
 * N * 2^37 passes 2^64.
 * Numbers from a file go through WF_MUL (status.h) before they become an N. */
#ifndef WF_COUNT_H
#define WF_COUNT_H

#include <stddef.h>

#include "linkage.h"

WF_BEGIN

static inline size_t wf_count3(int H, int W, int C)
{
    return (size_t)H * (size_t)W * (size_t)C;
}

static inline size_t wf_count4(int N, int H, int W, int C)
{
    return (size_t)N * wf_count3(H, W, C);
}

WF_END

#endif
