/* bench_dwt.c - speed of one wavelet level of large pictures and of its inverse, beside a copy of the same bytes
 *
 *     bench-dwt [WAVELET...]   Markdown table of the best of 15 rounds: GB/s read and written, and per cent of the copy
 *
 * A batch of pictures is larger than the caches. The transform and memcpy both read and write every number once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../kernels/backend.h"
#include "../../lib/pyramid/wavelet.h"

enum { N = 8, SIDE = 1024, C = 3, ROUNDS = 15, MOST = 32 };

static const size_t numbers = (size_t)N * SIDE * SIDE * C;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(int status)
{
    if (status) {
        fprintf(stderr, "bench-dwt: %s\n", wf_error());
        exit(1);
    }
}

static void *buffer(wf_backend *b, size_t n)
{
    void *memory;
    must(b->alloc(b, n * b->real, &memory));
    memset(memory, 1, n * b->real);
    return memory;
}

/* Copies x in one piece a thread. */
static void copy(int threads, const float *from, float *to)
{
    size_t pieces = (size_t)threads;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t i = 0; i < pieces; i++) {
        size_t begin = i * numbers / pieces, end = (i + 1) * numbers / pieces;
        memcpy(to + begin, from + begin, (end - begin) * sizeof *to);
    }
}

static void keep_best(double *best, double start)
{
    double took = now() - start;
    if (*best == 0 || took < *best)
        *best = took;
}

static double rate(double seconds)
{
    return 2e-9 * (double)numbers * sizeof(float) / seconds;
}

static void bench(int threads, const wf_wavelet *const *rows, int count)
{
    wf_backend *b;
    must(wf_backend_open("cpu", threads, &b));
    float *x = buffer(b, numbers), *low = buffer(b, numbers / 4), *detail = buffer(b, numbers / 4 * 3);
    float *to = buffer(b, numbers);
    double copied = 0, forward[MOST] = {0}, back[MOST] = {0};
    for (size_t i = 0; i < numbers; i++)
        x[i] = (float)(i * 2654435761u % 256);
    for (int round = 0; round < ROUNDS; round++) { /* in turn, so that other load slows all of them */
        double start = now();
        copy(threads, x, to);
        keep_best(&copied, start);
        for (int i = 0; i < count; i++) {
            wf_real *l = (wf_real *)low, *d = (wf_real *)detail, *pixels = (wf_real *)x;
            start = now();
            must(b->dwt(b, rows[i]->taps, rows[i]->count, N, SIDE, SIDE, C, pixels, l, d));
            keep_best(&forward[i], start);
            start = now();
            must(b->idwt(b, rows[i]->taps, rows[i]->count, N, SIDE, SIDE, C, l, d, (wf_real *)to));
            keep_best(&back[i], start);
        }
    }
    for (int i = 0; i < count; i++)
        printf("| %s | %d | %d | %.1f | %.1f | %.0f%% | %.1f | %.0f%% |\n", rows[i]->name, rows[i]->count, threads,
               rate(copied), rate(forward[i]), 100 * copied / forward[i], rate(back[i]), 100 * copied / back[i]);
    b->free(b, x);
    b->free(b, low);
    b->free(b, detail);
    b->free(b, to);
    b->close(b);
}

int main(int argc, char **argv)
{
    static char *usual[] = {"haar", "db2", "db4", "sym8", "coif3", "db10"};
    const wf_wavelet *rows[MOST];
    char **names = argc > 1 ? argv + 1 : usual;
    int count = argc > 1 ? argc - 1 : (int)(sizeof usual / sizeof *usual), all = (int)sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 0; i < count; i++)
        if (i == MOST || !(rows[i] = wf_wavelet_find(names[i]))) {
            if (i == MOST)
                fprintf(stderr, "bench-dwt: %d wavelets, at most %d\n", count, (int)MOST);
            else
                fprintf(stderr, "bench-dwt: %s: not a wavelet; expected one of" WF_WAVELET_NAMES "\n", names[i]);
            return 64;
        }
    printf("| wavelet | taps | threads | copy GB/s | forward GB/s | of the copy | inverse GB/s | of the copy |\n"
           "|---|---|---|---|---|---|---|---|\n");
    bench(1, rows, count);
    if (all > 1)
        bench(all, rows, count);
    return 0;
}
