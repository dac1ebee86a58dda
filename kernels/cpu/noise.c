/* noise.c - latents and dequantization noise
 *
 * Both need long runs of contiguous elements, so Philox computes a block of counters at a time. */
#include "cpu.h"

#include "../body/pointwise.h"
#include "../body/random.h"

enum { COUNTERS = 64 }; /* Philox counters of a block */

/* Writes word j of counter first + i to words[4 * i + j]. */
static void fill_words(wf_philox_stream stream, uint64_t first, uint32_t words[4 * COUNTERS])
{
    uint32_t w0[COUNTERS], w1[COUNTERS], w2[COUNTERS], w3[COUNTERS];
#pragma omp simd
    for (uint32_t i = 0; i < COUNTERS; i++) {
        wf_philox_words w = wf_philox(stream, (uint32_t)first + i);
        w0[i] = w.w0;
        w1[i] = w.w1;
        w2[i] = w.w2;
        w3[i] = w.w3;
    }
    for (uint32_t i = 0; i < COUNTERS; i++) {
        words[4 * i] = w0[i];
        words[4 * i + 1] = w1[i];
        words[4 * i + 2] = w2[i];
        words[4 * i + 3] = w3[i];
    }
}

/* Writes the 4 * COUNTERS normals of the elements from 4 * first on. */
static void fill_normals(wf_philox_stream stream, uint64_t first, double normals[4 * COUNTERS])
{
    uint32_t words[4 * COUNTERS];
    fill_words(stream, first, words);
#pragma omp simd
    for (int i = 0; i < 2 * COUNTERS; i++) {
        double n0, n1;
        wf_normal_pair(words[2 * i], words[2 * i + 1], &n0, &n1);
        normals[2 * i] = n0;
        normals[2 * i + 1] = n1;
    }
}

static int normal(wf_backend *b, const wf_random *random, int N, size_t D, const uint64_t *index, double temperature,
                  wf_real *z)
{
    (void)b;
    const size_t block = 4 * COUNTERS;
    size_t blocks = (D + block - 1) / block, total = (size_t)N * blocks;
#pragma omp parallel for schedule(static) if (total > 4)
    for (size_t i = 0; i < total; i++) {
        size_t picture = i / blocks, begin = i % blocks * block, count = D - begin < block ? D - begin : block;
        double normals[4 * COUNTERS];
        float *to = (float *)z + picture * D + begin;
        fill_normals(wf_philox_of_picture(random->seed, random->purpose, random->step, index[picture]), begin / 4,
                     normals);
        for (size_t j = 0; j < count; j++)
            to[j] = (float)(temperature * normals[j]);
    }
    return WF_OK;
}

/* Writes noise of elements first .. first + count - 1 of the fine field, one word each. */
static void uniform_run(wf_philox_stream stream, uint64_t first, size_t count, float *to)
{
    uint32_t words[4 * COUNTERS];
    for (size_t done = 0; done < count;) {
        uint64_t element = first + done;
        size_t skip = element % 4;
        fill_words(stream, element / 4, words);
        for (size_t i = skip; i < 4 * COUNTERS && done < count; i++)
            to[done++] = (float)wf_uniform(words[i]);
    }
}

/* Writes means of `uniforms` words each, a power of two from 2 to 64. */
static void mean_run(wf_philox_stream stream, int64_t uniforms, uint64_t first, size_t count, float *to)
{
    uint32_t words[4 * COUNTERS];
    size_t each = (size_t)uniforms, skip = first * each % 4,
           at_once = (4 * COUNTERS - skip) / each; /* skip is not 0 only with two uniforms */
    for (size_t done = 0; done < count; done += at_once, skip = (first + done) * each % 4) {
        fill_words(stream, (first + done) * each / 4, words);
        for (size_t i = 0; i < at_once && done + i < count; i++) {
            uint64_t sum = 0;
            for (size_t j = 0; j < each; j++)
                sum += words[skip + i * each + j];
            to[done + i] = (float)wf_noise_mean(sum, uniforms);
        }
    }
}

static void normal_run(wf_philox_stream stream, double mean, int64_t uniforms, uint64_t first, size_t count, float *to)
{
    double normals[4 * COUNTERS], deviation = wf_noise_deviation(uniforms);
    for (size_t done = 0; done < count;) {
        uint64_t element = first + done;
        size_t skip = element % 4;
        fill_normals(stream, element / 4, normals);
        for (size_t i = skip; i < 4 * COUNTERS && done < count; i++)
            to[done++] = (float)(mean + deviation * normals[i]);
    }
}

static void noise_run(wf_philox_stream stream, int64_t uniforms, uint64_t first, size_t count, float *to)
{
    if (uniforms == 1)
        uniform_run(stream, first, count, to);
    else if (uniforms <= 64)
        mean_run(stream, uniforms, first, count, to);
    else
        normal_run(stream, 0.5, uniforms, first, count, to);
}

static void scale_run(size_t count, float scale, float mean, float *x)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (x[i] + mean) * scale;
}

/* Adds noise to one row [W,C] of low and [W,3C] of detail. noise: the two fine rows [2,2W,C]. */
static void haar_noise_row(int W, int C, float scale, const float *noise, float *low, float *detail)
{
    const float *bottom = noise + (size_t)2 * (size_t)W * (size_t)C;
    for (int x = 0; x < W; x++)
        for (int c = 0; c < C; c++) {
            size_t at = (size_t)2 * (size_t)x * (size_t)C + (size_t)c, coarse = (size_t)x * (size_t)C + (size_t)c;
            float average, d[3];
            wf_haar_forward_one(noise[at], noise[at + (size_t)C], bottom[at], bottom[at + (size_t)C], &average, d);
            low[coarse] = (low[coarse] + average) * scale - 0.5f;
            for (int band = 0; band < 3; band++)
                detail[3 * coarse + (size_t)band] = (detail[3 * coarse + (size_t)band] + d[band]) * scale;
        }
}

static void mean_noise(size_t count, double scale, float *low, float *detail)
{
    scale_run(count, (float)scale, 0.5f, low);
    for (size_t i = 0; i < count; i++)
        low[i] -= 0.5f;
    if (detail)
        scale_run(3 * count, (float)scale, 0, detail);
}

/* Adds noise to one row [W,C] of low and [W,3C] of detail. noise: four normals for each coefficient of low. */
static void white_noise_row(size_t row, float scale, const float *noise, float *low, float *detail)
{
    for (size_t i = 0; i < row; i++) {
        low[i] = (low[i] + (0.5f + 0.5f * noise[4 * i])) * scale - 0.5f;
        for (size_t band = 0; band < 3; band++)
            detail[3 * i + band] = (detail[3 * i + band] + noise[4 * i + 1 + band]) * scale;
    }
}

/* Adds noise row by row: Haar noise, normals, the noise of a base, or the mean alone. `white`: normals for any
 * `uniforms`. */
static int add_by_rows(wf_backend *b, const wf_random *random, bool white, int64_t uniforms, int N, int H, int W, int C,
                       const uint64_t *index, double scale, float *low, float *detail)
{
    size_t row = (size_t)W * (size_t)C, rows = (size_t)N * (size_t)H, fine = detail ? 4 * row : row;
    size_t threads = (size_t)b->threads, pieces = rows < threads ? rows : threads;
    void *memory;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, pieces * fine * sizeof(float), &memory));
    float *noise = memory;
#pragma omp parallel for schedule(static) if (rows * row > WF_CPU_PARALLEL / 8)
    for (size_t piece = 0; piece < pieces; piece++) {
        float *field = noise + piece * fine;
        for (size_t r = piece * rows / pieces; r < (piece + 1) * rows / pieces; r++) {
            float *to = low + r * row, *bands = detail ? detail + 3 * r * row : NULL;
            if (!random) {
                mean_noise(row, scale, to, bands);
                continue;
            }
            wf_philox_stream stream =
                wf_philox_of_picture(random->seed, random->purpose, random->step, index[r / (size_t)H]);
            uint64_t first = r % (size_t)H * fine;
            if (white)
                normal_run(stream, bands ? 0 : 0.5, uniforms, first, fine, field);
            else
                noise_run(stream, uniforms, first, fine, field);
            if (bands && white)
                white_noise_row(row, (float)scale, field, to, bands);
            else if (bands)
                haar_noise_row(W, C, (float)scale, field, to, bands);
            for (size_t i = 0; i < row && !bands; i++)
                to[i] = (to[i] + field[i]) * (float)scale - 0.5f;
        }
    }
    return WF_OK;
}

/* Sends uniforms of pixels through one transform, or with `twice` through two, on whole pictures. Without detail, low
 * gets the low-pass of the single transform. */
static int add_transformed(wf_backend *b, const wf_random *random, const double *taps, int count, bool twice, int N,
                           int H, int W, int C, const uint64_t *index, double scale, float *low, float *detail)
{
    size_t each = (size_t)H * (size_t)W * (size_t)C, L = (size_t)N * each, fine = twice ? 16 * each : 4 * each;
    void *memory;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, (2 * (size_t)N * fine + 4 * L) * sizeof(float), &memory));
    float *from = memory, *half = from + (size_t)N * fine, *noise = half + (size_t)N * fine;
    const size_t run = 4096;
    size_t runs = (fine + run - 1) / run, total = (size_t)N * runs;
#pragma omp parallel for schedule(static) if ((size_t)N * fine > WF_CPU_PARALLEL / 2)
    for (size_t i = 0; i < total; i++) {
        size_t picture = i / runs, begin = i % runs * run;
        uniform_run(wf_philox_of_picture(random->seed, random->purpose, random->step, index[picture]), begin,
                    fine - begin < run ? fine - begin : run, from + picture * fine + begin);
    }
    if (twice) {
        WF_TRY(b->dwt(b, taps, count, N, 4 * H, 4 * W, C, (wf_real *)from, (wf_real *)half, (wf_real *)(half + 4 * L)));
        from = half;
    }
    WF_TRY(b->dwt(b, taps, count, N, 2 * H, 2 * W, C, (wf_real *)from, (wf_real *)noise, (wf_real *)(noise + L)));
    for (size_t i = 0; i < L; i++)
        low[i] = (low[i] + noise[i]) * (float)scale - 0.5f;
    for (size_t i = 0; i < 3 * L && detail; i++)
        detail[i] = (detail[i] + noise[L + i]) * (float)scale;
    return WF_OK;
}

static int dequantize(wf_backend *b, const wf_random *random, const double *taps, int count, int64_t uniforms, int N,
                      int H, int W, int C, const uint64_t *index, double scale, wf_real *low_, wf_real *detail_)
{
    WF_CHECK(N > 0 && H > 0 && W > 0 && C > 0 && uniforms > 0, WF_INTERNAL, "dequantize: [%d,%d,%d,%d]", N, H, W, C);
    float *low = (float *)low_, *detail = (float *)detail_;
    bool haar = !random || count == 2;
    if (!haar && uniforms <= 4 && (detail || uniforms > 1))
        return add_transformed(b, random, taps, count, detail && uniforms > 1, N, H, W, C, index, scale, low, detail);
    return add_by_rows(b, random, !haar && uniforms > 4, uniforms, N, H, W, C, index, scale, low, detail);
}

void wf_cpu_noise_slots(wf_backend *b)
{
    b->normal = normal;
    b->dequantize = dequantize;
}
