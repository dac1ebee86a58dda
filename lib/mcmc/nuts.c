/* nuts.c - the No-U-Turn sampler: each chain is a state machine that takes one gradient at a time
 *
 * A trajectory grows by doubling: a subtree of 2^depth leapfrog steps is added at its front or at its back, leaf by
 * leaf. A recursive tree compares the two ends of each part once the part is complete. Here the odd leaf n does so
 * for all parts that end with it. These begin at leaves n + 1 - 2^k, which are even. Their momenta are kept (struct
 * mark); leaf m is in slot popcount(m / 2), so at most `depth` slots are needed. */
#include "nuts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nuts_adapt.h"
#include "../base/philox.h"

const wf_nuts_options wf_nuts_defaults = {.target = 0.8, .divergence = 1000, .max_depth = 10};

/* A point in phase space: position, momentum, gradient. [D] each. */
typedef struct point {
    double *x, *p, *g;
} point;

/* A point that may become the draw. x and g [D]. */
typedef struct choice {
    double *x, *g, log_density, energy;
} choice;

/* An even leaf: its momentum, the previous leaf's momentum, and the sum of the subtree's momenta before it. [D]
 * each. */
typedef struct mark {
    double *p, *previous, *before;
} mark;

typedef enum phase { REST, START, SEEKING, GROWING } phase;

/* State of a chain during an iteration. It is not saved: an interrupted iteration starts again. */
typedef struct tree {
    phase phase;
    point end[2];           /* back and front of the trajectory */
    int side;               /* the end that grows */
    choice draw, candidate; /* of the trajectory; of the subtree */
    double start;           /* energy at the start, from which errors are measured */
    double weight, part;    /* log sums of exp(-error) over the trajectory and over the subtree */
    double *sum, *part_sum; /* [D] sums of momenta over the trajectory and the subtree */
    double *near, *first;   /* [D] momenta beside the seam: trajectory's end, subtree's first leaf */
    int depth, leaf, leapfrogs;
    double acceptance; /* sum over leapfrogs */
    double trial;      /* step size tried by the heuristic */
    bool grow;         /* the heuristic doubles; else it halves */
    mark marks[WF_NUTS_DEPTHS];
} tree;

struct wf_nuts {
    int chains;
    size_t D;
    wf_nuts_options options;
    wf_nuts_density *density;
    void *user;
    wf_nuts_chain *chain; /* [chains] */
    tree *tree;           /* [chains] */
    double *memory;       /* all vectors below, and of chain and tree */
    double *x, *g;        /* [chains,D] the batch */
    double *zero;         /* [D] */
    double *log_density;  /* [chains] */
    int *active;          /* [chains] */
    wf_nuts_cost cost;
    uint64_t until;
    wf_nuts_sink *sink;
    void *sink_user;
};

/* -- random numbers ----------------------------------------------------------------------------------------------- */

static wf_philox_stream stream_of(const wf_nuts *s, const wf_nuts_chain *c, uint32_t purpose)
{
    return wf_philox_of_picture(s->options.seed, purpose, c->iteration, c->id);
}

/* Draws the momentum p [D] ~ N(0, masses). */
static void draw_momentum(const wf_nuts *s, const wf_nuts_chain *c, uint32_t purpose, double *p)
{
    wf_philox_stream stream = stream_of(s, c, purpose);
    for (size_t i = 0; i < s->D; i += 4) {
        wf_philox_words w = wf_philox(stream, (uint32_t)(i / 4));
        double n[4];
        wf_normal_pair(w.w0, w.w1, &n[0], &n[1]);
        wf_normal_pair(w.w2, w.w3, &n[2], &n[3]);
        for (size_t j = i; j < i + 4 && j < s->D; j++)
            p[j] = n[j - i] / sqrt(c->variance[j]);
    }
}

/* -- mechanics ---------------------------------------------------------------------------------------------------- */

static void copy_vector(const wf_nuts *s, double *to, const double *from)
{
    memcpy(to, from, s->D * sizeof *to);
}

/* log(exp(a) + exp(b)) */
static double log_add(double a, double b)
{
    double most = fmax(a, b);
    return isinf(most) ? most : most + log1p(exp(fmin(a, b) - most));
}

/* Potential plus kinetic energy; infinite where the density is not a number. */
static double energy_of(const wf_nuts *s, const wf_nuts_chain *c, double log_density, const double *p)
{
    double kinetic = 0;
    for (size_t i = 0; i < s->D; i++)
        kinetic += c->variance[i] * p[i] * p[i];
    double energy = kinetic / 2 - log_density;
    return isfinite(energy) ? energy : INFINITY;
}

/* Moves the momentum: p += time * gradient. A leapfrog step is leap(), then push(step / 2) with the gradient at the
 * new position. */
static void push(const wf_nuts *s, point at, double time)
{
    for (size_t i = 0; i < s->D; i++)
        at.p[i] += time * at.g[i];
}

static void leap(const wf_nuts *s, const wf_nuts_chain *c, point at, double step)
{
    push(s, at, step / 2);
    for (size_t i = 0; i < s->D; i++)
        at.x[i] += step * c->variance[i] * at.p[i];
}

/* True if a stretch has turned back, by the generalized criterion (Betancourt 2017, appendix A.4.2). first, last:
 * momenta at its ends. sum - before + extra: sum of its momenta. All [D]. */
static bool turned(const wf_nuts *s, const wf_nuts_chain *c, const double *first, const double *last, const double *sum,
                   const double *before, const double *extra)
{
    double back = 0, front = 0;
    for (size_t i = 0; i < s->D; i++) {
        double way = c->variance[i] * (sum[i] - before[i] + extra[i]);
        back += way * first[i];
        front += way * last[i];
    }
    return !(back > 0 && front > 0);
}

/* -- the subtree -------------------------------------------------------------------------------------------------- */

static int ones(int n)
{
    return __builtin_popcount((unsigned)n);
}

/* True if a part of the subtree that ends with the odd leaf just reached, of momentum p, has turned. Checks each
 * part's two ends, and each half together with the neighbouring leaf of the other half. */
static bool part_turned(const wf_nuts *s, const wf_nuts_chain *c, const tree *t, const double *p)
{
    int slot = ones(t->leaf / 2);
    for (int size = 2; (t->leaf + 1) % size == 0; size *= 2, slot--) {
        const mark *a = &t->marks[slot], *m = a + 1; /* first leaves of the part and of its second half */
        if (turned(s, c, a->p, p, t->part_sum, a->before, s->zero))
            return true;
        if (size > 2 && (turned(s, c, a->p, m->p, m->before, a->before, m->p) ||
                         turned(s, c, m->previous, p, t->part_sum, m->before, m->previous)))
            return true;
    }
    return false;
}

/* Adds the leaf at the growing end to the subtree. The leaf becomes the candidate with probability its share of the
 * subtree's weight so far (multinomial sampling, one leaf at a time). True if a part has turned. */
static bool add_leaf(const wf_nuts *s, const wf_nuts_chain *c, tree *t, double log_density, double energy)
{
    point at = t->end[t->side];
    double weight = t->start - energy;
    t->part = t->leaf ? log_add(t->part, weight) : weight;
    double u = wf_uniform(wf_philox(stream_of(s, c, WF_PURPOSE_LEAF), (uint32_t)t->leapfrogs).w0);
    if (t->leaf == 0 || log(u) < weight - t->part) {
        copy_vector(s, t->candidate.x, at.x);
        copy_vector(s, t->candidate.g, at.g);
        t->candidate.log_density = log_density;
        t->candidate.energy = energy;
    }
    if (t->leaf == 0) {
        copy_vector(s, t->first, at.p);
        memset(t->part_sum, 0, s->D * sizeof *t->part_sum);
    }
    if (t->leaf % 2 == 0) {
        mark *m = &t->marks[ones(t->leaf / 2)];
        copy_vector(s, m->p, at.p);
        copy_vector(s, m->before, t->part_sum);
    }
    for (size_t i = 0; i < s->D; i++)
        t->part_sum[i] += at.p[i];
    if (t->leaf % 2 == 1) {
        if (part_turned(s, c, t, at.p))
            return true;
        copy_vector(s, t->marks[ones((t->leaf + 1) / 2)].previous, at.p);
    }
    return false;
}

/* -- the trajectory ----------------------------------------------------------------------------------------------- */

static double signed_step(const wf_nuts_chain *c, const tree *t)
{
    return t->side ? c->step : -c->step;
}

/* Chooses a side and begins the next subtree there. */
static void grow_subtree(const wf_nuts *s, const wf_nuts_chain *c, tree *t)
{
    t->side = (int)(wf_philox(stream_of(s, c, WF_PURPOSE_GROWTH), (uint32_t)t->depth).w0 >> 31);
    t->leaf = 0;
    copy_vector(s, t->near, t->end[t->side].p);
    leap(s, c, t->end[t->side], signed_step(c, t));
}

static void begin_trajectory(const wf_nuts *s, const wf_nuts_chain *c, tree *t)
{
    t->phase = GROWING;
    draw_momentum(s, c, WF_PURPOSE_MOMENTUM, t->end[0].p);
    for (int side = 0; side < 2; side++) {
        copy_vector(s, t->end[side].x, c->x);
        copy_vector(s, t->end[side].g, c->gradient);
    }
    copy_vector(s, t->end[1].p, t->end[0].p);
    copy_vector(s, t->sum, t->end[0].p);
    copy_vector(s, t->draw.x, c->x);
    copy_vector(s, t->draw.g, c->gradient);
    t->start = energy_of(s, c, c->log_density, t->end[0].p);
    t->draw.log_density = c->log_density;
    t->draw.energy = t->start;
    t->weight = 0;
    t->depth = t->leapfrogs = 0;
    t->acceptance = 0;
    grow_subtree(s, c, t);
}

/* Joins the complete subtree to the trajectory. The draw moves to its candidate with probability min(1, weight of the
 * subtree / weight of the trajectory before), which favours points far from the start. True if the whole has turned. */
static bool join_subtree(const wf_nuts *s, const wf_nuts_chain *c, tree *t)
{
    double u = wf_uniform(wf_philox(stream_of(s, c, WF_PURPOSE_GROWTH), (uint32_t)t->depth).w1);
    if (log(u) < t->part - t->weight) {
        choice left = t->draw;
        t->draw = t->candidate;
        t->candidate = left;
    }
    t->weight = log_add(t->weight, t->part);
    const double *far = t->end[!t->side].p, *last = t->end[t->side].p;
    bool whole = turned(s, c, far, last, t->sum, s->zero, t->part_sum) ||
                 turned(s, c, far, t->first, t->sum, s->zero, t->first) ||
                 turned(s, c, t->near, last, t->part_sum, s->zero, t->near);
    for (size_t i = 0; i < s->D; i++)
        t->sum[i] += t->part_sum[i];
    t->depth++;
    return whole;
}

/* -- iterations --------------------------------------------------------------------------------------------------- */

static void begin_trial(const wf_nuts *s, const wf_nuts_chain *c, tree *t)
{
    copy_vector(s, t->end[1].x, c->x);
    copy_vector(s, t->end[1].g, c->gradient);
    draw_momentum(s, c, WF_PURPOSE_SEEK, t->end[1].p);
    t->start = energy_of(s, c, c->log_density, t->end[1].p);
    leap(s, c, t->end[1], t->trial);
}

/* Begins the chain's next iteration, up to the first position whose gradient is needed; REST if all iterations are
 * done. */
static void begin_iteration(const wf_nuts *s, const wf_nuts_chain *c, tree *t)
{
    if (c->iteration >= s->until) {
        t->phase = REST;
    } else if (!c->started) {
        t->phase = START;
        copy_vector(s, t->end[1].x, c->x);
        t->side = 1;
    } else if (c->seek_step) {
        t->phase = SEEKING;
        t->side = 1;
        t->trial = c->step;
        t->leapfrogs = 0;
        begin_trial(s, c, t);
    } else {
        begin_trajectory(s, c, t);
    }
}

/* Takes the gradient at the chain's first position, t->end[1]. */
static int first_gradient(const wf_nuts *s, int chain, double log_density)
{
    wf_nuts_chain *c = &s->chain[chain];
    bool finite = isfinite(log_density);
    for (size_t i = 0; i < s->D; i++)
        finite = finite && isfinite(s->tree[chain].end[1].g[i]);
    WF_CHECK(finite, WF_INTERNAL, "nuts: chain %d starts where its log density (%g) or the gradient is not finite",
             chain, log_density);
    copy_vector(s, c->gradient, s->tree[chain].end[1].g);
    c->log_density = log_density;
    c->started = 1;
    return WF_OK;
}

/* Ends one trial of the heuristic, which doubles or halves the step size until a step's acceptance crosses 0.8, as in
 * Stan (0.5 in the paper). *done: the step size is found. */
static int try_step(const wf_nuts *s, int chain, double log_density, bool *done)
{
    wf_nuts_chain *c = &s->chain[chain];
    tree *t = &s->tree[chain];
    push(s, t->end[1], t->trial / 2);
    bool small = t->start - energy_of(s, c, log_density, t->end[1].p) > log(0.8);
    if (t->leapfrogs++ == 0)
        t->grow = small;
    *done = t->grow != small;
    if (*done) {
        c->step = t->trial;
        c->seek_step = 0;
        wf_nuts_adapt_restart(c);
        return WF_OK;
    }
    t->trial *= t->grow ? 2 : 0.5;
    WF_CHECK(t->trial > 1e-300 && t->trial < 1e7, WF_INTERNAL, "nuts: chain %d: %s: the density is %s", chain,
             t->grow ? "any step size is accepted" : "no step is small enough",
             t->grow ? "flat" : "not continuous, or its gradient is wrong");
    begin_trial(s, c, t);
    return WF_OK;
}

/* Ends the iteration with the trajectory's draw. */
static int finish_iteration(wf_nuts *s, int chain, bool divergent, int depth)
{
    wf_nuts_chain *c = &s->chain[chain];
    tree *t = &s->tree[chain];
    wf_nuts_draw draw = {.iteration = c->iteration,
                         .adapting = c->iteration < s->options.adapt,
                         .divergent = divergent,
                         .depth = depth,
                         .joined = t->depth,
                         .leapfrogs = t->leapfrogs,
                         .acceptance = t->acceptance / t->leapfrogs,
                         .step = c->step,
                         .energy = t->draw.energy,
                         .log_density = t->draw.log_density};
    copy_vector(s, c->x, t->draw.x);
    copy_vector(s, c->gradient, t->draw.g);
    c->log_density = t->draw.log_density;
    c->iteration++;
    wf_nuts_adapt(c, s->D, &s->options, draw.acceptance);
    return s->sink ? s->sink(s->sink_user, chain, c->x, &draw) : WF_OK;
}

/* Adds one leaf to the trajectory. *done: the iteration is over. */
static int extend_trajectory(wf_nuts *s, int chain, double log_density, bool *done)
{
    wf_nuts_chain *c = &s->chain[chain];
    tree *t = &s->tree[chain];
    point at = t->end[t->side];
    push(s, at, signed_step(c, t) / 2);
    double energy = energy_of(s, c, log_density, at.p), error = energy - t->start;
    t->acceptance += error > 0 ? exp(-error) : 1;
    bool divergent = error > s->options.divergence;
    bool stop = divergent || add_leaf(s, c, t, log_density, energy);
    t->leapfrogs++;
    *done = true;
    if (stop)
        return finish_iteration(s, chain, divergent, t->depth + 1);
    if (++t->leaf < 1 << t->depth) {
        *done = false;
        leap(s, c, at, signed_step(c, t));
    } else if (join_subtree(s, c, t) || t->depth == s->options.max_depth) {
        return finish_iteration(s, chain, false, t->depth);
    } else {
        *done = false;
        grow_subtree(s, c, t);
    }
    return WF_OK;
}

/* Takes the gradient that the chain needs next. */
static int advance_chain(wf_nuts *s, int chain, double log_density, const double *gradient)
{
    tree *t = &s->tree[chain];
    bool done = true;
    copy_vector(s, t->end[t->side].g, gradient);
    if (t->phase == START)
        WF_TRY(first_gradient(s, chain, log_density));
    else if (t->phase == SEEKING)
        WF_TRY(try_step(s, chain, log_density, &done));
    else
        WF_TRY(extend_trajectory(s, chain, log_density, &done));
    if (done)
        begin_iteration(s, &s->chain[chain], t);
    return WF_OK;
}

/* Packs the chains that are not done and the positions where they need gradients. Returns their number. */
static int pack_batch(wf_nuts *s)
{
    int n = 0;
    for (int i = 0; i < s->chains; i++)
        if (s->tree[i].phase != REST) {
            copy_vector(s, s->x + (size_t)n * s->D, s->tree[i].end[s->tree[i].side].x);
            s->active[n++] = i;
        }
    return n;
}

int wf_nuts_run(wf_nuts *s, uint64_t iterations, wf_nuts_sink *sink, void *user)
{
    s->until = iterations;
    s->sink = sink;
    s->sink_user = user;
    for (int i = 0; i < s->chains; i++)
        begin_iteration(s, &s->chain[i], &s->tree[i]);
    for (int n; (n = pack_batch(s)) > 0;) {
        WF_TRY(s->density(s->user, n, s->active, s->x, s->log_density, s->g));
        s->cost.calls++;
        s->cost.evaluations += (uint64_t)n;
        for (int i = 0; i < n; i++)
            WF_TRY(advance_chain(s, s->active[i], s->log_density[i], s->g + (size_t)i * s->D));
    }
    return WF_OK;
}

/* -- creation ----------------------------------------------------------------------------------------------------- */

static int check_options(const wf_nuts_options *o)
{
    WF_CHECK(o->target > 0 && o->target < 1, WF_USAGE, "nuts: target acceptance %g is not between 0 and 1", o->target);
    WF_CHECK(o->max_depth >= 1 && o->max_depth <= WF_NUTS_DEPTHS, WF_USAGE, "nuts: depth %d is not in 1..%d",
             o->max_depth, WF_NUTS_DEPTHS);
    WF_CHECK(o->step >= 0 && isfinite(o->step), WF_USAGE, "nuts: step size %g", o->step);
    WF_CHECK(o->divergence > 0, WF_USAGE, "nuts: divergence threshold %g is not positive", o->divergence);
    return WF_OK;
}

/* Cuts the next [D] off the memory. */
static double *carve_vector(const wf_nuts *s, double **memory)
{
    double *vector = *memory;
    *memory += s->D;
    return vector;
}

enum {
    STATE_VECTORS = 5, /* of a chain, in one block */
    TREE_VECTORS = 14, /* of a tree, without its marks */
};

static void carve_chain(const wf_nuts *s, int chain, double **memory)
{
    wf_nuts_chain *c = &s->chain[chain];
    tree *t = &s->tree[chain];
    double **vectors[] = {&c->x,        &c->gradient, &c->variance, &c->mean,        &c->square, /* STATE_VECTORS */
                          &t->end[0].x, &t->end[0].p, &t->end[0].g, &t->end[1].x,    &t->end[1].p,
                          &t->end[1].g, &t->draw.x,   &t->draw.g,   &t->candidate.x, &t->candidate.g,
                          &t->sum,      &t->part_sum, &t->near,     &t->first};
    _Static_assert(sizeof vectors / sizeof *vectors == STATE_VECTORS + TREE_VECTORS, "memory for these vectors");
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        *vectors[i] = carve_vector(s, memory);
    for (int i = 0; i < s->options.max_depth; i++)
        t->marks[i] = (mark){carve_vector(s, memory), carve_vector(s, memory), carve_vector(s, memory)};
    for (size_t i = 0; i < s->D; i++)
        c->variance[i] = 1;
    c->id = (uint64_t)chain;
    c->step = s->options.step > 0 ? s->options.step : 1;
    c->seek_step = s->options.step == 0;
    wf_nuts_adapt_restart(c);
}

int wf_nuts_create(int chains, size_t D, const wf_nuts_options *options, wf_nuts_density *density, void *user,
                   wf_nuts **out)
{
    *out = NULL;
    WF_CHECK(chains > 0 && D > 0, WF_USAGE, "nuts: %d chains of %zu dimensions", chains, D);
    WF_TRY(check_options(options));
    wf_nuts *s = calloc(1, sizeof *s);
    if (!s)
        return wf_fail(WF_AGAIN, "nuts: no memory");
    *s = (wf_nuts){.chains = chains, .D = D, .options = *options, .density = density, .user = user};
    size_t N = (size_t)chains, vectors, doubles;
    size_t each =
        STATE_VECTORS + TREE_VECTORS + 3 * (size_t)options->max_depth + 2; /* 2: its row of the batch, x and g */
    bool fits = WF_MUL(N, each, &vectors) && WF_ADD(vectors, 1, &vectors) && WF_MUL(vectors, D, &doubles) &&
                WF_ADD(doubles, N, &doubles);
    s->memory = fits ? calloc(doubles, sizeof *s->memory) : NULL;
    s->chain = calloc(N, sizeof *s->chain);
    s->tree = calloc(N, sizeof *s->tree);
    s->active = calloc(N, sizeof *s->active);
    if (!s->memory || !s->chain || !s->tree || !s->active) {
        wf_nuts_destroy(s);
        return wf_fail(WF_AGAIN, "nuts: no memory for %d chains of %zu dimensions", chains, D);
    }
    double *memory = s->memory;
    for (int i = 0; i < chains; i++)
        carve_chain(s, i, &memory);
    s->zero = carve_vector(s, &memory);
    s->x = memory;
    s->g = s->x + N * D;
    s->log_density = s->g + N * D;
    *out = s;
    return WF_OK;
}

void wf_nuts_destroy(wf_nuts *s)
{
    if (!s)
        return;
    free(s->memory);
    free(s->chain);
    free(s->tree);
    free(s->active);
    free(s);
}

void wf_nuts_place(wf_nuts *s, int chain, uint64_t id, const double *x)
{
    wf_nuts_chain *c = &s->chain[chain];
    copy_vector(s, c->x, x);
    c->id = id;
    c->started = 0;
}

void wf_nuts_scale(wf_nuts *s, int chain, const double *variance)
{
    copy_vector(s, s->chain[chain].variance, variance);
    s->chain[chain].seek_step = s->options.step == 0;
}

const wf_nuts_chain *wf_nuts_state(const wf_nuts *s, int chain)
{
    return &s->chain[chain];
}

/* A chain's words are its fields before the pointers, then the block of vectors that starts at x. */
enum { FIELDS = offsetof(wf_nuts_chain, x) / sizeof(uint64_t) };

size_t wf_nuts_words(const wf_nuts *s)
{
    return FIELDS + STATE_VECTORS * s->D;
}

void wf_nuts_save(const wf_nuts *s, int chain, uint64_t *words)
{
    memcpy(words, &s->chain[chain], FIELDS * sizeof *words);
    memcpy(words + FIELDS, s->chain[chain].x, STATE_VECTORS * s->D * sizeof *words);
}

void wf_nuts_restore(wf_nuts *s, int chain, const uint64_t *words)
{
    memcpy(&s->chain[chain], words, FIELDS * sizeof *words);
    memcpy(s->chain[chain].x, words + FIELDS, STATE_VECTORS * s->D * sizeof *words);
}

wf_nuts_cost wf_nuts_spent(const wf_nuts *s)
{
    return s->cost;
}
