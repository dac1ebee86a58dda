/* file.h - files that are complete or absent, locks and folders */
#ifndef WF_FILE_H
#define WF_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "linkage.h"
#include "status.h"

WF_BEGIN

/* An output that appears under `path` only when committed. It is written to a temporary file with a unique name in the
 * same folder. Commit: fsync, checked close, rename, fsync of the folder. Abort removes the temporary file. Either of
 * the two destroys the wf_outfile. WF_USAGE: `path` is empty, or not a regular file. */
typedef struct wf_outfile wf_outfile;
int wf_outfile_create(const char *path, wf_outfile **out) WF_MUST;
FILE *wf_outfile_stream(wf_outfile *file);
int wf_outfile_commit(wf_outfile *file) WF_MUST;
void wf_outfile_abort(wf_outfile *file); /* NULL is allowed */
/* Removes the temporary files of all open outputs, for a process that is about to end. May be called in a signal
 * handler. A process that goes on must not call it. */
void wf_outfiles_unlink(void);

/* Copies an open temporary file, from its beginning, to `path`, and closes it. `path` is complete or unchanged. */
int wf_save_copy(FILE *temporary, const char *path) WF_MUST;

/* Removes temporary files of outputs whose names begin with `prefix`, left in `folder` by a killed process. The caller
 * must hold a lock that keeps other writers out. */
void wf_sweep(const char *folder, const char *prefix);

/* Takes an exclusive flock on `path`, which is created if absent; the lock lasts until wf_unlock. WF_AGAIN, with `who`
 * in the message: another process holds it. */
int wf_lock(const char *path, const char *who, int *descriptor) WF_MUST;
void wf_unlock(int descriptor);

/* Writes PREFIX of the running program PREFIX/bin/NAME to `out`, "" for the root folder. False: it has no such name. */
bool wf_program_prefix(char *out, size_t size);
bool wf_is_folder(const char *path); /* or a link to one */
/* Makes a folder and its parents, as mkdir -p. WF_USAGE: the path is empty, or one of them is a file. */
int wf_mkdirs(const char *path) WF_MUST;
/* Writes ${XDG_CACHE_HOME:-~/.cache}/NAME to `out`, and makes its folder and those above it, for the user alone, but no
 * home. "": neither variable names a folder, or the path is longer than `size`. A folder that cannot be made is seen
 * when the file is opened. */
void wf_cache_path(const char *name, char *out, size_t size);

/* Flushes, checks and closes. WF_IO (WF_AGAIN on a full disk): this or an earlier write failed. */
int wf_close(FILE *file, const char *name) WF_MUST;
int wf_flush(FILE *file, const char *name) WF_MUST; /* like wf_close, but leaves the file open */

/* Fails after a system call that creates or writes `name`. Like wf_fail_errno, but EFBIG (a limit on file sizes) counts
 * as a full disk, WF_AGAIN, and an output that cannot be created (no such folder, no permission) is WF_IO. */
int wf_fail_write(const char *name) WF_MUST;

WF_END

#endif
