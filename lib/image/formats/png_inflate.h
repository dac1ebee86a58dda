/* png_inflate.h - inflating all pixels of a PNG file at once, by libdeflate
 *
 * libpng spends two thirds of its time in zlib's inflate, which goes step by step. libdeflate, which needs all bytes at
 * once, takes a third of zlib's time. libpng then reads a file in which the same pixels are stored without
 * compression. */
#ifndef WF_PNG_INFLATE_H
#define WF_PNG_INFLATE_H

#include "../format.h"

typedef struct wf_png_inflated {
    const uint8_t *before, *after; /* borrowed: the file's bytes around its pixels */
    size_t before_size, after_size;
    uint8_t *rows; /* [size], filtered; owned */
    size_t size;
    size_t at;        /* next byte to read */
    uint8_t adler[4]; /* Adler-32 of rows */
    uint8_t made[10];
} wf_png_inflated;

/* Inflates the pixels of a PNG file. False, with nothing to clear: the file is interlaced or irregular, a checksum of
 * its pixels is wrong, or memory is short. */
bool wf_png_inflate(const wf_code *code, wf_png_inflated *out);
void wf_png_inflated_clear(wf_png_inflated *inflated);

/* Reads the next n bytes of a file that has the pixels in one stored chunk (RFC 1951, 3.2.4). Its Adler-32 is right, its
 * CRC is 0. False at the end. */
bool wf_png_inflated_read(wf_png_inflated *inflated, uint8_t *to, size_t n);

#endif
