/* peak.c - the most that the processor multiplies, by loops in registers, and the times of one convolution in bf16
 *
 *   peak:fp32       fused multiply-adds in single precision, in the widest registers that this build uses
 *   peak:bf16       vdpbf16ps: products of pairs of bf16
 *   peak:amx        tile products of bf16, tiles in registers
 *   peak:amx-loads  the same with a tile load for each product, from the nearest cache, as in a product of matrices
 *
 * Each thread runs the loop; the best of many rounds counts, in multiplications and additions per second. */
#include "peak.h"

#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../kernels/backend.h"
#include "../../kernels/cpu/amx_find.h"
#include "../../kernels/cpu/tiles.h"
#include "../../tools/cli.h"

enum { ROUNDS = 1 << 17 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* -- loops, each of ROUNDS rounds ---------------------------------------------------------------------------------- */

/* Keeps the compiler from dropping x, or joining what makes it. */
#define KEEP(x) __asm__ volatile("" : "+x"(x))

#if defined __AVX512F__ || defined __FMA__
#ifdef __AVX512F__
typedef __m512 lanes;
enum { LANES = 16 };
#define SPREAD(x) _mm512_set1_ps(x)
#define ADD_PRODUCT(a, b, c) _mm512_fmadd_ps(a, b, c)
#else
typedef __m256 lanes;
enum { LANES = 8 };
#define SPREAD(x) _mm256_set1_ps(x)
#define ADD_PRODUCT(a, b, c) _mm256_fmadd_ps(a, b, c)
#endif
/* Sums in registers, named one by one: compilers keep an array of them in memory. Ten are enough for every unit and
 * latency, and leave some of 16 registers. */
enum { SUMS = 10 };
#define TEN(f) f(s0) f(s1) f(s2) f(s3) f(s4) f(s5) f(s6) f(s7) f(s8) f(s9)

static double fp32_loop(void)
{
    lanes a = SPREAD(0.5f), b = SPREAD(0.25f);
#define DECLARE(s) lanes s = SPREAD(0);
#define ADD(s)                \
    s = ADD_PRODUCT(a, b, s); \
    KEEP(s);
    TEN(DECLARE)
    KEEP(a);
    KEEP(b);
    for (int k = 0; k < ROUNDS; k++) {
        TEN(ADD)
    }
    return 2.0 * LANES * SUMS * ROUNDS;
}
#else
#define fp32_loop NULL
#endif

#if defined __AVX512BF16__ && defined __AVX512F__
static double bf16_loop(void)
{
    __m512i ones = _mm512_set1_epi16(0x3f80);
#define ADD_PAIRS(s)                                         \
    s = _mm512_dpbf16_ps(s, (__m512bh)ones, (__m512bh)ones); \
    KEEP(s);
    TEN(DECLARE)
    KEEP(ones);
    for (int k = 0; k < ROUNDS; k++) {
        TEN(ADD_PAIRS)
    }
    return 4.0 * LANES * SUMS * ROUNDS;
}
#else
#define bf16_loop NULL
#endif

/* A product of tiles is 16 x 16 sums of 32. */
#define TILE_FLOP (2.0 * 16 * 16 * 32)

static double amx_loop(void)
{
    wf_tiles_begin();
    for (int k = 0; k < ROUNDS; k++) {
        WF_TILE_DOT(0, 4, 6);
        WF_TILE_DOT(1, 4, 7);
        WF_TILE_DOT(2, 5, 6);
        WF_TILE_DOT(3, 5, 7);
    }
    wf_tiles_end();
    return 4 * TILE_FLOP * ROUNDS;
}

static double amx_loads_loop(void)
{
    enum { TILES = 16 };
    static _Thread_local uint8_t memory[TILES * WF_TILE] __attribute__((aligned(64)));
    wf_tiles_begin();
    for (int k = 0; k < ROUNDS; k++) {
        const uint8_t *p = memory + k % (TILES / 4) * 4 * WF_TILE;
        WF_TILE_LOAD(4, p, WF_TILE_STRIDE);
        WF_TILE_LOAD(6, p + WF_TILE, WF_TILE_STRIDE);
        WF_TILE_DOT(0, 4, 6);
        WF_TILE_LOAD(7, p + 2 * WF_TILE, WF_TILE_STRIDE);
        WF_TILE_DOT(1, 4, 7);
        WF_TILE_LOAD(5, p + 3 * WF_TILE, WF_TILE_STRIDE);
        WF_TILE_DOT(2, 5, 6);
        WF_TILE_DOT(3, 5, 7);
    }
    wf_tiles_end();
    return 4 * TILE_FLOP * ROUNDS;
}

/* Returns the operations per second of the best round of all threads together. */
static double best_rate(double (*loop)(void), int threads, double seconds)
{
    double best = 0;
    for (double start = now(); now() - start < seconds || best == 0;) {
        double flop = 0, began = now();
#pragma omp parallel num_threads(threads) reduction(+ : flop)
        flop += loop();
        double rate = flop / (now() - began);
        best = rate > best ? rate : best;
    }
    return best;
}

static void peak(const char *name, int threads, double seconds, const char *device)
{
    static const struct {
        const char *name;
        double (*loop)(void);
        bool tiles;
    } peaks[] = {{"fp32", fp32_loop, false},
                 {"bf16", bf16_loop, false},
                 {"amx", amx_loop, true},
                 {"amx-loads", amx_loads_loop, true}};
    for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++) {
        if (strcmp(name, peaks[i].name))
            continue;
        if (!peaks[i].loop)
            die(WF_UNAVAILABLE,
                "peak:%s: this build uses no such instruction: build with ARCH=native on a processor that has it",
                name);
        if (peaks[i].tiles && wf_amx_find() != WF_AMX_READY)
            die(WF_UNAVAILABLE, "peak:%s: %s", name,
                wf_amx_find() == WF_AMX_REFUSED ? "the system refuses AMX" : "this processor or system has no AMX");
        printf("{\"mode\": \"peak\", \"what\": \"%s\", \"threads\": %d, \"FLOP_per_s\": %.4g, \"device\": \"%s\"}\n",
               name, threads, best_rate(peaks[i].loop, threads, seconds), device);
        fflush(stdout);
        return;
    }
    die(WF_USAGE, "peak:%s: expected fp32, bf16, amx or amx-loads", name);
}

/* -- one convolution ----------------------------------------------------------------------------------------------- */

enum { FORWARD, DATA, WEIGHTS, PASSES };
static const char *const passes[] = {"forward", "data", "weights"};

/* One convolution of a backend that was opened for one way of computing it. */
typedef struct candidate {
    const char *way; /* a value of WF_CPU_AMX */
    wf_backend *backend;
    wf_conv *conv;
    wf_map *x, *y, *dy, *dx;
    wf_weights weights;
    double least[PASSES]; /* seconds */
} candidate;

static void *memory(wf_backend *b, size_t bytes)
{
    void *p;
    must(b->alloc(b, bytes, &p));
    must(b->zero(b, p, bytes));
    return p;
}

static wf_real *numbers(wf_backend *b, size_t count, double size)
{
    wf_real *x = memory(b, count * b->real);
    const uint64_t index = 0;
    must(b->normal(b, &(wf_random){1, WF_PURPOSE_LATENT, count}, 1, count, &index, size, x));
    return x;
}

static wf_map *map(wf_backend *b, const wf_map_shape *s)
{
    wf_map *m = memory(b, b->map_bytes(b, s));
    wf_real *x = numbers(b, (size_t)s->N * (size_t)s->H * (size_t)s->W * (size_t)s->C, 1);
    must(b->pack(b, s, s->C, s->C, x, 0, NULL, m));
    b->free(b, x);
    return m;
}

static void open_candidate(candidate *c, const wf_conv_spec *spec, int threads)
{
    setenv("WF_CPU_AMX", c->way, 1);
    must(wf_backend_open("cpu", threads, &c->backend));
    wf_backend *b = c->backend;
    wf_map_shape in = {spec->N, spec->H, spec->W, spec->in, spec->precision};
    wf_map_shape out = {spec->N, spec->H, spec->W, spec->out, spec->precision};
    size_t size = (size_t)spec->out * (size_t)(spec->k * spec->k) * (size_t)spec->in, channels = (size_t)spec->out;
    must(b->conv_create(b, spec, &c->conv));
    c->x = map(b, &in);
    c->dx = map(b, &in);
    c->y = map(b, &out);
    c->dy = map(b, &out);
    c->weights = (wf_weights){.w = numbers(b, size, 0.1),
                              .bias = numbers(b, channels, 0.1),
                              .logs = numbers(b, channels, 0.1),
                              .dw = numbers(b, size, 0),
                              .dbias = numbers(b, channels, 0),
                              .dlogs = numbers(b, channels, 0)};
    for (int i = 0; i < PASSES; i++)
        c->least[i] = 1e9;
}

static void run_pass(candidate *c, int pass)
{
    wf_weights w = c->weights;
    if (pass != WEIGHTS)
        w.dw = w.dbias = w.dlogs = NULL;
    double start = now();
    if (pass == FORWARD)
        must(c->backend->conv_forward(c->backend, c->conv, &w, c->x, NULL, c->y));
    else
        must(c->backend->conv_backward(c->backend, c->conv, &w, c->x, c->y, NULL, c->dy, pass == DATA ? c->dx : NULL));
    double taken = now() - start;
    c->least[pass] = taken < c->least[pass] ? taken : c->least[pass];
}

static void close_candidate(candidate *c)
{
    wf_backend *b = c->backend;
    void *all[] = {c->x,
                   c->dx,
                   c->y,
                   c->dy,
                   (void *)c->weights.w,
                   (void *)c->weights.bias,
                   (void *)c->weights.logs,
                   c->weights.dw,
                   c->weights.dbias,
                   c->weights.dlogs};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        b->free(b, all[i]);
    b->conv_destroy(b, c->conv);
    b->close(b);
}

/* Times all passes of oneDNN and of our own kernels by turns. FLOP are counted with taps on the padding. */
static void convolution(const char *text, int threads, double seconds)
{
    wf_conv_spec s = {.k = 3, .precision = WF_BF16};
    char rest;
    int given = sscanf(text, "%d:%d:%d:%d:%d%c", &s.out, &s.in, &s.H, &s.N, &s.k, &rest);
    s.W = s.H;
    if ((given != 4 && given != 5) || !wf_conv_good(&s) || s.out > 4096 || s.in > 4096 || s.H > 1024 || s.N > 4096)
        die(WF_USAGE,
            "conv:%s: expected conv:OUT:IN:H:N or conv:OUT:IN:H:N:K, channels, side, pictures and an odd kernel", text);
    candidate candidates[] = {{.way = "none"}, {.way = "all"}};
    enum { WAYS = sizeof candidates / sizeof *candidates };
    for (int i = 0; i < WAYS; i++)
        open_candidate(&candidates[i], &s, threads);
    double start = now();
    for (int round = 0; round < 2 || now() - start < seconds; round++)
        for (int pass = 0; pass < PASSES; pass++)
            for (int i = 0; i < WAYS; i++)
                run_pass(&candidates[i], pass);
    double flop = 2.0 * s.N * s.H * s.W * s.k * s.k * s.in * s.out;
    for (int pass = 0; pass < PASSES; pass++)
        for (int i = 0; i < WAYS; i++)
            printf("{\"mode\": \"conv\", \"pass\": \"%s\", \"own\": \"%s\", \"ms\": %.4g, \"FLOP_per_s\": %.4g, "
                   "\"device\": \"%s\"}\n",
                   passes[pass], candidates[i].way, 1e3 * candidates[i].least[pass], flop / candidates[i].least[pass],
                   candidates[i].backend->device);
    fflush(stdout);
    for (int i = 0; i < WAYS; i++)
        close_candidate(&candidates[i]);
}

bool peak_job(const char *text, int threads, double seconds, const char *device)
{
    if (!strncmp(text, "peak:", 5)) {
        peak(text + 5, threads, seconds, device);
        return true;
    }
    if (!strncmp(text, "conv:", 5)) {
        convolution(text + 5, threads, seconds);
        return true;
    }
    return false;
}
