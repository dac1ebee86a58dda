/* shuffle.h - random orders */
#ifndef WF_SHUFFLE_H
#define WF_SHUFFLE_H

#include <stdint.h>

#include "linkage.h"

WF_BEGIN

/* Element `i` of permutation number `epoch` of 0 .. n-1 under the seed, computed without a table. */
int64_t wf_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t i);

WF_END

#endif
