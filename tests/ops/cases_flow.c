/* cases_flow.c - memory, linear algebra, densities, noise, optimizer, wavelets */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/pyramid/wavelet.h"
#include "ops.h"

static size_t volume(int a, int b, int c)
{
    return (size_t)a * (size_t)b * (size_t)c;
}

/* -- memory: K numbers -------------------------------------------------------------------------------------------- */

int case_close(run *r, const dims *d)
{
    (void)d;
    wf_backend *another;
    WF_TRY(wf_backend_open(r->backend->name, 1, &another));
    another->close(another);
    return WF_OK;
}

int case_alloc(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    void *p;
    WF_TRY(b->alloc(b, (size_t)d->K, &p));
    bool aligned = (uintptr_t)p % 64 == 0;
    b->free(b, p);
    WF_CHECK(aligned, WF_INTERNAL, "alloc: not aligned to 64 bytes");
    WF_CHECK(b->alloc(b, SIZE_MAX / 4, &p) == WF_AGAIN, WF_INTERNAL, "alloc: want WF_AGAIN for too much");
    return WF_OK;
}

int case_free(run *r, const dims *d)
{
    (void)d;
    r->backend->free(r->backend, NULL);
    return WF_OK;
}

/* Uploads K numbers as F32 and as F64. */
int case_upload(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    size_t n = (size_t)d->K;
    wf_real *x = reals(r, "from F32", OUTPUT, WHOLE, n, 1), *y = reals(r, "from F64", OUTPUT, WHOLE, n, 1);
    int status = WF_AGAIN;
    float *f = malloc(n * sizeof *f);
    double *g = malloc(n * sizeof *g);
    for (size_t i = 0; f && g && i < n; i++)
        g[i] = f[i] = input_value(1, 0, i, 3, WF_FP32);
    if (f && g)
        status = b->upload(b, x, f, WF_F32, n);
    if (!status)
        status = b->upload(b, y, g, WF_F64, n);
    free(f);
    free(g);
    return status;
}

int case_download(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    size_t n = (size_t)d->K;
    wf_real *x = reals(r, "x", INPUT, WHOLE, n, 3);
    double *as_f64 = host(r, "as F64", WHOLE, n), *as_f32 = host(r, "as F32", WHOLE, n);
    WF_TRY(b->download(b, as_f64, WF_F64, x, n));
    float *f = malloc(n * sizeof *f);
    WF_CHECK(f, WF_AGAIN, "out of memory");
    int status = b->download(b, f, WF_F32, x, n);
    for (size_t i = 0; i < n; i++)
        as_f32[i] = f[i];
    free(f);
    return status;
}

/* `gaussian` makes the device double. */
int case_download_double(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    wf_real *z = reals(r, "z", INPUT, PER_PICTURE, (size_t)d->K, 2);
    double *logp = doubles(r, "logp", PER_PICTURE, 1, true), *back = host(r, "downloaded", PER_PICTURE, 1);
    WF_TRY(b->gaussian(b, d->N, 1, d->K, z, NULL, logp, 1, NULL));
    return b->download_double(b, back, logp, (size_t)d->N);
}

/* A readback holds the values at the time of readback_begin; later calls do not change it. */
int case_readback_begin(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    wf_real *z = reals(r, "z", INPUT, PER_PICTURE, (size_t)d->K, 2);
    double *logp = doubles(r, "logp", PER_PICTURE, 1, true), *back = host(r, "collected", PER_PICTURE, 1);
    wf_readback *posts[3];
    WF_TRY(b->gaussian(b, d->N, 1, d->K, z, NULL, logp, 1, NULL));
    for (int i = 0; i < 3; i++)
        WF_TRY(b->readback_begin(b, logp, (size_t)d->N, &posts[i]));
    WF_TRY(b->gaussian(b, d->N, 1, d->K, z, NULL, logp, 1, NULL));
    WF_TRY(b->readback_end(b, posts[1], NULL));
    WF_TRY(b->readback_end(b, posts[2], back));
    return b->readback_end(b, posts[0], back);
}

int case_readback_end(run *r, const dims *d)
{
    return case_readback_begin(r, d);
}

/* Records z = 2 z and dz = -scale z of K numbers, and replays them twice with the scale of the recording. Backends that
 * do not record make the calls. */
int case_replay(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    size_t n = (size_t)d->K;
    const uint64_t index[MAX_PICTURES] = {0};
    wf_random random = {7, WF_PURPOSE_LATENT, 1};
    wf_real *x = reals(r, "x", UPDATED, WHOLE, n, 1), *z = reals(r, "z", OUTPUT, WHOLE, n, 1);
    wf_recording *recording = NULL;
    WF_TRY(b->scale(b, n, 1, 0, x)); /* both calls once unrecorded before */
    WF_TRY(b->normal(b, &random, 1, n, index, 1, z));
    if (b->record) {
        WF_TRY(b->record(b));
        int status = b->scale(b, n, 2, 0, x);
        status = status ? status : b->normal(b, &random, 1, n, index, 1, z);
        int ended = b->recorded(b, &recording);
        WF_TRY(status ? status : ended);
    }
    for (uint64_t step = 2; step < 5; step++) {
        random.step = step; /* the recording reads it again */
        if (b->record) {
            WF_TRY(b->replay(b, recording));
            continue;
        }
        WF_TRY(b->scale(b, n, 2, 0, x));
        WF_TRY(b->normal(b, &random, 1, n, index, 1, z));
    }
    if (b->record)
        b->forget(b, recording);
    return WF_OK;
}

int case_record(run *r, const dims *d)
{
    return case_replay(r, d);
}

int case_recorded(run *r, const dims *d)
{
    return case_replay(r, d);
}

int case_forget(run *r, const dims *d)
{
    if (r->backend->forget)
        r->backend->forget(r->backend, NULL);
    return case_replay(r, d);
}

int case_guard(run *r, const dims *d)
{
    return case_adamax(r, d);
}

int case_zero(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    wf_real *x = reals(r, "x", UPDATED, WHOLE, (size_t)d->K, 1);
    return b->zero(b, x, (size_t)d->K * b->real);
}

int case_copy(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    wf_real *x = reals(r, "x", INPUT, WHOLE, (size_t)d->K, 1), *y = reals(r, "y", OUTPUT, WHOLE, (size_t)d->K, 1);
    return b->copy(b, y, x, (size_t)d->K);
}

/* Copies H x W runs of k numbers, of K apart, to C apart, in each picture; variant 1: added. Numbers between the runs
 * do not change. */
int case_copy_runs(run *r, const dims *d)
{
    wf_real *x = reals(r, "x", INPUT, PER_PICTURE, volume(d->H, d->W, d->K), 1);
    wf_real *y = reals(r, "y", UPDATED, PER_PICTURE, volume(d->H, d->W, d->C), 1);
    wf_runs runs = {.outer = (size_t)(d->N * d->H),
                    .inner = (size_t)d->W,
                    .run = (size_t)d->k,
                    .from_outer = volume(d->W, d->K, 1),
                    .from_inner = (size_t)d->K,
                    .to_outer = volume(d->W, d->C, 1),
                    .to_inner = (size_t)d->C,
                    .add = d->variant & 1};
    return r->backend->copy_runs(r->backend, &runs, wf_at(r->backend, y, (size_t)(d->C - d->k)), x);
}

/* -- linear: K channels. The decimal digits of variant name the parts, first applied first: 1 actnorm, 2 dense, 3 LU, 4
 * householder, 5 permutation */

enum { MAX_PARTS = 5, REFLECTIONS = 3 };

static size_t part_count(wf_linear_kind kind, int K)
{
    size_t k = (size_t)K;
    const size_t counts[] = {2 * k, k * k, 3 * k + 2 * k * k, REFLECTIONS * k, k};
    return counts[kind];
}

/* Overwrites random parameters where the kind needs other ones: permutations, signs, and a dense matrix near a scaled
 * identity, whose inverse is well conditioned. */
static int set_part(wf_backend *b, wf_linear_kind kind, int K, wf_real *params)
{
    size_t n = (size_t)K * (kind == WF_LINEAR_DENSE ? (size_t)K : kind == WF_LINEAR_LU ? 2 : 1);
    if (kind == WF_LINEAR_ACTNORM || kind == WF_LINEAR_HOUSEHOLDER)
        return WF_OK;
    double *v = malloc(n * sizeof *v);
    WF_CHECK(v, WF_AGAIN, "out of memory");
    for (int i = 0; i < K; i++)
        if (kind == WF_LINEAR_LU || kind == WF_LINEAR_PERMUTATION) {
            v[i] = (i + 1) % K;
            if (kind == WF_LINEAR_LU)
                v[K + i] = i % 3 ? 1 : -1;
        } else {
            for (int j = 0; j < K; j++)
                v[i * K + j] = (i == K - 1 - j ? 1.5 : 0) + input_value(99, 0, (size_t)(i * K + j), 1.0 / K, WF_FP32);
        }
    int status = b->upload(b, params, v, WF_F64, n);
    free(v);
    return status;
}

/* Makes the parts of `variant` and their number *count, with parameters in +-0.2. */
static int make_parts(run *r, const dims *d, bool gradients, wf_linear_part parts[MAX_PARTS], int *count)
{
    static const char *const names[] = {"actnorm", "dense", "lu", "householder", "permutation"};
    char digits[16];
    *count = snprintf(digits, sizeof digits, "%d", d->variant);
    for (int i = 0; i < *count; i++) {
        wf_linear_kind kind = (wf_linear_kind)(digits[i] - '1');
        size_t n = part_count(kind, d->K);
        wf_real *params = reals(r, names[kind], INPUT, WHOLE, n, 0.2);
        WF_TRY(set_part(r->backend, kind, d->K, params));
        parts[i] = (wf_linear_part){.kind = kind, .params = params, .reflections = REFLECTIONS};
        if (gradients)
            parts[i].grads = reals(r, "gradient of a part", OUTPUT, WHOLE, n, 1);
    }
    return WF_OK;
}

int case_linear_fold(run *r, const dims *d)
{
    wf_linear_part parts[MAX_PARTS];
    int count;
    size_t K = (size_t)d->K;
    WF_TRY(make_parts(r, d, false, parts, &count));
    wf_linear out = {.A = reals(r, "A", OUTPUT, WHOLE, K * K, 1),
                     .a = reals(r, "a", OUTPUT, WHOLE, K, 1),
                     .B = reals(r, "B", OUTPUT, WHOLE, K * K, 1),
                     .b = reals(r, "b", OUTPUT, WHOLE, K, 1),
                     .logdet = doubles(r, "logdet", WHOLE, 1, false)};
    wf_linear_part other = {.kind = WF_LINEAR_ACTNORM, .params = reals(r, "params of another", INPUT, WHOLE, 2, 0.2)};
    wf_linear_run both[2] = {{.K = d->K, .count = count, .parts = parts, .folded = out},
                             {.K = 1, .count = 1, .parts = &other}};
    both[1].folded = (wf_linear){.A = reals(r, "A of another", OUTPUT, WHOLE, 1, 1),
                                 .a = reals(r, "a of another", OUTPUT, WHOLE, 1, 1),
                                 .B = reals(r, "B of another", OUTPUT, WHOLE, 1, 1),
                                 .b = reals(r, "b of another", OUTPUT, WHOLE, 1, 1),
                                 .logdet = doubles(r, "logdet of another", WHOLE, 1, false)};
    return r->backend->linear_fold(r->backend, 2, both);
}

int case_linear_backward(run *r, const dims *d)
{
    wf_linear_part parts[MAX_PARTS];
    int count;
    size_t K = (size_t)d->K;
    WF_TRY(make_parts(r, d, true, parts, &count));
    wf_real *dA = reals(r, "dA", INPUT, WHOLE, K * K, 1), *da = reals(r, "da", INPUT, WHOLE, K, 1);
    wf_linear_part other = {.kind = WF_LINEAR_ACTNORM,
                            .params = reals(r, "params of another", INPUT, WHOLE, 2, 0.2),
                            .grads = reals(r, "gradient of another", OUTPUT, WHOLE, 2, 1)};
    wf_linear_run both[2] = {{.K = d->K, .count = count, .parts = parts, .dA = dA, .da = da, .dlogdet = -0.7},
                             {.K = 1, .count = 1, .parts = &other, .dlogdet = 0.3}};
    both[1].dA = reals(r, "dA of another", INPUT, WHOLE, 1, 1);
    both[1].da = reals(r, "da of another", INPUT, WHOLE, 1, 1);
    return r->backend->linear_backward(r->backend, 2, both);
}

/* H*W pixels of K channels; variant 1: in place. */
int case_matvec(run *r, const dims *d)
{
    size_t K = (size_t)d->K, per = volume(d->H, d->W, d->K);
    bool in_place = d->variant & 1;
    wf_real *A = reals(r, "A", INPUT, WHOLE, K * K, 1), *a = reals(r, "a", INPUT, WHOLE, K, 1);
    wf_real *x = reals(r, "x", in_place ? UPDATED : INPUT, PER_PICTURE, per, 1);
    wf_real *y = in_place ? x : reals(r, "y", OUTPUT, PER_PICTURE, per, 1);
    return r->backend->matvec(r->backend, volume(d->N, d->H, d->W), d->K, A, a, x, y);
}

/* variant 1: without dA and da. */
int case_matvec_backward(run *r, const dims *d)
{
    size_t K = (size_t)d->K, per = volume(d->H, d->W, d->K);
    wf_real *A = reals(r, "A", INPUT, WHOLE, K * K, 1), *x = reals(r, "x", INPUT, PER_PICTURE, per, 1);
    wf_real *g = reals(r, "g", UPDATED, PER_PICTURE, per, 1), *dA = NULL, *da = NULL;
    if (!(d->variant & 1)) {
        dA = reals(r, "dA", OUTPUT, WHOLE, K * K, 1);
        da = reals(r, "da", OUTPUT, WHOLE, K, 1);
    }
    return r->backend->matvec_backward(r->backend, volume(d->N, d->H, d->W), d->K, A, x, g, dA, da);
}

/* -- densities and noise ------------------------------------------------------------------------------------------ */

const wf_real *weights_of(run *r, const dims *d)
{
    return d->variant & 4 ? reals(r, "weight", INPUT, PER_PICTURE, volume(d->H, d->W, 1), 1) : NULL;
}

/* H*W*K numbers a picture; variant 1: no dz, 2: no logp, 4: weights. */
int case_gaussian(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    size_t D = volume(d->H, d->W, d->K);
    wf_real *z = reals(r, "z", INPUT, PER_PICTURE, D, 2);
    double *logp = d->variant & 2 ? NULL : doubles(r, "logp", PER_PICTURE, 1, true);
    wf_real *dz = d->variant & 1 ? NULL : reals(r, "dz", OUTPUT, PER_PICTURE, D, 1);
    const wf_real *weight = weights_of(r, d);
    WF_TRY(b->gaussian(b, d->N, d->H * d->W, d->K, z, weight, logp, 0.4, dz));
    return b->gaussian(b, d->N, d->H * d->W, d->K, z, weight, logp, 0.4, dz);
}

/* Variant 1: moved by 64, which the variance must not feel. */
int case_moments(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    size_t n = volume(d->N, d->H, d->W), K = (size_t)d->K;
    wf_real *x = reals(r, "x", UPDATED, PER_PICTURE, volume(d->H, d->W, d->K), 1);
    double *moments = doubles(r, "moments", WHOLE, 2 * K, false);
    WF_TRY(b->scale(b, n * K, 1, d->variant ? 64 : 0, x));
    return b->moments(b, n, d->K, x, moments);
}

/* The inputs reach far beyond where the sigmoid rounds to 0 or 1. */
int case_sigmoid(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    size_t D = volume(d->H, d->W, d->K);
    wf_real *v = reals(r, "v", INPUT, PER_PICTURE, D, d->variant ? 60 : 3);
    wf_real *u = reals(r, "u", OUTPUT, PER_PICTURE, D, 1);
    double *logp = doubles(r, "logp", PER_PICTURE, 1, true);
    WF_TRY(b->sigmoid(b, d->N, D, 1.3, v, u, logp));
    return b->sigmoid(b, d->N, D, 1.3, v, u, logp);
}

int case_sigmoid_backward(run *r, const dims *d)
{
    size_t D = volume(d->H, d->W, d->K);
    wf_real *v = reals(r, "v", INPUT, PER_PICTURE, D, d->variant ? 60 : 3);
    wf_real *g = reals(r, "g", UPDATED, PER_PICTURE, D, 1);
    return r->backend->sigmoid_backward(r->backend, (size_t)d->N * D, 1.3, v, 0.4, g);
}

/* Returns the taps of the first row of the table that has `count` of them. */
static const double *taps_of(int count)
{
    int i = 0;
    while (wf_wavelet_at(i)->count != count)
        i++;
    return wf_wavelet_at(i)->taps;
}

/* Uses every word of the counter and of the key. */
static const wf_random noise = {.seed = 0x123456789ABCDEF0u, .purpose = WF_PURPOSE_NOISE, .step = 0x500000007u};

static void indices(const run *r, uint64_t *index)
{
    for (int n = 0; n < r->N; n++)
        index[n] = r->pictures[n] << 31 | 5; /* more than 32 bits for some pictures */
}

int case_normal(run *r, const dims *d)
{
    uint64_t index[MAX_PICTURES];
    indices(r, index);
    size_t D = volume(d->H, d->W, d->K);
    wf_real *z = reals(r, "z", OUTPUT, PER_PICTURE, D, 1);
    return r->backend->normal(r->backend, &noise, d->N, D, index, 0.9, z);
}

/* K taps (0: no random), C colours, k uniforms; variant 1: base (no detail). */
int case_dequantize(run *r, const dims *d)
{
    uint64_t index[MAX_PICTURES];
    indices(r, index);
    size_t L = volume(d->H, d->W, d->C);
    wf_real *low = reals(r, "low", UPDATED, PER_PICTURE, L, 1);
    wf_real *detail = d->variant & 1 ? NULL : reals(r, "detail", UPDATED, PER_PICTURE, 3 * L, 1);
    return r->backend->dequantize(r->backend, d->K ? &noise : NULL, d->K ? taps_of(d->K) : NULL, d->K, d->k, d->N, d->H,
                                  d->W, d->C, index, 0.25, low, detail);
}

int case_scale(run *r, const dims *d)
{
    wf_real *x = reals(r, "x", UPDATED, WHOLE, (size_t)d->K, 1);
    return r->backend->scale(r->backend, (size_t)d->K, -1.7, 0.3, x);
}

/* K weights, three steps; variant 1: the last element of the gradient is NaN, 2: it is infinite. */
/* Checks that a flag which is set stays set and keeps w. Clears the flag. */
static int ignores_when_bad(run *r, const wf_adamax *rule, size_t n, wf_real *w, wf_real *m, wf_real *u, wf_real *ema,
                            const wf_real *g, double *flag)
{
    wf_backend *b = r->backend;
    double before, after, infinite = INFINITY, set;
    wf_real *huge = reals(r, "huge", OUTPUT, WHOLE, 1, 1);
    double *logp = doubles(r, "logp", PER_PICTURE, 1, true); /* `gaussian` makes it infinite */
    WF_TRY(b->upload(b, huge, &infinite, WF_F64, 1));
    WF_TRY(b->gaussian(b, 1, 1, 1, huge, NULL, logp, 1, NULL));
    WF_TRY(b->guard(b, 1, logp, flag));
    WF_TRY(b->download(b, &before, WF_F64, w, 1));
    WF_TRY(b->adamax(b, rule, n, w, m, u, ema, g, flag));
    WF_TRY(b->download(b, &after, WF_F64, w, 1));
    WF_TRY(b->download_double(b, &set, flag, 1));
    WF_CHECK(set == 1 && before == after, WF_INTERNAL, "adamax: with the flag at %g, a weight goes from %g to %g", set,
             before, after);
    WF_TRY(b->zero(b, huge, b->real));
    WF_TRY(b->zero(b, logp, sizeof *logp));
    return b->zero(b, flag, sizeof *flag);
}

int case_adamax(run *r, const dims *d)
{
    wf_backend *b = r->backend;
    size_t n = (size_t)d->K;
    wf_adamax rule = {.rate = 0.01, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.95};
    wf_real *w = reals(r, "w", UPDATED, WHOLE, n, 1), *m = reals(r, "m", UPDATED, WHOLE, n, 0.1);
    wf_real *u = reals(r, "u", UPDATED, WHOLE, n, 0.1), *ema = reals(r, "ema", UPDATED, WHOLE, n, 1);
    wf_real *g = reals(r, "g", OUTPUT, WHOLE, n, 1);
    double *flag = doubles(r, "flag", WHOLE, 1, true), *bad = host(r, "bad", WHOLE, 3),
           *kept = host(r, "w before", WHOLE, n), *now = host(r, "w after", WHOLE, n);
    WF_TRY(b->zero(b, u, n * b->real)); /* never negative */
    WF_TRY(b->download(b, kept, WF_F64, w, n));
    for (int step = 0; step < 3; step++) {
        for (size_t i = 0; i < n; i++) {
            double value = input_value(50 + step, 0, i, 1, WF_FP32);
            if (i == n - 1 && d->variant)
                value = d->variant & 1 ? NAN : -INFINITY;
            WF_TRY(b->upload(b, wf_at(b, g, i), &value, WF_F64, 1));
        }
        WF_TRY(b->adamax(b, &rule, n, w, m, u, ema, g, flag));
        WF_TRY(b->download_double(b, &bad[step], flag, 1));
        WF_CHECK(bad[step] == (d->variant != 0), WF_INTERNAL, "adamax: bad is %g", bad[step]);
    }
    if (!d->variant)
        WF_TRY(ignores_when_bad(r, &rule, n, w, m, u, ema, g, flag));
    WF_TRY(b->download(b, now, WF_F64, w, n));
    for (size_t i = 0; i < n && d->variant; i++)
        WF_CHECK(now[i] == kept[i], WF_INTERNAL, "adamax: weight %zu moved on a gradient that is not finite", i);
    return b->zero(b, g, n * b->real); /* its NaN would not compare equal */
}

/* -- wavelets: C colours, k taps ---------------------------------------------------------------------------------- */

int case_dwt(run *r, const dims *d)
{
    size_t L = volume(d->H / 2, d->W / 2, d->C);
    wf_real *x = reals(r, "x", INPUT, PER_PICTURE, 4 * L, 1), *low = reals(r, "low", OUTPUT, PER_PICTURE, L, 1);
    wf_real *detail = reals(r, "detail", OUTPUT, PER_PICTURE, 3 * L, 1);
    return r->backend->dwt(r->backend, taps_of(d->k), d->k, d->N, d->H, d->W, d->C, x, low, detail);
}

int case_idwt(run *r, const dims *d)
{
    size_t L = volume(d->H / 2, d->W / 2, d->C);
    wf_real *low = reals(r, "low", INPUT, PER_PICTURE, L, 1),
            *detail = reals(r, "detail", INPUT, PER_PICTURE, 3 * L, 1);
    wf_real *x = reals(r, "x", OUTPUT, PER_PICTURE, 4 * L, 1);
    return r->backend->idwt(r->backend, taps_of(d->k), d->k, d->N, d->H, d->W, d->C, low, detail, x);
}

/* Transforms [N,H,C] along H; N are the outer lines. No signal has these gains, so that swapped gains show. */
int case_dwt_axis(run *r, const dims *d)
{
    size_t half = volume(d->H / 2, 1, d->C);
    wf_real *x = reals(r, "x", INPUT, PER_PICTURE, 2 * half, 1), *low = reals(r, "low", OUTPUT, PER_PICTURE, half, 1);
    wf_real *high = reals(r, "high", OUTPUT, PER_PICTURE, half, 1);
    return r->backend->dwt_axis(r->backend, taps_of(d->k), d->k, (size_t)d->N, d->H, (size_t)d->C, 0.7, -1.6, x, low,
                                high);
}

int case_idwt_axis(run *r, const dims *d)
{
    size_t half = volume(d->H / 2, 1, d->C);
    wf_real *low = reals(r, "low", INPUT, PER_PICTURE, half, 1), *high = reals(r, "high", INPUT, PER_PICTURE, half, 1);
    wf_real *x = reals(r, "x", OUTPUT, PER_PICTURE, 2 * half, 1);
    return r->backend->idwt_axis(r->backend, taps_of(d->k), d->k, (size_t)d->N, d->H, (size_t)d->C, 0.7, -1.6, low,
                                 high, x);
}
