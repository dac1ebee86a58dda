/* training.h - what wf-train-level says while it trains */
#ifndef WF_TRAINING_H
#define WF_TRAINING_H

#include <signal.h>

#include "../lib/model/precision.h"
#include "../lib/train/train.h"
#include "start.h"

typedef struct training {
    int first, last;                             /* levels */
    const wf_train_options *options;             /* of the first level */
    const char *model_path;                      /* for messages */
    const volatile sig_atomic_t *interrupted;    /* set once a signal has come */
    char device[START_DEVICE];                   /* as start_device has it */
    const char *precisions[WF_PRECISIONS];       /* as start_precision has them */
    bool open;                                   /* each level chooses between fp32 and bf16 */
    char pictures[START_PICTURES];               /* as start_pictures has it */
    int64_t count;                               /* pictures of the store */
    wf_signal signal;                            /* what they are */
    const char *unit;                            /* "bits/dim", or "nats/dim" of fields */
    bool begun;                                  /* the line at the start is printed */
    wf_train_progress latest[WF_MAX_LEVELS + 1]; /* step -1: no report, because the level was finished before */
} training;

/* Takes down what the training runs on. chooses: each level chooses its precision. */
void training_device(training *p, const wf_backend *backend, bool chooses);

/* Begins: nothing was reported yet. Signals set p->interrupted from now on. */
void training_begin(training *p);

/* A wf_train_report for the training `user`: notes events, and draws the line of the terminal. */
int training_report(void *user, wf_train_event event, const wf_train_progress *now);

/* Says how each level ended. */
void training_note_ends(const training *p);

#endif
