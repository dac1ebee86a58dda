/* sample.c - runs latents backward, or coefficients forward, through a level in fixed, padded batches */
#include "sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../base/finite.h"

/* Bands begin at multiples of so many rows: masks of checkers, and kernels that take several rows at once, then meet
 * each row as they do in the whole picture. */
enum { ALIGN = 16 };

/* Sets bytes and radius of the level's flow for pictures of H x W. */
static int measure_flow(const wf_sampler *s, wf_backend *backend, int H, int W, size_t *bytes, int *radius)
{
    wf_flow *flow;
    WF_TRY(wf_level_flow(&s->level.spec, backend, 1, H, W, WF_MEMORY_NONE, &flow));
    *bytes = wf_flow_bytes(flow);
    *radius = wf_flow_radius(flow);
    wf_flow_destroy(flow);
    return WF_OK;
}

/* Sets *rows of a band, H if there is one, and s->margin. */
static int choose_bands(wf_sampler *s, wf_backend *backend, int H, int W, size_t bytes, int *rows)
{
    size_t low, high;
    int radius;
    *rows = H;
    if (s->level.spec.signal != WF_PICTURE || H <= 4 * ALIGN)
        return WF_OK;
    WF_TRY(measure_flow(s, backend, ALIGN, W, &low, &radius));
    WF_TRY(measure_flow(s, backend, 2 * ALIGN, W, &high, &radius));
    size_t most = bytes / ((high - low) / ALIGN);
    s->margin = (radius + ALIGN - 1) / ALIGN * ALIGN;
    if (radius >= H || most >= (size_t)H)
        return WF_OK;
    int least = 4 * s->margin + ALIGN, band = (int)most / ALIGN * ALIGN;
    band = (band > least ? band : least) + H % ALIGN; /* the last band begins at a multiple too */
    *rows = band < H ? band : H;
    return WF_OK;
}

int wf_sampler_create_in_bands(const wf_model *model, int level, wf_backend *backend, int H, int W, size_t bytes,
                               wf_sampler *out)
{
    wf_level_runner *r = &out->runner;
    int rows = H;
    *out = (wf_sampler){.rows = H};
    WF_TRY(wf_level_load(model, level, backend, &out->level));
    WF_TRY(wf_level_invertible(&out->level));
    if (bytes)
        WF_TRY(choose_bands(out, backend, H, W, bytes, &rows));
    WF_TRY(wf_level_runner_create(backend, &model->meta, &out->level.spec,
                                  rows < H ? 1 : wf_level_rows(backend->pixels, H, W), rows, W, WF_MEMORY_NONE, r));
    r->params = out->level.params;
    r->noiseless = true;
    size_t n = wf_count4(r->N, rows, W, r->K);
    out->host = calloc(n, sizeof *out->host);
    WF_CHECK(out->host, WF_AGAIN, "sample: out of memory");
    if (rows < H)
        WF_TRY(wf_alloc_reals(backend, wf_count3(H, W, r->K), &out->whole));
    return wf_alloc_reals(backend, n, &out->z);
}

int wf_sampler_create(const wf_model *model, int level, wf_backend *backend, int H, int W, wf_sampler *out)
{
    return wf_sampler_create_in_bands(model, level, backend, H, W, 0, out);
}

void wf_sampler_clear(wf_sampler *s)
{
    wf_level_runner_clear(&s->runner);
    if (s->level.backend) {
        s->level.backend->free(s->level.backend, s->z);
        s->level.backend->free(s->level.backend, s->whole);
    }
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

/* Reals of a row of latents, and of the low-pass picture. */
static size_t row_size(const wf_sampler *s)
{
    return wf_count3(s->runner.W, s->runner.K, 1);
}

static size_t low_row_size(const wf_sampler *s)
{
    return wf_count3(s->runner.W, s->runner.meta->C, 1);
}

/* Reals of a picture, or of a band. */
static size_t latent_size(const wf_sampler *s)
{
    return (size_t)s->runner.H * row_size(s);
}

static size_t low_size(const wf_sampler *s)
{
    return (size_t)s->runner.H * low_row_size(s);
}

/* Draws latents z for pictures index [N]. */
static int draw_latents(wf_sampler *s, const wf_draw *how, const uint64_t *index, size_t each, wf_real *z)
{
    wf_random random = {how->seed, WF_PURPOSE_LATENT, (uint64_t)s->runner.level};
    return s->runner.backend->normal(s->runner.backend, &random, s->runner.N, each, index,
                                     how->truncate > 0 ? 1 : how->temperature, z);
}

/* Truncates the latents in s->z, unless nothing is to be truncated. */
static int truncate_latents(wf_sampler *s, const wf_draw *how)
{
    wf_backend *b = s->runner.backend;
    size_t n = (size_t)s->runner.N * latent_size(s);
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

/* Downloads n values of pictures index [], `each` of a picture, and refuses those that are not finite; `what` names
 * them in the message. */
static int download_finite(wf_sampler *s, size_t n, const wf_real *from, const char *what, const uint64_t *index,
                           size_t each, float *out)
{
    wf_backend *b = s->runner.backend;
    WF_TRY(b->download(b, out, WF_F32, from, n));
    size_t at = wf_find_nonfinite(out, n);
    WF_CHECK(at == n, WF_INTERNAL, "level %d: %s %llu is not finite", s->runner.level, what,
             (unsigned long long)index[at / each]);
    return WF_OK;
}

/* Inverts the latents in s->z of count <= N pictures. */
static int invert_latents(wf_sampler *s, int count, const float *low, const uint64_t *index)
{
    if (low || s->runner.channels ||
        s->runner.given) /* the inverse ignores the details that are loaded, and at the base the low-pass */
        WF_TRY(wf_level_runner_load(&s->runner, count, low ? low : s->host, s->host, index));
    return wf_level_runner_inverse(&s->runner, s->z);
}

/* Takes n values of the inverse, from `from` on: out in pixel units. */
static int take_drawn(wf_sampler *s, size_t n, size_t from, bool base, const uint64_t *index, float *out)
{
    WF_TRY(download_finite(s, n, wf_at(s->runner.backend, s->runner.x, from), "sample", index, latent_size(s), out));
    wf_level_input_undo(s->runner.meta, base, n, out);
    return WF_OK;
}

/* Rows of pictures from row `at` on; NULL stays NULL. */
static const float *rows_from(const float *pictures, int64_t at, size_t each)
{
    return pictures ? pictures + (size_t)at * each : NULL;
}

/* Draws the rows [from, to) of a picture by the band of rows that begins at `at`. */
static int run_band(wf_sampler *s, int at, int from, int to, const float *low, uint64_t index, const wf_draw *how,
                    float *out)
{
    wf_backend *b = s->runner.backend;
    size_t row = row_size(s), count = (size_t)(to - from) * row, skipped = (size_t)(from - at) * row;
    WF_TRY(b->copy(b, s->z, wf_at(b, s->whole, (size_t)at * row), latent_size(s)));
    WF_TRY(truncate_latents(s, how));
    WF_TRY(invert_latents(s, 1, rows_from(low, at, low_row_size(s)), &index));
    return take_drawn(s, count, skipped, !low, &index, out + (size_t)from * row);
}

/* Rows at an inner edge of a band see zeros in place of their neighbours, as at the edge of a picture. That changes
 * values within the margin; beyond, it changes roundings at most. */
static int run_bands(wf_sampler *s, const float *low, uint64_t index, const wf_draw *how, float *out)
{
    int band = s->runner.H, step = band - 2 * s->margin - s->rows % ALIGN;
    WF_TRY(draw_latents(s, how, &index, (size_t)s->rows * row_size(s), s->whole));
    for (int at = 0, done = 0, to; done < s->rows; at += step, done = to) {
        bool last = at + band >= s->rows;
        at = last ? s->rows - band : at;
        to = last ? s->rows : at + s->margin + step;
        WF_TRY(run_band(s, at, done, to, low, index, how, out));
    }
    return WF_OK;
}

/* Draws `count` whole pictures from index [N] on. */
static int run_whole(wf_sampler *s, int count, const float *low, const uint64_t *index, const wf_draw *how, float *out)
{
    uint64_t padded[WF_LEVEL_ROWS];
    for (int n = 0; n < s->runner.N; n++)
        padded[n] = index[n < count ? n : 0];
    WF_TRY(draw_latents(s, how, padded, latent_size(s), s->z));
    WF_TRY(truncate_latents(s, how));
    WF_TRY(invert_latents(s, count, low, index));
    return take_drawn(s, (size_t)count * latent_size(s), 0, !low, index, out);
}

int wf_sampler_run(wf_sampler *s, int64_t N, const float *low, const uint64_t *index, const wf_draw *how, float *out)
{
    size_t picture = (size_t)s->rows * row_size(s), low_picture = (size_t)s->rows * low_row_size(s);
    for (int64_t at = 0; at < N; at += s->runner.N) {
        int count = wf_level_runner_rows(&s->runner, N, at);
        const float *from = rows_from(low, at, low_picture);
        float *to = out + (size_t)at * picture;
        WF_TRY(s->whole ? run_bands(s, from, index[at], how, to) : run_whole(s, count, from, index + at, how, to));
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
        WF_TRY(invert_latents(s, count, rows_from(low, at, low_size(s)), index + at));
        WF_TRY(take_drawn(s, (size_t)count * each, 0, !low, index + at, out + (size_t)at * each));
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
        WF_TRY(download_finite(s, (size_t)count * each, wf_flow_latent(s->runner.flow), "the latent of picture",
                               index + at, each, z + (size_t)at * each));
        wf_watched(&s->watch, s->runner.level, count);
    }
    return WF_OK;
}
