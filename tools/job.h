/* job.h - what the folder of wf-train was begun with: its pictures and settings, which the same command finds again */
#ifndef WF_JOB_H
#define WF_JOB_H

#include "cli.h"

typedef struct job_setting {
    const char *key;   /* in the file, and the option without dashes */
    const char *given; /* by this command; NULL: left out */
    const char *usual;
    bool may_change; /* also when levels are trained */
    char *value;     /* set by job_settle; owned */
} job_setting;

typedef struct train_job {
    const char *folder;
    job_setting *settings; /* the last has the key NULL */
    char **pictures;       /* absolute names, as given or, if none was, as they were; owned */
    int count;
    bool begun; /* a level has been trained, at least for a while */
} train_job;

/* Settles all values. If a level has been trained, what this command leaves out is as the files `settings` and
 * `pictures` of the folder have it. Dies with 64 if the folder has files but not these two, and with 65, naming old and
 * new values, if a level was trained with others. */
void job_settle(train_job *job);
/* Writes both files, which have a zero byte after each name, and makes the folder. A model without a trained level is
 * removed: it may be of other sizes. */
void job_save(const train_job *job);
/* Writes n strings, each with a zero byte, to folder/name. */
void job_write(const char *folder, const char *name, char *const *strings, int n);
/* The value of a key. */
const char *job_value(const train_job *job, const char *key);
/* `path` as seen from the root folder; the caller frees it. */
char *job_absolute(const char *path);

#endif
