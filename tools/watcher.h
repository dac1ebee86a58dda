/* watcher.h - a process that ends a group of others when this program dies, however it dies */
#ifndef WF_WATCHER_H
#define WF_WATCHER_H

#include <sys/types.h>

typedef struct watcher {
    pid_t pid;
    int life[2]; /* a pipe: the kernel closes its end 1, which only this program has, when the program dies */
} watcher;

/* fork(2) of a process that leads a new group, and of its watcher, which sends SIGINT to the group, and SIGCONT to what
 * is stopped, when this program has died by SIGKILL, a crash or otherwise. Returns 0 in the new process once it is
 * watched. Dies if there is no process or pipe to be had. */
pid_t watcher_fork(watcher *w);

/* Ends the watcher, which leaves the group alone. */
void watcher_end(watcher *w);

#endif
