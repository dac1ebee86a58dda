/* field_unit.c - measures the unit of fields */
#include "field_unit.h"

#include <math.h>
#include <stdlib.h>

#include "../base/count.h"

enum { FIELDS = 1024 };

/* Power of two nearest to a deviation, on a logarithmic scale. */
static int exponent_of(double deviation)
{
    if (!(deviation > 0))
        return 0;
    double exponent = round(log2(deviation));
    return (int)fmin(fmax(exponent, -WF_MAX_EXPONENT), WF_MAX_EXPONENT);
}

/* Adds up n values around the first one, which keeps digits where the mean is large. */
static void add_up(size_t n, const float *values, double origin, double sums[2])
{
    for (size_t i = 0; i < n; i++) {
        double v = values[i] - origin;
        sums[0] += v;
        sums[1] += v * v;
    }
}

static int measure(wf_store *store, int level, float *low, float *detail, wf_meta *meta)
{
    wf_level_shape s = wf_meta_level(meta, level);
    size_t each = wf_count3(s.H, s.W, s.C);
    int64_t count = wf_store_count(store) < FIELDS ? wf_store_count(store) : FIELDS;
    double sums[2] = {0}, origin = 0;
    for (int64_t at = 0; at < count; at++) {
        WF_TRY(wf_store_get(store, level, at, low, detail, NULL));
        origin = at ? origin : (double)low[0];
        add_up(each, low, origin, sums);
    }
    double n = (double)count * (double)each, mean = count ? sums[0] / n : 0;
    meta->mean = (float)(origin + mean);
    meta->exponent = exponent_of(count ? sqrt(fmax(sums[1] / n - mean * mean, 0)) : 0);
    return WF_OK;
}

int wf_field_unit_measure(wf_store *store, int level, wf_meta *meta)
{
    if (!wf_meta_is_field(meta))
        return WF_OK;
    wf_level_shape s = wf_meta_level(meta, level);
    float *low = malloc(wf_count3(s.H, s.W, s.C) * sizeof *low);
    float *detail = malloc(wf_count3(s.H, s.W, s.K) * sizeof *detail);
    int status = low && detail ? measure(store, level, low, detail, meta)
                               : wf_fail(WF_AGAIN, "level %d: out of memory for one field", level);
    free(low);
    free(detail);
    return status;
}
