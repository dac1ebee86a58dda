/* write.c - writing a store: whole pictures in durable transactions, then the seal
 *
 * Encoded pictures wait in memory until they fill a transaction, so that a transaction that met a full map can be
 * retried. A thread commits them while the next ones are encoded. Each commit holds whole pictures: a picture in the
 * file has all its levels. Memory of committed pictures is used again, because touching fresh pages costs as much as
 * the work on them. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/file.h"
#include "../pyramid/meta_text.h"
#include "lmdb_check.h"
#include "private.h"

enum { COMMIT_BYTES = 32 << 20, COMMIT_PICTURES = 1000, FIRST_MAP = 16 << 20 };

/* Encoded pictures, first in, first out. */
typedef struct queue {
    wf_store_encoded *first, *last;
} queue;

struct wf_store_writer {
    wf_store_file file; /* its state counts all pictures handed to commits */
    size_t map;         /* bytes */

    queue put;                 /* waits for the next commit */
    size_t bytes;              /* of the values in `put` */
    int64_t pictures;          /* in `put` */
    wf_store_encoded *spare;   /* empty objects, to be used again */
    wf_store_encoded *records; /* pictures put as records, whose levels are not complete; or NULL */
    uint64_t *indices;         /* [N] of those pictures */
    int64_t N;                 /* 0: all records put are complete */
    uint32_t mask;             /* levels of those pictures so far */
    int level;                 /* last of those levels */
    bool ascends;              /* new indices must be greater than `last`: the store was sealed before */
    uint64_t last;             /* greatest index so far, */
    bool any;                  /* if there is one */
    bool failed;               /* a put or a commit failed: a seal would cover a hole */
    bool refused;              /* the note of wf_store_writer_refuse was there when the writer was created */

    bool running; /* `thread` commits `under_way`, after which the store is in state `next` */
    pthread_t thread;
    queue under_way;
    wf_store_state next; /* borrows the provenance */
    int status;          /* of that commit */
    char message[1024];
};

/* -- creating ------------------------------------------------------------------------------------------------------ */

static int open_data(wf_store_writer *w, const char *name, bool *empty)
{
    struct stat info;
    WF_TRY(wf_mkdirs(w->file.path));
    WF_TRY(wf_store_check_folder(&w->file));
    w->file.data = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (w->file.data < 0)
        return wf_fail_write(name);
    if (flock(w->file.data, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? wf_fail(WF_AGAIN, "%s: locked, it is being read or written", w->file.path)
                                    : wf_fail_write(name);
    if (fstat(w->file.data, &info))
        return wf_fail_write(name);
    *empty = info.st_size == 0;
    wf_lmdb_info sizes = {0};
    if (!*empty)
        WF_TRY(wf_lmdb_check(w->file.data, name, &sizes));
    w->map = sizes.bytes > FIRST_MAP / 2 ? 2 * sizes.bytes : FIRST_MAP;
    return WF_OK;
}

/* Leaves LMDB's own lock on, which keeps out other programs that write the environment. */
static int open_environment(wf_store_writer *w)
{
    WF_LMDB(&w->file, mdb_env_create(&w->file.env), "create");
    WF_LMDB(&w->file, mdb_env_set_mapsize(w->file.env, w->map), "map");
    WF_LMDB(&w->file, mdb_env_set_maxdbs(w->file.env, WF_MAX_DATABASES), "create");
    WF_LMDB(&w->file, mdb_env_open(w->file.env, w->file.path, 0, 0666), "create");
    return WF_OK;
}

/* Reads the index after which pictures are appended, if there are any. */
static int read_last_index(wf_store_writer *w, MDB_txn *txn, const wf_store_state *state)
{
    char name[16];
    MDB_dbi top;
    MDB_cursor *cursor;
    MDB_val key, value;
    if (!state->count)
        return WF_OK;
    wf_level_name(state->meta.top, name);
    WF_LMDB(&w->file, mdb_dbi_open(txn, name, 0, &top), name);
    WF_LMDB(&w->file, mdb_cursor_open(txn, top, &cursor), name);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    w->any = true;
    int status = rc ? wf_fail_lmdb(&w->file, rc, name) : wf_store_index(&w->file, key, &w->last);
    mdb_cursor_close(cursor);
    return status;
}

static int read_both_states(wf_store_writer *w, MDB_txn *txn, wf_store_state *now, bool *found)
{
    MDB_stat stat;
    wf_store_state sealed = {0};
    WF_TRY(wf_state_read(&w->file, txn, WF_STATE_NOW, now, found));
    if (!*found) {
        WF_LMDB(&w->file, mdb_env_stat(w->file.env, &stat), "read");
        WF_CHECK(!stat.ms_entries, WF_USAGE, "%s: an LMDB environment of another program", w->file.path);
        return WF_OK;
    }
    WF_TRY(wf_state_read(&w->file, txn, WF_STATE_SEALED, &sealed, &w->ascends));
    w->ascends = w->ascends || now->sealed;
    w->file.unsealed = now->sealed ? 0 : now->count - sealed.count;
    wf_meta_clear(&sealed.meta);
    WF_CHECK(w->file.unsealed >= 0, WF_DATA, "%s: %lld pictures, fewer than the %lld that are sealed", w->file.path,
             (long long)now->count, (long long)sealed.count);
    return w->ascends ? read_last_index(w, txn, now) : WF_OK;
}

static int read_state(wf_store_writer *w, wf_store_state *state, bool *found)
{
    MDB_txn *txn;
    WF_LMDB(&w->file, mdb_txn_begin(w->file.env, NULL, MDB_RDONLY, &txn), "read");
    int status = read_both_states(w, txn, state, found);
    mdb_txn_abort(txn);
    return status;
}

static int begin_commit(wf_store_writer *w);
static int finish_commit(wf_store_writer *w);
static void wait_for_commit(wf_store_writer *w);

/* Writes the state of a store without pictures. */
static int begin_state(wf_store_writer *w, const wf_meta *meta)
{
    wf_meta_clear(&w->file.state.meta);
    w->file.state = (wf_store_state){0};
    WF_TRY(wf_meta_copy(&w->file.state.meta, meta));
    WF_TRY(begin_commit(w));
    return finish_commit(w);
}

int wf_store_writer_restart(wf_store_writer *w, const wf_meta *meta)
{
    WF_CHECK(!w->ascends && !w->file.state.sealed, WF_USAGE, "%s: a complete store, which stays", w->file.path);
    wait_for_commit(w);
    mdb_env_close(w->file.env);
    w->file.env = NULL;
    if (ftruncate(w->file.data, 0))
        return wf_fail_write(w->file.path);
    w->map = FIRST_MAP;
    w->file.unsealed = 0;
    w->refused = false;
    WF_TRY(open_environment(w));
    return begin_state(w, meta);
}

static int match_old(const wf_store_writer *w, const wf_meta *meta, const wf_store_state *old)
{
    WF_TRY((w->ascends ? wf_meta_expect : wf_meta_match)(meta, "new pictures", &old->meta, w->file.path));
    WF_CHECK(meta->top == old->meta.top, WF_DATA, "new pictures: top is %d, but %d in %s", meta->top, old->meta.top,
             w->file.path);
    return WF_OK;
}

/* Continues the pictures in the file. The provenance then names the makers of the old and of the new ones. */
static int continue_state(wf_store_writer *w, const wf_meta *meta, wf_store_state *old)
{
    int status = match_old(w, meta, old);
    w->refused = !w->ascends && old->refused && old->count;
    if (status && !w->ascends && (old->refused || !old->count))
        return wf_store_writer_restart(w, meta);
    WF_CHECK(!status || w->ascends, status,
             "%s, which has %lld pictures of an interrupted command: run that again, or remove the folder", wf_error(),
             (long long)old->count);
    WF_TRY(status);
    if (meta->provenance)
        WF_TRY(wf_meta_join_provenance(&old->meta, meta->provenance));
    w->file.state = *old;
    old->meta.provenance = NULL; /* now owned by the writer */
    return WF_OK;
}

static int open_writer(wf_store_writer *w, const char *path, const wf_meta *meta, bool append)
{
    char name[4096];
    bool empty, found;
    wf_store_state old = {0};
    WF_TRY(wf_store_file_begin(&w->file, path, name, WF_USAGE));
    WF_TRY(wf_meta_check(meta, path));
    WF_TRY(open_data(w, name, &empty));
    WF_TRY(open_environment(w));
    WF_TRY(read_state(w, &old, &found));
    if (!found) /* new, or killed before its first commit */
        return begin_state(w, meta);
    int status =
        append || !w->ascends
            ? continue_state(w, meta, &old)
            : wf_fail(WF_USAGE,
                      "%s: a complete store is there already: name another; wf-dwt --append adds pictures to it", path);
    wf_meta_clear(&old.meta);
    return status;
}

int wf_store_writer_create(const char *path, const wf_meta *meta, bool append, wf_store_writer **out, int64_t *count)
{
    wf_store_writer *w = calloc(1, sizeof *w);
    WF_CHECK(w, WF_AGAIN, "%s: out of memory", path);
    int status = open_writer(w, path, meta, append);
    if (status) {
        wf_store_writer_close(w);
        return status;
    }
    *out = w;
    *count = w->file.state.count;
    return WF_OK;
}

int64_t wf_store_writer_unsealed(const wf_store_writer *writer)
{
    return writer->file.unsealed;
}

const char *wf_store_writer_path(const wf_store_writer *writer)
{
    return writer->file.path;
}

bool wf_store_writer_refused(const wf_store_writer *writer)
{
    return writer->refused;
}

/* -- committing ---------------------------------------------------------------------------------------------------- */

/* Finds the reason of a failed write. LMDB reports EIO for a write that stopped half way; writing one more byte gives
 * the actual error, such as a full disk. */
static int reason_of(const wf_store_writer *w, int rc)
{
    struct stat info;
    if (rc != EIO || fstat(w->file.data, &info))
        return rc;
    errno = EIO;
    if (pwrite(w->file.data, "", 1, info.st_size) == 1 && ftruncate(w->file.data, info.st_size))
        return EIO;
    return errno;
}

/* Writes the values of one level. Returns an LMDB code; *at is the entry being written. */
static int write_level(MDB_txn *txn, const wf_store_encoded *encoded, int level, const wf_store_entry **at)
{
    char name[16];
    MDB_dbi database;
    wf_level_name(level, name);
    int rc = mdb_dbi_open(txn, name, MDB_CREATE, &database);
    for (; encoded && !rc; encoded = encoded->next)
        for (size_t i = 0; i < encoded->count && !rc; i++) {
            const wf_store_entry *e = *at = &encoded->entries[i];
            unsigned char bytes[8];
            MDB_val key = wf_store_key(e->index, bytes), value = {e->size, encoded->bytes + e->at};
            if (e->level == level)
                rc = mdb_put(txn, database, &key, &value, MDB_NOOVERWRITE);
        }
    return rc;
}

/* Writes one level after the other, so that the values of one level lie together. Returns an LMDB code. */
static int write_entries(const wf_store_writer *w, MDB_txn *txn, const wf_store_entry **at)
{
    int rc = 0;
    for (int level = 0; level <= WF_MAX_LEVELS && !rc; level++)
        if (w->next.mask >> level & 1)
            rc = write_level(txn, w->under_way.first, level, at);
    return rc;
}

/* Returns an LMDB code. */
static int try_commit(const wf_store_writer *w, const wf_store_entry **at)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(w->file.env, NULL, 0, &txn);
    if (rc)
        return rc;
    rc = write_entries(w, txn, at);
    if (!rc)
        rc = wf_store_write_names(&w->file, txn, w->under_way.first);
    if (!rc)
        rc = wf_state_write(txn, &w->next);
    if (!rc)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int grow_map(wf_store_writer *w, int rc)
{
    size_t size = 0; /* MDB_MAP_RESIZED: another process grew the map, 0 adopts its size */
    if (rc == MDB_MAP_FULL)
        WF_CHECK(w->map <= SIZE_MAX / 4 && (size = w->map *= 2), WF_AGAIN, "%s: too large", w->file.path);
    WF_LMDB(&w->file, mdb_env_set_mapsize(w->file.env, size), "grow");
    return WF_OK;
}

static int commit_under_way(wf_store_writer *w)
{
    const wf_store_entry *at = NULL;
    for (;;) {
        int rc = try_commit(w, &at);
        if (!rc)
            return WF_OK;
        if (rc == MDB_KEYEXIST)
            return wf_fail(WF_DATA, "%s: picture %llu is in the store already", w->file.path,
                           (unsigned long long)at->index);
        if (rc != MDB_MAP_FULL && rc != MDB_MAP_RESIZED)
            return wf_fail_lmdb(&w->file, reason_of(w, rc), "pictures");
        WF_TRY(grow_map(w, rc));
    }
}

static void *commit_thread(void *user)
{
    wf_store_writer *w = user;
    w->status = commit_under_way(w);
    if (w->status)
        snprintf(w->message, sizeof w->message, "%s", wf_error());
    return NULL;
}

/* Waits for the commit under way and keeps its memory for later use. */
static void wait_for_commit(wf_store_writer *w)
{
    if (!w->running)
        return;
    pthread_join(w->thread, NULL);
    w->running = false;
    for (wf_store_encoded *e = w->under_way.first, *next; e; e = next) {
        next = e->next;
        e->next = w->spare;
        w->spare = e;
    }
    w->under_way = (queue){NULL, NULL};
    w->failed = w->failed || w->status;
}

/* Waits for the commit under way and returns its status. */
static int finish_commit(wf_store_writer *w)
{
    bool was_running = w->running;
    wait_for_commit(w);
    return was_running && w->status ? wf_fail(w->status, "%s", w->message) : WF_OK;
}

/* Starts to commit what was put, after the commit before it has ended. */
static int begin_commit(wf_store_writer *w)
{
    WF_TRY(finish_commit(w));
    w->under_way = w->put;
    w->put = (queue){NULL, NULL};
    w->file.state.count += w->pictures;
    if (w->file.state.sealed)
        wf_state_hash(&w->file.state, w->file.state.hash);
    w->pictures = 0;
    w->bytes = 0;
    w->next = w->file.state;
    int rc = pthread_create(&w->thread, NULL, commit_thread, w);
    w->failed = w->failed || rc;
    WF_CHECK(!rc, WF_AGAIN, "%s: cannot start a thread: %s", w->file.path, strerror(rc));
    w->running = true;
    return WF_OK;
}

/* -- putting ------------------------------------------------------------------------------------------------------- */

/* Gives an empty object: a spare one, or a new one. */
static int take_encoded(wf_store_writer *w, wf_store_encoded **out)
{
    wf_store_encoded *e = w->spare;
    if (e) {
        w->spare = e->next;
    } else {
        e = calloc(1, sizeof *e);
        WF_CHECK(e, WF_AGAIN, "%s: out of memory", w->file.path);
    }
    e->file = &w->file;
    e->next = NULL;
    wf_store_encoded_clear(e);
    *out = e;
    return WF_OK;
}

static int check_index_ascends(wf_store_writer *w, uint64_t index)
{
    WF_CHECK(!w->ascends || !w->any || index > w->last, WF_DATA,
             "%s: picture %llu is added after %llu, want a later one", w->file.path, (unsigned long long)index,
             (unsigned long long)w->last);
    w->last = index;
    w->any = true;
    return WF_OK;
}

/* Appends `pictures` encoded pictures, each with all levels of `mask`, to those that wait for the next commit. */
static int enqueue_encoded(wf_store_writer *w, wf_store_encoded *e, uint32_t mask, int64_t pictures)
{
    wf_store_state *state = &w->file.state;
    WF_CHECK(!state->mask || state->mask == mask, WF_DATA, "%s: pictures with levels %#x (bits), want %#x as before",
             w->file.path, mask, state->mask);
    state->mask = mask;
    state->sealed = state->refused = false;
    state->content += e->content;
    w->pictures += pictures;
    w->bytes += e->used;
    *(w->put.last ? &w->put.last->next : &w->put.first) = e;
    w->put.last = e;
    return w->bytes >= COMMIT_BYTES || w->pictures >= COMMIT_PICTURES ? begin_commit(w) : WF_OK;
}

/* Checks that a record follows the one before: the first level of a batch names its pictures, further levels must have
 * the same. */
static int check_order(wf_store_writer *w, const wf_record *record)
{
    size_t bytes = (size_t)record->N * sizeof *w->indices;
    if (!w->N) {
        for (int64_t n = 0; n < record->N; n++)
            WF_TRY(check_index_ascends(w, record->index[n]));
        uint64_t *indices = realloc(w->indices, bytes);
        WF_CHECK(indices, WF_AGAIN, "%s: out of memory", w->file.path);
        w->indices = indices;
        memcpy(indices, record->index, bytes);
        w->N = record->N;
        w->mask = 0;
        return w->records ? WF_OK : take_encoded(w, &w->records);
    }
    WF_CHECK(record->level > w->level, WF_DATA, "%s: level %d after level %d, want levels up to %d of each batch",
             w->file.path, record->level, w->level, w->file.state.meta.top);
    WF_CHECK(record->N == w->N && !memcmp(record->index, w->indices, bytes), WF_DATA,
             "%s: level %d has other pictures than level %d of its batch", w->file.path, record->level, w->level);
    return WF_OK;
}

static int put_record(wf_store_writer *w, const wf_record *record)
{
    const wf_meta *meta = &w->file.state.meta;
    WF_TRY(wf_record_check(record, meta, w->file.path));
    WF_TRY(check_order(w, record));
    wf_level_shape shape = wf_meta_level(meta, record->level);
    size_t pixels = (size_t)shape.H * (size_t)shape.W, lows = pixels * (size_t)shape.C,
           details = record->level ? pixels * (size_t)shape.K : 0;
    for (size_t n = 0; n < (size_t)record->N; n++)
        WF_TRY(wf_store_encode(w->records, record->level, record->index[n], shape.H, record->low + n * lows,
                               details ? record->detail + n * details : NULL));
    for (int64_t n = 0; record->level == meta->top && record->names && n < record->N; n++)
        WF_TRY(wf_store_encode_name(w->records, record->index[n], record->names[n]));
    w->mask |= (uint32_t)1 << record->level;
    w->level = record->level;
    if (record->level < meta->top)
        return WF_OK;
    wf_store_encoded *all = w->records;
    int64_t N = w->N;
    w->records = NULL;
    w->N = 0;
    return enqueue_encoded(w, all, w->mask, N);
}

static int check_complete(const wf_store_writer *w)
{
    WF_CHECK(!w->failed, WF_INTERNAL, "%s: a picture before this one was not stored", w->file.path);
    return WF_OK;
}

int wf_store_writer_put(wf_store_writer *w, const wf_record *record)
{
    WF_TRY(check_complete(w));
    int status = put_record(w, record);
    w->failed = w->failed || status;
    return status;
}

int wf_store_encoded_create(wf_store_writer *writer, wf_store_encoded **out)
{
    WF_TRY(check_complete(writer));
    return take_encoded(writer, out);
}

/* Checks encoded pictures; gives their number and the levels that each of them has. */
static int check_encoded(wf_store_writer *w, const wf_store_encoded *e, uint32_t *mask, int64_t *pictures)
{
    uint32_t has = 0;
    int top = w->file.state.meta.top;
    *mask = 0;
    *pictures = 0;
    WF_CHECK(!e->open, WF_INTERNAL, "%s: encoded pictures whose last level has %d of %d rows", w->file.path,
             e->value.rows, e->value.shape.H);
    for (size_t i = 0; i < e->count; i++) {
        const wf_store_entry *entry = &e->entries[i];
        has |= (uint32_t)1 << entry->level;
        if (i + 1 < e->count && entry[1].index == entry->index)
            continue;
        WF_CHECK(has >> top == 1 && (!*mask || has == *mask), WF_DATA,
                 "%s: picture %llu with levels %#x (bits), want the levels of the other pictures, up to %d",
                 w->file.path, (unsigned long long)entry->index, has, top);
        WF_TRY(check_index_ascends(w, entry->index));
        *mask = has;
        has = 0;
        ++*pictures;
    }
    return WF_OK;
}

int wf_store_writer_put_encoded(wf_store_writer *w, wf_store_encoded **encoded)
{
    uint32_t mask;
    int64_t pictures;
    WF_TRY(check_complete(w));
    WF_CHECK(!w->N, WF_INTERNAL, "%s: encoded pictures between the records of a batch", w->file.path);
    int status = check_encoded(w, *encoded, &mask, &pictures);
    if (!status && pictures) {
        wf_store_encoded *all = *encoded;
        *encoded = NULL;
        status = enqueue_encoded(w, all, mask, pictures);
        if (!status)
            status = take_encoded(w, encoded);
    }
    w->failed = w->failed || status;
    return status;
}

int wf_store_writer_compare(wf_store_writer *w, wf_store_encoded *encoded)
{
    MDB_txn *txn;
    WF_TRY(check_complete(w));
    WF_TRY(finish_commit(w));
    WF_LMDB(&w->file, mdb_txn_begin(w->file.env, NULL, MDB_RDONLY, &txn), "read");
    int status = wf_store_encoded_compare(encoded, txn);
    mdb_txn_abort(txn);
    wf_store_encoded_clear(encoded);
    return status;
}

int wf_store_writer_refuse(wf_store_writer *w)
{
    if (w->ascends || w->failed)
        return WF_OK;
    w->file.state.refused = true;
    WF_TRY(begin_commit(w));
    return finish_commit(w);
}

int wf_store_writer_seal(wf_store_writer *w)
{
    WF_TRY(check_complete(w));
    WF_CHECK(!w->N, WF_DATA, "%s: the last batch ends at level %d, want %d", w->file.path, w->level,
             w->file.state.meta.top);
    w->file.state.sealed = true;
    w->file.state.refused = false;
    WF_TRY(begin_commit(w));
    return finish_commit(w);
}

/* -- closing ------------------------------------------------------------------------------------------------------- */

static void destroy_all(wf_store_encoded *e)
{
    while (e) {
        wf_store_encoded *next = e->next;
        wf_store_encoded_destroy(e);
        e = next;
    }
}

void wf_store_writer_close(wf_store_writer *w)
{
    if (!w)
        return;
    wait_for_commit(w);
    wf_store_file_end(&w->file);
    wf_store_encoded_destroy(w->records);
    destroy_all(w->put.first);
    destroy_all(w->spare);
    free(w->indices);
    free(w);
}
