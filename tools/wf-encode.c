/* wf-encode.c - pictures to the latents of a model; called wf-decode, latents to pictures, and to pictures between
 * them */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../lib/model/level.h"
#include "../lib/sample/codec.h"
#include "start.h"

static struct options {
    const char *model_path;
    int between; /* pictures between each two; 0: none */
} options;

static const cli_option encode_options[] = {CLI_MODEL(&options.model_path), CLI_THREADS, CLI_BACKEND_AUTO, {0}};

static const cli_option decode_options[] = {
    {'m', "model", "DIR", CLI_STRING, &options.model_path, 0, 0, "Model folder, the one that encoded."},
    {0, "between", "N", CLI_INT, &options.between, 1, 1 << 20,
     "Also make N pictures between each picture and the next: at each level, their latents lie on the great circle "
     "through both pictures' latents. Pictures are then numbered from 0."},
    CLI_THREADS,
    CLI_BACKEND_AUTO,
    {0}};

#define BETWEEN_EXAMPLE                                                                                       \
    "wf-dwt a.png b.png | wf-encode -m model | wf-decode -m model --between 6 | wf-idwt --grid between.png\n" \
    "    from one picture to the other in seven steps\n"

static const cli_program encode = {
    .name = "wf-encode",
    .summary = "pictures to the latents of a Wavelet Flow model",
    .synopsis = "-m MODEL [-]",
    .description =
        "Reads a coefficient stream (wf-dwt) of pictures of the model's size on stdin and writes a stream of "
        "latents. Each level has one latent for each coefficient. The model maps pictures so that latents are "
        "independent and normal. wf-decode turns them back into pictures.\n\n"
        "A pixel stands for the middle of its range of values, so latents are the same every time. Each batch of "
        "pictures is decoded before the next begins: if a single pixel did not come back, the exit code is 70.\n\n"
        "The stream's records are safetensors: `low` at the base and `detail` at the levels above hold latents.",
    .examples = "wf-dwt a.png b.png | wf-encode -m model > latents.wf\n"
                "    both pictures as latents\n" BETWEEN_EXAMPLE,
    .options = encode_options};

static const cli_program decode = {
    .name = "wf-decode",
    .summary = "latents of a Wavelet Flow model back to pictures",
    .synopsis = "-m MODEL [--between N] [-]",
    .description =
        "Reads a stream of latents, as wf-encode writes it, on stdin. Writes a coefficient stream of the pictures' "
        "highest level, which wf-idwt turns into pictures. Every pixel that was encoded comes back. Latents that "
        "were encoded with other weights are refused.",
    .examples = "wf-decode -m model < latents.wf | wf-idwt -o pictures\n"
                "    the pictures that were encoded\n" BETWEEN_EXAMPLE,
    .options = decode_options};

/* A wf_record_sink. */
static int write_record(void *writer, const wf_record *record)
{
    return wf_writer_put(writer, record);
}

static int write_latents(wf_codec *codec, const wf_record *coefficients, wf_writer *writer)
{
    wf_record latents;
    WF_TRY(wf_codec_encode(codec, coefficients, &latents));
    return wf_writer_put(writer, &latents);
}

/* Dies unless stdin, whose metadata this is, holds latents of these weights (a hash). */
static void check_latents(const wf_meta *meta, const char *weights)
{
    char encoded[20];
    if (!meta->latents)
        die(WF_DATA, "stdin: found coefficients, expected latents as wf-encode writes them");
    must(wf_meta_model(meta, encoded));
    if (strcmp(encoded, weights))
        die(WF_DATA, "stdin: found latents of weights %s, expected %s, the weights of %s", encoded, weights,
            options.model_path);
}

static void check_usage(bool decodes)
{
    if (!options.model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (isatty(STDIN_FILENO))
        die(WF_USAGE, "stdin is a terminal: pipe %s into it", decodes ? encode.name : "wf-dwt");
    if (isatty(STDOUT_FILENO))
        die(WF_USAGE, "stdout is a terminal: pipe it into %s or a file", decodes ? "wf-idwt" : decode.name);
}

int main(int argc, char **argv)
{
    bool decodes = !strcmp(program_invocation_short_name, decode.name), more = true;
    wf_model model;
    wf_meta meta;
    wf_backend *backend;
    wf_codec *codec;
    wf_reader *reader;
    wf_writer *writer;
    wf_record record;
    char weights[20], pictures[START_PICTURES];

    cli_stdin_operand(cli_parse(decodes ? &decode : &encode, argc, argv), "it reads a stream from stdin");
    check_usage(decodes);
    must(wf_model_find(options.model_path, &model));
    backend = start_backend();
    must(wf_codec_create(&model, backend, &codec));
    must(decodes ? wf_reader_create_any(stdin, "stdin", &reader) : wf_reader_create(stdin, "stdin", &reader));
    must(wf_meta_match(wf_reader_meta(reader), "stdin", &model.meta, options.model_path));
    must(wf_model_hash(&model, 0, model.meta.levels, weights));
    if (decodes)
        check_latents(wf_reader_meta(reader), weights);
    must(wf_meta_copy(&meta, wf_reader_meta(reader)));
    meta.latents = !decodes;
    cli_add_provenance(&meta, weights);
    must(wf_writer_create(stdout, "stdout", &meta, &writer));
    start_note(backend, &model, 0, model.meta.levels, start_pictures(-1, &model.meta, pictures));
    while (must(wf_reader_next(reader, &record, &more)), more)
        must(decodes ? wf_codec_decode(codec, &record, options.between, write_record, writer)
                     : write_latents(codec, &record, writer));
    must(wf_codec_end(codec, "stdin"));
    must(wf_writer_finish(writer));
    finish_stdout();

    wf_writer_destroy(writer);
    wf_reader_destroy(reader);
    wf_codec_destroy(codec);
    wf_meta_clear(&meta);
    wf_model_clear(&model);
    backend->close(backend);
    return WF_OK;
}
