/* utf8.c - UTF-8 as jansson, which writes it, accepts it */
#include "utf8.h"

#include <jansson.h>

void wf_utf8_mend(char *text)
{
    json_t *string = json_string(text);
    for (; !string && *text; text++)
        if (*text & 0x80)
            *text = '?';
    json_decref(string);
}
