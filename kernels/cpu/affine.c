/* affine.c - the affine coupling, the normal log-density and scaling
 *
 * The channels that change are gathered a block at a time, so that the loops over them are plain vector code. */
#include "cpu.h"

#include "../body/pointwise.h"

#include <string.h>

enum {
    BLOCK = 256,   /* elements gathered at a time */
    PIXELS = 1024, /* pixels of a piece: log-determinants are summed piece by piece, whatever the threads */
};

typedef struct coupling {
    int K, k1, k2; /* k2 = K - k1 channels change */
    size_t P, pieces;
    double *sums; /* [N,pieces] */
} coupling;

static int coupling_open(wf_cpu *cpu, int N, int P, int K, int k1, coupling *c)
{
    WF_CHECK(N > 0 && P > 0 && k1 >= 0 && k1 < K, WF_INTERNAL, "affine: N %d, P %d, keeps %d of %d channels", N, P, k1,
             K);
    c->K = K;
    c->k1 = k1;
    c->k2 = K - k1;
    c->P = (size_t)P;
    c->pieces = (c->P + PIXELS - 1) / PIXELS;
    void *memory;
    WF_TRY(wf_cpu_scratch(cpu, (size_t)N * c->pieces * sizeof(double), &memory));
    c->sums = memory;
    return WF_OK;
}

/* Elements [first, first + count) of the channels [0, width) of pixels `stride` apart, made contiguous. */
static void gather(const float *from, size_t stride, int width, size_t first, int count, float *to)
{
    const float *pixel = from + first / (size_t)width * stride;
    int c = (int)(first % (size_t)width);
    for (int i = 0; i < count; i++) {
        to[i] = pixel[c];
        if (++c == width) {
            c = 0;
            pixel += stride;
        }
    }
}

static void scatter(const float *from, size_t stride, int width, size_t first, int count, float *to)
{
    float *pixel = to + first / (size_t)width * stride;
    int c = (int)(first % (size_t)width);
    for (int i = 0; i < count; i++) {
        pixel[c] = from[i];
        if (++c == width) {
            c = 0;
            pixel += stride;
        }
    }
}

/* x[i] times the weight of the pixel of element first + i; weight: of a piece's pixels, NULL: 1. */
static void weigh(const float *weight, int width, size_t first, int count, float *x)
{
    if (!weight)
        return;
    const float *pixel = weight + first / (size_t)width;
    int c = (int)(first % (size_t)width);
    for (int i = 0; i < count; i++) {
        x[i] *= *pixel;
        if (++c == width) {
            c = 0;
            pixel++;
        }
    }
}

static double sum_of(int count, const float *x)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++)
        sum += (double)x[i];
    return sum;
}

/* x, st, weight, y: the first pixel of a piece. Returns the sum of tanh s. */
static double forward_piece(const coupling *c, size_t pixels, bool inverse, const float *x, const float *st,
                            const float *weight, float *y)
{
    size_t K = (size_t)c->K, elements = pixels * (size_t)c->k2;
    double sum = 0;
    if (y != x)
        memcpy(y, x, pixels * K * sizeof *x);
    for (size_t first = 0; first < elements; first += BLOCK) {
        float v[BLOCK], s[BLOCK], t[BLOCK], l[BLOCK];
        int count = elements - first < BLOCK ? (int)(elements - first) : BLOCK;
        gather(x + c->k1, K, c->k2, first, count, v);
        gather(st, 2 * (size_t)c->k2, c->k2, first, count, s);
        gather(st + c->k2, 2 * (size_t)c->k2, c->k2, first, count, t);
        if (inverse) {
#pragma omp simd
            for (int i = 0; i < count; i++)
                v[i] = wf_affine_inverse_one(v[i], s[i], t[i], &l[i]);
        } else {
#pragma omp simd
            for (int i = 0; i < count; i++)
                v[i] = wf_affine_forward_one(v[i], s[i], t[i], &l[i]);
        }
        scatter(v, K, c->k2, first, count, y + c->k1);
        weigh(weight, c->k2, first, count, l);
        sum += sum_of(count, l);
    }
    return sum;
}

static void backward_piece(const coupling *c, size_t pixels, bool inverse, float dlogdet, const float *x,
                           const float *st, const float *weight, float *g, float *dst)
{
    size_t K = (size_t)c->K, stride = 2 * (size_t)c->k2, elements = pixels * (size_t)c->k2;
    for (size_t first = 0; first < elements; first += BLOCK) {
        float v[BLOCK], s[BLOCK], t[BLOCK], d[BLOCK], l[BLOCK];
        int count = elements - first < BLOCK ? (int)(elements - first) : BLOCK;
        gather(x + c->k1, K, c->k2, first, count, v);
        gather(st, stride, c->k2, first, count, s);
        gather(st + c->k2, stride, c->k2, first, count, t);
        gather(g + c->k1, K, c->k2, first, count, d);
        for (int i = 0; i < count; i++)
            l[i] = dlogdet;
        weigh(weight, c->k2, first, count, l);
#pragma omp simd
        for (int i = 0; i < count; i++) {
            float ds, dt;
            if (inverse)
                wf_affine_inverse_backward_one(v[i], s[i], t[i], l[i], &d[i], &ds, &dt);
            else
                wf_affine_backward_one(v[i], s[i], t[i], l[i], &d[i], &ds, &dt);
            s[i] = ds;
            t[i] = dt;
        }
        scatter(d, K, c->k2, first, count, g + c->k1);
        scatter(s, stride, c->k2, first, count, dst);
        scatter(t, stride, c->k2, first, count, dst + c->k2);
    }
}

static size_t piece_pixels(size_t P, size_t piece)
{
    return P - piece * PIXELS < PIXELS ? P - piece * PIXELS : PIXELS;
}

static int transform(wf_backend *b, int N, int P, int K, int k1, bool inverse, const float *x, const float *st,
                     const float *weight, float *y, double *logdet)
{
    coupling c;
    WF_TRY(coupling_open((wf_cpu *)b, N, P, K, k1, &c));
    size_t total = (size_t)N * c.pieces;
#pragma omp parallel for schedule(static) if ((size_t)N * c.P * (size_t)c.k2 > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++) {
        size_t pixel = i / c.pieces * c.P + i % c.pieces * PIXELS;
        c.sums[i] = forward_piece(&c, piece_pixels(c.P, i % c.pieces), inverse, x + pixel * (size_t)K,
                                  st + pixel * 2 * (size_t)c.k2, weight ? weight + pixel : NULL, y + pixel * (size_t)K);
    }
    for (size_t i = 0; logdet && i < total; i++)
        logdet[i / c.pieces] += inverse ? -c.sums[i] : c.sums[i];
    return WF_OK;
}

static int affine_forward(wf_backend *b, int N, int P, int K, int k1, const wf_real *x, const wf_real *st,
                          const wf_real *weight, wf_real *y, double *logdet)
{
    return transform(b, N, P, K, k1, false, (const float *)x, (const float *)st, (const float *)weight, (float *)y,
                     logdet);
}

static int affine_inverse(wf_backend *b, int N, int P, int K, int k1, const wf_real *y, const wf_real *st, wf_real *x,
                          double *logdet)
{
    return transform(b, N, P, K, k1, true, (const float *)y, (const float *)st, NULL, (float *)x, logdet);
}

static int backward(wf_backend *b, int N, int P, int K, int k1, bool inverse, const wf_real *x, const wf_real *st,
                    const float *weight, wf_real *g, double dlogdet, wf_real *dst)
{
    coupling c;
    WF_TRY(coupling_open((wf_cpu *)b, N, P, K, k1, &c));
    size_t total = (size_t)N * c.pieces;
#pragma omp parallel for schedule(static) if ((size_t)N * c.P * (size_t)c.k2 > WF_CPU_PARALLEL)
    for (size_t i = 0; i < total; i++) {
        size_t pixel = i / c.pieces * c.P + i % c.pieces * PIXELS, at = pixel * 2 * (size_t)c.k2;
        backward_piece(&c, piece_pixels(c.P, i % c.pieces), inverse, (float)dlogdet,
                       (const float *)x + pixel * (size_t)K, (const float *)st + at, weight ? weight + pixel : NULL,
                       (float *)g + pixel * (size_t)K, (float *)dst + at);
    }
    return WF_OK;
}

static int affine_backward(wf_backend *b, int N, int P, int K, int k1, const wf_real *x, const wf_real *st,
                           const wf_real *weight, wf_real *g, double dlogdet, wf_real *dst)
{
    return backward(b, N, P, K, k1, false, x, st, (const float *)weight, g, dlogdet, dst);
}

static int affine_inverse_backward(wf_backend *b, int N, int P, int K, int k1, const wf_real *x, const wf_real *st,
                                   wf_real *g, double dlogdet, wf_real *dst)
{
    return backward(b, N, P, K, k1, true, x, st, NULL, g, dlogdet, dst);
}

static const double log_two_pi = 1.837877066409345483561;

/* Sum of weight * (x^2 + log 2 pi), and dx, over elements [begin, begin + count) of a picture's pixels of K channels. */
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

static int scale_all(wf_backend *b, size_t n, double factor, double offset, wf_real *x)
{
    (void)b;
    float *p = (float *)x, f = (float)factor, o = (float)offset;
#pragma omp parallel for simd schedule(static) if (n > WF_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++)
        p[i] = f * p[i] + o;
    return WF_OK;
}

void wf_cpu_affine_slots(wf_backend *b)
{
    b->affine_forward = affine_forward;
    b->affine_inverse = affine_inverse;
    b->affine_backward = affine_backward;
    b->affine_inverse_backward = affine_inverse_backward;
    b->gaussian = gaussian;
    b->scale = scale_all;
}
