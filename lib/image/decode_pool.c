/* decode_pool.c - decoding in parallel: pictures are cut out of their files in order, then decoded by several workers
 *
 * The holder of the lock `source` takes the next batch. `turn` is the batch that is delivered next. Waiting threads
 * sleep, so that more workers than processors do no harm. */
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
    int64_t taken;     /* batches begun */
    bool ended;        /* no pictures are left, or one could not be read */
    int source_status; /* of the source at its end, returned after all pictures before it were delivered */
    char source_message[1024];

    pthread_mutex_t lock;
    pthread_cond_t turned;
    int64_t turn;  /* the batch that is delivered next */
    int64_t count; /* pictures delivered */
    int status;    /* of the first batch that failed; no batch after it is delivered */
    char message[1024];
} run;

typedef struct worker {
    run *run;
    int number;
    slot *slots; /* [size] */
    pthread_t thread;
} worker;

static int prepare(const wf_image_work *work, wf_image *image, const char *name)
{
    return work->prepare ? work->prepare(work->user, image, name) : WF_OK;
}

/* Takes the next picture. If `work` can skip bad pictures, it is decoded and prepared at once, to see whether it is
 * bad. */
static int take_picture(wf_images *images, const wf_image_work *work, slot *s, bool *more)
{
    const char *name;
    bool skips = work && work->skip;
    s->later.read = NULL;
    s->later.code.size = 0;
    for (;;) {
        int status = wf_images_take(images, &s->image, skips ? NULL : &s->later, &name, more);
        if (!status && *more && skips && (status = prepare(work, &s->image, name)))
            wf_images_refuse(images);
        if (!status)
            break;
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

/* Takes a batch of `size` pictures, or fewer at the end. */
static void take_batch(run *r, slot *slots, int64_t *batch, int *count)
{
    bool more = true;
    pthread_mutex_lock(&r->source);
    *batch = r->taken++;
    for (*count = 0; *count < r->size && !r->ended; *count += more) {
        int status = take_picture(r->images, r->work, &slots[*count], &more);
        r->ended = status || !more;
        more = !r->ended;
        r->source_status = status;
        if (status)
            snprintf(r->source_message, sizeof r->source_message, "%s", wf_error());
    }
    pthread_mutex_unlock(&r->source);
}

static int decode_slot(wf_images *images, slot *s)
{
    wf_source *source;
    if (!s->later.read)
        return WF_OK;
    WF_TRY(wf_source_open_code(s->name, &s->later.code, &source));
    source->offset = s->later.offset;
    int status = s->later.read(source, &s->image);
    wf_source_destroy(source);
    return status ? status : wf_images_finish(images, &s->image, s->name);
}

/* Counts on all batches before this one being full: only the last batch is not. */
static int decode_batch(const worker *w, int64_t batch, int count)
{
    const wf_image_work *work = w->run->work;
    for (int i = 0; i < count; i++) {
        WF_TRY(decode_slot(w->run->images, &w->slots[i]));
        if (!work->skip)
            WF_TRY(prepare(work, &w->slots[i].image, w->slots[i].name));
        WF_TRY(work->picture(work->user, w->number, batch * w->run->size, i, &w->slots[i].image, w->slots[i].name));
    }
    return work->batch(work->user, w->number, count);
}

/* Waits for the batch's turn, then delivers it unless a batch before it failed. */
static void deliver_batch(const worker *w, int64_t batch, int count, int status)
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
        snprintf(r->message, sizeof r->message, "%s", wf_error());
    }
    r->count += mine && !status ? count : 0;
    r->turn++;
    pthread_cond_broadcast(&r->turned);
    pthread_mutex_unlock(&r->lock);
}

static bool has_failed(run *r)
{
    pthread_mutex_lock(&r->lock);
    bool failed = r->status != WF_OK;
    pthread_mutex_unlock(&r->lock);
    return failed;
}

static void *run_worker(void *user)
{
    worker *w = user;
    int64_t batch;
    int count;
    for (;;) {
        take_batch(w->run, w->slots, &batch, &count);
        if (!count)
            return NULL;
        deliver_batch(w, batch, count, has_failed(w->run) ? WF_INTERNAL : decode_batch(w, batch, count));
        if (has_failed(w->run))
            return NULL;
    }
}

static int start_workers(run *r, worker *workers, int count)
{
    int started = 1, rc = 0;
    for (int i = 0; i < count; i++) {
        workers[i].run = r;
        workers[i].number = i;
        workers[i].slots = calloc((size_t)r->size, sizeof *workers[i].slots);
        WF_CHECK(workers[i].slots, WF_AGAIN, "out of memory for %d pictures", r->size);
    }
    for (; started < count && !rc; started += !rc)
        rc = pthread_create(&workers[started].thread, NULL, run_worker, &workers[started]);
    run_worker(&workers[0]); /* also when no or fewer threads could be created */
    for (int i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    return WF_OK;
}

static void free_workers(worker *workers, int count, int size)
{
    for (int k = 0; k < count; k++)
        for (int i = 0; i < size && workers[k].slots; i++) {
            wf_image_clear(&workers[k].slots[i].image);
            free(workers[k].slots[i].later.code.bytes);
            free(workers[k].slots[i].name);
        }
    for (int k = 0; k < count; k++)
        free(workers[k].slots);
    free(workers);
}

int wf_images_run(wf_images *images, int size, int workers, const wf_image_work *work, int64_t *count)
{
    run r = {.images = images,
             .work = work,
             .size = size,
             .source = PTHREAD_MUTEX_INITIALIZER,
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .turned = PTHREAD_COND_INITIALIZER};
    worker *pool = calloc((size_t)workers, sizeof *pool);
    WF_CHECK(pool, WF_AGAIN, "out of memory");
    int status = start_workers(&r, pool, workers);
    free_workers(pool, workers, size);
    *count = r.count;
    WF_TRY(status);
    if (r.status)
        return wf_fail(r.status, "%s", r.message);
    return r.source_status ? wf_fail(r.source_status, "%s", r.source_message) : WF_OK;
}

int wf_images_pass(wf_images *images, int64_t n, int64_t *count)
{
    slot s = {.name = NULL};
    bool more = true;
    int status = WF_OK;
    for (*count = 0; *count < n && !status && more; *count += !status && more)
        status = take_picture(images, NULL, &s, &more);
    wf_image_clear(&s.image);
    free(s.later.code.bytes);
    free(s.name);
    return status;
}
