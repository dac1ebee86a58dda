/* read.c - sealed stores: opened, checked and read by many */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lmdb_check.h"
#include "private.h"

/* -- opening ------------------------------------------------------------------------------------------------------- */

/* Our own lock lets in many readers or one writer, so LMDB's is not needed (MDB_NOLOCK): no lock file, which works in
 * folders that cannot be written, and no table of readers that fills up or goes stale. */
static int open_environment(wf_store *store)
{
    char name[4096];
    WF_CHECK((size_t)snprintf(name, sizeof name, "%s/data.mdb", store->path) < sizeof name, WF_NOINPUT,
             "%s: too long a path", store->path);
    store->data = open(name, O_RDONLY | O_CLOEXEC);
    if (store->data < 0)
        return wf_fail_errno("%s: cannot open, want a store", name);
    /* Where a file system has no locks at all, reading without one is all there is. */
    if (flock(store->data, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK)
        return wf_fail(WF_AGAIN, "%s: locked, it is being written", store->path);
    wf_lmdb_info info;
    WF_TRY(wf_lmdb_check(store->data, name, &info));
    WF_LMDB(store, mdb_env_create(&store->env), "open");
    WF_LMDB(store, mdb_env_set_mapsize(store->env, info.bytes), "map");
    WF_LMDB(store, mdb_env_set_maxdbs(store->env, WF_MAX_DATABASES), "open");
    WF_LMDB(store, mdb_env_open(store->env, store->path, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0), "open");
    return WF_OK;
}

/* All there are, those added since the seal too. */
static int open_levels(wf_store *store, MDB_txn *txn)
{
    int64_t count = store->state.count + store->unsealed;
    for (int level = 0; level <= WF_MAX_LEVELS; level++) {
        if (!wf_store_has_level(store, level))
            continue;
        char name[16];
        MDB_stat stat;
        wf_level_name(level, name);
        WF_LMDB(store, mdb_dbi_open(txn, name, 0, &store->levels[level]), name);
        WF_LMDB(store, mdb_stat(txn, store->levels[level], &stat), name);
        WF_CHECK(stat.ms_entries == (size_t)count, WF_DATA, "%s: %s has %zu pictures, want %lld", store->path, name,
                 stat.ms_entries, (long long)count);
    }
    return WF_OK;
}

/* Pictures added since the seal are the last ones: where there are any, indices are read one by one. */
static int read_indices(wf_store *store, MDB_cursor *cursor)
{
    size_t count = (size_t)store->state.count;
    MDB_val key, value;
    uint64_t last = 0;
    WF_LMDB(store, mdb_cursor_get(cursor, &key, &value, MDB_LAST), "last picture");
    WF_TRY(wf_store_index(store, key, &last));
    WF_LMDB(store, mdb_cursor_get(cursor, &key, &value, MDB_FIRST), "first picture");
    WF_TRY(wf_store_index(store, key, &store->first));
    WF_CHECK(last >= store->first && last - store->first >= count - 1, WF_DATA, "%s: pictures are out of order",
             store->path);
    if (last - store->first == count - 1)
        return WF_OK;
    store->indices = malloc(count * sizeof *store->indices);
    WF_CHECK(store->indices, WF_AGAIN, "%s: out of memory for %zu indices", store->path, count);
    for (size_t i = 0; i < count; i++) {
        if (i)
            WF_LMDB(store, mdb_cursor_get(cursor, &key, &value, MDB_NEXT), "next picture");
        WF_TRY(wf_store_index(store, key, &store->indices[i]));
        WF_CHECK(!i || store->indices[i] > store->indices[i - 1], WF_DATA, "%s: pictures are out of order",
                 store->path);
    }
    return WF_OK;
}

/* While pictures are being added, what was there before they were. */
static int read_sealed(wf_store *store, MDB_txn *txn)
{
    bool found;
    wf_store_state *state = &store->state;
    WF_TRY(wf_state_read(store, txn, WF_STATE_NOW, state, &found));
    WF_CHECK(found, WF_DATA, "%s: an LMDB environment, but no store of coefficients", store->path);
    if (state->sealed)
        return WF_OK;
    int64_t count = state->count;
    wf_meta_clear(&state->meta);
    WF_TRY(wf_state_read(store, txn, WF_STATE_SEALED, state, &found));
    WF_CHECK(found, WF_DATA, "%s: not sealed, its making was interrupted after %lld pictures", store->path,
             (long long)count);
    WF_CHECK(state->sealed && state->count <= count, WF_DATA, "%s: %lld pictures, of which %lld are sealed",
             store->path, (long long)count, (long long)state->count);
    store->unsealed = count - state->count;
    return WF_OK;
}

static int load(wf_store *store, MDB_txn *txn)
{
    WF_TRY(read_sealed(store, txn));
    WF_TRY(open_levels(store, txn));
    if (!store->state.count)
        return WF_OK;
    MDB_cursor *cursor;
    WF_LMDB(store, mdb_cursor_open(txn, store->levels[store->state.meta.top], &cursor), "cursor");
    int status = read_indices(store, cursor);
    mdb_cursor_close(cursor);
    return status;
}

static int open_store(wf_store *store, const char *path)
{
    store->path = strdup(path);
    WF_CHECK(store->path, WF_AGAIN, "%s: out of memory", path);
    WF_TRY(open_environment(store));
    MDB_txn *txn;
    WF_LMDB(store, mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), "open");
    int status = load(store, txn);
    if (status) {
        mdb_txn_abort(txn);
        return status;
    }
    WF_LMDB(store, mdb_txn_commit(txn), "open"); /* keeps the databases open */
    return WF_OK;
}

int wf_store_open(const char *path, wf_store **out)
{
    wf_store *store = calloc(1, sizeof *store);
    WF_CHECK(store, WF_AGAIN, "%s: out of memory", path);
    store->data = -1;
    int status = open_store(store, path);
    if (status)
        wf_store_close(store);
    else
        *out = store;
    return status;
}

/* -- values -------------------------------------------------------------------------------------------------------- */

static int get(wf_store *store, int level, uint64_t index, const wf_window *window, float *low, float *detail,
               uint64_t *checksum)
{
    unsigned char bytes[8];
    MDB_val key = wf_store_key(index, bytes), value;
    MDB_txn *txn;
    WF_LMDB(store, mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), "read");
    int rc = mdb_get(txn, store->levels[level], &key, &value), status;
    if (rc == MDB_NOTFOUND)
        status = wf_fail(WF_DATA, "%s: level %d lacks picture %llu", store->path, level, (unsigned long long)index);
    else if (rc)
        status = wf_fail_lmdb(store, rc, "read");
    else
        status = wf_value_decode(store->path, level, index, value, wf_meta_level(&store->state.meta, level), window,
                                 low, detail, checksum);
    mdb_txn_abort(txn);
    return status;
}

static uint64_t index_at(const wf_store *store, int64_t at)
{
    return store->indices ? store->indices[at] : store->first + (uint64_t)at;
}

static wf_window whole(const wf_store *store, int level)
{
    wf_level_shape s = wf_meta_level(&store->state.meta, level);
    return (wf_window){0, 0, s.H, s.W};
}

int wf_store_get_window(wf_store *store, int level, int64_t at, const wf_window *w, float *low, float *detail,
                        uint64_t *index)
{
    WF_CHECK(wf_store_has_level(store, level), WF_DATA, "%s: holds no level %d", store->path, level);
    WF_CHECK(at >= 0 && at < store->state.count, WF_INTERNAL, "%s: picture %lld of %lld", store->path, (long long)at,
             (long long)store->state.count);
    wf_window all = whole(store, level);
    WF_CHECK(w->y >= 0 && w->x >= 0 && w->h > 0 && w->w > 0 && w->h <= all.h - w->y && w->w <= all.w - w->x,
             WF_INTERNAL, "%s: level %d: %dx%d pixels at (%d,%d) of %dx%d", store->path, level, w->h, w->w, w->y, w->x,
             all.h, all.w);
    uint64_t checksum, key = index_at(store, at);
    if (index)
        *index = key;
    return get(store, level, key, w, low, detail, &checksum);
}

int wf_store_get(wf_store *store, int level, int64_t at, float *low, float *detail, uint64_t *index)
{
    WF_CHECK(wf_store_has_level(store, level), WF_DATA, "%s: holds no level %d", store->path, level);
    wf_window all = whole(store, level);
    return wf_store_get_window(store, level, at, &all, low, detail, index);
}

int wf_store_size(wf_store *store, int level, size_t *bytes, wf_dtype *dtype)
{
    WF_CHECK(wf_store_has_level(store, level), WF_DATA, "%s: holds no level %d", store->path, level);
    unsigned char first[8];
    MDB_val key = wf_store_key(store->state.count ? index_at(store, 0) : 0, first), value;
    MDB_stat stat;
    MDB_txn *txn;
    WF_LMDB(store, mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), "read");
    int rc = mdb_stat(txn, store->levels[level], &stat);
    if (!rc)
        rc = mdb_get(txn, store->levels[level], &key, &value);
    bool known = !rc && wf_value_dtype(value, dtype);
    mdb_txn_abort(txn);
    WF_LMDB(store, rc, "read");
    WF_CHECK(known, WF_DATA, "%s: level %d: unknown kind of value", store->path, level);
    *bytes = (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
    return WF_OK;
}

static int verify(wf_store *store, float *values)
{
    uint64_t content = 0;
    int64_t count = 0, damaged = 0;
    char first[1024];
    for (int level = 0; level <= store->state.meta.top; level++) {
        if (!wf_store_has_level(store, level))
            continue;
        wf_level_shape shape = wf_meta_level(&store->state.meta, level);
        wf_window all = whole(store, level);
        float *detail = values + (size_t)shape.H * (size_t)shape.W * (size_t)shape.C;
        for (int64_t at = 0; at < store->state.count; at++) {
            uint64_t checksum = 0;
            int status = get(store, level, index_at(store, at), &all, values, detail, &checksum);
            if (status && status != WF_DATA)
                return status;
            if (status && !damaged++)
                snprintf(first, sizeof first, "%s", wf_error());
            content += checksum;
            count++;
        }
    }
    WF_CHECK(!damaged, WF_DATA, "%s; of %lld values %lld are damaged", first, (long long)count, (long long)damaged);
    WF_CHECK(content == store->state.content, WF_DATA, "%s: values add up to %016llx, but %016llx is sealed",
             store->path, (unsigned long long)content, (unsigned long long)store->state.content);
    return WF_OK;
}

int wf_store_verify(wf_store *store)
{
    /* The top level is the largest: low and detail are as many as the picture's own samples, or the base alone. */
    const wf_meta *m = &store->state.meta;
    float *values = malloc((size_t)m->H * (size_t)m->W * (size_t)m->C * sizeof *values);
    WF_CHECK(values, WF_AGAIN, "%s: out of memory", store->path);
    int status = verify(store, values);
    free(values);
    return status;
}
