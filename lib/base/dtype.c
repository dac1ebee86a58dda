/* dtype.c - names and sizes of number types */
#include "dtype.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {[WF_F16] = {"F16", 2}, [WF_F32] = {"F32", 4}, [WF_F64] = {"F64", 8}, [WF_U64] = {"U64", 8}};

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
