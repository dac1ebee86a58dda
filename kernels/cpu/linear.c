/* linear.c - folds a run of linear bijectors into one matrix, and its gradient */
#include "cpu.h"

#include "../body/linear.h"

static int work_open(wf_backend *b, int K, const wf_linear_part *parts, int count, double **work)
{
    void *memory;
    WF_CHECK(K > 0 && count >= 0 && K < 16384, WF_INTERNAL, "linear: K %d, %d parts", K, count);
    for (int p = 0; p < count; p++) {
        const float *params = (const float *)parts[p].params;
        bool permutes = parts[p].kind == WF_LINEAR_LU || parts[p].kind == WF_LINEAR_PERMUTATION;
        for (int i = 0; permutes && i < K; i++)
            WF_CHECK(wf_lu_row(K, params, i) >= 0, WF_DATA, "linear: entry %d of the permutation is %g, not in 0 .. %d",
                     i, (double)params[i], K - 1);
    }
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, wf_linear_work_size(K, count) * sizeof(double), &memory));
    *work = memory;
    return WF_OK;
}

static int linear_fold(wf_backend *b, int count, const wf_linear_run *runs)
{
    for (const wf_linear_run *r = runs; r < runs + count; r++) {
        double *work;
        WF_TRY(work_open(b, r->K, r->parts, r->count, &work));
        wf_linear_fold_run(r->K, r->parts, r->count, work, &r->folded);
    }
    return WF_OK;
}

static int linear_backward(wf_backend *b, int count, const wf_linear_run *runs)
{
    for (const wf_linear_run *r = runs; r < runs + count; r++) {
        double *work;
        WF_TRY(work_open(b, r->K, r->parts, r->count, &work));
        wf_linear_backward_run(r->K, r->parts, r->count, work, (const float *)r->dA, (const float *)r->da, r->dlogdet);
    }
    return WF_OK;
}

void wf_cpu_linear_slots(wf_backend *b)
{
    b->linear_fold = linear_fold;
    b->linear_backward = linear_backward;
}
