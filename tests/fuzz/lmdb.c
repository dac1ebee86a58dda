/* lmdb.c - lmdb_check: liblmdb must read every file that it accepts without a crash */
#include <lmdb.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/store/lmdb_check.h"
#include "fuzz.h"

static uint64_t touched;

static void walk(MDB_txn *txn, MDB_dbi dbi, bool names)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    if (mdb_cursor_open(txn, dbi, &cursor))
        return;
    while (!mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        for (size_t i = 0; i < value.mv_size; i++)
            touched += ((const uint8_t *)value.mv_data)[i];
        MDB_dbi sub;
        char *name = names ? strndup(key.mv_data, key.mv_size) : NULL;
        if (name && !mdb_dbi_open(txn, name, 0, &sub))
            walk(txn, sub, false);
        free(name);
    }
    mdb_cursor_close(cursor);
}

static void read_all(int descriptor, const wf_lmdb_info *info)
{
    char path[64];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi main;
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (mdb_env_create(&env))
        return;
    mdb_env_set_mapsize(env, info->bytes);
    mdb_env_set_maxdbs(env, 64);
    if (!mdb_env_open(env, path, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0) &&
        !mdb_txn_begin(env, NULL, MDB_RDONLY, &txn)) {
        if (!mdb_dbi_open(txn, NULL, 0, &main))
            walk(txn, main, true);
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    int descriptor = memfd_create("fuzz", 0);
    wf_lmdb_info info;
    if (descriptor < 0 || write(descriptor, bytes, n) != (ssize_t)n)
        abort();
    int status = wf_lmdb_check(descriptor, "fuzz", &info);
    fuzz_check(status);
    if (!status)
        read_all(descriptor, &info);
    close(descriptor);
    return 0;
}
