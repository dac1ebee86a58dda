/* dtype.h - number types of tensors, in memory and in files */
#ifndef WF_DTYPE_H
#define WF_DTYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "linkage.h"

WF_BEGIN

typedef enum wf_dtype { WF_F16, WF_F32, WF_F64, WF_U64 } wf_dtype;

size_t wf_dtype_size(wf_dtype dtype);
const char *wf_dtype_name(wf_dtype dtype); /* "F32" */
/* Finds a type by name; false: there is none. */
bool wf_dtype_find(const char *name, wf_dtype *out);

WF_END

#endif
