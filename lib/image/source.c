/* source.c - bytes with look-ahead, from a file or from a decoder of one */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

enum { NUMBER_ROOM = 24 }; /* for "#" and a 64-bit number */

int wf_source_create(wf_source *parent, const char *name, wf_origin origin, wf_source **out)
{
    wf_source *source = malloc(sizeof *source);
    WF_CHECK(source, WF_AGAIN, "%s: out of memory", name);
    memset(source, 0, offsetof(wf_source, buffer));
    source->parent = parent;
    source->origin = origin;
    int status = wf_source_begin(source, name, NULL);
    if (status) {
        free(source);
        return status;
    }
    *out = source;
    return WF_OK;
}

void wf_source_destroy(wf_source *source)
{
    if (!source)
        return;
    if (source->close)
        source->close(source->state);
    wf_source_end_series(source);
    wf_npz_destroy(source->npz);
    free(source->name);
    free(source);
}

int wf_source_begin(wf_source *source, const char *prefix, const char *entry)
{
    size_t room = strlen(prefix) + (entry ? 1 + strlen(entry) : 0) + NUMBER_ROOM;
    char *name = malloc(room);
    WF_CHECK(name, WF_AGAIN, "%s: out of memory", prefix);
    source->name_base = (size_t)snprintf(name, room, "%s%s%s", prefix, entry ? ":" : "", entry ? entry : "");
    source->entry = entry ? strlen(prefix) + 1 : source->name_base;
    free(source->name);
    source->name = name;
    source->begin = source->end = 0;
    source->offset = 0;
    source->link = source->ended = source->single = source->labels = source->trailing = false;
    *source->other = '\0';
    wf_source_end_series(source);
    source->pictures = source->begun = 0;
    source->companions = 0;
    source->last = NULL;
    return WF_OK;
}

void wf_source_number(wf_source *source)
{
    if (source->pictures)
        snprintf(source->name + source->name_base, NUMBER_ROOM, "#%" PRId64, source->pictures);
}

static bool ends_in(const char *text, size_t n, const char *end)
{
    size_t m = strlen(end);
    return n >= m && !strncmp(text + n - m, end, m);
}

/* Appends the entry of `source` in its container, whose own name has `before` bytes. */
static size_t append_entry(const wf_source *source, size_t before, char *to, size_t n)
{
    const char *entry = source->name + before;
    size_t length = source->name_base - before;
    if (!length) /* a decompressor */
        return n;
    entry++; /* ':' */
    length--;
    bool array = ends_in(source->name, before, ".npz") && ends_in(entry, length, ".npy");
    if (ends_in(to, n, "data.mdb"))
        n -= strlen("data.mdb");
    else if (n)
        to[n++] = '/';
    length -= array ? strlen(".npy") : 0;
    memcpy(to + n, entry, length);
    return n + length;
}

int wf_source_given_name(wf_source *const *stack, int depth, size_t skip, bool array, char **out)
{
    const wf_source *top = stack[depth - 1], *file = stack[0];
    const char *path = file->name + skip;
    while (*path == '/' && skip)
        path++;
    while (!strncmp(path, "./", 2))
        path += strspn(path + 1, "/") + 1;
    size_t n = file->origin == WF_FROM_STREAM ? 0 : file->name_base - (size_t)(path - file->name);
    char *name = malloc(top->name_base + (size_t)depth + NUMBER_ROOM);
    *out = name;
    WF_CHECK(name, WF_AGAIN, "%s: out of memory", top->name);
    memcpy(name, path, n);
    for (int d = 1; d < depth; d++)
        n = append_entry(stack[d], stack[d - 1]->name_base, name, n);
    int64_t number = top->pictures - 1;
    name[n] = '\0';
    if (n && array && (number || top->series))
        snprintf(name + n, NUMBER_ROOM, "[%" PRId64 "]", number);
    else if (n && number)
        snprintf(name + n, NUMBER_ROOM, "#%" PRId64, number);
    if (!n) {
        free(name);
        *out = NULL;
    }
    return WF_OK;
}

void wf_source_end_series(wf_source *source)
{
    if (source->series)
        source->series->close(source->series);
    source->series = NULL;
}

int wf_source_peek(wf_source *source, size_t want, const uint8_t **bytes, size_t *have)
{
    if (source->end - source->begin < want && !source->ended) {
        memmove(source->buffer, source->buffer + source->begin, source->end - source->begin);
        source->end -= source->begin;
        source->begin = 0;
    }
    while (source->end - source->begin < want && !source->ended) {
        size_t got = 0;
        WF_TRY(source->fill(source, source->buffer + source->end, sizeof source->buffer - source->end, &got));
        source->end += got;
        source->ended = !got;
    }
    *bytes = source->buffer + source->begin;
    *have = source->end - source->begin;
    return WF_OK;
}

void wf_source_skip(wf_source *source, size_t n)
{
    source->begin += n;
    source->offset += n;
}

int wf_source_read(wf_source *source, void *to, size_t n)
{
    while (n) {
        const uint8_t *bytes;
        size_t have;
        WF_TRY(wf_source_peek(source, 1, &bytes, &have));
        WF_CHECK(have, WF_DATA, "%s: cut off at byte %" PRIu64 ": the picture needs %zu more", source->name,
                 source->offset, n);
        size_t part = have < n ? have : n;
        memcpy(to, bytes, part);
        wf_source_skip(source, part);
        to = (uint8_t *)to + part;
        n -= part;
    }
    return WF_OK;
}

int wf_source_take(wf_source *source, size_t n, uint8_t **bytes)
{
    *bytes = NULL;
    for (size_t have = 0, room = 1 << 16; have < n; room *= 2) {
        size_t want = room < n ? room : n;
        uint8_t *grown = realloc(*bytes, want);
        int status = grown ? WF_OK : wf_fail(WF_AGAIN, "%s: out of memory", source->name);
        if (grown)
            *bytes = grown;
        if (!status)
            status = wf_source_read(source, *bytes + have, want - have);
        if (status) {
            free(*bytes);
            *bytes = NULL;
            return status;
        }
        have = want;
    }
    return WF_OK;
}

int wf_source_byte(wf_source *source, int *byte)
{
    const uint8_t *bytes;
    size_t have;
    WF_TRY(wf_source_peek(source, 1, &bytes, &have));
    *byte = have ? bytes[0] : -1;
    if (have)
        wf_source_skip(source, 1);
    return WF_OK;
}

int wf_source_skip_space(wf_source *source)
{
    const uint8_t *bytes;
    size_t have;
    for (;;) {
        WF_TRY(wf_source_peek(source, 1, &bytes, &have));
        if (!have || !isspace(bytes[0]))
            return WF_OK;
        wf_source_skip(source, 1);
    }
}

int wf_code_take(wf_code *code, wf_source *source, size_t n, bool *whole)
{
    const uint8_t *bytes;
    size_t have = 1, room = WF_MAX_CODE - code->size;
    *whole = n <= room;
    for (n = *whole ? n : room; n && have; n -= have) {
        WF_TRY(wf_source_peek(source, 1, &bytes, &have));
        have = have < n ? have : n;
        if (code->size + have > code->capacity) { /* grows with the bytes that exist, whatever a header claims */
            size_t want = 2 * code->capacity + have;
            uint8_t *grown = realloc(code->bytes, want);
            WF_CHECK(grown, WF_AGAIN, "%s: out of memory for %zu bytes", source->name, want);
            code->bytes = grown;
            code->capacity = want;
        }
        memcpy(code->bytes + code->size, bytes, have);
        code->size += have;
        wf_source_skip(source, have);
    }
    *whole = *whole && !n;
    return WF_OK;
}

static int fill_from_file(wf_source *source, uint8_t *to, size_t n, size_t *got)
{
    FILE *file = source->state;
    errno = 0;
    *got = fread(to, 1, n, file);
    if (!*got && ferror(file))
        return wf_fail_errno("%s: cannot read", source->name);
    return WF_OK;
}

static void close_file(void *state)
{
    fclose(state); /* only read from: closing cannot lose data */
}

int wf_source_open_file(const char *path, FILE *borrowed, wf_origin origin, wf_source **out)
{
    FILE *file = borrowed ? borrowed : fopen(path, "rb");
    if (!file)
        return wf_fail_errno("%s: cannot open", path);
    wf_source *source = NULL;
    int status = wf_source_create(NULL, borrowed ? "stdin" : path, origin, &source);
    if (status) {
        if (!borrowed)
            fclose(file);
        return status;
    }
    source->state = source->file = file;
    source->fill = fill_from_file;
    source->close = borrowed ? NULL : close_file;
    *out = source;
    return WF_OK;
}

/* A picture in memory, of which the bytes before `at` were given. */
typedef struct cursor {
    const wf_code *code;
    size_t at;
} cursor;

static int fill_from_code(wf_source *source, uint8_t *to, size_t n, size_t *got)
{
    cursor *c = source->state;
    *got = c->code->size - c->at < n ? c->code->size - c->at : n;
    memcpy(to, c->code->bytes + c->at, *got);
    c->at += *got;
    return WF_OK;
}

int wf_source_open_code(const char *name, const wf_code *code, wf_source **out)
{
    cursor *c = malloc(sizeof *c);
    WF_CHECK(c, WF_AGAIN, "%s: out of memory", name);
    *c = (cursor){.code = code};
    int status = wf_source_create(NULL, name, WF_FROM_LIST, out);
    if (status) {
        free(c);
        return status;
    }
    (*out)->code = code;
    (*out)->state = c;
    (*out)->fill = fill_from_code;
    (*out)->close = free;
    return WF_OK;
}
