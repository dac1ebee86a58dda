/* presets.h - named chains, and the patches that belong to them */
#ifndef WF_PRESETS_H
#define WF_PRESETS_H

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

/* Writes the chain called `name` for a level to `out`; false if no chain has that name.
 *     "official"  as published (arXiv 2010.13821 and its code): pyramids of 8 levels or more as for 1024x1024 faces,
 *                 others as for ImageNet 64x64
 *     "best"      reached fewer bits/dim in the same time in our comparisons, with nets of the same width */
enum { WF_PRESET_CHAIN = 160 };
bool wf_preset_chain(const char *name, const wf_meta *meta, int level, char out[WF_PRESET_CHAIN]);

/* Side of the square patches that the official configuration trains this level on; 0: whole pictures. */
int wf_preset_patch(const wf_meta *meta, int level);

WF_END

#endif
