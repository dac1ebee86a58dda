/* actnorm_init.c - means and variances of channels, on the host: a training computes them once */
#include "actnorm_init.h"

#include <math.h>
#include <stdlib.h>

static void offsets_and_scales(size_t n, int K, const double *x, double *b, double *l)
{
    for (int k = 0; k < K; k++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++)
            mean += x[i * (size_t)K + (size_t)k];
        mean /= (double)n;
        for (size_t i = 0; i < n; i++) {
            double d = x[i * (size_t)K + (size_t)k] - mean;
            variance += d * d;
        }
        variance /= (double)n;
        b[k] = -mean;
        l[k] = -0.5 * log(variance < 1e-12 ? 1e-12 : variance) / 3;
        if (!isfinite(variance))
            b[k] = NAN;
    }
}

int wf_actnorm_init(wf_backend *backend, size_t n, int K, const wf_real *x, wf_real *offset, wf_real *logs)
{
    int status = WF_OK;
    size_t k = (size_t)K;
    double *host = malloc((n + 2) * k * sizeof *host);
    WF_CHECK(host, WF_AGAIN, "actnorm: out of memory for %zu values", n * k);
    double *b = host + n * k, *l = b + k;
    WF_GO(backend->download(backend, host, WF_F64, x, n * k));
    offsets_and_scales(n, K, host, b, l);
    for (int i = 0; i < K && !status; i++)
        if (!isfinite(b[i]))
            status = wf_fail(WF_INTERNAL, "actnorm: channel %d of the first batch is not finite", i);
    if (status)
        goto out;
    WF_GO(backend->upload(backend, offset, b, WF_F64, k));
    WF_GO(backend->upload(backend, logs, l, WF_F64, k));
out:
    free(host);
    return status;
}
