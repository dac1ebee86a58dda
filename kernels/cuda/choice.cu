/* choice.cu - chooses the fastest of several ways, measured once for a shape on a card and kept in a file
 *
 * The choice decides the last bits of a result, so a resumed training must find the choice that it began with: the file
 * keeps it (choices.h). Its key is "card | key", its value the way's number. */
#include "cuda.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../lib/base/choices.h"

enum { KEY = 512, TIMED = 10 };

static const float LONG = 2; /* ms */

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

typedef struct numbered {
    int count, way;
} numbered;

/* Reads the value of a choice. False: there is no such way. */
static bool read_way(void *user, const char *value)
{
    numbered *n = (numbered *)user;
    char *end;
    long way = strtol(value, &end, 10);
    n->way = (int)way;
    return end > value && !*end && way >= 0 && way < n->count;
}

int wf_cuda_choose(wf_cuda *cuda, const char *key, int count, wf_cuda_way *run, void *user, int *best)
{
    char full[KEY], value[16];
    numbered n = {count, 0};
    wf_choice kept = {"wavelet-flow.plans", full, read_way, &n};
    snprintf(full, sizeof full, "%s | %s", cuda->card, key);
    if (count > 1 && !wf_choice_find(&kept)) {
        WF_TRY(measure_best(cuda, count, run, user, best));
        snprintf(value, sizeof value, "%d", *best);
        wf_choice_keep(&kept, value);
    }
    *best = n.way;
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
