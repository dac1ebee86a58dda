/* field_array.h - fields written as one NumPy array */
#ifndef WF_FIELD_ARRAY_H
#define WF_FIELD_ARRAY_H

#include <stdbool.h>

#include "../lib/pyramid/meta.h"

/* Begins the file at `path`, borrowed, for fields like `meta`. Each dies if the file cannot be written. */
void field_array_begin(const char *path, const wf_meta *meta);
/* Appends one field, values [H,W,C]. */
void field_array_put(const float *values);
/* Completes the header and the file, which only then has its name. */
void field_array_end(void);
/* True between begin and end. */
bool field_array_is_open(void);

#endif
