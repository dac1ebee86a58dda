/* amx_lines.h - the order of pixels that the AMX kernels pack maps in
 *
 * A line is one row of `group` pictures: the picture is the fastest index, then the column. Packed lines have columns
 * of zeros at both ends, so a shift by any tap is an offset that all places of a line share. Rows above and below the
 * picture are left out: wf_row_has. Loops over lines and places have no divisions, which would cost as much as a tile
 * product. */
#ifndef WF_CPU_AMX_LINES_H
#define WF_CPU_AMX_LINES_H

#include "amx.h"

typedef struct wf_lines {
    int N;
    wf_conv_box box;
    int group; /* pictures of a line */
    int rows;  /* lines of a group: D*H */
    int count; /* lines of all groups */
    int pad;   /* columns of zeros at each end */
} wf_lines;

static inline int wf_ceiling(int a, int b)
{
    return (a + b - 1) / b;
}

/* Returns lines whose places, in units of `unit`, leave the fewest empty; of groups that do, the smallest. Groups are
 * multiples of `step`. */
static inline wf_lines wf_lines_of(const wf_amx_shape *s, int unit, int step)
{
    wf_lines l = {s->N, s->box, step, s->box.D * s->box.H, 0, s->box.w / 2};
    int64_t least = INT64_MAX;
    for (int group = step; group <= unit; group += step) {
        int64_t places = (int64_t)wf_ceiling(s->N, group) * wf_ceiling(s->box.W * group, unit);
        if (places < least) {
            least = places;
            l.group = group;
        }
    }
    l.count = wf_ceiling(s->N, l.group) * l.rows;
    return l;
}

/* The places of the pixels of a line in a map. */
typedef struct wf_line {
    size_t start;   /* number of the first pixel of the first picture */
    size_t picture; /* pixels of a picture */
    int pictures;   /* that the line has: the last group may have fewer */
    int W;
} wf_line;

static inline wf_line wf_line_of(const wf_lines *l, int line)
{
    int first = line / l->rows * l->group, left = l->N - first;
    size_t row = (size_t)first * (size_t)l->rows + (size_t)(line % l->rows);
    return (wf_line){row * (size_t)l->box.W, (size_t)l->rows * (size_t)l->box.W, left < l->group ? left : l->group,
                     l->box.W};
}

/* Finds the number of a pixel of picture n. Returns false where there is neither picture nor column. */
static inline bool wf_line_pixel(const wf_line *l, int n, int column, size_t *pixel)
{
    *pixel = l->start + (size_t)n * l->picture + (size_t)column;
    return n < l->pictures && column >= 0 && column < l->W;
}

/* The shift of a tap, and the row of a line. */
typedef struct wf_shift {
    int z, y, column; /* column: from the first one of zeros on */
    int lines;
} wf_shift;

typedef struct wf_row {
    int z, y;
} wf_row;

static inline wf_shift wf_shift_of(const wf_lines *l, int tap)
{
    const wf_conv_box *b = &l->box;
    wf_shift s = {tap / (b->h * b->w) - b->d / 2, tap / b->w % b->h - b->h / 2, tap % b->w, 0};
    s.lines = s.z * b->H + s.y;
    return s;
}

static inline wf_row wf_row_of(const wf_lines *l, int line)
{
    return (wf_row){line % l->rows / l->box.H, line % l->box.H}; /* rows are a multiple of H */
}

static inline void wf_row_next(const wf_lines *l, wf_row *r)
{
    if (++r->y < l->box.H)
        return;
    r->y = 0;
    r->z = r->z + 1 < l->box.D ? r->z + 1 : 0;
}

/* Returns false where the shift leads above or below the picture. */
static inline bool wf_row_has(const wf_lines *l, const wf_row *r, const wf_shift *s)
{
    int z = r->z + s->z, y = r->y + s->y;
    return z >= 0 && z < l->box.D && y >= 0 && y < l->box.H;
}

/* Rounds up to whole lines of the cache. */
static inline size_t wf_cache_lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

#endif
