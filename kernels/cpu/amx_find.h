/* amx_find.h - finds AMX, and asks the system for its registers
 *
 * Linux gives the 8 kB of tile registers only to processes that ask for them, before their first use; a process whose
 * signal stacks are too small for them is refused. The permission holds for all threads, those to come too. Without it
 * convolutions are oneDNN's, which asks in the same way for its own kernels. */
#ifndef WF_CPU_AMX_FIND_H
#define WF_CPU_AMX_FIND_H

#if defined __x86_64__ && defined __linux__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* AMX in bf16, as far as this program may use it. */
typedef enum wf_amx_state {
    WF_AMX_NONE,    /* the processor lacks it, or the system does not keep its registers */
    WF_AMX_REFUSED, /* the system refuses this process its registers */
    WF_AMX_READY
} wf_amx_state;

/* Asks processor and system, and the system for the registers. Call it before any thread uses them. */
static inline wf_amx_state wf_amx_find(void)
{
#if defined WF_TILES_EMULATED
    return WF_AMX_READY;
#elif defined __x86_64__ && defined __linux__
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    unsigned a, b, c, d, low, high;
    const unsigned osxsave = 1u << 27, amx = 1u << 24 | 1u << 22; /* AMX-TILE, AMX-BF16 */
    const unsigned state = 3u << 17;                              /* XTILECFG and XTILEDATA, in XCR0 */
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
        return WF_AMX_NONE;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & state) != state || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & amx) != amx)
        return WF_AMX_NONE;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) ? WF_AMX_REFUSED : WF_AMX_READY;
#else
    return WF_AMX_NONE;
#endif
}

#endif
