/* sample.c - runs latents backward, or coefficients forward, through a level in fixed, padded batches */
#include "sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../base/finite.h"

int wf_sampler_create(const wf_model *model, int level, wf_backend *backend, int H, int W, wf_sampler *out)
{
    wf_level_runner *r = &out->runner;
    *out = (wf_sampler){0};
    WF_TRY(wf_level_load(model, level, backend, &out->level));
    WF_TRY(wf_level_invertible(&out->level));
    WF_TRY(wf_level_runner_create(backend, &model->meta, &out->level.spec, wf_level_rows(backend->pixels, H, W), H, W,
                                  WF_MEMORY_NONE, r));
    r->params = out->level.params;
    r->noiseless = true;
    size_t n = wf_count4(r->N, H, W, r->K);
    out->host = calloc(n, sizeof *out->host);
    WF_CHECK(out->host, WF_AGAIN, "sample: out of memory");
    return wf_alloc_reals(backend, n, &out->z);
}

void wf_sampler_clear(wf_sampler *s)
{
    wf_level_runner_clear(&s->runner);
    if (s->level.backend)
        s->level.backend->free(s->level.backend, s->z);
    free(s->host);
    free(s->latent);
    wf_level_clear(&s->level);
    *s = (wf_sampler){0};
}

/* Maps a standard normal x to a normal truncated to |z| <= bound, with the same quantile:
 * erf(z/sqrt 2) = erf(bound/sqrt 2) erf(x/sqrt 2). For z >= 0 erf is concave, so Newton's steps come from below. */
static double truncate_normal(double x, double bound)
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

static size_t latent_size(const wf_sampler *s)
{
    return wf_count3(s->runner.H, s->runner.W, s->runner.K);
}

static size_t low_size(const wf_sampler *s)
{
    return wf_count3(s->runner.H, s->runner.W, s->runner.meta->C);
}

/* Draws s->z for pictures index [N]. */
static int draw_latents(wf_sampler *s, const wf_draw *how, const uint64_t *index)
{
    wf_backend *b = s->runner.backend;
    size_t each = latent_size(s), n = (size_t)s->runner.N * each;
    wf_random random = {how->seed, WF_PURPOSE_LATENT, (uint64_t)s->runner.level};
    WF_TRY(b->normal(b, &random, s->runner.N, each, index, how->truncate > 0 ? 1 : how->temperature, s->z));
    if (how->truncate <= 0)
        return WF_OK;
    if (!s->latent)
        s->latent = malloc(n * sizeof *s->latent);
    WF_CHECK(s->latent, WF_AGAIN, "sample: out of memory");
    WF_TRY(b->download(b, s->latent, WF_F64, s->z, n));
    for (size_t i = 0; i < n; i++)
        s->latent[i] = how->temperature * truncate_normal(s->latent[i], how->truncate);
    return b->upload(b, s->z, s->latent, WF_F64, n);
}

/* Downloads values [count,H,W,K] and refuses those that are not finite; `what` names them in the message. */
static int download_finite(wf_sampler *s, int count, const wf_real *from, const char *what, const uint64_t *index,
                           float *out)
{
    wf_backend *b = s->runner.backend;
    size_t n = (size_t)count * latent_size(s);
    WF_TRY(b->download(b, out, WF_F32, from, n));
    size_t at = wf_find_nonfinite(out, n);
    WF_CHECK(at == n, WF_INTERNAL, "level %d: %s %llu is not finite", s->runner.level, what,
             (unsigned long long)index[at / latent_size(s)]);
    return WF_OK;
}

/* Inverts the latents in s->z of count <= N pictures: out in pixel units. */
static int invert_latents(wf_sampler *s, int count, const float *low, const uint64_t *index, float *out)
{
    if (low) /* the inverse ignores the details that are loaded */
        WF_TRY(wf_level_runner_load(&s->runner, count, low, s->host, index));
    WF_TRY(wf_level_runner_inverse(&s->runner, s->z));
    WF_TRY(download_finite(s, count, s->runner.x, "sample", index, out));
    wf_level_input_undo(s->runner.meta, !low, (size_t)count * latent_size(s), out);
    return WF_OK;
}

/* Rows of pictures from row `at` on; NULL stays NULL. */
static const float *rows_from(const float *pictures, int64_t at, size_t each)
{
    return pictures ? pictures + (size_t)at * each : NULL;
}

int wf_sampler_run(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const wf_draw *how, float *out)
{
    int rows = s->runner.N;
    for (int64_t at = 0; at < N; at += rows) {
        int count = wf_level_runner_rows(&s->runner, N, at);
        uint64_t padded[WF_LEVEL_ROWS];
        for (int n = 0; n < rows; n++)
            padded[n] = index[at + (n < count ? n : 0)];
        WF_TRY(draw_latents(s, how, padded));
        WF_TRY(
            invert_latents(s, count, rows_from(low, at, low_size(s)), index + at, out + (size_t)at * latent_size(s)));
        wf_watched(&s->watch, s->runner.level, count);
    }
    return WF_OK;
}

int wf_sampler_decode(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const float *z, float *out)
{
    wf_backend *b = s->runner.backend;
    size_t each = latent_size(s);
    int rows = s->runner.N;
    for (int64_t at = 0; at < N; at += rows) {
        int count = wf_level_runner_rows(&s->runner, N, at);
        for (int n = 0; n < rows; n++)
            memcpy(s->host + (size_t)n * each, z + (size_t)(at + (n < count ? n : 0)) * each, each * sizeof *z);
        WF_TRY(b->upload(b, s->z, s->host, WF_F32, (size_t)rows * each));
        WF_TRY(invert_latents(s, count, rows_from(low, at, low_size(s)), index + at, out + (size_t)at * each));
        wf_watched(&s->watch, s->runner.level, count);
    }
    return WF_OK;
}

int wf_sampler_encode(wf_sampler *s, int64_t N, const float *low, const float *detail, const uint64_t *index, float *z)
{
    size_t each = latent_size(s);
    for (int64_t at = 0; at < N; at += s->runner.N) {
        int count = wf_level_runner_rows(&s->runner, N, at);
        WF_TRY(wf_level_runner_load(&s->runner, count, rows_from(low, at, low_size(s)), rows_from(detail, at, each),
                                    index + at));
        WF_TRY(wf_level_runner_forward(&s->runner));
        WF_TRY(download_finite(s, count, wf_flow_latent(s->runner.flow), "the latent of picture", index + at,
                               z + (size_t)at * each));
        wf_watched(&s->watch, s->runner.level, count);
    }
    return WF_OK;
}
