/* folder.h - runs pipelines/folder.mk for wf-train */
#ifndef WF_FOLDER_H
#define WF_FOLDER_H

#include "job.h"

/* Saves the job and does it: pictures to coefficients, training, evaluation, samples and report. Prints what comes
 * next. Dies with 75 if another wf-train uses the folder, and as pipeline_run does. */
void folder_train(const train_job *job);

/* Returns P of the text "P%", or 0 for any other. Dies with 64 of per cents that --val does not take. */
int folder_per_cent(const char *text);

bool folder_is_store(const char *path); /* that can be opened */

#endif
