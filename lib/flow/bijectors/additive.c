/* additive.c - additive coupling: y = x + t, t = net(kept elements, cond); log-determinant 0 (Dinh et al. 2014) */
#include "../coupling.h"

static int create(wf_bijector *self, const int *values)
{
    return wf_coupling_create(self, &(wf_transform){.kind = WF_TRANSFORM_ADDITIVE}, values);
}

const wf_bijector_type wf_bijector_additive = {.name = "additive",
                                               .summary = "coupling, y = x + t (NICE, 2014)",
                                               .options = {WF_COUPLING_OPTIONS},
                                               .create = create,
                                               WF_COUPLING_FUNCTIONS};
