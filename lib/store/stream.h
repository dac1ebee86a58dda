/* stream.h - coefficient streams: a sequence of safetensors records, closed by an end record.
 *
 *     record: u64 header length (little endian) | JSON header | data
 *     tensors: low [N,h,w,C] F32, detail [N,h,w,3C] F32 (absent at the base), index [N] U64; of sounds
 *         low [N,w,C], detail [N,w,C]; of volumes low [N,d,h,w,C], detail [N,d,h,w,7C]
 *     __metadata__: format, wavelet, level, levels, top, shape "HxWxC", bits, provenance, and of sounds rate
 *     end record: no tensors; __metadata__ {"format", "end": record count, "hash": XXH3-64 of all bytes before it}
 *
 * A stream of latents (codec.h) is of another format: above the base `detail` [N,h,w,K] are latents, and there is no `low`; at
 * the base `low` [N,h,w,C] are latents.
 *
 * All levels of one batch of pictures follow one another, lowest first, before the next batch begins. A stream without
 * its end record was cut off, and reading it fails with WF_DATA. */
#ifndef WF_STREAM_H
#define WF_STREAM_H

#include <stdio.h>

#include "../pyramid/meta.h"

/* One batch at one level. All pointers are borrowed: from the reader until its next read, or from the caller. */
typedef struct wf_record {
    int level;
    int64_t N;
    const float *low;      /* [N,h,w,C], NULL in latents above the base */
    const float *detail;   /* [N,h,w,K], NULL at the base */
    const uint64_t *index; /* [N], which picture */
} wf_record;

/* WF_DATA unless level and N are in range and all coefficients are finite; `who` begins the message. */
int wf_record_check(const wf_record *record, const wf_meta *meta, const char *who) WF_MUST;

/* Takes a record, borrowed during the call. */
typedef int wf_record_sink(void *user, const wf_record *record);

typedef struct wf_reader wf_reader;
typedef struct wf_writer wf_writer;

/* Reads the first record's header, so that wf_reader_meta is known; `name` is used in messages. Does not own `file`. */
int wf_reader_create(FILE *file, const char *name, wf_reader **out) WF_MUST; /* WF_DATA: latents */
int wf_reader_create_any(FILE *file, const char *name, wf_reader **out) WF_MUST;
void wf_reader_destroy(wf_reader *reader);
const wf_meta *wf_reader_meta(const wf_reader *reader); /* valid until destroy */

/* Next record, or *more = false after a verified end record that nothing follows. Every record must carry the same
 * metadata but for its level. WF_DATA: truncated, corrupt, or non-finite coefficients. */
int wf_reader_next(wf_reader *reader, wf_record *record, bool *more) WF_MUST;

int wf_writer_create(FILE *file, const char *name, const wf_meta *meta, wf_writer **out) WF_MUST;
int wf_writer_put(wf_writer *writer, const wf_record *record) WF_MUST; /* flushed, so that a pipe sees it at once */
int wf_writer_finish(wf_writer *writer) WF_MUST; /* end record, flush; then only destroy is allowed */
void wf_writer_destroy(wf_writer *writer);       /* without finish, the stream stays visibly incomplete */

#endif
