/* codec.c - a batch of latents, level by level, and the climb that decodes it */
#include "codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coarse_to_fine.h"
#include "sample.h"

typedef struct level {
    wf_sampler sampler;
    size_t size;   /* latents of a picture */
    float *z;      /* [N,size] of this batch */
    float *last;   /* [size] of the last picture of the batch before */
    float *frames; /* [chunk,size] of what is being decoded */
} level;

struct wf_codec {
    const wf_model *model;
    wf_backend *backend;
    wf_pyramid *pyramid; /* of `chunk` pictures */
    int chunk;
    level levels[WF_MAX_LEVELS + 1];
    int next; /* level that is to come */
    int64_t N;
    uint64_t *index;   /* [N] of this batch */
    int64_t pictures;  /* in the batches before */
    uint64_t *numbers; /* [chunk] of what is being decoded */
};

static int top(const wf_codec *c)
{
    return c->model->meta.levels;
}

int wf_codec_create(const wf_model *model, wf_backend *backend, wf_codec **out)
{
    wf_codec *c = calloc(1, sizeof *c);
    WF_CHECK(c, WF_AGAIN, "codec: out of memory");
    *c = (wf_codec){.model = model, .backend = backend};
    c->chunk = wf_pyramid_rows(&model->meta, top(c));
    c->numbers = calloc((size_t)c->chunk, sizeof *c->numbers);
    int status = c->numbers ? wf_pyramid_create(backend, &model->meta, c->chunk, &c->pyramid)
                            : wf_fail(WF_AGAIN, "codec: out of memory");
    if (status)
        wf_codec_destroy(c);
    else
        *out = c;
    return status;
}

void wf_codec_destroy(wf_codec *c)
{
    if (!c)
        return;
    for (level *l = c->levels; l <= c->levels + top(c); l++) {
        wf_sampler_clear(&l->sampler);
        free(l->z);
        free(l->last);
        free(l->frames);
    }
    wf_pyramid_destroy(c->pyramid);
    free(c->index);
    free(c->numbers);
    free(c);
}

static int open_level(wf_codec *c, int number)
{
    level *l = &c->levels[number];
    wf_level_shape s = wf_meta_level(&c->model->meta, number);
    if (l->sampler.flow)
        return WF_OK;
    l->size = (size_t)s.H * (size_t)s.W * (size_t)s.K;
    l->last = malloc(l->size * sizeof *l->last);
    l->frames = malloc((size_t)c->chunk * l->size * sizeof *l->frames);
    WF_CHECK(l->last && l->frames, WF_AGAIN, "level %d: out of memory for %d pictures", number, c->chunk);
    return wf_sampler_create(c->model, number, c->backend, s.H, s.W, &l->sampler);
}

/* Makes room for what a record becomes, which must be of the level that is to come and of the batch's pictures. */
static int begin(wf_codec *c, const wf_record *r)
{
    size_t indices = (size_t)r->N * sizeof *r->index;
    WF_CHECK(r->level == c->next, WF_DATA, "picture %llu: level %d comes, want level %d: every level, lowest first",
             (unsigned long long)r->index[0], r->level, c->next);
    if (r->level == 0) {
        uint64_t *index = realloc(c->index, indices);
        WF_CHECK(index, WF_AGAIN, "codec: out of memory for %lld pictures", (long long)r->N);
        memcpy(index, r->index, indices);
        c->index = index;
        c->N = r->N;
    }
    WF_CHECK(r->N == c->N && !memcmp(r->index, c->index, indices), WF_DATA,
             "picture %llu: level %d is not of the same pictures as the one below", (unsigned long long)r->index[0],
             r->level);
    WF_TRY(open_level(c, r->level));
    level *l = &c->levels[r->level];
    float *z = realloc(l->z, (size_t)c->N * l->size * sizeof *z);
    WF_CHECK(z, WF_AGAIN, "level %d: out of memory for %lld pictures", r->level, (long long)c->N);
    l->z = z;
    c->next = r->level < top(c) ? r->level + 1 : 0;
    return WF_OK;
}

int wf_codec_end(const wf_codec *c, const char *who)
{
    WF_CHECK(!c->next, WF_DATA, "%s: ends before level %d of the last pictures", who, c->next);
    return WF_OK;
}

/* -- decoding -------------------------------------------------------------------------------------------------------- */

/* t of the way from a to b along the great circle through both; b itself at 1. */
static void interpolate(const float *a, const float *b, size_t n, double t, float *out)
{
    double aa = 0, ab = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        aa += (double)a[i] * a[i];
        ab += (double)a[i] * b[i];
        bb += (double)b[i] * b[i];
    }
    double angle = aa > 0 && bb > 0 ? acos(fmax(-1, fmin(1, ab / sqrt(aa * bb)))) : 0;
    bool straight = sin(angle) < 1e-6; /* they point the same way, or opposite ways, between which no circle is great */
    double from = straight ? 1 - t : sin((1 - t) * angle) / sin(angle);
    double to = straight ? t : sin(t * angle) / sin(angle);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(from * a[i] + to * b[i]);
}

/* What decoding hands its coefficients to. */
typedef struct job {
    wf_codec *codec;
    int stride; /* frames from picture to picture */
    wf_record_sink *sink;
    void *user;
} job;

/* Puts frame `number`, counted since the stream began, at place `at` of the chunk: a picture, or one in between. */
static void make_frame(const job *j, int64_t number, int at)
{
    wf_codec *c = j->codec;
    int64_t picture = (number + j->stride - 1) / j->stride - c->pictures, step = number % j->stride;
    c->numbers[at] = j->stride > 1 ? (uint64_t)number : c->index[picture];
    for (level *l = c->levels; l <= c->levels + top(c); l++) {
        const float *here = l->z + (size_t)picture * l->size, *before = picture ? here - l->size : l->last;
        float *frame = l->frames + (size_t)at * l->size;
        if (step)
            interpolate(before, here, l->size, (double)step / j->stride, frame);
        else
            memcpy(frame, here, l->size * sizeof *frame);
    }
}

static int draw(void *user, int number, int N, const float *low, const uint64_t *index, float *out)
{
    level *l = &((job *)user)->codec->levels[number];
    return wf_sampler_decode(&l->sampler, N, low, index, l->frames, out);
}

static int hand_out(void *user, const wf_record *record)
{
    job *j = user;
    return j->sink(j->user, record);
}

/* All frames that end in this batch. */
static int decode_batch(wf_codec *c, int between, wf_record_sink *sink, void *user)
{
    job j = {c, between + 1, sink, user};
    int64_t first = c->pictures ? (c->pictures - 1) * j.stride + 1 : 0, end = (c->pictures + c->N - 1) * j.stride + 1;
    for (int64_t at = first; at < end; at += c->chunk) {
        int n = end - at < c->chunk ? (int)(end - at) : c->chunk;
        for (int i = 0; i < n; i++)
            make_frame(&j, at + i, i);
        WF_TRY(wf_coarse_to_fine(c->pyramid, &c->model->meta, -1, top(c), n, NULL, c->numbers, draw, hand_out, &j));
    }
    return WF_OK;
}

int wf_codec_decode(wf_codec *c, const wf_record *latents, int between, wf_record_sink *sink, void *user)
{
    WF_TRY(begin(c, latents));
    level *l = &c->levels[latents->level];
    memcpy(l->z, latents->level ? latents->detail : latents->low, (size_t)c->N * l->size * sizeof *l->z);
    if (latents->level < top(c))
        return WF_OK;
    WF_TRY(decode_batch(c, between, sink, user));
    for (l = c->levels; l <= c->levels + top(c); l++)
        memcpy(l->last, l->z + (size_t)(c->N - 1) * l->size, l->size * sizeof *l->z);
    c->pictures += c->N;
    return WF_OK;
}

/* -- encoding -------------------------------------------------------------------------------------------------------- */

/* The pictures that were encoded: coefficients of their highest level, of which so many have been compared. */
typedef struct comparison {
    wf_codec *codec;
    const wf_record *source;
    int64_t done;
} comparison;

/* A quarter of a pixel's step leaves every pixel what it is, and is well beyond what rounding does. */
static int compare(void *user, const wf_record *decoded)
{
    comparison *p = user;
    wf_codec *c = p->codec;
    int N = (int)decoded->N, status = WF_OK;
    size_t size = c->levels[top(c)].size, low = size / (size_t)wf_bands(c->model->meta.signal);
    size_t each = top(c) ? low + size : size, n = (size_t)N * each;
    const wf_record *s = p->source;
    float *have = malloc(2 * n * sizeof *have), *want = have + n;
    WF_CHECK(have, WF_AGAIN, "codec: out of memory for %d pictures", N);
    WF_GO(wf_pyramid_join(c->pyramid, top(c), N, decoded->low, decoded->detail, have));
    WF_GO(wf_pyramid_join(c->pyramid, top(c), N, s->low + (size_t)p->done * (top(c) ? low : each),
                          s->detail ? s->detail + (size_t)p->done * size : NULL, want));
    for (size_t i = 0; i < n && !status; i++)
        if (!(fabsf(have[i] - want[i]) < 0.25f))
            status = wf_fail(WF_INTERNAL, "picture %llu: decoded again, a pixel of %g is %g",
                             (unsigned long long)decoded->index[i / each], (double)want[i], (double)have[i]);
    p->done += N;
out:
    free(have);
    return status;
}

int wf_codec_encode(wf_codec *c, const wf_record *coefficients, wf_record *latents)
{
    WF_TRY(begin(c, coefficients));
    level *l = &c->levels[coefficients->level];
    WF_TRY(wf_sampler_encode(&l->sampler, c->N, coefficients->low, coefficients->detail, c->index, l->z));
    *latents = *coefficients;
    latents->low = coefficients->level ? NULL : l->z;
    latents->detail = coefficients->level ? l->z : NULL;
    latents->index = c->index;
    return coefficients->level < top(c) ? WF_OK : decode_batch(c, 0, compare, &(comparison){c, coefficients, 0});
}
