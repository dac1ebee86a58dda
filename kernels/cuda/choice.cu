/* choice.cu - chooses the fastest of several ways, measured once for a shape on a card and kept in a file
 *
 * The choice decides the last bits of a result, so a resumed training must find the choice that it began with: the file
 * keeps it. One choice is one line, "card | key<tab>number"; the first line with a key counts. */
#include "cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 512, WARM = 2, TIMED = 10 };

static void full_key(const wf_cuda *cuda, const char *key, char out[LINE])
{
    snprintf(out, LINE, "%s | %s", cuda->card, key);
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

static int measure(wf_cuda *cuda, wf_cuda_way *run, void *user, int i, cudaEvent_t begin, cudaEvent_t end, float *ms)
{
    for (int k = 0; k < WARM; k++)
        WF_TRY(run(cuda, user, i));
    WF_CUDA(cudaEventRecord(begin, cuda->stream));
    for (int k = 0; k < TIMED; k++)
        WF_TRY(run(cuda, user, i));
    WF_CUDA(cudaEventRecord(end, cuda->stream));
    WF_CUDA(cudaEventSynchronize(end));
    WF_CUDA(cudaEventElapsedTime(ms, begin, end));
    return WF_OK;
}

static int measure_all(wf_cuda *cuda, int count, wf_cuda_way *run, void *user, cudaEvent_t begin, cudaEvent_t end,
                       int *best)
{
    float least = 0;
    int status = WF_OK;
    *best = -1;
    for (int i = 0; i < count; i++) {
        float ms;
        int failed = measure(cuda, run, user, i, begin, end, &ms);
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

int wf_cuda_choose(wf_cuda *cuda, const char *key, int count, wf_cuda_way *run, void *user, int *best)
{
    *best = count == 1 ? 0 : recall(cuda, key, count);
    if (*best >= 0)
        return WF_OK;
    cudaEvent_t begin, end;
    WF_CUDA(cudaEventCreate(&begin));
    cudaError_t e = cudaEventCreate(&end);
    if (e) {
        (void)cudaEventDestroy(begin);
        return wf_cuda_failed(e, "cudaEventCreate");
    }
    int status = measure_all(cuda, count, run, user, begin, end, best);
    (void)cudaEventDestroy(begin);
    (void)cudaEventDestroy(end);
    if (status)
        return status;
    keep(cuda, key, *best);
    int first = recall(cuda, key, count); /* another process may have been first: all must use its choice */
    *best = first >= 0 ? first : *best;
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
