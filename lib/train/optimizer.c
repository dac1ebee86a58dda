/* optimizer.c - Adamax as a gradient sink
 *
 * Each group of parameters is updated as soon as its gradient is complete, so gradients take the memory of the
 * largest group. */
#include <math.h>

#include "optimizer.h"

int wf_optimizer_create(wf_backend *backend, size_t size, double ema, wf_optimizer *out)
{
    *out = (wf_optimizer){.backend = backend, .size = size};
    out->rule = (wf_adamax){.beta1 = 0.9, .beta2 = 1 - 1 / 782.0, .eps = 1e-8};
    out->decay = ema;
    wf_real **parts[4] = {&out->w, &out->m, &out->u, &out->ema};
    for (int i = 0; i < 4; i++) {
        WF_TRY(wf_alloc_reals(backend, size, parts[i]));
        WF_TRY(backend->zero(backend, *parts[i], size * backend->real));
    }
    WF_TRY(wf_alloc_doubles(backend, 1, &out->bad));
    return wf_optimizer_reset(out);
}

void wf_optimizer_clear(wf_optimizer *o)
{
    if (!o->backend)
        return;
    o->backend->free(o->backend, o->w);
    o->backend->free(o->backend, o->m);
    o->backend->free(o->backend, o->u);
    o->backend->free(o->backend, o->ema);
    o->backend->free(o->backend, o->bad);
    *o = (wf_optimizer){0};
}

void wf_optimizer_begin(wf_optimizer *o, int64_t step, double lr)
{
    double t = (double)step + 1;
    o->rule.decay = fmin(o->decay, t / (t + 9));
    o->rule.rate = lr * sqrt(1 - pow(o->rule.beta2, t)) / (1 - pow(o->rule.beta1, t));
}

int wf_optimizer_reset(wf_optimizer *o)
{
    return o->backend->zero(o->backend, o->bad, sizeof *o->bad);
}

int wf_optimizer_sink(void *optimizer, size_t offset, size_t count, const wf_real *grads)
{
    wf_optimizer *o = optimizer;
    wf_backend *b = o->backend;
    return b->adamax(b, &o->rule, count, wf_at(b, o->w, offset), wf_at(b, o->m, offset), wf_at(b, o->u, offset),
                     wf_at(b, o->ema, offset), grads, o->bad);
}
