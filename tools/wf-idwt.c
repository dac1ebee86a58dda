/* wf-idwt.c - wavelet coefficients to pictures */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/image/grid.h"
#include "../lib/pyramid/pyramid.h"
#include "../lib/pyramid/block_rounding.h"
#include "../lib/store/stream.h"
#include "cli.h"

static int level = -1, exact = -1;
static bool ladder;
static const char *folder, *grid_path;
static wf_grid_spec layout = {.zoom = 1};

static const cli_option options[] = {
    {'l', "level", "L", CLI_INT, &level, 0, WF_MAX_LEVELS,
     "Make the pictures of level L; the default is the highest level of the stream."},
    {'o', "output", "DIR", CLI_STRING, &folder, 0, 0,
     "Write PNG files into this folder, of sounds WAV, of volumes .npy, made if need be, named by the picture's number in 8 "
     "digits; - is the PAM stream."},
    {'g', "grid", "FILE.png", CLI_STRING, &grid_path, 0, 0,
     "Write one PNG file with all pictures side by side; - is standard output."},
    {0, "columns", "N", CLI_INT, &layout.columns, 1, WF_MAX_SIDE,
     "Columns of the grid; the default is the square root of the number of pictures, rounded up."},
    {0, "zoom", "N", CLI_INT, &layout.zoom, 1, 64, "Pixels of the grid are N times as wide and high."},
    {0, "titles", "TEXT,TEXT..", CLI_STRING, &layout.titles, 0, 0,
     "Written above the columns of the grid, in capitals."},
    {0, "rows", "TEXT,TEXT..", CLI_STRING, &layout.rows, 0, 0, "Written beside the rows of the grid."},
    {0, "ladder", NULL, CLI_FLAG, &ladder, 0, 0,
     "Show each picture as levels 0, 1 .. have it, one after the other and at its full size."},
    {0, "exact", "L", CLI_INT, &exact, 0, WF_MAX_LEVELS,
     "Round so that, averaged down to level L, pictures are what they are there, to the last bit; exit with 65 where that is no "
     "whole number. For super-resolution from level L; Haar only."},
    CLI_THREADS,
    CLI_BACKEND_CPU,
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-idwt",
    .summary = "wavelet coefficients back to pictures",
    .synopsis = "[-o DIR | --grid FILE.png] [-l L] [--exact L] [FILE]",
    .description =
        "Reads a coefficient stream, as wf-dwt and wf-sample write it, from FILE or standard input, and writes the "
        "pictures of one level: a PAM stream on standard output, PNG files, or one grid. A record of that level is "
        "enough; other levels in the stream are read and checked but not used.\n\n"
        "Values are rounded to the nearest whole number and limited to what the bit depth holds. PNG has 8 or 16 bits: "
        "other depths are scaled to the next of them; PAM keeps every depth.\n\n"
        "Files appear under their name only when complete. A stream that was cut off ends with exit code 65, whatever "
        "was written before.\n\n"
        "Sounds and volumes are files of 8 or 16 bits as well, WAV and NumPy's .npy. Sounds need -o; volumes on standard output "
        "follow one another. --grid, --ladder and --exact are for pictures.",
    .examples = "wf-dwt x.png | wf-idwt -o out\n"
                "    the same pixels in out/00000000.png\n"
                "wf-sample -m faces -n 16 | wf-idwt --grid grid.png\n"
                "    sixteen samples as one picture\n"
                "wf-sample -m faces -n 4 | wf-idwt --ladder --grid ladder.png --columns 7\n"
                "    how four samples of seven levels came to be\n"
                "wf-sample -m faces --from photo.png --scale 4 | wf-idwt --exact 0 -o .\n"
                "    sixteen pixels for one, whose average is that one\n"
                "wf-dwt --length 4096 x.wav | wf-idwt -o pieces\n"
                "    the same samples in pieces/00000000.wav ..\n"
                "wf-dwt faces/ | wf-idwt -l 3 | pamtopng > small.png\n"
                "    the first picture at level 3\n",
    .options = options,
};

static struct {
    wf_meta meta;
    wf_backend *backend;
    wf_pyramid *pyramid;
    int capacity; /* pictures that the pyramid takes at once */
    wf_image image;
    float *pixels; /* [capacity,H,W,C] of the level */
    int64_t count;
    uint64_t *index; /* [count] of PNG files */
    size_t indices;  /* that fit there */
    wf_grid grid;
    float *rung, *coarse,
        *nothing; /* for the ladder: [H,W,C] of the level, a picture below, and details that are all 0 */
} job;

/* By signal: how files are made of it, and those after one another on standard output. */
static const struct kind {
    const char *suffix;
    int (*write)(FILE *file, const char *name, const wf_image *image),
        (*stream)(FILE *file, const char *name, const wf_image *image);
} kinds[] = {[WF_PICTURE] = {"png", wf_image_write_png, wf_image_write_pam},
             [WF_SOUND] = {"wav", wf_image_write_wav, NULL},
             [WF_VOLUME] = {"npy", wf_image_write_npy, wf_image_write_npy}};

static bool is_dash(const char *path)
{
    return path && !strcmp(path, "-");
}

static size_t samples(void)
{
    return (size_t)job.image.H * (size_t)job.image.W * (size_t)job.image.C;
}

static void begin(const char *name, const wf_reader *reader)
{
    must(wf_meta_copy(&job.meta, wf_reader_meta(reader)));
    if (level < 0)
        level = job.meta.top;
    if (level > job.meta.top)
        die(WF_DATA, "%s: carries levels up to %d, not level %d", name, job.meta.top, level);
    int H, W;
    wf_pyramid_size(&job.meta, level, &H, &W);
    must(wf_image_reserve(&job.image, name, H, W, job.meta.C, job.meta.bits));
    job.image.signal = job.meta.signal;
    job.image.D = job.meta.D >> (job.meta.levels - level);
    job.image.rate = job.meta.rate >> (job.meta.levels - level);
    if (job.meta.signal != WF_PICTURE && (grid_path || ladder || exact >= 0))
        die(WF_USAGE, "%s: %ss: --grid, --ladder and --exact are for pictures", name, wf_signal_names[job.meta.signal]);
    if (!grid_path && !folder && !kinds[job.meta.signal].stream)
        die(WF_USAGE, "%s: %ss, which need -o DIR", name, wf_signal_names[job.meta.signal]);
    job.capacity = wf_pyramid_rows(&job.meta, level);
    if (exact > level)
        die(WF_USAGE, "--exact %d: the pictures are of level %d", exact, level);
    if (exact >= 0 && strcmp(job.meta.wavelet, "haar"))
        die(WF_USAGE, "--exact: averages of %s are not those of blocks of pixels", job.meta.wavelet);
    job.pixels = malloc((size_t)job.capacity * samples() * sizeof *job.pixels);
    job.rung = malloc(samples() * sizeof *job.rung);
    job.coarse = malloc(samples() * sizeof *job.coarse);
    job.nothing = calloc(samples(), sizeof *job.nothing);
    if (!job.pixels || !job.rung || !job.coarse || !job.nothing)
        die(WF_AGAIN, "out of memory for a picture of %dx%d", H, W);
    must(wf_backend_open(common.backend, common.threads, &job.backend));
    must(wf_pyramid_create(job.backend, &job.meta, job.capacity, &job.pyramid));
    if (folder)
        must(wf_mkdirs(folder));
}

static void write_file(const char *path, const wf_image *image)
{
    wf_outfile *file;
    must(wf_outfile_create(path, &file));
    int status = kinds[image->signal].write(wf_outfile_stream(file), path, image);
    if (status)
        wf_outfile_abort(file);
    must(status);
    must(wf_outfile_commit(file));
}

static void keep_index(uint64_t index)
{
    if ((size_t)job.count == job.indices) {
        job.indices = 2 * job.indices + 64;
        job.index = realloc(job.index, job.indices * sizeof *job.index);
        if (!job.index)
            die(WF_AGAIN, "out of memory for the numbers of %lld pictures", (long long)job.count + 1);
    }
    job.index[job.count] = index;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Of two pictures with one number, the second has taken the first one's file. */
static void check_indices(const char *name)
{
    qsort(job.index, (size_t)job.count, sizeof *job.index, ascending);
    for (int64_t i = 1; i < job.count; i++)
        if (job.index[i] == job.index[i - 1])
            die(WF_DATA, "%s: more than one picture has the number %llu, want one file for each", name,
                (unsigned long long)job.index[i]);
}

static void put(const char *name, const float *values, uint64_t index)
{
    wf_image *image = &job.image;
    int most = (1 << image->bits) - 1;
    if (exact < 0)
        wf_round(values, image->H, image->W, image->C, most, image->pixels);
    else
        must(wf_round_blocks(name, values, image->H, image->W, image->C, 1 << (level - exact), most, image->pixels));
    if (grid_path) {
        must(wf_grid_add(&job.grid, image));
    } else if (folder) {
        char path[4096];
        int n =
            snprintf(path, sizeof path, "%s/%08llu.%s", folder, (unsigned long long)index, kinds[image->signal].suffix);
        if (n < 0 || (size_t)n >= sizeof path)
            die(WF_USAGE, "-o %s: too long a path", folder);
        write_file(path, image);
        keep_index(index);
    } else {
        must(kinds[image->signal].stream(stdout, "standard output", image));
    }
    job.count++;
}

static size_t size_at(int l)
{
    int H, W;
    wf_pyramid_size(&job.meta, l, &H, &W);
    return (size_t)H * (size_t)W * (size_t)job.meta.C;
}

/* The picture as level l has it: averaged down, and up again without details. */
static const float *seen_at(int l, const float *picture)
{
    const float *low, *detail;
    if (l == level)
        return picture;
    must(wf_pyramid_split(job.pyramid, 1, picture, l + 1));
    must(wf_pyramid_level(job.pyramid, l + 1, &low, &detail));
    memcpy(job.coarse, low, size_at(l) * sizeof *low);
    for (; l < level; l++) {
        must(wf_pyramid_join(job.pyramid, l + 1, 1, job.coarse, job.nothing, job.rung));
        memcpy(job.coarse, job.rung, size_at(l + 1) * sizeof *low);
    }
    return job.rung;
}

static void show(const char *name, const float *picture, uint64_t index)
{
    for (int l = ladder ? 0 : level; l <= level; l++)
        put(name, seen_at(l, picture), index);
}

static void join(const char *name, const wf_record *record)
{
    wf_level_shape shape = wf_meta_level(&job.meta, level);
    size_t low = (size_t)shape.H * (size_t)shape.W * (size_t)shape.C;
    size_t details = (size_t)shape.H * (size_t)shape.W * (size_t)shape.K;
    for (int64_t at = 0; at < record->N; at += job.capacity) {
        int64_t left = record->N - at;
        int n = left < job.capacity ? (int)left : job.capacity;
        const float *detail = record->detail ? record->detail + (size_t)at * details : NULL;
        must(wf_pyramid_join(job.pyramid, level, n, record->low + (size_t)at * low, detail, job.pixels));
        for (int i = 0; i < n; i++)
            show(name, job.pixels + (size_t)i * samples(), record->index[at + i]);
    }
    if (!grid_path && !folder)
        must(wf_flush(stdout, "standard output")); /* so that a reader down the pipe sees whole batches */
}

static void write_grid(void)
{
    wf_image whole = {0};
    must(wf_grid_draw(&job.grid, &layout, grid_path, &whole));
    if (is_dash(grid_path))
        must(wf_image_write_png(stdout, "standard output", &whole));
    else
        write_file(grid_path, &whole);
    wf_image_clear(&whole);
}

static void clean(wf_reader *reader)
{
    wf_pyramid_destroy(job.pyramid);
    job.backend->close(job.backend);
    wf_reader_destroy(reader);
    wf_meta_clear(&job.meta);
    wf_image_clear(&job.image);
    free(job.pixels);
    free(job.rung);
    free(job.coarse);
    free(job.nothing);
    wf_grid_clear(&job.grid);
    free(job.index);
}

int main(int argc, char **argv)
{
    common.backend = "cpu"; /* bringing pictures to a card takes longer than transforming them here */
    int first = cli_parse(&program, argc, argv);
    if (argc - first > 1)
        die(WF_USAGE, "%s: one stream at a time", argv[first + 1]);
    if (folder && grid_path)
        die(WF_USAGE, "-o and --grid exclude one another");
    if (!grid_path && (layout.columns || layout.zoom > 1 || layout.titles || layout.rows))
        die(WF_USAGE, "--columns, --zoom, --titles and --rows need --grid");
    if (ladder && (folder || exact >= 0))
        die(WF_USAGE, "--ladder is for a grid or a stream, and rounds as it comes");
    if (is_dash(folder))
        folder = NULL;
    if (!folder && (!grid_path || is_dash(grid_path)) && isatty(STDOUT_FILENO))
        die(WF_USAGE, "will not write pictures to a terminal: use -o DIR, --grid FILE.png, a pipe or a file");
    bool from_stdin = argc == first || is_dash(argv[first]);
    const char *name = from_stdin ? "standard input" : argv[first];
    FILE *file = from_stdin ? stdin : fopen(name, "rb");
    if (!file)
        must(wf_fail_errno("%s: cannot open", name));

    wf_reader *reader;
    wf_record record;
    bool more = true;
    must(wf_reader_create(file, name, &reader));
    begin(name, reader);
    while (must(wf_reader_next(reader, &record, &more)), more)
        if (record.level == level)
            join(name, &record);
    if (!job.count)
        die(WF_DATA, "%s: has no record of level %d", name, level);
    if (grid_path)
        write_grid();
    if (folder)
        check_indices(name);
    char size[WF_SIZE_TEXT];
    note("%lld %ss of %s", (long long)job.count, wf_signal_names[job.image.signal],
         wf_size_text(job.image.signal, job.image.D, job.image.H, job.image.W, size));
    clean(reader);
    if (!from_stdin)
        fclose(file);
    finish_stdout();
    return WF_OK;
}
