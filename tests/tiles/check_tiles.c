/* check_tiles.c - tests kernels/cpu/amx.h on the tiles of this processor, or compiled with -DWF_TILES_EMULATED on any
 *
 * One tile product is compared with results that the manual's order of sums and its rule for subnormal numbers give, to
 * the last bit. Convolutions are compared with double sums of the same bf16 numbers. Arrays stand between NaNs, and
 * outputs and scratch start as NaN, so a stray read shows in the results; a stray write shows in the NaNs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/cpu/amx.h"
#include "../../kernels/cpu/amx_find.h"
#include "../../kernels/cpu/tiles.h"

enum { GUARD = 4096 };

static int passed, failed;
static uint64_t bits = 0xcbf29ce484222325; /* of all results: tests/tiles/bochs.sh compares those of two machines */

static void tell(bool good, const char *what, const wf_amx_shape *s, const char *why)
{
    passed += good;
    failed += !good;
    if (good)
        return;
    printf("FAIL %s", what);
    if (s)
        printf(": N %d, %d x %d x %d, kernel %d x %d x %d, %d to %d channels", s->N, s->box.D, s->box.H, s->box.W,
               s->box.d, s->box.h, s->box.w, s->from, s->to);
    printf(": %s\n", why);
}

/* -- memory between NaNs ------------------------------------------------------------------------------------------- */

/* Returns `bytes` bytes of 0xff, aligned to 64, with GUARD bytes more on each side. */
static void *guarded(size_t bytes)
{
    size_t all = (bytes + 2 * GUARD + 63) / 64 * 64;
    unsigned char *memory = aligned_alloc(64, all);
    if (!memory) {
        fprintf(stderr, "check-tiles: no memory\n");
        exit(1);
    }
    memset(memory, 0xff, all);
    return memory + GUARD;
}

static bool untouched(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < GUARD; i++)
        if (p[-1 - (ptrdiff_t)i] != 0xff || p[bytes + i] != 0xff)
            return false;
    return true;
}

static void release(void *data)
{
    free((unsigned char *)data - GUARD);
}

static float number(uint16_t half)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)half << 16};
    return v.f;
}

static void note_bits(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t u = 0x7fc00000;
        if (!isnan(x[i]))
            memcpy(&u, &x[i], sizeof u);
        bits = (bits ^ u) * 0x100000001b3;
    }
}

static uint32_t mix(uint32_t v)
{
    v = (v ^ v >> 15) * 2654435761u;
    return v ^ v >> 13;
}

static uint16_t bf16(double x) /* cuts off */
{
    union {
        float f;
        uint32_t u;
    } v = {(float)x};
    return (uint16_t)(v.u >> 16);
}

/* -- one product --------------------------------------------------------------------------------------------------- */

/* Computes c + a[0] b[0] + .. for one number of a tile: `count` products, even places and odd places alternating. */
static float dot(float c, const double (*products)[2], int count)
{
    uint16_t *a = guarded(WF_TILE), *b = guarded(WF_TILE);
    float *sums = guarded(WF_TILE), result;
    memset(a, 0, WF_TILE);
    memset(b, 0, WF_TILE);
    memset(sums, 0, WF_TILE);
    enum { M = 3, N = 5 };
    bool finite = isfinite(c);
    for (int i = 0; i < count; i++) {
        finite = finite && isfinite(products[i][0]); /* infinity times the zeros of other columns is NaN */
        a[M * 32 + i] = bf16(products[i][0]);
        b[i / 2 * 32 + 2 * N + i % 2] = bf16(products[i][1]);
    }
    sums[M * 16 + N] = c;
    wf_tiles_begin();
    WF_TILE_LOAD(0, sums, WF_TILE_STRIDE);
    WF_TILE_LOAD(1, a, WF_TILE_STRIDE);
    WF_TILE_LOAD(2, b, WF_TILE_STRIDE);
    WF_TILE_DOT(0, 1, 2);
    WF_TILE_STORE(0, sums, WF_TILE_STRIDE);
    wf_tiles_end();
    result = sums[M * 16 + N];
    for (int i = 0; i < 256; i++)
        if (i != M * 16 + N && sums[i] != 0 && finite)
            result = NAN;
    release(a);
    release(b);
    release(sums);
    return result;
}

static void expect(const char *what, float have, float want)
{
    char why[96];
    snprintf(why, sizeof why, "%.9g, want %.9g", (double)have, (double)want);
    tell(memcmp(&have, &want, sizeof have) == 0 || (isnan(have) && isnan(want)), what, NULL, why);
}

#define DOT(c, ...) \
    dot(c, (const double[][2]){__VA_ARGS__}, sizeof((const double[][2]){__VA_ARGS__}) / (2 * sizeof(double)))

static void check_product(void)
{
    expect("a sum", DOT(0.5f, {1, 2}, {3, 4}, {5, 6}), 44.5f);
    expect("places beyond the first", DOT(0, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {3, 7}), 21);
    /* One after the other, each of the two halves of an ulp would be rounded away. */
    expect("even and odd places meet before the old value", DOT(1, {1, 0x1p-24}, {1, 0x1p-24}), 1 + 0x1p-23f);
    expect("even places alone are rounded to even", DOT(1, {1, 0x1p-24}), 1);
    /* 2^24 + 1 + 1 is 2^24 by single steps, and the places are in another sum than -2^24. */
    expect("places are summed in order", DOT(0, {0x1p24, 1}, {0, 0}, {1, 1}, {0, 0}, {1, 1}, {0, 0}, {-0x1p24, 1}), 0);
    expect("odd places in a sum of their own", DOT(0, {0x1p24, 1}, {1, 1}, {-0x1p24, 1}, {1, 1}), 2);
    expect("from zero, not from the old value", DOT(0x1p24f, {1, 1}, {0, 0}, {1, 1}), 0x1p24f + 2);
    expect("ties go to even, upwards", DOT(1 + 0x1p-23f, {1, 0x1p-24}), 1 + 0x1p-22f);
    /* Subnormal numbers. */
    expect("a subnormal factor is zero", DOT(0, {0x1p-127, 0x1p100}), 0);
    expect("a subnormal factor of the other side too", DOT(0, {0x1p100, 0x1p-130}), 0);
    expect("the least normal factor is not", DOT(0, {0x1p-126, 0x1p100}), 0x1p-26f);
    expect("a subnormal product is zero", DOT(0, {0x1p-100, 0x1p-27}, {0, 0}, {0x1p-100, 0x1p-27}), 0);
    expect("the least normal product is not", DOT(0, {0x1p-100, 0x1p-26}), 0x1p-126f);
    expect("a subnormal old value is zero", DOT(0x1p-127f, {0x1p-100, 0x1p-26}), 0x1p-126f);
    expect("a subnormal difference is zero", DOT(0, {0x1.8p-126, 1}, {-0x1p-126, 1}), 0);
    /* No exceptions. */
    expect("infinity", DOT(1, {INFINITY, 2}), INFINITY);
    expect("an overflow", DOT(0, {0x1p127, 2}), INFINITY);
    expect("infinity times zero", DOT(0, {INFINITY, 0}), NAN);
    expect("NaN of the old value", DOT(NAN, {1, 1}), NAN);
    expect("NaN of a factor", DOT(1, {NAN, 0}), NAN);
}

/* Notes the bits of products of numbers of every size: all exponents, or those next to the least normal product. The
 * latter have one sign, because Bochs 3.1 flushes some normal differences (findings/bochs-flush.sh). Both bodies of
 * tiles.h must note the same. */
static void note_products(void)
{
    uint16_t *factors = guarded(2 * WF_TILE);
    float *sums = guarded(WF_TILE);
    for (uint32_t round = 0; round < 200; round++) {
        for (uint32_t i = 0; i < WF_TILE; i++) {
            uint32_t v = mix(round * 65536 + i + 1);
            factors[i] = (uint16_t)(round % 2 ? v : (v & 0x1ff) + (62 << 7));
        }
        memset(sums, 0, WF_TILE);
        wf_tiles_begin();
        WF_TILE_LOAD(5, factors, WF_TILE_STRIDE);
        WF_TILE_LOAD(6, factors + WF_TILE / 2, WF_TILE_STRIDE);
        WF_TILE_LOAD(7, sums, WF_TILE_STRIDE);
        WF_TILE_DOT(7, 5, 6);
        WF_TILE_DOT(7, 5, 6);
        WF_TILE_STORE(7, sums, WF_TILE_STRIDE);
        wf_tiles_end();
        note_bits(sums, 256);
    }
    release(factors);
    release(sums);
}

/* -- convolutions -------------------------------------------------------------------------------------------------- */

/* Sound, pictures and volumes; few and many pictures; sides that fill tiles of pixels, or not, or are smaller than the
 * kernel; odd numbers of blocks of 16 channels, and channels beyond those of the convolution. */
static const struct {
    wf_amx_shape shape;
    int in, out; /* channels that are not padding */
} shapes[] = {
    {{1, {1, 1, 1, 1, 1, 1}, 16, 16}, 1, 1},    {{1, {1, 1, 5, 1, 1, 3}, 16, 16}, 7, 10},
    {{2, {1, 8, 8, 1, 3, 3}, 32, 32}, 32, 32},  {{3, {1, 3, 5, 1, 3, 3}, 48, 16}, 40, 9},
    {{5, {1, 7, 3, 1, 1, 1}, 16, 48}, 12, 48},  {{64, {1, 4, 4, 1, 3, 3}, 16, 32}, 16, 32},
    {{33, {1, 3, 2, 1, 3, 3}, 32, 16}, 17, 16}, {{2, {1, 1, 65, 1, 1, 3}, 48, 64}, 48, 64},
    {{1, {1, 17, 41, 1, 3, 3}, 16, 16}, 3, 16}, {{4, {1, 16, 16, 1, 3, 3}, 64, 48}, 64, 41},
    {{2, {2, 4, 3, 3, 3, 3}, 16, 32}, 16, 20},  {{3, {3, 2, 5, 1, 1, 1}, 64, 80}, 64, 80},
    {{2, {1, 5, 6, 1, 5, 5}, 16, 16}, 16, 16},  {{7, {1, 9, 1, 1, 3, 3}, 16, 48}, 16, 33},
    {{3, {1, 1, 2, 1, 5, 5}, 48, 16}, 33, 3},   {{1, {3, 1, 1, 3, 3, 3}, 16, 16}, 16, 1},
};

/* Numbers of up to eight bits; zeros in the padding. About a third of them are zero, as behind a relu. */
static uint16_t *make_map(const wf_amx_shape *s, int channels, int real, uint32_t salt)
{
    size_t pixels = (size_t)s->N * (size_t)(s->box.D * s->box.H * s->box.W), bytes = pixels * (size_t)channels * 2;
    uint16_t *map = guarded(bytes);
    for (size_t i = 0; i < pixels * (size_t)channels; i++) {
        uint32_t v = (uint32_t)i * 2654435761u + salt * 2246822519u;
        v = mix(v);
        bool zero = (int)(i % (size_t)channels) >= real || v % 3 == 0;
        map[i] = zero ? 0 : bf16((double)(v >> 8) * 0x1p-23 - 1);
    }
    return map;
}

typedef struct place {
    int z, y, x;
} place;

static bool inside(const wf_conv_box *b, place p)
{
    return p.z >= 0 && p.z < b->D && p.y >= 0 && p.y < b->H && p.x >= 0 && p.x < b->W;
}

static const uint16_t *at(const wf_conv_box *b, const uint16_t *map, int channels, int n, place p)
{
    return map +
           ((((size_t)n * (size_t)b->D + (size_t)p.z) * (size_t)b->H + (size_t)p.y) * (size_t)b->W + (size_t)p.x) *
               (size_t)channels;
}

/* Sums dy times x over all pixels, and the same without signs. */
static double gradient_of(const wf_amx_shape *s, const uint16_t *x, const uint16_t *dy, int o, int tap, int i,
                          double *size)
{
    const wf_conv_box *b = &s->box;
    double sum = 0;
    *size = 0;
    for (int n = 0; n < s->N; n++)
        for (place p = {0, 0, 0}; p.z < b->D; p.z++)
            for (p.y = 0; p.y < b->H; p.y++)
                for (p.x = 0; p.x < b->W; p.x++) {
                    place q = {p.z + tap / (b->h * b->w) - b->d / 2, p.y + tap / b->w % b->h - b->h / 2,
                               p.x + tap % b->w - b->w / 2};
                    if (!inside(b, q))
                        continue;
                    double product =
                        (double)number(at(b, dy, s->to, n, p)[o]) * (double)number(at(b, x, s->from, n, q)[i]);
                    sum += product;
                    *size += fabs(product);
                }
    return sum;
}

static double sum_of(const wf_amx_shape *s, const uint16_t *dy, int o, double *size)
{
    double sum = 0;
    *size = 0;
    for (size_t p = 0; p < (size_t)s->N * (size_t)(s->box.D * s->box.H * s->box.W); p++) {
        sum += (double)number(dy[p * (size_t)s->to + (size_t)o]);
        *size += fabs((double)number(dy[p * (size_t)s->to + (size_t)o]));
    }
    return sum;
}

/* Each addition may lose half an ulp of what it holds. */
static bool near(double have, double want, double size)
{
    return fabs(have - want) <= 1e-6 * size; /* false for NaN */
}

static const char *wrong_gradient(const wf_amx_shape *s, const uint16_t *x, const uint16_t *dy, const float *dw,
                                  const float *sums)
{
    static char why[128];
    int taps = s->box.d * s->box.h * s->box.w;
    double size, want;
    for (int o = 0; o < s->to; o++) {
        want = sum_of(s, dy, o, &size);
        if (!near((double)sums[o], want, size)) {
            snprintf(why, sizeof why, "sums[%d] is %.9g, want %.9g", o, (double)sums[o], want);
            return why;
        }
        for (int k = 0; k < taps * s->from; k++) {
            double have = (double)dw[(size_t)(o * taps) * (size_t)s->from + (size_t)k];
            want = gradient_of(s, x, dy, o, k / s->from, k % s->from, &size);
            if (!near(have, want, size)) {
                snprintf(why, sizeof why, "dw[%d,%d,%d] is %.9g, want %.9g", o, k / s->from, k % s->from, have, want);
                return why;
            }
        }
    }
    return NULL;
}

static void check_weights(const wf_amx_shape *s, const uint16_t *x, const uint16_t *dy)
{
    size_t gradients = (size_t)(s->to * s->box.d * s->box.h * s->box.w) * (size_t)s->from * sizeof(float);
    size_t sums_bytes = (size_t)s->to * sizeof(float);
    float *first = NULL, *first_sums = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        size_t bytes = wf_amx_weights_bytes(s, threads);
        float *dw = guarded(gradients), *sums = guarded(sums_bytes);
        void *scratch = guarded(bytes);
        wf_amx_weights(s, x, dy, dw, sums, scratch, threads);
        tell(untouched(dw, gradients) && untouched(sums, sums_bytes) && untouched(scratch, bytes), "weights", s,
             "written outside of dw, sums or scratch");
        release(scratch);
        if (threads == 1) {
            const char *why = wrong_gradient(s, x, dy, dw, sums);
            tell(!why, "weights", s, why);
            note_bits(dw, gradients / sizeof *dw);
            first = dw;
            first_sums = sums;
            continue;
        }
        tell(!memcmp(first, dw, gradients) && !memcmp(first_sums, sums, sums_bytes), "weights", s,
             "more threads give other bits");
        release(dw);
        release(sums);
    }
    release(first);
    release(first_sums);
}

/* Returns what a call should give for one number, from doubles, and the same without signs. */
static double result_of(const wf_amx_convolve *call, const uint16_t *before, int n, place p, int o, double *size)
{
    const wf_amx_shape *s = &call->shape;
    const wf_conv_box *b = &s->box;
    int taps = b->d * b->h * b->w;
    double sum = call->shift ? (double)call->shift[o] : 0;
    sum += call->residual ? (double)number(at(b, before, s->to, n, p)[o]) : 0;
    *size = fabs(sum);
    for (int tap = 0; tap < taps; tap++) {
        int z = tap / (b->h * b->w) - b->d / 2, y = tap / b->w % b->h - b->h / 2, x = tap % b->w - b->w / 2;
        place q = call->back ? (place){p.z - z, p.y - y, p.x - x} : (place){p.z + z, p.y + y, p.x + x};
        for (int i = 0; i < s->from && inside(b, q); i++) {
            int to = call->back ? i : o, from = call->back ? o : i;
            if (to >= call->out || from >= call->in)
                continue;
            double w = (double)call->w[(to * taps + tap) * call->in + from] * (double)call->scale[to];
            double product = w * (double)number(at(b, call->x, s->from, n, q)[i]);
            sum += product;
            *size += fabs(product);
        }
    }
    return call->relu && sum < 0 ? 0 : sum;
}

static const char *wrong_result(const wf_amx_convolve *call, const uint16_t *before)
{
    static char why[128];
    const wf_amx_shape *s = &call->shape;
    for (int n = 0; n < s->N; n++)
        for (place p = {0, 0, 0}; p.z < s->box.D; p.z++)
            for (p.y = 0; p.y < s->box.H; p.y++)
                for (p.x = 0; p.x < s->box.W; p.x++)
                    for (int o = 0; o < s->to; o++) {
                        double size, want = result_of(call, before, n, p, o, &size);
                        double have = (double)number(at(&s->box, call->y, s->to, n, p)[o]);
                        if (fabs(have - want) <= 0x1.01p-8 * fabs(want) + 1e-6 * size) /* rounded to 8 bits */
                            continue;
                        snprintf(why, sizeof why, "y[%d,%d,%d,%d,%d] is %.9g, want %.9g", n, p.z, p.y, p.x, o, have,
                                 want);
                        return why;
                    }
    return NULL;
}

/* Forward with everything, with a residual elsewhere, alone; and back. */
static void check_convolve(const wf_amx_shape *s, int in, int out, int variant)
{
    bool back = variant == 3;
    int w_in = back ? out : in, w_out = back ? in : out;
    size_t weights = (size_t)(w_out * s->box.d * s->box.h * s->box.w) * (size_t)w_in;
    size_t pixels = (size_t)s->N * (size_t)(s->box.D * s->box.H * s->box.W), bytes = pixels * (size_t)s->to * 2;
    float *w = guarded(weights * sizeof *w), *scale = guarded((size_t)w_out * sizeof *scale),
          *shift = guarded((size_t)s->to * sizeof *shift);
    uint16_t *x = make_map(s, s->from, in, 3), *y = make_map(s, s->to, out, 4), *residual = make_map(s, s->to, out, 4);
    uint16_t *first = NULL;
    wf_amx_convolve call = {.shape = *s, .x = x, .w = w, .back = back, .relu = variant == 0, .y = y};
    call.scale = scale;
    call.in = w_in;
    call.out = w_out;
    call.shift = variant < 2 ? shift : NULL;
    call.residual = variant == 0 ? y : variant == 1 ? residual : NULL;
    for (size_t i = 0; i < weights; i++)
        w[i] = number(bf16((double)(mix((uint32_t)i + 77) >> 8) * 0x1p-23 - 1));
    for (int o = 0; o < w_out; o++)
        scale[o] = ldexpf(1, o % 3 - 1); /* exact */
    for (int o = 0; o < s->to; o++)
        shift[o] = o < out ? (float)o / 16 - 1 : 0;
    for (int threads = 1; threads <= 3; threads++) {
        size_t needs = wf_amx_convolve_bytes(s, threads);
        void *scratch = guarded(needs);
        if (call.residual == y)
            memcpy(y, residual, bytes);
        else
            memset(y, 0xff, bytes);
        wf_amx_convolve_run(&call, scratch, threads);
        tell(untouched(y, bytes) && untouched(scratch, needs), "convolve", s, "written outside of y or scratch");
        release(scratch);
        if (threads == 1) {
            const char *why = wrong_result(&call, residual);
            tell(!why, back ? "convolve back" : "convolve", s, why);
            for (size_t i = 0; i < pixels * (size_t)s->to; i++)
                note_bits(&(float){number(y[i])}, 1);
            first = guarded(bytes);
            memcpy(first, y, bytes);
        } else {
            tell(!memcmp(first, y, bytes), "convolve", s, "more threads give other bits");
        }
    }
    release(first);
    release(residual);
    release(y);
    release(x);
    release(shift);
    release(scale);
    release(w);
}

int main(void)
{
    wf_amx_state state = wf_amx_find();
    int count = sizeof shapes / sizeof *shapes;
    if (state != WF_AMX_READY) {
        printf("skip: tiles of this processor: %s\n", state == WF_AMX_NONE ? "it has none" : "the system refuses them");
        printf("0 passed, 0 failed, %d skipped\n", count + 1);
        return 0;
    }
    check_product();
    note_products();
    for (int i = 0; i < count; i++) {
        const wf_amx_shape *s = &shapes[i].shape;
        uint16_t *x = make_map(s, s->from, shapes[i].in, 1), *dy = make_map(s, s->to, shapes[i].out, 2);
        check_weights(s, x, dy);
        for (int variant = 0; variant < 4; variant++)
            check_convolve(s, shapes[i].in, shapes[i].out, variant);
        release(x);
        release(dy);
    }
    printf("bits of all results: %016llx\n", (unsigned long long)bits);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
