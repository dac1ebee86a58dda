/* conformal.c - full conformal p-values by Mahalanobis distances */
#include "conformal.h"

#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shrinkage.h"

/* Memory of one thread. */
typedef struct scratch {
    double *x, *R, *distances; /* [N+1,D], [D,D], [N+1] */
} scratch;

static int compare_numbers(double a, double b)
{
    return (a > b) - (a < b);
}

/* Compares two rows number by number; `width` is their D. */
static int compare_rows(const void *a, const void *b, void *width)
{
    const double *x = a, *y = b;
    int order = 0;
    for (int i = 0; i < *(int *)width && !order; i++)
        order = compare_numbers(x[i], y[i]);
    return order;
}

static bool is_finite(const double *row, int D)
{
    for (int i = 0; i < D; i++)
        if (!isfinite(row[i]))
            return false;
    return true;
}

/* Counts the reference observations that are at least as distant as a given one. sorted [N,D]: the reference in an
 * order that depends on its numbers alone, so that sums do. */
static int count_reached(int64_t N, int D, const double *sorted, const double *given, scratch *s, int64_t *reached)
{
    size_t rows = (size_t)N * (size_t)D;
    *reached = 0;
    if (!N)
        return WF_OK;
    memcpy(s->x, sorted, rows * sizeof *s->x);
    memcpy(s->x + rows, given, (size_t)D * sizeof *s->x);
    wf_standardize(N + 1, D, s->x);
    wf_shrunk_correlation(N + 1, D, s->x, s->R);
    WF_TRY(wf_mahalanobis(N + 1, D, s->x, s->R, s->distances));
    for (int64_t n = 0; n < N; n++)
        *reached += s->distances[n] >= s->distances[N];
    return WF_OK;
}

int wf_conformal_p(int64_t N, int D, const double *reference, int64_t M, const double *given, int threads,
                   const wf_watch *watch, double *p)
{
    int64_t most = threads > 0 ? threads : omp_get_max_threads();
    int team = M < 1 ? 1 : (int)(M < most ? M : most), status = WF_OK;
    size_t rows = (size_t)N * (size_t)D, d = (size_t)D, each = rows + d + d * d + (size_t)N + 1;
    double *sorted = malloc((rows + (size_t)team * each) * sizeof *sorted);
    WF_CHECK(sorted, WF_AGAIN, "out of memory to compare with %lld reference pictures", (long long)N);
    int64_t finite = 0;
    for (int64_t n = 0; n < N; n++)
        if (is_finite(reference + n * D, D))
            memcpy(sorted + finite++ * D, reference + n * D, d * sizeof *sorted);
    qsort_r(sorted, (size_t)finite, d * sizeof *sorted, compare_rows, &D);
#pragma omp parallel for num_threads(team) schedule(dynamic)
    for (int64_t m = 0; m < M; m++) {
        double *own = sorted + rows + (size_t)omp_get_thread_num() * each;
        scratch s = {own, own + rows + d, own + rows + d + d * d};
        int64_t reached = 0;
        int failed =
            is_finite(given + m * D, D) ? count_reached(finite, D, sorted, given + m * D, &s, &reached) : WF_OK;
        p[m] = (double)(1 + N - finite + reached) / (double)(N + 1);
#pragma omp critical
        {
            status = failed ? failed : status;
            wf_watched(watch, 0, 1);
        }
    }
    free(sorted);
    WF_CHECK(!status, status, "correlations of %d statistics are not positive definite", D); /* a thread's message */
    return WF_OK;
}

int64_t wf_conformal_least(double rate)
{
    double least = ceil(1 / rate - 1 - 1e-9);
    return least < 0x1p63 ? (int64_t)least : INT64_MAX;
}
