/* workload.c - counts what the calls on a backend have to compute and to move
 *
 * The slots of the backend are replaced by functions that count and pass on. So the count is that of the calls which a
 * flow makes, for any chain and memory, and needs no second description of the chain. */
#include "workload.h"

#include <stdlib.h>

static wf_backend real; /* the slots as they were */
static workload *count;

/* A wf_conv is opaque: its spec is kept beside. */
static struct known {
    const wf_conv *conv;
    wf_conv_spec spec;
} * known;
static size_t known_count;

/* Returns how often one of `taps` shifts of one of `side` elements stays inside. */
static double shifts_inside(int side, int taps)
{
    int64_t inside = 0;
    for (int shift = -(taps / 2); shift <= taps / 2; shift++)
        inside += abs(shift) < side ? side - abs(shift) : 0;
    return (double)inside;
}

/* FLOP of one pass: the forward one, that by data, or that by weights. */
static double conv_flop(const wf_conv_spec *s)
{
    wf_conv_box box = wf_conv_box_of(s);
    return 2.0 * s->N * s->in * s->out * shifts_inside(box.D, box.d) * shifts_inside(box.H, box.h) *
           shifts_inside(box.W, box.w);
}

static const wf_conv_spec *spec_of(const wf_conv *conv)
{
    for (size_t i = known_count; i-- > 0;)
        if (known[i].conv == conv)
            return &known[i].spec;
    return NULL;
}

static void add_conv(const wf_conv *conv, int passes)
{
    const wf_conv_spec *spec = spec_of(conv);
    if (spec)
        count->flop += passes * conv_flop(spec);
}

static int conv_create(wf_backend *b, const wf_conv_spec *spec, wf_conv **out)
{
    WF_TRY(real.conv_create(b, spec, out));
    struct known *more = realloc(known, (known_count + 1) * sizeof *known);
    if (!more)
        abort();
    known = more;
    known[known_count++] = (struct known){*out, *spec};
    return WF_OK;
}

static int conv_forward(wf_backend *b, wf_conv *conv, const wf_weights *w, const wf_map *x, const wf_map *residual,
                        wf_map *y)
{
    add_conv(conv, 1);
    return real.conv_forward(b, conv, w, x, residual, y);
}

static int conv_backward(wf_backend *b, wf_conv *conv, const wf_weights *w, const wf_map *x, const wf_map *y,
                         const wf_map *add, wf_map *dy, wf_map *dx)
{
    add_conv(conv, (dx != NULL) + (w->dw != NULL));
    return real.conv_backward(b, conv, w, x, y, add, dy, dx);
}

static int matvec(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *a, const wf_real *x, wf_real *y)
{
    count->flop += 2.0 * (double)n * K * K;
    return real.matvec(b, n, K, A, a, x, y);
}

static int matvec_backward(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *x, wf_real *g, wf_real *dA,
                           wf_real *da)
{
    count->flop += (dA ? 4.0 : 2.0) * (double)n * K * K;
    return real.matvec_backward(b, n, K, A, x, g, dA, da);
}

/* Two products of P x P numbers for each channel; half of them where pixels attend to one side. */
static double attention_flop(wf_reach reach, int N, int P, int C)
{
    double pairs = reach == WF_REACH_ALL ? (double)P * P : (double)P * (P + 1) / 2;
    return 2 * 2.0 * N * C * pairs;
}

static int attend(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv, wf_real *y)
{
    count->flop += attention_flop(reach, N, P, C);
    return real.attend(b, reach, N, P, C, heads, qkv, y);
}

static int attend_backward(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv,
                           const wf_real *dy, wf_real *dqkv)
{
    count->flop += 2 * attention_flop(reach, N, P, C);
    return real.attend_backward(b, reach, N, P, C, heads, qkv, dy, dqkv);
}

/* w, m, u and ema are read and written, g is written by the backward pass and read. */
static int adamax(wf_backend *b, const wf_adamax *rule, size_t n, wf_real *w, wf_real *m, wf_real *u, wf_real *ema,
                  const wf_real *g, double *bad)
{
    count->bytes += 10.0 * (double)n * (double)b->real;
    return real.adamax(b, rule, n, w, m, u, ema, g, bad);
}

void workload_begin(wf_backend *b, workload *counted)
{
    real = *b;
    count = counted;
    *count = (workload){0};
    b->conv_create = conv_create;
    b->conv_forward = conv_forward;
    b->conv_backward = conv_backward;
    b->matvec = matvec;
    b->matvec_backward = matvec_backward;
    b->attend = attend;
    b->attend_backward = attend_backward;
    b->adamax = adamax;
}

void workload_end(wf_backend *b)
{
    b->conv_create = real.conv_create;
    b->conv_forward = real.conv_forward;
    b->conv_backward = real.conv_backward;
    b->matvec = real.matvec;
    b->matvec_backward = real.matvec_backward;
    b->attend = real.attend;
    b->attend_backward = real.attend_backward;
    b->adamax = real.adamax;
    free(known);
    known = NULL;
    known_count = 0;
}
