/* model.h - a model is a folder: wf.json says what pictures it is for, level-NN.safetensors holds one trained level.
 * Levels never touch one another's files. */
#ifndef WF_MODEL_H
#define WF_MODEL_H

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

typedef struct wf_model {
    char *path;
    wf_meta meta; /* top == levels */
} wf_model;

/* WF_NOINPUT: no wf.json there; WF_DATA: not ours. */
int wf_model_open(const char *path, wf_model *out) WF_MUST;
/* Opens the model at `path`, or makes it for pictures like `meta`; WF_DATA when it is for other pictures. Safe to be called
 * by many processes at once. */
int wf_model_create(const char *path, const wf_meta *meta, wf_model *out) WF_MUST;
void wf_model_clear(wf_model *model);

/* "PATH/level-NN" followed by `suffix`, in `out`. */
enum { WF_PATH = 4096 };
int wf_model_file(const wf_model *model, int level, const char *suffix, char out[WF_PATH]) WF_MUST;

WF_END

#endif
