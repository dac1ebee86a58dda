/* finite.h - tests for numbers that are not finite, by their bits: compilers may drop comparisons with NaN */
#ifndef WF_FINITE_H
#define WF_FINITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool wf_is_finite(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

/* Position of the first value in x [n] that is NaN or infinite; n if there is none. */
static inline size_t wf_find_nonfinite(const float *x, size_t n)
{
    for (size_t block = 0; block < n; block += 4096) {
        size_t end = n - block < 4096 ? n : block + 4096;
        unsigned bad = 0; /* no early exit inside a block, so that the loop can be vectorized */
        for (size_t i = block; i < end; i++)
            bad |= !wf_is_finite(x[i]);
        for (size_t i = block; bad && i < end; i++)
            if (!wf_is_finite(x[i]))
                return i;
    }
    return n;
}

#endif
