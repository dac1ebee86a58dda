/* conv_tiny.c - convolutions of one to four pixels as matrix products (tiny.h, product.h)
 *
 * Maps are [N,P,C]. The scale exp(3 logs) is applied to y going forward and to dy going backward, not to w. A thread
 * makes the points of a panel of weights in its own cache, multiplies all rows by them, and finishes y while the sums
 * are near. The relu's gradient is applied where the points of dy are made. No sum depends on threads, and a row's sums
 * depend neither on its place nor on other rows.
 *
 * Microseconds forward / data / weights, one core of an EPYC (Zen 4, AVX-512), 128 to 128 channels, and the floor:
 * multiplications of the products at the rate of bench-level peak:fp32, 118 GFLOP/s.
 *     conv:128:128:2:64      2x2, 3x3, N 64    207 / 199 / 208    160
 *     conv:128:128:2:64:1    2x2, 1x1, N 64     81 /  84 /  86     71
 *     conv:128:128:1:64:1    1x1, 1x1, N 64     23 /  24 /  25     18
 *     conv:128:128:2:4       2x2, 3x3, N 4      42 /  35 /  37     10
 * With few pictures, most of the time goes into the points of the weights. Nine products of sums round more than the
 * sixteen of pixels. */
#include "product.h"
#include "tiny.h"

#include <math.h>
#include <omp.h>

enum {
    PANEL = WF_PANEL,
    GROUP = 64,       /* most rows of products that are finished together */
    SKEW = 16,        /* floats that keep rows off each other's cache lines */
    SHARED = 1 << 18, /* multiplications that are worth a second thread */
};

/* -- one call ------------------------------------------------------------------------------------------------------ */

typedef struct tiny {
    const wf_conv_spec *spec;
    form form;
    size_t rows, in, out;
    size_t in_panels, out_panels;
    int threads;
    size_t groups, out_groups; /* parts of all rows, and of all output channels */
    const float *w, *bias, *x;
    size_t tap[POINTS]; /* floats from a channel's weights to those of its live taps */
    float *scale;       /* [out] exp(3 logs), padded to panels */
    float *shift;       /* [out] bias exp(3 logs), padded */
    float *sums;        /* [out] dbias, padded */
    float *v;           /* X(x) or Y(dy), [points,rows,v_row] */
    size_t v_row;       /* channels padded to panels, and a skew */
    const float *a;     /* v, or x itself where it has one point: the rows of products, */
    size_t a_row;       /* as long as this */
    float *u;           /* W(w), [panels,lives,channels,PANEL]; with `own` a panel of each thread */
    size_t u_panel;     /* floats of one */
    bool own;
    float *panels; /* X(x), [in_panels,points,rows,PANEL] */
    float *m;      /* products, [threads,POINTS,GROUP,PANEL] */
    float *dots;   /* parts of dlogs, [in_panels,out] */
} tiny;

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Cuts `rows` into groups: enough for all threads, and of rows whose sums fill the registers. */
static size_t groups_of(size_t rows, size_t panels, int threads)
{
    size_t groups = divide_up(rows, GROUP);
    while (panels * groups < (size_t)threads && rows / groups > 2 * WF_PRODUCT_ROWS)
        groups *= 2;
    return groups;
}

/* Part i of `count` things. */
typedef struct part {
    size_t first, end;
} part;

static part part_of(size_t count, size_t i, size_t parts)
{
    return (part){count * i / parts, count * (i + 1) / parts};
}

static int tiny_open(wf_cpu *cpu, const wf_conv_spec *s, const float *w, const float *bias, const float *logs,
                     bool backward, tiny *t)
{
    *t = (tiny){.spec = s, .form = form_of(s), .in = (size_t)s->in, .out = (size_t)s->out, .w = w, .bias = bias};
    const form *f = &t->form;
    for (int i = 0; i < f->lives; i++)
        t->tap[i] = (size_t)f->live[i] * t->in;
    t->rows = (size_t)s->N * (size_t)s->H * (size_t)s->W / (size_t)f->pixels;
    t->in_panels = divide_up(t->in, PANEL);
    t->out_panels = divide_up(t->out, PANEL);
    t->threads = t->rows * (size_t)f->products * t->in * t->out < SHARED ? 1 : cpu->base.threads;
    t->groups = groups_of(t->rows, backward ? t->in_panels : t->out_panels, t->threads);
    t->out_groups = groups_of(t->out, t->in_panels, t->threads);

    size_t in = t->in_panels * PANEL, out = t->out_panels * PANEL, points = (size_t)f->points * t->rows;
    t->v_row = (backward ? out : in) + SKEW;
    size_t v = points * t->v_row, panels = points * in, of = backward ? t->in_panels : t->out_panels;
    t->own = of >= (size_t)t->threads;
    t->u_panel = (size_t)f->lives * (backward ? t->out : t->in) * PANEL;
    size_t u = (t->own ? (size_t)t->threads : of) * t->u_panel;
    size_t m = (size_t)t->threads * POINTS * GROUP * PANEL, dots = t->in_panels * out;
    void *memory;
    WF_TRY(wf_cpu_scratch(cpu, (3 * out + v + u + m + (backward ? panels + dots : 0)) * sizeof(float), &memory));
    t->scale = memory;
    t->shift = t->scale + out;
    t->sums = t->shift + out;
    t->v = t->sums + out;
    t->a = t->v;
    t->a_row = t->v_row;
    t->u = t->v + v;
    t->m = t->u + u;
    t->panels = t->m + m;
    t->dots = t->panels + panels;
    memset(t->scale, 0, 3 * out * sizeof(float));
    for (size_t o = 0; o < t->out; o++) {
        t->scale[o] = expf(3.0f * logs[o]);
        t->shift[o] = bias[o] * t->scale[o];
    }
    return WF_OK;
}

/* -- the points of maps -------------------------------------------------------------------------------------------- */

/* Loads a vector of channels, from c on, of all pixels of a row of x, and spreads them. */
WF_VEC void load_points(const tiny *t, counts k, size_t row, size_t c, wf_wide *v)
{
    int pixels = k.pixels;
    const float *x = t->x + row * (size_t)pixels * t->in + c;
#pragma GCC unroll 9
    for (int p = 0; p < pixels; p++)
        load_some(&v[p], x + (size_t)(pixels - 1 - p) * t->in, t->in - c);
    spread(k.pairs, v);
}

WF_VEC void make_rows(const tiny *t, counts k, part rows)
{
    for (size_t row = rows.first; row < rows.end; row++)
        for (size_t c = 0; c < t->in; c += LANES) {
            wf_wide v[POINTS] = {{0}};
            load_points(t, k, row, c, v);
#pragma GCC unroll 9
            for (int i = 0; i < k.points; i++)
                wf_wide_store(t->v + ((size_t)i * t->rows + row) * t->v_row + c, &v[i]);
        }
}

/* Writes vectors [first, end) of channels of X(x) as panels. */
WF_VEC void make_panels(const tiny *t, counts k, part vectors)
{
    for (size_t row = 0; row < t->rows; row++)
        for (size_t c = vectors.first * LANES; c < vectors.end * LANES; c += LANES) {
            wf_wide v[POINTS] = {{0}};
            float *to = t->panels + (c / PANEL * (size_t)t->form.points * t->rows + row) * PANEL + c % PANEL;
            load_points(t, k, row, c, v);
#pragma GCC unroll 9
            for (int i = 0; i < k.points; i++)
                wf_wide_store(to + (size_t)i * t->rows * PANEL, &v[i]);
        }
}

/* The gradient by y on its way to Y(dy). */
typedef struct result {
    const float *y, *add; /* the relu's, NULL: none */
    float *dy;
} result;

/* Writes one vector of channels, from c on, of a row of Y(dy), the gradient before the relu to dy, and adds to
 * dbias. */
WF_VEC void make_result_row(const tiny *t, counts k, const result *r, size_t row, size_t c)
{
    size_t count = t->out - c;
    wf_wide v[POINTS] = {{0}}, scale, sum;
    wf_wide_load(&scale, t->scale + c);
    wf_wide_load(&sum, t->sums + c);
#pragma GCC unroll 9
    for (int p = 0; p < k.pixels; p++) {
        size_t at = (row * (size_t)k.pixels + (size_t)p) * t->out + c;
        load_some(&v[p], r->dy + at, count);
        if (r->y) {
            wf_wide y, add = {0};
            load_some(&y, r->y + at, count);
            if (r->add)
                load_some(&add, r->add + at, count);
            v[p] = (wf_wide)((__typeof__(y > 0))(v[p] + add) & (y > 0));
            store_some(r->dy + at, &v[p], count);
        }
        v[p] *= scale;
        sum += v[p];
    }
    wf_wide_store(t->sums + c, &sum);
    spread(k.pairs, v);
#pragma GCC unroll 9
    for (int i = 0; i < k.points; i++)
        wf_wide_store(t->v + ((size_t)i * t->rows + row) * t->v_row + c, &v[i]);
}

WF_VEC void make_result(const tiny *t, counts k, const result *r, part vectors)
{
    for (size_t row = 0; row < t->rows; row++)
        for (size_t c = vectors.first * LANES; c < vectors.end * LANES; c += LANES)
            make_result_row(t, k, r, row, c);
}

/* -- the points of kernels ----------------------------------------------------------------------------------------- */

/* Loads a vector of input channels, from c on, of the live taps to channel o, and spreads them. Weights come from far
 * caches or memory: those to the channel `ahead` of o start on their way. */
WF_VEC void load_taps(const tiny *t, counts k, size_t o, size_t c, size_t ahead, wf_wide *v)
{
    size_t next = o + ahead < t->out ? ahead * (size_t)t->form.taps * t->in : 0;
    const float *w = t->w + o * (size_t)t->form.taps * t->in + c;
#pragma GCC unroll 9
    for (int i = 0; i < k.lives; i++) {
        load_some(&v[i], w + t->tap[i], t->in - c);
        __builtin_prefetch(w + t->tap[i] + next, 0, 2);
    }
    spread_taps(k.pairs, v);
}

/* Writes W(w) of LANES output channels, to multiply x. Input channels are contiguous in w, output channels in a
 * panel. */
WF_VEC void make_forward_unit(const tiny *t, counts k, size_t first, float *u)
{
    for (size_t c = 0; c < t->in; c += LANES) {
        float *to = u + c * PANEL + first % PANEL;
        wf_wide square[POINTS][LANES];
        for (size_t j = 0; j < LANES; j++) {
            wf_wide v[POINTS] = {{0}};
            if (first + j < t->out)
                load_taps(t, k, first + j, c, LANES, v);
#pragma GCC unroll 9
            for (int q = 0; q < k.lives; q++)
                square[q][j] = v[q];
        }
        for (int q = 0; q < k.lives; q++) {
            transpose(square[q]);
            for (size_t j = 0; j < LANES && c + j < t->in; j++)
                wf_wide_store(to + ((size_t)q * t->in + j) * PANEL, &square[q][j]);
        }
    }
}

/* Writes vectors of channels of W(w): of output channels to multiply x or, backward, of input channels to multiply dy.
 * u: the first panel. */
WF_VEC void make_forward(const tiny *t, counts k, part vectors, float *u)
{
    for (size_t i = vectors.first; i < vectors.end; i++)
        make_forward_unit(t, k, i * LANES, u + (i * LANES / PANEL - vectors.first * LANES / PANEL) * t->u_panel);
}

WF_VEC void make_backward(const tiny *t, counts k, part vectors, float *u)
{
    for (size_t o = 0; o < t->out; o++)
        for (size_t c = vectors.first * LANES; c < vectors.end * LANES; c += LANES) {
            float *to = u + (c / PANEL - vectors.first * LANES / PANEL) * t->u_panel + o * PANEL + c % PANEL;
            wf_wide v[POINTS] = {{0}};
            load_taps(t, k, o, c, k.lives == 1 ? 16 : 4, v);
#pragma GCC unroll 9
            for (int q = 0; q < k.lives; q++)
                wf_wide_store(to + (size_t)q * t->out * PANEL, &v[q]);
        }
}

static void make_weights(const tiny *t, bool backward, part vectors, float *u)
{
    if (backward)
        WITH_COUNTS(&t->form, make_backward(t, COUNTS, vectors, u));
    else
        WITH_COUNTS(&t->form, make_forward(t, COUNTS, vectors, u));
}

/* -- products ------------------------------------------------------------------------------------------------------ */

/* Operations on y before it is stored: times scale, + shift, + residual, max(0, .); scale NULL: none. */
typedef struct finish {
    const float *scale, *shift, *residual; /* residual NULL: none */
    bool relu;
    size_t channels;
    bool backwards; /* pixels */
    float *y;
} finish;

/* Collects the pixels of rows from the points in m [points,group,PANEL], `columns` channels from c on. */
WF_VEC void finish_rows(counts k, const finish *f, part rows, size_t c, size_t columns, const float *m)
{
    int pixels = k.pixels;
    size_t group = rows.end - rows.first;
    for (size_t row = 0; row < group; row++)
        for (size_t at = 0; at < columns; at += LANES) {
            wf_wide v[POINTS] = {{0}}, scale = {0}, shift = {0};
#pragma GCC unroll 9
            for (int i = 0; i < k.points; i++)
                wf_wide_load(&v[i], m + ((size_t)i * group + row) * PANEL + at);
            collect(k.pairs, v);
            if (f->scale) {
                wf_wide_load(&scale, f->scale + c + at);
                wf_wide_load(&shift, f->shift + c + at);
            }
#pragma GCC unroll 9
            for (int p = 0; p < pixels; p++) {
                size_t pixel = (rows.first + row) * (size_t)pixels + (size_t)(f->backwards ? pixels - 1 - p : p);
                size_t place = pixel * f->channels + c + at;
                if (f->scale)
                    v[p] = v[p] * scale + shift;
                if (f->residual) {
                    wf_wide residual;
                    load_some(&residual, f->residual + place, columns - at);
                    v[p] += residual;
                }
                if (f->relu)
                    wf_wide_relu(&v[p]);
                store_some(f->y + place, &v[p], columns - at);
            }
        }
}

/* Computes items of y from x or of dx from dy: a panel of a group of rows each. */
static void multiply_rows(const tiny *t, const finish *to, part items, const float *u, float *m)
{
    size_t k = to->backwards ? t->out : t->in;
    const form *f = &t->form;
    for (size_t i = items.first; i < items.end; i++) {
        size_t panel = i / t->groups, c = panel * PANEL, columns = to->channels - c < PANEL ? to->channels - c : PANEL;
        part rows = part_of(t->rows, i % t->groups, t->groups);
        size_t group = rows.end - rows.first;
        unsigned begun = 0;
        for (int j = 0; j < f->products; j++) {
            int x = f->product[j].x, y = f->product[j].y, from = to->backwards ? y : x, into = to->backwards ? x : y;
            const wf_product p = {.v = t->a + ((size_t)from * t->rows + rows.first) * t->a_row,
                                  .u = u + (panel - items.first / t->groups) * t->u_panel +
                                       (size_t)f->product[j].w * k * PANEL,
                                  .k = k,
                                  .row = t->a_row,
                                  .step = 1};
            wf_product_panel(&p, (int)group, (int)columns, begun >> into & 1, m + (size_t)into * group * PANEL);
            begun |= 1u << into;
        }
        WITH_COUNTS(f, finish_rows(COUNTS, to, rows, c, columns, m));
    }
}

/* Writes a part of dw [out,taps,in] from its points m [lives,group,PANEL], and its part of dlogs. */
WF_VEC void finish_weights(const tiny *t, counts k, part outs, size_t c, const float *m, float *dw)
{
    size_t group = outs.end - outs.first, columns = t->in - c < PANEL ? t->in - c : PANEL;
    for (size_t o = outs.first; o < outs.end; o++) {
        wf_wide dot = {0};
        for (size_t at = 0; at < columns; at += LANES) {
            wf_wide v[POINTS] = {{0}};
            size_t place = o * (size_t)t->form.taps * t->in + c + at;
#pragma GCC unroll 9
            for (int i = 0; i < k.lives; i++)
                wf_wide_load(&v[i], m + ((size_t)i * group + o - outs.first) * PANEL + at);
            collect_taps(k.pairs, v);
#pragma GCC unroll 9
            for (int i = 0; i < k.lives; i++) {
                wf_wide w;
                load_some(&w, t->w + place + t->tap[i], columns - at);
                dot += w * v[i];
                store_some(dw + place + t->tap[i], &v[i], columns - at);
            }
        }
        float sum = 0;
        for (int i = 0; i < LANES; i++)
            sum += dot[i];
        t->dots[c / PANEL * t->out + o] = sum;
    }
}

/* Computes items of dw: a panel of input channels of a group of output channels each. */
static void multiply_weights(const tiny *t, part items, float *m, float *dw)
{
    const form *f = &t->form;
    for (size_t i = items.first; i < items.end; i++) {
        size_t panel = i / t->out_groups, c = panel * PANEL, columns = t->in - c < PANEL ? t->in - c : PANEL;
        part outs = part_of(t->out, i % t->out_groups, t->out_groups);
        size_t group = outs.end - outs.first;
        unsigned begun = 0;
        for (int j = 0; j < f->products; j++) {
            size_t x = (size_t)f->product[j].x, y = (size_t)f->product[j].y;
            int w = f->product[j].w;
            const wf_product p = {.v = t->v + y * t->rows * t->v_row + outs.first,
                                  .u = t->panels + (panel * (size_t)f->points + x) * t->rows * PANEL,
                                  .k = t->rows,
                                  .row = 1,
                                  .step = t->v_row};
            wf_product_panel(&p, (int)group, (int)columns, begun >> w & 1, m + (size_t)w * group * PANEL);
            begun |= 1u << w;
        }
        WITH_COUNTS(f, finish_weights(t, COUNTS, outs, c, m, dw));
    }
}

/* The vectors of whole panels, of all there are. */
static part vectors_of(part panels, size_t vectors)
{
    size_t each = PANEL / LANES, end = panels.end * each;
    return (part){panels.first * each, end < vectors ? end : vectors};
}

static float *products_of(const tiny *t, size_t thread)
{
    return t->m + thread * POINTS * GROUP * PANEL;
}

/* Computes a thread's part of y from x or of dx from dy. The rows are there. */
static void run_rows(const tiny *t, const finish *to, size_t thread, size_t threads)
{
    const size_t each = PANEL / LANES, vectors = divide_up(to->channels, LANES), panels = divide_up(vectors, each);
    float *m = products_of(t, thread);
    if (!t->own) {
        part mine = part_of(panels, thread, threads), items = part_of(panels * t->groups, thread, threads);
        make_weights(t, to->backwards, vectors_of(mine, vectors), t->u + mine.first * t->u_panel);
#pragma omp barrier
        multiply_rows(t, to, items, t->u + items.first / t->groups * t->u_panel, m);
        return;
    }
    float *u = t->u + thread * t->u_panel;
    part mine = part_of(panels, thread, threads);
    for (size_t i = mine.first; i < mine.end; i++) {
        make_weights(t, to->backwards, vectors_of((part){i, i + 1}, vectors), u);
        multiply_rows(t, to, (part){i * t->groups, (i + 1) * t->groups}, u, m);
    }
}

/* -- passes -------------------------------------------------------------------------------------------------------- */

int wf_cpu_tiny_forward(wf_cpu *cpu, const wf_conv_spec *spec, const float *w, const float *bias, const float *logs,
                        const float *x, const float *residual, float *y)
{
    tiny t;
    WF_TRY(tiny_open(cpu, spec, w, bias, logs, false, &t));
    const finish to = {
        .scale = t.scale, .shift = t.shift, .residual = residual, .relu = spec->relu, .channels = t.out, .y = y};
    t.x = x;
    if (t.form.points == 1) {
        t.a = x;
        t.a_row = t.in;
    }
#pragma omp parallel num_threads(t.threads) if (t.threads > 1)
    {
        size_t thread = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        if (t.form.points > 1)
            WITH_COUNTS(&t.form, make_rows(&t, COUNTS, part_of(t.rows, thread, threads)));
#pragma omp barrier
        run_rows(&t, &to, thread, threads);
    }
    return WF_OK;
}

/* Zeroes the gradients of taps that meet no pixel. */
static void clear_dead_taps(const tiny *t, part outs, float *dw)
{
    size_t taps = (size_t)t->form.taps;
    if (t->form.lives < t->form.taps)
        memset(dw + outs.first * taps * t->in, 0, (outs.end - outs.first) * taps * t->in * sizeof *dw);
}

static void finish_scales(const tiny *t, part outs, float *dbias, float *dlogs)
{
    for (size_t o = outs.first; o < outs.end; o++) {
        float dot = t->bias[o] * t->sums[o];
        dbias[o] = t->sums[o];
        for (size_t panel = 0; panel < t->in_panels; panel++)
            dot += t->dots[panel * t->out + o];
        dlogs[o] = 3.0f * dot;
    }
}

int wf_cpu_tiny_backward(wf_cpu *cpu, const wf_conv_spec *spec, const float *w, const float *bias, const float *logs,
                         const float *x, const float *y, const float *add, float *dy, float *dx, float *dw,
                         float *dbias, float *dlogs)
{
    tiny t;
    WF_TRY(tiny_open(cpu, spec, w, bias, logs, true, &t));
    const result r = {.y = spec->relu ? y : NULL, .add = add, .dy = dy};
    const finish to = {.channels = t.in, .backwards = true, .y = dx};
    t.x = x;
    size_t vectors = divide_up(t.in, LANES);
#pragma omp parallel num_threads(t.threads) if (t.threads > 1)
    {
        size_t thread = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        part outs = part_of(t.out, thread, threads);
        WITH_COUNTS(&t.form, make_result(&t, COUNTS, &r, part_of(divide_up(t.out, LANES), thread, threads)));
        if (dw) {
            WITH_COUNTS(&t.form, make_panels(&t, COUNTS, part_of(vectors, thread, threads)));
            clear_dead_taps(&t, outs, dw);
        }
#pragma omp barrier
        if (dx)
            run_rows(&t, &to, thread, threads);
        if (dw) {
            multiply_weights(&t, part_of(t.in_panels * t.out_groups, thread, threads), products_of(&t, thread), dw);
#pragma omp barrier
            finish_scales(&t, outs, dbias, dlogs);
        }
    }
    return WF_OK;
}
