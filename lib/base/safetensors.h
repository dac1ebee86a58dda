/* safetensors.h - the format of records and checkpoints (https://github.com/huggingface/safetensors)
 *
 *     u64 length of the header, little endian | header | data, little endian
 *
 * The header is a JSON object, perhaps followed by blanks, of tensors {"name": {"dtype", "shape", "data_offsets":
 * [begin, end]}} and "__metadata__", an object of strings. Offsets count from the beginning of the data. Readers here
 * require that tensors tile the data exactly, without holes, overlaps, duplicates or trailing bytes. Each tensor must
 * be aligned to its dtype, and the header has at most 16 MiB. */
#ifndef WF_SAFETENSORS_H
#define WF_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "linkage.h"
#include "dtype.h"
#include "status.h"

WF_BEGIN

enum { WF_MAX_TENSORS_HEADER = 16 << 20 }; /* bytes */

typedef struct wf_tensor {
    const char *name;
    wf_dtype dtype;
    int rank; /* at most 8 */
    int64_t shape[8];
    void *data;   /* borrowed when writing; owned by the wf_safetensors when reading */
    size_t bytes; /* product of shape times the size of dtype */
} wf_tensor;

typedef struct wf_pair {
    const char *key, *value;
} wf_pair;

/* Takes the bytes of a record, in order. */
typedef void wf_byte_sink(void *user, const void *bytes, size_t n);

/* Writes one record. Tensors of wider dtypes come first, so that all data is aligned. `seen`, unless it is NULL, gets
 * all bytes written. */
int wf_safetensors_write(FILE *file, const char *name, const wf_tensor *tensors, int count, const wf_pair *metadata,
                         int pairs, wf_byte_sink *seen, void *user) WF_MUST;

typedef struct wf_safetensors {
    wf_tensor *tensors;
    int count;
    wf_pair *metadata;
    int pairs;
    void *owned[3]; /* private */
    size_t capacity[3];
    uint64_t offset; /* bytes read so far, over all records: position of the next byte in the file */
} wf_safetensors;

/* Reads one record into `out`, which is zero-initialized before the first use. Its memory is reused by the next read
 * and freed by wf_safetensors_clear. Data of more than `limit` bytes are refused before any are allocated. *end: the
 * file ended before the record began. WF_DATA: malformed or cut off, with the offset in the message. */
int wf_safetensors_read(FILE *file, const char *name, size_t limit, wf_safetensors *out, bool *end, wf_byte_sink *seen,
                        void *user) WF_MUST;

/* The two halves of wf_safetensors_read, for callers that check shapes before the data are read. After the first, each
 * tensor's data is NULL. Memory grows with the bytes that arrive, not with the sizes in the header. */
int wf_safetensors_read_header(FILE *file, const char *name, wf_safetensors *out, bool *end, wf_byte_sink *seen,
                               void *user) WF_MUST;
int wf_safetensors_read_data(FILE *file, const char *name, size_t limit, wf_safetensors *out, wf_byte_sink *seen,
                             void *user) WF_MUST;
void wf_safetensors_clear(wf_safetensors *st);

const wf_tensor *wf_safetensors_find(const wf_safetensors *st, const char *name); /* NULL if absent */
const char *wf_safetensors_meta(const wf_safetensors *st, const char *key);       /* NULL if absent */

/* Saves a checkpoint. Writes it to a temporary file in the same folder, reads it back and compares, then fsync, rename,
 * and fsync of the folder. After a failure before the rename, the file at `path` is unchanged. Adds "checksum" to the
 * metadata. */
int wf_safetensors_save(const char *path, const wf_tensor *tensors, int count, const wf_pair *metadata,
                        int pairs) WF_MUST;
/* Loads a file of exactly one record. WF_DATA: malformed or cut off, bytes after the record, or a wrong checksum. */
int wf_safetensors_load(const char *path, wf_safetensors *out) WF_MUST;
/* WF_DATA unless the record has the checksum in its metadata. Files of other programs ("format" is not WF_FORMAT) need
 * none. */
int wf_safetensors_check(const wf_safetensors *st, const char *name) WF_MUST;

WF_END

#endif
