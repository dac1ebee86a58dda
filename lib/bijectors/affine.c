/* affine.c - affine coupling: keeps the first K/2 channels x1, y2 = (x2 + t) * exp(tanh s), (s, t) = net(x1, cond)
 * (Dinh et al. 2017; this scale is that of the official Wavelet Flow configuration). A single channel is all x2. */
#include <stdlib.h>

#include "../bijector.h"
#include "../net.h"

static int kept(const wf_bijector *self)
{
    return self->context->K / 2;
}

/* Bytes of the gradient by the net's output, in multiples of 64. */
static size_t dst_bytes(const wf_bijector *self)
{
    const wf_context *c = self->context;
    size_t n = (size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)(2 * (c->K - kept(self)));
    return (n * c->backend->real + 63) & ~(size_t)63;
}

static int create(wf_bijector *self, const int *values)
{
    int moved = self->context->K - kept(self);
    wf_net *net = NULL;
    WF_CHECK(kept(self) + self->context->C > 0, WF_USAGE, "affine: nothing to condition on: one channel, no low-pass");
    int status = wf_net_create(self, values[2], kept(self), 2 * moved, values[0], values[1], &net);
    self->own = net;
    self->work_bytes += dst_bytes(self); /* before the net's own scratch */
    return status;
}

static void destroy(wf_bijector *self)
{
    wf_net_destroy(self->own);
}

static void init(const wf_bijector *self, uint64_t seed, double *values)
{
    wf_net_init(self->own, seed, self->offset, values);
}

static int data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    return wf_net_data_init(self->own, params, x, cond, tape);
}

static int forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                   double *logdet, void *tape)
{
    wf_context *c = self->context;
    wf_real *st;
    WF_TRY(wf_net_forward(self->own, params, x, cond, tape, &st));
    return c->backend->affine_forward(c->backend, c->N, c->H * c->W, c->K, kept(self), x, st, c->weight, y, logdet);
}

static int inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                   double *logdet, void *tape)
{
    wf_context *c = self->context;
    wf_real *st;
    WF_TRY(wf_net_forward(self->own, params, y, cond, tape, &st)); /* y1 = x1 */
    return c->backend->affine_inverse(c->backend, c->N, c->H * c->W, c->K, kept(self), y, st, x, logdet);
}

static int backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g,
                    wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work)
{
    (void)cond;
    wf_context *c = self->context;
    wf_backend *b = c->backend;
    wf_real *dst = work;
    WF_TRY(b->affine_backward(b, c->N, c->H * c->W, c->K, kept(self), x, wf_net_output(self->own, tape), c->weight, g,
                              dlogdet, dst));
    return wf_net_backward(self->own, params, dst, grads, g, dcond, tape, (char *)work + dst_bytes(self));
}

static int inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                            double dlogdet, void *tape, void *work)
{
    wf_context *c = self->context;
    wf_backend *b = c->backend;
    wf_real *dst = work;
    WF_TRY(b->affine_inverse_backward(b, c->N, c->H * c->W, c->K, kept(self), x, wf_net_output(self->own, tape), g,
                                      dlogdet, dst));
    return wf_net_backward(self->own, params, dst, NULL, g, dcond, tape, (char *)work + dst_bytes(self));
}

const wf_bijector_type wf_bijector_affine = {
    .name = "affine",
    .options = {{"width", 0, 1, 4096, NULL}, {"blocks", 0, 1, 16, NULL}, {"net", 0, 0, WF_NET_KINDS - 1, WF_NET_NAMES}},
    .create = create,
    .destroy = destroy,
    .init = init,
    .data_init = data_init,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .inverse_backward = inverse_backward,
};
