/* shard.h - every n-th picture of a run, so that n programs share the run
 *
 * Places count the pictures of a run from 0, shards count from 1 (as in split(1) and most test runners). Shard i of n
 * has the pictures at places i-1, i-1+n, i-1+2n, .. */
#ifndef WF_SHARD_H
#define WF_SHARD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct wf_shard {
    int i, n; /* n = 0: not a shard, so all pictures */
} wf_shard;

/* First place at or after `place` that the shard has. */
static inline int64_t wf_shard_place(wf_shard shard, int64_t place)
{
    int64_t n = shard.n > 1 ? shard.n : 1, i = shard.n > 1 ? shard.i - 1 : 0;
    return place + ((i - place) % n + n) % n;
}

/* Pictures of the shard among the places first .. end-1. */
static inline int64_t wf_shard_count(wf_shard shard, int64_t first, int64_t end)
{
    int64_t n = shard.n > 1 ? shard.n : 1, at = wf_shard_place(shard, first);
    return at < end ? (end - 1 - at) / n + 1 : 0;
}

#endif
