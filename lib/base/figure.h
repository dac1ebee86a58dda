/* figure.h - a measured number as text; one that is not known, or not finite, is "-" for people and null in JSON */
#ifndef WF_FIGURE_H
#define WF_FIGURE_H

#include <math.h>
#include <stdio.h>

#include "number.h"

enum { WF_FIGURE = 32 };

/* Writes value in `format`, which takes one double, or with nine digits if that is too long, or `unknown` if value
 * is not finite. Returns `out`. */
static inline const char *wf_figure(double value, const char *format, const char *unknown, char out[WF_FIGURE])
{
    if (isfinite(value) && wf_snprintf(out, WF_FIGURE, format, value) >= WF_FIGURE)
        wf_snprintf(out, WF_FIGURE, "%.9g", value);
    else if (!isfinite(value))
        snprintf(out, WF_FIGURE, "%s", unknown);
    return out;
}

#endif
