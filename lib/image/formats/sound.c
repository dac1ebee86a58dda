/* sound.c - sounds by libsndfile: reads WAV (also RF64, BW64), FLAC and AIFF, writes WAV
 *
 * A sound becomes a picture of one row, its channels the colours. Sample 0 is the lowest value, not silence. */
#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../base/file.h"
#include "../format.h"

/* A writer that cannot complete its header puts 0 into it or a size of STREAMED or more: sox, ffmpeg, arecord. */
enum { HEAD = 12, STREAMED = 0x7f000000 };

/* One sound, all bytes of its file in memory, and how far it has been read. */
typedef struct sound {
    wf_series series; /* first, so that a pointer to either is a pointer to both */
    SNDFILE *file;
    SF_INFO info;
    wf_code code;
    sf_count_t at; /* byte */
    int bits;
    bool real;      /* samples are floating-point numbers */
    int64_t length; /* samples of a piece */
} sound;

/* RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088) are RIFF with sizes of 64 bits. */
static bool is_long(const uint8_t *head)
{
    return !memcmp(head, "RF64", 4) || !memcmp(head, "BW64", 4);
}

static bool is_riff(const uint8_t *head)
{
    return (!memcmp(head, "RIFF", 4) || is_long(head)) && !memcmp(head + 8, "WAVE", 4);
}

static bool is_aiff(const uint8_t *head)
{
    return !memcmp(head, "FORM", 4) && (!memcmp(head + 8, "AIFF", 4) || !memcmp(head + 8, "AIFC", 4));
}

static bool is_known(const uint8_t *head, size_t n)
{
    return n >= HEAD && (is_riff(head) || is_aiff(head) || !memcmp(head, "fLaC", 4));
}

/* An ID3v2 tag, which some programs put before any kind of sound: "ID3" | u16 version | flags | its size without these
 * 10 bytes, in four times 7 bits. */
static bool is_tag(const uint8_t *head, size_t n)
{
    return n >= HEAD && !memcmp(head, "ID3", 3) && head[3] < 0xff && !((head[6] | head[7] | head[8] | head[9]) & 0x80);
}

bool wf_image_is_sound(const uint8_t *head, size_t n)
{
    return is_known(head, n) || is_tag(head, n);
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

static uint64_t number(const uint8_t *bytes, int n, bool big)
{
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value = value << 8 | bytes[big ? i : n - 1 - i];
    return value;
}

static void put_number(uint8_t *bytes, size_t value, bool big)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> 8 * (big ? 3 - i : i));
}

/* True if eight bytes of a sound's beginning are there; FLAC begins with the block STREAMINFO of 34 bytes. */
static bool is_next(const uint8_t *head)
{
    return is_riff(head) || is_aiff(head) ||
           (!memcmp(head, "fLaC", 4) && !(head[4] & 0x7f) && !memcmp(head + 5, "\0\0\x22", 3));
}

/* Takes samples of an unknown size: up to the beginning of another sound, or to the end. */
static int take_to_next(wf_source *source, wf_code *code)
{
    const uint8_t *bytes;
    size_t have;
    for (bool whole = true, found = false; !found;) {
        size_t n = 0;
        WF_TRY(wf_source_peek(source, HEAD, &bytes, &have));
        while (n + HEAD <= have && !is_next(bytes + n))
            n++;
        found = n + HEAD <= have || have < HEAD;
        WF_TRY(wf_code_take(code, source, have < HEAD ? have : n, &whole));
        if (!whole)
            break;
    }
    return WF_OK;
}

/* Progress through the chunks of a WAV or AIFF: four letters | u32 size | contents, and a byte if the size is odd. */
typedef struct chunks {
    wf_source *source;
    wf_code *code;
    bool aiff;        /* sizes have the most significant byte first */
    uint64_t end;     /* of the sound, as the header says */
    uint64_t at;      /* bytes read */
    uint64_t longer;  /* size of the samples in a ds64 chunk */
    size_t samples;   /* offset in `code` of the chunk of samples; 0: not yet read */
    bool header_read; /* the chunk that describes them */
} chunks;

static int take_bytes(chunks *c, uint64_t n, bool *whole)
{
    size_t before = c->code->size;
    WF_TRY(wf_code_take(c->code, c->source, n < WF_MAX_CODE ? (size_t)n : WF_MAX_CODE, whole));
    c->at += c->code->size - before;
    WF_CHECK(c->code->size < WF_MAX_CODE, WF_DATA, "%s: a sound of %d bytes or more, want fewer", c->source->name,
             WF_MAX_CODE);
    return WF_OK;
}

/* Takes the samples. Their own size counts, and the size in the file's header does not: recorders leave it wrong. */
static int take_samples(chunks *c, uint64_t size)
{
    size_t before = c->code->size;
    bool whole = true, unknown = size >= STREAMED || (!size && c->end <= c->at);
    WF_TRY(unknown ? take_to_next(c->source, c->code) : take_bytes(c, size, &whole));
    c->at += unknown ? c->code->size - before : 0;
    WF_CHECK(c->code->size < WF_MAX_CODE, WF_DATA, "%s: a sound of %d bytes or more, want fewer", c->source->name,
             WF_MAX_CODE);
    WF_CHECK(whole, WF_DATA, "%s: cut off after %zu of %llu bytes of samples", c->source->name, c->code->size - before,
             (unsigned long long)size);
    c->samples = before - 8;
    put_number(c->code->bytes + before - 4, c->code->size - before, c->aiff);
    return WF_OK;
}

/* Takes the chunk whose first 8 bytes are taken. */
static int take_chunk(chunks *c)
{
    enum { DATA_SIZE = 8 };
    size_t before = c->code->size;
    uint8_t letters[4];
    bool whole;
    memcpy(letters, c->code->bytes + before - 8, 4);
    uint64_t size = number(c->code->bytes + before - 4, 4, c->aiff);
    if (!memcmp(letters, c->aiff ? "SSND" : "data", 4)) {
        WF_TRY(take_samples(c, c->longer && size == UINT32_MAX ? c->longer : size));
    } else {
        WF_TRY(take_bytes(c, size, &whole));
        WF_CHECK(whole, WF_DATA, "%s: cut off after %llu bytes, in its header", c->source->name,
                 (unsigned long long)c->at);
        c->header_read = c->header_read || !memcmp(letters, c->aiff ? "COMM" : "fmt ", 4);
        if (!memcmp(letters, "ds64", 4)) {
            c->longer = size >= 2 * DATA_SIZE ? number(c->code->bytes + before + DATA_SIZE, DATA_SIZE, false) : 0;
            memcpy(c->code->bytes + before - 8, "JUNK", 4);
        }
    }
    if ((c->code->size - before) % 2) { /* the byte after an odd size, which some writers leave out */
        const uint8_t *byte;
        size_t have;
        WF_TRY(wf_source_peek(c->source, 1, &byte, &have));
        WF_TRY(have && !*byte ? take_bytes(c, 1, &whole) : WF_OK);
    }
    return WF_OK;
}

/* True if a chunk follows the samples: notes of the recorder. Tags of other formats and further sounds are not. */
static int find_chunk(chunks *c, bool *found)
{
    static const char *const others[] = {"TAG", "ID3", "RIFF", "RF64", "BW64", "FORM", "fLaC"};
    const uint8_t *head;
    size_t have;
    *found = false;
    if (c->samples && c->header_read && c->at >= c->end && c->end)
        return WF_OK;
    WF_TRY(wf_source_peek(c->source, 8, &head, &have));
    *found = have >= 8;
    for (int i = 0; i < 4 && *found; i++)
        *found = head[i] >= ' ' && head[i] < 0x7f;
    for (size_t i = 0; i < sizeof others / sizeof *others && *found; i++)
        *found = memcmp(head, others[i], strlen(others[i])) != 0;
    return WF_OK;
}

/* Passes over a chunk behind the samples, which may be cut off. */
static int pass_chunk(chunks *c)
{
    const uint8_t *bytes;
    size_t have;
    WF_TRY(wf_source_peek(c->source, 8, &bytes, &have));
    uint64_t size = number(bytes + 4, 4, c->aiff);
    for (uint64_t n = 8 + size + size % 2; n && have; n -= have) {
        WF_TRY(wf_source_peek(c->source, 1, &bytes, &have));
        have = have < n ? have : (size_t)n;
        wf_source_skip(c->source, have);
        c->at += have;
    }
    return WF_OK;
}

/* Takes the chunks up to the samples and their description, and passes over those behind. The copy is a RIFF or FORM of
 * right sizes. */
static int take_chunks(chunks *c)
{
    bool whole, more = true;
    WF_TRY(take_bytes(c, HEAD, &whole));
    uint64_t size = number(c->code->bytes + 4, 4, c->aiff);
    c->end = size && size < STREAMED ? 8 + size : 0;
    while (!c->samples || !c->header_read) {
        WF_TRY(find_chunk(c, &more));
        if (!more)
            break;
        WF_TRY(take_bytes(c, 8, &whole));
        WF_TRY(take_chunk(c));
    }
    WF_CHECK(c->samples, WF_DATA, "%s: cut off or damaged at byte %llu: a sound without samples", c->source->name,
             (unsigned long long)c->at);
    for (more = c->header_read; more;) {
        WF_TRY(find_chunk(c, &more));
        WF_TRY(more ? pass_chunk(c) : WF_OK);
    }
    memcpy(c->code->bytes, c->aiff ? "FORM" : "RIFF", 4);
    put_number(c->code->bytes + 4, c->code->size - 8, c->aiff);
    return WF_OK;
}

/* Takes a FLAC: blocks of notes, each u8 kind, of which the highest bit marks the last | u24 size | contents, and then
 * frames of samples, whose sizes are known to a decoder only. */
static int take_flac(wf_source *source, wf_code *code)
{
    enum { MAGIC = 4, HEADER = 4 };
    bool whole, last = false;
    WF_TRY(wf_code_take(code, source, MAGIC, &whole));
    while (whole && !last) {
        WF_TRY(wf_code_take(code, source, HEADER, &whole));
        const uint8_t *header = code->bytes + code->size - HEADER;
        last = whole && *header & 0x80;
        WF_TRY(whole ? wf_code_take(code, source, (size_t)number(header + 1, 3, true), &whole) : WF_OK);
    }
    return take_to_next(source, code);
}

/* Reads the bytes of one sound. */
static int take_file(wf_source *source, wf_code *code)
{
    const uint8_t *head;
    size_t have;
    WF_TRY(wf_source_peek(source, HEAD, &head, &have));
    chunks c = {.source = source, .code = code, .aiff = is_aiff(head)};
    if (is_aiff(head) || is_riff(head))
        return take_chunks(&c);
    WF_TRY(take_flac(source, code));
    WF_CHECK(code->size < WF_MAX_CODE, WF_DATA, "%s: a sound of %d bytes or more, want fewer", source->name,
             WF_MAX_CODE);
    return WF_OK;
}

/* Bits that are read. Of samples of 24 or 32 bits, and of numbers of -1 to 1, these are the highest. */
typedef struct kind {
    int format, bits;
    bool deeper, real;
} kind;

static kind kind_of(int format)
{
    static const kind kinds[] = {{SF_FORMAT_PCM_16, 16, false, false}, {SF_FORMAT_PCM_S8, 8, false, false},
                                 {SF_FORMAT_PCM_U8, 8, false, false},  {SF_FORMAT_PCM_24, 16, true, false},
                                 {SF_FORMAT_PCM_32, 16, true, false},  {SF_FORMAT_FLOAT, 16, true, true},
                                 {SF_FORMAT_DOUBLE, 16, true, true}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].format == (format & SF_FORMAT_SUBMASK))
            return kinds[i];
    return (kind){0};
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

static int check_kind(const wf_source *source, bool deeper, const sound *s)
{
    SF_FORMAT_INFO format = {.format = s->info.format & SF_FORMAT_SUBMASK};
    kind k = kind_of(s->info.format);
    if (k.bits && (!k.deeper || deeper))
        return WF_OK;
    sf_command(NULL, SFC_GET_FORMAT_INFO, &format, sizeof format);
    return wf_fail(WF_DATA, "%s: samples of %s, want 8 or 16 bits: %s", source->name,
                   format.name ? format.name : "an unknown kind",
                   k.bits ? "wf-dwt --bits 16 takes the highest 16" : "convert them, as by sox FILE -b 16 file.wav");
}

static int open_sound(wf_source *source, bool deeper, sound *s)
{
    WF_TRY(take_file(source, &s->code));
    WF_TRY(open_bytes(source, s));
    if (s->info.frames == SF_COUNT_MAX)
        WF_TRY(count_frames(source, s));
    WF_TRY(check_kind(source, deeper, s));
    s->bits = kind_of(s->info.format).bits;
    s->real = kind_of(s->info.format).real;
    WF_CHECK(s->info.samplerate > 0 && s->info.samplerate <= WF_MAX_RATE, WF_DATA,
             "%s: %d samples a second, want 1 to %d", source->name, s->info.samplerate, WF_MAX_RATE);
    return WF_OK;
}

/* Reads numbers of -1 to 1 as samples of 16 bits, rounded down, as if their lower bits were dropped. *got: frames. */
static int read_reals(const sound *s, const wf_source *source, short *to, sf_count_t *got)
{
    double some[4096];
    sf_count_t C = s->info.channels, most = (sf_count_t)(sizeof some / sizeof *some) / C, part = 1;
    for (*got = 0; *got < s->length && part > 0; *got += part) {
        part = sf_readf_double(s->file, some, s->length - *got < most ? s->length - *got : most);
        for (sf_count_t i = 0; i < part * C; i++) {
            WF_CHECK(some[i] >= -1 && some[i] <= 1, WF_DATA,
                     "%s: a sample is %g, want -1 to 1: scale the sound, as by sox --norm FILE -b 16 file.wav",
                     source->name, some[i]);
            double scaled = floor(some[i] * 32768);
            to[*got * C + i] = (short)(scaled < 32767 ? scaled : 32767);
        }
    }
    return WF_OK;
}

/* libsndfile gives samples of 8 bits as the highest of 16, and of more than 16 the highest. */
static int read_piece(wf_series *series, wf_source *source, wf_image *image)
{
    const sound *s = (const sound *)series;
    WF_TRY(wf_image_reserve(image, source->name, 1, s->length, s->info.channels, s->bits));
    image->signal = WF_SOUND;
    image->rate = s->info.samplerate;
    sf_count_t got = s->real ? 0 : sf_readf_short(s->file, (short *)image->pixels, s->length);
    WF_TRY(s->real ? read_reals(s, source, (short *)image->pixels, &got) : WF_OK);
    WF_CHECK(got == s->length, WF_DATA, "%s: damaged sound: %lld of %lld samples can be read", source->name,
             (long long)got, (long long)s->length);
    for (size_t i = 0; i < (size_t)(s->length * s->info.channels); i++)
        image->pixels[i] = (uint16_t)(image->pixels[i] + 0x8000u) >> (16 - s->bits);
    return WF_OK;
}

static int begin_pieces(wf_source *source, const wf_images_options *options, sound *s)
{
    WF_TRY(open_sound(source, options->deeper, s));
    int64_t frames = s->info.frames, length = options->length ? options->length : frames;
    WF_CHECK(length >= 1, WF_DATA, "%s: a sound without samples, want 1 or more", source->name);
    WF_CHECK(length <= WF_MAX_SIDE, WF_DATA, "%s: a sound of %lld samples, want at most %d: cut it, by --length",
             source->name, (long long)length, WF_MAX_SIDE);
    s->length = length;
    s->series.left = frames / length;
    s->series.remainder = frames % length;
    return WF_OK;
}

/* Passes over a tag before the sound. *known: what follows is a sound that is read. */
static int pass_tag(wf_source *source, bool *known)
{
    enum { TAG_HEAD = 10 };
    const uint8_t *head;
    size_t have;
    WF_TRY(wf_source_peek(source, HEAD, &head, &have));
    size_t n = is_tag(head, have) ? TAG_HEAD : 0;
    for (int i = 6; n && i < TAG_HEAD; i++)
        n += (size_t)head[i] << 7 * (TAG_HEAD - 1 - i);
    while (n && have) {
        have = have < n ? have : n;
        wf_source_skip(source, have);
        n -= have;
        WF_TRY(wf_source_peek(source, 1, &head, &have));
    }
    WF_TRY(wf_source_peek(source, HEAD, &head, &have));
    *known = is_known(head, have);
    return WF_OK;
}

int wf_image_begin_sound(wf_source *source, const wf_images_options *options, wf_series **series)
{
    bool known;
    *series = NULL;
    if (options->pictures && source->origin == WF_FROM_LIST && !source->pictures)
        return WF_OK;
    WF_TRY(pass_tag(source, &known));
    if (!known)
        return wf_image_not_image(source,
                                  "a sound (MP3), which this version does not read: convert it, as by ffmpeg -i "
                                  "FILE -c:a pcm_s16le file.wav");
    sound *s = calloc(1, sizeof *s);
    WF_CHECK(s, WF_AGAIN, "%s: out of memory", source->name);
    s->series = (wf_series){.read = read_piece, .close = close_sound};
    int status = begin_pieces(source, options, s);
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
