/* graph.cu - convolutions by cuDNN's graph API, through its C descriptors
 *
 * A graph is a convolution in one direction; going forward, bias and relu follow it. cuDNN lists the engines that can
 * run the graph. wf_cuda_graph_create takes the fastest of those that sum in a fixed order and in the requested
 * precision. */
#include <stdio.h>
#include <string.h>

#include "conv.h"

enum { CANDIDATES = 8, MOST = 48 };
enum { X = 1, W, Y, BIAS, CONVOLVED, SHIFTED }; /* unique ids of tensors; the last two exist within the graph only */

#define WF_DNN(call)                           \
    do {                                       \
        cudnnStatus_t wf_dnn_status_ = (call); \
        if (wf_dnn_status_)                    \
            return dnn_failed(wf_dnn_status_); \
    } while (0)

static int dnn_failed(cudnnStatus_t status)
{
    char why[256] = "";
    char what[80];
    cudnnGetLastErrorString(why, sizeof why);
    snprintf(what, sizeof what, "cuDNN: %.60s", cudnnGetErrorString(status));
    return wf_cuda_library_failed(what, why, status == CUDNN_STATUS_ALLOC_FAILED);
}

/* Descriptors made on the way to a plan; all are destroyed together. */
typedef struct bag {
    cudnnBackendDescriptor_t all[MOST];
    int count;
} bag;

static int make(bag *b, cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out)
{
    WF_CHECK(b->count < MOST, WF_INTERNAL, "cuda: too many descriptors");
    WF_DNN(cudnnBackendCreateDescriptor(type, out));
    b->all[b->count++] = *out;
    return WF_OK;
}

static void empty(bag *b)
{
    while (b->count)
        (void)cudnnBackendDestroyDescriptor(b->all[--b->count]);
}

static int set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
               int64_t count, const void *values)
{
    WF_DNN(cudnnBackendSetAttribute(d, name, type, count, values));
    return WF_OK;
}

static int set_descriptor(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value)
{
    return set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static int finalize(cudnnBackendDescriptor_t d)
{
    WF_DNN(cudnnBackendFinalize(d));
    return WF_OK;
}

/* A tensor [n,d,h,w,c] in memory. cuDNN takes the order n, c, d, h, w with strides; d = 0 leaves d out. */
static int tensor(bag *b, int64_t id, bool bf16, int64_t n, int64_t d, int64_t h, int64_t w, int64_t c,
                  cudnnBackendDescriptor_t *out)
{
    int64_t deep[5] = {n, c, d, h, w}, deep_strides[5] = {d * h * w * c, 1, h * w * c, w * c, c}, alignment = 16;
    int64_t flat[4] = {n, c, h, w}, flat_strides[4] = {h * w * c, 1, w * c, c}, rank = d ? 5 : 4;
    cudnnDataType_t type = bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    bool within = id == CONVOLVED || id == SHIFTED;
    WF_TRY(make(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out));
    WF_TRY(set(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type));
    WF_TRY(set(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, d ? deep : flat));
    WF_TRY(set(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, d ? deep_strides : flat_strides));
    WF_TRY(set(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id));
    WF_TRY(set(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment));
    if (within)
        WF_TRY(set(*out, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &within));
    return finalize(*out);
}

static int convolution(bag *b, const wf_conv_spec *s, cudnnBackendDescriptor_t *out)
{
    wf_conv_box box = wf_conv_box_of(s);
    int64_t ones[3] = {1, 1, 1}, all[3] = {box.d / 2, box.h / 2, box.w / 2};
    int64_t axes = s->signal == WF_VOLUME ? 3 : 2, *pads = all + 3 - axes;
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    WF_TRY(make(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out));
    WF_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute));
    WF_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode));
    WF_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes));
    WF_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, axes, ones));
    WF_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, axes, ones));
    WF_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, axes, pads));
    WF_TRY(set(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, axes, pads));
    return finalize(*out);
}

/* cuDNN's names for each direction. */
static const struct names {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
} names[WF_CUDA_DIRECTIONS] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static int convolve(bag *b, const wf_cuda_graph *g, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w,
                    cudnnBackendDescriptor_t y, cudnnBackendDescriptor_t *out)
{
    const struct names *n = &names[g->direction];
    const float one = 1, zero = 0;
    cudnnBackendDescriptor_t conv;
    WF_TRY(convolution(b, &g->spec, &conv));
    WF_TRY(make(b, n->operation, out));
    WF_TRY(set_descriptor(*out, n->convolution, conv));
    WF_TRY(set_descriptor(*out, n->x, x));
    WF_TRY(set_descriptor(*out, n->w, w));
    WF_TRY(set_descriptor(*out, n->y, y));
    WF_TRY(set(*out, n->alpha, CUDNN_TYPE_FLOAT, 1, &one));
    WF_TRY(set(*out, n->beta, CUDNN_TYPE_FLOAT, 1, &zero));
    return finalize(*out);
}

/* y = mode(x, beside); with one operand, beside is NULL. */
static int pointwise(bag *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t beside,
                     cudnnBackendDescriptor_t y, cudnnBackendDescriptor_t *out)
{
    cudnnBackendDescriptor_t what;
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    WF_TRY(make(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &what));
    WF_TRY(set(what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode));
    WF_TRY(set(what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute));
    WF_TRY(finalize(what));
    WF_TRY(make(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out));
    WF_TRY(set_descriptor(*out, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what));
    WF_TRY(set_descriptor(*out, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x));
    if (beside)
        WF_TRY(set_descriptor(*out, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, beside));
    WF_TRY(set_descriptor(*out, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y));
    return finalize(*out);
}

/* Appends the operations of the graph, in order. */
static int operations(bag *b, const wf_cuda_graph *g, cudnnBackendDescriptor_t ops[3], int *count)
{
    const wf_conv_spec *s = &g->spec;
    bool bf16 = s->precision == WF_BF16;
    cudnnBackendDescriptor_t x, w, y, bias, convolved, shifted;
    wf_conv_box k = wf_conv_box_of(s);
    bool deep = s->signal == WF_VOLUME; /* pictures, and sounds of one row, have two axes */
    int64_t D = deep ? k.D : 0;
    WF_TRY(tensor(b, X, bf16, s->N, D, k.H, k.W, s->in, &x));
    WF_TRY(
        tensor(b, W, g->direction == WF_CUDA_WEIGHTS ? g->narrow : bf16, s->out, deep ? k.d : 0, k.h, k.w, s->in, &w));
    WF_TRY(tensor(b, Y, bf16, s->N, D, k.H, k.W, s->out, &y));
    *count = 1;
    if (!g->fused)
        return convolve(b, g, x, w, y, &ops[0]);
    WF_TRY(tensor(b, BIAS, bf16, 1, deep, 1, 1, s->out, &bias));
    WF_TRY(tensor(b, CONVOLVED, false, s->N, D, k.H, k.W, s->out, &convolved));
    WF_TRY(convolve(b, g, x, w, convolved, &ops[0]));
    if (s->relu)
        WF_TRY(tensor(b, SHIFTED, false, s->N, D, k.H, k.W, s->out, &shifted));
    WF_TRY(pointwise(b, CUDNN_POINTWISE_ADD, convolved, bias, s->relu ? shifted : y, &ops[1]));
    *count = 2;
    if (s->relu)
        WF_TRY(pointwise(b, CUDNN_POINTWISE_RELU_FWD, shifted, NULL, y, &ops[(*count)++]));
    return WF_OK;
}

/* Tests whether an engine may be used: it must sum in a fixed order, and not round where single precision is exact. */
static int acceptable(bag *b, const wf_cuda_graph *g, cudnnBackendDescriptor_t config, bool *yes)
{
    cudnnBackendDescriptor_t engine;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = 0;
    WF_TRY(make(b, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine));
    WF_DNN(cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                    &engine));
    WF_DNN(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                    CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes));
    *yes = true;
    for (int64_t i = 0; i < count; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
            notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION ||
            (g->spec.precision == WF_FP32 &&
             (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)))
            *yes = false;
    return WF_OK;
}

typedef struct trial {
    wf_cuda_graph *g;
    cudnnBackendDescriptor_t plans[CANDIDATES];
    size_t workspaces[CANDIDATES];
    int count;
    char *x, *w, *y, *bias;
} trial;

/* Adds the plan of a configuration; a configuration that gives no plan is skipped. */
static int add_plan(wf_cuda *cuda, cudnnBackendDescriptor_t config, trial *t)
{
    bag own = {{NULL}, 0};
    cudnnBackendDescriptor_t plan;
    int64_t workspace = 0, count = 0;
    WF_TRY(make(&own, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan));
    cudnnStatus_t where =
        cuda->properties
            ? cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                       &cuda->properties)
            : cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &cuda->dnn);
    bool made = !where &&
                !cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                          1, &config) &&
                !cudnnBackendFinalize(plan) &&
                !cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                          &workspace);
    if (!made) {
        empty(&own);
        return WF_OK;
    }
    t->workspaces[t->count] = (size_t)workspace;
    t->plans[t->count++] = plan;
    return WF_OK;
}

/* Adds plans for the configurations that one of cuDNN's heuristics proposes. */
static int guess(wf_cuda *cuda, bag *b, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode, trial *t)
{
    cudnnBackendDescriptor_t heuristics, configs[CANDIDATES];
    int64_t found = 0;
    WF_TRY(make(b, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics));
    WF_TRY(set_descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
    if (cuda->properties)
        WF_TRY(set_descriptor(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, cuda->properties));
    WF_TRY(set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode));
    if (cudnnBackendFinalize(heuristics))
        return WF_OK; /* the heuristic proposes nothing */
    for (int i = 0; i < CANDIDATES; i++)
        WF_TRY(make(b, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]));
    WF_DNN(cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                    CANDIDATES, &found, configs));
    for (int64_t i = 0; i < found && i < CANDIDATES; i++) {
        bag engine = {{NULL}, 0};
        bool yes = false;
        int status = acceptable(&engine, t->g, configs[i], &yes);
        empty(&engine);
        WF_TRY(status);
        if (yes)
            WF_TRY(add_plan(cuda, configs[i], t));
    }
    return WF_OK;
}

/* The first heuristic knows shapes, but offers no exact engine in single precision; the second one does. */
static int find_plans(wf_cuda *cuda, trial *t)
{
    const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    const wf_conv_spec *s = &t->g->spec;
    cudnnBackendDescriptor_t ops[3], graph;
    bag b = {{NULL}, 0};
    int count, status = operations(&b, t->g, ops, &count);
    if (!status)
        status = make(&b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &graph);
    if (!status && !cuda->properties)
        status = set(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &cuda->dnn);
    if (!status)
        status = set(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, ops);
    if (!status)
        status = finalize(graph);
    for (int i = 0; i < 2 && !status && !t->count; i++)
        status = guess(cuda, &b, graph, modes[i], t);
    empty(&b);
    WF_TRY(status);
    WF_CHECK(t->count, WF_INTERNAL, "cuda: cuDNN has no engine for %d -> %d channels, %dx%d, N %d, %d x %d", s->in,
             s->out, s->k, s->k, s->N, s->H, s->W);
    return WF_OK;
}

int wf_cuda_graph_run(wf_cuda *cuda, const wf_cuda_graph *g, void *x, void *w, void *y, void *bias)
{
    int64_t ids[4] = {X, W, Y, BIAS}, count = g->fused ? 4 : 3;
    void *pointers[4] = {x, w, y, bias}, *workspace;
    bag b = {{NULL}, 0};
    cudnnBackendDescriptor_t pack;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->workspace, g->workspace, &workspace));
    int status = make(&b, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
    if (!status)
        status = set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
    if (!status)
        status = set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers);
    if (!status)
        status = set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    if (!status)
        status = finalize(pack);
    if (!status) {
        cudnnStatus_t ran = cudnnBackendExecute(cuda->dnn, g->plan, pack);
        status = ran ? dnn_failed(ran) : WF_OK;
    }
    empty(&b);
    return status;
}

static int way(wf_cuda *cuda, void *user, int i)
{
    trial *t = (trial *)user;
    t->g->plan = t->plans[i];
    t->g->workspace = t->workspaces[i];
    return wf_cuda_graph_run(cuda, t->g, t->x, t->w, t->y, t->bias);
}

static int prepare(wf_cuda *cuda, const wf_conv_spec *s, trial *t)
{
    size_t pixels = (size_t)s->N * (size_t)s->H * (size_t)s->W, w = (size_t)(wf_conv_taps(s) * s->in) * (size_t)s->out;
    size_t x = pixels * (size_t)s->in, y = pixels * (size_t)s->out, most = x > y ? x : y;
    most = ((most > w ? most : w) * sizeof(float) + 255) / 256 * 256;
    WF_TRY(wf_cuda_pool_take(cuda, &cuda->scratch, 4 * most, &t->x));
    t->w = t->x + most;
    t->y = t->w + most;
    t->bias = t->y + most;
    return wf_cuda_fill(cuda, s->precision == WF_BF16, 4 * most / (s->precision == WF_BF16 ? 2 : 4), t->x);
}

static int choose(wf_cuda *cuda, wf_cuda_graph *g, trial *t, int *best)
{
    const wf_conv_spec *s = &g->spec;
    char key[200];
    wf_conv_box b = wf_conv_box_of(s);
    snprintf(key, sizeof key,
             "graph %d precision %d N %d D %d H %d W %d in %d out %d k %dx%dx%d relu %d fused %d narrow %d",
             (int)g->direction, (int)s->precision, s->N, b.D, b.H, b.W, s->in, s->out, b.d, b.h, b.w, s->relu, g->fused,
             g->narrow);
    WF_TRY(prepare(cuda, s, t));
    return wf_cuda_choose(cuda, key, t->count, way, t, best);
}

int wf_cuda_graph_engines(wf_cuda *cuda, wf_cuda_graph *g, int *count)
{
    trial t;
    memset(&t, 0, sizeof t);
    t.g = g;
    int status = find_plans(cuda, &t);
    *count = t.count;
    for (int i = 0; i < t.count; i++)
        (void)cudnnBackendDestroyDescriptor(t.plans[i]);
    return status;
}

int wf_cuda_graph_create(wf_cuda *cuda, wf_cuda_graph *g)
{
    trial t;
    int best = -1;
    memset(&t, 0, sizeof t);
    t.g = g;
    int status = find_plans(cuda, &t);
    if (!status)
        status = choose(cuda, g, &t, &best);
    g->plan = NULL;
    for (int i = 0; i < t.count; i++)
        if (status || i != best)
            (void)cudnnBackendDestroyDescriptor(t.plans[i]);
    WF_TRY(status);
    g->plan = t.plans[best];
    g->workspace = t.workspaces[best];
    void *unused; /* the workspace grows here, so that a recording need not grow it */
    return wf_cuda_pool_take(cuda, &cuda->workspace, g->workspace, &unused);
}

void wf_cuda_graph_clear(wf_cuda_graph *g)
{
    if (g->plan)
        (void)cudnnBackendDestroyDescriptor(g->plan);
    memset(g, 0, sizeof *g);
}
