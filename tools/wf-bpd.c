/* wf-bpd - held-out bits per dimension of a model, in total and by level */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/evaluate.h"
#include "../lib/store.h"
#include "cli.h"

static const char *model_path, *store_path;
static bool per_image, json;
static int64_t limit;

static const cli_option table[] = {
    {'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder."},
    {'s', "store", "STORE", CLI_STRING, &store_path, 0, 0,
     "Coefficients to evaluate; -, the default, is a stream on stdin."},
    {'n', "count", "N", CLI_COUNT, &limit, 1, 1e12, "Only the first N pictures."},
    {0, "per-image", NULL, CLI_FLAG, &per_image, 0, 0, "One line per picture: index, total, and each level."},
    {0, "json", NULL, CLI_FLAG, &json, 0, 0, "One JSON object in place of the table."},
    {0}};

static const cli_program program = {
    .name = "wf-bpd",
    .summary = "bits per dimension of pictures under a Wavelet Flow model",
    .synopsis = "-m MODEL [-s STORE] [--per-image] [--json] [-]",
    .description =
        "Evaluates every picture at every level that the data carries and prints each level's contribution and their sum, "
        "with standard errors over pictures. Contributions are per dimension of the whole picture, so that they add up. "
        "On a terminal it is a table, else tab-separated values; --json is one object.\n\n"
        "Pixels are dequantized with uniform noise, of which every level sees its exact share. The noise of a picture "
        "depends on --seed and its index alone. Data without the lower levels (wf-dwt -l) gets those levels' figures and "
        "no total.",
    .examples = "wf-dwt test.tar | wf-bpd -m model\n"
                "    a table by level\n"
                "wf-bpd -m model -s test.wf --json\n"
                "    from a store, for scripts",
    .options = table};

static wf_backend *backend;
static wf_model model;
static wf_meta meta; /* of the data */

/* Bits per dimension of every picture at one level, in the order of arrival. */
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
    wf_flow_spec spec = {.K = w->K, .C = w->C, .kernel = w->kernel, .precision = w->precision};
    must(wf_evaluator_create(backend, &meta, l, w->chain, &spec, w->params, common.seed, &levels[l].evaluator));
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

static void take(const wf_record *r)
{
    struct level *l = &levels[r->level];
    int64_t N = limit && r->N > limit - l->n ? limit - l->n : r->N;
    if (N <= 0)
        return;
    open_level(r->level);
    make_room(l, N);
    memcpy(l->index + l->n, r->index, (size_t)N * sizeof *r->index);
    must(wf_evaluator_run(&l->evaluator, N, r->low, r->detail, r->index, l->bits + l->n));
    l->n += N;
}

static void from_stream(void)
{
    wf_reader *reader;
    wf_record record;
    bool more = true;
    must(wf_reader_create(stdin, "stdin", &reader));
    must(wf_meta_copy(&meta, wf_reader_meta(reader)));
    must(wf_meta_match(&meta, "stdin", &model.meta, model_path));
    while (more) {
        must(wf_reader_next(reader, &record, &more));
        if (more)
            take(&record);
    }
    wf_reader_destroy(reader);
}

static void level_from_store(wf_store *store, int l)
{
    wf_level_shape s = wf_meta_level(&meta, l);
    int64_t count = wf_store_count(store), chunk = wf_level_batch(s.H, s.W);
    size_t each = (size_t)s.H * (size_t)s.W * (size_t)s.C;
    uint64_t index[64];
    size_t details = (size_t)wf_bands(meta.signal) * each;
    float *low = malloc((size_t)chunk * (each + details) * sizeof *low), *detail = low + (size_t)chunk * each;
    if (!low)
        die(WF_AGAIN, "out of memory");
    for (int64_t at = 0; at < count && (!limit || at < limit); at += chunk) {
        wf_record r = {.level = l, .low = low, .detail = l ? detail : NULL, .index = index};
        for (; r.N < chunk && at + r.N < count; r.N++)
            must(wf_store_get(store, l, at + r.N, low + (size_t)r.N * each, detail + (size_t)r.N * details,
                              &index[r.N]));
        take(&r);
    }
    free(low);
    close_level(l);
}

static void from_store(void)
{
    wf_store *store;
    must(wf_store_open(store_path, &store));
    must(wf_meta_copy(&meta, wf_store_meta(store)));
    must(wf_meta_match(&meta, store_path, &model.meta, model_path));
    for (int l = 0; l <= meta.top; l++)
        if (wf_store_has_level(store, l))
            level_from_store(store, l);
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

static wf_mean level_mean(int l)
{
    wf_mean mean = {0};
    for (int64_t n = 0; n < levels[l].n; n++)
        wf_mean_add(&mean, levels[l].bits[n]);
    return mean;
}

static void print_per_image(int first, bool whole)
{
    printf("index%s", whole ? "\ttotal" : "");
    for (int l = 0; l <= meta.levels; l++)
        if (levels[l].n)
            printf("\tlevel%d", l);
    for (int64_t n = 0; n < levels[first].n; n++) {
        printf("\n%" PRIu64, levels[first].index[n]);
        if (whole)
            printf("\t%.6f", picture_total(n));
        for (int l = 0; l <= meta.levels; l++)
            if (levels[l].n)
                printf("\t%.6f", levels[l].bits[n]);
    }
    putchar('\n');
}

static void print_json(const wf_mean *total)
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
    puts("}");
}

static void print_table(const wf_mean *total)
{
    bool terminal = isatty(STDOUT_FILENO);
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
        printf(terminal ? "%-19s %12.4f %10.4f\n" : "%s\t\t%.6f\t%.6f\n", "total", total->mean, wf_mean_error(total));
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
    wf_mean total = {0};
    for (int64_t n = 0; n < levels[first].n; n++)
        wf_mean_add(&total, whole ? picture_total(n) : NAN);
    if (per_image)
        print_per_image(first, whole);
    else if (json)
        print_json(&total);
    else
        print_table(&total);
    finish_stdout();

    for (int l = 0; l <= meta.levels; l++) {
        close_level(l);
        free(levels[l].index);
        free(levels[l].bits);
    }
    wf_meta_clear(&meta);
    wf_model_clear(&model);
    backend->close(backend);
    return 0;
}
