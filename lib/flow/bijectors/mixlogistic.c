/* mixlogistic.c - coupling of Flow++ (Ho et al. 2019): the cumulative distribution of a mixture of `components`
 * logistics, then logit and an affine map. The inverse solves an equation for each element. */
#include "../coupling.h"

static int create(wf_bijector *self, const int *values)
{
    wf_transform t = {.kind = WF_TRANSFORM_MIXLOGISTIC, .count = values[WF_COUPLING_OWN]};
    return wf_coupling_create(self, &t, values);
}

const wf_bijector_type wf_bijector_mixlogistic = {
    .name = "mixlogistic",
    .summary = "coupling, affine of the logit of the distribution function of a mixture of logistics (Flow++, "
               "2019); the inverse is solved numerically",
    .options = {WF_COUPLING_OPTIONS, {"components", 8, 1, 20, NULL, "logistics in the mixture", 0}},
    .create = create,
    WF_COUPLING_FUNCTIONS,
};
