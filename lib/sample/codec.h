/* codec.h - whole pictures to the latents of a model and back, and pictures in between
 *
 * Records come as streams have them: every batch of pictures lowest level first. Values are as in stream.h. */
#ifndef WF_CODEC_H
#define WF_CODEC_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "../model/model.h"
#include "../store/stream.h"

WF_BEGIN

typedef struct wf_codec wf_codec;

/* The model and the backend are borrowed. Level weights are read as levels come. */
int wf_codec_create(const wf_model *model, wf_backend *backend, wf_codec **out) WF_MUST;
void wf_codec_destroy(wf_codec *c); /* NULL is allowed */

/* Latents of one level of coefficients, valid until the next call. At the highest level the batch is decoded again:
 * WF_INTERNAL if a pixel does not come back. */
int wf_codec_encode(wf_codec *c, const wf_record *coefficients, wf_record *latents) WF_MUST;

/* Takes latents of one level. With the highest one come coefficients of the highest level, for the sink: of every picture under
 * its own index. between > 0: also of so many pictures between each and the one before, all under numbers that count from 0.
 * There, each level's latents move along the great circle through both pictures' (Shoemake 1985): as long as latents are. */
int wf_codec_decode(wf_codec *c, const wf_record *latents, int between, wf_record_sink *sink, void *user) WF_MUST;

/* WF_DATA if a batch has begun whose higher levels have not come. */
int wf_codec_end(const wf_codec *c, const char *who) WF_MUST;

WF_END

#endif
