/* faults.cpp - planted faults that the strict stand-in must find, each beside the same program without it
 *
 *     faults --list        a line for each: its name, a tab, and a pattern of the complaint
 *     faults NAME good     exits 0
 *     faults NAME bad      exits 70 with one line on stderr
 *
 * The stand-in complains about most of them. The other kinds give wrong numbers in some order of events, which the
 * program reports itself. */
#include "faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <thread>

cudaStream_t stream;

void must(cudaError_t e)
{
    if (!e)
        return;
    fprintf(stderr, "faults: error %d\n", (int)e);
    exit(71);
}

void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "faults: ");
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    exit(70);
}

void expect(const float *device, float first, float step, const char *what)
{
    float host[N];
    int wrong = 0;
    must(cudaMemcpyAsync(host, device, sizeof host, cudaMemcpyDeviceToHost, stream));
    must(cudaStreamSynchronize(stream));
    for (int i = 0; i < N; i++)
        wrong += !(host[i] == first + step * (float)i);
    if (wrong)
        fail("%s: %d of %d numbers are wrong", what, wrong, (int)N);
}

/* -- kernels ------------------------------------------------------------------------------------------------------- */

static __global__ void count_up(float first, float *x)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    x[i] = first + (float)i;
}

static __global__ void add(float value, float *x)
{
    x[blockIdx.x * blockDim.x + threadIdx.x] += value;
}

struct boxed {
    float value;
    float *x;
};

static __global__ void add_boxed(boxed b)
{
    b.x[threadIdx.x] += b.value;
}

static __global__ void set_byte(size_t at, unsigned char *bytes)
{
    bytes[at] = 1;
}

static __global__ void reverse(bool barrier, float *x)
{
    __shared__ float shared[N];
    shared[threadIdx.x] = x[threadIdx.x];
    if (barrier)
        __syncthreads();
    x[threadIdx.x] = shared[N - 1 - threadIdx.x];
}

/* x[i] = x[i-1] + 1: of one block in turn, or of blocks that must not rely on each other. */
static __global__ void chain(float *x)
{
    for (unsigned i = blockIdx.x; i < N; i += gridDim.x)
        x[i] = i ? x[i - 1] + 1 : 0;
}

static __global__ void copy_from(const float *from, float *x)
{
    x[threadIdx.x] = from[threadIdx.x];
}

static __global__ void add_listed(float value, float *const *list)
{
    list[0][threadIdx.x] += value;
}

/* -- faults in memory ---------------------------------------------------------------------------------------------- */

static void host_reads(bool bad)
{
    float *x = on_device<float>(N), first;
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    must(cudaMemcpyAsync(&first, x, sizeof first, cudaMemcpyDeviceToHost, stream));
    must(cudaStreamSynchronize(stream));
    if ((bad ? *(volatile float *)x : first) != 0)
        exit(71);
}

static void host_pointer(bool bad)
{
    float host[N] = {0}, *x = on_device<float>(N);
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, bad ? host : x);
    must(cudaStreamSynchronize(stream));
}

static void host_member(bool bad)
{
    float host[N] = {0}, *x = on_device<float>(N);
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    WF_LAUNCH(add_boxed, 1, N, 0, stream, boxed{1, bad ? host : x});
    must(cudaStreamSynchronize(stream));
}

static void copy_too_long(bool bad)
{
    float *x = on_device<float>(N), *y = on_device<float>(N);
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    must(cudaMemcpyAsync(y, x, N * sizeof *x + bad, cudaMemcpyDeviceToDevice, stream));
    must(cudaStreamSynchronize(stream));
}

static void freed(bool bad)
{
    float *x = on_device<float>(N), *y = on_device<float>(N);
    must(cudaFree(x));
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, bad ? x : y);
    must(cudaStreamSynchronize(stream));
}

static void freed_in_recording(bool bad)
{
    float *x = on_device<float>(N), *y = on_device<float>(N);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, bad ? x : y);
    must(cudaStreamEndCapture(stream, &graph));
    must(cudaGraphInstantiate(&exec, graph, 0));
    must(cudaFree(x));
    must(cudaGraphLaunch(exec, stream));
    must(cudaStreamSynchronize(stream));
}

static void one_byte(bool bad)
{
    enum { BYTES = 1000 };
    unsigned char *x = on_device<unsigned char>(BYTES);
    WF_LAUNCH(set_byte, 1, 1, 0, stream, (size_t)(bad ? BYTES : BYTES - 1), x);
    must(cudaStreamSynchronize(stream));
}

static void one_byte_before(bool bad)
{
    enum { BYTES = 1000 };
    unsigned char *x = on_device<unsigned char>(BYTES);
    WF_LAUNCH(set_byte, 1, 1, 0, stream, bad ? (size_t)-1 : 0, x);
    must(cudaStreamSynchronize(stream));
}

static void one_page_before(bool bad)
{
    float *x = on_device<float>(N);
    WF_LAUNCH(set_byte, 1, 1, 0, stream, bad ? (size_t)-4096 : 0, (unsigned char *)x);
    must(cudaStreamSynchronize(stream));
}

/* Found when the memory is freed: without WF_EMULATED_STRICT no earlier. */
static void one_byte_freed(bool bad)
{
    enum { BYTES = 1000 };
    unsigned char *x = on_device<unsigned char>(BYTES);
    WF_LAUNCH(set_byte, 1, 1, 0, stream, (size_t)(bad ? BYTES : BYTES - 1), x);
    must(cudaStreamSynchronize(stream));
    must(cudaFree(x));
}

/* The address of freed memory lies in device memory, where no check of parameters sees it. */
static void freed_listed(bool bad)
{
    float *x = on_device<float>(N), **list = on_device<float *>(1);
    must(cudaMemcpyAsync(list, &x, sizeof x, cudaMemcpyHostToDevice, stream));
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    if (bad)
        must(cudaFree(x));
    WF_LAUNCH(add_listed, 1, N, 0, stream, 1.0f, (float *const *)list);
    must(cudaStreamSynchronize(stream));
}

static void freed_twice(bool bad)
{
    float *x = on_device<float>(N);
    must(cudaFree(x));
    must(cudaFree(bad ? x : nullptr));
}

static void device_as_host(bool bad)
{
    float *x = on_device<float>(N), *y = on_device<float>(N);
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    must(cudaMemcpyAsync(y, x, N * sizeof *x, bad ? cudaMemcpyDeviceToHost : cudaMemcpyDeviceToDevice, stream));
    must(cudaStreamSynchronize(stream));
}

static void overlapping(bool bad)
{
    float *x = on_device<float>(2 * N);
    must(cudaMemcpyAsync(x + N - bad, x, N * sizeof *x, cudaMemcpyDeviceToDevice, stream));
    must(cudaStreamSynchronize(stream));
}

static void no_host_memory(bool bad)
{
    void *pinned;
    if (cudaMallocHost(&pinned, bad ? (size_t)1 << 62 : (size_t)N))
        fail("pinned memory is refused");
    must(cudaFreeHost(pinned));
}

static void large_block(bool bad)
{
    float *x = on_device<float>(N);
    WF_LAUNCH(add, 1, dim3(1, 1, bad ? 65 : 64), 0, stream, 1.0f, x);
    if (cudaGetLastError())
        fail("a launch is refused");
}

static void one_page(bool bad)
{
    float *x = on_device<float>(N);
    WF_LAUNCH(add, bad ? 2 : 1, N, 0, stream, 1.0f, x);
    must(cudaStreamSynchronize(stream));
}

/* -- faults in recordings and events ------------------------------------------------------------------------------- */

static void capture_waits(bool bad)
{
    float *x = on_device<float>(N);
    cudaGraph_t graph;
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    if (bad)
        must(cudaStreamSynchronize(stream));
    must(cudaStreamEndCapture(stream, &graph));
}

static void capture_allocates(bool bad)
{
    float *x = on_device<float>(N);
    cudaGraph_t graph;
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, bad ? on_device<float>(N) : x);
    must(cudaStreamEndCapture(stream, &graph));
}

static void capture_frees(bool bad)
{
    float *x = on_device<float>(N), *y = on_device<float>(N);
    cudaGraph_t graph;
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    if (bad)
        must(cudaFree(y));
    must(cudaStreamEndCapture(stream, &graph));
}

/* A replay copies from an array that lives no longer than this function. */
static void capture_pageable(bool bad)
{
    float host[N] = {0}, *x = on_device<float>(N), *pinned;
    cudaGraph_t graph;
    must(cudaMallocHost((void **)&pinned, sizeof host));
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    must(cudaMemcpyAsync(x, bad ? host : pinned, sizeof host, cudaMemcpyHostToDevice, stream));
    must(cudaStreamEndCapture(stream, &graph));
}

static void outside_event(bool bad)
{
    cudaEvent_t event;
    cudaGraph_t graph;
    must(cudaEventCreate(&event));
    if (bad)
        must(cudaEventRecord(event, stream));
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    if (!bad)
        must(cudaEventRecord(event, stream));
    must(cudaStreamWaitEvent(stream, event, 0));
    must(cudaStreamEndCapture(stream, &graph));
}

static void ended_event(bool bad)
{
    cudaEvent_t event;
    cudaGraph_t graph;
    must(cudaEventCreate(&event));
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    must(cudaEventRecord(event, stream));
    must(cudaStreamEndCapture(stream, &graph));
    if (!bad)
        must(cudaEventRecord(event, stream));
    must(cudaStreamWaitEvent(stream, event, 0));
}

static void time_too_early(bool bad)
{
    cudaEvent_t begin, end;
    float ms;
    must(cudaEventCreate(&begin));
    must(cudaEventCreate(&end));
    must(cudaEventRecord(begin, stream));
    must(cudaEventRecord(end, stream));
    if (!bad)
        must(cudaEventSynchronize(end));
    must(cudaEventElapsedTime(&ms, begin, end));
}

static void no_time(bool bad)
{
    cudaEvent_t begin, end;
    float ms;
    must(cudaEventCreate(&begin));
    must(cudaEventCreateWithFlags(&end, bad ? cudaEventDisableTiming : 0));
    must(cudaEventRecord(begin, stream));
    must(cudaEventRecord(end, stream));
    must(cudaStreamSynchronize(stream));
    must(cudaEventElapsedTime(&ms, begin, end));
}

static void capture_loads(bool bad)
{
    float *x = on_device<float>(N);
    cudaGraph_t graph;
    if (!bad)
        WF_LAUNCH(add, 1, N, 0, stream, 1.0f, x);
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    WF_LAUNCH(add, 1, N, 0, stream, 1.0f, x);
    must(cudaStreamEndCapture(stream, &graph));
}

/* Records x = 0, 1, .. and x += 1 on a branch. */
static cudaGraphExec_t branched(float *x, bool forks, bool joins)
{
    cudaStream_t side;
    cudaEvent_t event;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    must(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
    must(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    WF_LAUNCH(add, 1, N, 0, stream, 1.0f, x);
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    if (!forks) {
        must(cudaEventRecord(event, stream)); /* before the work that the branch needs */
        must(cudaStreamWaitEvent(side, event, 0));
    }
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    if (forks) {
        must(cudaEventRecord(event, stream));
        must(cudaStreamWaitEvent(side, event, 0));
    }
    WF_LAUNCH(add, 1, N, 0, side, 1.0f, x);
    if (joins) {
        must(cudaEventRecord(event, side));
        must(cudaStreamWaitEvent(stream, event, 0));
    }
    must(cudaStreamEndCapture(stream, &graph));
    must(cudaGraphInstantiate(&exec, graph, 0));
    return exec;
}

static void branch_not_joined(bool bad)
{
    (void)branched(on_device<float>(N), true, !bad);
}

static void branch_too_early(bool bad)
{
    float *x = on_device<float>(N);
    cudaGraphExec_t exec = branched(x, !bad, true);
    for (int i = 0; i < 20; i++) {
        must(cudaGraphLaunch(exec, stream));
        expect(x, 1, 1, "a branch");
    }
}

static void no_barrier(bool bad)
{
    float *x = on_device<float>(N);
    WF_LAUNCH(count_up, 1, N, 0, stream, 0.0f, x);
    WF_LAUNCH(reverse, 1, N, 0, stream, !bad, x);
    expect(x, N - 1, -1, "threads");
}

static void block_order(bool bad)
{
    float *x = on_device<float>(N);
    WF_LAUNCH(chain, bad ? N : 1, 1, 0, stream, x);
    expect(x, 0, 1, "blocks");
}

/* Refills pinned memory that a copy may not have read yet. */
static void refilled(bool bad)
{
    float *x = on_device<float>(N), *pinned;
    must(cudaMallocHost((void **)&pinned, N * sizeof *pinned));
    for (int i = 0; i < N; i++)
        pinned[i] = (float)i;
    must(cudaMemcpyAsync(x, pinned, N * sizeof *x, cudaMemcpyHostToDevice, stream));
    if (!bad)
        must(cudaStreamSynchronize(stream));
    memset(pinned, 0, N * sizeof *pinned);
    expect(x, 0, 1, "a late stream");
    must(cudaFreeHost(pinned));
}

/* Fills pinned memory after the call that reads it. */
static void filled_late(bool bad)
{
    float *x = on_device<float>(N), *y = on_device<float>(N), *pinned;
    must(cudaMallocHost((void **)&pinned, N * sizeof *pinned));
    memset(pinned, 0, N * sizeof *pinned);
    for (int turn = 0; turn < 2; turn++) {
        if (turn == (bad ? 0 : 1))
            must(cudaMemcpyAsync(x, pinned, N * sizeof *x, cudaMemcpyHostToDevice, stream));
        for (int i = 0; i < N && turn == 0; i++)
            pinned[i] = (float)i;
    }
    WF_LAUNCH(copy_from, 1, N, 0, stream, (const float *)x, y);
    expect(y, 0, 1, "an early stream");
    must(cudaFreeHost(pinned));
}

static void other_device(bool bad)
{
    cudaStream_t own;
    must(cudaSetDevice(1));
    must(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
    float *x = on_device<float>(N);
    std::thread([=]() {
        if (!bad)
            must(cudaSetDevice(1));
        WF_LAUNCH(count_up, 1, N, 0, own, 0.0f, x);
        must(cudaStreamSynchronize(own));
    }).join();
}

static void other_memory(bool bad)
{
    float *x = on_device<float>(N);
    cudaStream_t own;
    must(cudaSetDevice(1));
    must(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
    float *y = on_device<float>(N);
    WF_LAUNCH(count_up, 1, N, 0, own, 0.0f, bad ? x : y);
    must(cudaStreamSynchronize(own));
}

static void other_event(bool bad)
{
    cudaEvent_t event;
    cudaStream_t own;
    if (!bad)
        must(cudaSetDevice(1));
    must(cudaEventCreate(&event));
    must(cudaSetDevice(1));
    must(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
    must(cudaEventRecord(event, own));
    must(cudaStreamSynchronize(own));
}

static const struct fault {
    const char *name;
    void (*run)(bool bad);
    const char *complaint, *variable, *value;
} faults[] = {
    {"host_reads", host_reads, "the host reads or writes device memory, byte 0 of 1024", NULL, NULL},
    {"host_pointer", host_pointer, "count_up: a parameter is host memory", NULL, NULL},
    {"host_member", host_member, "add_boxed: a parameter's member is host memory", NULL, NULL},
    {"copy_too_long", copy_too_long, "has 1025 bytes, of which 1024 are allocated", NULL, NULL},
    {"short_operand", short_operand, "the result has 1024 bytes, of which 1020 are allocated", NULL, NULL},
    {"freed", freed, "a parameter is device memory that was freed", NULL, NULL},
    {"freed_in_recording", freed_in_recording, "a parameter is device memory that was freed", NULL, NULL},
    {"one_byte", one_byte, "set_byte writes beyond the ends of 1000 bytes", NULL, NULL},
    {"one_byte_before", one_byte_before, "set_byte writes beyond the ends of 1000 bytes", NULL, NULL},
    {"one_page_before", one_page_before, "set_byte reads or writes .* bytes before the start of 1024 bytes", NULL,
     NULL},
    {"one_byte_freed", one_byte_freed, "device memory of 1000 bytes was written beyond its ends", "WF_EMULATED_STRICT",
     "0"},
    {"freed_listed", freed_listed, "add_listed reads or writes device memory that was freed", NULL, NULL},
    {"freed_twice", freed_twice, "cudaFree of memory that was freed", NULL, NULL},
    {"device_as_host", device_as_host, "cudaMemcpyAsync: device memory is named as host memory", NULL, NULL},
    {"overlapping", overlapping, "cudaMemcpyAsync: source and target overlap", NULL, NULL},
    {"no_host_memory", no_host_memory, "pinned memory is refused", NULL, NULL},
    {"large_block", large_block, "a launch is refused", NULL, NULL},
    {"one_page", one_page, "add reads or writes .* bytes beyond the end of 1024 bytes", NULL, NULL},
    {"capture_waits", capture_waits, "cudaStreamSynchronize while this thread records", NULL, NULL},
    {"capture_allocates", capture_allocates, "cudaMalloc while this thread records", NULL, NULL},
    {"capture_frees", capture_frees, "cudaFree while this thread records", NULL, NULL},
    {"capture_pageable", capture_pageable, "a recording reads pageable memory", NULL, NULL},
    {"outside_event", outside_event, "a recording waits for an event from outside of it", NULL, NULL},
    {"ended_event", ended_event, "a stream waits for an event of a recording that has ended", NULL, NULL},
    {"time_too_early", time_too_early, "the device has not come to both events", NULL, NULL},
    {"no_time", no_time, "an event has no time", NULL, NULL},
    {"capture_loads", capture_loads, "add is launched for the first time while a stream records", NULL, NULL},
    {"branch_not_joined", branch_not_joined, "before a forked stream has joined", NULL, NULL},
    {"branch_too_early", branch_too_early, "a branch: 256 of 256 numbers are wrong", NULL, NULL},
    {"no_barrier", no_barrier, "threads: [0-9]+ of 256 numbers are wrong", NULL, NULL},
    {"block_order", block_order, "blocks: [0-9]+ of 256 numbers are wrong", NULL, NULL},
    {"refilled", refilled, "a late stream: 255 of 256 numbers are wrong", NULL, NULL},
    {"filled_late", filled_late, "an early stream: 255 of 256 numbers are wrong", "WF_EMULATED_STREAMS", "eager"},
    {"other_device", other_device, "on a stream of device 1, by a thread whose device is 0", "WF_EMULATED_DEVICES",
     "2"},
    {"other_memory", other_memory, "memory of device 0, used on device 1", "WF_EMULATED_DEVICES", "2"},
    {"other_event", other_event, "an event of device 0 on a stream of device 1", "WF_EMULATED_DEVICES", "2"},
    {"short_workspace", short_workspace, "the workspace has 8192 bytes, of which 8191 are allocated", NULL, NULL},
    {"no_workspace", no_workspace, "without a workspace: 256 of 256 numbers are wrong", NULL, NULL},
    {"kept_workspace", kept_workspace, "a workspace: 256 of 256 numbers are wrong", NULL, NULL},
    {"unordered", unordered, "a product: run [0-9]+ gives other bits", NULL, NULL},
    {"unsupported", unsupported, "does not run: 256 of 256 numbers are wrong", NULL, NULL},
    {"lost", lost, "cublasLtMatmul after the loss of the device", "WF_EMULATED_LOST", "2"},
    {"short_result", short_result, "an operand has 1024 bytes, of which 1020 are allocated", NULL, NULL},
    {"short_room", short_room, "cudnnBackendExecute: the workspace has 8192 bytes, of which 8191", NULL, NULL},
    {"unordered_engine", unordered_engine, "a convolution: run [0-9]+ gives other bits", NULL, NULL},
};

int main(int argc, char **argv)
{
    bool list = argc == 2 && !strcmp(argv[1], "--list"), bad = argc == 3 && !strcmp(argv[2], "bad");
    if (!list && !bad && !(argc == 3 && !strcmp(argv[2], "good"))) {
        fprintf(stderr, "faults: expected --list, or NAME good, or NAME bad\n");
        return 64;
    }
    setenv("WF_EMULATED_STRICT", "1", 1);
    for (const fault &f : faults) {
        if (list)
            printf("%s\t%s\n", f.name, f.complaint);
        if (list || strcmp(f.name, argv[1]) != 0)
            continue;
        if (f.variable)
            setenv(f.variable, f.value, 1);
        must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        f.run(bad);
        return 0;
    }
    return list ? 0 : 64;
}
