/* amx_convolve.c - a convolution forward, and its gradient by its input, on AMX tiles
 *
 * The result is a product over taps and channels, y[place,o] = sum of x[place + tap,i] w[tap,i,o]. Rows of one operand
 * are 16 places of 32 channels, read where they lie in a packed copy of x (amx_lines.h). Rows of the other are pairs of
 * input channels of 16 output channels: the weights, packed once for a call. The gradient by the input is the same
 * product, with dy for x, and with weights that are turned around and transposed.
 *
 * A job is a strip of lines, which a thread packs for itself with the lines around it, so that they are in its cache.
 * 32 places of 32 channels have their sums in registers for all taps and all input channels, and leave them through a
 * buffer, in which bias, residual and relu are applied. */
#include "amx_lines.h"
#include "amx_pairs.h"

#include <omp.h>
#include <string.h>

#include "lanes.h"
#include "tiles.h"

enum { LANES = 16, PLACES = 32, DEPTH = 32, SUMS = PLACES * 2 * LANES };
enum { STRIP = 256 << 10 }; /* bytes of packed lines that a thread works on: a part of its second cache */

typedef struct convolution {
    const wf_amx_convolve *call;
    wf_lines lines;
    int taps;
    wf_shift shifts[WF_AMX_TAPS];
    int channels, depth; /* of a packed place: a multiple of DEPTH; channels/DEPTH */
    int blocks;          /* of PLACES in a line */
    int length;          /* places of a packed line */
    int results;         /* of 16 output channels */
    int strips, span;    /* of a group of pictures; lines of a strip */
    int halo;            /* lines above a strip, and below it, that its taps read */
    size_t packed_size;  /* numbers of a packed strip */
    uint16_t *packed;    /* [threads,packed_size], as [lines,length,channels] */
    uint32_t *weights;   /* [results,taps,depth,16,16] */
    float *sums;         /* [threads,SUMS] */
} convolution;

/* Divides the lines of a group into strips: short enough for the cache, and enough of them for all threads. */
static void divide(convolution *c, int threads)
{
    int rows = c->lines.rows, groups = c->lines.count / rows;
    int fit = (int)(STRIP / ((size_t)c->length * (size_t)c->channels * sizeof(uint16_t)));
    int most = fit > c->halo ? fit : c->halo + 1;
    c->strips = wf_ceiling(rows, most);
    if (c->strips * groups < 2 * threads)
        c->strips = wf_ceiling(2 * threads, groups);
    c->strips = c->strips < rows ? c->strips : rows;
    c->span = wf_ceiling(rows, c->strips);
    c->strips = wf_ceiling(rows, c->span);
    int lines = c->span + 2 * c->halo < rows ? c->span + 2 * c->halo : rows;
    c->packed_size = (size_t)lines * (size_t)c->length * (size_t)c->channels;
}

/* Lays the arrays out behind each other. Returns their bytes. */
static size_t lay_out(convolution *c, const wf_amx_shape *s, int threads, char *memory)
{
    c->taps = s->box.d * s->box.h * s->box.w;
    c->lines = wf_lines_of(s, PLACES, 1);
    for (int tap = 0; tap < c->taps; tap++)
        c->shifts[tap] = wf_shift_of(&c->lines, tap);
    c->depth = wf_ceiling(s->from, DEPTH);
    c->channels = c->depth * DEPTH;
    c->blocks = wf_ceiling(s->box.W * c->lines.group, PLACES);
    c->length = c->blocks * PLACES + 2 * c->lines.pad * c->lines.group;
    c->results = s->to / LANES;
    c->halo = s->box.d / 2 * s->box.H + s->box.h / 2;
    divide(c, threads);
    const size_t bytes[] = {
        (size_t)threads * c->packed_size * sizeof(uint16_t),
        (size_t)c->results * (size_t)c->taps * (size_t)c->depth * WF_TILE,
        (size_t)threads * SUMS * sizeof(float),
    };
    size_t at[4] = {0};
    for (int i = 0; i < 3; i++)
        at[i + 1] = at[i] + wf_cache_lines(bytes[i]);
    if (memory) {
        c->packed = (uint16_t *)(memory + at[0]);
        c->weights = (uint32_t *)(memory + at[1]);
        c->sums = (float *)(memory + at[2]);
    }
    return at[3];
}

/* -- packing ------------------------------------------------------------------------------------------------------- */

/* Packs a line to `to`. Leaves the places behind the last column as they are: nothing takes the results of places
 * that read them. */
static void pack_line(const convolution *c, int line, uint16_t *to)
{
    const wf_amx_shape *s = &c->call->shape;
    const wf_line l = wf_line_of(&c->lines, line);
    for (int column = -c->lines.pad; column < s->box.W + c->lines.pad; column++)
        for (int n = 0; n < c->lines.group; n++, to += c->channels) {
            size_t pixel;
            int given = wf_line_pixel(&l, n, column, &pixel) ? s->from : 0;
            for (int i = 0; i < given; i += LANES)
                memcpy(to + i, c->call->x + pixel * (size_t)s->from + i, LANES * sizeof *to);
            for (int i = given; i < c->channels; i += LANES)
                memset(to + i, 0, LANES * sizeof *to);
        }
}

/* Scales and rounds the first n of 32 weights of a result; the others are zeros. Neighbours are pairs. */
static inline void round_row(const float *w, int n, float scale, wf_pairs *row)
{
    uint16_t halves[DEPTH];
    for (int i = 0; i < DEPTH; i += WF_WIDE) {
        wf_wide v = {0};
        wf_wide_load_lanes(&v, w + i, wf_lanes_between(0, n - i));
        v *= scale;
        wf_wide_store_bf16(halves + i, &v);
    }
    memcpy(row, halves, sizeof *row);
}

/* Packs the weights of 16 results. They are rows of w here, and columns of the tiles. */
static void pack_weights(const convolution *c, int block)
{
    const wf_amx_convolve *call = c->call;
    uint32_t *to = c->weights + (size_t)block * (size_t)c->taps * (size_t)c->depth * 256;
    for (int tap = 0; tap < c->taps; tap++)
        for (int first = 0; first < c->channels; first += DEPTH, to += 256) {
            wf_pairs rows[LANES];
            for (int r = 0; r < LANES; r++) {
                int o = block * LANES + r;
                size_t at = ((size_t)o * (size_t)c->taps + (size_t)tap) * (size_t)call->in + (size_t)first;
                if (o < call->out)
                    round_row(call->w + at, call->in - first, call->scale[o], &rows[r]);
                else
                    rows[r] = (wf_pairs){0};
            }
            wf_pairs_transpose(rows);
            memcpy(to, rows, sizeof rows);
        }
}

/* Scales and rounds weights that output o of the convolution has for n results. They stay in upper halves. */
static inline void round_column(const wf_amx_convolve *call, int o, size_t at, int n, wf_wide_bits *upper)
{
    wf_wide v = {0};
    if (o < call->out) {
        wf_wide_load_lanes(&v, call->w + at, wf_lanes_between(0, n));
        v *= call->scale[o];
    }
    wf_wide_round(upper, &v);
}

/* Packs the weights of 16 results that are inputs of the convolution: they are columns of w. Taps are turned around. */
static void pack_weights_back(const convolution *c, int block)
{
    const wf_amx_convolve *call = c->call;
    uint32_t *to = c->weights + (size_t)block * (size_t)c->taps * (size_t)c->depth * 256;
    size_t row = (size_t)c->taps * (size_t)call->in;
    for (int tap = c->taps - 1; tap >= 0; tap--)
        for (int o = 0; o < c->channels; o += 2, to += LANES)
            for (int r = 0; r < LANES; r += WF_WIDE) {
                int first = block * LANES + r;
                size_t at = (size_t)o * row + (size_t)tap * (size_t)call->in + (size_t)first;
                wf_wide_bits even, odd;
                round_column(call, o, at, call->in - first, &even);
                round_column(call, o + 1, at + row, call->in - first, &odd);
                even = even >> 16 | (odd & 0xffff0000u);
                memcpy(to + r, &even, sizeof even);
            }
}

/* -- products ------------------------------------------------------------------------------------------------------ */

/* Adds the products of one shift of 32 places and the weights of a tap, for all input channels, to tiles 0 .. 3. */
static void multiply(const uint16_t *places, ptrdiff_t stride, const uint32_t *w0, const uint32_t *w1, int depth)
{
    const char *a = (const char *)places, *b0 = (const char *)w0, *b1 = (const char *)w1;
    for (ptrdiff_t k = 0; k < depth; k++) {
        WF_TILE_LOAD(4, a + k * DEPTH * 2, stride);
        WF_TILE_LOAD(6, b0 + k * WF_TILE, WF_TILE_STRIDE);
        WF_TILE_DOT(0, 4, 6);
        WF_TILE_LOAD(7, b1 + k * WF_TILE, WF_TILE_STRIDE);
        WF_TILE_DOT(1, 4, 7);
        WF_TILE_LOAD(5, a + k * DEPTH * 2 + LANES * stride, stride);
        WF_TILE_DOT(2, 5, 6);
        WF_TILE_DOT(3, 5, 7);
    }
}

/* Sums up 32 places from `first` on for the results of two blocks, into [32,32]. The line is at `packed`. */
static void sum_up(const convolution *c, const uint16_t *packed, int line, int first, int block, int other, float *sums)
{
    const size_t tap_weights = (size_t)c->depth * 256;
    const ptrdiff_t channels = c->channels;
    const uint32_t *w0 = c->weights + (size_t)block * (size_t)c->taps * tap_weights;
    const uint32_t *w1 = c->weights + (size_t)other * (size_t)c->taps * tap_weights;
    const wf_row here = wf_row_of(&c->lines, line);
    WF_TILE_ZERO(0);
    WF_TILE_ZERO(1);
    WF_TILE_ZERO(2);
    WF_TILE_ZERO(3);
    for (int tap = 0; tap < c->taps; tap++) {
        const wf_shift *shift = &c->shifts[tap];
        if (!wf_row_has(&c->lines, &here, shift))
            continue;
        ptrdiff_t place = (ptrdiff_t)shift->lines * c->length + first + shift->column * c->lines.group;
        multiply(packed + place * channels, channels * 2, w0 + (size_t)tap * tap_weights,
                 w1 + (size_t)tap * tap_weights, c->depth);
    }
    const ptrdiff_t row = 2 * LANES * sizeof(float);
    WF_TILE_STORE(0, sums, row);
    WF_TILE_STORE(1, sums + LANES, row);
    WF_TILE_STORE(2, sums + SUMS / 2, row);
    WF_TILE_STORE(3, sums + SUMS / 2 + LANES, row);
}

/* Finishes the results of one place: y = sums + shift + residual, then relu, in bf16. */
static inline void finish(const wf_amx_convolve *call, const float *sums, size_t at, int first, int count)
{
    for (int i = 0; i < count; i += WF_WIDE) {
        wf_wide v, more;
        wf_wide_load(&v, sums + i);
        if (call->shift) {
            wf_wide_load(&more, call->shift + first + i);
            v += more;
        }
        if (call->residual) {
            wf_wide_load_bf16(&more, call->residual + at + (size_t)i);
            v += more;
        }
        if (call->relu)
            wf_wide_relu(&v);
        wf_wide_store_bf16(call->y + at + (size_t)i, &v);
    }
}

/* Finishes 32 places, of which picture n of a column is the first, for the results of one block or of two. */
static void finish_places(const convolution *c, const wf_line *line, int column, int n, int block, int count,
                          const float *sums)
{
    for (int p = 0; p < PLACES; p++, sums += 2 * LANES) {
        size_t pixel;
        if (wf_line_pixel(line, n, column, &pixel))
            finish(c->call, sums, pixel * (size_t)c->call->shape.to + (size_t)(block * LANES), block * LANES, count);
        if (++n == c->lines.group) {
            n = 0;
            column++;
        }
    }
}

/* Computes the results of a block and the next for a line, which is at `packed`. The last pair of an odd number of
 * blocks has one block twice. */
static void run_line(const convolution *c, const uint16_t *packed, int line, int block, float *sums)
{
    const wf_line l = wf_line_of(&c->lines, line);
    bool both = block + 1 < c->results;
    for (int first = 0; first < c->blocks * PLACES; first += PLACES) {
        sum_up(c, packed, line, first, block, both ? block + 1 : block, sums);
        finish_places(c, &l, first / c->lines.group, first % c->lines.group, block, both ? 2 * LANES : LANES, sums);
    }
}

/* Weights of a pair of blocks stay in the second cache beside the strip. */
static void run_strip(const convolution *c, int strip, uint16_t *packed, float *sums)
{
    int rows = c->lines.rows, first = strip % c->strips * c->span, start = strip / c->strips * rows;
    int end = first + c->span < rows ? first + c->span : rows;
    int top = first > c->halo ? first - c->halo : 0, bottom = end + c->halo < rows ? end + c->halo : rows;
    size_t line = (size_t)c->length * (size_t)c->channels;
    for (int row = top; row < bottom; row++)
        pack_line(c, start + row, packed + (size_t)(row - top) * line);
    for (int block = 0; block < c->results; block += 2)
        for (int row = first; row < end; row++)
            run_line(c, packed + (size_t)(row - top) * line, start + row, block, sums);
}

size_t wf_amx_convolve_bytes(const wf_amx_shape *s, int threads)
{
    convolution c;
    return lay_out(&c, s, threads, NULL);
}

void wf_amx_convolve_run(const wf_amx_convolve *call, void *scratch, int threads)
{
    convolution c = {.call = call};
    (void)lay_out(&c, &call->shape, threads, scratch);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int block = 0; block < c.results; block++)
            if (call->back)
                pack_weights_back(&c, block);
            else
                pack_weights(&c, block);
        wf_tiles_begin();
        const size_t thread = (size_t)omp_get_thread_num();
#pragma omp for schedule(dynamic) nowait
        for (int strip = 0; strip < c.lines.count / c.lines.rows * c.strips; strip++)
            run_strip(&c, strip, c.packed + thread * c.packed_size, c.sums + thread * SUMS);
        wf_tiles_end();
    }
}
