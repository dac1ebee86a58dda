/* sums.c - the sum over ranks of a vector that comes in pieces
 *
 * A bucket of n elements goes in two steps, a reduce-scatter and an allgather (Thakur, Rabenseifner, Gropp 2005,
 * section 4). First each rank gets its n/R of all ranks' elements and adds them up in the order of the ranks. Then all
 * get all sums. MPI_Iallreduce would leave the order to the MPI. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

typedef struct piece {
    size_t offset, count;
} piece;

enum state { FREE, EXCHANGED, COLLECTED };

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
};

int wf_sums_create(wf_ranks *r, size_t real, size_t bytes, wf_sums_sink *sink, void *user, wf_sums **out)
{
    wf_sums *s = calloc(1, sizeof *s);
    WF_CHECK(s, WF_AGAIN, "out of memory");
    *s = (wf_sums){.ranks = r, .real = real, .bytes = bytes ? bytes : WF_BUCKET, .sink = sink, .user = user};
    *out = s;
    return WF_OK;
}

void wf_sums_destroy(wf_sums *s)
{
    for (int i = 0; s && i < s->count; i++) {
        wf_ranks_free(s->ranks, s->buckets[i].own);
        wf_ranks_free(s->ranks, s->buckets[i].others);
        free(s->buckets[i].pieces);
    }
    if (s)
        free(s->buckets);
    free(s);
}

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
    bucket *more = realloc(s->buckets, ((size_t)s->count + 1) * sizeof *more);
    WF_CHECK(more, WF_AGAIN, "out of memory");
    s->buckets = more;
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

/* Sends the bucket that was filled. */
static int send_bucket(wf_sums *s)
{
    bucket *b = &s->buckets[s->filling];
    wf_transport *t = s->ranks->transport;
    if (s->filling == s->count || !b->used)
        return WF_OK;
    size_t share = share_bytes(s, b) / s->real, ranks = (size_t)t->count;
    memset(b->own + b->used * s->real, 0, (share * ranks - b->used) * s->real); /* fills up the last share */
    WF_TRY(t->exchange(t, b->own, b->others, share * s->real, &b->pending));
    b->state = EXCHANGED;
    s->filling++;
    return WF_OK;
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

/* Adds up this rank's share, others [ranks,n], into own [n] at its place. */
static void add_floats(int ranks, size_t n, const float *others, float *own)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int r = 0; r < ranks; r++)
            sum += (double)others[(size_t)r * n + i];
        own[i] = (float)sum;
    }
}

static void add_doubles(int ranks, size_t n, const double *others, double *own)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int r = 0; r < ranks; r++)
            sum += others[(size_t)r * n + i];
        own[i] = sum;
    }
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

static int give_bucket(wf_sums *s, bucket *b)
{
    size_t at = 0;
    for (int i = 0; i < b->piece_count; i++) {
        WF_TRY(s->sink(s->user, b->pieces[i].offset, b->pieces[i].count, b->own + at * s->real));
        at += b->pieces[i].count;
    }
    b->piece_count = 0;
    b->used = 0;
    b->state = FREE;
    return WF_OK;
}

/* Goes on with a bucket whose step is complete. */
static int advance_bucket(wf_sums *s, bucket *b)
{
    return b->state == EXCHANGED ? collect_bucket(s, b) : give_bucket(s, b);
}

/* Moves buckets on, without waiting. A bucket's second step begins after those of all before it, so that the calls of
 * all ranks have one order. */
static int poll_buckets(wf_sums *s)
{
    wf_transport *t = s->ranks->transport;
    bool done = true;
    for (int i = s->first; i < s->filling; i++) {
        bucket *b = &s->buckets[i];
        bool blocked = b->state == EXCHANGED && i > s->first && s->buckets[i - 1].state == EXCHANGED;
        while (b->state != FREE && !blocked) {
            WF_TRY(t->test(t, &b->pending, &done));
            if (!done)
                break;
            WF_TRY(advance_bucket(s, b));
        }
        if (b->state == FREE && i == s->first)
            s->first++;
    }
    return WF_OK;
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
    for (int i = s->first; i < s->filling; i++)
        while (s->buckets[i].state != FREE) {
            WF_TRY(poll_buckets(s)); /* later ones go on while this one is waited for */
            bucket *b = &s->buckets[i];
            if (b->state == FREE)
                break;
            WF_TRY(wf_ranks_wait(s->ranks, &b->pending));
            WF_TRY(advance_bucket(s, b));
        }
    s->first = s->filling = 0;
    return WF_OK;
}
