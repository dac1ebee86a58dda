/* anneal_measured.c - the part of annealed densities that comes from measurements of whole pictures
 *
 * The stage above the last level is A of measured.h, on the host: whole pictures are downloaded after the rise, and
 * gradients by them are uploaded before the fall. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "anneal_private.h"

/* Numbers of a whole picture. */
static size_t image_size(const wf_anneal *a)
{
    return wf_count3(a->meta->H, a->meta->W, a->meta->C);
}

int wf_anneal_open_images(wf_anneal *a)
{
    size_t n = (size_t)a->most * image_size(a);
    if (!a->spec.measured)
        return WF_OK;
    a->grey = calloc(2 * n, sizeof *a->grey);
    WF_CHECK(a->grey, WF_AGAIN, "anneal: out of memory for %d pictures", a->most);
    a->dgrey = a->grey + n;
    WF_TRY(wf_alloc_reals(a->backend, n, &a->image));
    return wf_alloc_reals(a->backend, n, &a->dimage);
}

/* Downloads the whole pictures of `count` rows to a->grey. */
static int download_images(wf_anneal *a, int count)
{
    size_t n = (size_t)count * image_size(a);
    WF_TRY(a->backend->download(a->backend, a->grey, WF_F64, a->image, n));
    for (size_t i = 0; i < n; i++)
        a->grey[i] = (a->grey[i] + 0.5) * (1 << a->meta->bits) - 0.5;
    return WF_OK;
}

int wf_anneal_add_measured(wf_anneal *a, int count, const int *chain, double *logp)
{
    size_t each = image_size(a);
    if (!a->spec.measured)
        return WF_OK;
    WF_TRY(download_images(a, count));
    for (int n = 0; n < count; n++)
        logp[n] += wf_measured_log_density(a->spec.measured, a->condition + (size_t)chain[n] * a->condition_size,
                                           a->grey + (size_t)n * each, a->dgrey + (size_t)n * each);
    for (size_t i = 0; i < (size_t)count * each; i++)
        a->dgrey[i] *= 1 << a->meta->bits;
    for (int n = count; n < a->N; n++)
        memcpy(a->dgrey + (size_t)n * each, a->dgrey, each * sizeof *a->dgrey);
    return a->backend->upload(a->backend, a->dimage, a->dgrey, WF_F64, (size_t)a->N * each);
}

/* Computes a->grey of the positions x [count,D]. */
static int raise_images(wf_anneal *a, int count, const int *chain, const double *x)
{
    WF_TRY(wf_anneal_raise(a, count, chain, x));
    return download_images(a, count);
}

int wf_anneal_whole(wf_anneal *a, int n, const int *chain, const double *x, float *pictures)
{
    size_t each = image_size(a);
    for (int at = 0; at < n; at += a->most) {
        int count = wf_anneal_rows_at(a, n, at);
        WF_TRY(raise_images(a, count, chain + at, x + (size_t)at * a->D));
        for (size_t i = 0; i < (size_t)count * each; i++) {
            WF_CHECK(isfinite(a->grey[i]), WF_INTERNAL, "the picture of chain %d is not finite",
                     chain[at + (int)(i / each)]);
            pictures[(size_t)at * each + i] = (float)a->grey[i];
        }
    }
    return WF_OK;
}

int wf_anneal_measure(wf_anneal *a, wf_measured *by, int n, const double *x, uint64_t seed, const uint64_t *id,
                      float *y)
{
    static const int first[WF_LEVEL_ROWS];
    for (int at = 0; at < n; at += a->most) {
        int count = wf_anneal_rows_at(a, n, at);
        WF_TRY(raise_images(a, count, first, x + (size_t)at * a->D));
        for (int i = 0; i < count; i++)
            wf_measured_simulate(by, a->grey + (size_t)i * image_size(a), seed, id[at + i],
                                 y + (size_t)(at + i) * wf_measured_size(by));
    }
    return WF_OK;
}

/* Computes gradients at x [n,D] of the log density given measurements y [n,..] in place of those that were set. */
static int density_given(wf_anneal *a, int n, const double *x, float *y, double *gradient)
{
    double logp[WF_LEVEL_ROWS];
    int row[WF_LEVEL_ROWS];
    float *kept = a->condition;
    for (int i = 0; i < n; i++)
        row[i] = i;
    a->condition = y;
    int status = wf_anneal_density(a, n, row, x, logp, gradient);
    a->condition = kept;
    return status;
}

/* Scratch of an estimate of curvatures for n <= most rows. */
typedef struct probe {
    double *x, *gradient, *mean, *square; /* [n,D] */
    float *y;                             /* [n,..] */
} probe;

static int open_probe(const wf_anneal *a, int n, probe *p)
{
    size_t all = (size_t)n * a->D;
    *p = (probe){.x = malloc(4 * all * sizeof *p->x),
                 .y = malloc((size_t)n * wf_measured_size(a->spec.measured) * sizeof *p->y)};
    WF_CHECK(p->x && p->y, WF_AGAIN, "anneal: out of memory for %d chains of %zu numbers", n, a->D);
    p->gradient = p->x + all;
    p->mean = p->gradient + all;
    p->square = p->mean + all;
    return WF_OK;
}

static void close_probe(probe *p)
{
    free(p->x);
    free(p->y);
}

/* Adds the squares of gradients at n pictures and measurements, numbered from `first`, to sums [D]. */
static int add_expected(wf_anneal *a, int n, uint64_t first, uint64_t seed, probe *p, double *sums)
{
    uint64_t id[WF_LEVEL_ROWS];
    for (int i = 0; i < n; i++)
        id[i] = first + (uint64_t)i;
    WF_TRY(wf_anneal_start(a, n, id, seed, p->x));
    WF_TRY(wf_anneal_measure(a, a->spec.measured, n, p->x, seed, id, p->y));
    WF_TRY(density_given(a, n, p->x, p->y, p->gradient));
    for (size_t i = 0; i < (size_t)n * a->D; i++)
        sums[i % a->D] += p->gradient[i] * p->gradient[i];
    return WF_OK;
}

/* Turns curvatures [D] to variances. Latents have at least the precision of their prior. */
static void invert_curvature(const wf_anneal *a, double *curvature)
{
    for (const stage *s = a->stages; s <= a->last; s++)
        for (size_t i = s->place; i < s->place + s->size; i++)
            curvature[i] = 1 / fmax(curvature[i], a->spec.data ? 1e-12 : s->g);
}

int wf_anneal_expect(wf_anneal *a, uint64_t seed, double *variance)
{
    int status, most = a->chains < a->most ? a->chains : a->most;
    probe p;
    WF_GO(open_probe(a, most, &p));
    memset(variance, 0, a->D * sizeof *variance);
    for (int at = 0; at < WF_EXPECT_PICTURES; at += most) {
        int n = WF_EXPECT_PICTURES - at < most ? WF_EXPECT_PICTURES - at : most;
        WF_GO(add_expected(a, n, (uint64_t)at, seed, &p, variance));
    }
    for (size_t i = 0; i < a->D; i++)
        variance[i] /= WF_EXPECT_PICTURES;
    invert_curvature(a, variance);
out:
    close_probe(&p);
    return status;
}

/* Estimates curvatures at x [n,D], n <= most, from measurements simulated there: since the prior's gradient is the same
 * for all, the variance of gradients over measurements is the curvature of the likelihood. */
static int probe_rows(wf_anneal *a, int n, const double *x, uint64_t seed, const uint64_t *id, probe *p)
{
    size_t all = (size_t)n * a->D;
    memset(p->mean, 0, 2 * (size_t)n * a->D * sizeof *p->mean);
    for (int k = 0; k < WF_PROBES; k++) {
        uint64_t number[WF_LEVEL_ROWS];
        for (int i = 0; i < n; i++)
            number[i] = id[i] * WF_PROBES + (uint64_t)k;
        WF_TRY(wf_anneal_measure(a, a->spec.measured, n, x, seed, number, p->y));
        WF_TRY(density_given(a, n, x, p->y, p->gradient));
        for (size_t i = 0; i < all; i++) { /* Welford 1962 */
            double off = p->gradient[i] - p->mean[i];
            p->mean[i] += off / (k + 1);
            p->square[i] += off * (p->gradient[i] - p->mean[i]);
        }
    }
    return WF_OK;
}

int wf_anneal_probe(wf_anneal *a, int n, const double *x, uint64_t seed, const uint64_t *id, double *variance)
{
    int status, most = n < a->most ? n : a->most;
    probe p;
    WF_GO(open_probe(a, most, &p));
    for (int at = 0; at < n; at += a->most) {
        int rows = wf_anneal_rows_at(a, n, at);
        WF_GO(probe_rows(a, rows, x + (size_t)at * a->D, seed, id + at, &p));
        for (int i = 0; i < rows; i++) {
            double *out = variance + (size_t)(at + i) * a->D;
            for (const stage *s = a->stages; s <= a->last; s++)
                for (size_t j = s->place; j < s->place + s->size; j++)
                    out[j] = s->g + p.square[(size_t)i * a->D + j] / (WF_PROBES - 1);
            invert_curvature(a, out);
        }
    }
out:
    close_probe(&p);
    return status;
}
