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

static bool is_low(int row, int column)
{
    return row == 0 && column == 0;
}

/* Returns the offset of output (i,j) of band (row, column) of picture n, channel c: in `low` [N,H/2,W/2,C] for band
 * (0,0), else in `detail` [N,H/2,W/2,3C], channel 3*c + horizontal 0 (high along W), vertical 1 (high along H),
 * diagonal 2. */
static size_t place_of_band(int H, int W, int C, int n, int i, int j, int c, int row, int column)
{
    if (is_low(row, column))
        return wf_ref_at(H / 2, W / 2, C, n, i, j, c);
    int band = row == 0 ? 0 : column == 0 ? 1 : 2;
    return wf_ref_at(H / 2, W / 2, 3 * C, n, i, j, 3 * c + band);
}

/* Returns the factor of a band: the average is half the orthonormal low-pass. */
static double gain(int row, int column)
{
    return is_low(row, column) ? 0.5 : 1;
}

void wf_ref_split(const double *taps, int count, int N, int H, int W, int C, const double *x, double *low,
                  double *detail)
{
    for (int n = 0; n < N; n++)
        for (int i = 0; i < H / 2; i++)
            for (int j = 0; j < W / 2; j++)
                for (int c = 0; c < C; c++)
                    for (int band = 0; band < 4; band++) {
                        int row = band / 2, column = band % 2;
                        double sum = 0;
                        for (int u = 0; u < count; u++)
                            for (int v = 0; v < count; v++)
                                sum += filter(taps, count, row, u) * filter(taps, count, column, v) *
                                       x[wf_ref_at(H, W, C, n, met(H, count, i, u), met(W, count, j, v), c)];
                        double *to = is_low(row, column) ? low : detail;
                        to[place_of_band(H, W, C, n, i, j, c, row, column)] = gain(row, column) * sum;
                    }
}

void wf_ref_merge(const double *taps, int count, int N, int H, int W, int C, const double *low, const double *detail,
                  double *x)
{
    memset(x, 0, wf_ref_at(H, W, C, N, 0, 0, 0) * sizeof *x);
    for (int n = 0; n < N; n++)
        for (int i = 0; i < H / 2; i++)
            for (int j = 0; j < W / 2; j++)
                for (int c = 0; c < C; c++)
                    for (int band = 0; band < 4; band++) {
                        int row = band / 2, column = band % 2;
                        const double *from = is_low(row, column) ? low : detail;
                        double value = from[place_of_band(H, W, C, n, i, j, c, row, column)] / gain(row, column);
                        for (int u = 0; u < count; u++)
                            for (int v = 0; v < count; v++)
                                x[wf_ref_at(H, W, C, n, met(H, count, i, u), met(W, count, j, v), c)] +=
                                    filter(taps, count, row, u) * filter(taps, count, column, v) * value;
                    }
}

int wf_ref_dwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *x, wf_real *low,
               wf_real *detail)
{
    (void)b;
    WF_CHECK(H % 2 == 0 && W % 2 == 0, WF_INTERNAL, "dwt: picture of %d x %d, want even sides", H, W);
    wf_ref_split(taps, count, N, H, W, C, (const double *)x, (double *)low, (double *)detail);
    return WF_OK;
}

int wf_ref_idwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *low,
                const wf_real *detail, wf_real *x)
{
    (void)b;
    WF_CHECK(H % 2 == 0 && W % 2 == 0, WF_INTERNAL, "idwt: picture of %d x %d, want even sides", H, W);
    wf_ref_merge(taps, count, N, H, W, C, (const double *)low, (const double *)detail, (double *)x);
    return WF_OK;
}

/* -- one axis --------------------------------------------------------------------------------------------------------- */

int wf_ref_dwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                    double high_gain, const wf_real *x, wf_real *low, wf_real *high)
{
    (void)b;
    WF_CHECK(n % 2 == 0, WF_INTERNAL, "dwt: an axis of %d, want an even one", n);
    size_t half = (size_t)n / 2;
    for (size_t o = 0; o < outer; o++)
        for (int i = 0; i < n / 2; i++)
            for (size_t e = 0; e < inner; e++) {
                double sums[2] = {0, 0};
                for (int band = 0; band < 2; band++)
                    for (int k = 0; k < count; k++)
                        sums[band] += filter(taps, count, band, k) *
                                      ((const double *)x)[(o * (size_t)n + (size_t)met(n, count, i, k)) * inner + e];
                ((double *)low)[(o * half + (size_t)i) * inner + e] = low_gain * sums[0];
                ((double *)high)[(o * half + (size_t)i) * inner + e] = high_gain * sums[1];
            }
    return WF_OK;
}

int wf_ref_idwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                     double high_gain, const wf_real *low, const wf_real *high, wf_real *x)
{
    (void)b;
    WF_CHECK(n % 2 == 0, WF_INTERNAL, "idwt: an axis of %d, want an even one", n);
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
