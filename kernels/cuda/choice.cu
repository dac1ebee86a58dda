/* choice.cu - chooses the fastest of several ways, measured once for a shape on a card and kept in a file
 *
 * The choice decides the last bits of a result, so a resumed training must find the choice that it began with: the file
 * keeps it. One choice is one line, "card | key<tab>number"; the first line with a key counts. The process keeps
 * choices too: where no file can be written, each shape is still measured once. */
#include "cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 512, TIMED = 10 };

static const float LONG = 2; /* ms */

static void full_key(const wf_cuda *cuda, const char *key, char out[LINE])
{
    snprintf(out, LINE, "%s | %s", cuda->card, key);
}

/* Choices of this process, of all its backends; never freed. */
static struct known {
    struct known *next;
    int number;
    char key[LINE];
} * all_known;
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct known *find_known(const char *full)
{
    const struct known *k = all_known;
    while (k && strcmp(k->key, full) != 0)
        k = k->next;
    return k;
}

/* Returns the choice that this process made before, or -1. */
static int remember(const wf_cuda *cuda, const char *key, int count)
{
    char full[LINE];
    full_key(cuda, key, full);
    pthread_mutex_lock(&known_lock);
    const struct known *k = find_known(full);
    int number = k && k->number < count ? k->number : -1;
    pthread_mutex_unlock(&known_lock);
    return number;
}

/* Keeps a choice of `count` for this process, unless another thread was first. Returns the choice that counts. */
static int settle(const wf_cuda *cuda, const char *key, int number, int count)
{
    char full[LINE];
    full_key(cuda, key, full);
    pthread_mutex_lock(&known_lock);
    const struct known *before = find_known(full);
    before = before && before->number < count ? before : NULL;
    struct known *k = before ? NULL : (struct known *)malloc(sizeof *k);
    if (k) { /* without memory the next creation measures again */
        memcpy(k->key, full, sizeof full);
        k->number = number;
        k->next = all_known;
        all_known = k;
    }
    pthread_mutex_unlock(&known_lock);
    return before ? before->number : number;
}

/* Returns the choice on file, or -1. */
static int recall(const wf_cuda *cuda, const char *key, int count)
{
    char want[LINE], line[LINE];
    int found = -1;
    FILE *file = cuda->choices[0] ? fopen(cuda->choices, "r") : NULL;
    full_key(cuda, key, want);
    while (file && found < 0 && fgets(line, sizeof line, file)) {
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        *tab = '\0';
        int number = atoi(tab + 1);
        if (!strcmp(line, want) && number >= 0 && number < count)
            found = number;
    }
    if (file)
        fclose(file);
    return found;
}

/* Appends the choice to the file. A failure is ignored: the next run measures again. */
static void keep(const wf_cuda *cuda, const char *key, int number)
{
    char want[LINE];
    FILE *file = cuda->choices[0] ? fopen(cuda->choices, "a") : NULL;
    full_key(cuda, key, want);
    if (!file)
        return;
    fprintf(file, "%s\t%d\n", want, number);
    fclose(file);
}

/* One measurement: a way of computing, and events around it. */
typedef struct timing {
    wf_cuda_way *run;
    void *user;
    int way;
    cudaEvent_t begin, end;
} timing;

/* Captures TIMED runs: replayed, their kernels follow each other as in a recorded step, without the host between. */
static int capture(wf_cuda *cuda, const timing *t, cudaGraphExec_t *out)
{
    cudaGraph_t graph = NULL;
    int status = WF_OK;
    WF_CUDA(cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeRelaxed));
    for (int k = 0; k < TIMED && !status; k++)
        status = t->run(cuda, t->user, t->way);
    cudaError_t e = cudaStreamEndCapture(cuda->stream, &graph); /* after a failure too */
    if (!e && !status)
        e = cudaGraphInstantiate(out, graph, 0);
    if (graph)
        (void)cudaGraphDestroy(graph);
    return status || !e ? status : wf_cuda_failed(e, "cudaGraphInstantiate");
}

/* Measures one replay of `graph` or, without a graph, one run. */
static int time_once(wf_cuda *cuda, const timing *t, cudaGraphExec_t graph, float *ms)
{
    WF_CUDA(cudaEventRecord(t->begin, cuda->stream));
    if (graph)
        WF_CUDA(cudaGraphLaunch(graph, cuda->stream));
    else
        WF_TRY(t->run(cuda, t->user, t->way));
    WF_CUDA(cudaEventRecord(t->end, cuda->stream));
    WF_CUDA(cudaEventSynchronize(t->end));
    WF_CUDA(cudaEventElapsedTime(ms, t->begin, t->end));
    return WF_OK;
}

/* The first run loads code, the first replay sends the graph to the device: neither counts. A run of LONG or more hides
 * its launch and is measured alone. */
static int measure(wf_cuda *cuda, const timing *t, float *ms)
{
    cudaGraphExec_t graph;
    WF_TRY(t->run(cuda, t->user, t->way));
    WF_TRY(time_once(cuda, t, NULL, ms));
    if (*ms >= LONG)
        return WF_OK;
    WF_TRY(capture(cuda, t, &graph));
    int status = time_once(cuda, t, graph, ms);
    if (!status)
        status = time_once(cuda, t, graph, ms);
    *ms /= (float)TIMED;
    (void)cudaGraphExecDestroy(graph);
    return status;
}

static int measure_all(wf_cuda *cuda, int count, timing *t, int *best)
{
    float least = 0;
    int status = WF_OK;
    *best = -1;
    for (int i = 0; i < count; i++) {
        float ms;
        t->way = i;
        int failed = measure(cuda, t, &ms);
        if (failed == WF_IO)
            return failed; /* the device is lost */
        status = failed ? failed : status;
        if (!failed && (*best < 0 || ms < least)) {
            *best = i;
            least = ms;
        }
    }
    if (*best >= 0)
        return WF_OK;
    return status ? status : wf_fail(WF_INTERNAL, "cuda: there are no ways to choose from");
}

static int measure_best(wf_cuda *cuda, int count, wf_cuda_way *run, void *user, int *best)
{
    timing t = {run, user, 0, NULL, NULL};
    WF_CUDA(cudaEventCreate(&t.begin));
    cudaError_t e = cudaEventCreate(&t.end);
    if (e) {
        (void)cudaEventDestroy(t.begin);
        return wf_cuda_failed(e, "cudaEventCreate");
    }
    int status = measure_all(cuda, count, &t, best);
    (void)cudaEventDestroy(t.begin);
    (void)cudaEventDestroy(t.end);
    return status;
}

int wf_cuda_choose(wf_cuda *cuda, const char *key, int count, wf_cuda_way *run, void *user, int *best)
{
    *best = count == 1 ? 0 : remember(cuda, key, count);
    if (*best >= 0)
        return WF_OK;
    int first = recall(cuda, key, count);
    if (first < 0) {
        WF_TRY(measure_best(cuda, count, run, user, best));
        keep(cuda, key, *best);
        first = recall(cuda, key, count); /* another process may have been first: all must use its choice */
    }
    *best = settle(cuda, key, first >= 0 ? first : *best, count);
    return WF_OK;
}

/* Pseudo-random numbers of +-1/2. */
static __global__ void fill(size_t n, bool bf16, void *memory)
{
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    uint32_t h = (uint32_t)i * 2654435761u;
    h = (h ^ h >> 15) * 2246822519u;
    if (i < n)
        wf_cuda_store(memory, bf16, i, (float)(h >> 8) * (1.0f / 16777216) - 0.5f);
}

int wf_cuda_fill(wf_cuda *cuda, bool bf16, size_t n, void *memory)
{
    WF_RUN(fill, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, n, bf16, memory);
    return WF_OK;
}
