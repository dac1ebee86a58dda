/* ref_wavelet.c - one level of a separable, periodic, orthogonal wavelet transform
 *
 * low[i] = sum_k h[k] x[2i+k-o], high[i] = sum_k g[k] x[2i+k-o], g[k] = (-1)^k h[count-1-k], o = count/2-1, places
 * modulo n (Mallat 1989). Two dimensions transform along both axes. The transform is orthogonal: its inverse is its
 * transpose. */
#include <string.h>

#include "ref.h"

/* Returns tap k of the filter `band` (0 low, 1 high). */
static double filter(const double *taps, int count, int band, int k)
{
    if (band == 0)
        return taps[k];
    return k % 2 == 0 ? taps[count - 1 - k] : -taps[count - 1 - k];
}

/* Returns the place among n numbers that tap k of output i reads. */
static int met(int n, int count, int i, int k)
{
    int at = (2 * i + k - (count / 2 - 1)) % n;
    return at < 0 ? at + n : at;
}

/* An output of the transform: place (i,j), channel c of picture n, high along H if row is 1, along W if column is 1. */
typedef struct coefficient {
    int n, i, j, c, row, column;
} coefficient;

static size_t coefficient_count(int N, int H, int W, int C)
{
    return wf_ref_at(H, W, C, N, 0, 0, 0);
}

static coefficient coefficient_of(int H, int W, int C, size_t at)
{
    size_t c = at / 4 % (size_t)C, pixel = at / 4 / (size_t)C, w = (size_t)W / 2, h = (size_t)H / 2;
    return (coefficient){(int)(pixel / w / h), (int)(pixel / w % h), (int)(pixel % w), (int)c,
                         (int)(at % 4 / 2),    (int)(at % 2)};
}

static bool is_low(coefficient e)
{
    return e.row == 0 && e.column == 0;
}

/* Returns the offset of a coefficient: in `low` [N,H/2,W/2,C] if it is low, else in `detail` [N,H/2,W/2,3C], channel
 * 3*c + horizontal 0 (high along W), vertical 1 (high along H), diagonal 2. */
static size_t offset_of(int H, int W, int C, coefficient e)
{
    if (is_low(e))
        return wf_ref_at(H / 2, W / 2, C, e.n, e.i, e.j, e.c);
    int band = e.row == 0 ? 0 : e.column == 0 ? 1 : 2;
    return wf_ref_at(H / 2, W / 2, 3 * C, e.n, e.i, e.j, 3 * e.c + band);
}

/* Returns the factor of a coefficient: the average is half the orthonormal low-pass. */
static double gain(coefficient e)
{
    return is_low(e) ? 0.5 : 1;
}

void wf_ref_split(const double *taps, int count, int N, int H, int W, int C, const double *x, double *low,
                  double *detail)
{
    for (size_t at = 0; at < coefficient_count(N, H, W, C); at++) {
        coefficient e = coefficient_of(H, W, C, at);
        double sum = 0;
        for (int u = 0; u < count; u++)
            for (int v = 0; v < count; v++)
                sum += filter(taps, count, e.row, u) * filter(taps, count, e.column, v) *
                       x[wf_ref_at(H, W, C, e.n, met(H, count, e.i, u), met(W, count, e.j, v), e.c)];
        double *to = is_low(e) ? low : detail;
        to[offset_of(H, W, C, e)] = gain(e) * sum;
    }
}

void wf_ref_merge(const double *taps, int count, int N, int H, int W, int C, const double *low, const double *detail,
                  double *x)
{
    memset(x, 0, wf_ref_at(H, W, C, N, 0, 0, 0) * sizeof *x);
    for (size_t at = 0; at < coefficient_count(N, H, W, C); at++) {
        coefficient e = coefficient_of(H, W, C, at);
        const double *from = is_low(e) ? low : detail;
        double value = from[offset_of(H, W, C, e)] / gain(e);
        for (int u = 0; u < count; u++)
            for (int v = 0; v < count; v++)
                x[wf_ref_at(H, W, C, e.n, met(H, count, e.i, u), met(W, count, e.j, v), e.c)] +=
                    filter(taps, count, e.row, u) * filter(taps, count, e.column, v) * value;
    }
}

int wf_ref_dwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *x, wf_real *low,
               wf_real *detail)
{
    (void)b;
    WF_CHECK(H % 2 == 0 && W % 2 == 0, WF_INTERNAL, "dwt: picture of %d x %d, expected even sides", H, W);
    wf_ref_split(taps, count, N, H, W, C, (const double *)x, (double *)low, (double *)detail);
    return WF_OK;
}

int wf_ref_idwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *low,
                const wf_real *detail, wf_real *x)
{
    (void)b;
    WF_CHECK(H % 2 == 0 && W % 2 == 0, WF_INTERNAL, "idwt: picture of %d x %d, expected even sides", H, W);
    wf_ref_merge(taps, count, N, H, W, C, (const double *)low, (const double *)detail, (double *)x);
    return WF_OK;
}

/* -- one axis ------------------------------------------------------------------------------------------------------ */

/* Returns output i of the filter `band` along a line of n numbers, `inner` apart. */
static double filtered(const double *taps, int count, int band, int n, size_t inner, const double *line, int i)
{
    double sum = 0;
    for (int k = 0; k < count; k++)
        sum += filter(taps, count, band, k) * line[(size_t)met(n, count, i, k) * inner];
    return sum;
}

int wf_ref_dwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                    double high_gain, const wf_real *x, wf_real *low, wf_real *high)
{
    (void)b;
    WF_CHECK(n % 2 == 0, WF_INTERNAL, "dwt: an axis of %d, expected an even one", n);
    size_t half = (size_t)n / 2;
    for (size_t o = 0; o < outer; o++)
        for (int i = 0; i < n / 2; i++)
            for (size_t e = 0; e < inner; e++) {
                const double *line = (const double *)x + o * (size_t)n * inner + e;
                size_t at = (o * half + (size_t)i) * inner + e;
                ((double *)low)[at] = low_gain * filtered(taps, count, 0, n, inner, line, i);
                ((double *)high)[at] = high_gain * filtered(taps, count, 1, n, inner, line, i);
            }
    return WF_OK;
}

int wf_ref_idwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                     double high_gain, const wf_real *low, const wf_real *high, wf_real *x)
{
    (void)b;
    WF_CHECK(n % 2 == 0, WF_INTERNAL, "idwt: an axis of %d, expected an even one", n);
    memset(x, 0, outer * (size_t)n * inner * sizeof(double));
    for (size_t o = 0; o < outer; o++)
        for (int i = 0; i < n / 2; i++)
            for (size_t e = 0; e < inner; e++) {
                size_t at = (o * (size_t)n / 2 + (size_t)i) * inner + e;
                for (int k = 0; k < count; k++)
                    ((double *)x)[(o * (size_t)n + (size_t)met(n, count, i, k)) * inner + e] +=
                        filter(taps, count, 0, k) * ((const double *)low)[at] / low_gain +
                        filter(taps, count, 1, k) * ((const double *)high)[at] / high_gain;
            }
    return WF_OK;
}
