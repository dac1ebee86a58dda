/* flow_text.h - the text of a flow, written as filters in a pipeline:
 *
 *     16*(actnorm, conv1x1, affine:width=128:blocks=3), actnorm
 *
 *     chain = item {"," item}        item = [count "*"] (word | "(" chain ")")
 *     word  = name {":" key ["=" value]}       names, keys, values: letters, digits, "_", "-", "."
 *
 * Parsing expands repetitions: a parsed chain is a plain list of words. bijector.h gives the words their meaning. */
#ifndef WF_FLOW_TEXT_H
#define WF_FLOW_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

enum { WF_FLOW_TEXT_MAX_WORDS = 4096, WF_FLOW_TEXT_MAX_OPTIONS = 8, WF_FLOW_TEXT_MAX_DEPTH = 16 };

typedef struct wf_word {
    char name[24];
    int options;
    struct {
        char key[24], value[24]; /* value "1" where the text has none: conv1x1:lu */
        int at;
    } option[WF_FLOW_TEXT_MAX_OPTIONS];
    int at; /* offset of the name in the text, for messages */
} wf_word;

typedef struct wf_flow_text {
    char *text; /* owned copy */
    wf_word *words;
    int count, capacity;
} wf_flow_text;

/* WF_USAGE for a malformed chain; the message quotes the place and says what was expected. Release with
 * wf_flow_text_clear. */
int wf_flow_text_parse(const char *text, wf_flow_text *out) WF_MUST;
/* Reads a chain from a file, which may have lines, and comments from # to the end of a line; `out` gets one line.
 * WF_NOINPUT or WF_IO for the file; WF_USAGE for one without a chain or with more than size - 1 characters. */
int wf_flow_text_read(const char *path, char *out, size_t size) WF_MUST;
void wf_flow_text_clear(wf_flow_text *chain);

/* Writes a well-formed chain without its counts, so that each repetition is made once, and with single blanks: "8*(a,
 * b), c" becomes "(a, b), c". False: it has more than size - 1 characters. */
bool wf_flow_text_round(const char *text, char *out, size_t size);

/* Fails with WF_USAGE and the message "chain: FORMAT at character N, before 'REST'", N = at + 1. */
int wf_flow_text_error(const char *text, int at, const char *format, ...) WF_PRINTF(3, 4) WF_MUST;

WF_END

#endif
