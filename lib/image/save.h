/* save.h - pictures, sounds and volumes into files of the kind that fits: PNG, WAV, .npy */
#ifndef WF_SAVE_H
#define WF_SAVE_H

#include "../base/linkage.h"
#include "image.h"

WF_BEGIN

/* Suffix of the file that wf_image_save writes: "png", "wav" or "npy". */
const char *wf_image_suffix(wf_signal signal);

/* Writes a file, which appears under `path` only when it is complete. */
int wf_image_save(const char *path, const wf_image *image) WF_MUST;

/* True if wf_image_append can write the signal. Sounds cannot be appended, because a WAV file has its length at the
 * front. */
bool wf_image_appends(wf_signal signal);
/* Writes the next image of a file or stream: pictures as PAM, volumes as .npy. `name` is used in messages. */
int wf_image_append(FILE *file, const char *name, const wf_image *image) WF_MUST;

WF_END

#endif
