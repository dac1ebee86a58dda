/* capture.h - repeats the same work on a backend, recorded where a recording is cheaper than the calls */
#ifndef WF_CAPTURE_H
#define WF_CAPTURE_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"

WF_BEGIN

/* Zero-initialize. */
typedef struct wf_capture {
    wf_recording *recording; /* NULL: not made yet */
    bool prepared;           /* the work has run once, unrecorded */
} wf_capture;

/* Runs `work`: plainly at first, then from a recording if the backend has them. `work` must make the same calls with
 * the same arguments each time, none of which waits. The host memory that calls read may change (backend.h, record). */
int wf_capture_run(wf_backend *backend, wf_capture *capture, int (*work)(void *user), void *user) WF_MUST;
void wf_capture_clear(wf_backend *backend, wf_capture *capture);

WF_END

#endif
