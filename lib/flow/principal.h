/* principal.h - principal components of a batch, for the data-dependent start of a matrix */
#ifndef WF_PRINCIPAL_H
#define WF_PRINCIPAL_H

#include "../base/linkage.h"
#include "bijector.h"

WF_BEGIN

/* Writes the principal components of x (device [N,H,W,K] in that shape), or of the batch that x is a part of
 * (shape->pool), to the rows of w, host [K,K]: orthonormal eigenvectors of the covariance of its channels, the largest
 * variance first. The largest element of each row is positive. A batch of fewer than 2K pixels hardly varies in some
 * directions: then *found is false, and w stays as it was. WF_INTERNAL where x is not finite. Waits for the device. */
int wf_principal_components(const wf_stage_shape *shape, int K, const wf_real *x, double *w, bool *found) WF_MUST;

/* The eigenvectors of a symmetric matrix, host [K,K], as the rows of w [K,K], in that order and with those signs.
 * The matrix is overwritten. */
int wf_symmetric_eigenvectors(int K, double *matrix, double *w) WF_MUST;

WF_END

#endif
