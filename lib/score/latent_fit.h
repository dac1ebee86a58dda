/* latent_fit.h - how far the latents of one picture are from the noise that a flow should make of it */
#ifndef WF_LATENT_FIT_H
#define WF_LATENT_FIT_H

#include "../base/linkage.h"

WF_BEGIN

/* Moments of latents z [H,W,K]. Of a picture from the model they are those of independent standard normal numbers: mean
 * 0, variance 1, correlations 0. NAN where z has no two neighbours, or does not vary.
 *     mean      m = sum z / n,  n = H W K
 *     variance  v = sum (z - m)^2 / n
 *     across    sum (z[y,x,k] - m)(z[y,x+1,k] - m) / (v pairs): correlation of horizontal neighbours
 *     down      the same of vertical neighbours */
typedef struct wf_latent_fit {
    double mean, variance, across, down;
} wf_latent_fit;

/* Computes the moments of z, host [H,W,K], in doubles. */
wf_latent_fit wf_latent_fit_of(const float *z, int H, int W, int K);
/* Writes the mean square of each channel to out [K]. Of a picture from the model they are 1. */
void wf_latent_squares(const float *z, int H, int W, int K, double *out);

WF_END

#endif
