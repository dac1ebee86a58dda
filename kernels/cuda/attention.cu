/* attention.cu - attention without the P x P shares in memory: one thread for each pixel and head reads the others in
 * order
 *
 * The kernels are plain: keys and values come from the caches, and products are computed again instead of stored. */
#include "../body/pointwise.h"
#include "cuda.h"

typedef struct shape {
    wf_reach reach;
    int N, P, C, heads;
} shape;

/* Thread i of N * heads * P: one pixel of one head of one picture. */
typedef struct head {
    const float *q; /* first pixel's query; rows of 3C numbers, keys start C and values 2C further */
    size_t plain;   /* offset of its first pixel and channel in a tensor of C channels */
    size_t row;     /* from pixel to pixel */
    int C, d, pixel;
    int first, end; /* range of pixels that it attends to */
    float scale;
} head;

static __device__ __forceinline__ head head_of(shape s, size_t i, const float *qkv)
{
    head h;
    size_t which = i / (size_t)s.P, n = which / (size_t)s.heads, first;
    h.d = s.C / s.heads;
    first = which % (size_t)s.heads * (size_t)h.d;
    h.q = qkv + n * (size_t)s.P * 3 * (size_t)s.C + first;
    h.plain = n * (size_t)s.P * (size_t)s.C + first;
    h.row = 3 * (size_t)s.C;
    h.C = s.C;
    h.pixel = (int)(i % (size_t)s.P);
    h.first = wf_reach_first(s.reach, h.pixel);
    h.end = wf_reach_end(s.reach, h.pixel, s.P);
    h.scale = 1.0f / sqrtf((float)h.d);
    return h;
}

static __device__ __forceinline__ float product(int d, const float *a, const float *b)
{
    float sum = 0;
    for (int c = 0; c < d; c++)
        sum += a[c] * b[c];
    return sum;
}

/* Online softmax: sums over pixels are relative to the largest product so far. */
static __global__ void attend_all(shape s, size_t n, const float *qkv, float *y)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    head h = head_of(s, i, qkv);
    const float *q = h.q + (size_t)h.pixel * h.row;
    float *to = y + h.plain + (size_t)h.pixel * (size_t)h.C, largest = product(h.d, q, q + h.C) * h.scale, sum = 0;
    for (int c = 0; c < h.d; c++)
        to[c] = 0;
    for (int j = h.first; j < h.end; j++) {
        const float *k = h.q + (size_t)j * h.row + h.C, *v = k + h.C;
        float score = product(h.d, q, k) * h.scale, before = 1.0f;
        if (score > largest) {
            before = wf_exp(largest - score);
            largest = score;
        }
        float share = wf_exp(score - largest);
        sum = sum * before + share;
        for (int c = 0; c < h.d; c++)
            to[c] = to[c] * before + share * v[c];
    }
    for (int c = 0; c < h.d; c++)
        to[c] /= sum;
}

/* Writes log_sum [n], the logarithm of the softmax's denominator, and mean [n], the mean of the gradients by the
 * shares, weighted by the shares. */
static __global__ void sum_up(shape s, size_t n, const float *qkv, const float *dy, float *log_sum, float *mean)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    head h = head_of(s, i, qkv);
    const float *q = h.q + (size_t)h.pixel * h.row, *g = dy + h.plain + (size_t)h.pixel * (size_t)h.C;
    float largest = product(h.d, q, q + h.C) * h.scale, sum = 0, of_gradients = 0;
    for (int j = h.first; j < h.end; j++) {
        const float *k = h.q + (size_t)j * h.row + h.C;
        float score = product(h.d, q, k) * h.scale, before = 1.0f;
        if (score > largest) {
            before = wf_exp(largest - score);
            largest = score;
        }
        float share = wf_exp(score - largest);
        sum = sum * before + share;
        of_gradients = of_gradients * before + share * product(h.d, g, k + h.C);
    }
    log_sum[i] = largest + wf_log(sum);
    mean[i] = of_gradients / sum;
}

/* Each thread computes the gradients by its query, its key and its value. */
static __global__ void attend_adjoint(shape s, size_t n, const float *qkv, const float *dy, const float *log_sum,
                                      const float *mean, float *dqkv)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    head h = head_of(s, i, qkv);
    size_t first = i - (size_t)h.pixel, own = (size_t)h.pixel * h.row;
    const float *q = h.q + own, *k = q + h.C, *v = k + h.C, *g = dy + h.plain + (size_t)h.pixel * (size_t)h.C;
    float *dq = dqkv + (h.q - qkv) + own, *dk = dq + h.C, *dv = dk + h.C;
    for (int c = 0; c < h.d; c++)
        dq[c] = dk[c] = dv[c] = 0;
    for (int j = h.first; j < h.end; j++) {
        const float *other = h.q + (size_t)j * h.row;
        float share = wf_exp(product(h.d, q, other + h.C) * h.scale - log_sum[i]);
        float by = share * (product(h.d, g, other + 2 * h.C) - mean[i]) * h.scale;
        for (int c = 0; c < h.d; c++)
            dq[c] += by * other[h.C + c];
    }
    wf_reach reached = wf_reached_by(s.reach);
    for (int j = wf_reach_first(reached, h.pixel); j < wf_reach_end(reached, h.pixel, s.P); j++) {
        const float *other = h.q + (size_t)j * h.row, *its = dy + h.plain + (size_t)j * (size_t)h.C;
        float given = wf_exp(product(h.d, other, k) * h.scale - log_sum[first + (size_t)j]);
        float back = given * (product(h.d, its, v) - mean[first + (size_t)j]) * h.scale;
        for (int c = 0; c < h.d; c++) {
            dk[c] += back * other[c];
            dv[c] += given * its[c];
        }
    }
}

static int attend(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv, wf_real *y)
{
    wf_cuda *cuda = (wf_cuda *)b;
    shape s = {reach, N, P, C, heads};
    size_t n = (size_t)N * (size_t)heads * (size_t)P;
    WF_RUN(attend_all, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, s, n, (const float *)qkv, (float *)y);
    return WF_OK;
}

static int attend_backward(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv,
                           const wf_real *dy, wf_real *dqkv)
{
    wf_cuda *cuda = (wf_cuda *)b;
    shape s = {reach, N, P, C, heads};
    size_t n = (size_t)N * (size_t)heads * (size_t)P;
    float *log_sum;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, 2 * n * sizeof(float), &log_sum));
    WF_RUN(sum_up, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, s, n, (const float *)qkv, (const float *)dy,
           log_sum, log_sum + n);
    WF_RUN(attend_adjoint, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, s, n, (const float *)qkv, (const float *)dy,
           (const float *)log_sum, (const float *)(log_sum + n), (float *)dqkv);
    return WF_OK;
}

void wf_cuda_attention_slots(wf_backend *b)
{
    b->attend = attend;
    b->attend_backward = attend_backward;
}
