/* join.h - private to lib/store: joins all shards of a run into the run */
#ifndef WF_JOIN_H
#define WF_JOIN_H

#include <stdio.h>

#include "store.h"

typedef struct wf_records_input {
    const char *name;
    FILE *file; /* of `reader`; standard input is borrowed */
    wf_reader *reader;
    wf_store *store; /* or */
} wf_records_input;

const wf_meta *wf_records_input_meta(const wf_records_input *in);

typedef struct wf_join wf_join;

/* Joins `count` inputs, in any order, which are borrowed until destroy. WF_DATA: they are not all shards of one run,
 * each once, or some are streams and others stores. */
int wf_join_create(const wf_records_input *inputs, int count, wf_join **out) WF_MUST;
void wf_join_destroy(wf_join *join); /* NULL is allowed */

/* Metadata of shard 1, borrowed. */
const wf_meta *wf_join_meta(const wf_join *join);

/* Reads the next record of the run, as wf_records_next does. Streams give batches as the run would have written them;
 * stores give their pictures in the order of their indices. WF_DATA: pictures are missing. */
int wf_join_next(wf_join *join, wf_record *record, bool *more) WF_MUST;

#endif
