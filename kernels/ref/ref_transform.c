/* ref_transform.c - couplings: each kind as its value, its log-derivative and the derivatives of both; the inverse as a
 * root */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

/* y = T(x; params), log T'(x), and their derivatives by x and by each parameter. */
typedef struct jet {
    double y, log_derivative;
    double bend; /* derivative of log T' by x */
    double y_by[WF_TRANSFORM_MAX_PARAMETERS], log_derivative_by[WF_TRANSFORM_MAX_PARAMETERS];
} jet;

static void additive(double x, const double *params, jet *j)
{
    j->y = x + params[0];
    j->y_by[0] = 1;
}

/* y = (x + t) exp(l); by_s: derivative of l by s. */
static void affine(double x, double t, double l, double by_s, jet *j)
{
    j->y = (x + t) * exp(l);
    j->log_derivative = l;
    j->y_by[0] = j->y * by_s;
    j->y_by[1] = exp(l);
    j->log_derivative_by[0] = by_s;
}

/* Divides 2 * bound into count shares, each at least a thousandth of it; a softmax of the logits divides the rest.
 * Writes the knots [count + 1] and their derivatives by logit i, [count + 1, count]. */
static void knots(int count, double bound, const double *logits, double *at, double *by)
{
    double sum = 0, largest = logits[0], share[WF_TRANSFORM_MAX_PARAMETERS];
    for (int i = 1; i < count; i++)
        largest = fmax(largest, logits[i]);
    for (int i = 0; i < count; i++)
        sum += share[i] = exp(logits[i] - largest);
    for (int i = 0; i < count; i++)
        share[i] /= sum;
    at[0] = -bound;
    for (int i = 0; i < count; i++)
        by[i] = 0;
    for (int k = 0; k < count; k++) {
        at[k + 1] = at[k] + 2 * bound * (1e-3 + (1 - 1e-3 * count) * share[k]);
        for (int i = 0; i < count; i++)
            by[(k + 1) * count + i] =
                by[k * count + i] + 2 * bound * (1 - 1e-3 * count) * share[k] * ((i == k) - share[i]);
    }
    at[count] = bound;
}

/* A function of six numbers with its gradient: left and right knot in x and in y, and the derivatives of the spline
 * there. */
typedef struct six {
    double value, by[6];
} six;

static six six_plus(six a, double factor, six b)
{
    a.value += factor * b.value;
    for (int i = 0; i < 6; i++)
        a.by[i] += factor * b.by[i];
    return a;
}

static six six_times(six a, six b)
{
    for (int i = 0; i < 6; i++)
        a.by[i] = a.by[i] * b.value + a.value * b.by[i];
    a.value *= b.value;
    return a;
}

static six six_over(six a, six b)
{
    for (int i = 0; i < 6; i++)
        a.by[i] = (a.by[i] - a.value / b.value * b.by[i]) / b.value;
    a.value /= b.value;
    return a;
}

static void spline(const wf_transform *how, double x, const double *params, jet *j)
{
    enum { MAX = WF_TRANSFORM_MAX_PARAMETERS };
    int count = how->count, bin = 0;
    double xs[MAX + 1], ys[MAX + 1], xs_by[MAX * MAX], ys_by[MAX * MAX];
    j->y = x;
    if (fabs(x) > how->bound)
        return;
    knots(count, how->bound, params, xs, xs_by);
    knots(count, how->bound, params + count, ys, ys_by);
    while (bin + 1 < count && x >= xs[bin + 1])
        bin++;
    /* softplus(c) = 1 - 1/1000 */
    double c = log(expm1(1 - 1e-3)), value[6] = {xs[bin], xs[bin + 1], ys[bin], ys[bin + 1], 1, 1},
           derivative_by[2] = {0, 0};
    for (int side = 0; side < 2; side++) {
        int knot = bin + side;
        if (knot == 0 || knot == count)
            continue;
        double v = params[2 * count + knot - 1] + c;
        value[4 + side] = 1e-3 + log1p(exp(v));
        derivative_by[side] = 1 / (1 + exp(-v));
    }
    six v[6], at = {x, {0}}, one = {1, {0}};
    for (int i = 0; i < 6; i++) {
        v[i] = (six){value[i], {0}};
        v[i].by[i] = 1;
    }
    six w = six_plus(v[1], -1, v[0]), h = six_plus(v[3], -1, v[2]), s = six_over(h, w);
    at = six_over(six_plus(at, -1, v[0]), w);
    six rest = six_plus(one, -1, at), both = six_times(at, rest);
    six bend = six_plus(six_plus(v[4], 1, v[5]), -2, s), below = six_plus(s, 1, six_times(bend, both));
    six above = six_plus(six_times(s, six_times(at, at)), 1, six_times(v[4], both));
    six steep = six_plus(six_times(v[5], six_times(at, at)), 2, six_times(s, both));
    steep = six_plus(steep, 1, six_times(v[4], six_times(rest, rest)));
    six y = six_plus(v[2], 1, six_times(h, six_over(above, below)));
    six derivative = six_over(six_times(six_times(s, s), steep), six_times(below, below));
    /* T = 0.99 y + 0.01 x */
    double slope = 0.99 * derivative.value + 0.01, part = 0.99 / slope;
    j->y = 0.99 * y.value + 0.01 * x;
    j->log_derivative = log(slope);
    /* The spline does not change when x and its knots move together. */
    j->bend = -part * (derivative.by[0] + derivative.by[1]);
    for (int i = 0; i < count; i++) {
        const double *left = xs_by + bin * count, *up = ys_by + bin * count;
        j->y_by[i] = 0.99 * (y.by[0] * left[i] + y.by[1] * left[count + i]);
        j->y_by[count + i] = 0.99 * (y.by[2] * up[i] + y.by[3] * up[count + i]);
        j->log_derivative_by[i] = part * (derivative.by[0] * left[i] + derivative.by[1] * left[count + i]);
        j->log_derivative_by[count + i] = part * (derivative.by[2] * up[i] + derivative.by[3] * up[count + i]);
    }
    for (int side = 0; side < 2; side++) {
        int knot = bin + side;
        if (knot == 0 || knot == count)
            continue;
        j->y_by[2 * count + knot - 1] = 0.99 * y.by[4 + side] * derivative_by[side];
        j->log_derivative_by[2 * count + knot - 1] = part * derivative.by[4 + side] * derivative_by[side];
    }
}

/* The mixture f, its complement c and its density p; a parameter changes them by df, -df and dp. Up to scale and offset
 * y = log f - log c + x/100 and T' = p/f + p/c + 1/100. */
typedef struct mixture {
    double f, c, p, derivative;
} mixture;

static void moved(jet *j, int i, double scale, const mixture *m, double df, double dp)
{
    j->y_by[i] = scale * (df / m->f + df / m->c);
    j->log_derivative_by[i] =
        (dp / m->f - m->p * df / (m->f * m->f) + dp / m->c + m->p * df / (m->c * m->c)) / m->derivative;
}

static void mixlogistic(int n, double x, const double *params, jet *j)
{
    mixture m = {0, 0, 0, 0};
    double sum = 0, dp = 0, share[WF_TRANSFORM_MAX_PARAMETERS];
    double a = fmax(-5, fmin(5, params[3 * n])), scale = exp(a);
    for (int i = 0; i < n; i++)
        sum += share[i] = exp(params[i]);
    for (int i = 0; i < n; i++) {
        double e = exp(-fmax(-5, fmin(5, params[2 * n + i]))), u = (x - params[n + i] - (2 * i + 1.0 - n) / n) * e;
        double below = 1 / (1 + exp(-u)), above = 1 / (1 + exp(u));
        share[i] /= sum;
        m.f += share[i] * below;
        m.c += share[i] * above;
        m.p += share[i] * e * below * above;
        dp += share[i] * e * e * below * above * (above - below);
    }
    m.derivative = m.p / m.f + m.p / m.c + 1e-2;
    j->y = (log(m.f) - log(m.c) + 1e-2 * x) * scale + params[3 * n + 1];
    j->log_derivative = log(m.derivative) + a;
    j->bend = (dp / m.f - m.p * m.p / (m.f * m.f) + dp / m.c + m.p * m.p / (m.c * m.c)) / m.derivative;
    for (int i = 0; i < n; i++) {
        double s = params[2 * n + i], e = exp(-fmax(-5, fmin(5, s))),
               u = (x - params[n + i] - (2 * i + 1.0 - n) / n) * e;
        double below = 1 / (1 + exp(-u)), above = 1 / (1 + exp(u)), bump = share[i] * below * above;
        moved(j, i, scale, &m, share[i] * (below - m.f), share[i] * (e * below * above - m.p));
        moved(j, n + i, scale, &m, -e * bump, -e * e * bump * (above - below));
        if (fabs(s) <= 5)
            moved(j, 2 * n + i, scale, &m, -u * bump, -e * bump * (1 + u * (above - below)));
    }
    if (fabs(params[3 * n]) <= 5) {
        j->y_by[3 * n] = j->y - params[3 * n + 1];
        j->log_derivative_by[3 * n] = 1;
    }
    j->y_by[3 * n + 1] = 1;
}

/* S = 1/100 + sum of squares of the polynomials. T is its integral, term by term, and the tangent beyond the bound. */
static void squares(const wf_transform *how, double x, const double *params, jet *j)
{
    int n = how->degree + 1;
    double u = fmax(-how->bound, fmin(how->bound, x)), S = 0.01, dS = 0, a[WF_TRANSFORM_MAX_PARAMETERS];
    j->y = params[0] + 0.01 * u;
    j->y_by[0] = 1;
    for (int k = 0; k < how->count; k++) {
        double p = 0, dp = 0;
        for (int i = 0; i < n; i++) {
            bool starts = k == 0 ? i == 0 : i == (k < how->degree ? k : how->degree);
            a[i] = params[1 + k * n + i] + (starts ? k == 0 ? sqrt(0.99) : 0.1 : 0);
            p += a[i] * pow(u, i);
            dp += i ? i * a[i] * pow(u, i - 1) : 0;
        }
        S += p * p;
        dS += 2 * p * dp;
        for (int i = 0; i < n; i++) {
            int at = 1 + k * n + i;
            j->log_derivative_by[at] = 2 * p * pow(u, i); /* the derivative of S at first; divided by S below */
            for (int l = 0; l < n; l++) {
                j->y += a[i] * a[l] * pow(u, i + l + 1) / (i + l + 1);
                j->y_by[at] += 2 * a[l] * pow(u, i + l + 1) / (i + l + 1);
            }
        }
    }
    j->y += S * (x - u);
    j->log_derivative = log(S);
    j->bend = u == x ? dS / S : 0;
    for (int at = 1; at < 1 + how->count * n; at++) {
        j->y_by[at] += j->log_derivative_by[at] * (x - u);
        j->log_derivative_by[at] /= S;
    }
}

static void derive(const wf_transform *how, double x, const double *params, jet *j)
{
    memset(j, 0, sizeof *j);
    switch (how->kind) {
    case WF_TRANSFORM_ADDITIVE:
        additive(x, params, j);
        return;
    case WF_TRANSFORM_AFFINE_TANH:
        affine(x, params[1], tanh(params[0]), 1 - tanh(params[0]) * tanh(params[0]), j);
        return;
    case WF_TRANSFORM_AFFINE_SIGMOID:
        affine(x, params[1], -log1p(exp(-params[0] - 2)), 1 / (1 + exp(params[0] + 2)), j);
        return;
    case WF_TRANSFORM_AFFINE_EXP:
        affine(x, params[1], fmax(-5, fmin(5, params[0])), fabs(params[0]) <= 5, j);
        return;
    case WF_TRANSFORM_RQSPLINE:
        spline(how, x, params, j);
        return;
    case WF_TRANSFORM_MIXLOGISTIC:
        mixlogistic(how->count, x, params, j);
        return;
    case WF_TRANSFORM_SOS:
        squares(how, x, params, j);
        return;
    }
}

/* Solves T(x) = y and leaves the jet at x. T grows without bound, so doubling finds low and high with T(low) <= y <=
 * T(high). Newton's steps follow, or bisection if a step leaves the bracket, until x stops changing. */
static double invert(const wf_transform *how, double y, const double *params, jet *j)
{
    double low = -1, high = 1, x = 0, old;
    if (!isfinite(y))
        return y;
    while (derive(how, low, params, j), j->y > y)
        low *= 2;
    while (derive(how, high, params, j), j->y < y)
        high *= 2;
    for (int step = 0; step < 200; step++) {
        derive(how, x, params, j);
        if (j->y < y)
            low = x;
        else
            high = x;
        old = x;
        x -= (j->y - y) * exp(-j->log_derivative);
        if (!(x >= low && x <= high) || step % 8 == 7)
            x = low + (high - low) / 2;
        if (fabs(x - old) <= 1e-15 * (1 + fabs(x)))
            break;
    }
    derive(how, x, params, j);
    return x;
}

/* A transformed element. */
typedef struct element {
    size_t n, pixel, x, params; /* picture, pixel of the batch, offsets in x and params */
} element;

static bool next_moved(const wf_coupling *c, int N, size_t *i, element *e)
{
    size_t K = (size_t)c->K, W = (size_t)c->W, P = (size_t)c->H * W, moved = (size_t)c->moved;
    for (; *i < (size_t)N * P * K; ++*i) {
        size_t channel = *i % K, pixel = *i / K, row = pixel % P / W, column = pixel % W;
        bool here = c->pixels == WF_EVERY_PIXEL || (row + column) % 2 == (c->pixels == WF_ODD_PIXELS ? 1 : 0);
        if (!here || channel < (size_t)c->first || channel >= (size_t)c->first + moved)
            continue;
        size_t m = (size_t)wf_transform_parameters(&c->transform);
        *e = (element){pixel / P, pixel, *i, pixel * m * moved + channel - (size_t)c->first};
        ++*i;
        return true;
    }
    return false;
}

static int parameters_of(const wf_coupling *c, const wf_real *params, const element *e, double *own)
{
    int m = wf_transform_parameters(&c->transform);
    for (int i = 0; i < m; i++)
        own[i] = ((const double *)params)[e->params + (size_t)(i * c->moved)];
    return m;
}

static void copy_state(const wf_coupling *c, int N, const wf_real *from, wf_real *to)
{
    if (from != to)
        memcpy(to, from, (size_t)N * (size_t)c->H * (size_t)c->W * (size_t)c->K * sizeof(double));
}

int wf_ref_transform_forward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                             const wf_real *weight, wf_real *y, double *logdet)
{
    (void)b;
    element e;
    jet j;
    double own[WF_TRANSFORM_MAX_PARAMETERS];
    copy_state(c, N, x, y);
    for (size_t i = 0; next_moved(c, N, &i, &e);) {
        parameters_of(c, params, &e, own);
        derive(&c->transform, ((const double *)x)[e.x], own, &j);
        ((double *)y)[e.x] = j.y;
        logdet[e.n] += (weight ? ((const double *)weight)[e.pixel] : 1) * j.log_derivative;
    }
    return WF_OK;
}

int wf_ref_transform_inverse(wf_backend *b, const wf_coupling *c, int N, const wf_real *y, const wf_real *params,
                             wf_real *x, double *logdet)
{
    (void)b;
    element e;
    jet j;
    double own[WF_TRANSFORM_MAX_PARAMETERS];
    copy_state(c, N, y, x);
    for (size_t i = 0; next_moved(c, N, &i, &e);) {
        parameters_of(c, params, &e, own);
        ((double *)x)[e.x] = invert(&c->transform, ((const double *)y)[e.x], own, &j);
        if (logdet)
            logdet[e.n] -= j.log_derivative;
    }
    return WF_OK;
}

static void clear_dparams(const wf_coupling *c, int N, wf_real *dparams)
{
    size_t m = (size_t)(wf_transform_parameters(&c->transform) * c->moved);
    memset(dparams, 0, (size_t)N * (size_t)c->H * (size_t)c->W * m * sizeof(double));
}

int wf_ref_transform_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                              const wf_real *weight, wf_real *g, double dlogdet, wf_real *dparams)
{
    (void)b;
    element e;
    jet j;
    double own[WF_TRANSFORM_MAX_PARAMETERS];
    clear_dparams(c, N, dparams);
    for (size_t i = 0; next_moved(c, N, &i, &e);) {
        int m = parameters_of(c, params, &e, own);
        double dy = ((const double *)g)[e.x], dl = dlogdet * (weight ? ((const double *)weight)[e.pixel] : 1);
        derive(&c->transform, ((const double *)x)[e.x], own, &j);
        for (int k = 0; k < m; k++)
            ((double *)dparams)[e.params + (size_t)(k * c->moved)] = dy * j.y_by[k] + dl * j.log_derivative_by[k];
        ((double *)g)[e.x] = dy * exp(j.log_derivative) + dl * j.bend;
    }
    return WF_OK;
}

/* x is a function of y and params by T(x; params) = y: dx/dy = 1/T', dx/dparams = -(dT/dparams)/T'. */
int wf_ref_transform_inverse_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x,
                                      const wf_real *params, wf_real *g, double dlogdet, wf_real *dparams)
{
    (void)b;
    element e;
    jet j;
    double own[WF_TRANSFORM_MAX_PARAMETERS];
    clear_dparams(c, N, dparams);
    for (size_t i = 0; next_moved(c, N, &i, &e);) {
        int m = parameters_of(c, params, &e, own);
        derive(&c->transform, ((const double *)x)[e.x], own, &j);
        double dx = ((const double *)g)[e.x] + dlogdet * j.bend, dy = dx * exp(-j.log_derivative);
        for (int k = 0; k < m; k++)
            ((double *)dparams)[e.params + (size_t)(k * c->moved)] = dlogdet * j.log_derivative_by[k] - dy * j.y_by[k];
        ((double *)g)[e.x] = dy;
    }
    return WF_OK;
}

int wf_ref_mask(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, bool add, wf_real *y)
{
    (void)b;
    element e;
    size_t i = 0, n = (size_t)N * (size_t)c->H * (size_t)c->W * (size_t)c->K;
    for (size_t k = 0; k < n; k++) {
        if (k >= i && !next_moved(c, N, &i, &e))
            e.x = i = n;
        double value = k == e.x ? 0 : ((const double *)x)[k];
        ((double *)y)[k] = add ? ((double *)y)[k] + value : value;
    }
    return WF_OK;
}
