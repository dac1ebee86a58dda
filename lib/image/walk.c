/* walk.c - walking over files, folders, archives and streams */
#include "image.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "place.h"
#include "recognise.h"

/* ---- opening ----------------------------------------------------------------------------------------------------- */

struct wf_images {
    char *const *paths; /* [left], not yet opened */
    int left;
    FILE *standard_input;
    wf_source *list; /* file with more paths, each followed by `separator`; or NULL */
    int separator;
    FTS *walk;                             /* over the path being read, or NULL */
    wf_source *stack[WF_MAX_ARCHIVES + 1]; /* a file, archives in it; the top gives pictures */
    int depth;
    bool listed; /* the path being read comes from the list */
    enum {
        NONE,
        ITEM,
        ENTRY
    } bad; /* of a failure that can be passed over: the item at the top, or what comes before the
                                     * next step of the walk */
    wf_images_passed passed;
    _Atomic int64_t turned, animated; /* counted by the threads that decode */
    char first[1024];                 /* the first file passed over of those that are best known */
    int known;                        /* 0: none, 1: its name alone, 2: its kind, 3: it is of Wavelet Flow */
    char remark[256];
    char *array;     /* of the .npz being read, chosen by its path; or NULL */
    wf_image unread; /* returned by wf_images_unread; no pixels: none */
    char *unread_name;
    bool one; /* there is one operand, and no list */
    wf_place place;
    size_t folder; /* length of the operand being walked, if it is the only one */
    size_t skip;   /* bytes of a file's path before its given name */
    int64_t most;  /* pictures to give before the end; -1: no limit */
    wf_images_options options;
};

static char *const only_stdin[] = {"-"};

int wf_images_open(char *const *paths, int count, FILE *standard_input, wf_images **out)
{
    wf_images *images = calloc(1, sizeof *images);
    WF_CHECK(images, WF_AGAIN, "out of memory");
    images->paths = count ? paths : only_stdin;
    images->left = count ? count : 1;
    images->one = images->left == 1;
    images->place.operands = images->left;
    images->standard_input = standard_input;
    images->most = -1;
    images->place.expected = -1;
    *out = images;
    return WF_OK;
}

int wf_images_add_list(wf_images *images, const char *path, bool null)
{
    bool standard = !strcmp(path, "-");
    if (images->paths == only_stdin)
        images->left = 0;
    images->separator = null ? '\0' : '\n';
    images->one = false;
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
    free(images->array);
    free(images);
}

void wf_images_set_options(wf_images *images, wf_images_options options)
{
    images->options = options;
}

void wf_images_limit(wf_images *images, int64_t most)
{
    images->most = most;
}

int wf_images_unread(wf_images *images, wf_image *image, const char *name)
{
    WF_CHECK(!images->unread.pixels, WF_INTERNAL, "%s: a picture is unread already", name);
    char *copy = strdup(name);
    WF_CHECK(copy, WF_AGAIN, "%s: out of memory", name);
    free(images->unread_name);
    images->unread_name = copy;
    images->unread = *image;
    images->place.pictures--;
    images->most += images->most >= 0;
    *image = (wf_image){0};
    return WF_OK;
}

wf_images_passed wf_images_passed_over(const wf_images *images)
{
    wf_images_passed passed = images->passed;
    passed.first = images->first;
    passed.turned = atomic_load(&images->turned);
    passed.animated = atomic_load(&images->animated);
    return passed;
}

const char *wf_images_remark(const wf_images *images)
{
    return images->remark;
}

int wf_images_finish(wf_images *images, wf_image *image, const char *name)
{
    if (image->frames > 1)
        atomic_fetch_add(&images->animated, 1);
    if (images->options.stored || image->signal != WF_PICTURE || image->orientation < 2)
        return WF_OK;
    atomic_fetch_add(&images->turned, 1);
    return wf_image_orient(image, name);
}

/* Counts a file that is not a picture; `kind` NULL: unknown, or the format has said what it is. */
static void count_skipped(wf_images *images, const wf_source *source, const wf_foreign *kind)
{
    images->passed.skipped++;
    char text[WF_FOREIGN_TEXT];
    const char *what = kind ? wf_foreign_text(kind, false, text) : source->other;
    int known = !*what ? 1 : !kind || kind->of <= WF_KIND_PICTURE ? 2 : 3;
    if (known <= images->known)
        return;
    images->known = known;
    snprintf(images->first, sizeof images->first, "%s%s%s", source->name, *what ? ": " : "", what);
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

/* Leaves out a hidden entry of a folder, with all that is in it. */
static bool leave_out(wf_images *images, FTSENT *entry)
{
    if (entry->fts_level == FTS_ROOTLEVEL || !wf_path_is_clutter(entry->fts_name))
        return false;
    if (entry->fts_info == FTS_D)
        fts_set(images->walk, entry, FTS_SKIP); /* comes once more, as FTS_DP */
    images->passed.clutter += entry->fts_info != FTS_DP;
    return true;
}

/* Opens the next file of the walk. At its end the stack stays empty. */
static int open_next_in_walk(wf_images *images)
{
    FTSENT *entry;
    while (errno = 0, (entry = fts_read(images->walk))) {
        wf_origin origin = entry->fts_level > FTS_ROOTLEVEL ? WF_FROM_LIST : WF_FROM_PATH;
        if (leave_out(images, entry) || (origin == WF_FROM_LIST && !strcmp(entry->fts_name, "lock.mdb")))
            continue; /* lock.mdb belongs to the LMDB beside it */
        images->bad = origin == WF_FROM_LIST || images->listed ? ENTRY : NONE;
        switch (entry->fts_info) {
        case FTS_D:
            WF_TRY(wf_place_folder(images->walk, entry->fts_path));
            continue;
        case FTS_DP:
            continue;
        case FTS_DEFAULT: /* a device, pipe or socket: read only if the user named it */
            if (origin == WF_FROM_LIST) {
                images->passed.skipped++;
                continue;
            }
            /* fall through */
        case FTS_F:
            WF_TRY(wf_source_open_file(entry->fts_accpath, NULL, origin, &images->stack[0]));
            wf_place_entry(&images->place, entry);
            images->depth = 1;
            images->skip = origin == WF_FROM_LIST ? images->folder : 0;
            images->bad = NONE;
            return WF_OK;
        case FTS_DC: /* a link to a folder that holds it, whose files come anyway */
            images->passed.skipped++;
            continue;
        case FTS_SLNONE:
            entry->fts_errno = ENOENT;
            return fts_failed(entry);
        default:
            return fts_failed(entry);
        }
    }
    images->bad = NONE;
    if (errno)
        return wf_fail_errno("cannot list a folder");
    fts_close(images->walk);
    images->walk = NULL;
    return WF_OK;
}

/* Splits FILE.npz:NAME, a path that does not exist itself; `file` becomes FILE.npz. */
static int split_npz(wf_images *images, const char *path, char file[PATH_MAX])
{
    free(images->array);
    images->array = NULL;
    snprintf(file, PATH_MAX, "%s", path);
    char *colon = strrchr(file, ':');
    if (!colon || !colon[1] || !access(path, F_OK))
        return WF_OK;
    *colon = '\0';
    if (!wf_is_npz(file) || access(file, F_OK)) {
        *colon = ':';
        return WF_OK;
    }
    images->array = strdup(colon + 1);
    WF_CHECK(images->array, WF_AGAIN, "%s: out of memory", path);
    return WF_OK;
}

static int begin_walk(wf_images *images, char *path)
{
    char file[PATH_MAX], *roots[] = {file, NULL};
    images->folder = images->one ? strlen(path) : 0;
    WF_CHECK(strlen(path) < PATH_MAX, WF_NOINPUT, "%s: cannot open: a path of over %d bytes", path, PATH_MAX - 1);
    WF_TRY(split_npz(images, path, file));
    images->walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name); /* copies the path */
    if (!images->walk)
        return wf_fail_errno("%s: cannot open", path);
    return WF_OK;
}

/* Walks over the next path of the list. Empty lines are ignored. */
static int begin_listed(wf_images *images, bool *more)
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
            WF_CHECK(byte, WF_DATA, "%s: a zero byte in a path, want lines; see --null", images->list->name);
            WF_CHECK(n < sizeof path - 1, WF_DATA, "%s: a path of over %zu bytes, want fewer", images->list->name,
                     sizeof path - 1);
            path[n++] = (char)byte;
        } else if (n) {
            path[n] = '\0';
            images->listed = true;
            return begin_walk(images, path);
        }
    }
}

/* Opens the next file on the empty stack. The stack stays empty at the end of the input. */
static int open_next_file(wf_images *images)
{
    while (!images->depth) {
        if (images->walk) {
            WF_TRY(open_next_in_walk(images));
            continue;
        }
        if (!images->left) {
            bool more = false;
            if (images->list)
                WF_TRY(begin_listed(images, &more));
            if (!more)
                return WF_OK;
            continue;
        }
        char *path = *images->paths++;
        images->left--;
        if (!strcmp(path, "-")) {
            WF_TRY(wf_source_open_file(NULL, images->standard_input, WF_FROM_STREAM, &images->stack[0]));
            wf_place_stream(&images->place, images->standard_input);
            images->depth = 1;
            continue;
        }
        WF_TRY(begin_walk(images, path));
    }
    return WF_OK;
}

/* Ends the item at the top: goes to the next entry of its archive, or back to the source that the top decodes. */
static int end_item(wf_images *images)
{
    wf_source *top = images->stack[images->depth - 1];
    bool more = false;
    if (top->advance)
        WF_TRY(top->advance(top, &more));
    if (more)
        return WF_OK;
    wf_source_destroy(top);
    images->depth--;
    if (images->depth) /* counts the container: bytes after it are not the beginning of an item */
        images->stack[images->depth - 1]->pictures++;
    return WF_OK;
}

/* Passes over the rest of the file or entry at the top, through all its compressions. */
static int leave_item(wf_images *images)
{
    while (images->depth > 1 && !images->stack[images->depth - 1]->advance)
        wf_source_destroy(images->stack[--images->depth]);
    return end_item(images);
}

static bool ends_with(const char *name, const char *end)
{
    return strlen(name) >= strlen(end) && !strcmp(name + strlen(name) - strlen(end), end);
}

static int enter_container(wf_images *images, const wf_format *container)
{
    wf_source *top = images->stack[images->depth - 1];
    WF_CHECK(images->depth <= WF_MAX_ARCHIVES, WF_DATA, "%s: more than %d archives in one another, want at most %d",
             top->name, WF_MAX_ARCHIVES, WF_MAX_ARCHIVES);
    wf_source *child;
    wf_npz *npz = NULL;
    if (container->is == wf_image_is_zip && wf_is_npz(top->name))
        WF_TRY(wf_npz_create(top, images->array, &npz));
    images->bad = NONE; /* entries of a damaged archive cannot be found */
    int status = container->open(top, &child);
    if (!status && !child) {
        count_skipped(images, top, wf_foreign_store());
        return leave_item(images);
    }
    if (status) {
        wf_npz_destroy(npz);
        return status;
    }
    child->npz = npz;
    if (npz && images->array && !strpbrk(images->array, "*?["))
        child->origin = WF_FROM_PATH; /* an array that the user names must hold pictures */
    images->stack[images->depth++] = child;
    if (!child->advance)
        return WF_OK;
    WF_TRY(end_item(images)); /* goes to the first entry */
    bool nameless = container->is == wf_image_is_zip && top->origin == WF_FROM_STREAM && images->depth &&
                    images->stack[images->depth - 1] == child;
    if (nameless && ends_with(child->name, ".npy") && !strchr(child->name, '/'))
        return wf_npz_create(top, NULL, &child->npz);
    return WF_OK;
}

/* Counts bytes behind a picture once. */
static void count_trailing(wf_images *images, wf_source *source, bool any)
{
    images->passed.trailing += any && !source->trailing;
    source->trailing = source->trailing || any;
}

/* True for keys by which writers of LMDB keep lists of the others, in encodings of their own: __keys__, __len__. */
static bool is_reserved(const char *key)
{
    return strlen(key) >= 5 && !strncmp(key, "__", 2) && ends_with(key, "__");
}

/* Passes over an item that holds no picture at all, where that is expected; else it is an error. */
static int pass_over_item(wf_images *images, wf_source *source, const wf_foreign *kind)
{
    bool other = source->origin == WF_FROM_LIST && !wf_named_like_picture(source->name);
    if (source->origin == WF_FROM_VALUES && !kind)
        WF_TRY(wf_is_note(source, &other));
    if (source->origin == WF_FROM_VALUES)
        other = other || kind || is_reserved(source->name + source->entry);
    if (other && !(kind && kind->of == WF_KIND_PICTURE)) {
        count_skipped(images, source, kind);
        return leave_item(images);
    }
    char text[WF_FOREIGN_TEXT];
    WF_CHECK(!kind, WF_DATA, "%s: %s", source->name, wf_foreign_text(kind, true, text));
    WF_CHECK(source->begin < source->end || source->origin != WF_FROM_STREAM, WF_DATA,
             "%s: nothing came: the program before it may have failed", source->name);
    WF_CHECK(source->begin < source->end, WF_DATA, "%s: %s", source->name,
             source->link ? "a link, which is not followed inside an archive: store the files themselves (tar "
                            "--dereference --hard-dereference)"
                          : "empty");
    return wf_fail(WF_DATA, "%s: no picture of a known format at byte %llu", source->name,
                   (unsigned long long)source->offset);
}

/* Handles bytes that no format recognises. They are an error, except for files among pictures and for bytes that
 * programs append to a file's only picture. */
static int pass_over(wf_images *images, wf_source *source)
{
    const wf_foreign *kind;
    const wf_format *last = source->last;
    uint64_t offset = source->offset;
    WF_TRY(wf_foreign_find(source, &kind));
    if (!source->pictures)
        return pass_over_item(images, source, kind);
    char text[WF_FOREIGN_TEXT];
    WF_CHECK(!kind || kind->of != WF_KIND_PICTURE, WF_DATA, "%s: behind the picture, at byte %llu, %s", source->name,
             (unsigned long long)offset, wf_foreign_text(kind, true, text));
    if (source->begun == 1 && last && last->follow == WF_ANYTHING) {
        bool picture;
        WF_TRY(wf_tail_read(source, &picture));
        if (!picture) {
            count_trailing(images, source, true);
            return end_item(images);
        }
    }
    return wf_fail(WF_DATA, "%s: no picture of a known format at byte %llu, behind another%s", source->name,
                   (unsigned long long)offset,
                   source->origin == WF_FROM_STREAM ? ": give the files by name, or without what is behind them" : "");
}

/* Reads the next picture of a series, which begins at the source's position if none is being read. */
static int read_series(wf_images *images, wf_source *source, const wf_format *found, wf_image *image, bool *got)
{
    int64_t remainder = 0;
    if (!source->series) {
        WF_TRY(found->begin(source, &images->options, &source->series));
        if (!source->series && source->labels)
            images->passed.labels++;
        else if (!source->series)
            count_skipped(images, source, NULL);
        if (!source->series)
            return leave_item(images);
        source->begun++;
        remainder = source->series->remainder;
        if (!*images->remark)
            snprintf(images->remark, sizeof images->remark, "%s", source->series->remark);
    }
    if (!source->series->left) { /* a sound shorter than a piece */
        images->passed.partial++;
        images->passed.remainder += remainder;
        wf_source_end_series(source);
        source->pictures++;
        source->last = found;
        return WF_OK;
    }
    WF_TRY(source->series->read(source->series, source, image));
    images->passed.partial += remainder > 0;
    images->passed.remainder += remainder;
    if (!--source->series->left)
        wf_source_end_series(source);
    *got = true;
    return WF_OK;
}

/* Reads one picture, or cuts it out undecoded if there is `later` and the format can cut. */
static int read_single(wf_images *images, wf_source *source, const wf_format *found, wf_image *image, wf_later *later,
                       bool *got)
{
    if (later && found->cut) {
        later->offset = source->offset;
        WF_TRY(found->cut(source, &later->code));
        later->read = found->read;
    } else {
        WF_TRY(found->read(source, image));
        WF_TRY(wf_images_finish(images, image, source->name));
    }
    source->begun++;
    *got = true;
    return WF_OK;
}

/* Reads the picture at the top of the stack. *got = false: the item holds something else and was left. */
static int read_picture(wf_images *images, wf_source *source, const wf_format *found, wf_image *image, wf_later *later,
                        bool *got)
{
    wf_source_number(source);
    WF_TRY(found->begin ? read_series(images, source, found, image, got)
                        : read_single(images, source, found, image, later, got));
    if (*got) {
        source->trailing = false;
        source->pictures++;
        source->last = found;
    }
    return WF_OK;
}

/* Takes one step at the top of the stack: reads a picture, or gets closer to the next. */
static int take_step(wf_images *images, wf_image *image, wf_later *later, bool *got)
{
    wf_source *top = images->stack[images->depth - 1];
    const uint8_t *head;
    size_t have;
    images->bad = NONE;
    if (top->origin == WF_FROM_LIST && !top->pictures && wf_path_is_clutter(top->name + top->entry)) {
        images->passed.clutter++;
        return leave_item(images);
    }
    if (top->npz && !top->pictures && !wf_npz_chosen(top->npz, top->name))
        return leave_item(images);
    if (top->single && top->pictures) {
        WF_TRY(wf_source_peek(top, 1, &head, &have));
        count_trailing(images, top, top->last && have); /* the directory at the end of an archive does not count */
        return leave_item(images);
    }
    if (top->last && !top->series && ((const wf_format *)top->last)->follow != WF_SAME) {
        bool passed;
        WF_TRY(wf_tail_gap(top, &passed));
        count_trailing(images, top, passed);
    }
    /* Whatever is bad in a file or entry, reading can go on after that. */
    images->bad = top->origin != WF_FROM_STREAM ? ITEM : NONE;
    WF_TRY(wf_source_peek(top, 1, &head, &have));
    if (!have && top->pictures && !top->series)
        return end_item(images);
    const wf_format *found;
    WF_TRY(wf_format_find(top, &found));
    if (found && found->open && !top->pictures)
        return enter_container(images, found);
    if (!found || found->open)
        return pass_over(images, top);
    return read_picture(images, top, found, image, later, got);
}

static int take_picture(wf_images *images, wf_image *image, wf_later *later, const char **name, bool *more)
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
        int opened = open_next_file(images);
        images->bad = opened == WF_DATA || opened == WF_NOINPUT ? images->bad : NONE;
        WF_TRY(opened);
        if (!images->depth)
            return WF_OK;
        int status = take_step(images, image, later, more);
        images->bad = status == WF_DATA ? images->bad : NONE;
        WF_TRY(status);
        if (*more) {
            const wf_format *last = images->stack[images->depth - 1]->last;
            *name = images->stack[images->depth - 1]->name;
            free(image->name);
            return wf_source_given_name(images->stack, images->depth, images->skip, last->begin != NULL, &image->name);
        }
    }
}

double wf_images_expected(const wf_images *images)
{
    return images->place.expected;
}

int wf_images_take(wf_images *images, wf_image *image, wf_later *later, const char **name, bool *more)
{
    images->bad = NONE;
    *more = false;
    if (!images->most)
        return WF_OK;
    WF_TRY(take_picture(images, image, later, name, more));
    if (*more)
        wf_place_note(&images->place, images->depth ? images->stack[0] : NULL, images->left, images->list != NULL);
    images->most -= *more && images->most > 0;
    return WF_OK;
}

int wf_images_next(wf_images *images, wf_image *image, const char **name, bool *more)
{
    return wf_images_take(images, image, NULL, name, more);
}

int wf_images_skip(wf_images *images, bool *skipped)
{
    bool item = images->bad == ITEM;
    *skipped = images->bad != NONE;
    images->bad = NONE;
    return item ? leave_item(images) : WF_OK;
}

void wf_images_refuse(wf_images *images)
{
    images->bad = ENTRY;
    images->most += images->most >= 0; /* a refused picture is not one of those wanted */
}
