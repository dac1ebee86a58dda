/* stream.c - coefficient streams: records, and the end record, which proves that the stream is complete */
#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../base/file.h"
#include "../base/finite.h"
#include "../base/safetensors.h"
#include "../base/version.h"
#include "../pyramid/meta_text.h"
#include "names.h"

enum { MAX_BATCH = 65536, RANK = 5, END_PAIRS = 3 };

/* Sets the shape [N,sides,channels] of a level's low-pass or details. Returns the rank. */
static int set_shape(const wf_meta *meta, int level, int64_t N, int channels, int64_t shape[RANK])
{
    shape[0] = N;
    return 1 + wf_meta_sides(meta, level, channels, shape + 1);
}

typedef struct running_hash {
    XXH3_state_t *state;
} running_hash;

static int digest_create(const char *name, running_hash *out)
{
    out->state = XXH3_createState();
    WF_CHECK(out->state, WF_AGAIN, "%s: out of memory", name);
    XXH3_64bits_reset(out->state);
    return WF_OK;
}

static void digest_add(void *user, const void *bytes, size_t n)
{
    XXH3_64bits_update(((running_hash *)user)->state, bytes, n); /* cannot fail on an initialized state */
}

/* Formats the hash of the bytes so far. */
static void digest_text(const running_hash *digest, char text[17])
{
    snprintf(text, 17, "%016llx", (unsigned long long)XXH3_64bits_digest(digest->state));
}

/* Remembers the indices of a batch. *same: they are those that were kept before. */
static int keep_batch(uint64_t **batch, int64_t *batch_N, int64_t N, const uint64_t *index, const char *who, bool *same)
{
    size_t bytes = (size_t)N * sizeof *index;
    *same = *batch_N == N && !memcmp(*batch, index, bytes);
    if (*same)
        return WF_OK;
    uint64_t *grown = realloc(*batch, bytes);
    WF_CHECK(grown, WF_AGAIN, "%s: out of memory", who);
    *batch = grown;
    *batch_N = N;
    memcpy(grown, index, bytes);
    return WF_OK;
}

/* -- reading ------------------------------------------------------------------------------------------------------- */

struct wf_reader {
    FILE *file;
    char *name;
    wf_meta meta;
    wf_safetensors st;
    running_hash digest;
    char hash[17]; /* of all bytes before the last header that was read */
    bool waiting;  /* the first record's header was read, its data was not */
    bool ended;
    int64_t records;
    wf_names names;           /* of the pictures `batch` */
    const char *const *table; /* of those; NULL: none */
    uint64_t *batch;          /* [batch_N], indices of the batch */
    int64_t batch_N;
};

static const char *record_value(const void *user, const char *key)
{
    return wf_safetensors_meta(user, key);
}

static int read_header(wf_reader *reader, char *who, size_t size)
{
    snprintf(who, size, "%s: record %lld at byte %llu", reader->name, (long long)reader->records,
             (unsigned long long)reader->st.offset);
    digest_text(&reader->digest, reader->hash);
    bool end;
    WF_TRY(wf_safetensors_read_header(reader->file, reader->name, &reader->st, &end, digest_add, &reader->digest));
    WF_CHECK(!end, WF_DATA, "%s: cut off at byte %llu after %lld records, want a record or the end record",
             reader->name, (unsigned long long)reader->st.offset, (long long)reader->records);
    return WF_OK;
}

static int check_tensor(const wf_reader *reader, const char *who, const char *name, wf_dtype dtype, int rank,
                        const int64_t *shape)
{
    const wf_tensor *tensor = wf_safetensors_find(&reader->st, name);
    WF_CHECK(tensor, WF_DATA, "%s: no tensor \"%s\"", who, name);
    WF_CHECK(tensor->dtype == dtype, WF_DATA, "%s: %s is of %s, want %s", who, name, wf_dtype_name(tensor->dtype),
             wf_dtype_name(dtype));
    WF_CHECK(tensor->rank == rank, WF_DATA, "%s: %s has %d dimensions, want %d", who, name, tensor->rank, rank);
    for (int i = 0; i < rank; i++)
        WF_CHECK(tensor->shape[i] == shape[i], WF_DATA, "%s: %s has shape[%d] = %lld, want %lld", who, name, i,
                 (long long)tensor->shape[i], (long long)shape[i]);
    return WF_OK;
}

/* Checks shapes against the metadata, so that the header's shapes cannot claim memory. */
static int check_shapes(const wf_reader *reader, const char *who, int level)
{
    const wf_tensor *index = wf_safetensors_find(&reader->st, "index");
    WF_CHECK(index && index->rank == 1, WF_DATA, "%s: no tensor \"index\" of one dimension", who);
    int64_t N = index->shape[0];
    WF_CHECK(N >= 1 && N <= MAX_BATCH, WF_DATA, "%s: a batch of %lld pictures, want 1 to %d", who, (long long)N,
             MAX_BATCH);
    bool low = !level || !reader->meta.latents;
    int tensors = 1 + low + (level > 0);
    WF_CHECK(reader->st.count == tensors, WF_DATA, "%s: %d tensors, want %d at level %d", who, reader->st.count,
             tensors, level);
    wf_level_shape shape = wf_meta_level(&reader->meta, level);
    int64_t want[RANK];
    WF_TRY(check_tensor(reader, who, "index", WF_U64, 1, &N));
    if (low)
        WF_TRY(check_tensor(reader, who, "low", WF_F32, set_shape(&reader->meta, level, N, shape.C, want), want));
    if (level)
        WF_TRY(check_tensor(reader, who, "detail", WF_F32, set_shape(&reader->meta, level, N, shape.K, want), want));
    return WF_OK;
}

static int check_same_meta(const wf_reader *reader, const char *who)
{
    wf_meta meta;
    WF_TRY(wf_meta_parse(record_value, &reader->st, who, &meta));
    int status = wf_meta_match(&meta, who, &reader->meta, "the first record");
    if (!status && meta.latents != reader->meta.latents)
        status = wf_fail(WF_DATA, "%s: latents and coefficients in one stream, want one kind", who);
    if (!status && meta.top != reader->meta.top)
        status = wf_fail(WF_DATA, "%s: top is %d, but %d in the first record", who, meta.top, reader->meta.top);
    if (!status &&
        (meta.shard.i != reader->meta.shard.i || meta.shard.n != reader->meta.shard.n || meta.run != reader->meta.run))
        status = wf_fail(WF_DATA, "%s: shard is %d/%d, but %d/%d in the first record, or of another run", who,
                         meta.shard.i, meta.shard.n, reader->meta.shard.i, reader->meta.shard.n);
    const char *first = reader->meta.provenance ? reader->meta.provenance : "[]";
    if (!status && meta.provenance && strcmp(meta.provenance, first))
        status = wf_fail(WF_DATA, "%s: provenance differs from the first record's", who);
    wf_meta_clear(&meta);
    return status;
}

static int check_coefficients(const char *who, const wf_tensor *tensor)
{
    size_t n = tensor->bytes / sizeof(float), at = wf_find_nonfinite(tensor->data, n);
    WF_CHECK(at == n, WF_DATA, "%s: %s[%zu] is not a finite number", who, tensor->name, at);
    return WF_OK;
}

/* Takes the names of a batch from its first record that has them. */
static int read_names(wf_reader *reader, const char *who, int64_t N, const uint64_t *index)
{
    bool same;
    const char *text = wf_safetensors_meta(&reader->st, "names");
    WF_TRY(keep_batch(&reader->batch, &reader->batch_N, N, index, who, &same));
    if (!same)
        reader->table = NULL;
    if (!text)
        return WF_OK;
    reader->table = NULL;
    WF_TRY(wf_names_parse(who, text, N, &reader->names));
    return wf_names_table(&reader->names, &reader->table);
}

/* Reads "PLACExEACH", the batch of the run. Pictures at `each` place follow one another. */
static int read_batch(const wf_reader *reader, const char *who, wf_record *record)
{
    char place[24];
    int64_t each;
    const char *text = wf_safetensors_meta(&reader->st, "batch"), *x = text ? strchr(text, 'x') : NULL;
    if (!text || !reader->meta.shard.n)
        return WF_OK;
    snprintf(place, sizeof place, "%.*s", x ? (int)(x - text) : 0, text);
    WF_CHECK(x && wf_parse_count(place, INT64_MAX / 4, &record->batch) && wf_parse_count(x + 1, MAX_BATCH, &each) &&
                 each && record->N % each == 0,
             WF_DATA, "%s: batch is \"%.40s\", want \"PLACExEACH\", of which EACH divides %lld", who, text,
             (long long)record->N);
    record->each = (int)each;
    return WF_OK;
}

static int read_record(wf_reader *reader, const char *who, wf_record *record)
{
    int64_t level;
    const char *text = wf_safetensors_meta(&reader->st, "level");
    WF_CHECK(wf_parse_count(text, reader->meta.top, &level), WF_DATA, "%s: level is %.20s, want 0 to %d", who,
             text ? text : "missing", reader->meta.top);
    WF_TRY(check_shapes(reader, who, (int)level));
    WF_TRY(wf_safetensors_read_data(reader->file, reader->name, SIZE_MAX, &reader->st, digest_add, &reader->digest));
    const wf_tensor *low = wf_safetensors_find(&reader->st, "low"),
                    *detail = wf_safetensors_find(&reader->st, "detail"),
                    *index = wf_safetensors_find(&reader->st, "index");
    if (low)
        WF_TRY(check_coefficients(who, low));
    if (detail)
        WF_TRY(check_coefficients(who, detail));
    WF_TRY(read_names(reader, who, index->shape[0], index->data));
    *record = (wf_record){.level = (int)level,
                          .N = index->shape[0],
                          .low = low ? low->data : NULL,
                          .detail = detail ? detail->data : NULL,
                          .index = index->data,
                          .names = reader->table};
    WF_TRY(read_batch(reader, who, record));
    reader->records++;
    return WF_OK;
}

static int read_end(wf_reader *reader, const char *who)
{
    const char *format = wf_safetensors_meta(&reader->st, "format"), *hash = wf_safetensors_meta(&reader->st, "hash");
    int64_t count;
    bool bare = reader->st.pairs == END_PAIRS || (!reader->records && reader->meta.shard.n);
    WF_CHECK(reader->st.count == 0 && bare && format && !strcmp(format, WF_FORMAT), WF_DATA, "%s: malformed end record",
             who);
    WF_CHECK(wf_parse_count(wf_safetensors_meta(&reader->st, "end"), INT64_MAX, &count) && count == reader->records,
             WF_DATA, "%s: the end record counts %.20s records, but %lld came before it", who,
             wf_safetensors_meta(&reader->st, "end"), (long long)reader->records);
    WF_CHECK(hash && !strcmp(hash, reader->hash), WF_DATA,
             "%s: the hash of the stream is %s, but %.20s in its end record", who, reader->hash,
             hash ? hash : "nothing");
    int c = fgetc(reader->file);
    if (c == EOF && ferror(reader->file))
        return wf_fail_errno("%s: cannot read", reader->name);
    WF_CHECK(c == EOF, WF_DATA, "%s: bytes after the end record at byte %llu", reader->name,
             (unsigned long long)reader->st.offset);
    reader->ended = true;
    return WF_OK;
}

static bool is_end(const wf_reader *reader)
{
    return wf_safetensors_meta(&reader->st, "end") != NULL;
}

/* Other files of the same format have no pictures by index. */
static int check_stream(const wf_reader *reader)
{
    const wf_safetensors *st = &reader->st;
    WF_CHECK(!wf_safetensors_meta(st, "chain"), WF_DATA, "%s: a level of a model, expected a stream", reader->name);
    WF_CHECK(!wf_safetensors_meta(st, "config"), WF_DATA, "%s: the state of a training, expected a stream",
             reader->name);
    WF_CHECK(wf_safetensors_meta(st, "format"), WF_DATA, "%s: safetensors without \"format\", expected a stream",
             reader->name);
    return WF_OK;
}

/* Reads the end of a stream without a record, which a shard may be: its end record has the metadata. */
static int read_empty(wf_reader *reader, const char *who)
{
    WF_CHECK(wf_safetensors_meta(&reader->st, "shard"), WF_DATA, "%s: a stream of 0 pictures, want 1 or more",
             reader->name);
    WF_TRY(wf_meta_parse(record_value, &reader->st, who, &reader->meta));
    return read_end(reader, who);
}

static int read_first(wf_reader *reader)
{
    char who[512];
    WF_TRY(digest_create(reader->name, &reader->digest));
    WF_TRY(read_header(reader, who, sizeof who));
    if (is_end(reader))
        return read_empty(reader, who);
    WF_TRY(check_stream(reader));
    WF_TRY(wf_meta_parse(record_value, &reader->st, who, &reader->meta));
    reader->waiting = true;
    return WF_OK;
}

int wf_reader_create(FILE *file, const char *name, wf_reader **out)
{
    WF_TRY(wf_reader_create_any(file, name, out));
    wf_reader *reader = *out;
    int status = WF_OK;
    if (reader->meta.latents)
        status = wf_fail(WF_DATA, "%s: latents of a model, want coefficients: wf-decode makes them", name);
    else if (reader->ended)
        status = wf_fail(WF_DATA, "%s: shard %d of %d, which has no picture, want 1 or more", name,
                         reader->meta.shard.i, reader->meta.shard.n);
    if (!status)
        return WF_OK;
    wf_reader_destroy(reader);
    *out = NULL;
    return status;
}

int wf_reader_create_any(FILE *file, const char *name, wf_reader **out)
{
    wf_reader *reader = calloc(1, sizeof *reader);
    WF_CHECK(reader, WF_AGAIN, "%s: out of memory", name);
    reader->file = file;
    reader->name = strdup(name);
    int status = reader->name ? read_first(reader) : wf_fail(WF_AGAIN, "%s: out of memory", name);
    if (status)
        wf_reader_destroy(reader);
    else
        *out = reader;
    return status;
}

void wf_reader_destroy(wf_reader *reader)
{
    if (!reader)
        return;
    wf_safetensors_clear(&reader->st);
    wf_meta_clear(&reader->meta);
    XXH3_freeState(reader->digest.state);
    wf_names_clear(&reader->names);
    free(reader->batch);
    free(reader->name);
    free(reader);
}

const wf_meta *wf_reader_meta(const wf_reader *reader)
{
    return &reader->meta;
}

int wf_reader_next(wf_reader *reader, wf_record *record, bool *more)
{
    char who[512];
    *more = false;
    if (reader->ended)
        return WF_OK;
    if (reader->waiting) {
        snprintf(who, sizeof who, "%s: record 0", reader->name);
    } else {
        WF_TRY(read_header(reader, who, sizeof who));
        if (is_end(reader))
            return read_end(reader, who);
        WF_TRY(check_same_meta(reader, who));
    }
    reader->waiting = false;
    WF_TRY(read_record(reader, who, record));
    *more = true;
    return WF_OK;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

struct wf_writer {
    FILE *file;
    char *name;
    wf_meta meta;
    running_hash digest;
    int64_t records;
    uint64_t *named; /* [named_N], indices of the last record that was written with names */
    int64_t named_N;
};

static int begin_writer(wf_writer *writer, const char *name, const wf_meta *meta)
{
    WF_TRY(wf_meta_check(meta, name));
    writer->name = strdup(name);
    WF_CHECK(writer->name, WF_AGAIN, "%s: out of memory", name);
    WF_TRY(wf_meta_copy(&writer->meta, meta));
    return digest_create(name, &writer->digest);
}

int wf_writer_create(FILE *file, const char *name, const wf_meta *meta, wf_writer **out)
{
    wf_writer *writer = calloc(1, sizeof *writer);
    WF_CHECK(writer, WF_AGAIN, "%s: out of memory", name);
    writer->file = file;
    int status = begin_writer(writer, name, meta);
    if (status)
        wf_writer_destroy(writer);
    else
        *out = writer;
    return status;
}

int wf_record_check(const wf_record *record, const wf_meta *meta, const char *who)
{
    WF_CHECK(record->level >= 0 && record->level <= meta->top, WF_DATA, "%s: a record of level %d, want 0 to %d", who,
             record->level, meta->top);
    WF_CHECK(record->N >= 1 && record->N <= MAX_BATCH, WF_DATA, "%s: a batch of %lld pictures, want 1 to %d", who,
             (long long)record->N, MAX_BATCH);
    bool low = !record->level || !meta->latents;
    WF_CHECK(!record->low == !low && record->index && !record->detail == !record->level, WF_INTERNAL,
             "%s: a record of level %d with wrong tensors", who, record->level);
    wf_level_shape shape = wf_meta_level(meta, record->level);
    size_t pixels = (size_t)record->N * (size_t)shape.H * (size_t)shape.W, n = low ? pixels * (size_t)shape.C : 0;
    size_t at = wf_find_nonfinite(record->low, n);
    WF_CHECK(at == n, WF_DATA, "%s: level %d: low[%zu] is not a finite number", who, record->level, at);
    n = record->detail ? pixels * (size_t)shape.K : 0;
    at = wf_find_nonfinite(record->detail, n);
    WF_CHECK(at == n, WF_DATA, "%s: level %d: detail[%zu] is not a finite number", who, record->level, at);
    return WF_OK;
}

static wf_tensor coefficient_tensor(const char *name, const wf_meta *meta, const wf_record *record, int channels,
                                    const float *data)
{
    wf_level_shape s = wf_meta_level(meta, record->level);
    wf_tensor tensor = {.name = name, .dtype = WF_F32, .data = (void *)data};
    tensor.rank = set_shape(meta, record->level, record->N, channels, tensor.shape);
    tensor.bytes = (size_t)record->N * (size_t)s.H * (size_t)s.W * (size_t)channels * sizeof *data;
    return tensor;
}

/* Formats the names that are new with this record; *text = NULL if there are none. */
static int format_names(wf_writer *writer, const wf_record *record, char **text)
{
    bool same = true;
    *text = NULL;
    if (record->names)
        WF_TRY(keep_batch(&writer->named, &writer->named_N, record->N, record->index, writer->name, &same));
    return same ? WF_OK : wf_names_format(writer->name, record->names, record->N, text);
}

/* Drops the provenance from all records but the first. */
static int choose_pairs(const wf_writer *writer, const wf_meta_text *text, wf_pair *pairs)
{
    int count = 0;
    for (int i = 0; i < text->count; i++)
        if (!writer->records || strcmp(text->pairs[i].key, "provenance") != 0)
            pairs[count++] = text->pairs[i];
    return count;
}

int wf_writer_put(wf_writer *writer, const wf_record *record)
{
    char *names;
    WF_TRY(wf_record_check(record, &writer->meta, writer->name));
    wf_level_shape shape = wf_meta_level(&writer->meta, record->level);
    int count = 0;
    wf_tensor tensors[3];
    tensors[count++] = (wf_tensor){.name = "index",
                                   .dtype = WF_U64,
                                   .rank = 1,
                                   .shape = {record->N},
                                   .data = (void *)record->index,
                                   .bytes = (size_t)record->N * sizeof *record->index};
    if (record->low)
        tensors[count++] = coefficient_tensor("low", &writer->meta, record, shape.C, record->low);
    if (record->detail)
        tensors[count++] = coefficient_tensor("detail", &writer->meta, record, shape.K, record->detail);
    wf_meta_text text;
    wf_meta_format(&writer->meta, &text);
    char level[16], batch[40];
    snprintf(level, sizeof level, "%d", record->level);
    snprintf(batch, sizeof batch, "%lldx%d", (long long)record->batch, record->each);
    wf_pair pairs[WF_META_PAIRS + 3];
    int n = choose_pairs(writer, &text, pairs);
    pairs[n++] = (wf_pair){"level", level};
    if (writer->meta.shard.n && record->each)
        pairs[n++] = (wf_pair){"batch", batch};
    WF_TRY(format_names(writer, record, &names));
    if (names)
        pairs[n++] = (wf_pair){"names", names};
    int status =
        wf_safetensors_write(writer->file, writer->name, tensors, count, pairs, n, digest_add, &writer->digest);
    free(names);
    WF_TRY(status);
    writer->records++;
    return wf_flush(writer->file, writer->name);
}

int wf_writer_finish(wf_writer *writer)
{
    char hash[17], count[24];
    digest_text(&writer->digest, hash);
    snprintf(count, sizeof count, "%lld", (long long)writer->records);
    wf_pair pairs[END_PAIRS + WF_META_PAIRS] = {{"format", WF_FORMAT}, {"end", count}, {"hash", hash}};
    wf_meta_text text;
    int n = END_PAIRS;
    wf_meta_format(&writer->meta, &text);
    for (int i = 1; i < text.count && writer->meta.shard.n && !writer->records; i++) /* no record has them */
        pairs[n++] = text.pairs[i];
    WF_TRY(wf_safetensors_write(writer->file, writer->name, NULL, 0, pairs, n, NULL, NULL));
    return wf_flush(writer->file, writer->name);
}

void wf_writer_destroy(wf_writer *writer)
{
    if (!writer)
        return;
    XXH3_freeState(writer->digest.state);
    wf_meta_clear(&writer->meta);
    free(writer->named);
    free(writer->name);
    free(writer);
}
