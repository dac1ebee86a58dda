/* conditioning.h - the pictures that a sampler continues upward: none, those of a stream, or picture files
 *
 * wf-sample and wf-nuts read chunks of pictures from here and draw the levels above. */
#ifndef WF_CONDITIONING_H
#define WF_CONDITIONING_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "../model/model.h"
#include "../store/records.h"

WF_BEGIN

typedef struct wf_conditioning wf_conditioning;

/* Conditions on nothing: `count` pictures are drawn from the base up. WF_USAGE: a scale is given. */
int wf_conditioning_none(const wf_model *model, int64_t count, int scale, wf_conditioning **out) WF_MUST;

/* Conditions on the pictures of a coefficient stream or store. scale 0: they enter the model at the level of their
 * size. scale 2, 4, 8 ..: pictures of any size enter log2(scale) levels below the model's highest, since
 * convolutions take any size. `records`, of which nothing was read, and `model` are borrowed. WF_DATA: another
 * wavelet, channels or bits, or no level has the pictures' size. */
int wf_conditioning_records(const wf_model *model, wf_backend *backend, wf_records *records, int scale,
                            wf_conditioning **out) WF_MUST;

/* Conditions on picture files, all of one size. paths: as for wf_images_open, borrowed. scale: as for a stream. */
int wf_conditioning_images(const wf_model *model, char *const *paths, int count, int scale,
                           wf_conditioning **out) WF_MUST;

/* Hands out only the pictures of a shard (n = 0: all). `apart`: each call of next hands out pictures of one batch of
 * the run; else of several, so that batches are full. Call it before the first next, always with the same `most`.
 * WF_USAGE: the pictures that come in are a shard already. */
int wf_conditioning_share(wf_conditioning *s, wf_shard shard, bool apart) WF_MUST;

void wf_conditioning_destroy(wf_conditioning *s);

/* Writes the meta of a stream of the pictures drawn up to level `to` of the model; -1: the highest. The caller owns
 * *out. WF_USAGE: the model has no such level, or the pictures have it already. */
int wf_conditioning_drawn(const wf_conditioning *s, int to, wf_meta *out) WF_MUST;

/* Meta of the pictures to be drawn, borrowed until destroy. Its level l is level l + wf_conditioning_offset of the
 * model. With a scale, its base is the user's picture. */
const wf_meta *wf_conditioning_meta(const wf_conditioning *s);
int wf_conditioning_offset(const wf_conditioning *s);
/* Level of the pictures, as numbered in wf_conditioning_meta; -1: none, so the base is drawn too. */
int wf_conditioning_level(const wf_conditioning *s);

/* Reads the next N <= most pictures; N = 0 at the end. *picture: I_level [N,H,W,C] in pixel units, the caller's
 * (free); NULL at level -1. index: host [most], the pictures' numbers. */
int wf_conditioning_next(wf_conditioning *s, int most, int *N, float **picture, uint64_t *index) WF_MUST;
/* Batches of the run that those pictures [N] belong to; NULL: they are not of a shard. Valid until the next call. */
typedef struct wf_conditioning_batch {
    int64_t place; /* of the batch's first picture */
    int each;      /* pictures at each place; 0: batch not known */
    int record;    /* that they came in; two of one batch may be draws of the same chains */
} wf_conditioning_batch;
const wf_conditioning_batch *wf_conditioning_batches(const wf_conditioning *s);
/* Names of those pictures [N], NULL for pictures without one; NULL: none has one. Valid until the next call. */
const char *const *wf_conditioning_names(const wf_conditioning *s);

WF_END

#endif
