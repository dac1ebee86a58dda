/* codec.h - encodes whole pictures to a model's latents, and decodes latents, also those between two pictures
 *
 * Records come as in streams (stream.h): each batch of pictures with all levels, lowest first. */
#ifndef WF_CODEC_H
#define WF_CODEC_H

#include "../base/linkage.h"
#include "../base/watch.h"
#include "../../kernels/backend.h"
#include "../model/model.h"
#include "../store/stream.h"

WF_BEGIN

typedef struct wf_codec wf_codec;

/* The model and the backend are borrowed. A level's weights are read with its first record. */
int wf_codec_create(const wf_model *model, wf_backend *backend, wf_codec **out) WF_MUST;
void wf_codec_destroy(wf_codec *c); /* NULL is allowed */
/* Counts pictures by level, forward and backward: a picture that is encoded counts twice. Call it before the first
 * record. */
void wf_codec_watch(wf_codec *c, wf_watch watch);

/* Encodes one level: *latents is valid until the next call. At the highest level the batch is decoded again as a check.
 * WF_INTERNAL: a pixel is not restored. WF_DATA: another level or other pictures were expected. */
int wf_codec_encode(wf_codec *c, const wf_record *coefficients, wf_record *latents) WF_MUST;

/* Takes the latents of one level. At the highest level the batch is decoded, and the sink receives coefficients of
 * that level. between = 0: every picture, under its own index. between > 0: also `between` pictures before
 * each but the first, numbered from 0 on with the others. Their latents move along the great circle through both
 * neighbours (Shoemake 1985), which keeps the length of latents. */
int wf_codec_decode(wf_codec *c, const wf_record *latents, int between, wf_record_sink *sink, void *user) WF_MUST;

/* Ends the stream `who`. WF_DATA: the last batch lacks its higher levels. */
int wf_codec_end(const wf_codec *c, const char *who) WF_MUST;

WF_END

#endif
