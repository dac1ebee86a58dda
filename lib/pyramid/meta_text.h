/* meta_text.h - metadata as text, in stream records and stores; private to the library */
#ifndef WF_META_TEXT_H
#define WF_META_TEXT_H

#include "../base/linkage.h"
#include "../base/safetensors.h"
#include "meta.h"

WF_BEGIN

/* Keys: format, wavelet, levels, top, shape "[[Dx]Hx]WxC", bits, provenance, rate for sounds whose rate is known, and
 * shard "I/N RUN" for a shard. */
enum { WF_META_PAIRS = 9 };

typedef struct wf_meta_text {
    wf_pair pairs[WF_META_PAIRS];
    int count; /* pairs used */
    char shape[WF_SIZE_TEXT];
    char numbers[5][48];
} wf_meta_text;

/* Fills `text`, which points into `meta` and into itself: it must not be copied, and is valid as long as `meta`. */
void wf_meta_format(const wf_meta *meta, wf_meta_text *text);

/* Returns the value of `key`, or NULL. */
typedef const char *wf_meta_lookup(const void *user, const char *key);

/* Parses and checks the keys above. *meta needs no initialization and is cleared on failure. WF_DATA: a key is missing,
 * unless it is provenance, or malformed; the message begins with `who`. */
int wf_meta_parse(wf_meta_lookup *lookup, const void *user, const char *who, wf_meta *meta) WF_MUST;

/* Parses a decimal number 0 .. max without sign, space or leading zero. False: `text` is something else, or NULL. */
bool wf_parse_count(const char *text, int64_t max, int64_t *out);

/* Appends `from`, the text of a JSON array of objects, to the provenance of `meta`. */
int wf_meta_join_provenance(wf_meta *meta, const char *from) WF_MUST;

WF_END

#endif
