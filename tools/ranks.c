/* ranks.c - the ranks of this program */
#include "ranks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/base/version.h"

/* Seconds; a later rank waits a second longer, up to so many, because the launcher ends all when the first one ends. */
enum { FIRST_EXCHANGE = 60, LATER = 8 };

typedef struct launched {
    int rank, count;
} launched;

static wf_ranks *ranks;
static bool tried; /* to connect them */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static bool is_open;

/* Ends a process whose launcher has promised others that do not come: MPI itself would wait for ever. */
static void *wait_for_others(void *user)
{
    const launched *all = user;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += FIRST_EXCHANGE + (all->rank < LATER ? all->rank : LATER);
    pthread_mutex_lock(&opening);
    while (!is_open && !pthread_cond_timedwait(&opened, &opening, &end))
        continue;
    if (!is_open) {
        fprintf(stderr, "%s: the other ranks, %d in all, did not come in %d seconds\n", common.program->name,
                all->count, FIRST_EXCHANGE);
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

static bool is_alone(int choice)
{
    int rank;
    return choice == RANKS_NONE || (choice == RANKS_AUTO && wf_ranks_launched(&rank) == 1);
}

static int connect_ranks(void)
{
    char who[160];
    launched all;
    pthread_t watch;
    all.count = wf_ranks_launched(&all.rank);
    tried = true;
    common.quiet = common.quiet || all.rank; /* of a signal from the launcher too */
    snprintf(who, sizeof who, "%s %s", common.program->name, wf_version());
    bool watched = !pthread_create(&watch, NULL, wait_for_others, &all);
    int status = wf_ranks_open(who, &ranks);
    end_wait();
    if (watched)
        pthread_join(watch, NULL);
    return status;
}

wf_ranks *ranks_begin(int choice)
{
    if (is_alone(choice))
        return NULL;
    must(connect_ranks());
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

/* --ranks, as far as the command line was read; none for a program without it. */
static int choice_so_far(void)
{
    const cli_option *o;
    for (int i = 0; common.program && (o = cli_option_at(common.program, i)); i++)
        if (o->name && !strcmp(o->name, "ranks"))
            return *(const int *)o->into;
    return RANKS_NONE;
}

/* Returns whether a rank speaks that cannot reach the others, as a rule because none can: rank 0 does. Open MPI's
 * launcher ends all at the first failure, so another rank that is still there seconds later has failed alone. Under
 * other launchers rank 0 misses it after a minute. */
static bool speaks_unconnected(void)
{
    const struct timespec seconds = {5, 0};
    int rank;
    if (wf_ranks_launched(&rank) == 1 || rank == 0)
        return true;
    if (!getenv("OMPI_COMM_WORLD_RANK"))
        return false;
    nanosleep(&seconds, NULL);
    return true;
}

/* A rank that fails before it is connected, by a wrong option say, connects to say so. */
bool ranks_agree(int *status)
{
    bool speaks;
    int choice = choice_so_far();
    if (!ranks && is_alone(choice))
        return true;
    if (!ranks && (tried || (connect_ranks() && !ranks)))
        return speaks_unconnected();
    *status = wf_ranks_agree(ranks, *status, &speaks);
    return speaks;
}

void ranks_close(void)
{
    wf_ranks *all = ranks;
    ranks = NULL;
    wf_ranks_close(all);
}
