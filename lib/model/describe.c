/* describe.c - reads files and folders, and builds the JSON object that describes them */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../kernels/backend.h"
#include "../base/finite.h"
#include "../base/json.h"
#include "../base/number.h"
#include "../base/safetensors.h"
#include "../base/version.h"
#include "../store/store.h"
#include "describe_private.h"
#include "model.h"
#include "precision.h"

/* -- building ------------------------------------------------------------------------------------------------------ */

/* Adds a value, which is taken over. A NULL value or object marks the description as failed, so callers need not
 * check. */
static void set_value(wf_description *d, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value))
        d->failed = true;
}

static void append_value(wf_description *d, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value))
        d->failed = true;
}

/* Adds a path, which may hold any bytes, while JSON is UTF-8. */
static void set_path(wf_description *d, const char *path)
{
    errno = 0;
    json_t *text = json_string(path);
    set_value(d, d->root, "path", text || errno == ENOMEM ? text : json_string("(not UTF-8)"));
}

static void set_provenance(wf_description *d, json_t *object, const char *text)
{
    errno = 0;
    json_t *entries = text ? wf_json_parse(text, strlen(text), NULL) : NULL;
    set_value(d, object, "provenance", entries || errno == ENOMEM ? entries : json_array());
}

static json_t *make_numbers(wf_description *d, const int64_t *values, int n)
{
    json_t *array = json_array();
    for (int i = 0; i < n; i++)
        append_value(d, array, json_integer(values[i]));
    return array;
}

static void set_meta(wf_description *d, const wf_meta *meta)
{
    int64_t sides[4];
    int axes = wf_sides(meta->signal, meta->D, meta->H, meta->W, sides);
    sides[axes] = meta->C;
    set_value(d, d->root, "wavelet", json_string(meta->wavelet));
    set_value(d, d->root, "levels", json_integer(meta->levels));
    set_value(d, d->root, "top", json_integer(meta->top));
    set_value(d, d->root, "shape", make_numbers(d, sides, axes + 1));
    set_value(d, d->root, "bits", json_integer(meta->bits));
    if (meta->rate)
        set_value(d, d->root, "rate", json_integer(meta->rate));
    if (meta->shard.n) {
        char shard[32];
        snprintf(shard, sizeof shard, "%d/%d", meta->shard.i, meta->shard.n);
        set_value(d, d->root, "shard", json_string(shard));
    }
}

static json_t *make_level(wf_description *d, const wf_meta *meta, int level, int64_t pictures)
{
    int64_t sides[4];
    int n = wf_meta_sides(meta, level, wf_meta_level(meta, level).K, sides);
    json_t *row = json_object();
    set_value(d, row, "level", json_integer(level));
    set_value(d, row, "shape", make_numbers(d, sides, n));
    set_value(d, row, "pictures", json_integer(pictures));
    return row;
}

/* -- streams and stores -------------------------------------------------------------------------------------------- */

static int count_pictures(const wf_description *d, wf_reader *reader, int64_t counts[WF_MAX_LEVELS + 1],
                          int64_t *records)
{
    for (*records = 0;; ++*records) {
        wf_record record;
        bool more;
        WF_TRY(wf_reader_next(reader, &record, &more));
        if (!more)
            return WF_OK;
        counts[record.level] += record.N;
        wf_watched(&d->watch, record.level, record.N);
    }
}

static int describe_stream(wf_description *d, FILE *file, const char *name)
{
    wf_reader *reader;
    int64_t records, counts[WF_MAX_LEVELS + 1] = {0}, most = 0;
    WF_TRY(wf_reader_create_any(file, name, &reader));
    int status = count_pictures(d, reader, counts, &records);
    if (!status) {
        const wf_meta *meta = wf_reader_meta(reader);
        json_t *held = json_array();
        for (int level = 0; level <= WF_MAX_LEVELS; level++) {
            if (counts[level])
                append_value(d, held, make_level(d, meta, level, counts[level]));
            most = counts[level] > most ? counts[level] : most;
        }
        set_value(d, d->root, "kind", json_string(meta->latents ? "latents" : "stream"));
        set_meta(d, meta);
        set_value(d, d->root, "pictures", json_integer(most));
        set_value(d, d->root, "records", json_integer(records));
        set_value(d, d->root, "held", held);
        set_provenance(d, d->root, meta->provenance);
    }
    wf_reader_destroy(reader);
    return status;
}

static int append_store_level(wf_description *d, wf_store *store, int level, json_t *held)
{
    size_t bytes;
    wf_dtype dtype;
    WF_TRY(wf_store_size(store, level, &bytes, &dtype));
    json_t *row = make_level(d, wf_store_meta(store), level, wf_store_count(store));
    set_value(d, row, "dtype", json_string(wf_dtype_name(dtype)));
    set_value(d, row, "bytes", json_integer((json_int_t)bytes));
    append_value(d, held, row);
    return WF_OK;
}

static int describe_open_store(wf_description *d, wf_store *store)
{
    const wf_meta *meta = wf_store_meta(store);
    if (d->verify)
        WF_TRY(wf_store_verify(store, &d->watch));
    set_value(d, d->root, "kind", json_string("store"));
    set_meta(d, meta);
    set_value(d, d->root, "pictures", json_integer(wf_store_count(store)));
    if (wf_store_unsealed(store))
        set_value(d, d->root, "unsealed", json_integer(wf_store_unsealed(store)));
    set_value(d, d->root, "hash", json_string(wf_store_hash(store)));
    json_t *held = json_array();
    set_value(d, d->root, "held", held);
    for (int level = 0; level <= meta->top; level++)
        if (wf_store_has_level(store, level))
            WF_TRY(append_store_level(d, store, level, held));
    set_provenance(d, d->root, meta->provenance);
    return WF_OK;
}

static int describe_store(wf_description *d, const char *path)
{
    wf_store *store;
    WF_TRY(wf_store_open(path, &store));
    int status = describe_open_store(d, store);
    wf_store_close(store);
    return status;
}

/* -- checkpoints and models ---------------------------------------------------------------------------------------- */

/* WF_DATA unless a file, whose header was read, is as long as the header says. */
static int check_size(FILE *file, const char *path, const wf_safetensors *st)
{
    struct stat info;
    uint64_t want = st->offset;
    WF_CHECK(!fstat(fileno(file), &info), WF_IO, "%s: %s", path, strerror(errno));
    for (int i = 0; i < st->count; i++)
        WF_CHECK(WF_ADD(want, (uint64_t)st->tensors[i].bytes, &want), WF_DATA, "%s: tensors are too large", path);
    WF_CHECK((uint64_t)info.st_size == want, WF_DATA, "%s: %lld bytes, expected %llu", path, (long long)info.st_size,
             (unsigned long long)want);
    return WF_OK;
}

/* Place of the first value that is NaN or infinite; the number of values if there is none. */
static size_t find_nonfinite(const wf_tensor *t)
{
    size_t n = t->bytes / wf_dtype_size(t->dtype);
    if (t->dtype == WF_F32)
        return wf_find_nonfinite(t->data, n);
    for (size_t i = 0; t->dtype == WF_F64 && i < n; i++) {
        uint64_t bits;
        memcpy(&bits, (const char *)t->data + i * sizeof bits, sizeof bits);
        if ((bits >> 52 & 0x7ff) == 0x7ff)
            return i;
    }
    for (size_t i = 0; wf_dtype_size(t->dtype) == 2 && i < n; i++) {
        float value;
        if (wf_dtype_read(t->dtype, (const char *)t->data + 2 * i, &value, 1) && !isfinite(value))
            return i;
    }
    return n;
}

/* Reads the whole file into `st`, in place of its header. */
static int check_values(const char *path, wf_safetensors *st)
{
    WF_TRY(wf_safetensors_load(path, st));
    for (int i = 0; i < st->count; i++) {
        const wf_tensor *t = &st->tensors[i];
        size_t at = find_nonfinite(t);
        WF_CHECK(at == t->bytes / wf_dtype_size(t->dtype), WF_DATA, "%s: %s[%zu] is not a finite number", path, t->name,
                 at);
    }
    return WF_OK;
}

static json_t *make_tensor(wf_description *d, const wf_tensor *t)
{
    json_t *row = json_object();
    set_value(d, row, "name", json_string(t->name));
    set_value(d, row, "dtype", json_string(wf_dtype_name(t->dtype)));
    set_value(d, row, "shape", make_numbers(d, t->shape, t->rank));
    return row;
}

static bool is_weight(const wf_tensor *t)
{
    return !strcmp(t->name, "w") || !strncmp(t->name, "w/", 2);
}

/* Counts the weights; in an exported level the averages stand for them. *dtype: of the last one counted. */
static size_t count_parameters(const wf_safetensors *st, wf_dtype *dtype)
{
    size_t weights = 0, averages = 0;
    for (int i = 0; i < st->count; i++) {
        const wf_tensor *t = &st->tensors[i];
        bool weight = is_weight(t), average = !strncmp(t->name, "ema/", 4);
        if (weight || average)
            *dtype = t->dtype;
        weights += weight ? t->bytes / wf_dtype_size(t->dtype) : 0;
        averages += average ? t->bytes / wf_dtype_size(t->dtype) : 0;
    }
    return weights ? weights : averages;
}

/* A text of a file; NULL's value in JSON where a number is not known. */
static json_t *make_text(const char *text)
{
    return strcmp(text, "nan") && strcmp(text, "-nan") ? json_string(text) : json_null();
}

/* Gives a trained level the figures that were not measured, as null. */
static void set_unknown(wf_description *d, json_t *metadata)
{
    static const char *const figures[] = {"bpd", "round_trip", "round_trip_mean"};
    for (size_t i = 0; i < 3 && json_object_get(metadata, "chain"); i++)
        if (!json_object_get(metadata, figures[i]))
            set_value(d, metadata, figures[i], json_null());
}

/* Adds all metadata, the number of weights (without their averages and moments), and with `each` the tensors one by
 * one. */
static void set_checkpoint(wf_description *d, json_t *object, const wf_safetensors *st, bool each)
{
    wf_dtype dtype = WF_F32;
    size_t parameters = count_parameters(st, &dtype);
    json_t *metadata = json_object();
    for (int i = 0; i < st->pairs; i++)
        if (strcmp(st->metadata[i].key, "provenance"))
            set_value(d, metadata, st->metadata[i].key, make_text(st->metadata[i].value));
    set_unknown(d, metadata);
    set_value(d, object, "metadata", metadata);
    set_value(d, object, "parameters", json_integer((json_int_t)parameters));
    if (parameters)
        set_value(d, object, "dtype", json_string(wf_dtype_name(dtype)));
    if (each) {
        json_t *tensors = json_array();
        for (int i = 0; i < st->count; i++)
            append_value(d, tensors, make_tensor(d, &st->tensors[i]));
        set_value(d, object, "tensors", tensors);
    }
    set_provenance(d, object, wf_safetensors_meta(st, "provenance"));
}

static int describe_checkpoint(wf_description *d, FILE *file, const char *path, wf_safetensors *st, json_t *object,
                               bool each)
{
    WF_TRY(check_size(file, path, st));
    if (d->verify)
        WF_TRY(check_values(path, st));
    set_checkpoint(d, object, st, each);
    return WF_OK;
}

static int open_file(const char *path, FILE **out)
{
    *out = fopen(path, "rbe");
    return *out ? WF_OK : wf_fail_errno("%s", path);
}

static int read_header(FILE *file, const char *path, wf_safetensors *st)
{
    bool end;
    WF_TRY(wf_safetensors_read_header(file, path, st, &end, NULL, NULL));
    WF_CHECK(!end, WF_DATA, "%s: an empty file", path);
    return WF_OK;
}

static int append_trained(wf_description *d, const char *path, json_t *trained)
{
    wf_safetensors st = {0};
    FILE *file;
    int status;
    json_t *row = json_object();
    append_value(d, trained, row);
    WF_TRY(open_file(path, &file));
    WF_GO(read_header(file, path, &st));
    WF_GO(describe_checkpoint(d, file, path, &st, row, false));
out:
    wf_safetensors_clear(&st);
    fclose(file);
    return status;
}

/* Adds up parameters, and the held-out bits/dim if every level has them. The number type is that of the base. */
static void set_totals(wf_description *d, const json_t *trained, bool complete)
{
    json_int_t parameters = 0;
    double bpd = 0;
    char text[32];
    const json_t *row, *dtype = json_object_get(json_array_get(trained, 0), "dtype");
    size_t i;
    json_array_foreach ((json_t *)trained, i, row) {
        const char *own = json_string_value(json_object_get(json_object_get(row, "metadata"), "bpd"));
        parameters += json_integer_value(json_object_get(row, "parameters"));
        bpd += own ? wf_strtod(own, NULL) : NAN;
    }
    if (!i)
        return;
    set_value(d, d->root, "parameters", json_integer(parameters));
    if (dtype)
        set_value(d, d->root, "dtype", json_string(json_string_value(dtype)));
    wf_snprintf(text, sizeof text, "%.6f", bpd);
    if (complete && isfinite(bpd))
        set_value(d, d->root, "bpd", json_string(text));
}

static int describe_levels(wf_description *d, const wf_model *model)
{
    json_t *trained = json_array(), *missing = json_array();
    set_value(d, d->root, "missing", missing);
    set_value(d, d->root, "trained", trained);
    for (int level = 0; level <= model->meta.levels; level++) {
        char path[WF_PATH];
        WF_TRY(wf_model_file(model, level, ".safetensors", path));
        if (access(path, F_OK))
            append_value(d, missing, json_integer(level));
        else
            WF_TRY(append_trained(d, path, trained));
    }
    set_totals(d, trained, json_array_size(missing) == 0);
    return WF_OK;
}

static int describe_model(wf_description *d, const char *path)
{
    wf_model model;
    WF_TRY(wf_model_open(path, &model));
    set_value(d, d->root, "kind", json_string("model"));
    set_meta(d, &model.meta);
    if (model.licence)
        set_value(d, d->root, "licence", json_string(model.licence));
    int status = describe_levels(d, &model);
    wf_model_clear(&model);
    return status;
}

/* -- which kind ---------------------------------------------------------------------------------------------------- */

/* A stream's first record has pictures by index, or is the end record. Any other safetensors file is a checkpoint. A
 * pipe cannot be read twice: it must be a stream. */
static int describe_open_file(wf_description *d, FILE *file, const char *path, wf_safetensors *st)
{
    struct stat info;
    if (fstat(fileno(file), &info) || !S_ISREG(info.st_mode))
        return describe_stream(d, file, path);
    WF_TRY(read_header(file, path, st));
    if (wf_safetensors_find(st, "index") || wf_safetensors_meta(st, "end")) {
        rewind(file);
        return describe_stream(d, file, path);
    }
    set_value(d, d->root, "kind", json_string("checkpoint"));
    return describe_checkpoint(d, file, path, st, d->root, true);
}

static int describe_file(wf_description *d, const char *path)
{
    FILE *file;
    wf_safetensors st = {0};
    WF_TRY(open_file(path, &file));
    int status = describe_open_file(d, file, path, &st);
    wf_safetensors_clear(&st);
    fclose(file);
    return status;
}

static bool has_file(const char *folder, const char *name)
{
    char path[WF_PATH];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < WF_PATH && !access(path, F_OK);
}

static int describe_any(wf_description *d, const char *path, FILE *standard_input)
{
    struct stat info;
    char place[WF_PATH];
    WF_TRY(wf_model_place(path, place));
    path = place;
    set_path(d, path);
    if (!strcmp(path, "-"))
        return describe_stream(d, standard_input, "standard input");
    WF_CHECK(!stat(path, &info), WF_NOINPUT, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return describe_file(d, path);
    if (has_file(path, "wf.json"))
        return describe_model(d, path);
    WF_CHECK(has_file(path, "data.mdb"), WF_DATA,
             "%s: a folder with neither wf.json, as in a model, nor data.mdb, as in a store", path);
    return describe_store(d, path);
}

/* A wf_precision_each: one row of "precisions". */
static void append_precision(void *user, const char *key, const wf_precision_choice *choice)
{
    wf_description *d = user;
    json_t *row = json_object();
    set_value(d, row, "precision", json_string(wf_precision_names[choice->precision]));
    set_value(d, row, "why", json_string(choice->why));
    set_value(d, row, "of", json_string(key));
    append_value(d, json_object_get(d->root, "precisions"), row);
}

static void describe_backends(wf_description *d)
{
    const char *name;
    char device[256];
    json_t *backends = json_array();
    set_value(d, d->root, "version", json_string(wf_version()));
    set_value(d, d->root, "format", json_string(WF_FORMAT));
    set_value(d, d->root, "backends", backends);
    for (int i = 0; wf_backend_describe(i, &name, device); i++) {
        json_t *row = json_object();
        set_value(d, row, "name", json_string(name));
        set_value(d, row, "device", json_string(device));
        append_value(d, backends, row);
    }
    set_value(d, d->root, "precisions", json_array());
    wf_precision_list(append_precision, d);
}

static int create_description(bool verify, wf_description **out)
{
    wf_description *d = calloc(1, sizeof *d);
    WF_CHECK(d, WF_AGAIN, "description: out of memory");
    d->verify = verify;
    d->root = json_object();
    *out = d;
    return WF_OK;
}

/* Hands the description out if building it succeeded, else frees it. */
static int finish_description(wf_description *d, int status, wf_description **out)
{
    if (!status && d->failed)
        status = wf_fail(WF_AGAIN, "out of memory, or text that is not UTF-8");
    *out = status ? NULL : d;
    if (status)
        wf_description_destroy(d);
    return status;
}

int wf_describe_path(const char *path, FILE *standard_input, bool verify, const wf_watch *watch, wf_description **out)
{
    wf_description *d = NULL;
    WF_TRY(create_description(verify, &d));
    if (watch)
        d->watch = *watch;
    return finish_description(d, describe_any(d, path, standard_input), out);
}

int wf_describe_build(wf_description **out)
{
    wf_description *d = NULL;
    WF_TRY(create_description(false, &d));
    describe_backends(d);
    return finish_description(d, WF_OK, out);
}

void wf_description_destroy(wf_description *d)
{
    if (!d)
        return;
    json_decref(d->root);
    free(d);
}
