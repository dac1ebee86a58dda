/* choices.h - choices by measurement, kept for the process and, in a file of the cache folder, for all others
 *
 * A choice may decide the bits of a result, so all who compute the same on one machine must find the same choice. One
 * choice is one line, "key<tab>value". The first line with a key whose value fits counts, so processes that measure at
 * the same time end with one choice. A file that cannot be read or written is not an error: choices then last as long
 * as the process. Threads may call these functions at the same time. */
#ifndef WF_CHOICES_H
#define WF_CHOICES_H

#include <stdbool.h>

#include "linkage.h"

WF_BEGIN

typedef struct wf_choice {
    const char *file; /* a name for wf_cache_path that stays valid */
    const char *key;  /* all that the choice depends on, without tabs and newlines */
    /* Reads a value, without newlines, to `user`, and changes it even if the value does not fit. Then it returns false,
     * and the line does not count. It must not call functions of this header. */
    bool (*read)(void *user, const char *value);
    void *user;
} wf_choice;

/* Finds and reads a choice, that of this process or else the first on file. False: there is none. */
bool wf_choice_find(const wf_choice *choice);
/* Keeps a measured value that fits, unless another thread or process was first, and reads the one that counts. */
void wf_choice_keep(const wf_choice *choice, const char *value);

/* Calls `each` for the whole lines on file that have a tab, in order, until a call returns true, and returns that. key
 * and value are valid during the call. */
typedef bool wf_choice_each(void *user, const char *key, const char *value);
bool wf_choice_list(const char *file, wf_choice_each *each, void *user);

WF_END

#endif
