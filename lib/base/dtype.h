/* dtype.h - number types of tensors, in memory and in files, and conversions */
#ifndef WF_DTYPE_H
#define WF_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "linkage.h"

WF_BEGIN

typedef enum wf_dtype { WF_F32, WF_F64, WF_U64, WF_F16, WF_BFLOAT16 } wf_dtype;

size_t wf_dtype_size(wf_dtype dtype);
const char *wf_dtype_name(wf_dtype dtype); /* "F32" */
/* Finds a type by name; false: there is none. */
bool wf_dtype_find(const char *name, wf_dtype *out);

/* Floats as F16 (IEEE binary16) and BF16 (the upper half of a float), and back. Narrowing rounds to nearest, ties to
 * even; too large a number becomes infinite. Subnormal numbers and infinities are kept. NaN stays NaN: it keeps sign
 * and upper bits of its payload, and becomes quiet when narrowed, as in NumPy. */
uint16_t wf_narrow_f16(float value);
uint16_t wf_narrow_bf16(float value);
float wf_widen_f16(uint16_t half);
float wf_widen_bf16(uint16_t half);

/* Reads n numbers of type F16, BF16, F32 or F64 as floats. False, and nothing read: dtype is U64. */
bool wf_dtype_read(wf_dtype dtype, const void *from, float *to, size_t n);
/* Writes n floats as F16, BF16, F32 or F64; the same for U64. */
bool wf_dtype_write(wf_dtype dtype, const float *from, void *to, size_t n);

WF_END

#endif
