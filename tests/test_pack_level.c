/* test_pack_level.c - exact nets, numbers of one level, and whole pictures through random models */
#include <criterion/criterion.h>
#include <math.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "pack.h"

/* -- nets ---------------------------------------------------------------------------------------------------------- */

enum { NAIVE = 96 }; /* channels at most */

/* One layer by the formula, in the order that exact_net.h states. x: [H,W,in], y: [H,W,out]. */
static void naive_layer(const wf_exact_layer *l, int H, int W, const float *x, const float *residual, float *y)
{
    for (int row = 0; row < H; row++)
        for (int column = 0; column < W; column++) {
            float all[2 * NAIVE];
            for (int o = 0; o < l->out; o++) {
                volatile float sum = 0;
                for (int i = 0; i < l->k; i++)
                    for (int j = 0; j < l->k; j++)
                        for (int c = 0; c < l->in; c++) {
                            int r = row + i - l->k / 2, s = column + j - l->k / 2;
                            float v = r < 0 || s < 0 || r >= H || s >= W ? 0 : x[(r * W + s) * l->in + c];
                            volatile float product = l->w[((o * l->k + i) * l->k + j) * l->in + c] * v;
                            sum = sum + product;
                        }
                volatile float shifted = sum + l->bias[o];
                all[o] = shifted * wf_exact_expf(3 * l->logs[o]);
            }
            int out = l->out / (l->gate ? 2 : 1);
            for (int o = 0; o < out; o++) {
                volatile float v = all[o];
                if (l->gate)
                    v = v * (float)(1 / (1 + wf_exact_exp(-(double)all[out + o])));
                if (l->gate || l->residual)
                    v = v + residual[(row * W + column) * out + o];
                y[(row * W + column) * out + o] = (l->relu || l->gate) && !(v > 0) ? 0 : v;
            }
        }
}

/* Fills in `count` layers of random weights. */
static void make_layers(pack_random *r, wf_exact_layer *layers, int count)
{
    for (int i = 0; i < count; i++) {
        wf_exact_layer *l = &layers[i];
        l->w = pack_reals(r, (size_t)(l->in * l->out * l->k * l->k), 0.2f);
        l->bias = pack_reals(r, (size_t)l->out, 0.3f);
        l->logs = pack_reals(r, (size_t)l->out, 0.2f);
    }
}

/* Compares an exact net with the formula, bit by bit, in strips of 1 row, 3 rows and whole. */
static void compare_net(const wf_exact_layer *layers, int count, int H, int W, pack_random *r)
{
    float *maps[3], *got = malloc((size_t)(H * W * NAIVE) * sizeof *got);
    wf_exact_net *net;
    wf_exact_scratch scratch = {0};
    for (int i = 0; i < 3; i++)
        maps[i] = pack_reals(r, (size_t)(H * W * NAIVE), 1);
    float *input = malloc((size_t)(H * W * NAIVE) * sizeof *input);
    memcpy(input, maps[0], (size_t)(H * W * NAIVE) * sizeof *input);
    for (int i = 0; i < count; i++)
        naive_layer(&layers[i], H, W, maps[i % 3], maps[(i + 2) % 3], maps[(i + 1) % 3]);
    cr_assert_eq(wf_exact_net_create(layers, count, &net), 0, "%s", wf_error());
    int in = wf_exact_net_in(net), out = wf_exact_net_out(net);
    wf_exact_part part = {input, in, in};
    for (int rows = 1; rows < 2 * H + 3; rows += rows < 3 ? 2 : H) {
        for (int first = 0; first < H; first += rows)
            cr_assert_eq(wf_exact_net_run(net, &part, 1, H, W, first, rows < H - first ? rows : H - first, &scratch,
                                          got + first * W * out),
                         0);
        for (int i = 0; i < H * W * out; i++)
            cr_assert(!memcmp(&got[i], &maps[count % 3][i], sizeof *got), "%dx%d, strips of %d: output %d: %g, want %g",
                      H, W, rows, i, (double)got[i], (double)maps[count % 3][i]);
    }
    wf_exact_net_destroy(net);
    wf_exact_clear(&scratch);
    for (int i = 0; i < 3; i++)
        free(maps[i]);
    free(input);
    free(got);
}

Test(pack_level, nets_are_the_formula_bit_by_bit)
{
    static const int sides[][2] = {{1, 1}, {1, 5}, {4, 1}, {3, 7}, {9, 8}};
    pack_random r = {7};
    for (int width = 1; width <= 80; width += width < 3 ? 1 : 25)
        for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
            wf_exact_layer res[5] = {{.in = 5, .out = width, .k = 1, .relu = true},
                                     {.in = width, .out = width, .k = 3, .relu = true},
                                     {.in = width, .out = width, .k = 1, .relu = true, .residual = true},
                                     {.in = width, .out = width, .k = 3, .relu = true},
                                     {.in = width, .out = 17, .k = 3}};
            wf_exact_layer gated[4] = {{.in = 3, .out = width, .k = 3, .relu = true},
                                       {.in = width, .out = width, .k = 3, .relu = true},
                                       {.in = width, .out = 2 * width, .k = 1, .gate = true},
                                       {.in = width, .out = 51, .k = 3}};
            make_layers(&r, res, 5);
            make_layers(&r, gated, 4);
            compare_net(res, 5, sides[s][0], sides[s][1], &r);
            compare_net(gated, 4, sides[s][0], sides[s][1], &r);
            for (int i = 0; i < 5; i++) {
                free((void *)(uintptr_t)res[i].w);
                free((void *)(uintptr_t)res[i].bias);
                free((void *)(uintptr_t)res[i].logs);
            }
            for (int i = 0; i < 4; i++) {
                free((void *)(uintptr_t)gated[i].w);
                free((void *)(uintptr_t)gated[i].bias);
                free((void *)(uintptr_t)gated[i].logs);
            }
        }
}

Test(pack_level, layers_that_do_not_fit_are_refused)
{
    static const float zeros[100];
    wf_exact_net *net;
    wf_exact_layer layers[3] = {{.in = 2, .out = 4, .k = 1, .w = zeros, .bias = zeros, .logs = zeros},
                                {.in = 4, .out = 4, .k = 1, .w = zeros, .bias = zeros, .logs = zeros},
                                {.in = 4, .out = 4, .k = 1, .w = zeros, .bias = zeros, .logs = zeros}};
    layers[1].residual = true; /* the input of layer 0 has 2 channels */
    cr_assert_eq(wf_exact_net_create(layers, 3, &net), WF_USAGE);
    layers[1].residual = false;
    layers[2].in = 5;
    cr_assert_eq(wf_exact_net_create(layers, 3, &net), WF_USAGE);
    layers[2].in = 4;
    layers[2].k = 5;
    cr_assert_eq(wf_exact_net_create(layers, 3, &net), WF_USAGE);
}

/* -- numbers ------------------------------------------------------------------------------------------------------- */

/* Every cell of a range comes back, under mixtures from flat to sharp, also ones with parameters that are not
 * numbers. */
Test(pack_level, every_cell_comes_back)
{
    pack_random r = {11};
    static const int64_t counts[] = {1, 2, 511, 65537, (1 << 20) - 1, (1 << 20) + 1, 4177921};
    for (int kind = 0; kind < 24; kind++)
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            wf_rans_list list = {0};
            wf_rans_reader reader;
            wf_coder write = {.list = &list}, read = {.reader = &reader};
            wf_mixture mixture;
            int64_t count = counts[k], step = count < 1000 ? 1 : count / 991;
            wf_cells cells = {.count = count, .low = -0.5, .step = 1.0 / (double)count, .scale = 3};
            float *outputs = pack_reals(&r, 17, kind % 4 == 3 ? 1e30f : kind % 4 == 2 ? 100 : 2);
            if (kind % 5 == 4)
                outputs[kind % 17] = kind % 2 ? NAN : INFINITY;
            cells.scale = kind % 7 == 6 ? 1e-18 : cells.scale;
            wf_mixture_set(&mixture, outputs, 5, 1, 0, NULL);
            for (int64_t i = 0; i < count; i += step)
                cr_assert_eq(wf_code_cell(&write, &mixture, &cells, &i), 0);
            for (size_t i = 0; i < list.count; i++)
                cr_assert(list.symbols[i].freq > 0 && list.symbols[i].freq <= WF_RANS_SLOTS);
            uint8_t *bytes;
            size_t size;
            cr_assert_eq(wf_rans_finish(&list, 12345, &bytes, &size), 0);
            cr_assert_eq(wf_rans_open(bytes, size, &reader), 0);
            for (int64_t i = 0; i < count; i += step) {
                int64_t got = -1;
                cr_assert_eq(wf_code_cell(&read, &mixture, &cells, &got), 0);
                cr_assert_eq(got, i, "kind %d, %lld cells: %lld, want %lld", kind, (long long)count, (long long)got,
                             (long long)i);
            }
            cr_assert_eq(wf_rans_end(&reader, 12345), 0);
            free(bytes);
            free(outputs);
            wf_rans_clear(&list);
        }
}

/* The cost of a cell is that of F in plain arithmetic. */
Test(pack_level, frequencies_are_differences_of_the_distribution)
{
    enum { COUNT = 511 };
    const float outputs[8] = {0.3f, -0.2f, 0.1f, -0.4f, 0.5f, -1, 0, 0}; /* K = 2: logits, means, log-scales */
    wf_rans_list list = {0};
    wf_coder write = {.list = &list};
    wf_mixture mixture;
    wf_cells cells = {.count = COUNT, .low = -0.5, .step = 1.0 / COUNT, .shift = 0.1, .scale = 2};
    wf_mixture_set(&mixture, outputs, 2, 1, 0, NULL);
    uint32_t before = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        double t = (-0.5 + (double)i / COUNT + 0.1) * 2, w = 1 / (1 + exp(-0.2 - 0.3)), F = 0;
        F += w / (1 + exp(-(t - (0.1f - 0.5)) * exp(1 - 0.5)));
        F += (1 - w) / (1 + exp(-(t - (-0.4f + 0.5)) * exp(1 + 1.0)));
        cr_assert_eq(wf_code_cell(&write, &mixture, &cells, &i), 0);
        uint32_t start = list.symbols[i].start;
        cr_assert_eq(start, before, "cell %lld", (long long)i);
        before = start + list.symbols[i].freq;
        if (i)
            cr_assert(fabs(start - (F * (WF_RANS_SLOTS - COUNT) + (double)i)) < 1.5, "cell %lld begins at %u",
                      (long long)i, start);
    }
    cr_assert_eq(before, WF_RANS_SLOTS);
    wf_rans_clear(&list);
}

Test(pack_level, uniform_numbers_come_back)
{
    for (int64_t count = 1; count < INT64_C(1) << 34; count = count < 70 ? count + 1 : 3 * count + 1) {
        wf_rans_list list = {0};
        wf_rans_reader reader;
        wf_coder write = {.list = &list}, read = {.reader = &reader};
        int64_t step = count / 100 + 1, most = count - 1;
        uint8_t *bytes;
        size_t size;
        for (int64_t i = 0; i < count; i += step)
            cr_assert_eq(wf_code_uniform(&write, count, &i), 0);
        cr_assert_eq(wf_code_uniform(&write, count, &most), 0);
        cr_assert_eq(wf_rans_finish(&list, 12345, &bytes, &size), 0);
        cr_assert_eq(wf_rans_open(bytes, size, &reader), 0);
        int64_t got = -1;
        for (int64_t i = 0; i < count; i += step) {
            cr_assert_eq(wf_code_uniform(&read, count, &got), 0);
            cr_assert_eq(got, i);
        }
        cr_assert_eq(wf_code_uniform(&read, count, &got), 0);
        cr_assert_eq(got, most);
        cr_assert_eq(wf_rans_end(&reader, 12345), 0);
        free(bytes);
        wf_rans_clear(&list);
    }
}

/* -- pictures ------------------------------------------------------------------------------------------------------ */

/* Packs and unpacks a picture; returns the bytes. */
static size_t there_and_back(const wf_packer *p, wf_packer_work *work, const wf_image *image)
{
    wf_image back = {0};
    uint8_t *bytes;
    size_t n, samples = (size_t)(image->H * image->W * image->C);
    cr_assert_eq(wf_pack(p, work, image, "test", 7, &bytes, &n), 0, "%s", wf_error());
    cr_assert_eq(wf_image_reserve(&back, "test", image->H, image->W, image->C, image->bits), 0);
    cr_assert_eq(wf_unpack(p, work, bytes, n, 7, &back), 0, "%dx%dx%d of %d bits: %s", image->H, image->W, image->C,
                 image->bits, wf_error());
    cr_assert(!memcmp(back.pixels, image->pixels, samples * sizeof *image->pixels), "%dx%dx%d of %d bits", image->H,
              image->W, image->C, image->bits);
    free(bytes);
    wf_image_clear(&back);
    return n;
}

Test(pack_level, pictures_of_every_size_come_back)
{
    wf_image image = {0};
    wf_packer_work *work;
    cr_assert_eq(wf_packer_work_create(&work), 0);
    for (int C = 1; C <= 4; C++)
        for (int deep = 0; deep < 2; deep++) {
            wf_packer *p = pack_make(C, deep ? 16 : 8, 3, 1 + C % 2, deep ? 10 : 5, (uint64_t)(C + 10 * deep));
            for (int H = 1; H <= 18; H += H < 6 ? 1 : 6)
                for (int W = 1; W <= 19; W += W < 5 ? 1 : 7)
                    for (int noise = -1; noise <= 40; noise += 20 + (noise < 0)) {
                        pack_picture(&image, H, W, C, deep ? 16 : 8, noise, (uint64_t)(H * 100 + W));
                        there_and_back(p, work, &image);
                    }
            wf_packer_destroy(p);
        }
    wf_packer_work_destroy(work);
    wf_image_clear(&image);
}

Test(pack_level, deep_models_and_wrong_pictures)
{
    wf_image image = {0};
    wf_packer_work *work;
    uint8_t *bytes;
    size_t n;
    cr_assert_eq(wf_packer_work_create(&work), 0);
    wf_packer *p = pack_make(3, 8, 7, 1, 5, 99);
    pack_picture(&image, 128, 150, 3, 8, 9, 1);
    there_and_back(p, work, &image);
    pack_picture(&image, 1, 1, 3, 8, 9, 1);
    cr_assert_leq(there_and_back(p, work, &image), 12);
    pack_picture(&image, 8, 8, 1, 8, 9, 1);
    cr_assert_eq(wf_pack(p, work, &image, "test", 7, &bytes, &n), WF_USAGE);
    pack_picture(&image, 8, 8, 3, 16, 9, 1);
    cr_assert_eq(wf_pack(p, work, &image, "test", 7, &bytes, &n), WF_USAGE);
    wf_packer_destroy(p);
    wf_packer_work_destroy(work);
    wf_image_clear(&image);
}

/* Whatever the bytes are, the reader ends with a status. */
Test(pack_level, bytes_that_are_no_picture_are_refused)
{
    wf_image image = {0};
    wf_packer_work *work;
    uint8_t *bytes;
    size_t n;
    pack_random r = {5};
    cr_assert_eq(wf_packer_work_create(&work), 0);
    wf_packer *p = pack_make(3, 8, 3, 2, 5, 5);
    pack_picture(&image, 9, 7, 3, 8, 30, 1);
    cr_assert_eq(wf_pack(p, work, &image, "test", 7, &bytes, &n), 0);
    for (size_t cut = 0; cut < n; cut++)
        cr_assert_eq(wf_unpack(p, work, bytes, cut, 7, &image), WF_DATA, "%zu of %zu bytes", cut, n);
    for (int i = 0; i < 2000; i++) {
        uint8_t *copy = malloc(n);
        memcpy(copy, bytes, n);
        copy[pack_next(&r) % n] ^= (uint8_t)(1 << pack_next(&r) % 8);
        cr_assert_neq(wf_unpack(p, work, copy, n, 7, &image), WF_USAGE);
        free(copy);
    }
    free(bytes);
    wf_packer_destroy(p);
    wf_packer_work_destroy(work);
    wf_image_clear(&image);
}

/* The bytes that gcc 12 and clang 14 gave with -O0, -O1, -O3 and any -march of x86-64. */
Test(pack_level, bytes_are_the_same_in_every_build)
{
    wf_image image = {0};
    wf_packer_work *work;
    uint64_t sum = 0;
    cr_assert_eq(wf_packer_work_create(&work), 0);
    for (int i = 0; i < 12; i++) {
        wf_packer *p = pack_make(1 + i % 4, i % 3 ? 8 : 16, 3, 1 + i % 2, 1 + i % 10, (uint64_t)i);
        for (int j = 0; j < 4; j++) {
            uint8_t *bytes;
            size_t n;
            pack_picture(&image, 9 + 13 * j, 31 - 5 * j, 1 + i % 4, i % 3 ? 8 : 16, 20 * j - 1, (uint64_t)j);
            cr_assert_eq(wf_pack(p, work, &image, "test", 7, &bytes, &n), 0);
            sum = sum * 31 + XXH3_64bits(bytes, n);
            free(bytes);
        }
        wf_packer_destroy(p);
    }
    cr_assert_eq(sum, UINT64_C(0xbdb143fc7ad6d5e0), "%llx", (unsigned long long)sum);
    wf_packer_work_destroy(work);
    wf_image_clear(&image);
}
