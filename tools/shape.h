/* shape.h - the size, channels and depth that wf-train gives to pictures */
#ifndef WF_SHAPE_H
#define WF_SHAPE_H

#include "../lib/model/model.h"
#include "cli.h"

/* Returns options of wf-dwt, which the caller frees. size: "64", "64x32", or "" to choose it by the first twenty
 * pictures; init: the model to begin with, or NULL; wavelet: "" for that of init, or Haar. Notes a size that was
 * chosen. Dies of a size or wavelet that init cannot have, and of pictures that cannot be opened. */
char *shape_choose(char *const *pictures, int count, const char *size, const wf_model *init, const char *wavelet);

#endif
