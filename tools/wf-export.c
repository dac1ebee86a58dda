/* wf-export.c - a model to pass on: averaged weights and a card, without optimizer state */
#include <stdlib.h>
#include <string.h>

#include "../lib/model/export.h"
#include "cli_found.h"
#include "interrupt.h"
#include "progress.h"

enum { FP32, F16, BF16 };

static struct options {
    const char *model_path, *to, *licence, *note_path;
    int precision;
} options = {.precision = FP32};

static const cli_option table[] = {
    CLI_MODEL(&options.model_path),
    {'o', "output", "DIR", CLI_STRING, &options.to, 0, 0, "New model folder; an empty one may be there."},
    {0, "precision", "fp32|f16|bf16", CLI_CHOICE, &options.precision, 0, 0,
     "Numbers in the files (default fp32, which keeps every bit). f16 and bf16 halve the size."},
    {0, "licence", "TEXT", CLI_STRING, &options.licence, 0, 0,
     "Licence of the weights, for the card and wf-info (default: that of the model, or none)."},
    {0, "card-note", "FILE", CLI_STRING, &options.note_path, 0, 0,
     "Markdown for the card, such as what the data are and where they come from."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-export",
    .summary = "write a model without optimizer state, with a card",
    .synopsis = "-m MODEL -o DIR [--precision fp32|f16|bf16] [--licence TEXT] [--card-note FILE]",
    .description =
        "Copies a trained model to a new folder for others to use: of each level the moving average of its weights, "
        "which evaluation and sampling use, with its chain and metadata. Training states and logs stay behind, so "
        "training does not go on from there; wf-train-level --init begins another. All levels must be trained.\n\n"
        "The folder also gets README.md, a card in Markdown: size, wavelet, parameters, licence, held-out bits/dim, "
        "chain and steps of each level, how to use the model, and the programs that led to it with their command "
        "lines. Paths in these lines are as they were typed.\n\n"
        "In fp32 the bits/dim and samples of the copy are equal bit for bit. f16 keeps 11 binary digits of a weight, "
        "which is at most 65504. bf16 keeps 8 and has the range of fp32. Both change bits/dim slightly: compare with "
        "wf-bpd. The precision of the computation stays that of training.\n\n"
        "The folder appears when it is complete. If it lies in a folder that the variable WF_MODELS names, every "
        "program that reads models finds it by its name.",
    .examples = "wf-export -m faces -o faces-f16 --precision f16 --licence CC-BY-4.0\n"
                "    a fifth of the size, ready to be passed on\n"
                "wf-export -m leaves -o mine --card-note about.md\n"
                "    a copy of an installed model\n",
    .options = table,
};

/* Reads the file as text; the caller frees it. */
static char *read_note(const char *path)
{
    enum { MOST = 1 << 20 };
    FILE *file = fopen(path, "r");
    if (!file)
        must(wf_fail_errno("%s", path));
    char *text = must_allocate(MOST + 1, 1, path);
    size_t n = fread(text, 1, MOST, file);
    if (ferror(file))
        must(wf_fail_errno("%s", path));
    if (n == MOST || memchr(text, 0, n))
        die(WF_DATA, "%s: not a text of less than %d bytes", path, MOST);
    fclose(file);
    return text;
}

static const volatile sig_atomic_t *interrupted;

/* A wf_level_add_provenance; `user` is the hash of the whole model. */
static int add_provenance(void *user, wf_meta *meta)
{
    static int64_t levels;
    cli_add_provenance(meta, user);
    progress_at(levels++, -1, NULL);
    return *interrupted ? wf_fail(WF_AGAIN, "interrupted; %s is not written", options.to) : WF_OK;
}

int main(int argc, char **argv)
{
    static const wf_dtype dtypes[] = {[FP32] = WF_F32, [F16] = WF_F16, [BF16] = WF_BFLOAT16};
    wf_model model;
    char hash[20];
    int first = cli_parse(&program, argc, argv);
    if (first < argc)
        die(WF_USAGE, "%s: takes no operands", argv[first]);
    if (!options.model_path || !options.to)
        die(WF_USAGE, "-m MODEL and -o DIR are needed");
    found_open_model(options.model_path, &model);
    char *note_text = options.note_path ? read_note(options.note_path) : NULL;
    wf_export_options how = {.dtype = dtypes[options.precision], .licence = options.licence, .note = note_text};
    how.add = add_provenance;
    how.user = hash;
    must(wf_model_hash(&model, 0, model.meta.levels, hash));
    progress_begin("level", model.meta.levels + 1);
    interrupted = interrupt_saves("removing what was written of %s", options.to);
    must(wf_model_export(&model, options.to, &how));
    note("%s: %d levels", options.to, model.meta.levels + 1);
    free(note_text);
    wf_model_clear(&model);
    finish_stdout();
    return WF_OK;
}
