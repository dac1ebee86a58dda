/* diagnostics.h - whether Markov chains can be trusted
 *
 * Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, "Rank-normalization, folding, and localization: an improved
 * R-hat" (Bayesian Analysis 16), as in the R package posterior and in ArviZ. Common limits: R-hat below 1.01,
 * effective sizes above 400, E-BFMI above 0.3. All arrays are host double. */
#ifndef WF_DIAGNOSTICS_H
#define WF_DIAGNOSTICS_H

#include <stddef.h>

#include "../base/status.h"

/* Of one scalar quantity. NAN in everything but mean and deviation when it never moved or was not finite. */
typedef struct wf_diagnosis {
    double mean, deviation; /* over all draws */
    double rhat;            /* the larger of rank-normalized split R-hat and that of the folded draws */
    double ess_bulk;        /* effective draws of the centre: of the normalized ranks */
    double ess_tail;        /* the smaller of those for the 5% and the 95% quantile */
    double ess_mean;        /* of the draws themselves */
    double mcse;            /* Monte Carlo standard error of the mean: deviation / sqrt(ess_mean) */
} wf_diagnosis;

/* Diagnoses draws x [chains,draws] of one quantity, at least 8 a chain. Chains are split in halves, so one will do.
 * With an odd number of draws the middle one is left out of rhat and of the effective sizes. WF_USAGE: too few draws;
 * WF_AGAIN: memory. */
int wf_diagnose(int chains, size_t draws, const double *x, wf_diagnosis *out) WF_MUST;

/* Energy Bayesian fraction of missing information: the smallest over the chains of energy [chains,draws] of sum (E_n
 * - E_{n-1})^2 / sum (E_n - mean)^2; NAN if one never moved. Betancourt 2016, "Diagnosing suboptimal cotangent
 * disintegrations". */
double wf_ebfmi(int chains, size_t draws, const double *energy);

#endif
