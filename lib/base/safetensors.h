/* safetensors.h - the one format for records and checkpoints (https://github.com/huggingface/safetensors).
 *
 * Header: JSON object of tensors {"name": {"dtype", "shape", "data_offsets": [begin, end]}} plus "__metadata__", an
 * object of strings. Accepted only when tensors tile the data exactly: no holes, overlaps, duplicates or trailing
 * bytes; at most 16 MiB of header. */
#ifndef WF_SAFETENSORS_H
#define WF_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dtype.h"
#include "status.h"

typedef struct wf_tensor {
    const char *name;
    wf_dtype dtype;
    int rank; /* at most 8 */
    int64_t shape[8];
    void *data;   /* borrowed when writing; owned by the file when reading */
    size_t bytes; /* product of shape times the size of dtype */
} wf_tensor;

typedef struct wf_pair {
    const char *key, *value;
} wf_pair;

/* One record; wider dtypes are laid out first, so that all data is aligned. Returns the bytes through `hash`, if not NULL, a callback that sees all of them in order. */
typedef void wf_byte_sink(void *user, const void *bytes, size_t n);
int wf_safetensors_write(FILE *file, const char *name, const wf_tensor *tensors, int count, const wf_pair *metadata,
                         int pairs, wf_byte_sink *seen, void *user) WF_MUST;

typedef struct wf_safetensors {
    wf_tensor *tensors;
    int count;
    wf_pair *metadata;
    int pairs;
    void *owned[3]; /* private */
    size_t capacity[3];
    uint64_t offset; /* bytes read so far, over all records: where in the file the next byte is */
} wf_safetensors;

/* Reads one record into `out` (zero-initialized before the first use; its memory is reused by the next read and freed by
 * wf_safetensors_clear). At most `limit` bytes of data are accepted, before any of it is allocated. *end is set, and
 * nothing read, when the file ends right before the record. WF_DATA: malformed or truncated; offset in the message. */
int wf_safetensors_read(FILE *file, const char *name, size_t limit, wf_safetensors *out, bool *end, wf_byte_sink *seen,
                        void *user) WF_MUST;

/* The two halves of wf_safetensors_read, for a caller who judges the shapes before the data is read: after the first,
 * each tensor's data is NULL. Memory grows with the bytes that really come, not with what the header promises. */
int wf_safetensors_read_header(FILE *file, const char *name, wf_safetensors *out, bool *end, wf_byte_sink *seen,
                               void *user) WF_MUST;
int wf_safetensors_read_data(FILE *file, const char *name, size_t limit, wf_safetensors *out, wf_byte_sink *seen,
                             void *user) WF_MUST;
void wf_safetensors_clear(wf_safetensors *st);

const wf_tensor *wf_safetensors_find(const wf_safetensors *st, const char *name); /* NULL if absent */
const char *wf_safetensors_meta(const wf_safetensors *st, const char *key);       /* NULL if absent */

/* A checkpoint: written to a temporary file beside `path`, fsync, read back and compared, renamed, folder fsync.
 * On any failure the file under `path` is as it was before. Adds "checksum" to the metadata. */
int wf_safetensors_save(const char *path, const wf_tensor *tensors, int count, const wf_pair *metadata,
                        int pairs) WF_MUST;
/* The whole file is one record. WF_DATA as above, or when the checksum is wrong. */
int wf_safetensors_load(const char *path, wf_safetensors *out) WF_MUST;
/* WF_DATA unless what was read has the checksum that it carries; files of others ("format" is not ours) need none. */
int wf_safetensors_check(const wf_safetensors *st, const char *name) WF_MUST;

#endif
