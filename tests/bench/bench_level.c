/* bench_level.c - images per second of one level of the official models, one JSON line a measurement
 *
 *   train      forward, backward, Adamax and moving average, on the patch sizes of the official training
 *   bpd        forward alone, on whole pictures
 *   sample     the inverse, on whole pictures
 *   gradient   one leapfrog step of wf-nuts: the annealed log density at a latent and its gradient by the latent, by
 *              the inverse and its backward pass */
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../../lib/model/capture.h"
#include "../../lib/train/train.h"
#include "../../tools/cli.h"
#include "../../lib/model/presets.h"
#include "../../lib/train/optimizer.h"
#include "groups.h"
#include "peak.h"
#include "workload.h"

enum { MOST = 4096, COPY = 1 << 28 };

enum mode { TRAIN, BPD, SAMPLE, GRADIENT, MATRIX, BANDWIDTH };
static const char *const mode_names[] = {"train", "bpd", "sample", "gradient", "matrix", "copy", NULL};
static const char *const memory_names[] = {"auto", "store", "reversible", "lean", NULL};
static int level = 4, pyramid;
static double seconds = 4;
static const char *optimizer = "adamax";
static bool turns, by_group;

static const cli_option options[] = {
    {'l', "level", "L", CLI_INT, &level, 0, 10, "Level; the default is 4."},
    {0, "model", "imagenet64|faces1024", CLI_CHOICE, &pyramid, 0, 0, "Whose level; the default is imagenet64."},
    {0, "time", "S", CLI_DOUBLE, &seconds, 0.001, 3600, "Measure for S seconds after the unmeasured runs; default 4."},
    {0, "optimizer", "NAME", CLI_STRING, &optimizer, 0, 0,
     "Optimizer of train, as for wf-train-level; default adamax."},
    {0, "turns", NULL, CLI_FLAG, &turns, 0, 0, "Measure once for each line of stdin; see above."},
    {0, "groups", NULL, CLI_FLAG, &by_group, 0, 0,
     "Of train, also print when each group of gradients is ready: tests/bench/predict.py reads it."},
    CLI_BACKEND_AUTO,
    CLI_THREADS,
    {.name = NULL},
};
static const cli_program bench = {
    .name = "bench-level",
    .summary = "speed of one level",
    .synopsis = "[-l L] [--model M] [--time S] [--turns] [--groups] [--backend NAME] MODE:PRECISION:BATCH:MEMORY ...",
    .description =
        "MODE: train, bpd, sample, gradient. Prints one JSON line for each operand: images per second in the median "
        "run, the memory of the flow and the peak memory of the process, both in MB. matrix:PRECISION:SIZE measures a "
        "matrix product in FLOP per second; copy measures a copy in bytes read and written per second.\n"
        "\n"
        "peak:fp32, peak:bf16, peak:amx and peak:amx-loads measure the most that the processor multiplies, in FLOP per "
        "second. conv:OUT:IN:H:N[:K] times a convolution of N maps of H x H, 3x3 unless K is given, in every way that "
        "the CPU backend has for it, by turns: milliseconds forward, by data, by weights. maps:C:H:N measures the "
        "loops over N maps of H x H and C channels, in GB per second, channels that pad included.\n"
        "\n"
        "GFLOP and MB_moved are what one run has to compute and to move: multiplications and additions of convolutions "
        "and products, without taps on padding; parameters, what the optimizer keeps of them, and pictures.\n"
        "\n"
        "With --turns, a level is measured once for each line 'again' on stdin, for at least one run, so that programs "
        "can take turns. A line 'kernels' asks for a single run, in which oneDNN lists what it executes.",
    .examples = "",
    .options = options};

typedef struct job {
    int mode, batch, memory;
    wf_precision precision;
} job;

typedef struct run {
    job job;
    wf_backend *backend;
    wf_flow *flow;
    wf_optimizer optimizer;  /* TRAIN */
    groups groups;           /* TRAIN, with --groups */
    wf_capture replay, back; /* back: GRADIENT's backward pass */
    wf_readback *readback;   /* of the last run, on a device that queues work; else NULL */
    wf_real *params;
    wf_real *x, *cond;   /* [N,H,W,K], [N,H,W,C]; cond NULL at the base */
    const wf_real *out;  /* result of the last run */
    double *log_density; /* [N] */
    double *gradient;    /* [N,H,W,K], host */
    size_t elements;     /* N*H*W*K */
    size_t bytes;        /* of parameters, input and output: what no run can save */
    int64_t step;
    workload workload;
    bool warm; /* false before the unmeasured runs */
} run;

static int find_name(const char *const *names, const char *text, size_t length)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == length && !memcmp(names[i], text, length))
            return i;
    die(WF_USAGE, "'%.*s' is not a mode, precision or memory; see --help", (int)length, text);
}

static job parse_job(const char *text)
{
    job j = {.batch = 64};
    const char *part[4] = {text};
    size_t length[4] = {0};
    for (int i = 0; i < 4 && part[i]; i++) {
        length[i] = strcspn(part[i], ":");
        if (part[i][length[i]] && i < 3)
            part[i + 1] = part[i] + length[i] + 1;
    }
    j.mode = find_name(mode_names, part[0], length[0]);
    if (part[1])
        j.precision = (wf_precision)find_name(wf_precision_names, part[1], length[1]);
    if (part[2])
        j.batch = atoi(part[2]);
    if (part[3])
        j.memory = find_name(memory_names, part[3], length[3]);
    if (j.batch < 1 || j.batch > 16384 || (j.mode == MATRIX && j.batch % 32))
        die(WF_USAGE, "%s: expected a batch from 1 to 16384, or a matrix size that is a multiple of 32", text);
    return j;
}

static wf_real *normal(wf_backend *b, int batch, size_t values, uint64_t step)
{
    void *memory;
    must(b->alloc(b, (size_t)batch * values * b->real, &memory));
    uint64_t *index = calloc((size_t)batch, sizeof *index);
    if (!index)
        die(WF_AGAIN, "out of memory");
    for (int n = 0; n < batch; n++)
        index[n] = (uint64_t)n;
    must(b->normal(b, &(wf_random){common.seed, WF_PURPOSE_LATENT, step}, batch, values, index, 0.3, memory));
    free(index);
    return memory;
}

static void open_run(run *r)
{
    char chain[WF_PRESET_CHAIN];
    const job *j = &r->job;
    wf_meta meta = {.wavelet = "haar", .levels = pyramid ? 10 : 6, .C = 3, .bits = 8};
    meta.top = meta.levels;
    meta.H = meta.W = 1 << meta.levels;
    if (level > meta.levels)
        die(WF_USAGE, "level %d: the model ends at %d", level, meta.levels);
    wf_level_shape s = wf_meta_level(&meta, level);
    int patch = j->mode == TRAIN ? wf_preset_patch(&meta, level) : 0, side = patch ? patch : s.H;
    bool backward = j->mode == TRAIN || j->mode == GRADIENT;
    wf_flow_spec spec = {.N = j->batch,
                         .H = side,
                         .W = side,
                         .K = s.K,
                         .C = level ? s.C : 0,
                         .kernel = s.H == 1 ? 1 : 3,
                         .precision = j->precision,
                         .memory = backward ? (wf_memory)j->memory : WF_MEMORY_NONE};
    (void)wf_preset_chain("official", &meta, level, chain);
    must(wf_flow_create(r->backend, chain, &spec, &r->flow));

    size_t size = wf_flow_size(r->flow), pixels = (size_t)side * (size_t)side;
    void *params;
    if (j->mode == TRAIN) {
        must(wf_optimizer_create(r->backend, optimizer, size, 0.999, &r->optimizer));
        must(wf_optimizer_add_matrices(&r->optimizer, r->flow, 0));
    } else {
        must(r->backend->alloc(r->backend, size * r->backend->real, &params));
    }
    r->params = j->mode == TRAIN ? r->optimizer.w : params;
    r->elements = (size_t)j->batch * pixels * (size_t)spec.K;
    r->log_density = calloc((size_t)j->batch, sizeof *r->log_density);
    r->gradient = calloc(r->elements, sizeof *r->gradient);
    if (!r->log_density || !r->gradient)
        die(WF_AGAIN, "out of memory");
    if (j->mode == TRAIN && by_group)
        groups_reset(&r->groups, &r->optimizer);
    must(wf_flow_init(r->flow, common.seed, r->params));
    r->x = normal(r->backend, j->batch, pixels * (size_t)spec.K, 0);
    r->cond = spec.C ? normal(r->backend, j->batch, pixels * (size_t)spec.C, 1) : NULL;
    r->bytes = (size + 2 * r->elements + (size_t)j->batch * pixels * (size_t)spec.C) * r->backend->real;
}

static void clear_run(run *r)
{
    wf_capture_clear(r->backend, &r->replay);
    wf_capture_clear(r->backend, &r->back);
    r->backend->free(r->backend, r->x);
    r->backend->free(r->backend, r->cond);
    free(r->log_density);
    free(r->gradient);
    if (r->job.mode == TRAIN)
        wf_optimizer_clear(&r->optimizer);
    else
        r->backend->free(r->backend, r->params);
    groups_clear(&r->groups);
    wf_flow_destroy(r->flow);
}

static int compute_back(void *user)
{
    run *r = user;
    double g = 1 / (0.97 * 0.97);
    return wf_flow_inverse_backward(r->flow, r->params, r->cond, NULL, g - 1, NULL, &r->out);
}

/* Enqueues the device's part of one run, captured as in wf_train, wf_evaluator, wf_sampler and wf_anneal. */
static int compute(void *user)
{
    run *r = user;
    if (r->job.mode == SAMPLE || r->job.mode == GRADIENT)
        return wf_flow_inverse(r->flow, r->params, r->x, r->cond, &r->out);
    groups *g = r->groups.optimizer ? &r->groups : NULL;
    if (g)
        groups_begin(g);
    WF_TRY(wf_flow_forward(r->flow, r->params, r->x, r->cond));
    if (r->job.mode == BPD)
        return WF_OK;
    WF_TRY(wf_flow_guard(r->flow, r->optimizer.bad));
    if (g)
        groups_forward(g);
    WF_TRY(wf_flow_backward(r->flow, r->params, r->cond, -1.0 / r->job.batch, g ? groups_sink : wf_optimizer_sink,
                            g ? (void *)g : &r->optimizer, NULL, NULL));
    WF_TRY(wf_optimizer_finish(&r->optimizer));
    if (g)
        groups_end(g);
    return WF_OK;
}

/* Evaluates density and gradient of one level at T = 0.97, like lib/mcmc/anneal.c. */
static void run_gradient(run *r)
{
    must(wf_capture_run(r->backend, &r->replay, compute, r));
    must(wf_flow_inverse_logdet(r->flow, r->log_density));
    must(wf_capture_run(r->backend, &r->back, compute_back, r));
    must(r->backend->download(r->backend, r->gradient, WF_F64, r->out, r->elements));
}

/* Makes one run. On a device that queues work, waits for the results of the previous run only, so that the device is
 * never idle; on others, the run has ended on return. */
static void run_once(run *r)
{
    wf_backend *b = r->backend;
    if (r->job.mode == GRADIENT) {
        run_gradient(r);
        return;
    }
    wf_readback *before = r->readback;
    if (r->job.mode == TRAIN)
        wf_optimizer_begin(&r->optimizer, r->step++, 1e-3);
    must(wf_capture_run(b, &r->replay, compute, r));
    must(wf_flow_readback_begin(r->flow, &r->readback));
    if (before)
        must(wf_flow_readback_end(r->flow, before, r->log_density));
    if (!b->queued) {
        must(wf_flow_readback_end(r->flow, r->readback, r->log_density));
        r->readback = NULL;
    }
}

static void end_runs(run *r)
{
    double bad = 0;
    if (r->readback)
        must(wf_flow_readback_end(r->flow, r->readback, r->log_density));
    r->readback = NULL;
    if (r->job.mode == TRAIN)
        must(r->backend->download_double(r->backend, &bad, r->optimizer.bad, 1));
    if (bad != 0)
        die(WF_INTERNAL, "a gradient is not finite");
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Makes the unmeasured runs: one, or three on backends that record. The first is counted. */
static void warm_up(run *r)
{
    r->workload = (workload){0};
    run_once(r);
    workload_end(r->backend);
    for (int i = 1; i < (r->backend->record ? 3 : 1); i++)
        run_once(r);
    if (r->groups.optimizer)
        groups_reset(&r->groups, &r->optimizer);
    r->warm = true;
}

/* Returns the median seconds of one run. */
static double median_seconds(run *r)
{
    static double times[MOST];
    int n = 0, least = turns ? 1 : 2;
    for (double start = now(); n < MOST && (n < least || now() - start < seconds); n++) {
        double before = now();
        run_once(r);
        times[n] = now() - before;
    }
    end_runs(r);
    qsort(times, (size_t)n, sizeof *times, ascending);
    return times[n / 2];
}

/* Returns the least seconds of one `work`, over groups of TIMES that end with a download. */
static double best_seconds(run *r, int (*work)(run *r))
{
    double least = 1e9;
    double start = now();
    for (int i = 0; i < 3 || now() - start < seconds; i++) {
        enum { TIMES = 4 };
        double before = now(), end;
        for (int k = 0; k < TIMES; k++)
            must(work(r));
        must(r->backend->download(r->backend, &end, WF_F64, r->x, 1));
        least = (now() - before) / TIMES < least ? (now() - before) / TIMES : least;
    }
    return least;
}

static int copy(run *r)
{
    return r->backend->copy(r->backend, r->x, r->params, r->elements);
}

static double bandwidth(run *r)
{
    void *memory[2];
    for (int i = 0; i < 2; i++) {
        must(r->backend->alloc(r->backend, COPY, &memory[i]));
        must(r->backend->zero(r->backend, memory[i], COPY));
    }
    r->elements = COPY / r->backend->real;
    r->params = memory[0];
    r->x = memory[1];
    double rate = 2.0 * COPY / best_seconds(r, copy);
    r->backend->free(r->backend, r->params);
    r->backend->free(r->backend, r->x);
    return rate;
}

typedef struct product {
    run run; /* params: weights, bias, log-scale */
    wf_conv *conv;
    wf_weights weights; /* folded once, where the backend does so: the measurement is the product's alone */
    wf_map *in, *out;
    size_t size;
} product;

static int multiply(run *r)
{
    product *p = (product *)r;
    return r->backend->conv_forward(r->backend, p->conv, &p->weights, p->in, NULL, p->out);
}

static void fold_weights(product *p)
{
    wf_backend *b = p->run.backend;
    wf_real *bias = wf_at(b, p->run.params, p->size * p->size);
    p->weights = (wf_weights){.w = p->run.params, .bias = bias, .logs = wf_at(b, bias, p->size)};
    if (!b->conv_fold)
        return;
    must(b->alloc(b, b->conv_folded_bytes(b, p->conv, false), &p->weights.folded));
    must(b->conv_fold(b, 1, &p->conv, &p->weights));
}

/* A 1x1 convolution of as many channels as pixels is a square matrix product, of the size that the batch names. */
static double matrix(run *r)
{
    wf_backend *b = r->backend;
    product p = {.run = *r, .size = (size_t)r->job.batch};
    int side = (int)p.size;
    wf_conv_spec spec = {
        .N = 1, .H = side / 32, .W = 32, .in = side, .out = side, .k = 1, .precision = r->job.precision};
    wf_map_shape shape = {1, spec.H, spec.W, side, spec.precision};
    void *maps[2];
    for (int i = 0; i < 2; i++)
        must(b->alloc(b, b->map_bytes(b, &shape), &maps[i]));
    p.in = maps[0];
    p.out = maps[1];
    p.run.x = normal(b, 1, p.size * p.size, 0);
    p.run.params = normal(b, 1, p.size * p.size + 2 * p.size, 1);
    must(b->pack(b, &shape, side, side, p.run.x, 0, NULL, p.in));
    must(b->conv_create(b, &spec, &p.conv));
    fold_weights(&p);
    double size = (double)side, rate = 2 * size * size * size / best_seconds(&p.run, multiply);
    b->conv_destroy(b, p.conv);
    b->free(b, p.weights.folded);
    b->free(b, p.run.params);
    b->free(b, p.run.x);
    for (int i = 0; i < 2; i++)
        b->free(b, maps[i]);
    return rate;
}

static void report(const run *r, const char *figures)
{
    printf("{\"mode\": \"%s\", \"precision\": \"%s\", %s, ", mode_names[r->job.mode],
           wf_precision_names[r->job.precision], figures);
    if (r->groups.steps) {
        groups_print(&r->groups);
        printf(", ");
    }
    printf("\"device\": \"%s\"}\n", r->backend->device);
    fflush(stdout);
}

/* Returns the seconds of one run that oneDNN reports on. */
static double list_kernels(run *r)
{
    dnnl_set_verbose(1);
    double before = now();
    run_once(r);
    double taken = now() - before;
    dnnl_set_verbose(0);
    end_runs(r);
    return taken;
}

/* Reads a line of stdin; false at its end. kernels: what the line asks for. */
static bool next_turn(bool *kernels)
{
    char line[16];
    if (!fgets(line, sizeof line, stdin))
        return false;
    *kernels = !strcmp(line, "kernels\n");
    if (!*kernels && strcmp(line, "again\n"))
        die(WF_USAGE, "stdin: expected lines 'again' or 'kernels'");
    return true;
}

static void measure(run *r, bool kernels)
{
    char figures[256];
    struct rusage usage;
    if (!r->warm)
        warm_up(r);
    double taken = kernels ? list_kernels(r) : median_seconds(r);
    getrusage(RUSAGE_SELF, &usage);
    snprintf(figures, sizeof figures,
             "\"level\": %d, \"batch\": %d, \"img_per_s\": %.5g, \"GFLOP\": %.5g, \"MB_moved\": %.5g, "
             "\"flow_MB\": %zu, \"rss_MB\": %ld",
             level, r->job.batch, r->job.batch / taken, r->workload.flop * 1e-9,
             ((double)r->bytes + r->workload.bytes) * 1e-6, wf_flow_bytes(r->flow) >> 20, usage.ru_maxrss / 1024);
    report(r, figures);
}

/* Opens the flow at the first turn, so that several of these programs can start side by side. */
static void do_level(run *r)
{
    bool kernels = false;
    while (!turns || next_turn(&kernels)) {
        if (!r->flow) {
            workload_begin(r->backend, &r->workload);
            open_run(r);
        }
        measure(r, kernels);
        if (!turns)
            break;
    }
    if (r->flow)
        clear_run(r);
}

static void do_job(wf_backend *backend, const char *text)
{
    char figures[64];
    run r = {.job = parse_job(text), .backend = backend};
    if (r.job.mode != MATRIX && r.job.mode != BANDWIDTH) {
        do_level(&r);
        return;
    }
    if (r.job.mode == MATRIX)
        snprintf(figures, sizeof figures, "\"FLOP_per_s\": %.4g", matrix(&r));
    else
        snprintf(figures, sizeof figures, "\"B_per_s\": %.4g", bandwidth(&r));
    report(&r, figures);
}

int main(int argc, char **argv)
{
    wf_backend *backend;
    int first = cli_parse(&bench, argc, argv);
    if (first == argc)
        die(WF_USAGE, "no measurement given; see --help");
    must(wf_backend_open(common.backend, common.threads, &backend));
    for (int i = first; i < argc; i++)
        if (!peak_job(argv[i], backend->threads, seconds, backend->device) &&
            !slot_job(argv[i], backend->threads, seconds))
            do_job(backend, argv[i]);
    backend->close(backend);
    finish_stdout();
    return 0;
}
