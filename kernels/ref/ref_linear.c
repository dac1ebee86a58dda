/* ref_linear.c - linear bijectors as one matrix: folding, its gradient, and applying it to pixels */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

void wf_ref_multiply(int rows, int n, int columns, const double *A, const double *B, double *C)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += A[i * n + k] * B[k * columns + j];
            C[i * columns + j] = sum;
        }
}

/* T = A transposed. */
static void transpose(int K, const double *A, double *T)
{
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++)
            T[j * K + i] = A[i * K + j];
}

/* y = A x + a (a may be NULL). */
static void apply(int K, const double *A, const double *a, const double *x, double *y)
{
    for (int i = 0; i < K; i++) {
        double sum = a ? a[i] : 0;
        for (int k = 0; k < K; k++)
            sum += A[i * K + k] * x[k];
        y[i] = sum;
    }
}

static void identity(int K, double *A)
{
    memset(A, 0, (size_t)K * (size_t)K * sizeof *A);
    for (int i = 0; i < K; i++)
        A[i * K + i] = 1;
}

static void swap_rows(int K, double *A, int i, int j)
{
    for (int k = 0; k < K; k++) {
        double t = A[i * K + k];
        A[i * K + k] = A[j * K + k];
        A[j * K + k] = t;
    }
}

/* Gauss-Jordan with partial pivoting: inverse and log|det A|. A is not changed. WF_INTERNAL if A is singular. */
static int invert(int K, const double *A, double *inverse, double *logdet)
{
    double *M;
    WF_TRY(wf_ref_scratch((size_t)K * (size_t)K, &M));
    memcpy(M, A, (size_t)K * (size_t)K * sizeof *M);
    identity(K, inverse);
    *logdet = 0;
    int status = WF_OK;
    for (int c = 0; c < K && !status; c++) {
        int pivot = c;
        for (int r = c + 1; r < K; r++)
            if (fabs(M[r * K + c]) > fabs(M[pivot * K + c]))
                pivot = r;
        swap_rows(K, M, c, pivot);
        swap_rows(K, inverse, c, pivot);
        double p = M[c * K + c];
        if (!isfinite(p) || p == 0) {
            status = wf_fail(WF_INTERNAL, "linear: the %d x %d matrix is singular (pivot %d is %g)", K, K, c, p);
            break;
        }
        *logdet += log(fabs(p));
        for (int k = 0; k < K; k++) {
            M[c * K + k] /= p;
            inverse[c * K + k] /= p;
        }
        for (int r = 0; r < K; r++) {
            double factor = M[r * K + c];
            for (int k = 0; k < K && r != c; k++) {
                M[r * K + k] -= factor * M[c * K + k];
                inverse[r * K + k] -= factor * inverse[c * K + k];
            }
        }
    }
    free(M);
    return status;
}

/* The parameters of WF_LINEAR_LU, in their order in memory. */
typedef struct lu {
    const double *p, *sign, *l, *u, *logs;
} lu;

static lu lu_view(int K, const double *params)
{
    const double *l = params + 2 * K;
    return (lu){.p = params, .sign = params + K, .l = l, .u = l + K * K, .logs = l + 2 * K * K};
}

/* L = strictly lower l + 1,  U = strictly upper u + diag(sign exp(logs)). */
static void lu_triangles(int K, const lu *v, double *L, double *U)
{
    identity(K, L);
    memset(U, 0, (size_t)K * (size_t)K * sizeof *U);
    for (int i = 0; i < K; i++) {
        for (int j = 0; j < i; j++)
            L[i * K + j] = v->l[i * K + j];
        U[i * K + i] = v->sign[i] * exp(v->logs[i]);
        for (int j = i + 1; j < K; j++)
            U[i * K + j] = v->u[i * K + j];
    }
}

/* M = P L U. */
static int lu_expand(int K, const double *params, double *M, double *logdet)
{
    lu v = lu_view(K, params);
    for (int i = 0; i < K; i++)
        WF_CHECK(v.p[i] >= 0 && v.p[i] < K && v.p[i] == floor(v.p[i]), WF_DATA,
                 "linear: row %d of the permutation is %g, expected a whole number below %d", i, v.p[i], K);
    size_t KK = (size_t)K * (size_t)K;
    double *L;
    WF_TRY(wf_ref_scratch(3 * KK, &L));
    double *U = L + KK, *LU = L + 2 * KK;
    lu_triangles(K, &v, L, U);
    wf_ref_multiply(K, K, K, L, U, LU);
    *logdet = 0;
    for (int i = 0; i < K; i++) {
        memcpy(M + i * K, LU + (int)v.p[i] * K, (size_t)K * sizeof *M);
        *logdet += v.logs[i];
    }
    free(L);
    return WF_OK;
}

/* The K x K reflection of vector v. */
static void reflection(int K, const double *v, double *H)
{
    double norm = 0;
    for (int i = 0; i < K; i++)
        norm += v[i] * v[i];
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++)
            H[i * K + j] = (i == j) - 2 * v[i] * v[j] / norm;
}

/* M = product of reflections [first, last), the first applied first. */
static int reflect(int K, const double *params, int first, int last, double *M)
{
    size_t KK = (size_t)K * (size_t)K;
    double *H;
    WF_TRY(wf_ref_scratch(2 * KK, &H));
    identity(K, M);
    for (int r = first; r < last; r++) {
        reflection(K, params + r * K, H);
        wf_ref_multiply(K, K, K, H, M, H + KK);
        memcpy(M, H + KK, KK * sizeof *M);
    }
    free(H);
    return WF_OK;
}

/* Row i of M is 1 at p[i], else 0. */
static int permute(int K, const double *p, double *M)
{
    memset(M, 0, (size_t)K * (size_t)K * sizeof *M);
    for (int i = 0; i < K; i++) {
        WF_CHECK(p[i] >= 0 && p[i] < K && p[i] == floor(p[i]), WF_DATA,
                 "linear: row %d of the permutation is %g, expected a whole number below %d", i, p[i], K);
        M[i * K + (int)p[i]] = 1;
    }
    return WF_OK;
}

/* Expands one part as y = M x + m with its log|det M|. `inverse` [K,K] is scratch and gets the inverse of a DENSE
 * part. */
static int expand(int K, const wf_linear_part *part, double *M, double *m, double *inverse, double *logdet)
{
    const double *v = (const double *)part->params;
    memset(m, 0, (size_t)K * sizeof *m);
    switch (part->kind) {
    case WF_LINEAR_ACTNORM:
        identity(K, M);
        *logdet = 0;
        for (int i = 0; i < K; i++) {
            double l = v[K + i];
            M[i * K + i] = exp(3 * l);
            m[i] = v[i] * exp(3 * l);
            *logdet += 3 * l;
        }
        return WF_OK;
    case WF_LINEAR_DENSE:
        memcpy(M, v, (size_t)K * (size_t)K * sizeof *M);
        return invert(K, M, inverse, logdet);
    case WF_LINEAR_LU:
        return lu_expand(K, v, M, logdet);
    case WF_LINEAR_HOUSEHOLDER:
        *logdet = 0;
        return reflect(K, v, 0, part->reflections, M);
    case WF_LINEAR_PERMUTATION:
        *logdet = 0;
        return permute(K, v, M);
    }
    return wf_fail(WF_INTERNAL, "linear: unknown kind %d", (int)part->kind);
}

static int fold_run(int K, const wf_linear_part *parts, int count, const wf_linear *out)
{
    size_t KK = (size_t)K * (size_t)K, k = (size_t)K;
    double *A = (double *)out->A, *a = (double *)out->a, *B = (double *)out->B, *back = (double *)out->b;
    double *M;
    WF_TRY(wf_ref_scratch(2 * KK + 2 * k, &M));
    double *m = M + KK, *product = m + k, *offset = product + KK;
    identity(K, A);
    memset(a, 0, k * sizeof *a);
    *out->logdet = 0;
    int status = WF_OK;
    double logdet;
    for (int i = 0; i < count; i++) {
        WF_GO(expand(K, &parts[i], M, m, B, &logdet));
        wf_ref_multiply(K, K, K, M, A, product);
        apply(K, M, m, a, offset);
        memcpy(A, product, KK * sizeof *A);
        memcpy(a, offset, k * sizeof *a);
        *out->logdet += logdet;
    }
    WF_GO(invert(K, A, B, &logdet));
    apply(K, B, NULL, a, back);
    for (int i = 0; i < K; i++)
        back[i] = -back[i];
out:
    free(M);
    return status;
}

int wf_ref_linear_fold(wf_backend *b, int count, const wf_linear_run *runs)
{
    (void)b;
    for (int i = 0; i < count; i++)
        WF_TRY(fold_run(runs[i].K, runs[i].parts, runs[i].count, &runs[i].folded));
    return WF_OK;
}

/* Gradients of l, u and logs for W = P L U with gradient dW; those of p, sign and unused triangles are zero. */
static int lu_backward(int K, const double *params, const double *dW, double dlogdet, double *grads)
{
    lu v = lu_view(K, params);
    size_t KK = (size_t)K * (size_t)K;
    double *L;
    WF_TRY(wf_ref_scratch(6 * KK, &L));
    double *U = L + KK, *dLU = L + 2 * KK, *T = L + 3 * KK, *dL = L + 4 * KK, *dU = L + 5 * KK;
    double *gl = grads + 2 * K, *gu = gl + KK, *glogs = gu + KK;
    lu_triangles(K, &v, L, U);
    for (int i = 0; i < K; i++)
        memcpy(dLU + (int)v.p[i] * K, dW + i * K, (size_t)K * sizeof *dLU);
    transpose(K, U, T);
    wf_ref_multiply(K, K, K, dLU, T, dL);
    transpose(K, L, T);
    wf_ref_multiply(K, K, K, T, dLU, dU);
    memset(grads, 0, (3 * (size_t)K + 2 * KK) * sizeof *grads);
    for (int i = 0; i < K; i++) {
        for (int j = 0; j < i; j++)
            gl[i * K + j] = dL[i * K + j];
        for (int j = i + 1; j < K; j++)
            gu[i * K + j] = dU[i * K + j];
        glogs[i] = dU[i * K + i] * U[i * K + i] + dlogdet;
    }
    free(L);
    return WF_OK;
}

/* Gradients of v for M = L H R: the gradient of H is G = L' dM R', and that of its v, with c = 2 / v'v, is c^2 (v'G v)
 * v - c (G + G') v. */
static int householder_backward(int K, const double *params, int reflections, const double *dM, double *grads)
{
    size_t KK = (size_t)K * (size_t)K;
    double *L;
    WF_TRY(wf_ref_scratch(5 * KK, &L));
    double *R = L + KK, *T = L + 2 * KK, *product = L + 3 * KK, *G = L + 4 * KK;
    int status = WF_OK;
    for (int r = 0; r < reflections && !status; r++) {
        const double *v = params + r * K;
        double norm = 0, middle = 0;
        WF_GO(reflect(K, params, 0, r, R));
        WF_GO(reflect(K, params, r + 1, reflections, L));
        transpose(K, L, T);
        wf_ref_multiply(K, K, K, T, dM, product);
        transpose(K, R, T);
        wf_ref_multiply(K, K, K, product, T, G);
        for (int i = 0; i < K; i++) {
            norm += v[i] * v[i];
            for (int j = 0; j < K; j++)
                middle += v[i] * G[i * K + j] * v[j];
        }
        double c = 2 / norm;
        for (int i = 0; i < K; i++) {
            double both = 0;
            for (int j = 0; j < K; j++)
                both += (G[i * K + j] + G[j * K + i]) * v[j];
            grads[r * K + i] = c * c * middle * v[i] - c * both;
        }
    }
out:
    free(L);
    return status;
}

/* Gradients of one part from those of its M and m. `inverse` is that of M for a DENSE part. */
static int part_backward(int K, const wf_linear_part *part, const double *inverse, const double *dM, const double *dm,
                         double dlogdet)
{
    const double *v = (const double *)part->params;
    double *g = (double *)part->grads;
    switch (part->kind) {
    case WF_LINEAR_ACTNORM:
        for (int i = 0; i < K; i++) {
            double scale = exp(3 * v[K + i]);
            g[i] = dm[i] * scale;
            g[K + i] = 3 * scale * (dM[i * K + i] + dm[i] * v[i]) + 3 * dlogdet;
        }
        return WF_OK;
    case WF_LINEAR_DENSE:
        for (int i = 0; i < K; i++)
            for (int j = 0; j < K; j++)
                g[i * K + j] = dM[i * K + j] + dlogdet * inverse[j * K + i];
        return WF_OK;
    case WF_LINEAR_LU:
        return lu_backward(K, v, dM, dlogdet, g);
    case WF_LINEAR_HOUSEHOLDER:
        return householder_backward(K, v, part->reflections, dM, g);
    case WF_LINEAR_PERMUTATION:
        memset(g, 0, (size_t)K * sizeof *g);
        return WF_OK;
    }
    return wf_fail(WF_INTERNAL, "linear: unknown kind %d", (int)part->kind);
}

/* With A_0 = 1, a_0 = 0 and A_i+1 = M_i A_i, a_i+1 = M_i a_i + m_i, from the last part to the first:
 *   dM_i = dA_i+1 A_i' + da_i+1 a_i',  dm_i = da_i+1,  dA_i = M_i' dA_i+1,  da_i = M_i' da_i+1. */
static int backward_run(int K, const wf_linear_part *parts, int count, const wf_real *dA_out, const wf_real *da_out,
                        double dlogdet)
{
    size_t KK = (size_t)K * (size_t)K, k = (size_t)K, each = 2 * KK + 2 * k;
    /* per part: A_i, a_i, M_i, m_i; then A, a of the end; then work space */
    double *store;
    WF_TRY(wf_ref_scratch((size_t)count * each + KK + k + 5 * KK + 2 * k, &store));
    double *T = store + (size_t)count * each + KK + k;
    double *dA = T + KK, *dM = dA + KK, *next = dM + KK, *inverse = next + KK, *da = inverse + KK, *da_next = da + k;
    int status = WF_OK;
    double logdet;
    identity(K, store);
    for (int i = 0; i < count; i++) {
        double *A = store + (size_t)i * each, *a = A + KK, *M = a + k, *m = M + KK, *A1 = m + k, *a1 = A1 + KK;
        WF_GO(expand(K, &parts[i], M, m, inverse, &logdet));
        wf_ref_multiply(K, K, K, M, A, A1);
        apply(K, M, m, a, a1);
    }
    memcpy(dA, dA_out, KK * sizeof *dA);
    memcpy(da, da_out, k * sizeof *da);
    for (int i = count - 1; i >= 0; i--) {
        double *A = store + (size_t)i * each, *a = A + KK, *M = a + k, *m = M + KK;
        WF_GO(expand(K, &parts[i], M, m, inverse, &logdet));
        transpose(K, A, T);
        wf_ref_multiply(K, K, K, dA, T, dM);
        for (int r = 0; r < K; r++)
            for (int c = 0; c < K; c++)
                dM[r * K + c] += da[r] * a[c];
        WF_GO(part_backward(K, &parts[i], inverse, dM, da, dlogdet));
        transpose(K, M, T);
        wf_ref_multiply(K, K, K, T, dA, next);
        apply(K, T, NULL, da, da_next);
        memcpy(dA, next, KK * sizeof *dA);
        memcpy(da, da_next, k * sizeof *da);
    }
out:
    free(store);
    return status;
}

int wf_ref_linear_backward(wf_backend *b, int count, const wf_linear_run *runs)
{
    (void)b;
    for (int i = 0; i < count; i++)
        WF_TRY(backward_run(runs[i].K, runs[i].parts, runs[i].count, runs[i].dA, runs[i].da, runs[i].dlogdet));
    return WF_OK;
}

int wf_ref_matvec(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *a, const wf_real *x, wf_real *y)
{
    (void)b;
    size_t k = (size_t)K;
    double *pixel;
    WF_TRY(wf_ref_scratch(k, &pixel));
    for (size_t p = 0; p < n; p++) {
        apply(K, (const double *)A, (const double *)a, (const double *)x + p * k, pixel);
        memcpy((double *)y + p * k, pixel, k * sizeof *pixel);
    }
    free(pixel);
    return WF_OK;
}

int wf_ref_matvec_backward(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *x, wf_real *g,
                           wf_real *dA_out, wf_real *da_out)
{
    (void)b;
    size_t KK = (size_t)K * (size_t)K, k = (size_t)K;
    double *dA = (double *)dA_out, *da = (double *)da_out, *T;
    WF_TRY(wf_ref_scratch(KK + k, &T));
    double *dx = T + KK;
    transpose(K, (const double *)A, T);
    if (dA)
        memset(dA, 0, KK * sizeof *dA);
    if (da)
        memset(da, 0, k * sizeof *da);
    for (size_t p = 0; p < n; p++) {
        const double *xp = (const double *)x + p * k;
        double *dy = (double *)g + p * k;
        for (int i = 0; i < K; i++) {
            for (int j = 0; j < K && dA; j++)
                dA[i * K + j] += dy[i] * xp[j];
            if (da)
                da[i] += dy[i];
        }
        apply(K, T, NULL, dy, dx);
        memcpy(dy, dx, k * sizeof *dx);
    }
    free(T);
    return WF_OK;
}
