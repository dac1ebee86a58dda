/* transform.h - the bodies of WF_TRANSFORMS (backend.h): one element of a coupling
 *
 * To add one: write kernels/body/NAME.h, include it here, add its row, and judge it in kernels/ref/ref_transform.c. Parameter j of
 * the element is theta[j * stride], its gradient dtheta[j * stride]. Each has
 *
 *     float wf_NAME_forward(how, x, theta, stride, &log_slope)     y = T(x); log_slope = log T'(x)
 *     float wf_NAME_inverse(how, y, theta, stride, &log_slope)     x = T^-1(y); log_slope = log T'(x)
 *     float wf_NAME_pull(how, inverse, x, theta, stride, dlogdet, g, dtheta)
 *         of forward: the gradient g by y becomes that by x, which is returned, and by theta; dlogdet: by log T'.
 *         of the inverse: the gradient g by x becomes that by y, and by theta; dlogdet: by log T', which it is given as well. */
#ifndef WF_BODY_TRANSFORM_H
#define WF_BODY_TRANSFORM_H

#include "../backend.h"

#include "affine.h"
#include "mixlogistic.h"
#include "rqspline.h"
#include "sos.h"

#endif
