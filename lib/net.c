/* net.c - the kinds of networks as lists of convolutions, and how such a list is run */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>

#include "stats.h"

/* A convolution with its actnorm: offsets of w, b, l in the owner's parameters. */
typedef struct layer {
    wf_conv *conv;
    wf_conv_spec spec;
    size_t w, b, l, weights;
} layer;

/* A layer may be residual: it adds the input of the layer before. Hidden map i is the output of layer i, except the last's. */
struct wf_net {
    wf_context *context;
    int take, out, width, blocks;
    layer *layers;
    int count;
    wf_map_shape in_shape, hidden_shape, out_shape;
    size_t in_bytes, hidden_bytes, out_bytes; /* of maps */
    size_t st_bytes;                          /* of the output as reals */
};

/* Tape: output as reals | input map | hidden maps | output map. When nothing is kept, hidden maps share two: a layer needs its
 * input and, if residual, what lies where its output goes. */
static int hidden_maps(const wf_net *net)
{
    int hidden = net->count - 1;
    return net->context->keep || hidden < 2 ? hidden : 2;
}

static wf_map *hidden(const wf_net *net, void *tape, int i)
{
    int place = net->context->keep ? i : i % 2;
    return (wf_map *)((char *)tape + net->st_bytes + net->in_bytes + (size_t)place * net->hidden_bytes);
}

static wf_map *input_map(const wf_net *net, void *tape)
{
    return (wf_map *)((char *)tape + net->st_bytes);
}

static wf_map *output_map(const wf_net *net, void *tape)
{
    return (wf_map *)((char *)tape + net->st_bytes + net->in_bytes + (size_t)hidden_maps(net) * net->hidden_bytes);
}

wf_real *wf_net_output(const wf_net *net, void *tape)
{
    (void)net;
    return tape;
}

static int declare(wf_bijector *owner, const char *name, wf_conv_spec spec, layer *out)
{
    char text[32];
    int64_t shape[5] = {spec.out}, channels = spec.out;
    int axes = wf_axes(owner->context->signal);
    for (int i = 0; i < axes; i++)
        shape[1 + i] = spec.k;
    shape[1 + axes] = spec.in;
    snprintf(text, sizeof text, "%s.w", name);
    int64_t w = wf_bijector_param(owner, text, axes + 2, shape);
    snprintf(text, sizeof text, "%s.b", name);
    int64_t b = wf_bijector_param(owner, text, 1, &channels);
    snprintf(text, sizeof text, "%s.l", name);
    int64_t l = wf_bijector_param(owner, text, 1, &channels);
    WF_CHECK(w >= 0 && b >= 0 && l >= 0, WF_AGAIN, "net: out of memory");
    *out = (layer){.spec = spec, .w = (size_t)w, .b = (size_t)b, .l = (size_t)l, .weights = (size_t)(b - w)};
    return wf_context_conv(owner->context, spec, &out->conv);
}

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static size_t map_bytes(const wf_net *net, wf_map_shape *shape, int channels)
{
    const wf_context *c = net->context;
    *shape = (wf_map_shape){c->N, c->H, c->W, channels, c->precision};
    return round64(c->backend->map_bytes(c->backend, shape));
}

/* The next layer of width `out` and side k, on all that is there so far. */
static int append(wf_net *net, wf_bijector *owner, const char *name, int out, int k, bool relu, bool residual)
{
    int in = net->count ? net->layers[net->count - 1].spec.out : net->take + net->context->C;
    layer *layers = realloc(net->layers, (size_t)(net->count + 1) * sizeof *layers);
    WF_CHECK(layers, WF_AGAIN, "net: out of memory");
    net->layers = layers;
    wf_conv_spec spec = {.in = in, .out = out, .k = k, .relu = relu, .residual = residual};
    return declare(owner, name, spec, &layers[net->count++]);
}

static int res_layers(wf_net *net, wf_bijector *owner)
{
    int W = net->width, k = net->context->kernel;
    WF_TRY(append(net, owner, "in", W, 1, true, false));
    for (int i = 0; i < net->blocks; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.a", i);
        WF_TRY(append(net, owner, name, W, k, true, false));
        snprintf(name, sizeof name, "%d.b", i);
        WF_TRY(append(net, owner, name, W, 1, true, true));
    }
    return append(net, owner, "out", net->out, k, false, false);
}

static int glow_layers(wf_net *net, wf_bijector *owner)
{
    int k = net->context->kernel;
    WF_TRY(append(net, owner, "in", net->width, k, true, false));
    WF_TRY(append(net, owner, "middle", net->width, 1, true, false));
    return append(net, owner, "out", net->out, k, false, false);
}

static int dense_layers(wf_net *net, wf_bijector *owner)
{
    WF_TRY(append(net, owner, "in", net->width, 1, true, false));
    for (int i = 0; i < net->blocks; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        WF_TRY(append(net, owner, name, net->width, 1, true, false));
    }
    return append(net, owner, "out", net->out, 1, false, false);
}

static int conv_layers(wf_net *net, wf_bijector *owner)
{
    return append(net, owner, "out", net->out, net->context->kernel, false, false);
}

/* name, usual width, usual number of blocks (0: has none) */
#define NETS(row) row(res, 128, 3) row(glow, 512, 0) row(dense, 128, 3) row(conv, 0, 0)

static const struct kind {
    int width, blocks;
    int (*layers)(wf_net *net, wf_bijector *owner);
} kinds[] = {
#define KIND(name, width, blocks) {width, blocks, name##_layers},
    NETS(KIND)};

const char *const wf_net_names[] = {
#define NAME(name, width, blocks) #name,
    NETS(NAME) NULL};

int wf_net_create(wf_bijector *owner, int kind, int take, int out, int width, int blocks, wf_net **result)
{
    wf_context *c = owner->context;
    const struct kind *of = &kinds[kind];
    WF_CHECK(!width || of->width, WF_USAGE, "net: %s has no width", wf_net_names[kind]);
    WF_CHECK(!blocks || of->blocks, WF_USAGE, "net: %s has no blocks", wf_net_names[kind]);
    wf_net *net = calloc(1, sizeof *net);
    WF_CHECK(net, WF_AGAIN, "net: out of memory");
    *result = net;
    *net = (wf_net){.context = c, .take = take, .out = out};
    net->width = width ? width : of->width;
    net->blocks = blocks ? blocks : of->blocks;
    WF_TRY(of->layers(net, owner));
    net->in_bytes = map_bytes(net, &net->in_shape, take + c->C);
    net->hidden_bytes = net->count > 1 ? map_bytes(net, &net->hidden_shape, net->width) : 0;
    net->out_bytes = map_bytes(net, &net->out_shape, out);
    net->st_bytes = round64((size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)out * c->backend->real);
    owner->tape_bytes += net->st_bytes + net->in_bytes + (size_t)hidden_maps(net) * net->hidden_bytes + net->out_bytes;
    owner->work_bytes += 2 * net->hidden_bytes + net->in_bytes + net->out_bytes;
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
        const layer *l = &net->layers[i];
        wf_init_normal(seed, first + l->w, 0.05, values + l->w, l->weights);
    }
}

static int apply(const wf_net *net, const layer *l, const wf_real *params, const wf_map *x, const wf_map *residual,
                 wf_map *y)
{
    wf_backend *b = net->context->backend;
    return b->conv_forward(b, l->conv, wf_at(b, params, l->w), wf_at(b, params, l->b), wf_at(b, params, l->l), x,
                           residual, y);
}

/* Where layer i reads and writes. */
static wf_map *source(const wf_net *net, void *tape, int i)
{
    return i ? hidden(net, tape, i - 1) : input_map(net, tape);
}

static wf_map *target(const wf_net *net, void *tape, int i)
{
    return i + 1 < net->count ? hidden(net, tape, i) : output_map(net, tape);
}

static wf_map *residual(const wf_net *net, void *tape, int i)
{
    return net->layers[i].spec.residual ? source(net, tape, i - 1) : NULL;
}

int wf_net_forward(wf_net *net, const wf_real *params, const wf_real *x, const wf_real *cond, void *tape, wf_real **out)
{
    wf_context *c = net->context;
    wf_backend *b = c->backend;
    WF_TRY(b->pack(b, &net->in_shape, net->take, c->K, x, c->C, cond, input_map(net, tape)));
    for (int i = 0; i < net->count; i++)
        WF_TRY(apply(net, &net->layers[i], params, source(net, tape, i), residual(net, tape, i), target(net, tape, i)));
    *out = wf_net_output(net, tape);
    return b->unpack(b, &net->out_shape, output_map(net, tape), *out);
}

static int retreat(const wf_net *net, const layer *l, const wf_real *params, const wf_map *x, const wf_map *dy,
                   wf_map *dx, wf_real *grads)
{
    wf_backend *b = net->context->backend;
    return b->conv_backward(b, l->conv, wf_at(b, params, l->w), wf_at(b, params, l->b), wf_at(b, params, l->l), x, dy,
                            dx, grads ? wf_at(b, grads, l->w) : NULL, grads ? wf_at(b, grads, l->b) : NULL,
                            grads ? wf_at(b, grads, l->l) : NULL);
}

int wf_net_backward(wf_net *net, const wf_real *params, const wf_real *dout, wf_real *grads, wf_real *dx,
                    wf_real *dcond, void *tape, void *work)
{
    wf_context *c = net->context;
    wf_backend *b = c->backend;
    wf_map *spare[2] = {work, (wf_map *)((char *)work + net->hidden_bytes)};
    wf_map *din = (wf_map *)((char *)work + 2 * net->hidden_bytes);
    wf_map *dy = (wf_map *)((char *)din + net->in_bytes), *skip = NULL;

    WF_TRY(b->pack(b, &net->out_shape, net->out, net->out, dout, 0, NULL, dy));
    for (int i = net->count - 1; i > 0; i--) {
        /* The gradient that goes past a residual layer and the one before waits in its place. For the result of those two
         * there is the output of the residual layer, which is no longer needed. */
        wf_map *past = skip, *to = past ? target(net, tape, i + 1) : dy == spare[0] ? spare[1] : spare[0];
        skip = net->layers[i].spec.residual ? dy : NULL;
        WF_TRY(retreat(net, &net->layers[i], params, source(net, tape, i), dy, to, grads));
        WF_TRY(b->relu_backward(b, &net->hidden_shape, source(net, tape, i), past, to));
        dy = to;
    }
    WF_TRY(retreat(net, &net->layers[0], params, input_map(net, tape), dy, din, grads));
    return b->pack_backward(b, &net->in_shape, net->take, c->K, dx, c->C, dcond, din);
}

/* The layer's convolution alone, from which its actnorm is set; `y` and the output of the tape are scratch. */
static int normalize(const wf_net *net, const layer *l, wf_real *params, const wf_map *x, wf_map *y, wf_real *scratch)
{
    wf_context *c = net->context;
    wf_backend *b = c->backend;
    wf_conv_spec plain = l->spec;
    wf_conv *conv;
    wf_map_shape shape = {c->N, c->H, c->W, plain.out, c->precision};
    plain.relu = plain.residual = false;
    wf_real *offset = wf_at(b, params, l->b), *logs = wf_at(b, params, l->l);
    WF_TRY(wf_context_conv(c, plain, &conv));
    WF_TRY(b->zero(b, offset, (size_t)plain.out * b->real));
    WF_TRY(b->zero(b, logs, (size_t)plain.out * b->real));
    WF_TRY(b->conv_forward(b, conv, wf_at(b, params, l->w), offset, logs, x, NULL, y));
    WF_TRY(b->unpack(b, &shape, y, scratch));
    return wf_stats_actnorm(b, (size_t)c->N * (size_t)c->H * (size_t)c->W, plain.out, scratch, offset, logs);
}

int wf_net_data_init(wf_net *net, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    wf_context *c = net->context;
    wf_backend *b = c->backend;
    size_t pixels = (size_t)c->N * (size_t)c->H * (size_t)c->W;
    void *memory = NULL;
    int status = WF_OK;
    if (net->count == 1)
        return WF_OK;
    /* scratch: one plain tensor of hidden width, and one map */
    size_t plain = round64(pixels * (size_t)net->width * b->real);
    WF_TRY(b->alloc(b, plain + net->hidden_bytes, &memory));
    wf_real *scratch = memory;
    wf_map *y = (wf_map *)((char *)memory + plain);
    WF_GO(b->pack(b, &net->in_shape, net->take, c->K, x, c->C, cond, input_map(net, tape)));
    for (int i = 0; i + 1 < net->count; i++) {
        const layer *l = &net->layers[i];
        WF_GO(normalize(net, l, params, source(net, tape, i), y, scratch));
        WF_GO(apply(net, l, params, source(net, tape, i), residual(net, tape, i), target(net, tape, i)));
    }
out:
    b->free(b, memory);
    return status;
}
