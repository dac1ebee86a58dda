/* cpu.c - opening the CPU backend, and its memory */
#include "cpu.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static float *floats(wf_real *p)
{
    return (float *)p;
}

/* Large memory asks for large pages: 3 to 5 % of the time of a coupling's convolutions at 256 channels (8x8, N 64, one
 * core with AVX-512). A system that has none just goes on without. */
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

static void cpu_close(wf_backend *b)
{
    if (!b)
        return;
    wf_cpu *cpu = (wf_cpu *)b;
    dnnl_stream_destroy(cpu->stream);
    dnnl_engine_destroy(cpu->engine);
    free(cpu->scratch);
    free(cpu);
}

static const char *isa_name(dnnl_cpu_isa_t isa)
{
    switch ((int)isa) {
    case dnnl_cpu_isa_sse41:
        return "SSE4.1";
    case dnnl_cpu_isa_avx:
        return "AVX";
    case dnnl_cpu_isa_avx2:
        return "AVX2";
    case dnnl_cpu_isa_avx2_vnni:
        return "AVX2 VNNI";
    case dnnl_cpu_isa_avx512_core:
        return "AVX-512";
    case dnnl_cpu_isa_avx512_core_vnni:
        return "AVX-512 VNNI";
    case dnnl_cpu_isa_avx512_core_bf16:
        return "AVX-512 BF16";
    case dnnl_cpu_isa_avx512_core_amx:
        return "AMX";
    default:
        return "generic";
    }
}

/* "Intel(R) Xeon(R) Processor", or "processor" where the system does not say. */
static void processor_name(char *name, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, size, "%s", colon[1] == ' ' ? colon + 2 : colon + 1);
        break;
    }
    if (file)
        fclose(file);
}

static bool isa_has(dnnl_cpu_isa_t isa, dnnl_cpu_isa_t part)
{
    return ((int)isa & (int)part) == (int)part; /* each value of the enumeration holds the bits of what it extends */
}

static void describe(wf_cpu *cpu, dnnl_cpu_isa_t isa)
{
    char processor[72];
    const dnnl_version_t *version = dnnl_version();
    processor_name(processor, sizeof processor);
    snprintf(cpu->base.device, sizeof cpu->base.device, "%s, %s, oneDNN %d.%d.%d", processor, isa_name(isa),
             version->major, version->minor, version->patch);
}

/* Opens the CPU backend with `threads` threads in total (0: OMP_NUM_THREADS, or all). Errors: WF_AGAIN, WF_INTERNAL (oneDNN fails). */
int wf_cpu_open(int threads, wf_backend **out)
{
    *out = NULL;
    wf_cpu *cpu = calloc(1, sizeof *cpu);
    WF_CHECK(cpu, WF_AGAIN, "cpu: no memory");
    if (dnnl_engine_create(&cpu->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&cpu->stream, cpu->engine, dnnl_stream_default_flags) != dnnl_success) {
        dnnl_engine_destroy(cpu->engine);
        free(cpu);
        return wf_fail(WF_INTERNAL, "cpu: oneDNN does not start");
    }
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    cpu->block = isa_has(isa, dnnl_cpu_isa_avx512_core) ? 16 : 8;
    wf_backend *b = &cpu->base;
    b->name = "cpu";
    b->real = sizeof(float);
    b->host = true;
    b->bf16 = isa_has(isa, dnnl_cpu_isa_avx512_core_bf16);
    static int all; /* as OMP_NUM_THREADS or the machine has it, before any backend sets another number */
    if (!all)
        all = omp_get_max_threads();
    b->threads = threads > 0 ? threads : all;
    omp_set_num_threads(b->threads);
    b->memory = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * (size_t)sysconf(_SC_PAGESIZE); /* others live here too */
    describe(cpu, isa);
    b->close = cpu_close;
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
    wf_cpu_linear_slots(b);
    wf_cpu_mix_slots(b);
    wf_cpu_transform_slots(b);
    wf_cpu_noise_slots(b);
    wf_cpu_map_slots(b);
    wf_cpu_attention_slots(b);
    wf_cpu_conv_slots(b);
    wf_cpu_adamax_slots(b);
    wf_cpu_wavelet_slots(b);
    wf_cpu_wavelet_axis_slots(b);
    *out = b;
    return WF_OK;
}
