/* lattice.h - cells of whole-number coefficients, their probability under a mixture of logistics, and its gradient
 * (wf_lattice in backend.h; discretized logistics: Salimans et al. 2017, section 2.1)
 *
 * A component's share of a cell with the edges a < b is
 *     sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)).
 * Its logarithm has no cancellation, far out and for narrow cells. */
#ifndef WF_BODY_LATTICE_H
#define WF_BODY_LATTICE_H

#include "../../lib/base/lattice.h"
#include "../backend.h"
#include "elementary.h"

#define WF_HALF_LOG_TWO_PI 0.918938533204672741780

/* Refuses sizes that are out of range: WF_INTERNAL. */
static inline int wf_lattice_check(int N, const wf_lattice *l)
{
    bool base = l->band == WF_LATTICE_BASE;
    WF_CHECK(N > 0 && l->H > 0 && l->W > 0 && l->C > 0 && l->C <= WF_LATTICE_MAX_COLOURS && l->components > 0 &&
                 l->components <= WF_LATTICE_MAX_COMPONENTS && l->band >= WF_LATTICE_BASE && l->band < 3,
             WF_INTERNAL, "lattice: N %d, %d x %d, %d colours, %d components, band %d", N, l->H, l->W, l->C,
             l->components, l->band);
    WF_CHECK(l->bits > 0 && l->halvings >= !base && l->bits + 2 * l->halvings <= WF_LATTICE_MAX_BITS &&
                 (base || l->cond >= l->C),
             WF_INTERNAL, "lattice: %d bits, %d halvings, %d channels of the condition", l->bits, l->halvings, l->cond);
    return WF_OK;
}

/* Units: x = whole * unit + offset. */
WF_BODY float wf_lattice_unit(const wf_lattice *l)
{
    int exponent = l->bits + 2 * l->halvings - (l->band != WF_LATTICE_BASE);
    return wf_float_of((uint32_t)(127 - exponent) << 23);
}

WF_BODY float wf_lattice_low_offset(const wf_lattice *l)
{
    return wf_float_of((uint32_t)(126 - l->bits) << 23) - 0.5f;
}

/* Returns the place in `range` of the number nearest to v; NaN: 0. */
WF_BODY int64_t wf_lattice_nearest(wf_range range, float v)
{
    float place = floorf((v - (float)range.first) / (float)range.step + 0.5f), last = (float)(range.count - 1);
    return (int64_t)(place > 0.0f ? (place < last ? place : last) : 0.0f);
}

WF_BODY int64_t wf_lattice_number(wf_range range, int64_t place)
{
    return range.first + place * range.step;
}

/* Returns the range of a coefficient. x, cond: of its pixel. */
WF_BODY wf_range wf_lattice_range(const wf_lattice *l, const float *x, const float *cond, int colour)
{
    int64_t pixel = ((int64_t)1 << l->bits) - 1;
    wf_range base = {0, 1, (pixel << 2 * l->halvings) + 1};
    if (l->band == WF_LATTICE_BASE)
        return base;
    int64_t m = pixel << 2 * (l->halvings - 1);
    float per_low = wf_float_of((uint32_t)(127 + l->bits + 2 * l->halvings) << 23), unit = wf_lattice_unit(l);
    wf_range sums = {0, 1, 4 * m + 1};
    int64_t S = wf_lattice_nearest(sums, (cond[colour] - wf_lattice_low_offset(l)) * per_low);
    wf_range h = wf_lattice_h(m, S);
    if (l->band == 0)
        return h;
    int64_t H = wf_lattice_number(h, wf_lattice_nearest(h, x[colour] / unit));
    wf_range v = wf_lattice_v(m, S, H);
    if (l->band == 1)
        return v;
    int64_t V = wf_lattice_number(v, wf_lattice_nearest(v, x[l->C + colour] / unit));
    return wf_lattice_d(m, S, H, V);
}

/* A cell in units of T. `below`: 1 if cells lie below it, `above`: above it; else 0. */
typedef struct wf_cell {
    float low, high, width, below, above;
} wf_cell;

/* Channel of a coefficient in x. */
WF_BODY int wf_lattice_channel(const wf_lattice *l, int colour)
{
    return (l->band == WF_LATTICE_BASE ? 0 : l->band * l->C) + colour;
}

WF_BODY float wf_lattice_offset(const wf_lattice *l)
{
    return l->band == WF_LATTICE_BASE ? wf_lattice_low_offset(l) : 0.0f;
}

/* Returns the place of a coefficient in its range. */
WF_BODY int64_t wf_lattice_place(const wf_lattice *l, wf_range range, const float *x, int colour)
{
    return wf_lattice_nearest(range, (x[wf_lattice_channel(l, colour)] - wf_lattice_offset(l)) / wf_lattice_unit(l));
}

/* Returns NaN if a coefficient or its low-pass is not finite, else 0: rounding would hide it. */
WF_BODY float wf_lattice_poison(const wf_lattice *l, const float *x, const float *cond, int colour)
{
    float sum = x[colour];
    for (int band = 1; band <= l->band; band++)
        sum += x[band * l->C + colour];
    return 0.0f * (l->band == WF_LATTICE_BASE ? sum : sum + cond[colour]);
}

/* Returns the factor of T; norm: [2,channels of x] as in backend.h. */
WF_BODY float wf_lattice_scale(const wf_lattice *l, const float *norm, int channel)
{
    int channels = l->band == WF_LATTICE_BASE ? l->C : 3 * l->C;
    return wf_exp(3.0f * norm[channels + channel]);
}

/* Returns the cell at `place`. */
WF_BODY wf_cell wf_lattice_cell(const wf_lattice *l, wf_range range, int64_t place, const float *norm, int colour)
{
    int channel = wf_lattice_channel(l, colour);
    float half = 0.5f * wf_lattice_unit(l), scale = wf_lattice_scale(l, norm, channel);
    int64_t twice = 2 * wf_lattice_number(range, place);
    float shift = wf_lattice_offset(l) + norm[channel];
    wf_cell cell = {((float)(twice - range.step) * half + shift) * scale,
                    ((float)(twice + range.step) * half + shift) * scale, (float)range.step * (2.0f * half * scale),
                    place > 0 ? 1.0f : 0.0f, place + 1 < range.count ? 1.0f : 0.0f};
    return cell;
}

/* Returns the part of the means that earlier colours of the pixel give. params: of the pixel, colour 0. */
WF_BODY float wf_lattice_shift(const wf_lattice *l, const float *x, const float *norm, const float *params, int colour)
{
    float sum = 0;
    for (int d = 0; d < colour; d++) {
        int channel = wf_lattice_channel(l, d);
        float T = (x[channel] + norm[channel]) * wf_lattice_scale(l, norm, channel);
        sum += params[(3 * l->components + d) * l->C + colour] * T;
    }
    return sum;
}

WF_BODY float wf_lattice_log_width(const wf_lattice *l, const wf_range *range)
{
    return wf_log((float)range->step * wf_lattice_unit(l));
}

/* Returns log dz/dx of a coefficient: with the normal's log density of z it is that of x. */
WF_BODY double wf_lattice_log_slope(float log_p, float log_width, float z)
{
    return (double)log_p - (double)log_width + 0.5 * (double)z * (double)z + WF_HALF_LOG_TWO_PI;
}

/* 1 - exp(-x) of x > 0, to a few units in the last place. */
WF_BODY float wf_one_minus_exp(float x)
{
    float series = x * (1 - x * 0.5f * (1 - x / 3 * (1 - x * 0.25f * (1 - x * 0.2f * (1 - x / 6)))));
    return x < 0.25f ? series : 1.0f - wf_exp(-x);
}

/* Component i at a cell: the arguments a, b of its edges, and the logarithm of its share without its weight. */
typedef struct wf_share {
    float logit, e, a, b, gap, log_share; /* gap: b - a without cancellation */
} wf_share;

WF_BODY wf_share wf_lattice_share(int count, int i, wf_cell cell, float shift, const float *params, int stride)
{
    float mean = params[(count + i) * stride] + (float)(2 * i + 1 - count) / (float)count + shift;
    float e = wf_exp(1.0f - wf_clamp(params[(2 * count + i) * stride], 7.0f));
    float a = (cell.low - mean) * e, b = (cell.high - mean) * e, gap = cell.width * e;
    float log_share = -cell.below * wf_softplus(a) - cell.above * wf_softplus(-b) +
                      cell.below * cell.above * wf_log(wf_one_minus_exp(gap));
    wf_share s = {params[i * stride], e, a, b, gap, log_share};
    return s;
}

/* z > 0 with the probability p of a larger one, 1e-37 <= p <= 1/2 (Wichura 1988, Applied Statistics 37, algorithm AS
 * 241, PPND7: seven digits). */
WF_BODY float wf_normal_tail(float p)
{
    float q = 0.5f - p, r = 0.180625f - q * q;
    float middle = q * (((59.109374720f * r + 159.29113202f) * r + 50.434271938f) * r + 3.3871327179f) /
                   (((67.187563600f * r + 78.757757664f) * r + 17.895169469f) * r + 1.0f);
    float far = wf_exp(0.5f * wf_log(-wf_log(p))), near = far - 1.6f, beyond = far - 5.0f;
    float outer = (((0.17023821103f * near + 1.3067284816f) * near + 2.7568153900f) * near + 1.4234372777f) /
                  ((0.12021132975f * near + 0.73700164250f) * near + 1.0f);
    float last = (((0.017337203997f * beyond + 0.42868294337f) * beyond + 3.0812263860f) * beyond + 6.6579051150f) /
                 ((0.012258202635f * beyond + 0.24197894225f) * beyond + 1.0f);
    return q <= 0.425f ? middle : far <= 5.0f ? outer : last;
}

/* The normal's value with these probabilities of a smaller and a larger one. */
WF_BODY float wf_normal_between(float below, float above)
{
    float tail = below < above ? below : above, z = wf_normal_tail(tail < 1e-37f ? 1e-37f : tail);
    return below < above ? -z : z;
}

/* Sums over components, relative to the largest logit `top`: of weights; of weights times shares, as exp(most) times
 * `sum`; of weights times the probabilities below and above the cell. */
typedef struct wf_lattice_sums {
    float top, all, most, sum, below, above;
} wf_lattice_sums;

WF_BODY wf_lattice_sums wf_lattice_none(float top)
{
    wf_lattice_sums none = {top, 0, -1e30f, 0, 0, 0};
    return none;
}

WF_BODY wf_lattice_sums wf_lattice_add(wf_lattice_sums t, wf_cell cell, wf_share s)
{
    float weight = wf_exp(s.logit - t.top), x = s.logit - t.top + s.log_share, next = x > t.most ? x : t.most;
    t.all += weight;
    t.sum = t.sum * wf_exp(t.most - next) + wf_exp(x - next);
    t.most = next;
    t.below += cell.below * weight * wf_sigmoid(s.a);
    t.above += cell.above * weight * wf_sigmoid(-s.b);
    return t;
}

/* Returns log P of the cell, and z at the middle of its share. */
WF_BODY float wf_lattice_end(wf_lattice_sums t, float *z)
{
    float log_p = t.most + wf_log(t.sum) - wf_log(t.all), half = 0.5f * wf_exp(log_p);
    *z = wf_normal_between(t.below / t.all + half, t.above / t.all + half);
    return log_p;
}

/* Adds up all components of one coefficient. */
WF_BODY wf_lattice_sums wf_lattice_sum(int count, wf_cell cell, float shift, const float *params, int stride)
{
    float top = -1e30f;
    for (int i = 0; i < count; i++)
        top = params[i * stride] > top ? params[i * stride] : top;
    wf_lattice_sums sums = wf_lattice_none(top);
    for (int i = 0; i < count; i++) {
        wf_share s = wf_lattice_share(count, i, cell, shift, params, stride);
        sums = wf_lattice_add(sums, cell, s);
    }
    return sums;
}

/* Returns z at a cell's lower edge. */
WF_BODY float wf_lattice_edge(int count, wf_cell cell, float shift, const float *params, int stride)
{
    float top = -1e30f, all = 0, below = 0, above = 0;
    for (int i = 0; i < count; i++)
        top = params[i * stride] > top ? params[i * stride] : top;
    for (int i = 0; i < count; i++) {
        wf_share s = wf_lattice_share(count, i, cell, shift, params, stride);
        float weight = wf_exp(s.logit - top);
        all += weight;
        below += weight * wf_sigmoid(s.a);
        above += weight * wf_sigmoid(-s.a);
    }
    return wf_normal_between(below / all, above / all);
}

/* Returns the place of the cell whose share has z. */
WF_BODY int64_t wf_lattice_find(const wf_lattice *l, wf_range range, float z, float shift, const float *norm,
                                const float *params, int colour)
{
    int64_t low = 0, high = range.count - 1;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        wf_cell cell = wf_lattice_cell(l, range, middle, norm, colour);
        if (wf_lattice_edge(l->components, cell, shift, params + colour, l->C) <= z)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Writes the numbers of a pixel whose cells hold z, one colour after the other: x has the bands before. params: of the
 * pixel. Returns the sum of log dz/dx. */
WF_BODY double wf_lattice_invert(const wf_lattice *l, const float *z, const float *cond, const float *norm,
                                 const float *params, float *x)
{
    double sum = 0;
    for (int colour = 0; colour < l->C; colour++) {
        int channel = wf_lattice_channel(l, colour);
        wf_range range = wf_lattice_range(l, x, cond, colour);
        float shift = wf_lattice_shift(l, x, norm, params, colour), middle;
        int64_t place = wf_lattice_find(l, range, z[channel], shift, norm, params, colour);
        wf_cell cell = wf_lattice_cell(l, range, place, norm, colour);
        float log_p = wf_lattice_end(wf_lattice_sum(l->components, cell, shift, params + colour, l->C), &middle);
        x[channel] = (float)wf_lattice_number(range, place) * wf_lattice_unit(l) + wf_lattice_offset(l);
        sum += wf_lattice_log_slope(log_p, wf_lattice_log_width(l, &range), z[channel]);
    }
    return sum;
}

/* The gradient of log P by p_i, m'_i and s_i, times a factor. */
typedef struct wf_lattice_slope {
    float logit, mean, s;
} wf_lattice_slope;

WF_BODY wf_lattice_slope wf_lattice_vjp(wf_lattice_sums t, wf_cell cell, wf_share s, float factor, float raw_s)
{
    float mine = factor * wf_exp(s.logit - t.top + s.log_share - t.most) / t.sum; /* responsibility */
    float below = cell.below * wf_sigmoid(s.a), above = cell.above * wf_sigmoid(-s.b);
    float narrow = cell.below * cell.above * s.gap * wf_exp(-s.gap) / wf_one_minus_exp(s.gap);
    wf_lattice_slope slope = {mine - factor * wf_exp(s.logit - t.top) / t.all, mine * s.e * (below - above),
                              fabsf(raw_s) <= 7.0f ? -mine * (s.b * above - s.a * below + narrow) : 0.0f};
    return slope;
}

#endif
