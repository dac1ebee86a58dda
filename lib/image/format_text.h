/* format_text.h - the registry of formats as text, for the manual */
#ifndef WF_FORMAT_TEXT_H
#define WF_FORMAT_TEXT_H

#include "../base/linkage.h"

WF_BEGIN

typedef struct wf_format_text {
    const char *name;
    const char *kind;    /* a file of it, with an article, as messages name it */
    const char *sign;    /* the bytes by which the content is recognised */
    const char *content; /* depths, channels, and what becomes of them */
    const char *refused; /* with exit code 65, and the remedy */
} wf_format_text;

/* Text of row i of the registry; NULL past the end. Static. */
const wf_format_text *wf_format_text_row(int i);
/* Kind i of the files that are recognised and not read, and what to do with it; NULL past the end. A kind may come
 * twice in a row. Static. */
const char *wf_image_unsupported(int i);
const char *wf_image_unsupported_advice(int i);

WF_END

#endif
