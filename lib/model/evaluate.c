/* evaluate.c - fixed, padded batches through a level's flow */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"

int wf_evaluator_create(wf_backend *backend, const wf_meta *meta, const wf_level_spec *spec, const wf_real *params,
                        uint64_t seed, wf_evaluator *out)
{
    wf_level_shape s = wf_meta_level(meta, spec->level);
    wf_level_runner *r = &out->runner;
    *out = (wf_evaluator){0};
    WF_TRY(wf_level_runner_create(backend, meta, spec, wf_level_rows(backend->pixels, s.H, s.W), s.H, s.W,
                                  WF_MEMORY_NONE, r));
    r->params = params;
    r->noise = (wf_random){seed, WF_PURPOSE_EVAL, (uint64_t)spec->level};
    return WF_OK;
}

void wf_evaluator_clear(wf_evaluator *e)
{
    wf_level_runner_clear(&e->runner);
    free(e->host);
    free(e->z);
    free(e->shared);
    *e = (wf_evaluator){0};
}

/* Numbers in the low-pass of one picture. */
static size_t low_size(const wf_evaluator *e)
{
    return wf_count3(e->runner.H, e->runner.W, e->runner.meta->C);
}

static size_t detail_size(const wf_evaluator *e)
{
    return (size_t)wf_bands(e->runner.meta->signal) * low_size(e);
}

int wf_evaluator_draw(wf_evaluator *e, wf_pixel_noise *pixels, uint64_t draw)
{
    wf_level_runner *r = &e->runner;
    e->draw = draw;
    if (r->dequantizer.flow)
        r->noise.step = draw;
    if (r->dequantizer.flow || e->pixels)
        return WF_OK;
    wf_capture_clear(r->backend, &r->forward); /* which makes noise */
    r->noiseless = true;
    e->pixels = pixels;
    e->host = malloc((size_t)r->N * (low_size(e) + detail_size(e)) * sizeof *e->host);
    WF_CHECK(e->host, WF_AGAIN, "evaluate: out of memory for %d pictures", r->N);
    return WF_OK;
}

/* Loads a batch, with the noise of whole pictures where the evaluator draws it. */
static int load_batch(wf_evaluator *e, int count, const float *low, const float *detail, const uint64_t *index)
{
    wf_level_runner *r = &e->runner;
    size_t n = (size_t)count * low_size(e);
    float *noisy = e->host, *details = detail ? noisy + n : NULL;
    if (!e->pixels || wf_flow_is_discrete(r->flow))
        return wf_level_runner_load(r, count, low, detail, index);
    memcpy(noisy, low, n * sizeof *low);
    if (detail)
        memcpy(details, detail, (size_t)count * detail_size(e) * sizeof *detail);
    WF_TRY(wf_pixel_noise_add(e->pixels, r->noise.seed, e->draw, r->level, count, index, noisy, details));
    return wf_level_runner_load(r, count, noisy, details, index);
}

/* Gives the latents of the batch that was run last. */
static int give_latents(wf_evaluator *e, int count, const uint64_t *index)
{
    wf_level_runner *r = &e->runner;
    size_t each = wf_count3(r->H, r->W, r->K);
    if (!e->latents || wf_flow_is_discrete(r->flow))
        return WF_OK;
    if (!e->z)
        e->z = malloc((size_t)r->N * each * sizeof *e->z);
    WF_CHECK(e->z, WF_AGAIN, "level %d: out of memory for the latents of %d pictures", r->level, r->N);
    WF_TRY(r->backend->download(r->backend, e->z, WF_F32, wf_flow_latent(r->flow), (size_t)count * each));
    return e->latents(e->latents_user, r->level, count, index, e->z);
}

int wf_evaluator_share(wf_evaluator *e, wf_share_sink *sink, void *user)
{
    wf_level_runner *r = &e->runner;
    WF_TRY(wf_flow_share(r->flow));
    e->shared = malloc(wf_count3(r->N, r->H, r->W) * sizeof *e->shared);
    WF_CHECK(e->shared, WF_AGAIN, "level %d: out of memory for the shares of %d pictures", r->level, r->N);
    e->shares = sink;
    e->shares_user = user;
    return WF_OK;
}

/* Gives the shares of the batch that was run last. density [count]: log densities. */
static int give_shares(wf_evaluator *e, int count, const double *density)
{
    const wf_level_runner *r = &e->runner;
    size_t P = wf_count3(r->H, r->W, 1);
    if (!e->shares)
        return WF_OK;
    WF_TRY(wf_flow_shares(r->flow, e->shared));
    for (int n = 0; n < count; n++) {
        double *own = e->shared + (size_t)n * P, rest = density[n];
        for (size_t i = 0; i < P; i++)
            rest -= own[i];
        for (size_t i = 0; i < P; i++) /* bits are linear in the density, beside a constant */
            own[i] = isfinite(density[n]) ? wf_bits_per_dim(r->meta, r->level, (double)P * own[i] + rest) / (double)P
                                          : INFINITY;
    }
    return e->shares(e->shares_user, r->level, count, e->shared);
}

int wf_evaluator_run(wf_evaluator *e, int64_t N, const float *low, const float *detail, const uint64_t *index,
                     double *bits)
{
    wf_level_runner *r = &e->runner;
    e->not_finite = false;
    for (int64_t at = 0; at < N; at += r->N) {
        double density[WF_LEVEL_ROWS];
        wf_level_densities posted;
        int count = wf_level_runner_rows(r, N, at);
        const float *details = detail ? detail + (size_t)at * detail_size(e) : NULL;
        WF_TRY(load_batch(e, count, low + (size_t)at * low_size(e), details, index + at));
        WF_TRY(wf_level_runner_forward(r));
        WF_TRY(wf_level_runner_readback_begin(r, &posted));
        WF_TRY(wf_level_runner_readback_end(r, &posted, density));
        for (int n = 0; n < count; n++) {
            if (e->infinite && !isfinite(density[n]))
                density[n] = -INFINITY;
            e->not_finite = !e->infinite && !isfinite(density[n]);
            WF_CHECK(!e->not_finite, WF_INTERNAL, "level %d: log density of picture %llu is not finite", r->level,
                     (unsigned long long)index[at + n]);
            bits[at + n] = wf_bits_per_dim(r->meta, r->level, density[n]);
        }
        WF_TRY(give_latents(e, count, index + at));
        WF_TRY(give_shares(e, count, density));
        wf_watched(&e->watch, r->level, count);
    }
    return WF_OK;
}

int wf_held_out(wf_store *store, int level, int64_t count, int part, int parts, int rows, wf_record_sink *sink,
                void *user)
{
    const wf_meta *meta = wf_store_meta(store);
    wf_level_shape s = wf_meta_level(meta, level);
    int64_t chunk = rows, all = wf_store_count(store);
    size_t each = wf_count3(s.H, s.W, s.C), details = (size_t)wf_bands(meta->signal) * each;
    uint64_t index[WF_LEVEL_ROWS];
    float *low = malloc((size_t)chunk * (each + details) * sizeof *low);
    WF_CHECK(low, WF_AGAIN, "level %d: out of memory for %lld held-out pictures", level, (long long)chunk);
    float *detail = low + (size_t)chunk * each;
    int status = WF_OK;
    count = count < all ? count : all;
    for (int64_t at = part * chunk; at < count; at += parts * chunk) {
        wf_record r = {.level = level, .low = low, .detail = level ? detail : NULL, .index = index};
        for (; r.N < chunk && at + r.N < count; r.N++)
            WF_GO(wf_store_get(store, level, at + r.N, low + (size_t)r.N * each, detail + (size_t)r.N * details,
                               &index[r.N]));
        WF_GO(sink(user, &r));
    }
out:
    free(low);
    return status;
}

double wf_importance_bits(const wf_meta *meta, int64_t K, const double *bits)
{
    double dims = (double)meta->H * meta->W * meta->C, least = bits[0], sum = 0;
    for (int64_t k = 1; k < K; k++)
        least = fmin(least, bits[k]);
    for (int64_t k = 0; k < K; k++)
        sum += exp2((least - bits[k]) * dims);
    return least - log2(sum / (double)K) / dims;
}

/* Compares x [n] with its round trip. */
static wf_round_trip compare_round_trip(const float *x, const float *back, size_t n)
{
    wf_mean of_x = {0};
    wf_round_trip error = {0};
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)x[i] - (double)back[i]);
        wf_mean_add(&of_x, (double)x[i]);
        error.most = fmax(error.most, isfinite(off) ? off : INFINITY);
        error.mean += (isfinite(off) ? off : INFINITY) / (double)n;
    }
    double deviation = sqrt(of_x.m2 / (double)n);
    error.most /= deviation > 0 ? deviation : 1;
    error.mean /= deviation > 0 ? deviation : 1;
    return error;
}

int wf_evaluator_round_trip(wf_evaluator *e, wf_round_trip *error)
{
    wf_level_runner *r = &e->runner;
    wf_backend *b = r->backend;
    size_t n = wf_count4(r->N, r->H, r->W, r->K);
    const wf_real *back, *x = wf_level_input_x(&r->input), *cond = wf_level_runner_cond(r);
    wf_real *z = NULL;
    float *host = malloc(2 * n * sizeof *host);
    int status = WF_OK;
    WF_CHECK(host, WF_AGAIN, "round trip: out of memory");
    WF_GO(wf_alloc_reals(b, n, &z));
    WF_GO(wf_flow_forward(r->flow, r->params, x, cond));
    WF_GO(b->copy(b, z, wf_flow_latent(r->flow), n));
    WF_GO(wf_flow_inverse(r->flow, r->params, z, cond, &back));
    WF_GO(b->download(b, host, WF_F32, x, n));
    WF_GO(b->download(b, host + n, WF_F32, back, n));
    *error = compare_round_trip(host, host + n, n);
out:
    b->free(b, z);
    free(host);
    return status;
}
