/* rqspline.c - coupling by monotone rational-quadratic splines (Durkan et al. 2019): `bins` pieces between -bound and
 * bound, the identity outside */
#include "../coupling.h"

static int create(wf_bijector *self, const int *values)
{
    const int *own = values + WF_COUPLING_OWN;
    wf_transform t = {.kind = WF_TRANSFORM_RQSPLINE, .count = own[0], .bound = own[1]};
    return wf_coupling_create(self, &t, values);
}

const wf_bijector_type wf_bijector_rqspline = {
    .name = "rqspline",
    .summary = "coupling, a monotone rational-quadratic spline on [-bound, bound] (neural spline flows, 2019)",
    .options = {WF_COUPLING_OPTIONS,
                {"bins", 8, 2, 16, NULL, "pieces of the spline", 0},
                {"bound", 3, 1, 100, NULL, "y = x beyond it", 0}},
    .create = create,
    WF_COUPLING_FUNCTIONS,
};
