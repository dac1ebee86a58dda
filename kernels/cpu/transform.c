/* transform.c - couplings, the normal log-density, the sigmoid and scaling
 *
 * The transformed channels are gathered a block at a time, so that the loops over them are plain vector code. */
#include "cpu.h"

#include "../body/pixels.h"
#include "../body/transform.h"

#include <string.h>

enum {
    BLOCK = 256,   /* elements gathered at a time */
    PIXELS = 1024, /* pixels of a piece: log-determinants are summed piece by piece for any number of threads */
};

typedef struct coupling {
    wf_coupling of;
    int m;              /* parameters of an element */
    size_t K, k2, P;    /* k2: transformed channels */
    size_t pieces;      /* pieces of a picture */
    size_t params_step; /* params from one pixel to the next */
    double *sums;       /* [N,pieces] */
} coupling;

/* Consecutive pixels of one picture. x, params and weight point to the first of them. */
typedef struct piece {
    size_t place, pixels; /* first pixel in the picture, and their number */
    const float *x, *params, *weight;
} piece;

static int coupling_open(wf_cpu *cpu, int N, const wf_coupling *of, coupling *c)
{
    WF_TRY(wf_coupling_check(N, of));
    c->of = *of;
    c->m = wf_transform_parameters(&of->transform);
    c->K = (size_t)of->K;
    c->k2 = (size_t)of->moved;
    c->P = (size_t)of->H * (size_t)of->W;
    c->pieces = (c->P + PIXELS - 1) / PIXELS;
    c->params_step = (size_t)c->m * c->k2;
    void *memory;
    WF_TRY(wf_cpu_scratch(cpu, (size_t)N * c->pieces * sizeof(double), &memory));
    c->sums = memory;
    return WF_OK;
}

/* Returns piece i of the batch, and in *pixel its first pixel in the batch. */
static piece piece_at(const coupling *c, size_t i, const wf_real *x, const wf_real *params, const wf_real *weight,
                      size_t *pixel)
{
    size_t place = i % c->pieces * PIXELS, left = c->P - place;
    *pixel = i / c->pieces * c->P + place;
    return (piece){.place = place,
                   .pixels = left < PIXELS ? left : PIXELS,
                   .x = (const float *)x + *pixel * c->K,
                   .params = (const float *)params + *pixel * c->params_step,
                   .weight = weight ? (const float *)weight + *pixel : NULL};
}

/* Gathers elements [first, first + count) of the channels [0, width) of pixels `stride` apart into contiguous
 * memory. */
static void gather(const float *from, size_t stride, size_t width, size_t first, int count, float *to)
{
    const float *pixel = from + first / width * stride;
    size_t c = first % width;
    for (int i = 0; i < count; i++) {
        to[i] = pixel[c];
        if (++c == width) {
            c = 0;
            pixel += stride;
        }
    }
}

static void scatter(const float *from, size_t stride, size_t width, size_t first, int count, float *to)
{
    float *pixel = to + first / width * stride;
    size_t c = first % width;
    for (int i = 0; i < count; i++) {
        pixel[c] = from[i];
        if (++c == width) {
            c = 0;
            pixel += stride;
        }
    }
}

/* Multiplies x[i] by the weight of the pixel of element first + i. weight: those of a piece's pixels (NULL: 1). */
static void weigh(const float *weight, size_t width, size_t first, int count, float *x)
{
    if (!weight)
        return;
    const float *pixel = weight + first / width;
    size_t c = first % width;
    for (int i = 0; i < count; i++) {
        x[i] *= *pixel;
        if (++c == width) {
            c = 0;
            pixel++;
        }
    }
}

/* Sets to[i] = from[i] where element first + i of the piece is kept; from NULL: 0. */
static void restore_kept(const coupling *c, const piece *p, size_t first, int count, const float *from, float *to)
{
    if (c->of.pixels == WF_EVERY_PIXEL)
        return;
    for (int i = 0; i < count; i++)
        if (!wf_pixels_have(c->of.pixels, c->of.W, p->place + (first + (size_t)i) / c->k2))
            to[i] = from ? from[i] : 0;
}

static double sum_of(int count, const float *x)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++)
        sum += (double)x[i];
    return sum;
}

/* Replaces v by T(v) or, with `inverse`, by T^-1(v). params [m,BLOCK], l [BLOCK]: log T'. */
static void transform_block(const wf_transform *how, bool inverse, int count, const float *params, float *v, float *l)
{
#define ROW(KIND, name)                                                   \
    case WF_TRANSFORM_##KIND:                                             \
        if (inverse)                                                      \
            _Pragma("omp simd") for (int i = 0; i < count; i++) v[i] =    \
                wf_##name##_inverse(how, v[i], params + i, BLOCK, &l[i]); \
        else                                                              \
            _Pragma("omp simd") for (int i = 0; i < count; i++) v[i] =    \
                wf_##name##_forward(how, v[i], params + i, BLOCK, &l[i]); \
        break;
    switch (how->kind) {
        WF_TRANSFORMS(ROW)
    }
#undef ROW
}

/* Replaces d, the gradient by the output, by the gradient by the input. l: gradient by log T' of each element. */
static void vjp_block(const wf_transform *how, bool inverse, int count, const float *x, const float *params,
                      const float *l, float *d, float *dparams)
{
#define ROW(KIND, name)                                                                      \
    case WF_TRANSFORM_##KIND:                                                                \
        _Pragma("omp simd") for (int i = 0; i < count; i++) d[i] =                           \
            wf_##name##_vjp(how, inverse, x[i], params + i, BLOCK, l[i], d[i], dparams + i); \
        break;
    switch (how->kind) {
        WF_TRANSFORMS(ROW)
    }
#undef ROW
}

/* Writes y of the piece. Returns the sum of log T'. */
static double transform_piece(const coupling *c, const piece *p, bool inverse, float *y)
{
    size_t elements = p->pixels * c->k2;
    double sum = 0;
    if (y != p->x)
        memcpy(y, p->x, p->pixels * c->K * sizeof *y);
    for (size_t first = 0; first < elements; first += BLOCK) {
        float x[BLOCK], v[BLOCK], l[BLOCK], params[WF_TRANSFORM_MAX_PARAMETERS * BLOCK];
        int count = elements - first < BLOCK ? (int)(elements - first) : BLOCK;
        gather(p->x + c->of.first, c->K, c->k2, first, count, x);
        memcpy(v, x, (size_t)count * sizeof *v);
        for (int j = 0; j < c->m; j++)
            gather(p->params + (size_t)j * c->k2, c->params_step, c->k2, first, count, params + j * BLOCK);
        transform_block(&c->of.transform, inverse, count, params, v, l);
        restore_kept(c, p, first, count, x, v);
        restore_kept(c, p, first, count, NULL, l);
        scatter(v, c->K, c->k2, first, count, y + c->of.first);
        weigh(p->weight, c->k2, first, count, l);
        sum += sum_of(count, l);
    }
    return sum;
}

static void vjp_piece(const coupling *c, const piece *p, bool inverse, float dlogdet, float *g, float *dparams)
{
    size_t elements = p->pixels * c->k2;
    for (size_t first = 0; first < elements; first += BLOCK) {
        float x[BLOCK], kept[BLOCK], d[BLOCK], l[BLOCK];
        float params[WF_TRANSFORM_MAX_PARAMETERS * BLOCK], dparams_block[WF_TRANSFORM_MAX_PARAMETERS * BLOCK];
        int count = elements - first < BLOCK ? (int)(elements - first) : BLOCK;
        gather(p->x + c->of.first, c->K, c->k2, first, count, x);
        for (int j = 0; j < c->m; j++)
            gather(p->params + (size_t)j * c->k2, c->params_step, c->k2, first, count, params + j * BLOCK);
        gather(g + c->of.first, c->K, c->k2, first, count, d);
        memcpy(kept, d, (size_t)count * sizeof *d);
        for (int i = 0; i < count; i++)
            l[i] = dlogdet;
        weigh(p->weight, c->k2, first, count, l);
        vjp_block(&c->of.transform, inverse, count, x, params, l, d, dparams_block);
        restore_kept(c, p, first, count, kept, d);
        scatter(d, c->K, c->k2, first, count, g + c->of.first);
        for (int j = 0; j < c->m; j++) {
            restore_kept(c, p, first, count, NULL, dparams_block + j * BLOCK);
            scatter(dparams_block + j * BLOCK, c->params_step, c->k2, first, count, dparams + (size_t)j * c->k2);
        }
    }
}

static int transform(wf_backend *b, const wf_coupling *of, int N, bool inverse, const wf_real *x, const wf_real *params,
                     const wf_real *weight, wf_real *y, double *logdet)
{
    coupling c;
    WF_TRY(coupling_open((wf_cpu *)b, N, of, &c));
    size_t total = (size_t)N * c.pieces;
#pragma omp parallel for schedule(static) if ((size_t)N * c.P * c.k2 > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++) {
        size_t pixel;
        piece p = piece_at(&c, i, x, params, weight, &pixel);
        c.sums[i] = transform_piece(&c, &p, inverse, (float *)y + pixel * c.K);
    }
    for (size_t i = 0; logdet && i < total; i++)
        logdet[i / c.pieces] += inverse ? -c.sums[i] : c.sums[i];
    return WF_OK;
}

static int transform_forward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                             const wf_real *weight, wf_real *y, double *logdet)
{
    return transform(b, c, N, false, x, params, weight, y, logdet);
}

static int transform_inverse(wf_backend *b, const wf_coupling *c, int N, const wf_real *y, const wf_real *params,
                             wf_real *x, double *logdet)
{
    return transform(b, c, N, true, y, params, NULL, x, logdet);
}

static int vjp(wf_backend *b, const wf_coupling *of, int N, bool inverse, const wf_real *x, const wf_real *params,
               const wf_real *weight, wf_real *g, double dlogdet, wf_real *dparams)
{
    coupling c;
    WF_TRY(coupling_open((wf_cpu *)b, N, of, &c));
    size_t total = (size_t)N * c.pieces;
#pragma omp parallel for schedule(static) if ((size_t)N * c.P * c.k2 > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++) {
        size_t pixel;
        piece p = piece_at(&c, i, x, params, weight, &pixel);
        vjp_piece(&c, &p, inverse, (float)dlogdet, (float *)g + pixel * c.K, (float *)dparams + pixel * c.params_step);
    }
    return WF_OK;
}

static int transform_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                              const wf_real *weight, wf_real *g, double dlogdet, wf_real *dparams)
{
    return vjp(b, c, N, false, x, params, weight, g, dlogdet, dparams);
}

static int transform_inverse_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x,
                                      const wf_real *params, wf_real *g, double dlogdet, wf_real *dparams)
{
    return vjp(b, c, N, true, x, params, NULL, g, dlogdet, dparams);
}

static int mask(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, bool add, wf_real *y)
{
    (void)b;
    size_t K = (size_t)c->K, P = (size_t)c->H * (size_t)c->W, pixels = (size_t)N * P;
#pragma omp parallel for schedule(static) if (pixels * K > WF_CPU_PARALLEL)
    for (size_t p = 0; p < pixels; p++) {
        const float *from = (const float *)x + p * K;
        float *to = (float *)y + p * K;
        int first = c->first, end = wf_pixels_have(c->pixels, c->W, p % P) ? first + c->moved : first;
        for (int i = 0; i < c->K; i++) {
            float value = i >= first && i < end ? 0 : from[i];
            to[i] = add ? to[i] + value : value;
        }
    }
    return WF_OK;
}

static const double log_two_pi = 1.837877066409345483561;

/* Returns the sum of weight * (x^2 + log 2 pi) and writes dx, over elements [begin, begin + count) of a picture's
 * pixels of K channels. */
static double weighted_piece(const float *x, const float *weight, size_t K, size_t begin, size_t count, float factor,
                             float *dx)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        float w = weight[(begin + i) / K];
        sum += (double)w * ((double)x[i] * (double)x[i] + log_two_pi);
        if (dx)
            dx[i] = factor * w * x[i];
    }
    return sum;
}

static double plain_piece(const float *x, size_t count, float factor, float *dx)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    for (size_t i = 0; dx && i < count; i++)
        dx[i] = factor * x[i];
    return sum + (double)count * log_two_pi;
}

static int gaussian(wf_backend *b, int N, int P, int K, const wf_real *z, const wf_real *weight, double *logp,
                    double scale, wf_real *dz)
{
    enum { PIECE = 8192 };
    size_t D = (size_t)P * (size_t)K;
    size_t pieces = (D + PIECE - 1) / PIECE, total = (size_t)N * pieces;
    float factor = (float)-scale;
    void *memory;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, total * sizeof(double), &memory));
    double *sums = memory;
#pragma omp parallel for schedule(static) if ((size_t)N * D > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++) {
        size_t begin = i % pieces * PIECE, count = D - begin < PIECE ? D - begin : PIECE;
        const float *x = (const float *)z + i / pieces * D + begin;
        float *dx = dz ? (float *)dz + i / pieces * D + begin : NULL;
        const float *w = weight ? (const float *)weight + i / pieces * (size_t)P : NULL;
        sums[i] =
            -0.5 * (w ? weighted_piece(x, w, (size_t)K, begin, count, factor, dx) : plain_piece(x, count, factor, dx));
    }
    for (size_t i = 0; logp && i < total; i++)
        logp[i / pieces] += sums[i];
    return WF_OK;
}

static int sigmoid(wf_backend *b, int N, size_t D, double factor, const wf_real *v_, wf_real *u_, double *logp)
{
    enum { PIECE = 4096 };
    size_t pieces = (D + PIECE - 1) / PIECE, total = (size_t)N * pieces;
    float by = (float)factor;
    void *memory;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, total * sizeof(double), &memory));
    double *sums = memory;
#pragma omp parallel for schedule(static) if ((size_t)N * D > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++) {
        size_t begin = i % pieces * PIECE, count = D - begin < PIECE ? D - begin : PIECE;
        const float *v = (const float *)v_ + i / pieces * D + begin;
        float *u = (float *)u_ + i / pieces * D + begin;
        double sum = (double)count * log(factor);
#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < count; j++) {
            float log_derivative;
            u[j] = wf_sigmoid_forward(by * v[j], &log_derivative);
            sum += (double)log_derivative;
        }
        sums[i] = sum;
    }
    for (size_t i = 0; i < total; i++)
        logp[i / pieces] += sums[i];
    return WF_OK;
}

static int sigmoid_backward(wf_backend *b, size_t n, double factor, const wf_real *v_, double scale, wf_real *g_)
{
    (void)b;
    const float *v = (const float *)v_;
    float *g = (float *)g_, by = (float)factor, dlog = (float)scale;
#pragma omp parallel for simd schedule(static) if (n > WF_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++)
        g[i] = by * wf_sigmoid_vjp(by * v[i], g[i], dlog);
    return WF_OK;
}

static int scale_all(wf_backend *b, size_t n, double factor, double offset, wf_real *x)
{
    (void)b;
    float *p = (float *)x, f = (float)factor, o = (float)offset;
#pragma omp parallel for simd schedule(static) if (n > WF_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++)
        p[i] = f * p[i] + o;
    return WF_OK;
}

void wf_cpu_transform_slots(wf_backend *b)
{
    b->transform_forward = transform_forward;
    b->transform_inverse = transform_inverse;
    b->transform_backward = transform_backward;
    b->transform_inverse_backward = transform_inverse_backward;
    b->mask = mask;
    b->gaussian = gaussian;
    b->sigmoid = sigmoid;
    b->sigmoid_backward = sigmoid_backward;
    b->scale = scale_all;
}
