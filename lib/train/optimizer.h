/* optimizer.h - Adamax over one vector of parameters */
#ifndef WF_OPTIMIZER_H
#define WF_OPTIMIZER_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"

WF_BEGIN

/* Parameters w, moments m and u, and moving average ema of w: device [size] each. */
typedef struct wf_optimizer {
    wf_backend *backend;
    wf_adamax rule; /* `rate` and `decay` are set by wf_optimizer_begin */
    double decay;   /* of the average; step t uses min(decay, (1 + t) / (10 + t)), to forget the start */
    size_t size;
    wf_real *w, *m, *u, *ema;
    double *bad; /* device [1]: nonzero once a gradient was not finite; no update is applied from then on */
} wf_optimizer;

/* Parameters and moments are 0. ema: decay of the average. Clear it after a failure too. */
int wf_optimizer_create(wf_backend *backend, size_t size, double ema, wf_optimizer *out) WF_MUST;
void wf_optimizer_clear(wf_optimizer *o);
void wf_optimizer_begin(wf_optimizer *o, int64_t step, double lr); /* sets the rule for a step, from 0 */
int wf_optimizer_reset(wf_optimizer *o) WF_MUST;                   /* bad = 0 */
int wf_optimizer_sink(void *optimizer, size_t offset, size_t count, const wf_real *grads) WF_MUST; /* a wf_grad_sink */

WF_END

#endif
