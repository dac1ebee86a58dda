/* test_image_sound.c - sounds from writers that could not seek back to the header, as in a pipe */
#include <criterion/criterion.h>
#include <sndfile.h>

#include "reading.h"

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

/* ---- headers of recorders ---------------------------------------------------------------------------------------- */

enum { RIFF_SIZE = 4, FORMAT = 12, DATA = 36, SAMPLES = 44 };

static void set_number(char *bytes, size_t at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[at + (size_t)i] = (char)(value >> 8 * i);
}

/* Reads h as a stream and as a file: the sound, with `trailing` files that have bytes behind. */
static void check_odd(const heap *h, int trailing, const char *what)
{
    check_sound((const char *)h->bytes, h->n, what);
    scratch_make();
    scratch_write(scratch_path("a.wav"), h->bytes, h->n);
    result r = read_path(scratch_path("a.wav"));
    cr_expect(!r.status && r.count == 1 && r.passed.trailing == trailing, "%s: %d, %d behind: %s", what, r.count,
              (int)r.passed.trailing, r.status ? wf_error() : "");
    wf_image_clear(&r.last);
    scratch_remove();
}

Test(image_sound, sizes_of_recorders)
{
    static const struct {
        const char *what;
        uint32_t riff, data; /* 1: as it is; 2: 8 more */
    } cases[] = {{"RIFF size of the whole file", 2, 1}, {"RIFF size 0", 0, 1},
                 {"RIFF size unknown", UINT32_MAX, 1},  {"RIFF size too small", 100, 1},
                 {"nothing filled in", 0, 0},           {"as Python's wave", 36, 0},
                 {"as ffmpeg", UINT32_MAX, UINT32_MAX}, {"as sox", 0x7ffff024, 0x7ffff000}};
    size_t n;
    char *bytes = sound_bytes(SF_FORMAT_WAV, &n);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static heap h;
        h.n = 0;
        put(&h, bytes, n);
        if (cases[i].riff != 1)
            set_number((char *)h.bytes, RIFF_SIZE, cases[i].riff == 2 ? (uint32_t)n : cases[i].riff);
        if (cases[i].data != 1)
            set_number((char *)h.bytes, DATA + 4, cases[i].data);
        check_odd(&h, 0, cases[i].what);
        if (cases[i].data != 1)
            continue;
        size_t whole = h.n;
        put(&h, "LIST\x0a\0\0\0INFOabcdef", 18);
        check_odd(&h, i == 3, cases[i].what); /* behind the end that the header states */
        h.n -= 5;
        check_odd(&h, i == 3, "a note that is cut off");
        h.n = whole;
        put(&h, "TAG", 3);
        for (int k = 0; k < 125; k++)
            put(&h, "", 1);
        check_odd(&h, 1, "a tag");
        h.n = whole;
        put(&h, bytes, n);
        result r = read_bytes(h.bytes, h.n);
        cr_expect(!r.status && r.count == 2, "two, the first with a %s: %d: %s", cases[i].what, r.count, wf_error());
        wf_image_clear(&r.last);
        h.n = whole - 1;
        r = read_bytes(h.bytes, h.n);
        cr_expect_eq(r.status, WF_DATA, "%s, cut off", cases[i].what);
        wf_image_clear(&r.last);
    }
    free(bytes);
}

/* RF64 and BW64: the sizes of 32 bits are unknown, those in the chunk ds64 count. */
Test(image_sound, sizes_of_64_bits)
{
    size_t n;
    char *bytes = sound_bytes(SF_FORMAT_WAV, &n);
    for (int k = 0; k < 2; k++) {
        static heap h;
        h.n = 0;
        put(&h, k ? "BW64" : "RF64", 4);
        put(&h,
            "\xff\xff\xff\xff"
            "WAVEds64",
            12);
        put_number(&h, 28, 4, false);
        put_number(&h, (uint32_t)n + 28, 4, false);
        put_number(&h, 0, 4, false);
        put_number(&h, (uint32_t)(n - SAMPLES), 4, false);
        put_number(&h, 0, 4, false);
        put_number(&h, FRAMES, 4, false);
        put_number(&h, 0, 4, false);
        put_number(&h, 0, 4, false);
        put(&h, bytes + FORMAT, DATA - FORMAT);
        put(&h, "data\xff\xff\xff\xff", 8);
        put(&h, bytes + SAMPLES, n - SAMPLES);
        check_odd(&h, 0, "64 bits");
        put(&h, "bext\2\0\0\0ab", 10);
        check_odd(&h, 0, "64 bits and a note");
        h.n -= 11;
        result r = read_bytes(h.bytes, h.n);
        cr_expect_eq(r.status, WF_DATA, "64 bits, cut off");
    }
    free(bytes);
}

/* AIFF keeps the same in the other byte order; tags come before any kind of sound. */
Test(image_sound, other_kinds)
{
    static const int kinds[] = {SF_FORMAT_WAV, SF_FORMAT_AIFF, SF_FORMAT_FLAC};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        static heap h;
        size_t n;
        char *bytes = sound_bytes(kinds[i], &n);
        h.n = 0;
        put(&h, "ID3\4\0\0\0\0\1\x02", 10); /* 130 bytes */
        for (int k = 0; k < 130; k++)
            put(&h, "", 1);
        put(&h, bytes, n);
        check_odd(&h, 0, "behind a tag");
        h.n = 0;
        put(&h, bytes, n);
        if (kinds[i] == SF_FORMAT_AIFF)
            set_number((char *)h.bytes, RIFF_SIZE, 0);
        check_odd(&h, 0, "FORM size 0");
        free(bytes);
    }
    result r = read_bytes("ID3\4\0\0\0\0\0\0\xff\xfb\x90\x64....", 18);
    cr_expect(r.status == WF_DATA && strstr(wf_error(), "MP3"), "%s", wf_error());
}

/* Samples that are not read are named. */
Test(image_sound, other_samples)
{
    SF_INFO info = {.samplerate = 8000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_PCM_24};
    scratch_make();
    SNDFILE *file = sf_open(scratch_path("a.wav"), SFM_WRITE, &info);
    short samples[100] = {0};
    cr_assert(file && sf_writef_short(file, samples, 100) == 100);
    sf_close(file);
    cr_expect_eq(read_path(scratch_path("a.wav")).status, WF_DATA);
    cr_expect(strstr(wf_error(), "24 bit") && strstr(wf_error(), "sox"), "%s", wf_error());
    scratch_remove();
}
