/* cases_coupling.c - elementwise transforms of couplings, and their masks */
#include "ops.h"

const wf_transform transforms[] = {
    {.kind = WF_TRANSFORM_ADDITIVE},
    {.kind = WF_TRANSFORM_AFFINE_TANH},
    {.kind = WF_TRANSFORM_AFFINE_SIGMOID},
    {.kind = WF_TRANSFORM_AFFINE_EXP},
    {.kind = WF_TRANSFORM_RQSPLINE, .count = 5, .bound = 2},
    {.kind = WF_TRANSFORM_MIXLOGISTIC, .count = 3},
    {.kind = WF_TRANSFORM_SOS, .count = 3, .degree = 2, .bound = 2},
    {.kind = WF_TRANSFORM_SOS, .count = 2, .degree = 4, .bound = 2},
};
const int transform_count = sizeof transforms / sizeof *transforms;

static wf_coupling coupling_of(const dims *d)
{
    wf_coupling c = {
        .H = d->H, .W = d->W, .K = d->K, .first = d->k, .moved = d->K - d->k, .transform = transforms[d->C]};
    if (d->variant & 8) {
        c.first = 0;
        c.moved = d->k;
    }
    c.pixels = d->variant & 16 ? WF_EVEN_PIXELS : d->variant & 32 ? WF_ODD_PIXELS : WF_EVERY_PIXEL;
    return c;
}

/* Elements of a picture's x; params_of counts those of its params. */
static size_t state_of(const dims *d)
{
    return (size_t)d->H * (size_t)d->W * (size_t)d->K;
}

static size_t params_of(const wf_coupling *c)
{
    return (size_t)c->H * (size_t)c->W * (size_t)(c->moved * wf_transform_parameters(&c->transform));
}

static double params_size(const wf_coupling *c)
{
    return c->transform.count ? 1 : 3;
}

int case_transform_forward(run *r, const dims *d)
{
    wf_coupling c = coupling_of(d);
    bool in_place = d->variant & 1;
    wf_real *x = reals(r, "x", in_place ? UPDATED : INPUT, PER_PICTURE, state_of(d), 3);
    wf_real *params = reals(r, "params", INPUT, PER_PICTURE, params_of(&c), params_size(&c));
    wf_real *y = in_place ? x : reals(r, "y", OUTPUT, PER_PICTURE, state_of(d), 1);
    double *logdet = doubles(r, "logdet", PER_PICTURE, 1, true);
    wf_backend *b = r->backend;
    const wf_real *weight = weights_of(r, d);
    WF_TRY(b->transform_forward(b, &c, d->N, x, params, weight, y, logdet));
    return b->transform_forward(b, &c, d->N, x, params, weight, y, logdet); /* logdet is added to */
}

int case_transform_inverse(run *r, const dims *d)
{
    wf_coupling c = coupling_of(d);
    bool in_place = d->variant & 1;
    wf_real *y = reals(r, "y", in_place ? UPDATED : INPUT, PER_PICTURE, state_of(d), 3);
    wf_real *params = reals(r, "params", INPUT, PER_PICTURE, params_of(&c), params_size(&c));
    wf_real *x = in_place ? y : reals(r, "x", OUTPUT, PER_PICTURE, state_of(d), 1);
    double *logdet = d->variant & 2 ? NULL : doubles(r, "logdet", PER_PICTURE, 1, true);
    wf_backend *b = r->backend;
    WF_TRY(b->transform_inverse(b, &c, d->N, y, params, x, logdet));
    return b->transform_inverse(b, &c, d->N, y, params, x, logdet);
}

int case_transform_backward(run *r, const dims *d)
{
    wf_coupling c = coupling_of(d);
    wf_real *x = reals(r, "x", INPUT, PER_PICTURE, state_of(d), 3);
    wf_real *params = reals(r, "params", INPUT, PER_PICTURE, params_of(&c), params_size(&c));
    wf_real *g = reals(r, "g", UPDATED, PER_PICTURE, state_of(d), 1);
    wf_real *dparams = reals(r, "dparams", OUTPUT, PER_PICTURE, params_of(&c), 1);
    return r->backend->transform_backward(r->backend, &c, d->N, x, params, weights_of(r, d), g, -0.3, dparams);
}

int case_transform_inverse_backward(run *r, const dims *d)
{
    wf_coupling c = coupling_of(d);
    wf_real *x = reals(r, "x", INPUT, PER_PICTURE, state_of(d), 3);
    wf_real *params = reals(r, "params", INPUT, PER_PICTURE, params_of(&c), params_size(&c));
    wf_real *g = reals(r, "g", UPDATED, PER_PICTURE, state_of(d), 1);
    wf_real *dparams = reals(r, "dparams", OUTPUT, PER_PICTURE, params_of(&c), 1);
    return r->backend->transform_inverse_backward(r->backend, &c, d->N, x, params, g, 0.7, dparams);
}

/* variant 1: added to y. */
int case_mask(run *r, const dims *d)
{
    wf_coupling c = coupling_of(d);
    bool add = d->variant & 1;
    wf_real *x = reals(r, "x", INPUT, PER_PICTURE, state_of(d), 1);
    wf_real *y = reals(r, "y", add ? UPDATED : OUTPUT, PER_PICTURE, state_of(d), 1);
    return r->backend->mask(r->backend, &c, d->N, x, add, y);
}
