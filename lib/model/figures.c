/* figures.c - writes figures, and reads and joins the tables of shards */
#include "figures.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/figure.h"
#include "../base/number.h"
#include "../pyramid/meta_text.h"

#define FIELD_HEAD "level\tsize\tnats/dim\t+-"
#define SHARD_HEAD "level\tsize\tbits/dim\t+-\tpictures\tshard\trun"
#define KIND_HEAD "\tkind"

/* -- means --------------------------------------------------------------------------------------------------------- */

void wf_mean_add(wf_mean *m, double value)
{
    double d = value - m->mean;
    m->n++;
    m->mean += d / (double)m->n;
    m->m2 += d * (value - m->mean);
}

void wf_mean_merge(wf_mean *m, const wf_mean *more)
{
    if (!more->n)
        return;
    int64_t n = m->n + more->n;
    double d = more->mean - m->mean, part = (double)more->n / (double)n;
    m->mean += d * part;
    m->m2 += more->m2 + d * d * part * (double)m->n;
    m->n = n;
}

double wf_mean_error(const wf_mean *m)
{
    return m->n < 2 ? NAN : sqrt(m->m2 / (double)(m->n - 1) / (double)m->n);
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

/* True if some level's figure is exact; with `all`, if every level's is. */
static bool is_exact(const wf_figures *f, bool all)
{
    bool some = false, every = true;
    for (int l = 0; l <= WF_MAX_LEVELS; l++) {
        some |= f->level[l].n && f->exact[l];
        every &= !f->level[l].n || f->exact[l];
    }
    return some && (every || !all);
}

/* True if a flow is finer than an exact level. It sees that level's numbers with noise, so the two do not make a
 * distribution of pictures together: their total may even be negative. */
static bool is_estimate(const wf_figures *f)
{
    bool estimate = false, below = false;
    for (int l = 0; l <= WF_MAX_LEVELS; l++) {
        below |= f->level[l].n && f->exact[l];
        estimate |= f->level[l].n && !f->exact[l] && below;
    }
    return estimate;
}

static const char *kind_of_total(const wf_figures *f)
{
    return is_exact(f, true) ? "exact" : is_estimate(f) ? "estimate" : "bound";
}

static void write_row(const wf_figures *f, FILE *file, bool aligned, const char *name, const char *size,
                      const wf_mean *m, const char *kind)
{
    char mean[WF_FIGURE], error[WF_FIGURE];
    const char *digits = aligned ? "%.4f" : f->shard.n ? "%.17g" : "%.6f";
    wf_figure(m->n ? m->mean : NAN, digits, "-", mean);
    wf_figure(wf_mean_error(m), digits, "-", error);
    if (aligned && !*size)
        fprintf(file, "%-19s %12s %10s", name, mean, error);
    else if (aligned)
        fprintf(file, "%-6s %-12s %12s %10s", name, size, mean, error);
    else
        fprintf(file, "%s\t%s\t%s\t%s", name, size, mean, error);
    if (f->shard.n && !aligned)
        fprintf(file, "\t%" PRId64 "\t%d/%d\t%016" PRIx64, m->n, f->shard.i, f->shard.n, f->run);
    if (is_exact(f, false))
        fprintf(file, "%s%s", aligned ? "  " : "\t", kind);
    putc('\n', file);
}

void wf_figures_write_table(const wf_figures *f, FILE *file, bool aligned)
{
    char name[32];
    bool kinds = is_exact(f, false);
    const char *unit = f->nats ? "nats/dim" : "bits/dim";
    if (aligned)
        fprintf(file, "%-6s %-12s %12s %10s%s\n", "level", "size", unit, "+-", kinds ? "  kind" : "");
    else
        fprintf(file, "%s%s\n",
                f->shard.n ? SHARD_HEAD
                : f->nats  ? FIELD_HEAD
                           : "level\tsize\tbits/dim\t+-",
                kinds ? KIND_HEAD : "");
    for (int l = 0; l <= WF_MAX_LEVELS; l++) {
        snprintf(name, sizeof name, "%d", l);
        if (f->level[l].n)
            write_row(f, file, aligned, name, f->size[l], &f->level[l], f->exact[l] ? "exact" : "bound");
    }
    if (f->total.n || !f->pictures)
        write_row(f, file, aligned, "total", "", &f->total, kind_of_total(f));
    snprintf(name, sizeof name, "iw %" PRId64, f->samples);
    if (f->weighted.n)
        write_row(f, file, aligned, name, "", &f->weighted, kind_of_total(f));
}

/* Writes `"bpd": MEAN, "error": ERROR`; the error of a single picture is null. */
static void write_mean(const wf_figures *f, FILE *file, const wf_mean *m)
{
    const char *digits = f->shard.n ? "%.17g" : "%.6f";
    char mean[WF_FIGURE], error[WF_FIGURE];
    fprintf(file, "\"%s\": %s, \"error\": %s", f->nats ? "nats" : "bpd", wf_figure(m->mean, digits, "null", mean),
            wf_figure(wf_mean_error(m), digits, "null", error));
}

void wf_figures_write_json(const wf_figures *f, FILE *file)
{
    const char *comma = "";
    fprintf(file, "{\"pictures\": %" PRId64 ", \"levels\": [", f->pictures);
    for (int l = 0; l <= WF_MAX_LEVELS; l++)
        if (f->level[l].n) {
            fprintf(file, "%s{\"level\": %d, ", comma, l);
            write_mean(f, file, &f->level[l]);
            fputs(f->exact[l] ? ", \"exact\": true}" : "}", file);
            comma = ", ";
        }
    putc(']', file);
    if (f->total.n) {
        fputs(", ", file);
        write_mean(f, file, &f->total);
        fputs(is_exact(f, true) ? ", \"exact\": true" : "", file);
    }
    if (f->weighted.n) {
        fprintf(file, ", \"iw\": {\"samples\": %" PRId64 ", ", f->samples);
        write_mean(f, file, &f->weighted);
        putc('}', file);
    }
    if (f->shard.n)
        fprintf(file, ", \"shard\": \"%d/%d\", \"run\": \"%016" PRIx64 "\"", f->shard.i, f->shard.n, f->run);
    fputs("}\n", file);
}

/* -- reading ------------------------------------------------------------------------------------------------------- */

enum { FIELDS = 8, NAME = 0, SIZE, MEAN, ERROR, PICTURES, SHARD, RUN, KIND };

/* "-" is a number that is not known. */
static bool parse_figure(const char *text, double *out)
{
    char *end;
    *out = wf_strtod(text, &end);
    if (!strcmp(text, "-"))
        *out = NAN;
    return !strcmp(text, "-") || (end != text && !*end && isfinite(*out));
}

/* The mean that a row is of; NULL: of no known name. */
static wf_mean *find_mean(wf_figures *f, const char *name)
{
    int64_t level;
    if (!strcmp(name, "total"))
        return &f->total;
    if (!strncmp(name, "iw ", 3))
        return wf_parse_count(name + 3, INT64_MAX, &f->samples) && f->samples > 0 ? &f->weighted : NULL;
    return wf_parse_count(name, WF_MAX_LEVELS, &level) ? &f->level[level] : NULL;
}

/* Parses "I/N" and the hash; every row has them. */
static bool parse_shard(const char *const *field, wf_figures *f, bool first)
{
    wf_shard shard;
    const char *end = wf_shard_parse(field[SHARD], &shard);
    if (!end || *end || strlen(field[RUN]) != 16 || strspn(field[RUN], "0123456789abcdef") != 16)
        return false;
    uint64_t run = strtoull(field[RUN], NULL, 16);
    bool same = f->shard.i == shard.i && f->shard.n == shard.n && f->run == run;
    f->shard = shard;
    f->run = run;
    return first || same;
}

/* kinds: the table has that column. */
static bool parse_row(char *line, bool kinds, wf_figures *f, bool first)
{
    char *field[FIELDS], *rest = line;
    double mean, error;
    int64_t n;
    for (int i = 0; i < FIELDS - !kinds; i++) {
        field[i] = strsep(&rest, "\t");
        if (!field[i])
            return false;
    }
    wf_mean *m = find_mean(f, field[NAME]);
    if (rest || !m || m->n || !parse_figure(field[MEAN], &mean) || !parse_figure(field[ERROR], &error) ||
        !wf_parse_count(field[PICTURES], INT64_MAX, &n) || !parse_shard((const char *const *)field, f, first))
        return false;
    if ((n > 0 && !isfinite(mean)) || (n > 1 && !(error >= 0)) || strlen(field[SIZE]) >= WF_SIZE_TEXT)
        return false;
    *m = n ? (wf_mean){n, mean, n > 1 ? error * error * (double)n * (double)(n - 1) : 0} : (wf_mean){0};
    if (m >= f->level && m <= f->level + WF_MAX_LEVELS)
        strcpy(f->size[m - f->level], field[SIZE]);
    bool level = m >= f->level && m <= f->level + WF_MAX_LEVELS, exact = kinds && !strcmp(field[KIND], "exact");
    if (kinds && !exact && strcmp(field[KIND], "bound") != 0 && (level || strcmp(field[KIND], "estimate") != 0))
        return false;
    if (level)
        f->exact[m - f->level] = exact;
    bool same = first || f->pictures == n;
    f->pictures = n;
    return same;
}

int wf_figures_read(FILE *file, const char *name, wf_figures *out)
{
    char *line = NULL;
    size_t room = 0;
    int rows = 0, status = WF_OK;
    bool kinds = false;
    *out = (wf_figures){0};
    for (ssize_t n; !status && (n = getline(&line, &room, file)) >= 0; rows++) {
        bool whole = n && line[n - 1] == '\n' && strlen(line) == (size_t)n;
        line[whole ? n - 1 : 0] = '\0';
        kinds |= !rows && !strcmp(line, SHARD_HEAD KIND_HEAD);
        if (!rows && !kinds && strcmp(line, SHARD_HEAD) != 0)
            status = wf_fail(WF_DATA, "%s: not the table of a shard, as wf-bpd --shard prints it", name);
        else if (rows && !parse_row(line, kinds, out, rows == 1))
            status =
                wf_fail(WF_DATA, "%s: line %d is not a row of a shard's table, or of another shard", name, rows + 1);
    }
    if (!status && ferror(file))
        status = wf_fail_errno("%s: cannot read", name);
    if (!status && rows < 2)
        status = wf_fail(WF_DATA, "%s: cut off after %d lines", name, rows);
    free(line);
    return status;
}

/* -- joining ------------------------------------------------------------------------------------------------------- */

/* WF_DATA unless `f` is of the run of `to`, and no other of the first `before` is the same shard. */
static int check_shard(const wf_figures *all, const char *const *names, int at)
{
    const wf_figures *f = &all[at], *first = &all[0];
    WF_CHECK(f->shard.n == first->shard.n, WF_DATA, "%s: shard %d of %d, but shard %d of %d in %s", names[at],
             f->shard.i, f->shard.n, first->shard.i, first->shard.n, names[0]);
    WF_CHECK(f->run == first->run, WF_DATA, "%s: of another run than %s: other weights, pictures, --seed or options",
             names[at], names[0]);
    for (int i = 0; i < at; i++)
        WF_CHECK(all[i].shard.i != f->shard.i, WF_DATA, "%s: shard %d of %d, which %s is too", names[at], f->shard.i,
                 f->shard.n, names[i]);
    return WF_OK;
}

/* WF_DATA unless these shards, which differ, are all. */
static int check_complete(const wf_figures *all, int count)
{
    int n = all->shard.n, missing = 0;
    for (bool found = true; found && missing <= n;) {
        found = false;
        missing++;
        for (int i = 0; i < count; i++)
            found = found || all[i].shard.i == missing;
    }
    WF_CHECK(count == n, WF_DATA, "shard %d of %d is missing%s", missing, n, n - count > 1 ? ", and more" : "");
    return WF_OK;
}

/* WF_DATA unless every shard has its share of the pictures, with all figures. */
static int check_share(const wf_figures *f, const char *name, const wf_figures *sum)
{
    int64_t want = wf_shard_count(f->shard, 0, sum->pictures);
    WF_CHECK(f->pictures == want, WF_DATA, "%s: %" PRId64 " pictures, want %" PRId64 " of %" PRId64, name, f->pictures,
             want, sum->pictures);
    bool same = !f->total.n == !sum->total.n && !f->weighted.n == !sum->weighted.n && f->samples == sum->samples;
    for (int l = 0; l <= WF_MAX_LEVELS; l++)
        same = same && !f->level[l].n == !sum->level[l].n && !strcmp(f->size[l], sum->size[l]);
    WF_CHECK(same || !f->pictures, WF_DATA, "%s: rows of other levels than those of the other shards", name);
    return WF_OK;
}

int wf_figures_join(const wf_figures *shards, const char *const *names, int count, wf_figures *out)
{
    *out = (wf_figures){0};
    for (int i = 0; i < count; i++)
        WF_TRY(check_shard(shards, names, i));
    WF_TRY(check_complete(shards, count));
    for (int number = 1; number <= count; number++) /* in this order, whatever that of the files */
        for (int i = 0; i < count; i++) {
            const wf_figures *f = &shards[i];
            if (f->shard.i != number)
                continue;
            for (int l = 0; l <= WF_MAX_LEVELS; l++) {
                wf_mean_merge(&out->level[l], &f->level[l]);
                out->exact[l] |= f->exact[l];
                if (number == 1)
                    strcpy(out->size[l], f->size[l]);
            }
            wf_mean_merge(&out->total, &f->total);
            wf_mean_merge(&out->weighted, &f->weighted);
            out->pictures += f->pictures;
            out->samples = number == 1 ? f->samples : out->samples;
        }
    for (int i = 0; i < count; i++)
        WF_TRY(check_share(&shards[i], names[i], out));
    WF_CHECK(out->pictures, WF_DATA, "%s: no picture to evaluate, nor in the other shards", names[0]);
    return WF_OK;
}
