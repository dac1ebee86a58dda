/* grid.h - one picture that shows many of one size in rows and columns, with labels */
#ifndef WF_GRID_H
#define WF_GRID_H

#include "../base/linkage.h"
#include "image.h"

WF_BEGIN

typedef struct wf_grid_spec {
    int columns;        /* 0: the square root of the number of pictures, rounded up */
    int zoom;           /* every pixel is zoom x zoom */
    const char *titles; /* above the columns, separated by commas; NULL: none */
    const char *rows;   /* to the left of the rows, separated by commas; NULL: none */
} wf_grid_spec;

typedef struct wf_grid {
    wf_image cell;      /* size of every picture; it has no pixels */
    uint16_t *cells;    /* [count,H,W,C]; owned */
    size_t room, count; /* samples allocated; pictures */
} wf_grid;              /* zero-initialize */

void wf_grid_clear(wf_grid *grid);

/* Adds a copy of a picture, which has the size of the first. WF_USAGE: the grid would exceed WF_MAX_PIXELS. */
int wf_grid_add(wf_grid *grid, const wf_image *image) WF_MUST;

/* Draws all pictures, row after row, on white. `name` is used in messages. WF_USAGE: more labels than columns or
 * rows. */
int wf_grid_draw(const wf_grid *grid, const wf_grid_spec *spec, const char *name, wf_image *out) WF_MUST;

WF_END

#endif
