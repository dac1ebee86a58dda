/* flow_run.c - runs the stages of a flow: forward, inverse, and the gradients of both */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "private.h"
#include "shape.h"
#include "shares.h"

/* Pixels of all pictures at a stage. */
static size_t pixels(const wf_flow_stage *s)
{
    return s->elements / (size_t)s->shape->K;
}

/* Pixels of one picture; with weights, the sum of these. */
static double counted_at(const wf_flow *f, const wf_stage_shape *c)
{
    return f->shape.weight ? f->counted : (double)c->H * c->W;
}

/* The gradients of bijector b of stage s, until the sink has them. NULL: none are kept. */
static wf_real *grads_of(const wf_flow *f, const wf_flow_stage *s, const wf_bijector *b)
{
    return f->grads ? wf_at(f->backend, f->grads, f->whole ? b->offset : b->offset - s->offset) : NULL;
}

/* Lists the linear stages among `count` stages in f->runs. scale: of backward. Returns their number. */
static int list_runs(const wf_flow *f, const wf_real *params, const wf_flow_stage *stages, int count, double scale)
{
    wf_linear_part *part = f->parts;
    int runs = 0;
    for (const wf_flow_stage *s = stages; s < stages + count; s++) {
        if (!s->linear)
            continue;
        f->runs[runs++] = (wf_linear_run){.K = s->shape->K,
                                          .count = s->count,
                                          .parts = part,
                                          .folded = s->matrix,
                                          .dA = s->dA,
                                          .da = s->da,
                                          .dlogdet = scale * f->spec.N * counted_at(f, s->shape)};
        for (int i = s->first; i < s->first + s->count; i++) {
            const wf_bijector *b = &f->bijectors[i];
            *part++ =
                (wf_linear_part){b->linear, wf_at(f->backend, params, b->offset), grads_of(f, s, b), b->reflections};
        }
    }
    return runs;
}

/* Lists the convolutions of `count` stages in f->convs and f->weights. Returns their number. */
static int list_convs(const wf_flow *f, const wf_real *params, const wf_flow_stage *stages, int count, bool gradients)
{
    int convs = 0;
    for (const wf_flow_stage *s = stages; s < stages + count; s++) {
        const wf_bijector *b = &f->bijectors[s->first];
        for (int i = 0; i < b->conv_count; i++) {
            f->convs[convs] = b->convs[i].conv;
            f->weights[convs++] =
                wf_bijector_weights(b, i, wf_at(f->backend, params, b->offset), gradients ? grads_of(f, s, b) : NULL);
        }
    }
    return convs;
}

/* Prepares the parameters of `count` stages for a run, in one launch each for matrices and convolutions. */
static int fold_stages(wf_flow *f, const wf_real *params, const wf_flow_stage *stages, int count)
{
    wf_backend *b = f->backend;
    int runs = list_runs(f, params, stages, count, 0);
    WF_TRY(b->linear_fold(b, runs, f->runs));
    if (!b->conv_fold)
        return WF_OK;
    int convs = list_convs(f, params, stages, count, false);
    return b->conv_fold(b, convs, f->convs, f->weights);
}

/* After the backward pass through `count` stages: completes the gradients of their parameters. */
static int unfold_stages(wf_flow *f, const wf_real *params, const wf_flow_stage *stages, int count, double scale)
{
    wf_backend *b = f->backend;
    int runs = list_runs(f, params, stages, count, scale);
    WF_TRY(b->linear_backward(b, runs, f->runs));
    if (!b->conv_unfold || !f->whole)
        return WF_OK;
    int convs = list_convs(f, params, stages, count, true);
    return b->conv_unfold(b, convs, f->convs, f->weights);
}

/* Hands the gradients of a finished stage to the sink, unless all go together at the end. */
static int give_grads(wf_flow *f, const wf_real *params, wf_flow_stage *s, double scale, wf_grad_sink *sink, void *user)
{
    if (f->whole)
        return WF_OK;
    WF_TRY(unfold_stages(f, params, s, 1, scale));
    return sink(user, s->offset, s->size, f->grads);
}

/* Reshapes the front of `state`, in place by way of f->next. Does nothing for an encoder. */
static int run_reshape(wf_flow *f, const wf_flow_stage *s, bool back, wf_real *state)
{
    wf_bijector *j = &f->bijectors[s->first];
    if (wf_flow_encodes(f, s))
        return WF_OK;
    WF_TRY(j->type->reshape(j, back, state, f->next, f->tape));
    return f->backend->copy(f->backend, state, f->next, s->elements);
}

static wf_flow_stage *stage_of(const wf_flow *f, const wf_bijector *bijector)
{
    wf_flow_stage *s = f->stages;
    while (&f->bijectors[s->first] != bijector)
        s++;
    return s;
}

/* Makes the conditions of all shapes from the caller's: encoded, or squeezed where the state is. */
static int make_conditions(wf_flow *f, const wf_real *params, const wf_real *cond)
{
    for (const wf_stage_shape *c = &f->shape; c->next; c = c->next) {
        const wf_real *from = c->cond ? c->cond : cond;
        wf_bijector *j = c->next->encoder;
        if (j)
            WF_TRY(j->type->encode(j, wf_at(f->backend, params, j->offset), from, c->next->cond, stage_of(f, j)->tape));
        else if (c->next->C != c->C)
            WF_TRY(wf_squeeze(f->backend, c->N, c->H, c->W, c->C, from, c->next->cond));
    }
    return WF_OK;
}

static const wf_real *cond_at(const wf_flow_stage *s, const wf_real *cond)
{
    return s->shape->cond ? s->shape->cond : cond;
}

/* Common start of forward and inverse: clears log-determinants, folds parameters, makes conditions. */
static int begin_run(wf_flow *f, const wf_real *params, const wf_real *cond)
{
    WF_TRY(f->backend->zero(f->backend, f->logdet, (size_t)f->spec.N * sizeof(double)));
    WF_TRY(fold_stages(f, params, f->stages, f->stage_count));
    return make_conditions(f, params, cond);
}

/* Runs one folded stage from x to y; y must be x where the stage reshapes. */
static int run_forward(wf_flow *f, const wf_real *params, wf_flow_stage *s, wf_real *x, const wf_real *cond, wf_real *y)
{
    wf_backend *b = f->backend;
    if (wf_flow_keeps_values(f, s))
        return run_reshape(f, s, false, x);
    if (s->linear)
        return b->matvec(b, pixels(s), s->shape->K, s->matrix.A, s->matrix.a, x, y);
    wf_bijector *j = &f->bijectors[s->first];
    return j->type->forward(j, wf_at(b, params, j->offset), x, cond_at(s, cond), y, f->logdet, s->tape);
}

/* Runs the inverse of one folded stage on `state`, in place. */
static int run_inverse(wf_flow *f, const wf_real *params, wf_flow_stage *s, const wf_real *cond, wf_real *state,
                       double *logdet)
{
    wf_backend *b = f->backend;
    if (wf_flow_keeps_values(f, s))
        return run_reshape(f, s, true, state);
    if (s->linear)
        return b->matvec(b, pixels(s), s->shape->K, s->matrix.B, s->matrix.b, state, state);
    wf_bijector *j = &f->bijectors[s->first];
    return j->type->inverse(j, wf_at(b, params, j->offset), state, cond_at(s, cond), state, logdet, s->tape);
}

int wf_flow_data_init(wf_flow *f, wf_real *params, const wf_real *x, const wf_real *cond)
{
    wf_backend *b = f->backend;
    WF_TRY(b->copy(b, f->state, x, f->elements));
    WF_TRY(begin_run(f, params, cond));
    for (int s = 0; s < f->stage_count; s++)
        for (int i = f->stages[s].first; i < f->stages[s].first + f->stages[s].count; i++) {
            wf_bijector *j = &f->bijectors[i];
            wf_flow_stage one = f->stages[s];
            if (j->type->data_init && (i + 1 < f->bijector_count || i == 0 || !j->type->linear))
                WF_TRY(j->type->data_init(j, wf_at(b, params, j->offset), f->state, cond_at(&one, cond), one.tape));
            one.first = i;
            one.count = 1;
            WF_TRY(fold_stages(f, params, &one, 1));
            if (wf_flow_encodes(f, &one))
                WF_TRY(make_conditions(f, params, cond));
            WF_TRY(run_forward(f, params, &one, f->state, cond, f->state));
        }
    return WF_OK;
}

void wf_flow_pool(wf_flow *f, wf_pool_moments *pool, void *user)
{
    for (wf_stage_shape *c = &f->shape; c; c = c->next) {
        c->pool = pool;
        c->pool_user = user;
    }
}

static bool has_reshape(const wf_flow *f)
{
    for (int i = 0; i < f->bijector_count; i++)
        if (f->bijectors[i].type->reshape)
            return true;
    return false;
}

int wf_flow_weigh(wf_flow *f, const wf_real *weight, double counted)
{
    WF_CHECK(!weight || !has_reshape(f), WF_USAGE,
             "flow: after squeeze, split or haar pixels have no weights, which patches need: give --context 0");
    for (wf_stage_shape *c = &f->shape; c; c = c->next)
        c->weight = weight;
    f->counted = counted;
    return WF_OK;
}

int wf_flow_share(wf_flow *f)
{
    WF_CHECK(!has_reshape(f), WF_USAGE,
             "flow: after squeeze, split or haar pixels have no shares in the log density, which a map needs");
    WF_TRY(wf_shares_create(&f->shape, &f->shares));
    for (wf_stage_shape *c = &f->shape; c; c = c->next)
        c->shares = f->shares;
    return WF_OK;
}

int wf_flow_sigmoid(wf_flow *f, double factor, wf_real *u)
{
    WF_CHECK(!has_reshape(f), WF_USAGE, "flow: noise keeps the shape of its picture: no squeeze, split or haar");
    f->sigmoid_factor = factor;
    f->u = u;
    return WF_OK;
}

/* The place of the input of stage i; past the last stage, of the latent. */
static wf_real *stage_input(const wf_flow *f, int i)
{
    return i < f->stage_count && f->stages[i].in ? f->stages[i].in : f->state;
}

/* Piece i of a state, from the front: the output of the last stage, then the factored-out channels of each stage, the
 * last stage first. Most stages factor out nothing: count 0. */
typedef struct piece {
    size_t at, count; /* reals */
    int P, K;         /* pixels and channels of a picture */
} piece;

static piece piece_of(const wf_flow *f, int i)
{
    const wf_flow_stage *s = &f->stages[i ? f->stage_count - i : f->stage_count - 1];
    const wf_stage_shape *c = i ? s->shape : f->bijectors[s->first].after;
    piece p = {i ? s->out_elements : 0, i ? s->elements - s->out_elements : s->out_elements, c->H * c->W, 0};
    p.K = (int)(p.count / (size_t)f->spec.N / (size_t)p.P);
    return p;
}

/* Copies the pieces in `state` to the latents of pictures, [N,D]; `into`: from the latents to the pieces. */
static int arrange_latent(const wf_flow *f, bool into, wf_real *state, wf_real *latent)
{
    size_t N = (size_t)f->spec.N, D = f->elements / N;
    for (int i = 0; i <= f->stage_count; i++) {
        piece p = piece_of(f, i);
        wf_runs from = {.outer = N, .inner = 1, .run = p.count / N, .from_outer = p.count / N, .to_outer = D};
        wf_runs to = {.outer = N, .inner = 1, .run = p.count / N, .from_outer = D, .to_outer = p.count / N};
        wf_real *pieces = wf_at(f->backend, state, p.at), *latents = wf_at(f->backend, latent, p.at / N);
        if (p.count)
            WF_TRY(f->backend->copy_runs(f->backend, into ? &to : &from, into ? pieces : latents,
                                         into ? latents : pieces));
    }
    return WF_OK;
}

/* End of the flow (standard normal or sigmoid): adds its log density to logp, writes its gradient to dz; either may
 * be NULL. */
static int add_end(const wf_flow *f, double *logp, double scale, wf_real *dz)
{
    wf_backend *b = f->backend;
    size_t D = f->elements / (size_t)f->spec.N;
    if (f->sigmoid_factor && !dz)
        return b->sigmoid(b, f->spec.N, D, f->sigmoid_factor, f->state, f->u, logp);
    if (f->sigmoid_factor) {
        WF_TRY(b->copy(b, dz, f->u, f->elements));
        return b->sigmoid_backward(b, f->elements, f->sigmoid_factor, f->state, scale, dz);
    }
    for (int i = 0; i <= f->stage_count; i++) {
        piece p = piece_of(f, i);
        if (p.count)
            WF_TRY(b->gaussian(b, f->spec.N, p.P, p.K, wf_at(b, f->state, p.at), f->shape.weight, logp, scale,
                               dz ? wf_at(b, dz, p.at) : NULL));
    }
    return WF_OK;
}

int wf_flow_forward(wf_flow *f, const wf_real *params, const wf_real *x, const wf_real *cond)
{
    wf_backend *b = f->backend;
    wf_real *at = stage_input(f, 0);
    WF_TRY(b->copy(b, at, x, f->elements));
    WF_TRY(begin_run(f, params, cond));
    if (f->shares)
        WF_TRY(b->zero(b, f->shares->of, f->shares->pixels * sizeof *f->shares->of));
    for (int i = 0; i < f->stage_count; i++) {
        wf_real *to = wf_flow_keeps_values(f, &f->stages[i]) ? at : stage_input(f, i + 1);
        WF_TRY(run_forward(f, params, &f->stages[i], at, cond, to));
        at = stage_input(f, i + 1);
        if (to != at)
            WF_TRY(b->copy(b, at, to, f->stages[i].out_elements));
    }
    WF_TRY(add_end(f, f->logdet, 0, NULL));
    WF_TRY(wf_share_gaussian(&f->shape, f->state));
    return f->has_split ? arrange_latent(f, false, f->state, f->next) : WF_OK;
}

const wf_real *wf_flow_latent(const wf_flow *f)
{
    return f->has_split ? f->next : f->state;
}

/* own [N], nats: sign times the pictures' own terms plus the log-determinants of all folded matrices, these times all
 * pixels or, without `all`, times those that count. */
static void add_logdets(const wf_flow *f, const double *logdet, double sign, bool all, double *own)
{
    double matrices = 0;
    for (int i = 0, at = f->spec.N; i < f->stage_count; i++) {
        const wf_stage_shape *c = f->stages[i].shape;
        if (f->stages[i].linear)
            matrices += logdet[at++] * (all ? (double)c->H * c->W : counted_at(f, c));
    }
    for (int n = 0; n < f->spec.N; n++)
        own[n] = matrices + sign * logdet[n];
}

static size_t logdet_count(const wf_flow *f)
{
    return (size_t)f->spec.N + (size_t)f->linear_count;
}

int wf_flow_readback_begin(wf_flow *f, wf_readback **out)
{
    return f->backend->readback_begin(f->backend, f->logdet, logdet_count(f), out);
}

/* Waits for the readback and adds up. sign -1: of the inverse, whose terms were subtracted and count every pixel. */
static int read_log_density(wf_flow *f, wf_readback *readback, double sign, double *own)
{
    double *logdet = malloc(logdet_count(f) * sizeof *logdet);
    int status = f->backend->readback_end(f->backend, readback, logdet);
    if (!status && !logdet)
        status = wf_fail(WF_AGAIN, "flow: out of memory");
    if (!status)
        add_logdets(f, logdet, sign, sign < 0, own);
    free(logdet);
    return status;
}

int wf_flow_readback_end(wf_flow *f, wf_readback *readback, double *log_density)
{
    return read_log_density(f, readback, 1, log_density);
}

int wf_flow_guard(wf_flow *f, double *bad)
{
    return f->backend->guard(f->backend, logdet_count(f), f->logdet, bad);
}

int wf_flow_log_density(wf_flow *f, double *log_density)
{
    wf_readback *readback;
    WF_TRY(wf_flow_readback_begin(f, &readback));
    return read_log_density(f, readback, 1, log_density);
}

/* Gives `count` numbers that a run computed. */
static int read_back(const wf_flow *f, const double *from, size_t count, double *to)
{
    wf_readback *readback;
    WF_TRY(f->backend->readback_begin(f->backend, from, count, &readback));
    return f->backend->readback_end(f->backend, readback, to);
}

int wf_flow_shares(wf_flow *f, double *out)
{
    double matrices = 0, *logdet = malloc((size_t)(f->linear_count + 1) * sizeof *logdet);
    WF_CHECK(logdet, WF_AGAIN, "flow: out of memory");
    int status = read_back(f, f->logdet + f->spec.N, (size_t)f->linear_count, logdet);
    for (int i = 0; i < f->linear_count; i++)
        matrices += logdet[i];
    free(logdet);
    WF_TRY(status);
    WF_TRY(read_back(f, f->shares->of, f->shares->pixels, out));
    for (size_t i = 0; i < f->shares->pixels; i++)
        out[i] += matrices;
    return WF_OK;
}

static double frobenius(const double *m, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += m[i] * m[i];
    return sqrt(sum);
}

static void name_linear(const wf_flow *f, const wf_flow_stage *s, char name[64])
{
    int i = s->first;
    while (f->bijectors[i].linear == WF_LINEAR_ACTNORM && i + 1 < s->first + s->count)
        i++;
    snprintf(name, 64, "%03d.%s", i, f->bijectors[i].type->name);
}

double wf_flow_condition(wf_flow *f, char name[64])
{
    size_t widest = 0;
    for (const wf_stage_shape *c = &f->shape; c; c = c->next)
        widest = (size_t)c->K > widest ? (size_t)c->K : widest;
    double worst = 0, *host = malloc(2 * widest * widest * sizeof *host);
    for (int i = 0; host && i < f->stage_count; i++) {
        const wf_linear *m = &f->stages[i].matrix;
        size_t n = (size_t)f->stages[i].shape->K * (size_t)f->stages[i].shape->K;
        if (!f->stages[i].linear)
            continue;
        if (f->backend->download(f->backend, host, WF_F64, m->A, n) ||
            f->backend->download(f->backend, host + n, WF_F64, m->B, n))
            worst = NAN;
        double condition = frobenius(host, n) * frobenius(host + n, n);
        if (isnan(worst) || condition <= worst)
            continue;
        worst = condition;
        name_linear(f, &f->stages[i], name);
    }
    if (!host)
        worst = NAN;
    free(host);
    return worst;
}

/* The gradient by the condition of a shape. NULL: nobody needs it, neither the caller (dcond) nor, with parameter
 * gradients (want), an encoder. */
static wf_real *dcond_at(const wf_stage_shape *c, bool want, wf_real *dcond)
{
    return c->dcond && (dcond || (want && c->learnt)) ? c->dcond : dcond;
}

/* Zeroes the condition gradients before a backward pass. */
static int clear_dcond(wf_flow *f, bool want, wf_real *dcond)
{
    wf_backend *b = f->backend;
    for (const wf_stage_shape *c = f->shape.next; c; c = c->next)
        if (c->dcond && dcond_at(c, want, dcond))
            WF_TRY(b->zero(b, c->dcond, (size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)c->C * b->real));
    return WF_OK;
}

/* After a backward pass: carries the gradients by conditions back from the last shape to c, and so to the caller's.
 * Encoders give their parameters' gradients on the way, to the sink where each stage hands over its own. */
static int gather_dcond(wf_flow *f, const wf_real *params, const wf_stage_shape *c, wf_real *dcond, double scale,
                        wf_grad_sink *sink, void *user)
{
    if (!c->next)
        return WF_OK;
    WF_TRY(gather_dcond(f, params, c->next, dcond, scale, sink, user));
    const wf_real *from = dcond_at(c->next, sink != NULL, dcond);
    wf_real *to = dcond_at(c, sink != NULL, dcond);
    wf_bijector *j = c->next->encoder;
    if (!from)
        return WF_OK;
    if (!j)
        return c->next->C != c->C ? wf_unsqueeze(f->backend, c->N, c->H, c->W, c->C, from, to, true) : WF_OK;
    wf_flow_stage *s = stage_of(f, j);
    WF_TRY(j->type->encode_backward(j, wf_at(f->backend, params, j->offset), from, to, sink ? grads_of(f, s, j) : NULL,
                                    s->tape, f->work));
    return sink ? give_grads(f, params, s, scale, sink, user) : WF_OK;
}

/* x: the stage's input. Turns f->g from the gradient by the stage's output into that by x. The parameters' gradients
 * are complete after unfold_stages. */
static int run_backward(wf_flow *f, const wf_real *params, wf_flow_stage *s, const wf_real *x, const wf_real *cond,
                        double scale, bool want, wf_real *dcond)
{
    wf_backend *b = f->backend;
    if (wf_flow_keeps_values(f, s))
        return run_reshape(f, s, true, f->g);
    if (!s->linear) {
        wf_bijector *j = &f->bijectors[s->first];
        return j->type->backward(j, wf_at(b, params, j->offset), x, cond_at(s, cond), f->g,
                                 dcond_at(s->shape, want, dcond), scale, want ? grads_of(f, s, j) : NULL, s->tape,
                                 f->work);
    }
    return b->matvec_backward(b, pixels(s), s->shape->K, s->matrix.A, x, f->g, want ? s->dA : NULL,
                              want ? s->da : NULL);
}

int wf_flow_backward(wf_flow *f, const wf_real *params, const wf_real *cond, double scale, wf_grad_sink *sink,
                     void *user, wf_real *dcond, const wf_real **dx)
{
    WF_CHECK(f->spec.memory != WF_MEMORY_NONE, WF_USAGE, "flow: created without memory for backward");
    bool kept = f->spec.memory == WF_MEMORY_STORE;
    if (sink)
        WF_TRY(wf_flow_make_gradients(f));
    WF_TRY(add_end(f, NULL, scale, f->g));
    WF_TRY(clear_dcond(f, sink != NULL, dcond));
    for (int i = f->stage_count - 1; i >= 0; i--) {
        wf_flow_stage *s = &f->stages[i];
        if (!kept)
            WF_TRY(run_inverse(f, params, s, cond, f->state, NULL));
        WF_TRY(run_backward(f, params, s, s->in ? s->in : f->state, cond, scale, sink != NULL, dcond));
        if (sink && !wf_flow_encodes(f, s))
            WF_TRY(give_grads(f, params, s, scale, sink, user));
    }
    WF_TRY(gather_dcond(f, params, &f->shape, dcond, scale, sink, user));
    if (sink && f->whole) {
        WF_TRY(unfold_stages(f, params, f->stages, f->stage_count, scale));
        WF_TRY(sink(user, 0, f->size, f->grads));
    }
    if (dx)
        *dx = f->g;
    return WF_OK;
}

int wf_flow_inverse(wf_flow *f, const wf_real *params, const wf_real *z, const wf_real *cond, const wf_real **x)
{
    wf_backend *b = f->backend;
    if (f->has_split) {
        WF_TRY(b->copy(b, f->next, z, f->elements));
        WF_TRY(arrange_latent(f, true, f->state, f->next));
    } else {
        WF_TRY(b->copy(b, f->state, z, f->elements));
    }
    WF_TRY(begin_run(f, params, cond));
    for (int i = f->stage_count - 1; i >= 0; i--) {
        wf_flow_stage *s = &f->stages[i];
        WF_TRY(run_inverse(f, params, s, cond, f->state, f->logdet));
        if (s->in)
            WF_TRY(b->copy(b, s->in, f->state, s->elements));
    }
    *x = f->state;
    return WF_OK;
}

int wf_flow_inverse_logdet(wf_flow *f, double *logdet)
{
    wf_readback *readback;
    WF_TRY(wf_flow_readback_begin(f, &readback));
    return read_log_density(f, readback, -1, logdet);
}

/* Turns f->g from the gradient by the stage's input x into that by its output y. Where nothing was kept, f->state is x
 * on entry and y on return. */
static int run_inverse_backward(wf_flow *f, const wf_real *params, wf_flow_stage *s, const wf_real *cond, double scale,
                                wf_real *dcond)
{
    wf_backend *b = f->backend;
    bool kept = f->spec.memory == WF_MEMORY_STORE;
    if (wf_flow_keeps_values(f, s)) {
        if (!kept)
            WF_TRY(run_reshape(f, s, false, f->state));
        return run_reshape(f, s, false, f->g);
    }
    const wf_real *x = kept ? s->in : f->state;
    if (!kept)
        WF_TRY(run_forward(f, params, s, f->state, cond, f->next));
    if (s->linear) {
        WF_TRY(b->matvec_backward(b, pixels(s), s->shape->K, s->matrix.B, x, f->g, NULL, NULL));
    } else {
        wf_bijector *j = &f->bijectors[s->first];
        WF_TRY(j->type->inverse_backward(j, wf_at(b, params, j->offset), x, f->g, dcond_at(s->shape, false, dcond),
                                         scale, s->tape, f->work));
    }
    return kept ? WF_OK : b->copy(b, f->state, f->next, s->elements);
}

int wf_flow_inverse_backward(wf_flow *f, const wf_real *params, const wf_real *cond, const wf_real *dx, double scale,
                             wf_real *dcond, const wf_real **dz)
{
    wf_backend *b = f->backend;
    WF_CHECK(f->spec.memory != WF_MEMORY_NONE, WF_USAGE, "flow: created without memory for backward");
    WF_TRY(dx ? b->copy(b, f->g, dx, f->elements) : b->zero(b, f->g, f->elements * b->real));
    WF_TRY(clear_dcond(f, false, dcond));
    for (int i = 0; i < f->stage_count; i++)
        WF_TRY(run_inverse_backward(f, params, &f->stages[i], cond, scale, dcond));
    WF_TRY(gather_dcond(f, params, &f->shape, dcond, scale, NULL, NULL));
    if (f->has_split)
        WF_TRY(arrange_latent(f, false, f->g, f->next));
    *dz = f->has_split ? f->next : f->g;
    return WF_OK;
}
