/* wf-dwt.c - pictures to wavelet coefficients */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/image.h"
#include "../lib/pyramid.h"
#include "../lib/store.h"
#include "../lib/stream.h"
#include "../lib/wavelet.h"
#include "cli.h"

static int level = -1, levels = -1, base, channels, bits;
static int64_t batch, skip_bad;
static const char *store_path, *wavelet = "haar", *crop, *resize, *files_from;
static bool append, null;

static const cli_option options[] = {
    {'l', "level", "L", CLI_INT, &level, 0, WF_MAX_LEVELS, "Write level L only, 0 being the base; the default is all."},
    {0, "levels", "N", CLI_INT, &levels, 0, WF_MAX_LEVELS,
     "Halve N times; the default is as often as height and width both divide by two."},
    {0, "base", "S", CLI_INT, &base, 1, WF_MAX_SIDE, "Halve until the shorter side is S pixels; not with --levels."},
    {'o', "output", "STORE", CLI_STRING, &store_path, 0, 0,
     "Write an LMDB store, a new folder, in place of a stream on standard output, which - stands for."},
    {'a', "append", NULL, CLI_FLAG, &append, 0, 0,
     "Continue an interrupted or grown store, given the same pictures from the start: those it has are passed "
     "over, and the last of them is compared."},
    {'w', "wavelet", "NAME", CLI_STRING, &wavelet, 0, 0, "Wavelet; haar, the default, is the only one so far."},
    {0, "crop", "HxW", CLI_STRING, &crop, 0, 0, "Keep the H by W pixels in the middle of every picture."},
    {0, "resize", "HxW", CLI_STRING, &resize, 0, 0,
     "Resize, after any crop: averages over boxes along an axis that shrinks by a whole factor, else a triangle filter "
     "wide enough not to alias. The aspect ratio is not kept unless HxW has it."},
    {'c', "channels", "C", CLI_INT, &channels, 1, WF_MAX_CHANNELS,
     "Convert to 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha) channels. Grey is replicated, alpha dropped "
     "or added opaque; colour becomes grey only where it is grey already. The default is what the first picture has."},
    {0, "bits", "B", CLI_INT, &bits, 1, 16,
     "Convert to B bits a sample: the highest of those it has, or, for more than it has, scaled and rounded. The default "
     "is what the first picture has."},
    {0, "files-from", "FILE", CLI_STRING, &files_from, 0, 0,
     "Read also the files and folders named in FILE, one a line, after those on the command line; - is standard input."},
    {0, "null", NULL, CLI_FLAG, &null, 0, 0,
     "Names in the --files-from file end in zero bytes, as those of find -print0."},
    {0, "skip-bad", "N", CLI_COUNT, &skip_bad, 0, 1e15,
     "Pass over up to N pictures that are damaged or no pictures, with one line each, where the next can be found: in a "
     "folder, list, archive or LMDB. The default is 0: the first of them ends the program with 65."},
    {0, "batch", "N", CLI_COUNT, &batch, 1, 65536, "Pictures in one record; the default is about a million samples."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-dwt",
    .summary = "pictures to a pyramid of wavelet coefficients",
    .synopsis = "[-l L] [--levels N] [-o STORE] [FILE|DIR ...]",
    .description =
        "Reads pictures, halves each of them again and again with an orthogonal wavelet, and writes what every halving "
        "leaves: the average picture and the details lost by it. wf-idwt gives back every pixel.\n\n"
        "Pictures come from files, folders (searched through, sorted by name in byte order), tar and zip archives in their "
        "order, LMDB whose values are pictures (as LSUN) in the order of the keys, or standard input; - stands for the "
        "latter. PNG, JPEG, WebP (still), PNM, PAM, IDX (as MNIST), CIFAR-10 and CIFAR-100 binaries, TFRecord and NumPy's "
        ".npy and .npz are recognised by their content, alone, one after the other in one file or stream, and compressed (gzip, xz, "
        "Zstandard, bzip2). All must have one size, which the halvings must divide; nothing is cropped or resized unless "
        "asked for. Files in folders and archives that are no pictures by name and content, and arrays of labels, are passed "
        "over and counted. Links are followed in folders, not in archives.\n\n"
        "Samples are taken as they are stored: colour profiles, gamma (PNG's gAMA, too) and a camera's note to rotate are not "
        "applied. Palettes become RGB, or RGB and alpha when an entry is transparent; a transparent colour becomes alpha; "
        "alpha is not multiplied in, and stays a channel until --channels drops it. CMYK becomes RGB. Fewer than 8 bits "
        "become 8; a PNM or PAM MAXVAL over 255 that is no power of two less one becomes 16 bits.\n\n"
        "NumPy arrays are uint8 or uint16 in C order: [N,H,W,C], or [N,C,H,W] where the last dimension is over 4; [H,W,C] "
        "with up to 4 channels, else [N,H,W]; [N,3072] and [N,12288] are N pictures in three planes of 32x32 or 64x64, as in "
        "downsampled ImageNet; any other [H,W] is one grey picture. TFRecords are those "
        "of CelebA-HQ: examples of `shape`, [C,H,W] or [H,W,C], and `data`, bytes.\n\n"
        "Level 0 is the base, the smallest average; level L has the details that turn the average of level L-1 into one of "
        "twice the size. Pictures are numbered from 0 in the order in which they come.",
    .examples = "wf-dwt faces/ | wf-train-level -l 5 -m model\n"
                "    train one level on all pictures of a folder\n"
                "wf-dwt --crop 178x178 --resize 64x64 -o faces.store celeba.tar\n"
                "    the middle of each picture of an archive, 64 pixels wide, into a store\n"
                "wf-dwt -l 6 < x.png | wf-info -\n"
                "    what the stream of one level looks like\n",
    .options = options,
};

/* What is known from the first picture on. */
static struct {
    wf_meta meta;
    wf_backend *backend;
    wf_pyramid *pyramid;
    wf_writer *writer;
    wf_store *store;
    int lowest;      /* level */
    int64_t skip;    /* pictures that the store has already */
    int64_t count;   /* pictures read */
    int64_t bad;     /* pictures skipped */
    int waiting;     /* pictures in the batch */
    int size;        /* of a full batch */
    float *pixels;   /* [size,H,W,C] */
    uint64_t *index; /* [size] */
} job;

static void parse_size(const char *text, const char *option, int *H, int *W)
{
    char rest;
    *H = *W = 0;
    if (text &&
        (sscanf(text, "%5dx%5d%c", H, W, &rest) != 2 || *H < 1 || *W < 1 || *H > WF_MAX_SIDE || *W > WF_MAX_SIDE))
        die(WF_USAGE, "--%s %s: want HxW, height and width in pixels, as in 64x64", option, text);
}

static int choose_levels(const wf_image *image, const char *name)
{
    int most = 0;
    while (most < WF_MAX_LEVELS && (image->H >> most) % 2 == 0 && (image->W >> most) % 2 == 0)
        most++;
    int want = levels >= 0 ? levels : most;
    if (base) {
        int side = image->H < image->W ? image->H : image->W;
        for (want = 0; want < most && side >> want > base; want++)
            ;
        if (side >> want != base)
            die(WF_DATA, "%s: %dx%d cannot be halved to a side of %d; use --crop or --resize", name, image->H, image->W,
                base);
    }
    if (want > most)
        die(WF_DATA, "%s: %dx%d can be halved %d times, not %d; use --crop or --resize", name, image->H, image->W, most,
            want);
    if (level > want)
        die(WF_USAGE, "there is no level %d: %dx%d has levels 0 to %d", level, image->H, image->W, want);
    return want;
}

static void begin(const wf_image *image, const char *name)
{
    wf_meta *meta = &job.meta;
    *meta = (wf_meta){.levels = choose_levels(image, name), .H = image->H, .W = image->W, .C = image->C};
    snprintf(meta->wavelet, sizeof meta->wavelet, "%s", wavelet);
    meta->bits = image->bits;
    meta->top = level >= 0 ? level : meta->levels;
    job.lowest = level >= 0 ? level : 0;
    must(wf_meta_add_provenance(meta, program.name, common.argc, common.argv, common.seed, NULL));

    size_t samples = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    job.size = batch ? (int)batch : wf_pyramid_batch(meta, meta->levels);
    job.pixels = calloc((size_t)job.size, samples * sizeof *job.pixels);
    job.index = calloc((size_t)job.size, sizeof *job.index);
    if (!job.pixels || !job.index)
        die(WF_AGAIN, "out of memory for %d pictures of %dx%d; use a smaller --batch", job.size, image->H, image->W);
    must(wf_backend_open(common.backend, common.threads, &job.backend));
    must(wf_pyramid_create(job.backend, meta, job.size, &job.pyramid));
    if (store_path)
        must(wf_store_create(store_path, meta, append, &job.store, &job.skip));
    else
        must(wf_writer_create(stdout, "standard output", meta, &job.writer));
}

static void check_same(const wf_image *image, const char *name)
{
    const wf_meta *m = &job.meta;
    if (image->H != m->H || image->W != m->W)
        die(WF_DATA, "%s: %dx%d, want %dx%d as the pictures before; use --crop or --resize", name, image->H, image->W,
            m->H, m->W);
    if (image->C != m->C)
        die(WF_DATA, "%s: %d channels, want %d as the pictures before; use --channels", name, image->C, m->C);
    if (image->bits != m->bits)
        die(WF_DATA, "%s: %d bits, want %d as the pictures before; use --bits", name, image->bits, m->bits);
}

static void write_batch(void)
{
    if (!job.waiting)
        return;
    must(wf_pyramid_split(job.pyramid, job.waiting, job.pixels, job.lowest));
    for (int L = job.lowest; L <= job.meta.top; L++) {
        wf_record record = {.level = L, .N = job.waiting, .index = job.index};
        must(wf_pyramid_level(job.pyramid, L, &record.low, &record.detail));
        must(job.store ? wf_store_put(job.store, &record) : wf_writer_put(job.writer, &record));
    }
    job.waiting = 0;
}

static void stage(const wf_image *image)
{
    size_t n = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    float *to = job.pixels + (size_t)job.waiting * n;
    for (size_t i = 0; i < n; i++)
        to[i] = image->pixels[i];
    job.index[job.waiting++] = (uint64_t)job.count;
}

static void add(const wf_image *image)
{
    stage(image);
    if (job.waiting == job.size)
        write_batch();
}

/* The last picture that the store had must be this one, or it was made from others. Its highest level tells: the lower
 * ones follow from that. */
static void check_kept(const wf_image *image)
{
    wf_record record = {.level = job.meta.top, .N = 1, .index = job.index};
    stage(image);
    must(wf_pyramid_split(job.pyramid, 1, job.pixels, record.level));
    must(wf_pyramid_level(job.pyramid, record.level, &record.low, &record.detail));
    must(wf_store_compare(job.store, &record));
    job.waiting = 0;
}

/* The next picture that can be read; false at the end. */
static bool next_picture(wf_images *images, wf_image *image, const char **name)
{
    for (;;) {
        bool more, skipped = false;
        int status = wf_images_next(images, image, name, &more);
        if (!status)
            return more;
        if (status != WF_DATA || job.bad == skip_bad)
            must(status);
        char why[1024];
        snprintf(why, sizeof why, "%s", wf_error());
        must(wf_images_skip(images, &skipped));
        if (!skipped)
            die(status, "%s", why);
        note("skipped: %s", why);
        job.bad++;
    }
}

static void read_all(wf_images *images)
{
    wf_image image = {0};
    const char *name;
    int crop_h, crop_w, resize_h, resize_w;
    parse_size(crop, "crop", &crop_h, &crop_w);
    parse_size(resize, "resize", &resize_h, &resize_w);
    for (; next_picture(images, &image, &name); job.count++) {
        if (crop)
            must(wf_image_crop(&image, name, crop_h, crop_w));
        if (resize)
            must(wf_image_resize(&image, name, resize_h, resize_w));
        if (channels)
            must(wf_image_channels(&image, name, channels));
        if (bits)
            must(wf_image_depth(&image, name, bits));
        if (!job.pyramid)
            begin(&image, name);
        check_same(&image, name);
        if (job.count >= job.skip)
            add(&image);
        else if (job.count == job.skip - 1)
            check_kept(&image);
    }
    wf_image_clear(&image);
}

static void finish(wf_images *images)
{
    wf_images_passed passed = wf_images_passed_over(images);
    if (!job.pyramid)
        die(WF_DATA, "no picture in the input (%lld other files)", (long long)passed.skipped);
    if (job.count < job.skip)
        die(WF_DATA, "%s: has %lld pictures already, but the input only %lld; --append wants all of them again",
            store_path, (long long)job.skip, (long long)job.count);
    write_batch();
    must(job.store ? wf_store_seal(job.store) : wf_writer_finish(job.writer));
    if (passed.skipped)
        note("passed over %lld files that are no pictures", (long long)passed.skipped);
    if (passed.trailing)
        note("passed over what %lld files have behind their picture", (long long)passed.trailing);
    if (job.bad)
        note("skipped %lld bad pictures", (long long)job.bad);
    if (job.skip)
        note("%lld pictures were in the store already", (long long)job.skip);
    note("%lld pictures of %dx%d, %d channels, %d bits; %d levels", (long long)job.count, job.meta.H, job.meta.W,
         job.meta.C, job.meta.bits, job.meta.levels);
}

static void clean(wf_images *images)
{
    wf_images_close(images);
    wf_pyramid_destroy(job.pyramid);
    wf_writer_destroy(job.writer);
    wf_store_close(job.store);
    job.backend->close(job.backend);
    wf_meta_clear(&job.meta);
    free(job.pixels);
    free(job.index);
}

int main(int argc, char **argv)
{
    common.backend = "cpu"; /* bringing pictures to a card takes longer than transforming them here */
    int first = cli_parse(&program, argc, argv);
    if (store_path && !strcmp(store_path, "-"))
        store_path = NULL;
    if (levels >= 0 && base)
        die(WF_USAGE, "--levels and --base say the same thing: give one of them");
    if (append && !store_path)
        die(WF_USAGE, "--append needs -o STORE");
    if (null && !files_from)
        die(WF_USAGE, "--null needs --files-from FILE");
    for (int i = first; i < argc && files_from && !strcmp(files_from, "-"); i++)
        if (!strcmp(argv[i], "-"))
            die(WF_USAGE, "standard input cannot hold both pictures and the names of files");
    if (!wf_wavelet_find(wavelet))
        die(WF_USAGE, "--wavelet %s: unknown; there is %s", wavelet, wf_wavelet_at(0)->name);
    if (!store_path && isatty(STDOUT_FILENO))
        die(WF_USAGE, "will not write coefficients to a terminal: use -o STORE, a pipe or a file");
    wf_images *images;
    must(wf_images_open(argv + first, argc - first, stdin, &images));
    if (files_from)
        must(wf_images_add_list(images, files_from, null));
    read_all(images);
    finish(images);
    clean(images);
    finish_stdout();
    return WF_OK;
}
