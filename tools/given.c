/* given.c - rows that are given, from a file or from the command line */
#include "given.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/base/number.h"
#include "../lib/image/image.h"
#include "../lib/model/level.h"
#include "cli.h"

/* Keeps rows until the program ends. */
static const wf_given *keep(wf_given given)
{
    wf_given *kept = must_allocate(1, sizeof *kept, "what is given");
    *kept = given;
    return kept;
}

const wf_given *given_read(const char *path)
{
    wf_table table;
    if (!path)
        return NULL;
    must(wf_table_read(path, &table));
    return keep((wf_given){path, table.whole && table.columns == 1, table.rows, table.columns, table.values, -1});
}

/* Reads numbers between commas. Returns how many; 0: the text is something else. */
static int take_numbers(const char *text, double values[WF_MAX_GIVEN])
{
    int n = 0;
    for (const char *at = text;; at++) {
        char *end;
        if (n == WF_MAX_GIVEN)
            return 0;
        values[n++] = wf_strtod(at, &end);
        if (end == at || (*end && *end != ','))
            return 0;
        at = end;
        if (!*at)
            return n;
    }
}

const wf_given *given_parse(const char *text)
{
    double numbers[WF_MAX_GIVEN];
    int n = text ? take_numbers(text, numbers) : 0;
    if (!n) {
        const wf_given *rows = given_read(text);
        wf_given one = rows ? *rows : (wf_given){0};
        one.row = 0;
        return rows && rows->rows == 1 ? keep(one) : rows;
    }
    double *values = must_allocate((size_t)n, sizeof *values, "what is given");
    memcpy(values, numbers, (size_t)n * sizeof *values);
    return keep((wf_given){"--given", false, 1, n, values, 0});
}

void given_expect(const wf_given *given, int64_t count, const char *name)
{
    if (given && given->row < 0 && count >= 0 && given->rows != count)
        die(WF_DATA, "%s: %lld rows, but there are %lld pictures in %s", given->name, (long long)given->rows,
            (long long)count, name);
}

void given_expect_training(const wf_given *given, int64_t count, const char *name)
{
    wf_given_kind kind;
    if (given)
        must(wf_given_measure(given, &kind));
    given_expect(given, count, name);
}

/* Labels 0 .. classes - 1. */
static wf_given all_labels(int classes)
{
    double *values = must_allocate((size_t)classes, sizeof *values, "labels");
    for (int i = 0; i < classes; i++)
        values[i] = i;
    return (wf_given){"labels", true, classes, 1, values, 0};
}

wf_given given_grid(const wf_model *model, const char *text, const wf_given *truth)
{
    wf_level_summary level;
    must(wf_level_summarize(model, 0, &level));
    if (!wf_given_channels(&level.given))
        die(WF_USAGE, "%s was trained without --given", model->path);
    if (truth)
        must(wf_given_check(truth, &level.given, model->path));
    if (!strcmp(text, "labels") && !level.given.classes)
        die(WF_USAGE, "--given-grid labels: %s was trained with numbers: give a .npy of rows to compare", model->path);
    if (!strcmp(text, "labels"))
        return all_labels(level.given.classes);
    wf_given grid = *given_read(text);
    must(wf_given_check(&grid, &level.given, model->path));
    return grid;
}
