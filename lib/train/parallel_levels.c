/* parallel_levels.c - trains several levels side by side in one process, each with a thread and a backend of its own
 *
 * On a GPU the queues of several small levels fill the device; a single one would leave it idle most of the time. */
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

typedef struct shared {
    const wf_model *model;
    wf_store *store, *validation;
    wf_train_report *report;
    void *user;
    pthread_mutex_t reporting;
} shared;

typedef struct worker {
    shared *shared;
    const char *backend;
    int threads;
    wf_train_options options;
    pthread_t thread;
    int status;
    char message[1024];
} worker;

static int notify_locked(void *user, wf_train_event event, const wf_train_progress *progress)
{
    shared *s = user;
    pthread_mutex_lock(&s->reporting);
    int stop = s->report ? s->report(s->user, event, progress) : 0;
    pthread_mutex_unlock(&s->reporting);
    return stop;
}

/* Opens the backend in the thread that uses it, because OpenMP's number of threads belongs to the calling thread. */
static int train_level(worker *w)
{
    wf_backend *backend;
    shared *s = w->shared;
    WF_TRY(wf_backend_open(w->backend, w->threads, &backend));
    int status = wf_train(s->model, backend, s->store, s->validation, &w->options, notify_locked, s);
    backend->close(backend);
    return status;
}

static void *run_worker(void *user)
{
    worker *w = user;
    w->status = train_level(w);
    if (w->status)
        snprintf(w->message, sizeof w->message, "%s", wf_error());
    return NULL;
}

/* Waits for all levels to end. Returns the failure of the lowest that failed. */
static int join_workers(worker *workers, int count)
{
    int status = WF_OK;
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < count && !status; i++)
        if (workers[i].status)
            status = wf_fail(workers[i].status, "%s", workers[i].message);
    return status;
}

int wf_train_levels(const wf_model *model, const char *backend, int threads, wf_store *store, wf_store *validation,
                    const wf_train_options *options, int count, wf_train_report *report, void *user)
{
    shared s = {.model = model, .store = store, .validation = validation, .report = report, .user = user};
    int total = threads > 0 ? threads : omp_get_max_threads(), begun = 0, rc = 0;
    int ranks = options->ranks ? wf_ranks_count(options->ranks) : 1;
    WF_CHECK(count == 1 || ranks == 1, WF_USAGE, "%d ranks train one level at a time: give one by --level", ranks);
    worker *workers = calloc((size_t)count, sizeof *workers);
    WF_CHECK(workers, WF_AGAIN, "out of memory");
    rc = pthread_mutex_init(&s.reporting, NULL);
    if (rc) {
        free(workers);
        return wf_fail(WF_AGAIN, "cannot make a lock: %s", strerror(rc));
    }
    for (; begun < count && !rc; begun += !rc) {
        worker *w = &workers[begun];
        *w = (worker){
            .shared = &s, .backend = backend, .threads = total > count ? total / count : 1, .options = *options};
        w->options.level += begun;
        w->options.cores = (double)total * ranks / count;
        rc = pthread_create(&w->thread, NULL, run_worker, w);
    }
    int status = join_workers(workers, begun);
    if (rc && !status)
        status = wf_fail(WF_AGAIN, "level %d: cannot start a thread: %s", options->level + begun, strerror(rc));
    pthread_mutex_destroy(&s.reporting);
    free(workers);
    return status;
}
