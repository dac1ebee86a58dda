/* pyramid.h - pictures to coefficients and back, level by level, on a backend; all values are in pixel units (meta.h)
 *
 * Letters: N batch, H W the picture of level `levels`, h w the low-pass of a level, C image channels, n = levels.
 *
 * Rounding errors: for Haar see meta.h. For other wavelets, let M be the largest pixel, t the number of taps and A
 * their 1-norm. One level and its inverse in single precision return pixels with an error of at most 4 (t+1) 2^-24 A^4
 * M: two passes each way, each sum of t products (Higham 2002, 3.1). This is 0.053 for the longest filter, db10, and 8
 * bits, so rounding restores the pixels. There is no simple bound for ten levels. The largest error seen, over all
 * wavelets, in noise and in black and white of 1024x1024, is 8e-4 with 8 bits and 0.2 with 16. */
#ifndef WF_PYRAMID_H
#define WF_PYRAMID_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "meta.h"

WF_BEGIN

typedef struct wf_pyramid wf_pyramid;

/* Creates a pyramid for batches of up to N pictures of `meta` (copied). The backend is borrowed until destroy. Buffers
 * are allocated as levels are used: at most about 11 N*H*W*C reals, in backend and host memory together. WF_DATA: the
 * wavelet is unknown, or H or W cannot be halved `levels` times. */
int wf_pyramid_create(wf_backend *backend, const wf_meta *meta, int N, wf_pyramid **out) WF_MUST;
void wf_pyramid_destroy(wf_pyramid *pyramid); /* NULL is allowed */

/* Decomposes pixels (host [N,H,W,C]) from level n down to level `lowest`; wf_pyramid_level then gives these levels. N
 * may be smaller than at creation. */
int wf_pyramid_split(wf_pyramid *pyramid, int N, const float *pixels, int lowest) WF_MUST;

/* Takes the next rows of a level, low [rows,w,C] and detail [rows,w,B*C] (NULL at the base), borrowed for the call. */
typedef int wf_pyramid_sink(void *user, int level, int rows, const float *low, const float *detail);

/* Decomposes one picture (samples: host [H,W,C]) on a host backend, and passes coefficients to `sink` while they are in
 * cache: levels n down to `lowest`, each in strips of `rows` rows, or whole if strips depend on one another.
 * wf_pyramid_level cannot be called afterwards. */
int wf_pyramid_strips(wf_pyramid *pyramid, const uint16_t *samples, int lowest, int rows, wf_pyramid_sink *sink,
                      void *user) WF_MUST;

/* Gives coefficients of the last split (host, valid until the next call on this pyramid): low [N,h,w,C] and detail
 * [N,h,w,B*C] of `level`; at the base low = I_0 and detail = NULL. WF_INTERNAL: the level was not computed. */
int wf_pyramid_level(wf_pyramid *pyramid, int level, const float **low, const float **detail) WF_MUST;

/* Computes I_level from low [N,h,w,C] and detail [N,h,w,B*C] of that level (host): pixels (host), for pictures
 * [N,2h,2w,C]. At the base detail is NULL and I_0 = low [N,h,w,C]. Needs no split, and ends the validity of the last
 * one. */
int wf_pyramid_join(wf_pyramid *pyramid, int level, int N, const float *low, const float *detail,
                    float *pixels) WF_MUST;

/* Approximates pictures at a lower level (host [N,H,W,C], in and out): averages them down to `level`, and goes back up
 * with all details above it 0. At the highest level, `out` is the pictures themselves. */
int wf_pyramid_approximate(wf_pyramid *pyramid, int level, int N, const float *pixels, float *out) WF_MUST;

/* Rows and width of I_level, the pixels that join gives. */
void wf_pyramid_size(const wf_meta *meta, int level, int *H, int *W);

/* Recommended number of pictures I_level per batch: about a million samples, 1 to 256 pictures. */
int wf_pyramid_rows(const wf_meta *meta, int level);

WF_END

#endif
