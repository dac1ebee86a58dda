/* train.h - unattended training of one level of a model: it resumes by itself and survives a kill at any moment
 *
 * Files of level NN in the model folder. No level touches the files of another:
 *     level-NN.safetensors        the best (or, without validation, the latest) weights and their average
 *     level-NN.state.safetensors  the state: a resumed training continues bitwise as if it had not been interrupted
 *     level-NN.jsonl              the log, one JSON object a line; a resumed training trims it to its step
 *     level-NN.lock               held while training
 */
#ifndef WF_TRAIN_H
#define WF_TRAIN_H

#include "../base/linkage.h"
#include "../model/level.h"
#include "../ranks/ranks.h"
#include "../store/store.h"

WF_BEGIN

typedef struct wf_train_options {
    int level;
    const char *chain;      /* text, or a name (wf_preset_chain); NULL: that of the earlier run or of `init`, or one
                               chosen by minutes and cores, with batch, lr, ema, optimizer, decay and patch
                               (wf_preset_fit) */
    const char *dequantize; /* chain of the noise (dequantizer.h); NULL: uniform noise */
    int64_t steps;          /* limit; 0: none */
    double minutes;         /* limit, earlier runs included; 0: none */
    double cores;           /* of the CPU, for the choice of a chain; 0: the backend's threads */
    int held_out;           /* per cent of the store that are not trained on but validate, 0 to 50, if there is no
                               validation store; -1: as in the earlier run, or WF_HELD_OUT; with `init` one picture
                               at least */
    const wf_given *given;  /* a row for each picture of the store, by its number; NULL: nothing is given */
    const wf_model *init;   /* begins with the averaged weights of this model's level, which are the first best on
                               held-out pictures; NULL: at random */
    int init_level;         /* of `init`, any but the base and a single pixel, of a finished training; -1: `level` */
    int batch;              /* 0: chosen with the chain, or wf_train_published */
    double lr, ema;         /* rate; decay of the moving average. 0 and -1: the same */
    const char *optimizer;  /* text (optimizer.h); NULL: that of the earlier run, chosen with the chain, or
                               Adamax */
    int64_t warmup;         /* steps of linear warm-up; -1: 125,000, as published, or a twentieth of the run if less */
    double decay; /* last share of the run, over which the rate falls linearly to 0; 0: constant; -1: as batch */
    int patch;    /* side of square crops; 0: whole pictures; -1: as published for a named chain, else whole */
    int margin;   /* margin of a patch, seen but not in the loss; -1: an eighth, or 0 for whole levels */
    bool flip;
    wf_precision precision;
    bool precision_auto; /* in place of precision: that of the earlier run, or chosen (wf_precision_choose) */
    wf_memory memory;
    uint64_t seed;
    int64_t checkpoint_every; /* steps; 0: every two minutes */
    int64_t validate_every;   /* steps; 0: a twentieth of the run, and in between ten epochs, not counted by patience */
    int64_t validate_on;      /* at most this many pictures of the validation store */
    int patience;             /* stop after this many validations without a new best; 0: never */
    const char *provenance;   /* JSON array, for the level file */
    wf_ranks *ranks;          /* that train the level together; NULL: this process alone */
} wf_train_options;

enum { WF_HELD_OUT = 5 };

extern const wf_train_options wf_train_defaults;
/* Settings of a chain that the caller gives, and of the published chain: batch, lr, ema and decay. */
extern const wf_train_options wf_train_published;

typedef enum wf_train_event {
    WF_TRAIN_STARTED, /* before the first step; a level that was finished before has no event */
    WF_TRAIN_STEP,
    WF_TRAIN_VALIDATED,
    WF_TRAIN_SKIPPED,
    WF_TRAIN_RESUMED
} wf_train_event;

typedef struct wf_train_progress {
    int level;
    int64_t step, steps;
    double seconds, fraction; /* fraction of the run, 0 .. 1; 0 without a limit */
    double bpd;               /* this level's contribution, mean of the last batches */
    double held_out, best;    /* NAN before the first validation */
    int skipped;              /* batches left out because of a non-finite loss or gradient */
    const char *chain;        /* the flow's text, also for a named chain; valid during the report */
    size_t parameters;        /* with those of the noise's flow */
    int batch;                /* pictures a step */
    wf_precision precision;   /* of the networks */
    int held_percent;         /* of the store, that were to be held out; 0: none, or another store validates */
    int64_t held_out_count;   /* pictures that are; 0 where the per cents are less than one */
} wf_train_progress;

/* Called after each event; a nonzero return saves and stops with WF_AGAIN. */
typedef int wf_train_report(void *user, wf_train_event event, const wf_train_progress *progress);

/* Trains on the store, or the part of it that is not held out, until a limit is reached or patience runs out. Returns
 * at once if that happened in an earlier run. validation may be NULL: then options->held_out counts. WF_AGAIN: another
 * trainer holds the level, or the training was interrupted and saved. WF_INTERNAL: too many non-finite batches.
 * WF_DATA: the state in the folder is of other data or options, or the level is exported (export.h) and has no state.
 * WF_USAGE: the level of options->init has another chain or shape, or was given something else. WF_AGAIN:
 * options->init_level is not finished.
 *
 * With ranks all call this at once, with the same options, store and level. Each computes its part of every batch, and
 * rank 0 alone writes files. Which picture, patch and noise an element of a batch has does not depend on the number of
 * ranks, and another number may resume the training. WF_USAGE: the options of a rank differ, or a batch has fewer
 * pictures than there are ranks. WF_AGAIN: another rank failed or was killed. */
int wf_train(const wf_model *model, wf_backend *backend, wf_store *store, wf_store *validation,
             const wf_train_options *options, wf_train_report *report, void *user) WF_MUST;

/* Trains levels options->level .. options->level + count - 1 side by side, each in a thread with a backend of its
 * own. backend and threads (total): as for wf_backend_open. report is called by one thread at a time. A failure of
 * one level does not stop the others; when all have ended, the failure of the lowest that failed is returned. WF_USAGE:
 * several levels on several ranks. */
int wf_train_levels(const wf_model *model, const char *backend, int threads, wf_store *store, wf_store *validation,
                    const wf_train_options *options, int count, wf_train_report *report, void *user) WF_MUST;

WF_END

#endif
