/* pipeline.c - finds the pipelines and runs make: signals go there, and exit codes and messages come back */
#include "pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "watcher.h"

enum { PATH_SIZE = 4096, WORDS = 32, STDERR_COPY = 9 };

static char root[PATH_SIZE], programs[PATH_SIZE]; /* the folder that has pipelines/, and that of the programs */

static bool is_in_path(const char *name)
{
    char file[PATH_SIZE];
    const char *path = getenv("PATH");
    for (size_t n; path && *path; path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        if (snprintf(file, sizeof file, "%.*s/%s", (int)n, path, name) < PATH_SIZE && !access(file, X_OK))
            return true;
    }
    return false;
}

void pipeline_find(void)
{
    static const struct needed {
        const char *program, *package;
    } needed[] = {{"bash", "bash"}, {"make", "make"}, {"parallel", "parallel"}, {"gnuplot", "gnuplot-nox"}};
    char prefix[PATH_SIZE - 64], file[PATH_SIZE];
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!is_in_path(needed[i].program))
            die(WF_UNAVAILABLE, "%s is not installed: apt-get install %s", needed[i].program, needed[i].package);
    if (!wf_program_prefix(prefix, sizeof prefix))
        die(WF_INTERNAL, "/proc/self/exe: cannot read the name of this program");
    snprintf(programs, sizeof programs, "%s/bin", prefix);
    static const char *const places[] = {"", "/share/wavelet-flow"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(root, sizeof root, "%s%s", prefix, places[i]);
        if (snprintf(file, sizeof file, "%s/pipelines/names.mk", root) < PATH_SIZE && !access(file, R_OK))
            return;
    }
    die(WF_UNAVAILABLE, "no pipelines in %s or %s/share/wavelet-flow: make install puts them there", prefix, prefix);
}

/* Returns "NAME=VALUE" as make reads it back: $ is doubled and, for rules, blanks have a backslash. */
static char *assign(const char *name, const char *value, const char *end, bool rules)
{
    char *text = must_allocate(strlen(name) + 2 * strlen(value) + strlen(end) + 2, 1, "make");
    char *out = text + sprintf(text, "%s=", name);
    for (; *value; value++) {
        if (*value == '$' || (rules && *value == ' '))
            *out++ = *value == '$' ? '$' : '\\';
        *out++ = *value;
    }
    strcpy(out, end);
    return text;
}

/* Becomes make. Its own standard error is `messages`; recipes begin by taking ours, which descriptor 9 keeps. */
__attribute__((noreturn)) static void become_make(char *const *words, const char *folder, int messages)
{
    char caller[32];
    static const char *const inherited[] = {"MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKEFILES", "MAKELEVEL"};
    for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++)
        unsetenv(inherited[i]);
    setenv("LC_ALL", "C", 1); /* messages of make are read */
    snprintf(caller, sizeof caller, "%ld", (long)getpgid(getppid()));
    setenv("WF_TERMINAL_GROUP", caller, 1); /* see terminal.c */
    int null = common.quiet ? open("/dev/null", O_WRONLY) : -1;
    bool ready = !chdir(folder) && dup2(STDERR_FILENO, STDERR_COPY) >= 0 && dup2(messages, STDERR_FILENO) >= 0 &&
                 (null < 0 || dup2(null, STDOUT_FILENO) >= 0);
    if (ready)
        execvp("make", words);
    dprintf(STDERR_COPY, "%s: make: %s\n", common.program->name, strerror(errno));
    _exit(WF_UNAVAILABLE);
}

/* -- signals ------------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t group, ended_by; /* processes of make; the signal that came, or 0 */

static void on_signal(int number)
{
    int before = errno;
    ended_by = number;
    if (group)
        kill(-group, SIGINT);
    errno = before;
}

/* Ctrl-Z stops both, and what continues this program continues make. */
static void on_stop(int number)
{
    int before = errno;
    if (group)
        kill(-group, number);
    if (number == SIGTSTP)
        raise(SIGSTOP);
    errno = before;
}

/* Signals that the caller ignores, as nohup does, stay ignored. SIGINT does not: shells ignore it for every background
 * command. */
static void pass_signals(void)
{
    static const struct {
        int number;
        void (*handler)(int);
    } rows[] = {{SIGINT, on_signal}, {SIGTERM, on_signal}, {SIGHUP, on_signal}, {SIGTSTP, on_stop}, {SIGCONT, on_stop}};
    struct sigaction before;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].number == SIGINT || (!sigaction(rows[i].number, NULL, &before) && before.sa_handler != SIG_IGN))
            sigaction(rows[i].number, &(struct sigaction){.sa_handler = rows[i].handler, .sa_flags = SA_RESTART}, NULL);
}

/* -- messages ------------------------------------------------------------------------------------------------------ */

/* Reads what make says to the end, and returns the code of the recipe that failed, 0 if none did. Failures have been
 * explained by the program that failed; anything else is passed on, unless an interruption explains it. */
static int read_messages(int descriptor)
{
    FILE *from = fdopen(descriptor, "r");
    char *line = NULL, *at;
    size_t room = 0;
    int code = 0;
    while (from && getline(&line, &room, from) >= 0) {
        if (!strncmp(line, "make: *** [", 11) && (at = strstr(line, "] Error ")))
            code = atoi(at + 8);
        else if (!ended_by && strncmp(line, "make: *** [", 11) != 0 && strncmp(line, "make: *** Deleting", 18) != 0)
            fprintf(stderr, "%s: %s", common.program->name, (at = strstr(line, "*** ")) ? at + 4 : line);
    }
    free(line);
    if (from)
        fclose(from);
    return code;
}

/* Waits for make, and then for all processes of a make that was interrupted or killed. Returns its status. */
static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status)) /* by others, as for want of memory: its processes may go on */
        kill(-pid, SIGINT);
    while ((ended_by || WIFSIGNALED(status)) && !kill(-pid, 0)) {
        usleep(50000);
        waitpid(-pid, NULL, WNOHANG); /* one whose parent has died: this program is the next */
    }
    group = 0;
    return status;
}

void pipeline_run(const char *name, const char *folder, const char *goal, const char *const *variables)
{
    char file[PATH_SIZE + 64], *words[WORDS] = {"make", "-s", "-f", file, (char *)(uintptr_t)goal, "OUT=."};
    int n = 6, pipes[2];
    watcher w;
    snprintf(file, sizeof file, "%s/pipelines/%s.mk", root, name);
    words[n++] = assign("HERE", root, "/pipelines/", true);
    words[n++] = assign("ROOT", root, "", false);
    words[n++] = assign("programs", programs, "", false);
    words[n++] = ".SHELLFLAGS=-c 'exec 2>&9; eval \"$$0\"'";
    for (; *variables && n < WORDS - 1; variables++)
        words[n++] = (char *)(uintptr_t)*variables;
    if (pipe2(pipes, O_CLOEXEC))
        must(wf_fail_errno("make: cannot open a pipe"));
    fflush(stdout);
    pass_signals();
    prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
    pid_t pid = watcher_fork(&w);
    if (!pid) {
        signal(SIGINT, SIG_DFL);
        if (ended_by)
            _exit(WF_AGAIN);
        become_make(words, folder, pipes[1]);
    }
    group = pid;
    if (ended_by) /* before there was a group */
        kill(-pid, SIGINT);
    close(pipes[1]);
    int code = read_messages(pipes[0]), status = wait_for(pid);
    watcher_end(&w); /* before the number of the group can be that of another */
    if (ended_by)
        die(WF_AGAIN, "interrupted; the same command goes on");
    if (WIFSIGNALED(status))
        die(WF_AGAIN, "make: ended by signal %d; the same command goes on", WTERMSIG(status));
    if (status)
        exit(code ? code : WF_INTERNAL);
    for (int i = 6; i < 9; i++)
        free(words[i]);
}
