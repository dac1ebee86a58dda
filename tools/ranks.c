/* ranks.c - the ranks of this program */
#include "ranks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../lib/base/version.h"

enum { FIRST_EXCHANGE = 60 }; /* seconds */

static wf_ranks *ranks;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static bool is_open;

/* Ends a process whose launcher has promised others that do not come: MPI itself would wait for ever. */
static void *wait_for_others(void *count)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += FIRST_EXCHANGE;
    pthread_mutex_lock(&opening);
    while (!is_open && !pthread_cond_timedwait(&opened, &opening, &end))
        continue;
    if (!is_open) {
        fprintf(stderr, "%s: the other ranks, %d in all, did not come in %d seconds\n", common.program->name,
                *(const int *)count, FIRST_EXCHANGE);
        _exit(WF_AGAIN);
    }
    pthread_mutex_unlock(&opening);
    return NULL;
}

static void end_wait(void)
{
    pthread_mutex_lock(&opening);
    is_open = true;
    pthread_cond_signal(&opened);
    pthread_mutex_unlock(&opening);
}

wf_ranks *ranks_begin(int choice)
{
    char who[160];
    static int count;
    int rank;
    pthread_t watch;
    count = wf_ranks_launched(&rank);
    if (choice == RANKS_NONE || (choice == RANKS_AUTO && count == 1))
        return NULL;
    snprintf(who, sizeof who, "%s %s", common.program->name, wf_version());
    bool watched = !pthread_create(&watch, NULL, wait_for_others, &count);
    int status = wf_ranks_open(who, &ranks);
    end_wait();
    if (watched)
        pthread_join(watch, NULL);
    must(status);
    if (ranks_lead())
        note("%d rank%s over %s", wf_ranks_count(ranks), plural(wf_ranks_count(ranks)), wf_ranks_name(ranks));
    common.quiet = common.quiet || !ranks_lead();
    return ranks;
}

bool ranks_lead(void)
{
    return !ranks || wf_ranks_rank(ranks) == 0;
}

void ranks_meet(void)
{
    if (ranks)
        must(wf_ranks_meet(ranks));
}

void ranks_finish(void)
{
    ranks_meet();
    ranks_close();
}

bool ranks_agree(int *status)
{
    bool speaks;
    int rank;
    if (!ranks) /* before they are connected, all fail alike */
        return wf_ranks_launched(&rank) == 1 || rank == 0;
    *status = wf_ranks_agree(ranks, *status, &speaks);
    return speaks;
}

void ranks_close(void)
{
    wf_ranks *all = ranks;
    ranks = NULL;
    wf_ranks_close(all);
}
