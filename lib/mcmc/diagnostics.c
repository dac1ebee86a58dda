/* diagnostics.c - split R-hat, effective sample sizes, E-BFMI */
#include "diagnostics.h"

#include <math.h>
#include <stdlib.h>

/* m chains of n draws each, after splitting. */
typedef struct halves {
    size_t m, n;
    double *x; /* [m,n] */
} halves;

static double mean_of(size_t n, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

/* Sum of squared deviations from the mean. */
static double square_of(size_t n, const double *x)
{
    double mean = mean_of(n, x), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

/* Variance of the chains' means and (out) mean of their variances. */
static double between_chains(halves h, double *within)
{
    double mean = 0, square = 0;
    *within = 0;
    for (size_t j = 0; j < h.m; j++) {
        double chain = mean_of(h.n, h.x + j * h.n), off = chain - mean;
        mean += off / (double)(j + 1);
        square += off * (chain - mean);
        *within += square_of(h.n, h.x + j * h.n) / (double)(h.n - 1) / (double)h.m;
    }
    return square / (double)(h.m - 1);
}

/* Equations 1 to 4 of the paper. */
static double rhat_of(halves h)
{
    double within, apart = between_chains(h, &within), n = (double)h.n;
    return sqrt((within * (n - 1) / n + apart) / within);
}

/* Autocorrelation at a lag over all chains, equation 10. */
static double correlation(halves h, size_t lag, double within, double total)
{
    double sum = 0;
    for (size_t j = 0; j < h.m; j++) {
        const double *x = h.x + j * h.n;
        double mean = mean_of(h.n, x);
        for (size_t i = lag; i < h.n; i++)
            sum += (x[i] - mean) * (x[i - lag] - mean);
    }
    return 1 - (within - sum / (double)(h.n * h.m)) / total;
}

/* Effective sample size, equations 10 to 14: autocorrelations are added in pairs while these are positive, and made to
 * fall (Geyer's initial monotone sequence); the term in the middle of the last pair lowers the variance for chains that
 * alternate. NAN for chains that never moved. */
static double ess_of(halves h)
{
    double within, apart = between_chains(h, &within), n = (double)h.n, total = within * (n - 1) / n + apart;
    if (!(within > 0) || !isfinite(total))
        return NAN;
    double even = 1, odd = correlation(h, 1, within, total), last = even + odd, sum = 0, tail = even;
    for (size_t lag = 2; lag + 3 < h.n && even + odd > 0; lag += 2) {
        sum += last;
        even = correlation(h, lag, within, total);
        odd = correlation(h, lag + 1, within, total);
        tail = fmax(even, 0);
        last = fmin(last, even + odd);
    }
    double size = n * (double)h.m, time = fmax(2 * sum - 1 + tail, 1 / log10(size));
    return size / time;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile of sorted x [n] by linear interpolation (R's type 7). */
static double quantile(size_t n, const double *sorted, double share)
{
    double at = share * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

/* Inverse of the normal distribution function: Newton steps on erfc, which from 0 converge for every p in (0,1) once the
 * lower half is solved in its logarithm, where the function is concave. */
static double normal_quantile(double p)
{
    double low = fmin(p, 1 - p), z = 0;
    for (int i = 0; i < 60; i++) {
        double tail = 0.5 * erfc(-z * M_SQRT1_2), density = exp(-z * z / 2) * (M_SQRT1_2 * 0.5 * M_2_SQRTPI);
        double step = log(tail / low) * tail / density;
        z -= step;
        if (fabs(step) < 1e-13)
            break;
    }
    return p < 0.5 ? z : -z;
}

/* Place of the first of sorted x [n] that is not below (or, with `above`, that is above) value. */
static size_t place_of(size_t n, const double *sorted, double value, int above)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < value || (above && sorted[middle] == value))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Replaces every draw by the normal quantile of its rank, ties by that of their mean rank. sorted [m,n]: scratch. */
static void rank_normalize(halves h, double *sorted)
{
    size_t n = h.m * h.n;
    for (size_t i = 0; i < n; i++)
        sorted[i] = h.x[i];
    qsort(sorted, n, sizeof *sorted, ascending);
    for (size_t i = 0; i < n; i++) {
        double rank = 0.5 * (double)(place_of(n, sorted, h.x[i], 0) + 1 + place_of(n, sorted, h.x[i], 1));
        h.x[i] = normal_quantile((rank - 0.375) / ((double)n + 0.25));
    }
}

/* The second half of each chain follows its first. */
static void split_chains(int chains, size_t draws, const double *x, halves h)
{
    for (size_t j = 0; j < (size_t)chains; j++)
        for (size_t i = 0; i < h.n; i++) {
            h.x[2 * j * h.n + i] = x[j * draws + i];
            h.x[(2 * j + 1) * h.n + i] = x[(j + 1) * draws - h.n + i];
        }
}

static double ess_below(int chains, size_t draws, const double *x, halves h, double limit)
{
    split_chains(chains, draws, x, h);
    for (size_t i = 0; i < h.m * h.n; i++)
        h.x[i] = h.x[i] <= limit;
    return ess_of(h);
}

static void diagnose_draws(int chains, size_t draws, const double *x, halves h, double *sorted, wf_diagnosis *out)
{
    size_t all = (size_t)chains * draws, n = h.m * h.n;
    for (size_t i = 0; i < all; i++)
        sorted[i] = x[i];
    qsort(sorted, all, sizeof *sorted, ascending);
    double low = quantile(all, sorted, 0.05), high = quantile(all, sorted, 0.95);
    split_chains(chains, draws, x, h);
    for (size_t i = 0; i < n; i++)
        sorted[i] = h.x[i];
    qsort(sorted, n, sizeof *sorted, ascending);
    double median = quantile(n, sorted, 0.5);

    out->ess_tail = fmin(ess_below(chains, draws, x, h, low), ess_below(chains, draws, x, h, high));
    split_chains(chains, draws, x, h);
    out->ess_mean = ess_of(h);
    out->mcse = out->deviation / sqrt(out->ess_mean);
    rank_normalize(h, sorted);
    out->ess_bulk = ess_of(h);
    out->rhat = rhat_of(h);
    split_chains(chains, draws, x, h);
    for (size_t i = 0; i < n; i++)
        h.x[i] = fabs(h.x[i] - median);
    rank_normalize(h, sorted);
    out->rhat = fmax(out->rhat, rhat_of(h));
}

int wf_diagnose(int chains, size_t draws, const double *x, wf_diagnosis *out)
{
    WF_CHECK(chains > 0 && draws >= 8, WF_USAGE, "diagnostics: %d chains of %zu draws, want at least 8", chains, draws);
    size_t all = (size_t)chains * draws;
    *out = (wf_diagnosis){.mean = mean_of(all, x), .deviation = sqrt(square_of(all, x) / (double)(all - 1))};
    out->rhat = out->ess_bulk = out->ess_tail = out->ess_mean = out->mcse = NAN;
    if (!(out->deviation > 0) || !isfinite(out->deviation))
        return WF_OK;
    halves h = {2 * (size_t)chains, draws / 2, malloc(all * sizeof *h.x)};
    double *sorted = malloc(all * sizeof *sorted);
    int status = WF_OK;
    if (h.x && sorted)
        diagnose_draws(chains, draws, x, h, sorted, out);
    else
        status = wf_fail(WF_AGAIN, "diagnostics: no memory for %zu draws", all);
    free(h.x);
    free(sorted);
    return status;
}

double wf_ebfmi(int chains, size_t draws, const double *energy)
{
    double least = INFINITY;
    for (int j = 0; j < chains; j++) {
        const double *e = energy + (size_t)j * draws;
        double steps = 0;
        for (size_t i = 1; i < draws; i++)
            steps += (e[i] - e[i - 1]) * (e[i] - e[i - 1]);
        double ratio = steps / square_of(draws, e);
        if (isnan(ratio))
            return NAN;
        least = fmin(least, ratio);
    }
    return least;
}
