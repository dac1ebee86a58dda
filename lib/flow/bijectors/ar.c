/* ar.c - affine autoregressive flow by a transformer (TarFlow, Zhai et al. 2024, arXiv 2412.06329): y = (x + t) exp(clamp s), where s
 * and t of a pixel, of all its channels, come from the pixels before it in reading order; so x is found from y pixel by pixel.
 *
 *     order=forth (default)        the pixels before; back: those behind
 *     width=N, blocks=N, heads=N   of the net `transformer` (net.h), its usual ones unless given
 *
 * Patches are pixels once they are squeezed. The channels of a pixel do not see one another: conv1x1 between two `ar` mixes them. Of
 * the condition a pixel is told what lies up to itself: all of it, by features that
 * `cond` has learnt before. Positions are told by sines and cosines of the row and the column (Vaswani et al. 2017, section 3.5,
 * found them as good as learnt ones), so that parameters do not depend on the size of the picture. */
#include <math.h>
#include <stdlib.h>

#include "../autoregressive.h"

static const char *const orders[] = {"forth", "back", NULL};

/* A sine and a cosine of the row and of the column, at each wavelength: 4 pixels, 8, 16 and so on. */
enum { WAVELENGTHS = 6, POSITIONS = 4 * WAVELENGTHS };

typedef struct ar {
    wf_autoregressive by_pixel;
    void *positions; /* device, [H,W,POSITIONS] */
} ar;

static int make_positions(const wf_stage_shape *c, ar *own)
{
    size_t n = (size_t)c->H * (size_t)c->W * POSITIONS;
    wf_backend *b = c->backend;
    if (!n)
        return WF_OK;
    double *values = malloc(n * sizeof *values), *to = values;
    WF_CHECK(values, WF_AGAIN, "ar: out of memory");
    for (int i = 0; i < c->H; i++)
        for (int j = 0; j < c->W; j++)
            for (int k = 0; k < WAVELENGTHS; k++) {
                double turn = 2 * acos(-1) / (4 << k);
                *to++ = sin(turn * i);
                *to++ = cos(turn * i);
                *to++ = sin(turn * j);
                *to++ = cos(turn * j);
            }
    int status = b->alloc(b, n * b->real, &own->positions);
    if (!status)
        status = b->upload(b, own->positions, values, WF_F64, n);
    free(values);
    return status;
}

static int create(wf_bijector *self, const int *values)
{
    const wf_stage_shape *c = self->context;
    ar *own = calloc(1, sizeof *own);
    WF_CHECK(own, WF_AGAIN, "ar: out of memory");
    self->own = own;
    WF_TRY(make_positions(c, own));
    wf_autoregressive *a = &own->by_pixel;
    *a = (wf_autoregressive){.outer = 1, .lines = c->H * c->W, .run = 1, .back = values[0]};
    a->of = (wf_coupling){c->H, c->W, c->K, 0, c->K, WF_EVERY_PIXEL, {.kind = WF_TRANSFORM_AFFINE_EXP}};
    a->beside = own->positions;
    a->beside_channels = POSITIONS;
    wf_net_spec spec = {.kind = wf_net_kind("transformer"),
                        .K = c->K + POSITIONS,
                        .take = c->K + POSITIONS,
                        .out = 2 * c->K,
                        .width = values[1],
                        .blocks = values[2],
                        .heads = values[3],
                        .reach = a->back ? WF_REACH_AFTER : WF_REACH_BEFORE};
    WF_TRY(wf_net_create(self, &spec, &a->net));
    wf_autoregressive_measure(self, a, self->tape_bytes, self->work_bytes);
    return WF_OK;
}

static void destroy(wf_bijector *self)
{
    ar *own = self->own;
    wf_backend *b = self->context->backend;
    if (!own)
        return;
    wf_net_destroy(own->by_pixel.net);
    b->free(b, own->positions);
    free(own);
}

static void init(const wf_bijector *self, uint64_t seed, double *values)
{
    const ar *own = self->own;
    wf_net_init(own->by_pixel.net, seed, self->offset, values);
}

static int data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    const ar *own = self->own;
    const wf_real *seen;
    WF_TRY(wf_autoregressive_show(self, &own->by_pixel, x, tape, &seen));
    return wf_net_data_init(own->by_pixel.net, params, seen, cond, tape);
}

static int forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                   double *logdet, void *tape)
{
    const ar *own = self->own;
    return wf_autoregressive_forward(self, &own->by_pixel, params, x, cond, y, logdet, tape);
}

static int inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                   double *logdet, void *tape)
{
    const ar *own = self->own;
    return wf_autoregressive_inverse(self, &own->by_pixel, params, y, cond, x, logdet, tape);
}

static int backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g,
                    wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work)
{
    (void)cond;
    const ar *own = self->own;
    return wf_autoregressive_backward(self, &own->by_pixel, params, x, g, dcond, dlogdet, grads, tape, work);
}

static int inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                            double dlogdet, void *tape, void *work)
{
    const ar *own = self->own;
    return wf_autoregressive_inverse_backward(self, &own->by_pixel, params, x, g, dcond, dlogdet, tape, work);
}

const wf_bijector_type wf_bijector_ar = {
    .name = "ar",
    .options = {{"order", 0, 0, 0, orders},
                {"width", 0, 1, 4096, NULL},
                {"blocks", 0, 1, 16, NULL},
                {"heads", 0, 1, 64, NULL}},
    .create = create,
    .destroy = destroy,
    .init = init,
    .data_init = data_init,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .inverse_backward = inverse_backward,
};
