/* minibatch.c - shuffled epochs, patches and flips of stored coefficients */
#include "minibatch.h"

#include <stdlib.h>
#include <string.h>

/* Finalizer of SplitMix64 (Steele et al. 2014). */
static uint64_t scramble(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t mixed(uint64_t seed, uint64_t a, uint64_t b)
{
    return scramble(scramble(scramble(seed + 0x9e3779b97f4a7c15u) + a) + b * 0x9e3779b97f4a7c15u);
}

/* A Feistel network over the smallest even number of bits that holds n, walked until it lands inside (Black and Rogaway
 * 2002). */
int64_t wf_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t i)
{
    int half = 1;
    while (((int64_t)1 << 2 * half) < n)
        half++;
    uint64_t mask = ((uint64_t)1 << half) - 1, at = (uint64_t)i;
    do {
        uint64_t left = at >> half, right = at & mask;
        for (uint64_t round = 0; round < 6; round++) {
            uint64_t next = left ^ (mixed(seed, epoch * 8 + round, right) & mask);
            left = right;
            right = next;
        }
        at = left << half | right;
    } while (at >= (uint64_t)n);
    return (int64_t)at;
}

int wf_minibatch_create(wf_store *store, int level, int N, int patch, int context, bool flip, uint64_t seed,
                        wf_minibatch *out)
{
    const wf_meta *meta = wf_store_meta(store);
    wf_level_shape s = wf_meta_level(meta, level);
    WF_CHECK(meta->signal == WF_PICTURE || (!patch && !flip), WF_USAGE, "patches and flips are of pictures, not of %ss",
             wf_signal_names[meta->signal]);
    WF_CHECK(patch <= s.H && patch <= s.W, WF_USAGE, "patch %d is larger than level %d, which is %d x %d", patch, level,
             s.H, s.W);
    WF_CHECK(!context || patch, WF_USAGE, "context is of patches: give --patch as well");
    WF_CHECK(!context || 2 * context < patch, WF_USAGE, "context %d leaves nothing of a patch of %d", context, patch);
    WF_CHECK(!flip || !strcmp(meta->wavelet, "haar"), WF_USAGE, "flips need haar, whose filters are symmetric, not %s",
             meta->wavelet);
    *out = (wf_minibatch){
        .store = store, .level = level, .N = N, .patch = patch, .context = context, .flip = flip, .seed = seed};
    out->H = patch ? patch : s.H;
    out->W = patch ? patch : s.W;
    out->middle = patch - 2 * context;
    size_t pixels = (size_t)N * (size_t)out->H * (size_t)out->W;
    out->low = malloc(pixels * (size_t)s.C * sizeof *out->low);
    out->detail = level ? malloc(pixels * (size_t)s.K * sizeof *out->detail) : NULL;
    out->weight = context ? malloc(pixels * sizeof *out->weight) : NULL;
    WF_CHECK(out->low && (out->detail || !level) && (out->weight || !context), WF_AGAIN, "batch: out of memory");
    return WF_OK;
}

void wf_minibatch_clear(wf_minibatch *b)
{
    free(b->low);
    free(b->detail);
    free(b->weight);
    *b = (wf_minibatch){0};
}

int wf_minibatch_counted(const wf_minibatch *b)
{
    return b->patch ? b->middle * b->middle : b->H * b->W;
}

/* Mirrors [H,W,channels] left to right. In the mirror image of an orthogonal Haar pyramid the horizontal and diagonal
 * differences change sign: bands 0 and 2 of `bands`. */
static void mirror(const wf_minibatch *b, int channels, int bands, float *x)
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

/* 1 where the middle is, at (y,x) of the patch. */
static void weigh(const wf_minibatch *b, int y, int x, float *weight)
{
    for (int i = 0; i < b->H; i++)
        for (int j = 0; j < b->W; j++)
            weight[i * b->W + j] = i >= y && i < y + b->middle && j >= x && j < x + b->middle;
}

static int inside(int at, int limit)
{
    return at < 0 ? 0 : at > limit ? limit : at;
}

/* Where along an axis of `side` pixels the middle of a patch begins. Those that would begin up to half of their length outside
 * are moved to the border: pixels near it then count as often on average as all others, where else the outermost would be met
 * once in side - middle + 1 patches. */
static int middle_at(const wf_minibatch *b, uint64_t dice, int side)
{
    int beyond = b->middle / 2, places = side - b->middle + 1 + 2 * beyond;
    return inside((int)((dice & 0xffffff) % (uint64_t)places) - beyond, side - b->middle);
}

/* Draws an axis of a patch: *middle, and where the patch begins, which ends where the picture does, so that padding is seen
 * only there. */
static int draw(const wf_minibatch *b, uint64_t dice, int side, int length, int *middle)
{
    if (!b->context)
        return *middle = (int)((dice & 0xffffff) % (uint64_t)(side - length + 1));
    *middle = middle_at(b, dice, side);
    return inside(*middle - b->context, side - length);
}

int wf_minibatch_load(wf_minibatch *b, int64_t step)
{
    wf_level_shape s = wf_meta_level(wf_store_meta(b->store), b->level);
    int64_t count = wf_store_count(b->store);
    size_t pixels = (size_t)b->H * (size_t)b->W, each = pixels * (size_t)s.C, details = pixels * (size_t)s.K;
    for (int n = 0; n < b->N; n++) {
        int64_t position = step * b->N + n;
        int64_t at = wf_shuffle(b->seed, (uint64_t)(position / count), count, position % count);
        uint64_t dice = mixed(b->seed, ~(uint64_t)0, (uint64_t)position);
        bool flipped = b->flip && dice >> 63;
        int y, x; /* of the middle */
        wf_window patch = {.h = b->H, .w = b->W};
        patch.y = draw(b, dice, s.H, b->H, &y);
        patch.x = draw(b, dice >> 24, s.W, b->W, &x);
        float *low = b->low + (size_t)n * each, *detail = b->detail ? b->detail + (size_t)n * details : NULL;
        WF_TRY(wf_store_get_window(b->store, b->level, at, &patch, low, detail, NULL));
        if (flipped)
            mirror(b, s.C, 1, low);
        if (flipped && detail)
            mirror(b, 3 * s.C, 3, detail);
        if (b->weight)
            weigh(b, y - patch.y, flipped ? patch.x + b->W - x - b->middle : x - patch.x,
                  b->weight + (size_t)n * pixels);
    }
    return WF_OK;
}
