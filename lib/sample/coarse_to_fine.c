/* coarse_to_fine.c - ancestral sampling: draw a level, join it with its low-pass, draw the next level on the result */
#include "coarse_to_fine.h"

#include <stdlib.h>

#include "../base/count.h"

/* The record of what was drawn at `level`: details of low, or at the base I_0 itself. */
static wf_record record_of(int level, int N, const float *low, const float *drawn, const uint64_t *index)
{
    return (wf_record){
        .level = level, .N = N, .low = level ? low : drawn, .detail = level ? drawn : NULL, .index = index};
}

/* Allocates room for N pictures' details at `level`, or at the base for I_0. */
static float *alloc_details(const wf_meta *meta, int level, int N)
{
    wf_level_shape s = wf_meta_level(meta, level);
    return malloc(wf_count4(N, s.H, s.W, s.K) * sizeof(float));
}

/* Allocates room for N pictures I_level. */
static float *alloc_picture(const wf_meta *meta, int level, int N)
{
    int H, W;
    wf_pyramid_size(meta, level, &H, &W);
    return malloc(wf_count4(N, H, W, meta->C) * sizeof(float));
}

int wf_coarse_to_fine_picture(wf_pyramid *pyramid, const wf_meta *meta, int from, int to, int N, const float *picture,
                              const uint64_t *index, wf_coarse_to_fine_draw *draw, void *user, float **out)
{
    int status = WF_OK;
    float *made = NULL; /* the picture of the level below */
    for (int l = from + 1; l <= to && !status; l++) {
        const float *low = made ? made : picture;
        float *drawn = alloc_details(meta, l, N), *joined = alloc_picture(meta, l, N);
        status = drawn && joined ? draw(user, l, N, low, index, drawn)
                                 : wf_fail(WF_AGAIN, "level %d: out of memory for %d pictures", l, N);
        wf_record r = record_of(l, N, low, drawn, index);
        if (!status)
            status = wf_pyramid_join(pyramid, l, N, r.low, r.detail, joined);
        free(drawn);
        free(made);
        made = joined;
    }
    if (status) {
        free(made);
        made = NULL;
    }
    *out = made;
    return status;
}

int wf_coarse_to_fine(wf_pyramid *pyramid, const wf_meta *meta, int from, int to, int N, const float *picture,
                      const uint64_t *index, wf_coarse_to_fine_draw *draw, wf_record_sink *sink, void *user)
{
    float *made;
    WF_TRY(wf_coarse_to_fine_picture(pyramid, meta, from, to - 1, N, picture, index, draw, user, &made));
    const float *low = made ? made : picture;
    float *drawn = alloc_details(meta, to, N);
    int status = drawn ? draw(user, to, N, low, index, drawn)
                       : wf_fail(WF_AGAIN, "level %d: out of memory for %d pictures", to, N);
    wf_record r = record_of(to, N, low, drawn, index);
    if (!status)
        status = sink(user, &r);
    free(drawn);
    free(made);
    return status;
}
