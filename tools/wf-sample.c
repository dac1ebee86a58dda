/* wf-sample.c - draws pictures from a model, from the base or upward from given ones */
#include "../lib/pyramid/pyramid.h"
#include "../lib/sample/coarse_to_fine.h"
#include "../lib/sample/sample.h"
#include "given.h"
#include "interrupt.h"
#include "level_work.h"
#include "sampling.h"

static struct options {
    sampling sampling;
    cli_doubles temperature;
    double truncate; /* 0: not at all */
    const char *given;
} options = {.sampling = SAMPLING_DEFAULTS, .temperature = {1, {1}}};

static const cli_option table[] = {
    SAMPLING_OPTIONS(options.sampling),
    {'T', "temperature", "T[,T...]", CLI_DOUBLES, &options.temperature, 0, 10,
     "Factor on the latents: one for all levels, or one each for levels 0, 1, ...; the last holds for all above "
     "(default 1)."},
    {0, "truncate", "X", CLI_DOUBLE, &options.truncate, 1e-6, 8,
     "Draw latents from the normal distribution cut off at -X and X, before the factor is applied."},
    {0, "given", "X[,X...]|FILE.npy", CLI_STRING, &options.given, 0, 0,
     "Draw pictures that are given this, of a model that was trained so: a label, as 3, or numbers, as 0.5,2, for all "
     "pictures; or a file with a row for each, by their numbers."},
    CLI_THREADS,
    CLI_SEED,
    CLI_BACKEND_AUTO,
    {0}};

static const cli_program program = {
    .name = "wf-sample",
    .summary = "draw samples from a Wavelet Flow model",
    .synopsis = "-m MODEL [-n N] [-l L] [-T T] [--from FILE] [--scale S] [-o FILE] [FILE|STORE]",
    .description =
        "Draws pictures from a model that wf-train-level trained, and writes them as a stream of wavelet "
        "coefficients, which wf-idwt turns into PNG files. A model draws coarse to fine: first the base (level 0, "
        "the smallest average), then the details of each level given the picture so far, up to level L.\n\n"
        "With -n, N pictures are drawn from the base upward. Without -n, a coefficient stream or store is "
        "continued, by default a stream on stdin: "
        "each of its pictures becomes the average that the next level refines. This is probabilistic "
        "super-resolution. With nothing on stdin, 16 pictures are drawn from the base; with -, an empty stdin is an "
        "error.\n\n"
        "A stream of the same pyramid (for example from wf-sample -l) continues at its own level. Whole pictures of "
        "another size (wf-dwt of small pictures, or --from) enter at the level that has their size. With --scale, "
        "pictures of any size are enlarged: flows are convolutions, so a level's details can be drawn at any size. "
        "The drawn pictures average down to the pictures that came in, and keep their numbers and names. Large ones "
        "are drawn in bands of rows, to save memory, unless the flow sees far pixels, as attention does.\n\n"
        "Picture i is the same, byte for byte, for the same model, options and i, however many are drawn. "
        "Temperature and truncation make likely latents likelier. Neither anneals the density of the pictures; "
        "wf-nuts does.\n\n"
        "Exit code 70: a level is not invertible enough to draw from. At its last validation, held-out pictures came "
        "back from their latents off by more than a hundredth of their deviation; wf-info shows that figure as "
        "round_trip.",
    .examples = "wf-sample -m model -n 16 | wf-idwt --grid grid.png\n"
                "    sixteen samples in one picture\n"
                "wf-sample -m model -n 4 -l 3 | wf-sample -m model -l 4 | wf-idwt -o pictures\n"
                "    in two steps, with the same result\n"
                "wf-dwt small/*.png | wf-sample -m model | wf-idwt -o large\n"
                "    super-resolution of pictures that have the size of a lower level\n"
                "wf-sample -m model -n 10000 --shard 3/8 -o part-3.wf\n"
                "    the third of eight shares; wf-view part-*.wf joins them\n"
                "wf-sample -m model --from photo.png --scale 4 | wf-idwt > large.pam\n"
                "    a photograph of any size at four times its size",
    .options = table,
    .fields = true};

/* Larger flows draw in bands of rows. */
static const size_t FLOW_BYTES = (size_t)512 << 20;

static wf_sampler samplers[WF_MAX_LEVELS + 1]; /* by level of the pictures that are drawn; created when needed */
static const wf_given *given;
static wf_pyramid *pyramid;
static wf_watch watch;

/* A wf_coarse_to_fine_draw. */
static int draw_level(void *user, int level, int N, const float *low, const uint64_t *index, float *drawn)
{
    const sampling *s = user;
    wf_level_shape shape = wf_meta_level(&s->meta, level);
    int of_model = level + wf_conditioning_offset(s->conditioning);
    wf_draw how = {common.seed, cli_nth(&options.temperature, of_model), options.truncate};
    if (!samplers[level].runner.flow)
        WF_TRY(wf_sampler_create_in_bands(&s->model, of_model, s->backend, shape.H, shape.W, FLOW_BYTES,
                                          &samplers[level]));
    samplers[level].watch = watch;
    samplers[level].runner.given = given;
    return wf_sampler_run(&samplers[level], N, low, index, &how, drawn);
}

/* A sampling_draw. */
static int draw_pictures(void *user, int N, const float *picture, const uint64_t *index)
{
    const sampling *s = user;
    return wf_coarse_to_fine(pyramid, &s->meta, wf_conditioning_level(s->conditioning), s->meta.top, N, picture, index,
                             draw_level, sampling_write, user);
}

static void begin_work(const sampling *s)
{
    level_work work = {.model = &s->model,
                       .meta = &s->meta,
                       .offset = wf_conditioning_offset(s->conditioning),
                       .first = s->first,
                       .last = s->meta.top,
                       .pictures = sampling_count(s),
                       .times = 1};
    watch = level_work_begin(&work);
    interrupt_ends("%s", cli_output_left(s->output_path));
}

int main(int argc, char **argv)
{
    sampling *s = &options.sampling;
    wf_meta meta;
    s->keeps_numbers = true;
    sampling_parse(s, &program, argc, argv);
    given = given_parse(options.given);
    sampling_open(s);
    must(wf_conditioning_drawn(s->conditioning, s->to_level, &meta));
    sampling_open_output(s, &meta, wf_conditioning_level(s->conditioning) + 1);
    int rows = wf_pyramid_rows(&s->meta, s->meta.top);
    must(wf_pyramid_create(s->backend, &s->meta, rows, &pyramid));
    sampling_note(s, "%s", "");
    begin_work(s);
    sampling_run(s, rows, draw_pictures, s);
    finish_stdout();
    for (int l = 0; l <= WF_MAX_LEVELS; l++)
        wf_sampler_clear(&samplers[l]);
    wf_pyramid_destroy(pyramid);
    sampling_close(s);
    return WF_OK;
}
