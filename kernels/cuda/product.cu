/* product.cu - matrix products by cuBLASLt, with bias, residual and relu in their epilogue
 *
 * cuBLAS is column-major: a row-major [M,C] is its C x M with leading dimension C. So y = x w' is Y (out x M) = W' X,
 * with W (in x out) as stored. */
#include <stdio.h>
#include <string.h>

#include "conv.h"

/* ALIGNED: least alignment of the operands in bytes, that of maps and parameters (backend.h). cuBLASLt assumes 256. */
enum { CANDIDATES = 8, WORKSPACE = 32 << 20, ALIGNED = 64 };

#define WF_BLAS(call)                                                                      \
    do {                                                                                   \
        cublasStatus_t wf_blas_status_ = (call);                                           \
        if (wf_blas_status_)                                                               \
            return wf_cuda_library_failed(#call, cublasLtGetStatusString(wf_blas_status_), \
                                          wf_blas_status_ == CUBLAS_STATUS_ALLOC_FAILED);  \
    } while (0)

static cudaDataType_t operand(const wf_cuda_product *p)
{
    return p->precision == WF_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static cudaDataType_t result(const wf_cuda_product *p)
{
    return p->direction == WF_CUDA_WEIGHTS || p->whole ? CUDA_R_32F : operand(p);
}

static int layouts(wf_cuda_product *p)
{
    cudaDataType_t in = operand(p), out = result(p);
    switch (p->direction) {
    case WF_CUDA_FORWARD:
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->a, in, p->in, p->out, (int64_t)p->in));
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->b, in, p->in, p->M, (int64_t)p->in));
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->d, out, p->out, p->M, (int64_t)p->out));
        return WF_OK;
    case WF_CUDA_DATA:
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->a, in, p->in, p->out, (int64_t)p->in));
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->b, in, p->out, p->M, (int64_t)p->out));
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->d, out, p->in, p->M, (int64_t)p->in));
        return WF_OK;
    default:
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->a, in, p->in, p->M, (int64_t)p->in));
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->b, in, p->out, p->M, (int64_t)p->out));
        WF_BLAS(cublasLtMatrixLayoutCreate(&p->d, out, p->in, p->out, (int64_t)p->in));
        return WF_OK;
    }
}

static int describe(wf_cuda_product *p)
{
    cublasComputeType_t compute = p->precision == WF_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    cublasOperation_t plain = CUBLAS_OP_N, turned = CUBLAS_OP_T;
    cublasLtEpilogue_t epilogue = p->bias && p->relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                  : p->bias          ? CUBLASLT_EPILOGUE_BIAS
                                  : p->relu          ? CUBLASLT_EPILOGUE_RELU
                                                     : CUBLASLT_EPILOGUE_DEFAULT;
    WF_BLAS(cublasLtMatmulDescCreate(&p->description, compute, CUDA_R_32F));
    WF_BLAS(cublasLtMatmulDescSetAttribute(p->description, CUBLASLT_MATMUL_DESC_TRANSA,
                                           p->direction == WF_CUDA_FORWARD ? &turned : &plain, sizeof plain));
    WF_BLAS(cublasLtMatmulDescSetAttribute(p->description, CUBLASLT_MATMUL_DESC_TRANSB,
                                           p->direction == WF_CUDA_WEIGHTS ? &turned : &plain, sizeof plain));
    WF_BLAS(cublasLtMatmulDescSetAttribute(p->description, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
    return layouts(p);
}

int wf_cuda_product_run(wf_cuda *cuda, const wf_cuda_product *p, const void *first, const void *second,
                        const void *bias, const void *residual, void *out)
{
    const float one = 1, beta = p->residual ? 1 : 0;
    /* cuBLAS's A is the weights, or x in WEIGHTS; in each equation the pixels come first */
    const void *a = second, *b = first, *c = p->residual ? residual : out;
    void *workspace;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->workspace, p->workspace, &workspace));
    if (p->bias)
        WF_BLAS(cublasLtMatmulDescSetAttribute(p->description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    WF_BLAS(cublasLtMatmul(cuda->blas, p->description, &one, a, p->a, b, p->b, &beta, c, p->d, out, p->d, &p->algorithm,
                           workspace, p->workspace, cuda->stream));
    return WF_OK;
}

/* The operands of a measurement: memory of the real sizes. */
typedef struct trial {
    wf_cuda_product *p;
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    char *first, *second, *bias, *out;
} trial;

static int way(wf_cuda *cuda, void *user, int i)
{
    trial *t = (trial *)user;
    t->p->algorithm = t->found[i].algo;
    t->p->workspace = t->found[i].workspaceSize;
    return wf_cuda_product_run(cuda, t->p, t->first, t->second, t->bias, t->out, t->out);
}

static int candidates(wf_cuda *cuda, wf_cuda_product *p, trial *t, int *count)
{
    cublasLtMatmulPreference_t wish;
    size_t most = WORKSPACE;
    /* excludes algorithms that sum in no fixed order */
    uint32_t ordered = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, aligned = ALIGNED;
    static const cublasLtMatmulPreferenceAttributes_t operands[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    WF_BLAS(cublasLtMatmulPreferenceCreate(&wish));
    cublasStatus_t s =
        cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most);
    if (!s)
        s = cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &ordered,
                                                 sizeof ordered);
    for (int i = 0; i < 4 && !s; i++)
        s = cublasLtMatmulPreferenceSetAttribute(wish, operands[i], &aligned, sizeof aligned);
    if (!s)
        s = cublasLtMatmulAlgoGetHeuristic(cuda->blas, p->description, p->a, p->b, p->d, p->d, wish, CANDIDATES,
                                           t->found, count);
    (void)cublasLtMatmulPreferenceDestroy(wish);
    WF_CHECK(!s && *count > 0, WF_INTERNAL, "cuda: cuBLASLt has no product of %zu x %zu x %zu: %s", p->M, p->in, p->out,
             cublasLtGetStatusString(s));
    return WF_OK;
}

/* Allocates each operand with room for the larger number type, aligned as cudaMalloc does. */
static int prepare(wf_cuda *cuda, const wf_cuda_product *p, trial *t)
{
    size_t x = p->M * p->in, y = p->M * p->out, w = p->in * p->out, most = x > y ? x : y;
    most = ((most > w ? most : w) * sizeof(float) + 255) / 256 * 256;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, 4 * most, &t->first));
    t->second = t->first + most;
    t->bias = t->second + most;
    t->out = t->bias + most;
    return wf_cuda_fill(cuda, p->precision == WF_BF16, 4 * most / (p->precision == WF_BF16 ? 2 : 4), t->first);
}

int wf_cuda_product_create(wf_cuda *cuda, wf_cuda_product *p)
{
    char key[160];
    trial t;
    int count = 0, best;
    t.p = p;
    WF_TRY(describe(p));
    WF_TRY(candidates(cuda, p, &t, &count));
    WF_TRY(prepare(cuda, p, &t));
    snprintf(key, sizeof key, "product %d precision %d M %zu in %zu out %zu bias %d residual %d relu %d whole %d",
             (int)p->direction, (int)p->precision, p->M, p->in, p->out, p->bias, p->residual, p->relu, p->whole);
    WF_TRY(wf_cuda_choose(cuda, key, count, way, &t, &best));
    p->algorithm = t.found[best].algo;
    p->workspace = t.found[best].workspaceSize;
    void *unused; /* the workspace grows here, so that a recording need not grow it */
    return wf_cuda_pool_take(cuda, &cuda->workspace, p->workspace, &unused);
}

void wf_cuda_product_clear(wf_cuda_product *p)
{
    if (p->description)
        (void)cublasLtMatmulDescDestroy(p->description);
    if (p->a)
        (void)cublasLtMatrixLayoutDestroy(p->a);
    if (p->b)
        (void)cublasLtMatrixLayoutDestroy(p->b);
    if (p->d)
        (void)cublasLtMatrixLayoutDestroy(p->d);
    memset(p, 0, sizeof *p);
}
