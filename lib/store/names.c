/* names.c - names of pictures: JSON in streams, blocks of shared beginnings in stores */
#include "names.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../base/json.h"
#include "../base/utf8.h"
#include "stream.h"

/* -- lists --------------------------------------------------------------------------------------------------------- */

void wf_names_clear(wf_names *names)
{
    free(names->bytes);
    free(names->at);
    free(names->table);
    *names = (wf_names){0};
}

int wf_names_add(wf_names *names, const char *text, size_t n)
{
    if (names->count == names->slots) {
        size_t slots = 2 * names->slots + 64, *at = realloc(names->at, slots * sizeof *at);
        WF_CHECK(at, WF_AGAIN, "out of memory for %zu names", slots);
        names->at = at;
        names->slots = slots;
    }
    if (n >= names->room - names->used) {
        size_t room = 2 * names->room + n + 4096;
        char *bytes = realloc(names->bytes, room);
        WF_CHECK(bytes, WF_AGAIN, "out of memory for %zu bytes of names", room);
        names->bytes = bytes;
        names->room = room;
    }
    names->at[names->count++] = names->used;
    memcpy(names->bytes + names->used, text, n);
    names->bytes[names->used + n] = '\0';
    names->used += n + 1;
    return WF_OK;
}

int wf_names_table(wf_names *names, const char *const **table)
{
    bool any = false;
    *table = NULL;
    const char **grown = realloc(names->table, (names->count + 1) * sizeof *grown);
    WF_CHECK(grown, WF_AGAIN, "out of memory for %zu names", names->count);
    names->table = grown;
    for (size_t i = 0; i < names->count; i++) {
        const char *text = names->bytes + names->at[i];
        grown[i] = *text ? text : NULL;
        any = any || *text;
    }
    *table = any ? grown : NULL;
    return WF_OK;
}

static void empty(wf_names *names)
{
    names->used = names->count = 0;
}

/* -- streams ------------------------------------------------------------------------------------------------------- */

enum { MOST_TEXT = 4 << 20, WHOLE = 1 << 30 };

/* Makes a JSON string of a name, or of its last `most` bytes. */
static json_t *make_name(const char *name, size_t most)
{
    size_t length = name ? strlen(name) : 0;
    if (!length)
        return json_null();
    const char *end = name + (length > most ? length - most : 0);
    while (end != name && (*end & 0xc0) == 0x80) /* a whole character of UTF-8 */
        end++;
    char *copy = strdup(end);
    if (copy)
        wf_utf8_mend(copy);
    json_t *string = copy ? json_string(copy) : NULL;
    free(copy);
    return string;
}

static char *format_names(const char *const *names, int64_t N, size_t most)
{
    json_t *array = json_array();
    bool good = array;
    for (int64_t i = 0; good && i < N; i++)
        good = !json_array_append_new(array, make_name(names[i], most));
    char *text = good ? wf_json_text(array, JSON_COMPACT) : NULL;
    json_decref(array);
    return text;
}

int wf_names_format(const char *who, const char *const *names, int64_t N, char **text)
{
    bool any = false;
    *text = NULL;
    for (int64_t i = 0; names && i < N; i++)
        any = any || (names[i] && *names[i]);
    for (size_t most = WF_NAME_BYTES; any; most /= 2) {
        *text = format_names(names, N, most);
        WF_CHECK(*text, WF_AGAIN, "%s: out of memory for the names of %lld pictures", who, (long long)N);
        if (most < 8 || strlen(*text) <= MOST_TEXT)
            break;
        free(*text);
    }
    return WF_OK;
}

static int parse_array(const char *who, const json_t *array, int64_t N, wf_names *names)
{
    WF_CHECK_PARSED(json_is_array(array) && json_array_size(array) == (size_t)N, who, WF_DATA,
                    "%s: names are not a JSON array of %lld names", who, (long long)N);
    for (size_t i = 0; i < (size_t)N; i++) {
        const json_t *name = json_array_get(array, i);
        WF_CHECK(json_is_null(name) || json_is_string(name), WF_DATA, "%s: names[%zu] is not a string or null", who, i);
        const char *text = json_is_string(name) ? json_string_value(name) : "";
        WF_TRY(wf_names_add(names, text, strlen(text)));
    }
    return WF_OK;
}

int wf_names_parse(const char *who, const char *text, int64_t N, wf_names *names)
{
    json_t *array = wf_json_parse(text, strlen(text), NULL);
    empty(names);
    int status = parse_array(who, array, N, names);
    json_decref(array);
    return status;
}

void wf_write_name(FILE *file, const char *name, uint64_t index)
{
    if (!name)
        fprintf(file, "%" PRIu64, index);
    for (; name && *name; name++)
        putc((unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name, file);
}

int wf_write_json_name(FILE *file, const char *name)
{
    json_t *string = json_string(name);
    char *text = wf_json_text(string, JSON_ENCODE_ANY);
    json_decref(string);
    WF_CHECK(text, WF_AGAIN, "out of memory for the name of a picture");
    fputs(text, file);
    free(text);
    return WF_OK;
}

/* -- stores -------------------------------------------------------------------------------------------------------- */

enum { VARINT = 3 }; /* bytes of a number up to WF_NAME_BYTES, at most */

static unsigned char *put_varint(unsigned char *to, size_t n)
{
    for (; n >= 0x80; n >>= 7)
        *to++ = (unsigned char)(n | 0x80);
    *to++ = (unsigned char)n;
    return to;
}

static bool get_varint(const unsigned char **at, const unsigned char *end, size_t *n)
{
    *n = 0;
    for (int shift = 0; *at < end && shift < 7 * VARINT; shift += 7) {
        unsigned char byte = *(*at)++;
        *n |= (size_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

int wf_names_encode(const char *who, uint64_t first, const char *const *names, int n, unsigned char **bytes,
                    size_t *room, size_t *size)
{
    size_t most = sizeof first;
    for (int i = 0; i < n; i++)
        most += 2 * VARINT + strnlen(names[i], WF_NAME_BYTES);
    if (most > *room) {
        unsigned char *grown = realloc(*bytes, most);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory for %d names", who, n);
        *bytes = grown;
        *room = most;
    }
    unsigned char *at = *bytes + sizeof first;
    const char *before = "";
    for (int i = 0; i < n; i++) {
        size_t length = strlen(names[i]), shared = 0;
        const char *name = names[i] + (length > WF_NAME_BYTES ? length - WF_NAME_BYTES : 0);
        while (before[shared] && before[shared] == name[shared])
            shared++;
        length = strlen(name) - shared;
        at = put_varint(put_varint(at, shared), length);
        memcpy(at, name + shared, length);
        at += length;
        before = name;
    }
    *size = (size_t)(at - *bytes);
    uint64_t checksum = XXH3_64bits_withSeed(*bytes + sizeof first, *size - sizeof first, first);
    memcpy(*bytes, &checksum, sizeof checksum);
    return WF_OK;
}

int wf_names_decode(const char *who, uint64_t first, const void *bytes, size_t size, wf_names *names)
{
    const unsigned char *at = bytes, *end = at + size;
    uint64_t checksum;
    char name[WF_NAME_BYTES];
    size_t before = 0;
    empty(names);
    WF_CHECK(size > sizeof checksum, WF_DATA, "%s: names from picture %llu on: %zu bytes, want more than %zu", who,
             (unsigned long long)first, size, sizeof checksum);
    memcpy(&checksum, at, sizeof checksum);
    at += sizeof checksum;
    WF_CHECK(checksum == XXH3_64bits_withSeed(at, (size_t)(end - at), first), WF_DATA,
             "%s: names from picture %llu on: the checksum is wrong", who, (unsigned long long)first);
    while (at < end) {
        size_t shared, rest;
        WF_CHECK(get_varint(&at, end, &shared) && get_varint(&at, end, &rest) && shared <= before &&
                     rest <= (size_t)(end - at) && rest <= sizeof name - shared && names->count < WF_NAME_BLOCK &&
                     !memchr(at, 0, rest),
                 WF_DATA, "%s: names from picture %llu on: name %zu is malformed", who, (unsigned long long)first,
                 names->count);
        memcpy(name + shared, at, rest);
        at += rest;
        before = shared + rest;
        WF_TRY(wf_names_add(names, name, before));
    }
    return WF_OK;
}
