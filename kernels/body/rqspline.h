/* rqspline.h - monotone rational-quadratic splines with linear tails (Durkan et al. 2019, sections 3.1 and 3.2)
 *
 * Parameters: logits of `count` widths, logits of `count` heights, then count - 1 numbers for the derivatives at the
 * inner knots. Knots go from (-bound, -bound) to (bound, bound); outside, and for all parameters 0, the transform is
 * the identity. One detail is not in the paper: the transform is 0.99 of the spline S plus 0.01 x. Between steep knots
 * the slope of S falls to 1e-7, far below that of the knots, and y in single precision no longer tells x. */
#ifndef WF_BODY_RQSPLINE_H
#define WF_BODY_RQSPLINE_H

#include "../backend.h"
#include "root.h"

#define WF_SPLINE_LINEAR 1e-2f /* the part of x */

/* The minimum of a bin's share of the axis, and of a derivative. */
#define WF_SPLINE_LEAST 1e-3f

/* softplus of this is 1 - WF_SPLINE_LEAST. */
#define WF_SPLINE_ONE 0.539742417f

typedef struct wf_shares {
    float top, sum; /* share j is exp(logit j - top) / sum */
} wf_shares;

WF_BODY wf_shares wf_spline_shares(int count, const float *logits, int stride)
{
    wf_shares s = {logits[0], 0};
    for (int j = 1; j < count; j++)
        s.top = logits[j * stride] > s.top ? logits[j * stride] : s.top;
    for (int j = 0; j < count; j++)
        s.sum += wf_exp(logits[j * stride] - s.top);
    return s;
}

WF_BODY float wf_spline_share(wf_shares s, float logit)
{
    return wf_exp(logit - s.top) / s.sum;
}

/* Length of a bin with this share of the axis. */
WF_BODY float wf_spline_length(const wf_transform *how, float share)
{
    float whole = 2.0f * (float)how->bound;
    return whole * (WF_SPLINE_LEAST + (1.0f - WF_SPLINE_LEAST * (float)how->count) * share);
}

/* Derivative at knot i of 0 .. count. */
WF_BODY float wf_spline_derivative(const wf_transform *how, int i, const float *params, int stride)
{
    if (i == 0 || i == how->count)
        return 1.0f;
    return WF_SPLINE_LEAST + wf_softplus(params[(2 * how->count + i - 1) * stride] + WF_SPLINE_ONE);
}

typedef struct wf_bin {
    int at;
    float x, y, w, h, s; /* left knot, width, height, h / w */
    float d0, d1;        /* derivatives at its knots */
    wf_shares widths, heights;
} wf_bin;

/* Returns the transform where the spline has this value. */
WF_BODY float wf_spline_mix(float value, float x)
{
    return value + WF_SPLINE_LINEAR * (x - value);
}

/* Finds the bin of an x or, with `by_y`, of a y inside the bounds. */
WF_BODY wf_bin wf_spline_bin(const wf_transform *how, int by_y, float value, const float *params, int stride)
{
    const float *tall = params + how->count * stride;
    const float end = (float)how->bound;
    wf_bin b = {0, -end, -end, 0, 0, 0, 0, 0, {0, 0}, {0, 0}};
    b.widths = wf_spline_shares(how->count, params, stride);
    b.heights = wf_spline_shares(how->count, tall, stride);
    for (;; b.at++) { /* lengths come from shares, not from differences of knots: narrow bins keep their digits */
        b.w = wf_spline_length(how, wf_spline_share(b.widths, params[b.at * stride]));
        b.h = wf_spline_length(how, wf_spline_share(b.heights, tall[b.at * stride]));
        if (b.at + 1 == how->count || value < (by_y ? wf_spline_mix(b.y + b.h, b.x + b.w) : b.x + b.w))
            break;
        b.x += b.w;
        b.y += b.h;
    }
    b.s = b.h / b.w;
    b.d0 = wf_spline_derivative(how, b.at, params, stride);
    b.d1 = wf_spline_derivative(how, b.at + 1, params, stride);
    return b;
}

/* The spline at position 0 <= at <= 1 of the bin: the value is y + h * above / below and the derivative s^2 * steep /
 * below^2 (equations 4 and 5). */
typedef struct wf_ratio {
    float at, both, above, below, steep; /* both = at * (1 - at) */
} wf_ratio;

WF_BODY wf_ratio wf_spline_ratio(const wf_bin *b, float at)
{
    float rest = 1.0f - at, both = at * rest;
    wf_ratio r = {at, both, 0, 0, 0};
    r.above = b->s * at * at + b->d0 * both;
    r.below = b->s + (b->d1 + b->d0 - 2.0f * b->s) * both;
    r.steep = b->d1 * at * at + 2.0f * b->s * both + b->d0 * rest * rest;
    return r;
}

/* Returns the derivative of the spline alone. */
WF_BODY float wf_spline_slope(const wf_bin *b, const wf_ratio *r)
{
    float ratio = b->s / r->below;
    return ratio * ratio * r->steep;
}

WF_BODY int wf_spline_outside(const wf_transform *how, float value)
{
    float end = (float)how->bound;
    return !(value >= -end && value <= end);
}

WF_BODY float wf_spline_place(float at)
{
    return at < 0 ? 0 : at > 1.0f ? 1.0f : at;
}

WF_BODY float wf_rqspline_forward(const wf_transform *how, float x, const float *params, int stride,
                                  float *log_derivative)
{
    *log_derivative = 0;
    if (wf_spline_outside(how, x))
        return x;
    wf_bin b = wf_spline_bin(how, 0, x, params, stride);
    wf_ratio r = wf_spline_ratio(&b, wf_spline_place((x - b.x) / b.w));
    *log_derivative = wf_log(wf_spline_mix(wf_spline_slope(&b, &r), 1.0f));
    return wf_spline_mix(b.y + b.h * (r.above / r.below), x);
}

/* Returns the position in the bin where the spline alone would have the value b->y + over * b->h: the root of equations
 * 6 to 8. */
WF_BODY float wf_spline_position(const wf_bin *bin, float over)
{
    float bend = bin->d1 + bin->d0 - 2.0f * bin->s;
    float a = bin->s - bin->d0 + over * bend, b = bin->d0 - over * bend, c = -bin->s * over;
    float square = b * b - 4.0f * a * c;
    return wf_spline_place(2.0f * c / (-b - sqrtf(square > 0 ? square : 0)));
}

/* Newton's method from there. The linear part makes the equation a cubic one. */
WF_BODY float wf_rqspline_inverse(const wf_transform *how, float y, const float *params, int stride,
                                  float *log_derivative)
{
    *log_derivative = 0;
    if (wf_spline_outside(how, y))
        return y;
    wf_bin bin = wf_spline_bin(how, 1, y, params, stride);
    wf_root root = wf_root_between(0, 1);
    float past = y - wf_spline_mix(bin.y, bin.x), over, slope;
    root.at = wf_spline_position(&bin, past / wf_spline_mix(bin.h, bin.w));
    do {
        wf_ratio r = wf_spline_ratio(&bin, root.at);
        over = wf_spline_mix(bin.h * (r.above / r.below), bin.w * root.at) - past;
        slope = wf_spline_mix(wf_spline_slope(&bin, &r), 1.0f);
    } while (wf_root_step(&root, over, bin.w * slope));
    wf_ratio r = wf_spline_ratio(&bin, root.at);
    *log_derivative = wf_log(wf_spline_mix(wf_spline_slope(&bin, &r), 1.0f));
    return bin.x + root.at * bin.w;
}

/* Gradients by the logits of one axis. before: gradient by the start of the bin; length: gradient by its length. */
WF_BODY void wf_spline_shares_vjp(const wf_transform *how, const wf_bin *b, wf_shares shares, const float *logits,
                                  int stride, float before, float length, float *dlogits)
{
    float scale = 2.0f * (float)how->bound * (1.0f - WF_SPLINE_LEAST * (float)how->count), mean = 0;
    for (int j = 0; j <= b->at; j++)
        mean += wf_spline_share(shares, logits[j * stride]) * (j < b->at ? before : length);
    for (int j = 0; j < how->count; j++) {
        float by = j < b->at ? before : j == b->at ? length : 0;
        dlogits[j * stride] = scale * wf_spline_share(shares, logits[j * stride]) * (by - mean);
    }
}

WF_BODY float wf_rqspline_vjp(const wf_transform *how, int inverse, float x, const float *params, int stride,
                              float dlogdet, float g, float *dparams)
{
    for (int j = 0; j < 3 * how->count - 1; j++)
        dparams[j * stride] = 0;
    if (wf_spline_outside(how, x))
        return g;
    wf_bin b = wf_spline_bin(how, 0, x, params, stride);
    wf_ratio r = wf_spline_ratio(&b, wf_spline_place((x - b.x) / b.w));
    float spline = wf_spline_slope(&b, &r), slope = wf_spline_mix(spline, 1.0f), tilt = 1.0f - 2.0f * r.at;
    float log_part = dlogdet * (1.0f - WF_SPLINE_LINEAR) * spline / slope; /* gradient by the log-slope of the spline */
    float below_by_at = (b.d1 + b.d0 - 2.0f * b.s) * tilt;
    float steep_by_at = 2.0f * (b.d1 * r.at + b.s * tilt - b.d0 * (1.0f - r.at));
    float log_by_at = steep_by_at / r.steep - 2.0f * below_by_at / r.below; /* derivative of the log-slope */
    float total = inverse ? (g + log_part * log_by_at / b.w) / slope : g * slope + log_part * log_by_at / b.w;
    float gy = (1.0f - WF_SPLINE_LINEAR) * (inverse ? -total : g); /* gradient by the spline at fixed x */

    float value = r.above / r.below, squared = 1.0f / (r.below * r.below);
    float by_at = gy * b.w * spline + log_part * log_by_at;
    float by_s = gy * b.h * (r.at * r.at * r.below - r.above * (1.0f - 2.0f * r.both)) * squared +
                 log_part * (2.0f / b.s + 2.0f * r.both / r.steep - 2.0f * (1.0f - 2.0f * r.both) / r.below);
    float by_d0 = gy * b.h * r.both * (r.below - r.above) * squared +
                  log_part * ((1.0f - r.at) * (1.0f - r.at) / r.steep - 2.0f * r.both / r.below);
    float by_d1 = -gy * b.h * r.both * r.above * squared + log_part * (r.at * r.at / r.steep - 2.0f * r.both / r.below);

    float by_w = -(by_s * b.s + by_at * r.at) / b.w, by_h = gy * value + by_s / b.w;
    wf_spline_shares_vjp(how, &b, b.widths, params, stride, -by_at / b.w, by_w, dparams);
    int tall = how->count * stride, derivatives = 2 * how->count;
    wf_spline_shares_vjp(how, &b, b.heights, params + tall, stride, gy, by_h, dparams + tall);
    if (b.at > 0)
        dparams[(derivatives + b.at - 1) * stride] =
            by_d0 * wf_sigmoid(params[(derivatives + b.at - 1) * stride] + WF_SPLINE_ONE);
    if (b.at + 1 < how->count)
        dparams[(derivatives + b.at) * stride] =
            by_d1 * wf_sigmoid(params[(derivatives + b.at) * stride] + WF_SPLINE_ONE);
    return total;
}

#endif
