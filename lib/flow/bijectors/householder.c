/* householder.c - a rotation of the channels, as a product of n reflections (Tomczak and Welling 2016, equation 8). It
 * is orthonormal for any parameters, so its log-determinant is 0. The default n = K reaches every orthogonal matrix of
 * determinant (-1)^K. */
#include "../bijector.h"

static int create(wf_bijector *self, const int *values)
{
    int K = self->shape->K;
    int64_t shape[2] = {values[0] ? values[0] : K, K};
    self->linear = WF_LINEAR_HOUSEHOLDER;
    self->reflections = (int)shape[0];
    WF_CHECK(wf_bijector_param(self, "v", 2, shape) >= 0, WF_AGAIN, "householder: out of memory");
    return WF_OK;
}

static void init(const wf_bijector *self, uint64_t seed, double *values)
{
    wf_init_normal(seed, self->offset, 1, values, self->count);
}

const wf_bijector_type wf_bijector_householder = {
    .name = "householder",
    .summary = "y = Q x for each pixel, Q a product of n reflections (Tomczak and Welling, 2016)",
    .options = {{"n", 0, 1, 1024, NULL, "reflections", "the number of channels"}},
    .linear = true,
    .create = create,
    .init = init};
