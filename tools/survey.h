/* survey.h - the report of wf-dwt --dry-run, and the lines on what was passed over */
#ifndef WF_TOOL_SURVEY_H
#define WF_TOOL_SURVEY_H

#include "../lib/image/decompose.h"
#include "../lib/image/survey.h"
#include "cli.h"

/* Reads all pictures and prints what they are, what would be refused, and a command that takes them. Dies with 65 if
 * there is none. */
void survey_print(wf_images *images, const wf_decompose_options *work);

/* Dies with 65 after an input without a picture, with the message `why` or what came in place of pictures. `length`: of
 * pieces of sounds. */
void survey_die_of_nothing(const wf_images_passed *passed, int64_t length, const char *why) __attribute__((noreturn));

/* Notes the files that were passed over, a line for each reason. */
void survey_note_passed(const wf_images_passed *passed);

/* Sets the edits that are 0 so that pictures as those of the survey become alike. Their size stays if all have one of
 * at most 64x64 that can be halved twice; else it becomes the largest square of up to 64 pixels that nearly all can
 * fill. Channels and bits are set where they differ, and for RGB. Dies of sounds and volumes. */
void survey_choose(const wf_survey *survey, wf_edits *edits);

#endif
