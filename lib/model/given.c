/* given.c - labels and vectors of pictures, as channels of a condition */
#include "given.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../base/number.h"

int wf_given_channels(const wf_given_kind *kind)
{
    return kind->classes + kind->numbers;
}

void wf_given_hash(const wf_given *given, char out[20])
{
    size_t bytes = (size_t)given->rows * (size_t)given->columns * sizeof *given->values;
    snprintf(out, 20, "%016llx", (unsigned long long)XXH3_64bits_withSeed(given->values, bytes, given->labels));
}

bool wf_given_same(const wf_given_kind *a, const wf_given_kind *b)
{
    bool same = a->classes == b->classes && a->numbers == b->numbers;
    for (int i = 0; same && i < a->numbers; i++)
        same = a->mean[i] == b->mean[i] && a->deviation[i] == b->deviation[i];
    return same;
}

/* Measures mean and deviation of a column, in two passes. A column that does not vary keeps its scale. */
static void measure_column(const wf_given *g, int column, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < g->rows; n++)
        sum += g->values[n * g->columns + column] / (double)g->rows;
    for (int64_t n = 0; n < g->rows; n++)
        squares += pow(g->values[n * g->columns + column] - sum, 2) / (double)g->rows;
    *mean = sum;
    *deviation = squares > 0 ? sqrt(squares) : 1;
}

static int measure_labels(const wf_given *g, wf_given_kind *out)
{
    for (int64_t n = 0; n < g->rows; n++) {
        double label = g->values[n];
        WF_CHECK(label >= 0 && label < WF_MAX_GIVEN, WF_DATA,
                 "%s: row %lld is label %g, expected 0 to %d; save numbers that are no labels as floats", g->name,
                 (long long)n, label, WF_MAX_GIVEN - 1);
        out->classes = (int)label >= out->classes ? (int)label + 1 : out->classes;
    }
    return WF_OK;
}

int wf_given_measure(const wf_given *g, wf_given_kind *out)
{
    *out = (wf_given_kind){0};
    WF_CHECK(g->rows > 0, WF_DATA, "%s: no rows", g->name);
    if (g->labels)
        return measure_labels(g, out);
    WF_CHECK(g->columns >= 1 && g->columns <= WF_MAX_GIVEN, WF_DATA, "%s: %d numbers a row, expected 1 to %d", g->name,
             g->columns, WF_MAX_GIVEN);
    for (int64_t i = 0; i < g->rows * g->columns; i++)
        WF_CHECK(isfinite(g->values[i]), WF_DATA, "%s: row %lld holds a number that is not finite", g->name,
                 (long long)(i / g->columns));
    out->numbers = g->columns;
    for (int i = 0; i < g->columns; i++)
        measure_column(g, i, &out->mean[i], &out->deviation[i]);
    return WF_OK;
}

int wf_given_check(const wf_given *g, const wf_given_kind *kind, const char *who)
{
    WF_CHECK(!g || wf_given_channels(kind), WF_USAGE, "%s was trained without --given", who);
    WF_CHECK(g || !wf_given_channels(kind), WF_USAGE, "%s was trained with %s of each picture: give it %s", who,
             kind->classes ? "a label" : "numbers", kind->classes ? "labels" : "numbers");
    if (!g)
        return WF_OK;
    WF_CHECK(!kind->classes || g->columns == 1, WF_DATA, "%s: %d numbers a row, and %s was trained with a label",
             g->name, g->columns, who);
    WF_CHECK(kind->classes || g->columns == kind->numbers, WF_DATA, "%s: %d numbers a row, and %s was trained with %d",
             g->name, g->columns, who, kind->numbers);
    for (int64_t i = 0; i < g->rows * g->columns; i++) {
        double v = g->values[i];
        WF_CHECK(isfinite(v), WF_DATA, "%s: row %lld holds a number that is not finite", g->name,
                 (long long)(i / g->columns));
        WF_CHECK(!kind->classes || (v >= 0 && v < kind->classes && v == floor(v)), WF_DATA,
                 "%s: row %lld is label %g, and %s was trained with 0 to %d", g->name, (long long)i, v, who,
                 kind->classes - 1);
    }
    return WF_OK;
}

int wf_given_write(const wf_given *g, const wf_given_kind *kind, uint64_t picture, float *channels)
{
    uint64_t row = g->row >= 0 ? (uint64_t)g->row : picture;
    WF_CHECK(row < (uint64_t)g->rows, WF_DATA, "%s: %lld rows, and none for picture %llu", g->name, (long long)g->rows,
             (unsigned long long)picture);
    const double *own = g->values + row * (uint64_t)g->columns;
    for (int i = 0; i < kind->classes; i++)
        channels[i] = own[0] == i;
    for (int i = 0; i < kind->numbers; i++)
        channels[i] = (float)((own[i] - kind->mean[i]) / kind->deviation[i]);
    return WF_OK;
}

const char *wf_given_text(const wf_given_kind *kind, char out[WF_GIVEN_TEXT])
{
    size_t used = 0;
    *out = '\0';
    if (kind->classes)
        snprintf(out, WF_GIVEN_TEXT, "labels %d", kind->classes);
    else if (kind->numbers)
        used = (size_t)snprintf(out, WF_GIVEN_TEXT, "numbers");
    for (int i = 0; i < kind->numbers; i++)
        used +=
            (size_t)wf_snprintf(out + used, WF_GIVEN_TEXT - used, " %.17g:%.17g", kind->mean[i], kind->deviation[i]);
    return out;
}

/* Reads " MEAN:DEVIATION" at *at. */
static bool take_number(const char **at, double *mean, double *deviation)
{
    char *end;
    if (**at != ' ')
        return false;
    *mean = wf_strtod(*at + 1, &end);
    if (end == *at + 1 || *end != ':')
        return false;
    const char *second = end + 1;
    *deviation = wf_strtod(second, &end);
    *at = end;
    return end > second && isfinite(*mean) && isfinite(*deviation) && *deviation > 0;
}

int wf_given_parse(const char *text, const char *who, wf_given_kind *out)
{
    *out = (wf_given_kind){0};
    bool good = !text;
    if (text && !strncmp(text, "labels ", 7)) {
        char *end;
        long classes = strtol(text + 7, &end, 10);
        good = end > text + 7 && !*end && classes >= 1 && classes <= WF_MAX_GIVEN;
        out->classes = good ? (int)classes : 0;
    } else if (text && !strncmp(text, "numbers ", 8)) {
        const char *at = text + 7;
        for (good = true; good && *at && out->numbers < WF_MAX_GIVEN; out->numbers++)
            good = take_number(&at, &out->mean[out->numbers], &out->deviation[out->numbers]);
        good = good && !*at;
    }
    WF_CHECK(good, WF_DATA, "%s: \"given\" is not labels or numbers with their means and deviations", who);
    return WF_OK;
}
