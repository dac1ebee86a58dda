/* wf-score.c - finds the pictures that do not belong to those of a model */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/score/score.h"
#include "cli_io.h"
#include "interrupt.h"
#include "level_work.h"
#include "progress.h"
#include "score_maps.h"
#include "start.h"

static struct options {
    const char *model_path, *store_path, *reference_path, *maps_path; /* store_path NULL: the operand */
    double rate;
    bool json;
} options = {.rate = 0.05};

static const cli_option table[] = {
    CLI_MODEL(&options.model_path),
    {'s', "store", "STORE", CLI_STRING, &options.store_path, 0, 0,
     "Pictures to judge, as coefficients: a store, a file with a stream, or -, a stream on stdin, the default."},
    {0, "ref", "STORE", CLI_STRING, &options.reference_path, 0, 0,
     "Reference: pictures of the kind that the model was trained on, but not those of the training. Of the training's "
     "own store, those that training held out count."},
    {0, "fpr", "X", CLI_DOUBLE, &options.rate, 0, 0,
     "False positive rate: call out at most this share of pictures of the reference's kind, between 0 and 1 (default "
     "0.05). The reference needs at least 1/X - 1 pictures."},
    {0, "map", "DIR", CLI_STRING, &options.maps_path, 0, 0,
     "Write maps of bits into this folder, which is made if needed: NAME.map.png and NAME.map.npy for each picture; "
     "see above. Older maps are replaced."},
    {0, "json", NULL, CLI_FLAG, &options.json, 0, 0, "Print one JSON object a line and picture in place of the table."},
    CLI_THREADS,
    CLI_SEED,
    CLI_BACKEND_AUTO,
    {0}};

static const cli_program program = {
    .name = "wf-score",
    .summary = "pictures that do not belong, by a Wavelet Flow model",
    .synopsis = "-m MODEL [-s STORE] --ref STORE [--fpr X] [--map DIR] [--json] [FILE|STORE]",
    .description =
        "Compares pictures with reference pictures under a model, and says of each whether it is of their kind: in or "
        "out. Bits per dimension alone do not say: a blank picture is more probable to a model of photographs than a "
        "photograph (Nalisnick et al. 2018). wf-score also looks at what else differs.\n\n"
        "It prints one line a picture, separated by tabs, below a line of heads:\n\n"
        "name: of its file, or its number. verdict: out if p is at most --fpr, else in. p: the share of pictures of "
        "the reference's kind that are at least as strange; small is strange. total: bits/dim, as wf-bpd prints it. "
        "corrected: total less the bits/dim of the picture as PNG at level 9, as any model gives simple pictures few "
        "bits (Serra et al. 2020). typicality: distance of total from its mean over the reference, in standard "
        "deviations (Nalisnick et al. 2019). level0 and so on: each level's part of total. mean0, variance0, across0, "
        "down0 and so on: moments of the level's latents, which should be noise: mean 0, variance 1, and correlations "
        "of horizontal and vertical neighbours 0. What is not known is -, or null in JSON: levels with lattice "
        "(wf-chain(7)) have no latents, a single pixel has no neighbours, and a picture may be too strange for a "
        "density in single precision; it counts as stranger than all that have one.\n\n"
        "p is the conformal p-value of these together: corrected, the bits of levels of 64 pixels or more and of the "
        "highest, those of the smaller ones in one, and of the same large levels the moments of latents and the mean "
        "square of each of their channels. It is the rank of the picture's Mahalanobis distance among those of the "
        "reference, with correlations shrunk (Ledoit and Wolf 2004). Whatever the model, pictures of the reference's "
        "kind are called out at the rate --fpr or less, on average over references (Vovk et al. 2005). A model that "
        "knows little makes fewer strangers stand out, but no more false alarms. This holds if the reference was not "
        "used to train and is like the pictures to judge in all but strangeness: made, sized and compressed by the "
        "same steps.\n\n"
        "--map shows where a picture is strange. A level's log density is a sum over the pixels of its low-pass; a map "
        "puts each term back to the square that it stands for. The mean of NAME.map.npy, float32 bits a sample, is the "
        "picture's total. NAME.map.png is black where bits are at most the reference's mean over all its pixels, and "
        "goes over red and yellow to white 8 standard deviations above. Chains that reshape have no maps. Memory: 4 "
        "bytes for 3 pixels of all pictures, the reference's too.\n\n"
        "Noise depends on --seed and the picture's number, as in wf-bpd: in another order p differs a little. p is at "
        "least 1/(n + 1) of n reference pictures: use some hundreds. To judge thousands and follow up each, lower "
        "--fpr. sort orders the table: wf-score .. | sort -t \"$(printf '\\t')\" -g -k 3.",
    .examples = "wf-dwt --like model photos/ | wf-score -m model --ref held-out.store\n"
                "    which photos of a folder are unlike those that the model knows\n"
                "wf-score -m model --ref held-out.store new.store --fpr 0.01 | awk -F '\\t' '$2 == \"out\"'\n"
                "    the strangest, with one false alarm in a hundred\n"
                "wf-score -m model --ref train.store new.store --json\n"
                "    beside the pictures that training held out, for scripts",
    .options = table};

static void check_usage(int first)
{
    if (!options.model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (!options.reference_path)
        die(WF_USAGE, "--ref STORE is needed: held-out pictures of the kind that the model was trained on");
    if (!(options.rate > 0 && options.rate < 1))
        die(WF_USAGE, "--fpr %g: expected a number between 0 and 1", options.rate);
    if (cli_is_dash(options.reference_path) && cli_reads_stdin(options.store_path, first))
        die(WF_USAGE, "standard input cannot be both the reference and the pictures to judge");
}

static bool is_same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The reference, which may be the store to judge: a process opens a store once. */
static wf_store *open_reference(wf_records *input)
{
    bool same = wf_records_store(input) && is_same_folder(wf_records_name(input), options.reference_path);
    return same ? wf_records_store(input) : cli_open_store(options.reference_path);
}

/* The held-out part of the store that levels of the model were trained on; NULL: the store is another, or a level held
 * nothing out. */
static wf_store *open_held_out(const wf_model *model, const wf_store *whole)
{
    wf_store *part;
    int percent = 0;
    for (int l = 0; l <= model->meta.levels; l++) {
        wf_level_summary level;
        must(wf_level_summarize(model, l, &level));
        if (strcmp(level.data, wf_store_hash(whole)) != 0)
            continue;
        if (!level.held_out) {
            note("%s: level %d was trained on all of it: more than --fpr of other pictures of its kind may be "
                 "called out",
                 options.reference_path, l);
            return NULL;
        }
        if (percent && level.held_out != percent)
            die(WF_DATA, "%s: levels held out %d%% and %d%% of it", options.reference_path, percent, level.held_out);
        percent = level.held_out;
    }
    if (!percent)
        return NULL;
    must(wf_store_open_part(whole, percent, WF_PART_HELD_OUT, &part));
    return part;
}

static wf_watch begin_work(const wf_model *model, int64_t pictures, const char *kind, bool each)
{
    level_work work = {.model = model,
                       .meta = &model->meta,
                       .last = model->meta.levels,
                       .pictures = pictures,
                       .times = 1,
                       .kind = kind,
                       .counts = each ? LEVEL_WORK_EACH : LEVEL_WORK_LAST};
    interrupt_ends("nothing is printed");
    return level_work_begin(&work);
}

/* The reference's noise is not that of the pictures with the same numbers: else these would be alike. */
static wf_statistics *measure_reference(const wf_model *model, wf_backend *backend, wf_store *reference, wf_maps *maps)
{
    wf_statistics *s;
    wf_watch watch = begin_work(model, wf_store_count(reference), "reference picture", true);
    must(wf_statistics_create(model, backend, wf_store_meta(reference), options.reference_path, ~common.seed,
                              common.threads, watch, maps, &s));
    must(wf_statistics_put_store(s, reference));
    must(wf_statistics_finish(s));
    int64_t infinite = wf_statistics_infinite(s);
    if (infinite)
        note("%s: %lld reference pictures have no finite density, and nothing is stranger than they",
             options.reference_path, (long long)infinite);
    return s;
}

static wf_statistics *measure_input(const wf_model *model, wf_backend *backend, wf_records *input, wf_maps *maps)
{
    wf_statistics *s;
    wf_record record;
    wf_store *store = wf_records_store(input);
    wf_watch watch = begin_work(model, wf_records_count(input), NULL, store);
    must(wf_statistics_create(model, backend, wf_records_meta(input), wf_records_name(input), common.seed,
                              common.threads, watch, maps, &s));
    if (store)
        must(wf_statistics_put_store(s, store));
    while (!store && cli_next(input, &record))
        must(wf_statistics_put(s, &record));
    must(wf_statistics_finish(s));
    return s;
}

/* A wf_watch. */
static void watch_compared(void *user, int level, int64_t count)
{
    int64_t *done = user;
    (void)level;
    progress_at(*done += count, -1, "compared");
}

static void print(const wf_statistics *reference, const wf_statistics *given)
{
    int64_t N = wf_statistics_count(given), done = 0;
    wf_score *scores = must_allocate((size_t)N, sizeof *scores, "pictures");
    progress_begin("picture", N);
    must(wf_score_compare(reference, options.reference_path, given, options.rate, common.threads,
                          &(wf_watch){watch_compared, &done}, scores));
    progress_end();
    if (options.json)
        must(wf_score_write_lines(given, scores, stdout));
    else
        wf_score_write_table(given, scores, stdout);
    free(scores);
}

int main(int argc, char **argv)
{
    wf_model model;
    wf_maps *reference_maps, *maps;
    char pictures[START_PICTURES], job[START_PICTURES + 64];
    int first = cli_parse(&program, argc, argv);
    check_usage(first);
    found_open_model(options.model_path, &model);
    wf_backend *backend = start_backend();
    wf_records *input = cli_open_store_or_input(options.store_path, first);
    wf_store *whole = open_reference(input);
    must(wf_meta_expect(wf_records_meta(input), wf_records_name(input), &model.meta, options.model_path));
    must(wf_meta_expect(wf_store_meta(whole), options.reference_path, &model.meta, options.model_path));
    wf_store *part = open_held_out(&model, whole), *chosen = part ? part : whole;
    must(wf_score_check_rate(options.rate, wf_store_count(chosen), part, options.reference_path));
    snprintf(job, sizeof job, "%s beside %lld", start_pictures(wf_records_count(input), &model.meta, pictures),
             (long long)wf_store_count(chosen));
    start_note(backend, &model, 0, model.meta.levels, NULL, job);
    score_maps_begin(options.maps_path, &model.meta, &reference_maps, &maps);
    wf_statistics *reference = measure_reference(&model, backend, chosen, reference_maps);
    wf_statistics *given = measure_input(&model, backend, input, maps);
    print(reference, given);
    score_maps_end(options.maps_path, &model.meta, wf_statistics_count(reference), reference_maps, given, maps);
    finish_stdout();
    wf_statistics_destroy(reference);
    wf_statistics_destroy(given);
    wf_store_close(part);
    if (whole != wf_records_store(input))
        wf_store_close(whole);
    wf_records_close(input);
    wf_model_clear(&model);
    backend->close(backend);
    return WF_OK;
}
