/* state.c - the record of a store's metadata, levels and count, as JSON with a checksum */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../base/json.h"
#include "../pyramid/meta_text.h"
#include "private.h"

/* -- reading ------------------------------------------------------------------------------------------------------- */

static const char *object_value(const void *user, const char *key)
{
    return json_string_value(json_object_get(user, key));
}

static bool parse_hex(const char *text, uint64_t *out)
{
    if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return false;
    *out = strtoull(text, NULL, 16);
    return true;
}

static int parse_state(const char *who, const json_t *root, wf_store_state *state)
{
    *state = (wf_store_state){0};
    int64_t mask;
    WF_CHECK(wf_parse_count(object_value(root, "mask"), (1 << (WF_MAX_LEVELS + 1)) - 1, &mask) &&
                 wf_parse_count(object_value(root, "count"), INT64_MAX, &state->count) &&
                 parse_hex(object_value(root, "content"), &state->content),
             WF_DATA, "%s: mask, count or content is missing or malformed", who);
    WF_TRY(wf_meta_parse(object_value, root, who, &state->meta));
    state->mask = (uint32_t)mask;
    const char *hash = object_value(root, "hash");
    wf_state_hash(state, state->hash);
    state->sealed = hash != NULL;
    state->refused = json_object_get(root, "refused") != NULL;
    bool top = state->mask >> state->meta.top == 1;
    int status = WF_OK;
    if (hash && strcmp(hash, state->hash))
        status = wf_fail(WF_DATA, "%s: the hash is %.20s, want %s", who, hash, state->hash);
    else if (state->count ? !top : state->mask != 0)
        status = wf_fail(WF_DATA, "%s: %lld pictures with levels %#x, but top is %d", who, (long long)state->count,
                         state->mask, state->meta.top);
    if (status)
        wf_meta_clear(&state->meta);
    return status;
}

int wf_state_read(const wf_store_file *file, MDB_txn *txn, const char *key, wf_store_state *state, bool *found)
{
    MDB_dbi main;
    MDB_val name = {strlen(key), (void *)key}, value;
    WF_LMDB(file, mdb_dbi_open(txn, NULL, 0, &main), "main database");
    int rc = mdb_get(txn, main, &name, &value);
    *found = rc != MDB_NOTFOUND;
    if (!*found)
        return WF_OK;
    WF_LMDB(file, rc, key);
    char who[512];
    snprintf(who, sizeof who, "%s: %s", file->path, key);
    uint64_t checksum = 0;
    WF_CHECK(value.mv_size > sizeof checksum, WF_DATA, "%s: %zu bytes, want more than %zu", who, value.mv_size,
             sizeof checksum);
    const char *text = (const char *)value.mv_data + sizeof checksum;
    size_t n = value.mv_size - sizeof checksum;
    memcpy(&checksum, value.mv_data, sizeof checksum);
    WF_CHECK(checksum == XXH3_64bits(text, n), WF_DATA, "%s: the checksum is wrong", who);
    json_t *root = wf_json_parse(text, n, NULL);
    WF_CHECK_PARSED(root, who, WF_DATA, "%s: its text is not JSON", who);
    int status = parse_state(who, root, state);
    json_decref(root);
    return status;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

/* Leaves out the provenance: a store made again by other means has the same hash. */
void wf_state_hash(const wf_store_state *state, char hash[17])
{
    const wf_meta *m = &state->meta;
    char text[200], shape[WF_SIZE_TEXT];
    int n = snprintf(text, sizeof text, "%s %d %d %s %d %u %lld %016llx", m->wavelet, m->levels, m->top,
                     wf_meta_shape_text(m, shape), m->bits, state->mask, (long long)state->count,
                     (unsigned long long)state->content);
    snprintf(hash, 17, "%016llx", (unsigned long long)XXH3_64bits(text, (size_t)n));
}

static json_t *state_object(const wf_store_state *state)
{
    wf_meta_text text;
    wf_meta_format(&state->meta, &text);
    json_t *root = json_object();
    bool good = root != NULL;
    for (int i = 0; good && i < text.count; i++)
        good = !json_object_set_new(root, text.pairs[i].key, json_string(text.pairs[i].value));
    char mask[16], count[24], content[17];
    snprintf(mask, sizeof mask, "%u", state->mask);
    snprintf(count, sizeof count, "%lld", (long long)state->count);
    snprintf(content, sizeof content, "%016llx", (unsigned long long)state->content);
    good = good && !json_object_set_new(root, "mask", json_string(mask)) &&
           !json_object_set_new(root, "count", json_string(count)) &&
           !json_object_set_new(root, "content", json_string(content)) &&
           (!state->refused || !json_object_set_new(root, "refused", json_string("1"))) &&
           (!state->sealed || !json_object_set_new(root, "hash", json_string(state->hash)));
    if (good)
        return root;
    json_decref(root);
    return NULL;
}

int wf_state_write(MDB_txn *txn, const wf_store_state *state)
{
    json_t *root = state_object(state);
    size_t n = root ? json_dumpb(root, NULL, 0, JSON_COMPACT) : 0;
    char *bytes = n ? malloc(sizeof(uint64_t) + n) : NULL;
    int rc = ENOMEM;
    if (bytes && json_dumpb(root, bytes + sizeof(uint64_t), n, JSON_COMPACT) == n) {
        uint64_t checksum = XXH3_64bits(bytes + sizeof checksum, n);
        memcpy(bytes, &checksum, sizeof checksum);
        MDB_val now = {strlen(WF_STATE_NOW), WF_STATE_NOW}, sealed = {strlen(WF_STATE_SEALED), WF_STATE_SEALED},
                value = {sizeof checksum + n, bytes};
        MDB_dbi main;
        rc = mdb_dbi_open(txn, NULL, 0, &main);
        if (!rc)
            rc = mdb_put(txn, main, &now, &value, 0);
        if (!rc && state->sealed)
            rc = mdb_put(txn, main, &sealed, &value, 0);
    }
    free(bytes);
    json_decref(root);
    return rc;
}
