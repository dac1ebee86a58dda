/* edits.h - what a command does to every picture, and what all pictures have in common with the first */
#ifndef WF_EDITS_H
#define WF_EDITS_H

#include "image.h"

WF_BEGIN

/* Edits in the order in which they are made. Sizes are {H, W}; 0: not asked for. All but `bits` are for pictures. */
typedef struct wf_edits {
    int crop[2], fit[2], resize[2], random_crop[2];
    uint64_t seed; /* of random crops */
    int channels;  /* 0: those of the first picture, without alpha that is opaque everywhere */
    int bits;      /* 0: those of the first picture */
} wf_edits;

/* Changes made to pictures so that they agree with the first. */
typedef struct wf_edited {
    int64_t greys;  /* pictures that became RGB by repeating their grey */
    int64_t opaque; /* pictures whose alpha was opaque everywhere and was dropped */
} wf_edited;

/* Edits a picture. `first` has the shape, depth and rate of the first edited picture; NULL: this is the first. Without
 * edits->channels, grey becomes RGB where the first picture is RGB. Adds to *edited. WF_DATA: the picture cannot be
 * edited so, or the result differs from the first in kind, size, channels, depth or rate; the message says how to make
 * them agree. WF_USAGE: edits for pictures on something else. */
int wf_image_edit(wf_image *image, const char *name, const wf_edits *edits, const wf_meta *first,
                  wf_edited *edited) WF_MUST;

WF_END

#endif
