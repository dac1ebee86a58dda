/* score.h - how strange pictures are to a model beside reference pictures, and which do not belong */
#ifndef WF_SCORE_H
#define WF_SCORE_H

#include <stdbool.h>
#include <stdio.h>

#include "../base/linkage.h"
#include "statistics.h"

WF_BEGIN

/* A picture beside the reference. */
typedef struct wf_score {
    /* |bits/dim - mean| / deviation, of the bits/dim of the reference: how atypical it is (Nalisnick et al. 2019,
     * "Detecting out-of-distribution inputs to deep generative models using typicality", with batches of one picture).
     * NAN: the reference does not vary, or is one picture. */
    double typicality;
    double p; /* conformal p-value of all statistics together (conformal.h) */
    bool out; /* p <= rate: not of the reference's kind */
} wf_score;

/* WF_DATA: the reference of N pictures, of the store `name` or its held-out part, is too small for the rate
 * (wf_conformal_least). */
int wf_score_check_rate(double rate, int64_t N, bool held_out, const char *name) WF_MUST;

/* Compares each picture of `given` with all of `reference`, which have statistics of the same kind: scores [N of
 * `given`]. rate: of pictures of the reference's kind that are called out, 0 < rate < 1. threads 0: all. watch: of
 * pictures. WF_DATA: as wf_score_check_rate, or the statistics differ in number. */
int wf_score_compare(const wf_statistics *reference, const char *reference_name, const wf_statistics *given,
                     double rate, int threads, const wf_watch *watch, wf_score *scores) WF_MUST;

/* Writes one line a picture, separated by tabs, below a line of heads: name, verdict, p, bits/dim, bits/dim less that
 * of PNG, typicality, bits/dim of each level, and the moments of each level's latents. Unknown figures are "-". Errors
 * in writing show when the file is flushed or closed. */
void wf_score_write_table(const wf_statistics *given, const wf_score *scores, FILE *file);
/* Writes the same as one JSON object a line and picture; unknown figures are null. WF_AGAIN: out of memory. */
int wf_score_write_lines(const wf_statistics *given, const wf_score *scores, FILE *file) WF_MUST;

WF_END

#endif
