/* feed.c - from stored coefficients to what a flow takes */
#include <stdlib.h>
#include <string.h>

#include "model.h"

static size_t low_size(const wf_feed *f)
{
    return (size_t)f->H * (size_t)f->W * (size_t)f->meta->C;
}

int wf_feed_create(wf_backend *backend, const wf_meta *meta, int level, int N, int H, int W, wf_feed *out)
{
    *out = (wf_feed){.backend = backend, .meta = meta, .level = level, .N = N, .H = H, .W = W};
    out->wavelet = wf_wavelet_find(meta->wavelet);
    WF_CHECK(out->wavelet, WF_DATA, "batch: unknown wavelet \"%.15s\"", meta->wavelet);
    void *low, *detail = NULL;
    size_t n = (size_t)N * low_size(out);
    out->host = malloc(3 * n * sizeof *out->host);
    out->index = malloc((size_t)N * sizeof *out->index);
    WF_CHECK(out->host && out->index, WF_AGAIN, "batch: out of memory for %zu coefficients", 3 * n);
    WF_TRY(backend->alloc(backend, n * backend->real, &low));
    out->low = low;
    if (level > 0)
        WF_TRY(backend->alloc(backend, 3 * n * backend->real, &detail));
    out->detail = detail;
    return WF_OK;
}

void wf_feed_clear(wf_feed *feed)
{
    if (feed->backend) {
        feed->backend->free(feed->backend, feed->low);
        feed->backend->free(feed->backend, feed->detail);
    }
    free(feed->host);
    free(feed->index);
    *feed = (wf_feed){0};
}

/* [count, each] -> device [N, each], the missing ones copies of the first. */
static int upload_padded(wf_feed *f, int count, size_t each, const float *from, wf_real *to)
{
    if (count < f->N) {
        memcpy(f->host, from, (size_t)count * each * sizeof *from);
        for (int n = count; n < f->N; n++)
            memcpy(f->host + (size_t)n * each, from, each * sizeof *from);
        from = f->host;
    }
    return f->backend->upload(f->backend, to, from, WF_F32, (size_t)f->N * each);
}

int wf_feed_upload(wf_feed *f, int count, const float *low, const float *detail, const uint64_t *index)
{
    for (int n = 0; n < f->N; n++)
        f->index[n] = index[n < count ? n : 0];
    WF_TRY(upload_padded(f, count, low_size(f), low, f->low));
    return f->detail ? upload_padded(f, count, 3 * low_size(f), detail, f->detail) : WF_OK;
}

int wf_feed_dequantize(wf_feed *f, const wf_random *random)
{
    int above = f->meta->levels - f->level;
    return f->backend->dequantize(f->backend, random, f->wavelet->taps, f->wavelet->count, (int64_t)1 << 2 * above,
                                  f->N, f->H, f->W, f->meta->C, f->index, 1.0 / (1 << f->meta->bits), f->low,
                                  f->detail);
}

int wf_feed_load(wf_feed *f, int count, const float *low, const float *detail, const uint64_t *index,
                 const wf_random *random)
{
    WF_TRY(wf_feed_upload(f, count, low, detail, index));
    return wf_feed_dequantize(f, random);
}

const wf_real *wf_feed_x(const wf_feed *feed)
{
    return feed->detail ? feed->detail : feed->low;
}

const wf_real *wf_feed_cond(const wf_feed *feed)
{
    return feed->detail ? feed->low : NULL;
}

/* dequantize: picture = (v + 1/2) / 2^bits - 1/2, detail = v / 2^bits. */
void wf_feed_undo(const wf_meta *meta, bool low, size_t n, float *values)
{
    float scale = (float)(1 << meta->bits), offset = low ? 0.5f * scale - 0.5f : 0.0f;
    for (size_t i = 0; i < n; i++)
        values[i] = values[i] * scale + offset;
}
