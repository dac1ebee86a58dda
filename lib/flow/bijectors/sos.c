/* sos.c - coupling by the integral of a sum of `k` squares of polynomials of `degree` (Jaini et al. 2019), a straight
 * line beyond +-3. Two squares give every non-negative polynomial of one variable. The inverse solves an equation for
 * each element.
 *
 * Degree 1 makes y a cubic of x. With degree 2, eight of these couplings in a chain did not train on CIFAR-10's level 3
 * at a learning rate of 1e-3: the derivatives of their tails multiply. */
#include "../coupling.h"

static int create(wf_bijector *self, const int *values)
{
    const int *own = values + WF_COUPLING_OWN;
    wf_transform t = {.kind = WF_TRANSFORM_SOS, .count = own[0], .degree = own[1], .bound = 3};
    return wf_coupling_create(self, &t, values);
}

const wf_bijector_type wf_bijector_sos = {
    .name = "sos",
    .summary = "coupling, the integral of a sum of squares of polynomials, linear beyond +-3 (Jaini et al., 2019); "
               "the inverse is solved numerically",
    .options = {WF_COUPLING_OPTIONS,
                {"k", 2, 1, 8, NULL, "squares", 0},
                {"degree", 1, 1, 4, NULL, "degree of each polynomial", 0}},
    .create = create,
    WF_COUPLING_FUNCTIONS,
};
