/* busy.c - keeps threads from spinning while other processes have their cores
 *
 * A region of OpenMP ends with its last thread. Threads of libgomp spin for 3 ms until then, which nothing beats on
 * quiet cores. Beside another busy process the last thread often waits for a core, and a spinning one has it. libgomp
 * spins for a microsecond only while the process has more OpenMP threads than there are processors (GOMP_SPINCOUNT in
 * its manual). So one thread watches how long the threads of the process wait for cores. Where that is long, a second
 * team of threads sleeps for some seconds. The first team computes the same parts in the same order: no bit of a result
 * changes. README.md has the figures. */
#include <dirent.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../lib/base/clock.h"
#include "cpu.h"

static _Atomic int team; /* threads of the backend */

/* Returns the seconds that all threads of this process together were ready to run and had no core: the second number of
 * schedstat, nanoseconds (Documentation/scheduler/sched-stats.rst of Linux). 0 where the system does not count them. */
static double seconds_without_core(void)
{
    double sum = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char path[sizeof "/proc/self/task//schedstat" + sizeof task->d_name];
        double waited;
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", task->d_name);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%*f %lf", &waited) == 1)
            sum += 1e-9 * waited;
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

static void sleep_for(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)(1e9 * (seconds - floor(seconds)))};
    nanosleep(&time, NULL);
}

/* Sleeps in a team by which the process has one thread more than there are processors; in one of two threads if the
 * backend alone has more. The team ends with the thread that runs this. */
static void *sleep_in_team(void *seconds)
{
    pthread_setname_np(pthread_self(), "wf-sleep"); /* and of its team, which inherits it */
    int others = omp_get_num_procs() - team;
#pragma omp parallel num_threads(others > 0 ? others + 2 : 2)
    sleep_for(*(double *)seconds);
    return NULL;
}

/* Returns what part of a period the threads were without cores, all together. */
static double share_without_core(double period)
{
    double time = wf_clock(), waited = seconds_without_core();
    sleep_for(period);
    return (seconds_without_core() - waited) / (wf_clock() - time);
}

/* An endless loop beside two threads takes a whole period from them, and quiet cores a tenth at most. How much threads
 * wait while others sleep says little, as each region then wakes them. So they spin again after a while, and sleep
 * twice as long if the cores are still busy. */
static void *watch(void *unused)
{
    enum { BUSY_PERIODS = 2, CALM_PERIODS = 50 };
    const double period = 0.1, much = 0.4, shortest = 1.6, longest = 12.8;
    double seconds = shortest;
    (void)unused;
    for (int busy = 0, calm = 0;;) {
        bool late = share_without_core(period) > much;
        busy = late ? busy + 1 : 0;
        calm = late ? 0 : calm + 1;
        if (calm == CALM_PERIODS)
            seconds = shortest;
        pthread_t sleeper;
        if (busy < BUSY_PERIODS || pthread_create(&sleeper, NULL, sleep_in_team, &seconds))
            continue;
        pthread_join(sleeper, NULL);
        seconds = fmin(2 * seconds, longest);
        busy = 0;
    }
    return NULL;
}

/* Signals are for the threads of the program. */
static void start_watching(void)
{
    pthread_t watcher;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!pthread_create(&watcher, NULL, watch, NULL)) {
        pthread_setname_np(watcher, "wf-watch");
        pthread_detach(watcher);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void wf_cpu_watch_cores(int threads)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (threads < 2 || getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) /* the user decides */
        return;
    team = threads; /* of the last backend: most programs have one */
    pthread_once(&once, start_watching);
}
