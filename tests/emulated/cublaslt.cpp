/* cublaslt.cpp - matrix products, column-major, with their epilogues; with WF_EMULATED_STRICT=1 the second algorithm
 * fails when it runs */
#include "cublasLt.h"

#include "cuda_bf16.h"
#include "emulated.h"

struct emulated_matmul {
    cublasComputeType_t compute;
    cublasOperation_t turn_a = CUBLAS_OP_N, turn_b = CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void *bias = nullptr;
};

struct emulated_layout {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t leading;
};

/* The least alignment of operands A to D, and the most workspace, that an algorithm was asked for, with cuBLASLt's
 * defaults. */
struct emulated_preference {
    size_t workspace = 0;
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
    uint32_t alignment[4] = {256, 256, 256, 256};
};

/* The first algorithm sums in no fixed order where the preference allows this. */
enum { CANDIDATES = 3, WORKSPACE = 4096 };
enum { NUMBER, ALIGNMENT, UNORDERED = ALIGNMENT + 2 }; /* words of an algorithm */

size_t cublasLtGetVersion()
{
    return 130000;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED      ? "not supported"
           : status == CUBLAS_STATUS_EXECUTION_FAILED ? "execution failed"
           : status                                   ? "invalid value"
                                                      : "success";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = (cublasLtHandle_t)handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute, cudaDataType_t scale)
{
    if (scale != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *d = new emulated_matmul;
    (*d)->compute = compute;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    delete d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t bytes)
{
    void *place = name == CUBLASLT_MATMUL_DESC_TRANSA     ? (void *)&d->turn_a
                  : name == CUBLASLT_MATMUL_DESC_TRANSB   ? (void *)&d->turn_b
                  : name == CUBLASLT_MATMUL_DESC_EPILOGUE ? (void *)&d->epilogue
                                                          : (void *)&d->bias;
    if (bytes != (name == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? sizeof(void *) : sizeof(int)))
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(place, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType_t type, uint64_t rows,
                                          uint64_t columns, int64_t leading)
{
    if (leading < (int64_t)rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    *l = new emulated_layout{type, rows, columns, leading};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    delete l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    *p = new emulated_preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    delete p;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t name, const void *value,
                                                    size_t bytes)
{
    size_t want = name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? sizeof(size_t) : sizeof(uint32_t);
    if (bytes != want)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        memcpy(&p->workspace, value, bytes);
    if (name == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        memcpy(&p->schemes, value, bytes);
    if (name >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES && name <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
        memcpy(&p->alignment[name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

static uint64_t inner(cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a)
{
    return d->turn_a == CUBLAS_OP_N ? a->columns : a->rows;
}

/* Checks that the shapes fit and the types go together. */
static cublasStatus_t check(cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                            cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t to)
{
    uint64_t m = d->turn_a == CUBLAS_OP_N ? a->rows : a->columns, n = d->turn_b == CUBLAS_OP_N ? b->columns : b->rows;
    uint64_t k = d->turn_b == CUBLAS_OP_N ? b->rows : b->columns;
    if (to->rows != m || to->columns != n || inner(d, a) != k || c->rows != m || c->columns != n)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (a->type != b->type || c->type != to->type || (a->type == CUDA_R_32F && to->type != CUDA_R_32F) ||
        a->leading % 8 || b->leading % 8 || to->leading % 8 || c->leading != to->leading)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t to, cublasLtMatmulPreference_t wish, int wanted,
                                              cublasLtMatmulHeuristicResult_t *results, int *found)
{
    *found = 0;
    cublasStatus_t s = check(d, a, b, c, to);
    for (size_t i = 0; !s && *found < wanted && i < CANDIDATES && WORKSPACE * i <= wish->workspace; i++, ++*found) {
        uint64_t *words = results[i].algo.data;
        words[NUMBER] = i + 1;
        memcpy(&words[ALIGNMENT], wish->alignment, sizeof wish->alignment);
        words[UNORDERED] = i == 0 && wish->schemes & CUBLASLT_REDUCTION_SCHEME_INPLACE;
        results[i].workspaceSize = WORKSPACE * i;
    }
    return s;
}

static float load(cudaDataType_t type, const void *memory, size_t i)
{
    return type == CUDA_R_16BF ? __bfloat162float(((const __nv_bfloat16 *)memory)[i]) : ((const float *)memory)[i];
}

/* Gathers op(memory), with the `inside` numbers of the inner dimension contiguous. */
static std::vector<float> gather(const emulated_matmul *d, const emulated_layout *l, bool inner_is_row,
                                 const void *memory, uint64_t outside, uint64_t inside)
{
    std::vector<float> out(outside * inside);
    for (uint64_t o = 0; o < outside; o++)
        for (uint64_t i = 0; i < inside; i++) {
            uint64_t row = inner_is_row ? i : o, column = inner_is_row ? o : i;
            float x = load(l->type, memory, row + column * (uint64_t)l->leading);
            out[o * inside + i] = d->compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? emulated_tf32(x) : x;
        }
    return out;
}

static void multiply(const emulated_matmul *d, int way, float alpha, const void *a, const emulated_layout *la,
                     const void *b, const emulated_layout *lb, float beta, const void *c, void *to,
                     const emulated_layout *l, uint64_t k)
{
    std::vector<float> left = gather(d, la, d->turn_a == CUBLAS_OP_T, a, l->rows, k);
    std::vector<float> right = gather(d, lb, d->turn_b == CUBLAS_OP_N, b, l->columns, k);
    for (uint64_t j = 0; j < l->columns; j++)
        for (uint64_t i = 0; i < l->rows; i++) {
            double sum = 0;
            size_t at = i + j * (uint64_t)l->leading;
            for (uint64_t x = 0; x < k; x++)
                sum += (double)left[i * k + x] * (double)right[j * k + x];
            float y = alpha * emulated_round(sum, way) + (beta != 0 ? beta * load(l->type, c, at) : 0);
            if (d->epilogue & CUBLASLT_EPILOGUE_BIAS)
                y += load(l->type, d->bias, i);
            if ((d->epilogue & CUBLASLT_EPILOGUE_RELU) && y < 0)
                y = 0;
            if (l->type == CUDA_R_16BF)
                ((__nv_bfloat16 *)to)[at] = __float2bfloat16(y);
            else
                ((float *)to)[at] = y;
        }
}

static size_t bytes_of(const emulated_layout *l)
{
    return ((size_t)(l->columns - 1) * (size_t)l->leading + (size_t)l->rows) * (l->type == CUDA_R_16BF ? 2 : 4);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t d, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t la, const void *b, cublasLtMatrixLayout_t lb, const void *beta,
                              const void *c, cublasLtMatrixLayout_t lc, void *to, cublasLtMatrixLayout_t lto,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes, cudaStream_t stream)
{
    cublasStatus_t s = check(d, la, lb, lc, lto);
    const uintptr_t addresses[] = {(uintptr_t)a, (uintptr_t)b, (uintptr_t)c, (uintptr_t)to};
    uint32_t alignment[4];
    memcpy(alignment, &algo->data[ALIGNMENT], sizeof alignment);
    for (int i = 0; i < 4 && !s; i++)
        if (!alignment[i] || addresses[i] % alignment[i])
            s = CUBLAS_STATUS_INVALID_VALUE;
    const char *me = __func__;
    int device = emulated_stream_device(stream);
    emulated_check_device(me, device);
    if (!s && emulated_loses_device(me))
        s = CUBLAS_STATUS_EXECUTION_FAILED;
    if (!s && emulated_strict() && algo->data[NUMBER] == 2)
        s = CUBLAS_STATUS_NOT_SUPPORTED;
    if (!s &&
        (algo->data[NUMBER] < 1 || algo->data[NUMBER] > CANDIDATES || bytes < WORKSPACE * (algo->data[NUMBER] - 1) ||
         (bytes && !workspace) || ((d->epilogue & CUBLASLT_EPILOGUE_BIAS) && !d->bias)))
        s = CUBLAS_STATUS_INVALID_VALUE;
    if (s)
        return s;
    emulated_matmul description = *d;
    emulated_layout first = *la, second = *lb, result = *lto;
    float scale = *(const float *)alpha, keep = *(const float *)beta;
    uint64_t k = inner(d, la);
    int way = (int)algo->data[NUMBER] - 1;
    bool unordered = algo->data[UNORDERED];
    auto check_extents = [=]() {
        emulated_extent(me, "the workspace", workspace, bytes, device);
        emulated_extent(me, "the first factor", a, bytes_of(&first), device);
        emulated_extent(me, "the second factor", b, bytes_of(&second), device);
        emulated_extent(me, "the result", to, bytes_of(&result), device);
        if (keep != 0)
            emulated_extent(me, "the addend", c, bytes_of(&result), device);
        if (description.epilogue & CUBLASLT_EPILOGUE_BIAS)
            emulated_extent(me, "the bias", description.bias, result.rows * (result.type == CUDA_R_16BF ? 2 : 4),
                            device);
    };
    check_extents();
    emulated_enqueue(stream, me, [=]() {
        check_extents();
        if (bytes)
            memset(workspace, 0xff, bytes); /* the library may overwrite its workspace */
        multiply(&description, unordered ? (int)emulated_random(CANDIDATES) : way, scale, a, &first, b, &second, keep,
                 c, to, &result, k);
    });
    return s;
}
