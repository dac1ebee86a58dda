/* adamax.cu - the optimizer and the moving average of all weights in one pass after a guard
 *
 * 36 bytes a weight, and 4 for the guard. Kernels read the rule from device memory, so that a recorded step follows the
 * learning rate. */
#include "cuda.h"

#include "../body/pointwise.h"

static __device__ __forceinline__ uint32_t bits_of(float x)
{
    return __float_as_uint(x);
}

/* All threads that write, write the same number: any order gives the same result before the next kernel. */
static __global__ void find_bad(size_t n, const float *g, double *bad)
{
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
        if (!wf_finite_bits(bits_of(g[i])))
            *bad = 1;
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    update(const wf_adamax *rule, size_t n, float *w, float *m, float *u, float *ema, const float *g, const double *bad)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || *bad != 0)
        return;
    wf_adamax_one(g[i], (float)rule->rate, (float)rule->beta1, (float)(1 - rule->beta1), (float)rule->beta2,
                  (float)rule->eps, (float)(1 - rule->decay), &w[i], &m[i], &u[i], &ema[i]);
}

int wf_cuda_find_bad(wf_cuda *cuda, size_t n, const float *g, double *bad)
{
    unsigned blocks = wf_cuda_blocks(n), most = 8 * (unsigned)cuda->multiprocessors;
    WF_RUN(find_bad, blocks < most ? blocks : most, (unsigned)WF_CUDA_THREADS, 0, n, g, bad);
    return WF_OK;
}

static int adamax(wf_backend *b, const wf_adamax *rule, size_t n, wf_real *w, wf_real *m, wf_real *u, wf_real *ema,
                  const wf_real *g, double *bad)
{
    wf_cuda *cuda = (wf_cuda *)b;
    const wf_adamax *device;
    WF_TRY(wf_cuda_argument(cuda, rule, sizeof *rule, &device));
    WF_TRY(wf_cuda_find_bad(cuda, n, (const float *)g, bad));
    WF_RUN(update, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, device, n, (float *)w, (float *)m, (float *)u,
           (float *)ema, (const float *)g, (const double *)bad);
    return WF_OK;
}

static __global__ void find_bad_double(size_t n, const double *values, double *bad)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && !isfinite(values[i]))
        *bad = 1;
}

static int guard(wf_backend *b, size_t n, const double *values, double *bad)
{
    wf_cuda *cuda = (wf_cuda *)b;
    WF_RUN(find_bad_double, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, n, values, bad);
    return WF_OK;
}

void wf_cuda_adamax_slots(wf_backend *b)
{
    b->adamax = adamax;
    b->guard = guard;
}
