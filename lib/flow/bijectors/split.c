/* split.c - factors channels out: the last of `part` parts (default 2) leaves the chain and becomes latent, with prior
 * N(0,1) (Dinh et al. 2017, section 3.6; parts smaller than a half: Ma et al. 2019, section 3.3).
 *
 * Glow learns a Gaussian for the factored-out half from the other half (Kingma and Dhariwal 2018, split2d of their
 * code). An affine coupling just before the split does the same, (z - mean) / deviation, so no code here does. */
#include "../bijector.h"
#include "../shape.h"

static int create(wf_bijector *self, const int *values)
{
    const wf_stage_shape *c = self->shape;
    WF_CHECK(c->K > 1, WF_USAGE, "split: a state of one channel cannot be split");
    return wf_bijector_set_output(self, c->H, c->W, c->K * (values[0] - 1) / values[0]);
}

static int reshape(wf_bijector *self, bool back, const wf_real *from, wf_real *to, void *scratch)
{
    (void)scratch;
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    size_t pixels = (size_t)c->N * (size_t)c->H * (size_t)c->W;
    int rest = self->after->K, out = c->K - rest;
    size_t factored_out = pixels * (size_t)rest;
    if (back) {
        WF_TRY(wf_copy_channels(b, pixels, rest, from, rest, to, c->K));
        return wf_copy_channels(b, pixels, out, wf_at(b, from, factored_out), out, wf_at(b, to, (size_t)rest), c->K);
    }
    WF_TRY(wf_copy_channels(b, pixels, rest, from, c->K, to, rest));
    return wf_copy_channels(b, pixels, out, wf_at(b, from, (size_t)rest), c->K, wf_at(b, to, factored_out), out);
}

const wf_bijector_type wf_bijector_split = {
    .name = "split",
    .summary = "factors out one of `part` equal parts of the channels, the last: it is latent as it is "
               "(RealNVP, 2017)",
    .options = {{"part", 2, 2, 64, NULL, "parts", 0}},
    .create = create,
    .reshape = reshape};
