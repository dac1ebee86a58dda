/* maskedconv.c - masked convolution of MaCow (Ma et al. 2019, arXiv 1902.04208, its code): y = (x + t) sigmoid(s + 2), where s and t of a
 * pixel come from the two lines before it in `order`, three pixels wide: a net of a convolution and a 1x1 (net.h: pair). So
 * x is found from y line by line, all pixels of a line at once.
 *
 *     order=down (default)   rows from the top on: a pixel sees the two rows above
 *     order=up, right, left  rows from the bottom, columns from the left or right
 *     width=N                of the net, 2 K unless given
 *
 * The net sees the picture moved on by a line, through a 3x3 kernel without its last line: parameters are of the other six taps alone.
 * The condition is known and is seen through all nine. A net evaluation for each line: the inverse takes H or W times as long as
 * forward, and so does its gradient. */
#include <stdlib.h>

#include "../bijector.h"
#include "../net.h"

static const char *const orders[] = {"down", "up", "right", "left", NULL};

typedef struct masked {
    wf_bijector inner; /* holds the layout of the net's own parameters, with all taps */
    wf_net *net;
    wf_coupling of;
    bool columns, back;        /* lines are columns; they come from the end */
    int lines;                 /* of a picture */
    int width, side, in;       /* of the net; of its kernel; channels that it sees */
    size_t taps;               /* parameters of the first kernel */
    size_t first;              /* its numbers with all taps */
    size_t state, full, theta; /* bytes of a state, of the net's parameters, of those of the transform */
} masked;

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static int declare(wf_bijector *self, const masked *own)
{
    const wf_context *c = self->context;
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
    const wf_context *c = self->context;
    WF_TRY(wf_bijector_of_pictures(self));
    masked *own = calloc(1, sizeof *own);
    WF_CHECK(own, WF_AGAIN, "maskedconv: out of memory");
    self->own = own;
    own->of = (wf_coupling){c->H, c->W, c->K, 0, c->K, WF_EVERY_PIXEL, {.kind = WF_TRANSFORM_AFFINE_SIGMOID}};
    own->columns = values[0] >= 2;
    own->back = values[0] % 2;
    own->lines = own->columns ? c->W : c->H;
    own->width = values[1] ? values[1] : 2 * c->K;
    own->side = c->kernel;
    own->in = c->K + c->C;
    own->inner = (wf_bijector){.type = self->type, .context = self->context, .after = self->context};
    WF_TRY(wf_net_create(&own->inner, wf_net_kind("pair"), c->K, 2 * c->K, own->width, 0, &own->net));
    WF_TRY(declare(self, own));
    size_t real = c->backend->real, pixels = (size_t)c->N * (size_t)c->H * (size_t)c->W;
    own->taps = self->params[0].count + (c->C ? self->params[1].count : 0);
    own->first = own->inner.params[0].count;
    own->state = round64(pixels * (size_t)c->K * real);
    own->theta = 2 * own->state;
    own->full = round64(own->inner.count * real);
    self->tape_bytes = round64(own->inner.tape_bytes) + 2 * own->state + own->full;
    self->work_bytes = 2 * own->theta + 2 * own->state + own->full + own->inner.work_bytes;
    return WF_OK;
}

static void destroy(wf_bijector *self)
{
    masked *own = self->own;
    if (!own)
        return;
    wf_net_destroy(own->net);
    free(own->inner.params);
    free(own->inner.convs);
    free(own);
}

static void init(const wf_bijector *self, uint64_t seed, double *values)
{
    const masked *own = self->own;
    wf_init_normal(seed, self->offset, 0.05, values, own->taps);
}

/* The tape: the net's, then the picture moved on by a line, scratch of the inverse, and the net's parameters. */
static wf_real *moved_on(const masked *own, void *tape)
{
    return (wf_real *)((char *)tape + round64(own->inner.tape_bytes));
}

static wf_real *spare(const masked *own, void *tape)
{
    return (wf_real *)((char *)moved_on(own, tape) + own->state);
}

static wf_real *net_params(const masked *own, void *tape)
{
    return (wf_real *)((char *)spare(own, tape) + own->state);
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
static wf_runs taps_of_x(const wf_context *c, const masked *own, size_t *start)
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
    *start = own->back && side > 1 ? (own->columns ? in : side * in) : 0;
    return r;
}

/* From the bijector's parameters to those of the net, where the other taps are zero; or `back`, of gradients too. */
static int spread(const wf_bijector *self, bool back, const wf_real *params, wf_real *all)
{
    const masked *own = self->own;
    const wf_context *c = self->context;
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

/* `count` lines of `from`, from line i on, to those of `to`, from j on: of tensors [N,H,W,channels]. */
static int copy_lines(const wf_bijector *self, int channels, int count, const wf_real *from, int i, wf_real *to, int j,
                      bool add)
{
    const masked *own = self->own;
    const wf_context *c = self->context;
    size_t line = (size_t)(own->columns ? 1 : c->W) * (size_t)channels;
    wf_runs runs = {.outer = (size_t)c->N * (size_t)(own->columns ? c->H : 1),
                    .inner = 1,
                    .run = (size_t)count * line,
                    .from_outer = (size_t)own->lines * line,
                    .to_outer = (size_t)own->lines * line,
                    .add = add};
    if (count < 1)
        return WF_OK;
    return c->backend->copy_runs(c->backend, &runs, wf_at(c->backend, to, (size_t)j * line),
                                 wf_at(c->backend, from, (size_t)i * line));
}

/* All lines of x moved on by one; or `back`, added to x. */
static int move_on(const wf_bijector *self, bool back, wf_real *x, wf_real *moved)
{
    const masked *own = self->own;
    wf_backend *b = self->context->backend;
    int from = own->back, to = !own->back, count = own->lines - 1, K = self->context->K;
    if (back)
        return copy_lines(self, K, count, moved, to, x, from, true);
    WF_TRY(b->zero(b, moved, own->state));
    return copy_lines(self, K, count, x, from, moved, to, false);
}

static int data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    const masked *own = self->own;
    wf_real *moved = moved_on(own, tape), *all = net_params(own, tape);
    WF_TRY(spread(self, false, params, all));
    WF_TRY(move_on(self, false, (wf_real *)x, moved));
    WF_TRY(wf_net_data_init(own->net, all, moved, cond, tape));
    return spread(self, true, params, all);
}

static int forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                   double *logdet, void *tape)
{
    const wf_context *c = self->context;
    const masked *own = self->own;
    wf_real *moved = moved_on(own, tape), *all = net_params(own, tape), *theta;
    WF_TRY(spread(self, false, params, all));
    WF_TRY(move_on(self, false, (wf_real *)x, moved));
    WF_TRY(wf_net_forward(own->net, all, moved, cond, tape, &theta));
    return c->backend->transform_forward(c->backend, &own->of, c->N, x, theta, c->weight, y, logdet);
}

/* Line `n` of the order. */
static int line(const masked *own, int n)
{
    return own->back ? own->lines - 1 - n : n;
}

/* A line is right once all before it are; when all but the last are there, so is the tape. */
static int inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                   double *logdet, void *tape)
{
    const wf_context *c = self->context;
    wf_backend *b = c->backend;
    const masked *own = self->own;
    wf_real *moved = moved_on(own, tape), *found = spare(own, tape), *all = net_params(own, tape), *theta;
    WF_TRY(spread(self, false, params, all));
    WF_TRY(b->zero(b, moved, own->state));
    for (int n = 0; n + 1 < own->lines; n++) {
        WF_TRY(wf_net_forward(own->net, all, moved, cond, tape, &theta));
        WF_TRY(b->transform_inverse(b, &own->of, c->N, y, theta, found, NULL));
        WF_TRY(copy_lines(self, c->K, 1, found, line(own, n), moved, line(own, n + 1), false));
    }
    WF_TRY(wf_net_forward(own->net, all, moved, cond, tape, &theta));
    return b->transform_inverse(b, &own->of, c->N, y, theta, x, logdet);
}

/* Where backward works: gradients by theta, by those of one line alone, by what the net saw, by y, by the net's parameters. */
typedef struct places {
    wf_real *dtheta, *dline, *dmoved, *dy, *dall;
    void *net;
} places;

static places divide(const masked *own, void *work)
{
    places p;
    char *at = work;
    p.dtheta = (wf_real *)at;
    p.dline = (wf_real *)(at += own->theta);
    p.dmoved = (wf_real *)(at += own->theta);
    p.dy = (wf_real *)(at += own->state);
    p.dall = (wf_real *)(at += own->state);
    p.net = at + own->full;
    return p;
}

static int backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g,
                    wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work)
{
    (void)params, (void)cond;
    const wf_context *c = self->context;
    wf_backend *b = c->backend;
    const masked *own = self->own;
    places p = divide(own, work);
    wf_real *theta = wf_net_output(own->net, tape), *all = net_params(own, tape);
    WF_TRY(b->transform_backward(b, &own->of, c->N, x, theta, c->weight, g, dlogdet, p.dtheta));
    WF_TRY(b->zero(b, p.dmoved, own->state));
    WF_TRY(wf_net_backward(own->net, all, p.dtheta, grads ? p.dall : NULL, p.dmoved, dcond, tape, p.net));
    WF_TRY(move_on(self, true, g, p.dmoved));
    return grads ? spread(self, true, grads, p.dall) : WF_OK;
}

/* The last line of x moves no other: its gradient is complete, and gives that of its y, and what flows back to the lines before. */
static int inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                            double dlogdet, void *tape, void *work)
{
    (void)params;
    const wf_context *c = self->context;
    wf_backend *b = c->backend;
    const masked *own = self->own;
    places p = divide(own, work);
    wf_real *theta = wf_net_output(own->net, tape), *here = spare(own, tape), *all = net_params(own, tape);
    size_t state = (size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)c->K;
    for (int n = own->lines - 1; n >= 0; n--) {
        int i = line(own, n);
        WF_TRY(b->copy(b, here, g, state));
        WF_TRY(b->transform_inverse_backward(b, &own->of, c->N, x, theta, here, dlogdet, p.dtheta));
        WF_TRY(copy_lines(self, c->K, 1, here, i, p.dy, i, false));
        WF_TRY(b->zero(b, p.dline, own->theta));
        WF_TRY(copy_lines(self, 2 * c->K, 1, p.dtheta, i, p.dline, i, false));
        WF_TRY(b->zero(b, p.dmoved, own->state));
        WF_TRY(wf_net_backward(own->net, all, p.dline, NULL, p.dmoved, dcond, tape, p.net));
        WF_TRY(move_on(self, true, g, p.dmoved));
    }
    return b->copy(b, g, p.dy, state);
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
