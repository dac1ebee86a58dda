/* wf-encode - pictures' coefficients to the latents of a model */
#include <unistd.h>

#include "../lib/codec.h"
#include "cli.h"

static const char *model_path;

static const cli_option table[] = {{'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder."}, {0}};

static const cli_program program = {
    .name = "wf-encode",
    .summary = "pictures to the latents of a Wavelet Flow model",
    .synopsis = "-m MODEL [-]",
    .description =
        "Reads a coefficient stream of pictures of the model's size on stdin and writes a stream of latents: at every level, as many "
        "numbers as there are coefficients, which the model believes to be independent and normal. wf-decode makes the "
        "pictures of them again.\n\n"
        "A pixel stands for the middle of the values that it may have been, so latents are the same every time. Each batch of pictures is "
        "decoded before the next begins: if a single pixel did not come back, the exit code is 70.\n\n"
        "The stream's records are safetensors: `low` at the base and `detail` at the levels above hold latents.",
    .examples =
        "wf-dwt a.png b.png | wf-encode -m model > latents.wf\n"
        "    both pictures as latents\n"
        "wf-dwt a.png b.png | wf-encode -m model | wf-decode -m model --between 6 | wf-idwt --grid between.png\n"
        "    from one picture to the other in seven steps\n",
    .options = table};

int main(int argc, char **argv)
{
    wf_model model;
    wf_meta meta;
    wf_backend *backend;
    wf_codec *codec;
    wf_reader *reader;
    wf_writer *writer;
    wf_record record, latents;
    char hash[20];
    bool more = true;

    cli_stdin_operand(cli_parse(&program, argc, argv), "it reads a stream from stdin");
    if (!model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (isatty(STDIN_FILENO))
        die(WF_USAGE, "stdin is a terminal: try wf-dwt < pictures | wf-encode ...");
    if (isatty(STDOUT_FILENO))
        die(WF_USAGE, "stdout is a terminal: pipe it into wf-decode or a file");
    must(wf_model_open(model_path, &model));
    must(wf_backend_open(common.backend, common.threads, &backend));
    must(wf_codec_create(&model, backend, &codec));
    must(wf_reader_create(stdin, "stdin", &reader));
    must(wf_meta_match(wf_reader_meta(reader), "stdin", &model.meta, model_path));
    must(wf_meta_copy(&meta, wf_reader_meta(reader)));
    meta.latents = true;
    must(wf_model_hash(&model, 0, model.meta.levels, hash));
    must(wf_meta_add_provenance(&meta, program.name, argc, argv, common.seed, hash));
    must(wf_writer_create(stdout, "stdout", &meta, &writer));
    while (must(wf_reader_next(reader, &record, &more)), more) {
        must(wf_codec_encode(codec, &record, &latents));
        must(wf_writer_put(writer, &latents));
    }
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
