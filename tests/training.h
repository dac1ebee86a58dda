/* training.h - small stores and short trainings for tests */
#ifndef TESTS_TRAINING_H
#define TESTS_TRAINING_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "../lib/pyramid/pyramid.h"
#include "../lib/train/optimizer.h"
#include "../lib/train/train.h"
#include "scratch.h"

static inline wf_backend *open_backend(const char *name)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open(name, 1, &b), 0, "%s", wf_error());
    return b;
}

static inline wf_meta square(int side, int levels)
{
    wf_meta meta = {.wavelet = "haar", .levels = levels, .top = levels, .H = side, .W = side, .C = 3, .bits = 8};
    return meta;
}

/* Smooth 8-bit pictures [N,side,side,3]: a random plane each, so that levels depend on one another. */
static inline float *pictures(int N, int side)
{
    size_t each = (size_t)side * (size_t)side * 3;
    float *v = malloc((size_t)N * each * sizeof *v);
    double *r = malloc((size_t)N * 8 * sizeof *r);
    wf_init_normal(11, 0, 1, r, (size_t)N * 8);
    for (int n = 0; n < N; n++)
        for (size_t i = 0; i < each; i++) {
            double y = (double)(i / 3 / (size_t)side) / side - 0.5, x = (double)(i / 3 % (size_t)side) / side - 0.5;
            const double *p = r + n * 8;
            double value = 128 + 40 * p[0] + 60 * p[1] * x + 60 * p[2] * y + 15 * p[3 + i % 3] + 40 * p[6] * x * y * 4;
            v[(size_t)n * each + i] = (float)fmin(255, fmax(0, round(value)));
        }
    free(r);
    return v;
}

/* A sealed store of all levels of N <= 64 pictures. */
static inline void store_pictures(wf_backend *b, const char *path, const wf_meta *meta, int N, const float *pixels)
{
    wf_store_writer *writer;
    wf_pyramid *pyramid;
    int64_t there;
    uint64_t index[64];
    for (int i = 0; i < N; i++)
        index[i] = (uint64_t)i;
    cr_assert_eq(wf_store_writer_create(path, meta, false, &writer, &there), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_create(b, meta, N, &pyramid), 0);
    cr_assert_eq(wf_pyramid_split(pyramid, N, pixels, 0), 0);
    for (int l = 0; l <= meta->levels; l++) {
        wf_record r = {.level = l, .N = N, .index = index};
        cr_assert_eq(wf_pyramid_level(pyramid, l, &r.low, &r.detail), 0);
        cr_assert_eq(wf_store_writer_put(writer, &r), 0, "%s", wf_error());
    }
    cr_assert_eq(wf_store_writer_seal(writer), 0, "%s", wf_error());
    wf_store_writer_close(writer);
    wf_pyramid_destroy(pyramid);
}

static inline void store_planes(wf_backend *b, const char *path, int N, int side, int levels)
{
    wf_meta meta = square(side, levels);
    float *pixels = pictures(N, side);
    store_pictures(b, path, &meta, N, pixels);
    free(pixels);
}

typedef struct run {
    int64_t stop_at;    /* step at which the report asks to stop, 0: never */
    double first, last; /* held-out bits/dim */
    double bpd;         /* mean over the batches since the log's line but one */
    int skipped;
} run;

static inline int watch(void *user, wf_train_event event, const wf_train_progress *p)
{
    run *r = user;
    r->skipped = p->skipped;
    r->bpd = p->bpd;
    if (event == WF_TRAIN_VALIDATED) {
        r->first = r->first ? r->first : p->held_out;
        r->last = p->held_out;
    }
    return r->stop_at && event == WF_TRAIN_STEP && p->step == r->stop_at;
}

static inline wf_train_options small_options(int level)
{
    wf_train_options o = wf_train_defaults;
    o.level = level;
    o.chain = "2*(actnorm, conv1x1, affine:width=16:blocks=1), actnorm";
    o.steps = 60;
    o.batch = 16;
    o.warmup = 5;
    o.checkpoint_every = 7;
    o.validate_every = 20;
    o.flip = true;
    return o;
}

/* Trains in `folder` on one store and validates on another, or on the same. */
static inline int train_beside(wf_backend *b, const char *folder, const char *store_path, const char *held_out_path,
                               const wf_train_options *o, wf_train_report *report, void *user)
{
    wf_store *store, *held_out;
    wf_model model;
    bool same = !strcmp(store_path, held_out_path); /* LMDB opens a file once in a process */
    cr_assert_eq(wf_store_open(store_path, &store), 0, "%s", wf_error());
    held_out = store;
    if (!same)
        cr_assert_eq(wf_store_open(held_out_path, &held_out), 0, "%s", wf_error());
    cr_assert_eq(wf_model_create(folder, wf_store_meta(store), &model), 0, "%s", wf_error());
    int status = wf_train(&model, b, store, held_out, o, report, user);
    if (!same)
        wf_store_close(held_out);
    wf_store_close(store);
    wf_model_clear(&model);
    return status;
}

static inline int train(wf_backend *b, const char *folder, const char *store_path, const wf_train_options *o, run *r)
{
    return train_beside(b, folder, store_path, store_path, o, watch, r);
}

#endif
