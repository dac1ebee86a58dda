/* pnm.c - PBM, PGM and PPM, binary (P4 to P6) and plain (P1 to P3) (https://netpbm.sourceforge.net/doc) */
#include <ctype.h>

#include "../format.h"

bool wf_image_is_pnm(const uint8_t *head, size_t n)
{
    return n >= 3 && head[0] == 'P' && head[1] >= '1' && head[1] <= '6' && (isspace(head[2]) || head[2] == '#');
}

int wf_image_maxval_bits(int64_t maxval)
{
    int bits = 8;
    while (((int64_t)1 << bits) - 1 < maxval)
        bits++;
    /* 0..1000 is not a whole number of bits: it is scaled to 16 bits, where no two values coincide. */
    return bits > 8 && ((int64_t)1 << bits) - 1 != maxval ? 16 : bits;
}

/* Reads the next byte outside white space and comments; -1 at the end. */
static int next_mark(wf_source *source, int *byte)
{
    bool comment = false;
    do {
        WF_TRY(wf_source_byte(source, byte));
        comment = (comment || *byte == '#') && *byte != '\n' && *byte != -1;
    } while (comment || (*byte != -1 && isspace(*byte)));
    return WF_OK;
}

/* Reads a decimal number of at most `limit` and the one byte of white space after it. */
static int read_number(wf_source *source, const char *what, int64_t limit, int64_t *value)
{
    int byte;
    int64_t number = 0;
    WF_TRY(next_mark(source, &byte));
    WF_CHECK(byte != -1, WF_DATA, "%s: cut off: the PNM %s is missing", source->name, what);
    do {
        WF_CHECK(byte != -1 && isdigit(byte), WF_DATA, "%s: byte 0x%02x in the PNM %s, want a digit", source->name,
                 byte & 0xff, what);
        number = number * 10 + (byte - '0');
        WF_CHECK(number <= limit, WF_DATA, "%s: PNM %s is over %lld", source->name, what, (long long)limit);
        WF_TRY(wf_source_byte(source, &byte));
    } while (byte != -1 && !isspace(byte));
    *value = number;
    return WF_OK;
}

int wf_image_read_samples(wf_source *source, wf_image *image, int64_t H, int64_t W, int64_t C, int64_t maxval)
{
    int bits = wf_image_maxval_bits(maxval);
    uint32_t top = (1u << bits) - 1;
    WF_TRY(wf_image_reserve(image, source->name, H, W, C, bits));
    size_t n = (size_t)(H * W * C), size = maxval > 255 ? 2 : 1;
    /* Bytes are read to the end of the array and then spread over it, so that none is overwritten before it is read. */
    const uint8_t *bytes = (uint8_t *)image->pixels + n * (2 - size);
    WF_TRY(wf_source_read(source, (uint8_t *)image->pixels + n * (2 - size), n * size));
    for (size_t i = 0; i < n; i++) {
        uint32_t v = size == 1 ? bytes[i] : (uint32_t)bytes[2 * i] << 8 | bytes[2 * i + 1];
        WF_CHECK(v <= maxval, WF_DATA, "%s: sample %u is over the MAXVAL %lld", source->name, v, (long long)maxval);
        image->pixels[i] = wf_image_rescale(v, (uint32_t)maxval, top);
    }
    return WF_OK;
}

static int read_bits(wf_source *source, wf_image *image, int64_t H, int64_t W)
{
    uint8_t row[WF_MAX_SIDE / 8];
    WF_TRY(wf_image_reserve(image, source->name, H, W, 1, 8));
    for (int64_t y = 0; y < H; y++) {
        WF_TRY(wf_source_read(source, row, (size_t)(W + 7) / 8));
        for (int64_t x = 0; x < W; x++) /* 1 is black */
            image->pixels[y * W + x] = row[x / 8] & (0x80 >> x % 8) ? 0 : 255;
    }
    return WF_OK;
}

static int read_plain(wf_source *source, wf_image *image, int64_t H, int64_t W, int C, int64_t maxval, bool bitmap)
{
    int bits = wf_image_maxval_bits(maxval);
    WF_TRY(wf_image_reserve(image, source->name, H, W, C, bits));
    for (int64_t i = 0; i < H * W * C; i++) {
        int64_t v;
        if (bitmap) { /* digits without white space between them */
            int byte;
            WF_TRY(next_mark(source, &byte));
            WF_CHECK(byte == '0' || byte == '1', WF_DATA, "%s: want 0 or 1 for each of %lldx%lld pixels", source->name,
                     (long long)H, (long long)W);
            v = '1' - byte;
        } else {
            WF_TRY(read_number(source, "sample", maxval, &v));
        }
        image->pixels[i] = wf_image_rescale((uint32_t)v, (uint32_t)maxval, (1u << bits) - 1);
    }
    return wf_source_skip_space(source);
}

int wf_image_read_pnm(wf_source *source, wf_image *image)
{
    uint8_t magic[2];
    WF_TRY(wf_source_read(source, magic, 2));
    bool plain = magic[1] <= '3', bitmap = magic[1] == '1' || magic[1] == '4';
    int C = magic[1] == '3' || magic[1] == '6' ? 3 : 1;
    int64_t W, H, maxval = 1;
    WF_TRY(read_number(source, "width", WF_MAX_SIDE, &W));
    WF_TRY(read_number(source, "height", WF_MAX_SIDE, &H));
    if (!bitmap)
        WF_TRY(read_number(source, "MAXVAL", 65535, &maxval));
    WF_CHECK(maxval > 0, WF_DATA, "%s: PNM MAXVAL is 0, want 1 to 65535", source->name);
    if (plain)
        return read_plain(source, image, H, W, C, maxval, bitmap);
    if (bitmap)
        return read_bits(source, image, H, W);
    return wf_image_read_samples(source, image, H, W, C, maxval);
}
