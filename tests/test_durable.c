/* test_durable.c - files are on disk before they take their name: fsync of the file, rename, fsync of the folder
 *
 * The fsync below replaces libc's in this program: it records its calls and can be made to fail. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/base/safetensors.h"
#include "scratch.h"

TestSuite(durable, .init = scratch_make, .fini = scratch_remove);

typedef struct call {
    char path[512];
    bool folder;
    off_t size;
    bool named; /* the file "a" was there */
} call;

static struct {
    call calls[8];
    int count;
    int fail_at, error; /* number of the call that fails, from 1; 0: none */
} noted;

int fsync(int descriptor)
{
    char link[64];
    struct stat info = {0};
    if (noted.count < 8 && scratch[0]) {
        call *c = &noted.calls[noted.count];
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        ssize_t n = readlink(link, c->path, sizeof c->path - 1);
        c->path[n < 0 ? 0 : n] = 0;
        fstat(descriptor, &info);
        c->folder = S_ISDIR(info.st_mode);
        c->size = info.st_size;
        c->named = access(scratch_path("a"), F_OK) == 0;
    }
    if (++noted.count == noted.fail_at) {
        errno = noted.error;
        return -1;
    }
    return (int)syscall(SYS_fsync, descriptor);
}

static int commit(const char *text)
{
    wf_outfile *file;
    cr_assert_eq(wf_outfile_create(scratch_path("a"), &file), WF_OK, "%s", wf_error());
    fputs(text, wf_outfile_stream(file));
    return wf_outfile_commit(file);
}

static bool holds(const char *text)
{
    size_t n;
    char *bytes = scratch_read(scratch_path("a"), &n);
    bool same = bytes && n == strlen(text) && !memcmp(bytes, text, n);
    free(bytes);
    return same;
}

static void expect_order(off_t size)
{
    char real[512];
    cr_assert_eq(noted.count, 2, "%d calls of fsync, want the file's and the folder's", noted.count);
    const call *file = &noted.calls[0], *folder = &noted.calls[1];
    cr_expect(!file->folder && !file->named && strstr(file->path, ".tmp"), "first: %s", file->path);
    cr_expect_eq(file->size, size, "%lld bytes were written before fsync, want %lld", (long long)file->size,
                 (long long)size);
    cr_assert(realpath(scratch, real));
    cr_expect(folder->folder && folder->named && !strcmp(folder->path, real), "second: %s", folder->path);
}

Test(durable, a_file_is_synced_then_named_then_its_folder_is_synced)
{
    cr_assert_eq(commit("new!"), WF_OK, "%s", wf_error());
    expect_order(4);
    cr_expect(holds("new!"));
}

Test(durable, so_is_a_checkpoint)
{
    float values[100] = {1};
    struct stat info;
    const wf_tensor tensor = {
        .name = "w", .dtype = WF_F32, .rank = 1, .shape = {100}, .data = values, .bytes = sizeof values};
    cr_assert_eq(wf_safetensors_save(scratch_path("a"), &tensor, 1, NULL, 0), WF_OK, "%s", wf_error());
    cr_assert_eq(stat(scratch_path("a"), &info), 0);
    expect_order(info.st_size);
}

Test(durable, a_file_that_cannot_be_synced_leaves_the_old_one)
{
    scratch_write(scratch_path("a"), "old", 3);
    noted.fail_at = 1;
    noted.error = EIO;
    cr_expect_eq(commit("new!"), WF_IO, "%s", wf_error());
    cr_expect_eq(noted.count, 1);
    cr_expect(holds("old"));
    cr_expect_neq(access(noted.calls[0].path, F_OK), 0, "%s is still there", noted.calls[0].path);
}

Test(durable, a_folder_that_cannot_be_synced_is_an_error)
{
    noted.fail_at = 2;
    noted.error = EIO;
    cr_expect_eq(commit("new!"), WF_IO, "%s", wf_error());
    cr_expect(strstr(wf_error(), scratch), "%s", wf_error());
}

/* Some network file systems cannot sync a folder and answer EINVAL. */
Test(durable, a_folder_without_fsync_is_not)
{
    noted.fail_at = 2;
    noted.error = EINVAL;
    cr_expect_eq(commit("new!"), WF_OK, "%s", wf_error());
    cr_expect(holds("new!"));
}
