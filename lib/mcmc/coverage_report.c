/* coverage_report.c - ranks and intervals of many runs as a table, as JSON and as histograms */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "../base/figure.h"
#include "../base/file.h"
#include "../base/number.h"
#include "../image/font.h"
#include "coverage.h"

const char *const wf_coverage_names[WF_COVERAGE_QUANTITIES] = {"pixel1", "pixel2", "pixel3",
                                                               "pixel4", "mean",   "likelihood"};

void wf_coverage_histogram(int n, const wf_coverage_run *runs, int quantity, int *bins, int count[WF_COVERAGE_BINS])
{
    *bins = n >= 45 ? 9 : n >= 25 ? 5 : 3;
    memset(count, 0, WF_COVERAGE_BINS * sizeof *count);
    for (int i = 0; i < n; i++)
        count[runs[i].rank[quantity] * *bins / (WF_COVERAGE_RANKS + 1)]++;
}

/* With an even number of degrees of freedom 2k the upper tail is exp(-x/2) sum_{j<k} (x/2)^j / j!. */
double wf_coverage_uniform(int bins, const int *count)
{
    double n = 0, chi = 0, tail = 0, term = 1;
    for (int i = 0; i < bins; i++)
        n += count[i];
    for (int i = 0; i < bins; i++)
        chi += pow(count[i] - n / bins, 2) / (n / bins);
    for (int j = 0; j < (bins - 1) / 2; j++) {
        tail += term;
        term *= chi / 2 / (j + 1);
    }
    return exp(-chi / 2) * tail;
}

/* A figure of the table; error NAN: none. */
typedef struct figure {
    const char *quantity;
    char name[24];
    double value, error;
} figure;

enum { FIGURES = WF_COVERAGE_QUANTITIES * (WF_COVERAGE_INTERVALS + 1) + 4 };

/* The standard error of a share s of n: of (s n + 1) / (n + 2), since none or all of n would have no error. */
static double binomial_error(double share, int n)
{
    double s = (share * n + 1) / (n + 2);
    return sqrt(s * (1 - s) / n);
}

static int quantity_figures(int n, const wf_coverage_run *runs, int q, figure *out)
{
    int bins, count[WF_COVERAGE_BINS];
    for (int i = 0; i < WF_COVERAGE_INTERVALS; i++) {
        double share = 0;
        for (int r = 0; r < n; r++)
            share += runs[r].inside[q][i] / (double)n;
        out[i] = (figure){wf_coverage_names[q], "", share, binomial_error(share, n)};
        snprintf(out[i].name, sizeof out[i].name, "inside%d", wf_coverage_percent[i]);
    }
    wf_coverage_histogram(n, runs, q, &bins, count);
    out[WF_COVERAGE_INTERVALS] = (figure){wf_coverage_names[q], "uniform_p", wf_coverage_uniform(bins, count), NAN};
    return WF_COVERAGE_INTERVALS + 1;
}

static void all_figures(int n, const wf_coverage_run *runs, uint64_t gradients, figure out[FIGURES])
{
    double converged = 0, ess = 0, psnr = 0, squares = 0;
    int at = 0;
    for (int q = 0; q < WF_COVERAGE_QUANTITIES; q++)
        at += quantity_figures(n, runs, q, out + at);
    for (int r = 0; r < n; r++) {
        converged += (runs[r].rhat < 1.05) / (double)n;
        ess += runs[r].ess;
        psnr += runs[r].psnr / n;
    }
    for (int r = 0; r < n; r++)
        squares += pow(runs[r].psnr - psnr, 2);
    out[at++] = (figure){"all", "rhat_below_1.05", converged, binomial_error(converged, n)};
    out[at++] = (figure){"all", "psnr", psnr, n > 1 ? sqrt(squares / (n - 1) / n) : NAN};
    out[at++] = (figure){"all", "ess", ess / n, NAN};
    out[at++] = (figure){"all", "gradients_per_ess", gradients ? (double)gradients / ess : NAN, NAN};
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* The object of a quantity, made at its first figure. NULL: out of memory. */
static json_t *object_of(json_t *root, const char *quantity)
{
    if (!json_object_get(root, quantity) && json_object_set_new(root, quantity, json_object()))
        return NULL;
    return json_object_get(root, quantity);
}

/* The ranks of a quantity in all runs. NULL: out of memory. */
static json_t *list_ranks(int n, const wf_coverage_run *runs, int q)
{
    json_t *list = json_array();
    bool good = list;
    for (int r = 0; r < n; r++)
        good = good && !json_array_append_new(list, json_integer(runs[r].rank[q]));
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *pack_figures(int n, const wf_coverage_run *runs, const figure *f)
{
    json_t *root = json_pack("{s:i, s:{}}", "runs", n, "ranks"), *object = NULL,
           *ranks = json_object_get(root, "ranks");
    bool good = ranks;
    for (int i = 0; i < FIGURES && good; i++) {
        json_t *pair = json_pack("{s:o, s:o}", "value", number(f[i].value), "error", number(f[i].error));
        object = object_of(root, f[i].quantity);
        good = object && pair;
        if (!good)
            json_decref(pair);
        good = good && !json_object_set_new(object, f[i].name, pair);
    }
    for (int q = 0; q < WF_COVERAGE_QUANTITIES && good; q++)
        good = !json_object_set_new(ranks, wf_coverage_names[q], list_ranks(n, runs, q));
    if (good)
        return root;
    json_decref(root);
    return NULL;
}

int wf_coverage_write(int n, const wf_coverage_run *runs, uint64_t gradients, bool json, FILE *file, const char *name)
{
    figure f[FIGURES];
    all_figures(n, runs, gradients, f);
    if (json) {
        json_t *object = pack_figures(n, runs, f);
        WF_CHECK(object, WF_AGAIN, "%s: out of memory", name);
        errno = 0;
        int failed = json_dumpf(object, file, JSON_COMPACT | JSON_PRESERVE_ORDER) || putc('\n', file) == EOF;
        json_decref(object);
        return failed ? wf_fail_write(name) : WF_OK;
    }
    fputs("quantity\tfigure\tvalue\terror\n", file);
    for (int i = 0; i < FIGURES; i++) {
        char value[WF_FIGURE], error[WF_FIGURE];
        fprintf(file, "%s\t%s\t%s\t%s\n", f[i].quantity, f[i].name, wf_figure(f[i].value, "%.4g", "-", value),
                wf_figure(f[i].error, "%.2g", "-", error));
    }
    return ferror(file) ? wf_fail_write(name) : WF_OK;
}

/* -- histograms ---------------------------------------------------------------------------------------------------- */

enum { SIDE = 120, TOP = 24, MARGIN = 10 };

static void fill(wf_image *image, int x, int y, int w, int h, uint16_t value)
{
    for (int i = y; i < y + h; i++)
        for (int j = x; j < x + w; j++)
            image->pixels[i * image->W + j] = value;
}

static void draw_histogram(int n, const wf_coverage_run *runs, int q, wf_image *out)
{
    int bins, count[WF_COVERAGE_BINS], most = 1, left = MARGIN + q * (SIDE + MARGIN), floor = TOP + SIDE;
    wf_coverage_histogram(n, runs, q, &bins, count);
    for (int i = 0; i < bins; i++)
        most = count[i] > most ? count[i] : most;
    most = most * bins < 2 * n ? (2 * n + bins - 1) / bins : most; /* uniform ranks fill half of the height */
    for (int i = 0; i < bins; i++) {
        int height = count[i] * SIDE / most;
        fill(out, left + i * SIDE / bins, floor - height, SIDE / bins - 1, height, 150);
    }
    fill(out, left, floor, SIDE, 1, 0);
    fill(out, left, floor - n * SIDE / bins / most, SIDE, 1, 0);
    wf_text_draw(out, left, 8, 1, wf_coverage_names[q], 0);
}

int wf_coverage_draw(int n, const wf_coverage_run *runs, wf_image *out)
{
    WF_TRY(wf_image_reserve(out, "histograms", TOP + SIDE + MARGIN, MARGIN + WF_COVERAGE_QUANTITIES * (SIDE + MARGIN),
                            1, 8));
    fill(out, 0, 0, out->W, out->H, 255);
    for (int q = 0; q < WF_COVERAGE_QUANTITIES; q++)
        draw_histogram(n, runs, q, out);
    return WF_OK;
}
