/* optimizer.h - Adamax over the parameters of one flow */
#ifndef WF_OPTIMIZER_H
#define WF_OPTIMIZER_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"

WF_BEGIN

/* The optimizer of one flow: parameters, moments, moving average. Device [size] each. */
typedef struct wf_optimizer {
    wf_backend *backend;
    wf_adamax rule; /* `rate` and `decay` are set by wf_optimizer_begin */
    double decay; /* of the average; in step t, (1 + t) / (10 + t) where that is less, so that the start is forgotten */
    size_t size;
    wf_real *w, *m, *u, *ema;
    double *bad; /* device [1]: not 0 once a gradient was not finite; nothing since then was applied */
} wf_optimizer;

int wf_optimizer_create(wf_backend *backend, size_t size, double ema, wf_optimizer *out) WF_MUST;
void wf_optimizer_clear(wf_optimizer *o);
void wf_optimizer_begin(wf_optimizer *o, int64_t step, double lr);                                 /* step from 0 */
int wf_optimizer_forgive(wf_optimizer *o) WF_MUST;                                                 /* bad = 0 */
int wf_optimizer_sink(void *optimizer, size_t offset, size_t count, const wf_real *grads) WF_MUST; /* a wf_grad_sink */

WF_END

#endif
