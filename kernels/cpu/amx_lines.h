/* amx_lines.h - the order of pixels that the AMX kernels pack maps in
 *
 * A line is one row of `group` pictures: the picture is the fastest index, then the column. Packed lines have columns
 * of zeros at both ends, so a shift by any tap is an offset that all places of a line share. Rows above and below the
 * picture are left out: wf_line_shifted. */
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

/* Returns the channels of picture n of a line, or NULL where there is neither picture nor column. */
static inline const uint16_t *wf_line_pixel(const wf_lines *l, const uint16_t *map, int channels, int line, int n,
                                            int column)
{
    n += line / l->rows * l->group;
    if (n >= l->N || column < 0 || column >= l->box.W)
        return NULL;
    size_t row = (size_t)n * (size_t)l->rows + (size_t)(line % l->rows);
    return map + (row * (size_t)l->box.W + (size_t)column) * (size_t)channels;
}

/* Finds the line that a tap reads for a line of results. Returns false above and below the picture. */
static inline bool wf_line_shifted(const wf_lines *l, int line, int tap, int *source)
{
    const wf_conv_box *b = &l->box;
    int row = line % l->rows, dz = tap / (b->h * b->w) - b->d / 2, dy = tap / b->w % b->h - b->h / 2;
    int z = row / b->H + dz, y = row % b->H + dy;
    *source = line + dz * b->H + dy;
    return z >= 0 && z < b->D && y >= 0 && y < b->H;
}

/* Rounds up to whole lines of the cache. */
static inline size_t wf_cache_lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

#endif
