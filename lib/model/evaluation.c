/* evaluation.c - evaluates pictures level by level, and adds their figures up */
#include "evaluation.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../base/number.h"
#include "../base/utf8.h"

/* One level: its flow, once a picture came, and the figures of all pictures in the order of arrival. */
typedef struct level {
    wf_level weights;
    wf_evaluator evaluator;
    uint64_t *index; /* [n] */
    double *bits;    /* [n], means over the draws */
    int64_t n, room;
    bool exact; /* probabilities of whole numbers */
    /* pictures that wait until a batch is full, [rows] each */
    float *low, *detail;
    uint64_t *numbers;
    int waiting;
} level;

struct wf_evaluation {
    const wf_model *model;
    wf_backend *backend;
    wf_evaluation_spec spec;
    wf_meta meta; /* of the pictures */
    wf_pixel_noise noise;
    char **names; /* [named], owned; NULL: a picture without a name */
    int64_t named, names_room;
    level levels[WF_MAX_LEVELS + 1];
    double *drawn; /* [drawn_count,K]: sum of the levels under each draw; NULL for fewer than two draws */
    int64_t drawn_count;
    struct ranked *order; /* [ranked], pictures in the order in which they are written; NULL: all, as they came */
    int64_t ranked;
    int first;  /* lowest level that has pictures */
    bool whole; /* every level of the model has pictures */
};

int wf_evaluation_create(const wf_model *model, wf_backend *backend, const wf_meta *meta, const char *name,
                         const wf_evaluation_spec *spec, wf_evaluation **out)
{
    WF_TRY(wf_meta_expect(meta, name, &model->meta, model->path));
    wf_evaluation *e = calloc(1, sizeof *e);
    WF_CHECK(e, WF_AGAIN, "evaluation: out of memory");
    e->model = model;
    e->backend = backend;
    e->spec = *spec;
    int status = wf_meta_copy(&e->meta, meta);
    e->meta.exponent = model->meta.exponent;
    e->meta.mean = model->meta.mean;
    if (!status && spec->samples > 1)
        status = wf_pixel_noise_create(backend, &e->meta, &e->noise);
    *out = e;
    if (status) {
        wf_evaluation_destroy(e);
        *out = NULL;
    }
    return status;
}

static void close_level(level *l)
{
    if (!l->weights.params)
        return;
    wf_evaluator_clear(&l->evaluator);
    wf_level_clear(&l->weights);
}

void wf_evaluation_destroy(wf_evaluation *e)
{
    if (!e)
        return;
    for (int l = 0; l <= WF_MAX_LEVELS; l++) {
        close_level(&e->levels[l]);
        free(e->levels[l].index);
        free(e->levels[l].bits);
        free(e->levels[l].low);
        free(e->levels[l].detail);
        free(e->levels[l].numbers);
    }
    free(e->drawn);
    for (int64_t n = 0; n < e->named; n++)
        free(e->names[n]);
    free(e->names);
    free(e->order);
    wf_pixel_noise_clear(&e->noise);
    wf_meta_clear(&e->meta);
    free(e);
}

static int open_level(wf_evaluation *e, int number)
{
    level *l = &e->levels[number];
    wf_level *w = &l->weights;
    if (w->params)
        return WF_OK;
    WF_TRY(wf_level_load(e->model, number, e->backend, w));
    if (e->spec.precision)
        w->spec.precision = *e->spec.precision;
    WF_TRY(wf_evaluator_create(e->backend, &e->meta, &w->spec, w->params, e->spec.seed, &l->evaluator));
    l->evaluator.watch = e->spec.watch;
    l->evaluator.infinite = e->spec.infinite;
    l->evaluator.runner.given = e->spec.given;
    l->evaluator.latents = e->spec.latents;
    l->evaluator.latents_user = e->spec.latents_user;
    if (e->spec.shares)
        WF_TRY(wf_evaluator_share(&l->evaluator, e->spec.shares, e->spec.shares_user));
    l->exact = wf_flow_is_discrete(l->evaluator.runner.flow);
    return WF_OK;
}

static int reserve_pictures(level *l, int64_t more)
{
    if (l->n + more <= l->room)
        return WF_OK;
    int64_t room = 2 * l->room + more;
    uint64_t *index = realloc(l->index, (size_t)room * sizeof *index);
    l->index = index ? index : l->index;
    double *bits = realloc(l->bits, (size_t)room * sizeof *bits);
    l->bits = bits ? bits : l->bits;
    WF_CHECK(index && bits, WF_AGAIN, "out of memory for %" PRId64 " pictures", room);
    l->room = room;
    return WF_OK;
}

/* Keeps the names of pictures from `first` on, if no other level did. */
static int keep_names(wf_evaluation *e, int64_t first, int64_t N, const char *const *names)
{
    if (first + N > e->names_room) {
        int64_t room = 2 * (first + N);
        char **grown = realloc(e->names, (size_t)room * sizeof *grown);
        WF_CHECK(grown, WF_AGAIN, "out of memory for the names of %" PRId64 " pictures", room);
        e->names = grown;
        e->names_room = room;
    }
    for (int64_t n = e->named - first; n >= 0 && n < N; n++) {
        char *name = names && names[n] ? strdup(names[n]) : NULL;
        WF_CHECK(name || !names || !names[n], WF_AGAIN, "out of memory for the name of a picture");
        if (name)
            wf_utf8_mend(name);
        e->names[e->named++] = name;
    }
    return WF_OK;
}

static int reserve_draws(wf_evaluation *e, int64_t pictures)
{
    size_t K = (size_t)e->spec.samples, old = (size_t)e->drawn_count * K, size = (size_t)pictures * K;
    if (pictures <= e->drawn_count)
        return WF_OK;
    double *drawn = realloc(e->drawn, size * sizeof *drawn);
    WF_CHECK(drawn, WF_AGAIN, "out of memory for %" PRId64 " draws of %" PRId64 " pictures", e->spec.samples, pictures);
    memset(drawn + old, 0, (size - old) * sizeof *drawn);
    e->drawn = drawn;
    e->drawn_count = pictures;
    return WF_OK;
}

/* Evaluates N pictures under each draw of the noise of whole pictures. bits [N]: scratch. */
static int run_draws(wf_evaluation *e, level *l, int64_t N, const wf_record *r, double *bits)
{
    int64_t K = e->spec.samples;
    double *mean = l->bits + l->n;
    memset(mean, 0, (size_t)N * sizeof *mean);
    for (int64_t k = 0; k < K; k++) {
        if (!l->exact) /* else all draws give the same */
            WF_TRY(wf_evaluator_draw(&l->evaluator, &e->noise, (uint64_t)k));
        if (!l->exact || !k)
            WF_TRY(wf_evaluator_run(&l->evaluator, N, r->low, r->detail, r->index, bits));
        for (int64_t n = 0; n < N; n++) {
            mean[n] += bits[n] / (double)K;
            e->drawn[(l->n + n) * K + k] += bits[n];
        }
    }
    return WF_OK;
}

/* Evaluates the pictures of a record now. */
static int run_record(wf_evaluation *e, level *l, const wf_record *r)
{
    WF_TRY(reserve_pictures(l, r->N));
    memcpy(l->index + l->n, r->index, (size_t)r->N * sizeof *r->index);
    if (e->spec.samples > 1) {
        WF_TRY(reserve_draws(e, l->n + r->N));
        double *bits = malloc((size_t)r->N * sizeof *bits);
        WF_CHECK(bits, WF_AGAIN, "out of memory for %" PRId64 " pictures", r->N);
        int status = run_draws(e, l, r->N, r, bits);
        free(bits);
        WF_TRY(status);
    } else {
        WF_TRY(wf_evaluator_run(&l->evaluator, r->N, r->low, r->detail, r->index, l->bits + l->n));
    }
    l->n += r->N;
    return WF_OK;
}

/* Evaluates the pictures of a level that wait. */
static int run_waiting(wf_evaluation *e, level *l)
{
    wf_record r = {.N = l->waiting, .low = l->low, .detail = l == e->levels ? NULL : l->detail, .index = l->numbers};
    l->waiting = 0;
    return r.N ? run_record(e, l, &r) : WF_OK;
}

static int reserve_waiting(level *l, int rows, size_t lows, size_t details)
{
    if (l->low)
        return WF_OK;
    l->low = malloc((size_t)rows * lows * sizeof *l->low);
    l->detail = malloc((size_t)rows * details * sizeof *l->detail);
    l->numbers = malloc((size_t)rows * sizeof *l->numbers);
    WF_CHECK(l->low && l->detail && l->numbers, WF_AGAIN, "out of memory for %d pictures", rows);
    return WF_OK;
}

int wf_evaluation_put(wf_evaluation *e, const wf_record *r)
{
    level *l = &e->levels[r->level];
    int64_t left = e->spec.count - l->n - l->waiting, N = e->spec.count && r->N > left ? left : r->N;
    if (N <= 0)
        return WF_OK;
    WF_TRY(open_level(e, r->level));
    WF_TRY(keep_names(e, l->n + l->waiting, N, r->names));
    int rows = l->evaluator.runner.N;
    wf_level_shape s = wf_meta_level(&e->meta, r->level);
    size_t lows = wf_count3(s.H, s.W, s.C), details = (size_t)wf_bands(e->meta.signal) * lows;
    WF_TRY(reserve_waiting(l, rows, lows, details));
    for (int64_t n = 0; n < N;) {
        wf_record part = *r;
        size_t at = (size_t)n, to = (size_t)l->waiting;
        part.low = r->low + at * lows;
        part.detail = r->detail ? r->detail + at * details : NULL;
        part.index = r->index + at;
        part.N = N - n < rows - l->waiting ? N - n : rows - l->waiting;
        n += part.N;
        if (part.N == rows) {
            WF_TRY(run_record(e, l, &part));
            continue;
        }
        memcpy(l->low + to * lows, part.low, (size_t)part.N * lows * sizeof *l->low);
        if (part.detail)
            memcpy(l->detail + to * details, part.detail, (size_t)part.N * details * sizeof *l->detail);
        memcpy(l->numbers + to, part.index, (size_t)part.N * sizeof *l->numbers);
        l->waiting += (int)part.N;
        if (l->waiting == rows)
            WF_TRY(run_waiting(e, l));
    }
    return WF_OK;
}

/* A wf_record_sink. */
static int put_record(void *user, const wf_record *record)
{
    return wf_evaluation_put(user, record);
}

int wf_evaluation_put_store(wf_evaluation *e, wf_store *store)
{
    int64_t count = wf_store_count(store);
    const char *const *names;
    if (e->spec.count && count > e->spec.count)
        count = e->spec.count;
    WF_TRY(wf_store_names(store, 0, count, &names));
    WF_TRY(keep_names(e, 0, count, names));
    for (int number = 0; number <= e->meta.top; number++)
        if (wf_store_has_level(store, number)) {
            wf_level_shape s = wf_meta_level(&e->meta, number);
            WF_TRY(wf_held_out(store, number, e->spec.count ? e->spec.count : INT64_MAX, 0, 1,
                               wf_level_rows(e->backend->pixels, s.H, s.W), put_record, e));
            WF_TRY(run_waiting(e, &e->levels[number]));
            close_level(&e->levels[number]);
        }
    return WF_OK;
}

/* -- figures ------------------------------------------------------------------------------------------------------- */

int wf_evaluation_finish(wf_evaluation *e)
{
    int used = 0;
    e->first = -1;
    for (int number = 0; number <= e->meta.levels; number++)
        WF_TRY(run_waiting(e, &e->levels[number]));
    for (int number = 0; number <= e->meta.levels; number++) {
        const level *l = &e->levels[number];
        if (!l->n)
            continue;
        e->first = e->first < 0 ? number : e->first;
        used++;
        const level *f = &e->levels[e->first];
        WF_CHECK(l->n == f->n && !memcmp(l->index, f->index, (size_t)l->n * sizeof *l->index), WF_DATA,
                 "levels %d and %d are not of the same pictures", e->first, number);
    }
    e->whole = used == e->meta.levels + 1;
    WF_CHECK(used || e->spec.shard.n, WF_DATA, "no picture to evaluate");
    e->first = used ? e->first : 0; /* a shard without pictures */
    return WF_OK;
}

static double picture_total(const wf_evaluation *e, int64_t n)
{
    double sum = 0;
    for (int l = 0; l <= e->meta.levels; l++)
        if (e->levels[l].n)
            sum += e->levels[l].bits[n];
    return sum;
}

static double picture_weighted(const wf_evaluation *e, int64_t n)
{
    int64_t K = e->spec.samples;
    return K > 1 ? wf_importance_bits(&e->meta, K, e->drawn + n * K) : picture_total(e, n);
}

/* The figure that ranks pictures. */
static double picture_figure(const wf_evaluation *e, int64_t n)
{
    return e->whole && e->spec.samples ? picture_weighted(e, n) : picture_total(e, n);
}

wf_mean wf_evaluation_level(const wf_evaluation *e, int number)
{
    const level *l = &e->levels[number];
    wf_mean mean = {0};
    for (int64_t n = 0; n < l->n; n++)
        wf_mean_add(&mean, l->bits[n]);
    return mean;
}

wf_mean wf_evaluation_total(const wf_evaluation *e)
{
    wf_mean mean = {0};
    for (int64_t n = 0; e->whole && n < e->levels[e->first].n; n++)
        wf_mean_add(&mean, picture_total(e, n));
    return mean;
}

wf_mean wf_evaluation_weighted(const wf_evaluation *e)
{
    wf_mean mean = {0};
    for (int64_t n = 0; e->whole && e->spec.samples && n < e->levels[e->first].n; n++)
        wf_mean_add(&mean, picture_weighted(e, n));
    return mean;
}

int64_t wf_evaluation_count(const wf_evaluation *e)
{
    return e->levels[e->first].n;
}

uint64_t wf_evaluation_index(const wf_evaluation *e, int64_t n)
{
    return e->levels[e->first].index[n];
}

const char *wf_evaluation_name(const wf_evaluation *e, int64_t n)
{
    return n < e->named ? e->names[n] : NULL;
}

const double *wf_evaluation_bits(const wf_evaluation *e, int number)
{
    return e->levels[number].n ? e->levels[number].bits : NULL;
}

void wf_evaluation_figures(const wf_evaluation *e, wf_figures *out)
{
    *out = (wf_figures){.pictures = e->levels[e->first].n,
                        .total = wf_evaluation_total(e),
                        .weighted = wf_evaluation_weighted(e),
                        .samples = e->spec.samples,
                        .nats = wf_meta_is_field(&e->meta),
                        .shard = e->spec.shard,
                        .run = e->spec.run};
    for (int l = 0; l <= e->meta.levels; l++) {
        out->level[l] = wf_evaluation_level(e, l);
        out->exact[l] = e->levels[l].exact;
        if (out->level[l].n)
            wf_meta_level_text(&e->meta, l, out->size[l]);
    }
}

/* -- output -------------------------------------------------------------------------------------------------------- */

/* A picture and its figure. */
typedef struct ranked {
    double bits;
    int64_t n;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->bits != y->bits ? (x->bits < y->bits) - (x->bits > y->bits) : (x->n > y->n) - (x->n < y->n);
}

int wf_evaluation_rank(wf_evaluation *e, int64_t count)
{
    int64_t all = e->levels[e->first].n;
    free(e->order);
    e->order = malloc((size_t)all * sizeof *e->order);
    WF_CHECK(e->order, WF_AGAIN, "out of memory for the ranks of %" PRId64 " pictures", all);
    for (int64_t n = 0; n < all; n++)
        e->order[n] = (ranked){picture_figure(e, n), n};
    qsort(e->order, (size_t)all, sizeof *e->order, compare_ranked);
    e->ranked = count < all ? count : all;
    return WF_OK;
}

static int64_t written_count(const wf_evaluation *e)
{
    return e->order ? e->ranked : e->levels[e->first].n;
}

/* The picture of line i. */
static int64_t written_picture(const wf_evaluation *e, int64_t i)
{
    return e->order ? e->order[i].n : i;
}

void wf_evaluation_write_ranks(const wf_evaluation *e, FILE *file)
{
    wf_fprintf(file, "%s\tname\n", wf_meta_unit(&e->meta));
    for (int64_t i = 0; i < written_count(e); i++) {
        int64_t n = written_picture(e, i);
        wf_fprintf(file, "%.6f\t", picture_figure(e, n));
        wf_write_name(file, n < e->named ? e->names[n] : NULL, e->levels[e->first].index[n]);
        putc('\n', file);
    }
}

void wf_evaluation_write_pictures(const wf_evaluation *e, FILE *file)
{
    bool weighted = e->whole && e->spec.samples;
    wf_fprintf(file, "index%s%s", e->whole ? "\ttotal" : "", weighted ? "\tiw" : "");
    for (int l = 0; l <= e->meta.levels; l++)
        if (e->levels[l].n)
            wf_fprintf(file, "\tlevel%d", l);
    fputs("\tname", file);
    for (int64_t i = 0; i < written_count(e); i++) {
        int64_t n = written_picture(e, i);
        wf_fprintf(file, "\n%" PRIu64, e->levels[e->first].index[n]);
        if (e->whole)
            wf_fprintf(file, "\t%.6f", picture_total(e, n));
        if (weighted)
            wf_fprintf(file, "\t%.6f", picture_weighted(e, n));
        for (int l = 0; l <= e->meta.levels; l++)
            if (e->levels[l].n)
                wf_fprintf(file, "\t%.6f", e->levels[l].bits[n]);
        putc('\t', file);
        wf_write_name(file, n < e->named ? e->names[n] : NULL, e->levels[e->first].index[n]);
    }
    putc('\n', file);
}

int wf_evaluation_write_picture_lines(const wf_evaluation *e, FILE *file)
{
    const char *key = wf_meta_is_field(&e->meta) ? "nats" : "bpd";
    for (int64_t i = 0; i < written_count(e); i++) {
        int64_t n = written_picture(e, i);
        const char *comma = "", *name = n < e->named ? e->names[n] : NULL;
        wf_fprintf(file, "{\"index\": %" PRIu64, e->levels[e->first].index[n]);
        if (name) {
            fputs(", \"name\": ", file);
            WF_TRY(wf_write_json_name(file, name));
        }
        if (e->whole)
            wf_fprintf(file, ", \"%s\": %.6f", key, picture_total(e, n));
        if (e->whole && e->spec.samples)
            wf_fprintf(file, ", \"iw\": %.6f", picture_weighted(e, n));
        fputs(", \"levels\": [", file);
        for (int l = 0; l <= e->meta.levels; l++)
            if (e->levels[l].n) {
                wf_fprintf(file, "%s{\"level\": %d, \"%s\": %.6f}", comma, l, key, e->levels[l].bits[n]);
                comma = ", ";
            }
        fputs("]}\n", file);
    }
    return WF_OK;
}
