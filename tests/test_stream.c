/* test_stream.c - coefficient streams: round trip, truncation, corruption, mismatched records */
#include <criterion/criterion.h>
#include <math.h>
#include <unistd.h>

#include "../lib/base/safetensors.h"
#include "../lib/store/stream.h"
#include "scratch.h"
#include "../lib/base/version.h"

TestSuite(stream, .init = scratch_make, .fini = scratch_remove);

/* Pictures of 4x8x3 with 2 levels, in batches of 2 and 1: 6 records. */
static wf_meta meta = {.wavelet = "haar", .levels = 2, .top = 2, .H = 4, .W = 8, .C = 3, .bits = 8};
static const int64_t batches[] = {2, 1};

static size_t low_size(int level)
{
    wf_level_shape s = wf_meta_level(&meta, level);
    return (size_t)s.H * (size_t)s.W * (size_t)s.C;
}

/* Fills static buffers that serve one record. */
static wf_record record_of(int level, int64_t first, int64_t N)
{
    static float low[2 * 24], detail[2 * 72];
    static uint64_t index[2];
    size_t n = low_size(level) * (size_t)N;
    for (size_t i = 0; i < n; i++)
        low[i] = (float)(level * 100 + (int)first * 10) + (float)i / 4;
    for (size_t i = 0; i < 3 * n; i++)
        detail[i] = -(float)i / 8 - (float)level;
    for (int64_t i = 0; i < N; i++)
        index[i] = (uint64_t)(first + i) * 1000;
    return (wf_record){.level = level, .N = N, .low = low, .detail = level ? detail : NULL, .index = index};
}

static void write_stream(FILE *file)
{
    wf_writer *writer;
    cr_assert_eq(wf_writer_create(file, "out", &meta, &writer), WF_OK, "%s", wf_error());
    int64_t first = 0;
    for (int b = 0; b < 2; first += batches[b++])
        for (int level = 0; level <= 2; level++) {
            wf_record record = record_of(level, first, batches[b]);
            cr_assert_eq(wf_writer_put(writer, &record), WF_OK, "%s", wf_error());
        }
    cr_assert_eq(wf_writer_finish(writer), WF_OK, "%s", wf_error());
    wf_writer_destroy(writer);
}

static char *stream_bytes(size_t *n)
{
    const char *path = scratch_path("stream");
    FILE *file = fopen(path, "wb");
    write_stream(file);
    fclose(file);
    return scratch_read(path, n);
}

/* Reads all records; returns the first status that is not WF_OK. */
static int read_all(FILE *file, int *records)
{
    wf_reader *reader;
    wf_record record;
    bool more;
    *records = 0;
    WF_TRY(wf_reader_create(file, "in", &reader));
    int status;
    while (!(status = wf_reader_next(reader, &record, &more)) && more)
        ++*records;
    wf_reader_destroy(reader);
    return status;
}

static int read_bytes(const char *bytes, size_t n, int *records)
{
    FILE *file = n ? fmemopen((void *)(uintptr_t)bytes, n, "rb") : fopen("/dev/null", "rb");
    int status = read_all(file, records);
    fclose(file);
    return status;
}

Test(stream, round_trip)
{
    size_t n;
    char *bytes = stream_bytes(&n);
    FILE *file = fmemopen(bytes, n, "rb");
    wf_reader *reader;
    wf_record got;
    bool more;
    cr_assert_eq(wf_reader_create(file, "in", &reader), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_meta_match(wf_reader_meta(reader), "a", &meta, "b"), WF_OK);
    cr_assert_eq(wf_reader_meta(reader)->top, 2);
    int64_t first = 0;
    for (int b = 0; b < 2; first += batches[b++])
        for (int level = 0; level <= 2; level++) {
            wf_record want = record_of(level, first, batches[b]);
            cr_assert_eq(wf_reader_next(reader, &got, &more), WF_OK, "%s", wf_error());
            cr_assert(more && got.level == level && got.N == want.N);
            size_t size = low_size(level) * (size_t)want.N * sizeof(float);
            cr_assert_eq(memcmp(got.low, want.low, size), 0);
            cr_assert_eq(memcmp(got.index, want.index, (size_t)want.N * 8), 0);
            cr_assert(level ? !memcmp(got.detail, want.detail, 3 * size) : !got.detail);
        }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(wf_reader_next(reader, &got, &more), WF_OK, "%s", wf_error());
        cr_assert_not(more);
    }
    wf_reader_destroy(reader);
    fclose(file);
    free(bytes);
}

/* wf_writer_put returns after its record is in the pipe, so that a reader at the other end can go on. */
Test(stream, put_flushes)
{
    const char *path = scratch_path("s");
    FILE *file = fopen(path, "wb");
    wf_writer *writer;
    wf_record record = record_of(1, 0, 2);
    cr_assert_eq(wf_writer_create(file, "out", &meta, &writer), WF_OK);
    cr_assert_eq(wf_writer_put(writer, &record), WF_OK);
    size_t n;
    char *bytes = scratch_read(path, &n);
    cr_assert_eq((long)n, ftell(file));
    cr_assert_gt(n, 100);
    free(bytes);
    wf_writer_destroy(writer);
    fclose(file);
}

Test(stream, truncated_anywhere)
{
    size_t n;
    int records;
    char *bytes = stream_bytes(&n);
    cr_assert_eq(read_bytes(bytes, n, &records), WF_OK, "%s", wf_error());
    cr_assert_eq(records, 6);
    for (size_t cut = 0; cut < n; cut++)
        cr_assert_eq(read_bytes(bytes, cut, &records), WF_DATA, "cut at %zu of %zu", cut, n);
    free(bytes);
}

Test(stream, flipped_bits)
{
    size_t n;
    int records;
    char *bytes = stream_bytes(&n);
    for (size_t i = 0; i < 8 * n; i += 11) {
        bytes[i / 8] ^= (char)(1 << i % 8);
        cr_assert_eq(read_bytes(bytes, n, &records), WF_DATA, "bit %zu of byte %zu of %zu", i % 8, i / 8, n);
        bytes[i / 8] ^= (char)(1 << i % 8);
    }
    free(bytes);
}

Test(stream, nothing_may_follow_or_be_missing)
{
    size_t n;
    int records;
    char *bytes = stream_bytes(&n), *twice = malloc(2 * n);
    memcpy(twice, bytes, n);
    memcpy(twice + n, bytes, n);
    cr_assert_eq(read_bytes(twice, 2 * n, &records), WF_DATA);
    cr_assert(strstr(wf_error(), "after the end record"));
    uint64_t header, data;
    memcpy(&header, bytes, 8);
    data = 2 * low_size(0) * sizeof(float) + 16; /* the first record is cut out; the others are sound */
    size_t first = 8 + header + data;
    cr_assert_eq(read_bytes(bytes + first, n - first, &records), WF_DATA);
    cr_assert_eq(records, 5);
    free(bytes);
    free(twice);
}

/* A reader refuses an end record that counts more or fewer records than it has read. */
Test(stream, the_end_record_counts)
{
    static const char end[] = "\"end\":\"6\"";
    size_t n;
    int records;
    char *bytes = stream_bytes(&n), *at = memmem(bytes, n, end, strlen(end));
    cr_assert(at);
    for (char digit = '0'; digit <= '9'; digit++) {
        at[strlen(end) - 2] = digit;
        cr_expect_eq(read_bytes(bytes, n, &records), digit == '6' ? WF_OK : WF_DATA, "%c records", digit);
        cr_expect_eq(records, 6);
        if (digit != '6')
            cr_expect(strchr(wf_error(), digit) && strchr(wf_error(), '6'), "%s", wf_error());
    }
    free(bytes);
}

Test(stream, a_stream_without_pictures)
{
    FILE *file = tmpfile();
    wf_writer *writer;
    int records;
    cr_assert_eq(wf_writer_create(file, "out", &meta, &writer), WF_OK);
    cr_assert_eq(wf_writer_finish(writer), WF_OK);
    wf_writer_destroy(writer);
    rewind(file);
    cr_assert_eq(read_all(file, &records), WF_DATA);
    cr_assert(strstr(wf_error(), "a stream of 0 pictures"), "%s", wf_error());
    fclose(file);
}

/* Reads a stream of one level; compares the names of each record, "-" for none, with `want`. */
static void expect_names(FILE *file, const char *want)
{
    char have[256] = "";
    wf_reader *reader;
    wf_record r;
    bool more;
    rewind(file);
    cr_assert_eq(wf_reader_create(file, "in", &reader), WF_OK, "%s", wf_error());
    while (!wf_reader_next(reader, &r, &more) && more)
        for (int64_t i = 0; i < r.N; i++)
            snprintf(have + strlen(have), sizeof have - strlen(have), "%d:%s ", r.level,
                     r.names && r.names[i] ? r.names[i] : "-");
    cr_expect_str_eq(have, want);
    wf_reader_destroy(reader);
}

Test(stream, names_hold_for_a_batch)
{
    static const char *const names[3][2] = {{"a/b.png", "\"\\\xc3\xbc\n"}, {NULL, "c"}, {"\xff.png", ""}};
    FILE *file = tmpfile();
    wf_writer *writer;
    cr_assert_eq(wf_writer_create(file, "out", &meta, &writer), WF_OK);
    for (int batch = 0; batch < 3; batch++)
        for (int level = 0; level <= 1; level++) {
            wf_record record = record_of(level, 2 * batch, 2);
            record.names = names[batch];
            cr_assert_eq(wf_writer_put(writer, &record), WF_OK, "%s", wf_error());
        }
    wf_record record = record_of(0, 6, 2); /* without names, after a batch with names */
    cr_assert_eq(wf_writer_put(writer, &record), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_writer_finish(writer), WF_OK);
    wf_writer_destroy(writer);
    expect_names(file, "0:a/b.png 0:\"\\\xc3\xbc\n 1:a/b.png 1:\"\\\xc3\xbc\n 0:- 0:c 1:- 1:c 0:?.png 0:- "
                       "1:?.png 1:- 0:- 0:- ");
    fclose(file);
}

/* Names that would fill more than 4 MiB of a header keep their ends. */
Test(stream, long_names_are_cut)
{
    enum { MANY = 20000 };
    static const char *names[MANY];
    static float low[MANY];
    static uint64_t index[MANY];
    static char text[MANY][512];
    wf_meta one = {.wavelet = "haar", .H = 1, .W = 1, .C = 1, .bits = 8};
    FILE *file = tmpfile();
    wf_writer *writer;
    wf_reader *reader;
    wf_record r;
    bool more;
    for (int i = 0; i < MANY; i++) {
        index[i] = (uint64_t)i;
        names[i] = text[i];
        memset(text[i], '"', sizeof text[i]);
        snprintf(text[i] + 400, 112, "%d.png", i);
    }
    wf_record record = {.N = MANY, .low = low, .index = index, .names = names};
    cr_assert_eq(wf_writer_create(file, "out", &one, &writer), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_writer_put(writer, &record), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_writer_finish(writer), WF_OK);
    wf_writer_destroy(writer);
    rewind(file);
    cr_assert_eq(wf_reader_create(file, "in", &reader), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_reader_next(reader, &r, &more), WF_OK, "%s", wf_error());
    cr_expect(r.names && strlen(r.names[777]) < 400 && !strcmp(strrchr(r.names[777], '"') + 1, "777.png"));
    wf_reader_destroy(reader);
    fclose(file);
}

/* Streams of before had provenance in every record, and a first record may lack it. */
Test(stream, provenance_may_stand_anywhere)
{
    for (int with = 0; with < 4; with++) {
        FILE *file = tmpfile();
        wf_pair pairs[8] = {{"format", WF_FORMAT}, {"wavelet", "haar"}, {"levels", "0"}, {"top", "0"},
                            {"shape", "1x1x1"},    {"bits", "8"},       {"level", "0"},  {"provenance", "[]"}};
        uint64_t index = 0;
        float low = 0;
        wf_tensor tensors[] = {
            {.name = "index", .dtype = WF_U64, .rank = 1, .shape = {1}, .data = &index, .bytes = 8},
            {.name = "low", .dtype = WF_F32, .rank = 4, .shape = {1, 1, 1, 1}, .data = &low, .bytes = 4}};
        int records;
        for (int i = 0; i < 2; i++)
            cr_assert_eq(wf_safetensors_write(file, "out", tensors, 2, pairs, with >> i & 1 ? 8 : 7, NULL, NULL),
                         WF_OK);
        rewind(file);
        cr_expect_eq(read_all(file, &records), WF_DATA);
        cr_expect(records == 2 && strstr(wf_error(), "cut off"), "case %d: %s", with, wf_error());
        fclose(file);
    }
}

Test(stream, writer_refuses)
{
    FILE *file = tmpfile();
    wf_writer *writer;
    cr_assert_eq(wf_writer_create(file, "out", &meta, &writer), WF_OK);
    wf_record record = record_of(1, 0, 1);
    record.level = 3;
    cr_assert_eq(wf_writer_put(writer, &record), WF_DATA, "level above the top");
    record = record_of(1, 0, 1);
    record.N = 0;
    cr_assert_eq(wf_writer_put(writer, &record), WF_DATA, "no picture");
    record = record_of(1, 0, 1);
    ((float *)(uintptr_t)record.detail)[17] = NAN;
    cr_assert_eq(wf_writer_put(writer, &record), WF_DATA);
    cr_assert(strstr(wf_error(), "detail[17]"));
    record = record_of(1, 0, 1);
    ((float *)(uintptr_t)record.low)[5] = INFINITY;
    cr_assert_eq(wf_writer_put(writer, &record), WF_DATA);
    cr_assert_eq(ftell(file), 0, "nothing was written");
    wf_writer_destroy(writer);
    wf_meta wrong = meta;
    wrong.C = 9;
    cr_assert_eq(wf_writer_create(file, "out", &wrong, &writer), WF_DATA);
    fclose(file);
    file = fopen("/dev/full", "wb");
    record = record_of(1, 0, 1);
    cr_assert_eq(wf_writer_create(file, "out", &meta, &writer), WF_OK);
    cr_assert_eq(wf_writer_put(writer, &record), WF_AGAIN);
    wf_writer_destroy(writer);
    fclose(file);
}

/* -- records that are valid safetensors and not allowed in a stream -------------------------------------------- */

typedef struct odd {
    const char *name, *says;
    const char *key, *value; /* metadata to change; value NULL: leave out */
    int tensor;              /* to change: 0 index, 1 low, 2 detail; -1: none */
    wf_dtype dtype;
    int side; /* of its shape, one added; -1: none; 9: leave out the tensor */
    int64_t N;
    float first; /* low[0] */
} odd;

static int read_odd(const odd *c, bool second)
{
    static float values[70000 * 6];
    static uint64_t index[70000];
    values[0] = c->first;
    wf_pair pairs[9] = {{"format", WF_FORMAT}, {"wavelet", "haar"},  {"levels", "2"},
                        {"top", "2"},          {"shape", "4x8x3"},   {"bits", "8"},
                        {"level", "1"},        {"provenance", "[]"}, {"names", "[null]"}};
    wf_tensor tensors[3] = {{.name = "index", .dtype = WF_U64, .rank = 1, .shape = {c->N}, .data = index},
                            {.name = "low", .dtype = WF_F32, .rank = 4, .shape = {c->N, 1, 2, 3}, .data = values},
                            {.name = "detail", .dtype = WF_F32, .rank = 4, .shape = {c->N, 1, 2, 9}, .data = values}};
    FILE *file = tmpfile();
    if (second) { /* a good record before the odd one */
        wf_writer *writer;
        wf_record record = record_of(1, 0, 2);
        cr_assert_eq(wf_writer_create(file, "out", &meta, &writer), WF_OK);
        cr_assert_eq(wf_writer_put(writer, &record), WF_OK);
        wf_writer_destroy(writer);
    }
    int count = 3, n = c->key && !strcmp(c->key, "names") ? 9 : 8;
    for (int i = 0; i < n; i++)
        if (c->key && !strcmp(pairs[i].key, c->key)) {
            pairs[i].value = c->value;
            if (!c->value)
                pairs[i] = pairs[--n];
        }
    if (c->tensor >= 0) {
        wf_tensor *t = &tensors[c->tensor];
        t->dtype = c->dtype;
        if (c->side == 9)
            *t = tensors[--count];
        else if (c->side >= 0)
            t->shape[c->side]++;
    }
    for (int i = 0; i < count; i++) {
        tensors[i].bytes = wf_dtype_size(tensors[i].dtype);
        for (int r = 0; r < tensors[i].rank; r++)
            tensors[i].bytes *= (size_t)tensors[i].shape[r];
    }
    cr_assert_eq(wf_safetensors_write(file, "out", tensors, count, pairs, n, NULL, NULL), WF_OK, "%s", wf_error());
    rewind(file);
    int records, status = read_all(file, &records);
    cr_assert_eq(status, WF_DATA, "%s", c->name);
    cr_assert(strstr(wf_error(), c->says), "%s: %s", c->name, wf_error());
    fclose(file);
    return records;
}

#define META(key, value, says)                      \
    {                                               \
        key, says, key, value, -1, WF_F32, -1, 1, 0 \
    }

Test(stream, odd_records)
{
    static const odd cases[] = {
        {"good, but no end record", "cut off", NULL, NULL, -1, WF_F32, -1, 1, 0},
        META("format", "wavelet-flow/2", "format"),
        META("format", NULL, "format"),
        META("wavelet", "a-name-that-is-too-long", "too long"),
        META("levels", "17", "levels is 17"),
        META("levels", "-1", "whole number"),
        META("top", "3", "top is 3"),
        META("shape", "4x6x3", "cannot be halved"),
        META("shape", "8", "HEIGHTx]WIDTHxCHANNELS"),
        META("shape", "4x8", "channels is 8"),
        META("shape", "1x1x1x1x1", "HEIGHTx]WIDTHxCHANNELS"),
        META("shape", "65536x65536x4", "low"),
        META("bits", "17", "bits is 17"),
        META("level", "3", "level is 3"),
        META("level", NULL, "missing"),
        META("level", "0", "3 tensors, want 2"),
        META("level", "2", "low"),
        META("provenance", "{}", "provenance"),
        META("provenance", "[", "provenance"),
        META("names", "[]", "array of 1 names"),
        META("names", "{\"a\": 1}", "array of 1 names"),
        META("names", "[", "array of 1 names"),
        META("names", "[1]", "names[0] is not a string"),
        {"index dtype", "index is of F64", NULL, NULL, 0, WF_F64, -1, 1, 0},
        {"low dtype", "low is of F16", NULL, NULL, 1, WF_F16, -1, 2, 0},
        {"no low", "2 tensors, want 3", NULL, NULL, 1, WF_F32, 9, 1, 0},
        {"no detail", "2 tensors, want 3", NULL, NULL, 2, WF_F32, 9, 1, 0},
        {"index longer", "low has shape[0] = 1, want 2", NULL, NULL, 0, WF_U64, 0, 1, 0},
        {"detail height", "detail has shape[1]", NULL, NULL, 2, WF_F32, 1, 1, 0},
        {"detail channels", "detail has shape[3]", NULL, NULL, 2, WF_F32, 3, 1, 0},
        {"empty", "a batch of 0", NULL, NULL, -1, WF_F32, -1, 0, 0},
        {"NaN", "low[0]", NULL, NULL, -1, WF_F32, -1, 1, NAN},
        {"infinite", "low[0]", NULL, NULL, -1, WF_F32, -1, 1, -INFINITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(read_odd(&cases[i], false), i == 0);
    static const odd differ[] = {
        META("wavelet", "db2", "wavelet is db2"),
        META("bits", "7", "bits is 7"),
        META("top", "1", "top is 1"),
        META("provenance", "[{}]", "provenance differs"),
        META("shape", "8x8x3", "pictures are 8x8"),
    };
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++)
        cr_assert_eq(read_odd(&differ[i], true), 1);
}

/* A record cut out of a stream is a safetensors file. */
Test(stream, python_reads_a_record)
{
    const char *python = getenv("PYTHON") ? getenv("PYTHON") : "python3";
    char command[1500];
    snprintf(command, sizeof command, "%s -c 'import safetensors.numpy' 2> /dev/null", python);
    if (system(command))
        cr_skip_test("%s has no safetensors", python);
    size_t n;
    char *bytes = stream_bytes(&n);
    snprintf(command, sizeof command,
             "%s -c 'import sys, struct, safetensors.numpy as s\n"
             "b = open(sys.argv[1], \"rb\").read(); k = struct.unpack(\"<Q\", b[:8])[0]\n"
             "t = s.load(b[:8 + k + 2 * 8 + 2 * 6 * 4])\n"
             "assert t[\"low\"].shape == (2, 1, 2, 3) and t[\"index\"].tolist() == [0, 1000]\n"
             "assert t[\"low\"].ravel()[5] == 1.25' %s",
             python, scratch_path("stream"));
    cr_assert_eq(system(command), 0);
    free(bytes);
}
