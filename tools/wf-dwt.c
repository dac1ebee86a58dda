/* wf-dwt.c - pictures to wavelet coefficients */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/image/image.h"
#include "../lib/pyramid/pyramid.h"
#include "../lib/store/store.h"
#include "../lib/store/stream.h"
#include "../lib/pyramid/wavelet.h"
#include "cli.h"

static int level = -1, levels = -1, base, channels, bits, dims = 2;
static int64_t batch, skip_bad, pictures = -1, length;
static const char *store_path, *wavelet = "haar", *crop, *resize, *random_crop, *files_from;
static bool append, null, no_rotate;

static const cli_option options[] = {
    {'l', "level", "L", CLI_INT, &level, 0, WF_MAX_LEVELS,
     "Write level L only; 0 is the base. The default is all levels."},
    {0, "levels", "N", CLI_INT, &levels, 0, WF_MAX_LEVELS,
     "Halve N times; the default is as often as two divides both height and width."},
    {0, "base", "S", CLI_INT, &base, 1, WF_MAX_SIDE, "Halve until the shorter side is S pixels; excludes --levels."},
    {'o', "output", "STORE", CLI_STRING, &store_path, 0, 0,
     "Write an LMDB store, a new folder; -, the default, is a stream on standard output. After an interruption run the "
     "same command again to continue."},
    {'a', "append", NULL, CLI_FLAG, &append, 0, 0,
     "Add the pictures to a complete store. Exit code 75 if another process uses the store. After an interruption "
     "readers see the old contents; run the same command again to continue."},
    {'w', "wavelet", "NAME", CLI_STRING, &wavelet, 0, 0,
     "Orthogonal wavelet, extended periodically, one of" WF_WAVELET_NAMES
     ". The default is haar. Programs down the pipe take it from the stream."},
    {0, "crop", "HxW", CLI_STRING, &crop, 0, 0, "Keep the H by W pixels in the middle of every picture."},
    {0, "resize", "HxW", CLI_STRING, &resize, 0, 0,
     "Resize, after any crop. An axis that shrinks by a whole factor is averaged over boxes, any other is filtered "
     "by a triangle wide enough not to alias. The aspect ratio changes unless HxW has it."},
    {0, "random-crop", "HxW", CLI_STRING, &random_crop, 0, 0,
     "Keep H by W pixels of every picture, after any resize. --seed and the picture's pixels determine the place."},
    {'c', "channels", "C", CLI_INT, &channels, 1, WF_MAX_CHANNELS,
     "Convert to 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha) channels. Grey is replicated, alpha "
     "dropped or added opaque; colour becomes grey only where it is grey already. The default is what the first "
     "picture has."},
    {0, "bits", "B", CLI_INT, &bits, 1, 16,
     "Convert to B bits a sample: the highest B of its bits, or, if it has fewer, scaled and rounded. The default is "
     "what the first picture has."},
    {0, "files-from", "FILE", CLI_STRING, &files_from, 0, 0,
     "Also read the files and folders named in FILE, one a line, after those on the command line; - is standard "
     "input."},
    {0, "null", NULL, CLI_FLAG, &null, 0, 0,
     "Names in the --files-from file end in zero bytes, as find -print0 writes them."},
    {0, "no-rotate", NULL, CLI_FLAG, &no_rotate, 0, 0,
     "Leave pictures as they are stored: do not turn them upright by the orientation in their EXIF."},
    {0, "length", "N", CLI_COUNT, &length, 1, WF_MAX_SIDE,
     "Cut every sound into pieces of N samples, one after the other. A shorter rest is left out and counted."},
    {0, "dims", "D", CLI_INT, &dims, 2, 3,
     "Dimensions of NumPy arrays: 2, or 3 for volumes [D,H,W], [N,D,H,W] or [N,D,H,W,C]. The default is 2."},
    {'n', "count", "N", CLI_COUNT, &pictures, 1, 1e15, "Read N pictures at most."},
    {0, "skip-bad", "N", CLI_COUNT, &skip_bad, 0, 1e15,
     "Skip up to N inputs that are damaged or not pictures, with one line each, where the next picture can be found: "
     "in a folder, list, archive or LMDB. The default is 0: the first one ends the program with 65."},
    {0, "batch", "N", CLI_COUNT, &batch, 1, 65536, "Pictures in one record; the default is about a million samples."},
    CLI_THREADS,
    CLI_SEED,
    CLI_BACKEND_CPU,
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-dwt",
    .summary = "pictures to a pyramid of wavelet coefficients",
    .synopsis = "[-l L] [--levels N] [-o STORE] [FILE|DIR ...]",
    .description =
        "Reads pictures, halves each of them again and again with an orthogonal wavelet, and writes what each "
        "halving leaves: the average picture at half the size, and the details lost by averaging. wf-idwt gives back "
        "every pixel.\n\n"
        "Level 0 is the base, the smallest average. Level L has the details that turn the average of level L-1 into "
        "one of twice the size. Pictures are numbered from 0 in the order in which they come.\n\n"
        "Pictures come from files, folders (searched through, sorted by name in byte order), tar and zip archives in "
        "their order, LMDB whose values are pictures (as LSUN) in the order of the keys, or standard input, which is "
        "also -. Formats are recognised by content: PNG, JPEG, WebP (still), PNM, PAM, IDX (as MNIST), CIFAR-10 and "
        "CIFAR-100 binaries, TFRecord, and NumPy's .npy and .npz. A file or stream may hold several pictures, one "
        "after the other, and may be compressed (gzip, xz, Zstandard, bzip2).\n\n"
        "All pictures must have one size, which the halvings must divide. Nothing is cropped or resized unless asked "
        "for. Files in folders and archives that are not pictures by name and content, and arrays of labels, are "
        "left out and counted; so are sounds once a picture has come. Links are followed in folders, not in "
        "archives.\n\n"
        "Samples are taken as they are stored: colour profiles and gamma (also PNG's gAMA) are not applied. Pictures "
        "are turned upright by the orientation in the EXIF of JPEG, PNG and WebP, and counted; see --no-rotate. "
        "Palettes become RGB, or RGB and alpha when an entry is transparent; a transparent "
        "colour becomes alpha. Alpha is not multiplied in, and stays a channel until --channels drops it. CMYK "
        "becomes RGB. Fewer than 8 bits become 8. A PNM or PAM MAXVAL over 255 that is not a power of two less one "
        "becomes 16 bits.\n\n"
        "Sounds are WAV, FLAC or AIFF of 8 or 16 bits and 1 to 4 channels, halved along their one axis; wf-idwt "
        "writes WAV. With --dims 3 NumPy arrays are volumes or films, halved along three axes. All input must be of "
        "one kind.\n\n"
        "A .npz has one array of pictures; of several, FILE.npz:NAME chooses one, or those that fit a pattern, as "
        "'FILE.npz:*_images'. Arrays of labels are passed over and counted: one dimension, one column, or as many rows "
        "as there are pictures beside them.\n\n"
        "NumPy arrays are uint8 or uint16 in C order: [N,H,W,C], or [N,C,H,W] where the last dimension is over 4; "
        "[H,W,C] with up to 4 channels, else [N,H,W]. [N,3072] and [N,12288] are N pictures in three planes of 32x32 "
        "or 64x64, as in downsampled ImageNet; any other [H,W] is one grey picture. TFRecords are those of "
        "CelebA-HQ: examples of `shape`, [C,H,W] or [H,W,C], and `data`, bytes.\n\n"
        "PNG, JPEG and WebP are decoded by --threads threads; one more thread writes. A store has a checksum for "
        "every tile of 64x64 pixels, and any number of trainers read it at once. wf-formats(5) lists the formats, "
        "wf-stream(5) describes streams and stores.",
    .examples = "wf-dwt faces/ | wf-train-level -l 5 -m model\n"
                "    train one level on all pictures of a folder\n"
                "wf-dwt --crop 178x178 --resize 64x64 -o faces.store celeba.tar\n"
                "    the middle of each picture of an archive, 64 pixels wide, into a store\n"
                "wf-dwt --length 16384 -o sounds.store sounds/*.wav\n"
                "    pieces of sounds into a store\n"
                "wf-dwt -l 6 < x.png | wf-info -\n"
                "    what the stream of one level looks like\n",
    .options = options,
};

/* One of those that decode and transform batches side by side: picture by picture into a store on the host, where
 * what is not yet encoded stays in cache, else batch by batch. */
typedef struct worker {
    wf_backend *backend;
    wf_pyramid *pyramid;
    wf_store_encoded *encoded; /* or */
    float *pixels;             /* [size,H,W,C] */
    uint64_t *index;           /* [size] */
} worker;

/* The job. The first picture fixes its metadata, backend and batch size. */
static struct {
    wf_meta meta;
    wf_backend *backend;
    worker *crew;
    int workers;
    wf_writer *writer;
    wf_store_writer *store;
    int lowest;    /* level */
    int64_t kept;  /* pictures already in the store */
    int64_t skip;  /* pictures in the store that this command put there before an interruption */
    int64_t count; /* pictures read */
    int64_t bad;   /* pictures skipped */
    bool direct;   /* picture by picture */
    int size;      /* of a full batch; not of the number of workers, so that neither a bit of the output is */
    int crop_h, crop_w, resize_h, resize_w, random_h, random_w;
} job;

static void parse_size(const char *text, const char *option, int *H, int *W)
{
    char rest;
    *H = *W = 0;
    if (text &&
        (sscanf(text, "%5dx%5d%c", H, W, &rest) != 2 || *H < 1 || *W < 1 || *H > WF_MAX_SIDE || *W > WF_MAX_SIDE))
        die(WF_USAGE, "--%s %s: want HxW, height and width in pixels, as in 64x64", option, text);
}

static const char *size_of(const wf_image *image)
{
    static char text[WF_SIZE_TEXT];
    return wf_size_text(image->signal, image->D, image->H, image->W, text);
}

/* Advice for the end of a message about a wrong size. */
static const char *advice(const wf_image *image)
{
    return image->signal == WF_PICTURE ? "; use --crop or --resize" : image->signal == WF_SOUND ? "; use --length" : "";
}

static int choose_levels(const wf_image *image, const char *name)
{
    int64_t sides[3], side = WF_MAX_SIDE;
    int most = WF_MAX_LEVELS, axes = wf_sides(image->signal, image->D, image->H, image->W, sides);
    for (int i = 0; i < axes; i++) {
        side = sides[i] < side ? sides[i] : side;
        while (sides[i] % (1 << most))
            most--;
    }
    int want = levels >= 0 ? levels : most;
    if (base) {
        for (want = 0; want < most && side >> want > base; want++)
            ;
        if (side >> want != base)
            die(WF_DATA, "%s: %s cannot be halved to a side of %d%s", name, size_of(image), base, advice(image));
    }
    if (want > most)
        die(WF_DATA, "%s: %s can be halved %d times, not %d%s", name, size_of(image), most, want, advice(image));
    if (level > want)
        die(WF_USAGE, "there is no level %d: %s has levels 0 to %d", level, size_of(image), want);
    return want;
}

/* Each worker transforms on its own processor; workers that share a device take turns. */
static void hire(worker *w)
{
    const wf_meta *m = &job.meta;
    size_t samples = (size_t)m->H * (size_t)m->W * (size_t)m->C;
    if (job.direct)
        must(wf_store_encoded_create(job.store, &w->encoded));
    else
        w->pixels = calloc((size_t)job.size, samples * sizeof *w->pixels);
    w->index = calloc((size_t)job.size, sizeof *w->index);
    if (!(w->pixels || job.direct) || !w->index)
        die(WF_AGAIN, "out of memory for %d pictures of %dx%d; use a smaller --batch or fewer --threads", job.size,
            m->H, m->W);
    w->backend = job.backend;
    if (job.backend->host)
        must(wf_backend_open(common.backend, 1, &w->backend));
    must(wf_pyramid_create(w->backend, m, job.direct ? 1 : job.size, &w->pyramid));
}

static void begin(const wf_image *image, const char *name)
{
    wf_meta *meta = &job.meta;
    *meta = (wf_meta){.levels = choose_levels(image, name),
                      .H = image->H,
                      .W = image->W,
                      .C = image->C,
                      .signal = image->signal,
                      .D = image->D,
                      .rate = image->rate};
    if (dims == 3 && image->signal != WF_VOLUME)
        die(WF_DATA, "%s: a %s, want a volume, which --dims 3 speaks of", name, wf_signal_names[image->signal]);
    if (length && image->signal != WF_SOUND)
        die(WF_DATA, "%s: a %s, want a sound, which --length cuts", name, wf_signal_names[image->signal]);
    snprintf(meta->wavelet, sizeof meta->wavelet, "%s", wavelet);
    meta->bits = image->bits;
    meta->top = level >= 0 ? level : meta->levels;
    job.lowest = level >= 0 ? level : 0;
    cli_add_provenance(meta, NULL);

    must(wf_backend_open(common.backend, common.threads, &job.backend));
    job.size = batch ? (int)batch : wf_pyramid_rows(meta, meta->levels);
    job.workers = job.backend->threads;
    job.crew = calloc((size_t)job.workers, sizeof *job.crew);
    if (!job.crew)
        die(WF_AGAIN, "out of memory");
    if (store_path)
        must(wf_store_writer_create(store_path, meta, append, &job.store, &job.kept));
    else
        must(wf_writer_create(stdout, "standard output", meta, &job.writer));
    job.direct = job.store && job.backend->host;
    for (int i = 0; i < job.workers; i++)
        hire(&job.crew[i]);
}

static int check_same(const wf_image *image, const char *name)
{
    const wf_meta *m = &job.meta;
    char want[WF_SIZE_TEXT], have[WF_SIZE_TEXT];
    WF_CHECK(image->signal == m->signal, WF_DATA, "%s: a %s, want a %s as those before; give one kind alone", name,
             wf_signal_names[image->signal], wf_signal_names[m->signal]);
    WF_CHECK(image->H == m->H && image->W == m->W && image->D == m->D, WF_DATA, "%s: %s, want %s as the %ss before%s",
             name, wf_size_text(image->signal, image->D, image->H, image->W, have),
             wf_size_text(m->signal, m->D, m->H, m->W, want), wf_signal_names[m->signal], advice(image));
    WF_CHECK(image->rate == m->rate, WF_DATA, "%s: %d samples a second, want %d as the sounds before", name,
             image->rate, m->rate);
    WF_CHECK(image->C == m->C, WF_DATA, "%s: %d channels, want %d as the pictures before; use --channels", name,
             image->C, m->C);
    WF_CHECK(image->bits == m->bits, WF_DATA, "%s: %d bits, want %d as the pictures before; use --bits", name,
             image->bits, m->bits);
    return WF_OK;
}

static int edit(wf_image *image, const char *name)
{
    WF_CHECK(image->signal == WF_PICTURE || !(crop || resize || random_crop || channels), WF_USAGE,
             "%s: a %s: --crop, --resize, --random-crop and --channels are for pictures", name,
             wf_signal_names[image->signal]);
    if (crop)
        WF_TRY(wf_image_crop(image, name, job.crop_h, job.crop_w));
    if (resize)
        WF_TRY(wf_image_resize(image, name, job.resize_h, job.resize_w));
    if (random_crop)
        WF_TRY(wf_image_crop_anywhere(image, name, job.random_h, job.random_w, common.seed));
    if (channels)
        WF_TRY(wf_image_channels(image, name, channels));
    return bits ? wf_image_depth(image, name, bits) : WF_OK;
}

/* Destination of a picture's strips, and the picture's index. */
typedef struct target {
    wf_store_encoded *encoded;
    uint64_t index;
} target;

static int encode(void *user, int L, int rows, const float *low, const float *detail)
{
    const target *t = user;
    return L > job.meta.top ? WF_OK : wf_store_encode(t->encoded, L, t->index, rows, low, detail);
}

static int stage(void *user, int number, int64_t first, int i, wf_image *image, const char *name)
{
    const worker *w = &job.crew[number];
    (void)user;
    WF_TRY(edit(image, name));
    WF_TRY(check_same(image, name));
    if (job.direct) {
        target t = {w->encoded, (uint64_t)(job.kept + first + i)};
        return wf_pyramid_strips(w->pyramid, image->pixels, job.lowest, WF_STORE_ROWS, encode, &t);
    }
    size_t n = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    float *to = w->pixels + (size_t)i * n;
    for (size_t k = 0; k < n; k++)
        to[k] = image->pixels[k];
    return WF_OK;
}

static int split(const worker *w, int N)
{
    return wf_pyramid_split(w->pyramid, N, w->pixels, job.lowest);
}

static int transform(void *user, int w, int N)
{
    (void)user;
    return job.backend->host && !job.direct ? split(&job.crew[w], N) : WF_OK;
}

static int deliver(void *user, int number, int64_t first, int N)
{
    worker *w = &job.crew[number];
    (void)user;
    if (job.direct)
        return wf_store_writer_put_encoded(job.store, &w->encoded);
    for (int i = 0; i < N; i++)
        w->index[i] = (uint64_t)(job.kept + first + i);
    if (!job.backend->host)
        WF_TRY(split(w, N));
    for (int L = job.lowest; L <= job.meta.top; L++) {
        wf_record record = {.level = L, .N = N, .index = w->index};
        WF_TRY(wf_pyramid_level(w->pyramid, L, &record.low, &record.detail));
        WF_TRY(job.store ? wf_store_writer_put(job.store, &record) : wf_writer_put(job.writer, &record));
    }
    return WF_OK;
}

/* Called after an unreadable picture. WF_OK continues with the next. */
static int skip(void *images, int status)
{
    char why[1024];
    bool skipped = false;
    if (status != WF_DATA || job.bad == skip_bad)
        return status;
    snprintf(why, sizeof why, "%s", wf_error());
    WF_TRY(wf_images_skip(images, &skipped));
    if (!skipped)
        return wf_fail(status, "%s", why);
    note("skipped: %s", why);
    job.bad++;
    return WF_OK;
}

/* Reads the next readable picture. Returns false at the end. */
static bool next_picture(wf_images *images, wf_image *image, const char **name)
{
    bool more = false;
    for (int status; (status = wf_images_next(images, image, name, &more));)
        must(skip(images, status));
    return more;
}

/* Passes over the pictures that are in the store. The last of them must be the one there, or it was made from
 * others. Its highest level tells: the lower ones follow from that. */
static void pass_over_kept(wf_images *images)
{
    worker *w = &job.crew[0];
    wf_image image = {0};
    const char *name;
    if (!skip_bad) /* with --skip-bad each is decoded, to find the bad ones */
        must(wf_images_pass(images, job.skip - 1, &job.count));
    while (job.count < job.skip && next_picture(images, &image, &name))
        job.count++;
    if (job.count < job.skip)
        die(WF_DATA, "%s: was interrupted after %lld pictures, but the input has only %lld: it must be the same again",
            store_path, (long long)job.skip, (long long)job.count);
    must(stage(NULL, 0, -1, 0, &image, name));
    if (!job.direct) {
        const float *low, *detail;
        int L = job.meta.top;
        must(wf_pyramid_split(w->pyramid, 1, w->pixels, L));
        must(wf_pyramid_level(w->pyramid, L, &low, &detail));
        must(wf_store_encoded_create(job.store, &w->encoded));
        must(wf_store_encode(w->encoded, L, (uint64_t)job.kept - 1, wf_meta_level(&job.meta, L).H, low, detail));
    }
    must(wf_store_writer_compare(job.store, w->encoded));
    wf_image_clear(&image);
}

/* Fixes the job by the first picture, which is then read again. */
static bool look_at_first(wf_images *images)
{
    wf_image image = {0}, copy = {0};
    const char *name;
    bool more = next_picture(images, &image, &name);
    if (*wf_images_remark(images))
        note("%s", wf_images_remark(images));
    if (more) {
        must(wf_image_reserve(&copy, name, image.H, image.W, image.C, image.bits));
        copy.signal = image.signal;
        copy.D = image.D;
        copy.rate = image.rate;
        memcpy(copy.pixels, image.pixels, (size_t)image.H * (size_t)image.W * (size_t)image.C * sizeof *copy.pixels);
        must(edit(&copy, name));
        begin(&copy, name);
        must(wf_images_unread(images, &image, name));
        wf_images_set_options(images, (wf_images_options){.pictures = job.meta.signal == WF_PICTURE,
                                                          .length = length,
                                                          .stored = no_rotate,
                                                          .volumes = dims == 3});
    }
    wf_image_clear(&copy);
    wf_image_clear(&image);
    return more;
}

static void read_all(wf_images *images)
{
    wf_images_limit(images, pictures);
    wf_image_work work = {stage, transform, deliver, skip_bad ? skip : NULL, images};
    int64_t count;
    parse_size(crop, "crop", &job.crop_h, &job.crop_w);
    parse_size(resize, "resize", &job.resize_h, &job.resize_w);
    parse_size(random_crop, "random-crop", &job.random_h, &job.random_w);
    if (!look_at_first(images))
        return;
    job.skip = job.store ? wf_store_writer_unsealed(job.store) : 0;
    if (job.skip)
        pass_over_kept(images);
    must(wf_images_run(images, job.size, job.workers, &work, &count));
    job.count += count;
}

static void finish(wf_images *images)
{
    wf_images_passed passed = wf_images_passed_over(images);
    if (!job.crew)
        die(WF_DATA, "no picture in the input (%lld other files%s%s)", (long long)(passed.skipped + passed.labels),
            *passed.first ? "; the first is " : "", passed.first);
    must(job.store ? wf_store_writer_seal(job.store) : wf_writer_finish(job.writer));
    if (passed.skipped)
        note("passed over %lld files that are no pictures", (long long)passed.skipped);
    if (passed.labels)
        note("passed over %lld arrays of labels", (long long)passed.labels);
    if (passed.turned)
        note("turned %lld pictures upright, as their EXIF says", (long long)passed.turned);
    if (passed.trailing)
        note("passed over what %lld files have behind their picture", (long long)passed.trailing);
    if (passed.partial)
        note("passed over the last samples of %lld sounds, %lld in all, which are less than a piece",
             (long long)passed.partial, (long long)passed.remainder);
    if (job.bad)
        note("skipped %lld bad pictures", (long long)job.bad);
    if (job.kept)
        note("%lld pictures were in the store already", (long long)job.kept);
    const wf_meta *m = &job.meta;
    char size[WF_SIZE_TEXT];
    note("%lld %ss of %s, %d channels, %d bits; %d levels", (long long)(job.kept - job.skip + job.count),
         wf_signal_names[m->signal], wf_size_text(m->signal, m->D, m->H, m->W, size), m->C, m->bits, m->levels);
}

static void clean(wf_images *images)
{
    wf_images_close(images);
    wf_writer_destroy(job.writer);
    wf_store_writer_close(job.store);
    for (int i = 0; i < job.workers; i++) {
        worker *w = &job.crew[i];
        wf_pyramid_destroy(w->pyramid);
        if (w->backend != job.backend)
            w->backend->close(w->backend);
        wf_store_encoded_destroy(w->encoded);
        free(w->pixels);
        free(w->index);
    }
    free(job.crew);
    job.backend->close(job.backend);
    wf_meta_clear(&job.meta);
}

int main(int argc, char **argv)
{
    common.backend = "cpu"; /* see CLI_BACKEND_CPU */
    int first = cli_parse(&program, argc, argv);
    if (cli_is_dash(store_path))
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
        die(WF_USAGE, "--wavelet %s: unknown; there are" WF_WAVELET_NAMES, wavelet);
    if (!store_path && isatty(STDOUT_FILENO))
        die(WF_USAGE, "will not write coefficients to a terminal: use -o STORE, a pipe or a file");
    wf_images *images;
    must(wf_images_open(argv + first, argc - first, stdin, &images));
    wf_images_set_options(images, (wf_images_options){.length = length, .stored = no_rotate, .volumes = dims == 3});
    if (files_from)
        must(wf_images_add_list(images, files_from, null));
    read_all(images);
    finish(images);
    clean(images);
    finish_stdout();
    return WF_OK;
}
