/* level.c - one trained level: its file, its flow */
#include "level.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../base/number.h"
#include "../pyramid/meta_text.h"

const char *const wf_precision_names[WF_PRECISIONS] = {"fp32", "bf16", "tf32"};

double wf_bits_per_dim(const wf_meta *meta, int level, double log_density)
{
    wf_level_shape s = wf_meta_level(meta, level);
    double D = (double)s.H * s.W * s.K, above = meta->levels - level;
    double nats = -log_density + D * 0.5 * wf_axes(meta->signal) * above * log(2.0) +
                  D * (meta->bits ? meta->bits : meta->exponent) * log(2.0);
    return nats / ((meta->bits ? log(2.0) : 1.0) * (double)meta->H * meta->W * meta->C);
}

/* -- level files: tensors "w/NAME" and "ema/NAME" ----------------------------------------------------------------- */

/* The two flows of a level: of its coefficients, and of the noise in pixels (NULL: none). Parameters of the second
 * follow those of the first. */
typedef struct flows {
    const wf_flow *chain, *noise;
} flows;

static void destroy_flows(flows *f)
{
    wf_flow_destroy((wf_flow *)(uintptr_t)f->chain);
    wf_flow_destroy((wf_flow *)(uintptr_t)f->noise);
}

/* Creates both flows for the names and shapes of their parameters. */
static int create_flows(const wf_level_spec *spec, wf_backend *b, const char *path, flows *out)
{
    wf_flow_spec shape = wf_level_flow_spec(spec, 1, 0, 0, WF_MEMORY_NONE);
    wf_flow *chain = NULL, *noise = NULL;
    int status = wf_flow_create(b, spec->chain, &shape, &chain);
    shape.C = shape.K;
    if (!status && spec->dequantize)
        status = wf_flow_create(b, spec->dequantize, &shape, &noise);
    if (status) {
        wf_flow_destroy(chain);
        return wf_fail(status == WF_AGAIN ? status : WF_DATA, "%s: %s", path, wf_error());
    }
    *out = (flows){chain, noise};
    return WF_OK;
}

static size_t flows_size(const flows *f)
{
    return wf_flow_size(f->chain) + (f->noise ? wf_flow_size(f->noise) : 0);
}

/* Gives parameter tensor i of both flows, like wf_flow_param. */
static bool flows_param(const flows *f, int i, char name[80], const wf_param **param, size_t *where)
{
    int first = 0;
    if (wf_flow_param(f->chain, i, name, param, where))
        return true;
    while (wf_flow_param(f->chain, first, name, param, where))
        first++;
    char own[64];
    if (!f->noise || !wf_flow_param(f->noise, i - first, own, param, where))
        return false;
    snprintf(name, 80, "dequantize.%s", own);
    *where += wf_flow_size(f->chain);
    return true;
}

static int count_params(const flows *f)
{
    char name[80];
    const wf_param *param;
    size_t where;
    int n = 0;
    while (flows_param(f, n, name, &param, &where))
        n++;
    return n;
}

/* Lists tensors PREFIX/NAME of values [size], numbers of that dtype. names: room for `count` of 96 characters. */
static void list_tensors(const flows *f, int count, const char *prefix, wf_dtype dtype, const void *values,
                         wf_tensor *tensors, char (*names)[96])
{
    for (int i = 0; i < count; i++) {
        char name[80];
        const wf_param *param;
        size_t where;
        flows_param(f, i, name, &param, &where);
        snprintf(names[i], 96, "%s/%s", prefix, name);
        tensors[i] = (wf_tensor){.name = names[i], .dtype = dtype, .rank = param->rank};
        memcpy(tensors[i].shape, param->shape, sizeof param->shape);
        tensors[i].data = (char *)(uintptr_t)values + where * wf_dtype_size(dtype);
        tensors[i].bytes = param->count * wf_dtype_size(dtype);
    }
}

/* Makes the file's numbers from values [n]: *stored in its dtype, and *rounded, what a reader gets. The caller frees
 * both. WF_DATA: a number is too large for the dtype. */
static int make_stored(const char *path, wf_dtype dtype, const float *values, size_t n, void **stored, float **rounded)
{
    *stored = malloc(n * wf_dtype_size(dtype));
    *rounded = malloc(n * sizeof **rounded);
    WF_CHECK(*stored && *rounded, WF_AGAIN, "%s: out of memory for %zu parameters", path, n);
    WF_CHECK(wf_dtype_write(dtype, values, *stored, n) && wf_dtype_read(dtype, *stored, *rounded, n), WF_INTERNAL,
             "%s: parameters as %s", path, wf_dtype_name(dtype));
    for (size_t i = 0; i < n; i++)
        WF_CHECK(isfinite((*rounded)[i]) || !isfinite(values[i]), WF_DATA,
                 "%s: parameter %zu is %g, which is too large for %s; bf16 and fp32 have room for it", path, i,
                 values[i], wf_dtype_name(dtype));
    return WF_OK;
}

int wf_level_save(const wf_model *model, const wf_flow *flow, const wf_flow *noise, const wf_level_file *what)
{
    const flows both = {flow, noise};
    char path[WF_PATH], level[16], step[32], bpd[32], most[32], mean[32], kernel[8], hash[20], held[16];
    char given[WF_GIVEN_TEXT] = "";
    int count = count_params(&both), written = 0;
    size_t size = flows_size(&both);
    const wf_flow_spec *spec = wf_flow_spec_of(flow);
    const float *const values[2] = {what->weights, what->average};
    static const char *const prefix[2] = {"w", "ema"};
    void *stored[2] = {NULL, NULL};
    float *rounded[2] = {NULL, NULL};
    WF_TRY(wf_model_file(model, what->level, ".safetensors", path));
    wf_tensor *tensors = calloc((size_t)(2 * count), sizeof *tensors);
    char(*names)[96] = calloc((size_t)(2 * count), sizeof *names);
    int status = WF_OK;
    if (!tensors || !names)
        WF_GO(wf_fail(WF_AGAIN, "%s: out of memory", path));
    for (int i = 0; i < 2; i++) {
        if (!values[i])
            continue;
        WF_GO(make_stored(path, what->dtype, values[i], size, &stored[i], &rounded[i]));
        list_tensors(&both, count, prefix[i], what->dtype, stored[i], tensors + written, names + written);
        written += count;
    }
    snprintf(level, sizeof level, "%d", what->level);
    snprintf(step, sizeof step, "%lld", (long long)what->step);
    wf_snprintf(bpd, sizeof bpd, "%.6f", what->bpd);
    wf_snprintf(most, sizeof most, "%.3e", what->round_trip.most);
    wf_snprintf(mean, sizeof mean, "%.3e", what->round_trip.mean);
    snprintf(kernel, sizeof kernel, "%d", spec->kernel);
    snprintf(held, sizeof held, "%d%%", what->held_out);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)XXH3_64bits(rounded[1], size * sizeof(float)));
    bool unknown = isnan(what->round_trip.most);
    if (what->given)
        wf_given_text(what->given, given);
    const wf_pair own[] = {{"level", level},
                           {"chain", what->chain},
                           {"kernel", kernel},
                           {"precision", wf_precision_names[what->precision]},
                           {"step", step},
                           {"bpd", isnan(what->bpd) ? NULL : bpd},
                           {"round_trip", unknown ? NULL : most},
                           {"round_trip_mean", unknown ? NULL : mean},
                           {"hash", hash},
                           {"data", what->data},
                           {"held_out", what->held_out ? held : NULL},
                           {"init", what->init},
                           {"chosen", what->chosen},
                           {"given", *given ? given : NULL},
                           {"dequantize", noise ? what->dequantize : NULL}};
    enum { OWN = sizeof own / sizeof *own };
    wf_pair pairs[WF_META_PAIRS + OWN];
    wf_meta meta = model->meta;
    wf_meta_text text;
    meta.provenance = (char *)(uintptr_t)what->provenance; /* borrowed */
    wf_meta_format(&meta, &text);
    memcpy(pairs, text.pairs, sizeof text.pairs);
    int known = text.count;
    for (int i = 0; i < OWN; i++)
        if (own[i].value)
            pairs[known++] = own[i];
    status = wf_safetensors_save(path, tensors, written, pairs, known);
out:
    for (int i = 0; i < 2; i++) {
        free(stored[i]);
        free(rounded[i]);
    }
    free(tensors);
    free(names);
    return status;
}

/* Reads the averages from the file to values, host [size]. Every tensor must be there, in its shape. An exported file
 * has nothing else; one of a training has as many weights. */
static int read_average(const flows *f, const wf_safetensors *st, const char *path, float *values)
{
    char name[80], full[96];
    const wf_param *param;
    size_t where;
    int i = 0;
    for (; flows_param(f, i, name, &param, &where); i++) {
        snprintf(full, sizeof full, "ema/%s", name);
        const wf_tensor *t = wf_safetensors_find(st, full);
        WF_CHECK(t, WF_DATA, "%s: no tensor %s, which the chain needs", path, full);
        bool same = t->rank == param->rank && t->bytes == param->count * wf_dtype_size(t->dtype);
        for (int r = 0; same && r < t->rank; r++)
            same = t->shape[r] == param->shape[r];
        WF_CHECK(same, WF_DATA, "%s: tensor %s does not have the shape that the chain needs", path, full);
        WF_CHECK(t->dtype == WF_F32 || t->dtype == WF_F16 || t->dtype == WF_BFLOAT16, WF_DATA,
                 "%s: tensor %s is of %s, expected F32, F16 or BF16", path, full, wf_dtype_name(t->dtype));
        WF_CHECK(wf_dtype_read(t->dtype, t->data, values + where, param->count), WF_INTERNAL, "%s: %s", path, full);
    }
    WF_CHECK(st->count == i || st->count == 2 * i, WF_DATA, "%s: %d tensors, the chain needs %d, or %d with weights",
             path, st->count, i, 2 * i);
    for (size_t j = 0; j < flows_size(f); j++)
        WF_CHECK(isfinite(values[j]), WF_DATA, "%s: parameter %zu is not finite", path, j);
    return WF_OK;
}

static const char *lookup(const void *st, const char *key)
{
    return wf_safetensors_meta(st, key);
}

/* Refuses a level file of other pictures. */
static int match_model(const wf_safetensors *st, const char *path, const wf_model *model)
{
    wf_meta meta;
    WF_TRY(wf_meta_parse(lookup, st, path, &meta));
    int status = wf_meta_match(&meta, path, &model->meta, model->path);
    wf_meta_clear(&meta);
    return status;
}

static int read_precision(const char *path, const char *name, wf_precision *out)
{
    int i = 0;
    while (i < WF_PRECISIONS && strcmp(name, wf_precision_names[i]))
        i++;
    WF_CHECK(i < WF_PRECISIONS, WF_DATA, "%s: unknown precision %s", path, name);
    *out = (wf_precision)i;
    return WF_OK;
}

/* NAN for files from before the round trip was recorded. */
static int read_round_trip(const wf_safetensors *st, const char *path, const char *key, double *out)
{
    const char *text = wf_safetensors_meta(st, key);
    char *end;
    *out = NAN;
    if (!text)
        return WF_OK;
    *out = wf_strtod(text, &end);
    WF_CHECK(*text && !*end && !(*out < 0), WF_DATA, "%s: \"%s\" is not a distance", path, key);
    return WF_OK;
}

/* Per cent of the pictures that were held out; 0 without the key. */
static int read_held_out(const wf_safetensors *st, const char *path, int *out)
{
    const char *text = wf_safetensors_meta(st, "held_out");
    char *end = "%";
    long percent = text ? strtol(text, &end, 10) : 0;
    WF_CHECK(!strcmp(end, "%") && percent >= 0 && percent <= 50, WF_DATA, "%s: \"held_out\" is not from 1%% to 50%%",
             path);
    *out = (int)percent;
    return WF_OK;
}

/* Uploads the weights' average, of both flows. */
static int read_weights(const wf_safetensors *st, const char *path, wf_level *out)
{
    wf_backend *b = out->backend;
    flows both;
    WF_TRY(create_flows(&out->spec, b, path, &both));
    out->size = flows_size(&both);
    float *values = malloc(out->size * sizeof *values);
    int status = WF_OK;
    if (!values)
        WF_GO(wf_fail(WF_AGAIN, "%s: out of memory", path));
    WF_GO(read_average(&both, st, path, values));
    WF_GO(wf_alloc_reals(b, out->size, &out->params));
    WF_GO(b->upload(b, out->params, values, WF_F32, out->size));
out:
    free(values);
    destroy_flows(&both);
    return status;
}

static int read_file(const wf_safetensors *st, const char *path, const wf_model *model, wf_level *out)
{
    const char *level = wf_safetensors_meta(st, "level");
    const char *chain = wf_safetensors_meta(st, "chain"), *kernel = wf_safetensors_meta(st, "kernel");
    const char *precision = wf_safetensors_meta(st, "precision"), *hash = wf_safetensors_meta(st, "hash");
    const char *dequantize = wf_safetensors_meta(st, "dequantize");
    WF_TRY(match_model(st, path, model));
    WF_CHECK(level && atoi(level) == out->spec.level, WF_DATA, "%s: holds level %s", path, level ? level : "(none)");
    WF_CHECK(chain && kernel && precision && hash, WF_DATA, "%s: chain, kernel, precision or hash is missing", path);
    WF_CHECK(!strcmp(kernel, "1") || !strcmp(kernel, "3"), WF_DATA, "%s: kernel %s", path, kernel);
    wf_precision in_file = WF_FP32;
    WF_TRY(read_precision(path, precision, &in_file));
    WF_TRY(read_round_trip(st, path, "round_trip", &out->round_trip.most));
    WF_TRY(read_round_trip(st, path, "round_trip_mean", &out->round_trip.mean));
    snprintf(out->hash, sizeof out->hash, "%.16s", hash);
    out->spec = wf_level_spec_for(&model->meta, out->spec.level, strdup(chain), dequantize ? strdup(dequantize) : NULL,
                                  in_file);
    out->spec.kernel = atoi(kernel);
    WF_TRY(wf_given_parse(wf_safetensors_meta(st, "given"), path, &out->spec.given));
    WF_CHECK(out->spec.chain && !out->spec.dequantize == !dequantize, WF_AGAIN, "%s: out of memory", path);
    return read_weights(st, path, out);
}

/* Gives the path of a level's file. WF_NOINPUT: the level is not trained. */
static int trained_file(const wf_model *model, int level, char path[WF_PATH])
{
    WF_TRY(wf_model_file(model, level, ".safetensors", path));
    WF_CHECK(!access(path, F_OK) || errno != ENOENT, WF_NOINPUT,
             "%s: not there: train level %d first: wf-train-level -l %d -m %s", path, level, level, model->path);
    return WF_OK;
}

/* Loads a level's file, whose tensors stay in `st` until the caller clears it, also after a failure. */
static int load_file(const wf_model *model, int level, wf_backend *backend, char path[WF_PATH], wf_safetensors *st,
                     wf_level *out)
{
    *out = (wf_level){.backend = backend, .spec.level = level};
    *st = (wf_safetensors){0};
    WF_CHECK(level >= 0 && level <= model->meta.levels, WF_USAGE, "%s has levels 0 to %d, not %d", model->path,
             model->meta.levels, level);
    WF_TRY(trained_file(model, level, path));
    int status = wf_safetensors_load(path, st);
    if (!status)
        status = read_file(st, path, model, out);
    if (status)
        wf_level_clear(out);
    return status;
}

int wf_level_load(const wf_model *model, int level, wf_backend *backend, wf_level *out)
{
    char path[WF_PATH];
    wf_safetensors st;
    int status = load_file(model, level, backend, path, &st, out);
    wf_safetensors_clear(&st);
    return status;
}

/* Saves the average of a loaded level, whose tensors are in `st`, to another model. */
static int save_average(const wf_safetensors *st, const char *path, const wf_level *level, wf_dtype dtype,
                        const char *provenance, const wf_model *to)
{
    const char *step = wf_safetensors_meta(st, "step"), *bpd = wf_safetensors_meta(st, "bpd");
    wf_level_file file = {.level = level->spec.level,
                          .round_trip = level->round_trip,
                          .precision = level->spec.precision,
                          .chain = level->spec.chain,
                          .dequantize = level->spec.dequantize,
                          .provenance = provenance,
                          .data = wf_safetensors_meta(st, "data"),
                          .init = wf_safetensors_meta(st, "init"),
                          .chosen = wf_safetensors_meta(st, "chosen"),
                          .given = &level->spec.given,
                          .dtype = dtype};
    flows both;
    char *end = NULL;
    WF_TRY(read_held_out(st, path, &file.held_out));
    WF_CHECK(wf_parse_count(step, INT64_MAX, &file.step), WF_DATA, "%s: \"step\" is not a number", path);
    file.bpd = bpd ? wf_strtod(bpd, &end) : NAN;
    WF_CHECK(!end || (end > bpd && !*end), WF_DATA, "%s: \"bpd\" is not a number", path);
    WF_TRY(create_flows(&level->spec, level->backend, path, &both));
    float *values = malloc(level->size * sizeof *values);
    int status = WF_OK;
    if (!values)
        WF_GO(wf_fail(WF_AGAIN, "%s: out of memory", path));
    WF_GO(read_average(&both, st, path, values));
    file.average = values;
    WF_GO(wf_level_save(to, both.chain, both.noise, &file));
out:
    free(values);
    destroy_flows(&both);
    return status;
}

int wf_level_export(const wf_model *from, int level, wf_dtype dtype, const wf_model *to, wf_level_add_provenance *add,
                    void *user)
{
    char path[WF_PATH];
    wf_safetensors st = {0};
    wf_level loaded = {0};
    wf_meta meta = {0};
    wf_backend *cpu;
    WF_TRY(wf_backend_open("cpu", 1, &cpu));
    int status = WF_OK;
    WF_GO(load_file(from, level, cpu, path, &st, &loaded));
    WF_GO(wf_meta_parse(lookup, &st, path, &meta));
    WF_GO(add(user, &meta));
    WF_GO(save_average(&st, path, &loaded, dtype, meta.provenance, to));
out:
    wf_meta_clear(&meta);
    wf_level_clear(&loaded);
    wf_safetensors_clear(&st);
    cpu->close(cpu);
    return status;
}

/* Reads the header of a level's file; the caller clears `st`, also after a failure. */
static int read_header(const wf_model *model, int level, char path[WF_PATH], wf_safetensors *st)
{
    bool end;
    *st = (wf_safetensors){0};
    WF_TRY(trained_file(model, level, path));
    FILE *file = fopen(path, "rb");
    if (!file)
        return wf_fail_errno("%s", path);
    int status = wf_safetensors_read_header(file, path, st, &end, NULL, NULL);
    if (!status && end)
        status = wf_fail(WF_DATA, "%s: an empty file", path);
    fclose(file);
    return status;
}

int wf_level_is_exported(const wf_model *model, int level, bool *exported)
{
    char path[WF_PATH];
    wf_safetensors st = {0};
    *exported = false;
    WF_TRY(wf_model_file(model, level, ".safetensors", path));
    if (access(path, F_OK))
        return WF_OK;
    int status = read_header(model, level, path, &st);
    *exported = !status && st.count;
    for (int i = 0; i < st.count; i++)
        *exported &= strncmp(st.tensors[i].name, "w/", 2) != 0;
    wf_safetensors_clear(&st);
    return status;
}

static int is_trained(const wf_model *model, int level, bool *trained)
{
    char path[WF_PATH];
    WF_TRY(wf_model_file(model, level, ".safetensors", path));
    *trained = !access(path, F_OK);
    return WF_OK;
}

static int level_hash(const wf_model *model, int level, char out[20])
{
    char path[WF_PATH];
    wf_safetensors st;
    int status = read_header(model, level, path, &st);
    const char *hash = status ? NULL : wf_safetensors_meta(&st, "hash");
    if (!status && !hash)
        status = wf_fail(WF_DATA, "%s: no hash of its weights", path);
    if (!status)
        snprintf(out, 20, "%.16s", hash);
    wf_safetensors_clear(&st);
    return status;
}

static int summarize(const wf_safetensors *st, const char *path, wf_level_summary *out)
{
    const char *chain = wf_safetensors_meta(st, "chain"), *precision = wf_safetensors_meta(st, "precision");
    WF_CHECK(chain && precision, WF_DATA, "%s: chain or precision is missing", path);
    WF_TRY(read_precision(path, precision, &out->precision));
    const char *hash = wf_safetensors_meta(st, "hash"), *data = wf_safetensors_meta(st, "data");
    snprintf(out->chain, sizeof out->chain, "%s", chain);
    snprintf(out->hash, sizeof out->hash, "%.16s", hash ? hash : "");
    snprintf(out->data, sizeof out->data, "%.16s", data ? data : "");
    WF_TRY(read_held_out(st, path, &out->held_out));
    WF_TRY(wf_given_parse(wf_safetensors_meta(st, "given"), path, &out->given));
    out->parameters = 0;
    for (int i = 0; i < st->count; i++)
        if (!strncmp(st->tensors[i].name, "ema/", 4))
            out->parameters += st->tensors[i].bytes / wf_dtype_size(st->tensors[i].dtype);
    return WF_OK;
}

int wf_level_summarize(const wf_model *model, int level, wf_level_summary *out)
{
    char path[WF_PATH];
    wf_safetensors st;
    int status = read_header(model, level, path, &st);
    if (!status)
        status = summarize(&st, path, out);
    wf_safetensors_clear(&st);
    return status;
}

int wf_model_hash(const wf_model *model, int first, int last, char out[20])
{
    char all[(WF_MAX_LEVELS + 1) * 20] = "";
    for (int l = first; l <= last; l++)
        WF_TRY(level_hash(model, l, all + strlen(all)));
    snprintf(out, 20, "%016llx", (unsigned long long)XXH3_64bits(all, strlen(all)));
    return WF_OK;
}

void wf_level_clear(wf_level *level)
{
    if (level->backend)
        level->backend->free(level->backend, level->params);
    free((void *)(uintptr_t)level->spec.chain);
    free((void *)(uintptr_t)level->spec.dequantize);
    *level = (wf_level){0};
}

int wf_model_held_out(const wf_model *model, const char *hash, const char *store_path, int *percent)
{
    int before = 0, first = -1;
    for (int level = 0; level <= model->meta.levels; level++) {
        wf_level_summary s;
        bool trained;
        WF_TRY(is_trained(model, level, &trained));
        if (!trained)
            continue;
        WF_TRY(wf_level_summarize(model, level, &s));
        WF_CHECK(s.held_out, WF_USAGE, "%s: level %d was trained with none of its pictures held out", model->path,
                 level);
        WF_CHECK(!strcmp(s.data, hash), WF_DATA,
                 "%s: level %d was trained on another store: its hash is %s, of %s it is %s", model->path, level,
                 s.data, store_path, hash);
        WF_CHECK(first < 0 || s.held_out == before, WF_USAGE, "%s: level %d held out %d%%, level %d %d%%", model->path,
                 first, before, level, s.held_out);
        first = first < 0 ? level : first;
        before = s.held_out;
    }
    WF_CHECK(first >= 0, WF_NOINPUT, "%s: no level is trained", model->path);
    *percent = before;
    return WF_OK;
}

int wf_level_invertible(const wf_level *level)
{
    static const double limit = 1e-2;
    WF_CHECK(!(level->round_trip.most > limit), WF_INTERNAL,
             "level %d: cannot be inverted: the round trip of a picture is off by %.3g deviations, want at most %g; "
             "train it again with a lower rate or another chain",
             level->spec.level, level->round_trip.most, limit);
    return WF_OK;
}

wf_level_spec wf_level_spec_for(const wf_meta *meta, int level, const char *chain, const char *dequantize,
                                wf_precision precision)
{
    wf_level_shape s = wf_meta_level(meta, level);
    bool whole = meta->signal == WF_PICTURE && !strcmp(meta->wavelet, "haar") && !dequantize;
    return (wf_level_spec){.level = level,
                           .K = s.K,
                           .C = level ? s.C : 0,
                           .kernel = s.H * s.W == 1 ? 1 : 3,
                           .precision = precision,
                           .signal = meta->signal,
                           .D = wf_meta_slices(meta, level),
                           .H = s.H,
                           .chain = chain,
                           .bits = whole ? meta->bits : 0,
                           .halvings = meta->levels - level + (level > 0),
                           .dequantize = dequantize};
}

wf_flow_spec wf_level_flow_spec(const wf_level_spec *spec, int N, int H, int W, wf_memory memory)
{
    return (wf_flow_spec){.N = N,
                          .H = H,
                          .W = W,
                          .K = spec->K,
                          .C = spec->C + wf_given_channels(&spec->given),
                          .kernel = spec->kernel,
                          .precision = spec->precision,
                          .memory = memory,
                          .signal = spec->signal,
                          .D = spec->D,
                          .bits = spec->bits,
                          .halvings = spec->halvings};
}

int wf_level_flow(const wf_level_spec *spec, wf_backend *backend, int N, int H, int W, wf_memory memory, wf_flow **out)
{
    wf_flow_spec flow = wf_level_flow_spec(spec, N, H, W, memory);
    WF_CHECK(spec->signal != WF_VOLUME || H == spec->H, WF_USAGE,
             "level %d: volumes of %d rows in all slices, want %d, as the model has", spec->level, H, spec->H);
    return wf_flow_create(backend, spec->chain, &flow, out);
}

int wf_level_rows(int64_t pixels, int H, int W)
{
    int64_t n = pixels / ((int64_t)H * W), most = pixels / 64;
    most = most < WF_LEVEL_ROWS ? most : WF_LEVEL_ROWS;
    return n < 1 ? 1 : n > most ? (int)most : (int)n;
}
