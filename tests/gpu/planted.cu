/* planted.cu - a fault for each tool of compute-sanitizer: a tool that does not find it would find no other
 *
 *     planted memcheck | racecheck | initcheck
 *
 * Exits 0 if the kernel ran, whatever it did; 64 and 74 as programs do. */
#include <cuda_runtime.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 64 };

/* Reads one number behind the end, which the allocation's granularity hides from the hardware. */
static __global__ void planted_memcheck(const int *from, int *to)
{
    to[threadIdx.x] = from[threadIdx.x + 1];
}

/* Reads what another warp writes, without a barrier. */
static __global__ void planted_racecheck(const int *from, int *to)
{
    __shared__ int shared[THREADS];
    shared[threadIdx.x] = from[threadIdx.x];
    to[threadIdx.x] = shared[(threadIdx.x + THREADS / 2) % THREADS];
}

/* Reads memory that nothing has written. */
static __global__ void planted_initcheck(const int *from, int *to)
{
    to[threadIdx.x] = from[threadIdx.x];
}

static const struct {
    const char *tool;
    void (*kernel)(const int *, int *);
    bool clears;
} faults[] = {{"memcheck", planted_memcheck, true},
              {"racecheck", planted_racecheck, true},
              {"initcheck", planted_initcheck, false}};

int main(int argc, char **argv)
{
    int *from = NULL, *to = NULL;
    for (auto &f : faults) {
        if (argc != 2 || strcmp(argv[1], f.tool) != 0)
            continue;
        cudaError_t e = cudaMalloc(&from, THREADS * sizeof *from);
        e = e ? e : cudaMalloc(&to, THREADS * sizeof *to);
        e = e || !f.clears ? e : cudaMemset(from, 0, THREADS * sizeof *from);
        if (!e)
            f.kernel<<<1, THREADS>>>(from, to);
        e = e ? e : cudaGetLastError();
        e = e ? e : cudaDeviceSynchronize();
        if (e)
            fprintf(stderr, "planted: %s\n", cudaGetErrorString(e));
        return e ? 74 : 0;
    }
    fprintf(stderr, "planted: expected memcheck, racecheck or initcheck\n");
    return 64;
}
