/* wf-idwt.c - wavelet coefficients to pictures */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/image/grid.h"
#include "../lib/image/save.h"
#include "../lib/pyramid/block_rounding.h"
#include "../lib/pyramid/pyramid.h"
#include "cli_io.h"
#include "field_array.h"
#include "interrupt.h"
#include "picture_files.h"
#include "progress.h"
#include "start.h"

static struct options {
    int level, exact; /* -1: not given */
    bool ladder, names, force;
    const char *folder, *grid_path;
    wf_grid_spec grid;
} options = {.level = -1, .exact = -1, .grid = {.zoom = 1}};

static const cli_option table[] = {
    {'l', "level", "L", CLI_INT, &options.level, 0, WF_MAX_LEVELS,
     "Write the pictures of level L; the default is the highest level of the stream."},
    {'o', "output", "DIR", CLI_STRING, &options.folder, 0, 0,
     "Write one file a picture into this folder, which is made if needed: PNG, for sounds WAV, for volumes .npy. Names "
     "are the picture's number in 8 digits. Older files that stay are told. A name like FILE.png, unless it is a "
     "folder, is the file of a single picture. - is standard output, the default."},
    {0, "names", NULL, CLI_FLAG, &options.names, 0, 0,
     "With -o, give files the names of their pictures, with folders, below DIR. A second picture of one name gets a "
     "number; one without a name has its own. A file that is there is not replaced: exit code 64."},
    {0, "force", NULL, CLI_FLAG, &options.force, 0, 0, "With --names, replace files that are there."},
    {'g', "grid", "FILE.png", CLI_STRING, &options.grid_path, 0, 0,
     "Write one PNG file with all pictures side by side; - is standard output."},
    {0, "columns", "N", CLI_INT, &options.grid.columns, 1, WF_MAX_SIDE,
     "Columns of the grid; the default is the square root of the number of pictures, rounded up."},
    {0, "zoom", "N", CLI_INT, &options.grid.zoom, 1, 64, "Draw each pixel of the grid N times as wide and high."},
    {0, "titles", "TEXT,TEXT..", CLI_STRING, &options.grid.titles, 0, 0,
     "Titles above the columns of the grid, in capitals."},
    {0, "rows", "TEXT,TEXT..", CLI_STRING, &options.grid.rows, 0, 0, "Labels beside the rows of the grid."},
    {0, "ladder", NULL, CLI_FLAG, &options.ladder, 0, 0,
     "Show each picture as levels 0, 1, ... have it, one after the other, at full size."},
    {0, "exact", "L", CLI_INT, &options.exact, 0, WF_MAX_LEVELS,
     "Round so that the pictures, averaged down to level L, equal that level to the last bit. Exit with 65 if a value "
     "of level L is not a whole number. For super-resolution from level L; Haar only."},
    CLI_THREADS,
    CLI_BACKEND_CPU,
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-idwt",
    .summary = "wavelet coefficients back to pictures",
    .synopsis = "[-o DIR | -o FILE.png | --grid FILE.png] [-l L] [--exact L] [FILE|STORE]",
    .description =
        "Reads wavelet coefficients, as wf-dwt and wf-sample write them, from a stream, a store or standard input. "
        "Writes the pictures of one level: a PAM stream on standard output, PNG files (-o), or one grid (--grid). The "
        "records of that level are enough; other levels in the stream are read and checked but not used.\n\n"
        "Values are rounded to the nearest whole number and limited to the range of the bit depth. PNG has 8 or 16 "
        "bits: other depths are scaled to the next of these. PAM keeps every depth.\n\n"
        "A file appears under its name only when it is complete. A stream that was cut off ends with exit code 65, "
        "whatever was written before.\n\n"
        "Sounds and volumes also become files of 8 or 16 bits, WAV and NumPy's .npy. Sounds need -o; volumes on "
        "standard output follow one another. --grid, --ladder and --exact are for pictures.\n\n"
        "Fields (wf-dwt --float) need -o FILE.npy: one NumPy array of <f4, [N,H,W] or [N,H,W,C], neither rounded nor "
        "limited.",
    .examples = "wf-dwt x.png | wf-idwt -o out\n"
                "    the same pixels in out/00000000.png\n"
                "wf-dwt x.png | wf-idwt -o y.png\n"
                "    the same pixels in y.png\n"
                "wf-idwt --names -o out photos.store\n"
                "    the pictures of a store under their names\n"
                "wf-sample -m faces -n 16 | wf-idwt --grid grid.png\n"
                "    sixteen samples as one picture\n"
                "wf-sample -m faces -n 4 | wf-idwt --ladder --grid ladder.png --columns 7\n"
                "    how four samples of seven levels came to be\n"
                "wf-sample -m faces --from photo.png --scale 4 | wf-idwt --exact 0 -o large.png\n"
                "    sixteen pixels for one, whose average is that one\n"
                "wf-dwt --length 4096 x.wav | wf-idwt -o pieces\n"
                "    the same samples in pieces/00000000.wav ..\n"
                "wf-dwt faces/ | wf-idwt -l 3 | pamtopng > small.png\n"
                "    the first picture at level 3\n",
    .options = table,
    .fields = true,
};

static struct {
    const char *name; /* of the input */
    wf_meta meta;     /* its highest level is the level that is written */
    wf_backend *backend;
    wf_pyramid *pyramid;
    int rows; /* pictures that the pyramid takes at once */
    wf_image image;
    float *pixels;        /* [rows,H,W,C] */
    float *approximation; /* [H,W,C], for the ladder */
    int64_t count;
    wf_grid grid;
    bool one_file; /* options.folder is the file of a single picture */
} job;

static void check_usage(void)
{
    const wf_grid_spec *grid = &options.grid;
    if (options.folder && options.grid_path)
        die(WF_USAGE, "-o and --grid exclude one another");
    if (!options.grid_path && (grid->columns || grid->zoom > 1 || grid->titles || grid->rows))
        die(WF_USAGE, "--columns, --zoom, --titles and --rows need --grid");
    if (options.names && (!options.folder || cli_is_dash(options.folder)))
        die(WF_USAGE, "--names needs -o DIR");
    if (options.force && !options.names)
        die(WF_USAGE, "--force needs --names");
    if (options.ladder && (options.folder || options.exact >= 0))
        die(WF_USAGE, "--ladder is for a grid or a stream, and excludes -o and --exact");
    if (cli_is_dash(options.folder))
        options.folder = NULL;
    if (!options.folder && (!options.grid_path || cli_is_dash(options.grid_path)) && isatty(STDOUT_FILENO))
        die(WF_USAGE, "will not write pictures to a terminal: use -o DIR, --grid FILE.png, a pipe or a file");
}

/* Fields become one array. */
static void check_field(void)
{
    if (options.grid_path || options.ladder || options.exact >= 0 || options.names)
        die(WF_USAGE, "%s: fields: --grid, --ladder, --exact and --names are for pictures", job.name);
    if (!options.folder || !picture_files_one(options.folder, "npy"))
        die(WF_USAGE, "%s: fields, which need -o FILE.npy, one array for all", job.name);
}

/* Checks the options against the stream's metadata. */
static void check_stream(const wf_meta *meta)
{
    const char *signal = wf_signal_names[meta->signal];
    if (options.level < 0)
        options.level = meta->top;
    if (options.level > meta->top)
        die(WF_DATA, "%s: carries levels up to %d, not level %d", job.name, meta->top, options.level);
    if (wf_meta_is_field(meta)) {
        check_field();
        return;
    }
    if (meta->signal != WF_PICTURE && (options.grid_path || options.ladder || options.exact >= 0))
        die(WF_USAGE, "%s: %ss: --grid, --ladder and --exact are for pictures", job.name, signal);
    if (!options.grid_path && !options.folder && !wf_image_appends(meta->signal))
        die(WF_USAGE, "%s: %ss, which need -o DIR", job.name, signal);
    if (options.exact > options.level)
        die(WF_USAGE, "--exact %d: the pictures are of level %d", options.exact, options.level);
    if (options.exact >= 0 && strcmp(meta->wavelet, "haar"))
        die(WF_USAGE, "--exact: averages of %s are not those of blocks of pixels", meta->wavelet);
    job.one_file = options.folder && picture_files_one(options.folder, wf_image_suffix(meta->signal));
    if (options.folder && !job.one_file && picture_files_other(options.folder))
        die(WF_USAGE, "-o %s: %ss are written as .%s, expected such a name, or that of a folder", options.folder,
            signal, wf_image_suffix(meta->signal));
    if (job.one_file && options.names)
        die(WF_USAGE, "-o %s: one file, and --names needs -o DIR", options.folder);
}

static size_t samples(void)
{
    return (size_t)job.meta.H * (size_t)job.meta.W * (size_t)job.meta.C;
}

static void open_job(const wf_records *input)
{
    wf_meta *m = &job.meta;
    const char *name = job.name = wf_records_name(input);
    check_stream(wf_records_meta(input));
    must(wf_meta_copy(m, wf_records_meta(input)));
    wf_meta_shrink(m, options.level);
    must(wf_image_reserve(&job.image, name, m->H, m->W, m->C, m->bits));
    job.image.signal = m->signal;
    job.image.D = m->D;
    job.image.rate = m->rate;
    job.rows = wf_pyramid_rows(m, m->levels);
    job.pixels = must_allocate((size_t)job.rows * samples(), sizeof *job.pixels, "pictures");
    job.approximation = must_allocate(samples(), sizeof *job.approximation, "a picture");
    job.backend = start_backend();
    must(wf_pyramid_create(job.backend, m, job.rows, &job.pyramid));
    if (wf_meta_is_field(m))
        field_array_begin(options.folder, m);
    else if (options.folder && !job.one_file)
        must(wf_mkdirs(options.folder));
}

static void save_image(uint64_t index, const char *name)
{
    if (job.one_file) { /* written at the end, when no other picture has come */
        if (job.count)
            die(WF_USAGE, "-o %s: one file, and more than one %s comes: expected -o DIR%s", options.folder,
                wf_signal_names[job.image.signal], job.image.signal == WF_PICTURE ? " or --grid FILE.png" : "");
        return;
    }
    const char *path;
    must(picture_files_path(options.folder, index, name, wf_image_suffix(job.image.signal),
                            !options.names || options.force, &path));
    if (!path)
        die(WF_DATA, "%s: more than one picture has the number %" PRIu64 ", expected one file for each", job.name,
            index);
    must(wf_image_save(path, &job.image));
}

static void put_field(const float *values, uint64_t index, const char *name)
{
    (void)index;
    (void)name;
    field_array_put(values);
    progress_at(++job.count, -1, NULL);
}

static void put_picture(const float *values, uint64_t index, const char *name)
{
    wf_image *image = &job.image;
    int most = (1 << image->bits) - 1, block = options.exact < 0 ? 1 : 1 << (options.level - options.exact);
    if (options.exact < 0)
        wf_round(values, image->H, image->W, image->C, most, image->pixels);
    else
        must(wf_round_blocks(job.name, values, image->H, image->W, image->C, block, most, image->pixels));
    if (options.grid_path)
        must(wf_grid_add(&job.grid, image));
    else if (options.folder)
        save_image(index, name);
    else
        must(wf_image_append(stdout, "standard output", image));
    progress_at(++job.count, -1, NULL);
}

static void put_ladder(const float *picture, uint64_t index, const char *name)
{
    for (int l = 0; l <= options.level; l++) {
        must(wf_pyramid_approximate(job.pyramid, l, 1, picture, job.approximation));
        put_picture(job.approximation, index, name);
    }
}

static void put_record(const wf_record *record)
{
    wf_level_shape shape = wf_meta_level(&job.meta, options.level);
    size_t pixels = (size_t)shape.H * (size_t)shape.W, low = pixels * (size_t)shape.C,
           details = pixels * (size_t)shape.K;
    void (*put)(const float *, uint64_t, const char *) = field_array_is_open() ? put_field
                                                         : options.ladder      ? put_ladder
                                                                               : put_picture;
    for (int64_t at = 0; at < record->N; at += job.rows) {
        int n = record->N - at < job.rows ? (int)(record->N - at) : job.rows;
        const float *detail = record->detail ? record->detail + (size_t)at * details : NULL;
        must(wf_pyramid_join(job.pyramid, options.level, n, record->low + (size_t)at * low, detail, job.pixels));
        for (int i = 0; i < n; i++)
            put(job.pixels + (size_t)i * samples(), record->index[at + i],
                options.names && record->names ? record->names[at + i] : NULL);
    }
    if (!options.grid_path && !options.folder) {
        progress_yield_output();
        must(wf_flush(stdout, "standard output")); /* so that a reader down the pipe sees whole batches */
    }
}

static void write_grid(void)
{
    wf_image whole = {0};
    must(wf_grid_draw(&job.grid, &options.grid, options.grid_path, &whole));
    must(cli_is_dash(options.grid_path) ? wf_image_write_png(stdout, "standard output", &whole)
                                        : wf_image_save(options.grid_path, &whole));
    wf_image_clear(&whole);
}

static void begin_work(const wf_records *input)
{
    int64_t count = wf_records_count(input);
    progress_begin(wf_signal_names[job.meta.signal], count > 0 && options.ladder ? count * (options.level + 1) : count);
    if (options.folder)
        interrupt_ends("their files stay in %s", options.folder);
    else if (options.grid_path && !cli_is_dash(options.grid_path))
        interrupt_ends("%s is not written", options.grid_path);
    else
        interrupt_ends("the output is incomplete");
}

static void close_job(void)
{
    wf_pyramid_destroy(job.pyramid);
    job.backend->close(job.backend);
    wf_meta_clear(&job.meta);
    wf_image_clear(&job.image);
    free(job.pixels);
    free(job.approximation);
    wf_grid_clear(&job.grid);
    picture_files_clear();
}

int main(int argc, char **argv)
{
    wf_record record;
    char size[WF_SIZE_TEXT];
    common.backend = "cpu"; /* see CLI_BACKEND_CPU */
    int first = cli_parse(&program, argc, argv);
    check_usage();
    wf_records *input = cli_open_input(first);
    open_job(input);
    begin_work(input);
    while (cli_next(input, &record))
        if (record.level == options.level)
            put_record(&record);
    if (!job.count)
        die(WF_DATA, "%s: has no record of level %d", job.name, options.level);
    if (options.grid_path)
        write_grid();
    if (field_array_is_open())
        field_array_end();
    else if (job.one_file)
        must(wf_image_save(options.folder, &job.image));
    else if (options.folder)
        picture_files_note(options.folder, job.meta.shard.n ? NULL : wf_image_suffix(job.image.signal), options.names);
    const wf_meta *m = &job.meta;
    note("%lld %s%s of %s", (long long)job.count, wf_signal_names[m->signal], plural(job.count),
         wf_size_text(m->signal, m->D, m->H, m->W, size));
    close_job();
    wf_records_close(input);
    finish_stdout();
    return WF_OK;
}
