/* statistics.c - collects the statistics of pictures while a model evaluates them */
#include "statistics.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../image/image.h"
#include "../pyramid/block_rounding.h"
#include "../pyramid/pyramid.h"

/* Latents of one level, pictures in the order of arrival. */
typedef struct latents {
    wf_latent_fit *fit; /* [n] */
    double *squares;    /* [n,K] */
    int64_t n, room;
} latents;

struct wf_statistics {
    wf_evaluation *evaluation;
    const char *name; /* for messages */
    wf_meta meta;
    int threads;
    latents levels[WF_MAX_LEVELS + 1]; /* n = 0: none */
    wf_pyramid *pyramid;               /* of `rows` pictures */
    int rows;
    float *values;     /* [rows,H,W,C] */
    uint16_t *samples; /* the same */
    double *codec;     /* [coded], bits/dim of PNG */
    int64_t coded, codec_room;
};

static bool is_large(const wf_statistics *s, int level)
{
    wf_level_shape shape = wf_meta_level(&s->meta, level);
    return level == s->meta.levels || shape.H * (int64_t)shape.W >= WF_LARGE_LEVEL;
}

/* A wf_latent_sink. */
static int take_latents(void *user, int level, int count, const uint64_t *index, const float *z)
{
    wf_statistics *s = user;
    latents *l = &s->levels[level];
    wf_level_shape shape = wf_meta_level(&s->meta, level);
    size_t K = (size_t)shape.K, each = wf_count3(shape.H, shape.W, shape.K);
    (void)index;
    if (l->n + count > l->room) {
        int64_t room = 2 * l->room + count;
        wf_latent_fit *fit = realloc(l->fit, (size_t)room * sizeof *fit);
        l->fit = fit ? fit : l->fit;
        double *squares = realloc(l->squares, (size_t)room * K * sizeof *squares);
        l->squares = squares ? squares : l->squares;
        WF_CHECK(fit && squares, WF_AGAIN, "out of memory for the statistics of %lld pictures", (long long)room);
        l->room = room;
    }
    for (int i = 0; i < count; i++, l->n++) {
        const float *own = z + (size_t)i * each;
        l->fit[l->n] = wf_latent_fit_of(own, shape.H, shape.W, shape.K);
        wf_latent_squares(own, shape.H, shape.W, shape.K, l->squares + (size_t)l->n * K);
    }
    return WF_OK;
}

int wf_statistics_create(const wf_model *model, wf_backend *backend, const wf_meta *meta, const char *name,
                         uint64_t seed, int threads, wf_watch watch, wf_maps *maps, wf_statistics **out)
{
    wf_statistics *s = calloc(1, sizeof *s);
    WF_CHECK(s, WF_AGAIN, "statistics: out of memory");
    wf_evaluation_spec spec = {
        .seed = seed, .watch = watch, .infinite = true, .latents = take_latents, .latents_user = s};
    if (maps) {
        spec.shares = wf_maps_put;
        spec.shares_user = maps;
    }
    int status = WF_OK;
    WF_GO(wf_evaluation_create(model, backend, meta, name, &spec, &s->evaluation));
    WF_GO(wf_meta_copy(&s->meta, meta));
    s->name = name;
    s->threads = threads > 0 ? threads : omp_get_max_threads();
    s->rows = wf_pyramid_rows(meta, meta->levels);
    size_t n = (size_t)s->rows * wf_count3(meta->H, meta->W, meta->C);
    s->values = malloc(n * sizeof *s->values);
    s->samples = malloc(n * sizeof *s->samples);
    if (!s->values || !s->samples)
        status = wf_fail(WF_AGAIN, "out of memory for %d pictures", s->rows);
    else if (meta->top < meta->levels)
        status = wf_fail(WF_DATA, "%s: carries levels up to %d, and every level of the model is needed, up to %d", name,
                         meta->top, meta->levels);
    else
        status = wf_pyramid_create(backend, meta, s->rows, &s->pyramid);
out:
    if (status) {
        wf_statistics_destroy(s);
        s = NULL;
    }
    *out = s;
    return status;
}

void wf_statistics_destroy(wf_statistics *s)
{
    if (!s)
        return;
    wf_evaluation_destroy(s->evaluation);
    for (int l = 0; l <= WF_MAX_LEVELS; l++) {
        free(s->levels[l].fit);
        free(s->levels[l].squares);
    }
    wf_pyramid_destroy(s->pyramid);
    wf_meta_clear(&s->meta);
    free(s->values);
    free(s->samples);
    free(s->codec);
    free(s);
}

/* -- bits of a codec ----------------------------------------------------------------------------------------------- */

/* Writes bits/dim of the picture in place n of the batch. */
static int code_picture(wf_statistics *s, int n, double *bits)
{
    const wf_meta *m = &s->meta;
    size_t each = wf_count3(m->H, m->W, m->C), bytes;
    wf_image image = {.H = m->H, .W = m->W, .C = m->C, .bits = m->bits, .pixels = s->samples + (size_t)n * each};
    wf_round(s->values + (size_t)n * each, m->H, m->W, m->C, (1 << m->bits) - 1, image.pixels);
    WF_TRY(wf_image_png_size(s->name, &image, &bytes));
    *bits = 8 * (double)bytes / (double)each;
    return WF_OK;
}

static int code_batch(wf_statistics *s, int N, const float *low, const float *detail)
{
    int status = WF_OK;
    WF_TRY(wf_pyramid_join(s->pyramid, s->meta.levels, N, low, detail, s->values));
    if (s->coded + N > s->codec_room) {
        int64_t room = 2 * s->codec_room + N;
        double *codec = realloc(s->codec, (size_t)room * sizeof *codec);
        WF_CHECK(codec, WF_AGAIN, "out of memory for the statistics of %lld pictures", (long long)room);
        s->codec = codec;
        s->codec_room = room;
    }
#pragma omp parallel for num_threads(s->threads < N ? s->threads : N) schedule(dynamic) reduction(max : status)
    for (int n = 0; n < N; n++) {
        int failed = code_picture(s, n, &s->codec[s->coded + n]);
        status = failed > status ? failed : status;
    }
    WF_CHECK(!status, status, "%s: libpng cannot compress a picture", s->name); /* the message is a thread's own */
    s->coded += N;
    return WF_OK;
}

/* A wf_record_sink: codes the pictures of a record of the highest level. */
static int code_record(void *user, const wf_record *r)
{
    wf_statistics *s = user;
    wf_level_shape shape = wf_meta_level(&s->meta, s->meta.levels);
    size_t lows = wf_count3(shape.H, shape.W, shape.C), details = wf_count3(shape.H, shape.W, shape.K);
    for (int64_t at = 0; at < r->N; at += s->rows)
        WF_TRY(code_batch(s, r->N - at < s->rows ? (int)(r->N - at) : s->rows, r->low + (size_t)at * lows,
                          r->detail ? r->detail + (size_t)at * details : NULL));
    return WF_OK;
}

/* -- pictures ------------------------------------------------------------------------------------------------------ */

int wf_statistics_put(wf_statistics *s, const wf_record *record)
{
    WF_TRY(wf_evaluation_put(s->evaluation, record));
    return record->level == s->meta.levels ? code_record(s, record) : WF_OK;
}

int wf_statistics_put_store(wf_statistics *s, wf_store *store)
{
    for (int l = 0; l <= s->meta.levels; l++)
        WF_CHECK(wf_store_has_level(store, l), WF_DATA, "%s: holds no level %d, and every level of the model is needed",
                 s->name, l);
    WF_TRY(wf_evaluation_put_store(s->evaluation, store));
    int rows = s->rows < WF_LEVEL_ROWS ? s->rows : WF_LEVEL_ROWS;
    return wf_held_out(store, s->meta.levels, INT64_MAX, 0, 1, rows, code_record, s);
}

int wf_statistics_finish(wf_statistics *s)
{
    WF_TRY(wf_evaluation_finish(s->evaluation));
    for (int l = 0; l <= s->meta.levels; l++)
        WF_CHECK(wf_evaluation_bits(s->evaluation, l), WF_DATA,
                 "%s: has no record of level %d, and every level of the model is needed", s->name, l);
    return WF_OK;
}

/* -- figures ------------------------------------------------------------------------------------------------------- */

int64_t wf_statistics_count(const wf_statistics *s)
{
    return wf_evaluation_count(s->evaluation);
}

uint64_t wf_statistics_index(const wf_statistics *s, int64_t n)
{
    return wf_evaluation_index(s->evaluation, n);
}

const char *wf_statistics_name(const wf_statistics *s, int64_t n)
{
    return wf_evaluation_name(s->evaluation, n);
}

int wf_statistics_levels(const wf_statistics *s)
{
    return s->meta.levels;
}

double wf_statistics_bits(const wf_statistics *s, int64_t n, int level)
{
    return wf_evaluation_bits(s->evaluation, level)[n];
}

double wf_statistics_total(const wf_statistics *s, int64_t n)
{
    double sum = 0;
    for (int l = 0; l <= s->meta.levels; l++)
        sum += wf_statistics_bits(s, n, l);
    return sum;
}

int64_t wf_statistics_infinite(const wf_statistics *s)
{
    int64_t count = 0;
    for (int64_t n = 0; n < wf_statistics_count(s); n++)
        count += !isfinite(wf_statistics_total(s, n));
    return count;
}

double wf_statistics_corrected(const wf_statistics *s, int64_t n)
{
    return wf_statistics_total(s, n) - s->codec[n];
}

wf_latent_fit wf_statistics_fit(const wf_statistics *s, int64_t n, int level)
{
    const latents *l = &s->levels[level];
    return l->n ? l->fit[n] : (wf_latent_fit){NAN, NAN, NAN, NAN};
}

/* -- the vector ---------------------------------------------------------------------------------------------------- */

/* Logarithm of a moment that is 1 in expectation and may be 0. */
static double log_moment(double moment)
{
    return log(moment + 1e-3);
}

/* Writes the statistics of a level's latents of picture n; out NULL: counts them only. Returns their number. */
static int write_latents(const wf_statistics *s, int64_t n, int level, double *out)
{
    const latents *l = &s->levels[level];
    wf_level_shape shape = wf_meta_level(&s->meta, level);
    int d = 0;
    if (!l->n)
        return 0;
    const wf_latent_fit *f = &l->fit[n];
    const double *squares = l->squares + n * shape.K;
    const double moments[] = {f->mean, log_moment(f->variance), f->across, f->down};
    for (int i = 0; i < 4; i++, d++)
        if (out)
            out[d] = isnan(moments[i]) ? 0 : moments[i]; /* a level one pixel wide or high has no neighbours */
    for (int k = 0; k < shape.K; k++, d++)
        if (out)
            out[d] = log_moment(squares[k]);
    return d;
}

/* Likewise all statistics of a picture. */
static int write_picture(const wf_statistics *s, int64_t n, double *out)
{
    double bits = 0; /* of smaller levels */
    int d = 2;
    for (int l = 0; l <= s->meta.levels; l++) {
        if (!is_large(s, l)) {
            bits += wf_statistics_bits(s, n, l);
            continue;
        }
        if (out)
            out[d] = wf_statistics_bits(s, n, l);
        d++;
        d += write_latents(s, n, l, out ? out + d : NULL);
    }
    if (out) {
        out[0] = bits;
        out[1] = wf_statistics_corrected(s, n);
    }
    return d;
}

int wf_statistics_width(const wf_statistics *s)
{
    return write_picture(s, 0, NULL);
}

void wf_statistics_write(const wf_statistics *s, double *out)
{
    int D = wf_statistics_width(s);
    for (int64_t n = 0; n < wf_statistics_count(s); n++)
        write_picture(s, n, out + n * D);
}
