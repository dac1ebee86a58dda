/* diagnostics.h - convergence diagnostics of Markov chains
 *
 * Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, "Rank-normalization, folding, and localization: an improved
 * R-hat" (Bayesian Analysis 16), as in the R package posterior and in ArviZ. Common limits: R-hat below 1.01,
 * effective sizes above 400, E-BFMI above 0.3. All arrays are host double. */
#ifndef WF_DIAGNOSTICS_H
#define WF_DIAGNOSTICS_H

#include <stddef.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

/* Diagnosis of one scalar quantity. All but mean and deviation are NAN if it never moved or was not finite. */
typedef struct wf_diagnosis {
    double mean, deviation; /* over all draws */
    double rhat;            /* the larger of rank-normalized split R-hat and that of the folded draws */
    double ess_bulk;        /* effective sample size of the normalized ranks */
    double ess_tail;        /* the smaller of the effective sample sizes of the 5% and 95% quantiles */
    double ess_mean;        /* effective sample size of the draws themselves */
    double mcse;            /* Monte Carlo standard error of the mean: deviation / sqrt(ess_mean) */
} wf_diagnosis;

/* Diagnoses draws x [chains,draws] of one quantity, at least 8 a chain. Chains are split in halves, so one chain is
 * enough. With an odd number of draws rhat and the effective sizes leave the middle one out. WF_USAGE: too few draws.
 * WF_AGAIN: out of memory. */
int wf_diagnose(int chains, size_t draws, const double *x, wf_diagnosis *out) WF_MUST;

/* Energy Bayesian fraction of missing information: the smallest over the chains of energy [chains,draws] of sum (E_n
 * - E_{n-1})^2 / sum (E_n - mean)^2; NAN if a chain never moved. Betancourt 2016, "Diagnosing suboptimal cotangent
 * disintegrations". */
double wf_ebfmi(int chains, size_t draws, const double *energy);

WF_END

#endif
