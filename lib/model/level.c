/* level.c - one trained level: its file, its flow */
#include "level.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../pyramid/meta_text.h"

const char *const wf_precision_names[WF_PRECISIONS] = {"fp32", "bf16", "tf32"};

double wf_bits_per_dim(const wf_meta *meta, int level, double log_density)
{
    wf_level_shape s = wf_meta_level(meta, level);
    double D = (double)s.H * s.W * s.K, above = meta->levels - level;
    double nats = -log_density + D * 0.5 * wf_axes(meta->signal) * above * log(2.0) + D * meta->bits * log(2.0);
    return nats / (log(2.0) * (double)meta->H * meta->W * meta->C);
}

/* -- level files: tensors "w/NAME" and "ema/NAME" ----------------------------------------------------------------- */

/* The two flows of a level: of its coefficients, and of the noise in pixels (NULL: none). Parameters of the second
 * follow those of the first. */
typedef struct flows {
    const wf_flow *chain, *noise;
} flows;

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

/* Lists the file's tensors: weights values[0] [size], then averages values[1] [size]. names: room for 2*count of 96
 * characters. */
static void list_tensors(const flows *f, int count, const float *const values[2], wf_tensor *tensors, char (*names)[96])
{
    static const char *const prefix[2] = {"w", "ema"};
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < count; i++) {
            char name[80];
            const wf_param *param;
            size_t where;
            flows_param(f, i, name, &param, &where);
            wf_tensor *t = &tensors[half * count + i];
            snprintf(names[half * count + i], 96, "%s/%s", prefix[half], name);
            *t = (wf_tensor){.name = names[half * count + i], .dtype = WF_F32, .rank = param->rank};
            memcpy(t->shape, param->shape, sizeof param->shape);
            t->data = values ? (void *)(uintptr_t)(values[half] + where) : NULL;
            t->bytes = param->count * sizeof(float);
        }
}

int wf_level_save(const wf_model *model, const wf_flow *flow, const wf_flow *noise, const wf_level_file *what)
{
    const flows both = {flow, noise};
    char path[WF_PATH], level[16], step[32], bpd[32], most[32], mean[32], kernel[8], hash[20];
    int count = count_params(&both);
    const wf_flow_spec *spec = wf_flow_spec_of(flow);
    const float *values[2] = {what->weights, what->average};
    WF_TRY(wf_model_file(model, what->level, ".safetensors", path));
    wf_tensor *tensors = calloc((size_t)(2 * count), sizeof *tensors);
    char(*names)[96] = calloc((size_t)(2 * count), sizeof *names);
    int status = WF_OK;
    if (!tensors || !names) {
        status = wf_fail(WF_AGAIN, "%s: out of memory", path);
        goto out;
    }
    list_tensors(&both, count, values, tensors, names);
    snprintf(level, sizeof level, "%d", what->level);
    snprintf(step, sizeof step, "%lld", (long long)what->step);
    snprintf(bpd, sizeof bpd, "%.6f", what->bpd);
    snprintf(most, sizeof most, "%.3e", what->round_trip.most);
    snprintf(mean, sizeof mean, "%.3e", what->round_trip.mean);
    snprintf(kernel, sizeof kernel, "%d", spec->kernel);
    snprintf(hash, sizeof hash, "%016llx",
             (unsigned long long)XXH3_64bits(what->average, flows_size(&both) * sizeof(float)));
    const wf_pair own[] = {{"level", level},     {"chain", what->chain},
                           {"kernel", kernel},   {"precision", wf_precision_names[spec->precision]},
                           {"step", step},       {"bpd", bpd},
                           {"round_trip", most}, {"round_trip_mean", mean},
                           {"hash", hash},       {"dequantize", what->dequantize}};
    enum { OWN = sizeof own / sizeof *own };
    wf_pair pairs[WF_META_PAIRS + OWN];
    wf_meta meta = model->meta;
    wf_meta_text text;
    meta.provenance = (char *)(uintptr_t)what->provenance; /* borrowed */
    wf_meta_format(&meta, &text);
    memcpy(pairs, text.pairs, sizeof text.pairs);
    memcpy(pairs + text.count, own, sizeof own);
    status = wf_safetensors_save(path, tensors, 2 * count, pairs, text.count + OWN - !noise);
out:
    free(tensors);
    free(names);
    return status;
}

/* Copies the averages from the file to values, host [size]. Every tensor must be there, in its shape. */
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
        bool same = t->dtype == WF_F32 && t->rank == param->rank && t->bytes == param->count * sizeof(float);
        for (int r = 0; same && r < t->rank; r++)
            same = t->shape[r] == param->shape[r];
        WF_CHECK(same, WF_DATA, "%s: tensor %s does not have the shape that the chain needs", path, full);
        memcpy(values + where, t->data, t->bytes);
    }
    WF_CHECK(st->count == 2 * i, WF_DATA, "%s: %d tensors, the chain needs %d", path, st->count, 2 * i);
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
    *out = strtod(text, &end);
    WF_CHECK(*text && !*end && !(*out < 0), WF_DATA, "%s: \"%s\" is not a distance", path, key);
    return WF_OK;
}

/* Uploads the weights' average, of both flows. */
static int read_weights(const wf_safetensors *st, const char *path, wf_level *out)
{
    wf_backend *b = out->backend;
    wf_flow_spec shape = wf_level_flow_spec(&out->spec, 1, 0, 0, WF_MEMORY_NONE);
    wf_flow *flow = NULL, *noise = NULL;
    float *values = NULL;
    int status = wf_flow_create(b, out->spec.chain, &shape, &flow); /* for names and shapes */
    shape.C = shape.K;
    if (!status && out->spec.dequantize)
        status = wf_flow_create(b, out->spec.dequantize, &shape, &noise);
    if (status) {
        wf_flow_destroy(flow);
        return wf_fail(WF_DATA, "%s: %s", path, wf_error());
    }
    const flows both = {flow, noise};
    out->size = flows_size(&both);
    values = malloc(out->size * sizeof *values);
    if (!values)
        status = wf_fail(WF_AGAIN, "%s: out of memory", path);
    else
        status = read_average(&both, st, path, values);
    if (!status)
        status = wf_alloc_reals(b, out->size, &out->params);
    if (!status)
        status = b->upload(b, out->params, values, WF_F32, out->size);
    free(values);
    wf_flow_destroy(flow);
    wf_flow_destroy(noise);
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
    WF_CHECK(out->spec.chain && !out->spec.dequantize == !dequantize, WF_AGAIN, "%s: out of memory", path);
    return read_weights(st, path, out);
}

/* Gives the path of a level's file, and refuses a level that is not trained. */
static int find_file(const wf_model *model, int level, char path[WF_PATH])
{
    WF_TRY(wf_model_file(model, level, ".safetensors", path));
    WF_CHECK(!access(path, F_OK) || errno != ENOENT, WF_NOINPUT,
             "%s: not there: train level %d first: wf-train-level -l %d -m %s", path, level, level, model->path);
    return WF_OK;
}

int wf_level_load(const wf_model *model, int level, wf_backend *backend, wf_level *out)
{
    char path[WF_PATH];
    wf_safetensors st = {0};
    *out = (wf_level){.backend = backend, .spec.level = level};
    WF_CHECK(level >= 0 && level <= model->meta.levels, WF_USAGE, "%s has levels 0 to %d, not %d", model->path,
             model->meta.levels, level);
    WF_TRY(find_file(model, level, path));
    int status = wf_safetensors_load(path, &st);
    if (!status)
        status = read_file(&st, path, model, out);
    wf_safetensors_clear(&st);
    if (status)
        wf_level_clear(out);
    return status;
}

/* Reads the header of a level's file; the caller clears `st`. */
static int read_header(const wf_model *model, int level, char path[WF_PATH], wf_safetensors *st)
{
    bool end;
    *st = (wf_safetensors){0};
    WF_TRY(find_file(model, level, path));
    FILE *file = fopen(path, "rb");
    if (!file)
        return wf_fail_errno("%s", path);
    int status = wf_safetensors_read_header(file, path, st, &end, NULL, NULL);
    fclose(file);
    return status;
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
    snprintf(out->chain, sizeof out->chain, "%s", chain);
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
    return (wf_level_spec){.level = level,
                           .K = s.K,
                           .C = level ? s.C : 0,
                           .kernel = s.H * s.W == 1 ? 1 : 3,
                           .precision = precision,
                           .signal = meta->signal,
                           .D = wf_meta_slices(meta, level),
                           .H = s.H,
                           .chain = chain,
                           .dequantize = dequantize};
}

wf_flow_spec wf_level_flow_spec(const wf_level_spec *spec, int N, int H, int W, wf_memory memory)
{
    return (wf_flow_spec){.N = N,
                          .H = H,
                          .W = W,
                          .K = spec->K,
                          .C = spec->C,
                          .kernel = spec->kernel,
                          .precision = spec->precision,
                          .memory = memory,
                          .signal = spec->signal,
                          .D = spec->D};
}

int wf_level_flow(const wf_level_spec *spec, wf_backend *backend, int N, int H, int W, wf_memory memory, wf_flow **out)
{
    wf_flow_spec flow = wf_level_flow_spec(spec, N, H, W, memory);
    WF_CHECK(spec->signal != WF_VOLUME || H == spec->H, WF_USAGE,
             "level %d: volumes of %d rows in all slices, want %d, as the model has", spec->level, H, spec->H);
    return wf_flow_create(backend, spec->chain, &flow, out);
}

int wf_level_rows(int H, int W)
{
    int64_t n = 4096 / ((int64_t)H * W);
    return n < 1 ? 1 : n > WF_LEVEL_ROWS ? WF_LEVEL_ROWS : (int)n;
}
