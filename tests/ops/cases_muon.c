/* cases_muon.c - both steps of Muon */
#include <math.h>

#include "ops.h"

static const wf_muon rule = {.rate = 0.1, .momentum = 0.9, .decay = 0.95};

/* K weights, three steps; variant 1: the last element of the gradient is NaN, 2: it is infinite. */
int case_muon_momentum(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    size_t n = (size_t)d->K;
    wf_real *m = reals(r, "m", UPDATED, WHOLE, n, 1), *u = reals(r, "u", UPDATED, WHOLE, n, 1);
    wf_real *g = reals(r, "g", INPUT, WHOLE, n, 1);
    double *flag = doubles(r, "flag", WHOLE, 1, true), *kept = host(r, "m before", WHOLE, n),
           *now = host(r, "m after", WHOLE, n), bad, broken = d->variant & 1 ? NAN : -INFINITY, whole = 1;
    WF_TRY(b->download(b, kept, WF_F64, m, n));
    if (d->variant)
        WF_TRY(b->upload(b, wf_at(b, g, n - 1), &broken, WF_F64, 1));
    for (int step = 0; step < 3; step++)
        WF_TRY(b->muon_momentum(b, &rule, n, m, u, g, flag));
    WF_TRY(b->download_double(b, &bad, flag, 1));
    WF_CHECK(bad == (d->variant != 0), WF_INTERNAL, "muon_momentum: bad is %g", bad);
    WF_TRY(b->upload(b, wf_at(b, g, n - 1), &whole, WF_F64, 1)); /* its NaN would not compare equal */
    if (d->variant)
        WF_TRY(b->muon_momentum(b, &rule, n, m, u, g, flag));
    WF_TRY(b->download(b, now, WF_F64, m, n));
    for (size_t i = 0; i < n && d->variant; i++)
        WF_CHECK(now[i] == kept[i], WF_INTERNAL, "muon_momentum: moment %zu moved with the flag set", i);
    return WF_OK;
}

/* Sets the flag as a gradient that is not finite does. */
static int set_flag(run *r, double *flag)
{
    wf_backend *b = r->backend;
    const double none = NAN;
    wf_real *g = reals(r, "g", UPDATED, WHOLE, 1, 1), *m = reals(r, "m", UPDATED, WHOLE, 2, 1);
    WF_TRY(b->upload(b, g, &none, WF_F64, 1));
    WF_TRY(b->muon_momentum(b, &rule, 1, m, wf_at(b, m, 1), g, flag));
    return b->zero(b, g, b->real);
}

/* Matrices [K,C], [C,K] and [K,K], with 3 numbers before each that do not change; variant 1: the second u is zero, 2:
 * the flag is set. */
int case_muon_step(run *r, const dims *d)
{
    enum { GAP = 3, MATRICES = 3 };
    wf_backend *b = r->backend;
    const int rows[MATRICES] = {d->K, d->C, d->K}, columns[MATRICES] = {d->C, d->K, d->K};
    wf_matrix matrices[MATRICES];
    size_t n = 0;
    for (int i = 0; i < MATRICES; i++) {
        matrices[i] = (wf_matrix){n + GAP, rows[i], columns[i]};
        n = matrices[i].where + (size_t)rows[i] * (size_t)columns[i];
    }
    wf_real *u = reals(r, "u", UPDATED, WHOLE, n, 1), *w = reals(r, "w", UPDATED, WHOLE, n, 1);
    wf_real *ema = reals(r, "ema", UPDATED, WHOLE, n, 1);
    double *flag = doubles(r, "flag", WHOLE, 1, true), *kept = host(r, "w before", WHOLE, n),
           *now = host(r, "w after", WHOLE, n);
    if (d->variant == 1)
        WF_TRY(b->zero(b, wf_at(b, u, matrices[1].where), (size_t)d->K * (size_t)d->C * b->real));
    if (d->variant == 2)
        WF_TRY(set_flag(r, flag));
    WF_TRY(b->download(b, kept, WF_F64, w, n));
    WF_TRY(b->muon_step(b, &rule, MATRICES, matrices, u, w, ema, flag));
    WF_TRY(b->download(b, now, WF_F64, w, n));
    for (int i = 0; i < MATRICES; i++)
        for (int e = 0; e < GAP; e++) {
            size_t at = matrices[i].where - GAP + (size_t)e;
            WF_CHECK(now[at] == kept[at], WF_INTERNAL, "muon_step: number %zu is not of a matrix, but moved", at);
        }
    for (size_t i = 0; i < n && d->variant == 2; i++)
        WF_CHECK(now[i] == kept[i], WF_INTERNAL, "muon_step: weight %zu moved with the flag set", i);
    return WF_OK;
}
