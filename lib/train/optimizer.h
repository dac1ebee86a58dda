/* optimizer.h - the rules that turn gradients into steps: one file in lib/train/optimizers/, one row in WF_OPTIMIZERS
 *
 * An optimizer is written as a word of a chain is, "muon:momentum=0.9", and has one vector of parameters. To add one:
 * write lib/train/optimizers/NAME.c with a `const wf_optimizer_type wf_optimizer_NAME`, and add row(NAME) below. Its
 * state has to fit in m and u, which checkpoints keep. Tests and manual pages walk the registry. Tests check each
 * option, that a resumed training has the same bits, and golden values. */
#ifndef WF_OPTIMIZER_H
#define WF_OPTIMIZER_H

#include "../base/linkage.h"
#include "../flow/flow.h"
#include "../../kernels/backend.h"

WF_BEGIN

#define WF_OPTIMIZERS(row) row(adamax) row(muon)

typedef struct wf_optimizer wf_optimizer;

typedef struct wf_optimizer_option {
    const char *key;
    double standard, low, high; /* default and inclusive range */
    const char *meaning;        /* for the manual, without a full stop */
    const char *shown;          /* the default in the manual; NULL: the number */
} wf_optimizer_option;

enum { WF_OPTIMIZER_MAX_OPTIONS = 4, WF_OPTIMIZER_TEXT = 200 };

typedef struct wf_optimizer_type {
    const char *name;
    const char *summary;                                       /* for the manual, without a full stop */
    wf_optimizer_option options[WF_OPTIMIZER_MAX_OPTIONS + 1]; /* a NULL key ends the table */
    /* Sets the rules of step t = 1, 2 .. for the rate lr. */
    void (*begin)(wf_optimizer *o, double t, double lr);
    /* A wf_grad_sink: takes the step for params [offset, offset + count), or as much of it as one can without the
     * gradients of others. Matrices are never cut. */
    int (*sink)(wf_optimizer *o, size_t offset, size_t count, const wf_real *grads);
    int (*finish)(wf_optimizer *o); /* the rest of the step, after all gradients; NULL: there is none */
} wf_optimizer_type;

/* Parameters w, the optimizer's state m and u, and moving average ema of w: device [size] each. */
struct wf_optimizer {
    wf_backend *backend;
    const wf_optimizer_type *type;
    double values[WF_OPTIMIZER_MAX_OPTIONS]; /* of type->options */
    wf_adamax rule;                          /* set by wf_optimizer_begin, as far as the type needs them */
    wf_muon muon;
    double decay; /* of the average; step t uses min(decay, (1 + t) / (10 + t)), to forget the start */
    size_t size;
    wf_real *w, *m, *u, *ema;
    wf_matrix *matrices; /* in the order of the parameters, owned */
    int matrix_count;
    double *bad; /* device [1]: nonzero once a gradient was not finite; no update is applied from then on */
};

/* Row i of the registry; NULL past the end. */
const wf_optimizer_type *wf_optimizer_row(int i);
/* WF_USAGE, with the place and what was expected, unless `text` is an optimizer with its options. NULL: Adamax. */
int wf_optimizer_check(const char *text) WF_MUST;

/* Parameters and state are 0. text: as for wf_optimizer_check. ema: decay of the average. Clear it after a failure
 * too. */
int wf_optimizer_create(wf_backend *backend, const char *text, size_t size, double ema, wf_optimizer *out) WF_MUST;
void wf_optimizer_clear(wf_optimizer *o);
/* Lists the matrices of a flow whose parameters begin at `first`: tensors that are called w, of two dimensions or more,
 * except those of a network's layer `out`. A kernel [out,k..,in] is a matrix [out,k..*in]. Flows come in the order of
 * their parameters. */
int wf_optimizer_add_matrices(wf_optimizer *o, const wf_flow *flow, size_t first) WF_MUST;

/* A step, counted from 0: begin sets its rules, the sink, a wf_grad_sink, takes gradients, and finish follows the last
 * of them. */
void wf_optimizer_begin(wf_optimizer *o, int64_t step, double lr);
int wf_optimizer_sink(void *optimizer, size_t offset, size_t count, const wf_real *grads) WF_MUST;
int wf_optimizer_finish(wf_optimizer *o) WF_MUST;
int wf_optimizer_reset(wf_optimizer *o) WF_MUST; /* bad = 0 */

/* For types: Adamax with this beta2. */
void wf_adamax_begin(wf_optimizer *o, double t, double lr, double beta2);
int wf_adamax_sink(wf_optimizer *o, size_t offset, size_t count, const wf_real *grads) WF_MUST;

#define WF_DECLARE_OPTIMIZER(name) extern const wf_optimizer_type wf_optimizer_##name;
WF_OPTIMIZERS(WF_DECLARE_OPTIMIZER)

WF_END

#endif
