/* conv_dispatch.c - the convolution slots
 *
 * Maps of up to four pixels go to conv_tiny.c. 3x3 kernels on other maps in single precision go to winograd.c and
 * winograd_weights.c. Every other convolution goes to oneDNN (conv_blocked.c). On processors for which oneDNN has only
 * its reference, all blocked maps go to conv_direct.c. */
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
    conv->direct = WF_CPU_DIRECT && conv->in.blocked && conv->in.block == 8 && !conv->in.bf16;
    conv->winograd = !conv->direct && conv->in.blocked && wf_cpu_winograd_fits(conv);
    if (conv->in.blocked && !conv->direct && !conv->winograd) {
        int status = wf_cpu_blocked_create(cpu, conv);
        if (status) {
            conv_destroy(b, conv);
            return status;
        }
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
    if (conv->direct)
        return wf_cpu_direct_forward((wf_cpu *)b, conv, w, bias, logs, (const float *)x, (const float *)residual,
                                     (float *)y);
    if (conv->winograd)
        return wf_cpu_winograd_forward((wf_cpu *)b, conv, w, bias, logs, (const float *)x, (const float *)residual,
                                       (float *)y);
    if (conv->in.blocked)
        return wf_cpu_blocked_forward((wf_cpu *)b, conv, w, bias, logs, x, residual, y);
    return wf_cpu_tiny_forward((wf_cpu *)b, &conv->spec, w, bias, logs, (const float *)x, (const float *)residual,
                               (float *)y);
}

static int conv_backward(wf_backend *b, wf_conv *conv, const wf_weights *p, const wf_map *x, const wf_map *y,
                         const wf_map *add, wf_map *dy, wf_map *dx)
{
    const float *w = (const float *)p->w, *bias = (const float *)p->bias, *logs = (const float *)p->logs;
    float *dw = (float *)p->dw, *dbias = (float *)p->dbias, *dlogs = (float *)p->dlogs;
    WF_CHECK(!dw == !dbias && !dw == !dlogs, WF_INTERNAL, "conv: dw, dbias and dlogs must be given together");
    if (!conv->in.blocked)
        return wf_cpu_tiny_backward((wf_cpu *)b, &conv->spec, w, bias, logs, (const float *)x, (const float *)y,
                                    (const float *)add, (float *)dy, (float *)dx, dw, dbias, dlogs);
    if (conv->spec.relu)
        wf_cpu_relu_backward(&conv->out, y, add, dy);
    if (conv->direct)
        return wf_cpu_direct_backward((wf_cpu *)b, conv, w, bias, logs, (const float *)x, (const float *)dy,
                                      (float *)dx, dw, dbias, dlogs);
    if (conv->winograd) {
        if (dx)
            WF_TRY(wf_cpu_winograd_data((wf_cpu *)b, conv, w, logs, (const float *)dy, (float *)dx));
        return dw ? wf_cpu_winograd_weights((wf_cpu *)b, conv, w, bias, logs, (const float *)x, (const float *)dy, dw,
                                            dbias, dlogs)
                  : WF_OK;
    }
    return wf_cpu_blocked_backward((wf_cpu *)b, conv, w, bias, logs, x, dy, dx, dw, dbias, dlogs);
}

void wf_cpu_conv_slots(wf_backend *b)
{
    b->conv_create = conv_create;
    b->conv_destroy = conv_destroy;
    b->conv_forward = conv_forward;
    b->conv_backward = conv_backward;
}
