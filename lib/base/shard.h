/* shard.h - every n-th picture of a run, so that n programs share the run
 *
 * Places count the pictures of a run from 0, shards count from 1 (as in split(1) and most test runners). Shard i of n
 * has the pictures at places i-1, i-1+n, i-1+2n, .. */
#ifndef WF_SHARD_H
#define WF_SHARD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct wf_shard {
    int i, n; /* n = 0: not a shard, so all pictures */
} wf_shard;

/* Parses "I/N", I from 1 to N, at most nine digits each. Returns the first byte after it; NULL: it is not one. */
static inline const char *wf_shard_parse(const char *text, wf_shard *out)
{
    static const char digits[] = "0123456789";
    size_t i = strspn(text, digits), n = text[i] == '/' ? strspn(text + i + 1, digits) : 0;
    if (!i || i > 9 || !n || n > 9)
        return NULL;
    wf_shard shard = {(int)strtol(text, NULL, 10), (int)strtol(text + i + 1, NULL, 10)};
    if (shard.i < 1 || shard.i > shard.n)
        return NULL;
    *out = shard;
    return text + i + 1 + n;
}

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
