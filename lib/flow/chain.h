/* chain.h - the text of a flow, as filters in a pipeline:
 *
 *     16*(actnorm, conv1x1, affine:width=128:blocks=3), actnorm
 *
 *     chain = item {"," item}        item = [count "*"] (word | "(" chain ")")
 *     word  = name {":" key ["=" value]}       names, keys, values: letters, digits, "_", "-", "."
 *
 * Repetitions are expanded here, so a parsed chain is a plain list of words. What the words mean is bijector.h's. */
#ifndef WF_CHAIN_H
#define WF_CHAIN_H

#include <stddef.h>

#include "../base/status.h"

enum { WF_CHAIN_MAX_WORDS = 4096, WF_CHAIN_MAX_OPTIONS = 8 };

typedef struct wf_word {
    char name[24];
    int options;
    struct {
        char key[24], value[24]; /* value "1" when none was written: conv1x1:lu */
        int at;
    } option[WF_CHAIN_MAX_OPTIONS];
    int at; /* place of the name in the text, from 0: for messages */
} wf_word;

typedef struct wf_chain {
    char *text; /* owned copy */
    wf_word *words;
    int count, capacity;
} wf_chain;

/* WF_USAGE with the place and what was expected there. */
int wf_chain_parse(const char *text, wf_chain *out) WF_MUST;
/* The text of a chain in a file, where it may have lines, and comments from # to the end of a line: in `out` as one line. WF_NOINPUT,
 * WF_IO; WF_USAGE: nothing there, or more than `size` has room for. */
int wf_chain_read(const char *path, char *out, size_t size) WF_MUST;
void wf_chain_clear(wf_chain *chain);

/* WF_USAGE: "chain: ... at character N: `rest`: message". */
int wf_chain_error(const char *text, int at, const char *format, ...) WF_PRINTF(3, 4) WF_MUST;

#endif
