/* batch.c - pictures encoded, by any thread, and not in the store yet */
#include <stdlib.h>
#include <string.h>

#include "private.h"

void wf_store_batch_destroy(wf_store_batch *batch)
{
    if (!batch)
        return;
    free(batch->bytes);
    free(batch->entries);
    free(batch);
}

void wf_store_batch_clear(wf_store_batch *b)
{
    b->used = b->count = 0;
    b->content = 0;
    b->open = false;
}

static int reserve(wf_store_batch *b, size_t bytes)
{
    const char *path = b->store->path;
    size_t need, want;
    WF_CHECK(WF_ADD(b->used, bytes, &need), WF_AGAIN, "%s: a batch too large", path);
    if (need > b->capacity) {
        want = need > 2 * b->capacity ? need : 2 * b->capacity;
        unsigned char *grown = realloc(b->bytes, want);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory for %zu bytes", path, want);
        b->bytes = grown;
        b->capacity = want;
    }
    if (b->count == b->room) {
        want = 2 * b->room + 16;
        wf_store_entry *grown = realloc(b->entries, want * sizeof *grown);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory", path);
        b->entries = grown;
        b->room = want;
    }
    return WF_OK;
}

int wf_store_encode(wf_store_batch *b, int level, uint64_t index, int rows, const float *low, const float *detail)
{
    wf_level_shape shape = wf_meta_level(&b->store->state.meta, level);
    wf_value *v = &b->value;
    if (!b->open) {
        WF_TRY(reserve(b, wf_value_bound(level, shape)));
        wf_value_begin(v, b->store->path, level, index, shape, b->bytes + b->used);
        b->open = true;
    }
    WF_CHECK(v->level == level && v->index == index, WF_INTERNAL, "%s: level %d, picture %llu: only %d of %d rows",
             v->who, v->level, (unsigned long long)v->index, v->rows, v->shape.H);
    WF_TRY(wf_value_rows(v, rows, low, detail));
    if (v->rows < shape.H)
        return WF_OK;
    b->open = false;
    b->entries[b->count++] = (wf_store_entry){level, index, b->used, v->size};
    b->used += v->size;
    b->content += v->checksum;
    return WF_OK;
}

int wf_store_batch_compare(const wf_store *store, const wf_store_batch *batch, MDB_txn *txn)
{
    for (const wf_store_entry *e = batch->entries; e < batch->entries + batch->count; e++) {
        char name[16];
        MDB_dbi database;
        unsigned char bytes[8];
        MDB_val key = wf_store_key(e->index, bytes), have;
        wf_level_name(e->level, name);
        WF_LMDB(store, mdb_dbi_open(txn, name, 0, &database), name);
        WF_LMDB(store, mdb_get(txn, database, &key, &have), "picture");
        WF_CHECK(have.mv_size == e->size && !memcmp(have.mv_data, batch->bytes + e->at, e->size), WF_DATA,
                 "%s: level %d has another picture %llu than the one given", store->path, e->level,
                 (unsigned long long)e->index);
    }
    return WF_OK;
}
