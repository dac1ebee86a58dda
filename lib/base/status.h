/* status.h - how the library reports failures
 *
 * A call returns 0 or one of the codes below, which are also the exit codes of the tools. Each thread keeps the message
 * of its last failure: wf_error(). The library never prints and never exits.
 *
 *     int load(const char *path)
 *     {
 *         WF_TRY(wf_store_open(path, &store));
 *         WF_CHECK(n > 0, WF_DATA, "%s: no pictures in it", path);
 *         return WF_OK;
 *     }
 * */
#ifndef WF_STATUS_H
#define WF_STATUS_H

#include <errno.h>

#include "linkage.h"

WF_BEGIN

#define WF_MUST __attribute__((warn_unused_result))
#define WF_PRINTF(text, first) __attribute__((format(printf, text, first)))

enum {
    WF_OK = 0,
    WF_USAGE = 64,       /* wrong flags or arguments */
    WF_DATA = 65,        /* truncated, corrupt or mismatched data */
    WF_NOINPUT = 66,     /* an input file is missing or cannot be opened */
    WF_UNAVAILABLE = 69, /* a program that is needed is not installed */
    WF_INTERNAL = 70,    /* internal error or a numerical limit */
    WF_IO = 74,          /* reading or writing failed */
    WF_AGAIN = 75,       /* try again: disk full, memory, locked, interrupted after saving */
};

/* Sets this thread's message and returns `status`, for use as `return wf_fail(...)`. */
int wf_fail(int status, const char *format, ...) WF_PRINTF(2, 3) WF_MUST;

/* Like wf_fail, for a failed system call: appends strerror(errno) and chooses the status by errno. ENOENT, ENOTDIR,
 * EISDIR, EACCES: WF_NOINPUT; ENOSPC, EDQUOT, ENOMEM, EAGAIN: WF_AGAIN; others: WF_IO. */
int wf_fail_errno(const char *format, ...) WF_PRINTF(1, 2) WF_MUST;

/* The message of this thread's last failure: one line without newline; "" if there was none. Valid until the next
 * failure. */
const char *wf_error(void);

#define WF_TRY(call)                \
    do {                            \
        int wf_try_status = (call); \
        if (wf_try_status)          \
            return wf_try_status;   \
    } while (0)

/* Like WF_TRY, in a function that cleans up after the label `out` and returns `status`. */
#define WF_GO(call)      \
    do {                 \
        status = (call); \
        if (status)      \
            goto out;    \
    } while (0)

#define WF_CHECK(condition, code, ...)           \
    do {                                         \
        if (!(condition))                        \
            return wf_fail((code), __VA_ARGS__); \
    } while (0)

/* Like WF_CHECK, after a call of a library that answers alike without memory and to bad data: WF_AGAIN, "WHO: out of
 * memory" if errno is ENOMEM, as malloc leaves it. errno must be 0 before that call. */
#define WF_CHECK_PARSED(condition, who, code, ...)                           \
    do {                                                                     \
        if (!(condition)) {                                                  \
            WF_CHECK(errno != ENOMEM, WF_AGAIN, "%s: out of memory", (who)); \
            return wf_fail((code), __VA_ARGS__);                             \
        }                                                                    \
    } while (0)

/* Size arithmetic for values from a file; false on overflow. */
#define WF_MUL(a, b, out) (!__builtin_mul_overflow((a), (b), (out)))
#define WF_ADD(a, b, out) (!__builtin_add_overflow((a), (b), (out)))

WF_END

#endif
