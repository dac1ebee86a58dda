/* chains_report.c - reports of chains: added up, judged, written */
#include <jansson.h>
#include <math.h>

#include "chains.h"
#include "file.h"

/* fmin and fmax pass over a NAN, which R-hat and effective sizes have where there were too few draws. An E-BFMI that is none is
 * of a chain that never moved. */
void wf_chains_merge(wf_chains_report *total, const wf_chains_report *more)
{
    wf_chains_report sum = *more;
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

bool wf_chains_trusted(const wf_chains_report *r, double max_rhat, double min_ess)
{
    return r->divergences == 0 && r->rhat <= max_rhat && r->ess_bulk >= min_ess && r->ess_tail >= min_ess &&
           r->ebfmi >= WF_CHAINS_EBFMI;
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int wf_chains_write_json(FILE *file, const char *name, int first, int last, const wf_chains_report *r)
{
    json_t *object = json_pack(
        "{s:i, s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "first", first, "last",
        last, "chains", (json_int_t)r->chains, "draws", (json_int_t)r->draws, "divergences", (json_int_t)r->divergences,
        "acceptance", number(r->acceptance), "depth", number(r->depth), "step_low", number(r->step_low), "step_high",
        number(r->step_high), "rhat", number(r->rhat), "ess_bulk", number(r->ess_bulk), "ess_tail", number(r->ess_tail),
        "ebfmi", number(r->ebfmi), "seconds", number(r->seconds), "gradients", (json_int_t)r->gradients, "computed",
        (json_int_t)r->computed);
    WF_CHECK(object, WF_AGAIN, "%s: out of memory", name);
    int failed = json_dumpf(object, file, JSON_COMPACT) || putc('\n', file) == EOF;
    json_decref(object);
    return failed ? wf_fail_write(name) : WF_OK;
}
