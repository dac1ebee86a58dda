/* unpacking.h - pictures of an archive to files, several at a time */
#ifndef WF_UNPACKING_H
#define WF_UNPACKING_H

#include "../lib/codec/archive.h"
#include "cli.h"

/* All borrowed. */
typedef struct unpacking {
    const char *name; /* of the archive, in messages */
    wf_archive *archive;
    const wf_packer *packer;
    const char *folder;
    bool replace; /* files that are there */
} unpacking;

/* Writes the pictures that the archive gives, by common.threads threads, 0: one for each core. Returns their number.
 * Dies of the first that fails, after those before it were written. */
int64_t unpacking_run(const unpacking *from);

#endif
