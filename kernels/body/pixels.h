/* pixels.h - the pixels that wf_pixels (backend.h) means */
#ifndef WF_BODY_PIXELS_H
#define WF_BODY_PIXELS_H

#include "../backend.h"
#include "body.h"

/* True if `pixels` are those of pixel `place` of a picture of width W. */
WF_BODY bool wf_pixels_have(wf_pixels pixels, int W, size_t place)
{
    size_t odd = (place / (size_t)W + place % (size_t)W) % 2;
    return pixels == WF_EVERY_PIXEL || odd == (pixels == WF_ODD_PIXELS);
}

#endif
