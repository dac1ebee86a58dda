/* nearest.c - all distances between the given pictures and blocks of the store; each given picture keeps the
 * smallest */
#include "nearest.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "../pyramid/pyramid.h"

/* Given pictures that are compared with one of the store before the next: few enough to stay in a core's cache. */
enum { TILE = 8 };

typedef struct search {
    wf_store *store;
    int level, threads;
    int N, K;
    size_t lows, details;            /* coefficients of a picture; details = 0 at the base */
    double average;                  /* factor 2^a of |I_{L-1}|^2 in nearest.h */
    const float *low, *detail;       /* [N,lows], [N,details]: the given pictures */
    int room;                        /* pictures in a block of the store */
    float *block_low, *block_detail; /* [room,lows], [room,details] */
    double *squares;                 /* [N,room]: squared distances to a block */
    wf_neighbour *found;             /* [N,K]; squared distances until the search ends */
    wf_watch watch;
} search;

/* Sums squared differences. Vectors of single precision add 256 numbers at a time; longer sums would lose digits. */
static double sum_squares(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t from = 0; from < n; from += 256) {
        size_t to = from + 256 < n ? from + 256 : n;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (size_t i = from; i < to; i++)
            part += (a[i] - b[i]) * (a[i] - b[i]);
        sum += (double)part;
    }
    return sum;
}

static void compare_pair(const search *s, int n, int k)
{
    size_t i = (size_t)n, j = (size_t)k, lows = s->lows, details = s->details;
    double sum = sum_squares(s->low + i * lows, s->block_low + j * lows, lows);
    if (s->level)
        sum = s->average * sum + sum_squares(s->detail + i * details, s->block_detail + j * details, details);
    s->squares[i * (size_t)s->room + j] = sum;
}

/* Inserts a picture among the K nearest so far, after others at the same distance, if it is near enough. */
static void insert_neighbour(wf_neighbour *found, int K, wf_neighbour picture)
{
    int i = K;
    for (; i > 0 && picture.distance < found[i - 1].distance; i--)
        if (i < K)
            found[i] = found[i - 1];
    if (i < K)
        found[i] = picture;
}

static int compare_block(const search *s, int64_t first, int count)
{
    for (int k = 0; k < count; k++)
        WF_TRY(wf_store_get(s->store, s->level, first + k, s->block_low + (size_t)k * s->lows,
                            s->block_detail + (size_t)k * s->details, NULL));
#pragma omp parallel for collapse(2) num_threads(s->threads)
    for (int tile = 0; tile < s->N; tile += TILE)
        for (int k = 0; k < count; k++)
            for (int n = tile; n < tile + TILE && n < s->N; n++)
                compare_pair(s, n, k);
    for (int n = 0; n < s->N; n++)
        for (int k = 0; k < count; k++)
            insert_neighbour(s->found + (size_t)n * (size_t)s->K, s->K,
                             (wf_neighbour){first + k, s->squares[(size_t)n * (size_t)s->room + (size_t)k]});
    return WF_OK;
}

static int run_search(const search *s)
{
    int64_t count = wf_store_count(s->store);
    size_t all = (size_t)s->N * (size_t)s->K;
    for (size_t i = 0; i < all; i++)
        s->found[i] = (wf_neighbour){-1, INFINITY};
    for (int64_t at = 0; at < count; at += s->room) {
        int block = count - at < s->room ? (int)(count - at) : s->room;
        WF_TRY(compare_block(s, at, block));
        wf_watched(&s->watch, s->level, block);
    }
    for (size_t i = 0; i < all; i++)
        s->found[i].distance = sqrt(s->found[i].distance);
    return WF_OK;
}

int wf_nearest_search(wf_store *store, int level, int threads, int N, const float *low, const float *detail, int K,
                      wf_neighbour *found, const wf_watch *watch)
{
    wf_level_shape shape = wf_meta_level(wf_store_meta(store), level);
    size_t lows = (size_t)shape.H * (size_t)shape.W * (size_t)shape.C;
    search s = {.store = store,
                .level = level,
                .threads = threads > 0 ? threads : omp_get_max_threads(),
                .N = N,
                .K = K,
                .lows = lows,
                .details = level ? (size_t)wf_bands(wf_store_meta(store)->signal) * lows : 0,
                .average = (double)(1 << wf_axes(wf_store_meta(store)->signal)),
                .low = low,
                .detail = detail,
                .room = wf_pyramid_rows(wf_store_meta(store), level),
                .found = found};
    if (watch)
        s.watch = *watch;
    WF_CHECK(wf_store_count(store) >= K, WF_DATA, "nearest: the store has %lld pictures, want %d or more",
             (long long)wf_store_count(store), K);
    s.block_low = malloc((size_t)s.room * (lows + s.details) * sizeof *s.block_low);
    s.squares = malloc((size_t)s.room * (size_t)N * sizeof *s.squares);
    int status = wf_fail(WF_AGAIN, "nearest: out of memory to compare %d pictures with %d", N, s.room);
    if (s.block_low && s.squares) {
        s.block_detail = s.block_low + (size_t)s.room * lows;
        status = run_search(&s);
    }
    free(s.block_low);
    free(s.squares);
    return status;
}
