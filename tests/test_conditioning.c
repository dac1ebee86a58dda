/* test_conditioning.c - a picture enters a model at the level that has its height and its width */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/image/image.h"
#include "../lib/pyramid/pyramid.h"
#include "../lib/sample/conditioning.h"
#include "../lib/store/stream.h"
#include "scratch.h"

TestSuite(conditioning, .init = scratch_make, .fini = scratch_remove);

static wf_model open_model(void)
{
    const wf_meta meta = {.wavelet = "haar", .levels = 3, .top = 3, .H = 8, .W = 16, .C = 1, .bits = 8};
    wf_model model;
    cr_assert_eq(wf_model_create(scratch_path("model"), &meta, &model), 0, "%s", wf_error());
    return model;
}

/* Level at which a PNG of H x W enters, -1 if it is refused because no level has its size. */
static int level_of_image(const wf_model *model, int H, int W)
{
    char *path = (char *)(uintptr_t)scratch_path("picture.png");
    wf_image image = {0};
    wf_conditioning *c = NULL;
    cr_assert_eq(wf_image_reserve(&image, "test", H, W, 1, 8), 0);
    memset(image.pixels, 0, (size_t)(H * W) * sizeof *image.pixels);
    FILE *file = fopen(path, "wb");
    cr_assert_eq(wf_image_write_png(file, path, &image), 0, "%s", wf_error());
    fclose(file);
    wf_image_clear(&image);
    int status = wf_conditioning_images(model, &path, 1, 0, &c);
    int level = status ? -1 : wf_conditioning_level(c);
    cr_expect(status == WF_OK || (status == WF_DATA && strstr(wf_error(), "or halves of that")), "%s", wf_error());
    wf_conditioning_destroy(c);
    return level;
}

/* Level at which a stream of pictures of H x W enters, from a pyramid of one level; -1 as above. */
static int level_of_stream(const wf_model *model, wf_backend *b, int H, int W)
{
    const wf_meta meta = {.wavelet = "haar", .levels = 1, .top = 1, .H = H, .W = W, .C = 1, .bits = 8};
    float *pixels = calloc((size_t)(H * W), sizeof *pixels);
    uint64_t index = 0;
    wf_pyramid *pyramid;
    wf_writer *writer;
    wf_conditioning *c = NULL;
    FILE *file = tmpfile();
    cr_assert_eq(wf_pyramid_create(b, &meta, 1, &pyramid), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_split(pyramid, 1, pixels, 0), 0, "%s", wf_error());
    cr_assert_eq(wf_writer_create(file, "out", &meta, &writer), 0, "%s", wf_error());
    for (int level = 0; level <= 1; level++) {
        wf_record r = {.level = level, .N = 1, .index = &index};
        cr_assert_eq(wf_pyramid_level(pyramid, level, &r.low, &r.detail), 0);
        cr_assert_eq(wf_writer_put(writer, &r), 0, "%s", wf_error());
    }
    cr_assert_eq(wf_writer_finish(writer), 0, "%s", wf_error());
    rewind(file);
    wf_records *records;
    cr_assert_eq(wf_records_open(&(char *){"-"}, 1, file, false, &records), WF_OK, "%s", wf_error());
    int status = wf_conditioning_records(model, b, records, 0, &c);
    int level = status ? -1 : wf_conditioning_level(c);
    cr_expect(status == WF_OK || (status == WF_DATA && strstr(wf_error(), "or halves of that")), "%s", wf_error());
    wf_conditioning_destroy(c);
    wf_records_close(records);
    wf_writer_destroy(writer);
    wf_pyramid_destroy(pyramid);
    fclose(file);
    free(pixels);
    return level;
}

Test(conditioning, pictures_enter_where_both_sides_agree)
{
    wf_backend *b;
    wf_model model = open_model();
    cr_assert_eq(wf_backend_open("cpu", 1, &b), 0, "%s", wf_error());
    /* H, W, level; a picture of level l has 8 / 2^(3-l) rows and 16 / 2^(3-l) columns */
    static const int cases[][3] = {{8, 16, 3},  {4, 8, 2},  {2, 4, 1},  {4, 4, -1},
                                   {4, 16, -1}, {8, 8, -1}, {2, 8, -1}, {16, 32, -1}};
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        int H = cases[i][0], W = cases[i][1], want = cases[i][2];
        int image = level_of_image(&model, H, W), stream = level_of_stream(&model, b, H, W);
        cr_expect_eq(image, want, "a picture of %d x %d enters at level %d, want %d", H, W, image, want);
        cr_expect_eq(stream, want, "a stream of %d x %d enters at level %d, want %d", H, W, stream, want);
    }
    b->close(b);
    wf_model_clear(&model);
}
