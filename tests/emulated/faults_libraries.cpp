/* faults_libraries.cpp - planted faults in calls of cuBLASLt and cuDNN, for faults.cpp */
#include "faults.h"

#include "cublasLt.h"
#include "cudnn.h"

/* -- a product of two squares by cuBLASLt -------------------------------------------------------------------------- */

enum { SIDE = 16 }; /* SIDE * SIDE = N */
enum { WORKSPACE = 1 << 20, ORDERED = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE };

typedef struct product {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t description;
    cublasLtMatrixLayout_t square;
    cublasLtMatmulHeuristicResult_t found[3];
    float *a, *out;
} product;

/* numbers: of the result; workspace, schemes: what algorithms may use */
static product make_product(size_t numbers, size_t workspace, uint32_t schemes)
{
    product p = {};
    cublasLtMatmulPreference_t wish;
    int count;
    (void)cublasLtCreate(&p.handle);
    (void)cublasLtMatmulDescCreate(&p.description, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    (void)cublasLtMatrixLayoutCreate(&p.square, CUDA_R_32F, SIDE, SIDE, SIDE);
    (void)cublasLtMatmulPreferenceCreate(&wish);
    (void)cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                               sizeof workspace);
    (void)cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                                               sizeof schemes);
    (void)cublasLtMatmulAlgoGetHeuristic(p.handle, p.description, p.square, p.square, p.square, p.square, wish, 3,
                                         p.found, &count);
    (void)cublasLtMatmulPreferenceDestroy(wish);
    p.a = on_device<float>(N);
    p.out = on_device<float>(numbers);
    must(cudaMemsetAsync(p.a, 0, N * sizeof *p.a, stream));
    return p;
}

static cublasStatus_t multiply(const product *p, int way, void *workspace)
{
    const float one = 1, zero = 0;
    return cublasLtMatmul(p->handle, p->description, &one, p->a, p->square, p->a, p->square, &zero, p->out, p->square,
                          p->out, p->square, &p->found[way].algo, workspace, p->found[way].workspaceSize, stream);
}

void short_operand(bool bad)
{
    product p = make_product(bad ? N - 1 : N, WORKSPACE, ORDERED);
    (void)multiply(&p, 0, nullptr);
    expect(p.out, 0, 0, "a product");
}

void short_workspace(bool bad)
{
    product p = make_product(N, WORKSPACE, ORDERED);
    (void)multiply(&p, 2, on_device<char>(p.found[2].workspaceSize - bad));
    expect(p.out, 0, 0, "a product");
}

/* Takes the third algorithm, which the preference excludes. */
void no_workspace(bool bad)
{
    product p = make_product(N, bad ? 0 : WORKSPACE, ORDERED);
    (void)multiply(&p, 2, on_device<char>(WORKSPACE));
    expect(p.out, 0, 0, "a product without a workspace");
}

/* Expects numbers in a workspace after a product. */
void kept_workspace(bool bad)
{
    product p = make_product(N, WORKSPACE, ORDERED);
    float *workspace = on_device<float>(WORKSPACE / sizeof(float));
    must(cudaMemsetAsync(workspace, 0, N * sizeof *workspace, stream));
    (void)multiply(&p, 2, workspace);
    expect(bad ? workspace : p.out, 0, 0, "a workspace");
}

/* Compares the bits of a result with those of the first run. */
static void expect_again(int run, const float *device, float first[N], const char *what)
{
    float host[N];
    must(cudaMemcpyAsync(run ? host : first, device, sizeof host, cudaMemcpyDeviceToHost, stream));
    must(cudaStreamSynchronize(stream));
    if (run && memcmp(host, first, sizeof host))
        fail("%s: run %d gives other bits", what, run);
}

enum { RUNS = 20, BYTE = 0x3f }; /* floats of these bytes have products that must be rounded */

void unordered(bool bad)
{
    product p =
        make_product(N, WORKSPACE, bad ? CUBLASLT_REDUCTION_SCHEME_MASK : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
    float first[N];
    must(cudaMemsetAsync(p.a, BYTE, N * sizeof *p.a, stream));
    for (int run = 0; run < RUNS; run++) {
        (void)multiply(&p, 0, nullptr);
        expect_again(run, p.out, first, "a product");
    }
}

/* Takes the second algorithm, which fails when it runs, without looking at its status. */
void unsupported(bool bad)
{
    product p = make_product(N, WORKSPACE, ORDERED);
    void *workspace = on_device<char>(p.found[1].workspaceSize);
    if (multiply(&p, 1, workspace) && !bad)
        (void)multiply(&p, 0, nullptr);
    expect(p.out, 0, 0, "an algorithm that does not run");
}

/* Goes on after a product that could not start. */
void lost(bool bad)
{
    product p = make_product(N, WORKSPACE, ORDERED);
    for (int i = 0; i < 4; i++)
        if (multiply(&p, 0, nullptr) && !bad)
            return;
}

/* -- a convolution by cuDNN: 1x1, SIDE to SIDE channels, SIDE pixels ------------------------------------------- */

typedef struct convolution {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t plan;
    float *x, *w, *y;
} convolution;

static void set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t count, const void *values)
{
    if (cudnnBackendSetAttribute(d, name, type, count, values))
        fail("attribute %d is refused", (int)name);
}

static cudnnBackendDescriptor_t make(cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d;
    (void)cudnnBackendCreateDescriptor(type, &d);
    return d;
}

static void finish(cudnnBackendDescriptor_t d)
{
    if (cudnnBackendFinalize(d))
        fail("a descriptor is refused");
}

/* [n,SIDE,side,side], channels contiguous */
static cudnnBackendDescriptor_t make_tensor(int64_t id, int64_t n, int64_t side)
{
    const int64_t dims[4] = {n, SIDE, side, side}, strides[4] = {side * side * SIDE, 1, side * SIDE, SIDE},
                  aligned = 16;
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t d = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &aligned);
    finish(d);
    return d;
}

static cudnnBackendDescriptor_t make_operation()
{
    const int64_t axes = 2, none[2] = {0, 0};
    cudnnBackendDescriptor_t c = make(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
    set(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, axes, none);
    set(c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, axes, none);
    finish(c);
    const cudnnBackendDescriptor_t x = make_tensor(0, 1, 4), w = make_tensor(1, SIDE, 1), y = make_tensor(2, 1, 4);
    cudnnBackendDescriptor_t d = make(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
    set(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w);
    set(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    set(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c);
    finish(d);
    return d;
}

/* numbers: of the result; engine: its place in the first heuristic */
static convolution make_convolution(size_t numbers, int engine)
{
    enum { ENGINES = 22 };
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    const cudnnBackendDescriptor_t op = make_operation();
    cudnnBackendDescriptor_t engines[ENGINES], graph = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    cudnnBackendDescriptor_t heuristics = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    int64_t count;
    convolution c = {nullptr, make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR), on_device<float>(N), on_device<float>(N),
                     on_device<float>(numbers)};
    (void)cudnnCreate(&c.handle);
    (void)cudnnSetStream(c.handle, stream);
    set(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &c.handle);
    set(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &op);
    finish(graph);
    set(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    finish(heuristics);
    for (cudnnBackendDescriptor_t &e : engines)
        e = make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    (void)cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, ENGINES,
                                   &count, engines);
    set(c.plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &c.handle);
    set(c.plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engines[engine]);
    finish(c.plan);
    must(cudaMemsetAsync(c.x, BYTE, N * sizeof *c.x, stream));
    must(cudaMemsetAsync(c.w, BYTE, N * sizeof *c.w, stream));
    return c;
}

static void convolve(const convolution *c, const void *workspace)
{
    const int64_t ids[3] = {0, 1, 2};
    const void *pointers[3] = {c->x, c->w, c->y};
    cudnnBackendDescriptor_t pack = make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, ids);
    set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, pointers);
    set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    finish(pack);
    if (cudnnBackendExecute(c->handle, c->plan, pack))
        fail("a plan does not run");
    must(cudaStreamSynchronize(stream));
}

void short_result(bool bad)
{
    const convolution c = make_convolution(bad ? N - 1 : N, 0);
    convolve(&c, nullptr);
}

void short_room(bool bad)
{
    enum { ROOM = 8192 };
    const convolution c = make_convolution(N, 2);
    convolve(&c, on_device<char>(ROOM - bad));
}

void unordered_engine(bool bad)
{
    const convolution c = make_convolution(N, bad ? 21 : 19); /* without tensor cores, whose products are exact here */
    float first[N];
    for (int run = 0; run < RUNS; run++) {
        convolve(&c, nullptr);
        expect_again(run, c.y, first, "a convolution");
    }
}
