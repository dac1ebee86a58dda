/* wavelet.h - the orthogonal wavelets, one row each. To add one: a row below, its taps from a published table. */
#ifndef WF_WAVELET_H
#define WF_WAVELET_H

/* X(id, taps...): the orthonormal low-pass filter, whose taps sum to sqrt(2) and have norm 1. The high-pass follows:
 * g[k] = (-1)^k h[count-1-k]. */
#define WF_WAVELETS(X) X(haar, 0.70710678118654752440, 0.70710678118654752440)

typedef struct wf_wavelet {
    const char *name;
    const double *taps; /* [count] */
    int count;
} wf_wavelet;

/* The row with that name, or NULL. */
const wf_wavelet *wf_wavelet_find(const char *name);
/* Row `i` of the table, or NULL past its end. */
const wf_wavelet *wf_wavelet_at(int i);

#endif
