/* conv.h - the ways in which the CPU backend convolves, and the object they share */
#ifndef WF_CPU_CONV_H
#define WF_CPU_CONV_H

#include "cpu.h"

/* One oneDNN primitive with memory objects for its arguments, which each run points at new buffers. */
typedef struct wf_cpu_op {
    dnnl_primitive_t primitive; /* NULL: not created */
    dnnl_exec_arg_t args[6];
    int count;
    size_t scratchpad; /* bytes */
} wf_cpu_op;

typedef enum wf_conv_pass {
    WF_CONV_FORWARD,
    WF_CONV_DATA,    /* the gradient by x */
    WF_CONV_WEIGHTS, /* the gradient by the parameters */
    WF_CONV_PASSES
} wf_conv_pass;

struct wf_conv {
    wf_conv_spec spec;
    wf_cpu_layout in, out;                    /* layouts of the two maps */
    wf_conv_way way[WF_CONV_PASSES];          /* chosen once, when the convolution is created */
    wf_cpu_op forward, beside, data, weights; /* beside: forward with a residual that is not y; may be missing */
    /* Reorders of weights between [out,taps,in], both channels padded to blocks, and the format of each pass. */
    wf_cpu_op to_forward, to_data, from_weights;
    /* Reorders of maps into the format of the weights' gradient, where that is another one. */
    wf_cpu_op to_source, to_result;
    size_t plain, packed, scratchpad; /* bytes of scratch: plain weights, weights in oneDNN's format, oneDNN's own */
    size_t source, result;            /* bytes of maps in another format, or 0 */
};

/* Blocked maps (conv_blocked.c). */
int wf_cpu_blocked_create(wf_cpu *cpu, wf_conv *conv) WF_MUST;
void wf_cpu_blocked_destroy(wf_conv *conv);
int wf_cpu_blocked_forward(wf_cpu *cpu, wf_conv *conv, const float *w, const float *bias, const float *logs,
                           const void *x, const void *residual, void *y) WF_MUST;
int wf_cpu_blocked_backward(wf_cpu *cpu, wf_conv *conv, const float *w, const float *bias, const float *logs,
                            const void *x, const void *dy, void *dx, float *dw, float *dbias, float *dlogs) WF_MUST;

/* 3x3 kernels on blocked maps in either precision and layout (winograd.c, winograd_weights.c). */
bool wf_cpu_winograd_fits(const wf_conv *conv);
int wf_cpu_winograd_forward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                            const void *x, const void *residual, void *y) WF_MUST;
int wf_cpu_winograd_data(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *logs, const void *dy,
                         void *dx) WF_MUST;
int wf_cpu_winograd_weights(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                            const void *x, const void *dy, float *dw, float *dbias, float *dlogs) WF_MUST;

/* bf16 maps in NHWC on AMX tiles (conv_tiles.c). */
bool wf_cpu_tiles_fit(const wf_cpu *cpu, const wf_conv *conv, wf_conv_pass pass);
int wf_cpu_tiles_forward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                         const void *x, const void *residual, void *y) WF_MUST;
int wf_cpu_tiles_data(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *logs, const void *dy,
                      void *dx) WF_MUST;
int wf_cpu_tiles_weights(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                         const void *x, const void *dy, float *dw, float *dbias, float *dlogs) WF_MUST;

/* Writes w * scale to plain [out,taps,in], channels padded with zeros (conv_blocked.c). */
void wf_cpu_scale_weights(const wf_conv *conv, const float *w, const float *scale, float *plain);

/* Computes dw, dbias and dlogs from the gradients by the scaled weights and the scaled bias (conv_blocked.c).
 *   scale   [out] exp(3 logs)
 *   plain   [out,taps,padded] by w * scale
 *   sums    [out] by bias * scale */
void wf_cpu_finish_gradients(const wf_conv_spec *spec, const float *w, const float *bias, const float *scale,
                             const float *plain, size_t padded, const float *sums, float *dw, float *dbias,
                             float *dlogs);

/* 1 where oneDNN convolves blocked maps by its reference alone: everywhere but on x86-64. */
#ifndef WF_CPU_DIRECT
#ifdef __x86_64__
#define WF_CPU_DIRECT 0
#else
#define WF_CPU_DIRECT 1
#endif
#endif

/* Blocked maps in single precision, 8 channels a block (conv_direct.c). */
int wf_cpu_direct_forward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                          const float *x, const float *residual, float *y) WF_MUST;
int wf_cpu_direct_backward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                           const float *x, const float *dy, float *dx, float *dw, float *dbias, float *dlogs) WF_MUST;

/* Maps of up to four pixels (conv_tiny.c). */
int wf_cpu_tiny_forward(wf_cpu *cpu, const wf_conv_spec *spec, const float *w, const float *bias, const float *logs,
                        const float *x, const float *residual, float *y) WF_MUST;
int wf_cpu_tiny_backward(wf_cpu *cpu, const wf_conv_spec *spec, const float *w, const float *bias, const float *logs,
                         const float *x, const float *y, const float *add, float *dy, float *dx, float *dw,
                         float *dbias, float *dlogs) WF_MUST;

#endif
