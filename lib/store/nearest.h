/* nearest.h - the pictures of a store that are nearest to given ones
 *
 * The distance of two pictures I_L is Euclidean: the root of the summed squared differences of all samples, in pixel
 * units. It is computed from the coefficients of level L alone. The wavelets are orthogonal, and an average over an
 * axis is 1/sqrt(2) of the orthonormal low-pass. With a axes (2 for pictures) |I_L|^2 = 2^a |I_{L-1}|^2 + |D_L|^2 for
 * differences I and D; at the base |I_0|^2 is taken as it is. */
#ifndef WF_NEAREST_H
#define WF_NEAREST_H

#include "../base/linkage.h"
#include "../base/watch.h"
#include "store.h"

WF_BEGIN

typedef struct wf_neighbour {
    int64_t at; /* position in the store, for wf_store_get */
    double distance;
} wf_neighbour;

/* Compares N pictures, low [N,h,w,C] and detail [N,h,w,K] (host; not read at the base), with all pictures of the store,
 * which are read once. found: host [N,K], the K nearest pictures of each, nearest first; equal distances are in the
 * order of the store. threads: 0 for all; the result does not depend on it. WF_DATA: the store lacks the level, has
 * fewer than K pictures, or is damaged. WF_AGAIN: out of memory. watch: of pictures of the store; NULL: none. */
int wf_nearest_search(wf_store *store, int level, int threads, int N, const float *low, const float *detail, int K,
                      wf_neighbour *found, const wf_watch *watch) WF_MUST;

WF_END

#endif
