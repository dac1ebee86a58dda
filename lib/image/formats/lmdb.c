/* lmdb.c - pictures in an LMDB environment, such as LSUN: each value is the bytes of a picture file, in the order of
 * the keys
 *
 * lmdb_check.h checks the environment before liblmdb maps it. */
#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "../../base/version.h"
#include "../recognise.h"
#include "../../store/lmdb_check.h"
#include "../../store/store.h"

/* Recognises a meta page: 16 bytes of header, two of which are flags, and the magic. */
bool wf_image_is_lmdb(const uint8_t *head, size_t n)
{
    return n >= 24 && !memcmp(head + 10, "\x08\0", 2) && !memcmp(head + 16, "\xde\xc0\xef\xbe", 4);
}

typedef struct pictures {
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    char *name;
    bool store;    /* a store of coefficients, which holds no pictures */
    MDB_val value; /* the part not yet read of the picture's bytes, in the map */
} pictures;

static int fail_lmdb(const char *name, int code)
{
    return wf_fail(code == ENOMEM ? WF_AGAIN : WF_DATA, "%s: LMDB: %s", name, mdb_strerror(code));
}

static int fill_from_value(wf_source *source, uint8_t *to, size_t n, size_t *got)
{
    pictures *p = source->state;
    *got = n < p->value.mv_size ? n : p->value.mv_size;
    memcpy(to, p->value.mv_data, *got);
    p->value.mv_data = (uint8_t *)p->value.mv_data + *got;
    p->value.mv_size -= *got;
    return WF_OK;
}

/* Names the item by its key, in hexadecimal unless all bytes are printable. */
static int begin_value(wf_source *source, const char *name, MDB_val key)
{
    enum { MAX_KEY = 511 };
    char text[2 * MAX_KEY + 1];
    const uint8_t *bytes = key.mv_data;
    size_t n = key.mv_size < MAX_KEY ? key.mv_size : MAX_KEY;
    bool plain = true;
    for (size_t i = 0; i < n; i++)
        plain = plain && bytes[i] > ' ' && bytes[i] < 0x7f;
    for (size_t i = 0; i < n; i++)
        snprintf(text + (plain ? i : 2 * i), 3, plain ? "%c" : "%02x", bytes[i]);
    return wf_source_begin(source, name, text);
}

static int advance_lmdb(wf_source *source, bool *more)
{
    pictures *p = source->state;
    MDB_val key;
    int code = mdb_cursor_get(p->cursor, &key, &p->value, MDB_NEXT); /* the first, for a new cursor */
    *more = code == MDB_SUCCESS;
    if (code == MDB_NOTFOUND)
        return WF_OK;
    return code ? fail_lmdb(p->name, code) : begin_value(source, p->name, key);
}

static void close_lmdb(void *state)
{
    pictures *p = state;
    if (p->cursor)
        mdb_cursor_close(p->cursor);
    if (p->txn)
        mdb_txn_abort(p->txn);
    if (p->env)
        mdb_env_close(p->env);
    free(p->name);
    free(p);
}

static int open_pictures(pictures *p)
{
    MDB_dbi main;
    MDB_val key = {strlen(WF_STATE_NOW), WF_STATE_NOW}, state;
    int code = mdb_txn_begin(p->env, NULL, MDB_RDONLY, &p->txn);
    if (!code)
        code = mdb_dbi_open(p->txn, NULL, 0, &main);
    if (!code && !mdb_get(p->txn, main, &key, &state))
        p->store = memmem(state.mv_data, state.mv_size, WF_FORMAT, strlen(WF_FORMAT));
    if (!code)
        code = mdb_cursor_open(p->txn, main, &p->cursor);
    return code ? fail_lmdb(p->name, code) : WF_OK;
}

static int open_environment(pictures *p, FILE *file)
{
    wf_lmdb_info info;
    WF_TRY(wf_lmdb_check(fileno(file), p->name, &info));
    int code = mdb_env_create(&p->env);
    if (!code)
        code = mdb_env_set_mapsize(p->env, info.bytes);
    /* MDB_NOLOCK: a lock file could not be created in a folder that cannot be written. */
    if (!code)
        code = mdb_env_open(p->env, p->name, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0);
    return code ? fail_lmdb(p->name, code) : open_pictures(p);
}

/* Passes over a store in a folder of pictures. */
static int refuse_store(const wf_source *parent, pictures *p)
{
    char text[WF_FOREIGN_TEXT];
    close_lmdb(p);
    WF_CHECK(parent->origin == WF_FROM_LIST, WF_DATA, "%s: %s", parent->name,
             wf_foreign_text(wf_foreign_store(), true, text));
    return WF_OK;
}

int wf_image_open_lmdb(wf_source *parent, wf_source **out)
{
    WF_CHECK(parent->file && parent->origin != WF_FROM_STREAM, WF_DATA,
             "%s: LMDB is read from a file only, not from a pipe or an archive", parent->name);
    pictures *p = calloc(1, sizeof *p);
    WF_CHECK(p, WF_AGAIN, "%s: out of memory", parent->name);
    p->name = strdup(parent->name);
    int status = p->name ? open_environment(p, parent->file) : wf_fail(WF_AGAIN, "%s: out of memory", parent->name);
    *out = NULL;
    if (!status && p->store)
        return refuse_store(parent, p);
    if (!status)
        status = wf_source_create(parent, parent->name, WF_FROM_VALUES, out);
    if (status) {
        close_lmdb(p);
        return status;
    }
    parent->single = true;
    (*out)->state = p;
    (*out)->fill = fill_from_value;
    (*out)->advance = advance_lmdb;
    (*out)->close = close_lmdb;
    return WF_OK;
}
