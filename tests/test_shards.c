/* test_shards.c - places of shards, streams that are joined, and tables of figures that are read and joined */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/model/figures.h"
#include "../lib/store/records.h"
#include "scratch.h"

TestSuite(shards, .init = scratch_make, .fini = scratch_remove);

Test(shards, each_place_is_in_one_shard)
{
    for (int n = 1; n <= 9; n++)
        for (int64_t end = 0; end < 25; end++) {
            int64_t sum = 0;
            for (int i = 1; i <= n; i++) {
                wf_shard shard = {i, n};
                int64_t count = 0;
                for (int64_t p = wf_shard_place(shard, 0); p < end; p = wf_shard_place(shard, p + 1), count++)
                    cr_assert_eq(p, i - 1 + count * n);
                cr_assert_eq(wf_shard_count(shard, 0, end), count);
                for (int64_t first = 0; first <= end; first++)
                    cr_assert_eq(wf_shard_count(shard, 0, first) + wf_shard_count(shard, first, end), count);
                sum += count;
            }
            cr_assert_eq(sum, end);
        }
    cr_assert_eq(wf_shard_count((wf_shard){0}, 3, 10), 7);
    cr_assert_eq(wf_shard_place((wf_shard){0}, 3), 3);
}

/* Figures of picture i. */
static double bits_of(int64_t i, int level)
{
    return 1 + level + sin((double)(i * 7 + level)) / 3;
}

/* Adds the pictures of a shard of `all`, at levels 0 and 2. */
static wf_figures make_figures(wf_shard shard, int64_t all)
{
    wf_figures f = {.samples = 5, .shard = shard, .run = 0x0123456789abcdef};
    for (int64_t i = wf_shard_place(shard, 0); i < all; i = wf_shard_place(shard, i + 1), f.pictures++) {
        wf_mean_add(&f.level[0], bits_of(i, 0));
        wf_mean_add(&f.level[2], bits_of(i, 2));
        wf_mean_add(&f.total, bits_of(i, 0) + bits_of(i, 2));
        wf_mean_add(&f.weighted, bits_of(i, 3));
    }
    strcpy(f.size[0], "1x1x3");
    strcpy(f.size[2], "2x2x9");
    return f;
}

static char *table_of(const wf_figures *f)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    wf_figures_write_table(f, file, false);
    cr_assert_eq(fclose(file), 0);
    return text;
}

static int read_text(const char *text, size_t n, wf_figures *out)
{
    FILE *file = n ? fmemopen((char *)(uintptr_t)text, n, "r") : fopen("/dev/null", "r");
    int status = wf_figures_read(file, "table", out);
    fclose(file);
    return status;
}

enum { MOST = 7 };
static const char *const names[MOST] = {"a", "b", "c", "d", "e", "f", "g"};

static void make_shards(int n, int64_t all, wf_figures *out)
{
    for (int i = 0; i < n; i++) {
        wf_figures f = make_figures((wf_shard){n - i, n}, all);
        char *text = table_of(&f);
        cr_assert_eq(read_text(text, strlen(text), &out[i]), 0, "%s", wf_error());
        free(text);
    }
}

Test(shards, tables_join_to_the_table_of_the_run)
{
    wf_figures shards[MOST], joined;
    for (int n = 1; n <= MOST; n++)
        for (int64_t all = 1; all < 40; all += all < 10 ? 1 : 7) {
            make_shards(n, all, shards);
            cr_assert_eq(wf_figures_join(shards, names, n, &joined), 0, "%s", wf_error());
            wf_figures run = make_figures((wf_shard){0}, all);
            cr_assert_eq(joined.pictures, all);
            cr_assert_eq(joined.level[2].n, all);
            cr_assert_float_eq(joined.total.mean, run.total.mean, 1e-14);
            cr_assert(all == 1 || fabs(wf_mean_error(&joined.level[2]) - wf_mean_error(&run.level[2])) < 1e-14);
            char *have = table_of(&joined), *want = table_of(&run);
            cr_assert_str_eq(have, want);
            free(have);
            free(want);
        }
}

Test(shards, tables_that_are_not_of_one_run_are_refused)
{
    wf_figures shards[MOST], fewer[MOST], joined;
    make_shards(4, 21, shards);
    cr_assert_eq(wf_figures_join(shards, names, 3, &joined), WF_DATA, "one is missing");
    cr_assert(strstr(wf_error(), "shard 1 of 4 is missing"), "%s", wf_error());
    shards[3].run++;
    cr_assert_eq(wf_figures_join(shards, names, 4, &joined), WF_DATA, "of another run");
    make_shards(4, 21, shards);
    shards[3] = shards[1];
    cr_assert_eq(wf_figures_join(shards, names, 4, &joined), WF_DATA, "one twice");
    make_shards(4, 21, shards);
    make_shards(4, 17, fewer);
    shards[0] = fewer[0];
    cr_assert_eq(wf_figures_join(shards, names, 4, &joined), WF_DATA, "of fewer pictures");
    make_shards(4, 21, shards);
    shards[2].level[2].n = 0;
    cr_assert_eq(wf_figures_join(shards, names, 4, &joined), WF_DATA, "without a level");
    make_shards(3, 0, shards);
    cr_assert_eq(wf_figures_join(shards, names, 3, &joined), WF_DATA, "no picture at all");
}

/* Cuts and changes every byte of a table. Whole rows may be missing, which joining finds. */
Test(shards, damaged_tables_are_refused_or_differ_in_figures)
{
    wf_figures f = make_figures((wf_shard){2, 3}, 20), have;
    char *text = table_of(&f);
    size_t n = strlen(text), head = strcspn(text, "\n") + 1;
    for (size_t cut = 0; cut < n; cut++) {
        bool rows = cut > head && text[cut - 1] == '\n';
        cr_assert_eq(read_text(text, cut, &have), rows ? WF_OK : WF_DATA, "cut off after %zu bytes", cut);
    }
    for (size_t at = 0; at < n; at++)
        for (int c = 0; c < 256; c += 5) {
            char kept = text[at];
            text[at] = (char)c;
            bool same = kept == (char)c;
            int status = read_text(text, n, &have);
            cr_assert(status == WF_DATA || (status == WF_OK && (same || at >= head)), "byte %zu as %d: %s", at, c,
                      wf_error());
            cr_assert(status || (have.shard.i >= 1 && have.shard.i <= have.shard.n && have.pictures >= 0));
            text[at] = kept;
        }
    free(text);
}

/* -- streams ------------------------------------------------------------------------------------------------------- */

/* A batch of a run: `count` places from `first` on, with `each` pictures. of: the first place as the stream says it.
 * each 0: the stream says no batch. */
typedef struct span {
    int64_t first, count, of;
    int each;
} span;

enum { SHARDS = 3 };

/* Writes the shard's pictures of batches, of which the last has no places. Picture k at place p has the value 10 p + k.
 * */
static void write_part(const char *path, int i, const span *spans)
{
    wf_meta meta = {.wavelet = "haar", .H = 1, .W = 1, .C = 1, .bits = 8, .shard = {i, SHARDS}, .run = 1};
    FILE *file = fopen(path, "wb");
    wf_writer *writer;
    cr_assert_eq(wf_writer_create(file, path, &meta, &writer), 0, "%s", wf_error());
    for (; spans->count; spans++) {
        float low[64];
        uint64_t index[64];
        wf_record r = {.low = low, .index = index, .batch = spans->of, .each = spans->each};
        for (int64_t p = wf_shard_place(meta.shard, spans->first); p < spans->first + spans->count;
             p = wf_shard_place(meta.shard, p + 1))
            for (int k = 0; k < (spans->each ? spans->each : 1); k++, r.N++) {
                low[r.N] = (float)(10 * p + k);
                index[r.N] = (uint64_t)(p * spans->each + k);
            }
        if (r.N)
            cr_assert_eq(wf_writer_put(writer, &r), 0, "%s", wf_error());
    }
    cr_assert_eq(wf_writer_finish(writer), 0, "%s", wf_error());
    wf_writer_destroy(writer);
    fclose(file);
}

/* Joins the shards, which are written with the spans of each. Returns the status; with 0, all pictures of `want` came
 * in its batches. */
static int join_parts(const span *parts[SHARDS], const span *want)
{
    char paths[SHARDS][4096], *names_of[SHARDS];
    wf_records *records;
    wf_record r;
    bool more = true;
    for (int i = 0; i < SHARDS; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%d.wf", scratch, i);
        names_of[i] = paths[i];
        write_part(paths[i], i + 1, parts[i]);
    }
    int status = wf_records_open(names_of, SHARDS, NULL, true, &records);
    cr_assert_eq(status, 0, "%s", wf_error());
    bool same = true;
    for (; !(status = wf_records_next(records, &r, &more)) && more; want += want->count > 0) {
        same = same && r.N == want->count * want->each;
        for (int64_t n = 0; same && n < r.N; n++)
            same = (int64_t)r.low[n] == 10 * (want->first + n / want->each) + n % want->each &&
                   r.index[n] == (uint64_t)(want->first * want->each + n);
    }
    cr_assert(status || (same && !want->count));
    wf_records_close(records);
    return status;
}

Test(shards, streams_join_to_the_batches_of_the_run)
{
    static const span plain[] = {{0, 5, 0, 1}, {5, 2, 5, 1}, {7, 4, 7, 1}, {0}},
                      chains[] = {{0, 4, 0, 2}, {0, 4, 0, 2}, {4, 1, 4, 2}, {0}}, one[] = {{0, 1, 0, 1}, {0}};
    cr_assert_eq(join_parts((const span *[]){plain, plain, plain}, plain), 0, "%s", wf_error());
    cr_assert_eq(join_parts((const span *[]){chains, chains, chains}, chains), 0, "%s", wf_error());
    cr_assert_eq(join_parts((const span *[]){one, one, one}, one), 0, "%s", wf_error());
}

Test(shards, streams_that_lack_pictures_are_refused)
{
    static const span all[] = {{0, 5, 0, 1}, {5, 5, 5, 1}, {0}}, hole[] = {{0, 5, 0, 1}, {7, 5, 7, 1}, {0}},
                      early[] = {{0, 5, 0, 1}, {0}}, late[] = {{5, 5, 5, 1}, {0}},
                      two[] = {{0, 5, 0, 2}, {5, 5, 5, 2}, {0}}, shorter[] = {{0, 3, 0, 1}, {5, 5, 5, 1}, {0}},
                      unknown[] = {{0, 5, 0, 0}, {0}};
    cr_assert_eq(join_parts((const span *[]){all, all, all}, all), 0, "%s", wf_error());
    cr_assert_eq(join_parts((const span *[]){hole, hole, hole}, all), WF_DATA, "a batch that none has");
    cr_assert_eq(join_parts((const span *[]){late, late, late}, late), WF_DATA, "the first batch, which none has");
    cr_assert_eq(join_parts((const span *[]){all, early, all}, all), WF_DATA, "a batch that one lacks");
    cr_assert_eq(join_parts((const span *[]){all, all, late}, all), WF_DATA, "the first batch, which one lacks");
    cr_assert_eq(join_parts((const span *[]){two, all, two}, all), WF_DATA, "two pictures a place, and one");
    cr_assert_eq(join_parts((const span *[]){all, shorter, all}, all), WF_DATA, "a batch in part");
    cr_assert_eq(join_parts((const span *[]){unknown, all, all}, all), WF_DATA, "no batches");
}
