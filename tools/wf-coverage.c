/* wf-coverage.c - tests whether posteriors of measured pictures are right */
#include <stdlib.h>

#include "../lib/base/file.h"
#include "../lib/image/save.h"
#include "../lib/mcmc/coverage.h"
#include "cli_found.h"
#include "interrupt.h"
#include "level_work.h"
#include "measuring.h"
#include "progress.h"
#include "start.h"

static struct options {
    const char *model_path, *picture_path, *state_path;
    measuring measuring;
    double assumed, target, save_every;
    int64_t count, draws, adapt;
    int scale, chains, max_depth;
    bool data, unit, json;
} options = {.count = 200,
             .draws = 100,
             .adapt = 100,
             .scale = 1,
             .chains = 2,
             .max_depth = 10,
             .target = 0.6,
             .save_every = 60};

static const cli_option table[] = {
    CLI_MODEL(&options.model_path),
    {'n', "count", "N", CLI_COUNT, &options.count, 1, 1e6, "Pictures to simulate (default 200)."},
    MEASURING_OPTIONS(options.measuring),
    {0, "mask", "FILE", CLI_STRING, &options.measuring.mask_path, 0, 0,
     "What is white in this picture of the measurement's size is missing."},
    {0, "scale", "S", CLI_INT, &options.scale, 1, 1 << 14,
     "Squares of S x S pixels are averaged after the blur (default 1)."},
    {0, "assume-noise", "SIGMA", CLI_DOUBLE, &options.assumed, 1e-3, 1e6,
     "Infer as if the noise were this, to see what a wrong figure does (default: that of --noise)."},
    {0, "chains", "N", CLI_INT, &options.chains, 1, 32, "Chains for each picture (default 2)."},
    {0, "adapt", "N", CLI_COUNT, &options.adapt, 0, 1e9,
     "Draws that adapt the step size and are thrown away (default 100)."},
    {0, "draws", "N", CLI_COUNT, &options.draws, 8, 1e6,
     "Draws of each chain after adaptation, at least 44 of all chains (default 100)."},
    {0, "target-accept", "P", CLI_DOUBLE, &options.target, 0.01, 0.99,
     "Mean acceptance that the step size is adapted to (default 0.6)."},
    {0, "max-depth", "N", CLI_INT, &options.max_depth, 1, WF_NUTS_DEPTHS,
     "Doublings of a trajectory at most (default 10)."},
    {0, "data", NULL, CLI_FLAG, &options.data, 0, 0, "Run chains over wavelet coefficients, not over latents."},
    {0, "unit-mass", NULL, CLI_FLAG, &options.unit, 0, 0, "Do not scale coordinates, as wf-nuts --mass unit."},
    {0, "json", NULL, CLI_FLAG, &options.json, 0, 0, "Print one JSON object, with all ranks, in place of the table."},
    {0, "picture", "FILE.png", CLI_PLACE, &options.picture_path, 0, 0, "Draw histograms of the ranks into this file."},
    {0, "state", "DIR", CLI_PLACE, &options.state_path, 0, 0,
     "Save the chains in this folder. After an interruption the same command continues them."},
    {0, "save-every", "SECONDS", CLI_DOUBLE, &options.save_every, 0, 1e9, "Seconds between saves (default 60)."},
    CLI_THREADS,
    CLI_SEED,
    CLI_BACKEND_AUTO,
    {0}};

static const cli_program program = {
    .name = "wf-coverage",
    .summary = "whether posteriors of measured pictures are right, by simulation",
    .synopsis = "-m MODEL --noise SIGMA [--blur FILE] [--mask FILE] [--scale S] [-n N]",
    .description =
        "Draws pictures from a model, measures them, and infers each from its measurement by the chains of wf-nuts "
        "--noise. If inference is right, the true value of a quantity is one more draw: its rank among the chains' "
        "draws is uniform, and a central interval of 80 % holds it in 80 % of the runs (simulation-based calibration, "
        "Talts et al. 2018). A chain that did not converge, a wrong gradient or a wrong noise show as other shares. "
        "Ranks are uniform only among draws that hardly depend on one another: where ess is not well above 44, give "
        "more --draws before you doubt a posterior. Whether the model is like real pictures is another question, which "
        "this program does not ask.\n\n"
        "It prints lines of quantity, figure, value and standard error, separated by tabs, below a line of heads. "
        "Quantities are the values at four places, which differ from picture to picture (pixel1 to pixel4), the mean "
        "of all values, and the log likelihood of the measurement. Figures are inside50, inside80 and inside95, the "
        "shares of true values within the central interval, and uniform_p, the p-value of a chi-square test of ranks "
        "among 44 draws in 9 bins (5 for fewer than 45 pictures, 3 for fewer than 25).\n\n"
        "Lines of the quantity all are the share of pictures whose worst R-hat over these quantities is below 1.05; "
        "psnr of the mean of all draws, in dB; ess, the bulk effective sample size of a picture's draws, a mean over "
        "quantities; and gradients_per_ess, adaptation included, or - if the chains were continued.",
    .examples = "wf-coverage -m model --noise 25 -n 50\n"
                "    can the posteriors of noisy pictures be trusted?\n"
                "wf-coverage -m model --noise 25 --mask half.png --state run --picture ranks.png\n"
                "    with missing pixels; may be interrupted and repeated\n"
                "wf-coverage -m model --noise 25 --assume-noise 18 -n 50\n"
                "    what too small a noise does",
    .options = table};

static void check_usage(int first)
{
    if (!options.model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (first < common.argc)
        die(WF_USAGE, "found %s, expected no operand: pictures are drawn from the model", common.argv[first]);
    if (!(options.measuring.noise > 0))
        die(WF_USAGE, "--noise SIGMA is needed");
    if (options.draws * options.chains < WF_COVERAGE_RANKS)
        die(WF_USAGE, "%d chains of %lld draws, expected %d draws in all", options.chains, (long long)options.draws,
            WF_COVERAGE_RANKS);
}

/* Fails now if the picture cannot be written, not after hours. */
static void try_picture(void)
{
    wf_outfile *file;
    if (!options.picture_path)
        return;
    must(wf_outfile_create(options.picture_path, &file));
    wf_outfile_abort(file);
}

static const volatile sig_atomic_t *begin_state(void)
{
    char path[WF_PATH];
    int lock;
    if (!options.state_path) {
        interrupt_ends("nothing is printed; --state DIR keeps the chains");
        return NULL;
    }
    must(wf_mkdirs(options.state_path));
    if (snprintf(path, sizeof path, "%s/lock", options.state_path) >= WF_PATH)
        die(WF_USAGE, "%s: the name is too long", options.state_path);
    must(wf_lock(path, program.name, &lock));
    wf_sweep(options.state_path, "batch-");
    return interrupt_saves("saving the chains in %s; once more ends at once", options.state_path);
}

/* Every level must be a flow: lattices have no gradient. */
static void check_levels(const wf_model *model)
{
    for (int l = 0; l <= model->meta.levels; l++) {
        wf_level_summary summary;
        must(wf_level_summarize(model, l, &summary));
        if (wf_chain_is_discrete(summary.chain))
            die(WF_USAGE, "%s: level %d gives probabilities of whole numbers (lattice): chains need a flow",
                options.model_path, l);
    }
}

int main(int argc, char **argv)
{
    wf_model model;
    wf_image image = {0};
    char pictures[START_PICTURES], job[START_PICTURES + 64];
    uint64_t gradients;
    check_usage(cli_parse(&program, argc, argv));
    try_picture();
    const volatile sig_atomic_t *stop = begin_state();
    found_open_model(options.model_path, &model);
    check_levels(&model);
    wf_backend *backend = start_backend();
    wf_measured *truth = measuring_open(&options.measuring, &model.meta, options.scale, options.measuring.noise);
    wf_measured *assumed = measuring_open(&options.measuring, &model.meta, options.scale,
                                          options.assumed > 0 ? options.assumed : options.measuring.noise);
    snprintf(job, sizeof job, "%s, %d chain%s of %lld + %lld draws for each",
             start_pictures(options.count, &model.meta, pictures), options.chains, plural(options.chains),
             (long long)options.adapt, (long long)options.draws);
    start_note(backend, &model, 0, model.meta.levels, NULL, job);
    level_work work = {.model = &model,
                       .meta = &model.meta,
                       .last = model.meta.levels,
                       .pictures = options.count * options.chains,
                       .times = options.adapt + options.draws,
                       .kind = "draw",
                       .counts = LEVEL_WORK_JOINT};
    wf_coverage_spec spec = {.truth = truth,
                             .assumed = assumed,
                             .data = options.data,
                             .expect = !options.unit,
                             .chains = options.chains,
                             .seed = common.seed,
                             .state = options.state_path,
                             .options = {.nuts = wf_nuts_defaults,
                                         .draws = options.draws,
                                         .save_every = options.save_every,
                                         .watch = level_work_begin(&work),
                                         .stop = stop}};
    spec.options.nuts.seed = common.seed;
    spec.options.nuts.adapt = (uint64_t)options.adapt;
    spec.options.nuts.target = options.target;
    spec.options.nuts.max_depth = options.max_depth;
    int n = (int)options.count;
    wf_coverage_run *runs = must_allocate((size_t)n, sizeof *runs, "runs");
    must(wf_coverage_run_all(&model, backend, &spec, n, runs, &gradients));
    progress_end();
    must(wf_coverage_write(n, runs, gradients, options.json, stdout, "standard output"));
    if (options.picture_path) {
        must(wf_coverage_draw(n, runs, &image));
        must(wf_image_save(options.picture_path, &image));
    }
    finish_stdout();
    free(runs);
    wf_image_clear(&image);
    wf_measured_destroy(truth);
    wf_measured_destroy(assumed);
    wf_model_clear(&model);
    backend->close(backend);
    return WF_OK;
}
