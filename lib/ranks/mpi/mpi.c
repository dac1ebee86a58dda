/* mpi.c - the transport over MPI 3, as libwf-mpi.so
 *
 * Each kind of call has a communicator of its own, because an MPI matches the collective calls of one communicator by
 * their order. */
#include <mpi.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../transport.h"

enum kind { EXCHANGE, COLLECT, AGREE, WORDS, KINDS };

struct wf_pending {
    MPI_Request request;
};

typedef struct mpi {
    wf_transport base;
    MPI_Comm comms[KINDS];
    int *words;            /* [count]: those told to each rank, whose sends may not have ended */
    MPI_Request *told;     /* [count] */
    int word;              /* the next one to come */
    MPI_Request listening; /* for it */
} mpi;

wf_transport_opener wf_mpi_open;

static int check(int rc, const char *call)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    if (rc == MPI_SUCCESS)
        return WF_OK;
    MPI_Error_string(rc, text, &n);
    return wf_fail(WF_AGAIN, "another rank is gone: %s: %.600s", call, text);
}

/* Makes a call's memory before it begins. Its count must be an int. */
static int prepare(size_t bytes, wf_pending **out)
{
    WF_CHECK(bytes <= INT_MAX, WF_INTERNAL, "%zu bytes for another rank, which MPI cannot count", bytes);
    *out = malloc(sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "out of memory");
    (*out)->request = MPI_REQUEST_NULL;
    return WF_OK;
}

static int begun(int rc, const char *call, wf_pending **out)
{
    int status = check(rc, call);
    if (status) {
        free(*out);
        *out = NULL;
    }
    return status;
}

static int exchange(wf_transport *t, const void *send, void *receive, size_t bytes, wf_pending **out)
{
    int n = (int)bytes;
    MPI_Comm comm = ((mpi *)t)->comms[EXCHANGE];
    WF_TRY(prepare(bytes, out));
    return begun(MPI_Ialltoall(send, n, MPI_BYTE, receive, n, MPI_BYTE, comm, &(*out)->request), "MPI_Ialltoall", out);
}

static int gather_over(wf_transport *t, enum kind kind, void *all, size_t bytes, wf_pending **out)
{
    int n = (int)bytes;
    MPI_Comm comm = ((mpi *)t)->comms[kind];
    WF_TRY(prepare(bytes, out));
    return begun(MPI_Iallgather(MPI_IN_PLACE, n, MPI_BYTE, all, n, MPI_BYTE, comm, &(*out)->request), "MPI_Iallgather",
                 out);
}

static int collect(wf_transport *t, void *all, size_t bytes, wf_pending **out)
{
    return gather_over(t, COLLECT, all, bytes, out);
}

static int agree(wf_transport *t, void *all, size_t bytes, wf_pending **out)
{
    return gather_over(t, AGREE, all, bytes, out);
}

static int broadcast(wf_transport *t, void *data, size_t bytes, wf_pending **out)
{
    int n = (int)bytes;
    WF_TRY(prepare(bytes, out));
    return begun(MPI_Ibcast(data, n, MPI_BYTE, 0, ((mpi *)t)->comms[AGREE], &(*out)->request), "MPI_Ibcast", out);
}

static int test(wf_transport *t, wf_pending **pending, bool *done)
{
    int flag = 0;
    (void)t;
    WF_TRY(check(MPI_Test(&(*pending)->request, &flag, MPI_STATUS_IGNORE), "MPI_Test"));
    *done = flag;
    if (flag) {
        free(*pending);
        *pending = NULL;
    }
    return WF_OK;
}

static void tell(wf_transport *t, int to, int word)
{
    mpi *m = (mpi *)t;
    m->words[to] = word;
    if (MPI_Isend(&m->words[to], 1, MPI_INT, to, 0, m->comms[WORDS], &m->told[to]) != MPI_SUCCESS)
        m->told[to] = MPI_REQUEST_NULL;
}

/* Waits for the next word, from any rank. */
static void listen(mpi *m)
{
    if (MPI_Irecv(&m->word, 1, MPI_INT, MPI_ANY_SOURCE, 0, m->comms[WORDS], &m->listening) != MPI_SUCCESS)
        m->listening = MPI_REQUEST_NULL;
}

static bool hear(wf_transport *t, int *from, int *word)
{
    mpi *m = (mpi *)t;
    MPI_Status status;
    int flag = 0;
    if (m->listening == MPI_REQUEST_NULL || MPI_Test(&m->listening, &flag, &status) != MPI_SUCCESS || !flag)
        return false;
    *from = status.MPI_SOURCE;
    *word = m->word;
    listen(m);
    return true;
}

/* MPI_Abort is the one way that gives every launcher the code. A process that ends without MPI_Finalize gives MPICH's
 * its own code or 9, by chance. */
static void close_transport(wf_transport *t, bool whole, int code)
{
    mpi *m = (mpi *)t;
    if (whole) {
        if (m->listening != MPI_REQUEST_NULL) {
            MPI_Cancel(&m->listening);
            MPI_Wait(&m->listening, MPI_STATUS_IGNORE);
        }
        for (int i = 0; i < t->count; i++)
            MPI_Wait(&m->told[i], MPI_STATUS_IGNORE);
        for (int i = 0; i < KINDS; i++)
            MPI_Comm_free(&m->comms[i]);
        MPI_Finalize();
    } else {
        MPI_Abort(MPI_COMM_WORLD, code);
    }
    free(m->words);
    free(m->told);
    free(m);
}

/* "Open MPI v4.1.4, package: .." or "MPICH Version: 4.0.2 .." in few words. */
static void name_library(char name[96])
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int n = 0;
    MPI_Get_library_version(text, &n);
    char *version = strstr(text, "Version:");
    if (version)
        snprintf(name, 96, "MPICH %.*s", (int)strcspn(version + 8 + strspn(version + 8, " \t"), " \t\n"),
                 version + 8 + strspn(version + 8, " \t"));
    else
        snprintf(name, 96, "%.*s", (int)strcspn(text, ",\n"), text);
}

static int connect(mpi *m)
{
    int given;
    /* one thread at a time, but not always the main thread: wf_train_levels has one for each level */
    WF_TRY(check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &given), "MPI_Init_thread"));
    name_library(m->base.name);
    WF_CHECK(given >= MPI_THREAD_SERIALIZED, WF_UNAVAILABLE, "%s was built without threads", m->base.name);
    WF_TRY(check(MPI_Comm_rank(MPI_COMM_WORLD, &m->base.rank), "MPI_Comm_rank"));
    WF_TRY(check(MPI_Comm_size(MPI_COMM_WORLD, &m->base.count), "MPI_Comm_size"));
    for (int i = 0; i < KINDS; i++) {
        WF_TRY(check(MPI_Comm_dup(MPI_COMM_WORLD, &m->comms[i]), "MPI_Comm_dup"));
        WF_TRY(check(MPI_Comm_set_errhandler(m->comms[i], MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    }
    m->words = calloc((size_t)m->base.count, sizeof *m->words);
    m->told = malloc((size_t)m->base.count * sizeof *m->told);
    WF_CHECK(m->words && m->told, WF_AGAIN, "out of memory");
    for (int i = 0; i < m->base.count; i++)
        m->told[i] = MPI_REQUEST_NULL;
    listen(m);
    return WF_OK;
}

int wf_mpi_open(wf_transport **out)
{
    mpi *m = calloc(1, sizeof *m);
    WF_CHECK(m, WF_AGAIN, "out of memory");
    m->base = (wf_transport){.exchange = exchange,
                             .collect = collect,
                             .agree = agree,
                             .broadcast = broadcast,
                             .test = test,
                             .tell = tell,
                             .hear = hear,
                             .close = close_transport};
    m->listening = MPI_REQUEST_NULL;
    int status = connect(m);
    if (status) { /* MPI_Abort would end the process before it has said why */
        free(m->words);
        free(m->told);
        free(m);
        return status;
    }
    *out = &m->base;
    return WF_OK;
}
