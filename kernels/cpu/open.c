/* open.c - opens the CPU backend and fills its table */
#include "cpu.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* oneDNN's values are those of the enumeration on x86-64 only. On arm64 the same bits are NEON and widths of SVE. */
#ifdef __x86_64__
enum { is_x86 = 1 };
#else
enum { is_x86 = 0 };
#endif

/* Each value of the enumeration has the bits of those that it extends. */
static bool isa_has(dnnl_cpu_isa_t isa, dnnl_cpu_isa_t part)
{
    return ((unsigned)isa & (unsigned)part) == (unsigned)part;
}

/* Names the best instruction set of the list that `isa` extends; oneDNN may know better ones. */
static const char *isa_name(dnnl_cpu_isa_t isa)
{
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {
#ifdef __aarch64__
        {(dnnl_cpu_isa_t)0x21, "SVE 512"}, /* oneDNN 3 */
        {(dnnl_cpu_isa_t)0x11, "SVE 512"}, /* oneDNN 2 */
        {(dnnl_cpu_isa_t)0x5, "SVE 256"},  {(dnnl_cpu_isa_t)0x3, "SVE 128"}, {(dnnl_cpu_isa_t)0x1, "NEON"},
#else
        {dnnl_cpu_isa_avx512_core_amx, "AMX"},
        {dnnl_cpu_isa_avx512_core_bf16, "AVX-512 BF16"},
        {dnnl_cpu_isa_avx512_core_vnni, "AVX-512 VNNI"},
        {dnnl_cpu_isa_avx512_core, "AVX-512"},
        {dnnl_cpu_isa_avx2_vnni, "AVX2 VNNI"},
        {dnnl_cpu_isa_avx2, "AVX2"},
        {dnnl_cpu_isa_avx, "AVX"},
        {dnnl_cpu_isa_sse41, "SSE4.1"},
#endif
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (isa_has(isa, names[i].isa))
            return names[i].name;
    return "generic";
}

/* Writes a name such as "Intel(R) Xeon(R) Processor", or "processor" if the system does not give one. */
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

/* Names the instructions that the loops of this backend were compiled for. oneDNN compiles its own at run time. */
static const char *compiled_for(void)
{
#if defined __AVX512F__ && defined __AVX512BW__ && defined __AVX512CD__ && defined __AVX512DQ__ && defined __AVX512VL__
    return "x86-64-v4";
#elif defined __AVX2__ && defined __FMA__ && defined __BMI2__
    return "x86-64-v3";
#elif defined __SSE4_2__
    return "x86-64-v2";
#elif defined __x86_64__
    return "x86-64";
#elif defined __aarch64__
    return "arm64";
#else
    return "this processor";
#endif
}

static void describe_device(wf_cpu *cpu, dnnl_cpu_isa_t isa)
{
    char processor[72];
    const dnnl_version_t *version = dnnl_version();
    const char *way = cpu->preferred == WF_WAYS         ? ""
                      : cpu->preferred == WF_WAY_ONEDNN ? ", convolutions by oneDNN"
                                                        : ", convolutions by Winograd";
    processor_name(processor, sizeof processor);
    snprintf(cpu->base.device, sizeof cpu->base.device, "%s, %s%s, oneDNN %d.%d.%d, loops for %s%s%s", processor,
             isa_name(isa), wf_cpu_tiles_text(cpu->tiles), version->major, version->minor, version->patch,
             compiled_for(), way,
             cpu->nhwc == cpu->amx ? ""
             : cpu->nhwc           ? ", bf16 in NHWC"
                                   : ", bf16 in blocks");
}

/* Returns the row of `names` that the environment variable gives, or `otherwise` if it is not set; count: another
 * name. */
static int named(const char *variable, const char *const *names, int count, int otherwise)
{
    const char *value = getenv(variable);
    int i = 0;
    if (!value || !*value)
        return otherwise;
    while (i < count && strcmp(names[i], value) != 0)
        i++;
    return i;
}

/* Chooses NHWC for bf16 maps where oneDNN has AMX, whose kernels exist for NHWC alone; without AMX both layouts are as
 * fast (README.md). Two variables decide instead, so that tests walk layouts and ways on one machine. */
static int choose_layout(wf_cpu *cpu, dnnl_cpu_isa_t isa)
{
    static const char *const layouts[] = {"blocked", "nhwc"}, *const ways[] = {"winograd", "onednn"};
    cpu->amx = is_x86 && isa_has(isa, dnnl_cpu_isa_avx512_core_amx);
    int layout = named("WF_CPU_BF16_LAYOUT", layouts, 2, cpu->amx), way = named("WF_CPU_CONVOLUTION", ways, 2, -1);
    WF_CHECK(layout < 2, WF_USAGE, "cpu: WF_CPU_BF16_LAYOUT is '%s', expected blocked or nhwc",
             getenv("WF_CPU_BF16_LAYOUT"));
    WF_CHECK(way < 2, WF_USAGE, "cpu: WF_CPU_CONVOLUTION is '%s', expected winograd or onednn",
             getenv("WF_CPU_CONVOLUTION"));
    cpu->nhwc = layout;
    cpu->preferred = way < 0 ? WF_WAYS : way ? WF_WAY_ONEDNN : WF_WAY_WINOGRAD;
    return wf_cpu_tiles_choose(cpu->nhwc, &cpu->tiles);
}

/* Opens the CPU backend with `threads` threads in total (0: OMP_NUM_THREADS, or all). Errors: WF_AGAIN, WF_INTERNAL
 * (oneDNN fails), WF_USAGE (choose_layout). */
int wf_cpu_open(int threads, wf_backend **out)
{
    *out = NULL;
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    wf_cpu *cpu = calloc(1, sizeof *cpu);
    WF_CHECK(cpu, WF_AGAIN, "cpu: no memory");
    int status = choose_layout(cpu, isa);
    if (status) {
        free(cpu);
        return status;
    }
    if (dnnl_engine_create(&cpu->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&cpu->stream, cpu->engine, dnnl_stream_default_flags) != dnnl_success) {
        dnnl_engine_destroy(cpu->engine);
        free(cpu);
        return wf_fail(WF_INTERNAL, "cpu: oneDNN does not start");
    }
    cpu->block = is_x86 && isa_has(isa, dnnl_cpu_isa_avx512_core) ? 16 : 8;
    wf_backend *b = &cpu->base;
    b->name = "cpu";
    b->real = sizeof(float);
    b->host = true;
    b->bf16 = is_x86 && isa_has(isa, dnnl_cpu_isa_avx512_core_bf16);
    static int all; /* the value of OMP_NUM_THREADS or of the machine, before any backend sets another */
    if (!all)
        all = omp_get_max_threads();
    b->threads = threads > 0 ? threads : all;
    omp_set_num_threads(b->threads);
    wf_cpu_watch_cores(b->threads);
    b->pixels = 4096;
    b->memory = (size_t)sysconf(_SC_PHYS_PAGES) / 4 *
                (size_t)sysconf(_SC_PAGESIZE); /* a quarter: other programs need memory too */
    describe_device(cpu, isa);
    b->close = cpu_close;
    wf_cpu_memory_slots(b);
    wf_cpu_linear_slots(b);
    wf_cpu_matvec_slots(b);
    wf_cpu_transform_slots(b);
    wf_cpu_lattice_slots(b);
    wf_cpu_noise_slots(b);
    wf_cpu_map_slots(b);
    wf_cpu_gate_slots(b);
    wf_cpu_attention_slots(b);
    wf_cpu_conv_slots(b);
    wf_cpu_moments_slots(b);
    wf_cpu_adamax_slots(b);
    wf_cpu_muon_slots(b);
    wf_cpu_wavelet_slots(b);
    wf_cpu_wavelet_axis_slots(b);
    *out = b;
    return WF_OK;
}
