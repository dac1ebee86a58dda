/* coupling.h - elementwise couplings: some elements of the state are kept and go through a net; its output is the
 * parameters of the transform (backend.h) of the other elements (Dinh et al. 2014, 2017).
 *
 * To add one: a row of WF_TRANSFORMS, and a file in lib/flow/bijectors/ with its options and a `create` that calls
 * wf_coupling_create. Every coupling has these options:
 *
 *     mask=halves (default)  keeps the first K/2 channels
 *     mask=checker           keeps all channels of the pixels with even row + column; the net sees zeros elsewhere
 *     swap                   keeps the other elements instead
 *     net=NAME               of net.h; width and blocks default to the net's
 *
 * Derivatives are bounded where the formulas bound them: exp(+-1) for tanh, exp(+-5) for exp, and for mixlogistic by
 * s_i, a and its straight part. Glow's sigmoid is below 1 and may vanish. rqspline has derivatives of at least 1/1000,
 * sos of at least 1/100; neither has an upper bound. wf_evaluator_round_trip measures the result for a whole chain. */
#ifndef WF_COUPLING_H
#define WF_COUPLING_H

#include "../base/linkage.h"
#include "bijector.h"
#include "net.h"

WF_BEGIN

/* The first rows of a coupling's option table. Its own options start at WF_COUPLING_OWN. */
/* clang-format off */
#define WF_COUPLING_OPTIONS                                                                                   \
    {"width", 0, 1, 4096, NULL, "channels of hidden maps", "the network's"},                                  \
    {"blocks", 0, 1, 16, NULL, "blocks of the network", "the network's"},                                     \
    {"mask", 0, 0, 0, wf_mask_names,                                                                          \
     "halves keeps the first half of the channels, checker the pixels of even row + column (not for volumes)", NULL}, \
    {"swap", 0, 0, 1, NULL, "1: the kept and the transformed part change places", NULL},                      \
    {"net", 0, 0, 0, wf_net_names, "the network, see NETWORKS", NULL}
/* clang-format on */
enum { WF_COUPLING_OWN = 5 };
extern const char *const wf_mask_names[];

/* All functions of a coupling except `create`. */
#define WF_COUPLING_FUNCTIONS                                                                         \
    .destroy = wf_coupling_destroy, .init = wf_coupling_init, .data_init = wf_coupling_data_init,     \
    .forward = wf_coupling_forward, .inverse = wf_coupling_inverse, .backward = wf_coupling_backward, \
    .inverse_backward = wf_coupling_inverse_backward

/* For a coupling's `create`. values: of its options, WF_COUPLING_OPTIONS first. WF_USAGE where nothing is transformed,
 * or the net has no input. */
int wf_coupling_create(wf_bijector *self, const wf_transform *transform, const int *values) WF_MUST;

void wf_coupling_destroy(wf_bijector *self);
void wf_coupling_init(const wf_bijector *self, uint64_t seed, double *values);
int wf_coupling_data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape);
int wf_coupling_forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                        double *logdet, void *tape);
int wf_coupling_inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                        double *logdet, void *tape);
int wf_coupling_backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g,
                         wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work);
int wf_coupling_inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                                 double dlogdet, void *tape, void *work);

WF_END

#endif
