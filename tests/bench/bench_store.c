/* bench_store.c - measurements for bench-store.sh
 *
 *     bench-store decode FILE...   decodes by libpng alone, one by one: pictures/s, and processor seconds a picture
 *     bench-store read STORE       reads random pictures of the top level, as in training: GB/s of stored bytes
 *     bench-store patch STORE P    reads random P x P patches of the top level: patches/s */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/train/minibatch.h"

static const double SECONDS = 3;

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "bench-store: %s: %s\n", name, what);
    exit(1);
}

static void must(int status)
{
    if (status)
        fail("failed", wf_error());
}

/* Decodes all rows into one buffer, because nothing uses them. */
static void decode(const char *name)
{
    static png_byte row[4 * 65536 * 2];
    FILE *file = fopen(name, "rb");
    if (!file)
        fail("cannot open", name);
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    if (setjmp(png_jmpbuf(png)))
        fail("damaged", name);
    png_init_io(png, file);
    png_read_info(png, info);
    if (png_get_interlace_type(png, info) != PNG_INTERLACE_NONE || png_get_rowbytes(png, info) > sizeof row)
        fail("interlaced or too wide", name);
    for (png_uint_32 y = png_get_image_height(png, info); y; y--)
        png_read_row(png, row, NULL);
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
    fclose(file);
}

static void bench_decode(char **names, int count)
{
    double start = now(), busy = seconds_of(CLOCK_PROCESS_CPUTIME_ID), seconds;
    long pictures = 0;
    do {
        for (int i = 0; i < count; i++)
            decode(names[i]);
        pictures += count;
        seconds = now() - start;
    } while (seconds < SECONDS);
    busy = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - busy;
    printf("%.1f %.3g\n", (double)pictures / seconds, busy / (double)pictures);
}

static wf_minibatch batches_of(wf_store *store, int patch)
{
    wf_minibatch batches;
    must(wf_minibatch_create(store, wf_store_meta(store)->top, 16, patch, 0, false, 1, &batches));
    return batches;
}

/* Returns pictures a second in whole batches. A first pass over the store, not counted, fills the page cache. */
static double pictures_per_second(wf_minibatch *batches)
{
    int64_t step = 0, whole = wf_store_count(batches->store) / batches->N + 1;
    for (; step < whole; step++)
        must(wf_minibatch_load(batches, step));
    double start = now(), seconds;
    do
        must(wf_minibatch_load(batches, step++));
    while ((seconds = now() - start) < SECONDS);
    return (double)((step - whole) * batches->N) / seconds;
}

int main(int argc, char **argv)
{
    wf_store *store;
    if (argc > 2 && !strcmp(argv[1], "decode")) {
        bench_decode(argv + 2, argc - 2);
        return 0;
    }
    bool read = argc == 3 && !strcmp(argv[1], "read");
    if (!read && (argc != 4 || strcmp(argv[1], "patch")))
        fail("expected decode FILE..., read STORE or patch STORE P", "usage");
    must(wf_store_open(argv[2], &store));
    wf_minibatch batches = batches_of(store, read ? 0 : atoi(argv[3]));
    double rate = pictures_per_second(&batches);
    wf_level_shape s = wf_meta_level(wf_store_meta(store), batches.level);
    wf_dtype dtype;
    size_t bytes;
    must(wf_store_size(store, batches.level, &bytes, &dtype));
    if (read)
        printf("%.2f\n", rate * s.H * s.W * (s.C + (batches.level ? s.K : 0)) * (double)wf_dtype_size(dtype) / 1e9);
    else
        printf("%.0f\n", rate);
    wf_minibatch_clear(&batches);
    wf_store_close(store);
    return 0;
}
