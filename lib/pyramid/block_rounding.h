/* block_rounding.h - rounding to whole samples, which can keep the means of blocks */
#ifndef WF_BLOCK_ROUNDING_H
#define WF_BLOCK_ROUNDING_H

#include <stdint.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

/* Rounds values [H,W,C] to the nearest whole numbers in 0 .. most. */
void wf_round(const float *values, int H, int W, int C, int most, uint16_t *pixels);

/* Rounds so that each block x block pixels of a channel keep their mean, which is a whole number. Values whose rounding
 * errs most are rounded the other way for that. H and W are multiples of block. WF_DATA, with `name` in the message: a
 * mean is further than 0.01 from the whole numbers 0 .. most. */
int wf_round_blocks(const char *name, const float *values, int H, int W, int C, int block, int most,
                    uint16_t *pixels) WF_MUST;

WF_END

#endif
