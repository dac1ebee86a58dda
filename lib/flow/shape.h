/* shape.h - how a state changes its shape: pixels into channels, and runs of channels in and out */
#ifndef WF_SHAPE_H
#define WF_SHAPE_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"

WF_BEGIN

/* x [N,H,W,K] to y [N,H/2,W/2,4K]: the pixels of each 2x2 block, in reading order, one behind the other. */
int wf_squeeze(wf_backend *b, int N, int H, int W, int K, const wf_real *x, wf_real *y) WF_MUST;
/* The way back; add: to what is in x. */
int wf_unsqueeze(wf_backend *b, int N, int H, int W, int K, const wf_real *y, wf_real *x, bool add) WF_MUST;

/* to [pixels,to_K] in its first `count` channels = from [pixels,from_K] in its own. wf_at gives other first channels. */
int wf_copy_channels(wf_backend *b, size_t pixels, int count, const wf_real *from, int from_K, wf_real *to,
                     int to_K) WF_MUST;

WF_END

#endif
