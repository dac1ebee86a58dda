/* rans.c - the entropy coder */
#include "rans.h"

#include <stdlib.h>
#include <string.h>

#define LOW (UINT64_C(1) << 31) /* the state is LOW .. 2^63 - 1 between symbols */

int wf_rans_push(wf_rans_list *list, uint32_t start, uint32_t freq)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 4096;
        wf_rans_symbol *grown = realloc(list->symbols, room * sizeof *grown);
        WF_CHECK(grown, WF_AGAIN, "out of memory for %zu symbols", room);
        list->symbols = grown;
        list->room = room;
    }
    list->symbols[list->count++] = (wf_rans_symbol){start, freq};
    return WF_OK;
}

static uint8_t *put_word(uint8_t *at, uint32_t word)
{
    at -= 4;
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(word >> 8 * i);
    return at;
}

int wf_rans_finish(wf_rans_list *list, uint32_t check, uint8_t **bytes, size_t *n)
{
    size_t room = 4 * list->count + 8; /* a symbol never needs more than one word */
    uint8_t *memory = malloc(room);
    WF_CHECK(memory, WF_AGAIN, "out of memory for %zu bytes", room);
    uint8_t *at = memory + room;
    uint64_t state = LOW | (check & WF_RANS_CHECK);
    for (size_t i = list->count; i-- > 0;) {
        uint64_t freq = list->symbols[i].freq;
        if (state >= freq << (63 - WF_RANS_BITS)) {
            at = put_word(at, (uint32_t)state);
            state >>= 32;
        }
        state = (state / freq << WF_RANS_BITS) + state % freq + list->symbols[i].start;
    }
    if (state >> 56) {
        at = put_word(at, (uint32_t)state);
        state >>= 32;
    }
    int head = 4;
    while (state >> 8 * head)
        head++;
    for (int i = head; i-- > 0;)
        *--at = (uint8_t)(state >> 8 * i);
    *n = (size_t)(memory + room - at);
    memmove(memory, at, *n);
    uint8_t *shrunk = realloc(memory, *n);
    *bytes = shrunk ? shrunk : memory;
    list->count = 0;
    return WF_OK;
}

void wf_rans_clear(wf_rans_list *list)
{
    free(list->symbols);
    *list = (wf_rans_list){0};
}

static uint32_t get_word(wf_rans_reader *reader)
{
    uint32_t word = 0;
    for (int i = 0; i < 4; i++)
        word |= (uint32_t)reader->bytes[reader->at++] << 8 * i;
    return word;
}

/* Reads a word if the state needs one. */
static int fill(wf_rans_reader *reader)
{
    if (reader->state >= LOW)
        return WF_OK;
    WF_CHECK(reader->n - reader->at >= 4, WF_DATA, "the code ends early, at byte %zu", reader->n);
    reader->state = reader->state << 32 | get_word(reader);
    return WF_OK;
}

int wf_rans_open(const uint8_t *bytes, size_t n, wf_rans_reader *out)
{
    *out = (wf_rans_reader){.bytes = bytes, .n = n};
    size_t head = 4 + n % 4;
    WF_CHECK(n >= head && bytes[head - 1], WF_DATA, "%zu bytes of code, which do not begin with a state", n);
    for (; out->at < head; out->at++)
        out->state |= (uint64_t)bytes[out->at] << 8 * out->at;
    return fill(out);
}

int wf_rans_pass(wf_rans_reader *reader, uint32_t start, uint32_t freq)
{
    uint64_t state = freq * (reader->state >> WF_RANS_BITS) + wf_rans_slot(reader) - start;
    reader->state = state;
    return fill(reader);
}

int wf_rans_end(const wf_rans_reader *reader, uint32_t check)
{
    WF_CHECK(reader->at == reader->n && reader->state == (LOW | (check & WF_RANS_CHECK)), WF_DATA,
             "the code is of other pixels");
    return WF_OK;
}
