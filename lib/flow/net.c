/* net.c - the kinds of networks as lists of convolutions, and their forward and backward pass */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actnorm_init.h"
#include "net_private.h"

/* Tape: output in reals | input map | hidden maps | output map | inputs of gates (maps) and attentions (reals) |
 * scratch. Without `keep` all hidden maps share two: a layer reads its input and, if residual, the map that its output
 * replaces. */
static wf_map *hidden(const wf_net *net, void *tape, int i)
{
    size_t place = (size_t)net->layers[i].place * net->hidden_bytes;
    if (net->layers[i].rebuilt)
        return (wf_map *)((char *)net->shape->spare->memory + place);
    return (wf_map *)((char *)tape + net->real_out_bytes + net->in_bytes + place);
}

/* Returns whether backward computes the output of layer i again: h + 1x1(h'), a tenth of the products of the 3x3 before
 * it. Backends that record launch too much for that. */
static bool is_cheap(const wf_net *net, int i)
{
    const layer *l = &net->layers[i];
    return !net->shape->backend->record && i > 0 && l->tail == PLAIN && l->spec.residual && l->spec.k == 1 &&
           net->layers[i - 1].spec.k > 1;
}

/* Gives the output of each layer but the last a place. */
static void place_maps(wf_net *net)
{
    bool keep = net->shape->keep;
    for (int i = 0; i + 1 < net->count; i++) {
        layer *l = &net->layers[i];
        l->rebuilt = keep && net->shape->lean && is_cheap(net, i);
        l->place = l->rebuilt ? net->spare_maps++ : keep ? net->hidden_maps++ : i % 2;
    }
    if (!keep)
        net->hidden_maps = net->count < 3 ? net->count - 1 : 2;
}

static wf_map *input_map(const wf_net *net, void *tape)
{
    return (wf_map *)((char *)tape + net->real_out_bytes);
}

static wf_map *output_map(const wf_net *net, void *tape)
{
    return (wf_map *)((char *)tape + net->real_out_bytes + net->in_bytes +
                      (size_t)net->hidden_maps * net->hidden_bytes);
}

/* The input of the gate or attention of a layer. */
static void *tail_input(const wf_net *net, void *tape, const layer *l)
{
    return (char *)output_map(net, tape) + net->out_bytes + (net->shape->keep ? l->tail_input : 0);
}

static void *scratch_of(const wf_net *net, void *tape)
{
    return (char *)output_map(net, tape) + net->out_bytes + net->tail_input_bytes;
}

static wf_map *normed_map(const wf_net *net, void *tape)
{
    return (wf_map *)((char *)scratch_of(net, tape) + net->qkv_bytes + net->attended_bytes);
}

wf_real *wf_net_output(const wf_net *net, void *tape)
{
    (void)net;
    return tape;
}

static wf_map_shape shape_of(const wf_net *net, int channels)
{
    const wf_stage_shape *c = net->shape;
    return (wf_map_shape){c->N, c->H, c->W, channels, c->precision};
}

static size_t map_bytes(const wf_net *net, wf_map_shape *shape, int channels)
{
    *shape = shape_of(net, channels);
    return wf_round64(net->shape->backend->map_bytes(net->shape->backend, shape));
}

/* Appends a layer. spec: its convolution; the input channels are filled in here. */
static int add_layer(wf_net *net, wf_bijector *owner, const char *name, wf_conv_spec spec, tail_kind tail)
{
    spec.in = net->count ? net->layers[net->count - 1].channels : net->spec.take + net->shape->C;
    layer *layers = realloc(net->layers, (size_t)(net->count + 1) * sizeof *layers);
    WF_CHECK(layers, WF_AGAIN, "net: out of memory");
    net->layers = layers;
    int channels = spec.out / (tail == GATE ? 2 : tail == ATTENTION ? 3 : 1);
    layers[net->count++] = (layer){.spec = spec, .tail = tail, .channels = channels};
    if (tail == ATTENTION)
        owner->radius = WF_RADIUS_ALL;
    char whole[24];
    snprintf(whole, sizeof whole, "%s%s", net->spec.prefix ? net->spec.prefix : "", name);
    return wf_bijector_declare_conv(owner, whole, spec);
}

/* Convolution of layer i, and its parameters. */
static const wf_bijector_conv *conv_of(const wf_net *net, int i)
{
    return &net->owner->convs[net->first + i];
}

static wf_weights weights_of(const wf_net *net, int i, const wf_real *params, wf_real *grads)
{
    return wf_bijector_weights(net->owner, net->first + i, params, grads);
}

static int append_conv(wf_net *net, wf_bijector *owner, const char *name, int out, int k, bool relu, bool residual)
{
    return add_layer(net, owner, name, (wf_conv_spec){.out = out, .k = k, .relu = relu, .residual = residual}, PLAIN);
}

/* Puts a layer normalization before the last layer added. */
static void norm_last(wf_net *net)
{
    net->layers[net->count - 1].normed = true;
}

static int res_layers(wf_net *net, wf_bijector *owner)
{
    int W = net->spec.width, k = net->shape->kernel;
    WF_TRY(append_conv(net, owner, "in", W, 1, true, false));
    for (int i = 0; i < net->spec.blocks; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.a", i);
        WF_TRY(append_conv(net, owner, name, W, k, true, false));
        snprintf(name, sizeof name, "%d.b", i);
        WF_TRY(append_conv(net, owner, name, W, 1, true, true));
    }
    return append_conv(net, owner, "out", net->spec.out, k, false, false);
}

static int glow_layers(wf_net *net, wf_bijector *owner)
{
    int k = net->shape->kernel;
    WF_TRY(append_conv(net, owner, "in", net->spec.width, k, true, false));
    WF_TRY(append_conv(net, owner, "middle", net->spec.width, 1, true, false));
    return append_conv(net, owner, "out", net->spec.out, k, false, false);
}

/* Blocks of a 3x3 and a gate; with `attention` each is followed by an attention and a gate. */
static int gate_layers(wf_net *net, wf_bijector *owner, bool attention)
{
    int W = net->spec.width, k = net->shape->kernel;
    WF_TRY(append_conv(net, owner, "in", W, k, true, false));
    for (int i = 0; i < net->spec.blocks; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.a", i);
        WF_TRY(append_conv(net, owner, name, W, k, true, false));
        snprintf(name, sizeof name, "%d.b", i);
        WF_TRY(add_layer(net, owner, name, (wf_conv_spec){.out = 2 * W, .k = 1}, GATE));
        snprintf(name, sizeof name, "%d.qkv", i);
        if (attention)
            WF_TRY(add_layer(net, owner, name, (wf_conv_spec){.out = 3 * W, .k = 1}, ATTENTION));
        snprintf(name, sizeof name, "%d.c", i);
        if (attention)
            WF_TRY(add_layer(net, owner, name, (wf_conv_spec){.out = 2 * W, .k = 1}, GATE));
    }
    return append_conv(net, owner, "out", net->spec.out, k, false, false);
}

static int gated_layers(wf_net *net, wf_bijector *owner)
{
    return gate_layers(net, owner, false);
}

static int attention_layers(wf_net *net, wf_bijector *owner)
{
    return gate_layers(net, owner, true);
}

static int transformer_layers(wf_net *net, wf_bijector *owner)
{
    int W = net->spec.width, k = net->spec.reach == WF_REACH_ALL ? net->shape->kernel : 1;
    WF_TRY(append_conv(net, owner, "in", W, k, false, false));
    for (int i = 0; i < net->spec.blocks; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.qkv", i);
        WF_TRY(add_layer(net, owner, name, (wf_conv_spec){.out = 3 * W, .k = 1}, ATTENTION));
        norm_last(net);
        snprintf(name, sizeof name, "%d.a", i);
        WF_TRY(append_conv(net, owner, name, W, 1, false, true));
        snprintf(name, sizeof name, "%d.b", i);
        WF_TRY(append_conv(net, owner, name, 4 * W, 1, true, false));
        norm_last(net);
        snprintf(name, sizeof name, "%d.c", i);
        WF_TRY(append_conv(net, owner, name, W, 1, false, true));
    }
    return append_conv(net, owner, "out", net->spec.out, 1, false, false);
}

static int dense_layers(wf_net *net, wf_bijector *owner)
{
    WF_TRY(append_conv(net, owner, "in", net->spec.width, 1, true, false));
    for (int i = 0; i < net->spec.blocks; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        WF_TRY(append_conv(net, owner, name, net->spec.width, 1, true, false));
    }
    return append_conv(net, owner, "out", net->spec.out, 1, false, false);
}

static int pair_layers(wf_net *net, wf_bijector *owner)
{
    WF_TRY(append_conv(net, owner, "in", net->spec.width, net->shape->kernel, true, false));
    return append_conv(net, owner, "out", net->spec.out, 1, false, false);
}

static int conv_layers(wf_net *net, wf_bijector *owner)
{
    return append_conv(net, owner, "out", net->spec.out, net->shape->kernel, false, false);
}

/* name, default width, default number of blocks (0: the kind has none), has heads, layers for the manual */
/* clang-format off */
#define NETS(row)                                                                                             \
    row(res, 128, 3, false, "1x1; per block h = relu(h + 1x1(relu(3x3(h)))); 3x3 (official Wavelet Flow)")    \
    row(glow, 512, 0, false, "3x3; 1x1; 3x3 (Glow, 2018)")                                                    \
    row(gated, 96, 10, false, "3x3; per block h = relu(h + a sigmoid(b)), (a, b) = 1x1(relu(3x3(h))); 3x3 "   \
                              "(Flow++, 2019)")                                                               \
    row(attention, 96, 10, true, "gated, with gated attention over all pixels after each block "              \
                                 "(Flow++, 2019)")                                                            \
    row(transformer, 128, 3, true, "3x3; per block attention over all pixels and a 1x1 network four times "   \
                                   "as wide, both normalized before and residual; 1x1 (Vaswani et al., 2017)") \
    row(dense, 128, 3, false, "1x1; per block relu(1x1(h)); 1x1: each pixel alone")                           \
    row(pair, 128, 0, false, "3x3; 1x1")                                                                      \
    row(conv, 0, 0, false, "3x3 alone: a linear map")
/* clang-format on */

static const struct kind {
    int width, blocks;
    bool heads;
    int (*layers)(wf_net *net, wf_bijector *owner);
    const char *summary;
} kinds[] = {
#define KIND(name, width, blocks, heads, summary) {width, blocks, heads, name##_layers, summary},
    NETS(KIND)};

const char *const wf_net_names[] = {
#define NAME(name, width, blocks, heads, summary) #name,
    NETS(NAME) NULL};

wf_net_text wf_net_describe(int kind)
{
    const struct kind *of = &kinds[kind];
    return (wf_net_text){of->width, of->blocks, of->heads, of->summary};
}

int wf_net_kind(const char *name)
{
    int kind = 0;
    while (strcmp(wf_net_names[kind], name))
        kind++;
    return kind;
}

/* Sets the bytes of hidden maps, of the inputs of gates and attentions, and of the scratch of attention and
 * normalization. */
static void measure_maps(wf_net *net)
{
    const wf_stage_shape *c = net->shape;
    size_t each = (size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)net->spec.width * c->backend->real;
    for (int i = 0; i < net->count; i++) {
        layer *l = &net->layers[i];
        wf_map_shape wide;
        size_t bytes = map_bytes(net, &wide, l->channels);
        if (i + 1 < net->count && bytes > net->hidden_bytes)
            net->hidden_bytes = bytes;
        if (l->normed)
            net->norm_bytes = map_bytes(net, &wide, net->spec.width);
        bytes = map_bytes(net, &wide, l->spec.out);
        if (l->tail == PLAIN)
            continue;
        if (l->tail == ATTENTION) {
            net->qkv_bytes = bytes;
            net->attended_bytes = wf_round64(each);
            bytes = wf_round64(3 * each);
        }
        l->tail_input = net->tail_input_bytes;
        if (c->keep)
            net->tail_input_bytes += bytes;
        else if (bytes > net->tail_input_bytes)
            net->tail_input_bytes = bytes;
    }
}

/* Bytes that layer_backward needs for the gradient between a layer's output and its convolution. */
static size_t layer_work_bytes(const wf_net *net)
{
    wf_map_shape both;
    return net->norm_bytes + (net->qkv_bytes          ? net->qkv_bytes + 4 * net->attended_bytes
                              : net->tail_input_bytes ? map_bytes(net, &both, 2 * net->spec.width)
                                                      : 0);
}

/* Fills in defaults: the kind's width and blocks; 4 heads if they divide the width, else 2, else 1. */
static int set_defaults(wf_net_spec *spec)
{
    const struct kind *kind = &kinds[spec->kind];
    const char *name = wf_net_names[spec->kind];
    WF_CHECK(!spec->width || kind->width, WF_USAGE, "net: %s has no width", name);
    WF_CHECK(!spec->blocks || kind->blocks, WF_USAGE, "net: %s has no blocks", name);
    WF_CHECK(!spec->heads || kind->heads, WF_USAGE, "net: %s has no heads", name);
    spec->width = spec->width ? spec->width : kind->width;
    spec->blocks = spec->blocks ? spec->blocks : kind->blocks;
    spec->heads = spec->heads ? spec->heads : spec->width % 4 == 0 ? 4 : spec->width % 2 == 0 ? 2 : 1;
    WF_CHECK(!kind->heads || spec->width % spec->heads == 0, WF_USAGE,
             "net: %s: %d heads do not divide its width of %d", name, spec->heads, spec->width);
    return WF_OK;
}

int wf_net_create(wf_bijector *owner, const wf_net_spec *spec, wf_net **result)
{
    wf_stage_shape *c = owner->shape;
    wf_net_spec whole = *spec;
    WF_TRY(set_defaults(&whole));
    wf_net *net = calloc(1, sizeof *net);
    WF_CHECK(net, WF_AGAIN, "net: out of memory");
    *result = net;
    *net = (wf_net){.owner = owner, .shape = c, .spec = whole, .first = owner->conv_count};
    WF_TRY(kinds[spec->kind].layers(net, owner));
    net->in_bytes = map_bytes(net, &net->in_shape, spec->take + c->C);
    net->hidden_shape = shape_of(net, whole.width);
    net->out_bytes = map_bytes(net, &net->out_shape, spec->out);
    net->real_out_bytes = wf_round64((size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)spec->out * c->backend->real);
    measure_maps(net);
    place_maps(net);
    if ((size_t)net->spare_maps * net->hidden_bytes > c->spare->bytes)
        c->spare->bytes = (size_t)net->spare_maps * net->hidden_bytes;
    owner->tape_bytes += net->real_out_bytes + net->in_bytes + (size_t)net->hidden_maps * net->hidden_bytes +
                         net->out_bytes + net->tail_input_bytes + net->qkv_bytes + net->attended_bytes +
                         net->norm_bytes;
    owner->work_bytes += 3 * net->hidden_bytes + net->in_bytes + net->out_bytes + layer_work_bytes(net);
    return WF_OK;
}

void wf_net_destroy(wf_net *net)
{
    if (!net)
        return;
    free(net->layers);
    free(net);
}

void wf_net_init(const wf_net *net, uint64_t seed, uint64_t first, double *values)
{
    for (int i = 0; i + 1 < net->count; i++) {
        const wf_bijector_conv *c = conv_of(net, i);
        wf_init_normal(seed, first + c->w, 0.05, values + c->w, c->bias - c->w);
    }
}

/* Attention: y from the map `wide` of queries, keys and values. qkv receives them in reals, for backward. */
static int attend(const wf_net *net, const wf_map *wide, wf_real *qkv, wf_real *plain, wf_map *y)
{
    const wf_stage_shape *c = net->shape;
    wf_backend *b = c->backend;
    int W = net->spec.width;
    wf_map_shape shape = shape_of(net, 3 * W);
    WF_TRY(b->unpack(b, &shape, wide, qkv));
    WF_TRY(b->attend(b, net->spec.reach, c->N, c->H * c->W, W, net->spec.heads, qkv, plain));
    return b->pack(b, &net->hidden_shape, W, W, plain, 0, NULL, y);
}

/* The maps that layer i reads and writes. */
static wf_map *layer_input(const wf_net *net, void *tape, int i)
{
    return i ? hidden(net, tape, i - 1) : input_map(net, tape);
}

static wf_map *layer_output(const wf_net *net, void *tape, int i)
{
    return i + 1 < net->count ? hidden(net, tape, i) : output_map(net, tape);
}

/* Sets *x to the input of layer i's convolution: the layer's input, normalized if the layer says so. */
static int conv_input(const wf_net *net, void *tape, int i, wf_map **x)
{
    wf_backend *b = net->shape->backend;
    *x = net->layers[i].normed ? normed_map(net, tape) : layer_input(net, tape, i);
    return net->layers[i].normed ? b->norm(b, &net->hidden_shape, layer_input(net, tape, i), *x) : WF_OK;
}

static bool is_residual(const layer *l)
{
    return l->spec.residual || l->tail == GATE;
}

static wf_map *residual_input(const wf_net *net, void *tape, int i)
{
    return is_residual(&net->layers[i]) ? layer_input(net, tape, i - 1) : NULL;
}

static int layer_forward(const wf_net *net, int i, const wf_weights *weights, void *tape)
{
    wf_backend *b = net->shape->backend;
    const layer *l = &net->layers[i];
    wf_map *wide = l->tail == GATE ? tail_input(net, tape, l) : scratch_of(net, tape), *y = layer_output(net, tape, i),
           *x;
    WF_TRY(conv_input(net, tape, i, &x));
    WF_TRY(b->conv_forward(b, conv_of(net, i)->conv, weights, x, l->tail == PLAIN ? residual_input(net, tape, i) : NULL,
                           l->tail == PLAIN ? y : wide));
    if (l->tail == GATE)
        return b->gate(b, &net->hidden_shape, wide, residual_input(net, tape, i), y);
    wf_real *plain = (wf_real *)((char *)wide + net->qkv_bytes);
    return l->tail == ATTENTION ? attend(net, wide, tail_input(net, tape, l), plain, y) : WF_OK;
}

int wf_net_forward(wf_net *net, const wf_real *params, const wf_real *x, const wf_real *cond, void *tape, wf_real **out)
{
    wf_stage_shape *c = net->shape;
    wf_backend *b = c->backend;
    c->spare->net = NULL;
    WF_TRY(b->pack(b, &net->in_shape, net->spec.take, net->spec.K, x, c->C, cond, input_map(net, tape)));
    for (int i = 0; i < net->count; i++) {
        wf_weights weights = weights_of(net, i, params, NULL);
        WF_TRY(layer_forward(net, i, &weights, tape));
    }
    c->spare->net = net;
    c->spare->tape = tape;
    *out = wf_net_output(net, tape);
    return b->unpack(b, &net->out_shape, output_map(net, tape), *out);
}

/* *dy: gradient by attention's output on entry; on return a map in `work`, the gradient by its convolution's output. */
static int attend_backward(const wf_net *net, const wf_real *qkv, void *work, wf_map **dy)
{
    const wf_stage_shape *c = net->shape;
    wf_backend *b = c->backend;
    int W = net->spec.width;
    wf_map_shape shape = shape_of(net, 3 * W);
    wf_map *wide = work;
    wf_real *plain = (wf_real *)((char *)work + net->qkv_bytes);
    wf_real *dqkv = (wf_real *)((char *)plain + net->attended_bytes);
    WF_TRY(b->unpack(b, &net->hidden_shape, *dy, plain));
    WF_TRY(b->attend_backward(b, net->spec.reach, c->N, c->H * c->W, W, net->spec.heads, qkv, plain, dqkv));
    *dy = wide;
    return b->pack(b, &shape, 3 * W, 3 * W, dqkv, 0, NULL, wide);
}

/* dy: gradient of the layer's output without `past`, the part that skipped the layers above (NULL: none). Overwritten
 * by the gradient before the relu. dx is overwritten by the gradient of the layer's input. `skip` is the part that
 * skips this layer (NULL: none); only a normalizing layer adds it to dx. */
static int layer_backward(const wf_net *net, int i, const wf_real *params, void *tape, const wf_map *past,
                          const wf_map *skip, wf_map *dy, wf_map *dx, wf_real *grads, void *work)
{
    wf_backend *b = net->shape->backend;
    const layer *l = &net->layers[i];
    wf_map *dnormed = work, *x;
    work = (char *)work + net->norm_bytes;
    if (l->tail == GATE) {
        WF_TRY(b->relu_backward(b, &net->hidden_shape, layer_output(net, tape, i), past, dy));
        WF_TRY(b->gate_backward(b, &net->hidden_shape, tail_input(net, tape, l), dy, work));
        dy = work;
    }
    if (l->tail == ATTENTION) /* has no relu, and no gradient skips it */
        WF_TRY(attend_backward(net, tail_input(net, tape, l), work, &dy));
    wf_weights weights = weights_of(net, i, params, grads);
    WF_TRY(conv_input(net, tape, i, &x));
    WF_TRY(b->conv_backward(b, conv_of(net, i)->conv, &weights, x, layer_output(net, tape, i), past, dy,
                            l->normed ? dnormed : dx));
    return l->normed ? b->norm_backward(b, &net->hidden_shape, layer_input(net, tape, i), dnormed, skip, dx) : WF_OK;
}

/* Makes the outputs that are not in the tape once more, the same bits, unless they are still there. */
static int rebuild(const wf_net *net, const wf_real *params, void *tape)
{
    wf_spare *spare = net->shape->spare;
    if (spare->net == net && spare->tape == tape)
        return WF_OK;
    spare->net = NULL;
    for (int i = 0; i + 1 < net->count; i++) {
        wf_weights weights = weights_of(net, i, params, NULL);
        if (net->layers[i].rebuilt)
            WF_TRY(layer_forward(net, i, &weights, tape));
    }
    spare->net = net;
    spare->tape = tape;
    return WF_OK;
}

int wf_net_backward(wf_net *net, const wf_real *params, const wf_real *dout, wf_real *grads, wf_real *dx,
                    wf_real *dcond, void *tape, void *work)
{
    wf_stage_shape *c = net->shape;
    wf_backend *b = c->backend;
    wf_map *din = (wf_map *)((char *)work + 3 * net->hidden_bytes);
    wf_map *dy = (wf_map *)((char *)din + net->in_bytes), *skip = NULL, *past = NULL;
    void *inner = (char *)dy + net->out_bytes;

    WF_TRY(rebuild(net, params, tape));
    WF_TRY(b->pack(b, &net->out_shape, net->spec.out, net->spec.out, dout, 0, NULL, dy));
    for (int i = net->count - 1; i > 0; i--) {
        /* Three maps take turns: `skip` and `past` hold gradients that skip layers and must stay. */
        wf_map *to = work;
        while (to == dy || to == skip || to == past)
            to = (wf_map *)((char *)to + net->hidden_bytes);
        WF_TRY(layer_backward(net, i, params, tape, past, skip, dy, to, grads, inner));
        past = net->layers[i].normed ? NULL : skip;
        skip = is_residual(&net->layers[i]) ? dy : NULL;
        dy = to;
    }
    WF_TRY(layer_backward(net, 0, params, tape, past, NULL, dy, din, grads, inner));
    return b->pack_backward(b, &net->in_shape, net->spec.take, net->spec.K, dx, c->C, dcond, din);
}

/* Sets layer i's actnorm from the output of its bare convolution. y, scratch: memory for that output. */
static int init_actnorm(const wf_net *net, int i, const wf_weights *weights, wf_real *params, const wf_map *x,
                        wf_map *y, wf_real *scratch)
{
    wf_stage_shape *c = net->shape;
    wf_backend *b = c->backend;
    wf_conv_spec plain = net->layers[i].spec;
    wf_conv *conv;
    wf_map_shape shape = shape_of(net, plain.out);
    plain.relu = plain.residual = false;
    wf_real *offset = wf_at(b, params, conv_of(net, i)->bias), *logs = wf_at(b, params, conv_of(net, i)->logs);
    WF_TRY(wf_stage_conv(c, plain, &conv));
    WF_TRY(b->zero(b, offset, (size_t)plain.out * b->real));
    WF_TRY(b->zero(b, logs, (size_t)plain.out * b->real));
    WF_TRY(b->conv_forward(b, conv, weights, x, NULL, y));
    WF_TRY(b->unpack(b, &shape, y, scratch));
    return wf_actnorm_init(c, plain.out, scratch, offset, logs);
}

int wf_net_data_init(wf_net *net, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    wf_stage_shape *c = net->shape;
    wf_backend *b = c->backend;
    size_t pixels = (size_t)c->N * (size_t)c->H * (size_t)c->W;
    void *memory = NULL;
    int status = WF_OK;
    if (net->count == 1)
        return WF_OK;
    /* scratch: one tensor of reals and one map, as wide as the widest convolution except the last */
    int widest = 0;
    for (int i = 0; i + 1 < net->count; i++)
        widest = net->layers[i].spec.out > widest ? net->layers[i].spec.out : widest;
    wf_map_shape shape;
    size_t plain = wf_round64(pixels * (size_t)widest * b->real);
    WF_TRY(b->alloc(b, plain + map_bytes(net, &shape, widest), &memory));
    wf_real *scratch = memory;
    wf_map *y = (wf_map *)((char *)memory + plain), *x_i;
    c->spare->net = NULL;
    WF_GO(b->pack(b, &net->in_shape, net->spec.take, net->spec.K, x, c->C, cond, input_map(net, tape)));
    for (int i = 0; i + 1 < net->count; i++) {
        wf_weights weights = weights_of(net, i, params, NULL);
        weights.folded = NULL; /* folded from other parameters */
        WF_GO(conv_input(net, tape, i, &x_i));
        WF_GO(init_actnorm(net, i, &weights, params, x_i, y, scratch));
        WF_GO(layer_forward(net, i, &weights, tape));
    }
out:
    b->free(b, memory);
    return status;
}
