/* sample.h - a trained level run backward, to draw details (or the base) or to decode them, and forward, to encode them */
#ifndef WF_SAMPLE_H
#define WF_SAMPLE_H

#include "../base/linkage.h"
#include "../model/level.h"
#include "../model/level_input.h"
#include "../model/capture.h"

WF_BEGIN

typedef struct wf_sampler {
    const wf_meta *meta; /* of the model; borrowed */
    wf_level level;
    wf_flow *flow;
    wf_level_input feed;
    wf_real *z;
    const wf_real *x; /* what the flow was inverted to */
    wf_capture forward, inverse;
    float *host;    /* [N,H,W,K] */
    double *latent; /* the same, once latents were truncated */
} wf_sampler;

/* For pictures whose low-pass at `level` is H x W. */
int wf_sampler_create(const wf_model *model, int level, wf_backend *backend, int H, int W, wf_sampler *out) WF_MUST;
void wf_sampler_clear(wf_sampler *s);

typedef struct wf_draw {
    uint64_t seed;
    double temperature; /* scale of the latents */
    double truncate; /* latents, before they are scaled, are normal ones given that they are within +- this; 0: any */
} wf_draw;

/* Details [N,H,W,K] in pixel units given low [N,H,W,C]; at the base low is NULL and `out` [N,H,W,C] is the base itself.
 * Picture index[n]'s draw depends on how it is drawn, on the level, index[n] and its low alone. */
int wf_sampler_run(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const wf_draw *how,
                   float *out) WF_MUST;

/* The latents z [N,H,W,K] of details given low, without noise: a pixel stands for the middle of its values. At the base detail
 * is NULL and low the base itself. Decoding is the same backward. */
int wf_sampler_encode(wf_sampler *s, int64_t N, const float *low, const float *detail, const uint64_t *index,
                      float *z) WF_MUST;
int wf_sampler_decode(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const float *z,
                      float *out) WF_MUST;

WF_END

#endif
