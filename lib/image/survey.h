/* survey.h - what is in a set of pictures, before anything is made of it */
#ifndef WF_SURVEY_H
#define WF_SURVEY_H

#include "../base/watch.h"
#include "edits.h"

WF_BEGIN

/* Pictures of one shape and depth, as read. */
typedef struct wf_survey_kind {
    wf_meta shape; /* signal, D, H, W, C, bits and rate; the rest is 0 */
    int64_t count;
} wf_survey_kind;

enum { WF_SURVEY_MESSAGES = 10 };

typedef struct wf_survey {
    wf_survey_kind *kinds; /* most frequent first */
    int kind_count;
    int64_t pictures;
    int64_t bad;     /* files that cannot be read */
    int64_t refused; /* pictures that the edits cannot change, or that differ from the first afterwards */
    char *why_bad[WF_SURVEY_MESSAGES], *why_refused[WF_SURVEY_MESSAGES]; /* of the first; NULL after the last */
    bool ended;     /* the end of the input was reached; else the last bad file ended it */
    wf_meta edited; /* the first picture after the edits; H = 0: none */
    wf_edited done;
} wf_survey;

/* Reads everything, on one thread, and edits each picture as wf_image_edit does. Once a picture has come, sounds are
 * passed over, as by a decomposer. watch: of pictures, of no level, -1. WF_AGAIN: out of memory. */
int wf_survey_run(wf_images *images, wf_images_options options, const wf_edits *edits, const wf_watch *watch,
                  wf_survey *out) WF_MUST;
void wf_survey_clear(wf_survey *survey);

WF_END

#endif
