/* stream.cpp - streams that delay work, events, and recordings as graphs of work
 *
 * Work of a stream runs when the host waits for it: as late as a device may. With WF_EMULATED_STREAMS=eager it runs at
 * the call, as early as a device may; with `mixed`, at random places. A recording keeps what each piece of work must
 * wait for. With WF_EMULATED_STRICT=1 a replay takes any order that these edges allow. */
#include "emulated.h"

#include <deque>
#include <set>
#include <stdlib.h>
#include <time.h>

struct node {
    const char *name;
    std::function<void()> run;
    std::set<size_t> after; /* nodes that this one waits for */
};

struct emulated_graph {
    std::vector<node> nodes;
};

/* A recording being made: one stream began it, others join it by waiting for its events. */
struct capture {
    emulated_graph *graph; /* NULL once the recording has ended */
    emulated_stream *origin;
};

/* An event stands for the time when a stream came to it, or for a place in a recording. */
struct mark {
    bool arrived = true;
    double seconds = 0;
    emulated_stream *stream = nullptr;
    std::shared_ptr<capture> within;
    std::set<size_t> front;
};

struct work {
    const char *name;
    std::function<void()> run;
    std::shared_ptr<mark> wait; /* or: until this mark is reached */
};

struct emulated_stream {
    int device;
    std::deque<work> queue;
    std::shared_ptr<capture> within; /* the recording that it takes part in */
    std::set<size_t> front;          /* nodes that its next node waits for */
};

struct emulated_event {
    int device;
    bool timed;
    std::shared_ptr<mark> at = std::make_shared<mark>();
};

static std::set<emulated_stream *> streams;
static std::set<const void *> known; /* kernels that have run outside of recordings */
static thread_local int recordings;  /* that this thread makes */
static thread_local bool told;       /* of the loss of the device */
static long launches;

void emulated_not_recording(const char *call)
{
    if (emulated_strict() && recordings)
        emulated_complain("%s while this thread records a stream", call);
}

int emulated_stream_device(cudaStream_t stream)
{
    return stream->device;
}

bool emulated_loses_device(const char *who)
{
    LOCK();
    long lost = emulated_setting("WF_EMULATED_LOST", 0);
    if (lost && ++launches >= lost)
        emulated_sticky = cudaErrorIllegalAddress;
    if (emulated_strict() && emulated_sticky && told)
        emulated_complain("%s after the loss of the device, which a call before has reported", who);
    told = told || emulated_sticky;
    return emulated_sticky;
}

void emulated_check_device(const char *who, int device)
{
    if (emulated_strict() && device != emulated_device)
        emulated_complain("%s on a stream of device %d, by a thread whose device is %d", who, device, emulated_device);
}

/* A module is loaded when its first kernel is launched, which a recording does not allow. */
void emulated_know(const void *kernel, const char *name, cudaStream_t stream)
{
    if (emulated_strict() && stream->within && !known.count(kernel))
        emulated_complain("%s is launched for the first time while a stream records", name);
    emulated_calls[std::string("launched ") + name]++;
    if (!stream->within)
        known.insert(kernel);
}

/* -- running ------------------------------------------------------------------------------------------------------- */

static void run_until(const std::shared_ptr<mark> &m);

static void run_next(emulated_stream *s)
{
    work w = s->queue.front();
    s->queue.pop_front();
    if (emulated_sticky)
        return; /* a lost device runs nothing, and its marks may be of streams that are gone */
    if (w.wait) {
        run_until(w.wait);
        return;
    }
    w.run();
    emulated_check_ends(w.name);
}

static void run_until(const std::shared_ptr<mark> &m)
{
    while (!m->arrived && !m->stream->queue.empty())
        run_next(m->stream);
}

static void run_stream(emulated_stream *s)
{
    if (s->queue.empty())
        return;
    emulated_opening open("a stream");
    while (!s->queue.empty())
        run_next(s);
}

void emulated_run_all()
{
    for (emulated_stream *s : streams)
        run_stream(s);
}

static bool runs_now()
{
    static const char *when = getenv("WF_EMULATED_STREAMS");
    return when && (!strcmp(when, "eager") || (!strcmp(when, "mixed") && !emulated_random(4)));
}

void emulated_enqueue(cudaStream_t stream, const char *name, std::function<void()> run)
{
    LOCK();
    if (stream->within) {
        std::vector<node> &nodes = stream->within->graph->nodes;
        nodes.push_back({name, run, stream->front});
        stream->front = {nodes.size() - 1};
        return;
    }
    stream->queue.push_back({name, run, nullptr});
    if (runs_now())
        run_stream(stream);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    ENTER();
    emulated_not_recording(__func__);
    *stream = new emulated_stream{emulated_device, {}, nullptr, {}};
    streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    LOCK();
    run_stream(stream);
    streams.erase(stream);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    ENTER();
    if (stream->within) {
        emulated_not_recording(__func__);
        return emulated_last = cudaErrorStreamCaptureUnsupported;
    }
    run_stream(stream);
    return emulated_sticky;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    ENTER();
    return stream->within ? cudaErrorStreamCaptureUnsupported : stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

/* -- copies -------------------------------------------------------------------------------------------------------- */

static bool overlap(const void *a, const void *b, size_t bytes)
{
    return (const char *)a < (const char *)b + bytes && (const char *)b < (const char *)a + bytes;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    ENTER();
    const char *me = __func__;
    int device = stream->device;
    bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
    auto check = [=]() {
        if (to_device)
            emulated_extent(me, "the target", to, bytes, device);
        if (from_device)
            emulated_extent(me, "the source", from, bytes, device);
        if (emulated_strict() && ((!to_device && emulated_is_device(to)) || (!from_device && emulated_is_device(from))))
            emulated_complain("%s: device memory is named as host memory", me);
        if (emulated_strict() && to_device && from_device && overlap(to, from, bytes))
            emulated_complain("%s: source and target overlap", me);
    };
    check();
    if (from_device || emulated_is_pinned(from)) {
        emulated_enqueue(stream, me, [=]() {
            check();
            memmove(to, from, bytes);
        });
        return cudaSuccess;
    }
    if (emulated_strict() && stream->within)
        emulated_complain("%s: a recording reads pageable memory, whose contents may be others when it is replayed",
                          me);
    std::string now((const char *)from, bytes);
    emulated_enqueue(stream, me, [=]() {
        check();
        memcpy(to, now.data(), bytes);
    });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
    ENTER();
    const char *me = __func__;
    int device = stream->device;
    emulated_extent(me, "the target", memory, bytes, device);
    emulated_enqueue(stream, me, [=]() {
        emulated_extent(me, "the target", memory, bytes, device);
        memset(memory, value, bytes);
    });
    return cudaSuccess;
}

/* -- recordings ---------------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    ENTER();
    if (stream->within)
        return emulated_last = cudaErrorInvalidValue;
    stream->within = std::make_shared<capture>(capture{new emulated_graph, stream});
    stream->front.clear();
    recordings++;
    return cudaSuccess;
}

/* Tests whether the stream that began a recording waits for all of its nodes. */
static bool is_joined(const emulated_stream *origin)
{
    const std::vector<node> &nodes = origin->within->graph->nodes;
    std::set<size_t> reached = origin->front;
    for (size_t i = nodes.size(); i-- > 0;)
        if (reached.count(i))
            reached.insert(nodes[i].after.begin(), nodes[i].after.end());
    return reached.size() == nodes.size();
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    LOCK();
    emulated_enter(__func__); /* a recording ends after a loss, too */
    *graph = nullptr;
    if (!stream->within || stream->within->origin != stream)
        return emulated_last = cudaErrorInvalidValue;
    bool joined = is_joined(stream);
    emulated_graph *made = stream->within->graph;
    recordings--;
    std::shared_ptr<capture> ended = stream->within;
    ended->graph = nullptr;
    for (emulated_stream *s : streams)
        if (s->within == ended)
            s->within = nullptr;
    if (emulated_strict() && !joined && !emulated_sticky)
        emulated_complain("%s before a forked stream has joined", __func__);
    if (!joined || emulated_sticky) {
        delete made;
        return emulated_sticky ? emulated_sticky : emulated_last = cudaErrorStreamCaptureUnjoined;
    }
    *graph = made;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    ENTER();
    *exec = new emulated_graph(*graph);
    for (const node &n : graph->nodes)
        emulated_calls[std::string("recorded ") + n.name]++;
    emulated_calls["recorded"] += (long)graph->nodes.size();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    LOCK();
    emulated_run_all();
    delete exec;
    return cudaSuccess;
}

/* Runs nodes in the order of the calls or, strictly, any node that waits for nothing. */
static void run_graph(const emulated_graph *graph)
{
    std::vector<size_t> waits(graph->nodes.size()), ready;
    std::vector<std::vector<size_t>> next(graph->nodes.size());
    for (size_t i = 0; i < waits.size(); i++) {
        waits[i] = graph->nodes[i].after.size();
        for (size_t before : graph->nodes[i].after)
            next[before].push_back(i);
        if (!waits[i])
            ready.push_back(i);
    }
    while (!ready.empty() && !emulated_sticky) {
        size_t at = emulated_strict() ? emulated_random(ready.size()) : 0, i = ready[at];
        ready.erase(ready.begin() + (long)at);
        graph->nodes[i].run();
        emulated_check_ends(graph->nodes[i].name);
        for (size_t n : next[i])
            if (!--waits[n])
                ready.push_back(n);
    }
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    ENTER();
    emulated_check_device(__func__, stream->device);
    if (emulated_loses_device(__func__))
        return emulated_sticky;
    emulated_enqueue(stream, __func__, [=]() { run_graph(exec); });
    return cudaSuccess;
}

/* -- events -------------------------------------------------------------------------------------------------------- */

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, 0);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    ENTER();
    *event = new emulated_event{emulated_device, !(flags & cudaEventDisableTiming)};
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    LOCK();
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    ENTER();
    if (emulated_strict() && event->device != stream->device)
        emulated_complain("%s: an event of device %d on a stream of device %d", __func__, event->device,
                          stream->device);
    auto m = std::make_shared<mark>();
    event->at = m;
    m->stream = stream;
    m->within = stream->within;
    m->front = stream->front;
    if (m->within)
        return cudaSuccess;
    m->arrived = false;
    emulated_enqueue(stream, __func__, [=]() {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        m->seconds = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
        m->arrived = true;
    });
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    ENTER();
    std::shared_ptr<mark> m = event->at;
    if (stream->within != m->within && (stream->within || !m->within->graph)) {
        if (emulated_strict())
            emulated_complain("%s: %s", __func__,
                              stream->within ? "a recording waits for an event from outside of it"
                                             : "a stream waits for an event of a recording that has ended");
        return emulated_last = cudaErrorStreamCaptureIsolation;
    }
    if (m->within && !stream->within)
        stream->front.clear();
    if (m->within) {
        stream->within = m->within;
        stream->front.insert(m->front.begin(), m->front.end());
    } else if (!m->arrived) {
        stream->queue.push_back({__func__, nullptr, m});
    }
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    ENTER();
    if (event->at->within) {
        emulated_not_recording(__func__);
        return emulated_last = cudaErrorStreamCaptureUnsupported;
    }
    if (!event->at->arrived) {
        emulated_opening open("a stream");
        run_until(event->at);
    }
    return emulated_sticky;
}

/* Tests whether a stream was told to come to the event, outside of recordings, and the event keeps the time. */
static bool has_time(const emulated_event *event)
{
    return event->timed && event->at->stream && !event->at->within;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end)
{
    ENTER();
    static long measured;
    long clock = emulated_setting("WF_EMULATED_CLOCK", 0);
    bool timed = has_time(begin) && has_time(end);
    if (!timed || !begin->at->arrived || !end->at->arrived) {
        if (emulated_strict())
            emulated_complain("%s: %s", __func__,
                              timed ? "the device has not come to both events" : "an event has no time");
        return emulated_last = timed ? cudaErrorNotReady : cudaErrorInvalidResourceHandle;
    }
    *ms = clock ? (float)(1000000 + clock * ++measured) : (float)(1e3 * (end->at->seconds - begin->at->seconds));
    return cudaSuccess;
}
