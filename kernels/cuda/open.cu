/* open.cu - opens a device and fills the table of the CUDA backend */
#include "cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void cuda_close(wf_backend *b)
{
    if (!b)
        return;
    wf_cuda *cuda = (wf_cuda *)b;
    if (cuda->stream)
        (void)cudaStreamSynchronize(cuda->stream);
    if (cuda->dnn)
        (void)cudnnDestroy(cuda->dnn);
    if (cuda->blas)
        (void)cublasLtDestroy(cuda->blas);
    (void)cudaFree(cuda->arguments);
    wf_cuda_memory_close(cuda);
    wf_cuda_branch_close(cuda);
    if (cuda->stream)
        (void)cudaStreamDestroy(cuda->stream);
    free(cuda);
}

/* Four tiles of 128 pixels on each multiprocessor, or fewer if 16 maps of 1024 floats a pixel would fill the memory. */
static int64_t saturating_pixels(const wf_cuda *cuda)
{
    int64_t busy = (int64_t)cuda->multiprocessors * 4 * 128, fit = (int64_t)(cuda->base.memory >> 16), least = 4096;
    int64_t pixels = busy < fit ? busy : fit;
    return pixels > least ? pixels : least;
}

static int describe(wf_cuda *cuda)
{
    cudaDeviceProp p;
    int driver = 0, runtime = 0;
    int dnn = (int)cudnnGetVersion();
    WF_CUDA(cudaGetDeviceProperties(&p, cuda->device));
    WF_CHECK(p.major >= 8, WF_USAGE, "cuda: %.40s has compute capability %d.%d, expected 8.0 or later", p.name, p.major,
             p.minor);
    WF_CUDA(cudaDriverGetVersion(&driver));
    WF_CUDA(cudaRuntimeGetVersion(&runtime));
    cuda->multiprocessors = p.multiProcessorCount;
    cuda->base.memory = p.totalGlobalMem / 4 * 3;
    cuda->base.pixels = saturating_pixels(cuda);
    snprintf(cuda->base.device, sizeof cuda->base.device, "%.40s, %d GiB, driver %d.%d, CUDA %d.%d, cuDNN %d.%d.%d",
             p.name, (int)(p.totalGlobalMem >> 30), driver / 1000, driver % 1000 / 10, runtime / 1000,
             runtime % 1000 / 10, dnn / 10000, dnn / 100 % 100, dnn % 100);
    snprintf(cuda->card, sizeof cuda->card, "%.48s dnn=%d blas=%zu", p.name, dnn, cublasLtGetVersion());
    return WF_OK;
}

/* Says why CUDA counts no device. One error stands for a driver that is missing and one that is too old. */
static int refuse(cudaError_t e)
{
    int driver = 0, runtime = 0;
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    WF_CHECK(e != cudaErrorInsufficientDriver || driver, WF_USAGE,
             "cuda: NVIDIA's driver (libcuda.so.1) is not installed");
    WF_CHECK(e != cudaErrorInsufficientDriver, WF_USAGE,
             "cuda: the driver is for CUDA %d.%d, expected %d.%d or later: install a newer driver", driver / 1000,
             driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (e && e != cudaErrorNoDevice)
        return wf_fail(WF_INTERNAL, "cuda: %s (error %d)", cudaGetErrorString(e), (int)e);
    WF_CHECK(!visible, WF_USAGE, "cuda: the driver shows no card, with CUDA_VISIBLE_DEVICES=%.40s", visible);
    return wf_fail(WF_USAGE, "cuda: the driver shows no card");
}

static int start(wf_cuda *cuda)
{
    int devices = 0;
    cudaError_t e = cudaGetDeviceCount(&devices);
    if (e || devices < 1)
        return refuse(e);
    WF_CHECK(cuda->device < devices, WF_USAGE, "cuda:%d: no such card: there %s %d, counted from 0", cuda->device,
             devices == 1 ? "is" : "are", devices);
    WF_CUDA(cudaSetDevice(cuda->device));
    WF_TRY(describe(cuda));
    WF_CUDA(cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking));
    WF_TRY(wf_cuda_memory_open(cuda));
    WF_TRY(wf_cuda_branch_open(cuda));
    cublasStatus_t blas = cublasLtCreate(&cuda->blas);
    if (blas)
        return wf_cuda_library_failed("cuBLASLt does not start", cublasLtGetStatusString(blas), false);
    cudnnStatus_t dnn = cudnnCreate(&cuda->dnn);
    if (dnn)
        return wf_cuda_library_failed("cuDNN does not start", cudnnGetErrorString(dnn), false);
    dnn = cudnnSetStream(cuda->dnn, cuda->stream);
    WF_CHECK(!dnn, WF_INTERNAL, "cuda: cudnnSetStream fails: %s", cudnnGetErrorString(dnn));
    return WF_OK;
}

static void fill_table(wf_cuda *cuda)
{
    wf_backend *b = &cuda->base;
    snprintf(cuda->name, sizeof cuda->name, "cuda:%d", cuda->device);
    b->name = cuda->name;
    b->real = sizeof(float);
    b->bf16 = true;
    b->queued = true;
    b->threads = 1;
    b->close = cuda_close;
    wf_cuda_memory_slots(b);
    wf_cuda_record_slots(b);
    wf_cuda_linear_slots(b);
    wf_cuda_matvec_slots(b);
    wf_cuda_transform_slots(b);
    wf_cuda_lattice_slots(b);
    wf_cuda_noise_slots(b);
    wf_cuda_map_slots(b);
    wf_cuda_attention_slots(b);
    wf_cuda_conv_slots(b);
    wf_cuda_moments_slots(b);
    wf_cuda_adamax_slots(b);
    wf_cuda_muon_slots(b);
    wf_cuda_wavelet_slots(b);
}

/* The only symbol of the plugin. Opens card number `device`. Errors: WF_USAGE no device or driver, WF_AGAIN its memory
 * or its time belongs to another process, WF_INTERNAL, WF_IO. */
extern "C" int wf_cuda_open(int device, int threads, wf_backend **out)
{
    (void)threads; /* the host only makes the calls */
    *out = NULL;
    wf_cuda *cuda = (wf_cuda *)calloc(1, sizeof *cuda);
    WF_CHECK(cuda, WF_AGAIN, "cuda: out of memory");
    cuda->device = device;
    fill_table(cuda);
    int status = start(cuda);
    if (status) {
        cuda_close(&cuda->base);
        return status;
    }
    *out = &cuda->base;
    return WF_OK;
}
