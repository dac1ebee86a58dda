/* json.h - JSON that is parsed and written whole or not at all
 *
 * jansson goes on where it has no memory for a character: a string or a text lacks it, or an assertion ends the
 * process. These functions leave jansson at the first call for memory that fails. */
#ifndef WF_JSON_H
#define WF_JSON_H

#include <stddef.h>
#include <stdio.h>

#include "linkage.h"

WF_BEGIN

struct json_t; /* of jansson.h */
struct json_error_t;

/* Parses n bytes, or a file from its place on. No key may be given twice. The caller drops the result by json_decref.
 * NULL: *error (may be NULL) says what is wrong; or errno is ENOMEM, and what was parsed so far is never freed. See
 * WF_CHECK_PARSED. The first call makes jansson call malloc through json.c, unless the program gave it functions of its
 * own (json_set_alloc_funcs). */
struct json_t *wf_json_parse(const char *text, size_t n, struct json_error_t *error);
struct json_t *wf_json_parse_file(FILE *file, struct json_error_t *error);

/* The text of a value, by jansson's flags, which the caller frees. NULL: errno is ENOMEM, or the value has no text. */
char *wf_json_text(const struct json_t *value, size_t flags);

WF_END

#endif
