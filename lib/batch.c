/* batch.c - shuffled epochs, patches and flips of stored coefficients */
#include "batch.h"

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

int wf_batches_create(wf_store *store, int level, int N, int patch, bool flip, uint64_t seed, wf_batches *out)
{
    const wf_meta *meta = wf_store_meta(store);
    wf_level_shape s = wf_meta_level(meta, level);
    WF_CHECK(patch <= s.H && patch <= s.W, WF_USAGE, "patch %d is larger than level %d, which is %d x %d", patch, level,
             s.H, s.W);
    WF_CHECK(!flip || !strcmp(meta->wavelet, "haar"), WF_USAGE, "flips need haar, whose filters are symmetric, not %s",
             meta->wavelet);
    *out = (wf_batches){store, level, N, patch, flip, seed, patch ? patch : s.H, patch ? patch : s.W, NULL, NULL, NULL};
    size_t each = (size_t)out->H * (size_t)out->W * (size_t)s.C, whole = (size_t)s.H * (size_t)s.W * (size_t)s.C;
    out->low = malloc((size_t)N * each * sizeof *out->low);
    out->detail = level ? malloc((size_t)N * 3 * each * sizeof *out->detail) : NULL;
    out->picture = malloc(4 * whole * sizeof *out->picture);
    WF_CHECK(out->low && out->picture && (out->detail || !level), WF_AGAIN, "batch: out of memory");
    return WF_OK;
}

void wf_batches_clear(wf_batches *b)
{
    free(b->low);
    free(b->detail);
    free(b->picture);
    *b = (wf_batches){0};
}

/* Crops [H,W,channels] at (y,x) to the batch's size, mirrored if asked. In the mirror image of an orthogonal Haar pyramid
 * the horizontal and diagonal differences change sign: bands 0 and 2 of `bands`. */
static void crop(const wf_batches *b, const float *from, int width, int channels, int bands, int y, int x, bool mirror,
                 float *to)
{
    size_t c = (size_t)channels;
    for (int i = 0; i < b->H; i++) {
        const float *row = from + ((size_t)(y + i) * (size_t)width + (size_t)x) * c;
        float *line = to + (size_t)i * (size_t)b->W * c;
        if (!mirror) {
            memcpy(line, row, (size_t)b->W * c * sizeof *row);
            continue;
        }
        for (int j = 0; j < b->W; j++)
            for (int k = 0; k < channels; k++) {
                float v = row[(size_t)(b->W - 1 - j) * c + (size_t)k];
                line[(size_t)j * c + (size_t)k] = bands == 3 && k % 3 != 1 ? -v : v;
            }
    }
}

int wf_batches_load(wf_batches *b, int64_t step)
{
    wf_level_shape s = wf_meta_level(wf_store_meta(b->store), b->level);
    int64_t count = wf_store_count(b->store);
    size_t each = (size_t)b->H * (size_t)b->W * (size_t)s.C, whole = (size_t)s.H * (size_t)s.W * (size_t)s.C;
    for (int n = 0; n < b->N; n++) {
        int64_t position = step * b->N + n;
        int64_t at = wf_shuffle(b->seed, (uint64_t)(position / count), count, position % count);
        uint64_t dice = mixed(b->seed, ~(uint64_t)0, (uint64_t)position);
        int y = (int)((dice & 0xffffff) % (uint64_t)(s.H - b->H + 1));
        int x = (int)((dice >> 24 & 0xffffff) % (uint64_t)(s.W - b->W + 1));
        bool mirror = b->flip && dice >> 63;
        WF_TRY(wf_store_get(b->store, b->level, at, b->picture, b->picture + whole, NULL));
        crop(b, b->picture, s.W, s.C, 1, y, x, mirror, b->low + (size_t)n * each);
        if (b->detail)
            crop(b, b->picture + whole, s.W, 3 * s.C, 3, y, x, mirror, b->detail + (size_t)n * 3 * each);
    }
    return WF_OK;
}
