/* test_pyramid.c - the wavelet table and the pyramid */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/pyramid/pyramid.h"
#include "../lib/pyramid/wavelet.h"

static wf_meta meta_of(int levels, int H, int W, int C)
{
    return (wf_meta){.wavelet = "haar", .levels = levels, .top = levels, .H = H, .W = W, .C = C, .bits = 8};
}

static float *random_pixels(size_t n, int top)
{
    static uint32_t seed = 7;
    float *pixels = malloc(n * sizeof *pixels);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        pixels[i] = (float)((uint64_t)seed * (uint32_t)(top + 1) >> 32);
    }
    return pixels;
}

static wf_backend *open_backend(const char *name)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open(name, 1, &b), 0, "%s", wf_error());
    return b;
}

/* Orthonormal: the sum of h[k] h[k+2m] is 1 for m = 0, otherwise 0; the sum of h is sqrt 2. */
Test(wavelet, taps_are_orthonormal)
{
    const wf_wavelet *w;
    for (int i = 0; (w = wf_wavelet_at(i)); i++) {
        cr_assert_eq(wf_wavelet_find(w->name), w);
        cr_assert_eq(w->count % 2, 0);
        double sum = 0;
        for (int k = 0; k < w->count; k++)
            sum += w->taps[k];
        cr_expect_float_eq(sum, sqrt(2), 1e-15, "%s", w->name);
        for (int m = 0; 2 * m < w->count; m++) {
            double dot = 0;
            for (int k = 0; k + 2 * m < w->count; k++)
                dot += w->taps[k] * w->taps[k + 2 * m];
            cr_expect_float_eq(dot, m == 0, 1e-15, "%s, shift %d", w->name, 2 * m);
        }
    }
    cr_assert_null(wf_wavelet_find("no such wavelet"));
}

static void round_trip(const char *backend, const char *wavelet, int levels, int H, int W, int C, int N, int top)
{
    wf_backend *b = open_backend(backend);
    wf_meta meta = meta_of(levels, H, W, C);
    wf_pyramid *split, *join;
    strcpy(meta.wavelet, wavelet);
    cr_assert_eq(wf_pyramid_create(b, &meta, N + 1, &split), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_create(b, &meta, N, &join), 0, "%s", wf_error());
    size_t n = (size_t)N * (size_t)H * (size_t)W * (size_t)C;
    float *pixels = random_pixels(n, top), *image = calloc(n, sizeof *image), *low_copy = calloc(n, sizeof *low_copy);
    cr_assert_eq(wf_pyramid_split(split, N, pixels, 0), 0, "%s", wf_error());
    /* Rebuilds from the base up with each level's low-pass from the level below: only details are taken from the
     * input. */
    for (int L = 0; L <= levels; L++) {
        const float *low, *detail;
        cr_assert_eq(wf_pyramid_level(split, L, &low, &detail), 0, "%s", wf_error());
        cr_assert_eq(!detail, L == 0);
        cr_assert_eq(wf_pyramid_join(join, L, N, L ? low_copy : low, detail, image), 0, "%s", wf_error());
        memcpy(low_copy, image, n * sizeof *image);
    }
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(rintf(image[i]), pixels[i], "%s %s %dx%dx%d: %g at %zu, want %g", backend, wavelet, H, W, C,
                     (double)image[i], i, (double)pixels[i]);
    wf_pyramid_destroy(split);
    wf_pyramid_destroy(join);
    b->close(b);
    free(pixels);
    free(image);
    free(low_copy);
}

static void round_trips(const char *backend)
{
    round_trip(backend, "haar", 0, 1, 1, 3, 2, 255);
    round_trip(backend, "haar", 0, 7, 5, 1, 1, 255);
    round_trip(backend, "haar", 1, 2, 2, 4, 3, 255);
    round_trip(backend, "haar", 5, 96, 160, 3, 2, 255);
    round_trip(backend, "haar", 3, 8, 24, 2, 5, 65535);
    round_trip(backend, "haar", 10, 1024, 1024, 1, 1, 65535);
    const wf_wavelet *w;
    for (int i = 0; (w = wf_wavelet_at(i)); i++)
        round_trip(backend, w->name, 5, 32, 64, 3, 2, 255);
}

Test(pyramid, round_trip_ref)
{
    round_trips("ref");
}

Test(pyramid, round_trip_cpu)
{
    round_trips("cpu");
}

/* Ten levels in single precision stay far within 1/2 of a pixel: see the bound in pyramid.h. */
Test(pyramid, round_trip_of_every_row)
{
    const wf_wavelet *w;
    for (int i = 0; (w = wf_wavelet_at(i)); i++)
        round_trip("cpu", w->name, 10, 1024, 1024, 1, 1, 255);
}

/* The rows of a batch of one at each level, and how many have come. */
typedef struct known {
    const wf_meta *meta;
    wf_pyramid *pyramid;
    int level, rows;
} known;

static int compare(void *user, int level, int rows, const float *low, const float *detail)
{
    known *k = user;
    wf_level_shape s = wf_meta_level(k->meta, level);
    const float *want_low, *want_detail;
    if (level != k->level) {
        cr_assert(level == k->level - 1 && (!k->rows || k->rows == wf_meta_level(k->meta, k->level).H));
        k->rows = 0;
    }
    size_t at = (size_t)k->rows * (size_t)s.W, n = (size_t)rows * (size_t)s.W, C = (size_t)s.C, K = (size_t)s.K;
    k->level = level;
    k->rows += rows;
    WF_TRY(wf_pyramid_level(k->pyramid, level, &want_low, &want_detail));
    cr_assert(k->rows <= s.H && !memcmp(low, want_low + at * C, n * C * sizeof *low), "level %d", level);
    cr_assert(!level || !memcmp(detail, want_detail + at * K, n * K * sizeof *detail), "level %d", level);
    return WF_OK;
}

/* One picture in strips gives the same as in a batch. */
Test(pyramid, strips)
{
    static const char *const wavelets[] = {"haar", "db3"};
    static const wf_meta metas[] = {
        {.levels = 3, .top = 3, .H = 200, .W = 24, .C = 3, .bits = 8},
        {.levels = 0, .top = 0, .H = 7, .W = 5, .C = 1, .bits = 8},
        {.levels = 4, .top = 4, .H = 1, .W = 48, .C = 2, .bits = 8, .signal = WF_SOUND},
        {.levels = 2, .top = 2, .H = 64, .W = 8, .C = 1, .D = 8, .bits = 8, .signal = WF_VOLUME}};
    wf_backend *b = open_backend("cpu");
    for (size_t i = 0; i < 2 * sizeof metas / sizeof *metas; i++) {
        wf_meta meta = metas[i / 2];
        strcpy(meta.wavelet, wavelets[i % 2]);
        size_t n = (size_t)meta.H * (size_t)meta.W * (size_t)meta.C;
        float *pixels = random_pixels(n, 255);
        uint16_t *samples = malloc(n * sizeof *samples);
        wf_pyramid *strips;
        known k = {.meta = &meta, .level = meta.levels + 1};
        for (size_t j = 0; j < n; j++)
            samples[j] = (uint16_t)pixels[j];
        cr_assert(!wf_pyramid_create(b, &meta, 1, &strips) && !wf_pyramid_create(b, &meta, 1, &k.pyramid), "%s",
                  wf_error());
        cr_assert_eq(wf_pyramid_split(k.pyramid, 1, pixels, 0), 0, "%s", wf_error());
        cr_assert_eq(wf_pyramid_strips(strips, samples, 0, 16, compare, &k), 0, "%s", wf_error());
        cr_assert(!k.level && k.rows == wf_meta_level(&meta, 0).H);
        wf_pyramid_destroy(strips);
        wf_pyramid_destroy(k.pyramid);
        free(samples);
        free(pixels);
    }
    b->close(b);
}

/* Bands are horizontal, vertical, diagonal difference, channel after channel; the low-pass is the average. */
Test(pyramid, two_by_two)
{
    static const char *const backends[] = {"ref", "cpu"};
    for (int i = 0; i < 2; i++) {
        wf_backend *b = open_backend(backends[i]);
        wf_meta meta = meta_of(1, 2, 2, 2);
        wf_pyramid *p;
        const float *low, *detail, pixels[] = {10, 1, 20, 2, 40, 4, 80, 8};
        cr_assert_eq(wf_pyramid_create(b, &meta, 1, &p), 0);
        cr_assert_eq(wf_pyramid_split(p, 1, pixels, 1), 0);
        cr_assert_eq(wf_pyramid_level(p, 1, &low, &detail), 0);
        cr_expect(low[0] == 37.5f && low[1] == 3.75f, "%s: %g %g", backends[i], (double)low[0], (double)low[1]);
        const float want[] = {-25, -45, 15, -2.5f, -4.5f, 1.5f};
        for (int k = 0; k < 6; k++)
            cr_expect_float_eq(detail[k], want[k], 1e-5, "%s: detail %d is %g", backends[i], k, (double)detail[k]);
        cr_expect_eq(wf_pyramid_level(p, 0, &low, &detail), WF_INTERNAL, "the base was not computed");
        wf_pyramid_destroy(p);
        b->close(b);
    }
}

/* Integer pixels have exact coefficients while they fit into 24 bits: 8 bits, and 2 more per level. */
Test(pyramid, exact_coefficients)
{
    wf_backend *b = open_backend("cpu");
    wf_meta meta = meta_of(4, 16, 16, 3);
    wf_pyramid *p;
    const float *low, *detail;
    float *pixels = random_pixels(16 * 16 * 3, 255);
    cr_assert_eq(wf_pyramid_create(b, &meta, 1, &p), 0);
    cr_assert_eq(wf_pyramid_split(p, 1, pixels, 0), 0);
    cr_assert_eq(wf_pyramid_level(p, 0, &low, &detail), 0);
    for (int c = 0; c < 3; c++) {
        double sum = 0;
        for (int i = 0; i < 256; i++)
            sum += (double)pixels[3 * i + c];
        cr_expect_eq((double)low[c], sum / 256);
    }
    cr_assert_eq(wf_pyramid_level(p, 4, &low, &detail), 0);
    for (int i = 0; i < 8 * 8 * 9; i++)
        cr_assert_eq(rintf(2 * detail[i]), 2 * detail[i], "%g is no multiple of 1/2", (double)detail[i]);
    wf_pyramid_destroy(p);
    b->close(b);
    free(pixels);
}

Test(pyramid, refuses)
{
    wf_backend *b = open_backend("ref");
    wf_pyramid *p;
    wf_meta meta = meta_of(2, 6, 8, 3);
    cr_expect_eq(wf_pyramid_create(b, &meta, 1, &p), WF_DATA, "6 is not divided by 4");
    meta = meta_of(1, 6, 8, 3);
    strcpy(meta.wavelet, "nohaar");
    cr_expect_eq(wf_pyramid_create(b, &meta, 1, &p), WF_DATA);
    meta = meta_of(1, 2, 2, 1);
    cr_assert_eq(wf_pyramid_create(b, &meta, 1, &p), 0);
    float pixels[8] = {0};
    cr_expect_eq(wf_pyramid_join(p, 1, 1, pixels, NULL, pixels), WF_DATA, "no details");
    cr_expect_eq(wf_pyramid_join(p, 0, 1, pixels, pixels, pixels + 4), WF_DATA, "details at the base");
    cr_expect_eq(wf_pyramid_split(p, 2, pixels, 0), WF_INTERNAL, "more than it was made for");
    wf_pyramid_destroy(p);
    b->close(b);
}
