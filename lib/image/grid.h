/* grid.h - pictures of one size side by side in one, with labels */
#ifndef WF_GRID_H
#define WF_GRID_H

#include "../base/linkage.h"
#include "image.h"

WF_BEGIN

typedef struct wf_grid_spec {
    int columns;        /* 0: the square root of the number of pictures, rounded up */
    int zoom;           /* every pixel is zoom x zoom */
    const char *titles; /* of columns, separated by commas; NULL: none */
    const char *rows;   /* labels of rows, to their left */
} wf_grid_spec;

typedef struct wf_grid {
    wf_image cell;   /* the size of all; its pixels are not used */
    uint16_t *cells; /* [count,H,W,C]; owned */
    size_t room, count;
} wf_grid; /* zero-initialize */

void wf_grid_clear(wf_grid *grid);

/* Copies a picture, of the size of those before. WF_USAGE: more pixels than a picture may have. */
int wf_grid_add(wf_grid *grid, const wf_image *image) WF_MUST;

/* All pictures in rows, white between them and in cells left over at the end. `name` is used in messages. WF_USAGE: more
 * labels than columns or rows. */
int wf_grid_draw(const wf_grid *grid, const wf_grid_spec *spec, const char *name, wf_image *out) WF_MUST;

WF_END

#endif
