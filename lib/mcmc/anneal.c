/* anneal.c - annealed log densities of a stack of levels, by each level's flow and the wavelet between them
 *
 * All values stay on the device in the flows' own units. The condition of level l + 1 is idwt(low_l, x_l), or x_0
 * itself: the wavelet's low-pass is an average, so it keeps the offset of pictures (dequantize, backend.h).
 *
 * Gradients go down through the adjoint of idwt. The transform is orthogonal except for the factor 2^(-d/2) of the
 * average in d dimensions, so the adjoint is dwt with its low-pass times 2^d.
 *
 * A batch has N rows, the fewest that hold the chains asked for (batch_rows), and is filled up with copies of its
 * first row. */
#include "anneal_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../model/capture.h"
#include "../model/level.h"
#include "../model/level_input.h"
#include "../pyramid/dwt.h"

static bool is_base(const stage *s)
{
    return s->level.spec.level == 0;
}

/* -- creation ---------------------------------------------------------------------------------------------------- */

/* Device memory of `each` reals for every row. */
static int alloc_rows(wf_anneal *a, size_t each, wf_real **out)
{
    return wf_alloc_reals(a->backend, (size_t)a->most * each, out);
}

/* Doublings of the low-pass from `first` to `level`: the base and level 1 have the same low-pass. */
static int doublings(const wf_anneal_spec *spec, int level)
{
    return (level ? level : 1) - (spec->first ? spec->first : 1);
}

/* Extent of a batch of the stage's low-pass pictures. */
static wf_extent extent_of(const wf_anneal *a, const stage *s)
{
    return (wf_extent){a->meta->signal, a->N, wf_meta_slices(a->meta, s->level.spec.level), s->H, s->W, a->meta->C};
}

/* Refuses levels that are given more than the low-pass. */
static int expect_nothing_given(const wf_level *level)
{
    WF_CHECK(!wf_given_channels(&level->spec.given), WF_USAGE,
             "level %d was trained with --given: chains take none; wf-sample --given draws", level->spec.level);
    return WF_OK;
}

static int open_stage(wf_anneal *a, const wf_model *model, int level)
{
    stage *s = &a->stages[level - a->spec.first];
    double T = a->spec.temperature[level];
    WF_CHECK(T > 0 && isfinite(T), WF_USAGE, "level %d: temperature %g, want one above 0", level, T);
    a->last = s;
    WF_TRY(wf_level_load(model, level, a->backend, &s->level));
    WF_TRY(expect_nothing_given(&s->level));
    WF_TRY(wf_level_invertible(&s->level));
    s->H = wf_rows_grown(a->meta->signal, a->spec.H, doublings(&a->spec, level));
    s->W = a->spec.W << doublings(&a->spec, level);
    s->size = wf_count3(s->H, s->W, s->level.spec.K);
    s->low_size = wf_count3(s->H, s->W, a->meta->C);
    s->place = a->D;
    s->g = 1 / (T * T);
    a->D += s->size;
    WF_TRY(alloc_rows(a, s->size, &s->in));
    wf_extent one = extent_of(a, s);
    one.N = 1;
    size_t scratch = level ? wf_dwt_scratch(&one) : 0;
    if (scratch)
        WF_TRY(alloc_rows(a, scratch, &s->scratch));
    if (level > 0) {
        WF_TRY(alloc_rows(a, s->low_size, &s->low));
        WF_TRY(alloc_rows(a, s->low_size, &s->dlow));
    }
    return level < a->spec.last || a->spec.measured ? alloc_rows(a, s->size, &s->dx) : WF_OK;
}

static int open_host(wf_anneal *a)
{
    size_t low = is_base(a->stages) ? 0 : a->stages[0].low_size, N = (size_t)a->most;
    bool known = a->spec.known;
    a->condition_size = known ? a->D : a->spec.measured ? wf_measured_size(a->spec.measured) : low;
    a->host = malloc(N * a->last->size * sizeof *a->host);
    a->pixels = calloc(N * low + 1, sizeof *a->pixels);
    a->condition = calloc((size_t)a->chains * a->condition_size + 1, sizeof *a->condition);
    a->whole = known ? calloc(2 * N * a->D, sizeof *a->whole) : NULL;
    a->gradient = known ? a->whole + N * a->D : NULL;
    WF_CHECK(a->host && a->pixels && a->condition && (a->whole || !known), WF_AGAIN,
             "anneal: out of memory for %d chains of %zu numbers", a->chains, a->D);
    return WF_OK;
}

/* Halves `most` while the rows still hold `wanted` and have at least 256 pixels of the lowest level. In batches of
 * that size a row's bits were seen not to depend on the number of rows. */
static int batch_rows(const wf_anneal_spec *spec, int most, int wanted)
{
    while (most / 2 >= wanted && (int64_t)(most / 2) * spec->H * spec->W >= 256)
        most /= 2;
    return most;
}

/* The memory mode changes the gradient's last bits, so it depends on the size of pictures alone, not on rows, nor on
 * the machine's memory as WF_MEMORY_AUTO does. */
static wf_memory memory_of(const stage *s)
{
    return s->H * s->W <= PIXELS ? WF_MEMORY_STORE : WF_MEMORY_REVERSIBLE;
}

/* Sets the rows of the next batch for `count` chains, and creates flows that are not there yet. */
static int begin_batch(wf_anneal *a, int count)
{
    a->N = batch_rows(&a->spec, a->most, count);
    for (a->size = 0; a->most >> a->size > a->N; a->size++)
        ;
    for (stage *s = a->stages; s <= a->last; s++) {
        s->now = &s->sizes[a->size];
        if (!s->now->flow)
            WF_TRY(wf_level_flow(&s->level.spec, a->backend, a->N, s->H, s->W, memory_of(s), &s->now->flow));
    }
    return WF_OK;
}

int wf_anneal_create(const wf_model *model, const wf_anneal_spec *spec, wf_backend *backend, int chains,
                     wf_anneal **out)
{
    int status, levels = model->meta.levels;
    WF_CHECK(spec->first >= 0 && spec->first <= spec->last && spec->last <= levels, WF_USAGE,
             "%s has levels 0 to %d, not %d to %d", model->path, levels, spec->first, spec->last);
    wf_signal signal = model->meta.signal;
    WF_CHECK(spec->H > 0 && spec->W > 0 && spec->H <= wf_rows_left(signal, WF_MAX_SIDE, doublings(spec, spec->last)) &&
                 spec->W <= WF_MAX_SIDE >> doublings(spec, spec->last) && chains > 0,
             WF_USAGE, "anneal: %d chains on pictures of %d x %d", chains, spec->H, spec->W);
    WF_CHECK(!spec->known || (spec->data && spec->first == 0 && spec->last == levels), WF_USAGE,
             "anneal: observed pixels need all levels and chains in the coefficients");
    WF_CHECK(!spec->measured || (!spec->known && spec->first == 0 && spec->last == levels), WF_USAGE,
             "anneal: measurements need all levels, and exclude observed pixels");
    wf_anneal *a = calloc(1, sizeof *a);
    WF_CHECK(a, WF_AGAIN, "anneal: out of memory");
    *a = (wf_anneal){.backend = backend, .meta = &model->meta, .spec = *spec, .chains = chains};
    a->most = batch_rows(spec,
                         wf_level_rows(PIXELS, wf_rows_grown(signal, spec->H, doublings(spec, spec->last)),
                                       spec->W << doublings(spec, spec->last)),
                         chains);
    a->wavelet = wf_wavelet_find(model->meta.wavelet);
    if (!a->wavelet) {
        status = wf_fail(WF_DATA, "%s: unknown wavelet %s", model->path, model->meta.wavelet);
        goto out;
    }
    for (int level = spec->first; level <= spec->last; level++)
        WF_GO(open_stage(a, model, level));
    WF_GO(open_host(a));
    WF_GO(wf_anneal_open_images(a));
    *out = a;
    return WF_OK;
out:
    wf_anneal_destroy(a);
    return status;
}

void wf_anneal_destroy(wf_anneal *a)
{
    if (!a)
        return;
    for (int i = 0; i < PARTS * SIZES; i++)
        wf_capture_clear(a->backend, &a->captures[i / SIZES][i % SIZES]);
    for (stage *s = a->stages; a->last && s <= a->last; s++) {
        wf_real *owned[] = {s->in, s->low, s->dlow, s->dx, s->scratch};
        for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
            a->backend->free(a->backend, owned[i]);
        for (int i = 0; i < SIZES; i++)
            wf_flow_destroy(s->sizes[i].flow);
        wf_level_clear(&s->level);
    }
    a->backend->free(a->backend, a->image);
    a->backend->free(a->backend, a->dimage);
    free(a->grey);
    free(a->whole);
    free(a->condition);
    free(a->pixels);
    free(a->host);
    free(a);
}

size_t wf_anneal_size(const wf_anneal *a)
{
    return a->spec.known ? wf_observed_size(a->spec.known) : a->D;
}

size_t wf_anneal_low_size(const wf_anneal *a)
{
    return a->last->low_size;
}

size_t wf_anneal_detail_size(const wf_anneal *a)
{
    return is_base(a->last) ? 0 : a->last->size;
}

int wf_anneal_rows(const wf_anneal *a)
{
    return a->most;
}

uint64_t wf_anneal_computed(const wf_anneal *a)
{
    return a->computed;
}

int wf_anneal_condition(wf_anneal *a, int n, const float *low)
{
    WF_CHECK(n > 0 && n <= a->chains, WF_USAGE, "anneal: pictures of %d chains, want 1 to %d", n, a->chains);
    WF_CHECK(!low == !a->condition_size, WF_USAGE, "anneal: level %d %s a low-pass picture", a->spec.first,
             low ? "does not take" : "needs");
    if (low)
        memcpy(a->condition, low, (size_t)n * a->condition_size * sizeof *low);
    return WF_OK;
}

/* -- up: from positions to coefficients and pictures -------------------------------------------------------------- */

/* Uploads the low-pass pictures of `count` chains, in pixel units. */
static int load_condition(wf_anneal *a, int count, const int *chain)
{
    stage *s = a->stages;
    if (is_base(s))
        return WF_OK;
    for (int n = 0; n < a->N; n++)
        memcpy(a->pixels + (size_t)n * s->low_size, a->condition + (size_t)chain[n < count ? n : 0] * s->low_size,
               s->low_size * sizeof *a->pixels);
    return a->backend->upload(a->backend, s->low, a->pixels, WF_F32, (size_t)a->N * s->low_size);
}

/* Scales the low-pass pictures to the flow's units without noise, as wf_level_input_load does. */
static int scale_condition(wf_anneal *a)
{
    static const uint64_t unused[WF_LEVEL_ROWS];
    stage *s = a->stages;
    wf_backend *b = a->backend;
    return is_base(s) ? WF_OK
                      : b->dequantize(b, NULL, NULL, 0, 1, a->N, s->H, s->W, a->meta->C, unused,
                                      1.0 / (1 << a->meta->bits), s->low, NULL);
}

/* Uploads the stage's part of positions x [count,D]. */
static int load_position(wf_anneal *a, stage *s, int count, const double *x)
{
    for (int n = 0; n < a->N; n++)
        memcpy(a->host + (size_t)n * s->size, x + (size_t)(n < count ? n : 0) * a->D + s->place, s->size * sizeof *x);
    return a->backend->upload(a->backend, s->in, a->host, WF_F64, (size_t)a->N * s->size);
}

static int invert_stage(stage *s)
{
    return wf_flow_inverse(s->now->flow, s->level.params, s->in, s->low, &s->now->x);
}

/* Extent of a batch of the pictures that a stage and its low-pass make. */
static wf_extent extent_above(const wf_anneal *a, const stage *s)
{
    if (s < a->last)
        return extent_of(a, s + 1);
    return (wf_extent){WF_PICTURE, a->N, 0, a->meta->H, a->meta->W, a->meta->C}; /* what is measured */
}

/* Computes the condition of the next stage, or above the last one the whole pictures that are measured. */
static int lift_picture(wf_anneal *a, const stage *s)
{
    wf_backend *b = a->backend;
    wf_real *out = s < a->last ? s[1].low : a->image;
    if (!out)
        return WF_OK;
    if (is_base(s))
        return b->copy(b, out, s->now->x, (size_t)a->N * s->size);
    wf_extent extent = extent_above(a, s);
    return wf_idwt_level(b, a->wavelet, &extent, s->low, s->now->x, out, s < a->last ? s[1].scratch : NULL);
}

static int compute_rise(void *anneal)
{
    wf_anneal *a = anneal;
    WF_TRY(scale_condition(a));
    for (stage *s = a->stages; s <= a->last; s++) {
        if (!a->spec.data)
            WF_TRY(invert_stage(s));
        WF_TRY(lift_picture(a, s));
    }
    return WF_OK;
}

static int run_part(wf_anneal *a, enum part part, int (*work)(void *anneal))
{
    return wf_capture_run(a->backend, &a->captures[part][a->size], work, a);
}

int wf_anneal_raise(wf_anneal *a, int count, const int *chain, const double *x)
{
    WF_TRY(begin_batch(a, count));
    WF_TRY(load_condition(a, count, chain));
    for (stage *s = a->stages; s <= a->last; s++) {
        WF_TRY(load_position(a, s, count, x));
        if (a->spec.data)
            s->now->x = s->in;
    }
    return run_part(a, RISE, compute_rise);
}

/* -- densities ---------------------------------------------------------------------------------------------------- */

static double log_normal(const double *z, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += z[i] * z[i];
    return -0.5 * squares - 0.5 * (double)n * log(2 * M_PI);
}

/* For chains in the coefficients: runs them forward for their log densities. */
static int compute_measure(void *anneal)
{
    wf_anneal *a = anneal;
    for (stage *s = a->stages; s <= a->last; s++)
        WF_TRY(wf_flow_forward(s->now->flow, s->level.params, s->now->x, s->low));
    return WF_OK;
}

/* Adds the stage's share of logp [count]. */
static int add_density(wf_anneal *a, stage *s, int count, const double *x, double *logp)
{
    double value[WF_LEVEL_ROWS];
    WF_TRY(a->spec.data ? wf_flow_log_density(s->now->flow, value) : wf_flow_inverse_logdet(s->now->flow, value));
    for (int n = 0; n < count; n++) {
        const double *z = x + (size_t)n * a->D + s->place;
        logp[n] += a->spec.data ? s->g * value[n] : s->g * log_normal(z, s->size) + (s->g - 1) * value[n];
    }
    return WF_OK;
}

/* Passes the gradient by the next stage's condition, or by the whole pictures, down: to this stage's coefficients, and
 * to its own condition. */
static int lower_gradient(wf_anneal *a, const stage *s)
{
    wf_backend *b = a->backend;
    size_t low = (size_t)a->N * s->low_size;
    const wf_real *above = s < a->last ? s[1].dlow : a->dimage;
    if (!above)
        return s->dlow ? b->zero(b, s->dlow, low * b->real) : WF_OK;
    if (is_base(s))
        return b->copy(b, s->dx, above, (size_t)a->N * s->size);
    wf_extent extent = extent_above(a, s);
    WF_TRY(wf_dwt_level(b, a->wavelet, &extent, above, s->dlow, s->dx, s < a->last ? s[1].scratch : NULL));
    return b->scale(b, low, 1 << wf_axes(a->meta->signal), 0, s->dlow);
}

/* Gradients of all stages, from the last down. For latents the gradient from above goes back through the stage's
 * inverse; for coefficients data_gradient adds it. */
static int compute_fall(void *anneal)
{
    wf_anneal *a = anneal;
    for (stage *s = a->last + 1; s-- > a->stages;) {
        wf_real *dlow = s > a->stages ? s->dlow : NULL;
        wf_flow *flow = s->now->flow;
        WF_TRY(lower_gradient(a, s));
        if (a->spec.data)
            WF_TRY(wf_flow_backward(flow, s->level.params, s->low, s->g, NULL, NULL, dlow, &s->now->gradient));
        else
            WF_TRY(wf_flow_inverse_backward(flow, s->level.params, s->low, s->dx, s->g - 1, dlow, &s->now->gradient));
    }
    return WF_OK;
}

/* Writes the stage's share of gradients [count,D], at latents x. */
static int latent_gradient(wf_anneal *a, stage *s, int count, const double *x, double *gradient)
{
    WF_TRY(a->backend->download(a->backend, a->host, WF_F64, s->now->gradient, (size_t)count * s->size));
    for (int n = 0; n < count; n++)
        for (size_t i = 0, at = (size_t)n * a->D + s->place; i < s->size; i++)
            gradient[at + i] = a->host[(size_t)n * s->size + i] - s->g * x[at + i];
    return WF_OK;
}

/* Writes the stage's share of gradients [count,D], for coefficients. */
static int data_gradient(wf_anneal *a, stage *s, int count, double *gradient)
{
    const wf_real *terms[2] = {s->dx, s->now->gradient};
    for (int n = 0; n < count; n++)
        memset(gradient + (size_t)n * a->D + s->place, 0, s->size * sizeof *gradient);
    for (int t = s->dx ? 0 : 1; t < 2; t++) {
        WF_TRY(a->backend->download(a->backend, a->host, WF_F64, terms[t], (size_t)count * s->size));
        for (int n = 0; n < count; n++)
            for (size_t i = 0, at = (size_t)n * a->D + s->place; i < s->size; i++)
                gradient[at + i] += a->host[(size_t)n * s->size + i];
    }
    return WF_OK;
}

static int batch_density(wf_anneal *a, int count, const int *chain, const double *x, double *logp, double *gradient)
{
    WF_TRY(wf_anneal_raise(a, count, chain, x));
    memset(logp, 0, (size_t)count * sizeof *logp);
    if (a->spec.data)
        WF_TRY(run_part(a, MEASURE, compute_measure));
    for (stage *s = a->stages; s <= a->last; s++) /* before FALL, which may overwrite the flows' results */
        WF_TRY(add_density(a, s, count, x, logp));
    WF_TRY(wf_anneal_add_measured(a, count, chain, logp));
    WF_TRY(run_part(a, FALL, compute_fall));
    for (stage *s = a->stages; s <= a->last; s++)
        WF_TRY(a->spec.data ? data_gradient(a, s, count, gradient) : latent_gradient(a, s, count, x, gradient));
    a->computed += (uint64_t)a->N;
    return WF_OK;
}

/* Completes positions v of missing pixels to positions of all coefficients, *whole [count,D]. */
static int complete_positions(wf_anneal *a, int count, const int *chain, const double *x, const double **whole)
{
    *whole = a->spec.known ? a->whole : x;
    for (int n = 0; n < count && a->spec.known; n++)
        WF_TRY(wf_observed_apply(a->spec.known, a->condition + (size_t)chain[n] * a->D,
                                 x + (size_t)n * wf_anneal_size(a), a->whole + (size_t)n * a->D));
    return WF_OK;
}

int wf_anneal_density(void *anneal, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    wf_anneal *a = anneal;
    wf_observed *known = a->spec.known;
    size_t each = wf_anneal_size(a);
    for (int at = 0; at < n; at += a->most) {
        int count = wf_anneal_rows_at(a, n, at);
        const double *whole;
        double *to = gradient + (size_t)at * each;
        WF_TRY(complete_positions(a, count, chain + at, x + (size_t)at * each, &whole));
        WF_TRY(batch_density(a, count, chain + at, whole, logp + at, known ? a->gradient : to));
        for (int i = 0; i < count && known; i++)
            WF_TRY(wf_observed_adjoint(known, a->gradient + (size_t)i * a->D, to + (size_t)i * each));
    }
    return WF_OK;
}

/* -- first positions and pictures --------------------------------------------------------------------------------- */

static int batch_start(wf_anneal *a, int count, const int *chain, const uint64_t *id, uint64_t seed, double *x)
{
    wf_backend *b = a->backend;
    uint64_t padded[WF_LEVEL_ROWS];
    WF_TRY(begin_batch(a, count));
    for (int n = 0; n < a->N; n++)
        padded[n] = id[n < count ? n : 0];
    WF_TRY(load_condition(a, count, chain));
    WF_TRY(scale_condition(a));
    for (stage *s = a->stages; s <= a->last; s++) {
        wf_random random = {seed, WF_PURPOSE_LATENT, (uint64_t)s->level.spec.level};
        WF_TRY(b->normal(b, &random, a->N, s->size, padded, 1, s->in));
        if (a->spec.data) {
            WF_TRY(invert_stage(s));
            WF_TRY(lift_picture(a, s));
        }
        WF_TRY(b->download(b, a->host, WF_F64, a->spec.data ? s->now->x : s->in, (size_t)count * s->size));
        for (int n = 0; n < count; n++)
            memcpy(x + (size_t)n * a->D + s->place, a->host + (size_t)n * s->size, s->size * sizeof *x);
    }
    return WF_OK;
}

int wf_anneal_start(wf_anneal *a, int n, const uint64_t *id, uint64_t seed, double *x)
{
    int chain[WF_LEVEL_ROWS];
    WF_CHECK(n <= a->chains, WF_USAGE, "anneal: %d chains, made for %d", n, a->chains);
    for (int i = 0; i < n && a->spec.known; i++)
        wf_observed_start(a->spec.known, a->condition + (size_t)i * a->D, seed, id[i],
                          x + (size_t)i * wf_anneal_size(a));
    if (a->spec.known)
        return WF_OK;
    for (int at = 0; at < n; at += a->most) {
        for (int i = 0; i < wf_anneal_rows_at(a, n, at); i++)
            chain[i] = at + i;
        WF_TRY(batch_start(a, wf_anneal_rows_at(a, n, at), chain, id + at, seed, x + (size_t)at * a->D));
    }
    return WF_OK;
}

/* Downloads values [count,each] and converts them to pixel units. */
static int download_pixels(wf_anneal *a, int count, size_t each, const int *chain, bool low, const wf_real *from,
                           float *to)
{
    size_t n = (size_t)count * each;
    WF_TRY(a->backend->download(a->backend, to, WF_F32, from, n));
    wf_level_input_undo(a->meta, low, n, to);
    for (size_t i = 0; i < n; i++)
        WF_CHECK(isfinite(to[i]), WF_INTERNAL, "level %d: the picture of chain %d is not finite", a->spec.last,
                 chain[i / each]);
    return WF_OK;
}

/* Copies the condition itself where the last stage has one: its round trip through the device may round. */
static int batch_picture(wf_anneal *a, int count, const int *chain, const double *x, float *low, float *detail)
{
    const stage *s = a->last;
    WF_TRY(wf_anneal_raise(a, count, chain, x));
    if (is_base(s))
        return download_pixels(a, count, s->size, chain, true, s->now->x, low);
    if (s == a->stages)
        memcpy(low, a->pixels, (size_t)count * s->low_size * sizeof *low);
    else
        WF_TRY(download_pixels(a, count, s->low_size, chain, true, s->low, low));
    return download_pixels(a, count, s->size, chain, false, s->now->x, detail);
}

int wf_anneal_picture(wf_anneal *a, int n, const int *chain, const double *x, float *low, float *detail)
{
    for (int at = 0; at < n; at += a->most) {
        const double *whole;
        WF_TRY(
            complete_positions(a, wf_anneal_rows_at(a, n, at), chain + at, x + (size_t)at * wf_anneal_size(a), &whole));
        WF_TRY(batch_picture(a, wf_anneal_rows_at(a, n, at), chain + at, whole, low + (size_t)at * a->last->low_size,
                             detail ? detail + (size_t)at * a->last->size : NULL));
    }
    return WF_OK;
}
