/* wf-info.c - what a file or folder of ours holds: each kind becomes one JSON object, which is printed as it is or as text */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernels/backend.h"
#include "../lib/base/finite.h"
#include "../lib/model/model.h"
#include "../lib/base/safetensors.h"
#include "../lib/store/store.h"
#include "cli.h"
#include "../lib/base/version.h"

static bool verify, as_json;

static const cli_option options[] = {
    {0, "verify", NULL, CLI_FLAG, &verify, 0, 0,
     "Read every value of a store, checkpoint or model and check it; streams are always read to their end."},
    {'j', "json", NULL, CLI_FLAG, &as_json, 0, 0, "Print one JSON object."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-info",
    .summary = "what a stream, store, checkpoint or model holds",
    .synopsis = "[--verify] [--json] [PATH|-]",
    .description =
        "Tells what PATH is and holds: a stream of coefficients or latents (- reads it from standard input) with the number of pictures "
        "at each level; a store, with the room that each level takes and the number type of its first picture; a "
        "checkpoint, with its metadata and tensors; a model folder, with each trained level. Provenance is the chain of "
        "programs that led there, oldest first, one line each.\n\n"
        "Without PATH: the version, and the backends of this build and machine.",
    .examples = "wf-dwt x.png | wf-info -\n"
                "    levels and pictures of a stream\n"
                "wf-info --verify train.store\n"
                "    exit code 65 if a single bit of a picture is wrong\n"
                "wf-info --json model | jq '.trained[].metadata.bpd'\n"
                "    held-out bits per dimension of each level\n",
    .options = options,
};

/* -- building ------------------------------------------------------------------------------------------------------ */

static json_t *must_have(json_t *value)
{
    if (!value)
        die(WF_AGAIN, "out of memory, or text that is not UTF-8");
    return value;
}

static void set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, must_have(value)))
        die(WF_AGAIN, "out of memory");
}

/* A path may hold any bytes, JSON only UTF-8. */
static void set_path(json_t *object, const char *path)
{
    json_t *text = json_string(path);
    set(object, "path", text ? text : json_string("(not UTF-8)"));
}

static void append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, must_have(value)))
        die(WF_AGAIN, "out of memory");
}

static void set_provenance(json_t *object, const char *text)
{
    json_t *chain = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    set(object, "provenance", chain ? chain : json_array());
}

static json_t *numbers(const int64_t *values, int n)
{
    json_t *array = must_have(json_array());
    for (int i = 0; i < n; i++)
        append(array, json_integer(values[i]));
    return array;
}

static void set_meta(json_t *object, const wf_meta *meta)
{
    set(object, "wavelet", json_string(meta->wavelet));
    set(object, "levels", json_integer(meta->levels));
    set(object, "top", json_integer(meta->top));
    int64_t sides[4];
    int axes = wf_sides(meta->signal, meta->D, meta->H, meta->W, sides);
    sides[axes] = meta->C;
    set(object, "shape", numbers(sides, axes + 1));
    set(object, "bits", json_integer(meta->bits));
    if (meta->rate)
        set(object, "rate", json_integer(meta->rate));
}

static json_t *level_object(const wf_meta *meta, int level, int64_t pictures)
{
    int64_t sides[4];
    int n = wf_meta_sides(meta, level, wf_meta_level(meta, level).K, sides);
    return must_have(
        json_pack("{s:i, s:o, s:I}", "level", level, "shape", numbers(sides, n), "pictures", (json_int_t)pictures));
}

static void describe_stream(FILE *file, const char *name, json_t *out)
{
    wf_reader *reader;
    wf_record record;
    bool more;
    int64_t records = 0, counts[WF_MAX_LEVELS + 1] = {0}, most = 0;
    must(wf_reader_create_any(file, name, &reader));
    while (must(wf_reader_next(reader, &record, &more)), more) {
        records++;
        counts[record.level] += record.N;
        if (counts[record.level] > most)
            most = counts[record.level];
    }
    const wf_meta *meta = wf_reader_meta(reader);
    json_t *held = must_have(json_array());
    set(out, "kind", json_string(meta->latents ? "latents" : "stream"));
    set_meta(out, meta);
    set(out, "pictures", json_integer(most));
    set(out, "records", json_integer(records));
    for (int level = 0; level <= WF_MAX_LEVELS; level++)
        if (counts[level])
            append(held, level_object(meta, level, counts[level]));
    set(out, "held", held);
    set_provenance(out, meta->provenance);
    wf_reader_destroy(reader);
}

static void describe_store(const char *path, json_t *out)
{
    wf_store *store;
    must(wf_store_open(path, &store));
    if (verify)
        must(wf_store_verify(store));
    const wf_meta *meta = wf_store_meta(store);
    json_t *held = must_have(json_array());
    set(out, "kind", json_string("store"));
    set_meta(out, meta);
    set(out, "pictures", json_integer(wf_store_count(store)));
    if (wf_store_unsealed(store))
        set(out, "unsealed", json_integer(wf_store_unsealed(store)));
    set(out, "hash", json_string(wf_store_hash(store)));
    for (int level = 0; level <= meta->top; level++) {
        size_t bytes;
        wf_dtype dtype;
        if (!wf_store_has_level(store, level))
            continue;
        must(wf_store_size(store, level, &bytes, &dtype));
        json_t *row = level_object(meta, level, wf_store_count(store));
        set(row, "dtype", json_string(wf_dtype_name(dtype)));
        set(row, "bytes", json_integer((json_int_t)bytes));
        append(held, row);
    }
    set(out, "held", held);
    set_provenance(out, meta->provenance);
    wf_store_close(store);
}

/* Of a file whose header alone was read: it must be as long as that says. */
static void check_size(FILE *file, const char *path, const wf_safetensors *st)
{
    struct stat info;
    if (fstat(fileno(file), &info))
        die(WF_IO, "%s: %s", path, strerror(errno));
    uint64_t want = st->offset;
    for (int i = 0; i < st->count; i++)
        if (!WF_ADD(want, (uint64_t)st->tensors[i].bytes, &want))
            die(WF_DATA, "%s: tensors are too large", path);
    if ((uint64_t)info.st_size != want)
        die(WF_DATA, "%s: %lld bytes, want %llu", path, (long long)info.st_size, (unsigned long long)want);
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
    return n;
}

static void check_values(const char *path, wf_safetensors *st)
{
    must(wf_safetensors_load(path, st));
    for (int i = 0; i < st->count; i++) {
        const wf_tensor *t = &st->tensors[i];
        size_t at = find_nonfinite(t);
        if (at < t->bytes / wf_dtype_size(t->dtype))
            die(WF_DATA, "%s: %s[%zu] is not a finite number", path, t->name, at);
    }
}

static json_t *tensor_object(const wf_tensor *t)
{
    json_t *shape = numbers(t->shape, t->rank);
    return must_have(json_pack("{s:s, s:s, s:o}", "name", t->name, "dtype", wf_dtype_name(t->dtype), "shape", shape));
}

/* All metadata and the number of parameters: those of the weights, without the averages and moments beside them; the
 * tensors one by one if asked. */
static void set_checkpoint(json_t *out, const wf_safetensors *st, bool each)
{
    size_t parameters = 0;
    json_t *tensors = must_have(json_array()), *metadata = must_have(json_object());
    for (int i = 0; i < st->pairs; i++)
        if (strcmp(st->metadata[i].key, "provenance"))
            set(metadata, st->metadata[i].key, json_string(st->metadata[i].value));
    for (int i = 0; i < st->count; i++) {
        const wf_tensor *t = &st->tensors[i];
        append(tensors, tensor_object(t));
        if (!strcmp(t->name, "w") || !strncmp(t->name, "w/", 2))
            parameters += t->bytes / wf_dtype_size(t->dtype);
    }
    set(out, "metadata", metadata);
    set(out, "parameters", json_integer((json_int_t)parameters));
    if (each)
        set(out, "tensors", tensors);
    else
        json_decref(tensors);
    set_provenance(out, wf_safetensors_meta(st, "provenance"));
}

/* Reads `file`, or all of it once more by its path to verify. */
static void describe_checkpoint(FILE *file, const char *path, wf_safetensors *st, json_t *out, bool each)
{
    check_size(file, path, st);
    if (verify)
        check_values(path, st);
    set_checkpoint(out, st, each);
}

static FILE *open_file(const char *path)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        die(errno == ENOENT || errno == ENOTDIR || errno == EACCES ? WF_NOINPUT : WF_IO, "%s: %s", path,
            strerror(errno));
    return file;
}

static void read_header(FILE *file, const char *path, wf_safetensors *st)
{
    bool end;
    must(wf_safetensors_read_header(file, path, st, &end, NULL, NULL));
    if (end)
        die(WF_DATA, "%s: an empty file", path);
}

static void describe_model(const char *path, json_t *out)
{
    wf_model model;
    must(wf_model_open(path, &model));
    json_t *trained = must_have(json_array()), *missing = must_have(json_array());
    for (int level = 0; level <= model.meta.levels; level++) {
        char name[WF_PATH];
        must(wf_model_file(&model, level, ".safetensors", name));
        if (access(name, F_OK)) {
            append(missing, json_integer(level));
            continue;
        }
        wf_safetensors st = {0};
        FILE *file = open_file(name);
        json_t *row = must_have(json_object());
        read_header(file, name, &st);
        describe_checkpoint(file, name, &st, row, false);
        append(trained, row);
        wf_safetensors_clear(&st);
        fclose(file);
    }
    set(out, "kind", json_string("model"));
    set_meta(out, &model.meta);
    set(out, "missing", missing);
    set(out, "trained", trained);
    wf_model_clear(&model);
}

/* A stream's first record has pictures by index, or is its end; anything else is a checkpoint. */
static void describe_file(const char *path, json_t *out)
{
    FILE *file = open_file(path);
    struct stat info;
    wf_safetensors st = {0};
    bool plain = !fstat(fileno(file), &info) && S_ISREG(info.st_mode);
    if (plain)
        read_header(file, path, &st);
    if (!plain || wf_safetensors_find(&st, "index") || wf_safetensors_meta(&st, "end")) {
        if (plain)
            rewind(file);
        describe_stream(file, path, out);
    } else {
        set(out, "kind", json_string("checkpoint"));
        describe_checkpoint(file, path, &st, out, true);
    }
    wf_safetensors_clear(&st);
    fclose(file);
}

static void describe_path(const char *path, json_t *out)
{
    char inside[WF_PATH];
    struct stat info;
    set_path(out, path);
    if (!strcmp(path, "-"))
        describe_stream(stdin, "standard input", out);
    else if (stat(path, &info))
        die(WF_NOINPUT, "%s: %s", path, strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        describe_file(path, out);
    else if (snprintf(inside, sizeof inside, "%s/wf.json", path) < WF_PATH && !access(inside, F_OK))
        describe_model(path, out);
    else if (snprintf(inside, sizeof inside, "%s/data.mdb", path) < WF_PATH && !access(inside, F_OK))
        describe_store(path, out);
    else
        die(WF_DATA, "%s: a folder with neither wf.json, as in a model, nor data.mdb, as in a store", path);
}

static void describe_build(json_t *out)
{
    set(out, "version", json_string(WF_VERSION));
    set(out, "format", json_string(WF_FORMAT));
    json_t *backends = must_have(json_array());
    const char *name;
    char text[256];
    for (int i = 0; wf_backend_describe(i, &name, text); i++)
        append(backends, json_pack("{s:s, s:s}", "name", name, "device", text));
    set(out, "backends", backends);
}

/* -- printing ------------------------------------------------------------------------------------------------------ */

/* Of an integer, text, or a list of those; owned. Control characters from a file stay out of the terminal. */
static char *text_of(const json_t *value, const char *between)
{
    char *text = NULL;
    size_t size, i;
    json_t *part;
    FILE *to = open_memstream(&text, &size);
    if (!to)
        die(WF_AGAIN, "out of memory");
    if (json_is_string(value))
        fputs(json_string_value(value), to);
    else if (json_is_integer(value))
        fprintf(to, "%lld", (long long)json_integer_value(value));
    json_array_foreach ((json_t *)value, i, part) {
        char *inside = text_of(part, between);
        fprintf(to, "%s%s", i ? between : "", inside);
        free(inside);
    }
    if (fclose(to))
        die(WF_AGAIN, "out of memory");
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    return text;
}

static char *field(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return text_of(value ? value : json_object_get(json_object_get(object, "metadata"), key),
                   strcmp(key, "shape") ? "," : "x");
}

/* One line each; objects inside as if their content stood here. */
static void print_scalars(const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        if (json_is_object(value)) {
            print_scalars(value);
        } else if (!json_is_array(value) || json_is_integer(json_array_get(value, 0))) {
            char *text = field(object, key);
            printf("%-12s %s\n", key, text);
            free(text);
        }
    }
}

/* Lists of objects, and the columns of theirs that are printed; --json has all. What is long comes last. */
enum { MOST_COLUMNS = 8 };
static const struct table {
    const char *name;
    const char *columns[MOST_COLUMNS];
} tables[] = {
    {"backends", {"name", "device"}},
    {"held", {"level", "shape", "pictures", "dtype", "bytes"}},
    {"tensors", {"name", "dtype", "shape"}},
    {"trained", {"level", "bpd", "round_trip", "parameters", "step", "kernel", "precision", "chain"}},
};

/* `row` NULL: the heads of the columns. A column that no row has is left out: its width is 0. */
static void print_row(const struct table *table, const int widths[MOST_COLUMNS], const json_t *row)
{
    int blanks = 2;
    for (int c = 0; c < MOST_COLUMNS && table->columns[c]; c++) {
        if (!widths[c])
            continue;
        char *text = row ? field(row, table->columns[c]) : NULL;
        printf("%*s%s", blanks, "", text ? text : table->columns[c]);
        blanks = 2 + widths[c] - (int)strlen(text ? text : table->columns[c]);
        free(text);
    }
    putchar('\n');
}

static void print_table(const struct table *table, const json_t *rows)
{
    int widths[MOST_COLUMNS] = {0};
    const json_t *row;
    size_t i;
    json_array_foreach ((json_t *)rows, i, row)
        for (int c = 0; c < MOST_COLUMNS && table->columns[c]; c++) {
            char *text = field(row, table->columns[c]);
            int head = (int)strlen(table->columns[c]), width = (int)strlen(text);
            if (width)
                widths[c] = width > widths[c] ? width > head ? width : head : widths[c];
            free(text);
        }
    if (!json_array_size(rows))
        return;
    printf("\n%s\n", table->name);
    print_row(table, widths, NULL);
    json_array_foreach ((json_t *)rows, i, row)
        print_row(table, widths, row);
}

static void print_tool(const json_t *entry)
{
    static const char *const keys[] = {"tool", "version", "argv", "seed", "model"};
    char *text[5];
    for (int i = 0; i < 5; i++)
        text[i] = text_of(json_object_get(entry, keys[i]), " ");
    printf("  %s %s: %s (seed %s%s%s)\n", *text[0] ? text[0] : "?", *text[1] ? text[1] : "?", text[2],
           *text[3] ? text[3] : "?", *text[4] ? ", model " : "", text[4]);
    for (int i = 0; i < 5; i++)
        free(text[i]);
}

/* Those of `from` that are not in `to` yet: the levels of a model have most of theirs in common. */
static void add_provenance(json_t *to, const json_t *from)
{
    size_t i, j;
    json_t *entry, *there;
    json_array_foreach ((json_t *)from, i, entry) {
        bool known = false;
        json_array_foreach (to, j, there)
            known = known || json_equal(entry, there);
        if (!known)
            append(to, json_incref(entry));
    }
}

static void print_object(const json_t *object)
{
    json_t *row, *tools = must_have(json_array());
    size_t i;
    print_scalars(object);
    for (i = 0; i < sizeof tables / sizeof *tables; i++)
        print_table(&tables[i], json_object_get(object, tables[i].name));
    add_provenance(tools, json_object_get(object, "provenance"));
    json_array_foreach (json_object_get(object, "trained"), i, row)
        add_provenance(tools, json_object_get(row, "provenance"));
    if (json_array_size(tools))
        puts("\nprovenance");
    json_array_foreach (tools, i, row)
        print_tool(row);
    json_decref(tools);
}

int main(int argc, char **argv)
{
    int first = cli_parse(&program, argc, argv);
    if (argc - first > 1)
        die(WF_USAGE, "%s: one path at a time", argv[first + 1]);
    json_t *out = must_have(json_object());
    if (first < argc)
        describe_path(argv[first], out);
    else
        describe_build(out);
    if (as_json) {
        json_dumpf(out, stdout, JSON_COMPACT); /* a failed write is found below */
        putchar('\n');
    } else {
        print_object(out);
    }
    json_decref(out);
    finish_stdout();
    return WF_OK;
}
