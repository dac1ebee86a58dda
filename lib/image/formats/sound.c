/* sound.c - sounds by libsndfile: reads WAV, FLAC and AIFF of 8 or 16 bits, writes WAV
 *
 * A sound becomes a picture of one row, its channels the colours. Sample 0 is the lowest value, not silence. */
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../base/file.h"
#include "../format.h"

/* Sizes that a writer puts into a header which it cannot complete later: ffmpeg into WAV; sox into AIFF, this or
 * more. */
enum { HEAD = 12, STREAMED_RIFF = 0xffffffff, STREAMED_AIFF = 0x7f000000 };

/* One sound, all bytes of its file in memory, and how far it has been read. */
typedef struct sound {
    wf_series series; /* first, so that a pointer to either is a pointer to both */
    SNDFILE *file;
    SF_INFO info;
    wf_code code;
    sf_count_t at; /* byte */
    int bits;
    int64_t length; /* samples of a piece */
} sound;

static bool is_riff(const uint8_t *head)
{
    return !memcmp(head, "RIFF", 4) && !memcmp(head + 8, "WAVE", 4);
}

static bool is_aiff(const uint8_t *head)
{
    return !memcmp(head, "FORM", 4) && (!memcmp(head + 8, "AIFF", 4) || !memcmp(head + 8, "AIFC", 4));
}

bool wf_image_is_sound(const uint8_t *head, size_t n)
{
    return n >= HEAD && (is_riff(head) || is_aiff(head) || !memcmp(head, "fLaC", 4));
}

/* -- a file in memory, for libsndfile ------------------------------------------------------------------------------ */

static sf_count_t length_of(void *user)
{
    return (sf_count_t)((sound *)user)->code.size;
}

static sf_count_t seek_byte(sf_count_t offset, int whence, void *user)
{
    sound *s = user;
    sf_count_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->at : length_of(s);
    if (from + offset < 0 || from + offset > length_of(s))
        return -1;
    return s->at = from + offset;
}

static sf_count_t read_bytes(void *to, sf_count_t n, void *user)
{
    sound *s = user;
    sf_count_t left = length_of(s) - s->at;
    n = n < left ? n : left;
    memcpy(to, s->code.bytes + s->at, (size_t)n);
    s->at += n;
    return n;
}

static sf_count_t position_of(void *user)
{
    return ((sound *)user)->at;
}

/* -- reading ------------------------------------------------------------------------------------------------------- */

static void close_sound(wf_series *series)
{
    sound *s = (sound *)series;
    if (s->file)
        sf_close(s->file);
    free(s->code.bytes);
    free(s);
}

/* Reads the bytes that the header announces, or all that exist if it announces none. */
static int take_file(wf_source *source, wf_code *code)
{
    const uint8_t *head;
    size_t have;
    bool whole;
    WF_TRY(wf_source_peek(source, HEAD, &head, &have));
    const uint8_t *n = head + 4;
    size_t little = n[0] | (size_t)n[1] << 8 | (size_t)n[2] << 16 | (size_t)n[3] << 24;
    size_t big = n[3] | (size_t)n[2] << 8 | (size_t)n[1] << 16 | (size_t)n[0] << 24;
    bool known = is_aiff(head) ? big < STREAMED_AIFF : is_riff(head) && little != STREAMED_RIFF;
    size_t want = !known ? WF_MAX_CODE : 8 + (is_aiff(head) ? big : little);
    WF_TRY(wf_code_take(code, source, want, &whole));
    WF_CHECK(code->size < WF_MAX_CODE, WF_DATA, "%s: a sound of %d bytes or more, want fewer", source->name,
             WF_MAX_CODE);
    WF_CHECK(whole || !known, WF_DATA, "%s: cut off after %zu of %zu bytes", source->name, code->size, want);
    return WF_OK;
}

static int bits_of(int format)
{
    switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_16:
        return 16;
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
        return 8;
    }
    return 0;
}

static int open_bytes(const wf_source *source, sound *s)
{
    SF_VIRTUAL_IO memory = {.get_filelen = length_of, .seek = seek_byte, .read = read_bytes, .tell = position_of};
    s->at = 0;
    s->file = sf_open_virtual(&memory, SFM_READ, &s->info, s);
    WF_CHECK(s->file, WF_DATA, "%s: damaged sound: %s", source->name, sf_strerror(NULL));
    return WF_OK;
}

/* Counts the samples by reading them once: a FLAC written to a pipe does not state their number. */
static int count_frames(const wf_source *source, sound *s)
{
    short some[4096];
    sf_count_t frames = 0, got;
    WF_CHECK(s->info.channels <= (int)(sizeof some / sizeof *some), WF_DATA, "%s: %d channels, want 1 to %d",
             source->name, s->info.channels, WF_MAX_CHANNELS);
    while ((got = sf_readf_short(s->file, some, (sf_count_t)(sizeof some / sizeof *some) / s->info.channels)) > 0)
        frames += got;
    WF_CHECK(!sf_error(s->file), WF_DATA, "%s: damaged sound: %s", source->name, sf_strerror(s->file));
    sf_close(s->file);
    WF_TRY(open_bytes(source, s));
    s->info.frames = frames;
    return WF_OK;
}

static int open_sound(wf_source *source, sound *s)
{
    WF_TRY(take_file(source, &s->code));
    WF_TRY(open_bytes(source, s));
    if (s->info.frames == SF_COUNT_MAX)
        WF_TRY(count_frames(source, s));
    s->bits = bits_of(s->info.format);
    WF_CHECK(s->bits, WF_DATA, "%s: samples that are not whole numbers of 8 or 16 bits: convert them, as by sox -b 16",
             source->name);
    WF_CHECK(s->info.samplerate > 0 && s->info.samplerate <= WF_MAX_RATE, WF_DATA,
             "%s: %d samples a second, want 1 to %d", source->name, s->info.samplerate, WF_MAX_RATE);
    return WF_OK;
}

/* libsndfile gives samples of 8 bits as the highest of 16. */
static int read_piece(wf_series *series, wf_source *source, wf_image *image)
{
    const sound *s = (const sound *)series;
    WF_TRY(wf_image_reserve(image, source->name, 1, s->length, s->info.channels, s->bits));
    image->signal = WF_SOUND;
    image->rate = s->info.samplerate;
    sf_count_t got = sf_readf_short(s->file, (short *)image->pixels, s->length);
    WF_CHECK(got == s->length, WF_DATA, "%s: damaged sound: %lld of %lld samples can be read", source->name,
             (long long)got, (long long)s->length);
    for (size_t i = 0; i < (size_t)(s->length * s->info.channels); i++)
        image->pixels[i] = (uint16_t)(image->pixels[i] + 0x8000u) >> (16 - s->bits);
    return WF_OK;
}

static int begin_pieces(wf_source *source, int64_t piece, sound *s)
{
    WF_TRY(open_sound(source, s));
    int64_t frames = s->info.frames, length = piece ? piece : frames;
    WF_CHECK(length >= 1, WF_DATA, "%s: a sound without samples, want 1 or more", source->name);
    WF_CHECK(length <= WF_MAX_SIDE, WF_DATA, "%s: a sound of %lld samples, want at most %d: cut it, by --length",
             source->name, (long long)length, WF_MAX_SIDE);
    s->length = length;
    s->series.left = frames / length;
    s->series.remainder = frames % length;
    return WF_OK;
}

int wf_image_begin_sound(wf_source *source, const wf_images_options *options, wf_series **series)
{
    *series = NULL;
    if (options->pictures && source->origin == WF_FROM_LIST && !source->pictures)
        return WF_OK;
    sound *s = calloc(1, sizeof *s);
    WF_CHECK(s, WF_AGAIN, "%s: out of memory", source->name);
    s->series = (wf_series){.read = read_piece, .close = close_sound};
    int status = begin_pieces(source, options->length, s);
    if (status)
        close_sound(&s->series);
    else
        *series = &s->series;
    return status;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

int wf_image_write_wav(FILE *file, const char *name, const wf_image *image)
{
    size_t n = (size_t)image->W * (size_t)image->C;
    bool bytes = image->bits <= 8;
    SF_INFO info = {.samplerate = image->rate ? image->rate : 44100, .channels = image->C};
    info.format = SF_FORMAT_WAV | (bytes ? SF_FORMAT_PCM_U8 : SF_FORMAT_PCM_16);
    uint16_t *samples = malloc(n * sizeof *samples);
    WF_CHECK(samples, WF_AGAIN, "%s: out of memory", name);
    uint32_t from = (1u << image->bits) - 1;
    for (size_t i = 0; i < n; i++)
        samples[i] = (uint16_t)((bytes ? (uint32_t)wf_image_rescale(image->pixels[i], from, 255) << 8
                                       : wf_image_rescale(image->pixels[i], from, 65535)) ^
                                0x8000u);
    SNDFILE *out = sf_open_fd(fileno(file), SFM_WRITE, &info, SF_FALSE);
    bool good = out && sf_writef_short(out, (const short *)samples, image->W) == image->W;
    good = (!out || !sf_close(out)) && good;
    free(samples);
    return good ? WF_OK : wf_fail_write(name);
}
