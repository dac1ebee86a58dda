/* meta_text.h - metadata as text, the same in stream records and stores; private to the library */
#ifndef WF_META_TEXT_H
#define WF_META_TEXT_H

#include "meta.h"
#include "../base/safetensors.h"

/* The keys shared by streams and stores: format, wavelet, levels, top, shape "[[Dx]Hx]WxC", bits, provenance, and of sounds rate. */
enum { WF_META_PAIRS = 8 };

typedef struct wf_meta_text {
    wf_pair pairs[WF_META_PAIRS];
    int count; /* of them that are there */
    char shape[WF_SIZE_TEXT];
    char numbers[4][40];
} wf_meta_text;

/* Fills `text`, which borrows from `meta` and from itself: valid while both stay where they are. */
void wf_meta_format(const wf_meta *meta, wf_meta_text *text);

/* Value of `key`, or NULL. */
typedef const char *wf_meta_lookup(const void *user, const char *key);

/* Reads and checks the keys above; *meta needs no initialization and is cleared on failure. WF_DATA. */
int wf_meta_parse(wf_meta_lookup *lookup, const void *user, const char *who, wf_meta *meta) WF_MUST;

/* A plain decimal number 0 .. max, with no sign, space or leading zero; false otherwise. `text` may be NULL. */
bool wf_parse_count(const char *text, int64_t max, int64_t *out);

/* `from` [a JSON array of objects] appended to the provenance of `meta`. */
int wf_meta_join_provenance(wf_meta *meta, const char *from) WF_MUST;

#endif
