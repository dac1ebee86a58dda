/* stream.h - coefficient streams: a sequence of safetensors records, closed by an end record
 *
 *     record      u64 header length, little endian | JSON header | data, little endian; see safetensors.h
 *     tensors     low [N,h,w,C] F32, detail [N,h,w,3C] F32 (absent at the base), index [N] U64
 *                 of sounds    low [N,w,C], detail [N,w,C]
 *                 of volumes   low [N,d,h,w,C], detail [N,d,h,w,7C]
 *     metadata    "__metadata__" of the header, strings: format, wavelet, level, levels, top, shape
 *                 "[[DEPTHx]HEIGHTx]WIDTHxCHANNELS", bits, and rate for sounds whose rate is known; in the first
 *                 record, and perhaps in others, provenance; in the first record of a batch whose pictures have names,
 *                 names: the text of a JSON array of N strings or nulls; shard "I/N RUN" and batch "PLACExEACH" of a
 *                 shard (shard.h), whose records are each a part of one batch of the run
 *     end record  no tensors; metadata format, end = number of records before it in decimal, and hash = XXH3-64 with
 *                 seed 0 of all bytes before it, 16 hex digits; in a shard without a picture also the metadata of its
 *                 records
 *
 * All levels of one batch of pictures come before the next batch, lowest level first. A stream without its end record
 * was cut off, and reading it fails with WF_DATA.
 *
 * A stream of latents (codec.h) has another format in its records (not in the end record). Above the base it has
 * latents `detail` [N,h,w,K] and no `low`; at the base it has latents `low` [N,h,w,C]. */
#ifndef WF_STREAM_H
#define WF_STREAM_H

#include <stdio.h>

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

/* One level of one batch. All pointers are borrowed: from the reader until its next read, or from the caller. */
typedef struct wf_record {
    int level;
    int64_t N;
    const float *low;         /* [N,h,w,C], NULL in latents above the base */
    const float *detail;      /* [N,h,w,K], NULL at the base */
    const uint64_t *index;    /* [N], index of each picture */
    const char *const *names; /* [N], name of each picture or NULL, such as its file; NULL: none has one */
    int64_t batch;            /* of a shard: first place of the run's batch that these pictures are a part of */
    int each;                 /* pictures at each place, such as one per chain; 0: not a shard, or batch not known */
} wf_record;

/* Checks a record before it is written. WF_DATA unless level and N are in range and all coefficients are finite; `who`
 * begins the message. */
int wf_record_check(const wf_record *record, const wf_meta *meta, const char *who) WF_MUST;

/* Writes a picture's name, or its index if that is NULL, for a table: bytes below the blank become '?'. */
void wf_write_name(FILE *file, const char *name, uint64_t index);
/* Writes it as a string of JSON. WF_AGAIN: out of memory. */
int wf_write_json_name(FILE *file, const char *name) WF_MUST;

/* Takes a record, which is borrowed during the call. */
typedef int wf_record_sink(void *user, const wf_record *record);

typedef struct wf_reader wf_reader;
typedef struct wf_writer wf_writer;

/* Creates a reader and reads the first record's header, for wf_reader_meta. `name` is used in messages. `file` is
 * borrowed until destroy. WF_DATA: damaged, or a stream of latents. */
int wf_reader_create(FILE *file, const char *name, wf_reader **out) WF_MUST;
/* wf_reader_create that also accepts latents, and a shard without a picture. */
int wf_reader_create_any(FILE *file, const char *name, wf_reader **out) WF_MUST;
void wf_reader_destroy(wf_reader *reader);              /* NULL is allowed */
const wf_meta *wf_reader_meta(const wf_reader *reader); /* valid until destroy */

/* Reads the next record; *more = false after an end record whose count and hash are right and that nothing follows. The
 * metadata of all records must agree, except for the level. All records of a batch have its names. WF_DATA: cut off,
 * damaged, or coefficients that are not finite. */
int wf_reader_next(wf_reader *reader, wf_record *record, bool *more) WF_MUST;

/* Creates a writer. `name` is used in messages. `file` is borrowed until destroy. */
int wf_writer_create(FILE *file, const char *name, const wf_meta *meta, wf_writer **out) WF_MUST;
/* Writes a record and flushes, so that a pipe gets it at once. Names are written once for records with the same
 * pictures. In a name that is not UTF-8, bytes over 127 become '?'. Where the names of a batch take over 4 MiB, long
 * ones keep their ends. */
int wf_writer_put(wf_writer *writer, const wf_record *record) WF_MUST;
int wf_writer_finish(wf_writer *writer) WF_MUST; /* writes the end record and flushes; only destroy may follow */
void wf_writer_destroy(wf_writer *writer);       /* NULL is allowed; without finish, the stream counts as cut off */

WF_END

#endif
