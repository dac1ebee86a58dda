/* anneal.h - the log density of annealed levels of a model and its gradient, for the No-U-Turn sampler (nuts.h)
 *
 * One level: the conditional p(D | low), raised to the power g = 1/T^2 and normalized again (arXiv 2010.13821,
 * section 3.4). The chain moves in the latents z of x = f^-1(z; low), where the log density is
 *     g log N(z; 0, 1) + (g - 1) log|det dz/dx|
 * up to a constant: p(x)^g dx transformed to z. Or it moves in the coefficients x, where the log density is  g log
 * p(x | low).
 *
 * Several levels, first .. last: the sum of the levels' log densities, over all latents (or coefficients) stacked,
 * lowest level first. A level's low-pass then moves with the levels below it, and the result is the annealed joint
 *     p(x_first, .. x_last)^g / Z,
 * Annealing level by level gives another density: the normalizer of each annealed conditional depends on its
 * low-pass, so their product weighs low-pass pictures differently.
 *
 * For partly observed pictures (observed.h), x = observed + U v: positions are v alone, and the density is the
 * annealed joint of x given the observed part.
 *
 * For measured pictures (measured.h), the density is the annealed joint times the likelihood p(y | x), which is not
 * annealed: with T = 1 the posterior p(x | y) up to a constant.
 *
 * Positions are host double [D], pictures host float in pixel units (meta.h). */
#ifndef WF_ANNEAL_H
#define WF_ANNEAL_H

#include "../base/linkage.h"
#include "measured.h"
#include "observed.h"
#include "../../kernels/backend.h"
#include "../model/model.h"

WF_BEGIN

typedef struct wf_anneal_spec {
    int first, last;                       /* levels of the model; 0 is the base */
    int H, W;                              /* of the low-pass at `first`; of I_0 when first is 0 */
    double temperature[WF_MAX_LEVELS + 1]; /* of each level of the model, above 0 */
    bool data;                             /* the chain moves in the coefficients, not in the latents */
    wf_observed *known;    /* borrowed; NULL: nothing is observed. Else all levels and `data` are needed */
    wf_measured *measured; /* borrowed; NULL: nothing is measured. Else all levels are needed, and `known` is NULL */
} wf_anneal_spec;

typedef struct wf_anneal wf_anneal;

/* For up to `chains` chains. Reads the levels' weights. The backend and the model are borrowed. WF_NOINPUT: a level
 * is not trained. WF_USAGE: levels, size or temperature are out of range. */
int wf_anneal_create(const wf_model *model, const wf_anneal_spec *spec, wf_backend *backend, int chains,
                     wf_anneal **out) WF_MUST;
void wf_anneal_destroy(wf_anneal *a); /* NULL is allowed */

size_t wf_anneal_size(const wf_anneal *a); /* D: coefficients of levels first .. last, or the size of v */
int wf_anneal_rows(const wf_anneal *a);    /* chains that the device computes at once */

/* Numbers of one chain's picture at level `last`: in its low-pass, or in I_0 at the base; in its details, 0 at the
 * base. */
size_t wf_anneal_low_size(const wf_anneal *a);
size_t wf_anneal_detail_size(const wf_anneal *a);

/* Rows of densities computed so far, padding rows included. */
uint64_t wf_anneal_computed(const wf_anneal *a);

/* Sets the pictures that chains 0 .. n-1 are conditioned on, copied: low [n,H,W,C] of level `first`; NULL when first
 * is 0; or partly observed pictures of the model's size; or measurements y (measured.h). */
int wf_anneal_condition(wf_anneal *a, int n, const float *low) WF_MUST;

/* A wf_nuts_density, whose user data is the wf_anneal. Row i depends on the position and low-pass of chain[i] alone. */
int wf_anneal_density(void *anneal, int n, const int *chain, const double *x, double *logp, double *gradient) WF_MUST;

/* Writes the chains' first positions, x [n,D]: the latents that wf-sample draws for picture id[i] at T = 1, or with
 * `data` their coefficients; for partly observed pictures wf_observed_start. */
int wf_anneal_start(wf_anneal *a, int n, const uint64_t *id, uint64_t seed, double *x) WF_MUST;

/* Computes the pictures at positions x [n,D], at level `last`: low [n,h,w,C] and detail [n,h,w,K]; when last is 0,
 * low = I_0 and detail is NULL. WF_INTERNAL: a value is not finite. */
int wf_anneal_picture(wf_anneal *a, int n, const int *chain, const double *x, float *low, float *detail) WF_MUST;

/* Computes the whole pictures [n,H,W,C], in pixel units, at positions x [n,D]; for measured pictures only. WF_INTERNAL:
 * a value is not finite. */
int wf_anneal_whole(wf_anneal *a, int n, const int *chain, const double *x, float *pictures) WF_MUST;

/* Simulates measurements y [n,wf_measured_size] of the pictures at positions x [n,D], with the noise of each id. */
int wf_anneal_measure(wf_anneal *a, wf_measured *by, int n, const double *x, uint64_t seed, const uint64_t *id,
                      float *y) WF_MUST;

enum {
    WF_EXPECT_PICTURES = 128, /* of wf_anneal_expect: deviations are off by 6 % */
    WF_PROBES = 32            /* measurements that wf_anneal_probe simulates for each chain */
};

/* Writes scales for the sampler of measured pictures before anything is known, variance [D]: the reciprocal of the
 * expected curvature of the log density, which is the mean square of its gradient over pictures and measurements
 * simulated from the model (Fisher information). For a linear flow it is the diagonal of the posterior's precision. */
int wf_anneal_expect(wf_anneal *a, uint64_t seed, double *variance) WF_MUST;

/* Writes scales at latents x [n,D], variance [n,D]: the reciprocal of 1/T^2 plus the curvature of the likelihood there,
 * diagonal of J' A' A J / sigma^2 with J = dp/dz, which is the variance of its gradient over measurements of that
 * picture. Row i depends on x[i] and id[i] alone. */
int wf_anneal_probe(wf_anneal *a, int n, const double *x, uint64_t seed, const uint64_t *id, double *variance) WF_MUST;

WF_END

#endif
