/* test_anneal.c - annealed densities of one level and of several: gradients, spaces, bits, and what they draw */
#include "anneal.h"

enum { LEVELS = 3, SIDE = 8, CHAINS = 3, SEED = 11 };

/* What a chain can be run on. */
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
    double deviation = 0.15;
    scratch_make();
    wf_model model = make_model("model", LEVELS, SIDE, 3);
    for (int level = 0; level <= LEVELS; level++)
        save_level(&model, level, "2*(actnorm, conv1x1, affine:width=6:blocks=1), actnorm", shake, &deviation);
    return model;
}

/* Pictures of random 8-bit pixels under `chains` chains, or NULL at the base; the caller's. */
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

/* Positions [chains,D] that chains may begin at, the caller's. */
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

/* At chain 1's position, both sides of every coordinate (or every few) as two rows of one call. */
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
