/* wf-info.c - what a file or folder of ours holds */
#include <string.h>
#include <unistd.h>

#include "../lib/model/describe.h"
#include "../lib/model/model.h"
#include "cli_found.h"
#include "progress.h"

static struct options {
    const char *model_path;
    bool verify, json;
} options;

static const cli_option table[] = {
    CLI_MODEL(&options.model_path),
    {0, "verify", NULL, CLI_FLAG, &options.verify, 0, 0,
     "Also read and check every value of a store, checkpoint or model. Streams are always read to their end."},
    {'j', "json", NULL, CLI_FLAG, &options.json, 0, 0, "Print one JSON object."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-info",
    .summary = "what a stream, store, checkpoint or model holds",
    .synopsis = "[--verify] [--json] [-m MODEL] [FILE|STORE|MODEL|-]",
    .description =
        "Prints what PATH is and holds:\n\n"
        "A stream of wavelet coefficients or latents (- reads it from standard input): the number of pictures at "
        "each level.\n\n"
        "A store (wf-dwt -o): also the bytes that each level takes, and the number type of its first picture.\n\n"
        "A checkpoint (one level's file): its metadata and tensors.\n\n"
        "A model folder (wf-train-level): each trained level. The name of an installed model stands for its folder.\n\n"
        "Provenance lists the programs that led there, oldest first, one line each.\n\n"
        "A level whose precision was chosen (wf-train-level --precision auto) has the reason in the column chosen: the "
        "measured rates, or why nothing was measured.\n\n"
        "Without PATH it prints the version, the backends of this build and machine, and the precisions that were "
        "chosen on it, which the file wavelet-flow.precisions keeps in XDG_CACHE_HOME, by default ~/.cache. Without "
        "that file the next training measures again.",
    .examples = "wf-dwt x.png | wf-info -\n"
                "    levels and pictures of a stream\n"
                "wf-info --verify train.store\n"
                "    exit code 65 if a single bit of a picture is wrong\n"
                "wf-info --json model | jq '.trained[].metadata.bpd'\n"
                "    held-out bits per dimension of each level\n",
    .options = table,
    .fields = true,
};

/* A wf_watch. */
static void watch_values(void *user, int level, int64_t count)
{
    static int64_t values;
    (void)user;
    (void)level;
    progress_at(values += count, -1, NULL);
}

/* Returns the operand, or the folder of an installed model of that name if there is no such file. */
static const char *path_of(const char *operand, wf_model *model)
{
    bool there = cli_is_dash(operand) || strchr(operand, '/') || !access(operand, F_OK);
    return there || wf_model_find(operand, model) ? operand : model->path;
}

int main(int argc, char **argv)
{
    const wf_watch watch = {.call = watch_values};
    wf_description *description;
    wf_model model = {0};
    int first = cli_parse(&program, argc, argv);
    if (argc - first + (options.model_path != NULL) > 1)
        die(WF_USAGE, "%s: one path at a time", argv[argc - 1]);
    if (options.model_path)
        found_open_model(options.model_path, &model);
    const char *path = options.model_path ? model.path : argv[first] ? path_of(argv[first], &model) : NULL;
    progress_begin("value", -1);
    if (path)
        found_must(wf_describe_path(path, cli_is_dash(path) ? found_stdin(FOUND_ANY) : NULL, options.verify, &watch,
                                    &description),
                   path, FOUND_ANY);
    else
        must(wf_describe_build(&description));
    progress_end();
    must(options.json ? wf_description_write_json(description, stdout, "standard output")
                      : wf_description_write_text(description, stdout, "standard output"));
    wf_description_destroy(description);
    wf_model_clear(&model);
    finish_stdout();
    return WF_OK;
}
