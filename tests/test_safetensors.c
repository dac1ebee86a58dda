/* test_safetensors.c - records and checkpoints: round trips, and every kind of malformed file */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include "../lib/pyramid/meta.h"
#include "../lib/base/safetensors.h"
#include "scratch.h"
#include "../lib/base/version.h"

TestSuite(safetensors, .init = scratch_make, .fini = scratch_remove);

static uint16_t halves[3] = {0x3c00, 0x4000, 0xc000};
static float floats[6] = {1, 2, 3, 4, 5, -0.5f};
static uint64_t words[2] = {7, UINT64_MAX};
static double scalar = 0.25;

static const wf_tensor tensors[] = {
    {.name = "half", .dtype = WF_F16, .rank = 1, .shape = {3}, .data = halves, .bytes = 6},
    {.name = "w/a.b", .dtype = WF_F32, .rank = 3, .shape = {1, 2, 3}, .data = floats, .bytes = 24},
    {.name = "none", .dtype = WF_F32, .rank = 2, .shape = {0, 4}},
    {.name = "index", .dtype = WF_U64, .rank = 1, .shape = {2}, .data = words, .bytes = 16},
    {.name = "scalar", .dtype = WF_F64, .rank = 0, .data = &scalar, .bytes = 8},
};
enum { COUNT = sizeof tensors / sizeof *tensors };
static const wf_pair pairs[] = {{"format", WF_FORMAT}, {"chain", "2*(actnorm, conv1x1)"}, {"note", "\xc3\xa9 \"q\"\n"}};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static const char *saved(void)
{
    const char *path = scratch_path("a.safetensors");
    cr_assert_eq(wf_safetensors_save(path, tensors, COUNT, pairs, PAIRS), WF_OK, "%s", wf_error());
    return path;
}

static void check_content(const wf_safetensors *st)
{
    cr_assert_eq(st->count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        const wf_tensor *t = wf_safetensors_find(st, tensors[i].name);
        cr_assert(t && t->dtype == tensors[i].dtype && t->rank == tensors[i].rank && t->bytes == tensors[i].bytes);
        for (int r = 0; r < t->rank; r++)
            cr_assert_eq(t->shape[r], tensors[i].shape[r]);
        cr_assert(!t->bytes || !memcmp(t->data, tensors[i].data, t->bytes));
        cr_assert_eq((uintptr_t)t->data % wf_dtype_size(t->dtype), 0);
    }
    for (int i = 0; i < PAIRS; i++)
        cr_assert_str_eq(wf_safetensors_meta(st, pairs[i].key), pairs[i].value);
    cr_assert_null(wf_safetensors_find(st, "absent"));
    cr_assert_null(wf_safetensors_meta(st, "absent"));
}

Test(safetensors, round_trip)
{
    wf_safetensors st = {0};
    const char *path = saved();
    for (int i = 0; i < 2; i++) { /* twice, since memory is reused */
        cr_assert_eq(wf_safetensors_load(path, &st), WF_OK, "%s", wf_error());
        check_content(&st);
    }
    wf_safetensors_clear(&st);
    size_t n;
    char *bytes = scratch_read(path, &n);
    uint64_t length;
    memcpy(&length, bytes, 8);
    cr_assert_eq((8 + length) % 8, 0, "data begins aligned");
    free(bytes);
}

Test(safetensors, records_follow_one_another)
{
    FILE *file = tmpfile();
    wf_safetensors st = {0};
    bool end;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(wf_safetensors_write(file, "x", tensors, COUNT, pairs, PAIRS, NULL, NULL), WF_OK);
    rewind(file);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(wf_safetensors_read(file, "x", 1000, &st, &end, NULL, NULL), WF_OK);
        cr_assert_not(end);
        check_content(&st);
    }
    cr_assert_eq(wf_safetensors_read(file, "x", 1000, &st, &end, NULL, NULL), WF_OK);
    cr_assert(end);
    cr_assert_eq((long)st.offset, ftell(file));
    rewind(file);
    cr_assert_eq(wf_safetensors_read(file, "x", 53, &st, &end, NULL, NULL), WF_DATA, "54 bytes of data, 53 allowed");
    wf_safetensors_clear(&st);
    fclose(file);
}

/* -- malformed files ----------------------------------------------------------------------------------------------- */

static int read_text(const char *header, size_t data, char *why)
{
    char zeros[64] = {0};
    uint64_t length = strlen(header);
    FILE *file = tmpfile();
    fwrite(&length, 1, 8, file);
    fwrite(header, 1, length, file);
    fwrite(zeros, 1, data, file);
    rewind(file);
    wf_safetensors st = {0};
    bool end;
    int status = wf_safetensors_read(file, "x", 1 << 20, &st, &end, NULL, NULL);
    snprintf(why, 200, "%s", wf_error());
    wf_safetensors_clear(&st);
    fclose(file);
    return status;
}

#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

Test(safetensors, malformed_headers)
{
    static const struct {
        const char *header, *says;
    } cases[] = {
        {"{\"a\":" T("F32", "[2]", "[0,8]") "}", NULL}, /* the valid one */
        {" {}", "begin with"},
        {"[]", "begin with"},
        {"{\"a\":1}", "want an object"},
        {"{\"a\":" T("F32", "[2]", "[0,8]") "} x", "not JSON"},
        {"{\"a\":" T("F32", "[2]", "[0,8]") ",\"a\":" T("F32", "[2]", "[0,8]") "}", "duplicate"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "duplicate"},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", "duplicate"},
        {"{\"__metadata__\":{\"k\":1}}", "not a string"},
        {"{\"__metadata__\":[]}", "not an object"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "want an object"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", "want an object"},
        {"{\"a\":" T("I32", "[2]", "[0,8]") "}", "dtype is I32, want F16, BF16, F32"},
        {"{\"a\":{\"dtype\":4,\"shape\":[2],\"data_offsets\":[0,8]}}", "dtype is missing"},
        {"{\"a\":" T("F32", "2", "[0,8]") "}", "shape is not"},
        {"{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", "shape is not"},
        {"{\"a\":" T("F32", "[-2]", "[0,8]") "}", "shape[0]"},
        {"{\"a\":" T("F32", "[2.0]", "[0,8]") "}", "shape[0]"},
        {"{\"a\":" T("F32", "[\"2\"]", "[0,8]") "}", "shape[0]"},
        {"{\"a\":" T("F32", "[4294967296,4294967296]", "[0,0]") "}", "too large"},
        {"{\"a\":" T("F32", "[9223372036854775808]", "[0,0]") "}", "not JSON"},
        {"{\"a\":" T("F32", "[4611686018427387904]", "[0,0]") "}", "too large"},
        {"{\"a\":" T("F32", "[2]", "[0,4]") "}", "needs 8"},
        {"{\"a\":" T("F32", "[2]", "[8,0]") "}", "needs 8"},
        {"{\"a\":" T("F32", "[2]", "[0]") "}", "two whole"},
        {"{\"a\":" T("F32", "[2]", "[0,8.5]") "}", "two whole"},
        {"{\"a\":" T("F32", "[2]", "[4,12]") "}", "begins at 4"},
        {"{\"a\":" T("F32", "[2]", "[0,8]") ",\"b\":" T("F32", "[1]", "[4,8]") "}", "begins at 4"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[8,12]") "}", "begins at 8"},
        {"{\"a\":" T("F16", "[1]", "[0,2]") ",\"b\":" T("F32", "[1]", "[2,6]") "}", "not aligned"},
        {"{\"a\":" T("F32", "[3]", "[0,12]") "}", "cut off"},
        {"{\"a\":" T("F32", "[300000]", "[0,1200000]") "}", "at most"},
        {"{\"a\\u0000\":" T("F32", "[2]", "[0,8]") "}", "not JSON"},
        {"{\"\xff\":" T("F32", "[2]", "[0,8]") "}", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[200];
        int status = read_text(cases[i].header, 8, why);
        cr_assert_eq(status, cases[i].says ? WF_DATA : WF_OK, "%s", cases[i].header);
        cr_assert(!cases[i].says || strstr(why, cases[i].says), "%s: %s", cases[i].header, why);
    }
}

Test(safetensors, truncated_anywhere)
{
    size_t n;
    char *bytes = scratch_read(saved(), &n);
    wf_safetensors st = {0};
    for (size_t cut = 0; cut < n; cut++) {
        scratch_write(scratch_path("cut"), bytes, cut);
        cr_assert_eq(wf_safetensors_load(scratch_path("cut"), &st), WF_DATA, "cut at %zu of %zu", cut, n);
    }
    char *longer = calloc(1, n + 1);
    memcpy(longer, bytes, n);
    scratch_write(scratch_path("long"), longer, n + 1);
    cr_assert_eq(wf_safetensors_load(scratch_path("long"), &st), WF_DATA, "one byte too many");
    wf_safetensors_clear(&st);
    free(bytes);
    free(longer);
}

/* Flips every third bit: loading fails. A flip may hide the mark of the format and with it the checksum; then the
 * unknown format is the error. */
Test(safetensors, flipped_bits)
{
    size_t n;
    char *bytes = scratch_read(saved(), &n);
    wf_safetensors st = {0};
    for (size_t i = 0; i < 8 * n; i += 3) {
        bytes[i / 8] ^= (char)(1 << i % 8);
        scratch_write(scratch_path("bad"), bytes, n);
        cr_assert_eq(wf_safetensors_load(scratch_path("bad"), &st), WF_DATA, "bit %zu of byte %zu", i % 8, i / 8);
        bytes[i / 8] ^= (char)(1 << i % 8);
    }
    wf_safetensors_clear(&st);
    free(bytes);
}

/* A header that promises 2^40 bytes, or a length of 16 MiB, with almost no data behind it: memory stays small. */
Test(safetensors, lying_lengths)
{
    const char *header = "{\"a\":" T("F32", "[274877906944]", "[0,1099511627776]") "}";
    uint64_t length = strlen(header);
    wf_safetensors st = {0};
    bool end;
    FILE *file = tmpfile();
    fwrite(&length, 1, 8, file);
    fwrite(header, 1, length, file);
    for (int i = 0; i < 200000; i++)
        fputc(0, file);
    rewind(file);
    cr_assert_eq(wf_safetensors_read(file, "x", SIZE_MAX, &st, &end, NULL, NULL), WF_DATA);
    cr_assert_leq(st.capacity[0], 2 * 200000 + 65536);
    rewind(file);
    length = 16 << 20;
    fwrite(&length, 1, 8, file);
    rewind(file);
    cr_assert_eq(wf_safetensors_read(file, "x", SIZE_MAX, &st, &end, NULL, NULL), WF_DATA);
    cr_assert_leq(st.capacity[1], 2 * 200000 + 65536);
    rewind(file);
    length = (16 << 20) + 1;
    fwrite(&length, 1, 8, file);
    rewind(file);
    cr_assert_eq(wf_safetensors_read(file, "x", SIZE_MAX, &st, &end, NULL, NULL), WF_DATA);
    cr_assert(strstr(wf_error(), "16777217"));
    wf_safetensors_clear(&st);
    fclose(file);
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

Test(safetensors, refuses_to_write_nonsense)
{
    wf_tensor bad = tensors[1];
    bad.bytes = 20;
    wf_tensor twice[] = {tensors[0], tensors[0]};
    wf_pair same[] = {{"a", "1"}, {"a", "2"}};
    cr_assert_eq(wf_safetensors_save(scratch_path("x"), &bad, 1, NULL, 0), WF_INTERNAL);
    cr_assert_eq(wf_safetensors_save(scratch_path("x"), twice, 2, NULL, 0), WF_INTERNAL);
    cr_assert_eq(wf_safetensors_save(scratch_path("x"), tensors, 1, same, 2), WF_INTERNAL);
    cr_assert_neq(access(scratch_path("x"), F_OK), 0);
}

Test(safetensors, full_disk_keeps_the_old_file)
{
    const char *path = saved();
    static float large[100000];
    wf_tensor tensor = {
        .name = "a", .dtype = WF_F32, .rank = 1, .shape = {100000}, .data = large, .bytes = sizeof large};
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit, old;
    getrlimit(RLIMIT_FSIZE, &old);
    limit = (struct rlimit){100000, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    int status = wf_safetensors_save(path, &tensor, 1, NULL, 0);
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert_eq(status, WF_AGAIN, "%d: %s", status, wf_error());
    wf_safetensors st = {0};
    cr_assert_eq(wf_safetensors_load(path, &st), WF_OK);
    check_content(&st);
    wf_safetensors_clear(&st);
    int files = 0;
    DIR *folder = opendir(scratch);
    for (struct dirent *e; (e = readdir(folder));)
        files += e->d_name[0] != '.';
    closedir(folder);
    cr_assert_eq(files, 1, "no temporary file is left");
}

/* -- the reference implementation ---------------------------------------------------------------------------------- */

Test(safetensors, python_reads_and_writes_the_same)
{
    const char *python = getenv("PYTHON") ? getenv("PYTHON") : "python3";
    char command[2048];
    snprintf(command, sizeof command, "%s -c 'import safetensors.numpy' 2> /dev/null", python);
    if (system(command))
        cr_skip_test("%s has no safetensors", python);
    const char *path = saved();
    snprintf(command, sizeof command,
             "%s -c 'import sys, safetensors, safetensors.numpy as s\n"
             "f = safetensors.safe_open(sys.argv[1], \"np\"); t = s.load_file(sys.argv[1])\n"
             "assert t[\"w/a.b\"].shape == (1, 2, 3) and t[\"w/a.b\"].ravel().tolist() == [1, 2, 3, 4, 5, -0.5]\n"
             "assert t[\"half\"].tolist() == [1, 2, -2] and t[\"none\"].shape == (0, 4)\n"
             "assert t[\"index\"].tolist() == [7, 2**64 - 1] and float(t[\"scalar\"]) == 0.25\n"
             "assert f.metadata()[\"note\"] == \"\\u00e9 \\\"q\\\"\\n\"\n"
             "s.save_file(t, sys.argv[2], f.metadata())' %s %s",
             python, path, scratch_path("python"));
    cr_assert_eq(system(command), 0);
    wf_safetensors st = {0};
    cr_assert_eq(wf_safetensors_load(scratch_path("python"), &st), WF_OK, "%s", wf_error());
    check_content(&st);
    wf_safetensors_clear(&st);
}
