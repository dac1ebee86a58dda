/* wf-unpack.c - pictures from an archive of wf-pack */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/codec/archive.h"
#include "cli_found.h"
#include "picture_files.h"
#include "unpacking.h"

static struct options {
    const char *model_path, *folder;
    bool force, list;
} options;

static const cli_option table[] = {
    CLI_MODEL(&options.model_path),
    {'o', "output", "DIR", CLI_STRING, &options.folder, 0, 0,
     "Write a file for each picture into this folder, which is made if needed, under the picture's name, with its "
     "folders, below DIR. A second picture of one name gets a number; one without a name has its own. A file that is "
     "there is not replaced: exit code 64."},
    {0, "list", NULL, CLI_FLAG, &options.list, 0, 0,
     "Print a table instead: number, height, width, channels, bits a sample, bytes in the archive, name. Needs no "
     "model; with one, the archive must be of it. Checksums are compared, but no picture is unpacked."},
    {0, "force", NULL, CLI_FLAG, &options.force, 0, 0, "Replace files that are there."},
    {'j', "threads", "N", CLI_INT, &common.threads, 0, 4096,
     "Unpack N pictures at a time. 0, the default: one for each core, or OMP_NUM_THREADS if that variable is "
     "set."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-unpack",
    .summary = "pictures from an archive of wf-pack",
    .synopsis = "{-m MODEL -o DIR [--force] | --list} FILE.wfp [NAME ...]",
    .description =
        "Reads an archive that wf-pack wrote, and writes its pictures as PNG files, those of other depths than 8 or 16 "
        "bits as PAM: the same pixels. FILE.wfp may be -, standard input. The model must be the one that packed: "
        "chain and weights of all levels.\n\n"
        "With names, only pictures of these names are unpacked or listed; they are found by the index, without "
        "reading the rest, if the file can seek. Names are those that wf-pack gave, as wf-idwt --names does. "
        "wf-archive(5) describes the format.\n\n"
        "A picture is written when its checksums are right. An archive that is damaged or cut off, or of another "
        "model, ends with exit code 65; pictures before that place are written.",
    .examples = "wf-unpack -m faces photos.wfp -o again\n"
                "    all pictures\n"
                "wf-unpack -m faces photos.wfp -o again 2019/beach.jpg\n"
                "    one of them\n"
                "wf-unpack --list photos.wfp\n"
                "    what is in it\n"
                "wf-pack -m faces photos/ | wf-unpack -m faces - -o again\n"
                "    there and back\n",
    .options = table,
};

static void check_usage(int operands)
{
    if (options.list && (options.folder || options.force))
        die(WF_USAGE, "--list writes no pictures, and excludes -o and --force");
    if (!operands || (!options.list && (!options.model_path || !options.folder)))
        die(WF_USAGE, options.list ? "--list: FILE.wfp is needed" : "-m MODEL, -o DIR and FILE.wfp are needed");
}

/* Prints a row for each picture. Returns their number. */
static int64_t list(wf_archive *archive)
{
    wf_packed p;
    int64_t count = 0;
    bool more = true;
    puts("picture\theight\twidth\tchannels\tbits\tbytes\tname");
    for (;; count++) {
        must(wf_archive_next(archive, &p, &more));
        if (!more)
            return count;
        printf("%" PRId64 "\t%d\t%d\t%d\t%d\t%" PRId64 "\t", p.number, p.H, p.W, wf_archive_channels(archive),
               wf_archive_bits(archive), p.bytes);
        wf_write_name(stdout, *p.name ? p.name : NULL, (uint64_t)p.number);
        putchar('\n');
        wf_packed_clear(&p);
    }
}

static int64_t unpack(const unpacking *from)
{
    int64_t count = unpacking_run(from);
    picture_files_note(from->folder, NULL, true);
    picture_files_clear();
    return count;
}

int main(int argc, char **argv)
{
    wf_model model = {0};
    wf_packer *packer = NULL;
    wf_archive *archive;
    int first = cli_parse(&program, argc, argv), names = argc - first - 1;
    check_usage(argc - first);
    const char *path = argv[first], *name = cli_is_dash(path) ? "standard input" : path;
    if (cli_is_dash(path) && isatty(STDIN_FILENO))
        die(WF_USAGE, "waiting for an archive: nothing is piped in: name a file");
    bool *found = must_allocate((size_t)names + 1, sizeof *found, "names");
    FILE *file = cli_is_dash(path) ? stdin : fopen(path, "rb");
    if (!file)
        must(wf_fail_errno("%s: cannot open", name));
    if (options.model_path) {
        found_open_model(options.model_path, &model);
        must(wf_packer_create(&model, &packer));
    }
    must(wf_archive_open(file, name, packer, &archive));
    if (names)
        must(wf_archive_choose(archive, argv + first + 1, names, found));
    unpacking from = {name, archive, packer, options.folder, options.force};
    int64_t count = options.list ? list(archive) : unpack(&from);
    for (int i = 0; i < names; i++)
        if (!found[i])
            die(WF_USAGE, "%s: has no picture named '%s'", name, argv[first + 1 + i]);
    note("%lld picture%s in %s", (long long)count, plural(count), options.list ? name : options.folder);
    wf_archive_close(archive);
    wf_packer_destroy(packer);
    wf_model_clear(&model);
    free(found);
    if (file != stdin)
        fclose(file);
    finish_stdout();
    return WF_OK;
}
