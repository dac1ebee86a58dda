/* test_image_sound.c - sounds from writers that could not seek back to the header, as in a pipe */
#include <criterion/criterion.h>
#include <math.h>
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

/* Sounds whose sizes are not known, one behind the other, also an empty one before another. */
Test(image_sound, next_of_unknown_size)
{
    static const int kinds[] = {SF_FORMAT_WAV, SF_FORMAT_AIFF, SF_FORMAT_FLAC};
    size_t n;
    char *streamed = sound_bytes(SF_FORMAT_WAV, &n), empty[SAMPLES];
    memcpy(empty, streamed, SAMPLES);
    set_number(empty, RIFF_SIZE, 36);
    set_number(empty, DATA + 4, 0);
    set_number(streamed, RIFF_SIZE, UINT32_MAX);
    set_number(streamed, DATA + 4, UINT32_MAX);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            static heap h;
            size_t first, second;
            char *a = kinds[i] == SF_FORMAT_WAV ? streamed : sound_bytes(kinds[i], &first);
            char *b = sound_bytes(kinds[k], &second);
            h.n = 0;
            put(&h, a, kinds[i] == SF_FORMAT_WAV ? n : first);
            put(&h, b, second);
            result r = read_bytes(h.bytes, h.n);
            cr_expect(!r.status && r.count == 2 && r.last.W == FRAMES, "%zu before %zu: %d sounds: %s", i, k, r.count,
                      r.status ? wf_error() : "");
            for (int s = 0; s < FRAMES * CHANNELS && r.count == 2; s++)
                cr_assert_eq(r.last.pixels[s], 0x8000 + s, "%zu before %zu, sample %d", i, k, s);
            wf_image_clear(&r.last);
            h.n = 0;
            put(&h, empty, SAMPLES);
            put(&h, b, second);
            FILE *file = fmemopen(h.bytes, h.n, "rb");
            wf_images *images;
            cr_assert_eq(wf_images_open(NULL, 0, file, &images), 0);
            wf_images_set_options(images, (wf_images_options){.length = FRAMES});
            r = read_all(images);
            cr_expect(!r.status && r.count == 1 && r.passed.partial == 1 && !r.passed.remainder,
                      "an empty one before %zu: %d sounds: %s", k, r.count, r.status ? wf_error() : "");
            wf_image_clear(&r.last);
            fclose(file);
            if (a != streamed)
                free(a);
            free(b);
        }
    free(streamed);
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

/* Reads the sound at "a.wav" in the scratch folder. */
static result read_sound(bool deeper)
{
    char *paths[] = {(char *)scratch_path("a.wav")};
    wf_images *images;
    cr_assert_eq(wf_images_open(paths, 1, NULL, &images), 0);
    wf_images_set_options(images, (wf_images_options){.deeper = deeper});
    return read_all(images);
}

/* Sounds of more than 16 bits give the highest 16 where that is asked for. */
Test(image_sound, deeper_samples)
{
    static const int formats[] = {SF_FORMAT_WAV | SF_FORMAT_PCM_24,  SF_FORMAT_WAVEX | SF_FORMAT_PCM_24,
                                  SF_FORMAT_WAV | SF_FORMAT_PCM_32,  SF_FORMAT_AIFF | SF_FORMAT_PCM_24,
                                  SF_FORMAT_FLAC | SF_FORMAT_PCM_24, SF_FORMAT_WAV | SF_FORMAT_FLOAT,
                                  SF_FORMAT_WAV | SF_FORMAT_DOUBLE,  SF_FORMAT_RF64 | SF_FORMAT_FLOAT};
    enum { MANY = 9000 }; /* more than are converted at a time */
    static int samples[MANY];
    static double numbers[MANY];
    for (int i = 0; i < MANY; i++) {
        samples[i] = (int)((uint32_t)i * 2654435769u) & ~0xff; /* 24 bits, which are exact in all of these */
        numbers[i] = samples[i] / 2147483648.0;
    }
    scratch_make();
    for (size_t k = 0; k < sizeof formats / sizeof *formats; k++) {
        SF_INFO info = {.samplerate = 8000, .channels = 1, .format = formats[k]};
        SNDFILE *file = sf_open(scratch_path("a.wav"), SFM_WRITE, &info);
        int type = formats[k] & SF_FORMAT_SUBMASK;
        bool real = type == SF_FORMAT_FLOAT || type == SF_FORMAT_DOUBLE;
        cr_assert(file && (real ? sf_writef_double(file, numbers, MANY) : sf_writef_int(file, samples, MANY)) == MANY);
        sf_close(file);
        cr_expect_eq(read_sound(false).status, WF_DATA);
        cr_expect(strstr(wf_error(), "--bits 16"), "%s", wf_error());
        result r = read_sound(true);
        cr_assert(!r.status && r.count == 1 && r.last.W == MANY && r.last.bits == 16, "%zu: %s", k, wf_error());
        for (int i = 0; i < MANY; i++)
            cr_assert_eq(r.last.pixels[i], 0x8000 + (samples[i] >> 16), "%zu: sample %d is %d", k, i, r.last.pixels[i]);
        wf_image_clear(&r.last);
    }
    /* The ends of the range, and numbers beyond it. */
    static const struct {
        double number;
        int sample;
    } ends[] = {{-1, 0}, {1, 65535}, {0, 0x8000}, {-1e-9, 0x7fff}, {1.0001, -1}, {-1.0001, -1}, {NAN, -1}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        SF_INFO info = {.samplerate = 8000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_DOUBLE};
        SNDFILE *file = sf_open(scratch_path("a.wav"), SFM_WRITE, &info);
        cr_assert(file && sf_writef_double(file, &ends[i].number, 1) == 1);
        sf_close(file);
        result r = read_sound(true);
        if (ends[i].sample < 0)
            cr_expect(r.status == WF_DATA && strstr(wf_error(), "want -1 to 1"), "%g: %s", ends[i].number, wf_error());
        else
            cr_expect(!r.status && r.last.pixels[0] == ends[i].sample, "%g is %d", ends[i].number, r.last.pixels[0]);
        wf_image_clear(&r.last);
    }
    scratch_remove();
}

/* Samples that are not read are named. */
Test(image_sound, other_samples)
{
    SF_INFO info = {.samplerate = 8000, .channels = 1, .format = SF_FORMAT_WAV | SF_FORMAT_ULAW};
    scratch_make();
    SNDFILE *file = sf_open(scratch_path("a.wav"), SFM_WRITE, &info);
    short samples[100] = {0};
    cr_assert(file && sf_writef_short(file, samples, 100) == 100);
    sf_close(file);
    for (int deeper = 0; deeper < 2; deeper++) {
        cr_expect_eq(read_sound(deeper).status, WF_DATA);
        cr_expect(strstr(wf_error(), "U-Law") && strstr(wf_error(), "sox"), "%s", wf_error());
    }
    scratch_remove();
}
