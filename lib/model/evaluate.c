/* evaluate.c - fixed, padded batches through a level's flow */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int wf_evaluator_create(wf_backend *backend, const wf_meta *meta, int level, const char *chain, const char *dequantize,
                        const wf_flow_spec *spec, const wf_real *params, uint64_t seed, wf_evaluator *out)
{
    wf_level_shape s = wf_meta_level(meta, level);
    wf_flow_spec own = *spec;
    *out = (wf_evaluator){.backend = backend, .meta = meta, .params = params, .level = level};
    out->noise = (wf_random){seed, WF_PURPOSE_EVAL, (uint64_t)level};
    own.N = wf_level_rows(s.H, s.W);
    own.H = s.H;
    own.W = s.W;
    own.signal = meta->signal;
    own.D = wf_meta_slices(meta, level);
    own.memory = WF_MEMORY_NONE;
    WF_TRY(wf_flow_create(backend, chain, &own, &out->flow));
    if (dequantize)
        WF_TRY(wf_dequantizer_create(backend, meta, dequantize, &own, &out->dequantizer));
    return wf_level_input_create(backend, meta, level, own.N, s.H, s.W, &out->feed);
}

void wf_evaluator_clear(wf_evaluator *e)
{
    wf_capture_clear(e->backend, &e->replay);
    wf_flow_destroy(e->flow);
    wf_level_input_clear(&e->feed);
    wf_dequantizer_clear(&e->dequantizer);
    free(e->host);
    *e = (wf_evaluator){0};
}

static int compute(void *evaluator)
{
    wf_evaluator *e = evaluator;
    if (e->dequantizer.flow)
        WF_TRY(wf_dequantizer_run(&e->dequantizer, wf_at(e->backend, e->params, wf_flow_size(e->flow)), &e->feed,
                                  &e->noise));
    else
        WF_TRY(wf_level_input_dequantize(&e->feed, e->pixels ? NULL : &e->noise));
    return wf_flow_forward(e->flow, e->params, wf_level_input_x(&e->feed), wf_level_input_cond(&e->feed));
}

int wf_evaluator_draw(wf_evaluator *e, wf_pixel_noise *pixels, uint64_t draw)
{
    size_t each = (size_t)e->feed.H * (size_t)e->feed.W * (size_t)e->meta->C;
    e->draw = draw;
    if (e->dequantizer.flow)
        e->noise.step = draw;
    if (e->dequantizer.flow || e->pixels)
        return WF_OK;
    wf_capture_clear(e->backend, &e->replay); /* what was recorded makes noise */
    e->pixels = pixels;
    e->host = malloc((size_t)e->feed.N * (1 + (size_t)wf_bands(e->meta->signal)) * each * sizeof *e->host);
    WF_CHECK(e->host, WF_AGAIN, "evaluate: out of memory for %d pictures", e->feed.N);
    return WF_OK;
}

/* With the noise of whole pictures, if that is wanted. */
static int upload(wf_evaluator *e, int count, const float *low, const float *detail, const uint64_t *index)
{
    size_t n = (size_t)count * (size_t)e->feed.H * (size_t)e->feed.W * (size_t)e->meta->C;
    float *noisy = e->host, *details = detail ? noisy + n : NULL;
    if (!e->pixels)
        return wf_level_input_upload(&e->feed, count, low, detail, index);
    memcpy(noisy, low, n * sizeof *low);
    if (detail)
        memcpy(details, detail, (size_t)wf_bands(e->meta->signal) * n * sizeof *detail);
    WF_TRY(wf_pixel_noise_add(e->pixels, e->noise.seed, e->draw, e->level, count, index, noisy, details));
    return wf_level_input_upload(&e->feed, count, noisy, details, index);
}

/* log p of the batch, less log q of its noise. */
static int collect(wf_evaluator *e, double density[64])
{
    double log_q[64];
    wf_readback *posts[2];
    WF_TRY(wf_flow_log_density(e->flow, density));
    if (!e->dequantizer.flow)
        return WF_OK;
    WF_TRY(wf_dequantizer_readback_begin(&e->dequantizer, posts));
    WF_TRY(wf_dequantizer_readback_end(&e->dequantizer, posts, log_q));
    for (int n = 0; n < e->feed.N; n++)
        density[n] -= log_q[n];
    return WF_OK;
}

int wf_evaluator_run(wf_evaluator *e, int64_t N, const float *low, const float *detail, const uint64_t *index,
                     double *bits)
{
    double density[64];
    size_t each = (size_t)e->feed.H * (size_t)e->feed.W * (size_t)e->meta->C;
    size_t details = (size_t)wf_bands(e->meta->signal) * each;
    e->not_finite = false;
    for (int64_t at = 0; at < N; at += e->feed.N) {
        int count = N - at < e->feed.N ? (int)(N - at) : e->feed.N;
        WF_TRY(upload(e, count, low + (size_t)at * each, detail ? detail + (size_t)at * details : NULL, index + at));
        WF_TRY(wf_capture_run(e->backend, &e->replay, compute, e));
        WF_TRY(collect(e, density));
        for (int n = 0; n < count; n++) {
            e->not_finite = !isfinite(density[n]);
            WF_CHECK(!e->not_finite, WF_INTERNAL, "level %d: log density of picture %llu is not finite", e->level,
                     (unsigned long long)index[at + n]);
            bits[at + n] = wf_bits_per_dim(e->meta, e->level, density[n]);
        }
    }
    return WF_OK;
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

/* x [n] and what came back. */
static wf_round_trip compare(const float *x, const float *back, size_t n)
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
    wf_backend *b = e->backend;
    const wf_flow_spec *s = wf_flow_spec_of(e->flow);
    size_t n = (size_t)s->N * (size_t)s->H * (size_t)s->W * (size_t)s->K;
    const wf_real *x, *in = wf_level_input_x(&e->feed), *cond = wf_level_input_cond(&e->feed);
    void *z = NULL;
    float *host = malloc(2 * n * sizeof *host);
    int status = WF_OK;
    WF_CHECK(host, WF_AGAIN, "round trip: out of memory");
    WF_GO(b->alloc(b, n * b->real, &z));
    WF_GO(wf_flow_forward(e->flow, e->params, in, cond));
    WF_GO(b->copy(b, z, wf_flow_latent(e->flow), n));
    WF_GO(wf_flow_inverse(e->flow, e->params, z, cond, &x));
    WF_GO(b->download(b, host, WF_F32, in, n));
    WF_GO(b->download(b, host + n, WF_F32, x, n));
    *error = compare(host, host + n, n);
out:
    b->free(b, z);
    free(host);
    return status;
}

void wf_mean_add(wf_mean *m, double value)
{
    double d = value - m->mean;
    m->n++;
    m->mean += d / (double)m->n;
    m->m2 += d * (value - m->mean);
}

double wf_mean_error(const wf_mean *m)
{
    return m->n < 2 ? 0 : sqrt(m->m2 / (double)(m->n - 1) / (double)m->n);
}
