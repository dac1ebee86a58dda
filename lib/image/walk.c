/* walk.c - the formats, and the walk over files, folders, archives and streams */
#include "image.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "format.h"
#include "format_text.h"

/* ---- what bytes can be ---------------------------------------------------------------------------------------- */

typedef struct format {
    const char *name;
    size_t head; /* bytes needed to recognise it */
    wf_follow follow;
    wf_is *is;
    int (*read)(wf_source *source, wf_image *image); /* a picture format, */
    int (*cut)(wf_source *source, wf_code *code);    /* perhaps one that can be decoded later */
    int (*open)(wf_source *parent, wf_source **out); /* or one that holds files */
} format;

static const format formats[] = {
#define READ(id, name, head, follow) {name, head, follow, wf_image_is_##id, wf_image_read_##id, NULL, NULL},
#define CODE(id, name, head, follow) \
    {name, head, follow, wf_image_is_##id, wf_image_read_##id, wf_image_cut_##id, NULL},
#define OPEN(id, head) {#id, head, WF_PICTURES, wf_image_is_##id, NULL, NULL, wf_image_open_##id},
    WF_IMAGE_FORMATS(READ, CODE, OPEN)
#undef READ
#undef CODE
#undef OPEN
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Kinds that people have and that this build does not decode: told by name rather than called unknown. */
static const struct magic {
    const char *name;
    size_t at, length;
    const char *bytes;
} unsupported[] = {
    {"GIF", 0, 4, "GIF8"},
    {"TIFF", 0, 4, "II*\0"},
    {"TIFF", 0, 4, "MM\0*"},
    {"JPEG XL", 0, 2, "\xff\x0a"},
    {"JPEG XL", 4, 4, "JXL "},
    {"AVIF or HEIF", 4, 4, "ftyp"},
    {"JPEG 2000", 4, 4, "jP  "},
    {"IDX of other samples than bytes", 0, 3, "\0\0\x09"},
    {"IDX of other samples than bytes", 0, 3, "\0\0\x0b"},
    {"IDX of other samples than bytes", 0, 3, "\0\0\x0c"},
    {"IDX of other samples than bytes", 0, 3, "\0\0\x0d"},
    {"IDX of other samples than bytes", 0, 3, "\0\0\x0e"},
    {"7-Zip", 0, 6, "7z\xbc\xaf\x27\x1c"},
    {"RAR", 0, 4, "Rar!"},
    {"BMP", 0, 2, "BM"},
    {"farbfeld", 0, 8, "farbfeld"},
    {"PFM", 0, 3, "PF\n"},
    {"PFM", 0, 3, "Pf\n"},
};
enum { UNSUPPORTED_HEAD = 12 };

const char *wf_image_unsupported(int i)
{
    return i >= 0 && (size_t)i < COUNT(unsupported) ? unsupported[i].name : NULL;
}

static int find_format(wf_source *source, const format **found)
{
    const format *last = source->last;
    *found = source->array.left || (last && last->follow == WF_SAME) ? last : NULL;
    for (size_t i = 0; i < COUNT(formats) && !*found; i++) {
        const uint8_t *head;
        size_t have;
        WF_TRY(wf_source_peek(source, formats[i].head, &head, &have));
        if (formats[i].is(head, have))
            *found = &formats[i];
    }
    return WF_OK;
}

static int find_unsupported(wf_source *source, const char **name)
{
    const uint8_t *head;
    size_t have;
    *name = NULL;
    WF_TRY(wf_source_peek(source, UNSUPPORTED_HEAD, &head, &have));
    for (size_t i = 0; i < COUNT(unsupported) && !*name; i++) {
        const struct magic *m = &unsupported[i];
        if (have >= m->at + m->length && !memcmp(head + m->at, m->bytes, m->length))
            *name = m->name;
    }
    return WF_OK;
}

static bool named_like_picture(const char *name)
{
    static const char *const suffixes[] = {"png", "apng", "pnm",      "pbm",       "pgm",  "ppm",        "pam", "bin",
                                           "gz",  "tgz",  "tar",      "jpg",       "jpeg", "jpe",        "jxl", "webp",
                                           "gif", "bmp",  "tif",      "tiff",      "jp2",  "avif",       "npy", "npz",
                                           "zip", "ff",   "pfm",      "heic",      "ico",  "idx3-ubyte", "txz", "xz",
                                           "zst", "bz2",  "tfrecord", "tfrecords", "wav",  "flac",       "aif", "aiff"};
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

/* ---- the walk ------------------------------------------------------------------------------------------------- */

enum { MAX_DEPTH = 8 }; /* a tar in a gzip in a tar ...: deeper is an attack */

struct wf_images {
    char *const *paths; /* not yet begun: `left` of them */
    int left;
    FILE *standard_input;
    wf_source *list; /* of more paths, each with `separator` behind it, or NULL */
    int separator;
    FTS *walk; /* of the path being read, or NULL */
    wf_source *stack[MAX_DEPTH];
    int depth;
    bool bad; /* a picture could not be read, but what comes behind it can be found */
    wf_images_passed passed;
    wf_image unread; /* no pixels: none was given back */
    char *unread_name;
    int64_t most; /* pictures still to be given, -1: no limit */
    wf_images_options how;
};

static char *const only_stdin[] = {"-"};

int wf_images_open(char *const *paths, int count, FILE *standard_input, wf_images **out)
{
    wf_images *images = calloc(1, sizeof *images);
    WF_CHECK(images, WF_AGAIN, "out of memory");
    images->paths = count ? paths : only_stdin;
    images->left = count ? count : 1;
    images->standard_input = standard_input;
    images->most = -1;
    *out = images;
    return WF_OK;
}

int wf_images_add_list(wf_images *images, const char *path, bool null)
{
    bool standard = !strcmp(path, "-");
    if (images->paths == only_stdin)
        images->left = 0;
    images->separator = null ? '\0' : '\n';
    return wf_source_open_file(path, standard ? images->standard_input : NULL, WF_FROM_STREAM, &images->list);
}

void wf_images_close(wf_images *images)
{
    if (!images)
        return;
    wf_source_destroy(images->list);
    while (images->depth)
        wf_source_destroy(images->stack[--images->depth]);
    if (images->walk)
        fts_close(images->walk);
    wf_image_clear(&images->unread);
    free(images->unread_name);
    free(images);
}

void wf_images_set_options(wf_images *images, wf_images_options how)
{
    images->how = how;
}

void wf_images_limit(wf_images *images, int64_t most)
{
    images->most = most;
}

int wf_images_unread(wf_images *images, wf_image *image, const char *name)
{
    char *copy = strdup(name);
    WF_CHECK(copy && !images->unread.pixels, copy ? WF_INTERNAL : WF_AGAIN, "%s: cannot be given back", name);
    free(images->unread_name);
    images->unread_name = copy;
    images->unread = *image;
    images->most += images->most >= 0;
    *image = (wf_image){0};
    return WF_OK;
}

wf_images_passed wf_images_passed_over(const wf_images *images)
{
    return images->passed;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int fts_failed(const FTSENT *entry)
{
    errno = entry->fts_errno;
    return wf_fail_errno("%s: cannot open", entry->fts_path);
}

/* The next file of the folder or file that is being walked; leaves the stack empty at the end of the walk. */
static int next_in_walk(wf_images *images)
{
    FTSENT *entry;
    while (errno = 0, (entry = fts_read(images->walk))) {
        wf_origin origin = entry->fts_level > FTS_ROOTLEVEL ? WF_FROM_LIST : WF_FROM_PATH;
        switch (entry->fts_info) {
        case FTS_D:
        case FTS_DP:
            continue;
        case FTS_DEFAULT: /* a device, pipe or socket: read when asked for by name */
            if (origin == WF_FROM_LIST) {
                images->passed.skipped++;
                continue;
            }
            /* fall through */
        case FTS_F:
            WF_TRY(wf_source_open_file(entry->fts_accpath, NULL, origin, &images->stack[0]));
            images->depth = 1;
            return WF_OK;
        case FTS_DC:
            return wf_fail(WF_DATA, "%s: this folder contains itself", entry->fts_path);
        case FTS_SLNONE:
            entry->fts_errno = ENOENT;
            return fts_failed(entry);
        default:
            return fts_failed(entry);
        }
    }
    if (errno)
        return wf_fail_errno("cannot list a folder");
    fts_close(images->walk);
    images->walk = NULL;
    return WF_OK;
}

static int begin_walk(wf_images *images, char *path)
{
    char *roots[] = {path, NULL};
    images->walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name); /* copies the path */
    if (!images->walk)
        return wf_fail_errno("%s: cannot open", path);
    return WF_OK;
}

/* The next path of the list; an empty line is none. */
static int next_listed(wf_images *images, bool *more)
{
    char path[PATH_MAX];
    size_t n = 0;
    for (;;) {
        int byte;
        WF_TRY(wf_source_byte(images->list, &byte));
        *more = n;
        if (byte == -1 && !n)
            return WF_OK;
        if (byte != -1 && byte != images->separator) {
            WF_CHECK(byte, WF_DATA, "%s: a zero byte in a path, which is for lists separated by them",
                     images->list->name);
            WF_CHECK(n < sizeof path - 1, WF_DATA, "%s: a path of over %zu bytes", images->list->name, sizeof path - 1);
            path[n++] = (char)byte;
        } else if (n) {
            path[n] = '\0';
            return begin_walk(images, path);
        }
    }
}

/* Puts the next file on the empty stack, which stays empty when there is none. */
static int next_file(wf_images *images)
{
    while (!images->depth) {
        if (images->walk) {
            WF_TRY(next_in_walk(images));
            continue;
        }
        if (!images->left) {
            bool more = false;
            if (images->list)
                WF_TRY(next_listed(images, &more));
            if (!more)
                return WF_OK;
            continue;
        }
        char *path = *images->paths++;
        images->left--;
        if (!strcmp(path, "-")) {
            WF_TRY(wf_source_open_file(NULL, images->standard_input, WF_FROM_STREAM, &images->stack[0]));
            images->depth = 1;
            continue;
        }
        WF_TRY(begin_walk(images, path));
    }
    return WF_OK;
}

/* The top source has come to its end: its next entry, or back to what it was decoded from. */
static int leave(wf_images *images)
{
    wf_source *top = images->stack[images->depth - 1];
    bool more = false;
    if (top->advance)
        WF_TRY(top->advance(top, &more));
    if (more)
        return WF_OK;
    wf_source_destroy(top);
    images->depth--;
    if (images->depth) /* whatever else is in there is not the beginning of an item */
        images->stack[images->depth - 1]->pictures++;
    return WF_OK;
}

/* Past all that is left of the file or entry at the top, however it is compressed. */
static int leave_item(wf_images *images)
{
    while (images->depth > 1 && !images->stack[images->depth - 1]->advance)
        wf_source_destroy(images->stack[--images->depth]);
    return leave(images);
}

static int enter(wf_images *images, const format *container)
{
    wf_source *top = images->stack[images->depth - 1];
    WF_CHECK(images->depth < MAX_DEPTH, WF_DATA, "%s: more than %d archives in one another", top->name, MAX_DEPTH);
    wf_source *child;
    WF_TRY(container->open(top, &child));
    images->stack[images->depth++] = child;
    if (child->advance)
        return leave(images); /* to the first entry */
    return WF_OK;
}

/* Reads to the end of the item and tells whether another picture, its beginning damaged, may be in there. */
static int drain(wf_source *source, bool *picture)
{
    static const char *const marks[] = {"IEND", "\xff\xd8\xff", "WEBPVP8"};
    enum { LONGEST = 7 };
    const uint8_t *bytes;
    size_t have;
    *picture = false;
    for (;;) {
        WF_TRY(wf_source_peek(source, LONGEST, &bytes, &have));
        for (size_t i = 0; i < COUNT(marks); i++)
            if (memmem(bytes, have, marks[i], strlen(marks[i])))
                *picture = true;
        if (have < LONGEST)
            break;
        wf_source_skip(source, have - (LONGEST - 1));
    }
    wf_source_skip(source, have);
    return WF_OK;
}

/* What is there is no picture. That is an error but for files that lie beside pictures, and for whatever some programs
 * leave behind a file's only picture. */
static int pass_over(wf_images *images, wf_source *source)
{
    const char *kind;
    const format *last = source->last;
    uint64_t offset = source->offset;
    WF_TRY(find_unsupported(source, &kind));
    WF_CHECK(!kind, WF_DATA, "%s: %s, which this version does not read: convert it to PNG, PNM or PAM", source->name,
             kind);
    if (!source->pictures) {
        if (source->origin == WF_FROM_LIST && !named_like_picture(source->name)) {
            images->passed.skipped++;
            return leave_item(images);
        }
        WF_CHECK(source->begin < source->end, WF_DATA, "%s: %s", source->name,
                 source->link ? "a link, which is not followed inside an archive: make it of the files (tar "
                                "--dereference --hard-dereference)"
                              : "empty");
    } else if (source->pictures == 1 && source->origin != WF_FROM_STREAM && last && last->follow == WF_ANYTHING) {
        bool picture;
        WF_TRY(drain(source, &picture));
        if (!picture) {
            images->passed.trailing++;
            return leave(images);
        }
    }
    return wf_fail(WF_DATA, "%s: no picture of a known kind at byte %llu", source->name, (unsigned long long)offset);
}

/* Reads the picture at the top of the stack, or only cuts it out where `later` is there and the format allows. */
static int read_picture(wf_images *images, wf_source *source, const format *found, wf_image *image, wf_later *later,
                        bool *got)
{
    uint64_t offset = source->offset;
    wf_source_number(source);
    source->length = images->how.length;
    source->volumes = images->how.volumes;
    source->rest = 0;
    if (later && found->cut) {
        WF_TRY(found->cut(source, &later->code));
        later->read = found->read;
        later->offset = offset;
    } else {
        WF_TRY(found->read(source, image));
    }
    if (source->beside) {
        images->passed.skipped++;
        return leave_item(images);
    }
    source->pictures++;
    source->last = found;
    images->passed.rests += source->rest > 0;
    images->passed.rest += source->rest;
    *got = true;
    return WF_OK;
}

/* One step at the top of the stack: a picture, or progress towards the next. */
static int step(wf_images *images, wf_image *image, wf_later *later, bool *got)
{
    wf_source *top = images->stack[images->depth - 1];
    const uint8_t *head;
    size_t have;
    images->bad = false;
    if (top->lone && top->pictures) {
        images->passed.trailing += top->last != NULL; /* not for what an archive has behind its entries */
        return leave_item(images);
    }
    /* What comes behind a bad picture can be found where it is all that its file or entry has. */
    images->bad = top->origin != WF_FROM_STREAM && !top->pictures;
    WF_TRY(wf_source_peek(top, 1, &head, &have));
    if (!have && top->pictures && !top->array.left)
        return leave(images);
    const format *found;
    WF_TRY(find_format(top, &found));
    if (found && found->read == wf_image_read_sound && images->how.pictures && top->origin == WF_FROM_LIST &&
        !top->pictures) {
        images->passed.skipped++;
        return leave_item(images);
    }
    if (found && found->open && !top->pictures) {
        images->bad = false;
        return enter(images, found);
    }
    if (!found || found->open)
        return pass_over(images, top);
    return read_picture(images, top, found, image, later, got);
}

static int take(wf_images *images, wf_image *image, wf_later *later, const char **name, bool *more)
{
    *more = images->unread.pixels != NULL;
    if (*more) {
        wf_image_clear(image);
        *image = images->unread;
        *name = images->unread_name;
        images->unread = (wf_image){0};
        return WF_OK;
    }
    for (;;) {
        WF_TRY(next_file(images));
        if (!images->depth)
            return WF_OK;
        int status = step(images, image, later, more);
        images->bad = images->bad && status == WF_DATA;
        WF_TRY(status);
        if (*more) {
            *name = images->stack[images->depth - 1]->name;
            return WF_OK;
        }
    }
}

int wf_images_take(wf_images *images, wf_image *image, wf_later *later, const char **name, bool *more)
{
    images->bad = *more = false;
    if (!images->most)
        return WF_OK;
    WF_TRY(take(images, image, later, name, more));
    images->most -= *more && images->most > 0;
    return WF_OK;
}

int wf_images_next(wf_images *images, wf_image *image, const char **name, bool *more)
{
    return wf_images_take(images, image, NULL, name, more);
}

int wf_images_skip(wf_images *images, bool *skipped)
{
    *skipped = images->bad;
    images->bad = false;
    return *skipped ? leave_item(images) : WF_OK;
}
