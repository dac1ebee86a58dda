/* shrinkage.c - Ledoit-Wolf shrinkage of correlations, and Mahalanobis distances */
#include "shrinkage.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void wf_standardize(int64_t N, int D, double *x)
{
    for (int i = 0; i < D; i++) {
        double mean = 0, variance = 0, most = 0;
        for (int64_t n = 0; n < N; n++)
            mean += x[n * D + i] / (double)N;
        for (int64_t n = 0; n < N; n++) {
            double off = x[n * D + i] - mean;
            variance += off * off / (double)N;
            most = fmax(most, fabs(x[n * D + i]));
        }
        double deviation = sqrt(variance);
        bool varies = deviation > 1e-12 * most; /* else only the mean's rounding differs */
        for (int64_t n = 0; n < N; n++)
            x[n * D + i] = varies ? (x[n * D + i] - mean) / deviation : 0;
    }
}

double wf_shrunk_correlation(int64_t N, int D, const double *x, double *R)
{
    double fourth = 0, trace = 0, off = 0, all = 0;
    size_t d = (size_t)D;
    memset(R, 0, d * d * sizeof *R);
    for (int64_t n = 0; n < N; n++) {
        const double *row = x + n * D;
        double length = 0;
        for (size_t i = 0; i < d; i++) {
            length += row[i] * row[i];
            for (size_t j = 0; j <= i; j++)
                R[i * d + j] += row[i] * row[j] / (double)N;
        }
        fourth += length * length;
    }
    for (size_t i = 0; i < d; i++)
        trace += R[i * d + i];
    double mu = trace > 0 ? trace / D : 1;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j < d; j++) {
            double r = R[i > j ? i * d + j : j * d + i], target = i == j ? mu : 0;
            all += r * r;
            off += (r - target) * (r - target);
        }
    double b = fmax(0, fourth / (double)N - all) / (double)N;
    double rho = off > b ? fmax(b / off, WF_LEAST_SHRINKAGE) : 1;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            R[j * d + i] = R[i * d + j] = (1 - rho) * R[i * d + j] + (i == j ? rho * mu : 0);
    return rho;
}

/* Replaces the lower triangle of R [d,d] by its Cholesky factor. */
static int factor(size_t d, double *R)
{
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = R[i * d + j];
            for (size_t k = 0; k < j; k++)
                sum -= R[i * d + k] * R[j * d + k];
            WF_CHECK(i != j || sum > 0, WF_INTERNAL, "correlations of %zu statistics are not positive definite", d);
            R[i * d + j] = i == j ? sqrt(sum) : sum / R[j * d + j];
        }
    return WF_OK;
}

int wf_mahalanobis(int64_t N, int D, double *x, double *R, double *out)
{
    size_t d = (size_t)D;
    WF_TRY(factor(d, R));
    for (int64_t n = 0; n < N; n++) {
        double *y = x + n * D, sum = 0;
        for (size_t i = 0; i < d; i++) {
            for (size_t k = 0; k < i; k++)
                y[i] -= R[i * d + k] * y[k];
            y[i] /= R[i * d + i];
            sum += y[i] * y[i];
        }
        out[n] = sum;
    }
    return WF_OK;
}
