/* presets.h - named chains, the patches that belong to them, and the chain for a budget */
#ifndef WF_PRESETS_H
#define WF_PRESETS_H

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

/* Writes the chain called `name` for a level to `out`; false if no chain has that name.
 *     "official"  as published (arXiv 2010.13821 and its code): pyramids of 8 levels or more as for 1024x1024 faces,
 *                 others as for ImageNet 64x64
 *     "best"      reached fewer bits/dim in the same time in our comparisons, with nets of the same width
 *     "exact"     exact probabilities of whole numbers, which wf-pack needs at every level
 * A base of one channel has no half that a coupling could keep. Both names then mean couplings that keep one field of a
 * checkerboard, or, for a single pixel, splines of that number. */
enum { WF_PRESET_CHAIN = 200 };
bool wf_preset_chain(const char *name, const wf_meta *meta, int level, char out[WF_PRESET_CHAIN]);

/* Side of the square patches that the official configuration trains this level on; 0: whole pictures. */
int wf_preset_patch(const wf_meta *meta, int level);

typedef struct wf_preset_choice {
    char chain[WF_PRESET_CHAIN];
    int batch;             /* pictures a step */
    double lr, ema, decay; /* as in wf_train_options */
    const char *optimizer; /* text, as in wf_train_options */
    int patch;             /* side of a patch; 0: whole pictures */
} wf_preset_choice;

/* Chooses a chain and how it is trained for so many minutes (0: no limit, as for an hour) of so many cores, by an
 * estimate of the steps that fit: the largest nets that learn enough in so many. pipelines/README.md has the figures
 * behind it. */
void wf_preset_fit(const wf_meta *meta, int level, double minutes, double cores, wf_preset_choice *out);

/* Gives the chain of "exact" and how it is trained, whatever the budget. */
void wf_preset_exact(const wf_meta *meta, int level, wf_preset_choice *out);

enum { WF_PRESET_DEVICE = 64 }; /* cores that a device is taken for; not measured */

WF_END

#endif
