/* wf-bpd - held-out bits per dimension of a model, in total and by level */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/model/evaluate.h"
#include "../lib/store/store.h"
#include "cli.h"

static const char *model_path, *store_path;
static bool per_image, json;
static int64_t limit, samples;

static const cli_option table[] = {
    {'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder."},
    {'s', "store", "STORE", CLI_STRING, &store_path, 0, 0,
     "Coefficients to evaluate; -, the default, is a stream on stdin."},
    {'n', "count", "N", CLI_COUNT, &limit, 1, 1e12, "Only the first N pictures."},
    {0, "iw", "K", CLI_COUNT, &samples, 1, 1e6,
     "Importance-weighted bits/dim from K draws of each picture's noise as well."},
    {0, "per-image", NULL, CLI_FLAG, &per_image, 0, 0, "One line per picture: index, total, and each level."},
    {0, "json", NULL, CLI_FLAG, &json, 0, 0, "One JSON object in place of the table."},
    {0}};

static const cli_program program = {
    .name = "wf-bpd",
    .summary = "bits per dimension of pictures under a Wavelet Flow model",
    .synopsis = "-m MODEL [-s STORE] [--iw K] [--per-image] [--json] [-]",
    .description =
        "Evaluates every picture at every level that the data carries and prints each level's contribution and their sum, "
        "with standard errors over pictures. Contributions are per dimension of the whole picture, so that they add up. "
        "On a terminal it is a table, else tab-separated values; --json is one object.\n\n"
        "Pixels are dequantized with uniform noise, of which every level sees its exact share, or as the model has learnt to "
        "(wf-train-level --dequantize). The noise of a picture depends on --seed and its index alone. Data without the lower levels (wf-dwt -l) gets those levels' figures and "
        "no total.\n\n"
        "The total is, in the mean over the noise, an upper bound on the bits/dim of the pictures themselves, whose probability is "
        "the mean over the noise of the density divided by that of the noise. --iw K takes that mean over K draws before the logarithm: a bound too, "
        "which is never higher in the mean and tends to the exact figure as K grows. A draw is then uniform noise on the pixels "
        "of the whole picture, which every level sees through the wavelet, since the densities of all levels are multiplied; "
        "levels and total become means over the draws. With K = 1 both figures are the same. It costs K times as much.",
    .examples = "wf-dwt test.tar | wf-bpd -m model\n"
                "    a table by level\n"
                "wf-bpd -m model -s test.wf --json\n"
                "    from a store, for scripts\n"
                "wf-bpd -m model -s test.wf -n 100 --iw 100\n"
                "    a tighter bound on a hundred pictures",
    .options = table};

static wf_backend *backend;
static wf_model model;
static wf_meta meta; /* of the data */
static wf_pixel_noise noise;

/* Bits per dimension of every picture, in the order of arrival, under each draw of its noise: the sum of its levels. */
static double *drawn; /* [pictures,samples] */
static int64_t drawn_pictures;

/* The same at one level, means over the draws. */
static struct level {
    wf_level weights;
    wf_evaluator evaluator;
    uint64_t *index;
    double *bits;
    int64_t n, capacity;
} levels[WF_MAX_LEVELS + 1];

static void open_level(int l)
{
    wf_level *w = &levels[l].weights;
    if (w->params)
        return;
    must(wf_level_load(&model, l, backend, w));
    must(wf_evaluator_create(backend, &meta, &w->spec, w->params, common.seed, &levels[l].evaluator));
}

static void close_level(int l)
{
    wf_evaluator_clear(&levels[l].evaluator);
    wf_level_clear(&levels[l].weights);
}

static void make_room(struct level *l, int64_t more)
{
    if (l->n + more <= l->capacity)
        return;
    l->capacity = 2 * l->capacity + more;
    l->index = realloc(l->index, (size_t)l->capacity * sizeof *l->index);
    l->bits = realloc(l->bits, (size_t)l->capacity * sizeof *l->bits);
    if (!l->index || !l->bits)
        die(WF_AGAIN, "out of memory for %" PRId64 " pictures", l->capacity);
}

/* Of data whose meta is known. */
static void begin(const char *from)
{
    must(wf_meta_match(&meta, from, &model.meta, model_path));
    if (samples > 1)
        must(wf_pixel_noise_create(backend, &meta, &noise));
}

/* Bits of a record's N pictures, the mean of all draws of whole pictures. */
static void take_draws(const wf_record *r, int64_t N, struct level *l)
{
    double *bits = malloc((size_t)N * sizeof *bits), *mean = l->bits + l->n;
    if (l->n + N > drawn_pictures) {
        drawn = realloc(drawn, (size_t)((l->n + N) * samples) * sizeof *drawn);
        for (int64_t i = drawn_pictures * samples; drawn && i < (l->n + N) * samples; i++)
            drawn[i] = 0;
        drawn_pictures = l->n + N;
    }
    if (!bits || !drawn)
        die(WF_AGAIN, "out of memory for %" PRId64 " draws of %" PRId64 " pictures", samples, l->n + N);
    memset(mean, 0, (size_t)N * sizeof *mean);
    for (int64_t k = 0; k < samples; k++) {
        must(wf_evaluator_draw(&l->evaluator, &noise, (uint64_t)k));
        must(wf_evaluator_run(&l->evaluator, N, r->low, r->detail, r->index, bits));
        for (int64_t n = 0; n < N; n++) {
            mean[n] += bits[n] / (double)samples;
            drawn[(l->n + n) * samples + k] += bits[n];
        }
    }
    free(bits);
}

/* A wf_record_sink: evaluates a record's pictures at its level. */
static int take(void *unused, const wf_record *r)
{
    (void)unused;
    struct level *l = &levels[r->level];
    int64_t N = limit && r->N > limit - l->n ? limit - l->n : r->N;
    if (N <= 0)
        return WF_OK;
    open_level(r->level);
    make_room(l, N);
    memcpy(l->index + l->n, r->index, (size_t)N * sizeof *r->index);
    if (samples > 1)
        take_draws(r, N, l);
    else
        must(wf_evaluator_run(&l->evaluator, N, r->low, r->detail, r->index, l->bits + l->n));
    l->n += N;
    return WF_OK;
}

static void from_stream(void)
{
    wf_reader *reader;
    wf_record record;
    bool more = true;
    must(wf_reader_create(stdin, "stdin", &reader));
    must(wf_meta_copy(&meta, wf_reader_meta(reader)));
    begin("stdin");
    while (more) {
        must(wf_reader_next(reader, &record, &more));
        if (more)
            must(take(NULL, &record));
    }
    wf_reader_destroy(reader);
}

static void from_store(void)
{
    wf_store *store;
    must(wf_store_open(store_path, &store));
    must(wf_meta_copy(&meta, wf_store_meta(store)));
    begin(store_path);
    for (int l = 0; l <= meta.top; l++)
        if (wf_store_has_level(store, l)) {
            must(wf_held_out(store, l, limit ? limit : INT64_MAX, take, NULL));
            close_level(l);
        }
    wf_store_close(store);
}

/* -- figures -------------------------------------------------------------------------------------------------------- */

/* Level whose pictures are counted; every other level must have the very same ones. -1: no picture. */
static int check_levels(bool *whole)
{
    int first = -1, used = 0;
    for (int l = 0; l <= meta.levels; l++) {
        if (!levels[l].n)
            continue;
        if (first < 0)
            first = l;
        used++;
        if (levels[l].n != levels[first].n ||
            memcmp(levels[l].index, levels[first].index, (size_t)levels[l].n * sizeof *levels[l].index))
            die(WF_DATA, "levels %d and %d are not of the same pictures", first, l);
    }
    *whole = used == meta.levels + 1;
    return first;
}

static double picture_total(int64_t n)
{
    double sum = 0;
    for (int l = 0; l <= meta.levels; l++)
        if (levels[l].n)
            sum += levels[l].bits[n];
    return sum;
}

/* Of picture n, importance-weighted. */
static double picture_weighted(int64_t n)
{
    return samples > 1 ? wf_importance_bits(&meta, samples, drawn + n * samples) : picture_total(n);
}

static wf_mean level_mean(int l)
{
    wf_mean mean = {0};
    for (int64_t n = 0; n < levels[l].n; n++)
        wf_mean_add(&mean, levels[l].bits[n]);
    return mean;
}

static void print_per_image(int first, bool whole)
{
    printf("index%s%s", whole ? "\ttotal" : "", whole && samples ? "\tiw" : "");
    for (int l = 0; l <= meta.levels; l++)
        if (levels[l].n)
            printf("\tlevel%d", l);
    for (int64_t n = 0; n < levels[first].n; n++) {
        printf("\n%" PRIu64, levels[first].index[n]);
        if (whole)
            printf("\t%.6f", picture_total(n));
        if (whole && samples)
            printf("\t%.6f", picture_weighted(n));
        for (int l = 0; l <= meta.levels; l++)
            if (levels[l].n)
                printf("\t%.6f", levels[l].bits[n]);
    }
    putchar('\n');
}

static void print_json(const wf_mean *total, const wf_mean *weighted)
{
    printf("{\"pictures\": %" PRId64 ", \"levels\": [", total->n);
    const char *comma = "";
    for (int l = 0; l <= meta.levels; l++) {
        wf_mean m = level_mean(l);
        if (m.n)
            printf("%s{\"level\": %d, \"bpd\": %.6f, \"error\": %.6f}", comma, l, m.mean, wf_mean_error(&m));
        comma = m.n ? ", " : comma;
    }
    fputs("]", stdout);
    if (isfinite(total->mean))
        printf(", \"bpd\": %.6f, \"error\": %.6f", total->mean, wf_mean_error(total));
    if (isfinite(total->mean) && samples)
        printf(", \"iw\": {\"samples\": %" PRId64 ", \"bpd\": %.6f, \"error\": %.6f}", samples, weighted->mean,
               wf_mean_error(weighted));
    puts("}");
}

static void print_table(const wf_mean *total, const wf_mean *weighted)
{
    bool terminal = isatty(STDOUT_FILENO);
    const char *last = terminal ? "%-19s %12.4f %10.4f\n" : "%s\t\t%.6f\t%.6f\n";
    const char *head = terminal ? "%-6s %-12s %12s %10s\n" : "%s\t%s\t%s\t%s\n";
    const char *row = terminal ? "%-6d %-12s %12.4f %10.4f\n" : "%d\t%s\t%.6f\t%.6f\n";
    printf(head, "level", "size", "bits/dim", "+-");
    for (int l = 0; l <= meta.levels; l++) {
        wf_mean m = level_mean(l);
        char size[WF_SIZE_TEXT];
        wf_meta_level_text(&meta, l, size);
        if (m.n)
            printf(row, l, size, m.mean, wf_mean_error(&m));
    }
    if (isfinite(total->mean))
        printf(last, "total", total->mean, wf_mean_error(total));
    if (isfinite(total->mean) && samples) {
        char name[32];
        snprintf(name, sizeof name, "iw %" PRId64, samples);
        printf(last, name, weighted->mean, wf_mean_error(weighted));
    }
}

int main(int argc, char **argv)
{
    bool whole;
    int first = cli_parse(&program, argc, argv);
    if (store_path && !strcmp(store_path, "-"))
        store_path = NULL;
    if (cli_stdin_operand(first, "name the store with -s") && store_path)
        die(WF_USAGE, "-s %s and - exclude each other", store_path);
    if (!model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (per_image && json)
        die(WF_USAGE, "--per-image and --json exclude each other");
    if (!store_path && isatty(STDIN_FILENO))
        die(WF_USAGE, "no --store, and stdin is a terminal: try wf-dwt < pictures | wf-bpd ...");
    must(wf_model_open(model_path, &model));
    must(wf_backend_open(common.backend, common.threads, &backend));
    if (store_path)
        from_store();
    else
        from_stream();

    first = check_levels(&whole);
    if (first < 0)
        die(WF_DATA, "no picture to evaluate");
    wf_mean total = {0}, weighted = {0};
    for (int64_t n = 0; n < levels[first].n; n++) {
        wf_mean_add(&total, whole ? picture_total(n) : NAN);
        wf_mean_add(&weighted, whole ? picture_weighted(n) : NAN);
    }
    if (per_image)
        print_per_image(first, whole);
    else if (json)
        print_json(&total, &weighted);
    else
        print_table(&total, &weighted);
    finish_stdout();

    for (int l = 0; l <= meta.levels; l++) {
        close_level(l);
        free(levels[l].index);
        free(levels[l].bits);
    }
    free(drawn);
    wf_pixel_noise_clear(&noise);
    wf_meta_clear(&meta);
    wf_model_clear(&model);
    backend->close(backend);
    return 0;
}
