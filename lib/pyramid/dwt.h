/* dwt.h - one level of the wavelet transform of a signal with any number of axes
 *
 * Pictures use the backend's dwt and idwt. A sound has one axis. A volume is transformed slice by slice as pictures,
 * then along the axis across slices. The low-pass is an average: the orthonormal low-pass times 2^(-1/2) for each
 * axis. */
#ifndef WF_DWT_H
#define WF_DWT_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "wavelet.h"

WF_BEGIN

/* Shape of a signal x [N,H,W,C]; for volumes the H rows are those of D slices (signal.h). */
typedef struct wf_extent {
    wf_signal signal;
    int N, D, H, W, C;
} wf_extent;

/* Scratch, in reals, that both directions need. */
size_t wf_dwt_scratch(const wf_extent *x);

/* Transforms x to low [N,h,w,C] and detail [N,h,w,B*C], which are half as long along every axis. WF_INTERNAL: an axis
 * is odd. */
int wf_dwt_level(wf_backend *b, const wf_wavelet *wavelet, const wf_extent *extent, const wf_real *x, wf_real *low,
                 wf_real *detail, wf_real *scratch) WF_MUST;
/* The inverse. */
int wf_idwt_level(wf_backend *b, const wf_wavelet *wavelet, const wf_extent *extent, const wf_real *low,
                  const wf_real *detail, wf_real *x, wf_real *scratch) WF_MUST;

WF_END

#endif
