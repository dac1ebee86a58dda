/* parallel_levels.c - several levels side by side in one process: a thread and a backend each, so that on a GPU their queues
 * fill it together where one small level alone would mostly wait */
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

static int tell(void *user, wf_train_event event, const wf_train_progress *progress)
{
    shared *s = user;
    pthread_mutex_lock(&s->reporting);
    int stop = s->report ? s->report(s->user, event, progress) : 0;
    pthread_mutex_unlock(&s->reporting);
    return stop;
}

/* The backend is opened by the thread that uses it: OpenMP's number of threads is the thread's own. */
static int train(worker *w)
{
    wf_backend *backend;
    shared *s = w->shared;
    WF_TRY(wf_backend_open(w->backend, w->threads, &backend));
    int status = wf_train(s->model, backend, s->store, s->validation, &w->options, tell, s);
    backend->close(backend);
    return status;
}

static void *work(void *user)
{
    worker *w = user;
    w->status = train(w);
    if (w->status)
        snprintf(w->message, sizeof w->message, "%s", wf_error());
    return NULL;
}

/* Every level goes to its own end; then the failure of the lowest is told. */
static int join(worker *workers, int count)
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
        rc = pthread_create(&w->thread, NULL, work, w);
    }
    int status = join(workers, begun);
    if (rc && !status)
        status = wf_fail(WF_AGAIN, "level %d: cannot start a thread: %s", options->level + begun, strerror(rc));
    pthread_mutex_destroy(&s.reporting);
    free(workers);
    return status;
}
