/* test_image.c - picture formats, crop, resize and channels */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../lib/image/image.h"

static uint32_t seed = 1;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

static wf_image random_image(int H, int W, int C, int bits)
{
    wf_image image = {0};
    cr_assert_eq(wf_image_reserve(&image, "test", H, W, C, bits), 0);
    for (int i = 0; i < H * W * C; i++)
        image.pixels[i] = (uint16_t)draw(1u << bits);
    return image;
}

static void assert_same(const wf_image *have, const wf_image *want, const char *what)
{
    cr_assert(have->H == want->H && have->W == want->W && have->C == want->C && have->bits == want->bits,
              "%s: %dx%dx%d of %d bits, want %dx%dx%d of %d", what, have->H, have->W, have->C, have->bits, want->H,
              want->W, want->C, want->bits);
    for (int i = 0; i < want->H * want->W * want->C; i++)
        cr_assert_eq(have->pixels[i], want->pixels[i], "%s: sample %d is %d, want %d", what, i, have->pixels[i],
                     want->pixels[i]);
}

/* Reads `n` bytes as a stream: returns the status; *count is the number of pictures before it, *image the last one. */
static int read_bytes(const void *bytes, size_t n, wf_image *image, int *count)
{
    FILE *file = tmpfile();
    cr_assert_eq(fwrite(bytes, 1, n, file), n);
    rewind(file);
    wf_images *images;
    cr_assert_eq(wf_images_open(NULL, 0, file, &images), 0);
    const char *name;
    bool more = true;
    int status = 0;
    for (*count = 0; !status; *count += more) {
        status = wf_images_next(images, image, &name, &more);
        if (!status && !more)
            break;
    }
    wf_images_close(images);
    fclose(file);
    return status;
}

static int read_text(const char *text, wf_image *image, int *count)
{
    return read_bytes(text, strlen(text), image, count);
}

typedef int writer(FILE *file, const char *name, const wf_image *image);

static void check_writer(writer *put, int bits)
{
    static const int sizes[][2] = {{1, 1}, {3, 7}, {64, 1}, {33, 47}};
    for (int C = 1; C <= 4; C++) {
        char *bytes;
        size_t n;
        FILE *file = open_memstream(&bytes, &n);
        wf_image want[4], have = {0};
        for (int i = 0; i < 4; i++) {
            want[i] = random_image(sizes[i][0], sizes[i][1], C, bits);
            cr_assert_eq(put(file, "test", &want[i]), 0, "%s", wf_error());
        }
        fclose(file);
        FILE *back = fmemopen(bytes, n, "rb");
        wf_images *images;
        const char *name;
        bool more;
        cr_assert_eq(wf_images_open(NULL, 0, back, &images), 0);
        for (int i = 0; i < 4; i++) {
            cr_assert_eq(wf_images_next(images, &have, &name, &more), 0, "%s", wf_error());
            cr_assert(more);
            char number[16];
            snprintf(number, sizeof number, i ? "stdin#%d" : "stdin", i);
            cr_assert_str_eq(name, number);
            assert_same(&have, &want[i], name);
            wf_image_clear(&want[i]);
        }
        cr_assert_eq(wf_images_next(images, &have, &name, &more), 0, "%s", wf_error());
        cr_assert(!more);
        wf_images_close(images);
        wf_image_clear(&have);
        fclose(back);
        free(bytes);
    }
}

Test(image, png_round_trip)
{
    check_writer(wf_image_write_png, 8);
    check_writer(wf_image_write_png, 16);
}

Test(image, pam_round_trip)
{
    for (int bits = 8; bits <= 16; bits++)
        check_writer(wf_image_write_pam, bits);
}

Test(image, png_scales_other_depths)
{
    char *bytes;
    size_t n;
    int count;
    FILE *file = open_memstream(&bytes, &n);
    wf_image ten = {.H = 1, .W = 3, .C = 1, .bits = 10, .pixels = (uint16_t[]){0, 512, 1023}}, have = {0};
    cr_assert_eq(wf_image_write_png(file, "test", &ten), 0);
    fclose(file);
    cr_assert_eq(read_bytes(bytes, n, &have, &count), 0);
    wf_image want = {.H = 1, .W = 3, .C = 1, .bits = 16, .pixels = (uint16_t[]){0, 32800, 65535}};
    assert_same(&have, &want, "10 bits as PNG");
    wf_image_clear(&have);
    free(bytes);
}

Test(image, write_to_full_disk)
{
    wf_image image = random_image(64, 64, 3, 8);
    writer *writers[] = {wf_image_write_png, wf_image_write_pam};
    for (int i = 0; i < 2; i++) {
        FILE *full = fopen("/dev/full", "wb");
        setvbuf(full, NULL, _IONBF, 0);
        cr_expect_eq(writers[i](full, "full", &image), WF_AGAIN, "%s", wf_error());
        fclose(full);
    }
    wf_image_clear(&image);
}

Test(image, pnm_kinds)
{
    static const struct {
        const char *text;
        int H, W, C, bits;
        uint16_t pixels[8];
    } cases[] = {
        {"P1 # bits\n3 2\n1 0 1\n010\n\n", 2, 3, 1, 8, {0, 255, 0, 255, 0, 255}},
        {"P2\n2 1\n15\n0 15 ", 1, 2, 1, 8, {0, 255}},
        {"P2 1 3 1000\n0 500 1000", 3, 1, 1, 16, {0, 32768, 65535}},
        {"P3\n#c\n1 2 255 1 2 3 4 5 6\n", 2, 1, 3, 8, {1, 2, 3, 4, 5, 6}},
        {"P4 9 2\n\x55\xff\xaa\x7f", 2, 9, 1, 8, {255, 0, 255, 0, 255, 0, 255, 0}},
        {"P5\n2 1\n100\n2d", 1, 2, 1, 8, {128, 255}},
        {"P5 2 1 4095\n\x01\x02\x0f\xff", 1, 2, 1, 12, {0x102, 0xfff}},
        {"P6\n1 1 # one\n255\nabc", 1, 1, 3, 8, {'a', 'b', 'c'}},
        {"P7\nWIDTH 1\nHEIGHT 1\n# c\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\nab",
         1,
         1,
         2,
         8,
         {'a', 'b'}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_image have = {0};
        int count, status = read_text(cases[i].text, &have, &count);
        cr_assert_eq(status, 0, "%.20s: %s", cases[i].text, wf_error());
        cr_assert_eq(count, 1);
        cr_assert(have.H == cases[i].H && have.W == cases[i].W && have.C == cases[i].C && have.bits == cases[i].bits,
                  "%.20s: %dx%dx%d of %d bits", cases[i].text, have.H, have.W, have.C, have.bits);
        int n = have.H * have.W * have.C;
        for (int k = 0; k < n && k < 8; k++)
            cr_assert_eq(have.pixels[k], cases[i].pixels[k], "%.20s: sample %d is %d", cases[i].text, k,
                         have.pixels[k]);
        wf_image_clear(&have);
    }
}

Test(image, pnm_faults)
{
    static const char *const faults[] = {
        "",
        "P6",
        "P6\n",
        "hello, world",
        "P6\n1 1\n255\nab",
        "P6\n0 1\n255\n",
        "P6\n1 1\n0\nabc",
        "P6\n1 1\n65536\nabcabc",
        "P6\n99999999999 1\n255\nabc",
        "P6\n65536 65536\n255\nabc",
        "P6\n-1 1\n255\nabc",
        "P5\n1 1\n100\ne",
        "P3\n1 1 255 1 2",
        "P3\n1 1 255 1 2 256",
        "P1\n2 1\n02",
        "P6\n1 1\n255\nabcP6\n1 1\n255\nab",
        "P6\n1 1\n255\nabcgarbage",
        "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 5\nMAXVAL 255\nENDHDR\nabcde",
        "P7\nWIDTH 1\nHEIGHT 1\nMAXVAL 255\nENDHDR\na",
        "P7\nWIDTH 1\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\na",
        "P7\nWIDTH 1x\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\na",
        "P7\nWIDTH 1\nNONSENSE\nENDHDR\na",
        "\xff\xd8\xff\xe0 JPEG",
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        wf_image image = {0};
        int count;
        cr_expect_eq(read_text(faults[i], &image, &count), WF_DATA, "%.30s", faults[i]);
        cr_expect(strstr(wf_error(), "stdin"), "%s", wf_error());
        wf_image_clear(&image);
    }
}

/* A prefix of a PNG is not a picture. A flipped bit gives neither a different picture nor a signal. */
Test(image, png_faults)
{
    char *bytes;
    size_t n;
    FILE *file = open_memstream(&bytes, &n);
    wf_image want = random_image(5, 6, 3, 8), have = {0};
    int count;
    cr_assert_eq(wf_image_write_png(file, "test", &want), 0);
    fclose(file);
    for (size_t cut = 0; cut < n; cut++)
        cr_assert_eq(read_bytes(bytes, cut, &have, &count), WF_DATA, "cut at %zu of %zu", cut, n);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        int status = read_bytes(bytes, n, &have, &count);
        cr_assert_eq(status, WF_DATA, "bit %zu: status %d", bit, status);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    wf_image_clear(&want);
    wf_image_clear(&have);
    free(bytes);
}

enum { RECORD = 3073 };

static uint8_t *cifar_records(int n)
{
    uint8_t *bytes = malloc((size_t)n * RECORD);
    for (int i = 0; i < n * RECORD; i++)
        bytes[i] = (uint8_t)draw(i % RECORD ? 256 : 10);
    return bytes;
}

Test(image, cifar)
{
    enum { N = 40 };
    uint8_t *bytes = cifar_records(N);
    wf_image image = {0};
    int count;
    cr_assert_eq(read_bytes(bytes, (size_t)N * RECORD, &image, &count), 0, "%s", wf_error());
    cr_assert_eq(count, N);
    const uint8_t *last = bytes + (size_t)(N - 1) * RECORD + 1;
    for (int i = 0; i < 1024; i++)
        for (int c = 0; c < 3; c++)
            cr_assert_eq(image.pixels[3 * i + c], last[1024 * c + i]);
    cr_assert_eq(read_bytes(bytes, (size_t)N * RECORD - 1, &image, &count), WF_DATA);
    cr_assert_eq(read_bytes(bytes, (size_t)2 * RECORD + 5, &image, &count), WF_DATA);
    cr_assert_eq(count, 0, "a short file of a wrong size is no CIFAR-10");
    bytes[30 * RECORD] = 10;
    cr_assert_eq(read_bytes(bytes, (size_t)N * RECORD, &image, &count), WF_DATA);
    cr_assert_eq(count, 30);
    wf_image_clear(&image);
    free(bytes);
}

static uint8_t *gzipped(const void *bytes, size_t n, size_t *out)
{
    z_stream z = {.next_in = (Bytef *)bytes, .avail_in = (uInt)n};
    cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    uLong room = deflateBound(&z, n);
    uint8_t *to = malloc(room);
    z.next_out = to;
    z.avail_out = (uInt)room;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    *out = z.total_out;
    deflateEnd(&z);
    return to;
}

Test(image, gzip)
{
    enum { N = 20 };
    uint8_t *records = cifar_records(N);
    size_t n;
    uint8_t *bytes = gzipped(records, (size_t)N * RECORD, &n), *twice = malloc(2 * n);
    wf_image image = {0};
    int count;
    cr_assert_eq(read_bytes(bytes, n, &image, &count), 0, "%s", wf_error());
    cr_assert_eq(count, N);
    memcpy(twice, bytes, n);
    memcpy(twice + n, bytes, n);
    cr_assert_eq(read_bytes(twice, 2 * n, &image, &count), 0, "%s", wf_error());
    cr_assert_eq(count, 2 * N, "two members are one file");
    cr_assert_eq(read_bytes(bytes, n - 1, &image, &count), WF_DATA, "cut");
    cr_assert_eq(read_bytes(twice, 2 * n - 9, &image, &count), WF_DATA, "second member cut");
    bytes[n - 5] ^= 1; /* checksum */
    cr_assert_eq(read_bytes(bytes, n, &image, &count), WF_DATA, "checksum");
    wf_image_clear(&image);
    free(records);
    free(bytes);
    free(twice);
}

Test(image, crop)
{
    wf_image image = {0};
    cr_assert_eq(wf_image_reserve(&image, "test", 4, 5, 2, 8), 0);
    for (int i = 0; i < 40; i++)
        image.pixels[i] = (uint16_t)i;
    cr_assert_eq(wf_image_crop(&image, "test", 5, 5), WF_DATA);
    cr_assert_eq(wf_image_crop(&image, "test", 2, 2), 0);
    wf_image want = {.H = 2, .W = 2, .C = 2, .bits = 8, .pixels = (uint16_t[]){12, 13, 14, 15, 22, 23, 24, 25}};
    assert_same(&image, &want, "crop");
    wf_image_clear(&image);
}

/* A crop is centred. An odd remainder leaves one more row below the crop, or one more column to its right. */
Test(image, crop_of_an_odd_rest)
{
    for (int rest = 1; rest <= 3; rest += 2)
        for (int tall = 0; tall < 2; tall++) {
            wf_image image = {0}, want = {0};
            int H = 2 + (tall ? rest : 0), W = 2 + (tall ? 0 : rest), top = tall ? rest / 2 : 0,
                left = tall ? 0 : rest / 2;
            cr_assert_eq(wf_image_reserve(&image, "test", H, W, 1, 8), 0);
            cr_assert_eq(wf_image_reserve(&want, "test", 2, 2, 1, 8), 0);
            for (int i = 0; i < H * W; i++)
                image.pixels[i] = (uint16_t)i;
            for (int i = 0; i < 4; i++)
                want.pixels[i] = (uint16_t)((top + i / 2) * W + left + i % 2);
            cr_assert_eq(wf_image_crop(&image, "test", 2, 2), 0);
            assert_same(&image, &want, tall ? "rest in height" : "rest in width");
            wf_image_clear(&image);
            wf_image_clear(&want);
        }
}

Test(image, resize)
{
    wf_image image = {0};
    cr_assert_eq(wf_image_reserve(&image, "test", 4, 6, 1, 8), 0);
    for (int i = 0; i < 24; i++)
        image.pixels[i] = (uint16_t)(i * i % 251);
    cr_assert_eq(wf_image_resize(&image, "test", 2, 2), 0);
    /* 154/6, 352/6, 841/6, 718/6 */
    wf_image want = {.H = 2, .W = 2, .C = 1, .bits = 8, .pixels = (uint16_t[]){26, 59, 140, 120}};
    assert_same(&image, &want, "whole factor");

    /* Constants stay constant. Ramps stay ramps away from the edges, within 0.06 pixels, where the triangle covers
     * pixels unevenly. */
    for (int to = 1; to <= 40; to++) {
        cr_assert_eq(wf_image_reserve(&image, "test", 1, 24, 1, 16), 0);
        for (int x = 0; x < 24; x++)
            image.pixels[x] = (uint16_t)(1000 + 2000 * x);
        cr_assert_eq(wf_image_resize(&image, "test", 3, to), 0);
        cr_assert(image.H == 3 && image.W == to);
        double scale = 24.0 / to, reach = scale > 1 ? scale : 1;
        for (int x = 0; x < 3 * to; x++) {
            double centre = (x % to + 0.5) * scale, expect = 1000 + 2000 * (centre - 0.5);
            double slack = to < 24 && 24 % to == 0 ? 1 : 120;
            if (centre >= reach && centre <= 24 - reach)
                cr_assert(fabs(image.pixels[x] - expect) <= slack * scale, "24 to %d: %d at %d, want %g", to,
                          image.pixels[x], x, expect);
        }
    }
    wf_image_clear(&image);
}

Test(image, channels)
{
    static const uint16_t grey_alpha[] = {7, 9, 200, 100}, rgba[] = {7, 7, 7, 9, 200, 200, 200, 100};
    for (int from = 1; from <= 4; from++)
        for (int to = 1; to <= 4; to++) {
            wf_image image = {0};
            cr_assert_eq(wf_image_reserve(&image, "test", 1, 2, from, 8), 0);
            for (int p = 0; p < 2; p++)
                for (int c = 0; c < from; c++)
                    image.pixels[p * from + c] = from < 3 ? grey_alpha[2 * p + c] : rgba[4 * p + c];
            cr_assert_eq(wf_image_channels(&image, "test", to), 0);
            cr_assert_eq(image.C, to);
            for (int p = 0; p < 2; p++)
                for (int c = 0; c < to; c++) {
                    bool alpha = c == to - 1 && to % 2 == 0;
                    int want = !alpha ? rgba[4 * p] : from % 2 ? 255 : rgba[4 * p + 3];
                    cr_assert_eq(image.pixels[p * to + c], want, "%d to %d", from, to);
                }
            wf_image_clear(&image);
        }
    wf_image colour = random_image(2, 2, 3, 8);
    cr_assert_eq(wf_image_channels(&colour, "test", 1), WF_DATA);
    wf_image_clear(&colour);
}
