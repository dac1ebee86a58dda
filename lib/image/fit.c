/* fit.c - resizing to fill a size: the largest part of that shape in the middle, averaged over areas
 *
 * All arithmetic is exact: along an axis, pixels of the source are `unit` long and pixels of the target `cell` long,
 * both whole numbers. A weight is the length that both share. Weighted sums stay below 2^51: a cell has at most 2^17,
 * its square times a sample of 16 bits 2^50. */
#include <stdlib.h>
#include <string.h>

#include "format.h"

/* Target pixel i covers [start + i*cell, start + (i+1)*cell), source pixel k [k*unit, (k+1)*unit). */
typedef struct axis {
    int64_t start, unit, cell;
} axis;

/* First pixel of the source under target pixel i, and the one after the last. */
static void covered(const axis *a, int i, int64_t *first, int64_t *end)
{
    int64_t from = a->start + i * a->cell;
    *first = from / a->unit;
    *end = (from + a->cell + a->unit - 1) / a->unit;
}

/* The length that target pixel i shares with pixel k of the source, which it covers. */
static int64_t shared(const axis *a, int i, int64_t k)
{
    int64_t from = a->start + i * a->cell, to = from + a->cell, low = k * a->unit, high = low + a->unit;
    return (to < high ? to : high) - (from > low ? from : low);
}

/* Sums the rows under target row y, with weights, into sums[first .. end). */
static void sum_rows(const wf_image *image, const axis *down, int y, size_t first, size_t end, double *restrict sums)
{
    int64_t top, bottom;
    size_t width = (size_t)image->W * (size_t)image->C;
    covered(down, y, &top, &bottom);
    memset(sums + first, 0, (end - first) * sizeof *sums);
    for (int64_t k = top; k < bottom; k++) {
        const uint16_t *restrict row = image->pixels + (size_t)k * width;
        double weight = (double)shared(down, y, k);
        for (size_t j = first; j < end; j++)
            sums[j] += weight * row[j];
    }
}

/* Averages the sums under each pixel of a target row. Halves are rounded up. */
static void average_columns(const axis *across, int W, int C, const double *sums, double area, uint16_t *out)
{
    for (int x = 0; x < W; x++) {
        int64_t left, right;
        double total[WF_MAX_CHANNELS] = {0};
        covered(across, x, &left, &right);
        for (int64_t k = left; k < right; k++) {
            double weight = (double)shared(across, x, k);
            for (int c = 0; c < C; c++)
                total[c] += weight * sums[k * C + c];
        }
        for (int c = 0; c < C; c++)
            out[x * C + c] = (uint16_t)(total[c] / area + 0.5);
    }
}

int wf_image_fit(wf_image *image, const char *name, int H, int W)
{
    int64_t tall = image->H, wide = image->W;
    WF_CHECK(H >= 1 && W >= 1 && H <= tall && W <= wide, WF_DATA, "%s: %dx%d is smaller than --fit %dx%d" WF_FIT_ADVICE,
             name, image->H, image->W, H, W);
    if (H == tall && W == wide)
        return WF_OK;
    /* The tighter side decides the scale, cell / unit; all lengths are doubled, so that half of the rest is whole. */
    bool by_height = tall * W <= wide * H;
    int64_t unit = 2 * (by_height ? H : W), cell = 2 * (by_height ? tall : wide);
    axis down = {(tall * unit - H * cell) / 2, unit, cell}, across = {(wide * unit - W * cell) / 2, unit, cell};
    size_t C = (size_t)image->C, samples = (size_t)H * (size_t)W * C;
    double *sums = malloc((size_t)wide * C * sizeof *sums);
    uint16_t *out = malloc(samples * sizeof *out);
    if (!sums || !out) {
        free(sums);
        free(out);
        return wf_fail(WF_AGAIN, "%s: out of memory to fit it", name);
    }
    int64_t left, right, ignored;
    covered(&across, 0, &left, &ignored);
    covered(&across, W - 1, &ignored, &right);
    for (int y = 0; y < H; y++) {
        sum_rows(image, &down, y, (size_t)left * C, (size_t)right * C, sums);
        average_columns(&across, W, image->C, sums, (double)cell * (double)cell, out + (size_t)y * (size_t)W * C);
    }
    memcpy(image->pixels, out, samples * sizeof *out); /* never more than before */
    image->H = H;
    image->W = W;
    free(sums);
    free(out);
    return WF_OK;
}
