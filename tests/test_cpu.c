/* test_cpu.c - parts of the CPU backend that check-ops does not reach: its tanh and exp, rows of a full batch, the
 * table of kernels */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/backend.h"
#include "../kernels/body/elementary.h"

static double relative(double value, double want)
{
    return fabs(value - want) / fabs(want);
}

Test(cpu, tanh_and_exp_are_accurate)
{
    double worst_tanh = 0, worst_exp = 0;
    for (double x = 1e-30; x < 100; x *= 1.0007)
        for (int sign = -1; sign <= 1; sign += 2) {
            float v = (float)(sign * x);
            worst_tanh = fmax(worst_tanh, relative((double)wf_tanh(v), tanh((double)v)));
            if (x <= 1)
                worst_exp = fmax(worst_exp, relative((double)wf_exp_unit(v), exp((double)v)));
        }
    cr_assert_lt(worst_tanh, 5e-7, "tanh: %g", worst_tanh);
    cr_assert_lt(worst_exp, 5e-7, "exp: %g", worst_exp);
    cr_assert_eq(wf_tanh(0), 0);
    cr_assert_eq(wf_tanh(INFINITY), 1);
    cr_assert_eq(wf_tanh(-INFINITY), -1);
    cr_assert(isnan(wf_tanh(NAN)));
    cr_assert_eq(wf_exp_unit(0), 1);
}

/* Worst error of exp, log and functions made from them: relative, but absolute for softplus below 1. */
Test(cpu, exp_and_log_are_accurate)
{
    double worst[4] = {0, 0, 0, 0};
    for (double x = -87; x <= 87; x += 0.00731) {
        float v = (float)x;
        double sigmoid = 1 / (1 + exp(-(double)v)), softplus = fmax((double)v, 0) + log1p(exp(-fabs((double)v)));
        worst[0] = fmax(worst[0], relative((double)wf_exp(v), exp((double)v)));
        worst[1] = fmax(worst[1], relative((double)wf_sigmoid(v), sigmoid));
        worst[2] = fmax(worst[2], fabs((double)wf_softplus(v) - softplus) / fmax(1, softplus));
    }
    for (double x = 1e-37; x < 1e38; x *= 1.00031) {
        float v = (float)x;
        double want = log((double)v);
        worst[3] = fmax(worst[3], fabs((double)wf_log(v) - want) / fmax(1e-3, fabs(want)));
    }
    for (int i = 0; i < 4; i++)
        cr_expect_lt(worst[i], 5e-7, "function %d: %g", i, worst[i]);
    cr_expect_eq(wf_exp(0), 1);
    cr_expect_eq(wf_log(1), 0);
    cr_expect(isfinite(wf_exp(INFINITY)) && wf_exp(-INFINITY) > 0);
    cr_expect_eq(wf_log(INFINITY), INFINITY);
    cr_expect(isnan(wf_exp(NAN)) && isnan(wf_log(NAN)) && isnan(wf_sigmoid(NAN)) && isnan(wf_softplus(NAN)));
}

enum { BATCH = 64 };

static wf_real *numbers(wf_backend *b, size_t n, double size)
{
    void *p;
    double *host = malloc(n * sizeof *host);
    for (size_t i = 0; i < n; i++)
        host[i] = size * (rand() / (double)RAND_MAX - 0.5);
    cr_assert_eq(b->alloc(b, n * b->real, &p), WF_OK);
    cr_assert_eq(b->upload(b, p, host, WF_F64, n), WF_OK);
    free(host);
    return p;
}

/* Runs the first spec.N of `pixels` through a convolution, forward and back to dx. */
static void convolve(wf_backend *b, const wf_conv_spec *spec, const wf_weights *weights, const wf_real *pixels,
                     wf_real *result, wf_real *back)
{
    wf_map_shape from = {spec->N, spec->H, spec->W, spec->in, spec->precision};
    wf_map_shape to = {spec->N, spec->H, spec->W, spec->out, spec->precision};
    void *x, *y, *dx;
    wf_conv *conv;
    cr_assert_eq(b->alloc(b, b->map_bytes(b, &from), &x), WF_OK);
    cr_assert_eq(b->alloc(b, b->map_bytes(b, &to), &y), WF_OK);
    cr_assert_eq(b->alloc(b, b->map_bytes(b, &from), &dx), WF_OK);
    cr_assert_eq(b->conv_create(b, spec, &conv), WF_OK);
    cr_assert_eq(b->pack(b, &from, spec->in, spec->in, pixels, 0, NULL, x), WF_OK);
    cr_assert_eq(b->conv_forward(b, conv, weights, x, NULL, y), WF_OK);
    cr_assert_eq(b->conv_backward(b, conv, weights, x, y, NULL, y, dx), WF_OK);
    cr_assert_eq(b->unpack(b, &to, y, result), WF_OK);
    cr_assert_eq(b->unpack(b, &from, dx, back), WF_OK);
    b->free(b, x);
    b->free(b, y);
    b->free(b, dx);
    b->conv_destroy(b, conv);
}

/* Runs a batch in which pictures 0, 3 and 63 are equal, then the first pictures alone. True if the results of equal
 * pictures agree bit by bit. */
static bool same_in_all_places(wf_backend *b, wf_conv_spec spec)
{
    size_t in = (size_t)(spec.H * spec.W * spec.in), out = (size_t)(spec.H * spec.W * spec.out);
    wf_real *pixels = numbers(b, BATCH * in, 2), *result = numbers(b, BATCH * out, 0),
            *back = numbers(b, BATCH * in, 0), *few_results = numbers(b, BATCH * out, 0),
            *few_back = numbers(b, BATCH * in, 0);
    wf_real *w = numbers(b, (size_t)(spec.out * spec.k * spec.k * spec.in), 0.2);
    wf_real *bias = numbers(b, (size_t)spec.out, 1), *logs = numbers(b, (size_t)spec.out, 0.2);
    wf_weights weights = {.w = w, .bias = bias, .logs = logs};
    const int places[] = {3, 63}, fewer[] = {1, 3, 5, 17};
    for (int i = 0; i < 2; i++)
        cr_assert_eq(b->copy(b, wf_at(b, pixels, (size_t)places[i] * in), pixels, in), WF_OK);
    convolve(b, &spec, &weights, pixels, result, back);
    bool same = true;
    for (int i = 0; i < 2; i++) {
        size_t place = (size_t)places[i];
        same = same && !memcmp(wf_at(b, result, place * out), result, out * b->real);
        same = same && !memcmp(wf_at(b, back, place * in), back, in * b->real);
    }
    for (size_t i = 0; i < sizeof fewer / sizeof *fewer; i++) {
        spec.N = fewer[i];
        convolve(b, &spec, &weights, pixels, few_results, few_back);
        same = same && !memcmp(result, few_results, (size_t)spec.N * out * b->real);
        same = same && !memcmp(back, few_back, (size_t)spec.N * in * b->real);
    }
    void *all[] = {pixels, result, back, few_results, few_back, w, bias, logs};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        b->free(b, all[i]);
    return same;
}

/* One shape for each convolution algorithm: one pixel, four pixels, lines of pixels, direct, Winograd, an odd number of
 * tiles, bf16. */
Test(cpu, batch_and_place_change_nothing)
{
    const wf_conv_spec specs[] = {
        {BATCH, 1, 1, 32, 32, 3, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 2, 2, 32, 32, 3, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 2, 2, 7, 32, 1, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 1, 2, 7, 10, 3, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 2, 2, 128, 130, 3, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 1, 1, 130, 128, 1, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 1, 4, 10, 130, 3, true, false, WF_FP32, WF_SOUND, 0},
        {BATCH, 2, 2, 1, 7, 3, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 3, 5, 7, 32, 1, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 5, 3, 32, 10, 3, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 8, 8, 32, 32, 3, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 9, 7, 32, 10, 3, true, false, WF_FP32, WF_PICTURE, 0},
        {BATCH, 8, 8, 32, 32, 3, true, false, WF_BF16, WF_PICTURE, 0},
        {BATCH, 9, 7, 32, 10, 3, true, false, WF_BF16, WF_PICTURE, 0},
    };
    for (int threads = 1; threads <= 3; threads++) {
        wf_backend *b;
        cr_assert_eq(wf_backend_open("cpu", threads, &b), WF_OK);
        for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
            cr_assert(same_in_all_places(b, specs[i]), "shape %zu with %d threads", i, threads);
        b->close(b);
    }
}

/* Channel c of pixel p is the number 40 p + c, in a bf16 map of 2x3 pixels and 40 channels that are padded to 48. */
static void check_layout(const char *layout, size_t of_pixel, size_t of_block)
{
    enum { PIXELS = 6, CHANNELS = 40, PADDED = 48 };
    wf_backend *b;
    wf_map_shape shape = {1, 2, 3, CHANNELS, WF_BF16};
    float values[PIXELS * CHANNELS];
    void *map;
    cr_assert_eq(setenv("WF_CPU_BF16_LAYOUT", layout, 1), 0);
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_OK);
    if (!b->bf16) {
        b->close(b);
        cr_skip_test("this processor has no bf16 maps");
    }
    for (int i = 0; i < PIXELS * CHANNELS; i++)
        values[i] = (float)i;
    cr_assert_eq(b->map_bytes(b, &shape), PIXELS * PADDED * sizeof(uint16_t));
    cr_assert_eq(b->alloc(b, PIXELS * PADDED * sizeof(uint16_t), &map), WF_OK);
    memset(map, 0xff, PIXELS * PADDED * sizeof(uint16_t));
    cr_assert_eq(b->pack(b, &shape, CHANNELS, CHANNELS, (wf_real *)values, 0, NULL, map), WF_OK);
    for (size_t p = 0; p < PIXELS; p++)
        for (size_t c = 0; c < PADDED; c++) {
            uint16_t bits = ((uint16_t *)map)[p * of_pixel + c / 16 * of_block + c % 16];
            uint32_t wide = (uint32_t)bits << 16;
            float value;
            memcpy(&value, &wide, sizeof value);
            cr_assert_eq(value, c < CHANNELS ? values[p * CHANNELS + c] : 0, "%s: pixel %zu, channel %zu", layout, p,
                         c);
        }
    b->free(b, map);
    b->close(b);
}

Test(cpu, bf16_maps_have_the_layout_of_the_switch)
{
    check_layout("blocked", 16, 6 * 16);
    check_layout("nhwc", 48, 16);
}

Test(cpu, a_layout_or_way_that_is_unknown_is_refused)
{
    wf_backend *b;
    cr_assert_eq(setenv("WF_CPU_BF16_LAYOUT", "nchw", 1), 0);
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_USAGE);
    cr_assert_str_eq(wf_error(), "cpu: WF_CPU_BF16_LAYOUT is 'nchw', expected blocked or nhwc");
    cr_assert_eq(setenv("WF_CPU_BF16_LAYOUT", "", 1), 0);
    cr_assert_eq(setenv("WF_CPU_CONVOLUTION", "fft", 1), 0);
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_USAGE);
    cr_assert_str_eq(wf_error(), "cpu: WF_CPU_CONVOLUTION is 'fft', expected winograd or onednn");
}

Test(cpu, unknown_passes_on_tiles_are_refused)
{
    wf_backend *b;
    cr_assert_eq(setenv("WF_CPU_AMX", "some", 1), 0);
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_USAGE);
    cr_assert_str_eq(wf_error(), "cpu: WF_CPU_AMX is 'some', expected none, weights or all");
}

/* Rounding of every upper half of a float and of the lower halves around ties, by vectors, beside integers. */
Test(cpu, bf16_rounds_to_nearest_even_and_keeps_nan)
{
    enum { PER = 7, COUNT = 65536 * PER };
    static const uint32_t lower[PER] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff};
    wf_backend *b;
    void *map;
    wf_map_shape shape = {1, 65536, 1, PER, WF_BF16};
    float *x = malloc(2 * COUNT * sizeof *x), *back = x + COUNT;
    cr_assert(x);
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_OK);
    if (!b->bf16)
        cr_skip_test("this processor has no bf16 maps");
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t bits = i / PER << 16 | lower[i % PER];
        memcpy(x + i, &bits, sizeof bits);
    }
    cr_assert_eq(b->alloc(b, b->map_bytes(b, &shape), &map), WF_OK);
    cr_assert_eq(b->pack(b, &shape, PER, PER, (wf_real *)x, 0, NULL, map), WF_OK);
    cr_assert_eq(b->unpack(b, &shape, map, (wf_real *)back), WF_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t upper = i / PER, low = lower[i % PER], got;
        memcpy(&got, back + i, sizeof got);
        if ((upper & 0x7fff) > 0x7f80 || ((upper & 0x7fff) == 0x7f80 && low))
            cr_assert(isnan(back[i]), "NaN %04x%04x became %08x", upper, low, got);
        else
            cr_assert_eq(got, (upper + (low > 0x8000 || (low == 0x8000 && upper & 1))) << 16, "%04x%04x became %08x",
                         upper, low, got);
    }
    b->free(b, map);
    b->close(b);
    free(x);
}

/* A gradient that relu lets through keeps its bits, those of minus zero too, up to the end of a map that fills no whole
 * vector. */
Test(cpu, relu_backward_keeps_bits)
{
    enum { PIXELS = 9, CHANNELS = 16, COUNT = PIXELS * CHANNELS };
    wf_backend *b;
    wf_map_shape shape = {1, 3, 3, CHANNELS, WF_BF16};
    uint16_t y[COUNT], dy[COUNT];
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_OK);
    if (!b->bf16)
        cr_skip_test("this processor has no bf16 maps");
    cr_assert_eq(b->map_bytes(b, &shape), sizeof y);
    for (int i = 0; i < COUNT; i++) {
        y[i] = i % 2 ? 0x3f80 : 0; /* 1, 0 */
        dy[i] = 0x8000;
    }
    cr_assert_eq(b->relu_backward(b, &shape, (const wf_map *)y, NULL, (wf_map *)dy), WF_OK);
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq(dy[i], i % 2 ? 0x8000 : 0, "place %d: %04x", i, dy[i]);
    b->close(b);
}

/* The gradients of a 3x3 convolution: by its weights [out,3,3,in], bias and logs [out], and by x. */
static float *gradients(int threads, const wf_conv_spec *spec, size_t *count)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open("cpu", threads, &b), WF_OK);
    wf_map_shape from = {spec->N, spec->H, spec->W, spec->in, spec->precision};
    wf_map_shape to = {spec->N, spec->H, spec->W, spec->out, spec->precision};
    size_t pixels = (size_t)spec->N * (size_t)(spec->H * spec->W), out = (size_t)spec->out;
    size_t taps = out * 9 * (size_t)spec->in, all = taps + 2 * out;
    void *x, *dy, *dx;
    wf_conv *conv;
    srand(1);
    wf_real *values = numbers(b, pixels * (size_t)(spec->in + spec->out), 2), *w = numbers(b, all, 0.2);
    wf_real *d = numbers(b, all, 0);
    cr_assert_eq(b->alloc(b, b->map_bytes(b, &from), &x), WF_OK);
    cr_assert_eq(b->alloc(b, b->map_bytes(b, &from), &dx), WF_OK);
    cr_assert_eq(b->alloc(b, b->map_bytes(b, &to), &dy), WF_OK);
    cr_assert_eq(b->conv_create(b, spec, &conv), WF_OK);
    cr_assert_eq(b->pack(b, &from, spec->in, spec->in, values, 0, NULL, x), WF_OK);
    cr_assert_eq(b->pack(b, &to, spec->out, spec->out, wf_at(b, values, pixels * (size_t)spec->in), 0, NULL, dy),
                 WF_OK);
    wf_weights weights = {.w = w,
                          .bias = wf_at(b, w, taps),
                          .logs = wf_at(b, w, taps + out),
                          .dw = d,
                          .dbias = wf_at(b, d, taps),
                          .dlogs = wf_at(b, d, taps + out)};
    cr_assert_eq(b->conv_backward(b, conv, &weights, x, NULL, NULL, dy, dx), WF_OK);
    wf_real *back = numbers(b, pixels * (size_t)spec->in, 0);
    float *result = malloc((all + pixels * (size_t)spec->in) * sizeof *result);
    cr_assert_eq(b->unpack(b, &from, dx, back), WF_OK);
    cr_assert_eq(b->download(b, result, WF_F32, d, all), WF_OK);
    cr_assert_eq(b->download(b, result + all, WF_F32, back, pixels * (size_t)spec->in), WF_OK);
    void *memory[] = {values, w, d, x, dx, dy, back};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        b->free(b, memory[i]);
    b->conv_destroy(b, conv);
    b->close(b);
    *count = all + pixels * (size_t)spec->in;
    return result;
}

/* Winograd and oneDNN round differently. */
#if defined __FMA__ && defined __x86_64__
Test(cpu, convolutions_go_the_way_of_the_switch)
{
    static const char *const ways[] = {"", "winograd", "onednn"};
    for (int bf16 = 0; bf16 < 2; bf16++) {
        const wf_conv_spec spec = {2, 8, 8, 32, 32, 3, false, false, bf16 ? WF_BF16 : WF_FP32, WF_PICTURE, 0};
        float *result[3];
        size_t count;
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(setenv("WF_CPU_CONVOLUTION", ways[i], 1), 0);
            result[i] = gradients(1, &spec, &count);
        }
        if (!bf16)
            cr_expect_eq(memcmp(result[0], result[1], count * sizeof **result), 0, "Winograd is not the first choice");
        cr_expect_neq(memcmp(result[1], result[2], count * sizeof **result), 0, "precision %d: one way for both", bf16);
        for (size_t i = 0; i < count; i++)
            cr_assert_float_eq(result[1][i], result[2][i], 1e-2 * sqrt((double)count), "gradient %zu", i);
        for (int i = 0; i < 3; i++)
            free(result[i]);
    }
}
#endif

/* Without fused multiply-add the gradient is oneDNN's, whose sums depend on threads. */
Test(cpu, threads_change_no_bit_of_a_gradient)
{
#ifndef __FMA__
    cr_skip_test("no fused multiply-add");
#endif
    const wf_conv_spec specs[] = {
        {1, 4, 4, 48, 48, 3, false, false, WF_FP32, WF_PICTURE, 0},
        {5, 17, 13, 24, 40, 3, false, false, WF_FP32, WF_PICTURE, 0},
        {64, 8, 8, 32, 10, 3, false, false, WF_FP32, WF_PICTURE, 0},
        {64, 2, 2, 128, 130, 3, false, false, WF_FP32, WF_PICTURE, 0},
        {64, 2, 2, 128, 10, 3, false, false, WF_FP32, WF_PICTURE, 0},
        {64, 1, 1, 128, 128, 3, false, false, WF_FP32, WF_PICTURE, 0},
        {17, 4, 1, 130, 70, 3, false, false, WF_FP32, WF_PICTURE, 0},
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        size_t n;
        float *one = gradients(1, &specs[i], &n);
        for (int threads = 2; threads <= 5; threads++) {
            float *more = gradients(threads, &specs[i], &n);
            cr_assert_eq(memcmp(one, more, n * sizeof *one), 0, "shape %zu with %d threads", i, threads);
            free(more);
        }
        free(one);
    }
}

/* True if the backend keeps WF_BF16 maps in fewer bytes than WF_FP32 ones. */
static bool narrow_maps(wf_backend *b)
{
    const wf_map_shape bf16 = {2, 8, 8, 32, WF_BF16}, fp32 = {2, 8, 8, 32, WF_FP32};
    return b->map_bytes(b, &bf16) < b->map_bytes(b, &fp32);
}

/* cpu reports bf16 exactly if it keeps narrow maps, which depends on AVX-512 BF16; ref has neither. */
Test(cpu, says_whether_it_has_bf16)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_OK);
    cr_assert_eq(b->bf16, narrow_maps(b), "%s", b->device);
    b->close(b);
    cr_assert_eq(wf_backend_open("ref", 1, &b), WF_OK);
    cr_assert_not(b->bf16 || narrow_maps(b));
    b->close(b);
}

Test(cpu, has_no_bf16_with_avx2)
{
    wf_backend *b;
    setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_OK);
    cr_assert_not(b->bf16 || narrow_maps(b), "%s", b->device);
    b->close(b);
}

Test(cpu, backends_by_name)
{
    wf_backend *b;
    const char *wrong[] = {"", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "refs"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(wf_backend_open(wrong[i], 0, &b), WF_USAGE, "'%s'", wrong[i]);
        cr_assert_null(b);
        cr_assert(strstr(wf_error(), "expected auto, cpu"), "'%s': %s", wrong[i], wf_error());
    }
    cr_assert_eq(wf_backend_open("cpu", -1, &b), WF_USAGE);
    cr_assert_eq(wf_backend_open("cpu", 1, &b), WF_OK);
    cr_assert_eq(b->threads, 1);
    cr_assert(strstr(b->device, "oneDNN"), "%s", b->device);
    b->close(b);
    cr_assert_eq(wf_backend_open("auto", 1, &b), WF_OK);
    b->close(b);
}

Test(cpu, table_of_backends_says_what_is_there)
{
    const char *name, *want[] = {"cpu", "cuda", "ref"};
    char text[256];
    int rows = 0;
    for (; wf_backend_describe(rows, &name, text); rows++) {
        cr_assert_str_eq(name, want[rows]);
        cr_assert_neq(text[0], '\0');
        cr_assert_neq(strncmp(text, "cuda:", 5), 0, "%s", text);
    }
    cr_assert_eq(rows, 3);
}
