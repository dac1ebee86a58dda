/* eight.h - eight contiguous channels of a feature map at a time: 16 bytes in bf16, 32 in float */
#ifndef WF_CUDA_EIGHT_H
#define WF_CUDA_EIGHT_H

#include "cuda.h"

typedef struct __align__(16) wf_cuda_eight_bf16
{
    __nv_bfloat16 v[8];
}
wf_cuda_eight_bf16;

typedef struct __align__(16) wf_cuda_eight
{
    float v[8];
}
wf_cuda_eight;

static __device__ __forceinline__ wf_cuda_eight wf_cuda_load_eight(const void *map, bool bf16, size_t i)
{
    if (!bf16)
        return ((const wf_cuda_eight *)map)[i];
    wf_cuda_eight_bf16 from = ((const wf_cuda_eight_bf16 *)map)[i];
    wf_cuda_eight to;
    for (int k = 0; k < 8; k++)
        to.v[k] = __bfloat162float(from.v[k]);
    return to;
}

static __device__ __forceinline__ void wf_cuda_store_eight(void *map, bool bf16, size_t i, const wf_cuda_eight *x)
{
    if (!bf16) {
        ((wf_cuda_eight *)map)[i] = *x;
        return;
    }
    wf_cuda_eight_bf16 to;
    for (int k = 0; k < 8; k++)
        to.v[k] = __float2bfloat16(x->v[k]);
    ((wf_cuda_eight_bf16 *)map)[i] = to;
}

/* dy = (dy + add) where y > 0, else 0, for group i of eight; add may be NULL. */
static __device__ __forceinline__ wf_cuda_eight wf_cuda_relu_adjoint(bool bf16, size_t i, const void *y,
                                                                     const void *add, void *dy)
{
    wf_cuda_eight value = wf_cuda_load_eight(y, bf16, i), d = wf_cuda_load_eight(dy, bf16, i);
    if (add) {
        wf_cuda_eight more = wf_cuda_load_eight(add, bf16, i);
        for (int k = 0; k < 8; k++)
            d.v[k] += more.v[k];
    }
    for (int k = 0; k < 8; k++)
        d.v[k] = value.v[k] > 0 ? d.v[k] : 0.0f;
    wf_cuda_store_eight(dy, bf16, i, &d);
    return d;
}

#endif
