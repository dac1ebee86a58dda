/* private.h - private to lib/store: what the reading and the writing half of stores share; see store.h
 *
 * Main database of the environment: "state" = u64 XXH3-64 of the rest | JSON object of strings: the metadata of a stream
 * and mask (a bit per level held), count, content (sum of all value checksums) and, once sealed, hash. "sealed" = the same
 * as it was at the last seal: what readers see while pictures are being added, which come behind all that were there.
 * Databases "level-00" ..: key = u64 picture index, big endian, so that LMDB's byte order is numeric order; value =
 * u8 dtype | 7 zero bytes | tiles of 64x64 pixels, row after row of them, those at the right and lower border smaller: each
 * its low and detail as F16 or F32 | u64 XXH3-64 over them (in the first tile over the bytes before as well), seeded by
 * index, level and number of the tile. All other numbers are little endian. */
#ifndef WF_STORE_PRIVATE_H
#define WF_STORE_PRIVATE_H

#include <lmdb.h>

#include "store.h"

typedef struct wf_store_state {
    wf_meta meta;
    uint32_t mask; /* bit L: level L is held */
    int64_t count; /* pictures with all their levels */
    uint64_t content;
    bool sealed;
    char hash[17];
} wf_store_state;

typedef struct wf_pending wf_pending; /* pictures put, but not committed */

struct wf_store {
    char *path;
    MDB_env *env;
    int data; /* descriptor of data.mdb, which holds the lock: many readers or one writer */
    wf_store_state state;
    int64_t unsealed;                  /* pictures in the file beyond the last seal, when it was opened */
    MDB_dbi levels[WF_MAX_LEVELS + 1]; /* reading */
    uint64_t first;                    /* index at position 0 when indices are contiguous */
    uint64_t *indices;                 /* [count], ascending, when they are not; else NULL */
    size_t map;                        /* bytes; writing */
    wf_pending *pending;               /* writing */
};

enum { WF_MAX_DATABASES = WF_MAX_LEVELS + 1 };

void wf_level_name(int level, char name[16]);
MDB_val wf_store_key(uint64_t index, unsigned char bytes[8]);
int wf_store_index(const wf_store *store, MDB_val key, uint64_t *index) WF_MUST;

/* The status of an LMDB return code other than MDB_SUCCESS. */
int wf_fail_lmdb(const wf_store *store, int rc, const char *what) WF_MUST;

#define WF_LMDB(store, call, what)                            \
    do {                                                      \
        int wf_lmdb_rc = (call);                              \
        if (wf_lmdb_rc)                                       \
            return wf_fail_lmdb((store), wf_lmdb_rc, (what)); \
    } while (0)

#define WF_STATE_NOW "state"
#define WF_STATE_SEALED "sealed"
/* Reads one of the two. *found = false when there is none. */
int wf_state_read(const wf_store *store, MDB_txn *txn, const char *key, wf_store_state *state, bool *found) WF_MUST;
/* Writes the present state and, if it is sealed, both. Returns an LMDB code, so that the writer can grow the map and try
 * again. */
int wf_state_write(MDB_txn *txn, const wf_store_state *state) WF_MUST;
/* The hash that seals this state. */
void wf_state_hash(const wf_store_state *state, char hash[17]);

/* Waits for a commit under way, then drops what was put and not committed. */
void wf_store_abandon(wf_store *store);

/* -- values -------------------------------------------------------------------------------------------------------- */

enum { WF_TILE = WF_STORE_ROWS }; /* side of a tile, pixels */

/* Bytes of a value in the widest type. */
size_t wf_value_bound(int level, wf_level_shape shape);
/* A value that is being encoded. */
typedef struct wf_value {
    const char *who; /* borrowed */
    int level;
    uint64_t index;
    wf_level_shape shape;
    wf_dtype dtype;    /* so far */
    unsigned char *to; /* borrowed */
    int rows;          /* so far */
    size_t size;       /* with all its rows */
    uint64_t checksum; /* the sum of those of its tiles */
} wf_value;

/* To `to` [wf_value_bound]. */
void wf_value_begin(wf_value *v, const char *who, int level, uint64_t index, wf_level_shape shape, unsigned char *to);
/* The next rows: a multiple of WF_TILE of them, or all that are left. WF_DATA, after "who: level, picture": not finite. */
int wf_value_rows(wf_value *v, int rows, const float *low, const float *detail) WF_MUST;

/* The pixels of a window that lies inside; no other tiles than those it touches are read, and *checksum is their sum.
 * WF_DATA, after "who: level, picture", unless size and checksums are right and all coefficients are finite. */
int wf_value_decode(const char *who, int level, uint64_t index, MDB_val value, wf_level_shape shape,
                    const wf_window *window, float *low, float *detail, uint64_t *checksum) WF_MUST;
/* The type that the value's first byte names; false if it names none. */
bool wf_value_dtype(MDB_val value, wf_dtype *dtype);

/* -- batches ------------------------------------------------------------------------------------------------------- */

typedef struct wf_store_entry {
    int level;
    uint64_t index;
    size_t at, size; /* in bytes[] */
} wf_store_entry;

struct wf_store_batch {
    const wf_store *store; /* its path and metadata, which do not change */
    unsigned char *bytes;
    size_t used, capacity;
    wf_store_entry *entries;
    size_t count, room;
    uint64_t content; /* sum of the checksums of all entries */
    wf_value value;   /* being encoded behind `used`, */
    bool open;        /* if one is */
    wf_store_batch *next;
};

void wf_store_batch_clear(wf_store_batch *batch);
int wf_store_batch_compare(const wf_store *store, const wf_store_batch *batch, MDB_txn *txn) WF_MUST;

#endif
