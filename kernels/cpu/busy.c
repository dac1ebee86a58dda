/* busy.c - keeps threads from spinning while other processes have their cores
 *
 * A region of OpenMP ends with its last thread. Threads of libgomp spin for 3 ms until then, which nothing beats on
 * quiet cores. Beside another busy process the last thread often waits for a core, and a spinning one has it. libgomp
 * spins for a microsecond only while the process has more OpenMP threads than there are processors (GOMP_SPINCOUNT in
 * its manual). So one thread watches how long the threads of the process wait for cores, and while that is long, a
 * second team of threads sleeps. The first team computes the same parts in the same order: no bit of a result changes.
 * README.md has the figures. */
#include <dirent.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../lib/base/clock.h"
#include "cpu.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t no_longer_busy = PTHREAD_COND_INITIALIZER;
static bool busy;
static int team; /* threads of the backend */

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

/* Sleeps until `busy` ends, in a team by which the process has one thread more than there are processors. The team ends
 * with the thread that runs this. */
static void *sleep_while_busy(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "wf-sleep"); /* and of its team, which inherits it */
#pragma omp parallel num_threads(omp_get_num_procs() - team + 2)
    {
        pthread_mutex_lock(&lock);
        while (busy)
            pthread_cond_wait(&no_longer_busy, &lock);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void set_busy(bool now)
{
    pthread_mutex_lock(&lock);
    busy = now;
    pthread_cond_broadcast(&no_longer_busy);
    pthread_mutex_unlock(&lock);
}

/* Begins where threads waited for a quarter of a period, and ends after five periods of less than a twentieth each: a
 * loop beside two threads takes about a whole period, and quiet cores at most a tenth. */
static void *watch(void *unused)
{
    enum { CALM_PERIODS = 5 };
    const double much = 0.25, little = 0.05;
    const struct timespec period = {.tv_nsec = 100000000};
    double time = wf_clock(), waited = seconds_without_core();
    pthread_t sleeper;
    (void)unused;
    for (int calm = 0;;) {
        double time_before = time, waited_before = waited;
        nanosleep(&period, NULL);
        time = wf_clock();
        waited = seconds_without_core();
        double share = (waited - waited_before) / (time - time_before);
        calm = share < little ? calm + 1 : 0;
        if (!busy && share > much) {
            set_busy(true);
            if (pthread_create(&sleeper, NULL, sleep_while_busy, NULL))
                set_busy(false);
        } else if (busy && calm == CALM_PERIODS) {
            set_busy(false);
            pthread_join(sleeper, NULL);
        }
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
