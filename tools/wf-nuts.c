/* wf-nuts.c - draws pictures from an annealed model by the No-U-Turn sampler, level by level or jointly */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/file.h"
#include "../lib/mcmc/annealed_sampler.h"
#include "interrupt.h"
#include "level_work.h"
#include "measuring.h"
#include "sampling.h"
#include "summaries.h"

enum { UNIT, DIAGONAL, EXPECTED }; /* --mass */

static struct options {
    sampling sampling;
    measuring measuring;
    const char *out_list, *state_path, *report_path, *stats_path;
    int64_t draws, thin, adapt; /* -1: not given */
    int chains, max_depth, mass;
    bool latent, data, joint, grey, strict;
    cli_doubles temperature;
    double target, save_every, max_rhat, min_ess;
} options = {.sampling = SAMPLING_DEFAULTS,
             .draws = -1,
             .thin = -1,
             .adapt = -1,
             .mass = -1,
             .chains = 1,
             .max_depth = 10,
             .target = 0.6,
             .save_every = 60,
             .max_rhat = 1.01,
             .min_ess = 400};

static const cli_option table[] = {
    SAMPLING_OPTIONS(options.sampling),
    {'T', "temperature", "T[,T...]", CLI_DOUBLES, &options.temperature, 0.01, 10,
     "Temperature: one for all levels, or one each for levels 0, 1, ...; the last holds for all above (default 0.97; "
     "with --noise 1)."},
    {0, "joint", NULL, CLI_FLAG, &options.joint, 0, 0, "Anneal all levels at once, as one density; see above."},
    {0, "chains", "N", CLI_INT, &options.chains, 1, 4096, "Chains for each picture that comes in (default 1)."},
    {0, "adapt", "N", CLI_COUNT, &options.adapt, 0, 1e9,
     "Draws that adapt the step size and are thrown away (default 10; with --noise 100)."},
    {0, "draws", "N", CLI_COUNT, &options.draws, 1, 1e9,
     "Draws of each chain after adaptation (default 30; with --noise 100)."},
    {0, "thin", "N", CLI_COUNT, &options.thin, 0, 1e9,
     "Write every N-th draw, counted back from the last (default: the last alone; with --out every one). Lower levels "
     "pass on their last draw."},
    {0, "target-accept", "P", CLI_DOUBLE, &options.target, 0.01, 0.99,
     "Mean acceptance that the step size is adapted to (default 0.6)."},
    {0, "max-depth", "N", CLI_INT, &options.max_depth, 1, WF_NUTS_DEPTHS,
     "Doublings of a trajectory at most (default 10)."},
    {0, "mass", "unit|diagonal|expected", CLI_CHOICE, &options.mass, 0, 0,
     "Mass matrix (default unit; with --noise expected). diagonal is adapted, and needs --adapt 20 or more; expected "
     "is told above."},
    {0, "latent", NULL, CLI_FLAG, &options.latent, 0, 0,
     "Run chains over latents, the default: their density is close to a normal one."},
    {0, "data", NULL, CLI_FLAG, &options.data, 0, 0, "Run chains over wavelet coefficients."},
    MEASURING_OPTIONS(options.measuring),
    {0, "mask", "FILE", CLI_STRING, &options.measuring.mask_path, 0, 0,
     "Inpainting: whole pictures come in; draw what is white in this picture, given what is black; see above."},
    {0, "grey", NULL, CLI_FLAG, &options.grey, 0, 0,
     "Colourization: whole pictures come in; draw their colours, or those inside the mask, given their grey."},
    {0, "out", "LIST", CLI_STRING, &options.out_list, 0, 0,
     "With --noise, --mask or --grey, write these of each picture: mean, std, quantiles such as q05 or q97.5, draws; "
     "see above."},
    {0, "state", "DIR", CLI_PLACE, &options.state_path, 0, 0,
     "Save the chains in this folder. After an interruption the same command continues them, bit for bit."},
    {0, "save-every", "SECONDS", CLI_DOUBLE, &options.save_every, 0, 1e9, "Seconds between saves (default 60)."},
    {0, "report", "FILE", CLI_PLACE, &options.report_path, 0, 0,
     "Write the diagnostics as JSON, one object per line and level."},
    {0, "stats", "FILE", CLI_PLACE, &options.stats_path, 0, 0,
     "Write a line of statistics for each draw after adaptation, as CSV with the columns of CmdStan; see above."},
    {0, "strict", NULL, CLI_FLAG, &options.strict, 0, 0,
     "Exit with 70, after all output, if a diagnostic is out of bounds."},
    {0, "max-rhat", "X", CLI_DOUBLE, &options.max_rhat, 1, 100, "Warn of an R-hat above X (default 1.01)."},
    {0, "min-ess", "N", CLI_DOUBLE, &options.min_ess, 1, 1e9,
     "Warn of an effective sample size (ESS) below N (default 400)."},
    CLI_THREADS,
    CLI_SEED,
    CLI_BACKEND_AUTO,
    {0}};

static const cli_program program = {
    .name = "wf-nuts",
    .summary = "draw annealed samples from a Wavelet Flow model by Markov chains",
    .synopsis = "-m MODEL [-n N] [-l L] [-T T] [--joint] [-o FILE] [FILE|STORE]",
    .description =
        "Draws pictures from the annealed density p^g, g = 1/T^2, of a model that wf-train-level trained. Below T = "
        "1 likely pictures become likelier, and samples cleaner. The sampler is NUTS (Hoffman and Gelman 2014), a "
        "Markov chain guided by gradients. Input and output are those of wf-sample: -n draws from the base upward; a "
        "coefficient stream or store, or --from, is continued upward. A chain's picture is its last draw of "
        "--draws.\n\n"
        "Level by level, as published, each conditional p(details | average) is annealed alone. The product of these "
        "conditionals is not the annealed joint density: the normalizer of a conditional depends on its average, and "
        "the product prefers averages that the joint density does not.\n\n"
        "--joint anneals the joint density of all levels from the first to -l in one chain over all their latents. "
        "Such a chain moves in more dimensions and costs more. In models of photographs the likeliest pictures may "
        "be flat and of saturated colour: --joint moves towards them; level by level, the averages keep their "
        "variety.\n\n"
        "With --mask or --grey, whole pictures of the model's size come in, and one chain draws their missing part "
        "from the annealed joint density given the rest. --mask: white pixels of the mask are missing (inpainting). "
        "--grey: all colours are missing, and the grey 0.299 R + 0.587 G + 0.114 B is given (colourization). Both: "
        "the colours inside the mask are missing. A given pixel stands for the middle of its range of values and "
        "comes out unchanged. A given grey comes out unchanged up to rounding, unless a colour was cut off at 0 or "
        "the largest value. These chains begin at a plain guess: --adapt should be a hundred or more.\n\n"
        "With --noise, measured pictures y = M S B x + e come in, and one chain draws whole pictures x from the "
        "posterior p(x | y), jointly over all levels: the model's density, annealed by -T, times the likelihood. e is "
        "normal, of standard deviation --noise in grey values. B is --blur; M leaves out what is white in --mask; S "
        "averages squares where the pictures that come in are 2, 4, 8 .. times smaller than the model's "
        "(super-resolution), and then the mask has their size. Files round and cut off y at 0 and the largest value, "
        "which the likelihood does not know; a stream of coefficients can carry any y. Chains begin at pictures drawn "
        "from the model. --mass expected scales each coordinate by the curvature of the log posterior that is expected "
        "before y is seen: the mean square of its gradient over 128 pictures and measurements simulated from the "
        "model, the diagonal of the precision if the flow were linear. Over latents, that curvature is estimated again "
        "at each chain's position, after a fifth of --adapt and after half of it.\n\n"
        "--out writes a record of pictures for each word of its list, in that order, over all chains and kept draws "
        "of a picture: its mean, std (standard deviation, in grey values from 0), quantiles (q50: the median), value "
        "by value, and draws, the kept draws themselves. With k words picture i becomes the pictures i k to "
        "i k + k - 1; draws counts as a word for every kept draw of every chain. wf-idwt rounds to whole grey values; "
        "a stream or store keeps all.\n\n"
        "Diagnostics go to stderr, one line a level: mean acceptance, range of step sizes, mean depth of the trees, "
        "divergent trajectories, and the worst R-hat, bulk and tail effective sample size (ESS) and E-BFMI over the "
        "log density and eight coordinates (Vehtari et al. 2021).\n\n"
        "ESS pools the chains with one target: all of them at the first level drawn (and with --joint), one chain "
        "per picture above it. ESS in the hundreds needs --draws in the thousands. The published protocol has few "
        "draws: its diagnostics warn. Its chains begin at independent draws of T = 1.\n\n"
        "--stats has a line for each draw of each chain: lp__ (annealed log density), accept_stat__, stepsize__, "
        "treedepth__, n_leapfrog__, divergent__ and energy__ as CmdStan has them; level (the last one of a joint "
        "chain), chain and draw; and x.1 to x.8, the eight coordinates that are diagnosed. Two lines of Python "
        "summarize them with ArviZ 0.23 or 1: d = pandas.read_csv(FILE).query('level == 0') and "
        "arviz.summary(d.set_index(['chain', 'draw']).to_xarray()). Chains of different pictures above the first "
        "level have different targets: summarize each alone. ArviZ's from_cmdstan expects one chain a file.\n\n"
        "With --shard, diagnostics are those of the shard's own chains. Divergences, draws and gradients of shards add "
        "up, and lines of --stats are those of the run. R-hat and ESS of the first level drawn, and of --joint, "
        "compare all chains with one another: compute them from the lines of all shards, as above. --state needs a "
        "folder for each shard.\n\n"
        "A picture's chain is the same, byte for byte, for the same model, options, seed and index, whatever else is "
        "drawn.",
    .examples = "wf-nuts -m model -n 16 | wf-idwt --grid grid.png\n"
                "    sixteen samples at T = 0.97\n"
                "wf-nuts -m model -l 3 -n 4 | wf-nuts -m model -l 4 -T 0.9 | wf-idwt -o pictures\n"
                "    in two steps, the last one colder\n"
                "wf-nuts -m model --from photos/ --mask hole.png --adapt 100 | wf-idwt -o filled\n"
                "    inpainting\n"
                "wf-nuts -m model --from noisy.png --noise 12 --chains 4 --out mean,std | wf-idwt -o posterior\n"
                "    the mean of what a noisy picture may have been, and how sure it is\n"
                "wf-nuts -m model -n 64 --state run --draws 1000 > draws.wf\n"
                "    may be interrupted and repeated until it is complete\n",
    .options = table};

static wf_observed *observed; /* the given part of the pictures; NULL: nothing is given */
static wf_measured *measured; /* how the pictures were measured; NULL: they were not */
static summaries *summary;    /* of --out; NULL: not asked for */
static wf_annealed_sampler *sampler;
static wf_outfile *report; /* NULL: not asked for */
static FILE *stats;        /* a file without a name, until the chains are done; NULL: not asked for */

/* -- diagnostics --------------------------------------------------------------------------------------------------- */

/* Prints the diagnostics of every level, and writes them to the report. Returns the first level that is out of
 * bounds, -1: none. */
static int report_levels(void)
{
    const wf_markov_chains_report *r;
    int first, last, bad = -1;
    char row[WF_MARKOV_CHAINS_ROW];
    wf_shard shard = options.sampling.shard;
    if (shard.n)
        note("shard %d of %d: R-hat and ESS are of its own chains", shard.i, shard.n);
    note("%s", WF_MARKOV_CHAINS_HEAD);
    for (int i = 0; (r = wf_annealed_sampler_report(sampler, i, &first, &last)); i++) {
        wf_markov_chains_row(first, last, r, row);
        note("%s", row);
        if (report)
            must(wf_markov_chains_write_json(wf_outfile_stream(report), options.report_path, first, last, r));
        if (bad < 0 && !wf_markov_chains_trusted(r, options.max_rhat, options.min_ess))
            bad = last;
    }
    return bad;
}

static void report_diagnostics(void)
{
    char doubt[200];
    if (options.report_path)
        must(wf_outfile_create(options.report_path, &report));
    int bad = report_levels();
    if (report)
        must(wf_outfile_commit(report));
    if (bad < 0)
        return;
    snprintf(doubt, sizeof doubt,
             "not shown to have converged, level %d being the first: expected no divergence, R-hat <= %g, ESS >= %g, "
             "E-BFMI >= %g",
             bad, options.max_rhat, options.min_ess, WF_MARKOV_CHAINS_EBFMI);
    if (options.strict)
        die(WF_INTERNAL, "%s", doubt);
    note("%s", doubt);
}

/* -- main ---------------------------------------------------------------------------------------------------------- */

/* Makes and locks the folder of the state: no other process may write there until this one exits. */
static void lock_state(const char *folder)
{
    char path[WF_PATH];
    int lock;
    must(wf_mkdirs(folder));
    if (snprintf(path, sizeof path, "%s/lock", folder) >= WF_PATH)
        die(WF_USAGE, "%s: the name is too long", folder);
    must(wf_lock(path, program.name, &lock));
    wf_sweep(folder, "level-");
}

/* Sets what was not given. */
static void set_defaults(void)
{
    bool noise = options.measuring.noise > 0;
    if (!options.temperature.count)
        options.temperature = (cli_doubles){1, {noise ? 1 : 0.97}};
    if (options.adapt < 0)
        options.adapt = noise ? 100 : 10;
    if (options.draws < 0)
        options.draws = noise ? 100 : 30;
    if (options.thin < 0)
        options.thin = options.out_list != NULL;
    if (options.mass < 0)
        options.mass = noise ? EXPECTED : UNIT;
}

static void check_usage(void)
{
    const sampling *s = &options.sampling;
    const measuring *m = &options.measuring;
    bool part = m->mask_path || options.grey;
    if (options.latent && options.data)
        die(WF_USAGE, "--latent and --data exclude each other");
    if (options.mass == DIAGONAL && options.adapt < 20)
        die(WF_USAGE, "--mass diagonal needs --adapt 20 or more, found %lld", (long long)options.adapt);
    if (m->noise > 0 && (s->count >= 0 || s->scale || s->to_level >= 0 || options.grey))
        die(WF_USAGE, "--noise is for measured pictures, and excludes -n, --scale, -l and --grey");
    if (!(m->noise > 0) && (m->blur_path || options.mass == EXPECTED))
        die(WF_USAGE, "%s needs --noise", m->blur_path ? "--blur" : "--mass expected");
    if (!(m->noise > 0) && part && (s->count >= 0 || s->scale || s->to_level >= 0 || options.latent))
        die(WF_USAGE, "--mask and --grey are for whole pictures, and exclude -n, --scale, -l and --latent");
    if (options.out_list && !(m->noise > 0) && !part)
        die(WF_USAGE, "--out needs --noise, --mask or --grey");
    int64_t kept = options.thin ? (options.draws + options.thin - 1) / options.thin : 1;
    if (options.out_list && strstr(options.out_list, "std") && kept * options.chains < 2)
        die(WF_USAGE, "--out std: one draw has no deviation: more --draws or --chains");
    if (options.out_list && s->shard.n)
        die(WF_USAGE, "--out and --shard exclude each other");
}

/* Fails now if an output cannot be written, not after hours. */
static void try_output(const char *path)
{
    wf_outfile *file;
    must(wf_outfile_create(path, &file));
    wf_outfile_abort(file);
}

static void open_stats(void)
{
    try_output(options.stats_path);
    stats = tmpfile();
    if (!stats)
        die(WF_IO, "no temporary file for --stats: %s", strerror(errno));
    fputs(WF_MARKOV_CHAINS_STATS_HEAD "\n", stats);
}

static void open_observed(const wf_conditioning *from)
{
    const wf_meta *meta = wf_conditioning_meta(from);
    const measuring *m = &options.measuring;
    uint8_t *missing = NULL;
    if (m->noise > 0) {
        int level = wf_conditioning_level(from);
        if (level < 1)
            die(WF_USAGE,
                "--noise needs measured pictures, of --from, a stream or a store, larger than the model's base");
        measured = measuring_open(m, meta, 1 << (meta->levels - level), m->noise);
        return;
    }
    if (m->mask_path)
        must(wf_observed_read_mask(m->mask_path, meta, &missing));
    if (m->mask_path || options.grey)
        must(wf_observed_create(meta, missing, options.grey, &observed));
    free(missing);
}

static void open_output(sampling *s)
{
    wf_meta meta;
    bool whole = observed || measured;
    must(whole ? wf_meta_copy(&meta, wf_conditioning_meta(s->conditioning))
               : wf_conditioning_drawn(s->conditioning, s->to_level, &meta));
    sampling_open_output(s, &meta, whole ? 0 : wf_conditioning_level(s->conditioning) + 1);
}

/* Without --state, signals end the program. */
static wf_watch begin_work(const sampling *s)
{
    int64_t count = sampling_count(s);
    level_work work = {.model = &s->model,
                       .meta = &s->meta,
                       .offset = wf_conditioning_offset(s->conditioning),
                       .first = s->first,
                       .last = s->meta.top,
                       .pictures = count < 0 ? -1 : count * options.chains,
                       .times = options.adapt + options.draws,
                       .kind = "draw",
                       .counts = options.joint || observed || measured ? LEVEL_WORK_JOINT : LEVEL_WORK_ALL};
    if (!options.state_path)
        interrupt_ends("%s; --state DIR keeps the chains", cli_output_left(s->output_path));
    return level_work_begin(&work);
}

static void open_sampler(const sampling *s, const volatile sig_atomic_t *stop)
{
    wf_annealed_sampler_spec spec = {.to = s->meta.top,
                                     .data = options.data,
                                     .joint = options.joint,
                                     .known = observed,
                                     .measured = measured,
                                     .expect = options.mass == EXPECTED,
                                     .chains = options.chains,
                                     .state = options.state_path,
                                     .options = {.nuts = wf_nuts_defaults,
                                                 .draws = options.draws,
                                                 .thin = options.thin,
                                                 .save_every = options.save_every,
                                                 .stats = stats,
                                                 .watch = begin_work(s),
                                                 .stop = stop}};
    for (int l = 0; l <= WF_MAX_LEVELS; l++)
        spec.temperature[l] = cli_nth(&options.temperature, l);
    spec.options.nuts.seed = common.seed;
    spec.options.nuts.adapt = (uint64_t)options.adapt;
    spec.options.nuts.target = options.target;
    spec.options.nuts.max_depth = options.max_depth;
    spec.options.nuts.diagonal_mass = options.mass == DIAGONAL;
    must(wf_annealed_sampler_create(&s->model, s->conditioning, s->backend, &spec, &sampler));
    if (summary)
        summaries_open(summary, &s->meta, wf_annealed_sampler_rows(sampler), options.chains,
                       wf_markov_chains_kept(&spec.options));
}

/* A sampling_draw. */
static int draw_pictures(void *user, int N, const float *picture, const uint64_t *index)
{
    const sampling *s = user;
    if (!summary)
        return wf_annealed_sampler_run(sampler, N, picture, index, sampling_write, user);
    WF_TRY(wf_annealed_sampler_run(sampler, N, picture, index, summaries_take, summary));
    return summaries_write(summary, N, index, s->names, sampling_write, user);
}

int main(int argc, char **argv)
{
    sampling *s = &options.sampling;
    const volatile sig_atomic_t *stop = NULL;
    sampling_parse(s, &program, argc, argv);
    set_defaults();
    s->keeps_numbers = options.chains == 1 && !options.thin;
    s->apart = options.thin > 0; /* a record for each kept draw of all pictures */
    check_usage();
    if (options.out_list)
        summary = summaries_parse(options.out_list);
    if (options.state_path) {
        lock_state(options.state_path);
        stop = interrupt_saves("saving the chains in %s; once more ends at once", options.state_path);
    }
    if (options.report_path)
        try_output(options.report_path);
    if (options.stats_path)
        open_stats();
    sampling_open(s);
    open_observed(s->conditioning);
    open_output(s);
    open_sampler(s, stop);
    sampling_note(s, ", %d chain%s of %lld + %lld draws for each%s", options.chains, plural(options.chains),
                  (long long)options.adapt, (long long)options.draws,
                  options.joint || measured ? ", all levels jointly" : "");
    sampling_run(s, wf_annealed_sampler_rows(sampler), draw_pictures, s);
    finish_stdout();
    if (stats)
        must(wf_save_copy(stats, options.stats_path));
    report_diagnostics();
    wf_annealed_sampler_destroy(sampler);
    wf_observed_destroy(observed);
    wf_measured_destroy(measured);
    summaries_close(summary);
    sampling_close(s);
    return WF_OK;
}
