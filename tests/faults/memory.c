/* memory.c - a library to preload, which makes one call for memory fail, or that and all later ones
 *
 * Calls are counted from the end of the constructors of the libraries on: malloc, calloc, realloc, reallocarray,
 * aligned_alloc, posix_memalign, memalign and mmap. These variables say what happens:
 *
 *     WF_FAIL_AT=N         call N fails, 1 being the first
 *     WF_FAIL_EVER=1       and so do all later calls
 *     WF_FAIL_COUNT=FILE   the number of calls is written there when the program exits
 *     WF_FAIL_TRACE=1      the call that fails prints its callers, for addr2line */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Functions of the C library, by names that it also has. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static atomic_long calls;
static long fail_at = -1; /* -1: not counting */
static bool for_ever, traces;

static void print_callers(void)
{
    void *callers[40];
    traces = false;
    int before = errno;
    backtrace_symbols_fd(callers, backtrace(callers, 40), STDERR_FILENO);
    errno = before;
}

/* Counts a call. True if it fails; errno says so. */
static bool fails(void)
{
    if (fail_at < 0)
        return false;
    long n = atomic_fetch_add(&calls, 1) + 1;
    if (!fail_at || n < fail_at || (n > fail_at && !for_ever))
        return false;
    if (traces)
        print_callers();
    errno = ENOMEM;
    return true;
}

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("WF_FAIL_AT");
    for_ever = getenv("WF_FAIL_EVER") != NULL;
    traces = getenv("WF_FAIL_TRACE") != NULL;
    if (traces) { /* loads what it needs */
        void *caller;
        backtrace(&caller, 1);
    }
    fail_at = at ? strtol(at, NULL, 10) : 0;
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("WF_FAIL_COUNT");
    fail_at = -1;
    int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (file < 0)
        return;
    dprintf(file, "%ld\n", atomic_load(&calls));
    close(file);
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}

void *reallocarray(void *old, size_t n, size_t size)
{
    size_t bytes;
    if (!__builtin_mul_overflow(n, size, &bytes))
        return realloc(old, bytes);
    errno = ENOMEM;
    return NULL;
}

void *memalign(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    int before = errno;
    void *memory = memalign(alignment, size);
    errno = before;
    if (!memory)
        return ENOMEM;
    *out = memory;
    return 0;
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    return fails() ? MAP_FAILED : (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    return mmap(at, size, protection, flags, file, offset);
}
