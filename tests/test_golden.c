/* test_golden.c - flows, a pyramid and a training run against an independent PyTorch implementation in float64
 * (tests/golden/make_golden.py, make_lattice.py), and every wavelet against PyWavelets (make_wavelets.py). Tolerance, relative to the
 * largest value of each tensor: 1e-9 on ref, 1e-4 in single precision */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/pyramid/dwt.h"
#include "../lib/model/level.h"
#include "../lib/train/train.h"
#include "../lib/pyramid/wavelet.h"
#include "../lib/base/safetensors.h"
#include "../lib/train/optimizer.h"

#define OK(call) cr_assert_eq((call), WF_OK, "%s", wf_error())

static const struct judged {
    int (*open)(int threads, wf_backend **out);
    double tolerance;
} backends[] = {{wf_ref_open, 1e-9}, {wf_cpu_open, 1e-4}};
enum { BACKENDS = sizeof backends / sizeof *backends };

/* -- golden files ------------------------------------------------------------------------------------------------- */

static void load(const char *name, wf_safetensors *out)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s.safetensors", name);
    memset(out, 0, sizeof *out);
    OK(wf_safetensors_load(path, out));
}

static const wf_tensor *tensor(const wf_safetensors *golden, const char *name)
{
    const wf_tensor *t = wf_safetensors_find(golden, name);
    cr_assert_not_null(t, "no tensor %s", name);
    cr_assert_eq(t->dtype, WF_F64);
    return t;
}

static size_t length(const wf_tensor *t)
{
    return t->bytes / sizeof(double);
}

/* A golden tensor in backend memory; NULL if absent. */
static wf_real *to_device(wf_backend *b, const wf_safetensors *golden, const char *name)
{
    void *memory;
    const wf_tensor *t = wf_safetensors_find(golden, name);
    if (!t)
        return NULL;
    OK(b->alloc(b, length(t) * b->real, &memory));
    OK(b->upload(b, memory, t->data, WF_F64, length(t)));
    return memory;
}

static void agree(const char *what, const double *have, const double *want, size_t n, double tolerance)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        cr_assert(fabs(have[i] - want[i]) <= tolerance * largest, "%s[%zu of %zu] is %.15g, want %.15g (largest %g)",
                  what, i, n, have[i], want[i], largest);
}

/* Compares device reals with the golden tensor. */
static void agree_device(wf_backend *b, const wf_real *have, const wf_safetensors *golden, const char *name,
                         double tolerance)
{
    const wf_tensor *want = tensor(golden, name);
    double *host = malloc(want->bytes);
    cr_assert_not_null(host);
    OK(b->download(b, host, WF_F64, have, length(want)));
    agree(name, host, want->data, length(want), tolerance);
    free(host);
}

/* Compares a parameter vector tensor by tensor, so that a small tensor is not hidden by the largest. */
static void agree_params(const wf_flow *flow, const double *have, const wf_tensor *want, double tolerance)
{
    char name[64];
    const wf_param *p;
    size_t where, seen = 0;
    for (int i = 0; wf_flow_param(flow, i, name, &p, &where); i++) {
        agree(name, have + where, (const double *)want->data + where, p->count, tolerance);
        seen += p->count;
    }
    cr_assert_eq(seen, length(want));
}

static wf_flow *make_flow(wf_backend *b, const wf_tensor *x, bool cond, const char *chain, wf_memory memory)
{
    const int64_t *s = x->shape + x->rank - 4;
    wf_flow_spec spec = {.N = (int)s[0],
                         .H = (int)s[1],
                         .W = (int)s[2],
                         .K = (int)s[3],
                         .C = cond ? 3 : 0,
                         .kernel = s[1] * s[2] == 1 ? 1 : 3,
                         .precision = WF_FP32,
                         .memory = memory};
    wf_flow *flow;
    OK(wf_flow_create(b, chain, &spec, &flow));
    return flow;
}

/* -- one level ---------------------------------------------------------------------------------------------------- */

typedef struct gradients {
    wf_backend *backend;
    double *values;
} gradients;

static int collect(void *user, size_t offset, size_t count, const wf_real *grads)
{
    gradients *g = user;
    return g->backend->download(g->backend, g->values + offset, WF_F64, grads, count);
}

static void check_density(wf_flow *flow, const wf_safetensors *golden, double tolerance)
{
    const wf_tensor *logp = tensor(golden, "logp"), *x = tensor(golden, "x");
    int N = (int)length(logp);
    double have[8], bits[8], D = (double)length(x) / N;
    OK(wf_flow_log_density(flow, have));
    for (int n = 0; n < N; n++)
        bits[n] = -have[n] / (D * log(2)) + 8;
    agree("logp", have, logp->data, (size_t)N, tolerance);
    agree("bpd", bits, tensor(golden, "bpd")->data, (size_t)N, tolerance);
}

/* Gradients of the mean bits/dim. */
static void check_gradients(wf_backend *b, wf_flow *flow, const wf_safetensors *golden, const wf_real *params,
                            const wf_real *cond, double tolerance)
{
    const wf_tensor *x = tensor(golden, "x"), *want = tensor(golden, "grads");
    gradients g = {b, malloc(want->bytes)};
    cr_assert_not_null(g.values);
    wf_real *dcond = to_device(b, golden, "cond");
    const wf_real *dx;
    if (dcond)
        OK(b->zero(b, dcond, tensor(golden, "cond")->bytes / sizeof(double) * b->real));
    OK(wf_flow_backward(flow, params, cond, -1 / (log(2) * (double)length(x)), collect, &g, dcond, &dx));
    agree_device(b, dx, golden, "dx", tolerance);
    if (dcond)
        agree_device(b, dcond, golden, "dcond", tolerance);
    agree_params(flow, g.values, want, tolerance);
    b->free(b, dcond);
    free(g.values);
}

static void check_level(const char *name, const char *chain, wf_memory memory)
{
    wf_safetensors golden;
    load(name, &golden);
    for (int i = 0; i < BACKENDS; i++) {
        wf_backend *b;
        double tolerance = backends[i].tolerance;
        OK(backends[i].open(2, &b));
        wf_real *x = to_device(b, &golden, "x"), *cond = to_device(b, &golden, "cond");
        wf_real *params = to_device(b, &golden, "params"), *z = to_device(b, &golden, "sample_z");
        wf_flow *flow = make_flow(b, tensor(&golden, "x"), cond != NULL, chain, memory);
        cr_assert_eq(wf_flow_size(flow), length(tensor(&golden, "params")));
        OK(wf_flow_forward(flow, params, x, cond));
        agree_device(b, wf_flow_latent(flow), &golden, "z", tolerance);
        check_density(flow, &golden, tolerance);
        check_gradients(b, flow, &golden, params, cond, tolerance);
        const wf_real *sample;
        OK(wf_flow_inverse(flow, params, z, cond, &sample));
        agree_device(b, sample, &golden, "sample_x", tolerance);
        wf_flow_destroy(flow);
        wf_real *memories[] = {x, cond, params, z};
        for (size_t m = 0; m < 4; m++)
            b->free(b, memories[m]);
        b->close(b);
    }
    wf_safetensors_clear(&golden);
}

static const char wide[] = "3*(actnorm, conv1x1, affine:width=16:blocks=3), actnorm";
static const char narrow[] = "3*(actnorm, conv1x1, affine:width=8:blocks=3), actnorm";
static const char by_pixels[] = "ar:width=8:blocks=2:heads=2, ar:order=back:width=8:blocks=2:heads=4";
static const char with_lu[] = "2*(actnorm, conv1x1:lu, affine:width=8:blocks=3), actnorm";

Test(golden, level_stored)
{
    check_level("level-base-1x1", wide, WF_MEMORY_STORE);
    check_level("level-1x1", wide, WF_MEMORY_STORE);
    check_level("level-2x2", narrow, WF_MEMORY_STORE);
    check_level("level-3x5", narrow, WF_MEMORY_STORE);
    check_level("level-4x4", wide, WF_MEMORY_STORE);
    check_level("level-lu-2x2", with_lu, WF_MEMORY_STORE);
    check_level("level-ar-3x4", by_pixels, WF_MEMORY_STORE);
}

Test(golden, level_reversible)
{
    check_level("level-base-1x1", wide, WF_MEMORY_REVERSIBLE);
    check_level("level-1x1", wide, WF_MEMORY_REVERSIBLE);
    check_level("level-2x2", narrow, WF_MEMORY_REVERSIBLE);
    check_level("level-3x5", narrow, WF_MEMORY_REVERSIBLE);
    check_level("level-4x4", wide, WF_MEMORY_REVERSIBLE);
    check_level("level-lu-2x2", with_lu, WF_MEMORY_REVERSIBLE);
    check_level("level-ar-3x4", by_pixels, WF_MEMORY_REVERSIBLE);
}

/* -- whole numbers (make_lattice.py) ------------------------------------------------------------------------------ */

static void check_lattice(const struct judged *judged, wf_memory memory)
{
    static const char chain[] = "cond:channels=2:width=3:blocks=1, lattice:components=2:width=3:blocks=1:phases=2";
    static const wf_flow_spec spec = {.N = 2, .H = 2, .W = 3, .K = 9, .C = 3, .kernel = 3, .bits = 3, .halvings = 1};
    wf_flow_spec own = spec;
    wf_safetensors golden;
    wf_backend *b;
    wf_flow *flow;
    double density[2];
    own.memory = memory;
    load("lattice", &golden);
    OK(judged->open(2, &b));
    OK(wf_flow_create(b, chain, &own, &flow));
    const wf_tensor *want = tensor(&golden, "grads");
    cr_assert_eq(wf_flow_size(flow), length(want));
    gradients g = {b, malloc(want->bytes)};
    wf_real *x = to_device(b, &golden, "x"), *cond = to_device(b, &golden, "cond");
    wf_real *params = to_device(b, &golden, "params"), *dcond = to_device(b, &golden, "cond");
    OK(wf_flow_forward(flow, params, x, cond));
    agree_device(b, wf_flow_latent(flow), &golden, "z", judged->tolerance);
    OK(wf_flow_log_density(flow, density));
    agree("logp", density, tensor(&golden, "logp")->data, 2, judged->tolerance);
    OK(b->zero(b, dcond, length(tensor(&golden, "cond")) * b->real));
    OK(wf_flow_backward(flow, params, cond, 1, collect, &g, dcond, NULL));
    agree_device(b, dcond, &golden, "dcond", judged->tolerance);
    agree_params(flow, g.values, want, judged->tolerance);
    wf_flow_destroy(flow);
    wf_real *memories[] = {x, cond, params, dcond};
    for (size_t m = 0; m < 4; m++)
        b->free(b, memories[m]);
    b->close(b);
    free(g.values);
    wf_safetensors_clear(&golden);
}

Test(golden, lattice)
{
    for (int i = 0; i < BACKENDS; i++) {
        check_lattice(&backends[i], WF_MEMORY_STORE);
        check_lattice(&backends[i], WF_MEMORY_REVERSIBLE);
    }
}

/* -- a pyramid of three levels ------------------------------------------------------------------------------------ */

static const char small[] = "2*(actnorm, conv1x1, affine:width=8:blocks=3), actnorm";

static const char *numbered(const char *name, int level)
{
    static char text[3][32]; /* a call may need three of them */
    static int next;
    char *t = text[next++ % 3];
    snprintf(t, sizeof text[0], "%s-%d", name, level);
    return t;
}

/* Splits [N,H,W,C] pictures of level `level` into low and detail, compares both, and leaves low in `picture`. */
static void check_split(wf_backend *b, const wf_safetensors *golden, int level, wf_real *picture, double tolerance)
{
    static const double haar[2] = {0.70710678118654752440, 0.70710678118654752440};
    const wf_tensor *low = tensor(golden, numbered("low", level));
    wf_real *l = to_device(b, golden, numbered("low", level)), *d = to_device(b, golden, numbered("detail", level));
    OK(b->dwt(b, haar, 2, (int)low->shape[0], 2 * (int)low->shape[1], 2 * (int)low->shape[2], 3, picture, l, d));
    agree_device(b, l, golden, numbered("low", level), tolerance);
    agree_device(b, d, golden, numbered("detail", level), tolerance);
    OK(b->copy(b, picture, l, length(low)));
    b->free(b, l);
    b->free(b, d);
}

/* Adds the level's bits/dim of each picture to total. */
static void check_pyramid_level(wf_backend *b, const wf_safetensors *golden, int level, double tolerance, double *total)
{
    wf_meta meta = {.wavelet = "haar", .levels = 2, .top = 2, .H = 4, .W = 4, .C = 3, .bits = 8};
    const wf_tensor *low = tensor(golden, numbered("low", level));
    const wf_tensor *data = level ? tensor(golden, numbered("detail", level)) : low;
    wf_real *l = to_device(b, golden, numbered("low", level)), *d = to_device(b, golden, numbered("detail", level));
    wf_real *params = to_device(b, golden, numbered("params", level));
    wf_flow *flow = make_flow(b, data, level > 0, small, WF_MEMORY_NONE);
    double bits[8];
    OK(b->scale(b, length(low), 1.0 / 256, -0.5, l));
    if (d)
        OK(b->scale(b, length(data), 1.0 / 256, 0, d));
    OK(wf_flow_forward(flow, params, d ? d : l, d ? l : NULL));
    OK(wf_flow_log_density(flow, bits));
    for (int n = 0; n < data->shape[0]; n++) {
        bits[n] = wf_bits_per_dim(&meta, level, bits[n]);
        total[n] += bits[n];
    }
    agree("bpd of a level", bits, tensor(golden, numbered("bpd", level))->data, (size_t)data->shape[0], tolerance);
    wf_flow_destroy(flow);
    b->free(b, l);
    b->free(b, d);
    b->free(b, params);
}

Test(golden, pyramid)
{
    wf_safetensors golden;
    load("pyramid", &golden);
    for (int i = 0; i < BACKENDS; i++) {
        wf_backend *b;
        double tolerance = backends[i].tolerance, total[8] = {0};
        OK(backends[i].open(2, &b));
        wf_real *picture = to_device(b, &golden, "images");
        for (int level = 2; level >= 0; level--) {
            if (level)
                check_split(b, &golden, level, picture, tolerance);
            check_pyramid_level(b, &golden, level, tolerance, total);
        }
        agree("bpd", total, tensor(&golden, "bpd")->data, length(tensor(&golden, "bpd")), tolerance);
        b->free(b, picture);
        b->close(b);
    }
    wf_safetensors_clear(&golden);
}

/* -- every wavelet ------------------------------------------------------------------------------------------------ */

/* A picture's second low-pass has 10 x 6 pixels, fewer than many filters have taps. */
static void check_wavelet(wf_backend *b, const wf_safetensors *golden, const wf_wavelet *w, double tolerance)
{
    char low[32], detail[32];
    snprintf(low, sizeof low, "low-%s", w->name);
    wf_real *picture = to_device(b, golden, "image");
    for (int level = 2; level >= 1; level--) {
        snprintf(detail, sizeof detail, "detail-%d-%s", level, w->name);
        wf_real *d = to_device(b, golden, detail);
        void *l;
        size_t n = length(tensor(golden, detail)) / 3;
        int H = level == 2 ? 20 : 10, W = level == 2 ? 12 : 6;
        OK(b->alloc(b, n * b->real, &l));
        OK(b->dwt(b, w->taps, w->count, 1, H, W, 1, picture, l, d));
        agree_device(b, d, golden, detail, tolerance);
        b->free(b, d);
        b->free(b, picture);
        picture = l;
    }
    agree_device(b, picture, golden, low, tolerance);
    b->free(b, picture);
}

/* One DWT level along one axis and along three, and back. */
static void check_halving(wf_backend *b, const wf_safetensors *golden, const wf_wavelet *w, wf_extent x,
                          double tolerance)
{
    const char *what = x.signal == WF_SOUND ? "sound" : "volume";
    char low[40], detail[40];
    snprintf(low, sizeof low, "%s-low-%s", what, w->name);
    snprintf(detail, sizeof detail, "%s-detail-%s", what, w->name);
    wf_real *l = to_device(b, golden, low), *d = to_device(b, golden, detail), *all = to_device(b, golden, "image");
    size_t n = (size_t)x.H * (size_t)x.W, scratch = wf_dwt_scratch(&x);
    double *back = malloc(n * sizeof *back);
    const double *want = tensor(golden, "image")->data;
    void *memory;
    OK(b->alloc(b, (n + scratch) * b->real, &memory));
    wf_real *signal = memory, *work = wf_at(b, signal, n);
    wf_runs column = {.outer = 1, .inner = n, .run = 1, .from_inner = x.signal == WF_SOUND ? 12 : 1, .to_inner = 1};
    OK(b->copy_runs(b, &column, signal, all));
    OK(wf_dwt_level(b, w, &x, signal, l, d, work));
    agree_device(b, l, golden, low, tolerance);
    agree_device(b, d, golden, detail, tolerance);
    OK(wf_idwt_level(b, w, &x, l, d, signal, work));
    OK(b->download(b, back, WF_F64, signal, n));
    for (size_t i = 0; i < n; i++)
        cr_assert_float_eq(back[i], want[i * column.from_inner], tolerance, "%s %s: %zu", what, w->name, i);
    b->free(b, l);
    b->free(b, d);
    b->free(b, all);
    b->free(b, memory);
    free(back);
}

Test(golden, wavelets)
{
    wf_safetensors golden;
    const wf_wavelet *w;
    load("wavelets", &golden);
    for (int i = 0; i < BACKENDS; i++) {
        wf_backend *b;
        OK(backends[i].open(2, &b));
        for (int row = 0; (w = wf_wavelet_at(row)); row++) {
            check_wavelet(b, &golden, w, backends[i].tolerance);
            check_halving(b, &golden, w, (wf_extent){WF_SOUND, 1, 0, 1, 20, 1}, backends[i].tolerance);
            check_halving(b, &golden, w, (wf_extent){WF_VOLUME, 1, 4, 24, 10, 1}, backends[i].tolerance);
        }
        b->close(b);
    }
    wf_safetensors_clear(&golden);
}

/* -- twenty steps of each optimizer ------------------------------------------------------------------------------- */

static void train(wf_backend *b, const wf_safetensors *golden, wf_flow *flow, wf_optimizer *optimizer, double tolerance)
{
    const wf_tensor *x = tensor(golden, "x"), *cond = tensor(golden, "cond"), *loss = tensor(golden, "loss");
    wf_real *xs = to_device(b, golden, "x"), *conds = to_device(b, golden, "cond");
    size_t steps = length(loss), step_x = length(x) / steps, step_cond = length(cond) / steps, N = (size_t)x->shape[1];
    for (size_t i = 0; i < steps; i++) {
        double logp[8], sum = 0;
        const wf_real *c = wf_at(b, conds, i * step_cond);
        OK(wf_flow_forward(flow, optimizer->w, wf_at(b, xs, i * step_x), c));
        OK(wf_flow_log_density(flow, logp));
        for (size_t n = 0; n < N; n++)
            sum += logp[n];
        double have = 8 - sum / (log(2) * (double)step_x), want = ((const double *)loss->data)[i];
        agree("loss", &have, &want, 1, tolerance);
        wf_optimizer_begin(optimizer, (int64_t)i, 1e-3);
        optimizer->rule.decay = optimizer->muon.decay = optimizer->decay; /* active from the first step */
        OK(wf_flow_backward(flow, optimizer->w, c, -1 / (log(2) * (double)step_x), wf_optimizer_sink, optimizer, NULL,
                            NULL));
        OK(wf_optimizer_finish(optimizer));
        double bad;
        OK(b->download_double(b, &bad, optimizer->bad, 1));
        cr_assert_eq(bad, 0);
    }
    b->free(b, xs);
    b->free(b, conds);
}

static void check_optimizer(const char *name)
{
    wf_safetensors golden;
    load(name, &golden);
    const wf_tensor *params = tensor(&golden, "params");
    double *host = malloc(params->bytes);
    cr_assert_not_null(host);
    for (int i = 0; i < BACKENDS; i++) {
        wf_backend *b;
        wf_optimizer o;
        double tolerance = backends[i].tolerance;
        OK(backends[i].open(2, &b));
        wf_flow *flow = make_flow(b, tensor(&golden, "x"), true, small, WF_MEMORY_STORE);
        OK(wf_optimizer_create(b, name, length(params), 1 - 1 / 782.0, &o));
        OK(wf_optimizer_add_matrices(&o, flow, 0));
        OK(b->upload(b, o.w, params->data, WF_F64, length(params)));
        OK(b->upload(b, o.ema, params->data, WF_F64, length(params)));
        train(b, &golden, flow, &o, tolerance);
        OK(b->download(b, host, WF_F64, o.w, length(params)));
        agree_params(flow, host, tensor(&golden, "params_after"), tolerance);
        OK(b->download(b, host, WF_F64, o.ema, length(params)));
        agree_params(flow, host, tensor(&golden, "ema_after"), tolerance);
        wf_optimizer_clear(&o);
        wf_flow_destroy(flow);
        b->close(b);
    }
    free(host);
    wf_safetensors_clear(&golden);
}

/* Walks the registry: an optimizer has a file of its name. */
Test(golden, optimizers)
{
    const wf_optimizer_type *type;
    for (int i = 0; (type = wf_optimizer_row(i)); i++)
        check_optimizer(type->name);
}
