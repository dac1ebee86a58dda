/* pyramid.c - the wavelet pyramid of a batch on a backend */
#include "pyramid.h"

#include <stdlib.h>
#include <string.h>

#include "dwt.h"

/* image[L] holds I_L on the backend, detail[L] D_L; NULL until needed. */
struct wf_pyramid {
    wf_backend *b;
    wf_meta meta;
    const wf_wavelet *wavelet;
    int capacity; /* pictures */
    int N;        /* pictures of the last split; 0: there is none */
    int lowest;   /* lowest level of the last split */
    wf_real *image[WF_MAX_LEVELS + 1], *detail[WF_MAX_LEVELS + 1];
    wf_real *scratch; /* of wf_dwt_level, for the highest level used so far */
    size_t scratch_size;
    float *host[2]; /* copies of low and detail that wf_pyramid_level lends out */
    size_t host_size[2];
};

void wf_pyramid_size(const wf_meta *meta, int level, int *H, int *W)
{
    *H = wf_rows_left(meta->signal, meta->H, meta->levels - level);
    *W = meta->W >> (meta->levels - level);
}

int wf_pyramid_rows(const wf_meta *meta, int level)
{
    int H, W;
    wf_pyramid_size(meta, level, &H, &W);
    int64_t fit = (1 << 20) / ((int64_t)H * W * meta->C);
    return fit < 1 ? 1 : fit > 256 ? 256 : (int)fit;
}

/* Reals of I_level of n pictures. */
static size_t image_size(const wf_pyramid *p, int level, int n)
{
    int H, W;
    wf_pyramid_size(&p->meta, level, &H, &W);
    return (size_t)n * (size_t)H * (size_t)W * (size_t)p->meta.C;
}

static size_t detail_size(const wf_pyramid *p, int level, int n)
{
    return (size_t)wf_bands(p->meta.signal) * image_size(p, level - 1, n);
}

int wf_pyramid_create(wf_backend *backend, const wf_meta *meta, int N, wf_pyramid **out)
{
    const wf_wavelet *wavelet = wf_wavelet_find(meta->wavelet);
    WF_CHECK(wavelet, WF_DATA, "pyramid: unknown wavelet \"%.15s\"", meta->wavelet);
    WF_TRY(wf_meta_check(meta, "pyramid"));
    WF_CHECK(N > 0, WF_INTERNAL, "pyramid: batch of %d, want 1 or more", N);
    wf_pyramid *p = calloc(1, sizeof *p);
    WF_CHECK(p, WF_AGAIN, "pyramid: out of memory");
    int status = wf_meta_copy(&p->meta, meta);
    if (status) {
        free(p);
        return status;
    }
    p->b = backend;
    p->wavelet = wavelet;
    p->capacity = N;
    *out = p;
    return WF_OK;
}

void wf_pyramid_destroy(wf_pyramid *p)
{
    if (!p)
        return;
    for (int L = 0; L <= p->meta.levels; L++) {
        p->b->free(p->b, p->image[L]);
        p->b->free(p->b, p->detail[L]);
    }
    p->b->free(p->b, p->scratch);
    for (int i = 0; i < 2; i++)
        free(p->host[i]);
    wf_meta_clear(&p->meta);
    free(p);
}

static int need_buffer(wf_pyramid *p, wf_real **buffer, size_t n)
{
    return *buffer ? WF_OK : wf_alloc_reals(p->b, n, buffer);
}

static int need_image(wf_pyramid *p, int level)
{
    return need_buffer(p, &p->image[level], image_size(p, level, p->capacity));
}

static int need_detail(wf_pyramid *p, int level)
{
    return need_buffer(p, &p->detail[level], detail_size(p, level, p->capacity));
}

/* Gives the shape of N pictures I_level, and makes room in the scratch for wf_dwt_level. */
static int prepare_level(wf_pyramid *p, int level, int N, wf_extent *e)
{
    const wf_meta *m = &p->meta;
    *e = (wf_extent){.signal = m->signal, .N = p->capacity, .D = m->D >> (m->levels - level), .C = m->C};
    wf_pyramid_size(m, level, &e->H, &e->W);
    size_t want = wf_dwt_scratch(e);
    if (want > p->scratch_size) {
        p->b->free(p->b, p->scratch);
        p->scratch = NULL;
        p->scratch_size = 0;
        WF_TRY(need_buffer(p, &p->scratch, want));
        p->scratch_size = want;
    }
    e->N = N;
    return WF_OK;
}

int wf_pyramid_split(wf_pyramid *p, int N, const float *pixels, int lowest)
{
    int top = p->meta.levels;
    WF_CHECK(N > 0 && N <= p->capacity, WF_INTERNAL, "pyramid: batch of %d, want 1 to %d", N, p->capacity);
    WF_CHECK(lowest >= 0 && lowest <= top, WF_INTERNAL, "pyramid: level %d of %d", lowest, top);
    const wf_real *image = (const wf_real *)pixels; /* used in place by a host backend, whose reals are floats */
    if (!p->b->host || !top) {
        WF_TRY(need_image(p, top));
        WF_TRY(p->b->upload(p->b, p->image[top], pixels, WF_F32, image_size(p, top, N)));
        image = p->image[top];
    }
    for (int L = top; L >= 1 && L >= lowest; L--) {
        wf_extent extent;
        WF_TRY(need_image(p, L - 1));
        WF_TRY(need_detail(p, L));
        WF_TRY(prepare_level(p, L, N, &extent));
        WF_TRY(wf_dwt_level(p->b, p->wavelet, &extent, image, p->image[L - 1], p->detail[L], p->scratch));
        image = p->image[L - 1];
    }
    p->N = N;
    p->lowest = lowest;
    return WF_OK;
}

static void convert_samples(const uint16_t *samples, size_t n, float *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = samples[i];
}

/* Computes the strips of level L from I_L; I_n comes from the samples. Keeps I_(L-1), and the details of one strip
 * only. */
static int run_strips(wf_pyramid *p, int L, const uint16_t *samples, int strip, wf_pyramid_sink *sink, void *user)
{
    wf_extent e;
    WF_TRY(prepare_level(p, L, 1, &e));
    /* A row of Haar coefficients depends on two rows of the picture only. */
    bool strips = e.signal == WF_PICTURE && p->wavelet->count == 2;
    int all = wf_meta_level(&p->meta, L).H, most = strips ? strip : all, H = e.H;
    size_t low_row = image_size(p, L - 1, 1) / (size_t)all, row = image_size(p, L, 1) / (size_t)H;
    for (int y = 0; y < all; y += most) {
        int rows = all - y < most ? all - y : most;
        e.H = strips ? 2 * rows : H;
        size_t at = 2 * (size_t)y * row;
        float *image = (float *)p->image[L] + (L < p->meta.levels ? at : 0), *low = (float *)p->image[L - 1];
        low += (size_t)y * low_row;
        if (L == p->meta.levels)
            convert_samples(samples + at, (size_t)e.H * row, image);
        WF_TRY(wf_dwt_level(p->b, p->wavelet, &e, (wf_real *)image, (wf_real *)low, p->detail[L], p->scratch));
        WF_TRY(sink(user, L, rows, low, (const float *)p->detail[L]));
    }
    return WF_OK;
}

int wf_pyramid_strips(wf_pyramid *p, const uint16_t *samples, int lowest, int rows, wf_pyramid_sink *sink, void *user)
{
    int top = p->meta.levels;
    WF_CHECK(p->b->host, WF_INTERNAL, "pyramid: strips on backend %s, want a host backend", p->b->name);
    WF_CHECK(lowest >= 0 && lowest <= top, WF_INTERNAL, "pyramid: level %d of %d", lowest, top);
    p->N = 0;
    WF_TRY(need_image(p, top));
    for (int L = top; L >= 1 && L >= lowest; L--) {
        WF_TRY(need_image(p, L - 1));
        WF_TRY(need_detail(p, L));
        WF_TRY(run_strips(p, L, samples, rows, sink, user));
    }
    if (lowest)
        return WF_OK;
    if (!top)
        convert_samples(samples, image_size(p, 0, 1), (float *)p->image[0]);
    return sink(user, 0, wf_meta_level(&p->meta, 0).H, (const float *)p->image[0], NULL);
}

static int lend_reals(wf_pyramid *p, int slot, const wf_real *from, size_t n, const float **out)
{
    if (p->b->host) {
        *out = (const float *)from;
        return WF_OK;
    }
    if (p->host_size[slot] < n) {
        free(p->host[slot]);
        p->host_size[slot] = 0;
        p->host[slot] = malloc(n * sizeof(float));
        WF_CHECK(p->host[slot], WF_AGAIN, "pyramid: out of memory for %zu coefficients", n);
        p->host_size[slot] = n;
    }
    WF_TRY(p->b->download(p->b, p->host[slot], WF_F32, from, n));
    *out = p->host[slot];
    return WF_OK;
}

int wf_pyramid_level(wf_pyramid *p, int level, const float **low, const float **detail)
{
    WF_CHECK(p->N && level >= p->lowest && level <= p->meta.levels, WF_INTERNAL, "pyramid: level %d was not computed",
             level);
    int below = level ? level - 1 : 0;
    size_t n = image_size(p, below, p->N);
    WF_TRY(lend_reals(p, 0, p->image[below], n, low));
    *detail = NULL;
    return level ? lend_reals(p, 1, p->detail[level], detail_size(p, level, p->N), detail) : WF_OK;
}

int wf_pyramid_join(wf_pyramid *p, int level, int N, const float *low, const float *detail, float *pixels)
{
    WF_CHECK(N > 0 && N <= p->capacity, WF_INTERNAL, "pyramid: batch of %d, want 1 to %d", N, p->capacity);
    WF_CHECK(level >= 0 && level <= p->meta.levels && !detail == !level, WF_DATA,
             "pyramid: level %d of %d %s detail coefficients", level, p->meta.levels, detail ? "with" : "without");
    if (!level) {
        memcpy(pixels, low, image_size(p, 0, N) * sizeof *pixels);
        return WF_OK;
    }
    wf_extent extent;
    size_t n = image_size(p, level - 1, N);
    p->N = 0;         /* overwrites the buffers of the last split */
    if (p->b->host) { /* whose reals are floats */
        WF_TRY(prepare_level(p, level, N, &extent));
        return wf_idwt_level(p->b, p->wavelet, &extent, (const wf_real *)low, (const wf_real *)detail,
                             (wf_real *)pixels, p->scratch);
    }
    WF_TRY(need_image(p, level));
    WF_TRY(need_image(p, level - 1));
    WF_TRY(need_detail(p, level));
    WF_TRY(p->b->upload(p->b, p->image[level - 1], low, WF_F32, n));
    WF_TRY(p->b->upload(p->b, p->detail[level], detail, WF_F32, detail_size(p, level, N)));
    WF_TRY(prepare_level(p, level, N, &extent));
    WF_TRY(
        wf_idwt_level(p->b, p->wavelet, &extent, p->image[level - 1], p->detail[level], p->image[level], p->scratch));
    return p->b->download(p->b, pixels, WF_F32, p->image[level], image_size(p, level, N));
}

int wf_pyramid_approximate(wf_pyramid *p, int level, int N, const float *pixels, float *out)
{
    int top = p->meta.levels;
    if (level == top) {
        memcpy(out, pixels, image_size(p, top, N) * sizeof *out);
        return WF_OK;
    }
    WF_TRY(wf_pyramid_split(p, N, pixels, level + 1));
    p->N = 0; /* overwrites the buffers of the split */
    for (int L = level + 1; L <= top; L++) {
        wf_extent extent;
        WF_TRY(need_image(p, L));
        WF_TRY(prepare_level(p, L, N, &extent));
        WF_TRY(p->b->zero(p->b, p->detail[L], detail_size(p, L, N) * p->b->real));
        WF_TRY(wf_idwt_level(p->b, p->wavelet, &extent, p->image[L - 1], p->detail[L], p->image[L], p->scratch));
    }
    return p->b->download(p->b, out, WF_F32, p->image[top], image_size(p, top, N));
}
