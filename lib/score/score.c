/* score.c - scores of pictures, and their tables */
#include "score.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "../base/figure.h"
#include "conformal.h"

/* Gives mean and deviation of the reference's finite bits/dim. */
static wf_mean total_bits(const wf_statistics *s)
{
    wf_mean mean = {0};
    for (int64_t n = 0; n < wf_statistics_count(s); n++)
        if (isfinite(wf_statistics_total(s, n)))
            wf_mean_add(&mean, wf_statistics_total(s, n));
    return mean;
}

int wf_score_check_rate(double rate, int64_t N, bool held_out, const char *name)
{
    int64_t least = wf_conformal_least(rate);
    WF_CHECK(N >= least, WF_DATA, "%s: %lld reference picture%s%s, and a false positive rate of %g needs at least %lld",
             name, (long long)N, N == 1 ? "" : "s", held_out ? " that training held out" : "", rate, (long long)least);
    return WF_OK;
}

int wf_score_compare(const wf_statistics *reference, const char *reference_name, const wf_statistics *given,
                     double rate, int threads, const wf_watch *watch, wf_score *scores)
{
    int64_t N = wf_statistics_count(reference), M = wf_statistics_count(given);
    size_t D = (size_t)wf_statistics_width(reference);
    wf_mean bits = total_bits(reference);
    double deviation = N > 1 && bits.m2 > 0 ? sqrt(bits.m2 / (double)(N - 1)) : NAN;
    WF_TRY(wf_score_check_rate(rate, N, false, reference_name));
    WF_CHECK((int)D == wf_statistics_width(given), WF_DATA, "%s: has other statistics than the pictures",
             reference_name);
    double *x = malloc(((size_t)(N + M) * D + (size_t)M) * sizeof *x);
    WF_CHECK(x, WF_AGAIN, "out of memory for the statistics of %lld pictures", (long long)(N + M));
    double *y = x + (size_t)N * D, *p = y + (size_t)M * D;
    wf_statistics_write(reference, x);
    wf_statistics_write(given, y);
    int status = wf_conformal_p(N, (int)D, x, M, y, threads, watch, p);
    for (int64_t m = 0; m < M && !status; m++)
        scores[m] = (wf_score){fabs(wf_statistics_total(given, m) - bits.mean) / deviation, p[m], p[m] <= rate};
    free(x);
    return status;
}

/* -- output -------------------------------------------------------------------------------------------------------- */

static const char *const moment_names[] = {"mean", "variance", "across", "down"};
enum { MOMENTS = 4 };

static double moment(const wf_latent_fit *f, int i)
{
    return (const double[MOMENTS]){f->mean, f->variance, f->across, f->down}[i];
}

static const char *verdict(const wf_score *score)
{
    return score->out ? "out" : "in";
}

void wf_score_write_table(const wf_statistics *given, const wf_score *scores, FILE *file)
{
    char text[WF_FIGURE], total[WF_FIGURE], corrected[WF_FIGURE];
    int levels = wf_statistics_levels(given);
    fputs("name\tverdict\tp\ttotal\tcorrected\ttypicality", file);
    for (int l = 0; l <= levels; l++)
        wf_fprintf(file, "\tlevel%d", l);
    for (int l = 0; l <= levels; l++)
        for (int i = 0; i < MOMENTS; i++)
            wf_fprintf(file, "\t%s%d", moment_names[i], l);
    for (int64_t n = 0; n < wf_statistics_count(given); n++) {
        putc('\n', file);
        wf_write_name(file, wf_statistics_name(given, n), wf_statistics_index(given, n));
        wf_fprintf(file, "\t%s\t%.6f\t%s\t%s\t%s", verdict(&scores[n]), scores[n].p,
                   wf_figure(wf_statistics_total(given, n), "%.6f", "-", total),
                   wf_figure(wf_statistics_corrected(given, n), "%.6f", "-", corrected),
                   wf_figure(scores[n].typicality, "%.6f", "-", text));
        for (int l = 0; l <= levels; l++)
            wf_fprintf(file, "\t%s", wf_figure(wf_statistics_bits(given, n, l), "%.6f", "-", text));
        for (int l = 0; l <= levels; l++) {
            wf_latent_fit fit = wf_statistics_fit(given, n, l);
            for (int i = 0; i < MOMENTS; i++)
                wf_fprintf(file, "\t%s", wf_figure(moment(&fit, i), "%.6f", "-", text));
        }
    }
    putc('\n', file);
}

static void write_level(const wf_statistics *given, int64_t n, int level, FILE *file)
{
    char text[WF_FIGURE];
    wf_latent_fit fit = wf_statistics_fit(given, n, level);
    wf_fprintf(file, "%s{\"level\": %d, \"bpd\": %s", level ? ", " : "", level,
               wf_figure(wf_statistics_bits(given, n, level), "%.6f", "null", text));
    for (int i = 0; i < MOMENTS; i++)
        wf_fprintf(file, ", \"%s\": %s", moment_names[i], wf_figure(moment(&fit, i), "%.6f", "null", text));
    putc('}', file);
}

int wf_score_write_lines(const wf_statistics *given, const wf_score *scores, FILE *file)
{
    char text[WF_FIGURE], total[WF_FIGURE], corrected[WF_FIGURE];
    for (int64_t n = 0; n < wf_statistics_count(given); n++) {
        const char *name = wf_statistics_name(given, n);
        wf_fprintf(file, "{\"index\": %" PRIu64, wf_statistics_index(given, n));
        if (name) {
            fputs(", \"name\": ", file);
            WF_TRY(wf_write_json_name(file, name));
        }
        wf_fprintf(file, ", \"verdict\": \"%s\", \"p\": %.6f, \"bpd\": %s, \"corrected\": %s, \"typicality\": %s",
                   verdict(&scores[n]), scores[n].p, wf_figure(wf_statistics_total(given, n), "%.6f", "null", total),
                   wf_figure(wf_statistics_corrected(given, n), "%.6f", "null", corrected),
                   wf_figure(scores[n].typicality, "%.6f", "null", text));
        fputs(", \"levels\": [", file);
        for (int l = 0; l <= wf_statistics_levels(given); l++)
            write_level(given, n, l, file);
        fputs("]}\n", file);
    }
    return WF_OK;
}
