/* wf-sample - draws pictures from a model, from the base or upward from given ones */
#include <stdlib.h>
#include <unistd.h>

#include "../lib/sample/coarse_to_fine.h"
#include "../lib/sample/sample.h"
#include "../lib/sample/conditioning.h"
#include "cli.h"

static const char *model_path, *from_path;
static int64_t count = -1;
static int to_level = -1, scale;
static cli_doubles temperature = {1, {1}};
static double truncate_at;

static const cli_option table[] = {
    {'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder."},
    {'n', "count", "N", CLI_COUNT, &count, 0, 1e12, "Draw N pictures from nothing, without reading stdin."},
    {'l', "level", "L", CLI_INT, &to_level, 0, WF_MAX_LEVELS, "Stop at level L (default: the model's highest)."},
    {'T', "temperature", "T[,T...]", CLI_DOUBLES, &temperature, 0, 10,
     "Scale of the latents of every level, or of levels 0, 1, ... and, the last one, of all above (default 1)."},
    {0, "truncate", "X", CLI_DOUBLE, &truncate_at, 1e-6, 8,
     "Draw latents from the normal distribution cut off at +-X, before they are scaled."},
    {0, "from", "FILE", CLI_STRING, &from_path, 0, 0,
     "Continue a picture file, or a folder or archive of them, upward."},
    {0, "scale", "2|4|8|16", CLI_INT, &scale, 2, 1 << 14,
     "Enlarge pictures of any size so many times, by the model's highest levels."},
    {0}};

static const cli_program program = {
    .name = "wf-sample",
    .summary = "draw samples from a Wavelet Flow model",
    .synopsis = "-m MODEL [-n N] [-l L] [-T T] [--from FILE] [--scale S] [-]",
    .description =
        "Writes a coefficient stream of the pictures' level L. With -n, N pictures are drawn from the base upward. Without, "
        "a coefficient stream on stdin is continued upward: each of its pictures becomes the low-pass of the next level, "
        "which is probabilistic super-resolution; with nothing on stdin, 16 pictures are drawn, unless - asks for "
        "a stream.\n\n"
        "A stream of the same pyramid goes on at its own level; whole pictures of another size (wf-dwt of small pictures, "
        "or --from) enter at the level of their size. With --scale, pictures of any size are enlarged: flows are convolutions, "
        "and what a level has learnt of details does not depend on where in a picture they are. Averaged down again, what is "
        "drawn gives the pictures that came in.\n\n"
        "Picture i is the same, byte for byte, for the same model, options and i, however many are drawn. "
        "Neither scaling the latents nor truncating them anneals the density of the pictures: both make likely latents "
        "likelier, whatever the flow makes of them. For annealing see wf-nuts.\n\n"
        "A level whose held-out pictures, at its last validation, came back from their latents off by more than a hundredth of "
        "their deviation is refused, with exit code 70; wf-info shows that figure as round_trip.",
    .examples = "wf-sample -m model -n 16 | wf-idwt --grid grid.png\n"
                "    sixteen samples in one picture\n"
                "wf-sample -m model -n 4 -l 3 | wf-sample -m model -l 4 | wf-idwt -o pictures\n"
                "    in two steps, with the same result\n"
                "wf-dwt small/*.png | wf-sample -m model | wf-idwt -o large\n"
                "    super-resolution of pictures that have the size of a lower level\n"
                "wf-sample -m model --from photo.png --scale 4 | wf-idwt > large.pam\n"
                "    a photograph of any size at four times its size",
    .options = table};

static wf_backend *backend;
static wf_model model;
static wf_conditioning *starts;
static wf_writer *writer;
static wf_sampler samplers[WF_MAX_LEVELS + 1]; /* levels as drawn_meta has them */
static wf_meta drawn_meta;                     /* of what is written */
static wf_pyramid *drawn_pyramid;

/* A wf_coarse_to_fine_draw. */
static int draw(void *unused, int level, int N, const float *low, const uint64_t *index, float *drawn)
{
    (void)unused;
    wf_level_shape s = wf_meta_level(&drawn_meta, level);
    int of_model = level + wf_conditioning_offset(starts);
    wf_draw how = {common.seed, cli_nth(&temperature, of_model), truncate_at};
    if (!samplers[level].runner.flow)
        WF_TRY(wf_sampler_create(&model, of_model, backend, s.H, s.W, &samplers[level]));
    return wf_sampler_run(&samplers[level], N, low, index, &how, drawn);
}

static int write_record(void *unused, const wf_record *record)
{
    (void)unused;
    return wf_writer_put(writer, record);
}

static void run(void)
{
    char hash[20];
    int N, offset = wf_conditioning_offset(starts);
    must(wf_conditioning_drawn(starts, to_level, &drawn_meta));
    must(wf_model_hash(&model, wf_conditioning_level(starts) + 1 + offset, drawn_meta.top + offset, hash));
    must(wf_meta_add_provenance(&drawn_meta, program.name, common.argc, common.argv, common.seed, hash));
    int chunk = wf_pyramid_rows(&drawn_meta, drawn_meta.top);
    must(wf_pyramid_create(backend, &drawn_meta, chunk, &drawn_pyramid));
    must(wf_writer_create(stdout, "stdout", &drawn_meta, &writer));
    uint64_t *index = calloc((size_t)chunk, sizeof *index);
    if (!index)
        die(WF_AGAIN, "out of memory for %d pictures", chunk);
    for (;;) {
        float *picture;
        must(wf_conditioning_next(starts, chunk, &N, &picture, index));
        if (!N)
            break;
        must(wf_coarse_to_fine(drawn_pyramid, &drawn_meta, wf_conditioning_level(starts), drawn_meta.top, N, picture,
                               index, draw, write_record, NULL));
        free(picture);
    }
    free(index);
    must(wf_writer_finish(writer));
}

static void check_usage(bool from_stdin)
{
    if (from_stdin + (count >= 0) + (from_path != NULL) > 1)
        die(WF_USAGE, "-n, pictures from nothing, --from a file, and -, from stdin, exclude each other");
    if (!model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (isatty(STDOUT_FILENO))
        die(WF_USAGE, "stdout is a terminal: pipe it into wf-idwt or a file");
}

int main(int argc, char **argv)
{
    bool from_stdin = cli_stdin_operand(cli_parse(&program, argc, argv), "it reads a stream from stdin");
    check_usage(from_stdin);
    must(wf_model_open(model_path, &model));
    must(wf_backend_open(common.backend, common.threads, &backend));
    if (from_path)
        must(wf_conditioning_images(&model, (char *const *)&from_path, 1, scale, &starts));
    else if (from_stdin || (count < 0 && cli_stream_comes()))
        must(wf_conditioning_stream(&model, backend, stdin, "stdin", scale, &starts));
    else
        must(wf_conditioning_none(&model, count < 0 ? 16 : count, scale, &starts));
    run();
    finish_stdout();
    wf_writer_destroy(writer);
    for (int l = 0; l <= WF_MAX_LEVELS; l++)
        wf_sampler_clear(&samplers[l]);
    wf_pyramid_destroy(drawn_pyramid);
    wf_meta_clear(&drawn_meta);
    wf_conditioning_destroy(starts);
    wf_model_clear(&model);
    backend->close(backend);
    return 0;
}
