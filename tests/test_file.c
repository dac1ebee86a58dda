/* test_file.c - files that are complete or absent, locks, folders, metadata */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "../lib/base/file.h"
#include "../lib/pyramid/meta_text.h"
#include "scratch.h"
#include "../lib/base/version.h"

TestSuite(file, .init = scratch_make, .fini = scratch_remove);

static int entries(void)
{
    DIR *folder = opendir(scratch);
    int n = -2; /* . and .. */
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

Test(file, outfile_appears_when_committed)
{
    const char *path = scratch_path("a");
    scratch_write(path, "old", 3);
    wf_outfile *file;
    cr_assert_eq(wf_outfile_create(path, &file), WF_OK);
    fputs("new!", wf_outfile_stream(file));
    fflush(wf_outfile_stream(file));
    size_t n;
    char *bytes = scratch_read(path, &n);
    cr_assert(n == 3 && !memcmp(bytes, "old", 3), "the old file is there until the commit");
    free(bytes);
    cr_assert_eq(wf_outfile_commit(file), WF_OK);
    bytes = scratch_read(path, &n);
    cr_assert(n == 4 && !memcmp(bytes, "new!", 4));
    free(bytes);
    cr_assert_eq(entries(), 1, "no temporary file is left");
    struct stat info;
    mode_t mask = umask(0);
    umask(mask);
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 0777, 0666 & ~mask);
}

Test(file, outfile_aborted_leaves_nothing)
{
    wf_outfile *file;
    cr_assert_eq(wf_outfile_create(scratch_path("a"), &file), WF_OK);
    fputs("half", wf_outfile_stream(file));
    cr_assert_eq(entries(), 1);
    wf_outfile_abort(file);
    wf_outfile_abort(NULL);
    cr_assert_eq(entries(), 0);
}

Test(file, outfile_refuses)
{
    wf_outfile *file;
    cr_assert_eq(wf_outfile_create("/dev/null", &file), WF_USAGE);
    cr_assert_eq(wf_outfile_create(scratch, &file), WF_USAGE);
    cr_assert_eq(wf_outfile_create(scratch_path("no/such"), &file), WF_IO, "an output that cannot be made");
}

Test(file, full_disk)
{
    FILE *full = fopen("/dev/full", "w");
    cr_assert(full);
    fputs("text", full);
    cr_assert_eq(wf_close(full, "/dev/full"), WF_AGAIN);
    cr_assert(strstr(wf_error(), "/dev/full"));
}

Test(file, reasons_of_a_failed_write)
{
    static const int codes[][2] = {{EFBIG, WF_AGAIN}, {ENOSPC, WF_AGAIN}, {ENOENT, WF_IO},
                                   {EACCES, WF_IO},   {EROFS, WF_IO},     {EIO, WF_IO}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        errno = codes[i][0];
        cr_expect_eq(wf_fail_write("out"), codes[i][1], "%s", wf_error());
        cr_expect(strstr(wf_error(), strerror(codes[i][0])), "%s", wf_error());
    }
}

Test(file, one_lock_at_a_time)
{
    int first, second;
    cr_assert_eq(wf_lock(scratch_path("lock"), "trainer", &first), WF_OK);
    cr_assert_eq(wf_lock(scratch_path("lock"), "trainer", &second), WF_AGAIN);
    cr_assert(strstr(wf_error(), "trainer"));
    wf_unlock(first);
    cr_assert_eq(wf_lock(scratch_path("lock"), "trainer", &second), WF_OK, "a left-over file is no lock");
    wf_unlock(second);
}

Test(file, folders)
{
    cr_assert_eq(wf_mkdirs(scratch_path("a/b/c")), WF_OK);
    cr_assert_eq(wf_mkdirs(scratch_path("a/b/c/")), WF_OK);
    cr_assert_eq(wf_mkdirs(scratch_path("a//b")), WF_OK);
    scratch_write(scratch_path("a/file"), "", 0);
    cr_assert_eq(wf_mkdirs(scratch_path("a/file")), WF_USAGE);
    cr_assert_eq(wf_mkdirs(scratch_path("a/file/b")), WF_USAGE);
    cr_assert_eq(wf_mkdirs(""), WF_USAGE);
}

static const char *cache_path(const char *cache, const char *home)
{
    static char path[300];
    if (cache)
        setenv("XDG_CACHE_HOME", cache, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    setenv("HOME", home, 1);
    wf_cache_path("name", path, sizeof path);
    return path;
}

Test(file, cache_path)
{
    char home[200], cache[200], far[400];
    struct stat info;
    snprintf(home, sizeof home, "%s", scratch_path("home"));
    snprintf(cache, sizeof cache, "%s", scratch_path("some/cache"));
    cr_expect_str_eq(cache_path(NULL, home), "");
    cr_expect_eq(stat(home, &info), -1, "no home is made");
    cr_assert_eq(wf_mkdirs(home), WF_OK);
    cr_expect_str_eq(cache_path(NULL, home), scratch_path("home/.cache/name"));
    cr_expect_str_eq(cache_path("", home), scratch_path("home/.cache/name"));
    cr_assert_eq(stat(scratch_path("home/.cache"), &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0700);
    cr_expect_str_eq(cache_path(cache, home), scratch_path("some/cache/name"));
    cr_expect_eq(stat(cache, &info), 0);
    cr_expect_str_eq(cache_path(NULL, ""), "");
    memset(far, '0', sizeof far - 1);
    far[0] = '/';
    far[sizeof far - 1] = '\0';
    cr_expect_str_eq(cache_path(far, home), "");
    cr_expect_eq(entries(), 2, "home and some, and nothing of a path that is too long");
}

/* -- metadata ------------------------------------------------------------------------------------------------------ */

TestSuite(meta);

static const wf_meta good = {.wavelet = "haar", .levels = 3, .top = 3, .H = 16, .W = 24, .C = 3, .bits = 8};

Test(meta, level_shapes)
{
    const int want[4][4] = {{2, 3, 3, 3}, {2, 3, 3, 9}, {4, 6, 3, 9}, {8, 12, 3, 9}};
    for (int level = 0; level <= 3; level++) {
        wf_level_shape s = wf_meta_level(&good, level);
        cr_assert(s.H == want[level][0] && s.W == want[level][1] && s.C == want[level][2] && s.K == want[level][3],
                  "level %d is %dx%d, %d, %d", level, s.H, s.W, s.C, s.K);
    }
}

Test(meta, ranges)
{
    cr_assert_eq(wf_meta_check(&good, "x"), WF_OK);
    wf_meta bad[] = {good, good, good, good, good, good, good, good, good, good};
    bad[0].wavelet[0] = '\0';
    bad[1].levels = 17;
    bad[2].top = 4;
    bad[3].H = 0;
    bad[4].W = 65544;
    bad[5].C = 5;
    bad[6].bits = -1;
    bad[7].bits = 17;
    bad[8].W = 20; /* not a multiple of 8 */
    bad[9].levels = -1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(wf_meta_check(&bad[i], "x"), WF_DATA, "case %zu", i);
    wf_meta other = good;
    other.C = 1;
    cr_assert_eq(wf_meta_match(&good, "a", &good, "b"), WF_OK);
    cr_assert_eq(wf_meta_match(&good, "a", &other, "b"), WF_DATA);
    cr_assert_str_eq(wf_error(), "a: channels is 3, but 1 in b");
}

Test(meta, provenance)
{
    wf_meta meta, copy;
    cr_assert_eq(wf_meta_copy(&meta, &good), WF_OK);
    char *argv[] = {"wf-dwt", "a \"b\".png", "\xff\n"};
    cr_assert_eq(wf_meta_add_provenance(&meta, "wf-dwt", 3, argv, UINT64_MAX, NULL), WF_OK);
    cr_assert_eq(wf_meta_add_provenance(&meta, "wf-sample", 0, NULL, 7, "abc"), WF_OK);
    char want[512];
    snprintf(want, sizeof want,
             "[{\"tool\":\"wf-dwt\",\"version\":\"%s\",\"argv\":[\"wf-dwt\",\"a \\\"b\\\".png\",\"?\\n\"],"
             "\"seed\":\"18446744073709551615\"},"
             "{\"tool\":\"wf-sample\",\"version\":\"%s\",\"argv\":[],\"seed\":\"7\",\"model\":\"abc\"}]",
             wf_version(), wf_version());
    cr_assert_str_eq(meta.provenance, want);
    cr_assert_eq(wf_meta_copy(&copy, &meta), WF_OK);
    wf_meta_clear(&meta);
    cr_assert_eq(wf_meta_join_provenance(&copy, "[{}]"), WF_OK);
    cr_assert(strstr(copy.provenance, "\"abc\"},{}]"));
    cr_assert_eq(wf_meta_join_provenance(&copy, "[1]"), WF_DATA);
    cr_assert_eq(wf_meta_join_provenance(&copy, "{"), WF_DATA);
    wf_meta_clear(&copy);
}

Test(meta, numbers)
{
    int64_t n;
    cr_assert(wf_parse_count("0", 5, &n) && n == 0);
    cr_assert(wf_parse_count("9223372036854775807", INT64_MAX, &n) && n == INT64_MAX);
    const char *bad[] = {"", "-1", "+1", " 1", "1 ", "01", "6", "1.0", "0x1", "9223372036854775808", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(wf_parse_count(bad[i], i == 9 ? INT64_MAX : 5, &n), "%s", bad[i] ? bad[i] : "NULL");
}
