/* cases_map.c - feature maps and convolutions, in each precision */
#include <math.h>

#include "ops.h"

static size_t volume(int a, int b, int c)
{
    return (size_t)a * (size_t)b * (size_t)c;
}

static wf_map_shape shape_of(const dims *d, int channels)
{
    return (wf_map_shape){.N = d->N, .H = d->H, .W = d->W, .C = channels, .precision = d->precision};
}

/* The cases below allocate maps of this size, so a wrong size overwrites their canaries. */
int case_map_bytes(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->C);
    size_t least = volume(d->N * d->H, d->W, d->C) * (d->precision == WF_BF16 ? 2 : 4);
    WF_CHECK(r->backend->map_bytes(r->backend, &s) >= least, WF_INTERNAL, "map_bytes: fewer than %zu", least);
    feature_map(r, "map", UPDATED, &s);
    return WF_OK;
}

/* Packs the first k of K channels, then C of the condition. */
int case_pack(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->k + d->C);
    wf_real *x = reals(r, "x", INPUT, PER_PICTURE, volume(d->H, d->W, d->K), 1);
    wf_real *cond = d->C ? reals(r, "cond", INPUT, PER_PICTURE, volume(d->H, d->W, d->C), 1) : NULL;
    wf_map *map = feature_map(r, "map", OUTPUT, &s);
    return r->backend->pack(r->backend, &s, d->k, d->K, x, d->C, cond, map);
}

/* variant 1: no dcond. */
int case_pack_backward(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->k + d->C);
    wf_map *map = feature_map(r, "map", INPUT, &s);
    wf_real *dx = reals(r, "dx", UPDATED, PER_PICTURE, volume(d->H, d->W, d->K), 1);
    wf_real *dcond = NULL;
    if (d->C && !(d->variant & 1))
        dcond = reals(r, "dcond", UPDATED, PER_PICTURE, volume(d->H, d->W, d->C), 1);
    return r->backend->pack_backward(r->backend, &s, d->k, d->K, dx, d->C, dcond, map);
}

int case_unpack(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->C);
    wf_map *map = feature_map(r, "map", INPUT, &s);
    wf_real *x = reals(r, "x", OUTPUT, PER_PICTURE, volume(d->H, d->W, d->C), 1);
    return r->backend->unpack(r->backend, &s, map, x);
}

/* variant 1: nothing to add. About half of y is exactly zero, as after a relu. */
int case_relu_backward(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->C);
    wf_map *y = feature_map(r, "y", UPDATED, &s), *add = d->variant & 1 ? NULL : feature_map(r, "add", INPUT, &s);
    wf_map *dy = feature_map(r, "dy", UPDATED, &s), *mask = feature_map(r, "mask", INPUT, &s);
    WF_TRY(r->backend->relu_backward(r->backend, &s, mask, NULL, y));
    return r->backend->relu_backward(r->backend, &s, y, add, dy);
}

/* variant 1: in place. */
int case_gate(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->C), both = shape_of(d, 2 * d->C);
    wf_map *ab = feature_map(r, "ab", INPUT, &both), *x = feature_map(r, "x", d->variant & 1 ? UPDATED : INPUT, &s);
    return r->backend->gate(r->backend, &s, ab, x, d->variant & 1 ? x : feature_map(r, "y", OUTPUT, &s));
}

int case_gate_backward(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->C), both = shape_of(d, 2 * d->C);
    wf_map *ab = feature_map(r, "ab", INPUT, &both), *dy = feature_map(r, "dy", INPUT, &s);
    return r->backend->gate_backward(r->backend, &s, ab, dy, feature_map(r, "dab", OUTPUT, &both));
}

int case_norm(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->C);
    wf_map *x = feature_map(r, "x", INPUT, &s);
    return r->backend->norm(r->backend, &s, x, feature_map(r, "y", OUTPUT, &s));
}

/* variant 1: nothing to add. */
int case_norm_backward(run *r, const dims *d)
{
    wf_map_shape s = shape_of(d, d->C);
    wf_map *x = feature_map(r, "x", INPUT, &s), *dy = feature_map(r, "dy", INPUT, &s);
    wf_map *add = d->variant & 1 ? NULL : feature_map(r, "add", INPUT, &s);
    return r->backend->norm_backward(r->backend, &s, x, dy, add, feature_map(r, "dx", OUTPUT, &s));
}

int case_attend(run *r, const dims *d)
{
    wf_real *qkv = reals(r, "qkv", INPUT, PER_PICTURE, volume(d->H, d->W, 3 * d->C), 3);
    wf_real *y = reals(r, "y", OUTPUT, PER_PICTURE, volume(d->H, d->W, d->C), 1);
    return r->backend->attend(r->backend, (wf_reach)d->variant, d->N, d->H * d->W, d->C, d->k, qkv, y);
}

int case_attend_backward(run *r, const dims *d)
{
    wf_real *qkv = reals(r, "qkv", INPUT, PER_PICTURE, volume(d->H, d->W, 3 * d->C), 3);
    wf_real *dy = reals(r, "dy", INPUT, PER_PICTURE, volume(d->H, d->W, d->C), 1);
    wf_real *dqkv = reals(r, "dqkv", OUTPUT, PER_PICTURE, volume(d->H, d->W, 3 * d->C), 1);
    return r->backend->attend_backward(r->backend, (wf_reach)d->variant, d->N, d->H * d->W, d->C, d->k, qkv, dy, dqkv);
}

/* -- convolutions: K to C channels, side k; variant 1: relu, 2: residual, 4: the residual is y itself, 8: no dx, 16: no
 * dw, 32: a sound; 64, 128: a volume whose rows are in two, three slices; 256: a NaN in x, backward in dy */

enum {
    RELU = 1,
    RESIDUAL = 2,
    IN_PLACE = 4,
    NO_DX = 8,
    NO_DW = 16,
    SOUND = 32,
    TWO_SLICES = 64,
    THREE_SLICES = 128,
    NOT_FINITE = 256
};

static wf_conv_spec spec_of(const dims *d)
{
    return (wf_conv_spec){.N = d->N,
                          .H = d->H,
                          .W = d->W,
                          .in = d->K,
                          .out = d->C,
                          .k = d->k,
                          .relu = d->variant & RELU,
                          .residual = d->variant & RESIDUAL,
                          .precision = d->precision,
                          .signal = d->variant & SOUND                         ? WF_SOUND
                                    : d->variant & (TWO_SLICES | THREE_SLICES) ? WF_VOLUME
                                                                               : WF_PICTURE,
                          .D = d->variant & THREE_SLICES ? 3 : 2};
}

static size_t taps(const dims *d)
{
    wf_conv_spec spec = spec_of(d);
    return (size_t)wf_conv_taps(&spec);
}

/* Makes weights that keep the size of their input, and their gradients if asked for. */
static wf_weights make_weights(run *r, const dims *d, bool gradients)
{
    size_t n = volume(d->C, (int)taps(d), d->K), out = (size_t)d->C;
    double size = 1 / sqrt((double)taps(d) * d->K / 3);
    wf_weights p = {.w = reals(r, "w", INPUT, WHOLE, n, size),
                    .bias = reals(r, "bias", INPUT, WHOLE, out, 0.5),
                    .logs = reals(r, "logs", INPUT, WHOLE, out, 0.1)};
    if (gradients) {
        p.dw = reals(r, "dw", OUTPUT, WHOLE, n, 1);
        p.dbias = reals(r, "dbias", OUTPUT, WHOLE, out, 1);
        p.dlogs = reals(r, "dlogs", OUTPUT, WHOLE, out, 1);
    }
    return p;
}

static int create(run *r, const dims *d, wf_conv **out)
{
    wf_conv_spec spec = spec_of(d);
    return r->backend->conv_create(r->backend, &spec, out);
}

/* Creates and destroys twice; the leak checker of a sanitized build sees what remains. */
int case_conv_create(run *r, const dims *d)
{
    wf_conv *conv;
    for (int i = 0; i < 2; i++) {
        WF_TRY(create(r, d, &conv));
        r->backend->conv_destroy(r->backend, conv);
    }
    return WF_OK;
}

int case_conv_destroy(run *r, const dims *d)
{
    r->backend->conv_destroy(r->backend, NULL);
    return case_conv_create(r, d);
}

/* Two convolutions of the same shape and different weights, folded together where the backend does so. */
typedef struct pair {
    wf_conv *convs[2];
    wf_weights weights[2];
} pair;

static int folded_memory(run *r, pair *p, bool gradients)
{
    wf_backend *b = r->backend;
    for (int i = 0; i < 2 && b->conv_fold; i++) {
        WF_TRY(b->alloc(b, b->conv_folded_bytes(b, p->convs[i], false), &p->weights[i].folded));
        if (gradients)
            WF_TRY(b->alloc(b, b->conv_folded_bytes(b, p->convs[i], true), &p->weights[i].dfolded));
    }
    return WF_OK;
}

/* `together`: uses conv_fold and conv_unfold. */
static int pair_open(run *r, const dims *d, bool gradients, bool together, pair *p)
{
    wf_backend *b = r->backend;
    *p = (pair){0};
    for (int i = 0; i < 2; i++)
        WF_TRY(create(r, d, &p->convs[i]));
    for (int i = 0; i < (together ? 2 : 1); i++)
        p->weights[i] = make_weights(r, d, gradients);
    if (!together || !b->conv_fold)
        return WF_OK;
    WF_TRY(folded_memory(r, p, gradients));
    return b->conv_fold(b, 2, p->convs, p->weights);
}

static void pair_clear(run *r, pair *p)
{
    wf_backend *b = r->backend;
    for (int i = 0; i < 2; i++) {
        b->conv_destroy(b, p->convs[i]);
        b->free(b, p->weights[i].folded);
        b->free(b, p->weights[i].dfolded);
    }
}

/* Runs twice, so that state kept from the first call shows. */
static int forward(run *r, const dims *d, bool together)
{
    wf_backend *b = r->backend;
    wf_map_shape in = shape_of(d, d->K), out = shape_of(d, d->C);
    pair p;
    int status = pair_open(r, d, false, together, &p);
    if (d->variant & NOT_FINITE)
        break_next(r);
    r->relu_of_broken = d->variant & RELU;
    wf_map *x = feature_map(r, "x", INPUT, &in);
    for (int i = 0; i < (together ? 2 : 1) && !status; i++) {
        wf_map *residual = NULL, *y;
        if (d->variant & IN_PLACE) {
            residual = y = feature_map(r, "y", UPDATED, &out);
        } else {
            residual = d->variant & RESIDUAL ? feature_map(r, "residual", INPUT, &out) : NULL;
            y = feature_map(r, "y", OUTPUT, &out);
        }
        for (int again = 0; again < 2 && !status; again++)
            status = b->conv_forward(b, p.convs[i], &p.weights[i], x, residual, y);
    }
    pair_clear(r, &p);
    return status;
}

static int backward(run *r, const dims *d, bool together)
{
    wf_backend *b = r->backend;
    wf_map_shape in = shape_of(d, d->K), out = shape_of(d, d->C);
    pair p;
    int status = pair_open(r, d, !(d->variant & NO_DW), together, &p);
    wf_map *x = feature_map(r, "x", INPUT, &in), *y = feature_map(r, "y", UPDATED, &out);
    wf_map *mask = feature_map(r, "mask", INPUT, &out), *add = NULL;
    if (d->variant & RESIDUAL)
        add = feature_map(r, "add", INPUT, &out);
    if (!status)
        status = b->relu_backward(b, &out, mask, NULL, y); /* half of it is exactly zero */
    for (int i = 0; i < (together ? 2 : 1) && !status; i++) {
        if (d->variant & NOT_FINITE && !i)
            break_next(r);
        wf_map *dy = feature_map(r, "dy", UPDATED, &out);
        wf_map *dx = d->variant & NO_DX ? NULL : feature_map(r, "dx", OUTPUT, &in);
        for (int again = 0; again < 2 && !status; again++)
            status = b->conv_backward(b, p.convs[i], &p.weights[i], x, y, add, dy, dx);
    }
    if (!status && together && b->conv_fold && !(d->variant & NO_DW))
        status = b->conv_unfold(b, 2, p.convs, p.weights);
    pair_clear(r, &p);
    return status;
}

int case_conv_forward(run *r, const dims *d)
{
    return forward(r, d, false);
}

int case_conv_backward(run *r, const dims *d)
{
    return backward(r, d, false);
}

/* conv_fold fills the memory of this size: the emulated device and the sanitizers watch its ends. */
int case_conv_folded_bytes(run *r, const dims *d)
{
    pair p;
    int status = pair_open(r, d, false, true, &p);
    pair_clear(r, &p);
    return status;
}

int case_conv_fold(run *r, const dims *d)
{
    return forward(r, d, true);
}

int case_conv_unfold(run *r, const dims *d)
{
    return backward(r, d, true);
}
