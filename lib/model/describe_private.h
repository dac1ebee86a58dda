/* describe_private.h - private to lib/model: a description as describe.c builds it and describe_text.c reads it */
#ifndef WF_DESCRIBE_PRIVATE_H
#define WF_DESCRIBE_PRIVATE_H

#include <jansson.h>

#include "describe.h"

struct wf_description {
    json_t *root; /* owned */
    bool verify;
    bool failed; /* a value could not be made or added: no memory, or text that is not UTF-8 */
};

#endif
