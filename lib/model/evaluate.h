/* evaluate.h - held-out bits per dimension of one level */
#ifndef WF_EVALUATE_H
#define WF_EVALUATE_H

#include "../base/linkage.h"
#include "dequantizer.h"
#include "level.h"
#include "level_input.h"
#include "pixel_noise.h"
#include "capture.h"

WF_BEGIN

/* Runs pictures of one size through one level. The noise of picture i depends on (seed, level, i) alone, or on its draw, so
 * neither the batch nor the order changes a picture's figure. It stays where it was created. */
typedef struct wf_evaluator {
    wf_backend *backend;
    const wf_meta *meta;
    const wf_real *params; /* borrowed; those of the noise's flow follow the flow's */
    int level;
    wf_flow *flow;
    wf_level_input feed;
    wf_dequantizer dequantizer;
    wf_random noise;
    wf_pixel_noise *pixels; /* NULL: each level has noise of its own */
    uint64_t draw;
    bool not_finite; /* why the last run failed */
    float *host;     /* a batch with such noise, low and detail */
    wf_capture replay;
} wf_evaluator;

/* `meta` and `params` are borrowed until clear. dequantize: chain of the noise, NULL: it is uniform. spec: K, C, kernel and
 * precision are used. */
int wf_evaluator_create(wf_backend *backend, const wf_meta *meta, int level, const char *chain, const char *dequantize,
                        const wf_flow_spec *spec, const wf_real *params, uint64_t seed, wf_evaluator *out) WF_MUST;
void wf_evaluator_clear(wf_evaluator *e);

/* bits[n]: what picture n contributes at this level, bits per dimension. low [N,h,w,C], detail [N,h,w,K] in pixel units.
 * WF_INTERNAL: a density is not finite, as e->not_finite says too. */
int wf_evaluator_run(wf_evaluator *e, int64_t N, const float *low, const float *detail, const uint64_t *index,
                     double *bits) WF_MUST;

/* From now on pictures get this draw of the noise of whole pictures, the same at all levels that share `pixels` (borrowed)
 * and the seed, or of the flow that makes the noise. */
int wf_evaluator_draw(wf_evaluator *e, wf_pixel_noise *pixels, uint64_t draw) WF_MUST;

/* bits [K], of the whole model, of one picture under K draws of its noise: -log2 of the mean of the K densities, per
 * dimension; or of p(x+u)/q(u|x), as the evaluator gives it. It is on average an upper bound on the bits of the discrete picture, which
 * falls with K and tends to them (Burda, Grosse, Salakhutdinov 2016, arXiv 1509.00519, theorem 1). */
double wf_importance_bits(const wf_meta *meta, int64_t K, const double *bits);

/* |x - f^-1(f(x))| over the batch that was last run, in standard deviations of x: what is finite may be wrong all the same. An
 * inverse that is not finite is infinitely wrong. */
int wf_evaluator_round_trip(wf_evaluator *e, wf_round_trip *error) WF_MUST;

/* Mean and standard error of the mean, added up as they come. */
typedef struct wf_mean {
    int64_t n;
    double mean, m2; /* Welford 1962 */
} wf_mean;
void wf_mean_add(wf_mean *m, double value);
double wf_mean_error(const wf_mean *m); /* 0 for fewer than two values */

WF_END

#endif
