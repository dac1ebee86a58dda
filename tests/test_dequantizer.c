/* test_dequantizer.c - learnt noise: its gradients, and a likelihood computed from its density */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "../lib/model/evaluate.h"

enum { N = 2, SIDE = 4, C = 2, D = SIDE * SIDE * C };
static const char *const CHAIN = "squeeze, actnorm, conv1x1, affine:width=4:blocks=1, actnorm";
static const char *const NOISE =
    "affine:mask=checker:width=3:blocks=1, affine:mask=checker:swap=1:width=3:blocks=1, conv1x1, actnorm";

static wf_backend *open_backend(const char *name)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open(name, 1, &b), 0, "%s", wf_error());
    return b;
}

/* Both flows on ref, parameters random in all tensors, one vector after the other in `params`. */
typedef struct pair {
    wf_backend *b;
    wf_meta meta;
    wf_flow *flow;
    wf_dequantizer d;
    wf_level_input feed;
    float pixels[N * D];
    size_t first, size; /* parameters of the pixel flow, and of both flows */
    double *values, *grads;
    wf_real *params;
} pair;

static void open_pair(pair *p, wf_memory memory)
{
    void *params;
    wf_flow_spec spec = {.N = N, .H = SIDE, .W = SIDE, .K = C, .kernel = 3, .memory = memory};
    *p = (pair){.b = open_backend("ref"), .meta = {.wavelet = "haar", .H = SIDE, .W = SIDE, .C = C, .bits = 3}};
    cr_assert_eq(wf_flow_create(p->b, CHAIN, &spec, &p->flow), 0, "%s", wf_error());
    cr_assert_eq(wf_dequantizer_create(p->b, &p->meta, NOISE, &spec, &p->d), 0, "%s", wf_error());
    cr_assert_eq(wf_level_input_create(p->b, &p->meta, 0, N, SIDE, SIDE, &p->feed), 0, "%s", wf_error());
    p->first = wf_flow_size(p->flow);
    p->size = p->first + wf_flow_size(p->d.flow);
    p->values = malloc(3 * p->size * sizeof(double));
    p->grads = p->values + p->size;
    cr_assert_eq(p->b->alloc(p->b, p->size * p->b->real, &params), 0);
    p->params = params;
    cr_assert_eq(wf_flow_init(p->flow, 1, p->params), 0);
    cr_assert_eq(wf_flow_init(p->d.flow, 2, wf_at(p->b, p->params, p->first)), 0);
    cr_assert_eq(p->b->download(p->b, p->values, WF_F64, p->params, p->size), 0);
    wf_init_normal(3, 0, 0.1, p->grads + p->size, p->size);
    for (size_t i = 0; i < p->size; i++)
        p->values[i] += p->grads[p->size + i];
    for (int i = 0; i < N * D; i++)
        p->pixels[i] = (float)((i * 5 + i / 7) % 8);
}

static void close_pair(pair *p)
{
    wf_flow_destroy(p->flow);
    wf_dequantizer_clear(&p->d);
    wf_level_input_clear(&p->feed);
    p->b->free(p->b, p->params);
    p->b->close(p->b);
    free(p->values);
}

/* Sum over pictures of log p(x + u) - log q(u | x). */
static double objective(pair *p)
{
    const wf_random random = {4, WF_PURPOSE_NOISE, 0};
    double density[N], log_q[N];
    wf_readback *posts[2];
    cr_assert_eq(p->b->upload(p->b, p->params, p->values, WF_F64, p->size), 0);
    cr_assert_eq(wf_level_input_upload(&p->feed, N, p->pixels, NULL, (uint64_t[N]){0, 1}), 0);
    cr_assert_eq(wf_dequantizer_run(&p->d, wf_at(p->b, p->params, p->first), &p->feed, &random), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_forward(p->flow, p->params, wf_level_input_x(&p->feed), NULL), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_log_density(p->flow, density), 0);
    cr_assert_eq(wf_dequantizer_readback_begin(&p->d, posts), 0);
    cr_assert_eq(wf_dequantizer_readback_end(&p->d, posts, log_q), 0);
    return density[0] + density[1] - log_q[0] - log_q[1];
}

typedef struct place {
    pair *p;
    size_t first;
} place;

static int keep(void *user, size_t offset, size_t count, const wf_real *grads)
{
    place *at = user;
    return at->p->b->download(at->p->b, at->p->grads + at->first + offset, WF_F64, grads, count);
}

static void check_gradients(wf_memory memory)
{
    pair p;
    const wf_real *dx;
    double worst = 0, largest = 0;
    open_pair(&p, memory);
    objective(&p);
    place flow = {&p, 0}, noise = {&p, p.first};
    cr_assert_eq(wf_flow_backward(p.flow, p.params, NULL, 1, keep, &flow, NULL, &dx), 0, "%s", wf_error());
    cr_assert_eq(wf_dequantizer_backward(&p.d, wf_at(p.b, p.params, p.first), dx, 1, keep, &noise), 0, "%s",
                 wf_error());
    for (size_t i = 0; i < p.size; i++) {
        double kept = p.values[i], step = 1e-5, up, down;
        p.values[i] = kept + step;
        up = objective(&p);
        p.values[i] = kept - step;
        down = objective(&p);
        p.values[i] = kept;
        double want = (up - down) / (2 * step);
        worst = fmax(worst, fabs(want - p.grads[i]) / (1 + fabs(want)));
        largest = i >= p.first ? fmax(largest, fabs(want)) : largest;
    }
    cr_expect_lt(worst, 1e-5, "a gradient is off by %g", worst);
    cr_expect_gt(largest, 0.1, "the noise has hardly any gradient");
    close_pair(&p);
}

Test(dequantizer, gradients_are_those_of_the_objective)
{
    check_gradients(WF_MEMORY_STORE);
    check_gradients(WF_MEMORY_REVERSIBLE);
}

/* -- a density whose integral over a pixel is known ---------------------------------------------------------------- */

static const double MU = 2.6, SIGMA = 0.5; /* pixels are a rounded-down normal */
enum { TOY = 4 };                          /* of 2x2 pixels */
static const float PIXELS[TOY] = {2, 3, 2, 2};

static double exact_bits(void)
{
    double bits = 0;
    for (int i = 0; i < TOY; i++)
        bits -=
            log2((erf((PIXELS[i] + 1 - MU) / SIGMA * M_SQRT1_2) - erf((PIXELS[i] - MU) / SIGMA * M_SQRT1_2)) / 2) / TOY;
    return bits;
}

/* That density as an actnorm, y = (x + b) exp(3 l), with noise behind it whose parameters are random. */
static void *toy_params(wf_backend *b, const wf_meta *meta)
{
    wf_flow_spec spec = {.N = 1, .H = 2, .W = 2, .K = 1, .kernel = 3, .memory = WF_MEMORY_NONE};
    wf_dequantizer d;
    void *params;
    cr_assert_eq(wf_dequantizer_create(b, meta, NOISE, &spec, &d), 0, "%s", wf_error());
    size_t n = wf_flow_size(d.flow);
    double *v = malloc((2 + 2 * n) * sizeof *v), *change = v + 2 + n;
    cr_assert_eq(b->alloc(b, (2 + n) * b->real, &params), 0);
    cr_assert_eq(wf_flow_init(d.flow, 2, params), 0);
    cr_assert_eq(b->download(b, v + 2, WF_F64, params, n), 0);
    wf_init_normal(3, 0, 0.1, change, n);
    for (size_t i = 0; i < n; i++)
        v[2 + i] += change[i];
    v[0] = 0.5 - MU / 8;
    v[1] = log(8 / SIGMA) / 3;
    cr_assert_eq(b->upload(b, params, v, WF_F64, 2 + n), 0);
    wf_dequantizer_clear(&d);
    free(v);
    return params;
}

/* For any q the mean over u of p(x + u) / q(u | x) is P(x), so the bound tends to P(x) with the number of weights. A q
 * that miscalculates its density, or leaves out part of (0,1), tends to something else. */
Test(dequantizer, any_noise_gives_the_same_likelihood)
{
    enum { PICTURES = 64, DRAWS = 128 };
    static double one[PICTURES], bits[DRAWS * PICTURES];
    static float pixels[PICTURES * TOY];
    uint64_t index[PICTURES];
    wf_backend *b = open_backend("ref");
    wf_meta meta = {.wavelet = "haar", .H = 2, .W = 2, .C = 1, .bits = 3};
    wf_evaluator e;
    wf_mean mean = {0};
    void *params = toy_params(b, &meta);
    for (int n = 0; n < PICTURES; n++) {
        index[n] = (uint64_t)n;
        memcpy(pixels + n * TOY, PIXELS, sizeof PIXELS);
    }
    wf_level_spec spec = wf_level_spec_for(&meta, 0, "actnorm", NOISE, WF_FP32);
    cr_assert_eq(wf_evaluator_create(b, &meta, &spec, params, 5, &e), 0, "%s", wf_error());
    for (int k = 0; k < DRAWS; k++) {
        cr_assert_eq(wf_evaluator_draw(&e, NULL, (uint64_t)k), 0, "%s", wf_error());
        cr_assert_eq(wf_evaluator_run(&e, PICTURES, pixels, NULL, index, one), 0, "%s", wf_error());
        memcpy(bits + k * PICTURES, one, sizeof one);
    }
    for (int i = 0; i < DRAWS * PICTURES; i++)
        wf_mean_add(&mean, bits[i]);
    double exact = exact_bits(), weighted = wf_importance_bits(&meta, DRAWS * PICTURES, bits);
    cr_expect_gt(mean.mean, exact + 0.05, "one draw gives %g, exactly it is %g", mean.mean, exact);
    cr_expect_float_eq(weighted, exact, 0.01, "%d draws give %g, exactly it is %g", DRAWS * PICTURES, weighted, exact);
    wf_evaluator_clear(&e);
    b->free(b, params);
    b->close(b);
}

/* Fresh noise is uniform up to a known cost (dequantizer.h). */
Test(dequantizer, noise_starts_near_the_uniform)
{
    enum { PICTURES = 64 };
    wf_backend *b = open_backend("cpu");
    wf_meta meta = {.wavelet = "haar", .H = SIDE, .W = SIDE, .C = C, .bits = 8};
    wf_flow_spec spec = {.N = PICTURES, .H = SIDE, .W = SIDE, .K = C, .kernel = 3, .memory = WF_MEMORY_NONE};
    wf_dequantizer d;
    wf_level_input feed;
    void *params;
    float pixels[PICTURES * D] = {0}, noisy[PICTURES * D];
    uint64_t index[PICTURES];
    double log_q[PICTURES], mean = 0, square = 0;
    wf_mean bits = {0};
    wf_readback *posts[2];
    for (int i = 0; i < PICTURES; i++)
        index[i] = (uint64_t)i;
    cr_assert_eq(wf_dequantizer_create(b, &meta, "affine:width=4:blocks=1, actnorm", &spec, &d), 0, "%s", wf_error());
    cr_assert_eq(wf_level_input_create(b, &meta, 0, PICTURES, SIDE, SIDE, &feed), 0);
    cr_assert_eq(b->alloc(b, wf_flow_size(d.flow) * b->real, &params), 0);
    cr_assert_eq(wf_level_input_upload(&feed, PICTURES, pixels, NULL, index), 0);
    cr_assert_eq(wf_dequantizer_init(&d, params, &feed, &(wf_random){1, WF_PURPOSE_INIT, 0}), 0, "%s", wf_error());
    cr_assert_eq(wf_level_input_upload(&feed, PICTURES, pixels, NULL, index), 0);
    cr_assert_eq(wf_dequantizer_run(&d, params, &feed, &(wf_random){1, WF_PURPOSE_NOISE, 0}), 0, "%s", wf_error());
    cr_assert_eq(wf_dequantizer_readback_begin(&d, posts), 0);
    cr_assert_eq(wf_dequantizer_readback_end(&d, posts, log_q), 0);
    cr_assert_eq(b->download(b, noisy, WF_F32, wf_level_input_x(&feed), PICTURES * D), 0);
    for (int i = 0; i < PICTURES * D; i++) {
        double u = 256 * ((double)noisy[i] + 0.5);
        cr_assert(u > 0 && u < 1, "u = %g", u);
        mean += u / (PICTURES * D);
        square += u * u / (PICTURES * D);
    }
    for (int n = 0; n < PICTURES; n++)
        wf_mean_add(&bits, log_q[n] / D / log(2));
    cr_expect_float_eq(bits.mean, 0.0137, 4 * wf_mean_error(&bits));
    cr_expect_lt(wf_mean_error(&bits), 0.02);
    cr_expect_float_eq(mean, 0.5, 0.03);
    cr_expect_float_eq(square, 1.0 / 3, 0.03);
    wf_dequantizer_clear(&d);
    wf_level_input_clear(&feed);
    b->free(b, params);
    b->close(b);
}

Test(dequantizer, pyramids_and_moves_are_refused)
{
    wf_backend *b = open_backend("ref");
    wf_meta meta = {.wavelet = "haar", .levels = 1, .top = 1, .H = SIDE, .W = SIDE, .C = C, .bits = 8};
    wf_flow_spec spec = {.N = N, .H = SIDE, .W = SIDE, .K = C, .kernel = 3, .memory = WF_MEMORY_NONE};
    wf_dequantizer d;
    cr_expect_eq(wf_dequantizer_create(b, &meta, NOISE, &spec, &d), WF_USAGE);
    cr_expect(strstr(wf_error(), "1 levels, want 0"), "%s", wf_error());
    meta.levels = meta.top = 0;
    cr_expect_eq(wf_dequantizer_create(b, &meta, "squeeze, actnorm", &spec, &d), WF_USAGE);
    cr_expect(strstr(wf_error(), "keeps the shape"), "%s", wf_error());
    b->close(b);
}
