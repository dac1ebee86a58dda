/* store.h - coefficient stores: an LMDB environment with one sub-database per level
 *
 * A store maps (level, picture index) to the low-pass and detail coefficients of that picture. Each value is in the
 * narrowest float that holds it exactly, and has checksums. The metadata record, written last, seals the store. A store
 * that was never sealed cannot be opened for reading. While pictures are appended, readers see the store as it was
 * sealed last. Pictures may have names. File sizes are checked before the file is mapped, so that a truncated file is
 * an error and not a signal.
 *
 * Many processes may read one store at once, or one may write it. Readers are wf_store, writers wf_store_writer. */
#ifndef WF_STORE_H
#define WF_STORE_H

#include "../base/linkage.h"
#include "../base/watch.h"
#include "../base/dtype.h"
#include "stream.h"

WF_BEGIN

/* -- reading ------------------------------------------------------------------------------------------------------- */

typedef struct wf_store wf_store;

/* Opens a sealed store for reading. A process may open a path only once at a time. WF_NOINPUT: no store at `path`.
 * WF_AGAIN: another process writes it. WF_DATA: damaged, or never sealed. */
int wf_store_open(const char *path, wf_store **out) WF_MUST;
void wf_store_close(wf_store *store); /* NULL is allowed */

const wf_meta *wf_store_meta(const wf_store *store); /* valid until close */
int64_t wf_store_count(const wf_store *store);
/* Pictures beyond the last seal, from a writer that was interrupted. They cannot be read. */
int64_t wf_store_unsealed(const wf_store *store);
bool wf_store_has_level(const wf_store *store, int level);
uint64_t wf_store_number(const wf_store *store, int64_t at); /* index of the picture at position 0 <= at < count */

/* Hash of the contents, which identifies the store in checkpoints: 16 hex digits, valid until close. */
const char *wf_store_hash(const wf_store *store);

/* Bytes of the file that a level takes, and the type of its first value; each value has a type of its own. WF_DATA: the
 * store lacks the level, or is damaged. */
int wf_store_size(wf_store *store, int level, size_t *bytes, wf_dtype *dtype) WF_MUST;

/* Reads the picture at position 0 <= at < count: low [h,w,C], detail [h,w,K] (not written at the base), index (may be
 * NULL). Checks size and checksums. Several threads may call this at once. */
int wf_store_get(wf_store *store, int level, int64_t at, float *low, float *detail, uint64_t *index) WF_MUST;

/* Pixels [y,y+h) x [x,x+w) of a level. */
typedef struct wf_window {
    int y, x, h, w;
} wf_window;

/* wf_store_get for the pixels of a window: low [h,w,C], detail [h,w,K]. Reads and checks only the tiles of 64x64 pixels
 * that the window touches. */
int wf_store_get_window(wf_store *store, int level, int64_t at, const wf_window *window, float *low, float *detail,
                        uint64_t *index) WF_MUST;

/* Reads the names of n pictures from position `at` on: *names [n], NULL for pictures without one; *names = NULL if none
 * has one. Valid until the next call and until close. Not for several threads at once. WF_DATA: damaged. */
int wf_store_names(wf_store *store, int64_t at, int64_t n, const char *const **names) WF_MUST;

/* The key of an environment's main database under which a store has its metadata. */
#define WF_STATE_NOW "state"

/* Removes the files of the store at `path`, and the folder if nothing else is in it. Missing ones are no failure. */
void wf_store_remove(const char *path);

/* Reads and checks every value and name, not of a part. watch: of values; NULL: none. WF_DATA: the message counts the
 * damaged values and names the first. */
int wf_store_verify(wf_store *store, const wf_watch *watch) WF_MUST;

/* -- parts --------------------------------------------------------------------------------------------------------- */

/* A picture is held out by its index alone, so it stays so in every level, and when pictures are appended. `percent`,
 * 1 to 50, is reduced to a fraction a/b; of each run of b indices from a multiple of b, a hash picks a. */
bool wf_is_held_out(uint64_t index, int percent);

typedef enum wf_store_part { WF_PART_TRAINED, WF_PART_HELD_OUT } wf_store_part;

/* Opens one part of a store, to be read like a store; it may be empty. It has the hash of the whole, which it borrows
 * until it is closed. */
int wf_store_open_part(const wf_store *whole, int percent, wf_store_part part, wf_store **out) WF_MUST;

/* Opens the pictures of a shard among the first `count` (0: all) of a store or part, likewise. */
int wf_store_open_shard(const wf_store *whole, wf_shard shard, int64_t count, wf_store **out) WF_MUST;

/* -- writing ------------------------------------------------------------------------------------------------------- */

typedef struct wf_store_writer wf_store_writer;

/* Creates a store at `path`, or continues an interrupted one after its last committed picture. The metadata of an
 * interrupted store must match, unless it has no picture yet, or those of a writer that was refused more: then it is
 * begun anew. A store that was sealed is continued only with `append`, else WF_USAGE: readers see its old contents
 * until it is sealed again, and new indices must be greater than the old ones. *count: pictures already in the store.
 * WF_AGAIN: another process reads or writes it. */
int wf_store_writer_create(const char *path, const wf_meta *meta, bool append, wf_store_writer **out,
                           int64_t *count) WF_MUST;
/* Waits for a commit under way and drops the pictures put after it. NULL is allowed. */
void wf_store_writer_close(wf_store_writer *writer);

/* Pictures beyond the last seal when the writer was created: those of an interrupted writer. */
int64_t wf_store_writer_unsealed(const wf_store_writer *writer);

const char *wf_store_writer_path(const wf_store_writer *writer); /* valid until close */

/* Commits the pictures so far with a note that their writer was refused more, as by a bad picture. A store that was
 * never sealed and has this note is begun anew by a writer with other metadata. A sealed store gets no note. */
int wf_store_writer_refuse(wf_store_writer *writer) WF_MUST;
/* True if the store had that note when the writer was created, and has pictures. */
bool wf_store_writer_refused(const wf_store_writer *writer);
/* Drops all pictures of a store that was never sealed, and begins anew. WF_USAGE: it was sealed. */
int wf_store_writer_restart(wf_store_writer *writer, const wf_meta *meta) WF_MUST;

/* Adds one record. All levels of a batch of pictures come before the next batch, lowest level first. Pictures become
 * durable some time after their last level was put, at the latest by wf_store_writer_seal. */
int wf_store_writer_put(wf_store_writer *writer, const wf_record *record) WF_MUST;

/* Pictures encoded in memory and not yet in the store. Several threads may encode at once, each into an object of its
 * own; all calls on the writer itself come from one thread at a time. */
typedef struct wf_store_encoded wf_store_encoded;
int wf_store_encoded_create(wf_store_writer *writer, wf_store_encoded **out) WF_MUST;
void wf_store_encoded_destroy(wf_store_encoded *encoded); /* NULL is allowed */

enum { WF_STORE_ROWS = 64 };

/* Encodes the next rows of a level of a picture: low [rows,w,C] and, above the base, detail [rows,w,K]. `rows` is a
 * multiple of WF_STORE_ROWS, or all rows that are left. A level is completed before the next level begins, and a
 * picture before the next picture. */
int wf_store_encode(wf_store_encoded *encoded, int level, uint64_t index, int rows, const float *low,
                    const float *detail) WF_MUST;

/* Names a picture that is or will be encoded in the same object. NULL or an empty name is none. */
int wf_store_encode_name(wf_store_encoded *encoded, uint64_t index, const char *name) WF_MUST;

/* Adds encoded pictures, all with the same levels, and replaces *encoded by an empty object. */
int wf_store_writer_put_encoded(wf_store_writer *writer, wf_store_encoded **encoded) WF_MUST;

/* WF_DATA unless the store holds the encoded pictures, committed, with exactly these coefficients. Empties *encoded. */
int wf_store_writer_compare(wf_store_writer *writer, wf_store_encoded *encoded) WF_MUST;

/* Commits all pictures and seals the store, which can then be read once the writer is closed. */
int wf_store_writer_seal(wf_store_writer *writer) WF_MUST;

WF_END

#endif
