/* pipeline.h - runs the makefiles of pipelines/ */
#ifndef WF_PIPELINE_H
#define WF_PIPELINE_H

#include "cli.h"

/* Finds the folder of the pipelines: PREFIX/pipelines, as in the source tree, or PREFIX/share/wavelet-flow/pipelines, of
 * the running program PREFIX/bin/NAME. Dies with 69, and the package to install, unless the programs that they run are
 * here. */
void pipeline_find(void);

/* Runs `make GOAL` with NAME.mk in `folder`, which has the variable OUT=. and all "NAME=VALUE" up to a NULL. Recipes print
 * to this program's descriptors; what make says of failures stays away. make has a group of processes of its own, which
 * gets SIGINT once for each signal that would end this program. Dies with the code of the recipe that failed, or with 75
 * after such a signal, when all processes have ended. */
void pipeline_run(const char *name, const char *folder, const char *goal, const char *const *variables);

#endif
