/* tail.c - bytes behind a picture that are not the next one
 *
 * Phones append films and further pictures to a JPEG, editors leave the end of a longer file behind a PNG, and
 * recorders append tags to sounds. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "recognise.h"

/* Passes over n bytes, or fewer at the end. */
static int pass_bytes(wf_source *source, uint64_t n)
{
    const uint8_t *bytes;
    size_t have = 1;
    for (; n && have; n -= have) {
        WF_TRY(wf_source_peek(source, 1, &bytes, &have));
        have = have < n ? have : (size_t)n;
        wf_source_skip(source, have);
    }
    return WF_OK;
}

/* Passes over IEND chunks after the first, which libpng does not read either. */
static int pass_ends(wf_source *source, bool *passed)
{
    static const uint8_t end[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    const uint8_t *bytes;
    size_t have;
    for (;;) {
        WF_TRY(wf_source_peek(source, sizeof end, &bytes, &have));
        if (have < sizeof end || memcmp(bytes, end, sizeof end) != 0)
            return WF_OK;
        wf_source_skip(source, sizeof end);
        *passed = true;
    }
}

static bool is_film(const wf_foreign *kind)
{
    return kind && kind->of == WF_KIND_OTHER && !strncmp(kind->kind, "a film", 6);
}

/* Size of the box of a film at `head` (ISO/IEC 14496-12, 4.2): u32 size | four letters, and if the size is 1 a u64. If
 * the size is 0, the box goes on to the end. 0: not a box. */
static uint64_t box_size(const uint8_t *head, size_t n)
{
    enum { HEAD = 8, LONG_HEAD = 16 };
    uint64_t size = 0;
    if (n < HEAD)
        return 0;
    for (int i = 4; i < HEAD; i++)
        if (!isalnum(head[i]) && head[i] != ' ')
            return 0;
    for (int i = 0; i < 4; i++)
        size = size << 8 | head[i];
    if (size != 1)
        return size >= HEAD ? size : size ? 0 : UINT64_MAX;
    size = 0;
    for (int i = HEAD; i < LONG_HEAD && n >= LONG_HEAD; i++)
        size = size << 8 | head[i];
    return size >= LONG_HEAD ? size : 0;
}

/* Passes over the boxes of a film. */
static int pass_boxes(wf_source *source, bool *passed)
{
    const uint8_t *head;
    size_t have;
    for (;;) {
        WF_TRY(wf_source_peek(source, 16, &head, &have));
        uint64_t size = box_size(head, have);
        if (!size)
            return WF_OK;
        WF_TRY(pass_bytes(source, size));
        *passed = true;
    }
}

/* Passes over a film, which another picture may follow. */
static int pass_film(wf_source *source, bool *passed)
{
    const wf_foreign *kind;
    WF_TRY(wf_foreign_find(source, &kind));
    return is_film(kind) ? pass_boxes(source, passed) : WF_OK;
}

/* Passes over the JPEG that is announced at byte `at`. */
static int pass_companion(wf_source *source, uint64_t at)
{
    const uint8_t *bytes;
    size_t have;
    wf_code code = {0};
    WF_TRY(pass_bytes(source, at > source->offset ? at - source->offset : 0));
    WF_TRY(wf_source_peek(source, 2, &bytes, &have));
    WF_CHECK(source->offset == at && have >= 2 && !memcmp(bytes, "\xff\xd8", 2), WF_DATA,
             "%s: a JPEG with companions (MPF), which are not at byte %llu as listed: name the file, or store it "
             "without them",
             source->name, (unsigned long long)at);
    int status = wf_image_cut_jpeg(source, &code);
    if (!status && (code.size < 2 || memcmp(code.bytes + code.size - 2, "\xff\xd9", 2) != 0))
        status = wf_fail(WF_DATA, "%s: cut off at byte %llu, in a JPEG's companion", source->name,
                         (unsigned long long)source->offset);
    free(code.bytes);
    return status;
}

/* Passes over the companions that a JPEG in a stream has announced (jpeg.c). */
static int pass_companions(wf_source *source, bool *passed)
{
    const uint8_t *bytes;
    size_t have = 0;
    uint64_t offsets[WF_MAX_COMPANIONS];
    int count = source->companions;
    memcpy(offsets, source->companion, sizeof offsets);
    WF_TRY(count ? wf_source_peek(source, 2, &bytes, &have) : WF_OK);
    WF_CHECK(count >= 0 || have < 2 || memcmp(bytes, "\xff\xd8", 2) != 0, WF_DATA,
             "%s: a JPEG with companions, which look like further pictures in a stream: name the file instead",
             source->name);
    /* An editor may have cut them off and left their list. */
    for (int i = 0; i < count && have && (i || offsets[0] >= source->offset); i++) {
        WF_TRY(pass_companion(source, offsets[i]));
        *passed = true;
    }
    source->companions = 0; /* companions have lists themselves */
    return WF_OK;
}

/* Passes over an ID3v1 tag behind a sound, which has 128 bytes. */
static int pass_tag(wf_source *source, bool *passed)
{
    enum { TAG = 128 };
    const uint8_t *bytes;
    size_t have;
    WF_TRY(wf_source_peek(source, 3, &bytes, &have));
    if (have < 3 || memcmp(bytes, "TAG", 3) != 0)
        return WF_OK;
    *passed = true;
    return pass_bytes(source, TAG);
}

int wf_tail_gap(wf_source *source, bool *passed)
{
    const uint8_t *bytes;
    size_t have;
    *passed = false;
    const wf_format *last = source->last;
    WF_TRY(pass_companions(source, passed));
    WF_TRY(wf_source_skip_space(source));
    if (last->is == wf_image_is_sound)
        WF_TRY(pass_tag(source, passed));
    /* Both begin with a size below 2^30. A small picture in a pipe is recognised without waiting for more. */
    WF_TRY(wf_source_peek(source, 1, &bytes, &have));
    if (!have || bytes[0] >= 0x40)
        return WF_OK;
    WF_TRY(pass_ends(source, passed));
    WF_TRY(pass_film(source, passed));
    return *passed ? wf_source_skip_space(source) : WF_OK;
}

/* Marks of pictures. A JPEG's companions are such pictures, and come at any place behind it in a file of its own: there
 * only a picture that begins at once counts, with a damaged signature. */
typedef struct mark {
    const char *bytes;
    size_t length, at; /* offset in a picture */
    bool jpeg;
} mark;

static const mark marks[] = {
    {"\0\0\0\rIHDR", 8, 8, false},    {"WEBPVP8", 7, 8, false},         {"JFIF\0", 5, 6, true},
    {"Exif\0\0", 6, 6, true},         {"\xff\xd8\xff\xe0", 4, 0, true}, {"\xff\xd8\xff\xe1", 4, 0, true},
    {"\xff\xd8\xff\xdb", 4, 0, true},
};
enum { LONGEST = 16 };

static const uint8_t *find(const uint8_t *bytes, size_t n, const char *what, size_t length)
{
    return memmem(bytes, n, what, length);
}

/* The first box of a film among the bytes, or NULL. */
static const uint8_t *find_film(const uint8_t *bytes, size_t n)
{
    const uint8_t *letters = find(bytes, n, "ftyp", 4);
    return letters && letters - bytes >= 4 && box_size(letters - 4, 8) ? letters - 4 : NULL;
}

/* own: they are in the file of one JPEG; first: they are those behind it. */
static bool holds_picture(const uint8_t *bytes, size_t n, bool own, bool first)
{
    bool found = false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const mark *m = &marks[i];
        if (!own || !m->jpeg)
            found = found || find(bytes, n, m->bytes, m->length);
        else if (first && n >= m->at + m->length)
            found = found || !memcmp(bytes + m->at, m->bytes, m->length);
    }
    return found;
}

/* Behind a JPEG in a file of its own, all from the beginning of a film on belongs to the film. */
int wf_tail_read(wf_source *source, bool *picture)
{
    const uint8_t *bytes;
    size_t have = LONGEST;
    const wf_format *last = source->last;
    bool own = source->origin != WF_FROM_STREAM && last && last->is == wf_image_is_jpeg;
    *picture = false;
    for (bool first = true; have >= LONGEST; first = false) {
        WF_TRY(wf_source_peek(source, LONGEST, &bytes, &have));
        const uint8_t *film = find_film(bytes, have);
        size_t n = film ? (size_t)(film - bytes) : have;
        *picture = *picture || holds_picture(bytes, n, own, first);
        wf_source_skip(source, film || have < LONGEST ? n : have - (LONGEST - 1));
        if (!film)
            continue;
        const wf_foreign *kind;
        bool passed;
        WF_TRY(wf_foreign_find(source, &kind));
        *picture = *picture || (kind && kind->of == WF_KIND_PICTURE && !own);
        WF_TRY(own ? pass_bytes(source, UINT64_MAX) : pass_boxes(source, &passed));
        have = LONGEST;
    }
    return WF_OK;
}
