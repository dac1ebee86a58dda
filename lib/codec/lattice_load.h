/* lattice_load.h - private to lib/codec: the nets of a trained level, from its chain and parameters */
#ifndef WF_LATTICE_LOAD_H
#define WF_LATTICE_LOAD_H

#include "../model/level.h"
#include "lattice_level.h"

/* Makes the level from `trained`, which is on a backend with floats in host memory. `halvings`: from the pixels to the
 * level's low-pass. WF_USAGE: the chain is not zero or more `cond` and one `lattice`, a net has attention, or the
 * numbers have more than WF_EXACT_BITS digits. */
int wf_lattice_load(const wf_meta *meta, const wf_level *trained, int halvings, wf_lattice_level *out) WF_MUST;

#endif
