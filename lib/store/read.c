/* read.c - opening, checking and reading sealed stores */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lmdb_check.h"
#include "private.h"

struct wf_store {
    wf_store_file file;
    MDB_dbi levels[WF_MAX_LEVELS + 1]; /* of the levels held */
    uint64_t first;                    /* index at position 0, if indices are contiguous */
    uint64_t *indices;                 /* [count], ascending, if they are not; else NULL */
    bool named;                        /* `name_blocks` is there */
    MDB_dbi name_blocks;
    wf_names block; /* read last, of pictures from `block_first` on */
    uint64_t block_first;
    wf_names names; /* given last */
    bool borrows;   /* a part: the file is that of the whole */
};

/* -- opening ------------------------------------------------------------------------------------------------------- */

/* A lock on data.mdb lets in many readers or one writer, so LMDB's own lock is off (MDB_NOLOCK). This works in folders
 * that cannot be written, and there is no table of readers that fills up or goes stale. */
static int open_environment(wf_store_file *file, const char *name)
{
    file->data = open(name, O_RDONLY | O_CLOEXEC);
    if (file->data < 0)
        return wf_fail_errno("%s: cannot open, want a store", name);
    /* A file system without locks fails with another error: reading then goes on without a lock. */
    if (flock(file->data, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK)
        return wf_fail(WF_AGAIN, "%s: locked, it is being written", file->path);
    wf_lmdb_info info;
    WF_TRY(wf_lmdb_check(file->data, name, &info));
    WF_LMDB(file, mdb_env_create(&file->env), "open");
    WF_LMDB(file, mdb_env_set_mapsize(file->env, info.bytes), "map");
    WF_LMDB(file, mdb_env_set_maxdbs(file->env, WF_MAX_DATABASES), "open");
    WF_LMDB(file, mdb_env_open(file->env, file->path, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0), "open");
    return WF_OK;
}

/* Opens the databases. Their entries include pictures added since the seal. */
static int open_levels(wf_store *store, MDB_txn *txn)
{
    int64_t count = store->file.state.count + store->file.unsealed;
    for (int level = 0; level <= WF_MAX_LEVELS; level++) {
        if (!wf_store_has_level(store, level))
            continue;
        char name[16];
        MDB_stat stat;
        wf_level_name(level, name);
        WF_LMDB(&store->file, mdb_dbi_open(txn, name, 0, &store->levels[level]), name);
        WF_LMDB(&store->file, mdb_stat(txn, store->levels[level], &stat), name);
        WF_CHECK(stat.ms_entries == (size_t)count, WF_DATA, "%s: %s has %zu pictures, want %lld", store->file.path,
                 name, stat.ms_entries, (long long)count);
    }
    return WF_OK;
}

static int open_names(wf_store *store, MDB_txn *txn)
{
    int rc = mdb_dbi_open(txn, WF_NAMES, 0, &store->name_blocks);
    store->named = !rc;
    return !rc || rc == MDB_NOTFOUND ? WF_OK : wf_fail_lmdb(&store->file, rc, WF_NAMES);
}

/* Finds out whether indices are contiguous, and reads them all if not. Pictures added since the seal come last: with
 * any of them the last index is too great, and the indices are read one by one. */
static int read_indices(wf_store *store, MDB_cursor *cursor)
{
    size_t count = (size_t)store->file.state.count;
    MDB_val key, value;
    uint64_t last = 0;
    WF_LMDB(&store->file, mdb_cursor_get(cursor, &key, &value, MDB_LAST), "last picture");
    WF_TRY(wf_store_index(&store->file, key, &last));
    WF_LMDB(&store->file, mdb_cursor_get(cursor, &key, &value, MDB_FIRST), "first picture");
    WF_TRY(wf_store_index(&store->file, key, &store->first));
    WF_CHECK(last >= store->first && last - store->first >= count - 1, WF_DATA, "%s: pictures are out of order",
             store->file.path);
    if (last - store->first == count - 1)
        return WF_OK;
    store->indices = malloc(count * sizeof *store->indices);
    WF_CHECK(store->indices, WF_AGAIN, "%s: out of memory for %zu indices", store->file.path, count);
    for (size_t i = 0; i < count; i++) {
        if (i)
            WF_LMDB(&store->file, mdb_cursor_get(cursor, &key, &value, MDB_NEXT), "next picture");
        WF_TRY(wf_store_index(&store->file, key, &store->indices[i]));
        WF_CHECK(!i || store->indices[i] > store->indices[i - 1], WF_DATA, "%s: pictures are out of order",
                 store->file.path);
    }
    return WF_OK;
}

/* An environment without a state: of another program, or without the records that mdb_dump -a passes over. */
static int fail_without_state(const wf_store *store, MDB_txn *txn)
{
    const char *path = store->file.path;
    for (int level = 0; level <= WF_MAX_LEVELS; level++) {
        char name[16];
        MDB_dbi database;
        wf_level_name(level, name);
        WF_CHECK(mdb_dbi_open(txn, name, 0, &database), WF_DATA,
                 "%s: levels without their description, which mdb_dump -a leaves out: copy stores by cp -r or mdb_copy",
                 path);
    }
    return wf_fail(
        WF_DATA,
        "%s: an LMDB environment, but not a store of coefficients: wf-dwt -o STORE %s makes one of pictures in it",
        path, path);
}

/* Reads the state at the last seal, and counts the pictures added since. */
static int read_sealed(wf_store *store, MDB_txn *txn)
{
    bool found;
    wf_store_state *state = &store->file.state;
    WF_TRY(wf_state_read(&store->file, txn, WF_STATE_NOW, state, &found));
    if (!found)
        return fail_without_state(store, txn);
    if (state->sealed)
        return WF_OK;
    int64_t count = state->count;
    wf_meta_clear(&state->meta);
    WF_TRY(wf_state_read(&store->file, txn, WF_STATE_SEALED, state, &found));
    WF_CHECK(found, WF_DATA, "%s: not sealed: its writer was interrupted after %lld pictures", store->file.path,
             (long long)count);
    WF_CHECK(state->sealed && state->count <= count, WF_DATA, "%s: %lld pictures, of which %lld are sealed",
             store->file.path, (long long)count, (long long)state->count);
    store->file.unsealed = count - state->count;
    return WF_OK;
}

static int load_index(wf_store *store, MDB_txn *txn)
{
    WF_TRY(read_sealed(store, txn));
    WF_TRY(open_levels(store, txn));
    WF_TRY(open_names(store, txn));
    if (!store->file.state.count)
        return WF_OK;
    MDB_cursor *cursor;
    WF_LMDB(&store->file, mdb_cursor_open(txn, store->levels[store->file.state.meta.top], &cursor), "cursor");
    int status = read_indices(store, cursor);
    mdb_cursor_close(cursor);
    return status;
}

static int open_store(wf_store *store, const char *path)
{
    char name[4096];
    WF_TRY(wf_store_file_begin(&store->file, path, name, WF_NOINPUT));
    WF_TRY(open_environment(&store->file, name));
    MDB_txn *txn;
    WF_LMDB(&store->file, mdb_txn_begin(store->file.env, NULL, MDB_RDONLY, &txn), "open");
    int status = load_index(store, txn);
    if (status) {
        mdb_txn_abort(txn);
        return status;
    }
    WF_LMDB(&store->file, mdb_txn_commit(txn),
            "open"); /* commits, because an aborted transaction would close the databases */
    return WF_OK;
}

int wf_store_open(const char *path, wf_store **out)
{
    wf_store *store = calloc(1, sizeof *store);
    WF_CHECK(store, WF_AGAIN, "%s: out of memory", path);
    int status = open_store(store, path);
    if (status)
        wf_store_close(store);
    else
        *out = store;
    return status;
}

void wf_store_close(wf_store *store)
{
    if (!store)
        return;
    if (!store->borrows)
        wf_store_file_end(&store->file);
    free(store->indices);
    wf_names_clear(&store->block);
    wf_names_clear(&store->names);
    free(store);
}

const wf_meta *wf_store_meta(const wf_store *store)
{
    return &store->file.state.meta;
}

int64_t wf_store_count(const wf_store *store)
{
    return store->file.state.count;
}

int64_t wf_store_unsealed(const wf_store *store)
{
    return store->file.unsealed;
}

bool wf_store_has_level(const wf_store *store, int level)
{
    return level >= 0 && level <= WF_MAX_LEVELS && (store->file.state.mask >> level & 1);
}

const char *wf_store_hash(const wf_store *store)
{
    return store->file.state.hash;
}

/* -- names --------------------------------------------------------------------------------------------------------- */

static uint64_t index_at(const wf_store *store, int64_t at)
{
    return store->indices ? store->indices[at] : store->first + (uint64_t)at;
}

uint64_t wf_store_number(const wf_store *store, int64_t at)
{
    return index_at(store, at);
}

/* Reads the block whose first picture is the last one not after `index`. No such block: an empty one. */
static int read_block(wf_store *store, MDB_cursor *cursor, uint64_t index)
{
    unsigned char bytes[8];
    MDB_val want = wf_store_key(index, bytes), key = want, value;
    store->block.count = 0;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    else if (!rc && (key.mv_size != 8 || memcmp(key.mv_data, bytes, 8) != 0))
        rc = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
    if (rc == MDB_NOTFOUND)
        return WF_OK;
    WF_LMDB(&store->file, rc, WF_NAMES);
    WF_TRY(wf_store_index(&store->file, key, &store->block_first));
    return wf_names_decode(store->file.path, store->block_first, value.mv_data, value.mv_size, &store->block);
}

static int read_names(wf_store *store, MDB_cursor *cursor, int64_t at, int64_t n)
{
    for (int64_t i = at; i < at + n; i++) {
        uint64_t index = index_at(store, i);
        if (index - store->block_first >= store->block.count)
            WF_TRY(read_block(store, cursor, index));
        bool named = index - store->block_first < store->block.count;
        const char *name = named ? store->block.bytes + store->block.at[index - store->block_first] : "";
        WF_TRY(wf_names_add(&store->names, name, strlen(name)));
    }
    return WF_OK;
}

int wf_store_names(wf_store *store, int64_t at, int64_t n, const char *const **names)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    *names = NULL;
    if (!store->named)
        return WF_OK;
    WF_CHECK(at >= 0 && n >= 0 && at <= store->file.state.count - n, WF_INTERNAL, "%s: names of %lld pictures at %lld",
             store->file.path, (long long)n, (long long)at);
    store->names.used = store->names.count = 0;
    WF_LMDB(&store->file, mdb_txn_begin(store->file.env, NULL, MDB_RDONLY, &txn), "read");
    int rc = mdb_cursor_open(txn, store->name_blocks, &cursor), status;
    status = rc ? wf_fail_lmdb(&store->file, rc, WF_NAMES) : read_names(store, cursor, at, n);
    if (!rc)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    WF_TRY(status);
    return wf_names_table(&store->names, names);
}

static int verify_blocks(wf_store *store, MDB_cursor *cursor)
{
    MDB_val key, value;
    for (;;) {
        uint64_t first;
        int rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (rc == MDB_NOTFOUND)
            return WF_OK;
        WF_LMDB(&store->file, rc, WF_NAMES);
        WF_TRY(wf_store_index(&store->file, key, &first));
        WF_TRY(wf_names_decode(store->file.path, first, value.mv_data, value.mv_size, &store->names));
    }
}

static int verify_names(wf_store *store)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    if (!store->named)
        return WF_OK;
    WF_LMDB(&store->file, mdb_txn_begin(store->file.env, NULL, MDB_RDONLY, &txn), "read");
    int rc = mdb_cursor_open(txn, store->name_blocks, &cursor), status;
    status = rc ? wf_fail_lmdb(&store->file, rc, WF_NAMES) : verify_blocks(store, cursor);
    if (!rc)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return status;
}

/* -- values -------------------------------------------------------------------------------------------------------- */

static int get_value(wf_store *store, int level, uint64_t index, const wf_window *window, float *low, float *detail,
                     uint64_t *checksum)
{
    unsigned char bytes[8];
    MDB_val key = wf_store_key(index, bytes), value;
    MDB_txn *txn;
    WF_LMDB(&store->file, mdb_txn_begin(store->file.env, NULL, MDB_RDONLY, &txn), "read");
    int rc = mdb_get(txn, store->levels[level], &key, &value), status;
    if (rc == MDB_NOTFOUND)
        status =
            wf_fail(WF_DATA, "%s: level %d lacks picture %llu", store->file.path, level, (unsigned long long)index);
    else if (rc)
        status = wf_fail_lmdb(&store->file, rc, "read");
    else
        status = wf_value_decode(store->file.path, level, index, value, wf_meta_level(&store->file.state.meta, level),
                                 window, low, detail, checksum);
    mdb_txn_abort(txn);
    return status;
}

/* Opens the pictures of `indices` [count], which the part owns; freed on failure too. */
static int open_part(const wf_store *whole, uint64_t *indices, int64_t count, wf_store **out)
{
    wf_store *store = indices ? calloc(1, sizeof *store) : NULL;
    if (!store) {
        free(indices);
        return wf_fail(WF_AGAIN, "%s: out of memory for %lld indices", whole->file.path,
                       (long long)wf_store_count(whole));
    }
    *store = *whole;
    store->indices = indices;
    store->borrows = true;
    store->block = store->names = (wf_names){0}; /* read anew, as each is of its own store */
    store->file.state.count = count;
    *out = store;
    return WF_OK;
}

int wf_store_open_part(const wf_store *whole, int percent, wf_store_part part, wf_store **out)
{
    int64_t count = wf_store_count(whole), kept = 0;
    uint64_t *indices = malloc((size_t)(count + 1) * sizeof *indices); /* one more: NULL is no failure for none */
    for (int64_t at = 0; indices && at < count; at++)
        if (wf_is_held_out(index_at(whole, at), percent) == (part == WF_PART_HELD_OUT))
            indices[kept++] = index_at(whole, at);
    return open_part(whole, indices, kept, out);
}

int wf_store_open_shard(const wf_store *whole, wf_shard shard, int64_t count, wf_store **out)
{
    int64_t all = wf_store_count(whole), kept = 0;
    count = count && count < all ? count : all;
    uint64_t *indices = malloc((size_t)(wf_shard_count(shard, 0, count) + 1) * sizeof *indices);
    for (int64_t at = wf_shard_place(shard, 0); indices && at < count; at = wf_shard_place(shard, at + 1))
        indices[kept++] = index_at(whole, at);
    return open_part(whole, indices, kept, out);
}

static wf_window whole_level(const wf_store *store, int level)
{
    wf_level_shape s = wf_meta_level(&store->file.state.meta, level);
    return (wf_window){0, 0, s.H, s.W};
}

int wf_store_get_window(wf_store *store, int level, int64_t at, const wf_window *w, float *low, float *detail,
                        uint64_t *index)
{
    WF_CHECK(wf_store_has_level(store, level), WF_DATA, "%s: does not hold level %d", store->file.path, level);
    WF_CHECK(at >= 0 && at < store->file.state.count, WF_INTERNAL, "%s: picture %lld of %lld", store->file.path,
             (long long)at, (long long)store->file.state.count);
    wf_window all = whole_level(store, level);
    WF_CHECK(w->y >= 0 && w->x >= 0 && w->h > 0 && w->w > 0 && w->h <= all.h - w->y && w->w <= all.w - w->x,
             WF_INTERNAL, "%s: level %d: %dx%d pixels at (%d,%d) of %dx%d", store->file.path, level, w->h, w->w, w->y,
             w->x, all.h, all.w);
    uint64_t checksum, key = index_at(store, at);
    if (index)
        *index = key;
    return get_value(store, level, key, w, low, detail, &checksum);
}

int wf_store_get(wf_store *store, int level, int64_t at, float *low, float *detail, uint64_t *index)
{
    WF_CHECK(wf_store_has_level(store, level), WF_DATA, "%s: does not hold level %d", store->file.path, level);
    wf_window all = whole_level(store, level);
    return wf_store_get_window(store, level, at, &all, low, detail, index);
}

int wf_store_size(wf_store *store, int level, size_t *bytes, wf_dtype *dtype)
{
    WF_CHECK(wf_store_has_level(store, level), WF_DATA, "%s: does not hold level %d", store->file.path, level);
    unsigned char first[8];
    MDB_val key = wf_store_key(store->file.state.count ? index_at(store, 0) : 0, first), value;
    MDB_stat stat;
    MDB_txn *txn;
    WF_LMDB(&store->file, mdb_txn_begin(store->file.env, NULL, MDB_RDONLY, &txn), "read");
    int rc = mdb_stat(txn, store->levels[level], &stat);
    if (!rc)
        rc = mdb_get(txn, store->levels[level], &key, &value);
    bool known = !rc && wf_value_dtype(value, dtype);
    mdb_txn_abort(txn);
    WF_LMDB(&store->file, rc, "read");
    WF_CHECK(known, WF_DATA, "%s: level %d: unknown type of value, want F16 or F32", store->file.path, level);
    *bytes = (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
    return WF_OK;
}

static int verify_values(wf_store *store, float *values, const wf_watch *watch)
{
    uint64_t content = 0;
    int64_t count = 0, damaged = 0;
    char first[1024];
    for (int level = 0; level <= store->file.state.meta.top; level++) {
        if (!wf_store_has_level(store, level))
            continue;
        wf_level_shape shape = wf_meta_level(&store->file.state.meta, level);
        wf_window all = whole_level(store, level);
        float *detail = values + (size_t)shape.H * (size_t)shape.W * (size_t)shape.C;
        for (int64_t at = 0; at < store->file.state.count; at++) {
            uint64_t checksum = 0;
            int status = get_value(store, level, index_at(store, at), &all, values, detail, &checksum);
            if (status && status != WF_DATA)
                return status;
            if (status && !damaged++)
                snprintf(first, sizeof first, "%s", wf_error());
            content += checksum;
            count++;
            if (watch)
                wf_watched(watch, level, 1);
        }
    }
    WF_CHECK(!damaged, WF_DATA, "%s; of %lld values %lld are damaged", first, (long long)count, (long long)damaged);
    WF_CHECK(content == store->file.state.content, WF_DATA,
             "%s: the checksums of all values add up to %016llx, want %016llx", store->file.path,
             (unsigned long long)content, (unsigned long long)store->file.state.content);
    return WF_OK;
}

int wf_store_verify(wf_store *store, const wf_watch *watch)
{
    /* The top level is the largest: its low and detail have as many coefficients as a picture has samples. */
    const wf_meta *m = &store->file.state.meta;
    float *values = malloc((size_t)m->H * (size_t)m->W * (size_t)m->C * sizeof *values);
    WF_CHECK(values, WF_AGAIN, "%s: out of memory", store->file.path);
    int status = verify_values(store, values, watch);
    free(values);
    WF_TRY(status);
    return verify_names(store);
}
