/* cuda_runtime.h - replaces CUDA's header where a plain C++ compiler compiles kernels/cuda, to run without a device
 *
 * This is the part of the public interface that kernels/cuda uses. The work of a stream is put off until the host waits
 * (stream.cpp). The threads of a block take turns at barriers. Copies from pageable memory happen at the call, as a
 * driver may do. The emulation therefore finds wrong arithmetic and indexing, results read too early, buffers reused
 * too early, and missing barriers that matter in the order of turns. WF_EMULATED_STRICT=1 checks more (runtime.cpp).
 * The emulation does not find races in general and does not model speed. */
#ifndef EMULATED_CUDA_RUNTIME_H
#define EMULATED_CUDA_RUNTIME_H

#include <functional>
#include <math.h>
#include <memory>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <tuple>
#include <type_traits>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("wf_shared"))) /* blocks run one after another */

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35,
    cudaErrorDevicesUnavailable = 46,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorECCUncorrectable = 214,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorNotReady = 600,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchTimeout = 702,
    cudaErrorAssert = 710,
    cudaErrorHardwareStackError = 714,
    cudaErrorIllegalInstruction = 715,
    cudaErrorMisalignedAddress = 716,
    cudaErrorInvalidAddressSpace = 717,
    cudaErrorInvalidPc = 718,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureUnjoined = 904,
    cudaErrorStreamCaptureIsolation = 905,
    cudaErrorUnknown = 999
};

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
};
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

typedef struct emulated_stream *cudaStream_t;
typedef struct emulated_event *cudaEvent_t;
typedef struct emulated_graph *cudaGraph_t;
typedef struct emulated_graph *cudaGraphExec_t;

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor, multiProcessorCount;
};

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMemGetInfo(size_t *available, size_t *total);
cudaError_t cudaMalloc(void **memory, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaMallocHost(void **memory, size_t bytes);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end);
cudaError_t cudaGetLastError();
const char *cudaGetErrorString(cudaError_t error);

/* -- kernels ------------------------------------------------------------------------------------------------------- */

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

void __syncthreads();
double emulated_shuffle_down(double value, unsigned step);

static inline double __shfl_down_sync(unsigned, double value, unsigned step)
{
    return emulated_shuffle_down(value, step);
}

static inline uint32_t __float_as_uint(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

void *emulated_shared();
#define WF_SHARED(type, name) type *name = (type *)emulated_shared()

/* Appends work to the stream, or to its recording. name: a string constant, for the trace. */
void emulated_enqueue(cudaStream_t stream, const char *name, std::function<void()> work);

/* Clears bytes between members, which may look like pointers, in a copy that is only searched: gcc 12 also clears bytes
 * of members in arrays of structures. Returns false where the compiler cannot. */
template <typename P> bool emulated_clear_padding(P *p)
{
#if __has_builtin(__builtin_clear_padding)
    if (sizeof(P) <= 512) {
        __builtin_clear_padding(p);
        return true;
    }
#endif
    return !std::is_class<P>::value;
}

/* The bytes of one parameter of a launch. */
struct emulated_parameter {
    std::shared_ptr<const void> value;
    size_t bytes; /* 0: unknown */
    bool pointer;
};
void emulated_launch(const void *kernel, const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                     std::vector<emulated_parameter> parameters, std::function<void()> thread);

/* Arguments are converted and copied at the call, as by a real launch. */
template <typename... P, typename... A>
void emulated_call(void (*kernel)(P...), const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   A... arguments)
{
    static_assert((0 + ... + sizeof(P)) <= 32764, "parameters of one kernel, from CUDA 12.1 on");
    auto values = std::make_shared<std::tuple<P...>>(arguments...);
    std::vector<emulated_parameter> list;
    auto searched = std::make_shared<std::tuple<P...>>(*values);
    auto add = [&](auto &p) {
        size_t bytes = emulated_clear_padding(&p) ? sizeof p : 0;
        list.push_back({{searched, &p}, bytes, std::is_pointer<std::decay_t<decltype(p)>>::value});
    };
    std::apply([&](P &...p) { (add(p), ...); }, *searched);
    emulated_launch((const void *)kernel, name, grid, block, shared, stream, list,
                    [kernel, values]() { std::apply(kernel, *values); });
}
#define WF_LAUNCH(kernel, grid, block, shared, stream, ...) \
    emulated_call(kernel, #kernel, grid, block, shared, stream, __VA_ARGS__)

#endif
