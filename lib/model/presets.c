/* presets.c - named chains, and the patches that belong to them */
#include "presets.h"

#include <stdio.h>
#include <string.h>

bool wf_preset_chain(const char *name, const wf_meta *meta, int level, char out[WF_PRESET_CHAIN])
{
    bool faces = meta->levels >= 8, official = !strcmp(name, "official");
    int width = faces ? (level < 3 ? 64 : 128) : (level < 5 ? 128 : 256);
    if (!official && strcmp(name, "best") != 0)
        return false;
    if (official)
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
