/* muon.c - Muon on the smaller side of each matrix
 *
 * With n the smaller side of u, all Newton-Schulz steps go to the square G = u u' or u' u, [n,n], of which they are
 * polynomials: T = a + b G + c G G, P = T P, G = T G T. Then O = P u or u P. For n = 48 and 432 columns these are
 * 8 MFLOP, and 21 where every step multiplies u itself. Small singular values lose digits, since G has their squares.
 *
 * A thread has a matrix at a time, and each product has one order of its sums (product.h): the number of threads
 * changes no bit. */
#include "cpu.h"
#include "product.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "../body/pointwise.h"

/* A square matrix is an array of panels, [panels][n,WF_PANEL]; columns from n on mean nothing. */
typedef struct square {
    int n, panels;
    size_t count; /* floats */
} square;

static square square_of(int n)
{
    int panels = (n + WF_PANEL - 1) / WF_PANEL;
    return (square){n, panels, (size_t)panels * (size_t)n * WF_PANEL};
}

static int width(int n, int panel)
{
    return n - panel * WF_PANEL < WF_PANEL ? n - panel * WF_PANEL : WF_PANEL;
}

/* out [rows,WF_PANEL] = A u, A [rows,s.n] a square's first rows, u [s.n,WF_PANEL] of which `columns` count. */
static void multiply_panel(square s, const float *A, const float *u, int columns, float *out)
{
    for (int i = 0; i < s.panels; i++) {
        wf_product p = {.v = A + (size_t)i * (size_t)s.n * WF_PANEL,
                        .u = u + (size_t)i * WF_PANEL * WF_PANEL,
                        .k = (size_t)width(s.n, i),
                        .row = WF_PANEL,
                        .step = 1};
        wf_product_panel(&p, s.n, columns, i > 0, out);
    }
}

/* out = A B for squares */
static void multiply(square s, const float *A, const float *B, float *out)
{
    for (int i = 0; i < s.panels; i++) {
        size_t at = (size_t)i * (size_t)s.n * WF_PANEL;
        multiply_panel(s, A, B + at, width(s.n, i), out + at);
    }
}

static float *diagonal(square s, float *A, int i)
{
    return A + ((size_t)(i / WF_PANEL) * (size_t)s.n + (size_t)i) * WF_PANEL + i % WF_PANEL;
}

/* panel [n,WF_PANEL] = `columns` columns of a matrix whose elements are `row` and `column` floats apart, and zeros. */
static void pack(int n, int columns, const float *from, size_t row, size_t column, float *panel)
{
    if (columns < WF_PANEL)
        memset(panel, 0, (size_t)n * WF_PANEL * sizeof *panel);
    if (column == 1)
        for (int i = 0; i < n; i++)
            memcpy(panel + (size_t)i * WF_PANEL, from + (size_t)i * row, (size_t)columns * sizeof *panel);
    else
        for (int i = 0; i < n; i++)
            for (int j = 0; j < columns; j++)
                panel[(size_t)i * WF_PANEL + (size_t)j] = from[(size_t)i * row + (size_t)j * column];
}

/* G = the square of u on its smaller side. panel: room for a packed one. */
static void fill_square(square s, const wf_matrix *a, const float *u, float *panel, float *G)
{
    bool wide = a->rows <= a->columns;
    size_t columns = (size_t)a->columns, side = wide ? columns : 1, along = wide ? 1 : columns;
    int k = wide ? a->columns : a->rows;
    for (int i = 0; i < s.panels; i++) {
        pack(k, width(s.n, i), u + (size_t)(i * WF_PANEL) * side, along, side, panel);
        wf_product p = {.v = u, .u = panel, .k = (size_t)k, .row = side, .step = along};
        wf_product_panel(&p, s.n, width(s.n, i), false, G + (size_t)i * (size_t)s.n * WF_PANEL);
    }
}

/* Divides G by its trace, the squared norm of u. Returns what u is to be multiplied by. */
static float normalize(square s, float *G)
{
    double trace = 0;
    for (int i = 0; i < s.n; i++)
        trace += (double)*diagonal(s, G, i);
    double norm = fmax(sqrt(trace), 1e-7);
    float factor = (float)(1 / (norm * norm));
    for (size_t i = 0; i < s.count; i++)
        G[i] *= factor;
    return (float)(1 / norm);
}

/* T = a + b G + c G G */
static void fill_polynomial(square s, const float *G, float *T)
{
    multiply(s, G, G, T);
    for (size_t i = 0; i < s.count; i++)
        T[i] = wf_muon_polynomial_one(G[i], T[i]);
    for (int i = 0; i < s.n; i++)
        *diagonal(s, T, i) += WF_MUON_LINEAR;
}

/* Returns P, the product of all steps' T, in one of the four squares in `work`, of which the first is G. */
static float *polynomial(square s, float *work)
{
    float *G = work, *P = work + s.count, *T = work + 2 * s.count, *spare = work + 3 * s.count;
    for (int step = 0; step < WF_MUON_STEPS; step++) {
        float *now = step ? T : P;
        fill_polynomial(s, G, now);
        if (step) {
            float *before = P;
            multiply(s, T, P, spare);
            P = spare;
            spare = before;
        }
        if (step + 1 < WF_MUON_STEPS) {
            multiply(s, now, G, spare);
            multiply(s, spare, now, G);
        }
    }
    return P;
}

/* Updates `columns` columns of w and ema, from column `first` on, by o [rows,WF_PANEL]. */
static void update(const wf_matrix *a, int first, int columns, const float *o, float rate, float keep_decay, float *w,
                   float *ema)
{
    for (int i = 0; i < a->rows; i++) {
        size_t at = (size_t)i * (size_t)a->columns + (size_t)first;
        for (int j = 0; j < columns; j++)
            wf_muon_step_one(o[(size_t)i * WF_PANEL + (size_t)j], rate, keep_decay, &w[at + (size_t)j],
                             &ema[at + (size_t)j]);
    }
}

/* Floats of scratch for a matrix: four squares, a packed panel and a panel of O. */
static size_t work_size(const wf_matrix *a)
{
    int n = a->rows < a->columns ? a->rows : a->columns, longer = a->rows < a->columns ? a->columns : a->rows;
    return 4 * square_of(n).count + 2 * (size_t)longer * WF_PANEL;
}

static void step_matrix(const wf_muon *rule, const wf_matrix *a, const float *u, float *w, float *ema, float *work)
{
    bool wide = a->rows <= a->columns;
    int longer = wide ? a->columns : a->rows;
    square s = square_of(wide ? a->rows : a->columns);
    float *panel = work + 4 * s.count, *o = panel + (size_t)longer * WF_PANEL;
    fill_square(s, a, u, panel, work);
    float norm = normalize(s, work), *P = polynomial(s, work);
    float rate = (float)(rule->rate * sqrt(longer)) * norm, keep_decay = (float)(1 - rule->decay);
    for (int first = 0; first < a->columns; first += WF_PANEL) {
        int columns = a->columns - first < WF_PANEL ? a->columns - first : WF_PANEL;
        if (wide) {
            pack(s.n, columns, u + first, (size_t)a->columns, 1, panel);
            multiply_panel(s, P, panel, columns, o);
        } else {
            wf_product p = {u, P + (size_t)first * (size_t)s.n, (size_t)s.n, (size_t)a->columns, 1};
            wf_product_panel(&p, a->rows, columns, false, o);
        }
        update(a, first, columns, o, rate, keep_decay, w, ema);
    }
}

static int muon_step(wf_backend *b, const wf_muon *rule, int count, const wf_matrix *matrices, const wf_real *u,
                     wf_real *w, wf_real *ema, const double *bad)
{
    size_t each = 0, threads = (size_t)omp_get_max_threads();
    void *memory;
    for (const wf_matrix *a = matrices; a < matrices + count; a++)
        each = work_size(a) > each ? work_size(a) : each;
    each = (each + 15) / 16 * 16;
    if (*bad != 0 || !count)
        return WF_OK;
    WF_TRY(wf_cpu_scratch((wf_cpu *)b, threads * each * sizeof(float), &memory));
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count; i++) {
        const wf_matrix *a = &matrices[i];
        step_matrix(rule, a, (const float *)u + a->where, (float *)w + a->where, (float *)ema + a->where,
                    (float *)memory + (size_t)omp_get_thread_num() * each);
    }
    return WF_OK;
}

static int muon_momentum(wf_backend *b, const wf_muon *rule, size_t n, wf_real *m, wf_real *u, const wf_real *g,
                         double *bad)
{
    (void)b;
    const float momentum = (float)rule->momentum, keep = (float)(1 - rule->momentum);
    const float *gradient = (const float *)g;
    float *moment = (float *)m, *direction = (float *)u;
    wf_cpu_find_bad(n, gradient, bad);
    if (*bad != 0)
        return WF_OK;
#pragma omp parallel for simd schedule(static) if (n > WF_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++)
        wf_muon_momentum_one(gradient[i], momentum, keep, &moment[i], &direction[i]);
    return WF_OK;
}

void wf_cpu_muon_slots(wf_backend *b)
{
    b->muon_momentum = muon_momentum;
    b->muon_step = muon_step;
}
