/* presets.c - named chains, the patches that belong to them, and the chain for a budget */
#include "presets.h"

#include <stdio.h>
#include <string.h>

/* True at a base of one channel. */
static bool is_grey_base(const wf_meta *meta, int level)
{
    return level == 0 && wf_meta_level(meta, 0).K == 1;
}

/* The chain of a base of one channel: checkerboards, or splines of a single number. Checkerboards are not for volumes,
 * whose base gets a normal distribution. */
static void write_grey_base(const wf_meta *meta, int steps, int width, char out[WF_PRESET_CHAIN])
{
    wf_level_shape s = wf_meta_level(meta, 0);
    if (meta->signal == WF_VOLUME)
        snprintf(out, WF_PRESET_CHAIN, "actnorm");
    else if (s.H * s.W == 1)
        snprintf(out, WF_PRESET_CHAIN, "actnorm, 2*(rqspline:mask=checker:swap:width=8:blocks=1, actnorm)");
    else
        snprintf(out, WF_PRESET_CHAIN,
                 "%d*(actnorm, affine:width=%d:mask=checker, affine:width=%d:mask=checker:swap), actnorm", steps, width,
                 width);
}

/* Small levels have little to learn from. */
static void write_exact(const wf_meta *meta, int level, char out[WF_PRESET_CHAIN])
{
    wf_level_shape s = wf_meta_level(meta, level);
    bool small = s.H * s.W <= 4;
    int width = small ? 32 : 48;
    snprintf(out, WF_PRESET_CHAIN,
             "cond:channels=16:width=%d:blocks=2, lattice:components=5:width=%d:blocks=%d:phases=2", width, width,
             small ? 1 : 2);
}

bool wf_preset_chain(const char *name, const wf_meta *meta, int level, char out[WF_PRESET_CHAIN])
{
    bool faces = meta->levels >= 8, official = !strcmp(name, "official");
    int width = faces ? (level < 3 ? 64 : 128) : (level < 5 ? 128 : 256);
    bool exact = !strcmp(name, "exact");
    if (!official && !exact && strcmp(name, "best") != 0)
        return false;
    if (exact)
        write_exact(meta, level, out);
    else if (is_grey_base(meta, level))
        write_grey_base(meta, 8, width, out);
    else if (official)
        snprintf(out, WF_PRESET_CHAIN, "%d*(actnorm, conv1x1, affine:width=%d:blocks=3), actnorm", level < 2 ? 8 : 16,
                 width);
    else
        snprintf(out, WF_PRESET_CHAIN,
                 "cond:channels=16:width=%d:blocks=2, 8*(actnorm, conv1x1, affine:width=%d:blocks=1), actnorm", width,
                 width);
    return true;
}

int wf_preset_patch(const wf_meta *meta, int level)
{
    if (meta->signal != WF_PICTURE)
        return 0;
    wf_level_shape s = wf_meta_level(meta, level);
    int side = s.H < s.W ? s.H : s.W, parts = 1;
    if (meta->levels >= 8)
        parts = level < 6 ? 1 : level < 8 ? 2 : side / 32;
    else if (level >= 5)
        parts = 2;
    return parts > 1 ? side / parts : 0;
}

/* -- by budget ----------------------------------------------------------------------------------------------------- */

/* Candidates, the largest first. Channels 0: no features of the low-pass picture. */
static const struct candidate {
    int steps, width, channels, features, blocks; /* features: width of the net that makes them, with its blocks */
    double least; /* steps of training that it must be able to make (budgets.sh); that of 12 x 64 is a guess */
} candidates[] = {
    {12, 64, 24, 64, 2, 40000}, {12, 48, 16, 48, 2, 10000}, {12, 32, 16, 32, 2, 4000},
    {8, 32, 16, 32, 2, 1500},   {6, 16, 8, 16, 2, 0},
};
enum { CANDIDATES = sizeof candidates / sizeof *candidates, SMALLEST = CANDIDATES - 1 };

/* Seconds of a core with AVX-512, all passes together; tests/bench/budgets.sh measures rates, and these fit them within
 * a sixth. */
static const double MULTIPLICATION = 3.8e-12, VALUE = 2e-8 /* of a hidden map */, OVERHEAD = 1e-4 /* of a step */;

/* Multiplications of one pixel, forward: features, then a net for each coupling. Backward takes twice as many, and
 * rebuilding the maps once more. */
static double cost_of(const struct candidate *c, wf_level_shape s)
{
    double net = (s.K + s.C + c->channels) * c->width + 10.0 * c->width * c->width + 9.0 * c->width * s.K;
    double features = c->channels ? (s.C + 10.0 * c->blocks * c->features + 9.0 * c->channels) * c->features : 0;
    return 4 * (c->steps * net + features);
}

static double seconds_of_step(const struct candidate *c, wf_level_shape s, int batch, double pixels)
{
    double pixel = MULTIPLICATION * cost_of(c, s) + VALUE * c->steps * c->width;
    return batch * pixels * pixel + OVERHEAD * c->steps;
}

/* Small levels have few coefficients to learn from. */
static int largest_for(double pixels)
{
    return pixels <= 4 ? SMALLEST : pixels <= 16 ? SMALLEST - 1 : 0;
}

/* Pictures a step. Many steps of few pixels learn more in the same time than few of many. */
static int batch_for(double pixels)
{
    return pixels > 256 ? 2 : pixels > 64 ? 4 : pixels > 16 ? 8 : pixels > 4 ? 16 : pixels > 1 ? 32 : 64;
}

/* Gives what all chosen chains have in common, without the chain. */
static wf_preset_choice trained_by(int batch, bool muon, int patch)
{
    return (wf_preset_choice){.batch = batch,
                              .lr = batch <= 8    ? 6e-3
                                    : batch <= 32 ? 4e-3
                                                  : 2e-3,
                              .ema = 0.995,
                              .decay = 0.5,
                              .optimizer = muon ? "muon" : "adamax",
                              .patch = patch};
}

enum { PATCH = 32 };

static bool is_cropped(const wf_meta *meta, wf_level_shape s)
{
    return meta->signal == WF_PICTURE && s.H > PATCH && s.W > PATCH;
}

void wf_preset_exact(const wf_meta *meta, int level, wf_preset_choice *out)
{
    wf_level_shape s = wf_meta_level(meta, level);
    bool crop = is_cropped(meta, s);
    *out = trained_by(batch_for(crop ? PATCH * PATCH : (double)s.H * s.W), level > 0, crop ? PATCH : 0);
    write_exact(meta, level, out->chain);
}

void wf_preset_fit(const wf_meta *meta, int level, double minutes, double cores, wf_preset_choice *out)
{
    wf_level_shape s = wf_meta_level(meta, level);
    bool crop = is_cropped(meta, s);
    double pixels = crop ? PATCH * PATCH : (double)s.H * s.W, budget = 60 * (minutes > 0 ? minutes : 60) * cores;
    int batch = batch_for(pixels), i = largest_for(pixels);
    while (budget / seconds_of_step(&candidates[i], s, batch, pixels) < candidates[i].least)
        i++;
    const struct candidate *c = &candidates[i];
    bool features = level && pixels > 4;
    *out = trained_by(batch, features, crop ? PATCH : 0);
    if (is_grey_base(meta, level))
        write_grey_base(meta, c->steps, c->width, out->chain);
    else if (features)
        snprintf(out->chain, WF_PRESET_CHAIN,
                 "cond:channels=%d:width=%d:blocks=%d, actnorm, conv1x1:pca, affine:width=%d:blocks=1, "
                 "%d*(actnorm, conv1x1, affine:width=%d:blocks=1), actnorm",
                 c->channels, c->features, c->blocks, c->width, c->steps - 1, c->width);
    else
        snprintf(out->chain, WF_PRESET_CHAIN, "%d*(actnorm, conv1x1, affine:width=%d:blocks=1), actnorm", c->steps,
                 c->width);
}
