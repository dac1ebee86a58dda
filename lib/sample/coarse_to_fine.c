/* coarse_to_fine.c - draw, join, and draw upon that */
#include "coarse_to_fine.h"

#include <stdlib.h>

int wf_coarse_to_fine(wf_pyramid *pyramid, const wf_meta *meta, int from, int to, int N, const float *picture,
                      const uint64_t *index, wf_coarse_to_fine_draw *draw, wf_record_sink *sink, void *user)
{
    int status = WF_OK;
    float *below = NULL; /* the picture that was made last */
    for (int l = from + 1; l <= to && !status; l++) {
        wf_level_shape s = wf_meta_level(meta, l);
        size_t size = (size_t)N * (size_t)s.H * (size_t)s.W * (size_t)s.C;
        size_t details = (size_t)N * (size_t)s.H * (size_t)s.W * (size_t)s.K; /* or the base */
        const float *low = below ? below : picture;
        float *drawn = malloc(details * sizeof *drawn);
        float *joined = l < to ? malloc((l ? size + details : size) * sizeof *joined) : NULL;
        if (!drawn || (l < to && !joined))
            status = wf_fail(WF_AGAIN, "level %d: out of memory for %d pictures", l, N);
        if (!status)
            status = draw(user, l, N, low, index, drawn);
        wf_record record = {.level = l, .N = N, .low = l ? low : drawn, .detail = l ? drawn : NULL, .index = index};
        if (!status)
            status = l < to ? wf_pyramid_join(pyramid, l, N, record.low, record.detail, joined) : sink(user, &record);
        free(drawn);
        free(below);
        below = joined;
    }
    free(below);
    return status;
}
