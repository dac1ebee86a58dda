/* wf-unpack.c - pictures from an archive of wf-pack */
#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/codec/archive.h"
#include "../lib/image/save.h"
#include "cli_found.h"
#include "interrupt.h"
#include "picture_files.h"
#include "progress.h"

static struct options {
    const char *model_path, *folder;
    bool force;
} options;

static const cli_option table[] = {
    CLI_MODEL(&options.model_path),
    {'o', "output", "DIR", CLI_STRING, &options.folder, 0, 0,
     "Write a file for each picture into this folder, which is made if needed, under the picture's name, with its "
     "folders, below DIR. A second picture of one name gets a number; one without a name has its own. A file that is "
     "there is not replaced: exit code 64."},
    {0, "force", NULL, CLI_FLAG, &options.force, 0, 0, "Replace files that are there."},
    {'j', "threads", "N", CLI_INT, &common.threads, 0, 4096,
     "Unpack N pictures at a time. 0, the default: one for each core, or OMP_NUM_THREADS if that variable is "
     "set."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-unpack",
    .summary = "pictures from an archive of wf-pack",
    .synopsis = "-m MODEL -o DIR [--force] FILE.wfp [NAME ...]",
    .description =
        "Reads an archive that wf-pack wrote, and writes its pictures as PNG files, those of other depths than 8 or 16 "
        "bits as PAM: the same pixels. FILE.wfp may be -, standard input. The model must be the one that packed: "
        "chain and weights of all levels.\n\n"
        "With names, only pictures of these names are unpacked; they are found by the index, without reading the rest, "
        "if the file can seek. Names are those that wf-pack gave, as wf-idwt --names does.\n\n"
        "A picture is written when its checksums are right. An archive that is damaged or cut off, or of another "
        "model, ends with exit code 65; pictures before that place are written.",
    .examples = "wf-unpack -m faces photos.wfp -o again\n"
                "    all pictures\n"
                "wf-unpack -m faces photos.wfp -o again 2019/beach.jpg\n"
                "    one of them\n"
                "wf-pack -m faces photos/ | wf-unpack -m faces - -o again\n"
                "    there and back\n",
    .options = table,
};

/* A picture on its way; failures are kept, since messages belong to threads. */
typedef struct slot {
    wf_packer_work *work;
    wf_packed packed;
    wf_image image;
    char path[4096];
    int status;
    char message[1024];
} slot;

static struct {
    const char *name; /* of the archive */
    wf_packer *packer;
    wf_archive *archive;
    slot *slots;
    int64_t count;
} job;

/* Writes PNG, or PAM of depths that PNG would scale to 8 or 16 bits. */
static int save(const slot *s)
{
    wf_outfile *file;
    if (wf_packer_bits(job.packer) % 8 == 0)
        return wf_image_save(s->path, &s->image);
    WF_TRY(wf_outfile_create(s->path, &file));
    int status = wf_image_append(wf_outfile_stream(file), s->path, &s->image);
    if (!status)
        return wf_outfile_commit(file);
    wf_outfile_abort(file);
    return status;
}

static int unpack(slot *s)
{
    int status = wf_packed_image(job.packer, s->work, &s->packed, &s->image);
    if (status)
        return wf_fail(status, "%s: picture %" PRId64 "%s%.200s: %s", job.name, s->packed.number,
                       *s->packed.name ? ", " : "", s->packed.name, wf_error());
    return save(s);
}

/* Chooses the file of the slot's picture. */
static int choose_file(slot *s)
{
    char number[32]; /* a name like any other: another picture may have it */
    const char *path;
    snprintf(number, sizeof number, "%08" PRId64, s->packed.number);
    WF_TRY(picture_files_path(options.folder, (uint64_t)s->packed.number, *s->packed.name ? s->packed.name : number,
                              wf_packer_bits(job.packer) % 8 ? "pam" : "png", options.force, &path));
    snprintf(s->path, sizeof s->path, "%s", path);
    return WF_OK;
}

/* Reads the next pictures, one a thread at most. Returns their number: those before the first failure, *status. */
static int fill_slots(bool *more, int *status)
{
    int n = 0;
    for (; n < common.threads && *more; n++) {
        *status = wf_archive_next(job.archive, &job.slots[n].packed, more);
        if (!*status && *more)
            *status = choose_file(&job.slots[n]);
        if (*status || !*more)
            break;
    }
    return n;
}

/* Unpacks the pictures of n slots, and dies of the first that failed. */
static void empty_slots(int n)
{
#pragma omp parallel for num_threads(common.threads) schedule(dynamic, 1)
    for (int i = 0; i < n; i++) {
        slot *s = &job.slots[i];
        s->status = unpack(s);
        if (s->status)
            snprintf(s->message, sizeof s->message, "%s", wf_error());
    }
    for (int i = 0; i < n; i++) {
        if (job.slots[i].status)
            die(job.slots[i].status, "%s", job.slots[i].message);
        wf_packed_clear(&job.slots[i].packed);
        progress_at(++job.count, -1, NULL);
    }
}

static void unpack_all(void)
{
    bool more = true;
    int status = WF_OK;
    common.threads = common.threads ? common.threads : omp_get_max_threads();
    job.slots = must_allocate((size_t)common.threads, sizeof *job.slots, "pictures");
    for (int i = 0; i < common.threads; i++)
        must(wf_packer_work_create(&job.slots[i].work));
    progress_begin("picture", -1);
    interrupt_ends("their files stay in %s", options.folder);
    while (more && !status) {
        int n = fill_slots(&more, &status);
        char message[1024];
        snprintf(message, sizeof message, "%s", wf_error());
        empty_slots(n); /* pictures before the failure are written */
        if (status)
            die(status, "%s", message);
    }
    progress_end();
    for (int i = 0; i < common.threads; i++) {
        wf_packer_work_destroy(job.slots[i].work);
        wf_image_clear(&job.slots[i].image);
    }
    free(job.slots);
}

int main(int argc, char **argv)
{
    wf_model model;
    int first = cli_parse(&program, argc, argv), names = argc - first - 1;
    if (!options.model_path || !options.folder || names < 0)
        die(WF_USAGE, "-m MODEL, -o DIR and FILE.wfp are needed");
    job.name = cli_is_dash(argv[first]) ? "standard input" : argv[first];
    if (cli_is_dash(argv[first]) && isatty(STDIN_FILENO))
        die(WF_USAGE, "waiting for an archive: nothing is piped in: name a file");
    bool *found = must_allocate((size_t)names + 1, sizeof *found, "names");
    FILE *file = cli_is_dash(argv[first]) ? stdin : fopen(argv[first], "rb");
    if (!file)
        must(wf_fail_errno("%s: cannot open", job.name));
    found_open_model(options.model_path, &model);
    must(wf_packer_create(&model, &job.packer));
    must(wf_archive_open(file, job.name, job.packer, &job.archive));
    if (names)
        must(wf_archive_choose(job.archive, argv + first + 1, names, found));
    must(wf_mkdirs(options.folder));
    unpack_all();
    for (int i = 0; i < names; i++)
        if (!found[i])
            die(WF_USAGE, "%s: has no picture named '%s'", job.name, argv[first + 1 + i]);
    picture_files_note(options.folder, NULL, true);
    note("%lld picture%s in %s", (long long)job.count, plural(job.count), options.folder);
    picture_files_clear();
    wf_archive_close(job.archive);
    wf_packer_destroy(job.packer);
    wf_model_clear(&model);
    free(found);
    if (file != stdin)
        fclose(file);
    finish_stdout();
    return WF_OK;
}
