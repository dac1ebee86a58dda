/* pixel_noise.h - one draw of the dequantization noise of whole pictures, shared by all levels
 *
 * `dequantize` (backend.h) gives each level its exact share of the noise, independent of the other levels. That is
 * enough for the mean of a sum over levels, and all that a level can have that trains alone. A product over levels,
 * as in importance-weighted likelihoods, needs the same draw in all levels: uniform noise on the pixels, through the
 * wavelet. */
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

/* For pictures like `meta` (copied). Holds about 12 million numbers, or 12 times a picture that has more than a
 * million. */
int wf_pixel_noise_create(wf_backend *backend, const wf_meta *meta, wf_pixel_noise *out) WF_MUST;
void wf_pixel_noise_clear(wf_pixel_noise *noise);

/* Adds U - 1/2 to the coefficients of pictures `index` (host [N]) at `level`, in pixel units: low [N,h,w,C], detail
 * [N,h,w,B*C] (NULL at the base). U depends on the seed, the number of the draw and the picture alone. */
int wf_pixel_noise_add(wf_pixel_noise *noise, uint64_t seed, uint64_t draw, int level, int64_t N, const uint64_t *index,
                       float *low, float *detail) WF_MUST;

WF_END

#endif
