/* export.h - a trained model without what only training needs, to be passed on */
#ifndef WF_EXPORT_H
#define WF_EXPORT_H

#include "../base/dtype.h"
#include "level.h"

WF_BEGIN

typedef struct wf_export_options {
    wf_dtype dtype;               /* of the weights: WF_F32, WF_F16 or WF_BFLOAT16 */
    const char *licence;          /* NULL: that of the model */
    const char *note;             /* Markdown for the card; NULL: none */
    wf_level_add_provenance *add; /* appends the program that exports; gets `user` */
    void *user;
} wf_export_options;

/* Writes to the folder `to`, which is absent or empty: wf.json; of each level the moving average of the weights, which
 * evaluation and sampling use, with its metadata; and README.md, a card made of these files (describe.h). They appear
 * together, after all of them are complete; until then they are in TO.part-PID. WF_USAGE: `to` holds something.
 * WF_NOINPUT: a level is not trained. WF_DATA: a level is damaged, or a weight too large for dtype. */
int wf_model_export(const wf_model *model, const char *to, const wf_export_options *options) WF_MUST;

WF_END

#endif
