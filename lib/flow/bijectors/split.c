/* split.c - the first channels go on, the rest, one of `part` parts (2), is parked and is latent as it is: N(0,1) is
 * its prior (Dinh et al. 2017, section 3.6; parts smaller than a half: Ma et al. 2019, section 3.3).
 *
 * The Gaussian that Glow learns for it from the half that stays (Kingma and Dhariwal 2018, its code's split2d) needs no
 * code here: (z - mean) / deviation is an affine coupling just before. */
#include "../bijector.h"
#include "../shape.h"

static int create(wf_bijector *self, const int *values)
{
    const wf_stage_shape *c = self->shape;
    WF_CHECK(c->K > 1, WF_USAGE, "split: one channel has no parts");
    return wf_bijector_set_output(self, c->H, c->W, c->K * (values[0] - 1) / values[0]);
}

static int reshape(wf_bijector *self, bool back, const wf_real *from, wf_real *to, void *scratch)
{
    (void)scratch;
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    size_t pixels = (size_t)c->N * (size_t)c->H * (size_t)c->W;
    int stay = self->after->K, go = c->K - stay;
    size_t parked = pixels * (size_t)stay;
    if (back) {
        WF_TRY(wf_copy_channels(b, pixels, stay, from, stay, to, c->K));
        return wf_copy_channels(b, pixels, go, wf_at(b, from, parked), go, wf_at(b, to, (size_t)stay), c->K);
    }
    WF_TRY(wf_copy_channels(b, pixels, stay, from, c->K, to, stay));
    return wf_copy_channels(b, pixels, go, wf_at(b, from, (size_t)stay), c->K, wf_at(b, to, parked), go);
}

const wf_bijector_type wf_bijector_split = {
    .name = "split",
    .summary = "factors out one of `part` equal parts of the channels, the last: it is latent as it is (RealNVP, 2017)",
    .options = {{"part", 2, 2, 64, NULL, "parts", 0}},
    .create = create,
    .reshape = reshape};
