/* pixel_noise.c - uniform noise on pixels, split into levels by the wavelet */
#include "pixel_noise.h"

#include <stdlib.h>

#include "../base/count.h"
#include "../pyramid/wavelet.h"

static size_t picture_size(const wf_pixel_noise *p)
{
    return wf_count3(p->meta.H, p->meta.W, p->meta.C);
}

int wf_pixel_noise_create(wf_backend *backend, const wf_meta *meta, wf_pixel_noise *out)
{
    WF_CHECK(!wf_meta_is_field(meta), WF_USAGE, "noise: fields are not quantized, so no draws of noise average");
    *out = (wf_pixel_noise){.backend = backend, .batch = wf_pyramid_rows(meta, meta->levels)};
    WF_TRY(wf_meta_copy(&out->meta, meta));
    WF_TRY(wf_pyramid_create(backend, meta, out->batch, &out->pyramid));
    size_t n = (size_t)out->batch * picture_size(out);
    WF_TRY(wf_alloc_reals(backend, n, &out->field));
    out->host = malloc(n * sizeof *out->host);
    WF_CHECK(out->host, WF_AGAIN, "noise: out of memory for %zu pixels", n);
    return WF_OK;
}

void wf_pixel_noise_clear(wf_pixel_noise *p)
{
    if (!p->backend)
        return;
    wf_pyramid_destroy(p->pyramid);
    p->backend->free(p->backend, p->field);
    free(p->host);
    wf_meta_clear(&p->meta);
    *p = (wf_pixel_noise){0};
}

/* Draws the noise of at most `batch` pictures and splits it down to `level`. */
static int draw_pixels(wf_pixel_noise *p, const wf_random *random, int level, int N, const uint64_t *index)
{
    wf_backend *b = p->backend;
    const wf_meta *m = &p->meta;
    const wf_wavelet *w = wf_wavelet_find(m->wavelet);
    size_t n = (size_t)N * picture_size(p);
    WF_TRY(b->zero(b, p->field, n * b->real));
    WF_TRY(b->dequantize(b, random, w->taps, w->count, 1, N, m->H, m->W, m->C, index, 1, p->field, NULL));
    WF_TRY(b->download(b, p->host, WF_F32, p->field, n));
    return wf_pyramid_split(p->pyramid, N, p->host, level);
}

int wf_pixel_noise_add(wf_pixel_noise *p, uint64_t seed, uint64_t draw, int level, int64_t N, const uint64_t *index,
                       float *low, float *detail)
{
    wf_level_shape s = wf_meta_level(&p->meta, level);
    wf_random random = {seed, WF_PURPOSE_PIXELS, draw};
    size_t each = wf_count3(s.H, s.W, s.C), bands = (size_t)wf_bands(p->meta.signal);
    for (int64_t at = 0; at < N; at += p->batch) {
        int count = N - at < p->batch ? (int)(N - at) : p->batch;
        const float *more, *details;
        WF_TRY(draw_pixels(p, &random, level, count, index + at));
        WF_TRY(wf_pyramid_level(p->pyramid, level, &more, &details));
        for (size_t i = 0; i < (size_t)count * each; i++)
            low[(size_t)at * each + i] += more[i];
        for (size_t i = 0; detail && i < (size_t)count * bands * each; i++)
            detail[(size_t)at * bands * each + i] += details[i];
    }
    return WF_OK;
}
