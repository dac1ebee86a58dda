/* cuda.h - declarations that the files of the CUDA backend share.
 *
 * All work of a backend goes to one stream, in the order of the calls. The host waits only in `download`,
 * `download_double` and `readback_end`. Kernels are C with launch syntax. They read host values that a recording must
 * read again from device memory (wf_cuda_argument). They sum in a fixed order, without atomics, and give the same bits
 * every time.
 *
 * tests/emulated/ compiles these files with a plain C++ compiler and runs them without a device. For this reason
 * launches go through WF_LAUNCH and dynamic shared memory through WF_SHARED. */
#ifndef WF_CUDA_H
#define WF_CUDA_H

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <cudnn.h>

#include "../backend.h"
#include "../body/body.h"

#ifdef __CUDACC__
#define WF_LAUNCH(kernel, grid, block, shared, stream, ...) kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
#define WF_SHARED(type, name)                                       \
    extern __shared__ __align__(16) unsigned char wf_cuda_shared[]; \
    type *name = (type *)wf_cuda_shared
#endif

/* Memory that grows. Recordings point into it, so outgrown memory lives until the backend is closed. */
typedef struct wf_cuda_pool {
    void *memory;
    size_t bytes;
    void *outgrown[48];
    int outgrown_count;
} wf_cuda_pool;

/* Pinned memory on the way to the device. */
typedef struct wf_cuda_staging {
    void *memory;
    cudaEvent_t sent;
} wf_cuda_staging;

/* Work on a branch: none, gradients by weights, matrices of linear bijectors. */
typedef enum wf_cuda_branch { WF_CUDA_NO_BRANCH, WF_CUDA_BRANCH_WEIGHTS, WF_CUDA_BRANCH_LINEAR } wf_cuda_branch;

typedef struct wf_cuda {
    wf_backend base; /* first: a wf_backend * of this backend is a wf_cuda * */
    char name[16];
    int device, multiprocessors;
    cudaStream_t stream;
    cudaStream_t side; /* of the branches of recordings */
    cudaEvent_t forked, joined;
    wf_cuda_branch branch; /* what `side` has, and `stream` has not waited for */
    cublasLtHandle_t blas;
    cudnnHandle_t dnn;
    cudnnBackendDescriptor_t properties; /* the card to ask cuDNN about where no device is present; else NULL */
    wf_cuda_pool scratch, workspace;     /* scratch of a slot; workspace of a library call inside a slot */
    wf_cuda_pool side_workspace;         /* workspace of a library call on a branch */
    wf_cuda_staging staging[2];
    int staged; /* index of the next staging buffer */
    char *arguments;
    size_t arguments_used;
    wf_recording *recording; /* being made, or NULL */
    wf_readback *spare;      /* finished read-backs, for reuse */
    char card[96];           /* card and library versions: the key of measured choices */
} wf_cuda;

int wf_cuda_failed(cudaError_t error, const char *what) WF_MUST;
/* The failure of a call of cuDNN or cuBLASLt, which may have been the first to see that the device is lost: WF_IO then,
 * WF_AGAIN if `memory` ran out, else WF_INTERNAL. why: the library's own text. */
int wf_cuda_library_failed(const char *what, const char *why, bool memory) WF_MUST;
#define WF_CUDA(call)                                     \
    do {                                                  \
        cudaError_t wf_cuda_error_ = (call);              \
        if (wf_cuda_error_)                               \
            return wf_cuda_failed(wf_cuda_error_, #call); \
    } while (0)

/* Launches a kernel on a stream, without waiting for a branch. */
#define WF_RUN_ON(stream, kernel, grid, block, shared, ...)          \
    do {                                                             \
        WF_LAUNCH(kernel, grid, block, shared, stream, __VA_ARGS__); \
        cudaError_t wf_cuda_error_ = cudaGetLastError();             \
        if (wf_cuda_error_)                                          \
            return wf_cuda_failed(wf_cuda_error_, #kernel);          \
    } while (0)

/* Launches a kernel on the backend's stream, after the branch. */
#define WF_RUN(kernel, grid, block, shared, ...)                           \
    do {                                                                   \
        WF_TRY(wf_cuda_join(cuda));                                        \
        WF_RUN_ON(cuda->stream, kernel, grid, block, shared, __VA_ARGS__); \
    } while (0)

/* Branches of a recording (record.cu). Work that follows on the backend's stream may run beside that of a branch, as
 * the nodes of a graph do. All work but conv_fold, conv_unfold and the gradient by x waits for the branch first.
 *   fork  returns in *out a stream whose work follows all work before; without a recording, the backend's stream
 *   join  makes the backend's stream wait for the branch */
int wf_cuda_fork(wf_cuda *cuda, wf_cuda_branch branch, cudaStream_t *out) WF_MUST;
int wf_cuda_join(wf_cuda *cuda) WF_MUST;
int wf_cuda_branch_open(wf_cuda *cuda) WF_MUST;
void wf_cuda_branch_close(wf_cuda *cuda);

/* Memory, not cleared; valid until the next call with the same pool, in the order of the stream. */
int wf_cuda_pool_take(wf_cuda *cuda, wf_cuda_pool *pool, size_t bytes, void *out) WF_MUST;

/* Opens the staging buffers; closes them, the pools and the spare read-backs. Close even after a failed open. */
int wf_cuda_memory_open(wf_cuda *cuda) WF_MUST;
void wf_cuda_memory_close(wf_cuda *cuda);

/* Returns in *out device memory in which kernels launched next find the `bytes` at `from`, as they are now. In a
 * recording, each replay reads `from` again. WF_INTERNAL above 16 KiB. */
int wf_cuda_argument(wf_cuda *cuda, const void *from, size_t bytes, void *out) WF_MUST;

/* Chooses the fastest of `count` ways of computing the same result, by measured time, or by an earlier measurement of
 * `key` on file. run enqueues way i on the device; ways that fail are skipped. WF_INTERNAL if all fail. */
typedef int wf_cuda_way(wf_cuda *cuda, void *user, int i);
int wf_cuda_choose(wf_cuda *cuda, const char *key, int count, wf_cuda_way *run, void *user, int *best) WF_MUST;

/* Sets *bad (device) to 1 if an element of g is not finite (adamax.cu). */
int wf_cuda_find_bad(wf_cuda *cuda, size_t n, const float *g, double *bad) WF_MUST;

/* Fills memory with numbers other than zero, for measurements. */
int wf_cuda_fill(wf_cuda *cuda, bool bf16, size_t n, void *memory) WF_MUST;

enum { WF_CUDA_THREADS = 256 };

/* Returns the number of blocks of WF_CUDA_THREADS for n threads. */
static inline unsigned wf_cuda_blocks(size_t n)
{
    return (unsigned)((n + WF_CUDA_THREADS - 1) / WF_CUDA_THREADS);
}

/* Kernels divide indices of 32 bits. WF_USAGE if a launch has more threads than these count. */
static inline int wf_cuda_countable(size_t threads)
{
    WF_CHECK(threads <= UINT32_MAX, WF_USAGE, "cuda: a feature map of %zu parts, at most %u: give a smaller --batch",
             threads, UINT32_MAX);
    return WF_OK;
}

/* A feature map is [N,H,W,padded] in float or bf16, with zeros in the channels beyond C: matrix units need rows of a
 * multiple of 16 bytes. */
static inline int wf_cuda_padded(int channels)
{
    return (channels + 7) / 8 * 8;
}

static __device__ __forceinline__ float wf_cuda_load(const void *map, bool bf16, size_t i)
{
    return bf16 ? __bfloat162float(((const __nv_bfloat16 *)map)[i]) : ((const float *)map)[i];
}

static __device__ __forceinline__ void wf_cuda_store(void *map, bool bf16, size_t i, float value)
{
    if (bf16)
        ((__nv_bfloat16 *)map)[i] = __float2bfloat16(value);
    else
        ((float *)map)[i] = value;
}

/* Sums over the threads of a block, always in the same order; the first thread gets the sum. blockDim.x: a multiple of
 * 32. */
static __device__ __forceinline__ double wf_cuda_block_sum(double value)
{
    __shared__ double warps[32];
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_down_sync(0xffffffffu, value, step);
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = value;
    __syncthreads();
    double sum = 0;
    if (threadIdx.x == 0)
        for (unsigned i = 0; i < blockDim.x / 32; i++)
            sum += warps[i];
    __syncthreads(); /* before the next sum writes there */
    return sum;
}

/* Each function fills its slots of the table. */
void wf_cuda_memory_slots(wf_backend *b);
void wf_cuda_record_slots(wf_backend *b);
void wf_cuda_linear_slots(wf_backend *b);
void wf_cuda_matvec_slots(wf_backend *b);
void wf_cuda_transform_slots(wf_backend *b);
void wf_cuda_lattice_slots(wf_backend *b);
void wf_cuda_noise_slots(wf_backend *b);
void wf_cuda_map_slots(wf_backend *b);
void wf_cuda_attention_slots(wf_backend *b);
void wf_cuda_conv_slots(wf_backend *b);
void wf_cuda_moments_slots(wf_backend *b);
void wf_cuda_adamax_slots(wf_backend *b);
void wf_cuda_muon_slots(wf_backend *b);
void wf_cuda_wavelet_slots(wf_backend *b);

#endif
