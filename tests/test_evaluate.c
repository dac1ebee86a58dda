/* test_evaluate.c - bits per dimension and importance weights against known likelihoods */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "../lib/model/evaluate.h"

static wf_backend *open_backend(const char *name)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open(name, 1, &b), 0, "%s", wf_error());
    return b;
}

/* -- noise of whole pictures --------------------------------------------------------------------------------------- */

/* The noise of all levels joins to one field of uniforms; at every lower level it is the average of that field. */
static void check_noise(const char *wavelet)
{
    enum { N = 3, SIDE = 8, C = 2, PIXELS = N * SIDE * SIDE * C };
    wf_backend *b = open_backend("cpu");
    wf_meta meta = {.levels = 3, .top = 3, .H = SIDE, .W = SIDE, .C = C, .bits = 8};
    strcpy(meta.wavelet, wavelet);
    wf_pixel_noise noise;
    wf_pyramid *pyramid;
    uint64_t index[N] = {4, 0, 9};
    float low[PIXELS] = {0}, detail[PIXELS] = {0}, pixels[PIXELS], mean = 0;
    cr_assert_eq(wf_pixel_noise_create(b, &meta, &noise), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &pyramid), 0, "%s", wf_error());
    memset(pixels, 0, sizeof pixels);
    cr_assert_eq(wf_pixel_noise_add(&noise, 1, 7, 0, N, index, pixels, NULL), 0, "%s", wf_error());
    for (int l = 1; l <= 3; l++) {
        memset(low, 0, sizeof low);
        memset(detail, 0, sizeof detail);
        cr_assert_eq(wf_pixel_noise_add(&noise, 1, 7, l, N, index, low, detail), 0, "%s", wf_error());
        for (int i = 0; i < N * C << 2 * (l - 1); i++)
            cr_assert_float_eq(low[i], pixels[i], 1e-5, "%s: level %d sees another draw below", wavelet, l);
        cr_assert_eq(wf_pyramid_join(pyramid, l, N, low, detail, pixels), 0, "%s", wf_error());
    }
    for (int i = 0; i < PIXELS; i++) {
        cr_assert(pixels[i] > -0.50001f && pixels[i] < 0.50001f, "%s: a pixel's noise is %g", wavelet, pixels[i]);
        mean += pixels[i] * pixels[i] / PIXELS;
    }
    cr_expect_float_eq(mean, 1.0 / 12, 0.015);
    wf_pixel_noise_clear(&noise);
    wf_pyramid_destroy(pyramid);
    b->close(b);
}

Test(evaluate, levels_see_one_draw_of_the_pixels)
{
    check_noise("haar");
    check_noise("db2");
}

/* -- a model of white noise ---------------------------------------------------------------------------------------- */

enum { N = 64, DRAWS = 256 };
static const double MU = 100.6, SIGMA = 0.35;
static const float PICTURE[4] = {100, 101, 100, 99}; /* 2x2 pixels */

/* Exact bits/dim of the picture under normal pixels that are rounded down. */
static double exact_bits(void)
{
    double bits = 0;
    for (int i = 0; i < 4; i++)
        bits -=
            log2((erf((PICTURE[i] + 1 - MU) / SIGMA * M_SQRT1_2) - erf((PICTURE[i] - MU) / SIGMA * M_SQRT1_2)) / 2) / 4;
    return bits;
}

/* Models a pyramid of one level. Its coefficients are normal too: an actnorm each, y = (x + b) exp(3 l). */
static void open_level(wf_backend *b, const wf_meta *meta, int level, void **params, wf_evaluator *out)
{
    double scale = 1.0 / 256, v[6] = {0};
    int K = level ? 3 : 1;
    v[0] = level ? 0 : 0.5 - MU * scale;
    for (int k = 0; k < K; k++)
        v[K + k] = log((level ? 1 : 2) / (SIGMA * scale)) / 3;
    cr_assert_eq(b->alloc(b, 6 * b->real, params), 0);
    cr_assert_eq(b->upload(b, *params, v, WF_F64, 6), 0);
    wf_level_spec spec = wf_level_spec_for(meta, level, "actnorm", NULL, WF_FP32);
    cr_assert_eq(wf_evaluator_create(b, meta, &spec, *params, 5, out), 0, "%s", wf_error());
}

/* The middle latent is too large for a float. */
Test(evaluate, a_picture_without_density_fails_or_has_infinite_bits)
{
    enum { COUNT = 3 };
    wf_backend *b = open_backend("cpu");
    const wf_meta meta = {.wavelet = "haar", .levels = 0, .H = 1, .W = 1, .C = 1, .bits = 8};
    const float low[COUNT] = {100, 1000, 99};
    const uint64_t index[COUNT] = {4, 7, 5};
    const double v[2] = {0.5 - 100.5 / 256, 38 * log(10) / 3};
    double bits[COUNT], alone[2];
    void *params;
    wf_evaluator e;
    cr_assert_eq(b->alloc(b, 2 * b->real, &params), 0);
    cr_assert_eq(b->upload(b, params, v, WF_F64, 2), 0);
    wf_level_spec spec = wf_level_spec_for(&meta, 0, "actnorm", NULL, WF_FP32);
    cr_assert_eq(wf_evaluator_create(b, &meta, &spec, params, 5, &e), 0, "%s", wf_error());
    cr_expect_eq(wf_evaluator_run(&e, COUNT, low, NULL, index, bits), WF_INTERNAL);
    cr_expect(e.not_finite && strstr(wf_error(), "picture 7 is not finite"), "%s", wf_error());
    e.infinite = true;
    cr_assert_eq(wf_evaluator_run(&e, COUNT, low, NULL, index, bits), 0, "%s", wf_error());
    cr_expect(!e.not_finite && bits[1] == INFINITY, "%g", bits[1]);
    for (int n = 0; n < COUNT; n += 2) {
        cr_assert_eq(wf_evaluator_run(&e, 1, low + n, NULL, index + n, alone), 0, "%s", wf_error());
        cr_expect(isfinite(bits[n]) && bits[n] == alone[0], "picture %d: %g, alone %g", n, bits[n], alone[0]);
    }
    wf_evaluator_clear(&e);
    b->free(b, params);
    b->close(b);
}

/* Evaluates N copies of the picture, each with its own noise: bits[n][k] is the model's bits/dim under draw k. */
static void draw_bits(double (*bits)[DRAWS])
{
    wf_backend *b = open_backend("ref");
    wf_meta meta = {.wavelet = "haar", .levels = 1, .top = 1, .H = 2, .W = 2, .C = 1, .bits = 8};
    float pixels[4 * N];
    const float *low, *detail;
    double one[N];
    uint64_t index[N];
    wf_pyramid *pyramid;
    wf_pixel_noise noise;
    for (int n = 0; n < N; n++) {
        index[n] = (uint64_t)n;
        memcpy(pixels + 4 * n, PICTURE, sizeof PICTURE);
    }
    cr_assert_eq(wf_pixel_noise_create(b, &meta, &noise), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &pyramid), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_split(pyramid, N, pixels, 0), 0, "%s", wf_error());
    for (int level = 0; level < 2; level++) {
        void *params;
        wf_evaluator e;
        open_level(b, &meta, level, &params, &e);
        cr_assert_eq(wf_pyramid_level(pyramid, level, &low, &detail), 0, "%s", wf_error());
        for (int k = 0; k < DRAWS; k++) {
            cr_assert_eq(wf_evaluator_draw(&e, &noise, (uint64_t)k), 0, "%s", wf_error());
            cr_assert_eq(wf_evaluator_run(&e, N, low, detail, index, one), 0, "%s", wf_error());
            for (int n = 0; n < N; n++)
                bits[n][k] = one[n] + (level ? bits[n][k] : 0);
        }
        wf_evaluator_clear(&e);
        b->free(b, params);
    }
    wf_pixel_noise_clear(&noise);
    wf_pyramid_destroy(pyramid);
    b->close(b);
}

Test(evaluate, more_draws_tend_to_the_exact_likelihood)
{
    static double bits[N][DRAWS];
    const wf_meta meta = {.H = 2, .W = 2, .C = 1};
    double exact = exact_bits(), before = INFINITY, gap = 0;
    draw_bits(bits);
    for (int K = 1; K <= DRAWS; K *= 16) {
        wf_mean mean = {0};
        for (int n = 0; n < N; n++)
            for (int k = 0; k + K <= DRAWS; k += K)
                wf_mean_add(&mean, wf_importance_bits(&meta, K, &bits[n][k]));
        gap = mean.mean - exact;
        cr_expect_lt(mean.mean, before, "%d draws: %g bits/dim, fewer %g", K, mean.mean, before);
        cr_expect_gt(gap, -4 * wf_mean_error(&mean), "%d draws: %g bits/dim below the exact %g", K, -gap, exact);
        if (K == 1)
            cr_expect_gt(gap, 0.5, "one draw is %g above", gap);
        else if (K == DRAWS)
            cr_expect_lt(gap, 0.01 + 4 * wf_mean_error(&mean), "%d draws are %g above", K, gap);
        before = mean.mean;
    }
}

/* Expected bits/dim of the picture when each level draws its own noise: for uniform u on [0,1), the mean of
 * (x + u - mu)^2 is (x + 1/2 - mu)^2 + 1/12. */
static double expected_bits(void)
{
    double nats = log(SIGMA * sqrt(2 * acos(-1)));
    for (int i = 0; i < 4; i++)
        nats += (pow(PICTURE[i] + 0.5 - MU, 2) + 1 / 12.0) / (2 * SIGMA * SIGMA) / 4;
    return nats / log(2);
}

/* Evaluation without noise would give 1/(24 sigma^2) nats = 0.49 bits/dim less, summed over both levels. */
Test(evaluate, every_level_adds_uniform_noise)
{
    enum { ROUNDS = 64 };
    static double sums[ROUNDS][N];
    wf_backend *b = open_backend("ref");
    wf_meta meta = {.wavelet = "haar", .levels = 1, .top = 1, .H = 2, .W = 2, .C = 1, .bits = 8};
    float pixels[4 * N];
    const float *low, *detail;
    double bits[N];
    uint64_t index[N];
    wf_pyramid *pyramid;
    wf_mean mean = {0};
    for (int n = 0; n < N; n++)
        memcpy(pixels + 4 * n, PICTURE, sizeof PICTURE);
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &pyramid), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_split(pyramid, N, pixels, 0), 0, "%s", wf_error());
    for (int level = 0; level < 2; level++) {
        void *params;
        wf_evaluator e;
        open_level(b, &meta, level, &params, &e);
        cr_assert_eq(wf_pyramid_level(pyramid, level, &low, &detail), 0, "%s", wf_error());
        for (int round = 0; round < ROUNDS; round++) {
            for (int n = 0; n < N; n++)
                index[n] = (uint64_t)(round * N + n);
            cr_assert_eq(wf_evaluator_run(&e, N, low, detail, index, bits), 0, "%s", wf_error());
            for (int n = 0; n < N; n++)
                sums[round][n] += bits[n];
        }
        wf_evaluator_clear(&e);
        b->free(b, params);
    }
    for (int i = 0; i < ROUNDS * N; i++)
        wf_mean_add(&mean, sums[i / N][i % N]);
    cr_expect_lt(wf_mean_error(&mean), 0.02);
    cr_expect_float_eq(mean.mean, expected_bits(), 4 * wf_mean_error(&mean), "%g +- %g bits/dim, want %g", mean.mean,
                       wf_mean_error(&mean), expected_bits());
    wf_pyramid_destroy(pyramid);
    b->close(b);
}

/* A batch has the pixels that keep the device busy: 4096 on a processor, 512 for each multiprocessor of a card. */
Test(evaluate, rows_of_a_batch_follow_the_device)
{
    static const struct {
        int64_t pixels;
        int side, rows;
    } cases[] = {{4096, 1, 64},   {4096, 8, 64},    {4096, 16, 16},  {4096, 64, 1},  {4096, 512, 1},
                 {67584, 1, 256}, {67584, 16, 256}, {67584, 32, 66}, {67584, 256, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(wf_level_rows(cases[i].pixels, cases[i].side, cases[i].side), cases[i].rows, "%d pixels a side",
                     cases[i].side);
    wf_backend *b = open_backend("cpu");
    cr_expect_eq(b->pixels, 4096);
    b->close(b);
}

/* 1, 2 and 4 have mean 7/3 and sample variance (16 + 1 + 25) / 9 / (3 - 1) = 7/3; their mean has variance 7/9. */
Test(evaluate, standard_error_of_the_mean)
{
    wf_mean m = {0};
    wf_mean_add(&m, 1);
    cr_expect(isnan(wf_mean_error(&m)), "the error of one value is unknown");
    wf_mean_add(&m, 2);
    cr_expect_float_eq(wf_mean_error(&m), 0.5, 1e-15);
    wf_mean_add(&m, 4);
    cr_expect_float_eq(m.mean, 7 / 3.0, 1e-15);
    cr_expect_float_eq(wf_mean_error(&m), sqrt(7) / 3, 1e-15);
}

/* Densities that overflow or vanish in a double still get their weights. */
Test(evaluate, the_mean_of_densities_neither_overflows_nor_vanishes)
{
    const wf_meta meta = {.H = 1024, .W = 1024, .C = 3};
    double dims = 1024.0 * 1024 * 3;
    cr_expect_float_eq(wf_importance_bits(&meta, 2, (double[]){8, 9}), 8 + 1 / dims, 1e-12);
    cr_expect_float_eq(wf_importance_bits(&meta, 2, (double[]){-9, -9}), -9, 1e-12);
    const wf_meta one = {.H = 1, .W = 1, .C = 1};
    cr_expect_float_eq(wf_importance_bits(&one, 2, (double[]){1, 2}), -log2(0.375), 1e-12);
}

/* -- exact probabilities: lattice ---------------------------------------------------------------------------------- */

enum { EXACT_LEVELS = 2, EVERY = 1 << 16, CHUNK = 4096 };

/* All pictures of 4 x 4 pixels of one bit, under random parameters. */
typedef struct exact {
    wf_backend *backend;
    wf_meta meta;
    void *params[EXACT_LEVELS + 1];
    wf_evaluator levels[EXACT_LEVELS + 1];
} exact;

static void open_exact(exact *e, uint64_t seed)
{
    static const char chain[] = "cond:channels=2:width=3:blocks=1, lattice:components=2:width=4:blocks=1:phases=2";
    *e = (exact){.backend = open_backend("cpu"),
                 .meta = {.wavelet = "haar", .levels = 2, .top = 2, .H = 4, .W = 4, .C = 1, .bits = 1}};
    for (int l = 0; l <= EXACT_LEVELS; l++) {
        wf_backend *b = e->backend;
        wf_level_spec spec = wf_level_spec_for(&e->meta, l, chain, NULL, WF_FP32);
        static double values[20000];
        cr_assert_eq(b->alloc(b, sizeof values, &e->params[l]), 0);
        cr_assert_eq(wf_evaluator_create(b, &e->meta, &spec, e->params[l], seed, &e->levels[l]), 0, "%s", wf_error());
        size_t size = wf_flow_size(e->levels[l].runner.flow);
        cr_assert_leq(size, sizeof values / sizeof *values);
        wf_init_normal(6, (uint64_t)l, 0.2, values, size);
        cr_assert_eq(b->upload(b, e->params[l], values, WF_F64, size), 0);
    }
}

static void close_exact(exact *e)
{
    for (int l = 0; l <= EXACT_LEVELS; l++) {
        wf_evaluator_clear(&e->levels[l]);
        e->backend->free(e->backend, e->params[l]);
    }
    e->backend->close(e->backend);
}

/* Writes the bits of pictures first .. first + count - 1 [count], whose pixels are the bits of their number. */
static void exact_bits_of(exact *e, int first, int count, double *bits)
{
    static float pixels[CHUNK * 16];
    static uint64_t index[CHUNK];
    static double own[CHUNK];
    const float *low, *detail;
    wf_pyramid *pyramid;
    for (int n = 0; n < count; n++) {
        index[n] = (uint64_t)(first + n);
        bits[n] = 0;
        for (int i = 0; i < 16; i++)
            pixels[n * 16 + i] = (float)((first + n) >> i & 1);
    }
    cr_assert_eq(wf_pyramid_create(e->backend, &e->meta, count, &pyramid), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_split(pyramid, count, pixels, 0), 0, "%s", wf_error());
    for (int l = 0; l <= EXACT_LEVELS; l++) {
        cr_assert_eq(wf_pyramid_level(pyramid, l, &low, &detail), 0, "%s", wf_error());
        cr_assert_eq(wf_evaluator_run(&e->levels[l], count, low, detail, index, own), 0, "%s", wf_error());
        for (int n = 0; n < count; n++)
            bits[n] += 16 * own[n];
    }
    wf_pyramid_destroy(pyramid);
}

Test(evaluate, probabilities_of_all_small_pictures_add_up_to_one, .timeout = 60)
{
    static double bits[CHUNK];
    exact e;
    double sum = 0;
    open_exact(&e, 5);
    for (int first = 0; first < EVERY; first += CHUNK) {
        exact_bits_of(&e, first, CHUNK, bits);
        for (int n = 0; n < CHUNK; n++)
            sum += exp2(-bits[n]);
    }
    cr_assert_float_eq(sum, 1, 1e-5, "%.9g", sum);
    close_exact(&e);
}

/* Neither the seed nor a draw of the pixels' noise changes exact bits. */
Test(evaluate, exact_bits_do_not_depend_on_noise)
{
    exact e, other;
    double want[64], have[64];
    wf_pixel_noise noise;
    open_exact(&e, 5);
    open_exact(&other, 9);
    exact_bits_of(&e, 700, 64, want);
    exact_bits_of(&other, 700, 64, have);
    cr_expect_arr_eq(have, want, sizeof want, "another seed gives other bits");
    cr_assert_eq(wf_pixel_noise_create(other.backend, &e.meta, &noise), 0, "%s", wf_error());
    for (int l = 0; l <= EXACT_LEVELS; l++)
        cr_assert_eq(wf_evaluator_draw(&other.levels[l], &noise, 3), 0, "%s", wf_error());
    exact_bits_of(&other, 700, 64, have);
    cr_expect_arr_eq(have, want, sizeof want, "a draw of the noise gives other bits");
    wf_pixel_noise_clear(&noise);
    close_exact(&e);
    close_exact(&other);
}
