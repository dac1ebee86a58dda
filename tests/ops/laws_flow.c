/* laws_flow.c - laws of matrices, couplings, convolutions and the other parts of nets */
#include "laws.h"

/* -- linear ------------------------------------------------------------------------------------------------------- */

enum { LK = 5, PARTS = 6 };
static const size_t LKK = LK * LK;

typedef struct linear_case {
    double params[PARTS][3 * LK + 2 * LK * LK], grads[PARTS][3 * LK + 2 * LK * LK];
    wf_linear_part parts[PARTS];
    double A[LK * LK], a[LK], B[LK * LK], b[LK], logdet, dA[LK * LK], da[LK], dlogdet;
} linear_case;

static int linear_loss(void *user, double *loss)
{
    linear_case *c = user;
    wf_linear out = {R(c->A), R(c->a), R(c->B), R(c->b), &c->logdet};
    WF_TRY(wf_ref_linear_fold(NULL, 1, &(wf_linear_run){.K = LK, .count = PARTS, .parts = c->parts, .folded = out}));
    *loss = dot(c->A, c->dA, LKK) + dot(c->a, c->da, LK) + c->dlogdet * c->logdet;
    return WF_OK;
}

/* The parts: actnorm, dense, LU, actnorm, two reflections, permutation. */
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

int law_linear_gradient(void)
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
int law_linear_inverse(void)
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

/* Computed by hand: y = P L U x for l = 2, u = 3, diagonal -1 and 4, rows swapped, after (x + b) exp(3 l). */
int law_linear_values(void)
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

typedef struct matvec_case {
    double A[16], a[4], x[24], y[24], c[24];
} matvec_case;

static int matvec_loss(void *user, double *loss)
{
    matvec_case *c = user;
    WF_TRY(wf_ref_matvec(NULL, 6, 4, R(c->A), R(c->a), R(c->x), R(c->y)));
    *loss = dot(c->y, c->c, 24);
    return WF_OK;
}

int law_matvec_gradient(void)
{
    matvec_case c;
    double g[24], dA[16], da[4];
    fill((double *)&c, sizeof c / sizeof(double), 1, 1);
    memcpy(g, c.c, sizeof g);
    WF_TRY(wf_ref_matvec_backward(NULL, 6, 4, R(c.A), R(c.x), R(g), R(dA), R(da)));
    WF_TRY(check_gradient("dx", matvec_loss, &c, c.x, g, 24));
    WF_TRY(check_gradient("dA", matvec_loss, &c, c.A, dA, 16));
    return check_gradient("da", matvec_loss, &c, c.a, da, 4);
}

/* -- couplings: 2 pictures of 3 pixels, 5 channels, 2 of them kept, at every pixel or at every other --------------- */

enum { PARAMS = 18 * WF_TRANSFORM_MAX_PARAMETERS };

typedef struct coupling_case {
    double x[30], params[PARAMS], y[30], c[30], dlogdet, weight[6];
    wf_coupling of;
} coupling_case;

static size_t params_count(const coupling_case *c)
{
    return (size_t)(18 * wf_transform_parameters(&c->of.transform));
}

static void coupling_setup(int t, coupling_case *c)
{
    fill((double *)c, offsetof(coupling_case, of) / sizeof(double), 2 + t, 1);
    for (int i = 0; i < 30; i++)
        c->x[i] *= 4; /* beyond the bounds of the kinds that have bounds */
    c->of = (wf_coupling){1, 3, 5, 2, 3, t % 2 ? WF_EVEN_PIXELS : WF_EVERY_PIXEL, transforms[t]};
}

static int coupling_loss(void *user, double *loss)
{
    coupling_case *c = user;
    double logdet[2] = {0, 0};
    WF_TRY(wf_ref_transform_forward(NULL, &c->of, 2, R(c->x), R(c->params), R(c->weight), R(c->y), logdet));
    *loss = dot(c->y, c->c, 30) + c->dlogdet * (logdet[0] + logdet[1]);
    return WF_OK;
}

int law_transform_gradient(void)
{
    coupling_case c;
    double g[30], dparams[PARAMS];
    for (int t = 0; t < transform_count; t++) {
        coupling_setup(t, &c);
        memcpy(g, c.c, sizeof g);
        WF_TRY(
            wf_ref_transform_backward(NULL, &c.of, 2, R(c.x), R(c.params), R(c.weight), R(g), c.dlogdet, R(dparams)));
        WF_TRY(check_gradient("dx", coupling_loss, &c, c.x, g, 30));
        WF_TRY(check_gradient("dparams", coupling_loss, &c, c.params, dparams, params_count(&c)));
    }
    return WF_OK;
}

/* The log-determinant is the sum of log dy/dx, and the inverse undoes both results. */
int law_transform_inverse(void)
{
    const double h = 1e-5;
    coupling_case c;
    for (int t = 0; t < transform_count; t++) {
        double back[30], logdet[2] = {3, 4}, unused[2], want = 7, up[30], down[30];
        coupling_setup(t, &c);
        WF_TRY(wf_ref_transform_forward(NULL, &c.of, 2, R(c.x), R(c.params), NULL, R(c.y), logdet));
        for (int i = 0; i < 30; i++)
            c.x[i] += h;
        WF_TRY(wf_ref_transform_forward(NULL, &c.of, 2, R(c.x), R(c.params), NULL, R(up), unused));
        for (int i = 0; i < 30; i++)
            c.x[i] -= 2 * h;
        WF_TRY(wf_ref_transform_forward(NULL, &c.of, 2, R(c.x), R(c.params), NULL, R(down), unused));
        for (int i = 0; i < 30; i++) {
            c.x[i] += h;
            want += log((up[i] - down[i]) / (2 * h));
        }
        WF_TRY(near("sum of log slopes", (size_t)t, logdet[0] + logdet[1], want, 1e-6));
        WF_TRY(wf_ref_transform_inverse(NULL, &c.of, 2, R(c.y), R(c.params), R(back), logdet));
        for (size_t i = 0; i < 30; i++)
            WF_TRY(near("x", i, back[i], c.x[i], 1e-11));
        WF_TRY(near("logdet", 0, logdet[0], 3, 1e-11));
        WF_TRY(near("logdet", 1, logdet[1], 4, 1e-11));
    }
    return WF_OK;
}

/* Compares one element with values computed by hand. */
static int expect_transform(wf_transform how, double x, const double *params, double y, double log_derivative)
{
    double got = NAN, logdet[1] = {0};
    wf_coupling c = {1, 1, 1, 0, 1, WF_EVERY_PIXEL, how};
    WF_TRY(wf_ref_transform_forward(NULL, &c, 1, R(&x), R(params), NULL, R(&got), logdet));
    WF_TRY(near("y", (size_t)how.kind, got, y, 1e-13));
    return near("log slope", (size_t)how.kind, logdet[0], log_derivative, 1e-13);
}

int law_transform_values(void)
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

static int conv_loss(void *user, double *loss)
{
    conv_case *c = user;
    wf_weights weights = {.w = R(c->w), .bias = R(c->bias), .logs = R(c->logs)};
    WF_TRY(wf_ref_conv_forward(NULL, c->conv, &weights, M(c->x), M(c->residual), M(c->y)));
    *loss = dot(c->y, c->c, 90);
    return WF_OK;
}

/* 3 x 3 with residual and relu on 2 pictures of 3 x 5. */
int law_conv_gradient(void)
{
    conv_case c;
    double dy[90], loss, dx[90], dw[81], dbias[3], dlogs[3];
    fill((double *)&c, offsetof(conv_case, conv) / sizeof(double), 4, 0.6);
    c.spec = (wf_conv_spec){.N = 2, .H = 3, .W = 5, .in = 3, .out = 3, .k = 3, .relu = true, .residual = true};
    wf_weights weights = {R(c.w), R(c.bias), R(c.logs), R(dw), R(dbias), R(dlogs), NULL, NULL};
    WF_TRY(wf_ref_conv_create(NULL, &c.spec, &c.conv));
    int status;
    WF_GO(conv_loss(&c, &loss));
    memcpy(dy, c.c, sizeof dy);
    WF_GO(wf_ref_conv_backward(NULL, c.conv, &weights, M(c.x), M(c.y), NULL, M(dy), M(dx)));
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

static int gate_loss(void *user, double *loss)
{
    WF_TRY(wf_ref_gate(NULL, user, M(net.ab), M(net.x), M(net.y)));
    *loss = dot(net.y, net.c, 40);
    return WF_OK;
}

int law_gate_gradient(void)
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

static int norm_loss(void *user, double *loss)
{
    WF_TRY(wf_ref_norm(NULL, user, M(net.x), M(net.y)));
    *loss = dot(net.y, net.c, 40);
    return WF_OK;
}

/* Gradients, and values: channels 1, 3, 5, 7 have mean 4 and variance 5. */
int law_norm(void)
{
    const double x[4] = {1, 3, 5, 7};
    double y[4], dx[40], zero[40] = {0}, added[40];
    wf_map_shape shape = {.N = 2, .H = 2, .W = 2, .C = 5}, one = {.N = 1, .H = 1, .W = 1, .C = 4};
    fill((double *)&net, sizeof net / sizeof(double), 8, 1);
    WF_TRY(wf_ref_norm_backward(NULL, &shape, M(net.x), M(net.c), NULL, M(dx)));
    WF_TRY(check_gradient("dx", norm_loss, &shape, net.x, dx, 40));
    WF_TRY(wf_ref_norm_backward(NULL, &shape, M(net.x), M(zero), M(net.c), M(added)));
    for (size_t i = 0; i < 40; i++)
        WF_TRY(near("added", i, added[i], net.c[i], 0));
    WF_TRY(wf_ref_norm(NULL, &one, M(x), M(y)));
    for (size_t i = 0; i < 4; i++)
        WF_TRY(near("y", i, y[i], (x[i] - 4) / sqrt(5 + 1e-5), 1e-14));
    return WF_OK;
}

/* 2 pictures of 5 pixels, 2 heads of 2 channels; user: the reach. */
static int attend_loss(void *user, double *loss)
{
    WF_TRY(wf_ref_attend(NULL, *(wf_reach *)user, 2, 5, 4, 2, R(net.qkv), R(net.y)));
    *loss = dot(net.y, net.c, 40);
    return WF_OK;
}

/* Gradients, and values of two pixels. The second key's product with the first query is log 3 larger; the second query
 * gives equal products. The values are 4 and 8. */
int law_attend(void)
{
    const double qkv[6] = {1, 0, 4, 0, log(3), 8};
    double dqkv[120], y[2];
    fill((double *)&net, sizeof net / sizeof(double), 7, 1);
    for (wf_reach reach = WF_REACH_ALL; reach <= WF_REACH_AFTER; reach++) {
        const double want[3][2] = {{7, 6}, {4, 6}, {7, 8}};
        WF_TRY(wf_ref_attend_backward(NULL, reach, 2, 5, 4, 2, R(net.qkv), R(net.c), R(dqkv)));
        WF_TRY(check_gradient("dqkv", attend_loss, &reach, net.qkv, dqkv, 120));
        WF_TRY(wf_ref_attend(NULL, reach, 1, 2, 1, 1, R(qkv), R(y)));
        WF_TRY(near("y", 0, y[0], want[reach][0], 1e-14));
        WF_TRY(near("y", 1, y[1], want[reach][1], 1e-14));
    }
    return WF_OK;
}

/* One tap of weight 1 at row 0, column 2 of the kernel moves the picture down and left. */
int law_conv_orientation(void)
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

static int pack_loss(void *user, double *loss)
{
    pack_case *c = user;
    WF_TRY(wf_ref_pack(NULL, &packed, 2, 5, R(c->x), 3, R(c->cond), M(c->map)));
    *loss = dot(c->map, c->c, 40);
    return WF_OK;
}

int law_pack_gradient(void)
{
    pack_case c;
    double dx[40] = {0}, dcond[24] = {0};
    fill((double *)&c, sizeof c / sizeof(double), 5, 1);
    WF_TRY(wf_ref_pack_backward(NULL, &packed, 2, 5, R(dx), 3, R(dcond), M(c.c)));
    WF_TRY(check_gradient("dx", pack_loss, &c, c.x, dx, 40));
    return check_gradient("dcond", pack_loss, &c, c.cond, dcond, 24);
}
