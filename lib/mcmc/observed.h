/* observed.h - what is known of a picture, and coordinates of what is not
 *
 * Pixels outside a mask are known in all their channels; inside it nothing is, or their grey: 0.299 R + 0.587 G +
 * 0.114 B (ITU-R BT.601). All that a picture can be then is  known + U v: the columns of U are orthogonal, and span
 * the free directions of colour of the free pixels by Haar wavelets over every aligned square of them. Each is as
 * long as that wavelet's coefficient is large in photographs, twice as large at each doubling, so that a sampler can
 * take the same step in all of them.
 *
 * Letters: H W of whole pictures, C channels, D = H*W*C. Coefficients [D] are those of levels 0, 1 .. one after the
 * other in the flows' units (model.h), as anneal.h stacks them. Arrays are host. */
#ifndef WF_OBSERVED_H
#define WF_OBSERVED_H

#include <stddef.h>

#include "../pyramid/meta.h"

typedef struct wf_observed wf_observed;

/* The mask in a picture file of H x W: *missing [H,W] (the caller's) is 1 where any channel but alpha is at least
 * half white. WF_DATA: another size. */
int wf_observed_read_mask(const char *path, const wf_meta *meta, uint8_t **missing) WF_MUST;

/* missing [H,W]: nonzero where pixels are to be drawn (copied); NULL: everywhere. grey: their grey is known, which
 * wants C = 3. WF_USAGE: nothing is missing. */
int wf_observed_create(const wf_meta *meta, const uint8_t *missing, bool grey, wf_observed **out) WF_MUST;
void wf_observed_destroy(wf_observed *k); /* NULL is allowed */

size_t wf_observed_size(const wf_observed *k);   /* numbers in v */
uint64_t wf_observed_hash(const wf_observed *k); /* of the mask, and of what is known inside it */

/* Coefficients x [D] of the picture [H,W,C] (pixel units; its missing pixels are not looked at, but for their grey
 * where that is known) with v [wf_observed_size] in the missing ones. */
int wf_observed_apply(wf_observed *k, const float *picture, const double *v, double *x) WF_MUST;

/* The gradient by v of a function whose gradient by x is gx [D]. */
int wf_observed_adjoint(wf_observed *k, const double *gx, double *gv) WF_MUST;

/* v of a plain guess: missing pixels have the mean of the known ones of the smallest aligned square around them that
 * has any, or that grey, without colour. Normal noise, a tenth of each coordinate's length, tells chains of different
 * id apart. */
void wf_observed_start(wf_observed *k, const float *picture, uint64_t seed, uint64_t id, double *v);

#endif
