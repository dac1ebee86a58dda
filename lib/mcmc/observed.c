/* observed.c - orthogonal coordinates of the missing part of a picture */
#include "observed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../../kernels/backend.h"
#include "../base/count.h"
#include "../image/image.h"
#include "../base/philox.h"
#include "../pyramid/wavelet.h"

/* A Haar step: four missing squares of side `step`, the first with its first pixel at `at`, become an average and
 * three details. */
typedef struct merge {
    size_t at, step;
} merge;

struct wf_observed {
    wf_meta meta; /* without provenance */
    const wf_wavelet *wavelet;
    wf_backend *backend; /* ref, for the wavelet in double precision */
    wf_real *image, *low, *detail;
    uint8_t *missing; /* [H,W] */
    bool grey;
    size_t *place;  /* [count] places of the missing pixels */
    double *length; /* [count] length of the coordinate kept at each place */
    size_t count;
    merge *merges; /* from small squares to large ones */
    size_t merge_count;
    int free;                                       /* free directions of colour */
    double basis[WF_MAX_CHANNELS][WF_MAX_CHANNELS]; /* [free][C], orthonormal */
    double *planes;                                 /* [free,H,W] */
    double *pixels;                                 /* [H,W,C] in the flows' units */
    double *sums;                                   /* [H,W,C+1] */
};

static const double luma[3] = {0.299, 0.587, 0.114};

static size_t area(const wf_observed *k)
{
    return (size_t)k->meta.H * (size_t)k->meta.W;
}

/* -- masks -------------------------------------------------------------------------------------------------------- */

static int take_mask(const wf_image *image, const char *name, const wf_meta *meta, uint8_t **missing)
{
    int colours = image->C - (image->C % 2 == 0);
    size_t n = (size_t)image->H * (size_t)image->W;
    WF_CHECK(image->H == meta->H && image->W == meta->W, WF_DATA, "%s: mask of %dx%d, want %dx%d", name, image->H,
             image->W, meta->H, meta->W);
    *missing = calloc(n, 1);
    WF_CHECK(*missing, WF_AGAIN, "%s: out of memory", name);
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < colours; c++)
            (*missing)[i] |= image->pixels[i * (size_t)image->C + (size_t)c] >> (image->bits - 1) & 1;
    return WF_OK;
}

int wf_observed_read_mask(const char *path, const wf_meta *meta, uint8_t **missing)
{
    wf_image image = {0};
    int status = wf_image_read(path, &image);
    if (!status)
        status = take_mask(&image, path, meta, missing);
    wf_image_clear(&image);
    return status;
}

/* -- coordinates -------------------------------------------------------------------------------------------------- */

/* Chooses the free directions of colour: all, or with grey two that are orthogonal to luma and to each other. */
static void choose_basis(wf_observed *k)
{
    k->free = k->grey ? 2 : k->meta.C;
    if (!k->grey) {
        for (int c = 0; c < k->meta.C; c++)
            k->basis[c][c] = 1;
        return;
    }
    double *a = k->basis[0], *b = k->basis[1];
    double across = hypot(luma[0], luma[1]), all = hypot(across, luma[2]);
    a[0] = luma[1] / across;
    a[1] = -luma[0] / across;
    b[0] = luma[0] * luma[2] / (across * all);
    b[1] = luma[1] * luma[2] / (across * all);
    b[2] = -across / all;
}

/* Finds the Haar merges inside the mask. A coordinate of a square of side s gets length 0.02 s. */
static int find_merges(wf_observed *k)
{
    size_t H = (size_t)k->meta.H, W = (size_t)k->meta.W, n = 0;
    uint8_t *whole = malloc(area(k)); /* squares of the current side, by their first pixel, of which all is missing */
    double *side = malloc(area(k) * sizeof *side);
    k->merges = malloc((k->count / 3 + 1) * sizeof *k->merges); /* each merge leaves three squares fewer */
    if (!whole || !side || !k->merges) {
        free(whole);
        free(side);
        return wf_fail(WF_AGAIN, "mask: out of memory for %zu pixels", area(k));
    }
    memcpy(whole, k->missing, area(k));
    for (size_t i = 0; i < area(k); i++)
        side[i] = 1;
    for (size_t s = 1; 2 * s <= H && 2 * s <= W; s *= 2)
        for (size_t y = 0; y < H; y += 2 * s)
            for (size_t x = 0; x < W; x += 2 * s) {
                size_t at = y * W + x;
                bool four = y + 2 * s <= H && x + 2 * s <= W && whole[at] && whole[at + s] && whole[at + s * W] &&
                            whole[at + s * W + s];
                whole[at] = four;
                if (!four)
                    continue;
                k->merges[n++] = (merge){at, s};
                side[at] = 2 * (double)s;
                side[at + s] = side[at + s * W] = side[at + s * W + s] = (double)s;
            }
    k->merge_count = n;
    for (size_t i = 0; i < k->count; i++)
        k->length[i] = 0.02 * side[k->place[i]];
    free(whole);
    free(side);
    return WF_OK;
}

static int allocate_mask(wf_observed *k, const uint8_t *missing)
{
    size_t n = area(k), C = (size_t)k->meta.C;
    k->missing = malloc(n);
    WF_CHECK(k->missing, WF_AGAIN, "mask: out of memory for %zu pixels", n);
    for (size_t i = 0; i < n; i++)
        k->count += k->missing[i] = !missing || missing[i];
    WF_CHECK(k->count, WF_USAGE, "mask: no pixel is missing");
    k->place = malloc(k->count * sizeof *k->place);
    k->length = malloc(k->count * sizeof *k->length);
    k->planes = malloc(n * (size_t)k->free * sizeof *k->planes);
    k->pixels = malloc(n * C * sizeof *k->pixels);
    k->sums = malloc(n * (C + 1) * sizeof *k->sums);
    WF_CHECK(k->place && k->length && k->planes && k->pixels && k->sums, WF_AGAIN, "mask: out of memory for %zu pixels",
             n);
    for (size_t i = 0, at = 0; i < n; i++)
        if (k->missing[i])
            k->place[at++] = i;
    WF_TRY(wf_alloc_reals(k->backend, n * C, &k->image));
    WF_TRY(wf_alloc_reals(k->backend, n * C, &k->low));
    WF_TRY(wf_alloc_reals(k->backend, n * C, &k->detail));
    return WF_OK;
}

int wf_observed_create(const wf_meta *meta, const uint8_t *missing, bool grey, wf_observed **out)
{
    int status = WF_OK;
    WF_CHECK(meta->signal == WF_PICTURE, WF_USAGE, "inpainting is for pictures, not for %ss",
             wf_signal_names[meta->signal]);
    WF_CHECK(!grey || meta->C == 3, WF_USAGE, "grey needs pictures of 3 channels, not of %d", meta->C);
    wf_observed *k = calloc(1, sizeof *k);
    WF_CHECK(k, WF_AGAIN, "mask: out of memory");
    k->meta = *meta;
    k->meta.provenance = NULL;
    k->grey = grey;
    k->wavelet = wf_wavelet_find(meta->wavelet);
    if (!k->wavelet) {
        status = wf_fail(WF_DATA, "mask: unknown wavelet \"%.15s\"", meta->wavelet);
        goto out;
    }
    choose_basis(k);
    WF_GO(wf_backend_open("ref", 1, &k->backend));
    WF_GO(allocate_mask(k, missing));
    WF_GO(find_merges(k));
    *out = k;
    return WF_OK;
out:
    wf_observed_destroy(k);
    return status;
}

void wf_observed_destroy(wf_observed *k)
{
    if (!k)
        return;
    if (k->backend) {
        k->backend->free(k->backend, k->image);
        k->backend->free(k->backend, k->low);
        k->backend->free(k->backend, k->detail);
        k->backend->close(k->backend);
    }
    free(k->missing);
    free(k->place);
    free(k->length);
    free(k->merges);
    free(k->planes);
    free(k->pixels);
    free(k->sums);
    free(k);
}

size_t wf_observed_size(const wf_observed *k)
{
    return k->count * (size_t)k->free;
}

uint64_t wf_observed_hash(const wf_observed *k)
{
    return XXH3_64bits_withSeed(k->missing, area(k), k->grey);
}

/* -- between coordinates and pixels ------------------------------------------------------------------------------- */

/* Does the orthonormal Haar step of four squares, which is its own inverse. */
static void merge_step(const wf_observed *k, const merge *m, double *plane)
{
    double *p = plane + m->at, *q = p + m->step * (size_t)k->meta.W;
    double a = p[0], b = p[m->step], c = q[0], d = q[m->step];
    p[0] = (a + b + c + d) / 2;
    p[m->step] = (a - b + c - d) / 2;
    q[0] = (a + b - c - d) / 2;
    q[m->step] = (a - b - c + d) / 2;
}

/* Writes k->planes from v. */
static void to_planes(wf_observed *k, const double *v)
{
    memset(k->planes, 0, area(k) * (size_t)k->free * sizeof *k->planes);
    for (int f = 0; f < k->free; f++) {
        double *plane = k->planes + (size_t)f * area(k);
        for (size_t i = 0; i < k->count; i++)
            plane[k->place[i]] = k->length[i] * *v++;
        for (size_t i = k->merge_count; i-- > 0;)
            merge_step(k, &k->merges[i], plane);
    }
}

/* Writes v from the colours at the missing pixels of k->pixels. gradient: by U'. Else v are the picture's
 * coordinates, U' divided by the squared lengths. */
static void from_pixels(wf_observed *k, bool gradient, double *v)
{
    size_t C = (size_t)k->meta.C;
    for (int f = 0; f < k->free; f++) {
        double *plane = k->planes + (size_t)f * area(k);
        for (size_t i = 0; i < k->count; i++) {
            const double *pixel = k->pixels + k->place[i] * C;
            double sum = 0;
            for (size_t c = 0; c < C; c++)
                sum += k->basis[f][c] * pixel[c];
            plane[k->place[i]] = sum;
        }
        for (size_t i = 0; i < k->merge_count; i++)
            merge_step(k, &k->merges[i], plane);
        for (size_t i = 0; i < k->count; i++)
            *v++ = gradient ? plane[k->place[i]] * k->length[i] : plane[k->place[i]] / k->length[i];
    }
}

static double grey_of(const double *pixel)
{
    return luma[0] * pixel[0] + luma[1] * pixel[1] + luma[2] * pixel[2];
}

/* Writes k->pixels from a picture; missing pixels become their grey, if it is observed, or 0. */
static void load_observed(wf_observed *k, const float *picture)
{
    size_t C = (size_t)k->meta.C;
    double scale = 1.0 / (1 << k->meta.bits);
    for (size_t i = 0; i < area(k) * C; i++)
        k->pixels[i] = (picture[i] + 0.5) * scale - 0.5;
    for (size_t i = 0; i < k->count; i++) {
        double *pixel = k->pixels + k->place[i] * C, grey = k->grey ? grey_of(pixel) : 0;
        for (size_t c = 0; c < C; c++)
            pixel[c] = grey;
    }
}

/* -- between pixels and coefficients ------------------------------------------------------------------------------ */

static size_t level_size(const wf_observed *k, int level)
{
    wf_level_shape s = wf_meta_level(&k->meta, level);
    return wf_count3(s.H, s.W, s.K);
}

/* Writes coefficients x [D] from k->pixels. */
static int split_pixels(wf_observed *k, double *x)
{
    wf_backend *b = k->backend;
    size_t end = area(k) * (size_t)k->meta.C, n = end;
    WF_TRY(b->upload(b, k->image, k->pixels, WF_F64, n));
    for (int l = k->meta.levels; l > 0; l--) {
        wf_level_shape s = wf_meta_level(&k->meta, l);
        n = level_size(k, l);
        end -= n;
        WF_TRY(b->dwt(b, k->wavelet->taps, k->wavelet->count, 1, 2 * s.H, 2 * s.W, s.C, k->image, k->low, k->detail));
        WF_TRY(b->download(b, x + end, WF_F64, k->detail, n));
        WF_TRY(b->copy(b, k->image, k->low, n / 3));
    }
    return b->download(b, x, WF_F64, k->image, end);
}

/* Writes k->pixels from gx, by the adjoint of split_pixels. dwt is orthogonal except for the factor 1/2 of the
 * average, so its adjoint is idwt with a quarter of the low-pass. */
static int join_adjoint(wf_observed *k, const double *gx)
{
    wf_backend *b = k->backend;
    size_t at = level_size(k, 0);
    WF_TRY(b->upload(b, k->image, gx, WF_F64, at));
    for (int l = 1; l <= k->meta.levels; l++) {
        wf_level_shape s = wf_meta_level(&k->meta, l);
        size_t n = level_size(k, l);
        WF_TRY(b->upload(b, k->detail, gx + at, WF_F64, n));
        WF_TRY(b->copy(b, k->low, k->image, n / 3));
        WF_TRY(b->scale(b, n / 3, 0.25, 0, k->low));
        WF_TRY(b->idwt(b, k->wavelet->taps, k->wavelet->count, 1, 2 * s.H, 2 * s.W, s.C, k->low, k->detail, k->image));
        at += n;
    }
    return b->download(b, k->pixels, WF_F64, k->image, area(k) * (size_t)k->meta.C);
}

int wf_observed_apply(wf_observed *k, const float *picture, const double *v, double *x)
{
    size_t C = (size_t)k->meta.C;
    load_observed(k, picture);
    to_planes(k, v);
    for (size_t i = 0; i < k->count; i++)
        for (int f = 0; f < k->free; f++)
            for (size_t c = 0; c < C; c++)
                k->pixels[k->place[i] * C + c] += k->basis[f][c] * k->planes[(size_t)f * area(k) + k->place[i]];
    return split_pixels(k, x);
}

int wf_observed_adjoint(wf_observed *k, const double *gx, double *gv)
{
    WF_TRY(join_adjoint(k, gx));
    from_pixels(k, true, gv);
    return WF_OK;
}

/* -- first guess -------------------------------------------------------------------------------------------------- */

/* Fills the pixels in the square at y, x that are still without colour with the mean of its observed pixels. */
static void fill_square(wf_observed *k, size_t y, size_t x, size_t side, const double *sums, uint8_t *todo)
{
    size_t H = (size_t)k->meta.H, W = (size_t)k->meta.W, C = (size_t)k->meta.C;
    for (size_t i = y; i < y + side && i < H; i++)
        for (size_t j = x; j < x + side && j < W; j++) {
            if (!todo[i * W + j])
                continue;
            todo[i * W + j] = 0;
            for (size_t c = 0; c < C; c++)
                k->pixels[(i * W + j) * C + c] = sums[c] / sums[C];
        }
}

/* Fills all missing pixels. Each turn doubles the side of the squares; a square's first pixel keeps the sums of the
 * colours and the number of its observed pixels. */
static void fill_missing(wf_observed *k, uint8_t *todo)
{
    size_t H = (size_t)k->meta.H, W = (size_t)k->meta.W, C = (size_t)k->meta.C;
    for (size_t i = 0; i < area(k); i++) {
        double *sums = k->sums + i * (C + 1);
        for (size_t c = 0; c < C; c++)
            sums[c] = todo[i] ? 0 : k->pixels[i * C + c];
        sums[C] = !todo[i];
    }
    for (size_t s = 1; s < H || s < W; s *= 2)
        for (size_t y = 0; y < H; y += 2 * s)
            for (size_t x = 0; x < W; x += 2 * s) {
                double *sums = k->sums + (y * W + x) * (C + 1);
                for (int q = 1; q < 4; q++) {
                    size_t i = y + (q & 2 ? s : 0), j = x + (q & 1 ? s : 0);
                    for (size_t c = 0; c <= C && i < H && j < W; c++)
                        sums[c] += k->sums[(i * W + j) * (C + 1) + c];
                }
                if (sums[C] > 0)
                    fill_square(k, y, x, 2 * s, sums, todo);
            }
}

void wf_observed_start(wf_observed *k, const float *picture, uint64_t seed, uint64_t id, double *v)
{
    uint8_t *todo = (uint8_t *)k->planes; /* planes is larger, and not used yet */
    size_t n = wf_observed_size(k);
    wf_philox_stream stream = wf_philox_of_picture(seed, WF_PURPOSE_MISSING, 0, id);
    if (k->grey) {
        memset(v, 0, n * sizeof *v);
    } else {
        load_observed(k, picture);
        memcpy(todo, k->missing, area(k));
        fill_missing(k, todo);
        from_pixels(k, false, v);
    }
    for (size_t i = 0; i < n; i += 4) {
        wf_philox_words w = wf_philox(stream, (uint32_t)(i / 4));
        double noise[4];
        wf_normal_pair(w.w0, w.w1, &noise[0], &noise[1]);
        wf_normal_pair(w.w2, w.w3, &noise[2], &noise[3]);
        for (size_t j = i; j < i + 4 && j < n; j++)
            v[j] += 0.1 * noise[j - i];
    }
}
