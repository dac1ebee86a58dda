/* wf-nuts - draws pictures from an annealed model by the No-U-Turn sampler, level by level or jointly */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/mcmc/annealed_sampler.h"
#include "../lib/base/file.h"
#include "cli.h"
#include "../lib/model/level.h"

static const char *model_path, *from_path, *mask_path, *state_path, *report_path;
static int64_t count = -1, draws = 30, thin, adapt = 10;
static int to_level = -1, chains = 1, max_depth = 10, mass, scale;
static bool latent, data, joint, grey, strict;
static cli_doubles temperature = {1, {0.97}};
static double target = 0.6, save_every = 60, max_rhat = 1.01, min_ess = 400;

static const cli_option table[] = {
    {'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder."},
    {'n', "count", "N", CLI_COUNT, &count, 0, 1e12, "Begin N pictures at the base, without reading stdin."},
    {'l', "level", "L", CLI_INT, &to_level, 0, WF_MAX_LEVELS, "Stop at level L (default: the model's highest)."},
    {'T', "temperature", "T[,T...]", CLI_DOUBLES, &temperature, 0.01, 10,
     "Temperature of every level, or of levels 0, 1, ... and, the last one, of all above (default 0.97)."},
    {0, "joint", NULL, CLI_FLAG, &joint, 0, 0, "Anneal all levels at once, as one density; see above."},
    {0, "chains", "N", CLI_INT, &chains, 1, 4096, "Chains for each picture that comes in (default 1)."},
    {0, "adapt", "N", CLI_COUNT, &adapt, 0, 1e9, "Draws that adapt the step size and are thrown away (default 10)."},
    {0, "draws", "N", CLI_COUNT, &draws, 1, 1e9, "Draws of each chain after that (default 30)."},
    {0, "thin", "N", CLI_COUNT, &thin, 0, 1e9,
     "Write every N-th draw, counted back from the last; the default is the last alone. Lower levels pass on their last."},
    {0, "target-accept", "P", CLI_DOUBLE, &target, 0.01, 0.99, "Acceptance to adapt the step size to (default 0.6)."},
    {0, "max-depth", "N", CLI_INT, &max_depth, 1, WF_NUTS_DEPTHS, "Doublings of a trajectory (default 10)."},
    {0, "mass", "unit|diagonal", CLI_CHOICE, &mass, 0, 0,
     "Mass matrix (default unit); diagonal is adapted, and wants --adapt 20 or more."},
    {0, "latent", NULL, CLI_FLAG, &latent, 0, 0,
     "Move in the latents, the default: there the density is nearly a normal one."},
    {0, "data", NULL, CLI_FLAG, &data, 0, 0, "Move in the coefficients."},
    {0, "from", "FILE", CLI_STRING, &from_path, 0, 0,
     "Continue a picture file, or a folder or archive of them, upward."},
    {0, "scale", "2|4|8|16", CLI_INT, &scale, 2, 1 << 14,
     "Enlarge pictures of any size so many times, by the model's highest levels."},
    {0, "mask", "FILE", CLI_STRING, &mask_path, 0, 0,
     "Pictures are whole: draw what is white in this picture, given what is black; see above."},
    {0, "grey", NULL, CLI_FLAG, &grey, 0, 0,
     "Pictures are whole: draw their colours, or those inside the mask, given their grey."},
    {0, "state", "DIR", CLI_STRING, &state_path, 0, 0,
     "Save the chains in this folder; the same command goes on from there, bit for bit, after any interruption."},
    {0, "save-every", "SECONDS", CLI_DOUBLE, &save_every, 0, 1e9, "Seconds between saves (default 60)."},
    {0, "report", "FILE", CLI_STRING, &report_path, 0, 0,
     "Write the diagnostics as JSON, one object per line and level."},
    {0, "strict", NULL, CLI_FLAG, &strict, 0, 0, "Exit with 70, after all output, where the diagnostics warn."},
    {0, "max-rhat", "X", CLI_DOUBLE, &max_rhat, 1, 100, "Warn of an R-hat above (default 1.01)."},
    {0, "min-ess", "N", CLI_DOUBLE, &min_ess, 1, 1e9, "Warn of fewer effective draws (default 400)."},
    {0}};

static const cli_program program = {
    .name = "wf-nuts",
    .summary = "draw annealed samples from a Wavelet Flow model by Markov chains",
    .synopsis = "-m MODEL [-n N] [-l L] [-T T] [--joint] [-]",
    .description =
        "Draws pictures from p^g, g = 1/T^2, normalized again: below T = 1 likely pictures become likelier, and samples "
        "cleaner. The chains are those of the No-U-Turn sampler. Input and output are those of wf-sample: with -n, pictures begin at the base; a "
        "coefficient stream on stdin, or --from, is continued upward. The picture of a chain that ran --draws "
        "draws is its last.\n\n"
        "Level by level, as published, each conditional p(details | average) is annealed by itself. That is not the annealed "
        "joint density: the normalizer of each annealed conditional depends on the average that it is given, and the product "
        "of them prefers averages that the joint does not. --joint anneals the joint density of all levels from the first "
        "to -l in one chain over all their latents, at the cost of chains that move in more dimensions. What a model of photographs "
        "believes likeliest may be flat pictures of saturated colour: there the joint goes, while level by level keeps the variety of the "
        "averages.\n\n"
        "With --mask or --grey, whole pictures of the model's size come in, of which something is missing: the pixels that are white in "
        "the mask, or all colours, whose grey 0.299 R + 0.587 G + 0.114 B is known, or with both the colours inside the "
        "mask. One chain over all that is missing draws it from the annealed joint density given the rest: inpainting and "
        "colourization. A known pixel stands for the middle of its values, and comes out as it came in; a known grey does so to rounding, except where a colour is cut off at 0 or at the largest value. "
        "These chains begin at a plain guess, so --adapt wants to be a hundred or more.\n\n"
        "Diagnostics follow on stderr, per level: mean acceptance, range of step sizes, mean depth of the trees, divergent "
        "trajectories, and the worst R-hat, bulk and tail effective sample size and E-BFMI of the log density and eight "
        "coordinates (Vehtari et al. 2021). The effective sizes are those of all chains that stand on one picture, or on nothing: "
        "--chains adds up at the first level that is drawn (with --joint, at all); above it every chain has a picture of its "
        "own, and sizes of hundreds want --draws of thousands. With the few draws of the published protocol they warn, and say so; "
        "the chains then begin at independent draws of T = 1.\n\n"
        "A picture's chain is the same, byte for byte, for the same model, options, seed and index, whatever else is drawn.",
    .examples = "wf-nuts -m model -n 16 | wf-idwt --grid grid.png\n"
                "    sixteen samples at T = 0.97\n"
                "wf-nuts -m model -l 3 -n 4 | wf-nuts -m model -l 4 -T 0.9 | wf-idwt -o pictures\n"
                "    in two steps, the last one colder\n"
                "wf-nuts -m model --from photos/ --mask hole.png --adapt 100 | wf-idwt -o filled\n"
                "    what may have been in the hole\n"
                "wf-nuts -m model -n 64 --state run --draws 1000 > draws.wf\n"
                "    may be interrupted and repeated until it is complete\n",
    .options = table};

static wf_backend *backend;
static wf_model model;
static wf_conditioning *starts;
static wf_meta drawn_meta; /* of what is written */
static wf_observed *known; /* NULL: nothing is */
static wf_annealed_sampler *ascent;
static wf_writer *writer;
static wf_outfile *report; /* NULL: none is asked for */
static volatile sig_atomic_t interrupted;

/* -- diagnostics ----------------------------------------------------------------------------------------------------- */

/* Says how every level's chains went; dies where they cannot be trusted and --strict was asked for. */
static void judge(void)
{
    const wf_markov_chains_report *r;
    int first, last, bad = -1;
    char row[WF_MARKOV_CHAINS_ROW], doubt[200];
    if (report_path)
        must(wf_outfile_create(report_path, &report));
    note("%s", WF_MARKOV_CHAINS_HEAD);
    for (int i = 0; (r = wf_annealed_sampler_report(ascent, i, &first, &last)); i++) {
        wf_markov_chains_row(first, last, r, row);
        note("%s", row);
        if (report)
            must(wf_markov_chains_write_json(wf_outfile_stream(report), report_path, first, last, r));
        if (!wf_markov_chains_trusted(r, max_rhat, min_ess))
            bad = bad < 0 ? last : bad;
    }
    if (report)
        must(wf_outfile_commit(report));
    if (bad < 0)
        return;
    snprintf(doubt, sizeof doubt,
             "not shown to have converged, level %d being the first: wanted no divergence, R-hat <= %g, ESS >= %g, "
             "E-BFMI >= %g",
             bad, max_rhat, min_ess, WF_MARKOV_CHAINS_EBFMI);
    if (strict)
        die(WF_INTERNAL, "%s", doubt);
    note("%s", doubt);
}

/* -- main ------------------------------------------------------------------------------------------------------------ */

static void on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* The folder of the state is this program's alone until it exits, and signals wait until the chains are saved there. */
static void keep_state(void)
{
    char path[WF_PATH];
    int lock;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    must(wf_mkdirs(state_path));
    if (snprintf(path, sizeof path, "%s/lock", state_path) >= WF_PATH)
        die(WF_USAGE, "%s: the name is too long", state_path);
    must(wf_lock(path, program.name, &lock));
    wf_sweep(state_path, "level-");
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void check_usage(bool from_stdin)
{
    if (from_stdin + (count >= 0) + (from_path != NULL) > 1)
        die(WF_USAGE, "-n, pictures from nothing, --from a file, and -, from stdin, exclude each other");
    if (latent && data)
        die(WF_USAGE, "--latent and --data exclude each other");
    if (mass && adapt < 20)
        die(WF_USAGE, "--mass diagonal wants --adapt 20 or more, found %lld", (long long)adapt);
    if ((mask_path || grey) && (count >= 0 || scale || to_level >= 0 || latent))
        die(WF_USAGE, "--mask and --grey want whole pictures, and exclude -n, --scale, -l and --latent");
    if (!model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (isatty(STDOUT_FILENO))
        die(WF_USAGE, "stdout is a terminal: pipe it into wf-idwt or a file");
}

static void open_starts(bool from_stdin)
{
    if (from_path)
        must(wf_conditioning_images(&model, (char *const *)&from_path, 1, scale, &starts));
    else if (from_stdin || (count < 0 && cli_stream_comes()))
        must(wf_conditioning_stream(&model, backend, stdin, "stdin", scale, &starts));
    else
        must(wf_conditioning_none(&model, count < 0 ? 16 : count, scale, &starts));
}

static void open_known(void)
{
    uint8_t *missing = NULL;
    if (mask_path)
        must(wf_observed_read_mask(mask_path, wf_conditioning_meta(starts), &missing));
    if (mask_path || grey)
        must(wf_observed_create(wf_conditioning_meta(starts), missing, grey, &known));
    free(missing);
}

static void open_output(void)
{
    char hash[20];
    int offset = wf_conditioning_offset(starts), first = known ? 0 : wf_conditioning_level(starts) + 1 + offset;
    must(known ? wf_meta_copy(&drawn_meta, wf_conditioning_meta(starts))
               : wf_conditioning_drawn(starts, to_level, &drawn_meta));
    must(wf_model_hash(&model, first, drawn_meta.top + offset, hash));
    must(wf_meta_add_provenance(&drawn_meta, program.name, common.argc, common.argv, common.seed, hash));
    must(wf_writer_create(stdout, "stdout", &drawn_meta, &writer));
}

static void open_ascent(void)
{
    wf_annealed_sampler_spec spec = {.to = drawn_meta.top,
                                     .data = data,
                                     .joint = joint,
                                     .known = known,
                                     .chains = chains,
                                     .state = state_path,
                                     .options = {.nuts = wf_nuts_defaults,
                                                 .draws = draws,
                                                 .thin = thin,
                                                 .save_every = save_every,
                                                 .stop = state_path ? &interrupted : NULL}};
    for (int l = 0; l <= WF_MAX_LEVELS; l++)
        spec.temperature[l] = cli_nth(&temperature, l);
    spec.options.nuts.seed = common.seed;
    spec.options.nuts.adapt = (uint64_t)adapt;
    spec.options.nuts.target = target;
    spec.options.nuts.max_depth = max_depth;
    spec.options.nuts.diagonal_mass = mass;
    must(wf_annealed_sampler_create(&model, starts, backend, &spec, &ascent));
}

static int write_record(void *unused, const wf_record *record)
{
    (void)unused;
    return wf_writer_put(writer, record);
}

static void run(void)
{
    int N, most = wf_annealed_sampler_rows(ascent);
    float *picture;
    uint64_t *index = calloc((size_t)most, sizeof *index);
    if (!index)
        die(WF_AGAIN, "out of memory for %d pictures", most);
    for (;;) {
        must(wf_conditioning_next(starts, most, &N, &picture, index));
        if (!N)
            break;
        must(wf_annealed_sampler_run(ascent, N, picture, index, write_record, NULL));
        free(picture);
    }
    must(wf_writer_finish(writer));
    free(index);
}

int main(int argc, char **argv)
{
    bool from_stdin = cli_stdin_operand(cli_parse(&program, argc, argv), "it reads a stream from stdin");
    check_usage(from_stdin);
    if (state_path)
        keep_state();
    if (report_path) { /* to know now, not in hours, that it can be written */
        must(wf_outfile_create(report_path, &report));
        wf_outfile_abort(report);
    }
    must(wf_model_open(model_path, &model));
    must(wf_backend_open(common.backend, common.threads, &backend));
    open_starts(from_stdin);
    open_known();
    open_output();
    open_ascent();
    run();
    finish_stdout();
    judge();
    wf_annealed_sampler_destroy(ascent);
    wf_observed_destroy(known);
    wf_writer_destroy(writer);
    wf_meta_clear(&drawn_meta);
    wf_conditioning_destroy(starts);
    wf_model_clear(&model);
    backend->close(backend);
    return WF_OK;
}
