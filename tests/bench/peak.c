/* peak.c - the most that the processor multiplies, by loops in registers
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
#include <string.h>

#include "../../kernels/cpu/amx_find.h"
#include "../../kernels/cpu/tiles.h"
#include "../../lib/base/clock.h"
#include "../../tools/cli.h"

enum { ROUNDS = 1 << 17 };

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
    for (double start = wf_clock(); wf_clock() - start < seconds || best == 0;) {
        double flop = 0, began = wf_clock();
#pragma omp parallel num_threads(threads) reduction(+ : flop)
        flop += loop();
        double rate = flop / (wf_clock() - began);
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

bool peak_job(const char *text, int threads, double seconds, const char *device)
{
    if (strncmp(text, "peak:", 5) != 0)
        return false;
    peak(text + 5, threads, seconds, device);
    return true;
}
