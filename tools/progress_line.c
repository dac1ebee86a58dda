/* progress_line.c - counts, times and rates as text, as far as a window has room */
#include "progress_line.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const char *time_text(double seconds, char out[32])
{
    double s = floor(seconds + 0.5);
    if (!(s < 100 * 86400.0))
        snprintf(out, 32, "over 99 days");
    else if (s >= 86400)
        snprintf(out, 32, "%.0fd%02.0fh", floor(s / 86400), floor(fmod(s, 86400) / 3600));
    else if (s >= 3600)
        snprintf(out, 32, "%.0fh%02.0fm", floor(s / 3600), floor(fmod(s, 3600) / 60));
    else if (s >= 60)
        snprintf(out, 32, "%.0fm%02.0fs", floor(s / 60), fmod(s, 60));
    else
        snprintf(out, 32, "%.0fs", s);
    return out;
}

/* Three digits, and the unit of time that makes the number one or more. */
static const char *rate_text(double each_second, char out[32])
{
    double rate = each_second;
    const char *unit = "s";
    if (rate < 1) {
        rate *= 60;
        unit = "min";
    }
    if (rate < 1) {
        rate *= 60;
        unit = "h";
    }
    snprintf(out, 32, "%.*f/%s", rate < 9.995 ? 2 : rate < 99.95 ? 1 : 0, rate, unit);
    return out;
}

static void add_part(char *text, size_t width, const char *part, size_t length)
{
    size_t n = strlen(text);
    bool first = n && text[n - 1] == ' '; /* behind the program's name */
    size_t room = width > n ? width - n : 0;
    if (first && length > room)
        length = room;
    if (length + (first ? 0 : 2) <= room)
        snprintf(text + n, PROGRESS_LINE + 1 - n, "%s%.*s", first ? "" : ", ", (int)length, part);
}

static void add(char *text, size_t width, const char *part)
{
    add_part(text, width, part, strlen(part));
}

static void add_count(const progress_figures *f, size_t width, char *text)
{
    char part[128];
    long long done = f->done, total = f->total;
    if (f->kind && total >= 0)
        snprintf(part, sizeof part, "%lld / %lld %s%s", done, total, f->kind, plural(total));
    else if (f->kind)
        snprintf(part, sizeof part, "%lld %s%s", done, f->kind, plural(done));
    if (f->kind)
        add(text, width, part);
}

void progress_line(const progress_figures *f, int columns, char text[PROGRESS_LINE + 1])
{
    char part[64], time[32];
    size_t width = columns < 0 ? 0 : columns < PROGRESS_LINE ? (size_t)columns : PROGRESS_LINE;
    double things = f->fraction >= 0 && f->total >= 0 ? f->advance * (double)f->total : (double)f->things;
    snprintf(text, width + 1, "%s: ", common.program->name);
    add_count(f, width, text);
    if (f->fraction >= 0 && f->advance > 0 && (f->advance >= 0.01 || f->seconds >= 10)) { /* less says little */
        snprintf(part, sizeof part, "ETA %s", time_text((1 - f->fraction) * f->seconds / f->advance, time));
        add(text, width, part);
    }
    if (f->fraction >= 0) {
        snprintf(part, sizeof part, "%.0f%%", floor(100 * f->fraction + 1e-6));
        add(text, width, part);
    }
    if (f->kind && things > 0 && f->seconds > 0)
        add(text, width, rate_text(things / f->seconds, time));
    for (const char *at = f->detail; at && *at;) {
        const char *end = strstr(at, ", ");
        size_t length = end ? (size_t)(end - at) : strlen(at);
        add_part(text, width, at, length);
        at = end ? end + 2 : at + length;
    }
}
