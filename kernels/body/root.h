/* root.h - roots of increasing functions: Newton's method inside a shrinking bracket */
#ifndef WF_BODY_ROOT_H
#define WF_BODY_ROOT_H

#include "elementary.h"

typedef struct wf_root {
    float low, high, at; /* low <= root <= high */
    int steps;
} wf_root;

WF_BODY wf_root wf_root_between(float low, float high)
{
    wf_root r = {low, high, low + 0.5f * (high - low), 0};
    return r;
}

/* Moves `at`, given the function's excess `over` and its derivative there. Takes Newton's step; bisects if that step
 * leaves the bracket, and every eighth time. Returns 0 when the last step was at most 5e-7 (1 + |at|), or after 128
 * steps. */
WF_BODY int wf_root_step(wf_root *r, float over, float derivative)
{
    float old = r->at, next = old - over / derivative;
    if (over > 0)
        r->high = old;
    else
        r->low = old;
    if (!(next >= r->low && next <= r->high) || r->steps % 8 == 7)
        next = r->low + 0.5f * (r->high - r->low);
    r->at = next;
    return fabsf(next - old) > 5e-7f * (1.0f + fabsf(next)) && ++r->steps < 128;
}

#endif
