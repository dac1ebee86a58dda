/* wavelet_axis.c - one level of the periodic wavelet transform along one axis; wavelet.c has the formulas
 *
 * Computes one pair of low and high at a time. Each is a sum of `count` runs of `inner` contiguous floats. */
#include "cpu.h"

#include <string.h>

enum { MOST_TAPS = 64 };

typedef struct filter {
    int count;
    float low[MOST_TAPS], high[MOST_TAPS];
} filter;

static int filter_of(const double *taps, int count, int n, double low_gain, double high_gain, filter *f)
{
    WF_CHECK(n > 0 && n % 2 == 0 && count > 0 && count % 2 == 0 && count <= MOST_TAPS, WF_INTERNAL,
             "wavelet: an axis of %d with %d taps", n, count);
    f->count = count;
    for (int k = 0; k < count; k++) {
        f->low[k] = (float)(low_gain * taps[k]);
        f->high[k] = (float)(high_gain * (k % 2 ? -1 : 1) * taps[count - 1 - k]);
    }
    return WF_OK;
}

static void add(float factor, const float *from, size_t inner, float *to)
{
    for (size_t e = 0; e < inner; e++)
        to[e] += factor * from[e];
}

static int dwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                    double high_gain, const wf_real *x, wf_real *low, wf_real *high)
{
    filter f;
    WF_TRY(filter_of(taps, count, n, low_gain, high_gain, &f));
    size_t half = (size_t)n / 2, outputs = outer * half;
#pragma omp parallel for schedule(static) num_threads(b->threads) if (outputs * inner > WF_CPU_PARALLEL)
    for (size_t i = 0; i < outputs; i++) {
        const float *from = (const float *)x + i / half * (size_t)n * inner;
        float *l = (float *)low + i * inner, *h = (float *)high + i * inner;
        int at = (2 * (int)(i % half) - (count / 2 - 1)) % n;
        at += at < 0 ? n : 0;
        memset(l, 0, inner * sizeof *l);
        memset(h, 0, inner * sizeof *h);
        for (int k = 0; k < count; k++, at = at + 1 < n ? at + 1 : 0) {
            add(f.low[k], from + (size_t)at * inner, inner, l);
            add(f.high[k], from + (size_t)at * inner, inner, h);
        }
    }
    return WF_OK;
}

/* Place `at` of x is reached by the taps k of one parity, from the pairs (at + count/2 - 1 - k) / 2 modulo their
 * number. */
static int idwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                     double high_gain, const wf_real *low, const wf_real *high, wf_real *x)
{
    filter f;
    WF_TRY(filter_of(taps, count, n, 1 / low_gain, 1 / high_gain, &f));
    size_t outputs = outer * (size_t)n;
    int half = n / 2;
#pragma omp parallel for schedule(static) num_threads(b->threads) if (outputs * inner > WF_CPU_PARALLEL)
    for (size_t i = 0; i < outputs; i++) {
        size_t from = i / (size_t)n * (size_t)half * inner;
        float *to = (float *)x + i * inner;
        int at = (int)(i % (size_t)n) + count / 2 - 1, k = at % 2, pair = (at - k) / 2 % half;
        memset(to, 0, inner * sizeof *to);
        for (; k < count; k += 2, pair = pair ? pair - 1 : half - 1) {
            add(f.low[k], (const float *)low + from + (size_t)pair * inner, inner, to);
            add(f.high[k], (const float *)high + from + (size_t)pair * inner, inner, to);
        }
    }
    return WF_OK;
}

void wf_cpu_wavelet_axis_slots(wf_backend *b)
{
    b->dwt_axis = dwt_axis;
    b->idwt_axis = idwt_axis;
}
