/* ref_map.c - feature maps and convolutions */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

/* -- feature maps ------------------------------------------------------------------------------------------------- */

static size_t map_pixels(const wf_map_shape *s)
{
    return (size_t)s->N * (size_t)s->H * (size_t)s->W;
}

size_t wf_ref_map_bytes(wf_backend *b, const wf_map_shape *shape)
{
    (void)b;
    return map_pixels(shape) * (size_t)shape->C * sizeof(double);
}

int wf_ref_pack(wf_backend *b, const wf_map_shape *shape, int take, int K, const wf_real *x, int C, const wf_real *cond,
                wf_map *map)
{
    (void)b;
    WF_CHECK(shape->C == take + C && take <= K, WF_INTERNAL, "pack: a map of %d channels from %d and %d", shape->C,
             take, C);
    double *to = (double *)map;
    for (size_t p = 0; p < map_pixels(shape); p++) {
        for (int c = 0; c < take; c++)
            *to++ = ((const double *)x)[p * (size_t)K + (size_t)c];
        for (int c = 0; c < C; c++)
            *to++ = ((const double *)cond)[p * (size_t)C + (size_t)c];
    }
    return WF_OK;
}

int wf_ref_pack_backward(wf_backend *b, const wf_map_shape *shape, int take, int K, wf_real *dx, int C, wf_real *dcond,
                         const wf_map *map)
{
    (void)b;
    WF_CHECK(shape->C == take + C && take <= K, WF_INTERNAL, "pack: a map of %d channels to %d and %d", shape->C, take,
             C);
    const double *from = (const double *)map;
    for (size_t p = 0; p < map_pixels(shape); p++) {
        for (int c = 0; c < take; c++, from++)
            ((double *)dx)[p * (size_t)K + (size_t)c] += *from;
        for (int c = 0; c < C; c++, from++)
            if (dcond)
                ((double *)dcond)[p * (size_t)C + (size_t)c] += *from;
    }
    return WF_OK;
}

int wf_ref_unpack(wf_backend *b, const wf_map_shape *shape, const wf_map *map, wf_real *x)
{
    memcpy(x, map, wf_ref_map_bytes(b, shape));
    return WF_OK;
}

int wf_ref_relu_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *y_, const wf_map *add_, wf_map *dy_)
{
    (void)b;
    const double *y = (const double *)y_, *add = (const double *)add_;
    double *dy = (double *)dy_;
    for (size_t i = 0; i < map_pixels(shape) * (size_t)shape->C; i++)
        dy[i] = y[i] > 0 ? dy[i] + (add ? add[i] : 0) : 0;
    return WF_OK;
}

/* -- convolutions ------------------------------------------------------------------------------------------------- */

struct wf_conv {
    wf_conv_spec spec;
};

int wf_ref_conv_create(wf_backend *b, const wf_conv_spec *spec, wf_conv **out)
{
    (void)b;
    *out = NULL;
    WF_CHECK(wf_conv_good(spec), WF_INTERNAL, "conv: [%d,%d,%d,%d] to %d channels with a %dx%d kernel", spec->N,
             spec->H, spec->W, spec->in, spec->out, spec->k, spec->k);
    *out = malloc(sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "ref: out of memory: %zu bytes", sizeof **out);
    (*out)->spec = *spec;
    return WF_OK;
}

void wf_ref_conv_destroy(wf_backend *b, wf_conv *conv)
{
    (void)b;
    free(conv);
}

/* An output of a convolution: channel o of pixel (i,j) of picture n. */
typedef struct output {
    int n, i, j, o;
} output;

static size_t output_count(const wf_conv_spec *s)
{
    return wf_ref_at(s->H, s->W, s->out, s->N, 0, 0, 0);
}

static output output_of(const wf_conv_spec *s, size_t at)
{
    size_t out = (size_t)s->out, W = (size_t)s->W, H = (size_t)s->H, pixel = at / out;
    return (output){(int)(pixel / W / H), (int)(pixel / W % H), (int)(pixel % W), (int)(at % out)};
}

/* Finds tap t of the kernel, counted slice by slice and row by row, at output y. Returns false on zero padding, else
 * the offsets of its first input channel in x and in w. */
static bool tap(const wf_conv_spec *s, output y, int t, size_t *x, size_t *w)
{
    wf_conv_box b = wf_conv_box_of(s);
    int slice = y.i / b.H + t / (b.h * b.w) - b.d / 2;
    int row = y.i % b.H + t / b.w % b.h - b.h / 2;
    int column = y.j + t % b.w - b.w / 2;
    *x = wf_ref_at(s->H, s->W, s->in, y.n, slice * b.H + row, column, 0);
    *w = wf_ref_at(1, wf_conv_taps(s), s->in, y.o, 0, t, 0);
    return slice >= 0 && slice < b.D && row >= 0 && row < b.H && column >= 0 && column < b.W;
}

/* conv(x, w) at output y. */
static double conv_at(const wf_conv_spec *s, const double *w, const double *x, output y)
{
    double sum = 0;
    size_t xi, wi;
    for (int t = 0; t < wf_conv_taps(s); t++)
        if (tap(s, y, t, &xi, &wi))
            for (int c = 0; c < s->in; c++)
                sum += w[wi + (size_t)c] * x[xi + (size_t)c];
    return sum;
}

int wf_ref_conv_forward(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x,
                        const wf_map *residual, wf_map *y)
{
    (void)b;
    const wf_conv_spec *s = &conv->spec;
    const wf_real *w = weights->w, *bias = weights->bias, *logs = weights->logs;
    for (size_t at = 0; at < output_count(s); at++) {
        output e = output_of(s, at);
        double value = conv_at(s, (const double *)w, (const double *)x, e);
        value = (value + ((const double *)bias)[e.o]) * exp(3 * ((const double *)logs)[e.o]);
        if (s->residual)
            value += ((const double *)residual)[at];
        ((double *)y)[at] = s->relu && value < 0 ? 0 : value;
    }
    return WF_OK;
}

/* Adds g, the gradient by conv_at, times its derivatives to dw [out,taps,in] and dx (NULL: not computed). */
static void conv_at_backward(const wf_conv_spec *s, const double *w, const double *x, output y, double g, double *dw,
                             double *dx)
{
    size_t xi, wi;
    for (int t = 0; t < wf_conv_taps(s); t++) {
        if (!tap(s, y, t, &xi, &wi))
            continue;
        for (int c = 0; c < s->in && dw; c++)
            dw[wi + (size_t)c] += g * x[xi + (size_t)c];
        for (int c = 0; c < s->in && dx; c++)
            dx[xi + (size_t)c] += g * w[wi + (size_t)c];
    }
}

int wf_ref_conv_backward(wf_backend *b, wf_conv *conv, const wf_weights *p, const wf_map *x_, const wf_map *y,
                         const wf_map *add, wf_map *dy_, wf_map *dx_)
{
    const wf_conv_spec *s = &conv->spec;
    const wf_map_shape shape = {.N = s->N, .H = s->H, .W = s->W, .C = s->out};
    if (s->relu)
        WF_TRY(wf_ref_relu_backward(b, &shape, y, add, dy_));
    const double *w = (const double *)p->w, *bias = (const double *)p->bias, *logs = (const double *)p->logs;
    const double *x = (const double *)x_, *dy = (const double *)dy_;
    double *dx = (double *)dx_, *dw = (double *)p->dw, *dbias = (double *)p->dbias, *dlogs = (double *)p->dlogs;
    if (dx)
        memset(dx, 0, wf_ref_at(s->H, s->W, s->in, s->N, 0, 0, 0) * sizeof *dx);
    if (dw) {
        memset(dw, 0, wf_ref_at(1, wf_conv_taps(s), s->in, s->out, 0, 0, 0) * sizeof *dw);
        memset(dbias, 0, (size_t)s->out * sizeof *dbias);
        memset(dlogs, 0, (size_t)s->out * sizeof *dlogs);
    }
    for (size_t at = 0; at < output_count(s); at++) {
        output e = output_of(s, at);
        double scale = exp(3 * logs[e.o]), g = dy[at];
        conv_at_backward(s, w, x, e, g * scale, dw, dx);
        if (dw) {
            dbias[e.o] += g * scale;
            dlogs[e.o] += 3 * g * (conv_at(s, w, x, e) + bias[e.o]) * scale;
        }
    }
    return WF_OK;
}
