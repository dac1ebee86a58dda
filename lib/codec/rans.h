/* rans.h - private to lib/codec: range asymmetric numeral systems, an entropy coder (Duda 2013, arXiv 1311.2540)
 *
 * A symbol is an interval start .. start + freq - 1 of 2^24 slots, and costs log2(2^24 / freq) bits. The state has 64
 * bits and is renormalized by words of 32. The encoder takes the symbols last to first, the decoder gives them first to
 * last, so an encoder collects them all before it writes. The n bytes are the state and words, all lowest byte first.
 * The state has 4 + n mod 4 bytes, the last of which is not 0. A state of 8 bytes has its lower half as the first word.
 * The length is within 24 bytes of the sum of costs.
 *
 * The encoder begins with a state whose lowest 31 bits are free, and the decoder ends with it: they hold a check,
 * such as a hash of what was encoded. */
#ifndef WF_RANS_H
#define WF_RANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"

enum { WF_RANS_BITS = 24, WF_RANS_SLOTS = 1 << WF_RANS_BITS, WF_RANS_CHECK = 0x7fffffff };

typedef struct wf_rans_symbol {
    uint32_t start, freq; /* freq > 0, start + freq <= WF_RANS_SLOTS */
} wf_rans_symbol;

/* Symbols that grow. Zero-initialize; wf_rans_clear frees. */
typedef struct wf_rans_list {
    wf_rans_symbol *symbols;
    size_t count, room;
} wf_rans_list;

int wf_rans_push(wf_rans_list *list, uint32_t start, uint32_t freq) WF_MUST;
/* Encodes all symbols and the lowest 31 bits of `check` into *bytes [*n], which the caller frees, and empties the
 * list. */
int wf_rans_finish(wf_rans_list *list, uint32_t check, uint8_t **bytes, size_t *n) WF_MUST;
void wf_rans_clear(wf_rans_list *list);

/* A decoder; the bytes are borrowed. */
typedef struct wf_rans_reader {
    const uint8_t *bytes;
    size_t n, at;
    uint64_t state;
} wf_rans_reader;

/* WF_DATA: the bytes do not begin with a state. */
int wf_rans_open(const uint8_t *bytes, size_t n, wf_rans_reader *out) WF_MUST;
/* The slot of the next symbol. */
static inline uint32_t wf_rans_slot(const wf_rans_reader *reader)
{
    return (uint32_t)reader->state & (WF_RANS_SLOTS - 1);
}
/* Passes over the next symbol, whose interval holds the slot. WF_DATA: the bytes end before it. */
int wf_rans_pass(wf_rans_reader *reader, uint32_t start, uint32_t freq) WF_MUST;
/* After the last symbol. WF_DATA: bytes are left, or the encoder had another check. */
int wf_rans_end(const wf_rans_reader *reader, uint32_t check) WF_MUST;

#endif
