/* principal.c - principal components of a batch: covariances on the host, eigenvectors by cyclic Jacobi rotations
 * (Golub and Van Loan, Matrix Computations, 4th edition, section 8.5) */
#include "principal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"

/* -- eigenvectors -------------------------------------------------------------------------------------------------- */

/* Replaces rows p and q of a [K,K] by their rotation with cosine c and sine s. */
static void rotate_rows(int K, double *a, int p, int q, double c, double s)
{
    for (int i = 0; i < K; i++) {
        double x = a[p * K + i], y = a[q * K + i];
        a[p * K + i] = c * x - s * y;
        a[q * K + i] = s * x + c * y;
    }
}

static void rotate_columns(int K, double *a, int p, int q, double c, double s)
{
    for (int i = 0; i < K; i++) {
        double x = a[i * K + p], y = a[i * K + q];
        a[i * K + p] = c * x - s * y;
        a[i * K + q] = s * x + c * y;
    }
}

/* Makes elements (p, q) and (q, p) zero, by the smaller of the two angles. */
static void annihilate(int K, double *a, double *vectors, int p, int q)
{
    double off = a[p * K + q];
    if (off == 0)
        return;
    double ratio = (a[q * K + q] - a[p * K + p]) / (2 * off);
    double t = (ratio < 0 ? -1 : 1) / (fabs(ratio) + sqrt(1 + ratio * ratio));
    double c = 1 / sqrt(1 + t * t), s = t * c;
    rotate_columns(K, a, p, q, c, s);
    rotate_rows(K, a, p, q, c, s);
    rotate_rows(K, vectors, p, q, c, s);
    a[p * K + q] = a[q * K + p] = 0;
}

/* True once the elements off the diagonal are rounding errors beside those on it. */
static bool is_diagonal(int K, const double *a)
{
    double off = 0, all = 0;
    for (int i = 0; i < K * K; i++) {
        all += a[i] * a[i];
        off += i % (K + 1) ? a[i] * a[i] : 0;
    }
    return off <= 1e-30 * all;
}

/* Copies a row of K, with the sign that makes its largest element positive. */
static void copy_with_sign(int K, const double *from, double *to)
{
    int largest = 0;
    for (int k = 1; k < K; k++)
        if (fabs(from[k]) > fabs(from[largest]))
            largest = k;
    for (int k = 0; k < K; k++)
        to[k] = from[largest] < 0 ? -from[k] : from[k];
}

int wf_symmetric_eigenvectors(int K, double *matrix, double *w)
{
    enum { SWEEPS = 60 }; /* convergence is quadratic: a dozen are enough */
    size_t k = (size_t)K;
    double *vectors = calloc(k * k, sizeof *vectors);
    bool *taken = calloc(k, sizeof *taken);
    bool enough = vectors && taken;
    for (int i = 0; enough && i < K; i++)
        vectors[i * (K + 1)] = 1;
    for (int sweep = 0; enough && sweep < SWEEPS && !is_diagonal(K, matrix); sweep++)
        for (int p = 0; p < K; p++)
            for (int q = p + 1; q < K; q++)
                annihilate(K, matrix, vectors, p, q);
    for (int row = 0; enough && row < K; row++) {
        int best = -1;
        for (int i = 0; i < K; i++)
            if (!taken[i] && (best < 0 || matrix[i * (K + 1)] > matrix[best * (K + 1)]))
                best = i;
        taken[best] = true;
        copy_with_sign(K, vectors + best * K, w + row * K);
    }
    free(vectors);
    free(taken);
    WF_CHECK(enough, WF_AGAIN, "out of memory for eigenvectors of %d channels", K);
    return WF_OK;
}

/* -- covariances --------------------------------------------------------------------------------------------------- */

/* Products of two channels, in one triangle. */
static size_t products(int K)
{
    return (size_t)K * (size_t)(K + 1) / 2;
}

/* Adds n pixels to the sums of K channels and of their products: sums [K + products(K)]. */
static void add_pixels(size_t n, int K, const double *x, double *sums)
{
    for (size_t i = 0; i < n; i++, x += K) {
        double *sum = sums + K;
        for (int a = 0; a < K; a++) {
            sums[a] += x[a];
            for (int b = 0; b <= a; b++)
                *sum++ += x[a] * x[b];
        }
    }
}

/* Means of K channels and of their products over the n pixels of x, device [n,K]: means [K + products(K)], 0 before. */
static int take_means(wf_backend *backend, size_t n, int K, const wf_real *x, double *means)
{
    enum { CHUNK = 4096 }; /* pixels on the host at once */
    size_t k = (size_t)K, chunk = n < CHUNK ? n : CHUNK;
    int status = WF_OK;
    double *host = malloc(chunk * k * sizeof *host);
    WF_CHECK(host, WF_AGAIN, "conv1x1: out of memory for %zu pixels of %d channels", chunk, K);
    for (size_t at = 0; at < n; at += chunk) {
        size_t count = n - at < chunk ? n - at : chunk;
        WF_GO(backend->download(backend, host, WF_F64, wf_at(backend, x, at * k), count * k));
        add_pixels(count, K, host, means);
    }
    for (size_t i = 0; i < k + products(K); i++)
        means[i] /= (double)n;
out:
    free(host);
    return status;
}

/* Fills covariance [K,K] from these means. WF_INTERNAL where it is not finite. */
static int fill_covariance(int K, const double *means, double *covariance)
{
    const double *product = means + K;
    for (int a = 0; a < K; a++)
        for (int b = 0; b <= a; b++) {
            double value = *product++ - means[a] * means[b];
            WF_CHECK(isfinite(value), WF_INTERNAL, "conv1x1: channel %d of the first batch is not finite", a);
            covariance[a * K + b] = covariance[b * K + a] = value;
        }
    return WF_OK;
}

/* Rounds to 30 bits of the largest variance. Eigenvectors of close eigenvalues magnify rounding errors; so sums in
 * another order, on another number of ranks, lead to the same bits. */
static void round_covariance(int K, double *covariance)
{
    double largest = 0;
    for (int k = 0; k < K; k++)
        largest = fmax(largest, covariance[k * (K + 1)]);
    double unit = largest > 0 ? ldexp(1, ilogb(largest) - 30) : 1;
    for (int i = 0; i < K * K; i++)
        covariance[i] = unit * rint(covariance[i] / unit);
}

int wf_principal_components(const wf_stage_shape *shape, int K, const wf_real *x, double *w, bool *found)
{
    size_t n = wf_count3(shape->N, shape->H, shape->W), k = (size_t)K, count = k + products(K);
    double *covariance = malloc(k * k * sizeof *covariance);
    double *means = calloc(2 * count, sizeof *means); /* and their variances, of which pool makes nothing */
    int status = WF_OK;
    if (!covariance || !means)
        WF_GO(wf_fail(WF_AGAIN, "conv1x1: out of memory for covariances of %d channels", K));
    WF_GO(take_means(shape->backend, n, K, x, means));
    if (shape->pool)
        WF_GO(shape->pool(shape->pool_user, &n, (int)count, means));
    WF_GO(fill_covariance(K, means, covariance));
    *found = n >= 2 * k;
    if (*found) {
        round_covariance(K, covariance);
        WF_GO(wf_symmetric_eigenvectors(K, covariance, w));
    }
out:
    free(covariance);
    free(means);
    return status;
}
