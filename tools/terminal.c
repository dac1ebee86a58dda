/* terminal.c - windows, foregrounds and locks */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static bool taken, drawn;

bool terminal_can_clear(void)
{
    const char *term = getenv("TERM");
    return !common.quiet && term && *term && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}

/* Without job control there is no foreground. Programs that wf-train runs have a group of their own, and a variable
 * names that of wf-train (pipeline.c). */
bool terminal_in_foreground(void)
{
    const char *caller = getenv("WF_TERMINAL_GROUP");
    pid_t group = tcgetpgrp(STDERR_FILENO);
    return group < 0 || group == getpgrp() || (caller && group == atoi(caller));
}

int terminal_columns(void)
{
    struct winsize window;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &window) || !window.ws_col ? 80 : window.ws_col;
}

/* -- locks --------------------------------------------------------------------------------------------------------- */

/* Byte 0 of the terminal belongs to the program that draws; the byte at its process number to each program whose line
 * may be there. Locks of open files would not do: programs of a pipeline share those. */
static bool lock(int command, short type, off_t start, off_t length, struct flock *out)
{
    *out = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(STDERR_FILENO, command, out) == 0;
}

/* A program that was stopped, or runs in the background, does not count. */
static bool other_holds(off_t start, off_t length)
{
    struct flock found;
    return lock(F_GETLK, F_WRLCK, start, length, &found) && found.l_type != F_UNLCK &&
           getpgid(found.l_pid) == getpgrp();
}

bool terminal_take(void)
{
    struct flock ignored;
    taken = taken || lock(F_SETLK, F_WRLCK, 0, 1, &ignored);
    if (taken)
        return true;
    if (errno == EAGAIN || errno == EACCES)
        return !other_holds(0, 1);
    return !terminal_is_pipe(STDOUT_FILENO); /* a terminal without locks: the last program */
}

void terminal_leave(void)
{
    struct flock ignored;
    if (taken)
        lock(F_SETLK, F_UNLCK, 0, 1, &ignored);
    taken = false;
}

bool terminal_is_taken(void)
{
    return taken;
}

void terminal_note_drawn(bool now)
{
    struct flock ignored;
    if (now != drawn)
        lock(F_SETLK, now ? F_WRLCK : F_UNLCK, getpid(), 1, &ignored);
    drawn = now;
}

bool terminal_is_drawn(void)
{
    return drawn;
}

bool terminal_other_is_drawn(void)
{
    return other_holds(1, 0); /* to the end */
}

/* -- pipes --------------------------------------------------------------------------------------------------------- */

bool terminal_is_pipe(int descriptor)
{
    struct stat info;
    return !fstat(descriptor, &info) && S_ISFIFO(info.st_mode);
}

bool terminal_would_wait(int descriptor, short event)
{
    struct pollfd pipe = {.fd = descriptor, .events = event};
    return terminal_is_pipe(descriptor) && poll(&pipe, 1, 0) == 0;
}
