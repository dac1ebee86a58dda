/* annealed_sampler.h - taking pictures up the levels of an annealed model by Markov chains: one chain a level, or one for all levels */
#ifndef WF_ANNEALED_SAMPLER_H
#define WF_ANNEALED_SAMPLER_H

#include "../base/linkage.h"
#include "markov_chains.h"
#include "../sample/conditioning.h"
#include "../store/stream.h"

WF_BEGIN

typedef struct wf_annealed_sampler_spec {
    int to;                                /* last level drawn, as numbered in wf_conditioning_meta */
    double temperature[WF_MAX_LEVELS + 1]; /* of each level of the model */
    bool data;                             /* chains move in the coefficients, not in the latents */
    bool joint;                            /* one chain draws all levels at once, from their annealed joint density */
    wf_observed *known;                    /* the starts are whole pictures, of which this is known; NULL: nothing is */
    int chains;                            /* for each picture that comes in */
    wf_markov_chains_options options;      /* of chains; group, state and run are filled in; thin: of the last level */
    const char *state;                     /* folder of state files, one for each level and batch; NULL: none */
} wf_annealed_sampler_spec;

typedef struct wf_annealed_sampler wf_annealed_sampler;

/* For the pictures of `starts`. All handles are borrowed. */
int wf_annealed_sampler_create(const wf_model *model, const wf_conditioning *starts, wf_backend *backend,
                               const wf_annealed_sampler_spec *spec, wf_annealed_sampler **out) WF_MUST;
void wf_annealed_sampler_destroy(wf_annealed_sampler *a); /* NULL is allowed */

/* How many pictures to run at once: what fills a device at the highest level, within a gigabyte of chains. */
int wf_annealed_sampler_rows(const wf_annealed_sampler *a);

/* Runs the chains of N pictures [N,H,W,C] of the level the starts have; NULL: from nothing. Bytes do not depend on what else
 * runs. The sink takes level `to`, one record for the k-th kept draw of all chains that run: chain c of picture i has draw k
 * under the index (i * chains + c) * kept + k. WF_AGAIN: interrupted; the same calls on the same state folder go on. */
int wf_annealed_sampler_run(wf_annealed_sampler *a, int N, const float *picture, const uint64_t *index,
                            wf_record_sink *sink, void *user) WF_MUST;

/* How the chains of step i went, which drew levels *first .. *last of the model; NULL past the last step that ran. */
const wf_markov_chains_report *wf_annealed_sampler_report(const wf_annealed_sampler *a, int i, int *first, int *last);

WF_END

#endif
