/* haar.c - one step of the orthonormal Haar wavelet inside a flow: [H,W,K] to [H/2,W/2,4K], first the K channels of the
 * low-pass, then 3 details per channel in the order of wf_backend.dwt */
#include "../bijector.h"
#include "../shape.h"
#include "../../pyramid/wavelet.h"

static int create(wf_bijector *self, const int *values)
{
    (void)values;
    const wf_stage_shape *c = self->shape;
    WF_CHECK(c->H % 2 == 0 && c->W % 2 == 0, WF_USAGE, "haar: %dx%d has an odd side, both must be even", c->H, c->W);
    self->tape_bytes = (size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)c->K * c->backend->real;
    return wf_bijector_set_output(self, c->H / 2, c->W / 2, 4 * c->K);
}

/* scratch: low-pass, then details. The backend's low-pass is an average, half the orthonormal value: hence the
 * factors. */
static int reshape(wf_bijector *self, bool back, const wf_real *from, wf_real *to, void *scratch)
{
    const wf_stage_shape *c = self->shape;
    const wf_wavelet *haar = wf_wavelet_find("haar");
    wf_backend *b = c->backend;
    int K = c->K;
    size_t pixels = (size_t)c->N * (size_t)self->after->H * (size_t)self->after->W, lows = pixels * (size_t)K;
    wf_real *low = scratch, *detail = wf_at(b, low, lows);
    if (back) {
        WF_TRY(wf_copy_channels(b, pixels, K, from, 4 * K, low, K));
        WF_TRY(wf_copy_channels(b, pixels, 3 * K, wf_at(b, from, (size_t)K), 4 * K, detail, 3 * K));
        WF_TRY(b->scale(b, lows, 0.5, 0, low));
        return b->idwt(b, haar->taps, haar->count, c->N, c->H, c->W, K, low, detail, to);
    }
    WF_TRY(b->dwt(b, haar->taps, haar->count, c->N, c->H, c->W, K, from, low, detail));
    WF_TRY(b->scale(b, lows, 2, 0, low));
    WF_TRY(wf_copy_channels(b, pixels, K, low, K, to, 4 * K));
    return wf_copy_channels(b, pixels, 3 * K, detail, 3 * K, wf_at(b, to, (size_t)K), 4 * K);
}

const wf_bijector_type wf_bijector_haar = {.name = "haar",
                                           .summary = "[H,W,K] to [H/2,W/2,4K] by the orthonormal Haar wavelet",
                                           .pictures_only = true,
                                           .create = create,
                                           .reshape = reshape};
