/* wavelet.c - one level of the separable periodic wavelet transform
 *
 * low-pass h, high-pass g[k] = (-1)^k h[count-1-k];  low[i] = sum_k h[k] x[(2i+k-(count/2-1)) mod n], detail with g.
 * Detail channel = 3 * colour + band: 0 high along the row, 1 high along the column, 2 high along both. The orthonormal
 * low-pass in two dimensions, halved, is an average. */
#include "cpu.h"

#include "../body/pointwise.h"

#include <omp.h>
#include <string.h>

/* Threads are named in each loop: a backend may be used by another thread than the one that opened it, whose number OpenMP
 * does not know. */

/* -- Haar: a 2x2 block at a time, in one pass ---------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void haar_row(int W, int C, const float *x, float *low, float *detail)
{
    const float *below = x + (size_t)W * (size_t)C;
    for (int i = 0; i < W / 2; i++, x += 2 * C, below += 2 * C, low += C, detail += 3 * C)
        for (int c = 0; c < C; c++)
            wf_haar_forward_one(x[c], x[C + c], below[c], below[C + c], &low[c], detail + 3 * c);
}

static inline __attribute__((always_inline)) void haar_row_back(int W, int C, const float *low, const float *detail,
                                                                float *x)
{
    float *below = x + (size_t)W * (size_t)C;
    for (int i = 0; i < W / 2; i++, x += 2 * C, below += 2 * C, low += C, detail += 3 * C)
        for (int c = 0; c < C; c++)
            wf_haar_inverse_one(low[c], detail + 3 * c, &x[c], &x[C + c], &below[c], &below[C + c]);
}

static void haar(int threads, int N, int H, int W, int C, const float *x, float *low, float *detail)
{
    size_t row = (size_t)W * (size_t)C, rows = (size_t)N * (size_t)(H / 2);
#pragma omp parallel for schedule(static) num_threads(threads) if (rows * row > WF_CPU_PARALLEL)
    for (size_t r = 0; r < rows; r++) {
        const float *from = x + 2 * r * row;
        float *l = low + r * row / 2, *d = detail + r * row / 2 * 3;
        if (C == 3) /* a constant lets the compiler unroll */
            haar_row(W, 3, from, l, d);
        else
            haar_row(W, C, from, l, d);
    }
}

static void haar_back(int threads, int N, int H, int W, int C, const float *low, const float *detail, float *x)
{
    size_t row = (size_t)W * (size_t)C, rows = (size_t)N * (size_t)(H / 2);
#pragma omp parallel for schedule(static) num_threads(threads) if (rows * row > WF_CPU_PARALLEL)
    for (size_t r = 0; r < rows; r++) {
        const float *l = low + r * row / 2, *d = detail + r * row / 2 * 3;
        float *to = x + 2 * r * row;
        if (C == 3)
            haar_row_back(W, 3, l, d, to);
        else
            haar_row_back(W, C, l, d, to);
    }
}

/* -- any taps: rows, then columns, through one picture's worth of scratch per thread ------------------------------- */

typedef struct filter {
    int count;
    const float *low, *high;
} filter;

/* Which of n numbers tap k of output i meets. */
static int met(const filter *f, int n, int i, int k)
{
    int at = (2 * i + k - (f->count / 2 - 1)) % n;
    return at < 0 ? at + n : at;
}

/* x: n/2 pairs from n vectors of `width` floats, `stride` floats apart; the halves go to low and high, `step` apart. */
static void analyse(const filter *f, int n, size_t width, size_t stride, const float *x, size_t step, float *low,
                    float *high)
{
    for (int i = 0; i < n / 2; i++) {
        float *l = low + (size_t)i * step, *h = high + (size_t)i * step;
        memset(l, 0, width * sizeof *l);
        memset(h, 0, width * sizeof *h);
        for (int k = 0; k < f->count; k++) {
            const float *from = x + (size_t)met(f, n, i, k) * stride;
            float a = f->low[k], b = f->high[k];
            for (size_t c = 0; c < width; c++) {
                l[c] += a * from[c];
                h[c] += b * from[c];
            }
        }
    }
}

/* The adjoint, which is the inverse. */
static void synthesize(const filter *f, int n, size_t width, size_t step, const float *low, const float *high,
                       size_t stride, float *x)
{
    for (int i = 0; i < n; i++)
        memset(x + (size_t)i * stride, 0, width * sizeof *x);
    for (int i = 0; i < n / 2; i++) {
        const float *l = low + (size_t)i * step, *h = high + (size_t)i * step;
        for (int k = 0; k < f->count; k++) {
            float *to = x + (size_t)met(f, n, i, k) * stride, a = f->low[k], b = f->high[k];
            for (size_t c = 0; c < width; c++)
                to[c] += a * l[c] + b * h[c];
        }
    }
}

/* bands [4,count]: low, then the three details, each [count] = [H/2,W/2,C], to and from their places. */
static void split_bands(size_t count, const float *bands, float *low, float *detail)
{
    for (size_t i = 0; i < count; i++) {
        low[i] = 0.5f * bands[i];
        for (size_t band = 0; band < 3; band++)
            detail[3 * i + band] = bands[(band + 1) * count + i];
    }
}

static void join_bands(size_t count, const float *low, const float *detail, float *bands)
{
    for (size_t i = 0; i < count; i++) {
        bands[i] = 2.0f * low[i];
        for (size_t band = 0; band < 3; band++)
            bands[(band + 1) * count + i] = detail[3 * i + band];
    }
}

/* rows and bands: scratch of one picture each. */
static void forward_picture(const filter *f, int H, int W, int C, const float *x, float *rows, float *bands, float *low,
                            float *detail)
{
    size_t half = (size_t)(W / 2) * (size_t)C, row = 2 * half, quarter = (size_t)(H / 2) * half;
    for (int y = 0; y < H; y++)
        analyse(f, W, (size_t)C, (size_t)C, x + (size_t)y * row, (size_t)C, rows + (size_t)y * row,
                rows + (size_t)y * row + half);
    analyse(f, H, half, row, rows, half, bands, bands + 2 * quarter);
    analyse(f, H, half, row, rows + half, half, bands + quarter, bands + 3 * quarter);
    split_bands(quarter, bands, low, detail);
}

static void inverse_picture(const filter *f, int H, int W, int C, const float *low, const float *detail, float *rows,
                            float *bands, float *x)
{
    size_t half = (size_t)(W / 2) * (size_t)C, row = 2 * half, quarter = (size_t)(H / 2) * half;
    join_bands(quarter, low, detail, bands);
    synthesize(f, H, half, half, bands, bands + 2 * quarter, row, rows);
    synthesize(f, H, half, half, bands + quarter, bands + 3 * quarter, row, rows + half);
    for (int y = 0; y < H; y++)
        synthesize(f, W, (size_t)C, (size_t)C, rows + (size_t)y * row, rows + (size_t)y * row + half, (size_t)C,
                   x + (size_t)y * row);
}

/* Scratch: both filters, then two pictures per thread. */
static int filter_open(wf_cpu *cpu, const double *taps, int count, size_t picture, filter *f, float **pictures)
{
    void *memory;
    size_t n = (size_t)count;
    WF_TRY(wf_cpu_scratch(cpu, (2 * n + (size_t)cpu->base.threads * 2 * picture) * sizeof(float), &memory));
    float *low = memory, *high = low + n;
    for (int k = 0; k < count; k++) {
        low[k] = (float)taps[k];
        high[k] = (float)((k % 2 ? -1 : 1) * taps[count - 1 - k]);
    }
    *f = (filter){count, low, high};
    *pictures = high + n;
    return WF_OK;
}

static int check_shape(int count, int N, int H, int W, int C)
{
    WF_CHECK(N > 0 && H > 0 && W > 0 && C > 0 && H % 2 == 0 && W % 2 == 0 && count > 0 && count % 2 == 0, WF_INTERNAL,
             "wavelet: [%d,%d,%d,%d] with %d taps", N, H, W, C, count);
    return WF_OK;
}

static int dwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *x, wf_real *low,
               wf_real *detail)
{
    WF_TRY(check_shape(count, N, H, W, C));
    const float *from = (const float *)x;
    float *l = (float *)low, *d = (float *)detail, *pictures;
    if (count == 2) { /* up to its sign Haar is the only orthonormal filter of two taps */
        haar(b->threads, N, H, W, C, from, l, d);
        return WF_OK;
    }
    filter f;
    size_t picture = (size_t)H * (size_t)W * (size_t)C;
    WF_TRY(filter_open((wf_cpu *)b, taps, count, picture, &f, &pictures));
#pragma omp parallel for schedule(static) num_threads(b->threads)
    for (int n = 0; n < N; n++) {
        float *rows = pictures + (size_t)omp_get_thread_num() * 2 * picture;
        forward_picture(&f, H, W, C, from + (size_t)n * picture, rows, rows + picture, l + (size_t)n * picture / 4,
                        d + (size_t)n * picture / 4 * 3);
    }
    return WF_OK;
}

static int idwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *low,
                const wf_real *detail, wf_real *x)
{
    WF_TRY(check_shape(count, N, H, W, C));
    const float *l = (const float *)low, *d = (const float *)detail;
    float *to = (float *)x, *pictures;
    if (count == 2) {
        haar_back(b->threads, N, H, W, C, l, d, to);
        return WF_OK;
    }
    filter f;
    size_t picture = (size_t)H * (size_t)W * (size_t)C;
    WF_TRY(filter_open((wf_cpu *)b, taps, count, picture, &f, &pictures));
#pragma omp parallel for schedule(static) num_threads(b->threads)
    for (int n = 0; n < N; n++) {
        float *rows = pictures + (size_t)omp_get_thread_num() * 2 * picture;
        inverse_picture(&f, H, W, C, l + (size_t)n * picture / 4, d + (size_t)n * picture / 4 * 3, rows, rows + picture,
                        to + (size_t)n * picture);
    }
    return WF_OK;
}

void wf_cpu_wavelet_slots(wf_backend *b)
{
    b->dwt = dwt;
    b->idwt = idwt;
}
