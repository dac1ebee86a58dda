/* capture.c - runs work plainly once, records it the second time, then replays the recording */
#include "capture.h"

static int record_work(wf_backend *b, wf_capture *r, int (*work)(void *user), void *user)
{
    WF_TRY(b->record(b));
    int status = work(user);
    wf_recording *recording = NULL;
    int ended = b->recorded(b, &recording); /* after a failure too: it ends the recording */
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
        WF_TRY(record_work(b, r, work, user));
    return b->replay(b, r->recording);
}

void wf_capture_clear(wf_backend *b, wf_capture *r)
{
    if (r->recording)
        b->forget(b, r->recording);
    *r = (wf_capture){0};
}
