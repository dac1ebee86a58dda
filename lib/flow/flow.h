/* flow.h - a chain of bijectors compiled for one shape: log-density, its gradients, and the inverse
 *
 * z = f(x; cond), log p(x | cond) = log N(z; 0, 1) + log|det dz/dx|, in nats per picture.
 *
 * Arrays are device memory and borrowed; params [size] is the flow's parameter vector. One thread uses a flow at a
 * time. */
#ifndef WF_FLOW_H
#define WF_FLOW_H

#include "../base/linkage.h"
#include "bijector.h"

WF_BEGIN

/* Activations for backward: stored, or rebuilt from the output, so that memory does not grow with depth. AUTO stores if
 * the backend has memory enough. LEAN stores all but the residual sums of nets, which backward computes again, for the
 * same bits as STORE; backends that record store them, too. NONE: a flow that never runs backward. */
typedef enum wf_memory {
    WF_MEMORY_AUTO,
    WF_MEMORY_STORE,
    WF_MEMORY_REVERSIBLE,
    WF_MEMORY_LEAN,
    WF_MEMORY_NONE
} wf_memory;

typedef struct wf_flow_spec {
    int N, H, W, K; /* x [N,H,W,K]; H = W = 0: a flow that only lists its parameters and never runs */
    int C;          /* cond [N,H,W,C], 0: none */
    int kernel;     /* side of kernels: 3, or 1 for levels of a single pixel, where outer taps meet padding only */
    wf_precision precision;
    wf_memory memory;
    wf_signal signal;
    int D;              /* slices of volumes, which have H rows; ignored for other signals */
    int bits, halvings; /* where coefficients without noise are whole numbers of a unit: bits of a pixel, and halvings
                         * from pixels to the condition or, at the base, to x; bits 0: they are not */
} wf_flow_spec;

typedef struct wf_flow wf_flow;

/* Compiles `chain` (flow_text.h). WF_USAGE for a malformed chain or one that does not suit the shape; WF_AGAIN without
 * memory. The backend must outlive the flow. */
int wf_flow_create(wf_backend *backend, const char *chain, const wf_flow_spec *spec, wf_flow **out) WF_MUST;
void wf_flow_destroy(wf_flow *flow);

size_t wf_flow_size(const wf_flow *flow);  /* parameters, in reals */
size_t wf_flow_bytes(const wf_flow *flow); /* device memory held for states, tapes and scratch */
const wf_flow_spec *wf_flow_spec_of(const wf_flow *flow);
/* True for a chain that gives exact probabilities of whole numbers: x must have no noise, and has no gradient. */
bool wf_flow_is_discrete(const wf_flow *flow);
/* True if a word of a well-formed chain makes its flow discrete. */
bool wf_chain_is_discrete(const char *chain);
/* No pixel of z or of the inverse depends on one that is more rows or columns away; WF_RADIUS_ALL and more: it may, as
 * in every flow that reshapes. */
int wf_flow_radius(const wf_flow *flow);

/* Parameter tensor i: `name` such as "003.affine.0.a.w", *where its first real in the parameter vector. False past the
 * end. *param is valid as long as the flow. */
bool wf_flow_param(const wf_flow *flow, int i, char name[64], const wf_param **param, size_t *where);

/* Random initial parameters into params. */
int wf_flow_init(wf_flow *flow, uint64_t seed, wf_real *params) WF_MUST;
/* Data-dependent initialization from one batch. An actnorm that ends a chain of several bijectors keeps its
 * parameters. */
int wf_flow_data_init(wf_flow *flow, wf_real *params, const wf_real *x, const wf_real *cond) WF_MUST;
/* From now on the batches of data_init are parts of larger ones, whose moments `pool` makes. */
void wf_flow_pool(wf_flow *flow, wf_pool_moments *pool, void *user);

/* From the next forward on, log p is the sum over pixels of weight (device [N,H,W], borrowed) times the pixel's share,
 * its latent density and log-determinants. counted: sum of the weights of a picture, equal for all pictures. NULL: all
 * weights are 1. The inverse and its log-determinant ignore the weights. WF_USAGE for a flow that reshapes: its pixels
 * have no weight. */
int wf_flow_weigh(wf_flow *flow, const wf_real *weight, double counted) WF_MUST;

/* From the next forward on the flow keeps the share of each pixel in log p. Transforms run twice, nets once.
 * WF_USAGE for a flow that reshapes. */
int wf_flow_share(wf_flow *flow) WF_MUST;
/* After forward of a flow that keeps shares: those of all pixels, host [N,H,W], nats. The shares of a picture add up to
 * its log p without weights. */
int wf_flow_shares(wf_flow *flow, double *shares) WF_MUST;

/* From the next forward on the flow ends in u = sigmoid(factor f(x)) in (0,1), device [N,H,W,K] (borrowed); x is noise
 * of any density. log_density then gives log|det du/dx|. backward expects the gradient by u in `u` and adds scale times
 * that term. WF_USAGE for a flow that reshapes. */
int wf_flow_sigmoid(wf_flow *flow, double factor, wf_real *u) WF_MUST;

/* Runs x [N,H,W,K] through the chain. cond [N,H,W,C]; NULL where C = 0. */
int wf_flow_forward(wf_flow *flow, const wf_real *params, const wf_real *x, const wf_real *cond) WF_MUST;
/* After forward: z, device [N,H*W*K], valid until the flow runs again. A picture's z is the end of the chain, [H,W,K]
 * or its reshaped form, followed by the factored-out channels, the last split's first. */
const wf_real *wf_flow_latent(const wf_flow *flow);
/* After forward: log p of each picture, host [N], nats. Waits for the device. */
int wf_flow_log_density(wf_flow *flow, double *log_density) WF_MUST;

/* wf_flow_log_density in two steps, the first without waiting. The flow may run again before readback_end, which frees
 * the readback. */
int wf_flow_readback_begin(wf_flow *flow, wf_readback **out) WF_MUST;
int wf_flow_readback_end(wf_flow *flow, wf_readback *readback, double *log_density) WF_MUST;
/* After forward: sets *bad (device) to 1 if a log-density is not finite. Does not wait. */
int wf_flow_guard(wf_flow *flow, double *bad) WF_MUST;

/* Worst condition number (product of Frobenius norms of matrix and inverse) of the folded per-pixel matrices of the
 * last run; NAN without memory or device. worst: the first of its folded bijectors that mixes channels, such as
 * "003.conv1x1". */
double wf_flow_condition(wf_flow *flow, char worst[64]);

/* Called once per group of bijectors as soon as its gradient is complete, last group first; on backends with costly
 * launches and enough memory once for all parameters. grads [count] (device, valid during the call) belongs to params
 * [offset, offset+count). The pass does not read these params again, so the sink may update them. */
typedef int wf_grad_sink(void *user, size_t offset, size_t count, const wf_real *grads);

/* After forward with the same arguments, once: the gradient of  scale * sum over n of log p_n. Overwrites what forward
 * left, including the latent. sink NULL: no parameter gradients. dcond [N,H,W,C] is added to (NULL: skipped). *dx (dx
 * NULL: skipped): gradient by x, device [N,H,W,K], valid until the flow runs again. WF_USAGE for a flow with
 * WF_MEMORY_NONE. */
int wf_flow_backward(wf_flow *flow, const wf_real *params, const wf_real *cond, double scale, wf_grad_sink *sink,
                     void *user, wf_real *dcond, const wf_real **dx) WF_MUST;

/* *x = f^-1(z; cond), device [N,H,W,K], valid until the flow runs again. z as wf_flow_latent gives it. */
int wf_flow_inverse(wf_flow *flow, const wf_real *params, const wf_real *z, const wf_real *cond,
                    const wf_real **x) WF_MUST;
/* After inverse: log|det dz/dx| of each picture, host [N], nats. Waits for the device. */
int wf_flow_inverse_logdet(wf_flow *flow, double *logdet) WF_MUST;
/* After inverse with the same arguments, once: the gradient by z of  h(x) + scale * sum over n of log|det dz_n/dx_n|.
 * dx [N,H,W,K]: gradient of h by x (NULL: h = 0). dcond is added to (NULL: skipped). *dz: device [N,H*W*K], valid until
 * the flow runs again. WF_USAGE for a flow with WF_MEMORY_NONE. */
int wf_flow_inverse_backward(wf_flow *flow, const wf_real *params, const wf_real *cond, const wf_real *dx, double scale,
                             wf_real *dcond, const wf_real **dz) WF_MUST;

WF_END

#endif
