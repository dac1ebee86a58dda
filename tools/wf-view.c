/* wf-view.c - cuts, joins, shuffles and splits streams and stores, and turns one into the other */
#include <stdlib.h>
#include <string.h>

#include "cli_io.h"
#include "interrupt.h"
#include "progress.h"

enum { MOST_PARTS = 32 };

static struct options {
    int levels[2]; /* -1: not given */
    int64_t count; /* -1: not given */
    const char *range, *output;
    cli_doubles split;
    bool shuffle;
} options = {.levels = {-1, -1}, .count = -1};

static const cli_option table[] = {
    {'l', "level", "L|L-M", CLI_RANGE, options.levels, 0, WF_MAX_LEVELS,
     "Keep level L, or levels L to M. The default is all levels."},
    {'r', "range", "A:B", CLI_STRING, &options.range, 0, 0,
     "Keep pictures A to B-1, counted from 0 in the order in which they come. A: and :B leave one end open."},
    {0, "shuffle", NULL, CLI_FLAG, &options.shuffle, 0, 0,
     "Bring those pictures into a random order by --seed, and number them anew."},
    {'n', "count", "N", CLI_COUNT, &options.count, 1, 1e15, "Keep the first N of them; after --shuffle, N at random."},
    {0, "split", "P,P..", CLI_DOUBLES, &options.split, 1e-9, 1e9,
     "Divide them into parts of these shares, one after the other, into as many outputs of -o, separated by commas."},
    {'o', "output", "FILE|STORE", CLI_STRING, &options.output, 0, 0,
     "Write a stream to FILE, or a store to a name that ends in .store or /; - is standard output, the default."},
    CLI_SEED,
    {0}};

static const cli_program program = {
    .name = "wf-view",
    .summary = "cut, join, shuffle, split and convert streams and stores",
    .synopsis = "[-l L|L-M] [-r A:B] [-n N] [--shuffle] [--split P,P.. ] [-o FILE|STORE[,..]] [FILE|STORE ...]",
    .description =
        "Reads coefficients from streams, stores or standard input (-), and writes some of them as a stream or a "
        "store. Coefficients and names are those that came, to the last bit; checksums and hashes are checked.\n\n"
        "Several inputs are joined in the order in which they are given. They must have the same size, channels, "
        "bits, wavelet and levels; the error names the first that differs, and both values.\n\n"
        "Shards of a run (--shard of wf-sample and wf-nuts) are joined to what the run would have written, in any "
        "order of the inputs: streams to the same bytes, which have no entry of wf-view, and stores to the same "
        "pictures. A shard that is missing, is there twice, or has another seed, model or option is an error; names of "
        "files, --threads and --backend may differ. One shard alone stays a shard when it is copied, and not when it "
        "is cut.\n\n"
        "A range is cut out first, then shuffled, then counted, then split. The same pictures, options and seed give "
        "the same result.\n\n"
        "Pictures keep their numbers, unless they are shuffled or come from several inputs that are not shards: then "
        "they are numbered from 0. A store has its pictures in the order of their numbers.\n\n"
        "One batch is in memory at a time. To shuffle anything but one store, or to split a stream, all is copied "
        "into a store in TMPDIR first, which is gone at the end.",
    .examples = "wf-view photos.store --shuffle --seed 1 --split 95,5 -o train.store,val.store\n"
                "    one picture of twenty for validation\n"
                "wf-view a.store b.store -o both.store\n"
                "    two stores in one\n"
                "wf-view photos.store -r 100:116 | wf-idwt --grid grid.png\n"
                "    sixteen pictures of a store, as one\n"
                "wf-view photos.store -l 0-3 -o small.store\n"
                "    the lower levels alone\n"
                "wf-sample -m faces -n 64 | wf-view -o samples.store\n"
                "    a stream as a store\n"
                "wf-view part-*.wf -o samples.wf\n"
                "    all shards of wf-sample --shard I/N -o part-I.wf as the run\n",
    .options = table,
    .fields = true};

/* Pictures begin <= place < end of the input go to the output. */
typedef struct part {
    int64_t begin, end;
    const char *path; /* NULL: standard output */
    cli_output *output;
    int64_t pictures;
} part;

static struct {
    wf_records *records;
    wf_meta meta; /* of the output */
    part parts[MOST_PARTS];
    int count;
    int64_t begin, end; /* of the range; end INT64_MAX: open */
} job = {.end = INT64_MAX};

static void parse_range(void)
{
    const char *text = options.range;
    if (!text)
        return;
    size_t digits = strspn(text, "0123456789"),
           more = text[digits] == ':' ? strspn(text + digits + 1, "0123456789") : 0;
    bool good = digits <= 15 && more <= 15 && digits + more && text[digits] == ':' && !text[digits + 1 + more];
    job.begin = good && digits ? strtoll(text, NULL, 10) : 0;
    if (good && more)
        job.end = strtoll(text + digits + 1, NULL, 10);
    if (!good || job.begin >= job.end)
        die(WF_USAGE, "--range %s: expected A:B, A: or :B, A less than B, as in 0:100", text);
}

/* Gives each part its output. */
static void name_parts(void)
{
    if (!options.split.count) {
        job.parts[job.count++].path = cli_is_dash(options.output) ? NULL : options.output;
        return;
    }
    char *rest = options.output ? strdup(options.output) : NULL, *word;
    while (rest && (word = strsep(&rest, ",")) && job.count < MOST_PARTS)
        job.parts[job.count++].path = word;
    if (job.count != options.split.count)
        die(WF_USAGE, "--split: %d shares, but %d outputs: expected -o with a name for each, separated by commas",
            options.split.count, job.count);
    for (int i = 0; i < job.count; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(job.parts[i].path, job.parts[k].path))
                die(WF_USAGE, "--split: two outputs are %s, expected a name for each part", job.parts[i].path);
}

/* A store can be read at any place; anything else is copied into one if its pictures must be counted or shuffled. */
static void open_records(char **paths, int count)
{
    job.records = found_open_records(count ? paths : (char *[]){"-"}, count ? count : 1, true, FOUND_COEFFICIENTS);
    if (options.shuffle ? !wf_records_store(job.records) : options.split.count > 0 && wf_records_count(job.records) < 0)
        job.records = cli_spool(job.records);
}

static void choose_levels(void)
{
    must(wf_meta_copy(&job.meta, wf_records_meta(job.records)));
    int top = job.meta.top, last = options.levels[1];
    if (last > top)
        die(WF_DATA, "%s: has levels up to %d, not %d", wf_records_name(job.records), top, last);
    if (last >= 0)
        job.meta.top = last;
    wf_store *store = wf_records_store(job.records);
    for (int level = options.levels[0]; store && level >= 0 && level <= last; level++)
        if (!wf_store_has_level(store, level))
            die(WF_DATA, "%s: has no level %d", wf_records_name(job.records), level);
}

/* Joined shards are the run, and a shard that is only copied remains one: both keep the provenance of the run. */
static void record_view(void)
{
    bool chosen = options.range || options.shuffle || options.count >= 0 || options.split.count,
         copied = !chosen && options.levels[0] < 0;
    if (chosen)
        job.meta.shard = (wf_shard){0};
    if (!copied || !(wf_records_joined(job.records) || job.meta.shard.n))
        cli_add_provenance(&job.meta, NULL);
}

/* Sets the places of the parts, and skips what a store has before them. */
static void choose_pictures(void)
{
    int64_t count = wf_records_count(job.records);
    if (count >= 0 && job.begin >= count)
        die(WF_DATA, "%s: has %lld pictures, none from %lld on", wf_records_name(job.records), (long long)count,
            (long long)job.begin);
    if (count >= 0 && job.end > count)
        job.end = count;
    if (wf_records_store(job.records)) {
        wf_records_choose(job.records, job.begin, job.end, options.shuffle, common.seed);
        job.end -= job.begin;
        job.begin = 0;
    }
    int64_t left = job.end == INT64_MAX ? job.end : job.end - job.begin;
    if (options.count >= 0 && options.count < left)
        left = options.count;
    double sum = 0, before = 0;
    for (int i = 0; i < options.split.count; i++)
        sum += options.split.value[i];
    job.parts[0].begin = job.begin;
    for (int i = 0; i < job.count; i++) {
        before += options.split.count ? options.split.value[i] : 1;
        bool last = i == job.count - 1;
        job.parts[i].end = last ? (left == INT64_MAX ? left : job.begin + left)
                                : job.begin + (int64_t)((double)left * before / sum + 0.5);
        if (!last)
            job.parts[i + 1].begin = job.parts[i].end;
        if (job.parts[i].end <= job.parts[i].begin)
            die(WF_USAGE, "--split: part %d of %lld pictures has none", i + 1, (long long)left);
    }
}

/* Writes the pictures of a record, of which the first has this place, that belong to a part. */
static void put_part(part *p, const wf_record *r, int64_t place)
{
    int64_t from = p->begin > place ? p->begin - place : 0, to = p->end - place < r->N ? p->end - place : r->N;
    if (from >= to)
        return;
    wf_level_shape shape = wf_meta_level(&job.meta, r->level);
    size_t at = (size_t)from, pixels = (size_t)shape.H * (size_t)shape.W;
    wf_record cut = {.level = r->level,
                     .N = to - from,
                     .low = r->low ? r->low + at * pixels * (size_t)shape.C : NULL,
                     .detail = r->detail ? r->detail + at * pixels * (size_t)shape.K : NULL,
                     .index = r->index + at,
                     .names = r->names ? r->names + at : NULL,
                     .batch = r->batch,
                     .each = r->each};
    must(cli_put(p->output, &cut));
    p->pictures += r->level == job.meta.top ? cut.N : 0;
}

/* Reads to the end, also past the last picture, for the hash of a stream. */
static void copy(void)
{
    wf_record r;
    int last = -1;
    int64_t place = 0, N = 0, end = job.parts[job.count - 1].end;
    progress_begin(wf_signal_names[job.meta.signal], end == INT64_MAX ? -1 : end);
    interrupt_ends("%s", job.count == 1 ? cli_output_left(job.parts[0].path) : "the outputs are incomplete");
    while (cli_next(job.records, &r)) {
        if (r.level <= last) /* a new batch */
            place += N;
        last = r.level;
        N = r.N;
        for (int i = 0; i < job.count; i++)
            if (r.level <= job.meta.top && r.level >= options.levels[0])
                put_part(&job.parts[i], &r, place);
        progress_at(place + N < end ? place + N : end, -1, NULL);
    }
    progress_end();
}

int main(int argc, char **argv)
{
    int first = cli_parse(&program, argc, argv);
    parse_range();
    name_parts();
    open_records(argv + first, argc - first);
    choose_levels();
    choose_pictures();
    record_view();
    for (int i = 0; i < job.count; i++)
        job.parts[i].output = cli_open_output(job.parts[i].path, &job.meta, "pipe it into wf-idwt, or use -o");
    copy();
    for (int i = 0; i < job.count; i++) /* before the first output is complete */
        if (!job.parts[i].pictures)
            die(WF_DATA, "%s: has no picture of that range and level", wf_records_name(job.records));
    for (int i = 0; i < job.count; i++) {
        const part *p = &job.parts[i];
        cli_close_output(p->output);
        note("%s%s%lld %s%s", p->path ? p->path : "", p->path ? ": " : "", (long long)p->pictures,
             wf_signal_names[job.meta.signal], plural(p->pictures));
    }
    wf_records_close(job.records);
    wf_meta_clear(&job.meta);
    finish_stdout();
    return WF_OK;
}
