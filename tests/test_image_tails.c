/* test_image_tails.c - bytes behind a picture: films, companions, further ends, white space */
#include <stdio.h>

#include <jpeglib.h>

#include "reading.h"

enum { SIDE = 16 };

static void put_jpeg(heap *h, bool progressive)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &n);
    jpeg.image_width = jpeg.image_height = SIDE;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    uint8_t row[SIDE * 3];
    JSAMPROW line = row;
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE * 3; x++)
            row[x] = (uint8_t)(5 * x + 9 * y);
        jpeg_write_scanlines(&jpeg, &line, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    put(h, bytes, n);
    free(bytes);
}

static void put_png(heap *h)
{
    static char text[8192];
    FILE *file = fmemopen(text, sizeof text, "wb");
    wf_image image = {0};
    cr_assert_eq(wf_image_reserve(&image, "", SIDE, SIDE, 3, 8), 0);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        image.pixels[i] = (uint16_t)(i * 7919 >> 4 & 255);
    cr_assert_eq(wf_image_write_png(file, "", &image), 0);
    fflush(file);
    put(h, text, (size_t)ftell(file));
    fclose(file);
    wf_image_clear(&image);
}

/* A film of two boxes; the second has the bytes of a picture in it. `open`: the second goes on to the end. */
static void put_film(heap *h, bool open)
{
    put(h,
        "\0\0\0\x14"
        "ftypmp42\0\0\0\0isom",
        20);
    put_number(h, open ? 0 : 4 + 28, 4, true);
    put(h, "mdat\xff\xd8\xff\xe0\0\x10JFIF\0\0\0\0\0\0\rIHDR\0\0\0", 28);
}

/* Reads h as a stream and as a file of its own. */
static void check_both(const heap *h, int count, int trailing, const char *what)
{
    result r = read_bytes(h->bytes, h->n);
    cr_expect(!r.status && r.count == count && r.passed.trailing == trailing, "%s in a stream: %d pictures, %d: %s",
              what, r.count, (int)r.passed.trailing, r.status ? wf_error() : "");
    wf_image_clear(&r.last);
    scratch_make();
    scratch_write(scratch_path("a.x"), h->bytes, h->n);
    r = read_path(scratch_path("a.x"));
    cr_expect(!r.status && r.count == count && r.passed.trailing == trailing, "%s in a file: %d pictures, %d: %s", what,
              r.count, (int)r.passed.trailing, r.status ? wf_error() : "");
    wf_image_clear(&r.last);
    scratch_remove();
}

/* Reads h, which is refused as a stream, and as a file unless `file`. */
static void check_refused(const heap *h, bool file, const char *what)
{
    result r = read_bytes(h->bytes, h->n);
    cr_expect_eq(r.status, WF_DATA, "%s in a stream gives %d pictures", what, r.count);
    wf_image_clear(&r.last);
    scratch_make();
    scratch_write(scratch_path("a.x"), h->bytes, h->n);
    r = read_path(scratch_path("a.x"));
    cr_expect(file ? !r.status && r.passed.trailing == 1 : r.status == WF_DATA, "%s in a file: %d, %d pictures", what,
              r.status, r.count);
    wf_image_clear(&r.last);
    scratch_remove();
}

Test(image_tails, film)
{
    static heap h;
    for (int png = 0; png < 2; png++)
        for (int open = 0; open < 2; open++) {
            h.n = 0;
            png ? put_png(&h) : put_jpeg(&h, false);
            size_t picture = h.n;
            put_film(&h, open);
            check_both(&h, 1, 1, "film");
            for (size_t cut = picture + 1; cut < h.n && !png && !open; cut += 3) {
                h.n = cut;
                check_both(&h, 1, 1, "film that is cut off");
                h.n = picture + 52;
            }
            if (open)
                continue;
            put_png(&h);
            put_film(&h, false);
            put_jpeg(&h, true);
            check_both(&h, 3, 2, "pictures between films");
        }
    /* A picture that is cut off before its film is not read. */
    h.n = 0;
    put_jpeg(&h, false);
    h.n -= 12;
    put_film(&h, false);
    put(&h, "\xff\xd9", 2);
    check_refused(&h, false, "a cut picture with a film");
    h.n = 0;
    put_png(&h);
    h.n -= 20;
    put_film(&h, false);
    check_refused(&h, false, "a cut PNG with a film");
    /* A HEIC behind a picture is a picture. */
    h.n = 0;
    put_jpeg(&h, false);
    put(&h,
        "\0\0\0\x14"
        "ftypheic\0\0\0\0mif1",
        20);
    check_refused(&h, false, "a HEIC behind");
    cr_expect(strstr(wf_error(), "HEIC"), "%s", wf_error());
}

Test(image_tails, png_ends)
{
    static heap h;
    put_png(&h);
    uint8_t end[12];
    memcpy(end, h.bytes + h.n - 12, 12);
    put(&h, end, 12);
    check_both(&h, 1, 1, "a second end");
    put(&h, end, 12);
    put(&h, "left by an editor", 17);
    check_both(&h, 1, 1, "a third end and more");
    h.n -= 17;
    put_png(&h);
    check_both(&h, 2, 1, "a picture behind");
    h.n -= 16; /* the checksum of IDAT is cut */
    put(&h, end, 12);
    put(&h, end, 12);
    check_refused(&h, false, "a cut picture with ends");
    /* Editors leave the rest of a longer file: its last pixels and its end. */
    h.n = 0;
    put_png(&h);
    put(&h, h.bytes + 60, h.n - 60);
    check_both(&h, 1, 1, "the rest of a longer file");
}

/* Some bytes, then a JPEG: a camera's trailer in a file of its own, but further pictures in a stream. */
Test(image_tails, pictures_in_a_trailer)
{
    static heap h;
    put_jpeg(&h, false);
    size_t first = h.n;
    put(&h, "TRAILER OF 18 BYTES", 18);
    put_jpeg(&h, false);
    check_refused(&h, true, "a JPEG in a trailer");
    /* A film in the trailer does not hide what follows. */
    h.n = first;
    put(&h, "TRAILER OF 18 BYTES", 18);
    put_film(&h, false);
    check_both(&h, 1, 1, "a film in a trailer");
    put(&h, "END", 3);
    put_jpeg(&h, false);
    check_refused(&h, true, "a JPEG behind a film in a trailer");
    /* Without the trailer, a second picture with a damaged signature is lost. */
    h.n = first;
    put_jpeg(&h, false);
    h.bytes[first] = 'x';
    check_refused(&h, false, "a damaged second picture");

    /* Among others it can be skipped, and its first picture stays. */
    scratch_make();
    scratch_write(scratch_path("a.jpg"), h.bytes, h.n);
    scratch_write(scratch_path("b.jpg"), h.bytes, first);
    char *paths[] = {scratch};
    wf_images *images;
    wf_image image = {0};
    const char *name;
    bool more, skipped;
    cr_assert(!wf_images_open(paths, 1, NULL, &images) && !wf_images_next(images, &image, &name, &more) && more);
    cr_expect_eq(wf_images_next(images, &image, &name, &more), WF_DATA);
    cr_expect(!wf_images_skip(images, &skipped) && skipped);
    cr_expect(!wf_images_next(images, &image, &name, &more) && more && strstr(name, "b.jpg"), "%s", name);
    cr_expect(!wf_images_next(images, &image, &name, &more) && !more);
    wf_images_close(images);
    wf_image_clear(&image);
    scratch_remove();
}

/* A JPEG with a list of two pictures (CIPA DC-007), the second `bytes` long and at `gap` bytes behind the first. */
static void put_listed(heap *h, bool big, uint32_t gap, uint32_t bytes)
{
    static heap jpeg, list;
    enum { MARKER = 4, NAME = 4, DIRECTORY = 8 + 2 + 12 + 4 };
    jpeg.n = list.n = 0;
    put_jpeg(&jpeg, false);
    put(&list, "MPF\0", 4);
    put(&list, big ? "MM\0*" : "II*\0", 4);
    put_number(&list, 8, 4, big);
    put_number(&list, 1, 2, big);
    put_number(&list, 0xb002, 2, big);
    put_number(&list, 7, 2, big);
    put_number(&list, 32, 4, big);
    put_number(&list, DIRECTORY, 4, big);
    put_number(&list, 0, 4, big);
    for (int i = 0; i < 2; i++) {
        put_number(&list, i ? 0 : 0x20030000, 4, big);
        put_number(&list, i ? bytes : (uint32_t)jpeg.n, 4, big);
        put_number(&list, i ? (uint32_t)(list.n - 20 + jpeg.n - 2 + 4 + gap) : 0, 4, big);
        put_number(&list, 0, 4, big);
    }
    uint32_t at = (uint32_t)(list.n - NAME + jpeg.n - 2 + gap); /* from the list to the second picture */
    list.n -= 8;
    put_number(&list, at, 4, big);
    put_number(&list, 0, 4, big);
    put(h, jpeg.bytes, 2);
    put(h, "\xff\xe2", 2);
    put_number(h, (uint32_t)list.n + 2, 2, true);
    put(h, list.bytes, list.n);
    put(h, jpeg.bytes + 2, jpeg.n - 2);
}

Test(image_tails, companions)
{
    static heap h, second;
    put_jpeg(&second, true);
    for (int big = 0; big < 2; big++)
        for (uint32_t gap = 0; gap < 9; gap += 4) {
            h.n = 0;
            put_listed(&h, big, gap, (uint32_t)second.n);
            size_t alone = h.n;
            put(&h, "\0\0\0\0\0\0\0\0", gap);
            put(&h, second.bytes, second.n);
            check_both(&h, 1, 1, "a companion");
            size_t all = h.n;
            put_film(&h, false);
            check_both(&h, 1, 1, "a companion and a film");
            h.n = all;
            put_png(&h);
            result r = read_bytes(h.bytes, h.n);
            cr_expect(!r.status && r.count == 2 && r.passed.trailing == 1, "a picture behind it: %s", wf_error());
            wf_image_clear(&r.last);
            h.n = alone;
            check_both(&h, 1, 0, "a companion that an editor cut off");
            put_png(&h); /* not where the companion is said to be */
            put(&h, second.bytes, second.n);
            check_refused(&h, true, "a list that is wrong");
            h.n = all - 9;
            check_refused(&h, true, "a companion that is cut off");
        }
    /* A size that is too large, as Pillow writes of the third picture, does not swallow the next picture. */
    h.n = 0;
    put_listed(&h, false, 0, (uint32_t)second.n + 400);
    put(&h, second.bytes, second.n);
    check_both(&h, 1, 1, "a companion with a wrong size");
    put_png(&h);
    result next = read_bytes(h.bytes, h.n);
    cr_expect(!next.status && next.count == 2 && next.passed.trailing == 1, "a picture behind it: %d, %s", next.count,
              wf_error());
    wf_image_clear(&next.last);
    /* Only named, as by gain maps whose lengths are in XMP. */
    static const char xmp[] =
        "http://ns.adobe.com/xap/1.0/\0<x xmlns:c=\"http://ns.google.com/photos/1.0/container/\"/>";
    static const char iso[] = "urn:iso:std:iso:ts:21496:-1\0\0\0\0";
    for (int k = 0; k < 2; k++) {
        static heap jpeg;
        jpeg.n = h.n = 0;
        put_jpeg(&jpeg, false);
        put(&h, jpeg.bytes, 2);
        put(&h, k ? "\xff\xe2" : "\xff\xe1", 2);
        put_number(&h, (uint32_t)(k ? sizeof iso : sizeof xmp) + 1, 2, true);
        put(&h, k ? iso : xmp, (k ? sizeof iso : sizeof xmp) - 1);
        put(&h, jpeg.bytes + 2, jpeg.n - 2);
        check_both(&h, 1, 0, "named, but not there");
        put(&h, second.bytes, second.n);
        check_refused(&h, true, "a gain map");
    }
}

/* Warnings of libjpeg about headers that it does not use. */
Test(image_tails, jpeg_headers)
{
    static heap clean, odd;
    put_jpeg(&clean, false);
    const uint8_t *scan = memmem(clean.bytes, clean.n, "\xff\xda", 2);
    cr_assert(scan);
    size_t at = (size_t)(scan - clean.bytes) + 2 + ((size_t)scan[2] << 8 | scan[3]);
    result want = read_bytes(clean.bytes, clean.n);
    static const char parameters[][4] = {{0, 0, 0, 0}, {1, 5, 0x11, 0}, {63, 0, 0, 0}};
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        odd = clean;
        memcpy(odd.bytes + at - 3, parameters[i], 3);
        result r = read_bytes(odd.bytes, odd.n);
        cr_assert(!r.status && r.count == 1, "parameters %zu: %s", i, wf_error());
        cr_expect(!memcmp(r.last.pixels, want.last.pixels, SIDE * SIDE * 3 * sizeof *r.last.pixels), "parameters %zu",
                  i);
        wf_image_clear(&r.last);
    }
    /* A progressive JPEG with its first scan twice. */
    heap *twice = &odd;
    clean.n = twice->n = 0;
    put_jpeg(&clean, true);
    scan = memmem(clean.bytes, clean.n, "\xff\xda", 2);
    const uint8_t *table = memmem(scan + 2, 1000, "\xff\xc4", 2);
    cr_assert(scan && table);
    put(twice, clean.bytes, (size_t)(table - clean.bytes));
    put(twice, scan, (size_t)(table - scan));
    put(twice, table, clean.n - (size_t)(table - clean.bytes));
    wf_image_clear(&want.last);
    want = read_bytes(clean.bytes, clean.n);
    result r = read_bytes(twice->bytes, twice->n);
    cr_assert(!want.status && !r.status && r.count == 1, "%s", wf_error());
    cr_expect(!memcmp(r.last.pixels, want.last.pixels, SIDE * SIDE * 3 * sizeof *r.last.pixels), "a scan twice");
    wf_image_clear(&want.last);
    wf_image_clear(&r.last);
}

Test(image_tails, white_space)
{
    static const char *const ones[] = {"P6 1 1 255\nabc", "P5 1 1 65535\nab", "P4 1 1\n\x80", "P3 1 1 255 1 2 3",
                                       "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\na"};
    static const char *const blanks[] = {"\n", "\r\n", " \n\n\t"};
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        for (size_t k = 0; k < sizeof blanks / sizeof *blanks; k++) {
            char text[200];
            int n = snprintf(text, sizeof text, "%s%s%s%s", ones[i], blanks[k], ones[i], blanks[k]);
            result r = read_bytes(text, (size_t)n);
            cr_expect(!r.status && r.count == 2 && !r.passed.trailing, "%s: %d pictures: %s", ones[i], r.count,
                      wf_error());
            wf_image_clear(&r.last);
            snprintf(text, sizeof text, "%s%sx", ones[i], blanks[k]);
            r = read_bytes(text, strlen(text));
            cr_expect_eq(r.status, WF_DATA, "%s and a letter", ones[i]);
            wf_image_clear(&r.last);
        }
}
