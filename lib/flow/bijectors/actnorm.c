/* actnorm.c - offset and scale per channel, y = (x + b) exp(3 l), set so that the first batch gets mean 0 and variance
 * 1 (Kingma and Dhariwal 2018, section 3.1; the factor 3 is from their code) */
#include <math.h>
#include <stdlib.h>

#include "../bijector.h"
#include "../actnorm_init.h"

static int create(wf_bijector *self, const int *values)
{
    (void)values;
    int64_t shape = self->shape->K;
    self->linear = WF_LINEAR_ACTNORM;
    WF_CHECK(wf_bijector_param(self, "b", 1, &shape) >= 0 && wf_bijector_param(self, "l", 1, &shape) >= 0, WF_AGAIN,
             "actnorm: out of memory");
    return WF_OK;
}

static int data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    (void)cond, (void)tape;
    const wf_stage_shape *c = self->shape;
    return wf_actnorm_init(c, c->K, x, params, wf_at(c->backend, params, (size_t)c->K));
}

const wf_bijector_type wf_bijector_actnorm = {
    .name = "actnorm",
    .summary = "y = (x + b) exp(3 l) for each channel; the first batch sets mean 0 and variance 1 (Glow, 2018)",
    .linear = true,
    .create = create,
    .data_init = data_init};
