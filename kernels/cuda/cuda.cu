/* cuda.cu - the memory of a device, and copies to it and back */
#include "cuda.h"

#include <stdlib.h>
#include <string.h>

enum { STAGE = 4 << 20 }; /* bytes of one pinned buffer */

/* Errors after which the context cannot be used. */
static bool lost(cudaError_t e)
{
    return e == cudaErrorIllegalAddress || e == cudaErrorLaunchFailure || e == cudaErrorHardwareStackError ||
           e == cudaErrorIllegalInstruction || e == cudaErrorMisalignedAddress || e == cudaErrorInvalidAddressSpace ||
           e == cudaErrorInvalidPc || e == cudaErrorAssert || e == cudaErrorECCUncorrectable ||
           e == cudaErrorLaunchTimeout || e == cudaErrorUnknown;
}

int wf_cuda_failed(cudaError_t e, const char *what)
{
    if (e == cudaErrorMemoryAllocation)
        return wf_fail(WF_AGAIN,
                       "cuda: out of memory in %s: a smaller --batch, --patch or --memory reversible needs less", what);
    if (e == cudaErrorDevicesUnavailable)
        return wf_fail(WF_AGAIN, "cuda: the card admits no more processes (%s)", cudaGetErrorString(e));
    if (lost(e))
        return wf_fail(WF_IO, "cuda: the device is lost (%s); what was saved before is intact", cudaGetErrorString(e));
    return wf_fail(WF_INTERNAL, "cuda: %s: %s", what, cudaGetErrorString(e));
}

/* cuDNN and cuBLASLt report a lost device by codes of many meanings, so CUDA is asked. cudaFree(NULL) does nothing but
 * return the error of earlier work, and is allowed while a stream is recorded. */
int wf_cuda_library_failed(const char *what, const char *why, bool memory)
{
    cudaError_t e = cudaFree(NULL);
    if (e && lost(e))
        return wf_cuda_failed(e, what);
    if (memory)
        return wf_cuda_failed(cudaErrorMemoryAllocation, what);
    return wf_fail(WF_INTERNAL, "cuda: %s: %.200s", what, why);
}

/* -- memory -------------------------------------------------------------------------------------------------------- */

static int cuda_alloc(wf_backend *b, size_t bytes, void **out)
{
    *out = NULL;
    cudaError_t e = cudaMalloc(out, bytes ? bytes : 64);
    if (e == cudaErrorMemoryAllocation) {
        size_t available = 0, total = 0;
        (void)cudaGetLastError(); /* clears the error, which is not sticky */
        (void)cudaMemGetInfo(&available, &total);
        return wf_fail(
            WF_AGAIN,
            "%s: no memory for %zu bytes, %zu of %zu are free: a smaller --batch, --patch or --memory reversible "
            "needs less",
            b->name, bytes, available, total);
    }
    WF_CUDA(e);
    return WF_OK;
}

/* Queued work may still use the memory: cudaFree waits for it. */
static void cuda_free(wf_backend *b, void *memory)
{
    (void)b;
    (void)cudaFree(memory);
}

int wf_cuda_pool_take(wf_cuda *cuda, wf_cuda_pool *pool, size_t bytes, void *out)
{
    if (bytes > pool->bytes) {
        size_t size = bytes > 2 * pool->bytes ? bytes : 2 * pool->bytes;
        void *memory;
        WF_CHECK(pool->outgrown_count < (int)(sizeof pool->outgrown / sizeof *pool->outgrown), WF_INTERNAL,
                 "cuda: scratch has grown too often");
        WF_TRY(cuda_alloc(&cuda->base, size, &memory));
        if (pool->memory)
            pool->outgrown[pool->outgrown_count++] = pool->memory;
        pool->memory = memory;
        pool->bytes = size;
    }
    memcpy(out, &pool->memory, sizeof pool->memory);
    return WF_OK;
}

static void pool_clear(wf_cuda_pool *pool)
{
    (void)cudaFree(pool->memory);
    for (int i = 0; i < pool->outgrown_count; i++)
        (void)cudaFree(pool->outgrown[i]);
}

static int cuda_zero(wf_backend *b, void *memory, size_t bytes)
{
    wf_cuda *cuda = (wf_cuda *)b;
    WF_CUDA(cudaMemsetAsync(memory, 0, bytes, cuda->stream));
    return WF_OK;
}

static int cuda_copy(wf_backend *b, wf_real *to, const wf_real *from, size_t n)
{
    wf_cuda *cuda = (wf_cuda *)b;
    WF_CUDA(cudaMemcpyAsync(to, from, n * sizeof(float), cudaMemcpyDeviceToDevice, cuda->stream));
    return WF_OK;
}

static __global__ void move_runs(wf_runs r, size_t n, float *to, const float *from)
{
    size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n)
        return;
    size_t e = k % r.run, i = k / r.run % r.inner, o = k / r.run / r.inner;
    float *t = to + o * r.to_outer + i * r.to_inner + e;
    float value = from[o * r.from_outer + i * r.from_inner + e];
    *t = r.add ? *t + value : value;
}

static int cuda_copy_runs(wf_backend *b, const wf_runs *runs, wf_real *to, const wf_real *from)
{
    wf_cuda *cuda = (wf_cuda *)b;
    size_t n = runs->outer * runs->inner * runs->run;
    if (n)
        WF_RUN(move_runs, wf_cuda_blocks(n), (unsigned)WF_CUDA_THREADS, 0, *runs, n, (float *)to, (const float *)from);
    return WF_OK;
}

/* -- to the device, through two pinned buffers: one is filled while the other is sent ------------------------------ */

/* Copies n numbers from host memory, which the caller may reuse at once. */
static int cuda_upload(wf_backend *b, wf_real *to, const void *from, wf_dtype dtype, size_t n)
{
    wf_cuda *cuda = (wf_cuda *)b;
    WF_CHECK(dtype == WF_F32 || dtype == WF_F64, WF_INTERNAL, "cuda: upload takes F32 or F64");
    const size_t most = STAGE / sizeof(float);
    for (size_t at = 0; at < n; at += most) {
        size_t count = n - at < most ? n - at : most;
        wf_cuda_staging *s = &cuda->staging[cuda->staged];
        float *stage = (float *)s->memory;
        WF_CUDA(cudaEventSynchronize(s->sent));
        if (dtype == WF_F32)
            memcpy(stage, (const float *)from + at, count * sizeof *stage);
        else
            for (size_t i = 0; i < count; i++)
                stage[i] = (float)((const double *)from)[at + i];
        WF_CUDA(cudaMemcpyAsync((float *)to + at, stage, count * sizeof *stage, cudaMemcpyHostToDevice, cuda->stream));
        WF_CUDA(cudaEventRecord(s->sent, cuda->stream));
        cuda->staged = !cuda->staged;
    }
    return WF_OK;
}

/* -- to the host --------------------------------------------------------------------------------------------------- */

static int fetch(wf_cuda *cuda, void *to, const void *from, size_t bytes)
{
    WF_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, cuda->stream));
    WF_CUDA(cudaStreamSynchronize(cuda->stream));
    return WF_OK;
}

static int cuda_download(wf_backend *b, void *to, wf_dtype dtype, const wf_real *from, size_t n)
{
    WF_CHECK(dtype == WF_F32 || dtype == WF_F64, WF_INTERNAL, "cuda: download gives F32 or F64");
    WF_TRY(fetch((wf_cuda *)b, to, from, n * sizeof(float)));
    if (dtype == WF_F64) /* from the end: the floats lie inside the memory of the doubles */
        for (size_t i = n; i-- > 0;) {
            float value;
            memcpy(&value, (char *)to + i * sizeof value, sizeof value);
            ((double *)to)[i] = (double)value;
        }
    return WF_OK;
}

static int cuda_download_double(wf_backend *b, double *to, const double *from, size_t n)
{
    return fetch((wf_cuda *)b, to, from, n * sizeof *to);
}

struct wf_readback {
    double *values; /* pinned */
    size_t n, room;
    cudaEvent_t arrived;
    wf_readback *next; /* in the list of spare read-backs */
};

static void readback_free(wf_readback *readback)
{
    (void)cudaFreeHost(readback->values);
    if (readback->arrived)
        (void)cudaEventDestroy(readback->arrived);
    free(readback);
}

static int readback_create(size_t n, wf_readback **out)
{
    wf_readback *readback = (wf_readback *)calloc(1, sizeof *readback);
    WF_CHECK(readback, WF_AGAIN, "cuda: out of memory");
    readback->room = n;
    cudaError_t e = cudaMallocHost((void **)&readback->values, (n ? n : 1) * sizeof *readback->values);
    if (!e)
        e = cudaEventCreateWithFlags(&readback->arrived, cudaEventDisableTiming);
    if (e) {
        readback_free(readback);
        return wf_cuda_failed(e, "cudaMallocHost");
    }
    *out = readback;
    return WF_OK;
}

static int cuda_readback_begin(wf_backend *b, const double *from, size_t n, wf_readback **out)
{
    wf_cuda *cuda = (wf_cuda *)b;
    wf_readback **at = &cuda->spare, *readback = NULL;
    while (*at && (*at)->room < n)
        at = &(*at)->next;
    if (*at) {
        readback = *at;
        *at = readback->next;
    } else {
        WF_TRY(readback_create(n, &readback));
    }
    readback->n = n;
    cudaError_t e = cudaMemcpyAsync(readback->values, from, n * sizeof *from, cudaMemcpyDeviceToHost, cuda->stream);
    if (!e)
        e = cudaEventRecord(readback->arrived, cuda->stream);
    if (e) {
        readback_free(readback);
        return wf_cuda_failed(e, "cudaMemcpyAsync");
    }
    *out = readback;
    return WF_OK;
}

static int cuda_readback_end(wf_backend *b, wf_readback *readback, double *to)
{
    wf_cuda *cuda = (wf_cuda *)b;
    cudaError_t e = cudaEventSynchronize(readback->arrived);
    if (!e && to)
        memcpy(to, readback->values, readback->n * sizeof *to);
    readback->next = cuda->spare;
    cuda->spare = readback;
    WF_CUDA(e);
    return WF_OK;
}

int wf_cuda_memory_open(wf_cuda *cuda)
{
    for (int i = 0; i < 2; i++) {
        WF_CUDA(cudaMallocHost(&cuda->staging[i].memory, STAGE));
        WF_CUDA(cudaEventCreateWithFlags(&cuda->staging[i].sent, cudaEventDisableTiming));
    }
    return WF_OK;
}

void wf_cuda_memory_close(wf_cuda *cuda)
{
    pool_clear(&cuda->scratch);
    pool_clear(&cuda->workspace);
    for (int i = 0; i < 2; i++) {
        (void)cudaFreeHost(cuda->staging[i].memory);
        if (cuda->staging[i].sent)
            (void)cudaEventDestroy(cuda->staging[i].sent);
    }
    while (cuda->spare) {
        wf_readback *readback = cuda->spare;
        cuda->spare = readback->next;
        readback_free(readback);
    }
}

void wf_cuda_memory_slots(wf_backend *b)
{
    b->alloc = cuda_alloc;
    b->free = cuda_free;
    b->upload = cuda_upload;
    b->download = cuda_download;
    b->download_double = cuda_download_double;
    b->readback_begin = cuda_readback_begin;
    b->readback_end = cuda_readback_end;
    b->zero = cuda_zero;
    b->copy = cuda_copy;
    b->copy_runs = cuda_copy_runs;
}
