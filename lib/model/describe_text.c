/* describe_text.c - descriptions as text and as JSON */
#include <string.h>

#include "../base/file.h"
#include "describe_private.h"

/* Writes text without control characters, which come from a file and would reach a terminal. Returns its length;
 * file NULL: only counts. */
static int put_text(FILE *file, const char *text)
{
    int n = 0;
    for (; text[n]; n++)
        if (file)
            putc((unsigned char)text[n] < ' ' || text[n] == 127 ? '?' : text[n], file);
    return n;
}

int wf_description_put(FILE *file, const json_t *value, const char *between)
{
    int n = 0;
    size_t i;
    json_t *part;
    char digits[24];
    if (json_is_null(value))
        return put_text(file, "-");
    if (json_is_string(value))
        return put_text(file, json_string_value(value));
    if (json_is_integer(value)) {
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
        return put_text(file, digits);
    }
    json_array_foreach ((json_t *)value, i, part) {
        n += i ? put_text(file, between) : 0;
        n += wf_description_put(file, part, between);
    }
    return n;
}

/* Writes the object's value under the key, or, if it has none, its metadata's. */
static int put_field(FILE *file, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        value = json_object_get(json_object_get(object, "metadata"), key);
    return wf_description_put(file, value, strcmp(key, "shape") ? "," : "x");
}

/* Writes one line a scalar or list of integers; objects inside as if their content stood here. */
static void put_scalars(FILE *file, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        if (json_is_object(value)) {
            put_scalars(file, value);
        } else if (!json_is_array(value) || json_is_integer(json_array_get(value, 0))) {
            fprintf(file, "%-12s ", key);
            put_field(file, object, key);
            putc('\n', file);
        }
    }
}

/* -- tables -------------------------------------------------------------------------------------------------------- */

/* Lists of objects, and the columns that are written of them, the longest last. JSON has all. */
enum { MOST_COLUMNS = 9 };
static const struct table {
    const char *name;
    const char *columns[MOST_COLUMNS];
} tables[] = {
    {"backends", {"name", "device"}},
    {"precisions", {"precision", "why", "of"}},
    {"held", {"level", "shape", "pictures", "dtype", "bytes"}},
    {"tensors", {"name", "dtype", "shape"}},
    {"trained", {"level", "bpd", "round_trip", "parameters", "step", "kernel", "precision", "chosen", "chain"}},
};

/* Writes a row, or with row NULL the heads of the columns. Columns of width 0, which no row has, are left out. */
static void put_row(FILE *file, const struct table *table, const int widths[MOST_COLUMNS], const json_t *row)
{
    int blanks = 2;
    for (int c = 0; c < MOST_COLUMNS && table->columns[c]; c++) {
        const char *head = table->columns[c];
        if (!widths[c])
            continue;
        fprintf(file, "%*s", blanks, "");
        blanks = 2 + widths[c] - (row ? put_field(file, row, head) : put_text(file, head));
    }
    putc('\n', file);
}

static void put_table(FILE *file, const struct table *table, const json_t *rows)
{
    int widths[MOST_COLUMNS] = {0};
    const json_t *row;
    size_t i;
    if (!json_array_size(rows))
        return;
    json_array_foreach ((json_t *)rows, i, row)
        for (int c = 0; c < MOST_COLUMNS && table->columns[c]; c++) {
            int width = put_field(NULL, row, table->columns[c]), head = (int)strlen(table->columns[c]);
            if (width && width < head)
                width = head;
            widths[c] = width > widths[c] ? width : widths[c];
        }
    fprintf(file, "\n%s\n", table->name);
    put_row(file, table, widths, NULL);
    json_array_foreach ((json_t *)rows, i, row)
        put_row(file, table, widths, row);
}

/* -- provenance ---------------------------------------------------------------------------------------------------- */

static int put_or(FILE *file, const json_t *value, const char *otherwise)
{
    return wf_description_put(NULL, value, " ") ? wf_description_put(file, value, " ") : put_text(file, otherwise);
}

static void put_program(FILE *file, const json_t *entry, const char *indent)
{
    const json_t *model = json_object_get(entry, "model");
    fputs(indent, file);
    put_or(file, json_object_get(entry, "tool"), "?");
    putc(' ', file);
    put_or(file, json_object_get(entry, "version"), "?");
    fputs(": ", file);
    wf_description_put(file, json_object_get(entry, "argv"), " ");
    fputs(" (seed ", file);
    put_or(file, json_object_get(entry, "seed"), "?");
    if (wf_description_put(NULL, model, " ")) {
        fputs(", model ", file);
        wf_description_put(file, model, " ");
    }
    fputs(")\n", file);
}

/* Appends the entries of `from` that `to` lacks: the levels of a model have most entries in common. */
static int append_missing(json_t *to, const json_t *from)
{
    size_t i, j;
    json_t *entry, *other;
    json_array_foreach ((json_t *)from, i, entry) {
        bool known = false;
        json_array_foreach (to, j, other)
            known = known || json_equal(entry, other);
        if (!known && json_array_append(to, entry))
            return -1;
    }
    return 0;
}

int wf_description_put_provenance(const wf_description *d, FILE *file, const char *heading, const char *indent,
                                  const char *name)
{
    const json_t *object = d->root;
    size_t i;
    json_t *row, *programs = json_array();
    int failed = !programs || append_missing(programs, json_object_get(object, "provenance"));
    json_array_foreach (json_object_get(object, "trained"), i, row)
        failed = failed || append_missing(programs, json_object_get(row, "provenance"));
    if (!failed && json_array_size(programs))
        fputs(heading, file);
    json_array_foreach (failed ? NULL : programs, i, row)
        put_program(file, row, indent);
    json_decref(programs);
    return failed ? wf_fail(WF_AGAIN, "%s: out of memory", name) : WF_OK;
}

int wf_description_write_text(const wf_description *d, FILE *file, const char *name)
{
    put_scalars(file, d->root);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        put_table(file, &tables[i], json_object_get(d->root, tables[i].name));
    WF_TRY(wf_description_put_provenance(d, file, "\nprovenance\n", "  ", name));
    return ferror(file) ? wf_fail_write(name) : WF_OK;
}

int wf_description_write_json(const wf_description *d, FILE *file, const char *name)
{
    errno = 0;
    bool failed = json_dumpf(d->root, file, JSON_COMPACT) || putc('\n', file) == EOF;
    return failed ? wf_fail_write(name) : WF_OK;
}
