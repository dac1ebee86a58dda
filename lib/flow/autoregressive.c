/* autoregressive.c - a net that is shown the picture moved on by a line, and line by line back from what it says */
#include "autoregressive.h"

/* Channels of what the net is shown. */
static int shown(const wf_bijector *self, const wf_autoregressive *a)
{
    return self->context->K + a->beside_channels;
}

void wf_autoregressive_measure(wf_bijector *self, wf_autoregressive *a, size_t tape_bytes, size_t work_bytes)
{
    const wf_stage_shape *c = self->context;
    size_t pixels = (size_t)c->N * (size_t)c->H * (size_t)c->W, real = c->backend->real;
    a->tape = wf_round64(tape_bytes);
    a->state = wf_round64(pixels * (size_t)c->K * real);
    a->seen = wf_round64(pixels * (size_t)shown(self, a) * real);
    a->theta = wf_round64(pixels * (size_t)(c->K * wf_transform_parameters(&a->of.transform)) * real);
    a->work = 2 * a->theta + a->seen + a->state;
    self->tape_bytes = a->tape + a->seen + a->state;
    self->work_bytes = a->work + work_bytes;
}

/* The tape: the net's, then what it is shown, and scratch of the inverse. */
static wf_real *seen_in(const wf_autoregressive *a, void *tape)
{
    return (wf_real *)((char *)tape + a->tape);
}

static wf_real *spare(const wf_autoregressive *a, void *tape)
{
    return (wf_real *)((char *)tape + a->tape + a->seen);
}

/* The first `channels` of `count` lines of `from` [N,H,W,from_K], from line i on, to those of `to` [N,H,W,to_K], from j on. */
static int copy_lines(const wf_bijector *self, const wf_autoregressive *a, int channels, int count, const wf_real *from,
                      int from_K, int i, wf_real *to, int to_K, int j, bool add)
{
    const wf_stage_shape *c = self->context;
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

/* Nothing of any picture yet, and what is beside it. */
static int clear(const wf_bijector *self, const wf_autoregressive *a, wf_real *seen)
{
    const wf_stage_shape *c = self->context;
    wf_backend *b = c->backend;
    size_t pixels = (size_t)c->H * (size_t)c->W, beside = (size_t)a->beside_channels, all = (size_t)shown(self, a);
    wf_runs same = {.outer = (size_t)c->N,
                    .inner = pixels,
                    .run = beside,
                    .from_inner = beside,
                    .to_outer = pixels * all,
                    .to_inner = all};
    WF_TRY(b->zero(b, seen, a->seen));
    return beside ? b->copy_runs(b, &same, wf_at(b, seen, (size_t)c->K), a->beside) : WF_OK;
}

int wf_autoregressive_show(const wf_bijector *self, const wf_autoregressive *a, const wf_real *x, void *tape,
                           const wf_real **seen)
{
    int K = self->context->K;
    wf_real *moved = seen_in(a, tape);
    *seen = moved;
    WF_TRY(clear(self, a, moved));
    return copy_lines(self, a, K, a->lines - 1, x, K, a->back, moved, shown(self, a), !a->back, false);
}

/* The way back of what the net was shown: added to x. */
static int move_back(const wf_bijector *self, const wf_autoregressive *a, const wf_real *moved, wf_real *x)
{
    int K = self->context->K;
    return copy_lines(self, a, K, a->lines - 1, moved, shown(self, a), !a->back, x, K, a->back, true);
}

int wf_autoregressive_forward(const wf_bijector *self, const wf_autoregressive *a, const wf_real *params,
                              const wf_real *x, const wf_real *cond, wf_real *y, double *logdet, void *tape)
{
    const wf_stage_shape *c = self->context;
    const wf_real *seen;
    wf_real *theta;
    WF_TRY(wf_autoregressive_show(self, a, x, tape, &seen));
    WF_TRY(wf_net_forward(a->net, params, seen, cond, tape, &theta));
    return c->backend->transform_forward(c->backend, &a->of, c->N, x, theta, c->weight, y, logdet);
}

/* Line `n` of the order. */
static int line(const wf_autoregressive *a, int n)
{
    return a->back ? a->lines - 1 - n : n;
}

/* A line is right once all before it are; when all but the last are there, so is the tape. */
int wf_autoregressive_inverse(const wf_bijector *self, const wf_autoregressive *a, const wf_real *params,
                              const wf_real *y, const wf_real *cond, wf_real *x, double *logdet, void *tape)
{
    const wf_stage_shape *c = self->context;
    wf_backend *b = c->backend;
    wf_real *moved = seen_in(a, tape), *found = spare(a, tape), *theta;
    WF_TRY(clear(self, a, moved));
    for (int n = 0; n + 1 < a->lines; n++) {
        WF_TRY(wf_net_forward(a->net, params, moved, cond, tape, &theta));
        WF_TRY(b->transform_inverse(b, &a->of, c->N, y, theta, found, NULL));
        WF_TRY(copy_lines(self, a, c->K, 1, found, c->K, line(a, n), moved, shown(self, a), line(a, n + 1), false));
    }
    WF_TRY(wf_net_forward(a->net, params, moved, cond, tape, &theta));
    return b->transform_inverse(b, &a->of, c->N, y, theta, x, logdet);
}

/* Where backward works: gradients by theta, by those of one line alone, by what the net saw, by y. */
typedef struct places {
    wf_real *dtheta, *dline, *dseen, *dy;
    void *net;
} places;

static places divide(const wf_autoregressive *a, void *work)
{
    places p;
    char *at = work;
    p.dtheta = (wf_real *)at;
    p.dline = (wf_real *)(at += a->theta);
    p.dseen = (wf_real *)(at += a->theta);
    p.dy = (wf_real *)(at += a->seen);
    p.net = at + a->state;
    return p;
}

int wf_autoregressive_backward(const wf_bijector *self, const wf_autoregressive *a, const wf_real *params,
                               const wf_real *x, wf_real *g, wf_real *dcond, double dlogdet, wf_real *grads, void *tape,
                               void *work)
{
    const wf_stage_shape *c = self->context;
    wf_backend *b = c->backend;
    places p = divide(a, work);
    wf_real *theta = wf_net_output(a->net, tape);
    WF_TRY(b->transform_backward(b, &a->of, c->N, x, theta, c->weight, g, dlogdet, p.dtheta));
    WF_TRY(b->zero(b, p.dseen, a->seen));
    WF_TRY(wf_net_backward(a->net, params, p.dtheta, grads, p.dseen, dcond, tape, p.net));
    return move_back(self, a, p.dseen, g);
}

/* The last line of x moves no other: its gradient is complete, and gives that of its y, and what flows back to the lines before. */
int wf_autoregressive_inverse_backward(const wf_bijector *self, const wf_autoregressive *a, const wf_real *params,
                                       const wf_real *x, wf_real *g, wf_real *dcond, double dlogdet, void *tape,
                                       void *work)
{
    const wf_stage_shape *c = self->context;
    wf_backend *b = c->backend;
    places p = divide(a, work);
    wf_real *theta = wf_net_output(a->net, tape), *here = spare(a, tape);
    int K = c->K, numbers = K * wf_transform_parameters(&a->of.transform);
    size_t state = (size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)K;
    for (int n = a->lines - 1; n >= 0; n--) {
        int i = line(a, n);
        WF_TRY(b->copy(b, here, g, state));
        WF_TRY(b->transform_inverse_backward(b, &a->of, c->N, x, theta, here, dlogdet, p.dtheta));
        WF_TRY(copy_lines(self, a, K, 1, here, K, i, p.dy, K, i, false));
        WF_TRY(b->zero(b, p.dline, a->theta));
        WF_TRY(copy_lines(self, a, numbers, 1, p.dtheta, numbers, i, p.dline, numbers, i, false));
        WF_TRY(b->zero(b, p.dseen, a->seen));
        WF_TRY(wf_net_backward(a->net, params, p.dline, NULL, p.dseen, dcond, tape, p.net));
        WF_TRY(move_back(self, a, p.dseen, g));
    }
    return b->copy(b, g, p.dy, state);
}
