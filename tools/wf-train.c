/* wf-train.c - from pictures to a model in one command: settles what is to be done, and runs pipelines/folder.mk */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/flow/flow_text.h"
#include "../lib/pyramid/wavelet.h"
#include "cli_found.h"
#include "folder.h"
#include "pipeline.h"
#include "shape.h"

enum { SIZE, VAL, FLOW, INIT, FLIP, WAVELET, SKIP_BAD, SEED, MINUTES, SHAPE }; /* rows of the settings */

static struct options {
    const char *to, *minutes, *size, *val, *flow, *init, *wavelet, *skip_bad, *seed;
    bool flip;
} options;

static const cli_option table[] = {
    {'o', "output", "DIR", CLI_STRING, &options.to, 0, 0,
     "Folder of the model and all that belongs to it, made if absent; -m DIR in other programs is the model."},
    {0, "minutes", "M", CLI_STRING, &options.minutes, 0, 0,
     "Minutes of training, all runs together (default 10); reading pictures and the report take some more."},
    {0, "size", "N|HxW", CLI_STRING, &options.size, 0, 0,
     "Height and width of the pictures, in pixels: the middle of each is shrunk to that. The default is 64, or less if "
     "pictures are smaller."},
    {0, "val", "P%|none|STORE|PICTURES", CLI_STRING, &options.val, 0, 0,
     "Held-out pictures, which choose the best weights and measure them: P% of the pictures, none, or others (default "
     "5%, or none of fewer than 20 pictures)."},
    {'f', "flow", "CHAIN|@FILE|best|exact", CLI_STRING, &options.flow, 0, 0,
     "Chain of bijectors of every level, as for wf-train-level; by default minutes, cores and the level choose it."},
    {0, "init", "MODEL", CLI_STRING, &options.init, 0, 0,
     "Begin with the weights of this model, and with its size, channels and wavelet."},
    {0, "flip", NULL, CLI_FLAG, &options.flip, 0, 0,
     "Also train on mirrored pictures, which helps where these are as likely, as photographs are, but not text."},
    {'w', "wavelet", "WAVELET", CLI_STRING, &options.wavelet, 0, 0,
     "Orthogonal wavelet of the pyramid (default haar)."},
    {0, "skip-bad", "N", CLI_STRING, &options.skip_bad, 0, 0,
     "Pass over up to N damaged or too small pictures, with one line each (default 100)."},
    {0, "threads", "N", CLI_INT, &common.threads, 0, 4096, "Cores to use; 0, the default: all, or OMP_NUM_THREADS."},
    {0, "seed", "N", CLI_STRING, &options.seed, 0, 0, "Seed of the random numbers (default 1)."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-train",
    .summary = "train a model on pictures, and show what it has learnt",
    .synopsis = "-o DIR [--minutes M] [--size N] [OPTION ...] [FILE|DIR ...]",
    .description =
        "Reads pictures, holds some out, trains all levels of a model side by side, measures it, draws samples, and "
        "writes DIR/report.html, a page to look at. PICTURES are files, folders and archives of any sizes, all that "
        "wf-dwt reads but standard input.\n\n"
        "An interruption loses nothing: the same command goes on. So does the same command with more --minutes; "
        "options and pictures may then be left out. A folder whose levels have been trained takes no other pictures "
        "or settings: begin another one, perhaps with --init.\n\n"
        "Pictures of all sizes are cut to a square in the middle and shrunk to --size, never enlarged: smaller ones "
        "are passed over. Pictures that all have one size of at most 64x64 are taken as they are. Twenty pictures of "
        "the input decide that, and whether there is colour. Pictures are read once: those that are added to a folder "
        "later are not noticed.\n\n"
        "DIR has the model in model/, the pictures in train.store, bits per dimension in bpd-held-out.tsv (in "
        "bpd-training.tsv if no picture is held out), samples.png and report.html with the figures in report/. "
        "The steps are those of the makefile folder.mk in the folder pipelines, and run GNU parallel, make and "
        "gnuplot. Ctrl-C saves all levels and exits 75; a second one does not wait for that. If wf-train is killed, or "
        "its terminal is closed, all levels save and end too. If the "
        "variable SSHLOGIN of the environment names hosts, as for GNU parallel, levels train there by ssh; train.sh in "
        "the folder pipelines describes more variables.",
    .examples = "wf-train photos -o faces\n"
                "    ten minutes on the photographs of a folder; then open faces/report.html\n"
                "wf-train -o faces --minutes 60\n"
                "    trains on, an hour in all\n"
                "wf-train more-photos -o finer --init faces\n"
                "    begins with the weights of faces\n"
                "wf-train train-images-idx3-ubyte.gz -o digits --minutes 2\n"
                "    MNIST, 28x28 as it is\n",
    .options = table,
};

static bool is_number(const char *text, double low, double high)
{
    char *end;
    double value = strtod(text, &end);
    return *text && !text[strspn(text, "0123456789.")] && !*end && value >= low && value <= high;
}

static void check_options(void)
{
    if (!options.to || !*options.to)
        die(WF_USAGE, "-o DIR is needed");
    if (options.minutes && !is_number(options.minutes, 1e-3, 1e6))
        die(WF_USAGE, "--minutes: found '%s', expected a number from 0.001 to 1e6", options.minutes);
    if (options.skip_bad && (!is_number(options.skip_bad, 0, 1e15) || strchr(options.skip_bad, '.')))
        die(WF_USAGE, "--skip-bad: found '%s', expected a whole number", options.skip_bad);
    if (options.seed && (!is_number(options.seed, 0, 1e18) || strchr(options.seed, '.')))
        die(WF_USAGE, "--seed: found '%s', expected a whole number that is not negative", options.seed);
    if (options.wavelet && !wf_wavelet_find(options.wavelet))
        die(WF_USAGE, "--wavelet %s: unknown; there are" WF_WAVELET_NAMES, options.wavelet);
}

/* Absolute names of the operands. One may be FILE.npz:ARRAY. */
static char **read_pictures(int first)
{
    char **names = must_allocate((size_t)(common.argc - first) + 1, sizeof *names, "names");
    for (int i = first; i < common.argc; i++) {
        const char *name = common.argv[i], *colon = strrchr(name, ':');
        if (cli_is_dash(name))
            die(WF_USAGE, "-: standard input cannot be read again; expected names of files, folders or archives");
        if (folder_is_store(name))
            die(WF_USAGE, "%s: a store, expected pictures: wf-train-level -m MODEL -s %s trains on a store", name,
                name);
        char *file = strndup(name, colon ? (size_t)(colon - name) : strlen(name));
        if (access(name, R_OK) && (!colon || !file || access(file, R_OK)))
            must(wf_fail_errno("%s", name));
        free(file);
        names[i - first] = job_absolute(name);
    }
    return names;
}

/* The chain as one line; NULL: not given. */
static const char *read_chain(void)
{
    static char text[4096];
    if (!options.flow || *options.flow != '@')
        return options.flow;
    must(wf_flow_text_read(options.flow + 1, text, sizeof text));
    return text;
}

/* --val with an absolute name. */
static const char *read_val(void)
{
    const char *val = options.val;
    if (val && strcmp(val, "none") != 0 && !folder_per_cent(val) && access(val, R_OK))
        must(wf_fail_errno("--val %s", val));
    return !val || !strcmp(val, "none") || folder_per_cent(val) ? val : job_absolute(val);
}

int main(int argc, char **argv)
{
    wf_model init = {0};
    int first = cli_parse(&program, argc, argv);
    check_options();
    job_setting settings[] = {{"size", options.size, "", false, NULL},
                              {"val", read_val(), "5%", false, NULL},
                              {"flow", read_chain(), "", false, NULL},
                              {"init", options.init, "", false, NULL},
                              {"flip", options.flip ? "yes" : NULL, "no", false, NULL},
                              {"wavelet", options.wavelet, "", false, NULL},
                              {"skip-bad", options.skip_bad, "100", false, NULL},
                              {"seed", options.seed, "1", false, NULL},
                              {"minutes", options.minutes, "10", true, NULL},
                              {"dwt", NULL, "", true, NULL}, /* options that shape_choose chose */
                              {NULL, NULL, NULL, false, NULL}};
    if (options.init) {
        found_open_model(options.init, &init);
        settings[INIT].given = job_absolute(init.path);
    }
    train_job job = {.folder = options.to, .settings = settings, .count = argc - first};
    job.pictures = read_pictures(first);
    pipeline_find();
    job_settle(&job);
    if (!job.count)
        die(WF_USAGE, "no pictures: expected files or folders, as in wf-train photos -o %s", options.to);
    if (!job.begun)
        settings[SHAPE].value = shape_choose(job.pictures, job.count, settings[SIZE].value, init.path ? &init : NULL,
                                             settings[WAVELET].value);
    folder_train(&job);
    wf_model_clear(&init);
    finish_stdout();
    return WF_OK;
}
