/* test_image_tfrecord.c - TFRecord: raw and encoded pictures in the wire format of protocol buffers */
#include <criterion/criterion.h>
#include <stdlib.h>

#include <webp/encode.h>

#include "reading.h"

enum { SIDE = 6 };

/* CRC-32C bit by bit, checked against the value published for the algorithm. */
static uint32_t crc32c(const char *bytes, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < 8 * n; i++)
        crc = crc >> 1 ^ ((crc ^ (uint32_t)((uint8_t)bytes[i / 8] >> i % 8)) & 1 ? 0x82F63B78 : 0);
    return ~crc;
}

static void put_record(FILE *file, const char *example, size_t n)
{
    uint64_t length = n;
    uint32_t sums[2] = {crc32c((char *)&length, 8), crc32c(example, n)};
    for (int i = 0; i < 2; i++)
        sums[i] = (sums[i] >> 15 | sums[i] << 17) + 0xa282ead8;
    fwrite(&length, 1, 8, file);
    fwrite(&sums[0], 1, 4, file);
    fwrite(example, 1, n, file);
    fwrite(&sums[1], 1, 4, file);
}

/* Example {Features {entry {key, Feature}, entry {key, Feature}}}, each body preceded by its length */
#define SHAPE(list) "\x0a\x12\x0a\x05shape\x12\x09\x1a\x07" list
#define DATA(text)     \
    "\x0a\x12\x0a\x04" \
    "data\x12\x0a\x0a\x08\x0a\x06" text
#define EXAMPLE(features) "\x0a\x28" features

Test(image_tfrecord, raw)
{
    cr_assert_eq(crc32c("123456789", 9), 0xE3069283);
    static const struct {
        const char *example;
        int count, H, W, C, second; /* sample of pixel 0 in channel 1, or of pixel 1 */
    } cases[] = {
        {EXAMPLE(SHAPE("\x0a\x03\x03\x01\x02\x10\x00") DATA("abcdef")), 0, 0, 0, 0, 0},    /* an invalid field */
        {EXAMPLE(SHAPE("\x08\x03\x08\x01\x08\x02") "\x08" DATA("abcdef")), 0, 0, 0, 0, 0}, /* a length beyond the end */
        {"\x0a\x27\x0a\x11\x0a\x05shape\x12\x08\x1a\x06\x08\x03\x08\x01\x08\x02" DATA("abcdef"), 1, 1, 2, 3, 'c'},
        {"\x0a\x26\x0a\x10\x0a\x05shape\x12\x07\x1a\x05\x0a\x03\x03\x01\x02" DATA("abcdef"), 1, 1, 2, 3, 'c'},
        {"\x0a\x26\x0a\x10\x0a\x05shape\x12\x07\x1a\x05\x0a\x03\x06\x01\x01" DATA("abcdef"), 1, 6, 1, 1, 'b'},
        {"\x0a\x26\x0a\x10\x0a\x05shape\x12\x07\x1a\x05\x0a\x03\x03\x01\x03" DATA("abcdef"), 0, 0, 0, 0, 0},
        {"\x0a\x14" DATA("abcdef"), 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *bytes;
        size_t n;
        FILE *file = open_memstream(&bytes, &n);
        put_record(file, cases[i].example, strlen(cases[i].example));
        put_record(file, cases[i].example, strlen(cases[i].example));
        fclose(file);
        result r = read_bytes(bytes, n);
        cr_assert_eq(r.count, 2 * cases[i].count, "%zu: %d pictures: %s", i, r.count, wf_error());
        cr_assert_eq(r.status, cases[i].count ? 0 : WF_DATA);
        if (cases[i].count) {
            cr_assert(r.last.H == cases[i].H && r.last.W == cases[i].W && r.last.C == cases[i].C);
            cr_expect(r.last.pixels[0] == 'a' && r.last.pixels[1] == cases[i].second, "%zu: %c", i, r.last.pixels[1]);
            for (size_t cut = 1; cut < n; cut++) {
                wf_image_clear(&r.last);
                if (cut == n / 2)
                    continue;
                r = read_bytes(bytes, cut);
                cr_assert(r.status == WF_DATA && r.count == (cut > n / 2), "%zu: cut at %zu", i, cut);
            }
            bytes[n - 8] ^= 1;
            r = read_bytes(bytes, n);
            cr_assert(r.status == WF_DATA && r.count == 1, "checksum");
        }
        wf_image_clear(&r.last);
        free(bytes);
    }
}

/* A field of the wire format: its tag, its length as two bytes of a varint, its body. */
static void put_field(heap *h, char tag, const void *body, size_t n)
{
    cr_assert(n < 1 << 14);
    put(h, (char[]){tag, (char)(n | 128), (char)(n >> 7)}, 3);
    put(h, body, n);
}

/* Entry {key, Feature {BytesList {bytes}}} */
static void put_feature(heap *features, const char *key, const void *bytes, size_t n)
{
    static heap inner, list, entry;
    inner.n = list.n = entry.n = 0;
    put_field(&inner, '\n', bytes, n);
    put_field(&list, '\n', inner.bytes, inner.n);
    put_field(&entry, '\n', key, strlen(key));
    put_field(&entry, '\x12', list.bytes, list.n);
    put_field(features, '\n', entry.bytes, entry.n);
}

/* Examples of encoded pictures: the value of each case is the index of the picture that is read. */
Test(image_tfrecord, encoded)
{
    static const struct {
        const char *keys[3];
        int want; /* -1: refused */
    } cases[] = {{{"image", "label", "x"}, 0},     {{"jpg", "label", "x"}, 0}, {{"mask", "image/encoded"}, 1},
                 {{"image", "mask"}, 0},           {{"left", "right"}, -1},    {{"a", "b", "image"}, 2},
                 {{"image", "image/encoded"}, -1}, {{"label", "x"}, -1},       {{"label", "x", "anything"}, 2}};
    uint8_t samples[SIDE * SIDE * 3], *webp[3];
    size_t sizes[3];
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        samples[i] = (uint8_t)(7 * i);
    for (int i = 0; i < 3; i++) {
        samples[0] = (uint8_t)i;
        sizes[i] = WebPEncodeLosslessRGB(samples, SIDE, SIDE, 3 * SIDE, &webp[i]);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static heap features, example;
        char *bytes;
        size_t n;
        features.n = example.n = 0;
        for (int k = 0; k < 3 && cases[i].keys[k]; k++) {
            bool text = !strcmp(cases[i].keys[k], "label") || !strcmp(cases[i].keys[k], "x");
            put_feature(&features, cases[i].keys[k], text ? (const void *)"RIFFx" : webp[k], text ? 5 : sizes[k]);
        }
        put_field(&example, '\n', features.bytes, features.n);
        FILE *file = open_memstream(&bytes, &n);
        put_record(file, (char *)example.bytes, example.n);
        put_record(file, (char *)example.bytes, example.n);
        fclose(file);
        result r = read_bytes(bytes, n);
        if (cases[i].want < 0)
            cr_expect(r.status == WF_DATA && !r.count && strstr(wf_error(), "the record before byte"), "%zu", i);
        else
            cr_expect(!r.status && r.count == 2 && r.last.C == 3 && r.last.pixels[0] == cases[i].want &&
                          r.last.pixels[1] == samples[1],
                      "%zu: %d pictures, %s", i, r.count, wf_error());
        wf_image_clear(&r.last);
        free(bytes);
    }
    for (int i = 0; i < 3; i++)
        WebPFree(webp[i]);
}
