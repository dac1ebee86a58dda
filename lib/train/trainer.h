/* trainer.h - private to lib/train: one level being trained, and its state on disk */
#ifndef WF_TRAINER_H
#define WF_TRAINER_H

#include "minibatch.h"
#include "optimizer.h"
#include "../model/evaluate.h"
#include "../model/precision.h"
#include "train.h"

enum { WF_MAX_SKIPPED = 64 }; /* non-finite batches before giving up */

typedef struct wf_trainer {
    const wf_model *model;
    const wf_train_options *options; /* &settled */
    wf_train_options settled;        /* the caller's, and what they leave open */
    wf_backend *backend;
    wf_store *store, *validation;  /* borrowed, or parts of `whole` */
    wf_store *whole;               /* all pictures */
    int64_t held_out_count;        /* pictures of `whole` that are held out */
    char init_hash[20];            /* of the weights that the training began with; "": none */
    bool resumes;                  /* an earlier run left a state */
    char chosen[WF_PRECISION_WHY]; /* why the precision was chosen; "": it was asked for */
    const wf_meta *meta;
    char chain[4096];
    int patch, margin;
    wf_level_runner runner;
    wf_optimizer optimizer; /* of the runner's parameters */
    wf_minibatch batches;
    uint64_t slots[WF_MAX_BATCH]; /* 0, 1, ..: a picture's place in the batch numbers its noise */
    wf_real *weight;              /* of the pixels of a batch, device [N,H,W]; NULL without margin */
    wf_evaluator evaluator;       /* of validation, on the moving average */
    FILE *log;
    char log_path[WF_PATH], state_path[WF_PATH];

    /* saved */
    int64_t step;
    double seconds;         /* of training, this and earlier runs */
    double held_out, best;  /* NAN at first */
    int since_best;         /* validations since the best */
    int64_t validated_at;   /* step of the last validation, -1 at first */
    char validation_id[40]; /* hash and number of the pictures behind held_out and best */
    double sum;             /* bits/dim of the batches since the last log line */
    int64_t sum_count;
    uint64_t skip[WF_MAX_SKIPPED]; /* steps whose batch is left out */
    int skip_count;
    bool finished; /* nothing is left to do until a limit is raised */

    /* of this run */
    wf_capture capture;  /* of compute_step */
    struct wf_enqueued { /* steps whose results are not in yet, oldest first */
        int64_t step;
        wf_level_densities densities;
        wf_readback *bad;
    } enqueued[2];
    int enqueued_count;
    double counted_at;         /* clock at the last update of `seconds` */
    double validation_seconds; /* seconds of the last validation */
    double recent_bpd;         /* last logged mean, for progress */
    wf_round_trip round_trip;  /* of the last validation */
    bool interrupted;
} wf_trainer;

/* Fills in what the options leave open: from an earlier run, or by the budget. */
int wf_settings_settle(wf_trainer *t) WF_MUST;
/* Chooses the precision, unless the options or an earlier run have one, for batches of low-pass H x W. */
int wf_settings_choose_precision(wf_trainer *t, int H, int W) WF_MUST;
/* Describes the settings that must not change between the runs of one training; the caller frees *out. */
int wf_settings_describe(const wf_trainer *t, char **out) WF_MUST;
/* WF_DATA, with each setting that changed and both values, unless two descriptions agree. */
int wf_settings_compare(const wf_trainer *t, const char *saved, const char *now) WF_MUST;

/* Begins with the averaged weights of the level of options->init. WF_USAGE: its flow is another. */
int wf_settings_copy_weights(wf_trainer *t) WF_MUST;

/* Saves or restores the state file. *found = false: there is no file. */
int wf_trainer_save(wf_trainer *t) WF_MUST;
int wf_trainer_restore(wf_trainer *t, bool *found) WF_MUST;
/* Writes level-NN.safetensors from the optimizer's weights. */
int wf_trainer_publish(wf_trainer *t) WF_MUST;

/* Opens or reopens the log for appending, and drops every line beyond the present step. */
int wf_trainer_open_log(wf_trainer *t) WF_MUST;
int wf_trainer_log(wf_trainer *t, const char *format, ...) WF_PRINTF(2, 3) WF_MUST;

#endif
