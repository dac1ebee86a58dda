/* dequantizer.h - variational dequantization (Ho et al. 2019, arXiv 1902.00275, section 3.1): noise that a flow draws for the
 * picture at hand
 *
 *     u = sigmoid(7/4 f(e; x)),   e ~ N(0, 1),   log P(x) >= E [ log p(x + u) - log q(u | x) ]
 *
 * f is a chain like any other, x its condition; it starts near the uniform noise, which it replaces: with f the identity, u is as
 * near to uniform as a scaled normal gets, 0.0137 bits/dim. The bound needs p to be a density of all pixels that have noise: it
 * is one where the level is the whole picture, a pyramid of no halvings. Noise of a picture's highest level would reach the levels
 * below too, which are trained without it.
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
    wf_flow *flow;     /* NULL: none, noise is uniform */
    wf_real *e, *cond; /* [N,H,W,C] */
    wf_real *u;        /* the same; in backward the gradient by it */
    double *base;      /* [N] log density of e */
    double *slope;     /* [N] log determinant of the flow */
    int N;
    size_t D;
    double step; /* of pixels, in units of what p models */
} wf_dequantizer;

/* spec: of p, whose N, H, W, precision and memory it shares. WF_USAGE: the pictures are halved, or the chain is malformed or changes
 * the shape. */
int wf_dequantizer_create(wf_backend *backend, const wf_meta *meta, const char *chain, const wf_flow_spec *spec,
                          wf_dequantizer *out) WF_MUST;
void wf_dequantizer_clear(wf_dequantizer *d);

/* Random initial parameters (device), and what depends on data from what was uploaded to `feed`. */
int wf_dequantizer_init(wf_dequantizer *d, wf_real *params, wf_level_input *feed, const wf_random *random) WF_MUST;

/* In place of wf_level_input_dequantize: what was uploaded to `feed` gets noise of q. May be recorded. */
int wf_dequantizer_run(wf_dequantizer *d, const wf_real *params, wf_level_input *feed, const wf_random *random) WF_MUST;

/* log q(u | x) of each picture, nats, in two steps as wf_flow_readback_begin. out: NULL both after a failure. */
int wf_dequantizer_readback_begin(wf_dequantizer *d, wf_readback *out[2]) WF_MUST;
int wf_dequantizer_readback_end(wf_dequantizer *d, wf_readback *posts[2], double *log_q) WF_MUST;

/* After run, once: parameter gradients of  scale * sum over n of (log p_n - log q_n),  dx being that of the first by the
 * picture, device [N,H,W,C]. */
int wf_dequantizer_backward(wf_dequantizer *d, const wf_real *params, const wf_real *dx, double scale,
                            wf_grad_sink *sink, void *user) WF_MUST;

WF_END

#endif
