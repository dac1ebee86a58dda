/* summary.h - what draws from a posterior say of each pixel */
#ifndef WF_SUMMARY_H
#define WF_SUMMARY_H

#include <stddef.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

typedef enum wf_summary_kind { WF_MEAN, WF_DEVIATION, WF_QUANTILE } wf_summary_kind;

/* Summarizes draws x [draws,n] value by value into out [n]. WF_DEVIATION: with draws - 1 in the denominator, 0 for one
 * draw. WF_QUANTILE: the quantile p in [0,1], linear between order statistics (Hyndman and Fan 1996, type 7).
 * WF_AGAIN: out of memory. */
int wf_summarize(wf_summary_kind kind, double p, size_t draws, size_t n, const float *x, float *out) WF_MUST;

WF_END

#endif
