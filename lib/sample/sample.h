/* sample.h - runs a trained level backward, to draw or decode details (or the base), and forward, to encode them */
#ifndef WF_SAMPLE_H
#define WF_SAMPLE_H

#include "../base/linkage.h"
#include "../base/watch.h"
#include "../model/level_runner.h"

WF_BEGIN

typedef struct wf_sampler {
    wf_level level; /* the weights */
    wf_level_runner runner;
    wf_real *z;     /* device [N,H,W,K] */
    wf_real *whole; /* device [rows,W,K]: latents of a picture that is drawn in bands; NULL: H are all rows */
    int rows;       /* of a picture */
    int margin;     /* rows at the inner edges of a band that its neighbours draw */
    float *host;    /* [N,H,W,K] */
    double *latent; /* [N,H,W,K], allocated by the first truncated draw */
    wf_watch watch; /* of pictures; may be set after create */
} wf_sampler;

/* Loads `level` of the model (borrowed) for pictures whose low-pass there is H x W. WF_INTERNAL: the level cannot be
 * inverted (wf_level_invertible). Must stay where it was created; clear it after a failure too. */
int wf_sampler_create(const wf_model *model, int level, wf_backend *backend, int H, int W, wf_sampler *out) WF_MUST;
/* Does the same for wf_sampler_run alone. A flow that would take more memory than `bytes` draws pictures of many rows
 * in bands, if every pixel depends on near ones only (wf_flow_radius). A band also has its neighbours' rows within the
 * radius, and is at least twice as high as these. Values are those of the whole picture but for rounding; they do not
 * depend on the memory of the machine. */
int wf_sampler_create_in_bands(const wf_model *model, int level, wf_backend *backend, int H, int W, size_t bytes,
                               wf_sampler *out) WF_MUST;
void wf_sampler_clear(wf_sampler *s);

typedef struct wf_draw {
    uint64_t seed;
    double temperature; /* scale of the latents */
    double truncate;    /* latents are normals truncated to +- this, before the scale; 0: not truncated */
} wf_draw;

/* Draws details, out [N,H,W,K] in pixel units, given low [N,H,W,C]; at the base low is NULL and out [N,H,W,C] is the
 * base itself. The draw of a picture depends on `how`, the level, its index and its low alone. */
int wf_sampler_run(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const wf_draw *how,
                   float *out) WF_MUST;

/* Encodes details, given low, to latents z [N,H,W,K]. No noise is added: a pixel stands for the middle of its
 * interval. At the base detail is NULL and low the base itself. wf_sampler_decode is the inverse. */
int wf_sampler_encode(wf_sampler *s, int64_t N, const float *low, const float *detail, const uint64_t *index,
                      float *z) WF_MUST;
int wf_sampler_decode(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const float *z,
                      float *out) WF_MUST;

WF_END

#endif
