/* adamax.c - the optimizer and the moving average: nine streams through memory */
#include "cpu.h"

#include "../body/pointwise.h"

#include <string.h>

/* Reads all of g before the update, so that a bad gradient changes nothing. The update then finds g in cache. */
static bool all_finite(size_t n, const float *g)
{
    int bad = 0;
#pragma omp parallel for simd schedule(static) reduction(| : bad) if (n > WF_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++) {
        union {
            float f;
            uint32_t u;
        } v = {g[i]};
        bad |= !wf_finite_bits(v.u);
    }
    return !bad;
}

void wf_cpu_find_bad(size_t n, const float *g, double *bad)
{
    if (*bad == 0 && !all_finite(n, g))
        *bad = 1;
}

static int adamax(wf_backend *b, const wf_adamax *rule, size_t n, wf_real *w, wf_real *m, wf_real *u, wf_real *ema,
                  const wf_real *g, double *bad)
{
    (void)b;
    const float rate = (float)rule->rate, beta1 = (float)rule->beta1, keep1 = (float)(1 - rule->beta1);
    const float beta2 = (float)rule->beta2, eps = (float)rule->eps, keep_decay = (float)(1 - rule->decay);
    float *weight = (float *)w, *moment = (float *)m, *norm = (float *)u, *average = (float *)ema;
    const float *gradient = (const float *)g;
    wf_cpu_find_bad(n, gradient, bad);
    if (*bad != 0)
        return WF_OK;
#pragma omp parallel for simd schedule(static) if (n > WF_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++)
        wf_adamax_one(gradient[i], rate, beta1, keep1, beta2, eps, keep_decay, &weight[i], &moment[i], &norm[i],
                      &average[i]);
    return WF_OK;
}

static int guard(wf_backend *b, size_t n, const double *values, double *bad)
{
    (void)b;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            *bad = 1;
    return WF_OK;
}

void wf_cpu_adamax_slots(wf_backend *b)
{
    b->adamax = adamax;
    b->guard = guard;
}
