/* amx.c - finds AMX, and asks the system for its registers
 *
 * Linux gives the 8 kB of tile registers only to processes that ask for them, before their first use; a process whose
 * signal stacks are too small for them is refused. The permission holds for all threads, those to come too. Without it
 * convolutions are the library's, which asks in the same way for its own kernels. */
#include "amx.h"

#if defined WF_TILES_EMULATED

wf_amx_state wf_amx_find(void)
{
    return WF_AMX_READY;
}

#elif defined __x86_64__ && defined __linux__

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Tiles and their products of bf16 are in the processor, and the system keeps the registers (XTILECFG and XTILEDATA of
 * XCR0). */
static bool has_tiles(void)
{
    unsigned a, b, c, d, low, high;
    const unsigned osxsave = 1u << 27, amx = 1u << 24 | 1u << 22, state = 3u << 17;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
        return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & state) == state && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & amx) == amx;
}

wf_amx_state wf_amx_find(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    if (!has_tiles())
        return WF_AMX_NONE;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) ? WF_AMX_REFUSED : WF_AMX_READY;
}

#else

wf_amx_state wf_amx_find(void)
{
    return WF_AMX_NONE;
}

#endif
