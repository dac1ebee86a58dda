/* field_unit.h - the unit in which the flows of a model see fields */
#ifndef WF_FIELD_UNIT_H
#define WF_FIELD_UNIT_H

#include "../base/linkage.h"
#include "../store/store.h"

WF_BEGIN

/* Sets meta->mean and meta->exponent from the first 1024 fields of the store: the mean m of the low-pass values of
 * `level`, and the power of two nearest to their root mean square distance from m. That of constant fields is 1. One
 * unit serves all levels and channels: dividing by a power of two is exact, and actnorm does the rest. Changes nothing
 * for pictures. WF_DATA: the store lacks the level, or is damaged. */
int wf_field_unit_measure(wf_store *store, int level, wf_meta *meta) WF_MUST;

WF_END

#endif
