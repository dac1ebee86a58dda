/* squeeze.c - space to depth, [H,W,K] to [H/2,W/2,4K]: later nets see further and splits have more channels (Dinh et
 * al. 2017, section 3.6). Channels are ordered pixel by pixel, in the paper colour by colour: a permutation apart. */
#include "../bijector.h"
#include "../shape.h"

static int create(wf_bijector *self, const int *values)
{
    (void)values;
    const wf_stage_shape *c = self->shape;
    WF_CHECK(c->H % 2 == 0 && c->W % 2 == 0, WF_USAGE, "squeeze: %dx%d has an odd side, both must be even", c->H, c->W);
    return wf_bijector_set_output(self, c->H / 2, c->W / 2, 4 * c->K);
}

static int reshape(wf_bijector *self, bool back, const wf_real *from, wf_real *to, void *scratch)
{
    (void)scratch;
    const wf_stage_shape *c = self->shape;
    return back ? wf_unsqueeze(c->backend, c->N, c->H, c->W, c->K, from, to, false)
                : wf_squeeze(c->backend, c->N, c->H, c->W, c->K, from, to);
}

const wf_bijector_type wf_bijector_squeeze = {
    .name = "squeeze",
    .summary = "[H,W,K] to [H/2,W/2,4K]: each 2x2 block of pixels becomes one pixel (RealNVP, 2017)",
    .pictures_only = true,
    .create = create,
    .reshape = reshape};
