/* archive.c - tar and zip archives, entry after entry in their order, and xz, Zstandard and bzip2, by libarchive */
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "../format.h"

/* A header of any kind of tar contains the sum of its bytes, in which the sum's own field counts as blanks. */
bool wf_image_is_tar(const uint8_t *head, size_t n)
{
    if (n < 512)
        return false;
    unsigned long sum = 0, stated = 0;
    for (int i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : head[i];
    int at = 148;
    while (at < 156 && head[at] == ' ')
        at++;
    for (; at < 156 && head[at] >= '0' && head[at] <= '7'; at++)
        stated = stated * 8 + (unsigned long)(head[at] - '0');
    return sum == stated;
}

bool wf_image_is_zip(const uint8_t *head, size_t n)
{
    /* the header of a file, or the end of an empty archive */
    return n >= 4 && (!memcmp(head, "PK\3\4", 4) || !memcmp(head, "PK\5\6", 4)) && !wf_is_torch(head, n);
}

bool wf_image_is_compressed(const uint8_t *head, size_t n)
{
    return (n >= 6 && !memcmp(head, "\xfd\x37zXZ\0", 6)) || (n >= 4 && !memcmp(head, "\x28\xb5\x2f\xfd", 4)) ||
           (n >= 4 && !memcmp(head, "BZh", 3) && head[3] >= '1' && head[3] <= '9');
}

typedef struct archive_walk {
    struct archive *archive;
    const char *kind; /* "tar" */
    wf_source *parent;
    char *name;
    size_t lent;  /* bytes of the parent's buffer lent to libarchive */
    size_t zeros; /* zero bytes at the end of what was read: a tar ends with 1024 */
    bool tar;
    int status;    /* failure of the parent */
    locale_t utf8; /* 0: there is none */
} archive_walk;

static void count_zeros(archive_walk *w, const uint8_t *bytes, size_t n)
{
    size_t i = n;
    while (i && !bytes[i - 1])
        i--;
    w->zeros = i ? n - i : w->zeros + n;
}

static la_ssize_t give_bytes(struct archive *archive, void *user, const void **buffer)
{
    (void)archive;
    archive_walk *w = user;
    const uint8_t *bytes;
    wf_source_skip(w->parent, w->lent);
    w->lent = 0;
    w->status = wf_source_peek(w->parent, 1, &bytes, &w->lent);
    if (w->status)
        return ARCHIVE_FATAL;
    count_zeros(w, bytes, w->lent);
    *buffer = bytes;
    return (la_ssize_t)w->lent;
}

static int fail_archive(const archive_walk *w)
{
    if (w->status)
        return w->status;
    const char *why = archive_error_string(w->archive);
    return wf_fail(WF_DATA, "%s: damaged or cut off %s: %s", w->name, w->kind, why ? why : "cannot be read");
}

static int fill_from_entry(wf_source *source, uint8_t *to, size_t n, size_t *got)
{
    archive_walk *w = source->state;
    la_ssize_t count = archive_read_data(w->archive, to, n);
    if (count < 0)
        return fail_archive(w);
    *got = (size_t)count;
    return WF_OK;
}

/* Reads the header of the next entry and its path. libarchive loses the names of a zip that says that they are UTF-8
 * where the locale cannot show them, and the programs run in the plain one: so names are read in another. */
static int next_entry(archive_walk *w, struct archive_entry **entry, const char **path)
{
    locale_t before = w->utf8 ? uselocale(w->utf8) : 0;
    int code = archive_read_next_header(w->archive, entry);
    *path = code == ARCHIVE_EOF || code < ARCHIVE_WARN ? NULL : archive_entry_pathname(*entry);
    if (before)
        uselocale(before);
    return code;
}

static int advance_archive(wf_source *source, bool *more)
{
    archive_walk *w = source->state;
    struct archive_entry *entry;
    const char *path;
    int code;
    do {
        code = next_entry(w, &entry, &path);
        if (code == ARCHIVE_EOF) {
            /* libarchive does not notice a tar that is cut off between two entries. */
            WF_CHECK(!w->tar || w->zeros >= 512, WF_DATA,
                     "%s: tar is cut off: %zu zero bytes at its end, want 512 or more", w->name, w->zeros);
            *more = false;
            return WF_OK;
        }
        if (code < ARCHIVE_WARN)
            return fail_archive(w);
    } while (archive_entry_filetype(entry) == AE_IFDIR);
    if (!path)
        path = archive_entry_pathname_utf8(entry);
    *more = true;
    WF_TRY(wf_source_begin(source, w->name, path ? path : "(name that cannot be shown)"));
    WF_CHECK(archive_entry_is_encrypted(entry) != 1, WF_DATA, "%s: encrypted", source->name);
    source->link = archive_entry_filetype(entry) == AE_IFLNK || archive_entry_hardlink(entry);
    return WF_OK;
}

static void close_archive(void *state)
{
    archive_walk *w = state;
    archive_read_free(w->archive);
    if (w->utf8)
        freelocale(w->utf8);
    free(w->name);
    free(w);
}

/* Enables formats and filters one by one, so that no other parser sees hostile bytes. */
static int support_tar(struct archive *a)
{
    int code = archive_read_support_format_tar(a);
    /* Reads all archives that were concatenated by cat. */
    return code == ARCHIVE_OK ? archive_read_set_option(a, "tar", "read_concatenated_archives", "1") : code;
}

/* Accepts filters only if they run in this process: without their library, libarchive would start a program. */
static int support_compressed(struct archive *a)
{
    if (archive_read_support_filter_xz(a) != ARCHIVE_OK || archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(a) != ARCHIVE_OK)
        return ARCHIVE_FATAL;
    return archive_read_support_format_raw(a);
}

static int open_walk(wf_source *parent, const char *kind, int (*support)(struct archive *), wf_source **out)
{
    archive_walk *w = calloc(1, sizeof *w);
    WF_CHECK(w, WF_AGAIN, "%s: out of memory", parent->name);
    w->parent = parent;
    w->kind = kind;
    w->tar = support == support_tar;
    w->name = strdup(parent->name);
    w->archive = archive_read_new();
    w->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    int status = WF_OK;
    if (!w->name || !w->archive)
        status = wf_fail(WF_AGAIN, "%s: out of memory", parent->name);
    else if (support(w->archive) != ARCHIVE_OK ||
             archive_read_open(w->archive, w, NULL, give_bytes, NULL) != ARCHIVE_OK)
        status = fail_archive(w);
    if (!status)
        status = wf_source_create(parent, parent->name, WF_FROM_LIST, out);
    if (status) {
        close_archive(w);
        return status;
    }
    (*out)->state = w;
    (*out)->fill = fill_from_entry;
    (*out)->advance = advance_archive;
    (*out)->close = close_archive;
    return WF_OK;
}

int wf_image_open_tar(wf_source *parent, wf_source **out)
{
    return open_walk(parent, "tar", support_tar, out);
}

int wf_image_open_zip(wf_source *parent, wf_source **out)
{
    parent->single = true; /* the directory at the end repeats the entries */
    return open_walk(parent, "zip", archive_read_support_format_zip_streamable, out);
}

/* The source has one item, the decompressed file, with the name and origin of the compressed one. */
int wf_image_open_compressed(wf_source *parent, wf_source **out)
{
    WF_TRY(open_walk(parent, "compressed file", support_compressed, out));
    struct archive_entry *entry;
    archive_walk *w = (*out)->state;
    if (archive_read_next_header(w->archive, &entry) != ARCHIVE_OK) {
        int status = fail_archive(w);
        wf_source_destroy(*out);
        return status;
    }
    (*out)->origin = parent->origin;
    (*out)->advance = NULL;
    return WF_OK;
}
