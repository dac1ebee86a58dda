/* picture_files.c - names of files that can neither leave a folder nor replace one another */
#include "picture_files.h"

#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "cli.h"

enum { MOST_COMPONENT = 200 }; /* bytes of a part of a path; file systems have 255 */

bool picture_files_one(const char *path, const char *suffix)
{
    const char *dot = strrchr(path, '.');
    return dot && dot > path && dot[-1] != '/' && !strcasecmp(dot + 1, suffix) && !wf_is_folder(path);
}

bool picture_files_other(const char *path)
{
    static const char *const suffixes[] = {"png",  "jpg",  "jpeg", "webp", "gif", "bmp", "tif", "tiff", "jxl",
                                           "avif", "heic", "pnm",  "pgm",  "ppm", "pam", "wav", "flac", "npy"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (picture_files_one(path, suffixes[i]))
            return true;
    return false;
}

/* A path that was written: a picture's, or a folder's of pictures. */
typedef struct written {
    char *path;
    bool folder;
    int64_t next; /* number to try for the next picture of this name */
} written;

static void *tree; /* of written, by path */
static int64_t renamed;
static char first_renamed[256];

static int compare(const void *a, const void *b)
{
    return strcmp(((const written *)a)->path, ((const written *)b)->path);
}

static written *find(const char *path)
{
    written key = {.path = (char *)(uintptr_t)path};
    written **found = tfind(&key, &tree, compare);
    return found ? *found : NULL;
}

static void add(const char *path, bool folder)
{
    written *w = must_allocate(1, sizeof *w, "the names of files");
    w->path = strdup(path);
    w->folder = folder;
    w->next = 2;
    if (!w->path || !tsearch(w, &tree, compare))
        die(WF_AGAIN, "out of memory for the names of files");
}

/* Bytes of a component without its suffix: a dot and up to four letters or digits. */
static size_t stem(const char *component, size_t n)
{
    size_t suffix = 0;
    while (suffix < n && suffix < 5 &&
           strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", component[n - 1 - suffix]))
        suffix++;
    return suffix && suffix < 5 && suffix + 1 < n && component[n - 1 - suffix] == '.' ? n - 1 - suffix : n;
}

/* Appends a component at *n: ".." becomes "_", bytes below the blank too, and a long one keeps its end. */
static int append(char path[4096], size_t *n, const char *component, size_t length)
{
    if (length == 2 && !memcmp(component, "..", 2)) {
        component = "_";
        length = 1;
    }
    if (length > MOST_COMPONENT) {
        component += length - MOST_COMPONENT;
        length = MOST_COMPONENT;
    }
    WF_CHECK(*n + length + 64 <= 4096, WF_USAGE, "too long a path for a picture named ..%.*s", (int)length, component);
    path[(*n)++] = '/';
    for (size_t i = 0; i < length; i++)
        path[*n + i] = (unsigned char)component[i] < ' ' ? '_' : component[i];
    *n += length;
    path[*n] = '\0';
    return WF_OK;
}

/* Makes a folder for pictures; it gets a number if a picture has its name: *numbered. */
static int make_folder(char path[4096], size_t *n, bool *numbered)
{
    written *w;
    size_t own = *n;
    for (int i = 2; (w = find(path)) && !w->folder; *numbered = true, i++)
        *n = own + (size_t)snprintf(path + own, 4096 - own, "-%d", i);
    if (w)
        return WF_OK;
    WF_TRY(wf_mkdirs(path));
    add(path, true);
    return WF_OK;
}

/* Writes folder and name, without suffix, to `path`. *out: its length; that of the folder if nothing is left.
 * *numbered: a part of it got a number. */
static int name_path(char path[4096], const char *folder, const char *name, size_t *out, bool *numbered)
{
    size_t n = strlen(folder), base = n;
    WF_CHECK(n <= 3000, WF_USAGE, "%s: too long a path", folder);
    memcpy(path, folder, n + 1);
    for (const char *at = name; *at;) {
        size_t length = strcspn(at, "/");
        bool last = !at[length + strspn(at + length, "/")];
        size_t keep = last ? stem(at, length) : length;
        if (n > base && length)
            WF_TRY(make_folder(path, &n, numbered));
        if (keep && !(keep == 1 && *at == '.'))
            WF_TRY(append(path, &n, at, keep));
        at += length + strspn(at + length, "/");
    }
    *out = n;
    return WF_OK;
}

int picture_files_path(const char *folder, uint64_t index, const char *name, const char *suffix, bool replace,
                       const char **out)
{
    static char path[4096];
    size_t n = strlen(folder);
    bool numbered = false;
    *out = NULL;
    if (name)
        WF_TRY(name_path(path, folder, name, &n, &numbered));
    if (n == strlen(folder)) { /* no name, or none that is left */
        int m = snprintf(path, sizeof path, "%s/%08" PRIu64, folder, index);
        WF_CHECK(m >= 0 && (size_t)m + 64 <= sizeof path, WF_USAGE, "%s: too long a path", folder);
        n = (size_t)m;
    }
    snprintf(path + n, sizeof path - n, ".%s", suffix);
    written *w = find(path);
    if (w && !name)
        return WF_OK;
    if (w) {
        do
            snprintf(path + n, sizeof path - n, "-%" PRId64 ".%s", w->next++, suffix);
        while (find(path));
        numbered = true;
    }
    if (numbered && !renamed++)
        snprintf(first_renamed, sizeof first_renamed, "%.255s", path);
    add(path, false);
    WF_CHECK(replace || faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW), WF_USAGE,
             "%s: is there already, and may be a picture of yours: expected another -o DIR, or --force", path);
    *out = path;
    return WF_OK;
}

static bool is_number(const char *name)
{
    size_t n = strspn(name, "0123456789");
    return n >= 8 && name[n] == '.' && !strchr(name + n + 1, '.');
}

static bool ends_in(const char *name, const char *suffix)
{
    const char *dot = strrchr(name, '.');
    return dot && !strcmp(dot + 1, suffix);
}

static void note_older(const char *folder, const char *suffix, bool named)
{
    char *roots[] = {(char *)(uintptr_t)folder, NULL}, first[256] = "";
    int64_t older = 0;
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; walk && (entry = fts_read(walk));) {
        if (!named && entry->fts_info == FTS_D && entry->fts_level > FTS_ROOTLEVEL)
            fts_set(walk, entry, FTS_SKIP);
        if (entry->fts_info != FTS_F || !ends_in(entry->fts_name, suffix) || !(named || is_number(entry->fts_name)) ||
            find(entry->fts_path))
            continue;
        if (!older++ || strcmp(entry->fts_path, first) < 0)
            snprintf(first, sizeof first, "%s", entry->fts_path);
    }
    if (walk)
        fts_close(walk);
    if (older)
        note("%s: %lld older file%s stay%s, such as %s", folder, (long long)older, plural(older), older == 1 ? "s" : "",
             first);
}

void picture_files_note(const char *folder, const char *suffix, bool named)
{
    if (renamed)
        note("%lld picture%s had the name of another and got a number, such as %s", (long long)renamed, plural(renamed),
             first_renamed);
    if (suffix)
        note_older(folder, suffix, named);
}

static void free_written(void *w)
{
    free(((written *)w)->path);
    free(w);
}

void picture_files_clear(void)
{
    tdestroy(tree, free_written);
    tree = NULL;
}
