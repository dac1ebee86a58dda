/* figures.h - mean bits per dimension of many pictures, with standard errors: as a table, as JSON, joined from shards
 *
 * Tables of shards have more columns than others, and all digits, so that the figures of a run follow from them. Where
 * a level is exact, a last column `kind` says of each figure whether it is exact or a bound. The total is an estimate
 * if a flow is finer than an exact level. */
#ifndef WF_FIGURES_H
#define WF_FIGURES_H

#include <stdio.h>

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

/* Running mean and standard error of the mean. */
typedef struct wf_mean {
    int64_t n;
    double mean, m2; /* Welford 1962 */
} wf_mean;
void wf_mean_add(wf_mean *m, double value);
void wf_mean_merge(wf_mean *m, const wf_mean *more); /* Chan, Golub and LeVeque 1979 */
double wf_mean_error(const wf_mean *m);              /* NAN, not known, for fewer than two values */

typedef struct wf_figures {
    int64_t pictures;
    wf_mean level[WF_MAX_LEVELS + 1]; /* n = 0: no such figure; likewise below */
    char size[WF_MAX_LEVELS + 1][WF_SIZE_TEXT];
    bool exact[WF_MAX_LEVELS + 1]; /* the level has probabilities of whole numbers; else a bound by noise */
    wf_mean total, weighted;
    int64_t samples; /* K of the weighted figure */
    bool nats;       /* of fields: nats/dim in place of bits/dim */
    wf_shard shard;  /* of the pictures of a run; n = 0: all */
    uint64_t run;    /* hash that the shards of a run have in common */
} wf_figures;

/* Writes a table: `aligned` in columns for people, else separated by tabs, with more digits. */
void wf_figures_write_table(const wf_figures *figures, FILE *file, bool aligned);
/* Writes one JSON object in one line. */
void wf_figures_write_json(const wf_figures *figures, FILE *file);

/* Reads the table of a shard, separated by tabs. `name` is for messages. WF_DATA: it is not one. */
int wf_figures_read(FILE *file, const char *name, wf_figures *out) WF_MUST;
/* Joins shards [count], in any order, which are named [count] in messages. The figures are those of all pictures
 * together. WF_DATA: they are not all shards of one run, each once. */
int wf_figures_join(const wf_figures *shards, const char *const *names, int count, wf_figures *out) WF_MUST;

WF_END

#endif
