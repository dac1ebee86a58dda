/* slots.c - the times of one convolution in every way of the CPU backend, and of its loops over maps
 *
 *   conv:OUT:IN:H:N[:K]   N maps of H x H, a KxK kernel: forward, by data, by weights; ways take turns
 *   maps:C:H:N            N maps of H x H and C channels
 *
 * The best of many runs counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/cpu/conv.h"
#include "../../lib/base/clock.h"
#include "../../lib/model/level.h"
#include "../../tools/cli.h"
#include "peak.h"

static void *memory(wf_backend *b, size_t bytes)
{
    void *p;
    must(b->alloc(b, bytes, &p));
    must(b->zero(b, p, bytes));
    return p;
}

static wf_real *numbers(wf_backend *b, size_t count, double size)
{
    wf_real *x = memory(b, count * b->real);
    const uint64_t index = 0;
    must(b->normal(b, &(wf_random){1, WF_PURPOSE_LATENT, count}, 1, count, &index, size, x));
    return x;
}

static wf_map *map(wf_backend *b, const wf_map_shape *s)
{
    wf_map *m = memory(b, b->map_bytes(b, s));
    wf_real *x = numbers(b, (size_t)s->N * (size_t)s->H * (size_t)s->W * (size_t)s->C, 1);
    must(b->pack(b, s, s->C, s->C, x, 0, NULL, m));
    b->free(b, x);
    return m;
}

/* -- one convolution ----------------------------------------------------------------------------------------------- */

enum { PASSES = WF_CONV_PASSES };

/* A way of computing a convolution, which the backend takes if it can. */
static const struct way {
    const char *name;
    wf_conv_way way;
    wf_precision precision;
    bool nhwc;
} ways[] = {
    {"matrix products, fp32", WF_WAY_TINY, WF_FP32, false}, {"direct, fp32", WF_WAY_DIRECT, WF_FP32, false},
    {"Winograd, fp32", WF_WAY_WINOGRAD, WF_FP32, false},    {"oneDNN, fp32", WF_WAY_ONEDNN, WF_FP32, false},
    {"Winograd, bf16", WF_WAY_WINOGRAD, WF_BF16, false},    {"oneDNN, bf16", WF_WAY_ONEDNN, WF_BF16, false},
    {"oneDNN, bf16, NHWC", WF_WAY_ONEDNN, WF_BF16, true},   {"own AMX, bf16, NHWC", WF_WAY_TILES, WF_BF16, true}};
enum { WAYS = sizeof ways / sizeof *ways };

typedef struct candidate {
    const struct way *way;
    wf_backend *backend;
    wf_conv *conv;
    wf_map *x, *y, *dy, *dx;
    wf_weights weights;
    double least[PASSES]; /* seconds */
} candidate;

static void close_candidate(candidate *c)
{
    wf_backend *b = c->backend;
    void *all[] = {c->x,
                   c->dx,
                   c->y,
                   c->dy,
                   (void *)c->weights.w,
                   (void *)c->weights.bias,
                   (void *)c->weights.logs,
                   c->weights.dw,
                   c->weights.dbias,
                   c->weights.dlogs};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        b->free(b, all[i]);
    b->conv_destroy(b, c->conv);
    b->close(b);
}

/* Returns whether every pass is computed in the candidate's way, on its maps. */
static bool takes_its_way(const candidate *c)
{
    const wf_conv *conv = c->conv;
    bool same = conv->in.bf16 == (c->way->precision == WF_BF16) && conv->in.nhwc == c->way->nhwc;
    for (int pass = 0; pass < PASSES; pass++)
        same = same && conv->way[pass] == c->way->way;
    return same;
}

/* Opens a backend that takes a way where it can. The environment is then as it was. */
static void open_for(const struct way *way, int threads, wf_backend **out)
{
    static const char *const names[] = {"WF_CPU_CONVOLUTION", "WF_CPU_BF16_LAYOUT", "WF_CPU_AMX"};
    const char *values[] = {way->way == WF_WAY_WINOGRAD ? "winograd"
                            : way->way == WF_WAY_ONEDNN ? "onednn"
                                                        : "",
                            way->nhwc ? "nhwc" : "blocked", way->way == WF_WAY_TILES ? "all" : "none"};
    char *before[3];
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        before[i] = value ? strdup(value) : NULL;
        setenv(names[i], values[i], 1);
    }
    must(wf_backend_open("cpu", threads, out));
    for (int i = 0; i < 3; i++) {
        setenv(names[i], before[i] ? before[i] : "", 1);
        free(before[i]);
    }
}

/* Opens a candidate. False: this processor does not take that way for this convolution. */
static bool open_candidate(candidate *c, const struct way *way, wf_conv_spec spec, int threads)
{
    *c = (candidate){.way = way, .least = {1e9, 1e9, 1e9}};
    open_for(way, threads, &c->backend);
    wf_backend *b = c->backend;
    spec.precision = way->precision;
    must(b->conv_create(b, &spec, &c->conv));
    if (!takes_its_way(c)) {
        close_candidate(c);
        return false;
    }
    wf_map_shape in = {spec.N, spec.H, spec.W, spec.in, spec.precision};
    wf_map_shape out = {spec.N, spec.H, spec.W, spec.out, spec.precision};
    size_t size = (size_t)spec.out * (size_t)(spec.k * spec.k) * (size_t)spec.in, channels = (size_t)spec.out;
    c->x = map(b, &in);
    c->dx = map(b, &in);
    c->y = map(b, &out);
    c->dy = map(b, &out);
    c->weights = (wf_weights){.w = numbers(b, size, 0.1),
                              .bias = numbers(b, channels, 0.1),
                              .logs = numbers(b, channels, 0.1),
                              .dw = numbers(b, size, 0),
                              .dbias = numbers(b, channels, 0),
                              .dlogs = numbers(b, channels, 0)};
    return true;
}

static void run_pass(candidate *c, int pass)
{
    wf_weights w = c->weights;
    if (pass != WF_CONV_WEIGHTS)
        w.dw = w.dbias = w.dlogs = NULL;
    double start = wf_clock();
    if (pass == WF_CONV_FORWARD)
        must(c->backend->conv_forward(c->backend, c->conv, &w, c->x, NULL, c->y));
    else
        must(c->backend->conv_backward(c->backend, c->conv, &w, c->x, c->y, NULL, c->dy,
                                       pass == WF_CONV_DATA ? c->dx : NULL));
    double taken = wf_clock() - start;
    c->least[pass] = taken < c->least[pass] ? taken : c->least[pass];
}

/* FLOP are counted with taps on the padding. */
static void report_candidate(const candidate *c, const wf_conv_spec *s)
{
    double gflop = 2e-9 * s->N * s->H * s->W * s->k * s->k * s->in * s->out;
    const double *t = c->least;
    printf("{\"mode\": \"conv\", \"way\": \"%s\", \"ms\": [%.3g, %.3g, %.3g], \"GFLOP_per_s\": [%.4g, %.4g, %.4g], "
           "\"device\": \"%s\"}\n",
           c->way->name, 1e3 * t[0], 1e3 * t[1], 1e3 * t[2], gflop / t[0], gflop / t[1], gflop / t[2],
           c->backend->device);
}

static void convolution(const char *text, int threads, double seconds)
{
    wf_conv_spec s = {.k = 3};
    candidate candidates[WAYS];
    int count = 0;
    char rest;
    int given = sscanf(text, "%d:%d:%d:%d:%d%c", &s.out, &s.in, &s.H, &s.N, &s.k, &rest);
    s.W = s.H;
    if ((given != 4 && given != 5) || !wf_conv_good(&s) || s.out > 4096 || s.in > 4096 || s.H > 1024 || s.N > 4096)
        die(WF_USAGE,
            "conv:%s: expected conv:OUT:IN:H:N or conv:OUT:IN:H:N:K, channels, side, pictures and an odd kernel", text);
    for (int i = 0; i < WAYS; i++)
        count += open_candidate(&candidates[count], &ways[i], s, threads);
    double start = wf_clock();
    for (int round = 0; round < 2 || wf_clock() - start < seconds; round++)
        for (int pass = 0; pass < PASSES; pass++)
            for (int i = 0; i < count; i++)
                run_pass(&candidates[i], pass);
    for (int i = 0; i < count; i++) {
        report_candidate(&candidates[i], &s);
        close_candidate(&candidates[i]);
    }
    fflush(stdout);
}

/* -- loops over maps ----------------------------------------------------------------------------------------------- */

enum { TAKEN = 4, GIVEN = 3, PARAMETERS = 10 }; /* channels of small maps, as of a coupling of 9 */

/* Maps of C channels but ab and dab, of 2 C, and two small ones. */
typedef struct maps {
    wf_backend *b;
    wf_map_shape shape, input, output; /* C, TAKEN + GIVEN and PARAMETERS channels */
    wf_map *x, *y, *z, *ab, *dab, *in, *out;
    wf_real *taken, *given, *parameters;
} maps;

static int do_copy(maps *m)
{
    size_t n = m->b->map_bytes(m->b, &m->shape) / m->b->real;
    return m->b->copy(m->b, (wf_real *)m->z, (const wf_real *)m->x, n);
}

static int do_relu(maps *m)
{
    return m->b->relu_backward(m->b, &m->shape, m->x, NULL, m->z);
}

static int do_relu_add(maps *m)
{
    return m->b->relu_backward(m->b, &m->shape, m->x, m->y, m->z);
}

static int do_pack(maps *m)
{
    return m->b->pack(m->b, &m->input, TAKEN, TAKEN, m->taken, GIVEN, m->given, m->in);
}

static int do_pack_backward(maps *m)
{
    return m->b->pack_backward(m->b, &m->input, TAKEN, TAKEN, m->taken, GIVEN, m->given, m->in);
}

static int do_unpack(maps *m)
{
    return m->b->unpack(m->b, &m->output, m->out, m->parameters);
}

static int do_norm(maps *m)
{
    return m->b->norm(m->b, &m->shape, m->x, m->z);
}

static int do_norm_backward(maps *m)
{
    return m->b->norm_backward(m->b, &m->shape, m->x, m->y, NULL, m->z);
}

static int do_gate(maps *m)
{
    return m->b->gate(m->b, &m->shape, m->ab, m->x, m->z);
}

static int do_gate_backward(maps *m)
{
    return m->b->gate_backward(m->b, &m->shape, m->ab, m->x, m->dab);
}

/* Slots, and what each reads and writes: maps of C channels, those of the input and output, floats a pixel. */
static const struct loop {
    const char *name;
    int (*run)(maps *m);
    int maps, input, output, floats;
} loops[] = {{"copy", do_copy, 2, 0, 0, 0},
             {"relu_backward", do_relu, 3, 0, 0, 0},
             {"relu_backward, add", do_relu_add, 4, 0, 0, 0},
             {"pack", do_pack, 0, 1, 0, TAKEN + GIVEN},
             {"pack_backward", do_pack_backward, 0, 1, 0, 2 * (TAKEN + GIVEN)},
             {"unpack", do_unpack, 0, 0, 1, PARAMETERS},
             {"norm", do_norm, 2, 0, 0, 0},
             {"norm_backward", do_norm_backward, 3, 0, 0, 0},
             {"gate", do_gate, 4, 0, 0, 0},
             {"gate_backward", do_gate_backward, 5, 0, 0, 0}};
enum { LOOPS = sizeof loops / sizeof *loops };

static void open_maps(maps *m, wf_backend *b, wf_map_shape shape)
{
    wf_map_shape input = shape, output = shape, twice = shape;
    size_t pixels = (size_t)shape.N * (size_t)shape.H * (size_t)shape.W;
    input.C = TAKEN + GIVEN;
    output.C = PARAMETERS;
    twice.C *= 2;
    *m = (maps){.b = b, .shape = shape, .input = input, .output = output};
    m->x = map(b, &shape);
    m->y = map(b, &shape);
    m->z = map(b, &shape);
    m->ab = map(b, &twice);
    m->dab = map(b, &twice);
    m->in = map(b, &input);
    m->out = map(b, &output);
    m->taken = numbers(b, pixels * TAKEN, 1);
    m->given = numbers(b, pixels * GIVEN, 1);
    m->parameters = numbers(b, pixels * PARAMETERS, 1);
}

static void close_maps(maps *m)
{
    void *all[] = {m->x, m->y, m->z, m->ab, m->dab, m->in, m->out, m->taken, m->given, m->parameters};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        m->b->free(m->b, all[i]);
}

/* Returns bytes a second of the best run, channels that pad included. */
static double best_rate(maps *m, const struct loop *l, double seconds)
{
    wf_backend *b = m->b;
    double least = 1e9, pixels = (double)m->shape.N * m->shape.H * m->shape.W;
    double bytes = (double)l->maps * (double)b->map_bytes(b, &m->shape) +
                   (double)l->input * (double)b->map_bytes(b, &m->input) +
                   (double)l->output * (double)b->map_bytes(b, &m->output) + l->floats * pixels * (double)b->real;
    double start = wf_clock();
    for (int i = 0; i < 10 || wf_clock() - start < seconds; i++) {
        double before = wf_clock();
        must(l->run(m));
        double taken = wf_clock() - before;
        least = taken < least ? taken : least;
    }
    return bytes / least;
}

static void all_loops(const char *text, int threads, double seconds)
{
    wf_backend *b;
    maps m;
    char rest;
    wf_map_shape s = {0};
    int given = sscanf(text, "%d:%d:%d%c", &s.C, &s.H, &s.N, &rest);
    s.W = s.H;
    if (given != 3 || s.C < 1 || s.H < 1 || s.N < 1 || s.C > 2048 || s.H > 1024 || s.N > 4096)
        die(WF_USAGE, "maps:%s: expected maps:C:H:N, channels, side and pictures", text);
    must(wf_backend_open("cpu", threads, &b));
    for (s.precision = WF_FP32; s.precision <= (b->bf16 ? WF_BF16 : WF_FP32); s.precision++) {
        open_maps(&m, b, s);
        printf("{\"mode\": \"maps\", \"precision\": \"%s\"", wf_precision_names[s.precision]);
        for (int i = 0; i < LOOPS; i++)
            printf(", \"%s\": %.3g", loops[i].name, 1e-9 * best_rate(&m, &loops[i], seconds / (2 * LOOPS)));
        printf(", \"device\": \"%s\"}\n", b->device);
        close_maps(&m);
    }
    fflush(stdout);
    b->close(b);
}

bool slot_job(const char *text, int threads, double seconds)
{
    bool conv = !strncmp(text, "conv:", 5), loop = !strncmp(text, "maps:", 5);
    if (conv)
        convolution(text + 5, threads, seconds);
    if (loop)
        all_loops(text + 5, threads, seconds);
    return conv || loop;
}
