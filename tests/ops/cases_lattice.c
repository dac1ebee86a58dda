/* cases_lattice.c - distributions of whole-number coefficients */
#include "ops.h"

/* K colours, k components, C channels of the condition beside the low-pass. variant & 3: band, 3: the base. */
static wf_lattice lattice_of(const dims *d)
{
    bool base = (d->variant & 3) == 3, deep = d->variant & 8;
    return (wf_lattice){.H = d->H,
                        .W = d->W,
                        .C = d->K,
                        .cond = base ? 0 : d->K + d->C,
                        .band = base ? WF_LATTICE_BASE : d->variant & 3,
                        .components = d->k,
                        .pixels = d->variant & 16   ? WF_EVEN_PIXELS
                                  : d->variant & 32 ? WF_ODD_PIXELS
                                                    : WF_EVERY_PIXEL,
                        .bits = deep ? 5 : 8,
                        .halvings = deep ? 3 : 1};
}

static size_t pixels_of(const dims *d)
{
    return (size_t)d->H * (size_t)d->W;
}

/* The inputs that all three slots have, apart from x. */
typedef struct inputs {
    const wf_real *cond, *norm, *params;
} inputs;

static inputs inputs_of(run *r, const dims *d, const wf_lattice *l)
{
    size_t parameters = pixels_of(d) * (size_t)(wf_lattice_parameters(l) * l->C);
    inputs in = {.cond = l->cond ? reals(r, "cond", INPUT, PER_PICTURE, pixels_of(d) * (size_t)l->cond, 0.5) : NULL};
    in.norm = reals(r, "norm", INPUT, WHOLE, 2 * (size_t)wf_lattice_channels(l), 0.7);
    in.params = reals(r, "params", INPUT, PER_PICTURE, parameters, 2);
    return in;
}

static wf_real *state(run *r, const dims *d, const wf_lattice *l, const char *what, enum role role, double size)
{
    return reals(r, what, role, PER_PICTURE, pixels_of(d) * (size_t)wf_lattice_channels(l), size);
}

int case_lattice_forward(run *r, const dims *d)
{
    wf_lattice l = lattice_of(d);
    const wf_real *x = state(r, d, &l, "x", INPUT, 0.4);
    inputs in = inputs_of(r, d, &l);
    wf_real *z = state(r, d, &l, "z", UPDATED, 1);
    double *logdet = doubles(r, "logdet", PER_PICTURE, 1, true);
    const wf_real *weight = weights_of(r, d);
    wf_backend *b = r->backend;
    WF_TRY(b->lattice_forward(b, &l, d->N, x, in.cond, in.norm, in.params, weight, z, logdet));
    return b->lattice_forward(b, &l, d->N, x, in.cond, in.norm, in.params, weight, z, logdet); /* it is added to */
}

int case_lattice_inverse(run *r, const dims *d)
{
    wf_lattice l = lattice_of(d);
    const wf_real *z = state(r, d, &l, "z", INPUT, 3);
    inputs in = inputs_of(r, d, &l);
    wf_real *x = state(r, d, &l, "x", UPDATED, 0.4);
    double *logdet = d->variant & 4 ? NULL : doubles(r, "logdet", PER_PICTURE, 1, true);
    return r->backend->lattice_inverse(r->backend, &l, d->N, z, in.cond, in.norm, in.params, x, logdet);
}

int case_lattice_backward(run *r, const dims *d)
{
    wf_lattice l = lattice_of(d);
    const wf_real *x = state(r, d, &l, "x", INPUT, 0.4);
    inputs in = inputs_of(r, d, &l);
    size_t parameters = pixels_of(d) * (size_t)(wf_lattice_parameters(&l) * l.C);
    wf_real *dparams = reals(r, "dparams", OUTPUT, PER_PICTURE, parameters, 1);
    return r->backend->lattice_backward(r->backend, &l, d->N, x, in.cond, in.norm, in.params, weights_of(r, d), -0.3,
                                        dparams);
}
