/* status.c - the message of the last failure, per thread */
#include "number.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

const char *wf_error(void)
{
    return message;
}

/* Formats into a copy, because a message may quote the one that it replaces. */
static void set_message(const char *format, va_list ap, const char *suffix)
{
    char text[sizeof message];
    int n = wf_vsnprintf(text, sizeof text, format, ap);
    if (n < 0)
        n = 0;
    if (suffix && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ": %s", suffix);
    for (char *p = text; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    memcpy(message, text, sizeof text);
}

int wf_fail(int status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    set_message(format, ap, NULL);
    va_end(ap);
    return status;
}

int wf_fail_errno(const char *format, ...)
{
    int code = errno;
    va_list ap;
    va_start(ap, format);
    set_message(format, ap, strerror(code));
    va_end(ap);
    switch (code) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
        return WF_NOINPUT;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EAGAIN:
        return WF_AGAIN;
    default:
        return WF_IO;
    }
}
