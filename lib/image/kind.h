/* kind.h - what a file is, by its first bytes: formats of pictures, files of Wavelet Flow, and kinds that are not read
 */
#ifndef WF_KIND_H
#define WF_KIND_H

#include <stdbool.h>
#include <stdio.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

typedef enum wf_kind_class {
    WF_KIND_OTHER,   /* known, and not read */
    WF_KIND_PICTURE, /* a picture that is not read */
    WF_KIND_READ,    /* pictures, sounds, arrays or an archive, which wf_images reads */
    WF_KIND_STREAM,  /* coefficients */
    WF_KIND_LATENTS, /* a stream of latents */
    WF_KIND_LEVEL,   /* level-NN.safetensors of a model */
    WF_KIND_STATE,   /* of a training, or of Markov chains */
    WF_KIND_STORE,   /* data.mdb of a store: found by its contents, not by wf_kind_find */
    WF_KIND_TEXT,
    WF_KIND_EMPTY,
    WF_KIND_UNKNOWN
} wf_kind_class;

typedef struct wf_kind {
    wf_kind_class is;
    bool compressed;    /* by gzip, xz, Zstandard or bzip2; `is` and `name` are of the contents */
    const char *name;   /* with an article, as in "a PNG picture"; static */
    const char *advice; /* what to do with a kind that is not pictures; NULL: nothing is known. Static */
} wf_kind;

/* Recognises a file by its next bytes, which are read; `file` is borrowed. A file that is compressed and damaged is of
 * the kind that compressed it. */
int wf_kind_find(FILE *file, wf_kind *out) WF_MUST;

WF_END

#endif
