/* level_input.c - from stored coefficients to what a flow takes
 *
 * The backend makes the noise of pictures. That of other signals is made of it: noise of pixels, or of averages of them, which
 * the backend has for a base, goes through the halvings that lead here. With Haar one is enough, since averages of pixels that
 * no other average shares are exact. With others pixels themselves go through all halvings while a coefficient is of fewer
 * than EXACT of them; from there on averages will do, as for pictures (backend.h, dequantize). */
#include <stdlib.h>
#include <string.h>

#include "../pyramid/dwt.h"
#include "level_input.h"

enum { EXACT = 16 };

static size_t low_size(const wf_level_input *f)
{
    return (size_t)f->H * (size_t)f->W * (size_t)f->meta->C;
}

static size_t detail_size(const wf_level_input *f)
{
    return (size_t)wf_bands(f->meta->signal) * low_size(f);
}

/* Halvings between the low-pass and the picture. */
static int above(const wf_level_input *f)
{
    return f->meta->levels - f->level + (f->level > 0);
}

static int64_t pixels_of(const wf_level_input *f, int halvings)
{
    return (int64_t)1 << wf_axes(f->meta->signal) * halvings;
}

/* What lies so many halvings above the low-pass. */
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

static int need(wf_level_input *f, size_t n, wf_real **out)
{
    void *memory;
    WF_TRY(f->backend->alloc(f->backend, n * f->backend->real, &memory));
    *out = memory;
    return WF_OK;
}

static int allocate_noise(wf_level_input *f)
{
    bool exact = f->wavelet->count > 2 && pixels_of(f, f->meta->levels - f->level) < EXACT;
    f->halvings = exact ? above(f) : f->level > 0;
    if (f->meta->signal == WF_PICTURE || !f->halvings)
        return WF_OK;
    wf_extent x = extent_at(f, f->halvings);
    size_t n = (size_t)f->N * low_size(f) * (size_t)pixels_of(f, f->halvings);
    WF_TRY(need(f, n, &f->noise));
    WF_TRY(need(f, n, &f->made));
    size_t scratch = wf_dwt_scratch(&x);
    return scratch ? need(f, scratch, &f->scratch) : WF_OK;
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
    WF_TRY(need(out, n, &out->low));
    if (level > 0)
        WF_TRY(need(out, details, &out->detail));
    return allocate_noise(out);
}

void wf_level_input_clear(wf_level_input *feed)
{
    if (feed->backend) {
        feed->backend->free(feed->backend, feed->low);
        feed->backend->free(feed->backend, feed->detail);
        feed->backend->free(feed->backend, feed->noise);
        feed->backend->free(feed->backend, feed->made);
        feed->backend->free(feed->backend, feed->scratch);
    }
    free(feed->host);
    free(feed->index);
    *feed = (wf_level_input){0};
}

/* [count, each] -> device [N, each], the missing ones copies of the first. */
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

/* The backend's, for x of the `halvings` above low, as a base of its own; the scale is the last step. */
static int as_base(wf_level_input *f, const wf_random *random, int halvings, double scale, wf_real *x)
{
    const wf_wavelet *haar = wf_wavelet_find("haar");
    wf_extent e = extent_at(f, halvings);
    return f->backend->dequantize(f->backend, random, haar->taps, haar->count, pixels_of(f, above(f) - halvings), e.N,
                                  e.H, e.W, e.C, f->index, scale, x, NULL);
}

static int add(wf_backend *b, size_t n, const wf_real *from, wf_real *to)
{
    wf_runs all = {.outer = 1, .inner = 1, .run = n, .add = true};
    return b->copy_runs(b, &all, to, from);
}

/* Noise through its halvings, from there to low and detail. That of a base has mean 0: it is its own, less 1/2. */
static int add_noise(wf_level_input *f, const wf_random *random)
{
    wf_backend *b = f->backend;
    size_t n = (size_t)f->N * low_size(f), all = n * (size_t)pixels_of(f, f->halvings);
    wf_real *from = f->noise, *to = f->made;
    WF_TRY(b->zero(b, from, all * b->real));
    WF_TRY(as_base(f, random, f->halvings, 1, from));
    for (int left = f->halvings; left > 0; left--) {
        wf_extent e = extent_at(f, left);
        wf_real *detail = wf_at(b, to, n * (size_t)pixels_of(f, left - 1)), *was = from;
        WF_TRY(wf_dwt_level(b, f->wavelet, &e, from, to, detail, f->scratch));
        from = to;
        to = was;
    }
    WF_TRY(add(b, n, from, f->low));
    return f->detail ? add(b, n * (size_t)wf_bands(f->meta->signal), wf_at(b, from, n), f->detail) : WF_OK;
}

/* As the backend does for pictures. */
static int dequantize(wf_level_input *f, const wf_random *random, double scale)
{
    wf_backend *b = f->backend;
    bool direct = !random || !f->halvings;
    if (direct)
        WF_TRY(as_base(f, random, 0, scale, f->low));
    else
        WF_TRY(add_noise(f, random));
    if (!direct)
        WF_TRY(b->scale(b, (size_t)f->N * low_size(f), scale, 0.5 * scale - 0.5, f->low));
    return f->detail ? b->scale(b, (size_t)f->N * detail_size(f), scale, 0, f->detail) : WF_OK;
}

int wf_level_input_dequantize(wf_level_input *f, const wf_random *random)
{
    double scale = 1.0 / (1 << f->meta->bits);
    if (f->meta->signal != WF_PICTURE)
        return dequantize(f, random, scale);
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

const wf_real *wf_level_input_x(const wf_level_input *feed)
{
    return feed->detail ? feed->detail : feed->low;
}

const wf_real *wf_level_input_cond(const wf_level_input *feed)
{
    return feed->detail ? feed->low : NULL;
}

/* dequantize: picture = (v + 1/2) / 2^bits - 1/2, detail = v / 2^bits. */
void wf_level_input_undo(const wf_meta *meta, bool low, size_t n, float *values)
{
    float scale = (float)(1 << meta->bits), offset = low ? 0.5f * scale - 0.5f : 0.0f;
    for (size_t i = 0; i < n; i++)
        values[i] = values[i] * scale + offset;
}
