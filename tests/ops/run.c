/* run.c - allocates buffers between canaries, and compares runs */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

enum { GUARD = 256, CANARY = 0xA5, FILL = 0xFF };

/* Ends the test on a failure: a test that cannot set itself up has no result. */
static void must(int status)
{
    if (!status)
        return;
    fprintf(stderr, "check-ops: %s\n", wf_error());
    exit(1);
}

static void *host_memory(size_t bytes)
{
    void *p = calloc(bytes ? bytes : 1, 1);
    if (!p)
        must(wf_fail(WF_AGAIN, "out of memory: %zu bytes", bytes));
    return p;
}

/* The type that copies bytes to and from the device without conversion. */
static wf_dtype own_dtype(const wf_backend *b)
{
    return b->real == sizeof(double) ? WF_F64 : WF_F32;
}

static void put_bytes(wf_backend *b, void *to, const void *from, size_t bytes)
{
    must(b->upload(b, to, from, own_dtype(b), bytes / b->real));
}

static void get_bytes(wf_backend *b, void *to, const void *from, size_t bytes)
{
    must(b->download(b, to, own_dtype(b), from, bytes / b->real));
}

static uint64_t mix64(uint64_t x) /* splitmix64 (Steele et al. 2014) */
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

float input_value(int number, uint64_t picture, size_t element, double size, wf_precision precision)
{
    uint64_t bits = mix64(mix64(mix64((uint64_t)number) ^ picture) ^ element);
    double unit = (double)(bits >> 11) * 0x1p-52 - 1;
    if (precision == WF_BF16) { /* 8 significant bits, so that every backend holds the same input */
        int exponent;
        double mantissa = frexp(unit, &exponent);
        unit = ldexp(rint(mantissa * 256) / 256, exponent);
    }
    return (float)(unit * size);
}

static size_t elements(const run *r, const buffer *f)
{
    return f->scope == PER_PICTURE ? (size_t)r->N * f->per : f->per;
}

/* Allocates the next buffer of `bytes`, with canaries around it and 0xff inside. */
static buffer *make(run *r, const char *what, enum kind kind, enum scope scope, size_t per, size_t bytes)
{
    if (r->count == MAX_BUFFERS)
        must(wf_fail(WF_INTERNAL, "%s: more than %d buffers", what, MAX_BUFFERS));
    buffer *f = &r->buffers[r->count++];
    *f = (buffer){.what = what, .kind = kind, .scope = scope, .per = per, .bytes = bytes};
    f->start = GUARD + (kind == REALS && scope == WHOLE ? r->backend->real : 0);
    f->total = (f->start + bytes + GUARD + 63) / 64 * 64;
    unsigned char *image = host_memory(f->total);
    memset(image, CANARY, f->total);
    memset(image + f->start, FILL, bytes);
    void *memory;
    must(r->backend->alloc(r->backend, f->total, &memory));
    f->memory = memory;
    put_bytes(r->backend, memory, image, f->total);
    free(image);
    return f;
}

void break_next(run *r)
{
    r->broken = true;
    r->broken_input = r->count + 1;
}

/* Returns the input values of buffer `number`. */
static float *values_of(const run *r, int number, enum scope scope, size_t per, double size, wf_precision precision)
{
    size_t pictures = scope == PER_PICTURE ? (size_t)r->N : 1;
    float *v = host_memory(pictures * per * sizeof *v);
    for (size_t n = 0; n < pictures; n++)
        for (size_t e = 0; e < per; e++)
            v[n * per + e] = input_value(number, scope == PER_PICTURE ? r->pictures[n] : 0, e, size, precision);
    for (size_t n = 0; n < pictures && number == r->broken_input; n++)
        if (r->pictures[n] == BROKEN)
            v[n * per + per / 2] = NAN;
    return v;
}

wf_real *reals(run *r, const char *what, enum role role, enum scope scope, size_t n, double size)
{
    size_t count = scope == PER_PICTURE ? (size_t)r->N * n : n;
    buffer *f = make(r, what, REALS, scope, n, count * r->backend->real);
    wf_real *data = (wf_real *)(f->memory + f->start);
    if (role != OUTPUT) {
        float *v = values_of(r, r->count, scope, n, size, WF_FP32);
        must(r->backend->upload(r->backend, data, v, WF_F32, count));
        free(v);
    }
    return data;
}

double *doubles(run *r, const char *what, enum scope scope, size_t n, bool zero)
{
    size_t bytes = (scope == PER_PICTURE ? (size_t)r->N * n : n) * sizeof(double);
    buffer *f = make(r, what, DOUBLES, scope, n, bytes);
    if (zero)
        must(r->backend->zero(r->backend, f->memory + f->start, bytes));
    return (double *)(f->memory + f->start);
}

wf_map *feature_map(run *r, const char *what, enum role role, const wf_map_shape *shape)
{
    wf_backend *b = r->backend;
    size_t per = (size_t)shape->H * (size_t)shape->W * (size_t)shape->C;
    buffer *f = make(r, what, MAP, PER_PICTURE, per, b->map_bytes(b, shape));
    f->shape = *shape;
    wf_map *data = (wf_map *)(f->memory + f->start);
    if (role != OUTPUT) {
        float *v = values_of(r, r->count, PER_PICTURE, per, 1, shape->precision);
        void *x;
        must(b->alloc(b, (size_t)r->N * per * b->real, &x));
        must(b->upload(b, x, v, WF_F32, (size_t)r->N * per));
        must(b->pack(b, shape, shape->C, shape->C, x, 0, NULL, data));
        b->free(b, x);
        free(v);
    }
    return data;
}

double *host(run *r, const char *what, enum scope scope, size_t n)
{
    buffer *f = make(r, what, HOST, scope, n, 0);
    f->values = host_memory(elements(r, f) * sizeof *f->values);
    return f->values;
}

static int check_canaries(run *r, const buffer *f)
{
    unsigned char *image = host_memory(f->total);
    get_bytes(r->backend, image, f->memory, f->total);
    long dead = 0;
    bool found = false;
    for (size_t i = 0; i < f->total && !found; i++)
        if ((i < f->start || i >= f->start + f->bytes) && image[i] != CANARY) {
            found = true;
            dead = i < f->start ? (long)i - (long)f->start : (long)(i - f->start - f->bytes);
        }
    free(image);
    WF_CHECK(!found, WF_INTERNAL, "%s: written outside, at byte %ld from its %s", f->what, dead,
             dead < 0 ? "start" : "end");
    return WF_OK;
}

static void read_back(run *r, buffer *f)
{
    wf_backend *b = r->backend;
    size_t n = elements(r, f);
    if (f->kind == HOST)
        return;
    f->values = host_memory(n * sizeof *f->values);
    void *data = f->memory + f->start, *x = NULL;
    switch (f->kind) {
    case DOUBLES:
        must(b->download_double(b, f->values, data, n));
        break;
    case MAP:
        must(b->alloc(b, n * b->real, &x));
        must(b->unpack(b, &f->shape, data, x));
        must(b->download(b, f->values, WF_F64, x, n));
        b->free(b, x);
        break;
    default:
        must(b->download(b, f->values, WF_F64, data, n));
    }
}

int run_collect(run *r)
{
    for (int i = 0; i < r->count; i++) {
        WF_TRY(check_canaries(r, &r->buffers[i]));
        read_back(r, &r->buffers[i]);
    }
    return WF_OK;
}

void run_clear(run *r)
{
    for (int i = 0; i < r->count; i++) {
        r->backend->free(r->backend, r->buffers[i].memory);
        free(r->buffers[i].values);
    }
    r->count = 0;
}

/* unpack leaves out the padding of a map, so all elements count. NaN is never equal. */
int run_compare(const run *a, const run *b, double tolerance)
{
    for (int i = 0; i < a->count; i++) {
        const buffer *f = &a->buffers[i], *g = &b->buffers[i];
        size_t n = elements(a, f);
        double largest = 0;
        for (size_t e = 0; e < n; e++)
            largest = fmax(largest, fabs(g->values[e]));
        for (size_t e = 0; e < n; e++) {
            if (b->broken && isnan(g->values[e]) && (isnan(f->values[e]) || (b->relu_of_broken && f->values[e] == 0)))
                continue;
            if (b->broken && !isnan(g->values[e]) && (f->scope == WHOLE || a->pictures[e / f->per] == BROKEN))
                continue; /* methods that mix pixels, as Winograd's, may spread the NaN within a picture and a sum */
            double error = fabs(f->values[e] - g->values[e]) / (largest > 0 ? largest : 1);
            WF_CHECK(error <= tolerance, WF_INTERNAL, "%s[%zu of %zu] is %.9g, want %.9g (error %.2g of %.2g)", f->what,
                     e, n, f->values[e], g->values[e], error, tolerance);
        }
    }
    return WF_OK;
}

int run_identical(const run *a, const run *b, const int *place, bool whole)
{
    for (int i = 0; i < a->count; i++) {
        const buffer *f = &a->buffers[i], *g = &b->buffers[i];
        bool batch = f->scope == PER_PICTURE;
        for (int n = 0; n < (batch ? a->N : whole); n++) {
            if (batch && place[n] < 0)
                continue;
            const double *u = f->values + (size_t)n * f->per, *v = g->values + (batch ? (size_t)place[n] * f->per : 0);
            for (size_t e = 0; e < f->per; e++)
                WF_CHECK(memcmp(&u[e], &v[e], sizeof *u) == 0, WF_INTERNAL, "%s[%d,%zu] is %.17g and %.17g", f->what, n,
                         e, u[e], v[e]);
        }
    }
    return WF_OK;
}
