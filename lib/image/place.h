/* place.h - private to lib/image: how far a reader of pictures is in its input */
#ifndef WF_PLACE_H
#define WF_PLACE_H

#include <fts.h>

#include "format.h"

typedef struct wf_place {
    int operands;
    double begin, width;     /* of the file being read, as fractions of its operand */
    double size;             /* of that file in bytes; 0: not known */
    int64_t pictures;        /* read so far */
    double fraction;         /* of the input, when the last one came; -1: not known */
    _Atomic double expected; /* as wf_images_expected */
} wf_place;

/* Numbers the entries of the folder that fts_read has just returned. fts_read goes on with the same list.
 * `path` is for the message. WF_AGAIN: out of memory. */
int wf_place_folder(FTS *walk, const char *path) WF_MUST;
/* The next file is an entry of a walk, or a stream. */
void wf_place_entry(wf_place *place, const FTSENT *entry);
void wf_place_stream(wf_place *place, FILE *stream);
/* A picture was read from `file`, NULL: from none, while `left` operands are still to be opened. list: paths are read
 * from a list. */
void wf_place_note(wf_place *place, const wf_source *file, int left, bool list);

#endif
