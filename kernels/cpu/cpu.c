/* cpu.c - the memory of the CPU backend */
#include "cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static float *floats(wf_real *p)
{
    return (float *)p;
}

/* Asks for huge pages for large memory: 3 to 5 % of the time of a coupling's convolutions at 256 channels (8x8, N 64,
 * one core with AVX-512). A system without huge pages ignores the request. */
static int cpu_alloc(wf_backend *b, size_t bytes, void **out)
{
    (void)b;
    const size_t page = (size_t)2 << 20, unit = bytes < 2 * page ? 64 : page;
    size_t padded;
    *out = NULL;
    if (WF_ADD(bytes > 0 ? bytes : 1, unit - 1, &padded))
        *out = aligned_alloc(unit, padded / unit * unit);
    WF_CHECK(*out, WF_AGAIN, "cpu: no memory for %zu bytes", bytes);
    if (unit == page)
        (void)madvise(*out, padded / unit * unit, MADV_HUGEPAGE);
    return WF_OK;
}

static void cpu_free(wf_backend *b, void *memory)
{
    (void)b;
    free(memory);
}

int wf_cpu_scratch(wf_cpu *cpu, size_t bytes, void **out)
{
    if (bytes > cpu->scratch_bytes) {
        free(cpu->scratch);
        cpu->scratch = NULL;
        cpu->scratch_bytes = 0;
        WF_TRY(cpu_alloc(&cpu->base, bytes, &cpu->scratch));
        cpu->scratch_bytes = bytes;
    }
#ifdef __SANITIZE_ADDRESS__
    memset(cpu->scratch, 0xff, bytes); /* NaN: a number that was never written shows in the result */
#endif
    *out = cpu->scratch;
    return WF_OK;
}

static int cpu_upload(wf_backend *b, wf_real *to, const void *from, wf_dtype dtype, size_t n)
{
    (void)b;
    WF_CHECK(dtype == WF_F32 || dtype == WF_F64, WF_INTERNAL, "cpu: upload takes F32 or F64");
    if (dtype == WF_F32) {
        memcpy(to, from, n * sizeof(float));
        return WF_OK;
    }
    const double *x = from;
    float *y = floats(to);
    for (size_t i = 0; i < n; i++)
        y[i] = (float)x[i];
    return WF_OK;
}

static int cpu_download(wf_backend *b, void *to, wf_dtype dtype, const wf_real *from, size_t n)
{
    (void)b;
    WF_CHECK(dtype == WF_F32 || dtype == WF_F64, WF_INTERNAL, "cpu: download gives F32 or F64");
    if (dtype == WF_F32) {
        memcpy(to, from, n * sizeof(float));
        return WF_OK;
    }
    const float *x = (const float *)from;
    double *y = to;
    for (size_t i = 0; i < n; i++)
        y[i] = (double)x[i];
    return WF_OK;
}

static int cpu_download_double(wf_backend *b, double *to, const double *from, size_t n)
{
    (void)b;
    memcpy(to, from, n * sizeof(double));
    return WF_OK;
}

struct wf_readback {
    size_t n;
    double values[];
};

static int cpu_readback_begin(wf_backend *b, const double *from, size_t n, wf_readback **out)
{
    (void)b;
    wf_readback *readback = malloc(sizeof *readback + n * sizeof *from);
    WF_CHECK(readback, WF_AGAIN, "cpu: no memory for %zu numbers", n);
    readback->n = n;
    memcpy(readback->values, from, n * sizeof *from);
    *out = readback;
    return WF_OK;
}

static int cpu_readback_end(wf_backend *b, wf_readback *readback, double *to)
{
    (void)b;
    if (to)
        memcpy(to, readback->values, readback->n * sizeof *to);
    free(readback);
    return WF_OK;
}

static int cpu_zero(wf_backend *b, void *memory, size_t bytes)
{
    (void)b;
    memset(memory, 0, bytes);
    return WF_OK;
}

static int cpu_copy(wf_backend *b, wf_real *to, const wf_real *from, size_t n)
{
    (void)b;
    memmove(to, from, n * sizeof(float));
    return WF_OK;
}

static int cpu_copy_runs(wf_backend *b, const wf_runs *runs, wf_real *to, const wf_real *from)
{
    (void)b;
    const wf_runs r = *runs;
    size_t count = r.outer * r.inner;
#pragma omp parallel for schedule(static) if (count * r.run > WF_CPU_PARALLEL)
    for (size_t k = 0; k < count; k++) {
        size_t o = k / r.inner, i = k % r.inner;
        float *t = floats(to) + o * r.to_outer + i * r.to_inner;
        const float *f = (const float *)from + o * r.from_outer + i * r.from_inner;
        for (size_t e = 0; e < r.run; e++)
            t[e] = r.add ? t[e] + f[e] : f[e];
    }
    return WF_OK;
}

void wf_cpu_memory_slots(wf_backend *b)
{
    b->alloc = cpu_alloc;
    b->free = cpu_free;
    b->upload = cpu_upload;
    b->download = cpu_download;
    b->download_double = cpu_download_double;
    b->readback_begin = cpu_readback_begin;
    b->readback_end = cpu_readback_end;
    b->zero = cpu_zero;
    b->copy = cpu_copy;
    b->copy_runs = cpu_copy_runs;
}
