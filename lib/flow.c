/* flow.c - compiles a chain into stages and runs them forward, backward and in reverse
 *
 * A stage is either one bijector with code of its own or a run of linear ones folded into one matrix. States travel in
 * `state`; a stage that is kept for backward has its input in `in` and its tape to itself. */
#include "flow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct stage {
    int first, count; /* bijectors */
    bool linear;
    size_t offset, size; /* parameters */
    wf_linear matrix;    /* linear: A, a, B, b and the place of its log-determinant */
    wf_real *in;         /* input of the last forward, NULL: rebuilt */
    void *tape;          /* shared unless kept */
} stage;

struct wf_flow {
    wf_backend *backend;
    wf_flow_spec spec;
    wf_context context;
    wf_bijector *bijectors;
    int bijector_count;
    stage *stages;
    int stage_count, linear_count;
    wf_linear_part *parts;                       /* as many as the longest linear stage */
    size_t size, elements;                       /* parameters; reals of one state */
    double counted;                              /* pixels of a picture, by weight */
    wf_real *state, *next, *g, *grads, *dA, *da; /* next: only where states are rebuilt */
    double *logdet;                              /* device: [N] of the pictures, then [linear_count] of the matrices */
    void *tape, *work;                           /* shared */
    void **owned;
    int owned_count;
    size_t bytes;
};

static int take(wf_flow *f, size_t bytes, void *out)
{
    void *memory, **owned = realloc(f->owned, (size_t)(f->owned_count + 1) * sizeof *owned);
    WF_CHECK(owned, WF_AGAIN, "flow: out of memory");
    f->owned = owned;
    WF_TRY(f->backend->alloc(f->backend, bytes ? bytes : 64, &memory));
    f->owned[f->owned_count++] = memory;
    f->bytes += bytes;
    memcpy(out, &memory, sizeof memory);
    return WF_OK;
}

static int create_bijectors(wf_flow *f, const char *text)
{
    wf_chain chain;
    WF_TRY(wf_chain_parse(text, &chain));
    int status = WF_OK;
    f->bijectors = calloc((size_t)chain.count, sizeof *f->bijectors);
    if (!f->bijectors)
        status = wf_fail(WF_AGAIN, "flow: out of memory");
    for (int i = 0; i < chain.count && !status; i++) {
        wf_bijector *b = &f->bijectors[i];
        status = wf_bijector_create(&f->context, chain.text, &chain.words[i], b);
        if (status)
            break;
        f->bijector_count++;
        b->offset = f->size;
        f->size += b->count;
    }
    wf_chain_clear(&chain);
    return status;
}

static int create_stages(wf_flow *f)
{
    int longest = 1;
    f->stages = calloc((size_t)f->bijector_count, sizeof *f->stages);
    WF_CHECK(f->stages, WF_AGAIN, "flow: out of memory");
    for (int i = 0; i < f->bijector_count; i++) {
        const wf_bijector *b = &f->bijectors[i];
        stage *last = f->stage_count ? &f->stages[f->stage_count - 1] : NULL;
        if (b->type->linear && last && last->linear) {
            last->count++;
            last->size += b->count;
        } else {
            f->stages[f->stage_count++] = (stage){i, 1, b->type->linear, b->offset, b->count, {0}, NULL, NULL};
            last = &f->stages[f->stage_count - 1];
            f->linear_count += last->linear;
        }
        if (last->linear && last->count > longest)
            longest = last->count;
    }
    f->parts = calloc((size_t)longest, sizeof *f->parts);
    WF_CHECK(f->parts, WF_AGAIN, "flow: out of memory");
    return WF_OK;
}

/* Bytes that keeping every stage's input and tape takes. */
static size_t kept_bytes(const wf_flow *f)
{
    size_t sum = 0;
    for (int i = 0; i < f->stage_count; i++)
        sum += f->elements * f->backend->real + (f->stages[i].linear ? 0 : f->bijectors[f->stages[i].first].tape_bytes);
    return sum;
}

static wf_memory decide(const wf_flow *f, wf_memory asked)
{
    if (asked != WF_MEMORY_AUTO)
        return asked;
    return kept_bytes(f) <= f->backend->memory ? WF_MEMORY_STORE : WF_MEMORY_REVERSIBLE;
}

static int allocate_linear(wf_flow *f)
{
    size_t K = (size_t)f->spec.K, real = f->backend->real;
    int place = 0;
    for (int i = 0; i < f->stage_count; i++) {
        wf_linear *m = &f->stages[i].matrix;
        if (!f->stages[i].linear)
            continue;
        WF_TRY(take(f, 2 * (K * K + K) * real, &m->A));
        m->a = wf_at(f->backend, m->A, K * K);
        m->B = wf_at(f->backend, m->a, K);
        m->b = wf_at(f->backend, m->B, K * K);
        m->logdet = f->logdet + f->spec.N + place++;
    }
    return WF_OK;
}

static int allocate(wf_flow *f)
{
    size_t real = f->backend->real, K = (size_t)f->spec.K, tape = 0, work = 0, largest = 0;
    bool backward = f->spec.memory != WF_MEMORY_NONE, keep = f->spec.memory == WF_MEMORY_STORE;
    for (int i = 0; i < f->stage_count; i++) {
        const wf_bijector *b = &f->bijectors[f->stages[i].first];
        largest = f->stages[i].size > largest ? f->stages[i].size : largest;
        if (f->stages[i].linear)
            continue;
        tape = b->tape_bytes > tape ? b->tape_bytes : tape;
        work = b->work_bytes > work ? b->work_bytes : work;
    }
    WF_TRY(take(f, f->elements * real, &f->state));
    WF_TRY(take(f, ((size_t)f->spec.N + (size_t)f->linear_count) * sizeof(double), &f->logdet));
    WF_TRY(allocate_linear(f));
    if (!keep)
        WF_TRY(take(f, tape, &f->tape));
    for (int i = 0; i < f->stage_count; i++) {
        stage *s = &f->stages[i];
        s->tape = f->tape;
        if (keep)
            WF_TRY(take(f, f->elements * real, &s->in));
        if (keep && !s->linear)
            WF_TRY(take(f, f->bijectors[s->first].tape_bytes, &s->tape));
    }
    if (!backward)
        return WF_OK;
    if (!keep)
        WF_TRY(take(f, f->elements * real, &f->next));
    WF_TRY(take(f, work, &f->work));
    WF_TRY(take(f, f->elements * real, &f->g));
    WF_TRY(take(f, largest * real, &f->grads));
    WF_TRY(take(f, (K * K + K) * real, &f->dA));
    f->da = wf_at(f->backend, f->dA, K * K);
    return WF_OK;
}

int wf_flow_create(wf_backend *backend, const char *chain, const wf_flow_spec *spec, wf_flow **out)
{
    wf_flow *f = calloc(1, sizeof *f);
    WF_CHECK(f, WF_AGAIN, "flow: out of memory");
    f->backend = backend;
    f->spec = *spec;
    f->context = (wf_context){.backend = backend,
                              .N = spec->N,
                              .H = spec->H,
                              .W = spec->W,
                              .K = spec->K,
                              .C = spec->C,
                              .kernel = spec->kernel,
                              .keep = spec->memory != WF_MEMORY_NONE,
                              .precision = spec->precision};
    f->elements = (size_t)spec->N * (size_t)spec->H * (size_t)spec->W * (size_t)spec->K;
    wf_flow_weigh(f, NULL, 0);
    int status = WF_OK;
    WF_GO(create_bijectors(f, chain));
    WF_GO(create_stages(f));
    f->spec.memory = decide(f, spec->memory);
    WF_GO(allocate(f));
    *out = f;
    return WF_OK;
out:
    wf_flow_destroy(f);
    return status;
}

void wf_flow_destroy(wf_flow *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->bijector_count; i++)
        wf_bijector_clear(&f->bijectors[i]);
    for (int i = 0; i < f->context.conv_count; i++)
        f->backend->conv_destroy(f->backend, f->context.convs[i].conv);
    for (int i = 0; i < f->owned_count; i++)
        f->backend->free(f->backend, f->owned[i]);
    free(f->context.convs);
    free(f->bijectors);
    free(f->stages);
    free(f->parts);
    free(f->owned);
    free(f);
}

size_t wf_flow_size(const wf_flow *f)
{
    return f->size;
}

size_t wf_flow_bytes(const wf_flow *f)
{
    return f->bytes;
}

const wf_flow_spec *wf_flow_spec_of(const wf_flow *f)
{
    return &f->spec;
}

bool wf_flow_param(const wf_flow *f, int i, char name[64], const wf_param **param, size_t *where)
{
    for (int j = 0; j < f->bijector_count; j++) {
        const wf_bijector *b = &f->bijectors[j];
        if (i < b->param_count) {
            *param = &b->params[i];
            *where = b->offset + b->params[i].offset;
            snprintf(name, 64, "%03d.%s.%s", j, b->type->name, b->params[i].name);
            return true;
        }
        i -= b->param_count;
    }
    return false;
}

int wf_flow_init(wf_flow *f, uint64_t seed, wf_real *params)
{
    size_t largest = 1;
    for (int i = 0; i < f->bijector_count; i++)
        largest = f->bijectors[i].count > largest ? f->bijectors[i].count : largest;
    double *values = malloc(largest * sizeof *values); /* of one bijector at a time: a model may fill the memory */
    WF_CHECK(values, WF_AGAIN, "flow: out of memory for %zu parameters", largest);
    int status = WF_OK;
    for (int i = 0; i < f->bijector_count && !status; i++) {
        const wf_bijector *b = &f->bijectors[i];
        memset(values, 0, b->count * sizeof *values);
        b->type->init(b, seed, values);
        status = f->backend->upload(f->backend, wf_at(f->backend, params, b->offset), values, WF_F64, b->count);
    }
    free(values);
    return status;
}

/* Pixels of a batch. */
static size_t pixels(const wf_flow *f)
{
    return f->elements / (size_t)f->spec.K;
}

/* The parts of `count` linear bijectors from `first` on; grads: their gradients' place, or NULL. */
static void list_parts(const wf_flow *f, const wf_real *params, int first, int count, wf_real *grads)
{
    size_t start = f->bijectors[first].offset;
    for (int i = 0; i < count; i++) {
        const wf_bijector *b = &f->bijectors[first + i];
        f->parts[i] = (wf_linear_part){b->linear, wf_at(f->backend, params, b->offset),
                                       grads ? wf_at(f->backend, grads, b->offset - start) : NULL};
    }
}

static int fold(wf_flow *f, const wf_real *params, const stage *s)
{
    list_parts(f, params, s->first, s->count, NULL);
    return f->backend->linear_fold(f->backend, f->spec.K, f->parts, s->count, &s->matrix);
}

static int run_forward(wf_flow *f, const wf_real *params, stage *s, const wf_real *x, const wf_real *cond, wf_real *y)
{
    wf_backend *b = f->backend;
    if (s->linear) {
        WF_TRY(fold(f, params, s));
        return b->mix(b, pixels(f), f->spec.K, s->matrix.A, s->matrix.a, x, y);
    }
    wf_bijector *j = &f->bijectors[s->first];
    return j->type->forward(j, wf_at(b, params, j->offset), x, cond, y, f->logdet, s->tape);
}

/* The matrix of a linear stage must be folded. */
static int run_inverse(wf_flow *f, const wf_real *params, stage *s, const wf_real *cond, wf_real *state, double *logdet)
{
    wf_backend *b = f->backend;
    if (s->linear)
        return b->mix(b, pixels(f), f->spec.K, s->matrix.B, s->matrix.b, state, state);
    wf_bijector *j = &f->bijectors[s->first];
    return j->type->inverse(j, wf_at(b, params, j->offset), state, cond, state, logdet, s->tape);
}

int wf_flow_data_init(wf_flow *f, wf_real *params, const wf_real *x, const wf_real *cond)
{
    wf_backend *b = f->backend;
    WF_TRY(b->copy(b, f->state, x, f->elements));
    WF_TRY(b->zero(b, f->logdet, (size_t)f->spec.N * sizeof(double)));
    for (int s = 0; s < f->stage_count; s++)
        for (int i = f->stages[s].first; i < f->stages[s].first + f->stages[s].count; i++) {
            wf_bijector *j = &f->bijectors[i];
            if (j->type->data_init && (i + 1 < f->bijector_count || i == 0))
                WF_TRY(j->type->data_init(j, wf_at(b, params, j->offset), f->state, cond, f->stages[s].tape));
            stage one = f->stages[s];
            one.first = i;
            one.count = 1;
            WF_TRY(run_forward(f, params, &one, f->state, cond, f->state));
        }
    return WF_OK;
}

void wf_flow_weigh(wf_flow *f, const wf_real *weight, double counted)
{
    f->context.weight = weight;
    f->counted = weight ? counted : (double)f->spec.H * f->spec.W;
}

int wf_flow_forward(wf_flow *f, const wf_real *params, const wf_real *x, const wf_real *cond)
{
    wf_backend *b = f->backend;
    wf_real *at = f->stages[0].in ? f->stages[0].in : f->state;
    WF_TRY(b->copy(b, at, x, f->elements));
    WF_TRY(b->zero(b, f->logdet, (size_t)f->spec.N * sizeof(double)));
    for (int i = 0; i < f->stage_count; i++) {
        wf_real *to = i + 1 < f->stage_count && f->stages[i + 1].in ? f->stages[i + 1].in : f->state;
        WF_TRY(run_forward(f, params, &f->stages[i], at, cond, to));
        at = to;
    }
    return b->gaussian(b, f->spec.N, f->spec.H * f->spec.W, f->spec.K, f->state, f->context.weight, f->logdet, 0, NULL);
}

const wf_real *wf_flow_latent(const wf_flow *f)
{
    return f->state;
}

/* Both in nats: what the pictures [N] have of their own, and the log-determinant of all folded matrices over so many pixels. */
static void add_up(const wf_flow *f, const double *logdet, double sign, double pixels_counted, double *own)
{
    double matrices = 0;
    for (int i = 0; i < f->linear_count; i++)
        matrices += logdet[f->spec.N + i] * pixels_counted;
    for (int n = 0; n < f->spec.N; n++)
        own[n] = matrices + sign * logdet[n];
}

static size_t logdet_count(const wf_flow *f)
{
    return (size_t)f->spec.N + (size_t)f->linear_count;
}

int wf_flow_post(wf_flow *f, wf_post **out)
{
    return f->backend->post(f->backend, f->logdet, logdet_count(f), out);
}

/* sign -1: of the inverse, which has subtracted, and counts every pixel. */
static int collect(wf_flow *f, wf_post *post, double sign, double *own)
{
    double *logdet = malloc(logdet_count(f) * sizeof *logdet);
    int status = f->backend->collect(f->backend, post, logdet);
    if (!status && !logdet)
        status = wf_fail(WF_AGAIN, "flow: out of memory");
    if (!status)
        add_up(f, logdet, sign, sign > 0 ? f->counted : (double)f->spec.H * f->spec.W, own);
    free(logdet);
    return status;
}

int wf_flow_collect(wf_flow *f, wf_post *post, double *log_density)
{
    return collect(f, post, 1, log_density);
}

int wf_flow_guard(wf_flow *f, double *bad)
{
    return f->backend->guard(f->backend, logdet_count(f), f->logdet, bad);
}

int wf_flow_log_density(wf_flow *f, double *log_density)
{
    wf_post *post;
    WF_TRY(wf_flow_post(f, &post));
    return collect(f, post, 1, log_density);
}

static double frobenius(const double *m, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += m[i] * m[i];
    return sqrt(sum);
}

double wf_flow_condition(wf_flow *f)
{
    size_t n = (size_t)f->spec.K * (size_t)f->spec.K;
    double worst = 0, *host = malloc(2 * n * sizeof *host);
    for (int i = 0; host && i < f->stage_count; i++) {
        const wf_linear *m = &f->stages[i].matrix;
        if (!f->stages[i].linear)
            continue;
        if (f->backend->download(f->backend, host, WF_F64, m->A, n) ||
            f->backend->download(f->backend, host + n, WF_F64, m->B, n))
            worst = NAN;
        worst = fmax(worst, frobenius(host, n) * frobenius(host + n, n));
    }
    if (!host)
        worst = NAN;
    free(host);
    return worst;
}

/* x: the stage's input. Turns f->g from the gradient by its output into that by x, and f->grads into that of its
 * parameters. */
static int run_backward(wf_flow *f, const wf_real *params, stage *s, const wf_real *x, const wf_real *cond,
                        double scale, bool want, wf_real *dcond)
{
    wf_backend *b = f->backend;
    if (!s->linear) {
        wf_bijector *j = &f->bijectors[s->first];
        return j->type->backward(j, wf_at(b, params, j->offset), x, cond, f->g, dcond, scale, want ? f->grads : NULL,
                                 s->tape, f->work);
    }
    WF_TRY(b->mix_backward(b, pixels(f), f->spec.K, s->matrix.A, x, f->g, want ? f->dA : NULL, want ? f->da : NULL));
    if (!want)
        return WF_OK;
    list_parts(f, params, s->first, s->count, f->grads);
    return b->linear_backward(b, f->spec.K, f->parts, s->count, f->dA, f->da, scale * f->spec.N * f->counted);
}

int wf_flow_backward(wf_flow *f, const wf_real *params, const wf_real *cond, double scale, wf_grad_sink *sink,
                     void *context, wf_real *dcond, const wf_real **dx)
{
    wf_backend *b = f->backend;
    WF_CHECK(f->spec.memory != WF_MEMORY_NONE, WF_USAGE, "flow: created without memory for backward");
    WF_TRY(b->gaussian(b, f->spec.N, f->spec.H * f->spec.W, f->spec.K, f->state, f->context.weight, NULL, scale, f->g));
    for (int i = f->stage_count - 1; i >= 0; i--) {
        stage *s = &f->stages[i];
        if (!s->in)
            WF_TRY(run_inverse(f, params, s, cond, f->state, NULL));
        WF_TRY(run_backward(f, params, s, s->in ? s->in : f->state, cond, scale, sink != NULL, dcond));
        if (sink)
            WF_TRY(sink(context, s->offset, s->size, f->grads));
    }
    if (dx)
        *dx = f->g;
    return WF_OK;
}

int wf_flow_inverse(wf_flow *f, const wf_real *params, const wf_real *z, const wf_real *cond, const wf_real **x)
{
    wf_backend *b = f->backend;
    WF_TRY(b->copy(b, f->state, z, f->elements));
    WF_TRY(b->zero(b, f->logdet, (size_t)f->spec.N * sizeof(double)));
    for (int i = f->stage_count - 1; i >= 0; i--) {
        stage *s = &f->stages[i];
        if (s->linear)
            WF_TRY(fold(f, params, s));
        WF_TRY(run_inverse(f, params, s, cond, f->state, f->logdet));
        if (s->in)
            WF_TRY(b->copy(b, s->in, f->state, f->elements));
    }
    *x = f->state;
    return WF_OK;
}

int wf_flow_inverse_logdet(wf_flow *f, double *logdet)
{
    wf_post *post;
    WF_TRY(wf_flow_post(f, &post));
    return collect(f, post, -1, logdet);
}

/* f->g from the gradient by the stage's x to that by its y. Where nothing was kept, f->state is x and becomes y. */
static int run_inverse_backward(wf_flow *f, const wf_real *params, stage *s, const wf_real *cond, double scale,
                                wf_real *dcond)
{
    wf_backend *b = f->backend;
    const wf_real *x = s->in ? s->in : f->state;
    if (!s->in)
        WF_TRY(run_forward(f, params, s, f->state, cond, f->next));
    if (s->linear) {
        WF_TRY(b->mix_backward(b, pixels(f), f->spec.K, s->matrix.B, x, f->g, NULL, NULL));
    } else {
        wf_bijector *j = &f->bijectors[s->first];
        WF_TRY(j->type->inverse_backward(j, wf_at(b, params, j->offset), x, f->g, dcond, scale, s->tape, f->work));
    }
    return s->in ? WF_OK : b->copy(b, f->state, f->next, f->elements);
}

int wf_flow_inverse_backward(wf_flow *f, const wf_real *params, const wf_real *cond, const wf_real *dx, double scale,
                             wf_real *dcond, const wf_real **dz)
{
    wf_backend *b = f->backend;
    WF_CHECK(f->spec.memory != WF_MEMORY_NONE, WF_USAGE, "flow: created without memory for backward");
    WF_TRY(dx ? b->copy(b, f->g, dx, f->elements) : b->zero(b, f->g, f->elements * b->real));
    for (int i = 0; i < f->stage_count; i++)
        WF_TRY(run_inverse_backward(f, params, &f->stages[i], cond, scale, dcond));
    *dz = f->g;
    return WF_OK;
}
