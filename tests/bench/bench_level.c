/* bench_level.c - images per second of one official ImageNet 64x64 level, as one JSON line
 *
 * A training step is forward, backward, Adamax and moving average, on the patch sizes of the official training; bpd is
 * forward alone and sample is the inverse, both on whole pictures. A gradient is what wf-nuts asks for at every leapfrog of
 * each chain: the annealed log density at a latent and its gradient by it, so the inverse, and back through it. */
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "../../lib/train.h"
#include "../../tools/cli.h"

enum { LEVELS = 7, MOST = 4096 };
static const int steps[LEVELS] = {8, 8, 16, 16, 16, 16, 16};
static const int widths[LEVELS] = {128, 128, 128, 128, 128, 256, 256};
static const int patches[LEVELS] = {1, 1, 2, 4, 8, 8, 16};
static const int sides[LEVELS] = {1, 1, 2, 4, 8, 16, 32};

static const char *const mode_names[] = {"train", "bpd", "sample", "gradient"};
enum mode { TRAIN, BPD, SAMPLE, GRADIENT };
static int level = 4, mode = TRAIN, precision = WF_FP32, keep = WF_MEMORY_AUTO, batch = 64;
static double seconds = 4;

static const cli_option options[] = {
    {'l', "level", "L", CLI_INT, &level, 0, LEVELS - 1, "Level; the default is 4."},
    {0, "mode", "train|bpd|sample|gradient", CLI_CHOICE, &mode, 0, 0, "What is timed; the default is train."},
    {0, "precision", "fp32|bf16|tf32", CLI_CHOICE, &precision, 0, 0, "Of the coupling nets; the default is fp32."},
    {0, "memory", "auto|store|reversible", CLI_CHOICE, &keep, 0, 0, "How backward gets at activations."},
    {0, "batch", "N", CLI_INT, &batch, 1, 4096, "Pictures in a batch; the default is 64."},
    {0, "time", "S", CLI_DOUBLE, &seconds, 0.01, 3600,
     "Measure for S seconds after one unmeasured run; the default is 4."},
    {.name = NULL},
};
static const cli_program bench = {"bench-level",
                                  "speed of one level",
                                  "[-l L] [--mode M] [--precision P] [--batch N] [--time S]",
                                  "Prints one JSON line: the median of the measured runs in images per second, and the "
                                  "peak memory of the process in MB.",
                                  "",
                                  options};

typedef struct run {
    wf_backend *backend;
    wf_flow *flow;
    wf_optimizer optimizer; /* of training */
    wf_real *params;
    wf_real *x, *cond;   /* [N,H,W,K], [N,H,W,C]; cond NULL at the base */
    double *log_density; /* [N] */
    double *gradient;    /* [N,H,W,K], host */
    size_t elements;     /* of x */
    int64_t step;
} run;

static wf_real *normal(wf_backend *b, size_t values, uint64_t step)
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

static void prepare(run *r)
{
    char chain[128];
    int side = mode == TRAIN ? patches[level] : sides[level];
    wf_flow_spec spec = {
        .N = batch, .H = side, .W = side, .K = level ? 9 : 3, .C = level ? 3 : 0, .precision = precision};
    spec.kernel = sides[level] == 1 ? 1 : 3;
    spec.memory = mode == TRAIN || mode == GRADIENT ? (wf_memory)keep : WF_MEMORY_NONE;
    snprintf(chain, sizeof chain, "%d*(actnorm, conv1x1, affine:width=%d:blocks=3), actnorm", steps[level],
             widths[level]);
    must(wf_backend_open(common.backend, common.threads, &r->backend));
    must(wf_flow_create(r->backend, chain, &spec, &r->flow));

    size_t size = wf_flow_size(r->flow), pixels = (size_t)side * (size_t)side;
    void *params;
    if (mode == TRAIN)
        must(wf_optimizer_create(r->backend, size, 0.999, &r->optimizer));
    else
        must(r->backend->alloc(r->backend, size * r->backend->real, &params));
    r->params = mode == TRAIN ? r->optimizer.w : params;
    r->elements = (size_t)batch * pixels * (size_t)spec.K;
    r->log_density = calloc((size_t)batch, sizeof *r->log_density);
    r->gradient = calloc(r->elements, sizeof *r->gradient);
    if (!r->log_density || !r->gradient)
        die(WF_AGAIN, "out of memory");
    must(wf_flow_init(r->flow, common.seed, r->params));
    r->x = normal(r->backend, pixels * (size_t)spec.K, 0);
    r->cond = spec.C ? normal(r->backend, pixels * (size_t)spec.C, 1) : NULL;
    must(wf_flow_data_init(r->flow, r->params, r->x, r->cond));
}

/* As latent_gradient and its neighbours do in lib/anneal.c, of one level at T = 0.97. */
static void evaluate(run *r)
{
    const wf_real *out;
    double g = 1 / (0.97 * 0.97);
    must(wf_flow_inverse(r->flow, r->params, r->x, r->cond, &out));
    must(wf_flow_inverse_logdet(r->flow, r->log_density));
    must(wf_flow_inverse_backward(r->flow, r->params, r->cond, NULL, g - 1, NULL, &out));
    must(r->backend->download(r->backend, r->gradient, WF_F64, out, r->elements));
}

static void once(run *r)
{
    const wf_real *out;
    if (mode == GRADIENT) {
        evaluate(r);
        return;
    }
    double first = 0; /* brought to the host, so that the clock sees the end of the work */
    if (mode == SAMPLE) {
        must(wf_flow_inverse(r->flow, r->params, r->x, r->cond, &out));
        must(r->backend->download(r->backend, &first, WF_F64, out, 1));
        return;
    }
    must(wf_flow_forward(r->flow, r->params, r->x, r->cond));
    must(wf_flow_log_density(r->flow, r->log_density));
    if (mode == BPD)
        return;
    wf_optimizer_begin(&r->optimizer, r->step++, 1e-3);
    must(wf_flow_backward(r->flow, r->params, r->cond, -1.0 / batch, wf_optimizer_sink, &r->optimizer, NULL, NULL));
    must(r->backend->download_double(r->backend, &first, r->optimizer.bad, 1));
    if (first != 0)
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

/* Median seconds of one run. */
static double measure(run *r)
{
    static double times[MOST];
    int n = 0;
    once(r);
    for (double start = now(); n < MOST && (n < 2 || now() - start < seconds); n++) {
        double before = now();
        once(r);
        times[n] = now() - before;
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    return times[n / 2];
}

int main(int argc, char **argv)
{
    run r = {0};
    if (cli_parse(&bench, argc, argv) != argc)
        die(WF_USAGE, "found an operand, expected none; see --help");
    prepare(&r);
    double median = measure(&r);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf(
        "{\"level\": %d, \"mode\": \"%s\", \"precision\": \"%s\", \"batch\": %d, \"img_per_s\": %.1f, \"rss_MB\": %ld, "
        "\"backend\": \"%s\", \"device\": \"%s\"}\n",
        level, mode_names[mode], wf_precision_names[precision], batch, batch / median, usage.ru_maxrss / 1024,
        r.backend->name, r.backend->device);
    r.backend->free(r.backend, r.x);
    r.backend->free(r.backend, r.cond);
    free(r.log_density);
    free(r.gradient);
    if (mode == TRAIN)
        wf_optimizer_clear(&r.optimizer);
    else
        r.backend->free(r.backend, r.params);
    wf_flow_destroy(r.flow);
    r.backend->close(r.backend);
    finish_stdout();
    return 0;
}
