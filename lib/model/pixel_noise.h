/* pixel_noise.h - one draw of the dequantization noise of whole pictures, as every level sees it
 *
 * `dequantize` (backend.h) gives each level its exact share, independent of the other levels': enough for the mean of a sum
 * over levels, and all that a level which trains alone can have. A product over levels, as in importance-weighted
 * likelihoods, needs one and the same draw in all of them: uniforms of the pixels, through the wavelet. */
#ifndef WF_PIXEL_NOISE_H
#define WF_PIXEL_NOISE_H

#include "../base/linkage.h"
#include "../pyramid/pyramid.h"

WF_BEGIN

typedef struct wf_pixel_noise {
    wf_backend *backend;
    wf_meta meta;
    wf_pyramid *pyramid;
    int batch;
    wf_real *field; /* [batch,H,W,C] */
    float *host;
} wf_pixel_noise;

/* For pictures of `meta` (copied). Holds about twelve million numbers, or twelve pictures that are larger. */
int wf_pixel_noise_create(wf_backend *backend, const wf_meta *meta, wf_pixel_noise *out) WF_MUST;
void wf_pixel_noise_clear(wf_pixel_noise *noise);

/* Adds U - 1/2, its draw of number `draw` for the pictures `index` (host [N]) under `seed`, to their coefficients in pixel
 * units: low [N,h,w,C], detail [N,h,w,B*C] of `level` (NULL at the base). */
int wf_pixel_noise_add(wf_pixel_noise *noise, uint64_t seed, uint64_t draw, int level, int64_t N, const uint64_t *index,
                       float *low, float *detail) WF_MUST;

WF_END

#endif
