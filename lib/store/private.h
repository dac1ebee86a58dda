/* private.h - private to lib/store: the layout of a store, and what its readers and writers share
 *
 * A store is a folder with an LMDB environment in it: data.mdb, and a lock.mdb that only writers make. Numbers are
 * little endian, except for keys. Checksums are XXH3-64, with seed 0 unless another seed is given.
 *
 * Main database:
 *
 *     key "state"     value = u64 checksum of the JSON text | JSON text
 *     key "sealed"    a copy of "state" as it was at the last seal; absent before the first
 *
 * The JSON text is one object whose values are all strings. It has the metadata of a stream (format, wavelet, levels,
 * top, shape, bits, provenance, and rate for sounds; see stream.h) and
 *
 *     mask       decimal: bit L is set if the store holds level L; 0 in an empty store
 *     count      decimal: pictures, each with all levels of the mask
 *     content    16 hex digits: sum, modulo 2^64, of the checksums of all tiles of all values
 *     hash       16 hex digits, only in a sealed state: checksum of the ASCII text
 *                "WAVELET LEVELS TOP SHAPE BITS MASK COUNT CONTENT", the fields as written above, with one blank
 *                between them. Provenance, rate and format are left out: the same coefficients made by other means
 *                have the same hash.
 *
 * While pictures are appended, "state" counts them and has no hash; readers use "sealed". Appended pictures have
 * greater indices than sealed ones, so that the first `count` entries are the sealed ones.
 *
 * Sub-databases "level-00" to "level-16", one for each level held:
 *
 *     key      u64 picture index, big endian: LMDB's byte order is then numeric order
 *     value    u8 type of the coefficients, 1 = F16, 2 = F32 | 7 zero bytes | tiles
 *
 * A level of [H,W] pixels (of a sound H = 1; of a volume H = slices x height, slice after slice) is cut into tiles of
 * 64x64 pixels, smaller at the right and lower border. Tiles are stored row after row of tiles:
 *
 *     tile     low [h,w,C] | detail [h,w,K], absent at level 0 | u64 checksum
 *
 * The checksum is over the tile's low and detail; that of tile 0 begins 8 bytes earlier, with the type. Its seed is the
 * checksum of 16 bytes: u64 picture index | u64 level + 256 * number of the tile, counted from 0.
 *
 * Sub-database "names", absent if no picture has a name:
 *
 *     key      u64 index of the first picture of a block, big endian
 *     value    a block of at most 256 names; see names.h. Names are not part of `content` and `hash`. */
#ifndef WF_STORE_PRIVATE_H
#define WF_STORE_PRIVATE_H

#include <lmdb.h>

#include "names.h"
#include "store.h"

typedef struct wf_store_state {
    wf_meta meta;
    uint32_t mask;    /* bit L: level L is held */
    int64_t count;    /* pictures with all their levels */
    uint64_t content; /* sum of the checksums of all tiles */
    bool sealed;
    bool refused; /* the writer of the last pictures was refused more; see wf_store_writer_refuse */
    char hash[17];
} wf_store_state;

/* The part of a handle that readers and writers share. */
typedef struct wf_store_file {
    char *path;
    MDB_env *env;
    int data; /* descriptor of data.mdb, which holds the lock: many readers or one writer */
    wf_store_state state;
    int64_t unsealed; /* pictures in the file beyond the last seal, when it was opened */
} wf_store_file;

enum { WF_MAX_DATABASES = WF_MAX_LEVELS + 2 };

/* Sets the path and, in `name`, that of data.mdb. `status`: of the failure if the path is too long. */
int wf_store_file_begin(wf_store_file *file, const char *path, char name[4096], int status) WF_MUST;
/* Refuses to create a store among other files, which may be the user's pictures. Files beside an existing store are
 * ignored. */
int wf_store_check_folder(const wf_store_file *file) WF_MUST;
void wf_store_file_end(wf_store_file *file);

void wf_level_name(int level, char name[16]);
MDB_val wf_store_key(uint64_t index, unsigned char bytes[8]);
int wf_store_index(const wf_store_file *file, MDB_val key, uint64_t *index) WF_MUST;

/* Fails with the status of an LMDB return code other than MDB_SUCCESS. */
int wf_fail_lmdb(const wf_store_file *file, int rc, const char *what) WF_MUST;

#define WF_LMDB(file, call, what)                            \
    do {                                                     \
        int wf_lmdb_rc = (call);                             \
        if (wf_lmdb_rc)                                      \
            return wf_fail_lmdb((file), wf_lmdb_rc, (what)); \
    } while (0)

#define WF_NAMES "names"
#define WF_STATE_SEALED "sealed"
/* Reads the state at `key`. *found = false: there is none. */
int wf_state_read(const wf_store_file *file, MDB_txn *txn, const char *key, wf_store_state *state, bool *found) WF_MUST;
/* Writes the present state and, if it is sealed, both. Returns an LMDB code, so that the writer can grow the map and
 * retry. */
int wf_state_write(MDB_txn *txn, const wf_store_state *state) WF_MUST;
/* Computes the hash that seals this state. */
void wf_state_hash(const wf_store_state *state, char hash[17]);

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
    wf_dtype dtype;    /* of all rows so far */
    unsigned char *to; /* borrowed */
    int rows;          /* encoded so far */
    size_t size;       /* with all its rows */
    uint64_t checksum; /* sum of the checksums of its tiles */
} wf_value;

/* Begins a value at `to` [wf_value_bound]. */
void wf_value_begin(wf_value *v, const char *who, int level, uint64_t index, wf_level_shape shape, unsigned char *to);
/* Encodes the next rows: a multiple of WF_TILE, or all that are left. WF_DATA: a coefficient is not finite; the message
 * begins "who: level, picture". */
int wf_value_rows(wf_value *v, int rows, const float *low, const float *detail) WF_MUST;

/* Decodes the pixels of a window, which lies inside the level. Reads only the tiles that the window touches; *checksum
 * is the sum of their checksums. WF_DATA unless sizes and checksums are right and all coefficients are finite; the
 * message begins "who: level, picture". */
int wf_value_decode(const char *who, int level, uint64_t index, MDB_val value, wf_level_shape shape,
                    const wf_window *window, float *low, float *detail, uint64_t *checksum) WF_MUST;
/* The type that the value's first byte gives; false if the byte is unknown. */
bool wf_value_dtype(MDB_val value, wf_dtype *dtype);

/* -- encoded pictures ---------------------------------------------------------------------------------------------- */

typedef struct wf_store_entry {
    int level;
    uint64_t index;
    size_t at, size; /* in bytes[] */
} wf_store_entry;

struct wf_store_encoded {
    const wf_store_file *file; /* for its path and metadata, which do not change */
    unsigned char *bytes;
    size_t used, capacity;
    wf_store_entry *entries;
    size_t count, room;
    uint64_t content; /* sum of the checksums of all entries */
    wf_names names;
    uint64_t *named; /* [names.count], index of each name's picture */
    size_t named_room;
    wf_value value; /* being encoded at bytes + used */
    bool open;      /* `value` has begun and lacks rows */
    wf_store_encoded *next;
};

void wf_store_encoded_clear(wf_store_encoded *encoded);
int wf_store_encoded_compare(const wf_store_encoded *encoded, MDB_txn *txn) WF_MUST;
/* Writes the names of these pictures and of those behind `next`. Returns an LMDB code. */
int wf_store_write_names(const wf_store_file *file, MDB_txn *txn, const wf_store_encoded *first) WF_MUST;

#endif
