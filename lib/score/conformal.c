/* conformal.c - full conformal p-values by Mahalanobis distances */
#include "conformal.h"

#include <math.h>
#include <omp.h>
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

/* p-value of one observation. sorted: the reference in an order that depends on its numbers alone, so that sums do. */
static int p_value(int64_t N, int D, const double *sorted, const double *given, scratch *s, double *p)
{
    size_t rows = (size_t)N * (size_t)D;
    int64_t reached = 0;
    memcpy(s->x, sorted, rows * sizeof *s->x);
    memcpy(s->x + rows, given, (size_t)D * sizeof *s->x);
    wf_standardize(N + 1, D, s->x);
    wf_shrunk_correlation(N + 1, D, s->x, s->R);
    WF_TRY(wf_mahalanobis(N + 1, D, s->x, s->R, s->distances));
    for (int64_t n = 0; n <= N; n++)
        reached += s->distances[n] >= s->distances[N];
    *p = (double)reached / (double)(N + 1);
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
    memcpy(sorted, reference, rows * sizeof *sorted);
    qsort_r(sorted, (size_t)N, d * sizeof *sorted, compare_rows, &D);
#pragma omp parallel for num_threads(team) schedule(dynamic)
    for (int64_t m = 0; m < M; m++) {
        double *own = sorted + rows + (size_t)omp_get_thread_num() * each;
        scratch s = {own, own + rows + d, own + rows + d + d * d};
        int failed = p_value(N, D, sorted, given + m * D, &s, &p[m]);
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
