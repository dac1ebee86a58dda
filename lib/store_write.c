/* store_write.c - making a store: whole pictures in durable transactions, then the seal
 *
 * Encoded pictures wait in memory until there are enough for one transaction, so that a transaction that met a full map
 * can be tried again. A thread commits them while the next ones are put. Only whole batches are committed: what is in the
 * file are always pictures with all their levels. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "lmdb_check.h"
#include "meta_text.h"
#include "store_private.h"

enum { COMMIT_BYTES = 64 << 20, COMMIT_PICTURES = 1000, FIRST_MAP = 16 << 20 };

typedef struct entry {
    int level;
    uint64_t index;
    size_t at, size; /* in bytes[] */
} entry;

/* Encoded pictures. */
typedef struct load {
    unsigned char *bytes;
    size_t used, capacity;
    entry *entries;
    size_t count, room;
} load;

struct wf_pending {
    load load;         /* put so far */
    int64_t pictures;  /* of whole batches */
    uint64_t content;  /* sum of the checksums of all entries */
    uint64_t *indices; /* [N] of the batch under way */
    int64_t N;         /* 0: none is under way */
    uint32_t mask;     /* its levels so far */
    int level;         /* the last of them */
    bool ascends;      /* indices must, being added to sealed ones: */
    uint64_t last;     /* the last so far, if there are pictures */
    bool failed;       /* a put or commit went wrong: what follows could only make a store with a hole */

    bool running; /* `thread` commits `under_way`, with which the store will be `next` */
    pthread_t thread;
    load under_way;
    wf_store_state next; /* borrows the provenance */
    int status;          /* of that commit */
    char message[1024];
};

static void join(wf_store *store);

void wf_store_abandon(wf_store *store)
{
    wf_pending *p = store->pending;
    if (!p)
        return;
    join(store);
    free(p->load.bytes);
    free(p->load.entries);
    free(p->under_way.bytes);
    free(p->under_way.entries);
    free(p->indices);
    free(p);
}

/* -- creating ------------------------------------------------------------------------------------------------------ */

static int open_data(wf_store *store, bool *empty)
{
    struct stat info;
    WF_TRY(wf_mkdirs(store->path));
    char name[4096];
    WF_CHECK((size_t)snprintf(name, sizeof name, "%s/data.mdb", store->path) < sizeof name, WF_USAGE,
             "%s: too long a path", store->path);
    store->data = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (store->data < 0)
        return wf_fail_write(name);
    if (flock(store->data, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? wf_fail(WF_AGAIN, "%s: locked, it is being read or written", store->path)
                                    : wf_fail_write(name);
    if (fstat(store->data, &info))
        return wf_fail_write(name);
    *empty = info.st_size == 0;
    wf_lmdb_info sizes = {0};
    if (!*empty)
        WF_TRY(wf_lmdb_check(store->data, name, &sizes));
    store->map = sizes.bytes > FIRST_MAP / 2 ? 2 * sizes.bytes : FIRST_MAP;
    return WF_OK;
}

/* LMDB's own lock is held as well, against other programs that write. */
static int open_environment(wf_store *store)
{
    WF_LMDB(store, mdb_env_create(&store->env), "create");
    WF_LMDB(store, mdb_env_set_mapsize(store->env, store->map), "map");
    WF_LMDB(store, mdb_env_set_maxdbs(store->env, WF_MAX_DATABASES), "create");
    WF_LMDB(store, mdb_env_open(store->env, store->path, 0, 0666), "create");
    return WF_OK;
}

/* The index behind which pictures are added, if there are any. */
static int read_last(wf_store *store, MDB_txn *txn, const wf_store_state *state)
{
    char name[16];
    MDB_dbi top;
    MDB_cursor *cursor;
    MDB_val key, value;
    if (!state->count)
        return WF_OK;
    wf_level_name(state->meta.top, name);
    WF_LMDB(store, mdb_dbi_open(txn, name, 0, &top), name);
    WF_LMDB(store, mdb_cursor_open(txn, top, &cursor), name);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    int status = rc ? wf_fail_lmdb(store, rc, name) : wf_store_index(store, key, &store->pending->last);
    mdb_cursor_close(cursor);
    return status;
}

static int read_states(wf_store *store, MDB_txn *txn, wf_store_state *now, bool *found)
{
    MDB_stat stat;
    wf_store_state sealed = {0};
    WF_TRY(wf_state_read(store, txn, WF_STATE_NOW, now, found));
    if (!*found) {
        WF_LMDB(store, mdb_env_stat(store->env, &stat), "read");
        WF_CHECK(!stat.ms_entries, WF_USAGE, "%s: an LMDB environment of something else", store->path);
        return WF_OK;
    }
    bool *added = &store->pending->ascends;
    WF_TRY(wf_state_read(store, txn, WF_STATE_SEALED, &sealed, added));
    *added = *added || now->sealed;
    store->unsealed = now->sealed ? 0 : now->count - sealed.count;
    wf_meta_clear(&sealed.meta);
    WF_CHECK(store->unsealed >= 0, WF_DATA, "%s: fewer pictures than are sealed", store->path);
    return *added ? read_last(store, txn, now) : WF_OK;
}

static int read_state(wf_store *store, wf_store_state *state, bool *found)
{
    MDB_txn *txn;
    WF_LMDB(store, mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), "read");
    int status = read_states(store, txn, state, found);
    mdb_txn_abort(txn);
    return status;
}

/* Goes on with what is there: its pictures, and a provenance that tells of both. */
static int continue_state(wf_store *store, const wf_meta *meta, wf_store_state *there)
{
    WF_TRY(wf_meta_match(meta, "new pictures", &there->meta, store->path));
    WF_CHECK(meta->top == there->meta.top, WF_DATA, "new pictures: top is %d, but %d in %s", meta->top, there->meta.top,
             store->path);
    if (meta->provenance)
        WF_TRY(wf_meta_join_provenance(&there->meta, meta->provenance));
    store->state = *there;
    there->meta.provenance = NULL; /* now owned by the store */
    return WF_OK;
}

static int commit(wf_store *store);
static int settle(wf_store *store);

static int start(wf_store *store, const wf_meta *meta, bool append)
{
    WF_TRY(wf_meta_check(meta, store->path));
    store->pending = calloc(1, sizeof *store->pending);
    WF_CHECK(store->pending, WF_AGAIN, "%s: out of memory", store->path);
    bool empty, found;
    WF_TRY(open_data(store, &empty));
    WF_TRY(open_environment(store));
    wf_store_state there = {0};
    WF_TRY(read_state(store, &there, &found));
    if (!found) { /* new, or killed before its first commit */
        WF_TRY(wf_meta_copy(&store->state.meta, meta));
        WF_TRY(commit(store));
        return settle(store);
    }
    int status = append || !store->pending->ascends
                     ? continue_state(store, meta, &there)
                     : wf_fail(WF_USAGE, "%s: a complete store is there already; see --append", store->path);
    wf_meta_clear(&there.meta);
    return status;
}

int wf_store_create(const char *path, const wf_meta *meta, bool append, wf_store **out, int64_t *count)
{
    wf_store *store = calloc(1, sizeof *store);
    WF_CHECK(store, WF_AGAIN, "%s: out of memory", path);
    store->data = -1;
    store->path = strdup(path);
    int status = store->path ? start(store, meta, append) : wf_fail(WF_AGAIN, "%s: out of memory", path);
    if (status) {
        wf_store_close(store);
        return status;
    }
    *out = store;
    *count = store->state.count;
    return WF_OK;
}

/* -- committing ---------------------------------------------------------------------------------------------------- */

/* A failed write that stopped half way is EIO to LMDB; the next byte tells why it did. */
static int reason_of(const wf_store *store, int rc)
{
    struct stat info;
    if (rc != EIO || fstat(store->data, &info))
        return rc;
    errno = EIO;
    if (pwrite(store->data, "", 1, info.st_size) == 1 && ftruncate(store->data, info.st_size))
        return EIO;
    return errno;
}

/* All of this returns LMDB codes. */
static int write_entries(const wf_store *store, MDB_txn *txn, const entry **at)
{
    const load *l = &store->pending->under_way;
    MDB_dbi levels[WF_MAX_LEVELS + 1];
    for (int level = 0; level <= WF_MAX_LEVELS; level++) {
        char name[16];
        wf_level_name(level, name);
        int rc = store->pending->next.mask >> level & 1 ? mdb_dbi_open(txn, name, MDB_CREATE, &levels[level]) : 0;
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < l->count; i++) {
        const entry *e = *at = &l->entries[i];
        unsigned char bytes[8];
        MDB_val key = wf_store_key(e->index, bytes), value = {e->size, l->bytes + e->at};
        int rc = mdb_put(txn, levels[e->level], &key, &value, MDB_NOOVERWRITE);
        if (rc)
            return rc;
    }
    return 0;
}

static int try_commit(const wf_store *store, const entry **at)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc)
        return rc;
    rc = write_entries(store, txn, at);
    if (!rc)
        rc = wf_state_write(txn, &store->pending->next);
    if (!rc)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int grow(wf_store *store, int rc)
{
    size_t size = 0; /* MDB_MAP_RESIZED: someone else did, take what they chose */
    if (rc == MDB_MAP_FULL)
        WF_CHECK(store->map <= SIZE_MAX / 4 && (size = store->map *= 2), WF_AGAIN, "%s: too large", store->path);
    WF_LMDB(store, mdb_env_set_mapsize(store->env, size), "grow");
    return WF_OK;
}

static int commit_under_way(wf_store *store)
{
    const entry *at = NULL;
    for (;;) {
        int rc = try_commit(store, &at);
        if (!rc)
            return WF_OK;
        if (rc == MDB_KEYEXIST)
            return wf_fail(WF_DATA, "%s: picture %llu is there already", store->path, (unsigned long long)at->index);
        if (rc != MDB_MAP_FULL && rc != MDB_MAP_RESIZED)
            return wf_fail_lmdb(store, reason_of(store, rc), "cannot write");
        WF_TRY(grow(store, rc));
    }
}

static void *commit_thread(void *context)
{
    wf_store *store = context;
    wf_pending *p = store->pending;
    p->status = commit_under_way(store);
    if (p->status)
        snprintf(p->message, sizeof p->message, "%s", wf_error());
    return NULL;
}

/* Waits for the commit under way. */
static void join(wf_store *store)
{
    wf_pending *p = store->pending;
    if (!p->running)
        return;
    pthread_join(p->thread, NULL);
    p->running = false;
    p->under_way.used = p->under_way.count = 0;
    p->failed = p->failed || p->status;
}

/* The same, and tells how it ended. */
static int settle(wf_store *store)
{
    wf_pending *p = store->pending;
    bool was = p->running;
    join(store);
    return was && p->status ? wf_fail(p->status, "%s", p->message) : WF_OK;
}

/* Hands what was put over to be made durable, once what was handed over before is. */
static int commit(wf_store *store)
{
    wf_pending *p = store->pending;
    WF_TRY(settle(store));
    load empty = p->under_way;
    p->under_way = p->load;
    p->load = empty;
    store->state.count += p->pictures;
    store->state.content += p->content;
    if (store->state.sealed)
        wf_state_hash(&store->state, store->state.hash);
    p->pictures = 0;
    p->content = 0;
    p->next = store->state;
    int rc = pthread_create(&p->thread, NULL, commit_thread, store);
    p->failed = p->failed || rc;
    WF_CHECK(!rc, WF_AGAIN, "%s: cannot start a thread: %s", store->path, strerror(rc));
    p->running = true;
    return WF_OK;
}

/* -- putting ------------------------------------------------------------------------------------------------------- */

static int reserve(wf_store *store, size_t bytes, size_t entries)
{
    load *p = &store->pending->load;
    size_t need, want = p->capacity;
    WF_CHECK(WF_ADD(p->used, bytes, &need), WF_AGAIN, "%s: a batch too large", store->path);
    if (need > p->capacity) {
        want = need > 2 * p->capacity ? need : 2 * p->capacity;
        unsigned char *grown = realloc(p->bytes, want);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory for %zu bytes", store->path, want);
        p->bytes = grown;
        p->capacity = want;
    }
    if (p->count + entries > p->room) {
        want = 2 * p->room + entries;
        entry *grown = realloc(p->entries, want * sizeof *grown);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory", store->path);
        p->entries = grown;
        p->room = want;
    }
    return WF_OK;
}

static int check_ascent(wf_store *store, const wf_record *record)
{
    wf_pending *p = store->pending;
    bool any = store->state.count + p->pictures;
    for (int64_t n = 0; n < record->N; n++) {
        WF_CHECK(!any || record->index[n] > p->last, WF_DATA, "%s: picture %llu is added after %llu, want a later one",
                 store->path, (unsigned long long)record->index[n], (unsigned long long)p->last);
        p->last = record->index[n];
        any = true;
    }
    return WF_OK;
}

/* The first level of a batch says which pictures it is about, those that follow must agree. */
static int check_order(wf_store *store, const wf_record *record)
{
    wf_pending *p = store->pending;
    size_t bytes = (size_t)record->N * sizeof *p->indices;
    if (!p->N) {
        if (p->ascends)
            WF_TRY(check_ascent(store, record));
        uint64_t *indices = realloc(p->indices, bytes);
        WF_CHECK(indices, WF_AGAIN, "%s: out of memory", store->path);
        p->indices = indices;
        memcpy(indices, record->index, bytes);
        p->N = record->N;
        p->mask = 0;
        return WF_OK;
    }
    WF_CHECK(record->level > p->level, WF_DATA, "%s: level %d after level %d, want levels up to %d of each batch",
             store->path, record->level, p->level, store->state.meta.top);
    WF_CHECK(record->N == p->N && !memcmp(record->index, p->indices, bytes), WF_DATA,
             "%s: level %d has other pictures than level %d of its batch", store->path, record->level, p->level);
    return WF_OK;
}

/* The value of the record's picture n, behind the pending ones: *size bytes, and room for its entry. */
static int encode(wf_store *store, const wf_record *record, size_t n, size_t *size, uint64_t *checksum)
{
    load *p = &store->pending->load;
    wf_level_shape shape = wf_meta_level(&store->state.meta, record->level);
    size_t pixels = (size_t)shape.H * (size_t)shape.W, lows = pixels * (size_t)shape.C,
           details = record->level ? pixels * (size_t)shape.K : 0;
    WF_TRY(reserve(store, wf_value_bound(record->level, shape), 1));
    *size = wf_value_encode(record->level, record->index[n], shape, record->low + n * lows,
                            details ? record->detail + n * details : NULL, p->bytes + p->used, checksum);
    return WF_OK;
}

static int add_values(wf_store *store, const wf_record *record)
{
    load *l = &store->pending->load;
    for (size_t n = 0; n < (size_t)record->N; n++) {
        uint64_t checksum;
        size_t size;
        WF_TRY(encode(store, record, n, &size, &checksum));
        l->entries[l->count++] = (entry){record->level, record->index[n], l->used, size};
        l->used += size;
        store->pending->content += checksum;
    }
    return WF_OK;
}

static int end_batch(wf_store *store)
{
    wf_pending *p = store->pending;
    WF_CHECK(!store->state.mask || store->state.mask == p->mask, WF_DATA,
             "%s: a batch with levels %#x (bits), want %#x as before", store->path, p->mask, store->state.mask);
    store->state.mask = p->mask;
    store->state.sealed = false;
    p->pictures += p->N;
    p->N = 0;
    return p->load.used >= COMMIT_BYTES || p->pictures >= COMMIT_PICTURES ? commit(store) : WF_OK;
}

static int put(wf_store *store, const wf_record *record)
{
    WF_TRY(wf_record_check(record, &store->state.meta, store->path));
    WF_TRY(check_order(store, record));
    WF_TRY(add_values(store, record));
    store->pending->mask |= (uint32_t)1 << record->level;
    store->pending->level = record->level;
    return record->level == store->state.meta.top ? end_batch(store) : WF_OK;
}

static int check_writable(const wf_store *store)
{
    WF_CHECK(store->pending, WF_INTERNAL, "%s: open for reading only", store->path);
    WF_CHECK(!store->pending->failed, WF_INTERNAL, "%s: a picture before this could not be kept", store->path);
    return WF_OK;
}

int wf_store_put(wf_store *store, const wf_record *record)
{
    WF_TRY(check_writable(store));
    int status = put(store, record);
    store->pending->failed = store->pending->failed || status;
    return status;
}

static int compare(wf_store *store, const wf_record *record, MDB_txn *txn)
{
    const load *l = &store->pending->load;
    char name[16];
    MDB_dbi database;
    wf_level_name(record->level, name);
    WF_LMDB(store, mdb_dbi_open(txn, name, 0, &database), name);
    for (size_t n = 0; n < (size_t)record->N; n++) {
        unsigned char bytes[8];
        uint64_t checksum;
        size_t size;
        MDB_val key = wf_store_key(record->index[n], bytes), have;
        WF_TRY(encode(store, record, n, &size, &checksum));
        WF_LMDB(store, mdb_get(txn, database, &key, &have), "picture");
        WF_CHECK(have.mv_size == size && !memcmp(have.mv_data, l->bytes + l->used, size), WF_DATA,
                 "%s: level %d has another picture %llu than the one given", store->path, record->level,
                 (unsigned long long)record->index[n]);
    }
    return WF_OK;
}

int wf_store_compare(wf_store *store, const wf_record *record)
{
    MDB_txn *txn;
    WF_TRY(check_writable(store));
    WF_TRY(wf_record_check(record, &store->state.meta, store->path));
    WF_TRY(settle(store));
    WF_LMDB(store, mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), "read");
    int status = compare(store, record, txn);
    mdb_txn_abort(txn);
    return status;
}

int wf_store_seal(wf_store *store)
{
    WF_TRY(check_writable(store));
    WF_CHECK(!store->pending->N, WF_DATA, "%s: the last batch ends at level %d, want %d", store->path,
             store->pending->level, store->state.meta.top);
    store->state.sealed = true;
    WF_TRY(commit(store));
    return settle(store);
}
