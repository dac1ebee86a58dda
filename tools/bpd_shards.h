/* bpd_shards.h - what wf-bpd does with shards: the run that a shard is of, and the sum of the tables of all */
#ifndef WF_BPD_SHARDS_H
#define WF_BPD_SHARDS_H

#include "../lib/model/figures.h"
#include "../lib/model/level.h"
#include "../lib/store/store.h"

/* Hash of what a run's figures depend on: weights, options, and the store (NULL: a stream, which is not hashed). */
uint64_t bpd_run(const wf_model *model, const wf_meta *meta, const wf_store *store);

/* Joins the tables that the operands from `first` on name; - is standard input. Dies of tables that are not all shards
 * of one run, each once. */
void bpd_join(int first, wf_figures *out);

/* Prints figures on stdout: as JSON, or as a table, for people on a terminal. */
void bpd_print(const wf_figures *figures, bool json);

#endif
