/* nearest.h - the pictures of a store that are nearest to given ones
 *
 * Distance is the Euclidean one of pictures I_L: the root of the summed squares of the differences of all samples, in
 * pixel units. It is computed from the coefficients of level L alone: the wavelets are orthogonal and the average is
 * half the orthonormal low-pass, so that |I_L|^2 = 4 |I_{L-1}|^2 + |D_L|^2, and at the base |I_0|^2 as it is. */
#ifndef WF_NEAREST_H
#define WF_NEAREST_H

#include "store.h"

typedef struct wf_neighbour {
    int64_t at; /* position in the store, for wf_store_get */
    double distance;
} wf_neighbour;

/* Compares N pictures, low [N,h,w,C] and detail [N,h,w,K] (host; not read at the base), with all of the store's, which
 * are read once. found: host [N,K], the K nearest of each, nearest first and, where distances are equal, in the order
 * of the store. threads: 0 for all; they do not change what is found. WF_DATA: the store lacks the level, has fewer
 * than K pictures, or is damaged. WF_AGAIN: out of memory. */
int wf_nearest_search(wf_store *store, int level, int threads, int N, const float *low, const float *detail, int K,
                      wf_neighbour *found) WF_MUST;

#endif
