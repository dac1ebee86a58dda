/* level_input.h - the input of a level's flow: coefficients uploaded, dequantized and scaled */
#ifndef WF_LEVEL_INPUT_H
#define WF_LEVEL_INPUT_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "../pyramid/meta.h"
#include "../pyramid/wavelet.h"

WF_BEGIN

/* Maps host coefficients in pixel units to a flow's input and condition on the device. */
typedef struct wf_level_input {
    wf_backend *backend;
    const wf_meta *meta;
    const wf_wavelet *wavelet;
    int level, N, H, W;
    wf_real *low, *detail; /* detail NULL at the base */
    float *host;           /* pads a short batch */
    uint64_t *index;       /* [N] numbers of the loaded pictures */
    /* For sounds and volumes whose noise goes through the DWT (level_input.c); else NULL. */
    int halvings;                    /* levels of the DWT that the noise goes through */
    wf_real *noise, *made, *scratch; /* before and after one level of the DWT; its scratch */
} wf_level_input;

int wf_level_input_create(wf_backend *backend, const wf_meta *meta, int level, int N, int H, int W,
                          wf_level_input *out) WF_MUST;
void wf_level_input_clear(wf_level_input *input);
/* Uploads count <= N pictures in pixel units; the other rows are copies of the first. index: host [count]. */
int wf_level_input_upload(wf_level_input *input, int count, const float *low, const float *detail,
                          const uint64_t *index) WF_MUST;
/* Adds dequantization noise (random NULL: its mean; fields: none) and scales, in place: once after each upload. May be
 * recorded. */
int wf_level_input_dequantize(wf_level_input *input, const wf_random *random) WF_MUST;
/* wf_level_input_upload, then wf_level_input_dequantize. */
int wf_level_input_load(wf_level_input *input, int count, const float *low, const float *detail, const uint64_t *index,
                        const wf_random *random) WF_MUST;
const wf_real *wf_level_input_x(const wf_level_input *input);    /* the flow's x: details, or I_0 at the base */
const wf_real *wf_level_input_cond(const wf_level_input *input); /* the low-pass; NULL at the base */
/* Undoes the scale, in place: values [n] to pixel units. low: values are of pictures, which have an offset; else
 * details. */
void wf_level_input_undo(const wf_meta *meta, bool low, size_t n, float *values);

WF_END

#endif
