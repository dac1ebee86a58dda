/* linear.c - folding a run of linear bijectors into one matrix, and the gradient through that */
#include "cpu.h"

#include "../body/linear.h"

/* Everything one call works on, in doubles of the scratch. */
typedef struct work {
    double *matrices;  /* [count,K,K] each part's matrix */
    double *offsets;   /* [count,K] */
    double *product;   /* [count+1,K,K] parts 0 .. i-1 composed */
    double *shift;     /* [count+1,K] */
    double *temporary; /* [6,K,K] */
} work;

static int work_open(wf_cpu *cpu, int K, int count, work *w)
{
    size_t square = (size_t)K * (size_t)K, parts = (size_t)count;
    size_t numbers = parts * (square + (size_t)K) + (parts + 1) * (square + (size_t)K) + 6 * square;
    void *memory;
    WF_CHECK(K > 0 && count >= 0 && K < 16384, WF_INTERNAL, "linear: K %d, %d parts", K, count);
    WF_TRY(wf_cpu_scratch(cpu, numbers * sizeof(double), &memory));
    w->matrices = memory;
    w->offsets = w->matrices + parts * square;
    w->product = w->offsets + parts * (size_t)K;
    w->shift = w->product + (parts + 1) * square;
    w->temporary = w->shift + (parts + 1) * (size_t)K;
    return WF_OK;
}

static int part_matrix(int K, const wf_linear_part *part, double *matrix, double *offset, double *temporary)
{
    const float *params = (const float *)part->params;
    for (int i = 0; i < K; i++)
        offset[i] = 0;
    switch (part->kind) {
    case WF_LINEAR_ACTNORM:
        wf_actnorm_matrix(K, params, matrix, offset);
        return WF_OK;
    case WF_LINEAR_DENSE:
        for (int i = 0; i < K * K; i++)
            matrix[i] = (double)params[i];
        return WF_OK;
    case WF_LINEAR_LU:
        for (int i = 0; i < K; i++) /* it indexes memory */
            WF_CHECK(params[i] >= 0 && params[i] < (float)K, WF_DATA,
                     "conv1x1: entry %d of the permutation is %g, not in 0 .. %d", i, (double)params[i], K - 1);
        wf_lu_matrix(K, params, matrix, temporary);
        return WF_OK;
    }
    return wf_fail(WF_INTERNAL, "linear: unknown kind %d", (int)part->kind);
}

/* Fills matrices, offsets, product and shift. */
static int compose(int K, const wf_linear_part *parts, int count, const work *w)
{
    int square = K * K;
    wf_matrix_identity(K, w->product);
    for (int i = 0; i < K; i++)
        w->shift[i] = 0;
    for (int p = 0; p < count; p++) {
        double *matrix = w->matrices + p * square, *offset = w->offsets + p * K;
        WF_TRY(part_matrix(K, &parts[p], matrix, offset, w->temporary));
        wf_matrix_product(K, matrix, w->product + p * square, w->product + (p + 1) * square);
        wf_matrix_apply(K, matrix, w->shift + p * K, offset, w->shift + (p + 1) * K);
    }
    return WF_OK;
}

static void to_float(int n, const double *from, wf_real *to)
{
    for (int i = 0; i < n; i++)
        ((float *)to)[i] = (float)from[i];
}

static int linear_fold(wf_backend *b, int K, const wf_linear_part *parts, int count, const wf_linear *out)
{
    work w;
    int square = K * K;
    WF_TRY(work_open((wf_cpu *)b, K, count, &w));
    WF_TRY(compose(K, parts, count, &w));
    double *A = w.product + count * square, *a = w.shift + count * K;
    double *inverse = w.temporary, *back = w.temporary + square;
    to_float(square, A, out->A);
    to_float(K, a, out->a);
    *out->logdet = wf_matrix_invert(K, A, inverse);
    wf_matrix_apply(K, inverse, a, NULL, back);
    for (int i = 0; i < K; i++)
        back[i] = -back[i];
    to_float(square, inverse, out->B);
    to_float(K, back, out->b);
    return WF_OK;
}

/* dm + dlogdet * m^-T, the whole gradient by a dense matrix. temporary [2,K,K] */
static void dense_gradient(int K, const double *matrix, const double *dm, double dlogdet, double *temporary,
                           float *grads)
{
    double *copy = temporary, *inverse = temporary + K * K;
    for (int i = 0; i < K * K; i++)
        copy[i] = matrix[i];
    wf_matrix_invert(K, copy, inverse);
    for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++)
            grads[i * K + j] = (float)(dm[i * K + j] + dlogdet * inverse[j * K + i]);
}

/* With A = S M R and a = S (M r + c) + ..: S the later parts, R and r the earlier ones, M and c this one:
 * dc = S' da,  dM = S' dA R' + dc r'. Going backward, G = S' dA and dc pass from part to part. */
static int linear_backward(wf_backend *b, int K, const wf_linear_part *parts, int count, const wf_real *dA,
                           const wf_real *da, double dlogdet)
{
    work w;
    int square = K * K;
    WF_TRY(work_open((wf_cpu *)b, K, count, &w));
    WF_TRY(compose(K, parts, count, &w));
    /* The whole product is not needed: its place takes G, and that of its shift dc. */
    double *G = w.product + count * square, *dc = w.shift + count * K, *dm = w.temporary, *rest = dm + square;
    for (int i = 0; i < square; i++)
        G[i] = (double)((const float *)dA)[i];
    for (int i = 0; i < K; i++)
        dc[i] = (double)((const float *)da)[i];
    for (int p = count - 1; p >= 0; p--) {
        const double *matrix = w.matrices + p * square, *r = w.shift + p * K;
        float *grads = (float *)parts[p].grads;
        const float *params = (const float *)parts[p].params;
        wf_matrix_product_bt(K, G, w.product + p * square, dm);
        for (int i = 0; i < square; i++)
            dm[i] += dc[i / K] * r[i % K];
        if (parts[p].kind == WF_LINEAR_ACTNORM)
            wf_actnorm_gradient(K, params, dm, dc, dlogdet, grads);
        else if (parts[p].kind == WF_LINEAR_DENSE)
            dense_gradient(K, matrix, dm, dlogdet, rest, grads);
        else
            wf_lu_gradient(K, params, dm, dlogdet, rest, grads);
        wf_matrix_product_at(K, matrix, G, rest);
        for (int i = 0; i < square; i++)
            G[i] = rest[i];
        wf_matrix_apply_t(K, matrix, dc, rest);
        for (int i = 0; i < K; i++)
            dc[i] = rest[i];
    }
    return WF_OK;
}

void wf_cpu_linear_slots(wf_backend *b)
{
    b->linear_fold = linear_fold;
    b->linear_backward = linear_backward;
}
