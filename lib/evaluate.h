/* evaluate.h - held-out bits per dimension of one level */
#ifndef WF_EVALUATE_H
#define WF_EVALUATE_H

#include "model.h"
#include "replay.h"

/* Runs pictures of one size through one level. The noise of picture i depends on (seed, level, i) alone, so neither the
 * batch nor the order changes a picture's figure. It stays where it was created. */
typedef struct wf_evaluator {
    wf_backend *backend;
    const wf_meta *meta;
    const wf_real *params; /* borrowed */
    int level;
    wf_flow *flow;
    wf_feed feed;
    wf_random noise;
    wf_replay replay;
} wf_evaluator;

/* `meta` and `params` are borrowed until clear. spec: K, C, kernel and precision are used. */
int wf_evaluator_create(wf_backend *backend, const wf_meta *meta, int level, const char *chain,
                        const wf_flow_spec *spec, const wf_real *params, uint64_t seed, wf_evaluator *out) WF_MUST;
void wf_evaluator_clear(wf_evaluator *e);

/* bits[n]: what picture n contributes at this level, bits per dimension. low [N,h,w,C], detail [N,h,w,K] in pixel units.
 * WF_INTERNAL: a density is not finite. */
int wf_evaluator_run(wf_evaluator *e, int64_t N, const float *low, const float *detail, const uint64_t *index,
                     double *bits) WF_MUST;

/* max |x - f^-1(f(x))| over the first batch that was last run, in units of the flow's input. */
int wf_evaluator_round_trip(wf_evaluator *e, double *error) WF_MUST;

/* Mean and standard error of the mean, added up as they come. */
typedef struct wf_mean {
    int64_t n;
    double mean, m2; /* Welford 1962 */
} wf_mean;
void wf_mean_add(wf_mean *m, double value);
double wf_mean_error(const wf_mean *m); /* 0 for fewer than two values */

#endif
