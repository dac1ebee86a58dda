/* meta.c - metadata: checks, comparison, text, and provenance */
#include "meta_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../base/json.h"
#include "../base/utf8.h"
#include "../base/version.h"

const char *const wf_signal_names[] = {"picture", "sound", "volume"};

/* Formats the sides and, unless it is 0, the number of channels. */
static const char *join_sides(wf_signal signal, int D, int H, int W, int channels, char text[WF_SIZE_TEXT])
{
    int64_t sides[4];
    int n = wf_sides(signal, D, H, W, sides), at = 0;
    if (channels)
        sides[n++] = channels;
    for (int i = 0; i < n; i++)
        at += snprintf(text + at, (size_t)(WF_SIZE_TEXT - at), "%s%d", i ? "x" : "", (int)sides[i]);
    return text;
}

const char *wf_size_text(wf_signal signal, int D, int H, int W, char text[WF_SIZE_TEXT])
{
    return join_sides(signal, D, H, W, 0, text);
}

const char *wf_meta_shape_text(const wf_meta *meta, char text[WF_SIZE_TEXT])
{
    return join_sides(meta->signal, meta->D, meta->H, meta->W, meta->C, text);
}

/* Number of halvings from the picture to the low-pass of a level. */
static int halvings_to(const wf_meta *meta, int level)
{
    return level ? meta->levels - level + 1 : meta->levels;
}

wf_level_shape wf_meta_level(const wf_meta *meta, int level)
{
    int halvings = halvings_to(meta, level);
    return (wf_level_shape){.H = wf_rows_left(meta->signal, meta->H, halvings),
                            .W = meta->W >> halvings,
                            .C = meta->C,
                            .K = level ? wf_bands(meta->signal) * meta->C : meta->C};
}

void wf_meta_shrink(wf_meta *meta, int level)
{
    int halvings = meta->levels - level;
    meta->H = wf_rows_left(meta->signal, meta->H, halvings);
    meta->W >>= halvings;
    meta->D >>= halvings;
    meta->rate >>= halvings;
    meta->levels = meta->top = level;
}

int wf_meta_slices(const wf_meta *meta, int level)
{
    return meta->D >> halvings_to(meta, level);
}

int wf_meta_sides(const wf_meta *meta, int level, int channels, int64_t sides[4])
{
    wf_level_shape s = wf_meta_level(meta, level);
    int axes = wf_sides(meta->signal, wf_meta_slices(meta, level), s.H, s.W, sides);
    sides[axes] = channels;
    return axes + 1;
}

const char *wf_meta_level_text(const wf_meta *meta, int level, char text[WF_SIZE_TEXT])
{
    wf_level_shape s = wf_meta_level(meta, level);
    return join_sides(meta->signal, wf_meta_slices(meta, level), s.H, s.W, s.K, text);
}

int wf_meta_copy(wf_meta *to, const wf_meta *from)
{
    char *provenance = from->provenance ? strdup(from->provenance) : NULL;
    WF_CHECK(provenance || !from->provenance, WF_AGAIN, "metadata: out of memory");
    *to = *from;
    to->provenance = provenance;
    return WF_OK;
}

void wf_meta_clear(wf_meta *meta)
{
    free(meta->provenance);
    *meta = (wf_meta){0};
}

/* -- provenance ---------------------------------------------------------------------------------------------------- */

static int load_provenance(const char *text, const char *who, json_t **out)
{
    errno = 0;
    json_t *array = text ? wf_json_parse(text, strlen(text), NULL) : json_array();
    bool good = json_is_array(array);
    size_t i;
    json_t *entry;
    json_array_foreach (array, i, entry)
        good = good && json_is_object(entry);
    if (!good) {
        json_decref(array);
        WF_CHECK_PARSED(false, who, WF_DATA, "%s: provenance is not a JSON array of objects", who);
    }
    *out = array;
    return WF_OK;
}

static int store_provenance(wf_meta *meta, json_t *array)
{
    char *text = wf_json_text(array, JSON_COMPACT);
    WF_CHECK(text, WF_AGAIN, "provenance: out of memory");
    free(meta->provenance);
    meta->provenance = text;
    return WF_OK;
}

/* Makes a JSON string of an argument, which may hold any bytes. */
static json_t *make_string(const char *text)
{
    char *copy = strdup(text);
    if (copy)
        wf_utf8_mend(copy);
    json_t *string = copy ? json_string(copy) : NULL;
    free(copy);
    return string;
}

enum { COMMAND_BYTES = 3072, ARGUMENT_BYTES = 2048 }; /* of a command line, and of one argument, that are kept */

/* Makes a JSON string of an argument. Of a long one only the beginning is kept, whole characters of UTF-8. */
static json_t *make_argument(const char *text)
{
    size_t length = strlen(text), n = ARGUMENT_BYTES;
    if (length <= n)
        return make_string(text);
    while (n > ARGUMENT_BYTES - 4 && (text[n] & 0xc0) == 0x80)
        n--;
    char cut[ARGUMENT_BYTES + 64];
    snprintf(cut, sizeof cut, "%.*s... and %zu more bytes", (int)n, text, length - n);
    return make_string(cut);
}

/* Makes a JSON array of a command line. A long one ends in "... and N more arguments". */
static json_t *make_words(int argc, char *const *argv)
{
    json_t *words = json_array();
    size_t bytes = 0;
    bool good = words;
    for (int i = 0; good && i < argc; i++) {
        size_t length = strlen(argv[i]);
        bytes += length < ARGUMENT_BYTES ? length : ARGUMENT_BYTES;
        if (bytes > COMMAND_BYTES) {
            char rest[48];
            snprintf(rest, sizeof rest, "... and %d more argument%s", argc - i, argc - i == 1 ? "" : "s");
            good = !json_array_append_new(words, json_string(rest));
            break;
        }
        good = !json_array_append_new(words, make_argument(argv[i]));
    }
    if (good)
        return words;
    json_decref(words);
    return NULL;
}

static json_t *new_entry(const char *tool, int argc, char *const *argv, uint64_t seed, const char *model)
{
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)seed);
    json_t *entry = json_object(), *words = make_words(argc, argv);
    bool good = entry && words;
    good = good && !json_object_set_new(entry, "tool", make_string(tool)) &&
           !json_object_set_new(entry, "version", json_string(wf_version())) &&
           !json_object_set(entry, "argv", words) &&
           /* the seed is a string, because JSON readers keep only 53 bits of a number */
           !json_object_set_new(entry, "seed", json_string(number)) &&
           (!model || !json_object_set_new(entry, "model", make_string(model)));
    json_decref(words);
    if (good)
        return entry;
    json_decref(entry);
    return NULL;
}

int wf_meta_add_provenance(wf_meta *meta, const char *tool, int argc, char *const *argv, uint64_t seed,
                           const char *model)
{
    json_t *array;
    WF_TRY(load_provenance(meta->provenance, tool, &array));
    int status = json_array_append_new(array, new_entry(tool, argc, argv, seed, model))
                     ? wf_fail(WF_AGAIN, "provenance: out of memory")
                     : store_provenance(meta, array);
    json_decref(array);
    return status;
}

int wf_meta_join_provenance(wf_meta *meta, const char *from)
{
    json_t *array, *more = NULL;
    WF_TRY(load_provenance(meta->provenance, "provenance", &array));
    int status = WF_OK;
    WF_GO(load_provenance(from, "provenance", &more));
    if (json_array_extend(array, more))
        WF_GO(wf_fail(WF_AGAIN, "provenance: out of memory"));
    WF_GO(store_provenance(meta, array));
out:
    json_decref(more);
    json_decref(array);
    return status;
}

int wf_meta_model(const wf_meta *meta, char out[20])
{
    json_t *array;
    WF_TRY(load_provenance(meta->provenance, "provenance", &array));
    const char *model = json_string_value(json_object_get(json_array_get(array, json_array_size(array) - 1), "model"));
    snprintf(out, 20, "%s", model ? model : "");
    json_decref(array);
    return WF_OK;
}

/* -- shards -------------------------------------------------------------------------------------------------------- */

void wf_meta_mark_run(wf_meta *meta, const char *settings, const char *model)
{
    if (!meta->shard.n)
        return;
    uint64_t run = model ? XXH3_64bits_withSeed(model, strlen(model), meta->run) : meta->run;
    meta->run = XXH3_64bits_withSeed(settings, strlen(settings), run);
}

/* Fails if two entries of the provenance differ in `key`. */
static int expect_same(const json_t *have, const char *who, const json_t *want, const char *whom, const char *key)
{
    const char *a = json_string_value(json_object_get(have, key)), *b = json_string_value(json_object_get(want, key));
    a = a ? a : "unknown";
    b = b ? b : "unknown";
    WF_CHECK(!strcmp(a, b), WF_DATA, "%s: of another run than %s: %s is %.80s, but %.80s", who, whom, key, a, b);
    return WF_OK;
}

/* Fails if command lines differ. */
static int expect_same_words(const json_t *have, const char *who, const json_t *want, const char *whom)
{
    const json_t *as = json_object_get(have, "argv"), *bs = json_object_get(want, "argv");
    for (size_t i = 0; i < json_array_size(as) || i < json_array_size(bs); i++) {
        const char *a = json_string_value(json_array_get(as, i)), *b = json_string_value(json_array_get(bs, i));
        a = a ? a : "nothing";
        b = b ? b : "nothing";
        WF_CHECK(!strcmp(a, b), WF_DATA, "%s: of another run than %s: its command has %.80s, not %.80s", who, whom, a,
                 b);
    }
    return WF_OK;
}

int wf_meta_expect_run(const wf_meta *have, const char *who, const wf_meta *want, const char *whom)
{
    static const char *const keys[] = {"tool", "version", "seed", "model"};
    json_t *a = NULL, *b = NULL;
    int status = WF_OK;
    WF_CHECK(have->shard.n == want->shard.n, WF_DATA, "%s: shard %d of %d, but shard %d of %d in %s", who,
             have->shard.i, have->shard.n, want->shard.i, want->shard.n, whom);
    if (have->run == want->run)
        return WF_OK;
    WF_GO(load_provenance(have->provenance, who, &a));
    WF_GO(load_provenance(want->provenance, whom, &b));
    for (size_t e = 0; e < json_array_size(a) || e < json_array_size(b); e++) {
        const json_t *x = json_array_get(a, e), *y = json_array_get(b, e);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            WF_GO(expect_same(x, who, y, whom, keys[k]));
        WF_GO(expect_same_words(x, who, y, whom));
    }
    status = wf_fail(WF_DATA, "%s: of another run than %s", who, whom);
out:
    json_decref(a);
    json_decref(b);
    return status;
}

/* -- checks -------------------------------------------------------------------------------------------------------- */

static int check_range(const char *who, const char *field, int value, int low, int high)
{
    WF_CHECK(value >= low && value <= high, WF_DATA, "%s: %s is %d, want %d to %d", who, field, value, low, high);
    return WF_OK;
}

bool wf_meta_is_field(const wf_meta *meta)
{
    return !meta->bits;
}

const char *wf_meta_unit(const wf_meta *meta)
{
    return meta->bits ? "bits/dim" : "nats/dim";
}

int wf_meta_check(const wf_meta *meta, const char *who)
{
    size_t length = strnlen(meta->wavelet, sizeof meta->wavelet);
    WF_CHECK(length > 0 && length < sizeof meta->wavelet, WF_DATA,
             "%s: wavelet has a name of %zu letters, want 1 to %zu", who, length, sizeof meta->wavelet - 1);
    WF_TRY(check_range(who, "levels", meta->levels, 0, WF_MAX_LEVELS));
    WF_TRY(check_range(who, "top", meta->top, 0, meta->levels));
    WF_TRY(check_range(who, "height", meta->H, 1, WF_MAX_SIDE));
    WF_TRY(check_range(who, "width", meta->W, 1, WF_MAX_SIDE));
    WF_TRY(check_range(who, "channels", meta->C, 1, meta->bits ? WF_MAX_CHANNELS : WF_MAX_FIELD_CHANNELS));
    WF_TRY(check_range(who, "bits", meta->bits, 0, 16));
    WF_CHECK((unsigned)meta->signal <= WF_VOLUME && (meta->signal != WF_SOUND || meta->H == 1) &&
                 (meta->signal == WF_VOLUME ? meta->D >= 1 && meta->H % meta->D == 0 : !meta->D),
             WF_DATA, "%s: %d rows in %d slices are not a %s", who, meta->H, meta->D,
             (unsigned)meta->signal <= WF_VOLUME ? wf_signal_names[meta->signal] : "known signal");
    WF_CHECK(meta->rate >= 0 && (!meta->rate || meta->signal == WF_SOUND), WF_DATA,
             "%s: a %s of %d samples a second, want sounds of 0 or more", who, wf_signal_names[meta->signal],
             meta->rate);
    int64_t sides[3];
    int axes = wf_sides(meta->signal, meta->D, meta->H, meta->W, sides), unit = 1 << meta->levels;
    char text[WF_SIZE_TEXT];
    for (int i = 0; i < axes; i++)
        WF_CHECK(sides[i] % unit == 0, WF_DATA, "%s: a %s of %s cannot be halved %d times, want multiples of %d", who,
                 wf_signal_names[meta->signal], wf_size_text(meta->signal, meta->D, meta->H, meta->W, text),
                 meta->levels, unit);
    return WF_OK;
}

static bool same_size(const wf_meta *a, const wf_meta *b)
{
    return a->H == b->H && a->W == b->W && a->D == b->D;
}

enum { DIFFERENCES = 1024 };

/* Appends "NAME HAVE, but WANT in WHOM" to a list; further rows leave out where. */
static void add_difference(char list[DIFFERENCES], const char *name, const char *have, const char *want,
                           const char *whom)
{
    size_t n = strlen(list);
    snprintf(list + n, DIFFERENCES - n, "%s%s %s, but %s%s%s", n ? "; " : "", name, have, want, n ? "" : " in ",
             n ? "" : whom);
}

int wf_meta_match(const wf_meta *have, const char *who, const wf_meta *want, const char *whom)
{
    char list[DIFFERENCES] = "", own[WF_SIZE_TEXT], other[WF_SIZE_TEXT], name[24];
    const char *signal = wf_signal_names[have->signal];
    WF_CHECK(have->signal == want->signal, WF_DATA, "%s: %ss, but %ss in %s", who, signal,
             wf_signal_names[want->signal], whom);
    const struct {
        const char *name;
        int have, want;
    } fields[] = {{"levels is", same_size(have, want) ? have->levels : want->levels, want->levels},
                  {"channels is", have->C, want->C},
                  {"bits is", have->bits, want->bits},
                  {"sample rate is", have->rate, want->rate}};
    if (strcmp(have->wavelet, want->wavelet) != 0)
        add_difference(list, "wavelet is", have->wavelet, want->wavelet, whom);
    snprintf(name, sizeof name, "%ss are", signal);
    if (!same_size(have, want))
        add_difference(list, name, wf_size_text(have->signal, have->D, have->H, have->W, own),
                       wf_size_text(want->signal, want->D, want->H, want->W, other), whom);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        snprintf(own, sizeof own, "%d", fields[i].have);
        snprintf(other, sizeof other, "%d", fields[i].want);
        if (fields[i].have != fields[i].want)
            add_difference(list, fields[i].name, own, other, whom);
    }
    WF_CHECK(!*list, WF_DATA, "%s: %s", who, list);
    return WF_OK;
}

/* Halvings of a size until a side is odd. */
static int most_levels(const wf_meta *meta)
{
    int64_t sides[3], all = 0;
    for (int n = wf_sides(meta->signal, meta->D, meta->H, meta->W, sides), i = 0; i < n; i++)
        all |= sides[i];
    int levels = __builtin_ctzll((unsigned long long)all);
    return levels < WF_MAX_LEVELS ? levels : WF_MAX_LEVELS;
}

const char *wf_meta_remedy(const wf_meta *have, const wf_meta *want, char out[WF_REMEDY_TEXT])
{
    char size[WF_SIZE_TEXT], length[16], parts[5][WF_SIZE_TEXT + 16] = {""};
    const char *fit = have->H < want->H || have->W < want->W ? "resize" : "fit";
    if (!same_size(have, want) && want->signal == WF_SOUND)
        snprintf(parts[0], sizeof parts[0], " --length %d", want->W);
    else if (!same_size(have, want) && want->signal == WF_PICTURE)
        snprintf(parts[0], sizeof parts[0], " --%s %s", fit, wf_size_text(want->signal, 0, want->H, want->W, size));
    snprintf(length, sizeof length, " --levels %d", want->levels);
    if (have->levels != want->levels && (same_size(have, want) || want->levels != most_levels(want)))
        snprintf(parts[1], sizeof parts[1], "%s", length);
    if (have->C != want->C && want->signal == WF_PICTURE)
        snprintf(parts[2], sizeof parts[2], " -c %d", want->C);
    if (have->bits != want->bits)
        snprintf(parts[3], sizeof parts[3], want->bits ? " --bits %d" : " --float", want->bits);
    if (strcmp(have->wavelet, want->wavelet) != 0)
        snprintf(parts[4], sizeof parts[4], " -w %s", want->wavelet);
    snprintf(out, WF_REMEDY_TEXT, ": wf-dwt%s%s%s%s%s", parts[0], parts[1], parts[2], parts[3], parts[4]);
    if (have->signal != want->signal || !have->bits || !strcmp(out, ": wf-dwt"))
        *out = '\0';
    return out;
}

int wf_meta_expect(const wf_meta *have, const char *who, const wf_meta *want, const char *whom)
{
    char remedy[WF_REMEDY_TEXT], message[1024];
    int status = wf_meta_match(have, who, want, whom);
    if (!status)
        return WF_OK;
    snprintf(message, sizeof message, "%s", wf_error());
    return wf_fail(status, "%s%s", message, wf_meta_remedy(have, want, remedy));
}

/* -- text ---------------------------------------------------------------------------------------------------------- */

void wf_meta_format(const wf_meta *meta, wf_meta_text *text)
{
    snprintf(text->numbers[0], sizeof text->numbers[0], "%d", meta->levels);
    snprintf(text->numbers[1], sizeof text->numbers[1], "%d", meta->top);
    snprintf(text->numbers[2], sizeof text->numbers[2], "%d", meta->bits);
    snprintf(text->numbers[3], sizeof text->numbers[3], "%d", meta->rate);
    snprintf(text->numbers[4], sizeof text->numbers[4], "%d/%d %016llx", meta->shard.i, meta->shard.n,
             (unsigned long long)meta->run);
    wf_meta_shape_text(meta, text->shape);
    const wf_pair pairs[WF_META_PAIRS] = {
        {"format", meta->latents ? WF_LATENTS_FORMAT : WF_FORMAT},
        {"wavelet", meta->wavelet},
        {"levels", text->numbers[0]},
        {"top", text->numbers[1]},
        {"shape", text->shape},
        {"bits", text->numbers[2]},
        {"provenance", meta->provenance ? meta->provenance : "[]"},
    };
    memcpy(text->pairs, pairs, sizeof pairs);
    text->count = WF_META_PAIRS - 2;
    if (meta->rate)
        text->pairs[text->count++] = (wf_pair){"rate", text->numbers[3]};
    if (meta->shard.n)
        text->pairs[text->count++] = (wf_pair){"shard", text->numbers[4]};
}

/* Parses digits; *end is the first byte after them. */
static bool parse_digits(const char *text, int64_t max, int64_t *out, const char **end)
{
    int64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (!WF_MUL(value, (int64_t)10, &value) || !WF_ADD(value, (int64_t)(*p - '0'), &value))
            return false;
    bool plain = p != text && (*text != '0' || p == text + 1);
    *out = value;
    *end = p;
    return plain && value <= max;
}

bool wf_parse_count(const char *text, int64_t max, int64_t *out)
{
    const char *end;
    return text && parse_digits(text, max, out, &end) && *end == '\0';
}

bool wf_meta_set_shape(wf_meta *meta, int n, const int64_t sides[4])
{
    static const wf_signal signals[] = {[2] = WF_SOUND, [3] = WF_PICTURE, [4] = WF_VOLUME};
    for (int i = 0; i < n; i++)
        if (sides[i] < 1 || sides[i] > WF_MAX_SIDE)
            return false;
    if (n < 2 || n > 4 || (n == 4 && sides[0] * sides[1] > WF_MAX_SIDE))
        return false;
    meta->signal = signals[n];
    meta->D = n == 4 ? (int)sides[0] : 0;
    meta->H = n == 2 ? 1 : n == 3 ? (int)sides[0] : (int)(sides[0] * sides[1]);
    meta->W = (int)sides[n - 2];
    meta->C = (int)sides[n - 1];
    return true;
}

static bool parse_shape(const char *text, wf_meta *meta)
{
    int64_t sides[4];
    for (int n = 0; n < 4; text++) {
        if (!parse_digits(text, WF_MAX_SIDE, &sides[n++], &text) || (*text && *text != 'x'))
            return false;
        if (!*text)
            return wf_meta_set_shape(meta, n, sides);
    }
    return false;
}

static int find_text(wf_meta_lookup *lookup, const void *user, const char *who, const char *key, const char **value)
{
    *value = lookup(user, key);
    WF_CHECK(*value, WF_DATA, "%s: metadata lacks \"%s\"", who, key);
    return WF_OK;
}

static int find_number(wf_meta_lookup *lookup, const void *user, const char *who, const char *key, int *out)
{
    const char *text;
    int64_t value;
    WF_TRY(find_text(lookup, user, who, key, &text));
    WF_CHECK(wf_parse_count(text, WF_MAX_SIDE, &value), WF_DATA, "%s: %s is \"%.40s\", want a small whole number", who,
             key, text);
    *out = (int)value;
    return WF_OK;
}

/* Parses "I/N RUN". */
static bool parse_shard(const char *text, wf_meta *meta)
{
    const char *at = wf_shard_parse(text, &meta->shard);
    if (!at || *at != ' ' || strspn(at + 1, "0123456789abcdef") != 16 || at[17])
        return false;
    meta->run = strtoull(at + 1, NULL, 16);
    return true;
}

static int parse_fields(wf_meta_lookup *lookup, const void *user, const char *who, wf_meta *meta)
{
    const char *text;
    int64_t rate = 0;
    WF_TRY(find_text(lookup, user, who, "format", &text));
    meta->latents = !strcmp(text, WF_LATENTS_FORMAT);
    WF_CHECK(meta->latents || !strcmp(text, WF_FORMAT), WF_DATA, "%s: format is \"%.40s\", want \"" WF_FORMAT "\"", who,
             text);
    WF_TRY(find_text(lookup, user, who, "wavelet", &text));
    WF_CHECK(strlen(text) < sizeof meta->wavelet, WF_DATA,
             "%s: wavelet \"%.40s\" has too long a name, want at most %zu letters", who, text,
             sizeof meta->wavelet - 1);
    memcpy(meta->wavelet, text, strlen(text) + 1);
    WF_TRY(find_text(lookup, user, who, "shape", &text));
    WF_CHECK(parse_shape(text, meta), WF_DATA, "%s: shape is \"%.40s\", want [[DEPTHx]HEIGHTx]WIDTHxCHANNELS", who,
             text);
    WF_TRY(find_number(lookup, user, who, "levels", &meta->levels));
    WF_TRY(find_number(lookup, user, who, "top", &meta->top));
    WF_TRY(find_number(lookup, user, who, "bits", &meta->bits));
    text = lookup(user, "rate");
    WF_CHECK(!text || (wf_parse_count(text, WF_MAX_RATE, &rate) && rate), WF_DATA,
             "%s: rate is \"%.40s\", want a number of samples a second, 1 to %d", who, text, WF_MAX_RATE);
    meta->rate = (int)rate;
    text = lookup(user, "shard");
    WF_CHECK(!text || parse_shard(text, meta), WF_DATA, "%s: shard is \"%.60s\", want \"I/N\" and 16 hex digits", who,
             text);
    WF_TRY(wf_meta_check(meta, who));
    text = lookup(user, "provenance");
    if (!text)
        return WF_OK;
    json_t *array;
    WF_TRY(load_provenance(text, who, &array));
    json_decref(array);
    meta->provenance = strdup(text);
    WF_CHECK(meta->provenance, WF_AGAIN, "%s: out of memory", who);
    return WF_OK;
}

int wf_meta_parse(wf_meta_lookup *lookup, const void *user, const char *who, wf_meta *meta)
{
    *meta = (wf_meta){0};
    int status = parse_fields(lookup, user, who, meta);
    if (status)
        wf_meta_clear(meta);
    return status;
}
