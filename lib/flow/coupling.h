/* coupling.h - what all elementwise couplings share: elements that are kept go through a net, whose output is the parameters of the
 * transform (backend.h) of those that move (Dinh et al. 2014, 2017).
 *
 * A coupling is a row of WF_TRANSFORMS and a file in lib/bijectors/ with its options and a `create` that calls
 * wf_coupling_create. Options that all have:
 *
 *     mask=halves (default)  the first K/2 channels are kept
 *     mask=checker           pixels of which row + column is even are kept, all channels; the net sees zeros in the others
 *     swap                   the kept and the moved change places
 *     net=NAME               of net.h; width and blocks are the net's usual ones unless given
 *
 * Slopes are bounded where the formulas bound them: tanh's within exp(+-1), exp's within exp(+-5), mixlogistic's by its s_i, a
 * and straight part. Glow's sigmoid is below 1 and may vanish; rqspline and sos are at least 1/1000 and 1/100 steep and may grow.
 * What a chain makes of them is measured: wf_evaluator_round_trip. */
#ifndef WF_COUPLING_H
#define WF_COUPLING_H

#include "../base/linkage.h"
#include "bijector.h"
#include "net.h"

WF_BEGIN

/* The first of a coupling's table of options; its own start at WF_COUPLING_OWN. */
/* clang-format off: a list in braces that begins and ends within a macro */
#define WF_COUPLING_OPTIONS                                                                                        \
    {"width", 0, 1, 4096, NULL, "channels of hidden maps", "the network's"},                                       \
        {"blocks", 0, 1, 16, NULL, "blocks of the network", "the network's"},                                      \
        {"mask",                                                                                                   \
         0,                                                                                                        \
         0,                                                                                                        \
         0,                                                                                                        \
         wf_mask_names,                                                                                            \
         "halves keeps the first half of the channels, checker the pixels of even row + column (not for volumes)", \
         0},                                                                                                       \
        {"swap", 0, 0, 1, NULL, "1: the kept and the transformed part change places", 0},                          \
    {                                                                                                              \
        "net", 0, 0, 0, wf_net_names, "the network, see NETWORKS", 0                                               \
    }
/* clang-format on */
enum { WF_COUPLING_OWN = 5 };
extern const char *const wf_mask_names[];

/* All of a coupling's functions but create. */
#define WF_COUPLING_FUNCTIONS                                                                         \
    .destroy = wf_coupling_destroy, .init = wf_coupling_init, .data_init = wf_coupling_data_init,     \
    .forward = wf_coupling_forward, .inverse = wf_coupling_inverse, .backward = wf_coupling_backward, \
    .inverse_backward = wf_coupling_inverse_backward

/* values: of the word's options. */
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
