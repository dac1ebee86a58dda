/* conformal.h - p-values of new observations against a reference, valid for finite samples
 *
 * Letters: N reference observations, M new ones, D numbers each. */
#ifndef WF_CONFORMAL_H
#define WF_CONFORMAL_H

#include <stdint.h>

#include "../base/linkage.h"
#include "../base/status.h"
#include "../base/watch.h"

WF_BEGIN

/* Writes the p-value of each new observation, given [M,D], to p [M]: full conformal prediction with the Mahalanobis
 * distance as the measure of strangeness. For each new observation, reference and observation make a sample of N + 1;
 * all are standardized, their correlations shrunk (shrinkage.h), and
 *     p = (1 + number of reference observations at least as distant as the new one) / (N + 1)
 * All N + 1 are treated alike, so if the new one is exchangeable with the reference, P(p <= e) <= e for every e (Vovk,
 * Gammerman and Shafer 2005, "Algorithmic learning in a random world", chapter 2). No part of the reference is
 * set aside. New observations do not affect one another, and neither their order nor that of the reference matters.
 *
 * An observation with a number that is not finite is infinitely distant, and left out of the sample of the others.
 *
 * reference [N,D], N >= 1. threads 0: all. watch: of new observations. Takes N D^2 operations for
 * each. WF_AGAIN: out of memory. */
int wf_conformal_p(int64_t N, int D, const double *reference, int64_t M, const double *given, int threads,
                   const wf_watch *watch, double *p) WF_MUST;

/* Least reference for which p <= rate is possible: 1 / rate - 1, rounded up, at most INT64_MAX. 0 < rate < 1. */
int64_t wf_conformal_least(double rate);

WF_END

#endif
