/* data_parallel.h - private to lib/train: one training on several ranks
 *
 * Each rank computes a part of every batch and takes the same step, so that all have the same weights. Only rank 0
 * writes files and looks at the clock. In a process that trains alone the calls below do nothing. */
#ifndef WF_DATA_PARALLEL_H
#define WF_DATA_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>

#include "../../kernels/backend.h"
#include "../ranks/ranks.h"

struct wf_trainer;

typedef struct wf_parallel {
    wf_ranks *ranks;       /* borrowed; NULL: this process trains alone */
    int rank, count;       /* 0 and 1 there */
    int first, rows, most; /* this rank's pictures of a batch, and the most of any rank */
    wf_sums *sums;         /* of gradients */
    wf_real *piece;        /* device: a piece of the sum, where the backend does not work in host floats */
    size_t piece_room;
    double *results;      /* [count] of what ranks tell after a step */
    bool poisoned;        /* a density of this step is not finite */
    double begun, waited; /* seconds of training and of waiting at the last line of the log */
} wf_parallel;

/* Begins with ranks, or with none: NULL. */
void wf_parallel_open(struct wf_trainer *t, wf_ranks *ranks);
void wf_parallel_clear(struct wf_trainer *t);

/* Rank 0 locks; the others are locked out with it. */
int wf_parallel_lock(struct wf_trainer *t, const char *path, const char *who, int *lock) WF_MUST;
/* WF_USAGE or WF_DATA unless the options and stores of this rank are those of rank 0. */
int wf_parallel_compare(struct wf_trainer *t) WF_MUST;
/* Settles what the options leave open on rank 0 (wf_settings_settle), for all. */
int wf_parallel_settle(struct wf_trainer *t) WF_MUST;
/* Chooses the precision on rank 0, for all, for batches of low-pass H x W. */
int wf_parallel_choose_precision(struct wf_trainer *t, int H, int W) WF_MUST;
/* Divides the batch among the ranks. WF_USAGE: it has fewer pictures. */
int wf_parallel_divide(struct wf_trainer *t) WF_MUST;
/* Makes ready what a step needs, once the flow is there. */
int wf_parallel_prepare(struct wf_trainer *t) WF_MUST;

/* Copies a vector of the optimizer's size from rank 0. */
int wf_parallel_copy(struct wf_trainer *t, wf_real *vector) WF_MUST;
/* Copies all that a state file holds from rank 0. *found: rank 0 found one. */
int wf_parallel_restore(struct wf_trainer *t, bool *found) WF_MUST;
/* WF_INTERNAL unless all ranks have the same weights, bit by bit. */
int wf_parallel_expect_equal(struct wf_trainer *t) WF_MUST;

/* A backward pass: after begin, wf_parallel_sink takes gradients; finish ends with the step taken on all ranks. */
int wf_parallel_begin(struct wf_trainer *t) WF_MUST;
int wf_parallel_sink(void *trainer, size_t offset, size_t count, const wf_real *grads) WF_MUST; /* a wf_grad_sink */
int wf_parallel_finish(struct wf_trainer *t) WF_MUST;
/* Joins what the ranks know after a step. density: this rank's on entry, those of the whole batch on return. *bad: not
 * 0 on a rank. Takes over the clock of rank 0, and whether any rank was asked to stop. */
int wf_parallel_results(struct wf_trainer *t, double *density, double *bad) WF_MUST;

/* Gathers all [count,bytes] (wf_ranks_gather). */
int wf_parallel_gather(struct wf_trainer *t, void *all, size_t bytes) WF_MUST;
/* Describes the ranks for the log, as further keys of a line: their number, and the share of time since the last such
 * line in which rank 0 waited for others. */
void wf_parallel_note(struct wf_trainer *t, char text[64]);

#endif
