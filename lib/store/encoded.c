/* encoded.c - pictures encoded in memory, by any thread, before a writer takes them */
#include <stdlib.h>
#include <string.h>

#include "private.h"

void wf_store_encoded_destroy(wf_store_encoded *encoded)
{
    if (!encoded)
        return;
    free(encoded->bytes);
    free(encoded->entries);
    wf_names_clear(&encoded->names);
    free(encoded->named);
    free(encoded);
}

void wf_store_encoded_clear(wf_store_encoded *e)
{
    e->used = e->count = 0;
    e->names.used = e->names.count = 0;
    e->content = 0;
    e->open = false;
}

/* Makes room for one more entry of `bytes` bytes. */
static int reserve_entry(wf_store_encoded *e, size_t bytes)
{
    const char *path = e->file->path;
    size_t need, want;
    WF_CHECK(WF_ADD(e->used, bytes, &need), WF_AGAIN, "%s: too many encoded pictures for memory", path);
    if (need > e->capacity) {
        want = need > 2 * e->capacity ? need : 2 * e->capacity;
        unsigned char *grown = realloc(e->bytes, want);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory for %zu bytes", path, want);
        e->bytes = grown;
        e->capacity = want;
    }
    if (e->count == e->room) {
        want = 2 * e->room + 16;
        wf_store_entry *grown = realloc(e->entries, want * sizeof *grown);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory", path);
        e->entries = grown;
        e->room = want;
    }
    return WF_OK;
}

int wf_store_encode(wf_store_encoded *e, int level, uint64_t index, int rows, const float *low, const float *detail)
{
    wf_level_shape shape = wf_meta_level(&e->file->state.meta, level);
    wf_value *v = &e->value;
    if (!e->open) {
        WF_TRY(reserve_entry(e, wf_value_bound(level, shape)));
        wf_value_begin(v, e->file->path, level, index, shape, e->bytes + e->used);
        e->open = true;
    }
    WF_CHECK(v->level == level && v->index == index, WF_INTERNAL, "%s: level %d, picture %llu: only %d of %d rows",
             v->who, v->level, (unsigned long long)v->index, v->rows, v->shape.H);
    WF_TRY(wf_value_rows(v, rows, low, detail));
    if (v->rows < shape.H)
        return WF_OK;
    e->open = false;
    e->entries[e->count++] = (wf_store_entry){level, index, e->used, v->size};
    e->used += v->size;
    e->content += v->checksum;
    return WF_OK;
}

int wf_store_encode_name(wf_store_encoded *e, uint64_t index, const char *name)
{
    size_t n = e->names.count;
    if (!name || !*name)
        return WF_OK;
    if (n == e->named_room) {
        size_t room = 2 * n + 64;
        uint64_t *grown = realloc(e->named, room * sizeof *grown);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory", e->file->path);
        e->named = grown;
        e->named_room = room;
    }
    WF_TRY(wf_names_add(&e->names, name, strlen(name)));
    e->named[n] = index;
    return WF_OK;
}

int wf_store_encoded_compare(const wf_store_encoded *encoded, MDB_txn *txn)
{
    const wf_store_file *file = encoded->file;
    for (const wf_store_entry *e = encoded->entries; e < encoded->entries + encoded->count; e++) {
        char name[16];
        MDB_dbi database;
        unsigned char bytes[8];
        MDB_val key = wf_store_key(e->index, bytes), have;
        wf_level_name(e->level, name);
        WF_LMDB(file, mdb_dbi_open(txn, name, 0, &database), name);
        WF_LMDB(file, mdb_get(txn, database, &key, &have), "picture");
        WF_CHECK(have.mv_size == e->size && !memcmp(have.mv_data, encoded->bytes + e->at, e->size), WF_DATA,
                 "%s: level %d has another picture %llu than the one given", file->path, e->level,
                 (unsigned long long)e->index);
    }
    return WF_OK;
}
