/* coverage.h - tests whether posteriors of measured pictures are right: pictures and measurements are simulated from a
 * model, and chains infer the pictures from the measurements
 *
 * If inference is right, the rank of a true value among independent draws from its posterior is uniform, and a central
 * interval of probability P holds the true value with probability P: Talts et al. 2018, "Validating Bayesian inference
 * algorithms with simulation-based calibration"; Cook, Gelman, Rubin 2006. Quantities are values of random pixels, the
 * mean of all values, and the log likelihood of the measurement. All grey values are in pixel units. */
#ifndef WF_COVERAGE_H
#define WF_COVERAGE_H

#include <stdio.h>

#include "../base/linkage.h"
#include "../image/image.h"
#include "markov_chains.h"

WF_BEGIN

enum {
    WF_COVERAGE_PIXELS = 4,
    WF_COVERAGE_MEAN = WF_COVERAGE_PIXELS,
    WF_COVERAGE_LIKELIHOOD,
    WF_COVERAGE_QUANTITIES,
    WF_COVERAGE_INTERVALS = 3, /* 50, 80, 95 % */
    WF_COVERAGE_RANKS = 44     /* draws that the true value is ranked among, evenly spaced over all of a run's chains */
};

/* Names of the quantities: "pixel1" .. "mean", "likelihood". */
extern const char *const wf_coverage_names[WF_COVERAGE_QUANTITIES];
extern const int wf_coverage_percent[WF_COVERAGE_INTERVALS];

typedef struct wf_coverage_spec {
    wf_measured *truth, *assumed;     /* borrowed: of simulation and of inference; they differ to plant an error */
    bool data, expect;                /* as in wf_annealed_sampler_spec */
    int chains;                       /* for each picture */
    uint64_t seed;                    /* of pictures and measurements; the chains' is another */
    const char *state;                /* folder of state files, one for each batch; NULL: none */
    wf_markov_chains_options options; /* nuts, draws, save_every, watch and stop are used; chains * draws >= 44 */
} wf_coverage_spec;

/* Judgement of one picture's chains. */
typedef struct wf_coverage_run {
    int rank[WF_COVERAGE_QUANTITIES]; /* draws below the true value, 0 .. WF_COVERAGE_RANKS */
    bool inside[WF_COVERAGE_QUANTITIES][WF_COVERAGE_INTERVALS];
    double rhat; /* worst of all quantities; infinite if one never moved */
    double ess;  /* mean of the bulk effective sizes of all quantities */
    double psnr; /* of the mean of all draws, dB */
} wf_coverage_run;

/* Runs pictures 0 .. n-1 into runs [n]. *gradients: evaluations of the density, or 0 if some chains were saved by an
 * earlier run. The model and backend are borrowed. WF_AGAIN: interrupted and saved; the same call continues. */
int wf_coverage_run_all(const wf_model *model, wf_backend *backend, const wf_coverage_spec *spec, int n,
                        wf_coverage_run *runs, uint64_t *gradients) WF_MUST;

/* Histogram of the ranks of one quantity, in *bins bins of equal width: 9, 5 or 3, so that five runs and more are
 * expected in each where n allows. */
enum { WF_COVERAGE_BINS = 9 };
void wf_coverage_histogram(int n, const wf_coverage_run *runs, int quantity, int *bins, int count[WF_COVERAGE_BINS]);

/* The p-value of Pearson's chi-square test that all bins are equally likely. bins is odd. */
double wf_coverage_uniform(int bins, const int *count);

/* Writes a table: quantity, figure, value, error (standard error, or -), separated by tabs; or one JSON object.
 * gradients 0: not known. */
int wf_coverage_write(int n, const wf_coverage_run *runs, uint64_t gradients, bool json, FILE *file,
                      const char *name) WF_MUST;

/* Draws the histograms of all quantities side by side, with the count expected in a bin as a line. */
int wf_coverage_draw(int n, const wf_coverage_run *runs, wf_image *out) WF_MUST;

WF_END

#endif
