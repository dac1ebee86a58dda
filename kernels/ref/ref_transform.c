/* ref_transform.c - couplings: each kind as its value, its slope and all their derivatives; the inverse by bisection */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

/* y = T(x; theta), log T'(x), and their derivatives by x and by each parameter. */
typedef struct jet {
    double y, log_slope;
    double bend; /* of log T' by x */
    double y_by[WF_TRANSFORM_MAX_PARAMETERS], log_slope_by[WF_TRANSFORM_MAX_PARAMETERS];
} jet;

static void additive(double x, const double *theta, jet *j)
{
    j->y = x + theta[0];
    j->y_by[0] = 1;
}

/* y = (x + t) exp(l); by_s: derivative of l by s. */
static void affine(double x, double t, double l, double by_s, jet *j)
{
    j->y = (x + t) * exp(l);
    j->log_slope = l;
    j->y_by[0] = j->y * by_s;
    j->y_by[1] = exp(l);
    j->log_slope_by[0] = by_s;
}

static void derive(const wf_transform *how, double x, const double *theta, jet *j)
{
    memset(j, 0, sizeof *j);
    switch (how->kind) {
    case WF_TRANSFORM_ADDITIVE:
        additive(x, theta, j);
        return;
    case WF_TRANSFORM_AFFINE_TANH:
        affine(x, theta[1], tanh(theta[0]), 1 - tanh(theta[0]) * tanh(theta[0]), j);
        return;
    case WF_TRANSFORM_AFFINE_SIGMOID:
        affine(x, theta[1], -log1p(exp(-theta[0] - 2)), 1 / (1 + exp(theta[0] + 2)), j);
        return;
    case WF_TRANSFORM_AFFINE_EXP:
        affine(x, theta[1], fmax(-5, fmin(5, theta[0])), fabs(theta[0]) <= 5, j);
        return;
    }
}

/* By one step of Newton from 0 where T is affine. Else T grows without bound, so that two numbers with T(low) <= y <= T(high) are
 * found by doubling, and then halved until no number lies between them. Leaves the jet at x. */
static double invert(const wf_transform *how, double y, const double *theta, jet *j)
{
    double low = -1, high = 1;
    derive(how, 0, theta, j);
    double x = (y - j->y) * exp(-j->log_slope);
    derive(how, x, theta, j);
    if (fabs(j->y - y) <= 1e-15 * fabs(y) || !isfinite(j->y))
        return x;
    while (derive(how, low, theta, j), j->y > y)
        low *= 2;
    while (derive(how, high, theta, j), j->y < y)
        high *= 2;
    for (;;) {
        x = low + (high - low) / 2;
        derive(how, x, theta, j);
        if (x == low || x == high)
            return x;
        if (j->y < y)
            low = x;
        else
            high = x;
    }
}

/* An element that moves. */
typedef struct element {
    size_t n, pixel, x, theta; /* picture, pixel of the batch, places in x and theta */
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

static int parameters_of(const wf_coupling *c, const wf_real *theta, const element *e, double *own)
{
    int m = wf_transform_parameters(&c->transform);
    for (int i = 0; i < m; i++)
        own[i] = ((const double *)theta)[e->theta + (size_t)(i * c->moved)];
    return m;
}

static void copy_state(const wf_coupling *c, int N, const wf_real *from, wf_real *to)
{
    if (from != to)
        memcpy(to, from, (size_t)N * (size_t)c->H * (size_t)c->W * (size_t)c->K * sizeof(double));
}

int wf_ref_transform_forward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *theta,
                             const wf_real *weight, wf_real *y, double *logdet)
{
    (void)b;
    element e;
    jet j;
    double own[WF_TRANSFORM_MAX_PARAMETERS];
    copy_state(c, N, x, y);
    for (size_t i = 0; next_moved(c, N, &i, &e);) {
        parameters_of(c, theta, &e, own);
        derive(&c->transform, ((const double *)x)[e.x], own, &j);
        ((double *)y)[e.x] = j.y;
        logdet[e.n] += (weight ? ((const double *)weight)[e.pixel] : 1) * j.log_slope;
    }
    return WF_OK;
}

int wf_ref_transform_inverse(wf_backend *b, const wf_coupling *c, int N, const wf_real *y, const wf_real *theta,
                             wf_real *x, double *logdet)
{
    (void)b;
    element e;
    jet j;
    double own[WF_TRANSFORM_MAX_PARAMETERS];
    copy_state(c, N, y, x);
    for (size_t i = 0; next_moved(c, N, &i, &e);) {
        parameters_of(c, theta, &e, own);
        ((double *)x)[e.x] = invert(&c->transform, ((const double *)y)[e.x], own, &j);
        if (logdet)
            logdet[e.n] -= j.log_slope;
    }
    return WF_OK;
}

static void clear_theta(const wf_coupling *c, int N, wf_real *dtheta)
{
    size_t m = (size_t)(wf_transform_parameters(&c->transform) * c->moved);
    memset(dtheta, 0, (size_t)N * (size_t)c->H * (size_t)c->W * m * sizeof(double));
}

int wf_ref_transform_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *theta,
                              const wf_real *weight, wf_real *g, double dlogdet, wf_real *dtheta)
{
    (void)b;
    element e;
    jet j;
    double own[WF_TRANSFORM_MAX_PARAMETERS];
    clear_theta(c, N, dtheta);
    for (size_t i = 0; next_moved(c, N, &i, &e);) {
        int m = parameters_of(c, theta, &e, own);
        double dy = ((const double *)g)[e.x], dl = dlogdet * (weight ? ((const double *)weight)[e.pixel] : 1);
        derive(&c->transform, ((const double *)x)[e.x], own, &j);
        for (int k = 0; k < m; k++)
            ((double *)dtheta)[e.theta + (size_t)(k * c->moved)] = dy * j.y_by[k] + dl * j.log_slope_by[k];
        ((double *)g)[e.x] = dy * exp(j.log_slope) + dl * j.bend;
    }
    return WF_OK;
}

/* x is a function of y and theta by T(x; theta) = y: dx/dy = 1/T', dx/dtheta = -(dT/dtheta)/T'. */
int wf_ref_transform_inverse_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x,
                                      const wf_real *theta, wf_real *g, double dlogdet, wf_real *dtheta)
{
    (void)b;
    element e;
    jet j;
    double own[WF_TRANSFORM_MAX_PARAMETERS];
    clear_theta(c, N, dtheta);
    for (size_t i = 0; next_moved(c, N, &i, &e);) {
        int m = parameters_of(c, theta, &e, own);
        derive(&c->transform, ((const double *)x)[e.x], own, &j);
        double dx = ((const double *)g)[e.x] + dlogdet * j.bend, dy = dx * exp(-j.log_slope);
        for (int k = 0; k < m; k++)
            ((double *)dtheta)[e.theta + (size_t)(k * c->moved)] = dlogdet * j.log_slope_by[k] - dy * j.y_by[k];
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
