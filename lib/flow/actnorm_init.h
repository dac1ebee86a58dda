/* actnorm_init.h - data-dependent initialization of actnorms */
#ifndef WF_ACTNORM_INIT_H
#define WF_ACTNORM_INIT_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "bijector.h"

WF_BEGIN

/* Sets offset b and logs l (device [K]) so that (x + b) exp(3 l) has mean 0 and variance 1 in every channel of x
 * (device [N,H,W,K] in that shape), or of the batch that x is a part of (shape->pool). Clamps variances to at least
 * 1e-12. WF_INTERNAL where x is not finite. Waits for the device. */
int wf_actnorm_init(const wf_stage_shape *shape, int K, const wf_real *x, wf_real *offset, wf_real *logs) WF_MUST;

WF_END

#endif
