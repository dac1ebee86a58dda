/* bf16.h - the CPU's conversion between float and bf16, the upper half of a float */
#ifndef WF_CPU_BF16_H
#define WF_CPU_BF16_H

#include <stdint.h>

static inline float wf_bf16_to_float(uint16_t bits)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)bits << 16};
    return v.f;
}

/* Rounds to nearest, ties to even. NaN stays NaN, so that later checks for non-finite values see it. */
static inline uint16_t wf_bf16_from_float(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {x};
    uint32_t rounded = (v.u + 0x7fffu + (v.u >> 16 & 1)) >> 16;
    return (uint16_t)(x == x ? rounded : v.u >> 16 | 0x40u);
}

#endif
