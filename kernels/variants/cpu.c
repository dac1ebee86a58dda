/* cpu.c - chooses between two builds of kernels/cpu, for programs that run on every machine (make DIST=1)
 *
 * The Makefile compiles kernels/cpu for x86-64-v3 and for x86-64-v4, and keeps of each only its opener, under a name of
 * its own. oneDNN's effective instruction set takes part in the choice, so that blocks of channels, which follow oneDNN,
 * are as wide as the registers of the loops. It also makes ONEDNN_MAX_CPU_ISA=AVX2 choose x86-64-v3 for both. */
#include <oneapi/dnnl/dnnl.h>

#include "../backend.h"

int wf_cpu_open_v3(int threads, wf_backend **out) WF_MUST;
int wf_cpu_open_v4(int threads, wf_backend **out) WF_MUST;

int wf_cpu_open(int threads, wf_backend **out)
{
    const int avx512 = dnnl_cpu_isa_avx512_core;
    bool onednn = ((int)dnnl_get_effective_cpu_isa() & avx512) == avx512;
    /* The instructions that x86-64-v4 adds to x86-64-v3, if the system keeps their registers too. */
    bool processor = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                     __builtin_cpu_supports("avx512vl");
    return onednn && processor ? wf_cpu_open_v4(threads, out) : wf_cpu_open_v3(threads, out);
}
