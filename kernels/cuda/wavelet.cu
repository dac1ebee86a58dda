/* wavelet.cu - one level of the separable periodic wavelet transform; kernels/cpu/wavelet.c has the formulas
 *
 * Haar: one thread computes a 2x2 block of one colour, in one pass of 8 bytes a pixel and colour. Other wavelets: rows,
 * then columns, through scratch, one thread an output. The inputs of the taps overlap and come from the cache. */
#include <string.h>

#include "cuda.h"

#include "../body/pointwise.h"

enum { TAPS = 64 };

typedef struct filter {
    int count;
    float low[TAPS], high[TAPS];
} filter;

/* x [N,H,W,C]; i: an element of [N,H/2,W/2,C]. Returns the top left of its four pixels; the pixel below is W*C
 * further. */
static __device__ __forceinline__ size_t corner(int W, int C, size_t i)
{
    size_t half = (size_t)(W / 2) * (size_t)C, row = i / half, at = i % half;
    return 2 * row * 2 * half + at / (size_t)C * 2 * (size_t)C + at % (size_t)C;
}

static __global__ void haar(size_t n, int W, int C, const float *x, float *low, float *detail)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t a = corner(W, C, i), c = a + (size_t)W * (size_t)C;
    wf_haar_forward_one(x[a], x[a + (size_t)C], x[c], x[c + (size_t)C], &low[i], detail + 3 * i);
}

static __global__ void haar_back(size_t n, int W, int C, const float *low, const float *detail, float *x)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t a = corner(W, C, i), c = a + (size_t)W * (size_t)C;
    wf_haar_inverse_one(low[i], detail + 3 * i, &x[a], &x[a + (size_t)C], &x[c], &x[c + (size_t)C]);
}

/* Returns the place among n numbers that tap k of output i reads. */
static __device__ __forceinline__ int met(const filter *f, int n, int i, int k)
{
    int at = (2 * i + k - (f->count / 2 - 1)) % n;
    return at < 0 ? at + n : at;
}

/* Writes rows [N,H,W,C]: each row's low half, then its high half. */
static __global__ void analyse_rows(filter f, size_t n, int W, int C, const float *x, float *rows)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t width = (size_t)W * (size_t)C, row = i / width;
    int column = (int)(i % width) / C, c = (int)(i % width) % C, half = W / 2, at = column % half;
    const float *from = x + row * width + (size_t)c;
    float sum = 0;
    for (int k = 0; k < f.count; k++)
        sum += (column < half ? f.low[k] : f.high[k]) * from[(size_t)met(&f, W, at, k) * (size_t)C];
    rows[i] = sum;
}

/* Transforms the columns of rows to low [N,H/2,W/2,C] and detail [N,H/2,W/2,3C]. */
static __global__ void analyse_columns(filter f, size_t n, int H, int W, int C, const float *rows, float *low,
                                       float *detail)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t half = (size_t)(W / 2) * (size_t)C, width = 2 * half, quarter = (size_t)(H / 2) * half;
    size_t picture = i / quarter;
    int y = (int)(i % quarter / half);
    const float *from = rows + picture * 4 * quarter + i % half;
    float ll = 0, hl = 0, lh = 0, hh = 0; /* first letter: along the row */
    for (int k = 0; k < f.count; k++) {
        size_t line = (size_t)met(&f, H, y, k) * width;
        ll += f.low[k] * from[line];
        lh += f.high[k] * from[line];
        hl += f.low[k] * from[line + half];
        hh += f.high[k] * from[line + half];
    }
    low[i] = 0.5f * ll;
    detail[3 * i] = hl;
    detail[3 * i + 1] = lh;
    detail[3 * i + 2] = hh;
}

/* The adjoint as a sum over the taps that reach an output, those of one parity. n pairs make an axis of 2 n. */
static __device__ __forceinline__ float synthesize(const filter *f, int pairs, int at, size_t stride, float low_scale,
                                                   const float *low, size_t low_stride, const float *high)
{
    float sum = 0;
    at += f->count / 2 - 1;
    for (int k = at % 2; k < f->count; k += 2) {
        int pair = ((at - k) / 2 % pairs + pairs) % pairs;
        sum += f->low[k] * low_scale * low[(size_t)pair * low_stride] + f->high[k] * high[(size_t)pair * stride];
    }
    return sum;
}

static __global__ void synthesize_columns(filter f, size_t n, int H, int W, int C, const float *low,
                                          const float *detail, float *rows)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t half = (size_t)(W / 2) * (size_t)C, width = 2 * half, picture = i / ((size_t)H * width);
    int y = (int)(i / width % (size_t)H);
    bool high_row = i % width >= half;
    size_t at = picture * (size_t)(H / 2) * half + i % half;
    const float *bands = detail + 3 * at;
    rows[i] = high_row ? synthesize(&f, H / 2, y, 3 * half, 1.0f, bands, 3 * half, bands + 2)
                       : synthesize(&f, H / 2, y, 3 * half, 2.0f, low + at, half, bands + 1);
}

static __global__ void synthesize_rows(filter f, size_t n, int W, int C, const float *rows, float *x)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t width = (size_t)W * (size_t)C, row = i / width;
    int column = (int)(i % width) / C, c = (int)(i % width) % C;
    const float *from = rows + row * width + (size_t)c;
    x[i] = synthesize(&f, W / 2, column, (size_t)C, 1.0f, from, (size_t)C, from + width / 2);
}

static void fill_filter(const double *taps, int count, double low_gain, double high_gain, filter *f)
{
    memset(f, 0, sizeof *f);
    f->count = count;
    for (int k = 0; k < count; k++) {
        f->low[k] = (float)(low_gain * taps[k]);
        f->high[k] = (float)(high_gain * (k % 2 ? -1 : 1) * taps[count - 1 - k]);
    }
}

static int filter_of(const double *taps, int count, int N, int H, int W, int C, filter *f)
{
    WF_CHECK(N > 0 && H > 0 && W > 0 && C > 0 && H % 2 == 0 && W % 2 == 0 && count > 0 && count % 2 == 0 &&
                 count <= TAPS,
             WF_INTERNAL, "wavelet: [%d,%d,%d,%d] with %d taps", N, H, W, C, count);
    fill_filter(taps, count, 1, 1, f);
    return WF_OK;
}

static int dwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *x, wf_real *low,
               wf_real *detail)
{
    wf_cuda *cuda = (wf_cuda *)b;
    filter f;
    size_t n = (size_t)N * (size_t)H * (size_t)W * (size_t)C;
    float *rows;
    WF_TRY(filter_of(taps, count, N, H, W, C, &f));
    if (count == 2) { /* Haar is the only orthonormal filter of two taps, up to its sign */
        WF_RUN(haar, wf_cuda_blocks(n / 4), (unsigned)WF_CUDA_THREADS, 0, n / 4, W, C, (const float *)x, (float *)low,
               (float *)detail);
        return WF_OK;
    }
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, n * sizeof *rows, &rows));
    WF_RUN(analyse_rows, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, f, n, W, C, (const float *)x, rows);
    WF_RUN(analyse_columns, wf_cuda_blocks(n / 4), (unsigned)WF_CUDA_THREADS, 0, f, n / 4, H, W, C, (const float *)rows,
           (float *)low, (float *)detail);
    return WF_OK;
}

static int idwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *low,
                const wf_real *detail, wf_real *x)
{
    wf_cuda *cuda = (wf_cuda *)b;
    filter f;
    size_t n = (size_t)N * (size_t)H * (size_t)W * (size_t)C;
    float *rows;
    WF_TRY(filter_of(taps, count, N, H, W, C, &f));
    if (count == 2) {
        WF_RUN(haar_back, wf_cuda_blocks(n / 4), (unsigned)WF_CUDA_THREADS, 0, n / 4, W, C, (const float *)low,
               (const float *)detail, (float *)x);
        return WF_OK;
    }
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, n * sizeof *rows, &rows));
    WF_RUN(synthesize_columns, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, f, n, H, W, C, (const float *)low,
           (const float *)detail, rows);
    WF_RUN(synthesize_rows, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, f, n, W, C, (const float *)rows,
           (float *)x);
    return WF_OK;
}

/* -- one axis of [outer,n,inner] ----------------------------------------------------------------------------------- */

static __global__ void analyse_axis(filter f, size_t count, int n, size_t inner, const float *x, float *low,
                                    float *high)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, half = (size_t)(n / 2) * inner;
    if (i >= count)
        return;
    const float *from = x + i / half * 2 * half + i % inner;
    int at = (int)(i % half / inner);
    float l = 0, h = 0;
    for (int k = 0; k < f.count; k++) {
        float value = from[(size_t)met(&f, n, at, k) * inner];
        l += f.low[k] * value;
        h += f.high[k] * value;
    }
    low[i] = l;
    high[i] = h;
}

static __global__ void synthesize_axis(filter f, size_t count, int n, size_t inner, const float *low, const float *high,
                                       float *x)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x, whole = (size_t)n * inner;
    if (i >= count)
        return;
    size_t from = i / whole * (whole / 2) + i % inner;
    x[i] = synthesize(&f, n / 2, (int)(i % whole / inner), inner, 1.0f, low + from, inner, high + from);
}

static int axis_of(const double *taps, int count, size_t outer, int n, size_t inner, double low_gain, double high_gain,
                   filter *f)
{
    WF_CHECK(outer > 0 && n > 0 && n % 2 == 0 && inner > 0 && count > 0 && count % 2 == 0 && count <= TAPS, WF_INTERNAL,
             "wavelet: an axis of %d with %d taps", n, count);
    fill_filter(taps, count, low_gain, high_gain, f);
    return WF_OK;
}

static int dwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                    double high_gain, const wf_real *x, wf_real *low, wf_real *high)
{
    wf_cuda *cuda = (wf_cuda *)b;
    filter f;
    size_t outputs = outer * (size_t)(n / 2) * inner;
    WF_TRY(axis_of(taps, count, outer, n, inner, low_gain, high_gain, &f));
    WF_RUN(analyse_axis, wf_cuda_blocks(outputs), (unsigned)WF_CUDA_THREADS, 0, f, outputs, n, inner, (const float *)x,
           (float *)low, (float *)high);
    return WF_OK;
}

static int idwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                     double high_gain, const wf_real *low, const wf_real *high, wf_real *x)
{
    wf_cuda *cuda = (wf_cuda *)b;
    filter f;
    size_t outputs = outer * (size_t)n * inner;
    WF_TRY(axis_of(taps, count, outer, n, inner, 1 / low_gain, 1 / high_gain, &f));
    WF_RUN(synthesize_axis, wf_cuda_blocks(outputs), (unsigned)WF_CUDA_THREADS, 0, f, outputs, n, inner,
           (const float *)low, (const float *)high, (float *)x);
    return WF_OK;
}

void wf_cuda_wavelet_slots(wf_backend *b)
{
    b->dwt_axis = dwt_axis;
    b->idwt_axis = idwt_axis;
    b->dwt = dwt;
    b->idwt = idwt;
}
