/* picture_files.h - files of one folder, named by the numbers or the names of their pictures */
#ifndef WF_PICTURE_FILES_H
#define WF_PICTURE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/base/status.h"

/* True if `path` ends in a dot and `suffix`, in small letters or capitals, and is not a folder. */
bool picture_files_one(const char *path, const char *suffix);
/* True if it ends so in the suffix of any kind of picture, sound or volume, written by wf-idwt or not. */
bool picture_files_other(const char *path);

/* The file of a picture below `folder`: its number in 8 digits or, unless it is NULL, its name with another suffix.
 * Makes the folders on the way. A name stays below the folder, whatever it says: no "..", no "/" in front. A name that
 * was used before gets "-2", "-3" and so on. *path: valid until the next call; NULL: the number was used before.
 * WF_USAGE: the path is too long, a file is where a folder is needed or, unless `replace`, there already. */
int picture_files_path(const char *folder, uint64_t index, const char *name, const char *suffix, bool replace,
                       const char **path) WF_MUST;

/* Tells of names that were used before, and of files in the folder that this run has not written: all with the suffix,
 * with `named`, else those whose names are numbers. suffix NULL: of names only, since a shard is one of several runs.
 * */
void picture_files_note(const char *folder, const char *suffix, bool named);
void picture_files_clear(void);

#endif
