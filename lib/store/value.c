/* value.c - one picture's coefficients of one level as bytes, in tiles, so that a part can be read alone */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../base/finite.h"
#include "private.h"

enum { AS_F16 = 1, AS_F32 = 2, BEFORE = 8, AFTER = 8 };

/* Converts by scaling: 2^-112 moves the exponent of a float to that of a half, and the lowest 13 mantissa bits are
 * dropped. Subnormal halves come out right too, because the scaled float is then subnormal itself. The loop vectorizes
 * on any processor and waits for memory, so F16C instructions would gain nothing. */
static uint16_t half_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    memcpy(&value, &bits, sizeof bits);
    value *= 0x1p-112f;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(sign | (bits >> 13 & 0x7fff));
}

static float float_from_half(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    float value;
    memcpy(&value, &bits, sizeof bits);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* Encodes x [n] as halves. Returns whether all of them decode to the same bits. */
static bool encode_halves(const float *x, size_t n, unsigned char *to)
{
    uint32_t lost = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t half = half_from_float(x[i]);
        float back = float_from_half(half);
        uint32_t a, b;
        memcpy(&a, &x[i], sizeof a);
        memcpy(&b, &back, sizeof b);
        lost |= a ^ b;
        memcpy(to + i * sizeof half, &half, sizeof half);
    }
    return !lost;
}

static void decode_halves(const unsigned char *from, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, from + i * sizeof half, sizeof half);
        x[i] = float_from_half(half);
    }
}

/* -- tiles --------------------------------------------------------------------------------------------------------- */

/* Layout of a value of a level. */
typedef struct layout {
    int level, H, W;
    size_t C, K;          /* channels of low and of detail; K = 0 at the base */
    size_t rows, columns; /* of tiles */
} layout;

typedef struct tile {
    int y, x, h, w; /* pixels */
    size_t number;
    size_t begin, end; /* bytes of the value, without the checksum that follows */
} tile;

static layout layout_of(int level, wf_level_shape s)
{
    return (layout){.level = level,
                    .H = s.H,
                    .W = s.W,
                    .C = (size_t)s.C,
                    .K = level ? (size_t)s.K : 0,
                    .rows = (size_t)(s.H + WF_TILE - 1) / WF_TILE,
                    .columns = (size_t)(s.W + WF_TILE - 1) / WF_TILE};
}

static tile tile_at(const layout *l, size_t row, size_t column, size_t each)
{
    tile t = {.y = (int)row * WF_TILE, .x = (int)column * WF_TILE, .number = row * l->columns + column};
    t.h = l->H - t.y < WF_TILE ? l->H - t.y : WF_TILE;
    t.w = l->W - t.x < WF_TILE ? l->W - t.x : WF_TILE;
    size_t before = (size_t)t.y * (size_t)l->W + (size_t)t.x * (size_t)t.h;
    t.begin = BEFORE + before * (l->C + l->K) * each + t.number * AFTER;
    t.end = t.begin + (size_t)t.h * (size_t)t.w * (l->C + l->K) * each;
    return t;
}

static size_t value_size(const layout *l, size_t each)
{
    return BEFORE + (size_t)l->H * (size_t)l->W * (l->C + l->K) * each + l->rows * l->columns * AFTER;
}

/* Computes a tile's checksum; see private.h. That of the first tile includes the bytes before it. */
static uint64_t tile_checksum(const layout *l, uint64_t index, const tile *t, const unsigned char *value)
{
    const uint64_t place[2] = {index, (uint64_t)l->level | (uint64_t)t->number << 8};
    size_t begin = t->number ? t->begin : 0;
    return XXH3_64bits_withSeed(value + begin, t->end - begin, XXH3_64bits(place, sizeof place));
}

/* -- encoding ------------------------------------------------------------------------------------------------------ */

size_t wf_value_bound(int level, wf_level_shape shape)
{
    layout l = layout_of(level, shape);
    return value_size(&l, sizeof(float));
}

void wf_value_begin(wf_value *v, const char *who, int level, uint64_t index, wf_level_shape shape, unsigned char *to)
{
    *v = (wf_value){.who = who, .level = level, .index = index, .shape = shape, .dtype = WF_F16, .to = to};
    memset(to, 0, BEFORE);
    to[0] = AS_F16;
}

static void seal_tile(wf_value *v, const layout *l, const tile *t)
{
    uint64_t own = tile_checksum(l, v->index, t, v->to);
    memcpy(v->to + t->end, &own, AFTER);
    v->checksum += own;
}

/* Converts the first `count` tiles from halves to floats in place, last number first, so that none is overwritten
 * before it is read. */
static void widen_tiles(wf_value *v, const layout *l, size_t count)
{
    v->dtype = WF_F32;
    v->to[0] = AS_F32;
    v->checksum = 0;
    for (size_t i = count; i--;) {
        tile from = tile_at(l, i / l->columns, i % l->columns, 2), to = tile_at(l, i / l->columns, i % l->columns, 4);
        for (size_t k = (from.end - from.begin) / 2; k--;) {
            float x;
            decode_halves(v->to + from.begin + 2 * k, &x, 1);
            memcpy(v->to + to.begin + 4 * k, &x, sizeof x);
        }
    }
    for (size_t i = 0; i < count; i++) {
        tile t = tile_at(l, i / l->columns, i % l->columns, 4);
        seal_tile(v, l, &t);
    }
}

/* Encodes the tile's pixels of x [rows,W,channels], whose first row is v->rows. False: they are not exact as halves. */
static bool encode_part(const wf_value *v, const layout *l, const tile *t, const float *x, size_t channels,
                        unsigned char *to)
{
    bool fit = true;
    size_t n = (size_t)t->w * channels;
    for (int y = t->y; y < t->y + t->h; y++) {
        const float *from = x + ((size_t)(y - v->rows) * (size_t)l->W + (size_t)t->x) * channels;
        if (v->dtype == WF_F16)
            fit &= encode_halves(from, n, to);
        else
            memcpy(to, from, n * sizeof *from);
        to += n * wf_dtype_size(v->dtype);
    }
    return fit;
}

static bool encode_tile(wf_value *v, const layout *l, const tile *t, const float *low, const float *detail)
{
    unsigned char *to = v->to + t->begin;
    bool fit = encode_part(v, l, t, low, l->C, to);
    if (fit && l->K)
        fit = encode_part(v, l, t, detail, l->K, to + (size_t)t->h * (size_t)t->w * l->C * wf_dtype_size(v->dtype));
    if (fit)
        seal_tile(v, l, t);
    return fit;
}

/* NaN and infinity are not exact as halves, so a value in halves is finite. */
int wf_value_rows(wf_value *v, int rows, const float *low, const float *detail)
{
    layout l = layout_of(v->level, v->shape);
    int end = v->rows + rows;
    WF_CHECK(rows > 0 && rows <= l.H - v->rows && (rows % WF_TILE == 0 || end == l.H), WF_INTERNAL,
             "%s: level %d: %d rows at %d of %d", v->who, v->level, rows, v->rows, l.H);
    for (size_t row = (size_t)v->rows / WF_TILE; (int)row * WF_TILE < end; row++)
        for (size_t column = 0; column < l.columns; column++) {
            tile t = tile_at(&l, row, column, wf_dtype_size(v->dtype));
            if (encode_tile(v, &l, &t, low, detail))
                continue;
            widen_tiles(v, &l, t.number);
            t = tile_at(&l, row, column, wf_dtype_size(v->dtype));
            encode_tile(v, &l, &t, low, detail);
        }
    if (v->dtype == WF_F32) {
        size_t pixels = (size_t)rows * (size_t)l.W;
        WF_CHECK(wf_find_nonfinite(low, pixels * l.C) == pixels * l.C &&
                     wf_find_nonfinite(detail, pixels * l.K) == pixels * l.K,
                 WF_DATA, "%s: level %d, picture %llu: a coefficient is not a finite number", v->who, v->level,
                 (unsigned long long)v->index);
    }
    v->rows = end;
    v->size = value_size(&l, wf_dtype_size(v->dtype));
    return WF_OK;
}

/* -- decoding ------------------------------------------------------------------------------------------------------ */

bool wf_value_dtype(MDB_val value, wf_dtype *dtype)
{
    int tag = value.mv_size > BEFORE ? *(const unsigned char *)value.mv_data : 0;
    *dtype = tag == AS_F16 ? WF_F16 : WF_F32;
    return tag == AS_F16 || tag == AS_F32;
}

/* Decodes the pixels that the tile and the window share, from the tile's part at `from` to x [window,channels]. */
static void decode_part(const tile *t, const wf_window *w, wf_dtype dtype, const unsigned char *from, size_t channels,
                        float *x)
{
    int top = t->y > w->y ? t->y : w->y, bottom = t->y + t->h < w->y + w->h ? t->y + t->h : w->y + w->h;
    int left = t->x > w->x ? t->x : w->x, right = t->x + t->w < w->x + w->w ? t->x + t->w : w->x + w->w;
    size_t n = (size_t)(right - left) * channels;
    for (int y = top; y < bottom; y++) {
        size_t at = ((size_t)(y - t->y) * (size_t)t->w + (size_t)(left - t->x)) * channels;
        float *to = x + ((size_t)(y - w->y) * (size_t)w->w + (size_t)(left - w->x)) * channels;
        if (dtype == WF_F16)
            decode_halves(from + 2 * at, to, n);
        else
            memcpy(to, from + 4 * at, n * sizeof *to);
    }
}

static int decode_tile(const char *who, const layout *l, uint64_t index, const tile *t, const wf_window *w,
                       wf_dtype dtype, const unsigned char *value, float *low, float *detail, uint64_t *checksum)
{
    uint64_t own;
    memcpy(&own, value + t->end, AFTER);
    WF_CHECK(own == tile_checksum(l, index, t, value), WF_DATA,
             "%s: level %d, picture %llu: the checksum of tile %zu of %zu is wrong", who, l->level,
             (unsigned long long)index, t->number, l->rows * l->columns);
    *checksum += own;
    const unsigned char *from = value + t->begin;
    decode_part(t, w, dtype, from, l->C, low);
    if (l->K)
        decode_part(t, w, dtype, from + (size_t)t->h * (size_t)t->w * l->C * wf_dtype_size(dtype), l->K, detail);
    return WF_OK;
}

int wf_value_decode(const char *who, int level, uint64_t index, MDB_val value, wf_level_shape shape,
                    const wf_window *window, float *low, float *detail, uint64_t *checksum)
{
    layout l = layout_of(level, shape);
    unsigned long long picture = index;
    wf_dtype dtype;
    WF_CHECK(wf_value_dtype(value, &dtype), WF_DATA,
             "%s: level %d, picture %llu: unknown type of value, want F16 or F32", who, level, picture);
    size_t want = value_size(&l, wf_dtype_size(dtype));
    WF_CHECK(value.mv_size == want, WF_DATA, "%s: level %d, picture %llu: value of %zu bytes, want %zu", who, level,
             picture, value.mv_size, want);
    *checksum = 0;
    for (int row = window->y / WF_TILE; row * WF_TILE < window->y + window->h; row++)
        for (int column = window->x / WF_TILE; column * WF_TILE < window->x + window->w; column++) {
            tile t = tile_at(&l, (size_t)row, (size_t)column, wf_dtype_size(dtype));
            WF_TRY(decode_tile(who, &l, index, &t, window, dtype, value.mv_data, low, detail, checksum));
        }
    size_t lows = (size_t)window->h * (size_t)window->w * l.C, details = (size_t)window->h * (size_t)window->w * l.K;
    WF_CHECK(wf_find_nonfinite(low, lows) == lows && wf_find_nonfinite(detail, details) == details, WF_DATA,
             "%s: level %d, picture %llu: a coefficient is not a finite number", who, level, picture);
    return WF_OK;
}
