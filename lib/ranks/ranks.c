/* ranks.c - ranks that meet, wait for one another, and end together */
#include "ranks.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../base/clock.h"
#include "private.h"

/* Seconds: a wait that takes longer sleeps between looks; one that takes this long leaves its core to others; time
 * between two looks for dead ranks; time for a call to complete after another rank has ended; time to wait for the
 * words of the others at the end. */
static const double SPIN = 200e-6, LONG = 1, LOOK = 0.25, GRACE = 0.05, LAST_WORDS = 2;

/* A word is a rank's status, with this bit if it has left a call that had begun. */
enum { LEFT_CALL = 256 };

/* A rank, as it introduces itself. Process numbers mean something within one machine and PID namespace. */
typedef struct card {
    char who[160], machine[96];
    int64_t process;
} card;

static void sleep_for(double seconds)
{
    struct timespec t = {0, (long)(1e9 * seconds)};
    nanosleep(&t, NULL);
}

/* -- other ranks that end ------------------------------------------------------------------------------------------ */

/* Takes the words that have come. */
static void listen(wf_ranks *r)
{
    int from, word;
    while (r->transport->hear(r->transport, &from, &word)) {
        r->peers[from].ended = true;
        r->peers[from].status = word & ~LEFT_CALL;
        r->peers[from].waiting = word & LEFT_CALL;
    }
}

static bool has_died(const wf_peer *p)
{
    struct pollfd end = {.fd = p->handle, .events = POLLIN};
    return p->handle >= 0 && poll(&end, 1, 0) == 1;
}

/* Fails once another rank has ended, with or without a word. */
static int expect_all(wf_ranks *r, bool look)
{
    listen(r);
    for (int i = 0; i < r->transport->count; i++) {
        const wf_peer *p = &r->peers[i];
        bool dead = !p->ended && look && has_died(p);
        WF_CHECK(!dead, WF_AGAIN,
                 "rank %d of %d was killed; run the same command again to continue from the last checkpoint", i,
                 r->transport->count);
        WF_CHECK(!p->ended, WF_AGAIN, "rank %d of %d ended", i, r->transport->count);
    }
    return WF_OK;
}

wf_wait wf_wait_begin(wf_ranks *r)
{
    double now = wf_clock();
    r->waiting = true;
    return (wf_wait){.began = now, .looked = now};
}

int wf_wait_more(wf_ranks *r, wf_wait *w)
{
    double now = wf_clock();
    bool look = now - w->looked > LOOK;
    w->looked = look ? now : w->looked;
    int status = expect_all(r, look);
    w->ended = status && w->ended == 0 ? now : w->ended;
    if (status && now - w->ended > GRACE)
        return status;
    if (now - w->began > SPIN)
        sleep_for(now - w->began > LONG ? 1e-3 : 20e-6);
    else
        sched_yield();
    return WF_OK;
}

int wf_wait_end(wf_ranks *r, const wf_wait *w, int status)
{
    r->waited += wf_clock() - w->began;
    r->waiting = r->broken = status;
    return status;
}

int wf_ranks_wait(wf_ranks *r, wf_pending **pending)
{
    wf_wait w = wf_wait_begin(r);
    bool done = false;
    int status = WF_OK;
    while (!status && !done) {
        status = r->transport->test(r->transport, pending, &done);
        if (!status && !done)
            status = wf_wait_more(r, &w);
    }
    return wf_wait_end(r, &w, status);
}

/* -- exchanges ----------------------------------------------------------------------------------------------------- */

/* A call that failed or was left stays begun, and the transport may read and write its memory until the end. */
void wf_ranks_free(wf_ranks *r, void *memory)
{
    bool used = r->broken || r->waiting;
    void **more = used ? realloc(r->kept, ((size_t)r->kept_count + 1) * sizeof *more) : NULL;
    if (!used)
        free(memory);
    if (more) {
        r->kept = more;
        r->kept[r->kept_count++] = memory;
    }
}

int wf_ranks_broadcast(wf_ranks *r, void *data, size_t bytes)
{
    wf_transport *t = r->transport;
    int status = WF_OK;
    char *own = malloc(bytes + 1);
    WF_CHECK(own, WF_AGAIN, "out of memory for %zu bytes of rank 0", bytes);
    memcpy(own, data, bytes);
    for (size_t at = 0; at < bytes && !status;) {
        wf_pending *pending;
        size_t n = bytes - at < WF_TRANSPORT_MOST ? bytes - at : WF_TRANSPORT_MOST;
        WF_GO(t->broadcast(t, own + at, n, &pending));
        WF_GO(wf_ranks_wait(r, &pending));
        at += n;
    }
    memcpy(data, own, bytes);
out:
    wf_ranks_free(r, own);
    return status;
}

int wf_ranks_gather(wf_ranks *r, void *all, size_t bytes)
{
    wf_transport *t = r->transport;
    wf_pending *pending;
    int status = WF_OK;
    size_t size = (size_t)t->count * bytes, place = (size_t)t->rank * bytes;
    char *own = malloc(size);
    WF_CHECK(own, WF_AGAIN, "out of memory for %zu bytes of all ranks", size);
    memcpy(own + place, (char *)all + place, bytes);
    WF_GO(t->agree(t, own, bytes, &pending));
    WF_GO(wf_ranks_wait(r, &pending));
    memcpy(all, own, size);
out:
    wf_ranks_free(r, own);
    return status;
}

int wf_ranks_meet(wf_ranks *r)
{
    char *here = calloc((size_t)r->transport->count, 1);
    WF_CHECK(here, WF_AGAIN, "out of memory");
    int status = wf_ranks_gather(r, here, 1);
    free(here);
    return status;
}

int wf_ranks_vote(wf_ranks *r, int status)
{
    int count = r->transport->count, failed = WF_OK;
    int *all = calloc((size_t)count, sizeof *all);
    char own[1024];
    WF_CHECK(all, WF_AGAIN, "out of memory");
    snprintf(own, sizeof own, "%s", wf_error());
    all[r->transport->rank] = r->failure = status;
    int rc = wf_ranks_gather(r, all, sizeof *all);
    for (int i = 0; i < count && !rc && !status && !failed; i++)
        if (all[i]) {
            r->broken = true;
            failed = wf_fail(WF_AGAIN, "rank %d of %d ended", i, count);
        }
    free(all);
    return status ? wf_fail(status, "%s", own) : rc ? rc : failed;
}

int wf_ranks_count(const wf_ranks *r)
{
    return r->transport->count;
}

int wf_ranks_rank(const wf_ranks *r)
{
    return r->transport->rank;
}

const char *wf_ranks_name(const wf_ranks *r)
{
    return r->transport->name;
}

double wf_ranks_waited(const wf_ranks *r)
{
    return r->waited;
}

/* -- coming and going ---------------------------------------------------------------------------------------------- */

/* Reads the first of the variables that is set, or returns -1. */
static int number_from(const char *const *names)
{
    for (; *names; names++) {
        const char *text = getenv(*names);
        char *end;
        long n = text ? strtol(text, &end, 10) : -1;
        if (text && *text && !*end && n >= 0 && n < 1 << 20)
            return (int)n;
    }
    return -1;
}

/* Tasks that srun started, with or without an MPI. */
static const char *const steps[] = {"SLURM_STEP_NUM_TASKS", NULL};

/* Open MPI's mpirun; MPICH's, Intel's and others with PMI, also Slurm's srun --mpi=pmi2; srun --mpi=pmix, whose number
 * of ranks is that of the job step. */
int wf_ranks_launched(int *rank)
{
    static const char *const counts[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", NULL};
    static const char *const numbers[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", NULL};
    int n = number_from(counts);
    if (n < 0 && getenv("PMIX_RANK"))
        n = number_from(steps);
    *rank = number_from(numbers);
    *rank = *rank < 0 ? 0 : *rank;
    return n < 1 ? 1 : n;
}

static void make_card(const char *who, card *c)
{
    char boot[40] = "";
    struct stat space = {0};
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file && !fgets(boot, sizeof boot, file))
        boot[0] = '\0';
    if (file)
        fclose(file);
    bool known = boot[0] && !stat("/proc/self/ns/pid", &space);
    snprintf(c->who, sizeof c->who, "%s", who);
    snprintf(c->machine, sizeof c->machine, "%s/%llu", known ? boot : "", (unsigned long long)space.st_ino);
    c->process = known ? getpid() : 0;
}

/* Watches the processes of this machine. Kernels before 5.3 cannot. */
static void watch_processes(wf_ranks *r, const card *cards)
{
    const card *own = &cards[r->transport->rank];
    for (int i = 0; i < r->transport->count; i++) {
        const card *c = &cards[i];
        bool here = own->process && c->process && c->process != own->process && !strcmp(c->machine, own->machine);
        r->peers[i].handle = here ? (int)syscall(SYS_pidfd_open, (pid_t)c->process, 0) : -1;
    }
}

static int compare_programs(const card *cards, int count)
{
    for (int i = 1; i < count; i++)
        WF_CHECK(!strncmp(cards[i].who, cards[0].who, sizeof cards->who), WF_USAGE,
                 "rank %d of %d runs %.159s, rank 0 runs %.159s: all must run the same program", i, count, cards[i].who,
                 cards[0].who);
    return WF_OK;
}

/* Introduces this rank to the others. */
static int introduce(wf_ranks *r, const char *who)
{
    wf_transport *t = r->transport;
    card *cards = calloc((size_t)t->count, sizeof *cards);
    WF_CHECK(cards, WF_AGAIN, "out of memory");
    make_card(who, &cards[t->rank]);
    int status = wf_ranks_gather(r, cards, sizeof *cards);
    if (!status) {
        watch_processes(r, cards);
        status = compare_programs(cards, t->count);
    }
    free(cards);
    return status;
}

int wf_ranks_join(wf_transport *transport, const char *who, wf_ranks **out)
{
    wf_ranks *r = calloc(1, sizeof *r);
    wf_peer *peers = calloc((size_t)transport->count, sizeof *peers);
    if (!r || !peers) {
        free(r);
        free(peers);
        transport->close(transport, false, WF_AGAIN);
        return wf_fail(WF_AGAIN, "out of memory");
    }
    *r = (wf_ranks){.transport = transport, .peers = peers};
    for (int i = 0; i < transport->count; i++)
        peers[i].handle = -1;
    *out = r;
    return introduce(r, who);
}

int wf_ranks_open(const char *who, wf_ranks **out)
{
    wf_transport *t;
    int rank, launched = wf_ranks_launched(&rank), tasks = number_from(steps);
    *out = NULL;
    WF_TRY(wf_transport_open(&t));
    launched = launched < tasks ? tasks : launched;
    if (launched > 1 && t->count == 1) {
        int status =
            wf_fail(WF_UNAVAILABLE,
                    "%d ranks were started by the launcher of another MPI than %s, which libwf-mpi.so is built "
                    "for: use that one's mpirun, or srun --mpi=TYPE, or build again with make MPICC=NAME",
                    launched, t->name);
        t->close(t, true, status);
        return status;
    }
    return wf_ranks_join(t, who, out);
}

/* Waits until every other rank has said its word, or died, but not for long. Returns whether all have said it, and
 * none has left a call. */
static bool hear_all(wf_ranks *r)
{
    double end = wf_clock() + LAST_WORDS;
    for (;;) {
        int missing = 0, dead = 0, left = r->waiting;
        listen(r);
        for (int i = 0; i < r->transport->count; i++) {
            bool heard = i == r->transport->rank || r->peers[i].ended;
            missing += !heard;
            dead += !heard && has_died(&r->peers[i]);
            left += r->peers[i].waiting;
        }
        if (missing == dead || wf_clock() > end)
            return !missing && !left;
        sleep_for(1e-3);
    }
}

/* The failure of the lowest rank that has one, and that rank; where none has, a rank that is gone is the failure. */
static int lowest_failure(const wf_ranks *r, int *whose)
{
    *whose = -1;
    for (int i = 0; i < r->transport->count; i++)
        if (r->peers[i].ended && *whose < 0)
            *whose = i;
    for (int i = 0; i < r->transport->count; i++)
        if (r->peers[i].ended && r->peers[i].status) {
            *whose = i;
            return r->peers[i].status;
        }
    return WF_AGAIN;
}

int wf_ranks_agree(wf_ranks *r, int status, bool *speaks)
{
    int whose;
    *speaks = true;
    if (!r)
        return status;
    if (!status && !wf_ranks_meet(r))
        return WF_OK;
    wf_peer *own = &r->peers[r->transport->rank];
    own->ended = true;
    own->status = r->failure ? r->failure : r->broken ? WF_OK : status;
    for (int i = 0; i < r->transport->count; i++)
        if (i != r->transport->rank)
            r->transport->tell(r->transport, i, own->status | (r->waiting ? LEFT_CALL : 0));
    r->torn = !hear_all(r);
    r->status = lowest_failure(r, &whose);
    *speaks = whose == r->transport->rank;
    return r->status;
}

/* The rank that speaks has printed its line before another one has the launcher end all. */
void wf_ranks_close(wf_ranks *r)
{
    if (!r)
        return;
    if (r->torn)
        sleep_for(0.1);
    for (int i = 0; i < r->transport->count; i++)
        if (r->peers[i].handle >= 0)
            close(r->peers[i].handle);
    r->transport->close(r->transport, !r->torn, r->status);
    for (int i = 0; i < r->kept_count; i++)
        free(r->kept[i]);
    free(r->kept);
    free(r->peers);
    free(r);
}
