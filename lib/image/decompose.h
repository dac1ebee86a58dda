/* decompose.h - pictures to records: reads pictures, edits them, and writes their coefficients to a stream or a store
 *
 * The first picture fixes what all must have. Calls come in the order create, look, run. */
#ifndef WF_DECOMPOSE_H
#define WF_DECOMPOSE_H

#include "../../kernels/backend.h"
#include "../base/watch.h"
#include "../store/store.h"
#include "../store/stream.h"
#include "edits.h"

WF_BEGIN

typedef struct wf_decompose_options {
    wf_edits edits;
    const char *wavelet;
    int levels;       /* halvings; -1: as often as two divides every side */
    int base;         /* halve until the shorter side has this many pixels; 0: by `levels` */
    int level;        /* the only level to write; -1: all */
    int64_t length;   /* of pieces of sounds; 0: whole */
    bool stored;      /* pictures are not turned upright by their orientation */
    bool volumes;     /* NumPy arrays are volumes, and nothing else is accepted */
    bool floats;      /* NumPy arrays of floats are fields, and nothing else is accepted */
    int batch;        /* pictures in one record; 0: about a million samples */
    int64_t skip_bad; /* pictures that may be bad, or unlike the first */
    void (*skipped)(void *user, const char *why); /* called for each of those */
    void *user;
    wf_watch watch; /* of pictures, of no level, -1; also those that the store has from an interrupted command */
} wf_decompose_options;

typedef struct wf_decomposed {
    int64_t total; /* pictures in the stream or store */
    int64_t kept;  /* of these, pictures that were in the store before */
    int64_t bad;   /* pictures skipped */
    bool anew;     /* the store was begun anew, and the input must be read again from its beginning */
    wf_edited edited;
} wf_decomposed;

typedef struct wf_decomposer wf_decomposer;

/* Everything is borrowed until destroy; the options are copied. */
int wf_decomposer_create(wf_images *images, wf_backend *backend, const wf_decompose_options *options,
                         wf_decomposer **out) WF_MUST;
void wf_decomposer_destroy(wf_decomposer *d); /* NULL is allowed */

/* Looks at the first picture, which run reads again. *more = false: there is none, and run must not be called. WF_DATA:
 * it has not the levels asked for. */
int wf_decomposer_look(wf_decomposer *d, bool *more) WF_MUST;
/* Metadata by the first picture, without provenance, which the caller may add. Valid until destroy. */
wf_meta *wf_decomposer_meta(wf_decomposer *d);

/* Reads all pictures and puts them into the store, which already had `kept` pictures, or else the stream. Pictures that
 * the store has from an interrupted command are passed over: the input must begin with them. A store whose last command
 * was refused is begun anew if its first or last picture is another; after the last, run returns WF_DATA with `anew`
 * set. If a later picture is refused, by WF_DATA, WF_NOINPUT or WF_USAGE, the store has a note of that
 * (wf_store_writer_refuse). Does not seal the store or end the stream. */
int wf_decomposer_run(wf_decomposer *d, wf_store_writer *store, int64_t kept, wf_writer *stream) WF_MUST;
wf_decomposed wf_decomposer_done(const wf_decomposer *d);

WF_END

#endif
