/* optimizer.c - the registry of optimizers, their options, and an optimizer's vectors
 *
 * Each group of parameters is updated as soon as its gradient is complete, so gradients take the memory of the
 * largest group. */
#include "optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/number.h"

static const wf_optimizer_type *const registry[] = {
#define ROW(name) &wf_optimizer_##name,
    WF_OPTIMIZERS(ROW)
#undef ROW
        NULL,
};

const wf_optimizer_type *wf_optimizer_row(int i)
{
    return i >= 0 && (size_t)i < sizeof registry / sizeof *registry ? registry[i] : NULL;
}

/* -- text --------------------------------------------------------------------------------------------------------- */

static int fail_unknown(const char *text, const char *name)
{
    char known[WF_OPTIMIZER_TEXT] = "";
    for (int i = 0; registry[i]; i++)
        wf_snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", registry[i]->name);
    return wf_fail(WF_USAGE, "--optimizer '%.200s': unknown optimizer '%s', there are: %s", text, name, known);
}

/* Reads "key=value" into the value of the option. */
static int read_option(const char *text, const wf_optimizer_type *type, char *option, double *values)
{
    char *equal = strchr(option, '='), *end;
    int k = 0;
    if (equal)
        *equal = '\0';
    while (type->options[k].key && strcmp(type->options[k].key, option))
        k++;
    const wf_optimizer_option *o = &type->options[k];
    WF_CHECK(o->key, WF_USAGE, "--optimizer '%.200s': %s has no option '%s'", text, type->name, option);
    values[k] = wf_strtod(equal ? equal + 1 : "", &end);
    WF_CHECK(equal && equal[1] && !*end && values[k] >= o->low && values[k] <= o->high, WF_USAGE,
             "--optimizer '%.200s': %s:%s must be a number from %g to %g", text, type->name, o->key, o->low, o->high);
    return WF_OK;
}

/* Takes a text apart. values: [WF_OPTIMIZER_MAX_OPTIONS] */
static int parse(const char *text, const wf_optimizer_type **type, double *values)
{
    char room[WF_OPTIMIZER_TEXT], *rest = room, *word;
    text = text ? text : registry[0]->name;
    WF_CHECK(strlen(text) < sizeof room, WF_USAGE,
             "--optimizer '%.40s..': has %zu characters, at most %zu are possible", text, strlen(text),
             sizeof room - 1);
    strcpy(room, text);
    word = strsep(&rest, ":");
    int i = 0;
    while (registry[i] && strcmp(registry[i]->name, word))
        i++;
    *type = registry[i];
    if (!*type)
        return fail_unknown(text, word);
    for (int k = 0; (*type)->options[k].key; k++)
        values[k] = (*type)->options[k].standard;
    while ((word = strsep(&rest, ":")))
        WF_TRY(read_option(text, *type, word, values));
    return WF_OK;
}

int wf_optimizer_check(const char *text)
{
    const wf_optimizer_type *type;
    double values[WF_OPTIMIZER_MAX_OPTIONS];
    return parse(text, &type, values);
}

/* -- vectors and matrices ------------------------------------------------------------------------------------------ */

int wf_optimizer_create(wf_backend *backend, const char *text, size_t size, double ema, wf_optimizer *out)
{
    *out = (wf_optimizer){.backend = backend, .size = size, .decay = ema};
    WF_TRY(parse(text, &out->type, out->values));
    wf_real **parts[4] = {&out->w, &out->m, &out->u, &out->ema};
    for (int i = 0; i < 4; i++) {
        WF_TRY(wf_alloc_reals(backend, size, parts[i]));
        WF_TRY(backend->zero(backend, *parts[i], size * backend->real));
    }
    WF_TRY(wf_alloc_doubles(backend, 1, &out->bad));
    return wf_optimizer_reset(out);
}

void wf_optimizer_clear(wf_optimizer *o)
{
    if (!o->backend)
        return;
    o->backend->free(o->backend, o->w);
    o->backend->free(o->backend, o->m);
    o->backend->free(o->backend, o->u);
    o->backend->free(o->backend, o->ema);
    o->backend->free(o->backend, o->bad);
    free(o->matrices);
    *o = (wf_optimizer){0};
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

/* The last layer of a network begins at zero, and gains nothing by steps of one length (pipelines/README.md). */
static bool is_matrix(const char *name, const wf_param *param)
{
    return param->rank >= 2 && ends_with(name, ".w") && !ends_with(name, ".out.w");
}

int wf_optimizer_add_matrices(wf_optimizer *o, const wf_flow *flow, size_t first)
{
    char name[64];
    const wf_param *param;
    size_t where;
    for (int i = 0; wf_flow_param(flow, i, name, &param, &where); i++) {
        if (!is_matrix(name, param))
            continue;
        wf_matrix *more = realloc(o->matrices, ((size_t)o->matrix_count + 1) * sizeof *more);
        WF_CHECK(more, WF_AGAIN, "out of memory");
        o->matrices = more;
        int rows = (int)param->shape[0];
        more[o->matrix_count++] = (wf_matrix){first + where, rows, (int)(param->count / (size_t)rows)};
    }
    return WF_OK;
}

/* -- a step -------------------------------------------------------------------------------------------------------- */

void wf_optimizer_begin(wf_optimizer *o, int64_t step, double lr)
{
    double t = (double)step + 1;
    o->rule.decay = fmin(o->decay, t / (t + 9));
    o->type->begin(o, t, lr);
}

int wf_optimizer_sink(void *optimizer, size_t offset, size_t count, const wf_real *grads)
{
    wf_optimizer *o = optimizer;
    return o->type->sink(o, offset, count, grads);
}

int wf_optimizer_finish(wf_optimizer *o)
{
    return o->type->finish ? o->type->finish(o) : WF_OK;
}

int wf_optimizer_reset(wf_optimizer *o)
{
    return o->backend->zero(o->backend, o->bad, sizeof *o->bad);
}
