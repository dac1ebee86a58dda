/* ref_muon.c - Muon as its authors write it: each Newton-Schulz step on the whole matrix */
#include <math.h>
#include <stdlib.h>

#include "ref.h"

int wf_ref_muon_momentum(wf_backend *b, const wf_muon *rule, size_t n, wf_real *m_, wf_real *u_, const wf_real *g_,
                         double *bad)
{
    double *m = (double *)m_, *u = (double *)u_, keep = 1 - rule->momentum;
    const double *g = (const double *)g_;
    WF_TRY(wf_ref_guard(b, n, g, bad));
    if (*bad != 0)
        return WF_OK;
    for (size_t i = 0; i < n; i++) {
        m[i] = rule->momentum * m[i] + keep * g[i];
        u[i] = rule->momentum * m[i] + keep * g[i];
    }
    return WF_OK;
}

/* O [rows,columns] = a O + b O O' O + c O O' O O' O. square [rows,rows]; turned, cubic, quintic [rows,columns]. */
static void newton_schulz(int rows, int columns, double *O, double *square, double *turned, double *cubic,
                          double *quintic)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            turned[j * rows + i] = O[i * columns + j];
    wf_ref_multiply(rows, columns, rows, O, turned, square);
    wf_ref_multiply(rows, rows, columns, square, O, cubic);
    wf_ref_multiply(rows, rows, columns, square, cubic, quintic);
    for (int i = 0; i < rows * columns; i++)
        O[i] = 3.4445 * O[i] - 4.7750 * cubic[i] + 2.0315 * quintic[i];
}

static int step_matrix(const wf_muon *rule, int rows, int columns, const double *u, double *w, double *ema)
{
    size_t n = (size_t)rows * (size_t)columns;
    double sum = 0, scale = rule->rate * sqrt(rows > columns ? rows : columns);
    double *O = malloc((4 * n + (size_t)rows * (size_t)rows) * sizeof *O);
    WF_CHECK(O, WF_AGAIN, "out of memory for a matrix of %d x %d", rows, columns);
    for (size_t i = 0; i < n; i++)
        sum += u[i] * u[i];
    for (size_t i = 0; i < n; i++)
        O[i] = u[i] / fmax(sqrt(sum), 1e-7);
    for (int step = 0; step < WF_MUON_STEPS; step++)
        newton_schulz(rows, columns, O, O + 4 * n, O + n, O + 2 * n, O + 3 * n);
    for (size_t i = 0; i < n; i++) {
        w[i] -= scale * O[i];
        ema[i] += (1 - rule->decay) * (w[i] - ema[i]);
    }
    free(O);
    return WF_OK;
}

int wf_ref_muon_step(wf_backend *b, const wf_muon *rule, int count, const wf_matrix *matrices, const wf_real *u,
                     wf_real *w, wf_real *ema, const double *bad)
{
    (void)b;
    for (const wf_matrix *a = matrices; a < matrices + count && *bad == 0; a++)
        WF_TRY(step_matrix(rule, a->rows, a->columns, (const double *)u + a->where, (double *)w + a->where,
                           (double *)ema + a->where));
    return WF_OK;
}
