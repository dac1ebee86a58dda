/* tiles.h - the eight tile registers of AMX: those of the processor, or emulated in C
 *
 * A tile has 16 rows of 64 bytes: 16x16 numbers in single precision, or 16x32 bf16. Instructions name tiles by
 * constants, so the operations below are macros.
 *
 *   WF_TILE_ZERO(t)
 *   WF_TILE_LOAD(t, p, stride), WF_TILE_STORE(t, p, stride)   row r is at p + r*stride bytes, in any alignment
 *   WF_TILE_DOT(c, a, b)     c[m][n] += sum over k < 16 of a[m][2k] b[k][2n] + a[m][2k+1] b[k][2n+1]
 *
 * A thread uses them between wf_tiles_begin and wf_tiles_end, which load and release the configuration of its
 * registers. The configuration belongs to the thread. oneDNN's kernels load their own in the same way when they start,
 * some only if the registers hold another one, which they read back first. So neither side sees the other's, as long as
 * no call of one library lies between begin and end of the other. Released registers also cost nothing when the system
 * changes threads.
 *
 * Products are single precision, rounded to nearest even after each addition. Subnormal inputs and results are zeros.
 * The products of even places are summed from zero, and those of odd places too; c gets the sum of both sums (Intel
 * 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS). tests/tiles/bochs.sh compares the two bodies. */
#ifndef WF_CPU_TILES_H
#define WF_CPU_TILES_H

#include <stddef.h>
#include <stdint.h>

enum { WF_TILE_ROWS = 16, WF_TILE_STRIDE = 64, WF_TILE = WF_TILE_ROWS * WF_TILE_STRIDE }; /* bytes */

#if defined WF_TILES_EMULATED || !defined __x86_64__

#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef union wf_tile {
    uint32_t pairs[WF_TILE_ROWS][16];
    float numbers[WF_TILE_ROWS][16];
} wf_tile;

/* Registers that are not configured hold NaN, where the processor would raise an exception. */
static _Thread_local struct {
    bool configured;
    wf_tile tile[8];
} wf_tiles;

static inline void wf_tiles_begin(void)
{
    memset(&wf_tiles, 0, sizeof wf_tiles);
    wf_tiles.configured = true;
}

static inline void wf_tiles_end(void)
{
    memset(&wf_tiles, 0xff, sizeof wf_tiles);
    wf_tiles.configured = false;
}

static inline void wf_tile_zero(int t)
{
    memset(&wf_tiles.tile[t], wf_tiles.configured ? 0 : 0xff, sizeof(wf_tile));
}

static inline void wf_tile_load(int t, const void *p, ptrdiff_t stride)
{
    for (int r = 0; r < WF_TILE_ROWS && wf_tiles.configured; r++)
        memcpy(wf_tiles.tile[t].pairs[r], (const char *)p + r * stride, WF_TILE_STRIDE);
}

static inline void wf_tile_store(int t, void *p, ptrdiff_t stride)
{
    for (int r = 0; r < WF_TILE_ROWS; r++)
        memcpy((char *)p + r * stride, wf_tiles.tile[t].pairs[r], WF_TILE_STRIDE);
}

static inline float wf_tile_flush(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

/* Returns half of a pair, as single precision. */
static inline float wf_tile_half(uint32_t pair, int half)
{
    union {
        uint32_t bits;
        float number;
    } v = {half ? pair & 0xffff0000u : pair << 16};
    return wf_tile_flush(v.number);
}

static inline void wf_tile_dot(int c, int a, int b)
{
    for (int m = 0; m < WF_TILE_ROWS; m++)
        for (int n = 0; n < 16; n++) {
            float sum[2] = {0, 0}, *to = &wf_tiles.tile[c].numbers[m][n];
            for (int k = 0; k < 16; k++)
                for (int half = 0; half < 2; half++)
                    sum[half] = wf_tile_flush(fmaf(wf_tile_half(wf_tiles.tile[a].pairs[m][k], half),
                                                   wf_tile_half(wf_tiles.tile[b].pairs[k][n], half), sum[half]));
            *to = wf_tile_flush(wf_tile_flush(*to) + wf_tile_flush(sum[0] + sum[1]));
        }
}

#define WF_TILE_ZERO(t) wf_tile_zero(t)
#define WF_TILE_LOAD(t, p, stride) wf_tile_load(t, p, stride)
#define WF_TILE_STORE(t, p, stride) wf_tile_store(t, p, stride)
#define WF_TILE_DOT(c, a, b) wf_tile_dot(c, a, b)

#else

#include <immintrin.h>

/* gcc 12 says neither that a load of a tile or of the configuration reads memory, nor how much: without a barrier,
 * stores before it move behind it, or vanish. findings/gcc-tiles.sh shows this. */
#define WF_TILE_BARRIER() __asm__ volatile("" ::: "memory")

static inline void wf_tiles_begin(void)
{
    static const struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } configuration __attribute__((aligned(64))) = {
        .palette = 1,
        .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {16, 16, 16, 16, 16, 16, 16, 16},
    };
    WF_TILE_BARRIER();
    _tile_loadconfig(&configuration);
}

static inline void wf_tiles_end(void)
{
    _tile_release();
}

#define WF_TILE_ZERO(t) _tile_zero(t)
#define WF_TILE_STORE(t, p, stride) _tile_stored(t, p, stride)
#define WF_TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#define WF_TILE_LOAD(t, p, stride) \
    do {                           \
        WF_TILE_BARRIER();         \
        _tile_loadd(t, p, stride); \
    } while (0)

#endif
#endif
