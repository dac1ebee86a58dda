/* wf-idwt.c - wavelet coefficients to pictures */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/file.h"
#include "../lib/image.h"
#include "../lib/pyramid.h"
#include "../lib/stream.h"
#include "cli.h"

static int level = -1, columns;
static const char *folder, *grid_path;

static const cli_option options[] = {
    {'l', "level", "L", CLI_INT, &level, 0, WF_MAX_LEVELS,
     "Make the pictures of level L; the default is the highest level of the stream."},
    {'o', "output", "DIR", CLI_STRING, &folder, 0, 0,
     "Write PNG files into this folder, made if need be, named by the picture's number in 8 digits; - is the PAM "
     "stream."},
    {'g', "grid", "FILE.png", CLI_STRING, &grid_path, 0, 0,
     "Write one PNG file with all pictures side by side; - is standard output."},
    {0, "columns", "N", CLI_INT, &columns, 1, WF_MAX_SIDE,
     "Columns of the grid; the default is the square root of the number of pictures, rounded up."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "wf-idwt",
    .summary = "wavelet coefficients back to pictures",
    .synopsis = "[-o DIR | --grid FILE.png] [-l L] [FILE]",
    .description =
        "Reads a coefficient stream, as wf-dwt and wf-sample write it, from FILE or standard input, and writes the "
        "pictures of one level: a PAM stream on standard output, PNG files, or one grid. A record of that level is "
        "enough; other levels in the stream are read and checked but not used.\n\n"
        "Values are rounded to the nearest whole number and limited to what the bit depth holds. PNG has 8 or 16 bits: "
        "other depths are scaled to the next of them; PAM keeps every depth.\n\n"
        "Files appear under their name only when complete. A stream that was cut off ends with exit code 65, whatever "
        "was written before.",
    .examples = "wf-dwt x.png | wf-idwt -o out\n"
                "    the same pixels in out/00000000.png\n"
                "wf-sample -m faces -n 16 | wf-idwt --grid grid.png\n"
                "    sixteen samples as one picture\n"
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
    uint16_t *cells; /* for the grid: [count,H,W,C] */
    size_t room;     /* samples that fit there */
} job;

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
    job.capacity = wf_pyramid_batch(&job.meta, level);
    job.pixels = malloc((size_t)job.capacity * samples() * sizeof *job.pixels);
    if (!job.pixels)
        die(WF_AGAIN, "out of memory for a picture of %dx%d", H, W);
    must(wf_backend_open(common.backend, common.threads, &job.backend));
    must(wf_pyramid_create(job.backend, &job.meta, job.capacity, &job.pyramid));
    if (folder)
        must(wf_mkdirs(folder));
}

static void write_png(const char *path, const wf_image *image)
{
    wf_outfile *file;
    must(wf_outfile_create(path, &file));
    int status = wf_image_write_png(wf_outfile_stream(file), path, image);
    if (status)
        wf_outfile_abort(file);
    must(status);
    must(wf_outfile_commit(file));
}

static void keep_for_grid(const wf_image *image)
{
    size_t n = samples(), used = (size_t)job.count * n;
    if (used + n > (size_t)WF_MAX_PIXELS * (size_t)image->C)
        die(WF_USAGE, "--grid: picture %lld no longer fits into one of %d pixels", (long long)job.count, WF_MAX_PIXELS);
    if (used + n > job.room) {
        job.room = 2 * (used + n);
        job.cells = realloc(job.cells, job.room * sizeof *job.cells);
        if (!job.cells)
            die(WF_AGAIN, "out of memory for a grid of %lld pictures", (long long)job.count + 1);
    }
    memcpy(job.cells + used, image->pixels, n * sizeof *job.cells);
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

static void put(const float *values, uint64_t index)
{
    wf_image *image = &job.image;
    float most = (float)((1 << image->bits) - 1);
    for (size_t i = 0; i < samples(); i++) {
        float v = floorf(values[i] + 0.5f);
        image->pixels[i] = (uint16_t)(v < 0 ? 0 : v > most ? most : v);
    }
    if (grid_path) {
        keep_for_grid(image);
    } else if (folder) {
        char path[4096];
        int n = snprintf(path, sizeof path, "%s/%08llu.png", folder, (unsigned long long)index);
        if (n < 0 || (size_t)n >= sizeof path)
            die(WF_USAGE, "-o %s: too long a path", folder);
        write_png(path, image);
        keep_index(index);
    } else {
        must(wf_image_write_pam(stdout, "standard output", image));
    }
    job.count++;
}

static void join(const wf_record *record)
{
    wf_level_shape shape = wf_meta_level(&job.meta, level);
    size_t low = (size_t)shape.H * (size_t)shape.W * (size_t)shape.C;
    for (int64_t at = 0; at < record->N; at += job.capacity) {
        int64_t left = record->N - at;
        int n = left < job.capacity ? (int)left : job.capacity;
        const float *detail = record->detail ? record->detail + (size_t)at * 3 * low : NULL;
        must(wf_pyramid_join(job.pyramid, level, n, record->low + (size_t)at * low, detail, job.pixels));
        for (int i = 0; i < n; i++)
            put(job.pixels + (size_t)i * samples(), record->index[at + i]);
    }
    if (!grid_path && !folder)
        must(wf_flush(stdout, "standard output")); /* so that a reader down the pipe sees whole batches */
}

/* Cells in rows, one white pixel between them; cells left over at the end are white too. */
static void write_grid(void)
{
    int64_t wide = columns ? columns : (int64_t)ceil(sqrt((double)job.count));
    if (wide > job.count)
        wide = job.count;
    int64_t rows = (job.count + wide - 1) / wide;
    const wf_image *cell = &job.image;
    wf_image grid = {0};
    must(wf_image_reserve(&grid, grid_path, rows * (cell->H + 1) - 1, wide * (cell->W + 1) - 1, cell->C, cell->bits));
    size_t across = (size_t)grid.W * (size_t)grid.C, row = (size_t)cell->W * (size_t)cell->C;
    for (size_t i = 0; i < across * (size_t)grid.H; i++)
        grid.pixels[i] = (uint16_t)((1 << cell->bits) - 1);
    for (int64_t k = 0; k < job.count; k++)
        for (int y = 0; y < cell->H; y++)
            memcpy(grid.pixels + (size_t)(k / wide * (cell->H + 1) + y) * across +
                       (size_t)(k % wide * (cell->W + 1) * cell->C),
                   job.cells + ((size_t)k * (size_t)cell->H + (size_t)y) * row, row * sizeof *job.cells);
    if (is_dash(grid_path))
        must(wf_image_write_png(stdout, "standard output", &grid));
    else
        write_png(grid_path, &grid);
    wf_image_clear(&grid);
}

static void clean(wf_reader *reader)
{
    wf_pyramid_destroy(job.pyramid);
    job.backend->close(job.backend);
    wf_reader_destroy(reader);
    wf_meta_clear(&job.meta);
    wf_image_clear(&job.image);
    free(job.pixels);
    free(job.cells);
    free(job.index);
}

int main(int argc, char **argv)
{
    int first = cli_parse(&program, argc, argv);
    if (argc - first > 1)
        die(WF_USAGE, "%s: one stream at a time", argv[first + 1]);
    if (folder && grid_path)
        die(WF_USAGE, "-o and --grid exclude one another");
    if (columns && !grid_path)
        die(WF_USAGE, "--columns needs --grid");
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
            join(&record);
    if (!job.count)
        die(WF_DATA, "%s: has no record of level %d", name, level);
    if (grid_path)
        write_grid();
    if (folder)
        check_indices(name);
    note("%lld pictures of %dx%d", (long long)job.count, job.image.H, job.image.W);
    clean(reader);
    if (!from_stdin)
        fclose(file);
    finish_stdout();
    return WF_OK;
}
