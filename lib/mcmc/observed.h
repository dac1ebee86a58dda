/* observed.h - partly observed pictures x = observed + U v, and the coordinates v of what is missing
 *
 * Pixels outside a mask are observed in all channels. Inside it nothing is observed, or only the grey 0.299 R + 0.587
 * G + 0.114 B (ITU-R BT.601). The columns of U are orthogonal. They span the free directions of colour at the missing
 * pixels, by Haar wavelets over every aligned square of these. A column's length is the typical size of its wavelet's
 * coefficient in photographs, which doubles with the side, so a sampler can take the same step in all coordinates.
 *
 * Letters: H W of whole pictures, C channels, D = H*W*C. Coefficients [D] are those of levels 0, 1 .. one after the
 * other in the flows' units (model.h), as anneal.h stacks them. Arrays are host. */
#ifndef WF_OBSERVED_H
#define WF_OBSERVED_H

#include <stddef.h>

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

typedef struct wf_observed wf_observed;

/* Reads a mask from a picture file of size H x W: *missing [H,W] (the caller frees it) is 1 where any channel except
 * alpha is at least half white. WF_DATA: another size. */
int wf_observed_read_mask(const char *path, const wf_meta *meta, uint8_t **missing) WF_MUST;

/* missing [H,W]: nonzero where pixels are missing (copied); NULL: everywhere. grey: the grey of missing pixels is
 * observed; needs C = 3. WF_USAGE: no pixel is missing, or the signal is not a picture. */
int wf_observed_create(const wf_meta *meta, const uint8_t *missing, bool grey, wf_observed **out) WF_MUST;
void wf_observed_destroy(wf_observed *k); /* NULL is allowed */

size_t wf_observed_size(const wf_observed *k);   /* length of v */
uint64_t wf_observed_hash(const wf_observed *k); /* of the mask and `grey` */

/* Writes coefficients x [D] of a picture [H,W,C] (pixel units) with v in the missing pixels. Values of missing pixels
 * are ignored, except their grey where it is observed. */
int wf_observed_apply(wf_observed *k, const float *picture, const double *v, double *x) WF_MUST;

/* U': turns a gradient gx [D] by x into the gradient gv by v. */
int wf_observed_adjoint(wf_observed *k, const double *gx, double *gv) WF_MUST;

/* Writes a first guess of v: missing pixels get the mean of the observed pixels in the smallest aligned square that
 * holds any; with `grey` they get their grey without colour. Adds normal noise of a tenth of each coordinate's
 * length, different for each chain id. */
void wf_observed_start(wf_observed *k, const float *picture, uint64_t seed, uint64_t id, double *v);

WF_END

#endif
