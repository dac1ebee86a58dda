/* moments.c - mean and variance of channels, in one pass through memory each */
#include "cpu.h"

#include <string.h>

/* SHARES: parts of the rows, which the number of rows alone decides. A sum over parts has one order. */
enum { SHARES = 64 };

/* partial [K] += x, or (x - mean)^2, over rows [begin, end). */
static void add_rows(size_t begin, size_t end, size_t K, const float *x, const double *mean, double *partial)
{
    for (size_t i = begin; i < end; i++) {
        const float *row = x + i * K;
        if (!mean)
            for (size_t k = 0; k < K; k++)
                partial[k] += (double)row[k];
        else
            for (size_t k = 0; k < K; k++)
                partial[k] += ((double)row[k] - mean[k]) * ((double)row[k] - mean[k]);
    }
}

/* out [K] = the mean over n rows of x, or of (x - mean)^2. work: [SHARES,K]. */
static void average(size_t n, size_t K, const float *x, const double *mean, double *work, double *out)
{
    memset(work, 0, SHARES * K * sizeof *work);
#pragma omp parallel for schedule(static) if (n * K > WF_CPU_PARALLEL)
    for (size_t s = 0; s < SHARES; s++)
        add_rows(n * s / SHARES, n * (s + 1) / SHARES, K, x, mean, work + s * K);
    for (size_t k = 0; k < K; k++)
        out[k] = 0;
    for (size_t s = 0; s < SHARES; s++)
        for (size_t k = 0; k < K; k++)
            out[k] += work[s * K + k];
    for (size_t k = 0; k < K; k++)
        out[k] /= (double)n;
}

static int moments(wf_backend *b, size_t n, int K, const wf_real *x, double *out)
{
    void *work;
    size_t channels = (size_t)K;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, SHARES * channels * sizeof(double), &work));
    average(n, channels, (const float *)x, NULL, work, out);
    average(n, channels, (const float *)x, out, work, out + channels);
    return WF_OK;
}

void wf_cpu_moments_slots(wf_backend *b)
{
    b->moments = moments;
}
