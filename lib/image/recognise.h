/* recognise.h - private to lib/image: which format the next bytes of a source have, and names of formats not read */
#ifndef WF_RECOGNISE_H
#define WF_RECOGNISE_H

#include "format.h"
#include "kind.h"

typedef struct wf_format {
    const char *name;
    size_t head; /* bytes needed to recognise it */
    wf_follow follow;
    wf_is *is;
    int (*read)(wf_source *source, wf_image *image); /* READ and CODE */
    int (*cut)(wf_source *source, wf_code *code);    /* CODE */
    int (*begin)(wf_source *source, const wf_images_options *options, wf_series **series);
    int (*open)(wf_source *parent, wf_source **out);
} wf_format;

/* Finds the format of the next bytes; NULL: none that is read. */
int wf_format_find(wf_source *source, const wf_format **found) WF_MUST;
int wf_format_row(const wf_format *format); /* its row of the registry */
bool wf_format_compresses(const wf_format *format);

/* A kind of file that users have and that this library does not decode. */
typedef struct wf_foreign {
    const char *kind;   /* with an article, as in "a Python pickle" */
    const char *advice; /* what to do with it */
    wf_kind_class of; /* WF_KIND_PICTURE is refused wherever it comes, others are passed over in folders and archives */
    size_t at, length;
    const char *bytes;                           /* [length] at offset `at`, or */
    bool (*fits)(const uint8_t *head, size_t n); /* the test, where bytes is NULL */
} wf_foreign;

/* Finds the kind of the next bytes; NULL: unknown. */
int wf_foreign_find(wf_source *source, const wf_foreign **found) WF_MUST;
const wf_foreign *wf_foreign_store(void); /* the kind of a store's data.mdb */

enum { WF_FOREIGN_TEXT = 400 };
/* Says what was found in place of a picture, and what to do with it. refused: the message is about nothing else.
 * Returns `out`. */
const char *wf_foreign_text(const wf_foreign *kind, bool refused, char out[WF_FOREIGN_TEXT]);

/* True if the name's end is one of a format of pictures, sounds or archives, read here or not. */
bool wf_named_like_picture(const char *name);

/* True if a value of a database is something that programs store beside pictures: a number or text. */
int wf_is_note(wf_source *source, bool *note) WF_MUST;

#endif
