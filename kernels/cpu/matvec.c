/* matvec.c - one K x K matrix times the channels of every pixel, and its gradients
 *
 * Pixels hold K contiguous floats. A pixel's product is K multiply-adds of a column of A, 16 rows at a time, with one
 * broadcast channel. Nothing is transposed, and K <= 16 runs near memory speed. Blocks of pixels are staged in scratch,
 * so that work in place is safe and vectors may read past the last pixel. */
#include "cpu.h"
#include "vec.h"

#include <omp.h>
#include <string.h>

enum {
    PIXELS = 64, /* pixels of a staged block */
    TILE = 8,    /* pixels whose sums stay in registers */
    ROWS = 12,   /* rows of dA whose sums stay in registers */
};

typedef struct matvec_call {
    int K, padded; /* K rounded up to whole vectors */
    size_t n, blocks;
    float *columns; /* [K,padded]: column j of the matrix at j * padded */
    float *offset;  /* [padded] */
    float *stages;  /* [threads,2,stage] */
    size_t stage;
    double *sums; /* [threads,K+1,K]: rows of dA, then da */
} matvec_call;

/* Fills in the columns of A, or of A' if transposed; offset NULL: zero. */
static int call_open(wf_cpu *cpu, size_t n, int K, const float *A, bool transposed, const float *offset, matvec_call *m)
{
    WF_CHECK(K > 0 && K < 16384, WF_INTERNAL, "matvec: K is %d, expected 1 to 16383", K);
    size_t k = (size_t)K, padded = (k + WF_LANES - 1) / WF_LANES * WF_LANES, threads = (size_t)cpu->base.threads;
    size_t stage = (PIXELS + 1) * k + 2 * WF_LANES, sums = threads * (k + 1) * k;
    void *memory;
    WF_TRY(
        wf_cpu_scratch(cpu, sums * sizeof(double) + ((k + 1) * padded + threads * 2 * stage) * sizeof(float), &memory));
    m->K = K;
    m->padded = (int)padded;
    m->n = n;
    m->blocks = (n + PIXELS - 1) / PIXELS;
    m->stage = stage;
    m->sums = memory;
    m->columns = (float *)(m->sums + sums);
    m->offset = m->columns + k * padded;
    m->stages = m->offset + padded;
    memset(m->columns, 0, (k + 1) * padded * sizeof(float));
    for (size_t i = 0; i < k; i++) {
        for (size_t j = 0; j < k; j++)
            m->columns[j * padded + i] = transposed ? A[j * k + i] : A[i * k + j];
        m->offset[i] = offset ? offset[i] : 0;
    }
    return WF_OK;
}

/* x: a staged block; y: `pixels` rows of K outside of scratch. */
static void multiply_block(const matvec_call *m, const float *x, int pixels, float *y)
{
    int K = m->K;
    for (int v = 0; v < m->padded; v += WF_LANES)
        for (int p = 0; p < pixels; p += TILE) {
            int lanes = K - v < WF_LANES ? K - v : WF_LANES, left = pixels - p < TILE ? pixels - p : TILE;
            const float *column = m->columns + v, *from = x + p * K;
            wf_vec sum[TILE];
            for (int q = 0; q < TILE; q++)
                wf_vec_load(&sum[q], m->offset + v);
            for (int j = 0; j < K; j++) {
                wf_vec c;
                wf_vec_load(&c, column + j * m->padded);
#pragma GCC unroll 8
                for (int q = 0; q < TILE; q++)
                    wf_vec_add_scaled(&sum[q], &c, from[q * K + j]);
            }
#pragma GCC unroll 8
            for (int q = 0; q < TILE; q++)
                if (q < left)
                    wf_vec_store(y + (p + q) * K + v, &sum[q], lanes);
        }
}

/* Adds dy x' and dy over the pixels of two staged blocks to sums; in float within a block, in double across blocks. */
static void outer_block(const matvec_call *m, const float *dy, const float *x, int pixels, double *sums)
{
    int K = m->K;
    for (int row = 0; row < K; row += ROWS)
        for (int v = 0; v < K; v += WF_LANES) {
            wf_vec sum[ROWS] = {{0}};
            for (int p = 0; p < pixels; p++) {
                wf_vec channel;
                wf_vec_load(&channel, x + p * K + v);
#pragma GCC unroll 12
                for (int r = 0; r < ROWS; r++) /* rows and lanes past K are computed and not used */
                    wf_vec_add_scaled(&sum[r], &channel, dy[p * K + row + r]);
            }
            for (int r = 0; r < ROWS && row + r < K; r++) {
                float lanes[WF_LANES];
                wf_vec_store(lanes, &sum[r], WF_LANES);
                for (int i = 0; i < WF_LANES && v + i < K; i++)
                    sums[(row + r) * K + v + i] += (double)lanes[i];
            }
        }
    for (int p = 0; p < pixels; p++)
        for (int i = 0; i < K; i++)
            sums[K * K + i] += (double)dy[p * K + i];
}

/* Copies a block into a stage. Tiles read pixels past the block in the stage; the values of these do not matter. */
static int stage_block(const matvec_call *m, size_t block, const float *x, float *stage)
{
    size_t first = block * PIXELS, pixels = m->n - first < PIXELS ? m->n - first : PIXELS;
    memcpy(stage, x + first * (size_t)m->K, pixels * (size_t)m->K * sizeof(float));
    return (int)pixels;
}

static int matvec(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *a, const wf_real *x, wf_real *y)
{
    matvec_call m;
    WF_TRY(call_open((wf_cpu *)b, n, K, (const float *)A, false, (const float *)a, &m));
    const float *from = (const float *)x;
    float *to = (float *)y;
#pragma omp parallel for schedule(static) num_threads(b->threads) if (n * (size_t)K > WF_CPU_PARALLEL)
    for (size_t block = 0; block < m.blocks; block++) {
        float *stage = m.stages + (size_t)omp_get_thread_num() * 2 * m.stage;
        int pixels = stage_block(&m, block, from, stage);
        multiply_block(&m, stage, pixels, to + block * PIXELS * (size_t)K);
    }
    return WF_OK;
}

static int matvec_backward(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *x, wf_real *g, wf_real *dA,
                           wf_real *da)
{
    matvec_call m;
    WF_TRY(call_open((wf_cpu *)b, n, K, (const float *)A, true, NULL, &m));
    size_t k = (size_t)K, all = (k + 1) * k;
    bool sums = dA || da;
    const float *from = (const float *)x;
    float *dy = (float *)g;
    if (sums)
        memset(m.sums, 0, (size_t)b->threads * all * sizeof(double));
#pragma omp parallel for schedule(static) num_threads(b->threads) if (n * k > WF_CPU_PARALLEL)
    for (size_t block = 0; block < m.blocks; block++) {
        size_t thread = (size_t)omp_get_thread_num();
        float *gradient = m.stages + thread * 2 * m.stage, *input = gradient + m.stage;
        int pixels = stage_block(&m, block, dy, gradient);
        if (sums) {
            stage_block(&m, block, from, input);
            outer_block(&m, gradient, input, pixels, m.sums + thread * all);
        }
        multiply_block(&m, gradient, pixels, dy + block * PIXELS * k);
    }
    for (size_t i = 0; sums && i < all; i++) {
        double sum = 0;
        for (size_t t = 0; t < (size_t)b->threads; t++)
            sum += m.sums[t * all + i];
        if (i < k * k && dA)
            ((float *)dA)[i] = (float)sum;
        if (i >= k * k && i < k * k + k && da)
            ((float *)da)[i - k * k] = (float)sum;
    }
    return WF_OK;
}

void wf_cpu_matvec_slots(wf_backend *b)
{
    b->matvec = matvec;
    b->matvec_backward = matvec_backward;
}
