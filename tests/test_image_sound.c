/* test_image_sound.c - sounds from writers that could not seek back to the header, as in a pipe */
#include <criterion/criterion.h>
#include <sndfile.h>

#include "../lib/image/image.h"
#include "scratch.h"

enum { FRAMES = 5000, CHANNELS = 2 };

/* A file of FRAMES frames with the samples 0, 1, 2, ... */
static char *sound_bytes(int format, size_t *n)
{
    SF_INFO info = {.samplerate = 8000, .channels = CHANNELS, .format = format | SF_FORMAT_PCM_16};
    scratch_make();
    SNDFILE *file = sf_open(scratch_path("sound"), SFM_WRITE, &info);
    cr_assert(file);
    for (int i = 0; i < FRAMES; i++) {
        short frame[CHANNELS] = {(short)(CHANNELS * i), (short)(CHANNELS * i + 1)};
        cr_assert_eq(sf_writef_short(file, frame, 1), 1);
    }
    sf_close(file);
    char *bytes = scratch_read(scratch_path("sound"), n);
    scratch_remove();
    return bytes;
}

static void check_sound(const char *bytes, size_t n, const char *what)
{
    FILE *file = fmemopen((void *)bytes, n, "rb");
    wf_images *images;
    wf_image image = {0};
    const char *name;
    bool more;
    cr_assert_eq(wf_images_open(NULL, 0, file, &images), 0);
    cr_assert(!wf_images_next(images, &image, &name, &more) && more, "%s: %s", what, wf_error());
    cr_assert(image.H == 1 && image.W == FRAMES && image.C == CHANNELS, "%s: %dx%dx%d", what, image.H, image.W,
              image.C);
    for (int i = 0; i < FRAMES * CHANNELS; i++)
        cr_assert_eq(image.pixels[i], 0x8000 + i, "%s: sample %d is %d", what, i, image.pixels[i]);
    cr_assert(!wf_images_next(images, &image, &name, &more) && !more, "%s: %s", what, wf_error());
    wf_images_close(images);
    fclose(file);
    free(image.pixels);
}

Test(image_sound, flac_of_a_pipe)
{
    size_t n;
    char *bytes = sound_bytes(SF_FORMAT_FLAC, &n);
    check_sound(bytes, n, "FLAC");
    enum { TOTAL = 21 }; /* its lower four bits and four more bytes hold the number of frames, 0 if unknown */
    bytes[TOTAL] &= (char)0xf0;
    memset(bytes + TOTAL + 1, 0, 4);
    check_sound(bytes, n, "FLAC of a pipe");
    free(bytes);
}

Test(image_sound, aiff_of_a_pipe)
{
    static const char form[] = "\x7f\0\0\x50", frames[] = "\x1f\xc0\0\0",
                      data[] = "\x7f\0\0\x08"; /* as sox writes it */
    size_t n;
    char *bytes = sound_bytes(SF_FORMAT_AIFF, &n);
    check_sound(bytes, n, "AIFF");
    char *common = memmem(bytes, n, "COMM", 4), *samples = memmem(bytes, n, "SSND", 4);
    cr_assert(common && samples);
    memcpy(bytes + 4, form, 4);
    memcpy(common + 10, frames, 4);
    memcpy(samples + 4, data, 4);
    check_sound(bytes, n, "AIFF of a pipe");
    free(bytes);
}
