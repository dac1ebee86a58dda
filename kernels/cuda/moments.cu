/* moments.cu - mean and variance of channels: sums of blocks, then their sum, for each of the two */
#include "cuda.h"

/* BLOCKS: most blocks that share a sum over rows; SHARE: least rows of each; ADDERS: threads of each */
enum { BLOCKS = 256, SHARE = 16, ADDERS = 256 };

/* partial [block,K] = sums over this block's rows of x, or of (x - mean)^2. A thread has one channel of each `rows`th
 * row. */
static __global__ void add_rows(size_t n, int K, const float *x, const double *mean, double *partial)
{
    __shared__ double shares[ADDERS];
    size_t each = (n + gridDim.x - 1) / gridDim.x, begin = (size_t)blockIdx.x * each;
    size_t end = begin + each < n ? begin + each : n;
    for (int first = 0; first < K; first += ADDERS) {
        int across = K - first < ADDERS ? K - first : (int)ADDERS, rows = ADDERS / across;
        int row = (int)threadIdx.x / across, own = first + (int)threadIdx.x % across;
        double sum = 0;
        for (size_t i = begin + (size_t)row; i < end && row < rows; i += (size_t)rows) {
            double v = (double)x[i * (size_t)K + (size_t)own] - (mean ? mean[own] : 0.0);
            sum += mean ? v * v : v;
        }
        shares[threadIdx.x] = sum;
        __syncthreads();
        sum = 0;
        for (int r = 0; r < rows && (int)threadIdx.x < across; r++)
            sum += shares[r * across + (int)threadIdx.x];
        if ((int)threadIdx.x < across)
            partial[(size_t)blockIdx.x * (size_t)K + (size_t)own] = sum;
        __syncthreads();
    }
}

/* out [K] = the sums of `blocks` blocks, over n. */
static __global__ void average(int blocks, size_t n, int K, const double *partial, double *out)
{
    int k = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (k >= K)
        return;
    double sum = 0;
    for (int b = 0; b < blocks; b++)
        sum += partial[(size_t)b * (size_t)K + (size_t)k];
    out[k] = sum / (double)n;
}

static int moments(wf_backend *b, size_t n, int K, const wf_real *x, double *out)
{
    wf_cuda *cuda = (wf_cuda *)b;
    size_t shares = (n + SHARE - 1) / SHARE;
    int blocks = shares < (size_t)BLOCKS ? (int)shares : (int)BLOCKS;
    double *partial;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, (size_t)blocks * (size_t)K * sizeof *partial, &partial));
    for (int i = 0; i < 2; i++) {
        WF_RUN(add_rows, (unsigned)blocks, (unsigned)ADDERS, 0, n, K, (const float *)x,
               i ? (const double *)out : (const double *)NULL, partial);
        WF_RUN(average, wf_cuda_blocks((size_t)K), (unsigned)WF_CUDA_THREADS, 0, blocks, n, K, (const double *)partial,
               out + i * K);
    }
    return WF_OK;
}

void wf_cuda_moments_slots(wf_backend *b)
{
    b->moments = moments;
}
