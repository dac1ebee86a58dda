/* pack.h - a packer with random weights, and random pictures */
#ifndef PACK_H
#define PACK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/codec/exact_math.h"
#include "../lib/codec/packer_private.h"

/* Ends a test that cannot go on; fuzz targets have no Criterion. */
static void pack_need(bool good)
{
    if (good)
        return;
    fprintf(stderr, "pack.h: %s\n", wf_error());
    abort();
}

/* A generator of its own, so that the numbers are the same on every system. */
typedef struct pack_random {
    uint64_t state;
} pack_random;

static uint32_t pack_next(pack_random *r)
{
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(r->state >> 33);
}

/* Uniform in -size .. size. */
static float pack_real(pack_random *r, float size)
{
    return size * ((float)pack_next(r) / 1073741824.0f - 1);
}

static float *pack_reals(pack_random *r, size_t n, float size)
{
    float *values = malloc(n * sizeof *values);
    pack_need(values);
    for (size_t i = 0; i < n; i++)
        values[i] = pack_real(r, size);
    return values;
}

/* A net of 1x1 to `width`, a residual block and a 3x3 to `out` channels. */
__attribute__((unused)) static wf_exact_net *pack_net(pack_random *r, int in, int width, int out, float size)
{
    wf_exact_layer layers[4] = {{.in = in, .out = width, .k = 1, .relu = true},
                                {.in = width, .out = width, .k = 3, .relu = true},
                                {.in = width, .out = width, .k = 1, .relu = true, .residual = true},
                                {.in = width, .out = out, .k = 3}};
    wf_exact_net *net = NULL;
    float *owned[12];
    for (int i = 0; i < 4; i++) {
        wf_exact_layer *l = &layers[i];
        l->w = owned[3 * i] = pack_reals(r, (size_t)(l->in * l->out * l->k * l->k), i == 3 ? size : 0.2f);
        l->bias = owned[3 * i + 1] = pack_reals(r, (size_t)l->out, size);
        l->logs = owned[3 * i + 2] = pack_reals(r, (size_t)l->out, 0.1f);
    }
    pack_need(!wf_exact_net_create(layers, 4, &net));
    for (int i = 0; i < 12; i++)
        free(owned[i]);
    return net;
}

/* A packer with n levels, for pictures of C channels of that depth. */
__attribute__((unused)) static wf_packer *pack_make(int C, int bits, int n, int phases, int components, uint64_t seed)
{
    pack_random r = {seed};
    int out = (3 * components + C - 1) * C;
    wf_packer *p = calloc(1, sizeof *p);
    *p = (wf_packer){.n = n, .C = C, .bits = bits};
    p->levels = calloc((size_t)n + 1, sizeof *p->levels);
    p->hashes = calloc((size_t)n + 1, sizeof *p->hashes);
    for (int level = 0; level <= n; level++) {
        wf_lattice_level *l = &p->levels[level];
        p->hashes[level] = seed * 1000 + (uint64_t)level;
        *l = (wf_lattice_level){.C = C, .bits = bits, .k = level ? n - level + 1 : n, .components = components};
        l->phases = phases;
        l->features = C;
        for (int i = 0; i < 3 * C; i++) {
            l->shift[i] = pack_real(&r, 0.1f);
            l->scale[i] = wf_exact_exp(3 * (double)pack_real(&r, 0.3f));
        }
        if (!level) {
            l->base = pack_reals(&r, (size_t)out, 1);
            continue;
        }
        l->conds = calloc(1, sizeof *l->conds);
        l->conds[l->cond_count++] = pack_net(&r, C, 8, 5, 0.3f);
        l->features += 5;
        for (int g = 0; g < 3 * phases; g++)
            l->nets[g] = pack_net(&r, (g / phases + g % phases) * C + l->features, 12, out, 0.4f);
    }
    return p;
}

/* A smooth picture with noise of that size (0: constant rows and columns, a mixture of both extremes with -1). */
__attribute__((unused)) static void pack_picture(wf_image *image, int H, int W, int C, int bits, int noise,
                                                 uint64_t seed)
{
    pack_random r = {seed};
    int most = (1 << bits) - 1;
    pack_need(!wf_image_reserve(image, "test", H, W, C, bits));
    for (int i = 0; i < H * W * C; i++) {
        int smooth = most * (i / C % W + i / C / W) / (H + W);
        int value = noise < 0 ? (pack_next(&r) % 2 ? most : 0) : smooth + (int)(pack_next(&r) % (uint32_t)(noise + 1));
        image->pixels[i] = (uint16_t)(value > most ? most : value);
    }
}

#endif
