/* edit.c - cropping, resizing, changing channels and depth */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format.h"

static int check_crop(const wf_image *image, const char *name, int H, int W)
{
    WF_CHECK(H >= 1 && W >= 1 && H <= image->H && W <= image->W, WF_DATA, "%s: %dx%d is smaller than the crop of %dx%d",
             name, image->H, image->W, H, W);
    return WF_OK;
}

static void crop_at(wf_image *image, int top, int left, int H, int W)
{
    size_t row = (size_t)W * (size_t)image->C;
    for (int y = 0; y < H; y++) /* rows only move towards the beginning */
        memmove(image->pixels + (size_t)y * row,
                image->pixels + ((size_t)(top + y) * (size_t)image->W + (size_t)left) * (size_t)image->C,
                row * sizeof *image->pixels);
    image->H = H;
    image->W = W;
}

int wf_image_crop(wf_image *image, const char *name, int H, int W)
{
    WF_TRY(check_crop(image, name, H, W));
    crop_at(image, (image->H - H) / 2, (image->W - W) / 2, H, W);
    return WF_OK;
}

/* Maps each half of a 64-bit hash to a range far below 2^32, so that all positions are practically as likely. */
int wf_image_crop_anywhere(wf_image *image, const char *name, int H, int W, uint64_t seed)
{
    WF_TRY(check_crop(image, name, H, W));
    size_t samples = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    uint64_t hash = XXH3_64bits_withSeed(image->pixels, samples * sizeof *image->pixels, seed);
    uint64_t down = (hash >> 32) * (uint64_t)(image->H - H + 1) >> 32;
    uint64_t right = (hash & UINT32_MAX) * (uint64_t)(image->W - W + 1) >> 32;
    crop_at(image, (int)down, (int)right, H, W);
    return WF_OK;
}

/* Sample of the stored picture that is at y, x of the upright one, which is [H,W]. */
static size_t stored_at(int orientation, int y, int x, int H, int W)
{
    bool across = orientation >= 5;
    int down = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    int right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    /* `down` and `right` mirror the rows and columns of the stored picture, [W,H] if it is transposed. */
    int rows = across ? W : H, columns = across ? H : W, i = across ? x : y, j = across ? y : x;
    i = (across ? right : down) ? rows - 1 - i : i;
    j = (across ? down : right) ? columns - 1 - j : j;
    return (size_t)i * (size_t)columns + (size_t)j;
}

int wf_image_orient(wf_image *image, const char *name)
{
    int orientation = image->orientation, C = image->C;
    image->orientation = 1;
    if (orientation < 2 || orientation > 8)
        return WF_OK;
    wf_image old = *image;
    *image = (wf_image){.name = old.name};
    old.name = NULL;
    int H = orientation >= 5 ? old.W : old.H, W = orientation >= 5 ? old.H : old.W;
    int status = wf_image_reserve(image, name, H, W, C, old.bits);
    for (int y = 0; y < H && !status; y++)
        for (int x = 0; x < W; x++)
            memcpy(image->pixels + ((size_t)y * (size_t)W + (size_t)x) * (size_t)C,
                   old.pixels + stored_at(orientation, y, x, H, W) * (size_t)C, (size_t)C * sizeof *old.pixels);
    image->orientation = 1;
    wf_image_clear(&old);
    return status;
}

/* A filter along one axis: target[i] = sum over k < span of weight[i*span + k] * source[first[i] + k]. */
typedef struct filter {
    int span;
    int *first;
    double *weight;
} filter;

static void filter_clear(filter *f)
{
    free(f->first);
    free(f->weight);
}

/* Sets the weights of target pixel i. Taps beyond the picture's edge are dropped; the others are scaled to sum to
 * one. */
static void set_weights(filter *f, int i, int from, int to)
{
    double scale = (double)from / to, reach = scale > 1 ? scale : 1, centre = (i + 0.5) * scale, sum = 0;
    bool box = from % to == 0;
    int first = box ? i * (from / to) : (int)floor(centre - reach);
    if (first > from - f->span)
        first = from - f->span;
    if (first < 0)
        first = 0;
    double *weight = f->weight + (size_t)i * (size_t)f->span;
    for (int k = 0; k < f->span; k++) {
        double distance = fabs(first + k + 0.5 - centre) / reach;
        weight[k] = box ? 1 : distance < 1 ? 1 - distance : 0;
        sum += weight[k];
    }
    for (int k = 0; k < f->span; k++)
        weight[k] /= sum;
    f->first[i] = first;
}

static int filter_create(filter *f, const char *name, int from, int to)
{
    double reach = from > to ? (double)from / to : 1;
    f->span = from % to == 0 ? from / to : (int)ceil(2 * reach) + 1;
    if (f->span > from)
        f->span = from;
    f->first = malloc((size_t)to * sizeof *f->first);
    f->weight = malloc((size_t)to * (size_t)f->span * sizeof *f->weight);
    if (!f->first || !f->weight)
        return wf_fail(WF_AGAIN, "%s: out of memory", name);
    for (int i = 0; i < to; i++)
        set_weights(f, i, from, to);
    return WF_OK;
}

/* Filters along the first axis: from [.,width] to `to` [n,width]. */
static void filter_rows(const filter *f, int n, size_t width, const double *from, double *to)
{
    for (int i = 0; i < n; i++) {
        double *out = to + (size_t)i * width;
        memset(out, 0, width * sizeof *out);
        for (int k = 0; k < f->span; k++) {
            double weight = f->weight[(size_t)i * (size_t)f->span + (size_t)k];
            const double *in = from + (size_t)(f->first[i] + k) * width;
            for (size_t j = 0; j < width; j++)
                out[j] += weight * in[j];
        }
    }
}

/* Filters each row to narrow [H,W',C], then filters down the columns of that. */
static int resize_with(wf_image *image, const char *name, int H, int W, const filter *across, const filter *down)
{
    size_t C = (size_t)image->C, wide = (size_t)image->W * C, row = (size_t)W * C;
    double *in = malloc(wide * sizeof *in), *narrow = malloc((size_t)image->H * row * sizeof *narrow);
    double *out = malloc((size_t)H * row * sizeof *out);
    int status = in && narrow && out ? WF_OK : wf_fail(WF_AGAIN, "%s: out of memory to resize", name);
    for (int y = 0; y < image->H && !status; y++) {
        for (size_t i = 0; i < wide; i++)
            in[i] = image->pixels[(size_t)y * wide + i];
        filter_rows(across, W, C, in, narrow + (size_t)y * row);
    }
    if (!status) {
        filter_rows(down, H, row, narrow, out);
        status = wf_image_reserve(image, name, H, W, image->C, image->bits);
    }
    for (size_t i = 0; i < (size_t)H * row && !status; i++)
        image->pixels[i] = (uint16_t)(out[i] + 0.5);
    free(in);
    free(narrow);
    free(out);
    return status;
}

int wf_image_resize(wf_image *image, const char *name, int H, int W)
{
    if (H == image->H && W == image->W)
        return WF_OK;
    filter across = {0}, down = {0};
    int status;
    WF_CHECK(H >= 1 && W >= 1 && H <= WF_MAX_SIDE && W <= WF_MAX_SIDE && H <= WF_MAX_PIXELS / W, WF_USAGE,
             "%s: cannot resize to %dx%d, want sides of 1 to %d and at most %d pixels", name, H, W, WF_MAX_SIDE,
             WF_MAX_PIXELS);
    WF_GO(filter_create(&across, name, image->W, W));
    WF_GO(filter_create(&down, name, image->H, H));
    WF_GO(resize_with(image, name, H, W, &across, &down));
out:
    filter_clear(&across);
    filter_clear(&down);
    return status;
}

static bool has_alpha(int C)
{
    return C == 2 || C == 4;
}

static int check_grey(const wf_image *image, const char *name)
{
    for (size_t i = 0, n = (size_t)image->H * (size_t)image->W; i < n; i++) {
        const uint16_t *p = image->pixels + i * (size_t)image->C;
        WF_CHECK(p[0] == p[1] && p[1] == p[2], WF_DATA,
                 "%s: pixel %zu,%zu has colour (%d,%d,%d), so the picture cannot become grey without loss", name,
                 i / (size_t)image->W, i % (size_t)image->W, p[0], p[1], p[2]);
    }
    return WF_OK;
}

int wf_image_channels(wf_image *image, const char *name, int C)
{
    int had = image->C;
    if (C == had)
        return WF_OK;
    WF_CHECK(C >= 1 && C <= WF_MAX_CHANNELS, WF_USAGE, "%s: cannot have %d channels, want 1 to %d", name, C,
             WF_MAX_CHANNELS);
    if (had >= 3 && C <= 2)
        WF_TRY(check_grey(image, name));
    wf_image old = *image;
    *image = (wf_image){.name = old.name};
    old.name = NULL;
    int status = wf_image_reserve(image, name, old.H, old.W, C, old.bits);
    int colours = has_alpha(C) ? C - 1 : C, had_colours = has_alpha(had) ? had - 1 : had;
    for (size_t i = 0, n = (size_t)old.H * (size_t)old.W; i < n && !status; i++) {
        const uint16_t *from = old.pixels + i * (size_t)had;
        uint16_t *to = image->pixels + i * (size_t)C;
        for (int c = 0; c < colours; c++)
            to[c] = from[c < had_colours ? c : 0];
        if (has_alpha(C))
            to[C - 1] = has_alpha(had) ? from[had - 1] : (uint16_t)((1u << old.bits) - 1);
    }
    wf_image_clear(&old);
    return status;
}

int wf_image_depth(wf_image *image, const char *name, int bits)
{
    WF_CHECK(bits >= 1 && bits <= 16, WF_USAGE, "%s: cannot have %d bits, want 1 to 16", name, bits);
    uint32_t from = (1u << image->bits) - 1, to = (1u << bits) - 1;
    size_t samples = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    for (size_t i = 0; i < samples; i++)
        image->pixels[i] = bits < image->bits ? (uint16_t)(image->pixels[i] >> (image->bits - bits))
                                              : wf_image_rescale(image->pixels[i], from, to);
    image->bits = bits;
    return WF_OK;
}
