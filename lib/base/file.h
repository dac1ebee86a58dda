/* file.h - files that are complete under their final name or not there at all */
#ifndef WF_FILE_H
#define WF_FILE_H

#include <stdio.h>

#include "linkage.h"
#include "status.h"

WF_BEGIN

/* Output that appears under `path` only when committed: a temporary file of unique name in the same folder, then
 * fsync, checked close, rename, fsync of the folder. Abort removes the temporary file. Both end the wf_outfile. */
typedef struct wf_outfile wf_outfile;
int wf_outfile_create(const char *path, wf_outfile **out) WF_MUST;
FILE *wf_outfile_stream(wf_outfile *file);
int wf_outfile_commit(wf_outfile *file) WF_MUST;
void wf_outfile_abort(wf_outfile *file); /* NULL is allowed */

/* Removes the temporary files of outputs `prefix`..., which a killed process left in `folder`. Only for who holds a lock there. */
void wf_sweep(const char *folder, const char *prefix);

/* flock on a held descriptor of `path` (created if absent). WF_AGAIN with `who` in the message when another holds it. */
int wf_lock(const char *path, const char *who, int *descriptor) WF_MUST;
void wf_unlock(int descriptor);

int wf_mkdirs(const char *path) WF_MUST; /* mkdir -p; WF_USAGE: there is a file */

/* Flushes, checks and closes; WF_IO (WF_AGAIN on a full disk) if any earlier write had failed. */
int wf_close(FILE *file, const char *name) WF_MUST;
int wf_flush(FILE *file, const char *name) WF_MUST; /* as wf_close, but leaves it open */

/* The status of making or writing `name`, which just failed, by errno: as wf_fail_errno, but EFBIG (a limit on file
 * sizes) counts as a full disk, and an output that cannot be made (no such folder, no permission) is WF_IO. */
int wf_fail_write(const char *name) WF_MUST;

WF_END

#endif
