/* latent_fit.c - moments of latents */
#include "latent_fit.h"

#include <math.h>
#include <stddef.h>

#include "../base/count.h"

/* Correlation of n values with those `step` later; rows of `row` values, of which the last `step` have no partner. */
static double correlation(const float *z, size_t rows, size_t row, size_t step, double mean, double variance)
{
    double sum = 0;
    if (!rows || row <= step || !(variance > 0))
        return NAN;
    for (size_t y = 0; y < rows; y++)
        for (size_t i = 0; i < row - step; i++)
            sum += ((double)z[y * row + i] - mean) * ((double)z[y * row + i + step] - mean);
    return sum / (variance * (double)rows * (double)(row - step));
}

wf_latent_fit wf_latent_fit_of(const float *z, int H, int W, int K)
{
    size_t n = wf_count3(H, W, K), row = (size_t)W * (size_t)K;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)z[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += ((double)z[i] - mean) * ((double)z[i] - mean) / (double)n;
    return (wf_latent_fit){mean, variance, correlation(z, (size_t)H, row, (size_t)K, mean, variance),
                           correlation(z, 1, n, row, mean, variance)};
}

void wf_latent_squares(const float *z, int H, int W, int K, double *out)
{
    size_t n = wf_count3(H, W, K);
    for (int k = 0; k < K; k++)
        out[k] = 0;
    for (size_t i = 0; i < n; i++)
        out[i % (size_t)K] += (double)z[i] * (double)z[i] * K / (double)n;
}
