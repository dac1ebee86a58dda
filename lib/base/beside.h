/* beside.h - finds files that are installed or built with the running program */
#ifndef WF_BESIDE_H
#define WF_BESIDE_H

#include <limits.h>
#include <stdbool.h>

#include "linkage.h"

WF_BEGIN

/* Finds the library `name` that belongs to the running program: for /usr/bin in /usr/lib and
 * /usr/lib/wavelet-flow, for bin/ in build/, and for the tests and other builds in the program's folder or the one
 * above. */
bool wf_find_library(const char *name, char path[PATH_MAX]);

WF_END

#endif
