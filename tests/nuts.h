/* nuts.h - a record of draws, and Gaussians to draw from, shared by the tests of the No-U-Turn sampler */
#ifndef TESTS_NUTS_H
#define TESTS_NUTS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "../lib/mcmc/diagnostics.h"
#include "../lib/mcmc/nuts.h"

/* Draws of all chains after the first `skip` iterations, with the statistics reported for them. */
typedef struct record {
    int chains;
    size_t D, draws;
    uint64_t skip;
    double *x, *energy; /* [D,chains,draws], [chains,draws] */
    uint64_t leapfrogs, divergent, deepest;
    double acceptance, kinetic, least; /* means, and the least kinetic energy, nats */
} record;

static inline record record_create(int chains, size_t D, uint64_t skip, size_t draws)
{
    record r = {.chains = chains, .D = D, .draws = draws, .skip = skip};
    r.x = calloc(D * (size_t)chains * draws, sizeof *r.x);
    r.energy = calloc((size_t)chains * draws, sizeof *r.energy);
    return r;
}

static inline void record_clear(record *r)
{
    free(r->x);
    free(r->energy);
}

static inline const double *record_of(const record *r, size_t dimension)
{
    return r->x + dimension * (size_t)r->chains * r->draws;
}

static inline int record_draw(void *user, int chain, const double *x, const wf_nuts_draw *draw)
{
    record *r = user;
    if (draw->iteration < r->skip || draw->iteration >= r->skip + r->draws)
        return WF_OK;
    size_t all = (size_t)r->chains * r->draws, at = (size_t)chain * r->draws + (size_t)(draw->iteration - r->skip);
    for (size_t i = 0; i < r->D; i++)
        r->x[i * all + at] = x[i];
    r->energy[at] = draw->energy;
    r->kinetic += (draw->energy + draw->log_density) / (double)all;
    r->least = fmin(r->least, draw->energy + draw->log_density);
    r->leapfrogs += (uint64_t)draw->leapfrogs;
    r->divergent += draw->divergent;
    r->deepest = (uint64_t)draw->depth > r->deepest ? (uint64_t)draw->depth : r->deepest;
    r->acceptance += draw->acceptance / (double)all;
    return WF_OK;
}

/* x_i = i + scale_i y_i with y a stationary AR(1) sequence of unit variance: correlation r^|i-j|. */
typedef struct gaussian {
    size_t D;
    double r, scale[1000];
} gaussian;

/* Scales from 1 to `spread`. */
static inline gaussian gaussian_of(size_t D, double r, double spread)
{
    gaussian t = {.D = D, .r = r};
    for (size_t i = 0; i < D; i++)
        t.scale[i] = D > 1 ? pow(spread, (double)i / (double)(D - 1)) : 1;
    return t;
}

static inline int gaussian_density(void *user, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    const gaussian *t = user;
    (void)chain;
    for (int j = 0; j < n; j++, x += t->D, gradient += t->D) {
        double left = 1 - t->r * t->r, before = 0;
        logp[j] = 0;
        for (size_t i = 0; i < t->D; i++) {
            double y = (x[i] - (double)i) / t->scale[i];
            double off = i ? (y - t->r * before) / left : y; /* off (y - r before) is a term of the quadratic form */
            logp[j] -= 0.5 * off * (i ? y - t->r * before : y);
            gradient[i] = -off / t->scale[i];
            if (i)
                gradient[i - 1] += t->r * off / t->scale[i - 1];
            before = y;
        }
    }
    return WF_OK;
}

/* Distance of the mean of f [chains,draws] from its true value, in standard errors; NAN with fewer than 400 effective
 * draws. */
static inline double distance(const record *r, const double *f, double truth, double truth_error)
{
    wf_diagnosis d;
    if (wf_diagnose(r->chains, r->draws, f, &d) || !(d.ess_mean >= 400))
        return NAN;
    return (d.mean - truth) / sqrt(d.mcse * d.mcse + truth_error * truth_error);
}

/* Chi-square of counts against the uniform, as a normal score (Wilson and Hilferty 1931). */
static inline double uniform_score(const double *count, int bins)
{
    double chi2 = 0, all = 0, k = bins - 1;
    for (int b = 0; b < bins; b++)
        all += count[b];
    for (int b = 0; b < bins; b++)
        chi2 += pow(count[b] - all / bins, 2) / (all / bins);
    return (cbrt(chi2 / k) - (1 - 2 / (9 * k))) / sqrt(2 / (9 * k));
}

#endif
