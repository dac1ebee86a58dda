/* minibatch.h - training batches: pictures, their patches and flips, as a function of (seed, step)
 *
 * A resumed training therefore meets the same batches, and no order is saved. */
#ifndef WF_MINIBATCH_H
#define WF_MINIBATCH_H

#include "../base/linkage.h"
#include "../base/shuffle.h"
#include "../store/store.h"

WF_BEGIN

typedef struct wf_minibatch {
    wf_store *store; /* borrowed */
    int level, N;
    int first, total; /* the pictures are first .. first + N - 1 of a batch of `total` */
    int patch;        /* side of the square crop at this level's resolution, 0: whole pictures */
    int margin;       /* pixels around the middle of a patch, on each side, that are seen and have weight 0 */
    int middle;       /* side of the middle */
    bool flip;        /* mirror half of the pictures left to right */
    uint64_t seed;
    int H, W;            /* sides of the patch, or of the level */
    float *low, *detail; /* [N,H,W,C], [N,H,W,K]; detail NULL at the base */
    uint64_t *index;     /* [N] of the pictures in the store */
    float *weight;       /* [N,H,W]: 1 in the middle, 0 around it; NULL without margin */
} wf_minibatch;

/* WF_USAGE: the patch is larger than the level or all margin, or patch or flip is given for signals that are not
 * pictures. Clear it after a failure too. */
int wf_minibatch_create(wf_store *store, int level, int N, int patch, int margin, bool flip, uint64_t seed,
                        wf_minibatch *out) WF_MUST;
void wf_minibatch_clear(wf_minibatch *b);

/* Makes the pictures a part of a batch of `total`: those from `first` on. */
void wf_minibatch_take(wf_minibatch *b, int first, int total);

/* Fills low, detail and weight for `step`: N pictures from step*total + first on, of an endless sequence of shuffled
 * epochs. */
int wf_minibatch_load(wf_minibatch *b, int64_t step) WF_MUST;

/* Pixels of weight 1 in one picture of the batch. */
int wf_minibatch_counted(const wf_minibatch *b);

WF_END

#endif
