/* amx_weights.c - the gradient of a convolution by its weights, on AMX tiles
 *
 * The gradient is a product over pixels, dw[o,tap,i] = sum of dy[pixel,o] x[pixel + tap,i]. A tile product sums over 16
 * pairs: rows of one operand are 32 pixels of a channel of dy, rows of the other are a pair of pixels of 16 channels of
 * x. Both maps are packed for this once.
 *
 * Packed pixels go in lines (amx_lines.h). A group is even, so a pair lies in two pictures at one place, and a shift by
 * any tap moves whole rows of the tiles of x: 3x3 kernels read nine shifts of one copy.
 *
 * A job has 32 channels of dy, 32 of x and some taps: 2x2 tiles of sums for each tap, which stay in registers for
 * CHUNK tiles of pixels, and in the nearest caches until the last pixel. */
#include "amx_lines.h"
#include "amx_pairs.h"

#include <omp.h>
#include <string.h>

#include "tiles.h"

/* Tiles of pixels between two taps: 2x8 of dy and as many of x, 32 kB, are in the first cache for all taps. */
enum { CHUNK = 8, LANES = 16, PIXELS = 32, SUMS = 4 * WF_TILE / 4 };

typedef struct gradient {
    wf_amx_shape shape;
    const uint16_t *x, *dy;
    float *dw, *sums;
    wf_lines lines;
    int taps;
    int tiles, pitch; /* tiles of a line of dy, pairs of a line of x */
    int dy_blocks, x_blocks, parts;
    uint32_t *packed_dy; /* [to/16,lines,tiles,16,16] */
    uint32_t *packed_x;  /* [from/16,lines,pitch,16] */
    float *line_sums;    /* [lines,to]: of dy over a line */
    float *tile_sums;    /* [threads,taps,SUMS] */
} gradient;

static const uint16_t zeros[LANES];

/* Lays the arrays out behind each other. Returns their bytes. */
static size_t lay_out(gradient *g, const wf_amx_shape *s, int threads, char *memory)
{
    g->shape = *s;
    g->taps = s->box.d * s->box.h * s->box.w;
    g->lines = wf_lines_of(s, PIXELS, 2);
    g->tiles = wf_ceiling(s->box.W * g->lines.group, PIXELS);
    g->pitch = g->tiles * PIXELS / 2 + g->lines.pad * g->lines.group;
    g->dy_blocks = s->to / LANES;
    g->x_blocks = s->from / LANES;
    /* Jobs of all taps read x and dy least often; small convolutions need more jobs. */
    int pairs = wf_ceiling(g->dy_blocks, 2) * wf_ceiling(g->x_blocks, 2);
    g->parts = pairs >= 4 * threads ? 1 : s->box.d * s->box.h;
    const size_t bytes[] = {
        (size_t)g->dy_blocks * (size_t)g->lines.count * (size_t)g->tiles * WF_TILE,
        (size_t)g->x_blocks * (size_t)g->lines.count * (size_t)g->pitch * WF_TILE_STRIDE,
        (size_t)g->lines.count * (size_t)s->to * sizeof(float),
        (size_t)threads * (size_t)g->taps * SUMS * sizeof(float),
    };
    size_t at[5] = {0};
    for (int i = 0; i < 4; i++)
        at[i + 1] = at[i] + wf_cache_lines(bytes[i]);
    if (memory) {
        g->packed_dy = (uint32_t *)(memory + at[0]);
        g->packed_x = (uint32_t *)(memory + at[1]);
        g->line_sums = (float *)(memory + at[2]);
        g->tile_sums = (float *)(memory + at[3]);
    }
    return at[4];
}

/* -- packing ------------------------------------------------------------------------------------------------------- */

/* Returns 16 channels of picture n of a line, or zeros where there is neither picture nor column. */
static const uint16_t *sixteen(const wf_line *line, const uint16_t *map, int channels, int n, int column, int block)
{
    size_t pixel;
    return wf_line_pixel(line, n, column, &pixel) ? map + pixel * (size_t)channels + block * LANES : zeros;
}

typedef uint16_t halves __attribute__((vector_size(32)));
typedef float numbers __attribute__((vector_size(64)));

WF_VEC void pair_up(const uint16_t *even, const uint16_t *odd, wf_pairs *pairs)
{
    halves e, o;
    memcpy(&e, even, sizeof e);
    memcpy(&o, odd, sizeof o);
    *pairs = __builtin_convertvector(e, wf_pairs) | __builtin_convertvector(o, wf_pairs) << 16;
}

static void pack_x(const gradient *g, int line)
{
    const int channels = g->shape.from, W = g->shape.box.W, pad = g->lines.pad;
    const wf_line l = wf_line_of(&g->lines, line);
    for (int block = 0; block < g->x_blocks; block++) {
        uint32_t *to = g->packed_x + ((size_t)block * (size_t)g->lines.count + (size_t)line) * (size_t)g->pitch * LANES;
        uint32_t *end = to + (size_t)g->pitch * LANES;
        for (int column = -pad; column < W + pad; column++)
            for (int n = 0; n < g->lines.group; n += 2, to += LANES) {
                wf_pairs pairs;
                pair_up(sixteen(&l, g->x, channels, n, column, block),
                        sixteen(&l, g->x, channels, n + 1, column, block), &pairs);
                memcpy(to, &pairs, sizeof pairs);
            }
        memset(to, 0, (size_t)(end - to) * sizeof *to);
    }
}

/* Adds both numbers of each pair. */
WF_VEC void add_pairs(numbers *sums, const wf_pairs *pairs)
{
    *sums += (numbers)(*pairs << 16) + (numbers)(*pairs & 0xffff0000u);
}

/* Packs a line of dy and adds up its pixels. */
static void pack_dy(const gradient *g, int line)
{
    const int channels = g->shape.to;
    const wf_line l = wf_line_of(&g->lines, line);
    for (int block = 0; block < g->dy_blocks; block++) {
        numbers sums = {0};
        uint32_t *to = g->packed_dy + ((size_t)block * (size_t)g->lines.count + (size_t)line) * (size_t)g->tiles * 256;
        int column = 0, n = 0;
        for (int tile = 0; tile < g->tiles; tile++, to += 256) {
            wf_pairs rows[LANES];
            for (int k = 0; k < LANES; k++) {
                pair_up(sixteen(&l, g->dy, channels, n, column, block),
                        sixteen(&l, g->dy, channels, n + 1, column, block), &rows[k]);
                add_pairs(&sums, &rows[k]);
                n += 2;
                if (n == g->lines.group) {
                    n = 0;
                    column++;
                }
            }
            wf_pairs_transpose(rows);
            memcpy(to, rows, sizeof rows);
        }
        memcpy(g->line_sums + (size_t)line * (size_t)channels + block * LANES, &sums, sizeof sums);
    }
}

/* -- products ------------------------------------------------------------------------------------------------------ */

/* Adds a line of 32 channels of dy times a line of 32 channels of x to tiles 0 .. 3. */
static void multiply(const uint32_t *const dy[2], const uint32_t *const x[2], int tiles)
{
    const char *a0 = (const char *)dy[0], *a1 = (const char *)dy[1], *b0 = (const char *)x[0], *b1 = (const char *)x[1];
    for (ptrdiff_t t = 0; t < (ptrdiff_t)tiles * WF_TILE; t += WF_TILE) {
        WF_TILE_LOAD(4, a0 + t, WF_TILE_STRIDE);
        WF_TILE_LOAD(6, b0 + t, WF_TILE_STRIDE);
        WF_TILE_DOT(0, 4, 6);
        WF_TILE_LOAD(7, b1 + t, WF_TILE_STRIDE);
        WF_TILE_DOT(1, 4, 7);
        WF_TILE_LOAD(5, a1 + t, WF_TILE_STRIDE);
        WF_TILE_DOT(2, 5, 6);
        WF_TILE_DOT(3, 5, 7);
    }
}

static void begin_sums(const float *sums, bool first)
{
    if (first) {
        WF_TILE_ZERO(0);
        WF_TILE_ZERO(1);
        WF_TILE_ZERO(2);
        WF_TILE_ZERO(3);
        return;
    }
    WF_TILE_LOAD(0, sums, WF_TILE_STRIDE);
    WF_TILE_LOAD(1, sums + 256, WF_TILE_STRIDE);
    WF_TILE_LOAD(2, sums + 512, WF_TILE_STRIDE);
    WF_TILE_LOAD(3, sums + 768, WF_TILE_STRIDE);
}

static void end_sums(float *sums)
{
    WF_TILE_STORE(0, sums, WF_TILE_STRIDE);
    WF_TILE_STORE(1, sums + 256, WF_TILE_STRIDE);
    WF_TILE_STORE(2, sums + 512, WF_TILE_STRIDE);
    WF_TILE_STORE(3, sums + 768, WF_TILE_STRIDE);
}

/* Adds the lines of a chunk of one tap. */
static void add_lines(const gradient *g, int first, int end, int tap, const int dy_block[2], const int x_block[2])
{
    const wf_shift shift = wf_shift_of(&g->lines, tap);
    wf_row row = wf_row_of(&g->lines, first);
    size_t line_dy = (size_t)g->tiles * 256, line_x = (size_t)g->pitch * LANES, lines = (size_t)g->lines.count;
    size_t places = (size_t)shift.column * (size_t)(g->lines.group / 2) * LANES;
    for (int line = first; line < end; line++, wf_row_next(&g->lines, &row)) {
        const uint32_t *dy[2], *x[2];
        if (!wf_row_has(&g->lines, &row, &shift))
            continue;
        for (int i = 0; i < 2; i++) {
            dy[i] = g->packed_dy + ((size_t)dy_block[i] * lines + (size_t)line) * line_dy;
            x[i] = g->packed_x + ((size_t)x_block[i] * lines + (size_t)(line + shift.lines)) * line_x + places;
        }
        multiply(dy, x, g->tiles);
    }
}

/* Writes one tile of sums of a tap. */
static void write_tile(const gradient *g, int tap, int dy_block, int x_block, const float *tile)
{
    for (int r = 0; r < LANES; r++) {
        size_t o = (size_t)dy_block * LANES + (size_t)r;
        memcpy(g->dw + (o * (size_t)g->taps + (size_t)tap) * (size_t)g->shape.from + x_block * LANES, tile + r * LANES,
               LANES * sizeof *tile);
    }
}

/* The last pair of an odd number of blocks has one block twice. */
static void run_job(const gradient *g, int job, float *sums)
{
    int taps = g->taps / g->parts, first = job % g->parts * taps, pairs = wf_ceiling(g->x_blocks, 2);
    int o = job / g->parts / pairs * 2, i = job / g->parts % pairs * 2;
    const int dy_block[2] = {o, o + 1 < g->dy_blocks ? o + 1 : o}, x_block[2] = {i, i + 1 < g->x_blocks ? i + 1 : i};
    int chunk = CHUNK / g->tiles > 0 ? CHUNK / g->tiles : 1;
    for (int line = 0; line < g->lines.count; line += chunk)
        for (int t = 0; t < taps; t++) {
            begin_sums(sums + (size_t)t * SUMS, line == 0);
            add_lines(g, line, line + chunk < g->lines.count ? line + chunk : g->lines.count, first + t, dy_block,
                      x_block);
            end_sums(sums + (size_t)t * SUMS);
        }
    for (int t = 0; t < taps; t++)
        for (int k = 0; k < 4; k++)
            if ((k / 2 == 0 || dy_block[1] > o) && (k % 2 == 0 || x_block[1] > i))
                write_tile(g, first + t, dy_block[k / 2], x_block[k % 2], sums + (size_t)t * SUMS + k * 256);
}

static void add_up(const gradient *g, int block)
{
    float sums[LANES] = {0};
    for (int line = 0; line < g->lines.count; line++)
        for (int c = 0; c < LANES; c++)
            sums[c] += g->line_sums[(size_t)line * (size_t)g->shape.to + (size_t)(block * LANES + c)];
    memcpy(g->sums + block * LANES, sums, sizeof sums);
}

size_t wf_amx_weights_bytes(const wf_amx_shape *s, int threads)
{
    gradient g;
    return lay_out(&g, s, threads, NULL);
}

void wf_amx_weights(const wf_amx_shape *s, const uint16_t *x, const uint16_t *dy, float *dw, float *sums, void *scratch,
                    int threads)
{
    gradient g = {.x = x, .dy = dy, .dw = dw, .sums = sums};
    (void)lay_out(&g, s, threads, scratch);
    int jobs = wf_ceiling(g.dy_blocks, 2) * wf_ceiling(g.x_blocks, 2) * g.parts;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int line = 0; line < g.lines.count; line++) {
            pack_x(&g, line);
            pack_dy(&g, line);
        }
        wf_tiles_begin();
#pragma omp for schedule(dynamic) nowait
        for (int job = 0; job < jobs; job++)
            run_job(&g, job, g.tile_sums + (size_t)omp_get_thread_num() * (size_t)g.taps * SUMS);
        wf_tiles_end();
#pragma omp for schedule(static)
        for (int block = 0; block < g.dy_blocks; block++)
            add_up(&g, block);
    }
}
