/* annealed_sampler.h - draws pictures from an annealed model by Markov chains, level by level or all levels jointly */
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
    wf_observed *known;                    /* borrowed; the pictures are whole and partly observed; NULL: not */
    wf_measured *measured;                 /* borrowed; the pictures that come in are measurements; NULL: not */
    bool expect;                           /* masses of measured pictures are those of wf_anneal_expect */
    int chains;                            /* for each input picture */
    wf_markov_chains_options
        options;       /* group, level, stats_level, variance, state and run are ignored; thin is for the last level */
    const char *state; /* folder of state files, one for each level and batch; NULL: none */
} wf_annealed_sampler_spec;

typedef struct wf_annealed_sampler wf_annealed_sampler;

/* Draws pictures for a conditioning. All handles are borrowed. WF_USAGE: levels out of range. Destroy it after a
 * failure too. */
int wf_annealed_sampler_create(const wf_model *model, const wf_conditioning *starts, wf_backend *backend,
                               const wf_annealed_sampler_spec *spec, wf_annealed_sampler **out) WF_MUST;
void wf_annealed_sampler_destroy(wf_annealed_sampler *a); /* NULL is allowed */

/* Pictures to run at once: enough to fill a device at the highest level, and chains of at most a gigabyte. */
int wf_annealed_sampler_rows(const wf_annealed_sampler *a);

/* Runs the chains of N pictures [N,H,W,C] at the conditioning's level (NULL: conditioned on nothing). A picture's
 * draws do not depend on the other pictures. The sink receives level `to`: one record with the k-th kept draw of all
 * chains, for each k. Draw k of chain c of picture i has the index (i * chains + c) * kept + k. WF_AGAIN: interrupted
 * and saved; the same calls with the same state folder continue. */
int wf_annealed_sampler_run(wf_annealed_sampler *a, int N, const float *picture, const uint64_t *index,
                            wf_record_sink *sink, void *user) WF_MUST;

/* Report on the chains of step i, which drew levels *first .. *last of the model; NULL past the last step that ran.
 * Borrowed until destroy. */
const wf_markov_chains_report *wf_annealed_sampler_report(const wf_annealed_sampler *a, int i, int *first, int *last);

WF_END

#endif
