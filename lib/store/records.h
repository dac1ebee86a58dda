/* records.h - the records of streams and stores alike, of one input or of several: one after the other, or all shards
 * of a run joined */
#ifndef WF_RECORDS_H
#define WF_RECORDS_H

#include "../base/linkage.h"
#include "store.h"

WF_BEGIN

typedef struct wf_records wf_records;

/* Opens inputs: "-" is a stream on `standard_input`, a folder is a store, any other path a file with a stream. Paths
 * are borrowed until close. latents: streams of latents are accepted too. WF_DATA: the metadata or levels of two
 * inputs differ, other than in their provenances, which are joined; the message has both values. WF_NOINPUT:
 * missing.
 *
 * Shards are inputs that say so (wf_meta). Several inputs of which one is a shard must be all shards of one run, in any
 * order; else WF_DATA. Their records and metadata are those of the run. */
int wf_records_open(char *const *paths, int count, FILE *standard_input, bool latents, wf_records **out) WF_MUST;
void wf_records_close(wf_records *records); /* NULL is allowed */

const wf_meta *wf_records_meta(const wf_records *records); /* valid until close */
const char *wf_records_name(const wf_records *records);    /* of the first input, for messages */
int64_t wf_records_count(const wf_records *records);       /* pictures; -1: there is a stream, which does not say */
wf_store *wf_records_store(const wf_records *records);     /* the only input, borrowed; NULL: a stream, or several */

/* Gives only the pictures first <= at < end of the only input, a store; with `shuffle` in an order that follows from
 * the seed, and numbered from 0 on. To be called before the first next. */
void wf_records_choose(wf_records *records, int64_t first, int64_t end, bool shuffle, uint64_t seed);

/* Gives only the pictures of a shard, whose records have `batch` and `each`. A store is read at these pictures only. To
 * be called before the first next. WF_USAGE: the input is a shard already. */
int wf_records_shard(wf_records *records, wf_shard shard) WF_MUST;
/* True if all shards of a run were joined. */
bool wf_records_joined(const wf_records *records);

/* Reads the next record, lowest level of a batch first; *more = false at the end. The record is valid until the next
 * call. Pictures of several inputs, not shards, are numbered from 0 on, in their order. WF_DATA: see wf_reader_next and
 * wf_store_get. */
int wf_records_next(wf_records *records, wf_record *record, bool *more) WF_MUST;

WF_END

#endif
