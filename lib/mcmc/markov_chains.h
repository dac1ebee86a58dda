/* markov_chains.h - runs a batch of NUTS chains on annealed levels: saves, resumes and diagnoses them, hands out
 * draws in order */
#ifndef WF_MARKOV_CHAINS_H
#define WF_MARKOV_CHAINS_H

#include <signal.h>
#include <stdio.h>

#include "../base/linkage.h"
#include "../base/watch.h"
#include "../store/stream.h"
#include "anneal.h"
#include "nuts.h"

WF_BEGIN

typedef struct wf_markov_chains_options {
    wf_nuts_options nuts;              /* nuts.adapt: adaptation draws, discarded */
    int64_t draws;                     /* of each chain after adaptation, at least 1 */
    int64_t thin;                      /* keep every thin-th draw, counted back from the last; 0: only the last */
    int level;                         /* `level` of the records */
    int group;                         /* neighbours that share one low-pass picture and are diagnosed together */
    const double *variance;            /* [D] scales of the coordinates, as wf_nuts_scale takes them; NULL: 1 */
    bool probe;                        /* scale by wf_anneal_probe after a fifth of the adaptation and after half */
    const char *state;                 /* file of the chains' state, saved and resumed; NULL: none */
    uint64_t run;                      /* hash of model, temperatures and input; a state of another run is refused */
    const char *settings;              /* these in lines NAME=VALUE, saved to name what differs; NULL: none */
    double save_every;                 /* seconds */
    FILE *stats;                       /* receives a line for each draw after adaptation; NULL: none */
    int stats_level;                   /* level of the model that these lines and `watch` name */
    wf_watch watch;                    /* of draws, adaptation included; those of a saved state come first */
    const volatile sig_atomic_t *stop; /* nonzero: save and return WF_AGAIN; may be NULL */
} wf_markov_chains_options;

/* Columns of the lines of statistics. The first seven are those of CmdStan, and mean the same. Then come the level, the
 * chain, the draw from 0, and coordinates of the position: number i of them is element i D / 8 of D. */
enum { WF_MARKOV_CHAINS_COORDINATES = 8 };
#define WF_MARKOV_CHAINS_STATS_HEAD                                                                     \
    "lp__,accept_stat__,stepsize__,treedepth__,n_leapfrog__,divergent__,energy__,level,chain,draw,x.1," \
    "x.2,x.3,x.4,x.5,x.6,x.7,x.8"

/* Kept draws of each chain. */
int64_t wf_markov_chains_kept(const wf_markov_chains_options *options);

/* Chains of D numbers, with their kept draws and traces, that fit into 1 GiB; at most 256, perhaps 0. */
int wf_markov_chains_fit(size_t D, const wf_markov_chains_options *options);

/* Report on chains: sums and extremes over all runs merged into it. */
typedef struct wf_markov_chains_report {
    int64_t chains, draws; /* draws: of all chains, after adaptation */
    int64_t divergences;
    double acceptance, depth;   /* mean over the draws */
    double step_low, step_high; /* range of the step sizes after adaptation */
    /* worst of the log density and of 8 coordinates; NAN: fewer than 8 draws a chain */
    double rhat, ess_bulk, ess_tail;
    double ebfmi; /* worst */
    double seconds;
    uint64_t gradients, computed; /* evaluations; rows computed for them, padding included */
} wf_markov_chains_report;

/* Merges `more` into `total`. Zero-initialize total. */
void wf_markov_chains_merge(wf_markov_chains_report *total, const wf_markov_chains_report *more);

/* True if there is no divergence, and R-hat, both effective sizes and E-BFMI (WF_MARKOV_CHAINS_EBFMI) are within
 * limits. */
#define WF_MARKOV_CHAINS_EBFMI 0.3
bool wf_markov_chains_trusted(const wf_markov_chains_report *report, double max_rhat, double min_ess);

/* Formats the report as a row of a table below WF_MARKOV_CHAINS_HEAD. waste: share of padding among the computed
 * rows. */
#define WF_MARKOV_CHAINS_HEAD \
    "level  chains  draws  accept        step size depth  div   R-hat ESS bulk ESS tail  E-BFMI  gradients/s waste"
enum { WF_MARKOV_CHAINS_ROW = 256 };
void wf_markov_chains_row(int first, int last, const wf_markov_chains_report *report, char out[WF_MARKOV_CHAINS_ROW]);

/* Writes the report and its levels as one line, a JSON object. NAN and infinity become null. */
int wf_markov_chains_write_json(FILE *file, const char *name, int first, int last,
                                const wf_markov_chains_report *report) WF_MUST;

/* Runs chains 0 .. n-1, named id [n] (below 2^56), after wf_anneal_condition. The sink receives the k-th kept draw of
 * all n chains as one record, as soon as every chain has made it, in the order of k; the index is id * kept + k. A
 * resumed run hands out the earlier records again. WF_AGAIN: stopped after saving. WF_DATA: the state is of another
 * run, or an index does not fit 64 bits. */
int wf_markov_chains_run(wf_anneal *a, const wf_markov_chains_options *options, int n, const uint64_t *id,
                         wf_record_sink *sink, void *user, wf_markov_chains_report *report) WF_MUST;

WF_END

#endif
