/* png_inflate.c - inflating all pixels of a PNG file at once; see png_inflate.h */
#include "png_inflate.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIGNATURE = 8,
    AROUND = 12, /* bytes of a chunk's length, name and checksum */
    NAME = 4,
    BLOCK = 65535, /* most bytes of a stored block */
    HEADER = 5,    /* bytes of a block's header */
    CHUNK = 10,    /* bytes of the chunk's length and name and of zlib's header */
    ADLER = 4,     /* bytes of zlib's checksum, which ends its data */
    CHECKS = 8,    /* bytes of Adler-32 and CRC-32 */
    MOST = 1032    /* most bytes that one compressed byte can become */
};

static uint32_t get_number(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_number(uint8_t *b, size_t n)
{
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(n >> (24 - 8 * i));
}

/* Bytes of the whole chunk at `at`; 0 if it is cut off. */
static size_t chunk_size(const wf_code *code, size_t at)
{
    if (at > code->size || code->size - at < AROUND)
        return 0;
    size_t length = get_number(code->bytes + at);
    return length <= code->size - at - AROUND ? length + AROUND : 0;
}

/* Bytes of all rows with their filter bytes; 0: interlaced, or a wrong IHDR. */
static size_t size_of_rows(const wf_code *code)
{
    static const uint8_t channels[7] = {1, 0, 3, 1, 2, 0, 4};
    if (chunk_size(code, SIGNATURE) != AROUND + 13)
        return 0;
    const uint8_t *data = code->bytes + SIGNATURE + 2 * NAME;
    size_t W = get_number(data), H = get_number(data + 4), depth = data[8], type = data[9], interlaced = data[12];
    if (memcmp(data - NAME, "IHDR", NAME) || W > WF_MAX_SIDE || H > WF_MAX_SIDE || depth > 16 || type > 6 || interlaced)
        return 0;
    return H * ((W * depth * channels[type] + 7) / 8 + 1);
}

/* Concatenates the data of all IDAT chunks at `to`. *at: the first of them, on return the end of the last. Returns the
 * number of bytes; 0 if a checksum is wrong. */
static size_t concatenate_data(const wf_code *code, size_t *at, uint8_t *to)
{
    size_t size = 0, whole;
    while ((whole = chunk_size(code, *at)) && !memcmp(code->bytes + *at + NAME, "IDAT", NAME)) {
        const uint8_t *name = code->bytes + *at + NAME;
        size_t length = whole - AROUND;
        if (libdeflate_crc32(0, name, NAME + length) != get_number(name + NAME + length))
            return 0;
        memcpy(to + size, name + NAME, length);
        size += length;
        *at += whole;
    }
    return size;
}

static bool inflate_all(const uint8_t *from, size_t n, uint8_t *to, size_t size)
{
    size_t taken, made;
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    bool good = d && libdeflate_zlib_decompress_ex(d, from, n, to, size, &taken, &made) == LIBDEFLATE_SUCCESS &&
                taken == n && made == size;
    libdeflate_free_decompressor(d);
    return good;
}

bool wf_png_inflate(const wf_code *code, wf_png_inflated *s)
{
    size_t at = SIGNATURE, whole;
    *s = (wf_png_inflated){.before = code->bytes, .size = size_of_rows(code)};
    if (!s->size || s->size / MOST > code->size)
        return false;
    while ((whole = chunk_size(code, at)) && memcmp(code->bytes + at + NAME, "IDAT", NAME))
        at += whole;
    s->before_size = at;
    uint8_t *deflated = malloc(code->size);
    s->rows = malloc(s->size);
    size_t n = deflated && s->rows ? concatenate_data(code, &at, deflated) : 0;
    bool good = n && inflate_all(deflated, n, s->rows, s->size);
    if (good)
        memcpy(s->adler, deflated + n - ADLER, ADLER);
    free(deflated);
    s->after = code->bytes + at;
    s->after_size = code->size - at;
    if (!good)
        wf_png_inflated_clear(s);
    return good;
}

void wf_png_inflated_clear(wf_png_inflated *s)
{
    free(s->rows);
    *s = (wf_png_inflated){0};
}

/* Bytes of the stored chunk from `at` on; *n: how many of them are contiguous. */
static const uint8_t *chunk_piece(wf_png_inflated *s, size_t at, size_t *n)
{
    size_t blocks = (s->size + BLOCK - 1) / BLOCK, all = s->size + HEADER * blocks;
    memset(s->made, 0, sizeof s->made);
    if (at < CHUNK) {
        put_number(s->made, 2 + all + ADLER);
        memcpy(s->made + NAME, "IDAT\x78\x01", NAME + 2);
        *n = CHUNK - at;
        return s->made + at;
    }
    at -= CHUNK;
    if (at >= all) {
        memcpy(s->made, s->adler, ADLER);
        *n = CHECKS - (at - all);
        return s->made + (at - all);
    }
    size_t block = at / (HEADER + BLOCK), in = at % (HEADER + BLOCK), begin = block * BLOCK;
    size_t length = s->size - begin < BLOCK ? s->size - begin : BLOCK;
    if (in >= HEADER) {
        *n = HEADER + length - in;
        return s->rows + begin + in - HEADER;
    }
    const uint8_t header[HEADER] = {block + 1 == blocks, (uint8_t)length, (uint8_t)(length >> 8), (uint8_t)~length,
                                    (uint8_t)(~length >> 8)};
    memcpy(s->made, header, HEADER);
    *n = HEADER - in;
    return s->made + in;
}

static const uint8_t *next_piece(wf_png_inflated *s, size_t *n)
{
    size_t blocks = (s->size + BLOCK - 1) / BLOCK, chunk = CHUNK + s->size + HEADER * blocks + CHECKS, at = s->at;
    if (at < s->before_size) {
        *n = s->before_size - at;
        return s->before + at;
    }
    at -= s->before_size;
    if (at < chunk)
        return chunk_piece(s, at, n);
    at -= chunk;
    *n = s->after_size - at;
    return s->after + at;
}

bool wf_png_inflated_read(wf_png_inflated *s, uint8_t *to, size_t n)
{
    while (n) {
        size_t have;
        const uint8_t *from = next_piece(s, &have);
        if (!have)
            return false;
        have = have < n ? have : n;
        memcpy(to, from, have);
        to += have;
        n -= have;
        s->at += have;
    }
    return true;
}
