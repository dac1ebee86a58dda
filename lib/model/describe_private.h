/* describe_private.h - private to lib/model: a description as describe.c builds it and describe_text.c reads it */
#ifndef WF_DESCRIBE_PRIVATE_H
#define WF_DESCRIBE_PRIVATE_H

#include <jansson.h>

#include "describe.h"

struct wf_description {
    json_t *root; /* owned */
    bool verify;
    wf_watch watch;
    bool failed; /* a value could not be made or added: no memory, or text that is not UTF-8 */
};

/* Writes a string, an integer, or a list of these with `between` in between; nothing for other values. Control
 * characters, which come from a file and would reach a terminal, become '?'. Returns the length; file NULL: only
 * counts. */
int wf_description_put(FILE *file, const json_t *value, const char *between);
/* Writes an indented line for each program that led to the description's files, oldest first, after `heading` if there
 * are any. */
int wf_description_put_provenance(const wf_description *d, FILE *file, const char *heading, const char *indent,
                                  const char *name) WF_MUST;

#endif
