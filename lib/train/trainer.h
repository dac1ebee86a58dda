/* trainer.h - private to lib/train: one level being trained, and its state on disk */
#ifndef WF_TRAINER_H
#define WF_TRAINER_H

#include "minibatch.h"
#include "optimizer.h"
#include "../model/evaluate.h"
#include "../model/capture.h"
#include "train.h"

enum { WF_MAX_SKIPPED = 64 }; /* non-finite batches before giving up */

typedef struct wf_trainer {
    const wf_model *model;
    const wf_train_options *options;
    wf_backend *backend;
    wf_store *store, *validation;
    const wf_meta *meta;
    char chain[4096];
    int patch, context;
    wf_flow *flow;
    wf_dequantizer dequantizer;
    wf_optimizer optimizer; /* of the flow's parameters, and then the dequantizer's */
    wf_minibatch batches;
    wf_level_input feed;
    wf_real *weight; /* of the pixels of a batch, device [N,H,W], with context */
    wf_evaluator evaluator;
    FILE *log;
    char log_path[WF_PATH], state_path[WF_PATH];

    /* saved */
    int64_t step;
    double seconds;        /* of training, this and earlier runs */
    double held_out, best; /* NAN at first */
    int since;             /* validations since the best */
    int64_t measured;      /* step of the last validation, -1 at first */
    char judge[40];        /* hash and number of the pictures that held_out and best are about */
    double sum;            /* bits/dim of the batches since the last log line */
    int64_t summed;
    uint64_t skip[WF_MAX_SKIPPED]; /* steps whose batch is left out */
    int skips;
    bool finished; /* nothing is left to do unless the limits are raised */

    /* of this run */
    wf_capture replay;
    wf_random noise;     /* of the step being launched */
    struct wf_launched { /* steps whose results are not in yet, oldest first */
        int64_t step;
        wf_readback *density, *bad, *noise[2]; /* noise: NULL where it is uniform */
    } launched[2];
    int launched_count;
    double begun;             /* clock when `seconds` was last brought up to date */
    double took;              /* seconds of the last validation */
    double recent;            /* last logged mean, for progress */
    wf_round_trip round_trip; /* of the validation that has just been */
    bool interrupted;
} wf_trainer;

/* State file; restore: *found = false when there is none. */
int wf_trainer_save(wf_trainer *t) WF_MUST;
int wf_trainer_restore(wf_trainer *t, bool *found) WF_MUST;
/* level-NN.safetensors from the optimizer's weights. */
int wf_trainer_publish(wf_trainer *t) WF_MUST;

/* Opens (or reopens) the log for appending after dropping every line beyond the present step. */
int wf_trainer_open_log(wf_trainer *t) WF_MUST;
int wf_trainer_log(wf_trainer *t, const char *format, ...) WF_PRINTF(2, 3) WF_MUST;

#endif
