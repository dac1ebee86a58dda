/* test_anneal.c - annealed densities of one level and of several: gradients, spaces, reproducible bits, and starting
 * points */
#include "../lib/pyramid/pyramid.h"
#include "../lib/sample/sample.h"
#include "anneal.h"

enum { LEVELS = 3, SIDE = 8, CHAINS = 3, SEED = 11 };

/* A density for chains: levels, size of the pictures, temperatures. */
typedef struct target {
    const char *what;
    int first, last, H, W;
    double temperature[LEVELS + 1];
} target;

static const target targets[] = {
    {"the base, T 0.5", 0, 0, 1, 1, {0.5}},
    {"level 1, T 0.9", 1, 1, 1, 1, {0, 0.9}},
    {"level 2, T 0.5", 2, 2, 2, 2, {0, 0, 0.5}},
    {"level 3 at 3x5, T 0.9", 3, 3, 3, 5, {0, 0, 0, 0.9}},
    {"levels 0 and 1, T 0.5", 0, 1, 1, 1, {0.5, 0.5}},
    {"levels 1 and 2, T 0.9 and 0.6", 1, 2, 1, 1, {0, 0.9, 0.6}},
    {"levels 2 and 3 at 3x2, T 1.2 and 0.7", 2, 3, 3, 2, {0, 0, 1.2, 0.7}},
    {"levels 0 to 2, T 0.5, 0.8 and 1", 0, 2, 1, 1, {0.5, 0.8, 1}},
    {"levels 1 to 3, T 0.7", 1, 3, 1, 1, {0, 0.7, 0.7, 0.7}},
};
enum { TARGETS = sizeof targets / sizeof *targets };

static wf_model shaken_model(void)
{
    shaking by = {0.15, 0.15};
    scratch_make();
    wf_model model = make_model("model", LEVELS, SIDE, 3);
    for (int level = 0; level <= LEVELS; level++)
        save_level(&model, level, "2*(actnorm, conv1x1, affine:width=6:blocks=1), actnorm", shake, &by);
    return model;
}

/* Pictures of random 8-bit pixels for `chains` chains, NULL at the base. The caller frees them. */
static float *random_low(const target *t, int chains)
{
    size_t n = (size_t)chains * (size_t)(t->H * t->W * 3);
    double *noise = normals(5, 40, n);
    float *low = malloc(n * sizeof *low);
    for (size_t i = 0; i < n; i++)
        low[i] = (float)fmin(255, fmax(0, round(128 + noise[i])));
    free(noise);
    return low;
}

static wf_anneal *open_target(const wf_model *model, const target *t, bool data, wf_backend *b, int chains)
{
    wf_anneal_spec spec = {.first = t->first, .last = t->last, .H = t->H, .W = t->W, .data = data};
    memcpy(spec.temperature, t->temperature, sizeof t->temperature);
    wf_anneal *a = anneal(model, &spec, b, chains);
    float *low = random_low(t, chains);
    cr_assert_eq(wf_anneal_condition(a, chains, t->first ? low : NULL), 0, "%s", wf_error());
    free(low);
    return a;
}

/* Positions [chains,D] at which chains may start. The caller frees them. */
static double *starts(wf_anneal *a, int chains)
{
    uint64_t id[100];
    double *x = malloc((size_t)chains * wf_anneal_size(a) * sizeof *x);
    for (int c = 0; c < chains; c++)
        id[c] = (uint64_t)c + 7;
    cr_assert_eq(wf_anneal_start(a, chains, id, SEED, x), 0, "%s", wf_error());
    return x;
}

static void density(wf_anneal *a, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    cr_assert_eq(wf_anneal_density(a, n, chain, x, logp, gradient), 0, "%s", wf_error());
}

/* -- gradients ---------------------------------------------------------------------------------------------------- */

/* Central differences at chain 1's position: both sides of every coordinate (or of every few) are two rows of one
 * call. */
static void check_gradient(wf_anneal *a, const char *what, bool data)
{
    enum { POINTS = 40 };
    const double h = 1e-5;
    size_t D = wf_anneal_size(a), stride = D / POINTS + 1;
    double *x = starts(a, CHAINS), *g = malloc(D * sizeof *g), *sides = malloc(2 * D * sizeof *sides);
    double *unused = malloc(2 * D * sizeof *unused), *at = x + D, logp[2];
    density(a, 1, (int[]){1}, at, logp, g);
    for (size_t i = 0; i < D; i += stride) {
        memcpy(sides, at, D * sizeof *sides);
        memcpy(sides + D, at, D * sizeof *sides);
        sides[i] += h;
        sides[D + i] -= h;
        density(a, 2, (int[]){1, 1}, sides, logp, unused);
        double want = (logp[0] - logp[1]) / (2 * h);
        cr_expect_lt(fabs(g[i] - want), 1e-6 * (1 + fabs(want)), "%s, %s: by %zu: %.9g, numeric %.9g", what,
                     data ? "data" : "latent", i, g[i], want);
    }
    free(x);
    free(g);
    free(sides);
    free(unused);
}

Test(anneal, gradients_are_those_of_the_density, .timeout = 120)
{
    wf_model model = shaken_model();
    wf_backend *b = open_backend("ref", 1);
    for (int t = 0; t < TARGETS; t++)
        for (int data = 0; data < 2; data++) {
            wf_anneal *a = open_target(&model, &targets[t], data, b, CHAINS);
            check_gradient(a, targets[t].what, data);
            wf_anneal_destroy(a);
        }
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

/* -- densities ---------------------------------------------------------------------------------------------------- */

/* Chains start at equal ids in both spaces, so x = f^-1(z). The forward flows give log p(x) at T = 1. Then
 * log|det dz/dx| = log p(x) - log N(z). The latent density is p(x)^g carried over:
 * log pi_z = log pi_x - log|det dz/dx|. */
static void check_spaces(const wf_model *model, target t, wf_backend *b)
{
    target plain = t;
    for (int level = t.first; level <= t.last; level++)
        plain.temperature[level] = 1;
    wf_anneal *latent = open_target(model, &t, false, b, CHAINS), *data = open_target(model, &t, true, b, CHAINS);
    wf_anneal *density_of_data = open_target(model, &plain, true, b, CHAINS);
    size_t D = wf_anneal_size(latent);
    double *z = starts(latent, CHAINS), *x = starts(data, CHAINS), *unused = malloc(CHAINS * D * sizeof *unused);
    double in_z[CHAINS], in_x[CHAINS], exact[CHAINS];
    density(latent, CHAINS, (int[]){0, 1, 2}, z, in_z, unused);
    density(data, CHAINS, (int[]){0, 1, 2}, x, in_x, unused);
    density(density_of_data, CHAINS, (int[]){0, 1, 2}, x, exact, unused);
    for (int c = 0; c < CHAINS; c++) {
        double normal = -0.5 * (double)D * log(2 * M_PI);
        for (size_t i = 0; i < D; i++)
            normal -= 0.5 * z[(size_t)c * D + i] * z[(size_t)c * D + i];
        double want = in_x[c] - (exact[c] - normal);
        cr_expect_lt(fabs(in_z[c] - want), 1e-9 * fabs(want), "%s: %.12g in the latents, %.12g from the coefficients",
                     t.what, in_z[c], want);
        cr_expect_gt(fabs(exact[c] - normal), 0.1, "%s: a volume that changes", t.what);
    }
    wf_anneal_destroy(latent);
    wf_anneal_destroy(data);
    wf_anneal_destroy(density_of_data);
    free(z);
    free(x);
    free(unused);
}

Test(anneal, both_spaces_have_one_density, .timeout = 60)
{
    wf_model model = shaken_model();
    wf_backend *b = open_backend("ref", 1);
    for (int t = 0; t < TARGETS; t++)
        check_spaces(&model, targets[t], b);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

Test(anneal, latents_at_temperature_1_are_standard_normal)
{
    wf_model model = shaken_model();
    wf_backend *b = open_backend("cpu", 1);
    wf_anneal *a = open_target(&model, &(target){"", 0, 3, 1, 1, {1, 1, 1, 1}}, false, b, CHAINS);
    size_t D = wf_anneal_size(a);
    double *z = starts(a, CHAINS), *g = malloc(D * sizeof *g), logp, want = 0;
    density(a, 1, (int[]){2}, z + 2 * D, &logp, g);
    for (size_t i = 2 * D; i < 3 * D; i++) {
        want -= 0.5 * z[i] * z[i] + 0.5 * log(2 * M_PI);
        cr_expect_eq(g[i - 2 * D], -z[i]);
    }
    cr_expect_lt(fabs(logp - want), 1e-12 * fabs(want), "%.15g, closed form %.15g", logp, want);
    wf_anneal_destroy(a);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
    free(z);
    free(g);
}

/* The error is relative to the largest component: a gradient's small components are differences of large ones. */
static void check_single_precision(const wf_model *model, const target *t, bool data, wf_backend *fast,
                                   wf_backend *exact)
{
    double *x = NULL, *g[2], logp[2][CHAINS], largest = 0, worst = 0;
    size_t n = 0;
    for (int k = 0; k < 2; k++) {
        wf_anneal *a = open_target(model, t, data, k ? fast : exact, CHAINS);
        n = CHAINS * wf_anneal_size(a);
        x = k ? x : starts(a, CHAINS);
        g[k] = malloc(n * sizeof *g[k]);
        density(a, CHAINS, (int[]){0, 1, 2}, x, logp[k], g[k]);
        wf_anneal_destroy(a);
    }
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(g[0][i]));
        worst = fmax(worst, fabs(g[1][i] - g[0][i]));
    }
    cr_expect_lt(worst, 1e-4 * largest, "%s: gradients differ by %g of %g", t->what, worst, largest);
    for (int c = 0; c < CHAINS; c++)
        cr_expect_lt(fabs(logp[1][c] - logp[0][c]), 1e-4 * (1 + fabs(logp[0][c])), "%s: %.9g, want %.9g", t->what,
                     logp[1][c], logp[0][c]);
    free(x);
    free(g[0]);
    free(g[1]);
}

Test(anneal, single_precision_is_close)
{
    wf_model model = shaken_model();
    wf_backend *exact = open_backend("ref", 1), *fast = open_backend("cpu", 1);
    for (int t = 0; t < TARGETS; t++)
        for (int data = 0; data < 2; data++)
            check_single_precision(&model, &targets[t], data, fast, exact);
    exact->close(exact);
    fast->close(fast);
    wf_model_clear(&model);
    scratch_remove();
}

/* -- bits --------------------------------------------------------------------------------------------------------- */

/* Compares rows of a call with `n` chains to the same rows of the call with all chains. */
static void check_rows(wf_anneal *a, int n, const int *chain, const double *x, const double *logp, const double *g)
{
    size_t D = wf_anneal_size(a);
    double *some = malloc((size_t)n * D * sizeof *some), *got = malloc((size_t)n * D * sizeof *got), density_of[100];
    for (int i = 0; i < n; i++)
        memcpy(some + (size_t)i * D, x + (size_t)chain[i] * D, D * sizeof *x);
    density(a, n, chain, some, density_of, got);
    for (int i = 0; i < n; i++) {
        cr_expect_eq(density_of[i], logp[chain[i]], "chain %d among %d", chain[i], n);
        cr_expect_arr_eq(got + (size_t)i * D, g + (size_t)chain[i] * D, D * sizeof *g, "chain %d among %d", chain[i],
                         n);
    }
    free(some);
    free(got);
}

Test(anneal, bits_do_not_depend_on_neighbours, .timeout = 60)
{
    enum { ALL = 67 }; /* its calls have 64 rows */
    static const int five[] = {1, 2, 30, 64, 66};
    int smallest = ALL;
    wf_model model = shaken_model();
    wf_backend *b = open_backend("cpu", 1);
    for (int t = 0; t < TARGETS; t++)
        for (int data = 0; data < 2; data++) {
            int chain[ALL];
            wf_anneal *a = open_target(&model, &targets[t], data, b, ALL);
            size_t D = wf_anneal_size(a);
            cr_assert_eq(wf_anneal_rows(a), ALL - 3);
            double *x = starts(a, ALL), *g = malloc(ALL * D * sizeof *g), logp[ALL];
            for (int c = 0; c < ALL; c++)
                chain[c] = c;
            density(a, ALL, chain, x, logp, g);
            cr_expect(wf_anneal_computed(a) >= ALL && wf_anneal_computed(a) <= 128);
            cr_expect_neq(logp[0], logp[1]);
            check_rows(a, 5, five, x, logp, g);
            for (int c = 0; c < 5; c++)
                check_rows(a, 1, &five[c], x, logp, g);
            check_rows(a, ALL - 1, chain + 1, x, logp, g);
            wf_anneal *alone = open_target(&model, &targets[t], data, b, 1); /* its calls may have fewer rows */
            smallest = wf_anneal_rows(alone) < smallest ? wf_anneal_rows(alone) : smallest;
            check_rows(alone, 1, chain, x, logp, g);
            wf_anneal_destroy(alone);
            wf_anneal_destroy(a);
            free(x);
            free(g);
        }
    cr_expect_lt(smallest, 64);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

/* -- beginnings and ends ------------------------------------------------------------------------------------------ */

/* Levels first .. last of pictures id as wf-sample draws them, laid out by pixels between levels; the last one as
 * wf_anneal_picture gives it. `low` is the first level's low-pass on entry (unused at the base) and the last level's on
 * return. */
static void draw_up(const wf_model *model, const target *t, wf_backend *b, int n, const uint64_t *id, float *low,
                    float *detail)
{
    int H = t->H, W = t->W;
    for (int level = t->first; level <= t->last; level++) {
        wf_sampler s;
        cr_assert_eq(wf_sampler_create(model, level, b, H, W, &s), 0, "%s", wf_error());
        cr_assert_eq(wf_sampler_run(&s, n, level ? low : NULL, id, &(wf_draw){SEED, 1, 0}, level ? detail : low), 0,
                     "%s", wf_error());
        wf_sampler_clear(&s);
        if (level == t->last || level == 0)
            continue;
        wf_meta meta = {.wavelet = "haar", .levels = 1, .top = 1, .H = 2 * H, .W = 2 * W, .C = 3, .bits = 8};
        wf_pyramid *pyramid;
        float *picture = malloc((size_t)(n * 2 * H * 2 * W * 3) * sizeof *picture);
        cr_assert_eq(wf_pyramid_create(b, &meta, n, &pyramid), 0, "%s", wf_error());
        cr_assert_eq(wf_pyramid_join(pyramid, 1, n, low, detail, picture), 0, "%s", wf_error());
        H *= 2;
        W *= 2;
        memcpy(low, picture, (size_t)(n * H * W * 3) * sizeof *low);
        wf_pyramid_destroy(pyramid);
        free(picture);
    }
}

static double farthest(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) { /* fmax here ends gcc 12 for arm64 with an internal error */
        double error = fabs(a[i] - b[i]) / (1 + fabs(b[i]));
        worst = error > worst ? error : worst;
    }
    return worst;
}

/* One level gives identical bits, several levels differ by intermediate rounding. */
static void check_start(const wf_model *model, const target *t, bool data, wf_backend *b)
{
    enum { n = CHAINS, ROOM = n * 6 * 4 * 9 };
    float low[ROOM], detail[ROOM], want_low[ROOM], want_detail[ROOM], *random = random_low(t, n);
    uint64_t id[n] = {7, 8, 9};
    wf_anneal *a = open_target(model, t, data, b, n);
    double *x = starts(a, n);
    int doublings = t->last ? t->last - (t->first ? t->first : 1) : 0;
    size_t pixels = (size_t)(n * t->H * t->W) << 2 * doublings;
    memcpy(want_low, random, (size_t)(n * t->H * t->W * 3) * sizeof *random);
    draw_up(model, t, b, n, id, want_low, want_detail);
    cr_assert_eq(wf_anneal_picture(a, n, (int[]){0, 1, 2}, x, low, t->last ? detail : NULL), 0, "%s", wf_error());
    double limit = t->first == t->last ? 0 : 1e-4, worst = farthest(low, want_low, pixels * 3);
    if (t->last)
        worst = fmax(worst, farthest(detail, want_detail, pixels * 9));
    cr_expect_leq(worst, limit, "%s, %s: %g from what wf-sample draws", t->what, data ? "data" : "latent", worst);
    wf_anneal_destroy(a);
    free(random);
    free(x);
}

Test(anneal, chains_begin_where_samples_are)
{
    wf_model model = shaken_model();
    wf_backend *b = open_backend("ref", 1);
    for (int t = 0; t < TARGETS; t++)
        for (int data = 0; data < 2; data++)
            check_start(&model, &targets[t], data, b);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

Test(anneal, what_cannot_be_is_said)
{
    wf_model model = make_model((scratch_make(), "model"), 2, 4, 3);
    wf_backend *b = open_backend("ref", 1);
    shaking by = {0.1, 0.1};
    wf_anneal *a;
    wf_anneal_spec spec = {.first = 1, .last = 2, .H = 1, .W = 1, .temperature = {1, 1, 0.9}};
    save_level(&model, 1, "actnorm", shake, &by);
    cr_expect_eq(wf_anneal_create(&model, &spec, b, 1, &a), WF_NOINPUT);
    cr_expect(strstr(wf_error(), "level-02"), "%s", wf_error());
    spec.last = 3;
    cr_expect_eq(wf_anneal_create(&model, &spec, b, 1, &a), WF_USAGE);
    spec.last = 1;
    spec.temperature[1] = 0;
    cr_expect_eq(wf_anneal_create(&model, &spec, b, 1, &a), WF_USAGE);
    cr_expect(strstr(wf_error(), "temperature 0"), "%s", wf_error());
    spec.temperature[1] = 1;
    a = anneal(&model, &spec, b, 1);
    cr_expect_eq(wf_anneal_condition(a, 1, NULL), WF_USAGE);
    cr_expect_eq(wf_anneal_condition(a, 2, (float[]){1, 2, 3, 4, 5, 6}), WF_USAGE);
    double far[9] = {INFINITY}, logp, g[9];
    cr_expect_eq(wf_anneal_density(a, 1, (int[]){0}, far, &logp, g), 0);
    cr_expect(!isfinite(logp), "%g", logp);
    wf_anneal_destroy(a);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}
