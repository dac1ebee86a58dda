/* conv_blocked.c - convolutions of blocked maps by oneDNN
 *
 * Channels are padded to whole blocks with zero weights, so that oneDNN sees even shapes only and every algorithm
 * accepts them. Each call multiplies weights and bias by the scale exp(3 logs). Primitives are created once per plan;
 * oneDNN's own cache shares them between plans of one shape. */
#include "conv.h"

#include <math.h>
#include <string.h>

#define DNNL_TRY(call)                                                                                            \
    do {                                                                                                          \
        dnnl_status_t dnnl_try_status = (call);                                                                   \
        WF_CHECK(dnnl_try_status == dnnl_success, dnnl_try_status == dnnl_out_of_memory ? WF_AGAIN : WF_INTERNAL, \
                 "conv: %s gives oneDNN status %d", #call, (int)dnnl_try_status);                                 \
    } while (0)

/* -- one primitive ------------------------------------------------------------------------------------------------- */

typedef struct argument {
    int name; /* DNNL_ARG_ .. */
    wf_dnnl_const_md md;
} argument;

static int op_argument(wf_cpu *cpu, wf_cpu_op *op, int name, wf_dnnl_const_md md)
{
    DNNL_TRY(dnnl_memory_create(&op->args[op->count].memory, md, cpu->engine, DNNL_MEMORY_NONE));
    op->args[op->count++].arg = name;
    return WF_OK;
}

/* Sets the arguments in the order in which op_run takes their buffers; the scratchpad comes last. */
static int op_create(wf_cpu *cpu, dnnl_primitive_desc_t pd, const argument *arguments, int count, wf_cpu_op *op)
{
    for (int i = 0; i < count; i++)
        WF_TRY(op_argument(cpu, op, arguments[i].name, arguments[i].md));
    wf_dnnl_const_md scratchpad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    op->scratchpad = dnnl_memory_desc_get_size(scratchpad);
    WF_TRY(op_argument(cpu, op, DNNL_ARG_SCRATCHPAD, scratchpad));
    DNNL_TRY(dnnl_primitive_create(&op->primitive, pd));
    return WF_OK;
}

static int op_run(wf_cpu *cpu, wf_cpu_op *op, void *const *buffers)
{
    for (int i = 0; i < op->count; i++)
        DNNL_TRY(dnnl_memory_set_data_handle(op->args[i].memory, buffers[i]));
    DNNL_TRY(dnnl_primitive_execute(op->primitive, cpu->stream, op->count, op->args));
    DNNL_TRY(dnnl_stream_wait(cpu->stream));
    return WF_OK;
}

static void op_destroy(wf_cpu_op *op)
{
    for (int i = 0; i < op->count; i++)
        dnnl_memory_destroy(op->args[i].memory);
    dnnl_primitive_destroy(op->primitive);
}

/* -- descriptions -------------------------------------------------------------------------------------------------- */

/* Everything that oneDNN needs to know about one convolution. */
typedef struct plan {
    wf_dnnl_md source, result, weights, bias;
    wf_dnnl_md plain_weights; /* [out,taps,in], both channels padded to blocks, single precision */
    /* The arrays of the weights' gradient, which is in single precision for any precision of the maps. */
    wf_dnnl_md weights_source, weights_result, gradient;
    dnnl_dims_t stride, pad;     /* along the spatial axes, two or three */
    dnnl_primitive_attr_t plain; /* attributes: the caller gives the scratchpad */
    dnnl_primitive_attr_t fused,
        beside; /* attributes: also residual and relu; the residual is in y (fused) or elsewhere (beside) */
} plan;

/* Volumes have a third axis. A sound is a picture of one row, and so is its kernel. In memory slices are rows. */
static bool is_deep(const wf_conv_spec *s)
{
    return s->signal == WF_VOLUME;
}

/* oneDNN with blocks of 8, as without AVX-512, computes the weights' gradient of volumes only by its reference, a
 * thousand times slower. */
static bool wants_plain(const wf_conv *conv)
{
    return is_deep(&conv->spec) && conv->in.block == 8;
}

static int map_descriptor(const wf_conv_spec *s, const wf_cpu_layout *l, bool plain, wf_dnnl_md *md)
{
    wf_conv_box b = wf_conv_box_of(s);
    dnnl_dims_t flat = {s->N, l->channels, b.H, b.W}, deep = {s->N, l->channels, b.D, b.H, b.W};
    dnnl_data_type_t type = l->bf16 ? dnnl_bf16 : dnnl_f32;
    bool wide = l->block == 16, rows = plain || l->nhwc;
    if (is_deep(s))
        DNNL_TRY(wf_dnnl_md_create(md, 5, deep, type, rows ? dnnl_ndhwc : wide ? dnnl_nCdhw16c : dnnl_nCdhw8c));
    else
        DNNL_TRY(wf_dnnl_md_create(md, 4, flat, type, rows ? dnnl_nhwc : wide ? dnnl_nChw16c : dnnl_nChw8c));
    return WF_OK;
}

static int weights_descriptor(const wf_conv *conv, dnnl_data_type_t type, bool any, wf_dnnl_md *md)
{
    wf_conv_box b = wf_conv_box_of(&conv->spec);
    dnnl_dims_t flat = {conv->out.channels, conv->in.channels, b.h, b.w};
    dnnl_dims_t deep = {conv->out.channels, conv->in.channels, b.d, b.h, b.w};
    if (is_deep(&conv->spec))
        DNNL_TRY(wf_dnnl_md_create(md, 5, deep, type, any ? dnnl_format_tag_any : dnnl_odhwi));
    else
        DNNL_TRY(wf_dnnl_md_create(md, 4, flat, type, any ? dnnl_format_tag_any : dnnl_ohwi));
    return WF_OK;
}

/* A residual in y is a sum with the result's old value; a residual elsewhere is an operand, which saves copying it. */
static int fused_operations(const wf_conv_spec *s, wf_dnnl_const_md operand, dnnl_primitive_attr_t attr)
{
    dnnl_post_ops_t chain;
    dnnl_status_t status = dnnl_success;
    DNNL_TRY(dnnl_post_ops_create(&chain));
    if (s->residual)
        status = operand ? dnnl_post_ops_append_binary(chain, dnnl_binary_add, operand) : wf_dnnl_append_sum(chain);
    if (status == dnnl_success && s->relu)
        status = wf_dnnl_append_relu(chain);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attr, chain);
    dnnl_post_ops_destroy(chain);
    DNNL_TRY(status);
    return WF_OK;
}

static int plan_open(const wf_conv *conv, plan *p)
{
    const wf_conv_spec *s = &conv->spec;
    dnnl_dims_t bias = {conv->out.channels};
    WF_TRY(map_descriptor(s, &conv->in, false, &p->source));
    WF_TRY(map_descriptor(s, &conv->out, false, &p->result));
    WF_TRY(map_descriptor(s, &conv->in, wants_plain(conv), &p->weights_source));
    WF_TRY(map_descriptor(s, &conv->out, wants_plain(conv), &p->weights_result));
    WF_TRY(weights_descriptor(conv, conv->in.bf16 ? dnnl_bf16 : dnnl_f32, true, &p->weights));
    WF_TRY(weights_descriptor(conv, dnnl_f32, true, &p->gradient));
    WF_TRY(weights_descriptor(conv, dnnl_f32, false, &p->plain_weights));
    DNNL_TRY(wf_dnnl_md_create(&p->bias, 1, bias, dnnl_f32, dnnl_x));
    wf_conv_box b = wf_conv_box_of(s);
    const int kernel[3] = {b.d, b.h, b.w}, first = is_deep(s) ? 0 : 1;
    for (int i = first; i < 3; i++) {
        p->stride[i - first] = 1;
        p->pad[i - first] = kernel[i] / 2;
    }
    dnnl_primitive_attr_t *const attributes[] = {&p->plain, &p->fused, &p->beside};
    for (int i = 0; i < 3; i++) {
        DNNL_TRY(dnnl_primitive_attr_create(attributes[i]));
        DNNL_TRY(dnnl_primitive_attr_set_scratchpad_mode(*attributes[i], dnnl_scratchpad_mode_user));
    }
    WF_TRY(fused_operations(s, NULL, p->fused));
    return fused_operations(s, p->result, p->beside);
}

static void plan_close(plan *p)
{
    dnnl_primitive_attr_destroy(p->plain);
    dnnl_primitive_attr_destroy(p->fused);
    dnnl_primitive_attr_destroy(p->beside);
    const wf_dnnl_md descriptors[] = {p->source,        p->result,         p->weights,        p->bias,
                                      p->plain_weights, p->weights_source, p->weights_result, p->gradient};
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        wf_dnnl_md_destroy(descriptors[i]);
}

typedef enum pass {
    FORWARD,
    DATA,
    WEIGHTS,
    BESIDE,
    PASSES
} pass; /* BESIDE: forward with a residual that is not in y */

static dnnl_status_t describe_pass(wf_cpu *cpu, const plan *p, pass which, dnnl_alg_kind_t algorithm,
                                   const_dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *pd)
{
    wf_dnnl_conv c = {dnnl_forward_training, algorithm, p->source, p->weights, p->bias, p->result, p->stride, p->pad};
    if (which == DATA) {
        c.pass = dnnl_backward_data;
        c.bias = NULL;
    }
    if (which == WEIGHTS) {
        c.pass = dnnl_backward_weights;
        c.source = p->weights_source;
        c.weights = p->gradient;
        c.result = p->weights_result;
    }
    const_dnnl_primitive_attr_t attr = which == FORWARD ? p->fused : which == BESIDE ? p->beside : p->plain;
    return wf_dnnl_conv_describe(&c, cpu->engine, hint, attr, pd);
}

/* Describes the pass by a direct convolution, or by the next best that oneDNN has on this machine. */
static int describe_best(wf_cpu *cpu, const plan *p, pass which, const_dnnl_primitive_desc_t hint,
                         dnnl_primitive_desc_t *pd)
{
    dnnl_status_t status = describe_pass(cpu, p, which, dnnl_convolution_direct, hint, pd);
    if (status != dnnl_success)
        status = describe_pass(cpu, p, which, dnnl_convolution_auto, hint, pd);
    DNNL_TRY(status);
    return WF_OK;
}

/* -- a convolution ------------------------------------------------------------------------------------------------- */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t line(size_t bytes) /* rounds up to whole cache lines */
{
    return (bytes + 63) / 64 * 64;
}

static int create_reorder(wf_cpu *cpu, const plan *p, wf_dnnl_const_md from, wf_dnnl_const_md to, wf_cpu_op *op)
{
    dnnl_primitive_desc_t pd;
    DNNL_TRY(dnnl_reorder_primitive_desc_create(&pd, from, cpu->engine, to, cpu->engine, p->plain));
    const argument arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    int status = op_create(cpu, pd, arguments, 2, op);
    dnnl_primitive_desc_destroy(pd);
    return status;
}

static void note_sizes(wf_conv *conv, const wf_cpu_op *op, const wf_cpu_op *reorder, wf_dnnl_const_md weights)
{
    conv->packed = larger(conv->packed, line(dnnl_memory_desc_get_size(weights)));
    conv->scratchpad = larger(conv->scratchpad, larger(op->scratchpad, reorder->scratchpad));
}

static int create_forward(wf_cpu *cpu, wf_conv *conv, const plan *p, dnnl_primitive_desc_t pd)
{
    wf_dnnl_const_md weights = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    const argument arguments[] = {
        {DNNL_ARG_SRC, p->source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_BIAS, p->bias}, {DNNL_ARG_DST, p->result}};
    WF_TRY(op_create(cpu, pd, arguments, 4, &conv->forward));
    WF_TRY(create_reorder(cpu, p, p->plain_weights, weights, &conv->to_forward));
    note_sizes(conv, &conv->forward, &conv->to_forward, weights);
    return WF_OK;
}

static int create_data(wf_cpu *cpu, wf_conv *conv, const plan *p, dnnl_primitive_desc_t pd)
{
    wf_dnnl_const_md weights = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    const argument arguments[] = {
        {DNNL_ARG_DIFF_DST, p->result}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_SRC, p->source}};
    WF_TRY(op_create(cpu, pd, arguments, 3, &conv->data));
    WF_TRY(create_reorder(cpu, p, p->plain_weights, weights, &conv->to_data));
    note_sizes(conv, &conv->data, &conv->to_data, weights);
    return WF_OK;
}

static int create_weights(wf_cpu *cpu, wf_conv *conv, const plan *p, dnnl_primitive_desc_t pd)
{
    wf_dnnl_const_md weights = dnnl_primitive_desc_query_md(pd, dnnl_query_diff_weights_md, 0);
    const argument arguments[] = {{DNNL_ARG_SRC, p->weights_source},
                                  {DNNL_ARG_DIFF_DST, p->weights_result},
                                  {DNNL_ARG_DIFF_WEIGHTS, weights},
                                  {DNNL_ARG_DIFF_BIAS, p->bias}};
    WF_TRY(op_create(cpu, pd, arguments, 4, &conv->weights));
    WF_TRY(create_reorder(cpu, p, weights, p->plain_weights, &conv->from_weights));
    note_sizes(conv, &conv->weights, &conv->from_weights, weights);
    if (!wants_plain(conv))
        return WF_OK;
    WF_TRY(create_reorder(cpu, p, p->source, p->weights_source, &conv->to_source));
    WF_TRY(create_reorder(cpu, p, p->result, p->weights_result, &conv->to_result));
    conv->source = line(dnnl_memory_desc_get_size(p->weights_source));
    conv->result = line(dnnl_memory_desc_get_size(p->weights_result));
    conv->scratchpad = larger(conv->scratchpad, larger(conv->to_source.scratchpad, conv->to_result.scratchpad));
    return WF_OK;
}

/* Creates the forward pass with the residual as one more operand. Skips it where its weights would need another format
 * than those of the forward pass; the residual is then copied into y. */
static int create_beside(wf_cpu *cpu, wf_conv *conv, const plan *p, dnnl_primitive_desc_t pd)
{
    wf_dnnl_const_md weights = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    const argument arguments[] = {{DNNL_ARG_SRC, p->source},
                                  {DNNL_ARG_WEIGHTS, weights},
                                  {DNNL_ARG_BIAS, p->bias},
                                  {DNNL_ARG_DST, p->result},
                                  {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, p->result}};
    wf_dnnl_const_md packed = NULL;
    DNNL_TRY(dnnl_memory_get_memory_desc(conv->forward.args[1].memory, &packed));
    if (!dnnl_memory_desc_equal(weights, packed))
        return WF_OK;
    WF_TRY(op_create(cpu, pd, arguments, 5, &conv->beside));
    conv->scratchpad = larger(conv->scratchpad, conv->beside.scratchpad);
    return WF_OK;
}

static int create_passes(wf_cpu *cpu, wf_conv *conv, const plan *p)
{
    int (*const create[])(wf_cpu *, wf_conv *, const plan *, dnnl_primitive_desc_t) = {create_forward, create_data,
                                                                                       create_weights, create_beside};
    dnnl_primitive_desc_t pd[PASSES] = {NULL, NULL, NULL, NULL};
    int status = WF_OK, passes = conv->spec.residual ? PASSES : BESIDE;
    conv->plain = line(dnnl_memory_desc_get_size(p->plain_weights));
    for (int i = FORWARD; i < passes && !status; i++) {
        if ((i == DATA && conv->way[WF_CONV_DATA] != WF_WAY_ONEDNN) ||
            (i == WEIGHTS && conv->way[WF_CONV_WEIGHTS] != WF_WAY_ONEDNN))
            continue;
        status = describe_best(cpu, p, (pass)i, pd[FORWARD], &pd[i]);
        if (!status)
            status = create[i](cpu, conv, p, pd[i]);
    }
    for (int i = FORWARD; i < PASSES; i++)
        dnnl_primitive_desc_destroy(pd[i]);
    return status;
}

int wf_cpu_blocked_create(wf_cpu *cpu, wf_conv *conv)
{
    plan p;
    memset(&p, 0, sizeof p);
    int status = plan_open(conv, &p);
    if (!status)
        status = create_passes(cpu, conv, &p);
    plan_close(&p);
    return status;
}

void wf_cpu_blocked_destroy(wf_conv *conv)
{
    wf_cpu_op *ops[] = {&conv->forward, &conv->beside,       &conv->data,      &conv->weights,  &conv->to_forward,
                        &conv->to_data, &conv->from_weights, &conv->to_source, &conv->to_result};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        op_destroy(ops[i]);
}

/* The scratch of one call. */
typedef struct buffers {
    float *plain;          /* [out,taps,in], channels padded */
    void *packed;          /* the same weights in oneDNN's format */
    float *scale, *shift;  /* exp(3 logs), and exp(3 logs) bias; [out], padded with zeros */
    void *source, *result; /* maps in the format of the weights' gradient */
    void *scratchpad;
} buffers;

static int buffers_open(wf_cpu *cpu, const wf_conv *conv, const float *bias, const float *logs, buffers *s)
{
    size_t channels = (size_t)conv->out.channels, vector = line(channels * sizeof(float));
    char *memory;
    void *start;
    size_t maps = conv->source + conv->result;
    WF_TRY(wf_cpu_scratch(cpu, conv->plain + conv->packed + 2 * vector + maps + conv->scratchpad + 64, &start));
    memory = start;
    s->plain = (float *)memory;
    s->packed = memory += conv->plain;
    s->scale = (float *)(memory += conv->packed);
    s->shift = (float *)(memory += vector);
    s->source = memory += vector;
    s->result = memory += conv->source;
    s->scratchpad = memory + conv->result;
    for (size_t o = 0; o < channels; o++) {
        bool real = o < (size_t)conv->spec.out;
        s->scale[o] = real ? expf(3.0f * logs[o]) : 0;
        s->shift[o] = real ? s->scale[o] * bias[o] : 0;
    }
    return WF_OK;
}

void wf_cpu_scale_weights(const wf_conv *conv, const float *w, const float *scale, float *plain)
{
    size_t in = (size_t)conv->spec.in, padded = (size_t)conv->in.channels, out = (size_t)conv->out.channels;
    size_t taps = (size_t)wf_conv_taps(&conv->spec);
#pragma omp parallel for schedule(static) if (out * taps * padded > WF_CPU_PARALLEL)
    for (size_t o = 0; o < out; o++) {
        float *to = plain + o * taps * padded;
        if (o >= (size_t)conv->spec.out || in < padded)
            memset(to, 0, taps * padded * sizeof *to);
        if (o >= (size_t)conv->spec.out)
            continue;
        const float *from = w + o * taps * in, factor = scale[o];
        for (size_t t = 0; t < taps; t++)
#pragma omp simd
            for (size_t i = 0; i < in; i++)
                to[t * padded + i] = from[t * in + i] * factor;
    }
}

/* Writes w * scale to s->plain, then reorders it into the format of a pass. */
static int pack_weights(wf_cpu *cpu, const wf_conv *conv, const float *w, wf_cpu_op *reorder, const buffers *s)
{
    wf_cpu_scale_weights(conv, w, s->scale, s->plain);
    return op_run(cpu, reorder, (void *[]){s->plain, s->packed, s->scratchpad});
}

int wf_cpu_blocked_forward(wf_cpu *cpu, wf_conv *conv, const float *w, const float *bias, const float *logs,
                           const void *x, const void *residual, void *y)
{
    buffers s;
    WF_TRY(buffers_open(cpu, conv, bias, logs, &s));
    WF_TRY(pack_weights(cpu, conv, w, &conv->to_forward, &s));
    if (residual && residual != y && conv->beside.primitive)
        return op_run(cpu, &conv->beside, (void *[]){(void *)x, s.packed, s.shift, y, (void *)residual, s.scratchpad});
    if (residual && residual != y)
        memcpy(y, residual, conv->out.count * (conv->out.bf16 ? sizeof(uint16_t) : sizeof(float)));
    return op_run(cpu, &conv->forward, (void *[]){(void *)x, s.packed, s.shift, y, s.scratchpad});
}

void wf_cpu_finish_gradients(const wf_conv_spec *spec, const float *w, const float *bias, const float *scale,
                             const float *plain, size_t padded, const float *sums, float *dw, float *dbias,
                             float *dlogs)
{
    size_t in = (size_t)spec->in, out = (size_t)spec->out, taps = (size_t)wf_conv_taps(spec);
#pragma omp parallel for schedule(static) if (out * taps * padded > WF_CPU_PARALLEL)
    for (size_t o = 0; o < out; o++) {
        const float *from = plain + o * taps * padded, *weight = w + o * taps * in;
        float *to = dw + o * taps * in, factor = scale[o], dot = 0;
        for (size_t t = 0; t < taps; t++)
#pragma omp simd reduction(+ : dot)
            for (size_t i = 0; i < in; i++) {
                float d = from[t * padded + i] * factor;
                to[t * in + i] = d;
                dot += d * weight[t * in + i];
            }
        dbias[o] = sums[o] * factor;
        dlogs[o] = 3.0f * (dot + dbias[o] * bias[o]);
    }
}

int wf_cpu_blocked_backward(wf_cpu *cpu, wf_conv *conv, const float *w, const float *bias, const float *logs,
                            const void *x, const void *dy, void *dx, float *dw, float *dbias, float *dlogs)
{
    buffers s;
    WF_TRY(buffers_open(cpu, conv, bias, logs, &s));
    if (dx) {
        WF_TRY(pack_weights(cpu, conv, w, &conv->to_data, &s));
        WF_TRY(op_run(cpu, &conv->data, (void *[]){(void *)dy, s.packed, dx, s.scratchpad}));
    }
    if (!dw)
        return WF_OK;
    void *source = (void *)x, *result = (void *)dy;
    if (conv->source) {
        WF_TRY(op_run(cpu, &conv->to_source, (void *[]){source, s.source, s.scratchpad}));
        WF_TRY(op_run(cpu, &conv->to_result, (void *[]){result, s.result, s.scratchpad}));
        source = s.source;
        result = s.result;
    }
    WF_TRY(op_run(cpu, &conv->weights, (void *[]){source, result, s.packed, s.shift, s.scratchpad}));
    WF_TRY(op_run(cpu, &conv->from_weights, (void *[]){s.packed, s.plain, s.scratchpad}));
    wf_cpu_finish_gradients(&conv->spec, w, bias, s.scale, s.plain, (size_t)conv->in.channels, s.shift, dw, dbias,
                            dlogs);
    return WF_OK;
}
