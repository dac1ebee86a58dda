/* nuts_adapt.h - adaptation of a chain's step size and masses (private to nuts.c) */
#ifndef WF_NUTS_ADAPT_H
#define WF_NUTS_ADAPT_H

#include "../base/linkage.h"
#include "nuts.h"

WF_BEGIN

/* Restarts dual averaging from the step size in use. */
void wf_nuts_adapt_restart(wf_nuts_chain *c);

/* Adapts to the draw of iteration c->iteration - 1, at c->x [D]. Does nothing once adaptation is over. */
void wf_nuts_adapt(wf_nuts_chain *c, size_t D, const wf_nuts_options *o, double acceptance);

WF_END

#endif
