/* ref.c - the memory of the reference backend */
#include "ref.h"

#include <stdlib.h>
#include <string.h>

int wf_ref_scratch(size_t n, double **out)
{
    *out = calloc(n ? n : 1, sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "ref: out of memory: %zu numbers", n);
    return WF_OK;
}

int wf_ref_alloc(wf_backend *b, size_t bytes, void **out)
{
    (void)b;
    *out = aligned_alloc(64, ((bytes ? bytes : 1) + 63) & ~(size_t)63);
    WF_CHECK(*out, WF_AGAIN, "ref: out of memory: %zu bytes", bytes);
    return WF_OK;
}

void wf_ref_free(wf_backend *b, void *memory)
{
    (void)b;
    free(memory);
}

int wf_ref_upload(wf_backend *b, wf_real *to, const void *from, wf_dtype dtype, size_t n)
{
    (void)b;
    WF_CHECK(dtype == WF_F32 || dtype == WF_F64, WF_INTERNAL, "ref: upload takes F32 or F64");
    double *t = (double *)to;
    if (dtype == WF_F64 && n)
        memcpy(t, from, n * sizeof *t);
    else
        for (size_t i = 0; i < n; i++)
            t[i] = ((const float *)from)[i];
    return WF_OK;
}

int wf_ref_download(wf_backend *b, void *to, wf_dtype dtype, const wf_real *from, size_t n)
{
    (void)b;
    WF_CHECK(dtype == WF_F32 || dtype == WF_F64, WF_INTERNAL, "ref: download gives F32 or F64");
    const double *f = (const double *)from;
    if (dtype == WF_F64 && n)
        memcpy(to, f, n * sizeof *f);
    else
        for (size_t i = 0; i < n; i++)
            ((float *)to)[i] = (float)f[i];
    return WF_OK;
}

int wf_ref_download_double(wf_backend *b, double *to, const double *from, size_t n)
{
    (void)b;
    if (n)
        memcpy(to, from, n * sizeof *to);
    return WF_OK;
}

struct wf_readback {
    size_t n;
    double *values;
};

int wf_ref_readback_begin(wf_backend *b, const double *from, size_t n, wf_readback **out)
{
    (void)b;
    wf_readback *readback = malloc(sizeof *readback);
    WF_CHECK(readback, WF_AGAIN, "ref: out of memory");
    readback->n = n;
    int status = wf_ref_scratch(n, &readback->values);
    if (status) {
        free(readback);
        return status;
    }
    for (size_t i = 0; i < n; i++)
        readback->values[i] = from[i];
    *out = readback;
    return WF_OK;
}

int wf_ref_readback_end(wf_backend *b, wf_readback *readback, double *to)
{
    (void)b;
    for (size_t i = 0; to && i < readback->n; i++)
        to[i] = readback->values[i];
    free(readback->values);
    free(readback);
    return WF_OK;
}

int wf_ref_zero(wf_backend *b, void *memory, size_t bytes)
{
    (void)b;
    if (bytes)
        memset(memory, 0, bytes);
    return WF_OK;
}

int wf_ref_copy(wf_backend *b, wf_real *to, const wf_real *from, size_t n)
{
    (void)b;
    if (n)
        memcpy(to, from, n * sizeof(double));
    return WF_OK;
}

int wf_ref_copy_runs(wf_backend *b, const wf_runs *runs, wf_real *to, const wf_real *from)
{
    (void)b;
    double *t = (double *)to;
    const double *f = (const double *)from;
    for (size_t o = 0; o < runs->outer; o++)
        for (size_t i = 0; i < runs->inner; i++)
            for (size_t e = 0; e < runs->run; e++) {
                size_t place = o * runs->to_outer + i * runs->to_inner + e;
                double value = f[o * runs->from_outer + i * runs->from_inner + e];
                t[place] = runs->add ? t[place] + value : value;
            }
    return WF_OK;
}
