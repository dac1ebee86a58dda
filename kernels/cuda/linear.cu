/* linear.cu - folding a run of linear bijectors into one matrix, and the gradient through that: one block, its threads
 * sharing the rows (kernels/body/linear.h) */
#include "cuda.h"

#include "../body/linear.h"

enum { MOST = 128 }; /* parts of one run */

/* Goes along as a kernel's parameter, so that a recording keeps it. */
typedef struct run {
    int K, count;
    wf_linear_part parts[MOST];
} run;

static __global__ void fold(run r, double *work, wf_linear out)
{
    wf_linear_fold_run(r.K, r.parts, r.count, work, &out);
}

static __global__ void unfold(run r, double *work, const float *dA, const float *da, double dlogdet)
{
    wf_linear_backward_run(r.K, r.parts, r.count, work, dA, da, dlogdet);
}

static int run_of(wf_cuda *cuda, int K, const wf_linear_part *parts, int count, run *r, double **work)
{
    WF_CHECK(K > 0 && count >= 0 && K < 16384, WF_INTERNAL, "linear: K %d, %d parts", K, count);
    WF_CHECK(count <= MOST, WF_USAGE, "cuda: %d linear bijectors in a row, at most %d", count, (int)MOST);
    r->K = K;
    r->count = count;
    for (int i = 0; i < count; i++)
        r->parts[i] = parts[i];
    return wf_cuda_pool_take(cuda, &cuda->scratch, wf_linear_work_size(K, count) * sizeof(double), work);
}

static unsigned threads_for(int K)
{
    return K <= 32 ? 32 : K <= 64 ? 64 : 128;
}

static int linear_fold(wf_backend *b, int K, const wf_linear_part *parts, int count, const wf_linear *out)
{
    wf_cuda *cuda = (wf_cuda *)b;
    run r;
    double *work;
    WF_TRY(run_of(cuda, K, parts, count, &r, &work));
    WF_RUN(fold, 1u, threads_for(K), 0, r, work, *out);
    return WF_OK;
}

static int linear_backward(wf_backend *b, int K, const wf_linear_part *parts, int count, const wf_real *dA,
                           const wf_real *da, double dlogdet)
{
    wf_cuda *cuda = (wf_cuda *)b;
    run r;
    double *work;
    WF_TRY(run_of(cuda, K, parts, count, &r, &work));
    WF_RUN(unfold, 1u, threads_for(K), 0, r, work, (const float *)dA, (const float *)da, dlogdet);
    return WF_OK;
}

void wf_cuda_linear_slots(wf_backend *b)
{
    b->linear_fold = linear_fold;
    b->linear_backward = linear_backward;
}
