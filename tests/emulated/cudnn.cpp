/* cudnn.cpp - graphs of a convolution and the operations after it, by naive loops
 *
 * It answers like cuDNN 9.19 for a real H100 (asked with the properties of that card). The first heuristic lists float
 * engines with tensor cores first; those without stand from place 17 on. No engine gives bf16 weight gradients in
 * float, or takes a bias of another type than the maps. One engine of each kind is not deterministic: it rounds in
 * another way each time. With WF_EMULATED_STRICT=1 one engine gives no plan, and the plan of another fails when it
 * runs. */
#include "cudnn.h"

#include "cuda_bf16.h"
#include "emulated.h"

struct emulated_dnn {
    cudaStream_t stream;
};

/* Sizes and strides in the order n, c, d, h, w; with four dimensions d is 1. */
struct tensor {
    int64_t id, dims[5], strides[5];
    cudnnDataType_t type;
    bool is_virtual;
    bool same_dims(const tensor &o) const
    {
        return !memcmp(dims, o.dims, sizeof dims);
    }
    size_t count() const
    {
        return (size_t)(dims[0] * dims[1] * dims[2] * dims[3] * dims[4]);
    }
    size_t room() const /* numbers from the first to the last */
    {
        int64_t last = 0;
        for (int i = 0; i < 5; i++)
            last += (dims[i] - 1) * strides[i];
        return (size_t)(last + 1);
    }
    size_t bytes() const
    {
        return room() * (type == CUDNN_DATA_BFLOAT16 ? 2 : 4);
    }
};

struct operation {
    enum { FORWARD, DATA, FILTER, ADD, RELU } kind;
    int64_t pad[3];
    tensor x, w, y; /* ADD: w is the other operand; x and y as named */
};

/* Attributes by name, as they were set. Finalizing a descriptor interprets them. */
struct descriptor {
    cudnnBackendDescriptorType_t type;
    bool final = false;
    std::map<int, std::string> values;
    tensor t;
    operation op;
    std::vector<operation> graph; /* for operation graphs, heuristics, configurations and plans */
    bool tensor_cores = true, ordered = true, fails = false, has_plan = true;
    size_t workspace = 0;
    int way = 0; /* the number of the configuration */
};

static thread_local std::string message;

static cudnnStatus_t refuse(cudnnStatus_t status, const char *why)
{
    message = why;
    return status;
}

static size_t size_of(cudnnBackendAttributeType_t type)
{
    return type == CUDNN_TYPE_BOOLEAN ? 1
           : type == CUDNN_TYPE_INT64 || type == CUDNN_TYPE_HANDLE || type == CUDNN_TYPE_VOID_PTR ||
                   type == CUDNN_TYPE_BACKEND_DESCRIPTOR
               ? 8
               : 4;
}

template <typename T> static bool get(const descriptor *d, int name, int64_t count, T *out)
{
    auto found = d->values.find(name);
    if (found == d->values.end() || found->second.size() != (size_t)count * sizeof *out)
        return false;
    memcpy(out, found->second.data(), found->second.size());
    return true;
}

static bool get_final(const descriptor *d, int name, descriptor **out)
{
    return get(d, name, 1, out) && (*out)->final;
}

size_t cudnnGetVersion()
{
    return 91900;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_NOT_SUPPORTED      ? "CUDNN_STATUS_NOT_SUPPORTED"
           : status == CUDNN_STATUS_EXECUTION_FAILED ? "CUDNN_STATUS_EXECUTION_FAILED"
                                                     : "CUDNN_STATUS_BAD_PARAM";
}

void cudnnGetLastErrorString(char *to, size_t bytes)
{
    strncpy(to, message.c_str(), bytes - 1);
    to[bytes - 1] = '\0';
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = new emulated_dnn{nullptr};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d)
{
    descriptor *made = new descriptor;
    made->type = type;
    *d = made;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    delete (descriptor *)d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t handle, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    descriptor *d = (descriptor *)handle;
    if (d->final)
        return refuse(CUDNN_STATUS_BAD_PARAM, "set after finalize");
    d->values[name] = std::string((const char *)values, (size_t)count * size_of(type));
    return CUDNN_STATUS_SUCCESS;
}

/* -- what is finalized --------------------------------------------------------------------------------------------- */

/* Reads four or five numbers; with four, the third is set to `missing`. */
static bool get_dims(const descriptor *d, int name, int64_t missing, int64_t out[5])
{
    int64_t four[4];
    if (!get(d, name, 4, four))
        return get(d, name, 5, out);
    for (int i = 0; i < 5; i++)
        out[i] = i == 2 ? missing : four[i < 2 ? i : i - 1];
    return true;
}

static bool make_tensor(descriptor *d)
{
    tensor *t = &d->t;
    int64_t alignment;
    t->is_virtual = false;
    get(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, 1, &t->is_virtual);
    return get(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, 1, &t->id) && get_dims(d, CUDNN_ATTR_TENSOR_DIMENSIONS, 1, t->dims) &&
           get_dims(d, CUDNN_ATTR_TENSOR_STRIDES, 0, t->strides) && get(d, CUDNN_ATTR_TENSOR_DATA_TYPE, 1, &t->type) &&
           get(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1, &alignment) && t->strides[1] == 1 &&
           t->room() == t->count(); /* read_all expects no gaps */
}

static bool make_convolution(descriptor *d, int kind, int x, int w, int y, int conv)
{
    descriptor *tx, *tw, *ty, *c;
    int64_t pre[3] = {0}, post[3] = {0}, axes = 0;
    if (!get_final(d, x, &tx) || !get_final(d, w, &tw) || !get_final(d, y, &ty) || !get_final(d, conv, &c) ||
        !get(c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 1, &axes) || axes < 2 || axes > 3 ||
        !get(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, axes, pre + 3 - axes) ||
        !get(c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, axes, post + 3 - axes) || memcmp(pre, post, sizeof pre))
        return false;
    d->op.kind = kind == 0 ? operation::FORWARD : kind == 1 ? operation::DATA : operation::FILTER;
    memcpy(d->op.pad, pre, sizeof pre);
    d->op.x = tx->t;
    d->op.w = tw->t;
    d->op.y = ty->t;
    const int64_t *X = d->op.x.dims, *W = d->op.w.dims, *Y = d->op.y.dims;
    bool fits = X[0] == Y[0] && X[1] == W[1] && Y[1] == W[0];
    for (int i = 0; i < 3; i++)
        fits = fits && X[2 + i] + 2 * pre[i] - W[2 + i] + 1 == Y[2 + i];
    return fits;
}

static bool make_pointwise(descriptor *d)
{
    descriptor *what, *x, *y, *beside = nullptr;
    cudnnPointwiseMode_t mode;
    if (!get_final(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, &what) ||
        !get(what, CUDNN_ATTR_POINTWISE_MODE, 1, &mode) || !get_final(d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, &x) ||
        !get_final(d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, &y) || !x->t.same_dims(y->t))
        return false;
    d->op.kind = mode == CUDNN_POINTWISE_ADD ? operation::ADD : operation::RELU;
    d->op.x = x->t;
    d->op.y = y->t;
    if (d->op.kind == operation::RELU)
        return true;
    if (!get_final(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, &beside))
        return false;
    d->op.w = beside->t;
    return beside->t.dims[1] == x->t.dims[1];
}

static bool make_graph(descriptor *d)
{
    auto ops = d->values.find(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    if (ops == d->values.end() || !d->values.count(CUDNN_ATTR_OPERATIONGRAPH_HANDLE))
        return false;
    for (size_t i = 0; i < ops->second.size(); i += sizeof(descriptor *)) {
        descriptor *op;
        memcpy(&op, ops->second.data() + i, sizeof op);
        if (!op->final)
            return false;
        d->graph.push_back(op->op);
    }
    return true;
}

/* Tests whether any engine can run the graph. */
static bool supported(const std::vector<operation> &graph)
{
    cudnnDataType_t type = graph[0].x.type;
    for (const operation &op : graph) {
        if (op.kind == operation::FILTER && op.w.type != type)
            return false;
        if (op.kind == operation::ADD && op.w.type != type)
            return false;
    }
    return graph[0].x.dims[1] % 8 == 0 && graph[0].y.dims[1] % 8 == 0;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t handle)
{
    descriptor *d = (descriptor *)handle, *other = nullptr;
    bool right = true;
    switch (d->type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        right = make_tensor(d);
        break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        right = make_convolution(d, 0, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
        break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        right = make_convolution(
            d, 1, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC);
        break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        right = make_convolution(
            d, 2, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC);
        break;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        right = make_pointwise(d);
        break;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        right = make_graph(d);
        break;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        right = get_final(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, &other);
        if (right && !supported(other->graph))
            return refuse(CUDNN_STATUS_NOT_SUPPORTED, "no engine");
        if (right)
            d->graph = other->graph;
        break;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        right = get_final(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, &other) &&
                d->values.count(CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
        if (right && !other->has_plan)
            return refuse(CUDNN_STATUS_NOT_SUPPORTED, "this engine has no plan");
        if (right) {
            d->graph = other->graph;
            d->workspace = other->workspace;
            d->way = other->way;
            d->tensor_cores = other->tensor_cores;
            d->ordered = other->ordered;
            d->fails = other->fails;
        }
        break;
    default:
        break;
    }
    if (!right)
        return refuse(CUDNN_STATUS_BAD_PARAM, "an attribute is missing or does not fit");
    d->final = true;
    return CUDNN_STATUS_SUCCESS;
}

/* Configurations: how many, how many of float convolutions, and at which place those without tensor cores begin. */
enum { FEW = 5, PLAIN = 17, FLOAT = PLAIN + FEW, WAYS = 3 };

/* Proposes configurations; each third one needs workspace. Without room, counts them. */
static void suggest(const descriptor *heuristics, int64_t room, int64_t *count, descriptor **configs)
{
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    get(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, 1, &mode);
    bool first = mode == CUDNN_HEUR_MODE_A, many = first && heuristics->graph[0].x.type == CUDNN_DATA_FLOAT;
    int64_t all = many ? FLOAT : FEW;
    *count = room && room < all ? room : all;
    for (int64_t i = 0; i < *count && room; i++) {
        descriptor *c = configs[i];
        c->graph = heuristics->graph;
        c->tensor_cores = first && i < PLAIN;
        c->ordered = i % PLAIN != 4;
        c->workspace = i % WAYS == 2 ? 8192 : 0;
        c->way = (int)(i % WAYS);
        c->fails = emulated_strict() && i % PLAIN == 1;
        c->has_plan = !emulated_strict() || i % PLAIN != 3;
        c->final = true;
    }
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t handle, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t room, int64_t *count, void *values)
{
    descriptor *d = (descriptor *)handle;
    if (!d->final)
        return refuse(CUDNN_STATUS_BAD_PARAM, "asked before finalize");
    switch ((int)name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        suggest(d, room, count, (descriptor **)values);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINECFG_ENGINE: {
        descriptor *engine = *(descriptor **)values;
        engine->tensor_cores = d->tensor_cores;
        engine->ordered = d->ordered;
        engine->final = true;
        *count = 1;
        return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        *count = 0;
        if (d->tensor_cores)
            ((cudnnBackendNumericalNote_t *)values)[(*count)++] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        if (!d->ordered)
            ((cudnnBackendNumericalNote_t *)values)[(*count)++] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        *count = 1;
        *(int64_t *)values = (int64_t)d->workspace;
        return CUDNN_STATUS_SUCCESS;
    default:
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "an attribute that is not emulated");
    }
}

/* -- running ------------------------------------------------------------------------------------------------------- */

struct memory {
    std::map<int64_t, void *> given;
    std::map<int64_t, std::vector<float>> within;

    float *place(const tensor &t)
    {
        std::vector<float> &v = within[t.id];
        if (v.empty())
            v.resize(t.count());
        return v.data();
    }
    static size_t at(const tensor &t, int64_t n, int64_t d, int64_t h, int64_t w)
    {
        return (size_t)(n * t.strides[0] + d * t.strides[2] + h * t.strides[3] + w * t.strides[4]);
    }
    float load(const tensor &t, size_t i)
    {
        if (t.is_virtual)
            return place(t)[i];
        return t.type == CUDNN_DATA_BFLOAT16 ? __bfloat162float(((__nv_bfloat16 *)given[t.id])[i])
                                             : ((float *)given[t.id])[i];
    }
    void store(const tensor &t, size_t i, float x)
    {
        if (t.is_virtual)
            place(t)[i] = x;
        else if (t.type == CUDNN_DATA_BFLOAT16)
            ((__nv_bfloat16 *)given[t.id])[i] = __float2bfloat16(x);
        else
            ((float *)given[t.id])[i] = x;
    }
};

/* cores: rounds floats as tensor cores do. */
static std::vector<float> read_all(const tensor &t, bool cores, memory *m)
{
    std::vector<float> out(t.count());
    for (size_t i = 0; i < out.size(); i++)
        out[i] = cores ? emulated_tf32(m->load(t, i)) : m->load(t, i);
    return out;
}

/* Visits every product of x, w and y in a convolution: two of them give the third, by direction. Channels are
 * contiguous. */
static void convolve(const operation &op, int way, bool cores, memory *m)
{
    const tensor &to = op.kind == operation::FORWARD ? op.y : op.kind == operation::DATA ? op.x : op.w;
    std::vector<float> x, w, y;
    if (op.kind != operation::DATA)
        x = read_all(op.x, cores, m);
    if (op.kind != operation::FILTER)
        w = read_all(op.w, cores, m);
    if (op.kind != operation::FORWARD)
        y = read_all(op.y, cores, m);
    std::vector<double> sums(to.count());
    size_t in = (size_t)op.x.dims[1], out = (size_t)op.y.dims[1];
    const int64_t *Y = op.y.dims + 2, *W = op.w.dims + 2, *X = op.x.dims + 2;
    for (int64_t n = 0; n < op.y.dims[0]; n++)
        for (int64_t pixel = 0; pixel < Y[0] * Y[1] * Y[2]; pixel++)
            for (int64_t tap = 0; tap < W[0] * W[1] * W[2]; tap++) {
                int64_t z = pixel / (Y[1] * Y[2]), y_ = pixel / Y[2] % Y[1], x_ = pixel % Y[2];
                int64_t u = tap / (W[1] * W[2]), v = tap / W[2] % W[1], t = tap % W[2];
                int64_t k = z + u - op.pad[0], i = y_ + v - op.pad[1], j = x_ + t - op.pad[2];
                if (k < 0 || i < 0 || j < 0 || k >= X[0] || i >= X[1] || j >= X[2])
                    continue;
                size_t at_x = memory::at(op.x, n, k, i, j), at_y = memory::at(op.y, n, z, y_, x_);
                for (size_t o = 0; o < out; o++) {
                    size_t at_w = memory::at(op.w, (int64_t)o, u, v, t);
                    for (size_t c = 0; c < in; c++)
                        if (op.kind == operation::FORWARD)
                            sums[at_y + o] += (double)x[at_x + c] * (double)w[at_w + c];
                        else if (op.kind == operation::DATA)
                            sums[at_x + c] += (double)y[at_y + o] * (double)w[at_w + c];
                        else
                            sums[at_w + c] += (double)y[at_y + o] * (double)x[at_x + c];
                }
            }
    for (size_t i = 0; i < sums.size(); i++)
        m->store(to, i, emulated_round(sums[i], way));
}

static void point(const operation &op, memory *m)
{
    size_t channels = (size_t)op.x.dims[1], count = op.x.count();
    for (size_t i = 0; i < count; i++) {
        float x = m->load(op.x, i);
        m->store(op.y, i, op.kind == operation::ADD ? x + m->load(op.w, i % channels) : x < 0 ? 0 : x);
    }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_handle,
                                  cudnnBackendDescriptor_t pack_handle)
{
    descriptor *plan = (descriptor *)plan_handle, *pack = (descriptor *)pack_handle;
    int64_t ids[8];
    void *pointers[8], *workspace = nullptr;
    auto found = pack->values.find(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    int64_t count = found == pack->values.end() ? 0 : (int64_t)(found->second.size() / sizeof *ids);
    if (!plan->final || !pack->final || count > 8 || !get(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, count, ids) ||
        !get(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, count, pointers) ||
        !get(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, 1, &workspace) || (plan->workspace && !workspace))
        return refuse(CUDNN_STATUS_BAD_PARAM, "the variant pack does not fit");
    auto m = std::make_shared<memory>();
    for (int64_t i = 0; i < count; i++) {
        if ((uintptr_t)pointers[i] % 16)
            return refuse(CUDNN_STATUS_BAD_PARAM, "a pointer is not aligned");
        m->given[ids[i]] = pointers[i];
    }
    const char *me = __func__;
    int device = emulated_stream_device(handle->stream), way = plan->ordered ? plan->way : -1;
    bool cores = plan->tensor_cores;
    emulated_check_device(me, device);
    if (emulated_loses_device(me))
        return refuse(CUDNN_STATUS_EXECUTION_FAILED, "a kernel does not start");
    if (plan->fails)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "this engine fails when it runs");
    std::vector<operation> graph = plan->graph;
    for (const operation &op : graph)
        for (const tensor *t : {&op.x, &op.y, &op.w})
            if (!(op.kind == operation::RELU && t == &op.w) && !t->is_virtual && !m->given.count(t->id))
                return refuse(CUDNN_STATUS_BAD_PARAM, "a tensor has no memory");
    size_t room = plan->workspace;
    auto check = [=]() {
        emulated_extent(me, "the workspace", workspace, room, device);
        for (const operation &op : graph)
            for (const tensor *t : {&op.x, &op.w, &op.y})
                if (!(op.kind == operation::RELU && t == &op.w) && !t->is_virtual)
                    emulated_extent(me, "an operand", m->given.at(t->id), t->bytes(), device);
    };
    check();
    emulated_enqueue(handle->stream, me, [=]() {
        check();
        if (room)
            memset(workspace, 0xff, room); /* the library may overwrite its workspace */
        for (const operation &op : graph)
            if (op.kind == operation::ADD || op.kind == operation::RELU)
                point(op, m.get());
            else
                convolve(op, way < 0 ? (int)emulated_random(WAYS) : way, cores, m.get());
    });
    return CUDNN_STATUS_SUCCESS;
}
