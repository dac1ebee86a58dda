/* codec.c - encodes a batch level by level, and decodes its latents from coarse to fine */
#include "codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "coarse_to_fine.h"
#include "sample.h"

typedef struct level {
    wf_sampler sampler;
    size_t size;   /* latents of a picture */
    float *z;      /* [N,size] latents of this batch */
    float *last;   /* [size] latents of the last picture before this batch */
    float *frames; /* [chunk,size] latents being decoded */
} level;

struct wf_codec {
    const wf_model *model;
    wf_backend *backend;
    wf_pyramid *pyramid; /* of `chunk` pictures */
    int chunk;
    level levels[WF_MAX_LEVELS + 1];
    int next; /* level expected next */
    int64_t N;
    uint64_t *index;   /* [N] of this batch */
    int64_t pictures;  /* in the batches before */
    uint64_t *numbers; /* [chunk] numbers of the pictures being decoded */
    wf_watch watch;
};

static int top_level(const wf_codec *c)
{
    return c->model->meta.levels;
}

int wf_codec_create(const wf_model *model, wf_backend *backend, wf_codec **out)
{
    wf_codec *c = calloc(1, sizeof *c);
    WF_CHECK(c, WF_AGAIN, "codec: out of memory");
    *c = (wf_codec){.model = model, .backend = backend};
    c->chunk = wf_pyramid_rows(&model->meta, top_level(c));
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
    for (level *l = c->levels; l <= c->levels + top_level(c); l++) {
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

void wf_codec_watch(wf_codec *c, wf_watch watch)
{
    c->watch = watch;
}

static int open_level(wf_codec *c, int number)
{
    level *l = &c->levels[number];
    wf_level_shape s = wf_meta_level(&c->model->meta, number);
    if (l->sampler.runner.flow)
        return WF_OK;
    l->size = wf_count3(s.H, s.W, s.K);
    l->last = malloc(l->size * sizeof *l->last);
    l->frames = malloc((size_t)c->chunk * l->size * sizeof *l->frames);
    WF_CHECK(l->last && l->frames, WF_AGAIN, "level %d: out of memory for %d pictures", number, c->chunk);
    WF_TRY(wf_sampler_create(c->model, number, c->backend, s.H, s.W, &l->sampler));
    l->sampler.watch = c->watch;
    return WF_OK;
}

/* Makes room for the latents of a record. The record must have the level expected next and the batch's pictures. */
static int begin_level(wf_codec *c, const wf_record *r)
{
    size_t indices = (size_t)r->N * sizeof *r->index;
    WF_CHECK(r->level == c->next, WF_DATA, "picture %llu: found level %d, want level %d: every level, lowest first",
             (unsigned long long)r->index[0], r->level, c->next);
    if (r->level == 0) {
        uint64_t *index = realloc(c->index, indices);
        WF_CHECK(index, WF_AGAIN, "codec: out of memory for %lld pictures", (long long)r->N);
        memcpy(index, r->index, indices);
        c->index = index;
        c->N = r->N;
    }
    WF_CHECK(r->N == c->N && !memcmp(r->index, c->index, indices), WF_DATA,
             "picture %llu: level %d holds other pictures than the level below", (unsigned long long)r->index[0],
             r->level);
    WF_TRY(open_level(c, r->level));
    level *l = &c->levels[r->level];
    float *z = realloc(l->z, (size_t)c->N * l->size * sizeof *z);
    WF_CHECK(z, WF_AGAIN, "level %d: out of memory for %lld pictures", r->level, (long long)c->N);
    l->z = z;
    c->next = r->level < top_level(c) ? r->level + 1 : 0;
    return WF_OK;
}

int wf_codec_end(const wf_codec *c, const char *who)
{
    WF_CHECK(!c->next, WF_DATA, "%s: ends before level %d of the last pictures", who, c->next);
    return WF_OK;
}

/* -- decoding ----------------------------------------------------------------------------------------------------- */

/* Interpolates latents a and b along the great circle through both: out is a at t = 0, b at t = 1. */
static void interpolate(const float *a, const float *b, size_t n, double t, float *out)
{
    double aa = 0, ab = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        aa += (double)a[i] * a[i];
        ab += (double)a[i] * b[i];
        bb += (double)b[i] * b[i];
    }
    double angle = aa > 0 && bb > 0 ? acos(fmax(-1, fmin(1, ab / sqrt(aa * bb)))) : 0;
    bool straight = sin(angle) < 1e-6; /* parallel or opposite: no single great circle */
    double from = straight ? 1 - t : sin((1 - t) * angle) / sin(angle);
    double to = straight ? t : sin(t * angle) / sin(angle);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(from * a[i] + to * b[i]);
}

/* A decoding: the sink of its coefficients, and its frames. */
typedef struct decoding {
    wf_codec *codec;
    int stride; /* frames from picture to picture */
    wf_record_sink *sink;
    void *user;
} decoding;

/* Writes the latents of frame `number` of the stream, a picture or one in between, to place `at` of the chunk. */
static void make_frame(const decoding *j, int64_t number, int at)
{
    wf_codec *c = j->codec;
    int64_t picture = (number + j->stride - 1) / j->stride - c->pictures, step = number % j->stride;
    c->numbers[at] = j->stride > 1 ? (uint64_t)number : c->index[picture];
    for (level *l = c->levels; l <= c->levels + top_level(c); l++) {
        const float *here = l->z + (size_t)picture * l->size, *before = picture ? here - l->size : l->last;
        float *frame = l->frames + (size_t)at * l->size;
        if (step)
            interpolate(before, here, l->size, (double)step / j->stride, frame);
        else
            memcpy(frame, here, l->size * sizeof *frame);
    }
}

static int decode_level(void *user, int number, int N, const float *low, const uint64_t *index, float *out)
{
    level *l = &((decoding *)user)->codec->levels[number];
    return wf_sampler_decode(&l->sampler, N, low, index, l->frames, out);
}

static int give_record(void *user, const wf_record *record)
{
    decoding *j = user;
    return j->sink(j->user, record);
}

/* Decodes all frames up to the last picture of this batch. */
static int decode_batch(wf_codec *c, int between, wf_record_sink *sink, void *user)
{
    decoding j = {c, between + 1, sink, user};
    int64_t first = c->pictures ? (c->pictures - 1) * j.stride + 1 : 0, end = (c->pictures + c->N - 1) * j.stride + 1;
    for (int64_t at = first; at < end; at += c->chunk) {
        int n = end - at < c->chunk ? (int)(end - at) : c->chunk;
        for (int i = 0; i < n; i++)
            make_frame(&j, at + i, i);
        WF_TRY(wf_coarse_to_fine(c->pyramid, &c->model->meta, -1, top_level(c), n, NULL, c->numbers, decode_level,
                                 give_record, &j));
    }
    return WF_OK;
}

int wf_codec_decode(wf_codec *c, const wf_record *latents, int between, wf_record_sink *sink, void *user)
{
    WF_TRY(begin_level(c, latents));
    level *l = &c->levels[latents->level];
    memcpy(l->z, latents->level ? latents->detail : latents->low, (size_t)c->N * l->size * sizeof *l->z);
    if (latents->level < top_level(c))
        return WF_OK;
    WF_TRY(decode_batch(c, between, sink, user));
    for (l = c->levels; l <= c->levels + top_level(c); l++)
        memcpy(l->last, l->z + (size_t)(c->N - 1) * l->size, l->size * sizeof *l->z);
    c->pictures += c->N;
    return WF_OK;
}

/* -- encoding ----------------------------------------------------------------------------------------------------- */

/* A check of decoded pictures against their source, the coefficients that were encoded. */
typedef struct comparison {
    wf_codec *codec;
    const wf_record *source;
    int64_t done; /* pictures compared so far */
} comparison;

/* Compares decoded pictures with their source. An error below a quarter of a pixel's step rounds away; rounding
 * errors are much smaller. */
static int compare_pictures(void *user, const wf_record *decoded)
{
    comparison *p = user;
    wf_codec *c = p->codec;
    int N = (int)decoded->N, status = WF_OK;
    size_t size = c->levels[top_level(c)].size, low = size / (size_t)wf_bands(c->model->meta.signal);
    size_t each = top_level(c) ? low + size : size, n = (size_t)N * each;
    const wf_record *s = p->source;
    float *have = malloc(2 * n * sizeof *have), *want = have + n;
    WF_CHECK(have, WF_AGAIN, "codec: out of memory for %d pictures", N);
    WF_GO(wf_pyramid_join(c->pyramid, top_level(c), N, decoded->low, decoded->detail, have));
    WF_GO(wf_pyramid_join(c->pyramid, top_level(c), N, s->low + (size_t)p->done * (top_level(c) ? low : each),
                          s->detail ? s->detail + (size_t)p->done * size : NULL, want));
    for (size_t i = 0; i < n && !status; i++)
        if (!(fabsf(have[i] - want[i]) < 0.25f))
            status = wf_fail(WF_INTERNAL, "picture %llu: decoded again, a pixel is %g instead of %g",
                             (unsigned long long)decoded->index[i / each], (double)have[i], (double)want[i]);
    p->done += N;
out:
    free(have);
    return status;
}

int wf_codec_encode(wf_codec *c, const wf_record *coefficients, wf_record *latents)
{
    WF_TRY(begin_level(c, coefficients));
    level *l = &c->levels[coefficients->level];
    WF_TRY(wf_sampler_encode(&l->sampler, c->N, coefficients->low, coefficients->detail, c->index, l->z));
    *latents = *coefficients;
    latents->low = coefficients->level ? NULL : l->z;
    latents->detail = coefficients->level ? l->z : NULL;
    latents->index = c->index;
    return coefficients->level < top_level(c) ? WF_OK
                                              : decode_batch(c, 0, compare_pictures, &(comparison){c, coefficients, 0});
}
