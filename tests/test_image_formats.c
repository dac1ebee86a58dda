/* test_image_formats.c - JPEG, WebP, arrays of pictures, zip, compressed files and LMDB: made here, read back */
#include <archive.h>
#include <archive_entry.h>
#include <criterion/criterion.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <zlib.h>

#include <jpeglib.h>
#include <webp/encode.h>

#include "reading.h"

enum { H = 21, W = 18, SAMPLES = H * W * 4 };

/* A smooth picture, which lossy formats return nearly unchanged. */
static uint8_t sample(int y, int x, int c)
{
    return (uint8_t)(20 + 4 * y + 3 * x + 30 * c);
}

static void fill(uint8_t *to, int C)
{
    for (int i = 0; i < H * W * C; i++)
        to[i] = sample(i / C / W, i / C % W, i % C);
}

static void check_near(const wf_image *image, int C, int slack, const char *what)
{
    cr_assert(image->H == H && image->W == W && image->C == C && image->bits == 8, "%s: %dx%dx%d of %d bits", what,
              image->H, image->W, image->C, image->bits);
    for (int i = 0; i < H * W * C; i++) {
        int want = sample(i / C / W, i / C % W, i % C);
        cr_assert(abs(image->pixels[i] - want) <= slack, "%s: sample %d is %d, want %d", what, i, image->pixels[i],
                  want);
    }
}

/* Neither a prefix nor a file with a changed byte reads as a picture of another size, and none raises a signal. */
static void check_faults(const uint8_t *bytes, size_t n, const char *what)
{
    for (size_t cut = 0; cut < n; cut++) {
        result r = read_bytes(bytes, cut);
        cr_assert(r.status == WF_DATA, "%s: cut at %zu of %zu gives %d", what, cut, n, r.status);
        wf_image_clear(&r.last);
    }
    uint8_t *bad = malloc(n);
    for (size_t i = 0; i < n; i++) {
        memcpy(bad, bytes, n);
        bad[i] ^= (uint8_t)(1 << i % 8);
        result r = read_bytes(bad, n);
        cr_assert(!r.status || r.status == WF_DATA, "%s: byte %zu: %d %s", what, i, r.status, wf_error());
        wf_image_clear(&r.last);
    }
    free(bad);
}

/* ---- JPEG ----------------------------------------------------------------------------------------------------- */

static const struct kind {
    const char *name;
    J_COLOR_SPACE from, as;
    int C, progressive, arithmetic, restart;
} kinds[] = {
    {"colour", JCS_RGB, JCS_YCbCr, 3, 0, 0, 0},         {"stored as RGB", JCS_RGB, JCS_RGB, 3, 0, 0, 0},
    {"grey", JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 0, 0, 0}, {"progressive", JCS_RGB, JCS_YCbCr, 3, 1, 0, 0},
    {"arithmetic", JCS_RGB, JCS_YCbCr, 3, 0, 1, 0},     {"restart markers", JCS_RGB, JCS_YCbCr, 3, 0, 0, 1},
    {"CMYK", JCS_CMYK, JCS_CMYK, 4, 0, 0, 0},           {"YCCK", JCS_CMYK, JCS_YCCK, 4, 1, 0, 0},
};

static uint8_t *jpeg_bytes(const struct kind *k, size_t *n)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    uint8_t samples[SAMPLES];
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = W;
    jpeg.image_height = H;
    jpeg.input_components = k->C;
    jpeg.in_color_space = k->from;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, k->as);
    jpeg_set_quality(&jpeg, 98, TRUE);
    if (k->progressive)
        jpeg_simple_progression(&jpeg);
    jpeg.arith_code = k->arithmetic;
    jpeg.restart_interval = (unsigned)k->restart;
    jpeg_start_compress(&jpeg, TRUE);
    fill(samples, k->C == 4 ? 3 : k->C);
    uint8_t row[4 * W];
    for (int y = 0; y < H; y++) {
        for (int i = 0; i < W * k->C; i++) /* Adobe's inverted inks, without black */
            row[i] = k->C == 4 ? (i % 4 == 3 ? 255 : samples[(y * W + i / 4) * 3 + i % 4]) : samples[y * W * k->C + i];
        JSAMPROW line = row;
        jpeg_write_scanlines(&jpeg, &line, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    *n = size;
    return bytes;
}

Test(image_formats, jpeg)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *k = &kinds[i];
        size_t n;
        uint8_t *bytes = jpeg_bytes(k, &n), *twice = malloc(2 * n);
        result r = read_bytes(bytes, n);
        cr_assert_eq(r.status, 0, "%s: %s", k->name, wf_error());
        /* set_colorspace(CMYK) writes Adobe's marker too */
        check_near(&r.last, k->C == 1 ? 1 : 3, 8, k->name);
        wf_image_clear(&r.last);
        memcpy(twice, bytes, n);
        memcpy(twice + n, bytes, n);
        r = read_bytes(twice, 2 * n);
        cr_assert(!r.status && r.count == 2, "%s: one behind the other: %d, %s", k->name, r.count, wf_error());
        wf_image_clear(&r.last);
        check_faults(bytes, n, k->name);
        free(bytes);
        free(twice);
    }
}

/* libjpeg fills missing data with grey, and Pillow would show that; filler before a marker does no harm. */
Test(image_formats, jpeg_damage)
{
    size_t n;
    uint8_t *bytes = jpeg_bytes(&kinds[0], &n), *odd = malloc(n + 2);
    memcpy(odd, bytes, n - 22);
    memcpy(odd + n - 22, bytes + n - 2, 2);
    result r = read_bytes(odd, n - 20);
    cr_expect_eq(r.status, WF_DATA, "samples are missing");
    wf_image_clear(&r.last);
    memcpy(odd, bytes, n - 2);
    memcpy(odd + n - 2, "ab\xff\xd9", 4);
    r = read_bytes(odd, n + 2);
    cr_expect(!r.status && r.count == 1, "filler: %s", wf_error());
    wf_image_clear(&r.last);
    free(bytes);
    free(odd);
}

/* A file of several pictures (MPF): the first one is read, the rest is ignored. */
Test(image_formats, jpeg_companions)
{
    size_t n;
    uint8_t *bytes = jpeg_bytes(&kinds[0], &n);
    scratch_make();
    FILE *file = fopen(scratch_path("a.jpg"), "wb");
    fwrite(bytes, 1, 2, file);
    fwrite("\xff\xe2\0\x08MPF\0\0\0", 1, 10, file);
    fwrite(bytes + 2, 1, n - 2, file);
    fwrite(bytes, 1, n, file);
    fclose(file);
    result r = read_path(scratch_path("a.jpg"));
    cr_expect(!r.status && r.count == 1 && r.passed.trailing == 1, "%d pictures, %s", r.count, wf_error());
    wf_image_clear(&r.last);
    size_t all;
    char *text = scratch_read(scratch_path("a.jpg"), &all);
    r = read_bytes(text, all);
    cr_expect_eq(r.status, WF_DATA, "in a stream");
    wf_image_clear(&r.last);
    scratch_remove();
    free(text);
    free(bytes);
}

/* ---- WebP ----------------------------------------------------------------------------------------------------- */

Test(image_formats, webp)
{
    uint8_t samples[SAMPLES], *bytes[4];
    fill(samples, 3);
    size_t n[4];
    n[0] = WebPEncodeLosslessRGB(samples, W, H, 3 * W, &bytes[0]);
    n[1] = WebPEncodeRGB(samples, W, H, 3 * W, 95, &bytes[1]);
    fill(samples, 4);
    for (int p = 0; p < H * W; p++)
        samples[4 * p + 3] |= 1; /* the colour under a fully transparent pixel is lost */
    n[2] = WebPEncodeLosslessRGBA(samples, W, H, 4 * W, &bytes[2]);
    n[3] = WebPEncodeRGBA(samples, W, H, 4 * W, 95, &bytes[3]);
    for (int i = 0; i < 4; i++) {
        result r = read_bytes(bytes[i], n[i]);
        cr_assert_eq(r.status, 0, "%d: %s", i, wf_error());
        check_near(&r.last, i < 2 ? 3 : 4, i % 2 ? 8 : i == 2 ? 1 : 0, i % 2 ? "lossy" : "lossless");
        wf_image_clear(&r.last);
        check_faults(bytes[i], n[i], "WebP");
        WebPFree(bytes[i]);
    }
}

/* ---- arrays --------------------------------------------------------------------------------------------------- */

static size_t npy_head(char *to, const char *dictionary)
{
    size_t n = strlen(dictionary);
    memcpy(to, "\x93NUMPY\1\0", 8);
    to[8] = (char)n;
    to[9] = (char)(n >> 8);
    memcpy(to + 10, dictionary, n);
    return 10 + n;
}

#define NPY(descr, order, shape) "{'descr': '" descr "', 'fortran_order': " order ", 'shape': (" shape "), }\n"

Test(image_formats, npy_layouts)
{
    static const struct {
        const char *head;
        int status, count, H, W, C, bits;
        int next; /* offset, in samples, of pixel 1 of the first picture from pixel 0; -1: unchecked */
    } cases[] = {
        {NPY("|u1", "False", "2, 6, 5, 3"), 0, 2, 6, 5, 3, 8, 3},
        {NPY("|u1", "False", "2, 3, 6, 5"), 0, 2, 6, 5, 3, 8, 1},
        {NPY("|u1", "False", "2, 1, 6, 5"), 0, 2, 6, 5, 1, 8, 1},
        {NPY("<u2", "False", "2, 6, 5, 3"), 0, 2, 6, 5, 3, 16, 3},
        {NPY(">u2", "False", "1, 6, 5, 1"), 0, 1, 6, 5, 1, 16, 1},
        {NPY("<u1", "False", "6, 5, 4"), 0, 1, 6, 5, 4, 8, 4},
        {NPY(">u1", "False", "6, 5, 4"), 0, 1, 6, 5, 4, 8, 4},
        {NPY("uint8", "False", "6, 5, 4"), 0, 1, 6, 5, 4, 8, 4},
        {NPY("B", "False", "6, 5, 4"), 0, 1, 6, 5, 4, 8, 4},
        {NPY("=u2", "False", "6, 5, 4"), 0, 1, 6, 5, 4, 16, 4},
        {NPY("u2", "False", "6, 5, 4"), 0, 1, 6, 5, 4, 16, 4},
        {NPY(">H", "False", "6, 5, 4"), 0, 1, 6, 5, 4, 16, 4},
        {NPY("|u1", "False", "6, 5, 4"), 0, 1, 6, 5, 4, 8, 4},
        {NPY("|u1", "False", "6, 5, 7"), 0, 6, 5, 7, 1, 8, 1},
        {NPY("|u1", "False", "6, 7"), 0, 1, 6, 7, 1, 8, 1},
        {NPY("|u1", "False", "2, 3072"), 0, 2, 32, 32, 3, 8, 1},
        {NPY("|u1", "False", "1, 12288"), 0, 1, 64, 64, 3, 8, 1},
        {"{'shape':(6,7),'descr':\"|u1\",'fortran_order':False}", 0, 1, 6, 7, 1, 8, 1},
        {NPY("|u1", "False", "3, 6, 5"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("|u1", "True", "6, 7"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("<f4", "False", "6, 7"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("<u4", "False", "6, 7"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("u", "False", "6, 7"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("|u1", "False", "6,"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("|u1", "False", ""), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("|u1", "False", "1, 2, 3, 4, 5"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("|u1", "False", "0, 3072"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("|u1", "False", "9999999999999999999, 7"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("|u1", "False", "9, 999999999"), WF_DATA, 0, 0, 0, 0, 0, -1},
        {NPY("|u1", "False", "6, 7") "x", WF_DATA, 0, 0, 0, 0, 0, -1},
        {"{'descr': '|u1', 'shape': (6, 7), }", WF_DATA, 0, 0, 0, 0, 0, -1},
        {"{'descr': '|u1', 'shape': (6, 7), 'shape': (6, 7)}", WF_DATA, 0, 0, 0, 0, 0, -1},
        {"{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (6, 7), }", WF_DATA, 0, 0, 0, 0, 0, -1},
    };
    enum { ROOM = 70000 };
    static uint8_t bytes[ROOM];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t head = npy_head((char *)bytes, cases[i].head), size = cases[i].bits / 8;
        size_t all = (size_t)(cases[i].count * cases[i].H * cases[i].W * cases[i].C) * size;
        for (size_t k = head; k < ROOM; k++)
            bytes[k] = (uint8_t)(k * 7919 >> 3);
        result r = read_bytes(bytes, head + (all ? all : 100));
        cr_assert(r.status == cases[i].status && r.count == cases[i].count, "%s: %d pictures, status %d: %s",
                  cases[i].head, r.count, r.status, wf_error());
        if (cases[i].status)
            continue;
        cr_assert(r.last.H == cases[i].H && r.last.W == cases[i].W && r.last.C == cases[i].C &&
                      r.last.bits == cases[i].bits,
                  "%s: %dx%dx%d of %d", cases[i].head, r.last.H, r.last.W, r.last.C, r.last.bits);
        const uint8_t *p = bytes + head + all - all / (size_t)r.count + (size_t)cases[i].next * size;
        int want = size == 1 ? p[0] : strstr(cases[i].head, "'>") ? p[0] << 8 | p[1] : p[1] << 8 | p[0];
        cr_expect_eq(r.last.pixels[r.last.C], want, "%s: %d, want %d", cases[i].head, r.last.pixels[r.last.C], want);
        wf_image_clear(&r.last);
        r = read_bytes(bytes, head + all - 1);
        cr_expect(r.status == WF_DATA && r.count == cases[i].count - 1, "%s: cut", cases[i].head);
        wf_image_clear(&r.last);
    }
}

Test(image_formats, idx)
{
    static const char grey[] = "\0\0\x08\x03\0\0\0\2\0\0\0\2\0\0\0\1abcd",
                      colour[] = "\0\0\x08\x04\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\3xyz";
    static const char labels[] = "\0\0\x08\x01\0\0\0\2\1\2", shorts[] = "\0\0\x0b\x03\0\0\0\1\0\0\0\1\0\0\0\1ab";
    result r = read_bytes(grey, sizeof grey - 1);
    cr_assert(!r.status && r.count == 2 && r.last.H == 2 && r.last.W == 1 && r.last.C == 1, "%s", wf_error());
    cr_expect(r.last.pixels[0] == 'c' && r.last.pixels[1] == 'd');
    cr_expect_eq(read_bytes(grey, sizeof grey - 2).status, WF_DATA, "cut");
    r = read_bytes(colour, sizeof colour - 1);
    cr_assert(!r.status && r.count == 1 && r.last.C == 3 && r.last.pixels[2] == 'z', "%s", wf_error());
    cr_expect_eq(read_bytes(labels, sizeof labels - 1).status, WF_DATA, "labels alone");
    cr_expect_eq(read_bytes(shorts, sizeof shorts - 1).status, WF_DATA, "16 bits");
    cr_expect(strstr(wf_error(), "IDX"), "%s", wf_error());
    scratch_make();
    scratch_write(scratch_path("images"), grey, sizeof grey - 1);
    scratch_write(scratch_path("labels"), labels, sizeof labels - 1);
    r = read_path(scratch);
    cr_expect(!r.status && r.count == 2 && r.passed.labels == 1, "beside pictures: %s", wf_error());
    scratch_remove();
}

Test(image_formats, cifar100)
{
    enum { N = 30, RECORD = 3074 };
    uint8_t *bytes = calloc(N, RECORD);
    for (int i = 0; i < N * RECORD; i++)
        bytes[i] = (uint8_t)(i % RECORD == 0 ? i / RECORD % 20 : i % RECORD == 1 ? 99 - i / RECORD : i * 7919 >> 3);
    result r = read_bytes(bytes, N * RECORD);
    cr_assert(!r.status && r.count == N, "%s", wf_error());
    for (int c = 0; c < 3; c++)
        cr_expect_eq(r.last.pixels[3 * 5 + c], bytes[(N - 1) * RECORD + 2 + 1024 * c + 5]);
    bytes[28 * RECORD + 1] = 100;
    r = read_bytes(bytes, N * RECORD);
    cr_expect(r.status == WF_DATA && r.count == 28, "%d", r.count);
    free(bytes);
}

/* ---- archives, compressed files, LMDB --------------------------------------------------------------------------- */

#define PIXEL(a) "P5 1 1 255\n" a

static void put_archive(const char *path, int format, int filter, const char *const *names, const char *const *texts)
{
    struct archive *a = archive_write_new();
    archive_write_set_format(a, format);
    archive_write_add_filter(a, filter);
    cr_assert_eq(archive_write_open_filename(a, path), 0, "%s", archive_error_string(a));
    for (; *names; names++, texts++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, *names);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)strlen(*texts));
        cr_assert_eq(archive_write_header(a, entry), 0, "%s", archive_error_string(a));
        archive_write_data(a, *texts, strlen(*texts));
        archive_entry_free(entry);
    }
    archive_write_free(a);
}

Test(image_formats, zip)
{
    static const char *const names[] = {"b.pgm", "README", "a/c.pgm", NULL};
    static const char *const texts[] = {PIXEL("b"), "not a picture", PIXEL("c") PIXEL("d"), NULL};
    scratch_make();
    put_archive(scratch_path("a.zip"), ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, names, texts);
    result r = read_path(scratch_path("a.zip"));
    cr_assert_eq(r.status, 0, "%s", wf_error());
    cr_expect_str_eq(r.names, "a.zip:b.pgm c.pgm c.pgm#1 ");
    cr_expect_eq(r.passed.skipped, 1);
    size_t n;
    char *bytes = scratch_read(scratch_path("a.zip"), &n);
    const char *directory = memmem(bytes, n, "PK\1\2", 4);
    for (size_t cut = 1; cut <= (size_t)(directory - bytes); cut++)
        cr_expect_eq(read_bytes(bytes, cut).status, WF_DATA, "cut at %zu", cut);
    /* A directory follows the entries. It is not read, at any length, also inside another layer of compression. */
    gzFile file = gzopen(scratch_path("a.zip.gz"), "wb");
    gzwrite(file, bytes, (unsigned)n);
    for (int i = 0; i < 1 << 17; i++)
        gzputc(file, i * 7919 >> 3 & 255);
    gzclose(file);
    r = read_path(scratch_path("a.zip.gz"));
    cr_expect(!r.status && r.count == 3, "%d: %s", r.count, wf_error());
    char *sum = memmem(bytes, n, "PK\7\x8", 4); /* after an entry: its CRC-32 and sizes */
    if (!sum)
        sum = bytes + 10; /* in its header */
    sum[4] ^= 1;
    cr_expect_eq(read_bytes(bytes, n).status, WF_DATA, "checksum");
    scratch_remove();
    free(bytes);
}

/* Names outside ASCII: a zip that says that they are UTF-8 (bit 11 of the flags) in a program of the plain locale. */
Test(image_formats, zip_of_utf8)
{
    static const char *const names[] = {"K\xc3\xa4se.pgm", "\xe7\x8c\xab/\xf0\x9f\x90\x88.pgm", NULL};
    static const char *const texts[] = {PIXEL("b"), PIXEL("c"), NULL};
    scratch_make();
    put_archive(scratch_path("a.zip"), ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, names, texts);
    size_t n;
    char *bytes = scratch_read(scratch_path("a.zip"), &n), *at = bytes;
    for (int flagged = 0; flagged < 2; flagged++) {
        result r = read_path(scratch_path("a.zip"));
        cr_expect(!r.status && r.count == 2 && strstr(r.names, "a.zip:K\xc3\xa4se.pgm ") &&
                      strstr(r.names, "\xf0\x9f\x90\x88.pgm "),
                  "%d: %s, %s", flagged, r.names, r.status ? wf_error() : "");
        wf_image_clear(&r.last);
        while ((at = memmem(at, n - (size_t)(at - bytes), "PK\3\4", 4)))
            *(at += 7) |= 8;
        scratch_write(scratch_path("a.zip"), bytes, n);
        at = bytes;
    }
    free(bytes);
    scratch_remove();
}

Test(image_formats, compressed)
{
    static const struct {
        const char *name;
        int filter;
    } filters[] = {{"xz", ARCHIVE_FILTER_XZ}, {"zst", ARCHIVE_FILTER_ZSTD}, {"bz2", ARCHIVE_FILTER_BZIP2}};
    static const char *const names[] = {"a.pgm", "b.pgm", NULL}, *const texts[] = {PIXEL("a"), PIXEL("b"), NULL};
    scratch_make();
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        char name[16];
        size_t n;
        snprintf(name, sizeof name, "a.pgm.%s", filters[i].name);
        put_archive(scratch_path(name), ARCHIVE_FORMAT_RAW, filters[i].filter, (const char *const[]){"a", NULL}, texts);
        result r = read_path(scratch_path(name));
        cr_assert(!r.status && r.count == 1 && r.last.pixels[0] == 'a', "%s: %s", name, wf_error());
        char *bytes = scratch_read(scratch_path(name), &n);
        for (size_t cut = 0; cut < n; cut++)
            cr_expect_eq(read_bytes(bytes, cut).status, WF_DATA, "%s: cut at %zu of %zu", name, cut, n);
        free(bytes);
        snprintf(name, sizeof name, "a.tar.%s", filters[i].name);
        put_archive(scratch_path(name), ARCHIVE_FORMAT_TAR_USTAR, filters[i].filter, names, texts);
        r = read_path(scratch_path(name));
        cr_expect(!r.status && r.count == 2, "%s: %s", name, wf_error());
    }
    scratch_remove();
}

static void put_lmdb(const char *path, const char *const *keys, const char *const *texts)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi main;
    cr_assert(!mkdir(path, 0777) && !mdb_env_create(&env) && !mdb_env_open(env, path, 0, 0666) &&
              !mdb_txn_begin(env, NULL, 0, &txn) && !mdb_dbi_open(txn, NULL, 0, &main));
    for (; *keys; keys++, texts++) {
        MDB_val key = {strlen(*keys), (void *)*keys}, value = {strlen(*texts), (void *)*texts};
        cr_assert_eq(mdb_put(txn, main, &key, &value, 0), 0);
    }
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

Test(image_formats, lmdb)
{
    static const char *const keys[] = {"k2", "k1", "\001", NULL}, *const texts[] = {PIXEL("b"), PIXEL("a"), PIXEL("c"),
                                                                                    NULL};
    scratch_make();
    put_lmdb(scratch_path("db"), keys, texts);
    result r = read_path(scratch_path("db"));
    cr_assert_eq(r.status, 0, "%s", wf_error());
    cr_expect_str_eq(r.names, "data.mdb:01 data.mdb:k1 data.mdb:k2 ");
    cr_expect_eq(r.last.pixels[0], 'b');
    cr_expect_eq(r.passed.skipped, 0, "lock.mdb belongs to it");
    r = read_path(scratch_path("db/data.mdb"));
    cr_expect(!r.status && r.count == 3, "%s", wf_error());
    size_t n;
    char *bytes = scratch_read(scratch_path("db/data.mdb"), &n);
    cr_expect_eq(read_bytes(bytes, n).status, WF_DATA, "a stream");
    scratch_write(scratch_path("db/data.mdb"), bytes, n - 1);
    cr_expect_eq(read_path(scratch_path("db")).status, WF_DATA, "cut");
    free(bytes);
    put_lmdb(scratch_path("odd"), keys,
             (const char *const[]){PIXEL("a"), "not\1 a picture but damage", PIXEL("c"), NULL});
    r = read_path(scratch_path("odd"));
    cr_expect(r.status == WF_DATA && r.count == 1, "a damaged picture");
    wf_image_clear(&r.last);
    put_lmdb(scratch_path("keys"), (const char *const[]){"k", "__keys__", "__len__", NULL},
             (const char *const[]){PIXEL("a"), "\x93\xc4\5 as MessagePack has it",
                                   "\xff\xff\xff\xff as Arrow has a number", NULL});
    r = read_path(scratch_path("keys"));
    cr_expect(!r.status && r.count == 1 && r.passed.skipped == 2, "%d passed over: %s", (int)r.passed.skipped,
              wf_error());
    wf_image_clear(&r.last);
    put_lmdb(scratch_path("notes"), (const char *const[]){"k", "length", "names", "labels", NULL},
             (const char *const[]){PIXEL("a"), "\1\2\3",
                                   "Stra\xc3\x9f"
                                   "e, a name of over 16 bytes",
                                   "\x80\x04\x95 a pickle of them", NULL});
    r = read_path(scratch_path("notes/data.mdb"));
    cr_expect(!r.status && r.count == 1 && r.passed.skipped == 3, "%d passed over: %s", (int)r.passed.skipped,
              wf_error());
    cr_expect_str_eq(strchr(r.passed.first, ':'),
                     ":labels: a Python pickle: save its pictures in Python, as by numpy.save('a.npy', "
                     "pickle.load(open(FILE, 'rb'), encoding='bytes')[b'data'])");
    scratch_remove();
}
