/* wf-encode.c - pictures to the latents of a model; called wf-decode, latents to pictures, and to pictures between
 * them */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../lib/model/level.h"
#include "../lib/sample/codec.h"
#include "cli_io.h"
#include "interrupt.h"
#include "level_work.h"
#include "progress.h"
#include "start.h"

static struct options {
    const char *model_path, *output_path;
    int between; /* pictures between each two; 0: none */
} options;

static const cli_option encode_options[] = {
    CLI_MODEL(&options.model_path), CLI_OUTPUT(&options.output_path), CLI_THREADS, CLI_BACKEND_AUTO, {0}};

static const cli_option decode_options[] = {
    {'m', "model", "MODEL", CLI_STRING, &options.model_path, 0, 0, "Model folder, the one that encoded."},
    {0, "between", "N", CLI_INT, &options.between, 1, 1 << 20,
     "Also make N pictures between each picture and the next: at each level, their latents lie on the great circle "
     "through both pictures' latents. Pictures are then numbered from 0, and lose their names."},
    CLI_OUTPUT(&options.output_path),
    CLI_THREADS,
    CLI_BACKEND_AUTO,
    {0}};

#define BETWEEN_EXAMPLE                                                                                       \
    "wf-dwt a.png b.png | wf-encode -m model | wf-decode -m model --between 6 | wf-idwt --grid between.png\n" \
    "    from one picture to the other in seven steps\n"

static const cli_program encode = {
    .name = "wf-encode",
    .summary = "pictures to the latents of a Wavelet Flow model",
    .synopsis = "-m MODEL [-o FILE] [FILE|STORE]",
    .description =
        "Reads the coefficients (wf-dwt) of pictures of the model's size, a stream or store, and writes a stream of "
        "latents. Each level has one latent for each coefficient. The model maps pictures so that latents are "
        "independent and normal. wf-decode turns them back into pictures.\n\n"
        "A pixel stands for the middle of its range of values, so latents are the same every time. Each batch of "
        "pictures is decoded before the next begins: if a single pixel did not come back, the exit code is 70.\n\n"
        "The stream's records are safetensors: `low` at the base and `detail` at the levels above hold latents.",
    .examples = "wf-dwt a.png b.png | wf-encode -m model > latents.wf\n"
                "    both pictures as latents\n" BETWEEN_EXAMPLE,
    .options = encode_options,
    .fields = true};

static const cli_program decode = {
    .name = "wf-decode",
    .summary = "latents of a Wavelet Flow model back to pictures",
    .synopsis = "-m MODEL [--between N] [-o FILE|STORE] [FILE]",
    .description =
        "Reads a stream of latents, as wf-encode writes it. Writes the coefficients of the pictures' "
        "highest level, which wf-idwt turns into pictures. Every pixel that was encoded comes back. Latents that "
        "were encoded with other weights are refused.",
    .examples = "wf-decode -m model < latents.wf | wf-idwt -o pictures\n"
                "    the pictures that were encoded\n" BETWEEN_EXAMPLE,
    .options = decode_options,
    .fields = true};

/* Decoded pictures come in parts, in the order of the record that they come from. */
typedef struct decoded {
    cli_output *output;
    const char *const *names; /* of the pictures to come; NULL: none */
} decoded;

/* A wf_record_sink. */
static int write_record(void *user, const wf_record *record)
{
    decoded *d = user;
    wf_record named = *record;
    named.names = d->names;
    d->names = d->names ? d->names + record->N : NULL;
    return cli_put(d->output, &named);
}

static int decode_record(wf_codec *codec, const wf_record *latents, cli_output *output)
{
    decoded d = {output, options.between ? NULL : latents->names};
    return wf_codec_decode(codec, latents, options.between, write_record, &d);
}

static int write_latents(wf_codec *codec, const wf_record *coefficients, cli_output *output)
{
    wf_record latents;
    WF_TRY(wf_codec_encode(codec, coefficients, &latents));
    return cli_put(output, &latents);
}

/* Dies unless the input, whose metadata this is, holds latents of these weights (a hash). */
static void check_latents(const char *name, const wf_meta *meta, const char *weights)
{
    char encoded[20];
    if (!meta->latents)
        die(WF_DATA, "%s: found coefficients, expected latents as wf-encode writes them", name);
    must(wf_meta_model(meta, encoded));
    if (strcmp(encoded, weights))
        die(WF_DATA, "%s: found latents of weights %s, expected %s, the weights of %s", name, encoded, weights,
            options.model_path);
}

int main(int argc, char **argv)
{
    bool decodes = !strcmp(program_invocation_short_name, decode.name);
    wf_model model;
    wf_meta meta;
    wf_backend *backend;
    wf_codec *codec;
    cli_output *output;
    wf_record record;
    char weights[20], pictures[START_PICTURES];

    int first = cli_parse(decodes ? &decode : &encode, argc, argv);
    if (!options.model_path)
        die(WF_USAGE, "-m MODEL is needed");
    found_open_model(options.model_path, &model);
    backend = start_backend();
    must(wf_codec_create(&model, backend, &codec));
    wf_records *input = decodes ? cli_open_latents(first) : cli_open_input(first);
    const char *name = wf_records_name(input);
    must(wf_meta_expect(wf_records_meta(input), name, &model.meta, options.model_path));
    must(wf_model_hash(&model, 0, model.meta.levels, weights));
    if (decodes)
        check_latents(name, wf_records_meta(input), weights);
    must(wf_meta_copy(&meta, wf_records_meta(input)));
    meta.latents = !decodes;
    cli_add_provenance(&meta, weights);
    output = cli_open_output(options.output_path, &meta,
                             decodes ? "pipe it into wf-idwt, or use -o" : "pipe it into wf-decode, or use -o");
    start_note(backend, &model, 0, model.meta.levels, NULL,
               start_pictures(wf_records_count(input), &model.meta, pictures));
    level_work work = {.model = &model,
                       .meta = &model.meta,
                       .last = model.meta.levels,
                       .pictures = wf_records_count(input),
                       .times = decodes ? 1 : 2};
    wf_codec_watch(codec, level_work_begin(&work));
    interrupt_ends("%s", cli_output_left(options.output_path));
    while (cli_next(input, &record))
        must((decodes ? decode_record : write_latents)(codec, &record, output));
    must(wf_codec_end(codec, name));
    progress_end();
    cli_close_output(output);
    finish_stdout();

    wf_records_close(input);
    wf_codec_destroy(codec);
    wf_meta_clear(&meta);
    wf_model_clear(&model);
    backend->close(backend);
    return WF_OK;
}
