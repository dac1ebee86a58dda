/* markov_chains_report.c - merges, checks and writes reports of chains */
#include <jansson.h>
#include <math.h>

#include "markov_chains.h"
#include "../base/file.h"
#include "../base/number.h"

/* fmin and fmax ignore NAN: R-hat and effective sizes are NAN with too few draws. An E-BFMI of NAN is kept: it marks
 * a chain that never moved. */
void wf_markov_chains_merge(wf_markov_chains_report *total, const wf_markov_chains_report *more)
{
    wf_markov_chains_report sum = *more;
    if (total->chains) {
        double share = (double)more->draws / (double)(total->draws + more->draws);
        sum.chains += total->chains;
        sum.draws += total->draws;
        sum.divergences += total->divergences;
        sum.acceptance = total->acceptance + share * (more->acceptance - total->acceptance);
        sum.depth = total->depth + share * (more->depth - total->depth);
        sum.step_low = fmin(total->step_low, more->step_low);
        sum.step_high = fmax(total->step_high, more->step_high);
        sum.rhat = fmax(total->rhat, more->rhat);
        sum.ess_bulk = fmin(total->ess_bulk, more->ess_bulk);
        sum.ess_tail = fmin(total->ess_tail, more->ess_tail);
        sum.ebfmi = isnan(total->ebfmi) || isnan(more->ebfmi) ? NAN : fmin(total->ebfmi, more->ebfmi);
        sum.seconds += total->seconds;
        sum.gradients += total->gradients;
        sum.computed += total->computed;
    }
    *total = sum;
}

bool wf_markov_chains_trusted(const wf_markov_chains_report *r, double max_rhat, double min_ess)
{
    return r->divergences == 0 && r->rhat <= max_rhat && r->ess_bulk >= min_ess && r->ess_tail >= min_ess &&
           r->ebfmi >= WF_MARKOV_CHAINS_EBFMI;
}

static const char *text(double value, const char *format, char out[24])
{
    wf_snprintf(out, 24, isfinite(value) ? format : isnan(value) ? "-" : "inf", value);
    return out;
}

void wf_markov_chains_row(int first, int last, const wf_markov_chains_report *r, char out[WF_MARKOV_CHAINS_ROW])
{
    char level[24], low[24], high[24], rhat[24], bulk[24], tail[24], ebfmi[24];
    snprintf(level, sizeof level, first < last ? "%d-%d" : "%d", first, last);
    wf_snprintf(out, WF_MARKOV_CHAINS_ROW, "%-6s %6lld %6lld %7.2f %8s-%-8s %5.1f %4lld %7s %8s %8s %7s %12.4g %5.0f%%",
                level, (long long)r->chains, (long long)(r->draws / r->chains), r->acceptance,
                text(r->step_low, "%.3g", low), text(r->step_high, "%.3g", high), r->depth, (long long)r->divergences,
                text(r->rhat, "%.3f", rhat), text(r->ess_bulk, "%.0f", bulk), text(r->ess_tail, "%.0f", tail),
                text(r->ebfmi, "%.2f", ebfmi), (double)r->gradients / r->seconds,
                r->computed ? 100 - 100 * (double)r->gradients / (double)r->computed : 0);
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int wf_markov_chains_write_json(FILE *file, const char *name, int first, int last, const wf_markov_chains_report *r)
{
    json_t *object = json_pack(
        "{s:i, s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "first", first, "last",
        last, "chains", (json_int_t)r->chains, "draws", (json_int_t)r->draws, "divergences", (json_int_t)r->divergences,
        "acceptance", number(r->acceptance), "depth", number(r->depth), "step_low", number(r->step_low), "step_high",
        number(r->step_high), "rhat", number(r->rhat), "ess_bulk", number(r->ess_bulk), "ess_tail", number(r->ess_tail),
        "ebfmi", number(r->ebfmi), "seconds", number(r->seconds), "gradients", (json_int_t)r->gradients, "computed",
        (json_int_t)r->computed);
    WF_CHECK(object, WF_AGAIN, "%s: out of memory", name);
    errno = 0;
    int failed = json_dumpf(object, file, JSON_COMPACT) || putc('\n', file) == EOF;
    json_decref(object);
    return failed ? wf_fail_write(name) : WF_OK;
}
