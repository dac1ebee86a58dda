/* recognise.c - formats that are read, by their first bytes, and names of files */
#include "recognise.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const wf_format formats[] = {
#define READ(id, name, head, follow) {name, head, follow, wf_image_is_##id, wf_image_read_##id, NULL, NULL, NULL},
#define CODE(id, name, head, follow) \
    {name, head, follow, wf_image_is_##id, wf_image_read_##id, wf_image_cut_##id, NULL, NULL},
#define SERIES(id, name, head, follow) {name, head, follow, wf_image_is_##id, NULL, NULL, wf_image_begin_##id, NULL},
#define OPEN(id, head) {#id, head, WF_PICTURES, wf_image_is_##id, NULL, NULL, NULL, wf_image_open_##id},
    WF_IMAGE_FORMATS(READ, CODE, SERIES, OPEN)
#undef READ
#undef CODE
#undef SERIES
#undef OPEN
};

int wf_format_row(const wf_format *format)
{
    return (int)(format - formats);
}

bool wf_format_compresses(const wf_format *format)
{
    return format->is == wf_image_is_gzip || format->is == wf_image_is_compressed;
}

int wf_format_find(wf_source *source, const wf_format **found)
{
    const wf_format *last = source->last;
    *found = source->series || (last && last->follow == WF_SAME) ? last : NULL;
    for (size_t i = 0; i < COUNT(formats) && !*found; i++) {
        const uint8_t *head;
        size_t have;
        WF_TRY(wf_source_peek(source, formats[i].head, &head, &have));
        if (formats[i].is(head, have))
            *found = &formats[i];
    }
    return WF_OK;
}

bool wf_named_like_picture(const char *name)
{
    static const char *const suffixes[] = {
        "png", "apng", "pnm", "pbm",        "pgm",  "ppm",  "pam",      "bin",      "gz",   "tgz", "tar",
        "jpg", "jpeg", "jpe", "jxl",        "webp", "gif",  "bmp",      "tif",      "tiff", "jp2", "avif",
        "npy", "npz",  "zip", "ff",         "pfm",  "heic", "ico",      "txz",      "xz",   "zst", "bz2",
        "wav", "flac", "aif", "idx3-ubyte", "jfif", "heif", "mpo",      "hif",      "rf64", "dng", "cr2",
        "cr3", "wave", "nef", "arw",        "aiff", "bw64", "tfrecord", "tfrecords"};
    const char *base = name + strlen(name);
    while (base > name && base[-1] != '/' && base[-1] != ':') /* "a.tar:b.png" */
        base--;
    const char *dot = strrchr(base, '.');
    if (!dot || !strncmp(base, "._", 2)) /* "._x.png": macOS keeps a file's attributes there */
        return false;
    for (size_t i = 0; i < COUNT(suffixes); i++)
        if (!strcasecmp(dot + 1, suffixes[i]))
            return true;
    return false;
}

/* Text has no control characters but white space. Only the first bytes of a long value are examined. */
int wf_is_note(wf_source *source, bool *note)
{
    enum { NUMBER = 16, LOOK = 4096 };
    const uint8_t *bytes;
    size_t have;
    WF_TRY(wf_source_peek(source, LOOK, &bytes, &have));
    bool text = true;
    for (size_t i = 0; i < have && i < LOOK; i++)
        text = text && bytes[i] != 0x7f && (bytes[i] >= ' ' || isspace(bytes[i]));
    *note = have <= NUMBER || text;
    return WF_OK;
}
