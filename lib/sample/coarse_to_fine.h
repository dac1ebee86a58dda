/* coarse_to_fine.h - ancestral sampling up the levels of a pyramid; a callback draws or decodes the details of each
 * level */
#ifndef WF_COARSE_TO_FINE_H
#define WF_COARSE_TO_FINE_H

#include "../base/linkage.h"
#include "../pyramid/pyramid.h"
#include "../store/stream.h"

WF_BEGIN

/* Writes `out`: the details [N,h,w,K] of `level` given its low-pass [N,h,w,C]; at the base, where low is NULL, I_0
 * [N,h,w,C]. All values are in pixel units. */
typedef int wf_coarse_to_fine_draw(void *user, int level, int N, const float *low, const uint64_t *index, float *out);

/* Takes N pictures I_from [N,H,W,C] (from = -1 and NULL: nothing) up to I_to [N,H,W,C]. *out is the caller's (free);
 * NULL when to <= from, where nothing is drawn, and after a failure. The pyramid is for at least N pictures of
 * `meta`. */
int wf_coarse_to_fine_picture(wf_pyramid *pyramid, const wf_meta *meta, int from, int to, int N, const float *picture,
                              const uint64_t *index, wf_coarse_to_fine_draw *draw, void *user, float **out) WF_MUST;

/* Takes pictures up to level to - 1 like wf_coarse_to_fine_picture, from < to. Then draws level `to` and gives its
 * coefficients to the sink. */
int wf_coarse_to_fine(wf_pyramid *pyramid, const wf_meta *meta, int from, int to, int N, const float *picture,
                      const uint64_t *index, wf_coarse_to_fine_draw *draw, wf_record_sink *sink, void *user) WF_MUST;

WF_END

#endif
