/* transport.h - private to lib/ranks: how bytes go from rank to rank; what libwf-mpi.so implements
 *
 * Collective calls of one kind begin in the same order on all ranks; calls of different kinds need no order among them.
 * They make progress in `test`. Buffers stay as they are until `test` says that the call is done. Failures are
 * WF_AGAIN: a rank or the network is gone. */
#ifndef WF_TRANSPORT_H
#define WF_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/status.h"

WF_BEGIN

typedef struct wf_pending wf_pending; /* a collective call that has begun */

typedef struct wf_transport wf_transport;
struct wf_transport {
    int rank, count;
    char name[96]; /* "Open MPI 4.1.4" */

    /* Sends piece i of send, `bytes` long, to rank i, and puts that of rank i at piece i of receive: [count,bytes]. */
    int (*exchange)(wf_transport *t, const void *send, void *receive, size_t bytes, wf_pending **out) WF_MUST;
    /* Puts piece i, from rank i, at piece i of all, [count,bytes]. This rank's piece is there already. */
    int (*collect)(wf_transport *t, void *all, size_t bytes, wf_pending **out) WF_MUST;
    /* Collects few bytes that are waited for at once, so that they need not wait behind large pieces. */
    int (*agree)(wf_transport *t, void *all, size_t bytes, wf_pending **out) WF_MUST;
    /* Copies `bytes`, at most WF_TRANSPORT_MOST, from rank 0 to the others. */
    int (*broadcast)(wf_transport *t, void *data, size_t bytes, wf_pending **out) WF_MUST;
    /* *done: the call is complete, and *pending was freed and is NULL. */
    int (*test)(wf_transport *t, wf_pending **pending, bool *done) WF_MUST;

    /* Sends a word to another rank without waiting; a rank that is gone is no failure. */
    void (*tell)(wf_transport *t, int to, int word);
    /* Takes the next word that has come, or returns false. */
    bool (*hear)(wf_transport *t, int *from, int *word);

    /* whole: all ranks close, and no call is pending. Else the launcher ends all that are left, and exits with
     * `status`. */
    void (*close)(wf_transport *t, bool whole, int status);
};

enum { WF_TRANSPORT_MOST = 1 << 30 };

/* The symbol wf_mpi_open of the plugin, and its form. */
typedef int wf_transport_opener(wf_transport **out);

WF_END

#endif
