/* winograd_weights.c - the gradient of 3x3 convolutions by their weights, by F(4x4,3x3) (winograd.h)
 *
 * A chunk of tiles becomes V, 36 matrices of transformed x, and D, 36 matrices of transformed dy. The products D'V are
 * summed over all chunks into S, 36 matrices [to,from], which become the gradient. Every sum runs over the tiles in
 * order, within chunks that the shape alone decides, so its bits do not depend on threads. */
#include "winograd.h"

#include <math.h>
#include <string.h>

enum { TILES = 128 }; /* most tiles of a chunk: V and D of some hundred channels stay in shared caches */

/* One call. Channels `from` are padded to panels, `to` to vectors. */
typedef struct gradient {
    const void *x, *dy; /* maps */
    wf_tiles source, result;
    int from, to, real_to;
    int tiles, chunk;    /* all tiles, most of a chunk */
    float *V;            /* [36,from/PANEL,chunk,PANEL] */
    float *D;            /* [36,chunk,row_D] */
    float *S;            /* [36,from/PANEL,to,PANEL] */
    float *pixels;       /* [chunk,to]: the sum of dy over each tile */
    float *plain;        /* [to,9,from] */
    float *scale, *sums; /* [to]: exp(3 logs), and the sum of dy over all pixels */
    size_t matrix_V, row_D, matrix_D, matrix_S;
} gradient;

WF_VEC void load_result(const gradient *c, bool bf16, const wf_place *p, wf_wide d[16])
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            wf_load_pixel(&c->result, bf16, p, c->dy, p->row + i, p->column + j, &d[4 * i + j]);
}

/* Writes Y of one vector of channels of one tile of dy, and the sum of its pixels. */
static void make_D(const gradient *c, int tile, int at, int vector)
{
    wf_wide d[16], columns[24], sum = {0};
    wf_place p = wf_place_of(&c->result, tile, vector);
    if (c->result.bf16)
        load_result(c, true, &p, d);
    else
        load_result(c, false, &p, d);
    for (int i = 0; i < 16; i++)
        sum += d[i];
    wf_wide_store(c->pixels + (size_t)at * (size_t)c->to + vector * LANES, &sum);
    for (int j = 0; j < 4; j++)
        wf_transform_gradient(d + j, 4, columns + j, 4);
    float *to = c->D + (size_t)at * c->row_D + vector * LANES;
    for (int i = 0; i < 6; i++) {
        wf_wide t[6];
        wf_transform_gradient(columns + 4 * i, 1, t, 1);
        for (int j = 0; j < 6; j++)
            wf_wide_store(to + (size_t)(6 * i + j) * c->matrix_D, &t[j]);
    }
}

/* Transforms one vector of channels of a tile: those of x come first, then those of dy. */
static void transform(const gradient *c, int tile, int at, int vector)
{
    float *V = c->V + ((size_t)(vector / 2) * (size_t)c->chunk + (size_t)at) * PANEL + vector % 2 * LANES;
    if (vector < c->source.vectors)
        wf_make_pixels(&c->source, c->x, NULL, tile, vector, V, c->matrix_V);
    else
        make_D(c, tile, at, vector - c->source.vectors);
}

/* Adds the products of `tiles` tiles to one panel of one matrix of S. */
static void multiply(const gradient *c, int tiles, int point, int panel, bool add)
{
    const wf_product p = {.v = c->D + (size_t)point * c->matrix_D,
                          .u = c->V + (size_t)point * c->matrix_V + (size_t)panel * (size_t)c->chunk * PANEL,
                          .k = (size_t)tiles,
                          .row = 1,
                          .step = c->row_D};
    wf_multiply(&p, c->real_to, c->source.vectors - 2 * panel >= 2, add,
                c->S + (size_t)point * c->matrix_S + (size_t)panel * (size_t)c->to * PANEL);
}

/* Adds the tiles' sums of one vector of channels. */
static void add_pixels(const gradient *c, int tiles, int vector)
{
    wf_wide sum, one;
    float *to = c->sums + vector * LANES;
    wf_wide_load(&sum, to);
    for (int t = 0; t < tiles; t++) {
        wf_wide_load(&one, c->pixels + (size_t)t * (size_t)c->to + vector * LANES);
        sum += one;
    }
    wf_wide_store(to, &sum);
}

/* Writes the gradient by the weights of one output channel. */
static void finish_row(const gradient *c, int o)
{
    for (int i = 0; i < c->source.vectors * LANES; i += LANES) {
        wf_wide s[POINTS], columns[18], g[9];
        const float *S = c->S + ((size_t)(i / PANEL) * (size_t)c->to + (size_t)o) * PANEL + i % PANEL;
        for (int k = 0; k < POINTS; k++)
            wf_wide_load(&s[k], S + (size_t)k * c->matrix_S);
        for (int j = 0; j < 6; j++)
            wf_transform_sums(s + j, 6, columns + j, 6);
        for (int t = 0; t < 3; t++)
            wf_transform_sums(columns + 6 * t, 1, g + 3 * t, 1);
        for (int t = 0; t < 9; t++)
            wf_wide_store(c->plain + ((size_t)o * 9 + (size_t)t) * (size_t)c->from + i, &g[t]);
    }
}

static void run(const gradient *c, int threads)
{
    int vectors = c->source.vectors + c->result.vectors, panels = c->from / PANEL;
#pragma omp parallel num_threads(threads)
    {
        for (int tile = 0; tile < c->tiles; tile += c->chunk) {
            int tiles = c->tiles - tile < c->chunk ? c->tiles - tile : c->chunk;
#pragma omp for schedule(static)
            for (int i = 0; i < tiles * vectors; i++)
                transform(c, tile + i / vectors, i / vectors, i % vectors);
#pragma omp for schedule(dynamic) nowait
            for (int i = 0; i < POINTS * panels; i++)
                multiply(c, tiles, i / panels, i % panels, tile > 0);
#pragma omp for schedule(static)
            for (int i = 0; i < c->result.vectors; i++)
                add_pixels(c, tiles, i);
        }
#pragma omp for schedule(static)
        for (int o = 0; o < c->real_to; o++)
            finish_row(c, o);
    }
}

/* Rounds up to an odd number of cache lines, so that rows do not share sets of the nearest cache. */
static size_t odd_lines(int floats)
{
    return (((size_t)floats + 15) / 16 | 1) * 16;
}

int wf_cpu_winograd_weights(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                            const void *x, const void *dy, float *dw, float *dbias, float *dlogs)
{
    const wf_conv_spec *s = &conv->spec;
    gradient c = {.x = x, .dy = dy, .source = wf_tiles_of(s, &conv->in), .result = wf_tiles_of(s, &conv->out)};
    c.from = (c.source.vectors + 1) / 2 * PANEL;
    c.to = c.result.vectors * LANES;
    c.real_to = s->out;
    c.tiles = s->N * c.source.per_map;
    int chunks = (c.tiles + TILES - 1) / TILES;
    c.chunk = (c.tiles + chunks - 1) / chunks;
    size_t from = (size_t)c.from, to = (size_t)c.to, chunk = (size_t)c.chunk;
    c.row_D = odd_lines(c.to);
    c.matrix_V = chunk * from + SKEW;
    c.matrix_D = chunk * c.row_D + SKEW;
    c.matrix_S = to * from + SKEW;
    void *memory;
    WF_TRY(wf_cpu_scratch(
        cpu, (POINTS * (c.matrix_V + c.matrix_D + c.matrix_S) + chunk * to + to * 9 * from + 2 * to) * sizeof(float),
        &memory));
    c.V = memory;
    c.D = c.V + POINTS * c.matrix_V;
    c.S = c.D + POINTS * c.matrix_D;
    c.pixels = c.S + POINTS * c.matrix_S;
    c.plain = c.pixels + chunk * to;
    c.scale = c.plain + to * 9 * from;
    c.sums = c.scale + to;
    memset(c.sums, 0, to * sizeof(float));
    for (int o = 0; o < s->out; o++)
        c.scale[o] = expf(3.0f * logs[o]);
    run(&c, cpu->base.threads);
    wf_cpu_finish_gradients(s, w, bias, c.scale, c.plain, from, c.sums, dw, dbias, dlogs);
    return WF_OK;
}
