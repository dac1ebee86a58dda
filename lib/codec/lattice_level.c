/* lattice_level.c - bands of a level in turn: a net's output for a strip of rows, then the numbers of these rows */
#include "lattice_level.h"

#include <stdlib.h>
#include <string.h>

#include "../base/lattice.h"
#include "exact_math.h"

enum { CONDITION, DETAIL, MASKED, OUTPUT };

/* A level being coded. x: what nets see of the details [h,w,3C]; masked: one band of these at even pixels, and 0 */
typedef struct job {
    const wf_lattice_level *level;
    wf_lattice_work *work;
    wf_coder *coder;
    const wf_lattice_numbers *n;
    double unit; /* x = unit * detail */
    float *condition, *x, *masked;
} job;

void wf_lattice_level_clear(wf_lattice_level *level)
{
    for (int i = 0; i < level->cond_count; i++)
        wf_exact_net_destroy(level->conds[i]);
    for (int i = 0; i < WF_GROUPS; i++)
        wf_exact_net_destroy(level->nets[i]);
    free(level->conds);
    free(level->base);
    *level = (wf_lattice_level){0};
}

void wf_lattice_work_clear(wf_lattice_work *work)
{
    wf_exact_clear(&work->scratch);
    for (int i = 0; i < 4; i++)
        free(work->memory[i]);
    *work = (wf_lattice_work){0};
}

/* Gives memory `which` for n floats, all zero. */
static int get_memory(wf_lattice_work *work, int which, size_t n, float **out)
{
    if (work->room[which] < n) {
        free(work->memory[which]);
        work->room[which] = 0;
        work->memory[which] = malloc(n * sizeof(float));
        WF_CHECK(work->memory[which], WF_AGAIN, "out of memory for a level of %zu numbers", n);
        work->room[which] = n;
    }
    memset(work->memory[which], 0, n * sizeof(float));
    *out = work->memory[which];
    return WF_OK;
}

static size_t pixels_of(const wf_lattice_numbers *n)
{
    return (size_t)n->h * (size_t)n->w;
}

/* 2^n. */
static double power(int n)
{
    return n >= 0 ? (double)(INT64_C(1) << n) : 1 / (double)(INT64_C(1) << -n);
}

/* A pixel's mean value as nets see it, (S / 4^k + 1/2) / 2^bits - 1/2, as S unit + offset; exact in a float. */
static double low_unit(const wf_lattice_level *l)
{
    return power(-2 * l->k - l->bits);
}

static double low_offset(const wf_lattice_level *l)
{
    return power(-l->bits - 1) - 0.5;
}

/* Fills in the condition [h,w,features]: the low-pass, then the features of each cond, which sees all before. */
static int make_condition(job *j)
{
    const wf_lattice_level *l = j->level;
    size_t pixels = pixels_of(j->n), F = (size_t)l->features, C = (size_t)l->C;
    float *features = NULL;
    WF_TRY(get_memory(j->work, CONDITION, pixels * F, &j->condition));
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < C; c++)
            j->condition[p * F + c] = (float)(j->n->low[p * C + c] * low_unit(l) + low_offset(l));
    size_t at = C;
    for (int i = 0; i < l->cond_count; i++) {
        const wf_exact_net *net = l->conds[i];
        size_t out = (size_t)wf_exact_net_out(net);
        wf_exact_part part = {j->condition, (int)at, l->features};
        WF_TRY(get_memory(j->work, OUTPUT, pixels * out, &features));
        int rows = wf_exact_net_rows(net, j->n->w);
        for (int first = 0; first < j->n->h; first += rows)
            WF_TRY(wf_exact_net_run(net, &part, 1, j->n->h, j->n->w, first,
                                    rows < j->n->h - first ? rows : j->n->h - first, &j->work->scratch,
                                    features + (size_t)first * (size_t)j->n->w * out));
        for (size_t p = 0; p < pixels; p++)
            memcpy(j->condition + p * F + at, features + p * out, out * sizeof *features);
        at += out;
    }
    return WF_OK;
}

/* The numbers that a detail of a pixel may have; `detail` holds those of earlier bands. */
static wf_range range_of(const wf_lattice_level *l, int band, int c, int32_t low, const int32_t *detail)
{
    int64_t m = ((INT64_C(1) << l->bits) - 1) << 2 * (l->k - 1);
    if (band == 0)
        return wf_lattice_h(m, low);
    if (band == 1)
        return wf_lattice_v(m, low, detail[c]);
    return wf_lattice_d(m, low, detail[c], detail[l->C + c]);
}

/* True for a difference between the last row or column of an odd side and its copy. */
static bool is_copy(const wf_lattice_numbers *n, int band, int row, int column)
{
    bool down = 2 * row + 1 == n->H, right = 2 * column + 1 == n->W;
    return (right && band != 1) || (down && band != 0);
}

/* Codes the C numbers of a band of a pixel by the net's outputs. */
static int code_pixel(const job *j, int band, int row, int column, const float *outputs)
{
    const wf_lattice_level *l = j->level;
    size_t p = (size_t)row * (size_t)j->n->w + (size_t)column, C = (size_t)l->C;
    int32_t *detail = j->n->detail + 3 * C * p;
    double t[WF_LATTICE_MAX_COLOURS];
    for (int c = 0; c < l->C; c++) {
        int channel = band * l->C + c;
        wf_range range = range_of(l, band, c, j->n->low[p * C + (size_t)c], detail);
        int64_t i = (detail[channel] - range.first) / range.step;
        WF_CHECK(range.count > 0, WF_DATA, "the code gives numbers that no pixels have");
        if (is_copy(j->n, band, row, column)) {
            detail[channel] = 0;
        } else {
            wf_mixture mixture;
            wf_cells cells = {.count = range.count, .shift = l->shift[channel], .scale = l->scale[channel]};
            cells.low = ((double)range.first - (double)range.step / 2) * j->unit;
            cells.step = (double)range.step * j->unit;
            wf_mixture_set(&mixture, outputs, l->components, l->C, c, t);
            WF_TRY(wf_code_cell(j->coder, &mixture, &cells, &i));
            detail[channel] = (int32_t)(range.first + i * range.step);
        }
        double x = detail[channel] * j->unit;
        j->x[3 * C * p + (size_t)channel] = (float)x;
        t[c] = wf_exact_clamp((x + l->shift[channel]) * l->scale[channel], -1e30, 1e30);
    }
    return WF_OK;
}

/* Copies a band of x at pixels of even row + column. */
static int mask_band(job *j, int band)
{
    size_t C = (size_t)j->level->C;
    WF_TRY(get_memory(j->work, MASKED, pixels_of(j->n) * C, &j->masked));
    for (int row = 0; row < j->n->h; row++)
        for (int column = row % 2; column < j->n->w; column += 2) {
            size_t p = (size_t)row * (size_t)j->n->w + (size_t)column;
            memcpy(j->masked + p * C, j->x + 3 * C * p + (size_t)band * C, C * sizeof(float));
        }
    return WF_OK;
}

/* Codes the pixels of a phase in a strip of rows. */
static int code_strip(const job *j, int band, int phase, int first, int rows, const float *outputs)
{
    int step = j->level->phases;
    size_t each = (size_t)wf_lattice_outputs(j->level);
    for (int row = first; row < first + rows; row++, outputs += each * (size_t)j->n->w)
        for (int column = step == 2 ? (row + phase) % 2 : 0; column < j->n->w; column += step)
            WF_TRY(code_pixel(j, band, row, column, outputs + each * (size_t)column));
    return WF_OK;
}

static int code_group(job *j, int band, int phase)
{
    const wf_lattice_level *l = j->level;
    const wf_exact_net *net = l->nets[band * l->phases + phase];
    wf_exact_part parts[3];
    int count = 0, rows = wf_exact_net_rows(net, j->n->w);
    float *outputs = NULL;
    if (band)
        parts[count++] = (wf_exact_part){j->x, band * l->C, 3 * l->C};
    if (phase)
        parts[count++] = (wf_exact_part){j->masked, l->C, l->C};
    parts[count++] = (wf_exact_part){j->condition, l->features, l->features};
    rows = rows < j->n->h ? rows : j->n->h;
    WF_TRY(get_memory(j->work, OUTPUT, (size_t)rows * (size_t)j->n->w * (size_t)wf_exact_net_out(net), &outputs));
    for (int first = 0; first < j->n->h; first += rows) {
        int part = rows < j->n->h - first ? rows : j->n->h - first;
        WF_TRY(wf_exact_net_run(net, parts, count, j->n->h, j->n->w, first, part, &j->work->scratch, outputs));
        WF_TRY(code_strip(j, band, phase, first, part, outputs));
    }
    return phase + 1 < l->phases ? mask_band(j, band) : WF_OK;
}

int wf_lattice_code_details(const wf_lattice_level *level, wf_lattice_work *work, wf_coder *coder,
                            const wf_lattice_numbers *numbers)
{
    job j = {level, work, coder, numbers, power(1 - level->bits - 2 * level->k), NULL, NULL, NULL};
    WF_TRY(make_condition(&j));
    WF_TRY(get_memory(work, DETAIL, pixels_of(numbers) * 3 * (size_t)level->C, &j.x));
    for (int band = 0; band < 3; band++)
        for (int phase = 0; phase < level->phases; phase++)
            WF_TRY(code_group(&j, band, phase));
    return WF_OK;
}

int wf_lattice_code_base(const wf_lattice_level *l, wf_coder *coder, int64_t n, int32_t *low)
{
    double unit = low_unit(l), t[WF_LATTICE_MAX_COLOURS];
    wf_cells cells = {.count = (((INT64_C(1) << l->bits) - 1) << 2 * l->k) + 1, .step = unit};
    cells.low = low_offset(l) - unit / 2;
    for (int64_t p = 0; p < n; p++, low += l->C)
        for (int c = 0; c < l->C; c++) {
            wf_mixture mixture;
            int64_t i = coder->list ? low[c] : 0;
            cells.shift = l->shift[c];
            cells.scale = l->scale[c];
            wf_mixture_set(&mixture, l->base, l->components, l->C, c, t);
            WF_TRY(wf_code_cell(coder, &mixture, &cells, &i));
            low[c] = (int32_t)i;
            t[c] = wf_exact_clamp((low[c] * unit + low_offset(l) + l->shift[c]) * l->scale[c], -1e30, 1e30);
        }
    return WF_OK;
}
