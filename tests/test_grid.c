/* test_grid.c - rounding that keeps averages, and grids of pictures */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/image/font.h"
#include "../lib/image/grid.h"
#include "../lib/pyramid/block_rounding.h"

enum { H = 8, W = 16, C = 3, N = H * W * C };

static size_t at(int y, int x, int c)
{
    return ((size_t)y * W + (size_t)x) * C + (size_t)c;
}

/* Noise around whole means, wide enough that a good part is out of range. */
static void noisy_blocks(int block, float *values, int *means)
{
    for (int y = 0; y < H; y += block)
        for (int x = 0; x < W; x += block)
            for (int c = 0; c < C; c++) {
                int mean = means[at(y, x, c)] = rand() % 4 ? rand() % 256 : rand() % 2 * 255;
                double sum = 0;
                for (int i = 0; i < block * block; i++) {
                    float v = i == block * block - 1 ? (float)(mean * block * block - sum)
                                                     : (float)mean + (float)(rand() % 6000 - 3000) / 40;
                    values[at(y + i / block, x + i % block, c)] = v;
                    sum += (double)v;
                }
            }
}

Test(rounding, keeps_the_averages_of_blocks)
{
    float values[N];
    int means[N];
    uint16_t pixels[N], plain[N];
    for (int block = 1; block <= 8; block *= 2) {
        int moved = 0;
        noisy_blocks(block, values, means);
        cr_assert_eq(wf_round_blocks("x", values, H, W, C, block, 255, pixels), WF_OK, "%s", wf_error());
        wf_round(values, H, W, C, 255, plain);
        for (int y = 0; y < H; y += block)
            for (int x = 0; x < W; x += block)
                for (int c = 0; c < C; c++) {
                    int sum = 0;
                    for (int i = 0; i < block * block; i++)
                        sum += pixels[at(y + i / block, x + i % block, c)];
                    cr_expect_eq(sum, means[at(y, x, c)] * block * block, "block %d at %d, %d", block, y, x);
                }
        for (int i = 0; i < N; i++) {
            cr_expect_leq(pixels[i], 255);
            moved += pixels[i] != plain[i];
        }
        cr_expect(block == 1 ? moved == 0 : moved > 0);
    }
}

/* With all values in range no sample moves by one or more, and the largest remainders round up. */
Test(rounding, moves_no_further_than_to_the_other_side)
{
    float values[4] = {10.4f, 10.45f, 10.3f, 10.85f}; /* sums to 42 */
    uint16_t pixels[4];
    cr_assert_eq(wf_round_blocks("x", values, 2, 2, 1, 2, 255, pixels), WF_DATA);
    values[3] = 10.85f + 2;
    cr_assert_eq(wf_round_blocks("x", values, 2, 2, 1, 2, 255, pixels), WF_OK, "%s", wf_error());
    cr_expect_arr_eq(pixels, ((uint16_t[]){10, 11, 10, 13}), sizeof pixels);
}

Test(rounding, refuses_what_is_no_whole_average)
{
    uint16_t pixels[4];
    cr_expect_eq(wf_round_blocks("x", (float[]){1, 1, 1, 2}, 2, 2, 1, 2, 255, pixels), WF_DATA);
    cr_expect_eq(wf_round_blocks("x", (float[]){-1, -1, -1, -1}, 2, 2, 1, 2, 255, pixels), WF_DATA);
    cr_expect_eq(wf_round_blocks("x", (float[]){NAN, 1, 1, 1}, 2, 2, 1, 2, 255, pixels), WF_DATA);
}

static wf_image picture(uint16_t value)
{
    static uint16_t pixels[6];
    for (int i = 0; i < 6; i++)
        pixels[i] = value;
    return (wf_image){.H = 2, .W = 3, .C = 1, .bits = 8, .pixels = pixels};
}

static wf_image drawn(int count, const wf_grid_spec *spec, int status)
{
    wf_grid grid = {0};
    wf_image out = {0};
    for (int i = 0; i < count; i++) {
        wf_image one = picture((uint16_t)(10 * i));
        cr_assert_eq(wf_grid_add(&grid, &one), WF_OK);
    }
    cr_assert_eq(wf_grid_draw(&grid, spec, "x", &out), status, "%s", wf_error());
    wf_grid_clear(&grid);
    return out;
}

Test(grid, lays_out_cells)
{
    wf_image out = drawn(5, &(wf_grid_spec){.zoom = 2}, WF_OK);
    cr_assert_eq(out.W, 3 * 7 - 1);
    cr_assert_eq(out.H, 2 * 5 - 1);
    for (int y = 0; y < out.H; y++)
        for (int x = 0; x < out.W; x++) {
            int k = y / 5 * 3 + x / 7, want = y % 5 == 4 || x % 7 == 6 || k > 4 ? 255 : 10 * k;
            cr_expect_eq(out.pixels[y * out.W + x], want, "%d, %d", y, x);
        }
    wf_image_clear(&out);
}

static int black(const wf_image *image, int from_x, int from_y, int to_x, int to_y)
{
    int n = 0;
    for (int y = from_y; y < to_y; y++)
        for (int x = from_x; x < to_x; x++)
            n += image->pixels[y * image->W + x] == 0;
    return n;
}

/* The glyphs of 1, I and the point have 10, 11 and 4 dots, each of 2 x 2 pixels. */
Test(grid, writes_labels_beside_cells)
{
    wf_image out = drawn(4, &(wf_grid_spec){.zoom = 8, .columns = 2, .titles = "1,", .rows = ",i."}, WF_OK);
    int left = 2 * (11 + 3), top = 2 * 10;
    cr_assert_eq(out.W, left + 2 * 25 - 1);
    cr_assert_eq(out.H, top + 2 * 17 - 1);
    cr_expect_eq(black(&out, left, 0, left + 24, top), 4 * 10);
    cr_expect_eq(black(&out, left + 25, 0, out.W, top), 0);
    cr_expect_eq(black(&out, 0, top + 17, left, out.H), 4 * (11 + 4));
    cr_expect_eq(black(&out, 0, top, left, top + 16), 0);
    wf_image_clear(&out);
    out = drawn(4, &(wf_grid_spec){.zoom = 1, .columns = 2, .titles = "a,b,c"}, WF_USAGE);
    wf_image_clear(&out);
    out = drawn(4, &(wf_grid_spec){.zoom = 1, .columns = 2, .rows = "a,b,c"}, WF_USAGE);
    wf_image_clear(&out);
}

Test(font, small_letters_are_capitals_and_all_differ)
{
    static const char text[] = "?0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.,:-+=/%()_<>*#'|! ";
    uint16_t points[sizeof text][WF_FONT_WIDTH * WF_FONT_HEIGHT];
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        wf_image image = {.H = WF_FONT_HEIGHT, .W = WF_FONT_WIDTH, .C = 1, .bits = 8, .pixels = points[i]};
        memset(points[i], 0, sizeof points[i]);
        wf_text_draw(&image, 0, 0, 1, (char[]){text[i], 0}, 1);
        for (size_t j = 0; j < i; j++)
            cr_expect_arr_neq(points[i], points[j], sizeof points[i], "%c and %c", text[i], text[j]);
        image.pixels = points[sizeof text - 1];
        memset(image.pixels, 0, sizeof points[i]);
        wf_text_draw(&image, 0, 0, 1, (char[]){text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i], 0},
                     1);
        cr_expect_arr_eq(points[i], image.pixels, sizeof points[i]);
    }
    wf_image image = {.H = WF_FONT_HEIGHT, .W = WF_FONT_WIDTH, .C = 1, .bits = 8, .pixels = points[1]};
    memset(points[1], 0, sizeof points[1]);
    wf_text_draw(&image, 0, 0, 1, "~", 1);
    cr_expect_arr_eq(points[0], points[1], sizeof points[0]);
    wf_text_draw(&image, -30, -30, 9, "%%%%%", 1); /* pixels outside are left out */
    cr_expect_eq(wf_text_width("ABC", 2), 34);
    cr_expect_eq(wf_text_width("", 2), 0);
}
