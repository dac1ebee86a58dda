/* affine.c - affine coupling: y = (x + t) scale, (s, t) = net(kept elements, cond) (Dinh et al. 2017). The scale is
 * exp(tanh s), as in the official Wavelet Flow configuration; or sigmoid(s + 2), as in Glow's code; or exp(s), s
 * clamped to +-5. */
#include "../coupling.h"

static const char *const scale_names[] = {"tanh", "sigmoid", "exp", NULL};

static int create(wf_bijector *self, const int *values)
{
    static const wf_transform_kind scales[] = {WF_TRANSFORM_AFFINE_TANH, WF_TRANSFORM_AFFINE_SIGMOID,
                                               WF_TRANSFORM_AFFINE_EXP};
    return wf_coupling_create(self, &(wf_transform){.kind = scales[values[WF_COUPLING_OWN]]}, values);
}

const wf_bijector_type wf_bijector_affine = {
    .name = "affine",
    .summary = "coupling, y = (x + t) scale(s) (RealNVP, 2017)",
    .options = {WF_COUPLING_OPTIONS,
                {"scale", 0, 0, 0, scale_names, "exp(tanh s), sigmoid(s + 2), or exp of s clamped to +-5", 0}},
    .create = create,
    WF_COUPLING_FUNCTIONS,
};
