/* test_pack_archive.c - archives: damage of every byte, other models, names, random access */
#include <criterion/criterion.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../lib/codec/archive_private.h"
#include "pack.h"

enum { PICTURES = 6 };

/* An archive in memory, and the pictures in it. */
typedef struct packed_file {
    wf_packer *packer;
    wf_packer_work *work;
    wf_image images[PICTURES];
    char *bytes;
    size_t n;
} packed_file;

static const char *const names[PICTURES] = {"a.png", "b/c.png", NULL, "a.png", "\xc3\xa9.png", "same"};

static void write_archive(FILE *file, const packed_file *f)
{
    wf_archive_writer *writer;
    wf_packed packed;
    int64_t bytes;
    cr_assert_eq(wf_archive_create(file, "test", f->packer, &writer), 0);
    for (int i = 0; i < PICTURES; i++) {
        cr_assert_eq(wf_packed_make(f->packer, f->work, &f->images[i], "test", &packed), 0, "%s", wf_error());
        cr_assert_eq(wf_archive_put(writer, &packed), 0);
        wf_packed_clear(&packed);
    }
    cr_assert_eq(wf_archive_finish(writer, &bytes), 0);
    wf_archive_writer_destroy(writer);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq((size_t)bytes, f->n);
}

static packed_file make_file(uint64_t seed)
{
    packed_file f = {.packer = pack_make(3, 8, 2, 1, 3, seed)};
    cr_assert_eq(wf_packer_work_create(&f.work), 0);
    for (int i = 0; i < PICTURES; i++) {
        int size = i < 4 ? i : 4; /* the last has the sides of the one before */
        pack_picture(&f.images[i], 1 + 2 * size, 7 - size, 3, 8, 10, (uint64_t)i);
        f.images[i].name = names[i] ? strdup(names[i]) : NULL;
    }
    FILE *file = open_memstream(&f.bytes, &f.n);
    write_archive(file, &f);
    return f;
}

static void clear_file(packed_file *f)
{
    for (int i = 0; i < PICTURES; i++)
        wf_image_clear(&f->images[i]);
    wf_packer_destroy(f->packer);
    wf_packer_work_destroy(f->work);
    free(f->bytes);
}

/* Compares a picture that came with that of its number. */
static void expect_picture(const packed_file *f, const wf_packed *packed, const wf_image *image)
{
    cr_assert(packed->number >= 0 && packed->number < PICTURES);
    const wf_image *want = &f->images[packed->number];
    cr_assert_str_eq(packed->name, want->name ? want->name : "");
    cr_assert(image->H == want->H && image->W == want->W);
    cr_assert(!memcmp(image->pixels, want->pixels, (size_t)(want->H * want->W * want->C) * sizeof *want->pixels));
}

/* Reads an archive to its end or first failure. Every picture on the way must be right. *count: those. */
static int read_all(const packed_file *f, FILE *file, char *const *wanted, int wanted_count, bool *found, int *count)
{
    wf_archive *archive;
    wf_image image = {0};
    wf_packed packed;
    bool more = true;
    *count = 0;
    int status = wf_archive_open(file, "test", f->packer, &archive);
    if (status)
        return status;
    if (wanted_count)
        status = wf_archive_choose(archive, wanted, wanted_count, found);
    while (!status && more) {
        status = wf_archive_next(archive, &packed, &more);
        if (status || !more)
            break;
        status = wf_packed_image(f->packer, f->work, &packed, &image);
        if (!status) {
            expect_picture(f, &packed, &image);
            ++*count;
        }
        wf_packed_clear(&packed);
    }
    wf_image_clear(&image);
    wf_archive_close(archive);
    return status;
}

static int read_bytes(const packed_file *f, const void *bytes, size_t n, int *count)
{
    FILE *file = n ? fmemopen((void *)(uintptr_t)bytes, n, "rb") : fopen("/dev/null", "rb");
    int status = read_all(f, file, NULL, 0, NULL, count);
    fclose(file);
    return status;
}

Test(pack_archive, pictures_come_back_in_their_order)
{
    int count;
    packed_file f = make_file(1);
    cr_assert_eq(read_bytes(&f, f.bytes, f.n, &count), 0, "%s", wf_error());
    cr_assert_eq(count, PICTURES);
    clear_file(&f);
}

Test(pack_archive, every_cut_is_refused)
{
    int count;
    packed_file f = make_file(1);
    for (size_t n = 0; n < f.n; n++)
        cr_assert_eq(read_bytes(&f, f.bytes, n, &count), WF_DATA, "%zu of %zu bytes", n, f.n);
    char *longer = calloc(f.n + 1, 1);
    memcpy(longer, f.bytes, f.n);
    cr_assert_eq(read_bytes(&f, longer, f.n + 1, &count), WF_DATA, "a byte more");
    free(longer);
    clear_file(&f);
}

Test(pack_archive, every_flipped_bit_is_refused)
{
    int count;
    packed_file f = make_file(1);
    for (size_t at = 0; at < f.n; at++)
        for (int bit = 0; bit < 9; bit++) {
            char flip = (char)(bit < 8 ? 1 << bit : 0xff);
            f.bytes[at] ^= flip;
            cr_assert_eq(read_bytes(&f, f.bytes, f.n, &count), WF_DATA, "byte %zu, bit %d", at, bit);
            f.bytes[at] ^= flip;
        }
    clear_file(&f);
}

Test(pack_archive, another_model_is_refused)
{
    int count;
    packed_file f = make_file(1);
    f.packer->hashes[2]++;
    cr_assert_eq(read_bytes(&f, f.bytes, f.n, &count), WF_DATA);
    cr_assert(strstr(wf_error(), "another model"), "%s", wf_error());
    clear_file(&f);
}

/* Swapped or missing records have good hashes of their own, but not their number. */
Test(pack_archive, records_in_another_order_are_refused)
{
    int count;
    packed_file f = make_file(1);
    size_t header = 24;
    cr_assert_eq(f.bytes[header], 1 + 2 * 5);
    char *without = malloc(f.n);
    for (size_t second = header + 1; second < f.n; second++) {
        memcpy(without, f.bytes, header);
        memcpy(without + header, f.bytes + second, f.n - second);
        cr_assert_eq(read_bytes(&f, without, f.n - (second - header), &count), WF_DATA);
        cr_assert_eq(count, 0);
    }
    free(without);
    clear_file(&f);
}

static int read_names(const packed_file *f, bool pipe_it, char *const *wanted, int n, bool *found, int *count)
{
    int ends[2] = {-1, -1};
    FILE *file;
    if (pipe_it) {
        cr_assert_eq(pipe(ends), 0);
        cr_assert_eq(write(ends[1], f->bytes, f->n), (ssize_t)f->n);
        close(ends[1]);
        file = fdopen(ends[0], "rb");
    } else {
        file = fmemopen(f->bytes, f->n, "rb");
    }
    int status = read_all(f, file, wanted, n, found, count);
    fclose(file);
    return status;
}

Test(pack_archive, pictures_are_found_by_name)
{
    packed_file f = make_file(1);
    char one[] = "b/c.png", two[] = "a.png", none[] = "nothing", same[] = "same";
    char *const wanted[] = {one, two, none}, *const last[] = {same};
    bool found[3];
    int count;
    for (int piped = 0; piped < 2; piped++) {
        cr_assert_eq(read_names(&f, piped, wanted, 3, found, &count), 0, "%s", wf_error());
        cr_assert_eq(count, 3, "two pictures have the name a.png");
        cr_assert(found[0] && found[1] && !found[2]);
        cr_assert_eq(read_names(&f, piped, last, 1, found, &count), 0, "%s", wf_error());
        cr_assert_eq(count, 1);
    }
    clear_file(&f);
}

/* By the index only what is needed is read: damage elsewhere does not matter, damage of the index does. */
Test(pack_archive, damage_is_found_by_name_too)
{
    packed_file f = make_file(1);
    char one[] = "b/c.png";
    char *const wanted[] = {one};
    bool found[1];
    int count, good = 0;
    for (size_t at = 0; at < f.n; at++) {
        f.bytes[at] ^= 0x10;
        int status = read_names(&f, false, wanted, 1, found, &count);
        cr_assert(status == WF_DATA || (status == 0 && count == 1), "byte %zu: %d, %d pictures", at, status, count);
        good += !status;
        f.bytes[at] ^= 0x10;
    }
    cr_assert(good > (int)f.n / 3 && good < (int)f.n * 9 / 10, "%d of %zu", good, f.n);
    for (size_t n = 1; n < f.n; n++) {
        packed_file cut = f;
        cut.n = n;
        cr_assert_eq(read_names(&cut, false, wanted, 1, found, &count), WF_DATA, "%zu bytes", n);
    }
    clear_file(&f);
}

/* Makes an archive of one picture of one pixel, so short that many have the same length. */
static void make_pixel(packed_file *f, uint64_t seed)
{
    wf_archive_writer *writer;
    wf_packed packed;
    wf_image image = {0};
    int64_t bytes;
    free(f->bytes);
    FILE *file = open_memstream(&f->bytes, &f->n);
    pack_picture(&image, 1, 1, 3, 8, 200, seed);
    cr_assert_eq(wf_archive_create(file, "test", f->packer, &writer), 0);
    cr_assert_eq(wf_packed_make(f->packer, f->work, &image, "test", &packed), 0);
    cr_assert_eq(wf_archive_put(writer, &packed), 0);
    cr_assert_eq(wf_archive_finish(writer, &bytes), 0);
    wf_packed_clear(&packed);
    wf_archive_writer_destroy(writer);
    wf_image_clear(&image);
    fclose(file);
}

/* A record that was replaced by another good one of its length, number and name. */
Test(pack_archive, all_records_are_those_that_were_written)
{
    packed_file f = {.packer = pack_make(3, 8, 2, 1, 3, 1)}, other = f;
    wf_archive *archive;
    wf_packed packed;
    bool more;
    cr_assert_eq(wf_packer_work_create(&f.work), 0);
    other.work = f.work;
    make_pixel(&f, 1);
    uint64_t seed = 2;
    for (make_pixel(&other, seed); other.n != f.n || !memcmp(other.bytes, f.bytes, f.n); seed++)
        make_pixel(&other, seed);
    size_t index = f.n - (2 + 5 + 4 * 8); /* two counts and an entry before it */
    memcpy(f.bytes + 24, other.bytes + 24, index - 24);
    FILE *file = fmemopen(f.bytes, f.n, "rb");
    cr_assert_eq(wf_archive_open(file, "test", f.packer, &archive), 0);
    cr_assert_eq(wf_archive_next(archive, &packed, &more), 0, "%s", wf_error());
    wf_packed_clear(&packed);
    cr_assert_eq(wf_archive_next(archive, &packed, &more), WF_DATA);
    cr_assert(strstr(wf_error(), "a picture has another hash"), "%s", wf_error());
    wf_archive_close(archive);
    fclose(file);
    free(other.bytes);
    clear_file(&f);
}

/* Bytes of an archive of n pictures of one size with this name, and of their codes. */
static size_t archive_bytes(const packed_file *f, int n, int size, char *name, size_t *codes)
{
    wf_archive_writer *writer;
    wf_packed packed;
    wf_image image = {0};
    int64_t bytes;
    *codes = 0;
    FILE *file = fopen("/dev/null", "wb");
    cr_assert_eq(wf_archive_create(file, "test", f->packer, &writer), 0);
    for (int i = 0; i < n; i++) {
        pack_picture(&image, size, size, 3, 8, 10, (uint64_t)i);
        image.name = name;
        cr_assert_eq(wf_packed_make(f->packer, f->work, &image, "test", &packed), 0);
        cr_assert_eq(wf_archive_put(writer, &packed), 0);
        *codes += packed.n;
        wf_packed_clear(&packed);
    }
    cr_assert_eq(wf_archive_finish(writer, &bytes), 0);
    wf_archive_writer_destroy(writer);
    fclose(file);
    image.name = NULL;
    wf_image_clear(&image);
    return (size_t)bytes;
}

/* The table of archive.h. The code has 8 bytes a sample at most, so that lengths of 128 to 16383 have two bytes. */
Test(pack_archive, bytes_beside_the_code)
{
    size_t codes;
    char name[] = "twelve bytes";
    packed_file f = {.packer = pack_make(3, 8, 2, 1, 3, 1)};
    cr_assert_eq(wf_packer_work_create(&f.work), 0);
    size_t none = archive_bytes(&f, 0, 16, NULL, &codes), one = archive_bytes(&f, 1, 16, NULL, &codes) - codes;
    cr_assert_eq(none, 24 + 2 + 8 + 8 + 8 + 8);
    cr_assert_eq(one, none + 9 + 4, "%zu", one);
    cr_assert_eq(archive_bytes(&f, 100, 16, NULL, &codes) - codes, none + 9 * 100 + 4);
    cr_assert(codes > 12800 && codes < 800000);
    cr_assert_eq(archive_bytes(&f, 100, 16, name, &codes) - codes, none + (9 + 12) * 100 + 4);
    wf_packer_destroy(f.packer);
    wf_packer_work_destroy(f.work);
}

/* Packs a picture with a name of n bytes. Returns the bytes of the name that comes back, which are the last. */
static size_t name_that_comes(packed_file *f, size_t n)
{
    wf_image *image = &f->images[0];
    wf_archive *archive;
    wf_packed packed;
    bool more;
    free(image->name);
    image->name = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        image->name[i] = (char)('a' + i % 26);
    image->name[n] = '\0';
    free(f->bytes);
    FILE *file = open_memstream(&f->bytes, &f->n);
    write_archive(file, f);
    file = fmemopen(f->bytes, f->n, "rb");
    cr_assert_eq(wf_archive_open(file, "test", f->packer, &archive), 0);
    cr_assert_eq(wf_archive_next(archive, &packed, &more), 0, "%zu bytes: %s", n, wf_error());
    size_t got = strlen(packed.name);
    cr_assert_str_eq(packed.name, image->name + n - got);
    wf_packed_clear(&packed);
    wf_archive_close(archive);
    fclose(file);
    return got;
}

Test(pack_archive, names_at_the_limit)
{
    packed_file f = make_file(1);
    for (size_t n = 62; n < 65; n++)
        cr_assert_eq(name_that_comes(&f, n), n);
    cr_assert_eq(name_that_comes(&f, WF_ARCHIVE_NAME), WF_ARCHIVE_NAME);
    cr_assert_eq(name_that_comes(&f, WF_ARCHIVE_NAME + 1), WF_ARCHIVE_NAME);
    clear_file(&f);
}

/* Unpacks a record of this size and 8 bytes of code. */
static int unpack_size(const packed_file *f, int H, int W)
{
    uint8_t code[8] = {0, 0, 0, 0x40, 0, 0, 0, 0};
    char name[] = "x";
    wf_packed packed = {.name = name, .H = H, .W = W, .code = code, .n = sizeof code};
    wf_image image = {0};
    int status = wf_packed_image(f->packer, f->work, &packed, &image);
    wf_image_clear(&image);
    return status;
}

/* Memory is allocated, but not touched before the code gives numbers. */
Test(pack_archive, sizes_that_are_not_those_of_the_code)
{
    struct rusage before, after;
    packed_file f = {.packer = pack_make(3, 8, 0, 1, 3, 4)};
    cr_assert_eq(wf_packer_work_create(&f.work), 0);
    cr_assert_eq(unpack_size(&f, 0, 5), WF_DATA);
    cr_assert(strstr(wf_error(), "size: 0x5 pixels"), "%s", wf_error());
    cr_assert_eq(unpack_size(&f, 65537, 1), WF_DATA);
    cr_assert(strstr(wf_error(), "size: 65537x1 pixels"), "%s", wf_error());
    cr_assert_eq(unpack_size(&f, 8192, 16385), WF_DATA);
    cr_assert(strstr(wf_error(), "size: 8192x16385 pixels"), "%s", wf_error());
    getrusage(RUSAGE_SELF, &before);
    cr_assert_eq(unpack_size(&f, 8192, 16384), WF_DATA);
    getrusage(RUSAGE_SELF, &after);
    cr_assert(!strstr(wf_error(), "size"), "%s", wf_error());
    cr_assert_lt(after.ru_maxrss - before.ru_maxrss, 1 << 20, "%ld KB", after.ru_maxrss - before.ru_maxrss);
    wf_packer_destroy(f.packer);
    wf_packer_work_destroy(f.work);
}

Test(pack_archive, an_archive_without_pictures)
{
    packed_file f = {.packer = pack_make(1, 8, 0, 1, 3, 4)};
    wf_archive_writer *writer;
    int64_t bytes;
    int count;
    FILE *file = open_memstream(&f.bytes, &f.n);
    cr_assert_eq(wf_archive_create(file, "test", f.packer, &writer), 0);
    cr_assert_eq(wf_archive_finish(writer, &bytes), 0);
    wf_archive_writer_destroy(writer);
    fclose(file);
    cr_assert_eq(read_bytes(&f, f.bytes, f.n, &count), 0, "%s", wf_error());
    cr_assert_eq(count, 0);
    clear_file(&f);
}

/* An archive whose hashes are right, of a picture without rows: not even a reader that does not unpack gives it. */
Test(pack_archive, sides_of_zero_are_refused)
{
    packed_file f = make_file(1);
    wf_packed forged, packed;
    wf_archive_writer *writer;
    wf_archive *archive;
    char *bytes;
    size_t n;
    int64_t whole;
    bool more;
    FILE *file = open_memstream(&bytes, &n);
    cr_assert_eq(wf_archive_create(file, "forged", f.packer, &writer), 0);
    cr_assert_eq(wf_packed_make(f.packer, f.work, &f.images[1], "forged", &forged), 0);
    forged.H = 0;
    cr_assert_eq(wf_archive_put(writer, &forged), 0);
    wf_packed_clear(&forged);
    cr_assert_eq(wf_archive_finish(writer, &whole), 0);
    wf_archive_writer_destroy(writer);
    cr_assert_eq(fclose(file), 0);
    file = fmemopen(bytes, n, "rb");
    cr_assert_eq(wf_archive_open(file, "forged", NULL, &archive), 0);
    cr_expect_eq(wf_archive_next(archive, &packed, &more), WF_DATA);
    wf_packed_clear(&packed);
    wf_archive_close(archive);
    fclose(file);
    free(bytes);
    clear_file(&f);
}

/* Headers whose hash is right, of what no model has: not even a list is made of them. */
Test(pack_archive, facts_out_of_range_are_refused)
{
    static const uint8_t facts[][3] = {{0, 8, 2}, {5, 8, 2}, {3, 0, 2}, {3, 17, 2}, {3, 8, 8}, {3, 16, 4}};
    packed_file f = make_file(1);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        wf_archive *archive;
        memcpy(f.bytes + WF_MARK + 1, facts[i], 3);
        uint32_t hash = (uint32_t)wf_archive_hash(f.bytes, WF_MARK + 12, 0);
        memcpy(f.bytes + WF_MARK + 12, &hash, sizeof hash);
        FILE *file = fmemopen(f.bytes, f.n, "rb");
        cr_expect_eq(wf_archive_open(file, "forged", NULL, &archive), WF_DATA, "%zu", i);
        cr_expect(strstr(wf_error(), "which no archive has"), "%s", wf_error());
        fclose(file);
    }
    clear_file(&f);
}
