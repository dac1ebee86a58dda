/* watch.h - long work tells its caller how far it is */
#ifndef WF_WATCH_H
#define WF_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "linkage.h"

WF_BEGIN

/* Called after each part of some work, by one thread at a time: `count` more things of `level` are done, such as
 * pictures. count 0: work goes on. The call does not change the work, and should be quick. */
typedef struct wf_watch {
    void (*call)(void *user, int level, int64_t count); /* NULL: nobody watches */
    void *user;
} wf_watch;

static inline void wf_watched(const wf_watch *watch, int level, int64_t count)
{
    if (watch->call)
        watch->call(watch->user, level, count);
}

WF_END

#endif
