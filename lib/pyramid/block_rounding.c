/* block_rounding.c - rounding that keeps the sums of blocks, by the largest remainders */
#include "block_rounding.h"

#include <math.h>
#include <stddef.h>

void wf_round(const float *values, int H, int W, int C, int most, uint16_t *pixels)
{
    size_t n = (size_t)H * (size_t)W * (size_t)C;
    for (size_t i = 0; i < n; i++) {
        float v = floorf(values[i] + 0.5f);
        pixels[i] = (uint16_t)(v < 0 ? 0 : v > (float)most ? (float)most : v);
    }
}

/* One channel of one block; the pointers are at its first sample. */
typedef struct channel_block {
    const float *values;
    uint16_t *pixels;
    int side, most;
    size_t row, step; /* samples from a pixel to the one below, and to the one to the right */
} channel_block;

static size_t sample_at(const channel_block *b, int y, int x)
{
    return (size_t)y * b->row + (size_t)x * b->step;
}

/* Adds `way`, 1 or -1, to the sample that errs most the other way and stays in range. */
static void move_sample(const channel_block *b, int way)
{
    size_t best = 0;
    double most = -INFINITY;
    for (int y = 0; y < b->side; y++)
        for (int x = 0; x < b->side; x++) {
            size_t i = sample_at(b, y, x);
            double gain = way * ((double)b->values[i] - b->pixels[i]);
            if (gain > most && b->pixels[i] != (way > 0 ? b->most : 0)) {
                most = gain;
                best = i;
            }
        }
    b->pixels[best] = (uint16_t)(b->pixels[best] + way);
}

static int keep_mean(const char *name, const channel_block *b)
{
    double sum = 0, cells = (double)b->side * b->side;
    int64_t have = 0;
    for (int y = 0; y < b->side; y++)
        for (int x = 0; x < b->side; x++) {
            sum += (double)b->values[sample_at(b, y, x)];
            have += b->pixels[sample_at(b, y, x)];
        }
    double mean = round(sum / cells);
    WF_CHECK(fabs(sum / cells - mean) <= 0.01 && mean >= 0 && mean <= b->most, WF_DATA,
             "%s: a block of %d x %d averages %.3f, want a whole number from 0 to %d", name, b->side, b->side,
             sum / cells, b->most);
    int64_t want = (int64_t)(mean * cells);
    for (; have < want; have++)
        move_sample(b, 1);
    for (; have > want; have--)
        move_sample(b, -1);
    return WF_OK;
}

int wf_round_blocks(const char *name, const float *values, int H, int W, int C, int block, int most, uint16_t *pixels)
{
    size_t row = (size_t)W * (size_t)C;
    wf_round(values, H, W, C, most, pixels);
    for (int y = 0; y < H; y += block)
        for (int x = 0; x < W; x += block)
            for (int c = 0; c < C; c++) {
                size_t first = (size_t)y * row + (size_t)x * (size_t)C + (size_t)c;
                channel_block b = {values + first, pixels + first, block, most, row, (size_t)C};
                WF_TRY(keep_mean(name, &b));
            }
    return WF_OK;
}
