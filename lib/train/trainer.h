/* trainer.h - private to lib/train: one level being trained, and its state on disk */
#ifndef WF_TRAINER_H
#define WF_TRAINER_H

#include "minibatch.h"
#include "optimizer.h"
#include "../model/evaluate.h"
#include "../model/precision.h"
#include "data_parallel.h"
#include "train.h"

enum { WF_MAX_SKIPPED = 64 }; /* non-finite batches before giving up */

typedef struct wf_trainer {
    const wf_model *model;
    const wf_train_options *options; /* &settled */
    wf_train_options settled;        /* the caller's, and what they leave open */
    wf_backend *backend;
    wf_store *store, *validation;  /* borrowed, or parts of `whole` */
    wf_store *whole;               /* all pictures */
    bool splits;                   /* store and validation are parts of it, open for this training alone */
    int64_t held_out_count;        /* pictures of `whole` that are held out */
    wf_given_kind given;           /* what options->given holds; all 0: nothing */
    char given_hash[20];           /* of its rows */
    char init_hash[20];            /* of the weights that the training began with; "": none */
    bool resumes;                  /* an earlier run left a state */
    char chosen[WF_PRECISION_WHY]; /* why the precision was chosen; "": it was asked for */
    const wf_meta *meta;
    char chain[4096];
    char rule[WF_OPTIMIZER_TEXT]; /* the optimizer of an earlier run */
    int patch, margin;
    wf_parallel parallel; /* this process's part of each batch */
    wf_level_runner runner;
    wf_optimizer optimizer; /* of the runner's parameters */
    wf_minibatch batches;
    uint64_t slots[WF_MAX_BATCH]; /* a picture's place in the batch of all ranks, which numbers its noise */
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
    bool asked;                /* the report asks to stop */
    bool interrupted;          /* the training stops after this step: on some rank it was asked */
} wf_trainer;

/* The precision that validations and other programs compute the level in. A training that chose bf16 to be fast leaves
 * a level for fp32: in bf16 the inverse is off by up to 0.01 deviations, and bits/dim by 0.001. */
static inline wf_precision wf_trainer_used_precision(const wf_trainer *t)
{
    return t->chosen[0] ? WF_FP32 : t->options->precision;
}

/* The vectors of a state: weights, the optimizer's two, average; and their numbers. */
enum { WF_VECTORS = 4 };
static inline wf_real *wf_trainer_vector(const wf_trainer *t, int i)
{
    wf_real *const all[WF_VECTORS] = {t->optimizer.w, t->optimizer.m, t->optimizer.u, t->optimizer.ema};
    return all[i];
}
static inline wf_dtype wf_trainer_dtype(const wf_trainer *t)
{
    return t->backend->real == sizeof(double) ? WF_F64 : WF_F32;
}

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

/* Counts the seconds since the last call. */
void wf_trainer_count_seconds(wf_trainer *t);
/* Fraction of the run that is done, 0 .. 1. */
double wf_run_fraction(const wf_trainer *t);
double wf_learning_rate(const wf_trainer *t);

/* Begins the step t->step, without waiting for its results. */
int wf_step_begin(wf_trainer *t) WF_MUST;
/* Waits until at most `ahead` steps are without results. After a bad step t->step is its number. The steps enqueued
 * after it have changed nothing, so their results are dropped. */
int wf_steps_wait(wf_trainer *t, int ahead, bool *bad) WF_MUST;
void wf_steps_drop(wf_trainer *t);

int wf_validation_prepare(wf_trainer *t, const wf_level_spec *spec) WF_MUST;
/* Pictures of a validation. */
int64_t wf_validation_count(const wf_trainer *t);
/* Measures held-out bits/dim and publishes the model if it is the best so far. A density that is not finite counts as
 * the worst result and does not end the training. */
int wf_validate(wf_trainer *t) WF_MUST;
/* True at the end of a run, and at intervals before, which patience counts. By the clock, validation takes at most a
 * quarter of the time. last: t->seconds at the last of these validations. */
bool wf_validation_due(const wf_trainer *t, double last);
/* True every ten epochs, unless an interval was given: a flow overfits few pictures long before the first twentieth of
 * the run, and its best weights come before that. At least as many pictures are trained on as are validated. */
bool wf_epochs_are_over(const wf_trainer *t);

/* Saves or restores the state file. Only rank 0 writes files, and the others get what it reads. *found = false: there
 * is no file. */
int wf_trainer_save(wf_trainer *t) WF_MUST;
int wf_trainer_restore(wf_trainer *t, bool *found) WF_MUST;
/* Writes level-NN.safetensors from the optimizer's weights. */
int wf_trainer_publish(wf_trainer *t) WF_MUST;

/* Opens or reopens the log for appending, and drops every line beyond the present step. */
int wf_trainer_open_log(wf_trainer *t) WF_MUST;
int wf_trainer_log(wf_trainer *t, const char *format, ...) WF_PRINTF(2, 3) WF_MUST;

#endif
