/* name_blocks.c - writing the names of pictures into the blocks of a store */
#include <errno.h>
#include <stdlib.h>

#include "private.h"

/* Names of pictures with successive indices, until they fill a block. */
typedef struct name_run {
    MDB_txn *txn;
    MDB_dbi database;
    uint64_t first;
    const char *names[WF_NAME_BLOCK];
    int count;
    unsigned char *bytes; /* [room] */
    size_t room;
} name_run;

/* Returns an LMDB code. */
static int end_run(const wf_store_file *file, name_run *run)
{
    unsigned char bytes[8];
    size_t size;
    if (!run->count)
        return 0;
    if (wf_names_encode(file->path, run->first, run->names, run->count, &run->bytes, &run->room, &size))
        return ENOMEM;
    MDB_val key = wf_store_key(run->first, bytes), value = {size, run->bytes};
    run->count = 0;
    return mdb_put(run->txn, run->database, &key, &value, 0);
}

/* Returns an LMDB code. */
static int add_to_run(const wf_store_file *file, name_run *run, uint64_t index, const char *name)
{
    int rc = 0;
    if (run->count == WF_NAME_BLOCK || index != run->first + (uint64_t)run->count)
        rc = end_run(file, run);
    if (rc)
        return rc;
    if (!run->count)
        run->first = index;
    run->names[run->count++] = name;
    return 0;
}

int wf_store_write_names(const wf_store_file *file, MDB_txn *txn, const wf_store_encoded *first)
{
    name_run run = {.txn = txn};
    int rc = 0;
    bool open = false;
    for (const wf_store_encoded *e = first; e && !rc; e = e->next) {
        if (e->names.count && !open)
            rc = mdb_dbi_open(txn, WF_NAMES, MDB_CREATE, &run.database);
        open = open || e->names.count;
        for (size_t i = 0; i < e->names.count && !rc; i++)
            rc = add_to_run(file, &run, e->named[i], e->names.bytes + e->names.at[i]);
    }
    if (!rc)
        rc = end_run(file, &run);
    free(run.bytes);
    return rc;
}
