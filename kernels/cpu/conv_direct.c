/* conv_direct.c - convolutions of maps with 8 channels a block, for processors where oneDNN has only its reference
 *
 * The input becomes [N,rows,W + w - 1,from], padded by zeros at both ends of a row. The taps of one row of the kernel
 * then meet contiguous floats, and each row of the kernel is one matrix product. Rows of volumes are those of all
 * slices. The bits of a pixel depend neither on its place nor on other pictures nor on threads.
 *
 * The gradient by x is the same convolution of dy with the kernel reversed. The gradient by the weights is a product of
 * the padded input and dy for each row of the kernel. */
#include "conv.h"

#include "product.h"

#include <math.h>
#include <string.h>

enum {
    LANES = 8,
    TO = WF_PRODUCT_COLUMNS,
    PIXELS = 4 * WF_PRODUCT_ROWS, /* pixels of a row whose sums are kept together */
    TERMS = 16 * WF_PRODUCT_ROWS  /* rows of the weights' gradient that stay in the nearest cache */
};

/* One convolution: sizes, and the scratch. */
typedef struct direct {
    wf_conv_box b;
    int N, rows;          /* pictures; lines of a picture, D * H */
    int from, to;         /* channels, padded to blocks */
    int panels, lines;    /* groups of 16 output channels; rows of the kernel */
    size_t width, terms;  /* floats of a padded line; channels and taps that one row of the kernel multiplies */
    float *x;             /* [N,rows,width] */
    float *u;             /* [panels,lines,terms,16]: the weights, or the other map as [panels,N,rows,W,16] */
    float *scale, *shift; /* [out], padded with zeros: exp(3 logs), and bias exp(3 logs) */
} direct;

static size_t line_up(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

static int direct_open(wf_cpu *cpu, const wf_conv *conv, bool backward, bool weights, const float *bias,
                       const float *logs, direct *d)
{
    const wf_conv_spec *s = &conv->spec;
    *d = (direct){.b = wf_conv_box_of(s), .N = s->N, .from = conv->in.channels, .to = conv->out.channels};
    if (backward) {
        d->from = conv->out.channels;
        d->to = conv->in.channels;
    }
    d->rows = d->b.D * d->b.H;
    d->panels = (d->to + TO - 1) / TO;
    d->lines = d->b.d * d->b.h;
    d->width = (size_t)(d->b.W + d->b.w - 1) * (size_t)d->from;
    d->terms = (size_t)d->b.w * (size_t)d->from;
    size_t pixels = (size_t)d->N * (size_t)d->rows, x = line_up(pixels * d->width);
    size_t u = (size_t)d->panels * TO * (weights ? pixels * (size_t)d->b.W : (size_t)d->lines * d->terms);
    size_t out = (size_t)conv->out.channels;
    void *memory;
    WF_TRY(wf_cpu_scratch(cpu, (x + u + 2 * line_up(out)) * sizeof(float), &memory));
    d->x = memory;
    d->u = d->x + x;
    d->scale = d->u + u;
    d->shift = d->scale + line_up(out);
    for (size_t o = 0; o < out; o++) {
        bool real = o < (size_t)s->out;
        d->scale[o] = real ? expf(3.0f * logs[o]) : 0;
        d->shift[o] = real && bias ? d->scale[o] * bias[o] : 0;
    }
    return WF_OK;
}

/* The start of a line of one block of channels of a map with `channels`. */
static size_t line_of(const direct *d, int channels, int n, int block, int row)
{
    return (((size_t)n * (size_t)(channels / LANES) + (size_t)block) * (size_t)d->rows + (size_t)row) * (size_t)d->b.W *
           LANES;
}

static void pad_input(const direct *d, const float *map)
{
    int lines = d->N * d->rows, pad = d->b.w / 2;
    size_t edge = (size_t)pad * (size_t)d->from;
#pragma omp parallel for schedule(static) if ((size_t)lines * d->width > WF_CPU_PARALLEL)
    for (int i = 0; i < lines; i++) {
        float *to = d->x + (size_t)i * d->width;
        memset(to, 0, edge * sizeof *to);
        memset(to + d->width - edge, 0, edge * sizeof *to);
        for (int block = 0; block < d->from / LANES; block++) {
            const float *from = map + line_of(d, d->from, i / d->rows, block, i % d->rows);
            for (int p = 0; p < d->b.W; p++)
                memcpy(to + edge + (size_t)p * (size_t)d->from + (size_t)block * LANES, from + p * LANES,
                       LANES * sizeof *to);
        }
    }
}

/* The line that row r of the kernel meets from line `row`; false where there is none. */
static bool meets(const direct *d, int row, int r, int *line)
{
    int z = row / d->b.H + r / d->b.h - d->b.d / 2, y = row % d->b.H + r % d->b.h - d->b.h / 2;
    *line = z * d->b.H + y;
    return z >= 0 && z < d->b.D && y >= 0 && y < d->b.H;
}

/* -- forward, and the gradient by x -------------------------------------------------------------------------------- */

/* Fills u with weights times scale; backward, with those of the reversed kernel. */
static void pack_weights(const direct *d, const wf_conv_spec *s, bool backward, const float *w)
{
    int taps = wf_conv_taps(s), froms = backward ? s->out : s->in, tos = backward ? s->in : s->out;
    size_t in = (size_t)s->in, out_step = (size_t)taps * in;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < d->panels * taps; i++) {
        int first = i / taps * TO, t = i % taps, tap = backward ? taps - 1 - t : t;
        float *to = d->u + (size_t)i * (size_t)d->from * TO;
        memset(to, 0, (size_t)d->from * TO * sizeof *to);
        for (int c = 0; c < froms; c++)
            for (int o = 0; o < TO && first + o < tos; o++) {
                size_t from_channel = (size_t)(backward ? first + o : c), out = (size_t)(backward ? c : first + o);
                to[c * TO + o] = w[out * out_step + (size_t)tap * in + from_channel] * d->scale[out];
            }
    }
}

/* Operations on a sum before it is stored: + shift, + residual, max(0, .). */
typedef struct finish {
    const float *shift, *residual; /* NULL: none */
    bool relu;
    float *y;
} finish;

/* Stores `count` pixels from p on of one line. */
static void store_pixels(const direct *d, const finish *f, int n, int row, int panel, int p, int count,
                         const float *sum)
{
    for (int block = 2 * panel; block < 2 * panel + 2 && block < d->to / LANES; block++) {
        size_t at = line_of(d, d->to, n, block, row) + (size_t)p * LANES;
        const float *from = sum + block % 2 * LANES;
        for (int i = 0; i < count; i++)
            for (int c = 0; c < LANES; c++) {
                size_t place = at + (size_t)(i * LANES + c);
                float v = from[i * TO + c] + (f->shift ? f->shift[block * LANES + c] : 0);
                v += f->residual ? f->residual[place] : 0;
                f->y[place] = f->relu && v < 0 ? 0 : v;
            }
    }
}

static void convolve(const direct *d, const finish *f)
{
    int lines = d->N * d->rows;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < lines; i++)
        for (int panel = 0; panel < d->panels; panel++)
            for (int p = 0; p < d->b.W; p += PIXELS) {
                float sum[PIXELS * TO] = {0};
                int n = i / d->rows, row = i % d->rows, count = d->b.W - p < PIXELS ? d->b.W - p : PIXELS, line;
                for (int r = 0; r < d->lines; r++)
                    if (meets(d, row, r, &line))
                        wf_product_add(count,
                                       (wf_product){d->x + ((size_t)n * (size_t)d->rows + (size_t)line) * d->width +
                                                        (size_t)p * (size_t)d->from,
                                                    d->u + (size_t)(panel * d->lines + r) * d->terms * TO, d->terms,
                                                    (size_t)d->from, 1},
                                       sum);
                store_pixels(d, f, n, row, panel, p, count, sum);
            }
}

int wf_cpu_direct_forward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                          const float *x, const float *residual, float *y)
{
    direct d;
    WF_TRY(direct_open(cpu, conv, false, false, bias, logs, &d));
    pad_input(&d, x);
    pack_weights(&d, &conv->spec, false, w);
    convolve(&d, &(finish){d.shift, residual, conv->spec.relu, y});
    return WF_OK;
}

static int data_gradient(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *logs, const float *dy,
                         float *dx)
{
    direct d;
    WF_TRY(direct_open(cpu, conv, true, false, NULL, logs, &d));
    pad_input(&d, dy);
    pack_weights(&d, &conv->spec, true, w);
    convolve(&d, &(finish){.y = dx});
    return WF_OK;
}

/* -- the gradient by the parameters -------------------------------------------------------------------------------- */

/* Fills u with dy as [panels,N,rows,W,16]. */
static void pack_result(const direct *d, const float *dy)
{
    int lines = d->N * d->rows;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < d->panels * lines; i++) {
        float *to = d->u + (size_t)i * (size_t)d->b.W * TO;
        int panel = i / lines, n = i % lines / d->rows, row = i % d->rows;
        for (int half = 0; half < 2; half++) {
            int block = 2 * panel + half;
            const float *from = block < d->to / LANES ? dy + line_of(d, d->to, n, block, row) : NULL;
            for (int p = 0; p < d->b.W; p++)
                for (int c = 0; c < LANES; c++)
                    to[p * TO + half * LANES + c] = from ? from[p * LANES + c] : 0;
        }
    }
}

/* Computes sum [count,16]: terms [first, first + count) of row r of the kernel with the output channels of a panel. */
static void sum_terms(const direct *d, int panel, int r, size_t first, int count, float *sum)
{
    memset(sum, 0, (size_t)count * TO * sizeof *sum);
    for (int n = 0; n < d->N; n++) {
        float picture[TERMS * TO] = {0};
        for (int row = 0; row < d->rows; row++) {
            int line;
            size_t at = (size_t)n * (size_t)d->rows;
            if (meets(d, row, r, &line))
                wf_product_add(
                    count,
                    (wf_product){d->x + (at + (size_t)line) * d->width + first,
                                 d->u + (((size_t)panel * (size_t)d->N * (size_t)d->rows + at) + (size_t)row) *
                                            (size_t)d->b.W * TO,
                                 (size_t)d->b.W, 1, (size_t)d->from},
                    picture);
        }
        for (int i = 0; i < count * TO; i++)
            sum[i] += picture[i];
    }
}

/* Writes a part of dw [out,taps,in], before the scale. */
static void store_terms(const direct *d, const wf_conv_spec *s, int panel, int r, size_t first, int count,
                        const float *sum, float *dw)
{
    size_t in = (size_t)s->in, taps = (size_t)wf_conv_taps(s);
    for (int i = 0; i < count; i++) {
        size_t term = first + (size_t)i, channel = term % (size_t)d->from;
        size_t tap = (size_t)r * (size_t)d->b.w + term / (size_t)d->from;
        for (int o = 0; o < TO && panel * TO + o < s->out && channel < in; o++)
            dw[((size_t)(panel * TO + o) * taps + tap) * in + channel] = sum[i * TO + o];
    }
}

/* Sums dy over pictures and pixels, and applies the derivatives of the scale to dw. */
static void finish_gradients(const direct *d, const wf_conv_spec *s, const float *w, const float *bias, float *dw,
                             float *dbias, float *dlogs)
{
    size_t each = (size_t)wf_conv_taps(s) * (size_t)s->in;
    size_t pixels = (size_t)d->N * (size_t)d->rows * (size_t)d->b.W;
#pragma omp parallel for schedule(static)
    for (int o = 0; o < s->out; o++) {
        const float *weight = w + (size_t)o * each, *dy = d->u + (size_t)(o / TO) * pixels * TO + o % TO;
        float *to = dw + (size_t)o * each, scale = d->scale[o], dot = 0;
        double sum = 0;
        for (size_t p = 0; p < pixels; p++)
            sum += (double)dy[p * TO];
#pragma omp simd reduction(+ : dot)
        for (size_t i = 0; i < each; i++) {
            to[i] *= scale;
            dot += to[i] * weight[i];
        }
        dbias[o] = (float)sum * scale;
        dlogs[o] = 3.0f * (dot + dbias[o] * bias[o]);
    }
}

static int parameter_gradients(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                               const float *x, const float *dy, float *dw, float *dbias, float *dlogs)
{
    direct d;
    WF_TRY(direct_open(cpu, conv, false, true, bias, logs, &d));
    pad_input(&d, x);
    pack_result(&d, dy);
    int parts = ((int)d.terms + TERMS - 1) / TERMS, items = d.panels * d.lines * parts;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < items; i++) {
        float sum[TERMS * TO];
        int panel = i / parts / d.lines, r = i / parts % d.lines;
        size_t first = (size_t)(i % parts) * TERMS;
        int count = d.terms - first < TERMS ? (int)(d.terms - first) : TERMS;
        sum_terms(&d, panel, r, first, count, sum);
        store_terms(&d, &conv->spec, panel, r, first, count, sum, dw);
    }
    finish_gradients(&d, &conv->spec, w, bias, dw, dbias, dlogs);
    return WF_OK;
}

int wf_cpu_direct_backward(wf_cpu *cpu, const wf_conv *conv, const float *w, const float *bias, const float *logs,
                           const float *x, const float *dy, float *dx, float *dw, float *dbias, float *dlogs)
{
    if (dx)
        WF_TRY(data_gradient(cpu, conv, w, logs, dy, dx));
    return dw ? parameter_gradients(cpu, conv, w, bias, logs, x, dy, dw, dbias, dlogs) : WF_OK;
}
