/* private.h - private to lib/ranks: a rank's state, and waiting for others */
#ifndef WF_RANKS_PRIVATE_H
#define WF_RANKS_PRIVATE_H

#include <stdint.h>

#include "ranks.h"
#include "transport.h"

/* One other rank. */
typedef struct wf_peer {
    int handle;   /* pidfd of its process, if that is on this machine; -1: not watched */
    bool ended;   /* its word has come: */
    int status;   /* its own failure, or WF_OK */
    bool waiting; /* it has left a call that had begun */
} wf_peer;

struct wf_ranks {
    wf_transport *transport;
    wf_peer *peers; /* [count] */
    int failure;    /* this rank's own, in the last vote or sum */
    bool broken;    /* another rank has failed or is gone */
    bool waiting;   /* a call has begun and is not complete */
    bool torn;      /* a rank is gone without a word, or has left a call: MPI can only be aborted */
    int status;     /* that all end with */
    double waited;
    void **kept; /* memory of calls that failed, which the transport may still use; freed after it */
    int kept_count;
};

/* Connects ranks over a transport, which is closed with them. *out: as for wf_ranks_open. */
int wf_ranks_join(wf_transport *transport, const char *who, wf_ranks **out) WF_MUST;
/* Waits until a collective call is complete. */
int wf_ranks_wait(wf_ranks *r, wf_pending **pending) WF_MUST;

/* A wait for something else: begin, then `more` as long as it has not come, which fails once another rank is gone, and
 * end with the status that it had, which is returned. */
typedef struct wf_wait {
    double began, looked; /* when the wait began, and dead ranks were looked for */
    double ended;         /* when it was known that another rank has ended; 0: it is not */
} wf_wait;
wf_wait wf_wait_begin(wf_ranks *r);
int wf_wait_more(wf_ranks *r, wf_wait *w) WF_MUST;
int wf_wait_end(wf_ranks *r, const wf_wait *w, int status) WF_MUST;
/* Frees memory of a call, or keeps it as long as the transport may use it. */
void wf_ranks_free(wf_ranks *r, void *memory);
/* Loads the plugin and opens its transport. */
int wf_transport_open(wf_transport **out) WF_MUST;

#endif
