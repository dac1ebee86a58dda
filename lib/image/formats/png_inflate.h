/* png_inflate.h - PNG files whose pixels are decompressed at once, for libpng to read as if they had been stored
 *
 * libpng takes two thirds of its time in zlib's inflate, which goes step by step; libdeflate, which wants all bytes at once,
 * takes a third of that. */
#ifndef WF_PNG_INFLATE_H
#define WF_PNG_INFLATE_H

#include "../format.h"

typedef struct wf_png_stored {
    const uint8_t *before, *after; /* borrowed: what the file has around its pixels */
    size_t before_size, after_size;
    uint8_t *rows; /* [size], as filtered; owned */
    size_t size;
    size_t at; /* next byte to be read */
    uint8_t made[10];
} wf_png_stored;

/* False, and nothing to clear: not a file with one picture in rows from top to bottom and all checksums of its pixels right, or
 * no memory for it. */
bool wf_png_store(const wf_code *code, wf_png_stored *out);
void wf_png_stored_clear(wf_png_stored *stored);

/* The next n bytes of the file that has the pixels in one chunk, stored (RFC 1951, 3.2.4), whose checksums are zeros; false at
 * the end. */
bool wf_png_stored_read(wf_png_stored *stored, uint8_t *to, size_t n);

#endif
