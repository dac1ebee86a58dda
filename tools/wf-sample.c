/* wf-sample - draws pictures from a model, from the base or upward from given ones */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/pyramid.h"
#include "../lib/sample.h"
#include "../lib/stream.h"
#include "cli.h"

static const char *model_path;
static int64_t count = -1;
static int to_level = -1;
static double temperature = 1;

static const cli_option table[] = {
    {'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder."},
    {'n', "count", "N", CLI_COUNT, &count, 0, 1e12, "Draw N pictures from nothing, without reading stdin."},
    {'l', "level", "L", CLI_INT, &to_level, 0, WF_MAX_LEVELS, "Stop at level L (default: the model's highest)."},
    {'T', "temperature", "T", CLI_DOUBLE, &temperature, 0, 10, "Scale of the latent noise (default 1)."},
    {0}};

static const cli_program program = {
    .name = "wf-sample",
    .summary = "draw samples from a Wavelet Flow model",
    .synopsis = "-m MODEL [-n N] [-l L] [--temperature T] [-]",
    .description =
        "Writes a coefficient stream of the pictures' level L. With -n, N pictures are drawn from the base upward. Without, "
        "a coefficient stream on stdin is continued upward: each of its pictures becomes the low-pass of the next level, "
        "which is probabilistic super-resolution; with nothing on stdin, 16 pictures are drawn, unless - asks for "
        "a stream.\n\n"
        "A stream of the same pyramid goes on at its own level; whole pictures of another size (wf-dwt of small pictures) "
        "enter at the level of their size.\n\n"
        "Picture i is the same, byte for byte, for the same model, seed, temperature and i, however many are drawn. "
        "Scaling the latent is not annealing the density; for that see wf-nuts.",
    .examples = "wf-sample -m model -n 16 | wf-idwt --grid grid.png\n"
                "    sixteen samples in one picture\n"
                "wf-sample -m model -n 4 -l 3 | wf-sample -m model -l 4 | wf-idwt -o pictures\n"
                "    in two steps, with the same result\n"
                "wf-dwt small/*.png | wf-sample -m model | wf-idwt -o large\n"
                "    super-resolution of pictures that have the size of a lower level",
    .options = table};

static wf_backend *backend;
static wf_model model;
static wf_writer *writer;
static wf_sampler samplers[WF_MAX_LEVELS + 1];
static wf_meta drawn_meta; /* of what is written */
static wf_pyramid *drawn_pyramid;
static int chunk; /* pictures in memory at once */

/* Level of the model whose pictures have the size of `meta`'s at `level`. */
static int entry_level(const wf_meta *meta, int level)
{
    if (strcmp(meta->wavelet, model.meta.wavelet) || meta->C != model.meta.C || meta->bits != model.meta.bits)
        die(WF_DATA, "stdin: %s, %d channels, %d bits; the model is for %s, %d, %d", meta->wavelet, meta->C, meta->bits,
            model.meta.wavelet, model.meta.C, model.meta.bits);
    if (meta->levels == model.meta.levels)
        return level;
    int above = meta->levels - level, H = meta->H >> above, W = meta->W >> above;
    for (int l = 0; l <= model.meta.levels; l++)
        if (model.meta.H >> (model.meta.levels - l) == H && model.meta.W >> (model.meta.levels - l) == W)
            return l;
    die(WF_DATA, "stdin: pictures of %d x %d are no level of the model's %d x %d", H, W, model.meta.H, model.meta.W);
}

static float *numbers(size_t n)
{
    float *memory = malloc(n * sizeof *memory);
    if (!memory)
        die(WF_AGAIN, "out of memory for %zu numbers", n);
    return memory;
}

/* Draws levels from+1 .. to_level on top of pictures I_from (owned; NULL: from the base on), and writes the last. */
static void climb(int from, int N, float *picture, const uint64_t *index)
{
    for (int l = from + 1; l <= to_level; l++) {
        wf_level_shape s = wf_meta_level(&drawn_meta, l);
        size_t size = (size_t)N * (size_t)s.H * (size_t)s.W * (size_t)s.C;
        if (!samplers[l].flow)
            must(wf_sampler_create(&model, l, backend, s.H, s.W, &samplers[l]));
        float *drawn = numbers((l ? 3 : 1) * size);
        must(wf_sampler_run(&samplers[l], N, picture, index, common.seed, temperature, drawn));
        wf_record record = {.level = l, .N = N, .low = l ? picture : drawn, .detail = l ? drawn : NULL, .index = index};
        float *next = NULL;
        if (l == to_level) {
            must(wf_writer_put(writer, &record));
        } else {
            next = numbers((l ? 4 : 1) * size);
            must(wf_pyramid_join(drawn_pyramid, l, N, record.low, record.detail, next));
        }
        free(drawn);
        free(picture);
        picture = next;
    }
}

/* Opens the output for pictures like `meta`, drawn from level `first` up. */
static void begin(const wf_meta *meta, int first)
{
    char hash[20];
    must(wf_model_hash(&model, first, to_level, hash));
    must(wf_meta_copy(&drawn_meta, meta));
    drawn_meta.top = to_level;
    must(wf_meta_add_provenance(&drawn_meta, program.name, common.argc, common.argv, common.seed, hash));
    chunk = wf_pyramid_batch(&drawn_meta, to_level);
    must(wf_pyramid_create(backend, &drawn_meta, chunk, &drawn_pyramid));
    must(wf_writer_create(stdout, "stdout", &drawn_meta, &writer));
}

static void from_nothing(int64_t n)
{
    begin(&model.meta, 0);
    uint64_t *index = calloc((size_t)chunk, sizeof *index);
    if (!index)
        die(WF_AGAIN, "out of memory for %d pictures", chunk);
    for (int64_t at = 0; at < n; at += chunk) {
        int now = n - at < chunk ? (int)(n - at) : chunk;
        for (int i = 0; i < now; i++)
            index[i] = (uint64_t)(at + i);
        climb(-1, now, NULL, index);
    }
    free(index);
}

/* The pictures that a record of level `from` stands for become the low-pass of the levels above. */
static void continue_record(wf_pyramid *pyramid, const wf_meta *source, int from, const wf_record *r)
{
    wf_level_shape s = wf_meta_level(source, r->level);
    size_t each = (size_t)s.H * (size_t)s.W * (size_t)s.C;
    for (int64_t at = 0; at < r->N; at += chunk) {
        int now = r->N - at < chunk ? (int)(r->N - at) : chunk;
        float *picture = numbers((r->level ? 4 : 1) * (size_t)now * each);
        must(wf_pyramid_join(pyramid, r->level, now, r->low + (size_t)at * each,
                             r->detail ? r->detail + (size_t)at * 3 * each : NULL, picture));
        climb(from, now, picture, r->index + at);
    }
}

static void from_stream(void)
{
    wf_reader *reader;
    wf_record record;
    wf_pyramid *pyramid;
    bool more;
    must(wf_reader_create(stdin, "stdin", &reader));
    const wf_meta *source = wf_reader_meta(reader);
    int from = entry_level(source, source->top);
    if (from >= to_level)
        die(WF_USAGE, "stdin is at level %d already, -l %d is not above it", from, to_level);
    wf_meta meta = *source; /* borrows the provenance */
    meta.levels = model.meta.levels;
    meta.H = source->H >> (source->levels - source->top) << (meta.levels - from);
    meta.W = source->W >> (source->levels - source->top) << (meta.levels - from);
    begin(&meta, from + 1);
    must(wf_pyramid_create(backend, source, chunk, &pyramid));
    for (;;) {
        must(wf_reader_next(reader, &record, &more));
        if (!more)
            break;
        if (record.level == source->top)
            continue_record(pyramid, source, from, &record);
    }
    wf_pyramid_destroy(pyramid);
    wf_reader_destroy(reader);
}

/* Whether stdin has anything to read; waits for a pipe's first byte. */
static bool stdin_speaks(void)
{
    if (isatty(STDIN_FILENO))
        return false;
    int c = getc(stdin);
    if (c == EOF)
        return false;
    ungetc(c, stdin);
    return true;
}

int main(int argc, char **argv)
{
    bool from_stdin = cli_stdin_operand(cli_parse(&program, argc, argv), "it reads a stream from stdin");
    if (from_stdin && count >= 0)
        die(WF_USAGE, "-n, pictures from nothing, and -, from stdin, exclude each other");
    if (!model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (isatty(STDOUT_FILENO))
        die(WF_USAGE, "stdout is a terminal: pipe it into wf-idwt or a file");
    must(wf_model_open(model_path, &model));
    if (to_level < 0)
        to_level = model.meta.levels;
    if (to_level > model.meta.levels)
        die(WF_USAGE, "%s has levels 0 to %d", model_path, model.meta.levels);
    must(wf_backend_open(common.backend, common.threads, &backend));
    if (from_stdin || (count < 0 && stdin_speaks()))
        from_stream();
    else
        from_nothing(count < 0 ? 16 : count);
    must(wf_writer_finish(writer));
    finish_stdout();
    wf_writer_destroy(writer);
    for (int l = 0; l <= WF_MAX_LEVELS; l++)
        wf_sampler_clear(&samplers[l]);
    wf_pyramid_destroy(drawn_pyramid);
    wf_meta_clear(&drawn_meta);
    wf_model_clear(&model);
    backend->close(backend);
    return 0;
}
