/* checkpoint.c - a training's state and log on disk */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/file.h"
#include "../base/json.h"
#include "../base/number.h"
#include "trainer.h"
#include "../base/version.h"
#include "../base/safetensors.h"

/* Gives a host view of a device vector: the vector itself where the backend works in host floats, else a copy, which
 * the caller frees. */
static int host_view(const wf_trainer *t, const wf_real *device, wf_dtype dtype, void **out, void **owned)
{
    wf_backend *b = t->backend;
    size_t n = t->optimizer.size;
    *owned = NULL;
    if (b->host && dtype == WF_F32) {
        *out = (void *)(uintptr_t)device;
        return WF_OK;
    }
    *owned = *out = malloc(n * wf_dtype_size(dtype));
    WF_CHECK(*out, WF_AGAIN, "out of memory for %zu parameters", n);
    return b->download(b, *out, dtype, device, n);
}

static const char *const vectors[WF_VECTORS] = {"w", "m", "u", "ema"};

enum { NUMBERS = 9, STATE_PAIRS = NUMBERS + 4 };

/* Keys of the counters in a state file, in the order of save and parse_counters. */
static const char *const number_keys[NUMBERS] = {"step", "seconds", "held_out", "best",    "since",
                                                 "sum",  "summed",  "measured", "finished"};

static int save_tensors(wf_trainer *t, const wf_pair *pairs, int count)
{
    wf_tensor tensors[5];
    void *owned[4] = {0};
    int status = WF_OK;
    wf_dtype dtype = wf_trainer_dtype(t);
    for (int i = 0; i < 4; i++) {
        tensors[i] = (wf_tensor){.name = vectors[i], .dtype = dtype, .rank = 1, .shape = {(int64_t)t->optimizer.size}};
        tensors[i].bytes = t->optimizer.size * wf_dtype_size(dtype);
        WF_GO(host_view(t, wf_trainer_vector(t, i), dtype, &tensors[i].data, &owned[i]));
    }
    tensors[4] = (wf_tensor){.name = "skip", .dtype = WF_U64, .rank = 1, .shape = {t->skip_count}};
    tensors[4].data = t->skip;
    tensors[4].bytes = (size_t)t->skip_count * sizeof *t->skip;
    WF_GO(wf_safetensors_save(t->state_path, tensors, 5, pairs, count));
out:
    for (int i = 0; i < 4; i++)
        free(owned[i]);
    return status;
}

int wf_trainer_save(wf_trainer *t)
{
    if (t->parallel.rank)
        return WF_OK;
    const double values[NUMBERS] = {(double)t->step, t->seconds, t->held_out,          t->best,
                                    t->since_best,   t->sum,     (double)t->sum_count, (double)t->validated_at,
                                    t->finished};
    char numbers[NUMBERS][40], *config = NULL;
    wf_pair pairs[STATE_PAIRS];
    WF_TRY(wf_settings_describe(t, &config));
    for (int i = 0; i < NUMBERS; i++) {
        wf_snprintf(numbers[i], sizeof numbers[i], "%.17g", values[i]);
        pairs[i] = (wf_pair){number_keys[i], numbers[i]};
    }
    pairs[NUMBERS] = (wf_pair){"format", WF_FORMAT};
    pairs[NUMBERS + 1] = (wf_pair){"config", config};
    pairs[NUMBERS + 2] = (wf_pair){"judge", t->validation_id};
    pairs[NUMBERS + 3] = (wf_pair){"chosen", t->chosen};
    int status = save_tensors(t, pairs, t->chosen[0] ? STATE_PAIRS : STATE_PAIRS - 1);
    free(config);
    return status;
}

static int parse_number(const wf_safetensors *st, const char *path, const char *key, double *out)
{
    const char *text = wf_safetensors_meta(st, key);
    char *end;
    WF_CHECK(text && *text, WF_DATA, "%s: \"%s\" is missing", path, key);
    *out = wf_strtod(text, &end);
    WF_CHECK(!*end, WF_DATA, "%s: \"%s\" is not a number", path, key);
    return WF_OK;
}

static int parse_counters(wf_trainer *t, const wf_safetensors *st)
{
    double v[NUMBERS];
    const char *id = wf_safetensors_meta(st, "judge");
    for (int i = 0; i < NUMBERS; i++)
        WF_TRY(parse_number(st, t->state_path, number_keys[i], &v[i]));
    WF_CHECK(v[0] >= 0 && v[0] < 1e15 && v[4] >= 0 && v[4] < 1e9 && v[6] >= 0 && v[6] < 1e15 && v[7] >= -1 &&
                 v[7] < 1e15,
             WF_DATA, "%s: a counter is out of range", t->state_path);
    t->step = (int64_t)v[0];
    t->seconds = v[1];
    t->sum = v[5];
    t->sum_count = (int64_t)v[6];
    t->finished = v[8] != 0;
    if (!id || strcmp(id, t->validation_id)) /* other held-out pictures than before: they have no best yet */
        return WF_OK;
    t->held_out = v[2];
    t->best = v[3];
    t->since_best = (int)v[4];
    t->validated_at = (int64_t)v[7];
    return WF_OK;
}

static int read_state(wf_trainer *t, const wf_safetensors *st)
{
    wf_backend *b = t->backend;
    const char *path = t->state_path, *format = wf_safetensors_meta(st, "format");
    const char *saved = wf_safetensors_meta(st, "config");
    char *config;
    WF_CHECK(format && !strcmp(format, WF_FORMAT) && saved, WF_DATA, "%s: not a training state of " WF_FORMAT, path);
    WF_TRY(wf_settings_describe(t, &config));
    int status = wf_settings_compare(t, saved, config);
    free(config);
    WF_TRY(status);
    WF_TRY(parse_counters(t, st));
    for (int i = 0; i < 4; i++) {
        const wf_tensor *v = wf_safetensors_find(st, vectors[i]);
        WF_CHECK(v && v->dtype == wf_trainer_dtype(t) && v->rank == 1 && v->shape[0] == (int64_t)t->optimizer.size,
                 WF_DATA, "%s: tensor %s is missing or not of %zu parameters", path, vectors[i], t->optimizer.size);
        WF_TRY(b->upload(b, wf_trainer_vector(t, i), v->data, v->dtype, t->optimizer.size));
    }
    const wf_tensor *skip = wf_safetensors_find(st, "skip");
    WF_CHECK(skip && skip->dtype == WF_U64 && skip->bytes <= sizeof t->skip, WF_DATA,
             "%s: tensor skip is missing or too long", path);
    t->skip_count = (int)(skip->bytes / sizeof *t->skip);
    if (t->skip_count)
        memcpy(t->skip, skip->data, skip->bytes);
    return WF_OK;
}

static int read_state_file(wf_trainer *t, bool *found)
{
    bool exported;
    *found = access(t->state_path, F_OK) == 0;
    if (!*found) {
        int level = t->options->level;
        WF_TRY(wf_level_is_exported(t->model, level, &exported));
        WF_CHECK(!exported, WF_DATA,
                 "%s: level %d is exported: it has no optimizer state to go on from; train into another folder",
                 t->model->path, level);
        return WF_OK;
    }
    wf_safetensors st = {0};
    int status = wf_safetensors_load(t->state_path, &st);
    if (!status)
        status = read_state(t, &st);
    wf_safetensors_clear(&st);
    return status;
}

int wf_trainer_restore(wf_trainer *t, bool *found)
{
    *found = false;
    if (!t->parallel.rank)
        WF_TRY(read_state_file(t, found));
    return wf_parallel_restore(t, found);
}

int wf_trainer_publish(wf_trainer *t)
{
    if (t->parallel.rank)
        return WF_OK;
    void *weights = NULL, *average = NULL, *owned[2] = {0};
    int status = WF_OK;
    WF_GO(host_view(t, t->optimizer.w, WF_F32, &weights, &owned[0]));
    WF_GO(host_view(t, t->optimizer.ema, WF_F32, &average, &owned[1]));
    wf_level_file file = {.level = t->options->level,
                          .step = t->step,
                          .bpd = t->validation ? t->held_out : NAN,
                          .round_trip = t->round_trip,
                          .precision = wf_trainer_used_precision(t),
                          .chain = t->chain,
                          .dequantize = t->options->dequantize,
                          .provenance = t->options->provenance,
                          .data = wf_store_hash(t->store),
                          .held_out = t->held_out_count ? t->options->held_out : 0,
                          .init = t->init_hash[0] ? t->init_hash : NULL,
                          .chosen = t->chosen[0] ? t->chosen : NULL,
                          .given = &t->given,
                          .weights = weights,
                          .average = average,
                          .dtype = WF_F32};
    WF_GO(wf_level_save(t->model, t->runner.flow, t->runner.dequantizer.flow, &file));
out:
    free(owned[0]);
    free(owned[1]);
    return status;
}

/* *belongs: a line of the log is about a step up to the present state. A line that a crash cut off is not. */
static int belongs_to_run(const wf_trainer *t, const char *line, bool *belongs)
{
    json_t *object = wf_json_parse(line, strlen(line), NULL), *at = json_object_get(object, "step");
    WF_CHECK(object || errno != ENOMEM, WF_AGAIN, "%s: out of memory", t->log_path);
    bool keep = false;
    int64_t step = json_integer_value(at);
    if (json_object_get(object, "skipped")) {
        for (int i = 0; i < t->skip_count && !keep; i++)
            keep = t->skip[i] == (uint64_t)step;
    } else if (json_is_integer(at)) {
        bool unsaved = json_object_get(object, "val") && step == t->step && t->validated_at != step;
        keep = step <= t->step && !unsaved;
    }
    json_decref(object);
    *belongs = keep;
    return WF_OK;
}

static int trim_log(const wf_trainer *t)
{
    FILE *in = fopen(t->log_path, "r");
    if (!in)
        return errno == ENOENT ? WF_OK : wf_fail_errno("%s", t->log_path);
    wf_outfile *out = NULL;
    char *line = NULL;
    size_t room = 0;
    int status = WF_OK;
    bool belongs = false;
    WF_GO(wf_outfile_create(t->log_path, &out));
    while (errno = 0, getline(&line, &room, in) >= 0) {
        WF_GO(belongs_to_run(t, line, &belongs));
        if (!belongs)
            continue;
        line[strcspn(line, "\n")] = 0; /* a crash may have cut it off */
        fprintf(wf_outfile_stream(out), "%s\n", line);
    }
    if (ferror(in) || errno == ENOMEM)
        WF_GO(wf_fail_errno("%s", t->log_path));
    status = wf_outfile_commit(out);
    out = NULL;
out:
    wf_outfile_abort(out);
    free(line);
    fclose(in);
    return status;
}

int wf_trainer_open_log(wf_trainer *t)
{
    if (t->parallel.rank)
        return WF_OK;
    if (t->log)
        fclose(t->log);
    t->log = NULL;
    WF_TRY(trim_log(t));
    t->log = fopen(t->log_path, "a");
    return t->log ? WF_OK : wf_fail_errno("%s", t->log_path);
}

int wf_trainer_log(wf_trainer *t, const char *format, ...)
{
    va_list ap;
    if (t->parallel.rank)
        return WF_OK;
    va_start(ap, format);
    wf_vfprintf(t->log, format, ap);
    va_end(ap);
    return fflush(t->log) || ferror(t->log) ? wf_fail_write(t->log_path) : WF_OK;
}
