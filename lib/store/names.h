/* names.h - private to lib/store: names of pictures as text in streams, and as blocks in stores */
#ifndef WF_NAMES_H
#define WF_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"

/* Formats names [N] as the text of a JSON array, which the caller frees; *text = NULL if there are none. */
int wf_names_format(const char *who, const char *const *names, int64_t N, char **text) WF_MUST;

/* Strings that grow, one after the other. */
typedef struct wf_names {
    char *bytes; /* texts, each with its zero byte */
    size_t used, room;
    size_t *at; /* [count], place of each text */
    size_t count, slots;
    const char **table; /* [count], made by wf_names_table */
} wf_names;

void wf_names_clear(wf_names *names);
/* Appends `n` bytes, without zero, as a name; n = 0: a picture without a name. */
int wf_names_add(wf_names *names, const char *text, size_t n) WF_MUST;
/* Names as pointers, NULL for pictures without one; NULL if none has one. Valid until the next change. */
int wf_names_table(wf_names *names, const char *const **table) WF_MUST;
/* Parses such a JSON text of N names in place of what was there. WF_DATA: malformed; the message begins with `who`. */
int wf_names_parse(const char *who, const char *text, int64_t N, wf_names *names) WF_MUST;

/* A block holds the names of pictures with successive indices:
 *
 *     u64 checksum of what follows, its seed being the first index | for each picture: varint bytes shared with the
 *     name before | varint bytes that follow | these
 *
 * A varint has 7 bits a byte, lowest first, and bit 7 set in all bytes but the last. */
enum {
    WF_NAME_BLOCK = 256,
    WF_NAME_BYTES = 4096
}; /* pictures in a block at most; bytes of a name, of which the last are kept */

/* Encodes names [n] into *bytes, which grows and is the caller's. */
int wf_names_encode(const char *who, uint64_t first, const char *const *names, int n, unsigned char **bytes,
                    size_t *room, size_t *size) WF_MUST;
/* Decodes a block in place of what was there. WF_DATA: damaged. */
int wf_names_decode(const char *who, uint64_t first, const void *bytes, size_t size, wf_names *names) WF_MUST;

#endif
