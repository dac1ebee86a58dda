/* flow_text.h - the text of a flow, as filters in a pipeline:
 *
 *     16*(actnorm, conv1x1, affine:width=128:blocks=3), actnorm
 *
 *     chain = item {"," item}        item = [count "*"] (word | "(" chain ")")
 *     word  = name {":" key ["=" value]}       names, keys, values: letters, digits, "_", "-", "."
 *
 * Repetitions are expanded here, so a parsed chain is a plain list of words. What the words mean is bijector.h's. */
#ifndef WF_FLOW_TEXT_H
#define WF_FLOW_TEXT_H

#include <stddef.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

enum { WF_FLOW_TEXT_MAX_WORDS = 4096, WF_FLOW_TEXT_MAX_OPTIONS = 8 };

typedef struct wf_word {
    char name[24];
    int options;
    struct {
        char key[24], value[24]; /* value "1" when none was written: conv1x1:lu */
        int at;
    } option[WF_FLOW_TEXT_MAX_OPTIONS];
    int at; /* place of the name in the text, from 0: for messages */
} wf_word;

typedef struct wf_flow_text {
    char *text; /* owned copy */
    wf_word *words;
    int count, capacity;
} wf_flow_text;

/* WF_USAGE with the place and what was expected there. */
int wf_flow_text_parse(const char *text, wf_flow_text *out) WF_MUST;
/* The text of a chain in a file, where it may have lines, and comments from # to the end of a line: in `out` as one line. WF_NOINPUT,
 * WF_IO; WF_USAGE: nothing there, or more than `size` has room for. */
int wf_flow_text_read(const char *path, char *out, size_t size) WF_MUST;
void wf_flow_text_clear(wf_flow_text *chain);

/* WF_USAGE: "chain: ... at character N: `rest`: message". */
int wf_flow_text_error(const char *text, int at, const char *format, ...) WF_PRINTF(3, 4) WF_MUST;

WF_END

#endif
