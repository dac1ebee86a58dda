/* precision.h - chooses the precision that a level trains in: bf16 where it is measured half as fast again, else fp32
 *
 * The choice decides the bits of a training, so every training of one kind on one machine must get the same one. It is
 * kept for the process, and in the file ${XDG_CACHE_HOME:-~/.cache}/wavelet-flow.precisions for all others. A training
 * saves its precision in its state, and does not ask again. */
#ifndef WF_PRECISION_H
#define WF_PRECISION_H

#include "../base/linkage.h"
#include "level.h"

WF_BEGIN

enum { WF_PRECISION_WHY = 96 };
typedef struct wf_precision_choice {
    wf_precision precision;     /* WF_FP32 or WF_BF16 */
    double fp32, bf16;          /* pictures a second, both 0 if nothing was measured */
    char why[WF_PRECISION_WHY]; /* the precision, and rates, or why nothing was measured */
} wf_precision_choice;

/* True if the backend can be faster in bf16 and results in bf16 were compared: on the CPU, with instructions for it. */
bool wf_precision_is_open(const wf_backend *backend);

/* Chooses for a level that trains on N pictures, low-pass H x W. bf16 must be one and a half times as fast: rounding
 * has a price, and a gain near the limit would make the choice, and with it the weights, a matter of chance.
 * Without a choice on file it measures forward and backward through one round of the chain, "8*(..)" once, with about
 * 2,048 pixels or one picture, which takes less than a training step of a large level. Nothing is measured, and fp32
 * is chosen, unless wf_precision_is_open, the maps have more than four pixels, and the chain has only words whose
 * bits/dim in bf16 were compared with fp32 (kernels/cpu/README.md). WF_USAGE: a chain that is malformed, or does not
 * suit the level. WF_AGAIN: out of memory. */
int wf_precision_choose(wf_backend *backend, const wf_level_spec *level, int N, int H, int W, wf_memory memory,
                        wf_precision_choice *out) WF_MUST;

/* Calls `each` for every choice that the file of this machine has, in its order. key: processor, threads, version,
 * level, batch, memory and chain; valid during the call. */
typedef void wf_precision_each(void *user, const char *key, const wf_precision_choice *choice);
void wf_precision_list(wf_precision_each *each, void *user);

WF_END

#endif
