/* ref_attention.c - the parts of nets besides convolutions: gates, layer normalization and attention */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

int wf_ref_gate(wf_backend *b, const wf_map_shape *shape, const wf_map *ab_, const wf_map *x_, wf_map *y_)
{
    (void)b;
    const double *ab = (const double *)ab_, *x = (const double *)x_;
    double *y = (double *)y_;
    size_t C = (size_t)shape->C, pixels = (size_t)shape->N * (size_t)shape->H * (size_t)shape->W;
    for (size_t i = 0; i < pixels * C; i++) {
        const double *of = ab + i / C * 2 * C + i % C;
        y[i] = fmax(0, x[i] + of[0] / (1 + exp(-of[C])));
    }
    return WF_OK;
}

int wf_ref_gate_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *ab_, const wf_map *dy_, wf_map *dab_)
{
    (void)b;
    const double *ab = (const double *)ab_, *dy = (const double *)dy_;
    size_t C = (size_t)shape->C, pixels = (size_t)shape->N * (size_t)shape->H * (size_t)shape->W;
    for (size_t i = 0; i < pixels * C; i++) {
        size_t at = i / C * 2 * C + i % C;
        double open = 1 / (1 + exp(-ab[at + C]));
        ((double *)dab_)[at] = dy[i] * open;
        ((double *)dab_)[at + C] = dy[i] * ab[at] * open * (1 - open);
    }
    return WF_OK;
}

/* Mean and deviation of the C channels of a pixel. */
static void moments(int C, const double *x, double *mean, double *deviation)
{
    double sum = 0, squares = 0;
    for (int c = 0; c < C; c++)
        sum += x[c] / C;
    for (int c = 0; c < C; c++)
        squares += (x[c] - sum) * (x[c] - sum) / C;
    *mean = sum;
    *deviation = sqrt(squares + 1e-5);
}

int wf_ref_norm(wf_backend *b, const wf_map_shape *shape, const wf_map *x_, wf_map *y_)
{
    (void)b;
    size_t C = (size_t)shape->C, pixels = (size_t)shape->N * (size_t)shape->H * (size_t)shape->W;
    for (size_t p = 0; p < pixels; p++) {
        const double *x = (const double *)x_ + p * C;
        double mean, deviation;
        moments(shape->C, x, &mean, &deviation);
        for (size_t c = 0; c < C; c++)
            ((double *)y_)[p * C + c] = (x[c] - mean) / deviation;
    }
    return WF_OK;
}

/* Applies the whole Jacobian of each pixel: dy_i/dx_j = (i == j - 1/C - y_i y_j / C) / deviation. */
int wf_ref_norm_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *x_, const wf_map *dy_,
                         const wf_map *add, wf_map *dx)
{
    (void)b;
    size_t C = (size_t)shape->C, pixels = (size_t)shape->N * (size_t)shape->H * (size_t)shape->W;
    for (size_t p = 0; p < pixels; p++) {
        const double *x = (const double *)x_ + p * C, *dy = (const double *)dy_ + p * C;
        double mean, deviation;
        moments(shape->C, x, &mean, &deviation);
        for (size_t j = 0; j < C; j++) {
            double sum = add ? ((const double *)add)[p * C + j] : 0, y = (x[j] - mean) / deviation;
            for (size_t i = 0; i < C; i++)
                sum += dy[i] * ((i == j) - 1.0 / shape->C - (x[i] - mean) / deviation * y / shape->C) / deviation;
            ((double *)dx)[p * C + j] = sum;
        }
    }
    return WF_OK;
}

/* One picture and head: each pixel has a row of 3C numbers. q points to the d numbers of the first query; keys start C
 * further, values 2C further. */
typedef struct head {
    wf_reach reach;
    int P, d;
    size_t C;
    const double *q;
} head;

static bool reaches(const head *h, int i, int j)
{
    return h->reach == WF_REACH_ALL || (h->reach == WF_REACH_BEFORE ? j <= i : j >= i);
}

static double product(const head *h, const double *a, const double *b)
{
    double sum = 0;
    for (int c = 0; c < h->d; c++)
        sum += a[c] * b[c];
    return sum;
}

static const double *query(const head *h, int i)
{
    return h->q + (size_t)i * 3 * h->C;
}

/* Writes softmax_j(q_i k_j / sqrt(d)) for all j; 0 where i does not attend to j. */
static void shares(const head *h, int i, double *share)
{
    double largest = -INFINITY, sum = 0;
    for (int j = 0; j < h->P; j++) {
        share[j] = reaches(h, i, j) ? product(h, query(h, i), query(h, j) + h->C) / sqrt(h->d) : -INFINITY;
        largest = fmax(largest, share[j]);
    }
    for (int j = 0; j < h->P; j++)
        sum += share[j] = exp(share[j] - largest);
    for (int j = 0; j < h->P; j++)
        share[j] /= sum;
}

/* Returns channel c of the values, averaged by the shares. */
static double mean_value(const head *h, const double *share, int c)
{
    double sum = 0;
    for (int j = 0; j < h->P; j++)
        sum += share[j] * query(h, j)[2 * h->C + (size_t)c];
    return sum;
}

int wf_ref_attend(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv, wf_real *y)
{
    (void)b;
    double *share;
    WF_TRY(wf_ref_scratch((size_t)P, &share));
    for (int n = 0; n < N; n++)
        for (int k = 0; k < heads; k++) {
            int d = C / heads;
            head h = {reach, P, d, (size_t)C, (const double *)qkv + (size_t)n * (size_t)P * 3 * (size_t)C + k * d};
            double *to = (double *)y + (size_t)n * (size_t)P * (size_t)C + k * d;
            for (int i = 0; i < P; i++) {
                shares(&h, i, share);
                for (int c = 0; c < d; c++)
                    to[(size_t)i * h.C + (size_t)c] = mean_value(&h, share, c);
            }
        }
    free(share);
    return WF_OK;
}

/* Adds the gradients that flow through y_i. dy: gradient by y_i; to: gradients, laid out as h->q. */
static void vjp(const head *h, int i, const double *share, const double *dy, double *to)
{
    double mean = 0;
    for (int j = 0; j < h->P; j++)
        mean += share[j] * product(h, dy, query(h, j) + 2 * h->C);
    for (int j = 0; j < h->P; j++) {
        double ds = share[j] * (product(h, dy, query(h, j) + 2 * h->C) - mean) / sqrt(h->d);
        double *of_i = to + (size_t)i * 3 * h->C, *of_j = to + (size_t)j * 3 * h->C;
        for (int c = 0; c < h->d; c++) {
            of_i[c] += ds * query(h, j)[h->C + (size_t)c];
            of_j[h->C + (size_t)c] += ds * query(h, i)[c];
            of_j[2 * h->C + (size_t)c] += share[j] * dy[c];
        }
    }
}

int wf_ref_attend_backward(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv,
                           const wf_real *dy, wf_real *dqkv)
{
    (void)b;
    double *share;
    WF_TRY(wf_ref_scratch((size_t)P, &share));
    memset(dqkv, 0, (size_t)N * (size_t)P * 3 * (size_t)C * sizeof(double));
    for (int n = 0; n < N; n++)
        for (int k = 0; k < heads; k++) {
            size_t at = (size_t)n * (size_t)P * (size_t)C, first = (size_t)(k * (C / heads));
            head h = {reach, P, C / heads, (size_t)C, (const double *)qkv + 3 * at + first};
            for (int i = 0; i < P; i++) {
                shares(&h, i, share);
                vjp(&h, i, share, (const double *)dy + at + (size_t)i * h.C + first, (double *)dqkv + 3 * at + first);
            }
        }
    free(share);
    return WF_OK;
}
