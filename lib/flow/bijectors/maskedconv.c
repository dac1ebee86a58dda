/* maskedconv.c - masked convolution of MaCow (Ma et al. 2019, arXiv 1902.04208, its code): y = (x + t) sigmoid(s + 2), where s and t of a
 * pixel come from the two lines before it in `order`, three pixels wide: a net of a convolution and a 1x1 (net.h: pair). So
 * x is found from y line by line, all pixels of a line at once.
 *
 *     order=down (default)   rows from the top on: a pixel sees the two rows above
 *     order=up, right, left  rows from the bottom, columns from the left or right
 *     width=N                of the net, 2 K unless given
 *
 * The net sees the picture moved on by a line, through a 3x3 kernel without its last line: parameters are of the other six taps alone.
 * The condition is known and is seen through all nine. */
#include <stdlib.h>

#include "../autoregressive.h"

static const char *const orders[] = {"down", "up", "right", "left", NULL};

typedef struct masked {
    wf_bijector inner; /* holds the layout of the net's own parameters, with all taps */
    wf_autoregressive by_line;
    bool columns;
    int width, side, in; /* of the net; of its kernel; channels that it sees */
    size_t taps;         /* parameters of the first kernel */
    size_t first;        /* its numbers with all taps */
    size_t full;         /* bytes of the net's parameters */
    size_t tape, work;   /* places of these, and of their gradients */
} masked;

static int declare(wf_bijector *self, const masked *own)
{
    const wf_stage_shape *c = self->context;
    int64_t x[4] = {own->width, own->side > 1 ? 6 : 1, c->K}, cond[4] = {own->width, own->side, own->side, c->C};
    bool ok = wf_bijector_param(self, "in.x", 3, x) >= 0 && (!c->C || wf_bijector_param(self, "in.cond", 4, cond) >= 0);
    for (int i = 1; ok && i < own->inner.param_count; i++) {
        const wf_param *p = &own->inner.params[i];
        ok = wf_bijector_param(self, p->name, p->rank, p->shape) >= 0;
    }
    WF_CHECK(ok, WF_AGAIN, "maskedconv: out of memory");
    return WF_OK;
}

static int create(wf_bijector *self, const int *values)
{
    const wf_stage_shape *c = self->context;
    WF_TRY(wf_bijector_of_pictures(self));
    masked *own = calloc(1, sizeof *own);
    WF_CHECK(own, WF_AGAIN, "maskedconv: out of memory");
    self->own = own;
    wf_autoregressive *a = &own->by_line;
    a->of = (wf_coupling){c->H, c->W, c->K, 0, c->K, WF_EVERY_PIXEL, {.kind = WF_TRANSFORM_AFFINE_SIGMOID}};
    own->columns = values[0] >= 2;
    a->back = values[0] % 2;
    a->outer = own->columns ? c->H : 1;
    a->lines = own->columns ? c->W : c->H;
    a->run = own->columns ? 1 : c->W;
    own->width = values[1] ? values[1] : 2 * c->K;
    own->side = c->kernel;
    own->in = c->K + c->C;
    own->inner = (wf_bijector){.type = self->type, .context = self->context, .after = self->context};
    wf_net_spec spec = {.kind = wf_net_kind("pair"), .K = c->K, .take = c->K, .out = 2 * c->K, .width = own->width};
    WF_TRY(wf_net_create(&own->inner, &spec, &a->net));
    WF_TRY(declare(self, own));
    own->taps = self->params[0].count + (c->C ? self->params[1].count : 0);
    own->first = own->inner.params[0].count;
    own->full = wf_round64(own->inner.count * c->backend->real);
    wf_autoregressive_measure(self, a, own->inner.tape_bytes, own->inner.work_bytes);
    own->tape = self->tape_bytes;
    own->work = wf_round64(self->work_bytes);
    self->tape_bytes += own->full;
    self->work_bytes = own->work + own->full;
    return WF_OK;
}

static void destroy(wf_bijector *self)
{
    masked *own = self->own;
    if (!own)
        return;
    wf_net_destroy(own->by_line.net);
    free(own->inner.params);
    free(own->inner.convs);
    free(own);
}

static void init(const wf_bijector *self, uint64_t seed, double *values)
{
    const masked *own = self->own;
    wf_init_normal(seed, self->offset, 0.05, values, own->taps);
}

/* The net's parameters, behind the rest of the tape; their gradients, behind that of the work. */
static wf_real *net_params(const masked *own, void *tape)
{
    return (wf_real *)((char *)tape + own->tape);
}

static wf_real *net_grads(const masked *own, void *work)
{
    return (wf_real *)((char *)work + own->work);
}

static wf_runs turned(wf_runs r)
{
    size_t outer = r.from_outer, inner = r.from_inner;
    r.from_outer = r.to_outer;
    r.from_inner = r.to_inner;
    r.to_outer = outer;
    r.to_inner = inner;
    return r;
}

/* Taps of x from the bijector's parameters to the net's: two rows of a kernel lie together, or two columns of each of its rows. */
static wf_runs taps_of_x(const wf_stage_shape *c, const masked *own, size_t *start)
{
    size_t K = (size_t)c->K, in = (size_t)own->in, side = (size_t)own->side, lines = side > 1 ? 2 : 1;
    wf_runs r = {.outer = (size_t)own->width, .inner = lines * side, .run = K, .from_inner = K, .to_inner = in};
    r.to_outer = side * side * in;
    if (own->columns) {
        r.outer *= side;
        r.inner = lines;
        r.to_outer = side * in;
    }
    r.from_outer = r.inner * K;
    *start = own->by_line.back && side > 1 ? (own->columns ? in : side * in) : 0;
    return r;
}

/* From the bijector's parameters to those of the net, where the other taps are zero; or `back`, of gradients too. */
static int spread(const wf_bijector *self, bool back, const wf_real *params, wf_real *all)
{
    const masked *own = self->own;
    const wf_stage_shape *c = self->context;
    wf_backend *b = c->backend;
    size_t C = (size_t)c->C, inner = (size_t)(own->width * own->side * own->side), start;
    wf_runs x = taps_of_x(c, own, &start);
    wf_runs cond = {.outer = 1, .inner = inner, .run = C, .from_inner = C, .to_inner = (size_t)own->in};
    wf_runs rest = {.outer = 1, .inner = 1, .run = own->inner.count - own->first};
    struct piece {
        wf_runs runs;
        size_t at, at_all;
    } pieces[] = {{x, 0, start}, {rest, own->taps, own->first}, {cond, self->params[0].count, (size_t)c->K}};
    if (!back)
        WF_TRY(b->zero(b, all, own->first * b->real));
    for (int i = 0; i < (C ? 3 : 2); i++) {
        wf_runs runs = back ? turned(pieces[i].runs) : pieces[i].runs;
        wf_real *here = wf_at(b, params, pieces[i].at), *there = wf_at(b, all, pieces[i].at_all);
        WF_TRY(b->copy_runs(b, &runs, back ? here : there, back ? there : here));
    }
    return WF_OK;
}

static int data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    const masked *own = self->own;
    wf_real *all = net_params(own, tape);
    const wf_real *seen;
    WF_TRY(spread(self, false, params, all));
    WF_TRY(wf_autoregressive_show(self, &own->by_line, x, tape, &seen));
    WF_TRY(wf_net_data_init(own->by_line.net, all, seen, cond, tape));
    return spread(self, true, params, all);
}

static int forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                   double *logdet, void *tape)
{
    const masked *own = self->own;
    wf_real *all = net_params(own, tape);
    WF_TRY(spread(self, false, params, all));
    return wf_autoregressive_forward(self, &own->by_line, all, x, cond, y, logdet, tape);
}

static int inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                   double *logdet, void *tape)
{
    const masked *own = self->own;
    wf_real *all = net_params(own, tape);
    WF_TRY(spread(self, false, params, all));
    return wf_autoregressive_inverse(self, &own->by_line, all, y, cond, x, logdet, tape);
}

static int backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g,
                    wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work)
{
    (void)params, (void)cond;
    const masked *own = self->own;
    wf_real *all = net_params(own, tape), *dall = grads ? net_grads(own, work) : NULL;
    WF_TRY(wf_autoregressive_backward(self, &own->by_line, all, x, g, dcond, dlogdet, dall, tape, work));
    return grads ? spread(self, true, grads, dall) : WF_OK;
}

static int inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                            double dlogdet, void *tape, void *work)
{
    (void)params;
    const masked *own = self->own;
    return wf_autoregressive_inverse_backward(self, &own->by_line, net_params(own, tape), x, g, dcond, dlogdet, tape,
                                              work);
}

const wf_bijector_type wf_bijector_maskedconv = {
    .name = "maskedconv",
    .options = {{"order", 0, 0, 0, orders}, {"width", 0, 1, 4096, NULL}},
    .create = create,
    .destroy = destroy,
    .init = init,
    .data_init = data_init,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .inverse_backward = inverse_backward,
};
