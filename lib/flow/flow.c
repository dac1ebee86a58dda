/* flow.c - compiles a chain of bijectors into stages and allocates their memory */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"
#include "shares.h"

static int take_memory(wf_flow *f, size_t bytes, void *out)
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
    wf_flow_text chain;
    WF_TRY(wf_flow_text_parse(text, &chain));
    int status = WF_OK;
    f->bijectors = calloc((size_t)chain.count, sizeof *f->bijectors);
    if (!f->bijectors)
        status = wf_fail(WF_AGAIN, "flow: out of memory");
    wf_stage_shape *at = &f->shape;
    for (int i = 0; i < chain.count && !status; i++) {
        wf_bijector *b = &f->bijectors[i];
        status = wf_bijector_create(at, chain.text, &chain.words[i], b);
        if (status)
            break;
        at = b->after;
        f->bijector_count++;
        f->discrete |= b->type->discrete;
        b->offset = f->size;
        f->size += b->count;
    }
    wf_flow_text_clear(&chain);
    return status;
}

bool wf_flow_is_discrete(const wf_flow *f)
{
    return f->discrete;
}

bool wf_chain_is_discrete(const char *text)
{
    wf_flow_text chain;
    bool found = false;
    if (wf_flow_text_parse(text, &chain))
        return false;
    for (int i = 0; i < chain.count; i++) {
        const wf_bijector_type *type = wf_bijector_find(chain.words[i].name);
        found |= type && type->discrete;
    }
    wf_flow_text_clear(&chain);
    return found;
}

/* A discrete bijector takes the coefficients themselves: no other may change them. */
static int check_discrete(const wf_flow *f)
{
    for (int i = 0; i < f->bijector_count && f->discrete; i++) {
        const wf_bijector_type *type = f->bijectors[i].type;
        bool last = i + 1 == f->bijector_count;
        WF_CHECK(last ? type->discrete : type->encode != NULL, WF_USAGE,
                 "chain: %s as word %d: a chain with lattice ends with it, and has only cond before it", type->name,
                 i + 1);
    }
    return WF_OK;
}

/* Reals of a state [N,H,W,K]. */
static size_t elements_of(const wf_stage_shape *c)
{
    return (size_t)c->N * (size_t)c->H * (size_t)c->W * (size_t)c->K;
}

static int create_stages(wf_flow *f)
{
    int linear = 0;
    f->stages = calloc((size_t)f->bijector_count, sizeof *f->stages);
    WF_CHECK(f->stages, WF_AGAIN, "flow: out of memory");
    for (int i = 0; i < f->bijector_count; i++) {
        const wf_bijector *b = &f->bijectors[i];
        wf_flow_stage *last = f->stage_count ? &f->stages[f->stage_count - 1] : NULL;
        if (b->type->linear && last && last->linear) {
            last->count++;
            last->size += b->count;
        } else {
            last = &f->stages[f->stage_count++];
            *last = (wf_flow_stage){.first = i,
                                    .count = 1,
                                    .linear = b->type->linear,
                                    .shape = b->shape,
                                    .elements = elements_of(b->shape),
                                    .out_elements = elements_of(b->after),
                                    .offset = b->offset,
                                    .size = b->count};
            f->has_split |= last->out_elements < last->elements;
            f->linear_count += last->linear;
        }
        linear += last->linear;
        f->conv_count += b->conv_count;
    }
    f->parts = calloc((size_t)linear + 1, sizeof *f->parts);
    f->runs = calloc((size_t)f->linear_count + 1, sizeof *f->runs);
    f->convs = calloc((size_t)f->conv_count + 1, sizeof *f->convs);
    f->weights = calloc((size_t)f->conv_count + 1, sizeof *f->weights);
    WF_CHECK(f->parts && f->runs && f->convs && f->weights, WF_AGAIN, "flow: out of memory");
    return WF_OK;
}

/* Bytes for the input and tape of every stage and, where launches are costly, for all gradients, plain and folded. */
static size_t kept_bytes(const wf_flow *f)
{
    size_t sum = f->backend->record ? 2 * f->size * f->backend->real : 0;
    for (int i = 0; i < f->stage_count; i++) {
        const wf_flow_stage *s = &f->stages[i];
        if (!wf_flow_keeps_values(f, s))
            sum += s->elements * f->backend->real;
        if (!s->linear && (!wf_flow_keeps_values(f, s) || wf_flow_encodes(f, s)))
            sum += f->bijectors[s->first].tape_bytes;
    }
    return sum;
}

static wf_memory choose_memory(const wf_flow *f, wf_memory asked)
{
    if (asked != WF_MEMORY_AUTO)
        return asked == WF_MEMORY_LEAN ? WF_MEMORY_STORE : asked;
    return kept_bytes(f) <= f->backend->memory ? WF_MEMORY_STORE : WF_MEMORY_REVERSIBLE;
}

static int allocate_linear(wf_flow *f)
{
    size_t real = f->backend->real;
    int place = 0;
    for (int i = 0; i < f->stage_count; i++) {
        wf_linear *m = &f->stages[i].matrix;
        size_t K = (size_t)f->stages[i].shape->K;
        if (!f->stages[i].linear)
            continue;
        WF_TRY(take_memory(f, 2 * (K * K + K) * real, &m->A));
        m->a = wf_at(f->backend, m->A, K * K);
        m->B = wf_at(f->backend, m->a, K);
        m->b = wf_at(f->backend, m->B, K * K);
        m->logdet = f->logdet + f->spec.N + place++;
    }
    return WF_OK;
}

/* Allocates conditions, and their gradients, for shapes whose condition differs from the one before; other shapes
 * share it. */
static int allocate_conditions(wf_flow *f)
{
    for (wf_stage_shape *c = &f->shape; c->C && c->next; c = c->next) {
        wf_stage_shape *after = c->next;
        size_t bytes = (size_t)after->N * (size_t)after->H * (size_t)after->W * (size_t)after->C * f->backend->real;
        after->cond = c->cond;
        after->dcond = c->dcond;
        if (after->C == c->C)
            continue;
        WF_TRY(take_memory(f, bytes, &after->cond));
        if (f->spec.memory != WF_MEMORY_NONE)
            WF_TRY(take_memory(f, bytes, &after->dcond));
    }
    return WF_OK;
}

/* Allocates what backward keeps, and one shared tape for stages that keep nothing and as scratch of reshaping. Encoders
 * run before all other stages, so each has a tape of its own. */
static int allocate_tapes(wf_flow *f, bool keep)
{
    size_t real = f->backend->real, shared = 0;
    for (int i = 0; i < f->stage_count; i++) {
        const wf_flow_stage *s = &f->stages[i];
        size_t bytes = f->bijectors[s->first].tape_bytes;
        if (!s->linear && !wf_flow_encodes(f, s) && (!keep || wf_flow_keeps_values(f, s)) && bytes > shared)
            shared = bytes;
    }
    if (shared || !keep)
        WF_TRY(take_memory(f, shared, &f->tape));
    for (int i = 0; i < f->stage_count; i++) {
        wf_flow_stage *s = &f->stages[i];
        s->tape = f->tape;
        if (wf_flow_encodes(f, s))
            WF_TRY(take_memory(f, f->bijectors[s->first].tape_bytes, &s->tape));
        if (!keep || wf_flow_keeps_values(f, s))
            continue;
        WF_TRY(take_memory(f, s->elements * real, &s->in));
        if (!s->linear)
            WF_TRY(take_memory(f, f->bijectors[s->first].tape_bytes, &s->tape));
    }
    return WF_OK;
}

/* Allocates the backend's own form of the convolutions' parameters or, with `gradient`, of their gradients. */
static int allocate_folded(wf_flow *f, bool gradient)
{
    wf_backend *b = f->backend;
    bool runs = f->spec.H > 0; /* otherwise the flow only lists its parameters */
    for (int i = 0; i < f->bijector_count && b->conv_fold && runs; i++)
        for (int c = 0; c < f->bijectors[i].conv_count; c++) {
            wf_bijector_conv *conv = &f->bijectors[i].convs[c];
            WF_TRY(take_memory(f, b->conv_folded_bytes(b, conv->conv, gradient),
                               gradient ? &conv->dfolded : &conv->folded));
        }
    return WF_OK;
}

int wf_flow_make_gradients(wf_flow *f)
{
    size_t real = f->backend->real, K = 0, largest = 0;
    wf_real *shared = NULL;
    if (f->grads)
        return WF_OK;
    for (const wf_flow_stage *s = f->stages; s < f->stages + f->stage_count; s++) {
        K = (size_t)s->shape->K > K ? (size_t)s->shape->K : K;
        largest = s->size > largest ? s->size : largest;
    }
    if (f->whole)
        WF_TRY(allocate_folded(f, true));
    else
        WF_TRY(take_memory(f, (K * K + K) * real, &shared));
    for (wf_flow_stage *s = f->stages; s < f->stages + f->stage_count; s++) {
        K = (size_t)s->shape->K;
        s->dA = shared;
        if (s->linear && f->whole)
            WF_TRY(take_memory(f, (K * K + K) * real, &s->dA));
        s->da = s->linear ? wf_at(f->backend, s->dA, K * K) : NULL;
    }
    return take_memory(f, (f->whole ? f->size : largest) * real, &f->grads);
}

static int allocate_all(wf_flow *f)
{
    size_t real = f->backend->real, work = 0;
    bool backward = f->spec.memory != WF_MEMORY_NONE, keep = f->spec.memory == WF_MEMORY_STORE;
    for (int i = 0; i < f->stage_count; i++) {
        const wf_flow_stage *s = &f->stages[i];
        size_t bytes = s->linear ? 0 : f->bijectors[s->first].work_bytes;
        work = bytes > work ? bytes : work;
    }
    WF_TRY(take_memory(f, f->elements * real, &f->state));
    WF_TRY(take_memory(f, ((size_t)f->spec.N + (size_t)f->linear_count) * sizeof(double), &f->logdet));
    WF_TRY(allocate_linear(f));
    WF_TRY(allocate_folded(f, false));
    WF_TRY(allocate_conditions(f));
    WF_TRY(allocate_tapes(f, keep));
    if ((backward && !keep) || f->shape.next)
        WF_TRY(take_memory(f, f->elements * real, &f->next));
    if (!backward)
        return WF_OK;
    WF_TRY(take_memory(f, f->spare.bytes, &f->spare.memory));
    WF_TRY(take_memory(f, work, &f->work));
    return take_memory(f, f->elements * real, &f->g);
}

int wf_flow_create(wf_backend *backend, const char *chain, const wf_flow_spec *spec, wf_flow **out)
{
    wf_flow *f = calloc(1, sizeof *f);
    WF_CHECK(f, WF_AGAIN, "flow: out of memory");
    f->backend = backend;
    f->spec = *spec;
    f->shape = (wf_stage_shape){.backend = backend,
                                .N = spec->N,
                                .H = spec->H,
                                .W = spec->W,
                                .K = spec->K,
                                .C = spec->C,
                                .kernel = spec->kernel,
                                .signal = spec->signal,
                                .D = spec->D,
                                .spare = &f->spare,
                                .bits = spec->bits,
                                .halvings = spec->halvings,
                                .lean = spec->memory == WF_MEMORY_LEAN,
                                .keep = spec->memory != WF_MEMORY_NONE,
                                .precision = spec->precision};
    f->elements = elements_of(&f->shape);
    int status = WF_OK;
    WF_GO(create_bijectors(f, chain));
    WF_GO(check_discrete(f));
    WF_GO(create_stages(f));
    f->spec.memory = choose_memory(f, spec->memory);
    f->whole = f->spec.memory == WF_MEMORY_STORE && backend->record; /* backends with costly launches */
    WF_GO(allocate_all(f));
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
    wf_shares_destroy(f->backend, f->shares);
    for (int i = 0; i < f->bijector_count; i++)
        wf_bijector_clear(&f->bijectors[i]);
    for (wf_stage_shape *c = &f->shape, *next; c; c = next) {
        next = c->next;
        for (int i = 0; i < c->conv_count; i++)
            f->backend->conv_destroy(f->backend, c->convs[i].conv);
        free(c->convs);
        if (c != &f->shape)
            free(c);
    }
    for (int i = 0; i < f->owned_count; i++)
        f->backend->free(f->backend, f->owned[i]);
    free(f->bijectors);
    free(f->stages);
    free(f->parts);
    free(f->runs);
    free(f->convs);
    free(f->weights);
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

int wf_flow_radius(const wf_flow *f)
{
    int64_t sum = 0;
    for (int i = 0; i < f->bijector_count; i++)
        sum += f->bijectors[i].type->reshape ? WF_RADIUS_ALL : f->bijectors[i].radius;
    return sum < WF_RADIUS_ALL ? (int)sum : WF_RADIUS_ALL;
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
    double *values =
        malloc(largest * sizeof *values); /* one bijector at a time: a model may be as large as the memory */
    WF_CHECK(values, WF_AGAIN, "flow: out of memory for %zu parameters", largest);
    int status = WF_OK;
    for (int i = 0; i < f->bijector_count && !status; i++) {
        const wf_bijector *b = &f->bijectors[i];
        memset(values, 0, b->count * sizeof *values);
        if (b->type->init)
            b->type->init(b, seed, values);
        status = f->backend->upload(f->backend, wf_at(f->backend, params, b->offset), values, WF_F64, b->count);
    }
    free(values);
    return status;
}
