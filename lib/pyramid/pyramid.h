/* pyramid.h - pictures to coefficients and back, level by level, on a backend. All values are in pixel units (meta.h).
 *
 * Rounding. With Haar see meta.h. Else, pixels up to M and taps h of 1-norm A, of which there are n: a halving and its
 * inverse in single precision return pixels with an error of at most 4 (n+1) 2^-24 A^4 M (two passes each way, every
 * sum of n products; Higham 2002, 3.1). That is 0.053 for the longest row, db10, and 8 bits: rounding gives the pixel
 * back. From the base up through ten halvings nothing so simple holds; the largest error that was seen is 8e-4 with 8
 * bits and 0.2 with 16, over all rows, in noise and in black and white of 1024x1024.
 *
 * Letters: N batch, H W the picture of level `levels`, h w the low-pass of a level, C image channels, n = levels. */
#ifndef WF_PYRAMID_H
#define WF_PYRAMID_H

#include "../../kernels/backend.h"
#include "meta.h"

typedef struct wf_pyramid wf_pyramid;

/* For batches of up to N pictures of `meta` (copied). The backend is borrowed. Buffers are made as levels are used, at
 * most about 11 N*H*W*C numbers in backend memory and host memory together.
 * WF_DATA: unknown wavelet, or H or W that the levels do not divide. */
int wf_pyramid_create(wf_backend *backend, const wf_meta *meta, int N, wf_pyramid **out) WF_MUST;
void wf_pyramid_destroy(wf_pyramid *pyramid);

/* Decomposes pixels (host [N,H,W,C]) from the top down to level `lowest`, of which and above wf_pyramid_level then
 * tells. N may be smaller than at creation. */
int wf_pyramid_split(wf_pyramid *pyramid, int N, const float *pixels, int lowest) WF_MUST;

/* The next rows of a level, otherwise as wf_pyramid_level tells them; valid for the call. */
typedef int wf_pyramid_sink(void *user, int level, int rows, const float *low, const float *detail);

/* Decomposes one picture from its samples (host [H,W,C]) on a backend that is the host, and hands out what it
 * becomes while that is in cache: one level after the other from the top down to `lowest`, each in strips of so many
 * rows, or as a whole where those depend on one another. wf_pyramid_level tells nothing afterwards. */
int wf_pyramid_strips(wf_pyramid *pyramid, const uint16_t *samples, int lowest, int rows, wf_pyramid_sink *sink,
                      void *user) WF_MUST;

/* Coefficients of the batch just split (host, valid until the next call on this pyramid): low [N,h,w,C] and detail
 * [N,h,w,B*C] of `level`; at the base low = I_0 and detail = NULL. */
int wf_pyramid_level(wf_pyramid *pyramid, int level, const float **low, const float **detail) WF_MUST;

/* I_level from one record of that level: low [N,h,w,C] and detail [N,h,w,B*C] (host) to pixels (host), of a picture
 * [N,2h,2w,C]. At the base, where detail is NULL, I_0 = low [N,h,w,C]. Works without a split. */
int wf_pyramid_join(wf_pyramid *pyramid, int level, int N, const float *low, const float *detail,
                    float *pixels) WF_MUST;

/* Approximation of pictures at a lower level (host [N,H,W,C], in and out): averaged down to `level`, and back up
 * with all details above it 0. At the highest level, `out` is the pictures themselves. */
int wf_pyramid_approximate(wf_pyramid *pyramid, int level, int N, const float *pixels, float *out) WF_MUST;

/* Rows and their width of I_level: those of the pixels that join gives. */
void wf_pyramid_size(const wf_meta *meta, int level, int *H, int *W);

/* How many pictures I_level to take at once: about a million samples, 1 to 256. */
int wf_pyramid_rows(const wf_meta *meta, int level);

#endif
