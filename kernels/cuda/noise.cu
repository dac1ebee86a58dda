/* noise.cu - latents and dequantization noise from Philox counters (kernels/body/random.h specifies which)
 *
 * Kernels read seed, step and picture indices from device memory, so that a recorded step draws new numbers at each
 * replay. */
#include "cuda.h"

#include "../body/pointwise.h"
#include "../body/random.h"

static __device__ __forceinline__ wf_philox_stream stream_of(const wf_random *random, const uint64_t *index, size_t n)
{
    return wf_philox_of_picture(random->seed, random->purpose, random->step, index[n]);
}

/* One thread a counter: four numbers of one picture. */
static __global__ void normal_four(const wf_random *random, const uint64_t *index, size_t D, size_t counters,
                                   size_t total, double temperature, float *z)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= total)
        return;
    size_t n = i / counters, block = i % counters;
    wf_philox_words w = wf_philox(stream_of(random, index, n), (uint32_t)block);
    double values[4];
    wf_normal_pair(w.w0, w.w1, &values[0], &values[1]);
    wf_normal_pair(w.w2, w.w3, &values[2], &values[3]);
    for (size_t j = 0; j < 4; j++)
        if (4 * block + j < D)
            z[n * D + 4 * block + j] = (float)(temperature * values[j]);
}

static int normal(wf_backend *b, const wf_random *random, int N, size_t D, const uint64_t *index, double temperature,
                  wf_real *z)
{
    wf_cuda *cuda = (wf_cuda *)b;
    const wf_random *r;
    const uint64_t *pictures;
    size_t counters = (D + 3) / 4, total = (size_t)N * counters;
    WF_TRY(wf_cuda_argument(cuda, random, sizeof *random, &r));
    WF_TRY(wf_cuda_argument(cuda, index, (size_t)N * sizeof *index, &pictures));
    WF_RUN(normal_four, wf_cuda_blocks(total), (unsigned)WF_CUDA_THREADS, 0, r, pictures, D, counters, total,
           temperature, (float *)z);
    return WF_OK;
}

static __device__ __forceinline__ uint32_t word_of(wf_philox_words w, unsigned i)
{
    return i == 0 ? w.w0 : i == 1 ? w.w1 : i == 2 ? w.w2 : w.w3;
}

/* Returns the normal of one element, with the deviation of a mean of `uniforms` uniforms. */
static __device__ __forceinline__ float normal_of(wf_philox_stream stream, double mean, int64_t uniforms,
                                                  uint64_t element)
{
    wf_philox_words w = wf_philox(stream, (uint32_t)(element / 4));
    double n0, n1;
    if (element % 4 < 2)
        wf_normal_pair(w.w0, w.w1, &n0, &n1);
    else
        wf_normal_pair(w.w2, w.w3, &n0, &n1);
    return (float)(mean + wf_noise_deviation(uniforms) * (element % 2 ? n1 : n0));
}

/* Returns the noise of one element of the fine field. */
static __device__ __forceinline__ float noise_of(wf_philox_stream stream, int64_t uniforms, uint64_t element)
{
    if (uniforms == 1)
        return (float)wf_uniform(word_of(wf_philox(stream, (uint32_t)(element / 4)), (unsigned)(element % 4)));
    if (uniforms == 2) {
        wf_philox_words w = wf_philox(stream, (uint32_t)(element / 2));
        return (float)wf_noise_mean(element % 2 ? (uint64_t)w.w2 + w.w3 : (uint64_t)w.w0 + w.w1, 2);
    }
    if (uniforms <= 64) {
        uint64_t counters = (uint64_t)uniforms / 4, sum = 0;
        for (uint64_t i = 0; i < counters; i++) {
            wf_philox_words w = wf_philox(stream, (uint32_t)(element * counters + i));
            sum += (uint64_t)w.w0 + w.w1 + w.w2 + w.w3;
        }
        return (float)wf_noise_mean(sum, uniforms);
    }
    return normal_of(stream, 0.5, uniforms, element);
}

/* One thread a coefficient of low, with its three details. random NULL: the mean of the noise. `white`: normals for any
 * `uniforms`. */
static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    add_noise(const wf_random *random, const uint64_t *index, bool white, int64_t uniforms, size_t total, size_t size,
              int W, int C, float scale, float *low, float *detail)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= total)
        return;
    float average = 0.5f, d[3] = {0, 0, 0};
    size_t e = i % size, row = (size_t)W * (size_t)C;
    if (random) {
        wf_philox_stream stream = stream_of(random, index, i / size);
        if (white) {
            average =
                detail ? 0.5f + 0.5f * normal_of(stream, 0, uniforms, 4 * e) : normal_of(stream, 0.5, uniforms, e);
            for (uint64_t band = 0; detail && band < 3; band++)
                d[band] = normal_of(stream, 0, uniforms, 4 * e + 1 + band);
        } else if (detail) {
            uint64_t fine = 2 * row, a = 2 * (e / row) * fine + e % row / (size_t)C * 2 * (size_t)C + e % (size_t)C;
            wf_haar_forward_one(noise_of(stream, uniforms, a), noise_of(stream, uniforms, a + (uint64_t)C),
                                noise_of(stream, uniforms, a + fine),
                                noise_of(stream, uniforms, a + fine + (uint64_t)C), &average, d);
        } else {
            average = noise_of(stream, uniforms, e);
        }
    }
    low[i] = (low[i] + average) * scale - 0.5f;
    for (int band = 0; detail && band < 3; band++)
        detail[3 * i + (size_t)band] = (detail[3 * i + (size_t)band] + d[band]) * scale;
}

/* One thread a counter: U of four elements of the field [N,D]. */
static __global__ void uniform_four(const wf_random *random, const uint64_t *index, size_t D, size_t counters,
                                    size_t total, float *field)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= total)
        return;
    size_t n = i / counters, block = i % counters;
    wf_philox_words w = wf_philox(stream_of(random, index, n), (uint32_t)block);
    for (size_t j = 0; j < 4; j++)
        if (4 * block + j < D)
            field[n * D + 4 * block + j] = (float)wf_uniform(word_of(w, (unsigned)j));
}

static __global__ void add_field(size_t n, const float *noise, float scale, float offset, float *x)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] = (x[i] + noise[i]) * scale - offset;
}

/* Sends uniforms of pixels through one transform, or with `twice` through two, on whole pictures. Without detail, low
 * gets the low-pass of the single transform. The transforms use the backend's scratch, this function the workspace. */
static int add_transformed(wf_cuda *cuda, const wf_random *random, const uint64_t *index, const double *taps, int count,
                           bool twice, int N, int H, int W, int C, float scale, float *low, float *detail)
{
    wf_backend *b = &cuda->base;
    size_t each = (size_t)H * (size_t)W * (size_t)C, L = (size_t)N * each, fine = twice ? 16 * each : 4 * each;
    size_t counters = (fine + 3) / 4, total = (size_t)N * counters;
    float *from;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->workspace, (2 * (size_t)N * fine + 4 * L) * sizeof *from, &from));
    float *half = from + (size_t)N * fine, *noise = half + (size_t)N * fine;
    WF_RUN(uniform_four, wf_cuda_blocks(total), (unsigned)WF_CUDA_THREADS, 0, random, index, fine, counters, total,
           from);
    if (twice) {
        WF_TRY(b->dwt(b, taps, count, N, 4 * H, 4 * W, C, (wf_real *)from, (wf_real *)half, (wf_real *)(half + 4 * L)));
        from = half;
    }
    WF_TRY(b->dwt(b, taps, count, N, 2 * H, 2 * W, C, (wf_real *)from, (wf_real *)noise, (wf_real *)(noise + L)));
    WF_RUN(add_field, wf_cuda_blocks(L), (unsigned)WF_CUDA_THREADS, 0, L, noise, scale, 0.5f, low);
    if (detail)
        WF_RUN(add_field, wf_cuda_blocks(3 * L), (unsigned)WF_CUDA_THREADS, 0, 3 * L, noise + L, scale, 0.0f, detail);
    return WF_OK;
}

static int dequantize(wf_backend *b, const wf_random *random, const double *taps, int count, int64_t uniforms, int N,
                      int H, int W, int C, const uint64_t *index, double scale, wf_real *low, wf_real *detail)
{
    wf_cuda *cuda = (wf_cuda *)b;
    WF_CHECK(N > 0 && H > 0 && W > 0 && C > 0 && uniforms > 0, WF_INTERNAL, "dequantize: [%d,%d,%d,%d]", N, H, W, C);
    const wf_random *r = NULL;
    const uint64_t *pictures = NULL;
    bool haar = !random || count == 2;
    size_t size = (size_t)H * (size_t)W * (size_t)C, total = (size_t)N * size;
    if (random) {
        WF_TRY(wf_cuda_argument(cuda, random, sizeof *random, &r));
        WF_TRY(wf_cuda_argument(cuda, index, (size_t)N * sizeof *index, &pictures));
    }
    if (!haar && uniforms <= 4 && (detail || uniforms > 1))
        return add_transformed(cuda, r, pictures, taps, count, detail && uniforms > 1, N, H, W, C, (float)scale,
                               (float *)low, (float *)detail);
    WF_RUN(add_noise, wf_cuda_blocks(total), (unsigned)WF_CUDA_THREADS, 0, r, pictures, !haar && uniforms > 4, uniforms,
           total, size, W, C, (float)scale, (float *)low, (float *)detail);
    return WF_OK;
}

void wf_cuda_noise_slots(wf_backend *b)
{
    b->normal = normal;
    b->dequantize = dequantize;
}
