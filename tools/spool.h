/* spool.h - a stream that is trained on: a store beside the levels' files */
#ifndef WF_SPOOL_H
#define WF_SPOOL_H

#include "../lib/model/model.h"

/* A stream, from the file of that name or from standard input (NULL), is read once, but trained on for many epochs.
 * Its levels, levels[0] to levels[1] or all (-1), are spooled into a store in the model folder, whose path goes to
 * `spooled`. The store stays until the levels are finished. Resuming, the stream may be given again or not. Dies of
 * an error. */
void spool_stream(const char *model_path, const int levels[2], const char *stream, char spooled[WF_PATH]);

/* The path alone. It is named by levels, because each process spools its own. Dies if it is too long. */
void spool_name(const char *model_path, const int levels[2], char spooled[WF_PATH]);

#endif
