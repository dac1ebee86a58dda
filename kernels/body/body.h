/* body.h - marks a pointwise body: code that the C compiler and nvcc both compile.
 *
 * kernels/cpu loops over these functions and kernels/cuda launches them. One text is the arithmetic of both, and most
 * of it is tested on machines without a GPU. kernels/ref includes no body: it is the independent reference. */
#ifndef WF_BODY_H
#define WF_BODY_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#define WF_BODY static __host__ __device__ __forceinline__
#else
#define WF_BODY static inline __attribute__((always_inline, unused))
#endif

/* A body that works on a matrix shares its loops among the threads of a block, if there are any. Each thread takes
 * every WF_STEPth row from WF_FIRST on; WF_TOGETHER waits until all threads have reached it. */
#if defined(__CUDA_ARCH__) || defined(WF_EMULATED)
#define WF_FIRST ((int)threadIdx.x)
#define WF_STEP ((int)blockDim.x)
#define WF_TOGETHER() __syncthreads()
#else
#define WF_FIRST 0
#define WF_STEP 1
#define WF_TOGETHER() ((void)0)
#endif

#endif
