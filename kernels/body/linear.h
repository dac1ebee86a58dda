/* linear.h - a run of linear bijectors as one K x K matrix, and its gradient, in double precision.
 *
 * Matrices are row-major [K,K], vectors [K]; outputs must not overlap inputs. The threads of a block share the loops
 * (body.h), and every function ends with all threads together. */
#ifndef WF_BODY_LINEAR_H
#define WF_BODY_LINEAR_H

#include "../backend.h"
#include "body.h"

WF_BODY void wf_matrix_identity(int K, double *m)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP)
        for (int j = 0; j < K; j++)
            m[i * K + j] = i == j;
    WF_TOGETHER();
}

WF_BODY void wf_matrix_copy(int n, const double *from, double *to)
{
    for (int i = WF_FIRST; i < n; i += WF_STEP)
        to[i] = from[i];
    WF_TOGETHER();
}

WF_BODY void wf_matrix_to_float(int n, const double *from, float *to)
{
    for (int i = WF_FIRST; i < n; i += WF_STEP)
        to[i] = (float)from[i];
    WF_TOGETHER();
}

WF_BODY void wf_matrix_from_float(int n, const float *from, double *to)
{
    for (int i = WF_FIRST; i < n; i += WF_STEP)
        to[i] = (double)from[i];
    WF_TOGETHER();
}

/* out = a b */
WF_BODY void wf_matrix_product(int K, const double *a, const double *b, double *out)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        for (int j = 0; j < K; j++)
            out[i * K + j] = 0;
        for (int k = 0; k < K; k++)
            for (int j = 0; j < K; j++)
                out[i * K + j] += a[i * K + k] * b[k * K + j];
    }
    WF_TOGETHER();
}

/* out = a' b */
WF_BODY void wf_matrix_product_at(int K, const double *a, const double *b, double *out)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        for (int j = 0; j < K; j++)
            out[i * K + j] = 0;
        for (int k = 0; k < K; k++)
            for (int j = 0; j < K; j++)
                out[i * K + j] += a[k * K + i] * b[k * K + j];
    }
    WF_TOGETHER();
}

/* out = a b' */
WF_BODY void wf_matrix_product_bt(int K, const double *a, const double *b, double *out)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP)
        for (int j = 0; j < K; j++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += a[i * K + k] * b[j * K + k];
            out[i * K + j] = sum;
        }
    WF_TOGETHER();
}

/* out = m x + offset (NULL: no offset) */
WF_BODY void wf_matrix_apply(int K, const double *m, const double *x, const double *offset, double *out)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        double sum = offset ? offset[i] : 0;
        for (int j = 0; j < K; j++)
            sum += m[i * K + j] * x[j];
        out[i] = sum;
    }
    WF_TOGETHER();
}

/* out = m' x */
WF_BODY void wf_matrix_apply_t(int K, const double *m, const double *x, double *out)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        double sum = 0;
        for (int j = 0; j < K; j++)
            sum += m[j * K + i] * x[j];
        out[i] = sum;
    }
    WF_TOGETHER();
}

/* Swaps row c with the row at or below it that has the largest element in column c, in m and in beside. */
WF_BODY void wf_matrix_pivot(int K, int c, double *m, double *beside)
{
    int pivot = c;
    for (int i = c + 1; i < K; i++)
        if (fabs(m[i * K + c]) > fabs(m[pivot * K + c]))
            pivot = i;
    WF_TOGETHER();
    for (int j = WF_FIRST; j < K; j += WF_STEP) {
        double a = m[c * K + j], b = beside[c * K + j];
        m[c * K + j] = m[pivot * K + j];
        beside[c * K + j] = beside[pivot * K + j];
        m[pivot * K + j] = a;
        beside[pivot * K + j] = b;
    }
    WF_TOGETHER();
}

/* Gauss-Jordan with row pivots: inverse = m^-1. Returns log|det m| in nats and destroys m. A singular matrix gives -inf
 * and a non-finite inverse, as the formula does; the caller's check for non-finite values sees it. */
WF_BODY double wf_matrix_invert(int K, double *m, double *inverse)
{
    double logdet = 0;
    wf_matrix_identity(K, inverse);
    for (int c = 0; c < K; c++) {
        wf_matrix_pivot(K, c, m, inverse);
        double d = m[c * K + c];
        logdet += log(fabs(d));
        WF_TOGETHER();
        for (int j = WF_FIRST; j < K; j += WF_STEP) {
            m[c * K + j] /= d;
            inverse[c * K + j] /= d;
        }
        WF_TOGETHER();
        for (int i = WF_FIRST; i < K; i += WF_STEP) {
            double f = m[i * K + c];
            if (i == c)
                continue;
            for (int j = 0; j < K; j++) {
                m[i * K + j] -= f * m[c * K + j];
                inverse[i * K + j] -= f * inverse[c * K + j];
            }
        }
        WF_TOGETHER();
    }
    return logdet;
}

/* -- ACTNORM: b [K], l [K]; y = (x + b) exp(3 l) ------------------------------------------------------------------- */

WF_BODY void wf_actnorm_matrix(int K, const float *params, double *m, double *offset)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        for (int j = 0; j < K; j++)
            m[i * K + j] = 0;
        m[i * K + i] = exp(3.0 * (double)params[K + i]);
        offset[i] = (double)params[i] * m[i * K + i];
    }
    WF_TOGETHER();
}

/* Gradients of b and l from dm [K,K], doffset [K], and dlogdet, the gradient by log|det m|. */
WF_BODY void wf_actnorm_gradient(int K, const float *params, const double *dm, const double *doffset, double dlogdet,
                                 float *grads)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        double b = params[i], scale = exp(3.0 * (double)params[K + i]);
        grads[i] = (float)(scale * doffset[i]);
        grads[K + i] = (float)(3.0 * (scale * (dm[i * K + i] + b * doffset[i]) + dlogdet));
    }
    WF_TOGETHER();
}

/* -- DENSE --------------------------------------------------------------------------------------------------------- */

/* grads = dm + dlogdet * m^-T. scratch [2,K,K] */
WF_BODY void wf_dense_gradient(int K, const double *m, const double *dm, double dlogdet, double *scratch, float *grads)
{
    double *copy = scratch, *inverse = scratch + K * K;
    wf_matrix_copy(K * K, m, copy);
    wf_matrix_invert(K, copy, inverse);
    for (int i = WF_FIRST; i < K; i += WF_STEP)
        for (int j = 0; j < K; j++)
            grads[i * K + j] = (float)(dm[i * K + j] + dlogdet * inverse[j * K + i]);
    WF_TOGETHER();
}

/* -- LU: p [K], sign [K], l [K,K], u [K,K], logs [K]; m = P (strictly lower l + 1) (strictly upper u + diag) ------- */

/* Writes the two triangular factors as full matrices, without P. */
WF_BODY void wf_lu_factors(int K, const float *params, double *lower, double *upper)
{
    const float *sign = params + K, *l = sign + K, *u = l + K * K, *logs = u + K * K;
    for (int i = WF_FIRST; i < K; i += WF_STEP)
        for (int j = 0; j < K; j++) {
            lower[i * K + j] = j < i ? (double)l[i * K + j] : j == i;
            upper[i * K + j] = j > i ? (double)u[i * K + j] : j == i ? (double)sign[i] * exp((double)logs[i]) : 0;
        }
    WF_TOGETHER();
}

/* Row i of the permutation, or -1 if params[i] is out of range. The row indexes memory; -1 gives a row of NaN, which
 * later checks for non-finite values see. */
WF_BODY int wf_lu_row(int K, const float *params, int i)
{
    return params[i] >= 0 && params[i] < (float)K ? (int)params[i] : -1;
}

/* scratch [2,K,K] */
WF_BODY void wf_lu_matrix(int K, const float *params, double *m, double *scratch)
{
    double *lower = scratch, *upper = scratch + K * K;
    wf_lu_factors(K, params, lower, upper);
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        int row = wf_lu_row(K, params, i); /* (Pv)[i] = v[p[i]] */
        for (int j = 0; j < K; j++) {
            double sum = row < 0 ? (double)NAN : 0;
            for (int k = 0; k < K && row >= 0; k++)
                sum += lower[row * K + k] * upper[k * K + j];
            m[i * K + j] = sum;
        }
    }
    WF_TOGETHER();
}

/* scratch [4,K,K] */
WF_BODY void wf_lu_gradient(int K, const float *params, const double *dm, double dlogdet, double *scratch, float *grads)
{
    double *lower = scratch, *upper = lower + K * K, *product = upper + K * K, *gradient = product + K * K;
    float *dl = grads + 2 * K, *du = dl + K * K, *dlogs = du + K * K;
    wf_lu_factors(K, params, lower, upper);
    for (int i = WF_FIRST; i < K; i += WF_STEP) { /* product = P' dm, the gradient of lower * upper */
        int row = wf_lu_row(K, params, i);
        for (int j = 0; j < K && row >= 0; j++)
            product[row * K + j] = dm[i * K + j];
        grads[i] = grads[K + i] = 0;
    }
    WF_TOGETHER();
    wf_matrix_product_bt(K, product, upper, gradient);
    for (int i = WF_FIRST; i < K; i += WF_STEP)
        for (int j = 0; j < K; j++)
            dl[i * K + j] = j < i ? (float)gradient[i * K + j] : 0;
    WF_TOGETHER();
    wf_matrix_product_at(K, lower, product, gradient);
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        for (int j = 0; j < K; j++)
            du[i * K + j] = j > i ? (float)gradient[i * K + j] : 0;
        dlogs[i] = (float)(gradient[i * K + i] * upper[i * K + i] + dlogdet);
    }
    WF_TOGETHER();
}

/* -- HOUSEHOLDER: v [reflections,K]; m = H .. H, H = 1 - 2 v v' / (v' v) ------------------------------------------- */

WF_BODY double wf_householder_factor(int K, const float *v)
{
    double norm = 0;
    for (int i = 0; i < K; i++)
        norm += (double)v[i] * (double)v[i];
    return 2 / norm;
}

/* m = H m */
WF_BODY void wf_householder_reflect(int K, const float *v, double *m)
{
    double c = wf_householder_factor(K, v);
    for (int j = WF_FIRST; j < K; j += WF_STEP) {
        double dot = 0;
        for (int i = 0; i < K; i++)
            dot += (double)v[i] * m[i * K + j];
        for (int i = 0; i < K; i++)
            m[i * K + j] -= c * dot * (double)v[i];
    }
    WF_TOGETHER();
}

WF_BODY void wf_householder_matrix(int K, int reflections, const float *params, double *m)
{
    wf_matrix_identity(K, m);
    for (int r = 0; r < reflections; r++)
        wf_householder_reflect(K, params + r * K, m);
}

/* Gradients for m = L H R. The gradient of H is G = L' dm R'; the gradient of its v is c^2 (v'G v) v - c (G + G') v.
 * Goes from the last reflection to the first and carries R and L' dm along; G is never formed. scratch [3,K,K] */
WF_BODY void wf_householder_gradient(int K, int reflections, const float *params, const double *m, const double *dm,
                                     double *scratch, float *grads)
{
    double *right = scratch, *left = right + K * K, *rv = left + K * K, *lv = rv + K;
    wf_matrix_copy(K * K, m, right);
    wf_matrix_copy(K * K, dm, left);
    for (int r = reflections - 1; r >= 0; r--) {
        const float *v = params + r * K;
        double c = wf_householder_factor(K, v), middle = 0;
        wf_householder_reflect(K, v, right);
        for (int j = WF_FIRST; j < K; j += WF_STEP) {
            rv[j] = lv[j] = 0;
            for (int i = 0; i < K; i++) {
                rv[j] += (double)v[i] * right[i * K + j]; /* R' v */
                lv[j] += (double)v[i] * left[i * K + j];  /* (L' dm)' v */
            }
        }
        WF_TOGETHER();
        for (int j = 0; j < K; j++)
            middle += rv[j] * lv[j];
        for (int i = WF_FIRST; i < K; i += WF_STEP) {
            double both = 0;
            for (int j = 0; j < K; j++)
                both += left[i * K + j] * rv[j] + right[i * K + j] * lv[j];
            grads[r * K + i] = (float)(c * c * middle * (double)v[i] - c * both);
        }
        WF_TOGETHER();
        wf_householder_reflect(K, v, left);
    }
}

/* -- PERMUTATION: p [K] -------------------------------------------------------------------------------------------- */

WF_BODY void wf_permutation_matrix(int K, const float *params, double *m)
{
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        int row = wf_lu_row(K, params, i);
        for (int j = 0; j < K; j++)
            m[i * K + j] = row < 0 ? (double)NAN : j == row;
    }
    WF_TOGETHER();
}

/* -- a run of parts ------------------------------------------------------------------------------------------------ */

/* Working memory for a run of `count` parts: wf_linear_work_size doubles. */
typedef struct wf_linear_work {
    double *matrices;  /* [count,K,K] matrix of each part */
    double *offsets;   /* [count,K] */
    double *product;   /* [count+1,K,K] product of parts 0 .. i-1 */
    double *shift;     /* [count+1,K] */
    double *temporary; /* [6,K,K] */
} wf_linear_work;

WF_BODY size_t wf_linear_work_size(int K, int count)
{
    size_t square = (size_t)K * (size_t)K, parts = (size_t)count;
    return (2 * parts + 1) * (square + (size_t)K) + 6 * square;
}

WF_BODY wf_linear_work wf_linear_work_at(int K, int count, double *memory)
{
    size_t square = (size_t)K * (size_t)K, parts = (size_t)count;
    wf_linear_work w;
    w.matrices = memory;
    w.offsets = w.matrices + parts * square;
    w.product = w.offsets + parts * (size_t)K;
    w.shift = w.product + (parts + 1) * square;
    w.temporary = w.shift + (parts + 1) * (size_t)K;
    return w;
}

WF_BODY void wf_linear_part_matrix(int K, const wf_linear_part *part, double *m, double *offset, double *scratch)
{
    const float *params = (const float *)part->params;
    if (part->kind == WF_LINEAR_ACTNORM) {
        wf_actnorm_matrix(K, params, m, offset);
        return;
    }
    for (int i = WF_FIRST; i < K; i += WF_STEP)
        offset[i] = 0;
    if (part->kind == WF_LINEAR_DENSE)
        wf_matrix_from_float(K * K, params, m);
    else if (part->kind == WF_LINEAR_LU)
        wf_lu_matrix(K, params, m, scratch);
    else if (part->kind == WF_LINEAR_HOUSEHOLDER)
        wf_householder_matrix(K, part->reflections, params, m);
    else
        wf_permutation_matrix(K, params, m);
}

/* Fills matrices, offsets, product and shift. */
WF_BODY void wf_linear_compose(int K, const wf_linear_part *parts, int count, const wf_linear_work *w)
{
    int square = K * K;
    wf_matrix_identity(K, w->product);
    for (int i = WF_FIRST; i < K; i += WF_STEP)
        w->shift[i] = 0;
    WF_TOGETHER();
    for (int p = 0; p < count; p++) {
        double *m = w->matrices + p * square, *offset = w->offsets + p * K;
        wf_linear_part_matrix(K, &parts[p], m, offset, w->temporary);
        wf_matrix_product(K, m, w->product + p * square, w->product + (p + 1) * square);
        wf_matrix_apply(K, m, w->shift + p * K, offset, w->shift + (p + 1) * K);
    }
}

/* linear_fold of backend.h for one run. */
WF_BODY void wf_linear_fold_run(int K, const wf_linear_part *parts, int count, double *memory, const wf_linear *out)
{
    wf_linear_work w = wf_linear_work_at(K, count, memory);
    wf_linear_compose(K, parts, count, &w);
    double *A = w.product + count * K * K, *a = w.shift + count * K, *inverse = w.temporary;
    wf_matrix_to_float(K * K, A, (float *)out->A);
    wf_matrix_to_float(K, a, (float *)out->a);
    double logdet = wf_matrix_invert(K, A, inverse);
    wf_matrix_to_float(K * K, inverse, (float *)out->B);
    for (int i = WF_FIRST; i < K; i += WF_STEP) {
        double sum = 0;
        for (int j = 0; j < K; j++)
            sum += inverse[i * K + j] * a[j];
        ((float *)out->b)[i] = (float)-sum;
    }
    if (WF_FIRST == 0)
        *out->logdet = logdet;
    WF_TOGETHER();
}

/* linear_backward of backend.h for one run. A = S M R and a = S (M r + c) + .., with S the later parts, R and r the
 * earlier ones, M and c the current one:
 *   dc = S' da,  dM = S' dA R' + dc r'
 * Going backward, G = S' dA and dc pass from part to part. */
WF_BODY void wf_linear_backward_run(int K, const wf_linear_part *parts, int count, double *memory, const float *dA,
                                    const float *da, double dlogdet)
{
    wf_linear_work w = wf_linear_work_at(K, count, memory);
    int square = K * K;
    wf_linear_compose(K, parts, count, &w);
    /* The last product and shift are not needed: G and dc take their memory. */
    double *G = w.product + count * square, *dc = w.shift + count * K, *dm = w.temporary, *rest = dm + square;
    wf_matrix_from_float(square, dA, G);
    wf_matrix_from_float(K, da, dc);
    for (int p = count - 1; p >= 0; p--) {
        const double *m = w.matrices + p * square, *r = w.shift + p * K;
        float *grads = (float *)parts[p].grads;
        const float *params = (const float *)parts[p].params;
        wf_matrix_product_bt(K, G, w.product + p * square, dm);
        for (int i = WF_FIRST; i < K; i += WF_STEP)
            for (int j = 0; j < K; j++)
                dm[i * K + j] += dc[i] * r[j];
        WF_TOGETHER();
        if (parts[p].kind == WF_LINEAR_ACTNORM)
            wf_actnorm_gradient(K, params, dm, dc, dlogdet, grads);
        else if (parts[p].kind == WF_LINEAR_DENSE)
            wf_dense_gradient(K, m, dm, dlogdet, rest, grads);
        else if (parts[p].kind == WF_LINEAR_LU)
            wf_lu_gradient(K, params, dm, dlogdet, rest, grads);
        else if (parts[p].kind == WF_LINEAR_HOUSEHOLDER)
            wf_householder_gradient(K, parts[p].reflections, params, m, dm, rest, grads);
        else
            for (int i = WF_FIRST; i < K; i += WF_STEP)
                grads[i] = 0;
        wf_matrix_product_at(K, m, G, rest);
        wf_matrix_copy(square, rest, G);
        wf_matrix_apply_t(K, m, dc, rest);
        wf_matrix_copy(K, rest, dc);
    }
}

#endif
