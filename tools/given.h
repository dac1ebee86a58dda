/* given.h - the option --given: a label or numbers of each picture, beside the picture itself */
#ifndef WF_TOOLS_GIVEN_H
#define WF_TOOLS_GIVEN_H

#include "../lib/model/given.h"
#include "../lib/model/model.h"

/* All rows stay in memory until the program ends. */

/* Rows of a .npy, one for each picture in the order of their numbers; NULL: NULL. */
const wf_given *given_read(const char *path);
/* Rows of a .npy, of which one alone is for all pictures; or of "3", "0.5,2": one for all. NULL: NULL. */
const wf_given *given_parse(const char *text);
/* Dies before a folder is made unless `given` has a row for each of `count` pictures to train on, called `name`, that
 * levels can be trained with. */
void given_expect_training(const wf_given *given, int64_t count, const char *name);
/* Dies with 65 unless there is a row for each of `count` pictures (-1: not known), called `name`. */
void given_expect(const wf_given *given, int64_t count, const char *name);

/* Rows to compare: those of a .npy, or for the text "labels" all labels that the model knows. Dies with 64 where the
 * model is given none, and with 65 where these rows or the truth (NULL: not known) are not what it was trained with. */
wf_given given_grid(const wf_model *model, const char *text, const wf_given *truth);

#endif
