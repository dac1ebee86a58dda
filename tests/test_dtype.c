/* test_dtype.c - floats as F16 and BF16: every number of both types, and rounding as in NumPy, whose results are in
 * tests/golden/halves.safetensors (make_halves.py) */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "../lib/base/dtype.h"
#include "../lib/base/safetensors.h"

/* The number that a sign, `exponents` bits of exponent and `digits` bits of mantissa stand for (IEEE 754). */
static double number(unsigned half, int exponents, int digits)
{
    unsigned most = (1u << exponents) - 1, exponent = half >> digits & most, mantissa = half & ((1u << digits) - 1);
    int bias = (int)(most >> 1);
    double value =
        exponent ? ldexp(1 + ldexp(mantissa, -digits), (int)exponent - bias) : ldexp(mantissa, 1 - bias - digits);
    if (exponent == most)
        value = mantissa ? NAN : INFINITY;
    return half >> 15 ? -value : value;
}

static const struct half {
    wf_dtype dtype;
    int exponents, digits;
    uint16_t (*narrow)(float);
    float (*widen)(uint16_t);
    const char *name, *back;
} halves[] = {{WF_F16, 5, 10, wf_narrow_f16, wf_widen_f16, "f16", "f16-float"},
              {WF_BFLOAT16, 8, 7, wf_narrow_bf16, wf_widen_bf16, "bf16", "bf16-float"}};
enum { HALVES = sizeof halves / sizeof *halves };

Test(dtype, every_half)
{
    for (const struct half *h = halves; h < halves + HALVES; h++)
        for (unsigned i = 0; i < 1 << 16; i++) {
            float value = h->widen((uint16_t)i);
            double want = number(i, h->exponents, h->digits);
            bool is_nan = isnan(want);
            cr_assert(is_nan ? isnan(value) : value == want, "%s %04x is %a, expected %a", h->name, i, value, want);
            cr_assert_eq(!signbit(value), !(i >> 15), "sign of %s %04x", h->name, i);
            unsigned back = h->narrow(value), quiet = is_nan ? 1u << (h->digits - 1) : 0;
            cr_assert_eq(back, i | quiet, "%s %04x comes back as %04x", h->name, i, back);
        }
}

/* Finds a tensor of the golden file with n elements; *n is 0 before the first. */
static const void *golden(const wf_safetensors *st, const char *name, wf_dtype dtype, size_t *n)
{
    const wf_tensor *t = wf_safetensors_find(st, name);
    cr_assert(t && t->dtype == dtype && t->rank == 1, "no tensor %s", name);
    cr_assert(!*n || *n == (size_t)t->shape[0]);
    *n = (size_t)t->shape[0];
    return t->data;
}

static bool same_float(float a, float b)
{
    return isnan(a) || isnan(b) ? isnan(a) && isnan(b) : !memcmp(&a, &b, sizeof a);
}

/* Compares by value, since programs disagree on the bits of NaN. */
Test(dtype, numpy_rounding)
{
    wf_safetensors st = {0};
    cr_assert_eq(wf_safetensors_load("tests/golden/halves.safetensors", &st), WF_OK, "%s", wf_error());
    size_t n = 0;
    const float *floats = golden(&st, "float", WF_F32, &n);
    cr_assert_gt(n, 1000);
    for (const struct half *h = halves; h < halves + HALVES; h++) {
        const uint16_t *want = golden(&st, h->name, h->dtype, &n);
        const float *back = golden(&st, h->back, WF_F32, &n);
        float *read = calloc(n, sizeof *read);
        uint16_t *written = calloc(n, sizeof *written);
        cr_assert(wf_dtype_read(h->dtype, want, read, n) && wf_dtype_write(h->dtype, floats, written, n));
        for (size_t i = 0; i < n; i++) {
            cr_assert(same_float(read[i], back[i]), "%s %04x is %a, expected %a", h->name, want[i], read[i], back[i]);
            cr_assert(isnan(back[i]) ? isnan(h->widen(written[i])) : written[i] == want[i],
                      "%a is %04x as %s, expected %04x", floats[i], written[i], h->name, want[i]);
        }
        free(read);
        free(written);
    }
    wf_safetensors_clear(&st);
}

Test(dtype, wide_types)
{
    const double doubles[3] = {0.1, -1e300, 3};
    const float floats[3] = {1.5f, -0.0f, 3};
    float read[3] = {9, 9, 9};
    double written[3];
    uint64_t whole[3] = {1, 2, 3};
    cr_assert(wf_dtype_read(WF_F64, doubles, read, 3));
    cr_assert(read[0] == 0.1f && read[1] == -INFINITY && read[2] == 3);
    cr_assert(wf_dtype_write(WF_F64, floats, written, 3));
    cr_assert(written[0] == 1.5 && written[1] == 0 && signbit(written[1]) && written[2] == 3);
    cr_assert(wf_dtype_write(WF_F32, floats, read, 3) && !memcmp(read, floats, sizeof read));
    cr_assert(wf_dtype_read(WF_F32, floats, read, 2) && !memcmp(read, floats, sizeof read));
    cr_assert(!wf_dtype_read(WF_U64, whole, read, 3) && !wf_dtype_write(WF_U64, floats, whole, 3));
    cr_assert(read[2] == 3 && whole[2] == 3, "U64 is neither read nor written");
}
