/* cond.c - learnt features of the low-pass picture: from this word on the condition of all nets is the low-pass
 * picture's own channels and `channels` features, which a net (net.h) computes from the picture. The features are 0 at
 * first, so training starts as without the word. At the base, where there is no low-pass picture, the word does
 * nothing. */
#include <stdlib.h>

#include "../bijector.h"
#include "../net.h"
#include "../shape.h"

typedef struct encoder {
    wf_net *net;
    int channels;
    size_t dfeatures_at; /* place of the gradient by the features in the work of backward */
} encoder;

static size_t pixels(const wf_stage_shape *c)
{
    return (size_t)c->N * (size_t)c->H * (size_t)c->W;
}

static int create(wf_bijector *self, const int *values)
{
    const wf_stage_shape *c = self->shape;
    if (!c->C)
        return WF_OK;
    encoder *own = calloc(1, sizeof *own);
    WF_CHECK(own, WF_AGAIN, "cond: out of memory");
    self->own = own;
    own->channels = values[0];
    wf_net_spec spec = {.kind = values[3], .out = own->channels, .width = values[1], .blocks = values[2]};
    WF_TRY(wf_net_create(self, &spec, &own->net));
    own->dfeatures_at = self->work_bytes;
    self->work_bytes += pixels(c) * (size_t)own->channels * c->backend->real;
    return wf_bijector_set_condition(self, c->C + own->channels);
}

static void destroy(wf_bijector *self)
{
    encoder *own = self->own;
    if (!own)
        return;
    wf_net_destroy(own->net);
    free(own);
}

static void init(const wf_bijector *self, uint64_t seed, double *values)
{
    const encoder *own = self->own;
    if (own)
        wf_net_init(own->net, seed, self->offset, values);
}

static int data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    encoder *own = self->own;
    return own ? wf_net_data_init(own->net, params, x, cond, tape) : WF_OK;
}

static int encode(wf_bijector *self, const wf_real *params, const wf_real *cond, wf_real *to, void *tape)
{
    encoder *own = self->own;
    const wf_stage_shape *c = self->shape;
    int all = c->C + own->channels;
    wf_real *features;
    WF_TRY(wf_net_forward(own->net, params, cond, cond, tape, &features));
    WF_TRY(wf_copy_channels(c->backend, pixels(c), c->C, cond, c->C, to, all));
    return wf_copy_channels(c->backend, pixels(c), own->channels, features, own->channels,
                            wf_at(c->backend, to, (size_t)c->C), all);
}

static int encode_backward(wf_bijector *self, const wf_real *params, const wf_real *dto, wf_real *dcond, wf_real *grads,
                           void *tape, void *work)
{
    encoder *own = self->own;
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    size_t C = (size_t)c->C, all = C + (size_t)own->channels;
    wf_real *dfeatures = (wf_real *)((char *)work + own->dfeatures_at);
    wf_runs unchanged = {.outer = pixels(c), .inner = 1, .run = C, .from_outer = all, .to_outer = C, .add = true};
    if (dcond)
        WF_TRY(b->copy_runs(b, &unchanged, dcond, dto));
    WF_TRY(wf_copy_channels(b, pixels(c), own->channels, wf_at(b, dto, C), (int)all, dfeatures, own->channels));
    return wf_net_backward(own->net, params, dfeatures, grads, dfeatures, dcond, tape, work);
}

const wf_bijector_type wf_bijector_cond = {
    .name = "cond",
    .summary = "leaves x unchanged; appends features that a network learns of the low-pass picture to the "
               "condition of all words after it; has no effect at the base",
    .options = {{"channels", 16, 1, 1024, NULL, "features", 0},
                {"width", 0, 1, 4096, NULL, "channels of hidden maps", "the network's"},
                {"blocks", 0, 1, 16, NULL, "blocks of the network", "the network's"},
                {"net", 0, 0, 0, wf_net_names, "the network, see NETWORKS", 0}},
    .create = create,
    .destroy = destroy,
    .init = init,
    .data_init = data_init,
    .encode = encode,
    .encode_backward = encode_backward,
};
