/* test_store.c - coefficient stores: round trip, resume, seal, locks, full disk */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store.h"

TestSuite(store, .init = scratch_make, .fini = scratch_remove);

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
    cr_assert_eq(wf_store_verify(store, NULL), WF_OK, "%s", wf_error());
    float value;
    cr_assert_eq(wf_store_get(store, 3, 0, &value, &value, NULL), WF_DATA);
    cr_assert_eq(wf_store_get(store, 0, 12, &value, &value, NULL), WF_INTERNAL);
    wf_store_close(store);
}

/* Every F16 value comes back unchanged; so do neighbours that F16 cannot hold. */
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
    wf_store_writer *writer;
    int64_t count;
    struct stat info[2];
    for (int pass = 0; pass < 2; pass++) {
        const char *path = scratch_path(pass ? "wide" : "narrow");
        if (pass)
            low[5000] = nextafterf(low[5000], 0);
        wf_record record = {.level = 0, .N = 1, .low = low, .index = index};
        cr_assert_eq(wf_store_writer_create(path, &m, false, &writer, &count), WF_OK, "%s", wf_error());
        cr_assert_eq(wf_store_writer_put(writer, &record), WF_OK);
        cr_assert_eq(wf_store_writer_seal(writer), WF_OK);
        wf_store_writer_close(writer);
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
    wf_store_writer *writer;
    int64_t count;
    cr_assert_eq(wf_store_writer_create(path, &meta, false, &writer, &count), WF_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(put_batch(writer, &meta, firsts[i], 2), WF_OK);
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK);
    wf_store_writer_close(writer);
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    for (int64_t at = 0; at < 8; at++)
        cr_assert_eq(check_picture(store, at, order[at / 2] + (uint64_t)at % 2), WF_OK, "position %lld", (long long)at);
    wf_store_close(store);
}

/* The hash depends on a store's contents, not on how they were added. */
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
    wf_store_writer *writer;
    int64_t count;
    wf_record record = record_of(&m, 1, 0, 4, &b);
    cr_assert_eq(wf_store_writer_create(path, &m, false, &writer, &count), WF_OK);
    cr_assert_eq(wf_store_writer_put(writer, &record), WF_OK);
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK);
    wf_store_writer_close(writer);
    cr_assert_eq(wf_store_open(path, &store), WF_OK);
    cr_assert(!wf_store_has_level(store, 0) && wf_store_has_level(store, 1) && !wf_store_has_level(store, 2));
    cr_assert_eq(wf_store_verify(store, NULL), WF_OK);
    wf_store_close(store);
}

Test(store, order_of_records)
{
    static buffers b;
    wf_store *store;
    wf_store_writer *writer;
    int64_t count;
    for (int wrong = 0; wrong < 6; wrong++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", wrong);
        cr_assert_eq(wf_store_writer_create(scratch_path(name), &meta, false, &writer, &count), WF_OK);
        cr_assert_eq(put_batch(writer, &meta, 0, 2), WF_OK);
        wf_record record = record_of(&meta, 0, wrong == 5 ? 0 : 2, 2, &b);
        cr_assert_eq(wf_store_writer_put(writer, &record), WF_OK);
        int status = WF_OK;
        if (wrong == 0) { /* the same level again */
            status = wf_store_writer_put(writer, &record);
        } else if (wrong == 1) { /* other pictures */
            record = record_of(&meta, 1, 3, 2, &b);
            status = wf_store_writer_put(writer, &record);
        } else if (wrong == 2) { /* fewer */
            record = record_of(&meta, 1, 2, 1, &b);
            status = wf_store_writer_put(writer, &record);
        } else if (wrong == 3) { /* a level left out */
            record = record_of(&meta, 2, 2, 2, &b);
            status = wf_store_writer_put(writer, &record);
        } else if (wrong == 4) { /* cut off before the top */
            status = wf_store_writer_seal(writer);
        } else { /* pictures that the store already has, found when they are committed */
            for (int level = 1; level <= 2; level++) {
                record = record_of(&meta, level, 0, 2, &b);
                cr_assert_eq(wf_store_writer_put(writer, &record), WF_OK);
            }
            status = wf_store_writer_seal(writer);
        }
        cr_assert_eq(status, WF_DATA, "case %d", wrong);
        if (wrong != 4)
            cr_assert_eq(wf_store_writer_seal(writer), WF_INTERNAL, "case %d: no seal over a hole", wrong);
        wf_store_writer_close(writer);
        cr_assert_eq(wf_store_open(scratch_path(name), &store), WF_DATA, "not sealed");
    }
}

/* Names come back by place: in runs and alone, in any order of batches, over blocks, and after an append. */
Test(store, names)
{
    enum { PICTURES = 700 };
    wf_meta one = {.wavelet = "haar", .H = 1, .W = 1, .C = 1, .bits = 8};
    wf_store *store;
    wf_store_writer *writer;
    int64_t count;
    float low = 3;
    char want[32];
    for (int part = 0; part < 2; part++) {
        cr_assert_eq(wf_store_writer_create(scratch_path("s"), &one, part, &writer, &count), WF_OK, "%s", wf_error());
        for (int i = 0; i < PICTURES; i++) {
            uint64_t index = 10 + (uint64_t)(part ? PICTURES + i : i ^ 1);
            const char *name = index % 7 ? want : NULL;
            snprintf(want, sizeof want, "folder/%llu.png", (unsigned long long)index);
            wf_record record = {.N = 1, .low = &low, .index = &index, .names = &name};
            cr_assert_eq(wf_store_writer_put(writer, &record), WF_OK, "%s", wf_error());
        }
        cr_assert_eq(wf_store_writer_seal(writer), WF_OK, "%s", wf_error());
        wf_store_writer_close(writer);
    }
    cr_assert_eq(wf_store_open(scratch_path("s"), &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_verify(store, NULL), WF_OK, "%s", wf_error());
    for (int64_t at = 0; at < 2 * PICTURES; at += 100) {
        const char *const *names;
        cr_assert_eq(wf_store_names(store, at, 100, &names), WF_OK, "%s", wf_error());
        for (int i = 0; i < 100; i++) {
            snprintf(want, sizeof want, "folder/%lld.png", (long long)(10 + at + i));
            if ((10 + at + i) % 7)
                cr_assert_str_eq(names[i], want);
            else
                cr_assert_null(names[i]);
        }
    }
    wf_store_close(store);
}

/* 300 neighbours fill two blocks; beginnings that are shared take no room. A damaged block is found. */
Test(store, names_are_compact_and_checked)
{
    wf_meta one = {.wavelet = "haar", .H = 1, .W = 1, .C = 1, .bits = 8};
    wf_store *store;
    wf_store_writer *writer;
    wf_store_encoded *encoded;
    int64_t count;
    float low = 3;
    size_t n;
    char name[64];
    const char *const *names;
    cr_assert_eq(wf_store_writer_create(scratch_path("s"), &one, false, &writer, &count), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_encoded_create(writer, &encoded), WF_OK);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "a-folder-with-a-long-name/IMG_%04d.png", i);
        cr_assert_eq(wf_store_encode(encoded, 0, (uint64_t)i, 1, &low, NULL), WF_OK);
        cr_assert_eq(wf_store_encode_name(encoded, (uint64_t)i, name), WF_OK);
    }
    cr_assert_eq(wf_store_writer_put_encoded(writer, &encoded), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK);
    wf_store_encoded_destroy(encoded);
    wf_store_writer_close(writer);
    char *bytes = scratch_read(scratch_path("s/data.mdb"), &n), *at;
    int copies = 0;
    for (char *from = bytes; (at = memmem(from, n - (size_t)(from - bytes), "a-folder-with", 13)); from = at + 13)
        copies++;
    cr_expect_eq(copies, 2);
    at = memmem(bytes, n, "IMG_0000", 8);
    cr_assert(at);
    at[0] ^= 1;
    scratch_write(scratch_path("s/data.mdb"), bytes, n);
    cr_assert_eq(wf_store_open(scratch_path("s"), &store), WF_OK, "%s", wf_error());
    cr_expect_eq(wf_store_verify(store, NULL), WF_DATA);
    cr_expect(strstr(wf_error(), "names from picture 0 on"), "%s", wf_error());
    cr_expect_eq(wf_store_names(store, 0, 300, &names), WF_DATA);
    cr_expect_eq(wf_store_names(store, 256, 44, &names), WF_OK, "the other block");
    cr_expect_str_eq(names[43], "a-folder-with-a-long-name/IMG_0299.png");
    wf_store_close(store);
    free(bytes);
}

Test(store, append)
{
    const char *path = make_store("s", 0, 2, 4);
    wf_store *store;
    wf_store_writer *writer;
    int64_t count;
    wf_meta other = meta;
    cr_assert_eq(wf_store_writer_create(path, &meta, false, &writer, &count), WF_USAGE);
    other.bits = 7;
    cr_assert_eq(wf_store_writer_create(path, &other, true, &writer, &count), WF_DATA);
    other = meta;
    other.top = 1;
    cr_assert_eq(wf_store_writer_create(path, &other, true, &writer, &count), WF_DATA);
    other = meta;
    other.provenance = strdup("[{\"tool\":\"again\"}]");
    cr_assert_eq(wf_store_writer_create(path, &other, true, &writer, &count), WF_OK, "%s", wf_error());
    free(other.provenance);
    cr_assert_eq(count, 8);
    cr_assert_eq(wf_store_writer_unsealed(writer), 0);
    cr_assert_eq(put_batch(writer, &meta, 8, 3), WF_OK);
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK);
    wf_store_writer_close(writer);
    cr_assert_eq(wf_store_open(path, &store), WF_OK);
    cr_assert_eq(wf_store_count(store), 11);
    cr_assert_str_eq(wf_store_meta(store)->provenance, "[{\"tool\":\"again\"}]");
    for (int64_t at = 0; at < 11; at++)
        cr_assert_eq(check_picture(store, at, (uint64_t)at), WF_OK);
    cr_assert_eq(wf_store_verify(store, NULL), WF_OK);
    wf_store_close(store);
}

/* Killed during an append: readers see the sealed contents, and the next append continues after the last commit. */
Test(store, append_and_kill)
{
    const char *path = make_store("s", 5, 2, 4);
    wf_store *store;
    wf_store_writer *writer;
    int64_t count;
    char hash[17];
    cr_assert_eq(wf_store_open(path, &store), WF_OK);
    memcpy(hash, wf_store_hash(store), 17);
    wf_store_close(store);
    for (int round = 1; round <= 2; round++) {
        pid_t child = fork();
        if (!child) {
            if (wf_store_writer_create(path, &meta, true, &writer, &count) ||
                put_batch(writer, &meta, 12, 1) != WF_DATA)
                _exit(1);
            wf_store_writer_close(writer);
            if (wf_store_writer_create(path, &meta, true, &writer, &count))
                _exit(1);
            for (int b = 0; b < 510; b++) /* commits start at 1000 and 2000, the first one is complete by then */
                if (put_batch(writer, &meta, (uint64_t)(5 + count + 4 * b), 4))
                    _exit(2);
            kill(getpid(), SIGKILL);
        }
        int how;
        waitpid(child, &how, 0);
        cr_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL, "%d", how);
        cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
        cr_assert(wf_store_count(store) == 8 && wf_store_unsealed(store) >= 1000 * round);
        cr_assert_str_eq(wf_store_hash(store), hash);
        for (int64_t at = 0; at < 8; at++)
            cr_assert_eq(check_picture(store, at, (uint64_t)at + 5), WF_OK, "%s", wf_error());
        cr_assert_eq(wf_store_verify(store, NULL), WF_OK, "%s", wf_error());
        wf_store_close(store);
        cr_assert_eq(wf_store_writer_create(path, &meta, false, &writer, &count), WF_USAGE, "it was sealed once");
    }
    cr_assert_eq(wf_store_writer_create(path, &meta, true, &writer, &count), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_writer_unsealed(writer), count - 8);
    cr_assert_eq(put_batch(writer, &meta, (uint64_t)count + 100, 4), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK);
    wf_store_writer_close(writer);
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_verify(store, NULL), WF_OK, "%s", wf_error());
    cr_assert(wf_store_count(store) == count + 4 && !wf_store_unsealed(store));
    cr_assert_eq(check_picture(store, count - 1, (uint64_t)count + 4), WF_OK);
    cr_assert_eq(check_picture(store, count, (uint64_t)count + 100), WF_OK);
    wf_store_close(store);
}

/* Killed at any time: committed pictures stay, and the store can be continued from there. */
Test(store, resume_after_kill)
{
    const char *path = scratch_path("s");
    wf_store *store;
    wf_store_writer *writer;
    int64_t count, total = 0;
    for (int round = 0; round < 4; round++) {
        pid_t child = fork();
        if (!child) {
            if (wf_store_writer_create(path, &meta, false, &writer, &count))
                _exit(1);
            for (
                int b = 0; b < 510;
                b++) /* commits start at 1000 and 2000, the first one is complete by then; 40 pictures wait in memory */
                if (put_batch(writer, &meta, (uint64_t)(count + 4 * b), 4))
                    _exit(2);
            kill(getpid(), SIGKILL);
        }
        int how;
        waitpid(child, &how, 0);
        cr_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL, "%d", how);
        cr_assert_eq(wf_store_open(path, &store), WF_DATA, "not sealed");
        cr_assert_eq(wf_store_writer_create(path, &meta, false, &writer, &count), WF_OK, "%s", wf_error());
        cr_assert(count == total + 1000 || count == total + 2000, "%lld after %lld", (long long)count,
                  (long long)total);
        total = count;
        wf_store_writer_close(writer);
    }
    cr_assert_eq(wf_store_writer_create(path, &meta, false, &writer, &count), WF_OK);
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK);
    wf_store_writer_close(writer);
    cr_assert_eq(wf_store_writer_create(path, &meta, false, &writer, &count), WF_USAGE, "sealed");
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_verify(store, NULL), WF_OK, "%s", wf_error());
    cr_assert_eq(check_picture(store, total - 1, (uint64_t)total - 1), WF_OK);
    wf_store_close(store);
}

/* The map starts at 16 MiB. */
Test(store, grows)
{
    const char *path = scratch_path("s");
    wf_meta m = meta;
    m.H = m.W = 32;
    wf_store *store;
    wf_store_writer *writer;
    int64_t count;
    cr_assert_eq(wf_store_writer_create(path, &m, false, &writer, &count), WF_OK);
    for (int b = 0; b < 600; b++)
        cr_assert_eq(put_batch(writer, &m, (uint64_t)(4 * b), 4), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK);
    wf_store_writer_close(writer);
    struct stat info;
    cr_assert_eq(stat(scratch_path("s/data.mdb"), &info), 0);
    cr_assert_gt(info.st_size, 24 << 20);
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_verify(store, NULL), WF_OK);
    wf_store_close(store);
}

Test(store, full_disk_keeps_what_was_committed)
{
    const char *path = make_store("s", 0, 2, 4);
    wf_meta m = meta;
    wf_store *store;
    wf_store_writer *writer;
    int64_t count;
    signal(SIGXFSZ, SIG_IGN);
    struct stat info;
    stat(scratch_path("s/data.mdb"), &info);
    /* Disk space for nothing, for one more page, or for a few pages and a part. */
    const long more[] = {0, 4096, 50000};
    for (int i = 0; i < 3; i++) {
        struct rlimit old, limit;
        getrlimit(RLIMIT_FSIZE, &old);
        limit = (struct rlimit){(rlim_t)(info.st_size + more[i]), old.rlim_max};
        cr_assert_eq(wf_store_writer_create(path, &m, true, &writer, &count), WF_OK, "%s", wf_error());
        cr_assert_eq(count, 8);
        setrlimit(RLIMIT_FSIZE, &limit);
        int status = WF_OK;
        for (int b = 0; b < 600 && !status; b++)
            status = put_batch(writer, &m, (uint64_t)(8 + 4 * b), 4);
        setrlimit(RLIMIT_FSIZE, &old);
        cr_assert_eq(status, WF_AGAIN, "case %d: %d %s", i, status, wf_error());
        cr_assert_eq(wf_store_writer_seal(writer), WF_INTERNAL);
        wf_store_writer_close(writer);
        cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
        cr_assert_eq(wf_store_count(store), 8);
        cr_assert_eq(wf_store_verify(store, NULL), WF_OK);
        wf_store_close(store);
    }
}

Test(store, many_readers_or_one_writer)
{
    const char *path = make_store("s", 0, 1, 4);
    wf_store *reader;
    wf_store_writer *first, *second;
    int64_t count;
    cr_assert_eq(wf_store_writer_create(path, &meta, true, &first, &count), WF_OK);
    cr_assert_eq(wf_store_writer_create(path, &meta, true, &second, &count), WF_AGAIN);
    cr_assert_eq(wf_store_open(path, &reader), WF_AGAIN);
    wf_store_writer_close(first);
    cr_assert_eq(wf_store_open(path, &reader), WF_OK);
    cr_assert_eq(wf_store_writer_create(path, &meta, true, &second, &count), WF_AGAIN);
    pid_t child = fork();
    if (!child) {
        wf_store *another;
        _exit(wf_store_open(path, &another) || check_picture(another, 1, 1) ? 1 : 0);
    }
    int how;
    waitpid(child, &how, 0);
    cr_assert_eq(how, 0);
    wf_store_close(reader);
}

static void *read_many(void *user)
{
    for (int i = 0; i < 300; i++)
        if (check_picture(user, i * 7 % 40, (uint64_t)(i * 7 % 40)))
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

/* Many processes hold the store open before the first of them reads. */
Test(store, many_processes)
{
    enum { READERS = 64 };
    const char *path = make_store("s", 0, 10, 4);
    int ready[2], go[2];
    pid_t readers[READERS];
    cr_assert(!pipe(ready) && !pipe(go));
    for (int i = 0; i < READERS; i++) {
        readers[i] = fork();
        if (!readers[i]) {
            wf_store *store;
            char byte;
            close(go[1]);
            if (wf_store_open(path, &store) || write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) != 0)
                _exit(1);
            _exit(read_many(store) || wf_store_verify(store, NULL) ? 2 : 0);
        }
    }
    close(ready[1]);
    char byte;
    for (int i = 0; i < READERS; i++)
        cr_assert_eq(read(ready[0], &byte, 1), 1, "a reader cannot open");
    close(go[1]);
    for (int i = 0; i < READERS; i++) {
        int how;
        waitpid(readers[i], &how, 0);
        cr_assert_eq(how, 0, "reader %d: %#x", i, how);
    }
}

Test(store, refuses)
{
    wf_store *store;
    wf_store_writer *writer;
    int64_t count;
    cr_assert_eq(wf_store_open(scratch_path("none"), &store), WF_NOINPUT);
    cr_assert_eq(wf_store_open(scratch, &store), WF_NOINPUT);
    scratch_write(scratch_path("file"), "x", 1);
    cr_assert_eq(wf_store_open(scratch_path("file"), &store), WF_NOINPUT);
    cr_assert_eq(wf_store_writer_create(scratch_path("file"), &meta, false, &writer, &count), WF_USAGE);
    mkdir(scratch_path("dir"), 0777);
    scratch_write(scratch_path("dir/data.mdb"), "", 0); /* killed at the start */
    cr_assert_eq(wf_store_open(scratch_path("dir"), &store), WF_DATA);
    cr_assert_eq(wf_store_writer_create(scratch_path("dir"), &meta, false, &writer, &count), WF_OK, "%s", wf_error());
    float nan = NAN;
    uint64_t index = 0;
    wf_record record = {.level = 0, .N = 1, .low = (float[2 * 2 * 3]){nan}, .index = &index};
    cr_assert_eq(wf_store_writer_put(writer, &record), WF_DATA);
    wf_store_writer_close(writer);
}
