/* actnorm_init.c - offsets and scales of actnorms from the moments of their input */
#include "actnorm_init.h"

#include <math.h>
#include <stdlib.h>

#include "../base/count.h"

/* Replaces K means and K variances by K offsets and K scales. WF_INTERNAL where they are not finite. */
static int offsets_and_scales(int K, double *host)
{
    for (int k = 0; k < K; k++) {
        double mean = host[k], variance = host[K + k];
        WF_CHECK(isfinite(mean) && isfinite(variance), WF_INTERNAL,
                 "actnorm: channel %d of the first batch is not finite", k);
        host[k] = -mean;
        host[K + k] = -0.5 * log(variance < 1e-12 ? 1e-12 : variance) / 3;
    }
    return WF_OK;
}

int wf_actnorm_init(const wf_stage_shape *shape, int K, const wf_real *x, wf_real *offset, wf_real *logs)
{
    wf_backend *backend = shape->backend;
    int status = WF_OK;
    size_t k = (size_t)K, n = wf_count3(shape->N, shape->H, shape->W);
    double *moments = NULL, *host = malloc(2 * k * sizeof *host);
    WF_CHECK(host, WF_AGAIN, "actnorm: out of memory for %d channels", K);
    WF_GO(wf_alloc_doubles(backend, 2 * k, &moments));
    WF_GO(backend->moments(backend, n, K, x, moments));
    WF_GO(backend->download_double(backend, host, moments, 2 * k));
    if (shape->pool)
        WF_GO(shape->pool(shape->pool_user, &n, K, host));
    WF_GO(offsets_and_scales(K, host));
    WF_GO(backend->upload(backend, offset, host, WF_F64, k));
    WF_GO(backend->upload(backend, logs, host + k, WF_F64, k));
out:
    backend->free(backend, moments);
    free(host);
    return status;
}
