/* store_value.c - one picture's coefficients of one level as bytes */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "finite.h"
#include "store_private.h"

enum { AS_F16 = 1, AS_F32 = 2, BEFORE = 8, AFTER = 8 };

/* Halves by scaling: 2^-112 moves the exponent of a float to that of a half, and 13 mantissa bits fall away; numbers
 * below the normal range come out right too, because the scaled float is then below its own. Vectorizes on any
 * processor, so F16C instructions would gain nothing in a loop that waits for memory. */
static uint16_t half_of(float value)
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

static float float_of(uint16_t half)
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

/* Writes x [n] as halves; false when one of them does not come back bit by bit. */
static bool encode_halves(const float *x, size_t n, unsigned char *to)
{
    uint32_t lost = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t half = half_of(x[i]);
        float back = float_of(half);
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
        x[i] = float_of(half);
    }
}

static uint64_t checksum_of(int level, uint64_t index, const unsigned char *value, size_t n)
{
    const uint64_t place[2] = {index, (uint64_t)level};
    return XXH3_64bits_withSeed(value, n, XXH3_64bits(place, sizeof place));
}

size_t wf_value_bound(size_t n)
{
    return BEFORE + n * sizeof(float) + AFTER;
}

size_t wf_value_encode(int level, uint64_t index, const float *low, size_t lows, const float *detail, size_t details,
                       unsigned char *to, uint64_t *checksum)
{
    memset(to, 0, BEFORE);
    unsigned char *p = to + BEFORE;
    bool halves = encode_halves(low, lows, p) && encode_halves(detail, details, p + 2 * lows);
    to[0] = halves ? AS_F16 : AS_F32;
    if (!halves) {
        memcpy(p, low, lows * sizeof *low);
        if (details)
            memcpy(p + lows * sizeof *low, detail, details * sizeof *detail);
    }
    p += (lows + details) * (halves ? 2 : 4);
    *checksum = checksum_of(level, index, to, (size_t)(p - to));
    memcpy(p, checksum, AFTER);
    return (size_t)(p - to) + AFTER;
}

bool wf_value_dtype(MDB_val value, wf_dtype *dtype)
{
    int tag = value.mv_size > BEFORE ? *(const unsigned char *)value.mv_data : 0;
    *dtype = tag == AS_F16 ? WF_F16 : WF_F32;
    return tag == AS_F16 || tag == AS_F32;
}

int wf_value_decode(const char *who, int level, uint64_t index, MDB_val value, float *low, size_t lows, float *detail,
                    size_t details, uint64_t *checksum)
{
    const unsigned char *from = value.mv_data, *p = from + BEFORE;
    unsigned long long picture = index;
    size_t n = lows + details;
    wf_dtype dtype;
    WF_CHECK(wf_value_dtype(value, &dtype), WF_DATA, "%s: level %d, picture %llu: unknown kind of value", who, level,
             picture);
    size_t want = BEFORE + n * wf_dtype_size(dtype) + AFTER;
    WF_CHECK(value.mv_size == want, WF_DATA, "%s: level %d, picture %llu: value of %zu bytes, want %zu", who, level,
             picture, value.mv_size, want);
    memcpy(checksum, from + want - AFTER, AFTER);
    WF_CHECK(*checksum == checksum_of(level, index, from, want - AFTER), WF_DATA,
             "%s: level %d, picture %llu: checksum is wrong", who, level, picture);
    if (dtype == WF_F16) {
        decode_halves(p, low, lows);
        decode_halves(p + 2 * lows, detail, details);
    } else {
        memcpy(low, p, lows * sizeof *low);
        if (details)
            memcpy(detail, p + lows * sizeof *low, details * sizeof *detail);
    }
    WF_CHECK(wf_find_nonfinite(low, lows) == lows && wf_find_nonfinite(detail, details) == details, WF_DATA,
             "%s: level %d, picture %llu: a coefficient is not a finite number", who, level, picture);
    return WF_OK;
}
