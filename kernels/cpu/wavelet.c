/* wavelet.c - one level of the separable periodic wavelet transform
 *
 * low-pass h, high-pass g[k] = (-1)^k h[count-1-k];  low[i] = sum_k h[k] x[(2i+k-(count/2-1)) mod n], detail with g.
 * Detail channel = 3 * colour + band: 0 high along the row, 1 high along the column, 2 high along both. The orthonormal
 * low-pass in two dimensions, halved, is an average. */
#include "cpu.h"

#include "../body/pointwise.h"

#include <string.h>

/* Threads are named in each loop: a backend may be used by another thread than the one that opened it, whose number OpenMP
 * does not know. */

/* -- Haar: a 2x2 block at a time, in one pass ---------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void haar_row(int W, int C, const float *x, float *low, float *detail)
{
    const float *below = x + (size_t)W * (size_t)C;
    for (int i = 0; i < W / 2; i++, x += 2 * C, below += 2 * C, low += C, detail += 3 * C)
        for (int c = 0; c < C; c++)
            wf_haar_forward_one(x[c], x[C + c], below[c], below[C + c], &low[c], detail + 3 * c);
}

static inline __attribute__((always_inline)) void haar_row_back(int W, int C, const float *low, const float *detail,
                                                                float *x)
{
    float *below = x + (size_t)W * (size_t)C;
    for (int i = 0; i < W / 2; i++, x += 2 * C, below += 2 * C, low += C, detail += 3 * C)
        for (int c = 0; c < C; c++)
            wf_haar_inverse_one(low[c], detail + 3 * c, &x[c], &x[C + c], &below[c], &below[C + c]);
}

static void haar(int threads, int N, int H, int W, int C, const float *x, float *low, float *detail)
{
    size_t row = (size_t)W * (size_t)C, rows = (size_t)N * (size_t)(H / 2);
#pragma omp parallel for schedule(static) num_threads(threads) if (rows * row > WF_CPU_PARALLEL)
    for (size_t r = 0; r < rows; r++) {
        const float *from = x + 2 * r * row;
        float *l = low + r * row / 2, *d = detail + r * row / 2 * 3;
        if (C == 3) /* a constant lets the compiler unroll */
            haar_row(W, 3, from, l, d);
        else
            haar_row(W, C, from, l, d);
    }
}

static void haar_back(int threads, int N, int H, int W, int C, const float *low, const float *detail, float *x)
{
    size_t row = (size_t)W * (size_t)C, rows = (size_t)N * (size_t)(H / 2);
#pragma omp parallel for schedule(static) num_threads(threads) if (rows * row > WF_CPU_PARALLEL)
    for (size_t r = 0; r < rows; r++) {
        const float *l = low + r * row / 2, *d = detail + r * row / 2 * 3;
        float *to = x + 2 * r * row;
        if (C == 3)
            haar_row_back(W, 3, l, d, to);
        else
            haar_row_back(W, C, l, d, to);
    }
}

/* -- any taps --------------------------------------------------------------------------------------------------------
 *
 * Memory sees every number once: a row of results needs as many filtered rows as there are taps, and those stay in the
 * cache until the rows of results have passed them. Pixels are parted first, those at even places from those at odd ones;
 * all else is then sums of `count` rows of neighbouring floats, whatever C is, in the order of the taps. */

/* STRIP: numbers of one band in a row of a strip, at most. BLOCK: numbers that one loop of two_sums makes. */
enum { STRIP = 2048, BLOCK = 32, RING = 32768, MOST_TAPS = 64, MOST_CHANNELS = 16 };
enum { REACH = (MOST_TAPS / 2 - 1) * MOST_CHANNELS };

/* Taps of the two sums that a pass takes of the same rows. Forward: h and g of neighbouring places. Back: low and high
 * rows alternate, the latest first, and make the first of two places of the even taps, h[0] g[0] h[2] g[2] .., the second
 * of the odd ones. */
typedef struct filter {
    int count;
    float first[MOST_TAPS], second[MOST_TAPS];
} filter;

static float high_pass(const double *taps, int count, int k)
{
    return (float)(k % 2 ? -taps[count - 1 - k] : taps[count - 1 - k]);
}

static filter analysis(const double *taps, int count)
{
    filter f = {.count = count};
    for (int k = 0; k < count; k++) {
        f.first[k] = (float)taps[k];
        f.second[k] = high_pass(taps, count, k);
    }
    return f;
}

static filter synthesis(const double *taps, int count)
{
    filter f = {.count = count};
    for (int k = 0; k < count; k += 2) {
        f.first[k] = (float)taps[k];
        f.first[k + 1] = high_pass(taps, count, k);
        f.second[k] = (float)taps[k + 1];
        f.second[k + 1] = high_pass(taps, count, k + 1);
    }
    return f;
}

/* Of BLOCK numbers; fields, not an array, because gcc keeps those in registers. */
typedef float eight __attribute__((vector_size(32)));
typedef struct block {
    eight a, b, c, d;
} block;

#define INLINE static inline __attribute__((always_inline))

INLINE void block_load(block *v, const float *from)
{
    memcpy(&v->a, from, sizeof v->a);
    memcpy(&v->b, from + 8, sizeof v->b);
    memcpy(&v->c, from + 16, sizeof v->c);
    memcpy(&v->d, from + 24, sizeof v->d);
}

INLINE void block_add_scaled(block *sum, const block *v, float x)
{
    sum->a += v->a * x;
    sum->b += v->b * x;
    sum->c += v->c * x;
    sum->d += v->d * x;
}

INLINE void block_store(float *to, const block *v)
{
    memcpy(to, &v->a, sizeof v->a);
    memcpy(to + 8, &v->b, sizeof v->b);
    memcpy(to + 16, &v->c, sizeof v->c);
    memcpy(to + 24, &v->d, sizeof v->d);
}

/* p[i] = sum_k first[k] rows[k][i], and q with second, for i < n and on to the end of a block. Meanwhile 2 n numbers come from
 * `ahead` (NULL: nothing does) into the cache, which otherwise would wait for memory after all sums are done. */
static void two_sums(const filter *f, const float *const *rows, size_t n, float *p, float *q, const float *ahead)
{
    for (size_t i = 0; i < n; i += BLOCK) {
        for (size_t j = 0; ahead && j < 2 * BLOCK; j += 16)
            __builtin_prefetch(ahead + 2 * i + j, 0, 2);
        block a = {{0}, {0}, {0}, {0}}, b = a, v;
        for (int k = 0; k < f->count; k++) {
            block_load(&v, rows[k] + i);
            block_add_scaled(&a, &v, f->first[k]);
            block_add_scaled(&b, &v, f->second[k]);
        }
        block_store(p + i, &a);
        block_store(q + i, &b);
    }
}

/* -- pixels at even and at odd places */

static inline __attribute__((always_inline)) void part_any(size_t C, size_t n, const float *x, float *even, float *odd)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < C; c++) {
            even[i * C + c] = x[2 * i * C + c];
            odd[i * C + c] = x[(2 * i + 1) * C + c];
        }
}

/* n pairs of pixels. Of three channels four floats are copied at once, of which the next overwrites the last. */
static void part(size_t C, size_t n, const float *x, float *even, float *odd)
{
    size_t i = 0;
    if (C == 1)
        part_any(1, n, x, even, odd);
    else if (C == 3) {
        for (; i + 1 < n; i++) {
            memcpy(even + 3 * i, x + 6 * i, 4 * sizeof *x);
            memcpy(odd + 3 * i, x + 6 * i + 3, 4 * sizeof *x);
        }
        part_any(3, n - i, x + 6 * i, even + 3 * i, odd + 3 * i);
    } else
        part_any(C, n, x, even, odd);
}

static inline __attribute__((always_inline)) void pair_any(size_t C, size_t n, const float *even, const float *odd,
                                                           float *x)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < C; c++) {
            x[2 * i * C + c] = even[i * C + c];
            x[(2 * i + 1) * C + c] = odd[i * C + c];
        }
}

static void pair(size_t C, size_t n, const float *even, const float *odd, float *x)
{
    size_t i = 0;
    if (C == 1)
        pair_any(1, n, even, odd, x);
    else if (C == 3) {
        for (; i + 1 < n; i++) {
            memcpy(x + 6 * i, even + 3 * i, 4 * sizeof *x);
            memcpy(x + 6 * i + 3, odd + 3 * i, 4 * sizeof *x);
        }
        pair_any(3, n - i, even + 3 * i, odd + 3 * i, x + 6 * i);
    } else
        pair_any(C, n, even, odd, x);
}

/* -- strips */

/* Columns of pictures [H,W,C] so few that the rows a filter needs of them stay in the cache, and that memory. What lies
 * between a row's end and that of its last block is of no use, and never leaves. */
typedef struct strip {
    const filter *f;
    size_t H, W, C;
    size_t half;        /* numbers in a row of one band */
    size_t pair, pairs; /* columns of the bands: the first and how many */
    size_t n;           /* pairs * C */
    size_t line;        /* numbers between the rows of the ring */
    size_t before;      /* places from the first that a sum takes to its own */
    _Alignas(64) float bands[4][STRIP + REACH + BLOCK];
    _Alignas(64) float ring[RING];
} strip;

static void strip_open(strip *s, const filter *f, int H, int W, int C)
{
    s->f = f;
    s->H = (size_t)H;
    s->W = (size_t)W;
    s->C = (size_t)C;
    s->half = s->W / 2 * s->C;
    s->before = (size_t)f->count / 2 - 1;
    s->pair = s->pairs = 0;
    memset(s->bands, 0, sizeof s->bands);
    memset(s->ring, 0, sizeof s->ring);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* On to the next strip, all of about one width; false after the last. */
static bool strip_next(strip *s)
{
    size_t fits = smaller(STRIP, RING / 2 / (size_t)s->f->count / BLOCK * BLOCK - BLOCK);
    size_t all = s->W / 2, most = fits / s->C, strips = (all + most - 1) / most, width = (all + strips - 1) / strips;
    s->pair += s->pairs;
    if (s->pair == all)
        return false;
    s->pairs = smaller(width, all - s->pair);
    s->n = s->pairs * s->C;
    s->line =
        ((s->n + BLOCK - 1) / BLOCK | 1) * BLOCK; /* rows a power of two apart would fight for places of the cache */
    return true;
}

/* Row i of the ring, `half` 0 or 1: of a ring of as many rows of two halves as there are taps. */
static float *line_of(strip *s, size_t i, size_t half)
{
    return s->ring + (2 * (i % (size_t)s->f->count) + half) * s->line;
}

/* The place `before` ahead of 2 i, of n. */
static size_t place(const strip *s, size_t i, size_t n)
{
    return (2 * i + n - s->before % n) % n;
}

/* -- forward */

/* The strip's part of a row x [W,C] to low numbers, in a line's first half, and high ones. */
static void filter_row(strip *s, const float *x, const float *ahead, float *low, float *high)
{
    const float *rows[MOST_TAPS];
    size_t want = s->pairs + s->before;
    for (size_t i = 0, n; i < want; i += n) {
        size_t at = place(s, s->pair + i, s->W);
        n = smaller(want - i, (s->W - at) / 2);
        if (n) {
            part(s->C, n, x + at * s->C, s->bands[0] + i * s->C, s->bands[1] + i * s->C);
        } else { /* the last pixel and the first */
            n = 1;
            memcpy(s->bands[0] + i * s->C, x + at * s->C, s->C * sizeof *x);
            memcpy(s->bands[1] + i * s->C, x, s->C * sizeof *x);
        }
    }
    for (int k = 0; k < s->f->count; k++)
        rows[k] = s->bands[k % 2] + (size_t)(k / 2) * s->C;
    two_sums(s->f, rows, s->n, low, high, ahead);
}

/* Lines 2i .. 2i+count-1 to row i of the coefficients. */
static void filter_columns(strip *s, size_t i, float *restrict low, float *restrict detail)
{
    const float *lows[MOST_TAPS], *highs[MOST_TAPS];
    float *restrict a = s->bands[0], *restrict b = s->bands[1], *restrict c = s->bands[2], *restrict d = s->bands[3];
    for (int k = 0; k < s->f->count; k++) {
        lows[k] = line_of(s, 2 * i + (size_t)k, 0);
        highs[k] = line_of(s, 2 * i + (size_t)k, 1);
    }
    two_sums(s->f, lows, s->n, a, c, NULL);
    two_sums(s->f, highs, s->n, b, d, NULL);
    for (size_t j = 0; j < s->n; j++) {
        low[j] = 0.5f * a[j];
        detail[3 * j] = b[j];
        detail[3 * j + 1] = c[j];
        detail[3 * j + 2] = d[j];
    }
}

/* Rows begin .. end - 1 of the coefficients of a batch. */
static void forward(strip *s, size_t begin, size_t end, const float *x, float *low, float *detail)
{
    size_t rows = s->H / 2, first = s->pair * s->C, count = (size_t)s->f->count;
    for (size_t r = begin; r < end; r++) {
        const float *picture = x + r / rows * s->H * 2 * s->half;
        size_t i = r % rows;
        for (size_t k = r == begin || i == 0 ? 0 : count - 2; k < count; k++) {
            size_t from = (place(s, i, s->H) + k) % s->H;
            const float *row = picture + from * 2 * s->half;
            filter_row(s, row, from + 2 < s->H ? row + 4 * s->half + 2 * first : NULL, line_of(s, 2 * i + k, 0),
                       line_of(s, 2 * i + k, 1));
        }
        filter_columns(s, i, low + r * s->half + first, detail + 3 * (r * s->half + first));
    }
}

/* -- back: the adjoint, which is the inverse */

/* Rows of four bands, from `before` places ahead of the strip's. */
static void part_bands(strip *s, const float *low, const float *detail)
{
    size_t want = s->before + s->pairs, all = s->W / 2;
    for (size_t i = 0, n; i < want; i += n) {
        size_t at = (s->pair + i + all - s->before % all) % all;
        float *restrict a = s->bands[0] + i * s->C, *restrict b = s->bands[1] + i * s->C;
        float *restrict c = s->bands[2] + i * s->C, *restrict d = s->bands[3] + i * s->C;
        const float *l = low + at * s->C, *three = detail + 3 * at * s->C;
        n = smaller(want - i, all - at);
        for (size_t j = 0; j < n * s->C; j++) {
            a[j] = 2 * l[j];
            b[j] = three[3 * j];
            c[j] = three[3 * j + 1];
            d[j] = three[3 * j + 2];
        }
    }
}

/* Row r of the coefficients to two lines, low and high along the column; a line has its pixels parted. */
static void join_row(strip *s, size_t r, const float *low, const float *detail, const float *ahead)
{
    const float *rows[MOST_TAPS];
    part_bands(s, low, detail);
    for (size_t high = 0; high < 2; high++) {
        for (int k = 0; k < s->f->count; k++)
            rows[k] = s->bands[2 * high + (size_t)k % 2] + (s->before - (size_t)(k / 2)) * s->C;
        two_sums(s->f, rows, s->n, line_of(s, 2 * r + high, 0), line_of(s, 2 * r + high, 1),
                 ahead ? ahead + high * 2 * s->n : NULL);
    }
}

/* The strip's pixels, parted, to their places in a row x [W,C]. */
static void put_row(const strip *s, const float *even, const float *odd, float *x)
{
    for (size_t i = 0, n; i < s->pairs; i += n) {
        size_t at = place(s, s->pair + i, s->W);
        n = smaller(s->pairs - i, (s->W - at) / 2);
        if (n) {
            pair(s->C, n, even + i * s->C, odd + i * s->C, x + at * s->C);
        } else {
            n = 1;
            memcpy(x + at * s->C, even + i * s->C, s->C * sizeof *x);
            memcpy(x, odd + i * s->C, s->C * sizeof *x);
        }
    }
}

/* Lines of coefficient row r and of the rows before it to two rows of a picture. */
static void join_columns(strip *s, size_t r, size_t i, float *picture)
{
    const float *rows[MOST_TAPS];
    for (size_t half = 0; half < 2; half++) {
        for (int k = 0; k < s->f->count; k++)
            rows[k] = line_of(s, 2 * (r - (size_t)(k / 2)) + (size_t)k % 2, half);
        two_sums(s->f, rows, s->n, s->bands[half], s->bands[2 + half], NULL);
    }
    size_t at = place(s, i, s->H);
    put_row(s, s->bands[0], s->bands[1], picture + at * 2 * s->half);
    put_row(s, s->bands[2], s->bands[3], picture + (at + 1) % s->H * 2 * s->half);
}

/* Pairs begin .. end - 1 of the rows of a batch. */
static void back(strip *s, size_t begin, size_t end, const float *low, const float *detail, float *x)
{
    size_t rows = s->H / 2;
    for (size_t r = begin; r < end; r++) {
        size_t i = r % rows, top = r - i;
        for (size_t k = r == begin || i == 0 ? s->before + 1 : 1; k-- > 0;) {
            size_t row = (i + rows - k % rows) % rows, at = (top + row) * s->half;
            const float *ahead = row + 2 < rows ? detail + 3 * (at + s->half + s->pair * s->C) : NULL;
            join_row(s, r + s->before - k, low + at, detail + 3 * at, ahead);
        }
        join_columns(s, r + s->before, i, x + top * 4 * s->half);
    }
}

static int check_shape(int count, int N, int H, int W, int C)
{
    WF_CHECK(N > 0 && H > 0 && W > 0 && C > 0 && H % 2 == 0 && W % 2 == 0 && count > 0 && count % 2 == 0, WF_INTERNAL,
             "wavelet: [%d,%d,%d,%d] with %d taps", N, H, W, C, count);
    WF_CHECK(count == 2 || (C <= MOST_CHANNELS && count <= MOST_TAPS), WF_INTERNAL,
             "wavelet: %d channels, %d taps, want at most %d and %d", C, count, MOST_CHANNELS, MOST_TAPS);
    return WF_OK;
}

/* Pieces of a batch of `rows`, one for each thread: rows come out the same wherever it is cut. */
static size_t pieces_of(const wf_backend *b, size_t rows)
{
    return smaller(rows, (size_t)b->threads);
}

static int dwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *x, wf_real *low,
               wf_real *detail)
{
    WF_TRY(check_shape(count, N, H, W, C));
    const float *from = (const float *)x;
    float *l = (float *)low, *d = (float *)detail;
    if (count == 2) { /* up to its sign Haar is the only orthonormal filter of two taps */
        haar(b->threads, N, H, W, C, from, l, d);
        return WF_OK;
    }
    size_t rows = (size_t)N * (size_t)(H / 2), pieces = pieces_of(b, rows);
    filter f = analysis(taps, count);
#pragma omp parallel for schedule(static) num_threads(b->threads) if (rows * (size_t)W * (size_t)C > WF_CPU_PARALLEL)
    for (size_t piece = 0; piece < pieces; piece++) {
        strip s;
        strip_open(&s, &f, H, W, C);
        while (strip_next(&s))
            forward(&s, piece * rows / pieces, (piece + 1) * rows / pieces, from, l, d);
    }
    return WF_OK;
}

static int idwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *low,
                const wf_real *detail, wf_real *x)
{
    WF_TRY(check_shape(count, N, H, W, C));
    const float *l = (const float *)low, *d = (const float *)detail;
    float *to = (float *)x;
    if (count == 2) {
        haar_back(b->threads, N, H, W, C, l, d, to);
        return WF_OK;
    }
    size_t rows = (size_t)N * (size_t)(H / 2), pieces = pieces_of(b, rows);
    filter f = synthesis(taps, count);
#pragma omp parallel for schedule(static) num_threads(b->threads) if (rows * (size_t)W * (size_t)C > WF_CPU_PARALLEL)
    for (size_t piece = 0; piece < pieces; piece++) {
        strip s;
        strip_open(&s, &f, H, W, C);
        while (strip_next(&s))
            back(&s, piece * rows / pieces, (piece + 1) * rows / pieces, l, d, to);
    }
    return WF_OK;
}

void wf_cpu_wavelet_slots(wf_backend *b)
{
    b->dwt = dwt;
    b->idwt = idwt;
}
