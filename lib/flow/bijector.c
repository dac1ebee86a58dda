/* bijector.c - the registry of bijectors, their options, parameters and convolutions */
#include "bijector.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const wf_bijector_type *const registry[] = {
#define ROW(name) &wf_bijector_##name,
    WF_BIJECTORS(ROW)
#undef ROW
        NULL,
};

const wf_bijector_type *wf_bijector_row(int i)
{
    return i >= 0 && (size_t)i < sizeof registry / sizeof *registry ? registry[i] : NULL;
}

const wf_bijector_type *wf_bijector_find(const char *name)
{
    int i = 0;
    while (registry[i] && strcmp(registry[i]->name, name))
        i++;
    return registry[i];
}

static int fail_unknown(const char *text, const wf_word *word)
{
    char known[200] = "";
    for (int i = 0; registry[i]; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", registry[i]->name);
    return wf_flow_text_error(text, word->at, "unknown bijector '%s' (there are: %s)", word->name, known);
}

/* Reads the value of option `o` from `text`; `at` is its place in the chain, for messages. */
static int read_value(const wf_bijector_type *type, const wf_bijector_option *o, const char *chain, int at,
                      const char *text, int *value)
{
    if (!o->names) {
        char *end;
        long number = strtol(text, &end, 10);
        if (*end || number < o->low || number > o->high)
            return wf_flow_text_error(chain, at, "%s:%s must be from %d to %d", type->name, o->key, o->low, o->high);
        *value = (int)number;
        return WF_OK;
    }
    char known[200] = "";
    for (int i = 0; o->names[i]; i++) {
        if (!strcmp(o->names[i], text)) {
            *value = i;
            return WF_OK;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", o->names[i]);
    }
    return wf_flow_text_error(chain, at, "%s:%s must be one of %s", type->name, o->key, known);
}

int wf_bijector_values(const char *text, const wf_word *word, int values[WF_BIJECTOR_MAX_OPTIONS])
{
    const wf_bijector_type *type = wf_bijector_find(word->name);
    int known = 0;
    if (!type)
        return fail_unknown(text, word);
    for (; known < WF_BIJECTOR_MAX_OPTIONS && type->options[known].key; known++)
        values[known] = type->options[known].standard;
    for (int i = 0; i < word->options; i++) {
        int at = word->option[i].at, k = 0;
        while (k < known && strcmp(type->options[k].key, word->option[i].key))
            k++;
        if (k == known)
            return wf_flow_text_error(text, at, "%s has no option '%s'", type->name, word->option[i].key);
        WF_TRY(read_value(type, &type->options[k], text, at, word->option[i].value, &values[k]));
    }
    return WF_OK;
}

/* Checks that the word takes this kind of signal. */
static int check_signal(const wf_bijector *self)
{
    WF_CHECK(!self->type->pictures_only || self->shape->signal == WF_PICTURE, WF_USAGE,
             "%s: is for pictures, not for %ss", self->type->name, wf_signal_names[self->shape->signal]);
    return WF_OK;
}

int wf_bijector_create(wf_stage_shape *shape, const char *text, const wf_word *word, wf_bijector *out)
{
    int values[WF_BIJECTOR_MAX_OPTIONS] = {0};
    WF_TRY(wf_bijector_values(text, word, values));
    *out = (wf_bijector){.type = wf_bijector_find(word->name), .shape = shape, .after = shape};
    WF_TRY(check_signal(out));
    int status = out->type->create(out, values);
    if (status)
        wf_bijector_clear(out);
    return status;
}

void wf_bijector_clear(wf_bijector *self)
{
    if (self->type && self->type->destroy)
        self->type->destroy(self);
    free(self->params);
    free(self->convs);
    *self = (wf_bijector){0};
}

/* Gives the output a wf_stage_shape of its own, so far a copy of the input's. */
static int branch_shape(wf_bijector *self)
{
    wf_stage_shape *after = malloc(sizeof *after);
    WF_CHECK(after, WF_AGAIN, "flow: out of memory");
    *after = *self->shape;
    after->convs = NULL;
    after->conv_count = 0;
    after->next = NULL;
    after->encoder = NULL;
    self->shape->next = self->after = after;
    return WF_OK;
}

int wf_bijector_set_output(wf_bijector *self, int H, int W, int K)
{
    const wf_stage_shape *before = self->shape;
    WF_TRY(branch_shape(self));
    wf_stage_shape *after = self->after;
    after->H = H;
    after->W = W;
    after->K = K;
    after->C = K > before->K ? 4 * before->C : before->C; /* where H = 0 sides do not show that they were halved */
    return WF_OK;
}

int wf_bijector_set_condition(wf_bijector *self, int C)
{
    WF_TRY(branch_shape(self));
    self->after->C = C;
    self->after->encoder = self;
    self->after->learnt = true;
    return WF_OK;
}

int64_t wf_bijector_param(wf_bijector *self, const char *name, int rank, const int64_t *shape)
{
    wf_param *params = realloc(self->params, (size_t)(self->param_count + 1) * sizeof *params);
    if (!params)
        return -1;
    self->params = params;
    wf_param *p = &params[self->param_count++];
    *p = (wf_param){.rank = rank, .offset = self->count, .count = 1};
    snprintf(p->name, sizeof p->name, "%s", name);
    for (int i = 0; i < rank; i++) {
        p->shape[i] = shape[i];
        p->count *= (size_t)shape[i];
    }
    self->count += p->count;
    return (int64_t)p->offset;
}

int wf_stage_conv(wf_stage_shape *shape, wf_conv_spec spec, wf_conv **out)
{
    *out = NULL;
    if (!shape->H)
        return WF_OK;
    spec.N = shape->N;
    spec.H = shape->H;
    spec.W = shape->W;
    spec.D = shape->D;
    spec.signal = shape->signal;
    spec.precision = shape->precision;
    for (int i = 0; i < shape->conv_count; i++) {
        const wf_conv_spec *s = &shape->convs[i].spec;
        if (s->in == spec.in && s->out == spec.out && s->k == spec.k && s->relu == spec.relu &&
            s->residual == spec.residual) {
            *out = shape->convs[i].conv;
            return WF_OK;
        }
    }
    struct wf_planned *convs = realloc(shape->convs, (size_t)(shape->conv_count + 1) * sizeof *convs);
    WF_CHECK(convs, WF_AGAIN, "flow: out of memory");
    shape->convs = convs;
    WF_TRY(shape->backend->conv_create(shape->backend, &spec, out));
    convs[shape->conv_count++] = (struct wf_planned){spec, *out};
    return WF_OK;
}

int wf_bijector_declare_conv(wf_bijector *self, const char *name, wf_conv_spec spec)
{
    char text[32];
    int64_t shape[5] = {spec.out}, channels = spec.out;
    int axes = wf_axes(self->shape->signal);
    self->radius += (spec.k - 1) / 2;
    for (int i = 0; i < axes; i++)
        shape[1 + i] = spec.k;
    shape[1 + axes] = spec.in;
    snprintf(text, sizeof text, "%s.w", name);
    int64_t w = wf_bijector_param(self, text, axes + 2, shape);
    snprintf(text, sizeof text, "%s.b", name);
    int64_t bias = wf_bijector_param(self, text, 1, &channels);
    snprintf(text, sizeof text, "%s.l", name);
    int64_t logs = wf_bijector_param(self, text, 1, &channels);
    wf_bijector_conv *convs = realloc(self->convs, (size_t)(self->conv_count + 1) * sizeof *convs);
    if (convs)
        self->convs = convs;
    WF_CHECK(convs && w >= 0 && bias >= 0 && logs >= 0, WF_AGAIN, "flow: out of memory");
    wf_bijector_conv *c = &convs[self->conv_count++];
    *c = (wf_bijector_conv){.w = (size_t)w, .bias = (size_t)bias, .logs = (size_t)logs};
    return wf_stage_conv(self->shape, spec, &c->conv);
}

wf_weights wf_bijector_weights(const wf_bijector *self, int i, const wf_real *params, wf_real *grads)
{
    const wf_backend *b = self->shape->backend;
    const wf_bijector_conv *c = &self->convs[i];
    wf_weights p = {.w = wf_at(b, params, c->w), .bias = wf_at(b, params, c->bias), .logs = wf_at(b, params, c->logs)};
    p.folded = c->folded;
    if (!grads)
        return p;
    p.dw = wf_at(b, grads, c->w);
    p.dbias = wf_at(b, grads, c->bias);
    p.dlogs = wf_at(b, grads, c->logs);
    p.dfolded = c->dfolded;
    return p;
}

/* A uniform number in (0,1) by SplitMix64 (Steele et al. 2014). Initial weights are made once, on the host. */
static double next_uniform(uint64_t *state)
{
    *state += WF_SPLITMIX_STEP;
    return ((double)(wf_splitmix(*state) >> 11) + 0.5) * 0x1p-53;
}

void wf_init_normal(uint64_t seed, uint64_t first, double deviation, double *values, size_t n)
{
    uint64_t state = seed * 0xd1342543de82ef95u + first * WF_SPLITMIX_STEP * 0x100000001u;
    for (size_t i = 0; i < n; i++) {
        double r = sqrt(-2.0 * log(next_uniform(&state)));
        values[i] = deviation * r * cos(2.0 * 3.14159265358979323846 * next_uniform(&state));
    }
}
