/* test_fit.c - wf_image_fit against its definition, against OpenCV and Pillow (tests/golden/make_fit.py) */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/safetensors.h"
#include "../lib/image/image.h"

/* The picture of make_fit.py, with samples of `bits` bits. */
static wf_image picture(int H, int W, int C, int bits)
{
    wf_image image = {0};
    cr_assert_eq(wf_image_reserve(&image, "test", H, W, C, bits), 0);
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++)
            for (int c = 0; c < C; c++)
                image.pixels[(i * W + j) * C + c] =
                    (uint16_t)((37 * i * i + 101 * j + 53 * i * j + 11 * j * j + 77 * c) % 256 << (bits - 8));
    return image;
}

/* Compares with every golden picture of `software`. *off: samples that differ. Returns the largest difference. */
static double compare(const char *software, int *pictures, int *off)
{
    wf_safetensors golden = {0};
    double largest = 0;
    *pictures = *off = 0;
    cr_assert_eq(wf_safetensors_load("tests/golden/fit.safetensors", &golden), 0, "%s", wf_error());
    for (int t = 0; t < golden.count; t++) {
        const wf_tensor *want = &golden.tensors[t];
        char name[16];
        int h, w, H, W;
        cr_assert_eq(sscanf(want->name, "%15[a-z]-%dx%d-%dx%d", name, &h, &w, &H, &W), 5, "%s", want->name);
        if (strcmp(name, software) != 0)
            continue;
        wf_image image = picture(h, w, 3, 8);
        cr_assert_eq(wf_image_fit(&image, "test", H, W), 0, "%s", wf_error());
        cr_assert(image.H == H && image.W == W && image.C == 3 && want->dtype == WF_F32);
        for (int i = 0; i < H * W * 3; i++) {
            double difference = fabs(((float *)want->data)[i] - image.pixels[i]);
            largest = fmax(largest, difference);
            *off += difference > 0;
        }
        ++*pictures;
        wf_image_clear(&image);
    }
    wf_safetensors_clear(&golden);
    return largest;
}

/* OpenCV's INTER_AREA is the same average. It may round a half to either side. */
Test(fit, opencv)
{
    int pictures, off;
    double largest = compare("opencv", &pictures, &off);
    cr_assert(pictures == 6 && largest <= 1 && off <= 40, "%d pictures, %d samples off by %g", pictures, off, largest);
}

/* Pillow averages areas at whole factors only, in two passes, each of which rounds to 8 bits. */
Test(fit, pillow)
{
    int pictures, off;
    double largest = compare("pillow", &pictures, &off);
    cr_assert(pictures == 4 && largest <= 1, "%d pictures, %d samples off by %g", pictures, off, largest);
}

/* Length of the part that [a,a+n) and pixel k, of length `unit`, share. */
static int64_t part(int64_t a, int64_t n, int64_t k, int64_t unit)
{
    int64_t low = a > k * unit ? a : k * unit, high = a + n < (k + 1) * unit ? a + n : (k + 1) * unit;
    return high > low ? high - low : 0;
}

/* Every target pixel as a sum of whole numbers over all pixels of the source. The rectangle kept is scaled by n / m,
 * where n is the tighter side and m what it becomes, so lengths are counted in 1 / (2 m). */
Test(fit, definition)
{
    static const int shapes[][4] = {{37, 50, 8, 8}, {50, 37, 8, 8}, {9, 31, 4, 2}, {31, 9, 2, 4}, {13, 14, 5, 5},
                                    {7, 7, 6, 6},   {5, 9, 5, 5},   {9, 5, 1, 1},  {6, 6, 3, 2}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int bits = 8; bits <= 16; bits += 8)
            for (int C = 1; C <= 4; C += 3) {
                int h = shapes[s][0], w = shapes[s][1], H = shapes[s][2], W = shapes[s][3];
                wf_image from = picture(h, w, C, bits), to = picture(h, w, C, bits);
                cr_assert_eq(wf_image_fit(&to, "test", H, W), 0, "%s", wf_error());
                cr_assert(to.H == H && to.W == W && to.bits == bits);
                int64_t m = h * W <= w * H ? H : W, n = h * W <= w * H ? h : w;
                for (int i = 0; i < H * W * C; i++) {
                    int64_t y = h * m - H * n + i / C / W * 2 * n, x = w * m - W * n + i / C % W * 2 * n, sum = 0;
                    for (int k = 0; k < h * w; k++)
                        sum += part(y, 2 * n, k / w, 2 * m) * part(x, 2 * n, k % w, 2 * m) * from.pixels[k * C + i % C];
                    int64_t area = 4 * n * n, want = (2 * sum + area) / (2 * area);
                    cr_assert_eq(to.pixels[i], want, "%dx%d to %dx%d, sample %d is %d, want %d", h, w, H, W, i,
                                 to.pixels[i], (int)want);
                }
                wf_image_clear(&from);
                wf_image_clear(&to);
            }
}

Test(fit, never_enlarges)
{
    wf_image image = picture(8, 20, 3, 8);
    cr_assert_eq(wf_image_fit(&image, "small.png", 9, 9), WF_DATA);
    cr_assert(strstr(wf_error(), "small.png: 8x20"), "%s", wf_error());
    cr_assert_eq(wf_image_fit(&image, "small.png", 4, 21), WF_DATA);
    cr_assert_eq(wf_image_fit(&image, "small.png", 8, 20), 0);
    cr_assert(image.H == 8 && image.W == 20);
    wf_image_clear(&image);
}
