/* runtime.cpp - devices, errors, and blocks whose threads take turns
 *
 * Variables cause faults, for tests of the messages:
 *   WF_EMULATED_DEVICES=0      no device
 *   WF_EMULATED_MEMORY=BYTES   the device has BYTES of memory
 *   WF_EMULATED_LOST=N         the N-th launch or library call, and everything after it, fails
 *   WF_EMULATED_CLOCK=1, -1    every measured time is longer, or shorter, than the one before: the first way of
 *                              several is the fastest, or the last
 *   WF_EMULATED_TRACE=FILE     at exit, writes the number of calls by name, and the contents of all recordings
 * and order what a device leaves open:
 *   WF_EMULATED_STREAMS=eager|mixed   work of streams runs at the call, or at random places; else late (stream.cpp)
 *   WF_EMULATED_STRICT=1       device memory is out of the host's reach, with ends that are watched and addresses that
 *                              are used once (memory.cpp); pointers and extents are checked; blocks, threads and nodes
 *                              of recordings run in random order; recordings and devices of threads obey the rules;
 *                              one library algorithm of each kind fails when it runs. A violation ends the program with
 *                              one line.
 *   WF_EMULATED_SEED=N         begins another sequence of random orders */
#include "emulated.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

cudaError_t emulated_sticky;
thread_local cudaError_t emulated_last;
thread_local int emulated_device;
std::map<std::string, long> emulated_calls;
std::recursive_mutex emulated_entry;

long emulated_setting(const char *name, long standard)
{
    const char *text = getenv(name);
    return text ? atol(text) : standard;
}

size_t emulated_random(size_t n)
{
    static uint64_t state = (uint64_t)emulated_setting("WF_EMULATED_SEED", 1);
    uint64_t x = state += 0x9E3779B97F4A7C15u; /* splitmix64 (Steele et al. 2014) */
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return (size_t)((x ^ (x >> 31)) % n);
}

static size_t common_divisor(size_t a, size_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

emulated_order emulated_permutation(size_t n)
{
    emulated_order o = {n, 0, 1};
    if (!emulated_strict() || n < 2)
        return o;
    o.first = emulated_random(n);
    do
        o.step = 1 + emulated_random(n - 1);
    while (common_divisor(o.step, n) != 1);
    return o;
}

static void write_trace()
{
    const char *path = getenv("WF_EMULATED_TRACE");
    FILE *file = path ? fopen(path, "w") : nullptr;
    if (!file)
        return;
    for (auto &c : emulated_calls)
        fprintf(file, "%s %ld\n", c.first.c_str(), c.second);
    fclose(file);
}

cudaError_t emulated_enter(const char *name)
{
    static bool registered = (atexit(write_trace), true);
    (void)registered;
    emulated_calls[name]++;
    return emulated_sticky;
}

/* -- devices ------------------------------------------------------------------------------------------------------- */

enum { VERSION = 13000 };

cudaError_t cudaGetDeviceCount(int *count)
{
    ENTER();
    if (emulated_setting("WF_EMULATED_DRIVER", VERSION) < VERSION)
        return cudaErrorInsufficientDriver;
    *count = (int)emulated_setting("WF_EMULATED_DEVICES", 1);
    return *count ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaSetDevice(int device)
{
    ENTER();
    if (device < 0 || device >= emulated_setting("WF_EMULATED_DEVICES", 1))
        return emulated_last = cudaErrorInvalidDevice;
    emulated_device = device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int)
{
    ENTER();
    snprintf(p->name, sizeof p->name, "emulated");
    p->totalGlobalMem = (size_t)emulated_setting("WF_EMULATED_MEMORY", 8L << 30);
    p->major = (int)emulated_setting("WF_EMULATED_CAPABILITY", 9);
    p->minor = 0;
    p->multiProcessorCount = (int)emulated_setting("WF_EMULATED_PROCESSORS", 4);
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = (int)emulated_setting("WF_EMULATED_DRIVER", VERSION);
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
    cudaError_t e = emulated_sticky ? emulated_sticky : emulated_last;
    emulated_last = cudaSuccess;
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
static emulated_order thread_order;
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
            be_thread((unsigned)thread_order[next_thread++]);
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
    while (next_thread < count_threads) /* up to the first barrier */
        switch_to(take_fiber(begun++));
    for (bool waiting = true; waiting;) { /* from barrier to barrier; a thread that has ended counts as arrived */
        waiting = false;
        std::vector<fiber *> turn;
        for (size_t i = 0; i < begun; i++)
            if (fibers[i]->parked)
                turn.push_back(fibers[i].get());
        emulated_order order = emulated_permutation(turn.size());
        for (size_t i = 0; i < turn.size(); i++) {
            resume(turn[order[i]]);
            waiting = true;
        }
    }
}

/* Variables of __shared__; the linker names the ends of their section. */
extern char __start_wf_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_wf_shared[] __attribute__((weak, visibility("hidden")));

/* The memory of the block before is lost. */
static void forget_shared(size_t dynamic)
{
    memset(shared_memory, 0xff, dynamic);
    if (emulated_strict())
        memset(__start_wf_shared, 0xff, (size_t)(__stop_wf_shared - __start_wf_shared));
}

static void run_grid(dim3 grid, dim3 block, size_t shared)
{
    emulated_order order = emulated_permutation((size_t)grid.x * grid.y * grid.z);
    gridDim = grid;
    blockDim = block;
    count_threads = block.x * block.y * block.z;
    for (size_t i = 0; i < order.n; i++) {
        size_t at = order[i];
        blockIdx = {(unsigned)(at % grid.x), (unsigned)(at / grid.x % grid.y), (unsigned)(at / grid.x / grid.y)};
        thread_order = emulated_permutation(count_threads);
        forget_shared(shared);
        run_block();
    }
}

float emulated_tf32(float x)
{
    uint32_t u;
    if (x != x)
        return x;
    memcpy(&u, &x, sizeof u);
    u = (u + 0xfffu + (u >> 13 & 1)) & ~0x1fffu;
    memcpy(&x, &u, sizeof u);
    return x;
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

void emulated_launch(const void *kernel, const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                     std::vector<emulated_parameter> parameters, std::function<void()> thread)
{
    LOCK();
    emulated_calls["launch"]++;
    unsigned threads = block.x * block.y * block.z;
    if (!threads || threads > MOST_THREADS || block.z > 64 || shared > MOST_SHARED || !grid.x || !grid.y || !grid.z ||
        grid.x > INT32_MAX || grid.y > UINT16_MAX || grid.z > UINT16_MAX) {
        emulated_last = cudaErrorInvalidConfiguration;
        return;
    }
    int device = emulated_stream_device(stream);
    emulated_check_device(name, device);
    if (emulated_loses_device(name))
        return;
    emulated_know(kernel, name, stream);
    for (const emulated_parameter &p : parameters)
        emulated_check_parameter(name, p, device);
    emulated_enqueue(stream, name, [=]() {
        emulated_opening open(name);
        for (const emulated_parameter &p : parameters)
            emulated_check_parameter(name, p, device);
        body = &thread;
        run_grid(grid, block, shared);
    });
}
