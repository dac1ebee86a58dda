/* nuts.h - the No-U-Turn sampler: many chains in one batch, on a callback for a log density and its gradient
 *
 * Hamiltonian trajectories that double until they turn back, a draw taken from each by multinomial sampling:
 *     Hoffman & Gelman 2014, "The No-U-Turn Sampler" (JMLR 15)           doubling, dual averaging, first step size
 *     Betancourt 2017, "A conceptual introduction to HMC", appendix A    multinomial sampling, generalized criterion
 *     Stan 2.21 and later, base_nuts.hpp                                 the criterion across neighbouring subtrees
 *     Phan, Pradhan, Jankowiak 2019, "Composable effects" (NumPyro)      the tree without recursion, O(depth) memory
 *
 * Each chain has a trajectory of its own and begins its next iteration without waiting for others, so a batch holds
 * every chain that is not done. Draws depend on (seed, id of the chain, iteration) and the chain's own density alone.
 * They do not depend on other chains, their number or interruptions, provided that a row of the callback does not
 * depend on other rows.
 *
 * Letters: D dimensions of a position. Positions, momenta and gradients are host double [D]; densities are in nats. */
#ifndef WF_NUTS_H
#define WF_NUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

/* Computes log densities, up to a constant, logp [n] and gradients [n,D] at positions x [n,D]. Row i belongs
 * to chain[i]; chains ascend and each comes at most once. Outside the support logp is -INFINITY or NAN, and gradients
 * are free. A nonzero return ends wf_nuts_run, which returns it. */
typedef int wf_nuts_density(void *user, int n, const int *chain, const double *x, double *logp, double *gradient);

typedef struct wf_nuts_options {
    uint64_t seed;
    uint64_t adapt;     /* iterations of adaptation, each chain's first; discard their draws */
    double step;        /* first step size; 0: found by the heuristic of Hoffman & Gelman, algorithm 4 */
    double target;      /* mean acceptance that the step size is adapted to, in (0,1) */
    double divergence;  /* energy error in nats above which a trajectory has diverged */
    int max_depth;      /* doublings of a trajectory, 1 .. WF_NUTS_DEPTHS: at most 2^max_depth - 1 gradients a draw */
    bool diagonal_mass; /* adapt a diagonal mass matrix, if adapt >= 20; else it stays the identity */
} wf_nuts_options;

enum { WF_NUTS_DEPTHS = 20 };

/* seed 0, no adaptation, step size by the heuristic, target 0.8, divergence 1000, max_depth 10, unit mass. */
extern const wf_nuts_options wf_nuts_defaults;

/* State of a chain between iterations. */
typedef struct wf_nuts_chain {
    uint64_t id;         /* below 2^56, names the chain's random numbers; at first its number in the batch */
    uint64_t iteration;  /* iterations so far, adaptation included */
    uint64_t started;    /* 1: log_density and gradient at x are known */
    uint64_t seek_step;  /* 1: the step size heuristic is due */
    uint64_t step_count; /* draws since dual averaging was restarted */
    uint64_t mass_count; /* draws in `mean` and `square` */
    double log_density;
    double step;           /* in use */
    double step_pull;      /* dual averaging: mu, target of the log step */
    double step_error;     /* dual averaging: H-bar */
    double log_step_mean;  /* dual averaging: log of the averaged step */
    double *x;             /* [D] position */
    double *gradient;      /* [D] */
    double *variance;      /* [D] diagonal of the inverse mass matrix */
    double *mean, *square; /* [D] of this window's draws: mean, sum of squared deviations */
} wf_nuts_chain;

/* Statistics of one draw. */
typedef struct wf_nuts_draw {
    uint64_t iteration; /* from 0 */
    bool adapting;      /* one of the first `adapt` */
    bool divergent;
    int depth;         /* doublings begun */
    int joined;        /* doublings that became part of the trajectory, the tree depth of Stan */
    int leapfrogs;     /* gradients of this draw */
    double acceptance; /* mean over the trajectory of min(1, exp(-energy error)) */
    double step;
    double energy; /* Hamiltonian at the draw, nats */
    double log_density;
} wf_nuts_draw;

/* Takes one draw x [D], valid during the call. The chain's state (wf_nuts_state) is already the one after the draw. A
 * nonzero return ends wf_nuts_run, which returns it; the next run continues after this draw. */
typedef int wf_nuts_sink(void *user, int chain, const double *x, const wf_nuts_draw *draw);

/* Work so far. A device that computes whole batches computes calls * chains rows for `evaluations` needed ones; the
 * rest is wasted on chains that are done. */
typedef struct wf_nuts_cost {
    uint64_t calls, evaluations; /* of the callback; rows of them */
} wf_nuts_cost;

typedef struct wf_nuts wf_nuts;

/* Creates a sampler of `chains` chains at position 0; wf_nuts_place moves them. `density` and `user`
 * are borrowed until destroyed. WF_USAGE: options out of range. WF_AGAIN: out of memory, about (20 + 3 max_depth) * D
 * doubles a chain. */
int wf_nuts_create(int chains, size_t D, const wf_nuts_options *options, wf_nuts_density *density, void *user,
                   wf_nuts **out) WF_MUST;
void wf_nuts_destroy(wf_nuts *s); /* NULL is allowed */

/* Places a chain at x [D] (copied), before its first iteration, and names its random numbers: id below 2^56. */
void wf_nuts_place(wf_nuts *s, int chain, uint64_t id, const double *x);

/* Sets the diagonal of a chain's inverse mass matrix, variance [D] (copied, positive), between runs. The step size is
 * found anew, as at first. */
void wf_nuts_scale(wf_nuts *s, int chain, const double *variance);

/* State of a chain, borrowed until the sampler is destroyed. */
const wf_nuts_chain *wf_nuts_state(const wf_nuts *s, int chain);

/* A chain's state as 64-bit words [wf_nuts_words]. A chain restored from them into a sampler with the same options
 * continues bitwise as if it had not been interrupted. wf_nuts_save: between runs, or for the chain whose draw a sink
 * takes. The first word is the chain's id, the second its iteration; doubles are as in memory. */
size_t wf_nuts_words(const wf_nuts *s);
void wf_nuts_save(const wf_nuts *s, int chain, uint64_t *words);
void wf_nuts_restore(wf_nuts *s, int chain, const uint64_t *words); /* between runs only */

wf_nuts_cost wf_nuts_spent(const wf_nuts *s);

/* Runs until every chain has made `iterations` iterations in all, adaptation included. sink may be NULL. After a
 * failure the next run repeats the unfinished trajectories, with the same results. WF_INTERNAL: a chain starts where
 * the density or its gradient is not finite, or no step size is small enough. */
int wf_nuts_run(wf_nuts *s, uint64_t iterations, wf_nuts_sink *sink, void *user) WF_MUST;

WF_END

#endif
