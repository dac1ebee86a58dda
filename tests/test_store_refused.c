/* test_store_refused.c - stores whose command was refused or interrupted, and what the next command finds */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "store.h"

TestSuite(store_refused, .init = scratch_make, .fini = scratch_remove);

/* A writer of `m`, the pictures that it finds, and whether it found the note of a refusal. */
static wf_store_writer *reopen(const char *path, const wf_meta *m, int64_t *count, bool *refused)
{
    wf_store_writer *writer;
    cr_assert_eq(wf_store_writer_create(path, m, false, &writer, count), WF_OK, "%s", wf_error());
    *refused = wf_store_writer_refused(writer);
    return writer;
}

/* A refused writer's pictures are continued by the same metadata, and dropped by other metadata. */
Test(store_refused, refused_writers)
{
    const char *path = scratch_path("s");
    wf_meta other = meta;
    other.bits = 5;
    int64_t count;
    bool refused;
    wf_store_writer *writer = reopen(path, &other, &count, &refused);
    wf_store_writer_close(writer);
    writer = reopen(path, &meta, &count, &refused); /* a store without pictures binds nobody */
    cr_assert(!refused && !count);
    cr_assert_eq(put_batch(writer, &meta, 0, BATCH), WF_OK);
    cr_assert_eq(wf_store_writer_refuse(writer), WF_OK, "%s", wf_error());
    wf_store_writer_close(writer);
    wf_store *store;
    cr_assert_eq(wf_store_open(path, &store), WF_DATA, "a refused store was opened");

    writer = reopen(path, &meta, &count, &refused);
    cr_assert(refused && count == BATCH, "%d, %lld pictures", refused, (long long)count);
    cr_assert_eq(put_batch(writer, &meta, BATCH, BATCH), WF_OK);
    cr_assert_eq(wf_store_writer_refuse(writer), WF_OK);
    wf_store_writer_close(writer);
    writer = reopen(path, &other, &count, &refused);
    cr_assert(!refused && !count, "other metadata keep %lld pictures", (long long)count);
    cr_assert_eq(put_batch(writer, &other, 0, BATCH), WF_OK);
    cr_assert_eq(wf_store_writer_refuse(writer), WF_OK);
    cr_assert_eq(wf_store_writer_restart(writer, &meta), WF_OK, "%s", wf_error());
    cr_assert_eq(put_batch(writer, &meta, 7, 1), WF_OK);
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK, "%s", wf_error());
    wf_store_writer_close(writer);
}

Test(store_refused, restart_spares_sealed_pictures)
{
    const char *path = make_store("s", 0, 1, BATCH);
    wf_store_writer *writer;
    wf_store *store;
    int64_t count;
    cr_assert_eq(wf_store_writer_create(path, &meta, true, &writer, &count), WF_OK);
    cr_assert_eq(put_batch(writer, &meta, 100, 1), WF_OK);
    cr_assert_eq(wf_store_writer_refuse(writer), WF_OK);
    cr_assert_eq(wf_store_writer_restart(writer, &meta), WF_USAGE);
    wf_store_writer_close(writer);
    wf_meta other = meta;
    other.bits = 5;
    cr_assert_eq(wf_store_writer_create(path, &other, true, &writer, &count), WF_DATA);
    cr_assert_eq(wf_store_open(path, &store), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_count(store), BATCH);
    cr_assert_eq(wf_store_verify(store, NULL), WF_OK);
    wf_store_close(store);
}

/* A writer that was interrupted, not refused: its pictures are kept from other metadata. */
Test(store_refused, interrupted_pictures_are_kept)
{
    const char *path = scratch_path("s");
    wf_meta other = meta;
    other.bits = 5;
    wf_store_writer *writer;
    int64_t count;
    bool refused;
    writer = reopen(path, &meta, &count, &refused);
    for (uint64_t first = 0; first < 2000; first += BATCH) /* over a transaction's pictures */
        cr_assert_eq(put_batch(writer, &meta, first, BATCH), WF_OK);
    wf_store_writer_close(writer);
    cr_assert_eq(wf_store_writer_create(path, &other, false, &writer, &count), WF_DATA);
    cr_assert(strstr(wf_error(), "remove the folder"), "%s", wf_error());
    writer = reopen(path, &meta, &count, &refused);
    cr_assert(!refused && count >= 1000, "%lld pictures", (long long)count);
    wf_store_writer_close(writer);
}
