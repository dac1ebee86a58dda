/* attention.c - attention as matrix products: one picture and head at a time, whose P x P shares fit into a cache */
#include "cpu.h"

#include "../body/elementary.h"

/* c [m,n] = alpha a b + beta c, rows lda, ldb, ldc apart; a and b transposed if asked. */
static int product(bool ta, bool tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                   float beta, float *c, int ldc)
{
    dnnl_status_t status = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    WF_CHECK(status == dnnl_success, WF_INTERNAL, "attention: dnnl_sgemm fails with %d", (int)status);
    return WF_OK;
}

/* Each row of s [P,P] to its softmax. */
static void softmax(int P, float *s)
{
#pragma omp parallel for schedule(static) if ((size_t)P * (size_t)P > WF_CPU_PARALLEL)
    for (int i = 0; i < P; i++) {
        float *row = s + (size_t)i * (size_t)P, largest = row[0], sum = 0;
#pragma omp simd reduction(max : largest)
        for (int j = 1; j < P; j++)
            largest = row[j] > largest ? row[j] : largest;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < P; j++) {
            row[j] = wf_exp(row[j] - largest);
            sum += row[j];
        }
        for (int j = 0; j < P; j++)
            row[j] *= 1 / sum;
    }
}

/* What is one head of one picture: q, k and v, rows of 3C numbers. */
typedef struct head {
    const float *q, *k, *v;
    size_t plain, first; /* its picture in a tensor of C channels; its first channel */
    int d;
} head;

static head head_of(int P, int C, int heads, const wf_real *qkv, int i)
{
    size_t plain = (size_t)(i / heads) * (size_t)P * (size_t)C, first = (size_t)(i % heads * (C / heads));
    const float *q = (const float *)qkv + 3 * plain + first;
    return (head){q, q + C, q + 2 * C, plain, first, C / heads};
}

static int shares(const head *h, int P, int C, float *s)
{
    WF_TRY(product(false, true, P, P, h->d, 1 / sqrtf((float)h->d), h->q, 3 * C, h->k, 3 * C, 0, s, P));
    softmax(P, s);
    return WF_OK;
}

static int attend(wf_backend *b, int N, int P, int C, int heads, const wf_real *qkv, wf_real *y)
{
    void *s;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, (size_t)P * (size_t)P * sizeof(float), &s));
    for (int i = 0; i < N * heads; i++) {
        head h = head_of(P, C, heads, qkv, i);
        WF_TRY(shares(&h, P, C, s));
        WF_TRY(product(false, false, P, h.d, P, 1, s, P, h.v, 3 * C, 0, (float *)y + h.plain + h.first, C));
    }
    return WF_OK;
}

/* ds [P,P], by the shares s, to the gradient by what the softmax was of. */
static void softmax_backward(int P, const float *s, float *ds)
{
#pragma omp parallel for schedule(static) if ((size_t)P * (size_t)P > WF_CPU_PARALLEL)
    for (int i = 0; i < P; i++) {
        const float *share = s + (size_t)i * (size_t)P;
        float *row = ds + (size_t)i * (size_t)P, mean = 0;
#pragma omp simd reduction(+ : mean)
        for (int j = 0; j < P; j++)
            mean += share[j] * row[j];
        for (int j = 0; j < P; j++)
            row[j] = share[j] * (row[j] - mean);
    }
}

static int attend_backward(wf_backend *b, int N, int P, int C, int heads, const wf_real *qkv, const wf_real *dy,
                           wf_real *dqkv)
{
    void *memory;
    size_t square = (size_t)P * (size_t)P;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, 2 * square * sizeof(float), &memory));
    float *s = memory, *ds = s + square;
    for (int i = 0; i < N * heads; i++) {
        head h = head_of(P, C, heads, qkv, i);
        const float *g = (const float *)dy + h.plain + h.first;
        float *dq = (float *)dqkv + 3 * h.plain + h.first, scale = 1 / sqrtf((float)h.d);
        WF_TRY(shares(&h, P, C, s));
        WF_TRY(product(true, false, P, h.d, P, 1, s, P, g, C, 0, dq + 2 * C, 3 * C));
        WF_TRY(product(false, true, P, P, h.d, 1, g, C, h.v, 3 * C, 0, ds, P));
        softmax_backward(P, s, ds);
        WF_TRY(product(false, false, P, h.d, P, scale, ds, P, h.k, 3 * C, 0, dq, 3 * C));
        WF_TRY(product(true, false, P, h.d, P, scale, ds, P, h.q, 3 * C, 0, dq + C, 3 * C));
    }
    return WF_OK;
}

void wf_cpu_attention_slots(wf_backend *b)
{
    b->attend = attend;
    b->attend_backward = attend_backward;
}
