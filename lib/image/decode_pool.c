/* decode_pool.c - pictures decoded side by side: cut out of their files one after the other, then decoded by several workers
 *
 * Two locks: who holds `source` takes the next batch; `turn` says whose batch is next to be delivered. Nobody spins, so that
 * more workers than processors do no harm. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

typedef struct slot {
    wf_image image;
    wf_later later;
    char *name;
} slot;

typedef struct run {
    wf_images *images;
    const wf_image_work *work;
    int size;

    pthread_mutex_t source;
    int64_t taken;     /* batches */
    bool ended;        /* nothing more to take */
    int source_status; /* of the source at its end, told once all before it is delivered */
    char source_said[1024];

    pthread_mutex_t lock;
    pthread_cond_t turned;
    int64_t turn;  /* the batch to be delivered next */
    int64_t count; /* pictures delivered */
    int status;    /* of the first batch that failed; after it nothing is delivered */
    char said[1024];
} run;

typedef struct worker {
    run *run;
    int number;
    slot *slots; /* [size] */
    pthread_t thread;
} worker;

/* work: may skip a bad picture, which then has to be decoded at once; NULL: nothing may. */
static int take(wf_images *images, const wf_image_work *work, slot *s, bool *more)
{
    const char *name;
    bool skips = work && work->skip;
    int status;
    s->later.read = NULL;
    s->later.code.size = 0;
    while ((status = wf_images_take(images, &s->image, skips ? NULL : &s->later, &name, more))) {
        if (!skips)
            return status;
        WF_TRY(work->skip(work->user, status));
    }
    if (!*more)
        return WF_OK;
    free(s->name);
    s->name = strdup(name);
    WF_CHECK(s->name, WF_AGAIN, "%s: out of memory", name);
    return WF_OK;
}

/* Fewer than `size` pictures at the end. */
static void take_batch(run *r, slot *slots, int64_t *batch, int *count)
{
    bool more = true;
    pthread_mutex_lock(&r->source);
    *batch = r->taken++;
    for (*count = 0; *count < r->size && !r->ended; *count += more) {
        int status = take(r->images, r->work, &slots[*count], &more);
        r->ended = status || !more;
        more = !r->ended;
        r->source_status = status;
        if (status)
            snprintf(r->source_said, sizeof r->source_said, "%s", wf_error());
    }
    pthread_mutex_unlock(&r->source);
}

/* The bytes of a picture, as a source that comes to its end behind them. */
typedef struct cursor {
    const wf_code *code;
    size_t at;
} cursor;

static int fill_from_code(wf_source *source, uint8_t *to, size_t n, size_t *got)
{
    cursor *c = source->state;
    *got = c->code->size - c->at < n ? c->code->size - c->at : n;
    memcpy(to, c->code->bytes + c->at, *got);
    c->at += *got;
    return WF_OK;
}

static int decode(slot *s)
{
    cursor at = {.code = &s->later.code};
    wf_source *source;
    if (!s->later.read)
        return WF_OK;
    WF_TRY(wf_source_create(NULL, s->name, WF_FROM_LIST, &source));
    source->state = &at;
    source->fill = fill_from_code;
    source->code = &s->later.code;
    source->offset = s->later.offset;
    int status = s->later.read(source, &s->image);
    wf_source_destroy(source);
    return status;
}

/* All batches before it are of full size, or there would be no more. */
static int do_batch(const worker *w, int64_t batch, int count)
{
    const wf_image_work *work = w->run->work;
    for (int i = 0; i < count; i++) {
        WF_TRY(decode(&w->slots[i]));
        WF_TRY(work->picture(work->user, w->number, batch * w->run->size, i, &w->slots[i].image, w->slots[i].name));
    }
    return work->batch(work->user, w->number, count);
}

/* When it is the batch's turn, and nothing before it has failed. */
static void deliver(const worker *w, int64_t batch, int count, int status)
{
    run *r = w->run;
    pthread_mutex_lock(&r->lock);
    while (r->turn < batch)
        pthread_cond_wait(&r->turned, &r->lock);
    bool mine = !r->status;
    pthread_mutex_unlock(&r->lock);
    if (mine && !status)
        status = r->work->deliver(r->work->user, w->number, r->count, count);
    pthread_mutex_lock(&r->lock);
    if (mine && status) {
        r->status = status;
        snprintf(r->said, sizeof r->said, "%s", wf_error());
    }
    r->count += mine && !status ? count : 0;
    r->turn++;
    pthread_cond_broadcast(&r->turned);
    pthread_mutex_unlock(&r->lock);
}

static bool stopped(run *r)
{
    pthread_mutex_lock(&r->lock);
    bool stop = r->status != WF_OK;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

static void *work_on(void *user)
{
    worker *w = user;
    int64_t batch;
    int count;
    for (;;) {
        take_batch(w->run, w->slots, &batch, &count);
        if (!count)
            return NULL;
        deliver(w, batch, count, stopped(w->run) ? WF_INTERNAL : do_batch(w, batch, count));
        if (stopped(w->run))
            return NULL;
    }
}

static int start(run *r, worker *crew, int workers)
{
    int begun = 1, rc = 0;
    for (int i = 0; i < workers; i++) {
        crew[i].run = r;
        crew[i].number = i;
        crew[i].slots = calloc((size_t)r->size, sizeof *crew[i].slots);
        WF_CHECK(crew[i].slots, WF_AGAIN, "out of memory for %d pictures", r->size);
    }
    for (; begun < workers && !rc; begun += !rc)
        rc = pthread_create(&crew[begun].thread, NULL, work_on, &crew[begun]);
    work_on(&crew[0]); /* with fewer threads than asked for, if there are no more to be had */
    for (int i = 1; i < begun; i++)
        pthread_join(crew[i].thread, NULL);
    return WF_OK;
}

static void dismiss(worker *crew, int workers, int size)
{
    for (int k = 0; k < workers; k++)
        for (int i = 0; i < size && crew[k].slots; i++) {
            wf_image_clear(&crew[k].slots[i].image);
            free(crew[k].slots[i].later.code.bytes);
            free(crew[k].slots[i].name);
        }
    for (int k = 0; k < workers; k++)
        free(crew[k].slots);
    free(crew);
}

int wf_images_run(wf_images *images, int size, int workers, const wf_image_work *work, int64_t *count)
{
    run r = {.images = images,
             .work = work,
             .size = size,
             .source = PTHREAD_MUTEX_INITIALIZER,
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .turned = PTHREAD_COND_INITIALIZER};
    worker *crew = calloc((size_t)workers, sizeof *crew);
    WF_CHECK(crew, WF_AGAIN, "out of memory");
    int status = start(&r, crew, workers);
    dismiss(crew, workers, size);
    *count = r.count;
    WF_TRY(status);
    if (r.status)
        return wf_fail(r.status, "%s", r.said);
    return r.source_status ? wf_fail(r.source_status, "%s", r.source_said) : WF_OK;
}

int wf_images_pass(wf_images *images, int64_t n, int64_t *count)
{
    slot s = {.name = NULL};
    bool more = true;
    int status = WF_OK;
    for (*count = 0; *count < n && !status && more; *count += !status && more)
        status = take(images, NULL, &s, &more);
    wf_image_clear(&s.image);
    free(s.later.code.bytes);
    free(s.name);
    return status;
}
