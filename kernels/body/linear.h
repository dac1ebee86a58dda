/* linear.h - small K x K matrices in double precision: the algebra behind linear_fold and linear_backward.
 *
 * Matrices are row-major [K,K], vectors [K]; outputs must not overlap inputs unless a function says "in place". */
#ifndef WF_BODY_LINEAR_H
#define WF_BODY_LINEAR_H

#include "body.h"

WF_BODY void wf_matrix_identity(int K, double *m)
{
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++)
            m[i * K + j] = i == j;
}

/* out = a b */
WF_BODY void wf_matrix_product(int K, const double *a, const double *b, double *out)
{
    for (int i = 0; i < K; i++) {
        for (int j = 0; j < K; j++)
            out[i * K + j] = 0;
        for (int k = 0; k < K; k++)
            for (int j = 0; j < K; j++)
                out[i * K + j] += a[i * K + k] * b[k * K + j];
    }
}

/* out = a' b */
WF_BODY void wf_matrix_product_at(int K, const double *a, const double *b, double *out)
{
    for (int i = 0; i < K * K; i++)
        out[i] = 0;
    for (int k = 0; k < K; k++)
        for (int i = 0; i < K; i++)
            for (int j = 0; j < K; j++)
                out[i * K + j] += a[k * K + i] * b[k * K + j];
}

/* out = a b' */
WF_BODY void wf_matrix_product_bt(int K, const double *a, const double *b, double *out)
{
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += a[i * K + k] * b[j * K + k];
            out[i * K + j] = sum;
        }
}

/* out = m x + offset (NULL: no offset) */
WF_BODY void wf_matrix_apply(int K, const double *m, const double *x, const double *offset, double *out)
{
    for (int i = 0; i < K; i++) {
        double sum = offset ? offset[i] : 0;
        for (int j = 0; j < K; j++)
            sum += m[i * K + j] * x[j];
        out[i] = sum;
    }
}

/* out = m' x */
WF_BODY void wf_matrix_apply_t(int K, const double *m, const double *x, double *out)
{
    for (int i = 0; i < K; i++)
        out[i] = 0;
    for (int j = 0; j < K; j++)
        for (int i = 0; i < K; i++)
            out[i] += m[j * K + i] * x[j];
}

WF_BODY void wf_matrix_swap_rows(int K, double *m, int a, int b)
{
    for (int j = 0; j < K; j++) {
        double t = m[a * K + j];
        m[a * K + j] = m[b * K + j];
        m[b * K + j] = t;
    }
}

/* Gauss-Jordan with row pivots: inverse = m^-1, and log|det m| in nats is returned; m is destroyed. A singular matrix
 * gives -inf and an inverse that is not finite, as the formula does: the caller's non-finite guard sees it. */
WF_BODY double wf_matrix_invert(int K, double *m, double *inverse)
{
    double logdet = 0;
    wf_matrix_identity(K, inverse);
    for (int c = 0; c < K; c++) {
        int pivot = c;
        for (int i = c + 1; i < K; i++)
            if (fabs(m[i * K + c]) > fabs(m[pivot * K + c]))
                pivot = i;
        wf_matrix_swap_rows(K, m, c, pivot);
        wf_matrix_swap_rows(K, inverse, c, pivot);
        double d = m[c * K + c];
        logdet += log(fabs(d));
        for (int j = 0; j < K; j++) {
            m[c * K + j] /= d;
            inverse[c * K + j] /= d;
        }
        for (int i = 0; i < K; i++) {
            double f = m[i * K + c];
            if (i == c)
                continue;
            for (int j = 0; j < K; j++) {
                m[i * K + j] -= f * m[c * K + j];
                inverse[i * K + j] -= f * inverse[c * K + j];
            }
        }
    }
    return logdet;
}

/* -- ACTNORM: b [K], l [K]; y = (x + b) exp(3 l) ------------------------------------------------------------------- */

WF_BODY void wf_actnorm_matrix(int K, const float *params, double *m, double *offset)
{
    for (int i = 0; i < K * K; i++)
        m[i] = 0;
    for (int i = 0; i < K; i++) {
        m[i * K + i] = exp(3.0 * (double)params[K + i]);
        offset[i] = (double)params[i] * m[i * K + i];
    }
}

/* From dm [K,K] and doffset [K], and dlogdet by log|det m|, the gradients of b and l. */
WF_BODY void wf_actnorm_gradient(int K, const float *params, const double *dm, const double *doffset, double dlogdet,
                                 float *grads)
{
    for (int i = 0; i < K; i++) {
        double b = params[i], scale = exp(3.0 * (double)params[K + i]);
        grads[i] = (float)(scale * doffset[i]);
        grads[K + i] = (float)(3.0 * (scale * (dm[i * K + i] + b * doffset[i]) + dlogdet));
    }
}

/* -- LU: p [K], sign [K], l [K,K], u [K,K], logs [K]; m = P (strictly lower l + 1) (strictly upper u + diag) ------- */

/* The two triangular factors in full, without P. */
WF_BODY void wf_lu_factors(int K, const float *params, double *lower, double *upper)
{
    const float *sign = params + K, *l = sign + K, *u = l + K * K, *logs = u + K * K;
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++) {
            lower[i * K + j] = j < i ? (double)l[i * K + j] : j == i;
            upper[i * K + j] = j > i ? (double)u[i * K + j] : j == i ? (double)sign[i] * exp((double)logs[i]) : 0;
        }
}

/* scratch [2,K,K] */
WF_BODY void wf_lu_matrix(int K, const float *params, double *m, double *scratch)
{
    double *lower = scratch, *upper = scratch + K * K;
    wf_lu_factors(K, params, lower, upper);
    for (int i = 0; i < K; i++) {
        int row = (int)params[i]; /* (Pv)[i] = v[p[i]] */
        for (int j = 0; j < K; j++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += lower[row * K + k] * upper[k * K + j];
            m[i * K + j] = sum;
        }
    }
}

/* scratch [4,K,K] */
WF_BODY void wf_lu_gradient(int K, const float *params, const double *dm, double dlogdet, double *scratch, float *grads)
{
    double *lower = scratch, *upper = lower + K * K, *product = upper + K * K, *gradient = product + K * K;
    float *dl = grads + 2 * K, *du = dl + K * K, *dlogs = du + K * K;
    wf_lu_factors(K, params, lower, upper);
    for (int i = 0; i < K; i++) /* P' dm, the gradient of lower * upper */
        for (int j = 0; j < K; j++)
            product[(int)params[i] * K + j] = dm[i * K + j];
    for (int i = 0; i < 2 * K; i++)
        grads[i] = 0;
    wf_matrix_product_bt(K, product, upper, gradient);
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++)
            dl[i * K + j] = j < i ? (float)gradient[i * K + j] : 0;
    wf_matrix_product_at(K, lower, product, gradient);
    for (int i = 0; i < K; i++) {
        for (int j = 0; j < K; j++)
            du[i * K + j] = j > i ? (float)gradient[i * K + j] : 0;
        dlogs[i] = (float)(gradient[i * K + i] * upper[i * K + i] + dlogdet);
    }
}

#endif
