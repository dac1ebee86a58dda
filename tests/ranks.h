/* ranks.h - ranks that are threads of one process: a transport for tests, in which calls complete late and by chance */
#ifndef TESTS_RANKS_H
#define TESTS_RANKS_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/ranks/private.h"

enum { HUB_MOST = 6, HUB_CALLS = 64, HUB_WORDS = 64 };
enum hub_kind { HUB_EXCHANGE, HUB_COLLECT, HUB_AGREE, HUB_KINDS };

/* A collective call: what each rank brought, and how many have it all. */
typedef struct hub_call {
    const char *from[HUB_MOST];
    char *to[HUB_MOST];
    size_t bytes[HUB_MOST];
    bool broadcast;
    int came, served;
} hub_call;

typedef struct hub {
    pthread_mutex_t lock;
    pthread_barrier_t joined;
    int count;
    hub_call calls[HUB_KINDS][HUB_CALLS];
    int words[HUB_MOST][HUB_WORDS][2], told[HUB_MOST], heard[HUB_MOST];
    int lagging; /* of 8 tests of a complete call, those that say it is not */
    bool gone;   /* a rank has closed, and with it went the memory of its calls */
    bool fails; /* the first test of an exchange that rank 1 makes in another thread fails; later ones say it is done */
} hub;

struct wf_pending {
    enum hub_kind kind;
    int number;
    bool served;
    wf_pending *before; /* of the same rank; all are freed when it closes, also those that it left */
};

typedef struct hub_rank {
    wf_transport base;
    hub *hub;
    int begun[HUB_KINDS];
    uint64_t dice;
    wf_pending *pending; /* the last */
    pthread_t own;
    bool failed;
} hub_rank;

static inline int hub_begin(wf_transport *t, enum hub_kind kind, const void *from, void *to, size_t bytes, bool root,
                            wf_pending **out)
{
    hub_rank *own = (hub_rank *)t;
    hub *h = own->hub;
    *out = calloc(1, sizeof **out);
    **out = (wf_pending){.kind = kind, .number = own->begun[kind]++, .before = own->pending};
    own->pending = *out;
    pthread_mutex_lock(&h->lock);
    hub_call *c = &h->calls[kind][(*out)->number % HUB_CALLS];
    if (c->served == h->count)
        *c = (hub_call){0};
    c->from[t->rank] = from;
    c->to[t->rank] = to;
    c->bytes[t->rank] = bytes;
    c->broadcast = root;
    c->came++;
    pthread_mutex_unlock(&h->lock);
    return WF_OK;
}

static inline int hub_exchange(wf_transport *t, const void *send, void *receive, size_t bytes, wf_pending **out)
{
    return hub_begin(t, HUB_EXCHANGE, send, receive, bytes, false, out);
}

static inline int hub_collect(wf_transport *t, void *all, size_t bytes, wf_pending **out)
{
    return hub_begin(t, HUB_COLLECT, all, all, bytes, false, out);
}

static inline int hub_agree(wf_transport *t, void *all, size_t bytes, wf_pending **out)
{
    return hub_begin(t, HUB_AGREE, all, all, bytes, false, out);
}

static inline int hub_broadcast(wf_transport *t, void *data, size_t bytes, wf_pending **out)
{
    return hub_begin(t, HUB_AGREE, data, data, bytes, true, out);
}

/* Copies to this rank what the others brought to the call. */
static inline void hub_serve(const hub_rank *own, enum hub_kind kind, hub_call *c)
{
    int rank = own->base.rank;
    size_t n = c->bytes[rank];
    for (int i = 0; i < own->hub->count; i++) {
        cr_assert_eq(c->bytes[i], n, "call of %zu bytes met one of %zu", c->bytes[i], n);
        if (kind == HUB_EXCHANGE)
            memcpy(c->to[rank] + (size_t)i * n, c->from[i] + (size_t)rank * n, n);
        else if (!c->broadcast && i != rank)
            memcpy(c->to[rank] + (size_t)i * n, c->from[i] + (size_t)i * n, n);
    }
    if (c->broadcast && rank)
        memcpy(c->to[rank], c->from[0], n);
}

static inline int hub_test(wf_transport *t, wf_pending **pending, bool *done)
{
    hub_rank *own = (hub_rank *)t;
    hub *h = own->hub;
    wf_pending *p = *pending;
    own->dice = own->dice * 6364136223846793005u + 1442695040888963407u;
    pthread_mutex_lock(&h->lock);
    hub_call *c = &h->calls[p->kind][p->number % HUB_CALLS];
    if (h->fails && t->rank == 1 && p->kind == HUB_EXCHANGE && !own->failed &&
        !pthread_equal(own->own, pthread_self())) {
        own->failed = true;
        pthread_mutex_unlock(&h->lock);
        return wf_fail(WF_AGAIN, "the network is gone");
    }
    if (own->failed) {
        *done = true;
        pthread_mutex_unlock(&h->lock);
        free(p);
        *pending = NULL;
        return WF_OK;
    }
    if (c->came == h->count && !p->served && !h->gone) {
        hub_serve(own, p->kind, c);
        p->served = true;
        c->served++;
    }
    *done = c->served == h->count && (int)(own->dice >> 61) >= h->lagging;
    pthread_mutex_unlock(&h->lock);
    if (*done)
        *pending = NULL;
    return WF_OK;
}

static inline void hub_tell(wf_transport *t, int to, int word)
{
    hub *h = ((hub_rank *)t)->hub;
    pthread_mutex_lock(&h->lock);
    int *w = h->words[to][h->told[to]++ % HUB_WORDS];
    w[0] = t->rank;
    w[1] = word;
    pthread_mutex_unlock(&h->lock);
}

static inline bool hub_hear(wf_transport *t, int *from, int *word)
{
    hub *h = ((hub_rank *)t)->hub;
    pthread_mutex_lock(&h->lock);
    bool any = h->heard[t->rank] < h->told[t->rank];
    if (any) {
        const int *w = h->words[t->rank][h->heard[t->rank]++ % HUB_WORDS];
        *from = w[0];
        *word = w[1];
    }
    pthread_mutex_unlock(&h->lock);
    return any;
}

static inline void hub_close(wf_transport *t, bool whole, int status)
{
    hub *h = ((hub_rank *)t)->hub;
    (void)whole, (void)status;
    pthread_mutex_lock(&h->lock);
    h->gone = true;
    pthread_mutex_unlock(&h->lock);
    for (wf_pending *p = ((hub_rank *)t)->pending, *before; p; p = before) {
        before = p->before;
        free(p);
    }
    free(t);
}

static inline wf_transport *hub_open(hub *h, int rank)
{
    hub_rank *own = calloc(1, sizeof *own);
    own->hub = h;
    own->dice = 77 * (uint64_t)rank + 5;
    own->own = pthread_self();
    own->base = (wf_transport){.rank = rank,
                               .count = h->count,
                               .name = "threads",
                               .exchange = hub_exchange,
                               .collect = hub_collect,
                               .agree = hub_agree,
                               .broadcast = hub_broadcast,
                               .test = hub_test,
                               .tell = hub_tell,
                               .hear = hub_hear,
                               .close = hub_close};
    return &own->base;
}

/* One rank's thread. */
typedef struct hub_thread {
    hub *hub;
    int rank;
    void (*run)(wf_ranks *ranks, int rank, void *user);
    void *user;
    pthread_t thread;
} hub_thread;

static inline void *hub_run(void *thread)
{
    const hub_thread *t = thread;
    wf_ranks *ranks;
    cr_assert_eq(wf_ranks_join(hub_open(t->hub, t->rank), "test", &ranks), 0, "%s", wf_error());
    pthread_barrier_wait(&t->hub->joined); /* before the first rank fails */
    t->run(ranks, t->rank, t->user);
    return NULL;
}

/* Calls run on h->count ranks at once; each ends its ranks itself. Frees h. */
static inline void run_hub(hub *h, void (*run)(wf_ranks *ranks, int rank, void *user), void *user)
{
    hub_thread threads[HUB_MOST];
    int count = h->count;
    pthread_mutex_init(&h->lock, NULL);
    pthread_barrier_init(&h->joined, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        threads[i] = (hub_thread){.hub = h, .rank = i, .run = run, .user = user};
        pthread_create(&threads[i].thread, NULL, hub_run, &threads[i]);
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i].thread, NULL);
    pthread_barrier_destroy(&h->joined);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static inline void run_ranks(int count, int lagging, void (*run)(wf_ranks *ranks, int rank, void *user), void *user)
{
    hub *h = calloc(1, sizeof *h);
    h->count = count;
    h->lagging = lagging;
    run_hub(h, run, user);
}

#endif
