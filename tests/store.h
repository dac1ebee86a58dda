/* store.h - small stores for tests; every value follows from its position */
#ifndef TESTS_STORE_H
#define TESTS_STORE_H

#include <criterion/criterion.h>

#include "../lib/store/store.h"
#include "scratch.h"

enum { SIDE = 8, LEVELS = 2, BATCH = 4, MOST = BATCH * 32 * 32 * 3 };
static wf_meta meta = {.wavelet = "haar", .levels = LEVELS, .top = LEVELS, .H = SIDE, .W = SIDE, .C = 3, .bits = 8};

typedef struct buffers {
    float low[MOST], detail[3 * MOST / 4];
    uint64_t index[BATCH];
} buffers;

/* Quarters up to 255.75 are exact in F16; odd pictures get a value that only F32 holds. */
static inline wf_record record_of(const wf_meta *m, int level, uint64_t first, int64_t N, buffers *b)
{
    wf_level_shape s = wf_meta_level(m, level);
    size_t n = (size_t)s.H * (size_t)s.W * (size_t)s.C;
    for (int64_t p = 0; p < N; p++) {
        b->index[p] = first + (uint64_t)p;
        for (size_t i = 0; i < n; i++)
            b->low[(size_t)p * n + i] = (float)((i * 7 + b->index[p] * 13 + (size_t)level) % 1023) / 4;
        for (size_t i = 0; i < 3 * n && level; i++)
            b->detail[(size_t)p * 3 * n + i] = (float)((i * 5 + b->index[p]) % 511) / -4;
        if (b->index[p] % 2)
            b->low[(size_t)p * n] = 0.1f;
    }
    return (wf_record){.level = level, .N = N, .low = b->low, .detail = level ? b->detail : NULL, .index = b->index};
}

static inline int put_batch(wf_store_writer *writer, const wf_meta *m, uint64_t first, int64_t N)
{
    static buffers b;
    for (int level = 0; level <= m->top; level++) {
        wf_record record = record_of(m, level, first, N, &b);
        WF_TRY(wf_store_writer_put(writer, &record));
    }
    return WF_OK;
}

/* A sealed store of `batches` batches, with indices from `first`. */
static inline const char *make_store(const char *name, uint64_t first, int batches, int64_t N)
{
    const char *path = scratch_path(name);
    wf_store_writer *writer;
    int64_t count;
    cr_assert_eq(wf_store_writer_create(path, &meta, false, &writer, &count), WF_OK, "%s", wf_error());
    cr_assert_eq(count, 0);
    for (int b = 0; b < batches; b++)
        cr_assert_eq(put_batch(writer, &meta, first + (uint64_t)(b * N), N), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_store_writer_seal(writer), WF_OK, "%s", wf_error());
    wf_store_writer_close(writer);
    return path;
}

static inline int check_picture(wf_store *store, int64_t at, uint64_t index)
{
    static _Thread_local buffers want;
    static _Thread_local float low[MOST], detail[MOST];
    const wf_meta *m = wf_store_meta(store);
    for (int level = 0; level <= m->top; level++) {
        uint64_t got;
        record_of(m, level, index, 1, &want);
        wf_level_shape s = wf_meta_level(m, level);
        size_t n = (size_t)s.H * (size_t)s.W * (size_t)s.C * sizeof(float);
        WF_TRY(wf_store_get(store, level, at, low, detail, &got));
        if (got != index || memcmp(low, want.low, n) || (level && memcmp(detail, want.detail, 3 * n)))
            return -1;
    }
    return WF_OK;
}

#endif
