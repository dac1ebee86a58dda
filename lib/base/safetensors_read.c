/* safetensors_read.c - reading one record; nothing in it is trusted before it was checked */
#include "safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little endian and used in place");

enum { DATA, HEADER, ROOT }; /* indices of owned[] and capacity[] */
enum { FIRST_STEP = 64 << 10 };

/* -- bytes --------------------------------------------------------------------------------------------------------- */

typedef struct source {
    FILE *file;
    const char *name;
    wf_safetensors *st;
    wf_byte_sink *seen;
    void *user;
} source;

/* Reads up to n bytes; *got < n only at the end of the file. */
static int read_some(const source *from, void *to, size_t n, size_t *got)
{
    *got = fread(to, 1, n, from->file);
    if (*got < n && ferror(from->file))
        return wf_fail_errno("%s: cannot read at byte %llu", from->name, (unsigned long long)(from->st->offset + *got));
    from->st->offset += *got;
    if (from->seen && *got)
        from->seen(from->user, to, *got);
    return WF_OK;
}

/* Reads n bytes into owned[slot]. Its memory doubles as bytes arrive, so that a wrong n does not claim memory. */
static int read_growing(const source *from, int slot, size_t n, const char *what)
{
    wf_safetensors *st = from->st;
    size_t have = 0;
    while (have < n) {
        size_t room = st->capacity[slot] - have;
        if (!room) {
            size_t capacity = have ? 2 * have : FIRST_STEP;
            if (capacity > n && n > FIRST_STEP)
                capacity = n;
            void *grown = realloc(st->owned[slot], capacity);
            WF_CHECK(grown, WF_AGAIN, "%s: out of memory for %zu bytes", from->name, capacity);
            st->owned[slot] = grown;
            st->capacity[slot] = capacity;
            room = capacity - have;
        }
        size_t step = n - have < room ? n - have : room, got;
        WF_TRY(read_some(from, (char *)st->owned[slot] + have, step, &got));
        have += got;
        WF_CHECK(got == step, WF_DATA, "%s: cut off at byte %llu, %zu of %zu bytes into a record's %s", from->name,
                 (unsigned long long)st->offset, have, n, what);
    }
    return WF_OK;
}

/* -- header -------------------------------------------------------------------------------------------------------- */

typedef struct span {
    size_t begin, end;
    wf_tensor tensor;
} span;

static int by_offset(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static bool get_number(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static int parse_dtype(const char *who, const char *tensor, const json_t *value, wf_dtype *out)
{
    const char *text = json_string_value(value);
    WF_CHECK(text, WF_DATA, "%s: tensor %s: dtype is missing or not a string", who, tensor);
    WF_CHECK(wf_dtype_find(text, out), WF_DATA, "%s: tensor %s: dtype is %.20s, want F16, BF16, F32, F64 or U64", who,
             tensor, text);
    return WF_OK;
}

static int parse_shape(const char *who, const json_t *value, wf_tensor *tensor)
{
    WF_CHECK(json_is_array(value) && json_array_size(value) <= 8, WF_DATA,
             "%s: tensor %s: shape is not an array of at most 8 sizes", who, tensor->name);
    tensor->rank = (int)json_array_size(value);
    tensor->bytes = wf_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++) {
        size_t side;
        WF_CHECK(get_number(json_array_get(value, (size_t)i), &side), WF_DATA,
                 "%s: tensor %s: shape[%d] is not a whole number", who, tensor->name, i);
        WF_CHECK(WF_MUL(tensor->bytes, side, &tensor->bytes), WF_DATA, "%s: tensor %s: shape is too large", who,
                 tensor->name);
        tensor->shape[i] = (int64_t)side;
    }
    return WF_OK;
}

static int parse_tensor(const char *who, const char *key, const json_t *value, span *out)
{
    wf_tensor *tensor = &out->tensor;
    *tensor = (wf_tensor){.name = key};
    WF_CHECK(json_is_object(value) && json_object_size(value) == 3, WF_DATA,
             "%s: tensor %s: want an object of dtype, shape and data_offsets", who, key);
    WF_TRY(parse_dtype(who, key, json_object_get(value, "dtype"), &tensor->dtype));
    WF_TRY(parse_shape(who, json_object_get(value, "shape"), tensor));
    const json_t *offsets = json_object_get(value, "data_offsets");
    WF_CHECK(json_array_size(offsets) == 2 && get_number(json_array_get(offsets, 0), &out->begin) &&
                 get_number(json_array_get(offsets, 1), &out->end),
             WF_DATA, "%s: tensor %s: data_offsets are not two whole numbers", who, key);
    WF_CHECK(out->end >= out->begin && out->end - out->begin == tensor->bytes, WF_DATA,
             "%s: tensor %s: data_offsets are %zu to %zu, but its shape needs %zu bytes", who, key, out->begin,
             out->end, tensor->bytes);
    return WF_OK;
}

static int parse_metadata(const char *who, const json_t *object, wf_safetensors *st)
{
    WF_CHECK(json_is_object(object), WF_DATA, "%s: __metadata__ is not an object", who);
    size_t count = json_object_size(object);
    wf_pair *pairs = realloc(st->metadata, (count + 1) * sizeof *pairs);
    WF_CHECK(pairs, WF_AGAIN, "%s: out of memory", who);
    st->metadata = pairs;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        WF_CHECK(json_is_string(value), WF_DATA, "%s: metadata \"%.40s\" is not a string", who, key);
        pairs[st->pairs++] = (wf_pair){key, json_string_value(value)};
    }
    return WF_OK;
}

/* Sorts tensors by offset and keeps them, if each begins where the one before ends and is aligned to its dtype. */
static int keep_tiling(const char *who, span *spans, size_t count, wf_safetensors *st)
{
    wf_tensor *tensors = realloc(st->tensors, (count + 1) * sizeof *tensors);
    WF_CHECK(tensors, WF_AGAIN, "%s: out of memory", who);
    st->tensors = tensors;
    qsort(spans, count, sizeof *spans, by_offset);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const wf_tensor *tensor = &spans[i].tensor;
        WF_CHECK(spans[i].begin == at, WF_DATA, "%s: tensor %s begins at %zu, but the one before it ends at %zu", who,
                 tensor->name, spans[i].begin, at);
        WF_CHECK(at % wf_dtype_size(tensor->dtype) == 0, WF_DATA,
                 "%s: tensor %s begins at %zu, which is not aligned to %s", who, tensor->name, at,
                 wf_dtype_name(tensor->dtype));
        tensors[i] = *tensor;
        at = spans[i].end;
    }
    st->count = (int)count;
    return WF_OK;
}

static int parse_root(const char *who, const json_t *root, wf_safetensors *st)
{
    WF_CHECK(json_is_object(root), WF_DATA, "%s: the header is not a JSON object", who);
    span *spans = calloc(json_object_size(root) + 1, sizeof *spans);
    WF_CHECK(spans, WF_AGAIN, "%s: out of memory", who);
    int status = WF_OK;
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)root, key, value) {
        if (!strcmp(key, "__metadata__"))
            WF_GO(parse_metadata(who, value, st));
        else
            WF_GO(parse_tensor(who, key, value, &spans[count++]));
    }
    WF_GO(keep_tiling(who, spans, count, st));
out:
    free(spans);
    return status;
}

static void drop_header(wf_safetensors *st)
{
    json_decref(st->owned[ROOT]);
    st->owned[ROOT] = NULL;
    st->count = st->pairs = 0;
}

static int parse_header(const char *who, size_t length, wf_safetensors *st)
{
    const char *text = st->owned[HEADER];
    json_error_t error;
    WF_CHECK(text[0] == '{', WF_DATA, "%s: the header does not begin with '{'", who);
    json_t *root = wf_json_parse(text, length, &error);
    WF_CHECK_PARSED(root, who, WF_DATA, "%s: the header is not JSON: %s (at its byte %d)", who, error.text,
                    error.position);
    st->owned[ROOT] = root;
    int status = parse_root(who, root, st);
    if (status)
        drop_header(st);
    return status;
}

int wf_safetensors_read_header(FILE *file, const char *name, wf_safetensors *out, bool *end, wf_byte_sink *seen,
                               void *user)
{
    const source from = {file, name, out, seen, user};
    uint64_t length, start = out->offset;
    size_t got;
    drop_header(out);
    WF_TRY(read_some(&from, &length, sizeof length, &got));
    *end = got == 0;
    if (*end)
        return WF_OK;
    WF_CHECK(got == sizeof length, WF_DATA, "%s: cut off at byte %llu, inside a record's length", name,
             (unsigned long long)out->offset);
    WF_CHECK(length >= 2 && length <= WF_MAX_TENSORS_HEADER, WF_DATA,
             "%s: at byte %llu: not safetensors: a header of %llu bytes, want 2 to %d", name, (unsigned long long)start,
             (unsigned long long)length, WF_MAX_TENSORS_HEADER);
    WF_TRY(read_growing(&from, HEADER, (size_t)length, "header"));
    char who[512];
    snprintf(who, sizeof who, "%s: record at byte %llu", name, (unsigned long long)start);
    return parse_header(who, (size_t)length, out);
}

/* -- data ---------------------------------------------------------------------------------------------------------- */

int wf_safetensors_read_data(FILE *file, const char *name, size_t limit, wf_safetensors *out, wf_byte_sink *seen,
                             void *user)
{
    const source from = {file, name, out, seen, user};
    size_t total = 0;
    for (int i = 0; i < out->count; i++)
        WF_CHECK(WF_ADD(total, out->tensors[i].bytes, &total), WF_DATA, "%s: tensors are too large", name);
    WF_CHECK(total <= limit, WF_DATA, "%s: at byte %llu: a record with %zu bytes of data, want at most %zu", name,
             (unsigned long long)out->offset, total, limit);
    WF_TRY(read_growing(&from, DATA, total, "data"));
    static char nothing[8]; /* data of tensors without elements, if the record has no data */
    char *data = out->owned[DATA] ? out->owned[DATA] : nothing;
    for (int i = 0; i < out->count; i++) {
        out->tensors[i].data = data;
        data += out->tensors[i].bytes;
    }
    return WF_OK;
}

int wf_safetensors_read(FILE *file, const char *name, size_t limit, wf_safetensors *out, bool *end, wf_byte_sink *seen,
                        void *user)
{
    WF_TRY(wf_safetensors_read_header(file, name, out, end, seen, user));
    return *end ? WF_OK : wf_safetensors_read_data(file, name, limit, out, seen, user);
}

void wf_safetensors_clear(wf_safetensors *st)
{
    drop_header(st);
    free(st->owned[DATA]);
    free(st->owned[HEADER]);
    free(st->tensors);
    free(st->metadata);
    *st = (wf_safetensors){0};
}

const wf_tensor *wf_safetensors_find(const wf_safetensors *st, const char *name)
{
    for (int i = 0; i < st->count; i++)
        if (!strcmp(st->tensors[i].name, name))
            return &st->tensors[i];
    return NULL;
}

const char *wf_safetensors_meta(const wf_safetensors *st, const char *key)
{
    for (int i = 0; i < st->pairs; i++)
        if (!strcmp(st->metadata[i].key, key))
            return st->metadata[i].value;
    return NULL;
}
