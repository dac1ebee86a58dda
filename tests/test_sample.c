/* test_sample.c - the latents that levels are sampled from, seen through identity flows */
#include "../lib/sample/sample.h"
#include "anneal.h"

enum { N = 2048, C = 3 };

TestSuite(sample, .init = scratch_make, .fini = scratch_remove);

static void leave(void *user, const wf_flow *flow, float *weights)
{
    (void)user;
    memset(weights, 0, wf_flow_size(flow) * sizeof *weights);
}

/* Draws N pictures at a level of 1x1 low-pass pixels; z [N,C]: the first C latents of each. */
static void draw(const wf_model *model, wf_backend *b, int level, uint64_t seed, double temperature, double *z)
{
    wf_sampler s;
    wf_draw how = {.seed = seed, .temperature = temperature};
    int K = level ? 3 * C : C;
    float *low = level ? calloc(N * C, sizeof *low) : NULL, *x = malloc((size_t)(N * K) * sizeof *x);
    uint64_t index[N];
    for (int n = 0; n < N; n++)
        index[n] = (uint64_t)(3 * n);
    cr_assert_eq(wf_sampler_create(model, level, b, 1, 1, &s), 0, "%s", wf_error());
    cr_assert_eq(wf_sampler_run(&s, N, low, index, &how, x), 0, "%s", wf_error());
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) /* the flow's input: detail / 256, or (base + 1/2) / 256 - 1/2 */
            z[n * C + c] = level ? x[n * K + c] / 256.0 : (x[n * K + c] + 0.5) / 256 - 0.5;
    wf_sampler_clear(&s);
    free(low);
    free(x);
}

/* Correlation coefficient of numbers with mean 0. */
static double correlation(const double *a, const double *b)
{
    double aa = 0, ab = 0, bb = 0;
    for (int i = 0; i < N * C; i++) {
        aa += a[i] * a[i];
        ab += a[i] * b[i];
        bb += b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

/* n independent pairs have a correlation of 0 +- 1/sqrt(n), and variances within sqrt(2/n). */
Test(sample, levels_and_seeds_draw_latents_of_their_own)
{
    static double base[N * C], next[N * C], other[N * C], again[N * C];
    const double five = 5 / sqrt(N * C);
    wf_backend *b = open_backend("cpu", 1);
    wf_model model = make_model("model", 1, 2, C);
    save_level(&model, 0, "actnorm", leave, NULL);
    save_level(&model, 1, "actnorm", leave, NULL);
    draw(&model, b, 0, 7, 0.5, base);
    draw(&model, b, 1, 7, 0.5, next);
    draw(&model, b, 1, 8, 0.5, other);
    draw(&model, b, 1, 7, 0.5, again);
    cr_expect_lt(fabs(correlation(base, next)), five, "levels: %g", correlation(base, next));
    cr_expect_lt(fabs(correlation(next, other)), five, "seeds: %g", correlation(next, other));
    cr_expect_eq(memcmp(next, again, sizeof next), 0);
    const double *all[] = {base, next, other};
    for (int k = 0; k < 3; k++) {
        double variance = 0;
        for (int i = 0; i < N * C; i++)
            variance += all[k][i] * all[k][i] / (N * C);
        cr_expect_float_eq(variance / 0.25, 1, five * sqrt(2), "variance %g at temperature 0.5", variance);
    }
    b->close(b);
    wf_model_clear(&model);
}
