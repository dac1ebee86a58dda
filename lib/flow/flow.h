/* flow.h - a chain of bijectors compiled for one shape: log-density, its gradients, and the inverse
 *
 * z = f(x; cond), log p(x | cond) = log N(z; 0, 1) + log|det dz/dx|, in nats per picture. */
#ifndef WF_FLOW_H
#define WF_FLOW_H

#include "../base/linkage.h"
#include "bijector.h"

WF_BEGIN

/* How backward gets at what forward saw: stored, or rebuilt from the output (memory then does not grow with depth).
 * AUTO stores if the backend's memory is enough for that. NONE: a flow that is never run backward. */
typedef enum wf_memory { WF_MEMORY_AUTO, WF_MEMORY_STORE, WF_MEMORY_REVERSIBLE, WF_MEMORY_NONE } wf_memory;

typedef struct wf_flow_spec {
    int N, H, W, K; /* x [N,H,W,K]; H = W = 0: only its parameters are wanted */
    int C;          /* cond [N,H,W,C], 0: none */
    int kernel;     /* 3, or 1 for levels of a single pixel, where outer taps would only ever meet padding */
    wf_precision precision;
    wf_memory memory;
    wf_signal signal;
    int D; /* slices of volumes, which have H rows; else not looked at */
} wf_flow_spec;

typedef struct wf_flow wf_flow;

/* WF_USAGE: the chain is malformed. The backend must outlive the flow. */
int wf_flow_create(wf_backend *backend, const char *chain, const wf_flow_spec *spec, wf_flow **out) WF_MUST;
void wf_flow_destroy(wf_flow *flow);

size_t wf_flow_size(const wf_flow *flow);  /* parameters, in reals */
size_t wf_flow_bytes(const wf_flow *flow); /* device memory held for states, tapes and scratch */
const wf_flow_spec *wf_flow_spec_of(const wf_flow *flow);

/* Parameter tensor i: `name` as "003.affine.0.a.w", `where`: first real in the parameter vector; false past the end. */
bool wf_flow_param(const wf_flow *flow, int i, char name[64], const wf_param **param, size_t *where);

/* Random initial parameters into params (device [size]). */
int wf_flow_init(wf_flow *flow, uint64_t seed, wf_real *params) WF_MUST;
/* Data-dependent initialization of params (device) from one batch; an actnorm at the end of several bijectors is left as it is. */
int wf_flow_data_init(wf_flow *flow, wf_real *params, const wf_real *x, const wf_real *cond) WF_MUST;

/* From the next forward on, log p is the sum over pixels of the pixel's weight, device [N,H,W] (borrowed), times its share: the
 * density of its latents and its log-determinants. counted: the sum of the weights of a picture, the same for all. NULL: all
 * weights are 1. What is said of the inverse is not weighted. WF_USAGE for a flow with moves, whose pixels have no weight. */
int wf_flow_weigh(wf_flow *flow, const wf_real *weight, double counted) WF_MUST;

/* From the next forward on, the chain draws: x is noise of any density, and ends as u = sigmoid(factor f(x)), in (0,1), device
 * [N,H,W,K] (borrowed). What forward gives as log p is then log|det du/dx|, and backward is the gradient of scale times that, plus
 * what comes with the gradient by u that `u` must hold by then. WF_USAGE for a flow with moves. */
int wf_flow_squash(wf_flow *flow, double factor, wf_real *u) WF_MUST;

/* Runs x [N,H,W,K] through the chain. */
int wf_flow_forward(wf_flow *flow, const wf_real *params, const wf_real *x, const wf_real *cond) WF_MUST;
/* After forward: z, device [N,H*W*K], valid until the flow runs again. A picture's z is [H,W,K], or what moves have made of
 * it, and behind it what splits have parked, the last of them first. */
const wf_real *wf_flow_latent(const wf_flow *flow);
/* After forward: log p of each picture, host [N], nats. Waits for the device. */
int wf_flow_log_density(wf_flow *flow, double *log_density) WF_MUST;

/* wf_flow_log_density in two steps, of which the first does not wait: by `readback_end`, which ends the readback, the flow may have
 * run again. */
int wf_flow_readback_begin(wf_flow *flow, wf_readback **out) WF_MUST;
int wf_flow_readback_end(wf_flow *flow, wf_readback *readback, double *log_density) WF_MUST;
/* After forward: *bad (device) becomes 1 when a log-density is not finite. Does not wait. */
int wf_flow_guard(wf_flow *flow, double *bad) WF_MUST;

/* Worst condition number (Frobenius norms) of the folded per-pixel matrices of the last run; NAN if it cannot be had.
 * worst: of the bijectors that are folded into it the first that mixes channels, as "003.conv1x1". */
double wf_flow_condition(wf_flow *flow, char worst[64]);

/* Called for each group of bijectors as soon as its gradient is complete, last group first, or once for all where memory is
 * plenty and calls are not: grads [count] (device, valid during the call) belongs to params [offset, offset+count), which is
 * not read again in this pass. */
typedef int wf_grad_sink(void *user, size_t offset, size_t count, const wf_real *grads);

/* After forward with the same arguments, once: the gradient of  scale * sum over n of log p_n. What forward left is used
 * up, the latent included.
 * sink NULL: no parameter gradients. dcond [N,H,W,C] is added to; may be NULL. *dx (may be NULL): gradient by x, device
 * [N,H,W,K], valid until the flow runs again. WF_USAGE for a flow with WF_MEMORY_NONE. */
int wf_flow_backward(wf_flow *flow, const wf_real *params, const wf_real *cond, double scale, wf_grad_sink *sink,
                     void *user, wf_real *dcond, const wf_real **dx) WF_MUST;

/* x = f^-1(z; cond), device [N,H,W,K], valid until the flow runs again. */
int wf_flow_inverse(wf_flow *flow, const wf_real *params, const wf_real *z, const wf_real *cond,
                    const wf_real **x) WF_MUST;
/* After inverse: log|det dz/dx| of each picture, host [N], nats. Waits for the device. */
int wf_flow_inverse_logdet(wf_flow *flow, double *logdet) WF_MUST;
/* After inverse with the same arguments, once: the gradient by z of  h(x) + scale * sum over n of log|det dz_n/dx_n|,  where
 * dx [N,H,W,K] is the gradient of h by x (NULL: no h). dcond is added to, may be NULL; *dz: device [N,H,W,K], valid until the
 * flow runs again. WF_USAGE for a flow with WF_MEMORY_NONE. */
int wf_flow_inverse_backward(wf_flow *flow, const wf_real *params, const wf_real *cond, const wf_real *dx, double scale,
                             wf_real *dcond, const wf_real **dz) WF_MUST;

WF_END

#endif
