/* signal.h - the axes of a signal, and its layout in memory
 *
 * Sounds have one axis, pictures two, volumes and films three. One level of the wavelet transform halves each axis. All
 * signals are held as [H,W,C], H rows of W: a sound is one row, and a volume has the rows of all D slices, slice after
 * slice. Code that handles single samples, pixels or rows need not know the signal; code that handles neighbours
 * must. */
#ifndef WF_SIGNAL_H
#define WF_SIGNAL_H

#include <stdint.h>

#include "linkage.h"

WF_BEGIN

typedef enum wf_signal { WF_PICTURE, WF_SOUND, WF_VOLUME } wf_signal;

static inline int wf_axes(wf_signal signal)
{
    return signal == WF_SOUND ? 1 : signal == WF_PICTURE ? 2 : 3;
}

/* B: bands of details per channel. Band b is high-pass along the axes whose bits are set in b + 1; the last axis is
 * bit 0. */
static inline int wf_bands(wf_signal signal)
{
    return (1 << wf_axes(signal)) - 1;
}

/* Rows left of H after a number of halvings. Rows do not count the last axis, which is their width. */
static inline int wf_rows_left(wf_signal signal, int H, int halvings)
{
    return H >> (wf_axes(signal) - 1) * halvings;
}

/* Rows that H become after a number of doublings. */
static inline int wf_rows_grown(wf_signal signal, int H, int doublings)
{
    return H << (wf_axes(signal) - 1) * doublings;
}

/* Gives the sides of H rows of W, in D slices for volumes, first axis first. Returns their number. */
static inline int wf_sides(wf_signal signal, int D, int H, int W, int64_t sides[3])
{
    int n = 0;
    if (signal == WF_VOLUME)
        sides[n++] = D;
    if (signal != WF_SOUND)
        sides[n++] = signal == WF_VOLUME ? H / D : H;
    sides[n++] = W;
    return n;
}

/* Formats the sides as "64x64". The size has room for channels too. */
enum { WF_SIZE_TEXT = 48 };
const char *wf_size_text(wf_signal signal, int D, int H, int W, char text[WF_SIZE_TEXT]);

/* "picture", "sound", "volume" */
extern const char *const wf_signal_names[];

WF_END

#endif
