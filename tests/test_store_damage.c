/* test_store_damage.c - truncated, flipped and foreign stores: reported by name, where liblmdb would crash */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "../lib/train/minibatch.h"
#include "../lib/store/lmdb_check.h"
#include "../lib/store/private.h"
#include "store.h"

TestSuite(store_damage, .init = scratch_make, .fini = scratch_remove);

/* Opens, verifies and reads a store: WF_DATA from opening or verifying, WF_OK when all pictures are unchanged. Any
 * other result, a signal included, fails the test. */
static int judge(const char *path)
{
    wf_store *store;
    WF_TRY(wf_store_open(path, &store));
    int status = wf_store_verify(store, NULL);
    for (int64_t at = 0; !status && at < wf_store_count(store); at++)
        status = check_picture(store, at, (uint64_t)at);
    wf_store_close(store);
    return status;
}

Test(store_damage, truncated)
{
    make_store("s", 0, 5, 4);
    size_t n;
    char *bytes = scratch_read(scratch_path("s/data.mdb"), &n);
    mkdir(scratch_path("cut"), 0777);
    int refused = 0;
    for (size_t cut = 0; cut < n; cut += 509) {
        scratch_write(scratch_path("cut/data.mdb"), bytes, cut);
        int status = judge(scratch_path("cut"));
        cr_assert(status == WF_DATA || (status == WF_OK && cut > n - 16384), "cut at %zu of %zu: %d", cut, n, status);
        refused += status == WF_DATA;
    }
    cr_assert_gt(refused, 20);
    free(bytes);
}

/* Flips bits all over the file. Pages of older snapshots and unused bytes may change without harm. */
Test(store_damage, flipped_bits)
{
    make_store("s", 0, 5, 4);
    size_t n;
    char *bytes = scratch_read(scratch_path("s/data.mdb"), &n);
    mkdir(scratch_path("bad"), 0777);
    int refused = 0, tried = 0, named = 0;
    for (size_t i = 3; i < 8 * n; i += 8 * 97 + 1, tried++) {
        bytes[i / 8] ^= (char)(1 << i % 8);
        scratch_write(scratch_path("bad/data.mdb"), bytes, n);
        int status = judge(scratch_path("bad"));
        cr_assert(status == WF_DATA || status == WF_OK, "bit %zu of byte %zu: %d %s", i % 8, i / 8, status, wf_error());
        refused += status == WF_DATA;
        named += status == WF_DATA && strstr(wf_error(), "picture");
        bytes[i / 8] ^= (char)(1 << i % 8);
    }
    cr_assert(tried > 300 && refused > tried / 4, "%d of %d refused", refused, tried);
    cr_assert_gt(named, 20, "flips inside values are found by their checksums");
    free(bytes);
}

/* All damaged values are counted, and the first is named. */
Test(store_damage, is_counted)
{
    static buffers b;
    wf_store *store;
    size_t n;
    make_store("s", 0, 2, 4);
    char *bytes = scratch_read(scratch_path("s/data.mdb"), &n);
    for (uint64_t picture = 3; picture < 8; picture += 4) { /* pictures of odd index have values that need F32 */
        wf_record record = record_of(&meta, 2, picture, 1, &b);
        char *value = memmem(bytes, n, record.low, SIDE / 2 * SIDE / 2 * 3 * sizeof *record.low);
        cr_assert(value);
        value[9] ^= 4;
    }
    scratch_write(scratch_path("s/data.mdb"), bytes, n);
    cr_assert_eq(wf_store_open(scratch_path("s"), &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_verify(store, NULL), WF_DATA);
    cr_assert(strstr(wf_error(), "level 2, picture 3") && strstr(wf_error(), "of 24 values 2 are damaged"), "%s",
              wf_error());
    wf_store_close(store);
    free(bytes);
}

/* Files with three random damages each, in structure and values: flipped bits, then perhaps a truncation. */
Test(store_damage, random_damage, .timeout = 300)
{
    make_store("s", 0, 5, 4);
    size_t n;
    char *good = scratch_read(scratch_path("s/data.mdb"), &n), *bytes = malloc(n);
    uint64_t seed = getenv("WF_SEED") ? strtoull(getenv("WF_SEED"), NULL, 10) : 1;
    int refused = 0;
    mkdir(scratch_path("bad"), 0777);
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t dice[4];
        for (uint64_t k = 0; k < 4; k++)
            dice[k] = (uint64_t)wf_shuffle(seed, 4 * i + k, (int64_t)(8 * n), 0);
        memcpy(bytes, good, n);
        for (int k = 0; k < 3; k++)
            bytes[dice[k] / 8] ^= (char)(1 << dice[k] % 8);
        scratch_write(scratch_path("bad/data.mdb"), bytes, i % 2 ? n : dice[3] / 8);
        int status = judge(scratch_path("bad"));
        cr_assert(status == WF_DATA || status == WF_OK, "seed %llu, round %llu: %d %s", (unsigned long long)seed,
                  (unsigned long long)i, status, wf_error());
        refused += status == WF_DATA;
    }
    cr_assert_gt(refused, 1500, "%d", refused);
    free(good);
    free(bytes);
}

/* Flips page headers, offsets and entries bit by bit, then reads and appends. */
Test(store_damage, flipped_structure)
{
    make_store("s", 0, 5, 4);
    size_t n;
    char *bytes = scratch_read(scratch_path("s/data.mdb"), &n);
    mkdir(scratch_path("bad"), 0777);
    for (size_t page = 0; page < n; page += 4096)
        for (size_t i = 8 * 8; i < 8 * 48; i += 5) {
            bytes[page + i / 8] ^= (char)(1 << i % 8);
            scratch_write(scratch_path("bad/data.mdb"), bytes, n);
            int status = judge(scratch_path("bad"));
            cr_assert(status == WF_DATA || status == WF_OK, "page %zu, bit %zu: %d", page / 4096, i, status);
            wf_store_writer *writer;
            int64_t count;
            status = wf_store_writer_create(scratch_path("bad"), &meta, true, &writer, &count);
            if (!status) {
                status = put_batch(writer, &meta, 100, 4);
                if (!status)
                    status = wf_store_writer_seal(writer);
                wf_store_writer_close(writer);
            }
            cr_assert(status == WF_DATA || status == WF_OK || status == WF_USAGE, "page %zu, bit %zu: %d %s",
                      page / 4096, i, status, wf_error());
            bytes[page + i / 8] ^= (char)(1 << i % 8);
        }
    free(bytes);
}

/* Encodes all rows of a value, `most` at a time; returns the number of bytes. */
static size_t encode(int level, uint64_t index, wf_level_shape s, int most, const float *low, const float *detail,
                     unsigned char *to, uint64_t *checksum)
{
    wf_value v;
    wf_value_begin(&v, "x", level, index, s, to);
    for (int y = 0; y < s.H; y += most) {
        size_t at = (size_t)y * (size_t)s.W;
        int rows = s.H - y < most ? s.H - y : most;
        cr_assert_eq(wf_value_rows(&v, rows, low + at * (size_t)s.C, detail + at * (size_t)s.K), WF_OK, "%s",
                     wf_error());
    }
    *checksum = v.checksum;
    return v.size;
}

/* Damages one value: every bit, every length, and the place of another value. */
Test(store_damage, flipped_value)
{
    for (int wide = 0; wide < 2; wide++) {
        float low[6] = {1, 2, 3, 4, 5, wide ? 0.1f : 6}, detail[18] = {-0.25f}, back[6], rest[18];
        unsigned char bytes[200];
        uint64_t checksum, again;
        wf_level_shape shape = {.H = 2, .W = 1, .C = 3, .K = 9};
        wf_window all = {0, 0, 2, 1};
        size_t n = encode(2, 7, shape, 2, low, detail, bytes, &checksum);
        MDB_val value = {n, bytes};
        cr_assert_eq(n, 16 + 24 * (wide ? 4 : 2));
        cr_assert_eq(wf_value_decode("x", 2, 7, value, shape, &all, back, rest, &again), WF_OK, "%s", wf_error());
        cr_assert(!memcmp(low, back, sizeof low) && !memcmp(detail, rest, sizeof detail) && again == checksum);
        cr_assert_eq(wf_value_decode("x", 2, 8, value, shape, &all, back, rest, &again), WF_DATA);
        cr_assert_eq(wf_value_decode("x", 1, 7, value, shape, &all, back, rest, &again), WF_DATA);
        for (size_t i = 0; i < 8 * n; i++) {
            bytes[i / 8] ^= (unsigned char)(1 << i % 8);
            cr_assert_eq(wf_value_decode("x", 2, 7, value, shape, &all, back, rest, &again), WF_DATA, "bit %zu", i);
            bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        }
        for (value.mv_size = 0; value.mv_size < sizeof bytes; value.mv_size++)
            cr_assert_eq(wf_value_decode("x", 2, 7, value, shape, &all, back, rest, &again),
                         value.mv_size == n ? WF_OK : WF_DATA);
    }
}

/* Changes the hash in a store's state and makes the state's checksum right again. */
static void plant_hash(const char *path, const char *key)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi main;
    MDB_val name = {strlen(key), (void *)(uintptr_t)key}, value;
    unsigned char bytes[8192], *digit;
    cr_assert(!mdb_env_create(&env) && !mdb_env_open(env, path, 0, 0666) && !mdb_txn_begin(env, NULL, 0, &txn) &&
              !mdb_dbi_open(txn, NULL, 0, &main) && !mdb_get(txn, main, &name, &value));
    cr_assert_leq(value.mv_size, sizeof bytes);
    memcpy(bytes, value.mv_data, value.mv_size);
    digit = memmem(bytes, value.mv_size, "\"hash\":\"", 8);
    cr_assert(digit);
    digit[8] = digit[8] == '0' ? '1' : '0';
    uint64_t checksum = XXH3_64bits(bytes + sizeof checksum, value.mv_size - sizeof checksum);
    memcpy(bytes, &checksum, sizeof checksum);
    value.mv_data = bytes;
    cr_assert(!mdb_put(txn, main, &name, &value, 0) && !mdb_txn_commit(txn));
    mdb_env_close(env);
}

/* A seal with a hash of other contents is refused. */
Test(store_damage, another_hash)
{
    char path[512];
    strcpy(path, make_store("s", 0, 2, BATCH));
    cr_assert_eq(judge(path), WF_OK, "%s", wf_error());
    plant_hash(path, WF_STATE_SEALED);
    plant_hash(path, WF_STATE_NOW);
    cr_expect_eq(judge(path), WF_DATA);
    cr_expect(strstr(wf_error(), "hash"), "%s", wf_error());
}

/* mdb_dump -a and mdb_load keep the levels, but not the records beside them. */
Test(store_damage, without_state)
{
    char path[512];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi main;
    MDB_val now = {strlen(WF_STATE_NOW), (void *)(uintptr_t)WF_STATE_NOW},
            sealed = {strlen(WF_STATE_SEALED), (void *)(uintptr_t)WF_STATE_SEALED};
    strcpy(path, make_store("s", 0, 2, BATCH));
    cr_assert(!mdb_env_create(&env) && !mdb_env_open(env, path, 0, 0666) && !mdb_txn_begin(env, NULL, 0, &txn) &&
              !mdb_dbi_open(txn, NULL, 0, &main) && !mdb_del(txn, main, &now, NULL) &&
              !mdb_del(txn, main, &sealed, NULL) && !mdb_txn_commit(txn));
    mdb_env_close(env);
    cr_expect_eq(judge(path), WF_DATA);
    cr_expect(strstr(wf_error(), "mdb_dump -a leaves out"), "%s", wf_error());
}

/* Windows of a value of 3 x 2 tiles hold the same numbers as the whole. A damaged tile makes exactly the windows that
 * touch it fail. */
Test(store_damage, windows)
{
    enum { H = 150, W = 70, C = 1, K = 3 };
    static float low[H * W * C], detail[H * W * K], part[H * W * C], rest[H * W * K];
    static unsigned char bytes[16 + 48 + H * W * (C + K) * 4];
    wf_level_shape shape = {.H = H, .W = W, .C = C, .K = K};
    for (int wide = 0; wide < 3; wide++) { /* the number that needs F32 is in the first tile, or in a later one */
        for (int i = 0; i < H * W * K; i++)
            detail[i] = (float)(i % 2000) / 2 + (wide && i == wide * H * W ? 0.1f : 0);
        for (int i = 0; i < H * W * C; i++)
            low[i] = (float)(i % 1999);
        uint64_t checksum, again;
        MDB_val value = {encode(7, 3, shape, WF_STORE_ROWS, low, detail, bytes, &checksum), bytes};
        cr_assert_eq(value.mv_size, 8 + 6 * 8 + H * W * (C + K) * (wide ? 4 : 2));
        for (int64_t i = 0; i < 300; i++) {
            wf_window w = {.y = (int)wf_shuffle(1, 0, H, i % H), .x = (int)wf_shuffle(2, 0, W, i % W)};
            w.h = 1 + (int)(wf_shuffle(3, 0, 300, i) % (H - w.y));
            w.w = 1 + (int)(wf_shuffle(4, 0, 300, i) % (W - w.x));
            cr_assert_eq(wf_value_decode("x", 7, 3, value, shape, &w, part, rest, &again), WF_OK, "%s", wf_error());
            for (int y = 0; y < w.h; y++) {
                size_t at = (size_t)((y + w.y) * W + w.x), n = (size_t)w.w;
                cr_assert_eq(memcmp(part + (size_t)y * n, low + at, n * sizeof *low), 0);
                cr_assert_eq(memcmp(rest + (size_t)y * n * K, detail + at * K, n * K * sizeof *detail), 0);
            }
            int row = (int)(i % 3), column = (int)(i / 3 % 2), side = wide ? 4 : 2;
            int before = row * 64 * W + column * 64 * (row < 2 ? 64 : H - 128);
            size_t place = (size_t)(8 + before * (C + K) * side + (2 * row + column) * 8 + 1);
            bytes[place] ^= 1;
            bool touched =
                w.y / 64 <= row && (w.y + w.h - 1) / 64 >= row && w.x / 64 <= column && (w.x + w.w - 1) / 64 >= column;
            cr_assert_eq(wf_value_decode("x", 7, 3, value, shape, &w, part, rest, &again), touched ? WF_DATA : WF_OK);
            cr_assert(!touched || strstr(wf_error(), "tile"), "%s", wf_error());
            bytes[place] ^= 1;
        }
        wf_window all = {0, 0, H, W};
        cr_assert_eq(wf_value_decode("x", 7, 3, value, shape, &all, part, rest, &again), WF_OK);
        cr_assert_eq(again, checksum);
    }
}

/* Foreign files: good and bad ones, as their names say. */
Test(store_damage, foreign_lmdb_files)
{
    const char *data = getenv("WF_TEST_DATA") ? getenv("WF_TEST_DATA") : "../shared/data";
    char command[1024];
    snprintf(command, sizeof command, "tar xzf '%s/lmdb_dev.tar.gz' -C '%s' 2> /dev/null", data, scratch);
    if (system(command))
        cr_skip_test("no lmdb_dev.tar.gz in %s; WF_TEST_DATA names another folder", data);
    static const char *const names[] = {"bad_branch_cycle",
                                        "bad_header_noise_0",
                                        "bad_header_noise_1",
                                        "bad_header_noise_2",
                                        "bad_header_noise_3",
                                        "bad_header_noise_4",
                                        "bad_header_noise_5",
                                        "bad_magic_both",
                                        "bad_meta0_zeroed",
                                        "bad_root_is_meta",
                                        "bad_root_past_end",
                                        "bad_trunc_100B",
                                        "bad_trunc_1page",
                                        "bad_trunc_half",
                                        "bad_version_999",
                                        "bad_zero_length",
                                        "odd_empty_env",
                                        "odd_freed_pages",
                                        "odd_not_images",
                                        "odd_subdbs",
                                        "mnist300_png_lmdb",
                                        "scene_train_lmdb",
                                        "scene_png_lmdb",
                                        "scene_jpeg_lmdb",
                                        "caffe_datum16x16_test_lmdb"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/lmdb/%s/data.mdb", scratch, names[i]);
        int fd = open(path, O_RDONLY);
        wf_lmdb_info info;
        cr_assert_geq(fd, 0);
        bool whole = strncmp(names[i], "bad", 3) && strcmp(names[i], "odd_subdbs"); /* duplicate keys are refused */
        cr_assert_eq(wf_lmdb_check(fd, path, &info), whole ? WF_OK : WF_DATA, "%s", names[i]);
        close(fd);
        *strrchr(path, '/') = '\0';
        wf_store *store;
        wf_store_writer *writer;
        int64_t count;
        cr_assert_eq(wf_store_open(path, &store), WF_DATA, "%s", names[i]);
        int status = wf_store_writer_create(path, &meta, true, &writer, &count);
        bool empty = !strcmp(names[i], "odd_empty_env") || !strcmp(names[i], "bad_zero_length");
        cr_assert_eq(status, empty ? WF_OK : whole ? WF_USAGE : WF_DATA, "%s: %d %s", names[i], status, wf_error());
        if (!status)
            wf_store_writer_close(writer);
    }
}
