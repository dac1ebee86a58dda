/* minibatch.h - training batches: which pictures, which patch of them, mirrored or not. All of it is a function of (seed,
 * step), so a resumed training goes on with the very same batches and nothing about order needs to be saved. */
#ifndef WF_MINIBATCH_H
#define WF_MINIBATCH_H

#include "../base/linkage.h"
#include "../store/store.h"

WF_BEGIN

typedef struct wf_minibatch {
    wf_store *store; /* borrowed */
    int level, N;
    int patch;   /* side of the square crop at this level's resolution, 0: whole pictures */
    int context; /* pixels that the crop reaches beyond the middle of it that counts, on each side */
    int middle;  /* side of that */
    bool flip;   /* mirror half of the pictures left to right */
    uint64_t seed;
    int H, W;            /* of a batch: the patch, or the level */
    float *low, *detail; /* [N,H,W,C], [N,H,W,K]; detail NULL at the base */
    float *weight;       /* [N,H,W]: 1 in the middle, 0 around it; NULL without context */
} wf_minibatch;

/* WF_USAGE: the patch is larger than the level, or all context; or there is one, or a flip, of other signals than pictures. */
int wf_minibatch_create(wf_store *store, int level, int N, int patch, int context, bool flip, uint64_t seed,
                        wf_minibatch *out) WF_MUST;
void wf_minibatch_clear(wf_minibatch *b);

/* Fills low, detail and weight for `step`: pictures step*N .. step*N+N-1 of an endless sequence of shuffled epochs. */
int wf_minibatch_load(wf_minibatch *b, int64_t step) WF_MUST;

/* Pixels of a picture of the batch whose weight is 1. */
int wf_minibatch_counted(const wf_minibatch *b);

/* Place of element `i` of the shuffle numbered `epoch` of 0 .. n-1: a keyed permutation, computed without a table. */
int64_t wf_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t i);

WF_END

#endif
