/* shrinkage.h - distances of observations from their mean under a correlation matrix that few observations can estimate
 *
 * Letters: N observations of D numbers each, x [N,D]. */
#ifndef WF_SHRINKAGE_H
#define WF_SHRINKAGE_H

#include <stdint.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

/* Standardizes x [N,D] in place, N >= 2: columns get mean 0 and variance 1, or 0 where a column does not vary. */
void wf_standardize(int64_t N, int D, double *x);

/* Writes the correlations of standardized x [N,D], shrunk towards the identity, to R [D,D]. Returns the intensity rho:
 *     S = x'x / N,   R = (1 - rho) S + rho mu I,   mu = trace S / D
 *     rho = min(1, b / d),   d = |S - mu I|^2,   b = sum over n of |x_n x_n' - S|^2 / N^2
 * in the Frobenius norm (Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
 * matrices", section 3, without their 1/D on both sides of the fraction). rho is at least WF_LEAST_SHRINKAGE,
 * so that R has an inverse where columns depend on one another. All columns constant: R = I. */
#define WF_LEAST_SHRINKAGE 1e-9
double wf_shrunk_correlation(int64_t N, int D, const double *x, double *R);

/* Writes squared Mahalanobis distances  x_n' R^-1 x_n  to out [N]. R [D,D] is overwritten by its Cholesky factor L, x
 * by L^-1 x. WF_INTERNAL: R is not positive definite. */
int wf_mahalanobis(int64_t N, int D, double *x, double *R, double *out) WF_MUST;

WF_END

#endif
