/* wf-dwt.c - pictures to wavelet coefficients */
#include <unistd.h>

#include "../lib/image/decompose.h"
#include "../lib/model/model.h"
#include "../lib/pyramid/wavelet.h"
#include "cli_found.h"
#include "interrupt.h"
#include "progress.h"
#include "start.h"
#include "survey.h"

static struct options {
    wf_decompose_options work;
    const char *store_path, *wavelet, *crop, *fit, *resize, *random_crop, *files_from, *like;
    int64_t batch, pictures;
    int dims;
    bool append, null, dry_run;
} options = {.work = {.level = -1, .levels = -1}, .pictures = -1, .dims = 2};

static const cli_option table[] = {
    {'l', "level", "L", CLI_INT, &options.work.level, 0, WF_MAX_LEVELS,
     "Write level L only; 0 is the base. The default is all levels."},
    {0, "levels", "N", CLI_INT, &options.work.levels, 0, WF_MAX_LEVELS,
     "Halve N times; the default is as often as two divides both height and width."},
    {0, "base", "S", CLI_INT, &options.work.base, 1, WF_MAX_SIDE,
     "Halve until the shorter side is S pixels; excludes --levels."},
    {'o', "output", "STORE", CLI_STRING, &options.store_path, 0, 0,
     "Write an LMDB store, a new folder; -, the default, is a stream on standard output. After an interruption run the "
     "same command again to continue."},
    {'a', "append", NULL, CLI_FLAG, &options.append, 0, 0,
     "Add the pictures to a complete store. Exit code 75 if another process uses the store. After an interruption "
     "readers see the old contents; run the same command again to continue."},
    {'w', "wavelet", "WAVELET", CLI_STRING, &options.wavelet, 0, 0,
     "Orthogonal wavelet, extended periodically, one of" WF_WAVELET_NAMES
     ". The default is haar. Programs down the pipe take it from the stream."},
    {0, "crop", "HxW", CLI_STRING, &options.crop, 0, 0, "Keep the H by W pixels in the middle of every picture."},
    {0, "fit", "HxW", CLI_STRING, &options.fit, 0, 0,
     "Fill H by W pixels, after any crop: keep the largest part of that shape in the middle, and average it over "
     "areas, exactly and without gamma. A smaller picture is not enlarged but refused."},
    {0, "resize", "HxW", CLI_STRING, &options.resize, 0, 0,
     "Resize, after any crop; excludes --fit. An axis that shrinks by a whole factor is averaged over boxes, any other "
     "is filtered by a triangle wide enough not to alias. The aspect ratio changes unless HxW has it."},
    {0, "random-crop", "HxW", CLI_STRING, &options.random_crop, 0, 0,
     "Keep H by W pixels of every picture, after any other edit. --seed and the picture's pixels determine the place."},
    {'c', "channels", "C", CLI_INT, &options.work.edits.channels, 1, WF_MAX_CHANNELS,
     "Convert to 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha) channels. Grey is replicated, alpha "
     "dropped or added opaque; colour becomes grey only where it is grey already. The default is what the first "
     "picture has: alpha that is opaque everywhere is dropped, and grey becomes RGB after a first picture of RGB. Both "
     "are counted."},
    {0, "bits", "B", CLI_INT, &options.work.edits.bits, 1, 16,
     "Convert to B bits a sample: the highest B of its bits, or, if it has fewer, scaled and rounded. The default is "
     "what the first picture has. Sounds of 24 or 32 bits or of floating point are read with this option only."},
    {0, "like", "MODEL", CLI_STRING, &options.like, 0, 0,
     "Make pictures of the model's size (--fit, unless another option sets it), channels, bits, wavelet and levels."},
    {0, "files-from", "FILE", CLI_STRING, &options.files_from, 0, 0,
     "Also read the files and folders named in FILE, one a line, after those on the command line; - is standard "
     "input."},
    {0, "null", NULL, CLI_FLAG, &options.null, 0, 0,
     "Names in the --files-from file end in zero bytes, as find -print0 writes them."},
    {0, "no-rotate", NULL, CLI_FLAG, &options.work.stored, 0, 0,
     "Leave pictures as they are stored: do not turn them upright by the orientation in their EXIF."},
    {0, "length", "N", CLI_COUNT, &options.work.length, 1, WF_MAX_SIDE,
     "Cut every sound into pieces of N samples, one after the other. A shorter rest or sound is left out and counted."},
    {0, "float", NULL, CLI_FLAG, &options.work.floats, 0, 0,
     "Read fields: NumPy arrays .npy of floating point, of 16, 32 or 64 bits, [H,W], [N,H,W] or [N,H,W,C] with up to "
     "64 channels. Values are kept as floats of 32 bits, and must be finite."},
    {0, "dims", "D", CLI_INT, &options.dims, 2, 3,
     "Dimensions of NumPy arrays: 2, or 3 for volumes [D,H,W], [N,D,H,W] or [N,D,H,W,C]. The default is 2."},
    {'n', "count", "N", CLI_COUNT, &options.pictures, 1, 1e15, "Read N pictures at most."},
    {0, "skip-bad", "N", CLI_COUNT, &options.work.skip_bad, 0, 1e15,
     "Skip up to N inputs with one line each: damaged files, with what follows in them, missing ones in folders and "
     "lists, and pictures that the options cannot change or that differ from the first. In a stream the next picture "
     "cannot be found after a damaged one. The default is 0: the first one ends the program with 65."},
    {0, "dry-run", NULL, CLI_FLAG, &options.dry_run, 0, 0,
     "Write nothing. Read everything, on one thread, and print the pictures by size, channels and bits, all that would "
     "be left out or refused, and a command that takes them."},
    {0, "batch", "N", CLI_COUNT, &options.batch, 1, 65536,
     "Pictures in one record; the default is about a million samples."},
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
        "also -. Formats are recognised by content: PNG, JPEG, WebP, PNM, PAM, IDX (as MNIST), CIFAR-10 and "
        "CIFAR-100 binaries, TFRecord, and NumPy's .npy and .npz. A file or stream may hold several pictures, one "
        "after the other, and may be compressed (gzip, xz, Zstandard, bzip2).\n\n"
        "All pictures must have one size, which the halvings must divide. Nothing is cropped or resized unless asked "
        "for. Files in folders and archives that are not pictures by name and content, and arrays of labels, are "
        "left out and counted; so are hidden files and folders, and sounds once a picture has come. Links are "
        "followed in folders, not in archives.\n\n"
        "Samples are taken as they are stored: colour profiles and gamma (also PNG's gAMA) are not applied. Pictures "
        "are turned upright by the orientation in the EXIF of JPEG, PNG and WebP, and counted; see --no-rotate. "
        "Palettes become RGB, or RGB and alpha when an entry is transparent; a transparent colour becomes alpha. "
        "Alpha is not multiplied in, and stays a channel unless it is opaque or --channels drops it. CMYK becomes "
        "RGB. Fewer than 8 bits become 8. A PNM or PAM MAXVAL over 255 that is not a power of two less one becomes "
        "16 bits. Of an animated PNG or WebP the first picture is taken, and counted.\n\n"
        "Sounds are WAV, FLAC or AIFF of 8 or 16 bits (of more with --bits) and 1 to 4 channels, halved along their "
        "one axis; wf-idwt writes WAV. With --dims 3 NumPy arrays are volumes or films, halved along three axes. All "
        "input must be of one kind.\n\n"
        "A .npz has one array of pictures; of several, FILE.npz:NAME chooses one, or those that fit a pattern, as "
        "'FILE.npz:*_images'. Arrays of labels are passed over and counted: one dimension, one column, or as many rows "
        "as there are pictures beside them.\n\n"
        "NumPy arrays are uint8 or uint16 in C order: [N,H,W,C], or [N,C,H,W] where the last dimension is over 4; "
        "[H,W,C] with up to 4 channels, else [N,H,W]. [N,3072] and [N,12288] are N pictures in three planes of 32x32 "
        "or 64x64, as in downsampled ImageNet; any other [H,W] is one grey picture. TFRecords hold "
        "examples of one JPEG, PNG or WebP, or of `shape`, [C,H,W] or [H,W,C], and `data`, bytes.\n\n"
        "With --float, arrays of floating point are fields, as of physics: they have no depth, no noise of "
        "dequantization and at most 64 channels. Models of fields give nats per dimension (wf-bpd). "
        "wf-idwt writes them as .npy. The wavelets continue fields periodically.\n\n"
        "PNG, JPEG and WebP are decoded by --threads threads; one more thread writes. A store has a checksum for "
        "every tile of 64x64 pixels, and any number of trainers read it at once. wf-formats(5) lists the formats, "
        "wf-stream(5) describes streams and stores.",
    .examples = "wf-dwt faces/ | wf-train-level -l 5 -m model\n"
                "    train one level on all pictures of a folder\n"
                "wf-dwt --fit 64x64 -o photos.store photos/\n"
                "    photographs of any size into a store: the middle of each, 64 pixels wide and high\n"
                "wf-dwt --crop 178x178 --resize 64x64 -o faces.store celeba.tar\n"
                "    the middle of each picture of an archive, 64 pixels wide, into a store\n"
                "wf-dwt --length 16384 -o sounds.store sounds/*.wav\n"
                "    pieces of sounds into a store\n"
                "wf-dwt -l 6 < x.png | wf-info -\n"
                "    what the stream of one level looks like\n",
    .options = table,
    .fields = true,
};

static void parse_size(const char *text, const char *option, int size[2])
{
    char rest;
    if (text && (sscanf(text, "%5dx%5d%c", &size[0], &size[1], &rest) != 2 || size[0] < 1 || size[1] < 1 ||
                 size[0] > WF_MAX_SIDE || size[1] > WF_MAX_SIDE))
        die(WF_USAGE, "--%s %s: want HxW, height and width in pixels, as in 64x64", option, text);
}

static void say_skipped(void *user, const char *why)
{
    (void)user;
    note("skipped: %s", why);
}

static void check_options(char **operands, int count)
{
    wf_decompose_options *work = &options.work;
    if (work->floats && options.dims != 2)
        die(WF_USAGE, "--float and --dims exclude each other: fields have two dimensions");
    if (work->floats && options.dry_run)
        die(WF_USAGE, "--dry-run is for pictures, not for --float");
    if (cli_is_dash(options.store_path))
        options.store_path = NULL;
    if (work->levels >= 0 && work->base)
        die(WF_USAGE, "--levels and --base say the same thing: give one of them");
    if (options.fit && options.resize)
        die(WF_USAGE, "--fit and --resize both set the size: give one of them");
    if (options.append && !options.store_path)
        die(WF_USAGE, "--append needs -o STORE");
    if (options.null && !options.files_from)
        die(WF_USAGE, "--null needs --files-from FILE");
    if (options.like && (work->levels >= 0 || work->base || work->length || work->edits.channels || work->edits.bits ||
                         options.wavelet || options.dims != 2))
        die(WF_USAGE, "--like sets levels, wavelet, channels, bits, length and dims: leave out the options for those");
    for (int i = 0; i < count && cli_is_dash(options.files_from); i++)
        if (cli_is_dash(operands[i]))
            die(WF_USAGE, "standard input cannot hold both pictures and the names of files");
    work->wavelet = options.wavelet ? options.wavelet : "haar";
    if (!wf_wavelet_find(work->wavelet))
        die(WF_USAGE, "--wavelet %s: unknown; there are" WF_WAVELET_NAMES, work->wavelet);
    if (!options.store_path && !options.dry_run && isatty(STDOUT_FILENO))
        die(WF_USAGE, "will not write coefficients to a terminal: use -o STORE, a pipe or a file");
    parse_size(options.crop, "crop", work->edits.crop);
    parse_size(options.fit, "fit", work->edits.fit);
    parse_size(options.resize, "resize", work->edits.resize);
    parse_size(options.random_crop, "random-crop", work->edits.random_crop);
    work->edits.seed = common.seed;
    work->batch = (int)options.batch;
    work->volumes = options.dims == 3;
    work->skipped = say_skipped;
}

/* Opens the model of --like and sets the options by it. */
static void take_model(wf_model *like)
{
    wf_decompose_options *work = &options.work;
    found_open_model(options.like, like);
    const wf_meta *m = &like->meta;
    work->levels = m->levels;
    work->wavelet = m->wavelet;
    work->edits.bits = m->bits;
    work->floats = wf_meta_is_field(m);
    work->volumes = m->signal == WF_VOLUME;
    work->length = m->signal == WF_SOUND ? m->W : 0;
    if (m->signal != WF_PICTURE || work->floats)
        return;
    work->edits.channels = m->C;
    if (options.fit || options.resize || options.random_crop)
        return;
    work->edits.fit[0] = m->H;
    work->edits.fit[1] = m->W;
}

static wf_images *open_images(char **operands, int count)
{
    wf_images *images;
    must(wf_images_open(operands, count, stdin, &images));
    if (options.files_from)
        must(wf_images_add_list(images, options.files_from, options.null));
    wf_images_limit(images, options.pictures);
    return images;
}

static void say_done(const wf_images *images, const wf_meta *m, const wf_decomposed *done)
{
    wf_images_passed passed = wf_images_passed_over(images);
    char size[WF_SIZE_TEXT];
    survey_note_passed(&passed);
    if (done->edited.greys)
        note("made RGB of %lld grey picture%s", (long long)done->edited.greys, plural(done->edited.greys));
    if (done->edited.opaque)
        note("dropped the alpha of %lld picture%s, which was opaque", (long long)done->edited.opaque,
             plural(done->edited.opaque));
    if (done->bad)
        note("skipped %lld bad picture%s", (long long)done->bad, plural(done->bad));
    if (done->kept)
        note("the store held %lld picture%s already", (long long)done->kept, plural(done->kept));
    char depth[32] = "floats";
    if (m->bits)
        snprintf(depth, sizeof depth, "%d bit%s", m->bits, plural(m->bits));
    note("%lld %s%s of %s, %d channel%s, %s; %d level%s", (long long)done->total,
         m->bits ? wf_signal_names[m->signal] : "field", plural(done->total),
         wf_size_text(m->signal, m->D, m->H, m->W, size), m->C, plural(m->C), depth, m->levels, plural(m->levels));
}

/* A wf_watch. */
static void watch_pictures(void *user, int level, int64_t count)
{
    static int64_t done;
    double all = wf_images_expected(user), most = (double)options.pictures;
    (void)level;
    done += count;
    all = most >= 0 && (all < 0 || most < all) ? most : all;
    progress_at(done, all > 0 ? (double)done / all : -1, NULL);
}

static void begin_work(const wf_meta *meta)
{
    progress_begin(wf_signal_names[meta->signal], -1);
    if (!options.store_path)
        interrupt_ends("the stream is incomplete");
    else
        interrupt_ends("%s is incomplete: the same command goes on with it", options.store_path);
}

/* True if standard input is read, which cannot be read twice. */
static bool reads_stdin(char **operands, int count)
{
    bool dash = options.files_from ? cli_is_dash(options.files_from) : !count;
    for (int i = 0; i < count; i++)
        dash = dash || cli_is_dash(operands[i]);
    return dash;
}

/* Returns false if the input must be read once more: the store was begun anew after pictures had been passed over. */
static bool decompose(wf_images *images, bool stdin_read, wf_backend *backend, const wf_model *like)
{
    wf_decomposer *d;
    wf_store_writer *store = NULL;
    wf_writer *stream = NULL;
    int64_t kept = 0;
    bool more;
    options.work.watch = (wf_watch){watch_pictures, images};
    must(wf_decomposer_create(images, backend, &options.work, &d));
    must(wf_decomposer_look(d, &more));
    if (*wf_images_remark(images))
        note("%s", wf_images_remark(images));
    wf_images_passed passed = wf_images_passed_over(images);
    if (!more)
        survey_die_of_nothing(&passed, options.work.length, NULL);
    wf_meta *meta = wf_decomposer_meta(d);
    if (like)
        must(wf_meta_expect(meta, "the first picture", &like->meta, options.like));
    cli_add_provenance(meta, NULL);
    if (options.store_path)
        must(wf_store_writer_create(options.store_path, meta, options.append, &store, &kept));
    else
        must(wf_writer_create(stdout, "standard output", meta, &stream));
    begin_work(meta);
    int status = wf_decomposer_run(d, store, kept, stream);
    wf_decomposed done = wf_decomposer_done(d);
    if (!done.anew) {
        if ((status == WF_DATA || status == WF_NOINPUT) && !options.work.skip_bad && !stdin_read)
            die(status, "%s (--dry-run lists all that is refused)", wf_error());
        must(status);
        progress_end();
        must(store ? wf_store_writer_seal(store) : wf_writer_finish(stream));
        say_done(images, meta, &done);
    }
    wf_writer_destroy(stream);
    wf_store_writer_close(store);
    wf_decomposer_destroy(d);
    return !done.anew;
}

int main(int argc, char **argv)
{
    wf_model like;
    common.backend = "cpu"; /* see CLI_BACKEND_CPU */
    int first = cli_parse(&program, argc, argv);
    check_options(argv + first, argc - first);
    if (options.like)
        take_model(&like);
    char **operands = argv + first;
    int count = argc - first;
    if (reads_stdin(operands, count) && isatty(STDIN_FILENO))
        die(WF_USAGE, "waiting for %s: nothing is piped in: name files or folders",
            options.files_from ? "names of pictures" : "pictures");
    wf_images *images = open_images(operands, count);
    if (options.dry_run) {
        options.work.watch = (wf_watch){watch_pictures, images};
        progress_begin("picture", -1);
        interrupt_ends("nothing is printed");
        survey_print(images, &options.work);
    } else {
        wf_backend *backend = start_backend();
        bool stdin_read = reads_stdin(operands, count);
        while (!decompose(images, stdin_read, backend, options.like ? &like : NULL)) {
            if (stdin_read)
                die(WF_DATA, "%s: begun anew, since it held other pictures: give the input once more",
                    options.store_path);
            wf_images_close(images);
            images = open_images(operands, count);
        }
        backend->close(backend);
    }
    wf_images_close(images);
    if (options.like)
        wf_model_clear(&like);
    finish_stdout();
    return WF_OK;
}
