/* state.c - the record that says what a store holds */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../base/file.h"
#include "../pyramid/meta_text.h"
#include "private.h"

void wf_level_name(int level, char name[16])
{
    snprintf(name, 16, "level-%02d", level);
}

MDB_val wf_store_key(uint64_t index, unsigned char bytes[8])
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(index >> (56 - 8 * i));
    return (MDB_val){8, bytes};
}

int wf_store_index(const wf_store *store, MDB_val key, uint64_t *out)
{
    WF_CHECK(key.mv_size == 8, WF_DATA, "%s: a key of %zu bytes, want 8", store->path, key.mv_size);
    uint64_t index = 0;
    for (int i = 0; i < 8; i++)
        index = index << 8 | ((const unsigned char *)key.mv_data)[i];
    *out = index;
    return WF_OK;
}

int wf_fail_lmdb(const wf_store *store, int rc, const char *what)
{
    switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL:
    case MDB_BAD_VALSIZE:
        return wf_fail(WF_DATA, "%s: %s: %s", store->path, what, mdb_strerror(rc));
    case MDB_MAP_FULL:
        return wf_fail(WF_AGAIN, "%s: %s: no address space to grow", store->path, what);
    }
    if (rc < 0)
        return wf_fail(WF_INTERNAL, "%s: %s: %s", store->path, what, mdb_strerror(rc));
    char name[512];
    snprintf(name, sizeof name, "%s: %s", store->path, what);
    errno = rc;
    return wf_fail_write(name);
}

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
             WF_DATA, "%s: mask, count or content are missing or malformed", who);
    WF_TRY(wf_meta_parse(object_value, root, who, &state->meta));
    state->mask = (uint32_t)mask;
    const char *hash = object_value(root, "hash");
    wf_state_hash(state, state->hash);
    state->sealed = hash != NULL;
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

int wf_state_read(const wf_store *store, MDB_txn *txn, const char *key, wf_store_state *state, bool *found)
{
    MDB_dbi main;
    MDB_val name = {strlen(key), (void *)key}, value;
    WF_LMDB(store, mdb_dbi_open(txn, NULL, 0, &main), "main database");
    int rc = mdb_get(txn, main, &name, &value);
    *found = rc != MDB_NOTFOUND;
    if (!*found)
        return WF_OK;
    WF_LMDB(store, rc, key);
    char who[512];
    snprintf(who, sizeof who, "%s: %s", store->path, key);
    uint64_t checksum = 0;
    WF_CHECK(value.mv_size > sizeof checksum, WF_DATA, "%s: %zu bytes are too few", who, value.mv_size);
    const char *text = (const char *)value.mv_data + sizeof checksum;
    size_t n = value.mv_size - sizeof checksum;
    memcpy(&checksum, value.mv_data, sizeof checksum);
    WF_CHECK(checksum == XXH3_64bits(text, n), WF_DATA, "%s: checksum is wrong", who);
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    WF_CHECK(root, WF_DATA, "%s: not JSON", who);
    int status = parse_state(who, root, state);
    json_decref(root);
    return status;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

/* Provenance is left out: a store made again by other means is the same store. */
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
    if (bytes) {
        json_dumpb(root, bytes + sizeof(uint64_t), n, JSON_COMPACT);
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
