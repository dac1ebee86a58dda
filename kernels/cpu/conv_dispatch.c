/* conv_dispatch.c - the convolution slots
 *
 * Maps of up to four pixels go to conv_tiny.c. 3x3 kernels on other maps go to winograd.c and winograd_weights.c, but
 * bf16 maps to AMX where that is there: conv_tiles.c takes the passes that WF_CPU_AMX names, oneDNN the others. Every
 * other convolution goes to oneDNN (conv_blocked.c). On processors for which oneDNN has only its reference, all blocked
 * maps go to conv_direct.c. */
#include "conv.h"

#include <stdlib.h>

static wf_map_shape map_shape(const wf_conv_spec *s, int channels)
{
    return (wf_map_shape){.N = s->N, .H = s->H, .W = s->W, .C = channels, .precision = s->precision};
}

static void conv_destroy(wf_backend *b, wf_conv *conv)
{
    (void)b;
    if (!conv)
        return;
    wf_cpu_blocked_destroy(conv);
    free(conv);
}

/* Guesses whether Winograd is faster than oneDNN. It is for floats. For bf16, whose products oneDNN computes twice as
 * fast with AVX-512 BF16, it is where tiles of 4x4 cover few pixels outside the picture, and channels are not few
 * (times in README.md). AMX is faster than either. */
static bool winograd_wins(const wf_cpu *cpu, const wf_conv *conv, wf_conv_pass pass)
{
    const wf_conv_spec *s = &conv->spec;
    if (!conv->in.bf16)
        return true;
    int64_t pixels = (int64_t)s->H * s->W, covered = (int64_t)(s->H + 3) / 4 * 4 * ((s->W + 3) / 4 * 4);
    int channels = s->in < s->out ? s->in : s->out;
    return !cpu->amx && 10 * pixels >= 7 * covered && (pass == WF_CONV_WEIGHTS || channels >= 32);
}

/* Lists the ways that can compute a pass, the presumably fastest first. Returns their number, at least 1. */
static int list_ways(const wf_cpu *cpu, const wf_conv *conv, wf_conv_pass pass, wf_conv_way ways[WF_WAYS])
{
    int n = 0;
    if (!conv->in.blocked) {
        ways[n++] = WF_WAY_TINY;
        return n;
    }
    if (WF_CPU_DIRECT && conv->in.block == 8 && !conv->in.bf16) {
        ways[n++] = WF_WAY_DIRECT;
        return n;
    }
    bool fits = wf_cpu_winograd_fits(conv), first = fits && winograd_wins(cpu, conv, pass);
    if (wf_cpu_tiles_fit(cpu, conv, pass))
        ways[n++] = WF_WAY_TILES;
    if (first)
        ways[n++] = WF_WAY_WINOGRAD;
    ways[n++] = WF_WAY_ONEDNN;
    if (fits && !first)
        ways[n++] = WF_WAY_WINOGRAD;
    return n;
}

/* Chooses the way of every pass: the first that list_ways lists, or the preferred one if it is listed. */
static void choose_ways(const wf_cpu *cpu, wf_conv *conv)
{
    for (int pass = 0; pass < WF_CONV_PASSES; pass++) {
        wf_conv_way ways[WF_WAYS];
        int count = list_ways(cpu, conv, (wf_conv_pass)pass, ways);
        conv->way[pass] = ways[0];
        for (int i = 0; i < count; i++)
            if (ways[i] == cpu->preferred)
                conv->way[pass] = ways[i];
    }
}

/* oneDNN's primitives, if any pass needs them. */
static int create_primitives(wf_cpu *cpu, wf_conv *conv)
{
    for (int pass = 0; pass < WF_CONV_PASSES; pass++)
        if (conv->way[pass] == WF_WAY_ONEDNN)
            return wf_cpu_blocked_create(cpu, conv);
    return WF_OK;
}

static int conv_create(wf_backend *b, const wf_conv_spec *spec, wf_conv **out)
{
    wf_cpu *cpu = (wf_cpu *)b;
    *out = NULL;
    WF_CHECK(wf_conv_good(spec), WF_INTERNAL, "conv: [%d,%d,%d,%d] to %d channels with a %dx%d kernel", spec->N,
             spec->H, spec->W, spec->in, spec->out, spec->k, spec->k);
    wf_conv *conv = calloc(1, sizeof *conv);
    WF_CHECK(conv, WF_AGAIN, "conv: no memory");
    wf_map_shape in = map_shape(spec, spec->in), result = map_shape(spec, spec->out);
    conv->spec = *spec;
    conv->in = wf_cpu_layout_of(cpu, &in);
    conv->out = wf_cpu_layout_of(cpu, &result);
    choose_ways(cpu, conv);
    int status = create_primitives(cpu, conv);
    if (status) {
        conv_destroy(b, conv);
        return status;
    }
    *out = conv;
    return WF_OK;
}

static int conv_forward(wf_backend *b, wf_conv *conv, const wf_weights *p, const wf_map *x, const wf_map *residual,
                        wf_map *y)
{
    const float *w = (const float *)p->w, *bias = (const float *)p->bias, *logs = (const float *)p->logs;
    WF_CHECK(!conv->spec.residual == !residual, WF_INTERNAL,
             "conv: a residual is given without one in the spec, or is missing");
    switch (conv->way[WF_CONV_FORWARD]) {
    case WF_WAY_TINY:
        return wf_cpu_tiny_forward((wf_cpu *)b, &conv->spec, w, bias, logs, (const float *)x, (const float *)residual,
                                   (float *)y);
    case WF_WAY_DIRECT:
        return wf_cpu_direct_forward((wf_cpu *)b, conv, w, bias, logs, (const float *)x, (const float *)residual,
                                     (float *)y);
    case WF_WAY_WINOGRAD:
        return wf_cpu_winograd_forward((wf_cpu *)b, conv, w, bias, logs, x, residual, y);
    case WF_WAY_TILES:
        return wf_cpu_tiles_forward((wf_cpu *)b, conv, w, bias, logs, x, residual, y);
    default:
        return wf_cpu_blocked_forward((wf_cpu *)b, conv, w, bias, logs, x, residual, y);
    }
}

/* The gradient by x, on blocked maps. */
static int data_gradient(wf_cpu *cpu, wf_conv *conv, const wf_weights *p, const wf_map *x, const wf_map *dy, wf_map *dx)
{
    const float *w = (const float *)p->w, *bias = (const float *)p->bias, *logs = (const float *)p->logs;
    switch (conv->way[WF_CONV_DATA]) {
    case WF_WAY_DIRECT:
        return wf_cpu_direct_backward(cpu, conv, w, bias, logs, (const float *)x, (const float *)dy, (float *)dx, NULL,
                                      NULL, NULL);
    case WF_WAY_WINOGRAD:
        return wf_cpu_winograd_data(cpu, conv, w, logs, dy, dx);
    case WF_WAY_TILES:
        return wf_cpu_tiles_data(cpu, conv, w, logs, dy, dx);
    default:
        return wf_cpu_blocked_backward(cpu, conv, w, bias, logs, x, dy, dx, NULL, NULL, NULL);
    }
}

/* The gradient by the parameters, on blocked maps. */
static int weights_gradient(wf_cpu *cpu, wf_conv *conv, const wf_weights *p, const wf_map *x, const wf_map *dy)
{
    const float *w = (const float *)p->w, *bias = (const float *)p->bias, *logs = (const float *)p->logs;
    float *dw = (float *)p->dw, *dbias = (float *)p->dbias, *dlogs = (float *)p->dlogs;
    switch (conv->way[WF_CONV_WEIGHTS]) {
    case WF_WAY_DIRECT:
        return wf_cpu_direct_backward(cpu, conv, w, bias, logs, (const float *)x, (const float *)dy, NULL, dw, dbias,
                                      dlogs);
    case WF_WAY_WINOGRAD:
        return wf_cpu_winograd_weights(cpu, conv, w, bias, logs, x, dy, dw, dbias, dlogs);
    case WF_WAY_TILES:
        return wf_cpu_tiles_weights(cpu, conv, w, bias, logs, x, dy, dw, dbias, dlogs);
    default:
        return wf_cpu_blocked_backward(cpu, conv, w, bias, logs, x, dy, NULL, dw, dbias, dlogs);
    }
}

static int conv_backward(wf_backend *b, wf_conv *conv, const wf_weights *p, const wf_map *x, const wf_map *y,
                         const wf_map *add, wf_map *dy, wf_map *dx)
{
    WF_CHECK(!p->dw == !p->dbias && !p->dw == !p->dlogs, WF_INTERNAL,
             "conv: dw, dbias and dlogs must be given together");
    if (!conv->in.blocked)
        return wf_cpu_tiny_backward((wf_cpu *)b, &conv->spec, (const float *)p->w, (const float *)p->bias,
                                    (const float *)p->logs, (const float *)x, (const float *)y, (const float *)add,
                                    (float *)dy, (float *)dx, (float *)p->dw, (float *)p->dbias, (float *)p->dlogs);
    if (conv->spec.relu)
        wf_cpu_relu_backward(&conv->out, y, add, dy);
    if (dx)
        WF_TRY(data_gradient((wf_cpu *)b, conv, p, x, dy, dx));
    return p->dw ? weights_gradient((wf_cpu *)b, conv, p, x, dy) : WF_OK;
}

void wf_cpu_conv_slots(wf_backend *b)
{
    b->conv_create = conv_create;
    b->conv_destroy = conv_destroy;
    b->conv_forward = conv_forward;
    b->conv_backward = conv_backward;
}
