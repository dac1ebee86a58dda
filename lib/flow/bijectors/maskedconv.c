/* maskedconv.c - masked convolution of MaCow (Ma et al. 2019, arXiv 1902.04208, and its code): y = (x + t) sigmoid(s +
 * 2). s and t of a pixel come from the two lines before it in `order`, three pixels wide, through a convolution and a
 * 1x1 (net.h: pair). The inverse finds x line by line, all pixels of a line at once.
 *
 *     order=down (default)   rows from the top: a pixel sees the two rows above
 *     order=up, right, left  rows from the bottom, columns from the left or right
 *     width=N                of the net, default 2 K
 *
 * The net sees the picture shifted by a line, through a 3x3 kernel without its last line; only the other six taps are
 * parameters. The condition is known everywhere, so all nine taps see it. */
#include <stdlib.h>

#include "../autoregressive.h"

static const char *const orders[] = {"down", "up", "right", "left", NULL};

typedef struct masked {
    wf_autoregressive by_line; /* first, for WF_AUTOREGRESSIVE_FUNCTIONS */
    wf_bijector inner;         /* layout of the net's own parameters, with all taps */
    bool columns;
    int width, side, in; /* of the net; of its kernel; its input channels */
    size_t taps;         /* parameters of the first kernel */
    size_t first;        /* reals of the first kernel with all taps */
} masked;

static int declare(wf_bijector *self, const masked *own)
{
    const wf_stage_shape *c = self->shape;
    int64_t x[4] = {own->width, own->side > 1 ? 6 : 1, c->K}, cond[4] = {own->width, own->side, own->side, c->C};
    bool ok = wf_bijector_param(self, "in.x", 3, x) >= 0 && (!c->C || wf_bijector_param(self, "in.cond", 4, cond) >= 0);
    for (int i = 1; ok && i < own->inner.param_count; i++) {
        const wf_param *p = &own->inner.params[i];
        ok = wf_bijector_param(self, p->name, p->rank, p->shape) >= 0;
    }
    WF_CHECK(ok, WF_AGAIN, "maskedconv: out of memory");
    return WF_OK;
}

static wf_runs reversed(wf_runs r)
{
    size_t outer = r.from_outer, inner = r.from_inner;
    r.from_outer = r.to_outer;
    r.from_inner = r.to_inner;
    r.to_outer = outer;
    r.to_inner = inner;
    return r;
}

/* The taps of x, from the word's parameters to the net's: two whole rows of a kernel, or two columns of each row.
 * start: offset of the first tap in the net's kernel. */
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

/* A run of parameters, from offset `at` in the word's to offset `at_net` in the net's. */
typedef struct piece {
    wf_runs runs;
    size_t at, at_net;
} piece;

static int list_pieces(const wf_bijector *self, piece pieces[3])
{
    const masked *own = self->own;
    const wf_stage_shape *c = self->shape;
    size_t C = (size_t)c->C, inner = (size_t)(own->width * own->side * own->side), start;
    wf_runs x = taps_of_x(c, own, &start);
    wf_runs cond = {.outer = 1, .inner = inner, .run = C, .from_inner = C, .to_inner = (size_t)own->in};
    wf_runs rest = {.outer = 1, .inner = 1, .run = own->inner.count - own->first};
    pieces[0] = (piece){x, 0, start};
    pieces[1] = (piece){rest, own->taps, own->first};
    pieces[2] = (piece){cond, self->params[0].count, (size_t)c->K};
    return C ? 3 : 2;
}

/* The net's parameters from the word's; the taps that are not parameters are 0. */
static int expand(const wf_bijector *self, const wf_real *params, wf_real *params_net)
{
    const masked *own = self->own;
    wf_backend *b = self->shape->backend;
    piece pieces[3];
    int count = list_pieces(self, pieces);
    WF_TRY(b->zero(b, params_net, own->first * b->real));
    for (const piece *p = pieces; p < pieces + count; p++)
        WF_TRY(b->copy_runs(b, &p->runs, wf_at(b, params_net, p->at_net), wf_at(b, params, p->at)));
    return WF_OK;
}

/* The word's parameters, or their gradients, from the net's. */
static int gather(const wf_bijector *self, const wf_real *params_net, wf_real *params)
{
    wf_backend *b = self->shape->backend;
    piece pieces[3];
    int count = list_pieces(self, pieces);
    for (const piece *p = pieces; p < pieces + count; p++) {
        wf_runs runs = reversed(p->runs);
        WF_TRY(b->copy_runs(b, &runs, wf_at(b, params, p->at), wf_at(b, params_net, p->at_net)));
    }
    return WF_OK;
}

static int create(wf_bijector *self, const int *values)
{
    const wf_stage_shape *c = self->shape;
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
    own->inner = (wf_bijector){.type = self->type, .shape = self->shape, .after = self->shape};
    wf_net_spec spec = {.kind = wf_net_kind("pair"), .K = c->K, .take = c->K, .out = 2 * c->K, .width = own->width};
    WF_TRY(wf_net_create(&own->inner, &spec, &a->net));
    WF_TRY(declare(self, own));
    own->taps = self->params[0].count + (c->C ? self->params[1].count : 0);
    own->first = own->inner.params[0].count;
    a->expand = expand;
    a->gather = gather;
    a->expanded_bytes = wf_round64(own->inner.count * c->backend->real);
    wf_autoregressive_measure(self, a, own->inner.tape_bytes, own->inner.work_bytes);
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

const wf_bijector_type wf_bijector_maskedconv = {
    .name = "maskedconv",
    .summary = "y = (x + t) sigmoid(s + 2), s and t from the two lines before the pixel (MaCow, 2019); the inverse "
               "goes line by line",
    .pictures_only = true,
    .options = {{"order", 0, 0, 0, orders,
                 "which lines come before: rows above or below, columns to the "
                 "left or right",
                 0},
                {"width", 0, 1, 4096, NULL, "channels of hidden maps", "twice the channels"}},
    .create = create,
    .destroy = destroy,
    .init = init,
    WF_AUTOREGRESSIVE_FUNCTIONS,
};
