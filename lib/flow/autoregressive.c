/* autoregressive.c - the shifted input of the net, and the inverse line by line */
#include "autoregressive.h"

#include "shares.h"

/* Channels of the net's input. */
static int seen_channels(const wf_bijector *self, const wf_autoregressive *a)
{
    return self->shape->K + a->beside_channels;
}

void wf_autoregressive_measure(wf_bijector *self, wf_autoregressive *a, size_t tape_bytes, size_t work_bytes)
{
    const wf_stage_shape *c = self->shape;
    size_t pixels = (size_t)c->N * (size_t)c->H * (size_t)c->W, real = c->backend->real;
    a->net_tape_bytes = wf_round64(tape_bytes);
    a->state_bytes = wf_round64(pixels * (size_t)c->K * real);
    a->seen_bytes = wf_round64(pixels * (size_t)seen_channels(self, a) * real);
    a->params_bytes = wf_round64(pixels * (size_t)(c->K * wf_transform_parameters(&a->of.transform)) * real);
    a->work_bytes = 2 * a->params_bytes + a->seen_bytes + a->state_bytes;
    a->expanded_at = a->net_tape_bytes + a->seen_bytes + a->state_bytes;
    a->dexpanded_at = a->expanded_bytes ? wf_round64(a->work_bytes + work_bytes) : a->work_bytes + work_bytes;
    self->radius = WF_RADIUS_ALL;
    self->tape_bytes = a->expanded_at + a->expanded_bytes;
    self->work_bytes = a->dexpanded_at + a->expanded_bytes;
}

/* Tape: the net's | its input | a state, scratch of the inverse | expanded parameters. */
static wf_real *seen_in(const wf_autoregressive *a, void *tape)
{
    return (wf_real *)((char *)tape + a->net_tape_bytes);
}

static wf_real *scratch_in(const wf_autoregressive *a, void *tape)
{
    return (wf_real *)((char *)tape + a->net_tape_bytes + a->seen_bytes);
}

/* Copies the first `channels` channels of `count` lines: from line i of `from` [N,H,W,from_K] to line j of `to`
 * [N,H,W,to_K]; add: adds them. */
static int copy_lines(const wf_bijector *self, const wf_autoregressive *a, int channels, int count, const wf_real *from,
                      int from_K, int i, wf_real *to, int to_K, int j, bool add)
{
    const wf_stage_shape *c = self->shape;
    size_t all = (size_t)a->lines * (size_t)a->run;
    wf_runs runs = {.outer = (size_t)c->N * (size_t)a->outer,
                    .inner = (size_t)count * (size_t)a->run,
                    .run = (size_t)channels,
                    .from_outer = all * (size_t)from_K,
                    .from_inner = (size_t)from_K,
                    .to_outer = all * (size_t)to_K,
                    .to_inner = (size_t)to_K,
                    .add = add};
    if (count < 1)
        return WF_OK;
    return c->backend->copy_runs(c->backend, &runs, wf_at(c->backend, to, (size_t)j * (size_t)a->run * (size_t)to_K),
                                 wf_at(c->backend, from, (size_t)i * (size_t)a->run * (size_t)from_K));
}

/* The net's input before any line is known: zeros, and the channels `beside`. */
static int clear_seen(const wf_bijector *self, const wf_autoregressive *a, wf_real *seen)
{
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    size_t pixels = (size_t)c->H * (size_t)c->W, beside = (size_t)a->beside_channels,
           all = (size_t)seen_channels(self, a);
    wf_runs same = {.outer = (size_t)c->N,
                    .inner = pixels,
                    .run = beside,
                    .from_inner = beside,
                    .to_outer = pixels * all,
                    .to_inner = all};
    WF_TRY(b->zero(b, seen, a->seen_bytes));
    return beside ? b->copy_runs(b, &same, wf_at(b, seen, (size_t)c->K), a->beside) : WF_OK;
}

/* Leaves the net's input for x, the picture shifted by one line, in the tape. */
static int show_net(const wf_bijector *self, const wf_autoregressive *a, const wf_real *x, void *tape,
                    const wf_real **seen)
{
    int K = self->shape->K;
    wf_real *shifted = seen_in(a, tape);
    *seen = shifted;
    WF_TRY(clear_seen(self, a, shifted));
    return copy_lines(self, a, K, a->lines - 1, x, K, a->back, shifted, seen_channels(self, a), !a->back, false);
}

/* Undoes the shift: adds the gradient by the net's input to the gradient x by the picture. */
static int add_shifted(const wf_bijector *self, const wf_autoregressive *a, const wf_real *shifted, wf_real *x)
{
    int K = self->shape->K;
    return copy_lines(self, a, K, a->lines - 1, shifted, seen_channels(self, a), !a->back, x, K, a->back, true);
}

/* The net's parameters: the word's own or, in the tape, expanded from them. */
static int expand_params(const wf_bijector *self, const wf_real *params, void *tape, const wf_real **params_net)
{
    const wf_autoregressive *a = self->own;
    wf_real *expanded = (wf_real *)((char *)tape + a->expanded_at);
    *params_net = a->expand ? expanded : params;
    return a->expand ? a->expand(self, params, expanded) : WF_OK;
}

/* The net's parameters as the last forward or inverse left them. */
static const wf_real *expanded_params(const wf_autoregressive *a, const wf_real *params, void *tape)
{
    return a->expand ? (wf_real *)((char *)tape + a->expanded_at) : params;
}

int wf_autoregressive_data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    const wf_autoregressive *a = self->own;
    const wf_real *seen;
    wf_real *expanded = (wf_real *)((char *)tape + a->expanded_at);
    WF_TRY(show_net(self, a, x, tape, &seen));
    if (!a->expand)
        return wf_net_data_init(a->net, params, seen, cond, tape);
    WF_TRY(a->expand(self, params, expanded));
    WF_TRY(wf_net_data_init(a->net, expanded, seen, cond, tape));
    return a->gather(self, expanded, params);
}

int wf_autoregressive_forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond,
                              wf_real *y, double *logdet, void *tape)
{
    const wf_autoregressive *a = self->own;
    const wf_stage_shape *c = self->shape;
    const wf_real *seen, *params_net;
    wf_real *transform_params;
    WF_TRY(expand_params(self, params, tape, &params_net));
    WF_TRY(show_net(self, a, x, tape, &seen));
    WF_TRY(wf_net_forward(a->net, params_net, seen, cond, tape, &transform_params));
    return wf_shared_transform(c, &a->of, x, transform_params, y, logdet);
}

/* The n-th line in the order of the word. */
static int line_at(const wf_autoregressive *a, int n)
{
    return a->back ? a->lines - 1 - n : n;
}

/* A pass gets a line right once all lines before it are right. The last pass also leaves the tape of forward. */
int wf_autoregressive_inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond,
                              wf_real *x, double *logdet, void *tape)
{
    const wf_autoregressive *a = self->own;
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    const wf_real *params_net;
    wf_real *shifted = seen_in(a, tape), *found = scratch_in(a, tape), *transform_params;
    int all = seen_channels(self, a);
    WF_TRY(expand_params(self, params, tape, &params_net));
    WF_TRY(clear_seen(self, a, shifted));
    for (int n = 0; n + 1 < a->lines; n++) {
        WF_TRY(wf_net_forward(a->net, params_net, shifted, cond, tape, &transform_params));
        WF_TRY(b->transform_inverse(b, &a->of, c->N, y, transform_params, found, NULL));
        WF_TRY(copy_lines(self, a, c->K, 1, found, c->K, line_at(a, n), shifted, all, line_at(a, n + 1), false));
    }
    WF_TRY(wf_net_forward(a->net, params_net, shifted, cond, tape, &transform_params));
    return b->transform_inverse(b, &a->of, c->N, y, transform_params, x, logdet);
}

/* The work of backward, in this order: gradients by the transform's parameters, by those of one line alone, by the
 * net's input and by y; then the net's own work. */
typedef struct places {
    wf_real *dparams, *dline_params, *dseen, *dy;
    void *net;
} places;

static places divide_work(const wf_autoregressive *a, void *work)
{
    places p;
    char *at = work;
    p.dparams = (wf_real *)at;
    p.dline_params = (wf_real *)(at += a->params_bytes);
    p.dseen = (wf_real *)(at += a->params_bytes);
    p.dy = (wf_real *)(at += a->seen_bytes);
    p.net = at + a->state_bytes;
    return p;
}

int wf_autoregressive_backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond,
                               wf_real *g, wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work)
{
    (void)cond;
    const wf_autoregressive *a = self->own;
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    places p = divide_work(a, work);
    const wf_real *params_net = expanded_params(a, params, tape);
    wf_real *grads_net = grads && a->expand ? (wf_real *)((char *)work + a->dexpanded_at) : grads;
    WF_TRY(b->transform_backward(b, &a->of, c->N, x, wf_net_output(a->net, tape), c->weight, g, dlogdet, p.dparams));
    WF_TRY(b->zero(b, p.dseen, a->seen_bytes));
    WF_TRY(wf_net_backward(a->net, params_net, p.dparams, grads_net, p.dseen, dcond, tape, p.net));
    WF_TRY(add_shifted(self, a, p.dseen, g));
    return grads && a->gather ? a->gather(self, grads_net, grads) : WF_OK;
}

/* Lines in reverse: nothing depends on the last one, so its gradient is complete; it gives the gradient by its y and a
 * contribution to earlier lines. */
int wf_autoregressive_inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g,
                                       wf_real *dcond, double dlogdet, void *tape, void *work)
{
    const wf_autoregressive *a = self->own;
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    places p = divide_work(a, work);
    const wf_real *params_net = expanded_params(a, params, tape);
    wf_real *transform_params = wf_net_output(a->net, tape), *gy = scratch_in(a, tape);
    int K = c->K, per_pixel = K * wf_transform_parameters(&a->of.transform);
    size_t state = (size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)K;
    for (int n = a->lines - 1; n >= 0; n--) {
        int i = line_at(a, n);
        WF_TRY(b->copy(b, gy, g, state));
        WF_TRY(b->transform_inverse_backward(b, &a->of, c->N, x, transform_params, gy, dlogdet, p.dparams));
        WF_TRY(copy_lines(self, a, K, 1, gy, K, i, p.dy, K, i, false));
        WF_TRY(b->zero(b, p.dline_params, a->params_bytes));
        WF_TRY(copy_lines(self, a, per_pixel, 1, p.dparams, per_pixel, i, p.dline_params, per_pixel, i, false));
        WF_TRY(b->zero(b, p.dseen, a->seen_bytes));
        WF_TRY(wf_net_backward(a->net, params_net, p.dline_params, NULL, p.dseen, dcond, tape, p.net));
        WF_TRY(add_shifted(self, a, p.dseen, g));
    }
    return b->copy(b, g, p.dy, state);
}
