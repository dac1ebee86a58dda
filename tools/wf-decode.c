/* wf-decode - latents of a model to coefficients of pictures, and of pictures in between */
#include <string.h>
#include <unistd.h>

#include "../lib/codec.h"
#include "cli.h"

static const char *model_path;
static int between;

static const cli_option table[] = {
    {'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder, the one that encoded."},
    {0, "between", "N", CLI_INT, &between, 1, 1 << 20,
     "Also make N pictures between every picture and the next, whose latents lie on the great circle through both at each level; pictures "
     "are then numbered from 0."},
    {0}};

static const cli_program program = {
    .name = "wf-decode",
    .summary = "latents of a Wavelet Flow model back to pictures",
    .synopsis = "-m MODEL [--between N] [-]",
    .description =
        "Reads a stream of latents, as wf-encode writes it, on stdin, and writes a coefficient stream of the pictures' highest level, which "
        "wf-idwt makes pictures of. Every pixel of what was encoded comes back. Latents of other weights are refused.",
    .examples =
        "wf-decode -m model < latents.wf | wf-idwt -o pictures\n"
        "    the pictures that were encoded\n"
        "wf-dwt a.png b.png | wf-encode -m model | wf-decode -m model --between 6 | wf-idwt --grid between.png\n"
        "    from one picture to the other in seven steps\n",
    .options = table};

static int write_record(void *writer, const wf_record *record)
{
    return wf_writer_put(writer, record);
}

int main(int argc, char **argv)
{
    wf_model model;
    wf_meta meta;
    wf_backend *backend;
    wf_codec *codec;
    wf_reader *reader;
    wf_writer *writer;
    wf_record record;
    char hash[20], encoded[20];
    bool more = true;

    cli_stdin_operand(cli_parse(&program, argc, argv), "it reads a stream from stdin");
    if (!model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (isatty(STDIN_FILENO))
        die(WF_USAGE, "stdin is a terminal: it wants what wf-encode wrote");
    if (isatty(STDOUT_FILENO))
        die(WF_USAGE, "stdout is a terminal: pipe it into wf-idwt or a file");
    must(wf_model_open(model_path, &model));
    must(wf_backend_open(common.backend, common.threads, &backend));
    must(wf_codec_create(&model, backend, &codec));
    must(wf_reader_create_any(stdin, "stdin", &reader));
    must(wf_meta_copy(&meta, wf_reader_meta(reader)));
    if (!meta.latents)
        die(WF_DATA, "stdin: coefficients, want latents: wf-encode makes them");
    must(wf_meta_match(&meta, "stdin", &model.meta, model_path));
    must(wf_meta_model(&meta, encoded));
    must(wf_model_hash(&model, 0, model.meta.levels, hash));
    if (strcmp(encoded, hash))
        die(WF_DATA, "stdin: latents of a model of weights %s; those of %s are %s", encoded, model_path, hash);
    meta.latents = false;
    must(wf_meta_add_provenance(&meta, program.name, argc, argv, common.seed, hash));
    must(wf_writer_create(stdout, "stdout", &meta, &writer));
    while (must(wf_reader_next(reader, &record, &more)), more)
        must(wf_codec_decode(codec, &record, between, write_record, writer));
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
