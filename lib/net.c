/* net.c - forward, backward and initialization of the residual coupling network */
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

struct wf_net {
    wf_context *context;
    int take, out, width, blocks;
    layer in, last;
    layer *a, *b; /* [blocks]: 3x3 and 1x1 */
    wf_map_shape in_shape, hidden_shape, out_shape;
    size_t in_bytes, hidden_bytes, out_bytes; /* of maps */
    size_t st_bytes;                          /* of the output as reals */
};

/* Tape: output as reals | input map | hidden maps h0 a0 h1 a1 .. hB | output map.
 * When nothing is kept, all h share one map, and all a another. */
static int hidden_maps(const wf_net *net)
{
    return net->context->keep ? 2 * net->blocks + 1 : 2;
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
    int64_t shape[4] = {spec.out, spec.k, spec.k, spec.in}, channels = spec.out;
    snprintf(text, sizeof text, "%s.w", name);
    int64_t w = wf_bijector_param(owner, text, 4, shape);
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

static int declare_layers(wf_net *net, wf_bijector *owner)
{
    int W = net->width, k = net->context->kernel;
    wf_conv_spec in = {.in = net->take + net->context->C, .out = W, .k = 1, .relu = true};
    wf_conv_spec a = {.in = W, .out = W, .k = k, .relu = true};
    wf_conv_spec b = {.in = W, .out = W, .k = 1, .relu = true, .residual = true};
    wf_conv_spec last = {.in = W, .out = net->out, .k = k};
    WF_TRY(declare(owner, "in", in, &net->in));
    for (int i = 0; i < net->blocks; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.a", i);
        WF_TRY(declare(owner, name, a, &net->a[i]));
        snprintf(name, sizeof name, "%d.b", i);
        WF_TRY(declare(owner, name, b, &net->b[i]));
    }
    return declare(owner, "out", last, &net->last);
}

int wf_net_create(wf_bijector *owner, int take, int out, int width, int blocks, wf_net **result)
{
    wf_context *c = owner->context;
    wf_net *net = calloc(1, sizeof *net);
    WF_CHECK(net, WF_AGAIN, "net: out of memory");
    *result = net;
    *net = (wf_net){.context = c, .take = take, .out = out, .width = width, .blocks = blocks};
    net->a = calloc((size_t)blocks, sizeof *net->a);
    net->b = calloc((size_t)blocks, sizeof *net->b);
    WF_CHECK(net->a && net->b, WF_AGAIN, "net: out of memory");
    WF_TRY(declare_layers(net, owner));
    net->in_bytes = map_bytes(net, &net->in_shape, take + c->C);
    net->hidden_bytes = map_bytes(net, &net->hidden_shape, width);
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
    free(net->a);
    free(net->b);
    free(net);
}

void wf_net_init(const wf_net *net, uint64_t seed, uint64_t first, double *values)
{
    wf_init_normal(seed, first + net->in.w, 0.05, values + net->in.w, net->in.weights);
    for (int i = 0; i < net->blocks; i++) {
        wf_init_normal(seed, first + net->a[i].w, 0.05, values + net->a[i].w, net->a[i].weights);
        wf_init_normal(seed, first + net->b[i].w, 0.05, values + net->b[i].w, net->b[i].weights);
    }
}

static int apply(const wf_net *net, const layer *l, const wf_real *params, const wf_map *x, const wf_map *residual,
                 wf_map *y)
{
    wf_backend *b = net->context->backend;
    return b->conv_forward(b, l->conv, wf_at(b, params, l->w), wf_at(b, params, l->b), wf_at(b, params, l->l), x,
                           residual, y);
}

int wf_net_forward(wf_net *net, const wf_real *params, const wf_real *x, const wf_real *cond, void *tape, wf_real **out)
{
    wf_context *c = net->context;
    wf_backend *b = c->backend;
    WF_TRY(b->pack(b, &net->in_shape, net->take, c->K, x, c->C, cond, input_map(net, tape)));
    WF_TRY(apply(net, &net->in, params, input_map(net, tape), NULL, hidden(net, tape, 0)));
    for (int i = 0; i < net->blocks; i++) {
        wf_map *h = hidden(net, tape, 2 * i), *a = hidden(net, tape, 2 * i + 1), *next = hidden(net, tape, 2 * i + 2);
        WF_TRY(apply(net, &net->a[i], params, h, NULL, a));
        WF_TRY(apply(net, &net->b[i], params, a, h, next));
    }
    WF_TRY(apply(net, &net->last, params, hidden(net, tape, 2 * net->blocks), NULL, output_map(net, tape)));
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
    const wf_map_shape *shape = &net->hidden_shape;
    wf_map *dh = work, *da = (wf_map *)((char *)work + net->hidden_bytes);
    wf_map *din = (wf_map *)((char *)work + 2 * net->hidden_bytes);
    wf_map *dlast = (wf_map *)((char *)din + net->in_bytes);

    WF_TRY(b->pack(b, &net->out_shape, net->out, net->out, dout, 0, NULL, dlast));
    WF_TRY(retreat(net, &net->last, params, hidden(net, tape, 2 * net->blocks), dlast, dh, grads));
    WF_TRY(b->relu_backward(b, shape, hidden(net, tape, 2 * net->blocks), NULL, dh));
    for (int i = net->blocks - 1; i >= 0; i--) {
        wf_map *h = hidden(net, tape, 2 * i), *a = hidden(net, tape, 2 * i + 1);
        WF_TRY(retreat(net, &net->b[i], params, a, dh, da, grads));
        WF_TRY(b->relu_backward(b, shape, a, NULL, da));
        /* The block's input feels the convolution and, through the residual, dh itself. */
        wf_map *through = hidden(net, tape, 2 * i + 2); /* its own content is no longer needed */
        WF_TRY(retreat(net, &net->a[i], params, h, da, through, grads));
        WF_TRY(b->relu_backward(b, shape, h, dh, through));
        dh = through;
    }
    WF_TRY(retreat(net, &net->in, params, input_map(net, tape), dh, din, grads));
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
    wf_map *in = input_map(net, tape), *h = hidden(net, tape, 0), *a = hidden(net, tape, 1);
    void *memory = NULL;
    int status = WF_OK;
    /* scratch: one plain tensor of hidden width, and one map */
    size_t plain = round64(pixels * (size_t)net->width * b->real);
    WF_TRY(b->alloc(b, plain + net->hidden_bytes, &memory));
    wf_real *scratch = memory;
    wf_map *y = (wf_map *)((char *)memory + plain);
    WF_GO(b->pack(b, &net->in_shape, net->take, c->K, x, c->C, cond, in));
    WF_GO(normalize(net, &net->in, params, in, y, scratch));
    WF_GO(apply(net, &net->in, params, in, NULL, h));
    for (int i = 0; i < net->blocks; i++) {
        WF_GO(normalize(net, &net->a[i], params, h, y, scratch));
        WF_GO(apply(net, &net->a[i], params, h, NULL, a));
        WF_GO(normalize(net, &net->b[i], params, a, y, scratch));
        WF_GO(apply(net, &net->b[i], params, a, h, h));
    }
out:
    b->free(b, memory);
    return status;
}
