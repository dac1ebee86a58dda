/* watcher.c - waits in a session of its own for the end of a pipe */
#include "watcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

__attribute__((noreturn)) static void watch(pid_t group, int life)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    setsid();                                     /* kill -9 of a shell's job reaches its whole group */
    prctl(PR_SET_NAME, "wf-watcher", 0L, 0L, 0L); /* and killall -9 all of a name */
    dup2(life, 0);
    closefrom(1);                           /* also its copies of this program's ends of pipes */
    poll(&(struct pollfd){.fd = 0}, 1, -1); /* until the other end is closed */
    kill(-group, SIGINT);
    kill(-group, SIGCONT);
    _exit(0);
}

pid_t watcher_fork(watcher *w)
{
    char go = 0;
    pid_t pid = pipe2(w->life, O_CLOEXEC) ? -1 : fork();
    if (!pid) {
        setpgid(0, 0);
        close(w->life[1]);
        if (read(w->life[0], &go, 1) != 1) /* the program died before there was a watcher */
            _exit(WF_AGAIN);
        return 0;
    }
    if (pid > 0)
        setpgid(pid, pid); /* whichever of the two comes first */
    w->pid = pid < 0 ? -1 : fork();
    if (!w->pid)
        watch(pid, w->life[0]);
    if (w->pid < 0 || write(w->life[1], &go, 1) != 1)
        must(wf_fail_errno("cannot start a process"));
    return pid;
}

void watcher_end(watcher *w)
{
    kill(w->pid, SIGKILL);
    waitpid(w->pid, NULL, 0);
    close(w->life[0]);
    close(w->life[1]);
}
