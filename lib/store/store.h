/* store.h - coefficient stores: an LMDB environment with one sub-database per level.
 *
 * Key = picture index, value = that picture's low-pass and detail coefficients of the level in the narrowest float that
 * holds them exactly, with a checksum. A metadata record, written last, seals the store: a store that never was cannot be
 * opened for reading, and one to which pictures are being added is what it was at the last seal. Sizes are checked before anything is mapped, so that a cut-off file is an error, not a signal.
 * Many processes may read one store at once. */
#ifndef WF_STORE_H
#define WF_STORE_H

#include "../base/linkage.h"
#include "../base/dtype.h"
#include "stream.h"

WF_BEGIN

typedef struct wf_store wf_store;

/* A new store at `path`. Where an interrupted one is, not sealed, which must match the metadata: continues it after its
 * last committed picture. A store that was sealed is added to only with `append`, else WF_USAGE: until it is sealed again,
 * readers see what it had, whatever happens; indices must ascend from those that are there. *count: pictures already there,
 * of which wf_store_unsealed came after the last seal. */
int wf_store_create(const char *path, const wf_meta *meta, bool append, wf_store **out, int64_t *count) WF_MUST;

/* Adds one record. Pictures become durable when all their levels were put (levels arrive lowest first). */
int wf_store_put(wf_store *store, const wf_record *record) WF_MUST;

/* Pictures that are encoded and not in the store yet: several threads may encode at once, each into a batch of its own, where
 * one calls all else. */
typedef struct wf_store_batch wf_store_batch;
int wf_store_batch_create(wf_store *store, wf_store_batch **out) WF_MUST;
void wf_store_batch_destroy(wf_store_batch *batch); /* NULL is allowed */

enum { WF_STORE_ROWS = 64 };

/* The next rows of a level of a picture: low [rows,w,C] and, but at the base, detail [rows,w,K]. Rows are a multiple of
 * WF_STORE_ROWS or all that are left; all of a level come before the next, all levels of a picture before the next picture. */
int wf_store_encode(wf_store_batch *batch, int level, uint64_t index, int rows, const float *low,
                    const float *detail) WF_MUST;

/* Adds the pictures, whole ones, and gives an empty batch for them. */
int wf_store_put_batch(wf_store *store, wf_store_batch **batch) WF_MUST;

/* WF_DATA unless the store, which is being made or continued, has these very pictures with these very coefficients
 * committed. Empties the batch. */
int wf_store_compare(wf_store *store, wf_store_batch *batch) WF_MUST;

/* Seals the store: from now on it can be read. */
int wf_store_seal(wf_store *store) WF_MUST;

/* Opens a sealed store for reading. One open store per path and process. */
int wf_store_open(const char *path, wf_store **out) WF_MUST;
void wf_store_close(wf_store *store);

const wf_meta *wf_store_meta(const wf_store *store); /* valid until close */
int64_t wf_store_count(const wf_store *store);
/* Pictures beyond the last seal, of a making or append that was interrupted. */
int64_t wf_store_unsealed(const wf_store *store);
bool wf_store_has_level(const wf_store *store, int level);

/* Hash that identifies the store's contents, for checkpoints; 16 hex digits; valid until close. */
const char *wf_store_hash(const wf_store *store);

/* What a level takes: bytes of the file, and the type of the first picture's values (each has the narrowest that holds
 * it). WF_DATA: the level is not held, or damaged. */
int wf_store_size(wf_store *store, int level, size_t *bytes, wf_dtype *dtype) WF_MUST;

/* Coefficients of the picture at position 0 <= at < count: low [h,w,C], detail [h,w,K] (not written at the base),
 * index (may be NULL). Checks size and checksum. Safe to call from several threads. */
int wf_store_get(wf_store *store, int level, int64_t at, float *low, float *detail, uint64_t *index) WF_MUST;

/* Pixels [y,y+h) x [x,x+w) of a level. */
typedef struct wf_window {
    int y, x, h, w;
} wf_window;

/* The same of a window alone: low [h,w,C], detail [h,w,K]. Only the tiles of 64x64 pixels that it touches are read, and
 * checked. */
int wf_store_get_window(wf_store *store, int level, int64_t at, const wf_window *window, float *low, float *detail,
                        uint64_t *index) WF_MUST;

/* Reads and checks every value. WF_DATA: how many are damaged, and which is the first of them. */
int wf_store_verify(wf_store *store) WF_MUST;

WF_END

#endif
