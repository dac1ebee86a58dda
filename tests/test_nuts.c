/* test_nuts.c - the No-U-Turn sampler against closed forms and an explicit tree, and its reproducible bits */
#include <criterion/criterion.h>
#include <string.h>

#include "../lib/base/philox.h"
#include "nuts.h"

enum { MOMENTUM = 16, GROWTH = 18 }; /* purposes of random numbers in lib/mcmc/nuts.c */

static wf_nuts *create(int chains, size_t D, const wf_nuts_options *o, wf_nuts_density *density, void *user)
{
    wf_nuts *s;
    cr_assert_eq(wf_nuts_create(chains, D, o, density, user, &s), 0, "%s", wf_error());
    return s;
}

static void run(wf_nuts *s, uint64_t iterations, wf_nuts_sink *sink, void *user)
{
    cr_assert_eq(wf_nuts_run(s, iterations, sink, user), 0, "%s", wf_error());
}

/* -- Gaussians ---------------------------------------------------------------------------------------------------- */

static void check_gaussian(gaussian target, bool mass, size_t draws)
{
    enum { CHAINS = 4, ADAPT = 300 };
    wf_nuts_options o = wf_nuts_defaults;
    o.seed = 20;
    o.adapt = ADAPT;
    o.diagonal_mass = mass;
    wf_nuts *s = create(CHAINS, target.D, &o, gaussian_density, &target);
    record r = record_create(CHAINS, target.D, ADAPT, draws);
    run(s, ADAPT + draws, record_draw, &r);
    size_t stride = target.D < 1000 ? 1 : 8, checked = 0; /* diagnosing takes longer than drawing */
    double squares = 0;
    double *f = malloc(CHAINS * draws * sizeof *f);
    for (size_t i = 0; i < target.D; i += stride, checked++) {
        double scale = target.scale[i], mean = distance(&r, record_of(&r, i), (double)i, 0);
        for (size_t n = 0; n < CHAINS * draws; n++)
            f[n] = pow(record_of(&r, i)[n] - (double)i, 2);
        double variance = distance(&r, f, scale * scale, 0);
        cr_expect(fabs(mean) < 4 && fabs(variance) < 4, "D %zu r %g, %zu: mean off by %.2f, variance by %.2f errors",
                  target.D, target.r, i, mean, variance);
        squares += (mean * mean + variance * variance) / 2;
    }
    squares /= (double)checked;
    cr_expect(squares < 1 + 4 / sqrt((double)checked), "D %zu r %g: mean square distance %.2f", target.D, target.r,
              squares);
    /* Momenta at the draws are normal: the energies are half a chi-square of D degrees. */
    double half = (double)target.D / 2;
    cr_expect_float_eq(r.kinetic, half, 5 * sqrt(half / (double)(CHAINS * draws)), "kinetic energy %.3f, want %g",
                       r.kinetic, half);
    cr_expect_geq(r.least, 0, "kinetic energy %g", r.least);
    cr_expect_eq(r.divergent, 0);
    cr_expect_float_eq(r.acceptance, 0.8, 0.12, "acceptance %.3f", r.acceptance);
    free(f);
    record_clear(&r);
    wf_nuts_destroy(s);
}

Test(nuts, independent_gaussians, .timeout = 120)
{
    check_gaussian(gaussian_of(2, 0, 1), false, 2000);
    check_gaussian(gaussian_of(10, 0, 10), false, 1000);
    check_gaussian(gaussian_of(100, 0, 100), true, 500);
    check_gaussian(gaussian_of(1000, 0, 1), false, 1000);
}

Test(nuts, correlated_gaussians, .timeout = 120)
{
    check_gaussian(gaussian_of(2, 0.99, 1), false, 2000);
    check_gaussian(gaussian_of(10, 0.9, 3), true, 1000);
    check_gaussian(gaussian_of(100, 0.9, 1), false, 500);
    check_gaussian(gaussian_of(1000, 0.5, 10), true, 1000);
}

/* -- the integrator ----------------------------------------------------------------------------------------------- */

/* Trajectories of one duration lose 1 - acceptance on average, which is the mean positive energy error. */
static double loss(double step, int depth)
{
    enum { CHAINS = 2000, D = 20 };
    gaussian target = gaussian_of(D, 0.3, 1);
    wf_nuts_options o = wf_nuts_defaults;
    o.step = step;
    o.max_depth = depth;
    wf_nuts *s = create(CHAINS, D, &o, gaussian_density, &target);
    record r = record_create(CHAINS, D, 0, 1);
    for (int c = 0; c < CHAINS; c++) {
        double x[D], n[2], before = 0;
        for (size_t i = 0; i < D; i++) {
            wf_philox_words w = wf_philox(wf_philox_of_picture(7, 1, i, (uint64_t)c), 0);
            wf_normal_pair(w.w0, w.w1, &n[0], &n[1]);
            before = i ? 0.3 * before + sqrt(1 - 0.09) * n[0] : n[0];
            x[i] = (double)i + before;
        }
        wf_nuts_place(s, c, (uint64_t)c, x);
    }
    run(s, 1, record_draw, &r);
    cr_assert_eq(r.leapfrogs, CHAINS * ((1u << depth) - 1), "no trajectory may turn here");
    double lost = 1 - r.acceptance;
    record_clear(&r);
    wf_nuts_destroy(s);
    return lost;
}

Test(nuts, energy_error_is_of_second_order, .timeout = 60)
{
    double before = loss(0.5 / 8, 3);
    for (int depth = 4; depth <= 7; depth++) {
        double after = loss(0.5 / (1 << depth), depth), slope = log2(before / after);
        cr_expect(slope > 1.9 && slope < 2.15, "depth %d: slope %.3f", depth, slope);
        before = after;
    }
}

/* Records the positions of gradient calls. The potential has a fourth power or, with `round`, is an oscillator, whose
 * trajectories are circles: at some step sizes both ends of a tree meet, and only its halves have turned. */
typedef struct path {
    bool round;
    size_t n;
    double x[4096][2], g[4096][2];
} path;

static int potential(void *user, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    path *p = user;
    (void)chain;
    cr_assert_eq(n, 1);
    double off = x[1] - x[0] * x[0];
    logp[0] = p->round ? -0.5 * (x[0] * x[0] + x[1] * x[1]) : -0.25 * pow(x[0], 4) - 0.5 * off * off;
    gradient[0] = p->round ? -x[0] : -pow(x[0], 3) + 2 * x[0] * off;
    gradient[1] = p->round ? -x[1] : -off;
    cr_assert_lt(p->n, 4096);
    memcpy(p->x[p->n], x, sizeof p->x[0]);
    memcpy(p->g[p->n++], gradient, sizeof p->g[0]);
    return WF_OK;
}

/* Leapfrog is x_{n+1} - 2 x_n + x_{n-1} = step^2 gradient_n, forwards and backwards: the last two leaves of a subtree
 * determine the others. */
Test(nuts, leapfrog_is_reversible)
{
    enum { DEPTH = 9, LEAVES = 1 << (DEPTH - 1) };
    static path p;
    wf_nuts_options o = wf_nuts_defaults;
    o.step = 1.0 / 1024;
    o.max_depth = DEPTH;
    wf_nuts *s = create(1, 2, &o, potential, &p);
    run(s, 1, NULL, NULL);
    cr_assert_eq(p.n, 1 << DEPTH, "%zu: one to start, and a trajectory that does not turn", p.n);
    double next[2], at[2], before[2], worst = 0;
    memcpy(next, p.x[p.n - 1], sizeof next);
    memcpy(at, p.x[p.n - 2], sizeof at);
    for (size_t n = p.n - 2; n > p.n - LEAVES; n--) {
        double logp, g[2];
        path scratch = {0};
        cr_assert_eq(potential(&scratch, 1, NULL, at, &logp, g), 0);
        for (int i = 0; i < 2; i++) {
            before[i] = 2 * at[i] - next[i] + o.step * o.step * g[i];
            worst = fmax(worst, fabs(before[i] - p.x[n - 1][i]));
            next[i] = at[i];
            at[i] = before[i];
        }
    }
    cr_expect_lt(worst, 1e-10, "off by %g", worst);
    wf_nuts_destroy(s);
}

/* -- the tree ----------------------------------------------------------------------------------------------------- */

/* Momenta of a whole trajectory in order, and Stan's criterion on a stretch of it, by definition. */
typedef struct trajectory {
    double p[4096][2];
} trajectory;

static bool stretch_turned(const trajectory *t, int first, int last, int from, int to)
{
    double way[2] = {0, 0};
    for (int i = first; i <= last; i++)
        for (int d = 0; d < 2; d++)
            way[d] += t->p[i][d];
    return way[0] * t->p[from][0] + way[1] * t->p[from][1] <= 0 || way[0] * t->p[to][0] + way[1] * t->p[to][1] <= 0;
}

/* The criterion for a tree over leaves first..last: the whole, and each half with the nearest leaf of the other. */
static bool tree_turned(const trajectory *t, int first, int last, int middle)
{
    return stretch_turned(t, first, last, first, last) || stretch_turned(t, first, middle, first, middle) ||
           stretch_turned(t, middle - 1, last, middle - 1, last);
}

/* True if a subtree or any tree inside it has turned. */
static bool any_turned(const trajectory *t, int first, int count)
{
    if (count == 1)
        return false;
    return any_turned(t, first, count / 2) || any_turned(t, first + count / 2, count / 2) ||
           tree_turned(t, first, first + count - 1, first + count / 2);
}

static void explicit_leap(bool round, double x[2], double p[2], double step)
{
    double logp, g[2];
    path scratch = {.round = round};
    cr_assert_eq(potential(&scratch, 1, NULL, x, &logp, g), 0);
    for (int d = 0; d < 2; d++) {
        p[d] += step / 2 * g[d];
        x[d] += step * p[d];
    }
    cr_assert_eq(potential(&scratch, 1, NULL, x, &logp, g), 0);
    for (int d = 0; d < 2; d++)
        p[d] += step / 2 * g[d];
}

/* The depth at which a tree over the whole trajectory from x stops, by recursion over all its leaves. */
static int explicit_depth(bool round, uint64_t seed, uint64_t iteration, const double *x, double step, int *kept)
{
    static trajectory t;
    double end[2][2][2]; /* side, x or p */
    wf_philox_words w = wf_philox(wf_philox_of_picture(seed, MOMENTUM, iteration, 0), 0);
    int first = 2048, last = 2048;
    wf_normal_pair(w.w0, w.w1, &t.p[first][0], &t.p[first][1]);
    for (int side = 0; side < 2; side++) {
        memcpy(end[side][0], x, sizeof end[side][0]);
        memcpy(end[side][1], t.p[first], sizeof end[side][1]);
    }
    for (int depth = 0; depth < 10; depth++) {
        int side = (int)(wf_philox(wf_philox_of_picture(seed, GROWTH, iteration, 0), (uint32_t)depth).w0 >> 31);
        int count = 1 << depth;
        for (int n = 0; n < count; n++) {
            explicit_leap(round, end[side][0], end[side][1], side ? step : -step);
            memcpy(t.p[side ? ++last : --first], end[side][1], sizeof t.p[0]);
        }
        *kept = last - first + 1 - count;
        if (any_turned(&t, side ? last + 1 - count : first, count))
            return depth + 1;
        *kept += count;
        if (tree_turned(&t, first, last, side ? last + 1 - count : first + count))
            return depth + 1;
    }
    return 10;
}

typedef struct witness {
    bool round;
    double x[2];
    size_t checked;
    uint64_t seed;
} witness;

static int compare_depth(void *user, int chain, const double *x, const wf_nuts_draw *draw)
{
    witness *w = user;
    int kept, depth = explicit_depth(w->round, w->seed, draw->iteration, w->x, draw->step, &kept);
    (void)chain;
    cr_expect_eq(draw->depth, depth, "iteration %d: depth %d, explicit tree %d", (int)draw->iteration, draw->depth,
                 depth);
    cr_expect(draw->leapfrogs >= kept - 1 && draw->leapfrogs < 1 << depth, "%d leapfrogs, %d leaves kept",
              draw->leapfrogs, kept);
    memcpy(w->x, x, sizeof w->x);
    w->checked++;
    return WF_OK;
}

Test(nuts, tree_stops_where_a_recursive_one_does, .timeout = 60)
{
    static path p;
    for (uint64_t seed = 0; seed < 80; seed++) {
        wf_nuts_options o = wf_nuts_defaults;
        o.seed = seed;
        o.step = 0.02 + 0.02 * (double)(seed / 2);
        witness w = {.round = p.round = seed % 2, .seed = seed};
        wf_nuts *s = create(1, 2, &o, potential, &p);
        for (uint64_t i = 1; i <= 100; i++) {
            p.n = 0;
            run(s, i, compare_depth, &w);
        }
        cr_expect_eq(w.checked, 100);
        wf_nuts_destroy(s);
    }
}

Test(nuts, depth_limit_is_kept)
{
    gaussian target = gaussian_of(2, 0, 1);
    wf_nuts_options o = wf_nuts_defaults;
    o.step = 1e-4;
    for (int depth = 1; depth < 6; depth++) {
        o.max_depth = depth;
        wf_nuts *s = create(3, 2, &o, gaussian_density, &target);
        record r = record_create(3, 2, 0, 10);
        run(s, 10, record_draw, &r);
        cr_expect_eq(r.leapfrogs, 30 * ((1u << depth) - 1));
        cr_expect_eq(r.deepest, (uint64_t)depth);
        record_clear(&r);
        wf_nuts_destroy(s);
    }
}

/* -- bits --------------------------------------------------------------------------------------------------------- */

static const wf_nuts_options adapting = {
    .seed = 3, .adapt = 60, .target = 0.8, .divergence = 1000, .max_depth = 10, .diagonal_mass = true};

Test(nuts, chains_do_not_depend_on_neighbours, .timeout = 60)
{
    enum { CHAINS = 5, D = 7, DRAWS = 100 };
    gaussian target = gaussian_of(D, 0.7, 5);
    wf_nuts *all = create(CHAINS, D, &adapting, gaussian_density, &target);
    record together = record_create(CHAINS, D, 0, DRAWS);
    run(all, DRAWS, record_draw, &together);
    wf_nuts_cost cost = wf_nuts_spent(all);
    cr_expect(cost.calls < cost.evaluations && cost.evaluations <= cost.calls * CHAINS);
    cr_expect(cost.evaluations >= together.leapfrogs + CHAINS);
    for (int c = 0; c < CHAINS; c++) {
        wf_nuts *one = create(1, D, &adapting, gaussian_density, &target);
        record alone = record_create(1, D, 0, DRAWS);
        wf_nuts_place(one, 0, (uint64_t)c, (double[D]){0});
        run(one, DRAWS, record_draw, &alone);
        for (size_t d = 0; d < D; d++)
            cr_expect_arr_eq(record_of(&alone, d), record_of(&together, d) + c * DRAWS, DRAWS * sizeof(double));
        cr_expect_arr_eq(alone.energy, together.energy + c * DRAWS, DRAWS * sizeof(double));
        record_clear(&alone);
        wf_nuts_destroy(one);
    }
    cr_expect_neq(record_of(&together, 0)[DRAWS - 1], record_of(&together, 0)[2 * DRAWS - 1], "chains differ");
    record_clear(&together);
    wf_nuts_destroy(all);
}

/* Saves a chain after each draw, and stops the run at some of them. */
typedef struct interruption {
    wf_nuts *sampler;
    record *record;
    uint64_t *words; /* [chains, words] */
    int draws;
} interruption;

static int save_and_stop(void *user, int chain, const double *x, const wf_nuts_draw *draw)
{
    interruption *i = user;
    cr_assert_eq(record_draw(i->record, chain, x, draw), 0);
    wf_nuts_save(i->sampler, chain, i->words + (size_t)chain * wf_nuts_words(i->sampler));
    return ++i->draws % 17 == 0 ? WF_AGAIN : WF_OK;
}

Test(nuts, interrupted_chains_resume_bitwise, .timeout = 60)
{
    enum { CHAINS = 3, D = 6, DRAWS = 100 };
    gaussian target = gaussian_of(D, 0.7, 5);
    wf_nuts *whole = create(CHAINS, D, &adapting, gaussian_density, &target);
    record want = record_create(CHAINS, D, 0, DRAWS), got = record_create(CHAINS, D, 0, DRAWS);
    run(whole, DRAWS, record_draw, &want);

    wf_nuts *part = create(CHAINS, D, &adapting, gaussian_density, &target);
    size_t words = wf_nuts_words(part);
    interruption i = {.record = &got, .words = calloc(CHAINS * words, sizeof(uint64_t))};
    for (int c = 0; c < CHAINS; c++)
        wf_nuts_save(part, c, i.words + (size_t)c * words);
    int status = WF_AGAIN, runs = 0;
    for (; status; runs++) {
        wf_nuts_destroy(part);
        i.sampler = part = create(CHAINS, D, &adapting, gaussian_density, &target);
        for (int c = 0; c < CHAINS; c++)
            wf_nuts_restore(part, c, i.words + (size_t)c * words);
        status = wf_nuts_run(part, DRAWS, save_and_stop, &i);
        cr_assert(status == 0 || status == WF_AGAIN);
    }
    cr_expect_eq(i.draws, CHAINS * DRAWS, "each draw comes once");
    cr_expect_eq(runs, CHAINS * DRAWS / 17 + 1);
    cr_expect_arr_eq(got.x, want.x, D * CHAINS * DRAWS * sizeof(double));
    cr_expect_arr_eq(got.energy, want.energy, CHAINS * DRAWS * sizeof(double));
    uint64_t *end = calloc(words, sizeof *end);
    for (int c = 0; c < CHAINS; c++) {
        wf_nuts_save(whole, c, end);
        cr_expect_arr_eq(i.words + (size_t)c * words, end, words * sizeof *end);
    }
    free(end);
    free(i.words);
    record_clear(&want);
    record_clear(&got);
    wf_nuts_destroy(whole);
    wf_nuts_destroy(part);
}

/* -- adaptation --------------------------------------------------------------------------------------------------- */

static int same_step(void *user, int chain, const double *x, const wf_nuts_draw *draw)
{
    double *step = user;
    (void)x;
    cr_expect_eq(draw->adapting, draw->iteration < 500);
    if (draw->iteration == 500)
        step[chain] = draw->step;
    if (draw->iteration > 500)
        cr_expect_eq(draw->step, step[chain]);
    return WF_OK;
}

Test(nuts, adaptation_learns_scales_and_ends, .timeout = 60)
{
    enum { CHAINS = 4, D = 10 };
    gaussian target = gaussian_of(D, 0, 1000);
    double step[CHAINS];
    wf_nuts_options o = adapting;
    o.adapt = 500;
    wf_nuts *s = create(CHAINS, D, &o, gaussian_density, &target);
    run(s, 600, same_step, step);
    for (int c = 0; c < CHAINS; c++)
        for (size_t i = 0; i < D; i++) {
            double ratio = wf_nuts_state(s, c)->variance[i] / pow(target.scale[i], 2);
            cr_expect(ratio > 0.6 && ratio < 1.6, "chain %d, %zu: variance off by %.2f", c, i, ratio);
        }
    wf_nuts_destroy(s);
}

/* -- misuse and trouble ------------------------------------------------------------------------------------------- */

/* A normal cut off at 0. `fail`: the call returns an error. */
static int half_normal(void *user, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    (void)chain;
    if (*(bool *)user)
        return wf_fail(WF_IO, "half normal: gone");
    for (int j = 0; j < n; j++) {
        logp[j] = x[j] > 0 ? -0.5 * x[j] * x[j] : -INFINITY;
        gradient[j] = x[j] > 0 ? -x[j] : NAN;
    }
    return WF_OK;
}

static int flat(void *user, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    (void)user, (void)chain, (void)x;
    memset(logp, 0, (size_t)n * sizeof *logp);
    memset(gradient, 0, (size_t)n * sizeof *gradient);
    return WF_OK;
}

Test(nuts, trouble_has_a_status)
{
    bool fail = false;
    wf_nuts *s;
    wf_nuts_options o = wf_nuts_defaults;
    o.max_depth = 0;
    cr_expect_eq(wf_nuts_create(1, 1, &o, half_normal, &fail, &s), WF_USAGE);
    o.max_depth = 10, o.target = 1;
    cr_expect_eq(wf_nuts_create(1, 1, &o, half_normal, &fail, &s), WF_USAGE);
    o.target = 0.8, o.step = NAN;
    cr_expect_eq(wf_nuts_create(1, 1, &o, half_normal, &fail, &s), WF_USAGE);
    o.step = 0.1;
    cr_expect_eq(wf_nuts_create(1, SIZE_MAX / 4, &o, half_normal, &fail, &s), WF_AGAIN);
    cr_expect_eq(wf_nuts_create(0, 1, &o, half_normal, &fail, &s), WF_USAGE);
    cr_expect_null(s);

    s = create(2, 1, &o, half_normal, &fail);
    cr_expect_eq(wf_nuts_run(s, 1, NULL, NULL), WF_INTERNAL, "0 is outside");
    wf_nuts_place(s, 0, 0, (double[]){1});
    wf_nuts_place(s, 1, 1, (double[]){2});
    record r = record_create(2, 1, 0, 200);
    run(s, 200, record_draw, &r);
    for (int i = 0; i < 400; i++)
        cr_expect_gt(r.x[i], 0);
    cr_expect_gt(r.divergent, 0, "steps over the edge are counted");
    fail = true;
    cr_expect_eq(wf_nuts_run(s, 201, NULL, NULL), WF_IO);
    record_clear(&r);
    wf_nuts_destroy(s);

    s = create(1, 1, &wf_nuts_defaults, flat, NULL);
    cr_expect_eq(wf_nuts_run(s, 1, NULL, NULL), WF_INTERNAL, "no step is too large");
    wf_nuts_destroy(s);
}
