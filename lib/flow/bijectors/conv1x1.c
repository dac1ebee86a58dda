/* conv1x1.c - one K x K matrix for every pixel, a rotation at first. With `lu` the parameters are its LU factors, so
 * that the log-determinant is a sum and the matrix stays invertible (Kingma and Dhariwal 2018, section 3.2).
 *
 * The rotation is random (Glow), or with `pca` it leads to the principal components of the first batch. Colours of a
 * photograph are nearly equal, so the components are brightness and two small differences of colours. The coupling that
 * follows keeps the large ones and transforms the small ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../bijector.h"
#include "../principal.h"

/* self->own points here in a word that starts at principal components. */
static char principal;

enum { MAX_K = 256 };

static int create(wf_bijector *self, const int *values)
{
    int64_t K = self->shape->K, square[2] = {K, K};
    WF_CHECK(K <= MAX_K, WF_USAGE, "conv1x1: the state has %d channels, at most %d are possible", (int)K, MAX_K);
    bool ok;
    if (values[0]) {
        self->linear = WF_LINEAR_LU;
        ok = wf_bijector_param(self, "p", 1, &K) >= 0 && wf_bijector_param(self, "sign", 1, &K) >= 0 &&
             wf_bijector_param(self, "lower", 2, square) >= 0 && wf_bijector_param(self, "upper", 2, square) >= 0 &&
             wf_bijector_param(self, "logs", 1, &K) >= 0;
    } else {
        self->linear = WF_LINEAR_DENSE;
        ok = wf_bijector_param(self, "w", 2, square) >= 0;
    }
    WF_CHECK(ok, WF_AGAIN, "conv1x1: out of memory");
    self->own = values[1] ? &principal : NULL;
    return WF_OK;
}

/* Orthonormalizes the rows of a normal random matrix by modified Gram-Schmidt, twice against rounding. */
static void random_rotation(uint64_t seed, uint64_t first, int K, double *w)
{
    wf_init_normal(seed, first, 1, w, (size_t)K * (size_t)K);
    for (int i = 0; i < K; i++) {
        double *row = w + i * K;
        for (int pass = 0; pass < 2; pass++)
            for (int j = 0; j < i; j++) {
                double dot = 0;
                for (int k = 0; k < K; k++)
                    dot += row[k] * w[j * K + k];
                for (int k = 0; k < K; k++)
                    row[k] -= dot * w[j * K + k];
            }
        double norm = 0;
        for (int k = 0; k < K; k++)
            norm += row[k] * row[k];
        for (int k = 0; k < K; k++)
            row[k] /= sqrt(norm);
    }
}

static void swap_rows(double *w, int K, int i, int j)
{
    for (int k = 0; k < K; k++) {
        double t = w[i * K + k];
        w[i * K + k] = w[j * K + k];
        w[j * K + k] = t;
    }
}

/* Factors w = P L U in place, with partial pivoting. rows[i]: the row of w that became row i. */
static void factor(double *w, int K, int *rows)
{
    for (int i = 0; i < K; i++)
        rows[i] = i;
    for (int c = 0; c < K; c++) {
        int pivot = c;
        for (int i = c + 1; i < K; i++)
            if (fabs(w[i * K + c]) > fabs(w[pivot * K + c]))
                pivot = i;
        if (pivot != c) {
            swap_rows(w, K, pivot, c);
            int t = rows[pivot];
            rows[pivot] = rows[c];
            rows[c] = t;
        }
        for (int i = c + 1; i < K; i++) {
            w[i * K + c] /= w[c * K + c];
            for (int k = c + 1; k < K; k++)
                w[i * K + k] -= w[i * K + c] * w[c * K + k];
        }
    }
}

/* Place in a word's parameters for W [K,K], before `complete`. */
static double *place_of_w(const wf_bijector *self, double *values)
{
    return self->linear == WF_LINEAR_DENSE ? values : values + 2 * self->shape->K;
}

/* Makes parameters of the W that is in its place: itself, or its factors. */
static void complete(const wf_bijector *self, double *values)
{
    int K = self->shape->K, rows[MAX_K];
    if (self->linear == WF_LINEAR_DENSE)
        return;
    double *p = values, *sign = p + K, *lower = sign + K, *upper = lower + K * K, *logs = upper + K * K;
    factor(lower, K, rows);
    for (int i = 0; i < K; i++) {
        p[rows[i]] = i; /* (P v)[rows[i]] = v[i] */
        sign[i] = lower[i * K + i] < 0 ? -1 : 1;
        logs[i] = log(fabs(lower[i * K + i]));
        for (int k = 0; k < K; k++)
            upper[i * K + k] = k > i ? lower[i * K + k] : 0;
        for (int k = i; k < K; k++)
            lower[i * K + k] = 0;
    }
}

static void init(const wf_bijector *self, uint64_t seed, double *values)
{
    random_rotation(seed, self->offset, self->shape->K, place_of_w(self, values));
    complete(self, values);
}

static int data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    (void)cond, (void)tape;
    wf_backend *b = self->shape->backend;
    if (!self->own)
        return WF_OK;
    double *values = calloc(self->count, sizeof *values);
    WF_CHECK(values, WF_AGAIN, "conv1x1: out of memory for %zu parameters", self->count);
    bool found;
    int status = wf_principal_components(self->shape, self->shape->K, x, place_of_w(self, values), &found);
    if (!status && found) {
        complete(self, values);
        status = b->upload(b, params, values, WF_F64, self->count);
    }
    free(values);
    return status;
}

const wf_bijector_type wf_bijector_conv1x1 = {
    .name = "conv1x1",
    .summary = "y = W x for each pixel, with one K x K matrix that starts as a rotation (Glow, 2018)",
    .options = {{"lu", 0, 0, 1, NULL, "1: W is stored as P L U, which keeps it invertible", 0},
                {"pca", 0, 0, 1, NULL,
                 "1: the first batch makes W the rotation to its principal components, the largest variance first, "
                 "if it has twice as many pixels as channels",
                 0}},
    .linear = true,
    .create = create,
    .init = init,
    .data_init = data_init};
