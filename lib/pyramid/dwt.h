/* dwt.h - one level of the wavelet transform of a signal, whatever its axes
 *
 * Pictures are what the backend's dwt and idwt are made for; a sound is one axis, and a volume is its slices as pictures, and
 * then the axis across them. The low-pass is an average: the orthonormal one times 2^(-1/2) for each axis. */
#ifndef WF_DWT_H
#define WF_DWT_H

#include "../../kernels/backend.h"
#include "wavelet.h"

/* What is halved: x [N,H,W,C], the H rows being those of D slices if it is volumes (signal.h). */
typedef struct wf_extent {
    wf_signal signal;
    int N, D, H, W, C;
} wf_extent;

/* Reals of scratch that both ways need. */
size_t wf_dwt_scratch(const wf_extent *x);

/* x to low [N,h,w,C] and detail [N,h,w,B*C], half as long along every axis, or `back` from those to x. WF_INTERNAL: an axis is
 * odd. */
int wf_dwt_level(wf_backend *b, const wf_wavelet *wavelet, const wf_extent *extent, const wf_real *x, wf_real *low,
                 wf_real *detail, wf_real *scratch) WF_MUST;
int wf_idwt_level(wf_backend *b, const wf_wavelet *wavelet, const wf_extent *extent, const wf_real *low,
                  const wf_real *detail, wf_real *x, wf_real *scratch) WF_MUST;

#endif
