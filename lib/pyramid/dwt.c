/* dwt.c - the wavelet transform along one axis, two and three */
#include "dwt.h"

#include <math.h>

static size_t count_reals(const wf_extent *x)
{
    return (size_t)x->N * (size_t)x->H * (size_t)x->W * (size_t)x->C;
}

size_t wf_dwt_scratch(const wf_extent *x)
{
    return x->signal == WF_VOLUME ? count_reals(x) / 8 * 15 : 0;
}

/* -- volumes ------------------------------------------------------------------------------------------------------- */

/* Bands of a volume: 0 to 2 are the bands of slices, low across slices; 3 is the average of slices, high across slices;
 * 4 to 6 are the bands of slices, high across slices. */

typedef struct volume {
    size_t lows;               /* reals of the low-pass */
    size_t outer, inner;       /* sizes before and after the axis across slices, for the average */
    int N, D, H, W;            /* slices of all volumes and of one volume; size of a slice */
    wf_real *average, *detail; /* of slices: a quarter and three quarters of the volume */
    wf_real *high, *low_detail, *high_detail;
} volume;

static volume volume_of(wf_backend *b, const wf_extent *x, wf_real *scratch)
{
    size_t eighth = count_reals(x) / 8;
    volume v = {.lows = eighth, .outer = (size_t)x->N, .N = x->N * x->D, .D = x->D, .H = x->H / x->D, .W = x->W};
    v.inner = (size_t)(v.H / 2) * (size_t)(v.W / 2) * (size_t)x->C;
    v.average = scratch;
    v.detail = wf_at(b, scratch, 2 * eighth);
    v.high = wf_at(b, scratch, 8 * eighth);
    v.low_detail = wf_at(b, scratch, 9 * eighth);
    v.high_detail = wf_at(b, scratch, 12 * eighth);
    return v;
}

/* Copies `bands` contiguous bands to (interleave) or from the seven interleaved ones, in which they begin at
 * `first`. */
static int copy_bands(wf_backend *b, const volume *v, bool interleave, int bands, int first, wf_real *together,
                      wf_real *all)
{
    wf_real *among = wf_at(b, all, (size_t)first);
    wf_runs runs = {.outer = 1, .inner = v->lows, .run = (size_t)bands};
    runs.from_inner = interleave ? (size_t)bands : 7;
    runs.to_inner = interleave ? 7 : (size_t)bands;
    return interleave ? b->copy_runs(b, &runs, among, together) : b->copy_runs(b, &runs, together, among);
}

static int copy_all_bands(wf_backend *b, const volume *v, bool interleave, wf_real *all)
{
    WF_TRY(copy_bands(b, v, interleave, 3, 0, v->low_detail, all));
    WF_TRY(copy_bands(b, v, interleave, 1, 3, v->high, all));
    return copy_bands(b, v, interleave, 3, 4, v->high_detail, all);
}

/* Scales the details of the average by 2, because the average of slices is half of their orthonormal low-pass. */
static int dwt_volume(wf_backend *b, const wf_wavelet *w, const wf_extent *extent, const wf_real *x, wf_real *low,
                      wf_real *detail, wf_real *scratch)
{
    volume v = volume_of(b, extent, scratch);
    WF_TRY(b->dwt(b, w->taps, w->count, v.N, v.H, v.W, extent->C, x, v.average, v.detail));
    WF_TRY(b->dwt_axis(b, w->taps, w->count, v.outer, v.D, v.inner, M_SQRT1_2, 2, v.average, low, v.high));
    WF_TRY(b->dwt_axis(b, w->taps, w->count, v.outer, v.D, 3 * v.inner, 1, 1, v.detail, v.low_detail, v.high_detail));
    return copy_all_bands(b, &v, true, detail);
}

static int idwt_volume(wf_backend *b, const wf_wavelet *w, const wf_extent *extent, const wf_real *low,
                       const wf_real *detail, wf_real *x, wf_real *scratch)
{
    volume v = volume_of(b, extent, scratch);
    WF_TRY(copy_all_bands(b, &v, false, (wf_real *)(uintptr_t)detail));
    WF_TRY(b->idwt_axis(b, w->taps, w->count, v.outer, v.D, v.inner, M_SQRT1_2, 2, low, v.high, v.average));
    WF_TRY(b->idwt_axis(b, w->taps, w->count, v.outer, v.D, 3 * v.inner, 1, 1, v.low_detail, v.high_detail, v.detail));
    return b->idwt(b, w->taps, w->count, v.N, v.H, v.W, extent->C, v.average, v.detail, x);
}

/* -- any signal ---------------------------------------------------------------------------------------------------- */

int wf_dwt_level(wf_backend *b, const wf_wavelet *w, const wf_extent *e, const wf_real *x, wf_real *low,
                 wf_real *detail, wf_real *scratch)
{
    switch (e->signal) {
    case WF_SOUND:
        return b->dwt_axis(b, w->taps, w->count, (size_t)e->N, e->W, (size_t)e->C, M_SQRT1_2, 1, x, low, detail);
    case WF_PICTURE:
        return b->dwt(b, w->taps, w->count, e->N, e->H, e->W, e->C, x, low, detail);
    case WF_VOLUME:
        return dwt_volume(b, w, e, x, low, detail, scratch);
    }
    return wf_fail(WF_INTERNAL, "dwt: unknown signal %d", (int)e->signal);
}

int wf_idwt_level(wf_backend *b, const wf_wavelet *w, const wf_extent *e, const wf_real *low, const wf_real *detail,
                  wf_real *x, wf_real *scratch)
{
    switch (e->signal) {
    case WF_SOUND:
        return b->idwt_axis(b, w->taps, w->count, (size_t)e->N, e->W, (size_t)e->C, M_SQRT1_2, 1, low, detail, x);
    case WF_PICTURE:
        return b->idwt(b, w->taps, w->count, e->N, e->H, e->W, e->C, low, detail, x);
    case WF_VOLUME:
        return idwt_volume(b, w, e, low, detail, x, scratch);
    }
    return wf_fail(WF_INTERNAL, "dwt: unknown signal %d", (int)e->signal);
}
