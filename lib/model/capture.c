/* capture.c - once plainly, once recorded, then replayed */
#include "capture.h"

static int record(wf_backend *b, wf_capture *r, int (*work)(void *user), void *user)
{
    WF_TRY(b->record(b));
    int status = work(user);
    wf_recording *recording = NULL;
    int ended = b->recorded(b, &recording); /* even after a failure, or the backend would go on recording */
    if (status)
        b->forget(b, recording);
    else
        r->recording = recording;
    return status ? status : ended;
}

int wf_capture_run(wf_backend *b, wf_capture *r, int (*work)(void *user), void *user)
{
    if (!b->record || !r->prepared) {
        WF_TRY(work(user));
        r->prepared = true;
        return WF_OK;
    }
    if (!r->recording)
        WF_TRY(record(b, r, work, user));
    return b->replay(b, r->recording);
}

void wf_capture_clear(wf_backend *b, wf_capture *r)
{
    if (r->recording)
        b->forget(b, r->recording);
    *r = (wf_capture){0};
}
