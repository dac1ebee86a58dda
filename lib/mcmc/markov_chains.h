/* markov_chains.h - a batch of NUTS chains on annealed levels: run together, saved, resumed, handed out in order, diagnosed */
#ifndef WF_MARKOV_CHAINS_H
#define WF_MARKOV_CHAINS_H

#include <signal.h>
#include <stdio.h>

#include "../base/linkage.h"
#include "../store/stream.h"
#include "anneal.h"
#include "nuts.h"

WF_BEGIN

typedef struct wf_markov_chains_options {
    wf_nuts_options nuts;              /* adapt is the number of adaptation draws, which are thrown away */
    int64_t draws;                     /* of each chain after those, at least 1 */
    int64_t thin;                      /* hand out every thin-th draw, counted back from the last; 0: the last alone */
    int level;                         /* of the records that are handed out */
    int group;                         /* so many neighbours share one low-pass picture, and are diagnosed together */
    const char *state;                 /* file that the chains are saved in and resumed from; NULL: none */
    uint64_t run;                      /* names model, temperatures and input: a state of another run is refused */
    double save_every;                 /* seconds */
    const volatile sig_atomic_t *stop; /* once nonzero: save and return WF_AGAIN; NULL: never */
} wf_markov_chains_options;

/* Draws that each chain hands out. */
int64_t wf_markov_chains_kept(const wf_markov_chains_options *options);

/* Bytes that a chain needs for its diagnostics, beside its position's. */
size_t wf_markov_chains_trace(const wf_markov_chains_options *options);

/* How the chains went; sums and extremes over everything that was merged into it. */
typedef struct wf_markov_chains_report {
    int64_t chains, draws; /* draws: of all chains, after adaptation */
    int64_t divergences;
    double acceptance, depth;   /* mean over the draws */
    double step_low, step_high; /* range of the step sizes that adaptation ended with */
    double rhat, ess_bulk,
        ess_tail; /* worst of the log density and of some coordinates; NAN: fewer than 8 draws a chain */
    double ebfmi; /* worst */
    double seconds;
    uint64_t gradients, computed; /* evaluations; rows that the device computed for them, padding included */
} wf_markov_chains_report;

/* Adds what `more` says to `total`, which begins as all zero. */
void wf_markov_chains_merge(wf_markov_chains_report *total, const wf_markov_chains_report *more);

/* No divergence, and R-hat, both effective sizes and E-BFMI within limits (WF_MARKOV_CHAINS_EBFMI: E-BFMI). */
#define WF_MARKOV_CHAINS_EBFMI 0.3
bool wf_markov_chains_trusted(const wf_markov_chains_report *report, double max_rhat, double min_ess);

/* The report as a row of a table for people, below WF_MARKOV_CHAINS_HEAD; waste: the part of what was computed that filled batches up. */
#define WF_MARKOV_CHAINS_HEAD \
    "level  chains  draws  accept        step size depth  div   R-hat ESS bulk ESS tail  E-BFMI  gradients/s waste"
enum { WF_MARKOV_CHAINS_ROW = 256 };
void wf_markov_chains_row(int first, int last, const wf_markov_chains_report *report, char out[WF_MARKOV_CHAINS_ROW]);

/* One line: a JSON object with everything in the report and the levels it is about; NAN and infinity are null. */
int wf_markov_chains_write_json(FILE *file, const char *name, int first, int last,
                                const wf_markov_chains_report *report) WF_MUST;

/* Runs chains 0 .. n-1, named id[0..n) (below 2^56), whose low-pass pictures the anneal already has. The sink takes the k-th
 * kept draw of all n chains as one record, as soon as every chain has made it, in the order of k; its index is id * kept + k.
 * After an interruption the records that were handed out before come again.
 * WF_AGAIN: stopped after saving. WF_DATA: the state is of another run, or an index does not fit 64 bits. */
int wf_markov_chains_run(wf_anneal *a, const wf_markov_chains_options *options, int n, const uint64_t *id,
                         wf_record_sink *sink, void *user, wf_markov_chains_report *report) WF_MUST;

WF_END

#endif
