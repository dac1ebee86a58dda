/* anneal.h - what wf-nuts draws from: levels of a model, annealed, as a log density with its gradient (nuts.h)
 *
 * One level: the conditional p(D | low), raised to the power g = 1/T^2 and normalized again (arXiv 2010.13821, section 3.4).
 * The chain moves in the latent z of x = f^-1(z; low), where the density is
 *     g log N(z; 0, 1) + (g - 1) log|det dz/dx|
 * up to a constant: p(x)^g dx carried into z. Or it moves in the coefficients x, where it is  g log p(x | low).
 *
 * Several levels, first .. last: the sum of these over the levels, as a density of all latents (or coefficients) stacked,
 * lowest level first. A level's low-pass then moves with the levels below it, and what comes out is the annealed joint
 *     p(x_first, .. x_last)^g / Z,
 * which is not what annealing level by level gives: there the normalizer of each conditional depends on its low-pass, so
 * the product of annealed conditionals prefers low-pass pictures that the joint does not.
 *
 * With pictures of which something is known (observed.h) the positions are v alone, of x = known + U v, and the density is that of x:
 * the annealed joint given what is known.
 *
 * Positions are host double [D], pictures host float in pixel units (meta.h). */
#ifndef WF_ANNEAL_H
#define WF_ANNEAL_H

#include "../base/linkage.h"
#include "observed.h"
#include "../../kernels/backend.h"
#include "../model/model.h"

WF_BEGIN

typedef struct wf_anneal_spec {
    int first, last;                       /* levels of the model; 0 is the base */
    int H, W;                              /* of the low-pass at `first`; of I_0 when first is 0 */
    double temperature[WF_MAX_LEVELS + 1]; /* of each level of the model, above 0 */
    bool data;                             /* the chain moves in the coefficients, not in the latents */
    wf_observed
        *known; /* borrowed; NULL: nothing is known. With all levels and data: the chain moves in what is missing */
} wf_anneal_spec;

typedef struct wf_anneal wf_anneal;

/* For up to `chains` chains. Level weights are read from the model. The backend and the model are borrowed.
 * WF_NOINPUT: a level is not trained. */
int wf_anneal_create(const wf_model *model, const wf_anneal_spec *spec, wf_backend *backend, int chains,
                     wf_anneal **out) WF_MUST;
void wf_anneal_destroy(wf_anneal *a); /* NULL is allowed */

size_t wf_anneal_size(const wf_anneal *a); /* D: coefficients of levels first .. last, or what is missing of them */
int wf_anneal_rows(const wf_anneal *a);    /* chains that the device computes at once */

/* Numbers of one chain's picture at level `last`: in its low-pass, or in I_0 at the base; in its details, 0 at the base. */
size_t wf_anneal_low_size(const wf_anneal *a);
size_t wf_anneal_detail_size(const wf_anneal *a);

/* Rows of densities that the device has computed so far, those that fill a batch up included. */
uint64_t wf_anneal_computed(const wf_anneal *a);

/* The pictures that chains 0 .. n-1 stand on: low [n,H,W,C] of level `first`, copied; NULL when first is 0. Where something is
 * known: those pictures, of the model's size. */
int wf_anneal_condition(wf_anneal *a, int n, const float *low) WF_MUST;

/* A wf_nuts_density; context: the wf_anneal. Row i depends on the position and low-pass of chain[i] alone. */
int wf_anneal_density(void *anneal, int n, const int *chain, const double *x, double *logp, double *gradient) WF_MUST;

/* Where chain i begins, x [n,D]: the latents that wf-sample would draw for picture id[i] at T = 1, or in the coefficients
 * what they stand for; a plain guess of what is missing. */
int wf_anneal_start(wf_anneal *a, int n, const uint64_t *id, uint64_t seed, double *x) WF_MUST;

/* What positions x [n,D] of those chains stand for, at level `last`: low [n,h,w,C] and detail [n,h,w,K], or low = I_0 and
 * detail NULL when last is 0. */
int wf_anneal_picture(wf_anneal *a, int n, const int *chain, const double *x, float *low, float *detail) WF_MUST;

WF_END

#endif
