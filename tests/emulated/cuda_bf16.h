/* cuda_bf16.h - the upper half of a float, rounded to nearest, ties to even */
#ifndef EMULATED_CUDA_BF16_H
#define EMULATED_CUDA_BF16_H

#include <stdint.h>
#include <string.h>

struct __nv_bfloat16 {
    uint16_t bits;
};

static inline __nv_bfloat16 __float2bfloat16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return {(uint16_t)(x == x ? rounded : u >> 16 | 0x40u)};
}

static inline float __bfloat162float(__nv_bfloat16 x)
{
    uint32_t u = (uint32_t)x.bits << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

#endif
