/* ref.c - opening the reference backend, and its memory */
#include "ref.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int wf_ref_scratch(size_t n, double **out)
{
    *out = calloc(n ? n : 1, sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "ref: out of memory: %zu numbers", n);
    return WF_OK;
}

static void ref_close(wf_backend *b)
{
    free(b);
}

static int ref_alloc(wf_backend *b, size_t bytes, void **out)
{
    (void)b;
    *out = NULL;
    WF_CHECK(posix_memalign(out, 64, bytes ? bytes : 64) == 0, WF_AGAIN, "ref: out of memory: %zu bytes", bytes);
    return WF_OK;
}

static void ref_free(wf_backend *b, void *memory)
{
    (void)b;
    free(memory);
}

static int ref_upload(wf_backend *b, wf_real *to, const void *from, wf_dtype dtype, size_t n)
{
    (void)b;
    WF_CHECK(dtype == WF_F32 || dtype == WF_F64, WF_INTERNAL, "ref: upload of neither F32 nor F64");
    double *t = (double *)to;
    if (dtype == WF_F64 && n)
        memcpy(t, from, n * sizeof *t);
    else
        for (size_t i = 0; i < n; i++)
            t[i] = ((const float *)from)[i];
    return WF_OK;
}

static int ref_download(wf_backend *b, void *to, wf_dtype dtype, const wf_real *from, size_t n)
{
    (void)b;
    WF_CHECK(dtype == WF_F32 || dtype == WF_F64, WF_INTERNAL, "ref: download to neither F32 nor F64");
    const double *f = (const double *)from;
    if (dtype == WF_F64 && n)
        memcpy(to, f, n * sizeof *f);
    else
        for (size_t i = 0; i < n; i++)
            ((float *)to)[i] = (float)f[i];
    return WF_OK;
}

static int ref_download_double(wf_backend *b, double *to, const double *from, size_t n)
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

static int ref_readback_begin(wf_backend *b, const double *from, size_t n, wf_readback **out)
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

static int ref_readback_end(wf_backend *b, wf_readback *readback, double *to)
{
    (void)b;
    for (size_t i = 0; to && i < readback->n; i++)
        to[i] = readback->values[i];
    free(readback->values);
    free(readback);
    return WF_OK;
}

static int ref_zero(wf_backend *b, void *memory, size_t bytes)
{
    (void)b;
    if (bytes)
        memset(memory, 0, bytes);
    return WF_OK;
}

static int ref_copy(wf_backend *b, wf_real *to, const wf_real *from, size_t n)
{
    (void)b;
    if (n)
        memcpy(to, from, n * sizeof(double));
    return WF_OK;
}

static int ref_copy_runs(wf_backend *b, const wf_runs *runs, wf_real *to, const wf_real *from)
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

static const wf_backend ref_backend = {
    .name = "ref",
    .device = "naive double precision, one thread",
    .real = sizeof(double),
    .bf16 = false,
    .threads = 1,
    .close = ref_close,
    .alloc = ref_alloc,
    .free = ref_free,
    .upload = ref_upload,
    .download = ref_download,
    .download_double = ref_download_double,
    .readback_begin = ref_readback_begin,
    .readback_end = ref_readback_end,
    .zero = ref_zero,
    .copy = ref_copy,
    .copy_runs = ref_copy_runs,
    .linear_fold = wf_ref_linear_fold,
    .linear_backward = wf_ref_linear_backward,
    .mix = wf_ref_mix,
    .mix_backward = wf_ref_mix_backward,
    .transform_forward = wf_ref_transform_forward,
    .transform_inverse = wf_ref_transform_inverse,
    .transform_backward = wf_ref_transform_backward,
    .transform_inverse_backward = wf_ref_transform_inverse_backward,
    .mask = wf_ref_mask,
    .map_bytes = wf_ref_map_bytes,
    .pack = wf_ref_pack,
    .pack_backward = wf_ref_pack_backward,
    .unpack = wf_ref_unpack,
    .relu_backward = wf_ref_relu_backward,
    .gate = wf_ref_gate,
    .gate_backward = wf_ref_gate_backward,
    .norm = wf_ref_norm,
    .norm_backward = wf_ref_norm_backward,
    .attend = wf_ref_attend,
    .attend_backward = wf_ref_attend_backward,
    .conv_create = wf_ref_conv_create,
    .conv_destroy = wf_ref_conv_destroy,
    .conv_forward = wf_ref_conv_forward,
    .conv_backward = wf_ref_conv_backward,
    .gaussian = wf_ref_gaussian,
    .normal = wf_ref_normal,
    .dequantize = wf_ref_dequantize,
    .squash = wf_ref_squash,
    .squash_backward = wf_ref_squash_backward,
    .scale = wf_ref_scale,
    .adamax = wf_ref_adamax,
    .guard = wf_ref_guard,
    .dwt = wf_ref_dwt,
    .idwt = wf_ref_idwt,
    .dwt_axis = wf_ref_dwt_axis,
    .idwt_axis = wf_ref_idwt_axis,
};

int wf_ref_open(int threads, wf_backend **out)
{
    (void)threads; /* one thread, so that sums have one order */
    *out = malloc(sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "ref: out of memory: %zu bytes", sizeof **out);
    **out = ref_backend;
    (*out)->memory = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * (size_t)sysconf(_SC_PAGESIZE);
    return WF_OK;
}
