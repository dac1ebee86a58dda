/* attention.c - attention as matrix products, one picture and head at a time
 *
 * Rows go in blocks of ROWS, so that their shares of P pixels stay in a core's cache. Products cover only the pixels
 * that the rows of a block attend to. */
#include <omp.h>

#include "cpu.h"

#include "../body/pointwise.h"

enum { ROWS = 64 };

/* c [m,n] = alpha a b + beta c, with rows lda, ldb, ldc apart; a and b are transposed if asked. Returns a code without
 * a message: messages are per thread, and the caller sets one. */
static int product(bool ta, bool tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                   float beta, float *c, int ldc)
{
    dnnl_status_t status = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return status == dnnl_success ? WF_OK : status == dnnl_out_of_memory ? WF_AGAIN : WF_INTERNAL;
}

/* The arguments of a slot, and the start of one head of one picture: q, k and v point to rows of 3C numbers. */
typedef struct head {
    wf_reach reach;
    int P, C, d;
    const float *q, *k, *v;
    size_t plain, at; /* offset in a tensor of C channels; offset in one of 3C */
} head;

static head head_of(wf_reach reach, int P, int C, int heads, const wf_real *qkv, int i)
{
    size_t picture = (size_t)(i / heads) * (size_t)P * (size_t)C, channel = (size_t)(i % heads * (C / heads));
    head h = {reach, P, C, C / heads, .plain = picture + channel, .at = 3 * picture + channel};
    h.q = (const float *)qkv + h.at;
    h.k = h.q + C;
    h.v = h.k + C;
    return h;
}

/* Up to ROWS rows of a head's shares [P,P], from row `at` on, and the columns that any of them attends to. */
typedef struct block {
    int at, rows, first, count;
    size_t q, k; /* offsets of its queries and its keys, in rows of 3C numbers */
    size_t y;    /* offset of its results, in rows of C */
} block;

static block block_of(const head *h, int at)
{
    int end = at + ROWS < h->P ? at + ROWS : h->P, first = wf_reach_first(h->reach, at);
    size_t C = (size_t)h->C;
    return (block){at,
                   end - at,
                   first,
                   wf_reach_end(h->reach, end - 1, h->P) - first,
                   3 * C * (size_t)at,
                   3 * C * (size_t)first,
                   C * (size_t)at};
}

/* Replaces each row of s [rows,count] by its softmax; 0 where the row does not attend. */
static void softmax(const head *h, const block *b, float *s)
{
    for (int i = 0; i < b->rows; i++) {
        int pixel = b->at + i;
        int first = wf_reach_first(h->reach, pixel) - b->first, end = wf_reach_end(h->reach, pixel, h->P) - b->first;
        float *row = s + (size_t)i * (size_t)b->count, largest = row[first], sum = 0;
#pragma omp simd reduction(max : largest)
        for (int j = first; j < end; j++)
            largest = row[j] > largest ? row[j] : largest;
#pragma omp simd reduction(+ : sum)
        for (int j = first; j < end; j++) {
            row[j] = wf_exp(row[j] - largest);
            sum += row[j];
        }
        for (int j = first; j < end; j++)
            row[j] *= 1 / sum;
        for (int j = 0; j < first; j++)
            row[j] = 0;
        for (int j = end; j < b->count; j++)
            row[j] = 0;
    }
}

static int shares(const head *h, const block *b, float *s)
{
    WF_TRY(product(false, true, b->rows, b->count, h->d, 1 / sqrtf((float)h->d), h->q + b->q, 3 * h->C, h->k + b->k,
                   3 * h->C, 0, s, b->count));
    softmax(h, b, s);
    return WF_OK;
}

/* Scratch for `squares` blocks of shares for each thread. */
static int room(wf_backend *b, int P, int squares, float **out)
{
    void *memory;
    size_t one = (size_t)squares * ROWS * (size_t)P;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, (size_t)b->threads * one * sizeof(float), &memory));
    *out = memory;
    return WF_OK;
}

static int attend_block(const head *h, int at, float *s, float *y)
{
    block b = block_of(h, at);
    WF_TRY(shares(h, &b, s));
    return product(false, false, b.rows, h->d, b.count, 1, s, b.count, h->v + b.k, 3 * h->C, 0, y + h->plain + b.y,
                   h->C);
}

static int attend(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv, wf_real *y)
{
    float *s;
    int status = WF_OK, blocks = (P + ROWS - 1) / ROWS;
    size_t work = (size_t)N * (size_t)heads * (size_t)P * (size_t)P;
    WF_TRY(room(b, P, 1, &s));
#pragma omp parallel for schedule(static) num_threads(b->threads) reduction(max : status) if (work > WF_CPU_PARALLEL)
    for (int i = 0; i < N * heads * blocks; i++) {
        head h = head_of(reach, P, C, heads, qkv, i / blocks);
        float *mine = s + (size_t)omp_get_thread_num() * ROWS * (size_t)P;
        int now = attend_block(&h, i % blocks * ROWS, mine, (float *)y);
        status = now > status ? now : status;
    }
    WF_CHECK(!status, status, "attention: a matrix product fails");
    return WF_OK;
}

/* Replaces ds, the gradient by the shares s of the same block, by the gradient by the input of the softmax. */
static void softmax_backward(const block *b, const float *s, float *ds)
{
    for (int i = 0; i < b->rows; i++) {
        const float *share = s + (size_t)i * (size_t)b->count;
        float *row = ds + (size_t)i * (size_t)b->count, mean = 0;
#pragma omp simd reduction(+ : mean)
        for (int j = 0; j < b->count; j++)
            mean += share[j] * row[j];
        for (int j = 0; j < b->count; j++)
            row[j] = share[j] * (row[j] - mean);
    }
}

/* Computes one head's part of dqkv. A block writes its rows of dq, and adds to the rows of dk and dv that it attends
 * to. */
static int head_backward(const head *h, float *s, const float *dy, float *dqkv)
{
    int wide = 3 * h->C, d = h->d;
    float *ds = s + (size_t)ROWS * (size_t)h->P, *dq = dqkv + h->at, *dk = dq + h->C, *dv = dk + h->C;
    float scale = 1 / sqrtf((float)d);
    for (int i = 0; i < h->P; i++)
        for (int c = 0; c < d; c++)
            dk[(size_t)i * (size_t)wide + (size_t)c] = dv[(size_t)i * (size_t)wide + (size_t)c] = 0;
    for (int at = 0; at < h->P; at += ROWS) {
        block b = block_of(h, at);
        const float *g = dy + h->plain + b.y;
        WF_TRY(shares(h, &b, s));
        WF_TRY(product(true, false, b.count, d, b.rows, 1, s, b.count, g, h->C, 1, dv + b.k, wide));
        WF_TRY(product(false, true, b.rows, b.count, d, 1, g, h->C, h->v + b.k, wide, 0, ds, b.count));
        softmax_backward(&b, s, ds);
        WF_TRY(product(false, false, b.rows, d, b.count, scale, ds, b.count, h->k + b.k, wide, 0, dq + b.q, wide));
        WF_TRY(product(true, false, b.count, d, b.rows, scale, ds, b.count, h->q + b.q, wide, 1, dk + b.k, wide));
    }
    return WF_OK;
}

static int attend_backward(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv,
                           const wf_real *dy, wf_real *dqkv)
{
    float *s;
    int status = WF_OK;
    size_t work = (size_t)N * (size_t)heads * (size_t)P * (size_t)P;
    WF_TRY(room(b, P, 2, &s));
#pragma omp parallel for schedule(static) num_threads(b->threads) reduction(max : status) if (work > WF_CPU_PARALLEL)
    for (int i = 0; i < N * heads; i++) {
        head h = head_of(reach, P, C, heads, qkv, i);
        float *mine = s + (size_t)omp_get_thread_num() * 2 * ROWS * (size_t)P;
        int now = head_backward(&h, mine, (const float *)dy, (float *)dqkv);
        status = now > status ? now : status;
    }
    WF_CHECK(!status, status, "attention: a matrix product fails");
    return WF_OK;
}

void wf_cpu_attention_slots(wf_backend *b)
{
    b->attend = attend;
    b->attend_backward = attend_backward;
}
