/* test_image_png.c - kinds of PNG that wf_image_write_png does not make, and data after a picture */
#include <criterion/criterion.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "../lib/image/formats/png_inflate.h"

typedef struct kind {
    const char *name;
    int depth, type, interlace;
    int transparent; /* transparent palette entry, or grey or red, green and blue sample; -1: none */
    int C, bits;     /* of the picture as read */
} kind;

enum { SIDE = 13, COLOURS = 4 };

static const kind kinds[] = {
    {"1 bit grey", 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, -1, 1, 8},
    {"2 bit grey, interlaced", 2, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_ADAM7, -1, 1, 8},
    {"4 bit grey, one transparent", 4, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, 5, 2, 8},
    {"16 bit grey", 16, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, -1, 1, 16},
    {"2 bit palette", 2, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, -1, 3, 8},
    {"8 bit palette, one transparent", 8, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_ADAM7, 2, 4, 8},
    {"RGB, interlaced", 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, -1, 3, 8},
    {"RGB, one transparent", 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, 9, 4, 8},
    {"16 bit RGB and alpha, interlaced", 16, PNG_COLOR_TYPE_RGB_ALPHA, PNG_INTERLACE_ADAM7, -1, 4, 16},
};

static int stored_channels(const kind *k)
{
    return k->type == PNG_COLOR_TYPE_RGB_ALPHA ? 4 : k->type == PNG_COLOR_TYPE_RGB ? 3 : 1;
}

/* Stored sample i, small enough for the depth and, in a palette, for the number of colours. */
static int stored(const kind *k, int i)
{
    int top = k->type == PNG_COLOR_TYPE_PALETTE ? COLOURS : 1 << k->depth;
    return i * 7919 % 251 * 257 % top;
}

static const png_color palette[COLOURS] = {{1, 2, 3}, {4, 5, 6}, {200, 100, 50}, {255, 254, 253}};

static void encode(const kind *k, FILE *file)
{
    int C = stored_channels(k);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_set_IHDR(png, info, SIDE, SIDE, k->depth, k->type, k->interlace, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (k->type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, COLOURS);
    if (k->transparent >= 0) {
        png_uint_16 t = (png_uint_16)k->transparent;
        png_byte alpha[COLOURS] = {255, 255, 255, 255};
        if (k->type == PNG_COLOR_TYPE_PALETTE)
            alpha[k->transparent] = 0;
        png_set_tRNS(png, info, alpha, COLOURS, &(png_color_16){.red = t, .green = t, .blue = t, .gray = t});
    }
    png_write_info(png, info);
    png_set_packing(png); /* one byte per sample of under 8 bits */
    static png_byte rows[SIDE][SIDE * 4 * 2];
    png_bytep pointers[SIDE];
    for (int y = 0; y < SIDE; y++) {
        pointers[y] = rows[y];
        for (int x = 0; x < SIDE * C; x++) {
            int v = stored(k, y * SIDE * C + x);
            if (k->depth == 16) {
                rows[y][2 * x] = (png_byte)(v >> 8);
                rows[y][2 * x + 1] = (png_byte)v;
            } else {
                rows[y][x] = (png_byte)v;
            }
        }
    }
    png_write_image(png, pointers);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

static int expected(const kind *k, int pixel, int c)
{
    int C = stored_channels(k), at = pixel * C, full = (1 << k->bits) - 1;
    if (k->type == PNG_COLOR_TYPE_PALETTE) {
        const png_color *p = &palette[stored(k, at)];
        return c == 0 ? p->red : c == 1 ? p->green : c == 2 ? p->blue : stored(k, at) == k->transparent ? 0 : full;
    }
    if (c == C) { /* alpha made from one transparent colour */
        for (int i = 0; i < C; i++)
            if (stored(k, at + i) != k->transparent)
                return full;
        return 0;
    }
    return (int)((int64_t)stored(k, at + c) * full / ((1 << k->depth) - 1));
}

Test(image_png, kinds)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const kind *k = &kinds[i];
        FILE *file = tmpfile();
        encode(k, file);
        rewind(file);
        wf_images *images;
        wf_image image = {0};
        const char *name;
        bool more;
        cr_assert_eq(wf_images_open(NULL, 0, file, &images), 0);
        cr_assert_eq(wf_images_next(images, &image, &name, &more), 0, "%s: %s", k->name, wf_error());
        cr_assert(image.H == SIDE && image.W == SIDE && image.C == k->C && image.bits == k->bits,
                  "%s: %dx%dx%d of %d bits", k->name, image.H, image.W, image.C, image.bits);
        for (int p = 0; p < SIDE * SIDE; p++)
            for (int c = 0; c < k->C; c++)
                cr_assert_eq(image.pixels[p * k->C + c], expected(k, p, c), "%s: pixel %d channel %d is %d, want %d",
                             k->name, p, c, image.pixels[p * k->C + c], expected(k, p, c));
        wf_images_close(images);
        wf_image_clear(&image);
        fclose(file);
    }
}

static int keep(void *user, int worker, int64_t first, int i, wf_image *image, const char *name)
{
    wf_image *to = user;
    (void)worker, (void)first, (void)i;
    WF_TRY(wf_image_reserve(to, name, image->H, image->W, image->C, image->bits));
    memcpy(to->pixels, image->pixels, (size_t)(image->H * image->W * image->C) * sizeof *to->pixels);
    return WF_OK;
}

static int nothing(void *user, int worker, int count)
{
    (void)user, (void)worker, (void)count;
    return WF_OK;
}

static int taken(void *user, int worker, int64_t first, int count)
{
    (void)first;
    return nothing(user, worker, count);
}

/* The one picture in some bytes, cut out first or read directly. */
static int read_one(const png_byte *bytes, size_t n, bool cut, wf_image *image)
{
    FILE *file = fmemopen((void *)(uintptr_t)bytes, n, "r");
    wf_images *images;
    const char *name;
    bool more;
    int64_t count;
    *image = (wf_image){0};
    cr_assert_eq(wf_images_open(NULL, 0, file, &images), 0);
    int status = cut ? wf_images_run(images, 1, 1, &(wf_image_work){keep, nothing, taken, NULL, image, NULL}, &count)
                     : wf_images_next(images, image, &name, &more);
    wf_images_close(images);
    fclose(file);
    return status;
}

/* The chunk with stored pixels is whole zlib data, read in pieces of any size. zlib checks its Adler-32, as libpng does
 * where it lacks the option PNG_IGNORE_ADLER32. */
Test(image_png, stored_adler)
{
    for (size_t piece = 1; piece < 8; piece++) {
        static png_byte bytes[4096], again[8192], rows[4096];
        FILE *file = fmemopen(bytes, sizeof bytes, "w");
        encode(&kinds[0], file);
        size_t n = (size_t)ftell(file), got = 0;
        uLongf size = sizeof rows;
        fclose(file);
        wf_png_inflated inflated;
        cr_assert(wf_png_inflate(&(wf_code){bytes, n, n}, &inflated));
        while (got + piece < sizeof again && wf_png_inflated_read(&inflated, again + got, piece))
            got += piece;
        const png_byte *chunk = memmem(again, got, "IDAT", 4);
        cr_assert(chunk);
        cr_assert_eq(uncompress(rows, &size, chunk + 4, png_get_uint_32(chunk - 4)), Z_OK, "pieces of %zu bytes",
                     piece);
        cr_assert(size == inflated.size && !memcmp(rows, inflated.rows, size), "pieces of %zu bytes", piece);
        wf_png_inflated_clear(&inflated);
    }
}

/* Damages every byte. Cutting a picture out first, which decompresses its pixels at once, gives what libpng makes of
 * the bytes, and rejects them for the same reason. */
Test(image_png, stored)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        static png_byte bytes[4096];
        FILE *file = fmemopen(bytes, sizeof bytes, "w");
        encode(&kinds[i], file);
        size_t n = (size_t)ftell(file);
        fclose(file);
        wf_png_inflated rows;
        bool plain = wf_png_inflate(&(wf_code){bytes, n, n}, &rows);
        cr_assert_eq(plain, kinds[i].interlace == PNG_INTERLACE_NONE, "%s", kinds[i].name);
        if (plain)
            wf_png_inflated_clear(&rows);
        for (size_t at = 0; at <= n; at++) {
            wf_image cut, straight;
            char why[1024] = "";
            png_byte flip = at < n ? (png_byte)(1 << at % 8) : 0;
            bytes[at] ^= flip;
            int status = read_one(bytes, n, false, &straight);
            if (status)
                snprintf(why, sizeof why, "%s", wf_error());
            cr_assert_eq(read_one(bytes, n, true, &cut), status, "%s, byte %zu: %s", kinds[i].name, at, why);
            cr_assert(status ? !strcmp(why, wf_error())
                             : cut.H == straight.H && cut.W == straight.W && cut.C == straight.C &&
                                   !memcmp(cut.pixels, straight.pixels, (size_t)(cut.H * cut.W * cut.C) * 2),
                      "%s, byte %zu: %s, but cut out %s", kinds[i].name, at, why, wf_error());
            bytes[at] ^= flip;
            wf_image_clear(&cut);
            wf_image_clear(&straight);
        }
    }
}

/* Status and number of pictures of a file, or of the same bytes as a stream. */
static int count_pictures(const char *path, bool stream, int *count, wf_images_passed *passed)
{
    char *paths[] = {(char *)path};
    FILE *file = stream ? fopen(path, "rb") : NULL;
    wf_images *images;
    wf_image image = {0};
    const char *name;
    bool more = true;
    int status = wf_images_open(paths, stream ? 0 : 1, file, &images);
    for (*count = 0; !status && more;) {
        status = wf_images_next(images, &image, &name, &more);
        *count += !status && more;
    }
    *passed = wf_images_passed_over(images);
    wf_images_close(images);
    wf_image_clear(&image);
    if (file)
        fclose(file);
    return status;
}

Test(image_png, bytes_behind_it)
{
    char path[] = "/tmp/wf-test-png-XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w+b");
    int count;
    wf_images_passed passed;
    encode(&kinds[0], file);
    fputs("left behind by an editor", file);
    fflush(file);
    cr_expect_eq(count_pictures(path, false, &count, &passed), 0, "%s", wf_error());
    cr_expect(count == 1 && passed.trailing == 1);
    cr_expect_eq(count_pictures(path, true, &count, &passed), 0, "in a stream: %s", wf_error());
    cr_expect(count == 1 && passed.trailing == 1, "in a stream");

    cr_assert_eq(ftruncate(fileno(file), 0), 0);
    rewind(file);
    encode(&kinds[0], file);
    long second = ftell(file);
    encode(&kinds[1], file);
    fflush(file);
    cr_expect_eq(count_pictures(path, false, &count, &passed), 0, "%s", wf_error());
    cr_expect_eq(count, 2);
    fseek(file, second, SEEK_SET);
    fputc('x', file); /* the second picture's signature */
    fflush(file);
    cr_expect_eq(count_pictures(path, false, &count, &passed), WF_DATA, "a damaged picture is not passed over");
    cr_expect_eq(count_pictures(path, true, &count, &passed), WF_DATA, "nor in a stream");
    fclose(file);
    unlink(path);
}
