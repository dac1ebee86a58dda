/* runtime.cpp - streams that delay work, recordings, memory between guards, and blocks whose threads take turns
 *
 * Variables cause faults, for tests of the messages:
 *   WF_EMULATED_DEVICES=0      no device
 *   WF_EMULATED_MEMORY=BYTES   the device has BYTES of memory
 *   WF_EMULATED_LOST=N         the N-th launch or library call, and everything after it, fails
 *   WF_EMULATED_CLOCK=1, -1    every measured time is longer, or shorter, than the one before: the first way of
 *                              several is the fastest, or the last
 *   WF_EMULATED_TRACE=FILE     at exit, writes the number of calls by name, and the contents of all recordings */
#include "cuda_runtime.h"

#include <deque>
#include <map>
#include <setjmp.h>
#include <memory>
#include <mutex>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <time.h>
#include <ucontext.h>
#include <vector>

struct work {
    const char *name;
    std::function<void()> run;
};

struct emulated_graph {
    std::vector<work> notes;
};

struct emulated_stream {
    std::deque<work> queue;
    emulated_graph *recording = nullptr;
};

struct emulated_event {
    emulated_stream *stream = nullptr;
    std::shared_ptr<bool> arrived = std::make_shared<bool>(true);
    double seconds = 0;
};

static cudaError_t sticky;
static thread_local cudaError_t last;
static long launches;
static std::map<std::string, long> calls;

/* Host threads enter one at a time. */
static std::recursive_mutex entry;
#define LOCK() std::lock_guard<std::recursive_mutex> locked(entry)

static long setting(const char *name, long standard)
{
    const char *text = getenv(name);
    return text ? atol(text) : standard;
}

static void write_trace()
{
    const char *path = getenv("WF_EMULATED_TRACE");
    FILE *file = path ? fopen(path, "w") : nullptr;
    if (!file)
        return;
    for (auto &c : calls)
        fprintf(file, "%s %ld\n", c.first.c_str(), c.second);
    fclose(file);
}

/* Starts every call: counts it, and refuses it once the device is lost. */
static cudaError_t enter(const char *name)
{
    static bool registered = (atexit(write_trace), true);
    (void)registered;
    calls[name]++;
    return sticky;
}
#define ENTER()                             \
    LOCK();                                 \
    do {                                    \
        cudaError_t lost = enter(__func__); \
        if (lost)                           \
            return lost;                    \
    } while (0)

/* -- memory -------------------------------------------------------------------------------------------------------- */

enum { GUARD = 256 };
static std::map<char *, size_t> device_memory, pinned_memory;
static size_t used;

static size_t total_memory()
{
    return (size_t)setting("WF_EMULATED_MEMORY", 8L << 30);
}

static bool guards_intact(const char *memory, size_t bytes)
{
    for (int i = 0; i < GUARD; i++)
        if ((unsigned char)memory[i - GUARD] != 0xa5 || (unsigned char)memory[bytes + (size_t)i] != 0xa5)
            return false;
    return true;
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    ENTER();
    if (used + bytes > total_memory())
        return last = cudaErrorMemoryAllocation;
    char *whole = (char *)aligned_alloc(256, (bytes + 2 * GUARD + 255) / 256 * 256);
    if (!whole)
        return last = cudaErrorMemoryAllocation;
    memset(whole, 0xa5, GUARD);
    memset(whole + GUARD, 0xff, bytes); /* NaN */
    memset(whole + GUARD + bytes, 0xa5, GUARD);
    *memory = whole + GUARD;
    device_memory[whole + GUARD] = bytes;
    used += bytes;
    return cudaSuccess;
}

static void run_all();

cudaError_t cudaFree(void *memory)
{
    LOCK();
    enter(__func__); /* also after a loss */
    if (!memory)
        return sticky;
    run_all(); /* queued work may still use it */
    auto found = device_memory.find((char *)memory);
    if (found == device_memory.end() || !guards_intact(found->first, found->second)) {
        fprintf(stderr, "emulated: memory written beyond its ends, or freed and never allocated\n");
        abort();
    }
    used -= found->second;
    free(found->first - GUARD);
    device_memory.erase(found);
    return sticky;
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    ENTER();
    *memory = malloc(bytes);
    pinned_memory[(char *)*memory] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *memory)
{
    LOCK();
    enter(__func__);
    pinned_memory.erase((char *)memory);
    free(memory);
    return sticky;
}

static bool is_pinned(const void *memory)
{
    auto next = pinned_memory.upper_bound((char *)memory);
    if (next == pinned_memory.begin())
        return false;
    --next;
    return (char *)memory < next->first + next->second;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    LOCK();
    *total = total_memory();
    *available = *total - used;
    return cudaSuccess;
}

/* -- streams ------------------------------------------------------------------------------------------------------- */

static std::map<emulated_stream *, bool> streams;

void emulated_enqueue(cudaStream_t stream, const char *name, std::function<void()> run)
{
    LOCK();
    work w = {name, run};
    if (stream->recording)
        stream->recording->notes.push_back(w);
    else
        stream->queue.push_back(w);
}

static void run_next(emulated_stream *s)
{
    work w = s->queue.front();
    s->queue.pop_front();
    if (!sticky)
        w.run();
}

static void run_all()
{
    for (auto &s : streams)
        while (!s.first->queue.empty())
            run_next(s.first);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    ENTER();
    *stream = new emulated_stream;
    streams[*stream] = true;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    LOCK();
    streams.erase(stream);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    ENTER();
    if (stream->recording)
        return last = cudaErrorStreamCaptureUnsupported;
    while (!stream->queue.empty())
        run_next(stream);
    return sticky;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    ENTER();
    if (kind != cudaMemcpyHostToDevice || is_pinned(from)) {
        emulated_enqueue(stream, __func__, [=]() { memmove(to, from, bytes); });
        return cudaSuccess;
    }
    std::string now((const char *)from, bytes);
    emulated_enqueue(stream, __func__, [=]() { memcpy(to, now.data(), bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    ENTER();
    emulated_enqueue(stream, __func__, [=]() { memset(memory, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    ENTER();
    stream->recording = new emulated_graph;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    ENTER();
    *graph = stream->recording;
    stream->recording = nullptr;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    ENTER();
    *exec = new emulated_graph(*graph);
    for (const work &w : graph->notes)
        calls[std::string("recorded ") + w.name]++;
    calls["recorded"] += (long)graph->notes.size();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    ENTER();
    for (const work &w : exec->notes)
        emulated_enqueue(stream, w.name, w.run);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    ENTER();
    *event = new emulated_event;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    return cudaEventCreate(event);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    LOCK();
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    ENTER();
    auto arrived = std::make_shared<bool>(false);
    event->stream = stream;
    event->arrived = arrived;
    emulated_enqueue(stream, __func__, [=]() {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        event->seconds = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
        *arrived = true;
    });
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    ENTER();
    while (!*event->arrived && !event->stream->queue.empty())
        run_next(event->stream);
    return sticky;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end)
{
    ENTER();
    static long measured;
    long clock = setting("WF_EMULATED_CLOCK", 0);
    *ms = clock ? (float)(1000000 + clock * ++measured) : (float)(1e3 * (end->seconds - begin->seconds));
    return cudaSuccess;
}

/* -- devices ------------------------------------------------------------------------------------------------------- */

enum { VERSION = 13000 };

cudaError_t cudaGetDeviceCount(int *count)
{
    ENTER();
    if (setting("WF_EMULATED_DRIVER", VERSION) < VERSION)
        return cudaErrorInsufficientDriver;
    *count = (int)setting("WF_EMULATED_DEVICES", 1);
    return *count ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaSetDevice(int)
{
    ENTER();
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    ENTER();
    snprintf(p->name, sizeof p->name, "emulated");
    p->totalGlobalMem = total_memory();
    p->major = (int)setting("WF_EMULATED_CAPABILITY", 9);
    p->minor = 0;
    p->multiProcessorCount = 4;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = (int)setting("WF_EMULATED_DRIVER", VERSION);
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetLastError()
{
    LOCK();
    cudaError_t e = sticky ? sticky : last;
    last = cudaSuccess;
    return e;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaErrorMemoryAllocation ? "out of memory"
           : e == cudaErrorIllegalAddress ? "an illegal memory access was encountered"
                                          : "emulated error";
}

/* -- blocks -------------------------------------------------------------------------------------------------------- */

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

enum { STACK = 64 << 10, MOST_THREADS = 1024, MOST_SHARED = 48 << 10 };

/* AddressSanitizer, in programs built with it, must know about other stacks. */
extern "C" {
void __sanitizer_start_switch_fiber(void **kept, const void *bottom, size_t size) __attribute__((weak));
void __sanitizer_finish_switch_fiber(void *kept, const void **bottom, size_t *size) __attribute__((weak));
}

/* ucontext makes a stack; jumps switch between stacks without system calls. */
struct fiber {
    ucontext_t context;
    jmp_buf place;
    bool begun;
    std::unique_ptr<char[]> stack;
    void *kept;
    unsigned thread; /* the thread that runs here, or waits at a barrier */
    bool parked;
};

static std::vector<std::unique_ptr<fiber>> fibers;
static jmp_buf scheduler;
static const void *scheduler_stack;
static void *scheduler_kept;
static size_t scheduler_size;
static fiber *running;
static const std::function<void()> *body;
static unsigned next_thread, count_threads;
static double shuffled[2][MOST_THREADS];
static unsigned shuffles[MOST_THREADS];
static char shared_memory[MOST_SHARED] __attribute__((aligned(256)));

void *emulated_shared()
{
    return shared_memory;
}

static void be_thread(unsigned t)
{
    running->thread = t;
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

static void enter_fiber()
{
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(running->kept, &scheduler_stack, &scheduler_size);
}

/* Returns to the scheduler, until the scheduler resumes this fiber. */
static void leave_fiber()
{
    fiber *self = running;
    if (!_setjmp(self->place)) {
        if (__sanitizer_start_switch_fiber)
            __sanitizer_start_switch_fiber(&self->kept, scheduler_stack, scheduler_size);
        _longjmp(scheduler, 1);
    }
    enter_fiber();
}

/* Runs threads that have not begun, until all have: a kernel without barriers is a plain loop. */
static void fiber_main()
{
    enter_fiber();
    for (;;) {
        while (next_thread < count_threads) {
            be_thread(next_thread++);
            (*body)();
        }
        running->parked = false;
        leave_fiber();
    }
}

static void switch_to(fiber *f)
{
    running = f;
    f->parked = false;
    if (_setjmp(scheduler)) {
        if (__sanitizer_finish_switch_fiber)
            __sanitizer_finish_switch_fiber(scheduler_kept, nullptr, nullptr);
        return;
    }
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(&scheduler_kept, f->stack.get(), STACK);
    if (f->begun)
        _longjmp(f->place, 1);
    f->begun = true;
    setcontext(&f->context);
}

static void resume(fiber *f)
{
    running = f;
    be_thread(f->thread);
    switch_to(f);
}

void __syncthreads()
{
    running->parked = true;
    leave_fiber();
}

/* A thread is at most one barrier ahead of another: two places are enough. */
double emulated_shuffle_down(double value, unsigned step)
{
    unsigned t = running->thread, turn = shuffles[t]++ % 2;
    shuffled[turn][t] = value;
    __syncthreads();
    unsigned from = t % 32 + step < 32 && t + step < count_threads ? t + step : t;
    return shuffled[turn][from];
}

static fiber *take_fiber(size_t i)
{
    if (i == fibers.size()) {
        fibers.push_back(std::unique_ptr<fiber>(new fiber));
        fiber *f = fibers[i].get();
        f->begun = false;
        f->kept = nullptr;
        f->stack.reset(new char[STACK]);
        getcontext(&f->context);
        f->context.uc_stack.ss_sp = f->stack.get();
        f->context.uc_stack.ss_size = STACK;
        f->context.uc_link = nullptr;
        makecontext(&f->context, fiber_main, 0);
    }
    return fibers[i].get();
}

static void run_block()
{
    size_t begun = 0;
    next_thread = 0;
    memset(shuffles, 0, sizeof shuffles);
    while (next_thread < count_threads) { /* up to the first barrier */
        fiber *f = take_fiber(begun++);
        f->thread = next_thread;
        switch_to(f);
    }
    for (bool waiting = true; waiting;) { /* from barrier to barrier; a thread that has ended counts as arrived */
        waiting = false;
        std::vector<fiber *> turn;
        for (size_t i = 0; i < begun; i++)
            if (fibers[i]->parked)
                turn.push_back(fibers[i].get());
        for (fiber *f : turn) {
            resume(f);
            waiting = true;
        }
    }
}

bool emulated_loses_device()
{
    LOCK();
    long lost = setting("WF_EMULATED_LOST", 0);
    if (lost && ++launches >= lost)
        sticky = cudaErrorIllegalAddress;
    return sticky;
}

float emulated_round(double value, int way)
{
    float nearest = (float)value;
    if (way == 1 && (double)nearest > value)
        return nextafterf(nearest, -INFINITY);
    if (way == 2 && (double)nearest < value)
        return nextafterf(nearest, INFINITY);
    return nearest;
}

void emulated_launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                     std::function<void()> thread)
{
    LOCK();
    calls["launch"]++;
    unsigned threads = block.x * block.y * block.z;
    if (!threads || threads > MOST_THREADS || shared > MOST_SHARED || !grid.x || !grid.y || !grid.z || grid.y > 65535 ||
        grid.z > 65535) {
        last = cudaErrorInvalidConfiguration;
        return;
    }
    if (emulated_loses_device())
        return;
    emulated_enqueue(stream, name, [=]() {
        gridDim = grid;
        blockDim = block;
        count_threads = threads;
        body = &thread;
        for (unsigned z = 0; z < grid.z; z++)
            for (unsigned y = 0; y < grid.y; y++)
                for (unsigned x = 0; x < grid.x; x++) {
                    blockIdx = {x, y, z};
                    memset(shared_memory, 0xff, shared); /* the memory of the block before is lost */
                    run_block();
                }
    });
}
