/* wf-nearest.c - the pictures of a store that are nearest to those of a stream */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/store/nearest.h"
#include "cli_io.h"
#include "interrupt.h"
#include "progress.h"

static const char *store_path, *table_path, *output_path;
static int level = -1, wanted = 1;
static bool beside;

static const cli_option options[] = {
    {'s', "store", "STORE", CLI_STRING, &store_path, 0, 0,
     "Pictures to look in: a store, a file with a stream, or -, a stream on stdin."},
    {'k', "nearest", "K", CLI_INT, &wanted, 1, 1024, "Write the K nearest of each picture (default 1)."},
    {'l', "level", "L", CLI_INT, &level, 0, WF_MAX_LEVELS,
     "Compare the pictures of level L; the default is the highest level of the stream."},
    {0, "beside", NULL, CLI_FLAG, &beside, 0, 0, "Write each picture itself before its neighbours: K + 1 for one."},
    {0, "distances", "FILE", CLI_STRING, &table_path, 0, 0,
     "Write a table too, tab-separated: picture, rank, number of the neighbour in the store, distance, names of both "
     "or their numbers; - is standard output, in place of the stream."},
    CLI_OUTPUT(&output_path),
    CLI_THREADS,
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-nearest",
    .summary = "the pictures of a store that are nearest to given ones",
    .synopsis = "-s STORE [-k K] [-l L] [--beside] [--distances FILE] [-o FILE|STORE] [FILE|STORE]",
    .description =
        "Reads a coefficient stream, as wf-dwt and wf-sample write it, from a file, a store or standard "
        "input, and writes, for each of its pictures, the K nearest pictures of the store, nearest first, as "
        "coefficients of the one level: what a model has drawn, beside what it was trained on.\n\n"
        "Distances are Euclidean, over all samples of a picture, in units of its pixel values. A record of the level "
        "is enough, in the stream as in the store; other levels are not used. Neighbours of picture i have the "
        "numbers K i, K i + 1 and so on, with --beside (K + 1) i and so on, so that each has a file of its own in "
        "wf-idwt -o. They keep their names.\n\n"
        "Pictures are gathered, up to 64 MB of them, before the store is read for them.",
    .examples =
        "wf-sample -m faces -n 8 | wf-nearest -s faces.store -k 7 --beside | wf-idwt --columns 8 --grid near.png\n"
        "    eight samples, each beside the seven training pictures that are most like it\n"
        "wf-dwt held-out/ | wf-nearest -s faces.store --distances - | cut -f 4\n"
        "    how far held-out pictures are from the nearest in training\n"
        "wf-nearest -s faces.store --distances - holiday.store | cut -f 5,6\n"
        "    the names of pictures and of their neighbours\n",
    .options = options,
};

/* Pictures of the level, one after another. */
typedef struct pictures {
    float *low, *detail; /* [n,lows], [n,details] */
    uint64_t *index;     /* [n] */
    char **names;        /* [n], owned; NULL: none */
} pictures;

static struct {
    wf_store *store;
    int64_t given_count; /* pictures that come; -1: not known */
    int64_t compared;    /* pictures of the store, with those gathered */
    wf_meta meta;        /* of the output */
    cli_output *output;
    FILE *table;
    char *text; /* the table, unless it goes to standard output */
    size_t text_size;
    size_t lows, details; /* reals of a picture's low-pass, and of its details */
    pictures given;       /* [room], of which `count` are filled */
    pictures written;     /* [per_picture()]: one record */
    int room, count;
    wf_neighbour *found; /* [room,K] */
    int64_t total;
} job;

static int per_picture(void)
{
    return wanted + beside;
}

static pictures make_pictures(int n)
{
    return (pictures){must_allocate((size_t)n, job.lows * sizeof(float), "pictures"),
                      must_allocate((size_t)n, job.details * sizeof(float), "pictures"),
                      must_allocate((size_t)n, sizeof(uint64_t), "pictures"),
                      must_allocate((size_t)n, sizeof(char *), "pictures")};
}

/* Gives picture n a copy of a name, or none, in place of its earlier one. */
static void give_name(pictures *p, size_t n, const char *name)
{
    free(p->names[n]);
    p->names[n] = name ? strdup(name) : NULL;
    if (name && !p->names[n])
        die(WF_AGAIN, "out of memory for the name of a picture");
}

static void free_pictures(pictures *p, int n)
{
    for (int i = 0; i < n; i++)
        free(p->names[i]);
    free(p->names);
    free(p->low);
    free(p->detail);
    free(p->index);
}

static void open_job(const char *name, const wf_meta *meta)
{
    must(wf_meta_expect(meta, name, wf_store_meta(job.store), store_path));
    if (level < 0)
        level = meta->top;
    if (level > meta->top)
        die(WF_DATA, "%s: carries levels up to %d, not level %d", name, meta->top, level);
    if (!wf_store_has_level(job.store, level))
        die(WF_DATA, "%s: holds no level %d", store_path, level);
    must(wf_meta_copy(&job.meta, meta));
    job.meta.top = level;
    job.meta.shard = (wf_shard){0}; /* rows of pictures, not those that came */
    cli_add_provenance(&job.meta, NULL);
    wf_level_shape shape = wf_meta_level(meta, level);
    job.lows = (size_t)shape.H * (size_t)shape.W * (size_t)shape.C;
    job.details = (size_t)wf_bands(meta->signal) * job.lows;
    size_t fit = ((size_t)1 << 22) / job.lows;
    job.room = fit < 1 ? 1 : fit > 1024 ? 1024 : (int)fit;
    job.given = make_pictures(job.room);
    job.written = make_pictures(per_picture());
    job.found = must_allocate((size_t)job.room * (size_t)wanted, sizeof *job.found, "pictures");
}

/* Collects the table in memory, because its file appears only when it is complete. */
static void open_outputs(void)
{
    job.table = cli_is_dash(table_path) ? stdout : table_path ? open_memstream(&job.text, &job.text_size) : NULL;
    if (table_path && !job.table)
        die(WF_AGAIN, "out of memory for the table");
    if (job.table)
        fputs("picture\trank\tneighbour\tdistance\tname\tneighbour_name\n", job.table);
    if (job.table != stdout)
        job.output = cli_open_output(output_path, &job.meta, "pipe it into wf-idwt, or use -o");
}

/* Reads the neighbour of rank k into place `at` of the output, and adds it to the table. */
static void take_neighbour(size_t i, size_t k, const wf_neighbour *found, size_t at)
{
    const pictures *from = &job.given;
    pictures *to = &job.written;
    const char *const *names;
    uint64_t number;
    must(wf_store_get(job.store, level, found->at, to->low + at * job.lows, to->detail + at * job.details, &number));
    must(wf_store_names(job.store, found->at, 1, &names));
    give_name(to, at, names ? names[0] : NULL);
    if (!job.table)
        return;
    fprintf(job.table, "%" PRIu64 "\t%zu\t%" PRIu64 "\t%.6g\t", from->index[i], k, number, found->distance);
    wf_write_name(job.table, from->names[i], from->index[i]);
    putc('\t', job.table);
    wf_write_name(job.table, to->names[at], number);
    putc('\n', job.table);
}

static void write_neighbours(int n)
{
    const pictures *from = &job.given;
    pictures *to = &job.written;
    const wf_neighbour *found = job.found + (size_t)n * (size_t)wanted;
    size_t lows = job.lows, details = job.details, i = (size_t)n, each = (size_t)per_picture();
    uint64_t first;
    if (!WF_MUL(from->index[i], each, &first) || first > UINT64_MAX - each)
        die(WF_DATA, "picture %" PRIu64 ": no numbers are left for its neighbours", from->index[i]);
    if (beside) {
        memcpy(to->low, from->low + i * lows, lows * sizeof *to->low);
        memcpy(to->detail, from->detail + i * details, details * sizeof *to->detail);
        give_name(to, 0, from->names[i]);
    }
    for (size_t k = 0; k < (size_t)wanted; k++)
        take_neighbour(i, k, &found[k], k + beside);
    for (size_t k = 0; k < each; k++)
        to->index[k] = first + k;
    wf_record record = {.level = level,
                        .N = per_picture(),
                        .low = to->low,
                        .detail = level ? to->detail : NULL,
                        .index = to->index,
                        .names = (const char *const *)to->names};
    if (job.output)
        must(cli_put(job.output, &record));
}

/* A wf_watch. */
static void watch_compared(void *user, int of_level, int64_t count)
{
    char detail[64];
    double all = (double)wf_store_count(job.store), given = (double)job.given_count;
    (void)user;
    (void)of_level;
    job.compared += count;
    snprintf(detail, sizeof detail, "compared with %lld of %lld", (long long)job.compared, (long long)all);
    progress_at(job.total, given > 0 ? ((double)job.total + job.count * (double)job.compared / all) / given : -1,
                detail);
}

static void flush(void)
{
    const pictures *p = &job.given;
    const wf_watch watch = {.call = watch_compared};
    job.compared = 0;
    if (job.count)
        must(wf_nearest_search(job.store, level, common.threads, job.count, p->low, p->detail, wanted, job.found,
                               &watch));
    if (job.table == stdout)
        progress_clear();
    for (int n = 0; n < job.count; n++)
        write_neighbours(n);
    job.total += job.count;
    job.count = 0;
}

static void gather(const wf_record *record)
{
    pictures *to = &job.given;
    size_t lows = job.lows, details = job.details;
    for (size_t i = 0; i < (size_t)record->N; i++) {
        size_t at = (size_t)job.count++;
        memcpy(to->low + at * lows, record->low + i * lows, lows * sizeof *to->low);
        if (record->detail)
            memcpy(to->detail + at * details, record->detail + i * details, details * sizeof *to->detail);
        to->index[at] = record->index[i];
        give_name(to, at, record->names ? record->names[i] : NULL);
        if (job.count == job.room)
            flush();
    }
}

static void save_table(void)
{
    wf_outfile *file;
    must(wf_close(job.table, table_path));
    if (!job.text) /* glibc's fclose may lose the text and say nothing */
        die(WF_AGAIN, "%s: out of memory", table_path);
    must(wf_outfile_create(table_path, &file));
    fwrite(job.text, 1, job.text_size, wf_outfile_stream(file)); /* commit reports failures */
    must(wf_outfile_commit(file));
}

static void finish(void)
{
    progress_end();
    if (job.output)
        cli_close_output(job.output);
    if (job.table && job.table != stdout)
        save_table();
    note("%lld picture%s, each compared with %lld", (long long)job.total, plural(job.total),
         (long long)wf_store_count(job.store));
    wf_store_close(job.store);
    wf_meta_clear(&job.meta);
    free_pictures(&job.given, job.room);
    free_pictures(&job.written, per_picture());
    free(job.found);
    free(job.text);
}

int main(int argc, char **argv)
{
    int first = cli_parse(&program, argc, argv);
    if (!store_path)
        die(WF_USAGE, "-s STORE is needed");
    if (cli_is_dash(table_path) && output_path)
        die(WF_USAGE, "--distances - takes the place of the stream: leave out -o %s", output_path);
    if (cli_is_dash(store_path) && cli_reads_stdin(NULL, first))
        die(WF_USAGE, "standard input cannot be both the store and the pictures to look for");
    job.store = cli_open_store(store_path); /* before it waits for the stream */
    wf_records *input = cli_open_input(first);
    wf_record record;
    open_job(wf_records_name(input), wf_records_meta(input));
    open_outputs();
    job.given_count = wf_records_count(input);
    progress_begin(wf_signal_names[job.meta.signal], job.given_count);
    interrupt_ends("%s", cli_is_dash(table_path) ? "the table is incomplete" : cli_output_left(output_path));
    while (cli_next(input, &record))
        if (record.level == level)
            gather(&record);
    job.given_count = job.total + job.count;
    flush();
    if (!job.total)
        die(WF_DATA, "%s: has no record of level %d", wf_records_name(input), level);
    finish();
    wf_records_close(input);
    finish_stdout();
    return WF_OK;
}
