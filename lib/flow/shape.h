/* shape.h - changes of a state's shape: pixels into channels, and copies of channel ranges */
#ifndef WF_SHAPE_H
#define WF_SHAPE_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"

WF_BEGIN

/* Space to depth: x [N,H,W,K] to y [N,H/2,W/2,4K], the pixels of each 2x2 block in reading order. Device, not in
 * place. */
int wf_squeeze(wf_backend *b, int N, int H, int W, int K, const wf_real *x, wf_real *y) WF_MUST;
/* Depth to space, the inverse of wf_squeeze; add: adds to x. */
int wf_unsqueeze(wf_backend *b, int N, int H, int W, int K, const wf_real *y, wf_real *x, bool add) WF_MUST;

/* Copies the first `count` channels of `from` [pixels,from_K] to the first of `to` [pixels,to_K]. Pass wf_at(b, p, k)
 * to start at channel k. */
int wf_copy_channels(wf_backend *b, size_t pixels, int count, const wf_real *from, int from_K, wf_real *to,
                     int to_K) WF_MUST;

WF_END

#endif
