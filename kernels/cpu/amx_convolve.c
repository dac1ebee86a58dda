/* amx_convolve.c - a convolution forward, and its gradient by its input, on AMX tiles
 *
 * The result is a product over taps and channels, y[place,o] = sum of x[place + tap,i] w[tap,i,o]. Rows of one operand
 * are 16 places of 32 channels, read where they lie in a packed copy of x (amx_lines.h). Rows of the other are pairs of
 * input channels of 16 output channels: the weights, packed once for a call. The gradient by the input is the same
 * product, with dy for x, and with weights that are turned around and transposed.
 *
 * A job is a line. 32 places of 32 channels have their sums in registers for all taps and all input channels, and leave
 * them through a buffer, in which bias, residual and relu are applied. */
#include "amx_lines.h"

#include <omp.h>
#include <string.h>

#include "bf16.h"
#include "tiles.h"

enum { LANES = 16, PLACES = 32, DEPTH = 32, SUMS = PLACES * 2 * LANES };

typedef struct convolution {
    const wf_amx_convolve *call;
    wf_lines lines;
    int taps;
    wf_shift shifts[WF_AMX_TAPS];
    int channels, depth; /* of a packed place: a multiple of DEPTH; channels/DEPTH */
    int blocks;          /* of PLACES in a line */
    int length;          /* places of a packed line */
    int results;         /* of 16 output channels */
    uint16_t *packed;    /* [lines,length,channels] */
    uint32_t *weights;   /* [results,taps,depth,16,16] */
    float *sums;         /* [threads,SUMS] */
} convolution;

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
    const size_t bytes[] = {
        (size_t)c->lines.count * (size_t)c->length * (size_t)c->channels * sizeof(uint16_t),
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

/* Leaves the places behind the last column as they are: nothing takes the results of places that read them. */
static void pack_line(const convolution *c, int line)
{
    const wf_amx_shape *s = &c->call->shape;
    const wf_line l = wf_line_of(&c->lines, line);
    size_t channels = (size_t)c->channels, given = (size_t)s->from;
    uint16_t *to = c->packed + (size_t)line * (size_t)c->length * channels;
    for (int column = -c->lines.pad; column < s->box.W + c->lines.pad; column++)
        for (int n = 0; n < c->lines.group; n++, to += channels) {
            size_t pixel, filled = 0;
            if (wf_line_pixel(&l, n, column, &pixel)) {
                memcpy(to, c->call->x + pixel * given, given * sizeof *to);
                filled = given;
            }
            memset(to + filled, 0, (channels - filled) * sizeof *to);
        }
}

/* Returns the weight that a tap gives an input channel for a result. */
static float weight(const convolution *c, int o, int tap, int i)
{
    const wf_amx_shape *s = &c->call->shape;
    if (i >= s->from)
        return 0;
    if (c->call->back) /* w is [from,taps,to] */
        return c->call->w[((size_t)i * (size_t)c->taps + (size_t)(c->taps - 1 - tap)) * (size_t)s->to + (size_t)o];
    return c->call->w[((size_t)o * (size_t)c->taps + (size_t)tap) * (size_t)s->from + (size_t)i];
}

/* Packs the weights of 16 results. */
static void pack_weights(const convolution *c, int block)
{
    uint32_t *to = c->weights + (size_t)block * (size_t)c->taps * (size_t)c->depth * 256;
    for (int tap = 0; tap < c->taps; tap++)
        for (int i = 0; i < c->channels; i += 2)
            for (int o = block * LANES; o < (block + 1) * LANES; o++)
                *to++ = wf_bf16_from_float(weight(c, o, tap, i)) |
                        (uint32_t)wf_bf16_from_float(weight(c, o, tap, i + 1)) << 16;
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

/* Sums up 32 places from `first` on for the results of two blocks, into [32,32]. */
static void sum_up(const convolution *c, int line, int first, int block, int other, float *sums)
{
    size_t tap_weights = (size_t)c->depth * 256, channels = (size_t)c->channels;
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
        size_t place =
            (size_t)(line + shift->lines) * (size_t)c->length + (size_t)(first + shift->column * c->lines.group);
        multiply(c->packed + place * channels, (ptrdiff_t)channels * 2, w0 + (size_t)tap * tap_weights,
                 w1 + (size_t)tap * tap_weights, c->depth);
    }
    const ptrdiff_t row = 2 * LANES * sizeof(float);
    WF_TILE_STORE(0, sums, row);
    WF_TILE_STORE(1, sums + LANES, row);
    WF_TILE_STORE(2, sums + SUMS / 2, row);
    WF_TILE_STORE(3, sums + SUMS / 2 + LANES, row);
}

/* Finishes the results of one place: y = sums + shift + residual, then relu, in bf16. */
static void finish(const wf_amx_convolve *call, const float *sums, size_t at, int first, int count)
{
#pragma omp simd
    for (int i = 0; i < count; i++) {
        float v = sums[i] + (call->shift ? call->shift[first + i] : 0);
        if (call->residual)
            v += wf_bf16_to_float(call->residual[at + (size_t)i]);
        if (call->relu)
            v = v > 0 || v != v ? v : 0; /* NaN stays NaN */
        call->y[at + (size_t)i] = wf_bf16_from_float(v);
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

/* The last pair of an odd number of blocks has one block twice. */
static void run_line(const convolution *c, int line, float *sums)
{
    const wf_line l = wf_line_of(&c->lines, line);
    for (int first = 0; first < c->blocks * PLACES; first += PLACES)
        for (int block = 0; block < c->results; block += 2) {
            bool both = block + 1 < c->results;
            sum_up(c, line, first, block, both ? block + 1 : block, sums);
            finish_places(c, &l, first / c->lines.group, first % c->lines.group, block, both ? 2 * LANES : LANES, sums);
        }
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
#pragma omp for schedule(static) nowait
        for (int block = 0; block < c.results; block++)
            pack_weights(&c, block);
#pragma omp for schedule(static)
        for (int line = 0; line < c.lines.count; line++)
            pack_line(&c, line);
        wf_tiles_begin();
#pragma omp for schedule(dynamic) nowait
        for (int line = 0; line < c.lines.count; line++)
            run_line(&c, line, c.sums + (size_t)omp_get_thread_num() * SUMS);
        wf_tiles_end();
    }
}
