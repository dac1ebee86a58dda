/* progress.h - what wf-train-level says while it trains */
#ifndef WF_PROGRESS_H
#define WF_PROGRESS_H

#include "../lib/train/train.h"
#include "start.h"

typedef struct progress {
    int first, last;                             /* levels */
    const wf_train_options *options;             /* of the first level */
    const char *model_path;                      /* for messages */
    const volatile sig_atomic_t *interrupted;    /* set once a signal has come */
    char device[START_DEVICE];                   /* as start_device has it */
    const char *precision;                       /* as start_precision has it */
    char pictures[START_PICTURES];               /* as start_pictures has it */
    int64_t count;                               /* pictures of the store */
    wf_signal signal;                            /* what they are */
    bool begun;                                  /* the line at the start is printed */
    double drawn;                                /* seconds of the level that the terminal showed last; -1: none */
    wf_train_progress latest[WF_MAX_LEVELS + 1]; /* step -1: no report, because the level was finished before */
} progress;

/* Sets what belongs to no report yet. */
void progress_clear(progress *p);

/* A wf_train_report for the progress `user`: notes events, and draws a line on a terminal once a second. */
int progress_report(void *user, wf_train_event event, const wf_train_progress *now);

/* Says how each level ended. */
void progress_note_ends(const progress *p);

#endif
