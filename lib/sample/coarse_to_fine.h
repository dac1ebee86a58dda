/* coarse_to_fine.h - pictures taken up the levels of a pyramid, whose details a callback draws or decodes */
#ifndef WF_COARSE_TO_FINE_H
#define WF_COARSE_TO_FINE_H

#include "../base/linkage.h"
#include "../pyramid/pyramid.h"
#include "../store/stream.h"

WF_BEGIN

/* Makes out: the details [N,h,w,K] of `level` given its low-pass [N,h,w,C], or at the base, where low is NULL, I_0 [N,h,w,C].
 * All in pixel units. */
typedef int wf_coarse_to_fine_draw(void *user, int level, int N, const float *low, const uint64_t *index, float *out);

/* From N pictures I_from [N,H,W,C] (from -1 and NULL: from nothing) up to level `to` > from: what was drawn there goes to the sink.
 * The pyramid is of at least N pictures of `meta`. */
int wf_coarse_to_fine(wf_pyramid *pyramid, const wf_meta *meta, int from, int to, int N, const float *picture,
                      const uint64_t *index, wf_coarse_to_fine_draw *draw, wf_record_sink *sink, void *user) WF_MUST;

WF_END

#endif
