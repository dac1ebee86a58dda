/* test_image_orient.c - pictures turned upright by the orientation in their EXIF */
#include <stdio.h>

#include <jpeglib.h>
#include <webp/encode.h>
#include <zlib.h>

#include "../lib/image/format.h"
#include "reading.h"

enum { H = 2, W = 3 };

/* The upright picture of each orientation, whose stored rows are "abc" and "def" (EXIF 3.0, tag 274). */
static const struct {
    int H, W;
    const char *pixels;
} upright[9] = {{H, W, "abcdef"}, {H, W, "abcdef"}, {H, W, "cbafed"}, {H, W, "fedcba"}, {H, W, "defabc"},
                {W, H, "adbecf"}, {W, H, "daebfc"}, {W, H, "fcebda"}, {W, H, "cfbead"}};

Test(image_orient, all_eight)
{
    for (int C = 1; C <= 4; C++)
        for (int k = 0; k <= 8; k++) {
            wf_image image = {0};
            cr_assert_eq(wf_image_reserve(&image, "", H, W, C, 16), 0);
            for (int i = 0; i < H * W * C; i++)
                image.pixels[i] = (uint16_t)(100 * ('a' + i / C) + i % C);
            image.orientation = k;
            cr_assert_eq(wf_image_orient(&image, ""), 0);
            cr_assert(image.H == upright[k].H && image.W == upright[k].W && image.C == C && image.bits == 16);
            for (int i = 0; i < H * W * C; i++)
                cr_assert_eq(image.pixels[i], 100 * upright[k].pixels[i / C] + i % C, "orientation %d, sample %d", k,
                             i);
            cr_assert_eq(wf_image_orient(&image, ""), 0);
            cr_assert(image.H == upright[k].H, "turned twice");
            wf_image_clear(&image);
        }
}

/* EXIF of one directory at `offset`, which has two entries, the second of which is the orientation. */
static void put_exif(heap *h, bool big, uint32_t offset, uint32_t type, uint32_t count, uint32_t orientation)
{
    put(h, big ? "MM\0*" : "II*\0", 4);
    put_number(h, offset, 4, big);
    for (uint32_t i = 8; i < offset; i++)
        put(h, "", 1);
    put_number(h, 2, 2, big);
    put_number(h, 0x100, 2, big);
    put_number(h, 3, 2, big);
    put_number(h, 1, 4, big);
    put_number(h, 7, 4, big);
    put_number(h, 0x112, 2, big);
    put_number(h, type, 2, big);
    put_number(h, count, 4, big);
    put_number(h, orientation, type == 3 ? 2 : 4, big);
    put(h, "\0\0\0\0\0", type == 3 ? 6 : 4);
}

Test(image_orient, exif)
{
    static const struct {
        bool big;
        uint32_t offset, type, count, orientation;
        int want;
    } cases[] = {{false, 8, 3, 1, 6, 6},
                 {true, 8, 3, 1, 8, 8},
                 {true, 20, 4, 1, 3, 3},
                 {false, 8, 3, 2, 6, 6},
                 /* some writers: twice */ {false, 8, 3, 1, 0, 1},
                 {false, 8, 3, 1, 9, 1},
                 {false, 8, 3, 3, 6, 1},
                 /* an offset */ {false, 8, 2, 1, 6, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static heap h, prefixed;
        h.n = prefixed.n = 0;
        put_exif(&h, cases[i].big, cases[i].offset, cases[i].type, cases[i].count, cases[i].orientation);
        cr_expect_eq(wf_exif_orientation(h.bytes, h.n), cases[i].want, "case %zu", i);
        put(&prefixed, "Exif\0\0", 6);
        put(&prefixed, h.bytes, h.n);
        cr_expect_eq(wf_exif_orientation(prefixed.bytes, prefixed.n), cases[i].want, "case %zu with its name", i);
        for (size_t n = 0; n < h.n; n++) {
            uint8_t *cut = malloc(n + !n); /* for the sanitizer */
            memcpy(cut, h.bytes, n);
            int got = wf_exif_orientation(cut, n);
            cr_expect(got == 1 || (got == cases[i].want && n >= cases[i].offset + 26), "case %zu cut at %zu", i, n);
            free(cut);
        }
    }
    cr_expect_eq(wf_exif_orientation((const uint8_t *)"MM*\0\0\0\0\x08\0\0\0\0", 12), 1);
    cr_expect_eq(wf_exif_orientation((const uint8_t *)"II*\0\xff\xff\xff\xff\0\0\0\0", 12), 1, "an offset outside");
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A grey JPEG of 8x16 pixels, the left half black. */
static void put_jpeg(heap *h, const heap *exif)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &n);
    jpeg.image_width = 16;
    jpeg.image_height = 8;
    jpeg.input_components = 1;
    jpeg.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (exif)
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif->bytes, (unsigned)exif->n);
    uint8_t row[16];
    for (int x = 0; x < 16; x++)
        row[x] = x < 8 ? 0 : 255;
    JSAMPROW line = row;
    for (int y = 0; y < 8; y++)
        jpeg_write_scanlines(&jpeg, &line, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    put(h, bytes, n);
    free(bytes);
}

/* Writes that picture as PNG, with an eXIf chunk before or after the pixels. */
static void put_png(heap *h, const heap *exif, bool after)
{
    static const uint8_t signature[] = "\x89PNG\r\n\x1a\n";
    static char text[4096];
    FILE *file = fmemopen(text, sizeof text, "wb");
    wf_image image = {0};
    cr_assert_eq(wf_image_reserve(&image, "", 8, 16, 1, 8), 0);
    for (int i = 0; i < 8 * 16; i++)
        image.pixels[i] = i % 16 < 8 ? 0 : 255;
    cr_assert_eq(wf_image_write_png(file, "", &image), 0);
    fflush(file);
    size_t n = (size_t)ftell(file), at = after ? n - 12 : sizeof signature - 1 + 25;
    fclose(file);
    wf_image_clear(&image);
    put(h, text, at);
    put_number(h, (uint32_t)exif->n, 4, true);
    size_t name = h->n;
    put(h, "eXIf", 4);
    put(h, exif->bytes, exif->n);
    put_number(h, (uint32_t)crc32(0, h->bytes + name, (unsigned)(h->n - name)), 4, true);
    put(h, text + at, n - at);
}

static void put_webp(heap *h, const heap *exif)
{
    uint8_t rgb[8 * 16 * 3], *bytes;
    for (int i = 0; i < 8 * 16 * 3; i++)
        rgb[i] = i / 3 % 16 < 8 ? 0 : 255;
    size_t n = WebPEncodeLosslessRGB(rgb, 16, 8, 48, &bytes);
    put(h, "RIFF", 4);
    put_number(h, (uint32_t)(4 + 18 + (n - 12) + 8 + exif->n + exif->n % 2), 4, false);
    put(h, "WEBPVP8X\x0a\0\0\0\x08\0\0\0\x0f\0\0\x07\0\0", 22); /* a canvas of 16x8 with EXIF */
    put(h, bytes + 12, n - 12);
    put(h, "EXIF", 4);
    put_number(h, (uint32_t)exif->n, 4, false);
    put(h, exif->bytes, exif->n);
    put(h, "", exif->n % 2);
    WebPFree(bytes);
}

static int check_turned(void *user, int worker, int64_t first, int i, wf_image *image, const char *name)
{
    const bool *stored = user;
    (void)worker, (void)first, (void)i;
    if (*stored)
        WF_CHECK(image->H == 8 && image->W == 16 && image->pixels[0] < 9, WF_INTERNAL, "%s is not as stored", name);
    else /* orientation 6: what is left becomes the top */
        WF_CHECK(image->H == 16 && image->W == 8 && image->pixels[7 * image->C] < 9 &&
                     image->pixels[15 * 8 * image->C] > 246,
                 WF_INTERNAL, "%s is not upright", name);
    return WF_OK;
}

static int end_batch(void *user, int worker, int count)
{
    return user && worker >= 0 && count ? WF_OK : WF_INTERNAL;
}

static int take_batch(void *user, int worker, int64_t first, int count)
{
    return user && worker >= 0 && first >= 0 && count ? WF_OK : WF_INTERNAL;
}

/* Reads h as a stream, by workers or, with `skip`, in place. */
static void check_stream(const heap *h, int want, bool stored, bool in_place)
{
    FILE *file = fmemopen((void *)(uintptr_t)h->bytes, h->n, "rb");
    wf_images *images;
    int64_t count;
    cr_assert_eq(wf_images_open(NULL, 0, file, &images), 0);
    wf_images_set_options(images, (wf_images_options){.stored = stored});
    wf_image_work work = {.picture = check_turned, .batch = end_batch, .deliver = take_batch, .user = &stored};
    wf_image image = {0};
    const char *name;
    bool more = true;
    for (count = 0; in_place && more; count += more) {
        cr_assert_eq(wf_images_next(images, &image, &name, &more), 0, "%s", wf_error());
        cr_assert(!more || !check_turned(&stored, 0, 0, 0, &image, name), "%s", wf_error());
    }
    if (!in_place)
        cr_assert_eq(wf_images_run(images, 2, 2, &work, &count), 0, "%s", wf_error());
    cr_expect_eq(count, want);
    cr_expect_eq(wf_images_passed_over(images).turned, stored ? 0 : want);
    wf_images_close(images);
    wf_image_clear(&image);
    fclose(file);
}

Test(image_orient, files)
{
    static heap exif, named, h;
    put_exif(&exif, true, 8, 3, 1, 6);
    put(&named, "Exif\0\0", 6);
    put(&named, exif.bytes, exif.n);
    put_jpeg(&h, &named);
    put_png(&h, &exif, false);
    put_png(&h, &exif, true);
    put_webp(&h, &exif);
    for (int k = 0; k < 4; k++)
        check_stream(&h, 4, k % 2, k / 2);
    h.n = 0;
    put_jpeg(&h, NULL);
    result r = read_bytes(h.bytes, h.n);
    cr_expect(!r.status && r.count == 1 && !r.passed.turned && r.last.W == 16, "without a note");
    wf_image_clear(&r.last);
}
