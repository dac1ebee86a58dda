/* dtype.c - names and sizes of number types, and conversions by integer arithmetic, which no rounding mode of the
 * processor and no flushing of subnormal numbers changes */
#include "dtype.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[WF_F16] = {"F16", 2},
              [WF_BFLOAT16] = {"BF16", 2},
              [WF_F32] = {"F32", 4},
              [WF_F64] = {"F64", 8},
              [WF_U64] = {"U64", 8}};

size_t wf_dtype_size(wf_dtype dtype)
{
    return dtypes[dtype].size;
}

const char *wf_dtype_name(wf_dtype dtype)
{
    return dtypes[dtype].name;
}

bool wf_dtype_find(const char *name, wf_dtype *out)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(name, dtypes[i].name)) {
            *out = (wf_dtype)i;
            return true;
        }
    return false;
}

/* -- conversions --------------------------------------------------------------------------------------------------- */

enum { SIGN16 = 0x8000, INFINITY16 = 0x7c00, QUIET16 = 0x200 };
#define INFINITY32 0x7f800000u

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Divides by 2^shift, 1 to 31, rounding to nearest, ties to even. */
static uint32_t shift_rounded(uint32_t value, int shift)
{
    uint32_t half = 1u << (shift - 1), rest = value & ((half << 1) - 1), quotient = value >> shift;
    return quotient + (rest > half || (rest == half && (quotient & 1)));
}

uint16_t wf_narrow_f16(float value)
{
    uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffff, sign = bits >> 16 & SIGN16;
    if (magnitude > INFINITY32)
        return (uint16_t)(sign | INFINITY16 | QUIET16 | (magnitude >> 13 & 0x1ff));
    int exponent = (int)(magnitude >> 23) - 127;
    if (exponent >= 16)
        return (uint16_t)(sign | INFINITY16);
    if (exponent >= -14) /* a carry out of the mantissa enters the exponent, up to infinity */
        return (uint16_t)(sign | (shift_rounded(magnitude, 13) - (112 << 10)));
    if (exponent < -25) /* below half of the smallest */
        return (uint16_t)sign;
    return (uint16_t)(sign | shift_rounded((magnitude & 0x7fffff) | 0x800000, -1 - exponent));
}

float wf_widen_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & SIGN16) << 16, exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    if (exponent == 31)
        return float_of(sign | INFINITY32 | mantissa << 13);
    if (exponent)
        return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    return float_of(sign | bits_of((float)mantissa * 0x1p-24f)); /* exact, and never subnormal as a float */
}

uint16_t wf_narrow_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > INFINITY32)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)shift_rounded(bits, 16);
}

float wf_widen_bf16(uint16_t half)
{
    return float_of((uint32_t)half << 16);
}

bool wf_dtype_read(wf_dtype dtype, const void *from, float *to, size_t n)
{
    const unsigned char *bytes = from;
    uint16_t half;
    double wide;
    if (dtype == WF_U64)
        return false;
    if (dtype == WF_F32 && n)
        memcpy(to, from, n * sizeof *to);
    for (size_t i = 0; dtype == WF_F64 && i < n; i++) {
        memcpy(&wide, bytes + i * sizeof wide, sizeof wide);
        to[i] = (float)wide;
    }
    for (size_t i = 0; wf_dtype_size(dtype) == sizeof half && i < n; i++) {
        memcpy(&half, bytes + i * sizeof half, sizeof half);
        to[i] = dtype == WF_F16 ? wf_widen_f16(half) : wf_widen_bf16(half);
    }
    return true;
}

bool wf_dtype_write(wf_dtype dtype, const float *from, void *to, size_t n)
{
    unsigned char *bytes = to;
    if (dtype == WF_U64)
        return false;
    if (dtype == WF_F32 && n)
        memcpy(to, from, n * sizeof *from);
    for (size_t i = 0; dtype == WF_F64 && i < n; i++) {
        double wide = from[i];
        memcpy(bytes + i * sizeof wide, &wide, sizeof wide);
    }
    for (size_t i = 0; wf_dtype_size(dtype) == sizeof(uint16_t) && i < n; i++) {
        uint16_t half = dtype == WF_F16 ? wf_narrow_f16(from[i]) : wf_narrow_bf16(from[i]);
        memcpy(bytes + i * sizeof half, &half, sizeof half);
    }
    return true;
}
