/* conv_tiles.c - convolutions of bf16 maps in NHWC by our own AMX kernels (amx.h), and when they are used */
#include "amx.h"
#include "amx_find.h"
#include "conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* oneDNN uses AMX, and is not told to leave it (ONEDNN_MAX_CPU_ISA). */
static bool library_has_amx(void)
{
#if defined WF_TILES_EMULATED
    return true;
#elif defined __x86_64__
    const unsigned amx = dnnl_cpu_isa_avx512_core_amx;
    return ((unsigned)dnnl_get_effective_cpu_isa() & amx) == amx;
#else
    return false;
#endif
}

int wf_cpu_tiles_choose(bool nhwc, wf_cpu_tiles *out)
{
    static const char *const names[] = {"none", "weights", "all"};
    const char *name = getenv("WF_CPU_AMX");
    int chosen = WF_TILES_ALL;
    if (name && *name) {
        for (chosen = WF_TILES_NONE; chosen <= WF_TILES_ALL && strcmp(name, names[chosen]); chosen++)
            ;
        WF_CHECK(chosen <= WF_TILES_ALL, WF_USAGE, "cpu: WF_CPU_AMX is '%s', expected none, weights or all", name);
    }
    *out = nhwc && library_has_amx() && wf_amx_find() == WF_AMX_READY ? (wf_cpu_tiles)chosen : WF_TILES_NONE;
    return WF_OK;
}

const char *wf_cpu_tiles_text(wf_cpu_tiles tiles)
{
    if (tiles != WF_TILES_NONE)
        return tiles == WF_TILES_ALL ? " and own kernels" : " and own weights' gradients";
    return wf_amx_find() == WF_AMX_REFUSED ? " (the system refuses AMX)" : "";
}

bool wf_cpu_tiles_fit(const wf_cpu *cpu, const wf_conv *conv, wf_conv_pass pass)
{
    bool asked = cpu->tiles == WF_TILES_ALL || (cpu->tiles == WF_TILES_WEIGHTS && pass == WF_CONV_WEIGHTS);
    return asked && conv->in.nhwc && conv->out.nhwc && wf_conv_taps(&conv->spec) <= WF_AMX_TAPS;
}

static wf_amx_shape shape_of(const wf_conv *conv, bool back)
{
    int in = conv->in.channels, out = conv->out.channels;
    return (wf_amx_shape){conv->spec.N, wf_conv_box_of(&conv->spec), back ? out : in, back ? in : out};
}

static wf_amx_convolve convolve_of(const wf_conv *conv, bool back)
{
    return (wf_amx_convolve){.shape = shape_of(conv, back), .in = conv->spec.in, .out = conv->spec.out, .back = back};
}

/* The scratch of one call. */
typedef struct memory {
    float *plain;          /* [out,taps,in], channels padded */
    float *scale, *vector; /* [out], padded with zeros: exp(3 logs), and something by channel */
    void *kernel;
} memory;

/* plain, kernel: numbers and bytes that the call needs of them. */
static int memory_open(wf_cpu *cpu, const wf_conv *conv, const float *logs, size_t plain, size_t kernel, memory *m)
{
    size_t out = (size_t)conv->out.channels;
    void *start;
    WF_TRY(wf_cpu_scratch(cpu, (plain + 2 * out) * sizeof(float) + kernel, &start));
    m->plain = start;
    m->scale = m->plain + plain;
    m->vector = m->scale + out;
    m->kernel = m->vector + out;
    for (size_t o = 0; o < out; o++)
        m->scale[o] = o < (size_t)conv->spec.out ? expf(3.0f * logs[o]) : 0;
    return WF_OK;
}

int wf_cpu_tiles_forward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                         const void *x, const void *residual, void *y)
{
    memory m;
    wf_amx_convolve call = convolve_of(conv, false);
    WF_TRY(memory_open(cpu, conv, logs, 0, wf_amx_convolve_bytes(&call.shape, cpu->base.threads), &m));
    for (int o = 0; o < conv->out.channels; o++)
        m.vector[o] = o < conv->spec.out ? m.scale[o] * bias[o] : 0;
    call.x = x;
    call.w = w;
    call.scale = m.scale;
    call.shift = m.vector;
    call.residual = residual;
    call.relu = conv->spec.relu;
    call.y = y;
    wf_amx_convolve_run(&call, m.kernel, cpu->base.threads);
    return WF_OK;
}

int wf_cpu_tiles_data(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *logs, const void *dy, void *dx)
{
    memory m;
    wf_amx_convolve call = convolve_of(conv, true);
    WF_TRY(memory_open(cpu, conv, logs, 0, wf_amx_convolve_bytes(&call.shape, cpu->base.threads), &m));
    call.x = dy;
    call.w = w;
    call.scale = m.scale;
    call.y = dx;
    wf_amx_convolve_run(&call, m.kernel, cpu->base.threads);
    return WF_OK;
}

int wf_cpu_tiles_weights(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                         const void *x, const void *dy, float *dw, float *dbias, float *dlogs)
{
    memory m;
    wf_amx_shape shape = shape_of(conv, false);
    /* Whole lines of the cache: channels are multiples of 16. */
    size_t plain = (size_t)conv->out.channels * (size_t)wf_conv_taps(&conv->spec) * (size_t)conv->in.channels;
    WF_TRY(memory_open(cpu, conv, logs, plain, wf_amx_weights_bytes(&shape, cpu->base.threads), &m));
    wf_amx_weights(&shape, x, dy, m.plain, m.vector, m.kernel, cpu->base.threads);
    wf_cpu_finish_gradients(&conv->spec, w, bias, m.scale, m.plain, (size_t)conv->in.channels, m.vector, dw, dbias,
                            dlogs);
    return WF_OK;
}
