/* sums.c - the sum over ranks of a vector that comes in pieces
 *
 * A bucket of n elements goes in two steps, a reduce-scatter and an allgather (Thakur, Rabenseifner, Gropp 2005,
 * section 4). First each rank gets its n/R of all ranks' elements and adds them up in the order of the ranks. Then all
 * get all sums. MPI_Iallreduce would leave the order to the MPI.
 *
 * An MPI makes progress in calls only, and pieces come far apart. So a thread moves buckets on meanwhile. It calls the
 * transport between the first bucket and wf_sums_finish, where the caller makes no other call. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "private.h"

typedef struct piece {
    size_t offset, count;
} piece;

enum { BLOCK = 512 };

enum state { FREE, EXCHANGED, COLLECTED, READY };

typedef struct bucket {
    char *own, *others; /* [ranks,share] elements: this rank's, and its share of all ranks' */
    size_t room, used;  /* elements; room is a multiple of the ranks */
    piece *pieces;
    int piece_count, piece_room;
    enum state state; /* the step that has begun */
    wf_pending *pending;
} bucket;

struct wf_sums {
    wf_ranks *ranks;
    size_t real, bytes;
    wf_sums_sink *sink;
    void *user;
    bucket *buckets; /* in the order in which they go */
    int count, filling;
    int first; /* the oldest on its way */

    pthread_mutex_t lock; /* of what follows, and of the states of buckets on their way */
    pthread_cond_t wake;
    pthread_t thread;
    bool threaded, busy, ending; /* the thread is there; it moves buckets; it is to end */
    int failure;                 /* of the transport, the first */
    char said[512];              /* its message, which may be another thread's */
};

/* Seconds between two looks of the thread. It takes a core from nobody for long. */
static const double LOOK = 500e-6;

/* Bytes of one rank's share of a bucket that is full. */
static size_t share_bytes(const wf_sums *s, const bucket *b)
{
    size_t ranks = (size_t)wf_ranks_count(s->ranks);
    return (b->used + ranks - 1) / ranks * s->real;
}

/* Makes the bucket after the last, with room for `count` elements at least. A second sum finds it. */
static int add_bucket(wf_sums *s, size_t count)
{
    size_t ranks = (size_t)wf_ranks_count(s->ranks), most = s->bytes / s->real;
    pthread_mutex_lock(&s->lock);
    bucket *more = realloc(s->buckets, ((size_t)s->count + 1) * sizeof *more);
    s->buckets = more ? more : s->buckets;
    pthread_mutex_unlock(&s->lock);
    WF_CHECK(more, WF_AGAIN, "out of memory");
    bucket *b = &s->buckets[s->count];
    *b = (bucket){.room = ((count > most ? count : most) + ranks - 1) / ranks * ranks};
    b->own = calloc(b->room, s->real);
    b->others = malloc(b->room * s->real);
    s->count++;
    WF_CHECK(b->own && b->others, WF_AGAIN, "out of memory for %zu gradients of other ranks", b->room);
    return WF_OK;
}

static int add_piece(bucket *b, size_t offset, size_t count)
{
    if (b->piece_count == b->piece_room) {
        int room = b->piece_room ? 2 * b->piece_room : 16;
        piece *more = realloc(b->pieces, (size_t)room * sizeof *more);
        WF_CHECK(more, WF_AGAIN, "out of memory");
        b->pieces = more;
        b->piece_room = room;
    }
    b->pieces[b->piece_count++] = (piece){offset, count};
    b->used += count;
    return WF_OK;
}

/* Adds up this rank's share, others [ranks,n], into own [n] at its place. Blocks keep the sums in the cache and leave
 * loops that become vectors. */
static void add_floats(int ranks, size_t n, const float *others, float *own)
{
    double sum[BLOCK];
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t m = n - at < BLOCK ? n - at : BLOCK;
        for (size_t i = 0; i < m; i++)
            sum[i] = (double)others[at + i];
        for (int r = 1; r < ranks; r++)
            for (size_t i = 0; i < m; i++)
                sum[i] += (double)others[(size_t)r * n + at + i];
        for (size_t i = 0; i < m; i++)
            own[at + i] = (float)sum[i];
    }
}

static void add_doubles(int ranks, size_t n, const double *others, double *own)
{
    memcpy(own, others, n * sizeof *own);
    for (int r = 1; r < ranks; r++)
        for (size_t i = 0; i < n; i++)
            own[i] += others[(size_t)r * n + i];
}

/* Begins the second step: what each rank has summed goes to all. */
static int collect_bucket(wf_sums *s, bucket *b)
{
    wf_transport *t = s->ranks->transport;
    size_t bytes = share_bytes(s, b), n = bytes / s->real;
    void *own = b->own + (size_t)t->rank * bytes;
    if (s->real == sizeof(double))
        add_doubles(t->count, n, (const double *)(void *)b->others, own);
    else
        add_floats(t->count, n, (const float *)(void *)b->others, own);
    WF_TRY(t->collect(t, b->own, bytes, &b->pending));
    b->state = COLLECTED;
    return WF_OK;
}

/* Gives a bucket's pieces to the sink. */
static int give_bucket(wf_sums *s, bucket *b)
{
    size_t at = 0;
    for (int i = 0; i < b->piece_count; i++) {
        WF_TRY(s->sink(s->user, b->pieces[i].offset, b->pieces[i].count, b->own + at * s->real));
        at += b->pieces[i].count;
    }
    b->piece_count = 0;
    b->used = 0;
    return WF_OK;
}

/* Goes on with a bucket whose step is complete. */
static int advance_bucket(wf_sums *s, bucket *b)
{
    if (b->state == EXCHANGED)
        return collect_bucket(s, b);
    b->state = READY;
    return WF_OK;
}

/* Moves buckets on, without waiting. A bucket's second step begins after those of all before it, so that the calls of
 * all ranks have one order. */
static int test_buckets(wf_sums *s)
{
    wf_transport *t = s->ranks->transport;
    for (int i = s->first; i < s->filling; i++) {
        bucket *b = &s->buckets[i];
        bool done = true, blocked = b->state == EXCHANGED && i > s->first && s->buckets[i - 1].state == EXCHANGED;
        while ((b->state == EXCHANGED || b->state == COLLECTED) && !blocked && done) {
            WF_TRY(t->test(t, &b->pending, &done));
            if (done)
                WF_TRY(advance_bucket(s, b));
        }
    }
    return WF_OK;
}

/* The same, under the lock. A failure stays: of a call that has failed, an MPI says next that it is complete. */
static int move_buckets(wf_sums *s)
{
    if (!s->failure) {
        s->failure = test_buckets(s);
        if (s->failure)
            snprintf(s->said, sizeof s->said, "%s", wf_error());
    }
    return s->failure ? wf_fail(s->failure, "%s", s->said) : WF_OK;
}

static void *run_progress(void *sums)
{
    wf_sums *s = sums;
    const struct timespec pause = {0, (long)(1e9 * LOOK)};
    pthread_mutex_lock(&s->lock);
    while (!s->ending) {
        if (!s->busy) {
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        if (move_buckets(s))
            s->busy = false; /* the caller finds the failure too */
        pthread_mutex_unlock(&s->lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Has the thread move buckets or not, from now on. */
static void set_busy(wf_sums *s, bool busy)
{
    pthread_mutex_lock(&s->lock);
    s->busy = busy;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

/* Moves buckets on, and gives those that are ready to the sink, in their order. A failure of the sink is this rank's
 * own, also where it is waiting for others. */
static int poll_buckets(wf_sums *s)
{
    pthread_mutex_lock(&s->lock);
    int status = move_buckets(s), ready = s->first;
    while (ready < s->filling && s->buckets[ready].state == READY)
        ready++;
    pthread_mutex_unlock(&s->lock);
    s->ranks->broken = s->ranks->broken || status;
    WF_TRY(status);
    for (int i = s->first; i < ready && !status; i++)
        status = give_bucket(s, &s->buckets[i]);
    if (status)
        s->ranks->failure = status;
    pthread_mutex_lock(&s->lock);
    for (; s->first < ready; s->first++)
        s->buckets[s->first].state = FREE;
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* Sends the bucket that was filled. */
static int send_bucket(wf_sums *s)
{
    wf_transport *t = s->ranks->transport;
    if (s->filling == s->count || !s->buckets[s->filling].used)
        return WF_OK;
    pthread_mutex_lock(&s->lock);
    bucket *b = &s->buckets[s->filling];
    size_t share = share_bytes(s, b) / s->real, ranks = (size_t)t->count;
    memset(b->own + b->used * s->real, 0, (share * ranks - b->used) * s->real); /* fills up the last share */
    int status = t->exchange(t, b->own, b->others, share * s->real, &b->pending);
    b->state = status ? FREE : EXCHANGED;
    s->filling += !status;
    pthread_mutex_unlock(&s->lock);
    if (!status)
        set_busy(s, true);
    s->ranks->broken = s->ranks->broken || status;
    return status;
}

int wf_sums_room(wf_sums *s, size_t offset, size_t count, void **out)
{
    if (s->filling < s->count && s->buckets[s->filling].used + count > s->buckets[s->filling].room)
        WF_TRY(send_bucket(s));
    if (s->filling == s->count)
        WF_TRY(add_bucket(s, count));
    bucket *b = &s->buckets[s->filling];
    WF_CHECK(b->used + count <= b->room, WF_INTERNAL, "pieces of this sum are not those of the sum before");
    *out = b->own + b->used * s->real;
    return add_piece(b, offset, count);
}

int wf_sums_add(wf_sums *s)
{
    const bucket *b = &s->buckets[s->filling];
    if (b->used * s->real >= s->bytes)
        WF_TRY(send_bucket(s));
    return poll_buckets(s);
}

int wf_sums_finish(wf_sums *s)
{
    WF_TRY(send_bucket(s));
    set_busy(s, false);
    wf_wait w = wf_wait_begin(s->ranks);
    int status = poll_buckets(s);
    while (!status && s->first < s->filling) {
        status = wf_wait_more(s->ranks, &w);
        if (!status)
            status = poll_buckets(s);
    }
    if (!status)
        s->first = s->filling = 0;
    return wf_wait_end(s->ranks, &w, status);
}

/* -- coming and going ---------------------------------------------------------------------------------------------- */

int wf_sums_create(wf_ranks *r, size_t real, size_t bytes, wf_sums_sink *sink, void *user, wf_sums **out)
{
    wf_sums *s = calloc(1, sizeof *s);
    WF_CHECK(s, WF_AGAIN, "out of memory");
    *s = (wf_sums){.ranks = r, .real = real, .bytes = bytes ? bytes : WF_BUCKET, .sink = sink, .user = user};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    s->threaded = !pthread_create(&s->thread, NULL, run_progress, s); /* without it, buckets move at each piece */
    *out = s;
    return WF_OK;
}

void wf_sums_destroy(wf_sums *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->threaded)
        pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    for (int i = s->first; i < s->filling; i++) /* a step failed between its pieces */
        s->ranks->waiting = s->ranks->waiting || s->buckets[i].pending;
    for (int i = 0; i < s->count; i++) {
        wf_ranks_free(s->ranks, s->buckets[i].own);
        wf_ranks_free(s->ranks, s->buckets[i].others);
        free(s->buckets[i].pieces);
    }
    free(s->buckets);
    free(s);
}
