/* train.h - training one level of a model, left alone: resumes by itself, survives being killed at any moment
 *
 * Files of level NN in the model folder, none of which another level touches:
 *     level-NN.safetensors        the best (or, without validation, the latest) weights and their average
 *     level-NN.state.safetensors  everything a resumed training needs: it then goes on bitwise as if never interrupted
 *     level-NN.jsonl              the log, one JSON object a line, trimmed to the step that is resumed
 *     level-NN.lock               held while training
 */
#ifndef WF_TRAIN_H
#define WF_TRAIN_H

#include "../base/linkage.h"
#include "../model/level.h"
#include "../store/store.h"

WF_BEGIN

typedef struct wf_train_options {
    int level;
    const char *chain;      /* or the name of one (wf_preset_chain); NULL: the official one */
    const char *dequantize; /* chain of the noise, NULL: it is uniform (dequantizer.h) */
    int64_t steps;          /* stop after so many, 0: no limit */
    double minutes;         /* stop after so long, 0: no limit; counts time spent in earlier runs */
    int batch;
    double lr, ema; /* Adamax rate; decay of the moving average */
    int64_t warmup; /* steps of linear warm-up; -1: 125,000 as published, but at most a twentieth of the run */
    double decay;   /* share of the run at whose end the rate falls linearly to 0; 0: constant */
    int patch; /* side of square crops, 0: whole pictures, -1: as published for a chain that has a name, else whole */
    int context; /* outer pixels of a patch that are seen and do not count, -1: an eighth of it, 0 where it is the level */
    bool flip;
    wf_precision precision;
    wf_memory memory;
    uint64_t seed;
    int64_t checkpoint_every; /* steps, 0: about every two minutes */
    int64_t validate_every;   /* steps, 0: about a twentieth of the run */
    int64_t validate_on;      /* pictures of the validation store, at most */
    int patience;             /* validations without a better one before stopping, 0: never */
    const char *provenance;   /* JSON array, for the level file */
} wf_train_options;

extern const wf_train_options wf_train_defaults;

typedef enum wf_train_event { WF_TRAIN_STEP, WF_TRAIN_VALIDATED, WF_TRAIN_SKIPPED, WF_TRAIN_RESUMED } wf_train_event;

typedef struct wf_train_progress {
    int level;
    int64_t step, steps;
    double seconds, fraction; /* of the run, 0 .. 1; 0 when without limit */
    double bpd;               /* mean of the last batches, what this level contributes */
    double held_out, best;    /* NAN before the first validation */
    int skipped;              /* batches left out by the non-finite guard */
} wf_train_progress;

/* Called after each event; a nonzero return saves and stops with WF_AGAIN. */
typedef int wf_train_report(void *user, wf_train_event event, const wf_train_progress *progress);

/* Trains until a limit is reached or patience ends. WF_OK at once when that was so already. validation may be NULL.
 * WF_AGAIN: another trainer holds the level, or interrupted after saving. WF_INTERNAL: too many non-finite batches.
 * WF_DATA: the state in the folder is of other data or options. */
int wf_train(const wf_model *model, wf_backend *backend, wf_store *store, wf_store *validation,
             const wf_train_options *options, wf_train_report *report, void *user) WF_MUST;

/* Trains the levels options->level .. options->level + count - 1 side by side, each with a backend of its own (spec and total
 * number of threads as for wf_backend_open) in a thread of its own; report is called by one at a time. A level that fails
 * leaves the others alone: the failure of the lowest is returned when all have ended. */
int wf_train_levels(const wf_model *model, const char *backend, int threads, wf_store *store, wf_store *validation,
                    const wf_train_options *options, int count, wf_train_report *report, void *user) WF_MUST;

WF_END

#endif
