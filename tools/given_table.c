/* given_table.c - one evaluation for each row, turned into lines by picture */
#include "given_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/number.h"
#include "cli.h"
#include "given.h"

typedef struct given_table {
    const wf_given *grid;  /* [rows] */
    const wf_given *truth; /* what each picture is given; NULL: not known */
    int64_t pictures;
    double *likelihoods; /* [pictures,rows], nats */
    uint64_t *index;     /* [pictures] */
    char **names;        /* [pictures]; NULL: none */
} given_table;

static void begin(given_table *t, const wf_evaluation *e)
{
    t->pictures = wf_evaluation_count(e);
    size_t n = (size_t)t->pictures;
    t->likelihoods = must_allocate(n, (size_t)t->grid->rows * sizeof *t->likelihoods, "likelihoods");
    t->index = must_allocate(n, sizeof *t->index, "the numbers of pictures");
    t->names = must_allocate(n, sizeof *t->names, "the names of pictures");
    for (int64_t i = 0; i < t->pictures; i++) {
        const char *name = wf_evaluation_name(e, i);
        t->index[i] = wf_evaluation_index(e, i);
        t->names[i] = name ? strdup(name) : NULL;
        if (name && !t->names[i])
            die(WF_AGAIN, "out of memory for the names of pictures");
    }
}

/* Takes the likelihoods under row `row`; all calls have the same pictures. */
static void take(given_table *t, int64_t row, const wf_evaluation *e, const wf_meta *meta)
{
    double nats = -(wf_meta_is_field(meta) ? 1 : log(2)) * meta->H * (double)meta->W * meta->C;
    if (!t->likelihoods)
        begin(t, e);
    for (int64_t i = 0; i < t->pictures; i++) {
        double bits = 0;
        for (int l = 0; l <= meta->top; l++)
            bits += wf_evaluation_bits(e, l) ? wf_evaluation_bits(e, l)[i] : 0;
        t->likelihoods[i * t->grid->rows + row] = nats * bits;
    }
}

/* Returns the row of the highest likelihood, and writes its probability among all rows. */
static int64_t best_row(const given_table *t, int64_t picture, double *probability)
{
    const double *own = t->likelihoods + picture * t->grid->rows;
    int64_t best = 0;
    double sum = 0;
    for (int64_t g = 1; g < t->grid->rows; g++)
        best = own[g] > own[best] ? g : best;
    for (int64_t g = 0; g < t->grid->rows; g++)
        sum += exp(own[g] - own[best]);
    *probability = 1 / sum;
    return best;
}

/* Numbers of a row: "3", "0.5,2". */
static void print_row(const wf_given *rows, int64_t row)
{
    for (int i = 0; i < rows->columns; i++)
        wf_fprintf(stdout, "%s%.10g", i ? "," : "", rows->values[row * rows->columns + i]);
}

/* Dies unless each picture has a row of the truth. */
static void expect_truth(const given_table *t)
{
    for (int64_t i = 0; t->truth && i < t->pictures; i++)
        if (t->index[i] >= (uint64_t)t->truth->rows)
            die(WF_DATA, "%s: %lld rows, and none for picture %llu", t->truth->name, (long long)t->truth->rows,
                (unsigned long long)t->index[i]);
}

/* True if the picture is given just the numbers of that row. */
static bool is_truth(const given_table *t, int64_t picture, int64_t row)
{
    int columns = t->grid->columns;
    const double *truth = t->truth->values + (int64_t)t->index[picture] * columns;
    const double *own = t->grid->values + row * columns;
    bool same = true;
    for (int i = 0; i < columns; i++)
        same = same && truth[i] == own[i];
    return same;
}

static void print_line(const given_table *t, int64_t i, int64_t best, double probability)
{
    wf_write_name(stdout, t->names[i], t->index[i]);
    putchar('\t');
    print_row(t->grid, best);
    wf_fprintf(stdout, "\t%.6f", probability);
    if (t->truth) {
        putchar('\t');
        print_row(t->truth, (int64_t)t->index[i]);
    }
    for (int64_t g = 0; g < t->grid->rows; g++)
        wf_fprintf(stdout, "\t%.4f", t->likelihoods[i * t->grid->rows + g]);
    putchar('\n');
}

static void print_object(const given_table *t, int64_t i, int64_t best, double probability)
{
    wf_fprintf(stdout, "{\"index\": %" PRIu64, t->index[i]);
    if (t->names[i]) {
        fputs(", \"name\": ", stdout);
        must(wf_write_json_name(stdout, t->names[i]));
    }
    fputs(", \"best\": [", stdout);
    print_row(t->grid, best);
    wf_fprintf(stdout, "], \"p\": %.6f", probability);
    if (t->truth) {
        fputs(", \"given\": [", stdout);
        print_row(t->truth, (int64_t)t->index[i]);
        putchar(']');
    }
    fputs(", \"log_likelihoods\": [", stdout);
    for (int64_t g = 0; g < t->grid->rows; g++)
        wf_fprintf(stdout, "%s%.4f", g ? ", " : "", t->likelihoods[i * t->grid->rows + g]);
    fputs("]}\n", stdout);
}

static void print_heads(const given_table *t)
{
    fputs("name\tbest\tp", stdout);
    if (t->truth)
        fputs("\tgiven", stdout);
    for (int64_t g = 0; g < t->grid->rows; g++) {
        putchar('\t');
        print_row(t->grid, g);
    }
    putchar('\n');
}

static void print(const given_table *t, bool json)
{
    int64_t right = 0;
    if (!json)
        print_heads(t);
    for (int64_t i = 0; i < t->pictures; i++) {
        double probability;
        int64_t best = best_row(t, i, &probability);
        right += t->truth && is_truth(t, i, best);
        if (json)
            print_object(t, i, best, probability);
        else
            print_line(t, i, best, probability);
    }
    if (t->truth)
        note("the best row is the one given for %lld of %lld pictures, %.2f%%", (long long)right,
             (long long)t->pictures, 100 * (double)right / (double)t->pictures);
}

static void clear(given_table *t)
{
    for (int64_t i = 0; i < t->pictures; i++)
        free(t->names[i]);
    free(t->names);
    free(t->index);
    free(t->likelihoods);
}

void given_table_print(const wf_model *model, const wf_meta *pictures, const char *text, const wf_given *truth,
                       bool json, given_evaluate *evaluate, void *user)
{
    wf_given grid = given_grid(model, text, truth);
    given_table t = {.grid = &grid, .truth = truth};
    for (grid.row = 0; grid.row < grid.rows; grid.row++) {
        wf_evaluation *e = evaluate(user, &grid);
        take(&t, grid.row, e, pictures);
        wf_evaluation_destroy(e);
    }
    expect_truth(&t);
    print(&t, json);
    clear(&t);
}
