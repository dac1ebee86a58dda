/* muon.cu - Muon on the smaller side of each matrix, as kernels/cpu/muon.c has it, all matrices in each launch
 *
 * A block has a tile of a product, and 17 launches of products follow one another: a matrix of 48 x 432 has 4 tiles in
 * most of them, so the matrices of a flow fill a card together. */
#include "cuda.h"

#include "../body/pointwise.h"

enum { MATRICES = 64, TILE = 32, SQUARES = 4 };

/* A matrix [rows,columns] at `where`; its squares [SQUARES,n,n] and its norm at `work`, n the smaller side. */
typedef struct entry {
    size_t where, work;
    int rows, columns, n;
} entry;

/* A kernel's parameter is passed by value, so a recording keeps it. */
typedef struct muon_batch {
    entry entries[MATRICES];
} muon_batch;

/* Elements of a matrix in memory: those of row i and column j at i * row + j * column. */
typedef struct operand {
    const float *at;
    size_t row, column;
} operand;

static __device__ __forceinline__ float element(operand a, int i, int j, int rows, int columns)
{
    return i < rows && j < columns ? a.at[(size_t)i * a.row + (size_t)j * a.column] : 0.0f;
}

/* sums = a thread's 4 elements of a tile of A [rows,k] B [k,columns]: column `left + thread % TILE`, rows `top + thread
 * / TILE` and those 8, 16 and 24 below. */
static __device__ __forceinline__ void multiply_tile(operand A, operand B, int rows, int k, int columns, int top,
                                                     int left, float sums[4])
{
    __shared__ float a[TILE][TILE + 1], b[TILE][TILE + 1];
    int x = (int)threadIdx.x % TILE, y = (int)threadIdx.x / TILE;
    for (int i = 0; i < 4; i++)
        sums[i] = 0;
    for (int at = 0; at < k; at += TILE) {
        for (int i = y; i < TILE; i += 8) {
            a[i][x] = element(A, top + i, at + x, rows, k);
            b[i][x] = element(B, at + i, left + x, k, columns);
        }
        __syncthreads();
        for (int c = 0; c < TILE; c++)
            for (int i = 0; i < 4; i++)
                sums[i] += a[y + 8 * i][c] * b[c][x];
        __syncthreads();
    }
}

static __device__ __forceinline__ operand square(const entry *e, const float *work, int i)
{
    size_t n = (size_t)e->n;
    return operand{work + e->work + (size_t)i * n * n, n, 1};
}

/* Tile blockIdx.x of [rows,columns]; false past the last. */
static __device__ __forceinline__ bool find_tile(int rows, int columns, int *top, int *left)
{
    int across = (columns + TILE - 1) / TILE, down = (rows + TILE - 1) / TILE, i = (int)blockIdx.x;
    *top = i / across * TILE;
    *left = i % across * TILE;
    return i < across * down;
}

/* Writes the sums into square `to`: their value, or a [i == j] + b G + c times it, G square `from`. */
static __device__ __forceinline__ void store_tile(const entry *e, float *work, int to, int from, bool polynomial,
                                                  int top, int left, const float sums[4])
{
    int x = left + (int)threadIdx.x % TILE, y = top + (int)threadIdx.x / TILE;
    size_t n = (size_t)e->n;
    float *out = work + e->work + (size_t)to * n * n;
    const float *G = work + e->work + (size_t)from * n * n;
    for (int i = 0; i < 4; i++) {
        int row = y + 8 * i;
        size_t at = (size_t)row * n + (size_t)x;
        if (row < e->n && x < e->n)
            out[at] = !polynomial ? sums[i] : wf_muon_polynomial_one(G[at], sums[i]) + (row == x ? WF_MUON_LINEAR : 0);
    }
}

/* Square 0 = u u' or u' u. */
static __global__ void __launch_bounds__(256) make_squares(muon_batch all, const float *u, float *work)
{
    const entry *e = &all.entries[blockIdx.y];
    bool wide = e->rows <= e->columns;
    size_t columns = (size_t)e->columns;
    int top, left;
    float sums[4];
    if (!find_tile(e->n, e->n, &top, &left))
        return;
    operand A = {u + e->where, wide ? columns : 1, wide ? 1 : columns}, B = {u + e->where, A.column, A.row};
    multiply_tile(A, B, e->n, wide ? e->columns : e->rows, e->n, top, left, sums);
    store_tile(e, work, 0, 0, false, top, left, sums);
}

/* Divides square 0 by its trace; keeps what u is to be multiplied by. */
static __global__ void __launch_bounds__(256) normalize(muon_batch all, float *work)
{
    const entry *e = &all.entries[blockIdx.x];
    __shared__ float norms[2];
    size_t n = (size_t)e->n;
    float *G = work + e->work;
    double sum = 0;
    for (size_t i = threadIdx.x; i < n; i += blockDim.x)
        sum += (double)G[i * n + i];
    sum = wf_cuda_block_sum(sum);
    if (threadIdx.x == 0) {
        double norm = fmax(sqrt(sum), 1e-7);
        norms[0] = (float)(1 / (norm * norm));
        norms[1] = (float)(1 / norm);
        G[SQUARES * n * n] = norms[1];
    }
    __syncthreads();
    for (size_t i = threadIdx.x; i < n * n; i += blockDim.x)
        G[i] *= norms[0];
}

/* Square `to` = square a times square b; `polynomial`: a = b = G, and to = T. */
static __global__ void __launch_bounds__(256)
    multiply_squares(muon_batch all, int a, int b, bool polynomial, int to, float *work)
{
    const entry *e = &all.entries[blockIdx.y];
    int top, left;
    float sums[4];
    if (!find_tile(e->n, e->n, &top, &left))
        return;
    multiply_tile(square(e, work, a), square(e, work, b), e->n, e->n, e->n, top, left, sums);
    store_tile(e, work, to, a, polynomial, top, left, sums);
}

/* O = P u or u P, P square `p`, and the step. */
static __global__ void __launch_bounds__(256) step_matrices(const wf_muon *rule, muon_batch all, int p, const float *u,
                                                            const float *work, float *w, float *ema, const double *bad)
{
    const entry *e = &all.entries[blockIdx.y];
    int top, left;
    float sums[4];
    if (*bad != 0 || !find_tile(e->rows, e->columns, &top, &left))
        return;
    operand P = square(e, work, p), U = {u + e->where, (size_t)e->columns, 1};
    bool wide = e->rows <= e->columns;
    multiply_tile(wide ? P : U, wide ? U : P, e->rows, e->n, e->columns, top, left, sums);
    float norm = work[e->work + SQUARES * (size_t)e->n * (size_t)e->n], keep_decay = (float)(1 - rule->decay);
    float rate = (float)(rule->rate * sqrt((double)(wide ? e->columns : e->rows))) * norm;
    int x = left + (int)threadIdx.x % TILE, y = top + (int)threadIdx.x / TILE;
    for (int i = 0; i < 4; i++) {
        size_t at = e->where + (size_t)(y + 8 * i) * (size_t)e->columns + (size_t)x;
        if (y + 8 * i < e->rows && x < e->columns)
            wf_muon_step_one(sums[i], rate, keep_decay, &w[at], &ema[at]);
    }
}

static unsigned tiles(int rows, int columns)
{
    return (unsigned)(((rows + TILE - 1) / TILE) * ((columns + TILE - 1) / TILE));
}

/* Fills a batch. Returns the floats of its scratch; writes the most tiles of a square and of a matrix. */
static size_t fill_batch(int count, const wf_matrix *matrices, muon_batch *all, unsigned *squares, unsigned *whole)
{
    size_t used = 0;
    *squares = *whole = 0;
    for (int i = 0; i < count; i++) {
        const wf_matrix *a = &matrices[i];
        int n = a->rows < a->columns ? a->rows : a->columns;
        all->entries[i] = entry{a->where, used, a->rows, a->columns, n};
        used += SQUARES * (size_t)n * (size_t)n + 1;
        *squares = tiles(n, n) > *squares ? tiles(n, n) : *squares;
        *whole = tiles(a->rows, a->columns) > *whole ? tiles(a->rows, a->columns) : *whole;
    }
    return used;
}

/* All steps on the squares; returns in *p the number of the one that is P. Square 0 is G. */
static int launch_polynomials(wf_cuda *cuda, const muon_batch *all, dim3 grid, float *work, int *p)
{
    int P = 1, T = 2, spare = 3;
    for (int step = 0; step < WF_MUON_STEPS; step++) {
        int now = step ? T : P;
        WF_RUN(multiply_squares, grid, 256u, 0, *all, 0, 0, true, now, work);
        if (step) {
            int before = P;
            WF_RUN(multiply_squares, grid, 256u, 0, *all, T, P, false, spare, work);
            P = spare;
            spare = before;
        }
        if (step + 1 < WF_MUON_STEPS) {
            WF_RUN(multiply_squares, grid, 256u, 0, *all, now, 0, false, spare, work);
            WF_RUN(multiply_squares, grid, 256u, 0, *all, spare, now, false, 0, work);
        }
    }
    *p = P;
    return WF_OK;
}

static int muon_step(wf_backend *b, const wf_muon *rule, int count, const wf_matrix *matrices, const wf_real *u,
                     wf_real *w, wf_real *ema, const double *bad)
{
    wf_cuda *cuda = (wf_cuda *)b;
    const wf_muon *device;
    if (count)
        WF_TRY(wf_cuda_argument(cuda, rule, sizeof *rule, &device));
    for (int at = 0; at < count; at += MATRICES) {
        int part = count - at < MATRICES ? count - at : (int)MATRICES, p = 0;
        unsigned squares, whole;
        float *work;
        muon_batch all = {};
        size_t floats = fill_batch(part, matrices + at, &all, &squares, &whole);
        dim3 grid(squares, (unsigned)part), wide(whole, (unsigned)part);
        WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, floats * sizeof *work, &work));
        WF_RUN(make_squares, grid, 256u, 0, all, (const float *)u, work);
        WF_RUN(normalize, (unsigned)part, 256u, 0, all, work);
        WF_TRY(launch_polynomials(cuda, &all, grid, work, &p));
        WF_RUN(step_matrices, wide, 256u, 0, device, all, p, (const float *)u, (const float *)work, (float *)w,
               (float *)ema, bad);
    }
    return WF_OK;
}

static __global__ void __launch_bounds__(WF_CUDA_THREADS)
    average(const wf_muon *rule, size_t n, float *m, float *u, const float *g, const double *bad)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && *bad == 0)
        wf_muon_momentum_one(g[i], (float)rule->momentum, (float)(1 - rule->momentum), &m[i], &u[i]);
}

static int muon_momentum(wf_backend *b, const wf_muon *rule, size_t n, wf_real *m, wf_real *u, const wf_real *g,
                         double *bad)
{
    wf_cuda *cuda = (wf_cuda *)b;
    const wf_muon *device;
    WF_TRY(wf_cuda_argument(cuda, rule, sizeof *rule, &device));
    WF_TRY(wf_cuda_find_bad(cuda, n, (const float *)g, bad));
    WF_RUN(average, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, device, n, (float *)m, (float *)u,
           (const float *)g, (const double *)bad);
    return WF_OK;
}

void wf_cuda_muon_slots(wf_backend *b)
{
    b->muon_momentum = muon_momentum;
    b->muon_step = muon_step;
}
