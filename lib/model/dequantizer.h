/* dequantizer.h - variational dequantization (Ho et al. 2019, arXiv 1902.00275, section 3.1): a flow draws each
 * picture's noise
 *
 *     u = sigmoid(7/4 f(e; x)),   e ~ N(0, 1),   log P(x) >= E [ log p(x + u) - log q(u | x) ]
 *
 * f is a chain like any other, with x as its condition. It starts near the uniform noise that it replaces: with f the
 * identity, u is the scaled normal closest to uniform, 0.0137 bits/dim away. The bound needs p to be a density of all
 * pixels that have noise. Only a pyramid of 0 levels gives one: noise at the highest of several levels would reach
 * the levels below, which are trained without it.
 *
 * Letters: D = H*W*C numbers of a picture. */
#ifndef WF_DEQUANTIZER_H
#define WF_DEQUANTIZER_H

#include "../base/linkage.h"
#include "../flow/flow.h"
#include "level_input.h"

WF_BEGIN

typedef struct wf_dequantizer {
    wf_backend *backend;
    wf_flow *flow;     /* NULL: no dequantizer, noise is uniform */
    wf_real *e, *cond; /* [N,H,W,C] */
    wf_real *u;        /* [N,H,W,C]; in backward the gradient by u */
    double *base;      /* [N] log density of e */
    double *log_det;   /* [N] log determinant of the flow */
    int N;
    size_t D;
    double step; /* of a pixel's value, in the units that p models */
} wf_dequantizer;

/* spec: of p; its N, H, W, kernel, precision and memory are used. WF_USAGE: the model has levels above the base, or
 * the chain is malformed or changes the shape. */
int wf_dequantizer_create(wf_backend *backend, const wf_meta *meta, const char *chain, const wf_flow_spec *spec,
                          wf_dequantizer *out) WF_MUST;
void wf_dequantizer_clear(wf_dequantizer *d);

/* Writes initial parameters (device): random ones, then what depends on data, from the batch that was uploaded. */
int wf_dequantizer_init(wf_dequantizer *d, wf_real *params, wf_level_input *input, const wf_random *random) WF_MUST;

/* In place of wf_level_input_dequantize: adds noise drawn from q to the batch that was uploaded. May be recorded. */
int wf_dequantizer_run(wf_dequantizer *d, const wf_real *params, wf_level_input *input,
                       const wf_random *random) WF_MUST;

/* log q(u | x) of each picture, host [N], nats; in two steps as wf_flow_readback_begin. After a failure out holds
 * NULL twice. */
int wf_dequantizer_readback_begin(wf_dequantizer *d, wf_readback *out[2]) WF_MUST;
int wf_dequantizer_readback_end(wf_dequantizer *d, wf_readback *readbacks[2], double *log_q) WF_MUST;

/* After run, once: parameter gradients of  scale * sum over n of (log p_n - log q_n).  dx: gradient of scale * sum
 * log p_n by the picture, device [N,H,W,C]. */
int wf_dequantizer_backward(wf_dequantizer *d, const wf_real *params, const wf_real *dx, double scale,
                            wf_grad_sink *sink, void *user) WF_MUST;

WF_END

#endif
