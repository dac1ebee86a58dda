/* body.h - the mark of a pointwise body: code that the C compiler and nvcc both take.
 *
 * kernels/cpu loops over these functions and kernels/cuda launches them, so that one text is the arithmetic of both and
 * most of it is tested on machines without a GPU. kernels/ref includes none of them: it is the independent judge. */
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

#endif
