/* level_input.h - from stored coefficients to what a flow takes */
#ifndef WF_LEVEL_INPUT_H
#define WF_LEVEL_INPUT_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "../pyramid/meta.h"
#include "../pyramid/wavelet.h"

WF_BEGIN

/* Host coefficients in pixel units -> a flow's input and condition on the device. */
typedef struct wf_level_input {
    wf_backend *backend;
    const wf_meta *meta;
    const wf_wavelet *wavelet;
    int level, N, H, W;
    wf_real *low, *detail; /* detail NULL at the base */
    float *host;           /* room to pad a short batch */
    uint64_t *index;       /* [N] of the pictures that are loaded */
    /* Of signals whose noise is not made by the backend alone (level_input.c); NULL where they need none. */
    int halvings;                    /* that the noise goes through */
    wf_real *noise, *made, *scratch; /* before and after one of them */
} wf_level_input;

int wf_level_input_create(wf_backend *backend, const wf_meta *meta, int level, int N, int H, int W,
                          wf_level_input *out) WF_MUST;
void wf_level_input_clear(wf_level_input *feed);
/* count <= N pictures in pixel units, the rest is filled with the first. index: host [count]. */
int wf_level_input_upload(wf_level_input *feed, int count, const float *low, const float *detail,
                          const uint64_t *index) WF_MUST;
/* Gives what was uploaded its noise (random NULL: none, its mean) and its scale. May be recorded. */
int wf_level_input_dequantize(wf_level_input *feed, const wf_random *random) WF_MUST;
/* Both. */
int wf_level_input_load(wf_level_input *feed, int count, const float *low, const float *detail, const uint64_t *index,
                        const wf_random *random) WF_MUST;
const wf_real *wf_level_input_x(const wf_level_input *feed);    /* what the flow models */
const wf_real *wf_level_input_cond(const wf_level_input *feed); /* NULL at the base */
/* Back to pixel units, in place: details [n], or pictures (`low`), which have an offset. */
void wf_level_input_undo(const wf_meta *meta, bool low, size_t n, float *values);

WF_END

#endif
