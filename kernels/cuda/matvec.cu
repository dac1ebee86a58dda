/* matvec.cu - one K x K matrix and one offset for every pixel
 *
 * Bound by memory at the K of a level. A block reads a run of pixels into shared memory in whole lines and writes the
 * result back in the same way. Bytes a pixel: 8 K forward, 12 K backward. */
#include "cuda.h"

enum {
    STAGE = 4096, /* floats of x, and of g, in a block's shared memory */
    SUMMERS = 128 /* blocks whose partial sums of dA and da are added in order */
};

/* Returns the pixels of one run: at least one. */
static int run_of(int K)
{
    return K < STAGE ? STAGE / K : 1;
}

static size_t runs_of(size_t n, int K)
{
    return (n + (size_t)run_of(K) - 1) / (size_t)run_of(K);
}

/* y[p,i] = sum over j of A[i * row + j * column] x[p,j] + a[i]; x and y [count] pixels, x in shared memory. */
static __device__ __forceinline__ void multiply_run(int K, int row, int column, const float *A, const float *a,
                                                    int count, const float *x, float *y)
{
    for (int e = (int)threadIdx.x; e < count * K; e += (int)blockDim.x) {
        int p = e / K, i = e % K;
        float sum = a ? a[i] : 0;
        for (int j = 0; j < K; j++)
            sum = fmaf(A[i * row + j * column], x[p * K + j], sum);
        y[e] = sum;
    }
}

static __device__ __forceinline__ void load_run(int n, const float *from, float *to)
{
    for (int e = (int)threadIdx.x; e < n; e += (int)blockDim.x)
        to[e] = from[e];
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    mix_forward(size_t n, int K, int pixels, const float *A, const float *a, const float *x, float *y)
{
    WF_SHARED(float, stage);
    size_t first = (size_t)blockIdx.x * (size_t)pixels;
    int count = n - first < (size_t)pixels ? (int)(n - first) : pixels;
    load_run(count * K, x + first * (size_t)K, stage);
    __syncthreads();
    multiply_run(K, K, 1, A, a, count, stage, y + first * (size_t)K);
}

/* sums [gridDim.x,K+1,K]: rows of this block's dA, then da (NULL: not computed). */
static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    matvec_gradient(size_t n, int K, int pixels, const float *A, const float *x, float *g, double *sums)
{
    WF_SHARED(float, stage);
    float *gradient = stage, *input = stage + pixels * K;
    int entries = (K + 1) * K;
    double *own = sums ? sums + (size_t)blockIdx.x * (size_t)entries : NULL;
    for (int e = (int)threadIdx.x; own && e < entries; e += (int)blockDim.x)
        own[e] = 0;
    for (size_t first = (size_t)blockIdx.x * (size_t)pixels; first < n; first += (size_t)gridDim.x * (size_t)pixels) {
        int count = n - first < (size_t)pixels ? (int)(n - first) : pixels;
        load_run(count * K, g + first * (size_t)K, gradient);
        if (own)
            load_run(count * K, x + first * (size_t)K, input);
        __syncthreads();
        for (int e = (int)threadIdx.x; own && e < entries; e += (int)blockDim.x) {
            int i = e < K * K ? e / K : e - K * K, j = e % K;
            float sum = 0;
            for (int p = 0; p < count; p++)
                sum += gradient[p * K + i] * (e < K * K ? input[p * K + j] : 1.0f);
            own[e] += (double)sum; /* float within a run, double across runs */
        }
        multiply_run(K, 1, K, A, NULL, count, gradient, g + first * (size_t)K);
        __syncthreads();
    }
}

static __global__ void add_shares(int entries, int K, int blocks, const double *sums, float *dA, float *da)
{
    int e = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (e >= entries)
        return;
    double sum = 0;
    for (int b = 0; b < blocks; b++)
        sum += sums[(size_t)b * (size_t)entries + (size_t)e];
    if (e < K * K && dA)
        dA[e] = (float)sum;
    if (e >= K * K && da)
        da[e - K * K] = (float)sum;
}

static int check(int K)
{
    WF_CHECK(K > 0 && K <= 2048, WF_INTERNAL, "matvec: K is %d, expected 1 to 2048", K);
    return WF_OK;
}

static int matvec(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *a, const wf_real *x, wf_real *y)
{
    wf_cuda *cuda = (wf_cuda *)b;
    WF_TRY(check(K));
    int pixels = run_of(K);
    WF_RUN(mix_forward, (unsigned)runs_of(n, K), (unsigned)WF_CUDA_THREADS, (size_t)(pixels * K) * sizeof(float), n, K,
           pixels, (const float *)A, (const float *)a, (const float *)x, (float *)y);
    return WF_OK;
}

static int matvec_backward(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *x, wf_real *g, wf_real *dA,
                           wf_real *da)
{
    wf_cuda *cuda = (wf_cuda *)b;
    WF_TRY(check(K));
    int pixels = run_of(K), entries = (K + 1) * K;
    size_t runs = runs_of(n, K);
    bool wanted = dA || da;
    unsigned blocks = (unsigned)(wanted && runs > (size_t)SUMMERS ? (size_t)SUMMERS : runs);
    double *sums = NULL;
    if (wanted)
        WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, (size_t)blocks * (size_t)entries * sizeof *sums, &sums));
    WF_RUN(matvec_gradient, blocks, (unsigned)WF_CUDA_THREADS, (size_t)(2 * pixels * K) * sizeof(float), n, K, pixels,
           (const float *)A, (const float *)x, (float *)g, sums);
    if (wanted)
        WF_RUN(add_shares, wf_cuda_blocks((size_t)entries), (unsigned)WF_CUDA_THREADS, 0, entries, K, (int)blocks,
               (const double *)sums, (float *)dA, (float *)da);
    return WF_OK;
}

void wf_cuda_matvec_slots(wf_backend *b)
{
    b->matvec = matvec;
    b->matvec_backward = matvec_backward;
}
