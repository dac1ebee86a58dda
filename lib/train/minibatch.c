/* minibatch.c - shuffled epochs, patches and flips of stored coefficients */
#include "minibatch.h"

#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../base/philox.h"

int wf_minibatch_create(wf_store *store, int level, int N, int patch, int margin, bool flip, uint64_t seed,
                        wf_minibatch *out)
{
    const wf_meta *meta = wf_store_meta(store);
    wf_level_shape s = wf_meta_level(meta, level);
    WF_CHECK(meta->signal == WF_PICTURE || (!patch && !flip), WF_USAGE,
             "patches and flips are for pictures, not for %ss", wf_signal_names[meta->signal]);
    WF_CHECK(patch <= s.H && patch <= s.W, WF_USAGE, "patch %d is larger than level %d, which is %d x %d", patch, level,
             s.H, s.W);
    WF_CHECK(!margin || patch, WF_USAGE, "--margin needs patches: give --patch as well");
    WF_CHECK(!margin || 2 * margin < patch, WF_USAGE, "--margin %d leaves nothing of a patch of %d", margin, patch);
    WF_CHECK(!flip || !strcmp(meta->wavelet, "haar"), WF_USAGE, "flips need haar, whose filters are symmetric, not %s",
             meta->wavelet);
    *out = (wf_minibatch){.store = store,
                          .level = level,
                          .N = N,
                          .total = N,
                          .patch = patch,
                          .margin = margin,
                          .flip = flip,
                          .seed = seed};
    out->H = patch ? patch : s.H;
    out->W = patch ? patch : s.W;
    out->middle = patch - 2 * margin;
    size_t pixels = wf_count3(N, out->H, out->W);
    out->low = malloc(pixels * (size_t)s.C * sizeof *out->low);
    out->detail = level ? malloc(pixels * (size_t)s.K * sizeof *out->detail) : NULL;
    out->index = malloc((size_t)N * sizeof *out->index);
    out->weight = margin ? malloc(pixels * sizeof *out->weight) : NULL;
    WF_CHECK(out->low && out->index && (out->detail || !level) && (out->weight || !margin), WF_AGAIN,
             "batch: out of memory");
    return WF_OK;
}

void wf_minibatch_clear(wf_minibatch *b)
{
    free(b->low);
    free(b->index);
    free(b->detail);
    free(b->weight);
    *b = (wf_minibatch){0};
}

void wf_minibatch_take(wf_minibatch *b, int first, int total)
{
    b->first = first;
    b->total = total;
}

int wf_minibatch_counted(const wf_minibatch *b)
{
    return b->patch ? b->middle * b->middle : b->H * b->W;
}

/* Mirrors [H,W,channels] left to right. In a mirrored Haar pyramid the horizontal and diagonal differences change
 * sign: bands 0 and 2 of 3. bands = 1: no change of sign. */
static void mirror_picture(const wf_minibatch *b, int channels, int bands, float *x)
{
    for (int i = 0; i < b->H; i++)
        for (int j = 0; j < (b->W + 1) / 2; j++)
            for (int k = 0; k < channels; k++) {
                float sign = bands == 3 && k % 3 != 1 ? -1 : 1;
                float *left = x + ((size_t)i * (size_t)b->W + (size_t)j) * (size_t)channels + k;
                float *right = x + ((size_t)i * (size_t)b->W + (size_t)(b->W - 1 - j)) * (size_t)channels + k;
                float was = *left;
                *left = sign * *right;
                *right = sign * was;
            }
}

/* Sets weight [H,W] to 1 in the middle, which begins at (y,x) of the patch, and to 0 elsewhere. */
static void fill_weight(const wf_minibatch *b, int y, int x, float *weight)
{
    for (int i = 0; i < b->H; i++)
        for (int j = 0; j < b->W; j++)
            weight[i * b->W + j] = i >= y && i < y + b->middle && j >= x && j < x + b->middle;
}

static int clamp_place(int at, int limit)
{
    return at < 0 ? 0 : at > limit ? limit : at;
}

/* Draws where the middle of a patch begins on an axis of `side` pixels. Positions up to half a middle outside are
 * clamped to the border, so border pixels are drawn about as often as others. */
static int middle_at(const wf_minibatch *b, uint64_t dice, int side)
{
    int beyond = b->middle / 2, places = side - b->middle + 1 + 2 * beyond;
    return clamp_place((int)((dice & 0xffffff) % (uint64_t)places) - beyond, side - b->middle);
}

/* Draws one axis of a patch: returns where the patch begins, and where its middle does in *middle. The patch stays
 * inside the picture, so its nets see padding only at the picture's borders. */
static int draw_axis(const wf_minibatch *b, uint64_t dice, int side, int length, int *middle)
{
    if (!b->margin)
        return *middle = (int)((dice & 0xffffff) % (uint64_t)(side - length + 1));
    *middle = middle_at(b, dice, side);
    return clamp_place(*middle - b->margin, side - length);
}

int wf_minibatch_load(wf_minibatch *b, int64_t step)
{
    wf_level_shape s = wf_meta_level(wf_store_meta(b->store), b->level);
    int64_t count = wf_store_count(b->store);
    size_t pixels = (size_t)b->H * (size_t)b->W, each = pixels * (size_t)s.C, details = pixels * (size_t)s.K;
    for (int n = 0; n < b->N; n++) {
        int64_t position = step * b->total + b->first + n;
        int64_t at = wf_shuffle(b->seed, (uint64_t)(position / count), count, position % count);
        uint64_t dice = wf_splitmix3(b->seed, ~(uint64_t)0, (uint64_t)position);
        bool flipped = b->flip && dice >> 63;
        int y, x; /* where the middle begins */
        wf_window patch = {.h = b->H, .w = b->W};
        patch.y = draw_axis(b, dice, s.H, b->H, &y);
        patch.x = draw_axis(b, dice >> 24, s.W, b->W, &x);
        float *low = b->low + (size_t)n * each, *detail = b->detail ? b->detail + (size_t)n * details : NULL;
        WF_TRY(wf_store_get_window(b->store, b->level, at, &patch, low, detail, &b->index[n]));
        if (flipped)
            mirror_picture(b, s.C, 1, low);
        if (flipped && detail)
            mirror_picture(b, 3 * s.C, 3, detail);
        if (b->weight)
            fill_weight(b, y - patch.y, flipped ? patch.x + b->W - x - b->middle : x - patch.x,
                        b->weight + (size_t)n * pixels);
    }
    return WF_OK;
}
