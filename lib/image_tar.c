/* image_tar.c - tar archives by libarchive, entry after entry, in their order */
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "image_format.h"

/* Every kind of tar has the sum of the header's bytes in it, the sum's own field counted as blanks. */
bool wf_image_is_tar(const uint8_t *head, size_t n)
{
    if (n < 512)
        return false;
    unsigned long sum = 0, said = 0;
    for (int i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : head[i];
    int at = 148;
    while (at < 156 && head[at] == ' ')
        at++;
    for (; at < 156 && head[at] >= '0' && head[at] <= '7'; at++)
        said = said * 8 + (unsigned long)(head[at] - '0');
    return sum == said;
}

typedef struct tar {
    struct archive *archive;
    wf_source *parent;
    char *name;
    size_t lent;  /* bytes of the parent's buffer that libarchive looks at */
    size_t zeros; /* length of the run of zero bytes so far: an archive ends with 1024 of them */
    int status;   /* failure of the parent */
} tar;

static void count_zeros(tar *t, const uint8_t *bytes, size_t n)
{
    size_t i = n;
    while (i && !bytes[i - 1])
        i--;
    t->zeros = i ? n - i : t->zeros + n;
}

static la_ssize_t give_bytes(struct archive *archive, void *context, const void **buffer)
{
    (void)archive;
    tar *t = context;
    const uint8_t *bytes;
    wf_source_skip(t->parent, t->lent);
    t->lent = 0;
    t->status = wf_source_peek(t->parent, 1, &bytes, &t->lent);
    if (t->status)
        return ARCHIVE_FATAL;
    count_zeros(t, bytes, t->lent);
    *buffer = bytes;
    return (la_ssize_t)t->lent;
}

static int tar_failed(const tar *t)
{
    if (t->status)
        return t->status;
    const char *why = archive_error_string(t->archive);
    return wf_fail(WF_DATA, "%s: damaged or cut off tar: %s", t->name, why ? why : "cannot be read");
}

static int fill_from_tar(wf_source *source, uint8_t *to, size_t n, size_t *got)
{
    tar *t = source->state;
    la_ssize_t count = archive_read_data(t->archive, to, n);
    if (count < 0)
        return tar_failed(t);
    *got = (size_t)count;
    return WF_OK;
}

static int advance_tar(wf_source *source, bool *more)
{
    tar *t = source->state;
    struct archive_entry *entry;
    int code;
    do {
        code = archive_read_next_header(t->archive, &entry);
        if (code == ARCHIVE_EOF) {
            /* libarchive takes the end of the file for the end of the archive: a cut between two entries. */
            WF_CHECK(t->zeros >= 512, WF_DATA, "%s: tar is cut off: it has no end mark", t->name);
            *more = false;
            return WF_OK;
        }
        if (code < ARCHIVE_WARN)
            return tar_failed(t);
    } while (archive_entry_filetype(entry) == AE_IFDIR);
    const char *path = archive_entry_pathname(entry);
    if (!path)
        path = archive_entry_pathname_utf8(entry);
    *more = true;
    WF_TRY(wf_source_begin(source, t->name, path ? path : "(name that cannot be shown)"));
    source->link = archive_entry_filetype(entry) == AE_IFLNK || archive_entry_hardlink(entry);
    return WF_OK;
}

static void close_tar(void *state)
{
    tar *t = state;
    archive_read_free(t->archive);
    free(t->name);
    free(t);
}

int wf_image_open_tar(wf_source *parent, wf_source **out)
{
    tar *t = calloc(1, sizeof *t);
    WF_CHECK(t, WF_AGAIN, "%s: out of memory", parent->name);
    t->parent = parent;
    t->name = strdup(parent->name);
    t->archive = archive_read_new();
    int status = WF_OK;
    if (!t->name || !t->archive)
        status = wf_fail(WF_AGAIN, "%s: out of memory", parent->name);
    /* Archives put together with cat count in full. */
    else if (archive_read_support_format_tar(t->archive) != ARCHIVE_OK ||
             archive_read_set_option(t->archive, "tar", "read_concatenated_archives", "1") != ARCHIVE_OK ||
             archive_read_open(t->archive, t, NULL, give_bytes, NULL) != ARCHIVE_OK)
        status = tar_failed(t);
    if (!status)
        status = wf_source_create(parent, parent->name, WF_FROM_LIST, out);
    if (status) {
        close_tar(t);
        return status;
    }
    (*out)->state = t;
    (*out)->fill = fill_from_tar;
    (*out)->advance = advance_tar;
    (*out)->close = close_tar;
    return WF_OK;
}
