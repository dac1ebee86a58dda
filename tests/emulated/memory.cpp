/* memory.cpp - device memory between guards
 *
 * With WF_EMULATED_STRICT=1, each allocation has pages of its own, with an inaccessible page before and after. The host
 * has no access to them except while work of a stream runs. Addresses are never used twice. An allocation ends at the
 * page behind it up to the alignment of 256 bytes; the bytes in between, and those before it, are compared after every
 * piece of work. */
#include "emulated.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARD = 256, ALIGNED = 256, CANARY = 0xa5 };

struct allocation {
    size_t bytes;
    int device;
    char *pages; /* strict: first accessible page; else the start of the heap's memory */
    size_t room; /* strict: bytes of accessible pages */
};

static std::map<char *, allocation> device_memory;
static std::map<char *, size_t> pinned_memory;
static size_t used;
static int openings;
static const char *at_work = "the host"; /* who runs now */

bool emulated_strict()
{
    static const bool strict = emulated_setting("WF_EMULATED_STRICT", 0) != 0;
    return strict;
}

void emulated_complain(const char *format, ...)
{
    char line[512];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (n > 0)
        dprintf(2, "emulated: %s\n", line);
    _exit(70);
}

static size_t total_memory()
{
    return (size_t)emulated_setting("WF_EMULATED_MEMORY", 8L << 30);
}

/* Returns the allocation that `memory` lies in or just behind, or the end. */
static std::map<char *, allocation>::iterator find(const void *memory)
{
    auto next = device_memory.upper_bound((char *)memory);
    if (next == device_memory.begin())
        return device_memory.end();
    --next;
    return (char *)memory <= next->first + next->second.bytes ? next : device_memory.end();
}

/* -- the addresses of strict memory -------------------------------------------------------------------------------- */

static const size_t ADDRESSES = (size_t)1 << 38;
static char *arena, *arena_next;

static size_t page()
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

bool emulated_is_device(const void *memory)
{
    return arena && (char *)memory >= arena && (char *)memory < arena + ADDRESSES;
}

/* Says what an access to protected memory was, and ends the program. Other faults end it as they would without. */
static void faulted(int number, siginfo_t *info, void *)
{
    const char *where = (const char *)info->si_addr;
    if (!emulated_is_device(where)) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    for (auto &a : device_memory) {
        const char *begin = a.first, *end = begin + a.second.bytes;
        if (where >= begin && where < end)
            emulated_complain("%s reads or writes device memory, byte %td of %zu", at_work, where - begin,
                              a.second.bytes);
        if (where >= end && where < a.second.pages + a.second.room + page())
            emulated_complain("%s reads or writes %td bytes beyond the end of %zu bytes of device memory", at_work,
                              where - end, a.second.bytes);
        if (where < begin && where >= a.second.pages - page())
            emulated_complain("%s reads or writes %td bytes before the start of %zu bytes of device memory", at_work,
                              begin - where, a.second.bytes);
    }
    emulated_complain("%s reads or writes device memory that was freed or never allocated", at_work);
}

static bool open_arena()
{
    if (arena)
        return true;
    void *at = mmap((void *)0x200000000000, ADDRESSES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return false;
    arena = (char *)at;
    arena_next = arena + page();
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_sigaction = faulted;
    act.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &act, nullptr);
    sigaction(SIGBUS, &act, nullptr);
    return true;
}

static void protect(const allocation &a, int access)
{
    if (mprotect(a.pages, a.room, access))
        emulated_complain("mprotect fails for %zu bytes", a.room);
}

emulated_opening::emulated_opening(const char *who) : before(at_work)
{
    if (!emulated_strict())
        return;
    at_work = who;
    if (!openings++)
        for (auto &a : device_memory)
            protect(a.second, PROT_READ | PROT_WRITE);
}

emulated_opening::~emulated_opening()
{
    if (!emulated_strict())
        return;
    at_work = before;
    if (!--openings)
        for (auto &a : device_memory)
            protect(a.second, PROT_NONE);
}

/* Takes pages for `bytes` and a page between them and the next ones. */
static char *take_pages(size_t bytes, allocation *a)
{
    size_t size = (bytes + ALIGNED - 1) / ALIGNED * ALIGNED;
    a->room = (size + GUARD + page() - 1) / page() * page();
    if (!open_arena() || a->room + page() > (size_t)(arena + ADDRESSES - arena_next))
        return nullptr;
    a->pages = arena_next;
    arena_next += a->room + page();
    protect(*a, PROT_READ | PROT_WRITE);
    return a->pages + a->room - size;
}

/* Gives the memory back and keeps the addresses. */
static void give_pages(const allocation &a)
{
    if (mmap(a.pages, a.room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        emulated_complain("mmap fails for %zu bytes", a.room);
}

/* -- allocations --------------------------------------------------------------------------------------------------- */

/* Bytes after the allocation that are compared. */
static size_t tail(const char *memory, const allocation &a)
{
    return emulated_strict() ? (size_t)(a.pages + a.room - memory) - a.bytes : (size_t)GUARD;
}

static bool ends_intact(const char *memory, const allocation &a)
{
    size_t after = tail(memory, a);
    for (size_t i = 1; i <= GUARD; i++)
        if ((unsigned char)*(memory - i) != CANARY)
            return false;
    for (size_t i = 0; i < after; i++)
        if ((unsigned char)memory[a.bytes + i] != CANARY)
            return false;
    return true;
}

void emulated_check_ends(const char *who)
{
    if (!emulated_strict())
        return;
    for (auto &a : device_memory)
        if (!ends_intact(a.first, a.second))
            emulated_complain("%s writes beyond the ends of %zu bytes of device memory", who, a.second.bytes);
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    ENTER();
    emulated_not_recording(__func__);
    if (used + bytes > total_memory())
        return emulated_last = cudaErrorMemoryAllocation;
    allocation a = {bytes, emulated_device, nullptr, 0};
    char *at;
    if (emulated_strict()) {
        at = take_pages(bytes, &a);
    } else {
        a.pages = (char *)aligned_alloc(ALIGNED, (bytes + 2 * GUARD + ALIGNED - 1) / ALIGNED * ALIGNED);
        at = a.pages ? a.pages + GUARD : nullptr;
    }
    if (!at)
        return emulated_last = cudaErrorMemoryAllocation;
    memset(at - GUARD, CANARY, GUARD);
    memset(at, 0xff, bytes); /* NaN */
    memset(at + bytes, CANARY, tail(at, a));
    if (emulated_strict() && !openings)
        protect(a, PROT_NONE);
    *memory = at;
    device_memory[at] = a;
    used += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    LOCK();
    emulated_enter(__func__); /* also after a loss */
    if (!memory)
        return emulated_sticky;
    emulated_not_recording(__func__);
    emulated_run_all(); /* queued work may still use it */
    auto found = device_memory.find((char *)memory);
    if (found == device_memory.end())
        emulated_complain("cudaFree of memory that was freed or never allocated");
    if (emulated_strict())
        protect(found->second, PROT_READ | PROT_WRITE);
    if (!ends_intact(found->first, found->second))
        emulated_complain("device memory of %zu bytes was written beyond its ends", found->second.bytes);
    used -= found->second.bytes;
    if (emulated_strict())
        give_pages(found->second);
    else
        free(found->second.pages);
    device_memory.erase(found);
    return emulated_sticky;
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    ENTER();
    emulated_not_recording(__func__);
    *memory = malloc(bytes);
    if (!*memory)
        return emulated_last = cudaErrorMemoryAllocation;
    pinned_memory[(char *)*memory] = bytes;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *memory)
{
    LOCK();
    emulated_enter(__func__);
    emulated_run_all();
    pinned_memory.erase((char *)memory);
    free(memory);
    return emulated_sticky;
}

bool emulated_is_pinned(const void *memory)
{
    auto next = pinned_memory.upper_bound((char *)memory);
    if (next == pinned_memory.begin())
        return false;
    --next;
    return (char *)memory < next->first + next->second;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    ENTER();
    *total = total_memory();
    *available = *total - used;
    return cudaSuccess;
}

/* -- checks -------------------------------------------------------------------------------------------------------- */

void emulated_extent(const char *who, const char *what, const void *memory, size_t bytes, int device)
{
    if (!emulated_strict() || !bytes)
        return;
    auto found = find(memory);
    if (found == device_memory.end() && emulated_is_device(memory))
        emulated_complain("%s: %s is device memory that was freed or never allocated", who, what);
    if (found == device_memory.end())
        emulated_complain("%s: %s is %s, expected device memory", who, what, memory ? "host memory" : "NULL");
    size_t room = (size_t)(found->first + found->second.bytes - (const char *)memory);
    if (bytes > room)
        emulated_complain("%s: %s has %zu bytes, of which %zu are allocated", who, what, bytes, room);
    if (found->second.device != device)
        emulated_complain("%s: %s is memory of device %d, used on device %d", who, what, found->second.device, device);
}

/* Tests whether an address that no device memory has is one of this process. */
static bool is_mapped(uintptr_t address)
{
    unsigned char resident;
    return address < (uintptr_t)1 << 47 && !mincore((void *)(address / page() * page()), 1, &resident);
}

void emulated_check_parameter(const char *kernel, const emulated_parameter &p, int device)
{
    if (!emulated_strict())
        return;
    for (size_t at = 0; at + sizeof(void *) <= p.bytes; at += sizeof(void *)) {
        uintptr_t word;
        memcpy(&word, (const char *)p.value.get() + at, sizeof word);
        bool on_device = emulated_is_device((void *)word);
        if (!word || (!p.pointer && !on_device && (word < (uintptr_t)1 << 32 || !is_mapped(word))))
            continue;
        emulated_extent(kernel, p.pointer ? "a parameter" : "a parameter's member", (void *)word, 1, device);
    }
}
