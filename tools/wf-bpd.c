/* wf-bpd.c - held-out bits per dimension of a model, in total and by level */
#include <string.h>

#include "../lib/model/evaluation.h"
#include "bpd_shards.h"
#include "cli_io.h"
#include "given.h"
#include "given_table.h"
#include "interrupt.h"
#include "level_work.h"
#include "progress.h"
#include "start.h"

static struct options {
    const char *model_path, *store_path; /* store_path NULL: the operand */
    const char *given_path, *grid_path;
    int64_t count, samples, top;
    int split, precision;
    bool per_image, json, join;
    wf_shard shard; /* n = 0: not given */
} options;

enum { ALL, HELD_OUT, TRAINED };

static const cli_option table[] = {
    CLI_MODEL(&options.model_path),
    {'s', "store", "STORE", CLI_STRING, &options.store_path, 0, 0,
     "Coefficients to evaluate: a store, a file with a stream, or -, a stream on stdin, the default."},
    {0, "split", "all|val|train", CLI_CHOICE, &options.split, 0, 0,
     "Evaluate those pictures of the store that the training of the model held out (val), or those that it was trained "
     "on; the store must be the one of the training (default all)."},
    {'n', "count", "N", CLI_COUNT, &options.count, 1, 1e12, "Evaluate the first N pictures only."},
    {0, "iw", "K", CLI_COUNT, &options.samples, 1, 1e6,
     "Also compute importance-weighted bits/dim from K draws of each picture's noise; see above."},
    {0, "precision", "trained|fp32|bf16|tf32", CLI_CHOICE, &options.precision, 0, 0,
     "Compute in this precision (default trained: the one of each level's file, on every machine, so that a figure "
     "depends on the model and the pictures alone; wf-train-level --precision says when it is not fp32)."},
    {0, "given", "FILE.npy", CLI_STRING, &options.given_path, 0, 0,
     "What each picture is given, as in the training: rows by the pictures' numbers."},
    {0, "given-grid", "labels|FILE.npy", CLI_STRING, &options.grid_path, 0, 0,
     "Give every picture each row of the file, or each label, in turn: print its log likelihood under each, in nats, "
     "and the row under which it is most probable. With --given also count how often that is the picture's own. Needs "
     "a store."},
    {0, "per-image", NULL, CLI_FLAG, &options.per_image, 0, 0,
     "Print one line per picture: index, total, each level, and the name of its file, or its index again."},
    {0, "json", NULL, CLI_FLAG, &options.json, 0, 0,
     "Print one JSON object in place of the table; with --per-image or --top one a line for each picture."},
    {0, "top", "N", CLI_COUNT, &options.top, 1, 1e12,
     "Print the N pictures of most bits/dim, the strangest to the model, highest first: bits/dim and name; with "
     "--per-image its columns, with --json its objects."},
    CLI_SHARD_OF(&options.shard, "The table gets columns for --join, and all digits."),
    {0, "join", NULL, CLI_FLAG, &options.join, 0, 0,
     "Print the table of a run from the tables of all its shards, which are the operands."},
    CLI_THREADS,
    CLI_SEED,
    CLI_BACKEND_AUTO,
    {0}};

static const cli_program program = {
    .name = "wf-bpd",
    .summary = "bits per dimension of pictures under a Wavelet Flow model",
    .synopsis =
        "-m MODEL [-s STORE] [--split val] [--iw K] [--top N] [--per-image] [--json] [--shard I/N|--join] [FILE|STORE]",
    .description =
        "Computes how probable pictures are under a model that wf-train-level trained, as bits per dimension: the "
        "negative log2 of the density, divided by the number of samples (height x width x channels). Lower is "
        "better. It prints each level's contribution and their sum, with standard errors over pictures. "
        "Contributions are per dimension of the whole picture, so they add up. Data without the lower levels (wf-dwt "
        "-l) has no total.\n\n"
        "On a terminal the output is a table, otherwise tab-separated values; with --json it is one object.\n\n"
        "--per-image and --top name pictures: in a folder, the path below it (wf-stream(5)). Pictures that are much "
        "more probable than the training pictures are strange, too; they have the lowest figures.\n\n"
        "--shard evaluates a share of the pictures, those that -n and --split leave. Means and errors of all pictures "
        "follow from the tables of all shares (--join), and are those of one run. Lists of pictures are joined by "
        "sort: (head -n 1 1.tsv; tail -qn +2 *.tsv | sort -n).\n\n"
        "Pixels are dequantized: noise between 0 and 1 is added to each. The noise is uniform, and every level sees "
        "its exact share, unless the model has learnt its noise (wf-train-level --dequantize). A picture's noise "
        "depends on --seed and the picture's index alone.\n\n"
        "Fields (wf-dwt --float) have no noise. Their figures are nats per dimension in the unit of the data, exact, "
        "and may be negative. --json calls them nats, not bpd; --iw and --shard are refused.\n\n"
        "Averaged over noise, the total bounds the discrete bits/dim from above. --iw K averages K density ratios "
        "before the logarithm: tighter, exact as K grows (Burda et al. 2016). A draw is then one noise on the pixels "
        "of the whole picture, which every level sees through the wavelet, because the densities of all levels are "
        "multiplied. Levels and total become means over the K draws. For K = 1 both figures are equal. The cost is "
        "K-fold.\n\n"
        "Levels with lattice (wf-chain(7)) give whole numbers exact probabilities and take no noise. Where a model has "
        "such levels, a last column says of each figure whether it is exact or a bound. The total is neither, an "
        "estimate, if a flow is finer than such a level: the flow sees the level's numbers with noise, so the figures "
        "of both are not of one distribution. Their total may be too low, most of all where pictures are flat.",
    .examples = "wf-dwt test.tar | wf-bpd -m model\n"
                "    a table by level\n"
                "wf-dwt --like model photos/ | wf-bpd -m model --top 3\n"
                "    the three strangest pictures of a folder\n"
                "wf-bpd -m model -s test.wf --json\n"
                "    from a store, for scripts\n"
                "wf-bpd -m model -s train.wf --split val\n"
                "    the pictures that training held out\n"
                "wf-bpd -m digits test.store --given labels.npy --given-grid labels\n"
                "    the class of each picture by Bayes' rule, for a model that was trained with labels\n"
                "wf-bpd -m model -s test.wf -n 100 --iw 100\n"
                "    a tighter bound on a hundred pictures\n"
                "wf-bpd -m model -s test.wf --shard 3/8 > part-3.tsv; wf-bpd --join part-*.tsv\n"
                "    the third of eight shares; the table of all",
    .options = table,
    .fields = true};

/* The precision that --precision names; NULL: that of each level. */
static const wf_precision *given_precision(void)
{
    static const wf_precision all[] = {WF_FP32, WF_BF16, WF_TF32};
    return options.precision ? &all[options.precision - 1] : NULL;
}

/* Pictures of the shard, or all, among the first `count`. */
static int64_t own_count(int64_t count)
{
    return wf_shard_count(options.shard, 0, count);
}

static const wf_given *given; /* to the pictures */

static wf_evaluation *open_evaluation(const wf_model *model, wf_backend *backend, const wf_meta *meta, const char *name,
                                      uint64_t run, wf_watch watch)
{
    wf_evaluation *e = NULL;
    wf_evaluation_spec spec = {.seed = common.seed,
                               .count = own_count(options.count),
                               .samples = options.samples,
                               .shard = options.shard,
                               .run = run,
                               .precision = given_precision(),
                               .given = given,
                               .watch = watch};
    must(wf_evaluation_create(model, backend, meta, name, &spec, &e));
    return e;
}

/* Says what is evaluated. count: pictures, -1: not known. */
static void say_start(const wf_model *model, const wf_backend *backend, const wf_meta *meta, int64_t count)
{
    char pictures[START_PICTURES], job[START_PICTURES + 32];
    size_t n = strlen(start_pictures(count, meta, pictures));
    if (options.shard.n)
        snprintf(pictures + n, sizeof pictures - n, ", shard %d of %d", options.shard.i, options.shard.n);
    snprintf(job, sizeof job, options.samples ? "%s, %lld draw%s each" : "%s", pictures, (long long)options.samples,
             plural(options.samples));
    start_note(backend, model, 0, meta->top, given_precision(), job);
}

/* The part of the store that --split names; NULL: all. */
static wf_store *open_split(const wf_model *model, wf_store *whole, const char *name)
{
    int percent;
    wf_store *part;
    if (options.split == ALL)
        return NULL;
    if (!whole)
        die(WF_USAGE, "%s: a stream: --split needs the store that the model was trained on", name);
    must(wf_model_held_out(model, wf_store_hash(whole), name, &percent));
    must(wf_store_open_part(whole, percent, options.split == HELD_OUT ? WF_PART_HELD_OUT : WF_PART_TRAINED, &part));
    return part;
}

/* A store is evaluated level by level, a stream batch by batch. */
static wf_watch begin_work(const wf_model *model, const wf_meta *meta, const wf_store *store, int64_t count)
{
    level_work work = {.model = model,
                       .meta = meta,
                       .last = meta->top,
                       .pictures = count < 0 && options.count ? own_count(options.count) : count,
                       .times = options.samples ? options.samples : 1,
                       .counts = store ? LEVEL_WORK_EACH : LEVEL_WORK_LAST};
    while (store && work.first < work.last && !wf_store_has_level(store, work.first))
        work.first++;
    interrupt_ends("nothing is printed");
    return level_work_begin(&work);
}

static wf_evaluation *evaluate(const wf_model *model, wf_backend *backend, wf_records *input)
{
    const wf_meta *meta = wf_records_meta(input);
    const char *name = wf_records_name(input);
    if (wf_meta_is_field(meta) && (options.samples || options.shard.n))
        die(WF_USAGE, "%s: fields: --iw and --shard are for quantized pictures", name);
    wf_store *whole = wf_records_store(input), *part = open_split(model, whole, name), *share = NULL;
    int64_t most = options.count, count = part ? wf_store_count(part) : wf_records_count(input);
    if (options.shard.n && whole)
        must(wf_store_open_shard(part ? part : whole, options.shard, most, &share));
    else if (options.shard.n)
        must(wf_records_shard(input, options.shard));
    wf_store *store = share ? share : part ? part : whole;
    count = count < 0 ? count : own_count(most && count > most ? most : count);
    uint64_t run = bpd_run(model, meta, whole);
    wf_evaluation *e = open_evaluation(model, backend, meta, name, run, begin_work(model, meta, store, count));
    wf_record record;
    if (!given || given->row <= 0) /* once for a grid */
        say_start(model, backend, meta, count);
    if (store)
        must(wf_evaluation_put_store(e, store));
    while (!store && cli_next(input, &record))
        if (!most || own_count(most))
            must(wf_evaluation_put(e, &record));
    progress_end();
    wf_store_close(share);
    wf_store_close(part);
    return e;
}

static int join(int first)
{
    wf_figures figures;
    if (options.model_path || options.shard.n || options.per_image || options.top || options.store_path ||
        options.count || options.samples || options.split || options.precision || options.given_path ||
        options.grid_path)
        die(WF_USAGE, "--join: takes tables of shards and --json, and no other option");
    bpd_join(first, &figures);
    bpd_print(&figures, options.json);
    finish_stdout();
    return WF_OK;
}

static void print(wf_evaluation *e)
{
    wf_figures figures;
    if (options.top)
        must(wf_evaluation_rank(e, options.top));
    wf_evaluation_figures(e, &figures);
    if ((options.per_image || options.top) && options.json)
        must(wf_evaluation_write_picture_lines(e, stdout));
    else if (options.per_image)
        wf_evaluation_write_pictures(e, stdout);
    else if (options.top)
        wf_evaluation_write_ranks(e, stdout);
    else
        bpd_print(&figures, options.json);
}

typedef struct job {
    const wf_model *model;
    wf_backend *backend;
    wf_records *input;
} job;

/* A given_evaluate. */
static wf_evaluation *evaluate_given(void *user, const wf_given *rows)
{
    const job *j = user;
    given = rows;
    wf_evaluation *e = evaluate(j->model, j->backend, j->input);
    must(wf_evaluation_finish(e));
    return e;
}

/* A picture's noise is the same under all rows of a grid. */
static void print_grid(job *j)
{
    if (options.per_image || options.top || options.samples)
        die(WF_USAGE, "--given-grid excludes --per-image, --top and --iw: it prints a line a picture, of one draw");
    if (!wf_records_store(j->input))
        die(WF_USAGE, "%s: a stream: --given-grid needs a store, to read it again", wf_records_name(j->input));
    given_table_print(j->model, wf_records_meta(j->input), options.grid_path, given, options.json, evaluate_given, j);
}

int main(int argc, char **argv)
{
    wf_model model;
    wf_backend *backend;
    int first = cli_parse(&program, argc, argv);
    if (options.join)
        return join(first);
    if (!options.model_path)
        die(WF_USAGE, "-m MODEL is needed");
    found_open_model(options.model_path, &model);
    backend = start_backend();
    wf_records *input = cli_open_store_or_input(options.store_path, first);
    given = given_read(options.given_path);
    given_expect(given, wf_records_count(input), wf_records_name(input));
    job all = {&model, backend, input};
    wf_evaluation *e = options.grid_path ? NULL : evaluate_given(&all, given);
    if (e)
        print(e);
    else
        print_grid(&all);
    finish_stdout();
    wf_evaluation_destroy(e);
    wf_records_close(input);
    wf_model_clear(&model);
    backend->close(backend);
    return WF_OK;
}
