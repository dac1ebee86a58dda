/* sample.c - latent noise through the inverse of a level, in fixed, padded batches */
#include "sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/finite.h"

int wf_sampler_create(const wf_model *model, int level, wf_backend *backend, int H, int W, wf_sampler *out)
{
    void *z;
    int N = wf_level_rows(H, W);
    *out = (wf_sampler){.meta = &model->meta};
    WF_TRY(wf_level_load(model, level, backend, &out->level));
    WF_TRY(wf_level_invertible(&out->level));
    WF_TRY(wf_level_flow(&out->level, N, H, W, WF_MEMORY_NONE, &out->flow));
    WF_TRY(wf_level_input_create(backend, out->meta, level, N, H, W, &out->feed));
    size_t n = (size_t)N * (size_t)H * (size_t)W * (size_t)out->level.K;
    out->host = calloc(n, sizeof *out->host);
    WF_CHECK(out->host, WF_AGAIN, "sample: out of memory");
    WF_TRY(backend->alloc(backend, n * backend->real, &z));
    out->z = z;
    return WF_OK;
}

void wf_sampler_clear(wf_sampler *s)
{
    if (s->level.backend) {
        wf_capture_clear(s->level.backend, &s->forward);
        wf_capture_clear(s->level.backend, &s->inverse);
        s->level.backend->free(s->level.backend, s->z);
    }
    free(s->host);
    free(s->latent);
    wf_flow_destroy(s->flow);
    wf_level_input_clear(&s->feed);
    wf_level_clear(&s->level);
    *s = (wf_sampler){0};
}

/* z where the standard normal, given |z| <= bound, has as much below as the whole one has below x: the quantile is the
 * same, erf(z/sqrt 2) = erf(bound/sqrt 2) erf(x/sqrt 2). For z >= 0 erf is concave, so Newton's steps come from below. */
static double squeeze_normal(double x, double bound)
{
    double want = erf(bound * M_SQRT1_2) * erf(fabs(x) * M_SQRT1_2), z = want / M_2_SQRTPI;
    for (int i = 0; i < 100; i++) {
        double step = (want - erf(z)) / (M_2_SQRTPI * exp(-z * z));
        z += step;
        if (step <= 1e-12 * z)
            break;
    }
    return copysign(fmin(z * M_SQRT2, bound), x);
}

static int draw_latents(wf_sampler *s, const wf_draw *how, const uint64_t *index, size_t each)
{
    wf_backend *b = s->level.backend;
    size_t n = (size_t)s->feed.N * each;
    wf_random random = {how->seed, WF_PURPOSE_LATENT, (uint64_t)s->level.level};
    WF_TRY(b->normal(b, &random, s->feed.N, each, index, how->truncate > 0 ? 1 : how->temperature, s->z));
    if (how->truncate <= 0)
        return WF_OK;
    if (!s->latent)
        s->latent = malloc(n * sizeof *s->latent);
    WF_CHECK(s->latent, WF_AGAIN, "sample: out of memory");
    WF_TRY(b->download(b, s->latent, WF_F64, s->z, n));
    for (size_t i = 0; i < n; i++)
        s->latent[i] = how->temperature * squeeze_normal(s->latent[i], how->truncate);
    return b->upload(b, s->z, s->latent, WF_F64, n);
}

static size_t size_of(const wf_sampler *s, int channels)
{
    return (size_t)s->feed.H * (size_t)s->feed.W * (size_t)channels;
}

/* Values [count,each] of pictures from the device; `what` they are is told of those that are not finite. */
static int take_finite(wf_sampler *s, int count, const wf_real *from, const char *what, const uint64_t *index,
                       float *out)
{
    size_t each = size_of(s, s->level.K), n = (size_t)count * each;
    WF_TRY(s->level.backend->download(s->level.backend, out, WF_F32, from, n));
    size_t at = wf_find_nonfinite(out, n);
    WF_CHECK(at == n, WF_INTERNAL, "level %d: %s %llu is not finite", s->level.level, what,
             (unsigned long long)index[at / each]);
    return WF_OK;
}

static int compute_inverse(void *sampler)
{
    wf_sampler *s = sampler;
    if (wf_level_input_cond(&s->feed))
        WF_TRY(wf_level_input_dequantize(&s->feed, NULL));
    return wf_flow_inverse(s->flow, s->level.params, s->z, wf_level_input_cond(&s->feed), &s->x);
}

static int compute_forward(void *sampler)
{
    wf_sampler *s = sampler;
    WF_TRY(wf_level_input_dequantize(&s->feed, NULL));
    return wf_flow_forward(s->flow, s->level.params, wf_level_input_x(&s->feed), wf_level_input_cond(&s->feed));
}

/* What the latents in s->z stand for, of count <= N pictures. */
static int invert(wf_sampler *s, int count, const float *low, const uint64_t *index, float *out)
{
    if (low) /* the details in the feed are not used */
        WF_TRY(wf_level_input_upload(&s->feed, count, low, s->host, index));
    WF_TRY(wf_capture_run(s->level.backend, &s->inverse, compute_inverse, s));
    WF_TRY(take_finite(s, count, s->x, "sample", index, out));
    wf_level_input_undo(s->meta, !low, (size_t)count * size_of(s, s->level.K), out);
    return WF_OK;
}

static int count_at(const wf_sampler *s, int64_t N, int64_t at)
{
    return N - at < s->feed.N ? (int)(N - at) : s->feed.N;
}

static const float *rows(const float *pictures, int64_t at, size_t each)
{
    return pictures ? pictures + (size_t)at * each : NULL;
}

int wf_sampler_run(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const wf_draw *how, float *out)
{
    size_t each = size_of(s, s->level.K);
    for (int64_t at = 0; at < N; at += s->feed.N) {
        int count = count_at(s, N, at);
        uint64_t padded[64];
        for (int n = 0; n < s->feed.N; n++)
            padded[n] = index[at + (n < count ? n : 0)];
        WF_TRY(draw_latents(s, how, padded, each));
        WF_TRY(invert(s, count, rows(low, at, size_of(s, s->meta->C)), index + at, out + (size_t)at * each));
    }
    return WF_OK;
}

int wf_sampler_decode(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const float *z, float *out)
{
    wf_backend *b = s->level.backend;
    size_t each = size_of(s, s->level.K);
    for (int64_t at = 0; at < N; at += s->feed.N) {
        int count = count_at(s, N, at);
        for (int n = 0; n < s->feed.N; n++)
            memcpy(s->host + (size_t)n * each, z + (size_t)(at + (n < count ? n : 0)) * each, each * sizeof *z);
        WF_TRY(b->upload(b, s->z, s->host, WF_F32, (size_t)s->feed.N * each));
        WF_TRY(invert(s, count, rows(low, at, size_of(s, s->meta->C)), index + at, out + (size_t)at * each));
    }
    return WF_OK;
}

int wf_sampler_encode(wf_sampler *s, int64_t N, const float *low, const float *detail, const uint64_t *index, float *z)
{
    size_t each = size_of(s, s->level.K);
    for (int64_t at = 0; at < N; at += s->feed.N) {
        int count = count_at(s, N, at);
        WF_TRY(wf_level_input_upload(&s->feed, count, rows(low, at, size_of(s, s->meta->C)), rows(detail, at, each),
                                     index + at));
        WF_TRY(wf_capture_run(s->level.backend, &s->forward, compute_forward, s));
        WF_TRY(
            take_finite(s, count, wf_flow_latent(s->flow), "the latent of picture", index + at, z + (size_t)at * each));
    }
    return WF_OK;
}
