/* linear.cu - folds runs of linear bijectors into one matrix each, and computes their gradients
 *
 * One block works on one run, and its threads share the rows (kernels/body/linear.h). */
#include <string.h>

#include "cuda.h"

#include "../body/linear.h"

enum { RUNS = 64, PARTS = 256 }; /* most runs of a launch; most parts of a launch, and so of a run */

typedef struct run {
    int K, first, count; /* first part, number of parts */
    size_t work;         /* offset of its scratch */
    wf_linear folded;
    const float *dA, *da;
    double dlogdet;
} run;

/* A kernel's parameter is passed by value, so a recording keeps it. No other file has a type of this name, since
 * tests/emulated passes it through templates, which C++ merges by name. */
typedef struct linear_batch {
    run runs[RUNS];
    wf_linear_part parts[PARTS];
} linear_batch;

static __global__ void fold(linear_batch all, double *work)
{
    const run *r = &all.runs[blockIdx.x];
    wf_linear folded = r->folded;
    wf_linear_fold_run(r->K, all.parts + r->first, r->count, work + r->work, &folded);
}

static __global__ void unfold(linear_batch all, double *work)
{
    const run *r = &all.runs[blockIdx.x];
    wf_linear_backward_run(r->K, all.parts + r->first, r->count, work + r->work, r->dA, r->da, r->dlogdet);
}

static int check(const wf_linear_run *r)
{
    WF_CHECK(r->K > 0 && r->count >= 0 && r->K < 16384, WF_INTERNAL, "linear: K %d, %d parts", r->K, r->count);
    WF_CHECK(r->count <= PARTS, WF_USAGE, "cuda: %d linear bijectors in a row, at most %d", r->count, (int)PARTS);
    return WF_OK;
}

static unsigned threads_for(int K)
{
    return K <= 32 ? 32 : K <= 64 ? 64 : 128;
}

/* Takes as many of `count` runs as fit in a launch. Returns their number; writes the doubles of scratch that they need
 * and the largest K. */
static int take_runs(int count, const wf_linear_run *from, linear_batch *to, size_t *work, int *widest)
{
    int runs = 0, parts = 0;
    *work = 0;
    *widest = 0;
    for (; runs < count && runs < RUNS && parts + from[runs].count <= PARTS; runs++) {
        const wf_linear_run *r = &from[runs];
        to->runs[runs] =
            run{r->K, parts, r->count, *work, r->folded, (const float *)r->dA, (const float *)r->da, r->dlogdet};
        for (int i = 0; i < r->count; i++)
            to->parts[parts++] = r->parts[i];
        *work += wf_linear_work_size(r->K, r->count);
        *widest = r->K > *widest ? r->K : *widest;
    }
    return runs;
}

/* The matrices go to a branch: those of convolutions are folded or unfolded beside them. */
static int launch(wf_cuda *cuda, int count, const wf_linear_run *runs, bool backward)
{
    linear_batch all;
    cudaStream_t stream;
    memset(&all, 0, sizeof all);
    for (int i = 0; i < count; i++)
        WF_TRY(check(&runs[i]));
    if (count)
        WF_TRY(wf_cuda_fork(cuda, WF_CUDA_BRANCH_LINEAR, &stream));
    for (int at = 0, taken, widest; at < count; at += taken) {
        size_t size;
        double *work;
        taken = take_runs(count - at, runs + at, &all, &size, &widest);
        WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, size * sizeof *work, &work));
        if (backward)
            WF_RUN_ON(stream, unfold, (unsigned)taken, threads_for(widest), 0, all, work);
        else
            WF_RUN_ON(stream, fold, (unsigned)taken, threads_for(widest), 0, all, work);
    }
    return WF_OK;
}

static int linear_fold(wf_backend *b, int count, const wf_linear_run *runs)
{
    return launch((wf_cuda *)b, count, runs, false);
}

static int linear_backward(wf_backend *b, int count, const wf_linear_run *runs)
{
    return launch((wf_cuda *)b, count, runs, true);
}

void wf_cuda_linear_slots(wf_backend *b)
{
    b->linear_fold = linear_fold;
    b->linear_backward = linear_backward;
}
