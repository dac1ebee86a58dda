/* utf8.c - UTF-8 as jansson, which writes it, accepts it */
#include "utf8.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>

void wf_utf8_mend(char *text)
{
    errno = 0;
    json_t *string = json_string(text);
    bool out_of_memory = !string && errno == ENOMEM; /* which says nothing of the text */
    for (; !string && !out_of_memory && *text; text++)
        if (*text & 0x80)
            *text = '?';
    json_decref(string);
}
