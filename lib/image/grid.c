/* grid.c - layout and drawing of a grid and its labels */
#include "grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "font.h"

/* Layout in pixels: cells of wide x high, 1 pixel apart, the first at (left, top). */
typedef struct layout {
    int columns, rows;
    int64_t wide, high, left, top;
    int letter; /* scale of the font */
} layout;

void wf_grid_clear(wf_grid *grid)
{
    free(grid->cells);
    *grid = (wf_grid){0};
}

int wf_grid_add(wf_grid *grid, const wf_image *image)
{
    size_t n = (size_t)image->H * (size_t)image->W * (size_t)image->C, used = grid->count * n;
    WF_CHECK(used + n <= (size_t)WF_MAX_PIXELS * (size_t)image->C, WF_USAGE,
             "grid: picture %zu exceeds %d pixels in all", grid->count, WF_MAX_PIXELS);
    if (used + n > grid->room) {
        size_t room = 2 * (used + n);
        uint16_t *cells = realloc(grid->cells, room * sizeof *cells);
        WF_CHECK(cells, WF_AGAIN, "grid: out of memory for %zu pictures", grid->count + 1);
        grid->cells = cells;
        grid->room = room;
    }
    memcpy(grid->cells + used, image->pixels, n * sizeof *grid->cells);
    grid->cell = *image;
    grid->cell.pixels = NULL;
    grid->count++;
    return WF_OK;
}

/* Copies label i of a list; false past its end. */
static bool copy_label(const char *list, int i, char out[256])
{
    for (; list && i > 0; i--) {
        list = strchr(list, ',');
        list = list ? list + 1 : NULL;
    }
    if (!list)
        return false;
    snprintf(out, 256, "%.*s", (int)strcspn(list, ","), list);
    return true;
}

static int widest_label(const char *list, int scale)
{
    char text[256];
    int most = 0;
    for (int i = 0; copy_label(list, i, text); i++)
        most = wf_text_width(text, scale) > most ? wf_text_width(text, scale) : most;
    return most;
}

/* Labels are drawn at scale 2 if the picture is zoomed and all titles fit over their columns, else at scale 1. */
static layout plan_layout(const wf_grid *grid, const wf_grid_spec *spec)
{
    int64_t count = (int64_t)grid->count, columns = spec->columns ? spec->columns : (int64_t)ceil(sqrt((double)count));
    layout l = {.columns = (int)(columns > count ? count : columns)};
    l.rows = (int)((count + l.columns - 1) / l.columns);
    l.wide = (int64_t)grid->cell.W * spec->zoom;
    l.high = (int64_t)grid->cell.H * spec->zoom;
    l.letter = spec->zoom > 1 && widest_label(spec->titles, 2) < l.wide ? 2 : 1;
    l.left = spec->rows ? widest_label(spec->rows, l.letter) + 3 * l.letter : 0;
    l.top = spec->titles ? (WF_FONT_HEIGHT + 3) * l.letter : 0;
    return l;
}

static void draw_cell(const wf_grid *grid, int zoom, size_t k, int64_t x, int64_t y, wf_image *out)
{
    size_t C = (size_t)out->C, H = (size_t)grid->cell.H, W = (size_t)grid->cell.W, z = (size_t)zoom;
    const uint16_t *from = grid->cells + k * H * W * C;
    for (size_t v = 0; v < H * z; v++)
        for (size_t u = 0; u < W * z; u++)
            memcpy(out->pixels + (((size_t)y + v) * (size_t)out->W + (size_t)x + u) * C, from + (v / z * W + u / z) * C,
                   C * sizeof *from);
}

static int draw_labels(const wf_grid_spec *spec, const layout *l, wf_image *out)
{
    char text[256];
    int drop = (int)(l->high - WF_FONT_HEIGHT * l->letter) / 2;
    WF_CHECK(!copy_label(spec->titles, l->columns, text), WF_USAGE, "grid: a title '%s' for column %d, want at most %d",
             text, l->columns + 1, l->columns);
    WF_CHECK(!copy_label(spec->rows, l->rows, text), WF_USAGE, "grid: a label '%s' for row %d, want at most %d", text,
             l->rows + 1, l->rows);
    for (int i = 0; copy_label(spec->titles, i, text); i++)
        wf_text_draw(out, (int)(l->left + i * (l->wide + 1) + (l->wide - wf_text_width(text, l->letter)) / 2),
                     l->letter, l->letter, text, 0);
    for (int i = 0; copy_label(spec->rows, i, text); i++)
        wf_text_draw(out, (int)(l->left - 2 * l->letter) - wf_text_width(text, l->letter),
                     (int)(l->top + i * (l->high + 1)) + drop, l->letter, text, 0);
    return WF_OK;
}

int wf_grid_draw(const wf_grid *grid, const wf_grid_spec *spec, const char *name, wf_image *out)
{
    const wf_image *cell = &grid->cell;
    layout l = plan_layout(grid, spec);
    WF_TRY(wf_image_reserve(out, name, l.top + l.rows * (l.high + 1) - 1, l.left + l.columns * (l.wide + 1) - 1,
                            cell->C, cell->bits));
    for (size_t i = 0, n = (size_t)out->H * (size_t)out->W * (size_t)out->C; i < n; i++)
        out->pixels[i] = (uint16_t)((1 << cell->bits) - 1);
    for (size_t k = 0; k < grid->count; k++)
        draw_cell(grid, spec->zoom, k, l.left + (int64_t)(k % (size_t)l.columns) * (l.wide + 1),
                  l.top + (int64_t)(k / (size_t)l.columns) * (l.high + 1), out);
    return draw_labels(spec, &l, out);
}
