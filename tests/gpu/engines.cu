/* engines.cu - tests that cuDNN has an engine for every convolution of the published models, without the card
 *
 * cuDNN answers for the card that a device-properties descriptor describes. The descriptor has the fields that cuDNN
 * reports as missing, one by one; their values are the H100's. The test runs no kernel and measures no time. */
#include <stdio.h>
#include <string.h>

#include "../../kernels/cuda/conv.h"

static const char h100[] =
    "{\"deviceName\": \"NVIDIA H100 80GB HBM3\", \"computeCapability\": 900, \"smVersion\": 900, \"deviceVer\": 900, "
    "\"major\": 9, \"minor\": 0, \"driverVer\": 13000, \"rtVer\": 13000, \"cudaDeviceId\": 0, \"pciDeviceId\": 0, "
    "\"isTccDriver\": 0, \"supportCoopLaunch\": 1, \"clusterLaunch\": 1, \"supportClusterLaunch\": 1, "
    "\"multiProcessorCount\": 132, \"totalGlobalMem\": 85000000000, \"l2CacheSize\": 52428800, \"warpSize\": 32, "
    "\"maxGridSize\": [2147483647, 65535, 65535], \"maxBlockSize\": [1024, 1024, 64], \"regsPerBlock\": 65536, "
    "\"maxRegistersPerSM\": 65536, \"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": 2048, \"maxCtasPerSM\": 32, "
    "\"maxSharedMemoryPerBlock\": 49152, \"maxSharedMemoryPerBlockOptin\": 232448, \"maxSharedMemoryPerSM\": 233472, "
    "\"reservedSharedMemoryPerBlock\": 1024, \"smClockRateKHz\": 1980000, \"memClockRateKHz\": 2619000}";

/* Measurements of engines need a card; these functions fail. */
int wf_cuda_pool_take(wf_cuda *, wf_cuda_pool *, size_t, void *)
{
    return wf_fail(WF_INTERNAL, "no card");
}

int wf_cuda_library_failed(const char *what, const char *why, bool)
{
    return wf_fail(WF_INTERNAL, "%s: %s", what, why);
}

int wf_cuda_fill(wf_cuda *, bool, size_t, void *)
{
    return wf_fail(WF_INTERNAL, "no card");
}

int wf_cuda_choose(wf_cuda *, const char *, int, wf_cuda_way *, void *, int *)
{
    return wf_fail(WF_INTERNAL, "no card");
}

/* Pictures, side and width of the convolutions in training and evaluation (lib/model/presets.c). */
static const struct shape {
    int N, side, width;
} shapes[] = {{64, 2, 64},  {64, 2, 128},  {64, 4, 128},  {64, 8, 128},  {64, 16, 128}, {64, 32, 128},
              {64, 8, 256}, {64, 16, 256}, {64, 32, 256}, {4, 256, 128}, {1, 512, 128}};

/* Asks for a direction as conv_dispatch.cu does: first its preferred graph, then its fallback. */
static int engines(wf_cuda *cuda, wf_conv_spec spec, wf_cuda_direction direction, int *count)
{
    wf_cuda_graph g = {};
    g.direction = direction;
    g.spec = spec;
    g.fused = direction == WF_CUDA_FORWARD;
    int status = wf_cuda_graph_engines(cuda, &g, count);
    if (!status || direction == WF_CUDA_DATA)
        return status;
    g.fused = false;
    g.narrow = direction == WF_CUDA_WEIGHTS && spec.precision == WF_BF16;
    return wf_cuda_graph_engines(cuda, &g, count);
}

static cudnnStatus_t describe_card(wf_cuda *cuda)
{
    cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &cuda->properties);
    if (!status)
        status = cudnnBackendSetAttribute(cuda->properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                          sizeof h100, h100);
    return status ? status : cudnnBackendFinalize(cuda->properties);
}

int main(void)
{
    static const char *const precisions[] = {"fp32", "bf16", "tf32"}, *const directions[] = {"forward", "data",
                                                                                             "weights"};
    static wf_cuda cuda;
    int passed = 0, failed = 0;
    cudnnStatus_t status = describe_card(&cuda);
    if (status) {
        printf("skip: engines: this cuDNN takes no description of a card: %s\n0 passed, 0 failed, 1 skipped\n",
               cudnnGetErrorString(status));
        return 0;
    }
    for (const struct shape &s : shapes)
        for (int p = 0; p < 3; p++)
            for (int d = 0; d < WF_CUDA_DIRECTIONS; d++) {
                wf_conv_spec spec = {s.N,  s.side, s.side,          s.width,    s.width, 3,
                                     true, false,  (wf_precision)p, WF_PICTURE, 1};
                int count = 0;
                bool found = !engines(&cuda, spec, (wf_cuda_direction)d, &count) && count > 0;
                if (!found)
                    printf("FAIL engines: %s, %s: %s\n", precisions[p], directions[d], wf_error());
                passed += found;
                failed += !found;
            }
    cudnnBackendDestroyDescriptor(cuda.properties);
    printf("engines: %d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
