/* write.c - making a store: whole pictures in durable transactions, then the seal
 *
 * Batches of encoded pictures wait in memory until there are enough for one transaction, so that a transaction that met a
 * full map can be tried again. A thread commits them while the next ones are encoded. Only whole batches are committed: what
 * is in the file are always pictures with all their levels. Their memory is used over: fresh pages cost as much as what is
 * done with them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/file.h"
#include "lmdb_check.h"
#include "../pyramid/meta_text.h"
#include "private.h"

enum { COMMIT_BYTES = 32 << 20, COMMIT_PICTURES = 1000, FIRST_MAP = 16 << 20 };

/* Batches in order. */
typedef struct line {
    wf_store_batch *first, *last;
} line;

struct wf_pending {
    line put;                /* so far, */
    size_t bytes;            /* with so many in their values */
    int64_t pictures;        /* and so many pictures */
    wf_store_batch *spare;   /* empty ones */
    wf_store_batch *records; /* what wf_store_put encodes, or NULL */
    uint64_t *indices;       /* [N] of the records' batch under way */
    int64_t N;               /* 0: none is under way */
    uint32_t mask;           /* its levels so far */
    int level;               /* the last of them */
    bool ascends;            /* indices must, being added to sealed ones: */
    uint64_t last;           /* the last so far, */
    bool any;                /* if there is one */
    bool failed;             /* a put or commit went wrong: what follows could only make a store with a hole */

    bool running; /* `thread` commits `under_way`, with which the store will be `next` */
    pthread_t thread;
    line under_way;
    wf_store_state next; /* borrows the provenance */
    int status;          /* of that commit */
    char message[1024];
};

static void join(wf_store *store);

static void destroy_all(wf_store_batch *batch)
{
    while (batch) {
        wf_store_batch *next = batch->next;
        wf_store_batch_destroy(batch);
        batch = next;
    }
}

void wf_store_abandon(wf_store *store)
{
    wf_pending *p = store->pending;
    if (!p)
        return;
    join(store);
    wf_store_batch_destroy(p->records);
    destroy_all(p->put.first);
    destroy_all(p->spare);
    free(p->indices);
    free(p);
}

/* -- creating ------------------------------------------------------------------------------------------------------ */

/* A folder of pictures would be none any more with a store in it. What else lies beside a store that is there is no matter. */
static int expect_own_folder(const wf_store *store)
{
    DIR *folder = opendir(store->path);
    struct dirent *entry;
    bool others = false, store_there = false;
    if (!folder)
        return wf_fail_errno("%s", store->path);
    while ((entry = readdir(folder))) {
        store_there = store_there || !strcmp(entry->d_name, "data.mdb");
        others = others || (entry->d_name[0] != '.' && strcmp(entry->d_name, "lock.mdb") != 0);
    }
    closedir(folder);
    WF_CHECK(!others || store_there, WF_USAGE, "%s: has other files in it: a store wants a folder of its own",
             store->path);
    return WF_OK;
}

static int open_data(wf_store *store, bool *empty)
{
    struct stat info;
    WF_TRY(wf_mkdirs(store->path));
    WF_TRY(expect_own_folder(store));
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
    store->pending->any = true;
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
static int write_level(MDB_txn *txn, const wf_store_batch *batch, int level, const wf_store_entry **at)
{
    char name[16];
    MDB_dbi database;
    wf_level_name(level, name);
    int rc = mdb_dbi_open(txn, name, MDB_CREATE, &database);
    for (; batch && !rc; batch = batch->next)
        for (size_t i = 0; i < batch->count && !rc; i++) {
            const wf_store_entry *e = *at = &batch->entries[i];
            unsigned char bytes[8];
            MDB_val key = wf_store_key(e->index, bytes), value = {e->size, batch->bytes + e->at};
            if (e->level == level)
                rc = mdb_put(txn, database, &key, &value, MDB_NOOVERWRITE);
        }
    return rc;
}

/* One level after the other, so that values of one lie together. */
static int write_entries(const wf_store *store, MDB_txn *txn, const wf_store_entry **at)
{
    int rc = 0;
    for (int level = 0; level <= WF_MAX_LEVELS && !rc; level++)
        if (store->pending->next.mask >> level & 1)
            rc = write_level(txn, store->pending->under_way.first, level, at);
    return rc;
}

static int try_commit(const wf_store *store, const wf_store_entry **at)
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
    const wf_store_entry *at = NULL;
    for (;;) {
        int rc = try_commit(store, &at);
        if (!rc)
            return WF_OK;
        if (rc == MDB_KEYEXIST)
            return wf_fail(WF_DATA, "%s: picture %llu is there already", store->path, (unsigned long long)at->index);
        if (rc != MDB_MAP_FULL && rc != MDB_MAP_RESIZED)
            return wf_fail_lmdb(store, reason_of(store, rc), "pictures");
        WF_TRY(grow(store, rc));
    }
}

static void *commit_thread(void *user)
{
    wf_store *store = user;
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
    for (wf_store_batch *b = p->under_way.first, *next; b; b = next) {
        next = b->next;
        b->next = p->spare;
        p->spare = b;
    }
    p->under_way = (line){NULL, NULL};
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
    p->under_way = p->put;
    p->put = (line){NULL, NULL};
    store->state.count += p->pictures;
    if (store->state.sealed)
        wf_state_hash(&store->state, store->state.hash);
    p->pictures = 0;
    p->bytes = 0;
    p->next = store->state;
    int rc = pthread_create(&p->thread, NULL, commit_thread, store);
    p->failed = p->failed || rc;
    WF_CHECK(!rc, WF_AGAIN, "%s: cannot start a thread: %s", store->path, strerror(rc));
    p->running = true;
    return WF_OK;
}

/* -- putting ------------------------------------------------------------------------------------------------------- */

/* A spare batch, or a new one. */
static int take_batch(wf_store *store, wf_store_batch **out)
{
    wf_store_batch *b = store->pending->spare;
    if (b) {
        store->pending->spare = b->next;
    } else {
        b = calloc(1, sizeof *b);
        WF_CHECK(b, WF_AGAIN, "%s: out of memory", store->path);
    }
    b->store = store;
    b->next = NULL;
    wf_store_batch_clear(b);
    *out = b;
    return WF_OK;
}

static int check_ascent(wf_store *store, uint64_t index)
{
    wf_pending *p = store->pending;
    WF_CHECK(!p->ascends || !p->any || index > p->last, WF_DATA,
             "%s: picture %llu is added after %llu, want a later one", store->path, (unsigned long long)index,
             (unsigned long long)p->last);
    p->last = index;
    p->any = true;
    return WF_OK;
}

/* Hands over what was encoded: `pictures` with the levels of `mask`, all of them. */
static int enqueue(wf_store *store, wf_store_batch *b, uint32_t mask, int64_t pictures)
{
    wf_pending *p = store->pending;
    WF_CHECK(!store->state.mask || store->state.mask == mask, WF_DATA,
             "%s: a batch with levels %#x (bits), want %#x as before", store->path, mask, store->state.mask);
    store->state.mask = mask;
    store->state.sealed = false;
    store->state.content += b->content;
    p->pictures += pictures;
    p->bytes += b->used;
    *(p->put.last ? &p->put.last->next : &p->put.first) = b;
    p->put.last = b;
    return p->bytes >= COMMIT_BYTES || p->pictures >= COMMIT_PICTURES ? commit(store) : WF_OK;
}
/* The first level of a batch says which pictures it is about, those that follow must agree. */
static int check_order(wf_store *store, const wf_record *record)
{
    wf_pending *p = store->pending;
    size_t bytes = (size_t)record->N * sizeof *p->indices;
    if (!p->N) {
        for (int64_t n = 0; n < record->N; n++)
            WF_TRY(check_ascent(store, record->index[n]));
        uint64_t *indices = realloc(p->indices, bytes);
        WF_CHECK(indices, WF_AGAIN, "%s: out of memory", store->path);
        p->indices = indices;
        memcpy(indices, record->index, bytes);
        p->N = record->N;
        p->mask = 0;
        return p->records ? WF_OK : take_batch(store, &p->records);
    }
    WF_CHECK(record->level > p->level, WF_DATA, "%s: level %d after level %d, want levels up to %d of each batch",
             store->path, record->level, p->level, store->state.meta.top);
    WF_CHECK(record->N == p->N && !memcmp(record->index, p->indices, bytes), WF_DATA,
             "%s: level %d has other pictures than level %d of its batch", store->path, record->level, p->level);
    return WF_OK;
}

static int put(wf_store *store, const wf_record *record)
{
    wf_pending *p = store->pending;
    WF_TRY(wf_record_check(record, &store->state.meta, store->path));
    WF_TRY(check_order(store, record));
    wf_level_shape shape = wf_meta_level(&store->state.meta, record->level);
    size_t pixels = (size_t)shape.H * (size_t)shape.W, lows = pixels * (size_t)shape.C,
           details = record->level ? pixels * (size_t)shape.K : 0;
    for (size_t n = 0; n < (size_t)record->N; n++)
        WF_TRY(wf_store_encode(p->records, record->level, record->index[n], shape.H, record->low + n * lows,
                               details ? record->detail + n * details : NULL));
    p->mask |= (uint32_t)1 << record->level;
    p->level = record->level;
    if (record->level < store->state.meta.top)
        return WF_OK;
    wf_store_batch *all = p->records;
    int64_t N = p->N;
    p->records = NULL;
    p->N = 0;
    return enqueue(store, all, p->mask, N);
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

int wf_store_batch_create(wf_store *store, wf_store_batch **out)
{
    WF_TRY(check_writable(store));
    return take_batch(store, out);
}

/* How many pictures, and which levels each of them has. */
static int look_through(wf_store *store, const wf_store_batch *b, uint32_t *mask, int64_t *pictures)
{
    uint32_t has = 0;
    *mask = 0;
    *pictures = 0;
    WF_CHECK(!b->open, WF_INTERNAL, "%s: a batch whose last level has %d of %d rows", store->path, b->value.rows,
             b->value.shape.H);
    for (size_t i = 0; i < b->count; i++) {
        const wf_store_entry *e = &b->entries[i];
        has |= (uint32_t)1 << e->level;
        if (i + 1 < b->count && e[1].index == e->index)
            continue;
        WF_CHECK(has >> store->state.meta.top == 1 && (!*mask || has == *mask), WF_DATA,
                 "%s: picture %llu with levels %#x (bits), want the same of all, up to %d", store->path,
                 (unsigned long long)e->index, has, store->state.meta.top);
        WF_TRY(check_ascent(store, e->index));
        *mask = has;
        has = 0;
        ++*pictures;
    }
    return WF_OK;
}

int wf_store_put_batch(wf_store *store, wf_store_batch **batch)
{
    uint32_t mask;
    int64_t pictures;
    WF_TRY(check_writable(store));
    WF_CHECK(!store->pending->N, WF_INTERNAL, "%s: a batch among the records of another", store->path);
    int status = look_through(store, *batch, &mask, &pictures);
    if (!status && pictures) {
        wf_store_batch *all = *batch;
        *batch = NULL;
        status = enqueue(store, all, mask, pictures);
        if (!status)
            status = take_batch(store, batch);
    }
    store->pending->failed = store->pending->failed || status;
    return status;
}

int wf_store_compare(wf_store *store, wf_store_batch *batch)
{
    MDB_txn *txn;
    WF_TRY(check_writable(store));
    WF_TRY(settle(store));
    WF_LMDB(store, mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), "read");
    int status = wf_store_batch_compare(store, batch, txn);
    mdb_txn_abort(txn);
    wf_store_batch_clear(batch);
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
