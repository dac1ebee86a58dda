/* pipeline.h - runs the makefiles of pipelines/ */
#ifndef WF_PIPELINE_H
#define WF_PIPELINE_H

#include "cli.h"

/* Finds the folder of the pipelines. For a program PREFIX/bin/NAME it is PREFIX/pipelines, as in the source tree, or
 * PREFIX/share/wavelet-flow/pipelines. Dies with 69, and the package to install, unless the programs that pipelines run
 * are here. */
void pipeline_find(void);

/* Runs `make GOAL` with NAME.mk and OUT=. in `folder`. `variables`: further arguments, up to a NULL, as "NAME=VALUE" or
 * options of make. Recipes print to this program's descriptors; what make says of their failures stays away. make has a
 * group of processes of its own, which gets SIGINT once for each signal that would end this program, and stops and
 * continues with it. If this program is killed or crashes, a second process, "wf-watcher", sends the SIGINT. Dies with
 * the code of the recipe that failed, or, when all processes have ended, with 75 after such a signal or if make was
 * killed. */
void pipeline_run(const char *name, const char *folder, const char *goal, const char *const *variables);

#endif
