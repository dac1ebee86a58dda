/* clock.h - seconds of a clock that nobody sets */
#ifndef WF_CLOCK_H
#define WF_CLOCK_H

#include <time.h>

#include "linkage.h"

WF_BEGIN

/* Seconds since some fixed point in the past; only differences mean anything. */
static inline double wf_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

WF_END

#endif
