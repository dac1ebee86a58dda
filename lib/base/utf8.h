/* utf8.h - text that may hold any bytes, such as arguments and names of files, for formats that hold UTF-8 */
#ifndef WF_UTF8_H
#define WF_UTF8_H

#include "linkage.h"

WF_BEGIN

/* Changes every byte over 127 to '?', if the text is not UTF-8. */
void wf_utf8_mend(char *text);

WF_END

#endif
