/* signal.h - what axes a signal has, and how it lies in memory
 *
 * Sounds have one axis, pictures two, volumes and films three, each of which a halving divides by two. All are held as
 * [H,W,C], H rows of W: a sound is one row, a volume of D slices has the rows of all of them, one slice behind the other. So
 * what looks at one number, pixel or row at a time need not ask; who looks at neighbours does. */
#ifndef WF_SIGNAL_H
#define WF_SIGNAL_H

#include <stdint.h>

typedef enum wf_signal { WF_PICTURE, WF_SOUND, WF_VOLUME } wf_signal;

static inline int wf_axes(wf_signal signal)
{
    return signal == WF_SOUND ? 1 : signal == WF_PICTURE ? 2 : 3;
}

/* Bands of details that a halving makes of each channel, B. Band b is high along the axes that are bits of b + 1, the last axis
 * being bit 0. */
static inline int wf_bands(wf_signal signal)
{
    return (1 << wf_axes(signal)) - 1;
}

/* Rows that are left of H after so many halvings: the last axis lies within them. */
static inline int wf_rows_left(wf_signal signal, int H, int halvings)
{
    return H >> (wf_axes(signal) - 1) * halvings;
}

/* The rows of a signal of H after so many doublings. */
static inline int wf_rows_grown(wf_signal signal, int H, int doublings)
{
    return H << (wf_axes(signal) - 1) * doublings;
}

/* The sides of H rows of W in D slices (of volumes), first axis first; how many there are. */
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

/* The same as text, "64x64", and room for it with channels. */
enum { WF_SIZE_TEXT = 48 };
const char *wf_size_text(wf_signal signal, int D, int H, int W, char text[WF_SIZE_TEXT]);

/* "sound", "picture", "volume" */
extern const char *const wf_signal_names[];

#endif
