/* gate_norm.c - gates and layer normalization of feature maps */
#include "lanes.h"

#include "../body/pointwise.h"

/* -- gates: the first half of the channels with the second --------------------------------------------------------- */

/* One call. With `vjp`, m is dy and to is dab; without, m is x and to is y. */
typedef struct gate_call {
    wf_cpu_layout l, both; /* of C channels, and of a and b together */
    int C, step;           /* step: channels of a vector */
    bool vjp;
    const void *ab, *m;
    void *to;
} gate_call;

/* A vector of channels: its place in the map of C channels and in that of 2C, where b may reach over two blocks. */
typedef struct gate_place {
    size_t m, a, b, b_next;
    wf_lanes row, real, b_lanes, b_next_lanes; /* row: also the channels that pad C */
} gate_place;

/* The offset of channel c of the first pixel of picture n. */
static size_t channel_offset(const wf_cpu_layout *l, int n, int c)
{
    return wf_cpu_block_offset(l, n, c / l->block) + (size_t)(c % l->block);
}

static gate_place gate_place_of(const gate_call *g, int n, int c)
{
    int first = g->C + c, room = g->both.block - first % g->both.block;
    gate_place p = {.m = channel_offset(&g->l, n, c), .row = wf_lanes_between(0, g->l.block - c % g->l.block)};
    p.row &= wf_lanes_between(0, g->step);
    p.real = p.row & wf_lanes_between(0, g->C - c);
    p.b_lanes = p.real & wf_lanes_between(0, room);
    p.b_next_lanes = p.real & ~p.b_lanes;
    p.a = p.real ? channel_offset(&g->both, n, c) : 0;
    p.b = p.real ? channel_offset(&g->both, n, first) : 0;
    p.b_next = p.b_next_lanes ? channel_offset(&g->both, n, first + room) - (size_t)room : 0;
    return p;
}

WF_VEC void gate_pixel(const gate_call *g, const gate_place *place, bool bf16, size_t p)
{
    size_t m = place->m + p * (size_t)g->l.block, twice = p * (size_t)g->both.block;
    wf_wide a = {0}, b = {0}, other = {0};
    float as[WF_WIDE], bs[WF_WIDE], others[WF_WIDE];
    wf_map_load(&a, g->ab, bf16, place->a + twice, place->real);
    wf_map_load(&b, g->ab, bf16, place->b + twice, place->b_lanes);
    if (place->b_next_lanes)
        wf_map_load(&b, g->ab, bf16, place->b_next + twice, place->b_next_lanes);
    wf_map_load(&other, g->m, bf16, m, place->real);
    wf_wide_store(as, &a);
    wf_wide_store(bs, &b);
    wf_wide_store(others, &other);
    if (!g->vjp) {
#pragma omp simd
        for (int i = 0; i < WF_WIDE; i++)
            others[i] = wf_gate_one(as[i], bs[i], others[i]);
        wf_wide_load(&other, others);
        wf_map_store(g->to, bf16, m, &other, place->row); /* zero where the channels pad C */
        return;
    }
#pragma omp simd
    for (int i = 0; i < WF_WIDE; i++)
        wf_gate_vjp(as[i], bs[i], others[i], &as[i], &bs[i]);
    wf_wide_load(&a, as);
    wf_wide_load(&b, bs);
    wf_map_store(g->to, bf16, place->a + twice, &a, place->real);
    wf_map_store(g->to, bf16, place->b + twice, &b, place->b_lanes);
    if (place->b_next_lanes)
        wf_map_store(g->to, bf16, place->b_next + twice, &b, place->b_next_lanes);
}

/* Clears the channels of dab that pad it: they are in its last block. */
static void clear_padding(const gate_call *g, int n)
{
    const wf_wide zero = {0};
    for (int c = 2 * g->C; c < g->both.channels; c += WF_WIDE)
        for (size_t p = 0; p < g->both.pixels; p++) {
            size_t at = channel_offset(&g->both, n, c) + p * (size_t)g->both.block;
            wf_lanes lanes = wf_lanes_between(0, g->both.channels - c);
            if (g->both.bf16)
                wf_map_store(g->to, true, at, &zero, lanes);
            else
                wf_map_store(g->to, false, at, &zero, lanes);
        }
}

static void gate_all(wf_backend *b, const wf_map_shape *shape, bool vjp, const void *ab, const void *m, void *to)
{
    wf_map_shape twice = *shape;
    twice.C = 2 * shape->C;
    gate_call g = {
        wf_cpu_layout_of((wf_cpu *)b, shape), wf_cpu_layout_of((wf_cpu *)b, &twice), shape->C, WF_WIDE, vjp, ab, m, to};
    if (g.l.blocked && g.l.block < g.step)
        g.step = g.l.block;
#pragma omp parallel for collapse(2) schedule(static) if (g.l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (int c = 0; c < g.l.channels; c += g.step) {
            gate_place place = gate_place_of(&g, n, c);
            for (size_t p = 0; p < g.l.pixels; p++)
                if (g.l.bf16)
                    gate_pixel(&g, &place, true, p);
                else
                    gate_pixel(&g, &place, false, p);
            if (vjp && !c)
                clear_padding(&g, n);
        }
}

static int gate(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *x, wf_map *y)
{
    gate_all(b, shape, false, ab, x, y);
    return WF_OK;
}

static int gate_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *dy, wf_map *dab)
{
    gate_all(b, shape, true, ab, dy, dab);
    return WF_OK;
}

/* -- layer normalization ------------------------------------------------------------------------------------------- */

typedef struct norm_call {
    wf_cpu_layout l;
    int C;
    const void *x, *dy, *add; /* dy NULL: forward */
    void *to;
} norm_call;

/* A vector of channels of one pixel: where it is, its lanes, and those that are not padding. */
typedef struct norm_place {
    size_t at;
    wf_lanes row, real;
} norm_place;

/* The vector at channel c; the next one is at *next. */
WF_VEC norm_place norm_place_of(const norm_call *o, int n, size_t p, int c, int *next)
{
    int in_block = c % o->l.block, left = o->l.block - in_block;
    *next = c + (left < WF_WIDE ? left : WF_WIDE);
    norm_place place = {.at = wf_cpu_block_offset(&o->l, n, c / o->l.block) + p * (size_t)o->l.block + (size_t)in_block,
                        .row = wf_lanes_between(0, left)};
    place.real = place.row & wf_lanes_between(0, o->C - c);
    return place;
}

WF_VEC float sum_lanes(const wf_wide *v)
{
    float lanes[WF_WIDE], sum = 0;
    wf_wide_store(lanes, v);
    for (int i = 0; i < WF_WIDE; i++)
        sum += lanes[i];
    return sum;
}

/* Lanes of v outside the set become 0. */
WF_VEC void keep_lanes(wf_wide *v, wf_lanes lanes)
{
    float all[WF_WIDE];
    wf_wide kept = {0};
    wf_wide_store(all, v);
    wf_wide_load_lanes(&kept, all, lanes);
    *v = kept;
}

/* Sums over the channels of a pixel: x - mean, or with `squares` its square. */
WF_VEC float spread(const norm_call *o, bool bf16, int n, size_t p, bool squares, float mean)
{
    wf_wide sum = {0};
    for (int c = 0, next; c < o->C; c = next) {
        norm_place place = norm_place_of(o, n, p, c, &next);
        wf_wide v = {0};
        v += mean; /* so that lanes that are not read add nothing */
        wf_map_load(&v, o->x, bf16, place.at, place.real);
        v -= mean;
        sum += squares ? v * v : v;
    }
    return sum_lanes(&sum);
}

/* Writes y of one pixel if dy is NULL, else the gradient by x from dy, plus `add`. */
WF_VEC void norm_pixel(const norm_call *o, bool bf16, int n, size_t p)
{
    float C = (float)o->C, mean = spread(o, bf16, n, p, false, 0) / C;
    float rate = wf_norm_rate(spread(o, bf16, n, p, true, mean) / C);
    wf_wide sums = {0}, products = {0};
    for (int c = 0, next; c < o->C && o->dy; c = next) {
        norm_place place = norm_place_of(o, n, p, c, &next);
        wf_wide x = {0}, g = {0};
        wf_map_load(&x, o->x, bf16, place.at, place.real);
        wf_map_load(&g, o->dy, bf16, place.at, place.real);
        sums += g;
        products += g * (x - mean) * rate;
    }
    float sum = o->dy ? sum_lanes(&sums) / C : 0, product = o->dy ? sum_lanes(&products) / C : 0;
    for (int c = 0, next; c < o->l.channels; c = next) {
        norm_place place = norm_place_of(o, n, p, c, &next);
        wf_wide y = {0}, g = {0}, more = {0};
        wf_map_load(&y, o->x, bf16, place.at, place.real);
        y = (y - mean) * rate;
        if (o->dy) {
            wf_map_load(&g, o->dy, bf16, place.at, place.real);
            if (o->add)
                wf_map_load(&more, o->add, bf16, place.at, place.real);
            y = rate * (g - sum - y * product) + more; /* wf_norm_vjp of each lane */
        }
        if (place.real != place.row)
            keep_lanes(&y, place.real); /* the channels that pad C must be zero */
        wf_map_store(o->to, bf16, place.at, &y, place.row);
    }
}

static int norm_all(wf_backend *b, const wf_map_shape *shape, const void *x, const void *dy, const void *add, void *to)
{
    const norm_call o = {wf_cpu_layout_of((wf_cpu *)b, shape), shape->C, x, dy, add, to};
#pragma omp parallel for collapse(2) schedule(static) if (o.l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (size_t p = 0; p < o.l.pixels; p++)
            if (o.l.bf16)
                norm_pixel(&o, true, n, p);
            else
                norm_pixel(&o, false, n, p);
    return WF_OK;
}

static int norm(wf_backend *b, const wf_map_shape *shape, const wf_map *x, wf_map *y)
{
    return norm_all(b, shape, x, NULL, NULL, y);
}

static int norm_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *x, const wf_map *dy, const wf_map *add,
                         wf_map *dx)
{
    return norm_all(b, shape, x, dy, add, dx);
}

void wf_cpu_gate_slots(wf_backend *b)
{
    b->norm = norm;
    b->norm_backward = norm_backward;
    b->gate = gate;
    b->gate_backward = gate_backward;
}
