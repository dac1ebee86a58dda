/* coupling.c - the net of a coupling, its input, and the transform of the other elements */
#include "coupling.h"

#include <stdlib.h>

#include "shares.h"

const char *const wf_mask_names[] = {"halves", "checker", NULL};

typedef struct coupling {
    wf_net *net;
    wf_coupling of;
    size_t seen; /* the first channel that the net sees */
    /* For checker, whose net sees the state with zeros in the transformed elements: bytes of that copy (0: halves), and
     * its place in the tape. */
    size_t masked_bytes, masked;
} coupling;

/* Sets the transformed elements in `of`, and the net's first channel and number of channels. values[2]: mask, [3]:
 * swap. */
static void choose_elements(const wf_stage_shape *c, const int *values, wf_coupling *of, size_t *seen, int *take)
{
    int half = c->K / 2, swap = values[3];
    of->H = c->H;
    of->W = c->W;
    of->K = c->K;
    if (values[2]) {
        of->first = 0;
        of->moved = *take = c->K;
        of->pixels = swap ? WF_EVEN_PIXELS : WF_ODD_PIXELS;
        *seen = 0;
        return;
    }
    of->first = swap ? 0 : half;
    of->moved = swap ? half : c->K - half;
    of->pixels = WF_EVERY_PIXEL;
    *seen = swap ? (size_t)half : 0;
    *take = c->K - of->moved;
}

/* Bytes of the gradient by the transform's parameters, rounded up to cache lines. */
static size_t transform_params_bytes(const wf_bijector *self)
{
    const wf_stage_shape *c = self->shape;
    const coupling *own = self->own;
    size_t n = (size_t)c->N * (size_t)c->H * (size_t)c->W;
    n *= (size_t)(own->of.moved * wf_transform_parameters(&own->of.transform));
    return wf_round64(n * c->backend->real);
}

int wf_coupling_create(wf_bijector *self, const wf_transform *transform, const int *values)
{
    const char *name = self->type->name;
    int take;
    coupling *own = calloc(1, sizeof *own);
    WF_CHECK(own, WF_AGAIN, "%s: out of memory", name);
    self->own = own;
    own->of.transform = *transform;
    WF_CHECK(!values[2] || self->shape->signal != WF_VOLUME, WF_USAGE, "%s: mask=checker is not for volumes", name);
    choose_elements(self->shape, values, &own->of, &own->seen, &take);
    WF_CHECK(take + self->shape->C > 0, WF_USAGE,
             "%s: its net has no input: the state has one channel, and there is no low-pass", name);
    WF_CHECK(own->of.moved > 0, WF_USAGE, "%s: nothing to transform: the state has one channel, and the mask keeps it",
             name);
    const wf_stage_shape *c = self->shape;
    wf_net_spec spec = {.kind = values[4], .K = c->K, .take = take, .width = values[0], .blocks = values[1]};
    spec.out = own->of.moved * wf_transform_parameters(transform);
    WF_TRY(wf_net_create(self, &spec, &own->net));
    if (own->of.pixels != WF_EVERY_PIXEL)
        own->masked_bytes = wf_round64((size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)c->K * c->backend->real);
    own->masked = wf_round64(self->tape_bytes);
    self->tape_bytes = own->masked + own->masked_bytes;
    self->work_bytes += transform_params_bytes(self) + own->masked_bytes; /* before the net's own scratch */
    return WF_OK;
}

void wf_coupling_destroy(wf_bijector *self)
{
    coupling *own = self->own;
    if (own)
        wf_net_destroy(own->net);
    free(own);
}

void wf_coupling_init(const wf_bijector *self, uint64_t seed, double *values)
{
    const coupling *own = self->own;
    wf_net_init(own->net, seed, self->offset, values);
}

/* Sets *seen to the net's input: channels of x, or a masked copy in the tape. */
static int show_net(const wf_bijector *self, const wf_real *x, void *tape, const wf_real **seen)
{
    const wf_stage_shape *c = self->shape;
    const coupling *own = self->own;
    wf_real *masked = (wf_real *)((char *)tape + own->masked);
    *seen = own->masked_bytes ? masked : wf_at(c->backend, x, own->seen);
    return own->masked_bytes ? c->backend->mask(c->backend, &own->of, c->N, x, false, masked) : WF_OK;
}

int wf_coupling_data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    coupling *own = self->own;
    const wf_real *seen;
    WF_TRY(show_net(self, x, tape, &seen));
    return wf_net_data_init(own->net, params, seen, cond, tape);
}

int wf_coupling_forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                        double *logdet, void *tape)
{
    wf_stage_shape *c = self->shape;
    coupling *own = self->own;
    const wf_real *seen;
    wf_real *transform_params;
    WF_TRY(show_net(self, x, tape, &seen));
    WF_TRY(wf_net_forward(own->net, params, seen, cond, tape, &transform_params));
    return wf_shared_transform(c, &own->of, x, transform_params, y, logdet);
}

int wf_coupling_inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                        double *logdet, void *tape)
{
    wf_stage_shape *c = self->shape;
    coupling *own = self->own;
    const wf_real *seen;
    wf_real *transform_params;
    WF_TRY(show_net(self, y, tape, &seen)); /* y and x agree in the kept elements */
    WF_TRY(wf_net_forward(own->net, params, seen, cond, tape, &transform_params));
    return c->backend->transform_inverse(c->backend, &own->of, c->N, y, transform_params, x, logdet);
}

/* Adds the gradient that flows back through the net to g. work: the part after dparams. */
static int net_backward(const wf_bijector *self, const wf_real *params, const wf_real *dparams, wf_real *grads,
                        wf_real *g, wf_real *dcond, void *tape, void *work)
{
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    const coupling *own = self->own;
    if (!own->masked_bytes)
        return wf_net_backward(own->net, params, dparams, grads, wf_at(b, g, own->seen), dcond, tape, work);
    wf_real *dseen = work;
    WF_TRY(b->zero(b, dseen, own->masked_bytes));
    WF_TRY(wf_net_backward(own->net, params, dparams, grads, dseen, dcond, tape, (char *)work + own->masked_bytes));
    return b->mask(b, &own->of, c->N, dseen, true, g);
}

int wf_coupling_backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g,
                         wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work)
{
    (void)cond;
    wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    coupling *own = self->own;
    wf_real *dparams = work;
    WF_TRY(b->transform_backward(b, &own->of, c->N, x, wf_net_output(own->net, tape), c->weight, g, dlogdet, dparams));
    return net_backward(self, params, dparams, grads, g, dcond, tape, (char *)work + transform_params_bytes(self));
}

int wf_coupling_inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                                 double dlogdet, void *tape, void *work)
{
    wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    coupling *own = self->own;
    wf_real *dparams = work;
    WF_TRY(b->transform_inverse_backward(b, &own->of, c->N, x, wf_net_output(own->net, tape), g, dlogdet, dparams));
    return net_backward(self, params, dparams, NULL, g, dcond, tape, (char *)work + transform_params_bytes(self));
}
