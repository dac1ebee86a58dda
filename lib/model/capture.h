/* capture.h - the same work for a backend again and again, recorded where that makes it cheaper */
#ifndef WF_CAPTURE_H
#define WF_CAPTURE_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"

WF_BEGIN

/* Zero-initialize. */
typedef struct wf_capture {
    wf_recording *recording; /* NULL: not yet */
    bool prepared;           /* the work has run once, unrecorded */
} wf_capture;

/* Makes the backend do `work`, which each time must make the same calls with the same arguments, and none that waits
 * (wf_backend.record says what may change: the host memory that the calls read). */
int wf_capture_run(wf_backend *backend, wf_capture *replay, int (*work)(void *user), void *user) WF_MUST;
void wf_capture_clear(wf_backend *backend, wf_capture *replay);

WF_END

#endif
