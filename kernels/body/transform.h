/* transform.h - the bodies of WF_TRANSFORMS (backend.h): one element of a coupling
 *
 * To add a transform: write kernels/body/NAME.h, include it here, add its row to WF_TRANSFORMS, and write its reference
 * in kernels/ref/ref_transform.c. Parameter j of the element is params[j * stride], its gradient dparams[j * stride].
 * Each has
 *
 *     float wf_NAME_forward(how, x, params, stride, &log_derivative)     y = T(x); log_derivative = log T'(x)
 *     float wf_NAME_inverse(how, y, params, stride, &log_derivative)     x = T^-1(y); log_derivative = log T'(x)
 *     float wf_NAME_vjp(how, inverse, x, params, stride, dlogdet, g, dparams)
 *         forward: g: gradient by y, dlogdet: gradient by log T'; returns the gradient by x, writes dparams
 *         inverse: takes g, the gradient by x, and dlogdet, the gradient by log T'; returns the gradient by y, writes
 * dparams */
#ifndef WF_BODY_TRANSFORM_H
#define WF_BODY_TRANSFORM_H

#include "../backend.h"

#include "affine.h"
#include "mixlogistic.h"
#include "rqspline.h"
#include "sos.h"

/* Refuses a coupling whose batch, sides or channels are out of range: WF_INTERNAL. */
static inline int wf_coupling_check(int N, const wf_coupling *of)
{
    WF_CHECK(N > 0 && of->H > 0 && of->W > 0 && of->first >= 0 && of->moved > 0 && of->first + of->moved <= of->K,
             WF_INTERNAL, "transform: N %d, %d x %d, channels %d to %d of %d", N, of->H, of->W, of->first,
             of->first + of->moved, of->K);
    return WF_OK;
}

#endif
