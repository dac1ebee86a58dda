/* ranks.h - several processes, called ranks as in MPI, that train one level together
 *
 * Every call that exchanges something is made by all ranks in the same order. A rank that waits for the others returns
 * WF_AGAIN within a second or two when one of them has failed (wf_ranks_agree) or, on this machine, has died: it never
 * waits for a rank that does not come. */
#ifndef WF_RANKS_H
#define WF_RANKS_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

typedef struct wf_ranks wf_ranks;

/* Ranks that a launcher (mpirun, mpiexec, srun) started, as its environment variables say; 1 without a launcher.
 * *rank: the number of this one, from 0. */
int wf_ranks_launched(int *rank);

/* Connects all ranks. `who` names program, version and kind of work: ranks of different programs do not work together.
 * WF_UNAVAILABLE: the plugin libwf-mpi.so is not there or does not load, or it is of another MPI than the launcher.
 * WF_USAGE: the ranks run different programs. WF_AGAIN: another rank has failed. Unless *out is NULL, the caller ends
 * with wf_ranks_agree and wf_ranks_close after a failure too. */
int wf_ranks_open(const char *who, wf_ranks **out) WF_MUST;

int wf_ranks_count(const wf_ranks *r);
int wf_ranks_rank(const wf_ranks *r);         /* of this process, from 0 */
const char *wf_ranks_name(const wf_ranks *r); /* "Open MPI 4.1.4" */
double wf_ranks_waited(const wf_ranks *r);    /* seconds in which this rank waited for others, since it was opened */

/* Copies data from rank 0 to all. */
int wf_ranks_broadcast(wf_ranks *r, void *data, size_t bytes) WF_MUST;
/* Gathers all [count,bytes]: piece i becomes that of rank i. This rank's piece is there already. */
int wf_ranks_gather(wf_ranks *r, void *all, size_t bytes) WF_MUST;
/* Returns when all ranks have come here. */
int wf_ranks_meet(wf_ranks *r) WF_MUST;

/* Fails on all ranks, all at this place, if one has a failure: with its status there, else with WF_AGAIN. */
int wf_ranks_vote(wf_ranks *r, int status) WF_MUST;

/* Agrees with the other ranks on the status that all end with. status: this rank's failure, WF_OK if it has none.
 * Returns the failure of the lowest rank that has one. *speaks: this rank's own message is the one to print. A rank
 * with a failure calls this at any time, which makes the calls of all others fail. Without a failure all ranks call
 * it. wf_ranks_close follows. r may be NULL, for one process. */
int wf_ranks_agree(wf_ranks *r, int status, bool *speaks);

/* Leaves the others. After wf_ranks_agree has returned a failure the process may end here: where a rank is gone, its
 * launcher is told the status and ends all. */
void wf_ranks_close(wf_ranks *r);

/* -- sums ----------------------------------------------------------------------------------------------------------
 * The sum over ranks of a vector that comes in pieces, such as gradients during a backward pass. Pieces are joined to
 * buckets, and each bucket is on its way while later pieces are computed. Each element is the sum in the order of the
 * ranks, in double precision, rounded once: the same bits on all ranks, from run to run, and with any MPI. A rank sends
 * and receives 2 (R - 1) / R times the vector. */
typedef struct wf_sums wf_sums;

/* Takes a piece of the sum: `count` elements from `offset` on. */
typedef int wf_sums_sink(void *user, size_t offset, size_t count, const void *sum);

/* real: bytes of an element, a float or a double. bucket: bytes after which a bucket goes, 0: WF_BUCKET. */
enum { WF_BUCKET = 1 << 20 };
int wf_sums_create(wf_ranks *r, size_t real, size_t bucket, wf_sums_sink *sink, void *user, wf_sums **out) WF_MUST;
void wf_sums_destroy(wf_sums *s); /* NULL: nothing */

/* Room for the next piece, which the caller fills in; then wf_sums_add. All ranks have the same pieces in one order. */
int wf_sums_room(wf_sums *s, size_t offset, size_t count, void **out) WF_MUST;
/* Sends what is full, and gives to the sink what has come, without waiting. */
int wf_sums_add(wf_sums *s) WF_MUST;
/* Waits until all pieces were summed and given to the sink. */
int wf_sums_finish(wf_sums *s) WF_MUST;

WF_END

#endif
