/* measured.c - blur, box averages and masks, forwards and as adjoints, and the likelihood of what they measure */
#include "measured.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../base/count.h"
#include "../base/philox.h"
#include "../image/image.h"

struct wf_measured {
    int H, W, C, scale;
    double noise;
    wf_psf psf;
    int *row, *column; /* mirrored places: row[H - 1 + psf.H], from -(psf.H / 2); column likewise */
    uint8_t *missing;  /* [h,w] */
    size_t given;      /* numbers of y that are not missing */
    double *blurred;   /* [H,W,C] */
    double *residual;  /* [h,w,C] */
};

/* -- point spread functions ---------------------------------------------------------------------------------------- */

static int take_psf(const wf_image *image, const char *name, wf_psf *out)
{
    double sum = 0;
    size_t n = wf_count3(image->H, image->W, 1);
    WF_CHECK(image->C == 1, WF_DATA, "%s: %d channels, expected a grey point spread function", name, image->C);
    WF_CHECK(image->H % 2 && image->W % 2, WF_DATA, "%s: a point spread function of %dx%d, expected odd sides", name,
             image->W, image->H);
    for (size_t i = 0; i < n; i++)
        sum += image->pixels[i];
    WF_CHECK(sum > 0, WF_DATA, "%s: all is black, expected a point spread function", name);
    *out = (wf_psf){image->H, image->W, malloc(n * sizeof *out->value)};
    WF_CHECK(out->value, WF_AGAIN, "%s: out of memory", name);
    for (size_t i = 0; i < n; i++)
        out->value[i] = image->pixels[i] / sum;
    return WF_OK;
}

int wf_psf_read(const char *path, wf_psf *out)
{
    wf_image image = {0};
    int status = wf_image_read(path, &image);
    if (!status)
        status = take_psf(&image, path, out);
    wf_image_clear(&image);
    return status;
}

void wf_psf_clear(wf_psf *psf)
{
    free(psf->value);
    psf->value = NULL;
}

/* -- creation ------------------------------------------------------------------------------------------------------ */

static size_t pixels(const wf_measured *m)
{
    return wf_count3(m->H / m->scale, m->W / m->scale, 1);
}

size_t wf_measured_size(const wf_measured *m)
{
    return pixels(m) * (size_t)m->C;
}

/* Places 0 .. n-1 that places -reach .. n-1+reach are mirrored to. */
static int mirror(int n, int reach, int **out)
{
    *out = malloc((size_t)(n + 2 * reach) * sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "measurement: out of memory");
    for (int i = 0; i < n + 2 * reach; i++) {
        int at = ((i - reach) % (2 * n) + 2 * n) % (2 * n);
        (*out)[i] = at < n ? at : 2 * n - 1 - at;
    }
    return WF_OK;
}

static int fill_measured(wf_measured *m, const wf_measured_spec *spec)
{
    size_t n = wf_count3(m->psf.H, m->psf.W, 1);
    m->psf.value = malloc(n * sizeof *m->psf.value);
    m->missing = calloc(pixels(m), 1);
    m->blurred = malloc(wf_count3(m->H, m->W, m->C) * sizeof *m->blurred);
    m->residual = malloc(wf_measured_size(m) * sizeof *m->residual);
    WF_CHECK(m->psf.value && m->missing && m->blurred && m->residual, WF_AGAIN, "measurement: out of memory");
    m->psf.value[0] = 1;
    if (spec->psf.value)
        memcpy(m->psf.value, spec->psf.value, n * sizeof *m->psf.value);
    for (size_t i = 0; i < pixels(m); i++) {
        m->missing[i] = spec->missing && spec->missing[i];
        m->given += m->missing[i] ? 0 : (size_t)m->C;
    }
    WF_CHECK(m->given, WF_DATA, "measurement: every pixel is missing");
    WF_TRY(mirror(m->H, m->psf.H / 2, &m->row));
    return mirror(m->W, m->psf.W / 2, &m->column);
}

int wf_measured_create(const wf_meta *meta, const wf_measured_spec *spec, wf_measured **out)
{
    WF_CHECK(meta->signal == WF_PICTURE, WF_USAGE, "measurements are of pictures, not of %ss",
             wf_signal_names[meta->signal]);
    WF_CHECK(spec->noise > 0 && isfinite(spec->noise), WF_USAGE, "measurement: noise %g, expected one above 0",
             spec->noise);
    WF_CHECK(spec->scale > 0 && meta->H % spec->scale == 0 && meta->W % spec->scale == 0, WF_USAGE,
             "measurement: scale %d of pictures of %dx%d", spec->scale, meta->W, meta->H);
    wf_measured *m = calloc(1, sizeof *m);
    WF_CHECK(m, WF_AGAIN, "measurement: out of memory");
    *m = (wf_measured){.H = meta->H, .W = meta->W, .C = meta->C, .scale = spec->scale, .noise = spec->noise};
    m->psf.H = spec->psf.value ? spec->psf.H : 1;
    m->psf.W = spec->psf.value ? spec->psf.W : 1;
    int status = fill_measured(m, spec);
    if (status)
        wf_measured_destroy(m);
    else
        *out = m;
    return status;
}

void wf_measured_destroy(wf_measured *m)
{
    if (!m)
        return;
    wf_psf_clear(&m->psf);
    free(m->row);
    free(m->column);
    free(m->missing);
    free(m->blurred);
    free(m->residual);
    free(m);
}

uint64_t wf_measured_hash(const wf_measured *m)
{
    double numbers[] = {m->noise, m->scale, m->psf.H, m->psf.W};
    uint64_t hash = XXH3_64bits_withSeed(m->missing, pixels(m), XXH3_64bits(numbers, sizeof numbers));
    return XXH3_64bits_withSeed(m->psf.value, wf_count3(m->psf.H, m->psf.W, 1) * sizeof *m->psf.value, hash);
}

/* -- the operator and its adjoint ---------------------------------------------------------------------------------- */

/* Convolves `in` into `out`, both [H,W,C]. adjoint: correlates, scattering to the mirrored places. */
static void blur(const wf_measured *m, const double *in, double *out, bool adjoint)
{
    size_t W = (size_t)m->W, C = (size_t)m->C;
    memset(out, 0, wf_count3(m->H, m->W, m->C) * sizeof *out);
    for (int y = 0; y < m->H; y++)
        for (int i = 0; i < m->psf.H; i++) {
            size_t here = (size_t)y * W, there = (size_t)m->row[y + m->psf.H - 1 - i] * W;
            for (int x = 0; x < m->W; x++)
                for (int j = 0; j < m->psf.W; j++) {
                    double weight = m->psf.value[i * m->psf.W + j];
                    size_t at = (here + (size_t)x) * C;
                    size_t from = (there + (size_t)m->column[x + m->psf.W - 1 - j]) * C;
                    for (size_t c = 0; c < C; c++)
                        out[(adjoint ? from : at) + c] += weight * in[(adjoint ? at : from) + c];
                }
        }
}

/* Averages squares of p [H,W,C] into y [h,w,C]. */
static void average(const wf_measured *m, const double *p, double *y)
{
    size_t C = (size_t)m->C, w = (size_t)(m->W / m->scale);
    memset(y, 0, wf_measured_size(m) * sizeof *y);
    for (int i = 0; i < m->H; i++)
        for (int j = 0; j < m->W; j++)
            for (size_t c = 0; c < C; c++)
                y[((size_t)(i / m->scale) * w + (size_t)(j / m->scale)) * C + c] +=
                    *p++ / ((double)m->scale * m->scale);
}

/* Hands each value of y on to the pixels of its square. */
static void spread(const wf_measured *m, const double *y, double *p)
{
    size_t C = (size_t)m->C, w = (size_t)(m->W / m->scale);
    for (int i = 0; i < m->H; i++)
        for (int j = 0; j < m->W; j++)
            for (size_t c = 0; c < C; c++)
                *p++ = y[((size_t)(i / m->scale) * w + (size_t)(j / m->scale)) * C + c] / ((double)m->scale * m->scale);
}

static void clear_missing(const wf_measured *m, double *y)
{
    for (size_t i = 0; i < wf_measured_size(m); i++)
        if (m->missing[i / (size_t)m->C])
            y[i] = 0;
}

void wf_measured_apply(wf_measured *m, const double *p, double *y)
{
    blur(m, p, m->blurred, false);
    average(m, m->blurred, y);
    clear_missing(m, y);
}

void wf_measured_adjoint(wf_measured *m, const double *y, double *p)
{
    if (y != m->residual)
        memcpy(m->residual, y, wf_measured_size(m) * sizeof *y);
    clear_missing(m, m->residual);
    spread(m, m->residual, m->blurred);
    blur(m, m->blurred, p, true);
}

/* -- the likelihood ------------------------------------------------------------------------------------------------ */

double wf_measured_log_density(wf_measured *m, const float *y, const double *p, double *gradient)
{
    double squares = 0, variance = m->noise * m->noise;
    wf_measured_apply(m, p, m->residual);
    for (size_t i = 0; i < wf_measured_size(m); i++) {
        m->residual[i] = m->missing[i / (size_t)m->C] ? 0 : (y[i] - m->residual[i]) / variance;
        squares += m->residual[i] * m->residual[i];
    }
    wf_measured_adjoint(m, m->residual, gradient);
    return -0.5 * squares * variance - 0.5 * (double)m->given * log(2 * M_PI * variance);
}

void wf_measured_simulate(wf_measured *m, const double *p, uint64_t seed, uint64_t id, float *y)
{
    size_t n = wf_measured_size(m);
    wf_philox_stream stream = wf_philox_of_picture(seed, WF_PURPOSE_MEASURE, 0, id);
    wf_measured_apply(m, p, m->residual);
    for (size_t i = 0; i < n; i += 4) {
        wf_philox_words w = wf_philox(stream, (uint32_t)(i / 4));
        double noise[4];
        wf_normal_pair(w.w0, w.w1, &noise[0], &noise[1]);
        wf_normal_pair(w.w2, w.w3, &noise[2], &noise[3]);
        for (size_t j = i; j < i + 4 && j < n; j++)
            y[j] = m->missing[j / (size_t)m->C] ? 0 : (float)(m->residual[j] + m->noise * noise[j - i]);
    }
}
