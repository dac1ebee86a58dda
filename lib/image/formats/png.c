/* png.c - PNG by libpng */
#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "../../base/file.h"
#include "png_inflate.h"

bool wf_image_is_png(const uint8_t *head, size_t n)
{
    return n >= 8 && !memcmp(head, "\x89PNG\r\n\x1a\n", 8);
}

/* State that must survive libpng's longjmp, which local variables do not. */
typedef struct job {
    png_structp png;
    png_infop info;
    const char *name;
    wf_source *source;         /* reading */
    wf_png_inflated *inflated; /* the same file with its pixels decompressed; or NULL */
    FILE *file;                /* writing; NULL: the bytes are counted */
    size_t written;            /* bytes that were counted */
    uint8_t *row;              /* owned */
    uint8_t last[4];           /* bytes that were read: at the end, the checksum of IEND */
    int status;                /* set before every longjmp */
} job;

static void give_up(png_structp png, png_const_charp message)
{
    job *j = png_get_error_ptr(png);
    if (strstr(message, "CgBI"))
        j->status = wf_fail(WF_DATA,
                            "%s: a PNG as Xcode stores it for apps (CgBI), which this version does not read: convert "
                            "it, as by pngcrush -revert-iphone-optimizations FILE file.png",
                            j->name);
    else if (errno == ENOMEM)
        j->status = wf_fail(WF_AGAIN, "%s: out of memory", j->name);
    else
        j->status = wf_fail(j->source ? WF_DATA : WF_INTERNAL, "%s: %s: %s", j->name,
                            j->source ? "damaged PNG" : "cannot write as PNG", message);
    png_longjmp(png, 1);
}

/* Ignores oddities that do not affect pixels, such as a wrong checksum of a comment. */
static void ignore_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void give_bytes(png_structp png, png_bytep to, size_t n)
{
    job *j = png_get_io_ptr(png);
    if (j->inflated)
        j->status = wf_png_inflated_read(j->inflated, to, n)
                        ? WF_OK
                        : wf_fail(WF_DATA, "%s: cut off: the PNG has no end", j->name);
    else
        j->status = wf_source_read(j->source, to, n);
    if (j->status)
        png_longjmp(png, 1);
    if (n >= sizeof j->last)
        memcpy(j->last, to + n - sizeof j->last, sizeof j->last);
}

/* Requests samples of 8 or 16 bits in the machine's byte order, without conversion. Returns the number of passes. */
static int set_transforms(const job *j)
{
    png_set_expand(j->png); /* palette to RGB, fewer bits to 8, a transparent colour to alpha */
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        png_set_swap(j->png);
    int passes = png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    return passes;
}

static void widen_bytes(const uint8_t *from, size_t n, uint16_t *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

/* Reads rows that are not interlaced. */
static void read_rows(job *j, wf_image *image, size_t bytes)
{
    size_t samples = (size_t)image->W * (size_t)image->C;
    for (int y = 0; y < image->H; y++) {
        uint16_t *row = image->pixels + (size_t)y * samples;
        png_read_row(j->png, image->bits == 8 ? j->row : (uint8_t *)row, NULL);
        if (image->bits == 8)
            widen_bytes(j->row, bytes, row);
    }
}

/* Reads interlaced rows, which are complete after the last pass, so all rows are kept. Samples of 8 bits go to the
 * upper half of the pixels' memory and are widened at the end. */
static void read_passes(job *j, wf_image *image, size_t bytes, int passes)
{
    size_t samples = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    uint8_t *rows = (uint8_t *)image->pixels + samples * (size_t)(16 - image->bits) / 8;
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < image->H; y++)
            png_read_row(j->png, rows + bytes * (size_t)y, NULL);
    if (image->bits == 8)
        wf_image_spread(image);
}

/* Turns checksums of chunks on or off. They are off for pixels that wf_png_inflate has checked already. */
static void set_checksums(const job *j, bool check)
{
    if (j->inflated)
        png_set_crc_action(j->png, check ? PNG_CRC_DEFAULT : PNG_CRC_QUIET_USE, PNG_CRC_NO_CHANGE);
}

/* Takes the orientation in the first eXIf chunk, which may come before or after the pixels, and from acTL the number of
 * frames of an animation (PNG, third edition, 11.3.6). The pixels are a further picture unless fcTL comes before. */
static void take_notes(const job *j, wf_image *image)
{
    int frames = 0, further = 1;
    png_unknown_chunkp chunks;
    int count = png_get_unknown_chunks(j->png, j->info, &chunks);
    for (int i = 0; i < count; i++) {
        const png_unknown_chunk *c = &chunks[i];
        if (!memcmp(c->name, "eXIf", 4) && !image->orientation)
            image->orientation = wf_exif_orientation(c->data, c->size);
        else if (!memcmp(c->name, "acTL", 4) && c->size >= 4)
            frames = (int)(png_get_uint_32(c->data) % INT32_MAX);
        else if (!memcmp(c->name, "fcTL", 4))
            further = 0;
    }
    image->frames = frames ? frames + further : 0;
}

static int decode_picture(job *j, wf_image *image)
{
    if (setjmp(png_jmpbuf(j->png)))
        return j->status;
    png_set_read_fn(j->png, j, give_bytes);
    png_set_user_limits(j->png, WF_MAX_SIDE, WF_MAX_SIDE);
    png_set_chunk_malloc_max(j->png, 1 << 20);
    /* Pixels are not converted: colour profiles, gamma and texts are not parsed. */
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_ALWAYS, (png_const_bytep) "eXIf\0acTL\0fcTL", 3);
#ifdef PNG_IGNORE_ADLER32 /* saves a second sum over the pixels, where libpng was built with it */
    if (j->inflated)
        png_set_option(j->png, PNG_IGNORE_ADLER32, PNG_OPTION_ON);
#endif
    png_read_info(j->png, j->info);
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep) "fcTL", 1); /* of further frames */
    int passes = set_transforms(j);
    WF_TRY(wf_image_reserve(image, j->name, png_get_image_height(j->png, j->info), png_get_image_width(j->png, j->info),
                            png_get_channels(j->png, j->info), png_get_bit_depth(j->png, j->info)));
    size_t bytes = png_get_rowbytes(j->png, j->info);
    WF_CHECK(bytes == (size_t)image->W * (size_t)image->C * (size_t)image->bits / 8, WF_INTERNAL,
             "%s: PNG rows of %zu bytes", j->name, bytes);
    j->row = malloc(bytes);
    WF_CHECK(j->row, WF_AGAIN, "%s: out of memory", j->name);
    errno = 0;
    set_checksums(j, false);
    if (passes == 1)
        read_rows(j, image, bytes);
    else
        read_passes(j, image, bytes, passes);
    set_checksums(j, true);
    png_read_end(j->png, j->info); /* reads to the last byte of IEND, so that another picture may follow */
    /* libpng 1.6.48 only warns of it. */
    WF_CHECK(!memcmp(j->last, "\xae\x42\x60\x82", 4), WF_DATA, "%s: damaged PNG: IEND: CRC error", j->name);
    take_notes(j, image);
    return WF_OK;
}

static int read_png(wf_source *source, wf_png_inflated *inflated, wf_image *image)
{
    job j = {.name = source->name, .source = source, .inflated = inflated};
    errno = 0;
    j.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &j, give_up, ignore_warning);
    WF_CHECK(j.png, WF_AGAIN, "%s: cannot start libpng", source->name);
    j.info = png_create_info_struct(j.png);
    int status = j.info ? decode_picture(&j, image) : wf_fail(WF_AGAIN, "%s: out of memory", source->name);
    png_destroy_read_struct(&j.png, &j.info, NULL);
    free(j.row);
    return status;
}

/* Falls back to libpng alone on any irregularity, so that libpng reports what is wrong. */
int wf_image_read_png(wf_source *source, wf_image *image)
{
    wf_png_inflated inflated;
    if (source->code && wf_png_inflate(source->code, &inflated)) {
        int status = read_png(source, &inflated, image);
        wf_png_inflated_clear(&inflated);
        if (!status)
            return WF_OK;
    }
    return read_png(source, NULL, image);
}

/* Cuts the signature and all chunks to IEND. A chunk is u32 length | four letters | data | u32 CRC. */
int wf_image_cut_png(wf_source *source, wf_code *code)
{
    enum { SIGNATURE = 8, HEADER = 8, CRC = 4 };
    bool whole, last = false;
    WF_TRY(wf_code_take(code, source, SIGNATURE, &whole));
    while (whole && !last) {
        WF_TRY(wf_code_take(code, source, HEADER, &whole));
        if (!whole)
            break;
        const uint8_t *header = code->bytes + code->size - HEADER;
        uint32_t length = png_get_uint_32(header);
        last = !memcmp(header + 4, "IEND", 4);
        WF_TRY(wf_code_take(code, source, (size_t)length + CRC, &whole));
    }
    return WF_OK;
}

static void write_bytes(png_structp png, png_bytep from, size_t n)
{
    job *j = png_get_io_ptr(png);
    j->written += n;
    if (!j->file)
        return;
    errno = 0;
    if (fwrite(from, 1, n, j->file) == n)
        return;
    j->status = wf_fail_write(j->name);
    png_longjmp(png, 1);
}

static void flush_nothing(png_structp png)
{
    (void)png; /* the caller flushes and checks its file */
}

static int encode_picture(job *j, const wf_image *image)
{
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(png_jmpbuf(j->png)))
        return j->status;
    int depth = image->bits > 8 ? 16 : 8;
    uint32_t from = (1u << image->bits) - 1, to = (1u << depth) - 1;
    size_t samples = (size_t)image->W * (size_t)image->C;
    png_set_write_fn(j->png, j, write_bytes, flush_nothing);
    png_set_user_limits(j->png, WF_MAX_SIDE, WF_MAX_SIDE);
    png_set_IHDR(j->png, j->info, (png_uint_32)image->W, (png_uint_32)image->H, depth, types[image->C],
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (!j->file) {
        png_set_compression_level(j->png, 9);
        png_set_filter(j->png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    }
    png_write_info(j->png, j->info);
    for (int y = 0; y < image->H; y++) {
        const uint16_t *pixels = image->pixels + (size_t)y * samples;
        for (size_t i = 0; i < samples; i++) {
            uint16_t v = wf_image_rescale(pixels[i], from, to);
            if (depth == 16) {
                j->row[2 * i] = (uint8_t)(v >> 8);
                j->row[2 * i + 1] = (uint8_t)v;
            } else {
                j->row[i] = (uint8_t)v;
            }
        }
        png_write_row(j->png, j->row);
    }
    png_write_end(j->png, NULL);
    return WF_OK;
}

static int write_png(job *j, const wf_image *image)
{
    j->row = malloc((size_t)image->W * (size_t)image->C * 2);
    WF_CHECK(j->row, WF_AGAIN, "%s: out of memory", j->name);
    j->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, j, give_up, ignore_warning);
    j->info = j->png ? png_create_info_struct(j->png) : NULL;
    int status = j->info ? encode_picture(j, image) : wf_fail(WF_AGAIN, "%s: cannot start libpng", j->name);
    png_destroy_write_struct(&j->png, &j->info);
    free(j->row);
    return status;
}

int wf_image_write_png(FILE *file, const char *name, const wf_image *image)
{
    return write_png(&(job){.name = name, .file = file}, image);
}

int wf_image_png_size(const char *name, const wf_image *image, size_t *bytes)
{
    job j = {.name = name};
    WF_TRY(write_png(&j, image));
    *bytes = j.written;
    return WF_OK;
}
