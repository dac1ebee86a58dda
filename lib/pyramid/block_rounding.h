/* block_rounding.h - numbers to whole samples */
#ifndef WF_BLOCK_ROUNDING_H
#define WF_BLOCK_ROUNDING_H

#include <stdint.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

/* values [H,W,C] to the nearest whole numbers in 0 .. most. */
void wf_round(const float *values, int H, int W, int C, int most, uint16_t *pixels);

/* The same, so that the mean of each block x block pixels of a channel is the whole number that the mean of its values is:
 * those nearest to the other side are rounded there. WF_DATA, with `name` in the message: a mean is none in 0 .. most, to a
 * hundredth. H and W are multiples of block. */
int wf_round_blocks(const char *name, const float *values, int H, int W, int C, int block, int most,
                    uint16_t *pixels) WF_MUST;

WF_END

#endif
