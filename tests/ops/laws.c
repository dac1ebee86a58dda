/* laws.c - what must hold on ref by itself, since nothing else judges it: gradients against central differences,
 * inverses, and published values. ref's memory is host memory and its numbers are doubles, so both are used as such. */
#include <math.h>
#include <string.h>

#include "../../kernels/ref/ref.h"
#include "../../lib/wavelet.h"
#include "ops.h"

static void fill(double *x, size_t n, int number, double size)
{
    for (size_t i = 0; i < n; i++)
        x[i] = input_value(number, 7, i, size, WF_FP32);
}

static wf_real *R(const double *x)
{
    return (wf_real *)x;
}

static wf_map *M(const double *x)
{
    return (wf_map *)x;
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static int near(const char *what, size_t i, double have, double want, double tolerance)
{
    WF_CHECK(fabs(have - want) <= tolerance * (1 + fabs(want)), WF_INTERNAL, "%s[%zu] is %.12g, want %.12g", what, i,
             have, want);
    return WF_OK;
}

/* The loss as a function of everything in `context`. */
typedef int loss_fn(void *context, double *loss);

/* g [n] against central differences of the loss by x [n], which is part of the context. */
static int check_gradient(const char *what, loss_fn *loss, void *context, double *x, const double *g, size_t n)
{
    const double h = 1e-5;
    for (size_t i = 0; i < n; i++) {
        double kept = x[i], up, down;
        x[i] = kept + h;
        WF_TRY(loss(context, &up));
        x[i] = kept - h;
        WF_TRY(loss(context, &down));
        x[i] = kept;
        WF_TRY(near(what, i, g[i], (up - down) / (2 * h), 1e-7));
    }
    return WF_OK;
}

/* -- linear ------------------------------------------------------------------------------------------------------- */

enum { LK = 5, PARTS = 6 };
static const size_t LKK = LK * LK;

typedef struct linear_case {
    double params[PARTS][3 * LK + 2 * LK * LK], grads[PARTS][3 * LK + 2 * LK * LK];
    wf_linear_part parts[PARTS];
    double A[LK * LK], a[LK], B[LK * LK], b[LK], logdet, dA[LK * LK], da[LK], dlogdet;
} linear_case;

static int linear_loss(void *context, double *loss)
{
    linear_case *c = context;
    wf_linear out = {R(c->A), R(c->a), R(c->B), R(c->b), &c->logdet};
    WF_TRY(wf_ref_linear_fold(NULL, 1, &(wf_linear_run){.K = LK, .count = PARTS, .parts = c->parts, .folded = out}));
    *loss = dot(c->A, c->dA, LKK) + dot(c->a, c->da, LK) + c->dlogdet * c->logdet;
    return WF_OK;
}

/* actnorm, dense, LU, actnorm, two reflections, permutation */
static void linear_setup(linear_case *c)
{
    static const wf_linear_kind kinds[PARTS] = {WF_LINEAR_ACTNORM, WF_LINEAR_DENSE,       WF_LINEAR_LU,
                                                WF_LINEAR_ACTNORM, WF_LINEAR_HOUSEHOLDER, WF_LINEAR_PERMUTATION};
    memset(c, 0, sizeof *c);
    for (int i = 0; i < PARTS; i++) {
        fill(c->params[i], sizeof c->params[i] / sizeof(double), i, 0.3);
        c->parts[i] = (wf_linear_part){kinds[i], R(c->params[i]), R(c->grads[i]), 2};
    }
    for (int i = 0; i < LK; i++) {
        c->params[1][i * LK + i] += 1;
        c->params[2][i] = c->params[5][i] = (i + 2) % LK;
        c->params[2][LK + i] = i == 1 ? -1 : 1;
    }
    fill(c->dA, LKK, 20, 1);
    fill(c->da, LK, 21, 1);
    c->dlogdet = 0.6;
}

static int law_linear_gradient(void)
{
    linear_case c;
    linear_setup(&c);
    wf_linear_run all = {.K = LK, .count = PARTS, .parts = c.parts, .dA = R(c.dA), .da = R(c.da), .dlogdet = c.dlogdet};
    WF_TRY(wf_ref_linear_backward(NULL, 1, &all));
    WF_TRY(check_gradient("actnorm", linear_loss, &c, c.params[0], c.grads[0], 2 * LK));
    WF_TRY(check_gradient("dense", linear_loss, &c, c.params[1], c.grads[1], LKK));
    WF_TRY(check_gradient("lu", linear_loss, &c, c.params[2] + 2 * LK, c.grads[2] + 2 * LK, 2 * LKK + LK));
    WF_TRY(check_gradient("last actnorm", linear_loss, &c, c.params[3], c.grads[3], 2 * LK));
    WF_TRY(check_gradient("householder", linear_loss, &c, c.params[4], c.grads[4], 2 * LK));
    for (size_t i = 0; i < 2 * LK; i++)
        WF_TRY(near("gradient of p and sign", i, c.grads[2][i], 0, 0));
    return WF_OK;
}

/* B A = 1, B a + b = 0. */
static int law_linear_inverse(void)
{
    linear_case c;
    double loss;
    linear_setup(&c);
    WF_TRY(linear_loss(&c, &loss));
    for (size_t i = 0; i < LK; i++) {
        double offset = c.b[i] + dot(c.B + i * LK, c.a, LK);
        WF_TRY(near("B a + b", i, offset, 0, 1e-12));
        for (size_t j = 0; j < LK; j++) {
            double sum = 0;
            for (size_t k = 0; k < LK; k++)
                sum += c.B[i * LK + k] * c.A[k * LK + j];
            WF_TRY(near("B A", i * LK + j, sum, i == j, 1e-12));
        }
    }
    return WF_OK;
}

/* By hand: y = P L U x for l = 2, u = 3, diagonal -1 and 4, rows swapped, after (x + b) exp(3 l). */
static int law_linear_values(void)
{
    double lu[14] = {1, 0, -1, 1, 0, 0, 2, 0, 0, 3, 0, 0, 0, log(4)}, actnorm[4] = {0.5, -1, 0, log(2) / 3};
    double A[4], a[2], B[4], b[2], logdet;
    wf_linear_part parts[2] = {{WF_LINEAR_ACTNORM, R(actnorm), NULL, 0}, {WF_LINEAR_LU, R(lu), NULL, 0}};
    wf_linear out = {R(A), R(a), R(B), R(b), &logdet};
    WF_TRY(wf_ref_linear_fold(NULL, 1, &(wf_linear_run){.K = 2, .count = 2, .parts = parts, .folded = out}));
    /* L U = [[-1, 3], [-2, 10]]; P puts row 1 first; the actnorm doubles x1 and adds (0.5, -2) */
    const double want_A[4] = {-2, 20, -1, 6}, want_a[2] = {-1 - 20, -0.5 - 6};
    for (size_t i = 0; i < 4; i++)
        WF_TRY(near("A", i, A[i], want_A[i], 1e-14));
    for (size_t i = 0; i < 2; i++)
        WF_TRY(near("a", i, a[i], want_a[i], 1e-14));
    return near("logdet", 0, logdet, log(8), 1e-14);
}

typedef struct mix_case {
    double A[16], a[4], x[24], y[24], c[24];
} mix_case;

static int mix_loss(void *context, double *loss)
{
    mix_case *c = context;
    WF_TRY(wf_ref_mix(NULL, 6, 4, R(c->A), R(c->a), R(c->x), R(c->y)));
    *loss = dot(c->y, c->c, 24);
    return WF_OK;
}

static int law_mix_gradient(void)
{
    mix_case c;
    double g[24], dA[16], da[4];
    fill((double *)&c, sizeof c / sizeof(double), 1, 1);
    memcpy(g, c.c, sizeof g);
    WF_TRY(wf_ref_mix_backward(NULL, 6, 4, R(c.A), R(c.x), R(g), R(dA), R(da)));
    WF_TRY(check_gradient("dx", mix_loss, &c, c.x, g, 24));
    WF_TRY(check_gradient("dA", mix_loss, &c, c.A, dA, 16));
    return check_gradient("da", mix_loss, &c, c.a, da, 4);
}

/* -- couplings: 2 pictures of 3 pixels, 5 channels of which 2 are kept, at every pixel or at every other --------------- */

enum { THETA = 18 * WF_TRANSFORM_MAX_PARAMETERS };

typedef struct coupling_case {
    double x[30], theta[THETA], y[30], c[30], dlogdet, weight[6];
    wf_coupling of;
} coupling_case;

static size_t theta_count(const coupling_case *c)
{
    return (size_t)(18 * wf_transform_parameters(&c->of.transform));
}

static void coupling_setup(int t, coupling_case *c)
{
    fill((double *)c, offsetof(coupling_case, of) / sizeof(double), 2 + t, 1);
    for (int i = 0; i < 30; i++)
        c->x[i] *= 4; /* beyond the bounds of those that have some */
    c->of = (wf_coupling){1, 3, 5, 2, 3, t % 2 ? WF_EVEN_PIXELS : WF_EVERY_PIXEL, transforms[t]};
}

static int coupling_loss(void *context, double *loss)
{
    coupling_case *c = context;
    double logdet[2] = {0, 0};
    WF_TRY(wf_ref_transform_forward(NULL, &c->of, 2, R(c->x), R(c->theta), R(c->weight), R(c->y), logdet));
    *loss = dot(c->y, c->c, 30) + c->dlogdet * (logdet[0] + logdet[1]);
    return WF_OK;
}

static int law_transform_gradient(void)
{
    coupling_case c;
    double g[30], dtheta[THETA];
    for (int t = 0; t < transform_count; t++) {
        coupling_setup(t, &c);
        memcpy(g, c.c, sizeof g);
        WF_TRY(wf_ref_transform_backward(NULL, &c.of, 2, R(c.x), R(c.theta), R(c.weight), R(g), c.dlogdet, R(dtheta)));
        WF_TRY(check_gradient("dx", coupling_loss, &c, c.x, g, 30));
        WF_TRY(check_gradient("dtheta", coupling_loss, &c, c.theta, dtheta, theta_count(&c)));
    }
    return WF_OK;
}

/* The log-determinant is the sum of the logarithms of dy/dx, and the inverse takes both back. */
static int law_transform_inverse(void)
{
    const double h = 1e-5;
    coupling_case c;
    for (int t = 0; t < transform_count; t++) {
        double back[30], logdet[2] = {3, 4}, unused[2], want = 7, up[30], down[30];
        coupling_setup(t, &c);
        WF_TRY(wf_ref_transform_forward(NULL, &c.of, 2, R(c.x), R(c.theta), NULL, R(c.y), logdet));
        for (int i = 0; i < 30; i++)
            c.x[i] += h;
        WF_TRY(wf_ref_transform_forward(NULL, &c.of, 2, R(c.x), R(c.theta), NULL, R(up), unused));
        for (int i = 0; i < 30; i++)
            c.x[i] -= 2 * h;
        WF_TRY(wf_ref_transform_forward(NULL, &c.of, 2, R(c.x), R(c.theta), NULL, R(down), unused));
        for (int i = 0; i < 30; i++) {
            c.x[i] += h;
            want += log((up[i] - down[i]) / (2 * h));
        }
        WF_TRY(near("sum of log slopes", (size_t)t, logdet[0] + logdet[1], want, 1e-6));
        WF_TRY(wf_ref_transform_inverse(NULL, &c.of, 2, R(c.y), R(c.theta), R(back), logdet));
        for (size_t i = 0; i < 30; i++)
            WF_TRY(near("x", i, back[i], c.x[i], 1e-11));
        WF_TRY(near("logdet", 0, logdet[0], 3, 1e-11));
        WF_TRY(near("logdet", 1, logdet[1], 4, 1e-11));
    }
    return WF_OK;
}

/* One element by hand. */
static int expect_transform(wf_transform how, double x, const double *theta, double y, double log_slope)
{
    double got = NAN, logdet[1] = {0};
    wf_coupling c = {1, 1, 1, 0, 1, WF_EVERY_PIXEL, how};
    WF_TRY(wf_ref_transform_forward(NULL, &c, 1, R(&x), R(theta), NULL, R(&got), logdet));
    WF_TRY(near("y", (size_t)how.kind, got, y, 1e-13));
    return near("log slope", (size_t)how.kind, logdet[0], log_slope, 1e-13);
}

static int law_transform_values(void)
{
    const double st[2] = {0.5, -0.25};
    WF_TRY(expect_transform((wf_transform){.kind = WF_TRANSFORM_ADDITIVE}, 3, st, 3.5, 0));
    WF_TRY(expect_transform((wf_transform){.kind = WF_TRANSFORM_AFFINE_TANH}, 3, st, 2.75 * exp(tanh(0.5)), tanh(0.5)));
    WF_TRY(expect_transform((wf_transform){.kind = WF_TRANSFORM_AFFINE_SIGMOID}, 3, st, 2.75 / (1 + exp(-2.5)),
                            -log(1 + exp(-2.5))));
    return expect_transform((wf_transform){.kind = WF_TRANSFORM_AFFINE_EXP}, 3, st, 2.75 * exp(0.5), 0.5);
}

/* -- maps and convolutions ---------------------------------------------------------------------------------------- */

typedef struct conv_case {
    double w[81], bias[3], logs[3], x[90], residual[90], y[90], c[90];
    wf_conv *conv;
    wf_conv_spec spec;
} conv_case;

static int conv_loss(void *context, double *loss)
{
    conv_case *c = context;
    wf_weights weights = {.w = R(c->w), .bias = R(c->bias), .logs = R(c->logs)};
    WF_TRY(wf_ref_conv_forward(NULL, c->conv, &weights, M(c->x), M(c->residual), M(c->y)));
    *loss = dot(c->y, c->c, 90);
    return WF_OK;
}

/* 3 x 3 with residual and relu on 2 pictures of 3 x 5, through conv_backward and relu_backward. */
static int law_conv_gradient(void)
{
    conv_case c;
    double dy[90], loss, dx[90], dw[81], dbias[3], dlogs[3];
    fill((double *)&c, offsetof(conv_case, conv) / sizeof(double), 4, 0.6);
    c.spec = (wf_conv_spec){.N = 2, .H = 3, .W = 5, .in = 3, .out = 3, .k = 3, .relu = true, .residual = true};
    wf_map_shape shape = {.N = 2, .H = 3, .W = 5, .C = 3};
    wf_weights weights = {R(c.w), R(c.bias), R(c.logs), R(dw), R(dbias), R(dlogs), NULL, NULL};
    WF_TRY(wf_ref_conv_create(NULL, &c.spec, &c.conv));
    int status;
    WF_GO(conv_loss(&c, &loss));
    memcpy(dy, c.c, sizeof dy);
    WF_GO(wf_ref_relu_backward(NULL, &shape, M(c.y), NULL, M(dy)));
    WF_GO(wf_ref_conv_backward(NULL, c.conv, &weights, M(c.x), M(dy), M(dx)));
    WF_GO(check_gradient("dx", conv_loss, &c, c.x, dx, 90));
    WF_GO(check_gradient("dw", conv_loss, &c, c.w, dw, 81));
    WF_GO(check_gradient("dbias", conv_loss, &c, c.bias, dbias, 3));
    WF_GO(check_gradient("dlogs", conv_loss, &c, c.logs, dlogs, 3));
    WF_GO(check_gradient("residual", conv_loss, &c, c.residual, dy, 90));
out:
    wf_ref_conv_destroy(NULL, c.conv);
    return status;
}

static struct {
    double ab[80], x[40], c[40], y[40], qkv[120];
} net;

static int gate_loss(void *context, double *loss)
{
    WF_TRY(wf_ref_gate(NULL, context, M(net.ab), M(net.x), M(net.y)));
    *loss = dot(net.y, net.c, 40);
    return WF_OK;
}

static int law_gate_gradient(void)
{
    double loss, dab[80], dy[40];
    wf_map_shape shape = {.N = 2, .H = 2, .W = 2, .C = 5};
    fill((double *)&net, sizeof net / sizeof(double), 6, 1);
    WF_TRY(gate_loss(&shape, &loss));
    memcpy(dy, net.c, sizeof dy);
    WF_TRY(wf_ref_relu_backward(NULL, &shape, M(net.y), NULL, M(dy)));
    WF_TRY(wf_ref_gate_backward(NULL, &shape, M(net.ab), M(dy), M(dab)));
    WF_TRY(check_gradient("dab", gate_loss, &shape, net.ab, dab, 80));
    return check_gradient("dx", gate_loss, &shape, net.x, dy, 40);
}

/* 2 pictures of 5 pixels, 2 heads of 2 channels */
static int attend_loss(void *context, double *loss)
{
    (void)context;
    WF_TRY(wf_ref_attend(NULL, 2, 5, 4, 2, R(net.qkv), R(net.y)));
    *loss = dot(net.y, net.c, 40);
    return WF_OK;
}

/* And of two pixels, the second's key fits the first's query log 3 better; nothing fits the second's. */
static int law_attend(void)
{
    const double qkv[6] = {1, 0, 4, 0, log(3), 8};
    double dqkv[120], y[2];
    fill((double *)&net, sizeof net / sizeof(double), 7, 1);
    WF_TRY(wf_ref_attend_backward(NULL, 2, 5, 4, 2, R(net.qkv), R(net.c), R(dqkv)));
    WF_TRY(check_gradient("dqkv", attend_loss, NULL, net.qkv, dqkv, 120));
    WF_TRY(wf_ref_attend(NULL, 1, 2, 1, 1, R(qkv), R(y)));
    WF_TRY(near("y", 0, y[0], 7, 1e-14));
    return near("y", 1, y[1], 6, 1e-14);
}

/* One tap of weight 1 at row 0, column 2 of the kernel: the picture moves down and left. */
static int law_conv_orientation(void)
{
    double w[9] = {0}, zero[1] = {0}, logs[1] = {log(2) / 3}, x[4] = {1, 2, 3, 4}, y[4];
    const double want[4] = {0, 0, 4, 0};
    wf_conv_spec spec = {.N = 1, .H = 2, .W = 2, .in = 1, .out = 1, .k = 3};
    wf_conv *conv;
    w[2] = 1;
    WF_TRY(wf_ref_conv_create(NULL, &spec, &conv));
    wf_weights weights = {.w = R(w), .bias = R(zero), .logs = R(logs)};
    int status = wf_ref_conv_forward(NULL, conv, &weights, M(x), NULL, M(y));
    wf_ref_conv_destroy(NULL, conv);
    for (size_t i = 0; i < 4 && !status; i++)
        status = near("y", i, y[i], want[i], 1e-14);
    return status;
}

typedef struct pack_case {
    double x[40], cond[24], map[40], c[40]; /* 2 pictures of 2 x 2: 2 of 5 channels and 3 more */
} pack_case;

static const wf_map_shape packed = {.N = 2, .H = 2, .W = 2, .C = 5};

static int pack_loss(void *context, double *loss)
{
    pack_case *c = context;
    WF_TRY(wf_ref_pack(NULL, &packed, 2, 5, R(c->x), 3, R(c->cond), M(c->map)));
    *loss = dot(c->map, c->c, 40);
    return WF_OK;
}

static int law_pack_gradient(void)
{
    pack_case c;
    double dx[40] = {0}, dcond[24] = {0};
    fill((double *)&c, sizeof c / sizeof(double), 5, 1);
    WF_TRY(wf_ref_pack_backward(NULL, &packed, 2, 5, R(dx), 3, R(dcond), M(c.c)));
    WF_TRY(check_gradient("dx", pack_loss, &c, c.x, dx, 40));
    return check_gradient("dcond", pack_loss, &c, c.cond, dcond, 24);
}

/* -- densities, noise, wavelets ----------------------------------------------------------------------------------- */

static const double gaussian_weight[6] = {1, 0, 0.5, -2, 3, 0};

static int gaussian_loss(void *context, double *loss)
{
    double logp[2] = {0, 0};
    WF_TRY(wf_ref_gaussian(NULL, 2, 3, 2, R(context), R(gaussian_weight), logp, 1, NULL));
    *loss = logp[0] + logp[1];
    return WF_OK;
}

static int law_gaussian(void)
{
    double z[12], dz[12], zero[1] = {0}, logp[1] = {0};
    fill(z, 12, 6, 2);
    WF_TRY(wf_ref_gaussian(NULL, 2, 3, 2, R(z), R(gaussian_weight), NULL, 1, R(dz)));
    WF_TRY(check_gradient("dz", gaussian_loss, z, z, dz, 12));
    WF_TRY(wf_ref_gaussian(NULL, 1, 1, 1, R(zero), NULL, logp, 1, NULL));
    return near("logp at 0", 0, logp[0], -0.91893853320467274, 1e-15);
}

/* h = sum of u_i weights_i + 0.4 log du/dv; its gradient by v. */
static int squash_loss(void *context, double *loss)
{
    double u[6], logp[2] = {0, 0};
    WF_TRY(wf_ref_squash(NULL, 2, 3, 1.3, R(context), R(u), logp));
    *loss = 0.4 * (logp[0] + logp[1]);
    for (int i = 0; i < 6; i++)
        *loss += gaussian_weight[i] * u[i];
    return WF_OK;
}

static int law_squash(void)
{
    double v[6], g[6], u[1], zero[1] = {0}, logp[1] = {0};
    fill(v, 6, 6, 2);
    memcpy(g, gaussian_weight, sizeof g);
    WF_TRY(wf_ref_squash_backward(NULL, 6, 1.3, R(v), 0.4, R(g)));
    WF_TRY(check_gradient("dv", squash_loss, v, v, g, 6));
    WF_TRY(wf_ref_squash(NULL, 1, 1, 1.3, R(zero), R(u), logp));
    WF_TRY(near("u at 0", 0, u[0], 0.5, 1e-15));
    return near("log du/dv at 0", 0, logp[0], log(1.3 / 4), 1e-15);
}

/* Known-answer vectors of the authors' Random123 (kat_vectors, philox 4 x 32, 10 rounds). */
static int law_philox(void)
{
    static const uint32_t answers[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];
        wf_ref_philox(answers[i], answers[i] + 4, out);
        for (size_t j = 0; j < 4; j++)
            WF_CHECK(out[j] == answers[i][6 + j], WF_INTERNAL, "vector %zu, word %zu: %08x, want %08x", i, j, out[j],
                     answers[i][6 + j]);
    }
    return WF_OK;
}

static const wf_random source = {.seed = 11, .purpose = WF_PURPOSE_NOISE, .step = 3};

/* Mean 0 and variance 1 of 40,000 normals, within 5 standard errors. */
static int law_normal_moments(void)
{
    enum { D = 40000 };
    static double z[D];
    uint64_t index = 9;
    double sum = 0, squares = 0;
    WF_TRY(wf_ref_normal(NULL, &source, 1, D, &index, 2, R(z)));
    for (size_t i = 0; i < D; i++) {
        sum += z[i] / 2;
        squares += z[i] * z[i] / 4;
    }
    WF_TRY(near("mean", 0, sum / D, 0, 5 / sqrt(D)));
    return near("variance", 0, squares / D, 1, 2.5 * sqrt(2.0 / D));
}

/* Transformed back, dequantized coefficients are pixels plus a uniform in (0,1), the words of Philox in order. */
static int law_dequantize(void)
{
    enum { H = 3, W = 5, C = 3, L = H * W * C };
    static const double haar[2] = {0.70710678118654752, 0.70710678118654752};
    double low[L] = {0}, detail[3 * L] = {0}, x[4 * L];
    uint64_t index = 5;
    uint32_t words[4], counter[4] = {1, 3, 5, WF_PURPOSE_NOISE << 24}, key[2] = {11, 0};
    WF_TRY(wf_ref_dequantize(NULL, &source, haar, 2, 1, 1, H, W, C, &index, 1, R(low), R(detail)));
    wf_ref_merge(haar, 2, 1, 2 * H, 2 * W, C, low, detail, x);
    for (size_t i = 0; i < 4 * L; i++)
        WF_CHECK(x[i] + 0.5 > 0 && x[i] + 0.5 < 1, WF_INTERNAL, "noise[%zu] is %g", i, x[i] + 0.5);
    wf_ref_philox(counter, key, words);
    for (size_t i = 0; i < 4; i++)
        WF_TRY(near("noise", 4 + i, x[4 + i] + 0.5, (words[i] + 0.5) / 4294967296.0, 1e-14));
    return WF_OK;
}

/* Other wavelets: of the finest level, transformed back, too; and the level below it has the low-pass of that. */
static int law_dequantize_transformed(void)
{
    enum { H = 2, W = 4, C = 3, L = H * W * C };
    double low[4 * L], detail[12 * L], x[16 * L], below[L], details[3 * L], half[4 * L];
    uint64_t index = 5;
    uint32_t words[4], counter[4] = {1, 3, 5, WF_PURPOSE_NOISE << 24}, key[2] = {11, 0};
    const wf_wavelet *w;
    wf_ref_philox(counter, key, words);
    for (int row = 1; (w = wf_wavelet_at(row)); row++) {
        memset(low, 0, sizeof low);
        memset(detail, 0, sizeof detail);
        memset(below, 0, sizeof below);
        memset(details, 0, sizeof details);
        WF_TRY(
            wf_ref_dequantize(NULL, &source, w->taps, w->count, 1, 1, 2 * H, 2 * W, C, &index, 1, R(low), R(detail)));
        WF_TRY(wf_ref_dequantize(NULL, &source, w->taps, w->count, 4, 1, H, W, C, &index, 1, R(below), R(details)));
        wf_ref_merge(w->taps, w->count, 1, 4 * H, 4 * W, C, low, detail, x);
        for (size_t i = 0; i < 4; i++)
            WF_TRY(near("noise", 4 + i, x[4 + i] + 0.5, (words[i] + 0.5) / 4294967296.0, 1e-14));
        wf_ref_merge(w->taps, w->count, 1, 2 * H, 2 * W, C, below, details, half);
        for (size_t i = 0; i < 4 * L; i++)
            WF_TRY(near("noise a halving below", i, half[i], low[i], 1e-14));
        memset(x, 0, sizeof x);
        WF_TRY(wf_ref_dequantize(NULL, &source, w->taps, w->count, 4, 1, 2 * H, 2 * W, C, &index, 1, R(x), NULL));
        for (size_t i = 0; i < 4 * L; i++)
            WF_TRY(near("noise of a base", i, x[i], low[i], 1e-14));
    }
    return WF_OK;
}

/* Normals of other wavelets: 1/(12 n) in details, a quarter of it in the average, within 5 standard errors; none of the four
 * is that of another. */
static int law_white_noise(void)
{
    enum { D = 4000 };
    static double low[D], detail[3 * D];
    const wf_wavelet *w = wf_wavelet_at(1);
    uint64_t index = 1;
    double variance = 1 / (12 * 16.0), sums[4][4] = {{0}};
    WF_TRY(wf_ref_dequantize(NULL, &source, w->taps, w->count, 16, 1, D, 1, 1, &index, 1, R(low), R(detail)));
    for (size_t i = 0; i < D; i++) {
        double four[4] = {2 * low[i], detail[3 * i], detail[3 * i + 1], detail[3 * i + 2]};
        for (int a = 0; a < 4; a++)
            for (int b = 0; b <= a; b++)
                sums[a][b] += four[a] * four[b] / D / variance;
    }
    for (size_t a = 0; a < 4; a++)
        for (size_t b = 0; b <= a; b++)
            WF_TRY(near("covariance", 4 * a + b, sums[a][b], a == b, 5 * sqrt((a == b ? 2.0 : 1.0) / D)));
    return WF_OK;
}

/* The exact mean of 64 uniforms and the normal beyond it have the variance 1/(12 n), within 5 standard errors. */
static int law_noise_variance(void)
{
    enum { D = 4000 };
    static const double haar[2] = {0.70710678118654752, 0.70710678118654752};
    static double x[D];
    for (int64_t uniforms = 1; uniforms <= 256; uniforms *= 4) {
        double squares = 0, variance = 1 / (12 * (double)uniforms);
        uint64_t index = 1;
        memset(x, 0, sizeof x);
        WF_TRY(wf_ref_dequantize(NULL, &source, haar, 2, uniforms, 1, D, 1, 1, &index, 1, R(x), NULL));
        for (size_t i = 0; i < D; i++)
            squares += x[i] * x[i];
        WF_TRY(near("variance", (size_t)uniforms, squares / D / variance, 1, 2.5 * sqrt(2.0 / D)));
    }
    return WF_OK;
}

/* idwt(dwt(x)) = x and energy is kept once low is doubled, also where the filter is longer than the picture. */
static int law_wavelet(void)
{
    static const int sides[4][2] = {{2, 2}, {6, 2}, {8, 10}, {4, 34}};
    double x[816], low[204], detail[612], back[816];
    const wf_wavelet *w;
    for (int t = 0; (w = wf_wavelet_at(t)); t++)
        for (int s = 0; s < 4; s++) {
            int H = sides[s][0], W = sides[s][1], C = 3;
            size_t n = (size_t)(2 * H * W * C);
            fill(x, n, 8, 1);
            WF_TRY(wf_ref_dwt(NULL, w->taps, w->count, 2, H, W, C, R(x), R(low), R(detail)));
            double energy = 4 * dot(low, low, n / 4) + dot(detail, detail, 3 * n / 4);
            WF_TRY(near("energy", n, energy, dot(x, x, n), 1e-12));
            WF_TRY(wf_ref_idwt(NULL, w->taps, w->count, 2, H, W, C, R(low), R(detail), R(back)));
            for (size_t i = 0; i < n; i++)
                WF_TRY(near("x", i, back[i], x[i], 1e-12));
        }
    return WF_OK;
}

/* idwt_axis(dwt_axis(x)) = x, and energy is kept but for the gains. */
static int law_axis(void)
{
    static const int sides[3] = {2, 6, 34};
    double x[204], low[102], high[102], back[204];
    const wf_wavelet *w;
    for (int t = 0; (w = wf_wavelet_at(t)); t++)
        for (int s = 0; s < 3; s++) {
            size_t n = 2 * (size_t)sides[s] * 3;
            fill(x, n, 8, 1);
            WF_TRY(wf_ref_dwt_axis(NULL, w->taps, w->count, 2, sides[s], 3, 0.5, 3, R(x), R(low), R(high)));
            double energy = 4 * dot(low, low, n / 2) + dot(high, high, n / 2) / 9;
            WF_TRY(near("energy", n, energy, dot(x, x, n), 1e-12));
            WF_TRY(wf_ref_idwt_axis(NULL, w->taps, w->count, 2, sides[s], 3, 0.5, 3, R(low), R(high), R(back)));
            for (size_t i = 0; i < n; i++)
                WF_TRY(near("x", i, back[i], x[i], 1e-12));
        }
    return WF_OK;
}

static int law_haar_bands(void)
{
    static const double haar[2] = {0.70710678118654752, 0.70710678118654752};
    double x[4] = {1, 2, 4, 8}, low = 0, detail[3] = {0};
    const double want[3] = {(1 - 2 + 4 - 8) / 2.0, (1 + 2 - 4 - 8) / 2.0, (1 - 2 - 4 + 8) / 2.0};
    WF_TRY(wf_ref_dwt(NULL, haar, 2, 1, 2, 2, 1, R(x), R(&low), R(detail)));
    WF_TRY(near("low", 0, low, 15 / 4.0, 1e-14));
    for (size_t i = 0; i < 3; i++)
        WF_TRY(near("detail", i, detail[i], want[i], 1e-14));
    return WF_OK;
}

/* clang-format off */
#define LAWS(row) \
    row(linear_gradient) \
    row(linear_inverse) \
    row(linear_values) \
    row(mix_gradient) \
    row(transform_gradient) \
    row(transform_inverse) \
    row(transform_values) \
    row(conv_gradient) \
    row(conv_orientation) \
    row(pack_gradient) \
    row(gaussian) \
    row(squash) \
    row(philox) \
    row(normal_moments) \
    row(dequantize) \
    row(dequantize_transformed) \
    row(white_noise) \
    row(noise_variance) \
    row(wavelet) \
    row(axis) \
    row(haar_bands) \
    row(gate_gradient) \
    row(attend)
/* clang-format on */

bool law(int i, const char **name, int *status)
{
    static const struct row {
        const char *name;
        int (*check)(void);
    } laws[] = {
#define LAW(name) {#name, law_##name},
        LAWS(LAW)};
    if ((size_t)i >= sizeof laws / sizeof *laws)
        return false;
    *name = laws[i].name;
    *status = laws[i].check();
    return true;
}
