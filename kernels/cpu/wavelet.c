/* wavelet.c - one level of the separable periodic wavelet transform
 *
 * low-pass h, high-pass g[k] = (-1)^k h[count-1-k];  low[i] = sum_k h[k] x[(2i+k-(count/2-1)) mod n], detail with g.
 * Detail channel = 3 * colour + band: 0 high along the row, 1 high along the column, 2 high along both. Half the
 * orthonormal low-pass in two dimensions is an average. */
#include "cpu.h"

#include "../body/pointwise.h"
#include "interleave.h"
#include "vec.h"

#include <math.h>
#include <string.h>

/* Each loop names its number of threads. OpenMP keeps that number per thread, and a thread that did not open the
 * backend may call it. */

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
 * Memory is read and written once, two rows at a time. Pixels at even places are first separated from those at odd
 * places. Along a row the filters are then sums of `count` runs of contiguous floats, for any C, in the order of the
 * taps. Along a column they are count/2 rotations of a pair of rows. Between two rotations one of the two rows waits
 * for the next pair. This lattice halves the products. The waiting numbers are all that is kept of earlier rows
 * (Vaidyanathan and Hoang, Lattice structures for optimal design and robust implementation of two-channel
 * perfect-reconstruction QMF banks, IEEE Trans. ASSP 36, 1988). */

/*   STRIP    most numbers of one band in a row of a strip
 *   BLOCK    numbers that are computed together
 *   WAITING  most waiting numbers of a strip */
enum { STRIP = 2048, BLOCK = 16, WAITING = 32768, MOST_TAPS = 64, MOST_CHANNELS = 16 };
enum { REACH = (MOST_TAPS / 2 - 1) * MOST_CHANNELS };

/* The taps of the two sums that a pass takes of the same runs, and the rotations.
 *   forward  first and second are h and g at contiguous places
 *   back     low and high alternate, latest first; first is the even taps h[0] g[0] h[2] g[2] .. and gives the first of
 *            two places, second is the odd taps and gives the second place */
typedef struct filter {
    int count;
    float first[MOST_TAPS], second[MOST_TAPS];
    float turn[MOST_TAPS / 2]; /* tangents; the product of the cosines is a factor of first and second */
} filter;

static double high_pass(const double *taps, int count, int k)
{
    return k % 2 ? -taps[count - 1 - k] : taps[count - 1 - k];
}

/* Computes the rotations of an orthonormal filter, and returns the product of their cosines. The last rotation cancels
 * the high-pass at its last two places and the low-pass at its first two. The rest is a shorter filter, which is
 * treated in the same way. */
static double factor(const double *taps, int count, float turn[MOST_TAPS / 2])
{
    double low[MOST_TAPS], high[MOST_TAPS], product = 1;
    for (int k = 0; k < count; k++) {
        low[k] = taps[k];
        high[k] = high_pass(taps, count, k);
    }
    for (int n = count; n > 0; n -= 2) {
        /* takes the larger of the two places; for n = 2, high is (t, -1) times low */
        int at = n > 2 && hypot(low[n - 1], high[n - 1]) > hypot(low[n - 2], high[n - 2]) ? n - 1 : n - 2;
        double size = hypot(low[at], high[at]), c = low[at] / size, s = (n > 2 ? -high[at] : high[at]) / size;
        float t = (float)(s / c);
        turn[n / 2 - 1] = t;
        product *= copysign(1 / sqrt(1 + (double)t * (double)t), c);
        for (int k = 0; k < n; k++) {
            double rest = c * low[k] - s * high[k];
            high[k] = s * low[k] + c * high[k];
            low[k] = rest;
        }
        memmove(low, low + 2, sizeof low - 2 * sizeof *low);
    }
    return product;
}

static filter analysis(const double *taps, int count)
{
    filter f = {.count = count};
    double gain = factor(taps, count, f.turn);
    for (int k = 0; k < count; k++) {
        f.first[k] = (float)(gain * taps[k]);
        f.second[k] = (float)(gain * high_pass(taps, count, k));
    }
    return f;
}

static filter synthesis(const double *taps, int count)
{
    filter f = {.count = count};
    double gain = factor(taps, count, f.turn);
    for (int k = 0; k < count; k += 2) {
        f.first[k] = (float)(gain * taps[k]);
        f.first[k + 1] = (float)(gain * high_pass(taps, count, k));
        f.second[k] = (float)(gain * taps[k + 1]);
        f.second[k + 1] = (float)(gain * high_pass(taps, count, k + 1));
    }
    return f;
}

/* -- BLOCK numbers */

/* Two fields instead of an array: gcc keeps fields in registers. */
typedef struct block {
    wf_eight left, right;
} block;

WF_VEC void block_load(block *v, const float *from)
{
    wf_eight_load(&v->left, from);
    wf_eight_load(&v->right, from + 8);
}

WF_VEC void block_store(float *to, const block *v)
{
    wf_eight_store(to, &v->left);
    wf_eight_store(to + 8, &v->right);
}

WF_VEC void block_add_scaled(block *sum, const block *v, float x)
{
    wf_eight_add_scaled(&sum->left, &v->left, x);
    wf_eight_add_scaled(&sum->right, &v->right, x);
}

/* The sums with `first` and with `second` of two sets of runs. */
typedef struct sums {
    block first[2], second[2];
} sums;

WF_VEC void four_sums(const filter *f, const float *const runs[2][MOST_TAPS], size_t i, sums *to)
{
    const block zero = {{0}, {0}};
    block a = zero, b = zero, c = zero, d = zero, v;
    for (int k = 0; k < f->count; k++) {
        block_load(&v, runs[0][k] + i);
        block_add_scaled(&a, &v, f->first[k]);
        block_add_scaled(&b, &v, f->second[k]);
        block_load(&v, runs[1][k] + i);
        block_add_scaled(&c, &v, f->first[k]);
        block_add_scaled(&d, &v, f->second[k]);
    }
    *to = (sums){{a, c}, {b, d}};
}

WF_VEC void rotate(block *a, block *b, float t)
{
    block old = *a;
    block_add_scaled(a, b, t);
    block_add_scaled(b, &old, -t);
}

/* A rotation combined with a reflection: its own inverse. It is the first step of the lattice. */
WF_VEC void reflect(block *a, block *b, float t)
{
    block old = *a;
    block_add_scaled(a, b, t);
    *b = (block){-b->left, -b->right};
    block_add_scaled(b, &old, t);
}

WF_VEC void wait_for_next(block *v, float *waiting)
{
    block earlier;
    block_load(&earlier, waiting);
    block_store(waiting, v);
    *v = earlier;
}

/* Takes a pair of rows, [0] and [1], as two halves of a line. Returns low and high of pairs of rows that came up to
 * count/2 - 1 calls earlier. */
WF_VEC void columns_forward(const filter *f, float *waiting, sums *v)
{
    reflect(&v->first[0], &v->first[1], f->turn[0]);
    reflect(&v->second[0], &v->second[1], f->turn[0]);
    for (int j = 1; j < f->count / 2; j++, waiting += 2 * BLOCK) {
        wait_for_next(&v->first[1], waiting);
        wait_for_next(&v->second[1], waiting + BLOCK);
        rotate(&v->first[0], &v->first[1], f->turn[j]);
        rotate(&v->second[0], &v->second[1], f->turn[j]);
    }
}

WF_VEC void columns_back(const filter *f, float *waiting, sums *v)
{
    for (int j = f->count / 2 - 1; j > 0; j--, waiting += 2 * BLOCK) {
        rotate(&v->first[0], &v->first[1], -f->turn[j]);
        rotate(&v->second[0], &v->second[1], -f->turn[j]);
        wait_for_next(&v->first[0], waiting);
        wait_for_next(&v->second[0], waiting + BLOCK);
    }
    reflect(&v->first[0], &v->first[1], f->turn[0]);
    reflect(&v->second[0], &v->second[1], f->turn[0]);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* -- strips */

/* Columns of pictures [H,W,C], few enough that their waiting numbers stay in the cache, and that memory. Numbers
 * between the end of a row and the end of its last block are not used and never leave. */
typedef struct strip {
    const filter *f;
    size_t H, W, C;
    size_t half;        /* numbers of a row of one band */
    size_t pair, pairs; /* columns of the bands: the first, and their number */
    size_t n;           /* pairs * C */
    size_t before;      /* places of a sum before its own */
    _Alignas(64) float bands[4][STRIP + REACH + BLOCK];
    _Alignas(64) float waiting[WAITING]; /* by blocks: both halves of a line, after each rotation but the last */
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
    memset(s->waiting, 0, sizeof s->waiting);
}

/* Goes on to the next strip; all have about the same width. Returns false after the last. */
static bool strip_next(strip *s)
{
    size_t fits = smaller(STRIP, WAITING / 2 / s->before / BLOCK * BLOCK);
    size_t all = s->W / 2, most = fits / s->C, strips = (all + most - 1) / most, width = (all + strips - 1) / strips;
    s->pair += s->pairs;
    if (s->pair == all)
        return false;
    s->pairs = smaller(width, all - s->pair);
    s->n = s->pairs * s->C;
    return true;
}

/* Returns 2 i - before modulo n. */
static size_t place_ahead(const strip *s, size_t i, size_t n)
{
    return (2 * i + n - s->before % n) % n;
}

/* Prefetches the next input, for which the processor would wait after the last sum. */
static void prefetch_to_read(const float *from, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        __builtin_prefetch(from + i, 0, 2);
}

static void prefetch_to_write(const float *to, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        __builtin_prefetch(to + i, 1, 2);
}

/* -- forward */

/* Splits the strip's part of a row x [W,C], and the pixels that its sums reach, into even and odd. */
static void part_row(const strip *s, const float *x, float *even, float *odd)
{
    size_t want = s->pairs + s->before;
    for (size_t i = 0, n; i < want; i += n) {
        size_t at = place_ahead(s, s->pair + i, s->W);
        n = smaller(want - i, (s->W - at) / 2);
        if (n) {
            wf_part_pixels(s->C, n, x + at * s->C, even + i * s->C, odd + i * s->C);
        } else { /* the last pixel and the first */
            n = 1;
            memcpy(even + i * s->C, x + at * s->C, s->C * sizeof *x);
            memcpy(odd + i * s->C, x, s->C * sizeof *x);
        }
    }
}

WF_VEC void store_coefficients(const sums *v, float *low, float *detail)
{
    block average = {0.5f * v->first[0].left, 0.5f * v->first[0].right};
    block_store(low, &average);
    wf_bands_store(detail, &v->second[0].left, &v->first[1].left, &v->second[1].left);
    wf_bands_store(detail + 24, &v->second[0].right, &v->first[1].right, &v->second[1].right);
}

/* Takes pair i of the rows of a picture. If low is not NULL, writes a row of coefficients. */
static void analyse(strip *s, const float *picture, size_t i, float *low, float *detail)
{
    const float *runs[2][MOST_TAPS], *ahead = NULL;
    size_t at = place_ahead(s, i, s->H), row = 2 * s->half;
    for (size_t r = 0; r < 2; r++) {
        part_row(s, picture + (at + r) % s->H * row, s->bands[2 * r], s->bands[2 * r + 1]);
        for (int k = 0; k < s->f->count; k++)
            runs[r][k] = s->bands[2 * r + (size_t)k % 2] + (size_t)(k / 2) * s->C;
    }
    if (at + 3 < s->H)
        ahead = picture + (at + 2) * row + 2 * s->pair * s->C;
    float *waiting = s->waiting;
    for (size_t j = 0; j < s->n; j += BLOCK, waiting += 2 * s->before * BLOCK) {
        sums v;
        if (ahead) {
            prefetch_to_read(ahead + 2 * j, 2 * BLOCK);
            prefetch_to_read(ahead + row + 2 * j, 2 * BLOCK);
        }
        if (ahead && low) {
            prefetch_to_write(low + s->half + j, BLOCK);
            prefetch_to_write(detail + 3 * (s->half + j), 3 * BLOCK);
        }
        four_sums(s->f, runs, j, &v);
        columns_forward(s->f, waiting, &v);
        if (low && j + BLOCK <= s->n) {
            store_coefficients(&v, low + j, detail + 3 * j);
        } else if (low) {
            float l[BLOCK], d[3 * BLOCK];
            store_coefficients(&v, l, d);
            memcpy(low + j, l, (s->n - j) * sizeof *l);
            memcpy(detail + 3 * j, d, 3 * (s->n - j) * sizeof *d);
        }
    }
}

/* Computes rows begin .. end - 1 of the coefficients of a batch. */
static void forward(strip *s, size_t begin, size_t end, const float *x, float *low, float *detail)
{
    size_t rows = s->H / 2;
    for (size_t r = begin; r < end; r++) {
        size_t i = r % rows, to = r * s->half + s->pair * s->C;
        const float *picture = x + (r - i) * 4 * s->half;
        if (r == begin || i == 0)
            for (size_t k = 0; k < s->before; k++)
                analyse(s, picture, i + k, NULL, NULL);
        analyse(s, picture, i + s->before, low + to, detail + 3 * to);
    }
}

/* -- back: the adjoint, which is the inverse */

/* Splits rows of four bands, from `before` places ahead of the strip's. */
static void part_bands(strip *s, const float *low, const float *detail)
{
    size_t want = s->before + s->pairs, all = s->W / 2;
    for (size_t i = 0, n; i < want; i += n) {
        size_t at = (s->pair + i + all - s->before % all) % all, j = 0;
        float *restrict a = s->bands[0] + i * s->C, *restrict b = s->bands[1] + i * s->C;
        float *restrict c = s->bands[2] + i * s->C, *restrict d = s->bands[3] + i * s->C;
        const float *l = low + at * s->C, *three = detail + 3 * at * s->C;
        n = smaller(want - i, all - at);
        for (; j + 8 <= n * s->C; j += 8) {
            wf_eight x, y, z;
            wf_bands_load(&x, &y, &z, three + 3 * j);
            wf_eight_store(b + j, &x);
            wf_eight_store(c + j, &y);
            wf_eight_store(d + j, &z);
            wf_eight_load(&x, l + j);
            x *= 2;
            wf_eight_store(a + j, &x);
        }
        for (; j < n * s->C; j++) {
            a[j] = 2 * l[j];
            b[j] = three[3 * j];
            c[j] = three[3 * j + 1];
            d[j] = three[3 * j + 2];
        }
    }
}

/* Joins the strip's even and odd pixels into a row x [W,C]. */
static void put_row(const strip *s, const float *even, const float *odd, float *x)
{
    for (size_t i = 0, n; i < s->pairs; i += n) {
        size_t at = place_ahead(s, s->pair + i, s->W);
        n = smaller(s->pairs - i, (s->W - at) / 2);
        if (n) {
            wf_pair_pixels(s->C, n, even + i * s->C, odd + i * s->C, x + at * s->C);
        } else {
            n = 1;
            memcpy(x + at * s->C, even + i * s->C, s->C * sizeof *x);
            memcpy(x, odd + i * s->C, s->C * sizeof *x);
        }
    }
}

/* Takes a row of coefficients; `more`: the next row follows it in memory. If top is not NULL, writes a pair of rows of
 * pixels. Their even and odd pixels overwrite bands that no later block reads. */
static void synthesize(strip *s, const float *low, const float *detail, bool more, float *top, float *bottom)
{
    const float *runs[2][MOST_TAPS];
    size_t first = s->pair * s->C;
    part_bands(s, low, detail);
    for (size_t high = 0; high < 2; high++)
        for (int k = 0; k < s->f->count; k++)
            runs[high][k] = s->bands[2 * high + (size_t)k % 2] + (s->before - (size_t)(k / 2)) * s->C;
    float *waiting = s->waiting;
    for (size_t j = 0; j < s->n; j += BLOCK, waiting += 2 * s->before * BLOCK) {
        sums v;
        if (more) {
            prefetch_to_read(low + s->half + first + j, BLOCK);
            prefetch_to_read(detail + 3 * (s->half + first + j), 3 * BLOCK);
        }
        if (top) {
            prefetch_to_write(top + 2 * (first + j), 2 * BLOCK);
            prefetch_to_write(bottom + 2 * (first + j), 2 * BLOCK);
        }
        four_sums(s->f, runs, j, &v);
        columns_back(s->f, waiting, &v);
        for (size_t r = 0; r < 2; r++) {
            block_store(s->bands[2 * r] + j, &v.first[r]);
            block_store(s->bands[2 * r + 1] + j, &v.second[r]);
        }
    }
    if (top) {
        put_row(s, s->bands[0], s->bands[1], top);
        put_row(s, s->bands[2], s->bands[3], bottom);
    }
}

/* Computes pairs begin .. end - 1 of the rows of a batch. */
static void back(strip *s, size_t begin, size_t end, const float *low, const float *detail, float *x)
{
    size_t rows = s->H / 2;
    for (size_t r = begin; r < end; r++) {
        size_t i = r % rows, first = r - i, to = place_ahead(s, i, s->H);
        float *picture = x + first * 4 * s->half, *top = picture + to * 2 * s->half;
        float *bottom = picture + (to + 1) % s->H * 2 * s->half;
        for (size_t k = r == begin || i == 0 ? s->before + 1 : 1; k-- > 0;) {
            size_t row = (i + rows - k % rows) % rows, at = (first + row) * s->half;
            synthesize(s, low + at, detail + 3 * at, row + 1 < rows, k ? NULL : top, bottom);
        }
    }
}

static int check_shape(int count, int N, int H, int W, int C)
{
    WF_CHECK(N > 0 && H > 0 && W > 0 && C > 0 && H % 2 == 0 && W % 2 == 0 && count > 0 && count % 2 == 0, WF_INTERNAL,
             "wavelet: [%d,%d,%d,%d] with %d taps", N, H, W, C, count);
    WF_CHECK(count == 2 || (C <= MOST_CHANNELS && count <= MOST_TAPS), WF_INTERNAL,
             "wavelet: %d channels, %d taps, expected at most %d and %d", C, count, MOST_CHANNELS, MOST_TAPS);
    return WF_OK;
}

/* Returns the number of pieces of a batch of `rows`, one for each thread. Results do not depend on the cuts. */
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
    if (count == 2) { /* Haar is the only orthonormal filter of two taps, up to its sign */
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
