/* npz.c - which arrays of a NumPy .npz are pictures to read
 *
 * Data sets keep pictures and labels, for training, validation and testing, in one file. Arrays of one file are not
 * merged: there must be one of pictures, or the user names those to read. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "format.h"

enum { MOST = 256, NAME_ROOM = 128 }; /* arrays that are looked at */

typedef struct array {
    char name[NAME_ROOM];
    wf_npy_look look;
} array;

struct wf_npz {
    char *pattern; /* NULL: none */
    bool looked;   /* at all arrays */
    array *arrays; /* [count], of those looked at */
    int count;
    char first[NAME_ROOM]; /* the array of pictures read; "": none yet */
};

bool wf_is_npz(const char *name)
{
    size_t n = strlen(name);
    return n >= 4 && !strcasecmp(name + n - 4, ".npz");
}

/* Copies "x" of the entry's name "a.npz:x.npy", or of "a.npz:x.npy#2". */
static void name_of(const char *entry, char to[NAME_ROOM])
{
    const char *colon = strrchr(entry, ':');
    snprintf(to, NAME_ROOM, "%s", colon ? colon + 1 : entry);
    char *end = strstr(to, ".npy");
    if (end)
        *end = '\0';
}

bool wf_npz_has_count(const wf_npz *npz, int64_t count)
{
    for (int i = 0; npz && i < npz->count; i++)
        if (npz->arrays[i].look.rank >= 3 && npz->arrays[i].look.pictures && npz->arrays[i].look.count == count)
            return true;
    return false;
}

static bool is_pictures(const wf_npz *npz, const array *a)
{
    return a->look.pictures && !(a->look.rank == 2 && wf_npz_has_count(npz, a->look.count));
}

bool wf_npz_chosen(const wf_npz *npz, const char *name)
{
    char plain[NAME_ROOM];
    name_of(name, plain);
    return !npz->pattern || !fnmatch(npz->pattern, plain, 0);
}

/* Looks at the arrays that follow. A failure ends it: it comes again, and is reported, when the array is read. */
static int look_at_arrays(wf_npz *npz, wf_source *zip)
{
    for (bool more = true;;) {
        const uint8_t *head;
        size_t have;
        WF_TRY(zip->advance(zip, &more));
        npz->looked = !more || npz->count == MOST;
        if (npz->looked)
            return WF_OK;
        array *a = &npz->arrays[npz->count];
        WF_TRY(wf_source_peek(zip, 6, &head, &have));
        *a = (array){{0}, {0}};
        name_of(zip->name, a->name);
        if (wf_image_is_npy(head, have))
            WF_TRY(wf_npy_look_at(zip, &a->look));
        npz->count++;
    }
}

static int look_into(wf_npz *npz, const char *path)
{
    wf_source *file = NULL, *zip = NULL;
    int status;
    WF_GO(wf_source_open_file(path, NULL, WF_FROM_LIST, &file));
    WF_GO(wf_image_open_zip(file, &zip));
    WF_GO(look_at_arrays(npz, zip));
out:
    wf_source_destroy(zip);
    wf_source_destroy(file);
    return status;
}

/* Lists the arrays of pictures, or all, with their shapes; the last ones are left out where the room ends. */
static const char *list(const wf_npz *npz, bool all, char to[512])
{
    size_t at = 0;
    *to = '\0';
    for (int i = 0; i < npz->count && at < 512 - NAME_ROOM - 150; i++)
        if (all || is_pictures(npz, &npz->arrays[i]))
            at += (size_t)snprintf(to + at, 512 - at, "%s%s %s", at ? ", " : "", npz->arrays[i].name,
                                   npz->arrays[i].look.shape);
    return to;
}

/* Judges what was seen: one array of pictures, or a pattern that fits. */
static int check_choice(const wf_npz *npz, const char *path)
{
    char names[512];
    const char *first = NULL;
    int pictures = 0, fitting = 0;
    for (int i = 0; i < npz->count; i++) {
        pictures += is_pictures(npz, &npz->arrays[i]);
        fitting += wf_npz_chosen(npz, npz->arrays[i].name);
        if (!first && pictures)
            first = npz->arrays[i].name;
    }
    WF_CHECK(npz->pattern || pictures <= 1, WF_DATA,
             "%s: %d arrays of pictures: %s: name one, as %s:%s, or several by a pattern, as '%s:*'", path, pictures,
             list(npz, false, names), path, first, path);
    WF_CHECK(!npz->pattern || fitting || !npz->looked, WF_DATA, "%s: there is no array %s, but %s", path, npz->pattern,
             list(npz, true, names));
    return WF_OK;
}

int wf_npz_create(wf_source *parent, const char *pattern, wf_npz **out)
{
    wf_npz *npz = calloc(1, sizeof *npz);
    if (npz) {
        npz->arrays = calloc(MOST, sizeof *npz->arrays);
        npz->pattern = pattern ? strdup(pattern) : NULL;
    }
    int status = WF_OK;
    if (!npz || !npz->arrays || (pattern && !npz->pattern))
        status = wf_fail(WF_AGAIN, "%s: out of memory", parent->name);
    if (!status && parent->file && parent->origin != WF_FROM_STREAM && !look_into(npz, parent->name))
        status = check_choice(npz, parent->name);
    if (status)
        wf_npz_destroy(npz);
    else
        *out = npz;
    return status;
}

void wf_npz_destroy(wf_npz *npz)
{
    if (!npz)
        return;
    free(npz->arrays);
    free(npz->pattern);
    free(npz);
}

int wf_npz_begin(wf_npz *npz, const wf_source *source, const wf_npy_look *look)
{
    char name[NAME_ROOM];
    name_of(source->name, name);
    WF_CHECK(npz->pattern || !*npz->first || !strcmp(npz->first, name), WF_DATA,
             "%s: a second array of pictures in a .npz, after %s: give the .npz itself, and one array, as FILE.npz:%s",
             source->name, npz->first, npz->first);
    snprintf(npz->first, sizeof npz->first, "%s", name);
    if (!npz->count) /* not looked at before: arrays of labels that follow have its number of rows */
        npz->arrays[npz->count++].look = *look;
    return WF_OK;
}
