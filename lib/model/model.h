/* model.h - a model is a folder: wf.json holds the shape of its pictures and perhaps a licence, level-NN.safetensors
 * one trained level. No level touches the files of another. */
#ifndef WF_MODEL_H
#define WF_MODEL_H

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

typedef struct wf_model {
    char *path;
    wf_meta meta;  /* top == levels */
    char *licence; /* of the weights, in words; NULL: not stated */
} wf_model;

/* Opens the model folder at `path`. WF_NOINPUT: it has no wf.json. WF_DATA: its wf.json is malformed. */
int wf_model_open(const char *path, wf_model *out) WF_MUST;
/* Writes the folder of the model at `path` to `out`: path/model if that has a wf.json and `path` has none, as a folder
 * of wf-train, else `path`. WF_USAGE: the path is too long. */
enum { WF_PATH = 4096 };
int wf_model_place(const char *path, char out[WF_PATH]) WF_MUST;
/* Opens the model folder `name`, or the one in it (wf_model_place). A name without a slash that is not a path here is
 * looked up: in the folders of the variable WF_MODELS, separated by colons; then, for a program PREFIX/bin/NAME, in
 * PREFIX/share/wavelet-flow/models and, as in a source tree, PREFIX/data. WF_NOINPUT: it is in none of them; the
 * message lists them. WF_USAGE: the name is empty. */
int wf_model_find(const char *name, wf_model *out) WF_MUST;
/* Opens the model folder at `path`, or makes one for pictures like `meta`. WF_DATA: the model is for other pictures.
 * Many processes may call it at once. */
int wf_model_create(const char *path, const wf_meta *meta, wf_model *out) WF_MUST;
/* Makes the folder model->path and its wf.json, unless there is one. */
int wf_model_write(const wf_model *model) WF_MUST;
void wf_model_clear(wf_model *model);

/* Writes "PATH/level-NN" and `suffix` to `out`. WF_USAGE: the path is too long. */
int wf_model_file(const wf_model *model, int level, const char *suffix, char out[WF_PATH]) WF_MUST;

WF_END

#endif
