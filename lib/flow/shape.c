/* shape.c - squeezing and copies of channel ranges, as strided copies */
#include "shape.h"

/* One row of each pair of rows of x: a run of two neighbouring pixels becomes one half of a pixel of y. */
static wf_runs row_of_blocks(int N, int H, int W, int K)
{
    size_t pair = 2 * (size_t)K, two_rows = (size_t)W * pair;
    return (wf_runs){.outer = (size_t)N * (size_t)(H / 2),
                     .inner = (size_t)(W / 2),
                     .run = pair,
                     .from_outer = two_rows,
                     .from_inner = pair,
                     .to_outer = two_rows,
                     .to_inner = 2 * pair};
}

int wf_squeeze(wf_backend *b, int N, int H, int W, int K, const wf_real *x, wf_real *y)
{
    wf_runs runs = row_of_blocks(N, H, W, K);
    WF_TRY(b->copy_runs(b, &runs, y, x));
    return b->copy_runs(b, &runs, wf_at(b, y, runs.run), wf_at(b, x, runs.from_outer / 2));
}

int wf_unsqueeze(wf_backend *b, int N, int H, int W, int K, const wf_real *y, wf_real *x, bool add)
{
    wf_runs runs = row_of_blocks(N, H, W, K);
    size_t inner = runs.from_inner;
    runs.from_inner = runs.to_inner;
    runs.to_inner = inner;
    runs.add = add;
    WF_TRY(b->copy_runs(b, &runs, x, y));
    return b->copy_runs(b, &runs, wf_at(b, x, runs.to_outer / 2), wf_at(b, y, runs.run));
}

int wf_copy_channels(wf_backend *b, size_t pixels, int count, const wf_real *from, int from_K, wf_real *to, int to_K)
{
    wf_runs runs = {
        .outer = 1, .inner = pixels, .run = (size_t)count, .from_inner = (size_t)from_K, .to_inner = (size_t)to_K};
    return b->copy_runs(b, &runs, to, from);
}
