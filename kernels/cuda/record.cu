/* record.cu - recordings: a stream captured as a graph, and the host values that each replay reads again */
#include "cuda.h"

#include <stdlib.h>
#include <string.h>

enum { SOURCES = 64 }; /* most arguments of a recording */

static const size_t AREA = 32 << 10; /* bytes of arguments in device memory */
static const size_t MOST = AREA / 2; /* most bytes of one argument */
static const size_t CHUNK = 1024;    /* bytes that one kernel's parameter carries */

typedef struct chunk {
    uint32_t words[256]; /* CHUNK bytes */
} chunk;

struct wf_recording {
    cudaGraphExec_t graph;
    char *area; /* device memory */
    size_t used;
    struct source {
        const void *from;
        size_t bytes, at;
    } sources[SOURCES];
    int count;
};

/* A launch copies a kernel's parameters. The host memory may change at once, and nothing waits. */
static __global__ void set_words(chunk values, unsigned count, uint32_t *to)
{
    if (threadIdx.x < count)
        to[threadIdx.x] = values.words[threadIdx.x];
}

static int send(wf_cuda *cuda, const void *from, size_t bytes, char *to)
{
    for (size_t at = 0; at < bytes; at += CHUNK) {
        chunk c;
        size_t part = bytes - at < CHUNK ? bytes - at : CHUNK;
        memset(&c, 0, sizeof c);
        memcpy(&c, (const char *)from + at, part);
        WF_RUN(set_words, 1u, 256u, 0, c, (unsigned)((part + 3) / 4), (uint32_t *)(to + at));
    }
    return WF_OK;
}

static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* The argument of a recorded call is stored, with a place of its own. Otherwise it is written now, into a ring. The
 * stream runs a reader before the next writer of its place. The arguments of one call are too small to overlap in the
 * ring. */
int wf_cuda_argument(wf_cuda *cuda, const void *from, size_t bytes, void *out)
{
    wf_recording *r = cuda->recording;
    WF_CHECK(bytes <= MOST, WF_INTERNAL, "cuda: an argument of %zu bytes, at most %zu", bytes, MOST);
    size_t room = round16(bytes);
    if (r) {
        for (struct wf_recording::source *s = r->sources; s < r->sources + r->count; s++)
            if (s->from == from && s->bytes == bytes) { /* stored before, like the rule of each group's Adamax */
                char *there = r->area + s->at;
                memcpy(out, &there, sizeof there);
                return WF_OK;
            }
        WF_CHECK(r->count < SOURCES && r->used + room <= AREA, WF_INTERNAL, "cuda: a recording has too many arguments");
        char *at = r->area + r->used;
        r->sources[r->count].from = from;
        r->sources[r->count].bytes = bytes;
        r->sources[r->count++].at = r->used;
        r->used += room;
        memcpy(out, &at, sizeof at);
        return WF_OK;
    }
    if (!cuda->arguments)
        WF_CUDA(cudaMalloc((void **)&cuda->arguments, AREA));
    if (cuda->arguments_used + room > AREA)
        cuda->arguments_used = 0;
    char *at = cuda->arguments + cuda->arguments_used;
    cuda->arguments_used += room;
    memcpy(out, &at, sizeof at);
    return send(cuda, from, bytes, at);
}

/* -- branches ------------------------------------------------------------------------------------------------------ */

int wf_cuda_branch_open(wf_cuda *cuda)
{
    WF_CUDA(cudaStreamCreateWithFlags(&cuda->side, cudaStreamNonBlocking));
    WF_CUDA(cudaEventCreateWithFlags(&cuda->forked, cudaEventDisableTiming));
    WF_CUDA(cudaEventCreateWithFlags(&cuda->joined, cudaEventDisableTiming));
    return WF_OK;
}

void wf_cuda_branch_close(wf_cuda *cuda)
{
    if (cuda->forked)
        (void)cudaEventDestroy(cuda->forked);
    if (cuda->joined)
        (void)cudaEventDestroy(cuda->joined);
    if (cuda->side)
        (void)cudaStreamDestroy(cuda->side);
}

int wf_cuda_fork(wf_cuda *cuda, wf_cuda_branch branch, cudaStream_t *out)
{
    *out = cuda->stream;
    if (!cuda->recording)
        return WF_OK;
    WF_TRY(wf_cuda_join(cuda));
    WF_CUDA(cudaEventRecord(cuda->forked, cuda->stream));
    WF_CUDA(cudaStreamWaitEvent(cuda->side, cuda->forked, 0));
    cuda->branch = branch;
    *out = cuda->side;
    return WF_OK;
}

int wf_cuda_join(wf_cuda *cuda)
{
    if (cuda->branch == WF_CUDA_NO_BRANCH)
        return WF_OK;
    cuda->branch = WF_CUDA_NO_BRANCH;
    WF_CUDA(cudaEventRecord(cuda->joined, cuda->side));
    WF_CUDA(cudaStreamWaitEvent(cuda->stream, cuda->joined, 0));
    return WF_OK;
}

/* -- recordings ---------------------------------------------------------------------------------------------------- */

static void forget(wf_backend *b, wf_recording *r)
{
    wf_cuda *cuda = (wf_cuda *)b;
    if (!r)
        return;
    (void)cudaStreamSynchronize(cuda->stream); /* the recording may be running */
    if (r->graph)
        (void)cudaGraphExecDestroy(r->graph);
    (void)cudaFree(r->area);
    free(r);
}

static int record(wf_backend *b)
{
    wf_cuda *cuda = (wf_cuda *)b;
    WF_CHECK(!cuda->recording, WF_INTERNAL, "cuda: already recording");
    wf_recording *r = (wf_recording *)calloc(1, sizeof *r);
    WF_CHECK(r, WF_AGAIN, "cuda: out of memory");
    cudaError_t e = cudaMalloc((void **)&r->area, AREA);
    if (!e) /* relaxed: scratch may grow during the capture */
        e = cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeRelaxed);
    if (e) {
        (void)cudaFree(r->area);
        free(r);
        return wf_cuda_failed(e, "cudaStreamBeginCapture");
    }
    cuda->recording = r;
    return WF_OK;
}

static int recorded(wf_backend *b, wf_recording **out)
{
    wf_cuda *cuda = (wf_cuda *)b;
    wf_recording *r = cuda->recording;
    cudaGraph_t graph = NULL;
    *out = NULL;
    WF_CHECK(r, WF_INTERNAL, "cuda: nothing is being recorded");
    int status = wf_cuda_join(cuda);
    cuda->recording = NULL;
    cudaError_t e = cudaStreamEndCapture(cuda->stream, &graph); /* after a failure too */
    if (!e && !status)
        e = cudaGraphInstantiate(&r->graph, graph, 0);
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (e || status) {
        forget(b, r);
        return status ? status : wf_cuda_failed(e, "cudaGraphInstantiate");
    }
    *out = r;
    return WF_OK;
}

static int replay(wf_backend *b, wf_recording *r)
{
    wf_cuda *cuda = (wf_cuda *)b;
    char values[32 << 10];
    for (int i = 0; i < r->count; i++)
        memcpy(values + r->sources[i].at, r->sources[i].from, r->sources[i].bytes);
    WF_TRY(send(cuda, values, r->used, r->area));
    WF_CUDA(cudaGraphLaunch(r->graph, cuda->stream));
    return WF_OK;
}

void wf_cuda_record_slots(wf_backend *b)
{
    b->record = record;
    b->recorded = recorded;
    b->replay = replay;
    b->forget = forget;
}
