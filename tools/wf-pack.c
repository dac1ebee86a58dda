/* wf-pack.c - pictures to an archive without loss, by a trained model of whole numbers */
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/base/number.h"
#include "../lib/codec/archive.h"
#include "cli_found.h"
#include "interrupt.h"
#include "progress.h"
#include "survey.h"

static struct options {
    const char *model_path, *files_from;
    int64_t pictures;
    bool null, test, stored;
} options = {.pictures = -1};

static const cli_option table[] = {
    CLI_MODEL(&options.model_path),
    {'j', "threads", "N", CLI_INT, &common.threads, 0, 4096,
     "Pack N pictures at a time; the bytes do not depend on N. 0, the default: one for each core, or OMP_NUM_THREADS "
     "if that variable is set."},
    {0, "test", NULL, CLI_FLAG, &options.test, 0, 0,
     "Write nothing: pack and unpack every picture in memory, and compare. Exit code 70 if one does not come back."},
    {'n', "count", "N", CLI_COUNT, &options.pictures, 1, 1e15, "Read N pictures at most."},
    {0, "files-from", "FILE", CLI_STRING, &options.files_from, 0, 0,
     "Also read the files and folders named in FILE, one a line, after those on the command line; - is standard "
     "input."},
    {0, "null", NULL, CLI_FLAG, &options.null, 0, 0,
     "Names in the --files-from file end in zero bytes, as find -print0 writes them."},
    {0, "no-rotate", NULL, CLI_FLAG, &options.stored, 0, 0,
     "Leave pictures as they are stored: do not turn them upright by the orientation in their EXIF."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-pack",
    .summary = "compress pictures without loss by a trained model",
    .synopsis = "-m MODEL [-j N] [--test] [FILE|DIR ...] > FILE.wfp",
    .description =
        "Reads pictures as wf-dwt does, and writes an archive from which wf-unpack makes the same pixels again, with "
        "the names of the pictures. The levels of the model must have a chain of `lattice`, after any `cond`, which "
        "gives whole numbers exact probabilities: the archive has as many bits as the model's bits/dim say, and about "
        "13 bytes a picture more, beside its name. Networks with attention are refused, and so are more than 23 bits, "
        "those of a pixel and two a level: with 8 bits a model has at most seven levels (wf-dwt --levels 7), with 16 "
        "three. wf-unpack needs the same model.\n\n"
        "Pictures may have any size. One that is larger than the model's has several pixels at the base; one that "
        "is smaller uses the finest levels only. Where a side is odd at some level, its last row or column is "
        "repeated; differences between the two are not coded. Channels and bits must be those of the model. Only "
        "pixels and names are kept: no EXIF, no colour profile.\n\n"
        "The nets are computed with the same roundings on every machine, so an archive may be unpacked elsewhere. "
        "Every part has a checksum. Memory does not grow with the number of pictures, but by some 5 bytes a picture. "
        "Each thread needs some 40 bytes for each sample of its picture.",
    .examples = "wf-pack -m faces photos/ > photos.wfp\n"
                "    an archive of a folder\n"
                "wf-pack -m faces --test photos/\n"
                "    bits/dim of an archive, and whether all pictures come back\n"
                "wf-unpack -m faces photos.wfp -o again\n"
                "    the same pixels as PNG\n",
    .options = table,
};

/* A worker's picture. */
typedef struct worker {
    wf_packer_work *work;
    wf_packed packed;
    wf_image back;
} worker;

static struct {
    wf_packer *packer;
    wf_archive_writer *archive;
    worker *workers;
    int64_t samples, code, count;
} job;

/* A wf_image_work's `picture`. */
static int pack_picture(void *user, int at, int64_t first, int i, wf_image *image, const char *name)
{
    worker *w = &job.workers[at];
    (void)user, (void)first, (void)i;
    WF_TRY(wf_packed_make(job.packer, w->work, image, name, &w->packed));
    if (!options.test)
        return WF_OK;
    if (wf_packed_image(job.packer, w->work, &w->packed, &w->back))
        return wf_fail(WF_INTERNAL, "%s: does not come back: %s", name, wf_error());
    size_t bytes = (size_t)image->H * (size_t)image->W * (size_t)image->C * sizeof *image->pixels;
    WF_CHECK(!memcmp(w->back.pixels, image->pixels, bytes), WF_INTERNAL, "%s: comes back with other pixels", name);
    return WF_OK;
}

/* A wf_image_work's `batch`: batches are single pictures. */
static int end_batch(void *user, int at, int count)
{
    (void)user, (void)at, (void)count;
    return WF_OK;
}

/* A wf_image_work's `deliver`. */
static int deliver(void *user, int at, int64_t first, int count)
{
    worker *w = &job.workers[at];
    double all = wf_images_expected(user), most = (double)options.pictures;
    all = most >= 0 && (all < 0 || most < all) ? most : all;
    job.code += (int64_t)w->packed.n;
    job.samples += (int64_t)w->packed.H * w->packed.W * wf_packer_channels(job.packer);
    job.count = first + count;
    int status = wf_archive_put(job.archive, &w->packed);
    wf_packed_clear(&w->packed);
    progress_at(job.count, all > 0 ? (double)job.count / all : -1, NULL);
    return status;
}

static void check_usage(char **operands, int count)
{
    bool reads_stdin = options.files_from ? cli_is_dash(options.files_from) : !count;
    if (!options.model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (options.null && !options.files_from)
        die(WF_USAGE, "--null needs --files-from FILE");
    for (int i = 0; i < count; i++) {
        if (cli_is_dash(options.files_from) && cli_is_dash(operands[i]))
            die(WF_USAGE, "standard input cannot hold both pictures and the names of files");
        reads_stdin = reads_stdin || cli_is_dash(operands[i]);
    }
    if (reads_stdin && isatty(STDIN_FILENO))
        die(WF_USAGE, "waiting for %s: nothing is piped in: name files or folders",
            options.files_from ? "names of pictures" : "pictures");
    if (!options.test && isatty(STDOUT_FILENO))
        die(WF_USAGE, "will not write an archive to a terminal: use a pipe or a file, as > FILE.wfp");
}

static void pack_all(wf_images *images)
{
    wf_image_work work = {.picture = pack_picture, .batch = end_batch, .deliver = deliver, .user = images};
    int64_t count;
    common.threads = common.threads ? common.threads : omp_get_max_threads();
    job.workers = must_allocate((size_t)common.threads, sizeof *job.workers, "workers");
    for (int i = 0; i < common.threads; i++)
        must(wf_packer_work_create(&job.workers[i].work));
    progress_begin("picture", -1);
    interrupt_ends(options.test ? "nothing is written" : "the archive is incomplete");
    must(wf_images_run(images, 1, common.threads, &work, &count));
    progress_end();
    wf_images_passed passed = wf_images_passed_over(images);
    if (!count)
        survey_die_of_nothing(&passed, 0, NULL);
    survey_note_passed(&passed);
    for (int i = 0; i < common.threads; i++) {
        wf_packer_work_destroy(job.workers[i].work);
        wf_image_clear(&job.workers[i].back);
    }
    free(job.workers);
}

static void say_done(int64_t bytes)
{
    char figures[96];
    double dims = (double)job.samples;
    wf_snprintf(figures, sizeof figures, "%lld bytes, %.4f bits/dim (%.4f with names and index)%s", (long long)bytes,
                8 * (double)job.code / dims, 8 * (double)bytes / dims, options.test ? "; all come back" : "");
    note("%lld picture%s, %s", (long long)job.count, plural(job.count), figures);
}

/* Standard output; with --test, where nothing is kept. */
static FILE *open_output(void)
{
    FILE *file = options.test ? fopen("/dev/null", "wb") : stdout;
    if (!file)
        must(wf_fail_errno("/dev/null: cannot open"));
    return file;
}

int main(int argc, char **argv)
{
    wf_model model;
    wf_images *images;
    int64_t bytes = 0;
    int first = cli_parse(&program, argc, argv);
    check_usage(argv + first, argc - first);
    found_open_model(options.model_path, &model);
    must(wf_packer_create(&model, &job.packer));
    must(wf_images_open(argv + first, argc - first, stdin, &images));
    wf_images_set_options(images, (wf_images_options){.pictures = true, .stored = options.stored});
    if (options.files_from)
        must(wf_images_add_list(images, options.files_from, options.null));
    wf_images_limit(images, options.pictures);
    FILE *output = open_output();
    must(wf_archive_create(output, options.test ? "/dev/null" : "standard output", job.packer, &job.archive));
    pack_all(images);
    must(wf_archive_finish(job.archive, &bytes));
    if (output != stdout)
        fclose(output);
    finish_stdout();
    say_done(bytes);
    wf_archive_writer_destroy(job.archive);
    wf_images_close(images);
    wf_packer_destroy(job.packer);
    wf_model_clear(&model);
    return WF_OK;
}
