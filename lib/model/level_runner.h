/* level_runner.h - one level on a backend, ready to run: its flow, the dequantizer of its noise, its input and
 * captures
 *
 *     load      coefficients of N signals, host -> device
 *     forward   noise, then z = f(x; low): log densities and latents
 *     inverse   x = f^-1(z; low)
 *     backward  after forward: gradients of all parameters
 *
 * A runner has a fixed number of rows N, and its callers fill up a short batch. It owns no weights: a sampler borrows
 * those of a file, a trainer those of its optimizer. Fields may be read, and noise, noiseless and params may be set. */
#ifndef WF_LEVEL_RUNNER_H
#define WF_LEVEL_RUNNER_H

#include "../base/linkage.h"
#include "capture.h"
#include "dequantizer.h"
#include "level.h"
#include "level_input.h"

WF_BEGIN

enum { WF_MAX_BATCH = 1024 }; /* rows of a runner at most */

/* Zero-initialize. Must stay where it was created, because captures refer to it. */
typedef struct wf_level_runner {
    wf_backend *backend;
    const wf_meta *meta; /* borrowed */
    int level, N, H, W;  /* of the low-pass */
    int K;
    const wf_real *params; /* device [wf_level_runner_size], borrowed: the flow's, then those of the noise's flow */
    wf_flow *flow;
    wf_dequantizer dequantizer; /* its flow is NULL: noise is uniform */
    wf_level_input input;
    wf_given_kind kind;        /* of what the flow is given beside the low-pass */
    const wf_given *given;     /* that, borrowed; set before the first load */
    const uint64_t *pictures;  /* [N] numbers of the loaded pictures, if they are not `index`; else NULL */
    bool given_fits;           /* `given` was compared with `kind` */
    wf_real *channels, *joint; /* device [N,H,W,G], [N,H,W,C+G]; joint NULL at the base */
    float *host;               /* [N,H,W,G] */
    wf_random noise;           /* dequantization noise of forward */
    bool noiseless;            /* forward adds the mean, 1/2, of any noise instead; fixed before the first forward */
    const wf_real *z, *x;      /* of inverse: from, to */
    wf_capture forward, inverse;
} wf_level_runner;

/* For N signals whose low-pass is H x W. meta: of the model or of data that matches it. WF_USAGE: as wf_level_flow, N
 * is not from 1 to WF_MAX_BATCH, or learnt noise is not possible (wf_dequantizer_create). Clear it after a failure
 * too. */
int wf_level_runner_create(wf_backend *backend, const wf_meta *meta, const wf_level_spec *spec, int N, int H, int W,
                           wf_memory memory, wf_level_runner *out) WF_MUST;
void wf_level_runner_clear(wf_level_runner *r);

/* Parameters, in reals, of the flow and of the noise's flow. */
size_t wf_level_runner_size(const wf_level_runner *r);

/* Rows of the batch that begins at row `at` of `rows`. */
int wf_level_runner_rows(const wf_level_runner *r, int64_t rows, int64_t at);

/* Uploads count <= N signals in pixel units, low [count,H,W,C] and detail [count,H,W,K] (not used at the base);
 * index: host [count]. Missing rows are copies of the first. WF_USAGE: the flow needs to be given more and is not. */
int wf_level_runner_load(wf_level_runner *r, int count, const float *low, const float *detail,
                         const uint64_t *index) WF_MUST;

/* The flow's condition: the low-pass and what is given; NULL where there is neither. */
const wf_real *wf_level_runner_cond(const wf_level_runner *r);

/* Writes initial parameters (device [wf_level_runner_size]), and borrows them: random ones, then what depends on
 * data, from one batch of N signals with this noise. */
int wf_level_runner_init(wf_level_runner *r, wf_real *params, const float *low, const float *detail,
                         const uint64_t *index, const wf_random *noise) WF_MUST;

/* From now on the batch of wf_level_runner_init is a part of a larger one, whose moments `pool` makes. */
void wf_level_runner_pool(wf_level_runner *r, wf_pool_moments *pool, void *user);

/* Dequantizes what was loaded, once per load, and runs it forward. Captured. */
int wf_level_runner_forward(wf_level_runner *r) WF_MUST;
/* Does the work of wf_level_runner_forward without a capture, for a caller that captures more. */
int wf_level_runner_compute(wf_level_runner *r) WF_MUST;

/* Runs z, device [N,H,W,K], backward through the flow into r->x, valid until the flow runs again; above the base on the
 * low-pass that was loaded, without noise. Captured: z must be the same buffer each time. */
int wf_level_runner_inverse(wf_level_runner *r, const wf_real *z) WF_MUST;

/* After compute, once: gradients of  scale * sum over n of log density,  of all parameters, for the sink. */
int wf_level_runner_backward(wf_level_runner *r, double scale, wf_grad_sink *sink, void *user) WF_MUST;

/* After forward: *bad (device) becomes 1 when a density is not finite. Does not wait. */
int wf_level_runner_guard(wf_level_runner *r, double *bad) WF_MUST;

/* Log densities on their way to the host. Zero-initialize. */
typedef struct wf_level_densities {
    wf_readback *density, *noise[2]; /* noise: NULL where it is uniform */
} wf_level_densities;

/* After forward: log p(x) of each row, or log p(x) - log q(noise) with learnt noise, host [N], nats. `readback_begin`
 * does not wait, and `readback_end`, which does, ends it; by then the flow may have run again. Both leave nothing to
 * drop when they fail. */
int wf_level_runner_readback_begin(wf_level_runner *r, wf_level_densities *out) WF_MUST;
int wf_level_runner_readback_end(wf_level_runner *r, wf_level_densities *posted, double *log_density) WF_MUST;
void wf_level_runner_drop(wf_level_runner *r, wf_level_densities *posted);

WF_END

#endif
