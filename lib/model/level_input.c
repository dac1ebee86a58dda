/* level_input.c - from stored coefficients to a flow's input
 *
 * For pictures the backend draws the dequantization noise of a level directly. For sounds and volumes this file draws
 * it at a higher resolution, as the backend does for a base, and pushes it through the DWT down to this level.
 *
 * With Haar one level of the DWT is enough: averages share no pixels, so their noise is exact. With other wavelets
 * the noise starts at the pixels while a coefficient covers fewer than EXACT of them. Further down it starts at
 * averages, one level above, as for pictures (backend.h, dequantize). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../pyramid/dwt.h"
#include "level_input.h"

enum { EXACT = 16 };

static size_t low_size(const wf_level_input *f)
{
    return wf_count3(f->H, f->W, f->meta->C);
}

static size_t detail_size(const wf_level_input *f)
{
    return (size_t)wf_bands(f->meta->signal) * low_size(f);
}

/* DWT levels between the low-pass and the picture. */
static int halvings_above(const wf_level_input *f)
{
    return f->meta->levels - f->level + (f->level > 0);
}

static int64_t pixels_of(const wf_level_input *f, int halvings)
{
    return (int64_t)1 << wf_axes(f->meta->signal) * halvings;
}

/* Extent of the picture that `halvings` DWT levels lead from to the low-pass. */
static wf_extent extent_at(const wf_level_input *f, int halvings)
{
    wf_signal signal = f->meta->signal;
    return (wf_extent){signal,
                       f->N,
                       wf_meta_slices(f->meta, f->level) << halvings,
                       wf_rows_grown(signal, f->H, halvings),
                       f->W << halvings,
                       f->meta->C};
}

static int allocate_noise(wf_level_input *f)
{
    bool exact = f->wavelet->count > 2 && pixels_of(f, f->meta->levels - f->level) < EXACT;
    f->halvings = exact ? halvings_above(f) : f->level > 0;
    if (f->meta->signal == WF_PICTURE || !f->halvings)
        return WF_OK;
    wf_extent x = extent_at(f, f->halvings);
    size_t n = (size_t)f->N * low_size(f) * (size_t)pixels_of(f, f->halvings);
    WF_TRY(wf_alloc_reals(f->backend, n, &f->noise));
    WF_TRY(wf_alloc_reals(f->backend, n, &f->made));
    size_t scratch = wf_dwt_scratch(&x);
    return scratch ? wf_alloc_reals(f->backend, scratch, &f->scratch) : WF_OK;
}

int wf_level_input_create(wf_backend *backend, const wf_meta *meta, int level, int N, int H, int W, wf_level_input *out)
{
    *out = (wf_level_input){.backend = backend, .meta = meta, .level = level, .N = N, .H = H, .W = W};
    out->wavelet = wf_wavelet_find(meta->wavelet);
    WF_CHECK(out->wavelet, WF_DATA, "batch: unknown wavelet \"%.15s\"", meta->wavelet);
    WF_CHECK(meta->signal != WF_VOLUME || H == wf_meta_level(meta, level).H, WF_USAGE,
             "level %d: volumes of %d rows in all slices, want %d", level, H, wf_meta_level(meta, level).H);
    size_t n = (size_t)N * low_size(out), details = (size_t)N * detail_size(out);
    out->host = malloc(details * sizeof *out->host);
    out->index = malloc((size_t)N * sizeof *out->index);
    WF_CHECK(out->host && out->index, WF_AGAIN, "batch: out of memory for %zu coefficients", details);
    WF_TRY(wf_alloc_reals(backend, n, &out->low));
    if (level > 0)
        WF_TRY(wf_alloc_reals(backend, details, &out->detail));
    return allocate_noise(out);
}

void wf_level_input_clear(wf_level_input *input)
{
    if (input->backend) {
        input->backend->free(input->backend, input->low);
        input->backend->free(input->backend, input->detail);
        input->backend->free(input->backend, input->noise);
        input->backend->free(input->backend, input->made);
        input->backend->free(input->backend, input->scratch);
    }
    free(input->host);
    free(input->index);
    *input = (wf_level_input){0};
}

/* Uploads [count,each] to device [N,each]; missing rows are copies of the first. */
static int upload_padded(wf_level_input *f, int count, size_t each, const float *from, wf_real *to)
{
    if (count < f->N) {
        memcpy(f->host, from, (size_t)count * each * sizeof *from);
        for (int n = count; n < f->N; n++)
            memcpy(f->host + (size_t)n * each, from, each * sizeof *from);
        from = f->host;
    }
    return f->backend->upload(f->backend, to, from, WF_F32, (size_t)f->N * each);
}

int wf_level_input_upload(wf_level_input *f, int count, const float *low, const float *detail, const uint64_t *index)
{
    for (int n = 0; n < f->N; n++)
        f->index[n] = index[n < count ? n : 0];
    WF_TRY(upload_padded(f, count, low_size(f), low, f->low));
    return f->detail ? upload_padded(f, count, detail_size(f), detail, f->detail) : WF_OK;
}

/* Adds noise to x, `halvings` DWT levels above low, as the backend does to a base of that size; then scales. */
static int dequantize_base(wf_level_input *f, const wf_random *random, int halvings, double scale, wf_real *x)
{
    const wf_wavelet *haar = wf_wavelet_find("haar");
    wf_extent e = extent_at(f, halvings);
    return f->backend->dequantize(f->backend, random, haar->taps, haar->count,
                                  pixels_of(f, halvings_above(f) - halvings), e.N, e.H, e.W, e.C, f->index, scale, x,
                                  NULL);
}

static int add_reals(wf_backend *b, size_t n, const wf_real *from, wf_real *to)
{
    wf_runs all = {.outer = 1, .inner = 1, .run = n, .add = true};
    return b->copy_runs(b, &all, to, from);
}

/* Draws noise, pushes it through the DWT and adds it to low and detail. The drawn noise has mean 0: dequantize_base
 * subtracts 1/2. */
static int add_noise(wf_level_input *f, const wf_random *random)
{
    wf_backend *b = f->backend;
    size_t n = (size_t)f->N * low_size(f), all = n * (size_t)pixels_of(f, f->halvings);
    wf_real *from = f->noise, *to = f->made;
    WF_TRY(b->zero(b, from, all * b->real));
    WF_TRY(dequantize_base(f, random, f->halvings, 1, from));
    for (int left = f->halvings; left > 0; left--) {
        wf_extent e = extent_at(f, left);
        wf_real *detail = wf_at(b, to, n * (size_t)pixels_of(f, left - 1)), *was = from;
        WF_TRY(wf_dwt_level(b, f->wavelet, &e, from, to, detail, f->scratch));
        from = to;
        to = was;
    }
    WF_TRY(add_reals(b, n, from, f->low));
    return f->detail ? add_reals(b, n * (size_t)wf_bands(f->meta->signal), wf_at(b, from, n), f->detail) : WF_OK;
}

/* Dequantizes and scales sounds and volumes, as the backend does pictures. */
static int dequantize_signal(wf_level_input *f, const wf_random *random, double scale)
{
    wf_backend *b = f->backend;
    bool direct = !random || !f->halvings;
    if (direct)
        WF_TRY(dequantize_base(f, random, 0, scale, f->low));
    else
        WF_TRY(add_noise(f, random));
    if (!direct)
        WF_TRY(b->scale(b, (size_t)f->N * low_size(f), scale, 0.5 * scale - 0.5, f->low));
    return f->detail ? b->scale(b, (size_t)f->N * detail_size(f), scale, 0, f->detail) : WF_OK;
}

/* Fields are not quantized, so there is no noise. */
static int scale_field(wf_level_input *f)
{
    double scale = ldexp(1.0, -f->meta->exponent);
    WF_TRY(f->backend->scale(f->backend, (size_t)f->N * low_size(f), scale, -(double)f->meta->mean * scale, f->low));
    return f->detail ? f->backend->scale(f->backend, (size_t)f->N * detail_size(f), scale, 0, f->detail) : WF_OK;
}

int wf_level_input_dequantize(wf_level_input *f, const wf_random *random)
{
    if (wf_meta_is_field(f->meta))
        return scale_field(f);
    double scale = 1.0 / (1 << f->meta->bits);
    if (f->meta->signal != WF_PICTURE)
        return dequantize_signal(f, random, scale);
    return f->backend->dequantize(f->backend, random, f->wavelet->taps, f->wavelet->count,
                                  pixels_of(f, f->meta->levels - f->level), f->N, f->H, f->W, f->meta->C, f->index,
                                  scale, f->low, f->detail);
}

int wf_level_input_load(wf_level_input *f, int count, const float *low, const float *detail, const uint64_t *index,
                        const wf_random *random)
{
    WF_TRY(wf_level_input_upload(f, count, low, detail, index));
    return wf_level_input_dequantize(f, random);
}

const wf_real *wf_level_input_x(const wf_level_input *input)
{
    return input->detail ? input->detail : input->low;
}

const wf_real *wf_level_input_cond(const wf_level_input *input)
{
    return input->detail ? input->low : NULL;
}

/* Inverts the scale of dequantize (backend.h): picture = (v + 1/2) / 2^bits - 1/2, detail = v / 2^bits; or that of
 * scale_field. */
void wf_level_input_undo(const wf_meta *meta, bool low, size_t n, float *values)
{
    bool field = wf_meta_is_field(meta);
    float scale = field ? ldexpf(1.0f, meta->exponent) : (float)(1 << meta->bits);
    float offset = !low ? 0.0f : field ? meta->mean : 0.5f * scale - 0.5f;
    for (size_t i = 0; i < n; i++)
        values[i] = values[i] * scale + offset;
}
