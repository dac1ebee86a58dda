/* conditioning.h - where pictures begin that a model continues upward: at the base, in a stream, or in a user's own pictures
 *
 * wf-sample and wf-nuts take chunks of starts from here and draw the levels above. */
#ifndef WF_CONDITIONING_H
#define WF_CONDITIONING_H

#include <stdio.h>

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "../model/model.h"

WF_BEGIN

typedef struct wf_conditioning wf_conditioning;

/* count pictures from nothing: their first level is the base. WF_USAGE: a scale is given, and there is nothing to enlarge. */
int wf_conditioning_none(const wf_model *model, int64_t count, int scale, wf_conditioning **out) WF_MUST;

/* The pictures of a coefficient stream. scale 0: they enter the model at the level of their size; 2, 4, 8 ..: pictures of any
 * size enter so many doublings below the model's highest level, which convolutions bear. `file` and `model` are borrowed.
 * WF_DATA: another wavelet, channels or bits, or pictures that have the size of no level. */
int wf_conditioning_stream(const wf_model *model, wf_backend *backend, FILE *file, const char *name, int scale,
                           wf_conditioning **out) WF_MUST;

/* Picture files, all of one size, as wf_images_open takes them (borrowed); scale as above. */
int wf_conditioning_images(const wf_model *model, char *const *paths, int count, int scale,
                           wf_conditioning **out) WF_MUST;

void wf_conditioning_destroy(wf_conditioning *s);

/* What a stream of them holds once they are drawn up to level `to` of the model, -1: its highest. Owned by the caller.
 * WF_USAGE: the model has no such level, or the starts are there already. */
int wf_conditioning_drawn(const wf_conditioning *s, int to, wf_meta *out) WF_MUST;

/* Of the pictures to be drawn. Its level l is level l + wf_conditioning_offset of the model: with a scale, its base is the user's
 * picture. Borrowed until destroy. */
const wf_meta *wf_conditioning_meta(const wf_conditioning *s);
int wf_conditioning_offset(const wf_conditioning *s);
/* The level of wf_conditioning_meta that the starts have, -1: nothing yet, so the base is to be drawn too. */
int wf_conditioning_level(const wf_conditioning *s);

/* The next N <= most starts, N = 0 at the end: *picture [N,H,W,C] are I_level in pixel units, owned by the caller (free);
 * NULL when the level is -1. index: host [most], which picture. */
int wf_conditioning_next(wf_conditioning *s, int most, int *N, float **picture, uint64_t *index) WF_MUST;

WF_END

#endif
