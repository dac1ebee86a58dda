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

/* -- bands --------------------------------------------------------------------------------------------------------- */

/* Weights of a trained flow: those at the beginning and a little noise. */
static void disturb(void *user, const wf_flow *flow, float *weights)
{
    (void)user;
    for (size_t i = 0; i < wf_flow_size(flow); i++)
        weights[i] += 0.1f * ((float)(wf_splitmix(i) >> 40) * 0x1p-24f - 0.5f);
}

/* Draws a picture [H,W,3C] at level 1, in bands unless bytes is 0, and returns the rows of a band. */
static int draw_rows(const wf_model *model, wf_backend *b, int H, int W, size_t bytes, double truncate, float *x)
{
    wf_sampler s;
    wf_draw how = {.seed = 5, .temperature = 0.8, .truncate = truncate};
    uint64_t index = 3;
    float *low = malloc((size_t)(H * W * C) * sizeof *low);
    for (int i = 0; i < H * W * C; i++)
        low[i] = (float)(wf_splitmix((uint64_t)i) >> 56);
    cr_assert_eq(wf_sampler_create_in_bands(model, 1, b, H, W, bytes, &s), 0, "%s", wf_error());
    cr_assert_eq(wf_sampler_run(&s, 1, low, &index, &how, x), 0, "%s", wf_error());
    int rows = s.runner.H;
    wf_sampler_clear(&s);
    free(low);
    return rows;
}

static float farthest(const float *a, const float *b, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        most = !(fabsf(a[i] - b[i]) <= most) ? fabsf(a[i] - b[i]) : most;
    return most;
}

/* The reference computes a pixel from what it depends on, so bands have the same bits. The CPU's 3x3 kernels take tiles
 * of 4x4 pixels: what lies beyond the edge of a band changes roundings in it. */
static void compare_bands(const char *backend, int H, int W, float near)
{
    static const struct {
        const char *chain;
        int radius;
    } cases[] = {
        {"cond:channels=8:width=16:blocks=2, 3*(actnorm, conv1x1, affine:width=16:blocks=1), actnorm", 3 + 3 * 2},
        {"2*(actnorm, conv1x1, affine:width=8:blocks=3), actnorm", 2 * 4},
        {"3*(actnorm, affine:width=4:mask=checker, affine:width=4:mask=checker:swap), actnorm", 6 * 4},
        {"actnorm, conv1x1, rqspline:width=8:blocks=1, householder, mixlogistic:width=8:blocks=1", 2 * 2},
        {"actnorm, conv1x1, affine:net=glow:width=8, householder, affine:net=gated:width=8:blocks=1", 2 + 3},
        {"actnorm, affine:net=dense:width=8", 0},
    };
    float *whole = malloc((size_t)(H * W * 3 * C) * sizeof *whole),
          *bands = malloc((size_t)(H * W * 3 * C) * sizeof *bands);
    wf_backend *b = open_backend(backend, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];
        int margin = (cases[i].radius + 15) / 16 * 16, band = 4 * margin + 16 + H % 16;
        snprintf(name, sizeof name, "%s-%d-%zu", backend, H, i);
        wf_model model = make_model(name, 1, 16, C);
        save_level(&model, 1, cases[i].chain, disturb, NULL);
        memset(bands, 0xff, (size_t)(H * W * 3 * C) * sizeof *bands);
        double truncate = i == 0 ? 1.5 : 0;
        cr_expect_eq(draw_rows(&model, b, H, W, 0, truncate, whole), H);
        int rows = draw_rows(&model, b, H, W, 1, truncate, bands);
        cr_expect_eq(rows, band, "%s: %d rows", cases[i].chain, rows);
        float most = farthest(whole, bands, H * W * 3 * C);
        cr_expect(most <= near, "%s on %s, %d rows: %g", cases[i].chain, backend, H, most);
        wf_model_clear(&model);
    }
    b->close(b);
    free(whole);
    free(bands);
}

Test(sample, bands_draw_what_the_whole_picture_draws)
{
    compare_bands("ref", 160, 4, 0);
    compare_bands("ref", 173, 3, 0);
    compare_bands("cpu", 288, 22, 0.01f);
    compare_bands("cpu", 301, 21, 0.01f);
}

Test(sample, bands_are_for_flows_of_near_pixels)
{
    static const char *const far[] = {"actnorm, affine:net=attention:width=4:blocks=1", "actnorm, maskedconv:width=4",
                                      "actnorm, ar:width=4:blocks=1", "squeeze, actnorm, affine:width=4:blocks=1",
                                      "haar, actnorm"};
    wf_backend *b = open_backend("ref", 1);
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        wf_flow_spec spec = {1, 2, 2, 3 * C, C, 3, WF_FP32, WF_MEMORY_NONE, WF_PICTURE, 0, 0, 0};
        wf_flow *flow;
        cr_assert_eq(wf_flow_create(b, far[i], &spec, &flow), 0, "%s", wf_error());
        cr_expect_eq(wf_flow_radius(flow), WF_RADIUS_ALL, "%s: %d", far[i], wf_flow_radius(flow));
        wf_flow_destroy(flow);
    }
    wf_model model = make_model("model", 1, 16, C);
    wf_sampler s;
    save_level(&model, 1, far[1], disturb, NULL);
    cr_assert_eq(wf_sampler_create_in_bands(&model, 1, b, 288, 4, 1, &s), 0, "%s", wf_error());
    cr_expect_eq(s.runner.H, 288);
    wf_sampler_clear(&s);
    wf_model_clear(&model);
    b->close(b);
}

Test(sample, bands_are_for_flows_that_take_more)
{
    enum { H = 288, W = 8 };
    static float x[H * W * 3 * C];
    wf_backend *b = open_backend("cpu", 1);
    wf_model model = make_model("model", 1, 16, C);
    wf_flow *flow;
    wf_level level;
    save_level(&model, 1, "actnorm, affine:width=16:blocks=1", disturb, NULL);
    cr_assert_eq(wf_level_load(&model, 1, b, &level), 0);
    cr_assert_eq(wf_level_flow(&level.spec, b, 1, H, W, WF_MEMORY_NONE, &flow), 0);
    cr_expect_eq(wf_flow_radius(flow), 2);
    size_t bytes = wf_flow_bytes(flow);
    cr_expect_eq(draw_rows(&model, b, H, W, bytes, 0, x), H);
    cr_expect_eq(draw_rows(&model, b, H, W, bytes / 2, 0, x), H / 2);
    wf_flow_destroy(flow);
    wf_level_clear(&level);
    wf_model_clear(&model);
    b->close(b);
}
