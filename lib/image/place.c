/* place.c - fractions of an input: all operands count alike, and all entries of a folder; within a file, bytes */
#include "place.h"

#include <errno.h>
#include <sys/stat.h>

/* fts(3) leaves fts_number and fts_pointer to its callers: the number of an entry, and how many there are. */
int wf_place_folder(FTS *walk, const char *path)
{
    errno = 0;
    FTSENT *first = fts_children(walk, 0);
    if (errno == ENOMEM) /* the list is not complete, or not sorted */
        return wf_fail_errno("%s", path);
    long count = 0;
    for (FTSENT *e = first; e; e = e->fts_link)
        e->fts_number = count++;
    for (FTSENT *e = first; e; e = e->fts_link)
        e->fts_pointer = (void *)(uintptr_t)count; /* NOLINT(performance-no-int-to-ptr): a number */
    return WF_OK;
}

void wf_place_entry(wf_place *place, const FTSENT *entry)
{
    place->begin = 0;
    place->width = 1;
    place->size = entry->fts_info == FTS_F ? (double)entry->fts_statp->st_size : 0;
    for (; entry->fts_level > FTS_ROOTLEVEL; entry = entry->fts_parent) {
        double count = (double)(uintptr_t)entry->fts_pointer;
        if (count < 1)
            continue;
        place->begin = ((double)entry->fts_number + place->begin) / count;
        place->width /= count;
    }
}

void wf_place_stream(wf_place *place, FILE *stream)
{
    struct stat info;
    bool known = !fstat(fileno(stream), &info) && S_ISREG(info.st_mode);
    place->begin = 0;
    place->width = 1;
    place->size = known ? (double)info.st_size : 0;
}

void wf_place_note(wf_place *place, const wf_source *file, int left, bool list)
{
    double inside = file && place->size > 0 ? (double)file->offset / place->size : 0;
    if (list || (file && file->origin == WF_FROM_STREAM && place->size <= 0))
        place->fraction = -1; /* from now on */
    place->pictures++;
    double of_operand = place->begin + place->width * (inside < 1 ? inside : 1);
    if (file && place->fraction >= 0)
        place->fraction = (place->operands - left - 1 + of_operand) / place->operands;
    place->expected = place->fraction > 0 ? (double)place->pictures / place->fraction : -1;
}
