/* ar.c - affine autoregressive flow by a transformer (TarFlow, Zhai et al. 2024, arXiv 2412.06329):
 * y = (x + t) exp(clamp s). s and t of a pixel, for all its channels, come from the pixels before it in reading order.
 * The inverse therefore goes pixel by pixel.
 *
 *     order=forth (default)        a pixel sees the pixels before it; order=back: those after it
 *     width=N, blocks=N, heads=N   of the net `transformer` (net.h), with its defaults
 *
 * TarFlow's patches are pixels after a squeeze. The channels of one pixel do not see one another: a conv1x1 between two
 * `ar` mixes them. A pixel sees the condition up to itself only; features of the whole condition come from an earlier
 * `cond`. Positions enter as sines and cosines of row and column (Vaswani et al. 2017, section 3.5, found them as good
 * as learnt ones), so parameters do not depend on the picture's size. */
#include <math.h>
#include <stdlib.h>

#include "../autoregressive.h"

static const char *const orders[] = {"forth", "back", NULL};

/* Each wavelength of 4, 8, 16, .. pixels gives a sine and a cosine of the row and of the column. */
enum { WAVELENGTHS = 6, POSITIONS = 4 * WAVELENGTHS };

typedef struct ar {
    wf_autoregressive by_pixel; /* first, for WF_AUTOREGRESSIVE_FUNCTIONS */
    void *positions;            /* device, [H,W,POSITIONS] */
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
    const wf_stage_shape *c = self->shape;
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
    wf_backend *b = self->shape->backend;
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

const wf_bijector_type wf_bijector_ar = {
    .name = "ar",
    .summary = "y = (x + t) exp(clamp s), s and t of a pixel from a transformer over the pixels before it "
               "(TarFlow, 2024); the inverse goes pixel by pixel",
    .options = {{"order", 0, 0, 0, orders, "reading order, or its reverse", 0},
                {"width", 0, 1, 4096, NULL, "channels of hidden maps", "the network's"},
                {"blocks", 0, 1, 16, NULL, "blocks of the network", "the network's"},
                {"heads", 0, 1, 64, NULL, "attention heads; they divide the width",
                 "4, or 2 or 1 where 4 does not divide the width"}},
    .create = create,
    .destroy = destroy,
    .init = init,
    WF_AUTOREGRESSIVE_FUNCTIONS,
};
