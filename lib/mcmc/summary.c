/* summary.c - mean, deviation and quantiles of draws, value by value */
#include "summary.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double mean_of(size_t draws, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < draws; i++)
        sum += x[i];
    return sum / (double)draws;
}

static double deviation_of(size_t draws, const float *x)
{
    double mean = mean_of(draws, x), squares = 0;
    for (size_t i = 0; i < draws; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return draws > 1 ? sqrt(squares / (double)(draws - 1)) : 0;
}

/* Sorts x. */
static double quantile_of(double p, size_t draws, float *x)
{
    qsort(x, draws, sizeof *x, compare);
    double place = p * (double)(draws - 1);
    size_t below = (size_t)place, above = below + 1 < draws ? below + 1 : below;
    return x[below] + (place - (double)below) * (x[above] - x[below]);
}

int wf_summarize(wf_summary_kind kind, double p, size_t draws, size_t n, const float *x, float *out)
{
    float *one = malloc(draws * sizeof *one);
    WF_CHECK(one, WF_AGAIN, "summary: out of memory for %zu draws", draws);
    for (size_t i = 0; i < n; i++) {
        for (size_t t = 0; t < draws; t++)
            one[t] = x[t * n + i];
        out[i] = (float)(kind == WF_MEAN        ? mean_of(draws, one)
                         : kind == WF_DEVIATION ? deviation_of(draws, one)
                                                : quantile_of(p, draws, one));
    }
    free(one);
    return WF_OK;
}
