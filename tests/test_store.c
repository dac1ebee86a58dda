/* test_store.c - coefficient stores: round trip, resume, seal, locks, full disk, and files that would crash liblmdb */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../lib/lmdb_check.h"
#include "../lib/store_private.h"
#include "scratch.h"

TestSuite(store, .init = scratch_make, .fini = scratch_remove);

enum { SIDE = 8, LEVELS = 2, BATCH = 4, MOST = BATCH * 32 * 32 * 3 };
static wf_meta meta = {.wavelet = "haar", .levels = LEVELS, .top = LEVELS, .H = SIDE, .W = SIDE, .C = 3, .bits = 8};

typedef struct buffers {
    float low[MOST], detail[3 * MOST / 4];
    uint64_t index[BATCH];
} buffers;

/* Quarters up to 255.75 are exact in F16; odd pictures get a value that only F32 holds. */
static wf_record record_of(const wf_meta *m, int level, uint64_t first, int64_t N, buffers *b)
{
    wf_level_shape s = wf_meta_level(m, level);
    size_t n = (size_t)s.H * (size_t)s.W * (size_t)s.C;
    for (int64_t p = 0; p < N; p++) {
        b->index[p] = first + (uint64_t)p;
        for (size_t i = 0; i < n; i++)
            b->low[(size_t)p * n + i] = (float)((i * 7 + b->index[p] * 13 + (size_t)level) % 1023) / 4;
        for (size_t i = 0; i < 3 * n && level; i++)
            b->detail[(size_t)p * 3 * n + i] = (float)((i * 5 + b->index[p]) % 511) / -4;
        if (b->index[p] % 2)
            b->low[(size_t)p * n] = 0.1f;
    }
    return (wf_record){.level = level, .N = N, .low = b->low, .detail = level ? b->detail : NULL, .index = b->index};
}

static int put_batch(wf_store *store, const wf_meta *m, uint64_t first, int64_t N)
{
    static buffers b;
    for (int level = 0; level <= m->top; level++) {
        wf_record record = record_of(m, level, first, N, &b);
        WF_TRY(wf_store_put(store, &record));
    }
    return WF_OK;
}

/* A sealed store of `batches` batches whose indices begin at `first`. */
static const char *make_store(const char *name, uint64_t first, int batches, int64_t N)
{
    const char *path = scratch_path(name);
    wf_store *store;
    int64_t count;
    cr_assert_eq(wf_store_create(path, &meta, false, &store, &count), WF_OK, "%s", wf_error());
    cr_assert_eq(count, 0);
    for (int b = 0; b < batches; b++)
        cr_assert_eq(put_batch(store, &meta, first + (uint64_t)(b * N), N), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_seal(store), WF_OK, "%s", wf_error());
    wf_store_close(store);
    return path;
}

static int check_picture(wf_store *store, int64_t at, uint64_t index)
{
    static _Thread_local buffers want;
    static _Thread_local float low[MOST], detail[MOST];
    const wf_meta *m = wf_store_meta(store);
    for (int level = 0; level <= m->top; level++) {
        uint64_t got;
        record_of(m, level, index, 1, &want);
        wf_level_shape s = wf_meta_level(m, level);
        size_t n = (size_t)s.H * (size_t)s.W * (size_t)s.C * sizeof(float);
        WF_TRY(wf_store_get(store, level, at, low, detail, &got));
        if (got != index || memcmp(low, want.low, n) || (level && memcmp(detail, want.detail, 3 * n)))
            return -1;
    }
    return WF_OK;
}

Test(store, round_trip)
{
    const char *path = make_store("s", 0, 3, BATCH);
    wf_store *store;
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_count(store), 12);
    cr_assert_eq(wf_meta_match(wf_store_meta(store), "a", &meta, "b"), WF_OK);
    cr_assert(wf_store_has_level(store, 0) && wf_store_has_level(store, 2) && !wf_store_has_level(store, 3));
    cr_assert_eq(strlen(wf_store_hash(store)), 16);
    for (int64_t at = 0; at < 12; at++)
        cr_assert_eq(check_picture(store, at, (uint64_t)at), WF_OK, "picture %lld: %s", (long long)at, wf_error());
    cr_assert_eq(wf_store_verify(store), WF_OK, "%s", wf_error());
    float value;
    cr_assert_eq(wf_store_get(store, 3, 0, &value, &value, NULL), WF_DATA);
    cr_assert_eq(wf_store_get(store, 0, 12, &value, &value, NULL), WF_INTERNAL);
    cr_assert_eq(wf_store_seal(store), WF_INTERNAL, "it is open for reading");
    wf_store_close(store);
}

/* Every half there is comes back as it was; neighbours that no half can hold do too. */
Test(store, every_half_is_exact)
{
    wf_meta m = {.wavelet = "haar", .levels = 0, .top = 0, .H = 256, .W = 248, .C = 1, .bits = 16};
    static float low[256 * 248], back[256 * 248];
    int n = 0;
    for (int sign = 0; sign < 2; sign++)
        for (int e = 0; e < 31; e++)
            for (int f = 0; f < 1024; f++)
                low[n++] = (sign ? -1.f : 1.f) * ldexpf((e ? 1024.f : 0) + (float)f, (e ? e : 1) - 25);
    cr_assert_eq(n, 256 * 248);
    low[0] = -0.f;
    uint64_t index[2] = {0, 1};
    wf_store *store;
    int64_t count;
    struct stat info[2];
    for (int pass = 0; pass < 2; pass++) {
        const char *path = scratch_path(pass ? "wide" : "narrow");
        if (pass)
            low[5000] = nextafterf(low[5000], 0);
        wf_record record = {.level = 0, .N = 1, .low = low, .index = index};
        cr_assert_eq(wf_store_create(path, &m, false, &store, &count), WF_OK, "%s", wf_error());
        cr_assert_eq(wf_store_put(store, &record), WF_OK);
        cr_assert_eq(wf_store_seal(store), WF_OK);
        wf_store_close(store);
        cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
        cr_assert_eq(wf_store_get(store, 0, 0, back, NULL, NULL), WF_OK);
        cr_assert_eq(memcmp(low, back, sizeof low), 0);
        wf_store_close(store);
        cr_assert_eq(stat(scratch_path(pass ? "wide/data.mdb" : "narrow/data.mdb"), &info[pass]), 0);
    }
    cr_assert_lt(info[0].st_size, info[1].st_size - 100000, "halves take half the space");
}

Test(store, scattered_indices)
{
    const char *path = scratch_path("s");
    const uint64_t firsts[] = {1000, UINT64_MAX - 3, 5, 300};
    const uint64_t order[] = {5, 300, 1000, UINT64_MAX - 3};
    wf_store *store;
    int64_t count;
    cr_assert_eq(wf_store_create(path, &meta, false, &store, &count), WF_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(put_batch(store, &meta, firsts[i], 2), WF_OK);
    cr_assert_eq(wf_store_seal(store), WF_OK);
    wf_store_close(store);
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    for (int64_t at = 0; at < 8; at++)
        cr_assert_eq(check_picture(store, at, order[at / 2] + (uint64_t)at % 2), WF_OK, "position %lld", (long long)at);
    wf_store_close(store);
}

/* The hash tells contents apart, and not how they came there. */
Test(store, hash_is_of_the_contents)
{
    wf_store *store;
    char hash[4][17];
    const char *paths[] = {make_store("a", 0, 2, 4), make_store("b", 0, 4, 2), make_store("c", 1, 2, 4),
                           make_store("d", 0, 1, 4)};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(wf_store_open(paths[i], &store), WF_OK);
        memcpy(hash[i], wf_store_hash(store), 17);
        wf_store_close(store);
    }
    cr_assert_str_eq(hash[0], hash[1]);
    cr_assert_str_neq(hash[0], hash[2]);
    cr_assert_str_neq(hash[0], hash[3]);
}

Test(store, one_level_alone)
{
    const char *path = scratch_path("s");
    static buffers b;
    wf_meta m = meta;
    m.top = 1;
    wf_store *store;
    int64_t count;
    wf_record record = record_of(&m, 1, 0, 4, &b);
    cr_assert_eq(wf_store_create(path, &m, false, &store, &count), WF_OK);
    cr_assert_eq(wf_store_put(store, &record), WF_OK);
    cr_assert_eq(wf_store_seal(store), WF_OK);
    wf_store_close(store);
    cr_assert_eq(wf_store_open(path, &store), WF_OK);
    cr_assert(!wf_store_has_level(store, 0) && wf_store_has_level(store, 1) && !wf_store_has_level(store, 2));
    cr_assert_eq(wf_store_verify(store), WF_OK);
    wf_store_close(store);
}

Test(store, order_of_records)
{
    static buffers b;
    wf_store *store;
    int64_t count;
    for (int wrong = 0; wrong < 6; wrong++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", wrong);
        cr_assert_eq(wf_store_create(scratch_path(name), &meta, false, &store, &count), WF_OK);
        cr_assert_eq(put_batch(store, &meta, 0, 2), WF_OK);
        wf_record record = record_of(&meta, 0, wrong == 5 ? 0 : 2, 2, &b);
        cr_assert_eq(wf_store_put(store, &record), WF_OK);
        int status = WF_OK;
        if (wrong == 0) { /* the same level again */
            status = wf_store_put(store, &record);
        } else if (wrong == 1) { /* other pictures */
            record = record_of(&meta, 1, 3, 2, &b);
            status = wf_store_put(store, &record);
        } else if (wrong == 2) { /* fewer */
            record = record_of(&meta, 1, 2, 1, &b);
            status = wf_store_put(store, &record);
        } else if (wrong == 3) { /* a level left out */
            record = record_of(&meta, 2, 2, 2, &b);
            status = wf_store_put(store, &record);
        } else if (wrong == 4) { /* cut off before the top */
            status = wf_store_seal(store);
        } else { /* pictures that are there already, found when they are committed */
            for (int level = 1; level <= 2; level++) {
                record = record_of(&meta, level, 0, 2, &b);
                cr_assert_eq(wf_store_put(store, &record), WF_OK);
            }
            status = wf_store_seal(store);
        }
        cr_assert_eq(status, WF_DATA, "case %d", wrong);
        if (wrong != 4)
            cr_assert_eq(wf_store_seal(store), WF_INTERNAL, "case %d: no seal over a hole", wrong);
        wf_store_close(store);
        cr_assert_eq(wf_store_open(scratch_path(name), &store), WF_DATA, "not sealed");
    }
}

Test(store, append)
{
    const char *path = make_store("s", 0, 2, 4);
    wf_store *store;
    int64_t count;
    wf_meta other = meta;
    cr_assert_eq(wf_store_create(path, &meta, false, &store, &count), WF_USAGE);
    other.bits = 7;
    cr_assert_eq(wf_store_create(path, &other, true, &store, &count), WF_DATA);
    other = meta;
    other.top = 1;
    cr_assert_eq(wf_store_create(path, &other, true, &store, &count), WF_DATA);
    other = meta;
    other.provenance = strdup("[{\"tool\":\"again\"}]");
    cr_assert_eq(wf_store_create(path, &other, true, &store, &count), WF_OK, "%s", wf_error());
    free(other.provenance);
    cr_assert_eq(count, 8);
    cr_assert_eq(put_batch(store, &meta, 8, 3), WF_OK);
    cr_assert_eq(wf_store_seal(store), WF_OK);
    wf_store_close(store);
    cr_assert_eq(wf_store_open(path, &store), WF_OK);
    cr_assert_eq(wf_store_count(store), 11);
    cr_assert_str_eq(wf_store_meta(store)->provenance, "[{\"tool\":\"again\"}]");
    for (int64_t at = 0; at < 11; at++)
        cr_assert_eq(check_picture(store, at, (uint64_t)at), WF_OK);
    cr_assert_eq(wf_store_verify(store), WF_OK);
    wf_store_close(store);
}

/* Killed at any time: what was committed is there, and the store goes on from it. */
Test(store, resume_after_kill)
{
    const char *path = scratch_path("s");
    wf_store *store;
    int64_t count, total = 0;
    for (int round = 0; round < 4; round++) {
        pid_t child = fork();
        if (!child) {
            if (wf_store_create(path, &meta, true, &store, &count))
                _exit(1);
            for (int b = 0; b < 260; b++) /* one commit at 1000 pictures; 40 wait in memory */
                if (put_batch(store, &meta, (uint64_t)(count + 4 * b), 4))
                    _exit(2);
            kill(getpid(), SIGKILL);
        }
        int how;
        waitpid(child, &how, 0);
        cr_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL, "%d", how);
        cr_assert_eq(wf_store_open(path, &store), WF_DATA, "not sealed");
        cr_assert_eq(wf_store_create(path, &meta, true, &store, &count), WF_OK, "%s", wf_error());
        cr_assert_eq(count, total += 1000);
        wf_store_close(store);
    }
    cr_assert_eq(wf_store_create(path, &meta, true, &store, &count), WF_OK);
    cr_assert_eq(wf_store_seal(store), WF_OK);
    wf_store_close(store);
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_verify(store), WF_OK, "%s", wf_error());
    cr_assert_eq(check_picture(store, 3999, 3999), WF_OK);
    wf_store_close(store);
}

/* The map begins at 16 MiB. */
Test(store, grows)
{
    const char *path = scratch_path("s");
    wf_meta m = meta;
    m.H = m.W = 32;
    wf_store *store;
    int64_t count;
    cr_assert_eq(wf_store_create(path, &m, false, &store, &count), WF_OK);
    for (int b = 0; b < 600; b++)
        cr_assert_eq(put_batch(store, &m, (uint64_t)(4 * b), 4), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_seal(store), WF_OK);
    wf_store_close(store);
    struct stat info;
    cr_assert_eq(stat(scratch_path("s/data.mdb"), &info), 0);
    cr_assert_gt(info.st_size, 24 << 20);
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_verify(store), WF_OK);
    wf_store_close(store);
}

Test(store, full_disk_keeps_what_was_committed)
{
    const char *path = make_store("s", 0, 2, 4);
    wf_meta m = meta;
    wf_store *store;
    int64_t count;
    signal(SIGXFSZ, SIG_IGN);
    struct stat info;
    stat(scratch_path("s/data.mdb"), &info);
    /* Room for nothing, for the next page, for some pages and a bit. */
    const long more[] = {0, 4096, 50000};
    for (int i = 0; i < 3; i++) {
        struct rlimit old, limit;
        getrlimit(RLIMIT_FSIZE, &old);
        limit = (struct rlimit){(rlim_t)(info.st_size + more[i]), old.rlim_max};
        cr_assert_eq(wf_store_create(path, &m, true, &store, &count), WF_OK, "%s", wf_error());
        cr_assert_eq(count, 8);
        setrlimit(RLIMIT_FSIZE, &limit);
        int status = WF_OK;
        for (int b = 0; b < 600 && !status; b++)
            status = put_batch(store, &m, (uint64_t)(8 + 4 * b), 4);
        setrlimit(RLIMIT_FSIZE, &old);
        cr_assert_eq(status, WF_AGAIN, "case %d: %d %s", i, status, wf_error());
        cr_assert_eq(wf_store_seal(store), WF_INTERNAL);
        wf_store_close(store);
        cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
        cr_assert_eq(wf_store_count(store), 8);
        cr_assert_eq(wf_store_verify(store), WF_OK);
        wf_store_close(store);
    }
}

Test(store, many_readers_or_one_writer)
{
    const char *path = make_store("s", 0, 1, 4);
    wf_store *first, *second;
    int64_t count;
    cr_assert_eq(wf_store_create(path, &meta, true, &first, &count), WF_OK);
    cr_assert_eq(wf_store_create(path, &meta, true, &second, &count), WF_AGAIN);
    cr_assert_eq(wf_store_open(path, &second), WF_AGAIN);
    wf_store_close(first);
    cr_assert_eq(wf_store_open(path, &first), WF_OK);
    cr_assert_eq(wf_store_create(path, &meta, true, &second, &count), WF_AGAIN);
    pid_t child = fork();
    if (!child) {
        wf_store *third;
        _exit(wf_store_open(path, &third) || check_picture(third, 1, 1) ? 1 : 0);
    }
    int how;
    waitpid(child, &how, 0);
    cr_assert_eq(how, 0);
    wf_store_close(first);
}

static void *read_many(void *context)
{
    for (int i = 0; i < 300; i++)
        if (check_picture(context, i * 7 % 40, (uint64_t)(i * 7 % 40)))
            return "a picture differs";
    return NULL;
}

Test(store, threads_and_folders_that_cannot_be_written)
{
    const char *path = make_store("s", 0, 10, 4);
    unlink(scratch_path("s/lock.mdb"));
    chmod(scratch_path("s/data.mdb"), 0444);
    chmod(path, 0555);
    wf_store *store;
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    cr_assert_neq(access(scratch_path("s/lock.mdb"), F_OK), 0, "no lock file is made");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, read_many, store);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_assert_null(failed);
    }
    wf_store_close(store);
    chmod(path, 0755);
}

Test(store, refuses)
{
    wf_store *store;
    int64_t count;
    cr_assert_eq(wf_store_open(scratch_path("none"), &store), WF_NOINPUT);
    cr_assert_eq(wf_store_open(scratch, &store), WF_NOINPUT);
    scratch_write(scratch_path("file"), "x", 1);
    cr_assert_eq(wf_store_open(scratch_path("file"), &store), WF_NOINPUT);
    cr_assert_eq(wf_store_create(scratch_path("file"), &meta, false, &store, &count), WF_USAGE);
    mkdir(scratch_path("dir"), 0777);
    scratch_write(scratch_path("dir/data.mdb"), "", 0); /* killed right at the start */
    cr_assert_eq(wf_store_open(scratch_path("dir"), &store), WF_DATA);
    cr_assert_eq(wf_store_create(scratch_path("dir"), &meta, false, &store, &count), WF_OK, "%s", wf_error());
    float nan = NAN;
    uint64_t index = 0;
    wf_record record = {.level = 0, .N = 1, .low = (float[2 * 2 * 3]){nan}, .index = &index};
    cr_assert_eq(wf_store_put(store, &record), WF_DATA);
    wf_store_close(store);
}

/* -- damaged files ------------------------------------------------------------------------------------------------- */

/* WF_DATA from opening or verifying; WF_OK when all pictures are as they were. Anything else, a signal above all, fails. */
static int judge(const char *path)
{
    wf_store *store;
    WF_TRY(wf_store_open(path, &store));
    int status = wf_store_verify(store);
    for (int64_t at = 0; !status && at < wf_store_count(store); at++)
        status = check_picture(store, at, (uint64_t)at);
    wf_store_close(store);
    return status;
}

Test(store, truncated)
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

/* Bits all over the file. Pages of older snapshots and unused room may change without harm. */
Test(store, flipped_bits)
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

/* Page headers, offsets and entries, bit by bit, through reading and appending. */
Test(store, flipped_structure)
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
            wf_store *store;
            int64_t count;
            status = wf_store_create(scratch_path("bad"), &meta, true, &store, &count);
            if (!status) {
                status = put_batch(store, &meta, 100, 4);
                if (!status)
                    status = wf_store_seal(store);
                wf_store_close(store);
            }
            cr_assert(status == WF_DATA || status == WF_OK || status == WF_USAGE, "page %zu, bit %zu: %d %s",
                      page / 4096, i, status, wf_error());
            bytes[page + i / 8] ^= (char)(1 << i % 8);
        }
    free(bytes);
}

/* One value, every bit of it, every length, and at the place of another. */
Test(store, flipped_value)
{
    for (int wide = 0; wide < 2; wide++) {
        float low[6] = {1, 2, 3, 4, 5, wide ? 0.1f : 6}, detail[18] = {-0.25f}, back[6], rest[18];
        unsigned char bytes[200];
        uint64_t checksum, again;
        size_t n = wf_value_encode(2, 7, low, 6, detail, 18, bytes, &checksum);
        MDB_val value = {n, bytes};
        cr_assert_eq(n, 16 + 24 * (wide ? 4 : 2));
        cr_assert_eq(wf_value_decode("x", 2, 7, value, back, 6, rest, 18, &again), WF_OK, "%s", wf_error());
        cr_assert(!memcmp(low, back, sizeof low) && !memcmp(detail, rest, sizeof detail) && again == checksum);
        cr_assert_eq(wf_value_decode("x", 2, 8, value, back, 6, rest, 18, &again), WF_DATA);
        cr_assert_eq(wf_value_decode("x", 1, 7, value, back, 6, rest, 18, &again), WF_DATA);
        for (size_t i = 0; i < 8 * n; i++) {
            bytes[i / 8] ^= (unsigned char)(1 << i % 8);
            cr_assert_eq(wf_value_decode("x", 2, 7, value, back, 6, rest, 18, &again), WF_DATA, "bit %zu", i);
            bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        }
        for (value.mv_size = 0; value.mv_size < sizeof bytes; value.mv_size++)
            cr_assert_eq(wf_value_decode("x", 2, 7, value, back, 6, rest, 18, &again),
                         value.mv_size == n ? WF_OK : WF_DATA);
    }
}

/* Foreign files, good and bad, each as its name tells. */
Test(store, foreign_lmdb_files)
{
    const char *data = getenv("WF_TEST_DATA") ? getenv("WF_TEST_DATA") : "../shared/data";
    char command[1024];
    snprintf(command, sizeof command, "tar xzf '%s/lmdb_dev.tar.gz' -C '%s' 2> /dev/null", data, scratch);
    if (system(command))
        cr_skip_test("no lmdb_dev.tar.gz in %s", data);
    static const char *const names[] = {
        "bad_branch_cycle",   "bad_header_noise_0", "bad_header_noise_1", "bad_header_noise_2",
        "bad_header_noise_3", "bad_header_noise_4", "bad_header_noise_5", "bad_magic_both",
        "bad_meta0_zeroed",   "bad_root_is_meta",   "bad_root_past_end",  "bad_trunc_100B",
        "bad_trunc_1page",    "bad_trunc_half",     "bad_version_999",    "bad_zero_length",
        "odd_empty_env",      "odd_freed_pages",    "odd_not_images",     "mnist300_png_lmdb",
        "scene_train_lmdb",   "scene_png_lmdb",     "scene_jpeg_lmdb",    "caffe_datum16x16_test_lmdb"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/lmdb/%s/data.mdb", scratch, names[i]);
        int fd = open(path, O_RDONLY);
        wf_lmdb_info info;
        cr_assert_geq(fd, 0);
        cr_assert_eq(wf_lmdb_check(fd, path, &info), strncmp(names[i], "bad", 3) ? WF_OK : WF_DATA, "%s", names[i]);
        close(fd);
        *strrchr(path, '/') = '\0';
        wf_store *store;
        cr_assert_eq(wf_store_open(path, &store), WF_DATA, "%s", names[i]);
    }
}
